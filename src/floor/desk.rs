//! A tier's desk: pulls cases from its queue into slots, one investigation each.
//!
//! When a slot frees, the desk claims the next runnable case. A case that has to wait is given back with the
//! instant from which it may be claimed again, and its slot is free. A slot that panics is noted in the case's
//! journal with the step it broke at; the driver quarantines a case that breaks twice at the same step.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::{Id, JoinSet};

use super::messages::{DeskMessage, Role};
use super::shared::{Shared, TICK};
use crate::analyst::driver::{DriverError, Outcome, queue};
use crate::domain::ids::CaseId;
use crate::domain::route::Tier;
use crate::journal::case_stream::{Batch, CaseStream};
use crate::journal::entry::CaseEntry;
use crate::ports::journal::{JournalError, Lease};

/// How long a slot may be silent before its case is claimable by others.
const LEASE: Duration = Duration::from_secs(120);

/// How long a case rests after its investigation could not go on.
const REST: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);

/// The actor.
pub struct Desk(pub Tier);

/// What it needs.
pub struct Arguments {
    /// What the floor shares.
    pub shared: Arc<Shared>,
    /// How many cases it works on at a time.
    pub slots: usize,
}

/// The slots at work. They end with the desk: a desk that starts again frees what it held and claims anew.
pub struct State {
    shared: Arc<Shared>,
    slots: usize,
    working: JoinSet<Result<Outcome, DriverError>>,
    held: HashMap<Id, (CaseId, Lease)>,
}

impl Desk {
    const fn role(&self) -> Role {
        match self.0 {
            Tier::One => Role::Tier1,
            Tier::Two => Role::Tier2,
        }
    }
}

impl Actor for Desk {
    type Msg = DeskMessage;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, _: ActorRef<DeskMessage>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let Arguments { shared, slots } = arguments;
        // The folder is this floor's alone, so that what its role holds was left by one that is gone. Its name in
        // the process would not do: a folder that was moved since is another name.
        shared.journal.release_all(self.role().name()).await?;
        Ok(State { shared, slots, working: JoinSet::new(), held: HashMap::new() })
    }

    async fn post_start(&self, myself: ActorRef<DeskMessage>, _: &mut State) -> Result<(), ActorProcessingErr> {
        myself.send_interval(TICK, || DeskMessage::Tick);
        Ok(myself.cast(DeskMessage::Tick)?)
    }

    async fn handle(
        &self,
        myself: ActorRef<DeskMessage>,
        message: DeskMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            DeskMessage::CaseRunnable | DeskMessage::SlotFreed | DeskMessage::Tick => {
                state.shared.faults.break_once(self.role());
                let turn = async {
                    state.gather().await?;
                    state.claim(self.0, self.role(), &myself).await
                };
                if let Err(error) = turn.await {
                    state.shared.report_journal(&error);
                }
                Ok(())
            }
        }
    }
}

/// Tells the desk that its slot is free, however the slot ended.
struct Freed(ActorRef<DeskMessage>);

impl Drop for Freed {
    fn drop(&mut self) {
        let _ = self.0.cast(DeskMessage::SlotFreed);
    }
}

impl State {
    /// Fills the free slots.
    async fn claim(&mut self, tier: Tier, role: Role, myself: &ActorRef<DeskMessage>) -> Result<(), JournalError> {
        while self.working.len() < self.slots {
            let (journal, now) = (&self.shared.journal, self.shared.clock.now());
            let claimed = journal.claim(queue(tier), role.name(), LEASE, now).await?;
            let Some(lease) = claimed else { break };
            let Ok(case) = lease.item.parse::<CaseId>() else {
                self.shared.report(&format!("queue {} holds `{}`, which is no case", lease.queue.name(), lease.item));
                break;
            };
            let (shared, held, freed) = (self.shared.clone(), lease.clone(), Freed(myself.clone()));
            let task = self.working.spawn(async move {
                let _freed = freed;
                let outcome = shared.driver.work(tier, case, &lease).await;
                shared.entry_ready();
                shared.proposal_filed();
                shared.case_runnable(Role::Tier2);
                outcome
            });
            self.held.insert(task.id(), (case, held));
        }
        Ok(())
    }

    /// Takes back the slots that ended.
    async fn gather(&mut self) -> Result<(), JournalError> {
        while let Some(ended) = self.working.try_join_next_with_id() {
            let id = match &ended {
                Ok((id, _)) => *id,
                Err(error) => error.id(),
            };
            let Some((case, lease)) = self.held.remove(&id) else { continue };
            match ended {
                Ok((_, Ok(Outcome::Finished))) => {}
                Ok((_, Ok(Outcome::Parked { until }))) => self.shared.journal.release(&lease, Some(until)).await?,
                Ok((_, Err(error))) => {
                    match &error {
                        DriverError::Journal(error) => self.shared.report_journal(error),
                        DriverError::Store(error) => self.shared.report_storage(error),
                    }
                    let later = self.shared.clock.now() + REST;
                    self.shared.journal.release(&lease, Some(later)).await?;
                }
                Err(broke) => {
                    tracing::error!(%case, %broke, "a slot broke");
                    let noted = self.note_break(case, &lease, &broke.to_string()).await.unwrap_or_else(|error| {
                        self.shared.report_journal(&error);
                        false
                    });
                    // What is not counted must not spin: it rests a moment.
                    let later = (!noted).then(|| self.shared.clock.now() + REST);
                    self.shared.journal.release(&lease, later).await?;
                }
            }
        }
        Ok(())
    }

    /// Writes down at which step the slot broke, if it had begun an attempt.
    async fn note_break(&self, case: CaseId, lease: &Lease, what: &str) -> Result<bool, JournalError> {
        loop {
            let mut stream = CaseStream::open(self.shared.journal.clone(), case, Some(lease.clone())).await?;
            let Some(attempt) = stream.log().running() else { return Ok(false) };
            let open = attempt.steps.iter().find(|(_, step)| step.done.is_none()).map(|(ordinal, _)| *ordinal);
            let next = attempt.steps.keys().next_back().map_or(1, |last| last + 1);
            let (attempt, ordinal) = (attempt.number, open.unwrap_or(next));
            let entries = vec![CaseEntry::Broke { attempt, ordinal, what: what.to_owned() }];
            match stream.append(Batch { entries, ..Batch::default() }, self.shared.clock.now()).await {
                // Others appended meanwhile: read again.
                Err(JournalError::Conflict { .. }) => {}
                noted => return noted.map(|()| true),
            }
        }
    }
}
