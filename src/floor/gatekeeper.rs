//! The gatekeeper: answers proposals, and in this version denies every one (dry run).
//!
//! It never blocks: facts are gathered in a task per case, a pure function decides, and the answer is appended to
//! the hash-chained audit before the case hears of it. A case whose answer was cut off between the two is answered
//! again from the audit.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinSet;

use super::messages::{GatekeeperMessage, Role};
use super::shared::{Shared, TICK};
use crate::analyst::comments;
use crate::domain::case::Status;
use crate::domain::containment::{self, Decision, Facts, Proposal};
use crate::domain::ids::CaseId;
use crate::domain::trace::{SpanId, SpanRef};
use crate::evidence;
use crate::journal::audit::{AuditChain, AuditRow};
use crate::journal::case_log::CaseLog;
use crate::journal::case_stream::{Batch, CaseStream};
use crate::journal::desired;
use crate::journal::effects::comment;
use crate::journal::entry::CaseEntry;
use crate::journal::root_span;
use crate::knowledge::canonical;
use crate::ports::journal::{JournalError, Lease, Queue, QueueChange};
use crate::telemetry::{ids, spans};
use crate::tools::recorded;

/// How the gatekeeper signs.
const AUTHOR: &str = "Gatekeeper";

/// How long it may be silent about a case before the case is claimable again.
const LEASE: Duration = Duration::from_secs(60);

/// The policy in force, as the audit names it.
const POLICY: &str = "dry run";

/// The actor.
pub struct Gatekeeper;

/// The facts about one case's proposals.
type Gathered = Result<(CaseId, Lease, Vec<(Proposal, Facts)>), JournalError>;

/// The ledger and the facts on their way.
pub struct State {
    shared: Arc<Shared>,
    ledger: AuditChain,
    gathering: JoinSet<Gathered>,
}

impl Actor for Gatekeeper {
    type Msg = GatekeeperMessage;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(
        &self,
        _: ActorRef<GatekeeperMessage>,
        shared: Arc<Shared>,
    ) -> Result<State, ActorProcessingErr> {
        shared.journal.release_all(Role::Gatekeeper.name()).await?;
        let ledger = AuditChain::open(shared.journal.clone()).await?;
        Ok(State { shared, ledger, gathering: JoinSet::new() })
    }

    async fn post_start(&self, myself: ActorRef<GatekeeperMessage>, _: &mut State) -> Result<(), ActorProcessingErr> {
        myself.send_interval(TICK, || GatekeeperMessage::Tick);
        Ok(myself.cast(GatekeeperMessage::Tick)?)
    }

    async fn handle(
        &self,
        myself: ActorRef<GatekeeperMessage>,
        message: GatekeeperMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            GatekeeperMessage::ProposalFiled | GatekeeperMessage::FactsGathered | GatekeeperMessage::Tick => {
                state.shared.faults.break_once(Role::Gatekeeper);
                let turn = async {
                    state.answer_gathered().await?;
                    state.claim(&myself).await
                };
                if let Err(error) = turn.await {
                    state.shared.report_journal(&error);
                }
                Ok(())
            }
        }
    }
}

impl State {
    /// Begins to gather facts for every case that waits.
    async fn claim(&mut self, myself: &ActorRef<GatekeeperMessage>) -> Result<(), JournalError> {
        let owner = Role::Gatekeeper.name();
        while let Some(lease) = self.shared.journal.claim(Queue::Gate, owner, LEASE, self.shared.clock.now()).await? {
            let (shared, myself) = (self.shared.clone(), myself.clone());
            self.gathering.spawn(async move {
                let gathered = gather(&shared, lease).await;
                let _ = myself.cast(GatekeeperMessage::FactsGathered);
                gathered
            });
        }
        Ok(())
    }

    /// Decides where the facts are in.
    async fn answer_gathered(&mut self) -> Result<(), JournalError> {
        while let Some(gathered) = self.gathering.try_join_next() {
            match gathered {
                Ok(Ok((case, lease, proposals))) => self.answer(case, &lease, proposals).await?,
                Ok(Err(error)) => self.shared.report_journal(&error),
                // The lease expires and the case is claimed again.
                Err(broke) => self.shared.report(&broke),
            }
        }
        Ok(())
    }

    async fn answer(
        &mut self,
        case: CaseId,
        lease: &Lease,
        proposals: Vec<(Proposal, Facts)>,
    ) -> Result<(), JournalError> {
        let mut decisions = Vec::new();
        for (proposal, facts) in proposals {
            let known = self.ledger.rows().iter().find(|row| row.proposal.id == proposal.id);
            let decision = match known {
                Some(row) => row.decision.clone(),
                None => {
                    let decision = containment::decide(facts);
                    let row = AuditRow {
                        proposal: proposal.clone(),
                        decision: decision.clone(),
                        facts: canonical::digest(&(facts.host_in_case, facts.evidence_reread)),
                        policy: canonical::digest(&POLICY),
                    };
                    self.ledger.append(row, self.shared.clock.now()).await?;
                    decision
                }
            };
            decisions.push((proposal, decision));
        }
        self.tell(case, lease, &decisions).await
    }

    /// Brings the answers to the case.
    async fn tell(&self, case: CaseId, lease: &Lease, decisions: &[(Proposal, Decision)]) -> Result<(), JournalError> {
        loop {
            let mut stream = CaseStream::open(self.shared.journal.clone(), case, Some(lease.clone())).await?;
            let (log, now) = (stream.log(), self.shared.clock.now());
            let mut batch = Batch::default();
            for (proposal, decision) in decisions {
                if !log.undecided().any(|open| open.id == proposal.id) {
                    continue;
                }
                let span = ids::new_span();
                let shown = gate_span(log.root, span, case, proposal);
                let Decision::Denied { rule } = decision;
                spans::record_decision(&shown, "denied", rule.name());
                batch.entries.push(CaseEntry::Decided { proposal: proposal.id, decision: decision.clone(), span });
                let evidence = proposal.evidence.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
                let text = format!(
                    "{} asks for {} of {}: {} [{evidence}].\nDenied — {}.",
                    proposal.id,
                    proposal.action.noun(),
                    comments::quoted(proposal.host.as_str()),
                    comments::quoted(&proposal.because),
                    rule.reason()
                );
                batch.effects.push(comment(case, &proposal.id.to_string(), AUTHOR, text, now));
            }
            let preview = stream.preview(&batch.entries, now);
            let waits = preview.undecided().next().is_some();
            // A case that a tier still works on is concluded when that work ends.
            let concludes = !waits && preview.running().is_none() && !is_open(&preview);
            if !waits {
                batch.queues.push(QueueChange::Remove { queue: Queue::Gate, item: case.to_string() });
            }
            if concludes {
                batch.entries.push(CaseEntry::Concluded);
            }
            let preview = stream.preview(&batch.entries, now);
            let alerts = self.shared.alerts.get(&preview.alerts);
            batch.effects.push(desired::state(&preview, &alerts));
            match stream.append(batch, now).await {
                Ok(()) => {
                    if concludes {
                        root_span::export(stream.log(), &alerts, now);
                    }
                    self.shared.entry_ready();
                    if waits {
                        self.shared.journal.release(lease, None).await?;
                    }
                    return Ok(());
                }
                Err(JournalError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A tier will still work on the case.
const fn is_open(log: &CaseLog) -> bool {
    matches!(log.status, Status::New | Status::InProgress)
}

fn gate_span(root: SpanRef, own: SpanId, case: CaseId, proposal: &Proposal) -> tracing::Span {
    spans::gate_decision(root, own, case, proposal.id, proposal.action.noun(), proposal.host.as_str())
}

/// Reads what the gatekeeper itself needs to know about a case's open proposals.
async fn gather(shared: &Shared, lease: Lease) -> Gathered {
    let case: CaseId = lease.item.parse().unwrap_or(CaseId::new(0));
    let stream = CaseStream::open(shared.journal.clone(), case, None).await?;
    let log = stream.log();
    let ledger = recorded::before(shared.journal.as_ref(), log, u32::MAX).await?.ledger;
    let alerts = shared.alerts.get(&log.alerts);
    let mut gathered = Vec::new();
    for proposal in log.undecided() {
        let host_in_case = alerts.iter().any(|alert| alert.host == proposal.host);
        let evidence_reread = evidence::reread(shared.events.as_ref(), &ledger, &proposal.evidence).await?;
        gathered.push((proposal.clone(), Facts { host_in_case, evidence_reread }));
    }
    Ok((case, lease, gathered))
}
