//! A proposal's way through the gate: what can happen to it, and where it stands then. A pure state machine; whatever
//! it refuses did not happen.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::decision::{Approval, Decision, DenialRule};
use super::event::{Answer, GateEvent, Order, Outcome, Purpose};
use super::{Action, Nature, Proposal};
use crate::domain::entity::HostName;
use crate::domain::ids::{DeviceActionId, DeviceId, LeaseId};

/// A device that this floor cut off, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsolationLease {
    /// Its number: that of its proposal.
    pub id: LeaseId,
    /// Who approved it and answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// The device.
    pub device: DeviceId,
    /// Its name.
    pub host: HostName,
    /// Whether anything happened to a machine.
    pub nature: Nature,
    /// When the isolation was seen to hold.
    pub since: Timestamp,
    /// When it is released unless a person extends it.
    pub until: Timestamp,
    /// What releases it. It was rehearsed before the isolation: its name meant this one device, which was managed and
    /// could be reached.
    pub undo: Action,
    /// Why the last try to release it came to nothing, and when that was.
    pub trouble: Option<(String, Timestamp)>,
    /// How often its release was tried.
    pub tries: u32,
}

/// Where a proposal stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// Refused by a rule: at once, or after it waited.
    Denied {
        /// The rule.
        rule: DenialRule,
        /// The value it met.
        value: String,
    },
    /// A person is asked.
    Waiting {
        /// What would be approved.
        approval: Box<Approval>,
    },
    /// Refused by a person.
    Refused {
        /// Who.
        by: String,
        /// Why.
        because: String,
    },
    /// Approved; nothing is asked of the EDR yet.
    Approved {
        /// What was approved.
        approval: Box<Approval>,
        /// By whom.
        by: String,
        /// For how long.
        lease: SignedDuration,
    },
    /// Being carried out.
    UnderWay {
        /// What was approved.
        approval: Box<Approval>,
        /// By whom.
        by: String,
        /// For how long.
        lease: SignedDuration,
        /// What was ordered.
        order: Order,
        /// The EDR's action, once it took it.
        action: Option<DeviceActionId>,
    },
    /// It was tried and has no effect.
    NotDone {
        /// What was seen.
        why: String,
    },
    /// It was done, and there is nothing to undo.
    Done,
    /// The device is cut off.
    Live {
        /// Until when.
        lease: Box<IsolationLease>,
    },
    /// It is being let back.
    Releasing {
        /// The lease that ends.
        lease: Box<IsolationLease>,
        /// What was ordered.
        order: Order,
        /// The EDR's action, once it took it.
        action: Option<DeviceActionId>,
    },
    /// It was let back.
    Released {
        /// The lease that ended.
        lease: Box<IsolationLease>,
        /// Who wanted it.
        by: String,
        /// Why.
        because: String,
        /// When it was seen to be let back.
        at: Timestamp,
    },
}

impl Standing {
    /// Where a decided proposal stands.
    #[must_use]
    pub fn after(decision: &Decision) -> Self {
        match decision {
            Decision::Denied { rule, value } => Self::Denied { rule: *rule, value: value.clone() },
            Decision::Waiting { approval } => Self::Waiting { approval: approval.clone() },
        }
    }

    /// A person has something to do: to answer, or to look after a device that is cut off.
    #[must_use]
    pub const fn needs_person(&self) -> bool {
        match self {
            Self::Waiting { .. }
            | Self::Approved { .. }
            | Self::UnderWay { .. }
            | Self::Live { .. }
            | Self::Releasing { .. } => true,
            Self::Denied { .. } | Self::Refused { .. } | Self::NotDone { .. } | Self::Done | Self::Released { .. } => {
                false
            }
        }
    }

    /// The device that it holds: something is under way on it, or its isolation is ours.
    #[must_use]
    pub fn holds(&self) -> Option<&DeviceId> {
        match self {
            Self::Approved { approval, .. } | Self::UnderWay { approval, .. } => Some(&approval.device),
            Self::Live { lease } | Self::Releasing { lease, .. } => Some(&lease.device),
            Self::Denied { .. }
            | Self::Waiting { .. }
            | Self::Refused { .. }
            | Self::NotDone { .. }
            | Self::Done
            | Self::Released { .. } => None,
        }
    }

    /// The lease, if it has or had one.
    #[must_use]
    pub fn lease(&self) -> Option<&IsolationLease> {
        match self {
            Self::Live { lease } | Self::Releasing { lease, .. } | Self::Released { lease, .. } => Some(lease),
            _ => None,
        }
    }

    /// What is being carried out: the order, the device, and the EDR's action once it took it.
    #[must_use]
    pub fn under_way(&self) -> Option<(&Order, &DeviceId, Option<&DeviceActionId>)> {
        match self {
            Self::UnderWay { approval, order, action, .. } => Some((order, &approval.device, action.as_ref())),
            Self::Releasing { lease, order, action } => Some((order, &lease.device, action.as_ref())),
            _ => None,
        }
    }

    /// The same wish may be filed again by a later look at the case; `for_a_person` if a person wanted that look.
    #[must_use]
    pub const fn may_be_asked_again(&self, for_a_person: bool) -> bool {
        match self {
            Self::Denied { rule, .. } if for_a_person => rule.may_be_asked_again_for_a_person(),
            Self::Denied { rule, .. } => rule.may_be_asked_again(),
            Self::Released { .. } | Self::NotDone { .. } => true,
            _ => false,
        }
    }

    /// Its stable name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Denied { .. } => "denied",
            Self::Waiting { .. } => "waiting",
            Self::Refused { .. } => "refused",
            Self::Approved { .. } => "approved",
            Self::UnderWay { .. } => "under_way",
            Self::NotDone { .. } => "not_done",
            Self::Done => "done",
            Self::Live { .. } => "live",
            Self::Releasing { .. } => "releasing",
            Self::Released { .. } => "released",
        }
    }
}

/// A step that the gate does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a proposal that is {from} cannot be {step}")]
pub struct IllegalStep {
    from: &'static str,
    step: &'static str,
}

/// A proposal with where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matter {
    /// The wish.
    pub proposal: Proposal,
    /// Where it stands.
    #[serde(flatten)]
    pub standing: Standing,
}

impl Matter {
    /// A proposal that was decided.
    #[must_use]
    pub fn new(proposal: Proposal, decision: &Decision) -> Self {
        Self { proposal, standing: Standing::after(decision) }
    }

    /// Takes in what happened.
    ///
    /// # Errors
    /// When it cannot happen where the proposal stands: then nothing changes. An answer after the approval expired
    /// is one of these.
    pub fn apply(&mut self, event: &GateEvent, at: Timestamp) -> Result<(), IllegalStep> {
        let illegal = IllegalStep { from: self.standing.name(), step: event.kind() };
        // What changes nothing about the proposal is legal anywhere.
        if matches!(event, GateEvent::Unheard { .. }) {
            return Ok(());
        }
        if event.proposal() != Some(self.proposal.id) {
            return Err(illegal);
        }
        self.standing = self.next(event, at).ok_or(illegal)?;
        Ok(())
    }

    fn next(&self, event: &GateEvent, at: Timestamp) -> Option<Standing> {
        Some(match (self.standing.clone(), event) {
            (Standing::Waiting { approval }, GateEvent::Answered { answer, .. }) if !approval.is_expired(at) => {
                match answer.clone() {
                    Answer::Approved { by, lease } => Standing::Approved { approval, by, lease },
                    Answer::Denied { by, because } => Standing::Refused { by, because },
                }
            }
            (Standing::Waiting { .. } | Standing::Approved { .. }, GateEvent::Lapsed { rule, value, .. }) => {
                Standing::Denied { rule: *rule, value: value.clone() }
            }
            (Standing::Approved { approval, by, lease }, GateEvent::Ordered { order, .. })
                if order.purpose == Purpose::Contain =>
            {
                Standing::UnderWay { approval, by, lease, order: order.clone(), action: None }
            }
            (Standing::UnderWay { approval, by, lease, order, action: None }, GateEvent::Accepted { action, .. }) => {
                Standing::UnderWay { approval, by, lease, order, action: Some(action.clone()) }
            }
            (Standing::UnderWay { approval, by, lease, .. }, GateEvent::Settled { outcome, .. }) => {
                self.settled(&approval, by, lease, outcome, at)
            }
            (Standing::Live { lease }, GateEvent::Ordered { order, .. }) if order.purpose == Purpose::Release => {
                let lease = Box::new(IsolationLease { tries: lease.tries + 1, ..*lease });
                Standing::Releasing { lease, order: order.clone(), action: None }
            }
            (Standing::Live { lease }, GateEvent::Extended { until, .. }) if *until > lease.until => {
                Standing::Live { lease: Box::new(IsolationLease { until: *until, ..*lease }) }
            }
            (Standing::Releasing { lease, order, action: None }, GateEvent::Accepted { action, .. }) => {
                Standing::Releasing { lease, order, action: Some(action.clone()) }
            }
            (Standing::Releasing { lease, order, .. }, GateEvent::Settled { outcome, .. }) => match outcome.trouble() {
                None => Standing::Released { lease, by: order.by, because: order.because, at },
                Some(why) => Standing::Live { lease: Box::new(IsolationLease { trouble: Some((why, at)), ..*lease }) },
            },
            _ => return None,
        })
    }

    fn settled(
        &self,
        approval: &Approval,
        owner: String,
        lasts: SignedDuration,
        outcome: &Outcome,
        at: Timestamp,
    ) -> Standing {
        match (outcome.trouble(), approval.action) {
            (Some(why), _) => Standing::NotDone { why },
            (None, Action::IsolateDevice) => Standing::Live {
                lease: Box::new(IsolationLease {
                    id: LeaseId::of(self.proposal.id),
                    owner,
                    reason: self.proposal.because.clone(),
                    device: approval.device.clone(),
                    host: approval.host.clone(),
                    nature: approval.nature,
                    since: at,
                    until: at.checked_add(lasts).unwrap_or(at),
                    undo: Action::ReleaseDevice,
                    trouble: None,
                    tries: 0,
                }),
            },
            (None, Action::ReleaseDevice | Action::RunAvScan) => Standing::Done,
        }
    }
}

#[cfg(test)]
mod tests;
