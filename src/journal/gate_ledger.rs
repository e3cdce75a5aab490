//! The gate as its audit tells it: the fold of the chain's rows. What the state machine refuses did not happen.

use std::collections::BTreeMap;

use super::audit::AuditRow;
use crate::domain::containment::{Decision, GateEvent, Matter, Policy};
use crate::domain::ids::{CaseId, DeviceId, ProposalId};

/// Every proposal that was decided, with where it stands.
#[derive(Debug, Clone, Default)]
pub struct GateLedger {
    matters: BTreeMap<ProposalId, Matter>,
    decisions: BTreeMap<ProposalId, Decision>,
    /// What happened after the decisions, by case: to be told there, each with its place in its proposal's way.
    later: BTreeMap<CaseId, Vec<(usize, AuditRow)>>,
    policy: Option<Policy>,
    last_word: u64,
}

impl GateLedger {
    /// The fold of these rows.
    #[must_use]
    pub fn of(rows: &[AuditRow]) -> Self {
        let mut ledger = Self::default();
        rows.iter().for_each(|row| ledger.apply(row));
        ledger
    }

    /// Takes in the next row.
    pub fn apply(&mut self, row: &AuditRow) {
        self.last_word = self.last_word.max(row.event.word().unwrap_or_default());
        match &row.event {
            GateEvent::PolicySet { policy } => self.policy = Some(*policy),
            GateEvent::Decided { proposal, decision, .. } => {
                self.matters.insert(proposal.id, Matter::new(proposal.clone(), decision));
                self.decisions.insert(proposal.id, decision.clone());
            }
            event => {
                let Some(id) = event.proposal() else { return };
                if let Some(matter) = self.matters.get_mut(&id) {
                    if let Err(illegal) = matter.apply(event, row.at) {
                        tracing::warn!(seq = row.seq, %illegal, "a row of the audit that changes nothing");
                    }
                    let later = self.later.entry(id.case()).or_default();
                    let place = later.iter().filter(|(_, other)| other.event.proposal() == Some(id)).count() + 1;
                    later.push((place, row.clone()));
                }
            }
        }
    }

    /// The policy that was in force last; dry run if none was ever set.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy.unwrap_or_default()
    }

    /// The number of the last person's word that was answered.
    #[must_use]
    pub const fn last_word(&self) -> u64 {
        self.last_word
    }

    /// A proposal.
    #[must_use]
    pub fn get(&self, proposal: ProposalId) -> Option<&Matter> {
        self.matters.get(&proposal)
    }

    /// All proposals, by number.
    pub fn matters(&self) -> impl Iterator<Item = &Matter> {
        self.matters.values()
    }

    /// What was decided about a proposal at first.
    #[must_use]
    pub fn decision(&self, proposal: ProposalId) -> Option<&Decision> {
        self.decisions.get(&proposal)
    }

    /// What happened to a case's proposals after they were decided, beyond row `told`: each with its place, from 1, in
    /// what happened to its proposal.
    pub fn untold(&self, case: CaseId, told: u64) -> impl Iterator<Item = (usize, &AuditRow)> {
        let later = self.later.get(&case).into_iter().flatten();
        later.filter(move |(_, row)| row.seq > told).map(|(place, row)| (*place, row))
    }

    /// The proposal that holds a device.
    #[must_use]
    pub fn holder(&self, device: &DeviceId) -> Option<ProposalId> {
        self.matters.values().find(|matter| matter.standing.holds() == Some(device)).map(|matter| matter.proposal.id)
    }
}
