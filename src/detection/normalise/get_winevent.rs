//! Windows events as a script around `Get-WinEvent` writes them: flat, and only the machine's local time.

use serde_json::{Map, Value};

use super::flat;
use super::parts::Parts;
use crate::detection::damage::Broken;

/// Flat, with `TimeCreated` alone.
pub(super) fn recognises(record: &Map<String, Value>) -> bool {
    let names_an_event = record.contains_key("EventID") || record.contains_key("Channel");
    names_an_event
        && record.contains_key("TimeCreated")
        && !record.contains_key("@timestamp")
        && (!record.contains_key("EventData") || record.contains_key("Hostname"))
}

pub(super) fn parts(record: &Map<String, Value>) -> Result<Parts<'_>, Broken> {
    flat::parts(record, "TimeCreated")
}
