//! `search_winlog_events` and `get_event`: typed filters over stored events, no query language.

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

use super::alerts::unavailable;
use super::answer::{Answer, Header, Row, ToolError};
use super::tool::{Permission, Scope, Tool};
use super::view::{ALONE, EventView, IN_A_ROW};
use crate::domain::entity::HostName;
use crate::domain::event::{SYSMON, kind_name};
use crate::domain::evidence::{AbsenceClaim, Exhibit, Quote};
use crate::domain::ids::EventId;
use crate::domain::taint;
use crate::ports::events::{Comparison, Condition, EventQuery, Kind};

/// Most rows of one answer.
const MOST_ROWS: usize = 25;

/// Most rows that are counted when grouping.
const MOST_COUNTED: usize = 5_000;

/// A kind of event, as an analyst names it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KindArgument {
    /// The channel; Sysmon's if it is left out.
    #[serde(default)]
    pub channel: Option<String>,
    /// The event id.
    pub code: u32,
}

impl From<&KindArgument> for Kind {
    fn from(kind: &KindArgument) -> Self {
        Self { channel: Some(kind.channel.clone().unwrap_or_else(|| SYSMON.into())), code: kind.code }
    }
}

/// A condition, as an analyst writes it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConditionArgument {
    /// Dotted path, such as `winlog.event_data.Image`.
    pub field: String,
    /// How it is compared, without regard to case.
    pub comparison: Comparison,
    /// With what.
    pub value: String,
}

/// What to search for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchArguments {
    /// The machine; every machine if left out.
    #[serde(default)]
    pub host: Option<String>,
    /// Kinds of events; every kind if left out.
    #[serde(default)]
    pub kinds: Vec<KindArgument>,
    /// Only what this process did or started: Sysmon's `ProcessGuid`.
    #[serde(default)]
    pub process: Option<String>,
    /// All of these must hold.
    #[serde(default)]
    pub conditions: Vec<ConditionArgument>,
    /// First instant, such as `2026-03-01T12:00:00Z`.
    pub from: Timestamp,
    /// Last instant.
    pub to: Timestamp,
    /// Count by this field instead of listing rows.
    #[serde(default)]
    pub group_by: Option<String>,
    /// At most this many rows, up to 25.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// See the module.
pub struct SearchWinlogEvents;

#[async_trait]
impl Tool for SearchWinlogEvents {
    const NAME: &'static str = "search_winlog_events";
    const DESCRIPTION: &'static str = "Stored Windows events in a window: by host, kind, process and field conditions. Lists rows, or counts by a field. An empty result counts as evidence only while the sensor is proven alive.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = SearchArguments;

    async fn call(&self, arguments: SearchArguments, scope: &Scope) -> Result<Answer, ToolError> {
        if arguments.from > arguments.to {
            return Err(ToolError::BadArguments { tool: Self::NAME.into(), what: "`from` lies after `to`".into() });
        }
        let limit = arguments.limit.unwrap_or(MOST_ROWS).clamp(1, MOST_ROWS);
        let conditions = arguments.conditions.iter().map(|c| Condition {
            field: c.field.clone(),
            comparison: c.comparison,
            value: c.value.clone(),
        });
        let query = EventQuery {
            host: arguments.host.clone().map(HostName::new),
            kinds: arguments.kinds.iter().map(Kind::from).collect(),
            process: arguments.process.clone(),
            conditions: conditions.collect(),
            from: arguments.from,
            to: arguments.to,
            watermark: scope.watermark,
            limit: if arguments.group_by.is_some() { MOST_COUNTED } else { limit },
        };
        let found = scope.events.search(&query).await.map_err(unavailable)?;
        let window = format!("{} to {}", arguments.from, arguments.to);
        let mut header = Header { total: found.total, window, ..Header::default() };
        if let Some(field) = &arguments.group_by {
            let mut counts: BTreeMap<String, u64> = BTreeMap::new();
            for event in &found.rows {
                *counts.entry(event.field(field).unwrap_or_else(|| "(no such field)".into())).or_default() += 1;
            }
            let mut counts: Vec<_> = counts.into_iter().collect();
            counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            let rows = counts.iter().take(limit).map(|(value, n)| Row {
                exhibit: None,
                view: None,
                text: format!("{n} × {}", taint::shown(value)),
            });
            let rows = rows.collect();
            return Ok(Answer { header, rows, cut: 0, data: json!({ "counts": counts }) });
        }
        if found.total > found.rows.len() as u64 {
            header.next = "narrow the window, add a condition, or count with group_by".into();
        }
        let mut rows: Vec<Row> = found.rows.iter().map(|event| row(EventView::row(event, IN_A_ROW))).collect();
        if let ([], Some(absence)) = (rows.as_slice(), absence(&query)) {
            let kind = Kind { channel: Some(absence.channel.clone()), code: absence.code };
            let sensor = scope.events.sensor(&absence.host, &kind, absence.from, absence.to, scope.watermark);
            let sensor = sensor.await.map_err(unavailable)?;
            let name = kind_name(&absence.channel, absence.code);
            header.sensor =
                if sensor.is_alive() { format!("{name} alive") } else { format!("{name} not proven alive") };
            if sensor.is_alive() {
                let of = match (&query.process, query.conditions.first()) {
                    (Some(process), _) => format!(" of process {process}"),
                    (None, Some(condition)) => format!(" with {} {}", condition.field, taint::shown(&condition.value)),
                    (None, None) => String::new(),
                };
                let (from, to) = (query.from.strftime("%T"), query.to.strftime("%T"));
                let text = format!(
                    "no {name}{of} on {} from {from} to {to}; the sensor reported before and after",
                    taint::shown(absence.host.as_str())
                );
                rows.push(Row { exhibit: Some(Exhibit::Absence { absence }), view: None, text });
            }
        }
        Ok(Answer { header, rows, cut: 0, data: json!({ "total": found.total }) })
    }
}

/// A row that shows an event.
pub(super) fn row(view: EventView) -> Row {
    Row { exhibit: Some(view.exhibit()), text: view.line(), view: Some(view) }
}

/// An empty result that could be cited: one host, one kind of event.
fn absence(query: &EventQuery) -> Option<AbsenceClaim> {
    let [Kind { channel: Some(channel), code }] = query.kinds.as_slice() else { return None };
    let conditions = query.conditions.iter().map(|c| Quote { field: c.field.clone(), value: c.value.clone() });
    let process =
        query.process.iter().map(|id| Quote { field: "winlog.event_data.ProcessGuid".into(), value: id.clone() });
    Some(AbsenceClaim {
        host: query.host.clone()?,
        channel: channel.clone(),
        code: *code,
        conditions: conditions.chain(process).collect(),
        from: query.from,
        to: query.to,
    })
}

/// See the module.
pub struct GetEvent;

/// Which event.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetArguments {
    /// The event's id, as a tool's data gave it.
    pub event: String,
}

#[async_trait]
impl Tool for GetEvent {
    const NAME: &'static str = "get_event";
    const DESCRIPTION: &'static str = "One event with all its fields, long values up to 4,000 characters.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = GetArguments;

    async fn call(&self, arguments: GetArguments, scope: &Scope) -> Result<Answer, ToolError> {
        let event = scope.events.get(&EventId::new(&arguments.event)).await.map_err(unavailable)?;
        let event =
            event.ok_or_else(|| ToolError::NotFound { what: format!("the store has no event {}", arguments.event) })?;
        let view = EventView::whole(&event, ALONE);
        let header = Header { total: 1, ..Header::default() };
        let data = serde_json::to_value(&event.origin).unwrap_or_default();
        Ok(Answer { header, rows: vec![row(view)], cut: 0, data })
    }
}

#[cfg(test)]
mod tests;
