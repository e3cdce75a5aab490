//! A model as agents ask it: within its limits, in its own dialect, with those that stand in for it, and with a bill.
//!
//! A question goes to the model that is meant to answer. Where that one or its server cannot, it goes to the next of the
//! chain, which may speak another dialect, so the request is written anew for each. What comes back says who answered, who
//! could not before and why, and what all of it used. Everything that is asked here passes the model's limiter, attempt by
//! attempt; there is no other way in.
//!
//! A question ends. Waits end at its deadline, every attempt at its own bounds (see [`client`](super::client)), and a model
//! is asked once per question.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::answer::Answer;
use super::client::ModelClient;
use super::dialect::{Dialect, Misread, Reading};
use super::error::ModelError;
use super::limit::{Chain, Failure, LONGEST_RETRY_AFTER, Limiter, ModelName, Next, Origin, Price};
use super::request::{Conversation, Step};
use crate::domain::alert::Severity;
use crate::ports::clock::Clock;

mod bill;
mod gate;
mod models;

pub use bill::Bill;
pub use gate::failure;
pub use models::{Limiters, Models, ModelsError};

use gate::LimitedGate;

/// What a model is asked, how urgent it is, and until when it wants to be let go.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// What was said so far.
    pub conversation: &'q Conversation,
    /// What may be answered now.
    pub step: &'q Step,
    /// The severity of what it is about.
    pub severity: Severity,
    /// After this, no attempt of it wants to go any more. One that has gone may end later, within its own bounds.
    pub deadline: Instant,
}

/// An answer, and how it came.
#[derive(Debug)]
pub struct Told {
    /// As it came.
    pub answer: Answer,
    /// What it asks for, read in the dialect of the model that answered.
    pub reading: Result<Reading, Misread>,
    /// Who answered, in whose place.
    pub origin: Origin,
    /// What it used, failed attempts included.
    pub bill: Bill,
}

impl Told {
    /// Takes the answer into its conversation.
    ///
    /// What a model counted that only stood in is forgotten: another model has other tokens.
    pub fn heard_in(&self, conversation: &mut Conversation) {
        conversation.heard(&self.answer);
        if self.origin.is_fallback() {
            conversation.measured = None;
        }
    }
}

/// No model of the chain answered.
#[derive(Debug, thiserror::Error)]
#[error("{model} has no answer: {why}{}", before(failed))]
pub struct NoAnswer {
    /// The model that was asked last.
    pub model: ModelName,
    /// Why it has none.
    pub why: ModelError,
    /// All that were asked, and why they had none.
    pub failed: Vec<(ModelName, Failure)>,
    /// How soon it makes sense to ask again, if that is known: never longer than five minutes.
    pub come_again: Option<Duration>,
    /// What the attempts used, as far as is known.
    pub bill: Bill,
}

fn before(failed: &[(ModelName, Failure)]) -> String {
    let Some((_, before)) = failed.split_last() else { return String::new() };
    before.iter().map(|(model, why)| format!("; {model} before it: {}", why.slug())).collect()
}

/// One configured model with its client, its limiter and its price.
struct Member {
    client: ModelClient,
    limiter: Limiter,
    dialect: Box<dyn Dialect>,
    price: Option<Price>,
}

/// A model and those that stand in for it. Clones are the same.
#[derive(Clone)]
pub struct LimitedModel {
    wanted: Arc<Member>,
    fallbacks: Vec<Arc<Member>>,
    chain: Chain,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for LimitedModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LimitedModel").field("name", self.name()).finish_non_exhaustive()
    }
}

impl LimitedModel {
    fn new(wanted: Arc<Member>, fallbacks: Vec<Arc<Member>>, clock: Arc<dyn Clock>) -> Self {
        let chain = Chain::new(wanted.limiter.clone(), fallbacks.iter().map(|member| member.limiter.clone()).collect());
        Self { wanted, fallbacks, chain, clock }
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &ModelName {
        self.wanted.limiter.model()
    }

    /// Its limiter, for figures.
    #[must_use]
    pub fn limiter(&self) -> &Limiter {
        &self.wanted.limiter
    }

    /// What a request with its answer may have, in tokens.
    #[must_use]
    pub fn context_tokens(&self) -> u32 {
        self.wanted.client.settings().context_tokens
    }

    /// How many tokens the next request would have with its longest answer, as far as can be told without the server.
    #[must_use]
    pub fn size(&self, conversation: &Conversation, step: &Step) -> u64 {
        let request = self.wanted.dialect.request(conversation, step);
        self.wanted.client.count(&request).total().saturating_add(step.max_tokens.into())
    }

    /// Asks. Dropped, it gives up its place, or the call that is under way and its connection.
    ///
    /// # Errors
    /// When no model of the chain has an answer.
    pub async fn ask(&self, question: &Question<'_>) -> Result<Told, Box<NoAnswer>> {
        let Question { conversation, step, severity, deadline } = *question;
        let (mut bill, mut come_again) = (Bill::default(), None);
        let (mut attempts, mut fallbacks) = (self.chain.attempts(), self.fallbacks.iter());
        let mut member = &self.wanted;
        let why = loop {
            let mut request = member.dialect.request(conversation, step);
            if !Arc::ptr_eq(member, &self.wanted) {
                // It was counted in the tokens of another model.
                request.measured = None;
            }
            let gate = LimitedGate::new(
                member.limiter.clone(),
                severity,
                attempts.patience(deadline),
                attempts.has_stand_in(),
                member.price,
                self.clock.clone(),
            );
            let read = |answer: &Answer| member.dialect.read(answer, conversation, step);
            let asked = member.client.ask_and_read(&request, &gate, read).await;
            bill.add(&gate.bill());
            let error = match asked {
                Ok((answer, reading)) => return Ok(Told { answer, reading, origin: attempts.answered(), bill }),
                Err(error) => error,
            };
            let rest = error.retry_after().map(|rest| rest.min(LONGEST_RETRY_AFTER));
            come_again = [come_again, rest].into_iter().flatten().min();
            member = match (attempts.failed(failure(&error)), fallbacks.next()) {
                (Next::Fallback, Some(next)) => next,
                _ => break error,
            };
        };
        let model = member.limiter.model().clone();
        Err(Box::new(NoAnswer { model, why, failed: attempts.given_up(), come_again, bill }))
    }
}
