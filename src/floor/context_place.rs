//! Where a state folder's context lies: named once with `--context`, and known to every later command on the folder.
//!
//! The path is written down and not the content. What people declare of their machines changes, and a copy would go on
//! protecting yesterday's. If the place is gone the command stops and says so: to judge and to act without knowing which
//! machines are protected would be worse than to wait for whoever moved it.

use std::io;
use std::path::{Path, PathBuf};

/// The folder of context files within a state folder.
const WITHIN: &str = "context";

/// The file of a state folder that says where else its context lies.
const NOTE: &str = "context.path";

/// Where the context of a state folder lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextPlace {
    /// It is named now.
    Named(PathBuf),
    /// It was named before.
    Remembered(PathBuf),
    /// Within the folder, if there is one.
    Within(PathBuf),
}

/// The place could not be written down or read.
#[derive(Debug, thiserror::Error)]
#[error("{note}, which says where this state folder's context lies, cannot be used ({source}): mend or remove it")]
pub struct NoteError {
    note: String,
    source: io::Error,
}

impl NoteError {
    fn of(note: &Path, source: io::Error) -> Self {
        Self { note: note.display().to_string(), source }
    }
}

/// The file in which a state folder's place is written down.
#[must_use]
pub fn note(state: &Path) -> PathBuf {
    state.join(NOTE)
}

impl ContextPlace {
    /// The place that is named now; else the one that was named last; else `context` within the folder.
    ///
    /// # Errors
    /// When what was written down cannot be read.
    pub fn of(state: &Path, named: Option<&Path>) -> Result<Self, NoteError> {
        if let Some(folder) = named {
            return Ok(Self::Named(folder.to_owned()));
        }
        let note = note(state);
        match std::fs::read_to_string(&note) {
            Ok(text) => Ok(Self::Remembered(text.trim_end_matches(['\r', '\n']).into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::Within(state.join(WITHIN))),
            Err(error) => Err(NoteError::of(&note, error)),
        }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        match self {
            Self::Named(folder) | Self::Remembered(folder) | Self::Within(folder) => folder,
        }
    }

    /// Somebody named it, so that it has to be there.
    #[must_use]
    pub const fn must_exist(&self) -> bool {
        !matches!(self, Self::Within(_))
    }

    /// Writes a place down that is named now and was found to be sound.
    ///
    /// # Errors
    /// When it cannot be written, or the path is no text.
    pub fn remember(&self, state: &Path) -> Result<(), NoteError> {
        let Self::Named(folder) = self else { return Ok(()) };
        let note = note(state);
        // Later commands may be given elsewhere.
        let whole = std::fs::canonicalize(folder).map_err(|source| NoteError::of(&note, source))?;
        let no_text = || NoteError::of(&note, io::Error::other("the path is no text"));
        let text = whole.to_str().ok_or_else(no_text)?;
        std::fs::write(&note, format!("{text}\n")).map_err(|source| NoteError::of(&note, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::floor::assembly::{AssemblyError, Stores};
    use crate::floor::faults::Faults;

    const ASSET: &str = "[[asset]]\nname = \"SRV-1\"\nrole = \"server\"\n";

    fn folders() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let all = tempfile::tempdir().expect("a folder");
        let (state, named) = (all.path().join("state"), all.path().join("declared"));
        for folder in [&state, &named] {
            std::fs::create_dir(folder).expect("a folder");
        }
        std::fs::write(named.join("assets.toml"), ASSET).expect("it is written");
        (all, state, named)
    }

    /// How many machines are declared, and where.
    fn declared(state: &Path, named: Option<&Path>) -> Result<(usize, Option<PathBuf>), AssemblyError> {
        let stores = Stores::open(state, &Faults::default()).expect("they open").with_context(state, named)?;
        Ok((stores.context.assets.len(), stores.context_from))
    }

    #[test]
    fn a_place_that_was_named_is_known_later_as_it_is_then() {
        let (_all, state, named) = folders();
        assert_eq!(declared(&state, None).expect("nothing"), (0, None));
        assert_eq!(declared(&state, Some(&named)).expect("it is there").0, 1);
        std::fs::write(named.join("more.toml"), ASSET.replace("SRV-1", "SRV-2")).expect("it is written");
        let whole = std::fs::canonicalize(&named).expect("it is there");
        assert_eq!(declared(&state, None).expect("it is read anew and no copy"), (2, Some(whole)));
    }

    #[test]
    fn the_place_named_last_counts_and_comes_before_what_lies_within() {
        let (all, state, named) = folders();
        let within = state.join(WITHIN);
        std::fs::create_dir(&within).expect("a folder");
        std::fs::write(within.join("a.toml"), ASSET).expect("it is written");
        assert_eq!(declared(&state, None).expect("it is there"), (1, Some(within)));
        std::fs::write(named.join("more.toml"), ASSET.replace("SRV-1", "SRV-2")).expect("it is written");
        declared(&state, Some(&named)).expect("it is there");
        assert_eq!(declared(&state, None).expect("it is there").0, 2);
        let other = all.path().join("other");
        std::fs::create_dir(&other).expect("a folder");
        declared(&state, Some(&other)).expect("it is there");
        assert_eq!(declared(&state, None).expect("it is there").0, 0);
    }

    #[test]
    fn a_place_that_is_gone_stops_the_command_and_says_what_to_do() {
        let (_all, state, named) = folders();
        declared(&state, Some(&named)).expect("it is there");
        std::fs::remove_dir_all(&named).expect("it is removed");
        let refused = declared(&state, None).expect_err("it is gone").to_string();
        for said in ["declared", "named", "--context", "context.path"] {
            assert!(refused.contains(said), "`{said}` is not said: {refused}");
        }
        assert!(declared(&state, Some(&named)).is_err(), "what is not there cannot be named");
        std::fs::remove_file(note(&state)).expect("it is there");
        assert_eq!(declared(&state, None).expect("it goes on without"), (0, None));
    }
}
