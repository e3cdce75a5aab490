//! The verdict: a draft that was checked. Benign needs proof, and the proof is part of the type.

use std::collections::BTreeSet;

use serde::Serialize;

use super::draft::{Classification, Confidence, Determination, Draft, HumanQuestion, Stance, Unknown, YesNoUnknown};
use super::evidence::{Evidence, Family, Strength, Weight};
use super::ids::{EventId, EvidenceId};

/// At most this many citations are shown with a verdict.
pub const MOST_CITATIONS: usize = 12;

/// Longest headline, in characters.
const LONGEST_HEADLINE: usize = 140;

/// A playbook's question and its share of the whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Question {
    /// Its id, by which an analyst answers.
    pub id: &'static str,
    /// What is asked.
    pub asks: &'static str,
    /// Its weight; only the relation to the others matters.
    pub weight: f64,
}

/// Share of the playbook's questions that were answered with evidence, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Coverage(f64);

impl Coverage {
    /// Answered weight over total weight. An answer counts if it is a yes or a no and cites known evidence.
    fn of(playbook: &[Question], draft: &Draft, known: &BTreeSet<EvidenceId>) -> Self {
        let answered = |question: &&Question| {
            draft.answers.iter().any(|answer| {
                answer.question == question.id
                    && answer.answer != YesNoUnknown::Unknown
                    && !answer.evidence.is_empty()
                    && answer.evidence.iter().all(|id| known.contains(id))
            })
        };
        let weight = |questions: &mut dyn Iterator<Item = &Question>| {
            questions.map(|q| q.weight).fold(0.0, |sum, weight| sum + weight)
        };
        let total = weight(&mut playbook.iter());
        Self(if total > 0.0 { weight(&mut playbook.iter().filter(answered)) / total } else { 0.0 })
    }

    /// The share as a number.
    #[must_use]
    pub const fn share(self) -> f64 {
        self.0
    }
}

/// Proof that something harmful was done: at least one strong piece of seen evidence in which behaviour shows.
/// What other rules said nearby (the family *context*) is no behaviour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProofOfHarm(Vec<EvidenceId>);

/// Proof that the activity is harmless or expected: at least one strong piece of seen evidence, quoting
/// something that whoever acted could not have written. Absences and texts alone prove nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BenignProof(Vec<EvidenceId>);

impl ProofOfHarm {
    fn from(evidence: &[Evidence]) -> Option<Self> {
        let proving = evidence.iter().filter(|item| {
            item.weight() == Weight::ForMalicious
                && item.strength() >= Strength::Strong
                && item.family() != Family::Context
                && item.seen().is_some_and(super::evidence::VerifiedEvidence::proves_behaviour)
        });
        let ids: Vec<_> = proving.map(Evidence::id).collect();
        (!ids.is_empty()).then_some(Self(ids))
    }
}

impl BenignProof {
    fn from(evidence: &[Evidence]) -> Option<Self> {
        let proving = evidence.iter().filter(|item| {
            item.weight() == Weight::ForBenign
                && item.strength() >= Strength::Strong
                && item.seen().is_some_and(super::evidence::VerifiedEvidence::beyond_the_attackers_reach)
        });
        let ids: Vec<_> = proving.map(Evidence::id).collect();
        (!ids.is_empty()).then_some(Self(ids))
    }
}

/// What was concluded, with what the conclusion requires. Illegal combinations cannot be written.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "classification", rename_all = "snake_case")]
pub enum Conclusion {
    /// Malicious or unauthorised.
    TruePositive {
        /// Of which kind.
        determination: Determination,
        /// What shows it.
        proof: ProofOfHarm,
    },
    /// Expected, though the rule is right.
    InformationalExpectedActivity {
        /// Of which kind.
        determination: Determination,
        /// What shows it.
        proof: BenignProof,
    },
    /// The rule was wrong.
    FalsePositive {
        /// Of which kind.
        determination: Determination,
        /// What shows it.
        proof: BenignProof,
    },
    /// Not decided: a person is asked.
    Undetermined {
        /// What the person is asked.
        ask: HumanQuestion,
    },
}

/// Why a draft is no verdict. The texts go back to the analyst, once.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// A citation failed its check.
    #[error(transparent)]
    Citation(#[from] super::evidence::CitationError),
    /// Nothing was cited.
    #[error("a verdict rests on evidence: cite at least one piece")]
    NothingCited,
    /// Too much was cited.
    #[error("{0} citations: keep the {MOST_CITATIONS} that decide")]
    TooManyCitations(usize),
    /// The probability is no probability.
    #[error("malicious_probability is {0}: it is a number from 0 to 1")]
    NotAProbability(f64),
    /// The probability contradicts the classification.
    #[error("a probability of {probability} does not fit `{}`", .classification.name())]
    ProbabilityContradicts {
        /// The draft's classification.
        classification: Classification,
        /// The draft's probability.
        probability: f64,
    },
    /// The determination is missing or belongs to another classification.
    #[error("the determination does not belong to `{}`", .0.name())]
    WrongDetermination(Classification),
    /// A true positive without behaviour.
    #[error(
        "a true positive needs a strong quote of a field in which the behaviour shows; a rule's name, its level or a keyword is none"
    )]
    NoProofOfHarm,
    /// A benign verdict without proof.
    #[error(
        "a benign verdict needs a strong quote of something the activity's author could not have written; an absence or an earlier closure is none"
    )]
    NoBenignProof,
    /// Undetermined without a question.
    #[error("an undetermined verdict needs human_question: one answerable question with options and a default")]
    NoHumanQuestion,
    /// The headline is too long or empty.
    #[error("the headline has {0} characters: write 1 to {LONGEST_HEADLINE}")]
    Headline(usize),
}

/// A checked verdict. It can only be made by [`Verdict::judge`]; it cannot be deserialised.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    #[serde(flatten)]
    conclusion: Conclusion,
    malicious_probability: f64,
    confidence: Confidence,
    self_reported: Option<Confidence>,
    coverage: Coverage,
    evidence: Vec<Evidence>,
    #[serde(skip)]
    draft: Draft,
}

impl Verdict {
    /// Checks a draft against its verified evidence.
    ///
    /// `known` are the evidence ids handed out in the case; `playbook` the questions coverage is counted over.
    ///
    /// # Errors
    /// Every reason for which the draft cannot stand.
    pub fn judge(
        draft: Draft,
        evidence: Vec<Evidence>,
        known: &BTreeSet<EvidenceId>,
        playbook: &[Question],
    ) -> Result<Self, Vec<Rejection>> {
        let mut rejections = Vec::new();
        let classification = draft.classification;
        let probability = draft.malicious_probability;
        if evidence.is_empty() {
            rejections.push(Rejection::NothingCited);
        }
        if draft.citations.len() > MOST_CITATIONS {
            rejections.push(Rejection::TooManyCitations(draft.citations.len()));
        }
        let headline = draft.headline.chars().count();
        if headline == 0 || headline > LONGEST_HEADLINE {
            rejections.push(Rejection::Headline(headline));
        }
        if !(0.0..=1.0).contains(&probability) {
            rejections.push(Rejection::NotAProbability(probability));
        }
        let contradicts = match classification {
            Classification::TruePositive => probability < 0.5,
            Classification::FalsePositive | Classification::InformationalExpectedActivity => probability > 0.5,
            Classification::Undetermined => false,
        };
        if contradicts {
            rejections.push(Rejection::ProbabilityContradicts { classification, probability });
        }
        let conclusion = conclude(&draft, &evidence).map_err(|reason| rejections.push(reason));
        let (Ok(conclusion), true) = (conclusion, rejections.is_empty()) else { return Err(rejections) };
        let coverage = Coverage::of(playbook, &draft, known);
        let confidence = derive_confidence(&draft, &evidence, coverage);
        Ok(Self {
            conclusion,
            malicious_probability: probability,
            confidence,
            self_reported: draft.self_reported,
            coverage,
            evidence,
            draft,
        })
    }

    /// What was concluded.
    #[must_use]
    pub const fn conclusion(&self) -> &Conclusion {
        &self.conclusion
    }

    /// The conclusion's classification.
    #[must_use]
    pub const fn classification(&self) -> Classification {
        self.draft.classification
    }

    /// The conclusion's determination, unless undetermined.
    #[must_use]
    pub const fn determination(&self) -> Option<Determination> {
        match &self.conclusion {
            Conclusion::TruePositive { determination, .. }
            | Conclusion::InformationalExpectedActivity { determination, .. }
            | Conclusion::FalsePositive { determination, .. } => Some(*determination),
            Conclusion::Undetermined { .. } => None,
        }
    }

    /// Probability that the activity is malicious, from 0 to 1.
    #[must_use]
    pub const fn malicious_probability(&self) -> f64 {
        self.malicious_probability
    }

    /// Derived from coverage and independent families, never from the analyst's own word.
    #[must_use]
    pub const fn confidence(&self) -> Confidence {
        self.confidence
    }

    /// Share of the playbook that was answered.
    #[must_use]
    pub const fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// The checked evidence.
    #[must_use]
    pub fn evidence(&self) -> &[Evidence] {
        &self.evidence
    }

    /// The events whose harmless explanation the verdict rests on, none if it is not benign.
    #[must_use]
    pub fn explained(&self) -> Vec<&EventId> {
        let proof = match &self.conclusion {
            Conclusion::InformationalExpectedActivity { proof, .. } | Conclusion::FalsePositive { proof, .. } => {
                &proof.0
            }
            Conclusion::TruePositive { .. } | Conclusion::Undetermined { .. } => return vec![],
        };
        let proving = self.evidence.iter().filter(|item| proof.contains(&item.id()));
        let mut events: Vec<&EventId> =
            proving.filter_map(Evidence::seen).map(super::evidence::VerifiedEvidence::event).collect();
        events.sort();
        events.dedup();
        events
    }

    /// What is not known.
    #[must_use]
    pub fn unknowns(&self) -> &[Unknown] {
        &self.draft.unknowns
    }

    /// The draft's words: headline, story, wishes, questions.
    #[must_use]
    pub const fn words(&self) -> &Draft {
        &self.draft
    }

    /// The strongest evidence of a family that points to harm.
    #[must_use]
    pub fn strength_for_malicious(&self, family: Family) -> Option<Strength> {
        strongest(&self.evidence, Weight::ForMalicious, family)
    }

    /// How many independent families point to harm.
    #[must_use]
    pub fn families_for_malicious(&self) -> usize {
        families(&self.evidence, Weight::ForMalicious).len()
    }
}

fn conclude(draft: &Draft, evidence: &[Evidence]) -> Result<Conclusion, Rejection> {
    let classification = draft.classification;
    let determination = || {
        draft
            .determination
            .filter(|determination| determination.classification() == classification)
            .ok_or(Rejection::WrongDetermination(classification))
    };
    Ok(match classification {
        Classification::TruePositive => Conclusion::TruePositive {
            determination: determination()?,
            proof: ProofOfHarm::from(evidence).ok_or(Rejection::NoProofOfHarm)?,
        },
        Classification::InformationalExpectedActivity => Conclusion::InformationalExpectedActivity {
            determination: determination()?,
            proof: BenignProof::from(evidence).ok_or(Rejection::NoBenignProof)?,
        },
        Classification::FalsePositive => Conclusion::FalsePositive {
            determination: determination()?,
            proof: BenignProof::from(evidence).ok_or(Rejection::NoBenignProof)?,
        },
        Classification::Undetermined => Conclusion::Undetermined {
            ask: draft
                .human_question
                .clone()
                .filter(|ask| !ask.question.trim().is_empty())
                .ok_or(Rejection::NoHumanQuestion)?,
        },
    })
}

fn strongest(evidence: &[Evidence], weight: Weight, family: Family) -> Option<Strength> {
    evidence.iter().filter(|e| e.weight() == weight && e.family() == family).map(Evidence::strength).max()
}

fn families(evidence: &[Evidence], weight: Weight) -> BTreeSet<Family> {
    evidence.iter().filter(|e| e.weight() == weight).map(Evidence::family).collect()
}

/// Confidence by rule: High needs two independent families that agree, the best competing story ruled out
/// with cited evidence and a coverage of 0.8; Medium one strong family or two moderate ones, a coverage of
/// 0.6 and no contradiction; everything else is Low. An undetermined verdict is always Low.
fn derive_confidence(draft: &Draft, evidence: &[Evidence], coverage: Coverage) -> Confidence {
    let side = match draft.classification {
        Classification::TruePositive => Weight::ForMalicious,
        Classification::InformationalExpectedActivity | Classification::FalsePositive => Weight::ForBenign,
        Classification::Undetermined => return Confidence::Low,
    };
    let of_strength = |least| {
        let agreeing = evidence.iter().filter(|e| e.weight() == side && e.strength() >= least);
        agreeing.map(Evidence::family).collect::<BTreeSet<_>>().len()
    };
    let competing_is_malicious = side == Weight::ForBenign;
    let competing_ruled_out = draft.hypotheses.iter().any(|story| {
        story.malicious == competing_is_malicious
            && story.stance == Stance::RuledOut
            && !story.evidence_against.is_empty()
    });
    let consistent = draft.contradictions.is_empty();
    if of_strength(Strength::Strong) >= 2 && competing_ruled_out && coverage.0 >= 0.8 && consistent {
        Confidence::High
    } else if (of_strength(Strength::Strong) >= 1 || of_strength(Strength::Moderate) >= 2)
        && coverage.0 >= 0.6
        && consistent
    {
        Confidence::Medium
    } else {
        Confidence::Low
    }
}

/// The probability in words, after the intelligence services' yardstick.
#[must_use]
pub fn probability_words(probability: f64) -> &'static str {
    match probability {
        p if p < 0.05 => "almost certainly benign",
        p if p < 0.20 => "malicious unlikely",
        p if p < 0.50 => "malicious possible",
        p if p < 0.80 => "malicious likely",
        p if p < 0.95 => "malicious very likely",
        _ => "almost certainly malicious",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
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
        let mut nearby =
            citation("winlog.event_data.CommandLine", "MiniDump", Weight::ForMalicious, Strength::Decisive);
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
        assert_eq!(
            evidence.quotes(),
            [Quote { field: "winlog.event_data.CommandLine".into(), value: "MiniDump".into() }]
        );
    }
}
