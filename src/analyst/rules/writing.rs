//! The draft: the sum in words, with its evidence, its doubts and its question to a person.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::super::{Brief, playbook};
use super::effects::DIRECTORY_REPLICATION;
use super::features::{Feature, STRONG, Seen, SeenEvent};
use super::images::DEFENDER_COLLECTION;
use super::score::{self, Score};
use crate::domain::containment::Action;
use crate::domain::draft::{
    Answer, Classification, ContainmentWish, Determination, Draft, HumanQuestion, Hypothesis, Stance, Unknown,
    WhyUnknown, YesNoUnknown,
};
use crate::domain::evidence::{Citation, Family, Strength, Weight};
use crate::domain::ids::EvidenceId;
use crate::domain::route::RoutePolicy;
use crate::domain::taint;
use crate::domain::verdict::{MOST_CITATIONS, probability_words};
use crate::knowledge::{guid, paths, programs};

/// The verdict to submit on everything that was seen.
pub fn draft(brief: &Brief, seen: &Seen) -> Draft {
    let features = score::without_void_fingerprints(seen.features(brief));
    let score = Score::of(brief, &features);
    let probability = score.probability;
    let policy = RoutePolicy::default();
    let strongest = |keep: &dyn Fn(&Feature) -> bool| features.iter().find(|feature| keep(feature)).cloned();
    let harm = strongest(&|feature: &Feature| feature.value >= STRONG && feature.family != Family::Context);
    let harmless = strongest(&|feature: &Feature| feature.value <= -STRONG && explains_all(feature, seen, brief));
    let classification = if probability >= policy.escalate_at && harm.is_some() {
        Classification::TruePositive
    } else if probability <= policy.close_at() && harmless.is_some() {
        Classification::FalsePositive
    } else {
        Classification::Undetermined
    };
    // The host of what decides, or else of the first alert.
    let decisive = if classification == Classification::FalsePositive { harmless.as_ref() } else { harm.as_ref() };
    let of_feature = decisive.and_then(|feature| seen.events.get(&feature.evidence)).map(|event| &event.view.host);
    let host = of_feature.or_else(|| brief.alerts.first().map(|alert| &alert.host));
    let host = host.map_or_else(String::new, ToString::to_string);
    let unknowns = unknowns(seen);
    let citations = citations(seen, brief, &features);
    Draft {
        classification,
        determination: determination(classification, &features),
        malicious_probability: probability,
        self_reported: None,
        headline: headline(classification, decisive, probability >= policy.escalate_at, &host),
        story: story(classification, &score, &features, &unknowns),
        techniques: techniques(brief, &citations, seen),
        hypotheses: hypotheses(classification, harm.as_ref(), harmless.as_ref()),
        answers: answers(seen, brief),
        contradictions: contradictions(classification, &features),
        containment: containment(classification, probability, &policy, seen, &features),
        human_question: (classification != Classification::FalsePositive)
            .then(|| question(classification, &host, seen, brief, &features, harm.as_ref())),
        question_for_receiver: Some(
            "How did it begin, what else did these processes do on these hosts, and is there an ordinary explanation?"
                .into(),
        ),
        would_change: Some(would_change(&score, &features)),
        unknowns,
        citations,
    }
}

/// How long a script block may be logged after its process began.
const SCRIPT_RUNS: SignedDuration = SignedDuration::from_mins(10);

/// The harmless activity is what every alert of the case is about, and everything that was to be seen of it was
/// seen. One known harmless source in a case says nothing of the other alerts in it; an answer that was cut
/// short, a script in several parts, a child that does not belong to it: each leaves the case to a person.
fn explains_all(feature: &Feature, seen: &Seen, brief: &Brief) -> bool {
    let Some(act) = seen.events.get(&feature.evidence) else { return false };
    let script = feature.quotes.first().map(|quote| quote.value.as_str());
    let known_host = !act.view.host.is_unknown();
    let whole = known_host && !seen.incomplete && !act.view.cut && seen.trees.contains(&act.view.event);
    // An alert on several events is about all of them: its last one explains none of the others.
    whole
        && brief.alerts.iter().all(|alert| alert.correlated.is_empty())
        && has_ended(act, seen)
        && was_written_by_its_parent(act, seen, script)
        && has_only_own_children(act, seen)
        && brief.alerts.iter().all(|alert| {
            let trigger = seen.triggers.get(&alert.event).and_then(|id| seen.events.get(id));
            trigger.is_some_and(|event| event.id == act.id || is_script_of(event, act, script))
        })
}

/// The process is over: what it would have done later cannot be missed.
fn has_ended(act: &SeenEvent, seen: &Seen) -> bool {
    let process = act.view.get("ProcessGuid");
    seen.events.values().any(|event| event.view.is_sysmon(5) && names(event, "ProcessGuid", process))
}

/// Nobody but the program that runs the script was seen to write it.
fn was_written_by_its_parent(act: &SeenEvent, seen: &Seen, script: Option<&str>) -> bool {
    let is_script = |event: &&SeenEvent| {
        let file = event.view.get("TargetFilename");
        matches!((file, script), (Some(file), Some(script)) if paths::may_be_the_same_file(file, script))
    };
    let mut writers = seen.events.values().filter(|event| event.view.is_sysmon(11)).filter(is_script);
    let parent = act.view.get("ParentImage").unwrap_or_default();
    writers.all(|event| event.view.get("Image").is_some_and(|image| image.eq_ignore_ascii_case(parent)))
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
    let parent = act.view.get("ProcessGuid");
    let of_act = |event: &&SeenEvent| event.view.is_sysmon(1) && names(event, "ParentProcessGuid", parent);
    seen.events
        .values()
        .filter(of_act)
        .all(|child| child.view.get("Image").is_some_and(programs::is_own_child_of_powershell))
}

/// A field of the event names this process; one source writes GUIDs in braces and capitals, another does not.
fn names(event: &SeenEvent, field: &str, process: Option<&str>) -> bool {
    event.view.get(field).zip(process).is_some_and(|(named, process)| guid::same(named, process))
}

fn determination(classification: Classification, features: &[Feature]) -> Option<Determination> {
    let families: BTreeSet<Family> = features.iter().filter(|f| f.value >= STRONG).map(|f| f.family).collect();
    match classification {
        Classification::TruePositive if families.len() >= 3 => Some(Determination::MultiStagedAttack),
        Classification::TruePositive => Some(Determination::OtherThreat),
        Classification::FalsePositive => Some(Determination::NotMalicious),
        Classification::InformationalExpectedActivity | Classification::Undetermined => None,
    }
}

fn headline(classification: Classification, reason: Option<&Feature>, likely: bool, host: &str) -> String {
    let text = match (classification, reason) {
        (Classification::Undetermined, None) if likely => {
            format!("{host}: its rules say likely malicious, and no act that was seen proves it")
        }
        (Classification::Undetermined, None) => format!("{host}: nothing seen decides this"),
        (Classification::Undetermined, Some(feature)) => format!("{host}: not decided; {}", feature.says),
        (_, Some(feature)) => format!("{host}: {}", feature.says),
        (_, None) => host.to_owned(),
    };
    taint::shown(&text).chars().take(140).collect()
}

/// The three strongest reasons on each side and the decision in a sentence.
fn story(classification: Classification, score: &Score, features: &[Feature], unknowns: &[Unknown]) -> String {
    let side = |sign: f64| {
        let reasons = features.iter().filter(|feature| feature.value * sign > 0.0).take(3);
        reasons.map(|feature| format!("{} ({})", feature.says, feature.evidence)).collect::<Vec<_>>().join("; ")
    };
    let (harm, harmless) = (side(1.0), side(-1.0));
    let mut text = format!(
        "{}: {} ({:.1} %).",
        classification.name(),
        probability_words(score.probability),
        score.probability * 100.0
    );
    let sides = [("For malicious", harm), ("For benign", harmless)];
    for (name, reasons) in sides.into_iter().filter(|(_, reasons)| !reasons.is_empty()) {
        text.push_str(&format!(" {name}: {reasons}."));
    }
    if let Some(first) = unknowns.first() {
        text.push_str(&format!(" Not known: {}.", first.what));
    }
    taint::shown(&text)
}

/// The strongest features, then the alerts' own events: every verdict shows what fired.
fn citations(seen: &Seen, brief: &Brief, features: &[Feature]) -> Vec<Citation> {
    let mut citations: Vec<Citation> = features.iter().map(Feature::citation).collect();
    citations.truncate(MOST_CITATIONS - 2);
    for alert in brief.alerts.iter() {
        if citations.len() == MOST_CITATIONS {
            break;
        }
        let Some(event) = seen.triggers.get(&alert.event).and_then(|id| seen.events.get(id)) else { continue };
        if citations.iter().any(|citation| citation.evidence == event.id) {
            continue;
        }
        let matched = alert.matched.iter().find(|quote| taint::shows_behaviour(&quote.field)).cloned();
        let shown = matched
            .or_else(|| ["CommandLine", "Image", "SourceImage"].iter().find_map(|name| event.quote(name)))
            // A cleared log has neither program nor command: who did it is what there is to quote.
            .or_else(|| event.view.fields.keys().find_map(|name| event.quote(name)))
            .or_else(|| alert.matched.first().cloned());
        citations.extend(shown.map(|quote| Citation {
            evidence: event.id,
            quotes: vec![quote],
            says: "this matched the rule".into(),
            weight: Weight::Neutral,
            strength: Strength::Weak,
            family: Family::Context,
        }));
    }
    citations
}

fn techniques(brief: &Brief, citations: &[Citation], seen: &Seen) -> Vec<String> {
    let cited: BTreeSet<EvidenceId> = citations.iter().map(|citation| citation.evidence).collect();
    let of_cited =
        brief.alerts.iter().filter(|alert| seen.triggers.get(&alert.event).is_some_and(|id| cited.contains(id)));
    let ids: BTreeSet<String> = of_cited.flat_map(|alert| alert.rule.techniques()).collect();
    ids.into_iter().collect()
}

fn hypotheses(classification: Classification, harm: Option<&Feature>, harmless: Option<&Feature>) -> Vec<Hypothesis> {
    let evidence = |feature: Option<&Feature>| feature.map(|f| f.evidence).into_iter().collect::<Vec<_>>();
    let stance = |is_true: bool, is_excluded: bool| match (is_true, is_excluded) {
        (true, _) => Stance::Supported,
        (false, true) => Stance::RuledOut,
        (false, false) => Stance::Open,
    };
    let (malicious, benign) =
        (classification == Classification::TruePositive, classification == Classification::FalsePositive);
    vec![
        Hypothesis {
            statement: "Somebody unauthorised acts on this host.".into(),
            malicious: true,
            stance: stance(malicious, benign),
            evidence_for: evidence(harm),
            evidence_against: evidence(harmless),
        },
        Hypothesis {
            statement: "Software or administration does its ordinary work.".into(),
            malicious: false,
            // Strong signs of harm do not exclude an authorised test: only its owner can.
            stance: stance(benign, false),
            evidence_for: evidence(harmless),
            evidence_against: evidence(harm),
        },
    ]
}

fn contradictions(classification: Classification, features: &[Feature]) -> Vec<String> {
    let against = |feature: &&Feature| match classification {
        Classification::TruePositive => feature.value <= -STRONG,
        Classification::FalsePositive | Classification::InformationalExpectedActivity => feature.value >= STRONG,
        Classification::Undetermined => false,
    };
    features.iter().filter(against).map(|feature| feature.says.clone()).collect()
}

fn first_with<'a>(seen: &'a Seen, fields: &[&str]) -> Option<&'a SeenEvent> {
    let has = |event: &&SeenEvent| fields.iter().any(|field| event.view.get(field).is_some());
    let of_triggers = seen.triggers.values().filter_map(|id| seen.events.get(id)).find(has);
    of_triggers.or_else(|| seen.events.values().find(has))
}

fn answers(seen: &Seen, brief: &Brief) -> Vec<Answer> {
    let yes = |question: &str, evidence: Vec<EvidenceId>| Answer {
        question: question.into(),
        answer: YesNoUnknown::Yes,
        evidence,
        why_unknown: None,
    };
    let unknown = |question: &str, why| Answer {
        question: question.into(),
        answer: YesNoUnknown::Unknown,
        evidence: vec![],
        why_unknown: Some(why),
    };
    let by_field = |question: &str, fields: &[&str]| match first_with(seen, fields) {
        Some(event) => yes(question, vec![event.id]),
        None => unknown(question, WhyUnknown::NoData),
    };
    let did =
        seen.events.values().filter(|event| [3, 8, 10, 11, 13].into_iter().any(|code| event.view.is_sysmon(code)));
    let mut did: Vec<EvidenceId> = did.map(|event| event.id).take(5).collect();
    did.extend(seen.absences.iter().map(|(id, _, _)| *id).take(3));
    let triggers: Vec<EvidenceId> = seen.triggers.values().copied().take(5).collect();
    vec![
        match triggers.is_empty() {
            true => unknown(playbook::TRIGGER, WhyUnknown::QueryFailed),
            false => yes(playbook::TRIGGER, triggers.clone()),
        },
        by_field(playbook::ACTOR, &["Image", "SourceImage", "NewProcessName", "ImagePath"]),
        by_field(playbook::LAUNCH, &["ParentImage", "ParentProcessName"]),
        by_field(playbook::ACCOUNT, &["User", "SourceUser", "SubjectUserName"]),
        match did.is_empty() {
            true => unknown(playbook::EFFECT, WhyUnknown::NoData),
            false => yes(playbook::EFFECT, did),
        },
        // No tool of this version knows what is usual here.
        unknown(playbook::HISTORY, WhyUnknown::OutOfScope),
        match brief.alerts.len() > 1 && !triggers.is_empty() {
            true => yes(playbook::NEARBY, triggers),
            false => unknown(playbook::NEARBY, WhyUnknown::OutOfScope),
        },
    ]
}

fn unknowns(seen: &Seen) -> Vec<Unknown> {
    let mut unknowns: Vec<Unknown> = Vec::new();
    if first_with(seen, &["ParentImage", "ParentProcessName"]).is_none() {
        unknowns.push(Unknown {
            what: "what started the process: its parent is not recorded".into(),
            why_it_matters: "an unusual parent would show an intrusion, a management agent an ordinary job".into(),
            where_to_look: "process-creation events of this host before the alert (Sysmon 1, Security 4688)".into(),
            obtainable: false,
        });
    }
    let effects =
        seen.events.values().any(|event| [3, 8, 10, 11, 13].into_iter().any(|code| event.view.is_sysmon(code)));
    if !effects && seen.absences.is_empty() {
        unknowns.push(Unknown {
            what: "what the process did: no network, file, registry value, thread or access event of it is in the log"
                .into(),
            why_it_matters: "without it, harmless and harmful runs look the same".into(),
            where_to_look: "Sysmon 3, 11 and 13 of this host, or the endpoint sensor's timeline".into(),
            obtainable: false,
        });
    }
    unknowns.extend(seen.failures.iter().take(2).map(|(call, reason)| Unknown {
        what: format!("what {} would have shown: {reason}", call.tool),
        why_it_matters: "the question it was to answer stays open".into(),
        where_to_look: "the same question by hand".into(),
        obtainable: false,
    }));
    unknowns.push(Unknown {
        what: "whether this is usual here: the floor has no history of these hosts".into(),
        why_it_matters: "what runs every day on many hosts is rarely an attack".into(),
        where_to_look: "thirty days of events of comparable hosts".into(),
        obtainable: false,
    });
    unknowns
}

/// Asks about one event: the act that weighs most, or else what fired loudest. Host, account, program and time
/// are all of that event, so that nobody is asked about something that never happened.
fn question(
    classification: Classification,
    host: &str,
    seen: &Seen,
    brief: &Brief,
    features: &[Feature],
    harm: Option<&Feature>,
) -> HumanQuestion {
    let loudest = || {
        let trigger =
            |alert: &&crate::domain::alert::Alert| seen.triggers.get(&alert.event).and_then(|id| seen.events.get(id));
        let seen_alerts = brief.alerts.iter().filter(|alert| trigger(alert).is_some());
        seen_alerts.max_by_key(|alert| (alert.rule.level, std::cmp::Reverse(alert.time))).as_ref().and_then(trigger)
    };
    let suspicious = || {
        let strongest = features.iter().filter(|feature| feature.value > 0.0 && feature.family != Family::Context);
        let strongest = strongest.max_by(|one, other| one.value.total_cmp(&other.value))?;
        seen.events.get(&strongest.evidence)
    };
    // What speaks for harm is asked about, not what is merely loud: to know the harmless half excuses nothing.
    let act = harm.and_then(|feature| seen.events.get(&feature.evidence)).or_else(suspicious).or_else(loudest);
    let what = act.map_or_else(|| format!("the activity on {host}"), asked_about);
    let threat = classification == Classification::TruePositive;
    let question = match (threat, harm) {
        (true, _) => format!("Was {what} an authorised test or change? If not, what is contained?"),
        (false, Some(feature)) => format!("Is {what} known to its owner ({})?", feature.says),
        (false, None) => format!("Is {what} known to its owner?"),
    };
    let options: &[&str] = if threat {
        &["authorised", "not authorised: contain", "not known: investigate further"]
    } else {
        &["known and expected", "not expected: investigate as a threat", "not known"]
    };
    HumanQuestion {
        question: taint::shown(&question),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        default_if_silent: "the case stays on hold".into(),
    }
}

/// `powershell.exe -nop … as CORP\\a.user on WKS-07 at 2026-01-02 03:04:05 UTC [E1]`.
fn asked_about(event: &SeenEvent) -> String {
    let view = &event.view;
    let first = |fields: &[&str]| fields.iter().find_map(|field| view.get(field));
    let did = first(&["CommandLine", "ImagePath", "ServiceFileName"]).map(str::to_owned);
    let did = did.or_else(|| first(&["Image", "SourceImage", "NewProcessName"]).map(paths::base_name));
    let did: String = did.unwrap_or_else(|| view.kind()).chars().take(140).collect();
    let account = first(&["User", "SourceUser", "SubjectUserName"]);
    let account = account.map_or_else(String::new, |account| format!(" as {account}"));
    format!("`{did}`{account} on {} at {} UTC [{}]", view.host, view.time.strftime("%F %T"), event.id)
}

fn containment(
    classification: Classification,
    probability: f64,
    policy: &RoutePolicy,
    seen: &Seen,
    features: &[Feature],
) -> Vec<ContainmentWish> {
    if classification != Classification::TruePositive || probability < policy.contain_at {
        return vec![];
    }
    let mut wishes: Vec<ContainmentWish> = Vec::new();
    let acts = |feature: &&Feature| {
        // A replication request is logged by its victim.
        feature.value >= STRONG && feature.family != Family::Context && feature.name != DIRECTORY_REPLICATION
    };
    for feature in features.iter().filter(acts) {
        let Some(event) = seen.events.get(&feature.evidence) else { continue };
        let host = &event.view.host;
        // Nobody can isolate a machine that no log names.
        if host.is_unknown() {
            continue;
        }
        match wishes.iter_mut().find(|wish| wish.host == *host) {
            Some(wish) if !wish.evidence.contains(&feature.evidence) => wish.evidence.push(feature.evidence),
            Some(_) => {}
            None => wishes.push(ContainmentWish {
                action: Action::IsolateDevice,
                host: host.clone(),
                because: feature.says.clone(),
                evidence: vec![feature.evidence],
            }),
        }
    }
    wishes
}

/// The smallest single change that would cross a threshold.
fn would_change(score: &Score, features: &[Feature]) -> String {
    let policy = RoutePolicy::default();
    let crosses = |feature: &&Feature| {
        // The one proof on which a machine closes: without it nothing is closed, whatever the odds.
        if feature.name == DEFENDER_COLLECTION {
            return true;
        }
        let without = score::probability(score.total() - feature.value);
        let band = |p: f64| (p >= policy.escalate_at, p <= policy.close_at());
        band(without) != band(score.probability)
    };
    let smallest = features.iter().filter(crosses).min_by(|a, b| a.value.abs().total_cmp(&b.value.abs()));
    match smallest {
        Some(feature) if feature.name == DEFENDER_COLLECTION => {
            "another account, parent or command, or a child other than its own compiler and console".into()
        }
        Some(feature) => format!("without this it would be judged otherwise: {} ({})", feature.says, feature.evidence),
        None if features.is_empty() => {
            "any fact that shows what it did: so far only the rule's own level counts".into()
        }
        None => "no single fact that was seen decides it alone".into(),
    }
}

#[cfg(test)]
mod tests;
