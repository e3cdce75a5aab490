//! Every wait is a span of its own, under the span of the call that waits, with its kind and its length.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ractor::Actor;
use tokio::time::{Instant, sleep};
use tracing::Instrument;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use super::{
    Call, Failure, Limiter, LimiterActor, Limits, Line, ModelName, PerMinute, Report, Server, ServerLimits, Usage,
};
use crate::domain::alert::Severity;
use crate::telemetry::semconv;

/// A span that ended: its parent's name and its fields.
#[derive(Debug, Clone, Default)]
struct Ended {
    parent: Option<String>,
    fields: BTreeMap<String, String>,
}

impl Ended {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<Ended>>>);

struct Fields<'f>(&'f mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().into(), format!("{value:?}"));
    }
}

impl<S: tracing::Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Capture {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).expect("it exists");
        let mut ended = Ended { parent: span.parent().map(|parent| parent.name().to_owned()), ..Ended::default() };
        attributes.record(&mut Fields(&mut ended.fields));
        span.extensions_mut().insert(ended);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).expect("it exists");
        if let Some(ended) = span.extensions_mut().get_mut::<Ended>() {
            values.record(&mut Fields(&mut ended.fields));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).expect("it exists");
        if span.name() == semconv::SPAN_WAIT
            && let Some(ended) = span.extensions_mut().remove::<Ended>()
        {
            self.0.lock().expect("no panic").push(ended);
        }
    }
}

impl Capture {
    /// Kind, bucket and length in whole seconds of the waits that ended since the last look.
    fn waits(&self) -> Vec<(String, String, u64)> {
        let told = |wait: &Ended| {
            let millis: u64 = wait.field(semconv::WAIT_MS).parse().expect("a number");
            (wait.field(semconv::WAIT_KIND).to_owned(), wait.field(semconv::WAIT_BUCKET).to_owned(), millis / 1_000)
        };
        self.0.lock().expect("no panic").drain(..).map(|wait| told(&wait)).collect()
    }
}

fn limits(requests: u32, tokens: u32) -> Limits {
    Limits {
        requests: PerMinute::new(requests),
        tokens: PerMinute::new(tokens),
        in_flight: NonZeroU32::new(2).expect("some"),
    }
}

async fn limiter(test: &str, limits: Limits) -> Limiter {
    let server = Arc::new(Server::new("server"));
    let line = Line::new(format!("spans-{test}"), ModelName::new("big"), limits, server);
    Actor::spawn(Some(line.actor().to_owned()), LimiterActor, line.clone()).await.expect("it starts");
    Limiter::new(line)
}

fn call(estimate: u64) -> Call {
    Call { severity: Severity::High, estimate, deadline: Instant::now() + Duration::from_secs(600) }
}

fn answered(used: u64) -> Report {
    Report::answered(Some(Usage { input: used, ..Usage::default() }), ServerLimits::default())
}

fn capture() -> (Capture, tracing::subscriber::DefaultGuard) {
    let capture = Capture::default();
    let guard = tracing::subscriber::set_default(Registry::default().with(capture.clone()));
    (capture, guard)
}

fn wait(kind: &str, bucket: &str, seconds: u64) -> (String, String, u64) {
    (kind.into(), bucket.into(), seconds)
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_wait_is_a_span_with_its_length() {
    let (capture, _guard) = capture();
    let requests = limiter("requests", limits(6, 0)).await;
    requests.acquire(call(1)).await.expect("it goes").settle(answered(1));
    assert_eq!(capture.waits(), [], "what does not wait is no span");
    requests.acquire(call(1)).await.expect("it goes").settle(answered(1));
    assert_eq!(capture.waits(), [wait("requests", "10-30s", 10)]);

    let tokens = limiter("tokens", limits(0, 6_000)).await;
    tokens.acquire(call(560)).await.expect("it goes").settle(answered(560));
    tokens.acquire(call(1)).await.expect("it goes").settle(answered(1));
    assert_eq!(capture.waits(), [wait("tokens", "3-10s", 5)]);

    let asked = ServerLimits { retry_after: Some(Duration::from_secs(45)), ..ServerLimits::default() };
    let rests = limiter("rests", limits(0, 0)).await;
    rests.acquire(call(1)).await.expect("it goes").settle(Report::failed(Failure::TooManyRequests, asked));
    rests.acquire(call(1)).await.expect("it goes").settle(answered(1));
    assert_eq!(capture.waits(), [wait("retry_after", ">30s", 45)]);

    let broken = limiter("broken", limits(0, 0)).await;
    for _ in 0..5 {
        let down = Report::failed(Failure::Unreachable, ServerLimits::default());
        broken.acquire(call(1)).await.expect("it goes").settle(down);
    }
    broken.acquire(call(1)).await.expect("it goes").settle(answered(1));
    assert_eq!(capture.waits(), [wait("breaker", "3-10s", 5)]);
}

#[tokio::test(start_paused = true)]
async fn waits_follow_one_another_under_the_span_of_their_call() {
    let (capture, _guard) = capture();
    let limiter = limiter("follow", limits(0, 0)).await;
    let (one, two) = (limiter.acquire(call(1)).await, limiter.acquire(call(1)).await);
    let calls: Vec<_> = (0..2)
        .map(|_| {
            let limiter = limiter.clone();
            let asks = async move { limiter.acquire(call(1)).await };
            tokio::spawn(asks.instrument(tracing::info_span!("chat")))
        })
        .collect();
    sleep(Duration::from_secs(2)).await;
    one.expect("it went").settle(answered(1));
    sleep(Duration::from_secs(4)).await;
    two.expect("it went").settle(answered(1));
    for call in calls {
        drop(call.await.expect("no panic").expect("it goes"));
    }
    let spans = capture.0.lock().expect("no panic").clone();
    let parents: Vec<_> = spans.iter().filter_map(|span| span.parent.as_deref()).collect();
    assert_eq!(parents, ["chat"; 3]);
    let queued = spans.iter().find(|span| span.field(semconv::WAIT_KIND) == "queue").expect("one waited behind");
    assert_eq!(queued.field(semconv::WAIT_BEHIND), "in_flight");
    assert_eq!((queued.field(semconv::GEN_AI_REQUEST_MODEL), queued.field(semconv::PRIORITY)), ("big", "high"));
    assert!(spans.iter().all(|span| span.field(semconv::ERROR_TYPE).is_empty()));
    let mut waits = capture.waits();
    waits.sort();
    assert_eq!(waits, [wait("in_flight", "1-3s", 2), wait("in_flight", "3-10s", 4), wait("queue", "1-3s", 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_in_vain_says_so_and_one_that_was_given_up_ends() {
    let (capture, _guard) = capture();
    let limiter = limiter("vain", limits(1, 0)).await;
    let _permit = limiter.acquire(call(1)).await.expect("it goes");
    let deadline = Instant::now() + Duration::from_secs(12);
    limiter.acquire(Call { deadline, ..call(1) }).await.expect_err("a minute is longer");
    let span = capture.0.lock().expect("no panic").pop().expect("a span");
    assert_eq!((span.field(semconv::ERROR_TYPE), span.field(semconv::WAIT_BUCKET)), ("not_in_time", "10-30s"));
    let _ = tokio::time::timeout(Duration::from_secs(2), limiter.acquire(call(1))).await;
    assert_eq!(capture.waits(), [wait("requests", "1-3s", 2)]);
}
