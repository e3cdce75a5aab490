//! One group of a correlation: its hits in order of time, and the moments at which the correlation's condition comes
//! true.
//!
//! What fires is a function of the hits alone. They are walked in order of time (and of event id where times are
//! equal), whatever order they arrived in. Once the condition has come true, the window begins anew and stays quiet
//! for one timespan: a burst raises one alert per timespan, not one per event.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use rsigma_parser::{ConditionExpr, CorrelationType, WindowMode};

use super::correlation::Correlation;
use crate::domain::entity::{Entity, HostName};
use crate::domain::evidence::Quote;
use crate::domain::ids::EventId;

/// Where a hit stands in time. The same event matched by the same rule is one hit, however often it is given.
pub(super) type Place = (Timestamp, EventId, usize);

/// A rule of the correlation matched an event.
#[derive(Debug, Clone)]
pub(super) struct Hit {
    /// What is counted of the event.
    pub(super) value: Arc<str>,
    /// What the rule raised, or would have: the last one of a burst is what the correlation's alert shows.
    pub(super) found: Arc<Found>,
}

/// What a correlation's alert shows of its last event.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) host: HostName,
    pub(super) event_kind: String,
    pub(super) matched: Vec<Quote>,
    pub(super) entities: Vec<Entity>,
}

/// The condition came true.
#[derive(Debug)]
pub(super) struct Fired {
    /// The events of the window, in order of time, each once.
    pub(super) events: Vec<EventId>,
    /// The hit that completed it.
    pub(super) last: Place,
    pub(super) found: Arc<Found>,
}

/// The hits of one group.
#[derive(Debug, Default)]
pub(super) struct Group {
    hits: BTreeMap<Place, Hit>,
    /// Hits before this were given up for want of room.
    from: Option<Timestamp>,
    /// When the hits that were given up last fired.
    fired_before: Option<Timestamp>,
}

impl Group {
    /// Takes a hit; false if it is known already or lies before what was given up.
    pub(super) fn take(&mut self, place: Place, hit: Hit) -> bool {
        if self.from.is_some_and(|from| place.0 < from) || self.hits.contains_key(&place) {
            return false;
        }
        self.hits.insert(place, hit);
        true
    }

    pub(super) fn len(&self) -> usize {
        self.hits.len()
    }

    /// When the condition came true, in order.
    pub(super) fn walk(&self, correlation: &Correlation) -> Vec<Fired> {
        self.walk_to_the_end(correlation).0
    }

    /// Gives up all hits but those of the last window, and of these all but the newest `most`.
    pub(super) fn give_up(&mut self, correlation: &Correlation, most: usize) {
        let (fired, first_kept) = self.walk_to_the_end(correlation);
        self.fired_before = fired.last().map(|fired| fired.last.0).or(self.fired_before);
        let newest = self.hits.last_key_value().map(|((time, ..), _)| *time);
        self.hits = first_kept.map(|first| self.hits.split_off(&first)).unwrap_or_default();
        while self.hits.len() > most {
            self.hits.pop_first();
        }
        self.from = self.hits.first_key_value().map(|((time, ..), _)| *time).or(newest).or(self.from);
    }

    fn walk_to_the_end(&self, correlation: &Correlation) -> (Vec<Fired>, Option<Place>) {
        let mut fired = Vec::new();
        let mut window = Window::new(correlation);
        let mut quiet_since = self.fired_before;
        let mut previous: Option<Timestamp> = None;
        for (place, hit) in &self.hits {
            let begins = window.first().map(|first| first.0);
            if window.begins_anew(begins.or(quiet_since), previous, place.0) {
                window.clear();
                quiet_since = None;
            }
            previous = Some(place.0);
            if correlation.mode() == WindowMode::Sliding {
                window.forget_before(place.0);
                if quiet_since.is_some_and(|since| place.0.duration_since(since) > correlation.timespan) {
                    quiet_since = None;
                }
            }
            if quiet_since.is_some() {
                continue;
            }
            window.push(place, hit);
            if window.holds() {
                fired.push(Fired { events: window.events(), last: place.clone(), found: hit.found.clone() });
                window.clear();
                quiet_since = Some(place.0);
            }
        }
        (fired, window.first().cloned())
    }
}

/// The hits that count together, and what they come to.
struct Window<'a> {
    correlation: &'a Correlation,
    hits: VecDeque<(&'a Place, &'a Hit)>,
    tally: Tally<'a>,
}

/// What the condition asks about, kept up as hits come and go.
enum Tally<'a> {
    Events,
    /// Each value with how often it occurs.
    Values(HashMap<&'a str, usize>),
    /// Sorted.
    Numbers(Vec<f64>),
    /// For each rule, when it matched, in order.
    Rules(Vec<VecDeque<Timestamp>>),
}

impl<'a> Window<'a> {
    fn new(correlation: &'a Correlation) -> Self {
        let mut window = Self { correlation, hits: VecDeque::new(), tally: Tally::Events };
        window.clear();
        window
    }

    fn first(&self) -> Option<&Place> {
        self.hits.front().map(|(place, _)| *place)
    }

    fn clear(&mut self) {
        self.hits.clear();
        self.tally = match self.correlation.compiled.correlation_type {
            CorrelationType::EventCount => Tally::Events,
            CorrelationType::ValueCount => Tally::Values(HashMap::new()),
            CorrelationType::Temporal | CorrelationType::TemporalOrdered => {
                Tally::Rules(vec![VecDeque::new(); self.correlation.compiled.rule_refs.len()])
            }
            CorrelationType::ValueSum
            | CorrelationType::ValueAvg
            | CorrelationType::ValuePercentile
            | CorrelationType::ValueMedian => Tally::Numbers(Vec::new()),
        };
    }

    /// Whether a hit at `time` belongs to a new window, seen from the first and the last hit of this one.
    fn begins_anew(&self, first: Option<Timestamp>, previous: Option<Timestamp>, time: Timestamp) -> bool {
        let span = self.correlation.timespan;
        let bucket = |time: Timestamp| time.as_second().div_euclid(span.as_secs().max(1));
        match self.correlation.mode() {
            // A sliding window never begins anew: it lets go of what has become too old.
            WindowMode::Sliding => false,
            WindowMode::Tumbling => first.is_some_and(|first| bucket(first) != bucket(time)),
            WindowMode::Session => {
                previous.is_some_and(|previous| time.duration_since(previous) > self.correlation.gap)
                    || first.is_some_and(|first| time.duration_since(first) > span)
            }
        }
    }

    fn push(&mut self, place: &'a Place, hit: &'a Hit) {
        match &mut self.tally {
            Tally::Events => {}
            Tally::Values(values) => *values.entry(&hit.value).or_default() += 1,
            Tally::Numbers(numbers) => {
                // What is no number adds nothing to a sum.
                let Some(number) = number(&hit.value) else { return };
                numbers.insert(numbers.partition_point(|known| *known < number), number);
            }
            Tally::Rules(rules) => {
                if let Some(times) = rules.get_mut(place.2) {
                    times.push_back(place.0);
                }
            }
        }
        self.hits.push_back((place, hit));
    }

    fn forget_before(&mut self, now: Timestamp) {
        while let Some((place, hit)) = self.hits.front().copied() {
            if now.duration_since(place.0) <= self.correlation.timespan {
                return;
            }
            self.hits.pop_front();
            match &mut self.tally {
                Tally::Events => {}
                Tally::Values(values) => {
                    if let Some(count) = values.get_mut(&*hit.value) {
                        *count -= 1;
                        if *count == 0 {
                            values.remove(&*hit.value);
                        }
                    }
                }
                Tally::Numbers(numbers) => {
                    if let Some(number) = number(&hit.value) {
                        let at = numbers.partition_point(|known| *known < number);
                        if at < numbers.len() {
                            numbers.remove(at);
                        }
                    }
                }
                Tally::Rules(rules) => {
                    if let Some(times) = rules.get_mut(place.2) {
                        times.pop_front();
                    }
                }
            }
        }
    }

    fn holds(&self) -> bool {
        let compiled = &self.correlation.compiled;
        if compiled.extended_expr.as_ref().is_some_and(|expression| !self.fired(expression)) {
            return false;
        }
        let value = match (&self.tally, compiled.correlation_type) {
            (Tally::Events, _) => Some(as_number(self.hits.len())),
            (Tally::Values(values), _) => Some(as_number(values.len())),
            (Tally::Numbers(numbers), CorrelationType::ValueSum) => Some(numbers.iter().sum()),
            (Tally::Numbers(numbers), CorrelationType::ValueAvg) => {
                (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / as_number(numbers.len()))
            }
            (Tally::Numbers(numbers), CorrelationType::ValuePercentile) => {
                percentile(numbers, compiled.condition.percentile.unwrap_or(50))
            }
            (Tally::Numbers(numbers), _) => percentile(numbers, 50),
            (Tally::Rules(rules), CorrelationType::TemporalOrdered) => return in_order(rules),
            (Tally::Rules(_), _) if compiled.extended_expr.is_some() => return true,
            // All of them, unless the condition says how many are enough.
            (Tally::Rules(rules), _) => {
                let matched = rules.iter().filter(|times| !times.is_empty()).count();
                if self.correlation.says_how_many() {
                    Some(as_number(matched))
                } else {
                    return matched == rules.len();
                }
            }
        };
        value.is_some_and(|value| compiled.condition.check(value))
    }

    /// A condition over rules: a rule holds if it matched in this window.
    fn fired(&self, expression: &ConditionExpr) -> bool {
        match expression {
            ConditionExpr::And(parts) => parts.iter().all(|part| self.fired(part)),
            ConditionExpr::Or(parts) => parts.iter().any(|part| self.fired(part)),
            ConditionExpr::Not(part) => !self.fired(part),
            ConditionExpr::Identifier(name) => {
                let Tally::Rules(rules) = &self.tally else { return false };
                let references = self.correlation.compiled.rule_refs.iter();
                references.zip(rules).any(|(reference, times)| reference == name && !times.is_empty())
            }
            // Refused when the rule is loaded.
            ConditionExpr::Selector { .. } => false,
        }
    }

    fn events(&self) -> Vec<EventId> {
        let mut events: Vec<EventId> = self.hits.iter().map(|(place, _)| place.1.clone()).collect();
        // An event that several rules matched stands beside itself: same time, same id.
        events.dedup();
        events
    }
}

/// Whether the rules matched one after the other (at the same instant counts).
fn in_order(rules: &[VecDeque<Timestamp>]) -> bool {
    let mut after = Timestamp::MIN;
    rules.iter().all(|times| match times.iter().find(|time| **time >= after) {
        Some(time) => {
            after = *time;
            true
        }
        None => false,
    })
}

/// The value below which this part of the sorted numbers lies, between two neighbours in proportion.
fn percentile(numbers: &[f64], rank: u64) -> Option<f64> {
    let place = as_number(usize::try_from(rank.min(100)).ok()?) / 100.0 * as_number(numbers.len().checked_sub(1)?);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the length")]
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    let (low, high) = (numbers.get(below)?, numbers.get(above)?);
    Some(low + (high - low) * place.fract())
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Counts are small enough to be exact.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
const fn as_number(count: usize) -> f64 {
    count as f64
}
