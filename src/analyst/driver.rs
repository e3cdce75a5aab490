//! The one driver: takes a case from its journal, lets an analyst move, and routes what it submits.
//!
//! It owns the steps, the budgets, the door, the checks and the route. Everything it learns it writes to the
//! case's stream before it acts on it, so that any process can take the case up where this one left it: the
//! recorded moves and answers are replayed, and the first step without an answer is taken again. When somebody
//! else appended to the stream meanwhile (a new alert, the gatekeeper's answer), the append is refused, the case
//! is read again, and the same attempt goes on; if the alerts changed, a new attempt begins and says why.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::Instrument;

use super::agent::Agent;
use super::{Analyst, AnalystError, Brief, Move, Turn, comments, mandatory, playbook};
use crate::domain::alert::{Alert, Severity};
use crate::domain::case::{Hold, HoldCause, RecordedTransition, Status, Transition};
use crate::domain::containment::Proposal;
use crate::domain::ids::{CaseId, ProposalId};
use crate::domain::route::{CaseFacts, MandatoryHuman, Route, RoutePolicy, Tier, route};
use crate::domain::taint;
use crate::domain::trace::SpanRef;
use crate::domain::verdict::Verdict;
use crate::journal::alert_log::AlertLog;
use crate::journal::case_log::{Attempt, CaseLog};
use crate::journal::case_stream::{Batch, CaseStream};
use crate::journal::desired;
use crate::journal::effects::comment;
use crate::journal::entry::{CaseEntry, Handover, Pins};
use crate::journal::root_span;
use crate::journal::run::{Asked, Begun, Run, RunError};
use crate::knowledge::canonical;
use crate::ports::clock::Clock;
use crate::ports::events::{EventQuery, EventStore, Kind};
use crate::ports::journal::{Journal, JournalError, Lease, Queue, QueueChange};
use crate::ports::storage::StorageError;
use crate::telemetry::{ids, spans};
use crate::tools::answer::Answered;
use crate::tools::door::{Door, DoorError, Visitor};
use crate::tools::recorded;
use crate::tools::tool::Scope;

/// A wait up to this long is waited out; a longer one parks the case and frees the slot.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

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

/// A tier's agent and analyst.
#[derive(Clone)]
pub struct Seat {
    /// Tools and budgets.
    pub agent: Agent,
    /// Who thinks.
    pub analyst: Arc<dyn Analyst>,
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
enum Stop {
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
            let mut stream = CaseStream::open(self.journal.clone(), case, Some(lease.clone())).await?;
            let stop = match self.attempt(&mut stream, tier, why_again.take()).await {
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

    /// What shapes an investigation now.
    fn pins(&self, seat: &Seat) -> Pins {
        Pins {
            agent: seat.agent.digest(),
            analyst: seat.analyst.version(),
            policy: canonical::digest(&self.policy),
            tools: self.door.registry().digest(),
            program: env!("CARGO_PKG_VERSION").into(),
        }
    }

    async fn attempt(&self, stream: &mut CaseStream, tier: Tier, why_again: Option<String>) -> Result<(), Stop> {
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
        let pins = self.pins(seat);
        let alerts = self.alerts.get(&log.alerts);
        let running = log.running().filter(|attempt| attempt.tier == tier);
        let why_again = match running {
            Some(attempt) => why_again
                .or_else(|| pins.difference(&attempt.pins).map(|what| format!("{what} changed")))
                .or_else(|| (attempt.alerts != log.alerts.len()).then(|| "alerts joined the case".into())),
            None => why_again,
        };
        if let Some(ordinal) = running.and_then(|attempt| broken_twice(attempt)) {
            let what = format!("step {ordinal} broke its investigation twice");
            return Err(Stop::Hold(HoldCause::Quarantined, what));
        }
        let resumed = running.is_some() && why_again.is_none();
        if !resumed {
            self.start(stream, tier, pins, &alerts, why_again).await?;
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
        stream: &mut CaseStream,
        attempt: Attempt,
        alerts: Vec<Arc<Alert>>,
        seat: &Seat,
        resumed: bool,
    ) -> Result<(), Stop> {
        let log = stream.log();
        let (case, root) = (log.id, log.root);
        let span = spans::tier(root, attempt.span, case, attempt.tier, attempt.number);
        if resumed {
            spans::record_resumed(&span);
        }
        let ledger = recorded::ledger(self.journal.as_ref(), log, attempt.number).await?;
        let taint = alerts.iter().flat_map(|alert| &alert.matched).find_map(|quote| taint::of(&quote.value));
        let owned: Arc<Vec<Alert>> = Arc::new(alerts.iter().map(|alert| alert.as_ref().clone()).collect());
        let scope = Scope { alerts: owned.clone(), events: self.events.clone(), watermark: attempt.watermark };
        let parent = SpanRef { trace: root.trace, span: attempt.span };
        let tools = seat.agent.tools.clone();
        let visitor = Visitor::new(case, attempt.tier, parent, tools, scope, ledger);
        let brief = Brief {
            case,
            tier: attempt.tier,
            alerts: owned,
            handover: attempt.handover.clone(),
            watermark: attempt.watermark,
            calls: seat.agent.budget.calls,
        };
        let owned_stream = CaseStream::open(self.journal.clone(), case, stream.lease().cloned()).await?;
        let investigation = Investigation {
            driver: self,
            seat,
            brief,
            visitor,
            run: Run::new(owned_stream, attempt.number),
            turns: Vec::new(),
            digest: canonical::digest(&(case, attempt.alerts, attempt.watermark)),
            worked: attempt.seconds_worked(),
            taint,
            span: span.clone(),
            alerts,
        };
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
                format!("a{}/status", attempt.number)
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
        root_span::export(&ended, &self.alerts.get(&ended.alerts), now);
        Ok(())
    }

    /// Some host of the case is a domain controller, as far as its events show: only one issues Kerberos tickets.
    async fn concerns_domain_controller(&self, alerts: &[Arc<Alert>], attempt: &Brief) -> Result<bool, StorageError> {
        let mut hosts: Vec<_> = alerts.iter().map(|alert| alert.host.clone()).collect();
        hosts.sort();
        hosts.dedup();
        for host in hosts.into_iter().take(8) {
            let kinds = [4768, 4769].map(|code| Kind { channel: Some("Security".into()), code });
            let query = EventQuery {
                host: Some(host),
                kinds: kinds.to_vec(),
                process: None,
                conditions: vec![],
                from: Timestamp::MIN,
                to: Timestamp::MAX,
                watermark: attempt.watermark,
                limit: 1,
            };
            if self.events.search(&query).await?.total > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// One attempt in the making.
struct Investigation<'a> {
    driver: &'a Driver,
    seat: &'a Seat,
    brief: Brief,
    visitor: Visitor,
    run: Run,
    turns: Vec<Turn>,
    digest: String,
    worked: f64,
    taint: Option<taint::Taint>,
    span: tracing::Span,
    alerts: Vec<Arc<Alert>>,
}

impl Investigation<'_> {
    async fn go(mut self) -> Result<(), Stop> {
        let budget = self.seat.agent.budget;
        let mut rejected = false;
        for _ in 0..budget.moves {
            if self.worked > budget.seconds {
                return Err(Stop::Hold(HoldCause::BudgetExhausted, format!("{} s of work", budget.seconds)));
            }
            match self.next_move().await? {
                Move::Calls { calls, because } => {
                    let asked = self.visitor.calls + u32::try_from(calls.len()).unwrap_or(u32::MAX);
                    if asked > budget.calls {
                        let what = format!("{asked} tool calls of {}", budget.calls);
                        return Err(Stop::Hold(HoldCause::BudgetExhausted, what));
                    }
                    self.ask(calls, because).await?;
                }
                Move::Submit { draft } => {
                    let door = &self.driver.door;
                    let judgement = door.submit(&self.visitor, &mut self.run, &draft, &playbook::GENERAL).await?;
                    match judgement {
                        Ok(verdict) => return self.conclude(verdict).await,
                        Err(reasons) => {
                            let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                            if std::mem::replace(&mut rejected, true) {
                                return Err(Stop::Hold(HoldCause::NoAcceptableVerdict, reasons.join("; ")));
                            }
                            self.digest = canonical::digest(&(&self.digest, &reasons));
                            self.turns.push(Turn::Rejected(reasons));
                        }
                    }
                }
            }
        }
        Err(Stop::Hold(HoldCause::BudgetExhausted, format!("{} moves", budget.moves)))
    }

    /// The analyst's next move, recorded or new.
    async fn next_move(&mut self) -> Result<Move, Stop> {
        let clock = &self.driver.clock;
        let asked = Asked { what: "move".into(), digest: self.digest.clone(), span: ids::new_span() };
        let begun = self.run.begin::<Move>(&[asked], clock.now()).await?.pop();
        let (ordinal, span) = match begun {
            Some(Begun::Recorded { result, .. }) => return Ok(result),
            Some(Begun::Fresh { ordinal, span }) => (ordinal, span),
            None => return Err(Stop::Again("a step could not be begun".into())),
        };
        let Visitor { case, tier, span: parent, .. } = self.visitor;
        let shown = spans::step_move(parent, span, case, tier, ordinal);
        loop {
            let began = clock.now();
            match self.seat.analyst.next(&self.brief, &self.turns).instrument(shown.clone()).await {
                Ok(next) => {
                    self.worked += clock.now().duration_since(began).as_secs_f64();
                    self.run.hold_back(ordinal, &next, vec![]);
                    return Ok(next);
                }
                Err(AnalystError::Busy { retry_after, .. }) if retry_after <= LONGEST_WAIT => {
                    tokio::time::sleep(retry_after).await;
                }
                Err(AnalystError::Busy { retry_after, .. }) => {
                    let wait =
                        jiff::SignedDuration::try_from(retry_after).unwrap_or(jiff::SignedDuration::from_hours(1));
                    return Err(Stop::Park(clock.now() + wait));
                }
                Err(AnalystError::Failed(why)) => {
                    spans::record_error(&shown, "analyst_failed");
                    return Err(Stop::Hold(HoldCause::NoAcceptableVerdict, why));
                }
            }
        }
    }

    async fn ask(&mut self, calls: Vec<crate::tools::answer::ToolCall>, because: String) -> Result<(), Stop> {
        let (driver, brief) = (self.driver, &self.brief);
        let about = format!("a{}/m{}", self.run.attempt(), self.turns.len() + 1);
        let (case, author, now) = (brief.case, brief.tier.name(), driver.clock.now());
        let tell = |answers: &[Answered]| vec![comment(case, &about, author, comments::looked(&because, answers), now)];
        self.digest = canonical::digest(&(&self.digest, &calls));
        let answers = driver.door.pass(&mut self.visitor, &mut self.run, calls, tell).await?;
        let views = answers.iter().flat_map(Answered::seen).flat_map(|(_, view)| view.fields.values());
        self.taint = self.taint.or_else(|| views.into_iter().find_map(|value| taint::of(value)));
        self.turns.push(Turn::Answers(answers));
        Ok(())
    }

    /// Routes an accepted verdict: the verdict, the step it leads to, the comments that tell of it and the
    /// queues it moves between are one append.
    async fn conclude(self, verdict: Verdict) -> Result<(), Stop> {
        let Self { driver, seat, brief, run, taint, span, alerts, .. } = self;
        let (case, tier, attempt) = (brief.case, brief.tier, run.attempt());
        let now = driver.clock.now();
        let mut mandatory = mandatory::reasons(&brief.alerts);
        if driver.concerns_domain_controller(&alerts, &brief).await? {
            mandatory.push(MandatoryHuman::DomainController);
        }
        let severity = alerts.iter().map(|alert| alert.rule.level).max().unwrap_or(Severity::Medium);
        let facts = CaseFacts { tier, severity, mandatory, taint };
        let routed = route(&verdict, &facts, &driver.policy);
        spans::record_verdict(&span, verdict.classification().name());
        let mut batch = Batch::default();
        let card = card(&verdict, seat.analyst.name(), tier);
        batch.entries.push(CaseEntry::Judged { attempt, draft: Box::new(verdict.words().clone()), card });
        let mut tell = |about: &str, author: &str, text| {
            batch.effects.push(comment(case, &format!("a{attempt}/{about}"), author, text, now));
        };
        tell("verdict", &format!("Verdict ({})", tier.name()), comments::verdict(&verdict, seat.analyst.name()));
        if let Some(taint) = taint {
            let text = format!("Warning: {}. It is quoted, not followed; a person decides this case.", taint.reason());
            tell("taint", "Guard", text);
        }
        tell("status", "Status", comments::status(&routed));
        let moved = |transition: &Transition| CaseEntry::Moved {
            transition: transition.into(),
            by: tier.name().into(),
            rule: routed.rule.into(),
            because: routed.because.clone(),
        };
        if routed.may_contain {
            batch.entries.extend(proposals(run.stream().log(), &verdict));
        }
        match &routed.route {
            Route::Escalate { .. } => {
                let item = case.to_string();
                batch.queues.push(QueueChange::Remove { queue: queue(tier), item: item.clone() });
                let rank = rank(severity);
                batch.queues.push(QueueChange::Put { queue: Queue::Tier2, item, rank, not_before: None });
            }
            Route::Hold(hold) => batch.entries.push(moved(&Transition::Hold(hold.clone()))),
            Route::Resolve(resolution) => batch.entries.push(moved(&Transition::ResolveOnProof(resolution.clone()))),
        }
        let ends = !matches!(routed.route, Route::Escalate { .. });
        if ends {
            finish(&mut batch, run.stream(), tier, &driver.alerts, now);
        } else {
            if batch.entries.iter().any(|entry| matches!(entry, CaseEntry::Proposed { .. })) {
                batch.queues.push(to_gate(case, severity));
            }
            let preview = run.stream().preview(&batch.entries, now);
            batch.effects.push(desired::state(&preview, &alerts));
        }
        let stream = run.finish(batch, now).await?;
        if ends {
            root_span::export(stream.log(), &alerts, now);
        }
        Ok(())
    }
}

fn to_gate(case: CaseId, severity: Severity) -> QueueChange {
    QueueChange::Put { queue: Queue::Gate, item: case.to_string(), rank: rank(severity), not_before: None }
}

/// Proposals for what the verdict wishes and nobody has proposed yet.
fn proposals(log: &CaseLog, verdict: &Verdict) -> Vec<CaseEntry> {
    let known =
        |action, host: &_| log.proposals.iter().any(|p| p.proposal.action == action && p.proposal.host == *host);
    let wishes = verdict.words().containment.iter().filter(|wish| !known(wish.action, &wish.host));
    let first = u32::try_from(log.proposals.len()).unwrap_or(u32::MAX) + 1;
    let proposals = wishes.zip(first..).map(|(wish, number)| CaseEntry::Proposed {
        proposal: Proposal {
            id: ProposalId::new(log.id, number),
            action: wish.action,
            host: wish.host.clone(),
            because: wish.because.clone(),
            evidence: wish.evidence.clone(),
        },
    });
    proposals.collect()
}

/// Completes a batch after which no tier works on the case: it leaves the queue, proposals go to the gatekeeper,
/// the run is concluded if none wait, and the desk is told.
fn finish(batch: &mut Batch, stream: &CaseStream, tier: Tier, alerts: &AlertLog, now: Timestamp) {
    let case = stream.log().id;
    batch.queues.push(QueueChange::Remove { queue: queue(tier), item: case.to_string() });
    let alerts = alerts.get(&stream.log().alerts);
    let preview = stream.preview(&batch.entries, now);
    let severity = alerts.iter().map(|alert| alert.rule.level).max().unwrap_or(Severity::Medium);
    if preview.undecided().next().is_some() {
        batch.queues.push(to_gate(case, severity));
    } else {
        batch.entries.push(CaseEntry::Concluded);
    }
    let preview = stream.preview(&batch.entries, now);
    batch.effects.push(desired::state(&preview, &alerts));
}

/// The verdict as people and programs are shown it.
fn card(verdict: &Verdict, analyst: &str, tier: Tier) -> serde_json::Value {
    let mut card = serde_json::to_value(verdict).unwrap_or_default();
    let words = verdict.words();
    card["judged_by"] = analyst.into();
    card["tier"] = tier.slug().into();
    card["headline"] = words.headline.clone().into();
    card["story"] = words.story.clone().into();
    card["techniques"] = words.techniques.clone().into();
    card["hypotheses"] = serde_json::to_value(&words.hypotheses).unwrap_or_default();
    card["unknowns"] = serde_json::to_value(&words.unknowns).unwrap_or_default();
    card["contradictions"] = words.contradictions.clone().into();
    card["would_change"] = words.would_change.clone().into();
    card
}

/// The step at which an attempt broke twice in the same place.
fn broken_twice(attempt: &Attempt) -> Option<u32> {
    let times = |ordinal: &u32| attempt.broke_at.iter().filter(|other| *other == ordinal).count();
    attempt.broke_at.iter().find(|ordinal| times(ordinal) >= 2).copied()
}
