//! What stands before a server and lets requests through: the place of a model's limits.
//!
//! A gate belongs to one call: it may know how urgent the call is and how long it may wait. Every attempt passes, since every attempt counts against a quota, and tells afterwards what became of it. The
//! client knows nothing of quotas.

use async_trait::async_trait;
use reqwest::header::HeaderMap;

use super::answer::Usage;
use super::error::ModelError;

/// Lets attempts through.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Waits until an attempt of this size may be made.
    ///
    /// # Errors
    /// With [`ModelError::NotAdmitted`] when it will not be for a long time.
    async fn admit(&self, size: Size) -> Result<Box<dyn Admitted>, ModelError>;
}

/// An attempt that was let through. Dropped before its end is told, it was given up.
pub trait Admitted: Send {
    /// Tells its end.
    fn ended(self: Box<Self>, heard: &Heard<'_>);
}

/// The size of a request before it is sent, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// What is sent, counted or estimated.
    pub input: u64,
    /// The longest answer.
    pub most_output: u64,
}

/// What was heard of the server.
#[derive(Debug)]
pub struct Heard<'a> {
    /// What the answer cost, or why there is none.
    pub outcome: Result<Option<Usage>, &'a ModelError>,
    /// The headers that came, whatever the outcome: they may tell of limits.
    pub headers: &'a Headers,
}

/// The headers of a server's answer; none if none came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(HeaderMap);

impl Headers {
    /// Headers as they came.
    #[must_use]
    pub const fn new(headers: HeaderMap) -> Self {
        Self(headers)
    }

    /// A header's value. Names are written in small letters.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok().map(str::trim)
    }
}

/// A gate that lets everything through: for commands that ask a model a few questions.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenGate;

#[async_trait]
impl Gate for OpenGate {
    async fn admit(&self, _: Size) -> Result<Box<dyn Admitted>, ModelError> {
        Ok(Box::new(Self))
    }
}

impl Admitted for OpenGate {
    fn ended(self: Box<Self>, _: &Heard<'_>) {}
}
