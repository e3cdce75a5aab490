//! The ordinary life of the office: some weeks of its days, made from a number, the same ones every time.
//!
//! What the benign halves of the twins do happens here too, on several machines and days, so that prevalence can tell
//! the usual from the unusual. Around an act its machines report more densely: a silence there would be a sign.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::dice::Dice;
use super::office::{DAY, Host, HostRole, OFFICE};
use super::record::Records;
use super::routines::HostDay;

/// The background goes on for so long after an act: what stays silent then has been silent.
const AFTERWARDS: i64 = 2 * 3_600_000;

/// So long before an act and after it its machines report densely.
const DENSE: i64 = 90 * 60_000;

/// Which ordinary life a scenario plays in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Background {
    /// What it is made from: another number, other days.
    pub seed: u64,
    /// How many days there are before the act ends.
    pub days: u16,
    /// How many machines the office has; all of them are in it.
    pub hosts: u16,
}

/// The act that a background surrounds.
#[derive(Debug, Clone)]
pub struct Act {
    /// The first event.
    pub from: Timestamp,
    /// The last one.
    pub to: Timestamp,
    /// Its machines, by their short names, in upper case.
    pub hosts: Vec<String>,
}

impl Background {
    /// The records around an act, a line each, in order of their times.
    #[must_use]
    pub fn lines(&self, act: &Act) -> Vec<String> {
        let (from, to) = (act.from.as_millisecond(), act.to.as_millisecond());
        let last = (to + AFTERWARDS).div_euclid(DAY);
        let mut records = Records::default();
        for day in (last - i64::from(self.days) + 1)..=last {
            for host in OFFICE.hosts.iter().take(usize::from(self.hosts)) {
                let dice = Dice::of(&format!("{}:{}:{day}", self.seed, host.name));
                ordinary_day(&mut HostDay::new(&mut records, host, day, dice));
            }
        }
        let around = |name: &String| OFFICE.host(name);
        for host in act.hosts.iter().filter_map(around) {
            let dice = Dice::of(&format!("{}:{}:around", self.seed, host.name));
            let mut day = HostDay::new(&mut records, host, from.div_euclid(DAY), dice);
            day.busy_hours(from - DENSE, (to + DENSE).min(to + AFTERWARDS));
        }
        records.lines(to + AFTERWARDS)
    }
}

/// 0 is Monday.
const fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7)
}

/// What a machine does on a day.
fn ordinary_day(day: &mut HostDay) {
    let (host, weekday, ordinal) = (day.host, weekday(day.day), day.day);
    let workday = weekday < 5;
    day.housekeeping();
    if is_turn(host, ordinal, 4) {
        day.defender_collects();
    }
    if workday {
        day.inventory();
        day.management_agent();
    }
    match host.role {
        HostRole::Workstation if workday => {
            day.working_day();
            if is_turn(host, ordinal, 5) {
                day.reader_update();
            }
            if is_turn(host, ordinal, 23) && host.name != "HB-WS10" {
                day.help_desk_grants_administrator();
            }
        }
        HostRole::Workstation => {}
        HostRole::DomainController | HostRole::Server | HostRole::JumpHost => {
            if host.name != "HB-SQL01" {
                day.revocation_list();
            }
            if matches!(host.name.as_str(), "HB-FS01" | "HB-APP01" | "HB-SQL01" | "HB-MGT01") {
                day.backup();
                match weekday {
                    2 => day.maintenance_from_jump_host(),
                    3 => day.component_services(),
                    _ => {}
                }
            }
        }
    }
}

/// Whether it is this machine's turn at something that comes every so many days.
fn is_turn(host: &Host, day: i64, every: i64) -> bool {
    let place = OFFICE.hosts.iter().position(|other| other.name == host.name).unwrap_or_default();
    // Places are few.
    (day + place as i64 * 3).rem_euclid(every) == 0
}
