//! What the desk shall say of a case: a function of the case's journal and its alerts.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::case_log::CaseLog;
use super::effects::DeskEffect;
use crate::domain::alert::{Alert, Severity};
use crate::domain::containment::Decision;
use crate::domain::entity::{Entity, HostName};
use crate::domain::ids::RuleId;
use crate::domain::role::roles;
use crate::ports::desk::CaseState;

/// Of so many mentions of accounts the names are shown: a case of thousands of guessed names stays readable.
const MOST_ACCOUNTS: usize = 1_000;

/// The wish to show the case as it now stands.
#[must_use]
pub fn state(log: &CaseLog, alerts: &[Arc<Alert>]) -> DeskEffect {
    let loudest = alerts.iter().max_by_key(|alert| (alert.rule.level, std::cmp::Reverse(alert.time)));
    let title = loudest.map_or_else(
        || "a case without readable alerts".into(),
        |alert| match alerts.len() - 1 {
            0 => format!("{} on {}", alert.rule.title, alert.host),
            1 => format!("{} on {} and 1 more alert", alert.rule.title, alert.host),
            more => format!("{} on {} and {more} more alerts", alert.rule.title, alert.host),
        },
    );
    let mut hosts: Vec<HostName> = alerts.iter().map(|alert| alert.host.clone()).collect();
    hosts.sort();
    hosts.dedup();
    let parts = roles(alerts.iter().map(AsRef::as_ref));
    let rules: BTreeSet<RuleId> = alerts.iter().map(|alert| alert.rule.id.clone()).collect();
    let accounts = alerts.iter().flat_map(|alert| &alert.entities).filter_map(|entity| match entity {
        Entity::Account(name) => Some(name.clone()),
        _ => None,
    });
    let accounts: BTreeSet<String> = accounts.take(MOST_ACCOUNTS).collect();
    let proposals = log.proposals.iter().map(|proposed| {
        let answer = proposed.decision.as_ref().map_or("waiting", |Decision::Denied { rule }| rule.reason());
        let mut shown = json!(proposed.proposal);
        shown["answer"] = json!(answer);
        shown
    });
    let state = CaseState {
        version: log.last,
        title,
        status: log.status,
        hold: log.hold.clone(),
        severity: loudest.map_or(Severity::Medium, |alert| alert.rule.level),
        hosts,
        alerts: alerts.len() as u64,
        merged_into: log.merged_into,
        verdict: log.judged().and_then(|(attempt, _)| attempt.card.clone()),
        decided_by: log.decided_by.clone(),
        proposals: proposals.collect(),
        trace: log.root.trace.to_string(),
        roles: parts.into_iter().map(|(host, role)| (host.key().to_owned(), role)).collect(),
        rules: rules.into_iter().collect(),
        accounts: accounts.into_iter().collect(),
        persons_verdict: log.persons_verdict.clone(),
        assignee: log.assignee.clone(),
    };
    DeskEffect::State { case: log.id, opened: log.opened, state: Box::new(state) }
}

#[cfg(test)]
mod tests;
