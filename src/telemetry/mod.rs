//! Traces and logs of a running floor: one place that knows OpenTelemetry, so that nothing else has to.
//!
//! Span ids are made by the floor and journaled before the work begins, whether or not anything is exported.
//! [`spans`] starts a span under exactly such an id, [`export`] sends spans to a [`destination`] without ever holding
//! up work, and [`setup`] turns traces and logs on for a command.

pub mod destination;
pub mod export;
pub mod ids;
pub mod model_spans;
pub mod semconv;
pub mod setup;
pub mod spans;
pub mod wait_span;

pub use setup::{Telemetry, init};
