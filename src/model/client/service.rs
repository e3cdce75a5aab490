//! The one place that touches HTTP: what async-openai sends goes through here instead of through its own retries.
//!
//! It sees what that crate hides: headers, and refusals whose codes are numbers. It bounds every body, so that no server
//! can fill the memory, and takes the empty `Authorization` away where there is no key.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use futures::StreamExt;
use reqwest::header::AUTHORIZATION;
use reqwest::{Body, Response, StatusCode};
use secrecy::SecretString;

use super::refusal::Refusal;
use super::wait;
use crate::model::error::ModelError;
use crate::model::gate::Headers;
use crate::telemetry::model_spans;

/// Most bytes that are taken of an answer, with all that surrounds it.
pub(super) const LARGEST_BODY: u64 = 8 << 20;

/// Most bytes of one event of a stream. An event holds a few letters of an answer; one that does not end would be read
/// again from its beginning with every piece of it that comes.
const LARGEST_EVENT: usize = 1 << 20;

/// Most bytes that are taken of a refusal.
const LARGEST_REFUSAL: usize = 64 << 10;

tokio::task_local! {
    /// Where the attempt under way learns what async-openai does not hand on.
    pub(super) static OVERHEARD: Arc<Overheard>;
}

/// What an attempt learns besides its answer.
#[derive(Debug, Default)]
pub(super) struct Overheard {
    streams: bool,
    headers: Mutex<Headers>,
    too_long: AtomicBool,
}

impl Overheard {
    /// Of an attempt whose answer comes in pieces, or whole.
    pub(super) fn of(streams: bool) -> Self {
        Self { streams, ..Self::default() }
    }

    pub(super) fn headers(&self) -> Headers {
        self.headers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn is_too_long(&self) -> bool {
        self.too_long.load(Ordering::Relaxed)
    }
}

/// Sends requests of one model.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) http: reqwest::Client,
    pub(super) model: Arc<str>,
    pub(super) key: Option<SecretString>,
}

impl Service {
    /// Sends a request and answers with a response of a server that accepted it.
    pub(super) async fn send(self, factory: HttpRequestFactory) -> Result<Response, OpenAIError> {
        let mut request = factory.build().await?;
        let headers = request.headers_mut();
        match headers.get_mut(AUTHORIZATION) {
            Some(key) if self.key.is_some() => key.set_sensitive(true),
            _ => {
                headers.remove(AUTHORIZATION);
            }
        }
        if let Some(parent) = model_spans::traceparent().and_then(|parent| parent.parse().ok()) {
            headers.insert("traceparent", parent);
        }
        let server = request.url().origin().ascii_serialization();
        let response = self.http.execute(request).await.map_err(|error| ours(broken(&error, &server)))?;
        let overheard = OVERHEARD.try_with(Arc::clone).unwrap_or_default();
        let headers = Headers::new(response.headers().clone());
        let retry_after = wait::retry_after(&headers, SystemTime::now());
        *overheard.headers.lock().unwrap_or_else(PoisonError::into_inner) = headers;
        if response.status() == StatusCode::OK {
            return Ok(bounded(response, overheard));
        }
        Err(ours(self.refused(response, retry_after).await))
    }

    async fn refused(&self, response: Response, retry_after: Option<Duration>) -> ModelError {
        let status = response.status().as_u16();
        let mut body = Vec::new();
        let mut pieces = response.bytes_stream();
        while let Some(Ok(piece)) = pieces.next().await {
            let room = LARGEST_REFUSAL.saturating_sub(body.len());
            body.extend_from_slice(&piece[..piece.len().min(room)]);
            if body.len() >= LARGEST_REFUSAL {
                break;
            }
        }
        let body = &*String::from_utf8_lossy(&body);
        Refusal { status, body, retry_after, model: &self.model, key: self.key.as_ref() }.meaning()
    }
}

/// The response with a body that ends with an error where it, or one event of it, grows too large.
fn bounded(response: Response, overheard: Arc<Overheard>) -> Response {
    let headers = response.headers().clone();
    let (mut taken, mut event) = (0_u64, 0_usize);
    let body = response.bytes_stream().map(move |piece| {
        let piece = piece.map_err(std::io::Error::other)?;
        taken += piece.len() as u64;
        // Every line ends an event or is a part of one; that is exact enough.
        event = piece.iter().rev().position(|byte| *byte == b'\n').unwrap_or(event + piece.len());
        if taken > LARGEST_BODY || (overheard.streams && event > LARGEST_EVENT) {
            overheard.too_long.store(true, Ordering::Relaxed);
            return Err(std::io::Error::other("too long"));
        }
        Ok(piece)
    });
    let mut bounded = hyper::Response::new(Body::wrap_stream(body));
    *bounded.headers_mut() = headers;
    Response::from(bounded)
}

/// A failure of ours in the hands of async-openai.
pub(super) fn ours(error: ModelError) -> OpenAIError {
    OpenAIError::Boxed(Box::new(error))
}

/// A request that came to nothing below HTTP.
pub(super) fn broken(error: &reqwest::Error, server: &str) -> ModelError {
    let why = innermost(error);
    if error.is_connect() || error.is_builder() {
        return ModelError::Unreachable { server: server.into(), why };
    }
    ModelError::CutOff { why }
}

/// What an error comes from, which says more than what it led to.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
