//! Routing, quotes and loading.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::detection::clock::ClockOffset;
use crate::detection::normalise::normalise;
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

pub(super) fn rules(files: &[(&str, &str)]) -> RuleSet {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::create_dir_all(folder.path().join(name).parent().expect("a parent")).expect("a folder");
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    RuleSet::load(folder.path()).expect("rules")
}

pub(super) fn rule(id: &str, source: &str, detection: &str) -> String {
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

#[test]
fn what_a_rule_leaves_unsaid_is_remarked_and_does_no_harm() {
    let complete = rule("whole", "service: system", "EventID: 1")
        + "author: somebody\nlevel: low\nfalsepositives: [none known]\nreferences: [https://rules.example]\ndate: 2026-01-02\n";
    let set = rules(&[
        ("a.yml", &complete),
        (
            "b.yml",
            "title: Bare\nlogsource: {product: windows, category: file_access}\ndetection: {sel: {a: b}, condition: sel}\n",
        ),
    ]);
    assert_eq!((set.len(), set.rejected()), (2, &[][..]));
    let remarks: Vec<&str> = set.remarks().iter().map(|remark| remark.text.as_str()).collect();
    assert_eq!(remarks.len(), 5, "{remarks:?}");
    assert!(set.remarks().iter().all(|remark| remark.file.ends_with("b.yml") && remark.line == Some(1)));
    for odd in ["no id", "no author", "no level", "wrongly", "windows/file_access"] {
        assert!(remarks.iter().any(|remark| remark.contains(odd)), "{odd}: {remarks:?}");
    }
    let card = set.card(&RuleId::new("whole")).expect("the card");
    assert_eq!(
        (card.references.as_slice(), card.date.as_deref()),
        (&["https://rules.example".to_owned()][..], Some("2026-01-02"))
    );
}

#[test]
fn a_rejected_rule_is_named_with_its_line_where_it_is_known() {
    let set = rules(&[
        ("a.yml", &rule("same", "service: system", "EventID: 1")),
        ("b.yml", "title: x\nid: [a\nb: }\n"),
        ("c.yml", &("# a comment\n".to_owned() + &rule("same", "service: system", "EventID: 2"))),
    ]);
    let lines: Vec<Option<u64>> = set.rejected().iter().map(|bad| bad.line).collect();
    assert!(lines.len() == 2 && lines[0].is_some() && lines[1] == Some(2), "{:?}", set.rejected());
}

#[test]
fn a_filter_narrows_the_rules_it_names() {
    let filter = |target: &str| {
        format!(
            "title: Filter\nlogsource: {{product: windows, service: system}}\nfilter:\n    rules: [{target}]\n    \
             ours: {{Computer|startswith: 'wks-01'}}\n    condition: not ours\n"
        )
    };
    let system = event("System", 1, json!({}));
    let one = rule("a", "service: system", "EventID: 1");
    assert_eq!(fired(&rules(&[("a.yml", &one)]), &system), ["a"]);
    let set = rules(&[("a.yml", &one), ("f.yml", &filter("a"))]);
    assert_eq!((set.rejected(), fired(&set, &system)), (&[][..], vec![]));
    let set = rules(&[("a.yml", &one), ("f.yml", &filter("unknown"))]);
    assert!(set.rejected()[0].reason.contains("`unknown`"), "{:?}", set.rejected());
    assert_eq!(fired(&set, &system), ["a"]);
}

#[test]
fn channels_are_known_in_any_case_and_by_their_other_names() {
    let set = rules(&[
        ("a.yml", &rule("a", "service: dns-client", "EventID: 3008")),
        ("b.yml", &rule("b", "category: antivirus", "Signature|contains: 'mimi'")),
        ("c.yml", &rule("c", "'category': process_creation, service: sysmon", "Image|endswith: '.exe'")),
    ]);
    assert_eq!(set.unreachable(), []);
    for channel in ["Microsoft-Windows-DNS Client Events/Operational", "microsoft-windows-dns-client/operational"] {
        assert_eq!(fired(&set, &event(channel, 3008, json!({}))), ["a"], "{channel}");
    }
    let found = event("Microsoft-Windows-Windows Defender/Operational", 1116, json!({"Threat Name": "HackTool:Mimi"}));
    let alerts = set.detect(&found);
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].matched[0].field, "winlog.event_data.Threat Name");
    assert_eq!(fired(&set, &event("Security", 4688, json!({"NewProcessName": "C:\\a.exe"}))), [""; 0]);
}
