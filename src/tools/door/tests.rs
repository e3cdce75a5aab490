//! Everything an analyst asks passes here once, in order, on record.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::domain::draft::Classification;
use crate::domain::event::SYSMON;
use crate::domain::evidence::{Exhibit, Strength, Weight};
use crate::domain::ids::{EventId, EvidenceId};
use crate::fixtures::{BrokenStore, CASE, HandClock, ROOT, at, case_at_work, citation, draft, event, journal, store};
use crate::journal::case_stream::CaseStream;
use crate::journal::effects::comment;
use crate::ports::events::{EventStore, Watermark};
use crate::ports::journal::Journal;
use crate::tools::answer::{Header, LONGEST_TEXT, Row};
use crate::tools::tool::{Permission, Tool};

/// Answers after a while with rows for these events, and notes when it was done.
#[derive(Clone, Default)]
struct Slow {
    done: Arc<Mutex<Vec<String>>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SlowArguments {
    milliseconds: u64,
    events: Vec<String>,
    #[serde(default)]
    length: usize,
}

#[async_trait]
impl Tool for Slow {
    const NAME: &'static str = "slow";
    const DESCRIPTION: &'static str = "Answers after a while.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = SlowArguments;

    async fn call(&self, arguments: SlowArguments, _: &Scope) -> Result<Answer, ToolError> {
        tokio::time::sleep(Duration::from_millis(arguments.milliseconds)).await;
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(arguments.events.join("+"));
        let rows = arguments.events.iter().map(|id| Row {
            exhibit: Some(Exhibit::Event { event: EventId::new(id) }),
            view: None,
            text: format!("{id}{}", "x".repeat(arguments.length)),
        });
        let rows: Vec<Row> = rows.collect();
        let header = Header { total: rows.len() as u64, ..Header::default() };
        Ok(Answer { header, rows, cut: 0, data: Value::Null, filing: None })
    }
}

/// A case at work, and a door to `slow` and the standard tools.
struct Hall {
    _folder: TempDir,
    journal: Arc<dyn Journal>,
    slow: Slow,
    door: Door,
}

impl Hall {
    async fn new() -> Self {
        let (folder, journal) = journal();
        case_at_work(&journal).await;
        let slow = Slow::default();
        let door = Door::new(Registry::standard().with(slow.clone()), HandClock::showing(at(1)));
        Self { _folder: folder, journal, slow, door }
    }

    async fn stream(&self) -> CaseStream {
        CaseStream::open(self.journal.clone(), CASE, None).await.expect("it is read")
    }

    /// The attempt from its beginning, as a process that starts again has it.
    async fn run(&self) -> Run {
        Run::new(self.stream().await, 1)
    }

    async fn pass(&self, visitor: &mut Visitor, run: &mut Run, calls: Vec<ToolCall>) -> Vec<Arc<Answered>> {
        let answers = self.door.pass(visitor, run, calls, |_| vec![]).await.expect("it passes");
        run.flush(at(2)).await.expect("it is written");
        answers
    }

    /// The steps on record, with what came of them.
    async fn steps(&self) -> Vec<(String, bool)> {
        let log = self.stream().await.log().clone();
        log.attempts[0].steps.values().map(|step| (step.what.clone(), step.done.is_some())).collect()
    }

    fn done(&self) -> Vec<String> {
        self.slow.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn visitor_to(events: Arc<dyn EventStore>) -> Visitor {
    let allowed = ["slow", "get_event", "search_winlog_events", SUBMIT].map(str::to_owned).to_vec();
    let scope = Scope { case: crate::fixtures::CASE, alerts: Arc::default(), events, watermark: Watermark(u64::MAX) };
    Visitor::new(CASE, Tier::One, ROOT, allowed, scope, Ledger::default())
}

fn visitor() -> Visitor {
    visitor_to(Arc::new(BrokenStore))
}

fn call(tool: &str, arguments: Value) -> ToolCall {
    ToolCall { tool: tool.into(), arguments }
}

fn slow(milliseconds: u64, events: &[&str]) -> ToolCall {
    call("slow", json!({"milliseconds": milliseconds, "events": events}))
}

fn numbers(answered: &Answered) -> Vec<Option<u32>> {
    answered.evidence.iter().map(|id| id.map(EvidenceId::number)).collect()
}

#[tokio::test(start_paused = true)]
async fn calls_run_side_by_side_and_are_numbered_in_the_order_asked() {
    let hall = Hall::new().await;
    let (mut visitor, mut run) = (visitor(), hall.run().await);
    let began = tokio::time::Instant::now();
    let calls = vec![slow(300, &["a", "b"]), slow(200, &["c"]), slow(100, &["b", "d"])];
    let answers = hall.pass(&mut visitor, &mut run, calls.clone()).await;
    assert_eq!(hall.done(), ["b+d", "c", "a+b"], "the last is the first to answer");
    assert_eq!(began.elapsed(), Duration::from_millis(300), "nobody waits for another");
    assert_eq!(answers.iter().map(|answer| answer.call.clone()).collect::<Vec<_>>(), calls);
    let ids: Vec<_> = answers.iter().map(|answered| numbers(answered)).collect();
    assert_eq!(ids, [vec![Some(1), Some(2)], vec![Some(3)], vec![Some(2), Some(4)]]);
    assert_eq!(visitor.calls, 3);
    assert_eq!(hall.steps().await, ["slow"; 3].map(|what| (what.to_owned(), true)));

    // A process that starts again hears the same, under the same numbers, without asking.
    let (mut visitor, mut run) = (self::visitor(), hall.run().await);
    assert_eq!(hall.pass(&mut visitor, &mut run, calls).await, answers);
    assert_eq!(hall.done().len(), 3);
    assert_eq!(visitor.calls, 3, "replayed calls count towards the budget as they did");
}

#[tokio::test(start_paused = true)]
async fn after_a_death_between_answers_only_what_is_missing_is_asked_again() {
    let hall = Hall::new().await;
    let calls = vec![slow(300, &["a"]), slow(100, &["b"]), slow(200, &["c"])];
    let mut run = hall.run().await;
    // The process dies before it writes the last answer: it was held back and never flushed.
    let answers = hall.door.pass(&mut visitor(), &mut run, calls.clone(), |_| vec![]).await.expect("it passes");
    drop(run);
    let on_record: Vec<bool> = hall.steps().await.iter().map(|(_, done)| *done).collect();
    assert_eq!(on_record, [false, true, true]);

    let again = hall.pass(&mut visitor(), &mut hall.run().await, calls).await;
    assert_eq!(again, answers);
    assert_eq!(hall.done(), ["b", "c", "a", "a"]);
}

#[tokio::test(start_paused = true)]
async fn the_comment_is_recorded_with_the_last_answer_and_once() {
    let hall = Hall::new().await;
    let calls = vec![slow(300, &["a"]), slow(100, &["b"])];
    let tell = |answers: &[Arc<Answered>]| {
        assert_eq!(answers.len(), 2, "it tells of all of them");
        vec![comment(CASE, "a1/m1", "Tier 1", "looked".into(), at(1))]
    };
    let told = async || hall.journal.effects("desk").await.expect("they are read").len();
    let mut run = hall.run().await;
    hall.door.pass(&mut visitor(), &mut run, calls.clone(), tell).await.expect("it passes");
    assert_eq!(told().await, 0, "the last answer is still held back");
    run.flush(at(2)).await.expect("it is written");
    assert_eq!(told().await, 1);
    let never = |_: &[Arc<Answered>]| -> Vec<DeskEffect> { panic!("it was told") };
    hall.door.pass(&mut visitor(), &mut hall.run().await, calls, never).await.expect("it passes");
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_is_not_on_the_agents_list_is_refused_and_that_is_on_record() {
    let hall = Hall::new().await;
    let (mut visitor, mut run) = (visitor(), hall.run().await);
    // `get_alert` exists but is not this agent's; `isolate` does not exist.
    let calls = vec![call("get_alert", json!({"alert": "a1"})), call("isolate", json!({}))];
    let answers = hall.pass(&mut visitor, &mut run, calls).await;
    for (answer, name) in answers.iter().zip(["get_alert", "isolate"]) {
        let allowed = visitor.allowed.clone();
        assert_eq!(answer.outcome, Err(ToolError::NotAllowed { name: name.into(), allowed }));
        assert!(answer.text().contains("search_winlog_events"), "it says what may be asked: {}", answer.text());
    }
    assert_eq!(hall.steps().await, ["get_alert", "isolate"].map(|what| (what.to_owned(), true)));
}

#[tokio::test(start_paused = true)]
async fn wrong_arguments_are_an_answer_that_names_the_tool() {
    let hall = Hall::new().await;
    let wrong = call("slow", json!({"milliseconds": "soon", "events": []}));
    let answers = hall.pass(&mut visitor(), &mut hall.run().await, vec![wrong]).await;
    assert!(matches!(&answers[0].outcome, Err(ToolError::BadArguments { tool, .. }) if tool == "slow"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_made_before_is_answered_from_the_record_and_the_third_is_a_circle() {
    let hall = Hall::new().await;
    let (mut visitor, mut run) = (visitor(), hall.run().await);
    let first = hall.pass(&mut visitor, &mut run, vec![slow(1, &["a"])]).await;
    // The order of keys is no difference; a new call beside it is asked.
    let same = call("slow", json!({"events": ["a"], "milliseconds": 1}));
    let second = hall.pass(&mut visitor, &mut run, vec![same.clone(), slow(1, &["b"])]).await;
    assert_eq!(second[0], first[0]);
    assert_eq!(numbers(&second[1]), [Some(2)]);
    assert_eq!(hall.done(), ["a", "b"]);
    assert_eq!((hall.steps().await.len(), visitor.calls), (2, 2));
    let third = hall.door.pass(&mut visitor, &mut run, vec![same], |_| vec![]).await;
    assert!(matches!(third, Err(DoorError::Circles { tool }) if tool == "slow"));
    assert_eq!(hall.done().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_made_twice_at_once_is_one_step() {
    let hall = Hall::new().await;
    let (mut visitor, mut run) = (visitor(), hall.run().await);
    let answers = hall.pass(&mut visitor, &mut run, vec![slow(1, &["a"]), slow(1, &["a"])]).await;
    assert_eq!(answers[0], answers[1]);
    assert_eq!((hall.done().len(), hall.steps().await.len(), visitor.calls), (1, 1, 1));
    let mut visitor = self::visitor();
    let thrice = vec![slow(1, &["a"]); 3];
    let circle = hall.door.pass(&mut visitor, &mut hall.run().await, thrice, |_| vec![]).await;
    assert!(matches!(circle, Err(DoorError::Circles { .. })));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_trimmed_once_and_what_was_cut_is_counted_and_not_numbered() {
    let hall = Hall::new().await;
    let names: Vec<String> = (0..100).map(|n| format!("{n:02}")).collect();
    let long = call("slow", json!({"milliseconds": 1, "events": names, "length": 198}));
    let mut visitor = visitor();
    let answers = hall.pass(&mut visitor, &mut hall.run().await, vec![long]).await;
    let answer = answers[0].outcome.as_ref().expect("it answered");
    // 200 characters and 8 for the evidence id: 28 rows fit into 6,000.
    assert_eq!((answer.rows.len(), answer.cut), (28, 72));
    assert!(answer.rows.iter().map(|row| row.text.chars().count()).sum::<usize>() <= LONGEST_TEXT);
    assert_eq!(answers[0].evidence.len(), 28);
    assert_eq!(visitor.ledger.ids().len(), 28);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_out_of_order_is_an_answer_on_record() {
    let hall = Hall::new().await;
    let calls = vec![
        call("get_event", json!({"event": "e"})),
        call("search_winlog_events", json!({"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"})),
    ];
    let answers = hall.pass(&mut visitor(), &mut hall.run().await, calls.clone()).await;
    for answer in &answers {
        assert!(matches!(&answer.outcome, Err(ToolError::Unavailable { what }) if what.contains("out of order")));
    }
    // What was said is said again, even if the store works by now.
    let (_folder, store) = store(vec![event("e", 0, "WKS-1", (SYSMON, 1), json!({}))]).await;
    assert_eq!(hall.pass(&mut visitor_to(store), &mut hall.run().await, calls).await, answers);
}

#[tokio::test(start_paused = true)]
async fn a_submission_called_like_a_tool_is_no_verdict() {
    let hall = Hall::new().await;
    let arguments = serde_json::to_value(draft(Classification::TruePositive, 0.9)).expect("it is JSON");
    let answers = hall.pass(&mut visitor(), &mut hall.run().await, vec![call(SUBMIT, arguments)]).await;
    assert!(matches!(&answers[0].outcome, Err(ToolError::BadArguments { tool, .. }) if tool == SUBMIT));
}

#[tokio::test(start_paused = true)]
async fn a_submission_is_a_step_whose_check_is_repeated_and_not_believed() {
    let hall = Hall::new().await;
    let (_folder, store) = store(vec![event("e", 0, "WKS-1", (SYSMON, 1), json!({"Image": "tool.exe"}))]).await;
    let mut visitor = visitor_to(store);
    visitor.ledger.admit(&Exhibit::Event { event: EventId::new("e") });
    let mut good = draft(Classification::TruePositive, 0.9);
    good.citations = vec![citation(1, "Image", "tool.exe", Weight::ForMalicious, Strength::Strong)];
    let mut bad = good.clone();
    bad.citations[0].quotes[0].value = "other.exe".into();

    let mut run = hall.run().await;
    let rejected = hall.door.submit(&visitor, &mut run, &bad, &[]).await.expect("it is checked");
    assert_eq!(rejected.expect_err("it is false").len(), 3, "the quote, nothing cited, no proof");
    let accepted = hall.door.submit(&visitor, &mut run, &good, &[]).await.expect("it is checked");
    assert!(accepted.is_ok());
    run.flush(at(2)).await.expect("it is written");
    assert_eq!(hall.steps().await, [SUBMIT; 2].map(|what| (what.to_owned(), true)));

    // Resumed: the record says `accepted`, and the evidence of another case is still refused.
    let mut run = hall.run().await;
    let again = hall.door.submit(&visitor, &mut run, &bad, &[]).await.expect("it is checked");
    assert!(again.is_err());
    let stranger = visitor_to(Arc::new(BrokenStore));
    let unknown = hall.door.submit(&stranger, &mut run, &good, &[]).await.expect("nothing is read");
    assert!(unknown.is_err());
    assert_eq!(hall.steps().await.len(), 2, "nothing new is on record");
}

#[tokio::test(start_paused = true)]
async fn a_submission_is_not_judged_while_the_store_cannot_be_read() {
    let hall = Hall::new().await;
    let mut visitor = visitor();
    visitor.ledger.admit(&Exhibit::Event { event: EventId::new("e") });
    let mut draft = draft(Classification::TruePositive, 0.9);
    draft.citations = vec![citation(1, "Image", "tool.exe", Weight::ForMalicious, Strength::Strong)];
    let judged = hall.door.submit(&visitor, &mut hall.run().await, &draft, &[]).await;
    assert!(matches!(judged, Err(DoorError::Store(_))));
    assert_eq!(hall.steps().await, [], "what was not judged is not on record");
}

/// A hall whose tools know the devices `d1` (managed) and `d2`.
async fn hall_with_devices() -> Hall {
    let mut hall = Hall::new().await;
    let around = crate::tools::surroundings::Surroundings {
        devices: Some(Arc::new(crate::fixtures::SomeDevices)),
        ..crate::tools::surroundings::Surroundings::default()
    };
    hall.door = Door::new(Registry::of(around).with(hall.slow.clone()), HandClock::showing(at(1)));
    hall
}

fn visitor_of(tier: Tier, allowed: &[&str]) -> Visitor {
    let allowed = allowed.iter().map(|name| (*name).to_owned()).collect();
    Visitor { tier, allowed, ..visitor() }
}

fn isolate(device: &str, evidence: &[&str]) -> ToolCall {
    let arguments = json!({"device_id": device, "because": "it beacons to http://203.0.113.9", "evidence": evidence});
    call("isolate_device", arguments)
}

#[tokio::test(start_paused = true)]
async fn a_wish_to_contain_is_filed_with_its_answer_once_and_numbered() {
    let hall = hall_with_devices().await;
    let allowed = ["slow", "isolate_device", "run_av_scan"];
    let (mut visitor, mut run) = (visitor_of(Tier::Two, &allowed), hall.run().await);
    hall.pass(&mut visitor, &mut run, vec![slow(1, &["a"])]).await;
    let scan = call("run_av_scan", json!({"device_id": "d1", "because": "a second look", "evidence": []}));
    let calls = vec![isolate("d1", &["E1"]), slow(5, &["b"]), scan];
    let answers = hall.pass(&mut visitor, &mut run, calls.clone()).await;
    assert!(
        answers[0].text().contains("P-1.1 filed for the gatekeeper: pending; nothing has been done"),
        "{}",
        answers[0].text()
    );
    assert!(answers[2].text().contains("P-1.2 filed"), "{}", answers[2].text());
    let log = hall.stream().await.log().clone();
    let filed: Vec<_> = log.proposals.iter().map(|filed| filed.proposal.clone()).collect();
    assert_eq!(filed.iter().map(|proposal| proposal.host.key()).collect::<Vec<_>>(), ["wks-1", "wks-1"]);
    assert_eq!((filed[0].evidence.as_slice(), filed[0].because.contains("hxxp://")), (&[EvidenceId::new(1)][..], true));
    assert!(log.proposals.iter().all(|filed| filed.decision.is_none()), "only the gatekeeper answers");

    // A process that starts again files nothing anew; nor does the same wish in other words.
    let (mut visitor, mut run) = (visitor_of(Tier::Two, &allowed), hall.run().await);
    hall.pass(&mut visitor, &mut run, vec![slow(1, &["a"])]).await;
    assert_eq!(hall.pass(&mut visitor, &mut run, calls).await, answers);
    let again = hall.pass(&mut visitor, &mut run, vec![isolate("d1", &[])]).await;
    assert!(again[0].text().contains("P-1.1 was filed before"), "{}", again[0].text());
    assert_eq!(hall.stream().await.log().proposals.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_wish_on_evidence_that_nobody_showed_is_refused() {
    let hall = hall_with_devices().await;
    let mut visitor = visitor_of(Tier::Two, &["isolate_device"]);
    let answers =
        hall.pass(&mut visitor, &mut hall.run().await, vec![isolate("d1", &["E7"]), isolate("d2", &[])]).await;
    assert!(answers[0].text().contains("E7 is no evidence of this case"), "{}", answers[0].text());
    assert!(answers[1].text().contains("does not manage"), "{}", answers[1].text());
    assert_eq!(hall.stream().await.log().proposals.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_tier_is_not_given_is_refused_even_if_its_list_names_it() {
    let hall = hall_with_devices().await;
    let mut visitor = visitor_of(Tier::One, &["isolate_device", "add_case_comment"]);
    let calls = vec![isolate("d1", &[]), call("add_case_comment", json!({"text": "a note"}))];
    let answers = hall.pass(&mut visitor, &mut hall.run().await, calls).await;
    assert!(matches!(&answers[0].outcome, Err(ToolError::NotAllowed { name, .. }) if name == "isolate_device"));
    assert!(answers[1].outcome.is_ok());
    assert_eq!(hall.stream().await.log().proposals.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_comment_is_written_once_and_a_wish_for_a_status_changes_none() {
    let hall = hall_with_devices().await;
    let allowed = ["add_case_comment", "update_case", "close_case"];
    let calls = vec![
        call("add_case_comment", json!({"text": "seen\u{202e} on http://a.example"})),
        call("update_case", json!({"status": "resolved", "because": "it is ours"})),
        call("close_case", json!({"classification": "false_positive", "because": "it is ours"})),
    ];
    let told = async || -> Vec<String> {
        let rows = hall.journal.effects("desk").await.expect("they are read");
        rows.iter().map(|row| row.wish.body.clone()).collect()
    };
    let before = hall.stream().await.log().status;
    for _ in 0..2 {
        hall.pass(&mut visitor_of(Tier::One, &allowed), &mut hall.run().await, calls.clone()).await;
        let told = told().await;
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].contains("hxxp://a.example") && !told[0].contains('\u{202e}'), "{}", told[0]);
        assert!(told[2].contains("(the route decides)"), "{}", told[2]);
    }
    assert_eq!(hall.stream().await.log().status, before);
}
