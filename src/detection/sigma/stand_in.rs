//! Security 4688 in place of Sysmon 1: both tell of a new process, and where both are recorded every alert on one
//! would come twice. So what 4688 raises counts only where Sysmon 1 is missing.
//!
//! Whether a host has Sysmon cannot be known while its events still arrive in any order. So what 4688 raises is
//! *held back* until the sources have delivered (`settle`), and is then dropped if the same host sent a Sysmon 1
//! within [`REACH`] before or after it. The decision is thus a function of the set of events that had arrived, not of
//! their order or of batches. Nothing is lost with a process that dies before: events are stored and are looked at
//! again. The window rather than "ever" keeps a host in sight whose Sysmon was removed, by an intruder say; a day
//! rather than an hour because an idle machine starts few processes. A Sysmon 1 that arrives after the decision
//! retracts nothing: an alert too many is better than one too few.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::correlator::Sighting;
use crate::domain::alert::Alert;
use crate::domain::entity::HostName;

/// How near a Sysmon 1 must be for a 4688 to be superfluous.
pub(super) const REACH: SignedDuration = SignedDuration::from_hours(24);

/// Most alerts that are held back; beyond it the oldest are decided on what is known.
const MOST_HELD: usize = 20_000;

/// What a match on a 4688 would come to.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) alert: Alert,
    pub(super) raises: bool,
    pub(super) sightings: Vec<Sighting>,
}

/// What is held back, and when which host sent a Sysmon 1.
#[derive(Debug, Default)]
pub(super) struct StandIns {
    held: Vec<Held>,
    /// By host and hour: the first and the last one.
    seen: HashMap<HostName, BTreeMap<i64, (Timestamp, Timestamp)>>,
}

impl StandIns {
    /// A host sent a Sysmon 1.
    pub(super) fn sysmon_seen(&mut self, host: &HostName, time: Timestamp) {
        // Looked up before it is cloned: this is asked for every new process.
        if !self.seen.contains_key(host) {
            self.seen.insert(host.clone(), BTreeMap::new());
        }
        if let Some(hours) = self.seen.get_mut(host) {
            let (first, last) = hours.entry(hour(time)).or_insert((time, time));
            (*first, *last) = ((*first).min(time), (*last).max(time));
        }
    }

    /// Holds a match back. Returns what had to be decided to make room.
    pub(super) fn hold(&mut self, held: Held) -> Vec<Held> {
        if self.is_superfluous(&held.alert) {
            return Vec::new();
        }
        self.held.push(held);
        if self.held.len() <= MOST_HELD {
            return Vec::new();
        }
        let oldest: Vec<Held> = self.held.drain(..MOST_HELD / 2).collect();
        oldest.into_iter().filter(|held| !self.is_superfluous(&held.alert)).collect()
    }

    /// What is held back at the moment: where and when.
    pub(super) fn open(&self) -> impl Iterator<Item = (&HostName, Timestamp)> {
        self.held
            .iter()
            .filter(|held| !self.is_superfluous(&held.alert))
            .map(|held| (&held.alert.host, held.alert.time))
    }

    /// Decides all: what counts, in order of time.
    pub(super) fn settle(&mut self) -> Vec<Held> {
        let mut held = std::mem::take(&mut self.held);
        held.retain(|held| !self.is_superfluous(&held.alert));
        held.sort_by(|one, other| (one.alert.time, &one.alert.id).cmp(&(other.alert.time, &other.alert.id)));
        held
    }

    fn is_superfluous(&self, alert: &Alert) -> bool {
        let Some(hours) = self.seen.get(&alert.host) else { return false };
        let (time, hour) = (alert.time, hour(alert.time));
        let near = |seen: &Timestamp| time.duration_since(*seen).abs() <= REACH;
        hours.contains_key(&hour)
            || hours.range(..hour).next_back().is_some_and(|(_, (_, last))| near(last))
            || hours.range(hour + 1..).next().is_some_and(|(_, (first, _))| near(first))
    }
}

fn hour(time: Timestamp) -> i64 {
    time.as_second().div_euclid(60 * 60)
}
