//! Steps that are taken once, whatever happens to the process between them.

use std::sync::Arc;

use super::*;
use crate::fixtures::{CASE, at, case_at_work, entries, journal, started, tamper};
use crate::journal::effects::comment;
use crate::ports::journal::Journal;

fn asked(what: &str, span: u8) -> Asked {
    Asked { what: what.into(), digest: format!("digest of {what}"), span: SpanId([span; 8]) }
}

async fn again(journal: &Arc<dyn Journal>) -> Run {
    Run::new(CaseStream::open(journal.clone(), CASE, None).await.expect("it is read"), 1)
}

async fn begin(run: &mut Run, asked: &[Asked]) -> Result<Vec<Begun<String>>, RunError> {
    run.begin::<String>(asked, at(1)).await
}

fn fresh(begun: &Begun<String>) -> (u32, SpanId) {
    match begun {
        Begun::Fresh { ordinal, span } => (*ordinal, *span),
        Begun::Recorded { .. } => panic!("it was taken before: {begun:?}"),
    }
}

fn recorded(begun: &Begun<String>) -> (u32, &str) {
    match begun {
        Begun::Recorded { ordinal, result } => (*ordinal, result),
        Begun::Fresh { .. } => panic!("it is to be taken again: {begun:?}"),
    }
}

#[tokio::test]
async fn a_step_that_was_taken_is_answered_from_the_record_and_writes_nothing() {
    let (_folder, journal) = journal();
    let mut run = Run::new(case_at_work(&journal).await, 1);
    let begun = begin(&mut run, &[asked("move", 1)]).await.expect("it begins");
    assert_eq!(fresh(&begun[0]), (1, SpanId([1; 8])));
    run.done(1, &"the answer", vec![], at(2)).await.expect("it is written");
    let written = run.stream().log().last;

    let mut run = again(&journal).await;
    let begun = begin(&mut run, &[asked("move", 2)]).await.expect("it begins");
    assert_eq!(recorded(&begun[0]), (1, "the answer"));
    assert_eq!(run.next_ordinal(), 2);
    assert_eq!(again(&journal).await.stream().log().last, written, "a replay writes nothing");
}

#[tokio::test]
async fn a_step_that_was_begun_and_not_done_is_taken_again_under_its_number_and_span() {
    let (_folder, journal) = journal();
    let mut run = Run::new(case_at_work(&journal).await, 1);
    begin(&mut run, &[asked("move", 1)]).await.expect("it begins");
    let written = run.stream().log().last;
    let begun = begin(&mut again(&journal).await, &[asked("move", 2)]).await.expect("it begins");
    assert_eq!(fresh(&begun[0]), (1, SpanId([1; 8])), "the span it was first shown under");
    assert_eq!(again(&journal).await.stream().log().last, written, "a life that only repeats writes nothing");
}

#[tokio::test]
async fn time_in_which_nobody_worked_on_a_step_is_not_work() {
    let (_folder, journal) = journal();
    let mut run = Run::new(case_at_work(&journal).await, 1);
    run.begin::<String>(&[asked("move", 1)], at(10)).await.expect("it begins");
    // The process dies here and is started again an hour later.
    let mut run = again(&journal).await;
    run.begin::<String>(&[asked("move", 1)], at(3_610)).await.expect("it begins");
    run.done(1, &"x", vec![], at(3_612)).await.expect("it is written");
    let log = again(&journal).await.stream().log().clone();
    assert!((log.attempts[0].seconds_worked() - 2.0).abs() < 1e-9, "{}", log.attempts[0].seconds_worked());
}

#[tokio::test]
async fn a_past_that_asked_something_else_is_not_taken_for_an_answer() {
    let (_folder, journal) = journal();
    let mut run = Run::new(case_at_work(&journal).await, 1);
    begin(&mut run, &[asked("get_alert", 1)]).await.expect("it begins");
    run.done(1, &"x", vec![], at(2)).await.expect("it is written");
    let before = run.stream().log().last;
    let error = begin(&mut again(&journal).await, &[asked("get_event", 1)]).await.expect_err("it differs");
    let RunError::Diverged { ordinal, was, is } = &error else { panic!("{error}") };
    assert_eq!((*ordinal, was.as_str(), is.as_str()), (1, "get_alert", "get_event"));
    assert_eq!(again(&journal).await.stream().log().last, before, "nothing is written");
}

#[tokio::test]
async fn steps_that_are_asked_together_get_their_numbers_in_the_order_asked() {
    let (_folder, journal) = journal();
    let mut run = Run::new(case_at_work(&journal).await, 1);
    let all = [asked("a", 1), asked("b", 2), asked("c", 3)];
    let begun = begin(&mut run, &all).await.expect("they begin");
    assert_eq!(begun.iter().map(fresh).map(|(ordinal, _)| ordinal).collect::<Vec<_>>(), [1, 2, 3]);
    run.done(2, &"the second", vec![], at(2)).await.expect("it is written");

    let begun = begin(&mut again(&journal).await, &all).await.expect("they begin");
    assert_eq!(fresh(&begun[0]), (1, SpanId([1; 8])));
    assert_eq!(recorded(&begun[1]), (2, "the second"));
    assert_eq!(fresh(&begun[2]), (3, SpanId([3; 8])));
}

#[tokio::test]
async fn an_attempt_is_not_answered_from_another() {
    let (_folder, journal) = journal();
    let mut run = Run::new(case_at_work(&journal).await, 1);
    begin(&mut run, &[asked("move", 1)]).await.expect("it begins");
    run.done(1, &"x", vec![], at(2)).await.expect("it is written");
    let mut stream = CaseStream::open(journal.clone(), CASE, None).await.expect("it is read");
    stream.append(entries(vec![started(2, crate::domain::route::Tier::One)]), at(3)).await.expect("it is written");
    let begun = begin(&mut Run::new(stream, 2), &[asked("move", 7)]).await.expect("it begins");
    assert_eq!(fresh(&begun[0]), (1, SpanId([7; 8])));
}

#[tokio::test]
async fn a_result_of_more_than_16_kib_lies_beside_the_stream_and_comes_back() {
    // The JSON of a text is two quotation marks longer than the text.
    for (characters, beside) in [(16 * 1024 - 2, false), (16 * 1024 - 1, true)] {
        let (_folder, journal) = journal();
        let mut run = Run::new(case_at_work(&journal).await, 1);
        begin(&mut run, &[asked("move", 1)]).await.expect("it begins");
        let long = "x".repeat(characters);
        run.done(1, &long, vec![], at(2)).await.expect("it is written");
        let mut run = again(&journal).await;
        let step = &run.stream().log().attempts[0].steps[&1];
        assert_eq!(
            step.done.as_ref().is_some_and(|(_, done)| matches!(done, Payload::Blob(_))),
            beside,
            "{characters}"
        );
        let begun = begin(&mut run, &[asked("move", 1)]).await.expect("it begins");
        assert_eq!(recorded(&begun[0]), (1, long.as_str()));
    }
}

#[tokio::test]
async fn a_large_result_that_is_gone_or_damaged_is_lost_and_never_another_result() {
    for damage in ["DELETE FROM blob", "UPDATE blob SET bytes = x'22612200'"] {
        let (folder, journal) = journal();
        let mut run = Run::new(case_at_work(&journal).await, 1);
        begin(&mut run, &[asked("move", 1)]).await.expect("it begins");
        run.done(1, &"x".repeat(20_000), vec![], at(2)).await.expect("it is written");
        tamper(&folder, damage);
        let error = begin(&mut again(&journal).await, &[asked("move", 1)]).await.expect_err("it is lost");
        assert!(matches!(error, RunError::Lost { ordinal: 1, .. }), "{error}");
    }
}

#[tokio::test]
async fn a_recorded_result_of_another_shape_is_lost() {
    let (_folder, journal) = journal();
    let mut run = Run::new(case_at_work(&journal).await, 1);
    begin(&mut run, &[asked("move", 1)]).await.expect("it begins");
    run.done(1, &17, vec![], at(2)).await.expect("it is written");
    let error = begin(&mut again(&journal).await, &[asked("move", 1)]).await.expect_err("it is no text");
    assert!(matches!(error, RunError::Lost { ordinal: 1, .. }), "{error}");
}

#[tokio::test]
async fn what_was_held_back_is_written_with_the_next_beginning_or_not_at_all() {
    let (_folder, journal) = journal();
    let mut run = Run::new(case_at_work(&journal).await, 1);
    begin(&mut run, &[asked("move", 1)]).await.expect("it begins");
    let told = || vec![comment(CASE, "a1/m1", "Tier 1", "looked".into(), at(1))];
    run.hold_back(1, &"x", told());
    assert_eq!(again(&journal).await.stream().log().last, 3, "nothing is written yet");
    assert!(journal.effects("desk").await.expect("they are read").is_empty());

    // Somebody else was faster: neither the answer nor its comment nor the next step may be on record.
    let mut other = CaseStream::open(journal.clone(), CASE, None).await.expect("it is read");
    other.append(entries(vec![CaseEntry::Ready]), at(2)).await.expect("it is written");
    let refused = begin(&mut run, &[asked("get_alert", 2)]).await;
    assert!(matches!(refused, Err(RunError::Journal(JournalError::Conflict { .. }))));
    assert_eq!(again(&journal).await.stream().log().last, 4, "the other's entry alone");
    assert!(journal.effects("desk").await.expect("they are read").is_empty());

    let mut run = again(&journal).await;
    begin(&mut run, &[asked("move", 1)]).await.expect("it begins");
    run.hold_back(1, &"x", told());
    begin(&mut run, &[asked("get_alert", 2)]).await.expect("it begins");
    let log = again(&journal).await.stream().log().clone();
    assert!(log.attempts[0].steps[&1].done.is_some() && log.attempts[0].steps[&2].done.is_none());
    assert_eq!(journal.effects("desk").await.expect("they are read").len(), 1);
}

#[tokio::test]
async fn finishing_writes_what_was_held_back_and_the_end_together() {
    let (_folder, journal) = journal();
    let mut run = Run::new(case_at_work(&journal).await, 1);
    begin(&mut run, &[asked("move", 1)]).await.expect("it begins");
    run.hold_back(1, &"x".repeat(20_000), vec![]);
    let last = Batch {
        entries: vec![CaseEntry::Ended { attempt: 1, why: "done".into() }, CaseEntry::Concluded],
        effects: vec![comment(CASE, "a1/status", "Status", "done".into(), at(3))],
        ..Batch::default()
    };
    let stream = run.finish(last, at(3)).await.expect("it is written");
    assert_eq!(stream.log().attempts[0].ended, Some(at(3)));
    let mut run = again(&journal).await;
    assert_eq!(run.stream().log(), stream.log());
    let begun = begin(&mut run, &[asked("move", 1)]).await.expect("its large result was written too");
    assert_eq!(recorded(&begun[0]).1.len(), 20_000);
    assert_eq!(journal.effects("desk").await.expect("they are read").len(), 1);
}

#[tokio::test]
async fn flushing_writes_once() {
    let (_folder, journal) = journal();
    let mut run = Run::new(case_at_work(&journal).await, 1);
    begin(&mut run, &[asked("move", 1)]).await.expect("it begins");
    run.hold_back(1, &"x", vec![]);
    run.flush(at(2)).await.expect("it is written");
    run.flush(at(2)).await.expect("there is nothing to write");
    assert_eq!(again(&journal).await.stream().log().last, 4);
}
