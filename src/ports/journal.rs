//! The journal as a port: append-only streams, leases with epochs, an outbox and blobs.
//!
//! The design in one paragraph: a *stream* is a numbered sequence of records and has one writer at a time,
//! which states the last number it has seen ([`Expected::Last`]); a second writer is told so instead of being
//! mixed in. Work waits in *queues*; whoever claims an item gets a [`Lease`] with an epoch, and an append
//! under a lease that somebody else has since claimed is refused ([`JournalError::Fenced`]). Wishes to change
//! the world are *effects*: rows of the outbox that are committed together with the record that wanted them.
//! Everything in one [`Append`] is committed together or not at all. A PostgreSQL adapter needs nothing more
//! than one transaction per append.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ports::storage::StorageError;

/// The name of a stream, such as `case/WF-12`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stream(pub String);

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The writer's view of a stream when it appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The stream's last number is this one; 0 for an empty stream.
    Last(u64),
    /// Wherever it ends: for streams whose records do not depend on one another.
    Any,
}

/// A record to append. Its body's meaning is the typed layer's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// The kind of record.
    pub kind: String,
    /// JSON.
    pub body: String,
    /// When it was written.
    pub at: Timestamp,
}

/// A record as it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its number in the stream, from 1.
    pub seq: u64,
    /// Its content, or why it can no longer be trusted.
    pub content: Result<NewRecord, Damage>,
}

/// A row with its place in the order in which all streams grew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedRow {
    /// Its place: later rows have higher ones, and a place is never given twice.
    pub place: u64,
    /// Its stream.
    pub stream: Stream,
    /// The row.
    pub row: Row,
}

/// A row whose checksum does not match. It is kept for people, and no reader acts on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("row {seq} of stream {stream} is damaged: {what}")]
pub struct Damage {
    /// The stream; `outbox` for an effect and `blob/<hash>` for a blob.
    pub stream: Stream,
    /// The number; an effect's place. Of a gap in the numbering, the first number that is missing.
    pub seq: u64,
    /// What is wrong.
    pub what: String,
}

/// Where work waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    /// Cases for tier 1.
    Tier1,
    /// Cases for tier 2.
    Tier2,
    /// Cases with proposals for the gatekeeper.
    Gate,
}

impl Queue {
    /// The queue's stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tier1 => "tier1",
            Self::Tier2 => "tier2",
            Self::Gate => "gate",
        }
    }
}

/// A change of a queue, committed with its append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueChange {
    /// The item waits from now on; if it already waits, it keeps its place and its lease is voided.
    Put {
        /// The queue.
        queue: Queue,
        /// The item: a case's id.
        item: String,
        /// Rank, higher first. Each rank is worth an hour of waiting, so that nothing starves.
        rank: u8,
        /// Not to be claimed earlier.
        not_before: Option<Timestamp>,
    },
    /// The item waits no longer.
    Remove {
        /// The queue.
        queue: Queue,
        /// The item.
        item: String,
    },
}

/// The right to work on one item, until it expires or somebody else claims it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The queue.
    pub queue: Queue,
    /// The item.
    pub item: String,
    /// Counts the claims of this item: an older epoch may no longer write.
    pub epoch: u64,
    /// How long it holds after it was claimed. After an append under it, at least three quarters of this are left.
    pub ttl: Duration,
}

/// A wish to change the world, to be carried out after it is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEffect {
    /// Unique for ever: a second effect with this key is ignored.
    pub key: String,
    /// Who carries it out, such as `desk`.
    pub target: String,
    /// Effects of one lane are carried out in order; lanes do not wait for one another.
    pub lane: String,
    /// JSON.
    pub body: String,
}

/// Where an effect stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectState {
    /// Not sent yet.
    Planned,
    /// Sent; the answer is not known. Found so after a start, it is settled by reading back.
    Sent,
    /// Done, and seen to be done.
    Confirmed,
}

/// An effect of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The wish.
    pub wish: NewEffect,
    /// Where it stands.
    pub state: EffectState,
    /// Its place in the outbox; lower is older.
    pub place: u64,
}

/// Content kept by its hash, for results too large for a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// SHA-256 of the content, in hexadecimal.
    pub hash: String,
    /// The content.
    pub bytes: Vec<u8>,
}

/// How far a source has been read. It only saves reading again: one that is lost, or behind, costs a repetition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Its name, unique in the journal.
    pub name: String,
    /// JSON; what it means is the source's business.
    pub body: String,
}

/// Everything that is committed together.
#[derive(Debug, Clone)]
pub struct Append {
    /// The stream that grows.
    pub stream: Stream,
    /// What the writer has seen of it.
    pub expected: Expected,
    /// The lease under which the writer works, if it needs one.
    pub lease: Option<Lease>,
    /// The records. The latest of their times is the append's: leases are extended and waiting begins from it.
    pub records: Vec<NewRecord>,
    /// Effects planned by them.
    pub effects: Vec<NewEffect>,
    /// Changes of queues.
    pub queues: Vec<QueueChange>,
    /// Large contents they refer to.
    pub blobs: Vec<Blob>,
}

impl Append {
    /// An append to `stream` that carries nothing yet.
    #[must_use]
    pub const fn to(stream: Stream, expected: Expected) -> Self {
        Self { stream, expected, lease: None, records: vec![], effects: vec![], queues: vec![], blobs: vec![] }
    }
}

/// What still waits: nothing of it left means that the floor is at rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Items waiting or being worked on in the desks' queues.
    pub cases: u64,
    /// Cases with proposals that the gatekeeper has not answered.
    pub gate: u64,
    /// Effects not confirmed.
    pub effects: u64,
}

/// The result of reading every row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Streams read.
    pub streams: u64,
    /// Records read.
    pub records: u64,
    /// Blobs read.
    pub blobs: u64,
    /// Effects not confirmed.
    pub effects_open: u64,
    /// Rows whose checksum or number is wrong.
    pub damaged: Vec<Damage>,
}

/// Why the journal refused.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Somebody else appended meanwhile.
    #[error("stream {stream} has moved on to {found}, expected {expected}")]
    Conflict {
        /// The stream.
        stream: Stream,
        /// What the writer had seen.
        expected: u64,
        /// Where the stream ends.
        found: u64,
    },
    /// The lease has passed to somebody else.
    #[error("the lease on {item} in queue {} (epoch {epoch}) has passed to somebody else", .queue.name())]
    Fenced {
        /// The queue.
        queue: Queue,
        /// The item.
        item: String,
        /// The lease's epoch.
        epoch: u64,
    },
    /// Its storage refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// See the module's page for the contract.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Commits everything in `append`, or nothing, and returns the stream's new last number.
    async fn append(&self, append: Append) -> Result<u64, JournalError>;

    /// The stream's rows after number `after`, in order; damaged ones are reported as such.
    async fn read(&self, stream: &Stream, after: u64) -> Result<Vec<Row>, JournalError>;

    /// The rows of all streams after a place, in the order in which they were written, at most so many.
    async fn since(&self, place: u64, most: usize) -> Result<Vec<PlacedRow>, JournalError>;

    /// The place of the last row of all; 0 for an empty journal.
    async fn end(&self) -> Result<u64, JournalError>;

    /// Names of the streams that begin with `prefix`, in the order of their first record.
    async fn streams(&self, prefix: &str) -> Result<Vec<Stream>, JournalError>;

    /// Claims the foremost item that is due and free, or whose lease has expired at `now`.
    async fn claim(
        &self,
        queue: Queue,
        owner: &str,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Lease>, JournalError>;

    /// Gives an item back, to be claimed again from `not_before` on. A lease that has passed is ignored.
    async fn release(&self, lease: &Lease, not_before: Option<Timestamp>) -> Result<(), JournalError>;

    /// Frees every item that `owner` holds, for an owner that starts again and knows it holds nothing.
    async fn release_all(&self, owner: &str) -> Result<(), JournalError>;

    /// Effects of `target` that are not confirmed, oldest first. A damaged one is quarantined and left out.
    async fn effects(&self, target: &str) -> Result<Vec<Effect>, JournalError>;

    /// Marks effects as sent and returns once that is on disk: only then may they be carried out.
    async fn mark_sent(&self, keys: &[String]) -> Result<(), JournalError>;

    /// Marks effects as done and seen to be done.
    async fn confirm(&self, keys: &[String]) -> Result<(), JournalError>;

    /// The content with this hash, if it is stored undamaged.
    async fn blob(&self, hash: &str) -> Result<Option<Vec<u8>>, JournalError>;

    /// The cursors whose names begin with `prefix`, by name. A damaged one is left out: its source reads anew.
    async fn cursors(&self, prefix: &str) -> Result<Vec<Cursor>, JournalError>;

    /// Keeps a cursor in the place of the one with its name; returns once it is committed.
    async fn set_cursor(&self, cursor: Cursor) -> Result<(), JournalError>;

    /// What still waits.
    async fn pending(&self) -> Result<Pending, JournalError>;

    /// Reads every row and blob and compares it with its checksum; quarantines what does not match.
    async fn check(&self) -> Result<CheckReport, JournalError>;
}
