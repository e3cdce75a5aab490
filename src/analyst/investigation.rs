//! One attempt at a case, move by move: asks the analyst, passes the door, counts the budget.

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

use super::driver::{Driver, Seat, Stop};
use super::{AnalystError, Brief, Move, Turn, comments, playbook};
use crate::domain::alert::Alert;
use crate::domain::case::HoldCause;
use crate::domain::taint::{self, Taint};
use crate::domain::trace::SpanRef;
use crate::domain::verdict::Verdict;
use crate::journal::case_log::Attempt;
use crate::journal::case_stream::CaseStream;
use crate::journal::effects::comment;
use crate::journal::run::{Asked, Begun, Run};
use crate::knowledge::canonical;
use crate::telemetry::{ids, spans};
use crate::tools::answer::{Answer, Answered, ToolCall};
use crate::tools::door::Visitor;
use crate::tools::recorded::Earlier;
use crate::tools::tool::Scope;

/// Waits up to this long together are waited out; a longer one parks the case and frees the slot.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// One attempt in the making.
pub(super) struct Investigation<'a> {
    pub(super) driver: &'a Driver,
    pub(super) seat: &'a Seat,
    pub(super) brief: Brief,
    pub(super) run: Run,
    pub(super) alerts: Vec<Arc<Alert>>,
    pub(super) span: tracing::Span,
    /// What is wrong with text in the evidence seen so far.
    pub(super) taint: Option<Taint>,
    visitor: Visitor,
    turns: Vec<Turn>,
    /// Digest of everything asked so far: what the next move answers to.
    digest: String,
    /// Seconds of work so far.
    worked: f64,
}

impl<'a> Investigation<'a> {
    /// An investigation at its first step, or at its first step again.
    pub(super) fn new(
        driver: &'a Driver,
        seat: &'a Seat,
        stream: CaseStream,
        attempt: &Attempt,
        alerts: Vec<Arc<Alert>>,
        earlier: Earlier,
        span: tracing::Span,
    ) -> Self {
        let (case, root) = (stream.log().id, stream.log().root);
        let mut matched = alerts.iter().flat_map(|alert| &alert.matched);
        let taint = earlier.taint.or_else(|| matched.find_map(|quote| taint::of(&quote.value)));
        let owned: Arc<Vec<Alert>> = Arc::new(alerts.iter().map(|alert| alert.as_ref().clone()).collect());
        let scope = Scope { case, alerts: owned.clone(), events: driver.events.clone(), watermark: attempt.watermark };
        let parent = SpanRef { trace: root.trace, span: attempt.span };
        let visitor = Visitor::new(case, attempt.tier, parent, seat.agent.tools.clone(), scope, earlier.ledger);
        let brief = Brief {
            case,
            tier: attempt.tier,
            alerts: owned,
            handover: attempt.handover.clone(),
            watermark: attempt.watermark,
            calls: seat.agent.budget.calls,
        };
        Self {
            driver,
            seat,
            brief,
            run: Run::new(stream, attempt.number),
            alerts,
            span,
            taint,
            visitor,
            turns: Vec::new(),
            digest: canonical::digest(&(case, attempt.alerts, attempt.watermark)),
            worked: attempt.seconds_worked(),
        }
    }

    /// Moves until a verdict is accepted or the budget ends.
    pub(super) async fn go(mut self) -> Result<(), Stop> {
        match self.moves().await {
            Ok(verdict) => self.conclude(verdict).await,
            Err(stop) => {
                // A person who takes over is shown the last look too.
                if matches!(stop, Stop::Hold(..)) {
                    self.run.flush(self.driver.clock.now()).await?;
                }
                Err(stop)
            }
        }
    }

    async fn moves(&mut self) -> Result<Verdict, Stop> {
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
                    let judgement = door
                        .submit(&self.visitor, &mut self.run, &draft, &playbook::questions(&self.brief.alerts))
                        .await?;
                    match judgement {
                        Ok(verdict) => return Ok(verdict),
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
        let begun = match self.seat.analyst.is_free() {
            true => self.run.begin_held_back::<Move>(&[asked], clock.now()).await?.pop(),
            false => self.run.begin::<Move>(&[asked], clock.now()).await?.pop(),
        };
        let (ordinal, span) = match begun {
            Some(Begun::Recorded { result, .. }) => return Ok(result),
            Some(Begun::Fresh { ordinal, span }) => (ordinal, span),
            None => return Err(Stop::Again("a step could not be begun".into())),
        };
        let Visitor { case, tier, span: parent, .. } = self.visitor;
        let shown = spans::step_move(parent, span, case, tier, ordinal);
        let mut waited = Duration::ZERO;
        loop {
            let began = clock.now();
            match self.seat.analyst.next(&self.brief, &self.turns).instrument(shown.clone()).await {
                Ok(next) => {
                    self.worked += clock.now().duration_since(began).as_secs_f64();
                    self.run.hold_back(ordinal, &next, vec![]);
                    // Calls are written with their beginning, a verdict after its check: what was paid for waits for
                    // no check.
                    if matches!(next, Move::Submit { .. }) && !self.seat.analyst.is_free() {
                        self.run.flush(clock.now()).await?;
                    }
                    return Ok(next);
                }
                Err(AnalystError::Busy { retry_after, .. }) if waited + retry_after <= LONGEST_WAIT => {
                    // Never less than a moment, so that "busy for nothing" cannot spin.
                    let wait = retry_after.max(Duration::from_millis(10));
                    tokio::time::sleep(wait).await;
                    waited += wait;
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

    async fn ask(&mut self, calls: Vec<ToolCall>, because: String) -> Result<(), Stop> {
        let (driver, brief) = (self.driver, &self.brief);
        let about = format!("a{}/m{}", self.run.attempt(), self.turns.len() + 1);
        let (case, author, now) = (brief.case, brief.tier.name(), driver.clock.now());
        let known = self.visitor.ledger.ids();
        let tell = |answers: &[Arc<Answered>]| {
            vec![comment(case, &about, author, comments::looked(&because, answers, &known), now)]
        };
        let asked = calls.iter().map(ToolCall::digest).collect::<String>();
        self.digest = canonical::sha256(format!("{}{asked}", self.digest).as_bytes());
        let answers = driver.door.pass(&mut self.visitor, &mut self.run, calls, tell).await?;
        self.worked += driver.clock.now().duration_since(now).as_secs_f64();
        let mut shown = answers.iter().filter_map(|answered| answered.outcome.as_ref().ok());
        self.taint = self.taint.or_else(|| shown.find_map(Answer::taint));
        self.turns.push(Turn::Answers(answers));
        Ok(())
    }
}
