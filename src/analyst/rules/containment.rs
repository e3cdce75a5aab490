//! Which machines the analyst wishes to have isolated: where harm goes on, and where it provenly came from.

use super::feature::{Feature, Harm, STRONG};
use super::seen::Seen;
use super::{authority, origin};
use crate::domain::containment::Action;
use crate::domain::draft::{Classification, ContainmentWish};
use crate::domain::entity::HostName;
use crate::domain::evidence::Family;
use crate::domain::route::RoutePolicy;

/// The wishes of a judgement (`analyst.md` §2.0): a true positive of at least the policy's probability, an effect and
/// another family, harm that goes on. Never a domain controller, never a machine that only logged what was done to it.
#[must_use]
pub fn wishes(
    classification: Classification,
    probability: f64,
    policy: &RoutePolicy,
    seen: &Seen,
    features: &[Feature],
) -> Vec<ContainmentWish> {
    let effect = features.iter().any(|feature| feature.family == Family::Effect && feature.value >= STRONG);
    if classification != Classification::TruePositive || probability < policy.contain_at || !effect {
        return vec![];
    }
    let mut wishes: Vec<ContainmentWish> = Vec::new();
    let mut wish = |host: &HostName, because: &str, evidence: &[crate::domain::ids::EvidenceId]| {
        // Nobody can isolate a machine that no log names, and no machine cuts off a domain controller.
        if host.is_unknown() || is_domain_controller(host, seen) {
            return;
        }
        match wishes.iter_mut().find(|wish| wish.host == *host) {
            Some(known) => known
                .evidence
                .extend(evidence.iter().filter(|id| !known.evidence.contains(id)).copied().collect::<Vec<_>>()),
            None => wishes.push(ContainmentWish {
                action: Action::IsolateDevice,
                host: host.clone(),
                because: because.to_owned(),
                evidence: evidence.to_vec(),
            }),
        }
    };
    for feature in features.iter().filter(|feature| feature.harm == Harm::Active && feature.value >= STRONG) {
        if let Some(event) = seen.events.get(&feature.evidence) {
            wish(&event.view.host, &feature.says, &[feature.evidence]);
        }
    }
    // What was done to one machine was done from another; the act itself has to be strong on the machine it reached.
    let acted_on = |host: &HostName| {
        features.iter().any(|feature| {
            feature.is_strong_act()
                && feature.family == Family::Effect
                && seen.events.get(&feature.evidence).is_some_and(|event| event.view.host == *host)
        })
    };
    for origin in origin::proven(seen) {
        // Administrators reach machines too: the origin itself has to show a program that has no business to, or an act.
        let shows_harm = origin.by_loose_program || acted_on(&origin.host);
        if acted_on(&origin.reached) && shows_harm && authority::is_asked_about(&origin.host, seen) {
            let because = format!("its own log shows the connection by which {} was attacked", origin.reached);
            wish(&origin.host, &because, &origin.evidence);
        }
    }
    wishes
}

/// Why no isolation is wished for, though it is a threat: silence would look like an omission.
#[must_use]
pub fn why_none(probability: f64, policy: &RoutePolicy, seen: &Seen, features: &[Feature]) -> String {
    let percent = |p: f64| format!("{:.1} %", p * 100.0);
    if probability < policy.contain_at {
        return format!("{} is below the {} from which one is", percent(probability), percent(policy.contain_at));
    }
    if !features.iter().any(|feature| feature.family == Family::Effect && feature.value >= STRONG) {
        return "no strong effect on a machine was seen, only what points to one".into();
    }
    let active: Vec<&Feature> =
        features.iter().filter(|feature| feature.harm == Harm::Active && feature.value >= STRONG).collect();
    let on = |feature: &&Feature| seen.events.get(&feature.evidence).map(|event| &event.view.host);
    match active.iter().find_map(on) {
        Some(host) if host.is_unknown() => "no log names the machine".into(),
        Some(host) => format!("{host} is a domain controller or protected, and only a person cuts it off"),
        None if features.iter().any(|feature| feature.harm == Harm::AtVictim) => {
            "what was seen was done to this machine from another, which its own log does not prove".into()
        }
        None => "nothing was seen to go on that an isolation would stop".into(),
    }
}

/// A machine that issues tickets, as far as its events show, or is named like one: that only ever holds back.
#[must_use]
pub fn is_domain_controller(host: &HostName, seen: &Seen) -> bool {
    let issues = seen.events.values().any(|event| {
        event.view.host == *host && event.view.channel == "Security" && matches!(event.view.code, 4768 | 4769 | 4662)
    });
    issues || authority::is_protected(host, seen) || is_named_like_one(host.key())
}

/// `dc01`, `corp-dc2`, `muc-dc`: `dc` as a word, digits after it or not.
fn is_named_like_one(name: &str) -> bool {
    name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
        word == "dc" || word.ends_with("dc") && word.len() <= 6
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_controllers_are_held_back_by_their_names_too() {
        for name in ["DC01", "corp-dc2", "MUC-DC", "hqdc1"] {
            assert!(is_domain_controller(&HostName::new(name), &Seen::default()), "{name}");
        }
        for name in ["WKS-07", "dcops-workstation9", "fileserver", "vdcollector1"] {
            assert!(!is_domain_controller(&HostName::new(name), &Seen::default()), "{name}");
        }
    }
}
