//! The event store in one SQLite file: a narrow table that is searched, and the documents beside it.
//!
//! Searches scan only the narrow table; a document is read once its row is wanted. Instants are compared to
//! the microsecond and kept exactly.

mod search;
#[cfg(test)]
mod tests;

use std::path::Path;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::sqlite::{Database, Failure, Limits, signed, unsigned};
use crate::domain::entity::HostName;
use crate::domain::event::{Event, Origin};
use crate::domain::evidence::SensorSeen;
use crate::domain::ids::EventId;
use crate::ports::events::{EventQuery, EventStore, Found, Kind, Stored, Watermark};
use crate::ports::storage::StorageError;

const FORMAT_1: &str = "
    CREATE TABLE event(
        arrival INTEGER PRIMARY KEY,  -- counts from 1 without gaps, because nothing is ever removed
        id TEXT NOT NULL UNIQUE,
        time INTEGER NOT NULL,        -- microseconds since 1970, UTC
        host TEXT NOT NULL,           -- the host's key
        channel TEXT NOT NULL, code INTEGER NOT NULL, record_id TEXT,
        process TEXT, parent TEXT);   -- Sysmon's entity ids, upper case
    CREATE TABLE document(
        arrival INTEGER PRIMARY KEY,
        host TEXT NOT NULL,           -- as the log wrote it
        nanoseconds INTEGER NOT NULL, -- what the microseconds leave of the time
        file TEXT NOT NULL, line INTEGER NOT NULL, json TEXT NOT NULL);
    CREATE INDEX event_time ON event(time);
    CREATE INDEX event_host ON event(host, time);
    CREATE INDEX event_kind ON event(host, code, time);
    CREATE INDEX event_process ON event(process) WHERE process IS NOT NULL;
    CREATE INDEX event_parent ON event(parent) WHERE parent IS NOT NULL;
";

/// See the module's page.
pub struct EmbeddedEvents {
    database: Database,
}

/// What a job of the store gives.
type Done<T> = Result<T, Failure<StorageError>>;

impl EmbeddedEvents {
    /// Its file in the state folder.
    pub const FILE: &str = "events.db";

    /// Opens the store in this folder, or creates it.
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
        Ok(Self { database: Database::open(&folder.join(Self::FILE), limits, &[FORMAT_1])? })
    }
}

#[async_trait]
impl EventStore for EmbeddedEvents {
    async fn insert(&self, events: Vec<Event>) -> Result<Stored, StorageError> {
        // Encoded here and not in the job, so that several imports encode at a time.
        let rows = events.into_iter().map(NewRow::from).collect::<Vec<_>>();
        self.database.write(move |connection| insert(connection, &rows)).await
    }

    async fn get(&self, id: &EventId) -> Result<Option<Event>, StorageError> {
        let id = id.clone();
        self.database
            .read(move |connection| {
                let arrival: Option<i64> = connection
                    .prepare_cached("SELECT arrival FROM event WHERE id = ?1")?
                    .query_row([id.as_str()], |row| row.get(0))
                    .optional()?;
                let mut reader = EventReader::new(connection)?;
                arrival.map(|arrival| reader.event(arrival)).transpose()
            })
            .await
    }

    async fn search(&self, query: &EventQuery) -> Result<Found, StorageError> {
        let query = query.clone();
        self.database.read(move |connection| search::search(connection, &query)).await
    }

    async fn sensor(
        &self,
        host: &HostName,
        kind: &Kind,
        from: Timestamp,
        to: Timestamp,
        watermark: Watermark,
    ) -> Result<SensorSeen, StorageError> {
        let (host, kind) = (host.clone(), kind.clone());
        self.database.read(move |connection| search::sensor(connection, &host, &kind, from, to, watermark)).await
    }

    async fn watermark(&self) -> Result<Watermark, StorageError> {
        self.database
            .read(|connection| {
                let mut query = connection.prepare_cached("SELECT coalesce(max(arrival), 0) FROM event")?;
                Ok(query.query_row([], |row| row.get(0).map(unsigned).map(Watermark))?)
            })
            .await
    }
}

/// An event as its two rows.
struct NewRow {
    event: Event,
    time: i64,
    nanoseconds: i32,
    process: Option<String>,
    parent: Option<String>,
    json: String,
}

impl From<Event> for NewRow {
    fn from(event: Event) -> Self {
        let id_of = |names: &[&str]| names.iter().find_map(|name| event.data(name)).map(str::to_uppercase);
        Self {
            time: event.time.as_microsecond(),
            nanoseconds: event.time.subsec_nanosecond() % 1000,
            process: id_of(&["ProcessGuid", "SourceProcessGUID", "SourceProcessGuid"]),
            parent: id_of(&["ParentProcessGuid"]),
            json: serde_json::Value::Object(event.document.clone()).to_string(),
            event,
        }
    }
}

fn insert(connection: &Connection, rows: &[NewRow]) -> Done<Stored> {
    let mut narrow = connection.prepare_cached(
        "INSERT INTO event(id, time, host, channel, code, record_id, process, parent)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT(id) DO NOTHING",
    )?;
    let mut wide = connection.prepare_cached(
        "INSERT INTO document(arrival, host, nanoseconds, file, line, json) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut stored = Stored::default();
    for NewRow { event, time, nanoseconds, process, parent, json } in rows {
        let Event { id, host, channel, code, record_id, origin: Origin { file, line }, .. } = event;
        let new = narrow.execute(params![id.as_str(), time, host.key(), channel, code, record_id, process, parent])?;
        if new == 0 {
            stored.known += 1;
            continue;
        }
        let arrival = connection.last_insert_rowid();
        wide.execute(params![arrival, host.as_str(), nanoseconds, file, signed(*line), json])?;
        stored.new += 1;
    }
    Ok(stored)
}

/// Reads whole events by their arrival.
struct EventReader<'c> {
    connection: &'c Connection,
    query: CachedStatement<'c>,
}

impl<'c> EventReader<'c> {
    fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        let query = connection.prepare_cached(
            "SELECT id, time, nanoseconds, document.host, channel, code, record_id, file, line, json
             FROM event JOIN document USING(arrival) WHERE arrival = ?1",
        )?;
        Ok(Self { connection, query })
    }

    fn event(&mut self, arrival: i64) -> Done<Event> {
        let event = self.query.query_row([arrival], |row| {
            let rest = SignedDuration::from_nanos(row.get(2)?);
            let time = Timestamp::from_microsecond(row.get(1)?).and_then(|time| time.checked_add(rest));
            let document = serde_json::from_str(row.get_ref(9)?.as_str()?);
            let (Ok(time), Ok(document)) = (time, document) else { return Ok(None) };
            Ok(Some(Event {
                id: EventId::new(row.get::<_, String>(0)?),
                time,
                host: HostName::new(row.get::<_, String>(3)?),
                channel: row.get(4)?,
                code: row.get(5)?,
                record_id: row.get(6)?,
                origin: Origin { file: row.get(7)?, line: row.get(8).map(unsigned)? },
                document,
            }))
        })?;
        event.ok_or_else(|| {
            let path = self.connection.path().unwrap_or(EmbeddedEvents::FILE).to_owned();
            let what = format!("its {arrival}. event is damaged: import into a new state folder");
            Failure::Refused(StorageError::Unusable { path, what })
        })
    }
}
