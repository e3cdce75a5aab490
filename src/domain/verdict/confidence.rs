//! How sure code is of a verdict: from the share of the playbook that was answered and from independent families of
//! evidence, never from the analyst's own word.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::domain::draft::{Classification, Confidence, Draft, Stance, YesNoUnknown};
use crate::domain::evidence::{Evidence, Strength, Weight};
use crate::domain::ids::EvidenceId;

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
    pub(super) fn of(playbook: &[Question], draft: &Draft, known: &BTreeSet<EvidenceId>) -> Self {
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

/// Confidence by rule: High needs two independent families that agree, the best competing story ruled out
/// with cited evidence and a coverage of 0.8; Medium one strong family or two moderate ones, a coverage of
/// 0.6 and no contradiction; everything else is Low. An undetermined verdict is always Low.
pub(super) fn derive_confidence(draft: &Draft, evidence: &[Evidence], coverage: Coverage) -> Confidence {
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
