//! Rules that may change while they are in use: a folder is looked at now and then, and read again when a file's time
//! of modification, its size or the list of files has changed.
//!
//! A file that can no longer be used is named, and its last usable text stays in use until it is mended or removed; a
//! half-written file thus takes no rule away.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::assemble::assemble;
use super::load::{RuleFile, files_at, rule_paths};
use super::{Rejected, RuleError, RuleSet};

/// What looking at the rules gave.
#[derive(Debug)]
pub enum Looked {
    /// Nothing has changed.
    Unchanged,
    /// There are other rules in use now. Rules that could not be used are among [`RuleSet::rejected`].
    Changed(Arc<RuleSet>),
    /// Something has changed for the worse only: the rules in use are those from before.
    Kept(Vec<Rejected>),
}

/// Rules of one place, with the newest ones at hand.
#[derive(Debug)]
pub struct LiveRules {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    current: Arc<RuleSet>,
    stamps: BTreeMap<PathBuf, Stamp>,
    /// The last text of each file that was used without complaint.
    usable: HashMap<String, String>,
    /// The texts in use.
    used: Vec<(String, String)>,
}

/// By what a changed file is known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

impl LiveRules {
    /// Reads the rules of a folder, a file or an archive.
    ///
    /// # Errors
    /// As [`RuleSet::load`].
    pub fn open(path: &Path) -> Result<Self, RuleError> {
        let stamps = stamps(path)?;
        let files = read(path)?;
        let current = Arc::new(assemble(&files));
        let usable = usable(&files, &current);
        let used = texts(&files);
        let state = Mutex::new(State { current, stamps, usable, used });
        Ok(Self { path: path.to_owned(), state })
    }

    /// The rules in use.
    #[must_use]
    pub fn current(&self) -> Arc<RuleSet> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).current.clone()
    }

    /// Looks whether something has changed, and reads it if so. Reads files: not for an async thread.
    ///
    /// # Errors
    /// When the place can no longer be read or holds no rule file any more; the rules in use stay as they are.
    pub fn look(&self) -> Result<Looked, RuleError> {
        let stamps = stamps(&self.path)?;
        if self.state.lock().unwrap_or_else(PoisonError::into_inner).stamps == stamps {
            return Ok(Looked::Unchanged);
        }
        let mut files = read(&self.path)?;
        let fresh = assemble(&files);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.stamps = stamps;
        let mut rejected = fresh.rejected().to_vec();
        let mut has_old = false;
        for file in &mut files {
            let old = rejected.iter().any(|bad| bad.file == file.name).then(|| state.usable.get(&file.name)).flatten();
            if let Some(old) = old {
                file.text = Ok(old.clone());
                has_old = true;
            }
        }
        let mut fresh = if has_old { assemble(&files) } else { fresh };
        if has_old {
            // What is wrong with the new texts is said, though the old ones are in use.
            rejected
                .extend(fresh.rejected.iter().filter(|known| !rejected.contains(known)).cloned().collect::<Vec<_>>());
            fresh.rejected = rejected;
        }
        let used = texts(&files);
        if used == state.used {
            return Ok(Looked::Kept(fresh.rejected));
        }
        let usable = usable(&files, &fresh);
        state.usable.extend(usable);
        let present: std::collections::HashSet<&String> = files.iter().map(|file| &file.name).collect();
        state.usable.retain(|name, _| present.contains(name));
        state.used = used;
        state.current = Arc::new(fresh);
        Ok(Looked::Changed(state.current.clone()))
    }
}

fn read(path: &Path) -> Result<Vec<RuleFile>, RuleError> {
    let name = path.display().to_string();
    let files = files_at(path).map_err(|source| RuleError::Unreadable { path: name.clone(), source })?;
    if files.is_empty() { Err(RuleError::NoRules(name)) } else { Ok(files) }
}

fn stamps(path: &Path) -> Result<BTreeMap<PathBuf, Stamp>, RuleError> {
    let unreadable = |source| RuleError::Unreadable { path: path.display().to_string(), source };
    let mut paths = vec![];
    if path.is_dir() {
        rule_paths(path, &mut paths).map_err(unreadable)?
    } else {
        paths.push(path.to_owned())
    }
    // A file that goes away in between is noticed when the rules are read.
    let stamp = |path: PathBuf| {
        let known = path.metadata().ok()?;
        Some((path, Stamp { modified: known.modified().ok(), length: known.len() }))
    };
    Ok(paths.into_iter().filter_map(stamp).collect())
}

fn texts(files: &[RuleFile]) -> Vec<(String, String)> {
    files.iter().filter_map(|file| Some((file.name.clone(), file.text.clone().ok()?))).collect()
}

/// The texts of files that nothing is wrong with.
fn usable(files: &[RuleFile], rules: &RuleSet) -> HashMap<String, String> {
    let bad: std::collections::HashSet<&String> = rules.rejected().iter().map(|bad| &bad.file).collect();
    texts(files).into_iter().filter(|(name, _)| !bad.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RULE: &str = "title: T\nid: ID\nlogsource: {product: windows, service: system}\n\
                        detection:\n    sel: {EventID: 1}\n    condition: sel\n";

    /// Writes a rule, dated apart from all others: file systems keep time coarsely.
    fn write(folder: &Path, name: &str, text: &str, tick: u64) {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a file");
        let file = std::fs::File::options().write(true).open(path).expect("the file");
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + tick)).expect("a time");
    }

    fn ids(rules: &RuleSet) -> Vec<String> {
        let mut ids: Vec<String> = rules.cards().map(|card| card.id.to_string()).collect();
        ids.sort();
        ids
    }

    #[test]
    fn changed_rules_are_read_again_and_unchanged_ones_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "a.yml", &RULE.replace("ID", "a"), 1);
        let live = LiveRules::open(folder.path()).expect("rules");
        assert!(matches!(live.look(), Ok(Looked::Unchanged)));
        write(folder.path(), "b.yml", &RULE.replace("ID", "b"), 2);
        let Ok(Looked::Changed(rules)) = live.look() else { panic!("a file was added") };
        assert_eq!((ids(&rules), ids(&live.current())), (vec!["a".into(), "b".into()], vec!["a".into(), "b".into()]));
        write(folder.path(), "a.yml", &RULE.replace("ID", "c"), 3);
        std::fs::remove_file(folder.path().join("b.yml")).expect("it is there");
        assert!(matches!(live.look(), Ok(Looked::Changed(_))));
        assert_eq!(ids(&live.current()), ["c"]);
        assert!(matches!(live.look(), Ok(Looked::Unchanged)));
    }

    #[test]
    fn a_rule_that_breaks_is_named_and_stays_in_use_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "a.yml", &RULE.replace("ID", "a"), 1);
        let live = LiveRules::open(folder.path()).expect("rules");
        write(folder.path(), "a.yml", "title: [half", 2);
        let Ok(Looked::Kept(rejected)) = live.look() else { panic!("nothing usable has changed") };
        assert!(rejected.len() == 1 && rejected[0].file.ends_with("a.yml"), "{rejected:?}");
        assert_eq!(ids(&live.current()), ["a"]);
        // Another file changes meanwhile: it comes into use, and the broken one is named still.
        write(folder.path(), "b.yml", &RULE.replace("ID", "b"), 3);
        let Ok(Looked::Changed(rules)) = live.look() else { panic!("a file was added") };
        assert_eq!(ids(&rules), ["a", "b"]);
        assert_eq!(rules.rejected().len(), 1);
        write(folder.path(), "a.yml", &RULE.replace("ID", "mended"), 4);
        assert!(matches!(live.look(), Ok(Looked::Changed(_))));
        assert_eq!((ids(&live.current()), live.current().rejected().len()), (vec!["b".into(), "mended".into()], 0));
    }

    #[test]
    fn a_folder_that_has_gone_takes_no_rule_away() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "a.yml", &RULE.replace("ID", "a"), 1);
        let live = LiveRules::open(folder.path()).expect("rules");
        std::fs::remove_file(folder.path().join("a.yml")).expect("it is there");
        assert!(live.look().is_err());
        drop(folder);
        assert!(live.look().is_err());
        assert_eq!(ids(&live.current()), ["a"]);
    }
}
