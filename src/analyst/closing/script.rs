//! Who wrote the script that the process ran: nobody but the program that ran it.

use jiff::{SignedDuration, Timestamp};

use super::Asked;
use super::content::{self, Content};
use super::known::{self, LEAST_HISTORY};
use super::run::{self, Run, earlier, name, sysmon};
use crate::domain::event::Event;
use crate::domain::obstacle::Obstacle;
use crate::domain::taint;
use crate::knowledge::{fingerprints, paths, template};
use crate::ports::events::EventQuery;
use crate::ports::events::mention::Mention;
use crate::ports::storage::StorageError;

/// So long before it ran every file event of the machine is looked at, by whatever name the script was written. Before
/// that, those that name it are: by its name, by its streams, and by the short names that Windows gives.
const CLOSELY: SignedDuration = SignedDuration::from_hours(24);

/// Files of one beginning that have short names made of it; a further one gets a name made of a digest.
const SHORT_NAMES: u32 = 4;

/// Writers of the script other than whoever started the process, by whatever name and whenever they wrote it; and of a
/// fingerprint's script, that nobody knows who made it.
pub(super) async fn foreign_writers(asked: &Asked<'_>, run: &Run) -> Result<Vec<Obstacle>, StorageError> {
    let process = known::process(run);
    let agent = fingerprints::agent_script(process);
    let of_agent = agent.as_ref().map(|agent| (agent.script.clone(), agent.folder));
    let of_fingerprint =
        fingerprints::defender_data_collection(process).map(|script| (script, fingerprints::COLLECTION)).or(of_agent);
    let scripts = match &of_fingerprint {
        Some((script, _)) => vec![script.clone()],
        None => named_in(process.command),
    };
    let mut all = Vec::new();
    for script in &scripts {
        let (events, more) = writes_of(asked, run, script).await?;
        all.extend(more);
        let may_be_installed = of_fingerprint.is_none();
        all.extend(events.iter().filter_map(|event| foreign(run, event, script, may_be_installed)));
        if let Some((script, folder)) = &of_fingerprint {
            let is_made_here = |event: &Event| {
                let is_before = event.code == 11 && event.time <= run.start.time;
                is_before && is_of(event, script) && is_by(event, process.parent)
            };
            if !events.iter().any(is_made_here) {
                all.extend(without_maker(asked, run, script, folder).await?);
            }
        }
    }
    all.dedup();
    Ok(all)
}

/// A file that was renamed or moved into its place leaves no event of its making. Its content has to speak for it: the
/// command compares it, or the very same ran on several machines and days before.
async fn without_maker(
    asked: &Asked<'_>,
    run: &Run,
    script: &str,
    folder: &str,
) -> Result<Option<Obstacle>, StorageError> {
    let process = known::process(run);
    if fingerprints::pins_content(process)
        || matches!(content::of_script(asked, run, script, folder).await?, Content::Known)
    {
        return Ok(None);
    }
    let (script, maker) = (paths::base_name(script), paths::base_name(process.parent));
    Ok(Some(Obstacle::Unseen(format!(
        "no file event shows that {} made {}: it may have been renamed into its place, which no sensor here logs",
        taint::shown(&maker),
        taint::shown(&script)
    ))))
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

/// Every file event of the machine that may be about the script, up to its run.
async fn writes_of(asked: &Asked<'_>, run: &Run, script: &str) -> Result<(Vec<Event>, Option<Obstacle>), StorageError> {
    let (mut found, mut long) = (Vec::new(), None);
    let base = paths::base_name(script);
    let on_host = |from: Timestamp| EventQuery {
        host: Some(run.start.host.clone()),
        from,
        ..run.during(asked, sysmon(&[2, 11, 15]))
    };
    // A short name has a tilde and nothing else in common with the long one.
    let near = earlier(run.start.time, CLOSELY);
    let close = [base.as_str(), "~"]
        .map(|part| EventQuery { conditions: vec![Run::contains("TargetFilename", part)], ..on_host(near) });
    let far = names_of(&base)
        .into_iter()
        .map(|name| EventQuery { mentions: vec![Mention::file_name(&name)], ..on_host(Timestamp::MIN) });
    for query in close.into_iter().chain(far) {
        match run::all(asked, &query).await? {
            Err(obstacle) => long = Some(obstacle),
            Ok(events) => found.extend(events),
        }
    }
    found.sort_by(|one, other| (one.time, &one.id).cmp(&(other.time, &other.id)));
    found.dedup_by(|one, other| one.id == other.id);
    Ok((found, long))
}

/// Names under which a file event may name the file: its own, the short ones that Windows makes of it, and their
/// unnamed streams.
fn names_of(base: &str) -> Vec<String> {
    let (stem, ending) = base.rsplit_once('.').unwrap_or((base, ""));
    let stem: String = stem.chars().filter(|c| !matches!(c, ' ' | '.')).take(6).collect();
    let ending: String = ending.chars().take(3).collect();
    let short = (1..=SHORT_NAMES).map(|number| format!("{stem}~{number}.{ending}"));
    let names = std::iter::once(base.to_owned()).chain(short);
    names.flat_map(|name| [format!("{name}::$data"), name]).collect()
}

fn is_of(event: &Event, script: &str) -> bool {
    event.data("TargetFilename").is_some_and(|file| paths::may_be_the_same_file(file, script))
}

fn is_by(event: &Event, program: &str) -> bool {
    event.data("Image").is_some_and(|image| image.eq_ignore_ascii_case(program))
}

/// A write of the script by another. `may_be_installed`: the script may be there since long ago, under a name that others
/// have as well.
fn foreign(run: &Run, event: &Event, script: &str, may_be_installed: bool) -> Option<Obstacle> {
    let before = run.start.time.duration_since(event.time);
    let is_elsewhere = || before > CLOSELY && !is_unique(script) && is_another_place(event, script);
    let is_installed = || before > LEAST_HISTORY && is_by_installer(event);
    let is_foreign = is_of(event, script)
        && !is_by(event, known::process(run).parent)
        && !(may_be_installed && (is_elsewhere() || is_installed()));
    let what = "another program may have written the script that the process ran";
    is_foreign.then(|| Obstacle::Unexplained(format!("{what}: {}", name(event))))
}

/// Windows' own installers wrote it, with the program to which it belongs. The servicing worker lies in a folder of each
/// build.
fn is_by_installer(event: &Event) -> bool {
    let image = event.data("Image").unwrap_or_default().to_lowercase();
    let own = ["c:\\windows\\system32\\msiexec.exe", "c:\\windows\\servicing\\trustedinstaller.exe"];
    let is_worker = image.starts_with("c:\\windows\\winsxs\\") && image.ends_with("\\tiworker.exe");
    own.contains(&image.as_str()) || is_worker && !image.contains("..")
}

/// The name was made up for this one file: no other has it by chance.
fn is_unique(script: &str) -> bool {
    let base = paths::base_name(script);
    template::path(&base) != base
}

/// The file lies at another place, told in plain spelling. Of a script that the command names without its whole path,
/// any place may be it that ends in what is named.
fn is_another_place(event: &Event, script: &str) -> bool {
    let is_plain = |path: &str| !path.contains(['~', '/']) && !path.contains("..");
    let is_rooted = |path: &str| path.get(1..3) == Some(":\\");
    let there = event.data("TargetFilename").unwrap_or_default().to_lowercase();
    let here = script.to_lowercase();
    let same = if is_rooted(&here) { there == here } else { there.ends_with(&here) };
    is_rooted(&there) && is_plain(&there) && is_plain(&here) && !same
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_asked_for_by_every_name_that_windows_gives_it() {
        let names = names_of("0a1b2c3d-0001.ps1");
        for name in ["0a1b2c3d-0001.ps1", "0a1b2c3d-0001.ps1::$data", "0a1b2c~1.ps1", "0a1b2c~4.ps1::$data"] {
            assert!(names.iter().any(|one| one == name), "{name}: {names:?}");
        }
        assert!(is_unique("C:\\a\\0a1b2c3d4e5f.ps1") && !is_unique("C:\\a\\check.ps1"));
    }
}
