//! What is known of a rule: the card that every alert carries, and what a rule leaves unsaid.

use rsigma_parser::{CorrelationRule, Level, SigmaRule, Status};

use super::load::rule_id;
use crate::domain::alert::{RuleCard, Severity};

/// Rules and correlations say the same of themselves, and are two types.
macro_rules! card {
    ($rule:expr) => {
        RuleCard {
            id: rule_id($rule.id.as_deref(), &$rule.title),
            title: $rule.title.clone(),
            author: $rule.author.clone(),
            // A rule that does not say how loud it is, is reviewed.
            level: $rule.level.map_or(Severity::Medium, severity),
            status: $rule.status.map(status).map(str::to_owned),
            description: $rule.description.clone(),
            tags: $rule.tags.clone(),
            false_positives: $rule.falsepositives.clone(),
            references: $rule.references.clone(),
            date: $rule.modified.clone().or_else(|| $rule.date.clone()),
        }
    };
}

pub(super) fn of_rule(rule: &SigmaRule) -> RuleCard {
    card!(rule)
}

pub(super) fn of_correlation(rule: &CorrelationRule) -> RuleCard {
    card!(rule)
}

/// What a rule leaves unsaid that a reader of its alerts would miss.
pub(super) fn unsaid(
    id: Option<&String>,
    author: Option<&String>,
    level: Option<Level>,
    false_positives: &[String],
) -> Vec<&'static str> {
    let missing = [
        (id.is_none(), "has no id: add a UUID, or its alerts become others when its title changes"),
        (author.is_none(), "names no author: add `author:`, who is named with every alert"),
        (level.is_none(), "has no level and counts as medium: add `level:`"),
        (
            false_positives.is_empty(),
            "does not say what triggers it wrongly: add `falsepositives:`, which analysts read first",
        ),
    ];
    missing.into_iter().filter(|(is_missing, _)| *is_missing).map(|(_, text)| text).collect()
}

const fn severity(level: Level) -> Severity {
    match level {
        Level::Informational => Severity::Informational,
        Level::Low => Severity::Low,
        Level::Medium => Severity::Medium,
        Level::High => Severity::High,
        Level::Critical => Severity::Critical,
    }
}

const fn status(status: Status) -> &'static str {
    match status {
        Status::Stable => "stable",
        Status::Test => "test",
        Status::Experimental => "experimental",
        Status::Deprecated => "deprecated",
        Status::Unsupported => "unsupported",
    }
}
