//! The stream of people's words: a command appends here, intake carries out what it says.
//!
//! A word on many cases is one record, so it is taken as a whole or not at all. What it says about alerts is
//! recorded as alerts, because the numbers of cases depend on the order in which alerts arrived.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::person::{GroupingWord, PersonsAct};
use crate::ports::journal::{Append, Damage, Expected, Journal, JournalError, NewRecord, Stream};

/// An entry of the people's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum PeopleEntry {
    /// Somebody said something.
    Said {
        /// What.
        said: PersonsAct,
        /// What it says about alerts, if it does.
        grouping: Option<GroupingWord>,
    },
    /// An entry of a later version.
    #[serde(other)]
    Unknown,
}

/// What reading the stream gave.
#[derive(Debug, Default)]
pub struct PeopleRows {
    /// Entries with their numbers.
    pub entries: Vec<(u64, Timestamp, PeopleEntry)>,
    /// Rows that can no longer be trusted.
    pub damaged: Vec<Damage>,
}

fn stream() -> Stream {
    Stream("people".into())
}

/// Records a word and returns its number. It is on record when this returns.
///
/// # Errors
/// When the journal refuses.
pub async fn say(
    journal: &dyn Journal,
    said: PersonsAct,
    grouping: Option<GroupingWord>,
    at: Timestamp,
) -> Result<u64, JournalError> {
    let entry = PeopleEntry::Said { said, grouping };
    let mut append = Append::to(stream(), Expected::Any);
    // Only string keys are in it, so it is always JSON.
    let body = serde_json::to_string(&entry).unwrap_or_default();
    append.records = vec![NewRecord { kind: "said".into(), body, at }];
    journal.append(append).await
}

/// Entries after number `after`.
///
/// # Errors
/// When the journal cannot be read.
pub async fn read(journal: &dyn Journal, after: u64) -> Result<PeopleRows, JournalError> {
    let mut rows = PeopleRows::default();
    for row in journal.read(&stream(), after).await? {
        match row.content {
            Ok(record) => match serde_json::from_str(&record.body) {
                Ok(entry) => rows.entries.push((row.seq, record.at, entry)),
                Err(error) => rows.damaged.push(Damage { stream: stream(), seq: row.seq, what: error.to_string() }),
            },
            Err(damage) => rows.damaged.push(damage),
        }
    }
    Ok(rows)
}
