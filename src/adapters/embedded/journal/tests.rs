//! What the journal promises, tried on real files.

use std::sync::Arc;

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use crate::ports::journal::QueueChange;

const TTL: Duration = Duration::from_secs(60);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

fn record(body: &str, seconds: i64) -> NewRecord {
    NewRecord { kind: "said".into(), body: body.into(), at: at(seconds) }
}

fn stream(name: &str) -> Stream {
    Stream(name.into())
}

fn append(name: &str, expected: Expected, bodies: &[&str]) -> Append {
    let records = bodies.iter().map(|body| record(body, 0)).collect();
    Append { records, ..Append::to(stream(name), expected) }
}

fn put(item: &str, rank: u8, not_before: Option<Timestamp>) -> QueueChange {
    QueueChange::Put { queue: Queue::Tier1, item: item.into(), rank, not_before }
}

fn effect(key: &str, body: &str) -> NewEffect {
    NewEffect { key: key.into(), target: "desk".into(), lane: "WF-1".into(), body: body.into() }
}

fn open() -> (TempDir, EmbeddedJournal) {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = EmbeddedJournal::open(folder.path()).expect("it opens");
    (folder, journal)
}

/// A second hand on the file, as damage would be.
fn tamper(folder: &TempDir, sql: &str) {
    let raw = Connection::open(folder.path().join(EmbeddedJournal::FILE)).expect("it opens");
    raw.execute_batch(sql).expect("it is changed");
}

fn quarantined(folder: &TempDir) -> i64 {
    let raw = Connection::open(folder.path().join(EmbeddedJournal::FILE)).expect("it opens");
    raw.query_row("SELECT count(*) FROM quarantine", [], |row| row.get(0)).expect("it counts")
}

impl EmbeddedJournal {
    async fn put(&self, seconds: i64, change: QueueChange) {
        let (records, queues) = (vec![record("put", seconds)], vec![change]);
        let wanted = Append { records, queues, ..Append::to(stream("intake"), Expected::Any) };
        self.append(wanted).await.expect("it is put");
    }

    async fn claim_at(&self, seconds: i64) -> Option<Lease> {
        self.claim(Queue::Tier1, "desk", TTL, at(seconds)).await.expect("it answers")
    }

    async fn work(&self, lease: &Lease, seconds: i64) -> Result<u64, JournalError> {
        let (records, lease) = (vec![record("work", seconds)], Some(lease.clone()));
        self.append(Append { records, lease, ..Append::to(stream("case"), Expected::Any) }).await
    }

    async fn bodies(&self, name: &str) -> Vec<String> {
        let rows = self.read(&stream(name), 0).await.expect("it reads");
        rows.into_iter().map(|row| row.content.expect("it is sound").body).collect()
    }
}

#[tokio::test]
async fn a_conflict_leaves_nothing_behind() {
    let (_folder, journal) = open();
    assert_eq!(journal.append(append("a", Expected::Last(0), &["1", "2"])).await.expect("it fits"), 2);
    let late = Append {
        effects: vec![effect("k", "{}")],
        queues: vec![put("WF-1", 0, None)],
        blobs: vec![Blob { hash: "h".into(), bytes: vec![1] }],
        ..append("a", Expected::Last(1), &["late"])
    };
    let refusal = journal.append(late).await.expect_err("it has moved on");
    assert!(matches!(refusal, JournalError::Conflict { expected: 1, found: 2, .. }), "{refusal}");
    assert_eq!(journal.bodies("a").await, ["1", "2"]);
    assert_eq!(journal.pending().await.expect("it counts"), Pending::default());
    assert_eq!(journal.check().await.expect("it checks").blobs, 0);
    assert_eq!(journal.append(append("a", Expected::Any, &["3"])).await.expect("anywhere fits"), 3);
}

#[tokio::test]
async fn records_come_back_as_they_were_and_streams_in_their_order() {
    let (_folder, journal) = open();
    let exact =
        NewRecord { kind: "k".into(), body: "ä\0\"".into(), at: Timestamp::from_nanosecond(1).expect("a time") };
    let wanted = Append { records: vec![exact.clone()], ..Append::to(stream("case/2"), Expected::Last(0)) };
    journal.append(wanted).await.expect("it fits");
    journal.append(append("case/1", Expected::Last(0), &["x"])).await.expect("it fits");
    journal.append(append("cases", Expected::Last(0), &["x"])).await.expect("it fits");
    let rows = journal.read(&stream("case/2"), 0).await.expect("it reads");
    assert_eq!(rows, [Row { seq: 1, content: Ok(exact) }]);
    assert_eq!(journal.read(&stream("case/2"), 1).await.expect("it reads"), []);
    assert_eq!(journal.streams("case/").await.expect("it lists"), [stream("case/2"), stream("case/1")]);
}

#[tokio::test]
async fn a_lease_that_passed_on_may_not_write() {
    let (_folder, journal) = open();
    journal.put(0, put("WF-1", 0, None)).await;
    let first = journal.claim_at(0).await.expect("it waits");
    assert_eq!(journal.claim_at(60).await, None, "held until its last second");
    journal.work(&first, 50).await.expect("it is held");
    assert_eq!(journal.claim_at(110).await, None, "work has extended it");
    let second = journal.claim_at(111).await.expect("it has expired");
    assert!(matches!(journal.work(&first, 112).await, Err(JournalError::Fenced { .. })));
    journal.release(&first, None).await.expect("a passed lease is ignored");
    journal.work(&second, 112).await.expect("it is held");
}

#[tokio::test]
async fn putting_removing_and_freeing_void_a_lease() {
    let (_folder, journal) = open();
    journal.put(0, put("WF-1", 0, None)).await;
    let before_put = journal.claim_at(1).await.expect("it waits");
    journal.put(2, put("WF-1", 0, None)).await;
    assert!(matches!(journal.work(&before_put, 3).await, Err(JournalError::Fenced { .. })));

    let before_removal = journal.claim_at(4).await.expect("it waits again");
    let remove = QueueChange::Remove { queue: Queue::Tier1, item: "WF-1".into() };
    journal.put(5, remove).await;
    journal.put(6, put("WF-1", 0, None)).await;
    assert!(matches!(journal.work(&before_removal, 7).await, Err(JournalError::Fenced { .. })));

    let before_freeing = journal.claim_at(8).await.expect("it came back");
    assert!(before_put.epoch < before_removal.epoch && before_removal.epoch < before_freeing.epoch);
    journal.release_all("another").await.expect("it frees");
    journal.work(&before_freeing, 9).await.expect("nobody else's is freed");
    journal.release_all("desk").await.expect("it frees");
    assert!(matches!(journal.work(&before_freeing, 9).await, Err(JournalError::Fenced { .. })));
    assert!(journal.claim_at(9).await.is_some());
}

#[tokio::test]
async fn the_foremost_is_claimed_and_waiting_counts() {
    let (_folder, journal) = open();
    let hour = 3600;
    journal.put(0, put("low, old", 0, None)).await;
    journal.put(hour * 2 + 1, put("high, young", 2, None)).await;
    journal.put(hour * 2 - 1, put("high, older", 2, None)).await;
    journal.put(0, put("low, second", 0, None)).await;
    journal.put(0, put("not due", 9, Some(at(hour * 9)))).await;
    let mut order = Vec::new();
    while let Some(lease) = journal.claim_at(hour * 3).await {
        order.push(lease.item);
    }
    assert_eq!(order, ["high, older", "low, old", "low, second", "high, young"]);
    let pending = journal.pending().await.expect("it counts");
    assert_eq!((pending.cases, pending.gate), (5, 0), "work in progress still waits for its end");
}

#[tokio::test]
async fn an_item_put_again_keeps_its_place_and_may_rise() {
    let (_folder, journal) = open();
    journal.put(0, put("a", 1, None)).await;
    journal.put(1, put("b", 1, None)).await;
    journal.put(2, put("a", 0, Some(at(5)))).await;
    assert_eq!(journal.claim_at(4).await.expect("b is due").item, "b");
    journal.release_all("desk").await.expect("it frees");
    assert_eq!(journal.claim_at(5).await.expect("a is due").item, "a", "it kept place and rank");
    journal.put(6, put("b", 2, None)).await;
    journal.release_all("desk").await.expect("it frees");
    let lease = journal.claim_at(7).await.expect("b has risen");
    assert_eq!(lease.item, "b");
    journal.release(&lease, Some(at(100))).await.expect("it is given back");
    assert_eq!(journal.claim_at(99).await.expect("a is next").item, "a");
    assert_eq!(journal.claim_at(99).await, None);
    assert_eq!(journal.claim_at(100).await.expect("b is due again").item, "b");
}

#[tokio::test]
async fn an_effect_is_planned_once_and_never_goes_back() {
    let (_folder, journal) = open();
    for body in ["first", "second"] {
        let wanted = Append { effects: vec![effect("k", body)], ..append("a", Expected::Any, &["x"]) };
        journal.append(wanted).await.expect("it fits");
    }
    let wanted = Append { effects: vec![effect("l", "other")], ..append("a", Expected::Any, &["x"]) };
    journal.append(wanted).await.expect("it fits");
    let states = async || {
        let effects = journal.effects("desk").await.expect("it lists");
        effects.into_iter().map(|effect| (effect.wish.body, effect.state)).collect::<Vec<_>>()
    };
    assert_eq!(states().await, [("first".into(), EffectState::Planned), ("other".into(), EffectState::Planned)]);
    journal.mark_sent(&["k".into()]).await.expect("it is marked");
    assert_eq!(states().await[0].1, EffectState::Sent);
    journal.confirm(&["k".into()]).await.expect("it is confirmed");
    journal.mark_sent(&["k".into(), "never planned".into()]).await.expect("it changes nothing");
    assert_eq!(states().await, [("other".into(), EffectState::Planned)]);
    assert_eq!(journal.effects("elsewhere").await.expect("it lists"), []);
    assert_eq!(journal.pending().await.expect("it counts").effects, 1);
}

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let (folder, journal) = open();
    let content = b"large".to_vec();
    let hash = format!("{:x}", Sha256::digest(&content));
    let wanted = Append {
        effects: vec![effect("k", "{}")],
        queues: vec![put("WF-1", 0, None)],
        blobs: vec![Blob { hash: hash.clone(), bytes: content.clone() }],
        ..append("a", Expected::Last(0), &["1"])
    };
    journal.append(wanted).await.expect("it fits");
    let lease = journal.claim_at(0).await.expect("it waits");
    drop(journal);
    let journal = EmbeddedJournal::open(folder.path()).expect("it opens");
    assert_eq!(journal.bodies("a").await, ["1"]);
    assert_eq!(journal.blob(&hash).await.expect("it reads"), Some(content));
    assert_eq!(journal.blob("unknown").await.expect("it reads"), None);
    assert_eq!(journal.pending().await.expect("it counts"), Pending { cases: 1, gate: 0, effects: 1 });
    journal.work(&lease, 1).await.expect("leases outlive the process");
    let report = journal.check().await.expect("it checks");
    assert_eq!(report, CheckReport { streams: 2, records: 2, blobs: 1, effects_open: 1, damaged: vec![] });
}

#[tokio::test]
async fn damage_is_reported_and_quarantined_and_the_rest_stays_readable() {
    let (folder, journal) = open();
    let wanted = Append {
        effects: vec![effect("k", "{}"), effect("l", "{}"), effect("m", "{}")],
        blobs: vec![Blob { hash: format!("{:x}", Sha256::digest(b"x")), bytes: b"x".to_vec() }],
        ..append("a", Expected::Last(0), &["one", "two", "three", "four", "five"])
    };
    journal.append(wanted).await.expect("it fits");
    tamper(
        &folder,
        "UPDATE entry SET body = 'tvo' WHERE seq = 2; UPDATE entry SET body = x'ff' WHERE seq = 3;
         DELETE FROM entry WHERE seq = 4;
         UPDATE outbox SET body = '[}' WHERE key = 'k'; UPDATE outbox SET state = 'plannee' WHERE key = 'l';
         UPDATE blob SET bytes = x'00';",
    );
    let rows = journal.read(&stream("a"), 0).await.expect("it reads");
    let sound: Vec<_> = rows.iter().map(|row| (row.seq, row.content.is_ok())).collect();
    assert_eq!(sound, [(1, true), (2, false), (3, false), (4, false), (5, true)]);
    assert_eq!(quarantined(&folder), 3);
    let report = journal.check().await.expect("it checks");
    let damaged: Vec<_> = report.damaged.iter().map(|damage| (damage.stream.0.as_str(), damage.seq)).collect();
    assert_eq!(damaged[..5], [("a", 2), ("a", 3), ("a", 4), ("outbox", 1), ("outbox", 2)]);
    assert!(damaged[5].0.starts_with("blob/"), "{damaged:?}");
    assert_eq!(quarantined(&folder), 6);
    let effects = journal.effects("desk").await.expect("it lists");
    assert_eq!(effects.into_iter().map(|effect| effect.wish.key).collect::<Vec<_>>(), ["m"]);
    assert_eq!(journal.pending().await.expect("it counts").effects, 1, "nobody waits for a damaged effect");
    assert_eq!(journal.blob(&format!("{:x}", Sha256::digest(b"x"))).await.expect("it reads"), None);
    assert_eq!(journal.check().await.expect("it checks").damaged.len(), 6, "it does not grow");
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let small = EmbeddedJournal::open_within(folder.path(), Limits { max_pages: Some(40) }).expect("it opens");
    let long = "x".repeat(900);
    let mut acknowledged = 0;
    let refusal = loop {
        match small.append(append("a", Expected::Last(acknowledged), &[&long])).await {
            Ok(last) => acknowledged = last,
            Err(refusal) => break refusal,
        }
    };
    assert!(matches!(refusal, JournalError::Storage(StorageError::DiskFull { .. })), "{refusal}");
    drop(small);
    let journal = EmbeddedJournal::open(folder.path()).expect("it opens");
    assert_eq!(journal.bodies("a").await.len() as u64, acknowledged);
    journal.append(append("a", Expected::Last(acknowledged), &[&long])).await.expect("there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_all_land() {
    let (_folder, journal) = open();
    let journal = Arc::new(journal);
    let writers = (0..64).map(|writer| {
        let journal = journal.clone();
        tokio::spawn(async move {
            for number in 0..10 {
                let wanted = append(&format!("case/{writer}"), Expected::Last(number), &["x"]);
                journal.append(wanted).await.expect("each has its own stream");
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.expect("it ran");
    }
    let report = journal.check().await.expect("it checks");
    assert_eq!((report.streams, report.records, report.damaged.len()), (64, 640, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is appended in whatever order with right and wrong expectations, every stream is the list of
    /// what was accepted.
    #[test]
    fn a_stream_is_a_list(steps in prop::collection::vec((0..3_usize, prop::option::of(0..4_u64), 0..3_usize), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (_folder, journal) = open();
            let mut lists = vec![Vec::<String>::new(); 3];
            for (step, (which, lag, count)) in steps.into_iter().enumerate() {
                let list = &mut lists[which];
                let bodies: Vec<String> = (0..count).map(|part| format!("{step}.{part}")).collect();
                let last = list.len() as u64;
                let expected = lag.map_or(Expected::Any, |lag| Expected::Last(last.saturating_sub(lag)));
                let texts: Vec<&str> = bodies.iter().map(String::as_str).collect();
                let answer = journal.append(append(&format!("s{which}"), expected, &texts)).await;
                if matches!(expected, Expected::Last(seen) if seen != last) {
                    let conflict = matches!(answer, Err(JournalError::Conflict { found, .. }) if found == last);
                    prop_assert!(conflict, "{answer:?}");
                } else {
                    list.extend(bodies);
                    prop_assert_eq!(answer.expect("it fits"), list.len() as u64);
                }
            }
            for (which, list) in lists.iter().enumerate() {
                prop_assert_eq!(&journal.bodies(&format!("s{which}")).await, list);
            }
            Ok(())
        })?;
    }
}

fn cursor(name: &str, body: &str) -> Cursor {
    Cursor { name: name.into(), body: body.into() }
}

#[tokio::test]
async fn a_cursor_is_what_was_set_last() {
    let (folder, journal) = open();
    for wanted in [cursor("follow/b", "1"), cursor("follow/a", "2"), cursor("listen/a", "3"), cursor("follow/b", "4")] {
        journal.set_cursor(wanted).await.expect("it is kept");
    }
    drop(journal);
    let journal = EmbeddedJournal::open(folder.path()).expect("it opens again");
    let found = journal.cursors("follow/").await.expect("they are read");
    assert_eq!(found, [cursor("follow/a", "2"), cursor("follow/b", "4")]);
}

#[tokio::test]
async fn a_damaged_cursor_is_left_out() {
    let (folder, journal) = open();
    journal.set_cursor(cursor("follow/a", "{\"offset\":10}")).await.expect("it is kept");
    journal.set_cursor(cursor("follow/b", "{}")).await.expect("it is kept");
    tamper(&folder, "UPDATE cursor SET body = '{\"offset\":90}' WHERE name = 'follow/a'");
    assert_eq!(journal.cursors("").await.expect("they are read"), [cursor("follow/b", "{}")]);
}

#[tokio::test]
async fn a_journal_of_the_first_format_is_brought_to_the_newest() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = Connection::open(folder.path().join(EmbeddedJournal::FILE)).expect("it opens");
    old.execute_batch(&format!("{FORMAT_1} PRAGMA user_version = 1;")).expect("it is an old file");
    drop(old);
    let journal = EmbeddedJournal::open(folder.path()).expect("it is brought up");
    journal.append(append("a", Expected::Last(0), &["one"])).await.expect("it is written");
    journal.set_cursor(cursor("x", "{}")).await.expect("it is kept");
}

#[tokio::test]
async fn rows_of_all_streams_are_read_in_the_order_in_which_they_were_written() {
    let (folder, journal) = open();
    assert_eq!(journal.end().await.expect("it answers"), 0);
    for (name, bodies) in [("a", &["1", "2"][..]), ("b", &["3"]), ("a", &["4"])] {
        journal.append(append(name, Expected::Any, bodies)).await.expect("it is written");
    }
    let since = async |place, most| journal.since(place, most).await.expect("it reads");
    let told = |rows: Vec<PlacedRow>| -> Vec<(String, String)> {
        rows.into_iter().map(|row| (row.stream.0, row.row.content.map_or("damaged".into(), |r| r.body))).collect()
    };
    let all = since(0, 10).await;
    assert_eq!(all.last().map(|row| row.place), Some(journal.end().await.expect("it answers")));
    let second = all[1].place;
    let expected = [("a", "1"), ("a", "2"), ("b", "3"), ("a", "4")].map(|(s, b)| (s.to_owned(), b.to_owned()));
    assert_eq!(told(all), expected);
    assert_eq!(told(since(second, 1).await), expected[2..3]);
    tamper(&folder, "UPDATE entry SET body = 'x' WHERE stream = 'b'");
    assert_eq!(told(since(second, 10).await)[0], ("b".to_owned(), "damaged".to_owned()));
}
