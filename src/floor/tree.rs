//! The supervision tree: starts the actors in order, restarts the one that breaks, gives up when one keeps breaking.

use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorCell, ActorRef, ActorStatus, SpawnErr};
use ractor_supervisor::{
    ChildBackoffFn, ChildSpec, Restart, SpawnFn, Supervisor, SupervisorArguments, SupervisorMsg, SupervisorOptions,
    SupervisorStrategy,
};

use super::case_writer::CaseWriter;
use super::desk::{Arguments, Desk};
use super::gatekeeper::Gatekeeper;
use super::intake::Intake;
use super::messages::Role;
use super::shared::Shared;
use crate::domain::route::Tier;
use crate::journal::people_log;
use crate::ports::journal::JournalError;

/// Restarts that are tolerated within [`WINDOW`]; one more, and the floor stops instead of going in circles.
const MOST_RESTARTS: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);

/// Cases a desk works on at a time.
const SLOTS: usize = 4;

/// How often rest is looked for.
const LOOK: Duration = Duration::from_millis(10);

/// A floor at work.
pub struct Floor {
    shared: Arc<Shared>,
    supervisor: ActorRef<SupervisorMsg>,
    supervised: tokio::task::JoinHandle<()>,
}

/// Why a floor stopped working.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// It did not start.
    #[error("the floor's actors did not start: {0}")]
    Start(#[from] SpawnErr),
    /// An actor broke again and again.
    #[error("an actor of the floor broke more than {MOST_RESTARTS} times within {} s: everything recorded is kept; run the command again with WATCHFLOOR_LOG=info to see why", WINDOW.as_secs())]
    BrokeDown,
    /// The listener's port could not be used.
    #[error("the port cannot be used ({0}): name another one with --listen")]
    Port(std::io::Error),
    /// Something only a person can mend.
    #[error("{0}")]
    Trouble(String),
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Floor {
    /// Starts the actors. They find their work by themselves.
    ///
    /// # Errors
    /// When the tree cannot be started.
    pub async fn start(shared: Arc<Shared>) -> Result<Self, FloorError> {
        let child_specs = Role::ALL.into_iter().map(|role| role_child(role, &shared)).collect();
        let (supervisor, supervised) = Supervisor::spawn(shared.actor_named("floor"), supervision(child_specs)).await?;
        Ok(Self { shared, supervisor, supervised })
    }

    /// What the actors share.
    #[must_use]
    pub const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Waits until nothing is left to do: every alert grouped, no case in a queue, every effect confirmed.
    ///
    /// # Errors
    /// When the floor broke down or met something only a person can mend.
    pub async fn at_rest(&self) -> Result<(), FloorError> {
        loop {
            if let Some(trouble) = self.shared.trouble() {
                return Err(FloorError::Trouble(trouble));
            }
            if self.broke_down() {
                return Err(FloorError::BrokeDown);
            }
            if self.is_at_rest().await? {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// An actor broke so often that the supervisor gave up.
    #[must_use]
    pub fn broke_down(&self) -> bool {
        self.supervised.is_finished() || self.supervisor.get_status() == ActorStatus::Stopped
    }

    async fn is_at_rest(&self) -> Result<bool, JournalError> {
        // In this order: work moves from alerts to queues to the outbox, never back by itself.
        if !self.shared.alerts.read(self.shared.grouped()).await?.entries.is_empty() {
            return Ok(false);
        }
        let said = people_log::read(self.shared.journal.as_ref(), self.shared.heard()).await?;
        if !said.entries.is_empty() {
            return Ok(false);
        }
        if self.shared.settling() > 0 {
            return Ok(false);
        }
        let pending = self.shared.journal.pending().await?;
        Ok(pending.cases == 0 && pending.gate == 0 && pending.effects == 0)
    }

    /// Stops the actors. What they were doing is on record and goes on with the next start.
    pub async fn stop(self) {
        self.supervisor.stop(None);
        let _ = tokio::time::timeout(Duration::from_secs(5), self.supervised).await;
    }
}

/// What a supervisor of the floor is started with: each child is restarted for itself, and not without end.
pub(super) fn supervision(child_specs: Vec<ChildSpec>) -> SupervisorArguments {
    let options = SupervisorOptions {
        strategy: SupervisorStrategy::OneForOne,
        max_restarts: MOST_RESTARTS,
        max_window: WINDOW,
        reset_after: Some(WINDOW),
    };
    SupervisorArguments { child_specs, options }
}

/// A child that is started again whenever it ends: at once the first time, later each time after that.
pub(super) fn child<Spawned>(
    id: String,
    spawn: impl Fn(String, ActorCell) -> Spawned + Send + Sync + 'static,
) -> ChildSpec
where
    Spawned: Future<Output = Result<ActorCell, SpawnErr>> + Send + 'static,
{
    let spawn_fn = SpawnFn::new(move |supervisor, id| spawn(id, supervisor));
    let backoff = ChildBackoffFn::new(|_, restarts: usize, _, _| {
        (restarts > 1).then(|| Duration::from_millis(50 << restarts.min(6)))
    });
    ChildSpec { id, restart: Restart::Permanent, spawn_fn, backoff_fn: Some(backoff), reset_after: Some(WINDOW) }
}

fn role_child(role: Role, shared: &Arc<Shared>) -> ChildSpec {
    let (id, shared) = (shared.actor(role), shared.clone());
    child(id, move |id, supervisor| {
        let shared = shared.clone();
        async move {
            let desk = |shared| Arguments { shared, slots: SLOTS };
            let cell = match role {
                Role::Intake => Supervisor::spawn_linked(id, Intake, shared, supervisor).await?.0.get_cell(),
                Role::Tier1 => {
                    Supervisor::spawn_linked(id, Desk(Tier::One), desk(shared), supervisor).await?.0.get_cell()
                }
                Role::Tier2 => {
                    Supervisor::spawn_linked(id, Desk(Tier::Two), desk(shared), supervisor).await?.0.get_cell()
                }
                Role::Gatekeeper => Supervisor::spawn_linked(id, Gatekeeper, shared, supervisor).await?.0.get_cell(),
                Role::CaseWriter => Supervisor::spawn_linked(id, CaseWriter, shared, supervisor).await?.0.get_cell(),
            };
            Ok(cell)
        }
    })
}
