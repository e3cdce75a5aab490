//! A case as its stream tells it: the fold of its entries.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use serde_json::Value;

use super::entry::{CaseEntry, Handover, Payload, Pins, Recorded};
use crate::domain::case::{Hold, RecordedTransition, ReopenCause, Status};
use crate::domain::containment::{Decision, Matter, Proposal, Standing};
use crate::domain::draft::{Classification, Draft};
use crate::domain::ids::{AlertId, CaseId};
use crate::domain::person::{Act, Outcome, PersonsVerdict};
use crate::domain::route::{MandatoryHuman, Tier};
use crate::domain::trace::{SpanId, SpanRef, TraceId};
use crate::ports::events::Watermark;
use crate::ports::journal::Damage;

/// A step of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What it is.
    pub what: String,
    /// Digest of what was asked.
    pub digest: String,
    /// Its span.
    pub span: SpanId,
    /// When it began; when it began for the last time, once it is done.
    pub begun: Timestamp,
    /// When it was done and what came of it; `None` is a step whose outcome is not known.
    pub done: Option<(Timestamp, Payload)>,
}

/// One investigation of the case.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// The tier.
    pub tier: Tier,
    /// What shapes it.
    pub pins: Pins,
    /// What had arrived.
    pub watermark: Watermark,
    /// How many alerts the case had.
    pub alerts: usize,
    /// The case gained or lost alerts since it began.
    pub alerts_changed: bool,
    /// From tier 1, for tier 2.
    pub handover: Option<Handover>,
    /// Its span.
    pub span: SpanId,
    /// When it began.
    pub started: Timestamp,
    /// Its steps by ordinal.
    pub steps: BTreeMap<u32, Step>,
    /// The draft that was accepted as its verdict.
    pub judged: Option<Draft>,
    /// That verdict as people are shown it.
    pub card: Option<Value>,
    /// When it ended, if it did.
    pub ended: Option<Timestamp>,
    /// Steps at which a slot broke, one entry per break.
    pub broke_at: Vec<u32>,
}

impl Attempt {
    /// Seconds in which some step was at work; steps side by side count once. Time in which no process worked on
    /// the case does not count.
    #[must_use]
    pub fn seconds_worked(&self) -> f64 {
        let done = |step: &Step| step.done.as_ref().map(|(done, _)| (step.begun, *done));
        let mut spans: Vec<(Timestamp, Timestamp)> = self.steps.values().filter_map(done).collect();
        spans.sort_unstable();
        let (mut seconds, mut counted) = (0.0, Timestamp::MIN);
        for (begun, done) in spans {
            seconds += done.duration_since(begun.max(counted)).as_secs_f64().max(0.0);
            counted = counted.max(done);
        }
        seconds
    }
}

/// A proposal with its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposed {
    /// The wish.
    pub proposal: Proposal,
    /// The gatekeeper's answer, once given.
    pub decision: Option<Decision>,
    /// Where it stands since then.
    pub standing: Option<Standing>,
}

impl Proposed {
    /// A wish that nobody has answered.
    #[must_use]
    pub const fn new(proposal: Proposal) -> Self {
        Self { proposal, decision: None, standing: None }
    }

    /// The gatekeeper answered.
    pub fn decide(&mut self, decision: Decision) {
        self.standing = Some(Standing::after(&decision));
        self.decision = Some(decision);
    }
}

/// A case, rebuilt.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseLog {
    /// The case.
    pub id: CaseId,
    /// The stream's last number that was read.
    pub last: u64,
    /// When it was opened.
    pub opened: Timestamp,
    /// The root of its trace.
    pub root: SpanRef,
    /// Its alerts, in the order they joined.
    pub alerts: Vec<AlertId>,
    /// The same alerts, to be asked for.
    members: HashSet<AlertId>,
    /// The cases it took in, with the reasons.
    pub absorbed: Vec<(CaseId, String)>,
    /// Its sources have delivered all they had: it may be judged on its alerts.
    pub ready: bool,
    /// Where it stands.
    pub status: Status,
    /// Why it waits.
    pub hold: Option<Hold>,
    /// The surviving case, if merged.
    pub merged_into: Option<CaseId>,
    /// The rule and value of the last step.
    pub decided_by: Option<String>,
    /// A machine resolved it, and when; `None` again once anything else happened to its status.
    pub resolved_on_proof: Option<Timestamp>,
    /// What a person says it was: the last word.
    pub persons_verdict: Option<PersonsVerdict>,
    /// Who looks after it.
    pub assignee: Option<String>,
    /// Why no machine may resolve it, where a person or a threat nearby says so.
    pub reserved: Option<MandatoryHuman>,
    /// How often it was looked at again because more had arrived, since its alerts changed last.
    pub second_looks: u32,
    /// The cases whose confirmation as a threat reopened it.
    pub reopened_for: BTreeSet<CaseId>,
    /// The numbers of the words that people said of it.
    pub words: BTreeSet<u64>,
    /// Its investigations.
    pub attempts: Vec<Attempt>,
    /// Its proposals.
    pub proposals: Vec<Proposed>,
    /// The last row of the gate's audit that the case was told of.
    pub told_gate: u64,
    /// When its run was concluded last.
    pub concluded: Option<Timestamp>,
    /// Rows that can no longer be trusted, and entries that the status machine refuses.
    pub damaged: Vec<Damage>,
}

impl CaseLog {
    /// A case of which nothing has been read.
    #[must_use]
    pub fn empty(id: CaseId) -> Self {
        Self {
            id,
            last: 0,
            opened: Timestamp::UNIX_EPOCH,
            root: SpanRef { trace: TraceId([0; 16]), span: SpanId([0; 8]) },
            alerts: vec![],
            members: HashSet::new(),
            absorbed: vec![],
            ready: false,
            status: Status::New,
            hold: None,
            merged_into: None,
            decided_by: None,
            resolved_on_proof: None,
            persons_verdict: None,
            assignee: None,
            reserved: None,
            second_looks: 0,
            reopened_for: BTreeSet::new(),
            words: BTreeSet::new(),
            attempts: vec![],
            proposals: vec![],
            told_gate: 0,
            concluded: None,
            damaged: vec![],
        }
    }

    /// The alert belongs to the case.
    #[must_use]
    pub fn holds(&self, alert: &AlertId) -> bool {
        self.members.contains(alert)
    }

    /// The investigation that has not ended, if there is one.
    #[must_use]
    pub fn running(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|attempt| attempt.ended.is_none())
    }

    /// The draft behind the verdict that stands: the last accepted one on all alerts the case had then.
    #[must_use]
    pub fn judged(&self) -> Option<(&Attempt, &Draft)> {
        self.attempts.iter().rev().find_map(|attempt| Some((attempt, attempt.judged.as_ref()?)))
    }

    /// The proposals that wait for the gatekeeper.
    pub fn undecided(&self) -> impl Iterator<Item = &Proposal> {
        self.proposals.iter().filter(|p| p.decision.is_none()).map(|p| &p.proposal)
    }

    fn attempt_mut(&mut self, number: u32) -> Option<&mut Attempt> {
        self.attempts.iter_mut().find(|attempt| attempt.number == number)
    }

    fn classification(&self) -> Option<Classification> {
        self.judged().map(|(_, draft)| draft.classification)
    }

    /// Takes in the next entry.
    pub fn apply(&mut self, recorded: Recorded) {
        let Recorded { seq, at, entry } = recorded;
        self.last = seq;
        match entry {
            CaseEntry::Opened { alert, root } => {
                self.opened = at;
                self.root = root;
                self.join(alert);
            }
            CaseEntry::Joined { alert, .. } => self.join(alert),
            CaseEntry::Absorbed { case, alerts, reason } => {
                alerts.into_iter().for_each(|alert| self.join(alert));
                self.absorbed.push((case, reason));
            }
            CaseEntry::Left { alerts, .. } => self.leave(&alerts),
            CaseEntry::Spoken { number, by, said, refused } => {
                self.words.insert(number);
                if refused.is_none() {
                    self.spoken(at, by, said);
                }
            }
            CaseEntry::Ready => self.ready = true,
            CaseEntry::Moved { transition, rule, because, .. } => self.moved(seq, at, transition, &rule, &because),
            CaseEntry::Started { attempt, tier, pins, watermark, alerts, handover, span, .. } => {
                if let Some(last) = self.attempts.last_mut() {
                    last.ended.get_or_insert(at);
                }
                self.attempts.push(Attempt {
                    number: attempt,
                    tier,
                    pins,
                    watermark,
                    alerts,
                    alerts_changed: false,
                    handover: handover.map(|handover| *handover),
                    span,
                    started: at,
                    steps: BTreeMap::new(),
                    judged: None,
                    card: None,
                    ended: None,
                    broke_at: vec![],
                });
            }
            CaseEntry::Begun { attempt, ordinal, what, digest, span } => {
                if let Some(attempt) = self.attempt_mut(attempt) {
                    attempt.steps.insert(ordinal, Step { what, digest, span, begun: at, done: None });
                }
            }
            CaseEntry::Done { attempt, ordinal, result, again } => {
                if let Some(step) = self.attempt_mut(attempt).and_then(|a| a.steps.get_mut(&ordinal)) {
                    step.begun = again.unwrap_or(step.begun);
                    step.done = Some((at, result));
                }
            }
            CaseEntry::Taken { attempt, ordinal, what, digest, span, result } => {
                if let Some(attempt) = self.attempt_mut(attempt) {
                    attempt.steps.insert(ordinal, Step { what, digest, span, begun: at, done: Some((at, result)) });
                }
            }
            CaseEntry::Judged { attempt, draft, card } => {
                if let Some(attempt) = self.attempt_mut(attempt) {
                    attempt.judged = Some(*draft);
                    attempt.card = Some(card);
                    attempt.ended = Some(at);
                }
            }
            CaseEntry::Ended { attempt, .. } => {
                if let Some(attempt) = self.attempt_mut(attempt) {
                    attempt.ended = Some(at);
                }
            }
            CaseEntry::Broke { attempt, ordinal, .. } => {
                if let Some(attempt) = self.attempt_mut(attempt) {
                    attempt.broke_at.push(ordinal);
                }
            }
            CaseEntry::Proposed { proposal } => self.proposals.push(Proposed::new(proposal)),
            CaseEntry::Decided { proposal, decision, .. } => {
                if let Some(proposed) = self.proposals.iter_mut().find(|p| p.proposal.id == proposal) {
                    proposed.decide(decision);
                }
            }
            CaseEntry::Gate { row, when, event } => {
                self.told_gate = self.told_gate.max(row);
                let proposed = self.proposals.iter_mut().find(|p| event.proposal() == Some(p.proposal.id));
                if let Some(Proposed { proposal, standing: Some(standing), .. }) = proposed {
                    let mut matter = Matter { proposal: proposal.clone(), standing: standing.clone() };
                    // The gate's ledger refused the same step.
                    let _ = matter.apply(&event, when);
                    *standing = matter.standing;
                }
            }
            CaseEntry::Concluded => self.concluded = Some(at),
            CaseEntry::Unknown => {}
        }
    }

    /// Notes a row that can no longer be trusted.
    pub fn damaged(&mut self, damage: Damage) {
        self.last = damage.seq;
        self.damaged.push(damage);
    }

    fn join(&mut self, alert: AlertId) {
        if self.members.insert(alert.clone()) {
            self.alerts.push(alert);
            self.alerts_changed();
        }
    }

    fn leave(&mut self, alerts: &[AlertId]) {
        let leaving: HashSet<&AlertId> = alerts.iter().filter(|alert| self.members.contains(*alert)).collect();
        if leaving.is_empty() {
            return;
        }
        self.alerts.retain(|alert| !leaving.contains(alert));
        self.members.retain(|alert| !leaving.contains(alert));
        self.alerts_changed();
    }

    /// The investigation under way began on other alerts, and what was looked for again was about those.
    fn alerts_changed(&mut self) {
        self.second_looks = 0;
        if let Some(last) = self.attempts.last_mut().filter(|attempt| attempt.ended.is_none()) {
            last.alerts_changed = true;
        }
    }

    fn spoken(&mut self, at: Timestamp, by: String, said: Act) {
        match said {
            Act::Judge { ruling, because } | Act::Resolve { ruling, because } => {
                // A person's "benign" leaves a later machine free to agree; anything else is not to be closed by one.
                let benign = ruling.outcome() == Some(Outcome::Benign);
                self.reserved = (!benign).then_some(MandatoryHuman::PersonsWord);
                self.persons_verdict = Some(PersonsVerdict { ruling, by, because, at });
            }
            Act::Reopen { .. } => self.reserved = Some(MandatoryHuman::PersonsWord),
            Act::Assign { to } => self.assignee = Some(to),
            Act::Comment { .. } | Act::Merge { .. } | Act::Split { .. } => {}
        }
    }

    fn moved(&mut self, seq: u64, at: Timestamp, transition: RecordedTransition, rule: &str, because: &str) {
        match self.status.replay(&transition, self.classification()) {
            Ok(status) => {
                self.status = status;
                self.hold = None;
                self.resolved_on_proof = None;
                match transition {
                    RecordedTransition::Hold { hold } => self.hold = Some(hold),
                    RecordedTransition::Merge { into } => self.merged_into = Some(into),
                    RecordedTransition::Reopen { cause } => {
                        (self.ready, self.concluded) = (false, None);
                        match cause {
                            ReopenCause::ConfirmedNearby { case } => {
                                self.reopened_for.insert(case);
                                self.reserved.get_or_insert(MandatoryHuman::ConfirmedNearby);
                            }
                            ReopenCause::MoreArrived => self.second_looks += 1,
                            ReopenCause::NewAlert | ReopenCause::Person { .. } | ReopenCause::AlertsLeft => {}
                        }
                    }
                    RecordedTransition::ResolveOnProof { .. } => self.resolved_on_proof = Some(at),
                    RecordedTransition::Start
                    | RecordedTransition::ResolveByPerson { .. }
                    | RecordedTransition::CloseByPerson { .. } => {}
                }
                self.decided_by = Some(format!("{rule}: {because}"));
            }
            Err(illegal) => {
                let stream = super::case_stream::stream(self.id);
                self.damaged.push(Damage { stream, seq, what: illegal.to_string() });
            }
        }
    }
}

#[cfg(test)]
mod tests;
