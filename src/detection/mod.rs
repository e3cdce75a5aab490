//! Detection: log files become events, events become alerts, alerts become the groups that cases are made of.

pub mod clock;
pub mod damage;
pub mod grouping;
pub mod look;
pub mod normalise;
pub mod read;
pub mod sigma;
#[cfg(test)]
mod tests;

/// A file of the shared recordings, or `None` after saying that the test is skipped.
#[cfg(test)]
pub(crate) fn shared_data(name: &str) -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("WATCHFLOOR_SHARED")
        .map_or_else(|| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), std::path::PathBuf::from);
    let path = folder.join("data").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is missing (set WATCHFLOOR_SHARED to the folder with the recordings)", path.display());
    None
}
