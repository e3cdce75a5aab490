//! The sequential half of detection: what rules found in single events becomes alerts.
//!
//! [`RuleSet::matches`] needs one event and no memory, and runs on as many threads as there are. What needs memory is
//! here: correlations, and Security 4688 standing in for a missing Sysmon. Events are handed over one by one, with
//! what was found in them; their order does not matter. [`Detector::settle`] follows when the sources have delivered.
//!
//! A detector begins empty. After a restart it is told again of the stored events of the last
//! [`Detector::horizon`]: alerts have the same ids as before, and what is on record already is not recorded twice.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::RuleSet;
use super::correlator::{Correlator, Sighting};
use super::stand_in::{Held, REACH, StandIns};
use crate::domain::alert::Alert;
use crate::domain::entity::HostName;
use crate::domain::event::Event;

/// A rule that matched an event.
#[derive(Debug)]
pub struct Match {
    /// The alert it comes to.
    pub(super) alert: Alert,
    /// It is an alert of its own and not only a part of a correlation.
    pub(super) raises: bool,
    /// It rests on an event that stands in for another kind.
    pub(super) stands_in: bool,
    /// What correlations make of it.
    pub(super) sightings: Vec<Sighting>,
}

impl Match {
    /// The alert it comes to, to be corrected by whoever showed the rules less than the whole event.
    pub const fn alert_mut(&mut self) -> &mut Alert {
        &mut self.alert
    }

    /// The alert, if the match raises one by itself, whatever else is seen.
    #[must_use]
    pub fn alert(self) -> Option<Alert> {
        (self.raises && !self.stands_in).then_some(self.alert)
    }
}

/// What a detector is shown of an event: what the rules found in it alone, and whether it is Sysmon's record of a
/// process's start.
#[derive(Debug)]
pub struct Sight {
    started: Option<(HostName, Timestamp)>,
    matches: Vec<Match>,
}

impl Sight {
    /// Of an event with what [`RuleSet::matches`] found in it.
    #[must_use]
    pub fn of(event: &Event, matches: Vec<Match>) -> Self {
        Self { started: event.is_sysmon(1).then(|| (event.host.clone(), event.time)), matches }
    }

    /// It changes nothing.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.started.is_none() && self.matches.is_empty()
    }
}

/// Turns matches into alerts. See the module.
#[derive(Debug)]
pub struct Detector {
    rules: Arc<RuleSet>,
    stand_ins: StandIns,
    correlator: Correlator,
}

impl Detector {
    /// A detector that has seen nothing yet.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>) -> Self {
        Self { rules, stand_ins: StandIns::default(), correlator: Correlator::default() }
    }

    /// The rules it detects by.
    #[must_use]
    pub const fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// How far back an event can matter: stored events of this time are shown to a detector that begins.
    #[must_use]
    pub fn horizon(&self) -> SignedDuration {
        self.correlations_look_back().map_or(REACH, |back| back.max(REACH))
    }

    /// How far back correlations look; `None` without any. Shorter than [`Detector::horizon`], since a stored event that
    /// stands in for another was decided when it came.
    #[must_use]
    pub fn correlations_look_back(&self) -> Option<SignedDuration> {
        let spans = self.rules.correlations.all.iter().map(|correlation| correlation.timespan);
        // A window may be preceded by one that has just fired and keeps it quiet.
        spans.max().map(|longest| longest.saturating_mul(2))
    }

    /// Takes what an event shows, by the same rules, and returns the alerts that are certain already.
    pub fn see(&mut self, Sight { started, matches }: Sight) -> Vec<Alert> {
        if let Some((host, time)) = started {
            self.stand_ins.sysmon_seen(&host, time);
        }
        let mut alerts = Vec::new();
        for Match { alert, raises, stands_in, sightings } in matches {
            let held = Held { alert, raises, sightings };
            let certain = if stands_in { self.stand_ins.hold(held) } else { vec![held] };
            for held in certain {
                self.count(held, &mut alerts);
            }
        }
        alerts
    }

    /// Finds and takes in one step, for callers with one thread.
    pub fn detect(&mut self, event: &Event) -> Vec<Alert> {
        let matches = self.rules.matches(event);
        self.see(Sight::of(event, matches))
    }

    /// Where and when Security 4688 raised something and no Sysmon 1 of the host was seen near it. Whoever has a store
    /// looks there for one, and tells of it with [`Detector::sysmon_seen`] before it settles.
    pub fn standing_in(&self) -> impl Iterator<Item = (&HostName, Timestamp)> {
        self.stand_ins.open()
    }

    /// A host sent a Sysmon 1 at this time, though not as an event that was handed over here.
    pub fn sysmon_seen(&mut self, host: &HostName, time: Timestamp) {
        self.stand_ins.sysmon_seen(host, time);
    }

    /// The sources have delivered what they have: everything that was held back is decided.
    pub fn settle(&mut self) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for held in self.stand_ins.settle() {
            self.count(held, &mut alerts);
        }
        alerts.extend(self.correlator.settle(&self.rules.correlations));
        alerts
    }

    /// Goes on with other rules. What was held back is decided by the old ones, whose alerts are returned; correlations
    /// begin anew and are told again of the events of the last [`Detector::horizon`].
    pub fn change_rules(&mut self, rules: Arc<RuleSet>) -> Vec<Alert> {
        let alerts = self.settle();
        self.rules = rules;
        self.correlator = Correlator::default();
        alerts
    }

    /// How many events correlations have given up for want of room.
    #[must_use]
    pub const fn given_up(&self) -> u64 {
        self.correlator.given_up()
    }

    fn count(&mut self, held: Held, alerts: &mut Vec<Alert>) {
        if held.raises {
            alerts.push(held.alert);
        }
        if !held.sightings.is_empty() {
            alerts.extend(self.correlator.see(&self.rules.correlations, held.sightings));
        }
    }
}
