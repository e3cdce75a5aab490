//! Features: what a piece of evidence means, as a declared step of log-odds in one family.

use crate::domain::evidence::{Citation, Family, Quote, Strength, Weight};
use crate::domain::ids::EvidenceId;
use crate::domain::words::excerpt;

/// Most characters of what a citation claims, the mark of what was cut left out.
const LONGEST_CLAIM: usize = 159;

/// Five fixed steps of the likelihood ratio, as natural logarithms: nothing is fitted to samples.
/// A ratio of about 1.5.
pub const WEAK: f64 = 0.4;
/// About 2.
pub const MODERATE: f64 = 0.7;
/// About 4.
pub const STRONG: f64 = 1.4;
/// About 10.
pub const VERY_STRONG: f64 = 2.3;
/// About 30.
pub const DECISIVE: f64 = 3.4;

/// Whether harm goes on, and where: what an isolation would stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Harm {
    /// Nothing that an isolation would stop at once: preparation, persistence, looking around.
    #[default]
    Latent,
    /// Credentials are exposed, code is controlled from elsewhere, others are being attacked, data are being destroyed.
    Active,
    /// The same, logged by the machine it is done to and not by the one that does it.
    AtVictim,
}

/// Something that was seen and what it means.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// Its name; a feature counts once however often it is seen.
    pub name: &'static str,
    /// The family it belongs to.
    pub family: Family,
    /// Log-odds: positive towards malicious.
    pub value: f64,
    /// What was seen, in a sentence.
    pub says: String,
    /// What shows it.
    pub evidence: EvidenceId,
    /// The fields that show it; empty only for a counted absence.
    pub quotes: Vec<Quote>,
    /// Whether it is harm that goes on.
    pub harm: Harm,
}

impl Feature {
    /// The same, as harm that goes on.
    #[must_use]
    pub fn active(self) -> Self {
        Self { harm: Harm::Active, ..self }
    }

    /// The same, as harm that goes on elsewhere.
    #[must_use]
    pub fn at_victim(self) -> Self {
        Self { harm: Harm::AtVictim, ..self }
    }

    /// What was only seen near the case and is not known to belong to it: a reason to look, one step of context.
    #[must_use]
    pub fn nearby(self) -> Self {
        let says = format!("near it on the same machine: {}", self.says);
        Self { name: "an act nearby", family: Family::Context, value: MODERATE, says, harm: Harm::Latent, ..self }
    }

    /// It shows an act of harm, strongly, by itself: not by what others said nearby.
    #[must_use]
    pub fn is_strong_act(&self) -> bool {
        self.value >= STRONG && self.family != Family::Context
    }

    /// The feature as a citation.
    #[must_use]
    pub fn citation(&self) -> Citation {
        let size = self.value.abs();
        let strength = match size {
            s if s >= VERY_STRONG => Strength::Decisive,
            s if s >= STRONG => Strength::Strong,
            s if s >= MODERATE => Strength::Moderate,
            _ => Strength::Weak,
        };
        let weight = match self.value {
            v if v > 0.0 => Weight::ForMalicious,
            v if v < 0.0 => Weight::ForBenign,
            _ => Weight::Neutral,
        };
        // What other rules said is a reason to look, never the strongest thing that was seen.
        let strength = if self.family == Family::Context { strength.min(Strength::Moderate) } else { strength };
        Citation {
            evidence: self.evidence,
            quotes: self.quotes.clone(),
            says: excerpt(&self.says, LONGEST_CLAIM).into_owned(),
            weight,
            strength,
            family: self.family,
        }
    }
}
