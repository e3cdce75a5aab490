//! `watchfloor rules check` and `rules explain` from outside, and what triage makes of correlations and of Security
//! 4688 on hosts without Sysmon.

mod support;

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};
use support::program::{SAMPLE, State, shown, watchfloor};

const RULE: &str = "title: Logon\nid: 0a6f7a3e-0c8f-4d0e-9d6c-1f6a3b1c2d3e\nauthor: somebody\nlevel: medium\n\
    falsepositives: [none]\nlogsource: {product: windows, service: security}\n\
    detection:\n    sel:\n        EventID: 4625\n        TargetUserName|startswith: 'adm'\n    condition: sel\n";

const PROCESS: &str = "title: Tool\nid: tool\nauthor: somebody\nlevel: high\nfalsepositives: [none]\n\
    logsource: {product: windows, category: process_creation}\n\
    detection:\n    sel: {Image|endswith: '\\tool.exe'}\n    condition: sel\n";

const BURST: &str = "title: Burst\nid: burst\nauthor: somebody\nlevel: high\nfalsepositives: [none]\n\
    correlation:\n    type: event_count\n    rules: [0a6f7a3e-0c8f-4d0e-9d6c-1f6a3b1c2d3e]\n    group-by: [IpAddress]\n    \
    timespan: 5m\n    condition: {gte: 3}\n";

fn record(code: u32, second: u32, data: Value) -> String {
    let mut record = json!({
        "@timestamp": format!("2026-11-17T08:00:{second:02}.000Z"), "EventReceivedTime": "2026-11-17 09:00:00",
        "SourceModuleName": "eventlog", "SourceName": "Microsoft-Windows-Security-Auditing",
        "Hostname": "SRV-02.corp.example", "Channel": "Security", "EventID": code, "RecordNumber": second,
    });
    record.as_object_mut().expect("an object").extend(data.as_object().expect("an object").clone());
    record.to_string()
}

fn failure(second: u32, user: &str) -> String {
    record(4625, second, json!({"TargetUserName": user, "IpAddress": "192.0.2.9", "SubjectUserName": "-"}))
}

#[test]
fn sound_rules_are_counted_and_unsound_ones_named_with_their_place() {
    let state = State::new();
    let folder = state.beside("rules");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("a.yml"), RULE).expect("a file");
    std::fs::write(folder.join("burst.yml"), BURST).expect("a file");
    let check =
        |more: &[&str]| support::program::run(watchfloor(&[&["rules", "check", shown(&folder)], more].concat()));
    let ended = check(&[]).expect_code(0);
    assert!(ended.stdout.contains("2 rules can be used, 1 correlation among them; 0 errors, 0 warnings"), "{ended:?}");

    std::fs::write(folder.join("bare.yml"), PROCESS.replace("author: somebody\n", "")).expect("a file");
    let ended = check(&[]).expect_code(0);
    assert!(
        ended.stdout.contains("warning: ") && ended.stdout.contains("bare.yml:1: `Tool` names no author"),
        "{ended:?}"
    );

    std::fs::write(folder.join("bad.yml"), "title: x\nid: [a\nb: }\n").expect("a file");
    std::fs::write(folder.join("twice.yml"), RULE).expect("a file");
    let ended = check(&[]).expect_code(2);
    assert!(ended.stdout.contains("twice.yml:2: ") && ended.stdout.contains("which is kept"), "{ended:?}");
    let report = check(&["--json"]).expect_code(2).json();
    assert_eq!((&report["rules"], &report["correlations"]), (&json!(3), &json!(1)));
    assert_eq!(report["errors"].as_array().map(Vec::len), Some(2));
    assert!(report["errors"][0]["file"].as_str().is_some_and(|file| file.ends_with("bad.yml")), "{report}");
    assert!(report["errors"][0]["line"].is_u64(), "{report}");
    support::program::run(watchfloor(&["rules", "check", "absent"])).expect_refusal(&["absent", "name a folder"]);
}

#[test]
fn an_explanation_goes_down_to_each_field() {
    let state = State::new();
    let rule = state.write("rule.yml", RULE);
    let log = state.write("log.ndjson", [failure(1, "admin"), failure(2, "guest")].join("\n"));
    let explain = |more: &[&str]| state.run(&[&["rules", "explain", shown(&rule)], more].concat());
    let ended = explain(&[shown(&log)]).expect_code(0);
    for told in ["matches: Logon", "+ sel", "+ EventID", "+ TargetUserName startswith `adm`: the event holds `admin`"] {
        assert!(ended.stdout.contains(told), "{told}: {ended:?}");
    }
    let ended = explain(&[shown(&log), "--record", "2"]).expect_code(0);
    for told in
        ["does not match: Logon", "- sel", "+ EventID", "- TargetUserName startswith `adm`: the event holds `guest`"]
    {
        assert!(ended.stdout.contains(told), "{told}: {ended:?}");
    }
    explain(&[shown(&log), "--record", "3"]).expect_refusal(&["fewer than 3 events"]);
    explain(&["no-such-event"]).expect_refusal(&["no-such-event"]);

    let process = state.write("process.yml", PROCESS);
    let ended = state.run(&["rules", "explain", shown(&process), shown(&log)]).expect_code(0);
    assert!(
        ended.stdout.contains("does not look at this event") && ended.stdout.contains("category process_creation"),
        "{ended:?}"
    );
    state.run(&["rules", "explain", "no-such-rule", shown(&log)]).expect_refusal(&["no-such-rule", "--rules"]);
    let outcome =
        state.run(&["rules", "explain", "tool", shown(&log), "--rules", shown(&process), "--json"]).expect_code(0);
    assert_eq!(outcome.json()["rules"][0]["explained"]["outcome"], "other_source");
}

#[test]
fn an_event_may_come_from_the_standard_input_or_from_the_state() {
    let state = State::new();
    let rule = state.write("rule.yml", RULE);
    let mut command = state.command(&["rules", "explain", shown(&rule), "-"]);
    let mut program = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    program.stdin.take().expect("a pipe").write_all(failure(1, "admin").as_bytes()).expect("it listens");
    let output = program.wait_with_output().expect("it ends");
    assert!(String::from_utf8_lossy(&output.stdout).contains("matches: Logon"), "{output:?}");

    state.run(&["triage", SAMPLE]).expect_code(1);
    let log = state.run(&["rules", "explain", shown(&rule), SAMPLE, "--json"]).expect_code(0).json();
    let event = log["event"].as_str().expect("an id").to_owned();
    let stored = state.run(&["rules", "explain", shown(&rule), &event, "--json"]).expect_code(0).json();
    assert_eq!(stored, log);
}

#[test]
fn triage_raises_correlations_over_all_files_once() {
    let state = State::new();
    let folder = state.beside("rules");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("a.yml"), RULE).expect("a file");
    std::fs::write(folder.join("burst.yml"), BURST).expect("a file");
    let first = state.write("first.ndjson", [failure(9, "admin3"), failure(1, "admin1")].join("\n"));
    let second = state.write("second.ndjson", failure(5, "admin2"));
    let triage = || state.run(&["triage", shown(&first), shown(&second), "--rules", shown(&folder), "--json"]);
    let report = triage().expect_finished().json();
    assert_eq!(report["alerts_on_all"], 1, "{report}");
    assert_eq!(report["inputs"][0]["alerts"], 0, "{report}");
    assert_eq!(report["cases"].as_array().map(Vec::len), Some(1), "{report}");
    let again = triage().expect_finished().json();
    assert_eq!(
        (&again["alerts_on_all"], &again["cases"][0]["case"]["id"]),
        (&json!(1), &report["cases"][0]["case"]["id"])
    );
}

#[test]
fn triage_takes_4688_for_a_process_where_sysmon_is_missing() {
    let state = State::new();
    let rule = state.write("process.yml", PROCESS);
    let audited =
        record(4688, 1, json!({"NewProcessName": "C:\\Users\\Public\\tool.exe", "SubjectUserName": "a.user"}));
    let observed = json!({
        "@timestamp": "2026-11-17T08:30:00.000Z", "EventReceivedTime": "2026-11-17 09:30:00", "SourceModuleName": "eventlog",
        "SourceName": "Microsoft-Windows-Sysmon", "Hostname": "SRV-02.corp.example", "EventID": 1, "RecordNumber": 7,
        "Channel": "Microsoft-Windows-Sysmon/Operational", "UtcTime": "2026-11-17 08:30:00.000", "Image": "C:\\a.exe",
        "ProcessGuid": "{11111111-0000-0000-0000-000000000001}",
    });
    let log = state.write("security.ndjson", &audited);
    let report = state.run(&["triage", shown(&log), "--rules", shown(&rule), "--json"]).expect_finished().json();
    assert_eq!(report["alerts_on_all"], 1, "{report}");

    // The store remembers the Sysmon of an earlier import.
    let other = State::new();
    let log = other.write("security.ndjson", audited);
    let sysmon = other.write("sysmon.ndjson", observed.to_string());
    other.run(&["triage", shown(&sysmon), "--rules", shown(&rule)]).expect_finished();
    let report = other.run(&["triage", shown(&log), "--rules", shown(&rule), "--json"]).expect_finished().json();
    assert_eq!(report["alerts_on_all"], 0, "{report}");
}
