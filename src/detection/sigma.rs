//! Sigma rules over events: every rule looks only at the events of its log source, and every match becomes an alert
//! that quotes the event word for word.
//!
//! [`RuleSet`] is what needs no memory: one event in, what its rules find in it out, on any thread. [`Detector`] is
//! the part that remembers: correlations, and Security 4688 where Sysmon is missing.

mod alerts;
mod assemble;
#[cfg(test)]
mod builtin_correlations;
#[cfg(test)]
mod builtin_tests;
mod card;
mod correlation;
#[cfg(test)]
mod correlation_tests;
mod correlator;
mod detector;
mod entities;
pub mod explain;
mod load;
#[cfg(test)]
mod recording_tests;
pub mod reload;
mod route;
#[cfg(test)]
mod speed_tests;
mod stand_in;
#[cfg(test)]
mod stand_in_tests;
#[cfg(test)]
mod tests;
mod view;
mod window;

use std::collections::HashMap;
use std::sync::Arc;

use rsigma_eval::{Engine, MatchDetailLevel};

use self::correlation::Correlations;

pub use self::detector::{Detector, Match, Sight};
pub use self::load::RuleError;
use self::route::{LogSources, Route};
use self::view::View;
use crate::domain::alert::{Alert, RuleCard, Severity};
use crate::domain::event::Event;
use crate::domain::ids::RuleId;

/// A rule that could not be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Rejected {
    /// The rule's file.
    pub file: String,
    /// The line, counted from 1, where it is known.
    pub line: Option<u64>,
    /// What is wrong with it.
    pub reason: String,
}

/// Something odd about a rule that is in use.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Remark {
    /// The rule's file.
    pub file: String,
    /// The line, counted from 1, where it is known.
    pub line: Option<u64>,
    /// What is odd, and what to do about it.
    pub text: String,
}

/// A rule on single events that is in use.
#[derive(Debug)]
struct Loaded {
    card: Arc<RuleCard>,
    /// By which correlations may call it.
    name: Option<String>,
    /// Its matches are alerts; those of a part of a correlation are not.
    raises: bool,
}

/// Compiled rules, ready to look at events.
pub struct RuleSet {
    /// One engine per log source, so that an event meets no rule of another.
    engines: Vec<(Route, Engine)>,
    sources: LogSources,
    rules: HashMap<RuleId, Loaded>,
    correlations: Correlations,
    rejected: Vec<Rejected>,
    remarks: Vec<Remark>,
    unreachable: Vec<RuleId>,
}

impl std::fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleSet").field("rules", &self.len()).field("rejected", &self.rejected).finish_non_exhaustive()
    }
}

impl RuleSet {
    /// How many rules are in use, correlations among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len() + self.correlations.all.len()
    }

    /// No rule is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of the rules in use are correlations.
    #[must_use]
    pub const fn correlations(&self) -> usize {
        self.correlations.all.len()
    }

    /// Rules that could not be used, each with its reason; the others work.
    #[must_use]
    pub fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }

    /// What is odd about rules that are in use.
    #[must_use]
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// Rules that are in use but whose log source no event of this version comes from.
    #[must_use]
    pub fn unreachable(&self) -> &[RuleId] {
        &self.unreachable
    }

    /// What is known of a rule.
    #[must_use]
    pub fn card(&self, id: &RuleId) -> Option<&RuleCard> {
        let of_correlation = || self.correlations.all.iter().find(|known| known.id == *id).map(|known| &known.card);
        self.rules.get(id).map(|rule| &rule.card).or_else(of_correlation).map(Arc::as_ref)
    }

    /// The cards of all rules in use, in no order.
    pub fn cards(&self) -> impl Iterator<Item = &RuleCard> {
        let of_correlations = self.correlations.all.iter().map(|known| &known.card);
        self.rules.values().map(|rule| &rule.card).chain(of_correlations).map(Arc::as_ref)
    }

    /// What the rules find in an event, in order of their ids. A [`Detector`] makes alerts of it.
    #[must_use]
    pub fn matches(&self, event: &Event) -> Vec<Match> {
        let plain = View::of(event);
        let mut found: Vec<Match> = Vec::new();
        for (position, feed) in self.sources.of(event) {
            let view = plain.called(feed.names);
            for result in self.engines[position].1.evaluate(&view) {
                let id = load::rule_id(result.header.rule_id.as_deref(), &result.header.rule_title);
                let (Some(rule), Some(detection)) = (self.rules.get(&id), result.as_detection()) else { continue };
                let raises = rule.raises && rule.card.level > Severity::Informational;
                let references = self.correlations.by_rule.get(&id).map_or(&[][..], Vec::as_slice);
                if !raises && references.is_empty() {
                    continue;
                }
                let alert = alerts::alert(&rule.card, event, &view, &detection.matched_fields);
                let sightings = self.sightings(references, event, &view, rule, &alert);
                found.push(Match { alert, raises, stands_in: feed.stands_in, sightings });
            }
        }
        found.sort_by(|one, other| one.alert.rule.id.cmp(&other.alert.rule.id));
        found
    }

    /// The alerts an event raises by itself, whatever else is seen, in order of their rules' ids. Informational rules
    /// and parts of correlations raise none, and neither does Security 4688 where it stands in for Sysmon.
    #[must_use]
    pub fn detect(&self, event: &Event) -> Vec<Alert> {
        self.matches(event).into_iter().filter_map(Match::alert).collect()
    }

    fn sightings(
        &self,
        references: &[correlation::Reference],
        event: &Event,
        view: &View,
        rule: &Loaded,
        alert: &Alert,
    ) -> Vec<correlator::Sighting> {
        if references.is_empty() {
            return Vec::new();
        }
        let found = correlator::found(alert);
        let names: Vec<&str> = rule.name.as_deref().into_iter().chain([rule.card.id.as_str()]).collect();
        let sighting = |reference: &correlation::Reference| {
            let correlation = self.correlations.all.get(reference.correlation)?;
            Some(correlator::Sighting {
                reference: *reference,
                group: correlation.group_of(event, view, reference.rule, &names)?,
                place: (event.time, event.id.clone(), reference.rule),
                hit: window::Hit { value: correlation.value_of(event, view)?.into(), found: found.clone() },
            })
        };
        references.iter().filter_map(sighting).collect()
    }
}

/// An engine that reports which pattern matched which field.
fn engine() -> Engine {
    let mut engine = Engine::new();
    engine.set_match_detail(MatchDetailLevel::Full);
    engine
}
