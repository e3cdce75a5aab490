//! Every configured model with its client and its limiter, built in one place from the settings, and the actors that
//! take the limiters' turns.
//!
//! Models of one server share its breaker: what does not answer is the server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorRef, SpawnErr};
use ractor_supervisor::{
    ChildBackoffFn, ChildSpec, Restart, SpawnFn, Supervisor, SupervisorArguments, SupervisorMsg, SupervisorOptions,
    SupervisorStrategy,
};
use tokio::task::JoinHandle;

use super::{LimitedModel, Member};
use crate::model::client::ModelClient;
use crate::model::limit::{Limiter, LimiterActor, Line, ModelName, Server};
use crate::model::settings::fallbacks::{self, FallbackError};
use crate::model::settings::{ModelSettings, SettingsError};
use crate::ports::clock::Clock;

/// Restarts of limiters that are tolerated within [`WINDOW`]. A limiter keeps nothing in its actor, so one that breaks
/// more often breaks by what it decides by, and no restart mends that.
const MOST_RESTARTS: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);

/// How long the actors may take to stop.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why the models cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelsError {
    /// One of them has settings that cannot be used.
    #[error("[models.{name}] cannot be used: {why}")]
    Settings {
        /// Its name.
        name: String,
        /// What is wrong.
        why: SettingsError,
    },
    /// They cannot stand in for each other.
    #[error(transparent)]
    Fallbacks(#[from] FallbackError),
}

/// All models. Nothing is asked yet, and no call goes before [`Models::start`].
pub struct Models {
    scope: String,
    lines: Vec<Arc<Line>>,
    models: BTreeMap<String, LimitedModel>,
}

impl std::fmt::Debug for Models {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Models").field("scope", &self.scope).field("models", &self.models).finish_non_exhaustive()
    }
}

impl Models {
    /// Builds them. `scope` begins the names of their actors, which are global to the process; `variable` reads the
    /// environment, where keys are.
    ///
    /// # Errors
    /// When an address or a key is missing or wrong, or fallbacks lead nowhere.
    pub fn open(
        settings: &BTreeMap<String, ModelSettings>,
        scope: &str,
        clock: &Arc<dyn Clock>,
        variable: impl Fn(&str) -> Option<String> + Copy,
    ) -> Result<Self, ModelsError> {
        let fallbacks = fallbacks::of(settings)?;
        let mut servers: BTreeMap<String, Arc<Server>> = BTreeMap::new();
        let mut lines = Vec::new();
        let mut members: BTreeMap<&str, Arc<Member>> = BTreeMap::new();
        for (name, settings) in settings {
            let wrong = |why| ModelsError::Settings { name: name.clone(), why };
            let address = settings.address().map_err(wrong)?.origin().ascii_serialization();
            let server = servers.entry(address).or_insert_with_key(|address| Arc::new(Server::new(address.as_str())));
            let actor = format!("{scope}-limiter-{name}");
            let line = Line::new(actor, ModelName::new(name), settings.limits(), server.clone());
            lines.push(line.clone());
            let member = Member {
                client: ModelClient::open(settings.clone(), variable).map_err(wrong)?,
                limiter: Limiter::new(line),
                dialect: settings.dialect.dialect(),
                price: settings.price,
            };
            members.insert(name, Arc::new(member));
        }
        let model = |(name, fallbacks): (&String, &Vec<String>)| {
            let stand_ins = fallbacks.iter().filter_map(|name| members.get(name.as_str()).cloned()).collect();
            let wanted = members.get(name.as_str())?.clone();
            Some((name.clone(), LimitedModel::new(wanted, stand_ins, clock.clone())))
        };
        let models = fallbacks.iter().filter_map(model).collect();
        Ok(Self { scope: scope.to_owned(), lines, models })
    }

    /// A model by its name in the configuration.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&LimitedModel> {
        self.models.get(name)
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = &LimitedModel> {
        self.models.values()
    }

    /// What the limiters decide by: for a supervisor other than the one that [`Models::start`] starts.
    #[must_use]
    pub fn lines(&self) -> &[Arc<Line>] {
        &self.lines
    }

    /// Starts the limiters under a supervisor of their own.
    ///
    /// # Errors
    /// When an actor of that name is there already.
    pub async fn start(&self) -> Result<Limiters, SpawnErr> {
        let options = SupervisorOptions {
            strategy: SupervisorStrategy::OneForOne,
            max_restarts: MOST_RESTARTS,
            max_window: WINDOW,
            reset_after: Some(WINDOW),
        };
        let child_specs = self.lines.iter().map(child).collect();
        let arguments = SupervisorArguments { child_specs, options };
        let (supervisor, supervised) = Supervisor::spawn(format!("{}-models", self.scope), arguments).await?;
        Ok(Limiters { supervisor, supervised, lines: self.lines.clone() })
    }
}

/// A limiter that is started again whenever it ends: at once the first time, later each time after that.
fn child(line: &Arc<Line>) -> ChildSpec {
    let spawn_fn = SpawnFn::new({
        let line = line.clone();
        move |supervisor, id| {
            let line = line.clone();
            async move { Ok(Supervisor::spawn_linked(id, LimiterActor, line, supervisor).await?.0.get_cell()) }
        }
    });
    let backoff = ChildBackoffFn::new(|_, restarts: usize, _, _| {
        (restarts > 1).then(|| Duration::from_millis(50 << restarts.min(6)))
    });
    ChildSpec {
        id: line.actor().to_owned(),
        restart: Restart::Permanent,
        spawn_fn,
        backoff_fn: Some(backoff),
        reset_after: Some(WINDOW),
    }
}

/// The limiters at work.
pub struct Limiters {
    supervisor: ActorRef<SupervisorMsg>,
    supervised: JoinHandle<()>,
    lines: Vec<Arc<Line>>,
}

impl std::fmt::Debug for Limiters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiters").field("lines", &self.lines.len()).finish_non_exhaustive()
    }
}

impl Limiters {
    /// A limiter broke so often that the supervisor gave up. Calls that wait end at their deadlines.
    #[must_use]
    pub fn broke_down(&self) -> bool {
        self.supervised.is_finished()
    }

    /// Stops them. Who waits is told.
    pub async fn stop(self) {
        self.supervisor.stop(None);
        // It may take long only where an actor hangs; then nobody waits for it.
        let _ = tokio::time::timeout(FAREWELL, self.supervised).await;
        self.lines.iter().for_each(|line| line.close());
    }
}
