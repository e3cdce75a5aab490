//! Whether the floor is alive and ready, for whoever watches over it, and what keeps it from working.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::source::{Source, Standing};
use crate::domain::loss::Loss;
use crate::floor::shared::Shared;
use crate::ports::journal::Cursor;

/// For so long an answer about the journal serves: asking writes a row.
const FRESH: Duration = Duration::from_secs(1);

/// For so long after the actors met trouble the floor is not ready. They try again five times a second, so that
/// trouble that lasts is reported anew long before.
const TROUBLED: Duration = Duration::from_secs(3);

/// Losses that are told.
const MOST_LOSSES: usize = 20;

/// The cursor that is written to see whether the journal can be written.
const PROBE: &str = "health/probe";

/// What is watched.
pub struct Health {
    shared: Arc<Shared>,
    sources: Vec<Arc<Source>>,
    is_stopping: AtomicBool,
    journal: Mutex<Option<(Instant, bool)>>,
    trouble: Mutex<Option<(Instant, String)>>,
}

/// How the floor stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// It takes in what its sources deliver, and works on it.
    pub ready: bool,
    /// It is being stopped.
    pub stopping: bool,
    /// The journal can be written.
    pub journal_writable: bool,
    /// No actor has met trouble just now that only a person can mend.
    pub at_work: bool,
    /// The sources.
    pub sources: Vec<Standing>,
    /// What sources lost of late, the newest first: no machine closes a case that it may concern.
    pub losses: Vec<Loss>,
}

impl Health {
    /// The health of a floor with these sources.
    #[must_use]
    pub fn new(shared: Arc<Shared>, sources: Vec<Arc<Source>>) -> Self {
        Self {
            shared,
            sources,
            is_stopping: AtomicBool::new(false),
            journal: Mutex::default(),
            trouble: Mutex::default(),
        }
    }

    /// The floor is being stopped: nothing is taken in any more.
    pub fn begin_stopping(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
    }

    /// The floor is being stopped.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    /// Takes over the trouble that actors reported since it was asked last. Gives it when it is another than before,
    /// or comes again after it was over.
    pub fn new_trouble(&self) -> Option<String> {
        let trouble = self.shared.take_trouble()?;
        let mut kept = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = kept.as_ref().is_some_and(|(at, known)| *known == trouble && at.elapsed() < TROUBLED);
        *kept = Some((Instant::now(), trouble.clone()));
        (!is_known).then_some(trouble)
    }

    /// How the sources stand.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        let now = self.shared.clock.now();
        self.sources.iter().map(|source| source.standing(now)).collect()
    }

    /// How the floor stands.
    pub async fn report(&self) -> Report {
        let journal_writable = self.is_journal_writable().await;
        let sources = self.standings();
        let troubled = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let at_work = self.shared.trouble().is_none() && troubled.is_none_or(|(at, _)| at.elapsed() >= TROUBLED);
        let stopping = self.is_stopping();
        let ready = journal_writable && at_work && !stopping && sources.iter().all(|source| source.up);
        let losses = self.shared.alerts.losses().into_iter().rev().take(MOST_LOSSES).collect();
        Report { ready, stopping, journal_writable, at_work, sources, losses }
    }

    async fn is_journal_writable(&self) -> bool {
        let known = *self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, is_writable)) = known
            && at.elapsed() < FRESH
        {
            return is_writable;
        }
        let body = format!("\"{}\"", self.shared.clock.now());
        let written = self.shared.journal.set_cursor(Cursor { name: PROBE.into(), body }).await;
        let is_writable = written.is_ok();
        *self.journal.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), is_writable));
        is_writable
    }
}
