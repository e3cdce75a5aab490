//! A question to the event store, and what it means: whether one event meets it, whatever the store does to be quick.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Watermark;
use super::mention::{self, Mention};
use super::text::{self, TextQuery};
use crate::domain::entity::HostName;
use crate::domain::event::Event;
use crate::domain::ids::EventId;

/// How a field is compared. Comparison ignores case, as Windows does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// The whole value.
    Equals,
    /// A part of it.
    Contains,
    /// Its beginning.
    StartsWith,
    /// Its end.
    EndsWith,
}

/// A condition on one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Dotted path.
    pub field: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: String,
}

impl Condition {
    /// Whether the event's field meets the condition; an absent field meets none.
    #[must_use]
    pub fn holds(&self, event: &Event) -> bool {
        let Some(stored) = event.field(&self.field) else { return false };
        let (stored, wanted) = (stored.to_lowercase(), self.value.to_lowercase());
        match self.comparison {
            Comparison::Equals => stored == wanted,
            Comparison::Contains => stored.contains(&wanted),
            Comparison::StartsWith => stored.starts_with(&wanted),
            Comparison::EndsWith => stored.ends_with(&wanted),
        }
    }
}

/// A kind of event: a code, in one channel or in any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// The channel, or any.
    pub channel: Option<String>,
    /// The event id.
    pub code: u32,
}

impl Kind {
    /// Whether the event is of this kind.
    #[must_use]
    pub fn is_of(&self, event: &Event) -> bool {
        self.code == event.code && self.channel.as_ref().is_none_or(|channel| *channel == event.channel)
    }
}

/// A question to the store. A window is always required: nothing on the floor asks for everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// On this machine, or on any.
    pub host: Option<HostName>,
    /// Of these kinds; any if empty.
    pub kinds: Vec<Kind>,
    /// Caused by or starting this process (Sysmon's ProcessGuid, as source, new process or parent).
    pub process: Option<String>,
    /// All of these are mentioned.
    pub mentions: Vec<Mention>,
    /// Its texts have these words.
    pub text: Option<TextQuery>,
    /// It is one of these events (those that a rule raised alerts on, for example); any event if none are named.
    pub among: Option<Vec<EventId>>,
    /// All of these hold.
    pub conditions: Vec<Condition>,
    /// First instant.
    pub from: Timestamp,
    /// Last instant.
    pub to: Timestamp,
    /// Only what had arrived by then.
    pub watermark: Watermark,
    /// At most this many rows.
    pub limit: usize,
}

impl EventQuery {
    /// Rows that are given unless a question says otherwise.
    pub const ROWS: usize = 100;

    /// Everything in a window, both ends included, to be narrowed.
    #[must_use]
    pub const fn within(from: Timestamp, to: Timestamp, watermark: Watermark) -> Self {
        Self {
            host: None,
            kinds: vec![],
            process: None,
            mentions: vec![],
            text: None,
            among: None,
            conditions: vec![],
            from,
            to,
            watermark,
            limit: Self::ROWS,
        }
    }

    /// Whether an event meets the question, its arrival aside: what every store's answer is measured against.
    /// Instants are compared to the microsecond.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        let time = event.time.as_microsecond();
        let mentioned = || {
            let mentioned = mention::of(event);
            self.mentions.iter().all(|wanted| mentioned.contains(wanted))
        };
        (self.from.as_microsecond()..=self.to.as_microsecond()).contains(&time)
            && self.host.as_ref().is_none_or(|host| *host == event.host)
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind.is_of(event)))
            && self.among.as_ref().is_none_or(|ids| ids.contains(&event.id))
            && self.process.as_ref().is_none_or(|id| mention::processes(event).any(|p| p == Mention::process(id)))
            && (self.mentions.is_empty() || mentioned())
            && self.conditions.iter().all(|condition| condition.holds(event))
            && self.text.as_ref().is_none_or(|wanted| wanted.is_in(&text::words_of(event)))
    }
}

/// The store's answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// The oldest matching rows, up to the limit, in order of time and id.
    pub rows: Vec<Event>,
    /// How many match in all.
    pub total: u64,
}
