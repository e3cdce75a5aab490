//! Import: logs become stored events, and what the rules see in them becomes alerts.
//!
//! A reader cuts the logs into pieces. Workers turn pieces into events and look at them with the rules, several at a
//! time. What they found is stored in the order of the logs, beside their work. How much is under way is bounded, so
//! that a log of any size takes the same memory. Importing a file again changes nothing, so an import that was cut
//! short is simply repeated. A detector goes along from log to log, so that correlations see all of them;
//! [`settle`](super::held_back::settle) ends the import.

mod storing;

use std::collections::BTreeSet;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};

use self::storing::{Known, Storing};
use super::ingest::IngestError;
use super::shared::Shared;
use crate::detection::clock::{ClockComparison, ClockOffset};
use crate::detection::damage::{Broken, Damage, Fault};
use crate::detection::look::look;
use crate::detection::read::{EventLog, Input, LONGEST_RECORD, Piece, ReadError, Source};
use crate::detection::sigma::{Detector, RuleSet, Sight};
use crate::domain::alert::Alert;
use crate::domain::ids::AlertId;
use crate::ports::events::EventRow;

/// Bytes of text that may be under way: ordinary pieces are far smaller, and the largest record passes alone.
const UNDER_WAY: usize = LONGEST_RECORD;

/// What an import did with a log.
#[derive(Debug, Default)]
pub struct Imported {
    /// Events read.
    pub events: u64,
    /// Events that were stored before the log began.
    pub known: u64,
    /// Events that the log itself had told before.
    pub repeated: u64,
    /// Alerts raised, known ones among them.
    pub alerts: BTreeSet<AlertId>,
    /// What was wrong with the file.
    pub damage: Damage,
    /// What the log shows about its own clock. It is told and never applied.
    pub clock: ClockComparison,
}

impl Imported {
    fn add(&mut self, Known { earlier, repeated }: Known) {
        self.known += earlier;
        self.repeated += repeated;
    }
}

/// Why an import ended early. What was stored until then stays.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is no log.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A batch was not taken.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The reader broke.
    #[error(
        "{0}: reading broke off in a fault of watchfloor itself; run it with WATCHFLOOR_LOG=debug and report what it says"
    )]
    Broke(String),
}

/// How far an import has come, for whoever watches it. It counts what is stored, not what was merely read.
#[derive(Debug, Default)]
pub struct Watch {
    bytes: AtomicU64,
    events: AtomicU64,
}

impl Watch {
    /// Bytes of the files, packed where a file is, whose events are stored.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Events that are stored, the ones known before among them.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }
}

/// Reads a log to its end.
///
/// # Errors
/// See [`ImportError`].
pub async fn import(
    shared: &Arc<Shared>,
    log: EventLog,
    path: &Path,
    detector: &mut Detector,
) -> Result<Imported, ImportError> {
    let clock = log.source().clock;
    let all = import_all(shared, vec![log.into()], clock, detector, &Watch::default()).await?;
    all.into_iter().next().map(|(_, imported)| imported).ok_or_else(|| ImportError::Broke(path.display().to_string()))
}

/// Reads logs to their ends, one after another: small ones are worked on side by side, and what becomes of them is
/// the same. `clock` is declared of all of them. Gives each with its name.
///
/// # Errors
/// See [`ImportError`].
pub async fn import_all(
    shared: &Arc<Shared>,
    inputs: Vec<Input>,
    clock: ClockOffset,
    detector: &mut Detector,
    watch: &Watch,
) -> Result<Vec<(String, Imported)>, ImportError> {
    // Pieces that are worked on ahead of what is stored: enough for every core while a commit takes its time.
    let ahead = std::thread::available_parallelism().map_or(2, NonZero::get);
    let (steps, mut in_order) = mpsc::channel(ahead);
    let rules = detector.rules().clone();
    let reading = spawn_blocking(move || read(inputs, clock, &rules, &steps));
    let mut all: Vec<(String, Imported)> = Vec::new();
    let mut storing = Storing::new(shared, watch);
    // Bytes of the logs that are done, and of the one that is not.
    let (mut done, mut read) = (0, 0);
    loop {
        let step = tokio::select! {
            biased;
            step = in_order.recv() => step,
            known = storing.hand_over(), if !storing.has_none_waiting() => {
                let known = known?;
                all.last_mut().into_iter().for_each(|(_, imported)| imported.add(known));
                continue;
            }
        };
        let Some(step) = step else { break };
        match (step, all.last_mut()) {
            (Step::Failed(error), _) => return Err(error.into()),
            (Step::Opened(name), last) => {
                // What was known already is counted for the log it is from.
                let known = storing.begin_log().await?;
                if let Some((name, imported)) = last {
                    imported.add(known);
                    note_loss(shared, name, imported).await?;
                }
                all.push((name, Imported { clock: ClockComparison::new(clock), ..Imported::default() }));
                (done, read) = (done + read, 0);
            }
            // Every piece comes after its log was opened.
            (Step::Piece(_), None) => {}
            (Step::Piece(job), Some((name, imported))) => {
                let Worked { rows, sights, clock, damage, read: by_now, room } =
                    job.await.map_err(|_| ImportError::Broke(name.clone()))?;
                let alerts: Vec<Alert> = sights.into_iter().flat_map(|sight| detector.see(sight)).collect();
                imported.clock.add_all(clock);
                imported.events += rows.len() as u64;
                imported.alerts.extend(alerts.iter().map(|alert| alert.id.clone()));
                imported.damage.add(damage);
                read = by_now;
                imported.add(storing.take(rows, alerts, room, done + read).await?);
            }
        }
    }
    let known = storing.finish().await?;
    if let Some((name, imported)) = all.last_mut() {
        imported.add(known);
        note_loss(shared, name, imported).await?;
    }
    let last = all.last().map(|(name, _)| name.clone()).unwrap_or_default();
    reading.await.map_err(|_| ImportError::Broke(last))?;
    Ok(all)
}

/// Puts on record what is missing of a log and how its clock shows to be off, before any case is judged on what was read of it.
async fn note_loss(shared: &Shared, log: &str, imported: &Imported) -> Result<(), IngestError> {
    let shows = imported.clock.finding().map(|found| found.to_string());
    shared.alerts.clock_seen(log, shows, shared.clock.now()).await?;
    Ok(shared.alerts.log_read(log, imported.damage.loss(), shared.clock.now()).await?)
}

/// What the reader hands on, in the order of the logs.
enum Step {
    /// A log begins.
    Opened(String),
    /// A piece of it is being worked on.
    Piece(JoinHandle<Worked>),
    /// It is no longer what it was when it was looked at.
    Failed(ReadError),
}

/// What a worker made of a piece.
struct Worked {
    rows: Vec<EventRow>,
    /// What the events show a detector, in the log's order, without those that show it nothing.
    sights: Vec<Sight>,
    clock: ClockComparison,
    damage: Damage,
    /// Bytes of the file that were read by its end.
    read: u64,
    /// Given back once it is stored.
    room: OwnedSemaphorePermit,
}

/// Cuts the logs into pieces and has them worked on, as fast as they are stored.
fn read(inputs: Vec<Input>, clock: ClockOffset, rules: &Arc<RuleSet>, steps: &mpsc::Sender<Step>) {
    let under_way = Arc::new(Semaphore::new(UNDER_WAY));
    for input in inputs {
        // Whoever receives the steps only goes away when storing failed, which the import reports.
        let mut log = match input.open(clock) {
            Ok(log) => log,
            Err(error) => return drop(steps.blocking_send(Step::Failed(error))),
        };
        let source = Arc::new(log.source().clone());
        if steps.blocking_send(Step::Opened(source.file.clone())).is_err() {
            return;
        }
        while let Some(piece) = log.next_piece() {
            // It fits: `UNDER_WAY` is far from the largest number.
            let size = u32::try_from(piece.size().clamp(1, UNDER_WAY)).unwrap_or(u32::MAX);
            let room = Handle::current().block_on(under_way.clone().acquire_many_owned(size));
            // Nobody closes it.
            let Ok(room) = room else { return };
            let (source, rules) = (source.clone(), rules.clone());
            let job = spawn_blocking(move || work(piece, &source, &rules, room));
            if steps.blocking_send(Step::Piece(job)).is_err() {
                return;
            }
        }
    }
}

fn work(piece: Piece, source: &Source, rules: &RuleSet, room: OwnedSemaphorePermit) -> Worked {
    let read = piece.read();
    let (mut rows, mut sights) = (Vec::new(), Vec::new());
    let mut clock = ClockComparison::new(source.clock);
    let damage = piece.each(source, &mut |event| {
        let (found, broken) = match look(rules, &event) {
            Ok(found) => (found, Ok(())),
            Err(broke) => (Vec::new(), Err(Broken::new(Fault::RulesBroke, broke.to_string()))),
        };
        clock.add(&event);
        sights.extend(Some(Sight::of(&event, found)).filter(|sight| !sight.is_nothing()));
        rows.push(EventRow::from(event));
        broken
    });
    Worked { rows, sights, clock, damage, read, room }
}
