//! The reference pairs: what every shape has to become, field by field.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Map, Value};

use super::*;
use crate::detection::shared_data;

/// Copies that are made beyond the reference pairs. Anything else that a pair does not have is a mistake.
const BEYOND: [&str; 44] = [
    "destination.",
    "event.action",
    "file.code_signature.signed",
    "file.code_signature.valid",
    "file.directory",
    "file.extension",
    "file.hash.",
    "file.name",
    "file.path",
    "file.pe.",
    "log.level",
    "dns.answers",
    "dns.resolved_ip",
    "network.direction",
    "network.transport",
    "network.type",
    "powershell.",
    "process.args",
    "process.command_line",
    "process.entity_id",
    "process.executable",
    "process.name",
    "process.parent.name",
    "process.pe.",
    "process.pid",
    "process.thread.id",
    "process.title",
    "record.",
    "registry.",
    "related.",
    "rule.name",
    "service.",
    "source.",
    "sysmon.file.",
    "user.domain",
    "user.name",
    "winlog.activity_id",
    "winlog.keywords",
    "winlog.opcode",
    "winlog.process.",
    "winlog.provider_guid",
    "winlog.task",
    "winlog.time_created",
    "winlog.user.",
];

/// Further header fields.
const VERSION: &str = "winlog.version";

fn leaves(value: &Value, path: &str, out: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                leaves(value, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, out);
            }
        }
        Value::Null => {}
        other => drop(out.insert(path.to_owned(), other.clone())),
    }
}

#[test]
fn every_reference_pair_holds() {
    let Some(path) = shared_data("mapping/golden.ndjson") else { return };
    let text = std::fs::read_to_string(path).expect("the golden file is readable");
    let mut checked: BTreeMap<String, u32> = BTreeMap::new();
    for line in text.lines() {
        let pair: Value = serde_json::from_str(line).expect("a pair");
        let shape = pair["shape"].as_str().expect("a shape").to_owned();
        let raw = pair["raw"].as_object().expect("a raw record");
        let clock = ClockOffset::new(SignedDuration::from_secs(pair["offset"].as_i64().expect("an offset")));
        let event = normalise(raw, tests::origin(), clock).expect("a golden record is sound");
        let what = format!("event {} of {} in {shape}", event.code, event.channel);
        let (mut expected, mut got) = (BTreeMap::new(), BTreeMap::new());
        leaves(&pair["normalized"], "", &mut expected);
        leaves(&Value::Object(event.document), "", &mut got);
        for (path, wanted) in &expected {
            let is = got.get(path);
            // The golden file cuts messages at 200 characters; the raw record holds the whole text.
            let holds = match (path.as_str(), wanted, is) {
                ("message", Value::String(cut), Some(Value::String(whole))) => whole.starts_with(cut.as_str()),
                _ => is == Some(wanted),
            };
            assert!(holds, "{what}: {path} is {is:?} instead of {wanted}");
        }
        for path in got.keys().filter(|path| !expected.contains_key(*path)) {
            // The pairs leave out the event type of pipe events, which is Sysmon's own and which rules may ask for.
            let of_pipe = matches!(event.code, 17 | 18) && path == "winlog.event_data.EventType";
            let known = of_pipe || path == VERSION || BEYOND.iter().any(|beyond| path.starts_with(beyond));
            assert!(known, "{what}: {path} is not in the pair");
        }
        *checked.entry(shape).or_default() += 1;
    }
    assert_eq!(checked.values().sum::<u32>(), 118, "{checked:?}");
    assert_eq!(checked.len(), 5, "{checked:?}");
}

/// The first records of a recording, out of whatever contains them.
fn records(name: &str, bytes: Vec<u8>) -> Vec<Map<String, Value>> {
    const SOME: usize = 200;
    let objects = |values: Vec<Value>| values.into_iter().map(|value| value.as_object().expect("a record").clone());
    if name.contains(".evtx") {
        let mut parser = evtx_crate(bytes);
        let read: Vec<Value> =
            parser.records_json_value().filter_map(|record| Some(record.ok()?.data)).take(SOME).collect();
        return objects(read).collect();
    }
    let text = String::from_utf8(bytes).expect("the recordings are UTF-8");
    let values: Vec<Value> = if name.contains(".ndjson") {
        text.lines().take(SOME).map(|line| serde_json::from_str(line).expect("a record")).collect()
    } else {
        let mut all: Vec<Value> = serde_json::from_str(&text).expect("an array");
        all.truncate(SOME);
        all
    };
    objects(values).collect()
}

fn evtx_crate(bytes: Vec<u8>) -> ::evtx::EvtxParser<std::io::Cursor<Vec<u8>>> {
    ::evtx::EvtxParser::from_buffer(bytes).expect("an event log file")
}

#[test]
fn records_of_every_recorded_shape_become_events() {
    use std::io::Read as _;

    let Some(folder) = shared_data("scenarios") else { return };
    let mut seen: BTreeMap<String, (Shape, usize)> = BTreeMap::new();
    let folders = std::fs::read_dir(folder).expect("the recordings are readable");
    for folder in folders.map(|folder| folder.expect("a folder").path()) {
        let label = std::fs::read_to_string(folder.join("label.json")).expect("a label");
        let label: Value = serde_json::from_str(&label).expect("a label");
        let shape = label["shape"].as_str().expect("a shape").to_owned();
        if seen.get(&shape).is_some_and(|(_, count)| *count > 300) {
            continue;
        }
        let name = label["file"]["name"].as_str().expect("a name");
        let file = std::fs::File::open(folder.join(name)).expect("the recording is there");
        let mut bytes = Vec::new();
        flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes).expect("the archive is whole");
        for record in records(name, bytes) {
            let is = Shape::of(&record).unwrap_or_else(|| panic!("{}: {}", label["id"], unknown(&record)));
            let event = normalise(&record, tests::origin(), ClockOffset::NONE).expect("a recorded event is sound");
            assert_eq!(event.host.is_unknown(), is == Shape::SysmonArray, "{}: {}", label["id"], event.host);
            let (first, count) = seen.entry(shape.clone()).or_insert((is, 0));
            assert_eq!(*first, is, "{}", label["id"]);
            *count += 1;
        }
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
}
