//! What the actors of one floor share: the journal, the stores, the time, and how they reach one another.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ractor::{ActorRef, Message};

use super::faults::Faults;
use super::messages::{CaseWriterMessage, DeskMessage, GatekeeperMessage, IntakeMessage, Role};
use crate::analyst::driver::Driver;
use crate::journal::alert_log::AlertLog;
use crate::ports::clock::Clock;
use crate::ports::desk::CaseDesk;
use crate::ports::events::EventStore;
use crate::ports::journal::{Journal, JournalError};
use crate::ports::storage::StorageError;

/// How often an actor looks for work that no message told it of.
pub const TICK: Duration = Duration::from_millis(200);

/// See the module.
pub struct Shared {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// The alerts.
    pub alerts: Arc<AlertLog>,
    /// The events.
    pub events: Arc<dyn EventStore>,
    /// The case desk. Only the case writer writes to it.
    pub desk: Arc<dyn CaseDesk>,
    /// What investigations share.
    pub driver: Driver,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Faults on purpose.
    pub faults: Faults,
    /// Tells this floor's actors from those of another floor in the same process: names are global to it.
    pub name: String,
    grouped: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl Shared {
    /// What a floor's actors will share.
    #[must_use]
    pub fn new(driver: Driver, desk: Arc<dyn CaseDesk>, faults: Faults, name: String) -> Self {
        Self {
            journal: driver.journal.clone(),
            alerts: driver.alerts.clone(),
            events: driver.events.clone(),
            clock: driver.clock.clone(),
            driver,
            desk,
            faults,
            name,
            grouped: AtomicU64::new(0),
            trouble: Mutex::default(),
        }
    }

    /// An actor's name in the process.
    #[must_use]
    pub fn actor(&self, role: Role) -> String {
        format!("{}/{}", self.name, role.name())
    }

    /// Tells intake that alerts arrived.
    pub fn alerts_arrived(&self) {
        self.hint(Role::Intake, IntakeMessage::AlertsArrived);
    }

    /// Tells a tier's desk that a case waits.
    pub fn case_runnable(&self, tier: Role) {
        self.hint(tier, DeskMessage::CaseRunnable);
    }

    /// Tells the gatekeeper that a proposal waits.
    pub fn proposal_filed(&self) {
        self.hint(Role::Gatekeeper, GatekeeperMessage::ProposalFiled);
    }

    /// Tells the case writer that the outbox has something.
    pub fn entry_ready(&self) {
        self.hint(Role::CaseWriter, CaseWriterMessage::EntryReady);
    }

    /// Sends a hint. An actor that is being restarted misses it and finds its work on its own.
    fn hint<M: Message>(&self, to: Role, message: M) {
        if self.faults.loses_message() {
            return;
        }
        if let Some(actor) = ractor::registry::where_is(self.actor(to)) {
            let _ = ActorRef::<M>::from(actor).cast(message);
        }
    }

    /// Intake has grouped the alerts up to this number of their stream.
    pub fn set_grouped(&self, number: u64) {
        self.grouped.store(number, Ordering::Release);
    }

    /// How far intake has come in the stream of alerts.
    #[must_use]
    pub fn grouped(&self) -> u64 {
        self.grouped.load(Ordering::Acquire)
    }

    /// Notes an error that only a person can mend. The first one is kept; nothing recorded is lost by it.
    pub fn report(&self, error: &dyn Display) {
        tracing::error!(%error, "the floor cannot go on with this");
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.get_or_insert_with(|| error.to_string());
    }

    /// The error that a person has to mend, if there is one.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reports a journal's error unless it is only somebody else's being faster.
    pub fn report_journal(&self, error: &JournalError) {
        match error {
            JournalError::Conflict { .. } | JournalError::Fenced { .. } => tracing::debug!(%error, "overtaken"),
            JournalError::Storage(error) => self.report_storage(error),
        }
    }

    /// Reports a store's error.
    pub fn report_storage(&self, error: &StorageError) {
        self.report(error);
    }
}
