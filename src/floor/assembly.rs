//! Assembly: the one place that names adapters and puts a floor together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::context_place::{self, ContextPlace, NoteError};
use super::faults::{AbortingJournal, Faults};
use super::gatekeeper::Hands;
use super::shared::Shared;
use super::state_folder::StateFolder;
use crate::adapters::context_files::{self, ContextError};
use crate::adapters::embedded::Limits;
use crate::adapters::embedded::cases::EmbeddedDesk;
use crate::adapters::embedded::edr::EmbeddedEdr;
use crate::adapters::embedded::events::EmbeddedEvents;
use crate::adapters::embedded::journal::EmbeddedJournal;
use crate::analyst::agent::{Agent, AgentError};
use crate::analyst::driver::{Driver, Seat};
use crate::analyst::{Analyst, rules::RuleAnalyst};
use crate::domain::route::{RoutePolicy, Tier};
use crate::journal::alert_log::AlertLog;
use crate::ports::clock::{Clock, SystemClock};
use crate::ports::context::Context;
use crate::ports::desk::CaseDesk;
use crate::ports::edr::Devices;
use crate::ports::events::EventStore;
use crate::ports::journal::{Journal, JournalError};
use crate::ports::storage::StorageError;
use crate::tools::door::Door;
use crate::tools::registry::Registry;
use crate::tools::surroundings::Surroundings;

/// The stores of a state folder, open.
#[derive(Clone)]
pub struct Stores {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// The events.
    pub events: Arc<dyn EventStore>,
    /// The case desk.
    pub desk: Arc<dyn CaseDesk>,
    /// What people declared of their machines and accounts.
    pub context: Arc<Context>,
    /// Where they declared it; nothing if they declared nothing.
    pub context_from: Option<PathBuf>,
    /// The EDR's devices.
    pub devices: Arc<dyn Devices>,
    /// What acts on them. Only the gatekeeper can use it.
    pub hands: Hands,
}

impl Stores {
    /// Opens the embedded stores of a folder.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn open(folder: &Path, faults: &Faults) -> Result<Self, StorageError> {
        let limits = Limits { max_pages: faults.max_pages };
        let journal: Arc<dyn Journal> = Arc::new(EmbeddedJournal::open_within(folder, limits)?);
        let journal = match faults.abort_after_append {
            Some(appends) => Arc::new(AbortingJournal::new(journal, appends)),
            None => journal,
        };
        let events: Arc<dyn EventStore> = Arc::new(EmbeddedEvents::open_within(folder, limits)?);
        let desk = Arc::new(EmbeddedDesk::open_within(folder, limits)?);
        let edr = Arc::new(EmbeddedEdr::open_within(folder, limits, events.clone(), Arc::new(SystemClock))?);
        let (context, context_from) = (Arc::default(), None);
        Ok(Self { journal, events, desk, context, context_from, devices: edr.clone(), hands: Hands::new(edr) })
    }

    /// The same stores, with the context of the state folder ([`ContextPlace`]): of the place that is named now,
    /// was named last, or lies within it.
    ///
    /// # Errors
    /// When a file of it cannot be read or used, or the place that was named is gone.
    pub fn with_context(mut self, state: &Path, named: Option<&Path>) -> Result<Self, AssemblyError> {
        let place = ContextPlace::of(state, named)?;
        let context = context_files::read(place.folder(), place.must_exist()).map_err(|source| match &place {
            ContextPlace::Remembered(folder) => AssemblyError::ContextGone {
                path: folder.display().to_string(),
                note: context_place::note(state).display().to_string(),
                source,
            },
            ContextPlace::Named(_) | ContextPlace::Within(_) => AssemblyError::Context(source),
        })?;
        place.remember(state)?;
        let is_somewhere = place.must_exist() || !context.is_empty();
        self.context_from = is_somewhere.then(|| match &place {
            ContextPlace::Named(folder) => std::fs::canonicalize(folder).unwrap_or_else(|_| folder.clone()),
            ContextPlace::Remembered(folder) | ContextPlace::Within(folder) => folder.clone(),
        });
        self.context = Arc::new(context);
        Ok(self)
    }
}

/// Why a floor could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// An agent's configuration is unsound.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What people say of their machines and accounts cannot be used.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The context that was named before is gone, or cannot be used any more.
    #[error(
        "the context of this state folder was named as {path} before: {source}. Bring it back, mend it or name another with --context; to go on without, remove {note}"
    )]
    ContextGone {
        /// The place.
        path: String,
        /// Where it is written down.
        note: String,
        /// What is wrong with it.
        source: ContextError,
    },
    /// Where the context lies could not be written down or read.
    #[error(transparent)]
    ContextNote(#[from] NoteError),
}

/// A floor's shared parts, with the built-in analyst at both tiers.
///
/// # Errors
/// See [`AssemblyError`].
pub async fn assemble(folder: &StateFolder, stores: Stores, faults: Faults) -> Result<Arc<Shared>, AssemblyError> {
    // The same folder is the same floor however it was named: what its last process held is freed at once.
    let place = std::fs::canonicalize(folder.path()).unwrap_or_else(|_| folder.path().to_owned());
    let name = format!("floor:{}", place.display());
    assemble_with(name, stores, faults, Arc::new(SystemClock), Arc::new(RuleAnalyst), Arc::new(RuleAnalyst)).await
}

/// A floor's shared parts, with these analysts and this clock.
///
/// # Errors
/// See [`AssemblyError`].
pub async fn assemble_with(
    name: String,
    stores: Stores,
    faults: Faults,
    clock: Arc<dyn Clock>,
    tier1: Arc<dyn Analyst>,
    tier2: Arc<dyn Analyst>,
) -> Result<Arc<Shared>, AssemblyError> {
    let Stores { journal, events, desk, context, context_from: _, devices, hands } = stores;
    let alerts = Arc::new(AlertLog::open(journal.clone()).await?);
    let registry = Registry::of(Surroundings {
        context: context.clone(),
        alerts: Some(alerts.clone()),
        journal: Some(journal.clone()),
        devices: Some(devices.clone()),
        desk: Some(desk.clone()),
    });
    let policy = RoutePolicy::default();
    let seat =
        |tier, analyst| Ok::<_, AgentError>(Seat::new(Agent::shipped(tier, &registry)?, analyst, &policy, &registry));
    let driver = Driver {
        alerts,
        tier1: seat(Tier::One, tier1)?,
        tier2: seat(Tier::Two, tier2)?,
        door: Door::new(registry.clone(), clock.clone()),
        policy,
        journal,
        events,
        clock,
    };
    Ok(Arc::new(Shared::new(driver, desk, (devices, hands), faults, name).with_context(context)))
}
