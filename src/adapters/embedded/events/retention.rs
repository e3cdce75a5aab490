//! Removing what is old, portion by portion, and never what somebody rests on.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::read::EventReader;
use super::{Done, EmbeddedEvents, format, write};
use crate::adapters::embedded::sqlite::{signed, unsigned};
use crate::domain::ids::EventId;
use crate::ports::events::Key;
use crate::ports::events::retention::{Pruned, RetentionPolicy, Size};
use crate::ports::storage::StorageError;

/// Events that are looked at in one portion; imports get their turn between two.
const PORTION: i64 = 1_000;

/// Where the last portion ended: the time and arrival of the last event it looked at.
type Place = (i64, i64);

/// What is known from portion to portion.
#[derive(Clone)]
struct Progress {
    place: Place,
    pruned: Pruned,
    /// Bytes that the contents take, in a dry run as if events were gone.
    bytes: u64,
    is_done: bool,
}

pub(super) async fn retain(
    store: &EmbeddedEvents,
    policy: RetentionPolicy,
    keep: Arc<HashSet<EventId>>,
) -> Result<Pruned, StorageError> {
    let (bytes, average) = store.read(|connection| Ok((size(connection)?.bytes, average(connection)?))).await?;
    let mut progress = Progress {
        place: (i64::MIN, i64::MIN),
        pruned: Pruned { bytes_before: bytes, bytes_after: bytes, ..Pruned::default() },
        bytes,
        is_done: false,
    };
    while !progress.is_done {
        let keep = keep.clone();
        let portion = move |connection: &Connection| {
            // Each run goes on from where the last portion ended.
            let mut progress = progress.clone();
            look_on(connection, &policy, &keep, average, &mut progress)?;
            Ok(progress)
        };
        progress = match policy.dry_run {
            true => store.read(portion).await?,
            false => store.database.write(portion).await?,
        };
    }
    progress.pruned.bytes_after = progress.bytes;
    Ok(progress.pruned)
}

/// Looks at the next events in order of time, and removes what may go unless it is a dry run.
fn look_on(
    connection: &Connection,
    policy: &RetentionPolicy,
    keep: &HashSet<EventId>,
    average: u64,
    progress: &mut Progress,
) -> Done<()> {
    let before = policy.before.map(Timestamp::as_microsecond);
    let next: Vec<(i64, i64, String)> = connection
        .prepare_cached(
            "SELECT time, arrival, id FROM event WHERE (time, arrival) > (?1, ?2) ORDER BY time, arrival LIMIT ?3",
        )?
        .query_map(params![progress.place.0, progress.place.1, PORTION], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    progress.is_done = (next.len() as i64) < PORTION;
    let mut gone = Vec::new();
    for (time, arrival, id) in next {
        let is_old = before.is_some_and(|before| time < before);
        let taken = progress.bytes.saturating_sub(average.saturating_mul(gone.len() as u64));
        let is_too_much = policy.larger_than.is_some_and(|most| taken > most);
        if !is_old && !is_too_much {
            // Within a portion the size is an estimate: only where nothing went, this is the end.
            progress.is_done = gone.is_empty();
            break;
        }
        progress.place = (time, arrival);
        if keep.contains(&EventId::new(id)) {
            progress.pruned.kept += 1;
        } else {
            gone.push((time, arrival));
        }
    }
    if let (Some(first), Some(last)) = (gone.first(), gone.last()) {
        progress.pruned.from = progress.pruned.from.or_else(|| Timestamp::from_microsecond(first.0).ok());
        progress.pruned.to = Timestamp::from_microsecond(last.0).ok();
        progress.pruned.removed += gone.len() as u64;
        if policy.dry_run {
            progress.bytes = progress.bytes.saturating_sub(average.saturating_mul(gone.len() as u64));
            return Ok(());
        }
        // Before anything goes: the numbers that were given, and from when on nothing is missing.
        let arrived = write::arrived(connection)?;
        connection
            .prepare_cached("UPDATE state SET arrived = ?1, complete_since = max(coalesce(complete_since, ?2), ?2)")?
            .execute([arrived, last.0.saturating_add(1)])?;
        for (time, arrival) in &gone {
            remove(connection, *time, *arrival)?;
        }
        progress.bytes = size(connection)?.bytes;
    }
    Ok(())
}

fn remove(connection: &Connection, time: i64, arrival: i64) -> Done<()> {
    // What a damaged document mentioned is not known: what is left of it leads to no event and is passed over.
    if let Ok(event) = EventReader::new(connection)?.event(arrival) {
        let mut mentions = connection
            .prepare_cached("DELETE FROM mention WHERE segment = ?1 AND key = ?2 AND time = ?3 AND arrival = ?4")?;
        for key in Key::of_event(&event) {
            mentions.execute([format::segment(arrival), key.number(), time, arrival])?;
        }
    }
    for sql in [
        "DELETE FROM words WHERE rowid = ?1",
        "DELETE FROM document WHERE arrival = ?1",
        "DELETE FROM event WHERE arrival = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([arrival])?;
    }
    Ok(())
}

/// Bytes that an event takes, its share of the indexes included.
fn average(connection: &Connection) -> Done<u64> {
    let events: u64 = connection.query_row("SELECT count(*) FROM event", [], |row| row.get(0).map(unsigned))?;
    Ok(size(connection)?.bytes / events.max(1))
}

pub(super) fn size(connection: &Connection) -> Done<Size> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get(0).map(unsigned));
    let (page, pages, free) = (pragma("page_size")?, pragma("page_count")?, pragma("freelist_count")?);
    let worded = write::worded(connection)?;
    let mut unindexed = connection.prepare_cached("SELECT count(*) FROM event WHERE arrival > ?1")?;
    Ok(Size {
        bytes: pages.saturating_sub(free).saturating_mul(page),
        free: free.saturating_mul(page),
        unindexed: unindexed.query_row([signed(unsigned(worded))], |row| row.get(0).map(unsigned))?,
    })
}
