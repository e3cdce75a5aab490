//! Whole events, read back by their arrival.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{CachedStatement, Connection};

use super::{Done, EmbeddedEvents};
use crate::adapters::embedded::sqlite::{Failure, unsigned};
use crate::domain::entity::HostName;
use crate::domain::event::{Event, Origin};
use crate::domain::ids::EventId;
use crate::ports::storage::StorageError;

/// Reads whole events by their arrival.
pub(super) struct EventReader<'c> {
    connection: &'c Connection,
    query: CachedStatement<'c>,
}

impl<'c> EventReader<'c> {
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        let query = connection.prepare_cached(
            "SELECT id, time, nanoseconds, document.host, channel, code, record_id, file, line, json
             FROM event JOIN document USING(arrival) WHERE arrival = ?1",
        )?;
        Ok(Self { connection, query })
    }

    /// The event; an error that names the file if its document is damaged.
    pub(super) fn event(&mut self, arrival: i64) -> Done<Event> {
        let event = self.query.query_row([arrival], |row| {
            let rest = SignedDuration::from_nanos(row.get(2)?);
            let time = Timestamp::from_microsecond(row.get(1)?).and_then(|time| time.checked_add(rest));
            let document = row.get_ref(9)?.as_str().map(serde_json::from_str);
            let (Ok(time), Ok(Ok(document))) = (time, document) else { return Ok(None) };
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
