//! Containment: a wish, the gatekeeper's answer, and nothing that acts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::entity::HostName;
use super::ids::{EvidenceId, ProposalId};

/// What may be asked for. A closed vocabulary: nothing else can be proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Cut a device from the network.
    IsolateDevice,
    /// Let it back.
    ReleaseDevice,
    /// Run an antivirus scan.
    RunAvScan,
}

impl Action {
    /// The action in a sentence: "isolation of WKS-07".
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::IsolateDevice => "isolation",
            Self::ReleaseDevice => "release",
            Self::RunAvScan => "antivirus scan",
        }
    }
}

/// A wish to contain, filed for the gatekeeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Its number within the case.
    pub id: ProposalId,
    /// What is asked for.
    pub action: Action,
    /// The machine it is asked for.
    pub host: HostName,
    /// Why.
    pub because: String,
    /// What it rests on.
    pub evidence: Vec<EvidenceId>,
}

/// The gatekeeper's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Decision {
    /// Refused, by this rule.
    Denied {
        /// The rule that decided.
        rule: DenialRule,
    },
}

/// The rules by which the gatekeeper refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenialRule {
    /// The floor only records what it would ask for.
    DryRun,
    /// The machine is no host of the case.
    NotInCase,
    /// No evidence of the case supports it.
    NoEvidence,
}

impl DenialRule {
    /// The rule's name and its reason.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::DryRun => "dry run: this floor records what it would contain and contains nothing",
            Self::NotInCase => "the device is not a host of this case",
            Self::NoEvidence => "no checked evidence of this case supports it",
        }
    }

    /// The rule's stable name for audit rows and traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DryRun => "dry_run",
            Self::NotInCase => "not_in_case",
            Self::NoEvidence => "no_evidence",
        }
    }
}

/// What the gatekeeper itself knows when it decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The proposal's host is a host of the case's alerts.
    pub host_in_case: bool,
    /// Events the gatekeeper re-read that support the proposal.
    pub evidence_reread: usize,
}

/// Decides a proposal. First rule that applies wins; in this version the last one always does.
#[must_use]
pub fn decide(facts: Facts) -> Decision {
    let rule = if !facts.host_in_case {
        DenialRule::NotInCase
    } else if facts.evidence_reread == 0 {
        DenialRule::NoEvidence
    } else {
        DenialRule::DryRun
    };
    Decision::Denied { rule }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_proposal_is_denied_by_the_first_rule_that_applies() {
        let denied = |host_in_case, evidence_reread| decide(Facts { host_in_case, evidence_reread });
        assert_eq!(denied(false, 0), Decision::Denied { rule: DenialRule::NotInCase });
        assert_eq!(denied(true, 0), Decision::Denied { rule: DenialRule::NoEvidence });
        assert_eq!(denied(true, 3), Decision::Denied { rule: DenialRule::DryRun });
    }
}
