//! What a store's file is like: its formats and how one becomes the next, and what may be done to it later.

use rusqlite::Connection;

use super::{signed, storage_error};
use crate::ports::storage::StorageError;

/// What brings a file of one format to the next: SQL, and after it what SQL cannot say.
pub(in crate::adapters::embedded) struct Format {
    pub(in crate::adapters::embedded) sql: &'static str,
    pub(in crate::adapters::embedded) fill: Option<fn(&Connection) -> rusqlite::Result<()>>,
}

/// A portion of work that can wait. It runs in a transaction of its own and says whether more is left.
pub(in crate::adapters::embedded) type IdleWork = fn(&Connection) -> rusqlite::Result<bool>;

/// What a store's file is like.
pub(in crate::adapters::embedded) struct Layout<'f> {
    /// `formats[n]` brings a file of format `n` to format `n + 1`; format 0 is an empty file.
    pub(in crate::adapters::embedded) formats: &'f [Format],
    /// Done when nobody writes.
    pub(in crate::adapters::embedded) idle: Option<IdleWork>,
    /// Memory for pages of the file, in KiB: so much for whoever writes, a quarter for each who reads.
    pub(in crate::adapters::embedded) cache: u32,
}

/// SQLite's own measure of [`Layout::cache`].
pub(in crate::adapters::embedded) const USUAL_CACHE: u32 = 2_000;

/// Brings the file to the newest format in one transaction, or refuses a file that is newer still.
pub(super) fn upgrade(connection: &Connection, path: &str, formats: &[Format]) -> Result<(), StorageError> {
    let refused = |error: rusqlite::Error| storage_error(path, &error);
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(refused)?;
    let known = signed(formats.len() as u64);
    let Some(steps) = usize::try_from(found).ok().and_then(|found| formats.get(found..)) else {
        return Err(StorageError::NewerFormat { path: path.to_owned(), found, known });
    };
    if steps.is_empty() {
        return Ok(());
    }
    let transaction = connection.unchecked_transaction().map_err(refused)?;
    for Format { sql, fill } in steps {
        connection.execute_batch(sql).map_err(refused)?;
        if let Some(fill) = fill {
            fill(connection).map_err(refused)?;
        }
    }
    connection.pragma_update(None, "user_version", known).map_err(refused)?;
    transaction.commit().map_err(refused)
}
