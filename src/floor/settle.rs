//! Settling: the sources have delivered what they have, so what detection held back until then is decided.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::ingest::{IngestError, ingest};
use super::shared::Shared;
use crate::detection::sigma::Detector;
use crate::domain::entity::HostName;
use crate::domain::event::SYSMON;
use crate::domain::ids::AlertId;
use crate::ports::events::Kind;

/// Decides what detection held back, and records the alerts that come of it. Returns their ids. Whether a host sent a
/// Sysmon 1 is looked up in the store too, which may know of earlier imports.
///
/// # Errors
/// When the event store or the journal refuses.
pub async fn settle(shared: &Shared, detector: &mut Detector) -> Result<BTreeSet<AlertId>, IngestError> {
    let kind = Kind { channel: Some(SYSMON.to_owned()), code: 1 };
    let watermark = shared.events.watermark().await?;
    // The store answers for a day on each side; what lies within the same hour is asked once.
    let mut asked: BTreeMap<(HostName, i64), (Timestamp, Timestamp)> = BTreeMap::new();
    for (host, time) in detector.standing_in() {
        let hour = time.as_second().div_euclid(60 * 60);
        let (first, last) = asked.entry((host.clone(), hour)).or_insert((time, time));
        (*first, *last) = ((*first).min(time), (*last).max(time));
    }
    for ((host, _), (first, last)) in asked {
        let seen = shared.events.sensor(&host, &kind, first, last, watermark).await?;
        let around: Vec<Timestamp> = seen.last_before.into_iter().chain(seen.first_after).collect();
        let within = (seen.count > 0 && around.is_empty()).then_some(first);
        around.into_iter().chain(within).for_each(|time| detector.sysmon_seen(&host, time));
    }
    let alerts = detector.settle();
    let ids = alerts.iter().map(|alert| alert.id.clone()).collect();
    ingest(shared, Vec::new(), alerts).await?;
    Ok(ids)
}
