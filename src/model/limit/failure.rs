//! How a call to a model can fail, and what follows for its server, for the quota, and for the next model.

use serde::{Deserialize, Serialize};

/// Why a call brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No connection: refused, no such name, no certificate.
    Unreachable,
    /// No answer in time: the first token, or the next one.
    #[serde(rename = "timeout")]
    TimedOut,
    /// The connection ended within the answer.
    BrokeOff,
    /// The server says that it is at fault: status 500 and above.
    ServerError,
    /// Status 429.
    TooManyRequests,
    /// The account has no money or no quota left. Waiting does not help.
    OutOfQuota,
    /// The key is not accepted.
    Unauthorised,
    /// The server knows no such model.
    UnknownModel,
    /// The request is longer than the model's context.
    ContextTooLong,
    /// The server does not understand or does not want the request.
    Rejected,
    /// An answer came, and nothing can be done with it.
    Unusable,
    /// The limiter did not let the call go in time.
    NotInTime,
    /// The limiter can never let the call go.
    TooLarge,
    /// The caller no longer wants an answer.
    Cancelled,
}

/// What a call tells of the server's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answered, whatever it said.
    Alive,
    /// It did not.
    Dead,
    /// Nothing can be said.
    None,
}

impl Failure {
    /// Its name in traces: a kind of failure, never a message.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timeout",
            Self::BrokeOff => "broke_off",
            Self::ServerError => "server_error",
            Self::TooManyRequests => "too_many_requests",
            Self::OutOfQuota => "out_of_quota",
            Self::Unauthorised => "unauthorised",
            Self::UnknownModel => "unknown_model",
            Self::ContextTooLong => "context_too_long",
            Self::Rejected => "rejected",
            Self::Unusable => "unusable",
            Self::NotInTime => "not_in_time",
            Self::TooLarge => "too_large",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the next model of the chain is asked.
    ///
    /// It is where this model or its server cannot answer. It is not where the request itself is at fault, since the
    /// next model would be asked the same; nor where an answer was no good: that is for whoever reads it to repair,
    /// and changing models until one says something pleasing is no judgement.
    #[must_use]
    pub const fn leads_on(self) -> bool {
        match self {
            Self::Unreachable
            | Self::TimedOut
            | Self::BrokeOff
            | Self::ServerError
            | Self::TooManyRequests
            | Self::OutOfQuota
            | Self::Unauthorised
            | Self::UnknownModel
            | Self::NotInTime
            | Self::TooLarge => true,
            Self::ContextTooLong | Self::Rejected | Self::Unusable | Self::Cancelled => false,
        }
    }

    /// What it tells of the server. One that refuses is alive: its own limits are no reason for the breaker.
    pub(super) const fn sign(self) -> Sign {
        match self {
            Self::Unreachable | Self::TimedOut | Self::BrokeOff | Self::ServerError => Sign::Dead,
            Self::TooManyRequests
            | Self::OutOfQuota
            | Self::Unauthorised
            | Self::UnknownModel
            | Self::ContextTooLong
            | Self::Rejected
            | Self::Unusable => Sign::Alive,
            Self::NotInTime | Self::TooLarge | Self::Cancelled => Sign::None,
        }
    }

    /// Whether the server may have counted tokens for it. Where it may have, the estimate stays charged.
    #[must_use]
    pub const fn may_have_used_tokens(self) -> bool {
        match self {
            Self::TimedOut | Self::BrokeOff | Self::ServerError | Self::Unusable | Self::Cancelled => true,
            Self::Unreachable
            | Self::TooManyRequests
            | Self::OutOfQuota
            | Self::Unauthorised
            | Self::UnknownModel
            | Self::ContextTooLong
            | Self::Rejected
            | Self::NotInTime
            | Self::TooLarge => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Failure; 14] = [
        Failure::Unreachable,
        Failure::TimedOut,
        Failure::BrokeOff,
        Failure::ServerError,
        Failure::TooManyRequests,
        Failure::OutOfQuota,
        Failure::Unauthorised,
        Failure::UnknownModel,
        Failure::ContextTooLong,
        Failure::Rejected,
        Failure::Unusable,
        Failure::NotInTime,
        Failure::TooLarge,
        Failure::Cancelled,
    ];

    #[test]
    fn a_failure_has_one_name_in_traces_and_on_record() {
        for failure in ALL {
            let recorded = serde_json::to_string(&failure).expect("text");
            assert_eq!(recorded, format!("\"{}\"", failure.slug()));
            assert_eq!(serde_json::from_str::<Failure>(&recorded).expect("it is read again"), failure);
        }
    }

    #[test]
    fn a_server_that_does_not_answer_is_never_the_last_one_asked() {
        for failure in ALL.into_iter().filter(|failure| failure.sign() == Sign::Dead) {
            assert!(failure.leads_on(), "{failure:?}");
        }
    }
}
