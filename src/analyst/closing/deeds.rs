//! What the process did, started, and had done to it: whatever its harmless explanation does not cover.

use super::Asked;
use super::run::{self, Run, name, number, sysmon};
use super::{signal, writes};
use crate::domain::event::{Event, SYSMON};
use crate::domain::obstacle::Obstacle;
use crate::domain::taint;
use crate::knowledge::paths::{self, PathClass};
use crate::knowledge::{access_mask, guid, programs};
use crate::ports::events::{EventQuery, Kind};
use crate::ports::storage::StorageError;

/// The deeds that are not explained.
pub(super) async fn unexplained(asked: &Asked<'_>, run: &Run) -> Result<Vec<Obstacle>, StorageError> {
    let mut all: Vec<Obstacle> = run.events.iter().filter_map(|event| of_its_own(run, event)).collect();
    all.extend(done_to_it(asked, run, Signals::Unexplained).await?);
    all.extend(children_by_number(asked, run).await?);
    Ok(all)
}

fn unexplained_event(what: &str, event: &Event) -> Obstacle {
    Obstacle::Unexplained(format!("{what}: {}", name(event)))
}

/// Of an event that names the process, what is not explained. A kind that nobody thought of is not.
fn of_its_own(run: &Run, event: &Event) -> Option<Obstacle> {
    let said = |field: &str| event.data(field).unwrap_or_default();
    let what = if event.host != run.start.host || event.host.is_of_another_domain(&run.start.host) {
        "an event of the process names another machine, or none"
    } else if event.channel != SYSMON {
        "an event of the process is of another sensor"
    } else {
        match event.code {
            1 if run.is_named(event, "ProcessGuid") => {
                let differs = |field: &str| said(field) != run.start.data(field).unwrap_or_default();
                let is_another = ["Image", "CommandLine", "User", "ParentImage"].into_iter().any(differs);
                is_another.then_some("the start of the process is told in two ways")?
            }
            1 => (!programs::is_own_child_of_powershell(said("Image")))
                .then_some("the process started something that is not its own compiler or console")?,
            3 => "the process had a connection",
            // Its end. What it wrote, registered, created and deleted is gone through by `writes`.
            5 => return None,
            code if writes::KINDS.contains(&code) => return None,
            7 => (!is_of_windows(event)).then_some("the process loaded code that is not signed by Microsoft")?,
            8 => "the process planted a thread",
            10 => access_mask::may_change(said("GrantedAccess"))
                .then_some("the process opened another so that it could change it")?,
            22 => "the process resolved a name",
            _ => "the process did something that its explanation does not cover",
        }
    };
    Some(unexplained_event(what, event))
}

/// Code that Microsoft signed, where Windows and Defender keep theirs, or .NET's own images of it, which nobody signs.
fn is_of_windows(event: &Event) -> bool {
    let said = |field: &str| event.data(field).unwrap_or_default();
    let path = said("ImageLoaded").to_lowercase();
    let class = paths::class(&path);
    let is_native_image = path.starts_with("c:\\windows\\assembly\\nativeimages_") && path.ends_with(".ni.dll");
    let is_signed = said("Signed").eq_ignore_ascii_case("true")
        && said("SignatureStatus").eq_ignore_ascii_case("valid")
        && ["Microsoft Windows", "Microsoft Windows Publisher", "Microsoft Corporation"].contains(&said("Signature"));
    let is_placed = matches!(class, PathClass::System | PathClass::Windows | PathClass::ProgramFiles)
        || path.starts_with("c:\\programdata\\microsoft\\windows defender\\");
    class != PathClass::Other && (is_native_image || is_signed && is_placed)
}

/// What a thread means by which `csrss.exe` tells the process to end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Signals {
    /// It is what is being explained.
    Expected,
    /// It is a thread as any other.
    Unexplained,
}

/// Threads planted in the process, and handles to it by which it could be changed. Whoever starts a process holds such
/// a handle, and so does `csrss.exe` of every process; anybody else wants something of it.
pub(super) async fn done_to_it(asked: &Asked<'_>, run: &Run, signals: Signals) -> Result<Vec<Obstacle>, StorageError> {
    let mut all = Vec::new();
    // Sysmon 8 and 10 write the name in two ways, and pipelines mix them.
    for field in ["TargetProcessGuid", "TargetProcessGUID"] {
        let conditions = vec![Run::contains(field, guid::bare(&run.guid))];
        let query = EventQuery { conditions, ..run.during(asked, sysmon(&[8, 10])) };
        match run::all(asked, &query).await? {
            Err(obstacle) => all.push(obstacle),
            Ok(events) => {
                let told = |event: &&Event| !(signals == Signals::Expected && signal::is_signal(event));
                all.extend(events.iter().filter(told).filter_map(|event| intrusion(run, event)));
            }
        }
    }
    Ok(all)
}

fn intrusion(run: &Run, event: &Event) -> Option<Obstacle> {
    let source = event.data("SourceImage").unwrap_or_default();
    if event.code == 8 {
        let what = format!("{} planted a thread in the process", taint::shown(&paths::base_name(source)));
        return Some(unexplained_event(&what, event));
    }
    let by = ["SourceProcessGUID", "SourceProcessGuid"].into_iter().find_map(|field| event.data(field));
    let parent = run.start.data("ParentProcessGuid");
    let is_parent = by.zip(parent).is_some_and(|(by, parent)| guid::same(by, parent));
    let is_of_every_process = source.eq_ignore_ascii_case("c:\\windows\\system32\\csrss.exe");
    let is_itself = by.is_some_and(|by| guid::same(by, &run.guid));
    let may_change = access_mask::may_change(event.data("GrantedAccess").unwrap_or_default());
    let what = format!("{} opened the process so that it could change it", taint::shown(&paths::base_name(source)));
    (may_change && !is_parent && !is_of_every_process && !is_itself).then(|| unexplained_event(&what, event))
}

/// Children by the number of their parent: those that Security alone logged, and those whose parent Sysmon did not know.
async fn children_by_number(asked: &Asked<'_>, run: &Run) -> Result<Vec<Obstacle>, StorageError> {
    let Some(pid) = run.pid else {
        return Ok(vec![Obstacle::Unseen("the process has no number by which its children could be found".into())]);
    };
    let mut kinds = sysmon(&[1]);
    kinds.push(Kind { channel: Some("Security".into()), code: 4688 });
    let query = EventQuery { host: Some(run.start.host.clone()), ..run.during(asked, kinds) };
    let events = match run::all(asked, &query).await? {
        Err(obstacle) => return Ok(vec![obstacle]),
        Ok(events) => events,
    };
    let is_child = |event: &&Event| {
        let (parent, image) =
            if event.code == 1 { ("ParentProcessId", "Image") } else { ("ProcessId", "NewProcessName") };
        let is_of_this = event.data(parent).and_then(number) == Some(pid);
        // A number is given again after the end: who has another parent by Sysmon's id is nobody's child here.
        let is_of_another = event.code == 1
            && event.time > run.end
            && event.data("ParentProcessGuid").is_some_and(|parent| !guid::same(parent, &run.guid));
        is_of_this && !is_of_another && !programs::is_own_child_of_powershell(event.data(image).unwrap_or_default())
    };
    let what = "a program that is not its own compiler or console names the process as its parent";
    Ok(events.iter().filter(is_child).map(|event| unexplained_event(what, event)).collect())
}
