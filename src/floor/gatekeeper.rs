//! The gatekeeper: decides proposals, hears people's answers, and alone acts on devices.
//!
//! It never blocks: facts are gathered and actions are carried out in tasks, pure functions decide, and everything is
//! appended to the hash-chained audit before anybody acts on it or hears of it. What is asked of the EDR stands in the
//! outbox, committed with the row that orders it. After a death at any place it goes on from the audit: a case that
//! was not told is told, an action whose outcome is not known is looked up at the EDR before anything is asked again.

mod carry;
mod facts;
mod hear;
mod tell;

pub(super) use facts::verdict_stands;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::carry::Step;
use super::messages::{GatekeeperMessage, Role};
use super::shared::{Shared, TICK};
use crate::domain::containment::{
    self, DenialRule, Facts, GateEvent, Order, Outcome, Policy, Proposal, Purpose, Standing,
};
use crate::domain::ids::{CaseId, ProposalId};
use crate::journal::audit::AuditChain;
use crate::journal::case_stream::CaseStream;
use crate::journal::effects::EDR;
use crate::journal::gate_ledger::GateLedger;
use crate::knowledge::canonical;
use crate::ports::edr::Containment;
use crate::ports::journal::{JournalError, Lease, NewEffect, Queue, QueueChange};

/// How long it may be silent about a case before the case is claimable again.
const LEASE: Duration = Duration::from_secs(60);

/// How long after a release that came to nothing it is tried again: long enough for a laptop to be opened, short
/// enough that nobody stays cut off for the rest of the day.
const TRY_AGAIN: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// The half of the EDR that acts. Anybody may hand it on; only the gatekeeper can use it.
#[derive(Clone)]
pub struct Hands(Arc<dyn Containment>);

impl Hands {
    /// Wraps it, so that nobody but the gatekeeper reaches it any more.
    #[must_use]
    pub fn new(edr: Arc<dyn Containment>) -> Self {
        Self(edr)
    }
}

/// The actor.
pub struct Gatekeeper;

/// The proposals of a case, each with the facts about it, under the lease by which they are answered.
type Gathered = (CaseId, Lease, Vec<(Proposal, Facts)>);

/// What a task brings back.
enum Work {
    /// The facts about a case's proposals.
    Case(Result<Gathered, JournalError>),
    /// The facts about the proposal that a person approves.
    Approval(u64, ProposalId, Result<Facts, JournalError>),
    /// What became of a step of an order.
    Carried(ProposalId, Result<Step, JournalError>),
}

/// The ledger, and what is on its way.
pub struct State {
    shared: Arc<Shared>,
    audit: AuditChain,
    ledger: GateLedger,
    policy: Policy,
    /// Digest of the policy.
    digest: String,
    work: JoinSet<Work>,
    /// The person's word whose facts are being gathered: words are answered in their order.
    in_hand: Option<u64>,
    /// Orders of which a step is on its way.
    carrying: HashSet<ProposalId>,
    /// When orders that are under way were looked at last.
    looked: BTreeMap<ProposalId, Instant>,
    /// Cases whose approvals wait, with the last of their entries that was compared.
    watched: BTreeMap<ProposalId, (CaseStream, u64)>,
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
        let audit = AuditChain::open(shared.journal.clone()).await?;
        let ledger = GateLedger::of(audit.rows());
        // Whoever laid a hand on the audit may have removed a denial: nothing is done on its word any more.
        let policy = match audit.broken() {
            Some(broken) => {
                tracing::error!(%broken, "the audit does not hold: proposals are denied until that is explained");
                Policy::default()
            }
            None => shared.containment().unwrap_or_else(|| ledger.policy()),
        };
        let mut state = State {
            shared,
            audit,
            ledger,
            policy,
            digest: canonical::digest(&policy),
            work: JoinSet::new(),
            in_hand: None,
            carrying: HashSet::new(),
            looked: BTreeMap::new(),
            watched: BTreeMap::new(),
        };
        if state.ledger.policy() != policy {
            state.record(vec![GateEvent::PolicySet { policy }], vec![]).await?;
        }
        state.confirm_settled().await?;
        Ok(state)
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
                if let Err(error) = state.turn(&myself).await {
                    state.shared.report_journal(&error);
                    if matches!(error, JournalError::Conflict { .. }) {
                        // Somebody else wrote the audit: what is known of it is no longer true.
                        return Err(error.into());
                    }
                }
                Ok(())
            }
        }
    }
}

impl State {
    async fn turn(&mut self, myself: &ActorRef<GatekeeperMessage>) -> Result<(), JournalError> {
        while let Some(done) = self.work.try_join_next() {
            match done {
                Ok(Work::Case(Ok((case, lease, proposals)))) => self.answer(case, &lease, proposals).await?,
                Ok(Work::Approval(word, proposal, facts)) => {
                    self.in_hand = None;
                    self.approved(word, proposal, facts?).await?;
                }
                Ok(Work::Carried(proposal, step)) => {
                    self.carrying.remove(&proposal);
                    self.carried(proposal, step?).await?;
                }
                Ok(Work::Case(Err(error))) => self.shared.report_journal(&error),
                // A lease expires and the case is claimed again; the rest is found again in the ledger.
                Err(broke) => {
                    self.shared.report(&broke);
                    self.in_hand = None;
                    self.carrying.clear();
                }
            }
        }
        self.hear(myself).await?;
        self.lapse().await?;
        self.end_leases().await?;
        self.carry(myself);
        self.claim(myself).await
    }

    /// Appends what happened, with what is to be asked of the EDR for it, and has the cases told.
    async fn record(&mut self, events: Vec<GateEvent>, effects: Vec<NewEffect>) -> Result<(), JournalError> {
        let known = |id: &ProposalId| self.ledger.get(*id).is_some();
        let mut cases: Vec<CaseId> =
            events.iter().filter_map(GateEvent::proposal).filter(known).map(ProposalId::case).collect();
        cases.dedup();
        let put = |case: CaseId| QueueChange::Put {
            queue: Queue::Gate,
            item: case.to_string(),
            // Telling a case takes a moment: its place in the queue does not matter.
            rank: 0,
            not_before: None,
        };
        let queues = cases.into_iter().map(put).collect();
        self.append(events, effects, queues).await
    }

    async fn append(
        &mut self,
        events: Vec<GateEvent>,
        effects: Vec<NewEffect>,
        queues: Vec<QueueChange>,
    ) -> Result<(), JournalError> {
        let known = self.audit.rows().len();
        self.audit.append(events, effects, queues, self.shared.clock.now()).await?;
        for row in &self.audit.rows()[known..] {
            self.ledger.apply(row);
        }
        Ok(())
    }

    /// Begins to gather facts for every case that waits.
    async fn claim(&mut self, myself: &ActorRef<GatekeeperMessage>) -> Result<(), JournalError> {
        let owner = Role::Gatekeeper.name();
        while let Some(lease) = self.shared.journal.claim(Queue::Gate, owner, LEASE, self.shared.clock.now()).await? {
            let (shared, myself) = (self.shared.clone(), myself.clone());
            self.work.spawn(async move {
                let gathered = facts::of_case(&shared, lease).await;
                let _ = myself.cast(GatekeeperMessage::FactsGathered);
                Work::Case(gathered)
            });
        }
        Ok(())
    }

    async fn answer(
        &mut self,
        case: CaseId,
        lease: &Lease,
        proposals: Vec<(Proposal, Facts)>,
    ) -> Result<(), JournalError> {
        for (proposal, facts) in proposals {
            if self.ledger.get(proposal.id).is_none() {
                let facts = self.with_holder(facts);
                let now = self.shared.clock.now();
                let decision = containment::decide(&proposal, &facts, &self.policy, &self.digest, now);
                let facts = canonical::digest(&facts);
                let decided = GateEvent::Decided { proposal, decision, facts, policy: self.digest.clone() };
                // The case is in the queue already, and leaves it once it was told.
                self.append(vec![decided], vec![], vec![]).await?;
            }
        }
        self.tell(case, lease).await
    }

    /// The facts with what only the ledger knows: who holds the device.
    fn with_holder(&self, mut facts: Facts) -> Facts {
        if let containment::Target::Managed { device, .. } = &facts.target {
            facts.held_by = self.ledger.holder(device);
        }
        facts
    }

    /// Denies what waits and can no longer be approved.
    async fn lapse(&mut self) -> Result<(), JournalError> {
        let waiting = self.ledger.matters().filter_map(|matter| match &matter.standing {
            Standing::Waiting { approval } => Some((matter.proposal.clone(), approval.clone())),
            _ => None,
        });
        let waiting: Vec<_> = waiting.collect();
        self.watched.retain(|id, _| waiting.iter().any(|(proposal, _)| proposal.id == *id));
        for (proposal, approval) in waiting {
            let ground = if approval.is_expired(self.shared.clock.now()) {
                Some((DenialRule::Expired, format!("it waited until {}", approval.expires)))
            } else if approval.policy != self.digest {
                Some((DenialRule::PolicyChanged, "the policy in force is another one".into()))
            } else {
                self.changed(&proposal, &approval.evidence).await?
            };
            if let Some((rule, value)) = ground {
                self.record(vec![GateEvent::Lapsed { proposal: proposal.id, rule, value }], vec![]).await?;
            }
        }
        Ok(())
    }

    /// What changed about the case since its approval was asked for, if something did.
    async fn changed(
        &mut self,
        proposal: &Proposal,
        evidence: &str,
    ) -> Result<Option<(DenialRule, String)>, JournalError> {
        let (mut stream, compared) = match self.watched.remove(&proposal.id) {
            Some(watched) => watched,
            None => (CaseStream::open(self.shared.journal.clone(), proposal.id.case(), None).await?, 0),
        };
        stream.refresh().await?;
        let last = stream.log().last;
        let mut ground = None;
        if last != compared {
            let now = facts::evidence(&self.shared, stream.log(), proposal).await?;
            if now.digest != evidence {
                let what = "what it was asked on is not what the case holds now";
                ground = Some((DenialRule::CaseChanged, what.into()));
            } else if !facts::verdict_stands(stream.log()) {
                let what = format!("the case is {}, or was judged otherwise", stream.log().status);
                ground = Some((DenialRule::NoVerdict, what));
            }
        }
        self.watched.insert(proposal.id, (stream, last));
        Ok(ground)
    }

    /// Orders the release of devices whose time is over.
    async fn end_leases(&mut self) -> Result<(), JournalError> {
        let now = self.shared.clock.now();
        let is_over = |standing: &Standing| match standing {
            Standing::Live { lease } => {
                let tried = lease.trouble.as_ref().map(|(_, tried)| *tried);
                now >= lease.until && tried.is_none_or(|tried| now.duration_since(tried) >= TRY_AGAIN)
            }
            _ => false,
        };
        let over: Vec<ProposalId> =
            self.ledger.matters().filter(|matter| is_over(&matter.standing)).map(|matter| matter.proposal.id).collect();
        for proposal in over {
            let (event, effect) = self.order(proposal, Purpose::Release, None, "Gatekeeper", "its lease is over");
            self.record(vec![event], vec![effect]).await?;
        }
        Ok(())
    }

    /// An order, and its row of the outbox.
    fn order(
        &self,
        proposal: ProposalId,
        purpose: Purpose,
        word: Option<u64>,
        by: &str,
        because: &str,
    ) -> (GateEvent, NewEffect) {
        // The chain's last hash makes the key unique among all floors that use one EDR, and what is asked twice two.
        let unique: String = self.audit.tip().chars().take(12).collect();
        let kind = match purpose {
            Purpose::Contain => "contain",
            Purpose::Release => "release",
        };
        let order =
            Order { purpose, key: format!("wf:{proposal}/{kind}/{unique}"), by: by.into(), because: because.into() };
        let effect = NewEffect {
            key: order.key.clone(),
            target: EDR.into(),
            lane: proposal.to_string(),
            // An order has no keys other than strings.
            body: serde_json::to_string(&order).unwrap_or_default(),
        };
        (GateEvent::Ordered { proposal, word, order }, effect)
    }

    /// Begins the next step of every order that is under way.
    fn carry(&mut self, myself: &ActorRef<GatekeeperMessage>) {
        let now = Instant::now();
        let is_due = |id: &ProposalId| self.looked.get(id).is_none_or(|then| now.duration_since(*then) >= TICK);
        let due: Vec<_> = self
            .ledger
            .matters()
            .filter(|matter| !self.carrying.contains(&matter.proposal.id) && is_due(&matter.proposal.id))
            .filter_map(|matter| carry::Errand::of(matter, &self.digest))
            .collect();
        for errand in due {
            let (shared, myself, proposal) = (self.shared.clone(), myself.clone(), errand.proposal);
            self.carrying.insert(proposal);
            self.looked.insert(proposal, now);
            self.work.spawn(async move {
                let step = errand.step(&shared).await;
                let _ = myself.cast(GatekeeperMessage::FactsGathered);
                Work::Carried(proposal, step)
            });
        }
    }

    async fn carried(&mut self, proposal: ProposalId, step: Step) -> Result<(), JournalError> {
        match step {
            Step::Waits => Ok(()),
            Step::Accepted(action) => self.record(vec![GateEvent::Accepted { proposal, action }], vec![]).await,
            Step::Settled(outcome) => self.settle(proposal, outcome).await,
        }
    }

    async fn settle(&mut self, proposal: ProposalId, outcome: Outcome) -> Result<(), JournalError> {
        let key = self.ledger.get(proposal).and_then(|matter| matter.standing.under_way()).map(|(o, ..)| o.key.clone());
        self.record(vec![GateEvent::Settled { proposal, outcome }], vec![]).await?;
        self.looked.remove(&proposal);
        match key {
            Some(key) => self.shared.journal.confirm(&[key]).await,
            None => Ok(()),
        }
    }

    /// Confirms what was settled before a process died.
    async fn confirm_settled(&self) -> Result<(), JournalError> {
        let open = self.shared.journal.effects(EDR).await?;
        let under_way = |key: &str| {
            self.ledger.matters().any(|m| m.standing.under_way().is_some_and(|(order, ..)| order.key == key))
        };
        let over: Vec<String> = open.into_iter().map(|e| e.wish.key).filter(|key| !under_way(key)).collect();
        if over.is_empty() { Ok(()) } else { self.shared.journal.confirm(&over).await }
    }
}
