//! A piece of a log: some whole records, still as they were read, so that several pieces can be worked on at once.

use std::collections::HashSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::{Value, json};

use super::evtx;
use super::long_values::has_long_value;
use super::record::{self, Record};
use crate::detection::clock::ClockOffset;
use crate::detection::damage::{Broken, Damage, Fault, Flaw, Place};
use crate::detection::normalise::normalise;
use crate::domain::event::{Event, Origin};
use crate::domain::ids::EventId;

/// Some whole records of a log, in its order, and what was wrong between them.
#[derive(Debug, Default)]
pub struct Piece {
    pub(super) content: Content,
    /// What was wrong with what gave no record.
    pub(super) damage: Damage,
    /// Bytes of the file that were read by the end of this piece.
    pub(super) read: u64,
}

/// The records of a piece.
#[derive(Debug, Default)]
pub(super) enum Content {
    /// None: the piece only tells of damage.
    #[default]
    Nothing,
    /// JSON texts, each with its place.
    Texts { text: Vec<u8>, records: Vec<(Place, Range<usize>)> },
    /// Chunks of a Windows event log, each with its number.
    Chunks(Vec<(u64, Vec<u8>)>),
}

/// What a piece gave.
#[derive(Debug)]
pub struct Batch {
    /// Its events, in the log's order.
    pub events: Vec<Event>,
    /// What was wrong with it.
    pub damage: Damage,
}

/// Of which log a piece is.
#[derive(Debug, Clone)]
pub struct Source {
    /// The input's name as it was given.
    pub file: String,
    /// What its clock is declared to be off by.
    pub clock: ClockOffset,
    /// Events that are passed over as if the log did not have them.
    pub without: Arc<HashSet<EventId>>,
}

impl Piece {
    /// How many bytes it holds.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.content {
            Content::Nothing => 0,
            Content::Texts { text, .. } => text.len(),
            Content::Chunks(chunks) => chunks.iter().map(|(_, chunk)| chunk.len()).sum(),
        }
    }

    /// Bytes of the file that were read by its end, packed if the file is.
    #[must_use]
    pub const fn read(&self) -> u64 {
        self.read
    }

    /// Its records become events.
    #[must_use]
    pub fn events(self, source: &Source) -> Batch {
        let mut events = Vec::new();
        let damage = self.each(source, &mut |event| {
            events.push(event);
            Ok(())
        });
        Batch { events, damage }
    }

    /// Shows its events one after another, in the log's order: an event takes several times the memory of its text, so
    /// whoever makes something smaller of it need not hold them all. What `each` finds broken is counted with the rest
    /// of what was wrong, which is returned.
    pub fn each(self, source: &Source, each: &mut dyn FnMut(Event) -> Result<(), Broken>) -> Damage {
        let mut damage = self.damage;
        self.content.records(&mut |place, record| {
            match record.and_then(|record| event(record, place, source)) {
                Ok((event, _)) if source.without.contains(&event.id) => {}
                Ok((event, flaws)) => {
                    flaws.into_iter().for_each(|(flaw, reason)| damage.note(place, flaw, reason));
                    each(event).unwrap_or_else(|broken| damage.count(place, broken));
                }
                Err(broken) => damage.count(place, broken),
            }
            true
        });
        damage
    }
}

impl Content {
    /// Shows the records one after another until `each` says that it has seen enough.
    pub(super) fn records(&self, each: &mut dyn FnMut(Place, Result<Record, Broken>) -> bool) {
        match self {
            Self::Nothing => {}
            Self::Texts { text, records } => {
                for (place, range) in records {
                    // A range is cut from this text, whole.
                    let text = text.get(range.clone()).unwrap_or_default();
                    if !each(*place, record::parse(text)) {
                        return;
                    }
                }
            }
            Self::Chunks(chunks) => {
                for (number, chunk) in chunks {
                    if !evtx::records(*number, chunk, each) {
                        return;
                    }
                }
            }
        }
    }
}

/// The event of a record, with the record's flaws, which the event itself names in `log.flags` as well.
pub(super) fn event(record: Record, place: Place, source: &Source) -> Result<(Event, Vec<(Flaw, String)>), Broken> {
    let Record { fields, mut flaws } = record;
    let origin = Origin { file: source.file.clone(), line: place.number() };
    // A record that breaks the code that reads it costs itself and no other.
    let normalised = catch_unwind(AssertUnwindSafe(|| normalise(&fields, origin, source.clock)));
    let mut event = normalised.unwrap_or_else(|_| {
        Err(Broken::new(Fault::ReaderBroke, "a fault of watchfloor itself: please report it with the record"))
    })?;
    if let Some(field) = has_long_value(&event.document) {
        flaws.push((Flaw::LongValue, format!("`{field}`")));
    }
    if !flaws.is_empty() {
        let flags: Vec<Value> = flaws.iter().map(|(flaw, _)| flaw.to_string().into()).collect();
        let log = event.document.entry("log").or_insert_with(|| json!({}));
        if let Some(log) = log.as_object_mut() {
            log.insert("flags".into(), flags.into());
        }
    }
    Ok((event, flaws))
}
