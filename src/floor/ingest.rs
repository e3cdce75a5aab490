//! Ingest: the one way by which events and the alerts on them get in, whatever source they come from.
//!
//! Events are committed before the alerts that point at them, and alerts are on record before intake hears of them.

use super::shared::Shared;
use crate::domain::alert::Alert;
use crate::ports::events::{EventRow, Stored};
use crate::ports::journal::JournalError;
use crate::ports::storage::StorageError;

/// Why a batch was not taken. What was stored before stays; the same batch may be given again.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The event store refused.
    #[error(transparent)]
    Events(#[from] StorageError),
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The process is ending.
    #[error("the floor is ending: send it again once it runs")]
    Ending,
}

/// Takes a batch: when it returns, events and alerts are on record. A batch that is given again changes nothing.
///
/// # Errors
/// When the event store or the journal refuses.
pub async fn ingest(shared: &Shared, events: Vec<EventRow>, alerts: Vec<Alert>) -> Result<Stored, IngestError> {
    let stored = shared.events.insert(events).await?;
    shared.note_delivery();
    if !alerts.is_empty() {
        shared.alerts.receive(alerts, shared.clock.now()).await?;
        shared.alerts_arrived();
    }
    Ok(stored)
}

/// Tells intake that all sources have delivered: cases may be judged on what arrived.
///
/// # Errors
/// When a store refuses.
pub async fn caught_up(shared: &Shared) -> Result<(), IngestError> {
    let watermark = shared.events.watermark().await?;
    shared.alerts.caught_up(watermark, shared.clock.now()).await?;
    shared.alerts_arrived();
    Ok(())
}
