//! Features of rarity: how usual something is here and on the fleet, in the history before the case.
//!
//! A history that is too short says nothing, neither that a thing is rare nor that it is usual. Usual alone excuses
//! nothing: what lowers has to recur on machines and days, with such a command and from such a parent, and only lowers
//! the case if every alert of it is as usual.

use std::collections::BTreeMap;

use super::super::Brief;
use super::feature::{Feature, MODERATE, STRONG, WEAK};
use super::seen::{Seen, SeenEvent};
use super::{authority, fingerprint};
use crate::domain::draft::Unknown;
use crate::domain::evidence::Family;
use crate::domain::ids::{EventId, EvidenceId};
use crate::knowledge::making;
use crate::ports::events::prevalence::Spread;
use crate::tools::prevalence::{Rarity, What};

/// Machines on which a thing recurs before it is usual: the alert's own and two others.
pub const RECURS_HOSTS: u64 = 3;
/// Days on which it does: twice may be chance, or one intrusion.
pub const RECURS_DAYS: u64 = 3;

/// Days from which it is a habit.
const HABIT_DAYS: u64 = 20;

/// The field by which the very same command is counted.
pub const COMMAND_LINE: &str = "winlog.event_data.CommandLine";

/// What a habit lowers: the family's cap.
const HABIT: f64 = -2.0;

/// What was looked up, by the event it was looked up for.
fn answers(seen: &Seen) -> BTreeMap<EventId, Rarity> {
    let of = |answered: &std::sync::Arc<crate::tools::answer::Answered>| {
        let event = answered.call.arguments.get("event")?.as_str()?;
        let answer = answered.outcome.as_ref().ok()?;
        Some((EventId::new(event), serde_json::from_value(answer.data.clone()).ok()?))
    };
    seen.answers.iter().filter(|answered| answered.call.tool == "prevalence").filter_map(of).collect()
}

fn spread(rarity: &Rarity, what: What) -> Option<&Spread> {
    rarity.usual.iter().find(|usual| usual.what == what).map(|usual| &usual.fleet)
}

/// Machines and days on which the very same command was run, where that was counted.
fn same_command(seen: &Seen, command: &str) -> (u64, u64) {
    let counted = seen.answers.iter().filter(|answered| {
        let arguments = &answered.call.arguments;
        let of = arguments.get("conditions").and_then(|all| all.get(0)?.get("value")?.as_str());
        arguments.get("group_by").and_then(|by| by.as_str()) == Some(COMMAND_LINE) && of == Some(command)
    });
    let counts = counted.filter_map(|answered| answered.outcome.as_ref().ok()?.data.get("counts")?.get(0).cloned());
    let number = |count: &serde_json::Value, at: usize| count.get(at).and_then(serde_json::Value::as_u64).unwrap_or(0);
    counts.map(|count| (number(&count, 2), number(&count, 3))).max().unwrap_or_default()
}

/// How often such a start recurs: the rarer of its command and its parentage; nothing if the history is too short. Of
/// a command in which something is encoded only the very same counts.
fn recurrence(start: &SeenEvent, rarity: &Rarity, seen: &Seen) -> Option<(u64, u64)> {
    let exact = start.get("CommandLine").filter(|command| making::is_encoded(command));
    let exact = exact.map_or((u64::MAX, u64::MAX), |command| same_command(seen, command));
    let (command, parentage) = (spread(rarity, What::Command)?, spread(rarity, What::Parentage)?);
    let rarer = |one: u64, other: u64, exact: u64| one.min(other).min(exact);
    let spread = || (rarer(command.hosts, parentage.hosts, exact.0), rarer(command.days, parentage.days, exact.1));
    rarity.history.is_enough().then(spread)
}

/// What the answers mean.
#[must_use]
pub fn features(seen: &Seen, brief: &Brief) -> Vec<Feature> {
    let answers = answers(seen);
    let of = |event: &SeenEvent| answers.get(&event.view.event);
    let mut found: Vec<Feature> = seen.starts().filter_map(|start| unusual(start, of(start)?)).collect();
    // As usual as the least usual of all alerts: one known habit says nothing of the rest.
    let alerts = brief.alerts.iter().map(|alert| {
        let event = seen.trigger(&alert.event)?;
        Some((recurring(event, of(event)?, seen)?, made_by_installed(event)))
    });
    if let Some(usual) = alerts.collect::<Option<Vec<(Feature, Option<Feature>)>>>() {
        let (mut usual, made): (Vec<Feature>, Vec<Option<Feature>>) = usual.into_iter().unzip();
        usual.sort_by(|one, other| other.value.total_cmp(&one.value));
        found.extend(usual.into_iter().next());
        let made: Option<Vec<Feature>> = made.into_iter().collect();
        found.extend(made.into_iter().flatten().next());
    }
    found
}

fn unusual(start: &SeenEvent, rarity: &Rarity) -> Option<Feature> {
    if !rarity.history.is_enough() {
        return None;
    }
    let (program, parentage) = (spread(rarity, What::Program)?, spread(rarity, What::Parentage)?);
    let days = rarity.history.fleet_days;
    let (value, says) = if program.events == 0 {
        (STRONG, format!("this program was started nowhere in the {days} days before"))
    } else if parentage.events == 0 {
        (MODERATE, format!("this parent started this program nowhere in the {days} days before"))
    } else if program.hosts == 1 {
        (WEAK, format!("in {days} days this program was started on one machine only"))
    } else {
        return None;
    };
    let fields: &[&str] = if start.get("ParentImage").is_some() { &["Image", "ParentImage"] } else { &["Image"] };
    start.feature("never seen here", Family::Rarity, value, fields, says)
}

fn recurring(start: &SeenEvent, rarity: &Rarity, seen: &Seen) -> Option<Feature> {
    let (hosts, days) = recurrence(start, rarity, seen)?;
    if hosts < RECURS_HOSTS || days < RECURS_DAYS {
        return None;
    }
    let value = if days >= HABIT_DAYS { HABIT } else { -STRONG };
    // What was counted is named, so that whoever reads it can count again.
    let counted = match start.get("CommandLine").filter(|command| making::is_encoded(command)) {
        Some(_) => "this very command, its template and its parentage, by prevalence",
        None => "its command's template and its parentage, by prevalence",
    };
    let says = format!("such a start recurs: on {hosts} machines and {days} days before the case ({counted})");
    start.feature("usual on the fleet", Family::Rarity, value, &["User", "CommandLine", "ParentImage", "Image"], says)
}

/// An installed program starts what it starts everywhere.
fn made_by_installed(start: &SeenEvent) -> Option<Feature> {
    let says = "an installed program started it for a service account, as it does elsewhere";
    let known = making::is_known(fingerprint::run(start));
    known.then(|| {
        start.feature("made by an installed program", Family::Lineage, -MODERATE, &["ParentImage", "User"], says)
    })?
}

/// The start of a process is usual here, and of known making or approved by people.
#[must_use]
pub fn usual(act: &SeenEvent, seen: &Seen) -> Option<Feature> {
    let feature = recurring(act, answers(seen).get(&act.view.event)?, seen)?;
    let run = fingerprint::run(act);
    (making::is_known(run) || making::is_plain(run) && authority::is_approved(act, seen)).then_some(feature)
}

/// What shows how usual it is.
#[must_use]
pub fn shown_by(seen: &Seen) -> Vec<EvidenceId> {
    let answers = answers(seen);
    let enough =
        seen.related().filter(|event| answers.get(&event.view.event).is_some_and(|rarity| rarity.history.is_enough()));
    enough.map(|event| event.id).take(3).collect()
}

/// What is missing of the history.
#[must_use]
pub fn unknown(seen: &Seen) -> Option<Unknown> {
    let answers = answers(seen);
    if answers.values().any(|rarity| rarity.history.is_enough()) {
        return None;
    }
    let lacks = answers.values().find_map(|rarity| rarity.history.lacks.clone());
    let (lacks, whereabouts) = match lacks {
        Some(lacks) => (lacks, "thirty days of events of comparable hosts"),
        None => (
            "nothing that fired is the start of a process (Sysmon 1), and only starts are compared with the history"
                .into(),
            "the same kind of event in the days before, on this host and comparable ones",
        ),
    };
    Some(Unknown {
        what: format!("whether this is usual here: {lacks}"),
        why_it_matters: "what runs every day on many hosts is rarely an attack".into(),
        where_to_look: whereabouts.into(),
        obtainable: false,
    })
}
