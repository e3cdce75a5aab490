//! The ordinary life of the office: some weeks of its days, made from a number, the same ones every time.
//!
//! What the benign halves of the twins do happens here too, on several machines and days, so that prevalence can tell
//! the usual from the unusual. Around an act its machines report more densely: a silence there would be a sign.

use std::collections::BTreeMap;

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

/// The act that a background surrounds: its machines by their short names, in upper case, each with the times of its
/// first and last event.
#[derive(Debug, Clone, Default)]
pub struct Act {
    hosts: BTreeMap<String, (Timestamp, Timestamp)>,
}

impl Act {
    /// Takes an event of a machine into it.
    pub fn see(&mut self, host: &str, time: Timestamp) {
        let (from, to) = self.hosts.entry(host.to_uppercase()).or_insert((time, time));
        (*from, *to) = (time.min(*from), time.max(*to));
    }

    /// The last event; `None` of an act without any.
    #[must_use]
    pub fn end(&self) -> Option<Timestamp> {
        self.hosts.values().map(|(_, to)| *to).max()
    }
}

impl Background {
    /// The records around an act, a line each, in order of their times; none around an act without events.
    #[must_use]
    pub fn lines(&self, act: &Act) -> Vec<String> {
        let Some(end) = act.end() else { return Vec::new() };
        let to = end.as_millisecond();
        let last = (to + AFTERWARDS).div_euclid(DAY);
        let mut records = Records::default();
        for day in (last - i64::from(self.days) + 1)..=last {
            for host in OFFICE.hosts.iter().take(usize::from(self.hosts)) {
                let dice = Dice::of(&format!("{}:{}:{day}", self.seed, host.name));
                ordinary_day(&mut HostDay::new(&mut records, host, day, dice));
            }
        }
        for (name, (from, to)) in &act.hosts {
            let Some(host) = OFFICE.host(name) else { continue };
            let (from, to) = (from.as_millisecond() - DENSE, to.as_millisecond() + DENSE);
            let dice = Dice::of(&format!("{}:{}:around", self.seed, host.name));
            HostDay::new(&mut records, host, from.div_euclid(DAY), dice).busy_hours(from, to);
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
    if is_turn(host, ordinal, 2) {
        day.housekeeping();
    }
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
