//! What a known harmless process does not explain.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::analyst::Brief;
use crate::domain::alert::{Alert, Correlated};
use crate::domain::event::{Event, SYSMON};
use crate::domain::ids::EvidenceId;
use crate::domain::route::Tier;
use crate::fixtures::{CASE, alert, event};
use crate::ports::events::Watermark;
use crate::tools::view::{ALONE, EventView};

const GUID: &str = "{0a1b2c3d-0001-0002-0300-000000000700}";
const SENSOR: &str = "C:\\Program Files\\Windows Defender Advanced Threat Protection\\SenseIR.exe";
const SCRIPT: &str =
    "C:\\ProgramData\\Microsoft\\Windows Defender Advanced Threat Protection\\DataCollection\\1.2-3\\0a1b.ps1";

fn sysmon(id: &str, code: u32, data: Value) -> Event {
    event(id, 100, "WKS-1", (SYSMON, code), data)
}

/// The start and end of Defender's own script, and what is said besides.
fn run(more: Vec<Event>) -> Vec<Event> {
    let command =
        format!("powershell.exe -ExecutionPolicy AllSigned -NoProfile -NonInteractive -Command \"& {{. '{SCRIPT}'}}\"");
    let start = json!({
        "Image": "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe", "CommandLine": command,
        "User": "NT AUTHORITY\\SYSTEM", "ParentImage": SENSOR, "ProcessGuid": GUID, "ProcessId": "4172"});
    let end = json!({"ProcessGuid": GUID.to_uppercase()});
    [vec![sysmon("start", 1, start), sysmon("end", 5, end)], more].concat()
}

/// Whether the process explains these alerts, when these events were seen.
fn is_explained(events: &[Event], alerts: Vec<Alert>) -> bool {
    let mut seen = Seen::default();
    for (event, number) in events.iter().zip(1..) {
        let id = EvidenceId::new(number);
        seen.events.insert(id, SeenEvent { id, view: EventView::whole(event, ALONE), related: true });
        seen.triggers.insert(event.id.clone(), id);
    }
    seen.trees.insert(EventId::new("start"));
    let alerts = Arc::new(alerts);
    let brief = Brief { case: CASE, tier: Tier::One, alerts, handover: None, watermark: Watermark(9), calls: 32 };
    !explanation(&seen, &brief).is_empty()
}

fn on_start() -> Vec<Alert> {
    vec![alert("a", "start", "WKS-1", 100)]
}

#[test]
fn an_alert_on_several_events_is_not_explained_by_its_last_one() {
    assert!(is_explained(&run(vec![]), on_start()));
    let mut alerts = on_start();
    alerts[0].correlated = Correlated::new(vec![EventId::new("elsewhere"), EventId::new("start")]);
    assert!(!is_explained(&run(vec![]), alerts));
}

#[test]
fn a_foreign_child_is_its_own_in_no_spelling_of_the_guid() {
    let bare = GUID.trim_matches(['{', '}']);
    for parent in [GUID.to_owned(), GUID.to_uppercase(), bare.to_owned(), bare.to_uppercase()] {
        let child = |image: &str| vec![sysmon("child", 1, json!({"Image": image, "ParentProcessGuid": parent}))];
        assert!(is_explained(&run(child("C:\\Windows\\System32\\conhost.exe")), on_start()), "{parent}");
        assert!(!is_explained(&run(child("C:\\Windows\\System32\\cmd.exe")), on_start()), "{parent}");
    }
}

#[test]
fn a_script_that_another_wrote_under_another_name_is_not_explained() {
    let written = |image: &str, file: &str| {
        vec![sysmon("written", 11, json!({"Image": image, "TargetFilename": file, "ProcessGuid": "{1}"}))]
    };
    let share = format!("\\\\localhost\\c${}", SCRIPT.trim_start_matches("C:"));
    assert!(is_explained(&run(written(SENSOR, SCRIPT)), on_start()));
    for file in [SCRIPT, &share, "C:\\PROGRA~3\\MICROS~1\\0A1B~1.PS1"] {
        assert!(!is_explained(&run(written("C:\\Tools\\a.exe", file)), on_start()), "{file}");
    }
}
