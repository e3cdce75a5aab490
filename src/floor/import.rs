//! Import: a log file's records become stored events, and what the rules see in them becomes alerts.
//!
//! Importing a file again changes nothing, so an import that was cut short is simply repeated. A detector goes along
//! from file to file, so that correlations see all of them; [`settle`] ends the import.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::ingest::{IngestError, ingest};
use super::shared::Shared;
use crate::detection::damage::Damage;
use crate::detection::read::{EventLog, ReadError};
use crate::detection::sigma::Detector;
use crate::domain::alert::Alert;
use crate::domain::entity::HostName;
use crate::domain::event::{Event, SYSMON};
use crate::domain::ids::AlertId;
use crate::ports::events::Kind;

/// Events that are stored together.
const BATCH: usize = 500;

/// Batches that may wait to be stored: reading stops until there is room.
const WAITING: usize = 4;

/// What an import did.
#[derive(Debug, Default)]
pub struct Imported {
    /// Events read.
    pub events: u64,
    /// Events that were stored already.
    pub known: u64,
    /// Alerts raised, known ones among them.
    pub alerts: BTreeSet<AlertId>,
    /// What was wrong with the file.
    pub damage: Damage,
}

/// Why an import ended early. What was stored until then stays.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is no log.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A batch was not taken.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The reader broke.
    #[error(
        "{0}: reading broke off in a fault of watchfloor itself; run it with WATCHFLOOR_LOG=debug and report what it says"
    )]
    Broke(String),
}

/// Reads a log to its end.
///
/// # Errors
/// See [`ImportError`].
pub async fn import(
    shared: &Shared,
    log: EventLog,
    path: &Path,
    detector: &mut Detector,
) -> Result<Imported, ImportError> {
    let (batches, mut waiting) = mpsc::channel::<(Vec<Event>, Vec<Alert>)>(WAITING);
    // The detector is lent to the reading thread and comes back with what it has seen.
    let mut lent = std::mem::replace(detector, Detector::new(detector.rules().clone()));
    let reading = tokio::task::spawn_blocking(move || (read(log, &mut lent, &batches), lent));
    let mut imported = Imported::default();
    while let Some((events, alerts)) = waiting.recv().await {
        imported.events += events.len() as u64;
        imported.alerts.extend(alerts.iter().map(|alert| alert.id.clone()));
        imported.known += ingest(shared, events, alerts).await?.known;
    }
    (imported.damage, *detector) = reading.await.map_err(|_| ImportError::Broke(path.display().to_string()))?;
    Ok(imported)
}

/// Ends an import: decides what detection held back until all files were read, and records the alerts that come of it.
/// Returns their ids. Whether a host sent a Sysmon 1 is looked up in the store too, which may know of earlier imports.
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

/// Reads and detects on a thread of its own, as fast as batches are stored.
fn read(mut log: EventLog, detector: &mut Detector, batches: &mpsc::Sender<(Vec<Event>, Vec<Alert>)>) -> Damage {
    let (mut events, mut alerts) = (Vec::with_capacity(BATCH), Vec::new());
    for event in &mut log {
        alerts.extend(detector.detect(&event));
        events.push(event);
        if events.len() == BATCH {
            let batch = (std::mem::take(&mut events), std::mem::take(&mut alerts));
            if batches.blocking_send(batch).is_err() {
                return log.damage().clone();
            }
        }
    }
    if !events.is_empty() {
        // The receiver only goes away when storing failed, which the import reports.
        let _ = batches.blocking_send((events, alerts));
    }
    log.damage().clone()
}
