//! What the stored events say about the sensors that sent them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, params, params_from_iter};

use super::Done;
use super::search::Filter;
use crate::adapters::embedded::sqlite::{signed, unsigned};
use crate::domain::entity::HostName;
use crate::domain::evidence::SensorSeen;
use crate::domain::ids::EventId;
use crate::ports::events::coverage::{
    History, KindSent, MOST_SILENCES, MOST_TOUCHED, REGULAR, SHORTEST_SILENCE, SensorFacts, Silence, TIMES_USUAL,
    Tampering, Touched,
};
use crate::ports::events::{Kind, Watermark};

/// How far on each side of a window a sensor is looked for.
const DAY_MICROSECONDS: i64 = 24 * 3_600_000_000;

pub(super) fn sensor(
    connection: &Connection,
    host: &HostName,
    kind: &Kind,
    from: Timestamp,
    to: Timestamp,
    watermark: Watermark,
) -> Done<SensorSeen> {
    let complete_since = complete_since(connection)?;
    let is_whole = complete_since.is_none_or(|since| since <= from.as_microsecond());
    let (from, to) = (from.as_microsecond(), to.as_microsecond());
    let (earliest, latest) = (from.saturating_sub(DAY_MICROSECONDS), to.saturating_add(DAY_MICROSECONDS));
    let around = |kinds: &[Kind], first: i64, last: i64| {
        let mut filter = Filter::default();
        filter.add("host = ?", [host.key().to_owned()]);
        filter.add("time BETWEEN ? AND ?", [first, last]);
        filter.add("arrival <= ?", [signed(watermark.0)]);
        filter.add_kinds("", kinds);
        filter
    };
    let spoiling = Tampering::REPORTED_BY.iter().filter(|(what, ..)| {
        // A kind of any channel is spoilt by whatever spoils one of them.
        kind.channel.as_ref().is_none_or(|channel| what.spoils(channel))
    });
    let spoiling: Vec<Kind> =
        spoiling.map(|(_, channel, code)| Kind { channel: Some((*channel).into()), code: *code }).collect();
    let kind = std::slice::from_ref(kind);
    let before = around(kind, earliest, from);
    Ok(SensorSeen {
        count: around(kind, earliest, latest).count(connection)?,
        last_before: if is_whole { time(&before, "max", connection)? } else { None },
        first_after: time(&around(kind, to, latest), "min", connection)?,
        tampered: around(&spoiling, earliest, latest).count(connection)? > 0,
    })
}

/// The `min` or `max` of the times, to the microsecond.
fn time(filter: &Filter, which: &str, connection: &Connection) -> Done<Option<Timestamp>> {
    let mut query = connection.prepare_cached(&format!("SELECT {which}(time) FROM event WHERE {}", filter.sql))?;
    let time: Option<i64> = query.query_row(params_from_iter(&filter.values), |row| row.get(0))?;
    Ok(time.and_then(instant))
}

fn instant(microseconds: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(microseconds).ok()
}

pub(super) fn facts(
    connection: &Connection,
    host: &HostName,
    from: Timestamp,
    to: Timestamp,
    watermark: Watermark,
) -> Done<SensorFacts> {
    let mut statement = connection.prepare_cached(
        "SELECT time, channel, code, id FROM event
         WHERE host = ?1 AND time BETWEEN ?2 AND ?3 AND +arrival <= ?4 ORDER BY time, id",
    )?;
    let mut rows =
        statement.query(params![host.key(), from.as_microsecond(), to.as_microsecond(), signed(watermark.0)])?;
    let mut times: BTreeMap<String, BTreeMap<u32, Vec<i64>>> = BTreeMap::new();
    let mut facts = SensorFacts::default();
    let mut ends: Option<(i64, i64)> = None;
    while let Some(row) = rows.next()? {
        let (time, channel, code) =
            (row.get(0)?, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?, row.get(2)?);
        ends = Some((ends.map_or(time, |(first, _)| first), time));
        if !times.contains_key(channel) {
            times.insert(channel.to_owned(), BTreeMap::new());
        }
        if let Some(codes) = times.get_mut(channel) {
            codes.entry(code).or_default().push(time);
        }
        if let (Some(what), Some(at)) = (Tampering::reported_by(channel, code), instant(time)) {
            facts.touched_total += 1;
            if facts.touched.len() < MOST_TOUCHED {
                facts.touched.push(Touched { what, time: at, event: EventId::new(row.get::<_, String>(3)?) });
            }
        }
    }
    let Some(ends) = ends else { return Ok(facts) };
    for (channel, codes) in &times {
        for (code, times) in codes {
            let whole = times.first().copied().and_then(instant).zip(times.last().copied().and_then(instant));
            let Some((first, last)) = whole else { continue };
            let count = times.len() as u64;
            facts.kinds.push(KindSent { channel: channel.clone(), code: *code, count, first, last });
            facts.silences.extend(silences(channel, *code, times, ends.1));
        }
    }
    facts.silences.sort_by_key(|silence| Reverse(silence.to.duration_since(silence.from)));
    facts.silences.truncate(MOST_SILENCES);
    Ok(facts)
}

/// The silences of one kind, whose times are in order; `end` is the last event of any kind.
fn silences(channel: &str, code: u32, times: &[i64], end: i64) -> Vec<Silence> {
    if times.len() < REGULAR {
        return vec![];
    }
    let mut between: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    between.sort_unstable();
    let usual = between[between.len() / 2];
    let shortest = (usual.saturating_mul(TIMES_USUAL)).max(SHORTEST_SILENCE * 1_000_000);
    let last = times.last().map(|last| (*last, end));
    let pairs = times.windows(2).map(|pair| (pair[0], pair[1])).chain(last);
    let long = pairs.filter(|(from, to)| to - from >= shortest);
    let told = long.filter_map(|(from, to)| {
        let (from, to) = (instant(from)?, instant(to)?);
        Some(Silence { channel: channel.to_owned(), code, from, to, usual_seconds: usual / 1_000_000 })
    });
    told.collect()
}

/// The instant before which events may be missing, in microseconds.
fn complete_since(connection: &Connection) -> Done<Option<i64>> {
    Ok(connection.prepare_cached("SELECT complete_since FROM state")?.query_row([], |row| row.get(0))?)
}

pub(super) fn history(connection: &Connection, watermark: Watermark) -> Done<History> {
    let arrived = signed(watermark.0);
    let count = |sql: &str| connection.prepare_cached(sql)?.query_row([arrived], |row| row.get(0).map(unsigned));
    let end = |order: &str| {
        // By the index on time, and up to the first that had arrived.
        let sql = format!("SELECT time FROM event WHERE +arrival <= ?1 ORDER BY time {order} LIMIT 1");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([arrived])?;
        rows.next()?.map(|row| row.get(0)).transpose()
    };
    Ok(History {
        events: count("SELECT count(*) FROM event WHERE arrival <= ?1")?,
        oldest: end("ASC")?.and_then(instant),
        newest: end("DESC")?.and_then(instant),
        complete_since: complete_since(connection)?.and_then(instant),
    })
}
