//! A model's limiter as the gate that the client knows: how urgent a call is, how long it may wait, and what its end
//! means for the limits and for the bill.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::time::Instant;

use super::Bill;
use crate::domain::alert::Severity;
use crate::model::answer;
use crate::model::error::{Barred, ModelError};
use crate::model::gate::{Admitted, Gate, Heard, Size};
use crate::model::limit::{Call, Failure, Limiter, Permit, Price, Refused, Report, ServerLimits, Usage};
use crate::ports::clock::Clock;

/// One question's way through the limiter of one model.
pub(super) struct LimitedGate {
    limiter: Limiter,
    severity: Severity,
    deadline: Instant,
    has_stand_in: bool,
    account: Account,
}

/// What the attempts of one question used so far, and by what it is counted.
#[derive(Clone)]
struct Account {
    price: Option<Price>,
    /// For servers that name a date and not their own time.
    clock: Arc<dyn Clock>,
    bill: Arc<Mutex<Bill>>,
}

impl Account {
    fn bill(&self) -> MutexGuard<'_, Bill> {
        // Nothing can panic while it is held.
        self.bill.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Attempt {
    permit: Permit,
    account: Account,
}

impl LimitedGate {
    pub(super) fn new(
        limiter: Limiter,
        severity: Severity,
        deadline: Instant,
        has_stand_in: bool,
        price: Option<Price>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let account = Account { price, clock, bill: Arc::default() };
        Self { limiter, severity, deadline, has_stand_in, account }
    }

    pub(super) fn bill(&self) -> Bill {
        self.account.bill().clone()
    }
}

#[async_trait]
impl Gate for LimitedGate {
    async fn admit(&self, size: Size) -> Result<Box<dyn Admitted>, ModelError> {
        // A queue is worth waiting in; a server that does not answer is not, where somebody else can.
        if self.has_stand_in && self.limiter.server_rests() {
            let why = format!("the server of {} does not answer, and another model can", self.limiter.model());
            return Err(ModelError::NotAdmitted { retry_after: None, barred: Barred::ForNow, why });
        }
        let estimate = size.input.saturating_add(size.most_output);
        let call = Call { severity: self.severity, estimate, deadline: self.deadline };
        match self.limiter.acquire(call).await {
            Ok(permit) => Ok(Box::new(Attempt { permit, account: self.account.clone() })),
            Err(refused) => Err(ModelError::NotAdmitted {
                retry_after: refused.come_again(),
                barred: match refused {
                    Refused::NotInTime { .. } => Barred::ForNow,
                    Refused::TooLarge { .. } => Barred::TooLarge,
                    Refused::Stopped(_) => Barred::Stopping,
                },
                why: refused.to_string(),
            }),
        }
    }
}

impl Admitted for Attempt {
    fn ended(self: Box<Self>, heard: &Heard<'_>) {
        let Self { permit, account } = *self;
        let limits = ServerLimits::read(|name| heard.headers.get(name), account.clock.now());
        let counted = |usage: answer::Usage| Usage { input: usage.input, cached: usage.cached, output: usage.output };
        let report = match heard.outcome {
            Ok(usage) => {
                let cost = account.price.zip(usage).map(|(price, usage)| price.cost(counted(usage)));
                account.bill().answered(usage, cost);
                Report::answered(usage.map(counted), limits)
            }
            Err(error) => {
                let failure = failure(error);
                account.bill().failed(failure.may_have_used_tokens());
                Report::failed(failure, limits)
            }
        };
        permit.settle(report);
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
        ModelError::NotAdmitted { barred, .. } => match barred {
            Barred::ForNow => Failure::NotInTime,
            Barred::TooLarge => Failure::TooLarge,
            Barred::Stopping => Failure::Cancelled,
        },
    }
}
