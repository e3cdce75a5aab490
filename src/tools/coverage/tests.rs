//! What is said of a sensor, and that it is never said of one that was not proven alive.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::domain::event::{Event, SYSMON};
use crate::fixtures::{BrokenStore, at, event, store};
use crate::journal::alert_log::AlertLog;
use crate::ports::events::Watermark;

async fn ask(events: Vec<Event>, kinds: Value) -> (Vec<String>, Vec<KindSeen>) {
    let (_folder, store) = store(events).await;
    let scope =
        Scope { case: crate::fixtures::CASE, alerts: Arc::default(), events: store, watermark: Watermark(u64::MAX) };
    let arguments = json!({"host": "wks-1", "kinds": kinds, "from": at(100), "to": at(200)});
    let arguments = serde_json::from_value(arguments).expect("they fit");
    let answer = SensorCoverage(Arc::default()).call(arguments, &scope).await.expect("it answers");
    assert_eq!(answer.header.total, answer.rows.len() as u64);
    let Covered { kinds, .. } = serde_json::from_value(answer.data).expect("they are kinds");
    let judged = answer.rows.into_iter().take(kinds.len()).map(|row| {
        assert!(row.exhibit.is_none(), "a judgement of a sensor is no event that can be cited");
        row.text
    });
    (judged.collect(), kinds)
}

fn seen(id: &str, seconds: i64, code: u32) -> Event {
    event(id, seconds, "WKS-1.corp.example", (SYSMON, code), json!({}))
}

#[tokio::test]
async fn each_kind_is_alive_on_both_sides_or_said_not_to_be() {
    let events = vec![seen("a", 50, 1), seen("b", 250, 1), seen("c", 150, 1), seen("d", 50, 3)];
    let (texts, kinds) = ask(events, json!([{"code": 1}, {"code": 3}, {"code": 22}])).await;
    assert!(texts[0].starts_with("Sysmon 1: alive (3 events; "), "{}", texts[0]);
    assert!(texts[0].contains(&format!("last before {}, first after {}", at(50), at(250))), "{}", texts[0]);
    assert!(texts[1].starts_with("Sysmon 3: seen on one side of the window only (1 event; "), "{}", texts[1]);
    assert!(texts[1].contains("first after none"), "{}", texts[1]);
    assert!(texts[2].starts_with("Sysmon 22: never seen here around then (0 events; "), "{}", texts[2]);
    let alive: Vec<(u32, bool)> = kinds.iter().map(|kind| (kind.code, kind.seen.is_alive())).collect();
    assert_eq!(alive, [(1, true), (3, false), (22, false)]);
}

#[tokio::test]
async fn a_sensor_that_was_touched_is_not_trusted() {
    let events = vec![seen("a", 50, 1), seen("b", 250, 1), seen("stopped", 150, 4)];
    let (texts, kinds) = ask(events, json!([{"code": 1}])).await;
    assert!(texts[0].starts_with("Sysmon 1: not trusted"), "{}", texts[0]);
    assert!(!kinds[0].seen.is_alive());
}

#[tokio::test]
async fn another_channel_is_another_sensor_and_12_kinds_are_looked_at() {
    let events = vec![seen("a", 50, 1), seen("b", 250, 1)];
    let (texts, _) = ask(events.clone(), json!([{"code": 1, "channel": "Security"}])).await;
    assert!(texts[0].starts_with("Security 1: never seen"), "{}", texts[0]);
    let many: Vec<Value> = (1..=20).map(|code| json!({"code": code})).collect();
    assert_eq!(ask(events, json!(many)).await.0.len(), 12);
}

#[tokio::test]
async fn a_store_that_cannot_be_read_says_nothing_of_a_sensor() {
    let scope = Scope {
        case: crate::fixtures::CASE,
        alerts: Arc::default(),
        events: Arc::new(BrokenStore),
        watermark: Watermark(1),
    };
    let arguments = json!({"host": "wks-1", "kinds": [{"code": 1}], "from": at(100), "to": at(200)});
    let arguments = serde_json::from_value(arguments).expect("they fit");
    assert!(matches!(SensorCoverage(Arc::default()).call(arguments, &scope).await, Err(ToolError::Unavailable { .. })));
}

#[tokio::test]
async fn the_facts_tell_who_touched_a_sensor_what_was_sent_and_how_far_back_the_store_reaches() {
    let events = vec![seen("a", 50, 1), seen("b", 250, 1), seen("changed", 150, 16)];
    let (_folder, store) = store(events).await;
    let scope =
        Scope { case: crate::fixtures::CASE, alerts: Arc::default(), events: store, watermark: Watermark(u64::MAX) };
    let arguments = json!({"host": "wks-1", "from": at(100), "to": at(200)});
    let arguments = serde_json::from_value(arguments).expect("kinds may be left out");
    let answer = SensorCoverage(Arc::default()).call(arguments, &scope).await.expect("it answers");
    let [touched, sent, reach] = answer.rows.as_slice() else { panic!("{:?}", answer.rows) };
    assert!(touched.text.starts_with("Sysmon's configuration changed: "), "{}", touched.text);
    assert_eq!(touched.exhibit, touched.view.as_ref().map(EventView::exhibit), "it can be cited");
    assert!(touched.exhibit.is_some());
    assert_eq!(sent.text, "sent within a day of the window: 2 × Sysmon 1, 1 × Sysmon 16");
    assert!(reach.text.starts_with("the store holds 3 events of 0 days, from "), "{}", reach.text);
    let covered: Covered = serde_json::from_value(answer.data).expect("it is typed");
    assert_eq!((covered.kinds.len(), covered.facts.touched.len(), covered.history.events), (0, 1, 3));
}

#[tokio::test]
async fn what_a_source_lost_is_told_of_the_machines_it_may_concern() {
    let (_folder, journal) = crate::fixtures::journal();
    let alerts = Arc::new(AlertLog::open(journal).await.expect("it opens"));
    let loss = |host: Option<&str>, to: i64| Loss {
        source: "live.ndjson".into(),
        what: "1 × not JSON".into(),
        host: host.map(HostName::new),
        from: Some(at(to - 10)),
        to: at(to),
    };
    let (own, any) = (loss(Some("WKS-1"), 150), loss(None, 160));
    let others = vec![loss(Some("WKS-2"), 150), loss(None, 50)];
    alerts.lost([vec![own.clone(), any.clone()], others].concat(), at(0)).await.expect("it is written");
    let tool = SensorCoverage(Arc::new(Surroundings { alerts: Some(alerts), ..Surroundings::default() }));
    let (_folder, store) = store(vec![]).await;
    let scope =
        Scope { case: crate::fixtures::CASE, alerts: Arc::default(), events: store, watermark: Watermark(u64::MAX) };
    let arguments = json!({"host": "wks-1", "kinds": [], "from": at(100), "to": at(200)});
    let answer = tool.call(serde_json::from_value(arguments).expect("they fit"), &scope).await.expect("it answers");
    let told: Vec<&str> =
        answer.rows.iter().map(|row| row.text.as_str()).filter(|text| text.contains("whole")).collect();
    assert_eq!(told, [any.says(), own.says()]);
    let covered: Covered = serde_json::from_value(answer.data).expect("it is read");
    assert_eq!(covered.losses, [any, own]);
}
