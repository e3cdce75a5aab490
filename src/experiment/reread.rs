//! Looks up what a verdict cites in the log itself.
//!
//! The floor checks every citation against its event store. This reader shares nothing with the one that filled the
//! store: it opens the log anew, finds the record by its place, and compares every quote with it, byte for byte. So it
//! also finds what went wrong between the log and the store.
//!
//! A quote of `winlog.event_data.NAME` has to stand in the record under that name. Normalisation copies values to
//! further names (`process.executable` is `Image`); a quote of such a copy has to stand somewhere in the record. Of what
//! normalisation does to values only what is documented is done here: numbers and flags as text, several values as
//! lines, bare GUIDs in braces.

mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use self::records::Leaves;
pub use self::records::RereadError;
use crate::domain::entity::HostName;
use crate::domain::evidence::Quote;

/// A cited event.
#[derive(Debug, Clone)]
pub struct Cited {
    /// The log it was read from.
    pub file: PathBuf,
    /// Its place there: a line, an element, or an event log's record number.
    pub place: u64,
    /// The machine.
    pub host: HostName,
    /// The event id.
    pub code: u32,
    /// What was quoted.
    pub quotes: Vec<Quote>,
}

/// A cited absence.
#[derive(Debug, Clone)]
pub struct Absent {
    /// The machine that was searched.
    pub host: HostName,
    /// The event id that was searched for.
    pub code: u32,
    /// What such an event would say.
    pub conditions: Vec<Quote>,
    /// The process that did or started it, by the sensor's own id.
    pub process: Option<String>,
    /// How much of the logs had arrived when it was searched; all of them, if nothing is said.
    pub within: Option<Within>,
}

/// How far logs had arrived: nobody can be blamed for not having seen what came later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Within {
    /// The log that was arriving.
    pub file: PathBuf,
    /// The place of the last record of it that had.
    pub place: u64,
    /// The logs of which nothing had arrived.
    pub later: Vec<PathBuf>,
}

impl Within {
    fn has(&self, file: &Path, place: u64) -> bool {
        !self.later.iter().any(|later| later == file) && (self.file != file || place <= self.place)
    }
}

/// Which of the cited events stand in their logs as quoted, in the order they are given.
///
/// # Errors
/// When a log cannot be read again.
pub fn seen(cited: &[Cited]) -> Result<Vec<bool>, RereadError> {
    let mut by_file: BTreeMap<&Path, Vec<usize>> = BTreeMap::new();
    for (number, one) in cited.iter().enumerate() {
        by_file.entry(&one.file).or_default().push(number);
    }
    let mut found = vec![false; cited.len()];
    for (file, numbers) in by_file {
        let places: BTreeSet<u64> = numbers.iter().map(|number| cited[*number].place).collect();
        records::each(file, &|place| places.contains(&place), &mut |place, record| {
            for number in numbers.iter().filter(|number| cited[**number].place == place) {
                let one = &cited[*number];
                found[*number] |= record.is_of(&one.host, one.code) && record.says(&one.quotes);
            }
        })?;
    }
    Ok(found)
}

/// Which of the absences hold in these logs, as far as they had arrived: no record of the kind and the machine says so,
/// at any time. That is more than was claimed, so an absence of an hour is not borne out if another hour had it.
///
/// # Errors
/// When a log cannot be read again.
pub fn absent(absences: &[Absent], files: &[PathBuf]) -> Result<Vec<bool>, RereadError> {
    let mut holds = vec![true; absences.len()];
    if absences.is_empty() {
        return Ok(holds);
    }
    for file in files {
        records::each(file, &|_| true, &mut |place, record: &Leaves| {
            for (holds, one) in holds.iter_mut().zip(absences) {
                let had_arrived = one.within.as_ref().is_none_or(|within| within.has(file, place));
                *holds &= !(had_arrived
                    && record.is_of(&one.host, one.code)
                    && record.says(&one.conditions)
                    && one.process.as_ref().is_none_or(|process| record.is_by(process)));
            }
        })?;
    }
    Ok(holds)
}

#[cfg(test)]
mod tests;
