//! Figures over many scenarios of one provenance: recordings and written scenarios are never summed up together.

use serde::Serialize;

use super::label::{Kind, Provenance};
use super::score::{CaseScore, Isolations, MustCite, Outcome, ScenarioScore};
use crate::domain::case::{HoldCause, HoldQueue, Status};
use crate::domain::draft::Classification;

/// How much better the floor's probabilities are than the classes' base rates: 1 is perfect, 0 no better, below 0 worse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct BrierSkill {
    /// Over cases of attacks.
    pub attack: Option<f64>,
    /// Over cases of benign scenarios.
    pub benign: Option<f64>,
}

/// The figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Totals {
    /// Of which scenarios they are.
    pub of: Provenance,
    /// How many there are.
    pub scenarios: u64,
    /// Attacks, silent ones among them.
    pub attacks: u64,
    /// Attacks of which the rules saw something.
    pub attacks_with_alerts: u64,
    /// Of those, ended as true positives.
    pub detected: u64,
    /// Of those, a person is asked.
    pub held: u64,
    /// Of those, neither.
    pub missed: u64,
    /// Cases of an incident that the floor ended itself, at any step of a replay.
    pub wrong_closes: u64,
    /// Cases of benign scenarios: each is one of the next four.
    pub benign_cases: u64,
    /// Resolved.
    pub benign_resolved: u64,
    /// On hold since a rule reserves the decision for a person.
    pub benign_mandatory_human: u64,
    /// On hold for another reason, or not judged.
    pub benign_held: u64,
    /// Called a true positive.
    pub benign_escalated: u64,
    /// Cases of benign scenarios whose label says that a machine may close them.
    pub benign_closable: u64,
    /// Those of them that it closed.
    pub benign_closable_resolved: u64,
    /// Steps of all replays at whose end something was judged.
    pub steps: u64,
    /// How often a verdict was another than the one before it.
    pub changed_verdicts: u64,
    /// Alerts of bystanders of attacks.
    pub bystander_alerts: u64,
    /// Those of them in a case of the incident.
    pub bystander_alerts_joined: u64,
    /// Isolations.
    pub isolations: Isolations,
    /// What was to be quoted.
    pub must_cite: MustCite,
    /// Citations of all verdicts.
    pub citations: u64,
    /// Those that the input bears out.
    pub citations_verified: u64,
    /// Cases that have a verdict and cite nothing.
    pub verdicts_without_citation: u64,
    /// Cases of incidents, all together.
    pub incident_cases: u64,
    /// Attacks with such a case.
    pub incidents: u64,
    /// Cases an attack came to, on average over attacks with a case; `None` without any.
    pub cases_per_incident: Option<f64>,
    /// All cases.
    pub cases: u64,
    /// Cases on hold that a person's word ends.
    pub needs_decision: u64,
    /// Cases on hold that lack a fact.
    pub needs_information: u64,
    /// How good the probabilities are.
    pub brier_skill: BrierSkill,
    /// Events read.
    pub events: u64,
    /// Events over the seconds that scoring all of them took, reading the log again for the citations included.
    pub events_per_second: f64,
}

impl Totals {
    /// Sums up the scenarios of this provenance, which were scored in so many seconds; `None` if there are none.
    #[must_use]
    pub fn of(all: &[ScenarioScore], of: Provenance, seconds: f64) -> Option<Self> {
        let scored: Vec<&ScenarioScore> = all.iter().filter(|one| one.source == of).collect();
        if scored.is_empty() {
            return None;
        }
        let attacks: Vec<&ScenarioScore> = scored.iter().copied().filter(|one| one.is.is_attack()).collect();
        let ended = |as_what: Outcome| attacks.iter().filter(|one| one.outcome == as_what).count() as u64;
        let (detected, held, missed) = (ended(Outcome::Detected), ended(Outcome::Held), ended(Outcome::Missed));
        let cases = || scored.iter().flat_map(|one| &one.cases);
        let benign = scored.iter().filter(|one| one.is == Kind::Benign).flat_map(|one| &one.cases);
        let benign: Vec<Ended> = benign.map(Ended::of).collect();
        let benign_as = |what: Ended| benign.iter().filter(|ended| **ended == what).count() as u64;
        let closable = scored.iter().filter(|one| one.is == Kind::Benign && one.closable == Some(true));
        let closable: Vec<Ended> = closable.flat_map(|one| &one.cases).map(Ended::of).collect();
        let waits = |queue| cases().filter(|case| case.hold_reason == Some(queue)).count() as u64;
        let sum = |of: fn(&ScenarioScore) -> u64| scored.iter().map(|one| of(one)).sum::<u64>();
        let incidents: Vec<usize> =
            attacks.iter().map(|one| one.incident_cases.len()).filter(|cases| *cases > 0).collect();
        let events = sum(|one| one.events);
        Some(Self {
            of,
            scenarios: scored.len() as u64,
            attacks: attacks.len() as u64,
            attacks_with_alerts: detected + held + missed,
            detected,
            held,
            missed,
            wrong_closes: sum(|one| one.wrong_closes),
            benign_cases: benign.len() as u64,
            benign_resolved: benign_as(Ended::Resolved),
            benign_mandatory_human: benign_as(Ended::MandatoryHuman),
            benign_held: benign_as(Ended::Held),
            benign_escalated: benign_as(Ended::Escalated),
            benign_closable: closable.len() as u64,
            benign_closable_resolved: closable.iter().filter(|ended| **ended == Ended::Resolved).count() as u64,
            steps: sum(|one| one.steps),
            changed_verdicts: sum(|one| one.changed_verdicts),
            bystander_alerts: sum(|one| one.bystander_alerts),
            bystander_alerts_joined: sum(|one| one.bystander_alerts_joined),
            isolations: Isolations {
                wanted: sum(|one| one.isolations.wanted),
                proposed: sum(|one| one.isolations.proposed),
                wrong: sum(|one| one.isolations.wrong),
            },
            must_cite: MustCite { wanted: sum(|one| one.must_cite.wanted), shown: sum(|one| one.must_cite.shown) },
            citations: cases().map(|case| case.citations.total).sum(),
            citations_verified: cases().map(|case| case.citations.verified).sum(),
            verdicts_without_citation: cases()
                .filter(|case| case.classification.is_some() && case.citations.total == 0)
                .count() as u64,
            incident_cases: incidents.iter().sum::<usize>() as u64,
            incidents: incidents.len() as u64,
            cases_per_incident: (!incidents.is_empty())
                .then(|| incidents.iter().sum::<usize>() as f64 / incidents.len() as f64),
            cases: cases().count() as u64,
            needs_decision: waits(HoldQueue::NeedsDecision),
            needs_information: waits(HoldQueue::NeedsInformation),
            brier_skill: brier_skill(&scored),
            events,
            events_per_second: if seconds > 0.0 { events as f64 / seconds } else { 0.0 },
        })
    }

    /// Nothing was missed, nothing wrongly closed, and every citation is true.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.missed == 0 && self.wrong_closes == 0 && self.citations == self.citations_verified
    }
}

/// How a case of a benign scenario ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Resolved,
    MandatoryHuman,
    Held,
    Escalated,
}

impl Ended {
    fn of(case: &CaseScore) -> Self {
        match (case.status, case.classification, case.hold_cause) {
            (Status::Resolved | Status::Closed, ..) => Self::Resolved,
            (_, Some(Classification::TruePositive), _) => Self::Escalated,
            (_, _, Some(HoldCause::PolicyRequiresHuman)) => Self::MandatoryHuman,
            _ => Self::Held,
        }
    }
}

/// The Brier score of a class's cases, against that of somebody who knows only how many of all cases are of the class
/// and says so each time. With cases of one class alone that somebody is always right, and there is nothing to say.
fn brier_skill(scored: &[&ScenarioScore]) -> BrierSkill {
    let mut attack = Vec::new();
    let mut benign = Vec::new();
    for one in scored {
        let of_incident = |case: &&CaseScore| one.incident_cases.contains(&case.id);
        match one.is {
            Kind::Attack | Kind::SilentAttack => {
                attack.extend(one.cases.iter().filter(of_incident).filter_map(|case| case.probability));
            }
            // Of a benign case the forecast is that it is benign.
            Kind::Benign => benign.extend(one.cases.iter().filter_map(|case| case.probability).map(|p| 1.0 - p)),
            Kind::Other => {}
        }
    }
    let all = attack.len() + benign.len();
    let skill = |forecasts: &[f64]| {
        let base = forecasts.len() as f64 / all as f64;
        let reference = (1.0 - base).powi(2);
        let score = forecasts.iter().map(|p| (1.0 - p).powi(2)).sum::<f64>() / forecasts.len() as f64;
        (!forecasts.is_empty() && reference > 0.0).then(|| 1.0 - score / reference)
    };
    BrierSkill { attack: skill(&attack), benign: skill(&benign) }
}

#[cfg(test)]
mod tests {
    use super::super::score::tests::{case, scenario};
    use super::*;

    #[test]
    fn attacks_are_counted_by_what_became_of_them() {
        let scored = [
            scenario(r#"{"id":"a","kind":"attack"}"#, vec![case(1, &["a"]).judged(Classification::TruePositive, 0.9)]),
            scenario(r#"{"id":"b","kind":"attack"}"#, vec![case(1, &["a"]).held(HoldCause::InsufficientTelemetry)]),
            scenario(r#"{"id":"c","kind":"attack"}"#, vec![case(1, &["a"]).resolved(), case(2, &["a"]).resolved()]),
            scenario(r#"{"id":"d","kind":"silent_attack"}"#, vec![]),
            scenario(r#"{"id":"e","kind":"rehearsal"}"#, vec![case(1, &["a"]).resolved()]),
        ];
        let totals = Totals::of(&scored, Provenance::Recorded, 2.0).expect("recordings");
        assert_eq!((totals.attacks, totals.attacks_with_alerts), (4, 3));
        assert_eq!((totals.detected, totals.held, totals.missed, totals.wrong_closes), (1, 1, 1, 2));
        assert_eq!((totals.needs_decision, totals.needs_information), (0, 1));
        assert_eq!(totals.cases_per_incident, Some(4.0 / 3.0));
        assert!(!totals.is_clean());
        assert!((totals.events_per_second - 25.0).abs() < 1e-9);
        assert_eq!(Totals::of(&scored, Provenance::Written, 2.0), None);
    }

    #[test]
    fn benign_cases_are_each_counted_once() {
        let cases = vec![
            case(1, &["a"]).resolved(),
            case(2, &["a"]).judged(Classification::TruePositive, 0.9).held(HoldCause::ConfirmedThreat),
            case(3, &["a"]).judged(Classification::FalsePositive, 0.1).held(HoldCause::PolicyRequiresHuman),
            case(4, &["a"]).held(HoldCause::InsufficientTelemetry),
            case(5, &["a"]),
        ];
        let scored = [scenario(r#"{"id":"a","kind":"benign"}"#, cases)];
        let totals = Totals::of(&scored, Provenance::Recorded, 1.0).expect("recordings");
        let counted = [
            totals.benign_cases,
            totals.benign_resolved,
            totals.benign_mandatory_human,
            totals.benign_held,
            totals.benign_escalated,
        ];
        assert_eq!(counted, [5, 1, 1, 2, 1]);
        assert_eq!(totals.benign_closable, 0, "the label does not say");
        assert!(totals.is_clean(), "a false alarm is no reason for another exit code");
    }

    #[test]
    fn what_a_machine_may_close_is_what_the_label_says_and_not_what_the_floor_left_to_people() {
        let scored = |label: &str| {
            let reserved = case(2, &["a"]).held(HoldCause::PolicyRequiresHuman);
            let scored = [scenario(label, vec![case(1, &["a"]).resolved(), reserved])];
            let totals = Totals::of(&scored, Provenance::Recorded, 1.0).expect("a recording");
            (totals.benign_closable, totals.benign_closable_resolved)
        };
        assert_eq!(scored(r#"{"id":"a","kind":"benign","expected":{"closable":true}}"#), (2, 1));
        assert_eq!(scored(r#"{"id":"a","kind":"benign","expected":{"closable":false}}"#), (0, 0));
        assert_eq!(scored(r#"{"id":"a","kind":"benign","expected":{"closable":null}}"#), (0, 0));
    }

    #[test]
    fn written_and_recorded_are_summed_up_apart() {
        let held = || vec![case(1, &["a"]).held(HoldCause::ConfirmedThreat)];
        let scored = [
            scenario(r#"{"id":"a","kind":"attack"}"#, held()),
            scenario(r#"{"id":"b","kind":"attack","written":true}"#, held()),
            scenario(r#"{"id":"c","kind":"attack","written":true}"#, held()),
        ];
        let held = |of| Totals::of(&scored, of, 1.0).map(|totals| (totals.scenarios, totals.held));
        assert_eq!(held(Provenance::Recorded), Some((1, 1)));
        assert_eq!(held(Provenance::Written), Some((2, 2)));
    }

    #[test]
    fn an_untrue_citation_is_no_clean_score() {
        let mut untrue = case(1, &["a"]).held(HoldCause::ConfirmedThreat);
        untrue.citations.total = 2;
        untrue.citations.verified = 1;
        let totals = Totals::of(&[scenario(r#"{"id":"a","kind":"attack"}"#, vec![untrue])], Provenance::Recorded, 1.0)
            .expect("a recording");
        assert_eq!((totals.citations, totals.citations_verified), (2, 1));
        assert!(!totals.is_clean());
    }

    #[test]
    fn skill_is_measured_against_the_base_rate_and_needs_both_classes() {
        let attack = |p| {
            let malicious = case(1, &["a"]).judged(Classification::TruePositive, p);
            scenario(r#"{"id":"a","kind":"attack"}"#, vec![malicious])
        };
        let benign = |p| {
            let harmless = case(1, &["a"]).judged(Classification::FalsePositive, p);
            scenario(r#"{"id":"b","kind":"benign"}"#, vec![harmless])
        };
        let skill =
            |scored: &[ScenarioScore]| Totals::of(scored, Provenance::Recorded, 1.0).expect("recordings").brier_skill;
        assert_eq!(skill(&[attack(0.9)]), BrierSkill::default(), "whoever says 1 each time is right");
        assert_eq!(skill(&[attack(1.0), benign(0.0)]), BrierSkill { attack: Some(1.0), benign: Some(1.0) });
        assert_eq!(skill(&[attack(0.5), benign(0.5)]), BrierSkill { attack: Some(0.0), benign: Some(0.0) });
        let wrong = skill(&[attack(0.0), benign(0.0)]);
        assert_eq!(wrong, BrierSkill { attack: Some(-3.0), benign: Some(1.0) });
    }
}
