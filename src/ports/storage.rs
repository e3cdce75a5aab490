//! What every store can say when it refuses, whichever port it serves.

/// Why a store could not be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// The disk is full.
    #[error(
        "the disk that holds {path} is full: free some space and run the command again; nothing already recorded is lost"
    )]
    DiskFull {
        /// The file.
        path: String,
    },
    /// The file was written by a newer version.
    #[error(
        "{path} has format {found}, and this version reads up to {known}: use the version that wrote it, or a newer one"
    )]
    NewerFormat {
        /// The file.
        path: String,
        /// Its format.
        found: i64,
        /// The newest format this version knows.
        known: i64,
    },
    /// Anything else.
    #[error("{path} cannot be used: {what}")]
    Unusable {
        /// The file.
        path: String,
        /// What the storage said.
        what: String,
    },
}
