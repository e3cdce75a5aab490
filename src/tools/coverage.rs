//! `sensor_coverage`: was this sensor alive here, then? And what else is known of what this machine sends.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerts::unavailable;
use super::answer::{Answer, Header, Row, ToolError};
use super::events::{KindArgument, row};
use super::surroundings::Surroundings;
use super::tool::{Permission, Scope, Tool};
use super::view::{EventView, IN_A_ROW};
use crate::domain::entity::HostName;
use crate::domain::event::kind_name;
use crate::domain::evidence::SensorSeen;
use crate::domain::loss::Loss;
use crate::domain::words::counted;
use crate::ports::events::Kind;
use crate::ports::events::coverage::{History, KindSent, SensorFacts, Silence};

/// See the module.
pub struct SensorCoverage(pub Arc<Surroundings>);

/// Kinds of events that are asked about at once, and that are told of.
const MOST_KINDS: usize = 12;
/// Rows of silences, and of what was done to a sensor.
const MOST_ROWS: usize = 8;

/// Which sensors, where and when.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// The machine.
    pub host: String,
    /// Kinds of events to be judged, at most 12; what else the machine sent is told in any case.
    #[serde(default)]
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

/// What the tool gives a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    /// What is known of the kinds asked about.
    pub kinds: Vec<KindSeen>,
    /// What the machine's sensors sent and suffered within the window and a day on each side.
    pub facts: SensorFacts,
    /// How far back the store reaches.
    pub history: History,
    /// What sources lost that may have told of the machine within the window, the newest first.
    #[serde(default)]
    pub losses: Vec<Loss>,
}

#[async_trait]
impl Tool for SensorCoverage {
    const NAME: &'static str = "sensor_coverage";
    const DESCRIPTION: &'static str = "Whether a host reported these kinds of events around a window (24 h each side); which other kinds it sent, when one fell silent, whether logs were cleared or a sensor touched, what sources lost, and how far back the store reaches. Only a sensor proven alive makes `nothing found` mean something.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = Arguments;

    async fn call(&self, arguments: Arguments, scope: &Scope) -> Result<Answer, ToolError> {
        let host = HostName::new(arguments.host);
        let (mut rows, mut kinds) = (Vec::new(), Vec::new());
        for kind in arguments.kinds.iter().take(MOST_KINDS).map(Kind::from) {
            let Kind { channel: Some(channel), code } = &kind else { continue };
            let seen = scope.events.sensor(&host, &kind, arguments.from, arguments.to, scope.watermark);
            let seen = seen.await.map_err(unavailable)?;
            let state = match (&seen, seen.is_alive()) {
                (_, true) => "alive".to_owned(),
                (SensorSeen { tampered: true, .. }, _) => "not trusted: a log was cleared or the sensor touched".into(),
                (SensorSeen { count: 0, .. }, _) => "never seen here around then".into(),
                _ => "seen on one side of the window only".into(),
            };
            let text = format!(
                "{}: {state} ({}; last before {}, first after {})",
                kind_name(channel, *code),
                counted(seen.count, "event"),
                shown(seen.last_before),
                shown(seen.first_after),
            );
            rows.push(said(text));
            kinds.push(KindSeen { channel: channel.clone(), code: *code, seen });
        }
        let (from, to) = day_around(arguments.from, arguments.to);
        let facts = scope.events.sensor_facts(&host, from, to, scope.watermark).await.map_err(unavailable)?;
        let history = scope.events.history(scope.watermark).await.map_err(unavailable)?;
        rows.extend(touched(&facts, scope).await?);
        rows.extend(facts.silences.iter().take(MOST_ROWS).map(|silence| said(silent(silence))));
        // A floor that was put together without alerts has no sources either.
        let known = self.0.alerts.as_ref().map_or_else(Vec::new, |alerts| alerts.losses());
        let concern = |loss: &Loss| loss.may_concern(&host, arguments.from, arguments.to);
        let losses: Vec<Loss> = known.into_iter().rev().filter(concern).take(MOST_ROWS).collect();
        rows.extend(losses.iter().map(|loss| said(loss.says())));
        rows.extend(sent(&facts));
        rows.push(said(reach(&history)));
        let window = format!("{} to {}", arguments.from, arguments.to);
        let header = Header { total: rows.len() as u64, window, ..Header::default() };
        let data = serde_json::to_value(Covered { kinds, facts, history, losses }).unwrap_or_default();
        Ok(Answer { header, rows, cut: 0, data, filing: None })
    }
}

fn said(text: String) -> Row {
    Row { exhibit: None, view: None, text }
}

fn shown(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "none".into(), |at| at.to_string())
}

/// The window and a day on each side, as far as there is time.
fn day_around(from: Timestamp, to: Timestamp) -> (Timestamp, Timestamp) {
    let day = SignedDuration::from_hours(24);
    (from.checked_sub(day).unwrap_or(from), to.checked_add(day).unwrap_or(to))
}

/// What was done to the sensors; each is an event that can be cited.
async fn touched(facts: &SensorFacts, scope: &Scope) -> Result<Vec<Row>, ToolError> {
    let mut rows = Vec::new();
    for touched in facts.touched.iter().take(MOST_ROWS) {
        let event = scope.events.get(&touched.event).await.map_err(unavailable)?;
        rows.extend(event.map(|event| {
            let view = EventView::row(&event, IN_A_ROW);
            Row { text: format!("{}: {}", touched.what.says(), view.line()), ..row(view) }
        }));
    }
    let more = facts.touched_total.saturating_sub(rows.len() as u64);
    if more > 0 {
        rows.push(said(format!("and {} that a log was cleared or a sensor touched", counted(more, "more time"))));
    }
    Ok(rows)
}

fn silent(silence: &Silence) -> String {
    let Silence { channel, code, from, to, usual_seconds } = silence;
    let minutes = to.duration_since(*from).as_mins();
    format!("{} was silent for {minutes} min from {from} to {to}; usually {usual_seconds} s lie between two", {
        kind_name(channel, *code)
    })
}

/// The kinds the machine sent, most first, in one row.
fn sent(facts: &SensorFacts) -> Option<Row> {
    let mut kinds: Vec<&KindSent> = facts.kinds.iter().collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
    let told =
        kinds.iter().take(MOST_KINDS).map(|kind| format!("{} × {}", kind.count, kind_name(&kind.channel, kind.code)));
    let told: Vec<String> = told.collect();
    let more = kinds.len().saturating_sub(told.len());
    let rest = if more > 0 { format!(" and {}", counted(more as u64, "more kind")) } else { String::new() };
    (!told.is_empty()).then(|| said(format!("sent within a day of the window: {}{rest}", told.join(", "))))
}

fn reach(history: &History) -> String {
    let removed = history.complete_since.map_or_else(String::new, |since| {
        format!("; events before {since} may have been removed, so their absence shows nothing")
    });
    format!(
        "the store holds {} of {}, from {} to {}{removed}",
        counted(history.events, "event"),
        counted(history.days(), "day"),
        shown(history.oldest),
        shown(history.newest)
    )
}

#[cfg(test)]
mod tests;
