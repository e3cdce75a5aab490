//! What is asked about one event: what its process did and started, who wrote its program, which session it ran in.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{COUNTED_BY, Calls, Width, call};
use crate::analyst::Brief;
use crate::analyst::playbook::{self, Look, Of};
use crate::analyst::rules::answers;
use crate::analyst::rules::seen::{Seen, SeenEvent};
use crate::domain::event::SYSMON;
use crate::knowledge::{access_mask, guid, paths, programs};
use crate::tools::answer::ToolCall;

/// What a process did, each kind asked apart, and what its parent did whose own start nobody logged.
pub(super) fn of_process(event: &SeenEvent, width: &Width, calls: &mut Calls) {
    let process = ["ProcessGuid", "SourceProcessGUID", "SourceProcessGuid"].iter().find_map(|field| event.get(field));
    if let Some(process) = process {
        deeds(event, process, event.image(), width, calls);
    }
    let parent = event.get("ParentProcessGuid").filter(|_| event.parent().is_some_and(programs::is_loose));
    if let Some(parent) = parent {
        deeds(event, parent, event.parent(), width, calls);
    }
}

fn deeds(event: &SeenEvent, process: &str, image: Option<&str>, width: &Width, calls: &mut Calls) {
    if guid::folded(process).is_empty() {
        return;
    }
    // Of a program under which everything runs only the moment belongs to the case.
    let hub = image.is_some_and(programs::is_hub);
    let minute = SignedDuration::from_mins(1);
    let (before, after) = if hub { (minute, minute) } else { (width.before, width.after) };
    let window = (event.view.time - before, event.view.time + after);
    for kinds in playbook::OF_A_PROCESS {
        calls.push(search(event.view.host.as_str(), kinds, Some(process), vec![], window));
    }
}

/// A look of a playbook around an alert's event; nothing where the event names no process or session.
pub(super) fn of_look(look: &Look, event: &SeenEvent) -> Option<ToolCall> {
    let window = (
        event.view.time - SignedDuration::from_mins(look.before),
        event.view.time + SignedDuration::from_mins(look.after),
    );
    let mut conditions = Vec::new();
    let mut process = None;
    match look.of {
        Of::Machine => {}
        Of::Process => {
            process = ["ProcessGuid", "SourceProcessGUID"].iter().find_map(|field| event.get(field));
            process?;
        }
        Of::Session => {
            let (field, ..) = look.conditions.first()?;
            conditions.push(condition(field, "equals", session_of(event)?));
        }
    }
    let named = look.conditions.iter().filter(|(.., value)| !value.is_empty());
    conditions.extend(named.map(|(field, comparison, value)| condition(field, comparison, value)));
    Some(search(event.view.host.as_str(), look.kinds, process, conditions, window))
}

/// The session of an event, unless it is the machine's own.
fn session_of(event: &SeenEvent) -> Option<&str> {
    let id = ["LogonId", "SubjectLogonId", "TargetLogonId"].iter().find_map(|field| event.get(field))?;
    let own = ["0x3e7", "0x3e4", "0x3e5", "0x0"];
    (!own.iter().any(|own| id.eq_ignore_ascii_case(own))).then_some(id)
}

/// How the session of an event was opened, and from where; and with which rights, which is told apart.
pub(super) fn session(event: &SeenEvent, calls: &mut Calls) {
    let Some(id) = session_of(event) else { return };
    let window = (event.view.time - SignedDuration::from_hours(24), event.view.time + SignedDuration::from_mins(5));
    for (code, field) in [(4624, "TargetLogonId"), (4672, "SubjectLogonId")] {
        let of_session = vec![condition(field, "equals", id)];
        calls.push(search(event.view.host.as_str(), &[("Security", code)], None, of_session, window));
    }
}

/// The process behind a script block, by its number and by its file; and who wrote the file.
pub(super) fn script(event: &SeenEvent, calls: &mut Calls) {
    if !matches!(event.view.code, 4103 | 4104) {
        return;
    }
    let (host, time) = (event.view.host.as_str(), event.view.time);
    let around = |before, after| (time - before, time + after);
    if let Some(path) = event.get("Path") {
        let script = paths::base_name(path);
        let nearby = around(SignedDuration::from_mins(2), SignedDuration::from_mins(2));
        calls.push(search(host, &[(SYSMON, 1)], None, vec![condition("CommandLine", "contains", &script)], nearby));
        let day = around(SignedDuration::from_hours(24), SignedDuration::from_mins(2));
        calls.push(search(host, &[(SYSMON, 11)], None, vec![condition("TargetFilename", "ends_with", &script)], day));
    }
    if let Some(number) = event.view.writer_pid.as_deref() {
        let hours = around(SignedDuration::from_hours(2), SignedDuration::from_mins(1));
        calls.push(search(host, &[(SYSMON, 1)], None, vec![condition("ProcessId", "equals", number)], hours));
        let after = around(SignedDuration::from_mins(2), SignedDuration::from_mins(10));
        calls.push(search(host, &[(SYSMON, 3)], None, vec![condition("ProcessId", "equals", number)], after));
    }
}

/// What the families' questions leave open is asked of the machine before anybody is told that it is not known.
pub(super) fn open_questions(brief: &Brief, seen: &Seen, calls: &mut Calls) {
    for family in playbook::of(&brief.alerts) {
        let Some(event) = brief.alerts.iter().filter(|alert| family.is_for(alert)).find_map(|a| seen.trigger(&a.event))
        else {
            continue;
        };
        let open = family.questions.iter().filter(|asked| answers::is_open(asked, seen));
        for kind in open.flat_map(|asked| asked.answered_by) {
            if !answers::was_asked(*kind, seen) {
                let around = SignedDuration::from_mins(5);
                let window = (event.view.time - around, event.view.time + around);
                // Counted, not listed: what nothing joins to the act is no evidence of it.
                let mut count = search(event.view.host.as_str(), &[*kind], None, vec![], window);
                count.arguments["group_by"] = json!(COUNTED_BY);
                calls.push(count);
            }
        }
    }
}

/// Whose child the target of a handle is: every parent holds one of each child with all rights.
pub(super) fn started_by(handle: &SeenEvent, seen: &Seen, calls: &mut Calls) {
    let Some(target) = handle.get("TargetProcessGUID").or_else(|| handle.get("TargetProcessGuid")) else { return };
    let writes = handle.get("GrantedAccess").and_then(access_mask::parse).is_some_and(|mask| mask & 0x28 == 0x28);
    if writes && handle.image().is_some_and(programs::is_loose) && seen.start_of(&guid::folded(target)).is_none() {
        let hour = SignedDuration::from_hours(1);
        let window = (handle.view.time - hour, handle.view.time + SignedDuration::from_mins(1));
        let is_it = vec![condition("ProcessGuid", "equals", target)];
        calls.push(search(handle.view.host.as_str(), &[(SYSMON, 1)], None, is_it, window));
    }
}

/// Who wrote a program that lies where anybody may write.
pub(super) fn writer(start: &SeenEvent, calls: &mut Calls) {
    let Some(image) =
        start.image().filter(|image| paths::class(image).is_user_writable() || paths::is_drop_zone(image))
    else {
        return;
    };
    let window = (start.view.time - SignedDuration::from_hours(24), start.view.time);
    let is_it = vec![condition("TargetFilename", "equals", image)];
    calls.push(search(start.view.host.as_str(), &[(SYSMON, 11)], None, is_it, window));
}

/// What started a process that only the Security log tells of, and what it and its parent started besides. Numbers of
/// processes are given again, so only minutes count.
pub(super) fn relatives(start: &SeenEvent, calls: &mut Calls) {
    let near = SignedDuration::from_mins(10);
    let window = (start.view.time - near, start.view.time + near);
    let own = ("ProcessId", start.get("NewProcessId"));
    for (field, number) in [own, ("ProcessId", start.get("ProcessId")), ("NewProcessId", start.get("ProcessId"))] {
        // The system's own processes have the lowest numbers and start everything.
        if let Some(number) = number.filter(|number| number.len() > "0x4".len()) {
            let of_it = vec![condition(field, "equals", number)];
            calls.push(search(start.view.host.as_str(), &[("Security", 4688)], None, of_it, window));
        }
    }
}

/// Who connected from the addresses that opened sessions of this case: asked of every machine.
pub(super) fn origins(seen: &Seen) -> Vec<ToolCall> {
    let mut known = BTreeSet::new();
    super::super::origin::inbound(seen)
        .into_iter()
        .filter(|inbound| known.insert(inbound.address))
        .map(|inbound| {
            let kinds = json!([{ "channel": SYSMON, "code": 3 }]);
            let window = SignedDuration::from_mins(3);
            let conditions = [
                condition("SourceIp", "equals", &inbound.address.to_string()),
                condition("Initiated", "equals", "true"),
            ];
            let arguments = json!({
                "kinds": kinds, "conditions": conditions, "from": inbound.time - window, "to": inbound.time + window,
            });
            call("search_winlog_events", arguments)
        })
        .collect()
}

pub(super) fn condition(field: &str, comparison: &str, value: &str) -> Value {
    json!({ "field": format!("winlog.event_data.{field}"), "comparison": comparison, "value": value })
}

pub(super) fn search(
    host: &str,
    kinds: &[playbook::Kind],
    process: Option<&str>,
    conditions: Vec<Value>,
    (from, to): (Timestamp, Timestamp),
) -> ToolCall {
    let kinds: Vec<Value> = kinds.iter().map(|(channel, code)| json!({ "channel": channel, "code": code })).collect();
    let mut arguments = json!({ "host": host, "kinds": kinds, "conditions": conditions, "from": from, "to": to });
    if let Some(process) = process {
        arguments["process"] = json!(process);
    }
    call("search_winlog_events", arguments)
}
