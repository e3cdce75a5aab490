//! The built-in rule-based analyst: additive log-odds over families of evidence, every weight declared.
//!
//! It is an honest baseline, not a model. It reads the alerts, the process trees around them and what those
//! processes did, turns what it sees into features of nine families, adds them up within each family's cap,
//! and submits the sum with its evidence. It knows only what the tools showed it.

mod answers;
mod authority;
mod benign;
mod blocked;
mod containment;
mod content;
mod context;
mod draft;
mod effects;
mod feature;
mod fingerprint;
mod identity;
mod judgement;
mod lineage;
mod network;
mod origin;
mod plan;
mod rarity;
mod score;
mod seen;
mod story;
mod wording;

use async_trait::async_trait;

use self::seen::Seen;
use super::{Analyst, AnalystError, Brief, Move, Turn};
use crate::knowledge::canonical;

/// The analyst's name in verdicts and comments.
pub const NAME: &str = "built-in rules";

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub struct RuleAnalyst;

#[async_trait]
impl Analyst for RuleAnalyst {
    fn name(&self) -> &str {
        NAME
    }

    /// The declared weights and the program's version: the features are code.
    fn version(&self) -> String {
        canonical::digest(&(NAME, env!("CARGO_PKG_VERSION"), score::declared()))
    }

    fn is_free(&self) -> bool {
        true
    }

    async fn next(&self, brief: &Brief, turns: &[Turn]) -> Result<Move, AnalystError> {
        if let Some(Turn::Rejected(reasons)) = turns.last() {
            return Err(AnalystError::Failed(format!("its verdict was rejected: {}", reasons.join("; "))));
        }
        let seen = Seen::of(brief, turns);
        Ok(match turns.len() {
            0 => plan::first_look(brief),
            1 => plan::second_look(brief, &seen),
            2 => plan::closer_look(brief, &seen).unwrap_or_else(|| submit(brief, &seen)),
            3 => plan::origin_look(brief, &seen).unwrap_or_else(|| submit(brief, &seen)),
            _ => submit(brief, &seen),
        })
    }
}

fn submit(brief: &Brief, seen: &Seen) -> Move {
    Move::Submit { draft: Box::new(draft::draft(brief, seen)) }
}

#[cfg(test)]
mod tests;
