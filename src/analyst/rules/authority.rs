//! Features of authority: what people declared of machines and accounts, and what they approved or watch for.
//!
//! Declarations are people's words, so an approval may lower; a watchlist only raises. What nobody declared is unknown.

use super::super::Brief;
use super::feature::{Feature, MODERATE};
use super::seen::{Seen, SeenEvent};
use crate::domain::entity::HostName;
use crate::domain::evidence::Family;
use crate::ports::context::inferred::InferredRole;
use crate::tools::answer::Answered;
use crate::tools::standing::{AccountFacts, AssetFacts, Named};

fn argument<'a>(answered: &'a Answered, name: &str) -> Option<&'a str> {
    answered.call.arguments.get(name)?.as_str()
}

/// The answers of `asset`, with the machine and the event that was asked about.
fn assets(seen: &Seen) -> impl Iterator<Item = (HostName, Option<&str>, AssetFacts)> {
    let of_tool = seen.answers.iter().filter(|answered| answered.call.tool == "asset");
    of_tool.filter_map(|answered| {
        let facts = serde_json::from_value(answered.outcome.as_ref().ok()?.data.clone()).ok()?;
        Some((HostName::new(argument(answered, "host")?), argument(answered, "event"), facts))
    })
}

fn accounts(seen: &Seen) -> impl Iterator<Item = AccountFacts> {
    let of_tool = seen.answers.iter().filter(|answered| answered.call.tool == "account");
    of_tool.filter_map(|answered| serde_json::from_value(answered.outcome.as_ref().ok()?.data.clone()).ok())
}

/// A machine that is never acted on by a machine: a domain controller, or declared to be protected.
#[must_use]
pub fn is_protected(host: &HostName, seen: &Seen) -> bool {
    assets(seen).filter(|(of, ..)| of == host).any(|(.., facts)| {
        facts.standing.is_protected()
            || facts.inferred.is_some_and(|inferred| inferred.role == InferredRole::DomainController)
    })
}

/// What people say of the machine was asked, so that silence means that nobody said anything.
#[must_use]
pub fn is_asked_about(host: &HostName, seen: &Seen) -> bool {
    assets(seen).any(|(of, ..)| of == *host)
}

/// Some machine or account of the case is one of which a person decides.
#[must_use]
pub fn needs_a_person(seen: &Seen, brief: &Brief) -> bool {
    brief.alerts.iter().any(|alert| is_protected(&alert.host, seen)) || accounts(seen).any(|account| account.privileged)
}

/// What people approved covers this act: a window that is open, a scanner, a tool.
#[must_use]
pub fn is_approved(act: &SeenEvent, seen: &Seen) -> bool {
    let id = act.view.event.as_str();
    assets(seen)
        .filter(|(_, event, _)| *event == Some(id))
        .any(|(.., facts)| facts.around.is_some_and(|around| !around.approved.is_empty()))
}

/// Approvals lower only if every alert that could be looked at is covered; watchlists raise in any case.
#[must_use]
pub fn features(seen: &Seen, brief: &Brief) -> Vec<Feature> {
    let mut found = Vec::new();
    let mut covered = Vec::new();
    for (_, event, facts) in assets(seen) {
        let (Some(event), Some(around)) = (event, facts.around) else { continue };
        let Some(shown) = seen.events.values().find(|shown| shown.view.event.as_str() == event) else { continue };
        let names =
            |named: &[Named]| named.iter().take(2).map(|named| named.name.clone()).collect::<Vec<_>>().join(", ");
        let fields =
            ["User", "SubjectUserName", "Image", "NewProcessName", "SourceImage", "IpAddress", "TargetUserName"];
        if !around.watched.is_empty() {
            let says = format!("people watch for something in it: {}", names(&around.watched));
            found.extend(shown.feature("watched for", Family::Authority, MODERATE, &fields, says));
        }
        let approved: Vec<Named> = around.approved.into_iter().chain(around.windows).collect();
        if !approved.is_empty() {
            let says = format!("people announced or approved it: {}", names(&approved));
            covered.extend(shown.feature("approved", Family::Authority, -MODERATE, &fields, says));
        }
    }
    let is_covered = |event: &crate::domain::ids::EventId| {
        seen.trigger(event).is_some_and(|trigger| covered.iter().any(|feature| feature.evidence == trigger.id))
    };
    let all = brief.alerts.iter().all(|alert| is_covered(&alert.event));
    found.extend(covered.into_iter().filter(|_| all).take(1));
    found
}
