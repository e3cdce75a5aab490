//! Alerts are stored once, however often a source delivers them.

use super::*;
use crate::fixtures::{alert, at, journal, tamper};

async fn open(journal: &Arc<dyn Journal>) -> AlertLog {
    AlertLog::open(journal.clone()).await.expect("it is read")
}

async fn arrived(log: &AlertLog) -> Vec<String> {
    let rows = log.read(0).await.expect("it is read");
    let ids = rows.entries.iter().map(|(_, _, entry)| match entry {
        AlertEntry::Arrived { alert } => alert.id.to_string(),
        AlertEntry::CaughtUp { watermark } => format!("caught up at {}", watermark.0),
        AlertEntry::LogRead { log, damage } => format!("read {log}: {damage:?}"),
        AlertEntry::Lost { loss } => loss.says(),
        AlertEntry::ClockSeen { log, shows } => format!("clock of {log}: {shows:?}"),
        AlertEntry::Unknown => "unknown".into(),
    });
    ids.collect()
}

#[tokio::test]
async fn an_alert_that_is_delivered_again_is_stored_once_also_by_the_next_process() {
    let (_folder, journal) = journal();
    let log = open(&journal).await;
    let (one, two) = (alert("a", "e1", "WKS-1", 0), alert("b", "e2", "WKS-1", 1));
    assert_eq!(log.receive(vec![one.clone(), two.clone(), one.clone()], at(0)).await.expect("they are new"), 2);
    assert_eq!(log.receive(vec![two.clone(), one.clone()], at(1)).await.expect("they are known"), 0);
    let log = open(&journal).await;
    let three = alert("c", "e3", "WKS-1", 2);
    assert_eq!(log.receive(vec![one.clone(), three.clone()], at(2)).await.expect("one is new"), 1);
    assert_eq!(arrived(&log).await, ["a", "b", "c"]);
    let ids = ["c", "nobody", "a"].map(AlertId::new);
    assert_eq!(log.get(&ids).iter().map(|alert| alert.as_ref().clone()).collect::<Vec<_>>(), [three, one]);
}

#[tokio::test]
async fn an_alert_that_could_not_be_stored_is_not_taken_for_known() {
    let (folder, journal) = journal();
    let log = open(&journal).await;
    tamper(&folder, "CREATE TRIGGER full BEFORE INSERT ON entry BEGIN SELECT raise(ABORT, 'no room'); END");
    log.receive(vec![alert("a", "e1", "WKS-1", 0)], at(0)).await.expect_err("it is refused");
    tamper(&folder, "DROP TRIGGER full");
    assert_eq!(log.receive(vec![alert("a", "e1", "WKS-1", 0)], at(1)).await.expect("there is room"), 1);
}

#[tokio::test]
async fn that_a_source_caught_up_is_said_once_for_what_had_arrived() {
    let (_folder, journal) = journal();
    let log = open(&journal).await;
    log.receive(vec![alert("a", "e1", "WKS-1", 0)], at(0)).await.expect("it is new");
    for _ in 0..2 {
        log.caught_up(Watermark(3), at(1)).await.expect("it is written");
    }
    open(&journal).await.caught_up(Watermark(3), at(2)).await.expect("it is known");
    assert_eq!(arrived(&log).await, ["a", "caught up at 3"]);
    log.caught_up(Watermark(4), at(3)).await.expect("more had arrived");
    log.receive(vec![alert("b", "e2", "WKS-1", 1)], at(4)).await.expect("it is new");
    log.caught_up(Watermark(4), at(5)).await.expect("an alert lies between");
    assert_eq!(arrived(&log).await, ["a", "caught up at 3", "caught up at 4", "b", "caught up at 4"]);
}

#[tokio::test]
async fn reading_on_gives_what_came_after_with_its_number() {
    let (_folder, journal) = journal();
    let log = open(&journal).await;
    log.receive(vec![alert("a", "e1", "WKS-1", 0), alert("b", "e2", "WKS-1", 1)], at(7)).await.expect("they are new");
    let rows = log.read(1).await.expect("it is read");
    assert_eq!(rows.entries.iter().map(|(seq, when, _)| (*seq, *when)).collect::<Vec<_>>(), [(2, at(7))]);
}

#[tokio::test]
async fn a_damaged_row_is_reported_and_the_others_are_read() {
    let (folder, journal) = journal();
    let log = open(&journal).await;
    log.receive(vec![alert("a", "e1", "WKS-1", 0), alert("b", "e2", "WKS-1", 1)], at(0)).await.expect("they are new");
    tamper(&folder, "UPDATE entry SET body = replace(body, 'WKS-1', 'WKS-2') WHERE seq = 1");
    let log = open(&journal).await;
    let rows = log.read(0).await.expect("it is read");
    assert_eq!(rows.damaged.iter().map(|damage| damage.seq).collect::<Vec<_>>(), [1]);
    assert_eq!(arrived(&log).await, ["b"]);
    assert!(log.get(&[AlertId::new("a")]).is_empty());
    assert_eq!(log.receive(vec![alert("a", "e1", "WKS-1", 0)], at(1)).await.expect("it can be delivered again"), 1);
}

#[tokio::test]
async fn what_is_missing_of_a_log_is_known_until_it_was_read_whole() {
    let (_folder, journal) = journal();
    let log = open(&journal).await;
    let entries = async || open(&journal).await.read(0).await.expect("it is read").entries.len();
    log.log_read("whole.json", None, at(0)).await.expect("it is written");
    assert_eq!(entries().await, 0, "of a whole log there is nothing to say");
    for _ in 0..2 {
        log.log_read("cut.json", Some("cut short".into()), at(1)).await.expect("it is written");
        assert_eq!(entries().await, 1, "nothing is said twice");
    }
    assert_eq!(log.damaged_logs().into_iter().collect::<Vec<_>>(), [("cut.json".into(), "cut short".into())]);
    assert_eq!(open(&journal).await.damaged_logs(), log.damaged_logs(), "another process knows it");
    log.log_read("cut.json", None, at(2)).await.expect("it is written");
    assert!(log.damaged_logs().is_empty() && open(&journal).await.damaged_logs().is_empty());
}

#[tokio::test]
async fn a_row_that_cannot_be_read_may_have_told_of_damage() {
    let (folder, journal) = journal();
    open(&journal).await.log_read("cut.json", Some("cut short".into()), at(1)).await.expect("it is written");
    tamper(&folder, "UPDATE entry SET body = replace(body, 'short', 'shirt') WHERE seq = 1");
    assert_eq!(open(&journal).await.damaged_logs().len(), 1);
}

#[tokio::test]
async fn what_was_read_is_known_even_before_whoever_received_it_says_so() {
    let (_folder, journal) = journal();
    let (reader, receiver) = (open(&journal).await, open(&journal).await);
    receiver.receive(vec![alert("a", "e1", "WKS-1", 0)], at(0)).await.expect("it is new");
    assert!(reader.get(&[AlertId::new("a")]).is_empty());
    assert_eq!(arrived(&reader).await, ["a"]);
    assert_eq!(reader.get(&[AlertId::new("a")]).len(), 1);
}

#[tokio::test]
async fn what_a_source_lost_is_known_to_another_process_and_stays_within_bounds() {
    let (_folder, journal) = journal();
    let log = open(&journal).await;
    let loss = |source: &str, from, to| Loss {
        source: source.into(),
        what: "not JSON".into(),
        host: None,
        from: Some(at(from)),
        to: at(to),
    };
    log.lost(vec![], at(0)).await.expect("nothing is written");
    assert_eq!(journal.end().await.expect("it is read"), 0);
    for (from, to) in [(0, 10), (5, 20), (100, 110)] {
        log.lost(vec![loss("a", from, to)], at(to)).await.expect("it is written");
    }
    assert_eq!(log.losses(), [loss("a", 0, 20), loss("a", 100, 110)], "one stretch of time is one loss");
    assert_eq!(open(&journal).await.losses(), log.losses());
    let many = (0..2_000).map(|number| loss(&format!("s{number}"), 200 + number, 200 + number)).collect();
    log.lost(many, at(3_000)).await.expect("it is written");
    let kept = log.losses();
    assert_eq!((kept.len(), kept[0].from, kept[0].host.as_ref()), (MOST_LOSSES, Some(at(0)), None));
    assert_eq!(open(&journal).await.losses(), kept);
}

#[tokio::test]
async fn what_a_logs_clock_shows_is_kept_until_it_is_declared() {
    let (_folder, journal) = journal();
    let log = open(&journal).await;
    log.clock_seen("off.json", Some("+2h".into()), at(0)).await.expect("it is written");
    log.clock_seen("right.json", None, at(0)).await.expect("nothing is to be written");
    assert_eq!(open(&journal).await.clocks().into_iter().collect::<Vec<_>>(), [("off.json".into(), "+2h".into())]);
    log.clock_seen("off.json", None, at(1)).await.expect("it is written");
    assert!(open(&journal).await.clocks().is_empty());
    assert_eq!(arrived(&log).await.len(), 2);
}
