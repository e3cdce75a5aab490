//! Whatever happens in whatever order: nothing is carried out that no person approved in time.

use proptest::prelude::*;

use super::*;
use crate::domain::ids::{CaseId, ProposalId};

const ID: ProposalId = ProposalId::new(CaseId::new(1), 1);

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(minutes * 60).expect("a time")
}

fn approval(action: Action) -> Approval {
    Approval {
        case: CaseId::new(1),
        action,
        device: DeviceId::new("d1"),
        host: HostName::new("wks-1"),
        nature: Nature::Simulated,
        policy: "policy".into(),
        evidence: "evidence".into(),
        asked: at(0),
        expires: at(30),
    }
}

fn matter(action: Action) -> Matter {
    let because = "it spreads".into();
    let proposal = Proposal { id: ID, action, host: HostName::new("WKS-1"), because, evidence: vec![] };
    Matter::new(proposal, &Decision::Waiting { approval: Box::new(approval(action)) })
}

fn approved() -> GateEvent {
    let answer = Answer::Approved { by: "ana".into(), lease: SignedDuration::from_hours(4) };
    GateEvent::Answered { proposal: ID, word: 1, answer }
}

fn ordered(purpose: Purpose) -> GateEvent {
    let order = Order { purpose, key: "key".into(), by: "ana".into(), because: "a reason".into() };
    GateEvent::Ordered { proposal: ID, word: None, order }
}

fn settled(outcome: Outcome) -> GateEvent {
    GateEvent::Settled { proposal: ID, outcome }
}

fn any_event() -> impl Strategy<Value = GateEvent> {
    let denied = Answer::Denied { by: "ana".into(), because: "a test".into() };
    prop_oneof![
        2 => Just(approved()),
        1 => Just(GateEvent::Answered { proposal: ID, word: 2, answer: denied }),
        1 => Just(GateEvent::Lapsed { proposal: ID, rule: DenialRule::Expired, value: String::new() }),
        3 => Just(ordered(Purpose::Contain)),
        2 => Just(ordered(Purpose::Release)),
        2 => Just(GateEvent::Accepted { proposal: ID, action: DeviceActionId::new("a1") }),
        3 => Just(settled(Outcome::Verified)),
        1 => Just(settled(Outcome::TimedOut)),
        1 => (0..3_000_i64).prop_map(|until| GateEvent::Extended {
            proposal: ID, word: 3, by: "ana".into(), because: "a reason".into(), until: at(until)
        }),
        1 => Just(GateEvent::Unheard { word: 4, proposal: Some(ID), why: "x".into() }),
        1 => Just(GateEvent::Unknown),
    ]
}

proptest! {
    #[test]
    fn nothing_is_carried_out_that_no_person_approved_in_time(
        events in prop::collection::vec((any_event(), 0..20_i64), 0..40),
    ) {
        let mut matter = matter(Action::IsolateDevice);
        let (mut minutes, mut has_approval, mut isolations) = (0, false, 0);
        for (event, passed) in &events {
            minutes += passed;
            let before = matter.clone();
            match matter.apply(event, at(minutes)) {
                Err(_) => prop_assert_eq!(&before, &matter, "a step that is refused changes nothing"),
                Ok(()) => {
                    if matches!(event, GateEvent::Answered { .. }) {
                        prop_assert!(minutes < 30, "expiry never approves");
                        has_approval |= matches!(matter.standing, Standing::Approved { .. });
                    }
                    isolations += u32::from(matches!(matter.standing, Standing::UnderWay { action: None, .. })
                        && !matches!(before.standing, Standing::UnderWay { .. }));
                }
            }
            let acts = matter.standing.under_way().is_some() || matter.standing.lease().is_some();
            prop_assert!(has_approval || !acts);
            prop_assert!(isolations <= 1, "one approval is one isolation");
            if matter.standing.under_way().is_some() {
                prop_assert!(matter.standing.holds().is_some(), "what is under way holds its device");
            }
        }
    }

    /// What ended stays as it ended.
    #[test]
    fn an_end_is_an_end(events in prop::collection::vec(any_event(), 1..20)) {
        for standing in [
            Standing::Denied { rule: DenialRule::DryRun, value: String::new() },
            Standing::Refused { by: "ana".into(), because: "a test".into() },
            Standing::NotDone { why: "x".into() },
            Standing::Done,
        ] {
            let mut ended = Matter { standing: standing.clone(), ..matter(Action::RunAvScan) };
            for event in &events {
                let _ = ended.apply(event, at(1));
            }
            prop_assert_eq!(&ended.standing, &standing);
        }
    }
}

#[test]
fn an_isolation_that_was_seen_to_hold_is_a_lease_with_an_end() {
    let mut matter = matter(Action::IsolateDevice);
    for event in [approved(), ordered(Purpose::Contain), settled(Outcome::Verified)] {
        matter.apply(&event, at(10)).expect("it is legal");
    }
    let Standing::Live { lease } = &matter.standing else { panic!("{matter:?}") };
    assert_eq!((lease.since, lease.until, lease.owner.as_str()), (at(10), at(250), "ana"));
    assert_eq!((lease.id.to_string().as_str(), lease.undo), ("L-1.1", Action::ReleaseDevice));
    matter.apply(&ordered(Purpose::Release), at(260)).expect("it is legal");
    matter.apply(&settled(Outcome::TimedOut), at(270)).expect("it is legal");
    let Standing::Live { lease } = &matter.standing else { panic!("a device that was not let back is still held") };
    assert_eq!((lease.tries, lease.trouble.as_ref().map(|(_, when)| *when)), (1, Some(at(270))));
    assert!(matter.standing.needs_person());
    matter.apply(&ordered(Purpose::Release), at(280)).expect("it is tried again");
    matter.apply(&settled(Outcome::Verified), at(281)).expect("it is legal");
    assert!(matches!(matter.standing, Standing::Released { .. }) && !matter.standing.needs_person());
}

#[test]
fn a_scan_leaves_nothing_to_undo() {
    let mut matter = matter(Action::RunAvScan);
    for event in [approved(), ordered(Purpose::Contain), settled(Outcome::Verified)] {
        matter.apply(&event, at(10)).expect("it is legal");
    }
    assert_eq!(matter.standing, Standing::Done);
}

#[test]
fn an_event_of_a_later_version_is_kept_and_not_acted_on() {
    let event: GateEvent = serde_json::from_str(r#"{"event":"teleported","where":1}"#).expect("it is read");
    assert_eq!(event, GateEvent::Unknown);
}
