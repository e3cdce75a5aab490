//! Containment: a wish, the gatekeeper's pure decision, and what becomes of it. Nothing here acts.

mod decision;
mod event;
mod matter;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::decision::{
    Approval, AssetFacts, Criticality, Decision, DenialRule, DeviceRole, EvidenceFacts, Facts, IsolationRule, Target,
    decide, is_protected, recheck,
};
pub use self::event::{Answer, GateEvent, Order, Outcome, Purpose};
pub use self::matter::{IllegalStep, IsolationLease, Matter, Standing};
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

/// What stands behind the EDR's port. It is said wherever a device or an action is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nature {
    /// A simulator: nothing happens to any machine.
    Simulated,
    /// A product that acts on machines.
    Real,
}

impl Nature {
    /// Nothing happens to any machine.
    #[must_use]
    pub const fn is_simulated(self) -> bool {
        matches!(self, Self::Simulated)
    }

    /// ` (simulated)`, or nothing: to be put behind whatever is told of an action.
    #[must_use]
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Simulated => " (simulated)",
            Self::Real => "",
        }
    }

    /// The EDR in a sentence.
    #[must_use]
    pub const fn edr(self) -> &'static str {
        match self {
            Self::Simulated => "the simulated EDR",
            Self::Real => "the EDR",
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

/// What the gatekeeper does with a proposal that passes every check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It records it and denies it.
    #[default]
    DryRun,
    /// It asks a person.
    Approve,
}

impl std::str::FromStr for Mode {
    type Err = BadMode;

    fn from_str(text: &str) -> Result<Self, BadMode> {
        match text {
            "dry_run" | "dry-run" => Ok(Self::DryRun),
            "approve" => Ok(Self::Approve),
            _ => Err(BadMode(text.to_owned())),
        }
    }
}

/// The word names no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no mode of containment: it is dry_run (propose and deny) or approve (ask a person)")]
pub struct BadMode(String);

/// The gatekeeper's policy. Its digest is part of every approval: a changed policy voids those that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// What happens to a proposal that passes.
    pub mode: Mode,
    /// How long an approval waits. Then it is a denial. Half an hour is time to be called to a desk, and short enough
    /// that what was approved is what is still going on.
    pub approval_waits: SignedDuration,
    /// How long a device stays isolated if the approver names no time: half a working day.
    pub lease: SignedDuration,
    /// The longest a device may stay isolated without a new proposal. Whoever needs more has an incident, and its own
    /// means.
    pub longest_lease: SignedDuration,
}

impl Policy {
    /// The policy of a mode.
    #[must_use]
    pub const fn of(mode: Mode) -> Self {
        Self {
            mode,
            approval_waits: SignedDuration::from_mins(30),
            lease: SignedDuration::from_hours(4),
            longest_lease: SignedDuration::from_hours(24),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::of(Mode::DryRun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_named_in_either_spelling() {
        assert_eq!(("dry-run".parse(), "approve".parse()), (Ok(Mode::DryRun), Ok(Mode::Approve)));
        assert!("auto".parse::<Mode>().is_err());
        assert_eq!(Policy::default().mode, Mode::DryRun);
    }
}
