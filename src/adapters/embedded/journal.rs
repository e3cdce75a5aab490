//! The journal in one SQLite file: streams, outbox, queues and blobs that are committed together.

mod queue;
mod rows;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use self::rows::StreamRows;
use super::sqlite::{Database, Failure, Limits, signed, unsigned};
use crate::ports::journal::{
    Append, Blob, CheckReport, Cursor, Damage, Effect, EffectState, Expected, Journal, JournalError, Lease, NewEffect,
    NewRecord, Pending, PlacedRow, Queue, Row, Stream,
};
use crate::ports::storage::StorageError;

/// States are words, so that one damaged byte makes none of another.
const FORMAT_1: &str = "
    CREATE TABLE entry(
        place INTEGER PRIMARY KEY,  -- the order in which all streams grew
        stream TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL,
        crc INTEGER NOT NULL, UNIQUE(stream, seq));
    CREATE INDEX stream_begins ON entry(stream) WHERE seq = 1;
    CREATE TABLE outbox(
        place INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE, target TEXT NOT NULL, lane TEXT NOT NULL, body TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'planned', crc INTEGER NOT NULL);
    CREATE INDEX outbox_open ON outbox(target) WHERE state <> 'confirmed';
    CREATE TABLE queue(
        place INTEGER PRIMARY KEY,
        queue TEXT NOT NULL, item TEXT NOT NULL, rank INTEGER NOT NULL, order_key INTEGER NOT NULL,
        not_before INTEGER, owner TEXT, epoch INTEGER NOT NULL DEFAULT 0, lease_until INTEGER,
        UNIQUE(queue, item));
    CREATE INDEX queue_order ON queue(queue, order_key);
    CREATE TABLE claims(total INTEGER NOT NULL);
    INSERT INTO claims VALUES(0);
    CREATE TABLE blob(hash TEXT PRIMARY KEY, bytes BLOB NOT NULL);
    CREATE TABLE quarantine(
        stream TEXT NOT NULL, seq INTEGER NOT NULL, what TEXT NOT NULL,
        found_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),  -- for people; nothing is decided by it
        PRIMARY KEY(stream, seq));
";

/// How far each source has been read: one row a source, written over.
const FORMAT_2: &str = "
    CREATE TABLE cursor(name TEXT PRIMARY KEY, body TEXT NOT NULL, crc INTEGER NOT NULL);
";

/// See the module's page.
pub struct EmbeddedJournal {
    database: Database,
}

/// What a job of the journal gives.
type Done<T> = Result<T, Failure<JournalError>>;

impl EmbeddedJournal {
    /// Its file in the state folder.
    pub const FILE: &str = "journal.db";

    /// Opens the journal in this folder, or creates it.
    ///
    /// # Errors
    /// When the file cannot be used, or a newer version wrote it.
    pub fn open(folder: &Path) -> Result<Self, StorageError> {
        Self::open_within(folder, Limits::default())
    }

    /// As [`Self::open`], within bounds.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_within(folder: &Path, limits: Limits) -> Result<Self, StorageError> {
        Ok(Self { database: Database::open(&folder.join(Self::FILE), limits, &[FORMAT_1, FORMAT_2])? })
    }

    /// Keeps damaged rows for people. That it may fail changes nothing for the reader, who does not act on
    /// them either way.
    async fn quarantine(&self, damaged: &[Damage]) {
        if damaged.is_empty() {
            return;
        }
        let rows = damaged.to_vec();
        let kept = self.database.write(move |connection| rows::quarantine(connection, &rows)).await;
        for damage in damaged {
            tracing::error!(stream = %damage.stream, seq = damage.seq, "{damage}");
        }
        if let Err::<(), JournalError>(error) = kept {
            tracing::error!(%error, "damaged rows could not be noted in the quarantine");
        }
    }
}

#[async_trait]
impl Journal for EmbeddedJournal {
    async fn append(&self, append: Append) -> Result<u64, JournalError> {
        self.database.write(move |connection| write(connection, &append)).await
    }

    async fn read(&self, stream: &Stream, after: u64) -> Result<Vec<Row>, JournalError> {
        let stream = stream.clone();
        let rows = self.database.read(move |connection| read_stream(connection, &stream, after)).await?;
        let damaged: Vec<Damage> = rows.iter().filter_map(|row| row.content.as_ref().err().cloned()).collect();
        self.quarantine(&damaged).await;
        Ok(rows)
    }

    async fn since(&self, place: u64, most: usize) -> Result<Vec<PlacedRow>, JournalError> {
        self.database.read(move |connection| read_since(connection, place, most)).await
    }

    async fn end(&self) -> Result<u64, JournalError> {
        self.database
            .read(|connection| {
                let mut query = connection.prepare_cached("SELECT coalesce(max(place), 0) FROM entry")?;
                Ok(query.query_row([], |row| row.get(0).map(unsigned))?)
            })
            .await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<Stream>, JournalError> {
        let prefix = prefix.to_owned();
        self.database
            .read(move |connection| {
                // U+10FFFF sorts after every character a name has.
                let mut query = connection.prepare_cached(
                    "SELECT stream FROM entry
                     WHERE seq = 1 AND stream >= ?1 AND stream < ?1 || char(0x10FFFF) ORDER BY place",
                )?;
                let names = query.query_map([prefix], |row| row.get(0).map(Stream))?;
                Ok(names.collect::<Result<_, _>>()?)
            })
            .await
    }

    async fn claim(
        &self,
        queue: Queue,
        owner: &str,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Lease>, JournalError> {
        let owner = owner.to_owned();
        self.database.write(move |connection| queue::claim(connection, queue, &owner, ttl, now)).await
    }

    async fn release(&self, lease: &Lease, not_before: Option<Timestamp>) -> Result<(), JournalError> {
        let lease = lease.clone();
        self.database.write(move |connection| queue::release(connection, &lease, not_before)).await
    }

    async fn release_all(&self, owner: &str) -> Result<(), JournalError> {
        let owner = owner.to_owned();
        self.database.write(move |connection| queue::release_all(connection, &owner)).await
    }

    async fn effects(&self, target: &str) -> Result<Vec<Effect>, JournalError> {
        let target = target.to_owned();
        let (sound, damaged) = self.database.read(move |connection| open_effects(connection, &target)).await?;
        self.quarantine(&damaged).await;
        Ok(sound)
    }

    async fn mark_sent(&self, keys: &[String]) -> Result<(), JournalError> {
        let keys = keys.to_vec();
        self.database
            .write_durably(move |connection| {
                let mut update = connection
                    .prepare_cached("UPDATE outbox SET state = 'sent' WHERE key = ?1 AND state = 'planned'")?;
                keys.iter().try_for_each(|key| Ok(update.execute([key]).map(drop)?))
            })
            .await
    }

    async fn confirm(&self, keys: &[String]) -> Result<(), JournalError> {
        let keys = keys.to_vec();
        self.database
            .write(move |connection| {
                let mut update = connection.prepare_cached("UPDATE outbox SET state = 'confirmed' WHERE key = ?1")?;
                keys.iter().try_for_each(|key| Ok(update.execute([key]).map(drop)?))
            })
            .await
    }

    async fn blob(&self, hash: &str) -> Result<Option<Vec<u8>>, JournalError> {
        let hash = hash.to_owned();
        let stored = self.database.read(move |connection| stored_blob(connection, &hash)).await?;
        match stored.transpose() {
            Ok(bytes) => Ok(bytes),
            Err(damage) => {
                self.quarantine(&[damage]).await;
                Ok(None)
            }
        }
    }

    async fn cursors(&self, prefix: &str) -> Result<Vec<Cursor>, JournalError> {
        let prefix = prefix.to_owned();
        self.database.read(move |connection| sound_cursors(connection, &prefix)).await
    }

    async fn set_cursor(&self, cursor: Cursor) -> Result<(), JournalError> {
        self.database
            .write(move |connection| {
                let crc = rows::crc_of_cursor(&cursor);
                let mut put =
                    connection.prepare_cached("INSERT OR REPLACE INTO cursor(name, body, crc) VALUES(?1, ?2, ?3)")?;
                Ok(put.execute(params![cursor.name, cursor.body, crc]).map(drop)?)
            })
            .await
    }

    async fn pending(&self) -> Result<Pending, JournalError> {
        self.database
            .read(|connection| {
                let mut query = connection.prepare_cached(
                    "SELECT (SELECT count(*) FROM queue WHERE queue <> 'gate'),
                            (SELECT count(*) FROM queue WHERE queue = 'gate'),
                            (SELECT count(*) FROM outbox WHERE state <> 'confirmed' AND state <> 'damaged')",
                )?;
                Ok(query.query_row([], |row| {
                    let count = |column| row.get(column).map(unsigned);
                    Ok(Pending { cases: count(0)?, gate: count(1)?, effects: count(2)? })
                })?)
            })
            .await
    }

    async fn check(&self) -> Result<CheckReport, JournalError> {
        let report = self.database.read(rows::check_all).await?;
        self.quarantine(&report.damaged).await;
        Ok(report)
    }
}

/// Everything in `append`, within the transaction of its job.
fn write(connection: &Connection, append: &Append) -> Done<u64> {
    let last = last_number(connection, &append.stream)?;
    if let Expected::Last(expected) = append.expected
        && expected != last
    {
        let stream = append.stream.clone();
        return Err(Failure::Refused(JournalError::Conflict { stream, expected, found: last }));
    }
    let now = append.records.iter().map(|record| record.at).max();
    if let Some(lease) = &append.lease {
        queue::keep(connection, lease, now)?;
    }
    for (seq, record) in (last + 1..).zip(&append.records) {
        insert_record(connection, &append.stream, seq, record)?;
    }
    for wish in &append.effects {
        plan(connection, wish)?;
    }
    for change in &append.queues {
        queue::change(connection, change, now)?;
    }
    for Blob { hash, bytes } in &append.blobs {
        connection
            .prepare_cached("INSERT INTO blob(hash, bytes) VALUES(?1, ?2) ON CONFLICT DO NOTHING")?
            .execute(params![hash, bytes])?;
    }
    Ok(last + append.records.len() as u64)
}

fn last_number(connection: &Connection, stream: &Stream) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM entry WHERE stream = ?1")?
        .query_row([&stream.0], |row| row.get(0).map(unsigned))
}

fn insert_record(connection: &Connection, stream: &Stream, seq: u64, record: &NewRecord) -> rusqlite::Result<()> {
    let NewRecord { kind, body, at } = record;
    let at = at.to_string();
    let crc = rows::crc_of_record(&stream.0, seq, kind, &at, body);
    connection
        .prepare_cached("INSERT INTO entry(stream, seq, kind, at, body, crc) VALUES(?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![stream.0, signed(seq), kind, at, body, crc])?;
    Ok(())
}

/// A second wish with the same key is the first one, repeated.
fn plan(connection: &Connection, wish: &NewEffect) -> rusqlite::Result<()> {
    let NewEffect { key, target, lane, body } = wish;
    connection
        .prepare_cached(
            "INSERT INTO outbox(key, target, lane, body, crc) VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        )?
        .execute(params![key, target, lane, body, rows::crc_of_effect(wish)])?;
    Ok(())
}

fn read_stream(connection: &Connection, stream: &Stream, after: u64) -> Done<Vec<Row>> {
    let mut query = connection.prepare_cached(
        "SELECT stream, seq, kind, at, body, crc FROM entry WHERE stream = ?1 AND seq > ?2 ORDER BY seq",
    )?;
    let mut numbering = StreamRows::after(after);
    let mut found = Vec::new();
    let mut rows = query.query(params![stream.0, signed(after)])?;
    while let Some(row) = rows.next()? {
        found.extend(numbering.next(row)?);
    }
    Ok(found)
}

fn read_since(connection: &Connection, place: u64, most: usize) -> Done<Vec<PlacedRow>> {
    let mut query = connection.prepare_cached(
        "SELECT stream, seq, kind, at, body, crc, place FROM entry WHERE place > ?1 ORDER BY place LIMIT ?2",
    )?;
    let mut found = Vec::new();
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut rows = query.query(params![signed(place), most])?;
    while let Some(row) = rows.next()? {
        let (stream, seq) = (Stream(row.get(0)?), unsigned(row.get(1)?));
        // Rows of other streams lie between: that one is missing shows when its stream is read.
        let read = StreamRows::after(seq.saturating_sub(1)).next(row)?;
        let place = unsigned(row.get(6)?);
        found.extend(read.map(|row| PlacedRow { place, stream: stream.clone(), row }));
    }
    Ok(found)
}

/// Effects that are not confirmed, and damaged ones among them apart.
fn open_effects(connection: &Connection, target: &str) -> Done<(Vec<Effect>, Vec<Damage>)> {
    let mut query = connection.prepare_cached(
        "SELECT place, key, target, lane, body, state, crc FROM outbox
         WHERE target = ?1 AND state <> 'confirmed' AND state <> 'damaged' ORDER BY place",
    )?;
    let (mut sound, mut damaged) = (Vec::new(), Vec::new());
    let mut rows = query.query([target])?;
    while let Some(row) = rows.next()? {
        match rows::effect(row)? {
            Ok(effect) => sound.push(effect),
            Err(damage) => damaged.push(damage),
        }
    }
    Ok((sound, damaged))
}

fn sound_cursors(connection: &Connection, prefix: &str) -> Done<Vec<Cursor>> {
    let mut query = connection.prepare_cached(
        "SELECT name, body, crc FROM cursor WHERE name >= ?1 AND name < ?1 || char(0x10FFFF) ORDER BY name",
    )?;
    let mut found = Vec::new();
    let mut rows = query.query([prefix])?;
    while let Some(row) = rows.next()? {
        match rows::cursor(row)? {
            Some(cursor) => found.push(cursor),
            None => tracing::error!("a cursor is damaged: what it stood for is read again from its beginning"),
        }
    }
    Ok(found)
}

fn stored_blob(connection: &Connection, hash: &str) -> Done<Option<Result<Vec<u8>, Damage>>> {
    let mut query = connection.prepare_cached("SELECT hash, bytes FROM blob WHERE hash = ?1")?;
    Ok(query.query_row([hash], rows::blob).optional()?)
}

/// How a state is kept.
const fn state_word(state: EffectState) -> &'static str {
    match state {
        EffectState::Planned => "planned",
        EffectState::Sent => "sent",
        EffectState::Confirmed => "confirmed",
    }
}
