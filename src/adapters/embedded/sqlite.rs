//! One SQLite file with a writer thread and a few readers, which all three stores are built on.
//!
//! Writes are grouped: the writer takes every job that is already queued, runs them in one transaction in which a job
//! that fails undoes only itself, commits, and only then answers. It never waits for more to come, so a lone write is committed
//! at once and many at a time share one commit. Whoever has an answer can read what it wrote: the readers
//! begin after the commit.
//!
//! Commits survive the death of the process; [`Database::write_durably`] also waits for the disk.
//!
//! A store may leave work for later ([`Layout::idle`]): the writer does it in small portions when nobody wrote for a
//! while, and stops for whoever comes.

mod group;
pub(super) mod layout;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::oneshot;

use self::group::{Request, WriteJob, commit_group};
use self::layout::{Format, IdleWork, Layout, upgrade};
use crate::ports::storage::StorageError;

/// Jobs that share one commit, at most: a bound on how long the first of them waits.
const LARGEST_GROUP: usize = 256;
/// Reading connections: two, so that a long search does not hold up a short look.
const READERS: usize = 2;
/// How long to wait for another process (a person with a database browser) to let go of the file.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long nobody must have written before the writer does what was left for later: longer than an import on a busy
/// machine takes for its next batch, which would otherwise pay for it.
const QUIET: Duration = Duration::from_secs(1);
/// The only I/O error that means a full disk: SQLite could not grow the index of its write-ahead log
/// (`SQLITE_IOERR_SHMSIZE`). A write that finds no space is reported as `SQLITE_FULL` already.
const NO_SPACE_FOR_INDEX: i32 = 10 | (19 << 8);

/// Bounds on a store. Tests use them to fill a disk that is not full.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// The file may have this many pages of 4 KiB.
    pub max_pages: Option<u32>,
}

/// Why a job on the database ended without a result.
pub(super) enum Failure<E> {
    /// SQLite refused.
    Sql(rusqlite::Error),
    /// The store's own rules refused. Nothing the job wrote is kept.
    Refused(E),
}

impl<E> From<rusqlite::Error> for Failure<E> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// An open file. Dropping it ends its threads and folds the write-ahead log into the file.
pub(super) struct Database {
    path: Arc<str>,
    // Options only so that `drop` can hang up before it waits for the threads.
    writes: Option<Sender<WriteJob>>,
    reads: Option<Sender<ReadJob>>,
    writer: Option<JoinHandle<()>>,
    readers: Vec<JoinHandle<()>>,
}

impl Database {
    /// Opens or creates the file. `formats[n]` is the SQL that brings a file of format `n` to format `n + 1`;
    /// format 0 is an empty file.
    pub(super) fn open(path: &Path, limits: Limits, formats: &[&'static str]) -> Result<Self, StorageError> {
        let formats: Vec<Format> = formats.iter().map(|sql| Format { sql, fill: None }).collect();
        Self::open_as(path, limits, &Layout { formats: &formats, idle: None, cache: layout::USUAL_CACHE })
    }

    /// As [`Self::open`], for a store that needs more than SQL.
    pub(super) fn open_as(path: &Path, limits: Limits, layout: &Layout<'_>) -> Result<Self, StorageError> {
        let shown: Arc<str> = path.display().to_string().into();
        let refused = |error: rusqlite::Error| storage_error(&shown, &error);
        let connection = Connection::open(path).map_err(refused)?;
        configure(&connection, limits).map_err(refused)?;
        keep_pages(&connection, layout.cache).map_err(refused)?;
        upgrade(&connection, &shown, layout.formats)?;

        let (writes, write_jobs) = channel();
        let (reads, read_jobs) = channel();
        let read_jobs = Arc::new(Mutex::new(read_jobs));
        let mut database =
            Self { path: shown.clone(), writes: Some(writes), reads: Some(reads), writer: None, readers: vec![] };
        database.writer = Some(database.spawn("writer", {
            let (path, idle) = (shown.clone(), layout.idle);
            move || write_until_closed(&connection, &path, &write_jobs, idle)
        })?);
        for _ in 0..READERS {
            let connection = open_reader(path).map_err(refused)?;
            keep_pages(&connection, layout.cache / 4).map_err(refused)?;
            let jobs = read_jobs.clone();
            let reader = database.spawn("reader", move || read_until_closed(&connection, &jobs))?;
            database.readers.push(reader);
        }
        Ok(database)
    }

    /// Runs a job in a transaction; returns once it is committed, so that it survives the process's death.
    /// The job may be run twice, and what it did the first time is then undone.
    pub(super) async fn write<T, E>(
        &self,
        job: impl Fn(&Connection) -> Result<T, Failure<E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        self.submit(false, job).await
    }

    /// As [`Self::write`], and returns only once it is on the disk, so that it survives a power cut.
    pub(super) async fn write_durably<T, E>(
        &self,
        job: impl Fn(&Connection) -> Result<T, Failure<E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        self.submit(true, job).await
    }

    /// Runs a job on a reading connection; it sees every write that was answered before.
    pub(super) async fn read<T, E>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, Failure<E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let path = self.path.clone();
        let job: ReadJob = Box::new(move |connection| {
            let result = job(connection).map_err(|failure| failure.told_of(&path));
            // A caller that stopped waiting does not need the answer.
            let _ = reply.send(result);
        });
        self.send(self.reads.as_ref(), job)?;
        answer.await.unwrap_or_else(|_| Err(self.gone().into()))
    }

    /// An error of this file in a sentence.
    pub(super) fn unusable(&self, what: impl Into<String>) -> StorageError {
        StorageError::Unusable { path: self.path.to_string(), what: what.into() }
    }

    async fn submit<T, E>(
        &self,
        durable: bool,
        job: impl Fn(&Connection) -> Result<T, Failure<E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let work = Box::new(Request::new(job, reply, self.path.clone()));
        self.send(self.writes.as_ref(), WriteJob { durable, work })?;
        answer.await.unwrap_or_else(|_| Err(self.gone().into()))
    }

    fn send<J>(&self, jobs: Option<&Sender<J>>, job: J) -> Result<(), StorageError> {
        jobs.and_then(|jobs| jobs.send(job).ok()).ok_or_else(|| self.gone())
    }

    fn gone(&self) -> StorageError {
        self.unusable("a step in its code broke off unexpectedly; this is a fault of watchfloor, and its log says more")
    }

    fn spawn(&self, role: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StorageError> {
        let file = self.path.rsplit(['/', '\\']).next().unwrap_or_default();
        Builder::new()
            .name(format!("{role} {file}"))
            .spawn(run)
            .map_err(|error| self.unusable(format!("the system gives no thread for it ({error})")))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Readers first: the connection that closes last folds the log into the file, and readers may not write.
        self.reads = None;
        let readers = self.readers.drain(..).map(JoinHandle::join).filter(Result::is_err).count();
        self.writes = None;
        let writer = self.writer.take().map_or(0, |writer| usize::from(writer.join().is_err()));
        if readers + writer > 0 {
            tracing::error!(path = %self.path, "a thread of the store had panicked");
        }
    }
}

/// Runs every job that is queued in one transaction, then waits for the next.
fn write_until_closed(connection: &Connection, path: &str, jobs: &Receiver<WriteJob>, idle: Option<IdleWork>) {
    let mut waits_for_disk = false;
    // What earlier lives left to do is begun without being asked for.
    let mut left = idle;
    while let Some(first) = next_job(connection, path, jobs, &mut left) {
        left = idle;
        let mut group: VecDeque<_> = std::iter::once(first).chain(jobs.try_iter()).take(LARGEST_GROUP).collect();
        while !group.is_empty() {
            commit_group(connection, path, &mut group, &mut waits_for_disk);
        }
    }
}

/// The next job, and until it comes what was left for later; `None` once nobody can ask any more.
fn next_job(
    connection: &Connection,
    path: &str,
    jobs: &Receiver<WriteJob>,
    left: &mut Option<IdleWork>,
) -> Option<WriteJob> {
    let mut is_quiet = false;
    while let Some(work) = *left {
        let waited = match is_quiet {
            true => jobs.try_recv().map_err(|error| error == TryRecvError::Disconnected),
            false => jobs.recv_timeout(QUIET).map_err(|error| error == RecvTimeoutError::Disconnected),
        };
        match waited {
            Ok(job) => return Some(job),
            Err(true) => return None,
            Err(false) => is_quiet = true,
        }
        match do_portion(connection, work) {
            Ok(true) => {}
            Ok(false) => *left = None,
            Err(error) => {
                // Nothing rests on it: it is tried again after the next write, and when the file is opened.
                tracing::warn!(path, %error, "work that was left for later could not be done");
                *left = None;
            }
        }
    }
    jobs.recv().ok()
}

fn do_portion(connection: &Connection, work: IdleWork) -> rusqlite::Result<bool> {
    execute(connection, "BEGIN IMMEDIATE")?;
    let done = work(connection).and_then(|more| execute(connection, "COMMIT").map(|()| more));
    if done.is_err() && !connection.is_autocommit() {
        let _ = execute(connection, "ROLLBACK");
    }
    done
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// Runs the jobs that come; several readers take turns at one queue.
fn read_until_closed(connection: &Connection, jobs: &Mutex<Receiver<ReadJob>>) {
    loop {
        // Nothing can panic while the lock is held, so a poisoned lock is as good as any.
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // A panic drops the caller's reply channel, which tells the caller; the reader serves the next one.
        let _ = catch_unwind(AssertUnwindSafe(|| job(connection)));
    }
}

type ReadJob = Box<dyn FnOnce(&Connection) + Send>;

/// A checkpoint every 64 MiB instead of 4: a page that many commits touch is then copied into the file less often, and
/// reading so long a log after a crash takes a fraction of a second.
fn configure(connection: &Connection, limits: Limits) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = NORMAL;
         PRAGMA wal_autocheckpoint = 16000;
         PRAGMA temp_store = MEMORY;
         PRAGMA foreign_keys = OFF;",
    )?;
    keep_plans(connection)?;
    if let Some(pages) = limits.max_pages {
        connection.pragma_update(None, "max_page_count", pages)?;
    }
    Ok(())
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(PATIENCE)?;
    connection.execute_batch("PRAGMA temp_store = MEMORY")?;
    keep_plans(&connection)?;
    Ok(connection)
}

fn keep_pages(connection: &Connection, kibibytes: u32) -> rusqlite::Result<()> {
    connection.pragma_update(None, "cache_size", -i64::from(kibibytes))
}

/// A statement is planned once. Left alone, SQLite plans a query anew whenever other values are bound to it,
/// which costs several times what the query does.
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// What SQLite said, in words that tell a person what to do.
fn storage_error(path: &str, error: &rusqlite::Error) -> StorageError {
    let path = path.to_owned();
    let code = error.sqlite_error_code();
    let extended = error.sqlite_error().map(|error| error.extended_code);
    if code == Some(ErrorCode::DiskFull) || extended == Some(NO_SPACE_FOR_INDEX) {
        return StorageError::DiskFull { path };
    }
    let what = match code {
        Some(ErrorCode::CannotOpen) => "its folder is missing or may not be written".to_owned(),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => "it may be read but not written".to_owned(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds it: close that program and try again".to_owned()
        }
        Some(ErrorCode::NotADatabase) => "it is not a store of watchfloor, or its beginning was overwritten".to_owned(),
        Some(ErrorCode::DatabaseCorrupt) => format!("its structure is damaged ({error}): restore it from a copy"),
        Some(ErrorCode::SystemIoFailure) => format!("the disk reported an error ({error})"),
        _ => error.to_string(),
    };
    StorageError::Unusable { path, what }
}

impl<E: From<StorageError>> Failure<E> {
    fn told_of(self, path: &str) -> E {
        match self {
            Self::Sql(error) => storage_error(path, &error).into(),
            Self::Refused(error) => error,
        }
    }
}

/// A count as SQLite keeps it. Nothing the floor counts comes near the limit.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count as it was kept; a negative one was never written by us.
pub(super) fn unsigned(kept: i64) -> u64 {
    u64::try_from(kept).unwrap_or(0)
}
