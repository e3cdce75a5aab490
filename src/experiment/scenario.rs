//! Finds scenarios: folders with a `label.json` and a log beside it.

use std::io;
use std::path::{Path, PathBuf};

use super::label::Label;

/// The label's file.
const LABEL: &str = "label.json";

/// A scenario on disk.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What happened.
    pub label: Label,
    /// The logs, in order of their names.
    pub events: Vec<PathBuf>,
    /// Logs of the time before, which raise no alerts: `baseline.*`.
    pub baseline: Vec<PathBuf>,
}

/// Why a folder's scenarios could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The system refuses.
    #[error("`{path}` cannot be read ({source}): check the path and its permissions")]
    Unreadable {
        /// The file or folder.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// There are none.
    #[error("`{0}` holds no scenario: name a folder that has folders with a label.json and an events.* file in it")]
    None(String),
    /// None has the names that were asked for.
    #[error("there is no scenario `{name}` in `{folder}`: it has {known}")]
    Unknown {
        /// The name.
        name: String,
        /// Where it was looked for.
        folder: String,
        /// Some that are there.
        known: String,
    },
    /// A label is none.
    #[error(
        "`{file}` is no label ({source}): it has to be JSON with at least `id` and `kind` (attack, silent_attack or benign)"
    )]
    Label {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Nothing to play.
    #[error(
        "`{0}` has a label and no log: an events.ndjson, events.json or events.evtx, packed or not, belongs beside it"
    )]
    NoEvents(String),
    /// Two would be taken for one another.
    #[error("`{0}` is the id of two scenarios: give one of them another in its label.json")]
    Twice(String),
}

impl Scenario {
    /// All scenarios of a folder, by their ids; the folder may be one itself. `only` names the ones that are wanted,
    /// all if it names none.
    ///
    /// # Errors
    /// See [`ScenarioError`].
    pub fn find(folder: &Path, only: &[String]) -> Result<Vec<Self>, ScenarioError> {
        let mut found = Vec::new();
        if folder.join(LABEL).is_file() {
            found.push(Self::read(folder)?);
        } else {
            for inner in entries(folder)? {
                if inner.join(LABEL).is_file() {
                    found.push(Self::read(&inner)?);
                }
            }
        }
        if found.is_empty() {
            return Err(ScenarioError::None(folder.display().to_string()));
        }
        found.sort_by(|one, other| one.label.id.cmp(&other.label.id));
        if let Some(pair) = found.windows(2).find(|pair| pair[0].label.id == pair[1].label.id) {
            return Err(ScenarioError::Twice(pair[0].label.id.clone()));
        }
        if let Some(name) = only.iter().find(|name| !found.iter().any(|scenario| scenario.label.id == **name)) {
            let known: Vec<&str> = found.iter().take(10).map(|scenario| scenario.label.id.as_str()).collect();
            let more = if found.len() > known.len() { ", …" } else { "" };
            let (folder, known) = (folder.display().to_string(), format!("{}{more}", known.join(", ")));
            return Err(ScenarioError::Unknown { name: name.clone(), folder, known });
        }
        found.retain(|scenario| only.is_empty() || only.contains(&scenario.label.id));
        Ok(found)
    }

    fn read(folder: &Path) -> Result<Self, ScenarioError> {
        let file = folder.join(LABEL);
        let text = std::fs::read_to_string(&file).map_err(|source| unreadable(&file, source))?;
        let label =
            Label::parse(&text).map_err(|source| ScenarioError::Label { file: file.display().to_string(), source })?;
        let files = entries(folder)?;
        let named = |stem: &str| -> Vec<PathBuf> {
            let is_so = |path: &&PathBuf| {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                path.is_file() && name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.'))
            };
            files.iter().filter(is_so).cloned().collect()
        };
        let (events, baseline) = (named("events"), named("baseline"));
        if events.is_empty() {
            return Err(ScenarioError::NoEvents(folder.display().to_string()));
        }
        Ok(Self { label, events, baseline })
    }
}

/// What a folder holds, by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, ScenarioError> {
    let read = std::fs::read_dir(folder).and_then(|read| read.map(|entry| Ok(entry?.path())).collect());
    let mut found: Vec<PathBuf> = read.map_err(|source| unreadable(folder, source))?;
    found.sort();
    Ok(found)
}

fn unreadable(path: &Path, source: io::Error) -> ScenarioError {
    ScenarioError::Unreadable { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
            std::fs::write(path, content).expect("it is written");
        }
        folder
    }

    const LABEL_A: &str = r#"{"id":"a","kind":"attack"}"#;

    #[test]
    fn scenarios_are_found_with_what_lies_beside_them() {
        let folder = folder(&[
            ("two/label.json", r#"{"id":"b","kind":"benign"}"#),
            ("two/events.evtx.gz", ""),
            ("one/label.json", LABEL_A),
            ("one/events.ndjson", ""),
            ("one/baseline.ndjson.gz", ""),
            ("one/eventsful.txt", ""),
            ("notes/readme.md", ""),
        ]);
        let found = Scenario::find(folder.path(), &[]).expect("two scenarios");
        let told: Vec<_> =
            found.iter().map(|one| (one.label.id.as_str(), one.events.len(), one.baseline.len())).collect();
        assert_eq!(told, [("a", 1, 1), ("b", 1, 0)]);
        let one = Scenario::find(folder.path(), &["b".to_owned()]).expect("one of them");
        assert_eq!(one.len(), 1);
        assert_eq!(Scenario::find(&folder.path().join("one"), &[]).expect("itself").len(), 1);
        let error = Scenario::find(folder.path(), &["c".to_owned()]).expect_err("there is none");
        assert!(error.to_string().contains("`c`") && error.to_string().contains("a, b"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named_by_its_file() {
        let broken = folder(&[("one/label.json", r#"{"id":"a""#), ("one/events.json", "")]);
        let error = Scenario::find(broken.path(), &[]).expect_err("half a label");
        assert!(error.to_string().contains("one/label.json"), "{error}");
        let empty = folder(&[("one/label.json", LABEL_A)]);
        assert!(matches!(Scenario::find(empty.path(), &[]), Err(ScenarioError::NoEvents(_))));
        let twice = folder(&[
            ("one/label.json", LABEL_A),
            ("one/events.json", ""),
            ("two/label.json", LABEL_A),
            ("two/events.json", ""),
        ]);
        assert!(matches!(Scenario::find(twice.path(), &[]), Err(ScenarioError::Twice(_))));
        assert!(matches!(Scenario::find(&folder(&[]).path().join("x"), &[]), Err(ScenarioError::Unreadable { .. })));
        assert!(matches!(Scenario::find(folder(&[]).path(), &[]), Err(ScenarioError::None(_))));
    }
}
