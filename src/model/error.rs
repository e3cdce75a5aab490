//! What can go wrong with a call, and what each failure is worth: another attempt, a wait, or a person.
//!
//! A failure is told before anything of an answer is handed out. Nothing has been done with it then, so another
//! attempt is always safe; the only question is whether it makes sense.

use std::time::Duration;

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Nobody answers at the address.
    #[error("the model server {server} cannot be reached ({why}): start it, or correct `base_url`")]
    Unreachable {
        /// Its address.
        server: String,
        /// What the system said.
        why: String,
    },
    /// It took the request and fell silent.
    #[error("the model server sent {} for {} s: it is stuck or too slow, or `{}` is too short", .during.what(), .after.as_secs(), .during.setting())]
    Silent {
        /// What was waited for.
        during: Phase,
        /// How long.
        after: Duration,
    },
    /// It asks to be asked later (429).
    #[error("the model server allows no more requests for now: {why}")]
    Limited {
        /// When to come again, if it says.
        retry_after: Option<Duration>,
        /// What it said.
        why: String,
    },
    /// It cannot answer now (5xx).
    #[error("the model server failed with status {status}: {why}")]
    Overloaded {
        /// The status.
        status: u16,
        /// When to come again, if it says.
        retry_after: Option<Duration>,
        /// What it said.
        why: String,
    },
    /// The connection broke, or the stream ended, in the middle of an answer.
    #[error("the answer was cut off: {why}")]
    CutOff {
        /// How it shows.
        why: String,
    },
    /// What came is not an answer of the protocol: no JSON, no UTF-8, no message in it.
    #[error("the server's answer cannot be read: {what}; is `base_url` that of an OpenAI-compatible server?")]
    Malformed {
        /// What is wrong with it.
        what: String,
    },
    /// The answer did not end within its bounds.
    #[error("the answer is longer than {limit} bytes and was cut off")]
    TooLong {
        /// The most that is taken.
        limit: u64,
    },
    /// The conversation does not fit into the model's context.
    #[error("the request does not fit into the model's context: {}", overflow(*.tokens, *.limit))]
    ContextOverflow {
        /// Tokens it has, as far as known.
        tokens: Option<u64>,
        /// Tokens the model can take, as far as known.
        limit: Option<u64>,
        /// Who noticed.
        noticed: Noticed,
    },
    /// The server does not have this model (404).
    #[error("the server has no model {model}: {why}; `watchfloor doctor` names those it has")]
    UnknownModel {
        /// The model asked for.
        model: String,
        /// What it said.
        why: String,
    },
    /// The key is missing or wrong (401, 403).
    #[error("the model server refuses the key: {why}; set the variable that `api_key_env` names")]
    Denied {
        /// What it said.
        why: String,
    },
    /// There is no money left (429 with `insufficient_quota`, 402): waiting changes nothing.
    #[error("the account of the model server is exhausted: {why}")]
    Exhausted {
        /// What it said.
        why: String,
    },
    /// It does not accept the request as it is (other 4xx, redirects).
    #[error("the model server refuses the request with status {status}: {why}")]
    Refused {
        /// The status.
        status: u16,
        /// The parameter it names.
        parameter: Option<String>,
        /// What it said.
        why: String,
    },
    /// It was never sent: what limits this model did not let it through.
    #[error("the request was not sent: {why}")]
    NotAdmitted {
        /// When it may be, if known.
        retry_after: Option<Duration>,
        /// Whether it ever may be.
        barred: Barred,
        /// Why.
        why: String,
    },
}

/// For how long a request may not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Barred {
    /// It did not get its turn in time.
    ForNow,
    /// It is larger than the model's limits will ever let through.
    TooLarge,
    /// The floor is stopping.
    Stopping,
}

/// What was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The first of an answer that is streamed.
    First,
    /// More of it.
    More,
    /// The whole answer.
    Whole,
}

impl Phase {
    const fn what(self) -> &'static str {
        match self {
            Self::First => "nothing",
            Self::More => "nothing more",
            Self::Whole => "no whole answer",
        }
    }

    const fn setting(self) -> &'static str {
        match self {
            Self::First => "first_token_seconds",
            Self::More => "idle_seconds",
            Self::Whole => "answer_seconds",
        }
    }
}

/// Who noticed that a request is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Noticed {
    /// It was counted here, and not sent.
    Here,
    /// The server refused it.
    Server,
}

/// How often a failure is worth another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Worth {
    /// Never: the same request fails again, or only a person can help.
    Never,
    /// Once: it may have been an accident, and each attempt is dear.
    Once,
    /// As often as the settings say.
    More,
}

impl ModelError {
    /// The kind of failure as spans and counts show it: one word of a closed set.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Silent { .. } => "timeout",
            Self::Limited { .. } => "rate_limited",
            Self::Overloaded { .. } => "server_error",
            Self::CutOff { .. } => "cut_off",
            Self::Malformed { .. } => "malformed_answer",
            Self::TooLong { .. } => "answer_too_long",
            Self::ContextOverflow { .. } => "context_overflow",
            Self::UnknownModel { .. } => "unknown_model",
            Self::Denied { .. } => "denied",
            Self::Exhausted { .. } => "quota_exhausted",
            Self::Refused { .. } => "refused",
            Self::NotAdmitted { .. } => "not_admitted",
        }
    }

    /// How often it is worth another attempt.
    #[must_use]
    pub const fn worth(&self) -> Worth {
        match self {
            Self::Unreachable { .. } | Self::Limited { .. } | Self::Overloaded { .. } | Self::CutOff { .. } => {
                Worth::More
            }
            // A server that is too slow only gets slower, and one that talks nonsense rarely stops.
            Self::Silent { .. } | Self::Malformed { .. } => Worth::Once,
            Self::TooLong { .. }
            | Self::ContextOverflow { .. }
            | Self::UnknownModel { .. }
            | Self::Denied { .. }
            | Self::Exhausted { .. }
            | Self::Refused { .. }
            | Self::NotAdmitted { .. } => Worth::Never,
        }
    }

    /// When the server wants to be asked again, if it said so.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited { retry_after, .. }
            | Self::Overloaded { retry_after, .. }
            | Self::NotAdmitted { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

fn overflow(tokens: Option<u64>, limit: Option<u64>) -> String {
    match (tokens, limit) {
        (Some(tokens), Some(limit)) => format!("it needs {tokens} tokens and the model takes {limit}"),
        (None, Some(limit)) => format!("the model takes {limit} tokens"),
        (Some(tokens), None) => format!("it needs {tokens} tokens"),
        (None, None) => "the server says so and gives no numbers".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_what_to_change() {
        let silent = ModelError::Silent { during: Phase::First, after: Duration::from_secs(9) };
        assert!(silent.to_string().contains("sent nothing for 9 s"), "{silent}");
        assert!(silent.to_string().contains("first_token_seconds"), "{silent}");
        let overflow = ModelError::ContextOverflow { tokens: Some(9), limit: Some(8), noticed: Noticed::Here };
        assert!(overflow.to_string().ends_with("it needs 9 tokens and the model takes 8"), "{overflow}");
    }
}
