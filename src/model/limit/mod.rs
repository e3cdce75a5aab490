//! What a model may be asked, and when: quotas, the queue before them, the breaker of its server, and what it costs.
//!
//! ```text
//! call ─▶ Limiter::acquire ─▶ queue by severity, with aging ─▶ gates ─▶ Permit ─▶ (the call itself) ─▶ Permit::settle
//!                                                               │ retry_after  the server asked for a rest
//!                                                               │ breaker      the server does not answer
//!                                                               │ in_flight    as many calls as it takes are under way
//!                                                               │ requests     requests a minute
//!                                                               └ tokens       tokens a minute
//! ```
//!
//! One actor per model decides who goes next ([`LimiterActor`]); what it decides by outlives it ([`Line`]), so that a
//! restart forgets neither a call that waits nor one that is under way. Nothing of this knows of cases.

mod actor;
mod allowance;
mod breaker;
mod chain;
mod failure;
mod headers;
mod limiter;
mod place;
mod price;
mod quota;
mod turnstile;
mod wait;

#[cfg(test)]
mod spans_tests;
#[cfg(test)]
mod turnstile_tests;
#[cfg(test)]
mod use_tests;

pub use actor::{LimiterActor, LimiterMessage};
pub use breaker::{BreakerState, Server};
pub use chain::{Attempts, Chain, Exhausted, Next, Origin};
pub use failure::Failure;
pub use headers::{LONGEST_RESET, LONGEST_RETRY_AFTER, ServerLimits, Told};
pub use limiter::{Call, Figures, Limiter, Line, ModelName, Permit, Refused, Report};
pub use place::RANK_WORTH;
pub use price::{Cost, Currency, Price, PriceError, Spending, Usage};
pub use quota::{InFlight, Limits, PerMinute};
pub use wait::Kind;
