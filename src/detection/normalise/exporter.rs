//! Windows events from a flat exporter in Winlogbeat's manner: `TimeCreated` twice, both local time with a false `Z`.
//!
//! Nothing in a record tells the zone: the offset is declared by whoever hands the log over.

use serde_json::{Map, Value};

use super::flat;
use super::parts::Parts;
use crate::detection::damage::Broken;

/// Flat, with both names of the record's time, and not received by NXLog.
pub(super) fn recognises(record: &Map<String, Value>) -> bool {
    let names_an_event = record.contains_key("EventID") || record.contains_key("Channel");
    names_an_event
        && record.contains_key("TimeCreated")
        && record.contains_key("@timestamp")
        && !record.contains_key("EventReceivedTime")
}

pub(super) fn parts(record: &Map<String, Value>) -> Result<Parts<'_>, Broken> {
    flat::parts(record, "TimeCreated")
}
