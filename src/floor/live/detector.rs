//! The detector: the one place where live events pass the rules and get on record.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::detection::read::EventLog;
use crate::detection::sigma::RuleSet;
use crate::domain::alert::Alert;
use crate::domain::event::Event;
use crate::floor::import::{ImportError, Imported, import};
use crate::floor::ingest::{IngestError, ingest};
use crate::floor::shared::Shared;

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Events in it.
    pub events: u64,
    /// Events that were stored already.
    pub known: u64,
    /// Alerts raised, known ones among them.
    pub alerts: u64,
}

/// See the module.
pub struct Detector {
    shared: Arc<Shared>,
    rules: Arc<RuleSet>,
    /// One batch a core at a time: more would only take memory from one another.
    lanes: Semaphore,
}

impl Detector {
    /// A detector with these rules for this floor.
    #[must_use]
    pub fn new(shared: Arc<Shared>, rules: Arc<RuleSet>) -> Self {
        let lanes = Semaphore::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
        Self { shared, rules, lanes }
    }

    /// What the floor shares.
    #[must_use]
    pub const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Takes events in: when it returns, they and the alerts on them are on record. The same events may be given
    /// again, which changes nothing.
    ///
    /// # Errors
    /// When a store refuses, or the process is ending.
    pub async fn take(&self, events: Vec<Event>) -> Result<Taken, IngestError> {
        // The semaphore is never closed; were it, the process would be ending.
        let _lane = self.lanes.acquire().await.map_err(|_| IngestError::Ending)?;
        let rules = self.rules.clone();
        let detected = tokio::task::spawn_blocking(move || {
            let alerts: Vec<Alert> = events.iter().flat_map(|event| detect(&rules, event)).collect();
            (events, alerts)
        });
        let (events, alerts) = detected.await.map_err(|_| IngestError::Ending)?;
        let (count, raised) = (events.len() as u64, alerts.len() as u64);
        let stored = ingest(&self.shared, events, alerts).await?;
        Ok(Taken { events: count, known: stored.known, alerts: raised })
    }

    /// Takes in a file that does not grow.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub async fn import(&self, log: EventLog, path: &Path) -> Result<Imported, ImportError> {
        import(&self.shared, log, path, self.rules.clone()).await
    }
}

/// The alerts on an event. A rule that breaks on one event must not keep all later ones out: the event is stored
/// without alerts, and the log says which one it is.
fn detect(rules: &RuleSet, event: &Event) -> Vec<Alert> {
    // Rules are only read, so that nothing half done can be seen afterwards.
    catch_unwind(AssertUnwindSafe(|| rules.detect(event))).unwrap_or_else(|_| {
        tracing::error!(event = %event.id, "a rule broke on this event: it is stored, and no rule judged it");
        Vec::new()
    })
}
