//! Spans of calls to a model, after the GenAI conventions: one for the call, one per attempt, one per wait.
//!
//! They are children of whatever span is current, since a model knows no case. What is sent and answered is no attribute:
//! it is in the journal, and may hold anything.

use std::time::Duration;

use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Array, StringValue, Value};
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::semconv;

pub use super::spans::record_error;

/// What a call asks.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The model.
    pub model: &'a str,
    /// The server's host.
    pub server: &'a str,
    /// Its port.
    pub port: u16,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// The longest answer, in tokens.
    pub max_tokens: u32,
    /// Whether the answer shall be JSON.
    pub json: bool,
}

/// What a call heard.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// The server's id of the answer.
    pub id: Option<&'a str>,
    /// The model that answered.
    pub model: Option<&'a str>,
    /// Why it ended.
    pub finish: &'static str,
    /// Tokens: input, of these cached, output, of these reasoning.
    pub tokens: Option<[u64; 4]>,
    /// Attempts it took.
    pub attempts: u32,
    /// Until the first of it.
    pub first: Option<Duration>,
    /// Why nothing could be done with it: one word of a closed set.
    pub misread: Option<&'static str>,
}

/// One call, with all its attempts.
#[must_use]
pub fn chat(asked: &Asked<'_>) -> Span {
    tracing::info_span!(
        semconv::SPAN_CHAT,
        { semconv::OTEL_NAME } = format!("{} {}", semconv::SPAN_CHAT, super::spans::capped(asked.model)),
        { semconv::OTEL_KIND } = semconv::KIND_CLIENT,
        { semconv::GEN_AI_OPERATION_NAME } = semconv::SPAN_CHAT,
        { semconv::GEN_AI_PROVIDER_NAME } = semconv::PROVIDER_OPENAI,
        { semconv::GEN_AI_REQUEST_MODEL } = super::spans::capped(asked.model),
        { semconv::GEN_AI_REQUEST_MAX_TOKENS } = i64::from(asked.max_tokens),
        { semconv::GEN_AI_REQUEST_STREAM } = asked.stream,
        { semconv::GEN_AI_OUTPUT_TYPE } = if asked.json { "json" } else { "text" },
        { semconv::SERVER_ADDRESS } = asked.server,
        { semconv::SERVER_PORT } = i64::from(asked.port),
        { semconv::GEN_AI_RESPONSE_ID } = Empty,
        { semconv::GEN_AI_RESPONSE_MODEL } = Empty,
        { semconv::GEN_AI_RESPONSE_FIRST } = Empty,
        { semconv::GEN_AI_INPUT_TOKENS } = Empty,
        { semconv::GEN_AI_CACHED_TOKENS } = Empty,
        { semconv::GEN_AI_OUTPUT_TOKENS } = Empty,
        { semconv::GEN_AI_REASONING_TOKENS } = Empty,
        { semconv::ATTEMPTS } = Empty,
        { semconv::MISREAD } = Empty,
        { semconv::ERROR_TYPE } = Empty,
        { semconv::OTEL_STATUS_CODE } = Empty,
    )
}

/// One attempt of the current call.
#[must_use]
pub fn attempt(number: u32) -> Span {
    tracing::info_span!(
        semconv::SPAN_ATTEMPT,
        { semconv::OTEL_KIND } = semconv::KIND_CLIENT,
        { semconv::ATTEMPT } = i64::from(number),
        { semconv::ERROR_TYPE } = Empty,
        { semconv::OTEL_STATUS_CODE } = Empty,
    )
}

/// A wait between two attempts. `kind` is `retry_after` or `backoff`.
#[must_use]
pub fn wait(kind: &'static str, model: &str, time: Duration) -> Span {
    tracing::info_span!(
        semconv::SPAN_WAIT,
        { semconv::WAIT_KIND } = kind,
        { semconv::WAIT_MS } = i64::try_from(time.as_millis()).unwrap_or(i64::MAX),
        { semconv::GEN_AI_REQUEST_MODEL } = super::spans::capped(model),
    )
}

/// That the first of an answer came, within the current attempt.
pub fn first_token() {
    let span = Span::current();
    if !span.is_disabled() {
        span.add_event(semconv::EVENT_FIRST_TOKEN, Vec::new());
    }
}

/// What the call heard.
pub fn record_answer(chat: &Span, heard: &Heard<'_>) {
    if chat.is_disabled() {
        return;
    }
    // Unsigned fields would be exported as text.
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    if let Some(id) = heard.id {
        chat.record(semconv::GEN_AI_RESPONSE_ID, super::spans::capped(id));
    }
    if let Some(model) = heard.model {
        chat.record(semconv::GEN_AI_RESPONSE_MODEL, super::spans::capped(model));
    }
    if let Some(first) = heard.first {
        chat.record(semconv::GEN_AI_RESPONSE_FIRST, first.as_secs_f64());
    }
    if let Some([input, cached, output, reasoning]) = heard.tokens {
        chat.record(semconv::GEN_AI_INPUT_TOKENS, signed(input));
        chat.record(semconv::GEN_AI_CACHED_TOKENS, signed(cached));
        chat.record(semconv::GEN_AI_OUTPUT_TOKENS, signed(output));
        chat.record(semconv::GEN_AI_REASONING_TOKENS, signed(reasoning));
    }
    chat.record(semconv::ATTEMPTS, i64::from(heard.attempts));
    if let Some(misread) = heard.misread {
        chat.record(semconv::MISREAD, misread);
    }
    // The conventions want a list here, which a tracing field cannot hold.
    let finish = vec![StringValue::from(heard.finish)];
    chat.set_attribute(semconv::GEN_AI_FINISH_REASONS, Value::Array(Array::String(finish)));
}

/// The current span as W3C's `traceparent`, so that a server's own traces join ours; none where nothing is traced.
#[must_use]
pub fn traceparent() -> Option<String> {
    let span = Span::current();
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    let flags = u8::from(context.is_sampled());
    context.is_valid().then(|| format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id()))
}
