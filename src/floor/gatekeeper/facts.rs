//! What the gatekeeper finds out for itself before it decides: it believes no analyst.

use super::Shared;
use crate::domain::case::Status;
use crate::domain::containment::{AssetFacts, EvidenceFacts, Facts, Proposal, Target};
use crate::domain::draft::Classification;
use crate::domain::entity::HostName;
use crate::domain::ids::{AlertId, CaseId};
use crate::domain::person::Outcome;
use crate::evidence;
use crate::journal::case_log::CaseLog;
use crate::journal::case_stream::CaseStream;
use crate::knowledge::canonical;
use crate::ports::context::inferred::role_of;
use crate::ports::edr::{Device, EdrError, Reach, Resolution};
use crate::ports::journal::{JournalError, Lease};
use crate::ports::storage::StorageError;
use crate::tools::recorded;

/// The facts about every proposal of a claimed case that nobody has answered.
pub(super) async fn of_case(
    shared: &Shared,
    lease: Lease,
) -> Result<(CaseId, Lease, Vec<(Proposal, Facts)>), JournalError> {
    let case: CaseId = lease.item.parse().unwrap_or(CaseId::new(0));
    let stream = CaseStream::open(shared.journal.clone(), case, None).await?;
    let mut gathered = Vec::new();
    for proposal in stream.log().undecided() {
        gathered.push((proposal.clone(), of(shared, stream.log(), proposal).await?));
    }
    Ok((case, lease, gathered))
}

/// The facts about a proposal as they are now.
pub(super) async fn now(shared: &Shared, proposal: &Proposal) -> Result<Facts, JournalError> {
    let stream = CaseStream::open(shared.journal.clone(), proposal.id.case(), None).await?;
    of(shared, stream.log(), proposal).await
}

async fn of(shared: &Shared, log: &CaseLog, proposal: &Proposal) -> Result<Facts, JournalError> {
    let is_it = |host: &HostName| *host == proposal.host && !host.is_of_another_domain(&proposal.host);
    let host_in_case = shared.alerts.get(&log.alerts).iter().any(|alert| is_it(&alert.host));
    let watermark = shared.events.watermark().await?;
    let inferred = role_of(shared.events.as_ref(), &proposal.host, watermark).await?;
    let standing = shared.context.standing(&proposal.host, inferred.as_ref());
    Ok(Facts {
        nature: shared.devices.nature(),
        target: target(shared, &proposal.host).await?,
        asset: AssetFacts::from(&standing),
        host_in_case,
        elsewhere: if host_in_case { None } else { elsewhere(shared, log.id, &proposal.host).await },
        evidence: evidence(shared, log, proposal).await?,
        verdict_stands: verdict_stands(log),
        held_by: None,
    })
}

/// Another open case on the machine, as the desk shows it: whoever reads a refusal has to know where to go. A desk that
/// does not answer changes no decision.
async fn elsewhere(shared: &Shared, own: CaseId, host: &HostName) -> Option<CaseId> {
    let open = |status| matches!(status, Status::New | Status::InProgress | Status::OnHold);
    let cases = shared.desk.list().await.unwrap_or_default();
    let other =
        cases.into_iter().find(|case| case.id != own && open(case.state.status) && case.state.hosts.contains(host));
    other.map(|case| case.id)
}

/// The evidence of a proposal, read again, and the alerts it was asked on.
pub(super) async fn evidence(
    shared: &Shared,
    log: &CaseLog,
    proposal: &Proposal,
) -> Result<EvidenceFacts, JournalError> {
    let ledger = recorded::before(shared.journal.as_ref(), log, u32::MAX).await?.ledger;
    let reread = evidence::reread(shared.events.as_ref(), &ledger, &proposal.evidence).await?;
    let mut alerts: Vec<&AlertId> = log.alerts.iter().collect();
    alerts.sort_unstable();
    let digest = canonical::digest(&(alerts, &reread.digest));
    Ok(EvidenceFacts { cited: proposal.evidence.len(), reread: reread.events, digest })
}

/// The last verdict calls it malicious, no person calls it anything else, and neither a merge nor a person has ended
/// the case.
pub(in crate::floor) fn verdict_stands(log: &CaseLog) -> bool {
    let is_open = matches!(log.status, Status::InProgress | Status::OnHold);
    let overruled = log.persons_verdict.as_ref().is_some_and(|said| said.ruling.outcome() != Some(Outcome::Malicious));
    is_open && !overruled && log.judged().is_some_and(|(_, draft)| draft.classification == Classification::TruePositive)
}

/// What the host is at the EDR. An EDR that does not answer is a fact, a full disk is not.
async fn target(shared: &Shared, host: &HostName) -> Result<Target, StorageError> {
    match resolve(shared, host).await {
        Ok(target) => Ok(target),
        Err(EdrError::Storage(error)) => Err(error),
        Err(error) => Ok(Target::Unreadable { why: error.to_string() }),
    }
}

async fn resolve(shared: &Shared, host: &HostName) -> Result<Target, EdrError> {
    let edr = &shared.devices;
    Ok(match edr.resolve(host).await? {
        Resolution::Unknown => Target::Unknown,
        Resolution::Unmanaged { .. } => Target::Unmanaged,
        Resolution::Ambiguous { candidates } => {
            Target::Ambiguous { candidates: candidates.into_iter().map(|device| device.id).collect() }
        }
        Resolution::Device { device: Device { id, name, reach, tags, .. } } => {
            let pending = edr.actions(&id).await?.into_iter().find(|action| !action.status.is_final());
            Target::Managed {
                is_online: reach == Reach::Online,
                is_isolated: edr.is_isolated(&id).await?,
                in_flight: pending.map(|action| action.id),
                device: id,
                name,
                tags,
            }
        }
    })
}
