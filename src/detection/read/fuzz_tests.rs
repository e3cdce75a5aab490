//! Sound logs, spoilt at random, through every reader: nothing may panic, hang, or lose its bounds.
//!
//! A seed is printed with whatever fails. Each reader takes a few hundred inputs; `WATCHFLOOR_LONG=1` gives it a
//! minute, and `WATCHFLOOR_FUZZ_SECONDS=N` that long.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::*;
use crate::detection::damage::{Broken, Place};
use crate::detection::normalise::normalise;
use crate::domain::event::Origin;

/// Inputs of a short run.
const SHORT: u64 = 400;

/// An input of some kilobytes that takes longer hangs whoever triages it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A generator of numbers (SplitMix64): the same seed gives the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, below: usize) -> usize {
        // The remainder is below a `usize`.
        (self.next() % below.max(1) as u64) as usize
    }
}

/// What readers have a reason to look for.
const TOKENS: [&[u8]; 28] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b"\\u",
    b"\\ud800",
    b"\\udc00",
    b"\n",
    b"\r\n",
    b",",
    b":",
    b"\0",
    b"1e400",
    b"-",
    b"9223372036854775808",
    b"null",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
    b"ElfFile\0",
    b"ElfChnk\0",
    b"\x2a\x2a\0\0",
    b"\"hits\":{\"hits\":[",
    b"\xff\xff\xff\xff",
    b"\"Event\":{\"System\":{\"EventID\":{",
];

/// Spoils an input in one to eight places.
fn spoil(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len());
        let length = random.below(64).min(bytes.len() - at);
        match random.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            2 => drop(bytes.drain(at..at + length)),
            3 => bytes.truncate(at),
            4 => {
                let again = bytes[at..at + length].to_vec();
                bytes.splice(at..at, again);
            }
            5 if at + 4 <= bytes.len() => {
                // Lengths and offsets around their limits.
                let near = [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x1_0000, 0x7fff_ffff, u32::MAX][random.below(9)];
                bytes[at..at + 4].copy_from_slice(&near.wrapping_add(random.below(3) as u32).to_le_bytes());
            }
            6 if at + length <= bytes.len() => {
                let from = random.below(bytes.len() - length + 1);
                bytes.copy_within(from..from + length, at);
            }
            _ => {
                let token = TOKENS[random.below(TOKENS.len())].iter().copied();
                bytes.splice(at..at, token);
            }
        }
    }
}

/// How long this thread works. Where the system tells it apart, a process that somebody paused for a while does not
/// look as if it hung.
struct Work(Instant, Option<Duration>);

impl Work {
    fn begins() -> Self {
        Self(Instant::now(), Self::so_far())
    }

    fn ended(&self) -> Duration {
        match (self.1, Self::so_far()) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => self.0.elapsed(),
        }
    }

    fn so_far() -> Option<Duration> {
        let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        Some(Duration::from_nanos(told.split(' ').next()?.parse().ok()?))
    }
}

/// Has a reader read spoilt inputs, as many as there is time for.
fn fuzz(reader: &str, seeds: &[Vec<u8>], read: impl Fn(Vec<u8>)) {
    let said = std::env::var("WATCHFLOOR_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let long = std::env::var_os("WATCHFLOOR_LONG").map(|_| 60);
    let time = said.or(long).map(Duration::from_secs);
    // A long run is another one every time; a short one is the same, so that it passes or fails for everybody.
    let first = if time.is_some() { std::process::id().into() } else { 0 };
    let (began, mut inputs, mut slowest) = (Instant::now(), 0_u64, Duration::ZERO);
    while time.map_or(inputs < SHORT, |time| began.elapsed() < time) {
        let seed = (first << 32) + inputs;
        let mut random = Random(seed);
        let mut bytes = seeds[random.below(seeds.len())].clone();
        if random.below(4) == 0 {
            let other = &seeds[random.below(seeds.len())];
            let at = random.below(bytes.len());
            bytes.splice(at.., other[random.below(other.len())..].iter().copied());
        }
        spoil(&mut bytes, &mut random);
        let took = Work::begins();
        let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(bytes)));
        assert!(read.is_ok(), "{reader}: seed {seed} fails");
        slowest = slowest.max(took.ended());
        assert!(slowest < PATIENCE, "{reader}: seed {seed} took {slowest:?}");
        inputs += 1;
    }
    println!("{reader}: {inputs} inputs in {:.0?}, the slowest {slowest:.0?}", began.elapsed());
}

fn lines() -> Vec<u8> {
    (1..=6).flat_map(|number| [&record(number)[..], b"\n"].concat()).collect()
}

fn record(number: u32) -> Vec<u8> {
    serde_json::json!({
        "@timestamp": "2026-03-02T08:00:01.000Z", "EventReceivedTime": "2026-03-02 09:00:01", "SourceModuleName": "eventlog",
        "Hostname": "WKS-01.corp.example", "Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1,
        "RecordNumber": number, "UtcTime": "2026-03-02 08:00:01.250", "Image": "C:\\Windows\\System32\\whoami.exe",
        "CommandLine": "whoami \"/all\" é😀", "Hashes": "SHA1=00,MD5=00,SHA256=00,IMPHASH=00", "Flag": [true, null, -1.5e3],
        "User": "CORP\\a.user", "Nested": {"a": {"b": "c"}},
    })
    .to_string()
    .into_bytes()
}

/// Reads an input to its end, if it is taken for a log, and checks what came of it.
fn read_all(bytes: Vec<u8>) {
    let length = bytes.len() as u64;
    let Ok(mut log) = EventLog::reading("input".into(), Box::new(io::Cursor::new(bytes)), Some(length)) else { return };
    let mut read = 0;
    while let Some(piece) = log.next_piece() {
        assert!(piece.size() <= LONGEST_RECORD + 2 * PIECE, "{} bytes in a piece", piece.size());
        assert!(piece.read() >= read && piece.read() <= length, "{} of {length} bytes after {read}", piece.read());
        read = piece.read();
        let batch = piece.events(log.source());
        assert!(!batch.damage.broken().contains_key(&Fault::ReaderBroke), "{}", batch.damage);
        for event in &batch.events {
            assert!(event.document.contains_key("winlog"));
        }
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

#[test]
fn no_spoilt_lines_break_their_reader() {
    let utf16 = String::from_utf8(lines()).expect("it is text").encode_utf16().flat_map(u16::to_le_bytes).collect();
    fuzz("lines", &[lines(), utf16], read_all);
}

#[test]
fn no_spoilt_list_breaks_its_reader() {
    let values = [record(1), record(2), record(3)].map(|record| String::from_utf8(record).expect("it is text"));
    let pretty: Value = serde_json::from_str(&values[0]).expect("it is JSON");
    let pretty = serde_json::to_string_pretty(&pretty).expect("it is written");
    let seeds = [
        format!("[{}]", values.join(",")),
        format!("\n[\n  {}\n]\n", values.join(",\n  ")),
        format!("{{\"took\":1,\"hits\":{{\"total\":3,\"hits\":[{}]}}}}", values.join(",")),
        format!("{pretty}\n{pretty}\n"),
    ];
    fuzz("lists", &seeds.map(String::into_bytes), read_all);
}

#[test]
fn no_spoilt_archive_breaks_its_reader() {
    let pack = |content: &[u8]| zstd::stream::encode_all(content, 3).expect("memory takes it");
    let seeds = [gzip(&lines()), pack(&lines()), [gzip(&lines()), gzip(&lines())].concat(), gzip(&pack(&lines()))];
    fuzz("archives", &seeds, read_all);
}

#[test]
fn no_spoilt_event_log_breaks_its_reader() {
    let mut seeds = vec![evtx::tests::log(|_| ())];
    // One chunk each, so that most of what is spoilt matters.
    for log in evtx::tests::recorded() {
        let (header, chunks) = log.split_at(4096);
        seeds.extend(chunks.chunks(1 << 16).take(3).map(|chunk| [header, chunk].concat()));
    }
    fuzz("event logs", &seeds, |bytes| {
        let mut chunks = evtx::Chunks::new(Box::new(io::Cursor::new(bytes)));
        while let Some(piece) = chunks.next() {
            piece.content.records(&mut |_, record| {
                let fault = record.as_ref().err().map(|Broken { fault, .. }| *fault);
                assert_ne!(fault, Some(Fault::ReaderBroke), "{record:?}");
                true
            });
        }
    });
}

#[test]
fn no_spoilt_record_breaks_its_normaliser() {
    let mut seeds: Vec<Vec<u8>> = (1..=2).map(record).collect();
    let mut chunks = evtx::Chunks::new(Box::new(io::Cursor::new(evtx::tests::log(|_| ()))));
    if let Some(piece) = chunks.next() {
        piece.content.records(&mut |_, record| {
            seeds.extend(record.ok().map(|record| Value::Object(record.fields).to_string().into_bytes()));
            seeds.len() < 4
        });
    }
    fuzz("records", &seeds, |bytes| {
        let Ok(record) = parse(&bytes) else { return };
        let origin = Origin { file: "input".into(), line: Place::Line(1).number() };
        if let Ok(event) = normalise(&record.fields, origin, ClockOffset::NONE) {
            assert!(event.document.contains_key("winlog"));
        }
    });
}
