//! Import: a log file's records become stored events, and what the rules see in them becomes alerts.
//!
//! Importing a file again changes nothing, so an import that was cut short is simply repeated. A detector goes along
//! from file to file, so that correlations see all of them; `settle` ends the import.

use std::collections::BTreeSet;
use std::path::Path;

use tokio::sync::mpsc;

use super::ingest::{IngestError, ingest};
use super::shared::Shared;
use crate::detection::damage::Damage;
use crate::detection::read::{EventLog, ReadError};
use crate::detection::sigma::Detector;
use crate::domain::alert::Alert;
use crate::domain::event::Event;
use crate::domain::ids::AlertId;

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
