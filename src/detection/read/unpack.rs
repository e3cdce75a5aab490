//! From a file to its text: what it is packed in (gzip, zstd) or written in (UTF-16) is undone. Which it is follows
//! from its first bytes.

use std::collections::VecDeque;
use std::io::{self, Cursor, ErrorKind, Read};

use flate2::read::MultiGzDecoder;

/// Where bytes come from.
pub(super) type Bytes = Box<dyn Read + Send>;

/// So much of an input is looked at to tell what it is.
pub(super) const WINDOW: usize = 1 << 16;

/// An archive in an archive happens; more than that is a trap.
const MOST_LAYERS: usize = 2;

/// An input of which the beginning was looked at.
pub(super) struct Peeked {
    start: Vec<u8>,
    rest: Bytes,
    /// Nothing follows the beginning, or what follows cannot be read.
    ended: bool,
    failure: Option<io::Error>,
}

impl Peeked {
    pub(super) fn new(rest: Bytes) -> Self {
        Self { start: Vec::new(), rest, ended: false, failure: None }
    }

    /// The beginning, as far as it was read.
    pub(super) fn start(&self) -> &[u8] {
        &self.start
    }

    /// The beginning is all there is to look at.
    pub(super) fn is_done(&self) -> bool {
        self.ended || self.start.len() >= WINDOW
    }

    /// Why nothing could be read, if so.
    pub(super) fn failure(&mut self) -> Option<io::Error> {
        if self.start.is_empty() { self.failure.take() } else { None }
    }

    /// Looks at more of the beginning: a pipe gives it in pieces.
    pub(super) fn look_further(&mut self) {
        let known = self.start.len();
        self.start.resize(WINDOW, 0);
        let read = read_some(&mut self.rest, &mut self.start[known..]);
        self.start.truncate(known + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => self.ended = true,
            Ok(_) => {}
            Err(error) => (self.ended, self.failure) = (true, Some(error)),
        }
    }

    /// The whole input, without so many bytes of its beginning.
    pub(super) fn without(self, length: usize) -> Bytes {
        let mut start = Cursor::new(self.start);
        start.set_position(length as u64);
        Box::new(start.chain(Failing(self.failure)).chain(self.rest))
    }
}

/// Fails once, if there is a failure, and is empty then.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// One read that is not given up because of a signal.
pub(super) fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// What an input could not be unpacked as, and why.
pub(super) struct NotUnpacked {
    pub(super) found: String,
}

/// Undoes what an input is packed and written in.
pub(super) fn unpack(file: Bytes) -> Result<Peeked, NotUnpacked> {
    let mut input = Peeked::new(file);
    let mut layers = 0;
    loop {
        while input.start().len() < 4 && !input.is_done() {
            input.look_further();
        }
        let (name, unpacked): (_, Bytes) = match input.start() {
            [0x1f, 0x8b, ..] => ("gzip", Box::new(MultiGzDecoder::new(input.without(0)))),
            // A frame, or a skippable frame before the first.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                let unpacking = zstd::stream::read::Decoder::new(input.without(0));
                let unpacking = unpacking.map_err(|error| NotUnpacked {
                    found: format!("a zstd archive that cannot be unpacked ({error})"),
                })?;
                ("zstd", Box::new(unpacking))
            }
            // Without a mark it takes two characters: one NUL alone may be a hole in a file that is no such text.
            [0xff, 0xfe, ..] | [b'{' | b'[', 0, 1..=255, 0, ..] => return Ok(utf16(input, u16::from_le_bytes)),
            [0xfe, 0xff, ..] | [0, b'{' | b'[', 0, 1..=255, ..] => return Ok(utf16(input, u16::from_be_bytes)),
            [0xef, 0xbb, 0xbf, ..] => return Ok(Peeked::new(input.without(3))),
            _ => return Ok(input),
        };
        layers += 1;
        if layers > MOST_LAYERS {
            return Err(NotUnpacked { found: "an archive in an archive in an archive".to_owned() });
        }
        input = Peeked::new(unpacked);
        input.look_further();
        if let Some(error) = input.failure() {
            return Err(NotUnpacked { found: format!("a {name} archive that cannot be unpacked ({error})") });
        }
    }
}

fn utf16(input: Peeked, unit: fn([u8; 2]) -> u16) -> Peeked {
    let first = input.start().first_chunk().map(|pair| unit(*pair));
    let text = input.without(if first == Some(0xfeff) { 2 } else { 0 });
    Peeked::new(Box::new(Utf16 { from: text, unit, odd: None, high: None, out: VecDeque::new() }))
}

/// UTF-16 text as UTF-8. Half a pair becomes its JSON escape, so that the record's reader sees it.
struct Utf16 {
    from: Bytes,
    unit: fn([u8; 2]) -> u16,
    /// The first byte of a unit whose second has not come yet.
    odd: Option<u8>,
    /// The first half of a pair whose second has not come yet.
    high: Option<u16>,
    out: VecDeque<u8>,
}

impl Utf16 {
    fn take(&mut self, unit: u16) {
        let units = self.high.take().into_iter().chain([unit]);
        for decoded in char::decode_utf16(units) {
            match decoded {
                Ok(character) => self.out.extend(character.encode_utf8(&mut [0; 4]).bytes()),
                Err(half) => match half.unpaired_surrogate() {
                    // Only the last one may still find its other half.
                    high @ 0xd800..0xdc00 if high == unit && self.high.is_none() => self.high = Some(high),
                    half => self.out.extend(format!("\\u{half:04x}").bytes()),
                },
            }
        }
    }
}

impl Read for Utf16 {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.out.is_empty() {
            let mut read = [0; 1 << 13];
            let count = read_some(&mut self.from, &mut read)?;
            if count == 0 {
                let left = self
                    .high
                    .take()
                    .map(|half| format!("\\u{half:04x}"))
                    .or(self.odd.take().map(|_| "\u{fffd}".into()));
                let Some(left) = left else { return Ok(0) };
                self.out.extend(left.bytes());
            }
            for byte in &read[..count] {
                match self.odd.take() {
                    None => self.odd = Some(*byte),
                    Some(first) => self.take((self.unit)([first, *byte])),
                }
            }
        }
        self.out.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        let Ok(input) = unpack(Box::new(Cursor::new(bytes))) else { panic!("it is unpacked") };
        let mut text = String::new();
        input.without(0).read_to_string(&mut text).expect("it is text");
        text
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn utf_16_is_read_in_either_order_with_and_without_a_mark() {
        let written = "{\"a\": \"é😀\"}\r\n".repeat(10_000);
        for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            assert_eq!(text(utf16(&format!("\u{feff}{written}"), bytes)), written);
            assert_eq!(text(utf16(&written, bytes)), written);
        }
    }

    #[test]
    fn a_nul_before_or_after_a_brace_does_not_make_a_file_utf_16() {
        for written in ["\0{\"a\":1}\n", "{\0\"a\":1}\n", "\0{", "\0\0{}"] {
            assert_eq!(text(written.into()), written);
        }
    }

    #[test]
    fn half_a_pair_becomes_its_escape() {
        let bytes = |units: &[u16]| [0xfeff].iter().chain(units).flat_map(|unit| unit.to_le_bytes()).collect();
        assert_eq!(text(bytes(&[0x61, 0xd83d, 0x62])), "a\\ud83db");
        assert_eq!(text(bytes(&[0xd83d, 0xd83d, 0xde00, 0xde00])), "\\ud83d😀\\ude00");
        assert_eq!(text(bytes(&[0xd83d])), "\\ud83d");
        let mut odd: Vec<u8> = bytes(&[0x61]);
        odd.push(0x62);
        assert_eq!(text(odd), "a\u{fffd}");
    }

    #[test]
    fn a_mark_of_utf_8_is_no_part_of_the_text() {
        assert_eq!(text("\u{feff}{}".into()), "{}");
    }
}
