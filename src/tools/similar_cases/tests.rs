//! Similar alerts, and what people decided on them.

use serde_json::{Value, json};

use super::*;
use crate::domain::case::RecordedTransition;
use crate::domain::ids::{AlertId, RuleId};
use crate::domain::person::{Act, PersonsAct};
use crate::domain::trace::{SpanId, SpanRef, TraceId};
use crate::fixtures::{BrokenStore, alert, at, journal};
use crate::journal::alert_log::AlertLog;
use crate::journal::case_stream::{Batch, CaseStream};
use crate::journal::entry::CaseEntry;
use crate::journal::people_log;
use crate::ports::events::Watermark;
use crate::ports::journal::Journal;

fn raised(id: &str, host: &str, command: &str, seconds: i64) -> Alert {
    let mut alert = alert(id, id, host, seconds);
    alert.matched = vec![Quote { field: "winlog.event_data.CommandLine".into(), value: command.into() }];
    alert
}

async fn ask(alerts: Vec<Alert>, own: Vec<Alert>, arguments: Value) -> Result<(Vec<String>, Similar), ToolError> {
    ask_after(alerts, own, arguments, vec![]).await
}

/// The same, where people have said this of cases that hold these alerts.
async fn ask_after(
    alerts: Vec<Alert>,
    own: Vec<Alert>,
    arguments: Value,
    said: Vec<(u32, &[&str], PersonsAct)>,
) -> Result<(Vec<String>, Similar), ToolError> {
    let (_folder, journal) = journal();
    let log = AlertLog::open(journal.clone()).await.expect("it opens");
    log.receive(alerts, at(0)).await.expect("they are stored");
    for (number, (case, alerts, said)) in said.into_iter().enumerate() {
        judged(&journal, number as u64 + 1, CaseId::new(case), alerts, said).await;
    }
    let around = Surroundings { alerts: Some(Arc::new(log)), journal: Some(journal), ..Surroundings::default() };
    let tool = SimilarCases(Arc::new(around));
    let scope = Scope {
        case: crate::fixtures::CASE,
        alerts: Arc::new(own),
        events: Arc::new(BrokenStore),
        watermark: Watermark(1),
    };
    let answer = tool.call(serde_json::from_value(arguments).expect("they fit"), &scope).await?;
    let texts = answer.rows.iter().map(|row| row.text.clone()).collect();
    Ok((texts, serde_json::from_value(answer.data).expect("it is typed")))
}

#[tokio::test]
async fn alerts_are_counted_by_rule_machine_and_values_without_the_cases_own() {
    let own = raised("a", "wks-1", "tool.exe /run 100", 0);
    let mut stranger = raised("x", "wks-1", "tool.exe /run 100", 0);
    stranger.rule.id = RuleId::new("another");
    let alerts = vec![
        own.clone(),
        stranger,
        raised("b", "wks-1", "TOOL.exe /run 22", 86_400),
        raised("c", "wks-2", "tool.exe /run 333", 2 * 86_400),
        raised("d", "wks-3", "tool.exe /wipe", 3 * 86_400),
    ];
    let (texts, similar) = ask(alerts, vec![own], json!({})).await.expect("it answers");
    let counted = |alike: &Alike| (alike.alerts, alike.hosts, alike.days);
    assert_eq!(counted(&similar.same_rule), (3, 3, 3));
    assert_eq!(counted(&similar.same_host), (1, 1, 1));
    assert_eq!(counted(&similar.same_values), (2, 2, 2));
    assert_eq!(similar.outcomes, None);
    assert_eq!(texts[3], "what people decided on them: no outcomes recorded");
    assert_eq!(
        texts[1],
        "of these on this machine: 1 other alert on 1 machine and 1 day, from 2026-01-02 to 2026-01-02"
    );
}

/// A case with these alerts, of which a person said this.
async fn judged(journal: &Arc<dyn Journal>, number: u64, case: CaseId, alerts: &[&str], said: PersonsAct) {
    let time = at(i64::try_from(number).expect("small"));
    people_log::say(journal.as_ref(), said.clone(), None, time).await.expect("it is said");
    let mut stream = CaseStream::open(journal.clone(), case, None).await.expect("it opens");
    let root = SpanRef { trace: TraceId([1; 16]), span: SpanId([1; 8]) };
    let joined = |id: &&str| CaseEntry::Joined { alert: AlertId::new(*id), reason: "alike".into() };
    let mut entries = vec![CaseEntry::Opened { alert: AlertId::new(alerts[0]), root }];
    entries.extend(alerts[1..].iter().map(joined));
    entries.push(CaseEntry::Spoken { number, by: said.by, said: said.act, refused: None });
    stream.append(Batch { entries, ..Batch::default() }, time).await.expect("it is on record");
}

fn says(by: &str, case: u32, ruling: &str) -> PersonsAct {
    let act = Act::Judge { ruling: ruling.parse().expect("a ruling"), because: format!("asked {by}") };
    PersonsAct { by: by.into(), cases: vec![CaseId::new(case)], act }
}

#[tokio::test]
async fn what_people_decided_is_shown_the_most_similar_first() {
    let own = raised("a", "wks-1", "tool.exe /run 100", 0);
    let alerts = vec![
        own.clone(),
        raised("b", "wks-2", "tool.exe /run 22", 1),
        raised("c", "wks-1", "tool.exe /wipe", 2),
        raised("d", "wks-3", "tool.exe /wipe", 3),
    ];
    let said = vec![
        (9, &["d"][..], says("anna", 9, "tp")),
        (8, &["c"][..], says("anna", 8, "undetermined")),
        (7, &["c"][..], says("ben", 7, "expected")),
        (6, &["b"][..], says("ben", 6, "fp")),
        (1, &["a"][..], says("carl", 1, "fp")),
    ];
    let (texts, similar) = ask_after(alerts, vec![own], json!({}), said).await.expect("it answers");
    assert_eq!(similar.outcomes, Some(Outcomes { malicious: 1, harmless: 2 }), "neither its own nor undecided ones");
    let told: Vec<_> = similar.judged.iter().map(|one| (one.case.number(), one.likeness)).collect();
    assert_eq!(told, [(6, Likeness::Values), (7, Likeness::Entities), (9, Likeness::Rule)]);
    assert!(texts[3].contains("1 time malicious, 2 times harmless"), "{texts:?}");
    assert!(texts[4].starts_with("WF-6: false_positive, said ben on 2026-01-01 (`asked ben`)"), "{texts:?}");
}

#[tokio::test]
async fn one_word_on_many_cases_is_one_judgement() {
    let own = raised("a", "wks-1", "tool.exe /run 100", 0);
    let all: Vec<CaseOutcome> = (2..40)
        .map(|case| CaseOutcome {
            case: CaseId::new(case),
            outcome: Outcome::Benign,
            verdict: crate::domain::person::PersonsVerdict {
                ruling: "fp".parse().expect("a ruling"),
                by: "anna".into(),
                because: "noise".into(),
                at: at(0),
            },
            rules: BTreeSet::from([own.rule.id.clone()]),
            alerts: vec![],
            first_alert: None,
        })
        .collect();
    assert_eq!(words(all.iter()), Outcomes { malicious: 0, harmless: 1 });
}

#[tokio::test]
async fn a_machines_close_is_no_outcome() {
    let own = raised("a", "wks-1", "tool.exe /run 100", 0);
    let (_folder, journal) = journal();
    let log = AlertLog::open(journal.clone()).await.expect("it opens");
    log.receive(vec![raised("b", "wks-1", "tool.exe /run 100", 1)], at(0)).await.expect("they are stored");
    let mut stream = CaseStream::open(journal.clone(), CaseId::new(5), None).await.expect("it opens");
    let root = SpanRef { trace: TraceId([1; 16]), span: SpanId([1; 8]) };
    let classification = crate::domain::draft::Classification::FalsePositive;
    let moved =
        |transition| CaseEntry::Moved { transition, by: "Tier 1".into(), rule: "r".into(), because: "b".into() };
    let entries = vec![
        CaseEntry::Opened { alert: AlertId::new("b"), root },
        moved(RecordedTransition::Start),
        moved(RecordedTransition::ResolveOnProof { classification }),
    ];
    stream.append(Batch { entries, ..Batch::default() }, at(1)).await.expect("it is on record");
    let around = Surroundings { alerts: Some(Arc::new(log)), journal: Some(journal), ..Surroundings::default() };
    let scope = Scope {
        case: crate::fixtures::CASE,
        alerts: Arc::new(vec![own]),
        events: Arc::new(BrokenStore),
        watermark: Watermark(1),
    };
    let asked = serde_json::from_value(json!({})).expect("they fit");
    let answer = SimilarCases(Arc::new(around)).call(asked, &scope).await.expect("it answers");
    let similar: Similar = serde_json::from_value(answer.data).expect("it is typed");
    assert_eq!((similar.outcomes, similar.judged.len(), similar.same_rule.alerts), (None, 0, 1));
}

#[tokio::test]
async fn nothing_alike_is_said_and_a_strange_alert_is_refused() {
    let own = alert("a", "e", "wks-1", 0);
    let (texts, similar) = ask(vec![own.clone()], vec![own.clone()], json!({"alert": "a"})).await.expect("it answers");
    assert_eq!(similar, Similar::default());
    assert!(texts[0].ends_with(": no other alert"), "{texts:?}");
    let refused = ask(vec![], vec![own], json!({"alert": "z"})).await;
    assert!(matches!(refused, Err(ToolError::NotFound { .. })));
}
