//! What a case is after its entries, and what cannot make anything of it.

use serde_json::json;

use super::*;
use crate::domain::case::{HoldCause, PersonsWord, ReopenCause};
use crate::domain::containment::{Action, DenialRule};
use crate::domain::entity::HostName;
use crate::domain::ids::ProposalId;
use crate::fixtures::{CASE, ROOT, at, draft, opened, started};
use crate::journal::json::Json;

fn log(entries: Vec<CaseEntry>) -> CaseLog {
    let mut log = CaseLog::empty(CASE);
    for (seq, entry) in (1..).zip(entries) {
        log.apply(Recorded { seq, at: at(i64::try_from(seq).expect("few")), entry });
    }
    log
}

fn moved(transition: RecordedTransition) -> CaseEntry {
    CaseEntry::Moved { transition, by: "Tier 1".into(), rule: "a_rule".into(), because: "a value".into() }
}

fn hold() -> RecordedTransition {
    RecordedTransition::Hold { hold: Hold::for_failure(HoldCause::ToolFailure, "x") }
}

fn judged(attempt: u32, classification: Classification) -> CaseEntry {
    let probability = if classification == Classification::TruePositive { 0.9 } else { 0.01 };
    let card = json!({"of": attempt});
    CaseEntry::Judged { attempt, draft: Box::new(draft(classification, probability)), card }
}

fn proposed(number: u32) -> CaseEntry {
    let proposal = Proposal {
        id: ProposalId::new(CASE, number),
        action: Action::IsolateDevice,
        host: HostName::new("WKS-1"),
        because: "it spreads".into(),
        evidence: vec![],
    };
    CaseEntry::Proposed { proposal }
}

#[test]
fn alerts_are_counted_once_in_the_order_they_joined() {
    let joined = |id: &str| CaseEntry::Joined { alert: AlertId::new(id), reason: "r".into() };
    let absorbed = CaseEntry::Absorbed {
        case: CaseId::new(2),
        alerts: vec![AlertId::new("b"), AlertId::new("c")],
        reason: "r".into(),
    };
    let log = log(vec![opened("a"), joined("b"), joined("a"), absorbed, CaseEntry::Ready]);
    assert_eq!(log.alerts, ["a", "b", "c"].map(AlertId::new));
    assert_eq!((log.opened, log.root, log.ready, log.last), (at(1), ROOT, true, 5));
}

#[test]
fn a_new_attempt_ends_the_one_before_and_only_the_last_runs() {
    let log = log(vec![opened("a"), started(1, Tier::One), started(2, Tier::Two)]);
    assert_eq!(log.attempts[0].ended, Some(at(3)));
    assert_eq!(log.running().map(|attempt| (attempt.number, attempt.tier)), Some((2, Tier::Two)));
    let ended = CaseEntry::Ended { attempt: 2, why: "budget".into() };
    let log = self::log(vec![opened("a"), started(1, Tier::One), started(2, Tier::Two), ended]);
    assert_eq!(log.running(), None);
    assert_eq!(log.attempts[1].ended, Some(at(4)));
}

#[test]
fn the_verdict_that_stands_is_the_last_one_accepted() {
    let first = vec![opened("a"), started(1, Tier::One), judged(1, Classification::TruePositive)];
    assert_eq!(log(vec![opened("a"), started(1, Tier::One)]).judged(), None);
    let two = log(first.iter().cloned().chain([started(2, Tier::Two)]).collect());
    assert_eq!(two.judged().map(|(attempt, _)| attempt.number), Some(1), "tier 2 has not judged yet");
    assert_eq!(two.attempts[0].ended, Some(at(3)), "a judgement ends its attempt");
    let both = [started(2, Tier::Two), judged(2, Classification::FalsePositive)];
    let both = log(first.into_iter().chain(both).collect());
    let (attempt, draft) = both.judged().expect("it was judged");
    assert_eq!((attempt.number, draft.classification), (2, Classification::FalsePositive));
    assert_eq!(attempt.card, Some(json!({"of": 2})));
}

#[test]
fn steps_keep_their_times_and_what_came_of_them() {
    let begun = |ordinal| CaseEntry::Begun {
        attempt: 1,
        ordinal,
        what: "move".into(),
        digest: "d".into(),
        span: SpanId([1; 8]),
    };
    let done =
        |ordinal| CaseEntry::Done { attempt: 1, ordinal, result: Payload::Inline(Json::of(&ordinal)), again: None };
    // Numbered from 1: begun at 3 and 4, done at 6 and 7; the third is never done.
    let entries = vec![opened("a"), started(1, Tier::One), begun(1), begun(2), begun(3), done(2), done(1), done(9)];
    let log = log(entries);
    let attempt = &log.attempts[0];
    assert_eq!(attempt.steps[&1].done, Some((at(7), Payload::Inline(Json::of(&1)))));
    assert_eq!(attempt.steps[&2].done, Some((at(6), Payload::Inline(Json::of(&2)))));
    assert_eq!(attempt.steps[&3].done, None);
    assert_eq!(attempt.steps.len(), 3, "an answer without a question makes no step");
    assert!((attempt.seconds_worked() - 4.0).abs() < 1e-9, "side by side, and nothing for what is open");
}

#[test]
fn time_between_steps_is_no_work() {
    let mut log = log(vec![opened("a"), started(1, Tier::One)]);
    // Begun and done: 10 to 12, within it 11 to 12, then 20 to 23.
    for (seq, (ordinal, begun, done)) in (3..).step_by(2).zip([(1, 10, 12), (2, 11, 12), (3, 20, 23)]) {
        let what = "move".into();
        let entry = CaseEntry::Begun { attempt: 1, ordinal, what, digest: "d".into(), span: SpanId([1; 8]) };
        log.apply(Recorded { seq, at: at(begun), entry });
        let entry = CaseEntry::Done { attempt: 1, ordinal, result: Payload::Inline(Json::of(&1)), again: None };
        log.apply(Recorded { seq: seq + 1, at: at(done), entry });
    }
    assert!((log.attempts[0].seconds_worked() - 5.0).abs() < 1e-9, "{}", log.attempts[0].seconds_worked());
}

#[test]
fn a_slot_that_broke_is_counted_with_its_step() {
    let broke = |ordinal| CaseEntry::Broke { attempt: 1, ordinal, what: "panic".into() };
    let log = log(vec![opened("a"), started(1, Tier::One), broke(3), broke(3), broke(5)]);
    assert_eq!(log.attempts[0].broke_at, [3, 3, 5]);
    assert!(log.running().is_some(), "a break ends nothing");
}

#[test]
fn proposals_wait_until_they_are_decided() {
    let denied = Decision::Denied { rule: DenialRule::DryRun, value: String::new() };
    let decided = |number| CaseEntry::Decided {
        proposal: ProposalId::new(CASE, number),
        decision: denied.clone(),
        span: SpanId([1; 8]),
    };
    let log = log(vec![opened("a"), proposed(1), proposed(2), decided(2), decided(7)]);
    assert_eq!(log.undecided().map(|p| p.id).collect::<Vec<_>>(), [ProposalId::new(CASE, 1)]);
    assert_eq!(log.proposals[1].decision, Some(denied));
    assert_eq!(log.proposals.len(), 2);
}

#[test]
fn a_status_moves_with_its_ground() {
    let held = log(vec![opened("a"), moved(RecordedTransition::Start), moved(hold())]);
    assert_eq!(held.status, Status::OnHold);
    assert_eq!(held.hold.as_ref().map(|hold| hold.cause), Some(HoldCause::ToolFailure));
    assert_eq!(held.decided_by.as_deref(), Some("a_rule: a value"));
    let reopened = moved(RecordedTransition::Reopen { cause: ReopenCause::NewAlert });
    let entries = vec![opened("a"), moved(RecordedTransition::Start), moved(hold()), reopened];
    let again = log(entries);
    assert_eq!((again.status, again.hold), (Status::InProgress, None), "what it waited for is over");
    let merged = log(vec![opened("a"), moved(RecordedTransition::Merge { into: CaseId::new(4) })]);
    assert_eq!((merged.status, merged.merged_into), (Status::Merged, Some(CaseId::new(4))));
}

#[test]
fn a_recorded_machine_resolution_without_a_benign_verdict_changes_nothing_and_is_noted() {
    let resolve = || moved(RecordedTransition::ResolveOnProof { classification: Classification::FalsePositive });
    let begin = [opened("a"), moved(RecordedTransition::Start), started(1, Tier::One)];
    let with = |entries: Vec<CaseEntry>| log(begin.iter().cloned().chain(entries).collect());

    let unjudged = with(vec![resolve()]);
    let malicious = with(vec![judged(1, Classification::TruePositive), resolve()]);
    let undecided = with(vec![judged(1, Classification::Undetermined), resolve()]);
    for refused in [unjudged, malicious, undecided] {
        assert_eq!(refused.status, Status::InProgress);
        assert_eq!(refused.damaged.len(), 1);
        assert_eq!((refused.damaged[0].seq, refused.damaged[0].stream.0.as_str()), (refused.last, "case/WF-1"));
        assert_eq!(refused.decided_by.as_deref(), Some("a_rule: a value"), "the start's, which is the same text");
    }
    let proven = with(vec![judged(1, Classification::FalsePositive), resolve()]);
    assert_eq!((proven.status, proven.damaged.as_slice()), (Status::Resolved, [].as_slice()));
}

#[test]
fn a_refused_step_leaves_hold_merge_and_decider_as_they_were() {
    let word = PersonsWord { by: "p".into(), because: "b".into() };
    let close = CaseEntry::Moved {
        transition: RecordedTransition::CloseByPerson { word },
        by: "p".into(),
        rule: "other".into(),
        because: "other".into(),
    };
    let log = log(vec![opened("a"), moved(RecordedTransition::Start), close]);
    assert_eq!(log.status, Status::InProgress, "work in progress cannot be closed");
    assert_eq!(log.decided_by.as_deref(), Some("a_rule: a value"));
    assert_eq!(log.damaged.len(), 1);
}

#[test]
fn entries_of_a_later_version_and_of_unknown_attempts_are_passed_over() {
    let stray = [
        CaseEntry::Unknown,
        CaseEntry::Begun { attempt: 8, ordinal: 1, what: "m".into(), digest: "d".into(), span: SpanId([1; 8]) },
        CaseEntry::Done { attempt: 8, ordinal: 1, result: Payload::Inline(Json::of(&1)), again: None },
        judged(8, Classification::FalsePositive),
        CaseEntry::Ended { attempt: 8, why: "w".into() },
        CaseEntry::Broke { attempt: 8, ordinal: 1, what: "w".into() },
    ];
    let count = stray.len() as u64;
    let before = log(vec![opened("a"), started(1, Tier::One)]);
    let after = log([opened("a"), started(1, Tier::One)].into_iter().chain(stray).collect());
    assert_eq!(after.last, before.last + count);
    assert_eq!(CaseLog { last: before.last, ..after }, before);
}
