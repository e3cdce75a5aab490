//! What was wrong with an input: broken records counted by kind, and where the input ended too early.

use std::collections::BTreeMap;
use std::fmt;

/// Why a line gave no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Longer than a record may be.
    TooLong,
    /// Not UTF-8.
    NotUtf8,
    /// Not JSON.
    NotJson,
    /// Nested deeper than a record may be.
    TooDeep,
    /// JSON, but not an object.
    NotAnObject,
    /// An object of no known shape.
    UnknownShape,
    /// A known shape without a usable time.
    NoTime,
    /// A known shape without a usable event id.
    NoCode,
    /// A known shape that does not say which log it comes from.
    NoChannel,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TooLong => "line too long",
            Self::NotUtf8 => "not UTF-8",
            Self::NotJson => "not JSON",
            Self::TooDeep => "nested too deep",
            Self::NotAnObject => "not a JSON object",
            Self::UnknownShape => "unknown shape",
            Self::NoTime => "no usable time",
            Self::NoCode => "no usable event id",
            Self::NoChannel => "no channel",
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

/// All broken records of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// How many there are.
    pub count: u64,
    /// The line of the first, counted from 1.
    pub first_line: u64,
    /// What exactly is wrong with the first.
    pub first_reason: String,
}

/// Everything that was wrong with an input. An undamaged input has none of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damage {
    broken: BTreeMap<Fault, Tally>,
    cut_short: Option<String>,
}

impl Damage {
    /// Counts a broken record.
    pub fn count(&mut self, line: u64, broken: Broken) {
        self.broken.entry(broken.fault).and_modify(|tally| tally.count += 1).or_insert(Tally {
            count: 1,
            first_line: line,
            first_reason: broken.reason,
        });
    }

    /// The input ended before its end.
    pub fn cut_short(&mut self, line: u64, cause: &std::io::Error) {
        self.cut_short = Some(format!("cut short after line {line}: {cause}; what comes before was read"));
    }

    /// The broken records by kind.
    #[must_use]
    pub const fn broken(&self) -> &BTreeMap<Fault, Tally> {
        &self.broken
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

    /// Nothing was wrong.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.broken.is_empty() && self.cut_short.is_none()
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (fault, tally) in &self.broken {
            let Tally { count, first_line, first_reason } = tally;
            parts.push(format!("{count} × {fault} (first in line {first_line}: {first_reason})"));
        }
        parts.extend(self.cut_short.clone());
        f.write_str(&if parts.is_empty() { "no damage".to_owned() } else { parts.join("; ") })
    }
}
