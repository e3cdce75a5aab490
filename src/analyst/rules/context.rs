//! Features of context: what else was raised, and what was seen near the case. Repeats of one rule add nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Brief;
use super::feature::{Feature, Harm, VERY_STRONG, WEAK};
use super::seen::Seen;
use crate::domain::alert::Alert;
use crate::domain::attack;
use crate::domain::evidence::Family;
use crate::domain::taint;

/// Other rules and tactics of the same case. Rules that matched one and the same event say one thing of it, so tactics
/// count only with the events they were seen on.
pub fn features(seen: &Seen, brief: &Brief) -> Option<Feature> {
    let mut rules: BTreeMap<&str, &Alert> = BTreeMap::new();
    for alert in brief.alerts.iter() {
        rules.entry(alert.rule.id.as_str()).or_insert(alert);
    }
    let events: BTreeSet<&str> = rules.values().map(|alert| alert.event.as_str()).collect();
    let mut tactics: Vec<String> = rules
        .values()
        .flat_map(|alert| alert.rule.tactics())
        .map(|name| attack::counted_as(&name).to_owned())
        .collect();
    tactics.sort();
    tactics.dedup();
    let value = match (tactics.len(), rules.len(), events.len()) {
        (3.., 4.., 3..) => VERY_STRONG,
        // Rules overlap, and ordinary administration matches two of them every day: nothing was seen by that alone.
        (2.., 2.., 2..) => WEAK,
        _ => return None,
    };
    let (alert, event) = rules.values().find_map(|alert| Some((alert, seen.trigger(&alert.event)?)))?;
    let matched = alert.matched.iter().find(|quote| taint::shows_behaviour(&quote.field)).cloned();
    let says = format!("{} rules of {} tactics matched in this case, this one among them", rules.len(), tactics.len());
    let quotes: Vec<_> = matched.or_else(|| event.quote("Image")).into_iter().collect();
    let feature = Feature {
        name: "several tactics",
        family: Family::Context,
        value,
        says,
        evidence: event.id,
        quotes,
        harm: Harm::Latent,
    };
    (!feature.quotes.is_empty()).then_some(feature)
}
