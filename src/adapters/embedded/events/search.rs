//! Questions to the event store as SQL: indexes narrow down, and conditions are tried on what is left.

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::{Done, EventReader};
use crate::adapters::embedded::sqlite::{signed, unsigned};
use crate::domain::entity::HostName;
use crate::domain::event::SYSMON;
use crate::domain::evidence::SensorSeen;
use crate::ports::events::{EventQuery, Found, Kind, Watermark};

/// How far on each side of a window a sensor is looked for.
const DAY_MICROSECONDS: i64 = 24 * 3_600_000_000;

/// Events after which an absence shows nothing: a log was cleared, or Sysmon stopped, was reconfigured or failed.
const TAMPERING: [(&str, u32); 5] = [("Security", 1102), ("System", 104), (SYSMON, 4), (SYSMON, 16), (SYSMON, 255)];

pub(super) fn search(connection: &Connection, query: &EventQuery) -> Done<Found> {
    let filter = Filter::of(query);
    let mut found = Found::default();
    let mut reader = EventReader::new(connection)?;
    // Without conditions every row that is read is wanted, and the others are only counted.
    let unconditional = query.conditions.is_empty();
    let limit = if unconditional { signed(query.limit as u64) } else { i64::MAX };
    if unconditional {
        found.total = filter.count(connection)?;
    }
    let sql = format!("SELECT arrival FROM event WHERE {} ORDER BY time, id LIMIT ?", filter.sql);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(filter.values.iter().chain([&limit.into()])))?;
    while let Some(row) = rows.next()? {
        let event = reader.event(row.get(0)?)?;
        if unconditional {
            found.rows.push(event);
        } else if query.conditions.iter().all(|condition| condition.holds(&event)) {
            found.total += 1;
            if found.rows.len() < query.limit {
                found.rows.push(event);
            }
        }
    }
    Ok(found)
}

pub(super) fn sensor(
    connection: &Connection,
    host: &HostName,
    kind: &Kind,
    from: Timestamp,
    to: Timestamp,
    watermark: Watermark,
) -> Done<SensorSeen> {
    let (from, to) = (from.as_microsecond(), to.as_microsecond());
    let (earliest, latest) = (from.saturating_sub(DAY_MICROSECONDS), to.saturating_add(DAY_MICROSECONDS));
    let around = |kinds: &[Kind], first: i64, last: i64| {
        let mut filter = Filter::default();
        filter.add("host = ?", [host.key().to_owned()]);
        filter.add("time BETWEEN ? AND ?", [first, last]);
        filter.add("arrival <= ?", [signed(watermark.0)]);
        filter.add_kinds(kinds);
        filter
    };
    let kind = std::slice::from_ref(kind);
    let tampering = TAMPERING.map(|(channel, code)| Kind { channel: Some(channel.to_owned()), code });
    Ok(SensorSeen {
        count: around(kind, earliest, latest).count(connection)?,
        last_before: around(kind, earliest, from).time("max", connection)?,
        first_after: around(kind, to, latest).time("min", connection)?,
        tampered: around(&tampering, earliest, latest).count(connection)? > 0,
    })
}

/// Terms that are all to hold, with their values in order.
#[derive(Default)]
struct Filter {
    sql: String,
    values: Vec<Value>,
}

impl Filter {
    fn of(query: &EventQuery) -> Self {
        let mut filter = Self::default();
        // A process has few events: with one named, a `+` keeps SQLite from any other index.
        let plus = if query.process.is_some() { "+" } else { "" };
        if let Some(process) = &query.process {
            let process = process.to_uppercase();
            filter.add(
                "arrival IN (SELECT arrival FROM event WHERE process = ? UNION SELECT arrival FROM event WHERE parent = ?)",
                [process.clone(), process],
            );
        }
        if let Some(host) = &query.host {
            filter.add(&format!("{plus}host = ?"), [host.key().to_owned()]);
        }
        let window = [query.from.as_microsecond(), query.to.as_microsecond()];
        filter.add(&format!("{plus}time BETWEEN ? AND ?"), window);
        filter.add("+arrival <= ?", [signed(query.watermark.0)]);
        filter.add_kinds(&query.kinds);
        filter
    }

    fn add<V: Into<Value>>(&mut self, term: &str, values: impl IntoIterator<Item = V>) {
        if !self.sql.is_empty() {
            self.sql.push_str(" AND ");
        }
        self.sql.push_str(term);
        self.values.extend(values.into_iter().map(Into::into));
    }

    /// One of these kinds. The codes come first, because an index begins with them.
    fn add_kinds(&mut self, kinds: &[Kind]) {
        if kinds.is_empty() {
            return;
        }
        let places = vec!["?"; kinds.len()].join(", ");
        self.add(&format!("code IN ({places})"), kinds.iter().map(|kind| kind.code));
        if kinds.iter().any(|kind| kind.channel.is_some()) {
            let pairs = vec!["code = ? AND channel = coalesce(?, channel)"; kinds.len()].join(" OR ");
            let values = kinds.iter().flat_map(|kind| [Value::from(kind.code), Value::from(kind.channel.clone())]);
            self.add(&format!("({pairs})"), values);
        }
    }

    fn count(&self, connection: &Connection) -> Done<u64> {
        let mut query = connection.prepare_cached(&format!("SELECT count(*) FROM event WHERE {}", self.sql))?;
        Ok(query.query_row(params_from_iter(&self.values), |row| row.get(0).map(unsigned))?)
    }

    /// The `min` or `max` of the times, to the microsecond.
    fn time(&self, which: &str, connection: &Connection) -> Done<Option<Timestamp>> {
        let mut query = connection.prepare_cached(&format!("SELECT {which}(time) FROM event WHERE {}", self.sql))?;
        let time: Option<i64> = query.query_row(params_from_iter(&self.values), |row| row.get(0))?;
        Ok(time.and_then(|time| Timestamp::from_microsecond(time).ok()))
    }
}
