//! What is cited is read again, and only what the store then says counts.

use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::domain::draft::{Answer, Classification, Draft, YesNoUnknown};
use crate::domain::entity::HostName;
use crate::domain::event::SYSMON;
use crate::domain::evidence::{Quote, Strength, Weight};
use crate::domain::ids::EventId;
use crate::fixtures::{BrokenStore, at, citation, draft, event, store};

const EVERYTHING: Watermark = Watermark(u64::MAX);

/// A process creation (`p`), and network events before and after it, so that the sensor is proven alive.
async fn log() -> (TempDir, Arc<dyn EventStore>) {
    store(vec![
        event("n1", 0, "WKS-1", (SYSMON, 3), json!({"Image": "a.exe", "DestinationIp": "192.0.2.1"})),
        event("p", 100, "WKS-1", (SYSMON, 1), json!({"CommandLine": "tool.exe /all", "IntegrityLevel": "High"})),
        event("n2", 200, "WKS-1", (SYSMON, 3), json!({"Image": "a.exe", "DestinationIp": "192.0.2.2"})),
    ])
    .await
}

fn ledger(exhibits: &[Exhibit]) -> Ledger {
    let mut ledger = Ledger::default();
    for exhibit in exhibits {
        ledger.admit(exhibit);
    }
    ledger
}

fn of(id: &str) -> Exhibit {
    Exhibit::Event { event: EventId::new(id) }
}

/// Sysmon 3 on a host between two instants, to this address.
fn absence(host: &str, from: i64, to: i64, address: &str) -> AbsenceClaim {
    AbsenceClaim {
        host: HostName::new(host),
        channel: SYSMON.into(),
        code: 3,
        process: None,
        conditions: vec![Quote { field: "winlog.event_data.DestinationIp".into(), value: address.into() }],
        from: at(from),
        to: at(to),
    }
}

fn harm(id: u32, value: &str) -> Citation {
    citation(id, "CommandLine", value, Weight::ForMalicious, Strength::Strong)
}

fn malicious(citations: Vec<Citation>) -> Draft {
    Draft { citations, ..draft(Classification::TruePositive, 0.9) }
}

async fn judged(ledger: &Ledger, draft: &Draft) -> Result<Verdict, Vec<Rejection>> {
    let (_folder, store) = log().await;
    judge(store.as_ref(), ledger, draft, &[], EVERYTHING).await.expect("the store can be read")
}

async fn refused(ledger: &Ledger, citation: Citation) -> CitationError {
    // Beside a sound citation, so that nothing else is wrong.
    let reasons = judged(ledger, &malicious(vec![harm(1, "tool.exe"), citation])).await.expect_err("it is refused");
    match reasons.as_slice() {
        [Rejection::Citation(reason)] => reason.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_true_quote_becomes_evidence() {
    let verdict = judged(&ledger(&[of("p")]), &malicious(vec![harm(1, "tool.exe /all")])).await.expect("it stands");
    assert_eq!(verdict.evidence().len(), 1);
    assert_eq!(verdict.evidence()[0].seen().map(|seen| seen.event().as_str()), Some("p"));
    assert_eq!(verdict.evidence()[0].id(), EvidenceId::new(1));
}

#[tokio::test]
async fn an_altered_quote_a_missing_field_and_an_empty_one_are_refused() {
    let ledger = ledger(&[of("p")]);
    let id = EvidenceId::new(1);
    let differs = CitationError::Differs { id, field: "winlog.event_data.CommandLine".into() };
    assert_eq!(refused(&ledger, harm(1, "tool.exe /ALL")).await, differs);
    let missing = CitationError::NoField { id, field: "winlog.event_data.Image".into() };
    assert_eq!(refused(&ledger, citation(1, "Image", "x", Weight::Neutral, Strength::Weak)).await, missing);
    assert_eq!(refused(&ledger, harm(1, "to")).await, CitationError::NothingQuoted(id));
    let silent = Citation { quotes: vec![], ..harm(1, "") };
    assert_eq!(refused(&ledger, silent).await, CitationError::NothingQuoted(id));
}

#[tokio::test]
async fn an_id_that_was_never_given_out_here_is_refused() {
    // Event `n1` is in the store and was shown in another case only.
    assert_eq!(refused(&ledger(&[of("p")]), harm(2, "a.exe")).await, CitationError::Unknown(EvidenceId::new(2)));
    assert_eq!(refused(&ledger(&[of("p")]), harm(0, "a.exe")).await, CitationError::Unknown(EvidenceId::new(0)));
}

#[tokio::test]
async fn an_event_that_is_gone_proves_nothing() {
    assert_eq!(refused(&ledger(&[of("p"), of("gone")]), harm(2, "x")).await, CitationError::Gone(EvidenceId::new(2)));
}

#[tokio::test]
async fn every_reason_is_given_at_once() {
    let mut wrong = malicious(vec![harm(7, "tool.exe"), harm(1, "other.exe")]);
    wrong.malicious_probability = 0.1;
    let reasons = judged(&ledger(&[of("p")]), &wrong).await.expect_err("it is refused");
    let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    assert!(reasons[0].starts_with("E7 ") && reasons[1].starts_with("E1:"), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("does not fit")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("cite at least one")), "nothing is left: {reasons:?}");
}

#[tokio::test]
async fn one_false_citation_spoils_a_draft_that_would_stand_without_it() {
    let ledger = ledger(&[of("p")]);
    assert!(judged(&ledger, &malicious(vec![harm(1, "tool.exe")])).await.is_ok());
    assert!(judged(&ledger, &malicious(vec![harm(1, "tool.exe"), harm(1, "never said")])).await.is_err());
}

#[tokio::test]
async fn an_absence_counts_only_while_the_sensor_reports_and_nothing_is_found() {
    let shown = |claim: AbsenceClaim| ledger(&[of("p"), Exhibit::Absence { absence: claim }]);
    let cited = || Citation { quotes: vec![], ..citation(2, "", "", Weight::ForBenign, Strength::Weak) };
    let id = EvidenceId::new(2);

    let alive = shown(absence("WKS-1", 50, 150, "203.0.113.9"));
    let verdict = judged(&alive, &malicious(vec![harm(1, "tool.exe"), cited()])).await.expect("it stands");
    assert_eq!(verdict.evidence().iter().map(|item| item.seen().is_none()).collect::<Vec<_>>(), [false, true]);

    let other_host = shown(absence("WKS-2", 50, 150, "203.0.113.9"));
    assert_eq!(refused(&other_host, cited()).await, CitationError::SensorNotProven(id));
    let one_side = shown(absence("WKS-1", 250, 300, "203.0.113.9"));
    assert_eq!(refused(&one_side, cited()).await, CitationError::SensorNotProven(id));
    let found = shown(absence("WKS-1", 0, 300, "192.0.2.2"));
    assert_eq!(refused(&found, cited()).await, CitationError::NotAbsent(id));
}

#[tokio::test]
async fn an_absence_of_a_process_is_searched_by_whatever_field_names_it() {
    let access = json!({"SourceProcessGUID": "{AA-1}", "SourceImage": "a.exe", "TargetImage": "b.exe"});
    let (_folder, store) = store(vec![
        event("before", 0, "WKS-1", (SYSMON, 10), json!({"SourceProcessGUID": "{BB-1}"})),
        event("access", 100, "WKS-1", (SYSMON, 10), access),
        event("after", 200, "WKS-1", (SYSMON, 10), json!({"SourceProcessGUID": "{BB-1}"})),
    ])
    .await;
    let cited = Citation { quotes: vec![], ..citation(1, "", "", Weight::ForBenign, Strength::Weak) };
    for (process, is_absent) in [("{aa-1}", false), ("{cc-1}", true)] {
        let conditions = vec![];
        let claim =
            AbsenceClaim { code: 10, process: Some(process.into()), conditions, ..absence("WKS-1", 50, 150, "") };
        let shown = ledger(&[Exhibit::Absence { absence: claim }]);
        let checked = verify(store.as_ref(), &shown, &cited, EVERYTHING).await;
        assert_eq!(checked.is_ok(), is_absent, "{process}: {checked:?}");
    }
}

#[tokio::test]
async fn what_arrived_after_the_watermark_neither_proves_a_sensor_nor_disproves_an_absence() {
    let (_folder, store) = log().await;
    let claim = absence("WKS-1", 50, 300, "192.0.2.2");
    let shown = ledger(&[of("p"), Exhibit::Absence { absence: claim }]);
    let cited = Citation { quotes: vec![], ..citation(2, "", "", Weight::ForBenign, Strength::Weak) };
    let at_two = verify(store.as_ref(), &shown, &cited, Watermark(2)).await;
    let not_proven = CitationError::SensorNotProven(EvidenceId::new(2));
    assert!(matches!(&at_two, Err(EvidenceError::Claim(reason)) if *reason == not_proven), "{at_two:?}");
    let at_three = verify(store.as_ref(), &shown, &cited, Watermark(3)).await;
    let not_absent = CitationError::NotAbsent(EvidenceId::new(2));
    assert!(matches!(&at_three, Err(EvidenceError::Claim(reason)) if *reason == not_absent), "{at_three:?}");
}

#[tokio::test]
async fn coverage_counts_answers_that_cite_what_this_case_was_shown() {
    let (_folder, store) = log().await;
    let answer = |evidence| Answer {
        question: "q".into(),
        answer: YesNoUnknown::Yes,
        evidence: vec![EvidenceId::new(evidence)],
        why_unknown: None,
    };
    let playbook = [Question { id: "q", asks: "?", weight: 1.0 }];
    for (evidence, share) in [(1, 1.0), (2, 0.0)] {
        let draft = Draft { answers: vec![answer(evidence)], ..malicious(vec![harm(1, "tool.exe")]) };
        let judged = judge(store.as_ref(), &ledger(&[of("p")]), &draft, &playbook, EVERYTHING).await;
        let verdict = judged.expect("the store can be read").expect("it stands");
        assert!((verdict.coverage().share() - share).abs() < 1e-9);
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_read_decides_nothing() {
    let draft = malicious(vec![harm(1, "tool.exe")]);
    assert!(judge(&BrokenStore, &ledger(&[of("p")]), &draft, &[], EVERYTHING).await.is_err());
    assert!(reread(&BrokenStore, &ledger(&[of("p")]), &[EvidenceId::new(1)]).await.is_err());
}

#[tokio::test]
async fn the_gatekeeper_counts_only_events_that_are_still_there() {
    let (_folder, store) = log().await;
    let absent = Exhibit::Absence { absence: absence("WKS-1", 50, 150, "203.0.113.9") };
    let ledger = ledger(&[of("p"), of("gone"), absent, of("n1")]);
    let ids = |numbers: &[u32]| numbers.iter().map(|number| EvidenceId::new(*number)).collect::<Vec<_>>();
    let read = async |numbers: &[u32]| reread(store.as_ref(), &ledger, &ids(numbers)).await.expect("it is read");
    let count = async |numbers: &[u32]| read(numbers).await.events;
    assert_eq!(count(&[1, 4]).await, 2);
    assert_eq!(count(&[2, 3, 9]).await, 0);
    assert_eq!(count(&[]).await, 0);
    assert_eq!(read(&[1, 4]).await.digest, read(&[1, 4]).await.digest);
    assert_ne!(read(&[1, 4]).await.digest, read(&[1]).await.digest);
}
