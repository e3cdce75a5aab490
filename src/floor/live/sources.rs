//! The sources of a running floor under their supervisor: which there are, how they start, and how they stop.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorRef, ActorStatus};
use ractor_supervisor::{Supervisor, SupervisorMsg};
use tokio::sync::mpsc;

use super::access::Access;
use super::body::{Bounds, Room};
use super::connections::Connections;
use super::detector::Detector;
use super::follow::{self, Follow};
use super::health::Health;
use super::listen::{self, Listen, Reception};
use super::source::{News, Source};
use crate::floor::tree::{self, FloorError};

/// News that may wait to be told.
const NEWS: usize = 256;

/// How long the supervisor may take to stop.
const STOPPING: Duration = Duration::from_secs(10);

/// Where a floor takes its events from.
#[derive(Default)]
pub struct Inputs {
    /// Files and folders to follow.
    pub follow: Vec<PathBuf>,
    /// The port to listen on, bound, and who may send to it.
    pub listen: Option<(TcpListener, Access)>,
    /// How much of bodies may be held.
    pub bounds: Bounds,
}

/// The sources at work.
pub struct Sources {
    health: Arc<Health>,
    connections: Connections,
    supervisor: ActorRef<SupervisorMsg>,
    supervised: tokio::task::JoinHandle<()>,
}

impl Sources {
    /// Starts the sources. What they tell comes out of the second half.
    ///
    /// # Errors
    /// When the port's address cannot be read or the supervisor does not start.
    pub async fn start(
        detector: Arc<Detector>,
        inputs: Inputs,
    ) -> Result<(Self, mpsc::Receiver<(String, News)>), FloorError> {
        let (news, told) = mpsc::channel(NEWS);
        let shared = detector.shared().clone();
        let (mut sources, mut child_specs) = (Vec::new(), Vec::new());
        for (number, path) in (1..).zip(inputs.follow) {
            let id = format!("follow-{number}");
            let source = Arc::new(Source::new(id.clone(), path.display().to_string(), news.clone()));
            sources.push(source.clone());
            let arguments = follow::Arguments { detector: detector.clone(), source, path };
            child_specs.push(tree::child(shared.actor_named(&id), move |id, supervisor| {
                let arguments = arguments.clone();
                async move { Ok(Supervisor::spawn_linked(id, Follow, arguments, supervisor).await?.0.get_cell()) }
            }));
        }
        let connections = Connections::default();
        let listening = match inputs.listen {
            None => None,
            Some((bound, access)) => {
                let address = bound.local_addr().map_err(FloorError::Port)?;
                let source = Arc::new(Source::new("listener", format!("http://{address}"), news));
                sources.push(source.clone());
                Some((bound, access, address, source))
            }
        };
        let health = Arc::new(Health::new(shared.clone(), sources));
        if let Some((bound, access, address, source)) = listening {
            let (detector, health, room) = (detector.clone(), health.clone(), Room::new(inputs.bounds));
            let reception = Arc::new(Reception { detector, source, health, access, room, address });
            let arguments = listen::Arguments { reception, bound: Arc::new(bound), connections: connections.clone() };
            child_specs.push(tree::child(shared.actor_named("listener"), move |id, supervisor| {
                let arguments = arguments.clone();
                async move { Ok(Supervisor::spawn_linked(id, Listen, arguments, supervisor).await?.0.get_cell()) }
            }));
        }
        let arguments = tree::supervision(child_specs);
        let (supervisor, supervised) = Supervisor::spawn(shared.actor_named("sources"), arguments).await?;
        Ok((Self { health, connections, supervisor, supervised }, told))
    }

    /// How the floor stands.
    #[must_use]
    pub const fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// A source broke so often that the supervisor gave up.
    #[must_use]
    pub fn broke_down(&self) -> bool {
        self.supervised.is_finished() || self.supervisor.get_status() == ActorStatus::Stopped
    }

    /// Stops the sources: requests at work are answered, files stay at the place that is on record.
    pub async fn stop(self) {
        self.health.begin_stopping();
        self.connections.close().await;
        self.supervisor.stop(None);
        let _ = tokio::time::timeout(STOPPING, self.supervised).await;
    }
}
