//! A log's clock: how far its record times are from UTC, where somebody declared it, and what the log itself shows.
//!
//! What a log shows is told to a person and never applied: an attacker who can write records could move a clock.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::domain::event::Event;
use crate::domain::words::counted;

/// What has to be added to a log's own record times to get UTC. Sensors that write their own UTC time do not need it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClockOffset(SignedDuration);

impl ClockOffset {
    /// The log's times are UTC, or nobody said otherwise.
    pub const NONE: Self = Self(SignedDuration::ZERO);

    /// So much has to be added.
    #[must_use]
    pub const fn new(offset: SignedDuration) -> Self {
        Self(offset)
    }

    /// The UTC time of a record; `None` outside the times that can be written.
    #[must_use]
    pub fn to_utc(self, recorded: Timestamp) -> Option<Timestamp> {
        recorded.checked_add(self.0).ok()
    }

    /// What is added.
    #[must_use]
    pub const fn duration(self) -> SignedDuration {
        self.0
    }
}

/// `+4h`, `-3h30m`, `0h`: as it is declared on the command line.
impl fmt::Display for ClockOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.0.as_mins();
        let sign = match minutes {
            ..0 => "-",
            0 => "",
            1.. => "+",
        };
        let (hours, minutes) = (minutes.unsigned_abs() / 60, minutes.unsigned_abs() % 60);
        match minutes {
            0 => write!(f, "{sign}{hours}h"),
            _ => write!(f, "{sign}{hours}h{minutes}m"),
        }
    }
}

/// Time zones lie on quarters of an hour; forwarding and buffering take less than half of one.
const STEP: SignedDuration = SignedDuration::from_mins(15);
/// So far is a difference told apart; what lies beyond counts as this far.
const FARTHEST_STEPS: i64 = 366 * 24 * 4;
/// What has to be added lies between these for every zone on Earth (UTC+14 and UTC−12), in steps.
const ZONES: std::ops::RangeInclusive<i64> = -14 * 4..=12 * 4;
/// Two clusters this far apart are the halves of a day that a 12-hour clock confuses.
const HALF_A_DAY: i64 = 12 * 4;
/// A cluster that explains fewer than one record in so many is chance.
const ONE_IN: u64 = 20;
/// Kinds of events whose clocks are compared apart; those of the others are compared together.
const MOST_KINDS: usize = 64;
/// Differences of a kind that are told apart: a log with more of them has no clock worth telling of.
const MOST_STEPS: usize = 2_000;
/// Fewer records of a kind may be off by chance.
const FEW: u64 = 3;
/// So many steps from the others, a kind's clock is another one: an hour, by which summer time differs.
const APART: i64 = 4;
/// So many kinds are named.
const MOST_NAMED: usize = 5;

/// Compares the two clocks of records that have both: Sysmon's own UTC time, and the time their log gives them.
#[derive(Debug, Clone, Default)]
pub struct ClockComparison {
    declared: ClockOffset,
    /// By kind of event; those of kinds beyond [`MOST_KINDS`] have no name.
    kinds: BTreeMap<String, Differences>,
}

/// By how much two clocks differ, in steps.
#[derive(Debug, Clone, Default)]
struct Differences {
    steps: BTreeMap<i64, u64>,
    compared: u64,
}

/// What a log shows about its clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockFinding {
    /// What would have to be added to the log's own times, in whole quarters of an hour: the median of the records.
    pub offset: ClockOffset,
    /// What was declared when they were read.
    pub declared: ClockOffset,
    /// How many records have both clocks.
    pub compared: u64,
    /// The times were probably written with a 12-hour clock and without AM or PM, so that no single offset fits all.
    pub twelve_hour_clock: bool,
    /// Kinds of events whose clock is another one.
    pub apart: Vec<ApartClock>,
}

/// A kind of event whose times are off by something else than the others'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApartClock {
    /// The kind, as an analyst names it.
    pub kind: String,
    /// What would have to be added to its times.
    pub offset: ClockOffset,
    /// How many of its records have both clocks.
    pub compared: u64,
}

impl ClockComparison {
    /// For events that were read with this offset.
    #[must_use]
    pub fn new(declared: ClockOffset) -> Self {
        Self { declared, ..Self::default() }
    }

    /// Takes an event into account, if it has both clocks.
    pub fn add(&mut self, event: &Event) {
        let recorded = event.document.get("winlog").and_then(|winlog| winlog.get("time_created"));
        let Some(recorded) = recorded.and_then(|text| text.as_str()?.parse::<Timestamp>().ok()) else { return };
        let seconds = event.time.duration_since(recorded).as_secs();
        let half = STEP.as_secs() / 2;
        let step = (seconds + half).div_euclid(STEP.as_secs());
        let mut kind = event.kind();
        if self.kinds.len() >= MOST_KINDS && !self.kinds.contains_key(&kind) {
            kind.clear();
        }
        self.kinds.entry(kind).or_default().add(step.clamp(-FARTHEST_STEPS, FARTHEST_STEPS), 1);
    }

    /// Takes into account what another has seen of the same log.
    pub fn add_all(&mut self, other: Self) {
        for (kind, differences) in other.kinds {
            let has_room = self.kinds.len() < MOST_KINDS || self.kinds.contains_key(&kind);
            let kind = if has_room { kind } else { String::new() };
            self.kinds.entry(kind).or_default().add_all(&differences);
        }
    }

    /// What the events so far show; `None` if the clocks agree, or no event had both.
    ///
    /// The clocks agree if their median difference is below half a quarter of an hour, which forwarding explains.
    #[must_use]
    pub fn finding(&self) -> Option<ClockFinding> {
        let mut all = Differences::default();
        self.kinds.values().for_each(|differences| all.add_all(differences));
        let median = all.median()?;
        let twelve_hour_clock = all.is_twelve_hour_clock(median, self.declared);
        let apart = self.apart(median, twelve_hour_clock);
        if median == 0 && !twelve_hour_clock && apart.is_empty() {
            return None;
        }
        let (offset, declared) = (self.with_missing(median), self.declared);
        Some(ClockFinding { offset, declared, compared: all.compared, twelve_hour_clock, apart })
    }

    /// Kinds whose clock differs from that of the most, the most telling first.
    fn apart(&self, median: i64, twelve_hour_clock: bool) -> Vec<ApartClock> {
        let others = |(kind, differences): (&String, &Differences)| {
            let own = differences.median()?;
            let is_explained = twelve_hour_clock && (own - median).abs() == HALF_A_DAY;
            let is_apart = (own - median).abs() >= APART && differences.compared >= FEW && !is_explained;
            let (offset, compared) = (self.with_missing(own), differences.compared);
            (is_apart && !kind.is_empty()).then(|| ApartClock { kind: kind.clone(), offset, compared })
        };
        let mut apart: Vec<_> = self.kinds.iter().filter_map(others).collect();
        apart.sort_by_key(|kind| std::cmp::Reverse(kind.compared));
        apart
    }

    fn with_missing(&self, steps: i64) -> ClockOffset {
        let missing = SignedDuration::from_secs(steps * STEP.as_secs());
        ClockOffset::new(self.declared.duration().saturating_add(missing))
    }
}

impl Differences {
    fn add_all(&mut self, other: &Self) {
        other.steps.iter().for_each(|(step, count)| self.add(*step, *count));
    }

    fn add(&mut self, step: i64, count: u64) {
        self.compared += count;
        if self.steps.len() < MOST_STEPS || self.steps.contains_key(&step) {
            *self.steps.entry(step).or_default() += count;
        }
    }

    fn median(&self) -> Option<i64> {
        let mut before = 0;
        self.steps.iter().find_map(|(step, count)| {
            before += count;
            (before * 2 > self.compared).then_some(*step)
        })
    }

    /// No zone explains the offset, but one does twelve hours off; or two clusters lie half a day apart.
    fn is_twelve_hour_clock(&self, median: i64, declared: ClockOffset) -> bool {
        let whole = median + declared.duration().as_secs().div_euclid(STEP.as_secs());
        let off_by_half_a_day = [whole - HALF_A_DAY, whole + HALF_A_DAY].iter().any(|step| ZONES.contains(step));
        if !ZONES.contains(&whole) && off_by_half_a_day {
            return true;
        }
        let count = |step: i64| self.steps.get(&step).copied().unwrap_or_default();
        [median - HALF_A_DAY, median + HALF_A_DAY].iter().any(|step| count(*step) * ONE_IN >= self.compared)
    }
}

impl fmt::Display for ClockFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, declared, compared, twelve_hour_clock, apart } = self;
        write!(f, "by {} with both clocks, ", counted(*compared, "record"))?;
        if offset != declared {
            write!(f, "the log's own times need {offset} to be UTC")?;
            if *declared != ClockOffset::NONE {
                write!(f, " instead of the {declared} that were declared")?;
            }
            if *twelve_hour_clock {
                write!(f, "; they seem to be written with a 12-hour clock, so that some may be 12 hours off")?;
            }
        } else if *twelve_hour_clock {
            write!(f, "some of the log's own times are 12 hours off")?;
        } else {
            write!(f, "most of the log's own times are right")?;
        }
        for (place, ApartClock { kind, offset, compared }) in apart.iter().take(MOST_NAMED).enumerate() {
            let but = if place == 0 { ", but those of" } else { ", those of" };
            write!(f, "{but} {} {kind} need {offset}", counted(*compared, "event"))?;
        }
        match apart.len().saturating_sub(MOST_NAMED) {
            0 => Ok(()),
            more => write!(f, ", and {} differ", counted(more as u64, "more kind")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::detection::normalise::normalise;
    use crate::domain::event::Origin;

    /// A comparison of events whose own clock says 12:00:00 and whose log's clock says these.
    fn comparison(declared: ClockOffset, recorded: &[&str]) -> ClockComparison {
        let mut comparison = ClockComparison::new(declared);
        compare(&mut comparison, 5, recorded);
        comparison
    }

    fn compare(comparison: &mut ClockComparison, code: u32, recorded: &[&str]) {
        let declared = comparison.declared;
        for time in recorded {
            let record = json!({
                "TimeCreated": time, "Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": code,
                "Hostname": "wks-07", "UtcTime": "2026-03-02 12:00:00.000",
            });
            let record = record.as_object().expect("an object");
            let origin = Origin { file: "test".into(), line: 1 };
            comparison.add(&normalise(record, origin, declared).expect("an event"));
        }
    }

    fn hours(hours: i64) -> ClockOffset {
        ClockOffset::new(SignedDuration::from_hours(hours))
    }

    #[test]
    fn a_clock_in_another_zone_is_found_by_its_median_and_rounded() {
        let times = ["2026-03-02 08:00:03.100", "2026-03-02 08:00:00", "2026-03-02 07:59:58", "2026-03-02 11:00:00"];
        let found = comparison(ClockOffset::NONE, &times).finding().expect("a finding");
        assert_eq!((found.offset, found.compared, found.twelve_hour_clock), (hours(4), 4, false));
        assert_eq!(found.to_string(), "by 4 records with both clocks, the log's own times need +4h to be UTC");
        let nepal = comparison(ClockOffset::NONE, &["2026-03-02 17:45:00"]).finding().expect("a finding");
        assert_eq!(nepal.offset.to_string(), "-5h45m");
    }

    #[test]
    fn clocks_that_differ_by_forwarding_agree() {
        let late = ["2026-03-02 12:00:04", "2026-03-02 12:06:00", "2026-03-02 11:59:00"];
        assert_eq!(comparison(ClockOffset::NONE, &late).finding(), None);
        assert_eq!(ClockComparison::default().finding(), None);
    }

    #[test]
    fn a_declared_offset_that_fits_leaves_nothing_to_find() {
        assert_eq!(comparison(hours(4), &["2026-03-02 08:00:00"]).finding(), None);
        let found = comparison(hours(3), &["2026-03-02 08:00:00"]).finding().expect("a finding");
        assert_eq!((found.offset, found.declared), (hours(4), hours(3)));
    }

    #[test]
    fn a_twelve_hour_clock_is_told_by_an_offset_no_zone_has_or_by_two_halves_of_a_day() {
        let found = comparison(ClockOffset::NONE, &["2026-03-01 20:00:00"]).finding().expect("a finding");
        assert_eq!((found.offset, found.twelve_hour_clock), (hours(16), true));
        let two = ["2026-03-02 08:00:00", "2026-03-02 08:00:00", "2026-03-01 20:00:00"];
        let found = comparison(ClockOffset::NONE, &two).finding().expect("a finding");
        assert_eq!((found.offset, found.twelve_hour_clock), (hours(4), true));
        let wrong_by_days = comparison(ClockOffset::NONE, &["2026-02-20 12:00:00"]).finding().expect("a finding");
        assert!(!wrong_by_days.twelve_hour_clock);
    }

    #[test]
    fn a_kind_of_event_whose_clock_is_another_is_told_beside_the_others() {
        let mut some_are_off = comparison(ClockOffset::NONE, &["2026-03-02 12:00:01"; 40]);
        compare(&mut some_are_off, 22, &["2026-02-27 12:00:01"; 2]);
        assert_eq!(some_are_off.finding(), None, "two may be chance");
        compare(&mut some_are_off, 22, &["2026-02-27 12:00:01"]);
        let found = some_are_off.finding().expect("a finding");
        assert_eq!((found.offset, found.twelve_hour_clock), (ClockOffset::NONE, false));
        assert_eq!(found.apart, [ApartClock { kind: "Sysmon 22".into(), offset: hours(72), compared: 3 }]);
        let told = "by 43 records with both clocks, most of the log's own times are right, \
                    but those of 3 events Sysmon 22 need +72h";
        assert_eq!(found.to_string(), told);
    }

    #[test]
    fn however_odd_a_log_is_its_clocks_take_little_memory() {
        let mut odd = ClockComparison::default();
        let origin = Origin { file: "test".into(), line: 1 };
        for number in 0..10_000_u32 {
            let time = Timestamp::from_second(1_700_000_000 + i64::from(number) * 1_000).expect("a time");
            let record = json!({
                "TimeCreated": time.to_string(), "Channel": "Microsoft-Windows-Sysmon/Operational",
                "EventID": number % 500, "Hostname": "wks-07", "UtcTime": "2026-03-02 12:00:00.000",
            });
            odd.add(
                &normalise(record.as_object().expect("an object"), origin.clone(), ClockOffset::NONE).expect("one"),
            );
        }
        assert_eq!(odd.kinds.len(), MOST_KINDS + 1);
        assert!(odd.kinds.values().all(|kind| kind.steps.len() <= MOST_STEPS));
        assert!(odd.finding().is_none_or(|found| found.to_string().len() < 600));
    }

    #[test]
    fn the_offset_moves_the_logs_times_and_never_the_sensors() {
        let record = |channel: &str| {
            json!({"TimeCreated": "2026-03-02 08:00:00.500", "Channel": channel, "EventID": 5, "Hostname": "wks-07",
                "UtcTime": "2026-03-02 12:00:00.250"})
        };
        let time = |channel: &str| {
            let record = record(channel);
            let origin = Origin { file: "test".into(), line: 1 };
            normalise(record.as_object().expect("an object"), origin, hours(5)).expect("an event").time.to_string()
        };
        assert_eq!(time("Security"), "2026-03-02T13:00:00.5Z");
        assert_eq!(time("Microsoft-Windows-Sysmon/Operational"), "2026-03-02T12:00:00.25Z");
    }
}
