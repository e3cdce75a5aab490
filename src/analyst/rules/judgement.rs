//! All features of what was seen, gathered from the families, each once and at its strongest.

use std::collections::BTreeMap;

use super::super::Brief;
use super::feature::{Feature, STRONG};
use super::seen::{Seen, SeenEvent};
use super::{content, context, effects, fingerprint, identity, lineage, network, rarity};
use crate::domain::evidence::Family;

/// Every feature, what was seen done before what other rules said, the strongest first.
#[must_use]
pub fn features(seen: &Seen, brief: &Brief) -> Vec<Feature> {
    let of_events = seen.events.values().flat_map(|event| of_event(event, seen));
    let all = of_events
        .chain(effects::across::features(seen))
        .chain(context::features(seen, brief))
        .chain(rarity::features(seen));
    let mut strongest: BTreeMap<(&'static str, bool), Feature> = BTreeMap::new();
    for feature in all {
        // What lowers never hides what raises: the two are kept apart.
        let key = (feature.name, feature.value < 0.0);
        let known = strongest.get(&key);
        if known.is_none_or(|known| feature.value.abs() > known.value.abs()) {
            strongest.insert(key, feature);
        }
    }
    let mut features: Vec<Feature> = strongest.into_values().collect();
    let order = |feature: &Feature| (feature.family == Family::Context, -feature.value.abs());
    features.sort_by(|a, b| {
        let ((a_said, a_size), (b_said, b_size)) = (order(a), order(b));
        a_said.cmp(&b_said).then(a_size.total_cmp(&b_size)).then_with(|| a.name.cmp(b.name))
    });
    features
}

fn of_event(event: &SeenEvent, seen: &Seen) -> Vec<Feature> {
    let mut found = Vec::new();
    if event.is_start() {
        found.extend(identity::features(event));
        found.extend(lineage::features(event));
    }
    found.extend(fingerprint::features(event, seen));
    found.extend(identity::antivirus(event));
    found.extend(content::features(event));
    found.extend(effects::features(event, seen));
    found.extend(network::features(event));
    if event.related {
        return found;
    }
    // What only happened on the same machine is no act of this case; what is harmless there explains nothing here.
    let strong = found.into_iter().filter(|feature| feature.value >= STRONG && feature.is_strong_act());
    strong.map(Feature::nearby).collect()
}
