//! A signal of Windows is closed on, and each way in which an intruder could use one stands against that.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::domain::event::{Event, SYSMON};
use crate::fixtures::{event, store};

const HOST: &str = "WKS-1.corp.example";
const TARGET: &str = "{0a1b2c3d-0001-0002-0300-000000000700}";
const SUBSYSTEM: &str = "{0a1b2c3d-0001-0002-0200-000000000700}";
const SHELL: &str = "{0a1b2c3d-0001-0002-0900-000000000700}";
const BROWSER: &str = "C:\\Program Files\\Browser\\browser.exe";
const DAY: i64 = 86_400;

fn sysmon(id: &str, seconds: i64, code: u32, data: Value) -> Event {
    event(id, seconds, HOST, (SYSMON, code), data)
}

fn thread(more: &Value) -> Value {
    let mut thread = json!({
        "SourceImage": "C:\\Windows\\System32\\csrss.exe", "SourceProcessGuid": SUBSYSTEM,
        "TargetImage": BROWSER, "TargetProcessGuid": TARGET,
        "StartModule": "C:\\Windows\\System32\\KERNELBASE.dll", "StartFunction": "CtrlRoutine"});
    for (name, value) in more.as_object().expect("an object") {
        thread[name] = value.clone();
    }
    thread
}

/// A browser from 100 s, told to end at 900 s, and a fleet on which that is usual.
fn quiet() -> Vec<Event> {
    let start = json!({"Image": BROWSER, "CommandLine": "browser.exe", "User": "CORP\\a.user",
        "ParentImage": "C:\\Windows\\explorer.exe", "ProcessGuid": TARGET, "ProcessId": "4172",
        "ParentProcessGuid": SHELL});
    let mut events = vec![
        sysmon("start", 100, 1, start),
        sysmon("thread", 900, 8, thread(&json!({}))),
        sysmon("second", 900, 8, thread(&json!({}))),
        sysmon("end", 901, 5, json!({"ProcessGuid": TARGET, "Image": BROWSER})),
    ];
    for (side, seconds) in [("before", -900), ("after", 4_000)] {
        for code in [1, 3, 10, 11, 13] {
            events.push(sysmon(&format!("{side}-{code}"), seconds, code, json!({"ProcessGuid": "{1}"})));
        }
    }
    for (host, day) in [("A", 12), ("B", 9), ("C", 5)] {
        let of = thread(&json!({"TargetProcessGuid": format!("{{{host}}}")}));
        events.push(event(&format!("habit-{host}"), -DAY * day, host, (SYSMON, 8), of));
    }
    events
}

async fn of(events: Vec<Event>) -> Vec<Obstacle> {
    let (_folder, store) = store(events).await;
    let thread = EventId::new("thread");
    obstacles(store.as_ref(), Watermark(u64::MAX), &[&thread], &BTreeMap::new(), &[]).await.expect("it is read")
}

async fn assert_stands(events: Vec<Event>, what: &str) {
    let found = of(events).await;
    assert!(found.iter().any(|obstacle| obstacle.says().contains(what)), "{what}: {found:?}");
}

async fn assert_with(more: Event, what: &str) {
    assert_stands([quiet(), vec![more]].concat(), what).await;
}

fn without(id: &str) -> Vec<Event> {
    quiet().into_iter().filter(|event| event.id.as_str() != id).collect()
}

#[tokio::test]
async fn nothing_stands_against_a_signal_that_ended_its_program() {
    assert_eq!(of(quiet()).await, []);
}

#[tokio::test]
async fn a_thread_anywhere_else_is_no_signal() {
    for other in [
        json!({"SourceImage": "C:\\Users\\a\\csrss.exe"}),
        json!({"StartFunction": "LoadLibraryW"}),
        json!({"StartModule": "C:\\Users\\a\\KERNELBASE.dll"}),
        json!({"StartModule": ""}),
    ] {
        let mut events = quiet();
        events[1] = sysmon("thread", 900, 8, thread(&other));
        assert_stands(events, "no control signal").await;
    }
}

#[tokio::test]
async fn a_program_that_somebody_could_have_changed_may_run_anything_at_a_signal() {
    let opened = |mask: &str, by: &str| {
        json!({"SourceProcessGUID": by, "SourceImage": "C:\\Tools\\a.exe", "TargetProcessGUID": TARGET,
            "TargetImage": BROWSER, "GrantedAccess": mask})
    };
    assert_with(sysmon("opened", 500, 10, opened("0x1fffff", "{7}")), "event opened").await;
    assert_with(sysmon("opened", 500, 10, opened("0x28", "{7}")), "event opened").await;
    let planted = thread(&json!({"SourceImage": "C:\\Tools\\a.exe", "StartFunction": "LoadLibraryW"}));
    assert_with(sysmon("planted", 500, 8, planted), "event planted").await;
    let looked = sysmon("looked", 500, 10, opened("0x1000", "{7}"));
    assert_eq!(of([quiet(), vec![looked]].concat()).await, []);
    let shell = sysmon("shell", 100, 10, opened("0x1fffff", SHELL));
    assert_eq!(of([quiet(), vec![shell]].concat()).await, []);
}

#[tokio::test]
async fn a_program_that_goes_on_was_told_something_else() {
    assert_stands(without("end"), "the end of the process").await;
    let mut late = without("end");
    late.push(sysmon("end", 1_500, 5, json!({"ProcessGuid": TARGET})));
    assert_stands(late, "did not end then").await;
    let child = json!({"Image": "C:\\Windows\\System32\\cmd.exe", "ProcessGuid": "{8}", "ParentProcessGuid": TARGET});
    assert_with(sysmon("child", 900, 1, child), "event child").await;
    let connection = json!({"ProcessGuid": TARGET, "DestinationIp": "192.0.2.1"});
    assert_with(sysmon("connection", 900, 3, connection.clone()), "event connection").await;
    // What the browser did before it was told to end is not what the alert is about.
    assert_eq!(of([quiet(), vec![sysmon("connection", 500, 3, connection)]].concat()).await, []);
}

#[tokio::test]
async fn what_it_writes_while_it_ends_is_its_own_or_stands_against_it() {
    let file = |path: &str| sysmon("file", 900, 11, json!({"ProcessGuid": TARGET, "TargetFilename": path}));
    let value = |key: &str, details: &str| {
        sysmon("value", 900, 13, json!({"ProcessGuid": TARGET, "TargetObject": key, "Details": details}))
    };
    let own = [
        file("C:\\Users\\a.user\\AppData\\Local\\Browser\\session.json"),
        value("HKU\\S-1-5-21-1-2-3-1001\\Software\\Browser\\Window\\Left", "DWORD (0x00000010)"),
    ];
    assert_eq!(of([quiet(), own.to_vec()].concat()).await, []);
    assert_with(file("C:\\Users\\Public\\a.exe"), "event file").await;
    assert_with(file("C:\\inetpub\\wwwroot\\a.aspx"), "event file").await;
    let run = "HKU\\S-1-5-21-1-2-3-1001\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\a";
    assert_with(value(run, "C:\\Users\\Public\\a.exe"), "event value").await;
    let pipe = json!({"ProcessGuid": TARGET, "PipeName": "\\a"});
    assert_with(sysmon("pipe", 900, 17, pipe), "event pipe").await;
}

#[tokio::test]
async fn a_signal_that_is_not_usual_or_not_whole_in_the_log_is_a_persons() {
    assert_stands(without("habit-A"), "three machines").await;
    let mut alone = quiet();
    alone.retain(|event| !event.id.as_str().starts_with("habit"));
    assert_stands(alone, "no week of history").await;
    let mut same_machine = quiet();
    for event in same_machine.iter_mut().filter(|event| event.id.as_str().starts_with("habit")) {
        event.host = crate::domain::entity::HostName::new("A");
    }
    assert_stands(same_machine, "three machines").await;
    assert_stands(without("start"), "the start of the program").await;
    assert_stands(without("after-10"), "Sysmon 10").await;
    assert_stands(without("after-3"), "Sysmon 3").await;
}

#[tokio::test]
async fn every_event_of_every_alert_has_to_be_explained() {
    let (_folder, store) = store(quiet()).await;
    let explained = EventId::new("thread");
    let ask = async |alerts: &[crate::domain::alert::Alert], explained: &[&EventId]| {
        left_over(store.as_ref(), Watermark(u64::MAX), explained, alerts).await.expect("it is read").len()
    };
    let alert = |event: &str| crate::fixtures::alert("a", event, HOST, 900);
    assert_eq!(ask(&[alert("thread")], &[&explained]).await, 0);
    assert_eq!(ask(&[alert("thread"), alert("second")], &[&explained]).await, 1);
    let mut several = alert("thread");
    several.correlated = crate::domain::alert::Correlated::new(vec![explained.clone(), EventId::new("second")]);
    assert_eq!(ask(&[several], &[&explained]).await, 1);
    // By its start everything that the process did is explained, and what was done to it is not.
    let start = EventId::new("start");
    assert_eq!(ask(&[alert("end")], &[&start]).await, 0);
    assert_eq!(ask(&[alert("second")], &[&start]).await, 1);
}
