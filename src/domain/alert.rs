//! What a source raised: a rule that matched, with the rule's card and the fields that matched.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::attack;
use super::entity::{Entity, HostName};
use super::evidence::Quote;
use super::ids::{AlertId, EventId, RuleId};

/// How loud the source was. The source's own word: nothing on the floor ever lowers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Enrichment; alone it opens no case.
    Informational,
    /// Notable in numbers or in combination.
    Low,
    /// To be reviewed.
    Medium,
    /// To be reviewed promptly.
    High,
    /// Borders on certainty.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// What is known of the rule behind an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCard {
    /// The rule's id.
    pub id: RuleId,
    /// The rule's title: an opinion of its author, never evidence.
    pub title: String,
    /// The rule's author, whom the Detection Rule License asks to be named with every match.
    pub author: Option<String>,
    /// The level its author gave it.
    pub level: Severity,
    /// `experimental`, `test` or `stable`.
    pub status: Option<String>,
    /// What it looks for.
    pub description: Option<String>,
    /// Its tags, `attack.t1059.001` and the like.
    pub tags: Vec<String>,
    /// What its author knows to trigger it wrongly.
    pub false_positives: Vec<String>,
    /// Where its author read about it.
    #[serde(default)]
    pub references: Vec<String>,
    /// When it was written or, if it says so, last changed, as its author writes dates.
    #[serde(default)]
    pub date: Option<String>,
}

impl RuleCard {
    /// ATT&CK technique ids among the tags, under the numbers of [`attack::VERSION`] (`T1059.001`).
    #[must_use]
    pub fn techniques(&self) -> Vec<String> {
        attack::techniques(&self.tags)
    }

    /// ATT&CK tactics among the tags, by the names of [`attack::VERSION`] (`lateral-movement`).
    #[must_use]
    pub fn tactics(&self) -> Vec<String> {
        attack::tactics(&self.tags)
    }
}

/// Most events of a correlation that its alert names.
pub const MOST_CORRELATED: usize = 50;

/// The events that made a correlation's alert. Empty for an alert on a single event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correlated {
    events: Vec<EventId>,
    total: u64,
}

impl Correlated {
    /// Takes the events in order of time; of more than [`MOST_CORRELATED`] the first ones are named.
    #[must_use]
    pub fn new(mut events: Vec<EventId>) -> Self {
        let total = events.len() as u64;
        events.truncate(MOST_CORRELATED);
        Self { events, total }
    }

    /// The events that are named, in order of time.
    #[must_use]
    pub fn events(&self) -> &[EventId] {
        &self.events
    }

    /// How many there were.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The alert rests on one event.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.total == 0
    }
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Derived from source, rule and event.
    pub id: AlertId,
    /// Who raised it: `sigma` for the embedded detection.
    pub source: String,
    /// The rule that matched.
    pub rule: RuleCard,
    /// Where it happened.
    pub host: HostName,
    /// When it happened.
    pub time: Timestamp,
    /// The event that matched; of a correlation, the one that completed it.
    pub event: EventId,
    /// `Sysmon 1`: what kind of event matched.
    pub event_kind: String,
    /// The fields the rule matched on, quoted from the event.
    pub matched: Vec<Quote>,
    /// The entities of the event, by which alerts are grouped.
    pub entities: Vec<Entity>,
    /// All events of a correlation.
    #[serde(default, skip_serializing_if = "Correlated::is_empty")]
    pub correlated: Correlated,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_of_an_earlier_version_is_still_read() {
        let card = r#"{"id":"r","title":"t","author":null,"level":"high","status":null,"description":null,
            "tags":["attack.t1562.001","attack.defense_evasion"],"false_positives":[]}"#;
        let card: RuleCard = serde_json::from_str(card).expect("a card without references and date");
        assert_eq!((card.references.len(), card.date.as_deref()), (0, None));
        assert_eq!(card.techniques(), ["T1685"]);
        assert_eq!(card.tactics(), ["defense-impairment"]);
    }

    #[test]
    fn a_correlation_names_some_events_and_counts_all() {
        let events: Vec<EventId> = (0..MOST_CORRELATED + 7).map(|number| EventId::new(number.to_string())).collect();
        let correlated = Correlated::new(events);
        assert_eq!((correlated.events().len(), correlated.total()), (MOST_CORRELATED, MOST_CORRELATED as u64 + 7));
        assert!(!correlated.is_empty() && Correlated::default().is_empty());
    }
}
