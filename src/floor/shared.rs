//! What the actors of one floor share: the journal, the stores, the time, and how they reach one another.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ractor::{ActorRef, Message};
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::faults::Faults;
use super::gatekeeper::Hands;
use super::messages::{CaseWriterMessage, DeskMessage, GatekeeperMessage, IntakeMessage, Role};
use super::settling::Settle;
use crate::analyst::driver::Driver;
use crate::domain::containment::Policy;
use crate::domain::ids::CaseId;
use crate::journal::alert_log::AlertLog;
use crate::ports::clock::Clock;
use crate::ports::context::Context;
use crate::ports::desk::CaseDesk;
use crate::ports::edr::Devices;
use crate::ports::events::EventStore;
use crate::ports::journal::{Journal, JournalError};
use crate::ports::storage::StorageError;

/// How often an actor looks for work that no message told it of.
pub const TICK: Duration = Duration::from_millis(200);

/// Cases written of which a watcher may be behind before it misses some.
const WRITTEN: usize = 256;

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
    /// What people declared of their machines and accounts.
    pub context: Arc<Context>,
    /// The EDR's devices.
    pub devices: Arc<dyn Devices>,
    /// What acts on them. Only the gatekeeper can use it.
    pub hands: Hands,
    /// What investigations share.
    pub driver: Driver,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Faults on purpose.
    pub faults: Faults,
    /// Tells this floor's actors from those of another floor in the same process: names are global to it.
    pub name: String,
    grouped: AtomicU64,
    heard: AtomicU64,
    settling: AtomicUsize,
    trouble: Mutex<Option<String>>,
    settle: OnceLock<Settle>,
    containment: OnceLock<Policy>,
    delivered: Mutex<Option<Instant>>,
    written: broadcast::Sender<CaseId>,
}

impl Shared {
    /// What a floor's actors will share.
    #[must_use]
    pub fn new(
        driver: Driver,
        desk: Arc<dyn CaseDesk>,
        (devices, hands): (Arc<dyn Devices>, Hands),
        faults: Faults,
        name: String,
    ) -> Self {
        Self {
            journal: driver.journal.clone(),
            alerts: driver.alerts.clone(),
            events: driver.events.clone(),
            clock: driver.clock.clone(),
            context: Arc::default(),
            driver,
            desk,
            devices,
            hands,
            faults,
            name,
            grouped: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            settling: AtomicUsize::new(0),
            trouble: Mutex::default(),
            settle: OnceLock::new(),
            containment: OnceLock::new(),
            delivered: Mutex::default(),
            written: broadcast::Sender::new(WRITTEN),
        }
    }

    /// The same, with what people declared.
    #[must_use]
    pub fn with_context(self, context: Arc<Context>) -> Self {
        Self { context, ..self }
    }

    /// An actor's name in the process.
    #[must_use]
    pub fn actor(&self, role: Role) -> String {
        self.actor_named(role.name())
    }

    /// The name in the process of an actor that is called this on its floor.
    #[must_use]
    pub fn actor_named(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }

    /// From now on cases are judged once they have settled, instead of when the sources say that they are done.
    /// The first rule given counts.
    pub fn judge_once_settled(&self, rule: Settle) {
        let _ = self.settle.set(rule);
    }

    /// The rule by which cases settle, on a floor that keeps running.
    #[must_use]
    pub fn settle(&self) -> Option<Settle> {
        self.settle.get().copied()
    }

    /// The gatekeeper follows this policy, if it is said before the floor starts. Without it, it follows the one that
    /// the folder's floor had last. The first one said counts.
    pub fn contain_by(&self, policy: Policy) {
        let _ = self.containment.set(policy);
    }

    /// The policy that the gatekeeper was told to follow.
    #[must_use]
    pub fn containment(&self) -> Option<Policy> {
        self.containment.get().copied()
    }

    /// A source delivered events.
    pub fn note_delivery(&self) {
        *self.delivered.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// When a source delivered events last, in the life of this process.
    #[must_use]
    pub fn last_delivery(&self) -> Option<Instant> {
        *self.delivered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever watches that the desk shows a case anew.
    pub fn case_written(&self, case: CaseId) {
        // Nobody has to watch.
        let _ = self.written.send(case);
    }

    /// The cases that the desk shows anew from now on. A hint like all messages: one that is slow misses some.
    #[must_use]
    pub fn written_cases(&self) -> broadcast::Receiver<CaseId> {
        self.written.subscribe()
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

    /// Intake has carried out people's words up to this number of their stream.
    pub fn set_heard(&self, number: u64) {
        self.heard.store(number, Ordering::Release);
    }

    /// How far intake has come in the stream of people's words.
    #[must_use]
    pub fn heard(&self) -> u64 {
        self.heard.load(Ordering::Acquire)
    }

    /// So many cases wait until they have settled, on a floor that keeps running.
    pub fn set_settling(&self, cases: usize) {
        self.settling.store(cases, Ordering::Release);
    }

    /// How many cases wait until they have settled.
    #[must_use]
    pub fn settling(&self) -> usize {
        self.settling.load(Ordering::Acquire)
    }

    /// Notes an error that only a person can mend. The first one is kept; nothing recorded is lost by it.
    pub fn report(&self, error: &dyn Display) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        // Actors that try again meet the same trouble several times a second.
        trouble.get_or_insert_with(|| {
            tracing::error!(%error, "the floor cannot go on with this");
            error.to_string()
        });
    }

    /// The error that a person has to mend, if there is one.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As [`Self::trouble`], and forgets it: a floor that keeps running goes on once it is mended, and says when it
    /// is not.
    #[must_use]
    pub fn take_trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
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
