//! Quotes that stand in a log, and quotes that do not.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const LINES: &str = concat!(
    r#"{"Hostname":"WKS-01.corp.example","EventID":1,"CommandLine":"tool.exe  /go","ProcessId":712,"LogonGuid":"0f1e2d3c-aaaa-bbbb-cccc-0123456789ab"}"#,
    "\n\n",
    r#"{"winlog":{"computer_name":"SRV-02","event_id":"4688","event_data":{"CommandLine":"quiet.exe"}}}"#,
    "\n",
    r#"{"Computer":"SRV-03","EventID":22,"EventData":"{\"QueryName\":\"a.example\"}"}"#,
    "\n"
);

fn log(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("it is written");
    (folder, path)
}

fn cited(file: &Path, place: u64, host: &str, code: u32, quotes: &[(&str, &str)]) -> Cited {
    let quote = |(field, value): &(&str, &str)| Quote { field: (*field).into(), value: (*value).into() };
    Cited { file: file.to_owned(), place, host: HostName::new(host), code, quotes: quotes.iter().map(quote).collect() }
}

const COMMAND: &str = "winlog.event_data.CommandLine";

#[test]
fn a_true_quote_is_found_at_its_place_and_nowhere_else() {
    let (_folder, path) = log("events.ndjson", LINES.as_bytes());
    let all = [
        (cited(&path, 1, "wks-01", 1, &[(COMMAND, "tool.exe  /go")]), true),
        (cited(&path, 1, "wks-01", 1, &[(COMMAND, "tool.exe /go")]), false),
        (cited(&path, 1, "wks-01", 1, &[(COMMAND, "Tool.exe")]), false),
        (cited(&path, 3, "wks-01", 1, &[(COMMAND, "tool.exe")]), false),
        (cited(&path, 1, "wks-02", 1, &[(COMMAND, "tool.exe")]), false),
        (cited(&path, 1, "wks-01", 4688, &[(COMMAND, "tool.exe")]), false),
        (cited(&path, 1, "wks-01", 1, &[("winlog.event_data.Image", "tool.exe")]), false),
        (cited(&path, 1, "wks-01", 1, &[(COMMAND, "tool.exe"), ("winlog.event_data.ProcessId", "713")]), false),
        (cited(&path, 1, "wks-01", 1, &[("winlog.event_data.ProcessId", "712"), ("process.pid", "712")]), true),
        (cited(&path, 1, "wks-01", 1, &[("winlog.event_data.LogonGuid", "{0F1E2D3C-AAAA")]), true),
        (cited(&path, 3, "srv-02.corp.example", 4688, &[(COMMAND, "quiet.exe")]), true),
        (cited(&path, 4, "srv-03", 22, &[("winlog.event_data.QueryName", "a.example")]), true),
        (cited(&path, 9, "srv-03", 22, &[]), false),
    ];
    let (given, expected): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    assert_eq!(seen(&given).expect("it is read"), expected);
}

#[test]
fn however_the_log_is_packed_and_laid_out() {
    let records: Vec<&str> = LINES.lines().filter(|line| !line.is_empty()).collect();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(LINES.as_bytes()).expect("memory");
    let pretty: serde_json::Value = serde_json::from_str(records[1]).expect("a record");
    let pretty = format!("{}\n{}", serde_json::to_string_pretty(&pretty).expect("text"), records[2]);
    let hits = format!(r#"{{"hits":{{"hits":[{{"_source":{}}},{{"_source":{}}}]}}}}"#, records[0], records[1]);
    for (content, place) in [
        (packed.finish().expect("memory"), 3),
        (zstd::encode_all(LINES.as_bytes(), 1).expect("memory"), 3),
        (format!("\u{feff}[{},\n{}]", records[0], records[1]).into_bytes(), 2),
        (pretty.into_bytes(), 1),
        (hits.into_bytes(), 2),
    ] {
        let (_folder, path) = log("events", &content);
        let is_there = seen(&[cited(&path, place, "srv-02", 4688, &[(COMMAND, "quiet.exe")])]).expect("it is read");
        assert_eq!(is_there, [true], "{}", String::from_utf8_lossy(&content));
    }
}

#[test]
fn an_absence_holds_if_no_record_says_so() {
    let (_folder, path) = log("events.ndjson", LINES.as_bytes());
    let of = |host: &str, code, value: &str| Absent {
        host: HostName::new(host),
        code,
        conditions: vec![Quote { field: COMMAND.into(), value: value.into() }],
        process: None,
        within: None,
    };
    let absences =
        [of("wks-01", 1, "tool"), of("wks-01", 1, "other"), of("wks-01", 3, "tool"), of("srv-02", 1, "tool")];
    assert_eq!(absent(&absences, &[path]).expect("it is read"), [false, true, true, true]);
}

#[test]
fn an_absence_is_held_against_what_had_arrived_and_nothing_later() {
    let (_folder, path) = log("events.ndjson", LINES.as_bytes());
    let (_other, later) = log("later.ndjson", LINES.as_bytes());
    // The last record that says it, by its place.
    let place = (1..=9).find(|place| {
        let cited = [cited(&path, *place, "wks-01", 1, &[(COMMAND, "tool")])];
        seen(&cited).expect("it is read")[0]
    });
    let place = place.expect("some record says so");
    let of = |within: Within| Absent {
        host: HostName::new("wks-01"),
        code: 1,
        conditions: vec![Quote { field: COMMAND.into(), value: "tool".into() }],
        process: None,
        within: Some(within),
    };
    let until = |place: u64, later: &[PathBuf]| of(Within { file: path.clone(), place, later: later.to_vec() });
    let absences = [
        until(place - 1, std::slice::from_ref(&later)),
        until(place, std::slice::from_ref(&later)),
        until(place - 1, &[]),
    ];
    assert_eq!(absent(&absences, &[path.clone(), later.clone()]).expect("it is read"), [true, false, false]);
}

#[test]
fn a_log_that_has_gone_is_named() {
    let error = seen(&[cited(Path::new("/nowhere/events.ndjson"), 1, "a", 1, &[])]).expect_err("there is none");
    assert!(error.to_string().contains("/nowhere/events.ndjson"), "{error}");
}

#[test]
fn an_absence_of_one_process_is_not_broken_by_what_another_did() {
    let record = |doer: &str, id: &str| {
        format!(
            r#"{{"@timestamp":"2026-01-01T00:00:00Z","host":{{"name":"wks-01"}},"event":{{"code":"10"}},"winlog":{{"channel":"Microsoft-Windows-Sysmon/Operational","event_id":"10","computer_name":"wks-01","event_data":{{"{doer}":"{id}"}}}}}}"#
        )
    };
    let lines = [record("SourceProcessGUID", "{AA-1}"), record("TargetProcessGUID", "{AA-2}")].join("\n");
    let (_folder, path) = log("events.ndjson", lines.as_bytes());
    let of = |process: &str| Absent {
        host: HostName::new("wks-01"),
        code: 10,
        conditions: vec![],
        process: Some(process.into()),
        within: None,
    };
    assert_eq!(absent(&[of("{aa-1}"), of("{AA-2}"), of("{AA-3}")], &[path]).expect("it is read"), [false, true, true]);
}
