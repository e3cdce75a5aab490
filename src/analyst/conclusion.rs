//! From an accepted verdict to the case's next step: route, status, proposals, comments, queues, in one append.

use std::sync::Arc;

use jiff::Timestamp;

use super::driver::{Driver, Stop, queue, rank};
use super::investigation::Investigation;
use super::{Brief, closing, comments, mandatory};
use crate::domain::alert::{Alert, Severity};
use crate::domain::case::Transition;
use crate::domain::containment::Proposal;
use crate::domain::ids::{CaseId, ProposalId};
use crate::domain::route::{CaseFacts, MandatoryHuman, Route, Tier, route};
use crate::domain::verdict::Verdict;
use crate::journal::alert_log::AlertLog;
use crate::journal::case_log::{CaseLog, Proposed};
use crate::journal::case_stream::{Batch, CaseStream};
use crate::journal::effects::comment;
use crate::journal::entry::CaseEntry;
use crate::journal::{desired, root_span};
use crate::ports::events::{EventQuery, Kind};
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
        let obstacles = closing::obstacles(events, brief.watermark, &explained, &damaged, &losses).await?;
        let facts = CaseFacts { tier, severity, mandatory, taint, obstacles };
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

/// Some host of the case is a domain controller, as far as its events show: only one issues Kerberos tickets.
async fn concerns_domain_controller(
    driver: &Driver,
    alerts: &[Arc<Alert>],
    attempt: &Brief,
) -> Result<bool, StorageError> {
    let mut hosts: Vec<_> = alerts.iter().map(|alert| alert.host.clone()).collect();
    hosts.sort();
    hosts.dedup();
    for host in hosts.into_iter().take(8) {
        let kinds = [4768, 4769].map(|code| Kind { channel: Some("Security".into()), code });
        let query = EventQuery {
            host: Some(host),
            kinds: kinds.to_vec(),
            limit: 1,
            ..EventQuery::within(Timestamp::MIN, Timestamp::MAX, attempt.watermark)
        };
        if driver.events.search(&query).await?.total > 0 {
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
    let stands = |p: &Proposed| p.standing.as_ref().is_none_or(|standing| !standing.may_be_asked_again());
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
