//! What the rule-based analyst looks at: what fired and what started it, what it did, what led there, what was cut.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::super::playbook;
use super::super::{Brief, Move};
use super::seen::{Seen, SeenEvent};
use super::{fingerprint, rarity};
use crate::domain::alert::Alert;
use crate::domain::entity::Entity;
use crate::domain::event::SYSMON;
use crate::domain::route::Tier;
use crate::knowledge::{making, paths, programs};
use crate::tools::answer::ToolCall;

mod about;

use self::about::{
    condition, of_look, of_process, open_questions, origins, relatives, script, search, session, started_by, writer,
};

/// By what open questions are counted: all that is asked is whether the store holds such events at all.
const COUNTED_BY: &str = "kind";

/// How wide a tier looks.
struct Width {
    alerts: usize,
    processes: usize,
    looks: usize,
    up: u8,
    down: u8,
    before: SignedDuration,
    after: SignedDuration,
}

const fn width(tier: Tier) -> Width {
    match tier {
        Tier::One => Width {
            alerts: 8,
            processes: 3,
            looks: 14,
            up: 4,
            down: 2,
            before: SignedDuration::from_mins(5),
            after: SignedDuration::from_mins(30),
        },
        Tier::Two => Width {
            alerts: 14,
            processes: 8,
            looks: 30,
            up: 6,
            down: 4,
            before: SignedDuration::from_mins(30),
            after: SignedDuration::from_hours(2),
        },
    }
}

/// Events of one correlation that are each asked about: as many as one verdict can cite.
const MOST_CORRELATED: usize = 10;

/// Calls of a batch, each once, as many as the budget leaves.
struct Calls {
    calls: Vec<ToolCall>,
    known: BTreeSet<String>,
    left: usize,
}

impl Calls {
    fn of(brief: &Brief, seen: &Seen) -> Self {
        let known = seen.answers.iter().map(|answered| key(&answered.call)).collect();
        let left = usize::try_from(brief.calls).unwrap_or(usize::MAX).saturating_sub(seen.calls);
        Self { calls: vec![], known, left }
    }

    fn push(&mut self, call: ToolCall) {
        if self.calls.len() < self.left && self.known.insert(key(&call)) {
            self.calls.push(call);
        }
    }
}

fn key(call: &ToolCall) -> String {
    format!("{} {}", call.tool, call.arguments)
}

fn call(tool: &str, arguments: Value) -> ToolCall {
    ToolCall { tool: tool.into(), arguments }
}

/// One alert per rule and machine, the loudest first.
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
            calls.push(tree(alert.event.as_str(), &width));
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

fn tree(event: &str, width: &Width) -> ToolCall {
    call("process_tree", json!({ "event": event, "up": width.up, "down": width.down }))
}

/// What the processes of the alerts did, what their families' playbooks ask for, and whether the sensors that would
/// show it were alive.
pub fn second_look(brief: &Brief, seen: &Seen) -> Move {
    let width = width(brief.tier);
    let mut calls = Calls::of(brief, seen);
    coverage(brief, &width, &mut calls);
    let shown: Vec<&SeenEvent> = seen.triggers.values().filter_map(|id| seen.events.get(id)).collect();
    for event in processes(&shown, seen).into_iter().take(width.processes) {
        of_process(event, &width, &mut calls);
    }
    standing(brief, seen, &width, &mut calls);
    let mut looks = 0;
    for family in playbook::of(&brief.alerts) {
        let own = brief.alerts.iter().filter(|alert| family.is_for(alert));
        let mut anchors = BTreeSet::new();
        for event in own.filter_map(|alert| seen.trigger(&alert.event)) {
            // One anchor for each machine and process: alerts of one act are looked at once.
            if anchors.len() >= 2 || !anchors.insert((event.view.host.key().to_owned(), event.process())) {
                continue;
            }
            for look in family.looks.iter().filter_map(|look| of_look(look, event)) {
                looks += 1;
                if looks <= width.looks {
                    calls.push(look);
                }
            }
        }
    }
    for event in &shown {
        script(event, &mut calls);
        session(event, &mut calls);
        if event.is_security(4688) {
            relatives(event, &mut calls);
        }
    }
    Move::Calls {
        calls: calls.calls,
        because: "What did these processes do, and would the sensors have shown it?".into(),
    }
}

/// What the second look left open: what was cut short, processes found only then, what injected programs did, and
/// where a session came from.
pub fn closer_look(brief: &Brief, seen: &Seen) -> Option<Move> {
    let width = width(brief.tier);
    let mut calls = Calls::of(brief, seen);
    // What decides may stand behind the cut: the end of a command, or the modules through which LSASS was read.
    let opened = |event: &&SeenEvent| {
        event.related
            && event.view.is_sysmon(10)
            && event.get("TargetImage").is_some_and(|target| paths::base_name(target) == "lsass.exe")
    };
    let scripts = seen.related().filter(|event| matches!(event.view.code, 4103 | 4104));
    let cut = seen
        .starts()
        .chain(scripts)
        .chain(seen.events.values().filter(opened))
        .filter(|event| event.view.cut)
        .take(2 * width.processes);
    for event in cut {
        calls.push(call("get_event", json!({ "event": event.view.event })));
    }
    // A script block names no process; the search for its number or its file may have found one.
    let any_process =
        seen.triggers.values().filter_map(|id| seen.events.get(id)).any(|event| !event.process().is_empty());
    if !any_process {
        for event in seen.events.values().filter(|event| event.view.is_sysmon(1)).take(width.processes) {
            calls.push(tree(event.view.event.as_str(), &width));
            of_process(event, &width, &mut calls);
        }
    }
    for thread in seen.related().filter(|event| event.view.is_sysmon(8)).take(width.processes) {
        let target = thread.get("TargetProcessGuid").or_else(|| thread.get("TargetProcessGUID"));
        let Some(target) = target else { continue };
        let window = (thread.view.time, thread.view.time + width.after);
        for kinds in [&[(SYSMON, 3)][..], &[(SYSMON, 1)]] {
            calls.push(search(thread.view.host.as_str(), kinds, Some(target), vec![], window));
        }
    }
    for handle in seen.related().filter(|event| event.view.is_sysmon(10)).take(width.processes) {
        started_by(handle, seen, &mut calls);
    }
    let mut found: Vec<&SeenEvent> = seen.starts().filter(|start| is_interesting(start)).collect();
    found.sort_by_key(|start| start.view.time);
    for start in &found {
        writer(start, &mut calls);
    }
    for start in found.into_iter().take(width.processes) {
        of_process(start, &width, &mut calls);
    }
    ends_of_correlated(brief, seen, &width, &mut calls);
    for start in seen.starts().filter(|start| start.is_security(4688)).take(width.processes) {
        relatives(start, &mut calls);
    }
    for address in origins(seen).into_iter().take(3) {
        calls.push(address);
    }
    open_questions(brief, seen, &mut calls);
    let because = "What was cut short, whole; the processes behind it; and where it came from.".into();
    (!calls.calls.is_empty()).then_some(Move::Calls { calls: calls.calls, because })
}

/// On the machine that a session came from: the program that connected, and what it is.
pub fn origin_look(brief: &Brief, seen: &Seen) -> Option<Move> {
    let width = width(brief.tier);
    let mut calls = Calls::of(brief, seen);
    let hosts: BTreeSet<_> = seen.related().map(|event| event.view.host.key().to_owned()).collect();
    let mut known = BTreeSet::new();
    let connections = seen.events.values().filter(|event| !event.related && event.view.is_sysmon(3));
    for event in connections.filter(|event| !hosts.contains(event.view.host.key())) {
        // Whether it may be acted on is asked of the machine before anything is proposed for it.
        calls.push(call("asset", json!({ "host": event.view.host.as_str() })));
        let image = event.image().unwrap_or_default();
        if !programs::is_hub(image) && !event.process().is_empty() && known.insert(event.process()) && known.len() <= 3
        {
            calls.push(tree(event.view.event.as_str(), &width));
            of_process(event, &width, &mut calls);
        }
    }
    let because = "Which program on the machine it came from made the connection, and what is that program?".into();
    (!calls.calls.is_empty()).then_some(Move::Calls { calls: calls.calls, because })
}

/// Was each sensor alive here, then?
fn coverage(brief: &Brief, width: &Width, calls: &mut Calls) {
    let hosts: BTreeSet<_> = brief.alerts.iter().map(|alert| &alert.host).filter(|host| !host.is_unknown()).collect();
    let first = brief.alerts.iter().map(|alert| alert.time).min();
    let last = brief.alerts.iter().map(|alert| alert.time).max();
    let (Some(first), Some(last)) = (first, last) else { return };
    let (from, to) = (first - width.before, last + width.after);
    for host in hosts.iter().take(4) {
        let kinds: Vec<Value> = [1, 3, 8, 10, 11, 13].iter().map(|code| json!({ "code": code })).collect();
        calls.push(call("sensor_coverage", json!({ "host": host.as_str(), "kinds": kinds, "from": from, "to": to })));
        // Only a domain controller issues tickets: what is one is never cut off by a machine.
        let tickets = json!([{ "channel": "Security", "code": 4768 }, { "channel": "Security", "code": 4769 }]);
        let day = SignedDuration::from_hours(24);
        let arguments =
            json!({ "host": host.as_str(), "kinds": tickets, "from": from - day, "to": to + day, "limit": 1 });
        calls.push(call("search_winlog_events", arguments));
    }
}

/// How usual what fired is, what people say of the machine and the account, and what they decided on such alerts.
fn standing(brief: &Brief, seen: &Seen, width: &Width, calls: &mut Calls) {
    let (mut machines, mut people) = (BTreeSet::new(), BTreeSet::new());
    for alert in representatives(&brief.alerts, width.alerts) {
        let Some(event) = seen.trigger(&alert.event) else { continue };
        let id = event.view.event.as_str();
        if event.view.is_sysmon(1) {
            calls.push(call("prevalence", json!({ "event": id })));
            same_command(brief, event, calls);
        }
        if machines.insert(event.view.host.key().to_owned()) || event.is_start() {
            calls.push(call("asset", json!({ "host": event.view.host.as_str(), "event": id })));
        }
        if let Some(account) = event.account().filter(|account| people.insert(account.to_lowercase())) {
            calls.push(call(
                "account",
                json!({ "account": account, "host": event.view.host.as_str(), "at": event.view.time }),
            ));
        }
        calls.push(call("similar_cases", json!({ "alert": alert.id })));
        correlated(alert, event, width, calls);
        if event.view.code == 4104 && event.get("MessageTotal").is_some_and(|parts| parts != "1") {
            calls.push(call("script_block", json!({ "event": id })));
        }
    }
}

/// Every event of an alert on several, if the last of them may be harmless: each is asked about as if it had fired alone.
fn correlated(alert: &Alert, last: &SeenEvent, width: &Width, calls: &mut Calls) {
    let events = alert.correlated.events();
    if events.len() > MOST_CORRELATED || !last.view.is_sysmon(1) || !making::is_known(fingerprint::run(last)) {
        return;
    }
    for event in events.iter().filter(|event| **event != alert.event) {
        calls.push(tree(event.as_str(), width));
        calls.push(call("prevalence", json!({ "event": event })));
    }
}

/// The ends of those processes: what is over did nothing more.
fn ends_of_correlated(brief: &Brief, seen: &Seen, width: &Width, calls: &mut Calls) {
    let asked = brief.alerts.iter().flat_map(|alert| alert.correlated.events());
    let starts = asked.filter_map(|event| seen.starts().find(|start| start.view.event == *event));
    for start in starts.take(MOST_CORRELATED).filter(|start| seen.trees.contains(&start.view.event)) {
        let process = start.process();
        if !process.is_empty() {
            let window = (start.view.time, start.view.time + width.after);
            calls.push(search(start.view.host.as_str(), &[(SYSMON, 5)], Some(&process), vec![], window));
        }
    }
}

/// How often the very same command was run before the case: of an encoded one the template says nothing.
fn same_command(brief: &Brief, event: &SeenEvent, calls: &mut Calls) {
    let command = event.get("CommandLine").filter(|command| !event.view.cut && making::is_encoded(command));
    let (Some(command), Some(image)) = (command, event.image()) else { return };
    let first = brief.alerts.iter().map(|alert| alert.time).min().unwrap_or(event.view.time);
    let to = first - SignedDuration::from_hours(2);
    let arguments = json!({
        "kinds": [{ "channel": SYSMON, "code": 1 }], "file": paths::base_name(image), "group_by": rarity::COMMAND_LINE,
        "conditions": [condition("CommandLine", "equals", command)],
        "from": to - SignedDuration::from_hours(24 * 30), "to": to,
    });
    calls.push(call("search_winlog_events", arguments));
}

/// The processes worth asking about: those of the alerts, then their relatives that run commands or were put down.
fn processes<'a>(triggers: &[&'a SeenEvent], seen: &'a Seen) -> Vec<&'a SeenEvent> {
    let mut known = BTreeSet::new();
    let mut chosen = Vec::new();
    let relatives = seen.starts().filter(|start| is_interesting(start));
    for event in triggers.iter().copied().chain(relatives) {
        let process = event.process();
        if !process.is_empty() && known.insert(process) {
            chosen.push(event);
        }
    }
    chosen
}

fn is_interesting(start: &SeenEvent) -> bool {
    start.view.is_sysmon(1) && start.image().is_some_and(programs::is_loose)
}
