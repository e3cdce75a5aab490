//! A replay: a scenario's log arrives at a running floor in steps, and each case is judged on what had arrived by then.
//!
//! The log's order is the order of arrival. An event arrives at the latest time that any event so far carries: nothing
//! arrives before it happened, and a record whose clock lies behind comes along with those around it. A step ends where
//! a running floor would judge ([`Settle`], the rule of `run` itself, in the log's own time): when nothing has arrived
//! for half a second after the rules saw something, and five seconds after that at the latest. As long as the rules see
//! nothing there is nothing to judge, so that such events belong to the step that follows. Later alerts join, reopen and
//! merge cases as they do live. Every quarter of an hour of the log, and when it has ended, cases on hold are
//! looked at again, as `run` does.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use super::play::PlayError;
use crate::detection::clock::ClockOffset;
use crate::detection::damage::{Broken, Damage, Fault};
use crate::detection::look::look;
use crate::detection::read::{EventLog, ReadError};
use crate::detection::sigma::{Detector, RuleSet, Sight};
use crate::domain::alert::Alert;
use crate::domain::event::Origin;
use crate::domain::ids::{AlertId, EventId};
use crate::floor::held_back::Doubts;
use crate::floor::import::ImportError;
use crate::floor::ingest::{caught_up, ingest};
use crate::floor::settling::{LOOK_AGAIN, Settle};
use crate::floor::tree::Floor;
use crate::ports::events::{EventRow, Watermark};

/// Events that are kept for a step before they are stored: so many take about ten megabytes.
const TOGETHER: usize = 4_000;

/// Pieces of a log that are read ahead.
const AHEAD: usize = 2;

/// What came of a replay.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    /// Events that arrived.
    pub events: u64,
    /// Records that gave no event.
    pub skipped: u64,
    /// Alerts that were raised.
    pub alerts: HashSet<AlertId>,
    /// Steps at whose end something was judged.
    pub steps: u64,
    /// How far the logs had been read at each time that events were stored.
    pub reached: Vec<Reached>,
}

/// A place in the logs, by how much had arrived then.
#[derive(Debug)]
pub(super) struct Reached {
    /// What had arrived.
    pub watermark: Watermark,
    /// The log that was arriving.
    pub file: PathBuf,
    /// The place of its last record.
    pub place: u64,
}

/// Where steps end, in the log's own time.
#[derive(Debug)]
struct Steps {
    quiet: SignedDuration,
    longest: SignedDuration,
    /// The latest arrival.
    latest: Option<Timestamp>,
    /// When rules first saw something in this step.
    since: Option<Timestamp>,
    /// When cases on hold were looked at last, once there is a case.
    looked: Option<Timestamp>,
}

impl Steps {
    fn by(rule: Settle) -> Self {
        let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        Self { quiet: signed(rule.quiet), longest: signed(rule.longest), latest: None, since: None, looked: None }
    }

    /// When an event of this time arrives.
    fn arrival(&self, time: Timestamp) -> Timestamp {
        self.latest.map_or(time, |latest| latest.max(time))
    }

    /// The step ends before an event of this time arrives.
    fn ends_before(&self, time: Timestamp) -> bool {
        let arrival = self.arrival(time);
        let quiet = self.latest.is_some_and(|latest| arrival.duration_since(latest) >= self.quiet);
        self.since.is_some_and(|since| quiet || arrival.duration_since(since) >= self.longest)
    }

    /// Cases on hold are looked at again before an event of this time arrives.
    fn looks_again_before(&self, time: Timestamp) -> bool {
        let pause = SignedDuration::try_from(LOOK_AGAIN).unwrap_or(SignedDuration::MAX);
        self.looked.is_some_and(|looked| self.arrival(time).duration_since(looked) >= pause)
    }

    fn arrived(&mut self, time: Timestamp, matched: bool) {
        let arrival = self.arrival(time);
        self.latest = Some(arrival);
        if matched {
            self.since.get_or_insert(arrival);
        }
    }
}

/// An event on its way in.
struct Seen {
    row: EventRow,
    sight: Sight,
    /// Some rule matched it.
    matched: bool,
}

/// A piece of a log, read and looked at.
struct Piece {
    log: String,
    seen: Vec<Seen>,
    damage: Damage,
}

/// Has these logs arrive at a floor that judges whatever it is given at once ([`Settle::AT_ONCE`]).
///
/// # Errors
/// See [`PlayError`].
pub(super) async fn replay(
    floor: &Floor,
    files: Vec<PathBuf>,
    (clock, without): (ClockOffset, HashSet<EventId>),
    rules: &Arc<RuleSet>,
) -> Result<Replayed, PlayError> {
    let (pieces, mut in_order) = mpsc::channel(AHEAD);
    let used = rules.clone();
    let reading = tokio::task::spawn_blocking(move || read(&files, clock, &Arc::new(without), &used, &pieces));
    let mut arriving = Arriving::at(floor, rules.clone());
    let mut logs: Vec<(String, Damage)> = Vec::new();
    while let Some(Piece { log, seen, damage }) = in_order.recv().await {
        let is_new = logs.last().is_none_or(|(last, _)| *last != log);
        if is_new {
            logs.push((log, Damage::default()));
        }
        // The entry was made above if need be.
        if let Some((log, known)) = logs.last_mut() {
            known.add(damage);
            arriving.lost(log, known).await?;
        }
        for seen in seen {
            arriving.take(seen).await?;
        }
    }
    reading.await.map_err(|_| PlayError::Ending)??;
    let mut replayed = arriving.end().await?;
    replayed.skipped = logs.iter().map(|(_, damage)| damage.broken_count()).sum();
    Ok(replayed)
}

/// Reads and looks, ahead of what is judged.
fn read(
    files: &[PathBuf],
    clock: ClockOffset,
    without: &Arc<HashSet<EventId>>,
    rules: &RuleSet,
    pieces: &mpsc::Sender<Piece>,
) -> Result<(), ReadError> {
    for file in files {
        let mut log = EventLog::open(file)?.with_clock(clock).without(without.clone());
        while let Some(piece) = log.next_piece() {
            let mut seen = Vec::new();
            let damage = piece.each(log.source(), &mut |event| {
                let found = look(rules, &event);
                let (found, broke) = match found {
                    Ok(found) => (found, Ok(())),
                    Err(broke) => (Vec::new(), Err(Broken::new(Fault::RulesBroke, broke.to_string()))),
                };
                let (matched, sight) = (!found.is_empty(), Sight::of(&event, found));
                seen.push(Seen { row: EventRow::from(event), sight, matched });
                broke
            });
            // Whoever receives goes away only when the floor broke down, which is told there.
            if pieces.blocking_send(Piece { log: log.source().file.clone(), seen, damage }).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// A log that is arriving.
struct Arriving<'a> {
    floor: &'a Floor,
    detector: Detector,
    steps: Steps,
    rows: Vec<EventRow>,
    alerts: Vec<Alert>,
    replayed: Replayed,
}

impl<'a> Arriving<'a> {
    fn at(floor: &'a Floor, rules: Arc<RuleSet>) -> Self {
        let (detector, steps) = (Detector::new(rules), Steps::by(Settle::default()));
        Self { floor, detector, steps, rows: Vec::new(), alerts: Vec::new(), replayed: Replayed::default() }
    }

    /// Puts on record what is missing of a log so far.
    async fn lost(&self, log: &str, damage: &Damage) -> Result<(), PlayError> {
        let shared = self.floor.shared();
        let noted = shared.alerts.log_read(log, damage.loss(), shared.clock.now()).await;
        Ok(noted?)
    }

    async fn take(&mut self, Seen { row, sight, matched }: Seen) -> Result<(), PlayError> {
        let time = row.time;
        if self.steps.ends_before(time) {
            self.end_step().await?;
        }
        if self.steps.looks_again_before(time) {
            self.steps.looked = Some(self.steps.arrival(time));
            self.look_again().await?;
        }
        self.steps.arrived(time, matched);
        self.replayed.events += 1;
        self.rows.push(row);
        self.alerts.extend(self.detector.see(sight));
        if self.rows.len() >= TOGETHER { self.store().await } else { Ok(()) }
    }

    async fn store(&mut self) -> Result<(), PlayError> {
        let Some(Origin { file, line }) = self.rows.last().map(|row| row.origin.clone()) else { return Ok(()) };
        let shared = self.floor.shared();
        ingest(shared, std::mem::take(&mut self.rows), Vec::new()).await.map_err(ImportError::from)?;
        let watermark = shared.events.watermark().await?;
        self.replayed.reached.push(Reached { watermark, file: file.into(), place: line });
        Ok(())
    }

    /// What rules saw is decided and judged.
    async fn end_step(&mut self) -> Result<(), PlayError> {
        self.steps.since = None;
        if self.detector.standing_in().next().is_some() {
            self.store().await?;
            for (host, time) in Doubts::of(&self.detector).ask(self.floor.shared()).await? {
                self.detector.sysmon_seen(&host, time);
            }
        }
        self.alerts.extend(self.detector.settle());
        if self.alerts.is_empty() {
            return Ok(());
        }
        self.store().await?;
        let alerts = std::mem::take(&mut self.alerts);
        self.replayed.alerts.extend(alerts.iter().map(|alert| alert.id.clone()));
        ingest(self.floor.shared(), Vec::new(), alerts).await.map_err(ImportError::from)?;
        self.floor.at_rest().await?;
        self.replayed.steps += 1;
        self.steps.looked = self.steps.looked.or(self.steps.latest);
        Ok(())
    }

    /// Cases on hold are looked at again on what has arrived.
    async fn look_again(&mut self) -> Result<(), PlayError> {
        self.store().await?;
        caught_up(self.floor.shared()).await?;
        Ok(self.floor.at_rest().await?)
    }

    /// The log has ended.
    async fn end(mut self) -> Result<Replayed, PlayError> {
        self.end_step().await?;
        self.look_again().await?;
        Ok(self.replayed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::at;

    fn after(milliseconds: i64) -> Timestamp {
        at(0) + SignedDuration::from_millis(milliseconds)
    }

    /// When steps end in a log of these times, of which the rules see something in some.
    fn ends(log: &[(i64, bool)]) -> Vec<i64> {
        let mut steps = Steps::by(Settle::default());
        let mut ends = Vec::new();
        for &(time, matched) in log {
            if steps.ends_before(after(time)) {
                ends.push(time);
                steps.since = None;
            }
            steps.arrived(after(time), matched);
        }
        ends
    }

    #[test]
    fn a_step_ends_in_a_quiet_moment_after_the_rules_saw_something() {
        assert_eq!(ends(&[(0, false), (900, false), (9_000, false)]), [0_i64; 0], "there is nothing to judge");
        assert_eq!(ends(&[(0, true), (499, false), (998, false), (1_498, false), (9_000, false)]), [1_498]);
        assert_eq!(ends(&[(0, true), (600, true), (1_200, false)]), [600, 1_200]);
    }

    #[test]
    fn a_log_that_is_never_quiet_is_judged_all_the_same() {
        let busy: Vec<(i64, bool)> = (0..120).map(|tenth| (tenth * 100, tenth == 0 || tenth == 55)).collect();
        assert_eq!(ends(&busy), [5_000, 10_500]);
    }

    #[test]
    fn a_record_that_comes_late_arrives_when_it_comes() {
        // An exporter wrote one channel after the other: the second one is all there at once.
        assert_eq!(ends(&[(0, true), (60_000, false), (1_000, true), (30_000, true), (60_100, false)]), [60_000]);
        assert_eq!(ends(&[(60_000, true), (0, false), (60_600, false)]), [60_600]);
    }

    #[test]
    fn cases_that_wait_are_looked_at_a_quarter_of_an_hour_after_the_last_time() {
        let mut steps = Steps::by(Settle::default());
        assert!(!steps.looks_again_before(after(9_000_000)), "there is no case yet");
        steps.looked = Some(after(0));
        assert!(!steps.looks_again_before(after(899_999)));
        assert!(steps.looks_again_before(after(900_000)));
    }
}
