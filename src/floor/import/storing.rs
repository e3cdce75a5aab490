//! Storing beside the work on what comes next: events are gathered until storing them together pays, and are on their
//! way to the disk while others are read. When nothing comes, what waits is stored at once: the reader may be waiting
//! for the room it takes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::Watch;
use crate::domain::alert::Alert;
use crate::floor::ingest::{IngestError, ingest};
use crate::floor::shared::Shared;
use crate::ports::events::{EventRow, Stored};

/// Events that are stored together. An index of what events mention is touched all over by each of them, and a page
/// that many of them touch is written once a commit. So many take about ten megabytes.
const TOGETHER: usize = 4_000;

/// What waits to be stored, and what is being stored.
pub(super) struct Storing<'a> {
    shared: &'a Arc<Shared>,
    watch: &'a Watch,
    events: Vec<EventRow>,
    alerts: Vec<Alert>,
    rooms: Vec<OwnedSemaphorePermit>,
    /// Bytes of the logs up to what waits.
    read: u64,
    under_way: Option<JoinHandle<Result<Stored, IngestError>>>,
}

impl<'a> Storing<'a> {
    /// Nothing to store yet.
    pub(super) const fn new(shared: &'a Arc<Shared>, watch: &'a Watch) -> Self {
        Self { shared, watch, events: Vec::new(), alerts: Vec::new(), rooms: Vec::new(), read: 0, under_way: None }
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
    ) -> Result<u64, IngestError> {
        self.events.extend(events);
        self.alerts.extend(alerts);
        self.rooms.push(room);
        self.read = read;
        if self.events.len() < TOGETHER { Ok(0) } else { self.hand_over().await }
    }

    /// Nothing waits to be stored.
    pub(super) const fn has_none_waiting(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Stores what waits, and waits until it is. Returns as [`Self::take`].
    ///
    /// # Errors
    /// When a store refuses.
    pub(super) async fn finish(&mut self) -> Result<u64, IngestError> {
        Ok(self.hand_over().await? + self.hand_over().await?)
    }

    /// Waits for what is being stored, and begins with what waits. May be dropped at any time: nothing is lost by it.
    /// Returns as [`Self::take`].
    ///
    /// # Errors
    /// When a store refuses.
    pub(super) async fn hand_over(&mut self) -> Result<u64, IngestError> {
        let mut known = 0;
        if let Some(storing) = &mut self.under_way {
            let outcome = storing.await;
            self.under_way = None;
            known = outcome.map_err(|_| IngestError::Ending)??.known;
        }
        let (events, alerts) = (std::mem::take(&mut self.events), std::mem::take(&mut self.alerts));
        let rooms = std::mem::take(&mut self.rooms);
        let (count, read) = (events.len() as u64, self.read);
        self.watch.bytes.store(read, Ordering::Relaxed);
        if count > 0 {
            let shared = self.shared.clone();
            self.under_way = Some(tokio::spawn(async move {
                let stored = ingest(&shared, events, alerts).await;
                drop(rooms);
                stored
            }));
            self.watch.events.fetch_add(count, Ordering::Relaxed);
        }
        Ok(known)
    }
}
