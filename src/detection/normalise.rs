//! Raw records of several log shapes become events of one: the Winlogbeat collection shape, kept whole, with
//! ECS copies beside it. A shape is recognised by what a record contains, never by a file's name.

mod ecs;
mod nxlog;

use serde_json::{Map, Value};

pub(super) use self::ecs::is_null_guid;
use super::clock::ClockOffset;
use super::damage::{Broken, Fault};
use crate::domain::event::{Event, Origin};
use crate::domain::ids::EventId;
use crate::knowledge::canonical;

/// A shape of raw records that can be normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Windows events as NXLog forwards them: one flat object, the event's own fields beside the envelope.
    Nxlog,
}

impl Shape {
    /// The shape of a record, if it is a known one.
    #[must_use]
    pub fn of(record: &Map<String, Value>) -> Option<Self> {
        nxlog::recognises(record).then_some(Self::Nxlog)
    }
}

/// Turns a raw record into an event. `clock` is added to the record's time where no sensor wrote its own UTC.
///
/// # Errors
/// When the shape is unknown, or the record has no usable time, event id or channel.
pub fn normalise(record: &Map<String, Value>, origin: Origin, clock: ClockOffset) -> Result<Event, Broken> {
    match Shape::of(record) {
        Some(Shape::Nxlog) => nxlog::normalise(record, origin, clock),
        None => Err(Broken::new(Fault::UnknownShape, unknown(record))),
    }
}

/// Says of what an unrecognised record consists, so that its shape can be guessed from the report.
fn unknown(record: &Map<String, Value>) -> String {
    let mut keys: Vec<&str> = record.keys().map(String::as_str).collect();
    keys.sort_unstable();
    let shown: String = keys.join(", ").chars().take(80).collect();
    format!("an object with the keys {shown}, which is no known log shape")
}

/// The id of a record: the first 32 hex digits of the SHA-256 over its canonical text, so that a record that is
/// read twice is one event.
fn event_id(record: &Map<String, Value>) -> EventId {
    EventId::new(&canonical::sha256(canonical::object(record).as_bytes())[..32])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::detection::shared_data;
    use crate::domain::event::SYSMON;

    pub(super) fn origin() -> Origin {
        Origin { file: "test".into(), line: 1 }
    }

    fn record(change: impl FnOnce(&mut Map<String, Value>)) -> Map<String, Value> {
        let value = json!({
            "@timestamp": "2026-03-02T08:00:03.500Z", "EventReceivedTime": "2026-03-02 09:00:03",
            "SourceModuleName": "eventlog", "Hostname": "WKS-01.corp.example", "Channel": "security",
            "EventID": 4672, "SourceName": "Microsoft-Windows-Security-Auditing", "RecordNumber": 7,
            "SubjectUserName": "a.user", "host": "collector.corp.example", "Flag": true,
        });
        let mut record = value.as_object().expect("an object").clone();
        change(&mut record);
        record
    }

    fn fault(change: impl FnOnce(&mut Map<String, Value>)) -> Fault {
        normalise(&record(change), origin(), ClockOffset::NONE).expect_err("broken").fault
    }

    #[test]
    fn the_machine_is_the_sender_and_not_the_collector() {
        let event = normalise(&record(|_| ()), origin(), ClockOffset::NONE).expect("an event");
        assert_eq!(event.host.as_str(), "WKS-01.corp.example");
        assert_eq!(event.channel, "Security");
        assert_eq!((event.code, event.record_id.as_deref()), (4672, Some("7")));
        assert_eq!(event.time.to_string(), "2026-03-02T08:00:03.5Z");
        assert_eq!(event.field("@timestamp").as_deref(), Some("2026-03-02T08:00:03.500Z"));
        assert_eq!(event.data("Flag"), Some("true"));
        assert_eq!(event.field("user.name").as_deref(), Some("a.user"));
    }

    #[test]
    fn sysmons_own_time_wins() {
        let event = normalise(
            &record(|raw| {
                raw.insert("Channel".into(), SYSMON.into());
                raw.insert("UtcTime".into(), "2026-03-02 08:00:01.250".into());
            }),
            origin(),
            ClockOffset::NONE,
        );
        assert_eq!(event.expect("an event").time.to_string(), "2026-03-02T08:00:01.25Z");
    }

    #[test]
    fn a_record_without_time_id_or_channel_is_broken() {
        assert_eq!(fault(|raw| drop(raw.remove("@timestamp"))), Fault::NoTime);
        assert_eq!(fault(|raw| drop(raw.insert("@timestamp".into(), "yesterday".into()))), Fault::NoTime);
        assert_eq!(fault(|raw| drop(raw.remove("EventID"))), Fault::NoCode);
        assert_eq!(fault(|raw| drop(raw.insert("EventID".into(), (-3).into()))), Fault::NoCode);
        assert_eq!(fault(|raw| drop(raw.remove("Channel"))), Fault::NoChannel);
        assert_eq!(fault(|raw| drop(raw.remove("SourceModuleName"))), Fault::UnknownShape);
    }

    #[test]
    fn identical_records_are_one_event_wherever_they_were_read() {
        let one = normalise(&record(|_| ()), origin(), ClockOffset::NONE).expect("an event");
        let other =
            normalise(&record(|_| ()), Origin { file: "other".into(), line: 9 }, ClockOffset::NONE).expect("an event");
        assert_eq!(one.id, other.id);
        let changed =
            normalise(&record(|raw| drop(raw.insert("RecordNumber".into(), 8.into()))), origin(), ClockOffset::NONE);
        assert_ne!(changed.expect("an event").id, one.id);
    }

    #[test]
    fn golden_pairs_hold() {
        let Some(path) = shared_data("mapping/golden.ndjson") else { return };
        let text = std::fs::read_to_string(path).expect("the golden file is readable");
        let mut checked = 0;
        for line in text.lines() {
            let pair: Value = serde_json::from_str(line).expect("a pair");
            if pair["shape"] != "otrf-flat-nxlog" {
                continue;
            }
            let raw = pair["raw"].as_object().expect("a raw record");
            let mut expected = pair["normalized"].clone();
            let event = normalise(raw, origin(), ClockOffset::NONE).expect("a golden record is sound");
            let mut got = Value::Object(event.document);
            // The record's header is kept besides; the golden pairs leave it out.
            for added in ["process", "user"] {
                got["winlog"].as_object_mut().expect("an object").remove(added);
            }
            // The golden file cuts messages at 200 characters; the raw record holds the whole text.
            let message = |value: &mut Value| value.as_object_mut().and_then(|object| object.remove("message"));
            match (message(&mut expected), message(&mut got)) {
                (Some(Value::String(cut)), Some(Value::String(whole))) => assert!(whole.starts_with(&cut), "{cut}"),
                (cut, whole) => assert_eq!(cut, whole),
            }
            assert_eq!(got, expected, "event {} of {}", event.code, event.channel);
            checked += 1;
        }
        assert!(checked >= 30, "only {checked} pairs of the shape");
    }
}
