//! Windows events as NXLog forwards them: flat, the time stamped on arrival in true UTC, seconds late.

use serde_json::{Map, Value};

use super::flat;
use super::parts::Parts;
use crate::detection::damage::Broken;

/// NXLog stamps the time it received a record and the module it came through; no other shape has both.
pub(super) fn recognises(record: &Map<String, Value>) -> bool {
    record.contains_key("EventReceivedTime") && record.contains_key("SourceModuleName")
}

/// `EventTime` is of no use as a time: it is local time of an unknown zone. `host` is the collector.
pub(super) fn parts(record: &Map<String, Value>) -> Result<Parts<'_>, Broken> {
    flat::parts(record, "@timestamp")
}
