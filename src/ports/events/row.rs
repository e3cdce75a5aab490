//! An event written out as stores keep it: its header, its document as text, and the keys under which it is found.
//!
//! It is written where the event was made, on the same thread: most of an event is many small pieces of memory, which
//! are far cheaper to let go where they were taken, and a text takes a fraction of their room while it waits.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::mention::{self, Mention, Sort};
use super::prevalence::Habit;
use crate::domain::entity::HostName;
use crate::domain::event::{Event, Origin, SYSMON};
use crate::domain::ids::EventId;

/// An event, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// See [`Event::id`].
    pub id: EventId,
    /// See [`Event::time`].
    pub time: Timestamp,
    /// See [`Event::host`].
    pub host: HostName,
    /// See [`Event::channel`].
    pub channel: String,
    /// See [`Event::code`].
    pub code: u32,
    /// See [`Event::record_id`].
    pub record_id: Option<String>,
    /// See [`Event::origin`].
    pub origin: Origin,
    /// The document as JSON.
    pub document: String,
    /// What it is found by, ascending, each once.
    pub keys: Vec<Key>,
}

impl EventRow {
    /// This is Sysmon's event `code`.
    #[must_use]
    pub fn is_sysmon(&self, code: u32) -> bool {
        self.code == code && self.channel == SYSMON
    }
}

impl From<Event> for EventRow {
    fn from(event: Event) -> Self {
        let keys = Key::of_event(&event);
        let Event { id, time, host, channel, code, record_id, origin, document } = event;
        // Maps of strings and plain values are always JSON.
        // A text that is written grows by doubling; thousands of rows wait to be stored, each in the room it needs.
        let document = serde_json::to_string(&document).unwrap_or_default().as_str().to_owned();
        Self { id, time, host, channel, code, record_id, origin, document, keys }
    }
}

/// What a mention or habit is found by, as a number: the first 64 bits of its SHA-256. Two things share one less often
/// than a disk errs, and to find one that shares the key of a given other takes 2^64 tries; whoever must be sure
/// compares the things themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(i64);

impl Key {
    /// The keys of what an event mentions, paths by their names alone, and of its habits.
    #[must_use]
    pub fn of_event(event: &Event) -> Vec<Self> {
        let mut keys = Vec::with_capacity(16);
        mention::each(event, &mut |mention| {
            // A path is looked for by its name, and then compared.
            if mention.sort() != Sort::FilePath {
                keys.push(Self::from(&mention));
            }
        });
        keys.extend(Habit::shown_by(event).iter().map(Self::from));
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The number itself, as stores write it. What it is of never changes: stored keys would no longer lead anywhere.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    fn of_parts(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let digest = hash.finalize();
        Self(digest.iter().take(8).fold(0, |key, byte| (key << 8) | i64::from(*byte)))
    }
}

impl From<&Mention> for Key {
    /// A path has the key of its sort's names, and none of its own.
    fn from(mention: &Mention) -> Self {
        let sort = match mention.sort() {
            Sort::Process => "process",
            Sort::Hash => "hash",
            Sort::Address => "address",
            Sort::Domain => "domain",
            Sort::Registry => "registry",
            Sort::FilePath | Sort::FileName => "file",
            Sort::Account => "account",
            Sort::Port => "port",
        };
        Self::of_parts(&[sort, mention.value()])
    }
}

impl From<&Habit> for Key {
    fn from(habit: &Habit) -> Self {
        habit.as_mention().map_or_else(|| Self::of_parts(&habit.parts()), Self::from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::event;

    #[test]
    fn keys_are_those_of_the_mentions_and_never_change() {
        let row = EventRow::from(event("e", 0, "h", (SYSMON, 3), json!({"Image": r"C:\A\b.exe", "User": "a"})));
        let mut wanted = [Key::from(&Mention::file("b.exe")), Key::from(&Mention::account("a"))];
        wanted.sort_unstable();
        assert_eq!(row.keys, wanted);
        // Files of earlier versions hold these numbers: SHA-256 of `account`, 0, `a`, 0.
        assert_eq!(Key::from(&Mention::account("a")).number(), -6_718_865_920_747_997_466);
    }
}
