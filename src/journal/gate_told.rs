//! What happens at the gate, in sentences: for comments, lists and whoever watches. What is simulated says so.

use crate::domain::containment::{Answer, Decision, GateEvent, Mode, Nature, Outcome, Proposal, Purpose, Standing};
use crate::domain::taint;

/// Longest reason that is told.
const LONGEST: usize = 200;

fn quoted(text: &str) -> String {
    taint::shown(text).chars().take(LONGEST).collect()
}

/// `isolation of WKS-07`.
#[must_use]
pub fn wish(proposal: &Proposal) -> String {
    format!("{} of {}", proposal.action.noun(), quoted(proposal.host.as_str()))
}

/// A decision in a sentence.
#[must_use]
pub fn decision(proposal: &Proposal, decision: &Decision) -> String {
    match decision {
        Decision::Denied { rule, value } if value.is_empty() => format!("Denied — {}.", rule.reason()),
        Decision::Denied { rule, value } => {
            format!("Denied — {}.\nCheck {}: {}.", rule.reason(), rule.name(), quoted(value))
        }
        Decision::Waiting { approval } => format!(
            "Every check passed. It waits for a person until {} and is denied then: watchfloor approvals approve {}{}.",
            approval.expires.strftime("%F %T UTC"),
            proposal.id,
            approval.nature.mark()
        ),
    }
}

/// Where a proposal stands, in a sentence.
#[must_use]
pub fn standing(standing: &Standing) -> String {
    match standing {
        Standing::Denied { rule, value } if value.is_empty() => rule.reason().into(),
        Standing::Denied { rule, value } => format!("{} ({})", rule.reason(), quoted(value)),
        Standing::Waiting { approval } => {
            format!("waits for a person until {}{}", approval.expires.strftime("%F %T UTC"), approval.nature.mark())
        }
        Standing::Refused { by, because } => format!("denied by {}: {}", quoted(by), quoted(because)),
        Standing::Approved { by, approval, .. } => format!("approved by {}{}", quoted(by), approval.nature.mark()),
        Standing::UnderWay { by, approval, action, .. } => {
            let stage = if action.is_some() { "the EDR took it and has not confirmed it" } else { "being sent" };
            format!("approved by {}, {stage}{}", quoted(by), approval.nature.mark())
        }
        Standing::NotDone { why } => format!("approved and not done: {}", quoted(why)),
        Standing::Done => "done".into(),
        Standing::Live { lease } => {
            let mark = lease.nature.mark();
            let until = lease.until.strftime("%F %T UTC");
            let trouble = lease.trouble.as_ref().map_or_else(String::new, |(why, _)| {
                format!("; its release came to nothing ({}): let the device back by hand, or try again", quoted(why))
            });
            format!(
                "isolated until {until}, lease {}, {} answers for it{mark}{trouble}",
                lease.id,
                quoted(&lease.owner)
            )
        }
        Standing::Releasing { lease, .. } => format!("being let back, lease {}{}", lease.id, lease.nature.mark()),
        Standing::Released { lease, by, because, .. } => {
            format!("let back by {}: {}{}", quoted(by), quoted(because), lease.nature.mark())
        }
    }
}

/// An event after the decision, in a sentence.
#[must_use]
pub fn event(proposal: &Proposal, event: &GateEvent, nature: Nature) -> String {
    let (id, mark) = (proposal.id, nature.mark());
    let what = wish(proposal);
    match event {
        GateEvent::PolicySet { policy } => match policy.mode {
            Mode::DryRun => "Containment is off: proposals are recorded and denied.".into(),
            Mode::Approve => "Containment asks people: a proposal that passes every check waits for one.".into(),
        },
        GateEvent::Decided { decision: decided, .. } => decision(proposal, decided),
        GateEvent::Answered { answer: Answer::Approved { by, lease }, .. } => {
            format!("{id}, {what}: approved by {} for {lease:#}{mark}.", quoted(by))
        }
        GateEvent::Answered { answer: Answer::Denied { by, because }, .. } => {
            format!("{id}, {what}: denied by {}: {}.", quoted(by), quoted(because))
        }
        GateEvent::Lapsed { rule, value, .. } => {
            format!("{id}, {what}: denied — {}.\nCheck {}: {}.", rule.reason(), rule.name(), quoted(value))
        }
        GateEvent::Ordered { order, .. } => match order.purpose {
            Purpose::Contain => format!("{id}: {what} is asked of {}.", nature.edr()),
            Purpose::Release => format!(
                "{id}: release of {} is asked of {} by {}: {}.",
                quoted(proposal.host.as_str()),
                nature.edr(),
                quoted(&order.by),
                quoted(&order.because)
            ),
        },
        GateEvent::Accepted { action, .. } => {
            format!("{id}: {} took it as action {}; it is not confirmed yet.", nature.edr(), quoted(action.as_str()))
        }
        GateEvent::Settled { outcome, .. } => match outcome {
            Outcome::Verified => format!("{id}: {} shows that it was done{mark}.", nature.edr()),
            Outcome::Failed { why } => format!("{id}: it was not done{mark}: {}.", quoted(why)),
            Outcome::TimedOut => format!("{id}: it was not done{mark}: the device was not reached in time."),
        },
        GateEvent::Extended { by, because, until, .. } => format!(
            "{id}: {} lets the isolation last until {}: {}{mark}.",
            quoted(by),
            until.strftime("%F %T UTC"),
            quoted(because)
        ),
        GateEvent::Unheard { why, .. } => format!("{id}: an answer changes nothing: {}.", quoted(why)),
        GateEvent::Unknown => format!("{id}: something a later version recorded."),
    }
}
