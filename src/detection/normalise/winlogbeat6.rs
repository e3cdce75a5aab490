//! Windows events as Winlogbeat wrote them before version 7: `event_data` and the header beside it.

use serde_json::{Map, Value, json};

use super::parts::{Parts, set};
use super::text;
use crate::detection::damage::Broken;

/// The header's names have no dot and no capital.
pub(super) fn recognises(record: &Map<String, Value>) -> bool {
    record.contains_key("event_id") && (record.contains_key("log_name") || record.contains_key("event_data"))
}

/// `beat` and `host` are the machine that collected.
pub(super) fn parts(record: &Map<String, Value>) -> Result<Parts<'_>, Broken> {
    let mut parts = Parts {
        channel: text::at(record, "log_name").unwrap_or_default(),
        code: text::code("event_id", record.get("event_id"))?,
        host: text::at(record, "computer_name").unwrap_or_default(),
        recorded: record.get("@timestamp").map(|value| ("@timestamp", value)),
        record_id: record.get("record_number").and_then(text::of),
        provider: text::at(record, "source_name"),
        message: text::at(record, "message"),
        ..Parts::default()
    };
    for (name, value) in record {
        match (name.as_str(), value) {
            (_, Value::Null) | ("@timestamp", _) => {}
            ("log_name" | "computer_name" | "source_name" | "message", Value::String(_)) => {}
            ("event_id" | "record_number", Value::String(_) | Value::Number(_)) => {}
            ("event_data" | "user_data", Value::Object(data)) => parts.put_data(name, data),
            ("process_id", Value::Number(_)) => set(&mut parts.winlog, "process.pid", value.clone()),
            ("thread_id", Value::Number(_)) => set(&mut parts.winlog, "process.thread.id", value.clone()),
            ("level", Value::String(_)) => drop(parts.document.insert("log".into(), json!({ "level": value }))),
            ("user", Value::Object(_)) => drop(parts.winlog.insert(name.clone(), value.clone())),
            (
                "task" | "opcode" | "keywords" | "version" | "provider_guid" | "activity_id" | "related_activity_id",
                value,
            ) => drop(parts.winlog.insert(name.clone(), value.clone())),
            (_, value) => parts.keep(name.clone(), value.clone()),
        }
    }
    Ok(parts)
}
