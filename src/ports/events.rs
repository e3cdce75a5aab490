//! The event store as a port: a few primitives that every tool is built from.
//!
//! `search` lists, `tally` counts by groups, `prevalence` says how usual something is, `sensor` and `sensor_facts`
//! whether silence means anything, `history` how far back all of that reaches. What a question means is defined
//! here, by [`EventQuery::matches`]; how a store is quick about it is its own affair.

pub mod coverage;
pub mod mention;
pub mod prevalence;
mod query;
pub mod retention;
mod row;
pub mod tally;
pub mod text;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::coverage::{History, SensorFacts};
use self::prevalence::{Prevalence, PrevalenceQuery};
pub use self::query::{Comparison, Condition, EventQuery, Found, Kind};
use self::retention::{Pruned, RetentionPolicy, Size};
pub use self::row::{EventRow, Key};
use self::tally::{Tally, TallyQuery};
use crate::domain::entity::HostName;
use crate::domain::event::Event;
use crate::domain::evidence::SensorSeen;
use crate::domain::ids::EventId;
use crate::ports::storage::StorageError;

/// How much had arrived when a decision was taken: the arrival number of the last event.
///
/// Arrivals count from 1 and no number is given twice, not even after retention removed events. A watermark thus
/// always means the same moment; what an answer under it can still show is what retention left
/// ([`History::complete_since`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watermark(pub u64);

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
    async fn insert(&self, events: Vec<EventRow>) -> Result<Stored, StorageError>;

    /// The event with this id.
    async fn get(&self, id: &EventId) -> Result<Option<Event>, StorageError>;

    /// Events that meet a question.
    async fn search(&self, query: &EventQuery) -> Result<Found, StorageError>;

    /// How many events of each group meet a question.
    async fn tally(&self, query: &TallyQuery) -> Result<Tally, StorageError>;

    /// How usual something is.
    async fn prevalence(&self, query: &PrevalenceQuery) -> Result<Prevalence, StorageError>;

    /// Whether a kind of event was reported by a host around a window (24 h on each side), and whether logs
    /// were cleared or the sensor touched in that time. A window of which retention removed a part has nothing
    /// before it: no absence in it is proven.
    async fn sensor(
        &self,
        host: &HostName,
        kind: &Kind,
        from: Timestamp,
        to: Timestamp,
        watermark: Watermark,
    ) -> Result<SensorSeen, StorageError>;

    /// What a host's sensors sent in a window, when they fell silent, and what was done to them.
    async fn sensor_facts(
        &self,
        host: &HostName,
        from: Timestamp,
        to: Timestamp,
        watermark: Watermark,
    ) -> Result<SensorFacts, StorageError>;

    /// What history the store holds of what had arrived by then.
    async fn history(&self, watermark: Watermark) -> Result<History, StorageError>;

    /// How much has arrived.
    async fn watermark(&self) -> Result<Watermark, StorageError>;

    /// Removes what the policy allows, except the events in `keep`. What is removed stays removed even if it
    /// ends early with an error.
    async fn retain(&self, policy: &RetentionPolicy, keep: &[EventId]) -> Result<Pruned, StorageError>;

    /// How large the store is.
    async fn size(&self) -> Result<Size, StorageError>;
}
