//! The state folder: where one floor keeps its databases, locked against a second one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The lock's file. It holds the id of the process that has it.
const LOCK: &str = "floor.lock";

/// A state folder that belongs to this process as long as it is held.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    _lock: File,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another floor has it.
    #[error(
        "{path} is in use by another watchfloor (process {process}): wait for it to end, stop it, or name another folder with --data"
    )]
    InUse {
        /// The folder.
        path: String,
        /// The process that has it, as far as it said so.
        process: String,
    },
    /// There is no such folder, and the command does not make one.
    #[error("{0} holds no cases yet: run `watchfloor triage FILE` first, or name the right folder with --data")]
    Empty(String),
    /// It cannot be made or opened.
    #[error(
        "{path} cannot be used as a state folder ({source}): name a folder that you may write to with --data, or mend this one"
    )]
    Unusable {
        /// The folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl StateFolder {
    /// Makes the folder if need be and takes it.
    ///
    /// # Errors
    /// When another process has it or it cannot be made.
    pub fn take(path: &Path) -> Result<Self, FolderError> {
        let mut folder = std::fs::DirBuilder::new();
        folder.recursive(true);
        // Logs and cases are nobody else's business.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
        folder.create(path).map_err(|source| unusable(path, source))?;
        Self::lock(path)
    }

    /// Takes a folder that a floor has used before.
    ///
    /// # Errors
    /// When it holds nothing, another process has it, or it cannot be opened.
    pub fn take_existing(path: &Path) -> Result<Self, FolderError> {
        if !path.join("journal.db").exists() {
            return Err(FolderError::Empty(path.display().to_string()));
        }
        Self::lock(path)
    }

    fn lock(path: &Path) -> Result<Self, FolderError> {
        // A link would have another file locked and signed.
        let is_odd = std::fs::symlink_metadata(path.join(LOCK)).is_ok_and(|file| !file.is_file());
        if is_odd {
            let odd = std::io::Error::other(format!("{LOCK} in it is no ordinary file: remove it"));
            return Err(unusable(path, odd));
        }
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path.join(LOCK));
        let mut lock = open.map_err(|source| unusable(path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                let read = lock.read_to_string(&mut process);
                let process = read.ok().map(|_| process.trim().to_owned()).filter(|process| !process.is_empty());
                let process = process.unwrap_or_else(|| "unknown".into());
                return Err(FolderError::InUse { path: path.display().to_string(), process });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(path, source)),
        }
        let note = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id()));
        // A full disk must not keep anybody from reading: the note is a courtesy, the lock is what counts.
        if let Err(error) = note {
            tracing::warn!(%error, "the lock could not be signed");
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn unusable(path: &Path, source: std::io::Error) -> FolderError {
    FolderError::Unusable { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_one_floor_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let held = StateFolder::take(folder.path()).expect("it is free");
        let refused = StateFolder::take(folder.path()).expect_err("it is taken");
        assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
        drop(held);
        StateFolder::take(folder.path()).expect("it is free again");
    }

    #[test]
    fn a_folder_without_a_journal_is_said_to_be_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(matches!(StateFolder::take_existing(folder.path()), Err(FolderError::Empty(_))));
    }
}
