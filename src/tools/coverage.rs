//! `sensor_coverage`: was this sensor alive here, then?

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerts::unavailable;
use super::answer::{Answer, Header, Row, ToolError};
use super::events::KindArgument;
use super::tool::{Permission, Scope, Tool};
use crate::domain::entity::HostName;
use crate::domain::event::kind_name;
use crate::domain::evidence::SensorSeen;
use crate::ports::events::Kind;

/// See the module.
pub struct SensorCoverage;

/// Which sensors, where and when.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// The machine.
    pub host: String,
    /// Kinds of events; at most 12.
    pub kinds: Vec<KindArgument>,
    /// First instant of the window.
    pub from: Timestamp,
    /// Last instant.
    pub to: Timestamp,
}

/// What is known of one kind of event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindSeen {
    /// The channel.
    pub channel: String,
    /// The event id.
    pub code: u32,
    /// What was seen.
    pub seen: SensorSeen,
}

#[async_trait]
impl Tool for SensorCoverage {
    const NAME: &'static str = "sensor_coverage";
    const DESCRIPTION: &'static str = "Whether a host reported these kinds of events around a window (24 h each side), and whether logs were cleared or the sensor was touched. Only a sensor proven alive makes `nothing found` mean something.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = Arguments;

    async fn call(&self, arguments: Arguments, scope: &Scope) -> Result<Answer, ToolError> {
        let host = HostName::new(arguments.host);
        let (mut rows, mut data) = (Vec::new(), Vec::new());
        for kind in arguments.kinds.iter().take(12).map(Kind::from) {
            let Kind { channel: Some(channel), code } = &kind else { continue };
            let seen = scope.events.sensor(&host, &kind, arguments.from, arguments.to, scope.watermark);
            let seen = seen.await.map_err(unavailable)?;
            let state = match (&seen, seen.is_alive()) {
                (_, true) => "alive".to_owned(),
                (SensorSeen { tampered: true, .. }, _) => "not trusted: a log was cleared or the sensor touched".into(),
                (SensorSeen { count: 0, .. }, _) => "never seen here around then".into(),
                _ => "seen on one side of the window only".into(),
            };
            let show = |at: Option<Timestamp>| at.map_or_else(|| "none".into(), |at| at.to_string());
            let text = format!(
                "{}: {state} ({} events; last before {}, first after {})",
                kind_name(channel, *code),
                seen.count,
                show(seen.last_before),
                show(seen.first_after),
            );
            rows.push(Row { exhibit: None, view: None, text });
            data.push(KindSeen { channel: channel.clone(), code: *code, seen });
        }
        let window = format!("{} to {}", arguments.from, arguments.to);
        let header = Header { total: rows.len() as u64, window, ..Header::default() };
        Ok(Answer { header, rows, cut: 0, data: serde_json::to_value(data).unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests;
