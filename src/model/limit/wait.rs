//! Why a call waits. Every wait is a span with its kind, from the moment it begins to the moment it ends.

use tokio::time::Instant;
use tracing::Span;

use crate::domain::alert::Severity;
use crate::telemetry::wait_span;

/// What holds a call up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The server asked for a rest.
    RetryAfter,
    /// The server does not answer; calls to it rest.
    Breaker,
    /// As many calls as the model takes are under way.
    InFlight,
    /// Requests a minute.
    Requests,
    /// Tokens a minute.
    Tokens,
    /// Other calls, which come first. What held these up is the wait's `wf.wait.behind`.
    Queue,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::RetryAfter, Self::Breaker, Self::InFlight, Self::Requests, Self::Tokens, Self::Queue];

    /// Its name in traces and figures.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::RetryAfter => "retry_after",
            Self::Breaker => "breaker",
            Self::InFlight => "in_flight",
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Queue => "queue",
        }
    }

    /// As a person reads it after "the call waited for".
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::RetryAfter => "the rest that its server asked for",
            Self::Breaker => "its server, which does not answer",
            Self::InFlight => "other calls to end",
            Self::Requests => "its requests a minute",
            Self::Tokens => "its tokens a minute",
            Self::Queue => "the calls before it",
        }
    }
}

/// A wait that goes on. It ends when it is dropped, also where the caller gave up.
pub(super) struct Wait {
    span: Span,
    since: Instant,
    kind: Kind,
}

impl Wait {
    /// Begins a wait under the caller's own span.
    pub fn begin(model: &str, severity: Severity, kind: Kind) -> Self {
        Self { span: wait_span::begin(model, severity, kind.slug()), since: Instant::now(), kind }
    }

    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What held up the calls before it, most of the time.
    pub fn was_behind(&self, kind: Kind) {
        wait_span::record_behind(&self.span, kind.slug());
    }

    /// The wait was in vain.
    pub fn failed(&self, error_type: &'static str) {
        wait_span::record_error(&self.span, error_type);
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        wait_span::record_length(&self.span, self.since.elapsed());
    }
}
