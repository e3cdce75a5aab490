//! A word counts only if it is exactly right: the right person, the right moment, a reason where one is due.

use super::*;
use crate::domain::containment::{Action, Approval, Decision, Mode, Nature, Order, Outcome, Proposal};
use crate::domain::entity::HostName;
use crate::domain::ids::{CaseId, DeviceId, LeaseId};
use crate::journal::audit::AuditRow;

const ID: ProposalId = ProposalId::new(CaseId::new(1), 1);

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(minutes * 60).expect("a time")
}

/// A ledger with one proposal that waits until minute 30, and whatever happened to it since, a minute each.
fn ledger(events: Vec<GateEvent>) -> GateLedger {
    let because = "it spreads".to_owned();
    let host = HostName::new("WKS-1");
    let proposal = Proposal { id: ID, action: Action::IsolateDevice, host: host.clone(), because, evidence: vec![] };
    let approval = Approval {
        case: CaseId::new(1),
        action: Action::IsolateDevice,
        device: DeviceId::new("d1"),
        host,
        nature: Nature::Simulated,
        policy: "policy".into(),
        evidence: "evidence".into(),
        asked: at(0),
        expires: at(30),
    };
    let decision = Decision::Waiting { approval: Box::new(approval) };
    let decided = GateEvent::Decided { proposal, decision, facts: String::new(), policy: String::new() };
    let events = std::iter::once(decided).chain(events);
    let rows: Vec<AuditRow> = (1..)
        .zip(events)
        .map(|(seq, event)| AuditRow { seq, at: at(i64::try_from(seq).expect("few")), event })
        .collect();
    GateLedger::of(&rows)
}

fn live() -> GateLedger {
    let answer = Answer::Approved { by: "ana".into(), lease: SignedDuration::from_hours(4) };
    let (by, because) = ("ana".into(), "it spreads".into());
    let order = Order { purpose: Purpose::Contain, key: "key".into(), by, because };
    ledger(vec![
        GateEvent::Answered { proposal: ID, word: 1, answer },
        GateEvent::Ordered { proposal: ID, word: None, order },
        GateEvent::Settled { proposal: ID, outcome: Outcome::Verified },
    ])
}

fn heard(ledger: &GateLedger, word: &Word, minutes: i64) -> Result<Heard, String> {
    match weigh(ledger, &Policy::of(Mode::Approve), 7, word, at(minutes)) {
        Heard::Event(GateEvent::Unheard { word: 7, why, .. }) => Err(why),
        heard => Ok(heard),
    }
}

fn approve(by: &str, hours: Option<i64>) -> Word {
    Word::Approve { proposal: ID, by: by.into(), lasts: hours.map(SignedDuration::from_hours) }
}

fn deny(because: &str) -> Word {
    Word::Deny { proposal: ID, by: "ana".into(), because: because.into() }
}

fn release(because: &str) -> Word {
    Word::Release { lease: LeaseId::of(ID), by: "ana".into(), because: because.into() }
}

fn extend(hours: i64, because: &str) -> Word {
    let (lease, lasts) = (LeaseId::of(ID), SignedDuration::from_hours(hours));
    Word::Extend { lease, by: "ana".into(), because: because.into(), lasts }
}

#[test]
fn an_approval_is_checked_before_it_counts() {
    let waiting = ledger(vec![]);
    assert!(matches!(heard(&waiting, &approve("ana", None), 5), Ok(Heard::Check(ID))));
    assert!(matches!(heard(&waiting, &approve("ana", Some(24)), 5), Ok(Heard::Check(ID))));
    for (word, says) in [
        (approve("Tier 2", None), "no person's name"),
        (approve("", None), "no person's name"),
        (approve("ana", Some(25)), "at most 24h"),
        (approve("ana", Some(0)), "more than nothing"),
        (release("a reason"), "waits for a person"),
        (deny(""), "needs a reason"),
    ] {
        let why = heard(&waiting, &word, 5).expect_err("it is not right");
        assert!(why.contains(says), "{word:?}: {why}");
    }
    assert!(heard(&live(), &approve("ana", None), 5).is_err(), "it was approved already");
    assert!(heard(&GateLedger::default(), &approve("ana", None), 5).is_err(), "there is none");
}

#[test]
fn a_denial_counts_in_time() {
    let waiting = ledger(vec![]);
    assert!(matches!(heard(&waiting, &deny("a drill"), 29), Ok(Heard::Event(GateEvent::Answered { .. }))));
    assert!(heard(&waiting, &deny("a drill"), 30).is_err_and(|why| why.contains("came late")));
}

#[test]
fn a_lease_is_extended_within_a_day_and_released_with_a_reason() {
    let live = live();
    assert!(matches!(heard(&live, &release("re-imaged"), 5), Ok(Heard::Release(ID, ..))));
    assert!(heard(&live, &release(" "), 5).is_err());
    let Ok(Heard::Event(GateEvent::Extended { until, .. })) = heard(&live, &extend(20, "a look"), 5) else {
        panic!("it is within a day")
    };
    assert_eq!(until, at(4 + 24 * 60));
    assert!(heard(&live, &extend(21, "a look"), 5).is_err_and(|why| why.contains("at most 24h")));
    assert!(heard(&live, &extend(0, "a look"), 5).is_err() && heard(&live, &extend(2, ""), 5).is_err());
}
