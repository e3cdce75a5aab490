//! What the desk shall say of a case: a function of the case's journal and its alerts.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::case_log::{CaseLog, Proposed};
use super::effects::DeskEffect;
use super::gate_told;
use crate::domain::alert::{Alert, Severity};
use crate::domain::case::Hold;
use crate::domain::containment::{DenialRule, Standing};
use crate::domain::draft::Unknown;
use crate::domain::entity::{Entity, HostName};
use crate::domain::ids::RuleId;
use crate::domain::role::{HostRole, roles};
use crate::domain::words::counted;
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
            more => format!("{} on {} and {}", alert.rule.title, alert.host, counted(more as u64, "more alert")),
        },
    );
    let mut hosts: Vec<HostName> = alerts.iter().map(|alert| alert.host.clone()).collect();
    hosts.sort();
    hosts.dedup();
    let mut parts = roles(alerts.iter().map(AsRef::as_ref));
    // Where an act was started, as the log of that machine shows: alerts alone often do not name it.
    for origin in log.judged().map(|(_, draft)| draft.origins.as_slice()).unwrap_or_default() {
        let of_case = hosts.contains(origin);
        let targets = parts.iter().filter(|(host, role)| **role == HostRole::Target && *host != origin).count();
        if !of_case || targets > 0 {
            parts.insert(origin.clone(), HostRole::Origin);
        }
    }
    let rules: BTreeSet<RuleId> = alerts.iter().map(|alert| alert.rule.id.clone()).collect();
    let accounts = alerts.iter().flat_map(|alert| &alert.entities).filter_map(|entity| match entity {
        Entity::Account(name) => Some(name.clone()),
        _ => None,
    });
    let accounts: BTreeSet<String> = accounts.take(MOST_ACCOUNTS).collect();
    let state = CaseState {
        version: log.last,
        title,
        status: log.status,
        hold: log.hold.as_ref().map(|hold| with_denials(hold, log)),
        severity: loudest.map_or(Severity::Medium, |alert| alert.rule.level),
        hosts,
        alerts: alerts.len() as u64,
        first_alert: alerts.iter().map(|alert| alert.time).min(),
        last_alert: alerts.iter().map(|alert| alert.time).max(),
        merged_into: log.merged_into,
        verdict: log.judged().and_then(|(attempt, _)| attempt.card.clone()),
        decided_by: log.decided_by.clone(),
        proposals: log.proposals.iter().map(shown).collect(),
        trace: log.root.trace.to_string(),
        roles: parts.into_iter().map(|(host, role)| (host.key().to_owned(), role)).collect(),
        rules: rules.into_iter().collect(),
        accounts: accounts.into_iter().collect(),
        persons_verdict: log.persons_verdict.clone(),
        assignee: log.assignee.clone(),
    };
    DeskEffect::State { case: log.id, opened: log.opened, state: Box::new(state) }
}

/// A proposal as people and programs are shown it.
fn shown(proposed: &Proposed) -> Value {
    let mut shown = json!(proposed.proposal);
    shown["decision"] = json!(proposed.standing.as_ref().map_or("undecided", Standing::name));
    shown["needs_person"] = json!(proposed.standing.as_ref().is_some_and(Standing::needs_person));
    let Some(standing) = &proposed.standing else {
        shown["answer"] = json!("waiting");
        return shown;
    };
    shown["answer"] = json!(gate_told::standing(standing));
    match standing {
        Standing::Denied { rule, value } => {
            shown["answer"] = json!(rule.reason());
            shown["rule"] = json!(rule.name());
            shown["value"] = json!(value);
        }
        Standing::Waiting { approval } | Standing::Approved { approval, .. } | Standing::UnderWay { approval, .. } => {
            shown["simulated"] = json!(approval.nature.is_simulated());
            shown["approval"] = json!(approval);
        }
        Standing::Live { lease } | Standing::Releasing { lease, .. } | Standing::Released { lease, .. } => {
            shown["simulated"] = json!(lease.nature.is_simulated());
            shown["lease"] = json!(lease);
        }
        Standing::Refused { .. } | Standing::NotDone { .. } | Standing::Done => {}
    }
    shown
}

/// A person has something to do about a proposal as [`state`] shows it: to answer it, or to look after its lease.
#[must_use]
pub fn needs_person(proposal: &Value) -> bool {
    proposal.get("needs_person").and_then(Value::as_bool).unwrap_or_default()
}

/// The hold with what could not be contained: whoever takes the case up has to know that it goes on there.
fn with_denials(hold: &Hold, log: &CaseLog) -> Hold {
    let mut hold = hold.clone();
    for proposed in &log.proposals {
        let Some(Standing::Denied { rule, value }) = &proposed.standing else { continue };
        let is_gap = matches!(
            rule,
            DenialRule::UnmanagedDevice
                | DenialRule::UnknownDevice
                | DenialRule::AmbiguousDevice
                | DenialRule::OfflineDevice
        );
        if is_gap {
            hold.missing.push(Unknown {
                what: value.clone(),
                why_it_matters: "the device was not contained, and what was found there may go on".into(),
                where_to_look: format!("whoever runs {}: contain it by hand", proposed.proposal.host),
                obtainable: false,
            });
        }
    }
    hold
}

#[cfg(test)]
mod tests;
