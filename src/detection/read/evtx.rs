//! A Windows event log file, chunk by chunk, as it comes: it may be packed or arrive through a pipe, and a damaged
//! chunk or record costs itself. Chunks are read in the order of the file, which in a log that has come round is not
//! the order of their records.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ::evtx::{EvtxChunkData, ParserSettings};
use serde_json::Value;

use super::piece::{Content, Piece};
use super::record::{Record, is_shallow};
use super::unpack::{Bytes, read_some};
use crate::detection::damage::{Broken, Damage, Fault, Flaw, Place};

/// A chunk holds its own names and templates, so that it can be read alone.
const CHUNK: usize = 1 << 16;

/// What stands before the first chunk.
const HEADER: usize = 4096;

/// Chunks that make a piece: together a few hundred events.
const TOGETHER: usize = 4;

/// The chunks of an event log file.
pub(super) struct Chunks {
    from: Bytes,
    number: u64,
    over: bool,
}

impl Chunks {
    /// The chunks of a file whose header has not been read.
    pub(super) fn new(from: Bytes) -> Self {
        Self { from, number: 0, over: false }
    }

    /// The next piece.
    pub(super) fn next(&mut self) -> Option<Piece> {
        if self.over {
            return None;
        }
        let (mut chunks, mut damage) = (Vec::new(), Damage::default());
        if self.number == 0 {
            let header = self.take(HEADER, &mut damage);
            self.over = header.is_none();
        }
        while !self.over && chunks.len() < TOGETHER {
            match self.take(CHUNK, &mut damage) {
                None => self.over = true,
                Some(chunk) => {
                    self.number += 1;
                    // Windows reserves chunks before it writes them.
                    if chunk.iter().any(|byte| *byte != 0) {
                        chunks.push((self.number, chunk));
                    }
                }
            }
        }
        Some(Piece { content: Content::Chunks(chunks), damage, read: 0 })
    }

    /// So many bytes; `None` at the end of the file, which is noted if it lies within them.
    fn take(&mut self, length: usize, damage: &mut Damage) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut filled = 0;
        let after = (self.number > 0).then_some(Place::Chunk(self.number));
        while filled < length {
            match read_some(&mut self.from, &mut bytes[filled..]) {
                Ok(0) if filled == 0 => return None,
                Ok(0) => {
                    damage.cut_short(after, "the file ends within a chunk");
                    return None;
                }
                Ok(count) => filled += count,
                Err(error) => {
                    damage.cut_short(after, error);
                    return None;
                }
            }
        }
        Some(bytes)
    }
}

/// Shows the records of a chunk, and its damage, one after another; `false` once `each` has seen enough.
pub(super) fn records(number: u64, chunk: &[u8], each: &mut dyn FnMut(Place, Result<Record, Broken>) -> bool) -> bool {
    let place = Place::Chunk(number);
    // The bytes are an attacker's, the reader is not ours: should it break, it costs this chunk.
    let read = catch_unwind(AssertUnwindSafe(|| read(place, chunk, each)));
    read.unwrap_or_else(|_| {
        let broken = Broken::new(Fault::ReaderBroke, "a fault of the event log reader: please report it with the file");
        each(place, Err(broken))
    })
}

fn read(place: Place, bytes: &[u8], each: &mut dyn FnMut(Place, Result<Record, Broken>) -> bool) -> bool {
    let mut chunk = match EvtxChunkData::new(bytes.to_vec(), false) {
        Ok(chunk) => chunk,
        Err(error) => return each(place, Err(Broken::new(Fault::DamagedChunk, told(&error)))),
    };
    let is_sound = chunk.validate_checksum();
    let settings = Arc::new(ParserSettings::default().indent(false));
    let mut chunk = match chunk.parse(settings) {
        Ok(chunk) => chunk,
        Err(error) => return each(place, Err(Broken::new(Fault::DamagedChunk, told(&error)))),
    };
    for record in chunk.iter() {
        let record = record.map(|record| (record.event_record_id, record.into_json_value()));
        let goes_on = match record {
            Ok((number, Ok(record))) => each(Place::Record(number), sound(record.data, place, is_sound)),
            Ok((number, Err(error))) => {
                each(Place::Record(number), Err(Broken::new(Fault::DamagedRecord, told(&error))))
            }
            Err(error) => each(place, Err(Broken::new(Fault::DamagedRecord, told(&error)))),
        };
        if !goes_on {
            return false;
        }
    }
    true
}

fn sound(value: Value, place: Place, checksum_matches: bool) -> Result<Record, Broken> {
    if !is_shallow(&value) {
        return Err(Broken::new(Fault::TooDeep, format!("nested deeper than {}", super::DEEPEST_NESTING)));
    }
    let Value::Object(fields) = value else {
        return Err(Broken::new(Fault::NotAnObject, "a record without content"));
    };
    let flaws = if checksum_matches { Vec::new() } else { vec![(Flaw::Checksum, place.to_string())] };
    Ok(Record { fields, flaws })
}

/// An error with its causes, which its own text leaves out.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut told: Vec<String> = causes.map(ToString::to_string).collect();
    told.dedup();
    told.join(": ")
}

#[cfg(test)]
pub(super) mod tests;
