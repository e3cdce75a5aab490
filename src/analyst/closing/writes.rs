//! What the process wrote, registered, created or deleted: each stands against a close unless it is known.
//!
//! Known is what the program writes by itself whatever it is told (`knowledge::own_writes`), what its fingerprint says
//! it keeps, and data that the same command wrote in the same form on several machines and days. What can be run or is
//! loaded by others is never known.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Asked;
use super::known::{self, BACK, LEFT_OUT, RECURS};
use super::run::{self, Run, earlier, name, sysmon};
use crate::domain::event::{Event, SYSMON};
use crate::domain::obstacle::Obstacle;
use crate::domain::taint;
use crate::knowledge::{fingerprints, guid, making, own_writes, paths, programs, template};
use crate::ports::events::mention::Mention;
use crate::ports::events::{Comparison, Condition, EventQuery};
use crate::ports::storage::StorageError;

/// Probes of one run. PowerShell makes one of each kind, and a few more where policies are layered.
const MOST_PROBES: usize = 4;

/// Forms of writes of one run whose history is looked up: more is no habit that anybody would recognise.
const MOST_FORMS: usize = 6;

/// Earlier writes of one form that are looked through, and of them those whose process is looked up.
const MOST_EARLIER: usize = 500;
const MOST_STARTS: usize = 24;

/// Writes that are named one by one.
const MOST_NAMED: usize = 5;

/// Sysmon's events of what a process wrote, registered, created or deleted.
pub(super) const KINDS: [u32; 9] = [11, 12, 13, 14, 15, 17, 18, 23, 26];

/// The writes that are not known.
pub(super) async fn unexplained(asked: &Asked<'_>, run: &Run) -> Result<Vec<Obstacle>, StorageError> {
    // What another machine or sensor tells of the process is a deed of its own (`deeds`).
    let is_write = |event: &&Event| {
        event.channel == SYSMON
            && KINDS.contains(&event.code)
            && run.is_named(event, "ProcessGuid")
            && event.host == run.start.host
            && !event.host.is_of_another_domain(&run.start.host)
    };
    let writes: Vec<&Event> = run.events.iter().filter(is_write).collect();
    let mut forms: BTreeSet<String> = BTreeSet::new();
    let mut habits: BTreeSet<String> = BTreeSet::new();
    let mut unknown: Vec<&Event> = Vec::new();
    for event in &writes {
        if is_own(run, event, &writes) {
            continue;
        }
        let form = form(event);
        if forms.len() < MOST_FORMS && forms.insert(form.clone()) && is_habit(asked, run, event).await? {
            habits.insert(form.clone());
        }
        // Of one form may be data and what is none.
        if !(habits.contains(&form) && may_be_habit(event)) {
            unknown.push(event);
        }
    }
    let mut all: Vec<Obstacle> = unknown.iter().take(MOST_NAMED).map(|event| says("the process", event)).collect();
    if unknown.len() > MOST_NAMED {
        let more = unknown.len() - MOST_NAMED;
        all.push(Obstacle::Unexplained(format!("and {more} more writes of the process that are not explained")));
    }
    all.extend(probes(asked, run, &writes).await?);
    all.extend(of_children(asked, run).await?);
    Ok(all)
}

/// What its own compiler and console wrote: they are harmless children only as far as that is theirs to write. Other
/// children stand against the close already (`deeds`).
async fn of_children(asked: &Asked<'_>, run: &Run) -> Result<Vec<Obstacle>, StorageError> {
    let mut all = Vec::new();
    let is_child = |event: &&Event| event.is_sysmon(1) && run.is_named(event, "ParentProcessGuid");
    for child in run.events.iter().filter(is_child) {
        let said = |field: &str| child.data(field).unwrap_or_default();
        let (image, process) = (said("Image"), said("ProcessGuid"));
        if !programs::is_own_child_of_powershell(image) || process.is_empty() {
            continue;
        }
        let query = EventQuery {
            process: Some(process.to_owned()),
            kinds: sysmon(&KINDS),
            ..EventQuery::within(Timestamp::MIN, Timestamp::MAX, asked.watermark)
        };
        let is_known = |event: &&Event| match event.code {
            11 | 23 | 26 => {
                let file = target(event);
                own_writes::is_of_compiler(image, file) || own_writes::is_own_record(image, file)
            }
            12 => event.data("EventType") == Some("CreateKey") && own_writes::is_opened_key(target(event)),
            17 | 18 => own_writes::is_own_pipe(image, target(event), None),
            _ => false,
        };
        let who = format!("its {}", taint::shown(&paths::base_name(image)));
        match run::all(asked, &query).await? {
            Err(obstacle) => all.push(obstacle),
            Ok(events) => {
                let unknown = events.iter().filter(|event| !is_known(event)).take(MOST_NAMED);
                all.extend(unknown.map(|event| says(&who, event)));
            }
        }
    }
    Ok(all)
}

fn target(event: &Event) -> &str {
    ["TargetFilename", "TargetObject", "PipeName"].into_iter().find_map(|field| event.data(field)).unwrap_or_default()
}

fn says(who: &str, event: &Event) -> Obstacle {
    let what = match event.code {
        11 => "wrote a file",
        15 => "wrote a stream of a file",
        12..=14 => "changed the registry",
        17 => "made a pipe",
        18 => "connected to a pipe",
        _ => "deleted a file",
    };
    let target: String = taint::shown(target(event)).chars().take(160).collect();
    Obstacle::Unexplained(format!("{who} {what} that its explanation does not cover ({target}): {}", name(event)))
}

/// The program does that by itself, or its fingerprint says it keeps such a file.
fn is_own(run: &Run, event: &Event, writes: &[&Event]) -> bool {
    let (image, target) = (run.start.data("Image").unwrap_or_default(), target(event));
    match event.code {
        11 | 23 | 26 => {
            is_own_file(run, target, event.code != 11) || event.code == 11 && is_folder(image, target, writes)
        }
        12 => event.data("EventType") == Some("CreateKey") && own_writes::is_opened_key(target),
        17 | 18 => own_writes::is_own_pipe(image, target, run.pid),
        _ => false,
    }
}

/// A file that the program writes by itself, or deletes, whatever it is told to do.
pub(super) fn is_own_file(run: &Run, path: &str, is_deletion: bool) -> bool {
    let image = run.start.data("Image").unwrap_or_default();
    own_writes::is_policy_probe(image, path)
        || own_writes::is_own_record(image, path)
        || own_writes::is_for_compiler(image, path, is_deletion) && compiles(run)
        || own_writes::is_data(path) && fingerprints::keeps(known::process(run), path)
}

/// It is the folder of the compiler's files that it wrote as well.
fn is_folder(image: &str, path: &str, writes: &[&Event]) -> bool {
    let inside = format!("{}\\", path.to_lowercase());
    let is_inside = |event: &&Event| {
        let file = target(event);
        event.code == 11 && file.to_lowercase().starts_with(&inside) && own_writes::is_for_compiler(image, file, false)
    };
    own_writes::may_be_folder_for_compiler(image, path) && writes.iter().any(is_inside)
}

/// The process started the compiler, whose files are then its own.
fn compiles(run: &Run) -> bool {
    let is_compiler = |event: &Event| {
        let image = event.data("Image").unwrap_or_default();
        event.is_sysmon(1)
            && run.is_named(event, "ParentProcessGuid")
            && paths::base_name(image) == "csc.exe"
            && programs::is_own_child_of_powershell(image)
    };
    run.events.iter().any(is_compiler)
}

/// A probe is deleted and run by nobody: of one that somebody started, PowerShell's name is only borrowed.
async fn probes(asked: &Asked<'_>, run: &Run, writes: &[&Event]) -> Result<Vec<Obstacle>, StorageError> {
    let image = run.start.data("Image").unwrap_or_default();
    let is_probe = |event: &&&Event| event.code == 11 && own_writes::is_policy_probe(image, target(event));
    let names: BTreeSet<String> = writes.iter().filter(is_probe).map(|event| paths::base_name(target(event))).collect();
    if names.len() > MOST_PROBES {
        let what = "the process wrote more files that are named like PowerShell's probes than PowerShell does";
        return Ok(vec![Obstacle::Unexplained(what.into())]);
    }
    let mut all = Vec::new();
    for probe in names {
        // Its name was made up for it: whoever names it means it.
        let query = EventQuery {
            kinds: sysmon(&[1]),
            conditions: vec![Run::contains("CommandLine", &probe)],
            limit: 1,
            to: Timestamp::MAX,
            ..run.during(asked, vec![])
        };
        if let Some(event) = asked.events.search(&query).await?.rows.first() {
            let what = "a program was started with a file that is named like PowerShell's probe";
            all.push(Obstacle::Unexplained(format!("{what}: {}", name(event))));
        }
    }
    Ok(all)
}

/// What makes two writes the same to the eye: their kind and their target without what changes from run to run.
fn form(event: &Event) -> String {
    let details = template::command(event.data("Details").unwrap_or_default());
    format!("{} {} {details}", event.code, template::path(target(event)))
}

/// It can be known by history at all: data in a place of data, or a product's own value.
fn may_be_habit(event: &Event) -> bool {
    let target = target(event);
    match event.code {
        11 | 23 | 26 => own_writes::is_data(target) && own_writes::is_data_place(target),
        13 => own_writes::is_products_value(target, event.data("Details").unwrap_or_default()),
        _ => false,
    }
}

/// The same command wrote the same form on several machines and days before.
async fn is_habit(asked: &Asked<'_>, run: &Run, event: &Event) -> Result<bool, StorageError> {
    let Some(image) = run.start.data("Image").filter(|_| may_be_habit(event)) else { return Ok(false) };
    let to = earlier(run.start.time, LEFT_OUT);
    let by_program =
        Condition { field: "winlog.event_data.Image".into(), comparison: Comparison::Equals, value: image.into() };
    let mut mentions = vec![Mention::file_name(image)];
    let file = paths::base_name(target(event));
    // A name without anything that changes is found by itself.
    if event.code != 13 && template::path(&file) == file {
        mentions.push(Mention::file_name(&file));
    }
    let query = EventQuery {
        kinds: sysmon(&[event.code]),
        mentions,
        conditions: vec![by_program],
        limit: MOST_EARLIER,
        ..EventQuery::within(earlier(to, BACK), to, asked.watermark)
    };
    let wanted = form(event);
    let (mut looked_up, mut machines, mut days) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for earlier_write in asked.events.search(&query).await?.rows.iter().filter(|row| form(row) == wanted) {
        let (machine, day) = (earlier_write.host.key().to_owned(), earlier_write.time.strftime("%F").to_string());
        // One of each machine and day is enough.
        if earlier_write.host.is_unknown()
            || looked_up.len() >= MOST_STARTS
            || !looked_up.insert((machine.clone(), day.clone()))
        {
            continue;
        }
        if is_of_same_command(asked, run, earlier_write).await? {
            machines.insert(machine);
            days.insert(day);
        }
        if machines.len() as u64 >= RECURS && days.len() as u64 >= RECURS {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whoever wrote it was started in the same way: an interpreter writes what it is told to.
async fn is_of_same_command(asked: &Asked<'_>, run: &Run, write: &Event) -> Result<bool, StorageError> {
    let Some(process) = write.data("ProcessGuid") else { return Ok(false) };
    let query = EventQuery {
        host: Some(write.host.clone()),
        process: Some(process.to_owned()),
        kinds: sysmon(&[1]),
        limit: 8,
        ..EventQuery::within(earlier(write.time, BACK), write.time, asked.watermark)
    };
    let command = run.start.data("CommandLine").unwrap_or_default();
    let is_same = |start: &Event| {
        let said = |field: &str| start.data(field).unwrap_or_default();
        let as_here = |field: &str| said(field).eq_ignore_ascii_case(run.start.data(field).unwrap_or_default());
        let same_command = match making::is_encoded(command) {
            true => said("CommandLine") == command,
            false => template::command(said("CommandLine")) == template::command(command),
        };
        guid::same(said("ProcessGuid"), process)
            && ["Image", "ParentImage", "User"].into_iter().all(as_here)
            && same_command
    };
    Ok(asked.events.search(&query).await?.rows.iter().any(is_same))
}
