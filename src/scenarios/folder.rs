//! Scenarios as folders: the ones that come with the program and anybody's own; and whole ones, with the background
//! that a label only names.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use include_dir::{Dir, include_dir};

use super::background::{Act, Background};
use super::label::Label;
use crate::detection::read::{EventLog, ReadError};

/// The scenarios that come with the program.
static SHIPPED: Dir = include_dir!("$CARGO_MANIFEST_DIR/scenarios");

/// What the office's people say of it, by the files' names in a scenario's or a floor's folder.
const OFFICE: [(&str, &str); 2] = [
    ("context/office.toml", include_str!("../../scenarios/office/context.toml")),
    ("devices.toml", include_str!("../../scenarios/office/devices.toml")),
];

/// The label's file.
const LABEL: &str = "label.json";

/// The background's file.
pub const BASELINE: &str = "baseline.ndjson.gz";

/// Why a scenario cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The system refuses.
    #[error("`{path}` cannot be read or written ({source}): check the path and its permissions")]
    File {
        /// The file or folder.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// A label is none.
    #[error("`{file}` is no label of a scenario ({source}): compare it with those in scenarios/")]
    Label {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// None has this id.
    #[error("there is no scenario `{0}`: `watchfloor scenarios list` names those that come with the program")]
    Unknown(String),
    /// Its log cannot be used.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// A background surrounds events, and there are none.
    #[error("`{0}` holds no events, so that no background can be made around them")]
    NoEvents(String),
    /// Something is there already.
    #[error("`{0}` is there already: name a folder that is new or empty")]
    Occupied(String),
}

/// A scenario: its label, and its files.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What it says of itself.
    pub label: Label,
    /// Paths within the folder, and contents.
    files: Vec<(PathBuf, Cow<'static, [u8]>)>,
}

impl Scenario {
    /// The scenarios that come with the program, by their ids.
    ///
    /// # Errors
    /// When one of them is not sound, which a test excludes.
    pub fn shipped() -> Result<Vec<Self>, ScenarioError> {
        let mut found = Vec::new();
        for folder in SHIPPED.dirs() {
            let mut files = Vec::new();
            embedded(folder, folder.path(), &mut files);
            found.extend(Self::of(files, &folder.path().display().to_string())?);
        }
        found.sort_by(|one, other| one.label.id.cmp(&other.label.id));
        Ok(found)
    }

    /// A shipped scenario by its id.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(id: &str) -> Result<Self, ScenarioError> {
        let known = Self::shipped()?.into_iter().find(|scenario| scenario.label.id == id);
        known.ok_or_else(|| ScenarioError::Unknown(id.to_owned()))
    }

    /// `None` of a folder without a label: a log to try the program on.
    fn of(files: Vec<(PathBuf, Cow<'static, [u8]>)>, folder: &str) -> Result<Option<Self>, ScenarioError> {
        let Some((_, text)) = files.iter().find(|(path, _)| path.as_os_str() == LABEL) else { return Ok(None) };
        let label = serde_json::from_slice(text)
            .map_err(|source| ScenarioError::Label { file: format!("{folder}/{LABEL}"), source })?;
        Ok(Some(Self { label, files }))
    }

    /// Writes it whole into a folder of its own below another: label, events, context, and the background that the
    /// label names, as [`BASELINE`]. Gives the folder.
    ///
    /// # Errors
    /// When the folder holds something already, or cannot be written.
    pub fn materialise(&self, below: &Path) -> Result<PathBuf, ScenarioError> {
        let folder = self.unpack(below)?;
        if let Some(background) = self.label.background {
            write_baseline(background, &logs_in(&folder)?, &folder.join(BASELINE))?;
        }
        Ok(folder)
    }

    /// As [`Scenario::materialise`], without the background.
    ///
    /// # Errors
    /// As [`Scenario::materialise`].
    pub fn unpack(&self, below: &Path) -> Result<PathBuf, ScenarioError> {
        let folder = below.join(&self.label.id);
        if std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(ScenarioError::Occupied(folder.display().to_string()));
        }
        let office = if self.label.background.is_some() { &OFFICE[..] } else { &[] };
        let office = office.iter().map(|(path, text)| (Path::new(path), text.as_bytes()));
        let own = self.files.iter().map(|(path, content)| (path.as_path(), content.as_ref()));
        for (path, content) in office.chain(own) {
            put(&folder.join(path), content)?;
        }
        Ok(folder)
    }
}

/// Writes a background around the events of some logs into a file, packed.
///
/// # Errors
/// When the logs cannot be read or hold no events, or the file cannot be written.
pub fn write_baseline(background: Background, logs: &[PathBuf], file: &Path) -> Result<(), ScenarioError> {
    let lines = background.lines(&act_in(logs)?);
    let write = || {
        let mut out = GzEncoder::new(BufWriter::new(File::create(file)?), Compression::fast());
        for line in lines {
            out.write_all(line.as_bytes())?;
            out.write_all(b"\n")?;
        }
        out.finish()?.flush()
    };
    write().map_err(|source| ScenarioError::File { path: file.display().to_string(), source })
}

/// Gets a floor's folder ready for a scenario that names a background: what the office's people say of it is put
/// there, and the background, unless it lies in the scenario's folder already. Gives the background's file, if it was
/// made.
///
/// # Errors
/// When the label or the events cannot be read, or the floor's folder cannot be written.
pub fn furnish(scenario: &Path, state: &Path) -> Result<Option<PathBuf>, ScenarioError> {
    /// Of a label that anybody wrote, this much.
    #[derive(serde::Deserialize)]
    struct Named {
        background: Option<Background>,
    }
    let file = scenario.join(LABEL);
    let text = std::fs::read(&file).map_err(refused(&file))?;
    let label: Named = serde_json::from_slice(&text)
        .map_err(|source| ScenarioError::Label { file: file.display().to_string(), source })?;
    let Some(background) = label.background else { return Ok(None) };
    put_office(state)?;
    if scenario.join(BASELINE).is_file() {
        return Ok(None);
    }
    let made = state.join(BASELINE);
    write_baseline(background, &logs_in(scenario)?, &made)?;
    Ok(Some(made))
}

/// Puts what the office's people say of it into a floor's folder: context, and what its EDR knows of its devices.
///
/// # Errors
/// When it cannot be written.
pub fn put_office(state: &Path) -> Result<(), ScenarioError> {
    OFFICE.iter().try_for_each(|(path, text)| put(&state.join(path), text.as_bytes()))
}

fn refused(path: &Path) -> impl FnOnce(io::Error) -> ScenarioError {
    let path = path.display().to_string();
    move |source| ScenarioError::File { path, source }
}

fn put(path: &Path, content: &[u8]) -> Result<(), ScenarioError> {
    if let Some(within) = path.parent() {
        std::fs::create_dir_all(within).map_err(refused(within))?;
    }
    std::fs::write(path, content).map_err(refused(path))
}

/// The logs of a scenario's folder: `events.*`, by name.
///
/// # Errors
/// When the folder cannot be read.
pub fn logs_in(folder: &Path) -> Result<Vec<PathBuf>, ScenarioError> {
    let refused = |source| ScenarioError::File { path: folder.display().to_string(), source };
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("events.")) {
            logs.push(path);
        }
    }
    logs.sort();
    Ok(logs)
}

/// When the events of some logs happen, and where.
fn act_in(logs: &[PathBuf]) -> Result<Act, ScenarioError> {
    let mut act = Act::default();
    for log in logs {
        EventLog::open(log)?.for_each(|event| act.see(event.host.key(), event.time));
    }
    let named = || logs.iter().map(|log| log.display().to_string()).collect::<Vec<_>>().join(", ");
    if act.end().is_some() { Ok(act) } else { Err(ScenarioError::NoEvents(named())) }
}

fn embedded(folder: &Dir<'static>, root: &Path, files: &mut Vec<(PathBuf, Cow<'static, [u8]>)>) {
    for file in folder.files() {
        let path = file.path().strip_prefix(root).unwrap_or(file.path());
        files.push((path.to_owned(), Cow::Borrowed(file.contents())));
    }
    folder.dirs().for_each(|inner| embedded(inner, root, files));
}
