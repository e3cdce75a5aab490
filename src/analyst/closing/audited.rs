//! What the Security log tells of the process by its number: its audit is another sensor, and writes what Sysmon's
//! configuration may leave out.

use super::Asked;
use super::run::{self, Run, name, number};
use super::writes;
use crate::domain::event::Event;
use crate::domain::obstacle::Obstacle;
use crate::domain::taint;
use crate::knowledge::paths;
use crate::ports::events::Comparison;
use crate::ports::events::{Condition, EventQuery, Kind};
use crate::ports::storage::StorageError;

/// What is asked for: the field that holds the process's number, and the events. Handles that are merely asked for
/// (4656) and rights that are switched on (4703, 4673) are left out: what they lead to is told by the others.
const AUDITED: [(&str, &[u32]); 3] = [
    ("ProcessId", &[4648, 4657, 4663, 4664, 4670]),
    ("ProcessID", &[5154, 5156]),
    ("ClientProcessId", &[4697, 4698, 4699, 4700, 4701, 4702]),
];

/// Rights by which a file or a key is changed (Windows SDK): write or set, append or make a subkey, extended
/// attributes or a link, delete below it, attributes, delete, its security, its owner.
const CHANGES: u32 = 0x0002 | 0x0004 | 0x0010 | 0x0020 | 0x0040 | 0x0100 | 0x0001_0000 | 0x0004_0000 | 0x0008_0000;

/// Of a key, 0x10 waits for changes: it changes nothing.
const KEY_NOTIFY: u32 = 0x0010;

/// The deeds that Security tells of and that are not explained.
pub(super) async fn unexplained(asked: &Asked<'_>, run: &Run) -> Result<Vec<Obstacle>, StorageError> {
    // A process without a number stands against the close already (`deeds`).
    let Some(pid) = run.pid else { return Ok(vec![]) };
    let mut all = Vec::new();
    for (field, codes) in AUDITED {
        let kinds: Vec<Kind> =
            codes.iter().map(|code| Kind { channel: Some("Security".into()), code: *code }).collect();
        // Hexadecimal where Windows shows it so, decimal elsewhere; leading zeros happen.
        for written in [format!("{pid:x}"), pid.to_string()] {
            let ends = Condition {
                field: format!("winlog.event_data.{field}"),
                comparison: Comparison::EndsWith,
                value: written,
            };
            let query = EventQuery {
                host: Some(run.start.host.clone()),
                conditions: vec![ends],
                ..run.during(asked, kinds.clone())
            };
            match run::all(asked, &query).await? {
                Err(obstacle) => all.push(obstacle),
                Ok(events) => all.extend(
                    events.iter().filter(|event| is_its(run, event, field, pid)).filter_map(|event| deed(run, event)),
                ),
            }
        }
    }
    all.sort_by(|one, other| one.says().cmp(other.says()));
    all.dedup();
    Ok(all)
}

/// The event is of the process, not of another that had its number before or after.
fn is_its(run: &Run, event: &Event, field: &str, pid: u64) -> bool {
    let program = ["ProcessName", "Application"].into_iter().find_map(|field| event.data(field));
    let image = paths::base_name(run.start.data("Image").unwrap_or_default());
    let is_inside = (run.start.time..=run.end).contains(&event.time);
    event.data(field).and_then(number) == Some(pid)
        && (is_inside || program.is_none_or(|program| paths::base_name(program) == image))
}

fn deed(run: &Run, event: &Event) -> Option<Obstacle> {
    let what = match event.code {
        4648 => "the process used the password of another account",
        4657 => "the process changed the registry",
        4663 => accessed(run, event)?,
        4664 => "the process made a link to a file",
        4670 => "the process changed who may do what with an object",
        4697 => "the process installed a service",
        4698..=4702 => "the process made or changed a task",
        _ => "the process had a connection",
    };
    let on: Vec<&str> =
        ["ObjectName", "ObjectValueName", "FileName", "ServiceName", "TaskName", "TargetServerName", "DestAddress"]
            .into_iter()
            .filter_map(|field| event.data(field))
            .collect();
    let on: String = taint::shown(&on.join(" ")).chars().take(160).collect();
    Some(Obstacle::Unexplained(format!("{what} ({on}): {}", name(event))))
}

/// What an access to an object was, unless it only reads, or writes what the program writes by itself.
fn accessed(run: &Run, event: &Event) -> Option<&'static str> {
    let mask = event.data("AccessMask").and_then(number).and_then(|mask| u32::try_from(mask).ok());
    let changes = |bits: u32| mask.is_none_or(|mask| mask & bits != 0);
    match event.data("ObjectType").unwrap_or_default().to_ascii_lowercase().as_str() {
        "file" => {
            let path = event.data("ObjectName").unwrap_or_default();
            let is_own = writes::is_own_file(run, path, true);
            (changes(CHANGES) && !is_own).then_some("the process changed a file")
        }
        "key" => changes(CHANGES & !KEY_NOTIFY).then_some("the process changed the registry"),
        _ => Some("the process reached into another object"),
    }
}
