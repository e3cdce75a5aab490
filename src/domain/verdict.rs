//! The verdict: a draft that was checked. Benign needs proof, and the proof is part of the type.

mod confidence;

use std::collections::BTreeSet;

use serde::Serialize;

use self::confidence::derive_confidence;
pub use self::confidence::{Coverage, Question, probability_words};
use super::draft::{Classification, Confidence, Determination, Draft, HumanQuestion, Unknown};
use super::evidence::{Evidence, Family, Strength, Weight};
use super::ids::{EventId, EvidenceId};

/// At most this many citations are shown with a verdict.
pub const MOST_CITATIONS: usize = 12;

/// Longest headline, in characters.
pub const LONGEST_HEADLINE: usize = 140;

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

#[cfg(test)]
pub(crate) mod tests;
