//! Spans as they are exported, kept in memory to be looked at.

use std::sync::{Arc, Mutex};

use opentelemetry::Value;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber;
use tracing_subscriber::layer::SubscriberExt;
use watchfloor::telemetry::export;

#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Memory {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().expect("the spans").extend(batch);
        Ok(())
    }
}

impl Memory {
    /// What exports into it.
    pub fn dispatch(&self) -> Dispatch {
        let provider = export::provider().with_simple_exporter(self.clone()).build();
        Dispatch::new(tracing_subscriber::registry().with(export::layer(&provider)))
    }

    /// What was exported so far, in the order it ended.
    pub fn spans(&self) -> Vec<SpanData> {
        self.0.lock().expect("the spans").clone()
    }
}

/// What came of `work`, and the spans that it exports, in the order they began.
pub async fn exported<T>(work: impl Future<Output = T>) -> (T, Vec<SpanData>) {
    let memory = Memory::default();
    let done = work.with_subscriber(memory.dispatch()).await;
    let mut spans = memory.spans();
    spans.sort_by_key(|span| span.start_time);
    (done, spans)
}

pub fn attribute(span: &SpanData, name: &str) -> Option<Value> {
    span.attributes.iter().find(|pair| pair.key.as_str() == name).map(|pair| pair.value.clone())
}
