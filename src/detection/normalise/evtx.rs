//! Records of Windows' own log files, as the `evtx` crate turns their XML into JSON: attributes under `#attributes`,
//! a text beside attributes under `#text`.

use serde_json::{Map, Value};

use super::parts::{Parts, set};
use super::text;
use crate::detection::damage::{Broken, Fault};

pub(super) fn recognises(record: &Map<String, Value>) -> bool {
    record.get("Event").is_some_and(|event| event.get("System").is_some_and(Value::is_object))
}

pub(super) fn parts(record: &Map<String, Value>) -> Result<Parts<'_>, Broken> {
    let unknown = || Broken::new(Fault::UnknownShape, "`Event` or its `System` is no object");
    let event = record.get("Event").and_then(Value::as_object).ok_or_else(unknown)?;
    let system = event.get("System").and_then(Value::as_object).ok_or_else(unknown)?;
    let provider = system.get("Provider").map(attributes);
    let recorded = system.get("TimeCreated").map(attributes).and_then(|of_time| of_time?.get("SystemTime"));
    let code = system.get("EventID");
    let mut parts = Parts {
        channel: text::at(system, "Channel").unwrap_or_default(),
        code: text::code("EventID", code.map(|code| code.get("#text").unwrap_or(code)))?,
        host: text::at(system, "Computer").unwrap_or_default(),
        recorded: recorded.map(|value| ("SystemTime", value)),
        record_id: system.get("EventRecordID").and_then(text::of),
        provider: provider.flatten().and_then(|of_provider| text::at(of_provider, "Name")),
        ..Parts::default()
    };
    header(system, &mut parts);
    for (name, value) in event {
        match name.as_str() {
            "System" => {}
            "EventData" => event_data(value, &mut parts),
            "UserData" => user_data(value, &mut parts),
            "RenderingInfo" => {
                parts.message = value.as_object().and_then(|info| text::at(info, "Message"));
                parts.keep(name.clone(), value.clone());
            }
            _ => parts.keep(name.clone(), value.clone()),
        }
    }
    for (name, value) in record.iter().filter(|(name, _)| *name != "Event") {
        parts.keep(name.clone(), value.clone());
    }
    Ok(parts)
}

fn attributes(value: &Value) -> Option<&Map<String, Value>> {
    value.get("#attributes").and_then(Value::as_object)
}

/// The header's further fields, by Winlogbeat's names; those it has no name for are kept by their own.
fn header(system: &Map<String, Value>, parts: &mut Parts<'_>) {
    for (name, value) in system {
        match (name.as_str(), value) {
            (_, Value::Null) | ("Channel" | "Computer", Value::String(_)) => {}
            ("EventRecordID" | "EventID", Value::Number(_) | Value::String(_)) => {}
            ("Version", value) => set(&mut parts.winlog, "version", value.clone()),
            ("Keywords", value) => set(&mut parts.winlog, "keywords", value.clone()),
            ("Provider" | "TimeCreated" | "Execution" | "Security" | "Correlation" | "EventID", Value::Object(_)) => {
                for (attribute, value) in attributes(value).into_iter().flatten() {
                    match (name.as_str(), attribute.as_str()) {
                        ("Provider", "Name") | ("TimeCreated", "SystemTime") if value.is_string() => {}
                        ("Provider", "Guid") => set(&mut parts.winlog, "provider_guid", value.clone()),
                        ("Security", "UserID") => set(&mut parts.winlog, "user.identifier", value.clone()),
                        ("Correlation", "ActivityID") => set(&mut parts.winlog, "activity_id", value.clone()),
                        ("Execution", "ProcessID") => set(&mut parts.winlog, "process.pid", as_number(value)),
                        ("Execution", "ThreadID") => set(&mut parts.winlog, "process.thread.id", as_number(value)),
                        _ => parts.keep(attribute.clone(), value.clone()),
                    }
                }
                // Elements the crate gives besides attributes do not occur; a record made by hand may have them.
                for (inner, value) in value.as_object().into_iter().flatten() {
                    if inner != "#attributes" && !(name == "EventID" && inner == "#text") {
                        parts.keep(format!("{name}.{inner}"), value.clone());
                    }
                }
            }
            (_, value) => parts.keep(name.clone(), value.clone()),
        }
    }
}

fn as_number(value: &Value) -> Value {
    text::number(value).map_or_else(|| value.clone(), Value::from)
}

/// Named data as it is; `Data` without names is numbered.
fn event_data(value: &Value, parts: &mut Parts<'_>) {
    let Value::Object(fields) = value else { return text::put_unnamed(&mut parts.data, std::iter::once(value)) };
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("#attributes", value) => parts.keep("EventData", value.clone()),
            ("Data", value) => unnamed(value, parts),
            (name, value) => element(name, value, parts),
        }
    }
}

/// `Data`: a text, several, or either beside attributes. Elements that carry their name go by it.
fn unnamed(value: &Value, parts: &mut Parts<'_>) {
    let inner = value.get("#text").unwrap_or(value);
    let items = inner.as_array().map_or(std::slice::from_ref(inner), Vec::as_slice);
    let name = |item: &Value| Some(attributes(item)?.get("Name")?.as_str()?.to_owned());
    for item in items {
        if let (Some(name), Some(text)) = (name(item), item.get("#text")) {
            text::put(&mut parts.data, &name, text);
        }
    }
    text::put_unnamed(&mut parts.data, items.iter().filter(|item| name(item).is_none()));
    // A text beside anything else: what else there is, is kept.
    let beside = value.as_object().filter(|_| value.get("#text").is_some());
    for (within, value) in beside.into_iter().flatten().filter(|(within, _)| *within != "#text") {
        parts.keep(format!("Data.{within}"), value.clone());
    }
}

/// What `UserData` wraps into an element of the provider's own is data like any other.
fn user_data(value: &Value, parts: &mut Parts<'_>) {
    let Value::Object(wrappers) = value else { return text::put_unnamed(&mut parts.data, std::iter::once(value)) };
    for (wrapper, value) in wrappers {
        match value {
            Value::Object(fields) => {
                let own = fields.get("#attributes").cloned().unwrap_or_default();
                parts.keep(format!("UserData.{wrapper}"), own);
                for (name, value) in fields.iter().filter(|(name, _)| *name != "#attributes") {
                    element(name, value, parts);
                }
            }
            value => text::put(&mut parts.data, wrapper, value),
        }
    }
}

/// An element with attributes or elements in it: its text by its name, all else by a dotted one.
fn element(name: &str, value: &Value, parts: &mut Parts<'_>) {
    let Value::Object(inner) = value else { return text::put(&mut parts.data, name, value) };
    for (within, value) in inner {
        match (within.as_str(), value) {
            ("#text", value) => text::put(&mut parts.data, name, value),
            ("#attributes", Value::Object(of_element)) => {
                for (attribute, value) in of_element {
                    text::put(&mut parts.data, &format!("{name}.{attribute}"), value);
                }
            }
            (within, value) => element(&format!("{name}.{within}"), value, parts),
        }
    }
}
