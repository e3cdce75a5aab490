//! Features: what a piece of evidence means, as a declared step of log-odds in one family.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Brief, Turn};
use super::{effects, images};
use crate::domain::attack;
use crate::domain::evidence::{Citation, Exhibit, Family, Quote, Strength, Weight};
use crate::domain::ids::{EventId, EvidenceId};
use crate::tools::answer::ToolCall;
use crate::tools::view::EventView;

/// Five fixed steps of the likelihood ratio, as natural logarithms: nothing is fitted to samples.
/// A ratio of about 1.5.
pub const WEAK: f64 = 0.4;
/// About 2.
pub const MODERATE: f64 = 0.7;
/// About 4.
pub const STRONG: f64 = 1.4;
/// About 10.
pub const VERY_STRONG: f64 = 2.3;
/// About 30.
pub const DECISIVE: f64 = 3.4;

/// Something that was seen and what it means.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// Its name; a feature counts once however often it is seen.
    pub name: &'static str,
    /// The family it belongs to.
    pub family: Family,
    /// Log-odds: positive towards malicious.
    pub value: f64,
    /// What was seen, in a sentence.
    pub says: String,
    /// What shows it.
    pub evidence: EvidenceId,
    /// The fields that show it; empty only for a counted absence.
    pub quotes: Vec<Quote>,
}

impl Feature {
    /// The feature as a citation.
    #[must_use]
    pub fn citation(&self) -> Citation {
        let size = self.value.abs();
        let strength = match size {
            s if s >= VERY_STRONG => Strength::Decisive,
            s if s >= STRONG => Strength::Strong,
            s if s >= MODERATE => Strength::Moderate,
            _ => Strength::Weak,
        };
        let weight = match self.value {
            v if v > 0.0 => Weight::ForMalicious,
            v if v < 0.0 => Weight::ForBenign,
            _ => Weight::Neutral,
        };
        // What other rules said is a reason to look, never the strongest thing that was seen.
        let strength = if self.family == Family::Context { strength.min(Strength::Moderate) } else { strength };
        Citation {
            evidence: self.evidence,
            quotes: self.quotes.clone(),
            says: self.says.chars().take(160).collect(),
            weight,
            strength,
            family: self.family,
        }
    }
}

/// An event that was shown, with the id under which it may be cited.
#[derive(Debug, Clone)]
pub struct SeenEvent {
    /// The id.
    pub id: EvidenceId,
    /// What was shown.
    pub view: EventView,
}

impl SeenEvent {
    /// A quote of one of its `event_data` fields, its first 300 characters.
    #[must_use]
    pub fn quote(&self, field: &str) -> Option<Quote> {
        let value = self.view.get(field)?;
        let value = value.chars().take(300).collect();
        Some(Quote { field: format!("winlog.event_data.{field}"), value })
    }

    /// A feature shown by the named fields of this event.
    #[must_use]
    pub fn feature(
        &self,
        name: &'static str,
        family: Family,
        value: f64,
        fields: &[&str],
        says: impl Into<String>,
    ) -> Option<Feature> {
        let quotes: Vec<Quote> = fields.iter().filter_map(|field| self.quote(field)).collect();
        (!quotes.is_empty()).then(|| Feature { name, family, value, says: says.into(), evidence: self.id, quotes })
    }
}

/// Everything the analyst was shown.
#[derive(Debug, Default)]
pub struct Seen {
    /// Events by their evidence id.
    pub events: BTreeMap<EvidenceId, SeenEvent>,
    /// Counted absences: the id, the channel and code that were searched.
    pub absences: Vec<(EvidenceId, String, u32)>,
    /// The evidence id of each alert's own event.
    pub triggers: BTreeMap<EventId, EvidenceId>,
    /// Calls that failed, with their reasons.
    pub failures: Vec<(ToolCall, String)>,
    /// Tool calls so far.
    pub calls: usize,
    /// Events whose process tree was shown.
    pub trees: BTreeSet<EventId>,
    /// Some answer left rows out, or some call failed: what was not shown may be what matters.
    pub incomplete: bool,
}

impl Seen {
    /// Collects what the turns showed.
    #[must_use]
    pub fn of(brief: &Brief, turns: &[Turn]) -> Self {
        let mut seen = Self::default();
        for turn in turns {
            let Turn::Answers(answers) = turn else { continue };
            for answered in answers {
                seen.calls += 1;
                match &answered.outcome {
                    Err(error) => {
                        seen.incomplete = true;
                        seen.failures.push((answered.call.clone(), error.to_string()));
                    }
                    Ok(answer) => {
                        seen.incomplete |= answer.cut > 0 || answer.header.total > answer.rows.len() as u64;
                        if answered.call.tool == "process_tree" {
                            let event = answered.call.arguments.get("event").and_then(|event| event.as_str());
                            seen.trees.extend(event.map(EventId::new));
                        }
                    }
                }
                for (id, view) in answered.seen() {
                    let known = seen.events.get(&id);
                    // The view with more in it wins: get_event shows whole values, a tree cuts them.
                    let size = |view: &EventView| view.fields.values().map(String::len).sum::<usize>();
                    if known.is_none_or(|known| size(view) > size(&known.view)) {
                        seen.events.insert(id, SeenEvent { id, view: view.clone() });
                    }
                }
                let rows = answered.outcome.iter().flat_map(|answer| &answer.rows).zip(&answered.evidence);
                for (row, id) in rows {
                    if let (Some(Exhibit::Absence { absence }), Some(id)) = (&row.exhibit, id) {
                        seen.absences.push((*id, absence.channel.clone(), absence.code));
                    }
                }
            }
        }
        let own = |event: &EventId| seen.events.values().find(|e| e.view.event == *event).map(|e| e.id);
        seen.triggers = brief.alerts.iter().filter_map(|a| Some((a.event.clone(), own(&a.event)?))).collect();
        seen
    }

    /// Every feature of what was seen, the strongest of each name.
    #[must_use]
    pub fn features(&self, brief: &Brief) -> Vec<Feature> {
        let mut strongest: BTreeMap<&'static str, Feature> = BTreeMap::new();
        let of_events =
            self.events.values().flat_map(|event| images::features(event).into_iter().chain(effects::features(event)));
        for feature in of_events.chain(effects::across(self)).chain(context(self, brief)) {
            let known = strongest.get(feature.name);
            if known.is_none_or(|known| feature.value.abs() > known.value.abs()) {
                strongest.insert(feature.name, feature);
            }
        }
        let mut features: Vec<Feature> = strongest.into_values().collect();
        // What was seen done comes before what other rules said.
        let order = |feature: &Feature| (feature.family == Family::Context, -feature.value.abs());
        features.sort_by(|a, b| {
            let ((a_said, a_size), (b_said, b_size)) = (order(a), order(b));
            a_said.cmp(&b_said).then(a_size.total_cmp(&b_size)).then_with(|| a.name.cmp(b.name))
        });
        features
    }
}

/// Other rules and tactics of the same case. Repeats of one rule add nothing.
fn context(seen: &Seen, brief: &Brief) -> Vec<Feature> {
    let mut rules: BTreeMap<&str, &crate::domain::alert::Alert> = BTreeMap::new();
    for alert in brief.alerts.iter() {
        rules.entry(alert.rule.id.as_str()).or_insert(alert);
    }
    let mut tactics: Vec<String> = rules
        .values()
        .flat_map(|alert| alert.rule.tactics())
        .map(|name| attack::counted_as(&name).to_owned())
        .collect();
    tactics.sort();
    tactics.dedup();
    let value = match (tactics.len(), rules.len()) {
        (3.., 4..) => VERY_STRONG,
        (2.., 2..) => MODERATE,
        _ => return vec![],
    };
    let shown = rules.values().find_map(|alert| {
        let id = seen.triggers.get(&alert.event)?;
        Some((alert, seen.events.get(id)?))
    });
    let Some((alert, event)) = shown else { return vec![] };
    let matched = alert.matched.iter().find(|quote| crate::domain::taint::shows_behaviour(&quote.field)).cloned();
    let says = format!("{} rules of {} tactics matched in this case, this one among them", rules.len(), tactics.len());
    let quotes = matched.or_else(|| event.quote("Image")).into_iter().collect::<Vec<_>>();
    if quotes.is_empty() {
        return vec![];
    }
    vec![Feature { name: "several tactics", family: Family::Context, value, says, evidence: event.id, quotes }]
}
