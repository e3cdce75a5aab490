//! What the flat shapes share: one object per event, with the event's own data beside the header's fields.

use serde_json::{Map, Value};

use super::parts::{Parts, set};
use super::text;
use crate::detection::damage::Broken;

/// What a field of a flat record is.
enum Field {
    /// The event's own data.
    Data,
    /// A text that is read by name below.
    NamedText,
    /// A number, perhaps as text, that is read by name below.
    NamedNumber,
    /// A number of the header, and its place in `winlog`.
    Number(&'static str),
    /// A text of the header, and its place in `winlog`.
    Text(&'static str),
    /// `EventType`, which is the forwarder's (`INFO`) or the event's own (`SetValue`).
    EventType,
    /// What the forwarder and the header write besides.
    Rest,
}

/// Sorts fields by name. `AccountName`, `Domain` and `UserID` are the account that logged the event, not the one that
/// acted, and go where Winlogbeat keeps it; PowerShell logs about itself.
fn field(name: &str) -> Field {
    match name {
        "Channel" | "Hostname" | "SourceName" | "Message" => Field::NamedText,
        "EventID" | "RecordNumber" => Field::NamedNumber,
        "ExecutionProcessID" => Field::Number("process.pid"),
        "ThreadID" => Field::Number("process.thread.id"),
        "UserID" => Field::Text("user.identifier"),
        "AccountName" => Field::Text("user.name"),
        "Domain" => Field::Text("user.domain"),
        "AccountType" => Field::Text("user.type"),
        "ProviderGuid" => Field::Text("provider_guid"),
        "ActivityID" => Field::Text("activity_id"),
        "Category" => Field::Text("task"),
        "Opcode" => Field::Text("opcode"),
        "EventType" => Field::EventType,
        // `EventTypeOrignal` is misspelt by NXLog: its own event type, where Sysmon's took the name.
        "@timestamp"
        | "@version"
        | "tags"
        | "host"
        | "port"
        | "Keywords"
        | "Severity"
        | "SeverityValue"
        | "EventTime"
        | "EventReceivedTime"
        | "TimeCreated"
        | "SourceModuleName"
        | "SourceModuleType"
        | "OpcodeValue"
        | "Task"
        | "Version"
        | "Level"
        | "EventTypeOrignal"
        | "ERROR_EVT_UNRESOLVED" => Field::Rest,
        _ => Field::Data,
    }
}

/// Takes a flat record apart. `recorded` names its own time.
///
/// # Errors
/// When there is no usable event id.
pub(super) fn parts<'a>(record: &'a Map<String, Value>, recorded: &'static str) -> Result<Parts<'a>, Broken> {
    let mut parts = Parts {
        channel: text::at(record, "Channel").unwrap_or_default(),
        code: text::code("EventID", record.get("EventID"))?,
        host: text::at(record, "Hostname").unwrap_or_default(),
        recorded: record.get(recorded).map(|value| (recorded, value)),
        record_id: record.get("RecordNumber").and_then(text::of),
        provider: text::at(record, "SourceName"),
        message: text::at(record, "Message"),
        ..Parts::default()
    };
    for (name, value) in record {
        match (field(name), value) {
            (Field::Data, value) => text::put(&mut parts.data, name, value),
            (_, Value::Null) | (Field::NamedText, Value::String(_)) => {}
            (Field::NamedNumber, Value::String(_) | Value::Number(_)) => {}
            (Field::Number(path), value) if value.is_number() => set(&mut parts.winlog, path, value.clone()),
            (Field::Text(path), value @ Value::String(_)) => set(&mut parts.winlog, path, value.clone()),
            (Field::EventType, value) if !is_forwarders_event_type(record, value) => {
                text::put(&mut parts.data, name, value);
            }
            (Field::Rest, _) if name == recorded => {}
            (_, value) => parts.keep(name.clone(), value.clone()),
        }
    }
    Ok(parts)
}

/// NXLog writes its own event type, unless the event has one.
fn is_forwarders_event_type(record: &Map<String, Value>, value: &Value) -> bool {
    const OF_NXLOG: [&str; 8] =
        ["INFO", "WARNING", "ERROR", "CRITICAL", "DEBUG", "VERBOSE", "AUDIT_SUCCESS", "AUDIT_FAILURE"];
    let is_of_nxlog = value.as_str().is_none_or(|text| text.is_empty() || OF_NXLOG.contains(&text));
    is_of_nxlog && record.contains_key("EventReceivedTime") && !record.contains_key("EventTypeOrignal")
}
