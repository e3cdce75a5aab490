//! Questions to a small log with known answers.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::domain::event::SYSMON;
use crate::ports::events::{Comparison, Condition};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

fn event(id: &str, seconds: i64, host: &str, (channel, code): (&str, u32), data: Value) -> Event {
    let Value::Object(document) = json!({"winlog": {"event_data": data}}) else { unreachable!("it is an object") };
    Event {
        id: EventId::new(id),
        time: at(seconds),
        host: HostName::new(host),
        channel: channel.into(),
        code,
        record_id: Some(format!("r-{id}")),
        origin: Origin { file: "log.json".into(), line: 3 },
        document,
    }
}

fn everything() -> EventQuery {
    EventQuery {
        host: None,
        kinds: vec![],
        process: None,
        conditions: vec![],
        from: at(0),
        to: at(1_000_000),
        watermark: Watermark(u64::MAX),
        limit: 100,
    }
}

fn kind(channel: Option<&str>, code: u32) -> Kind {
    Kind { channel: channel.map(str::to_owned), code }
}

fn condition(comparison: Comparison, value: &str) -> Condition {
    Condition { field: "winlog.event_data.Image".into(), comparison, value: value.into() }
}

async fn store(events: Vec<Event>) -> (TempDir, EmbeddedEvents) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = EmbeddedEvents::open(folder.path()).expect("it opens");
    store.insert(events).await.expect("they are stored");
    (folder, store)
}

async fn small_log() -> (TempDir, EmbeddedEvents) {
    store(vec![
        event("b", 20, "WKS-1.corp.example", (SYSMON, 1), json!({"ProcessGuid": "{aa-1}", "Image": r"C:\A\cmd.exe"})),
        event("a", 20, "wks-1", (SYSMON, 1), json!({"ProcessGuid": "{AA-2}", "ParentProcessGuid": "{AA-1}"})),
        event("c", 10, "wks-2", (SYSMON, 10), json!({"SourceProcessGUID": "{AA-1}", "TargetProcessGUID": "{AA-9}"})),
        event("d", 30, "wks-1", ("Security", 1), json!({"Image": r"C:\A\CMD.EXE"})),
        event("e", 40, "wks-1", (SYSMON, 3), json!({"SourceProcessGuid": "{AA-2}", "Image": r"C:\A\net.exe"})),
    ])
    .await
}

async fn ids(store: &EmbeddedEvents, query: EventQuery) -> (Vec<String>, u64) {
    let found = store.search(&query).await.expect("it answers");
    (found.rows.iter().map(|event| event.id.to_string()).collect(), found.total)
}

async fn all_ids(store: &EmbeddedEvents, query: EventQuery) -> String {
    let (ids, total) = ids(store, query).await;
    assert_eq!(ids.len() as u64, total);
    ids.concat()
}

#[tokio::test]
async fn an_event_is_stored_once_and_comes_back_exactly() {
    let mut odd = event("x", 5, "Host.corp.example", (SYSMON, 1), json!({"CommandLine": "ä \0 \"'"}));
    odd.time = "2020-05-02T02:55:56.1571234Z".parse().expect("a time");
    let mut early = event("y", -5, "", ("Security", 4624), json!({}));
    early.time = Timestamp::from_nanosecond(-1_500_000_001).expect("a time");
    let (folder, store) = store(vec![odd.clone(), early.clone()]).await;
    let again = store.insert(vec![odd.clone(), event("z", 1, "h", (SYSMON, 1), json!({}))]).await;
    assert_eq!(again.expect("it is stored"), Stored { new: 1, known: 1 });
    drop(store);
    let store = EmbeddedEvents::open(folder.path()).expect("it opens");
    let found = store.get(&odd.id).await.expect("it reads");
    assert_eq!(found.as_ref().map(|event| event.host.as_str()), Some("Host.corp.example"));
    assert_eq!(found, Some(odd));
    assert_eq!(store.get(&early.id).await.expect("it reads"), Some(early));
    assert_eq!(store.get(&EventId::new("none")).await.expect("it reads"), None);
    assert_eq!(store.watermark().await.expect("it counts"), Watermark(3));
}

#[tokio::test]
async fn a_search_is_narrowed_by_host_window_kind_and_watermark() {
    let (_folder, store) = small_log().await;
    assert_eq!(all_ids(&store, everything()).await, "cabde", "by time, then by id");
    let host = Some(HostName::new("WKS-1"));
    assert_eq!(all_ids(&store, EventQuery { host: host.clone(), ..everything() }).await, "abde");
    assert_eq!(all_ids(&store, EventQuery { from: at(20), to: at(30), ..everything() }).await, "abd");
    assert_eq!(all_ids(&store, EventQuery { watermark: Watermark(2), ..everything() }).await, "ab");
    let kinds = |kinds: &[Kind]| EventQuery { kinds: kinds.to_vec(), ..everything() };
    assert_eq!(all_ids(&store, kinds(&[kind(None, 1)])).await, "abd");
    assert_eq!(all_ids(&store, kinds(&[kind(Some(SYSMON), 1), kind(None, 10)])).await, "cab");
    assert_eq!(ids(&store, EventQuery { limit: 2, ..everything() }).await, (vec!["c".into(), "a".into()], 5));
}

#[tokio::test]
async fn a_process_is_found_as_source_new_process_and_parent_in_any_case() {
    let (_folder, store) = small_log().await;
    let process = |id: &str| EventQuery { process: Some(id.into()), ..everything() };
    assert_eq!(all_ids(&store, process("{aa-1}")).await, "cab");
    assert_eq!(all_ids(&store, process("{AA-2}")).await, "ae");
    assert_eq!(all_ids(&store, process("{AA-9}")).await, "", "it was only the target");
    let on_host = EventQuery { host: Some(HostName::new("wks-1")), from: at(20), ..process("{AA-1}") };
    assert_eq!(all_ids(&store, on_host).await, "ab");
}

#[tokio::test]
async fn conditions_all_hold_and_matches_beyond_the_limit_are_counted() {
    let (_folder, store) = small_log().await;
    let with = |conditions: &[Condition]| EventQuery { conditions: conditions.to_vec(), ..everything() };
    let (starts, ends) = (condition(Comparison::StartsWith, r"c:\a\"), condition(Comparison::EndsWith, "CMD.exe"));
    assert_eq!(all_ids(&store, with(std::slice::from_ref(&starts))).await, "bde");
    assert_eq!(all_ids(&store, with(&[starts.clone(), ends])).await, "bd");
    assert_eq!(ids(&store, EventQuery { limit: 1, ..with(&[starts]) }).await, (vec!["b".into()], 3));
}

#[tokio::test]
async fn a_sensor_is_alive_only_if_it_reported_on_both_sides_untouched() {
    let hour = 3600;
    let one = |id: &str, hours: i64| event(id, hours * hour, "wks-1", (SYSMON, 1), json!({}));
    let elsewhere = event("other", 51 * hour, "wks-2", ("Security", 1102), json!({}));
    let (_folder, store) =
        store(vec![one("too early", 20), one("before", 40), one("within", 51), one("after", 60), elsewhere]).await;
    let ask = async |code, from: i64, to: i64, watermark| {
        let (host, kind) = (HostName::new("wks-1"), kind(Some(SYSMON), code));
        store.sensor(&host, &kind, at(from), at(to), watermark).await.expect("it answers")
    };
    let all = Watermark(u64::MAX);
    let seen = ask(1, 50 * hour, 52 * hour, all).await;
    let (last_before, first_after) = (Some(at(40 * hour)), Some(at(60 * hour)));
    assert_eq!(seen, SensorSeen { count: 3, last_before, first_after, tampered: false });
    assert!(!ask(1, 50 * hour, 60 * hour + 1, all).await.is_alive(), "nothing after the window");
    assert!(!ask(1, 50 * hour, 52 * hour, Watermark(3)).await.is_alive(), "it had not arrived by then");
    assert_eq!(ask(3, 50 * hour, 52 * hour, all).await, SensorSeen::default());

    let other_channel = event("not it", 51 * hour, "wks-1", ("Application", 1102), json!({}));
    store.insert(vec![other_channel]).await.expect("it is stored");
    assert!(ask(1, 50 * hour, 52 * hour, all).await.is_alive());
    let cleared = event("cleared", 76 * hour, "wks-1", ("Security", 1102), json!({}));
    store.insert(vec![cleared]).await.expect("it is stored");
    assert!(ask(1, 50 * hour, 52 * hour, all).await.tampered, "within the day after");
    assert!(!ask(1, 50 * hour, 51 * hour, all).await.tampered, "a day and an hour after");
}
