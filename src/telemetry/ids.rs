//! Ids of traces and spans: made by the floor, journaled before the work, and exported as journaled.
//!
//! The SDK asks an id generator for ids and accepts none from its callers, so the id of the span that is about to
//! start waits in a thread-local for the generator to pick it up.

use std::cell::Cell;

use opentelemetry::trace as otel;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

use crate::domain::trace::{SpanId, TraceId};

thread_local! {
    static NEXT_TRACE: Cell<Option<TraceId>> = const { Cell::new(None) };
    static NEXT_SPAN: Cell<Option<SpanId>> = const { Cell::new(None) };
}

/// A new trace id.
#[must_use]
pub fn new_trace() -> TraceId {
    TraceId(RandomIdGenerator::default().new_trace_id().to_bytes())
}

/// A new span id.
#[must_use]
pub fn new_span() -> SpanId {
    SpanId(RandomIdGenerator::default().new_span_id().to_bytes())
}

/// Yields the ids set on this thread for the span that starts now, and random ones otherwise.
#[derive(Debug, Clone, Default)]
pub struct JournaledIds {
    random: RandomIdGenerator,
}

impl IdGenerator for JournaledIds {
    fn new_trace_id(&self) -> otel::TraceId {
        NEXT_TRACE.take().map_or_else(|| self.random.new_trace_id(), |id| otel::TraceId::from_bytes(id.0))
    }

    fn new_span_id(&self) -> otel::SpanId {
        NEXT_SPAN.take().map_or_else(|| self.random.new_span_id(), |id| otel::SpanId::from_bytes(id.0))
    }
}

/// Runs `start`, in which at most one span starts on this thread, with these ids waiting for it.
///
/// Whatever `start` does not pick up is forgotten: an id left over would end up on a stranger's span.
pub(super) fn with_ids<R>(trace: Option<TraceId>, span: SpanId, start: impl FnOnce() -> R) -> R {
    struct Forget;
    impl Drop for Forget {
        fn drop(&mut self) {
            NEXT_TRACE.set(None);
            NEXT_SPAN.set(None);
        }
    }
    let _forget = Forget;
    NEXT_TRACE.set(trace);
    NEXT_SPAN.set(Some(span));
    start()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: TraceId = TraceId([7; 16]);
    const SPAN: SpanId = SpanId([9; 8]);

    #[test]
    fn the_waiting_ids_are_given_out_once() {
        let ids = JournaledIds::default();
        with_ids(Some(TRACE), SPAN, || {
            assert_eq!(ids.new_trace_id().to_bytes(), TRACE.0);
            assert_eq!(ids.new_span_id().to_bytes(), SPAN.0);
            assert_ne!(ids.new_trace_id().to_bytes(), TRACE.0);
            assert_ne!(ids.new_span_id().to_bytes(), SPAN.0);
        });
    }

    #[test]
    fn an_id_nobody_picked_up_is_forgotten_even_by_a_panic() {
        let ids = JournaledIds::default();
        with_ids(Some(TRACE), SPAN, || ());
        assert_ne!(ids.new_span_id().to_bytes(), SPAN.0);
        let panicked = std::panic::catch_unwind(|| with_ids(Some(TRACE), SPAN, || panic!("on purpose")));
        assert!(panicked.is_err());
        assert_ne!(ids.new_trace_id().to_bytes(), TRACE.0);
        assert_ne!(ids.new_span_id().to_bytes(), SPAN.0);
    }

    #[test]
    fn new_ids_differ() {
        assert_ne!(new_trace(), new_trace());
        assert_ne!(new_span(), new_span());
    }
}
