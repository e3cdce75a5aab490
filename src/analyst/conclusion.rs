//! From an accepted verdict to the case's next step: route, status, proposals, comments, queues, in one append.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::driver::{Driver, Stop, queue, rank};
use super::investigation::Investigation;
use super::{Brief, closing, comments, mandatory};
use crate::domain::alert::{Alert, Severity};
use crate::domain::case::Transition;
use crate::domain::containment::Proposal;
use crate::domain::ids::{CaseId, EventId, ProposalId};
use crate::domain::person::Outcome;
use crate::domain::route::{CaseFacts, Habit, MandatoryHuman, Route, Tier, route};
use crate::domain::verdict::Verdict;
use crate::journal::alert_log::AlertLog;
use crate::journal::case_log::{CaseLog, Proposed};
use crate::journal::case_stream::{Batch, CaseStream};
use crate::journal::effects::comment;
use crate::journal::entry::CaseEntry;
use crate::journal::{desired, outcomes, root_span};
use crate::ports::context::inferred::{InferredRole, role_of};
use crate::ports::journal::{Queue, QueueChange};
use crate::ports::storage::StorageError;
use crate::telemetry::spans;

impl Investigation<'_> {
    /// Routes an accepted verdict: the verdict, the step it leads to, the comments that tell of it and the
    /// queues it moves between are one append.
    pub(super) async fn conclude(self, verdict: Verdict) -> Result<(), Stop> {
        let Self { driver, seat, brief, run, taint, span, alerts, .. } = self;
        let (case, tier, attempt) = (brief.case, brief.tier, run.attempt());
        let now = driver.clock.now();
        let mut mandatory = mandatory::reasons(&brief.alerts);
        if concerns_domain_controller(driver, &alerts, &brief).await? {
            mandatory.push(MandatoryHuman::DomainController);
        }
        mandatory.extend(run.stream().log().reserved);
        let severity = alerts.iter().map(|alert| alert.rule.level).max().unwrap_or(Severity::Medium);
        let (damaged, losses) = (driver.alerts.damaged_logs(), driver.alerts.losses());
        let (events, explained) = (driver.events.as_ref(), verdict.explained());
        let mut obstacles = closing::obstacles(events, brief.watermark, &explained, &damaged, &losses).await?;
        obstacles.extend(closing::left_over(events, brief.watermark, &explained, &brief.alerts).await?);
        let habit = match severity > Severity::Medium && !explained.is_empty() {
            true => habit(driver, &brief, &explained).await?,
            false => Habit::NotShown("nobody asked".into()),
        };
        let facts = CaseFacts { tier, severity, mandatory, taint, obstacles, habit };
        let routed = route(&verdict, &facts, &driver.policy);
        spans::record_verdict(&span, verdict.classification().name());
        let mut batch = Batch::default();
        let card = card(&verdict, seat.analyst.name(), tier);
        batch.entries.push(CaseEntry::Judged { attempt, draft: Box::new(verdict.words().clone()), card });
        let mut tell = |about: &str, author: &str, text| {
            batch.effects.push(comment(case, &format!("a{attempt}/{about}"), author, text, now));
        };
        tell("verdict", &format!("Verdict ({})", tier.name()), comments::verdict(&verdict, seat.analyst.name()));
        if let Some(taint) = taint {
            let text = format!("Warning: {}. It is quoted, not followed; a person decides this case.", taint.reason());
            tell("taint", "Guard", text);
        }
        tell("status", "Status", comments::status(&routed));
        let moved = |transition: &Transition| CaseEntry::Moved {
            transition: transition.into(),
            by: tier.name().into(),
            rule: routed.rule.into(),
            because: routed.because.clone(),
        };
        if routed.may_contain {
            batch.entries.extend(proposals(run.stream().log(), &verdict));
        }
        match &routed.route {
            Route::Escalate { .. } => {
                let item = case.to_string();
                batch.queues.push(QueueChange::Remove { queue: queue(tier), item: item.clone() });
                let rank = rank(severity);
                batch.queues.push(QueueChange::Put { queue: Queue::Tier2, item, rank, not_before: None });
            }
            Route::Hold(hold) => batch.entries.push(moved(&Transition::Hold(hold.clone()))),
            Route::Resolve(resolution) => batch.entries.push(moved(&Transition::ResolveOnProof(resolution.clone()))),
        }
        let ends = !matches!(routed.route, Route::Escalate { .. });
        if ends {
            finish(&mut batch, run.stream(), tier, &driver.alerts, now);
        } else {
            if batch.entries.iter().any(|entry| matches!(entry, CaseEntry::Proposed { .. })) {
                batch.queues.push(to_gate(case, severity));
            }
            let preview = run.stream().preview(&batch.entries, now);
            batch.effects.push(desired::state(&preview, &alerts));
        }
        let stream = run.finish(batch, now).await?;
        if ends {
            root_span::export(stream.log(), &alerts, now);
        }
        Ok(())
    }
}

/// Whether what is explained is an old habit, in a month in which nobody called what such a rule found a threat: what
/// people judged to be an attack makes no habit, however often it was repeated.
async fn habit(driver: &Driver, attempt: &Brief, explained: &[&EventId]) -> Result<Habit, Stop> {
    let rules: BTreeSet<_> = attempt.alerts.iter().map(|alert| &alert.rule.id).collect();
    let first = attempt.alerts.iter().map(|alert| alert.time).min().unwrap_or(Timestamp::MAX);
    let since = first.checked_sub(closing::HABIT_BACK).unwrap_or(Timestamp::MIN);
    let judged = outcomes::of_people(&driver.journal, &driver.alerts).await?;
    let is_threat = |case: &outcomes::CaseOutcome| {
        case.outcome == Outcome::Malicious
            && case.first_alert.is_none_or(|time| time >= since)
            && case.rules.iter().any(|rule| rules.contains(rule))
    };
    if judged.iter().any(is_threat) {
        return Ok(Habit::NotShown("people called what its rule found in that month a threat".into()));
    }
    Ok(closing::habit(driver.events.as_ref(), attempt.watermark, explained).await?)
}

/// Some host of the case is a domain controller, as far as its events show.
async fn concerns_domain_controller(
    driver: &Driver,
    alerts: &[Arc<Alert>],
    attempt: &Brief,
) -> Result<bool, StorageError> {
    let hosts: BTreeSet<_> = alerts.iter().map(|alert| &alert.host).collect();
    for host in hosts.into_iter().take(8) {
        let found = role_of(driver.events.as_ref(), host, attempt.watermark).await?;
        if found.is_some_and(|found| found.role == InferredRole::DomainController) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn to_gate(case: CaseId, severity: Severity) -> QueueChange {
    QueueChange::Put { queue: Queue::Gate, item: case.to_string(), rank: rank(severity), not_before: None }
}

/// Proposals for what the verdict wishes and nobody has proposed yet.
fn proposals(log: &CaseLog, verdict: &Verdict) -> Vec<CaseEntry> {
    // What lapsed because the moment had passed may be asked again; what a rule or a person refused may not.
    let for_a_person = log.reserved == Some(MandatoryHuman::PersonsWord);
    let stands = |p: &Proposed| p.standing.as_ref().is_none_or(|standing| !standing.may_be_asked_again(for_a_person));
    let is_known = |p: &Proposed, action, host: &_| p.proposal.action == action && p.proposal.host == *host;
    let known = |action, host: &_| log.proposals.iter().any(|p| is_known(p, action, host) && stands(p));
    let wishes = verdict.words().containment.iter().filter(|wish| !known(wish.action, &wish.host));
    let first = u32::try_from(log.proposals.len()).unwrap_or(u32::MAX) + 1;
    let proposals = wishes.zip(first..).map(|(wish, number)| CaseEntry::Proposed {
        proposal: Proposal {
            id: ProposalId::new(log.id, number),
            action: wish.action,
            host: wish.host.clone(),
            because: wish.because.clone(),
            evidence: wish.evidence.clone(),
        },
    });
    proposals.collect()
}

/// Completes a batch after which no tier works on the case: it leaves the queue, proposals go to the gatekeeper,
/// the run is concluded if none wait, and the desk is told.
pub(super) fn finish(batch: &mut Batch, stream: &CaseStream, tier: Tier, alerts: &AlertLog, now: Timestamp) {
    let case = stream.log().id;
    batch.queues.push(QueueChange::Remove { queue: queue(tier), item: case.to_string() });
    let alerts = alerts.get(&stream.log().alerts);
    let preview = stream.preview(&batch.entries, now);
    let severity = alerts.iter().map(|alert| alert.rule.level).max().unwrap_or(Severity::Medium);
    if preview.undecided().next().is_some() {
        batch.queues.push(to_gate(case, severity));
    } else {
        batch.entries.push(CaseEntry::Concluded);
    }
    let preview = stream.preview(&batch.entries, now);
    batch.effects.push(desired::state(&preview, &alerts));
}

/// The verdict as people and programs are shown it.
fn card(verdict: &Verdict, analyst: &str, tier: Tier) -> serde_json::Value {
    let mut card = serde_json::to_value(verdict).unwrap_or_default();
    let words = verdict.words();
    card["judged_by"] = analyst.into();
    card["tier"] = tier.slug().into();
    card["headline"] = words.headline.clone().into();
    card["story"] = words.story.clone().into();
    card["techniques"] = words.techniques.clone().into();
    card["hypotheses"] = serde_json::to_value(&words.hypotheses).unwrap_or_default();
    card["unknowns"] = serde_json::to_value(&words.unknowns).unwrap_or_default();
    card["contradictions"] = words.contradictions.clone().into();
    card["would_change"] = words.would_change.clone().into();
    card
}
