//! Faults on purpose: switches by which tests make a floor lose messages, break actors or die.
//!
//! They are read from `WATCHFLOOR_FAULT`, a list such as `abort-after-append=17,drop-every=3,panic=gatekeeper`.
//! Nothing is switched on without it, and a floor that runs with a fault says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::messages::Role;
use crate::ports::journal::{
    Append, CheckReport, Cursor, Effect, Journal, JournalError, Lease, Pending, PlacedRow, Queue, Row, Stream,
};

/// The environment variable.
pub const VARIABLE: &str = "WATCHFLOOR_FAULT";

/// The kinds of sources that can be made to break.
const SOURCES: [&str; 2] = [FOLLOW, LISTENER];

/// A followed path, by the name that `panic` takes.
pub const FOLLOW: &str = "follow";

/// The listener, by the name that `panic` takes.
pub const LISTENER: &str = "listener";

/// The switches.
#[derive(Debug, Default)]
pub struct Faults {
    /// The process aborts, without unwinding, right after this many appends.
    pub abort_after_append: Option<u64>,
    /// Every message with a number divisible by this is lost.
    drop_every: Option<u64>,
    /// This actor panics at its first message.
    panic: Option<&'static str>,
    /// The databases may grow to this many pages, as on a full disk.
    pub max_pages: Option<u32>,
    messages: AtomicU64,
    panicked: AtomicBool,
}

/// The list could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE} has `{0}`; it takes abort-after-append=N, drop-every=N, panic=ROLE and max-pages=N")]
pub struct BadFault(String);

impl Faults {
    /// Reads a list of switches.
    ///
    /// # Errors
    /// When an entry is none of them.
    pub fn parse(list: &str) -> Result<Self, BadFault> {
        let mut faults = Self::default();
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let bad = || BadFault(entry.to_owned());
            let (name, value) = entry.split_once('=').ok_or_else(bad)?;
            let number = || value.parse::<u64>().ok().filter(|number| *number > 0).ok_or_else(bad);
            match name {
                "abort-after-append" => faults.abort_after_append = Some(number()?),
                "drop-every" => faults.drop_every = Some(number()?),
                "max-pages" => faults.max_pages = Some(u32::try_from(number()?).map_err(|_| bad())?),
                "panic" => {
                    let mut names = Role::ALL.into_iter().map(Role::name).chain(SOURCES);
                    faults.panic = Some(names.find(|name| *name == value).ok_or_else(bad)?);
                }
                _ => return Err(bad()),
            }
        }
        Ok(faults)
    }

    /// This message is to be lost.
    pub fn loses_message(&self) -> bool {
        let number = self.messages.fetch_add(1, Ordering::Relaxed) + 1;
        self.drop_every.is_some_and(|every| number.is_multiple_of(every))
    }

    /// Breaks the actor once, if it is the chosen one.
    pub fn break_once(&self, role: Role) {
        self.break_once_named(role.name());
    }

    /// As [`Self::break_once`], for a kind of source.
    pub fn break_once_named(&self, name: &str) {
        if self.panic == Some(name) && !self.panicked.swap(true, Ordering::SeqCst) {
            panic!("{VARIABLE}: {name} breaks on purpose");
        }
    }
}

/// A journal that ends the process right after its n-th append is committed.
pub struct AbortingJournal {
    inner: Arc<dyn Journal>,
    left: AtomicU64,
}

impl AbortingJournal {
    /// Wraps a journal that has `appends` appends to live.
    #[must_use]
    pub fn new(inner: Arc<dyn Journal>, appends: u64) -> Self {
        Self { inner, left: AtomicU64::new(appends) }
    }
}

#[async_trait]
impl Journal for AbortingJournal {
    async fn append(&self, append: Append) -> Result<u64, JournalError> {
        let appended = self.inner.append(append).await?;
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // Like SIGKILL: nothing is unwound, flushed or closed.
            std::process::abort();
        }
        Ok(appended)
    }

    async fn read(&self, stream: &Stream, after: u64) -> Result<Vec<Row>, JournalError> {
        self.inner.read(stream, after).await
    }

    async fn since(&self, place: u64, most: usize) -> Result<Vec<PlacedRow>, JournalError> {
        self.inner.since(place, most).await
    }

    async fn end(&self) -> Result<u64, JournalError> {
        self.inner.end().await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Stream>, JournalError> {
        self.inner.streams(prefix).await
    }

    async fn claim(
        &self,
        queue: Queue,
        owner: &str,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Lease>, JournalError> {
        self.inner.claim(queue, owner, ttl, now).await
    }

    async fn release(&self, lease: &Lease, not_before: Option<Timestamp>) -> Result<(), JournalError> {
        self.inner.release(lease, not_before).await
    }

    async fn release_all(&self, owner: &str) -> Result<(), JournalError> {
        self.inner.release_all(owner).await
    }

    async fn effects(&self, target: &str) -> Result<Vec<Effect>, JournalError> {
        self.inner.effects(target).await
    }

    async fn mark_sent(&self, keys: &[String]) -> Result<(), JournalError> {
        self.inner.mark_sent(keys).await
    }

    async fn confirm(&self, keys: &[String]) -> Result<(), JournalError> {
        self.inner.confirm(keys).await
    }

    async fn blob(&self, hash: &str) -> Result<Option<Vec<u8>>, JournalError> {
        self.inner.blob(hash).await
    }

    async fn cursors(&self, prefix: &str) -> Result<Vec<Cursor>, JournalError> {
        self.inner.cursors(prefix).await
    }

    async fn set_cursor(&self, cursor: Cursor) -> Result<(), JournalError> {
        self.inner.set_cursor(cursor).await
    }

    async fn pending(&self) -> Result<Pending, JournalError> {
        self.inner.pending().await
    }

    async fn check(&self) -> Result<CheckReport, JournalError> {
        self.inner.check().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_read_and_unknown_ones_refused() {
        let faults = Faults::parse("abort-after-append=17, drop-every=3,panic=gatekeeper").expect("they are known");
        assert_eq!(faults.abort_after_append, Some(17));
        assert_eq!([1, 2, 3, 4, 5, 6].map(|_| faults.loses_message()), [false, false, true, false, false, true]);
        assert!(Faults::parse("explode").is_err() && Faults::parse("panic=nobody").is_err());
    }
}
