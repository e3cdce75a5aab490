//! Correlations over what single rules found: hits are gathered by correlation and group, and alerts are raised when
//! everything that has arrived so far is looked at together.
//!
//! # The same events give the same alerts
//!
//! Logs arrive by file and host, hours out of order. So nothing fires while hits come in: [`Correlator::settle`] walks
//! each group's hits in order of their events' times. As long as hits fit the memory set aside for them, alerts depend
//! on the set of events alone, not on their order or on how they were cut into batches. An alert's id is derived from
//! the correlation, the group and the first event of its window, so a window that is walked again raises the same
//! alert. If hits arrive between two settlements and lie *before* a window that has fired, the window's first event
//! may change, and with it the alert: that is one alert more, never one less.
//!
//! # Memory
//!
//! [`MOST_HITS`] hits are kept in all and [`MOST_IN_GROUP`] in a group, at well under 1 kB each. Beyond that, what the
//! group's last window does not need is given up, then whole groups, longest untouched first; both are counted
//! ([`Correlator::given_up`]). From there on events that arrive out of order may be missed.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::alerts::SOURCE;
use super::correlation::{Correlations, Reference};
use super::window::{Found, Group, Hit, Place};
use crate::domain::alert::{Alert, Correlated, Severity};
use crate::domain::ids::AlertId;
use crate::knowledge::canonical;

/// Most hits that are kept in all.
pub(super) const MOST_HITS: usize = 50_000;

/// Most hits that are kept of one group of one correlation.
pub(super) const MOST_IN_GROUP: usize = 10_000;

/// A hit, with where it belongs.
#[derive(Debug, Clone)]
pub(super) struct Sighting {
    pub(super) reference: Reference,
    pub(super) group: Vec<String>,
    pub(super) place: Place,
    pub(super) hit: Hit,
}

/// Gathers hits and raises the alerts of correlations.
#[derive(Debug, Default)]
pub(super) struct Correlator {
    groups: BTreeMap<(usize, Vec<String>), State>,
    hits: usize,
    arrivals: u64,
    given_up: u64,
}

#[derive(Debug, Default)]
struct State {
    group: Group,
    /// Something arrived since it was last looked at.
    changed: bool,
    /// When something last arrived, counted in hits.
    touched: u64,
    raised: HashSet<AlertId>,
}

impl Correlator {
    /// Takes what was seen. Returns alerts only when room had to be made for it.
    pub(super) fn see(&mut self, correlations: &Correlations, sightings: Vec<Sighting>) -> Vec<Alert> {
        for Sighting { reference, group, place, hit } in sightings {
            self.add(reference.correlation, group, place, hit);
        }
        if self.hits <= MOST_HITS {
            return Vec::new();
        }
        let alerts = self.settle(correlations);
        self.make_room(correlations);
        alerts
    }

    fn add(&mut self, correlation: usize, group: Vec<String>, place: Place, hit: Hit) {
        self.arrivals += 1;
        let state = self.groups.entry((correlation, group)).or_default();
        if state.group.take(place, hit) {
            self.hits += 1;
            state.changed = true;
            state.touched = self.arrivals;
        }
    }

    /// Looks at all that arrived and raises what has not been raised before, in order of correlation and group.
    pub(super) fn settle(&mut self, correlations: &Correlations) -> Vec<Alert> {
        let mut alerts = Vec::new();
        // In their order: what one raises may be what another counts.
        for (position, correlation) in correlations.all.iter().enumerate() {
            let mut onward = Vec::new();
            let of_this = (position, Vec::new())..(position + 1, Vec::new());
            for ((_, key), state) in self.groups.range_mut(of_this).filter(|(_, state)| state.changed) {
                state.changed = false;
                for fired in state.group.walk(correlation) {
                    let Some(first) = fired.events.first() else { continue };
                    let name = format!("{SOURCE}|{}|{}|{first}", correlation.id, key.join("\u{1f}"));
                    let id = AlertId::new(&canonical::sha256(name.as_bytes())[..16]);
                    if !state.raised.insert(id.clone()) {
                        continue;
                    }
                    for reference in correlations.by_rule.get(&correlation.id).into_iter().flatten() {
                        let outer = correlations.all.get(reference.correlation);
                        let known = outer.and_then(|outer| outer.of_chained(correlation, key));
                        onward.extend(known.map(|(group, value)| {
                            let place = (fired.last.0, fired.last.1.clone(), reference.rule);
                            (
                                reference.correlation,
                                group,
                                place,
                                Hit { value: value.into(), found: fired.found.clone() },
                            )
                        }));
                    }
                    if !correlation.silent && correlation.card.level > Severity::Informational {
                        let found = &fired.found;
                        alerts.push(Alert {
                            id,
                            source: SOURCE.to_owned(),
                            rule: correlation.card.as_ref().clone(),
                            host: found.host.clone(),
                            time: fired.last.0,
                            event: fired.last.1.clone(),
                            event_kind: found.event_kind.clone(),
                            matched: found.matched.clone(),
                            entities: found.entities.clone(),
                            correlated: Correlated::new(fired.events),
                        });
                    }
                }
            }
            for (correlation, group, place, hit) in onward {
                self.add(correlation, group, place, hit);
            }
        }
        for (key, state) in &mut self.groups {
            if state.group.len() > MOST_IN_GROUP
                && let Some(correlation) = correlations.all.get(key.0)
            {
                let before = state.group.len();
                state.group.give_up(correlation, MOST_IN_GROUP / 2);
                let gone = before - state.group.len();
                // What was given up is not walked again.
                state.raised.clear();
                self.hits -= gone;
                self.given_up += gone as u64;
            }
        }
        alerts
    }

    /// How many hits were given up for want of room.
    pub(super) const fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Frees a quarter of the room.
    fn make_room(&mut self, correlations: &Correlations) {
        let wanted = MOST_HITS / 4 * 3;
        let before = self.hits;
        for ((position, _), state) in &mut self.groups {
            if self.hits <= wanted {
                break;
            }
            let Some(correlation) = correlations.all.get(*position) else { continue };
            let had = state.group.len();
            state.group.give_up(correlation, MOST_IN_GROUP / 2);
            self.hits -= had - state.group.len();
        }
        if self.hits > wanted {
            let mut by_age: Vec<_> = self.groups.iter().map(|(key, state)| (state.touched, key.clone())).collect();
            by_age.sort();
            for (_, key) in by_age {
                if self.hits <= wanted {
                    break;
                }
                self.hits -= self.groups.remove(&key).map_or(0, |state| state.group.len());
            }
        }
        self.given_up += (before - self.hits) as u64;
        tracing::warn!(given_up = before - self.hits, "correlations hold too many events: the oldest were given up");
    }
}

/// What a correlation would show of the event an alert stands for.
pub(super) fn found(alert: &Alert) -> Arc<Found> {
    Arc::new(Found {
        host: alert.host.clone(),
        event_kind: alert.event_kind.clone(),
        matched: alert.matched.clone(),
        entities: alert.entities.clone(),
    })
}
