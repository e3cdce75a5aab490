//! What a growing file is written in, and where its lines end: UTF-8, or UTF-16 in either order of bytes.
//!
//! Windows PowerShell writes UTF-16 when it redirects. A line is decoded once it is whole, so that a unit or a pair
//! whose second half has not been written yet waits with the rest of its line.

use std::io::{self, BufRead, Read};

use crate::detection::read::LONGEST_RECORD;

/// What text is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, with or without a mark.
    Utf8,
    /// UTF-16, the low byte of a unit first.
    LowFirst,
    /// UTF-16, the high byte first.
    HighFirst,
}

impl Encoding {
    /// What a file is written in, by its first four bytes: a mark, or the first characters of a JSON object.
    #[must_use]
    pub const fn of(start: &[u8]) -> Self {
        match start {
            [0xff, 0xfe, ..] | [b'{' | b'[', 0, 1..=255, 0, ..] => Self::LowFirst,
            [0xfe, 0xff, ..] | [0, b'{' | b'[', 0, 1..=255, ..] => Self::HighFirst,
            _ => Self::Utf8,
        }
    }

    /// The beginning may become a mark or a first character when more is written.
    #[must_use]
    pub const fn is_open(start: &[u8]) -> bool {
        matches!(
            start,
            [0xff | 0xfe | 0 | b'{' | b'[']
                | [b'{' | b'[', 0]
                | [0, b'{' | b'[']
                | [b'{' | b'[', 0, _]
                | [0, b'{' | b'[', 0]
        )
    }

    /// Bytes of the longest line: characters that UTF-8 writes in one byte take two here.
    const fn longest_line(self) -> usize {
        match self {
            Self::Utf8 => LONGEST_RECORD,
            Self::LowFirst | Self::HighFirst => 2 * LONGEST_RECORD,
        }
    }

    /// Reads up to the end of a line, of the file, or of what a line may be. Says how many bytes it read, and whether
    /// the line ends with them. What goes beyond the longest line is a whole number of units longer.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_line(self, reader: &mut impl BufRead, text: &mut Vec<u8>) -> io::Result<(usize, bool)> {
        let more = if self == Self::Utf8 { 1 } else { 2 };
        let mut reader = reader.take((self.longest_line() + more) as u64);
        loop {
            if reader.read_until(b'\n', text)? == 0 || text.last() != Some(&b'\n') {
                return Ok((text.len(), false));
            }
            let (last, is_low_place) = (text.len() - 1, text.len() % 2 == 1);
            let ends = match self {
                Self::Utf8 => true,
                Self::HighFirst => !is_low_place && text[last - 1] == 0,
                // Its other half decides, once it is there.
                Self::LowFirst if is_low_place => {
                    let mut high = [0];
                    if reader.read(&mut high)? == 0 {
                        return Ok((text.len(), false));
                    }
                    text.push(high[0]);
                    high == [0]
                }
                Self::LowFirst => false,
            };
            if ends {
                return Ok((text.len(), true));
            }
        }
    }

    /// A line is longer than a record may be.
    #[must_use]
    pub const fn is_too_long(self, bytes: usize) -> bool {
        bytes > self.longest_line()
    }

    /// The text as UTF-8, without a unit that is not whole. Half a pair becomes its JSON escape, so that the record's
    /// reader sees it.
    #[must_use]
    pub fn decode(self, text: Vec<u8>) -> Vec<u8> {
        let unit = |pair: &[u8]| match self {
            Self::HighFirst => u16::from_be_bytes([pair[0], pair[1]]),
            Self::LowFirst | Self::Utf8 => u16::from_le_bytes([pair[0], pair[1]]),
        };
        if self == Self::Utf8 {
            return text;
        }
        let mut decoded = String::with_capacity(text.len() / 2);
        for character in char::decode_utf16(text.chunks_exact(2).map(unit)) {
            match character {
                Ok(character) => decoded.push(character),
                Err(half) => decoded.push_str(&format!("\\u{:04x}", half.unpaired_surrogate())),
            }
        }
        decoded.into_bytes()
    }
}
