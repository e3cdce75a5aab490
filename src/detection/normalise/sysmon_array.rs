//! Sysmon events alone, each an object of its fields and `EventId`, as query tools export them in one JSON array.

use serde_json::{Map, Value};

use super::parts::Parts;
use super::text;
use crate::detection::damage::Broken;
use crate::domain::event::SYSMON;

/// Sysmon's time and an `EventId`, and no header.
pub(super) fn recognises(record: &Map<String, Value>) -> bool {
    record.contains_key("EventId") && record.contains_key("UtcTime") && !record.contains_key("Channel")
}

/// Such a record says nothing of its machine, unless the tool added it.
pub(super) fn parts(record: &Map<String, Value>) -> Result<Parts<'_>, Broken> {
    const HOST: [&str; 3] = ["Computer", "Hostname", "ComputerName"];
    let host = HOST.into_iter().find(|name| text::at(record, name).is_some());
    let mut parts = Parts {
        channel: SYSMON,
        code: text::code("EventId", record.get("EventId"))?,
        host: host.and_then(|name| text::at(record, name)).unwrap_or_default(),
        provider: Some("Microsoft-Windows-Sysmon"),
        ..Parts::default()
    };
    for (name, value) in record {
        if name != "EventId" && Some(name.as_str()) != host {
            text::put(&mut parts.data, name, value);
        }
    }
    Ok(parts)
}
