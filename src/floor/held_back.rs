//! What detection held back until the sources had delivered: what the store has to say to it, and the alerts that come
//! of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::ingest::{IngestError, ingest};
use super::shared::Shared;
use crate::detection::sigma::Detector;
use crate::domain::entity::HostName;
use crate::domain::event::SYSMON;
use crate::domain::ids::AlertId;
use crate::ports::events::Kind;
use crate::ports::storage::StorageError;

/// Where and when a process creation stands in for a Sysmon event that was not seen, by host and hour.
#[derive(Debug, Default)]
pub struct Doubts(BTreeMap<(HostName, i64), (Timestamp, Timestamp)>);

impl Doubts {
    /// What a detector does not know.
    #[must_use]
    pub fn of(detector: &Detector) -> Self {
        // The store answers for a day on each side; what lies within the same hour is asked once.
        let mut doubts = Self::default();
        for (host, time) in detector.standing_in() {
            let hour = time.as_second().div_euclid(60 * 60);
            let (first, last) = doubts.0.entry((host.clone(), hour)).or_insert((time, time));
            (*first, *last) = ((*first).min(time), (*last).max(time));
        }
        doubts
    }

    /// When the hosts in question sent a Sysmon 1, as far as the store knows: it may know of earlier imports.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn ask(self, shared: &Shared) -> Result<Vec<(HostName, Timestamp)>, StorageError> {
        let mut sent = Vec::new();
        if self.0.is_empty() {
            return Ok(sent);
        }
        let kind = Kind { channel: Some(SYSMON.to_owned()), code: 1 };
        let watermark = shared.events.watermark().await?;
        for ((host, _), (first, last)) in self.0 {
            let seen = shared.events.sensor(&host, &kind, first, last, watermark).await?;
            let around: Vec<Timestamp> = seen.last_before.into_iter().chain(seen.first_after).collect();
            let within = (seen.count > 0 && around.is_empty()).then_some(first);
            sent.extend(around.into_iter().chain(within).map(|time| (host.clone(), time)));
        }
        Ok(sent)
    }
}

/// Decides what detection held back and records the alerts that come of it. Returns their ids.
///
/// # Errors
/// When the event store or the journal refuses.
pub async fn settle(shared: &Shared, detector: &mut Detector) -> Result<BTreeSet<AlertId>, IngestError> {
    for (host, time) in Doubts::of(detector).ask(shared).await? {
        detector.sysmon_seen(&host, time);
    }
    let alerts = detector.settle();
    let ids = alerts.iter().map(|alert| alert.id.clone()).collect();
    ingest(shared, Vec::new(), alerts).await?;
    Ok(ids)
}
