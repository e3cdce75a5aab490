//! Event logs written here, whole and damaged, and recorded ones where they are at hand.

use std::io::{Cursor, Read};

use flate2::read::MultiGzDecoder;
use serde_json::Map;

use super::*;
use crate::detection::shared_data;

/// A chunk that is being written.
struct Writing(Vec<u8>);

impl Writing {
    fn utf16(&mut self, text: &str) {
        self.0.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    }

    fn length(&mut self, text: &str) {
        let units = u16::try_from(text.encode_utf16().count()).expect("it is short");
        self.0.extend(units.to_le_bytes());
    }

    /// A name stands where it is first used: after its own offset, hash and length.
    fn name(&mut self, name: &str) {
        let here = u32::try_from(self.0.len() + 4).expect("a chunk is short");
        self.0.extend(here.to_le_bytes());
        self.0.extend([0; 6]);
        self.length(name);
        self.utf16(name);
        self.0.extend([0; 2]);
    }

    fn text(&mut self, text: &str) {
        self.0.extend([0x05, 0x01]);
        self.length(text);
        self.utf16(text);
    }

    fn element(&mut self, name: &str, attribute: Option<(&str, &str)>, inside: impl FnOnce(&mut Self)) {
        self.0.push(if attribute.is_some() { 0x41 } else { 0x01 });
        // The element's size, which readers do not rely on.
        self.0.extend([0; 4]);
        self.name(name);
        if let Some((name, value)) = attribute {
            self.0.extend([0; 4]);
            self.0.push(0x06);
            self.name(name);
            self.text(value);
        }
        self.0.push(0x02);
        inside(self);
        self.0.push(0x04);
    }

    fn record(&mut self, number: u64, computer: &str) {
        let start = self.0.len();
        self.0.extend(b"\x2a\x2a\0\0\0\0\0\0");
        self.0.extend(number.to_le_bytes());
        // The beginning of 2026, in tenths of microseconds since 1601.
        self.0.extend(134_116_992_000_000_000_u64.to_le_bytes());
        self.0.extend([0x0f, 1, 1, 0]);
        self.element("Event", None, |event| {
            event.element("System", None, |system| {
                system.element("Provider", Some(("Name", "Service Control Manager")), |_| ());
                system.element("EventID", None, |id| id.text("7036"));
                system.element("TimeCreated", Some(("SystemTime", "2026-03-02T08:00:01.5Z")), |_| ());
                system.element("EventRecordID", None, |id| id.text(&number.to_string()));
                system.element("Channel", None, |channel| channel.text("System"));
                system.element("Computer", None, |name| name.text(computer));
            });
            event.element("EventData", None, |data| {
                data.element("Data", Some(("Name", "param1")), |value| value.text("Print Spooler"));
            });
        });
        self.0.push(0);
        let size = u32::try_from(self.0.len() - start + 4).expect("a chunk is short").to_le_bytes();
        self.0.extend(size);
        self.0[start + 4..start + 8].copy_from_slice(&size);
    }
}

/// A chunk with the records of these numbers.
fn chunk(records: std::ops::RangeInclusive<u64>, computer: &str) -> Vec<u8> {
    let mut chunk = Writing(vec![0; 512]);
    let mut last = 0;
    for number in records.clone() {
        last = chunk.0.len();
        chunk.record(number, computer);
    }
    let mut bytes = chunk.0;
    let end = bytes.len();
    let events = crc32fast::hash(&bytes[512..]);
    bytes.resize(CHUNK, 0);
    bytes[..8].copy_from_slice(b"ElfChnk\0");
    for (place, number) in [(8, records.start()), (16, records.end()), (24, records.start()), (32, records.end())] {
        bytes[place..place + 8].copy_from_slice(&number.to_le_bytes());
    }
    let short = |number: usize| u32::try_from(number).expect("a chunk is short").to_le_bytes();
    for (place, number) in [(40, 128), (44, last), (48, end)] {
        bytes[place..place + 4].copy_from_slice(&short(number));
    }
    bytes[52..56].copy_from_slice(&events.to_le_bytes());
    let header = crc32fast::hash(&[&bytes[..120], &bytes[128..512]].concat());
    bytes[124..128].copy_from_slice(&header.to_le_bytes());
    bytes
}

/// An event log of three chunks with ten records each, the second of which can be spoilt.
pub(in crate::detection::read) fn log(spoil: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut header = b"ElfFile\0".to_vec();
    header.resize(HEADER, 0);
    let mut second = chunk(11..=20, "WKS-02.corp.example");
    spoil(&mut second);
    [header, chunk(1..=10, "WKS-01.corp.example"), second, vec![0; CHUNK], chunk(21..=30, "WKS-03.corp.example")]
        .concat()
}

type Seen = (Vec<(u64, Map<String, Value>)>, Damage);

fn read_all(bytes: Vec<u8>) -> Seen {
    let mut chunks = Chunks::new(Box::new(Cursor::new(bytes)));
    let (mut records, mut damage) = (Vec::new(), Damage::default());
    while let Some(piece) = chunks.next() {
        piece.content.records(&mut |place, record| {
            match record {
                Ok(record) => {
                    record.flaws.into_iter().for_each(|(flaw, reason)| damage.note(place, flaw, reason));
                    records.push((place.number(), record.fields));
                }
                Err(broken) => damage.count(place, broken),
            }
            true
        });
        damage.add(piece.damage);
    }
    (records, damage)
}

fn numbers(seen: &Seen) -> Vec<u64> {
    seen.0.iter().map(|(number, _)| *number).collect()
}

#[test]
fn every_record_of_every_chunk_is_read() {
    let seen = read_all(log(|_| ()));
    assert!(seen.1.is_none(), "{}", seen.1);
    assert_eq!(numbers(&seen), (1..=30).collect::<Vec<u64>>());
    let event = &seen.0[10].1["Event"];
    assert_eq!(event["System"]["Computer"], "WKS-02.corp.example");
    assert_eq!(event["System"]["TimeCreated"]["#attributes"]["SystemTime"], "2026-03-02T08:00:01.5Z");
    assert_eq!(event["System"]["EventRecordID"], "11");
    assert_eq!(event["EventData"]["param1"], "Print Spooler");
}

#[test]
fn a_damaged_chunk_costs_itself() {
    let seen = read_all(log(|chunk| chunk[..8].copy_from_slice(b"garbage!")));
    assert_eq!(numbers(&seen), (1..=10).chain(21..=30).collect::<Vec<u64>>());
    let tally = &seen.1.broken()[&Fault::DamagedChunk];
    assert_eq!((tally.count, tally.first), (1, Place::Chunk(2)));
    assert!(tally.first_reason.contains("magic"), "{}", tally.first_reason);
}

#[test]
fn a_damaged_record_costs_itself_and_its_chunk_is_named() {
    let seen = read_all(log(|chunk| {
        let fourth =
            chunk.windows(4).enumerate().filter(|(_, at)| at == b"\x2a\x2a\0\0").nth(3).expect("it is there").0;
        // No token begins with this.
        chunk[fourth + 24] = 0xee;
    }));
    let numbers = numbers(&seen);
    assert!(!numbers.contains(&14) && numbers.len() == 29, "{numbers:?}");
    let (_, damage) = &seen;
    assert_eq!(damage.broken()[&Fault::DamagedRecord].count, 1, "{damage}");
    let tally = &damage.flawed()[&Flaw::Checksum];
    assert_eq!((tally.count, tally.first, tally.first_reason.as_str()), (9, Place::Record(11), "chunk 2"));
}

#[test]
fn a_log_that_ends_within_a_chunk_is_read_as_far_as_it_goes() {
    let mut bytes = log(|_| ());
    bytes.truncate(bytes.len() - CHUNK / 2);
    let seen = read_all(bytes);
    assert_eq!(numbers(&seen), (1..=20).collect::<Vec<u64>>());
    assert!(seen.1.truncation().is_some_and(|cut| cut.contains("cut short after chunk 3")), "{}", seen.1);
    let seen = read_all(log(|_| ())[..100].to_vec());
    assert!(seen.0.is_empty());
    assert!(seen.1.truncation().is_some_and(|cut| cut.contains("before the first record")), "{}", seen.1);
}

/// Recorded event logs, where they are at hand.
pub(in crate::detection::read) fn recorded() -> Vec<Vec<u8>> {
    let Some(folder) = shared_data("scenarios") else { return Vec::new() };
    let entries = std::fs::read_dir(folder).expect("it is a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path().join("events.evtx.gz"));
    let unpacked = |path: std::path::PathBuf| {
        let mut bytes = Vec::new();
        let mut packed = MultiGzDecoder::new(std::fs::File::open(&path).expect("it opens"));
        packed.read_to_end(&mut bytes).expect("it is unpacked");
        bytes
    };
    paths.filter(|path| path.exists()).map(unpacked).collect()
}

#[test]
fn recorded_event_logs_are_read_whole() {
    let logs = recorded();
    if logs.is_empty() {
        return;
    }
    assert!(logs.len() > 5, "only {} event logs", logs.len());
    for bytes in logs {
        let mut parser = ::evtx::EvtxParser::from_buffer(bytes.clone()).expect("it is an event log");
        let expected = parser.records_json_value().filter(Result::is_ok).count();
        let seen = read_all(bytes);
        assert_eq!(seen.0.len(), expected, "{}", seen.1);
        assert!(expected > 0 && seen.0.iter().all(|(_, record)| record.contains_key("Event")));
    }
}
