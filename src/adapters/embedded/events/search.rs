//! Questions to the event store as SQL: indexes narrow down, and what they cannot decide is tried on what is left.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::format::{SEGMENT_BITS, SEGMENTS};
use super::read::EventReader;
use super::{Done, write};
use crate::adapters::embedded::sqlite::{signed, unsigned};
use crate::ports::events::mention::{Mention, Sort};
use crate::ports::events::text::TextQuery;
use crate::ports::events::{EventQuery, Found, Key, Kind};

pub(super) fn search(connection: &Connection, query: &EventQuery) -> Done<Found> {
    let plan = Plan::of(connection, query)?;
    let mut found = Found::default();
    let mut reader = EventReader::new(connection)?;
    // Where the indexes decide, every row that is read is wanted, and the others are only counted.
    let limit = if plan.is_exact { signed(query.limit as u64) } else { i64::MAX };
    if plan.is_exact {
        found.total = plan.filter.count(connection)?;
    }
    let sql = format!("SELECT arrival FROM event WHERE {} ORDER BY time, id LIMIT ?", plan.filter.sql);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(plan.filter.values.iter().chain([&limit.into()])))?;
    while let Some(row) = rows.next()? {
        let event = reader.event(row.get(0)?)?;
        if plan.is_exact {
            found.rows.push(event);
        } else if query.matches(&event) {
            found.total += 1;
            if found.rows.len() < query.limit {
                found.rows.push(event);
            }
        }
    }
    Ok(found)
}

/// Which events come into question, and whether every one of them is an answer.
pub(super) struct Plan {
    pub(super) filter: Filter,
    /// If not, [`EventQuery::matches`] decides on each.
    pub(super) is_exact: bool,
}

impl Plan {
    pub(super) fn of(connection: &Connection, query: &EventQuery) -> Done<Self> {
        let mut filter = Filter::default();
        let window = [query.from.as_microsecond(), query.to.as_microsecond()];
        let mut things: Vec<Mention> = query.process.iter().map(|id| Mention::process(id)).collect();
        things.extend(query.mentions.iter().cloned());
        // Sorts stand in the order of how few events mention one: the first leads, the others are looked up.
        things.sort_by_key(Mention::sort);
        // What was named has few events: a `+` then keeps SQLite from any other index.
        let plus = if query.among.is_some() || query.text.is_some() || !things.is_empty() { "+" } else { "" };
        if let Some(ids) = &query.among {
            let places = vec!["?"; ids.len()].join(", ");
            filter.add(&format!("id IN ({places})"), ids.iter().map(|id| id.as_str().to_owned()));
        }
        for (place, thing) in things.iter().enumerate() {
            let key = Key::from(&by_index(thing)).number();
            match place {
                0 => filter.add(
                    &format!(
                        "arrival IN ({SEGMENTS} SELECT mention.arrival FROM segments
                         CROSS JOIN mention ON segment = number WHERE key = ? AND mention.time BETWEEN ? AND ?)"
                    ),
                    [key, window[0], window[1]],
                ),
                _ => filter.add(
                    &format!("EXISTS (SELECT 1 FROM mention AS also
                             WHERE also.segment = event.arrival >> {SEGMENT_BITS} AND also.key = ? AND also.time = event.time
                                   AND also.arrival = event.arrival)"),
                    [key],
                ),
            }
        }
        let mut is_exact = query.conditions.is_empty() && things.iter().all(|thing| thing.sort() != Sort::FilePath);
        if let Some(text) = &query.text {
            let worded = write::worded(connection)?;
            is_exact &= worded >= write::arrived(connection)?.min(signed(query.watermark.0));
            filter.add(
                "arrival IN (SELECT rowid FROM words WHERE words MATCH ?
                             UNION SELECT arrival FROM event WHERE arrival > ?)",
                [Value::from(words(text)), worded.into()],
            );
        }
        if let Some(host) = &query.host {
            filter.add(&format!("{plus}host = ?"), [host.key().to_owned()]);
        }
        filter.add(&format!("{plus}time BETWEEN ? AND ?"), window);
        filter.add("+arrival <= ?", [signed(query.watermark.0)]);
        filter.add_kinds(plus, &query.kinds);
        Ok(Self { filter, is_exact })
    }
}

/// What a thing is found by: a path by its name.
fn by_index(thing: &Mention) -> Mention {
    match thing.sort() {
        Sort::FilePath => Mention::file_name(thing.value()),
        _ => thing.clone(),
    }
}

/// Words as the index is asked for them. They hold nothing but letters and digits, so nothing needs escaping.
fn words(text: &TextQuery) -> String {
    text.words().map(|word| format!("\"{word}\" *")).collect::<Vec<_>>().join(" AND ")
}

/// Terms that are all to hold, with their values in order.
#[derive(Default)]
pub(super) struct Filter {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Filter {
    pub(super) fn add<V: Into<Value>>(&mut self, term: &str, values: impl IntoIterator<Item = V>) {
        if !self.sql.is_empty() {
            self.sql.push_str(" AND ");
        }
        self.sql.push_str(term);
        self.values.extend(values.into_iter().map(Into::into));
    }

    /// One of these kinds. The codes come first, because an index begins with them.
    pub(super) fn add_kinds(&mut self, plus: &str, kinds: &[Kind]) {
        if kinds.is_empty() {
            return;
        }
        let places = vec!["?"; kinds.len()].join(", ");
        self.add(&format!("{plus}code IN ({places})"), kinds.iter().map(|kind| kind.code));
        if kinds.iter().any(|kind| kind.channel.is_some()) {
            let pairs = vec!["code = ? AND channel = coalesce(?, channel)"; kinds.len()].join(" OR ");
            let values = kinds.iter().flat_map(|kind| [Value::from(kind.code), Value::from(kind.channel.clone())]);
            self.add(&format!("({pairs})"), values);
        }
    }

    pub(super) fn count(&self, connection: &Connection) -> Done<u64> {
        let mut query = connection.prepare_cached(&format!("SELECT count(*) FROM event WHERE {}", self.sql))?;
        Ok(query.query_row(params_from_iter(&self.values), |row| row.get(0).map(unsigned))?)
    }
}
