//! Who wrote the script that the process ran: nobody but the program that ran it.

use jiff::SignedDuration;

use super::Asked;
use super::known;
use super::run::{self, Run, earlier, name, sysmon};
use crate::domain::event::Event;
use crate::domain::obstacle::Obstacle;
use crate::knowledge::fingerprints;
use crate::knowledge::paths;
use crate::ports::events::EventQuery;
use crate::ports::storage::StorageError;

/// How long before it ran a script may have been written.
const BEFORE: SignedDuration = SignedDuration::from_hours(24);

/// Writers of the script other than whoever started the process, by whatever name they wrote it.
pub(super) async fn foreign_writers(asked: &Asked<'_>, run: &Run) -> Result<Vec<Obstacle>, StorageError> {
    let parent = run.start.data("ParentImage").unwrap_or_default();
    let process = known::process(run);
    let known = fingerprints::defender_data_collection(process);
    let scripts = known.map_or_else(|| named_in(process.command), |script| vec![script]);
    let mut all = Vec::new();
    for script in &scripts {
        all.extend(writers(asked, run, script, parent).await?);
    }
    all.dedup();
    Ok(all)
}

/// Endings of what interpreters run.
const SCRIPTS: [&str; 9] = [".ps1", ".psm1", ".vbs", ".js", ".wsf", ".bat", ".cmd", ".py", ".hta"];

/// Scripts that a command names, quoted or not.
pub(super) fn named_in(command: &str) -> Vec<String> {
    let words = command.split(['"', '\'']).flat_map(|part| [part].into_iter().chain(part.split_whitespace()));
    let scripts = words.map(str::trim).filter(|word| {
        let word = word.to_lowercase();
        SCRIPTS.iter().any(|ending| word.ends_with(ending))
    });
    let mut scripts: Vec<String> = scripts.map(str::to_owned).collect();
    scripts.sort();
    scripts.dedup();
    scripts
}

async fn writers(asked: &Asked<'_>, run: &Run, script: &str, parent: &str) -> Result<Vec<Obstacle>, StorageError> {
    let mut all = Vec::new();
    // A short name has a tilde and nothing else in common with the long one.
    for part in [paths::base_name(script).as_str(), "~"] {
        let query = EventQuery {
            host: Some(run.start.host.clone()),
            conditions: vec![Run::contains("TargetFilename", part)],
            from: earlier(run.start.time, BEFORE),
            ..run.during(asked, sysmon(&[2, 11, 15]))
        };
        match run::all(asked, &query).await? {
            Err(obstacle) => all.push(obstacle),
            Ok(events) => all.extend(events.iter().filter_map(|event| foreign(event, script, parent))),
        }
    }
    Ok(all)
}

fn foreign(event: &Event, script: &str, parent: &str) -> Option<Obstacle> {
    let is_script = event.data("TargetFilename").is_some_and(|file| paths::may_be_the_same_file(file, script));
    let is_own = event.data("Image").is_some_and(|image| image.eq_ignore_ascii_case(parent));
    let what = "another program may have written the script that the process ran";
    (is_script && !is_own).then(|| Obstacle::Unexplained(format!("{what}: {}", name(event))))
}
