//! One constructor per kind of span, so that names and attributes are the same wherever a span is made.
//!
//! A constructor takes the parent and the span's own id as the journal has them and returns a span that has already
//! started under both. Where nothing exports, it costs a look at a flag. A span lasts until it is dropped, or, if it
//! was entered, until it was last left.

use std::time::SystemTime;

use jiff::Timestamp;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanKind, TraceContextExt, TraceFlags, TraceState, Tracer,
};
use opentelemetry::{Context, KeyValue, trace as otel};
use tracing::field::Empty;
use tracing::{Span, dispatcher};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::export::RootTracer;
use super::{ids, semconv};
use crate::domain::ids::{CaseId, ProposalId};
use crate::domain::route::Tier;
use crate::domain::trace::{SpanId, SpanRef};

/// Longest attribute in bytes. Stores cut or refuse longer ones, some of them with the whole span.
const ATTRIBUTE_CAP: usize = 2_000;

/// A span with the fields that all of ours have.
///
/// Without a tracing parent: whatever span surrounds the call, the journal's parent is the parent.
macro_rules! case_span {
    ($name:expr, $case:expr, $role:expr, $($fields:tt)*) => {
        tracing::info_span!(
            parent: None,
            $name,
            { semconv::CASE_ID } = %$case,
            { semconv::ROLE } = $role,
            { semconv::ERROR_TYPE } = Empty,
            { semconv::OTEL_STATUS_CODE } = Empty,
            $($fields)*
        )
    };
}

/// One attempt of a tier on a case.
#[must_use]
pub fn tier(parent: SpanRef, own: SpanId, case: CaseId, tier: Tier, attempt: u32) -> Span {
    let span = case_span!(
        semconv::SPAN_AGENT,
        case,
        tier.slug(),
        { semconv::OTEL_NAME } = format!("{} {}", semconv::SPAN_AGENT, tier.slug()),
        { semconv::GEN_AI_OPERATION_NAME } = semconv::OPERATION_AGENT,
        { semconv::GEN_AI_PROVIDER_NAME } = semconv::WATCHFLOOR,
        { semconv::GEN_AI_AGENT_NAME } = tier.slug(),
        { semconv::GEN_AI_CONVERSATION_ID } = %case,
        { semconv::TIER } = tier.slug(),
        { semconv::ATTEMPT } = i64::from(attempt),
        { semconv::VERDICT } = Empty,
        { semconv::RESUMED } = Empty,
    );
    started(span, parent, own)
}

/// One move of an analyst: what it was asked and what it answered.
#[must_use]
pub fn step_move(parent: SpanRef, own: SpanId, case: CaseId, tier: Tier, ordinal: u32) -> Span {
    let span = case_span!(
        semconv::SPAN_MOVE,
        case,
        tier.slug(),
        { semconv::TIER } = tier.slug(),
        { semconv::ORDINAL } = i64::from(ordinal),
    );
    started(span, parent, own)
}

/// One tool call. `digest` stands for the arguments, which are in the journal.
#[must_use]
pub fn tool_call(
    parent: SpanRef,
    own: SpanId,
    case: CaseId,
    tier: Tier,
    tool: &str,
    ordinal: u32,
    digest: &str,
) -> Span {
    let span = case_span!(
        semconv::SPAN_TOOL,
        case,
        tier.slug(),
        { semconv::OTEL_NAME } = format!("{} {}", semconv::SPAN_TOOL, capped(tool)),
        { semconv::GEN_AI_OPERATION_NAME } = semconv::OPERATION_TOOL,
        { semconv::GEN_AI_TOOL_NAME } = capped(tool),
        { semconv::TIER } = tier.slug(),
        { semconv::ORDINAL } = i64::from(ordinal),
        { semconv::TOOL_DIGEST } = capped(digest),
        { semconv::TOOL_ROWS } = Empty,
        { semconv::TOOL_TRUNCATED } = Empty,
    );
    started(span, parent, own)
}

/// One decision of the gatekeeper.
#[must_use]
pub fn gate_decision(
    parent: SpanRef,
    own: SpanId,
    case: CaseId,
    proposal: ProposalId,
    action: &str,
    host: &str,
) -> Span {
    let span = case_span!(
        semconv::SPAN_GATE,
        case,
        semconv::ROLE_GATE,
        { semconv::GEN_AI_OPERATION_NAME } = semconv::OPERATION_GUARDRAIL,
        { semconv::GATE_PROPOSAL } = %proposal,
        { semconv::GATE_ACTION } = capped(action),
        { semconv::GATE_TARGET } = capped(host),
        { semconv::GATE_OUTCOME } = Empty,
        { semconv::GATE_RULE } = Empty,
    );
    started(span, parent, own)
}

/// One write to the case desk, such as a comment or a status.
#[must_use]
pub fn case_write(parent: SpanRef, own: SpanId, case: CaseId, what: &str) -> Span {
    let span =
        case_span!(semconv::SPAN_CASE_WRITE, case, semconv::ROLE_WRITER, { semconv::WRITE_WHAT } = capped(what),);
    started(span, parent, own)
}

/// What a tool returned.
pub fn record_rows(tool_call: &Span, rows: usize, truncated: bool) {
    // Unsigned fields would be exported as text.
    tool_call.record(semconv::TOOL_ROWS, i64::try_from(rows).unwrap_or(i64::MAX));
    tool_call.record(semconv::TOOL_TRUNCATED, truncated);
}

/// What a tier concluded.
pub fn record_verdict(tier: &Span, verdict: &str) {
    tier.record(semconv::VERDICT, capped(verdict));
}

/// That the tier's work was begun by a process that is gone.
pub fn record_resumed(tier: &Span) {
    tier.record(semconv::RESUMED, true);
}

/// What the gatekeeper answered, and the rule that decided.
pub fn record_decision(gate_decision: &Span, outcome: &str, rule: &str) {
    gate_decision.record(semconv::GATE_OUTCOME, capped(outcome));
    gate_decision.record(semconv::GATE_RULE, capped(rule));
}

/// That the operation failed, on any span of this module. `error_type` is a kind of failure, not its message.
pub fn record_error(span: &Span, error_type: &str) {
    span.record(semconv::ERROR_TYPE, capped(error_type));
    span.record(semconv::OTEL_STATUS_CODE, "error");
}

/// Exports the root span of a run, which ended in whatever process is alive now.
///
/// A span that never ends is never exported, so no process holds the root open: the one that ends the run builds it
/// from the journal, once, under the ids its children have named as their parent all along.
pub fn export_root(root: SpanRef, start: Timestamp, end: Timestamp, attributes: Vec<(&'static str, String)>) {
    dispatcher::get_default(|subscriber| {
        let Some(RootTracer(tracer)) = subscriber.downcast_ref() else { return };
        let ours = [
            KeyValue::new(semconv::GEN_AI_OPERATION_NAME, semconv::OPERATION_WORKFLOW),
            KeyValue::new(semconv::GEN_AI_AGENT_NAME, semconv::WORKFLOW_CASE),
            KeyValue::new(semconv::ROLE, semconv::ROLE_FLOOR),
        ];
        let given = attributes.iter().map(|(name, value)| KeyValue::new(*name, capped(value).to_owned()));
        let builder = SpanBuilder::from_name(semconv::SPAN_CASE)
            .with_kind(SpanKind::Internal)
            .with_start_time(SystemTime::from(start))
            .with_attributes(ours.into_iter().chain(given));
        let mut span =
            ids::with_ids(Some(root.trace), root.span, || tracer.build_with_context(builder, &Context::new()));
        span.end_with_timestamp(SystemTime::from(end));
    });
}

/// Starts the span at once, as the journaled child of the journaled parent.
fn started(span: Span, parent: SpanRef, own: SpanId) -> Span {
    if span.is_disabled() {
        return span;
    }
    let parent = SpanContext::new(
        otel::TraceId::from_bytes(parent.trace.0),
        otel::SpanId::from_bytes(parent.span.0),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    // It fails only where a log layer alone wants the span; then nothing is exported and no id is asked for.
    if span.set_parent(Context::new().with_remote_span_context(parent)).is_ok() {
        ids::with_ids(None, own, || span.context());
    }
    span
}

/// The text up to the cap, cut between characters.
pub(super) fn capped(text: &str) -> &str {
    &text[..text.floor_char_boundary(ATTRIBUTE_CAP)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_attribute_is_cut_between_characters() {
        assert_eq!(capped("short"), "short");
        let long = "é".repeat(ATTRIBUTE_CAP);
        assert_eq!(capped(&long).len(), ATTRIBUTE_CAP);
        let odd = format!("x{long}");
        assert_eq!(capped(&odd).len(), ATTRIBUTE_CAP - 1);
    }
}
