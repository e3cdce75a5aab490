//! Everything that can happen at the gate, as its audit and the cases record it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::decision::{Decision, DenialRule};
use super::{Policy, Proposal};
use crate::domain::ids::{DeviceActionId, ProposalId};

/// A person's answer to an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// It shall be done.
    Approved {
        /// Who says so.
        by: String,
        /// For how long a device is isolated.
        lease: SignedDuration,
    },
    /// It shall not.
    Denied {
        /// Who says so.
        by: String,
        /// Why.
        because: String,
    },
}

/// Why something is asked of the EDR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To do what was proposed.
    Contain,
    /// To undo it.
    Release,
}

/// Something to be asked of the EDR, exactly once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Why it is asked.
    pub purpose: Purpose,
    /// Unique for ever. It stands in the action's comment, by which the action is found again.
    pub key: String,
    /// Who wants it.
    pub by: String,
    /// Why.
    pub because: String,
}

/// What became of an order, read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The EDR shows its effect.
    Verified,
    /// The EDR refused, failed, or shows no effect.
    Failed {
        /// What was seen.
        why: String,
    },
    /// The device was not reached in time.
    TimedOut,
}

impl Outcome {
    /// Why nothing came of it, if so.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Verified => None,
            Self::Failed { why } => Some(why.clone()),
            Self::TimedOut => Some("the device was not reached in time".into()),
        }
    }
}

/// Everything that can happen at the gate, as its audit records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum GateEvent {
    /// A policy is in force from here on.
    PolicySet {
        /// The policy.
        policy: Policy,
    },
    /// A proposal was decided.
    Decided {
        /// What was asked for.
        proposal: Proposal,
        /// The answer.
        decision: Decision,
        /// Digest of the facts that the gatekeeper gathered.
        facts: String,
        /// Digest of the policy in force.
        policy: String,
    },
    /// A person answered an approval.
    Answered {
        /// Of which proposal.
        proposal: ProposalId,
        /// The number of the person's word.
        word: u64,
        /// The answer.
        answer: Answer,
    },
    /// What waited, or was approved, is refused after all.
    Lapsed {
        /// Which proposal.
        proposal: ProposalId,
        /// The rule that decided.
        rule: DenialRule,
        /// The value it met.
        value: String,
    },
    /// Something will be asked of the EDR. It is in the outbox from here on.
    Ordered {
        /// For which proposal.
        proposal: ProposalId,
        /// The number of the person's word, if it was a person's.
        word: Option<u64>,
        /// What.
        order: Order,
    },
    /// The EDR took it.
    Accepted {
        /// For which proposal.
        proposal: ProposalId,
        /// The EDR's action.
        action: DeviceActionId,
    },
    /// What became of it.
    Settled {
        /// For which proposal.
        proposal: ProposalId,
        /// The outcome, read back.
        outcome: Outcome,
    },
    /// A person lets a lease last longer.
    Extended {
        /// Of which proposal.
        proposal: ProposalId,
        /// The number of the person's word.
        word: u64,
        /// Who.
        by: String,
        /// Why.
        because: String,
        /// Until then.
        until: Timestamp,
    },
    /// A person's word that changes nothing.
    Unheard {
        /// Its number.
        word: u64,
        /// About which proposal.
        proposal: Option<ProposalId>,
        /// Why it changes nothing.
        why: String,
    },
    /// Of a later version: kept, and not acted on.
    #[serde(other)]
    Unknown,
}

impl GateEvent {
    /// The proposal it is about.
    #[must_use]
    pub const fn proposal(&self) -> Option<ProposalId> {
        match self {
            Self::PolicySet { .. } | Self::Unknown => None,
            Self::Decided { proposal, .. } => Some(proposal.id),
            Self::Answered { proposal, .. }
            | Self::Lapsed { proposal, .. }
            | Self::Ordered { proposal, .. }
            | Self::Accepted { proposal, .. }
            | Self::Settled { proposal, .. }
            | Self::Extended { proposal, .. } => Some(*proposal),
            Self::Unheard { proposal, .. } => *proposal,
        }
    }

    /// The person's word that it answers.
    #[must_use]
    pub const fn word(&self) -> Option<u64> {
        match self {
            Self::Answered { word, .. } | Self::Extended { word, .. } | Self::Unheard { word, .. } => Some(*word),
            Self::Ordered { word, .. } => *word,
            Self::PolicySet { .. }
            | Self::Decided { .. }
            | Self::Lapsed { .. }
            | Self::Accepted { .. }
            | Self::Settled { .. }
            | Self::Unknown => None,
        }
    }

    /// Its stable name.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::PolicySet { .. } => "policy_set",
            Self::Decided { .. } => "decision",
            Self::Answered { .. } => "answered",
            Self::Lapsed { .. } => "lapsed",
            Self::Ordered { .. } => "ordered",
            Self::Accepted { .. } => "accepted",
            Self::Settled { .. } => "settled",
            Self::Extended { .. } => "extended",
            Self::Unheard { .. } => "unheard",
            Self::Unknown => "unknown",
        }
    }
}
