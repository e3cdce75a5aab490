//! Windows events out of Microsoft Sentinel's `WindowsEvent` table: the event's data is a JSON text within the record.

use serde_json::{Map, Value, json};

use super::parts::{Parts, set};
use super::text;
use crate::detection::damage::Broken;

/// The table's own names, and event data in one field. What names its machine as flat exports do is one of those, whose
/// data may be named `EventData`.
pub(super) fn recognises(record: &Map<String, Value>) -> bool {
    record.contains_key("EventData")
        && !record.contains_key("Hostname")
        && (record.contains_key("TenantId") || record.contains_key("TimeGenerated"))
}

/// `TimeGenerated` is close to when the event was logged, in UTC.
pub(super) fn parts(record: &Map<String, Value>) -> Result<Parts<'_>, Broken> {
    let recorded = ["TimeCreated", "TimeGenerated"].into_iter().find(|name| record.contains_key(*name));
    let mut parts = Parts {
        channel: text::at(record, "Channel").unwrap_or_default(),
        code: text::code("EventID", record.get("EventID"))?,
        host: text::at(record, "Computer").unwrap_or_default(),
        recorded: recorded.and_then(|name| Some((name, record.get(name)?))),
        record_id: record.get("EventRecordId").and_then(text::of),
        provider: text::at(record, "Provider"),
        ..Parts::default()
    };
    for (name, value) in record {
        match (name.as_str(), value) {
            (_, Value::Null) => {}
            ("Channel" | "Computer" | "Provider", Value::String(_)) => {}
            ("EventID" | "EventRecordId", Value::String(_) | Value::Number(_)) => {}
            ("EventData", value) => event_data(&mut parts.data, value),
            ("SystemProcessId", Value::Number(_)) => set(&mut parts.winlog, "process.pid", value.clone()),
            ("SystemThreadId", Value::Number(_)) => set(&mut parts.winlog, "process.thread.id", value.clone()),
            ("SystemUserId", Value::String(_)) => set(&mut parts.winlog, "user.identifier", value.clone()),
            ("EventLevelName", Value::String(_)) => {
                parts.document.insert("log".into(), json!({ "level": value }));
            }
            (name, _) if Some(name) == recorded => {}
            (_, value) => parts.keep(name.clone(), value.clone()),
        }
    }
    Ok(parts)
}

/// An object, or its JSON text; any other text is kept as it is.
fn event_data(data: &mut Map<String, Value>, value: &Value) {
    let parsed: Option<Value> = value.as_str().and_then(|text| serde_json::from_str(text).ok());
    match parsed.as_ref().unwrap_or(value) {
        Value::Object(fields) => {
            for (name, value) in fields {
                text::put(data, name, value);
            }
        }
        _ => text::put(data, "EventData", value),
    }
}
