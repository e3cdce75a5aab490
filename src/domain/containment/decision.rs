//! The gatekeeper's decision: a pure function of facts it gathered itself and of the policy. The first check that
//! fails decides, and says which value it met.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Action, Mode, Nature, Policy, Proposal};
use crate::domain::entity::HostName;
use crate::domain::ids::{CaseId, DeviceActionId, DeviceId, ProposalId};

/// What a proposal's host is in the EDR's inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "target", rename_all = "snake_case")]
pub enum Target {
    /// One device that the EDR manages.
    Managed {
        /// The device.
        device: DeviceId,
        /// Its name there.
        name: HostName,
        /// Its tags there.
        tags: Vec<String>,
        /// It can be reached now. What the EDR does not know is no.
        is_online: bool,
        /// It is cut off already.
        is_isolated: bool,
        /// An action that is under way on it.
        in_flight: Option<DeviceActionId>,
    },
    /// One device, which the EDR does not manage.
    Unmanaged,
    /// Several.
    Ambiguous {
        /// Their ids.
        candidates: Vec<DeviceId>,
    },
    /// None.
    Unknown,
    /// The EDR does not answer.
    Unreadable {
        /// What it said.
        why: String,
    },
}

/// What a device is for, as people declared it or its events show it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceRole {
    /// Nobody said.
    #[default]
    Unknown,
    /// Somebody's own machine.
    Workstation,
    /// A server.
    Server,
    /// A domain controller.
    DomainController,
    /// Something else that others depend on: a certificate authority, a hypervisor, a name server.
    Tier0,
}

/// What would stand still without it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criticality {
    /// Nobody said.
    #[default]
    Unknown,
    /// Nothing much.
    Normal,
    /// The business.
    Critical,
}

/// Whether it may be isolated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IsolationRule {
    /// Nobody said.
    #[default]
    Unknown,
    /// It may.
    Allowed,
    /// It may not.
    Forbidden,
}

/// What is known of a device besides the EDR's record. Everything is unknown unless somebody declared it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetFacts {
    /// What it is for.
    pub role: DeviceRole,
    /// What depends on it.
    pub criticality: Criticality,
    /// Whether it may be isolated.
    pub isolation: IsolationRule,
}

/// What the gatekeeper saw of the evidence when it looked itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceFacts {
    /// Pieces that the proposal cites.
    pub cited: usize,
    /// Of these, events that the store still holds.
    pub reread: usize,
    /// Digest of what was read, and of the case's alerts.
    pub digest: String,
}

/// What the gatekeeper itself knows when it decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Whether anything would happen to a machine.
    pub nature: Nature,
    /// What the proposal's host is.
    pub target: Target,
    /// What is known of it besides.
    pub asset: AssetFacts,
    /// It is a host of the case's alerts.
    pub host_in_case: bool,
    /// Another open case that has an alert on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<CaseId>,
    /// The evidence.
    pub evidence: EvidenceFacts,
    /// The verdict that stands calls the activity malicious, and no person has ended the case.
    pub verdict_stands: bool,
    /// A proposal that is being carried out on the device, or whose lease on it is live.
    pub held_by: Option<ProposalId>,
}

/// The gatekeeper's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Decision {
    /// Refused, by this rule.
    Denied {
        /// The rule that decided.
        rule: DenialRule,
        /// The value it met, in words.
        #[serde(default)]
        value: String,
    },
    /// A person is asked.
    Waiting {
        /// What would be approved.
        approval: Box<Approval>,
    },
}

/// What an approval is bound to. If any of it differs when the answer comes, the answer counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The case.
    pub case: CaseId,
    /// What would be done.
    pub action: Action,
    /// To which device.
    pub device: DeviceId,
    /// Its name.
    pub host: HostName,
    /// Whether anything would happen to a machine.
    pub nature: Nature,
    /// Digest of the policy.
    pub policy: String,
    /// Digest of the evidence and of the case's alerts.
    pub evidence: String,
    /// When it was asked for.
    pub asked: Timestamp,
    /// From when on it is a denial.
    pub expires: Timestamp,
}

impl Approval {
    /// Nobody answered in time.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires
    }
}

/// The rules by which the gatekeeper refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenialRule {
    /// The floor only records what it would ask for.
    DryRun,
    /// A release is no agent's to ask for.
    ReleaseByPersonOnly,
    /// The EDR does not answer.
    EdrSilent,
    /// The EDR has no such device.
    UnknownDevice,
    /// The name means several devices.
    AmbiguousDevice,
    /// The EDR cannot act on the device.
    UnmanagedDevice,
    /// Others depend on the device.
    ProtectedDevice,
    /// The machine is no host of the case.
    NotInCase,
    /// No evidence of the case supports it.
    NoEvidence,
    /// The verdict that stands does not support it.
    NoVerdict,
    /// The device cannot be reached.
    OfflineDevice,
    /// Something is under way on the device.
    ActionInFlight,
    /// The device is held already.
    HeldAlready,
    /// The device is cut off already.
    IsolatedAlready,
    /// Nobody answered in time.
    Expired,
    /// Alerts or evidence of the case changed since it was asked for.
    CaseChanged,
    /// The policy changed since.
    PolicyChanged,
    /// The name means another device than it did.
    DeviceChanged,
}

impl DenialRule {
    /// The rule's reason.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::DryRun => {
                "dry run: this floor records what it would contain and contains nothing; `cases reopen` asks again once \
                 it runs with --containment approve"
            }
            Self::ReleaseByPersonOnly => "an isolation ends with its lease or by a person, never because an agent asks",
            Self::EdrSilent => "the EDR does not answer",
            Self::UnknownDevice => "the EDR knows no device of this name",
            Self::AmbiguousDevice => "the name means several devices of the EDR",
            Self::UnmanagedDevice => "the EDR does not manage the device",
            Self::ProtectedDevice => "the device is protected: others depend on it, and only a person contains it",
            Self::NotInCase => "the device is not a host of this case",
            Self::NoEvidence => "no checked evidence of this case supports it",
            Self::NoVerdict => "no standing verdict of this case calls it malicious",
            Self::OfflineDevice => "the device cannot be reached now",
            Self::ActionInFlight => "another action is under way on the device",
            Self::HeldAlready => "another proposal already holds the device",
            Self::IsolatedAlready => "the device is isolated already, and not by this floor",
            Self::Expired => "nobody answered in time",
            Self::CaseChanged => "void: the case's alerts or evidence changed since it was asked for",
            Self::PolicyChanged => "void: the policy changed since it was asked for",
            Self::DeviceChanged => "void: the name means another device than when it was asked for",
        }
    }

    /// The rule's stable name for audit rows and traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DryRun => "dry_run",
            Self::ReleaseByPersonOnly => "release_by_person_only",
            Self::EdrSilent => "edr_silent",
            Self::UnknownDevice => "unknown_device",
            Self::AmbiguousDevice => "ambiguous_device",
            Self::UnmanagedDevice => "unmanaged_device",
            Self::ProtectedDevice => "protected_device",
            Self::NotInCase => "not_in_case",
            Self::NoEvidence => "no_evidence",
            Self::NoVerdict => "no_verdict",
            Self::OfflineDevice => "offline_device",
            Self::ActionInFlight => "action_in_flight",
            Self::HeldAlready => "held_already",
            Self::IsolatedAlready => "isolated_already",
            Self::Expired => "expired",
            Self::CaseChanged => "case_changed",
            Self::PolicyChanged => "policy_changed",
            Self::DeviceChanged => "device_changed",
        }
    }

    /// A later attempt at the case may ask again: what was wrong was the moment, not the wish.
    #[must_use]
    pub const fn may_be_asked_again(self) -> bool {
        // Which machines a case is about changes with a merge.
        matches!(self, Self::Expired | Self::CaseChanged | Self::PolicyChanged | Self::DeviceChanged | Self::NotInCase)
    }

    /// As [`Self::may_be_asked_again`], where a person had the case looked at again. A dry run refuses everything: they
    /// want to be asked, if people are asked by now.
    #[must_use]
    pub const fn may_be_asked_again_for_a_person(self) -> bool {
        self.may_be_asked_again() || matches!(self, Self::DryRun)
    }
}

/// Words in a tag that make a device one that only people contain.
const PROTECTED_TAGS: [&str; 12] = [
    "domain controller",
    "dc",
    "tier 0",
    "tier0",
    "critical",
    "certificate authority",
    "hypervisor",
    "dns",
    "dhcp",
    "vpn",
    "ot",
    "medical",
];

/// Why the device is one that only people contain, if it is.
#[must_use]
pub fn is_protected(name: &HostName, tags: &[String], asset: AssetFacts) -> Option<String> {
    match asset.role {
        DeviceRole::DomainController => return Some("it is a domain controller".into()),
        DeviceRole::Tier0 => return Some("it is of tier 0".into()),
        DeviceRole::Unknown | DeviceRole::Workstation | DeviceRole::Server => {}
    }
    if asset.criticality == Criticality::Critical {
        return Some("it is declared critical".into());
    }
    if asset.isolation == IsolationRule::Forbidden {
        return Some("its isolation is declared forbidden".into());
    }
    let plain = |tag: &String| tag.trim().to_lowercase().replace(['-', '_'], " ");
    if let Some(tag) = tags.iter().find(|tag| PROTECTED_TAGS.contains(&plain(tag).as_str())) {
        return Some(format!("it is tagged `{tag}`"));
    }
    // DC01, HQ-DC-2, ADDC: denying the isolation of a machine that is only called so costs a question to a person.
    let is_controller = |part: &str| part.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with("dc");
    let named = name.key().split(['-', '_']).any(is_controller);
    named.then(|| format!("its name `{}` says domain controller", name.key()))
}

/// Decides a proposal. No path leads from here to an act: at best a person is asked.
#[must_use]
pub fn decide(proposal: &Proposal, facts: &Facts, policy: &Policy, digest: &str, now: Timestamp) -> Decision {
    let denied = |rule, value: String| Decision::Denied { rule, value };
    let host = &proposal.host;
    let edr = facts.nature.edr();
    if proposal.action == Action::ReleaseDevice {
        return denied(DenialRule::ReleaseByPersonOnly, proposal.action.noun().into());
    }
    let (device, name, tags, is_online, is_isolated, in_flight) = match &facts.target {
        Target::Managed { device, name, tags, is_online, is_isolated, in_flight } => {
            (device, name, tags, *is_online, *is_isolated, in_flight)
        }
        Target::Unmanaged => {
            let value = format!("{} was asked for {host}, which {edr} does not manage", proposal.action.noun());
            return denied(DenialRule::UnmanagedDevice, value);
        }
        Target::Ambiguous { candidates } => {
            let ids = candidates.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return denied(DenialRule::AmbiguousDevice, format!("{host} means {} devices: {ids}", candidates.len()));
        }
        Target::Unknown => return denied(DenialRule::UnknownDevice, format!("{host} is not in {edr}")),
        Target::Unreadable { why } => return denied(DenialRule::EdrSilent, why.clone()),
    };
    if let Some(why) = is_protected(name, tags, facts.asset) {
        return denied(DenialRule::ProtectedDevice, why);
    }
    if !facts.host_in_case {
        let there = facts.elsewhere.map_or_else(
            || "merge the case that has some, or contain it by hand".into(),
            |case| format!("{case} has: merge the two, and it can be asked for again"),
        );
        return denied(DenialRule::NotInCase, format!("{} has no alert on {host}; {there}", proposal.id.case()));
    }
    let EvidenceFacts { cited, reread, digest: evidence } = &facts.evidence;
    if *reread == 0 {
        return denied(DenialRule::NoEvidence, format!("0 of {cited} cited events could be read"));
    }
    if !facts.verdict_stands {
        return denied(DenialRule::NoVerdict, "the verdict that stands is no true positive".into());
    }
    if !is_online {
        return denied(DenialRule::OfflineDevice, format!("{edr} cannot reach {name}"));
    }
    if let Some(action) = in_flight {
        return denied(DenialRule::ActionInFlight, format!("action {action} on {name}"));
    }
    if let Some(other) = facts.held_by.filter(|other| *other != proposal.id) {
        return denied(DenialRule::HeldAlready, format!("{other} holds {name}"));
    }
    if is_isolated {
        return denied(DenialRule::IsolatedAlready, format!("{edr} shows {name} isolated"));
    }
    match policy.mode {
        Mode::DryRun => denied(DenialRule::DryRun, String::new()),
        Mode::Approve => {
            let approval = Approval {
                case: proposal.id.case(),
                action: proposal.action,
                device: device.clone(),
                host: name.clone(),
                nature: facts.nature,
                policy: digest.to_owned(),
                evidence: evidence.clone(),
                asked: now,
                // A clock at the end of time waits for nobody.
                expires: now.checked_add(policy.approval_waits).unwrap_or(now),
            };
            Decision::Waiting { approval: Box::new(approval) }
        }
    }
}

/// Checks an approval against the facts of the moment in which it is to be carried out.
///
/// # Errors
/// The rule that now refuses, and its value.
pub fn recheck(
    approval: &Approval,
    proposal: &Proposal,
    facts: &Facts,
    policy: &Policy,
    digest: &str,
    now: Timestamp,
) -> Result<(), (DenialRule, String)> {
    if approval.is_expired(now) {
        return Err((DenialRule::Expired, format!("it waited until {}", approval.expires)));
    }
    if approval.policy != digest {
        return Err((DenialRule::PolicyChanged, "the policy in force is another one".into()));
    }
    if approval.evidence != facts.evidence.digest {
        return Err((DenialRule::CaseChanged, "what it was asked on is not what the case holds now".into()));
    }
    match decide(proposal, facts, policy, digest, now) {
        Decision::Denied { rule, value } => Err((rule, value)),
        Decision::Waiting { approval: now_asked } => {
            let same = now_asked.device == approval.device
                && now_asked.action == approval.action
                && now_asked.case == approval.case
                && now_asked.nature == approval.nature;
            let changed = format!("it was {}, it is {}", approval.device, now_asked.device);
            if same { Ok(()) } else { Err((DenialRule::DeviceChanged, changed)) }
        }
    }
}

#[cfg(test)]
mod tests;
