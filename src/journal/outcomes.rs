//! People's outcomes: what people said that cases were, per rule. A machine's closures are never counted here, so
//! that a floor does not learn from itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::alert_log::AlertLog;
use super::case_log::CaseLog;
use super::case_stream::CaseStream;
use super::people_log::{self, PeopleEntry};
use crate::domain::ids::{AlertId, CaseId, RuleId};
use crate::domain::person::{Act, Outcome, PersonsVerdict};
use crate::ports::journal::{Journal, JournalError};

/// A case of which a person said what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseOutcome {
    /// The case.
    pub case: CaseId,
    /// Which way it counts.
    pub outcome: Outcome,
    /// The person's word.
    pub verdict: PersonsVerdict,
    /// The rules of its alerts, each once.
    pub rules: BTreeSet<RuleId>,
    /// Its alerts.
    #[serde(default)]
    pub alerts: Vec<AlertId>,
    /// When its first alert happened.
    pub first_alert: Option<Timestamp>,
}

/// How cases with alerts of one rule ended by people's word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleOutcomes {
    /// Confirmed malicious.
    pub malicious: u64,
    /// Confirmed benign.
    pub benign: u64,
}

/// Every case on which a person's decided verdict stands, oldest case first. A case that became part of another
/// counts for itself as long as nobody judged the whole.
///
/// # Errors
/// When the journal cannot be read.
pub async fn of_people(journal: &Arc<dyn Journal>, alerts: &AlertLog) -> Result<Vec<CaseOutcome>, JournalError> {
    // Only cases that a person judged are read, and those that they are part of: a floor has far more cases than words.
    let said = people_log::read(journal.as_ref(), 0).await?.entries;
    let judged = said.into_iter().flat_map(|(_, _, entry)| match entry {
        PeopleEntry::Said { said, .. } if matches!(said.act, Act::Judge { .. } | Act::Resolve { .. }) => said.cases,
        PeopleEntry::Said { .. } | PeopleEntry::Unknown => vec![],
    });
    let mut to_read: Vec<CaseId> = judged.collect();
    let mut logs = BTreeMap::new();
    while let Some(case) = to_read.pop() {
        if logs.contains_key(&case) {
            continue;
        }
        let stream = CaseStream::open(journal.clone(), case, None).await?;
        to_read.extend(stream.log().merged_into);
        logs.insert(case, stream.log().clone());
    }
    let judged_as_a_whole = |log: &CaseLog| {
        let mut at = log;
        // A case is merged into an older one, so the walk ends.
        while let Some(next) = at.merged_into.and_then(|into| logs.get(&into)).filter(|next| next.id < at.id) {
            at = next;
            if at.persons_verdict.is_some() {
                return true;
            }
        }
        false
    };
    let counted = logs.values().filter(|log| !judged_as_a_whole(log)).filter_map(|log| {
        let verdict = log.persons_verdict.clone()?;
        let alerts = alerts.get(&log.alerts);
        Some(CaseOutcome {
            case: log.id,
            outcome: verdict.ruling.outcome()?,
            verdict,
            alerts: log.alerts.clone(),
            rules: alerts.iter().map(|alert| alert.rule.id.clone()).collect(),
            first_alert: alerts.iter().map(|alert| alert.time).min(),
        })
    });
    Ok(counted.collect())
}

/// The same by rule: a case counts once for each rule among its alerts.
#[must_use]
pub fn by_rule(outcomes: &[CaseOutcome]) -> BTreeMap<RuleId, RuleOutcomes> {
    let mut rules: BTreeMap<RuleId, RuleOutcomes> = BTreeMap::new();
    for case in outcomes {
        for rule in &case.rules {
            let counted = rules.entry(rule.clone()).or_default();
            match case.outcome {
                Outcome::Malicious => counted.malicious += 1,
                Outcome::Benign => counted.benign += 1,
            }
        }
    }
    rules
}
