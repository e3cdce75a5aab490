//! A followed file or folder: lines are taken in as they are written, and the place of each file is kept in the journal.
//!
//! A place moves on only after what lies before it is on record, so a start after any death reads some lines again
//! and loses none; events are known by their content, so reading again changes nothing. A file is recognised by what
//! it is and not by its name: renamed, it is read to its end while its name already belongs to the next one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::detector::{Detector, Taken};
use super::losses::{Losses, event, too_long, unseen};
use super::scan::{Found, Kind, Stat, scan};
use super::source::{News, Source};
use super::tail::{Line, Place, Tail};
use crate::detection::damage::Broken;
use crate::detection::read::EventLog;
use crate::domain::event::{Event, Origin};
use crate::floor::faults::FOLLOW;
use crate::floor::import::ImportError;
use crate::floor::ingest::IngestError;
use crate::floor::messages::SourceMessage;
use crate::floor::shared::TICK;
use crate::ports::journal::{Cursor, JournalError};

/// Bytes that are taken in together.
const LARGEST_BATCH: usize = 1 << 20;

/// A file that is read whole has to have stood still for so long: until then somebody may be copying it.
const STILL: Duration = Duration::from_secs(2);

/// A file that is read whole and has not stood still for so long may never do so, and is told of.
const RESTLESS: Duration = Duration::from_secs(10);

/// A file that has left its path is read for so long after it grew last: its writer may not know yet.
const LEAVING: Duration = Duration::from_secs(5);

/// What is said of a file that shrank, or that holds something else than what was read of it.
const OVERWRITTEN: &str = "it was truncated or written over in place, and what was last written before is unknown";

/// What is said of a file that went before it was read, and of one whose end is half a line.
const UNREAD: &str = "it was removed or moved away before it was read";
const UNFINISHED: &str = "it was removed or moved away before its last line was finished";

/// The longest pause before a source that failed tries again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The actor.
pub struct Follow;

/// What it needs.
#[derive(Clone)]
pub struct Arguments {
    /// Where events go.
    pub detector: Arc<Detector>,
    /// Where it tells how it stands.
    pub source: Arc<Source>,
    /// The file or folder.
    pub path: PathBuf,
}

/// What has been reached of a file, as the journal keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reached {
    /// Lines up to here.
    Lines(Place),
    /// All of it, once.
    Whole(Place),
    /// It left its path and was read to its end: another file may have its key from now on.
    Left,
}

/// What it knows of its files; the places among it are rebuilt from the journal at the start.
pub struct State {
    arguments: Arguments,
    /// By key.
    files: BTreeMap<String, Followed>,
    reached: HashMap<String, Reached>,
    /// Files that were known at the start are looked for under other names, once.
    looked_beside: bool,
    failures: u32,
    not_before: Instant,
}

/// A file at work.
struct Followed {
    path: PathBuf,
    /// How it looked when it was last read to its end.
    done: Option<Stat>,
    /// How it looks now, and since when; `None` once it has left the path.
    seen: Option<Stat>,
    since: Instant,
    /// Since when it is to be read whole and does not stand still.
    restless: Option<Instant>,
    /// When the last events on its lines happened, as far as this process read them.
    last_event: Option<Timestamp>,
    reading: Reading,
}

enum Reading {
    Undecided,
    Lines(Tail),
    Whole,
}

/// Why a file was not read on.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("{path} cannot be read ({source}): it is tried again; check its permissions and the disk")]
    Unreadable { path: String, source: io::Error },
    #[error("{0} does not exist: it is read as soon as it is there")]
    Missing(String),
    #[error(transparent)]
    Ingest(#[from] IngestError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Import(#[from] ImportError),
}

impl FollowError {
    fn of(path: &Path, source: io::Error) -> Self {
        let path = path.display().to_string();
        if source.kind() == io::ErrorKind::NotFound { Self::Missing(path) } else { Self::Unreadable { path, source } }
    }
}

impl Actor for Follow {
    type Msg = SourceMessage;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, _: ActorRef<SourceMessage>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let prefix = cursor_prefix(&arguments.path);
        let cursors = arguments.detector.shared().journal.cursors(&prefix).await?;
        // A cursor of a later version is as good as none: its file is read again.
        let reached = cursors.into_iter().filter_map(|Cursor { name, body }| {
            Some((name.strip_prefix(&prefix)?.to_owned(), serde_json::from_str(&body).ok()?))
        });
        let (files, reached) = (BTreeMap::new(), reached.collect());
        Ok(State { arguments, files, reached, looked_beside: false, failures: 0, not_before: Instant::now() })
    }

    async fn post_start(&self, myself: ActorRef<SourceMessage>, _: &mut State) -> Result<(), ActorProcessingErr> {
        myself.send_interval(TICK, || SourceMessage::PollDue);
        Ok(myself.cast(SourceMessage::PollDue)?)
    }

    async fn handle(
        &self,
        myself: ActorRef<SourceMessage>,
        message: SourceMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SourceMessage::PollDue if Instant::now() < state.not_before => Ok(()),
            SourceMessage::PollDue => {
                state.arguments.detector.shared().faults.break_once_named(FOLLOW);
                match state.poll().await {
                    Ok(more) => {
                        state.failures = 0;
                        state.arguments.source.works();
                        if more {
                            myself.cast(SourceMessage::PollDue)?;
                        }
                    }
                    Err(error) => state.pause(&error),
                }
                Ok(())
            }
        }
    }
}

/// Cursors of a followed path begin so.
fn cursor_prefix(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    format!("follow/{}/", whole.display())
}

impl State {
    /// Waits longer after each failure in a row, but for a path that is merely not there yet.
    fn pause(&mut self, error: &FollowError) {
        self.arguments.source.troubled(error.to_string());
        if !matches!(error, FollowError::Missing(_)) {
            self.failures += 1;
            let pause = Duration::from_millis(500) * 2_u32.saturating_pow(self.failures.min(8));
            self.not_before = Instant::now() + pause.min(LONGEST_PAUSE);
        }
    }

    /// Looks at every file once and takes in what is new, a batch of each. Says whether there may be more at once.
    async fn poll(&mut self) -> Result<bool, FollowError> {
        let listed = self.list().await;
        let mut more = false;
        // What can still be read is read, also when the path leads nowhere.
        let keys: Vec<String> = self.files.keys().cloned().collect();
        for key in keys {
            let Some(mut file) = self.files.remove(&key) else { continue };
            let stepped = self.step(&key, &mut file).await;
            let is_over =
                file.seen.is_none() && (!matches!(file.reading, Reading::Lines(_)) || file.since.elapsed() >= LEAVING);
            if is_over {
                self.part_with(&key, file).await?;
            } else {
                self.files.insert(key, file);
            }
            more |= stepped?;
        }
        match listed {
            // Its name is free for a moment while a file is rotated.
            Err(FollowError::Missing(_)) if !self.files.is_empty() => Ok(more),
            listed => listed.map(|()| more),
        }
    }

    /// Nothing more is read of a file that has left its path.
    async fn part_with(&mut self, key: &str, file: Followed) -> Result<(), FollowError> {
        let name = file.path.display().to_string();
        self.arguments.source.waits_no_more(&name);
        let (what, is_lost) = match file.reading {
            // A line that was never finished. What cannot be looked at may be one.
            Reading::Lines(tail) => (UNFINISHED, blocking(move || tail.has_rest()).await?.unwrap_or(true)),
            Reading::Undecided | Reading::Whole => (UNREAD, file.done.is_none()),
        };
        if is_lost {
            self.lost(name, what, file.last_event).await?;
        }
        if let Some(Reached::Lines(_)) = self.reached.get(key) {
            keep(&self.arguments.detector, &self.arguments.path, key, &Reached::Left).await?;
            self.reached.insert(key.to_owned(), Reached::Left);
        }
        Ok(())
    }

    /// Files whose lines were followed and that nobody finds any more: they went while no floor was running.
    async fn miss(&mut self) -> Result<(), FollowError> {
        let followed = |(key, reached): (&String, &Reached)| {
            let is_gone = matches!(reached, Reached::Lines(_)) && !self.files.contains_key(key);
            is_gone.then(|| key.clone())
        };
        let gone: Vec<String> = self.reached.iter().filter_map(followed).collect();
        for key in gone {
            let name = format!("a file of {}", self.arguments.path.display());
            self.lost(name, "it was removed or moved away while no floor was running", None).await?;
            keep(&self.arguments.detector, &self.arguments.path, &key, &Reached::Left).await?;
            self.reached.insert(key, Reached::Left);
        }
        Ok(())
    }

    /// Puts on record that nobody knows what was lost of a file.
    async fn lost(&self, file: String, what: &str, last: Option<Timestamp>) -> Result<(), FollowError> {
        let Arguments { detector, source, .. } = &self.arguments;
        let now = detector.shared().clock.now();
        let loss = unseen(file, what, last, now);
        source.lost(&loss);
        Ok(detector.shared().alerts.lost(vec![loss], now).await?)
    }

    /// Brings the list of files up to date.
    async fn list(&mut self) -> Result<(), FollowError> {
        let path = self.arguments.path.clone();
        let is_at_work = |(key, reached): (&String, &Reached)| (!matches!(reached, Reached::Left)).then(|| key.clone());
        let known =
            if self.looked_beside { HashSet::new() } else { self.reached.iter().filter_map(is_at_work).collect() };
        let asked = path.clone();
        let scanned = blocking(move || scan(&asked, &known)).await?;
        let now = Instant::now();
        for file in self.files.values_mut().filter(|file| file.seen.is_some()) {
            file.seen = None;
            file.since = now;
        }
        for Found { key, path, stat } in scanned.map_err(|error| FollowError::of(&path, error))? {
            let file = self.files.entry(key).or_insert_with(|| Followed {
                path: PathBuf::new(),
                done: None,
                seen: None,
                since: now,
                restless: None,
                last_event: None,
                reading: Reading::Undecided,
            });
            file.path = path;
            file.seen = Some(stat);
        }
        if !self.looked_beside {
            self.miss().await?;
        }
        self.looked_beside = true;
        Ok(())
    }

    /// Takes in a batch of a file. Says whether there may be more at once.
    async fn step(&mut self, key: &str, file: &mut Followed) -> Result<bool, FollowError> {
        if file.seen.is_some() && file.seen == file.done {
            return Ok(false);
        }
        let failed = |error| FollowError::of(&file.path, error);
        if matches!(file.reading, Reading::Undecided) {
            let (path, reached) = (file.path.clone(), self.reached.get(key).cloned());
            match blocking(move || decide(&path, reached)).await?.map_err(failed)? {
                None => file.done = file.seen,
                Some(reading) => file.reading = reading,
            }
        }
        match std::mem::replace(&mut file.reading, Reading::Undecided) {
            Reading::Undecided => Ok(false),
            Reading::Lines(tail) => self.read_lines(key, file, tail).await,
            Reading::Whole => {
                file.reading = Reading::Whole;
                self.import(key, file).await?;
                Ok(false)
            }
        }
    }

    async fn read_lines(&mut self, key: &str, file: &mut Followed, mut tail: Tail) -> Result<bool, FollowError> {
        let (path, has_left, last_event) = (file.path.clone(), file.seen.is_none(), file.last_event);
        let failed = |error| FollowError::of(&file.path, error);
        let read = blocking(move || {
            let is_overwritten = !has_left && tail.is_overwritten()?;
            if is_overwritten {
                tail = Tail::open(&path, &[])?;
            }
            let before = tail.place().clone();
            let lines = tail.read(LARGEST_BATCH)?;
            let last_event = last_event.filter(|_| !is_overwritten);
            io::Result::Ok((tail, before, is_overwritten, events(&path, lines, last_event)))
        });
        let (mut tail, before, is_overwritten, batch) = read.await?.map_err(failed)?;
        let name = file.path.display().to_string();
        if is_overwritten {
            // What was written between the last look and then was read by nobody.
            self.lost(name.clone(), OVERWRITTEN, last_event).await?;
        }
        let Arguments { detector, source, .. } = &self.arguments;
        if *tail.place() == before {
            // To its end; what it looked like before that is not the newest only if it grew meanwhile.
            file.done = file.seen;
            file.reading = Reading::Lines(tail);
            return Ok(false);
        }
        let Batch { events, broken, losses } = batch;
        let now = detector.shared().clock.now();
        let before_next = losses.before();
        // What is lost is on record before anything is judged without it.
        let noted = detector.shared().alerts.lost(losses.of(&name, true, now), now).await;
        let taken = match noted {
            Ok(()) => detector.take(events).await,
            Err(error) => Err(error.into()),
        };
        let reached = Reached::Lines(tail.place().clone());
        let kept = match taken {
            Ok(taken) => keep(detector, &self.arguments.path, key, &reached).await.map(|()| taken).map_err(Into::into),
            Err(error) => Err(FollowError::from(error)),
        };
        if kept.is_err() {
            tail.go_back(before);
        }
        file.reading = Reading::Lines(tail);
        let taken = kept?;
        for (line, broken) in broken {
            source.skipped(line, broken);
        }
        source.delivered(taken, detector.shared().clock.now());
        file.last_event = before_next;
        if file.seen.is_none() {
            file.since = Instant::now();
        }
        self.reached.insert(key.to_owned(), reached);
        Ok(true)
    }

    /// Takes in a file that does not grow, once it stands still.
    async fn import(&mut self, key: &str, file: &mut Followed) -> Result<(), FollowError> {
        let Some(seen) = file.seen else { return Ok(()) };
        let Arguments { detector, source, .. } = &self.arguments;
        let name = file.path.display().to_string();
        if seen.is_younger_than(STILL) {
            if file.restless.get_or_insert_with(Instant::now).elapsed() >= RESTLESS {
                source.waits(&name, restless(&name));
            }
            return Ok(());
        }
        file.restless = None;
        source.waits_no_more(&name);
        let failed = |error| FollowError::of(&file.path, error);
        let path = file.path.clone();
        let opened = blocking(move || {
            let end = Place::end(&File::open(&path)?)?;
            io::Result::Ok((EventLog::open(&path), end))
        });
        let (log, end) = opened.await?.map_err(failed)?;
        let imported = match log {
            Ok(log) => detector.import(log, &file.path).await,
            Err(error) => Err(error.into()),
        };
        match imported {
            // No log: told, and not tried again as long as it stays as it is.
            Err(ImportError::Read(refused)) => source.tell(News::Skipped { what: refused.to_string() }),
            Err(error) => return Err(error.into()),
            Ok(imported) => {
                let reached = Reached::Whole(end);
                keep(detector, &self.arguments.path, key, &reached).await?;
                self.reached.insert(key.to_owned(), reached);
                let alerts = imported.alerts.len() as u64;
                let taken = Taken { events: imported.events, known: imported.known + imported.repeated, alerts };
                source.imported(name, taken, detector.shared().clock.now());
            }
        }
        file.done = Some(seen);
        file.reading = Reading::Undecided;
        Ok(())
    }
}

/// What is said of a file that is to be read whole and does not stand still.
fn restless(name: &str) -> String {
    format!(
        "{name} keeps changing, and cannot be read while it grows: it is packed, or no log of one JSON object per \
         line. It is read once it stands still for {} seconds; have it written plainly, an object per line, or \
         follow a folder that finished files are moved to",
        STILL.as_secs()
    )
}

/// Keeps what has been reached of a file.
async fn keep(detector: &Detector, path: &Path, key: &str, reached: &Reached) -> Result<(), JournalError> {
    // Only strings and numbers are in it, so it is always JSON.
    let body = serde_json::to_string(reached).unwrap_or_default();
    detector.shared().journal.set_cursor(Cursor { name: format!("{}{key}", cursor_prefix(path)), body }).await
}

/// How a file is read from now on; `None` as long as nothing is to be done with it.
fn decide(path: &Path, reached: Option<Reached>) -> io::Result<Option<Reading>> {
    Ok(match (Kind::of(path)?, reached) {
        (Kind::Blank, _) => None,
        // Whether it is still the file that the place is in is asked before every read.
        (Kind::Growing, Some(Reached::Lines(place))) => Some(Reading::Lines(Tail::at(path, place)?)),
        (Kind::Growing, _) => Some(Reading::Lines(Tail::open(path, &[])?)),
        (Kind::Whole, Some(Reached::Whole(end))) if end.is_end_of(&File::open(path)?)? => None,
        (Kind::Whole, _) => Some(Reading::Whole),
    })
}

/// What lines say.
struct Batch {
    events: Vec<Event>,
    broken: Vec<(u64, Broken)>,
    losses: Losses,
}

/// The events on these lines, and what is wrong with the others. `last` is when the events before them happened.
fn events(path: &Path, lines: Vec<Line>, last: Option<Timestamp>) -> Batch {
    let mut batch = Batch { events: Vec::new(), broken: Vec::new(), losses: Losses::after(last) };
    for Line { number, text } in lines {
        let event = match text.as_deref().map(<[u8]>::trim_ascii) {
            None => Err(too_long().into()),
            Some([]) => continue,
            Some(text) => event(text, Origin { file: path.display().to_string(), line: number }),
        };
        match batch.losses.note(number, event) {
            Ok(event) => batch.events.push(event),
            Err(fault) => batch.broken.push((number, fault)),
        }
    }
    batch
}

/// Files are read on threads of their own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, FollowError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| IngestError::Ending.into())
}
