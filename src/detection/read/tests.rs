//! Reading sound, damaged, packed and foreign files.

use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::detection::damage::{Flaw, Place};

fn record(number: u32) -> String {
    format!(
        r#"{{"@timestamp":"2026-03-02T08:00:{:02}.000Z","EventReceivedTime":"x","SourceModuleName":"eventlog","Hostname":"WKS-01","Channel":"System","EventID":7036,"RecordNumber":{number}}}"#,
        number % 60
    )
}

fn records(count: u32) -> String {
    (1..=count).map(|number| record(number) + "\n").collect()
}

/// Over as many lines as a person would take.
fn pretty(number: u32) -> String {
    let value: serde_json::Value = serde_json::from_str(&record(number)).expect("it is JSON");
    serde_json::to_string_pretty(&value).expect("it is written")
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(content, 3).expect("memory takes it")
}

fn utf16(text: &str) -> Vec<u8> {
    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
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
    assert_eq!(Some(log.progress().read()), log.progress().total());
    (events, log.damage().clone())
}

/// The numbers that the records bear, of a sound file.
fn sound(content: &[u8]) -> Vec<u32> {
    let (events, damage) = read(content);
    assert!(damage.is_none(), "{damage}");
    events.iter().map(|event| event.record_id.as_ref().and_then(|id| id.parse().ok()).expect("a number")).collect()
}

fn refusal(content: &[u8]) -> String {
    let (_folder, path) = file(content);
    EventLog::open(&path).expect_err("no log").to_string()
}

#[test]
fn what_a_file_is_packed_and_written_in_makes_no_difference() {
    let text = records(5);
    let (plain, _) = read(text.as_bytes());
    assert_eq!(plain.iter().map(|event| event.origin.line).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7][..], &zstd(text.as_bytes())].concat();
    for same in [
        gzip(text.as_bytes()),
        zstd(text.as_bytes()),
        skippable,
        gzip(&zstd(text.as_bytes())),
        utf16(&text.replace('\n', "\r\n")),
        gzip(&utf16(&text)),
        format!("\u{feff}{text}").into_bytes(),
    ] {
        let (events, damage) = read(&same);
        assert!(damage.is_none(), "{damage}");
        let ids = |events: &[Event]| events.iter().map(|event| event.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&events), ids(&plain));
    }
}

#[test]
fn several_members_or_frames_are_one_file() {
    for pack in [gzip, zstd] {
        assert_eq!(sound(&[pack(records(2).as_bytes()), pack(record(3).as_bytes())].concat()), [1, 2, 3]);
    }
}

#[test]
fn lists_and_single_objects_are_read_element_by_element() {
    let list = |between: &str| (1..=3).map(record).collect::<Vec<_>>().join(between);
    for text in [
        format!("[{}]", list(",")),
        format!("\n \n[\n{}\n]\n", list(",\n")),
        format!("[{}] [{}]", list(" , "), record(4)),
        format!("[\n{},\n{}\n]", pretty(1), pretty(2)),
        pretty(1),
        format!("{}\n{}\n", pretty(1), pretty(2)),
        format!("{},\n{}", pretty(1), pretty(2)),
    ] {
        let numbers = sound(text.as_bytes());
        assert!((1..=4).contains(&numbers.len()), "{text}");
        assert_eq!(numbers, (1..=numbers.len() as u32).collect::<Vec<_>>());
    }
    let (events, _) = read(format!("[{}]", list(",")).as_bytes());
    assert_eq!(events.iter().map(|event| event.origin.line).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn the_hits_of_a_search_are_read_and_what_stands_around_them_is_not() {
    let hits = (1..=3).map(record).collect::<Vec<_>>().join(",\n");
    let text = format!(
        r#"{{"took": 3, "_shards": {{"total": 1}}, "hits": {{"total": {{"value": 3}}, "hits": [{hits}], "n": [{{}}]}}, "a": 1}}"#
    );
    assert_eq!(sound(text.as_bytes()), [1, 2, 3]);
    assert_eq!(sound(&gzip(text.replace(", ", ",\n ").as_bytes())), [1, 2, 3]);
}

#[test]
fn a_list_of_any_size_is_read_in_pieces() {
    let count = 20_000;
    let list = format!("[{}]", (1..=count).map(record).collect::<Vec<_>>().join(","));
    assert!(list.len() > 4 * PIECE);
    assert_eq!(sound(list.as_bytes()), (1..=count).collect::<Vec<_>>());
    let mut log = EventLog::reading("list".into(), Box::new(io::Cursor::new(list)), None).expect("a log");
    while let Some(piece) = log.next_piece() {
        assert!(piece.size() <= 2 * PIECE, "{}", piece.size());
    }
}

#[test]
fn a_broken_element_costs_itself() {
    let text = format!("[{}, 7, \"text\", {{\"a\": }}, nonsense, [{}], {}]", record(1), record(2), record(3));
    let (events, damage) = read(text.as_bytes());
    assert_eq!(events.iter().map(|event| event.origin.line).collect::<Vec<_>>(), [1, 7]);
    let found: Vec<_> = damage.broken().iter().map(|(fault, tally)| (*fault, tally.count, tally.first)).collect();
    let element = Place::Element;
    assert_eq!(found, [(Fault::NotJson, 2, element(4)), (Fault::NotAnObject, 3, element(2))], "{damage}");
    assert!(damage.truncation().is_none());
}

#[test]
fn a_list_that_is_cut_off_is_read_as_far_as_it_goes_and_says_so() {
    let whole = format!("[{},{},{}]", record(1), record(2), record(3));
    let mut ends = std::collections::BTreeSet::new();
    for length in record(1).len() + 2..whole.len() {
        let (events, damage) = read(&whole.as_bytes()[..length]);
        let cut = damage.truncation().expect("it is cut off");
        assert!(cut.contains(&format!("cut short after element {}", events.len())), "{cut}");
        assert_eq!(damage.broken_count(), 0, "{damage}");
        ends.insert(events.len());
    }
    assert_eq!(ends.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
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
    content.extend_from_slice(record(2).replace("\"EventID\":7036,", "").as_bytes());
    content.extend_from_slice(b"\r\n");
    content.extend_from_slice(record(3).as_bytes());
    let (events, damage) = read(&content);
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].origin.line, 11);
    let counts: Vec<(Fault, u64, Place)> =
        damage.broken().iter().map(|(fault, tally)| (*fault, tally.count, tally.first)).collect();
    assert_eq!(
        counts,
        [
            (Fault::NotJson, 1, Place::Line(2)),
            (Fault::TooDeep, 2, Place::Line(7)),
            (Fault::NotAnObject, 2, Place::Line(5)),
            (Fault::UnknownShape, 1, Place::Line(6)),
            (Fault::NoCode, 1, Place::Line(10)),
        ]
    );
    assert_eq!(damage.broken_count(), 7);
    assert!(damage.to_string().contains("2 × not a JSON object (first in line 5: an array instead of an object)"));
}

#[test]
fn a_record_that_is_not_read_word_for_word_says_so_itself() {
    let mut content = records(1).into_bytes();
    content.extend_from_slice(record(2).replace("WKS-01", "WKS-\\ud800").as_bytes());
    content.push(b'\n');
    let spoilt = record(3).into_bytes();
    let host = spoilt.windows(6).position(|at| at == b"WKS-01").expect("it is there");
    content.extend_from_slice(&[&spoilt[..host + 4], b"\xff\xfe", &spoilt[host + 6..]].concat());
    let (events, damage) = read(&content);
    assert_eq!((events.len(), damage.broken_count()), (3, 0), "{damage}");
    assert_eq!(damage.flawed()[&Flaw::HalfPair].first, Place::Line(2));
    assert_eq!(damage.flawed()[&Flaw::NotUtf8].first, Place::Line(3));
    let flags: Vec<_> =
        events.iter().map(|event| event.document.get("log").map(|log| log["flags"].to_string())).collect();
    assert_eq!(flags[0], None);
    assert_eq!(flags[1].as_deref(), Some(r#"["half a UTF-16 pair was replaced"]"#));
    assert_eq!(flags[2].as_deref(), Some(r#"["bytes that are not UTF-8 were replaced"]"#));
    assert_eq!(events[2].host.as_str(), "WKS-\u{fffd}\u{fffd}");
}

#[test]
fn an_overlong_record_is_skipped_without_being_held() {
    let long = "x".repeat(LONGEST_RECORD + 10);
    let lines = format!("{}{long}\n{}", records(1), records(2));
    let list = format!("[{},{{\"a\":\"{long}\"}},{},{}]", record(1), record(1), record(2));
    for (text, place) in [(lines, Place::Line(2)), (list, Place::Element(2))] {
        let (events, damage) = read(&gzip(text.as_bytes()));
        assert_eq!(events.len(), 3);
        assert_eq!(damage.broken_count(), 1, "{damage}");
        assert_eq!(damage.broken()[&Fault::TooLong].first, place);
    }
    let longest = format!("{}\"x\":\"", record(1).replace('}', ","));
    let longest = format!("{longest}{}\"}}", "x".repeat(LONGEST_RECORD - longest.len() - 2));
    let (events, damage) = read(format!("{longest}\n{longest}x\n").as_bytes());
    assert_eq!((events.len(), damage.broken()[&Fault::TooLong].count), (1, 1), "the limit is exact");
}

#[test]
fn a_truncated_archive_yields_what_was_there_and_says_so() {
    // Hardly compressible content, so that a cut in the middle leaves records before it.
    let text: String =
        (0..20_000).map(|n| record(n).replace("WKS-01", &format!("WKS-{}", n * 7_919 % 9_973)) + "\n").collect();
    for pack in [gzip, zstd] {
        let whole = pack(text.as_bytes());
        let (_folder, path) = file(&whole[..whole.len() / 2]);
        let mut log = EventLog::open(&path).expect("a log");
        let events = log.by_ref().count();
        assert!(events > 100 && events < 20_000, "{events}");
        let damage = log.damage();
        assert!(damage.truncation().is_some_and(|cut| cut.contains("cut short after line")), "{damage}");
        assert_eq!(damage.broken_count(), 0, "{damage}");
    }
}

#[test]
fn what_is_no_log_is_refused_with_a_helpful_sentence() {
    assert!(refusal(b"").contains("is empty"));
    assert!(refusal(b"\n  \n").contains("is empty"));
    assert!(refusal(b"[]").contains("is empty"));
    assert!(refusal(&gzip(b"")).contains("is empty"));
    assert!(refusal(&zstd(b"")).contains("is empty"));
    assert!(refusal(b"ElfFile\0\0\0").contains("cut short before the first record"));
    assert!(refusal(b"<!DOCTYPE html><html><body>Not found</body></html>").contains("HTML page"));
    assert!(refusal(b"\x7fELF\x02\x01\0\0\0").contains("binary"));
    assert!(refusal(b"PK\x03\x04rest").contains("zip"));
    assert!(refusal("{\"a\":1}\n".repeat(500).as_bytes()).contains("line 1: an object with the keys a"));
    assert!(refusal(b"just text\n").contains("no known record among the first 1; line 1"));
    assert!(refusal(b"[{\"a\":1}]").contains("element 1: an object with the keys a"));
    assert!(refusal(&gzip(records(1).as_bytes())[..12]).contains("gzip"));
    assert!(refusal(&gzip(&gzip(&gzip(records(1).as_bytes())))).contains("archive in an archive"));
    assert!(refusal(b"\x28\xb5\x2f\xfdgarbage").contains("zstd"));
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
    let content = format!("{{\"cut\": \n{}", records(2));
    let (events, damage) = read(content.as_bytes());
    assert_eq!((events.len(), damage.broken_count()), (2, 1));
}

#[test]
fn a_declared_clock_moves_the_times_of_its_log() {
    let log = |clock| {
        let log = EventLog::reading("log".into(), Box::new(io::Cursor::new(records(1))), None).expect("a log");
        log.with_clock(clock).next().expect("an event").time
    };
    let declared = log(ClockOffset::new(jiff::SignedDuration::from_hours(4)));
    assert_eq!(declared.duration_since(log(ClockOffset::NONE)), jiff::SignedDuration::from_hours(4));
}

/// Gives its bytes a few at a time, as a pipe does.
struct Trickle(io::Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.1);
        self.0.read(&mut buffer[..length])
    }
}

#[test]
fn a_pipe_is_read_line_by_line_as_it_delivers() {
    let text = records(200);
    let length = record(1).len() + 1;
    let pipe = Trickle(io::Cursor::new(text.into_bytes()), length);
    let mut log = EventLog::reading("pipe".into(), Box::new(pipe), None).expect("a log");
    let mut pieces = 0;
    while log.next_piece().is_some() {
        pieces += 1;
    }
    assert!(pieces >= 100, "{pieces} pieces: lines were waited for");
}

/// Bytes as an attacker or a broken disk would write them.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => (1_u32..9).prop_map(|number| record(number).into_bytes()),
        2 => (1_u32..9).prop_map(|number| pretty(number).into_bytes()),
        2 => prop::sample::select(vec!["\n", ",", "[", "]", "{", "}", "\"", "\\", "\0", "\r\n", "{\"hits\":{\"hits\":["])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn how_bytes_arrive_changes_nothing_in_what_is_read(
        bytes in hostile(), step in 1_usize..400, wrap in prop::sample::select(vec![0, 1, 2, 3])
    ) {
        let bytes = match wrap {
            0 => bytes,
            1 => gzip(&bytes),
            2 => zstd(&bytes),
            _ => [gzip(&bytes), vec![0x1f, 0x8b, 7]].concat(),
        };
        let all = |from: Box<dyn Read + Send>| {
            let mut log = EventLog::reading("input".into(), from, None)?;
            let events: Vec<Event> = log.by_ref().collect();
            Ok::<_, ReadError>((events, log.damage().clone()))
        };
        let at_once = all(Box::new(io::Cursor::new(bytes.clone())));
        let in_steps = all(Box::new(Trickle(io::Cursor::new(bytes), step)));
        match (at_once, in_steps) {
            (Ok(once), Ok(steps)) => prop_assert_eq!(once, steps),
            (Err(once), Err(steps)) => prop_assert_eq!(once.to_string(), steps.to_string()),
            (once, steps) => prop_assert!(false, "{:?} and {:?}", once.map(|read| read.1), steps.map(|read| read.1)),
        }
    }

    #[test]
    fn every_event_of_a_spoilt_event_log_has_a_place(at in 0_usize..4096 + (1 << 16) * 4, byte in any::<u8>()) {
        let mut bytes = evtx::tests::log(|_| ());
        bytes[at] = byte;
        let mut chunks = evtx::Chunks::new(Box::new(io::Cursor::new(bytes)));
        let mut records = 0;
        while let Some(piece) = chunks.next() {
            piece.content.records(&mut |_, record| {
                records += u32::from(record.is_ok());
                true
            });
        }
        // One byte can cost a chunk, never the others.
        prop_assert!(records >= 20, "{records}");
    }
}
