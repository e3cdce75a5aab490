//! Programs that Windows started for somebody while the process ran: who asked for them, no log says.
//!
//! A process that asks WMI, a task, a service or a COM server to start something has no child: the host of these is the
//! parent. So a program under the same account that is not known to be started so stands against a close.

use super::Asked;
use super::known;
use super::run::{self, Run, earlier, name, sysmon};
use crate::domain::event::Event;
use crate::domain::obstacle::Obstacle;
use crate::domain::taint;
use crate::knowledge::fingerprints::ProcessRun;
use crate::knowledge::{making, paths};
use crate::ports::events::EventQuery;
use crate::ports::storage::StorageError;

/// Hosts that start programs on somebody's request.
const HOSTS: [&str; 8] = [
    "wmiprvse.exe",
    "scrcons.exe",
    "svchost.exe",
    "taskeng.exe",
    "services.exe",
    "dllhost.exe",
    "wsmprovhost.exe",
    "winrshost.exe",
];

/// Programs whose history is looked up. More strangers than this within one run are a person's in any case.
const MOST_LOOKED_UP: usize = 10;

/// Programs that were started in this way and are not known to be.
pub(super) async fn strangers(asked: &Asked<'_>, run: &Run) -> Result<Vec<Obstacle>, StorageError> {
    let query =
        EventQuery { host: Some(run.start.host.clone()), from: run.start.time, ..run.during(asked, sysmon(&[1])) };
    let events = match run::all(asked, &query).await? {
        Err(obstacle) => return Ok(vec![obstacle]),
        Ok(events) => events,
    };
    let to = earlier(run.start.time, known::LEFT_OUT);
    let mut all = Vec::new();
    for (looked_up, event) in events.iter().filter(|event| is_stranger(run, event)).enumerate() {
        let program = started(event);
        if looked_up >= MOST_LOOKED_UP || !known::recurs(asked, &run.start.host, program, to).await? {
            let host = taint::shown(&paths::base_name(program.parent));
            let image: String = taint::shown(program.image).chars().take(160).collect();
            let what = format!("while the process ran, {host} started a program under its account that is not usual");
            all.push(Obstacle::Unexplained(format!("{what} ({image}): {}", name(event))));
        }
    }
    Ok(all)
}

fn started(event: &Event) -> ProcessRun<'_> {
    let said = |field: &str| event.data(field).unwrap_or_default();
    ProcessRun { image: said("Image"), command: said("CommandLine"), user: said("User"), parent: said("ParentImage") }
}

fn is_stranger(run: &Run, event: &Event) -> bool {
    let program = started(event);
    let is_of_host = HOSTS.contains(&paths::base_name(program.parent).as_str());
    let same_account = program.user.eq_ignore_ascii_case(known::process(run).user);
    let is_of_run = run.is_named(event, "ProcessGuid") || run.is_named(event, "ParentProcessGuid");
    is_of_host && same_account && !is_of_run && !making::is_everyday(program)
}
