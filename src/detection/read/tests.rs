//! Reading sound, damaged and foreign files.

use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;

fn record(number: u32) -> String {
    format!(
        r#"{{"@timestamp":"2026-03-02T08:00:{:02}.000Z","EventReceivedTime":"x","SourceModuleName":"eventlog","Hostname":"WKS-01","Channel":"System","EventID":7036,"RecordNumber":{number}}}"#,
        number % 60
    )
}

fn records(count: u32) -> String {
    (1..=count).map(|number| record(number) + "\n").collect()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// A file of the test's own; the folder lives as long as the first part of the pair.
fn file(content: &[u8]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("input");
    std::fs::write(&path, content).expect("a file");
    (folder, path)
}

fn read(content: &[u8]) -> (Vec<Event>, Damage) {
    let (_folder, path) = file(content);
    let mut log = EventLog::open(&path).expect("a log");
    let events: Vec<Event> = log.by_ref().collect();
    assert!(log.progress().read() <= log.progress().total());
    (events, log.damage().clone())
}

fn refusal(content: &[u8]) -> String {
    let (_folder, path) = file(content);
    EventLog::open(&path).expect_err("no log").to_string()
}

#[test]
fn plain_and_gzip_are_told_apart_by_content() {
    let text = records(5);
    let (plain, damage) = read(text.as_bytes());
    assert!(damage.is_none(), "{damage}");
    let (packed, damage) = read(&gzip(text.as_bytes()));
    assert!(damage.is_none(), "{damage}");
    assert_eq!(plain.iter().map(|event| event.origin.line).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(
        plain.iter().map(|event| &event.id).collect::<Vec<_>>(),
        packed.iter().map(|e| &e.id).collect::<Vec<_>>()
    );
}

#[test]
fn several_gzip_members_are_one_file() {
    let both = [gzip(records(2).as_bytes()), gzip(record(3).as_bytes())].concat();
    assert_eq!(read(&both).0.len(), 3);
}

#[test]
fn each_broken_line_is_counted_by_kind_and_costs_only_itself() {
    let deep = format!("{}1{}", "{\"a\":[".repeat(40), "]}".repeat(40));
    let abyss = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let mut content = records(1).into_bytes();
    for line in ["{\"a\":", "", "  ", "[1]", "{}", &deep, &abyss, "\"text\""] {
        content.extend_from_slice(line.as_bytes());
        content.push(b'\n');
    }
    content.extend_from_slice(b"{\"a\":\"\xff\"}\n");
    content.extend_from_slice(record(2).replace("\"EventID\":7036,", "").as_bytes());
    content.extend_from_slice(b"\r\n");
    content.extend_from_slice(record(3).as_bytes());
    let (events, damage) = read(&content);
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].origin.line, 12);
    let counts: Vec<(Fault, u64, u64)> =
        damage.broken().iter().map(|(fault, tally)| (*fault, tally.count, tally.first_line)).collect();
    assert_eq!(
        counts,
        [
            (Fault::NotUtf8, 1, 10),
            (Fault::NotJson, 1, 2),
            (Fault::TooDeep, 2, 7),
            (Fault::NotAnObject, 2, 5),
            (Fault::UnknownShape, 1, 6),
            (Fault::NoCode, 1, 11),
        ]
    );
    assert_eq!(damage.broken_count(), 8);
    assert!(damage.to_string().contains("2 × not a JSON object (first in line 5: an array instead of an object)"));
}

#[test]
fn nesting_is_measured_exactly() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let fault = |text: String| parse(text.as_bytes()).expect_err("broken").fault;
    assert_eq!(fault(nested(DEEPEST_NESTING)), Fault::NotAnObject);
    assert_eq!(fault(nested(DEEPEST_NESTING + 1)), Fault::TooDeep);
}

#[test]
fn an_overlong_line_is_skipped_without_being_held() {
    let mut content = records(1).into_bytes();
    content.resize(content.len() + LONGEST_LINE + 10, b'x');
    content.push(b'\n');
    content.extend_from_slice(records(2).as_bytes());
    let (events, damage) = read(&gzip(&content));
    assert_eq!(events.len(), 3);
    assert_eq!(damage.broken()[&Fault::TooLong].first_line, 2);
}

#[test]
fn a_truncated_gzip_yields_what_was_there_and_says_so() {
    // Hardly compressible content, so that a cut in the middle leaves records before it.
    let text: String =
        (0..2_000).map(|n| record(n).replace("WKS-01", &format!("WKS-{}", n * 7_919 % 9_973)) + "\n").collect();
    let whole = gzip(text.as_bytes());
    let (events, damage) = read(&whole[..whole.len() / 2]);
    assert!(events.len() > 100 && events.len() < 2_000, "{}", events.len());
    assert!(damage.truncation().is_some_and(|cut| cut.contains("cut short after line")), "{damage}");
    assert_eq!(damage.broken_count(), 0, "{damage}");
}

#[test]
fn what_is_no_log_is_refused_with_a_helpful_sentence() {
    assert!(refusal(b"").contains("is empty"));
    assert!(refusal(b"\n  \n").contains("is empty"));
    assert!(refusal(&gzip(b"")).contains("is empty"));
    assert!(refusal(b"ElfFile\0\0\0").contains("EVTX"));
    assert!(refusal(&gzip(b"ElfFile\0\0\0")).contains("later version"));
    assert!(refusal(b"<!DOCTYPE html><html><body>Not found</body></html>").contains("HTML page"));
    assert!(refusal(b"\x7fELF\x02\x01\0\0\0").contains("binary"));
    assert!(refusal(b"PK\x03\x04rest").contains("zip"));
    assert!(refusal("{\"a\":1}\n".repeat(500).as_bytes()).contains("line 1: an object with the keys a"));
    assert!(refusal(b"just text\n").contains("no known record in the first 1 lines"));
    assert!(refusal(b"[{\"a\":1}]").contains("JSON array"));
    assert!(refusal(&gzip(records(1).as_bytes())[..12]).contains("gzip"));
}

#[test]
fn missing_files_and_folders_are_named() {
    let folder = TempDir::new().expect("a folder");
    let error = EventLog::open(&folder.path().join("absent.ndjson")).expect_err("missing").to_string();
    assert!(error.contains("absent.ndjson") && error.contains("does not exist"));
    assert!(EventLog::open(folder.path()).expect_err("a folder").to_string().contains("is a folder"));
}

#[test]
fn a_log_may_begin_with_a_few_broken_lines() {
    let content = format!("\u{feff}garbage\n<tag>\n{}", records(2));
    let (events, damage) = read(content.as_bytes());
    assert_eq!((events.len(), damage.broken_count()), (2, 2));
}
