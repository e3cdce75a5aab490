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

use super::ids::JournaledIds;
use super::semconv;

/// How long the last spans may take on their way out, whatever the collector does.
const FAREWELL: Duration = Duration::from_millis(1_500);

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const TRACES_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum CannotExport {
    /// The endpoint is no URL.
    #[error("{variable} is `{endpoint}`, which is no URL such as http://localhost:4318")]
    NotAUrl {
        /// Where the endpoint was read.
        variable: &'static str,
        /// The endpoint.
        endpoint: String,
    },
    /// The endpoint wants TLS.
    #[error("{variable} is `{endpoint}`, but this build speaks no TLS; name a collector nearby by an http:// URL")]
    NeedsTls {
        /// Where the endpoint was read.
        variable: &'static str,
        /// The endpoint.
        endpoint: String,
    },
    /// The protocol is none of ours.
    #[error("{variable} is `{protocol}`; it can be `grpc` or `http/protobuf`")]
    UnknownProtocol {
        /// Where the protocol was read.
        variable: &'static str,
        /// The protocol.
        protocol: String,
    },
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

/// How the collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP over gRPC, by custom on port 4317.
    Grpc,
    /// OTLP as protobuf over HTTP, by custom on port 4318.
    HttpProtobuf,
}

/// Where spans go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The protocol.
    pub protocol: Protocol,
    /// The full URL, for HTTP with its path.
    pub endpoint: String,
}

impl Destination {
    /// The destination that OpenTelemetry's environment variables name, if they name one.
    ///
    /// # Errors
    /// If a variable has a value that cannot work.
    pub fn from_variables(read: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, CannotExport> {
        let first_of = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| Some((name, read(name).filter(|value| !value.is_empty())?)))
        };
        let Some((variable, endpoint)) = first_of([TRACES_ENDPOINT, ENDPOINT]) else { return Ok(None) };
        if endpoint.starts_with("https://") {
            return Err(CannotExport::NeedsTls { variable, endpoint });
        }
        let Some(authority) = endpoint.strip_prefix("http://").and_then(|rest| rest.split('/').next()) else {
            return Err(CannotExport::NotAUrl { variable, endpoint });
        };
        let protocol = match first_of([TRACES_PROTOCOL, PROTOCOL]) {
            Some((_, name)) if name == "grpc" => Protocol::Grpc,
            Some((_, name)) if name == "http/protobuf" => Protocol::HttpProtobuf,
            Some((variable, protocol)) => return Err(CannotExport::UnknownProtocol { variable, protocol }),
            None if authority.ends_with(":4317") => Protocol::Grpc,
            None => Protocol::HttpProtobuf,
        };
        // An endpoint for traces alone is taken word for word, as the specification of OTLP has it.
        let endpoint = match protocol {
            Protocol::HttpProtobuf if variable == ENDPOINT => format!("{}/v1/traces", endpoint.trim_end_matches('/')),
            _ => endpoint,
        };
        Ok(Some(Self { protocol, endpoint }))
    }
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
        // Owned by the pipeline before the exporter's fate is known: a runtime dropped in async code panics.
        let tally = Arc::new(Tally::new(endpoint.clone()));
        let exporter = match exporter {
            Ok(exporter) => exporter,
            Err(cause) => {
                runtime.map(Runtime::shutdown_background);
                return Err(CannotExport::Exporter { endpoint: endpoint.clone(), cause });
            }
        };
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

    /// Sends what is queued, within [`FAREWELL`], and tells what came of all spans.
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
            Ok(()) => drop(self.tally.delivered.fetch_add(spans, Ordering::Relaxed)),
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

    fn from(variables: &[(&str, &str)]) -> Result<Option<Destination>, String> {
        let read = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Destination::from_variables(read).map_err(|error| error.to_string())
    }

    fn to(protocol: Protocol, endpoint: &str) -> Result<Option<Destination>, String> {
        Ok(Some(Destination { protocol, endpoint: endpoint.to_owned() }))
    }

    #[test]
    fn without_an_endpoint_nothing_is_exported() {
        assert_eq!(from(&[]), Ok(None));
        assert_eq!(from(&[(ENDPOINT, ""), (PROTOCOL, "grpc")]), Ok(None));
    }

    #[test]
    fn the_port_tells_the_protocol_unless_it_is_named() {
        let http = to(Protocol::HttpProtobuf, "http://jaeger:4318/v1/traces");
        assert_eq!(from(&[(ENDPOINT, "http://jaeger:4318")]), http);
        assert_eq!(from(&[(ENDPOINT, "http://jaeger:4318/")]), http);
        assert_eq!(from(&[(ENDPOINT, "http://jaeger:4317/")]), to(Protocol::Grpc, "http://jaeger:4317/"));
        assert_eq!(
            from(&[(ENDPOINT, "http://jaeger:4317"), (PROTOCOL, "http/protobuf")]),
            to(Protocol::HttpProtobuf, "http://jaeger:4317/v1/traces")
        );
        assert_eq!(
            from(&[(ENDPOINT, "http://jaeger:9"), (PROTOCOL, "http/protobuf"), (TRACES_PROTOCOL, "grpc")]),
            to(Protocol::Grpc, "http://jaeger:9")
        );
    }

    #[test]
    fn an_endpoint_for_traces_is_taken_word_for_word_and_first() {
        assert_eq!(
            from(&[(ENDPOINT, "http://a:4317"), (TRACES_ENDPOINT, "http://b:4318/otlp")]),
            to(Protocol::HttpProtobuf, "http://b:4318/otlp")
        );
    }

    #[test]
    fn what_cannot_work_is_refused_in_a_sentence() {
        let refused = |variables: &[(&str, &str)]| from(variables).unwrap_err();
        assert_eq!(
            refused(&[(ENDPOINT, "localhost:4318")]),
            "OTEL_EXPORTER_OTLP_ENDPOINT is `localhost:4318`, which is no URL such as http://localhost:4318"
        );
        assert!(refused(&[(TRACES_ENDPOINT, "https://cloud/v1")]).contains("speaks no TLS"));
        assert_eq!(
            refused(&[(ENDPOINT, "http://a"), (PROTOCOL, "http/json")]),
            "OTEL_EXPORTER_OTLP_PROTOCOL is `http/json`; it can be `grpc` or `http/protobuf`"
        );
    }

    #[tokio::test]
    async fn an_exporter_that_cannot_be_built_is_an_error_and_no_panic() {
        for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
            let destination = Destination { protocol, endpoint: "http://not a host".to_owned() };
            let error = Pipeline::open(&destination).unwrap_err().to_string();
            assert!(error.starts_with("no exporter can be made for `http://not a host`"), "{error}");
        }
    }
}
