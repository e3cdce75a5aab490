//! Two hands on one case, and rows that nobody can read.

use std::time::Duration;

use super::*;
use crate::domain::ids::AlertId;
use crate::domain::route::Tier;
use crate::fixtures::{CASE, at, case_at_work, entries, journal, opened, started, tamper};
use crate::journal::effects::comment;
use crate::ports::journal::Queue;

fn joined(alert: &str) -> CaseEntry {
    CaseEntry::Joined { alert: AlertId::new(alert), reason: "same host".into() }
}

async fn open(journal: &Arc<dyn Journal>) -> CaseStream {
    CaseStream::open(journal.clone(), CASE, None).await.expect("it is read")
}

#[tokio::test]
async fn a_second_hand_is_told_that_the_case_moved_on_and_sees_it_after_reading_again() {
    let (_folder, journal) = journal();
    let mut one = case_at_work(&journal).await;
    let mut two = open(&journal).await;
    two.append(entries(vec![joined("a2")]), at(1)).await.expect("it is first");
    let batch = || Batch {
        effects: vec![comment(CASE, "x", "Tier 1", "text".into(), at(2))],
        ..entries(vec![CaseEntry::Ready])
    };
    let refused = one.append(batch(), at(2)).await;
    assert!(matches!(refused, Err(JournalError::Conflict { expected: 2, found: 3, .. })), "{refused:?}");
    assert!(!one.log().ready, "what was refused did not happen");
    assert!(journal.effects("desk").await.expect("they are read").is_empty());

    one.refresh().await.expect("it is read");
    assert_eq!(one.log(), two.log());
    one.append(batch(), at(2)).await.expect("it is up to date");
    assert_eq!(one.log(), open(&journal).await.log(), "what is folded in is what is written");
    assert_eq!(journal.effects("desk").await.expect("they are read").len(), 1);
}

#[tokio::test]
async fn a_preview_is_what_appending_gives() {
    let (_folder, journal) = journal();
    let mut stream = case_at_work(&journal).await;
    let before = stream.log().clone();
    let batch = vec![joined("a2"), CaseEntry::Ready, started(2, Tier::Two), CaseEntry::Concluded];
    let preview = stream.preview(&batch, at(5));
    assert_eq!(*stream.log(), before, "a look changes nothing");
    stream.append(entries(batch), at(5)).await.expect("it is written");
    assert_eq!(*stream.log(), preview);
    assert_eq!(*open(&journal).await.log(), preview);
}

#[tokio::test]
async fn an_empty_batch_is_not_written() {
    let (_folder, journal) = journal();
    let mut stream = case_at_work(&journal).await;
    // Behind the stream's end even nothing would be refused.
    open(&journal).await.append(entries(vec![CaseEntry::Ready]), at(1)).await.expect("it is written");
    stream.append(Batch::default(), at(2)).await.expect("there is nothing to refuse");
}

#[tokio::test]
async fn a_hand_whose_lease_has_passed_can_no_longer_write() {
    let (_folder, journal) = journal();
    let item = CASE.to_string();
    let put = QueueChange::Put { queue: Queue::Tier1, item, rank: 1, not_before: None };
    let mut stream = open(&journal).await;
    let batch = Batch { queues: vec![put], ..entries(vec![opened("a1")]) };
    stream.append(batch, at(0)).await.expect("it is written");
    let ttl = Duration::from_secs(60);
    let claim =
        async |now| journal.claim(Queue::Tier1, "desk", ttl, now).await.expect("it is asked").expect("it waits");
    let lease = claim(at(1)).await;
    let mut slow = CaseStream::open(journal.clone(), CASE, Some(lease.clone())).await.expect("it is read");
    assert_eq!(slow.lease(), Some(&lease));
    let other = claim(at(100)).await;
    let refused = slow.append(entries(vec![CaseEntry::Ready]), at(100)).await;
    assert!(matches!(refused, Err(JournalError::Fenced { .. })), "{refused:?}");
    let mut quick = CaseStream::open(journal.clone(), CASE, Some(other)).await.expect("it is read");
    quick.append(entries(vec![CaseEntry::Ready]), at(100)).await.expect("it holds the lease");
}

#[tokio::test]
async fn a_damaged_row_is_noted_and_what_follows_is_read() {
    let (folder, journal) = journal();
    let mut stream = case_at_work(&journal).await;
    stream.append(entries(vec![joined("a2"), joined("a3")]), at(1)).await.expect("it is written");
    tamper(&folder, "UPDATE entry SET body = replace(body, 'a2', 'a9') WHERE seq = 3");
    let log = open(&journal).await.log().clone();
    assert_eq!(log.alerts, ["a1", "a3"].map(AlertId::new), "nobody acts on a row that was changed");
    assert_eq!(log.damaged.iter().map(|damage| damage.seq).collect::<Vec<_>>(), [3]);
    assert_eq!(log.last, 4);
}

#[tokio::test]
async fn missing_rows_are_noted() {
    let (folder, journal) = journal();
    let mut stream = case_at_work(&journal).await;
    stream.append(entries(vec![joined("a2"), joined("a3"), joined("a4")]), at(1)).await.expect("it is written");
    tamper(&folder, "DELETE FROM entry WHERE seq IN (3, 4)");
    let mut found = open(&journal).await;
    assert_eq!(found.log().damaged.first().map(|damage| damage.seq), Some(3));
    assert_eq!(found.log().alerts, ["a1", "a4"].map(AlertId::new));
    found.append(entries(vec![joined("a5")]), at(2)).await.expect("a person's question can still be written");
}

#[tokio::test]
async fn an_entry_that_is_no_entry_is_noted() {
    let (_folder, journal) = journal();
    case_at_work(&journal).await;
    let mut append = Append::to(stream(CASE), Expected::Any);
    append.records.push(NewRecord { kind: "ready".into(), body: "{\"entry\":\"joined\"}".into(), at: at(1) });
    journal.append(append).await.expect("the port takes any text");
    let log = open(&journal).await.log().clone();
    assert_eq!((log.damaged.len(), log.last), (1, 3));
}

#[tokio::test]
async fn cases_are_listed_in_the_order_they_were_opened() {
    let (_folder, journal) = journal();
    for number in [2, 10, 1] {
        let mut stream = CaseStream::open(journal.clone(), CaseId::new(number), None).await.expect("it is read");
        stream.append(entries(vec![opened("a")]), at(0)).await.expect("it is written");
    }
    let mut other = Append::to(Stream("alerts".into()), Expected::Any);
    other.records.push(NewRecord { kind: "k".into(), body: "{}".into(), at: at(0) });
    journal.append(other).await.expect("it is written");
    assert_eq!(cases(journal.as_ref()).await.expect("they are read"), [2, 10, 1].map(CaseId::new));
}
