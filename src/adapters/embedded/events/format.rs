//! The file's formats, and where in it the keys lie.

use rusqlite::Connection;

use super::read::EventReader;
use super::write;
use crate::adapters::embedded::sqlite::layout::Format;
use crate::ports::events::Key;

/// Each brings the file of the format before it to its own.
pub(super) const FORMATS: [Format; 2] =
    [Format { sql: FORMAT_1, fill: None }, Format { sql: FORMAT_2, fill: Some(fill_mentions) }];

pub(super) const FORMAT_1: &str = "
    CREATE TABLE event(
        arrival INTEGER PRIMARY KEY,
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

/// Events may be removed from here on, so how much has arrived is kept apart. `mention` takes over from the columns
/// `process` and `parent`, which are no longer written or read: to drop them would rewrite the table.
const FORMAT_2: &str = "
    DROP INDEX event_process;
    DROP INDEX event_parent;
    CREATE TABLE mention(
        segment INTEGER NOT NULL,     -- of the arrival, see `segment`
        key INTEGER NOT NULL,         -- of what is mentioned, see `Key`
        time INTEGER NOT NULL, arrival INTEGER NOT NULL,
        PRIMARY KEY(segment, key, time, arrival)) WITHOUT ROWID;
    CREATE VIRTUAL TABLE words USING fts5(
        text, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii');
    CREATE TABLE state(
        arrived INTEGER NOT NULL,     -- the highest arrival that was ever given, as of the last retention
        worded INTEGER NOT NULL,      -- words has every event up to this arrival
        complete_since INTEGER);      -- the time before which retention may have removed events
    INSERT INTO state VALUES(0, 0, NULL);
";

/// The stretch of arrivals that one falls into. Keys are as good as random: in one tree of all of them each event
/// would change a page for every mention. Within a segment the pages are few and stay at hand, however large the
/// store is; the price is one look for each segment when something is asked for, about a thousand in ten million events.
pub(super) const fn segment(arrival: i64) -> i64 {
    arrival >> SEGMENT_BITS
}

/// A segment has 8,192 arrivals.
pub(super) const SEGMENT_BITS: u32 = 13;

/// What leads from a key to its events, as the beginning of a statement: `segments(number)` are those there are.
pub(super) const SEGMENTS: &str = "
    WITH RECURSIVE segments(number) AS (
        SELECT min(segment) FROM mention
        UNION ALL
        SELECT (SELECT min(segment) FROM mention WHERE segment > number) FROM segments WHERE number IS NOT NULL)";

/// Writes the mentions of all events that are stored.
fn fill_mentions(connection: &Connection) -> rusqlite::Result<()> {
    let mut reader = EventReader::new(connection)?;
    let mut arrivals = connection.prepare("SELECT arrival FROM event ORDER BY arrival")?;
    let mut rows = arrivals.query([])?;
    while let Some(row) = rows.next()? {
        let arrival = row.get(0)?;
        // A damaged document mentions nothing; whoever reads it is told.
        if let Ok(event) = reader.event(arrival) {
            let time = event.time.as_microsecond();
            write::insert_mentions(connection, Key::of_event(&event).into_iter().map(|key| (key, time, arrival)))?;
        }
    }
    Ok(())
}
