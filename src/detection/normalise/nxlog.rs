//! Windows events as NXLog forwards them: one flat object per event, time stamped on arrival in UTC.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::{ecs, event_id};
use crate::detection::clock::ClockOffset;
use crate::detection::damage::{Broken, Fault};
use crate::domain::entity::HostName;
use crate::domain::event::{Event, Origin, SYSMON};

/// What NXLog, Logstash and the event's header write; everything else is the event's own data.
/// `AccountName`, `Domain` and `UserID` are the account that logged the event, not the one that acted.
const ENVELOPE: [&str; 36] = [
    "@timestamp",
    "@version",
    "tags",
    "host",
    "port",
    "Hostname",
    "Channel",
    "EventID",
    "SourceName",
    "Message",
    "ProviderGuid",
    "Keywords",
    "Severity",
    "SeverityValue",
    "EventTime",
    "EventReceivedTime",
    "TimeCreated",
    "RecordNumber",
    "ExecutionProcessID",
    "ThreadID",
    "SourceModuleName",
    "SourceModuleType",
    "OpcodeValue",
    "Opcode",
    "Task",
    "Category",
    "Version",
    "Level",
    "ActivityID",
    "AccountName",
    "AccountType",
    "Domain",
    "UserID",
    // Misspelt by NXLog: its own event type, where Sysmon's took the name.
    "EventTypeOrignal",
    "ERROR_EVT_UNRESOLVED",
    "EventType",
];

/// Sysmon events whose `EventType` is Sysmon's own (`SetValue`) and not NXLog's (`INFO`). That of the pipe events
/// 17 and 18 says no more than their codes and is left out, as in the reference pairs.
const SYSMON_WITH_EVENT_TYPE: [u32; 6] = [12, 13, 14, 19, 20, 21];

/// Event logs of this form began with Windows Vista; 1990 and 2100 leave room for clocks that are off by years.
const EARLIEST: Timestamp = Timestamp::constant(631_152_000, 0);
const LATEST: Timestamp = Timestamp::constant(4_102_444_800, 0);

/// NXLog stamps the time it received a record and the module it came through; no other shape has both.
pub(super) fn recognises(record: &Map<String, Value>) -> bool {
    record.contains_key("EventReceivedTime") && record.contains_key("SourceModuleName")
}

pub(super) fn normalise(record: &Map<String, Value>, origin: Origin, clock: ClockOffset) -> Result<Event, Broken> {
    let text = |name: &str| record.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let channel = channel_name(text("Channel").ok_or_else(|| Broken::new(Fault::NoChannel, "`Channel` is missing"))?);
    let code = code(record.get("EventID"))?;
    let time = time(record, channel, clock)?;
    let host = text("Hostname").unwrap_or_default();
    let record_id = record.get("RecordNumber").and_then(as_text);
    let provider = text("SourceName");

    let data = event_data(record, channel, code);
    let mut document = Map::new();
    document.insert("@timestamp".into(), format!("{time:.3}").into());
    let mut event = Map::from_iter([("code".into(), code.to_string().into()), ("kind".into(), "event".into())]);
    let mut winlog = Map::from_iter([
        ("channel".into(), channel.into()),
        ("computer_name".into(), host.into()),
        ("event_id".into(), code.to_string().into()),
    ]);
    if let Some(provider) = provider {
        event.insert("provider".into(), provider.into());
        winlog.insert("provider_name".into(), provider.into());
    }
    if let Some(record_id) = &record_id {
        winlog.insert("record_id".into(), record_id.clone().into());
    }
    // The header's process and account, as Winlogbeat keeps them: who logged, not who acted, but PowerShell logs
    // about itself.
    if let Some(pid) = record.get("ExecutionProcessID").filter(|pid| pid.is_number()) {
        winlog.insert("process".into(), json!({ "pid": pid }));
    }
    if let Some(sid) = text("UserID") {
        winlog.insert("user".into(), json!({ "identifier": sid }));
    }
    document.insert("event".into(), event.into());
    document.insert("host".into(), json!({ "name": host }));
    if let Some(message) = text("Message") {
        document.insert("message".into(), message.into());
    }
    ecs::copy(channel, code, &data, &mut document);
    winlog.insert("event_data".into(), data.into());
    document.insert("winlog".into(), winlog.into());

    Ok(Event {
        id: event_id(record),
        time,
        host: HostName::new(host),
        channel: channel.to_owned(),
        code,
        record_id,
        origin,
        document,
    })
}

/// Forwarders write the classic logs' names in either case.
fn channel_name(written: &str) -> &str {
    ["Security", "System", "Application"]
        .into_iter()
        .find(|classic| classic.eq_ignore_ascii_case(written))
        .unwrap_or(written)
}

fn code(value: Option<&Value>) -> Result<u32, Broken> {
    let Some(value) = value else { return Err(Broken::new(Fault::NoCode, "`EventID` is missing")) };
    match value {
        Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .ok_or_else(|| Broken::new(Fault::NoCode, format!("`EventID` is {}", shown(value))))
}

/// Sysmon's own clock where it gives one; else the arrival, which NXLog stamps in true UTC a few seconds late.
/// `EventTime` is of no use: it is local time of an unknown zone.
fn time(record: &Map<String, Value>, channel: &str, clock: ClockOffset) -> Result<Timestamp, Broken> {
    let own = record.get("UtcTime").filter(|own| channel == SYSMON && own.as_str() != Some(""));
    let (name, value) = match own {
        Some(own) => ("UtcTime", Some(own)),
        None => ("@timestamp", record.get("@timestamp")),
    };
    let Some(value) = value else { return Err(Broken::new(Fault::NoTime, format!("`{name}` is missing"))) };
    let parsed = value.as_str().and_then(|text| {
        let text = text.trim();
        text.parse::<Timestamp>()
            .ok()
            .or_else(|| text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp()))
    });
    let parsed = if own.is_some() { parsed } else { parsed.and_then(|time| clock.to_utc(time)) };
    // A time that no Windows log can have is a broken clock or a forgery; arithmetic on it would be worth nothing.
    let parsed = parsed.filter(|time| (EARLIEST..=LATEST).contains(time));
    parsed.ok_or_else(|| {
        Broken::new(Fault::NoTime, format!("`{name}` is {}, which is no time a log can have", shown(value)))
    })
}

fn event_data(record: &Map<String, Value>, channel: &str, code: u32) -> Map<String, Value> {
    let keeps_event_type = channel == SYSMON && SYSMON_WITH_EVENT_TYPE.contains(&code);
    record
        .iter()
        .filter(|(name, _)| !ENVELOPE.contains(&name.as_str()) || (keeps_event_type && *name == "EventType"))
        .filter_map(|(name, value)| Some((name.clone(), Value::String(as_text(value)?))))
        .collect()
}

/// Windows hands every value of an event over as text, and so does the target shape.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// A value as it may stand in a message: short.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 60 { text.chars().take(60).chain(['…']).collect() } else { text }
}
