//! A scripted OpenAI-compatible server: plays a script instead of a model, checks what it is sent, and fails on purpose.
//!
//! Tests ask it instead of a model, and `watchfloor dev model-server` lets a person do so. It is strict where real
//! servers are lenient: a request that breaks the protocol is refused and counted, whatever the script says. Nothing it
//! answers is thought by anybody; its model's name says `scripted`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use script::Plays;

mod answering;
mod contract;
pub mod fault;
pub mod puppet;
pub mod script;
mod sentences;

/// Most bytes of a request.
const LARGEST_REQUEST: usize = 64 << 20;

/// How a server writes what servers write differently.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Style {
    /// Codes are text, counts come with every answer.
    #[default]
    OpenAi,
    /// Codes are numbers, answers carry timings, `/props` and `/tokenize` are there.
    LlamaCpp,
    /// Codes are numbers, the list of models tells the context.
    Vllm,
}

/// What a scripted server serves.
pub struct Setup {
    /// The model's name. Others are unknown, as long as there is one.
    pub model: String,
    /// What a request with its answer may have, in tokens of four characters.
    pub context: u64,
    /// How it writes.
    pub style: Style,
    /// What it plays.
    pub script: Arc<dyn Plays>,
    /// The key that it wants.
    pub key: Option<String>,
    /// How long it takes to begin an answer.
    pub delay: Duration,
    /// How many calls it says to answer at a time. It answers as many as come.
    pub slots: u32,
    /// Headers that come with every answer and every refusal, such as those that tell of limits.
    pub headers: Vec<(&'static str, String)>,
}

impl Setup {
    /// A server that plays this script, as OpenAI's would, within 8,192 tokens.
    #[must_use]
    pub fn new(script: impl Plays + 'static) -> Self {
        Self {
            model: "scripted".into(),
            context: 8192,
            style: Style::OpenAi,
            script: Arc::new(script),
            key: None,
            delay: Duration::ZERO,
            slots: 4,
            headers: Vec::new(),
        }
    }
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its body; `null` if it was none.
    pub body: Value,
    /// What of it breaks the protocol.
    pub violations: Vec<String>,
    /// Its `traceparent`.
    pub traceparent: Option<String>,
}

/// What requests share.
struct Served {
    setup: Setup,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    received: Vec<Received>,
    answered: usize,
    given_up: usize,
    /// Prompts as text, newest last: what a prefix cache would hold.
    prompts: Vec<String>,
}

impl Served {
    fn log(&self) -> MutexGuard<'_, Log> {
        // Nothing can panic while it is held.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A scripted server that runs. It stops when it is dropped.
pub struct ScriptedServer {
    address: SocketAddr,
    served: Arc<Served>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ScriptedServer {
    /// A server on a free port of this machine.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start(setup: Setup) -> std::io::Result<Self> {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), setup).await
    }

    /// A server at this address.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn at(address: SocketAddr, setup: Setup) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let served = Arc::new(Served { setup, log: Mutex::default() });
        let routes = routes(served.clone());
        let task = tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { address, served, task })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a model's `base_url` has to be.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The requests for an answer that came so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.served.log().received.clone()
    }

    /// How many answers went out whole, faults not counted.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.served.log().answered
    }

    /// How many requests were given up by whoever asked, before they were answered.
    #[must_use]
    pub fn given_up(&self) -> usize {
        self.served.log().given_up
    }
}

fn routes(served: Arc<Served>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(answering::complete))
        .route("/v1/models", get(answering::models))
        .route("/props", get(answering::props))
        .route("/tokenize", post(answering::tokenize))
        .route("/apply-template", post(answering::apply_template))
        .route("/health", get(answering::health))
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .with_state(served)
}

/// Tokens of a text, as this server counts: four characters each.
fn tokens(text: &str) -> u64 {
    (text.chars().count() as u64).div_ceil(4)
}
