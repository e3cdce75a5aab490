//! A journal whose process dies: from a chosen append on, nothing is written or read any more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use watchfloor::ports::journal::{
    Append, CheckReport, Cursor, Effect, Journal, JournalError, Lease, Pending, PlacedRow, Queue, Row, Stream,
};
use watchfloor::ports::storage::StorageError;

type Last = dyn FnMut(&Append) -> bool + Send;

/// See the module.
pub struct DyingJournal {
    inner: Arc<dyn Journal>,
    is_fatal: Mutex<Box<Last>>,
    dead: AtomicBool,
    appends: AtomicU64,
}

impl DyingJournal {
    /// Dies instead of the first append for which this holds.
    pub fn before(inner: Arc<dyn Journal>, is_fatal: impl FnMut(&Append) -> bool + Send + 'static) -> Arc<Self> {
        let (dead, appends) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Self { inner, is_fatal: Mutex::new(Box::new(is_fatal)), dead, appends })
    }

    /// Dies after this many appends.
    pub fn after(inner: Arc<dyn Journal>, appends: u64) -> Arc<Self> {
        let mut left = appends;
        Self::before(inner, move |_| {
            let dies = left == 0;
            left = left.saturating_sub(1);
            dies
        })
    }

    /// Appends that were written.
    pub fn appends(&self) -> u64 {
        self.appends.load(Ordering::SeqCst)
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    fn live(&self) -> Result<&dyn Journal, JournalError> {
        if self.is_dead() {
            return Err(StorageError::Unusable { path: "journal.db".into(), what: "the process is dead".into() }.into());
        }
        Ok(self.inner.as_ref())
    }
}

#[async_trait]
impl Journal for DyingJournal {
    async fn append(&self, append: Append) -> Result<u64, JournalError> {
        if !self.is_dead() && (self.is_fatal.lock().unwrap_or_else(PoisonError::into_inner))(&append) {
            self.dead.store(true, Ordering::SeqCst);
        }
        let appended = self.live()?.append(append).await?;
        self.appends.fetch_add(1, Ordering::SeqCst);
        Ok(appended)
    }

    async fn read(&self, stream: &Stream, after: u64) -> Result<Vec<Row>, JournalError> {
        self.live()?.read(stream, after).await
    }

    async fn since(&self, place: u64, most: usize) -> Result<Vec<PlacedRow>, JournalError> {
        self.live()?.since(place, most).await
    }

    async fn end(&self) -> Result<u64, JournalError> {
        self.live()?.end().await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Stream>, JournalError> {
        self.live()?.streams(prefix).await
    }

    async fn claim(
        &self,
        queue: Queue,
        owner: &str,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Lease>, JournalError> {
        self.live()?.claim(queue, owner, ttl, now).await
    }

    async fn release(&self, lease: &Lease, not_before: Option<Timestamp>) -> Result<(), JournalError> {
        self.live()?.release(lease, not_before).await
    }

    async fn release_all(&self, owner: &str) -> Result<(), JournalError> {
        self.live()?.release_all(owner).await
    }

    async fn effects(&self, target: &str) -> Result<Vec<Effect>, JournalError> {
        self.live()?.effects(target).await
    }

    async fn mark_sent(&self, keys: &[String]) -> Result<(), JournalError> {
        self.live()?.mark_sent(keys).await
    }

    async fn confirm(&self, keys: &[String]) -> Result<(), JournalError> {
        self.live()?.confirm(keys).await
    }

    async fn blob(&self, hash: &str) -> Result<Option<Vec<u8>>, JournalError> {
        self.live()?.blob(hash).await
    }

    async fn cursors(&self, prefix: &str) -> Result<Vec<Cursor>, JournalError> {
        self.live()?.cursors(prefix).await
    }

    async fn set_cursor(&self, cursor: Cursor) -> Result<(), JournalError> {
        self.live()?.set_cursor(cursor).await
    }

    async fn pending(&self) -> Result<Pending, JournalError> {
        self.live()?.pending().await
    }

    async fn check(&self) -> Result<CheckReport, JournalError> {
        self.live()?.check().await
    }
}
