//! What was wrong with an input: records that gave no event, records that were not read word for word, and where
//! the input ended too early. Each is counted by kind, with the first of its kind as the example.

use std::collections::BTreeMap;
use std::fmt;

/// Where in an input a record stands. All are counted from 1, save an event log's own record numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A line of a file with one record a line.
    Line(u64),
    /// An element of a JSON list, or an object of a file that holds one after another.
    Element(u64),
    /// The number that a Windows event log gave a record.
    Record(u64),
    /// A chunk of a Windows event log file.
    Chunk(u64),
}

impl Place {
    /// The number alone.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Line(number) | Self::Element(number) | Self::Record(number) | Self::Chunk(number) => number,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Element(number) => write!(f, "element {number}"),
            Self::Record(number) => write!(f, "record {number}"),
            Self::Chunk(number) => write!(f, "chunk {number}"),
        }
    }
}

/// Why a record gave no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Longer than a record may be.
    TooLong,
    /// Not JSON.
    NotJson,
    /// Nested deeper than a record may be.
    TooDeep,
    /// More values than a record may have.
    TooManyValues,
    /// JSON, but not an object.
    NotAnObject,
    /// A part of a Windows event log file that cannot be read.
    DamagedChunk,
    /// A record of a Windows event log file that cannot be read.
    DamagedRecord,
    /// An object of no known shape.
    UnknownShape,
    /// A known shape without a usable time.
    NoTime,
    /// A known shape without a usable event id.
    NoCode,
    /// A known shape that does not say which log it comes from.
    NoChannel,
    /// Reading it broke watchfloor's own code.
    ReaderBroke,
    /// It was read and stored, and looking at it with the rules broke their engine.
    RulesBroke,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TooLong => "too long",
            Self::NotJson => "not JSON",
            Self::TooDeep => "nested too deep",
            Self::TooManyValues => "too many values",
            Self::NotAnObject => "not a JSON object",
            Self::DamagedChunk => "damaged part of an event log",
            Self::DamagedRecord => "damaged record of an event log",
            Self::UnknownShape => "unknown shape",
            Self::NoTime => "no usable time",
            Self::NoCode => "no usable event id",
            Self::NoChannel => "no channel",
            Self::ReaderBroke => "watchfloor broke on reading it",
            Self::RulesBroke => "the rule engine broke on it",
        })
    }
}

/// Why a record that was read is not word for word what the input says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flaw {
    /// Bytes that are not UTF-8 became U+FFFD.
    NotUtf8,
    /// Half a UTF-16 pair became U+FFFD.
    HalfPair,
    /// Control characters that JSON forbids were taken as if they had been escaped.
    BareControl,
    /// A number beyond every number format is kept as text.
    HugeNumber,
    /// A name was given twice; the last value is kept.
    RepeatedName,
    /// A value is longer than rules look through; see [`crate::detection::read::seen_by_rules`].
    LongValue,
    /// The checksum of a part of a Windows event log file does not match; what could be read was.
    Checksum,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotUtf8 => "bytes that are not UTF-8 were replaced",
            Self::HalfPair => "half a UTF-16 pair was replaced",
            Self::BareControl => "control characters were not escaped",
            Self::HugeNumber => "a number too large for any number was kept as text",
            Self::RepeatedName => "a name stands twice, the last value was kept",
            Self::LongValue => "a value over 64 KiB is stored whole, rules saw its first and last 32 KiB",
            Self::Checksum => "the checksum of its part of the event log does not match",
        })
    }
}

/// One broken record: its kind and what exactly is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The kind.
    pub fault: Fault,
    /// What exactly is wrong with this one.
    pub reason: String,
}

impl Broken {
    /// A broken record.
    pub fn new(fault: Fault, reason: impl Into<String>) -> Self {
        Self { fault, reason: reason.into() }
    }
}

/// All records of which the same is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// How many there are.
    pub count: u64,
    /// Where the first stands.
    pub first: Place,
    /// What exactly is wrong with the first.
    pub first_reason: String,
}

/// Everything that was wrong with an input. An undamaged input has none of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damage {
    broken: BTreeMap<Fault, Tally>,
    flawed: BTreeMap<Flaw, Tally>,
    cut_short: Option<String>,
}

impl Damage {
    /// Counts a broken record.
    pub fn count(&mut self, place: Place, broken: Broken) {
        count(&mut self.broken, broken.fault, Tally { count: 1, first: place, first_reason: broken.reason });
    }

    /// Counts a record that was read, but not word for word.
    pub fn note(&mut self, place: Place, flaw: Flaw, reason: impl Into<String>) {
        count(&mut self.flawed, flaw, Tally { count: 1, first: place, first_reason: reason.into() });
    }

    /// The input ended before its end, after this record, or before there was any.
    pub fn cut_short(&mut self, after: Option<Place>, cause: impl fmt::Display) {
        let place = after.map_or_else(|| "before the first record".to_owned(), |place| format!("after {place}"));
        self.cut_short = Some(format!("cut short {place}: {cause}; what comes before was read"));
    }

    /// Adds what was wrong with the part of the input that follows.
    pub fn add(&mut self, later: Self) {
        later.broken.into_iter().for_each(|(fault, tally)| count(&mut self.broken, fault, tally));
        later.flawed.into_iter().for_each(|(flaw, tally)| count(&mut self.flawed, flaw, tally));
        self.cut_short = self.cut_short.take().or(later.cut_short);
    }

    /// The broken records by kind.
    #[must_use]
    pub const fn broken(&self) -> &BTreeMap<Fault, Tally> {
        &self.broken
    }

    /// The records that were not read word for word, by kind. A record may have several flaws.
    #[must_use]
    pub const fn flawed(&self) -> &BTreeMap<Flaw, Tally> {
        &self.flawed
    }

    /// How many records are broken.
    #[must_use]
    pub fn broken_count(&self) -> u64 {
        self.broken.values().map(|tally| tally.count).sum()
    }

    /// Why the input ended before its end, if it did (a truncated gzip, a failing disk).
    #[must_use]
    pub fn truncation(&self) -> Option<&str> {
        self.cut_short.as_deref()
    }

    /// What is missing or was not read word for word, if anything. A long value is whole where events are asked for, and
    /// ordinary logs have them.
    #[must_use]
    pub fn loss(&self) -> Option<String> {
        let mut lost = self.clone();
        lost.flawed.remove(&Flaw::LongValue);
        (!lost.is_none()).then(|| lost.to_string())
    }

    /// Nothing was wrong.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.broken.is_empty() && self.flawed.is_empty() && self.cut_short.is_none()
    }
}

fn count<Kind: Ord>(tallies: &mut BTreeMap<Kind, Tally>, kind: Kind, later: Tally) {
    match tallies.entry(kind) {
        std::collections::btree_map::Entry::Vacant(entry) => drop(entry.insert(later)),
        std::collections::btree_map::Entry::Occupied(mut entry) => entry.get_mut().count += later.count,
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |what: &dyn fmt::Display, Tally { count, first, first_reason }: &Tally| {
            format!("{count} × {what} (first in {first}: {first_reason})")
        };
        let mut parts: Vec<String> = self.broken.iter().map(|(fault, tally)| part(fault, tally)).collect();
        parts.extend(self.flawed.iter().map(|(flaw, tally)| part(flaw, tally)));
        parts.extend(self.cut_short.clone());
        f.write_str(&if parts.is_empty() { "no damage".to_owned() } else { parts.join("; ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_no_loss_and_everything_else_is() {
        let place = Place::Line(7);
        let mut long = Damage::default();
        long.note(place, Flaw::LongValue, "70,000 bytes");
        assert_eq!(long.loss(), None);
        let mut twice = long.clone();
        twice.note(place, Flaw::RepeatedName, "`Image`");
        assert!(twice.loss().is_some_and(|loss| loss.contains("a name stands twice") && !loss.contains("64 KiB")));
        let mut broken = long.clone();
        broken.count(place, Broken::new(Fault::NotJson, "a brace is missing"));
        let mut cut = long;
        cut.cut_short(Some(place), "unexpected end of the archive");
        assert!(broken.loss().is_some() && cut.loss().is_some());
    }
}
