//! The detector of a floor that keeps running: the one place where live events pass the rules and get on record.
//!
//! Single events are looked at on several threads; what looks at several events together
//! ([`sigma::Detector`]) is shared by all sources and settles about once a second ([`Detector::settle`]), since live
//! sources never say that they are done. It begins with what the store holds of the time that correlations look back
//! ([`Detector::recall`]), so that a restart forgets nothing.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::detection::look::look;
use crate::detection::read::EventLog;
use crate::detection::sigma::{self, Match, RuleSet, Sight};
use crate::domain::alert::Alert;
use crate::domain::event::Event;
use crate::floor::held_back::Doubts;
use crate::floor::import::{ImportError, Imported, import};
use crate::floor::ingest::{IngestError, ingest};
use crate::floor::shared::Shared;
use crate::ports::events::{EventQuery, EventRow};

/// Events that are recalled at a time.
const RECALLED_AT_A_TIME: usize = 5_000;

/// Most events that are recalled: some seconds of work. Correlations over more than that begin anew.
const MOST_RECALLED: usize = 100_000;

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
    memory: Mutex<Memory>,
    /// One batch a core at a time: more would only take memory from one another.
    lanes: Semaphore,
}

struct Memory {
    detector: sigma::Detector,
    /// Something was seen since it last settled.
    stirred: bool,
    /// Alerts that are certain and not yet on record.
    unrecorded: Vec<Alert>,
}

impl Detector {
    /// A detector with these rules for this floor.
    #[must_use]
    pub fn new(shared: Arc<Shared>, rules: Arc<RuleSet>) -> Self {
        let lanes = Semaphore::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
        let detector = sigma::Detector::new(rules);
        Self { shared, memory: Mutex::new(Memory { detector, stirred: false, unrecorded: Vec::new() }), lanes }
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
        let (events, alerts) = self.detect(events).await?;
        let (count, raised) = (events.len() as u64, alerts.len() as u64);
        let rows = events.into_iter().map(EventRow::from).collect();
        let stored = ingest(&self.shared, rows, alerts).await?;
        Ok(Taken { events: count, known: stored.known, alerts: raised })
    }

    /// Takes in a file that does not grow.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub async fn import(&self, log: EventLog, path: &Path) -> Result<Imported, ImportError> {
        // It has a memory of its own: what belongs together in it lies in it, in order.
        let mut detector = sigma::Detector::new(self.rules());
        let mut imported = import(&self.shared, log, path, &mut detector).await?;
        imported.alerts.extend(crate::floor::held_back::settle(&self.shared, &mut detector).await?);
        Ok(imported)
    }

    /// Decides what was held back and what several events amount to, and records the alerts that come of it. Does
    /// nothing if nothing was seen since. Returns how many alerts there were.
    ///
    /// # Errors
    /// When a store refuses; the alerts are kept and recorded by the next call.
    pub async fn settle(&self) -> Result<usize, IngestError> {
        let doubts = {
            let mut memory = self.memory();
            if !memory.stirred && memory.unrecorded.is_empty() {
                return Ok(0);
            }
            memory.stirred = false;
            Doubts::of(&memory.detector)
        };
        let sent = match doubts.ask(&self.shared).await {
            Ok(sent) => sent,
            Err(error) => {
                self.memory().stirred = true;
                return Err(error.into());
            }
        };
        let alerts = {
            let Memory { detector, unrecorded, .. } = &mut *self.memory();
            sent.iter().for_each(|(host, time)| detector.sysmon_seen(host, *time));
            unrecorded.extend(detector.settle());
            unrecorded.clone()
        };
        ingest(&self.shared, Vec::new(), alerts.clone()).await?;
        self.memory().unrecorded.retain(|kept| !alerts.iter().any(|alert| alert.id == kept.id));
        Ok(alerts.len())
    }

    /// Goes on with other rules; what correlations have seen is recalled for them.
    ///
    /// # Errors
    /// When the store refuses. The rules are in use all the same.
    pub async fn change_rules(&self, rules: Arc<RuleSet>) -> Result<(), IngestError> {
        {
            let Memory { detector, unrecorded, .. } = &mut *self.memory();
            unrecorded.extend(detector.change_rules(rules));
        }
        self.recall().await
    }

    /// Shows the memory what the store holds of the time that its correlations look back.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn recall(&self) -> Result<(), IngestError> {
        let Some(span) = self.memory().detector.correlations_look_back() else { return Ok(()) };
        let watermark = self.shared.events.watermark().await?;
        let to = self.shared.clock.now();
        let mut from = to.saturating_sub(span).unwrap_or(to);
        let mut recalled = 0;
        while recalled < MOST_RECALLED {
            let query = EventQuery { limit: RECALLED_AT_A_TIME, ..EventQuery::within(from, to, watermark) };
            let rows = self.shared.events.search(&query).await?.rows;
            let (count, last) = (rows.len(), rows.last().map(|event| event.time));
            recalled += count;
            // The alerts of single events are on record already.
            self.detect(rows).await?;
            match last {
                // The next page begins with the last instant again: what is seen twice counts once.
                Some(last) if count == RECALLED_AT_A_TIME && last > from => from = last,
                _ => return Ok(()),
            }
        }
        tracing::warn!(recalled, "correlations go on with a part of what they had seen: there was too much to recall");
        Ok(())
    }

    /// Looks at events with the rules, and at what they amount to together.
    async fn detect(&self, mut events: Vec<Event>) -> Result<(Vec<Event>, Vec<Alert>), IngestError> {
        loop {
            let rules = self.rules();
            let used = rules.clone();
            let looked = tokio::task::spawn_blocking(move || {
                let sights: Vec<Sight> = events.iter().map(|event| Sight::of(event, find(&rules, event))).collect();
                (events, sights)
            });
            let (looked_at, sights) = looked.await.map_err(|_| IngestError::Ending)?;
            events = looked_at;
            let memory = &mut *self.memory();
            // Rules that were changed meanwhile look again: their matches mean something to their memory alone.
            if Arc::ptr_eq(memory.detector.rules(), &used) {
                memory.stirred = true;
                let alerts = sights.into_iter().flat_map(|sight| memory.detector.see(sight)).collect();
                return Ok((events, alerts));
            }
        }
    }

    fn rules(&self) -> Arc<RuleSet> {
        self.memory().detector.rules().clone()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // A panic while it was held left at worst a hit uncounted.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What rules find in an event. One that breaks them must not keep all later ones out: it is stored, and the log says
/// which one it is.
fn find(rules: &RuleSet, event: &Event) -> Vec<Match> {
    look(rules, event).unwrap_or_else(|broke| {
        tracing::error!(event = %event.id, "{broke}");
        Vec::new()
    })
}
