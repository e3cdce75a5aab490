//! A file of JSON values one after another, alone or in a list, cut into pieces of whole values. The list is never
//! held as a whole; a value that is too long is skipped.

use std::ops::Range;

use super::lines::too_long;
use super::piece::{Content, Piece};
use super::unpack::{Bytes, read_some};
use super::{LONGEST_RECORD, PIECE};
use crate::detection::damage::{Damage, Place};

/// The values of a text.
pub(super) struct Values {
    from: Bytes,
    /// Bytes that belong to no piece yet; the value being read begins at their start.
    text: Vec<u8>,
    /// How much of `text` was looked at.
    scanned: usize,
    around: Around,
    within: Within,
    /// How many values have begun.
    number: u64,
    /// The value being read is too long: its bytes are dropped.
    skipping: bool,
    over: bool,
}

/// What stands around the next value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Around {
    /// Nothing: values follow each other.
    Nothing,
    /// A list.
    List,
    /// The list of hits in a search's answer, after which nothing is of interest.
    Hits,
    /// All that is of interest is over.
    End,
}

/// Where in a value the scan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// Between values.
    Between,
    /// In a number, a word, or something that is no JSON.
    Word,
    /// In an object or array, so deep.
    Brackets(u64),
    /// In a string, so deep within brackets; `true` after a backslash.
    Text(u64, bool),
}

impl Values {
    /// Values one after another, or lists of them.
    pub(super) fn new(from: Bytes) -> Self {
        Self {
            from,
            text: Vec::new(),
            scanned: 0,
            around: Around::Nothing,
            within: Within::Between,
            number: 0,
            skipping: false,
            over: false,
        }
    }

    /// The hits of a search's answer, from the first on.
    pub(super) fn hits(from: Bytes) -> Self {
        Self { around: Around::Hits, ..Self::new(from) }
    }

    /// The next piece: whatever values one read completes, so that a pipe is not waited for.
    pub(super) fn next(&mut self) -> Option<Piece> {
        if self.over {
            return None;
        }
        let mut damage = Damage::default();
        loop {
            let filled = self.text.len();
            self.text.resize(filled + PIECE, 0);
            let read = read_some(&mut self.from, &mut self.text[filled..]);
            self.text.truncate(filled + *read.as_ref().unwrap_or(&0));
            self.over = !matches!(read, Ok(1..));
            let mut records = Vec::new();
            let mut begun = self.scan(&mut records, &mut damage);
            if self.over {
                self.end(read.err(), begun.take(), &mut records, &mut damage);
            }
            // The value being read stays; everything before it makes the piece.
            let rest = begun.map_or_else(Vec::new, |start| self.text.split_off(start));
            let text = std::mem::replace(&mut self.text, rest);
            self.scanned = self.text.len();
            if self.text.len() > LONGEST_RECORD {
                damage.count(Place::Element(self.number), too_long());
                (self.text, self.scanned, self.skipping) = (Vec::new(), 0, true);
            }
            if !records.is_empty() || self.over {
                return Some(Piece { content: Content::Texts { text, records }, damage, read: 0 });
            }
        }
    }

    /// Looks through what is new. Gives where the value begins that has not ended, if there is one to be kept.
    fn scan(&mut self, records: &mut Vec<(Place, Range<usize>)>, damage: &mut Damage) -> Option<usize> {
        let mut start = 0;
        let mut at = self.scanned;
        while at < self.text.len() && self.around != Around::End {
            let byte = self.text[at];
            at += 1;
            self.within = match (self.within, byte) {
                (Within::Between, b' ' | b'\t' | b'\r' | b'\n' | b',') => Within::Between,
                (Within::Between, b'[') if self.around == Around::Nothing => {
                    self.around = Around::List;
                    Within::Between
                }
                (Within::Between, b']') if self.around != Around::Nothing => {
                    self.around = if self.around == Around::Hits { Around::End } else { Around::Nothing };
                    Within::Between
                }
                (Within::Between, _) => {
                    (self.number, start) = (self.number + 1, at - 1);
                    match byte {
                        b'{' | b'[' => Within::Brackets(1),
                        b'"' => Within::Text(0, false),
                        _ => Within::Word,
                    }
                }
                (Within::Word, b' ' | b'\t' | b'\r' | b'\n' | b',' | b']' | b'{' | b'[' | b'"') => {
                    // Whatever ends a word is looked at again.
                    at -= 1;
                    self.complete(start..at, records, damage);
                    Within::Between
                }
                (Within::Word, _) => Within::Word,
                (Within::Brackets(depth), b'{' | b'[') => Within::Brackets(depth + 1),
                (Within::Brackets(1), b'}' | b']') => {
                    self.complete(start..at, records, damage);
                    Within::Between
                }
                (Within::Brackets(depth), b'}' | b']') => Within::Brackets(depth - 1),
                (Within::Brackets(depth), b'"') => Within::Text(depth, false),
                (Within::Brackets(depth), _) => Within::Brackets(depth),
                (Within::Text(depth, true), _) => Within::Text(depth, false),
                (Within::Text(depth, false), b'\\') => Within::Text(depth, true),
                (Within::Text(0, false), b'"') => {
                    self.complete(start..at, records, damage);
                    Within::Between
                }
                (Within::Text(depth, false), b'"') => Within::Brackets(depth),
                (Within::Text(depth, false), _) => Within::Text(depth, false),
            };
        }
        self.scanned = at;
        let open = self.within != Within::Between && self.around != Around::End;
        (open && !self.skipping).then_some(start)
    }

    fn complete(&mut self, range: Range<usize>, records: &mut Vec<(Place, Range<usize>)>, damage: &mut Damage) {
        let place = Place::Element(self.number);
        if std::mem::take(&mut self.skipping) {
            return;
        }
        if range.len() > LONGEST_RECORD {
            damage.count(place, too_long());
        } else {
            records.push((place, range));
        }
    }

    /// The text is over: a word ends with it, anything else that is open was cut.
    fn end(
        &mut self,
        error: Option<std::io::Error>,
        begun: Option<usize>,
        records: &mut Vec<(Place, Range<usize>)>,
        damage: &mut Damage,
    ) {
        let open = matches!(self.within, Within::Brackets(_) | Within::Text(..));
        let last = if open { self.number.saturating_sub(1) } else { self.number };
        let last = (last > 0).then_some(Place::Element(last));
        match error {
            Some(error) => damage.cut_short(last, error),
            None if open => damage.cut_short(last, "the file ends within an element"),
            None if matches!(self.around, Around::List | Around::Hits) => {
                damage.cut_short(last, "the file ends before its list does");
            }
            None => {}
        }
        if let (Within::Word, Some(start)) = (self.within, begun) {
            let end = self.text.len();
            self.complete(start..end, records, damage);
        }
    }
}
