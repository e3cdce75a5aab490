//! What is asked of a floor that goes on working between one look and the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::fixtures::{alert, at, opened};
use crate::floor::faults::Faults;
use crate::journal::case_stream::Batch;
use crate::journal::desired;
use crate::ports::desk::{CaseDesk, CaseState, NewComment};
use crate::ports::journal::{
    Append, CheckReport, Cursor, Effect, Journal, Lease, Pending, PlacedRow, Queue, Row, Stream,
};

/// The case that is there from the beginning, and the one that is opened while somebody reads.
const EARLIER: CaseId = CaseId::new(1);
const LATER: CaseId = CaseId::new(2);

/// Stores on which the floor works between the reads of whoever looks at them.
struct Meanwhile {
    stores: Stores,
    reads: AtomicUsize,
    /// Before the read of this number, from 0, a case is opened.
    opens: usize,
    /// Before the read of this number the outbox is carried to the desk.
    delivers: usize,
}

impl Meanwhile {
    async fn look(&self) -> &Stores {
        let number = self.reads.fetch_add(1, Ordering::SeqCst);
        if number == self.opens {
            open(&self.stores, LATER).await;
        }
        if number == self.delivers {
            deliver(&self.stores).await;
        }
        &self.stores
    }
}

/// Opens a case as intake does: the first entry and the wish to show it are one append.
async fn open(stores: &Stores, case: CaseId) {
    let mut stream = CaseStream::open(stores.journal.clone(), case, None).await.expect("it is read");
    let entries = vec![opened("a1")];
    let effects = vec![desired::state(&stream.preview(&entries, at(0)), &[Arc::new(alert("a1", "e1", "WKS-1", 0))])];
    stream.append(Batch { entries, effects, ..Batch::default() }, at(0)).await.expect("it is written");
}

/// Does what the case writer does.
async fn deliver(stores: &Stores) {
    for effect in stores.journal.effects(DESK).await.expect("they are read") {
        if let DeskEffect::State { case, opened, state } = serde_json::from_str(&effect.wish.body).expect("a wish") {
            stores.desk.put(case, opened, *state).await.expect("it is written");
        }
        stores.journal.confirm(&[effect.wish.key]).await.expect("it is confirmed");
    }
}

#[tokio::test]
async fn a_case_that_is_opened_or_written_while_the_list_is_read_is_not_taken_for_lost() {
    // 3 is after the last read.
    for (opens, delivers) in (0..=3).flat_map(|opens| (0..=3).map(move |delivers| (opens, delivers))) {
        let folder = tempfile::tempdir().expect("a folder");
        let stores = Stores::open(folder.path(), &Faults::default()).expect("they open");
        open(&stores, EARLIER).await;
        let moving = Arc::new(Meanwhile { stores: stores.clone(), reads: AtomicUsize::new(0), opens, delivers });
        let seen = Stores { journal: moving.clone(), desk: moving.clone(), ..stores };
        let listed = cases(&seen).await.unwrap_or_else(|error| panic!("opened {opens}, written {delivers}: {error}"));
        assert_eq!(moving.reads.load(Ordering::SeqCst), 3, "another read wants another place to be tried");
        let listed: Vec<CaseId> = listed.iter().map(|case| case.id).collect();
        // What is opened before the first read is there, later ones may be.
        assert!(
            listed.starts_with(&[EARLIER]) && (opens > 0 || listed.contains(&LATER)),
            "{opens} {delivers}: {listed:?}"
        );
    }
}

#[tokio::test]
async fn a_case_that_the_desk_lost_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let stores = Stores::open(folder.path(), &Faults::default()).expect("they open");
    open(&stores, EARLIER).await;
    for effect in stores.journal.effects(DESK).await.expect("they are read") {
        stores.journal.confirm(&[effect.wish.key]).await.expect("it is confirmed");
    }
    assert!(matches!(cases(&stores).await, Err(QueryError::NotAtTheDesk(EARLIER))));
}

#[async_trait]
impl CaseDesk for Meanwhile {
    async fn put(&self, case: CaseId, opened: Timestamp, state: CaseState) -> Result<(), DeskError> {
        self.stores.desk.put(case, opened, state).await
    }

    async fn add_comment(&self, case: CaseId, comment: NewComment, written: Timestamp) -> Result<(), DeskError> {
        self.stores.desk.add_comment(case, comment, written).await
    }

    async fn get(&self, case: CaseId) -> Result<Option<DeskCase>, DeskError> {
        self.look().await.desk.get(case).await
    }

    async fn list(&self) -> Result<Vec<DeskCase>, DeskError> {
        self.look().await.desk.list().await
    }

    async fn comments(&self, case: CaseId) -> Result<Vec<Comment>, DeskError> {
        self.look().await.desk.comments(case).await
    }
}

#[async_trait]
impl Journal for Meanwhile {
    async fn append(&self, append: Append) -> Result<u64, JournalError> {
        self.stores.journal.append(append).await
    }

    async fn read(&self, stream: &Stream, after: u64) -> Result<Vec<Row>, JournalError> {
        self.look().await.journal.read(stream, after).await
    }

    async fn since(&self, place: u64, most: usize) -> Result<Vec<PlacedRow>, JournalError> {
        self.look().await.journal.since(place, most).await
    }

    async fn end(&self) -> Result<u64, JournalError> {
        self.look().await.journal.end().await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Stream>, JournalError> {
        self.look().await.journal.streams(prefix).await
    }

    async fn claim(
        &self,
        queue: Queue,
        owner: &str,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Lease>, JournalError> {
        self.stores.journal.claim(queue, owner, ttl, now).await
    }

    async fn release(&self, lease: &Lease, not_before: Option<Timestamp>) -> Result<(), JournalError> {
        self.stores.journal.release(lease, not_before).await
    }

    async fn release_all(&self, owner: &str) -> Result<(), JournalError> {
        self.stores.journal.release_all(owner).await
    }

    async fn effects(&self, target: &str) -> Result<Vec<Effect>, JournalError> {
        self.look().await.journal.effects(target).await
    }

    async fn mark_sent(&self, keys: &[String]) -> Result<(), JournalError> {
        self.stores.journal.mark_sent(keys).await
    }

    async fn confirm(&self, keys: &[String]) -> Result<(), JournalError> {
        self.stores.journal.confirm(keys).await
    }

    async fn blob(&self, hash: &str) -> Result<Option<Vec<u8>>, JournalError> {
        self.look().await.journal.blob(hash).await
    }

    async fn cursors(&self, prefix: &str) -> Result<Vec<Cursor>, JournalError> {
        self.look().await.journal.cursors(prefix).await
    }

    async fn set_cursor(&self, cursor: Cursor) -> Result<(), JournalError> {
        self.stores.journal.set_cursor(cursor).await
    }

    async fn pending(&self) -> Result<Pending, JournalError> {
        self.look().await.journal.pending().await
    }

    async fn check(&self) -> Result<CheckReport, JournalError> {
        self.look().await.journal.check().await
    }
}
