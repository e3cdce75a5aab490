//! Outcomes of made-up cases.

use super::*;
use crate::fixtures::at;

/// A case with an alert on each of these hosts, not judged yet.
pub(in crate::experiment) fn case(number: u32, hosts: &[&str]) -> CaseScore {
    let alert = |host: &&str| AlertRef {
        rule_id: RuleId::new("rule-1"),
        host: HostName::new(*host),
        record_id: None,
        time: at(0),
        title: "Odd Shell".into(),
        kind: "Sysmon 1".into(),
    };
    CaseScore {
        id: CaseId::new(number),
        alerts: hosts.len() as u64,
        alert_refs: hosts.iter().map(alert).collect(),
        hosts: hosts.iter().map(|host| HostName::new(*host)).collect(),
        roles: Value::Null,
        status: Status::New,
        hold_reason: None,
        hold_cause: None,
        tier: None,
        classification: None,
        determination: None,
        probability: None,
        confidence: None,
        closed_by: None,
        proposals: vec![],
        citations: Citations::default(),
        history: vec![],
        closes: vec![],
        evidence: vec![],
        unverified: vec![],
    }
}

impl CaseScore {
    pub(in crate::experiment) fn judged(self, classification: Classification, probability: f64) -> Self {
        Self { classification: Some(classification), probability: Some(probability), ..self }
    }

    pub(in crate::experiment) fn held(self, cause: HoldCause) -> Self {
        Self { status: Status::OnHold, hold_cause: Some(cause), hold_reason: Some(cause.queue()), ..self }
    }

    pub(in crate::experiment) fn resolved(self) -> Self {
        let closes = vec![self.alert_refs.clone()];
        Self { status: Status::Resolved, closed_by: Some(ClosedBy::Machine), closes, ..self }
    }

    fn asking_to_isolate(mut self, host: &str) -> Self {
        let decision = "denied: dry_run".into();
        self.proposals.push(ProposalScore { host: HostName::new(host), action: Action::IsolateDevice, decision });
        self
    }

    fn quoting(mut self, rows: &[&str]) -> Self {
        self.evidence.extend(rows.iter().map(|row| (*row).to_owned()));
        self
    }
}

/// A scenario of ten events.
pub(in crate::experiment) fn scenario(label: &str, cases: Vec<CaseScore>) -> ScenarioScore {
    let alerts = cases.iter().map(|case| case.alerts).sum();
    let played = Played { events: 10, skipped: 0, alerts, steps: 2, cases, merged: vec![], seconds: 0.1 };
    ScenarioScore::of(&Label::parse(label).expect("a label"), played)
}

/// An attack from `wks-1` on `srv-1`, with `dc-1` standing by.
fn attack(cases: Vec<CaseScore>) -> ScenarioScore {
    scenario(
        r#"{"id":"a","kind":"attack","hosts":{"compromised":["SRV-1"],"origin":["WKS-1"],"bystander":["DC-1"]},
            "expected":{"isolate":["WKS-1","SRV-1"],"must_not_isolate":["DC-1"],"must_cite":["tool.exe /go","never"],
            "noise":"'Calm Rule' is the agent"}}"#,
        cases,
    )
}

#[test]
fn an_attack_is_detected_held_or_missed_on_its_own_hosts() {
    let outcome = |cases| attack(cases).outcome;
    let malicious = |host| case(1, &[host]).judged(Classification::TruePositive, 0.9).held(HoldCause::ConfirmedThreat);
    assert_eq!(outcome(vec![]), Outcome::Silent);
    assert_eq!(outcome(vec![malicious("wks-1.corp.example")]), Outcome::Detected);
    assert_eq!(outcome(vec![case(1, &["srv-1"]).held(HoldCause::InsufficientTelemetry)]), Outcome::Held);
    assert_eq!(outcome(vec![malicious("dc-1")]), Outcome::Missed, "the right word on the wrong host");
    assert_eq!(outcome(vec![case(1, &["srv-1"]).resolved()]), Outcome::Missed);
    assert_eq!(outcome(vec![case(1, &["srv-1"])]), Outcome::Missed, "not judged is not held");
    let both = vec![case(2, &["srv-1"]).resolved(), malicious("wks-1")];
    assert_eq!(outcome(both), Outcome::Detected);
}

#[test]
fn where_the_label_names_no_host_any_case_counts() {
    let of = |hosts: &str| {
        let label = format!(r#"{{"id":"a","kind":"attack","hosts":{hosts}}}"#);
        let scored =
            scenario(&label, vec![case(1, &["any"]).held(HoldCause::OwnerConfirmation), case(2, &[""]).resolved()]);
        (scored.outcome, scored.wrong_closes, scored.incident_cases.len())
    };
    assert_eq!(of("{}"), (Outcome::Held, 1, 2));
    assert_eq!(of(r#"{"compromised":["(one host)"]}"#), (Outcome::Held, 1, 2));
}

#[test]
fn a_silent_attack_stays_silent_when_others_are_loud() {
    let label = r#"{"id":"a","kind":"silent_attack","hosts":{"compromised":["SRV-1"],"bystander":["DC-1"]}}"#;
    assert_eq!(scenario(label, vec![case(1, &["dc-1"]).resolved()]).outcome, Outcome::Silent);
    assert_eq!(scenario(label, vec![case(1, &["srv-1"]).resolved()]).outcome, Outcome::Missed);
}

#[test]
fn a_benign_scenario_is_resolved_when_all_its_cases_are() {
    let label = r#"{"id":"a","kind":"benign"}"#;
    let resolved = || case(1, &["a"]).resolved();
    assert_eq!(scenario(label, vec![resolved(), resolved()]).outcome, Outcome::Resolved);
    let held = case(2, &["a"]).held(HoldCause::PolicyRequiresHuman);
    assert_eq!(scenario(label, vec![resolved(), held]).outcome, Outcome::Held);
    let alarm = case(2, &["a"]).judged(Classification::TruePositive, 0.8);
    let scored = scenario(label, vec![resolved(), alarm]);
    assert_eq!((scored.outcome, scored.wrong_closes, scored.incident_cases.len()), (Outcome::Detected, 0, 0));
    assert_eq!(scenario(label, vec![]).outcome, Outcome::Silent);
}

#[test]
fn a_close_is_wrong_on_the_incidents_hosts_unless_it_is_noise() {
    let closed = |host, title: &str| {
        let mut case = case(1, &[host, host]);
        case.alert_refs[0].title = title.into();
        case.resolved()
    };
    assert_eq!(attack(vec![closed("srv-1", "Odd Shell")]).wrong_closes, 1);
    assert_eq!(attack(vec![closed("dc-1", "Odd Shell")]).wrong_closes, 0);
    assert_eq!(attack(vec![closed("srv-1", "A Calm Rule Of Ours")]).wrong_closes, 1, "the other alert is none");
    let mut noise = closed("srv-1", "A Calm Rule Of Ours");
    noise.alert_refs[1].title = "Calm Rule".into();
    let scored = attack(vec![noise.resolved()]);
    assert_eq!((scored.wrong_closes, scored.incident_cases.len()), (0, 0));
    let by_a_person = CaseScore { closed_by: Some(ClosedBy::Person), closes: vec![], ..closed("srv-1", "Odd Shell") };
    assert_eq!(attack(vec![by_a_person]).wrong_closes, 0);
}

#[test]
fn what_was_done_at_an_earlier_step_counts() {
    let reopened = case(1, &["srv-1"]).resolved().judged(Classification::TruePositive, 0.9);
    let reopened = reopened.held(HoldCause::ConfirmedThreat);
    let scored = attack(vec![CaseScore { closed_by: None, ..reopened }]);
    assert_eq!((scored.outcome, scored.wrong_closes), (Outcome::Detected, 1), "found in the end, and closed before");
    // What joined later does not make an earlier close wrong: it was right on what had arrived.
    let mut joined = case(1, &["dc-1"]).resolved();
    joined.alert_refs.extend(case(1, &["srv-1"]).alert_refs);
    assert_eq!(attack(vec![joined]).wrong_closes, 0);
    let label = Label::parse(r#"{"id":"a","kind":"attack","hosts":{"compromised":["SRV-1"],"bystander":["DC-1"]}}"#);
    let merged = vec![case(2, &["srv-1"]).resolved().asking_to_isolate("dc-1")];
    let played = Played { events: 1, skipped: 0, alerts: 1, steps: 1, cases: vec![], merged, seconds: 0.1 };
    let scored = ScenarioScore::of(&label.expect("a label"), played);
    assert_eq!((scored.wrong_closes, scored.isolations.wrong), (1, 1), "a case that was merged later counts");
}

#[test]
fn isolations_are_counted_by_machine() {
    let of = |hosts: &[&str]| {
        let case = hosts.iter().fold(case(1, &["srv-1"]), |case, host| case.asking_to_isolate(host));
        attack(vec![case]).isolations
    };
    assert_eq!(of(&[]), Isolations { wanted: 2, proposed: 0, wrong: 0 });
    assert_eq!(of(&["wks-1", "WKS-1.corp.example"]), Isolations { wanted: 2, proposed: 1, wrong: 0 });
    assert_eq!(of(&["wks-1", "srv-1", "dc-1", "other"]), Isolations { wanted: 2, proposed: 2, wrong: 2 });
    let never = r#"{"id":"a","kind":"benign","expected":{"isolate":[],"must_not_isolate":["*"]}}"#;
    let asked = scenario(never, vec![case(1, &["a"]).asking_to_isolate("a")]);
    assert_eq!(asked.isolations, Isolations { wanted: 0, proposed: 0, wrong: 1 });
    let mut scan = case(1, &["srv-1"]).asking_to_isolate("dc-1");
    scan.proposals[0].action = Action::RunAvScan;
    assert_eq!(attack(vec![scan]).isolations.wrong, 0, "a scan is no isolation");
}

#[test]
fn alerts_of_bystanders_count_as_joined_in_a_case_of_the_incident() {
    let scored =
        attack(vec![case(1, &["srv-1", "dc-1", "DC-1.corp.example"]), case(2, &["dc-1"]), case(3, &["other"])]);
    assert_eq!((scored.bystander_alerts, scored.bystander_alerts_joined), (3, 2));
    let benign = r#"{"id":"a","kind":"benign","hosts":{"bystander":["DC-1"]}}"#;
    assert_eq!(scenario(benign, vec![case(1, &["dc-1"])]).bystander_alerts, 0);
}

#[test]
fn a_text_counts_as_shown_in_the_first_rows_of_a_verdict() {
    let of = |rows: &[&str]| attack(vec![case(1, &["srv-1"]).quoting(rows)]).must_cite;
    assert_eq!(of(&["C:\\TOOL.exe  /go"]), MustCite { wanted: 2, shown: 1 });
    let mut late = vec!["x"; MOST_CITATIONS];
    late.push("tool.exe /go");
    assert_eq!(of(&late), MustCite { wanted: 2, shown: 0 });
    let elsewhere = attack(vec![case(1, &["dc-1"]).quoting(&["tool.exe /go"])]).must_cite;
    assert_eq!(elsewhere.shown, 0);
}
