//! Reads the events of a log file, plain or gzip, line by line in bounded memory. A broken line costs itself and
//! nothing else; an input that is no log at all is refused with a sentence that helps.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use serde_json::{Map, Value};

use super::clock::ClockOffset;
use super::damage::{Broken, Damage, Fault};
use super::normalise::normalise;
use crate::domain::event::{Event, Origin};

/// A longer line is no log record and would only fill the memory.
pub const LONGEST_LINE: usize = 32 * 1024 * 1024;
/// Windows events are flat or nearly so; deeper nesting is an attack on whoever walks it.
pub const DEEPEST_NESTING: usize = 64;
/// So many lines may come to nothing before the file is taken for something else.
const PATIENCE: u64 = 100;

/// Why a file could not be read as a log.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such file.
    #[error("`{0}` does not exist: check the path")]
    Missing(String),
    /// It is a folder.
    #[error("`{0}` is a folder, a log file is expected: name the file in it")]
    IsFolder(String),
    /// The operating system refuses.
    #[error("`{input}` cannot be read ({source}): check its permissions and the disk")]
    Unreadable {
        /// The input.
        input: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// It holds nothing.
    #[error("`{0}` is empty: export the log again, or leave the file out")]
    Empty(String),
    /// A Windows event log file.
    #[error(
        "`{0}` is a Windows event log file (EVTX), which a later version will read: \
         until then export it as NDJSON, one event per line"
    )]
    Evtx(String),
    /// Something else.
    #[error(
        "`{input}` is no log that can be read: {found}; expected are Windows events as NDJSON \
         (one JSON object per line, as NXLog forwards them), plain or gzip"
    )]
    NotALog {
        /// The input.
        input: String,
        /// What was found instead.
        found: String,
    },
}

/// How far reading has come, shared with whoever draws it.
#[derive(Debug, Clone)]
pub struct Progress {
    read: Arc<AtomicU64>,
    total: u64,
}

impl Progress {
    /// Bytes of the file read so far, compressed if the file is.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes of the file.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }
}

/// The events of one log file, in the file's order.
pub struct EventLog {
    input: String,
    lines: Lines,
    /// The first event, found while the file was still on trial.
    first: Option<Event>,
    damage: Damage,
    progress: Progress,
}

impl std::fmt::Debug for EventLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventLog").field("input", &self.input).field("damage", &self.damage).finish_non_exhaustive()
    }
}

impl EventLog {
    /// Opens a log file and reads as far as its first record of a known shape.
    ///
    /// # Errors
    /// When there is no such file, it cannot be read, is empty, or is no log.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let input = path.display().to_string();
        let unreadable = |source| ReadError::Unreadable { input: input.clone(), source };
        let metadata = match path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ReadError::Missing(input)),
            other => other.map_err(unreadable)?,
        };
        if metadata.is_dir() {
            return Err(ReadError::IsFolder(input));
        }
        let progress = Progress { read: Arc::default(), total: metadata.len() };
        let file = Counted { from: File::open(path).map_err(unreadable)?, read: Arc::clone(&progress.read) };
        let mut from: Box<dyn BufRead + Send> = Box::new(BufReader::with_capacity(1 << 16, file));
        if from.fill_buf().map_err(unreadable)?.starts_with(&[0x1f, 0x8b]) {
            from = Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(from)));
        }
        let looks = Looks::at(from.fill_buf().map_err(|error| ReadError::NotALog {
            input: input.clone(),
            found: format!("a gzip archive that cannot be unpacked ({error})"),
        })?);
        let log = Self { input, lines: Lines::new(from), first: None, damage: Damage::default(), progress };
        match looks {
            Looks::Empty => Err(ReadError::Empty(log.input)),
            Looks::Evtx => Err(ReadError::Evtx(log.input)),
            Looks::Foreign(found) => Err(ReadError::NotALog { input: log.input, found: found.to_owned() }),
            Looks::Text(hint) => log.on_trial(hint),
        }
    }

    /// Reads until a record of a known shape shows up, which makes the file a log.
    fn on_trial(mut self, hint: Option<&'static str>) -> Result<Self, ReadError> {
        let mut tried = 0;
        while tried < PATIENCE {
            let Some(outcome) = self.advance() else { break };
            tried += 1;
            match outcome {
                Ok(event) => {
                    self.first = Some(event);
                    return Ok(self);
                }
                Err(Fault::NoTime | Fault::NoCode | Fault::NoChannel) => return Ok(self),
                Err(_) => {}
            }
        }
        let first = self.damage.broken().values().min_by_key(|tally| tally.first_line);
        let found = match (hint, first) {
            (Some(hint), _) => hint.to_owned(),
            (None, Some(tally)) => {
                format!("no known record in the first {tried} lines; line {}: {}", tally.first_line, tally.first_reason)
            }
            (None, None) => match self.damage.truncation() {
                Some(cut) => format!("a gzip archive {cut}"),
                None => return Err(ReadError::Empty(self.input)),
            },
        };
        Err(ReadError::NotALog { input: self.input, found })
    }

    /// What was wrong with the file so far; complete once the events are used up.
    #[must_use]
    pub const fn damage(&self) -> &Damage {
        &self.damage
    }

    /// A handle on how far reading has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// The next line that is not blank: an event, or the fault that was counted for it.
    fn advance(&mut self) -> Option<Result<Event, Fault>> {
        loop {
            let outcome = match self.lines.next() {
                Line::End => return None,
                Line::TooLong => Err(Broken::new(Fault::TooLong, format!("longer than {} MB", LONGEST_LINE >> 20))),
                Line::Whole => match record(self.lines.text.trim_ascii()) {
                    None => continue,
                    Some(record) => record.and_then(|record| self.event(&record)),
                },
                Line::Cut(cause) => {
                    self.damage.cut_short(self.lines.number.saturating_sub(1), &cause);
                    // The piece before the cut is a record only if it happens to be a whole one.
                    match record(self.lines.text.trim_ascii()) {
                        Some(Ok(record)) => self.event(&record),
                        _ => return None,
                    }
                }
            };
            return Some(outcome.map_err(|broken| {
                let fault = broken.fault;
                self.damage.count(self.lines.number, broken);
                fault
            }));
        }
    }

    fn event(&self, record: &Map<String, Value>) -> Result<Event, Broken> {
        normalise(record, Origin { file: self.input.clone(), line: self.lines.number }, ClockOffset::NONE)
    }
}

impl Iterator for EventLog {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            if let Ok(event) = self.advance()? {
                return Some(event);
            }
        }
    }
}

/// The JSON object on a line; `None` for a blank line.
fn record(line: &[u8]) -> Option<Result<Map<String, Value>, Broken>> {
    if line.is_empty() {
        return None;
    }
    Some(parse(line))
}

/// Reads one record's text.
///
/// # Errors
/// When it is no UTF-8, no JSON, no object, or nested too deep.
pub fn parse(line: &[u8]) -> Result<Map<String, Value>, Broken> {
    let text = std::str::from_utf8(line).map_err(|error| Broken::new(Fault::NotUtf8, error.to_string()))?;
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let reason = error.to_string();
        let fault = if reason.starts_with("recursion limit") { Fault::TooDeep } else { Fault::NotJson };
        Broken::new(fault, reason)
    })?;
    if !shallower_than(&value, DEEPEST_NESTING + 1) {
        return Err(Broken::new(Fault::TooDeep, format!("nested deeper than {DEEPEST_NESTING}")));
    }
    match value {
        Value::Object(record) => Ok(record),
        other => Err(Broken::new(Fault::NotAnObject, format!("{} instead of an object", name_of(&other)))),
    }
}

fn shallower_than(value: &Value, depth: usize) -> bool {
    let inside = |inner: &Value| depth > 1 && shallower_than(inner, depth - 1);
    match value {
        Value::Array(items) => depth > 1 && items.iter().all(inside),
        Value::Object(object) => depth > 1 && object.values().all(inside),
        _ => true,
    }
}

const fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Lines with their numbers, none longer than [`LONGEST_LINE`] in memory.
struct Lines {
    from: Box<dyn BufRead + Send>,
    text: Vec<u8>,
    number: u64,
    ended: bool,
}

enum Line {
    /// `text` holds the line.
    Whole,
    /// The line was skipped.
    TooLong,
    /// Reading failed; `text` holds what came before.
    Cut(io::Error),
    /// There are no more.
    End,
}

impl Lines {
    fn new(from: Box<dyn BufRead + Send>) -> Self {
        Self { from, text: Vec::new(), number: 0, ended: false }
    }

    fn next(&mut self) -> Line {
        if self.ended {
            return Line::End;
        }
        self.text.clear();
        self.number += 1;
        let read = (&mut self.from).take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut self.text);
        let outcome = match read {
            Ok(0) => Ok(Line::End),
            Ok(length) if length > LONGEST_LINE && !self.text.ends_with(b"\n") => {
                self.text = Vec::new();
                self.from.skip_until(b'\n').map(|_| Line::TooLong)
            }
            Ok(_) => Ok(Line::Whole),
            Err(error) => Err(error),
        };
        if self.number == 1 && self.text.starts_with(b"\xef\xbb\xbf") {
            self.text.drain(..3);
        }
        let line = outcome.unwrap_or_else(Line::Cut);
        self.ended = matches!(line, Line::End | Line::Cut(_));
        line
    }
}

/// What a file looks like by its first bytes.
enum Looks {
    Empty,
    Evtx,
    /// Certainly no log.
    Foreign(&'static str),
    /// Perhaps a log; what to say if it turns out not to be one.
    Text(Option<&'static str>),
}

impl Looks {
    fn at(start: &[u8]) -> Self {
        let text = start.trim_ascii_start();
        match start {
            [] => Self::Empty,
            _ if start.starts_with(b"ElfFile\0") => Self::Evtx,
            _ if start.starts_with(b"PK\x03\x04") => {
                Self::Foreign("it is a zip archive, which has to be unpacked first")
            }
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                Self::Foreign("it is UTF-16 text, which has to be saved as UTF-8 first")
            }
            _ if start.contains(&0) && !text.starts_with(b"{") => Self::Foreign("it is binary"),
            _ if text.starts_with(b"<") => {
                let page = text[..text.len().min(1024)].to_ascii_lowercase();
                let html =
                    [&b"<html"[..], b"<!doctype html"].iter().any(|tag| page.windows(tag.len()).any(|w| w == *tag));
                Self::Text(Some(if html {
                    "it is an HTML page, perhaps the error page of a failed download"
                } else {
                    "it is XML"
                }))
            }
            _ if text.starts_with(b"[") => Self::Text(Some("it is a JSON array instead of one object per line")),
            _ => Self::Text(None),
        }
    }
}

/// Counts the bytes taken from the file.
struct Counted<R> {
    from: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
