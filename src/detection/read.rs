//! Reads the events of a log, whatever it is packed in and however its records lie in it, piece by piece in bounded
//! memory. What a file is follows from its content, never from its name. A broken record costs itself and nothing
//! else; an input that is no log at all is refused with a sentence that helps.

mod evtx;
mod inputs;
mod layout;
mod lines;
mod long_values;
mod piece;
mod record;
mod unpack;
mod values;

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use self::inputs::{Input, Inputs, LeftOut, STANDARD_INPUT};
use self::layout::Layout;
use self::lines::Lines;
pub use self::long_values::{LONGEST_VALUE, keep_true_quotes, seen_by_rules};
pub use self::piece::{Batch, Piece, Source};
pub use self::record::{DEEPEST_NESTING, Record, parse};
use self::unpack::{Bytes, NotUnpacked, unpack};
use self::values::Values;
use super::clock::ClockOffset;
use super::damage::{Damage, Fault};
use crate::domain::event::Event;
use crate::domain::ids::EventId;

/// Bytes of text of a longer record, which would only fill the memory: sixteen megabytes.
pub const LONGEST_RECORD: usize = 16 << 20;

/// Bytes that are read at a time: some hundred events.
const PIECE: usize = 512 << 10;

/// So many records may come to nothing before the file is taken for something else.
const PATIENCE: u64 = 100;

/// Bytes that are kept while a file is on trial.
const LARGEST_TRIAL: usize = 32 << 20;

/// Why a file could not be read as a log.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such file.
    #[error("`{0}` does not exist: check the path")]
    Missing(String),
    /// It is a folder.
    #[error("`{0}` is a folder, a log file is expected: name the file in it")]
    IsFolder(String),
    /// It is a folder in which no file is a log.
    #[error("`{folder}` holds no log that can be read ({found}): name a folder with log files in it")]
    NoLogs {
        /// The folder.
        folder: String,
        /// What it holds instead.
        found: String,
    },
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
    /// Something else.
    #[error(
        "`{input}` is no log that can be read: {found}; expected are Windows events as EVTX, as NDJSON (one JSON object \
         per line) or as a JSON list, plain, gzip or zstd"
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
    total: Option<u64>,
}

impl Progress {
    /// Bytes of the file read so far, packed if the file is.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes of the file; `None` of a pipe, which does not say.
    #[must_use]
    pub const fn total(&self) -> Option<u64> {
        self.total
    }
}

/// The events of one log, in its order.
///
/// They are taken one by one, or in pieces that can be worked on side by side.
pub struct EventLog {
    source: Source,
    pieces: Pieces,
    /// Pieces that were read while the file was on trial.
    tried: VecDeque<Piece>,
    /// Events of the piece that is being taken apart.
    ready: std::vec::IntoIter<Event>,
    damage: Damage,
    progress: Progress,
}

/// The three ways in which records lie in a file.
enum Pieces {
    Lines(Lines),
    Values(Values),
    Chunks(evtx::Chunks),
}

impl Pieces {
    fn next(&mut self) -> Option<Piece> {
        match self {
            Self::Lines(lines) => lines.next(),
            Self::Values(values) => values.next(),
            Self::Chunks(chunks) => chunks.next(),
        }
    }
}

impl std::fmt::Debug for EventLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventLog").field("source", &self.source).field("damage", &self.damage).finish_non_exhaustive()
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
        let file = File::open(path).map_err(unreadable)?;
        Self::reading(input, Box::new(file), metadata.is_file().then_some(metadata.len()))
    }

    /// As [`Self::open`], of bytes that come from elsewhere, under the name by which messages and events call them.
    /// `total` says how many there are, where that is known.
    ///
    /// # Errors
    /// When they cannot be read, there are none, or they are no log.
    pub fn reading(name: String, bytes: Box<dyn Read + Send>, total: Option<u64>) -> Result<Self, ReadError> {
        let progress = Progress { read: Arc::default(), total };
        let counted: Bytes = Box::new(Counted { from: bytes, read: Arc::clone(&progress.read) });
        let not_a_log = |found: String| ReadError::NotALog { input: name.clone(), found };
        let mut input = unpack(counted).map_err(|NotUnpacked { found }| not_a_log(found))?;
        let layout = Layout::of(&mut input);
        if let Some(source) = input.failure() {
            return Err(ReadError::Unreadable { input: name, source });
        }
        let (pieces, hint) = match layout {
            Layout::Empty => return Err(ReadError::Empty(name)),
            Layout::Foreign(found) => return Err(not_a_log(found.to_owned())),
            Layout::Evtx => (Pieces::Chunks(evtx::Chunks::new(input.without(0))), None),
            Layout::Lines(hint) => (Pieces::Lines(Lines::new(input.without(0))), hint),
            Layout::Values => (Pieces::Values(Values::new(input.without(0))), None),
            Layout::Hits(before) => (Pieces::Values(Values::hits(input.without(before))), None),
        };
        let log = Self {
            source: Source { file: name, clock: ClockOffset::NONE, without: Arc::default() },
            pieces,
            tried: VecDeque::new(),
            ready: Vec::new().into_iter(),
            damage: Damage::default(),
            progress,
        };
        log.on_trial(hint)
    }

    /// The log with this declared of its clock.
    #[must_use]
    pub fn with_clock(mut self, clock: ClockOffset) -> Self {
        self.source.clock = clock;
        self
    }

    /// The log without these events, as if it did not have them.
    #[must_use]
    pub fn without(mut self, events: Arc<HashSet<EventId>>) -> Self {
        self.source.without = events;
        self
    }

    /// Reads until a record of a known shape shows up, which makes the file a log.
    fn on_trial(mut self, hint: Option<&'static str>) -> Result<Self, ReadError> {
        let (mut tried, mut kept, mut known) = (0, 0, false);
        let mut damage = Damage::default();
        while tried < PATIENCE && kept < LARGEST_TRIAL && !known {
            let Some(piece) = self.read_piece() else { break };
            kept += piece.size();
            damage.add(piece.damage.clone());
            piece.content.records(&mut |place, record| {
                tried += 1;
                match record.and_then(|record| piece::event(record, place, &self.source)) {
                    Ok(_) => known = true,
                    Err(broken) => {
                        known = matches!(broken.fault, Fault::NoTime | Fault::NoCode | Fault::NoChannel);
                        damage.count(place, broken);
                    }
                }
                !known && tried < PATIENCE
            });
            self.tried.push_back(piece);
        }
        if known {
            return Ok(self);
        }
        let input = self.source.file;
        let first = damage.broken().values().min_by_key(|tally| tally.first);
        let found = match (hint, first, damage.truncation()) {
            (Some(hint), ..) => hint.to_owned(),
            (None, Some(tally), _) => {
                format!("no known record among the first {tried}; {}: {}", tally.first, tally.first_reason)
            }
            (None, None, Some(cut)) => format!("it is {cut}"),
            (None, None, None) => return Err(ReadError::Empty(input)),
        };
        Err(ReadError::NotALog { input, found })
    }

    /// Of which log its pieces are.
    #[must_use]
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// The next piece, in the log's order. What is wrong with its records shows when they become events.
    pub fn next_piece(&mut self) -> Option<Piece> {
        self.tried.pop_front().or_else(|| self.read_piece())
    }

    fn read_piece(&mut self) -> Option<Piece> {
        let piece = self.pieces.next()?;
        Some(Piece { read: self.progress.read(), ..piece })
    }

    /// What was wrong with the events taken one by one so far; complete once they are used up.
    #[must_use]
    pub const fn damage(&self) -> &Damage {
        &self.damage
    }

    /// A handle on how far reading has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Iterator for EventLog {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.next() {
                return Some(event);
            }
            let Batch { events, damage } = self.next_piece()?.events(&self.source);
            self.damage.add(damage);
            self.ready = events.into_iter();
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
mod fuzz_tests;
#[cfg(test)]
mod tests;
