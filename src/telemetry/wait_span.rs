//! The span of a wait for a model's limits.
//!
//! It is a child of whatever span the caller is in, since a wait belongs to the call that waits.

use std::time::Duration;

use tracing::Span;
use tracing::field::Empty;

use super::semconv;
use crate::domain::alert::Severity;

/// Begins the span of a wait; it ends when it is dropped.
#[must_use]
pub fn begin(model: &str, severity: Severity, kind: &'static str) -> Span {
    tracing::info_span!(
        semconv::SPAN_WAIT,
        { semconv::GEN_AI_REQUEST_MODEL } = model,
        { semconv::PRIORITY } = %severity,
        { semconv::WAIT_KIND } = kind,
        { semconv::WAIT_BEHIND } = Empty,
        { semconv::WAIT_MS } = Empty,
        { semconv::WAIT_BUCKET } = Empty,
        { semconv::ERROR_TYPE } = Empty,
        { semconv::OTEL_STATUS_CODE } = Empty,
    )
}

/// What held up those before it.
pub fn record_behind(wait: &Span, kind: &'static str) {
    wait.record(semconv::WAIT_BEHIND, kind);
}

/// The wait was in vain.
pub fn record_error(wait: &Span, error_type: &'static str) {
    wait.record(semconv::ERROR_TYPE, error_type);
    wait.record(semconv::OTEL_STATUS_CODE, "error");
}

/// How long it was.
pub fn record_length(wait: &Span, length: Duration) {
    // Unsigned fields would be exported as text.
    wait.record(semconv::WAIT_MS, i64::try_from(length.as_millis()).unwrap_or(i64::MAX));
    wait.record(semconv::WAIT_BUCKET, bucket(length));
}

/// Trace stores search text for equality, not numbers for size.
const fn bucket(length: Duration) -> &'static str {
    match length.as_secs() {
        0 => "<1s",
        1..3 => "1-3s",
        3..10 => "3-10s",
        10..30 => "10-30s",
        _ => ">30s",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_has_its_bucket() {
        let buckets = [0, 999, 1_000, 9_999, 10_000, 29_999, 30_000].map(|ms| bucket(Duration::from_millis(ms)));
        assert_eq!(buckets, ["<1s", "<1s", "1-3s", "3-10s", "10-30s", "10-30s", ">30s"]);
    }
}
