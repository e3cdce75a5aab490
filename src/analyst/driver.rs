//! The one driver: takes a case from its journal, lets an analyst move, and routes what it submits.
//!
//! It owns the steps, the budgets, the door, the checks and the route. Everything it learns it writes to the
//! case's stream before it acts on it, so that any process can take the case up where this one left it: the
//! recorded moves and answers are replayed, and the first step without an answer is taken again. When somebody
//! else appended to the stream meanwhile (a new alert, the gatekeeper's answer), the append is refused, the case
//! is read again, and the same attempt goes on; if the alerts changed, a new attempt begins and says why.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::Instrument;

use super::agent::Agent;
use super::conclusion::finish;
use super::investigation::Investigation;
use super::{Analyst, comments};
use crate::domain::alert::{Alert, Severity};
use crate::domain::case::{Hold, HoldCause, RecordedTransition, Status, Transition};
use crate::domain::ids::CaseId;
use crate::domain::route::{RoutePolicy, Tier};
use crate::journal::alert_log::AlertLog;
use crate::journal::case_log::Attempt;
use crate::journal::case_stream::{Batch, CaseStream};
use crate::journal::effects::comment;
use crate::journal::entry::{CaseEntry, Handover, Pins};
use crate::journal::run::RunError;
use crate::journal::{desired, root_span};
use crate::knowledge::canonical;
use crate::ports::clock::Clock;
use crate::ports::events::EventStore;
use crate::ports::journal::{Journal, JournalError, Lease, Queue, QueueChange};
use crate::ports::storage::StorageError;
use crate::telemetry::{ids, spans};
use crate::tools::door::{Door, DoorError};
use crate::tools::recorded;
use crate::tools::registry::Registry;

/// How the work on a case ended, as far as the desk is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The case left the queue.
    Finished,
    /// It waits for something and may be taken up again from then on.
    Parked {
        /// Not earlier.
        until: Timestamp,
    },
}

/// Why the driver could not go on. Nothing is lost: the case stays in its queue.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A store could not be read.
    #[error(transparent)]
    Store(#[from] StorageError),
}

/// A tier's agent and analyst, and the digest of all that shapes their work.
#[derive(Clone)]
pub struct Seat {
    pub(super) agent: Agent,
    pub(super) analyst: Arc<dyn Analyst>,
    pins: Pins,
}

impl Seat {
    /// Seats an analyst. What shapes its work is digested here, once.
    #[must_use]
    pub fn new(agent: Agent, analyst: Arc<dyn Analyst>, policy: &RoutePolicy, registry: &Registry) -> Self {
        let pins = Pins {
            agent: agent.digest(),
            analyst: analyst.version(),
            policy: canonical::digest(policy),
            tools: registry.digest(),
            program: env!("CARGO_PKG_VERSION").into(),
        };
        Self { agent, analyst, pins }
    }
}

/// What all investigations share.
#[derive(Clone)]
pub struct Driver {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// The alerts.
    pub alerts: Arc<AlertLog>,
    /// The events.
    pub events: Arc<dyn EventStore>,
    /// The door.
    pub door: Door,
    /// Tier 1.
    pub tier1: Seat,
    /// Tier 2.
    pub tier2: Seat,
    /// The route's policy.
    pub policy: RoutePolicy,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The queue of a tier.
#[must_use]
pub const fn queue(tier: Tier) -> Queue {
    match tier {
        Tier::One => Queue::Tier1,
        Tier::Two => Queue::Tier2,
    }
}

/// The place of a severity in a queue: higher is earlier.
#[must_use]
pub const fn rank(severity: Severity) -> u8 {
    match severity {
        Severity::Informational => 0,
        Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 3,
        Severity::Critical => 4,
    }
}

/// How an attempt stopped before it came to an end.
pub(super) enum Stop {
    /// Others appended: read again and go on.
    Reread,
    /// The attempt's past does not explain its present: begin a new one, for this reason.
    Again(String),
    /// The case needs a person.
    Hold(HoldCause, String),
    /// It waits.
    Park(Timestamp),
    /// The driver cannot go on.
    Fail(DriverError),
}

impl From<RunError> for Stop {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Journal(error) => error.into(),
            RunError::Diverged { .. } | RunError::Lost { .. } => Self::Again(error.to_string()),
        }
    }
}

impl From<JournalError> for Stop {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Conflict { .. } => Self::Reread,
            JournalError::Fenced { .. } | JournalError::Storage(_) => Self::Fail(error.into()),
        }
    }
}

impl From<StorageError> for Stop {
    fn from(error: StorageError) -> Self {
        Self::Fail(error.into())
    }
}

impl From<DoorError> for Stop {
    fn from(error: DoorError) -> Self {
        match error {
            DoorError::Run(error) => error.into(),
            DoorError::Store(error) => error.into(),
            DoorError::Circles { .. } => Self::Hold(HoldCause::NoAcceptableVerdict, error.to_string()),
        }
    }
}

impl Driver {
    /// Works on a claimed case until it leaves the queue or has to wait.
    ///
    /// # Errors
    /// When the journal or the store cannot be used, or the lease has passed to somebody else.
    pub async fn work(&self, tier: Tier, case: CaseId, lease: &Lease) -> Result<Outcome, DriverError> {
        let mut why_again = None;
        loop {
            let stream = CaseStream::open(self.journal.clone(), case, Some(lease.clone())).await?;
            let stop = match self.attempt(stream, tier, why_again.take()).await {
                Ok(()) => return Ok(Outcome::Finished),
                Err(stop) => stop,
            };
            match stop {
                Stop::Reread => {}
                Stop::Again(why) => why_again = Some(why),
                Stop::Park(until) => return Ok(Outcome::Parked { until }),
                Stop::Fail(error) => return Err(error),
                Stop::Hold(cause, what) => match self.hold(case, tier, lease, cause, &what).await {
                    Err(JournalError::Conflict { .. }) => {}
                    held => return Ok(held.map(|()| Outcome::Finished)?),
                },
            }
        }
    }

    const fn seat(&self, tier: Tier) -> &Seat {
        match tier {
            Tier::One => &self.tier1,
            Tier::Two => &self.tier2,
        }
    }

    async fn attempt(&self, mut stream: CaseStream, tier: Tier, why_again: Option<String>) -> Result<(), Stop> {
        let log = stream.log();
        if !matches!(log.status, Status::New | Status::InProgress) {
            let queues = vec![QueueChange::Remove { queue: queue(tier), item: log.id.to_string() }];
            stream.append(Batch { queues, ..Batch::default() }, self.clock.now()).await?;
            return Ok(());
        }
        if let Some(damage) = log.damaged.first() {
            return Err(Stop::Hold(HoldCause::JournalDamaged, damage.to_string()));
        }
        let seat = self.seat(tier);
        let alerts = self.alerts.get(&log.alerts);
        if alerts.len() < log.alerts.len() {
            let lost = log.alerts.len() - alerts.len();
            let what = format!("{lost} of its alerts can no longer be read: import their log again");
            return Err(Stop::Hold(HoldCause::JournalDamaged, what));
        }
        let running = log.running().filter(|attempt| attempt.tier == tier);
        let why_again = match running {
            Some(attempt) => why_again
                .or_else(|| seat.pins.difference(&attempt.pins).map(|what| format!("{what} changed")))
                .or_else(|| attempt.alerts_changed.then(|| alerts_changed(attempt, log.alerts.len()).into())),
            None => why_again,
        };
        if let Some(ordinal) = running.and_then(broken_twice) {
            let what = format!("step {ordinal} broke its investigation twice");
            return Err(Stop::Hold(HoldCause::Quarantined, what));
        }
        let resumed = running.is_some() && why_again.is_none();
        if !resumed {
            self.start(&mut stream, tier, seat.pins.clone(), &alerts, why_again).await?;
        }
        let Some(attempt) = stream.log().running().cloned() else {
            return Err(Stop::Again("the attempt's beginning was not recorded".into()));
        };
        self.investigate(stream, attempt, alerts, seat, resumed).await
    }

    /// Records the beginning of an attempt.
    async fn start(
        &self,
        stream: &mut CaseStream,
        tier: Tier,
        pins: Pins,
        alerts: &[Arc<Alert>],
        why_again: Option<String>,
    ) -> Result<(), Stop> {
        let log = stream.log();
        let case = log.id;
        let number = log.attempts.last().map_or(0, |attempt| attempt.number) + 1;
        let handover = match (tier, log.judged()) {
            (Tier::Two, Some((_, draft))) => {
                let question = draft.question_for_receiver.clone().unwrap_or_default();
                let evidence = draft.citations.iter().map(|citation| citation.evidence).collect();
                Some(Box::new(Handover { draft: draft.clone(), evidence, question }))
            }
            (Tier::One, _) | (_, None) => None,
        };
        let now = self.clock.now();
        let mut batch = Batch::default();
        if log.status == Status::New {
            batch.entries.push(CaseEntry::Moved {
                transition: RecordedTransition::Start,
                by: tier.name().into(),
                rule: "claimed".into(),
                because: "the case was next in the queue".into(),
            });
        }
        if let Some(why) = &why_again {
            let text = format!("Investigation begins again: {}.", comments::quoted(why));
            batch.effects.push(comment(case, &format!("a{number}/again"), tier.name(), text, now));
        }
        batch.entries.push(CaseEntry::Started {
            attempt: number,
            tier,
            pins,
            watermark: self.events.watermark().await?,
            alerts: log.alerts.len(),
            handover,
            why_again,
            span: ids::new_span(),
        });
        let preview = stream.preview(&batch.entries, now);
        batch.effects.push(desired::state(&preview, alerts));
        Ok(stream.append(batch, now).await?)
    }

    async fn investigate(
        &self,
        stream: CaseStream,
        attempt: Attempt,
        alerts: Vec<Arc<Alert>>,
        seat: &Seat,
        resumed: bool,
    ) -> Result<(), Stop> {
        let log = stream.log();
        let span = spans::tier(log.root, attempt.span, log.id, attempt.tier, attempt.number);
        if resumed {
            spans::record_resumed(&span);
        }
        let earlier = recorded::before(self.journal.as_ref(), log, attempt.number).await?;
        let investigation = Investigation::new(self, seat, stream, &attempt, alerts, earlier, span.clone());
        investigation.go().instrument(span).await
    }

    /// Puts a case on hold because of a failure.
    async fn hold(
        &self,
        case: CaseId,
        tier: Tier,
        lease: &Lease,
        cause: HoldCause,
        what: &str,
    ) -> Result<(), JournalError> {
        let mut stream = CaseStream::open(self.journal.clone(), case, Some(lease.clone())).await?;
        let log = stream.log();
        let now = self.clock.now();
        let hold = Hold::for_failure(cause, what);
        let mut batch = Batch::default();
        let about = match log.running() {
            Some(attempt) => {
                batch.entries.push(CaseEntry::Ended { attempt: attempt.number, why: what.to_owned() });
                format!("a{}/failure", attempt.number)
            }
            None => format!("failure/{}", log.last),
        };
        batch.effects.push(comment(case, &about, "Status", comments::on_hold(&hold), now));
        batch.entries.push(CaseEntry::Moved {
            transition: (&Transition::Hold(hold)).into(),
            by: tier.name().into(),
            rule: "failed_investigation".into(),
            because: what.to_owned(),
        });
        finish(&mut batch, &stream, tier, &self.alerts, now);
        stream.append(batch, now).await?;
        let ended = stream.log();
        root_span::export(ended, &self.alerts.get(&ended.alerts), now);
        Ok(())
    }
}

/// Why an attempt that began on other alerts is given up.
const fn alerts_changed(attempt: &Attempt, now: usize) -> &'static str {
    if now > attempt.alerts { "alerts joined the case" } else { "alerts of the case turned out to be another incident" }
}

/// The step at which an attempt broke twice in the same place.
fn broken_twice(attempt: &Attempt) -> Option<u32> {
    let times = |ordinal: &u32| attempt.broke_at.iter().filter(|other| *other == ordinal).count();
    attempt.broke_at.iter().find(|ordinal| times(ordinal) >= 2).copied()
}
