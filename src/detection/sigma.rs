//! Sigma rules over events: every rule looks only at the events of its log source, and every match becomes an
//! alert that quotes the event word for word.
//!
//! Left out on purpose: `process_creation` rules on Security 4688. On a host with Sysmon they would double every
//! alert, and whether a host has Sysmon cannot be known while its events still arrive in any order.

mod alerts;
#[cfg(test)]
mod builtin_correlations;
#[cfg(test)]
mod builtin_tests;
mod load;
mod route;
#[cfg(test)]
mod tests;
mod view;

use std::collections::HashMap;
use std::sync::Arc;

use rsigma_eval::{Engine, MatchDetailLevel};

pub use self::load::RuleError;
use self::route::{LogSources, Route};
use self::view::View;
use crate::domain::alert::{Alert, RuleCard, Severity};
use crate::domain::event::Event;
use crate::domain::ids::RuleId;

/// A rule that could not be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The rule's file.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Compiled rules, ready to look at events.
pub struct RuleSet {
    /// One engine per log source, so that an event meets no rule of another.
    engines: Vec<(Route, Engine)>,
    sources: LogSources,
    cards: HashMap<RuleId, Arc<RuleCard>>,
    rejected: Vec<Rejected>,
    unreachable: Vec<RuleId>,
}

impl std::fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleSet")
            .field("rules", &self.cards.len())
            .field("rejected", &self.rejected)
            .finish_non_exhaustive()
    }
}

impl RuleSet {
    /// How many rules are in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cards.len()
    }

    /// No rule is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cards.is_empty()
    }

    /// Rules that could not be used, each with its reason; the others work.
    #[must_use]
    pub fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }

    /// Rules that are in use but whose log source no event of this version comes from.
    #[must_use]
    pub fn unreachable(&self) -> &[RuleId] {
        &self.unreachable
    }

    /// What is known of a rule.
    #[must_use]
    pub fn card(&self, id: &RuleId) -> Option<&RuleCard> {
        self.cards.get(id).map(Arc::as_ref)
    }

    /// The alerts an event raises, in order of their rules' ids. Informational rules raise none.
    #[must_use]
    pub fn detect(&self, event: &Event) -> Vec<Alert> {
        let view = View::of(event);
        let mut found: Vec<Alert> = self
            .sources
            .of(event)
            .flat_map(|position| self.engines[position].1.evaluate(&view))
            .filter_map(|result| {
                let id = load::rule_id(result.header.rule_id.as_deref(), &result.header.rule_title);
                let card = self.cards.get(&id)?;
                let matched = &result.as_detection()?.matched_fields;
                (card.level > Severity::Informational).then(|| alerts::alert(card, event, &view, matched))
            })
            .collect();
        found.sort_by(|one, other| one.rule.id.cmp(&other.rule.id));
        found
    }
}

/// An engine that reports which pattern matched which field.
fn engine() -> Engine {
    let mut engine = Engine::new();
    engine.set_match_detail(MatchDetailLevel::Full);
    engine
}
