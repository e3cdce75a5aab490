//! A model's limiter as the gate that the client knows: how urgent a call is, how long it may wait, and what its end
//! means for the limits.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use super::answer;
use super::error::ModelError;
use super::gate::{Admitted, Gate, Heard, Size};
use super::limit::{Call, Failure, Limiter, Permit, Report, ServerLimits, Usage};
use crate::domain::alert::Severity;
use crate::ports::clock::Clock;

/// One call's way through the limiter of its model.
pub struct LimitedGate {
    /// The model's limiter.
    pub limiter: Limiter,
    /// The severity of what the call is about.
    pub severity: Severity,
    /// After this, no attempt of it wants to go any more.
    pub deadline: Instant,
    /// The time of day, for servers that tell theirs and send no `Date`.
    pub clock: Arc<dyn Clock>,
}

struct Attempt {
    permit: Permit,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Gate for LimitedGate {
    async fn admit(&self, size: Size) -> Result<Box<dyn Admitted>, ModelError> {
        let estimate = size.input.saturating_add(size.most_output);
        let call = Call { severity: self.severity, estimate, deadline: self.deadline };
        match self.limiter.acquire(call).await {
            Ok(permit) => Ok(Box::new(Attempt { permit, clock: self.clock.clone() })),
            Err(refused) => {
                Err(ModelError::NotAdmitted { retry_after: refused.come_again(), why: refused.to_string() })
            }
        }
    }
}

impl Admitted for Attempt {
    fn ended(self: Box<Self>, heard: &Heard<'_>) {
        let limits = ServerLimits::read(|name| heard.headers.get(name), self.clock.now());
        let counted = |usage: answer::Usage| Usage { input: usage.input, cached: usage.cached, output: usage.output };
        self.permit.settle(match heard.outcome {
            Ok(usage) => Report::answered(usage.map(counted), limits),
            Err(error) => Report::failed(failure(error), limits),
        });
    }
}

/// What an error of the client is to the limits, the breaker and the chain.
#[must_use]
pub const fn failure(error: &ModelError) -> Failure {
    match error {
        ModelError::Unreachable { .. } => Failure::Unreachable,
        ModelError::Silent { .. } => Failure::TimedOut,
        ModelError::Limited { .. } => Failure::TooManyRequests,
        ModelError::Overloaded { .. } => Failure::ServerError,
        ModelError::CutOff { .. } => Failure::BrokeOff,
        ModelError::Malformed { .. } | ModelError::TooLong { .. } => Failure::Unusable,
        ModelError::ContextOverflow { .. } => Failure::ContextTooLong,
        ModelError::UnknownModel { .. } => Failure::UnknownModel,
        ModelError::Denied { .. } => Failure::Unauthorised,
        ModelError::Exhausted { .. } => Failure::OutOfQuota,
        ModelError::Refused { .. } => Failure::Rejected,
        ModelError::NotAdmitted { .. } => Failure::NotInTime,
    }
}
