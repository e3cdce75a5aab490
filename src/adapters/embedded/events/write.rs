//! Events into the file: their rows and mentions at once, their words when nobody writes.

use rusqlite::{Connection, params};

use super::read::EventReader;
use super::{Done, format};
use crate::adapters::embedded::sqlite::signed;
use crate::domain::event::Origin;
use crate::ports::events::{EventRow, Key, Stored, text};

/// Events whose words are written in one portion: about 20 ms in which an import would have to wait.
const PORTION: i64 = 200;

/// The highest arrival that was ever given.
pub(super) fn arrived(connection: &Connection) -> rusqlite::Result<i64> {
    let mut query =
        connection.prepare_cached("SELECT max(arrived, coalesce((SELECT max(arrival) FROM event), 0)) FROM state")?;
    query.query_row([], |row| row.get(0))
}

pub(super) fn insert(connection: &Connection, rows: &[EventRow]) -> Done<Stored> {
    let mut narrow = connection.prepare_cached(
        "INSERT INTO event(arrival, id, time, host, channel, code, record_id)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(id) DO NOTHING",
    )?;
    let mut wide = connection.prepare_cached(
        "INSERT INTO document(arrival, host, nanoseconds, file, line, json) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut arrival = arrived(connection)?;
    let (mut stored, mut mentions) = (Stored::default(), Vec::with_capacity(rows.len() * 8));
    for EventRow { id, time, host, channel, code, record_id, origin: Origin { file, line }, document, keys } in rows {
        let (time, nanoseconds) = (time.as_microsecond(), time.subsec_nanosecond() % 1000);
        let new = narrow.execute(params![arrival + 1, id.as_str(), time, host.key(), channel, code, record_id])?;
        if new == 0 {
            stored.known += 1;
            continue;
        }
        arrival += 1;
        wide.execute(params![arrival, host.as_str(), nanoseconds, file, signed(*line), document])?;
        mentions.extend(keys.iter().map(|key| (*key, time, arrival)));
        stored.new += 1;
    }
    // In the order of the table, so that neighbours are written while their page is at hand.
    mentions.sort_unstable();
    insert_mentions(connection, mentions)?;
    Ok(stored)
}

pub(super) fn insert_mentions(
    connection: &Connection,
    mentions: impl IntoIterator<Item = (Key, i64, i64)>,
) -> rusqlite::Result<()> {
    let mut insert =
        connection.prepare_cached("INSERT INTO mention(segment, key, time, arrival) VALUES(?1, ?2, ?3, ?4)")?;
    mentions.into_iter().try_for_each(|(key, time, arrival)| {
        insert.execute([format::segment(arrival), key.number(), time, arrival]).map(drop)
    })
}

/// The arrival up to which every event's words are in the full-text index.
pub(super) fn worded(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT worded FROM state")?.query_row([], |row| row.get(0))
}

/// Writes the words of the next events; whether there are more.
pub(super) fn index_words(connection: &Connection) -> rusqlite::Result<bool> {
    let done = worded(connection)?;
    let arrivals: Vec<i64> = connection
        .prepare_cached("SELECT arrival FROM event WHERE arrival > ?1 ORDER BY arrival LIMIT ?2")?
        .query_map([done, PORTION], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let Some(last) = arrivals.last() else { return Ok(false) };
    let mut reader = EventReader::new(connection)?;
    let mut insert = connection.prepare_cached("INSERT INTO words(rowid, text) VALUES(?1, ?2)")?;
    for arrival in &arrivals {
        // A damaged document says nothing; whoever reads it is told.
        let Ok(event) = reader.event(*arrival) else { continue };
        let words = text::words_of(&event);
        if !words.is_empty() {
            let text = words.into_iter().collect::<Vec<_>>().join(" ");
            insert.execute((arrival, text))?;
        }
    }
    connection.prepare_cached("UPDATE state SET worded = ?1")?.execute([last])?;
    Ok(true)
}
