//! When a harmless explanation is whole: it covers every alert of the case, and all that was to be seen was seen.
//!
//! One known harmless source in a case says nothing of the other alerts in it; an answer that was cut short, a script in
//! several parts, a child that does not belong to it: each leaves the case to a person. What the analyst finds whole is
//! gone over once more by `closing`, in the store itself.

use jiff::SignedDuration;

use super::super::Brief;
use super::feature::Feature;
use super::seen::{Seen, SeenEvent};
use super::{authority, fingerprint, rarity};
use crate::domain::ids::EventId;
use crate::domain::verdict::MOST_CITATIONS;
use crate::knowledge::{paths, programs};

/// How long a script block may be logged after its process began.
const SCRIPT_RUNS: SignedDuration = SignedDuration::from_mins(10);

/// The harmless acts that explain all alerts, each with what makes it harmless; nothing if any alert is left.
#[must_use]
pub fn explanation(seen: &Seen, brief: &Brief) -> Vec<Feature> {
    if brief.alerts.is_empty() || authority::needs_a_person(seen, brief) {
        return vec![];
    }
    let known: Vec<(&SeenEvent, Feature)> = seen
        .starts()
        .filter_map(|act| Some((act, harmless(act, seen)?)))
        .filter(|(act, feature)| is_whole(act, feature, seen))
        .chain(signals(seen))
        .collect();
    let mut acts: Vec<Feature> = Vec::new();
    for alert in brief.alerts.iter() {
        // An alert on several events is about all of them: its last one explains none of the others.
        if alert.correlated.events().len() as u64 != alert.correlated.total() {
            return vec![];
        }
        for event in std::iter::once(&alert.event).chain(alert.correlated.events()) {
            let Some(event) = shown(event, seen) else { return vec![] };
            let Some((_, feature)) = known.iter().find(|(act, feature)| explains(act, feature, event)) else {
                return vec![];
            };
            if !acts.iter().any(|known| known.evidence == feature.evidence) {
                acts.push(feature.clone());
            }
        }
    }
    // Only what is cited is gone over once more in the store.
    if acts.len() > MOST_ACTS { vec![] } else { acts }
}

/// Acts that one verdict may explain: all of them are cited, and two places are left for what fired.
const MOST_ACTS: usize = MOST_CITATIONS - 2;

fn shown<'a>(event: &EventId, seen: &'a Seen) -> Option<&'a SeenEvent> {
    seen.trigger(event).or_else(|| seen.events.values().find(|shown| shown.view.event == *event))
}

/// Threads by which Windows tells programs to end.
fn signals<'a>(seen: &'a Seen) -> impl Iterator<Item = (&'a SeenEvent, Feature)> {
    let is_whole = |event: &&SeenEvent| {
        event.view.is_sysmon(8) && !event.view.cut && !event.view.host.is_unknown() && !seen.incomplete
    };
    let events = seen.related().filter(is_whole).collect::<Vec<&'a SeenEvent>>();
    let signals = events.into_iter().filter_map(move |event| Some((event, fingerprint::features(event, seen)?)));
    signals.filter(|(_, feature)| feature.name == fingerprint::CONTROL_SIGNAL)
}

/// What makes the start of a process harmless: a fingerprint, or that it is usual here and of known making.
fn harmless(act: &SeenEvent, seen: &Seen) -> Option<Feature> {
    let known = fingerprint::features(act, seen).filter(|feature| fingerprint::CLOSING.contains(&feature.name));
    known.or_else(|| rarity::usual(act, seen))
}

fn is_whole(act: &SeenEvent, feature: &Feature, seen: &Seen) -> bool {
    let script = script_of(feature);
    !act.view.host.is_unknown()
        && !seen.incomplete
        && !act.view.cut
        && seen.trees.contains(&act.view.event)
        && has_ended(act, seen)
        && was_written_by_its_parent(act, seen, script)
        && has_only_own_children(act, seen)
}

/// The script that a fingerprint quotes as what decides.
fn script_of(feature: &Feature) -> Option<&str> {
    fingerprint::CLOSING.contains(&feature.name).then(|| feature.quotes.first().map(|quote| quote.value.as_str()))?
}

fn explains(act: &SeenEvent, feature: &Feature, event: &SeenEvent) -> bool {
    event.id == act.id || is_script_of(event, act, script_of(feature))
}

/// The process is over: what it would have done later cannot be missed.
fn has_ended(act: &SeenEvent, seen: &Seen) -> bool {
    let process = act.process();
    seen.events.values().any(|event| event.view.is_sysmon(5) && event.names("ProcessGuid", &process))
}

/// Nobody but the program that runs the script was seen to write it.
fn was_written_by_its_parent(act: &SeenEvent, seen: &Seen, script: Option<&str>) -> bool {
    let is_script = |event: &&SeenEvent| {
        let file = event.get("TargetFilename");
        matches!((file, script), (Some(file), Some(script)) if paths::may_be_the_same_file(file, script))
    };
    let mut writers = seen.events.values().filter(|event| event.view.is_sysmon(11)).filter(is_script);
    let parent = act.get("ParentImage").unwrap_or_default();
    writers.all(|event| event.get("Image").is_some_and(|image| image.eq_ignore_ascii_case(parent)))
}

/// The script block was logged by that very process, as SYSTEM, whole, while it ran.
fn is_script_of(block: &SeenEvent, act: &SeenEvent, script: Option<&str>) -> bool {
    let (view, process) = (&block.view, &act.view);
    let same = |one: Option<&str>, other: Option<&str>| matches!((one, other), (Some(one), Some(other)) if one.eq_ignore_ascii_case(other));
    view.code == 4104
        && !view.cut
        && view.host == process.host
        && !view.host.is_of_another_domain(&process.host)
        && same(view.get("Path"), script)
        && same(view.get("MessageTotal"), Some("1"))
        && same(view.writer_pid.as_deref(), process.get("ProcessId"))
        && same(view.writer_sid.as_deref(), Some("S-1-5-18"))
        && (process.time..=process.time.saturating_add(SCRIPT_RUNS).unwrap_or(process.time)).contains(&view.time)
}

fn has_only_own_children(act: &SeenEvent, seen: &Seen) -> bool {
    let parent = act.process();
    let children =
        seen.events.values().filter(|event| event.view.is_sysmon(1) && event.names("ParentProcessGuid", &parent));
    children.into_iter().all(|child| child.get("Image").is_some_and(programs::is_own_child_of_powershell))
}

#[cfg(test)]
mod tests;
