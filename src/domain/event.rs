//! One normalised log record: the Winlogbeat collection shape kept whole, ECS copies added.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::entity::HostName;
use super::ids::EventId;

/// Where a record came from, so that a person can find it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The input's name as it was given.
    pub file: String,
    /// The record's line in it, counted from 1.
    pub line: u64,
}

/// One log record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Derived from the record's content.
    pub id: EventId,
    /// When it happened, in UTC: the sensor's own time where it gives one, else the log's.
    pub time: Timestamp,
    /// The machine it happened on, never the collector.
    pub host: HostName,
    /// `Security`, `Microsoft-Windows-Sysmon/Operational`, …
    pub channel: String,
    /// The event id within its channel.
    pub code: u32,
    /// The record's number in its log, if the shape carries one.
    pub record_id: Option<String>,
    /// Where it was read.
    pub origin: Origin,
    /// The whole document: `winlog.event_data.*` as strings, envelope, ECS copies, and under `record` what else the
    /// record held.
    pub document: Map<String, Value>,
}

/// Sysmon's channel.
pub const SYSMON: &str = "Microsoft-Windows-Sysmon/Operational";

impl Event {
    /// The value at a dotted path (`process.executable`, `winlog.event_data.CommandLine`), as text. What follows
    /// `winlog.event_data.` is a name that Windows gave, dots and all.
    #[must_use]
    pub fn field(&self, path: &str) -> Option<String> {
        let value = match path.strip_prefix("winlog.event_data.") {
            Some(name) => self.document.get("winlog")?.get("event_data")?.as_object()?.get(name)?,
            None => {
                let mut parts = path.split('.');
                let first = self.document.get(parts.next()?)?;
                parts.try_fold(first, |value, part| value.as_object()?.get(part))?
            }
        };
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// A value of `winlog.event_data`, if it says something: `""` and `-` are how Windows writes "not known".
    #[must_use]
    pub fn data(&self, name: &str) -> Option<&str> {
        says_something(self.every_data()?.get(name)?)
    }

    /// All of `winlog.event_data`.
    #[must_use]
    pub fn every_data(&self) -> Option<&Map<String, Value>> {
        self.document.get("winlog")?.get("event_data")?.as_object()
    }

    /// This is Sysmon's event `code`.
    #[must_use]
    pub fn is_sysmon(&self, code: u32) -> bool {
        self.code == code && self.channel == SYSMON
    }

    /// `Sysmon 1`, `Security 4624`: how an analyst names a kind of event.
    #[must_use]
    pub fn kind(&self) -> String {
        kind_name(&self.channel, self.code)
    }
}

/// The text of a value of event data, if it says something: `""` and `-` are how Windows writes "not known".
#[must_use]
pub fn says_something(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty() && *text != "-")
}

/// `Sysmon 1` for event 1 of Sysmon's channel: the last telling word of the channel and the code.
#[must_use]
pub fn kind_name(channel: &str, code: u32) -> String {
    let log = channel.strip_prefix("Microsoft-Windows-").unwrap_or(channel);
    let log = log.split('/').next().unwrap_or(log);
    format!("{log} {code}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_as_analysts_name_them() {
        assert_eq!(kind_name(SYSMON, 1), "Sysmon 1");
        assert_eq!(kind_name("Security", 4624), "Security 4624");
        assert_eq!(kind_name("Microsoft-Windows-PowerShell/Operational", 4104), "PowerShell 4104");
    }
}
