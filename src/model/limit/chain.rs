//! A model and its fallbacks: who is asked next when one cannot answer, and who it was that answered.

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::failure::Failure;
use super::limiter::{Call, Limiter, ModelName, Permit, Refused};

/// A model and those that are asked in its place, in this order.
#[derive(Clone)]
pub struct Chain {
    wanted: Limiter,
    fallbacks: Vec<Limiter>,
}

/// Who answered, who was meant to, and why it was not they. It belongs into whatever is recorded of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The model that was meant to answer.
    pub wanted: ModelName,
    /// The model that did.
    pub answered: ModelName,
    /// Those that could not before it, and why.
    pub failed: Vec<(ModelName, Failure)>,
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Ask [`Attempts::acquire`] again: it lets the call go to the next model.
    Fallback,
    /// Nobody else can help with it.
    GiveUp,
}

/// No model of the chain lets the call go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no model can be asked now: {last}{}", before(failed))]
pub struct Exhausted {
    /// What the last one said.
    pub last: Refused,
    /// All that could not, and why.
    pub failed: Vec<(ModelName, Failure)>,
}

fn before(failed: &[(ModelName, Failure)]) -> String {
    let Some((_, before)) = failed.split_last() else { return String::new() };
    before.iter().map(|(model, why)| format!("; {model} before it: {}", why.slug())).collect()
}

impl Chain {
    /// A model and its fallbacks.
    #[must_use]
    pub const fn new(wanted: Limiter, fallbacks: Vec<Limiter>) -> Self {
        Self { wanted, fallbacks }
    }

    /// The model that is meant to answer.
    #[must_use]
    pub const fn wanted(&self) -> &Limiter {
        &self.wanted
    }

    /// Begins to ask, with the model that is meant to answer.
    #[must_use]
    pub const fn attempts(&self) -> Attempts<'_> {
        Attempts { chain: self, at: 0, failed: Vec::new() }
    }

    fn model(&self, at: usize) -> Option<&Limiter> {
        match at.checked_sub(1) {
            None => Some(&self.wanted),
            Some(fallback) => self.fallbacks.get(fallback),
        }
    }
}

/// One question on its way along a chain.
pub struct Attempts<'c> {
    chain: &'c Chain,
    at: usize,
    failed: Vec<(ModelName, Failure)>,
}

impl Attempts<'_> {
    /// Waits until the call may go to the model at hand, or to the first after it that lets it go.
    ///
    /// The call's deadline is the question's. A model that somebody can stand in for is waited for until half of the time
    /// left is over: its fallback would otherwise be asked when it is too late.
    ///
    /// # Errors
    /// When none lets it go.
    pub async fn acquire(&mut self, call: Call) -> Result<Permit, Exhausted> {
        loop {
            let limiter = self.at_hand();
            let last = match limiter.acquire(Call { deadline: self.patience(call.deadline), ..call }).await {
                Ok(permit) => return Ok(permit),
                Err(refused) => refused,
            };
            if self.failed(last.failure()) == Next::GiveUp {
                return Err(Exhausted { last, failed: std::mem::take(&mut self.failed) });
            }
        }
    }

    /// The model at hand could not answer. A caller that wants to ask the same one again does not say so.
    pub fn failed(&mut self, why: Failure) -> Next {
        self.failed.push((self.at_hand().model().clone(), why));
        if why.leads_on() && self.chain.model(self.at + 1).is_some() {
            self.at += 1;
            return Next::Fallback;
        }
        Next::GiveUp
    }

    /// The model at hand answered.
    #[must_use]
    pub fn answered(self) -> Origin {
        Origin {
            wanted: self.chain.wanted.model().clone(),
            answered: self.at_hand().model().clone(),
            failed: self.failed,
        }
    }

    /// Nobody answered: those that were asked, and why they could not.
    #[must_use]
    pub fn given_up(self) -> Vec<(ModelName, Failure)> {
        self.failed
    }

    /// Whether another model can be asked after the one at hand.
    #[must_use]
    pub fn has_stand_in(&self) -> bool {
        self.chain.model(self.at + 1).is_some()
    }

    /// Until when the model at hand may be waited for, if the question has until this deadline.
    #[must_use]
    pub fn patience(&self, deadline: Instant) -> Instant {
        let now = Instant::now();
        match self.chain.model(self.at + 1) {
            Some(_) => now + deadline.saturating_duration_since(now) / 2,
            None => deadline,
        }
    }

    /// The limiter of the model at hand. For a client that asks for its own permits, one per attempt.
    #[must_use]
    pub fn at_hand(&self) -> &Limiter {
        self.chain.model(self.at).unwrap_or(&self.chain.wanted)
    }
}

impl std::fmt::Display for Origin {
    /// `small, in place of big (unreachable)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.answered)?;
        if self.is_fallback() {
            let why: Vec<_> = self.failed.iter().map(|(model, why)| format!("{model} ({})", why.slug())).collect();
            write!(f, ", in place of {}", why.join(" and "))?;
        }
        Ok(())
    }
}

impl Origin {
    /// Whether another model answered than the one that was meant to.
    #[must_use]
    pub fn is_fallback(&self) -> bool {
        self.wanted != self.answered
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;
    use std::time::Duration;

    use ractor::Actor;

    use super::super::{Kind, LimiterActor, Limits, Line, PerMinute, Report, Server, ServerLimits};
    use super::*;
    use crate::domain::alert::Severity;

    /// A limiter with an actor of its own, one request a minute if `scarce`.
    async fn limiter(test: &str, name: &str, scarce: bool) -> Limiter {
        let requests = scarce.then(|| PerMinute::new(1).expect("a limit"));
        let limits = Limits { requests, tokens: None, in_flight: NonZeroU32::MIN };
        let server = Arc::new(Server::new(name));
        let line = Line::new(format!("chain-{test}-{name}"), ModelName::new(name), limits, server);
        Actor::spawn(Some(line.actor().to_owned()), LimiterActor, line.clone()).await.expect("it starts");
        Limiter::new(line)
    }

    fn call(seconds: u64) -> Call {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        Call { severity: Severity::High, estimate: 10, deadline }
    }

    fn name(limiter: &Limiter) -> ModelName {
        limiter.model().clone()
    }

    #[tokio::test(start_paused = true)]
    async fn the_wanted_model_is_asked_first_and_the_origin_says_so() {
        let (big, small) = (limiter("first", "big", false).await, limiter("first", "small", false).await);
        let chain = Chain::new(big.clone(), vec![small]);
        let mut attempts = chain.attempts();
        let permit = attempts.acquire(call(10)).await.expect("it goes");
        assert_eq!(permit.model(), big.model());
        permit.settle(Report::answered(None, ServerLimits::default()));
        let origin = attempts.answered();
        assert!(!origin.is_fallback() && origin.failed.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_fails_leads_on_and_a_request_that_is_wrong_does_not() {
        let (big, small) = (limiter("fails", "big", false).await, limiter("fails", "small", false).await);
        let chain = Chain::new(big.clone(), vec![small.clone()]);
        let mut attempts = chain.attempts();
        let permit = attempts.acquire(call(10)).await.expect("it goes");
        permit.settle(Report::failed(Failure::Unreachable, ServerLimits::default()));
        assert_eq!(attempts.failed(Failure::Unreachable), Next::Fallback);
        let permit = attempts.acquire(call(10)).await.expect("it goes");
        assert_eq!(permit.model(), small.model());
        drop(permit);
        let origin = attempts.answered();
        assert!(origin.is_fallback());
        assert_eq!(origin.to_string(), "small, in place of big (unreachable)");
        assert_eq!((origin.wanted, origin.answered), (name(&big), name(&small)));
        assert_eq!(origin.failed, [(name(&big), Failure::Unreachable)]);
        for final_one in [Failure::Rejected, Failure::Unusable, Failure::ContextTooLong, Failure::Cancelled] {
            assert_eq!(chain.attempts().failed(final_one), Next::GiveUp, "{final_one:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_model_that_cannot_go_in_time_is_stood_in_for_and_the_last_one_says_why() {
        let (big, small) = (limiter("time", "big", true).await, limiter("time", "small", true).await);
        let chain = Chain::new(big.clone(), vec![small.clone()]);
        let begun = Instant::now();
        for expected in [&big, &small] {
            let mut attempts = chain.attempts();
            let permit = attempts.acquire(call(10)).await.expect("it goes");
            assert_eq!(permit.model(), expected.model());
        }
        assert!(begun.elapsed() >= Duration::from_secs(5), "half of the time was waited for the wanted model");
        let exhausted = chain.attempts().acquire(call(10)).await.expect_err("both are used up");
        let models: Vec<_> = exhausted.failed.iter().map(|(model, _)| model.clone()).collect();
        assert_eq!(models, [name(&big), name(&small)]);
        assert!(matches!(exhausted.last, Refused::NotInTime { kind: Kind::Requests, .. }), "{exhausted:?}");
        let told = exhausted.to_string();
        assert!(told.contains("requests a minute") && told.contains("big before it: not_in_time"), "{told}");
    }
}
