//! Searches with windows, bounds, counts, and absences that may be cited.

use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::domain::event::Event;
use crate::fixtures::{BrokenStore, at, event, store};
use crate::ports::events::Watermark;

/// Thirty process creations on one host, ten seconds apart; a connection before and one after them.
fn log() -> Vec<Event> {
    let mut events = vec![event("before", 0, "WKS-1", (SYSMON, 3), json!({"DestinationIp": "192.0.2.1"}))];
    events.extend((0..30).map(|n| {
        let image = if n % 3 == 0 { "a.exe" } else { "b.exe" };
        event(&format!("p{n:02}"), 100 + 10 * n, "WKS-1", (SYSMON, 1), json!({"Image": image, "ProcessGuid": "{P}"}))
    }));
    events.push(event("after", 1_000, "WKS-1", (SYSMON, 3), json!({"DestinationIp": "192.0.2.2"})));
    events
}

async fn ask_of(events: Vec<Event>, mut arguments: Value) -> Result<Answer, ToolError> {
    let (_folder, store) = store(events).await;
    let scope =
        Scope { case: crate::fixtures::CASE, alerts: Arc::default(), events: store, watermark: Watermark(u64::MAX) };
    let window = [("from", at(0)), ("to", at(2_000))];
    for (name, instant) in window {
        if arguments.get(name).is_none() {
            arguments[name] = json!(instant);
        }
    }
    SearchWinlogEvents.call(serde_json::from_value(arguments).expect("they fit"), &scope).await
}

async fn ask(arguments: Value) -> Answer {
    ask_of(log(), arguments).await.expect("it answers")
}

fn shown(answer: &Answer) -> Vec<&str> {
    answer.rows.iter().filter_map(|row| row.view.as_ref()).map(|view| view.event.as_str()).collect()
}

#[test]
fn a_window_is_required() {
    for missing in [json!({}), json!({"from": at(0)}), json!({"to": at(0)})] {
        assert!(serde_json::from_value::<SearchArguments>(missing).is_err());
    }
    let unknown = json!({"from": at(0), "to": at(1), "hosts": "WKS-1"});
    let error = serde_json::from_value::<SearchArguments>(unknown).expect_err("it is misspelt");
    assert!(error.to_string().contains("hosts"), "{error}");
}

#[tokio::test]
async fn a_window_that_ends_before_it_begins_is_refused() {
    let refused = ask_of(log(), json!({"from": at(5), "to": at(4)})).await.expect_err("it is inverted");
    assert!(matches!(&refused, ToolError::BadArguments { what, .. } if what.contains("`from`")), "{refused}");
    assert_eq!(shown(&ask(json!({"from": at(100), "to": at(100)})).await), ["p00"], "both ends belong to it");
}

#[tokio::test]
async fn at_most_25_rows_are_listed_and_the_rest_is_counted() {
    for (limit, rows) in [(json!(null), 25), (json!(1_000), 25), (json!(3), 3), (json!(0), 1)] {
        let answer = ask(json!({"limit": limit, "kinds": [{"code": 1}]})).await;
        assert_eq!((answer.rows.len(), answer.header.total), (rows, 30), "{limit}");
        assert!(answer.header.next.contains("group_by"), "it says how to get more");
    }
    let all = ask(json!({"conditions": [
        {"field": "winlog.event_data.Image", "comparison": "starts_with", "value": "A."}]}))
    .await;
    assert_eq!((all.rows.len(), all.header.total, all.header.next.as_str()), (10, 10, ""));
    assert_eq!(all.header.window, format!("{} to {}", at(0), at(2_000)));
}

#[tokio::test]
async fn each_filter_narrows() {
    let mut events = log();
    events.push(event("other", 50, "WKS-2", ("Security", 1), json!({"ProcessGuid": "{Q}"})));
    let count = async |arguments| ask_of(events.clone(), arguments).await.expect("it answers").header.total;
    assert_eq!(count(json!({})).await, 33);
    assert_eq!(count(json!({"host": "wks-2.corp.example"})).await, 1);
    assert_eq!(count(json!({"kinds": [{"code": 1}]})).await, 30, "Sysmon's channel if none is named");
    assert_eq!(count(json!({"kinds": [{"code": 1, "channel": "Security"}, {"code": 3}]})).await, 3);
    assert_eq!(count(json!({"process": "{q}"})).await, 1);
    assert_eq!(count(json!({"from": at(390), "to": at(1_000)})).await, 2);
}

#[tokio::test]
async fn counting_by_a_field_gives_the_most_frequent_first_and_nothing_to_cite() {
    let answer = ask(json!({"group_by": "winlog.event_data.Image"})).await;
    let texts: Vec<&str> = answer.rows.iter().map(|row| row.text.as_str()).collect();
    assert_eq!(texts, ["20 × b.exe", "10 × a.exe", "2 × (no such field)"]);
    assert!(answer.rows.iter().all(|row| row.exhibit.is_none() && row.view.is_none()));
    assert_eq!(answer.header.total, 32, "all are counted, not only the rows a list would show");
    assert_eq!(answer.data["counts"][0], json!(["b.exe", 20, 1, 1]));
    let first = ask(json!({"group_by": "winlog.event_data.Image", "limit": 1})).await;
    assert_eq!(first.rows.len(), 1);
}

#[tokio::test]
async fn nothing_found_can_be_cited_only_for_one_host_and_kind_whose_sensor_is_alive() {
    let window = |mut arguments: Value| {
        arguments["from"] = json!(at(10));
        arguments["to"] = json!(at(900));
        arguments
    };
    let connections = json!([{"code": 3}]);
    let answer = ask(window(json!({"host": "WKS-1", "kinds": connections}))).await;
    assert_eq!((answer.header.total, answer.header.sensor.as_str()), (0, "Sysmon 3 alive"));
    let [row] = answer.rows.as_slice() else { panic!("{:?}", answer.rows) };
    let Some(Exhibit::Absence { absence }) = &row.exhibit else { panic!("{row:?}") };
    assert_eq!((absence.host.as_str(), absence.code, absence.channel.as_str()), ("WKS-1", 3, SYSMON));
    assert_eq!((absence.from, absence.to), (at(10), at(900)));

    let not_citable = [
        json!({"kinds": connections}),
        json!({"host": "WKS-1", "kinds": [{"code": 3}, {"code": 22}]}),
        json!({"host": "WKS-1", "process": "{nobody}"}),
    ];
    for arguments in not_citable {
        let answer = ask(window(arguments.clone())).await;
        assert_eq!((answer.header.total, answer.rows.len(), answer.header.sensor.as_str()), (0, 0, ""), "{arguments}");
    }
    let dead = ask(window(json!({"host": "WKS-1", "kinds": [{"code": 22}]}))).await;
    assert_eq!((dead.rows.len(), dead.header.sensor.as_str()), (0, "Sysmon 22 not proven alive"));
    let stranger = ask(window(json!({"host": "WKS-2", "kinds": connections}))).await;
    assert_eq!((stranger.rows.len(), stranger.header.sensor.as_str()), (0, "Sysmon 3 not proven alive"));
}

#[tokio::test]
async fn a_cleared_log_makes_an_absence_worthless() {
    let mut events = log();
    events.push(event("cleared", 500, "WKS-1", ("Security", 1102), json!({})));
    let arguments = json!({"host": "WKS-1", "kinds": [{"code": 3}], "from": at(10), "to": at(900)});
    let answer = ask_of(events, arguments).await.expect("it answers");
    assert_eq!((answer.rows.len(), answer.header.sensor.as_str()), (0, "Sysmon 3 not proven alive"));
}

#[tokio::test]
async fn an_absence_remembers_every_condition_it_was_asked_with() {
    let conditions =
        json!([{"field": "winlog.event_data.DestinationIp", "comparison": "equals", "value": "203.0.113.9"}]);
    let arguments = json!({"host": "WKS-1", "kinds": [{"code": 3}], "conditions": conditions, "process": "{X}",
        "from": at(0), "to": at(1_000)});
    let answer = ask(arguments).await;
    let Some(Exhibit::Absence { absence }) = answer.rows.first().and_then(|row| row.exhibit.as_ref()) else {
        panic!("{:?}", answer.rows)
    };
    let quote = |field: &str, value: &str| Quote { field: format!("winlog.event_data.{field}"), value: value.into() };
    assert_eq!(
        (absence.conditions.as_slice(), absence.process.as_deref()),
        ([quote("DestinationIp", "203.0.113.9")].as_slice(), Some("{X}"))
    );
}

#[tokio::test]
async fn one_event_is_shown_whole_or_said_to_be_missing() {
    let long = "x".repeat(3_000);
    let events =
        vec![event("e", 0, "WKS-1", (SYSMON, 1), json!({"Image": "a.exe", "Odd": "kept", "CommandLine": long}))];
    let (_folder, store) = store(events).await;
    let scope =
        Scope { case: crate::fixtures::CASE, alerts: Arc::default(), events: store, watermark: Watermark(u64::MAX) };
    let get = |id: &str| GetArguments { event: id.into() };
    let answer = GetEvent.call(get("e"), &scope).await.expect("it is there");
    let view = answer.rows[0].view.as_ref().expect("it is an event");
    assert_eq!((view.get("Odd"), view.get("CommandLine"), view.cut), (Some("kept"), Some(long.as_str()), false));
    assert_eq!(answer.rows[0].exhibit, Some(view.exhibit()));
    assert_eq!(answer.data["line"], 3, "where a person finds it again");
    let missing = GetEvent.call(get("nobody"), &scope).await.expect_err("it is not there");
    assert!(matches!(&missing, ToolError::NotFound { what } if what.contains("nobody")));
    let broken = Scope { events: Arc::new(BrokenStore), ..scope };
    assert!(matches!(GetEvent.call(get("e"), &broken).await, Err(ToolError::Unavailable { .. })));
}

#[tokio::test]
async fn things_words_and_rules_narrow_and_their_absence_cannot_be_cited() {
    let mut events = log();
    let data = json!({"Image": r"C:\Tools\scan.exe", "User": r"CORP\i.lund", "CommandLine": "scan /deep",
        "DestinationIp": "192.0.2.9", "DestinationPort": "8443", "TargetObject": r"HKLM\A\B", "QueryName": "x.example",
        "Hashes": "SHA256=AA"});
    events.push(event("one", 500, "WKS-1", (SYSMON, 3), data));
    let (_folder, store) = store(events).await;
    let alerts = vec![crate::fixtures::alert("raised", "one", "WKS-1", 500)];
    let scope =
        Scope { case: crate::fixtures::CASE, alerts: Arc::new(alerts), events: store, watermark: Watermark(u64::MAX) };
    let ask = async |name: &str, value: Value| {
        let mut arguments = json!({"from": at(0), "to": at(2_000), "host": "WKS-1", "kinds": [{"code": 3}]});
        arguments[name] = value;
        SearchWinlogEvents.call(serde_json::from_value(arguments).expect("they fit"), &scope).await
    };
    for (name, fits, other) in [
        ("user", json!("i.lund"), json!("nobody")),
        ("file", json!("SCAN.exe"), json!(r"D:\Tools\scan.exe")),
        ("registry", json!(r"HKLM\A"), json!(r"HKLM")),
        ("address", json!("192.0.2.9"), json!("192.0.2.99")),
        ("port", json!(8443), json!(8444)),
        ("domain", json!("X.example"), json!("y.example")),
        ("hash", json!("aa"), json!("ab")),
        ("text", json!("deep sc"), json!("eep")),
    ] {
        assert_eq!(shown(&ask(name, fits).await.expect("it answers")), ["one"], "{name}");
        let none = ask(name, other).await.expect("it answers");
        assert_eq!((none.header.total, none.rows.len()), (0, 0), "{name}: a claim could not say what was asked");
    }
    assert_eq!(shown(&ask("rule", json!("RULE OF RAISED")).await.expect("it answers")), ["one"], "by its title");
    assert_eq!(shown(&ask("rule", json!("rule")).await.expect("it answers")), ["one"], "by its id");
    for (name, value, says) in [
        ("rule", json!("another"), "another"),
        ("address", json!("x.example"), "IP address"),
        ("text", json!("-/"), "no words"),
        ("then_by", json!(["a", "b", "c", "d"]), "one to three"),
    ] {
        let refused = ask(name, value).await.expect_err("it makes no sense");
        assert!(matches!(&refused, ToolError::BadArguments { what, .. } if what.contains(says)), "{refused}");
    }
}

#[tokio::test]
async fn counting_by_several_things_names_them_in_their_order_and_how_far_they_are_spread() {
    let mut events = log();
    events.push(event("far", 400, "WKS-2", (SYSMON, 1), json!({"Image": "a.exe"})));
    let arguments = json!({"group_by": "winlog.event_data.Image", "then_by": ["kind"], "per": "day", "limit": 2});
    let answer = ask_of(events.clone(), arguments).await.expect("it answers");
    let texts: Vec<&str> = answer.rows.iter().map(|row| row.text.as_str()).collect();
    let day = at(0);
    assert_eq!(
        texts,
        [format!("20 × b.exe | Sysmon 1 | {day}"), format!("11 × a.exe | Sysmon 1 | {day} (hosts: 2, days: 1)"),]
    );
    assert!(answer.header.next.contains("largest of 3 groups"), "{}", answer.header.next);
    let hosts = ask_of(events, json!({"group_by": "host"})).await.expect("it answers");
    assert_eq!(hosts.data["counts"], json!([["wks-1", 32, 1, 1], ["wks-2", 1, 1, 1]]));
}
