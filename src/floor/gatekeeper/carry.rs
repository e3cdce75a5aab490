//! Carrying out an order, one step at a time: ask the EDR once, find out what became of it, read its effect back.

use super::Shared;
use crate::domain::containment::{Action, Approval, Matter, Order, Outcome, Purpose, Standing};
use crate::domain::ids::{DeviceActionId, DeviceId, ProposalId};
use crate::journal::effects::EDR;
use crate::ports::edr::{ActionStatus, DeviceAction, EdrError};
use crate::ports::journal::{EffectState, JournalError};

/// How far an order came with one step.
pub(super) enum Step {
    /// Nothing new: look again later.
    Waits,
    /// The EDR took it.
    Accepted(DeviceActionId),
    /// It is over.
    Settled(Outcome),
}

/// An order that is under way, and what is needed to take it further.
pub(super) struct Errand {
    pub(super) proposal: ProposalId,
    order: Order,
    device: DeviceId,
    /// What is asked of the EDR.
    action: Action,
    /// What the EDR took it as.
    accepted: Option<DeviceActionId>,
    comment: String,
    /// What allows it, where something has to.
    approval: Option<Approval>,
    /// Digest of the policy in force.
    policy: String,
}

impl Errand {
    /// The errand of a proposal, if something is under way for it.
    pub(super) fn of(matter: &Matter, policy: &str) -> Option<Self> {
        let (order, device, accepted) = matter.standing.under_way()?;
        let (action, approval) = match &matter.standing {
            Standing::UnderWay { approval, .. } => (approval.action, Some(approval.as_ref().clone())),
            _ => (Action::ReleaseDevice, None),
        };
        let case = matter.proposal.id.case();
        let comment = format!("[{}] case {case}, {} by {}", order.key, action.noun(), order.by);
        Some(Self {
            proposal: matter.proposal.id,
            order: order.clone(),
            device: device.clone(),
            action,
            accepted: accepted.cloned(),
            comment,
            approval,
            policy: policy.to_owned(),
        })
    }

    /// Takes it one step further. An EDR that does not answer is asked again later what became of it.
    pub(super) async fn step(&self, shared: &Shared) -> Result<Step, JournalError> {
        let step = match &self.accepted {
            Some(action) => self.look(shared, action).await,
            None => self.ask(shared).await?,
        };
        match step {
            Ok(step) => Ok(step),
            Err(EdrError::Storage(error)) => Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, order = self.order.key, "the EDR was asked in vain");
                Ok(Step::Waits)
            }
        }
    }

    /// Asks the EDR, unless it was asked before: whoever died while asking left `sent` behind, and then the EDR itself
    /// says whether it has it.
    async fn ask(&self, shared: &Shared) -> Result<Result<Step, EdrError>, JournalError> {
        let effects = shared.journal.effects(EDR).await?;
        let Some(effect) = effects.into_iter().find(|effect| effect.wish.key == self.order.key) else {
            // Its row of the outbox is damaged: nobody acts on it.
            let why = "its row of the outbox can no longer be read".into();
            return Ok(Ok(Step::Settled(Outcome::Failed { why })));
        };
        if effect.state == EffectState::Planned {
            if let Some(step) = self.is_needless(shared).await {
                return Ok(step);
            }
            shared.journal.mark_sent(std::slice::from_ref(&self.order.key)).await?;
        } else {
            match self.find(shared).await {
                Ok(Some(found)) => return Ok(Ok(Step::Accepted(found.id))),
                // It has none: it was not asked, and may be asked now.
                Ok(None) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
        // Whoever takes this up after a death may come hours later: what was allowed then is not allowed for ever.
        if let Some(why) = self.no_longer(shared) {
            return Ok(Ok(Step::Settled(Outcome::Failed { why })));
        }
        Ok(self.send(shared).await)
    }

    /// Why it may no longer be asked, if so.
    fn no_longer(&self, shared: &Shared) -> Option<String> {
        let approval = self.approval.as_ref()?;
        if approval.policy != self.policy {
            return Some("it was approved under another policy than the one in force: nothing was asked".into());
        }
        let expires = approval.expires;
        let late = approval.is_expired(shared.clock.now());
        late.then(|| format!("it was approved and not sent before {expires}: nothing was asked"))
    }

    /// A device that somebody let back already is not let back again.
    async fn is_needless(&self, shared: &Shared) -> Option<Result<Step, EdrError>> {
        if self.order.purpose == Purpose::Contain {
            return None;
        }
        match shared.devices.is_isolated(&self.device).await {
            Ok(true) => None,
            Ok(false) => Some(Ok(Step::Settled(Outcome::Verified))),
            Err(error) => Some(Err(error)),
        }
    }

    async fn find(&self, shared: &Shared) -> Result<Option<DeviceAction>, EdrError> {
        let mark = format!("[{}]", self.order.key);
        let actions = shared.devices.actions(&self.device).await?;
        Ok(actions.into_iter().find(|action| action.comment.contains(&mark)))
    }

    async fn send(&self, shared: &Shared) -> Result<Step, EdrError> {
        let hands = &shared.hands.0;
        let taken = match self.action {
            Action::IsolateDevice => hands.isolate(&self.device, &self.comment).await,
            Action::ReleaseDevice => hands.release(&self.device, &self.comment).await,
            Action::RunAvScan => hands.av_scan(&self.device, &self.comment).await,
        };
        match taken {
            Ok(action) => Ok(Step::Accepted(action)),
            Err(error) if error.is_refusal() => Ok(Step::Settled(Outcome::Failed { why: error.to_string() })),
            Err(error) => Err(error),
        }
    }

    /// Looks what became of an action, and whether its effect is there: that an EDR calls it done is not enough.
    async fn look(&self, shared: &Shared, action: &DeviceActionId) -> Result<Step, EdrError> {
        Ok(match shared.devices.action(action).await?.status {
            ActionStatus::Pending => Step::Waits,
            ActionStatus::TimedOut => Step::Settled(Outcome::TimedOut),
            ActionStatus::Failed { why } => Step::Settled(Outcome::Failed { why }),
            ActionStatus::Succeeded => {
                let wanted = match self.action {
                    Action::IsolateDevice => Some(true),
                    Action::ReleaseDevice => Some(false),
                    Action::RunAvScan => None,
                };
                let shows = shared.devices.is_isolated(&self.device).await?;
                if wanted.is_none_or(|wanted| wanted == shows) {
                    Step::Settled(Outcome::Verified)
                } else {
                    let why = format!("action {action} is called done, and the device does not show it");
                    Step::Settled(Outcome::Failed { why })
                }
            }
        })
    }
}
