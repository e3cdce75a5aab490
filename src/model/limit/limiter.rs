//! A model's limiter as its callers see it: ask for a permit, make the call, settle.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ractor::ActorRef;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

use super::actor::LimiterMessage;
use super::breaker::{BreakerState, Server};
use super::failure::Failure;
use super::headers::ServerLimits;
use super::place::Place;
use super::price::Usage;
use super::quota::{Limits, PerMinute};
use super::turnstile::{Charge, Ending, Event, Turnstile, Waiting, Word};
use super::wait::{Kind, Wait};
use crate::domain::alert::Severity;

/// A model by the name that the configuration gives it. It costs nothing to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct ModelName(Arc<str>);

impl From<String> for ModelName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl ModelName {
    /// A name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a call wants to be let go for.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// The severity of what it is about.
    pub severity: Severity,
    /// Tokens it will use as far as is known: what is sent and what may be answered.
    pub estimate: u64,
    /// After this it no longer wants to go. Every wait has an end.
    pub deadline: Instant,
}

/// What became of a call.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// What it used, if the server said.
    pub usage: Option<Usage>,
    /// What the server said of its limits.
    pub limits: ServerLimits,
    /// Why there was no answer, if there was none.
    pub failure: Option<Failure>,
}

impl Report {
    /// There was an answer.
    #[must_use]
    pub const fn answered(usage: Option<Usage>, limits: ServerLimits) -> Self {
        Self { usage, limits, failure: None }
    }

    /// There was none.
    #[must_use]
    pub const fn failed(failure: Failure, limits: ServerLimits) -> Self {
        Self { usage: None, limits, failure: Some(failure) }
    }
}

/// Why a call may not go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It would have had to wait for longer than it wanted to.
    #[error(
        "the call to {model} could not go in time: it waited for {}; try later, raise the model's limits, or name a fallback",
        kind.words()
    )]
    NotInTime {
        /// The model.
        model: ModelName,
        /// What it waited for last.
        kind: Kind,
        /// When that is over, if it is known.
        until: Option<Instant>,
    },
    /// It is larger than a minute's quota.
    #[error(
        "the call to {model} needs about {tokens} tokens and the model's limit is {} a minute: raise the limit if the server allows more, or ask for less", quota.get()
    )]
    TooLarge {
        /// The model.
        model: ModelName,
        /// What it needs.
        tokens: u64,
        /// What there is.
        quota: PerMinute,
    },
    /// The limiter has stopped.
    #[error("calls to {0} are no longer made: the floor is stopping; what is recorded goes on with the next start")]
    Stopped(ModelName),
}

/// How a model's limits stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Calls that wait.
    pub waiting: usize,
    /// Calls under way.
    pub in_flight: u32,
    /// Requests of the last minute and the quota, if there is one.
    pub requests: Option<(u64, PerMinute)>,
    /// Tokens of the last minute and the quota, if there is one.
    pub tokens: Option<(u64, PerMinute)>,
    /// How long calls still rest because the server asked for it.
    pub rests_for: Duration,
    /// The breaker of the model's server.
    pub breaker: BreakerState,
    /// How long the first of the queue was held up in all, by kind.
    pub held: Vec<(Kind, Duration)>,
}

/// What a limiter decides by. It outlives its actor: whoever waits keeps its place, and what was let go stays counted.
///
/// Others put what happened into its inbox and give the actor a hint; only the actor takes turns.
pub struct Line {
    actor: String,
    model: ModelName,
    inbox: Mutex<Vec<Event>>,
    turnstile: Mutex<Turnstile>,
    arrivals: AtomicU64,
    hinted: AtomicBool,
    stopped: AtomicBool,
}

impl Line {
    /// What the limiter of `model` on `server` decides by. `actor` is its actor's name, which is global to the process.
    #[must_use]
    pub fn new(actor: String, model: ModelName, limits: Limits, server: Arc<Server>) -> Arc<Self> {
        Arc::new(Self {
            actor,
            model,
            inbox: Mutex::default(),
            turnstile: Mutex::new(Turnstile::new(limits, server, Instant::now())),
            arrivals: AtomicU64::new(0),
            hinted: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        })
    }

    /// The name its actor goes by.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// Takes a turn, and says when the next one is due.
    pub(super) fn turn(&self) -> Option<Instant> {
        // Before the inbox is emptied: what comes in meanwhile gives a hint of its own.
        self.hinted.store(false, Ordering::Release);
        let events = std::mem::take(&mut *self.inbox.lock().unwrap_or_else(PoisonError::into_inner));
        self.turnstile().turn(events, Instant::now())
    }

    /// Lets no call go any more and tells all who wait. For whoever stops the tree: a supervisor that is stopped kills
    /// its actors without a word.
    pub fn close(&self) {
        self.stopped.store(true, Ordering::Release);
        self.turn();
        self.turnstile().stop();
    }

    /// An actor is there that takes turns.
    pub(super) fn open(&self) {
        self.stopped.store(false, Ordering::Release);
    }

    fn turnstile(&self) -> MutexGuard<'_, Turnstile> {
        self.turnstile.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn happened(&self, event: Event) {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        // One hint for all that came in since the last turn. One that is lost is made up for by the actor's tick.
        if !self.hinted.swap(true, Ordering::AcqRel)
            && let Some(actor) = ractor::registry::where_is(self.actor.clone())
        {
            // Outside of all spans: a message carries its sender's, which would stay open until the actor has read it, and
            // the turn it takes is not that caller's alone.
            tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::new(), || {
                let _ = ActorRef::<LimiterMessage>::from(actor).cast(LimiterMessage::Look);
            });
        }
    }
}

/// A model's limiter. Clones are the same limiter.
#[derive(Clone)]
pub struct Limiter(Arc<Line>);

impl Limiter {
    /// The limiter that decides by this line. Its actor is started by whoever supervises it.
    #[must_use]
    pub const fn new(line: Arc<Line>) -> Self {
        Self(line)
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &ModelName {
        &self.0.model
    }

    /// How its limits stand.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.0.turnstile().figures(Instant::now())
    }

    /// Whether calls rest because the server does not answer, also while a probe finds out whether it is back.
    #[must_use]
    pub fn server_rests(&self) -> bool {
        self.0.turnstile().server_rests(Instant::now())
    }

    /// Waits until the call may go. Each wait is a span under the caller's own. A caller that drops the future gives up
    /// its place, and whatever it was charged.
    ///
    /// # Errors
    /// When it cannot go before its deadline, which may be known at once; when it can never go; when the floor stops.
    pub async fn acquire(&self, call: Call) -> Result<Permit, Refused> {
        let line = &self.0;
        let model = || line.model.clone();
        if line.stopped.load(Ordering::Acquire) {
            return Err(Refused::Stopped(model()));
        }
        let (told, words) = unbounded_channel();
        let arrived = Instant::now();
        let place = Place::new(arrived, call.severity, line.arrivals.fetch_add(1, Ordering::Relaxed));
        line.happened(Event::Wanted(place, Waiting::new(call.estimate, call.deadline, told)));
        let mut standing = Standing { line: line.clone(), place, words };
        let mut wait: Option<Wait> = None;
        let refused = loop {
            match tokio::time::timeout_at(call.deadline, standing.words.recv()).await {
                Ok(Some(Word::Waits(kind, behind))) => {
                    note_behind(wait.as_ref(), behind);
                    wait = Some(Wait::begin(line.model.as_str(), call.severity, kind));
                }
                Ok(Some(Word::Go(charge, behind))) => {
                    note_behind(wait.as_ref(), behind);
                    return Ok(Permit { line: line.clone(), charge: Some(charge), waited: arrived.elapsed() });
                }
                Ok(Some(Word::NotInTime(kind, until))) => {
                    break Refused::NotInTime { model: model(), kind, until: Some(until) };
                }
                Ok(Some(Word::TooLarge(quota))) => {
                    break Refused::TooLarge { model: model(), tokens: call.estimate, quota };
                }
                Ok(Some(Word::Stopped) | None) => break Refused::Stopped(model()),
                Err(_) => {
                    let kind = wait.as_ref().map_or(Kind::Queue, Wait::kind);
                    break Refused::NotInTime { model: model(), kind, until: None };
                }
            }
        };
        if let Some(wait) = wait {
            wait.failed(refused.slug());
        }
        Err(refused)
    }
}

fn note_behind(wait: Option<&Wait>, behind: Option<Kind>) {
    if let (Some(wait), Some(kind)) = (wait, behind) {
        wait.was_behind(kind);
    }
}

impl Refused {
    /// What it is as a failure of a call.
    #[must_use]
    pub const fn failure(&self) -> Failure {
        match self {
            Self::NotInTime { .. } => Failure::NotInTime,
            Self::TooLarge { .. } => Failure::TooLarge,
            Self::Stopped(_) => Failure::Cancelled,
        }
    }

    /// How long until it makes sense to come again, if that is known.
    #[must_use]
    pub fn come_again(&self) -> Option<Duration> {
        match self {
            Self::NotInTime { until, .. } => until.map(|until| until.saturating_duration_since(Instant::now())),
            Self::TooLarge { .. } | Self::Stopped(_) => None,
        }
    }

    const fn slug(&self) -> &'static str {
        match self {
            Self::Stopped(_) => "stopped",
            Self::NotInTime { .. } | Self::TooLarge { .. } => self.failure().slug(),
        }
    }
}

/// A place in the queue, given up when it is dropped.
struct Standing {
    line: Arc<Line>,
    place: Place,
    words: UnboundedReceiver<Word>,
}

impl Drop for Standing {
    fn drop(&mut self) {
        // Closed first: a word that is sent from now on comes back to its sender.
        self.words.close();
        let mut waits = true;
        while let Ok(word) = self.words.try_recv() {
            if let Word::Go(charge, _) = word {
                self.line.happened(Event::Ended(charge, Ending::Unclaimed));
                waits = false;
            }
        }
        if waits {
            self.line.happened(Event::Left(self.place));
        }
    }
}

/// Leave to make one call. Dropped without a word, it frees its place among the calls under way, and what was estimated
/// stays charged: nobody knows what was sent.
#[must_use = "a permit that is dropped lets the next call go"]
pub struct Permit {
    line: Arc<Line>,
    charge: Option<Charge>,
    waited: Duration,
}

impl Permit {
    /// The model it is for.
    #[must_use]
    pub fn model(&self) -> &ModelName {
        &self.line.model
    }

    /// How long the call waited.
    #[must_use]
    pub const fn waited(&self) -> Duration {
        self.waited
    }

    /// Says what became of the call.
    pub fn settle(mut self, report: Report) {
        self.end(Ending::Settled(report));
    }

    fn end(&mut self, ending: Ending) {
        if let Some(charge) = self.charge.take() {
            self.line.happened(Event::Ended(charge, ending));
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("model", &self.line.model).field("waited", &self.waited).finish_non_exhaustive()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.end(Ending::Dropped);
    }
}
