//! A file with one record a line, cut into pieces of whole lines. A line that is too long is skipped, never held.

use super::layout::is_object;
use super::piece::{Content, Piece};
use super::unpack::{Bytes, read_some};
use super::{LONGEST_RECORD, PIECE};
use crate::detection::damage::{Broken, Damage, Fault, Place};

/// The lines of a text.
pub(super) struct Lines {
    from: Bytes,
    /// The beginning of a line whose end was not read yet.
    rest: Vec<u8>,
    /// How many lines have ended.
    ended_lines: u64,
    /// The line being read is too long: it is passed over.
    skipping: bool,
    over: bool,
}

impl Lines {
    pub(super) fn new(from: Bytes) -> Self {
        Self { from, rest: Vec::new(), ended_lines: 0, skipping: false, over: false }
    }

    /// The next piece: whatever lines one read completes, so that a pipe is not waited for.
    pub(super) fn next(&mut self) -> Option<Piece> {
        if self.over {
            return None;
        }
        let mut text = std::mem::take(&mut self.rest);
        let mut damage = Damage::default();
        loop {
            let filled = text.len();
            text.resize(filled + PIECE, 0);
            let read = read_some(&mut self.from, &mut text[filled..]);
            text.truncate(filled + *read.as_ref().unwrap_or(&0));
            self.over = !matches!(read, Ok(1..));
            if let Err(error) = &read {
                damage.cut_short(self.last(), error);
                // What stands before the cut is a record only if it happens to be a whole one.
                if !is_object(&text) {
                    text.clear();
                }
            }
            if self.skipping {
                match text.iter().position(|byte| *byte == b'\n') {
                    None => text.clear(),
                    Some(end) => {
                        text.drain(..=end);
                        self.ended_lines += 1;
                        self.skipping = false;
                    }
                }
            }
            let unread = filled.min(text.len());
            if let Some(end) = text[unread..].iter().rposition(|byte| *byte == b'\n') {
                self.rest = text.split_off(unread + end + 1);
                break;
            }
            if self.over {
                break;
            }
            if text.len() > LONGEST_RECORD {
                damage.count(Place::Line(self.ended_lines + 1), too_long());
                text = Vec::new();
                self.skipping = true;
            }
        }
        Some(self.piece(text, damage))
    }

    fn last(&self) -> Option<Place> {
        (self.ended_lines > 0).then_some(Place::Line(self.ended_lines))
    }

    fn piece(&mut self, text: Vec<u8>, mut damage: Damage) -> Piece {
        let mut records = Vec::new();
        let mut start = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let end = start + line.len();
            self.ended_lines += 1;
            let place = Place::Line(self.ended_lines);
            if line.len() > LONGEST_RECORD + 1 {
                damage.count(place, too_long());
            } else if !line.trim_ascii().is_empty() {
                records.push((place, start..end));
            }
            start = end;
        }
        Piece { content: Content::Texts { text, records }, damage, read: 0 }
    }
}

pub(super) fn too_long() -> Broken {
    Broken::new(Fault::TooLong, format!("longer than {} MB", LONGEST_RECORD >> 20))
}
