//! A growing file, read line by line from where reading ended last: what is read, and the place that is remembered.
//!
//! A line counts once it is whole: it ends with a newline, or it is a whole JSON object already (which no longer
//! text can begin with). A file is known by its inode, where the system has one, and by the digests of its beginning
//! and of what was read last, because inodes are given again and logs begin alike: a file that was truncated, or
//! written anew in place, is another file.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::encoding::Encoding;
use crate::detection::read::LONGEST_RECORD;
use crate::knowledge::canonical;

/// The beginning of a file that tells it from another, in bytes, once so much of it was read; and as much of what was
/// read last.
const HEAD: u64 = 1024;

/// How far a file has been read: after whole lines alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file's inode, where the system has one.
    inode: Option<u64>,
    /// How much of the beginning `digest` is of.
    head: u64,
    /// Digest of the beginning.
    digest: String,
    /// Bytes read.
    offset: u64,
    /// Lines read.
    line: u64,
    /// Digest of the last bytes before `offset`; `None` as long as there are none, or if an earlier version wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<String>,
    /// The line that begins before `offset` is longer than a record may be; its rest is passed over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    skipping: bool,
}

impl Place {
    /// The beginning of an open file.
    fn start(file: &File) -> io::Result<Self> {
        let digest = canonical::sha256(b"");
        Ok(Self { inode: inode(file)?, head: 0, digest, offset: 0, line: 0, last: None, skipping: false })
    }

    /// The end of a file that was read whole.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn end(file: &File) -> io::Result<Self> {
        let offset = file.metadata()?.len();
        let head = offset.min(HEAD);
        let (digest, last) = (digest_of(file, 0..head)?, Some(digest_before(file, offset)?));
        Ok(Self { inode: inode(file)?, head, digest, offset, line: 0, last, skipping: false })
    }

    /// Whether this is the end of this file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_end_of(&self, file: &File) -> io::Result<bool> {
        Ok(self.is_in(file)? && file.metadata()?.len() == self.offset)
    }

    /// Whether this is a place in the file.
    fn is_in(&self, file: &File) -> io::Result<bool> {
        let same = self.inode == inode(file)? && file.metadata()?.len() >= self.offset;
        let same = same && digest_of(file, 0..self.head)? == self.digest;
        match &self.last {
            Some(last) if same => Ok(digest_before(file, self.offset)? == *last),
            _ => Ok(same),
        }
    }
}

/// A line, or that one was too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// Its text without the newline; `None` for one longer than a record may be.
    pub text: Option<Vec<u8>>,
}

/// An open file with the place reading has come to.
#[derive(Debug)]
pub struct Tail {
    file: File,
    place: Place,
    /// What the file is written in; `None` until its beginning shows it.
    encoding: Option<Encoding>,
}

impl Tail {
    /// Opens a file at a known place if it is the file the place belongs to, else at its beginning.
    ///
    /// # Errors
    /// When it cannot be opened or read.
    pub fn open(path: &Path, known: &[Place]) -> io::Result<Self> {
        let file = File::open(path)?;
        for place in known {
            if place.is_in(&file)? {
                return Ok(Self { place: place.clone(), file, encoding: None });
            }
        }
        Ok(Self { place: Place::start(&file)?, file, encoding: None })
    }

    /// Opens a file at a known place, without asking whether it is the place's own file.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn at(path: &Path, place: Place) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, place, encoding: None })
    }

    /// How far reading has come.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Goes back to a place in the same file: what follows it is read again.
    pub fn go_back(&mut self, place: Place) {
        self.place = place;
    }

    /// The file was truncated or written over in place: nothing more of what it held will come.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_overwritten(&self) -> io::Result<bool> {
        Ok(!self.place.is_in(&self.file)?)
    }

    /// More is written than was read: a line that is not whole, at the end of a file that was read to its end.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn has_rest(&self) -> io::Result<bool> {
        let mut rest = Vec::new();
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.place.offset))?;
        file.take(HEAD).read_to_end(&mut rest)?;
        Ok(rest.iter().any(|byte| !byte.is_ascii_whitespace()))
    }

    /// The whole lines that come next, until `bytes` are exceeded. None means that nothing more is there yet.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&mut self, bytes: usize) -> io::Result<Vec<Line>> {
        let Some(encoding) = self.encoding()? else { return Ok(Vec::new()) };
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.place.offset))?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let (mut lines, mut taken) = (Vec::new(), 0);
        while taken <= bytes {
            let mut text = Vec::new();
            let (read, ends) = encoding.read_line(&mut reader, &mut text)?;
            let is_long = encoding.is_too_long(read);
            let is_whole_unit = encoding == Encoding::Utf8 || read % 2 == 0;
            // What is passed over is not looked at.
            let mut text = if is_long || self.place.skipping { Vec::new() } else { encoding.decode(text) };
            if !(ends || is_long || (!self.place.skipping && is_whole_unit && is_object(&text))) {
                break;
            }
            taken += read;
            self.place.offset += read as u64;
            let was_skipping = self.place.skipping;
            self.place.skipping = !ends && (is_long || was_skipping);
            if was_skipping {
                continue;
            }
            self.place.line += 1;
            if text.ends_with(b"\n") {
                text.pop();
            }
            if self.place.line == 1 && text.starts_with(b"\xef\xbb\xbf") {
                text.drain(..3);
            }
            let fits = !is_long && text.len() <= LONGEST_RECORD;
            lines.push(Line { number: self.place.line, text: fits.then_some(text) });
        }
        if taken > 0 {
            self.place.last = Some(digest_before(&self.file, self.place.offset)?);
        }
        if self.place.head < HEAD {
            self.place.head = self.place.offset.min(HEAD);
            self.place.digest = digest_of(&self.file, 0..self.place.head)?;
        }
        Ok(lines)
    }
}

impl Tail {
    fn encoding(&mut self) -> io::Result<Option<Encoding>> {
        if self.encoding.is_none() {
            let mut start = Vec::new();
            let mut file = &self.file;
            file.seek(SeekFrom::Start(0))?;
            file.take(4).read_to_end(&mut start)?;
            self.encoding = (!Encoding::is_open(&start)).then(|| Encoding::of(&start));
        }
        Ok(self.encoding)
    }
}

/// A line that ends here as far as its meaning goes, though its newline has not been written.
fn is_object(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    text.starts_with(b"{") && text.ends_with(b"}") && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

fn digest_of(mut file: &File, bytes: Range<u64>) -> io::Result<String> {
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(bytes.start))?;
    file.take(bytes.end - bytes.start).read_to_end(&mut text)?;
    Ok(canonical::sha256(&text))
}

fn digest_before(file: &File, offset: u64) -> io::Result<String> {
    digest_of(file, offset.saturating_sub(HEAD)..offset)
}

#[cfg(unix)]
fn inode(file: &File) -> io::Result<Option<u64>> {
    Ok(Some(std::os::unix::fs::MetadataExt::ino(&file.metadata()?)))
}

#[cfg(not(unix))]
fn inode(_: &File) -> io::Result<Option<u64>> {
    Ok(None)
}

#[cfg(test)]
mod tests;
