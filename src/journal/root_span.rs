//! The root span of a case's run: exported once, when the run is concluded, from what the journal says of it.

use std::sync::Arc;

use jiff::Timestamp;

use super::case_log::CaseLog;
use crate::domain::alert::Alert;
use crate::domain::containment::Standing;
use crate::domain::route::Tier;
use crate::telemetry::{semconv, spans};

/// Exports the root if the run is concluded.
pub fn export(log: &CaseLog, alerts: &[Arc<Alert>], now: Timestamp) {
    if log.concluded.is_some() {
        spans::export_root(log.root, log.opened, now, attributes(log, alerts));
    }
}

/// Everything a search is answered from, as text: a trace store compares strings on one span.
fn attributes(log: &CaseLog, alerts: &[Arc<Alert>]) -> Vec<(&'static str, String)> {
    let verdict = log.judged().map_or("none", |(_, draft)| draft.classification.name());
    let gate = log.proposals.iter().filter_map(|proposed| proposed.standing.as_ref()).next_back();
    let gate = gate.map_or("none", Standing::name);
    let escalated = log.attempts.iter().any(|attempt| attempt.tier == Tier::Two);
    let calls = |attempt: &super::case_log::Attempt| attempt.steps.values().filter(|step| step.what != "move").count();
    let mut attributes = vec![
        (semconv::CASE_ID, log.id.to_string()),
        (semconv::STATUS, log.status.to_string()),
        (semconv::VERDICT, verdict.to_owned()),
        (semconv::ESCALATED, escalated.to_string()),
        (semconv::GATE_OUTCOME, gate.to_owned()),
        (semconv::TOOL_CALLS, log.attempts.iter().map(calls).sum::<usize>().to_string()),
    ];
    if let Some(loudest) = alerts.iter().max_by_key(|alert| alert.rule.level) {
        attributes.push((semconv::ALERT_RULE, loudest.rule.title.clone()));
        attributes.push((semconv::ALERT_SEVERITY, loudest.rule.level.to_string()));
        attributes.push((semconv::HOST, loudest.host.to_string()));
    }
    attributes
}
