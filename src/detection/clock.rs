//! A log's clock: how far its record times are from UTC, where somebody declared it, and what the log itself shows.
//!
//! What a log shows is told to a person and never applied: an attacker who can write records could move a clock.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::domain::event::Event;

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

/// Compares the two clocks of records that have both: Sysmon's own UTC time, and the time their log gives them.
#[derive(Debug, Clone, Default)]
pub struct ClockComparison {
    declared: ClockOffset,
    steps: BTreeMap<i64, u64>,
    compared: u64,
}

/// What a log shows about its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockFinding {
    /// What would have to be added to the log's own times, in whole quarters of an hour: the median of the records.
    pub offset: ClockOffset,
    /// What was declared when they were read.
    pub declared: ClockOffset,
    /// How many records have both clocks.
    pub compared: u64,
    /// The times were probably written with a 12-hour clock and without AM or PM, so that no single offset fits all.
    pub twelve_hour_clock: bool,
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
        *self.steps.entry(step.clamp(-FARTHEST_STEPS, FARTHEST_STEPS)).or_default() += 1;
        self.compared += 1;
    }

    /// Takes into account what another has seen of the same log.
    pub fn add_all(&mut self, other: Self) {
        for (step, count) in other.steps {
            *self.steps.entry(step).or_default() += count;
        }
        self.compared += other.compared;
    }

    /// What the events so far show; `None` if the clocks agree, or no event had both.
    ///
    /// The clocks agree if their median difference is below half a quarter of an hour, which forwarding explains.
    #[must_use]
    pub fn finding(&self) -> Option<ClockFinding> {
        let median = self.median()?;
        let twelve_hour_clock = self.is_twelve_hour_clock(median);
        if median == 0 && !twelve_hour_clock {
            return None;
        }
        let missing = SignedDuration::from_secs(median * STEP.as_secs());
        Some(ClockFinding {
            offset: ClockOffset::new(self.declared.duration().saturating_add(missing)),
            declared: self.declared,
            compared: self.compared,
            twelve_hour_clock,
        })
    }

    fn median(&self) -> Option<i64> {
        let mut before = 0;
        self.steps.iter().find_map(|(step, count)| {
            before += count;
            (before * 2 > self.compared).then_some(*step)
        })
    }

    /// No zone explains the offset, but one does twelve hours off; or two clusters lie half a day apart.
    fn is_twelve_hour_clock(&self, median: i64) -> bool {
        let whole = median + self.declared.duration().as_secs().div_euclid(STEP.as_secs());
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
        let Self { offset, declared, compared, twelve_hour_clock } = self;
        if offset == declared {
            return write!(f, "by {compared} records with both clocks, some of the log's own times are 12 hours off");
        }
        write!(f, "by {compared} records with both clocks, the log's own times need {offset} to be UTC")?;
        if *declared != ClockOffset::NONE {
            write!(f, " instead of the {declared} that were declared")?;
        }
        if *twelve_hour_clock {
            write!(f, "; they seem to be written with a 12-hour clock, so that some may be 12 hours off")?;
        }
        Ok(())
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
        for time in recorded {
            let record = json!({
                "TimeCreated": time, "Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 5,
                "Hostname": "wks-07", "UtcTime": "2026-03-02 12:00:00.000",
            });
            let record = record.as_object().expect("an object");
            let origin = Origin { file: "test".into(), line: 1 };
            comparison.add(&normalise(record, origin, declared).expect("an event"));
        }
        comparison
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
