//! What the rule-based analyst looks at: what fired and what started it, what it did, and what was cut short.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::{Brief, Move};
use super::features::{Seen, SeenEvent};
use crate::domain::alert::Alert;
use crate::domain::entity::Entity;
use crate::domain::event::SYSMON;
use crate::domain::route::Tier;
use crate::knowledge::{guid, paths};
use crate::tools::answer::ToolCall;

/// How wide a tier looks.
struct Width {
    alerts: usize,
    processes: usize,
    before: SignedDuration,
    after: SignedDuration,
}

const fn width(tier: Tier) -> Width {
    match tier {
        Tier::One => Width {
            alerts: 6,
            processes: 3,
            before: SignedDuration::from_mins(5),
            after: SignedDuration::from_mins(30),
        },
        Tier::Two => Width {
            alerts: 12,
            processes: 6,
            before: SignedDuration::from_mins(30),
            after: SignedDuration::from_hours(2),
        },
    }
}

fn call(tool: &str, arguments: Value) -> ToolCall {
    ToolCall { tool: tool.into(), arguments }
}

/// One alert per rule and host, the loudest first.
fn representatives(alerts: &[Alert], most: usize) -> Vec<&Alert> {
    let mut known = BTreeSet::new();
    let mut chosen: Vec<&Alert> =
        alerts.iter().filter(|alert| known.insert((alert.rule.id.as_str(), alert.host.key()))).collect();
    chosen.sort_by_key(|alert| (std::cmp::Reverse(alert.rule.level), alert.time));
    chosen.truncate(most);
    chosen
}

/// The alerts and the process trees around them.
pub fn first_look(brief: &Brief) -> Move {
    let width = width(brief.tier);
    let chosen = representatives(&brief.alerts, width.alerts);
    let mut calls: Vec<ToolCall> = chosen.iter().map(|alert| call("get_alert", json!({ "alert": alert.id }))).collect();
    let mut trees = BTreeSet::new();
    for alert in &chosen {
        let process = alert.entities.iter().find(|entity| matches!(entity, Entity::Process(_)));
        if process.is_some_and(|process| trees.insert(process)) && trees.len() <= width.processes {
            calls.push(call("process_tree", json!({ "event": alert.event })));
        }
    }
    let because = match &brief.handover {
        Some(handover) => handover.question.clone(),
        None => "Two stories to tell apart: ordinary administration or software, or somebody unauthorised. \
                 Deciding facts: what fired, what started it, and where it lies."
            .into(),
    };
    Move::Calls { calls, because }
}

/// What the processes of the alerts did, and whether the sensors that would show it were alive.
pub fn second_look(brief: &Brief, seen: &Seen) -> Move {
    let width = width(brief.tier);
    let triggers: Vec<&SeenEvent> = seen.triggers.values().filter_map(|id| seen.events.get(id)).collect();
    let mut calls = Vec::new();
    let mut processes = BTreeSet::new();
    for event in &triggers {
        let view = &event.view;
        let around = |before, after| (view.time - before, view.time + after);
        let process = view.get("ProcessGuid").or_else(|| view.get("SourceProcessGUID"));
        if let Some(process) = process.filter(|_| processes.len() < width.processes)
            && processes.insert(guid::folded(process))
        {
            let window = around(width.before, width.after);
            calls.extend(effects_of(view.host.as_str(), process, window));
        }
        let nearby = around(SignedDuration::from_mins(2), SignedDuration::from_mins(2));
        match (view.channel.as_str(), view.code) {
            ("System", 7045) | ("Security", 4697) => {
                let by_services = ("winlog.event_data.ParentImage", "ends_with", "\\services.exe");
                calls.push(search(view.host.as_str(), &[1], None, &[by_services], nearby));
            }
            (_, 4104) => {
                if let Some(path) = view.get("Path") {
                    let script = paths::base_name(path);
                    let runs_it = ("winlog.event_data.CommandLine", "contains", script.as_str());
                    calls.push(search(view.host.as_str(), &[1], None, &[runs_it], nearby));
                    let wrote_it = ("winlog.event_data.TargetFilename", "ends_with", script.as_str());
                    let day = around(SignedDuration::from_hours(24), SignedDuration::from_mins(2));
                    calls.push(search(view.host.as_str(), &[11], None, &[wrote_it], day));
                }
            }
            _ => {}
        }
    }
    let hosts: BTreeSet<_> = brief.alerts.iter().map(|alert| &alert.host).filter(|host| !host.is_unknown()).collect();
    let first = brief.alerts.iter().map(|alert| alert.time).min();
    let last = brief.alerts.iter().map(|alert| alert.time).max();
    if let (Some(first), Some(last)) = (first, last) {
        let (from, to) = (first - width.before, last + width.after);
        for host in hosts.iter().take(4) {
            let kinds: Vec<Value> = [1, 3, 10, 11, 13].iter().map(|code| json!({ "code": code })).collect();
            let arguments = json!({ "host": host.as_str(), "kinds": kinds, "from": from, "to": to });
            calls.push(call("sensor_coverage", arguments));
            if brief.tier == Tier::Two {
                calls.push(other_channel(host.as_str(), "System", 7045, (from, to)));
                calls.push(other_channel(host.as_str(), "Security", 4698, (from, to)));
            }
        }
    }
    let left = usize::try_from(brief.calls).unwrap_or(usize::MAX).saturating_sub(seen.calls);
    calls.truncate(left);
    Move::Calls { calls, because: "What did these processes do, and would the sensors have shown it?".into() }
}

/// What the second look left open: commands that were cut short in a row, and processes found only then.
pub fn closer_look(brief: &Brief, seen: &Seen) -> Option<Move> {
    let width = width(brief.tier);
    let starts = || seen.events.values().filter(|event| event.view.is_sysmon(1));
    let mut calls: Vec<ToolCall> = starts()
        .filter(|event| event.view.cut)
        .take(width.processes)
        .map(|event| call("get_event", json!({ "event": event.view.event })))
        .collect();
    // A script block names no process; the search for its file may have found one.
    let of_processes = |event: &&SeenEvent| event.view.get("ProcessGuid").is_some();
    let any_process = seen.triggers.values().filter_map(|id| seen.events.get(id)).any(|event| of_processes(&event));
    if !any_process {
        for event in starts().take(width.processes) {
            let Some(process) = event.view.get("ProcessGuid") else { continue };
            let window = (event.view.time - width.before, event.view.time + width.after);
            let host = event.view.host.as_str();
            calls.push(call("process_tree", json!({ "event": event.view.event })));
            calls.extend(effects_of(host, process, window));
        }
    }
    let left = usize::try_from(brief.calls).unwrap_or(usize::MAX).saturating_sub(seen.calls);
    calls.truncate(left);
    let because = "The commands that were cut short, whole, and the processes behind them.".into();
    (!calls.is_empty()).then_some(Move::Calls { calls, because })
}

/// What a process did: threads, accesses and autostarts, files and its end, and network, asked apart so that many
/// of one kind hide none of another.
fn effects_of(host: &str, process: &str, window: (Timestamp, Timestamp)) -> [ToolCall; 3] {
    [&[8, 10, 13][..], &[5, 11], &[3]].map(|kinds| search(host, kinds, Some(process), &[], window))
}

fn search(
    host: &str,
    sysmon: &[u32],
    process: Option<&str>,
    conditions: &[(&str, &str, &str)],
    (from, to): (Timestamp, Timestamp),
) -> ToolCall {
    let kinds: Vec<Value> = sysmon.iter().map(|code| json!({ "channel": SYSMON, "code": code })).collect();
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(field, comparison, value)| json!({ "field": field, "comparison": comparison, "value": value }))
        .collect();
    let mut arguments = json!({ "host": host, "kinds": kinds, "conditions": conditions, "from": from, "to": to });
    if let Some(process) = process {
        arguments["process"] = json!(process);
    }
    call("search_winlog_events", arguments)
}

fn other_channel(host: &str, channel: &str, code: u32, (from, to): (Timestamp, Timestamp)) -> ToolCall {
    let kinds = json!([{ "channel": channel, "code": code }]);
    call("search_winlog_events", json!({ "host": host, "kinds": kinds, "from": from, "to": to }))
}
