//! Storing beside the work on what comes next: events are gathered until storing them together pays, and are on their
//! way to the disk while others are read. When nothing comes, what waits is stored at once: the reader may be waiting
//! for the room it takes.

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::Watch;
use crate::domain::alert::Alert;
use crate::floor::ingest::{IngestError, ingest};
use crate::floor::shared::Shared;
use crate::ports::events::{EventQuery, EventRow, Watermark};

/// Events that are stored together. An index of what events mention is touched all over by each of them, and a page
/// that many of them touch is written once a commit. So many take about ten megabytes.
const TOGETHER: usize = 4_000;

/// Events that were stored already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Before the log they are in began.
    pub(super) earlier: u64,
    /// Since: the log says the same twice.
    pub(super) repeated: u64,
}

impl AddAssign for Known {
    fn add_assign(&mut self, other: Self) {
        self.earlier += other.earlier;
        self.repeated += other.repeated;
    }
}

/// What waits to be stored, and what is being stored.
pub(super) struct Storing<'a> {
    shared: &'a Arc<Shared>,
    watch: &'a Watch,
    events: Vec<EventRow>,
    alerts: Vec<Alert>,
    rooms: Vec<OwnedSemaphorePermit>,
    /// Bytes of the logs up to what waits.
    read: u64,
    /// What had arrived when the log began.
    before: Watermark,
    under_way: Option<JoinHandle<Result<Known, IngestError>>>,
}

impl<'a> Storing<'a> {
    /// Nothing to store yet.
    pub(super) const fn new(shared: &'a Arc<Shared>, watch: &'a Watch) -> Self {
        Self {
            shared,
            watch,
            events: Vec::new(),
            alerts: Vec::new(),
            rooms: Vec::new(),
            read: 0,
            before: Watermark(0),
            under_way: None,
        }
    }

    /// A log begins, and what the ones before it gave is stored. Returns as [`Self::take`].
    ///
    /// # Errors
    /// When a store refuses.
    pub(super) async fn begin_log(&mut self) -> Result<Known, IngestError> {
        let known = self.finish().await?;
        self.before = self.shared.events.watermark().await?;
        Ok(known)
    }

    /// Takes what a piece gave. `room` is given back once it is stored. Returns how many events were found stored
    /// already, of those that were taken earlier.
    ///
    /// # Errors
    /// When a store refuses.
    pub(super) async fn take(
        &mut self,
        events: Vec<EventRow>,
        alerts: Vec<Alert>,
        room: OwnedSemaphorePermit,
        read: u64,
    ) -> Result<Known, IngestError> {
        self.events.extend(events);
        self.alerts.extend(alerts);
        self.rooms.push(room);
        self.read = read;
        if self.events.len() < TOGETHER { Ok(Known::default()) } else { self.hand_over().await }
    }

    /// Nothing waits to be stored.
    pub(super) const fn has_none_waiting(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Stores what waits, and waits until it is. Returns as [`Self::take`].
    ///
    /// # Errors
    /// When a store refuses.
    pub(super) async fn finish(&mut self) -> Result<Known, IngestError> {
        let mut known = self.hand_over().await?;
        known += self.hand_over().await?;
        Ok(known)
    }

    /// Waits for what is being stored, and begins with what waits. May be dropped at any time: nothing is lost by it.
    /// Returns as [`Self::take`].
    ///
    /// # Errors
    /// When a store refuses.
    pub(super) async fn hand_over(&mut self) -> Result<Known, IngestError> {
        let mut known = Known::default();
        if let Some(storing) = &mut self.under_way {
            let outcome = storing.await;
            self.under_way = None;
            known = outcome.map_err(|_| IngestError::Ending)??;
        }
        let (events, alerts) = (std::mem::take(&mut self.events), std::mem::take(&mut self.alerts));
        let rooms = std::mem::take(&mut self.rooms);
        let (count, read) = (events.len() as u64, self.read);
        self.watch.bytes.store(read, Ordering::Relaxed);
        if count > 0 {
            let (shared, before) = (self.shared.clone(), self.before);
            self.under_way = Some(tokio::spawn(async move {
                let _rooms = rooms;
                store(&shared, events, alerts, before).await
            }));
            self.watch.events.fetch_add(count, Ordering::Relaxed);
        }
        Ok(known)
    }
}

/// Stores events and tells which of the known ones were known before.
async fn store(
    shared: &Shared,
    events: Vec<EventRow>,
    alerts: Vec<Alert>,
    before: Watermark,
) -> Result<Known, IngestError> {
    let ids = events.iter().map(|event| event.id.clone()).collect();
    let known = ingest(shared, events, alerts).await?.known;
    if known == 0 {
        return Ok(Known::default());
    }
    let all_time = EventQuery::within(Timestamp::MIN, Timestamp::MAX, before);
    let earlier = shared.events.search(&EventQuery { among: Some(ids), limit: 0, ..all_time }).await?.total;
    Ok(Known { earlier, repeated: known.saturating_sub(earlier) })
}
