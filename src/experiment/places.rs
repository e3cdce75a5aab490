//! Where scenarios are played: folders among the system's temporary ones, which are removed when a scenario is over.
//!
//! A process that is killed cannot tidy up, so the next one does ([`sweep`]). Whoever plays in a folder holds its lock
//! from the beginning, and a lock ends with its process: a folder whose lock is free is nobody's.

use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::floor::state_folder::StateFolder;

/// Every such folder's name begins so.
const PREFIX: &str = "watchfloor-score-";

/// A new folder. Its lock is to be taken at once.
///
/// # Errors
/// When none can be made.
pub fn new() -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(PREFIX).tempdir()
}

/// Removes what earlier processes left behind. What cannot be removed stays, which harms nobody.
pub fn sweep() {
    sweep_in(&std::env::temp_dir());
}

fn sweep_in(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
        // One without a journal may have been made this moment, and takes no room.
        if is_ours && let Ok(held) = StateFolder::take_existing(&path) {
            let removed = std::fs::remove_dir_all(&path);
            tracing::debug!(folder = %path.display(), ?removed, "an earlier run left this behind");
            drop(held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_behind_goes_and_what_is_in_use_stays() {
        let temporary = tempfile::tempdir().expect("a folder");
        let make = |name: &str| {
            let path = temporary.path().join(name);
            std::fs::create_dir(&path).expect("a folder");
            std::fs::write(path.join("journal.db"), "").expect("it is written");
            path
        };
        let [dead, used, others] = ["watchfloor-score-dead", "watchfloor-score-used", "others"].map(make);
        let fresh = temporary.path().join("watchfloor-score-fresh");
        std::fs::create_dir(&fresh).expect("a folder");
        let held = StateFolder::take(&used).expect("it is free");
        sweep_in(temporary.path());
        assert_eq!([&dead, &used, &others, &fresh].map(|path| path.exists()), [false, true, true, true]);
        drop(held);
        sweep_in(temporary.path());
        assert!(!used.exists() && others.exists());
    }
}
