//! All features of what was seen, gathered from the families, each once and at its strongest.

use std::collections::BTreeMap;

use super::super::Brief;
use super::feature::{Feature, STRONG};
use super::seen::{Seen, SeenEvent};
use super::{authority, content, context, effects, fingerprint, identity, lineage, network, rarity};
use crate::domain::alert::Alert;
use crate::domain::evidence::Family;
use crate::domain::ids::EvidenceId;

/// Every feature, what was seen done before what other rules said, the strongest first.
#[must_use]
pub fn features(seen: &Seen, brief: &Brief) -> Vec<Feature> {
    let of_events = seen.events.values().flat_map(|event| of_event(event, seen));
    let all = of_events
        .chain(content::scripts(seen))
        .chain(effects::across::features(seen))
        .chain(context::features(seen, brief))
        .chain(rarity::features(seen, brief))
        .chain(authority::features(seen, brief));
    let mut strongest: BTreeMap<(&'static str, bool), Feature> = BTreeMap::new();
    for feature in all {
        // What lowers never hides what raises: the two are kept apart.
        let key = (feature.name, feature.value < 0.0);
        let known = strongest.get(&key);
        if known.is_none_or(|known| feature.value.abs() > known.value.abs()) {
            strongest.insert(key, feature);
        }
    }
    let known: Vec<EvidenceId> = known_harmless(seen);
    let all_known = brief.alerts.iter().all(|alert| is_known(alert, &known, seen));
    // A known harmless source beside alerts that are none of it says nothing of the case.
    let mut features: Vec<Feature> =
        strongest.into_values().filter(|feature| feature.family != Family::Fingerprint || all_known).collect();
    let order = |feature: &Feature| (feature.family == Family::Context, -feature.value.abs());
    features.sort_by(|a, b| {
        let ((a_said, a_size), (b_said, b_size)) = (order(a), order(b));
        a_said.cmp(&b_said).then(a_size.total_cmp(&b_size)).then_with(|| a.name.cmp(b.name))
    });
    features
}

fn known_harmless(seen: &Seen) -> Vec<EvidenceId> {
    seen.related().filter(|event| fingerprint::features(event, seen).is_some()).map(|event| event.id).collect()
}

/// The alert's event is a known harmless one, or one of its process.
fn is_known(alert: &Alert, known: &[EvidenceId], seen: &Seen) -> bool {
    let Some(trigger) = seen.trigger(&alert.event) else { return false };
    known.iter().filter_map(|id| seen.events.get(id)).any(|source| {
        let by_number =
            trigger.view.writer_pid.is_some() && trigger.view.writer_pid.as_deref() == source.get("ProcessId");
        source.id == trigger.id
            || source.view.host == trigger.view.host
                && (!source.process().is_empty() && source.process() == trigger.process()
                    || by_number && trigger.process().is_empty())
    })
}

fn of_event(event: &SeenEvent, seen: &Seen) -> Vec<Feature> {
    let mut found = Vec::new();
    if event.is_start() {
        found.extend(identity::features(event));
        found.extend(lineage::features(event));
    } else {
        found.extend(identity::place(event));
    }
    found.extend(fingerprint::features(event, seen));
    found.extend(identity::antivirus(event));
    found.extend(identity::service_name(event));
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
