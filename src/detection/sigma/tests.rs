//! Routing, quotes, loading, and the counts measured on the recordings.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::detection::clock::ClockOffset;
use crate::detection::normalise::normalise;
use crate::detection::read::EventLog;
use crate::detection::shared_data;
use crate::domain::entity::Entity;
use crate::domain::event::Origin;

/// An event from its channel, code and data, through the normaliser.
pub(super) fn event(channel: &str, code: u32, data: Value) -> Event {
    let mut raw = json!({
        "@timestamp": "2026-03-02T08:00:03.000Z", "EventReceivedTime": "2026-03-02 09:00:03",
        "SourceModuleName": "eventlog", "Hostname": "WKS-01.corp.example", "Channel": channel,
        "EventID": code, "SourceName": "Test-Provider", "Message": "a message",
    });
    let (Value::Object(raw), Value::Object(data)) = (&mut raw, data) else { panic!("objects") };
    raw.extend(data);
    normalise(raw, Origin { file: "test".into(), line: 1 }, ClockOffset::NONE).expect("a sound record")
}

pub(super) fn sysmon(code: u32, data: Value) -> Event {
    event("Microsoft-Windows-Sysmon/Operational", code, data)
}

fn rules(files: &[(&str, &str)]) -> RuleSet {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::create_dir_all(folder.path().join(name).parent().expect("a parent")).expect("a folder");
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    RuleSet::load(folder.path()).expect("rules")
}

fn rule(id: &str, source: &str, detection: &str) -> String {
    format!(
        "title: Rule {id}\nid: {id}\nlogsource: {{product: windows, {source}}}\ndetection:\n    sel: {{{detection}}}\n    condition: sel\n"
    )
}

fn fired(rules: &RuleSet, event: &Event) -> Vec<String> {
    rules.detect(event).into_iter().map(|alert| alert.rule.id.to_string()).collect()
}

#[test]
fn a_rule_sees_the_events_of_its_log_source_only() {
    let set = rules(&[
        ("a.yml", &rule("a", "category: process_creation", "Image|endswith: '.exe'")),
        ("b.yml", &rule("b", "category: network_connection", "Image|endswith: '.exe'")),
        ("c.yml", &rule("c", "service: security", "EventID: 4624")),
        ("d.yml", &rule("d", "category: registry_delete", "TargetObject|contains: 'Run'")),
        ("e.yml", &rule("e", "category: registry_event", "TargetObject|contains: 'Run'")),
        ("f.yml", &rule("f", "category: file_access", "Image|endswith: '.exe'")),
    ]);
    assert_eq!((set.len(), set.rejected().len()), (6, 0));
    assert_eq!(set.unreachable(), [RuleId::new("f")]);
    let image = json!({"Image": "C:\\x.exe"});
    assert_eq!(fired(&set, &sysmon(1, image.clone())), ["a"]);
    assert_eq!(fired(&set, &sysmon(3, image.clone())), ["b"]);
    assert_eq!(fired(&set, &event("System", 1, image)), [""; 0]);
    assert_eq!(fired(&set, &event("Security", 4624, json!({}))), ["c"]);
    let key = |kind: &str| json!({"TargetObject": "HKLM\\Run", "EventType": kind});
    assert_eq!(fired(&set, &sysmon(12, key("DeleteKey"))), ["d", "e"]);
    assert_eq!(fired(&set, &sysmon(12, key("CreateKey"))), ["e"]);
}

#[test]
fn header_fields_keywords_and_unnamed_data_are_quoted_where_they_stand() {
    let set = rules(&[
        (
            "a.yml",
            &rule("a", "service: system", "Provider_Name: test-provider, Channel: system, Computer|startswith: wks"),
        ),
        (
            "b.yml",
            "title: b\nid: b\nlogsource: {product: windows}\ndetection:\n    words: ['needle']\n    condition: words\n",
        ),
        ("c.yml", &rule("c", "category: ps_classic_start", "Data|contains: message")),
    ]);
    let quotes = |event: &Event| -> Vec<(String, String)> {
        let alerts = set.detect(event);
        assert_eq!(alerts.len(), 1);
        alerts[0].matched.iter().map(|quote| (quote.field.clone(), quote.value.clone())).collect()
    };
    let header = quotes(&event("System", 1, json!({})));
    for (field, value) in &header {
        assert_eq!(event("System", 1, json!({})).field(field).as_ref(), Some(value));
    }
    assert_eq!(header.len(), 3, "{header:?}");
    let word = quotes(&event("Other", 9, json!({"Text": "a Needle here"})));
    assert_eq!(word, [("winlog.event_data.Text".to_owned(), "a Needle here".to_owned())]);
    assert_eq!(quotes(&event("Windows PowerShell", 400, json!({})))[0].0, "message");
}

#[test]
fn an_alert_names_rule_quotes_and_entities() {
    let set = rules(&[(
        "a.yml",
        &rule("a", "category: process_creation", "CommandLine|contains: 'Thing', EventID: 1, ParentUser: null"),
    )]);
    let event = sysmon(
        1,
        json!({
            "CommandLine": "do THING", "User": "CORP\\A.User", "LogonId": "0x3AB",
            "ProcessGuid": "{11111111-0000-0000-0000-000000000001}",
            "ParentProcessGuid": "{00000000-0000-0000-0000-000000000000}",
        }),
    );
    let alerts = set.detect(&event);
    let [alert] = alerts.as_slice() else { panic!("one alert, not {alerts:?}") };
    assert_eq!(alert.rule.level, Severity::Medium);
    assert_eq!((alert.source.as_str(), alert.event_kind.as_str()), ("sigma", "Sysmon 1"));
    assert!(alert.matched.iter().any(|q| q.field == "winlog.event_data.CommandLine" && q.value == "do THING"));
    assert!(alert.matched.iter().all(|q| event.field(&q.field).is_some_and(|stored| stored.contains(&q.value))));
    assert_eq!(
        alert.entities,
        [
            Entity::Account("a.user".into()),
            Entity::Process("{11111111-0000-0000-0000-000000000001}".into()),
            Entity::LogonSession("wks-01".into(), "0x3ab".into()),
        ]
    );
    assert_eq!(alert.id.as_str().len(), 16);
    assert_eq!(set.detect(&event), alerts);
}

#[test]
fn machine_sessions_and_groups_connect_nobody() {
    let set = rules(&[("a.yml", &rule("a", "service: security", "EventID: 4732"))]);
    let alerts = set.detect(&event(
        "Security",
        4732,
        json!({"TargetUserName": "Administrators", "SubjectUserName": "WKS-01$", "SubjectLogonId": "0x3e7"}),
    ));
    assert_eq!(alerts[0].entities, []);
}

#[test]
fn bad_rules_are_named_and_the_others_load() {
    let set = rules(&[
        ("a.yml", &rule("same", "service: system", "EventID: 1")),
        ("b/bad.yml", "title: [unfinished\n"),
        ("c.yml", &rule("same", "service: system", "EventID: 2")),
        ("d.yml", &rule("regex", "service: system", "EventID|re: '('")),
        ("e.yml", &(rule("quiet", "service: system", "EventID: 1") + "level: informational\n")),
        ("notes.txt", "not a rule"),
    ]);
    assert_eq!(set.len(), 2);
    let reasons: Vec<String> = set.rejected().iter().map(|r| format!("{}: {}", r.file, r.reason)).collect();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("c.yml") && reason.contains("a.yml, which is kept")));
    assert!(
        reasons.iter().any(|reason| reason.contains("d.yml") && reason.contains("does not compile")),
        "{reasons:?}"
    );
    assert_eq!(fired(&set, &event("System", 1, json!({}))), ["same"]);
    assert!(RuleSet::load(Path::new("/nonexistent")).is_err());
}

/// So many recordings are taken unless all are asked for; the first ones by name are benign and attacks alike.
const QUICK: usize = 6;

#[test]
fn matches_on_recordings_equal_the_measured_ones() {
    let (Some(archive), Some(scenarios)) = (shared_data("sigma-rules.tar.gz"), shared_data("scenarios")) else {
        return;
    };
    let rules = RuleSet::load(&archive).expect("the archive is sound");
    assert_eq!((rules.len(), rules.rejected()), (2_244, &[][..]));
    // Rules that name Windows and nothing else look at every event; the measurement had no place for them.
    let everywhere: Vec<String> = rules
        .engines
        .iter()
        .filter(|(route, _)| *route == Route::Everywhere)
        .flat_map(|(_, engine)| engine.rules())
        .filter_map(|rule| rule.id.clone())
        .collect();
    // `WATCHFLOOR_ALL_RECORDINGS=1` takes all of the shape, which is slower.
    let all = std::env::var_os("WATCHFLOOR_ALL_RECORDINGS").is_some();
    let mut folders: Vec<_> =
        std::fs::read_dir(scenarios).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    let labelled = folders.into_iter().map(|folder| {
        let label = std::fs::read(folder.join("label.json")).expect("a label");
        (folder, serde_json::from_slice::<Value>(&label).expect("JSON"))
    });
    let of_the_shape = labelled.filter(|(_, label)| label["shape"] == "otrf-flat-nxlog");
    for (folder, label) in of_the_shape.take(if all { usize::MAX } else { QUICK }) {
        let name = label["id"].as_str().expect("an id");
        let mut log = EventLog::open(&folder.join("events.ndjson.gz")).expect("a log");
        let mut counts: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
        let mut events = 0_u64;
        let started = std::time::Instant::now();
        for event in log.by_ref() {
            events += 1;
            for alert in rules.detect(&event) {
                assert!(
                    alert.matched.iter().all(|q| event.field(&q.field).is_some_and(|stored| stored.contains(&q.value))),
                    "{name}: {} quotes what is not there",
                    alert.rule.title
                );
                *counts.entry(alert.rule.id.to_string()).or_default() += 1;
            }
        }
        assert!(log.damage().is_none(), "{name}: {}", log.damage());
        assert_eq!(Some(events), label["measured"]["events"].as_u64(), "{name}");
        let measured: std::collections::BTreeMap<String, u64> = label["measured"]["rules"]
            .as_array()
            .expect("a list of rules")
            .iter()
            .map(|rule| (rule["id"].as_str().expect("an id").to_owned(), rule["count"].as_u64().expect("a count")))
            .collect();
        eprintln!("{name}: {events} events, {} matches, {:?}", counts.values().sum::<u64>(), started.elapsed());
        counts.retain(|id, _| !everywhere.contains(id));
        assert_eq!(counts, measured, "{name}");
    }
}
