//! A growing file loses no line and repeats none, however it is written, rotated and read.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const ALL: usize = 1 << 20;

struct Log {
    _folder: TempDir,
    path: PathBuf,
}

impl Log {
    fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events.ndjson");
        fs::write(&path, text).expect("it is written");
        Self { _folder: folder, path }
    }

    fn write(&self, text: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().append(true).open(&self.path).expect("it opens");
        file.write_all(text.as_ref()).expect("it is written");
    }

    fn tail(&self, known: &[Place]) -> Tail {
        Tail::open(&self.path, known).expect("it opens")
    }
}

fn texts(tail: &mut Tail) -> Vec<String> {
    let lines = tail.read(ALL).expect("it is read");
    lines.into_iter().map(|line| String::from_utf8(line.text.expect("it is short")).expect("UTF-8")).collect()
}

#[test]
fn a_partial_last_line_waits_for_its_end() {
    let log = Log::with("{\"a\":1}\n{\"b\"");
    let mut tail = log.tail(&[]);
    assert_eq!(texts(&mut tail), ["{\"a\":1}"]);
    assert!(texts(&mut tail).is_empty());
    log.write(":2}\n");
    assert_eq!(texts(&mut tail), ["{\"b\":2}"]);
    assert_eq!(tail.place().line, 2);
}

#[test]
fn a_whole_object_needs_no_newline() {
    let log = Log::with("{\"a\":\"}\"}");
    let mut tail = log.tail(&[]);
    assert_eq!(texts(&mut tail), ["{\"a\":\"}\"}"]);
    log.write("\n{\"b\":{}");
    assert_eq!(texts(&mut tail), [""], "the newline that was missing ends nothing");
    log.write("}");
    assert_eq!(texts(&mut tail), ["{\"b\":{}}"]);
}

#[test]
fn reading_goes_on_where_it_ended() {
    let log = Log::with("one\ntwo\n");
    let mut tail = log.tail(&[]);
    assert_eq!(texts(&mut tail), ["one", "two"]);
    let place: Place =
        serde_json::from_str(&serde_json::to_string(tail.place()).expect("JSON")).expect("a place comes back");
    log.write("three\n");
    let mut again = log.tail(&[place]);
    assert_eq!(texts(&mut again), ["three"]);
}

#[test]
fn a_truncated_file_is_read_from_its_beginning() {
    let log = Log::with("one\ntwo\n");
    let mut tail = log.tail(&[]);
    texts(&mut tail);
    fs::write(&log.path, "new\n").expect("it is written over");
    assert!(tail.is_overwritten().expect("it is read"));
    assert_eq!(texts(&mut log.tail(&[tail.place().clone()])), ["new"]);
}

#[test]
fn a_file_written_over_with_more_than_it_held_is_another_file() {
    let log = Log::with("one\ntwo\n");
    let mut tail = log.tail(&[]);
    texts(&mut tail);
    fs::write(&log.path, "another\nand more\n").expect("it is written over");
    assert!(tail.is_overwritten().expect("it is read"));
    assert_eq!(texts(&mut log.tail(&[tail.place().clone()])), ["another", "and more"]);
}

#[test]
fn a_file_written_over_with_the_same_beginning_is_another_file() {
    let line = |text: &str| format!("{}{text}\n", "x".repeat(HEAD as usize));
    let log = Log::with(&[line("header"), line("one")].concat());
    let mut tail = log.tail(&[]);
    assert_eq!(texts(&mut tail).len(), 2);
    assert!(!tail.is_overwritten().expect("it is read"));
    fs::write(&log.path, [line("header"), line("two"), line("three")].concat()).expect("it is written over");
    assert!(tail.is_overwritten().expect("it is read"));
    assert_eq!(texts(&mut log.tail(&[tail.place().clone()])).len(), 3);
}

#[test]
fn a_place_of_an_earlier_version_is_still_a_place() {
    let log = Log::with("one\n");
    let mut tail = log.tail(&[]);
    texts(&mut tail);
    let mut place = serde_json::to_value(tail.place()).expect("JSON");
    place.as_object_mut().expect("an object").remove("last").expect("it was not known then");
    log.write("two\n");
    assert_eq!(texts(&mut log.tail(&[serde_json::from_value(place).expect("a place")])), ["two"]);
}

#[test]
fn a_renamed_file_is_known_by_its_place() {
    let log = Log::with("one\n");
    let mut tail = log.tail(&[]);
    texts(&mut tail);
    log.write("late\n");
    let renamed = log.path.with_extension("1");
    fs::rename(&log.path, &renamed).expect("it is renamed");
    fs::write(&log.path, "one\n").expect("a new one begins like the old one");
    assert_eq!(texts(&mut Tail::open(&renamed, &[tail.place().clone()]).expect("it opens")), ["late"]);
    assert_eq!(texts(&mut tail), ["late"], "the open file is the renamed one");
    if cfg!(unix) {
        assert_eq!(texts(&mut log.tail(&[tail.place().clone()])), ["one"]);
    }
}

#[test]
fn a_line_that_is_too_long_is_passed_over_in_pieces() {
    let log = Log::with("one\n");
    log.write(vec![b'x'; LONGEST_RECORD + 10]);
    let mut tail = log.tail(&[]);
    let lines = tail.read(ALL).expect("it is read");
    assert_eq!(lines.len(), 2);
    assert_eq!((lines[1].number, &lines[1].text), (2, &None));
    assert!(texts(&mut tail).is_empty());
    log.write("still of it\nthree\n");
    let mut tail = log.tail(&[tail.place().clone()]);
    let lines = tail.read(ALL).expect("it is read");
    assert_eq!(lines, [Line { number: 3, text: Some(b"three".to_vec()) }]);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    assert_eq!(texts(&mut Log::with("\u{feff}one\n\u{feff}two\n").tail(&[])), ["one", "\u{feff}two"]);
}

/// Text that is no object, or an object whose text holds what might end one.
fn line() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z}\"]{0,40}", "\\{\"[a-z]{1,9}\": *\"[a-z}{]{0,20}\"\\}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Written in any pieces, read in any pieces by readers that forget all but their place: every line once.
    #[test]
    fn every_line_is_read_once_and_in_order(
        lines in prop::collection::vec(line(), 1..40),
        pieces in prop::collection::vec(1_usize..60, 1..40),
        bytes in 1_usize..200,
    ) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let log = Log::with("");
        let (mut rest, mut read) = (text.as_bytes(), Vec::new());
        let mut place = None;
        for piece in pieces.iter().cycle() {
            let (now, later) = rest.split_at((*piece).min(rest.len()));
            log.write(now);
            rest = later;
            loop {
                let mut tail = log.tail(place.as_slice());
                let found = tail.read(bytes).expect("it is read");
                place = Some(tail.place().clone());
                if found.is_empty() {
                    break;
                }
                read.extend(found.into_iter().map(|line| String::from_utf8(line.text.expect("short")).expect("UTF-8")));
            }
            if rest.is_empty() {
                break;
            }
        }
        // An object may be taken before its newline comes, which then ends an empty line: nothing that says something.
        let telling = |lines: Vec<String>| lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>();
        prop_assert_eq!(telling(read), telling(lines));
    }
}

/// A text as UTF-16, with its mark.
fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(bytes).collect()
}

#[test]
fn lines_end_where_a_unit_does_and_not_at_every_byte_that_looks_like_it() {
    // U+0A0A, U+0A00 and U+010A have a byte of a newline in either place.
    let written = "{\"a\":\"\u{0a0a}\u{0a00}\u{010a}\u{1f600}\"}\r\n{\"b\":1}\n";
    for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        let log = Log::with("");
        log.write(utf16(written, bytes));
        let mut tail = log.tail(&[]);
        let lines: Vec<String> = written.lines().map(|line| line.trim_end().to_owned()).collect();
        let read: Vec<String> = texts(&mut tail).iter().map(|line| line.trim_end().to_owned()).collect();
        assert_eq!(read, lines);
        assert_eq!(tail.place().offset, fs::metadata(&log.path).expect("it is there").len());
    }
}

#[test]
fn half_a_pair_in_a_whole_line_is_left_for_the_record_to_say() {
    let log = Log::with("");
    let units = "{\"a\":\"".encode_utf16().chain([0xd83d]).chain("\"}\n".encode_utf16());
    log.write(std::iter::once(0xfeff).chain(units).flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    assert_eq!(texts(&mut log.tail(&[])), ["{\"a\":\"\\ud83d\"}"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However a UTF-16 log is cut in the writing, within a unit, a pair or a newline: every line comes once and whole.
    #[test]
    fn a_utf_16_log_is_followed_whatever_it_is_cut_into(
        lines in prop::collection::vec("[a\u{0a0a}\u{0a00}\u{1f600}é]{0,6}", 1..6),
        cuts in prop::collection::vec(1..7_usize, 1..60),
        (is_marked, is_high_first, reopens) in any::<(bool, bool, bool)>(),
    ) {
        let lines: Vec<String> = lines.iter().map(|text| format!("{{\"a\":\"{text}\"}}")).collect();
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let bytes = utf16(&text, if is_high_first { u16::to_be_bytes } else { u16::to_le_bytes });
        let log = Log::with("");
        let (mut tail, mut read) = (log.tail(&[]), Vec::new());
        let (mut rest, mut cuts) = (&bytes[if is_marked { 0 } else { 2 }..], cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
            log.write(now);
            rest = later;
            read.extend(texts(&mut tail));
            if reopens {
                tail = log.tail(&[tail.place().clone()]);
            }
        }
        // A whole object may be taken before its newline, which then ends an empty line.
        read.retain(|line| !line.is_empty());
        prop_assert_eq!(read, lines);
    }
}
