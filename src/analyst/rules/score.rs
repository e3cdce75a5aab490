//! The sum: a prior from the rule's level, features within each family's cap, a probability.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::Brief;
use super::feature::{Feature, MODERATE};
use super::seen::Seen;
use crate::domain::alert::{Alert, Severity};
use crate::domain::evidence::Family;
use crate::domain::ids::{AlertId, RuleId};
use crate::domain::route::RoutePolicy;
use crate::domain::words::counted;
use crate::tools::answer::Answered;
use crate::tools::similar_cases::{Outcomes, Similar};

/// How far a family can move the judgement, in log-odds: towards malicious, towards benign. A family's
/// findings can all be wrong for one reason, so none decides beyond its cap.
const CAPS: [(Family, f64, f64); 9] = [
    (Family::Identity, 1.5, -0.7),
    (Family::Lineage, 2.3, -0.7),
    (Family::Content, 3.4, -0.7),
    (Family::Effect, 3.4, -0.7),
    (Family::Network, 1.5, -0.4),
    (Family::Rarity, 1.4, -2.0),
    (Family::Context, 2.3, -0.4),
    (Family::Authority, 0.7, -0.7),
    (Family::Fingerprint, 0.0, -3.4),
];

/// Share of true positives one expects of a rule of this level before looking. Declared, editable, not measured.
const PRIORS: [(Severity, f64); 5] = [
    (Severity::Informational, 0.01),
    (Severity::Low, 0.03),
    (Severity::Medium, 0.10),
    (Severity::High, 0.30),
    (Severity::Critical, 0.70),
];

/// How many outcomes the declared share weighs.
const PRIOR_WEIGHT: f64 = 10.0;

/// How far people's outcomes can lower a rule's prior, in log-odds: as far as one harmless finding of a family that was
/// seen, and no further. Whoever repeats something harmless until people are used to it has then bought one finding.
const OUTCOMES_LOWER: f64 = -0.7;

/// How far they can raise it: ten times likelier. A true positive needs acts that were seen in any case.
const OUTCOMES_RAISE: f64 = 2.3;

/// An experimental rule is less to be trusted.
const EXPERIMENTAL: f64 = -0.4;

/// Malicious evidence of this size voids a fingerprint.
const VOIDS_FINGERPRINT: f64 = 1.4;

/// A true positive rests on what was seen: its families, context left out, must alone make it ten times likelier than
/// before, whatever level the rule's author gave it.
const LEAST_SEEN: f64 = 2.3;

/// Families that point to harm at least moderately, of which one strongly and by an act, before it is called one.
const LEAST_FAMILIES: usize = 2;

/// Everything declared, for the analyst's digest.
pub fn declared() -> impl Serialize {
    let outcomes = (PRIOR_WEIGHT, OUTCOMES_LOWER, OUTCOMES_RAISE);
    (CAPS, PRIORS, outcomes, EXPERIMENTAL, VOIDS_FINGERPRINT, LEAST_SEEN, LEAST_FAMILIES)
}

/// The judgement as numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Log-odds before looking.
    pub prior: f64,
    /// What people's outcomes did to it, if there are any.
    pub moved: Option<Moved>,
    /// Log-odds of each family, within its cap.
    pub families: Vec<(Family, f64)>,
    /// Probability that the activity is malicious; never shown beyond 0.99.
    pub probability: f64,
}

/// What people decided on cases of the rule that the prior is from, and what that changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moved {
    /// What they decided.
    pub outcomes: Outcomes,
    /// The share one expects of the rule's level.
    pub from: f64,
    /// The share after that.
    pub to: f64,
}

impl Moved {
    /// In a sentence.
    #[must_use]
    pub fn says(&self) -> String {
        let Self { outcomes: Outcomes { malicious, harmless }, from, to } = self;
        format!(
            "people judged cases of this rule as malicious {} and as harmless {}, which moves what is expected of it \
             from {:.1} % to {:.1} %",
            counted(*malicious, "time"),
            counted(*harmless, "time"),
            from * 100.0,
            to * 100.0
        )
    }
}

impl Score {
    /// Adds up.
    #[must_use]
    pub fn of(brief: &Brief, features: &[Feature], outcomes: &BTreeMap<AlertId, Outcomes>) -> Self {
        // What people said of a rule counts for every alert of it: the analyst asks once for each rule and machine.
        let mut by_rule: BTreeMap<&RuleId, Outcomes> = BTreeMap::new();
        for alert in brief.alerts.iter() {
            if let Some(outcomes) = outcomes.get(&alert.id) {
                by_rule.insert(&alert.rule.id, *outcomes);
            }
        }
        let of_alert = |alert: &Alert| prior(alert, by_rule.get(&alert.rule.id).copied().unwrap_or_default());
        let loudest = brief.alerts.iter().map(of_alert).max_by(|one, other| one.0.total_cmp(&other.0));
        let (prior, moved) = loudest.unwrap_or((logit(0.10), None));
        let families: Vec<(Family, f64)> = CAPS
            .iter()
            .map(|(family, most, least)| {
                let of_family = features.iter().filter(|feature| feature.family == *family);
                (*family, of_family.map(|feature| feature.value).sum::<f64>().clamp(*least, *most))
            })
            .collect();
        let total = prior + families.iter().map(|(_, value)| value).sum::<f64>();
        Self { prior, moved, families, probability: probability(total).clamp(0.001, 0.99) }
    }

    /// What was seen proves an act of harm: a strong one, two families, and enough without the rules' own opinion.
    #[must_use]
    pub fn proves_harm(&self, features: &[Feature]) -> bool {
        let of_families = self.families.iter().filter(|(_, value)| *value >= MODERATE).count();
        let seen = self.families.iter().filter(|(family, _)| *family != Family::Context);
        let seen: f64 = seen.map(|(_, value)| value.max(0.0)).sum();
        features.iter().any(Feature::is_strong_act) && of_families >= LEAST_FAMILIES && seen >= LEAST_SEEN - 1e-9
    }

    /// The log-odds of all together.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.prior + self.families.iter().map(|(_, value)| value).sum::<f64>()
    }
}

/// Drops fingerprints beside strong malicious evidence of any family that shows an act.
#[must_use]
pub fn without_void_fingerprints(features: Vec<Feature>) -> Vec<Feature> {
    let voided = features.iter().any(|feature| {
        feature.value >= VOIDS_FINGERPRINT
            && matches!(
                feature.family,
                Family::Identity | Family::Effect | Family::Content | Family::Lineage | Family::Network
            )
    });
    features.into_iter().filter(|feature| !(voided && feature.family == Family::Fingerprint)).collect()
}

/// What people decided on alerts of the case's rules. Earlier verdicts of machines are no part of it.
#[must_use]
pub fn outcomes(seen: &Seen) -> BTreeMap<AlertId, Outcomes> {
    let asked = seen.answers.iter().filter(|answered| answered.call.tool == "similar_cases");
    let of = |answered: &std::sync::Arc<Answered>| {
        let alert = answered.call.arguments.get("alert")?.as_str()?;
        let similar: Similar = serde_json::from_value(answered.outcome.as_ref().ok()?.data.clone()).ok()?;
        Some((AlertId::new(alert), similar.outcomes?))
    };
    asked.filter_map(of).collect()
}

/// The share one expects of the rule's level, as people's outcomes have moved it: a Beta distribution that began with
/// the weight of [`PRIOR_WEIGHT`] cases, within [`OUTCOMES_LOWER`] and [`OUTCOMES_RAISE`]. Outcomes alone never bring a
/// share that was above what may be closed down to it: that takes something seen in this case.
fn prior(alert: &Alert, outcomes: Outcomes) -> (f64, Option<Moved>) {
    let share = PRIORS.iter().find(|(level, _)| *level == alert.rule.level).map_or(0.10, |(_, share)| *share);
    let experimental = alert.rule.status.as_deref() == Some("experimental");
    let count = |number: u64| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let (malicious, harmless) = (count(outcomes.malicious), count(outcomes.harmless));
    let declared = logit(share) + if experimental { EXPERIMENTAL } else { 0.0 };
    if outcomes == Outcomes::default() {
        return (declared, None);
    }
    let judged = (PRIOR_WEIGHT * share + malicious) / (PRIOR_WEIGHT + malicious + harmless);
    let shift = (logit(judged) - logit(share)).clamp(OUTCOMES_LOWER, OUTCOMES_RAISE);
    // A hair above what may be closed, so that no rounding makes it so.
    let limit = logit(RoutePolicy::default().close_at()) + 1e-6;
    let prior = if declared > limit { (declared + shift).max(limit) } else { declared + shift };
    (prior, Some(Moved { outcomes, from: probability(declared), to: probability(prior) }))
}

fn logit(probability: f64) -> f64 {
    (probability / (1.0 - probability)).ln()
}

/// The probability of these log-odds.
#[must_use]
pub fn probability(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}
