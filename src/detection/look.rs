//! A look at one event with the rules, whoever delivered it: long values are shown shortened, quotes stay true, and an
//! event that breaks the rules' engine costs its own alerts and nobody else's.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::read::{keep_true_quotes, seen_by_rules};
use super::sigma::{Match, RuleSet};
use crate::domain::event::Event;

/// The rules' engine broke on an event: it can be stored, and no rule judged it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rules' engine broke on it: it is stored and was not judged; please report it with the rules in use")]
pub struct RulesBroke;

/// What the rules find in an event alone.
///
/// # Errors
/// When a rule breaks on it.
pub fn look(rules: &RuleSet, event: &Event) -> Result<Vec<Match>, RulesBroke> {
    let shown = seen_by_rules(event);
    // Rules are only read, so that nothing half done can be seen afterwards.
    let mut found = catch_unwind(AssertUnwindSafe(|| rules.matches(&shown))).map_err(|_| RulesBroke)?;
    if matches!(shown, Cow::Owned(_)) {
        found.iter_mut().for_each(|found| keep_true_quotes(found.alert_mut(), event));
    }
    Ok(found)
}
