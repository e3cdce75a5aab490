//! Counting: by groups, and how usual something is.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{Connection, Row, params, params_from_iter};

use super::Done;
use super::format::SEGMENTS;
use super::read::EventReader;
use super::search::Plan;
use crate::adapters::embedded::sqlite::{signed, unsigned};
use crate::domain::event::kind_name;
use crate::ports::events::Key;
use crate::ports::events::prevalence::{Prevalence, PrevalenceQuery, Spread};
use crate::ports::events::tally::{Dimension, Group, NO_FIELD, Tally, TallyQuery};

const DAY: i64 = 86_400_000_000;

/// What is known of a group while it is counted.
struct Counted {
    events: u64,
    hosts: BTreeSet<String>,
    days: BTreeSet<i64>,
    first: i64,
    last: i64,
}

pub(super) fn tally(connection: &Connection, query: &TallyQuery) -> Done<Tally> {
    let plan = Plan::of(connection, &query.events)?;
    let dimensions = query.by.dimensions();
    let of_document = |dimension: &Dimension| matches!(dimension, Dimension::Field(_));
    let reads = !plan.is_exact || dimensions.iter().any(of_document);
    let mut reader = EventReader::new(connection)?;
    let sql = format!("SELECT arrival, time, host, channel, code FROM event WHERE {}", plan.filter.sql);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(&plan.filter.values))?;
    let mut groups: BTreeMap<Vec<String>, Counted> = BTreeMap::new();
    let mut tally = Tally::default();
    while let Some(row) = rows.next()? {
        let event = if reads { Some(reader.event(row.get(0)?)?) } else { None };
        if !plan.is_exact && event.as_ref().is_some_and(|event| !query.events.matches(event)) {
            continue;
        }
        let (time, host) = (row.get(1)?, row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?);
        let value = |dimension: &Dimension| -> rusqlite::Result<String> {
            Ok(match dimension {
                Dimension::Host => host.to_owned(),
                Dimension::Kind => kind_name(row.get_ref(3)?.as_str()?, row.get(4)?),
                Dimension::Field(path) => {
                    event.as_ref().and_then(|event| event.field(path)).unwrap_or_else(|| NO_FIELD.into())
                }
                Dimension::Time(bin) => {
                    Timestamp::from_microsecond(time).map(|time| bin.beginning(time).to_string()).unwrap_or_default()
                }
            })
        };
        let key = dimensions.iter().map(value).collect::<rusqlite::Result<Vec<_>>>()?;
        let empty = Counted { events: 0, hosts: BTreeSet::new(), days: BTreeSet::new(), first: time, last: time };
        let group = groups.entry(key).or_insert(empty);
        group.events += 1;
        if !group.hosts.contains(host) {
            group.hosts.insert(host.to_owned());
        }
        group.days.insert(time.div_euclid(DAY));
        (group.first, group.last) = (group.first.min(time), group.last.max(time));
        tally.events_total += 1;
    }
    tally.groups_total = groups.len() as u64;
    let mut groups: Vec<_> = groups.into_iter().collect();
    // The sort is stable: groups of one size stay in the order of their keys.
    groups.sort_by_key(|(_, counted)| std::cmp::Reverse(counted.events));
    tally.groups =
        groups.into_iter().take(query.events.limit).filter_map(|(key, counted)| group(key, &counted)).collect();
    Ok(tally)
}

fn group(key: Vec<String>, counted: &Counted) -> Option<Group> {
    Some(Group {
        key,
        events: counted.events,
        hosts: counted.hosts.len() as u64,
        days: counted.days.len() as u64,
        // What was stored was an instant.
        first: Timestamp::from_microsecond(counted.first).ok()?,
        last: Timestamp::from_microsecond(counted.last).ok()?,
    })
}

pub(super) fn prevalence(connection: &Connection, query: &PrevalenceQuery) -> Done<Prevalence> {
    // An interval that holds nothing if nothing is left out.
    let except = query.except.map_or((i64::MAX, i64::MIN), |(from, to)| (from.as_microsecond(), to.as_microsecond()));
    let spread = |host: Option<&str>| {
        // The key leads to the events in order of time; the narrow table knows their hosts.
        let mut statement = connection.prepare_cached(&format!(
            "{SEGMENTS} SELECT count(*), count(DISTINCT host), count(DISTINCT event.time / 86400000000),
                    min(event.time), max(event.time)
             FROM segments CROSS JOIN mention ON segment = number CROSS JOIN event USING(arrival)
             WHERE key = ?1 AND mention.time BETWEEN ?2 AND ?3 AND NOT mention.time BETWEEN ?4 AND ?5
                   AND arrival <= ?6 AND (?7 IS NULL OR host = ?7)"
        ))?;
        let (from, to) = (query.from.as_microsecond(), query.to.as_microsecond());
        let key = Key::from(&query.of).number();
        let values = params![key, from, to, except.0, except.1, signed(query.watermark.0), host];
        statement.query_row(values, as_spread)
    };
    Ok(Prevalence { fleet: spread(None)?, host: spread(Some(query.host.key()))? })
}

fn as_spread(row: &Row<'_>) -> rusqlite::Result<Spread> {
    let count = |place: usize| row.get(place).map(unsigned);
    let time = |place: usize| {
        let stored: Option<i64> = row.get(place)?;
        Ok::<_, rusqlite::Error>(stored.and_then(|time| Timestamp::from_microsecond(time).ok()))
    };
    Ok(Spread { events: count(0)?, hosts: count(1)?, days: count(2)?, first: time(3)?, last: time(4)? })
}
