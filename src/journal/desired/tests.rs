//! What the desk is to show of a case.

use super::*;
use crate::domain::case::{Hold, HoldCause, Status};
use crate::domain::containment::{Action, Decision, DenialRule, Proposal};
use crate::domain::draft::Classification;
use crate::domain::ids::ProposalId;
use crate::domain::route::Tier;
use crate::fixtures::{CASE, ROOT, alert, at, draft, opened, started};
use crate::journal::case_log::Proposed;
use crate::journal::entry::{CaseEntry, Recorded};

fn log() -> CaseLog {
    let mut log = CaseLog::empty(CASE);
    let judged = CaseEntry::Judged {
        attempt: 1,
        draft: Box::new(draft(Classification::TruePositive, 0.9)),
        card: json!({"c": 1}),
    };
    for (seq, entry) in (1..).zip([opened("a"), started(1, Tier::One), judged]) {
        log.apply(Recorded { seq, at: at(0), entry });
    }
    log
}

fn shown(log: &CaseLog, alerts: Vec<Alert>) -> CaseState {
    let alerts: Vec<Arc<Alert>> = alerts.into_iter().map(Arc::new).collect();
    match state(log, &alerts) {
        DeskEffect::State { case, opened, state } => {
            assert_eq!((case, opened), (CASE, log.opened));
            *state
        }
        DeskEffect::Comment { .. } => panic!("it is a state"),
    }
}

fn loud(id: &str, host: &str, seconds: i64, level: Severity) -> Alert {
    let mut alert = alert(id, "e", host, seconds);
    alert.rule.level = level;
    alert
}

#[test]
fn the_loudest_alert_names_the_case_and_of_equals_the_first() {
    let alerts = vec![
        loud("low", "WKS-2", 0, Severity::Low),
        loud("later", "WKS-1", 9, Severity::High),
        loud("first", "wks-1.corp.example", 5, Severity::High),
    ];
    let state = shown(&log(), alerts);
    assert_eq!(state.title, "Rule of first on wks-1.corp.example and 2 more alerts");
    assert_eq!(state.severity, Severity::High);
    assert_eq!(state.hosts, ["wks-1", "wks-2"].map(HostName::new), "each machine once");
    assert_eq!(state.alerts, 3);
    assert_eq!(shown(&log(), vec![loud("one", "WKS-1", 0, Severity::Low)]).title, "Rule of one on WKS-1");
    let none = shown(&log(), vec![]);
    assert_eq!((none.alerts, none.severity), (0, Severity::Medium));
}

#[test]
fn what_the_journal_says_is_what_is_shown() {
    let mut log = log();
    log.status = Status::OnHold;
    log.hold = Some(Hold::for_failure(HoldCause::ToolFailure, "x"));
    log.decided_by = Some("rule: value".into());
    log.merged_into = Some(crate::domain::ids::CaseId::new(7));
    let state = shown(&log, vec![]);
    assert_eq!((state.version, state.status, &state.hold), (log.last, Status::OnHold, &log.hold));
    assert_eq!((&state.decided_by, state.merged_into), (&log.decided_by, log.merged_into));
    assert_eq!(state.verdict, Some(json!({"c": 1})), "the card as people were shown it");
    assert_eq!(state.trace, ROOT.trace.to_string());
}

#[test]
fn a_proposal_is_shown_with_its_answer() {
    let mut log = log();
    let proposal = |number| Proposal {
        id: ProposalId::new(CASE, number),
        action: Action::IsolateDevice,
        host: HostName::new("WKS-1"),
        because: "it spreads".into(),
        evidence: vec![],
    };
    let denied = Decision::Denied { rule: DenialRule::DryRun, value: "off".into() };
    let mut answered = Proposed::new(proposal(2));
    answered.decide(denied);
    log.proposals = vec![Proposed::new(proposal(1)), answered];
    let state = shown(&log, vec![]);
    assert_eq!(state.proposals[0]["answer"], "waiting");
    assert_eq!(state.proposals[1]["answer"], DenialRule::DryRun.reason());
    assert_eq!(state.proposals[1]["id"], "P-1.2");
    assert_eq!(state.proposals[1]["decision"], "denied");
    assert_eq!((&state.proposals[1]["rule"], &state.proposals[1]["value"]), (&json!("dry_run"), &json!("off")));
    assert!(!needs_person(&state.proposals[1]));
}
