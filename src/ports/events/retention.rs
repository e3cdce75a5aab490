//! Retention: what may be removed from a store, and what was.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What may be removed. Events that the caller wants kept stay, whatever it says; without a bound nothing goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionPolicy {
    /// Events that happened before this.
    pub before: Option<Timestamp>,
    /// The oldest events, until the store's contents take no more than this many bytes.
    pub larger_than: Option<u64>,
    /// Only say what would be removed. By size that is an estimate from the average event.
    pub dry_run: bool,
}

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// Events removed.
    pub removed: u64,
    /// Events that would have gone and were kept, because somebody rests on them.
    pub kept: u64,
    /// The oldest event removed.
    pub from: Option<Timestamp>,
    /// The newest event removed.
    pub to: Option<Timestamp>,
    /// Bytes that the contents took before.
    pub bytes_before: u64,
    /// Bytes that they take now. The space is used again; the file itself does not shrink.
    pub bytes_after: u64,
}

/// How large a store is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Bytes that its contents take.
    pub bytes: u64,
    /// Bytes of the file that are free to be used again.
    pub free: u64,
    /// Events whose words are not in the full-text index yet: they are searched one by one.
    pub unindexed: u64,
}
