//! What the desk shall say of a case: a function of the case's journal and its alerts.

use std::sync::Arc;

use serde_json::json;

use super::case_log::CaseLog;
use super::effects::DeskEffect;
use crate::domain::alert::{Alert, Severity};
use crate::domain::containment::Decision;
use crate::domain::entity::HostName;
use crate::domain::words::counted;
use crate::ports::desk::CaseState;

/// The wish to show the case as it now stands.
#[must_use]
pub fn state(log: &CaseLog, alerts: &[Arc<Alert>]) -> DeskEffect {
    let loudest = alerts.iter().max_by_key(|alert| (alert.rule.level, std::cmp::Reverse(alert.time)));
    let title = loudest.map_or_else(
        || "a case without readable alerts".into(),
        |alert| match alerts.len() - 1 {
            0 => format!("{} on {}", alert.rule.title, alert.host),
            more => format!("{} on {} and {}", alert.rule.title, alert.host, counted(more as u64, "more alert")),
        },
    );
    let mut hosts: Vec<HostName> = alerts.iter().map(|alert| alert.host.clone()).collect();
    hosts.sort();
    hosts.dedup();
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
    };
    DeskEffect::State { case: log.id, opened: log.opened, state: Box::new(state) }
}

#[cfg(test)]
mod tests;
