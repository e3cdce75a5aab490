//! An old habit is one in every respect: each thing that is new makes it none.

use serde_json::{Value, json};

use super::habit::habit;
use crate::domain::event::{Event, SYSMON};
use crate::domain::ids::EventId;
use crate::domain::route::Habit;
use crate::fixtures::{event, store};
use crate::ports::events::Watermark;

const HOST: &str = "WKS-1.corp.example";
const GUID: &str = "{0a1b2c3d-0001-0002-0300-000000000700}";
const COMMAND: &str = "tool.exe -File \"C:\\Program Files\\Vendor\\check.ps1\"";
const DAY: i64 = 86_400;

fn start(more: &Value) -> Value {
    let mut start = json!({
        "Image": "C:\\Program Files\\Vendor\\tool.exe", "CommandLine": COMMAND, "User": "NT AUTHORITY\\SYSTEM",
        "ParentImage": "C:\\Program Files\\Vendor\\agent.exe", "ProcessGuid": GUID, "ProcessId": "4172"});
    for (name, value) in more.as_object().expect("an object") {
        start[name] = value.clone();
    }
    start
}

/// The process at 100 s, and the same as `of` says on these machines on each of these days before.
fn history(hosts: &[&str], days: std::ops::RangeInclusive<i64>, of: &Value) -> Vec<Event> {
    let mut events = vec![
        event("start", 100, HOST, (SYSMON, 1), start(&json!({}))),
        event("end", 110, HOST, (SYSMON, 5), json!({"ProcessGuid": GUID})),
    ];
    for (number, host) in hosts.iter().enumerate() {
        for day in days.clone() {
            let mut data = start(of);
            data["ProcessGuid"] = json!(format!("{{before-{number}-{day}}}"));
            events.push(event(&format!("before-{number}-{day}"), -DAY * day, host, (SYSMON, 1), data));
        }
    }
    events
}

async fn of(events: Vec<Event>) -> Habit {
    let (_folder, store) = store(events).await;
    habit(store.as_ref(), Watermark(u64::MAX), &[&EventId::new("start")]).await.expect("it is read")
}

async fn assert_none(events: Vec<Event>, because: &str) {
    let found = of(events).await;
    assert!(matches!(&found, Habit::NotShown(lacks) if lacks.contains(because)), "{because}: {found:?}");
}

const FLEET: [&str; 3] = [HOST, "WKS-2.corp.example", "WKS-3.corp.example"];
const SAME: &str = "the very same";

#[tokio::test]
async fn what_was_the_same_for_weeks_on_several_machines_is_an_old_habit() {
    assert_eq!(of(history(&FLEET, 2..=20, &json!({}))).await, Habit::Old);
}

#[tokio::test]
async fn another_command_program_parent_or_account_has_no_history() {
    for of in [
        json!({"CommandLine": "tool.exe -File \"C:\\Program Files\\Vendor\\other.ps1\""}),
        json!({"Image": "C:\\Program Files\\Vendor\\other\\tool.exe"}),
        json!({"ParentImage": "C:\\Program Files\\Vendor\\other.exe"}),
        json!({"User": "CORP\\a.user"}),
    ] {
        assert_none(history(&FLEET, 2..=20, &of), SAME).await;
    }
}

#[tokio::test]
async fn a_history_that_is_too_short_too_young_or_of_too_few_machines_is_no_habit() {
    let same = json!({});
    assert_none(history(&FLEET, 2..=10, &same), SAME).await;
    assert_none(history(&FLEET, 2..=13, &same), SAME).await;
    assert_none(history(&FLEET, 15..=20, &same), SAME).await;
    assert_none(history(&FLEET[..1], 2..=20, &same), SAME).await;
    assert_none(history(&FLEET[..2], 2..=20, &same), SAME).await;
    assert_none(history(&FLEET, 40..=60, &same), SAME).await;
    let elsewhere = ["WKS-2.corp.example", "WKS-3.corp.example", "WKS-4.corp.example"];
    assert_none(history(&elsewhere, 2..=20, &same), "on this machine").await;
}

#[tokio::test]
async fn what_it_runs_was_not_written_in_its_month_by_anybody() {
    let files = [
        "C:\\Program Files\\Vendor\\check.ps1",
        "C:\\Program Files\\Vendor\\agent.exe",
        "C:\\Program Files\\Vendor\\tool.exe",
    ];
    for file in files {
        for by in ["C:\\Tools\\a.exe", "C:\\Program Files\\Vendor\\agent.exe"] {
            let written = event("written", -DAY * 9, HOST, (SYSMON, 11), json!({"Image": by, "TargetFilename": file}));
            assert_none([history(&FLEET, 2..=20, &json!({})), vec![written]].concat(), "event written").await;
        }
    }
    let other = json!({"Image": "C:\\Tools\\a.exe", "TargetFilename": "C:\\Program Files\\Vendor\\other.ps1"});
    let other = event("other", -DAY * 9, HOST, (SYSMON, 11), other);
    assert_eq!(of([history(&FLEET, 2..=20, &json!({})), vec![other]].concat()).await, Habit::Old);
}

#[tokio::test]
async fn a_process_that_has_not_ended_and_a_verdict_on_nothing_are_no_habit() {
    let mut events = history(&FLEET, 2..=20, &json!({}));
    events.remove(1);
    assert_none(events, "the end of the process").await;
    let (_folder, store) = store(vec![]).await;
    let found = habit(store.as_ref(), Watermark(u64::MAX), &[]).await.expect("it is read");
    assert!(matches!(found, Habit::NotShown(_)));
}
