//! A quiet run of Defender's own script is closed on; each way in which it could be another's stands against that.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::domain::event::{Event, SYSMON};
use crate::fixtures::{at, event, store};
use crate::ports::events::retention::RetentionPolicy;

pub(super) const HOST: &str = "WKS-1.corp.example";
pub(super) const GUID: &str = "{0a1b2c3d-0001-0002-0300-000000000700}";
pub(super) const PARENT: &str = "{0a1b2c3d-0001-0002-0200-000000000700}";
const CONSOLE: &str = "{0a1b2c3d-0001-0002-0400-000000000700}";
const OTHER: &str = "{0a1b2c3d-0001-0002-0900-000000000700}";
pub(super) const POWERSHELL: &str = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe";
pub(super) const SENSOR: &str = "C:\\Program Files\\Windows Defender Advanced Threat Protection\\SenseIR.exe";
pub(super) const FOLDER: &str =
    "C:\\ProgramData\\Microsoft\\Windows Defender Advanced Threat Protection\\DataCollection\\1.2-3\\";
pub(super) const SCRIPT: &str = "0a1b2c3d4e5f.ps1";

pub(super) fn sysmon(id: &str, seconds: i64, code: u32, data: Value) -> Event {
    event(id, seconds, HOST, (SYSMON, code), data)
}

/// The run from 100 to 110 s, its console, the writing of its script, and a watched machine before and after.
pub(super) fn quiet() -> Vec<Event> {
    let command = format!(
        "powershell.exe -ExecutionPolicy AllSigned -NoProfile -NonInteractive -Command \"& {{. '{FOLDER}{SCRIPT}'}}\""
    );
    let start = json!({
        "Image": POWERSHELL, "CommandLine": command, "User": "NT AUTHORITY\\SYSTEM", "ParentImage": SENSOR,
        "ProcessGuid": GUID, "ProcessId": "4172", "ParentProcessGuid": PARENT, "ParentProcessId": "4032"});
    let console = json!({
        "Image": "C:\\Windows\\System32\\conhost.exe", "ProcessGuid": CONSOLE, "ProcessId": "4176",
        "ParentProcessGuid": GUID, "ParentProcessId": "4172"});
    let mut events = vec![
        sysmon("start", 100, 1, start),
        sysmon("console", 101, 1, console),
        sysmon(
            "written",
            99,
            11,
            json!({"ProcessGuid": PARENT, "Image": SENSOR, "TargetFilename": format!("{FOLDER}{SCRIPT}")}),
        ),
        sysmon("ended", 110, 5, json!({"ProcessGuid": GUID, "Image": POWERSHELL})),
    ];
    for (side, seconds) in [("before", -900), ("after", 4_000)] {
        for code in [1, 3, 10, 11, 13] {
            events.push(sysmon(&format!("{side}-{code}"), seconds, code, json!({"ProcessGuid": "{1}"})));
        }
    }
    events
}

pub(super) async fn of(events: Vec<Event>) -> Vec<Obstacle> {
    let (_folder, store) = store(events).await;
    let start = EventId::new("start");
    obstacles(store.as_ref(), Watermark(u64::MAX), &[&start], &BTreeMap::new(), &[]).await.expect("it is read")
}

/// What one more event does to the quiet run.
pub(super) async fn with(more: Event) -> Vec<Obstacle> {
    of([quiet(), vec![more]].concat()).await
}

pub(super) async fn assert_unexplained(more: Event) {
    let (id, data) = (more.id.clone(), format!("{:?}", more.document));
    let found = with(more).await;
    let is_named = |obstacle: &Obstacle| matches!(obstacle, Obstacle::Unexplained(what) if what.contains(id.as_str()));
    assert!(found.len() == 1 && is_named(&found[0]), "{id} {data}: {found:?}");
}

async fn assert_unseen(events: Vec<Event>, what: &str) {
    let mut found = of(events).await;
    // Where the writing of the script was left out, that is told as well.
    found.retain(|obstacle| !obstacle.says().contains("may have been renamed"));
    let is_meant = |obstacle: &Obstacle| matches!(obstacle, Obstacle::Unseen(says) if says.contains(what));
    assert!(found.len() == 1 && is_meant(&found[0]), "{what}: {found:?}");
}

#[tokio::test]
async fn nothing_stands_against_a_quiet_run() {
    assert_eq!(of(quiet()).await, []);
}

#[tokio::test]
async fn nothing_stands_against_what_powershell_does_by_itself() {
    let library = |path: &str, signature: &str, signed: bool| {
        let status = if signed { "Valid" } else { "Unavailable" };
        json!({"ProcessGuid": GUID, "Image": POWERSHELL, "ImageLoaded": path, "Signed": signed.to_string(),
            "Signature": signature, "SignatureStatus": status})
    };
    let opened = |source: &str, by: &str, mask: &str| {
        json!({"SourceProcessGUID": by, "SourceImage": source, "TargetProcessGUID": GUID, "TargetImage": POWERSHELL,
            "GrantedAccess": mask})
    };
    let own = vec![
        sysmon("l1", 102, 7, library("C:\\Windows\\System32\\ntdll.dll", "Microsoft Windows", true)),
        sysmon("l2", 102, 7, library("C:\\Windows\\assembly\\NativeImages_v4.0.30319_64\\a\\a.ni.dll", "-", false)),
        sysmon("o1", 100, 10, opened(SENSOR, PARENT, "0x1fffff")),
        sysmon("o2", 100, 10, opened("C:\\Windows\\System32\\csrss.exe", "{2}", "0x1fffff")),
        sysmon("o3", 103, 10, opened("C:\\Windows\\System32\\svchost.exe", "{3}", "0x1410")),
        sysmon(
            "d",
            104,
            23,
            json!({"ProcessGuid": GUID, "TargetFilename": "C:\\Windows\\Temp\\__PSScriptPolicyTest_ab1cdefg.h2j.ps1"}),
        ),
        event(
            "s",
            101,
            HOST,
            ("Security", 4688),
            json!({"NewProcessName": "C:\\Windows\\System32\\conhost.exe",
            "NewProcessId": "0x1050", "ProcessId": "0x104c"}),
        ),
        event("t", 101, HOST, ("Security", 4688), json!({"NewProcessName": "C:\\Tools\\a.exe", "ProcessId": "0x99"})),
    ];
    assert_eq!(of([quiet(), own].concat()).await, []);
}

#[tokio::test]
async fn what_is_done_to_the_process_from_outside_is_not_explained() {
    let bare = GUID.trim_matches(['{', '}']).to_uppercase();
    for field in ["TargetProcessGuid", "TargetProcessGUID"] {
        for guid in [GUID, &bare] {
            let thread = json!({"SourceProcessGuid": OTHER, "SourceImage": "C:\\Tools\\a.exe", field: guid});
            assert_unexplained(sysmon("thread", 103, 8, thread)).await;
            let access = json!({"SourceProcessGUID": OTHER, "SourceImage": "C:\\Tools\\a.exe", field: guid,
                "GrantedAccess": "0x1f3fff"});
            assert_unexplained(sysmon("access", 103, 10, access.clone())).await;
            // A machine without a name tells of it as well.
            let found = with(event("access", 103, "", (SYSMON, 10), access)).await;
            assert!(found.iter().any(|obstacle| obstacle.says().contains("event access")), "{found:?}");
        }
    }
    // Not even by whoever started it.
    let thread = json!({"SourceProcessGuid": PARENT, "SourceImage": SENSOR, "TargetProcessGuid": GUID});
    assert_unexplained(sysmon("thread", 103, 8, thread)).await;
}

#[tokio::test]
async fn what_the_process_did_besides_is_not_explained() {
    let own = |more: Value| {
        let mut data = json!({"ProcessGuid": GUID, "Image": POWERSHELL});
        more.as_object().expect("an object").iter().for_each(|(name, value)| data[name] = value.clone());
        data
    };
    let library = |path: &str, signature: &str, status: &str| {
        own(json!({"ImageLoaded": path, "Signed": "true", "Signature": signature, "SignatureStatus": status}))
    };
    for (code, data) in [
        (3, own(json!({"DestinationIp": "192.0.2.1"}))),
        (7, own(json!({"ImageLoaded": "C:\\Windows\\System32\\a.dll", "Signed": "false"}))),
        (7, library("C:\\Windows\\System32\\a.dll", "Somebody", "Valid")),
        (7, library("C:\\Windows\\System32\\a.dll", "Microsoft Windows", "Revoked")),
        (7, library("C:\\Users\\Public\\a.dll", "Microsoft Windows", "Valid")),
        (7, own(json!({"ImageLoaded": "C:\\Windows\\assembly\\NativeImages_v4\\..\\..\\Temp\\a.ni.dll"}))),
        (8, json!({"SourceProcessGuid": GUID, "TargetProcessGuid": OTHER})),
        (10, json!({"SourceProcessGUID": GUID, "TargetProcessGUID": OTHER, "GrantedAccess": "0x1fffff"})),
        (22, own(json!({"QueryName": "files.example"}))),
        (23, own(json!({"TargetFilename": "C:\\Users\\a\\b.txt"}))),
        (26, own(json!({"TargetFilename": "C:\\Windows\\Temp\\..\\System32\\b.log"}))),
        (25, own(json!({"Type": "Image is replaced"}))),
        (9, own(json!({"Device": "\\Device\\HarddiskVolume2"}))),
        (1, json!({"Image": "C:\\Windows\\System32\\cmd.exe", "ProcessGuid": OTHER, "ParentProcessGuid": GUID})),
        (1, json!({"Image": POWERSHELL, "ProcessGuid": GUID, "CommandLine": "powershell.exe -enc AAAA"})),
    ] {
        assert_unexplained(sysmon("deed", 103, code, data)).await;
    }
}

#[tokio::test]
async fn a_child_that_only_its_parents_number_leads_to_is_found() {
    for parent in ["0x104c", "0x104C", "4172"] {
        let child = json!({"NewProcessName": "C:\\Windows\\System32\\cmd.exe", "ProcessId": parent});
        assert_unexplained(event("child", 103, HOST, ("Security", 4688), child)).await;
    }
    let orphan = json!({"Image": "C:\\Tools\\a.exe", "ProcessGuid": OTHER, "ParentProcessId": "4172",
        "ParentProcessGuid": "{00000000-0000-0000-0000-000000000000}"});
    assert_unexplained(sysmon("child", 103, 1, orphan)).await;
    let fake = json!({"NewProcessName": "C:\\Users\\Public\\conhost.exe", "ProcessId": "0x104c"});
    assert_unexplained(event("child", 103, HOST, ("Security", 4688), fake)).await;
}

#[tokio::test]
async fn an_event_of_the_process_on_another_machine_or_in_another_spelling_is_found() {
    let bare = GUID.trim_matches(['{', '}']).to_uppercase();
    let deed = json!({"ProcessGuid": bare, "Image": POWERSHELL, "QueryName": "files.example"});
    assert_unexplained(sysmon("deed", 103, 22, deed.clone())).await;
    let written = json!({"ProcessGuid": bare, "Image": POWERSHELL, "TargetFilename": "C:\\a.txt"});
    assert_unexplained(event("deed", 103, "WKS-2", (SYSMON, 11), written.clone())).await;
    assert_unexplained(event("deed", 103, "WKS-1.other.example", (SYSMON, 11), written.clone())).await;
    let found = with(event("deed", 103, "", (SYSMON, 11), written)).await;
    assert_eq!(found.len(), 2, "the event, and that events without a machine are there: {found:?}");
}

#[tokio::test]
async fn a_script_that_another_wrote_under_any_name_is_not_explained() {
    let path = FOLDER.trim_start_matches("C:");
    for file in [
        format!("{FOLDER}{SCRIPT}"),
        format!("{}{}", FOLDER.to_uppercase(), SCRIPT.to_uppercase()),
        format!("\\\\?\\{FOLDER}{SCRIPT}"),
        format!("\\\\localhost\\c${path}{SCRIPT}"),
        format!("\\\\127.0.0.1\\C${path}{SCRIPT}"),
        format!("\\Device\\HarddiskVolume3{path}{SCRIPT}"),
        format!("C:\\PROGRA~3\\MICROS~1\\WINDOW~2\\DATACO~1\\12-3~1\\{SCRIPT}"),
        "C:\\PROGRA~3\\MICROS~1\\WINDOW~2\\DATACO~1\\12-3~1\\0A1B2C~1.PS1".to_owned(),
        format!("{FOLDER}{SCRIPT}::$DATA"),
    ] {
        let data = json!({"ProcessGuid": OTHER, "Image": "C:\\Tools\\a.exe", "TargetFilename": file});
        assert_unexplained(sysmon("foreign", 40, 11, data)).await;
    }
    let unrelated = json!({"ProcessGuid": OTHER, "Image": "C:\\Tools\\a.exe", "TargetFilename": "C:\\a\\~DF12.TMP"});
    assert_eq!(with(sysmon("unrelated", 40, 11, unrelated)).await, []);
}

#[tokio::test]
async fn a_sensor_that_is_not_proven_alive_on_both_sides_is_missed() {
    for (code, what) in [(3, "Sysmon 3"), (10, "Sysmon 8 or 10"), (11, "Sysmon 11"), (13, "Sysmon 12 to 14")] {
        for side in ["before", "after"] {
            let mut events = quiet();
            // The script's own writing shows the files' sensor alive; it is not what is asked about.
            events.retain(|event| event.id.as_str() != format!("{side}-{code}") && event.id.as_str() != "written");
            assert_unseen(events, what).await;
        }
    }
    let mut events = quiet();
    events.retain(|event| event.id.as_str() != "before-10" && event.id.as_str() != "after-10");
    let threads = [-800, 4_100].map(|at| sysmon(&format!("t{at}"), at, 8, json!({"SourceProcessGuid": "{1}"})));
    assert_eq!(of([events, threads.to_vec()].concat()).await, [], "either of the two is enough");
    let stopped = with(sysmon("stopped", 2_000, 4, json!({"State": "Stopped"}))).await;
    assert_eq!(stopped.len(), 5, "{stopped:?}");
}

#[tokio::test]
async fn a_process_without_an_end_an_id_or_a_machine_is_not_closed_on() {
    let without = |id: &str| quiet().into_iter().filter(|event| event.id.as_str() != id).collect::<Vec<_>>();
    assert_unseen(without("ended"), "the end of the process").await;
    assert_unseen(without("start"), "no start of a process").await;
    let mut anonymous = quiet();
    anonymous[0] = sysmon("start", 100, 1, json!({"Image": POWERSHELL}));
    assert_unseen(anonymous, "no id").await;
    let mut nowhere = quiet();
    nowhere[0].host = crate::domain::entity::HostName::new("");
    assert_unseen(nowhere, "on which machine").await;
}

#[tokio::test]
async fn events_that_name_no_machine_and_a_history_with_holes_hide_what_happened() {
    let nameless = event("nameless", 5_000, "", (SYSMON, 3), json!({"Image": "C:\\Tools\\a.exe"}));
    assert_unseen([quiet(), vec![nameless]].concat(), "name no machine").await;
    let long_ago = event("nameless", -200_000, "", (SYSMON, 3), json!({"Image": "C:\\Tools\\a.exe"}));
    assert_eq!(with(long_ago).await, []);

    let old = sysmon("old", -3_000, 3, json!({"Image": "C:\\Tools\\a.exe"}));
    let (_folder, store) = store([quiet(), vec![old]].concat()).await;
    let policy = RetentionPolicy { before: Some(at(-2_000)), ..RetentionPolicy::default() };
    store.retain(&policy, &[]).await.expect("it is pruned");
    let start = EventId::new("start");
    let found =
        obstacles(store.as_ref(), Watermark(u64::MAX), &[&start], &BTreeMap::new(), &[]).await.expect("it is read");
    assert!(found.iter().any(|obstacle| obstacle.says().contains("were removed from the store")), "{found:?}");
}

#[tokio::test]
async fn a_damaged_log_stands_against_every_close_and_against_nothing_else() {
    let (_folder, store) = store(quiet()).await;
    let damaged = BTreeMap::from([("a.json".to_owned(), "cut short after line 7".to_owned())]);
    let start = EventId::new("start");
    let explained = [&start];
    let ask = |explained| obstacles(store.as_ref(), Watermark(u64::MAX), explained, &damaged, &[]);
    let found = ask(&explained).await.expect("it is read");
    assert_eq!(found, [Obstacle::Unseen("a.json was not read whole: cut short after line 7".into())]);
    assert_eq!(ask(&[]).await.expect("it is read"), [], "nothing is closed");
}

#[tokio::test]
async fn what_a_source_lost_stands_against_the_runs_it_may_concern_and_against_no_other() {
    let (_folder, store) = store(quiet()).await;
    let start = EventId::new("start");
    let run = store.get(&start).await.expect("it is read").expect("it is there");
    let lost = async |host: Option<&str>, from: i64, to: i64| {
        let second = |by| run.time.checked_add(jiff::SignedDuration::from_secs(by)).expect("a time");
        let loss = crate::domain::loss::Loss {
            source: "live.ndjson".into(),
            what: "1 × not JSON".into(),
            host: host.map(crate::domain::entity::HostName::new),
            from: Some(second(from)),
            to: second(to),
        };
        let found =
            obstacles(store.as_ref(), Watermark(u64::MAX), &[&start], &BTreeMap::new(), std::slice::from_ref(&loss))
                .await;
        let found = found.expect("it is read");
        assert!(found.is_empty() || found == [Obstacle::Unseen(loss.says())], "{found:?}");
        !found.is_empty()
    };
    let own = run.host.as_str();
    assert!(lost(None, -60, 60).await && lost(Some(own), 0, 0).await);
    assert!(!lost(Some("ANOTHER-9"), -60, 60).await, "it is of another machine");
    assert!(!lost(None, -7_200, -3_600).await && !lost(None, 100_000, 200_000).await, "it is of another time");
}

/// A tool that an installed agent runs: on these machines, each on a day of its own, before it is asked about.
pub(super) fn run_by_agent(command: &str, elsewhere: &[(&str, &str)]) -> Vec<Event> {
    let start = |command: &str| {
        json!({
            "Image": "C:\\Program Files\\Vendor\\tool.exe", "CommandLine": command, "User": "NT AUTHORITY\\SYSTEM",
            "ParentImage": "C:\\Program Files\\Vendor\\agent.exe", "ProcessGuid": GUID, "ProcessId": "4172",
            "ParentProcessGuid": PARENT})
    };
    let mut events = quiet();
    events.retain(|event| event.id.as_str() != "written");
    events[0] = sysmon("start", 100, 1, start(command));
    for (number, (host, command)) in elsewhere.iter().enumerate() {
        let mut data = start(command);
        data["ProcessGuid"] = json!(format!("{{habit-{number}}}"));
        let days = 20 - 5 * i64::try_from(number).expect("few");
        events.push(event(&format!("habit-{number}"), -86_400 * days, host, (SYSMON, 1), data));
    }
    events
}

#[tokio::test]
async fn what_fits_no_fingerprint_has_to_recur_and_to_be_of_known_making() {
    let lacks = |found: &[Obstacle], what: &str| {
        assert!(matches!(found, [Obstacle::Unexplained(says)] if says.contains(what)), "{what}: {found:?}");
    };
    let plain = "tool.exe /check";
    let three = [("A", plain), ("B", plain), ("C", plain)];
    assert_eq!(of(run_by_agent(plain, &three)).await, []);
    lacks(&of(run_by_agent(plain, &three[..2])).await, "does not recur");
    lacks(&of(run_by_agent(plain, &[])).await, "no week of history");
    let same_host = [("A", plain), ("A", plain), ("A", plain)];
    lacks(&of(run_by_agent(plain, &same_host)).await, "does not recur");
    let mut by_person = run_by_agent(plain, &three);
    by_person[0].document["winlog"]["event_data"]["User"] = json!("CORP\\a.user");
    lacks(&of(by_person).await, "fits no fingerprint");
}

#[tokio::test]
async fn another_payload_in_the_same_form_does_not_recur() {
    let encoded = |payload: &str| format!("tool.exe -enc {payload}");
    let (one, other) = ("JAB2ACAAPQAgAEcAZQB0AC0ASABvAHQARgBpAHgA", "JAB4ACAAPQAgAEcAZQB0AC0AUwBlAHIAdgBpAGMAZQA=");
    let (one, other) = (encoded(one), encoded(other));
    let same = [("A", one.as_str()), ("B", one.as_str()), ("C", one.as_str())];
    assert_eq!(of(run_by_agent(&one, &same)).await, []);
    let found = of(run_by_agent(&other, &same)).await;
    assert!(matches!(found.as_slice(), [Obstacle::Unexplained(says)] if says.contains("the very same")), "{found:?}");
}

#[tokio::test]
async fn whatever_script_a_command_names_is_nobody_elses() {
    let command = "tool.exe -File \"C:\\Program Files\\Vendor\\check.ps1\"";
    let three = [("A", command), ("B", command), ("C", command)];
    let written = |image: &str| {
        let data =
            json!({"ProcessGuid": OTHER, "Image": image, "TargetFilename": "C:\\Program Files\\Vendor\\check.ps1"});
        [run_by_agent(command, &three), vec![sysmon("written-by", 40, 11, data)]].concat()
    };
    assert_eq!(of(written("C:\\Program Files\\Vendor\\agent.exe")).await, []);
    let found = of(written("C:\\Tools\\a.exe")).await;
    assert!(matches!(found.as_slice(), [Obstacle::Unexplained(says)] if says.contains("another program")), "{found:?}");
}
