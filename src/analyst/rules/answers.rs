//! The playbook's questions, answered from what was seen; silence answers only with proof that the sensor lived.

use serde_json::Value;

use super::super::{Brief, playbook};
use super::seen::{Seen, SeenEvent};
use super::{fingerprint, rarity};
use crate::domain::draft::{Answer, Unknown, WhyUnknown, YesNoUnknown};
use crate::domain::event::{SYSMON, kind_name};
use crate::domain::ids::EvidenceId;
use crate::knowledge::registry;
use crate::tools::answer::Answered;

/// Most pieces of evidence named with one answer.
const MOST_NAMED: usize = 5;

/// The question which program recorded.
const RECORDED_BY: &str = "recording.by";

/// Kinds of events that show what a process did.
const DEEDS: [u32; 6] = [3, 8, 10, 11, 13, 22];

fn answer(question: &str, answer: YesNoUnknown, evidence: Vec<EvidenceId>, why_unknown: Option<WhyUnknown>) -> Answer {
    Answer { question: question.into(), answer, evidence, why_unknown }
}

fn yes(question: &str, evidence: Vec<EvidenceId>) -> Answer {
    answer(question, YesNoUnknown::Yes, evidence, None)
}

fn unknown(question: &str, why: WhyUnknown) -> Answer {
    answer(question, YesNoUnknown::Unknown, vec![], Some(why))
}

/// The answers to the general questions and to those of the case's families.
#[must_use]
pub fn answers(seen: &Seen, brief: &Brief) -> Vec<Answer> {
    let by_field = |question: &str, fields: &[&str]| match first_with(seen, fields) {
        Some(event) => yes(question, vec![event.id]),
        None => unknown(question, WhyUnknown::NoData),
    };
    let mut did: Vec<EvidenceId> = seen
        .related()
        .filter(|event| DEEDS.iter().any(|code| event.view.is_sysmon(*code)))
        .map(|event| event.id)
        .take(MOST_NAMED)
        .collect();
    did.extend(seen.absences.iter().map(|absence| absence.id).take(3));
    let triggers: Vec<EvidenceId> = seen.triggers.values().copied().take(MOST_NAMED).collect();
    let mut answers = vec![
        match triggers.is_empty() {
            true => unknown(playbook::TRIGGER, WhyUnknown::QueryFailed),
            false => yes(playbook::TRIGGER, triggers.clone()),
        },
        by_field(playbook::ACTOR, &["Image", "SourceImage", "NewProcessName", "ImagePath", "ProcessName"]),
        by_field(playbook::LAUNCH, &["ParentImage", "ParentProcessName"]),
        by_field(playbook::ACCOUNT, &["User", "SourceUser", "SubjectUserName"]),
        match did.is_empty() {
            true => unknown(playbook::EFFECT, WhyUnknown::NoData),
            false => yes(playbook::EFFECT, did),
        },
        match rarity::shown_by(seen) {
            evidence if evidence.is_empty() => unknown(playbook::HISTORY, WhyUnknown::OutOfScope),
            evidence => yes(playbook::HISTORY, evidence),
        },
        match brief.alerts.len() > 1 && !triggers.is_empty() {
            true => yes(playbook::NEARBY, triggers),
            false => unknown(playbook::NEARBY, WhyUnknown::OutOfScope),
        },
    ];
    for family in playbook::of(&brief.alerts) {
        for asked in family.questions {
            if !answers.iter().any(|known| known.question == asked.question.id) {
                answers.push(of_kinds(asked, seen));
            }
        }
    }
    answers
}

/// Yes by an event that is there, no by a counted absence; else unknown.
fn of_kinds(asked: &playbook::Asked, seen: &Seen) -> Answer {
    let question = asked.question.id;
    let is_of = |channel: &str, code: u32| asked.answered_by.iter().any(|kind| kind.0 == channel && kind.1 == code);
    // A record of what used the microphone or the camera names its program, though no process is joined to it.
    let names_recorder =
        |event: &&SeenEvent| event.get("TargetObject").is_some_and(|path| registry::recorder(path).is_some());
    let records = seen.events.values().filter(|event| !event.related && question == RECORDED_BY).filter(names_recorder);
    let there = seen.related().chain(records).filter(|event| is_of(&event.view.channel, event.view.code));
    let there = there.map(|event| event.id);
    let there: Vec<EvidenceId> = there.take(MOST_NAMED).collect();
    if !there.is_empty() {
        return yes(question, there);
    }
    let absent = seen.absences.iter().filter(|absence| is_of(&absence.channel, absence.code)).map(|absence| absence.id);
    let absent: Vec<EvidenceId> = absent.take(MOST_NAMED).collect();
    if absent.is_empty() {
        return unknown(question, WhyUnknown::SensorOff);
    }
    answer(question, YesNoUnknown::No, absent, None)
}

/// Nothing that was seen answers it.
#[must_use]
pub fn is_open(asked: &playbook::Asked, seen: &Seen) -> bool {
    of_kinds(asked, seen).answer == YesNoUnknown::Unknown
}

/// Some search asked for this kind of event.
#[must_use]
pub fn was_asked(kind: playbook::Kind, seen: &Seen) -> bool {
    searches_for(kind, seen).next().is_some()
}

fn searches_for(kind: playbook::Kind, seen: &Seen) -> impl Iterator<Item = &Answered> {
    let (channel, code) = kind;
    let is_it = move |asked: &Value| {
        let of_channel = asked.get("channel").and_then(Value::as_str).unwrap_or(SYSMON) == channel;
        of_channel && asked.get("code").and_then(Value::as_u64) == Some(u64::from(code))
    };
    let all = seen.answers.iter().filter(|answered| answered.call.tool == "search_winlog_events");
    all.map(std::convert::AsRef::as_ref).filter(move |answered| {
        let kinds = answered.call.arguments.get("kinds").and_then(Value::as_array);
        kinds.into_iter().flatten().any(is_it)
    })
}

/// What the store said of a kind when it was asked: where a person would look is of no use if it was looked there.
fn store_says(kind: playbook::Kind, seen: &Seen) -> String {
    let name = kind_name(kind.0, kind.1);
    let answered = searches_for(kind, seen).filter_map(|answered| answered.outcome.as_ref().ok());
    match answered.map(|answer| answer.header.total).max() {
        None => format!("{name} of this host"),
        Some(0) => format!("{name} of this host, of which this floor's store holds none around that time"),
        Some(_) => format!("{name} of this host: what the store holds names neither the act's process nor its session"),
    }
}

/// An event with one of these fields, of an alert if there is one, else of the case.
fn first_with<'a>(seen: &'a Seen, fields: &[&str]) -> Option<&'a SeenEvent> {
    let has = |event: &&SeenEvent| fields.iter().any(|field| event.get(field).is_some());
    let of_triggers = seen.triggers.values().filter_map(|id| seen.events.get(id)).find(has);
    of_triggers.or_else(|| seen.related().find(has))
}

/// What is missing, with what it would decide and where it might be.
#[must_use]
pub fn unknowns(seen: &Seen, brief: &Brief) -> Vec<Unknown> {
    let missing = |what: String, why: &str, whereabouts: String| Unknown {
        what,
        why_it_matters: why.into(),
        where_to_look: whereabouts,
        obtainable: false,
    };
    let mut unknowns: Vec<Unknown> = Vec::new();
    // A cleared log or a changed group has no process whose parent could be missing; a thread of Windows' own names no
    // parent, and nothing hangs on who started csrss.exe.
    let of_a_process = first_with(seen, &["Image", "SourceImage", "NewProcessName", "ProcessName"]).is_some()
        || seen.related().any(|event| event.view.channel.contains("PowerShell"));
    let mut triggers = seen.triggers.values().filter_map(|id| seen.events.get(id)).peekable();
    let only_signals = triggers.peek().is_some() && triggers.all(fingerprint::is_system_thread);
    if of_a_process && !only_signals && first_with(seen, &["ParentImage", "ParentProcessName"]).is_none() {
        unknowns.push(missing(
            "what started the process: its parent is not recorded".into(),
            "an unusual parent would show an intrusion, a management agent an ordinary job",
            "process-creation events of this host before the alert (Sysmon 1, Security 4688)".into(),
        ));
    }
    let effects = seen.related().any(|event| DEEDS.iter().any(|code| event.view.is_sysmon(*code)));
    if !effects && seen.absences.is_empty() {
        unknowns.push(missing(
            "what the process did: no network, file, registry value, thread or access event of it is in the log".into(),
            "without it, harmless and harmful runs look the same",
            "Sysmon 3, 11 and 13 of this host, or the endpoint sensor's timeline".into(),
        ));
    }
    // Of the families' questions the heaviest that stayed open.
    let open = playbook::of(&brief.alerts).into_iter().flat_map(|family| family.questions);
    let open = open.filter(|asked| is_open(asked, seen));
    if let Some(asked) = open.max_by(|one, other| one.question.weight.total_cmp(&other.question.weight)) {
        let kinds: Vec<String> = asked.answered_by.iter().take(3).map(|kind| store_says(*kind, seen)).collect();
        unknowns.push(missing(
            format!("the answer to “{}”", asked.question.asks),
            "the playbook of this kind of alert decides by it",
            kinds.join("; "),
        ));
    }
    unknowns.extend(seen.failures.iter().take(2).map(|(call, reason)| {
        missing(
            format!("what {} would have shown: {reason}", call.tool),
            "the question it was to answer stays open",
            "the same question by hand".into(),
        )
    }));
    unknowns.extend(rarity::unknown(seen));
    unknowns
}
