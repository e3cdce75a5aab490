//! Queues and leases: who works on what, and how a worker that lost its turn is kept from writing.
//!
//! Every claim draws the next number of one counter as its epoch. An epoch is therefore never given twice,
//! not even for an item that was removed and came back, and taking the owner away is enough to void a lease.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::Done;
use crate::adapters::embedded::sqlite::{Failure, signed, unsigned};
use crate::ports::journal::{JournalError, Lease, Queue, QueueChange};

/// A rank is worth an hour of waiting.
const RANK_MICROSECONDS: i64 = 3_600_000_000;

/// Applies a change. `now` is the time of the append's records.
pub(super) fn change(connection: &Connection, change: &QueueChange, now: Option<Timestamp>) -> Done<()> {
    match change {
        QueueChange::Put { queue, item, rank, not_before } => {
            // Who is put without any record says nothing of the time and has waited longest.
            let since = now.or(*not_before).map_or(0, Timestamp::as_microsecond);
            let rank = i64::from(*rank);
            connection
                .prepare_cached(
                    "INSERT INTO queue(queue, item, rank, order_key, not_before) VALUES(?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT(queue, item) DO UPDATE SET
                         rank = max(rank, excluded.rank),
                         order_key = order_key - max(0, excluded.rank - rank) * ?6,
                         not_before = excluded.not_before,
                         owner = NULL, lease_until = NULL",
                )?
                .execute(params![
                    queue.name(),
                    item,
                    rank,
                    since - rank * RANK_MICROSECONDS,
                    not_before.map(Timestamp::as_microsecond),
                    RANK_MICROSECONDS,
                ])?;
        }
        QueueChange::Remove { queue, item } => {
            connection
                .prepare_cached("DELETE FROM queue WHERE queue = ?1 AND item = ?2")?
                .execute([queue.name(), item])?;
        }
    }
    Ok(())
}

/// Extends the lease from `now` on, or refuses if it has passed to somebody else. A lease that has most of its time left
/// is only looked at: to write its page with every step would cost as much as the step's own.
pub(super) fn keep(connection: &Connection, lease: &Lease, now: Option<Timestamp>) -> Done<()> {
    let held: Option<(i64, i64)> = connection
        .prepare_cached(
            "SELECT place, lease_until FROM queue
             WHERE queue = ?1 AND item = ?2 AND epoch = ?3 AND owner IS NOT NULL",
        )?
        .query_row(params![lease.queue.name(), lease.item, signed(lease.epoch)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((place, until)) = held else {
        let Lease { queue, item, epoch, .. } = lease.clone();
        return Err(Failure::Refused(JournalError::Fenced { queue, item, epoch }));
    };
    let used = now.map_or(0, |now| end(now, lease.ttl).saturating_sub(until));
    if used > end(Timestamp::UNIX_EPOCH, lease.ttl / 4) {
        connection
            .prepare_cached("UPDATE queue SET lease_until = lease_until + ?2 WHERE place = ?1")?
            .execute([place, used])?;
    }
    Ok(())
}

/// Gives the foremost item that is due and free to `owner`.
pub(super) fn claim(
    connection: &Connection,
    queue: Queue,
    owner: &str,
    ttl: Duration,
    now: Timestamp,
) -> Done<Option<Lease>> {
    let found: Option<(i64, String)> = connection
        .prepare_cached(
            "SELECT place, item FROM queue
             WHERE queue = ?1 AND coalesce(not_before <= ?2, TRUE) AND (owner IS NULL OR lease_until < ?2)
             ORDER BY order_key, place LIMIT 1",
        )?
        .query_row(params![queue.name(), now.as_microsecond()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((place, item)) = found else { return Ok(None) };
    let epoch: i64 = connection
        .prepare_cached("UPDATE claims SET total = total + 1 RETURNING total")?
        .query_row([], |row| row.get(0))?;
    connection
        .prepare_cached("UPDATE queue SET owner = ?2, epoch = ?3, lease_until = ?4 WHERE place = ?1")?
        .execute(params![place, owner, epoch, end(now, ttl)])?;
    Ok(Some(Lease { queue, item, epoch: unsigned(epoch), ttl }))
}

/// Frees the item if the lease still holds.
pub(super) fn release(connection: &Connection, lease: &Lease, not_before: Option<Timestamp>) -> Done<()> {
    connection
        .prepare_cached(
            "UPDATE queue SET owner = NULL, lease_until = NULL, not_before = ?4
             WHERE queue = ?1 AND item = ?2 AND epoch = ?3 AND owner IS NOT NULL",
        )?
        .execute(params![
            lease.queue.name(),
            lease.item,
            signed(lease.epoch),
            not_before.map(Timestamp::as_microsecond)
        ])?;
    Ok(())
}

/// Frees everything that `owner` holds.
pub(super) fn release_all(connection: &Connection, owner: &str) -> Done<()> {
    connection
        .prepare_cached("UPDATE queue SET owner = NULL, lease_until = NULL WHERE owner = ?1")?
        .execute([owner])?;
    Ok(())
}

/// When a lease ends, in microseconds; one that is too long to count never does.
fn end(now: Timestamp, ttl: Duration) -> i64 {
    now.as_microsecond().saturating_add(i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX))
}
