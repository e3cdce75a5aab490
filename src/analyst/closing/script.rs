//! Who wrote the script that the process ran: nobody but the program that ran it.

use jiff::SignedDuration;

use super::Asked;
use super::run::{self, Run, earlier, name, sysmon};
use crate::domain::event::Event;
use crate::domain::obstacle::Obstacle;
use crate::knowledge::fingerprints::{self, ProcessRun};
use crate::knowledge::paths;
use crate::ports::events::EventQuery;
use crate::ports::storage::StorageError;

/// How long before it ran a script may have been written.
const BEFORE: SignedDuration = SignedDuration::from_hours(24);

/// Writers of the script other than whoever started the process, by whatever name they wrote it.
pub(super) async fn foreign_writers(asked: &Asked<'_>, run: &Run) -> Result<Vec<Obstacle>, StorageError> {
    let said = |field: &str| run.start.data(field).unwrap_or_default();
    let process = ProcessRun {
        image: said("Image"),
        command: said("CommandLine"),
        user: said("User"),
        parent: said("ParentImage"),
    };
    let Some(script) = fingerprints::defender_data_collection(process) else { return Ok(vec![]) };
    let mut all = Vec::new();
    // A short name has a tilde and nothing else in common with the long one.
    for part in [paths::base_name(&script).as_str(), "~"] {
        let query = EventQuery {
            host: Some(run.start.host.clone()),
            conditions: vec![Run::contains("TargetFilename", part)],
            from: earlier(run.start.time, BEFORE),
            ..run.during(asked, sysmon(&[2, 11, 15]))
        };
        match run::all(asked, &query).await? {
            Err(obstacle) => all.push(obstacle),
            Ok(events) => all.extend(events.iter().filter_map(|event| foreign(event, &script, said("ParentImage")))),
        }
    }
    all.dedup();
    Ok(all)
}

fn foreign(event: &Event, script: &str, parent: &str) -> Option<Obstacle> {
    let is_script = event.data("TargetFilename").is_some_and(|file| paths::may_be_the_same_file(file, script));
    let is_own = event.data("Image").is_some_and(|image| image.eq_ignore_ascii_case(parent));
    let what = "another program may have written the script that the process ran";
    (is_script && !is_own).then(|| Obstacle::Unexplained(format!("{what}: {}", name(event))))
}
