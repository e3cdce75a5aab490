//! A group of writes in one transaction: they are committed together, and one that fails undoes only itself.
//!
//! To undo one job alone takes a savepoint, and within a savepoint SQLite keeps a copy of every page that the job
//! changes, which costs about as much as the change. Jobs hardly ever fail, so a group first runs without any. Only if
//! a job fails that may have written something is the whole group undone and run again, each job in its savepoint.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{Failure, execute, storage_error};
use crate::ports::storage::StorageError;

/// A job that waits for the writer.
pub(super) struct WriteJob {
    /// Whether its commit has to be on the disk before it is answered.
    pub(super) durable: bool,
    pub(super) work: Box<dyn Work>,
}

/// A job in two halves, because its answer has to wait for the commit.
pub(super) trait Work: Send {
    /// May be called again after what it did was undone.
    fn run(&mut self, connection: &Connection) -> Outcome;
    fn answer(self: Box<Self>, committed: Result<(), StorageError>);
}

pub(super) enum Outcome {
    /// To be committed.
    Done,
    /// To be undone, by the store's own rules or because the job panicked.
    Refused,
    /// To be undone, because SQLite refused.
    Broken(StorageError),
}

/// A job with the place where its answer is awaited.
pub(super) struct Request<F, T, E> {
    job: F,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
    path: Arc<str>,
}

impl<F, T, E> Request<F, T, E> {
    pub(super) const fn new(job: F, reply: oneshot::Sender<Result<T, E>>, path: Arc<str>) -> Self {
        Self { job, result: None, reply, path }
    }
}

impl<F, T, E> Work for Request<F, T, E>
where
    F: Fn(&Connection) -> Result<T, Failure<E>> + Send,
    T: Send,
    E: From<StorageError> + Send,
{
    fn run(&mut self, connection: &Connection) -> Outcome {
        // What an undone run gave is not true any more.
        self.result = None;
        match (self.job)(connection) {
            Ok(value) => {
                self.result = Some(Ok(value));
                Outcome::Done
            }
            Err(Failure::Refused(error)) => {
                self.result = Some(Err(error));
                Outcome::Refused
            }
            Err(Failure::Sql(error)) => {
                let error = storage_error(&self.path, &error);
                self.result = Some(Err(error.clone().into()));
                Outcome::Broken(error)
            }
        }
    }

    fn answer(self: Box<Self>, committed: Result<(), StorageError>) {
        let result = match committed {
            // What a job found before a commit that failed is not true: even a refusal may rest on it.
            Err(error) => Some(Err(error.into())),
            Ok(()) => self.result,
        };
        // Without a result the job panicked, and dropping the channel says so. A caller that stopped waiting
        // changes nothing about what is committed.
        if let Some(result) = result {
            let _ = self.reply.send(result);
        }
    }
}

/// Runs the group's jobs, commits them together and answers them.
///
/// Some errors, a full disk among them, make SQLite roll back the whole transaction: then the jobs that ran
/// are answered with the error, and the others stay in the group for the next transaction.
pub(super) fn commit_group(
    connection: &Connection,
    path: &str,
    group: &mut VecDeque<WriteJob>,
    waits_for_disk: &mut bool,
) {
    let told = |error: rusqlite::Error| storage_error(path, &error);
    let durable = group.iter().any(|job| job.durable);
    let mut ran = Vec::with_capacity(group.len());
    let mut committed = begin(connection, durable, waits_for_disk).map_err(told);
    let none_to_undo = committed.is_ok() && group.iter_mut().all(|job| leaves_none_to_undo(connection, job));
    if committed.is_ok() && !none_to_undo {
        undo(connection);
        committed = begin(connection, durable, waits_for_disk).map_err(told);
        while committed.is_ok()
            && let Some(mut job) = group.pop_front()
        {
            committed = run_in_savepoint(connection, path, job.work.as_mut());
            ran.push(job.work);
        }
    }
    if none_to_undo || ran.is_empty() {
        ran.extend(group.drain(..).map(|job| job.work));
    }
    if committed.is_ok() {
        committed = execute(connection, "COMMIT").map_err(told);
    }
    if committed.is_err() {
        undo(connection);
    }
    for work in ran {
        work.answer(committed.clone());
    }
}

/// Nothing of the transaction may stay. Should even this fail, the next BEGIN fails too and says why.
fn undo(connection: &Connection) {
    if !connection.is_autocommit() {
        let _ = execute(connection, "ROLLBACK");
    }
}

/// The safety level cannot be changed within a transaction, so the whole group takes that of its strictest job.
fn begin(connection: &Connection, durable: bool, waits_for_disk: &mut bool) -> rusqlite::Result<()> {
    if durable != *waits_for_disk {
        connection.execute_batch(if durable { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" })?;
        *waits_for_disk = durable;
    }
    execute(connection, "BEGIN IMMEDIATE")
}

/// Runs one job; whether everything it wrote is to be kept. One that refused before it wrote anything, as a conflict
/// does, left nothing.
fn leaves_none_to_undo(connection: &Connection, job: &mut WriteJob) -> bool {
    let before = connection.total_changes();
    match catch_unwind(AssertUnwindSafe(|| job.work.run(connection))) {
        Ok(Outcome::Done) => true,
        Ok(Outcome::Refused) => connection.total_changes() == before,
        Ok(Outcome::Broken(_)) | Err(_) => false,
    }
}

/// Runs one job so that its failure undoes only what it wrote; an error means that the transaction is lost.
fn run_in_savepoint(connection: &Connection, path: &str, work: &mut dyn Work) -> Result<(), StorageError> {
    let told = |error: rusqlite::Error| storage_error(path, &error);
    execute(connection, "SAVEPOINT job").map_err(told)?;
    // A panic is answered like any failure: statements reset themselves when they are dropped.
    let outcome = catch_unwind(AssertUnwindSafe(|| work.run(connection))).unwrap_or(Outcome::Refused);
    match outcome {
        Outcome::Done => {}
        Outcome::Broken(error) if connection.is_autocommit() => return Err(error),
        Outcome::Refused | Outcome::Broken(_) => execute(connection, "ROLLBACK TO job").map_err(told)?,
    }
    execute(connection, "RELEASE job").map_err(told)
}
