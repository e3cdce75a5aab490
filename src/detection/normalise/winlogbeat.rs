//! Windows events as Winlogbeat 7 and 8 write them: the target shape or nearly so, straight from the agent, through
//! Logstash, or through an ingest pipeline that moved event data into ECS fields.

use serde_json::{Map, Value};

use super::parts::Parts;
use super::{channel, ingested, text};
use crate::detection::damage::Broken;

/// Branches of the document that are written to, and thus have to be objects.
const BRANCHES: [&str; 19] = [
    "event",
    "host",
    "process",
    "file",
    "registry",
    "dns",
    "source",
    "destination",
    "network",
    "related",
    "rule",
    "user",
    "group",
    "service",
    "error",
    "powershell",
    "sysmon",
    "log",
    "winlog",
];

/// `winlog`, in whatever form; or ECS alone, of a provider of Windows.
pub(super) fn recognises(record: &Map<String, Value>) -> bool {
    record.get("winlog").is_some_and(Value::is_object) || provider_of_ecs(record).is_some()
}

/// Fields of some pipelines have dotted names instead of branches.
pub(super) fn has_dotted_names(record: &Map<String, Value>) -> bool {
    ["winlog.channel", "winlog.event_id", "event.code", "event.provider"].iter().any(|name| record.contains_key(*name))
}

/// The record with branches instead of dotted names. A name that cannot become one stays dotted.
pub(super) fn with_branches(record: &Map<String, Value>) -> Map<String, Value> {
    let (dotted, mut whole): (Map<_, _>, Map<_, _>) =
        record.iter().map(|(name, value)| (name.clone(), value.clone())).partition(|(name, _)| name.contains('.'));
    for (name, value) in dotted {
        if let Some((name, value)) = graft(&mut whole, &name, value).map(|value| (name, value)) {
            whole.insert(name, value);
        }
    }
    whole
}

/// Puts a value at a dotted path; gives it back if something else is in the way.
fn graft(object: &mut Map<String, Value>, path: &str, value: Value) -> Option<Value> {
    match path.split_once('.') {
        // Event data is named by Windows, dots and all.
        Some((name, rest)) if !name.is_empty() => {
            let inner = object.entry(name).or_insert_with(|| Value::Object(Map::new())).as_object_mut();
            match inner {
                Some(inner) if name == "event_data" => graft_leaf(inner, rest, value),
                Some(inner) => graft(inner, rest, value),
                None => Some(value),
            }
        }
        _ => graft_leaf(object, path, value),
    }
}

fn graft_leaf(object: &mut Map<String, Value>, name: &str, value: Value) -> Option<Value> {
    if object.contains_key(name) {
        return Some(value);
    }
    object.insert(name.to_owned(), value);
    None
}

/// The channel of a record that has ECS fields and no `winlog`.
fn provider_of_ecs(record: &Map<String, Value>) -> Option<&'static str> {
    let event = record.get("event")?.as_object()?;
    event.get("code")?;
    channel::of_provider(text::at(event, "provider")?)
}

/// `agent` and what an agent says about its own `host` are the collector wherever the event names its machine.
pub(super) fn parts(record: &Map<String, Value>) -> Result<Parts<'_>, Broken> {
    let object = |name: &str| record.get(name).and_then(Value::as_object);
    let (winlog, event, host) = (object("winlog"), object("event"), object("host"));
    let in_winlog = |name: &str| winlog.and_then(|winlog| text::at(winlog, name));
    let in_event = |name: &str| event.and_then(|event| text::at(event, name));
    let in_host = |name: &str| host.and_then(|host| text::at(host, name));
    let channel = in_winlog("channel").or_else(|| provider_of_ecs(record)).unwrap_or_default();
    // Some agents write the id as an object, with its qualifiers beside it.
    let code = winlog.and_then(|winlog| winlog.get("event_id")).map(|id| id.get("id").unwrap_or(id));
    let code = text::code("winlog.event_id", code.or_else(|| event.and_then(|event| event.get("code"))))?;
    let host_name = in_host("name").or_else(|| in_host("hostname")).or_else(|| text::at(record, "host"));
    let created = winlog.and_then(|winlog| winlog.get("time_created")).filter(|created| !created.is_null());
    let recorded = created.or_else(|| record.get("@timestamp"));
    let mut parts = Parts {
        channel,
        code,
        host: in_winlog("computer_name").or(host_name).unwrap_or_default(),
        recorded: recorded.map(|value| (if created.is_some() { "winlog.time_created" } else { "@timestamp" }, value)),
        record_id: winlog.and_then(|winlog| winlog.get("record_id")).and_then(text::of),
        provider: in_winlog("provider_name").or_else(|| in_event("provider")),
        message: text::at(record, "message"),
        ..Parts::default()
    };
    document(record, &mut parts);
    for (name, value) in winlog.into_iter().flatten() {
        header(name, value, &mut parts);
    }
    ingested::restore(&channel::canonical(channel), code, record, &mut parts.data);
    Ok(parts)
}

/// What the record has stays where it is, apart from what the event will say in other words.
fn document(record: &Map<String, Value>, parts: &mut Parts<'_>) {
    for (name, value) in record {
        let in_the_way = BRANCHES.contains(&name.as_str()) && !value.is_object();
        match (name.as_str(), value) {
            (_, Value::Null) => {}
            ("winlog", Value::Object(_)) => {}
            ("@timestamp", value) => {
                let is_recorded = parts.recorded.is_some_and(|(_, recorded)| std::ptr::eq(recorded, value));
                if !is_recorded {
                    parts.keep("@timestamp", value.clone());
                }
            }
            ("message", Value::String(_)) => {}
            // `record` is where the event keeps what it has no place for.
            (_, value) if in_the_way || name == "message" || name == "record" => {
                parts.keep(name.clone(), value.clone())
            }
            (_, value) => drop(parts.document.insert(name.clone(), value.clone())),
        }
    }
    let named_by_host = |field: &str| parts.document.get("host").and_then(|host| host.get(field));
    if named_by_host("name").is_some_and(|name| name.as_str() != Some(parts.host))
        && let Some(host) = parts.document.remove("host")
    {
        parts.keep("host", host);
    }
    for (field, said) in [("code", Some(parts.code.to_string())), ("provider", parts.provider.map(str::to_owned))] {
        let written = parts.document.get("event").and_then(|event| event.get(field));
        if let Some(value) = written.filter(|value| !value.is_null() && text::of(value) != said).cloned() {
            parts.keep(format!("event.{field}"), value);
        }
    }
}

fn header(name: &str, value: &Value, parts: &mut Parts<'_>) {
    match (name, value) {
        (_, Value::Null) => {}
        ("event_data" | "user_data", Value::Object(data)) => parts.put_data(name, data),
        ("channel" | "computer_name" | "provider_name", Value::String(_)) => {}
        ("event_id" | "record_id", Value::String(_) | Value::Number(_)) => {}
        // Read as the record's own time.
        ("time_created", _) => {}
        ("event_data" | "user_data" | "channel" | "computer_name" | "provider_name" | "event_id" | "record_id", _) => {
            parts.keep(format!("winlog.{name}"), value.clone());
        }
        (_, value) => drop(parts.winlog.insert(name.to_owned(), value.clone())),
    }
}
