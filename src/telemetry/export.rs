//! Sending spans to a collector without ever holding up work: a bounded queue, one line about failure, a short goodbye.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor,
    TracerProviderBuilder,
};
use tokio::runtime::Runtime;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use super::destination::{BadDestination, Destination, Protocol};
use super::ids::JournaledIds;
use super::semconv;

/// How long the last spans may take on their way out, whatever the collector does.
const FAREWELL: Duration = Duration::from_millis(1_500);

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum CannotExport {
    /// No collector is named in a way that can work.
    #[error(transparent)]
    Destination(#[from] BadDestination),
    /// The exporter refused its settings.
    #[error("no exporter can be made for `{endpoint}`: {cause}")]
    Exporter {
        /// The endpoint.
        endpoint: String,
        /// The exporter's own words.
        cause: ExporterBuildError,
    },
    /// No thread for the exporter.
    #[error("the exporter cannot be started: {0}")]
    Runtime(#[from] io::Error),
}

/// How many spans ended and how many of them a collector took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Spans that ended.
    pub ended: u64,
    /// Spans that a collector took.
    pub delivered: u64,
}

impl Delivery {
    /// Spans that no collector took: the queue was full, an export failed, or time ran out.
    #[must_use]
    pub const fn lost(self) -> u64 {
        self.ended.saturating_sub(self.delivered)
    }
}

/// The way of spans to a collector. Dropped, it says goodbye in the same short time as [`Pipeline::shutdown`].
#[derive(Debug)]
pub struct Pipeline {
    provider: SdkTracerProvider,
    tally: Arc<Tally>,
    /// gRPC's connection lives on a runtime of its own, so that a busy or ending floor does not stall it.
    runtime: Option<Runtime>,
}

impl Pipeline {
    /// Opens the way to `destination`. Nothing is sent yet, and the collector need not be there.
    ///
    /// # Errors
    /// If no exporter can be made for the destination.
    pub fn open(destination: &Destination) -> Result<Self, CannotExport> {
        let Destination { protocol, endpoint } = destination;
        let (exporter, runtime) = match protocol {
            // Its client is built, used and dropped on threads of its own: a blocking one may not live in async code.
            Protocol::HttpProtobuf => (
                opentelemetry_otlp::SpanExporter::builder()
                    .with_http()
                    .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
                    .with_endpoint(endpoint)
                    .build(),
                None,
            ),
            Protocol::Grpc => {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .thread_name("telemetry")
                    .enable_all()
                    .build()?;
                let entered = runtime.enter();
                let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
                drop(entered);
                (exporter, Some(runtime))
            }
        };
        let exporter = match exporter {
            Ok(exporter) => exporter,
            Err(cause) => {
                // Simply dropped here, the runtime would panic where this is called in async code.
                if let Some(runtime) = runtime {
                    runtime.shutdown_background();
                }
                return Err(CannotExport::Exporter { endpoint: endpoint.clone(), cause });
            }
        };
        let tally = Arc::new(Tally::new(endpoint.clone()));
        let batch = BatchSpanProcessor::builder(Reporting { exporter, tally: tally.clone() }).build();
        let provider = provider().with_span_processor(Counting { batch, tally: tally.clone() }).build();
        Ok(Self { provider, tally, runtime })
    }

    /// The tracing layer that feeds this pipeline.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        layer(&self.provider)
    }

    /// Sends what is queued, within a second and a half, and tells what came of all spans.
    pub async fn shutdown(self) -> Delivery {
        let tally = self.tally.clone();
        // Off the runtime: it blocks until the last batch is through or time is up. A panic in there loses spans only.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
        tally.delivery()
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // The outcome is in the tally.
        let _ = self.provider.shutdown_with_timeout(FAREWELL);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        let delivery = self.tally.delivery();
        if delivery.lost() > 0 {
            self.tally.report(format_args!("{} of {} spans did not arrive in time", delivery.lost(), delivery.ended));
        }
    }
}

/// A provider of this program's spans that lacks only its exporter.
#[must_use]
pub fn provider() -> TracerProviderBuilder {
    let name = std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
    let resource = Resource::builder()
        .with_service_name(name.unwrap_or_else(|| semconv::WATCHFLOOR.to_owned()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    // A root and its children reach the sampler apart, in processes apart; only a constant answer keeps them together.
    SdkTracerProvider::builder()
        .with_resource(resource)
        .with_id_generator(JournaledIds::default())
        .with_sampler(Sampler::AlwaysOn)
}

/// The tracing layer that turns this program's spans into those of `provider`.
///
/// Only this program's: an exporter's HTTP client would export its exports, and `ractor` opens a span for the whole
/// life of an actor.
pub fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let tracer = provider.tracer(semconv::WATCHFLOOR);
    tracing_opentelemetry::layer()
        .with_tracer(tracer.clone())
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .and_then(RootTracer(tracer))
        .with_filter(Targets::new().with_target(env!("CARGO_CRATE_NAME"), LevelFilter::INFO))
}

/// Rides along in the subscriber so that [`export_root`](super::spans::export_root) finds the tracer there: roots go
/// wherever their children go, and no second global is needed.
pub(super) struct RootTracer(pub(super) SdkTracer);

impl<S: Subscriber> Layer<S> for RootTracer {}

/// Counts spans and speaks of failure once.
#[derive(Debug)]
struct Tally {
    endpoint: String,
    ended: AtomicU64,
    delivered: AtomicU64,
    reported: AtomicBool,
}

impl Tally {
    fn new(endpoint: String) -> Self {
        Self { endpoint, ended: AtomicU64::new(0), delivered: AtomicU64::new(0), reported: AtomicBool::new(false) }
    }

    fn delivery(&self) -> Delivery {
        Delivery { ended: self.ended.load(Ordering::Relaxed), delivered: self.delivered.load(Ordering::Relaxed) }
    }

    fn report(&self, cause: impl std::fmt::Display) {
        if !self.reported.swap(true, Ordering::Relaxed) {
            tracing::warn!("traces do not reach {}: {cause}; work goes on, and this is said once", self.endpoint);
        }
    }
}

/// Counts the spans that end; the batch processor drops them silently when its queue is full.
#[derive(Debug)]
struct Counting {
    batch: BatchSpanProcessor,
    tally: Arc<Tally>,
}

impl SpanProcessor for Counting {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.batch.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        self.tally.ended.fetch_add(1, Ordering::Relaxed);
        self.batch.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batch.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batch.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batch.set_resource(resource);
    }
}

/// Counts the spans that arrive and reports the first failure; the SDK itself is silent.
#[derive(Debug)]
struct Reporting<E> {
    exporter: E,
    tally: Arc<Tally>,
}

impl<E: SpanExporter> SpanExporter for Reporting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        match &result {
            Ok(()) => {
                self.tally.delivered.fetch_add(spans, Ordering::Relaxed);
            }
            Err(error) => self.tally.report(error),
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_exporter_that_cannot_be_built_is_an_error_and_no_panic() {
        for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
            let destination = Destination { protocol, endpoint: "http://not a host".to_owned() };
            let error = Pipeline::open(&destination).unwrap_err().to_string();
            assert!(error.starts_with("no exporter can be made for `http://not a host`"), "{error}");
        }
    }
}
