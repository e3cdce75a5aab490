//! Whatever is handed to the program, it says in a sentence what is wrong with what and what to do about it, and it
//! never takes a failure for a quiet night: exit codes 0, 1 and 2 keep their meaning.

mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use support::program::{FAULT, SAMPLE, State, UNDISTURBED, assert_same, canonical, run, sample_lines, shown};

/// An ordinary logon as NXLog forwards it: nothing for any rule.
fn quiet_event(record: u32) -> String {
    json!({
        "@timestamp": "2026-11-17T08:00:00.000Z", "EventReceivedTime": "2026-11-17 09:00:00",
        "SourceModuleName": "eventlog", "SourceModuleType": "im_msvistalog", "SourceName": "Microsoft-Windows-Security-Auditing",
        "Hostname": "WKS-44.corp.example", "Channel": "Security", "EventID": 4634, "RecordNumber": record,
        "TargetUserName": "m.weber", "LogonType": "3",
    })
    .to_string()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packing = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packing.write_all(bytes).expect("memory takes everything");
    packing.finish().expect("memory takes everything")
}

#[test]
fn exit_codes_say_whether_a_person_is_needed() {
    let state = State::new();
    let quiet = state.write("quiet.ndjson", format!("{}\n{}\n", quiet_event(1), quiet_event(2)));
    let ended = state.run(&["triage", shown(&quiet)]).expect_code(0);
    assert!(ended.stdout.contains("2 events, 0 alerts"), "{ended:?}");
    state.run(&["cases", "list"]).expect_code(0);
    state.run(&["triage", SAMPLE]).expect_code(1);
    state.run(&["cases", "list"]).expect_code(1);
    // The earlier cases still wait, but not because of this file.
    let again = state.run(&["triage", shown(&quiet)]).expect_code(0);
    assert!(again.stdout.contains("2 of them known already"), "{again:?}");
    assert!(again.stdout.contains("earlier cases"), "{again:?}");
    state.run(&["triage", "--no-such-switch"]).expect_refusal(&["--no-such-switch"]);
    state.run(&["cases", "show", "WF-99"]).expect_refusal(&["WF-99", "watchfloor cases list"]);
    state.run(&["cases", "show", "Smith"]).expect_refusal(&["Smith"]);
}

#[test]
fn what_a_log_repeats_is_told_apart_from_what_was_known_before() {
    let state = State::new();
    let twice = |records: &[u32]| records.iter().map(|record| quiet_event(*record) + "\n").collect::<String>();
    let first = state.write("first.ndjson", twice(&[1, 2, 2, 2]));
    let ended = state.run(&["triage", shown(&first)]).expect_code(0);
    assert!(ended.stdout.contains("4 events (2 of them repeated in the log), 0 alerts"), "{ended:?}");
    let second = state.write("second.ndjson", twice(&[2, 3, 3]));
    let ended = state.run(&["triage", shown(&second)]).expect_code(0);
    assert!(ended.stdout.contains("3 events (1 of them known already, 1 repeated in the log)"), "{ended:?}");
    // In one command, what one file holds is known when the next begins.
    let (third, fourth) = (state.write("3.ndjson", twice(&[4])), state.write("4.ndjson", twice(&[4])));
    let report = state.run(&["triage", shown(&third), shown(&fourth), "--json"]).expect_code(0).json();
    let counts = |input: usize| [&report["inputs"][input]["known"], &report["inputs"][input]["repeated"]];
    assert_eq!((counts(0), counts(1)), ([&Value::from(0); 2], [&Value::from(1), &Value::from(0)]), "{report}");
}

#[test]
fn what_is_no_log_is_refused_by_name_with_the_cause_and_the_remedy() {
    let state = State::new();
    let folder = state.beside("a-folder");
    std::fs::create_dir(&folder).expect("the folder is made");
    std::fs::write(folder.join("notes.txt"), "remember the milk").expect("it is written");
    let missing = state.beside("missing.ndjson");
    let half = gzip(b"").into_iter().take(12).collect::<Vec<_>>();
    let inputs: [(std::path::PathBuf, &[&str]); 11] = [
        (missing, &["does not exist", "check the path"]),
        (folder, &["holds no log that can be read", "name a folder", "notes.txt` is no log"]),
        (state.write("empty.ndjson", ""), &["is empty", "leave the file out"]),
        (state.write("empty.ndjson.gz", gzip(b"")), &["is empty", "leave the file out"]),
        (state.write("blank.ndjson", "\n\n  \n"), &["is empty", "leave the file out"]),
        (state.write("empty.json", "[ ]"), &["is empty", "leave the file out"]),
        (state.write("program.exe", b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0"), &["binary", "EVTX", "NDJSON"]),
        (state.write("page.html", "<!DOCTYPE html>\n<html><body>404</body></html>\n"), &["HTML page", "NDJSON"]),
        (state.write("log.evtx", b"ElfFile\0\0\0\0"), &["cut short before the first record"]),
        (state.write("list.json", "[{\"EventID\": 1}]\n"), &["element 1", "an object with the keys EventID"]),
        (state.write("half.gz", half), &["gzip", "NDJSON"]),
    ];
    for (input, words) in inputs {
        let ended = state.run(&["triage", shown(&input)]).expect_refusal(&[shown(&input)]);
        ended.expect_refusal(words);
        // A good file beside it does not hide it, and nothing is begun before all inputs were looked at.
        state.run(&["triage", SAMPLE, shown(&input)]).expect_refusal(words);
        assert!(!state.path().exists(), "{} left a state folder behind", input.display());
    }
}

#[test]
fn broken_lines_are_counted_named_and_skipped() {
    let state = State::new();
    let mut lines = sample_lines();
    lines.insert(5, "{\"cut\": ".into());
    lines.insert(40, "[1, 2]".into());
    lines.insert(41, "not JSON at all".into());
    lines.push("{}".into());
    let input = state.write("broken.ndjson", lines.join("\n"));
    let report = state.run(&["triage", shown(&input), "--json"]).expect_code(1).json();
    let skipped = report["inputs"][0]["skipped"].as_array().expect("it says what it skipped");
    let text = |kind: &Value, name: &str| kind[name].as_str().unwrap_or_default().to_owned();
    let counted: Vec<(String, u64, String)> = skipped
        .iter()
        .map(|kind| (text(kind, "fault"), kind["records"].as_u64().unwrap_or_default(), text(kind, "first")))
        .collect();
    let expected = [("not JSON", 2, "line 6"), ("not a JSON object", 1, "line 41"), ("unknown shape", 1, "line 125")];
    assert_eq!(counted, expected.map(|(fault, count, first)| (fault.to_owned(), count, first.to_owned())));
    assert_same(&UNDISTURBED.export, &but_for_the_close(&report), "the good lines among broken ones");
    let text = state.run(&["triage", shown(&input)]).expect_code(1);
    for said in
        ["2 records skipped, not JSON; first in line 6", "1 record skipped, not a JSON object; first in line 41"]
    {
        assert!(text.stdout.contains(said), "`{said}` in {text:?}");
    }
    let quiet = state.write("quiet.ndjson", format!("nonsense\n{}\nnonsense\n", quiet_event(1)));
    let quiet = state.run(&["triage", shown(&quiet)]).expect_code(0);
    assert!(quiet.stdout.contains("2 records skipped, not JSON; first in line 1"), "{quiet:?}");
}

/// The report on a log with losses as if it had none: nothing differs but that no machine closes on it, which is
/// looked at here.
fn but_for_the_close(report: &Value) -> Value {
    let mut found = canonical(report);
    let undisturbed = UNDISTURBED.export["cases"].as_object().expect("cases by their ids");
    let closed = |case: &Value| case["case"]["state"]["status"] == "resolved";
    let closed: Vec<(&String, &Value)> = undisturbed.iter().filter(|(_, case)| closed(case)).collect();
    assert!(!closed.is_empty(), "the sample has a harmless case");
    for (id, case) in closed {
        let held = &mut found["cases"][id];
        let state = &mut held["case"]["state"];
        assert_eq!((&state["status"], &state["hold"]["cause"]), (&json!("on_hold"), &json!("insufficient_telemetry")));
        let because = state["decided_by"].as_str().expect("a rule and its reason");
        assert!(because.starts_with("not_all_explained") && because.contains("was not read whole"), "{because}");
        for name in ["status", "hold", "decided_by"] {
            state[name] = case["case"]["state"][name].clone();
        }
        let status = format!("{id}/a1/status");
        held["comments"][&status] = case["comments"][&status].clone();
    }
    found
}

/// The sample with a hostile record after some of its own.
fn among_the_sample(hostile: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let every = sample_lines().len() / (hostile.len() + 1);
    let mut hostile = hostile.iter();
    for (place, line) in sample_lines().into_iter().enumerate() {
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        if place % every == every - 1
            && let Some(record) = hostile.next()
        {
            bytes.extend_from_slice(record);
            bytes.push(b'\n');
        }
    }
    assert!(hostile.next().is_none(), "every hostile record has its place");
    bytes
}

/// How often each kind of a report's `skipped` or `not_word_for_word` was counted.
fn counted(report: &Value, what: &str, name: &str) -> BTreeMap<String, u64> {
    let kinds = report["inputs"][0][what].as_array().expect("it is told");
    let pair = |kind: &Value| Some((kind[name].as_str()?.to_owned(), kind["records"].as_u64()?));
    kinds.iter().filter_map(pair).collect()
}

fn expected(kinds: &[(&str, u64)]) -> BTreeMap<String, u64> {
    kinds.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
}

#[test]
fn what_is_no_record_costs_itself() {
    let deep = |depth: usize| [b"{\"a\":".repeat(depth), b"1".to_vec(), b"}".repeat(depth)].concat();
    let hostile = [
        deep(10_000),
        deep(65),
        b"{\"EventID\": 1e400}".to_vec(),
        b"{\"name\": \"\xff\xfe\"}".to_vec(),
        b"{\"name\": \"\\ud800\"}".to_vec(),
        [b"{\"x\":\"".to_vec(), b"A".repeat(10 << 20), b"\"}".to_vec()].concat(),
        [b"{\"x\":\"".to_vec(), b"A".repeat(50 << 20), b"\"}".to_vec()].concat(),
        b"\0\0\0\0".to_vec(),
        b"{}".to_vec(),
        b"null".to_vec(),
    ];
    let state = State::new();
    let input = state.write("hostile.ndjson", among_the_sample(&hostile));
    let report = state.run(&["triage", shown(&input), "--json"]).expect_code(1).json();
    let skipped =
        [("too long", 1), ("not JSON", 1), ("nested too deep", 2), ("not a JSON object", 1), ("unknown shape", 5)];
    assert_eq!(counted(&report, "skipped", "fault"), expected(&skipped), "{}", report["inputs"]);
    assert_same(&UNDISTURBED.export, &but_for_the_close(&report), "the good records among hostile ones");
}

#[test]
fn a_hostile_record_is_read_as_far_as_it_can_be_and_disturbs_no_other() {
    // The quiet event, with this in place of its last brace.
    let with = |record: u32, rest: &[u8]| {
        let event = quiet_event(record);
        [event.trim_end_matches('}').as_bytes(), b",", rest, b"}"].concat()
    };
    let many: String = (0..100_000).map(|field| format!("\"Field{field}\":\"v\",")).collect();
    let bomb = format!(
        "\"TaskContent\":\"<!DOCTYPE x [<!ENTITY a0 \\\"ha\\\">{}]><x>&a30;</x>\"",
        (1..=30).map(|step| format!("<!ENTITY a{step} \\\"&a{};&a{};\\\">", step - 1, step - 1)).collect::<String>()
    );
    let hostile = [
        with(1, &[b"\"CommandLine\":\"".to_vec(), b"A".repeat(10 << 20), b"\"".to_vec()].concat()),
        with(2, b"\"Name\":\"\xff\xfe\""),
        with(3, b"\"Name\":\"\\udead\""),
        with(4, b"\"Value\":1e400"),
        with(5, b"\"Value\":9223372036854775808,\"Other\":-9223372036854775808"),
        with(6, b"\"Name\":\"first\",\"Name\":\"second\""),
        with(7, b"\"Name\":\"a\0b\\u0000c\""),
        with(8, format!("{many}\"Last\":\"v\"").as_bytes()),
        with(9, bomb.as_bytes()),
    ];
    let state = State::new();
    let input = state.write("hostile.ndjson", among_the_sample(&hostile));
    let report = state.run(&["triage", shown(&input), "--json"]).expect_code(1).json();
    assert_eq!(report["inputs"][0]["skipped"], json!([]), "{}", report["inputs"]);
    let flawed = counted(&report, "not_word_for_word", "flaw");
    let kinds = [
        ("bytes that are not UTF-8 were replaced", 1),
        ("half a UTF-16 pair was replaced", 1),
        ("control characters were not escaped", 1),
        ("a number too large for any number was kept as text", 1),
        ("a name stands twice, the last value was kept", 1),
        ("a value over 64 KiB is stored whole, rules saw its first and last 32 KiB", 1),
    ];
    assert_eq!(flawed, expected(&kinds), "{}", report["inputs"]);
    assert_eq!(report["inputs"][0]["events"], json!(sample_lines().len() + hostile.len()));
    let cases = |export: &Value| export["cases"].clone();
    assert_same(
        &cases(&UNDISTURBED.export),
        &cases(&but_for_the_close(&report)),
        "the sample's cases beside hostile events",
    );
    let text = state.run(&["triage", shown(&input)]).expect_code(1);
    assert!(
        text.stdout.contains("1 record not read word for word: half a UTF-16 pair was replaced; first in line"),
        "{text:?}"
    );
    // The store has the whole of it.
    let database = state.database("events.db");
    let longest: i64 =
        database.query_row("SELECT max(length(json)) FROM document", [], |row| row.get(0)).expect("the store is read");
    assert!(longest > 10 << 20, "{longest}");
}

#[test]
fn a_hostile_event_that_a_rule_matches_becomes_a_case_all_the_same() {
    let state = State::new();
    let rules = state.write("rule.yml", RULE);
    let event = quiet_event(1);
    let long = "A".repeat(10 << 20);
    let input = state.write("long.ndjson", format!("{},\"CommandLine\":\"{long}\"}}", event.trim_end_matches('}')));
    let report = state.run(&["triage", shown(&input), "--rules", shown(&rules), "--json"]).expect_code(1).json();
    assert_eq!(report["inputs"][0]["alerts"], 1, "{}", report["inputs"]);
    assert_eq!(report["cases"].as_array().map(Vec::len), Some(1));
    assert!(report.to_string().len() < 1 << 20, "a preview is short");
    let shown = state.run(&["cases", "show", "WF-1"]).expect_code(1);
    assert!(shown.stdout.len() < 100_000, "{} bytes are no preview", shown.stdout.len());
}

#[test]
fn the_same_events_are_read_from_lines_lists_archives_folders_and_pipes() {
    let lines = sample_lines();
    let state = State::new();
    let inputs = [
        state.write("list.json", format!("\n[{}]", lines.join(",\n"))),
        state.write("hits.json", format!("{{\"took\":1,\"hits\":{{\"hits\":[{}]}}}}", lines.join(","))),
        state.write("lines.zst", zstd::encode_all(lines.join("\n").as_bytes(), 3).expect("memory takes everything")),
        state.write("utf16.txt", lines.join("\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()),
    ];
    for input in inputs {
        let state = State::new();
        let report = state.run(&["triage", shown(&input), "--json"]).expect_code(1).json();
        assert_eq!(report["inputs"][0]["skipped"], json!([]), "{}", report["inputs"]);
        assert_same(&UNDISTURBED.export, &canonical(&report), shown(&input));
    }

    let folder = state.beside("folder");
    std::fs::create_dir_all(folder.join("a")).expect("the folder is made");
    let half = lines.len() / 2;
    std::fs::write(folder.join("a/first.json"), format!("[{}]", lines[..half].join(","))).expect("it is written");
    std::fs::write(folder.join("b.ndjson"), lines[half..].join("\n")).expect("it is written");
    std::fs::write(folder.join("notes.txt"), "remember the milk").expect("it is written");
    let ended = state.run(&["triage", shown(&folder), "--json"]).expect_code(1);
    assert!(ended.stderr.contains("notes.txt is left out"), "{ended:?}");
    let report = ended.json();
    assert_eq!(report["left_out"][0]["file"].as_str(), Some(shown(&folder.join("notes.txt"))));
    let files: Vec<&str> =
        report["inputs"].as_array().expect("a list").iter().filter_map(|input| input["file"].as_str()).collect();
    assert_eq!(files, [shown(&folder.join("a/first.json")), shown(&folder.join("b.ndjson"))]);
    assert_same(&UNDISTURBED.export["cases"], &canonical(&report)["cases"], "a folder");

    let piped = State::new();
    let mut command = piped.command(&["triage", "-", "--json"]);
    command.stdin(File::open(SAMPLE).expect("the sample is there"));
    let report = run(command).expect_code(1).json();
    assert_eq!(report["inputs"][0]["file"], "standard input");
    assert_same(&UNDISTURBED.export["cases"], &canonical(&report)["cases"], "standard input");
}

#[test]
fn a_kind_of_event_whose_clock_is_another_is_told_beside_the_others() {
    let state = State::new();
    let record = |number: u32| {
        let (code, day) = if number < 20 { (5, 17) } else { (22, 14) };
        let record = serde_json::json!({
            "TimeCreated": format!("2026-11-{day} 08:00:{number:02}.000"), "EventID": code,
            "Channel": "Microsoft-Windows-Sysmon/Operational", "Hostname": "WKS-31.corp.example",
            "UtcTime": format!("2026-11-17 08:00:{number:02}.000"), "RecordNumber": number,
        });
        format!("{record}\n")
    };
    let input = state.write("mixed.ndjson", (0..25).map(record).collect::<String>());
    let text = state.run(&["triage", shown(&input)]).expect_finished();
    let told = "clock: by 25 records with both clocks, most of the log's own times are right, but those of 5 events \
                Sysmon 22 need +72h; nothing was changed\n";
    assert!(text.stdout.contains(told), "{text:?}");
    let report = State::new().run(&["triage", shown(&input), "--json"]).expect_finished().json();
    assert_eq!(report["inputs"][0]["clocks_apart"][0]["clock_offset"], "+72h");
}

#[test]
fn a_declared_clock_is_shown_and_moves_only_times_that_no_sensor_wrote() {
    let state = State::new();
    let rules = state.write("rule.yml", RULE);
    let input = state.write("quiet.ndjson", quiet_event(1));
    let arguments = ["triage", shown(&input), "--rules", shown(&rules), "--clock-offset", "-7h30m"];
    let text = state.run(&arguments).expect_finished();
    assert!(
        text.stdout.contains("clock: -7h30m was added to times that no sensor wrote in UTC, as declared"),
        "{text:?}"
    );
    let report = state.run(&[&arguments[..], &["--json"]].concat()).expect_finished().json();
    assert_eq!(report["clock_offset"], "-7h30m");
    let case = state.run(&["cases", "show", "WF-1"]).expect_finished();
    assert!(case.stdout.contains("2026-11-17 00:30:00"), "{case:?}");
    let undeclared = state.run(&["triage", SAMPLE, "--json"]).expect_code(1).json();
    assert_eq!(undeclared["clock_offset"], Value::Null);
    state.run(&["triage", SAMPLE, "--clock-offset", "later"]).expect_refusal(&["--clock-offset", "+4h"]);
}

#[test]
fn a_clock_that_is_off_is_told_with_the_option_that_declares_it_and_changes_nothing() {
    let state = State::new();
    let record = |number: u32| {
        let record = serde_json::json!({
            "TimeCreated": format!("2026-11-17 04:00:{number:02}.000"), "Channel": "Microsoft-Windows-Sysmon/Operational",
            "EventID": 5, "Hostname": "WKS-31.corp.example", "UtcTime": format!("2026-11-17 08:00:{number:02}.000"),
            "RecordNumber": number,
        });
        format!("{record}\n")
    };
    let input = state.write("local.ndjson", (0..5).map(record).collect::<String>());
    let text = state.run(&["triage", shown(&input)]).expect_finished();
    let told = "by 5 records with both clocks, the log's own times need +4h to be UTC; nothing was changed, \
                --clock-offset +4h declares it";
    assert!(text.stdout.contains(told), "{text:?}");
    let report = State::new().run(&["triage", shown(&input), "--json"]).expect_finished().json();
    assert_eq!(report["inputs"][0]["clock_offset_shown"], "+4h");
    let declared = State::new().run(&["triage", shown(&input), "--clock-offset", "+4h"]).expect_finished();
    assert!(!declared.stdout.contains("need"), "{declared:?}");
}

#[test]
fn a_truncated_archive_is_judged_as_far_as_it_goes_and_fails() {
    let state = State::new();
    let whole = gzip(std::fs::read_to_string(SAMPLE).expect("the sample is there").as_bytes());
    let input = state.write("whole.ndjson.gz", &whole);
    let unpacked = state.run(&["triage", shown(&input), "--json"]).expect_code(1).json();
    assert_same(&UNDISTURBED.export, &canonical(&unpacked), "the sample as an archive");

    let state = State::new();
    let input = state.write("cut.ndjson.gz", &whole[..whole.len() * 9 / 10]);
    let text = state.run(&["triage", shown(&input)]).expect_code(2);
    assert!(text.stdout.contains("cut short after line"), "{text:?}");
    assert!(text.stdout.contains("WF-1"), "what came before is judged and printed: {text:?}");
    let report = state.run(&["triage", shown(&input), "--json"]).expect_code(2).json();
    assert!(report["inputs"][0]["cut_short"].is_string(), "{}", report["inputs"]);
    assert!(report["cases"].as_array().is_some_and(|cases| !cases.is_empty()), "{report}");
    state.assert_sound();
    // The whole file afterwards mends it: nothing is lost or counted twice.
    let whole = state.run(&["triage", SAMPLE, "--json"]).expect_code(1).json();
    assert_eq!(whole["inputs"][0]["alerts"], UNDISTURBED.export["inputs"][0]["alerts"]);
    state.assert_sound();
}

/// A rule that matches the quiet event.
const RULE: &str = "
title: A logoff was seen
id: 7d3c8a50-6f0c-4c7e-9a54-3a0f9b1c2d11
status: test
author: the test
logsource: {product: windows, service: security}
detection:
  selection: {EventID: 4634}
  condition: selection
level: medium
";

#[test]
fn a_bad_rule_is_named_and_the_rest_load() {
    let state = State::new();
    let rules = state.beside("rules");
    std::fs::create_dir(&rules).expect("the folder is made");
    std::fs::write(rules.join("good.yml"), RULE).expect("it is written");
    std::fs::write(rules.join("torn.yml"), "title: [\n  - torn").expect("it is written");
    std::fs::write(rules.join("bytes.yml"), b"title: \xff\xfe\x00").expect("it is written");
    std::fs::write(rules.join("notes.txt"), "no rule, and not taken for one").expect("it is written");
    let input = state.write("quiet.ndjson", quiet_event(1));
    let ended = state.run(&["triage", shown(&input), "--rules", shown(&rules)]).expect_finished();
    for file in ["torn.yml", "bytes.yml"] {
        assert!(ended.stderr.contains(&format!("{file} is left out: ")), "{file} in {ended:?}");
    }
    assert!(!ended.stderr.contains("good.yml") && !ended.stderr.contains("notes.txt"), "{ended:?}");
    assert!(ended.stdout.contains("1 event, 1 alert, 1 rule loaded"), "{ended:?}");
}

#[test]
fn without_a_usable_rule_nothing_is_called_quiet() {
    let state = State::new();
    let missing = state.beside("no-such-folder");
    let refused = state.run(&["triage", SAMPLE, "--rules", shown(&missing)]);
    refused.expect_refusal(&[shown(&missing), "cannot be read", "name a folder"]);
    let empty = state.beside("empty");
    std::fs::create_dir(&empty).expect("the folder is made");
    let refused = state.run(&["triage", SAMPLE, "--rules", shown(&empty)]);
    refused.expect_refusal(&[shown(&empty), "no Sigma rule", "name a folder"]);
    std::fs::write(empty.join("torn.yml"), "title: [\n  - torn").expect("it is written");
    let refused = state.run(&["triage", SAMPLE, "--rules", shown(&empty)]);
    refused.expect_refusal(&["torn.yml is left out", shown(&empty), "none of the rules", "--rules"]);
    let text = state.write("rules.tar.gz", "this is no archive");
    let refused = state.run(&["triage", SAMPLE, "--rules", shown(&text)]);
    refused.expect_refusal(&[shown(&text), "name a folder"]);
    assert!(!state.path().exists(), "a state folder was made for nothing");
}

#[test]
fn a_state_folder_that_is_none_is_named() {
    let state = State::new();
    let none = state.run(&["cases", "list"]);
    none.expect_refusal(&[shown(&state.path()), "holds no cases yet", "watchfloor triage FILE", "--data"]);
    assert!(!state.path().exists(), "a question makes no folder");
    std::fs::write(state.path(), "a file in its place").expect("it is written");
    let refused = state.run(&["triage", SAMPLE]);
    refused.expect_refusal(&[shown(&state.path()), "cannot be used as a state folder", "--data"]);
    for question in [&["cases", "list"][..], &["journal", "check"], &["audit", "verify"]] {
        state.run(question).expect_refusal(&[shown(&state.path()), "--data"]);
    }
}

#[test]
fn a_folder_that_another_process_holds_is_refused_with_its_number() {
    let state = State::new();
    state.triage();
    let mut held = File::create(state.path().join("floor.lock")).expect("the lock's file is there");
    held.try_lock().expect("nobody holds it");
    writeln!(held, "4711").expect("it is signed");
    let refused = state.run(&["triage", SAMPLE]);
    refused.expect_refusal(&[shown(&state.path()), "in use by another watchfloor (process 4711)", "--data"]);
    // The holder has no control socket: a question says so instead of waiting.
    let refused = state.run(&["cases", "list"]);
    refused.expect_refusal(&[shown(&state.path()), "does not answer", "stop it"]);
    drop(held);
    assert_same(&UNDISTURBED.export, &state.triage(), "once the folder is free again");
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_alone() {
    for file in ["journal.db", "events.db", "cases.db"] {
        let state = State::new();
        state.triage();
        let found = state.database(file).pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
        let found = found.expect("the version is read");
        state.database(file).pragma_update(None, "user_version", 99).expect("the version is written");
        for command in [&["triage", SAMPLE][..], &["cases", "list"], &["journal", "check"], &["audit", "verify"]] {
            state.run(command).expect_refusal(&[file, "has format 99", "use the version that wrote it"]);
        }
        state.database(file).pragma_update(None, "user_version", found).expect("the version is written");
        assert_same(&UNDISTURBED.export, &state.triage(), &format!("{file} after a newer version was refused"));
    }
}

#[test]
fn a_store_that_is_something_else_is_refused() {
    for file in ["journal.db", "events.db", "cases.db"] {
        let state = State::new();
        std::fs::create_dir(state.path()).expect("the folder is made");
        std::fs::write(state.path().join(file), "Dear diary, ".repeat(500)).expect("it is written");
        state.run(&["triage", SAMPLE]).expect_refusal(&[file, "it is not a store of watchfloor"]);
    }
}

#[test]
fn a_full_disk_is_said_and_nothing_is_lost_by_it() {
    let (mut full, mut pages) = (0, 1);
    loop {
        let state = State::new();
        let ended = state.triage_with(&format!("max-pages={pages}"));
        if ended.code() != Some(2) {
            assert_same(&UNDISTURBED.export, &canonical(&ended.expect_finished().json()), "enough pages");
            break;
        }
        full += 1;
        assert!(ended.stdout.is_empty(), "a run that failed prints no cases: {ended:?}");
        ended.expect_refusal(&[".db is full", "free some space and run the command again", shown(&state.path())]);
        let what = format!("{pages} pages, then room enough");
        assert_same(&UNDISTURBED.export, &state.triage(), &what);
        state.assert_sound();
        pages += 1 + pages / 6;
    }
    println!("the disk was full {full} times, enough are {pages} pages");
    assert!(full > 10, "the disk was full only {full} times");
}

#[test]
fn a_full_disk_refuses_nobody_who_only_reads() {
    let state = State::new();
    state.triage();
    for question in [&["cases", "list"][..], &["cases", "show", "WF-1"], &["journal", "check"], &["audit", "verify"]] {
        let mut command = state.command(question);
        command.env(FAULT, "max-pages=1");
        assert!(run(command).expect_finished().stderr.is_empty());
    }
    // And a run that finds everything on record needs no room either.
    let ended = state.triage_with("max-pages=1").expect_finished();
    assert_same(&UNDISTURBED.export, &canonical(&ended.json()), "a second run on a full disk");
}

#[cfg(unix)]
mod while_a_floor_runs {
    //! A floor that is fed through a pipe runs until the pipe is closed.

    use std::io::{BufRead, BufReader};
    use std::net::TcpStream;
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Child, Command, Stdio};
    use std::sync::mpsc::{Sender, channel};
    use std::thread::JoinHandle;
    use std::time::{Duration, Instant};

    use super::*;

    /// Longest that anything in here is waited for.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A triage at work on the sample, which its source has not finished.
    struct Running {
        state: State,
        child: Child,
        /// Dropping it ends the input.
        more: Option<Sender<()>>,
        feeding: Option<JoinHandle<()>>,
    }

    impl Drop for Running {
        fn drop(&mut self) {
            // After a failed check nobody else ends it.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    impl Running {
        fn start() -> Self {
            let state = State::new();
            let pipe = state.beside("pipe.ndjson");
            assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there").success());
            let mut command = state.command(&["triage", shown(&pipe), "--json"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let child = command.spawn().expect("the program starts");
            let (more, ended) = channel::<()>();
            let feeding = std::thread::spawn(move || {
                let mut writing = File::options().write(true).open(pipe).expect("the program reads it");
                // Repeated, because events are stored by the hundred: known ones change nothing.
                let lines = sample_lines();
                for line in lines.iter().cycle().take(lines.len() * 5) {
                    writeln!(writing, "{line}").expect("the program reads on");
                }
                let _ = ended.recv();
            });
            let running = Self { state, child, more: Some(more), feeding: Some(feeding) };
            running.wait_for_cases();
            running
        }

        /// Waits until the floor shows all cases of the sample.
        fn wait_for_cases(&self) {
            let wanted = UNDISTURBED.export["cases"].as_object().map(serde_json::Map::len);
            let began = Instant::now();
            loop {
                if self.state.path().join("control.json").exists() {
                    let list = self.state.run(&["cases", "list", "--json"]).expect_no_panic();
                    // A case that is not judged yet is nothing to be quiet about.
                    if list.code() == Some(1) && list.json().as_array().map(Vec::len) == wanted {
                        return;
                    }
                }
                assert!(began.elapsed() < PATIENCE, "the floor does not show its cases");
                std::thread::sleep(Duration::from_millis(20));
            }
        }

        fn signal(&self, name: &str) {
            let sent = Command::new("kill").arg(name).arg(self.child.id().to_string()).status();
            assert!(sent.expect("kill is there").success());
        }

        /// Ends the input and gives what the triage printed.
        fn finish(mut self) -> (State, Value) {
            drop(self.more.take());
            self.feeding.take().expect("it was started").join().expect("the sample was read");
            let stdout = self.child.stdout.take().expect("it is piped");
            let report = serde_json::from_reader(BufReader::new(stdout)).expect("it prints its report");
            assert_eq!(self.child.wait().expect("it is ours").code(), Some(1));
            let state = std::mem::replace(&mut self.state, State::new());
            (state, report)
        }

        /// Where the floor listens, and its secret.
        fn control(&self) -> (String, String) {
            let file = std::fs::read_to_string(self.state.path().join("control.json")).expect("a floor listens");
            let control: Value = serde_json::from_str(&file).expect("it is JSON");
            let text = |name: &str| control[name].as_str().expect("it is said").to_owned();
            (text("address"), text("secret"))
        }
    }

    /// Sends bytes to the control socket and gives the line it answers, if any.
    fn send(address: &str, bytes: &[u8]) -> String {
        let mut connection = TcpStream::connect(address).expect("the floor listens");
        connection.set_read_timeout(Some(PATIENCE)).expect("a timeout is set");
        // The floor may answer and hang up before it has read everything.
        let _ = connection.write_all(bytes).and_then(|()| connection.shutdown(std::net::Shutdown::Write));
        let mut answer = String::new();
        let _ = BufReader::new(connection).read_line(&mut answer);
        answer
    }

    #[test]
    fn its_cases_are_read_through_it() {
        let running = Running::start();
        let state = &running.state;
        let mode = state.path().join("control.json").metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "only its owner may read the secret");
        let mode = state.path().metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "only its owner may enter the folder");

        let list = state.run(&["cases", "list", "--json"]).expect_code(1).json();
        let statuses: Vec<&Value> =
            list.as_array().expect("a list").iter().map(|case| &case["state"]["status"]).collect();
        assert!(statuses.iter().all(|status| **status == "new"), "nothing is judged before all is in: {statuses:?}");
        assert!(state.run(&["cases", "show", "WF-1"]).expect_code(1).stdout.contains("WF-1"));
        state.run(&["cases", "show", "WF-99"]).expect_refusal(&["WF-99", "watchfloor cases list"]);
        state.run(&["journal", "check"]).expect_code(0);
        state.run(&["audit", "verify"]).expect_code(0);
        let process = format!("(process {})", running.child.id());
        state.run(&["triage", SAMPLE]).expect_refusal(&[shown(&state.path()), "in use", &process, "--data"]);

        let (state, report) = running.finish();
        let (expected, found) = (&UNDISTURBED.export["cases"], &canonical(&report)["cases"]);
        assert_same(expected, found, "a floor that was asked while it worked");
        assert!(!state.path().join("control.json").exists(), "the address goes when the floor goes");
        state.assert_sound();
    }

    #[test]
    fn who_does_not_know_the_secret_is_told_nothing() {
        let running = Running::start();
        let (address, secret) = running.control();
        assert!(secret.len() >= 32, "a secret is long");
        let wrong = "0".repeat(secret.len());
        let request = |secret: &str| format!("{}\n", json!({"secret": secret, "query": "cases"}));
        for guess in ["", "0", &wrong, &secret[1..], &format!("{secret}0"), &secret.to_uppercase()] {
            let answer = send(&address, request(guess).as_bytes());
            assert!(answer.contains("the secret is wrong") && !answer.contains("WF-1"), "{guess}: {answer}");
        }
        for garbage in [
            &b""[..],
            b"\n",
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            b"{}\n",
            b"{\"query\":\"cases\"}\n",
            b"[[[[[[\n",
            b"\xff\xfe\0\0\n",
            &b"{\"secret\":".repeat(100_000),
            &b"A".repeat(1 << 20),
        ] {
            let answer = send(&address, garbage);
            assert!(!answer.contains("WF-1") && !answer.contains("answer\""), "{answer}");
        }
        let known = format!("{}\n", json!({"secret": secret, "query": "close_all_cases"}));
        assert!(send(&address, known.as_bytes()).contains("cannot be read"));
        // Somebody who connects and says nothing holds up nobody.
        let silent: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(&address).expect("it listens")).collect();
        assert!(send(&address, request(&secret).as_bytes()).contains("WF-1"));
        running.state.run(&["cases", "list"]).expect_code(1);
        drop(silent);
        let (state, report) = running.finish();
        assert_same(&UNDISTURBED.export["cases"], &canonical(&report)["cases"], "a floor that was pestered");
        state.assert_sound();
    }

    #[test]
    fn one_that_is_stopped_is_said_not_to_answer() {
        let running = Running::start();
        running.signal("-STOP");
        let asked = Instant::now();
        let refused = running.state.run(&["cases", "list"]);
        let waited = asked.elapsed();
        let process = format!("(process {})", running.child.id());
        let second = running.state.run(&["triage", SAMPLE]);
        running.signal("-CONT");
        refused.expect_refusal(&[shown(&running.state.path()), "does not answer", "stop it"]);
        assert!(waited < PATIENCE, "the answer took {waited:?}");
        second.expect_refusal(&["in use", &process]);
        let (state, report) = running.finish();
        assert_same(&UNDISTURBED.export["cases"], &canonical(&report)["cases"], "a floor that was stopped for a while");
        state.assert_sound();
    }

    #[test]
    fn one_that_was_killed_leaves_its_cases_readable() {
        let mut running = Running::start();
        running.child.kill().expect("it is ours");
        running.child.wait().expect("it is ours");
        drop(running.more.take());
        assert!(running.state.path().join("control.json").exists(), "a killed floor cannot tidy up");
        let list = running.state.run(&["cases", "list", "--json"]).expect_code(1).json();
        assert_eq!(list.as_array().map(Vec::len), UNDISTURBED.export["cases"].as_object().map(serde_json::Map::len));
        let cases = &running.state.triage()["cases"];
        assert_same(&UNDISTURBED.export["cases"], cases, "killed while its source was delivering, then run again");
        assert!(!running.state.path().join("control.json").exists());
        running.state.assert_sound();
    }
}

#[test]
fn a_relative_path_to_nowhere_is_named_as_it_was_given() {
    let state = State::new();
    let ended = state.run(&["triage", "no/such/file.ndjson"]);
    ended.expect_refusal(&["`no/such/file.ndjson` does not exist"]);
    assert!(!Path::new("no").exists());
}
