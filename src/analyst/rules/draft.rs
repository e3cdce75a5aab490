//! The draft: the sum in words, with its evidence, its doubts and its question to a person.

use std::collections::BTreeSet;

use super::super::Brief;
use super::feature::{Feature, STRONG};
use super::score::{self, Score};
use super::seen::{Seen, SeenEvent};
use super::{answers, benign, blocked, containment, fingerprint, judgement, origin, story, wording};
use crate::domain::draft::{Classification, Determination, Draft, HumanQuestion, Hypothesis, Stance};
use crate::domain::evidence::{Citation, Family, Strength, Weight};
use crate::domain::ids::EvidenceId;
use crate::domain::route::RoutePolicy;
use crate::domain::taint;
use crate::domain::verdict::MOST_CITATIONS;

/// The verdict to submit on everything that was seen.
pub fn draft(brief: &Brief, seen: &Seen) -> Draft {
    let features = score::without_void_fingerprints(judgement::features(seen, brief));
    let score = Score::of(brief, &features, &score::outcomes(seen));
    let probability = score.probability;
    let policy = RoutePolicy::default();
    // What is asked about is an act on a machine of the case; what was found where it came from is evidence besides.
    let on_own_host = |feature: &&Feature| {
        let event = seen.events.get(&feature.evidence);
        event.is_some_and(|event| brief.alerts.iter().any(|alert| alert.host == event.view.host))
    };
    let acts = || features.iter().filter(|feature| feature.is_strong_act());
    let harm = acts().find(on_own_host).or_else(|| acts().next()).cloned();
    let harmless = benign::explanation(seen, brief);
    let classification = if probability >= policy.escalate_at && score.proves_harm(&features) {
        Classification::TruePositive
    } else if probability <= policy.close_at() && !harmless.is_empty() {
        benign_class(&harmless)
    } else {
        Classification::Undetermined
    };
    let is_benign = is_benign(classification);
    // The host of what decides, or else of the first alert.
    let decisive = if is_benign { harmless.first() } else { harm.as_ref() };
    let of_feature = decisive.and_then(|feature| seen.events.get(&feature.evidence)).map(|event| &event.view.host);
    let host = of_feature.or_else(|| brief.alerts.first().map(|alert| &alert.host));
    let host = host.map_or_else(String::new, ToString::to_string);
    let unknowns = answers::unknowns(seen, brief);
    let act = match is_benign {
        true => harmless.first().and_then(|feature| seen.events.get(&feature.evidence)),
        false => story::act(seen, brief, &features, harm.as_ref()),
    };
    let blocked = blocked::closing_needs(seen, brief, &features);
    let containment = containment::wishes(classification, probability, &policy, seen, &features);
    let mut told = story::story(classification, &score, &features, act, seen);
    if classification == Classification::TruePositive && containment.is_empty() {
        let why = containment::why_none(probability, &policy, seen, &features);
        told.push_str(&format!(" No isolation is asked for: {}.", taint::shown(&why)));
    }
    let would_change = match classification == Classification::Undetermined && probability <= policy.close_at() {
        true => format!("closing it needs {blocked}"),
        false => would_change(&score, &features),
    };
    let acts: &[Feature] = if is_benign { &harmless } else { &[] };
    let citations = citations(seen, brief, acts, &features);
    Draft {
        classification,
        determination: determination(classification, &features),
        malicious_probability: probability,
        self_reported: None,
        headline: story::headline(&host, &says(classification, decisive, probability, &features, &blocked), act, seen),
        story: told,
        techniques: techniques(brief, &citations, seen),
        hypotheses: hypotheses(classification, harm.as_ref(), harmless.first()),
        answers: answers::answers(seen, brief),
        contradictions: contradictions(classification, &features),
        containment,
        human_question: (!is_benign).then(|| question(classification, &host, act, harm.as_ref())),
        question_for_receiver: Some(
            "How did it begin, what else did these processes do on these hosts, and is there an ordinary explanation?"
                .into(),
        ),
        would_change: Some(would_change),
        origins: origin::proven(seen).into_iter().map(|origin| origin.host).collect(),
        unknowns,
        citations,
    }
}

/// The rule was wrong where only its keyword occurred, in Defender's own inventory, or where the thread was a signal of
/// Windows; elsewhere it was right, and what it found was expected.
fn benign_class(acts: &[Feature]) -> Classification {
    let wrong = [fingerprint::DEFENDER_COLLECTION, fingerprint::CONTROL_SIGNAL];
    match acts.iter().all(|act| wrong.contains(&act.name)) {
        true => Classification::FalsePositive,
        false => Classification::InformationalExpectedActivity,
    }
}

fn determination(classification: Classification, features: &[Feature]) -> Option<Determination> {
    let families: BTreeSet<Family> = features.iter().filter(|f| f.value >= STRONG).map(|f| f.family).collect();
    match classification {
        Classification::TruePositive if families.len() >= 3 => Some(Determination::MultiStagedAttack),
        Classification::TruePositive => Some(Determination::OtherThreat),
        Classification::FalsePositive => Some(Determination::NotMalicious),
        Classification::InformationalExpectedActivity => Some(Determination::LineOfBusiness),
        Classification::Undetermined => None,
    }
}

/// What the list shows of a case.
fn says(
    classification: Classification,
    reason: Option<&Feature>,
    probability: f64,
    features: &[Feature],
    blocked: &str,
) -> String {
    let policy = RoutePolicy::default();
    let towards = |sign: f64| {
        let of_acts = |feature: &&Feature| feature.family != Family::Context && feature.value * sign > 0.0;
        features.iter().find(of_acts)
    };
    match (classification, reason) {
        (Classification::Undetermined, Some(feature)) => format!("not decided; {}", feature.says),
        (Classification::Undetermined, None) if probability >= policy.escalate_at => {
            "its rules say likely malicious, and no act that was seen proves it".into()
        }
        (Classification::Undetermined, None) if probability <= policy.close_at() => {
            format!("looks harmless, not closed: that needs {blocked}")
        }
        (Classification::Undetermined, None) => match towards(1.0) {
            Some(feature) => format!("not decided; for harm speaks that {}", feature.says),
            None => {
                "not decided: apart from the rule, nothing seen speaks for harm, and nothing proves it harmless".into()
            }
        },
        (_, Some(feature)) => feature.says.clone(),
        (_, None) => classification.name().to_owned(),
    }
}

/// What explains the alerts, the strongest features, then the alerts' own events: every verdict shows what fired.
fn citations(seen: &Seen, brief: &Brief, acts: &[Feature], features: &[Feature]) -> Vec<Citation> {
    let mut citations: Vec<Citation> = acts.iter().map(Feature::citation).collect();
    for feature in features {
        let known = acts.iter().any(|act| act.name == feature.name && act.evidence == feature.evidence);
        if !known && citations.len() < MOST_CITATIONS - 2 {
            citations.push(feature.citation());
        }
    }
    citations.truncate(MOST_CITATIONS);
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
    let (malicious, benign) = (classification == Classification::TruePositive, is_benign(classification));
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

fn is_benign(classification: Classification) -> bool {
    matches!(classification, Classification::FalsePositive | Classification::InformationalExpectedActivity)
}

fn contradictions(classification: Classification, features: &[Feature]) -> Vec<String> {
    let against = |feature: &&Feature| match classification {
        Classification::TruePositive => feature.value <= -STRONG,
        Classification::FalsePositive | Classification::InformationalExpectedActivity => feature.value >= STRONG,
        Classification::Undetermined => false,
    };
    features.iter().filter(against).map(|feature| feature.says.clone()).collect()
}

/// Asks about one event. Host, account, program and time are all of that event, so that nobody is asked about something
/// that never happened.
fn question(
    classification: Classification,
    host: &str,
    act: Option<&SeenEvent>,
    harm: Option<&Feature>,
) -> HumanQuestion {
    let what = act.map_or_else(|| format!("something acted on {host}"), wording::sentence);
    let threat = classification == Classification::TruePositive;
    let question = match (threat, harm) {
        (true, _) => format!("{what}. Was that an authorised test or change? If not, what is contained?"),
        (false, Some(feature)) => format!("{what}: {}. Did they mean to, and is it known to its owner?", feature.says),
        (false, None) => format!("{what}. Did they mean to, and is it known to its owner?"),
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

/// The smallest single change that would cross a threshold.
fn would_change(score: &Score, features: &[Feature]) -> String {
    let policy = RoutePolicy::default();
    let crosses = |feature: &&Feature| {
        // The one proof on which a machine closes: without it nothing is closed, whatever the odds.
        if fingerprint::CLOSING.contains(&feature.name) {
            return true;
        }
        let without = score::probability(score.total() - feature.value);
        let band = |p: f64| (p >= policy.escalate_at, p <= policy.close_at());
        band(without) != band(score.probability)
    };
    let smallest = features.iter().filter(crosses).min_by(|a, b| a.value.abs().total_cmp(&b.value.abs()));
    match smallest {
        Some(feature) if fingerprint::CLOSING.contains(&feature.name) => {
            "another account, parent or command, or a child other than its own compiler and console".into()
        }
        Some(feature) => format!("without this it would be judged otherwise: {} ({})", feature.says, feature.evidence),
        None if features.is_empty() => {
            "any fact that shows what it did: so far only the rule's own level counts".into()
        }
        None => "nothing alone: without any one of these facts it would be judged the same".into(),
    }
}
