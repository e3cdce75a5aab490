//! The event store as a port: a few primitives that every tool is built from.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::entity::HostName;
use crate::domain::event::Event;
use crate::domain::evidence::SensorSeen;
use crate::domain::ids::EventId;
use crate::ports::storage::StorageError;

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

/// A question to the store. A window is always required: nothing on the floor asks for everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// On this machine, or on any.
    pub host: Option<HostName>,
    /// Of these kinds; any if empty.
    pub kinds: Vec<Kind>,
    /// Caused by or starting this process (Sysmon's ProcessGuid, as source, new process or parent).
    pub process: Option<String>,
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

/// How much of the store had arrived when a decision was taken: the number of stored events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watermark(pub u64);

/// The store's answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// The oldest matching rows, up to the limit, in order of time and id.
    pub rows: Vec<Event>,
    /// How many match in all.
    pub total: u64,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// Events that are new.
    pub new: u64,
    /// Events that were there already.
    pub known: u64,
}

/// Holds normalised events and answers questions about them.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Stores events; returns once they are committed. An event that is stored already is left as it is.
    async fn insert(&self, events: Vec<Event>) -> Result<Stored, StorageError>;

    /// The event with this id.
    async fn get(&self, id: &EventId) -> Result<Option<Event>, StorageError>;

    /// Events that meet a question.
    async fn search(&self, query: &EventQuery) -> Result<Found, StorageError>;

    /// Whether a kind of event was reported by a host around a window (24 h on each side), and whether logs
    /// were cleared or the sensor touched in that time.
    async fn sensor(
        &self,
        host: &HostName,
        kind: &Kind,
        from: Timestamp,
        to: Timestamp,
        watermark: Watermark,
    ) -> Result<SensorSeen, StorageError>;

    /// How much has arrived.
    async fn watermark(&self) -> Result<Watermark, StorageError>;
}
