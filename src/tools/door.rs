//! The one door: every call of every analyst passes here.
//!
//! It checks the agent's list, journals the call before and after, opens its span, trims the answer, hands out
//! evidence ids in the order asked, and answers a repeated call from what is already known. Nothing reads an
//! event for an analyst in any other way. A tool itself writes nothing: what it asks to be filed is put on record here,
//! in the same append as its answer.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tracing::Instrument;

use super::answer::{Answer, Answered, ToolCall, ToolError};
use super::filing;
use super::registry::Registry;
use super::tool::{AnyTool, Permission, Scope};
use crate::domain::draft::Draft;
use crate::domain::ids::CaseId;
use crate::domain::route::Tier;
use crate::domain::trace::SpanRef;
use crate::domain::verdict::{Question, Rejection, Verdict};
use crate::evidence::{self, Ledger};
use crate::journal::effects::DeskEffect;
use crate::journal::run::{Asked, Begun, Run, RunError};
use crate::knowledge::canonical;
use crate::ports::clock::Clock;
use crate::ports::storage::StorageError;
use crate::telemetry::{ids, spans};

/// The name by which a submission is journaled and allowed.
pub const SUBMIT: &str = "submit_verdict";

/// Who passes: one investigation of one case.
pub struct Visitor {
    /// The case.
    pub case: CaseId,
    /// The tier.
    pub tier: Tier,
    /// The tier's span, under which calls are shown.
    pub span: SpanRef,
    /// The tools it may use.
    pub allowed: Vec<String>,
    /// What its calls may know.
    pub scope: Scope,
    /// What was handed out in the case so far.
    pub ledger: Ledger,
    /// Calls made so far.
    pub calls: u32,
    asked: HashMap<String, (Arc<Answered>, u32)>,
}

impl Visitor {
    /// A visitor who has asked nothing yet.
    #[must_use]
    pub fn new(case: CaseId, tier: Tier, span: SpanRef, allowed: Vec<String>, scope: Scope, ledger: Ledger) -> Self {
        Self { case, tier, span, allowed, scope, ledger, calls: 0, asked: HashMap::new() }
    }
}

/// Why the door closed.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The journal refused, or its past does not fit.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The same call came a third time: the analyst goes in circles.
    #[error("`{tool}` was called a third time with the same arguments")]
    Circles {
        /// The tool.
        tool: String,
    },
    /// The event store could not be read while a verdict was checked.
    #[error(transparent)]
    Store(#[from] StorageError),
}

/// A submission's outcome: a verdict, or every reason why it is none.
pub type Judgement = Result<Verdict, Vec<Rejection>>;

/// The door and the tools behind it.
#[derive(Clone)]
pub struct Door {
    registry: Registry,
    clock: Arc<dyn Clock>,
}

impl Door {
    /// A door to these tools.
    #[must_use]
    pub fn new(registry: Registry, clock: Arc<dyn Clock>) -> Self {
        Self { registry, clock }
    }

    /// The tools behind it.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Answers calls that were asked together. They run side by side; `tell` writes the comment on them, which is
    /// recorded with the last answer.
    ///
    /// # Errors
    /// See [`DoorError`]. A tool's own failure is an answer, not an error.
    pub async fn pass(
        &self,
        visitor: &mut Visitor,
        run: &mut Run,
        calls: Vec<ToolCall>,
        tell: impl FnOnce(&[Arc<Answered>]) -> Vec<DeskEffect>,
    ) -> Result<Vec<Arc<Answered>>, DoorError> {
        let keys: Vec<String> = calls.iter().map(ToolCall::digest).collect();
        if let Some(at) = (0..calls.len()).find(|at| is_third(visitor, &keys, *at)) {
            return Err(DoorError::Circles { tool: calls[at].tool.clone() });
        }
        let fresh: Vec<usize> = (0..calls.len()).filter(|at| is_first(visitor, &keys, *at)).collect();
        let asked = fresh.iter().map(|at| Asked {
            what: calls[*at].tool.clone(),
            digest: keys[*at].clone(),
            span: ids::new_span(),
        });
        let asked: Vec<Asked> = asked.collect();
        let begun = run.begin::<Result<Answer, ToolError>>(&asked, self.clock.now()).await?;
        let mut outcomes: HashMap<String, Result<Answer, ToolError>> = HashMap::new();
        let mut running = FuturesUnordered::new();
        let mut writing = Vec::new();
        for (at, step) in fresh.iter().zip(begun) {
            let (call, key) = (&calls[*at], &keys[*at]);
            match step {
                Begun::Recorded { result, .. } => drop(outcomes.insert(key.clone(), result)),
                Begun::Fresh { ordinal, span } => {
                    let tool = &call.tool;
                    let (case, tier, parent) = (visitor.case, visitor.tier, visitor.span);
                    let span = spans::tool_call(parent, span, case, tier, tool, ordinal, key);
                    let tool = self.allowed(call, visitor);
                    let reads = tool.as_ref().is_ok_and(|tool| tool.permission() == Permission::Read);
                    let answering = answer(tool, call, &visitor.scope, span.clone()).instrument(span);
                    match reads {
                        true => running.push(async move { (ordinal, key, answering.await) }),
                        // One after another, in the order asked: what they file is numbered.
                        false => writing.push((ordinal, key, answering)),
                    }
                }
            }
        }
        let mut last = None;
        while let Some((ordinal, key, outcome)) = running.next().await {
            outcomes.insert(key.clone(), outcome);
            if let Some((ordinal, key)) = last.replace((ordinal, key)) {
                run.done(ordinal, &outcomes[key], vec![], self.clock.now()).await?;
            }
        }
        drop(running);
        let mut said = Vec::new();
        for (ordinal, key, answering) in writing {
            if let Some((ordinal, key)) = last.replace((ordinal, key)) {
                run.done(ordinal, &outcomes[key], std::mem::take(&mut said), self.clock.now()).await?;
            }
            let filed =
                answering.await.and_then(|answer| filing::file(answer, ordinal, visitor, run, self.clock.now()));
            let outcome = filed.map(|(answer, comments)| {
                said.extend(comments);
                answer.trimmed()
            });
            outcomes.insert(key.clone(), outcome);
        }
        let answered = settle(visitor, calls, &keys, &mut outcomes);
        if let Some((ordinal, key)) = last {
            let at = keys.iter().position(|other| other == key).unwrap_or_default();
            said.extend(tell(&answered));
            run.hold_back(ordinal, &answered[at].outcome, said);
        }
        visitor.calls += u32::try_from(fresh.len()).unwrap_or(u32::MAX);
        Ok(answered)
    }

    /// The tool that is called, if it is on the agent's list and its class is one that the agent's tier is given.
    fn allowed(&self, call: &ToolCall, visitor: &Visitor) -> Result<&Arc<dyn AnyTool>, ToolError> {
        let is_given = |tool: &&Arc<dyn AnyTool>| tool.permission().is_given_to(visitor.tier);
        let is_listed = visitor.allowed.contains(&call.tool);
        let tool = self.registry.get(&call.tool).filter(|_| is_listed).filter(is_given);
        tool.ok_or_else(|| ToolError::NotAllowed { name: call.tool.clone(), allowed: visitor.allowed.clone() })
    }

    /// Checks a submission against the store. The check is repeated on a resume: it only reads.
    ///
    /// # Errors
    /// When the journal refuses or the store cannot be read.
    pub async fn submit(
        &self,
        visitor: &Visitor,
        run: &mut Run,
        draft: &Draft,
        playbook: &[Question],
    ) -> Result<Judgement, DoorError> {
        let asked = Asked { what: SUBMIT.into(), digest: canonical::digest(draft), span: ids::new_span() };
        // The check only reads, and nobody is paid for it: it is recorded with what it leads to.
        let begun = run.begin_held_back::<Vec<String>>(std::slice::from_ref(&asked), self.clock.now()).await?;
        let (ordinal, span, recorded) = match begun.first() {
            Some(Begun::Fresh { ordinal, span }) => (*ordinal, *span, false),
            Some(Begun::Recorded { ordinal, .. }) => (*ordinal, asked.span, true),
            None => (0, asked.span, true),
        };
        let shown = match recorded {
            true => tracing::Span::none(),
            false => {
                let Visitor { case, tier, span: parent, .. } = visitor;
                spans::tool_call(*parent, span, *case, *tier, SUBMIT, ordinal, &asked.digest)
            }
        };
        let Scope { events, watermark, .. } = &visitor.scope;
        let judging = evidence::judge(events.as_ref(), &visitor.ledger, draft, playbook, *watermark);
        let judgement = judging.instrument(shown.clone()).await?;
        if let Err(reasons) = &judgement {
            spans::record_rows(&shown, reasons.len(), false);
            spans::record_error(&shown, "rejected");
        }
        if !recorded {
            let reasons = texts(&judgement);
            run.hold_back(ordinal, &reasons, vec![]);
        }
        Ok(judgement)
    }
}

async fn answer(
    tool: Result<&Arc<dyn AnyTool>, ToolError>,
    call: &ToolCall,
    scope: &Scope,
    span: tracing::Span,
) -> Result<Answer, ToolError> {
    let outcome = match tool {
        Ok(tool) => tool.answer(&call.arguments, scope).await.map(Answer::trimmed),
        Err(error) => Err(error),
    };
    match &outcome {
        Ok(answer) => spans::record_rows(&span, answer.rows.len(), answer.cut > 0),
        Err(error) => spans::record_error(&span, error.kind()),
    }
    outcome
}

fn texts(judgement: &Judgement) -> Vec<String> {
    judgement.as_ref().err().into_iter().flatten().map(ToString::to_string).collect()
}

/// A call that was not asked before, nor earlier in the same batch.
fn is_first(visitor: &Visitor, keys: &[String], at: usize) -> bool {
    !visitor.asked.contains_key(&keys[at]) && !keys[..at].contains(&keys[at])
}

/// A call that was asked twice before, earlier in the same batch included.
fn is_third(visitor: &Visitor, keys: &[String], at: usize) -> bool {
    let before = visitor.asked.get(&keys[at]).map_or(0, |(_, times)| *times as usize);
    before + keys[..at].iter().filter(|key| **key == keys[at]).count() >= 2
}

/// Puts the outcomes in the order asked, numbers their evidence, and counts repetitions.
fn settle(
    visitor: &mut Visitor,
    calls: Vec<ToolCall>,
    keys: &[String],
    outcomes: &mut HashMap<String, Result<Answer, ToolError>>,
) -> Vec<Arc<Answered>> {
    let mut answered = Vec::with_capacity(calls.len());
    for (call, key) in calls.into_iter().zip(keys) {
        if let Some(outcome) = outcomes.remove(key) {
            let rows = outcome.iter().flat_map(|answer| &answer.rows);
            let evidence = rows.map(|row| row.exhibit.as_ref().map(|exhibit| visitor.ledger.admit(exhibit))).collect();
            let now = Arc::new(Answered { call, outcome, evidence });
            visitor.asked.insert(key.clone(), (now.clone(), 1));
            answered.push(now);
        } else if let Some((before, times)) = visitor.asked.get_mut(key) {
            *times += 1;
            answered.push(before.clone());
        }
    }
    answered
}

#[cfg(test)]
mod tests;
