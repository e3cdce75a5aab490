//! The event store in one SQLite file: a narrow table that is searched, the documents beside it, and two indexes of
//! what documents say.
//!
//! Searches scan only the narrow table; a document is read once its row is wanted. `mention` leads from a thing (a
//! process, an account, a file, an address, …) to the events about it in order of time, and is written with them.
//! `words` is the full text; it costs more than all the rest and is written when nobody writes events, or else when
//! text is first asked for, for a while: what is not in it then is read one by one. Instants are compared to the microsecond and kept exactly.

mod count;
mod coverage;
mod format;
mod read;
mod retention;
mod search;
#[cfg(test)]
mod tests;
mod write;

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use self::read::EventReader;
use super::sqlite::layout::Layout;
use super::sqlite::{Database, Failure, Limits, unsigned};
use crate::domain::entity::HostName;
use crate::domain::event::Event;
use crate::domain::evidence::SensorSeen;
use crate::domain::ids::EventId;
use crate::ports::events::coverage::{History, SensorFacts};
use crate::ports::events::prevalence::{Prevalence, PrevalenceQuery};
use crate::ports::events::retention::{Pruned, RetentionPolicy, Size};
use crate::ports::events::tally::{Tally, TallyQuery};
use crate::ports::events::{EventQuery, EventRow, EventStore, Found, Kind, Stored, Watermark};
use crate::ports::storage::StorageError;

/// Memory for pages, for each connection, in KiB: the upper pages of all indexes of a few million events.
const CACHE: u32 = 24_000;

/// How long a question for text works on the index first, if need be: for some ten thousand events.
const CATCHING_UP: Duration = Duration::from_secs(2);

/// See the module's page.
pub struct EmbeddedEvents {
    database: Database,
    catching_up: Duration,
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
        let layout = Layout { formats: &format::FORMATS, idle: Some(write::index_words), cache: CACHE };
        let database = Database::open_as(&folder.join(Self::FILE), limits, &layout)?;
        Ok(Self { database, catching_up: CATCHING_UP })
    }

    /// Writes words that are not in the index yet if a question asks for some, as far as the time goes: an import that
    /// ended left them, and the next question will ask for them again.
    async fn catch_up_for(&self, query: &EventQuery) -> Result<(), StorageError> {
        if query.text.is_none() {
            return Ok(());
        }
        let began = Instant::now();
        let is_behind = |connection: &Connection| Ok(write::worded(connection)? < write::arrived(connection)?);
        let mut is_left = self.read(is_behind).await?;
        while is_left && began.elapsed() < self.catching_up {
            let portion = self.database.write(|connection| Ok(write::index_words(connection)?)).await;
            is_left = portion.unwrap_or_else(|error: StorageError| {
                // The answer does not rest on it.
                tracing::warn!(%error, "words could not be indexed");
                false
            });
        }
        Ok(())
    }

    /// Runs a question on one state of the store, however many statements it takes.
    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Done<T> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.database
            .read(move |connection| {
                let _one_state = connection.unchecked_transaction()?;
                question(connection)
            })
            .await
    }
}

#[async_trait]
impl EventStore for EmbeddedEvents {
    async fn insert(&self, events: Vec<EventRow>) -> Result<Stored, StorageError> {
        self.database.write(move |connection| write::insert(connection, &events)).await
    }

    async fn get(&self, id: &EventId) -> Result<Option<Event>, StorageError> {
        let id = id.clone();
        self.read(move |connection| {
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
        self.catch_up_for(query).await?;
        let query = query.clone();
        self.read(move |connection| search::search(connection, &query)).await
    }

    async fn tally(&self, query: &TallyQuery) -> Result<Tally, StorageError> {
        self.catch_up_for(&query.events).await?;
        let query = query.clone();
        self.read(move |connection| count::tally(connection, &query)).await
    }

    async fn prevalence(&self, query: &PrevalenceQuery) -> Result<Prevalence, StorageError> {
        let query = query.clone();
        self.read(move |connection| count::prevalence(connection, &query)).await
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
        self.read(move |connection| coverage::sensor(connection, &host, &kind, from, to, watermark)).await
    }

    async fn sensor_facts(
        &self,
        host: &HostName,
        from: Timestamp,
        to: Timestamp,
        watermark: Watermark,
    ) -> Result<SensorFacts, StorageError> {
        let host = host.clone();
        self.read(move |connection| coverage::facts(connection, &host, from, to, watermark)).await
    }

    async fn history(&self, watermark: Watermark) -> Result<History, StorageError> {
        self.read(move |connection| coverage::history(connection, watermark)).await
    }

    async fn watermark(&self) -> Result<Watermark, StorageError> {
        self.read(|connection| Ok(Watermark(unsigned(write::arrived(connection)?)))).await
    }

    async fn retain(&self, policy: &RetentionPolicy, keep: &[EventId]) -> Result<Pruned, StorageError> {
        let keep: HashSet<EventId> = keep.iter().cloned().collect();
        retention::retain(self, *policy, keep.into()).await
    }

    async fn size(&self) -> Result<Size, StorageError> {
        self.read(retention::size).await
    }
}
