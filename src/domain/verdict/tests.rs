//! Verdicts: what each needs, what is refused, and drafts for the tests of others.

use super::*;
use crate::domain::draft::YesNoUnknown;
use crate::domain::evidence::tests::{citation, process_event};
use crate::domain::evidence::{Quote, VerifiedEvidence};

pub(crate) fn draft(classification: Classification, probability: f64) -> Draft {
    Draft {
        classification,
        determination: match classification {
            Classification::TruePositive => Some(Determination::OtherThreat),
            Classification::InformationalExpectedActivity => Some(Determination::LineOfBusiness),
            Classification::FalsePositive => Some(Determination::NotMalicious),
            Classification::Undetermined => None,
        },
        malicious_probability: probability,
        self_reported: None,
        headline: "A headline".into(),
        story: "A story.".into(),
        techniques: vec![],
        citations: vec![],
        hypotheses: vec![],
        answers: vec![],
        unknowns: vec![],
        contradictions: vec![],
        containment: vec![],
        human_question: (classification == Classification::Undetermined).then(|| HumanQuestion {
            question: "Is it yours?".into(),
            options: vec!["yes".into(), "no".into()],
            default_if_silent: "stays open".into(),
        }),
        question_for_receiver: None,
        would_change: None,
        origins: vec![],
    }
}

pub(crate) fn seen(field: &str, value: &str, weight: Weight, strength: Strength) -> Evidence {
    Evidence::Seen(
        VerifiedEvidence::check(&citation(field, value, weight, strength), &process_event()).expect("a true quote"),
    )
}

pub(crate) fn judged(draft: Draft, evidence: Vec<Evidence>) -> Result<Verdict, Vec<Rejection>> {
    Verdict::judge(draft, evidence, &BTreeSet::from([EvidenceId::new(1)]), &[])
}

pub(crate) fn harm() -> Evidence {
    seen("winlog.event_data.CommandLine", "MiniDump", Weight::ForMalicious, Strength::Strong)
}

pub(crate) fn harmless() -> Evidence {
    seen("winlog.event_data.IntegrityLevel", "High", Weight::ForBenign, Strength::Strong)
}

#[test]
fn benign_needs_proof_the_author_could_not_write() {
    for class in [Classification::FalsePositive, Classification::InformationalExpectedActivity] {
        let own_words = seen("winlog.event_data.CommandLine", "rundll32", Weight::ForBenign, Strength::Decisive);
        let weak = seen("winlog.event_data.IntegrityLevel", "High", Weight::ForBenign, Strength::Moderate);
        for evidence in [vec![own_words], vec![weak], vec![harm()]] {
            assert_eq!(judged(draft(class, 0.01), evidence), Err(vec![Rejection::NoBenignProof]));
        }
        assert!(judged(draft(class, 0.01), vec![harmless()]).is_ok());
    }
}

#[test]
fn a_true_positive_needs_behaviour() {
    let label = seen("rule.name", "T1003", Weight::ForMalicious, Strength::Decisive);
    assert_eq!(judged(draft(Classification::TruePositive, 0.9), vec![label]), Err(vec![Rejection::NoProofOfHarm]));
    let mut nearby = citation("winlog.event_data.CommandLine", "MiniDump", Weight::ForMalicious, Strength::Decisive);
    nearby.family = Family::Context;
    let nearby = Evidence::Seen(VerifiedEvidence::check(&nearby, &process_event()).expect("a true quote"));
    assert_eq!(judged(draft(Classification::TruePositive, 0.9), vec![nearby]), Err(vec![Rejection::NoProofOfHarm]));
    assert!(judged(draft(Classification::TruePositive, 0.9), vec![harm()]).is_ok());
}

#[test]
fn contradictory_drafts_are_rejected_with_every_reason() {
    let mut wrong = draft(Classification::TruePositive, 0.2);
    wrong.determination = Some(Determination::NotMalicious);
    let reasons = judged(wrong, vec![]).expect_err("it contradicts itself");
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert!(judged(draft(Classification::Undetermined, f64::NAN), vec![harm()]).is_err());
}

#[test]
fn confidence_is_derived_and_the_analysts_word_is_ignored() {
    let mut boastful = draft(Classification::TruePositive, 0.99);
    boastful.self_reported = Some(Confidence::High);
    let verdict = judged(boastful, vec![harm()]).expect("it stands");
    assert_eq!(verdict.confidence(), Confidence::Low, "coverage is nil");
}

#[test]
fn coverage_counts_only_answers_with_known_evidence() {
    let playbook = [Question { id: "q1", asks: "?", weight: 3.0 }, Question { id: "q2", asks: "?", weight: 1.0 }];
    let mut draft = draft(Classification::Undetermined, 0.3);
    let answer = |question: &str, evidence: u32| crate::domain::draft::Answer {
        question: question.into(),
        answer: YesNoUnknown::Yes,
        evidence: vec![EvidenceId::new(evidence)],
        why_unknown: None,
    };
    draft.answers = vec![answer("q1", 1), answer("q2", 9)];
    let known = BTreeSet::from([EvidenceId::new(1)]);
    let verdict = Verdict::judge(draft, vec![harm()], &known, &playbook).expect("it stands");
    assert!((verdict.coverage().share() - 0.75).abs() < 1e-9);
}

#[test]
fn quotes_are_what_the_type_promises() {
    let Evidence::Seen(evidence) = harm() else { unreachable!("it was seen") };
    assert_eq!(evidence.quotes(), [Quote { field: "winlog.event_data.CommandLine".into(), value: "MiniDump".into() }]);
}
