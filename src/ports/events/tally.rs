//! Counting instead of listing: events by up to three things at once.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::query::EventQuery;

/// Something events are counted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// The machine's short name.
    Host,
    /// The kind of event, such as `Sysmon 1`.
    Kind,
    /// A field, by its dotted path, as it is written; [`NO_FIELD`] where it is missing.
    Field(String),
    /// The beginning (UTC) of the stretch of time it falls into.
    Time(Bin),
}

/// What stands for a field that an event does not have.
pub const NO_FIELD: &str = "(no such field)";

/// Stretches of time, counted from the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bin {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day, UTC.
    Day,
}

impl Bin {
    /// Its length.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// When the stretch began that an instant falls into.
    #[must_use]
    pub fn beginning(self, time: Timestamp) -> Timestamp {
        let seconds = time.as_microsecond().div_euclid(1_000_000 * self.seconds()) * self.seconds();
        // Earlier than any instant there is only in the very first stretch: then the instant stands for it.
        Timestamp::from_second(seconds).unwrap_or(time)
    }
}

/// What to count by: one to three dimensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping(Vec<Dimension>);

/// No dimension, or too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("events are counted by one to three things at once, not by {0}: leave some out")]
pub struct BadGrouping(usize);

impl Grouping {
    /// Counting by these, the first one coarsest.
    ///
    /// # Errors
    /// When there are none or more than three.
    pub fn new(dimensions: Vec<Dimension>) -> Result<Self, BadGrouping> {
        match dimensions.len() {
            1..=3 => Ok(Self(dimensions)),
            other => Err(BadGrouping(other)),
        }
    }

    /// The dimensions.
    #[must_use]
    pub fn dimensions(&self) -> &[Dimension] {
        &self.0
    }
}

/// How many events of a question's there are of each group. The question's limit is that of the groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TallyQuery {
    /// Which events.
    pub events: EventQuery,
    /// Counted by what.
    pub by: Grouping,
}

/// A group of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its value in each dimension.
    pub key: Vec<String>,
    /// Its events.
    pub events: u64,
    /// Machines among them.
    pub hosts: u64,
    /// Days (UTC) among them.
    pub days: u64,
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The largest groups, up to the limit: most events first, then by key.
    pub groups: Vec<Group>,
    /// Groups in all.
    pub groups_total: u64,
    /// Events in all.
    pub events_total: u64,
}
