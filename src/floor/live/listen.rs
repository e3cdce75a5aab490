//! The listener: takes what the Elasticsearch outputs of Winlogbeat and Logstash send, over HTTP.
//!
//! A bulk request is answered once its events and alerts are on record. What cannot be taken now is answered with a
//! status that makes the sender come again: 429 when there is no room or a store refuses, 503 when the floor stops.
//! TLS is another program's business: put a proxy before it where the network is not yours.

use std::net::{SocketAddr, TcpListener as Bound};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State as Extracted};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde::Serialize;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use super::access::Access;
use super::body::{BodyError, Held, Room};
use super::bulk::{self, BulkError};
use super::cluster;
use super::connections::{Connections, Place};
use super::detector::Detector;
use super::health::Health;
use super::source::Source;
use crate::floor::faults::{Faults, LISTENER};
use crate::floor::messages::ListenerMessage;

/// A request's head has to arrive, or the next request to begin, within this time.
const PATIENCE: Duration = Duration::from_secs(120);

/// When a sender should come again, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

/// What requests need.
pub struct Reception {
    /// Where events go.
    pub detector: Arc<Detector>,
    /// Where it is told how the listener stands.
    pub source: Arc<Source>,
    /// How the floor stands.
    pub health: Arc<Health>,
    /// Who may send.
    pub access: Access,
    /// The room for bodies.
    pub room: Room,
    /// Where it listens.
    pub address: SocketAddr,
}

/// The actor.
pub struct Listen;

/// What it needs. The port is bound before and outlives the actor, so that a restart loses no connection that waits.
#[derive(Clone)]
pub struct Arguments {
    /// What requests need.
    pub reception: Arc<Reception>,
    /// The bound port.
    pub bound: Arc<Bound>,
    /// Room for connections.
    pub connections: Connections,
}

/// The task that accepts; it ends with the actor.
pub struct State(tokio::task::JoinHandle<()>);

impl Drop for State {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Actor for Listen {
    type Msg = ListenerMessage;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<ListenerMessage>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments { reception, bound, connections } = arguments;
        let bound = bound.try_clone()?;
        bound.set_nonblocking(true)?;
        let listener = TcpListener::from_std(bound)?;
        reception.source.works();
        let shared = reception.detector.shared().clone();
        let routes = routes(reception);
        Ok(State(tokio::spawn(async move {
            let _ended = Ended(myself);
            accept(listener, routes, connections, &shared.faults).await;
        })))
    }

    async fn handle(
        &self,
        _: ActorRef<ListenerMessage>,
        message: ListenerMessage,
        _: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ListenerMessage::Ended => Err("the listener no longer accepts connections".into()),
        }
    }
}

/// Tells the actor that its task is over, however it ended.
struct Ended(ActorRef<ListenerMessage>);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.cast(ListenerMessage::Ended);
    }
}

async fn accept(listener: TcpListener, routes: Router, connections: Connections, faults: &Faults) {
    loop {
        let accepting = async {
            let place = connections.place().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepting => accepted,
            () = connections.closed() => {
                drop(listener);
                // The actor goes on until it is stopped.
                return std::future::pending().await;
            }
        };
        match accepted {
            Ok((connection, _)) => {
                faults.break_once_named(LISTENER);
                place.falls_silent();
                tokio::spawn(serve(connection, routes.clone(), Arc::new(place)));
            }
            Err(error) => {
                // Too many open files, say: some will be closed.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

async fn serve(connection: TcpStream, routes: Router, place: Arc<Place>) {
    let _ = connection.set_nodelay(true);
    let (routes, own) = (TowerToHyperService::new(routes), place.clone());
    let answering = service_fn(move |request: hyper::Request<Incoming>| {
        own.speaks();
        let (answer, own) = (routes.call(request), own.clone());
        async move {
            let answer = answer.await;
            own.falls_silent();
            answer
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(connection), answering);
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = place.ends() => {
            if place.is_silent() {
                return;
            }
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke");
    }
}

/// What can be asked of the listener. Whether it is alive and ready can be asked by anybody.
fn routes(reception: Arc<Reception>) -> Router {
    let guarded = Router::new()
        .route("/_bulk", post(bulk_everywhere).put(bulk_everywhere))
        .route("/{index}/_bulk", post(bulk_in).put(bulk_in))
        .fallback(cluster_answer)
        .layer(middleware::from_fn_with_state(reception.clone(), guard));
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready)).merge(guarded).with_state(reception)
}

async fn guard(Extracted(reception): Extracted<Arc<Reception>>, request: Request, next: Next) -> Response {
    let authorization = text_of(request.headers(), header::AUTHORIZATION);
    if reception.access.allows(authorization) {
        return next.run(request).await;
    }
    let reason = "missing or wrong credentials: send an API key or a user that the floor was told of";
    let mut response = refused(StatusCode::UNAUTHORIZED, "security_exception", reason);
    let challenge = HeaderValue::from_static("Basic realm=\"watchfloor\", ApiKey");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

async fn bulk_everywhere(Extracted(reception): Extracted<Arc<Reception>>, request: Request) -> Response {
    take_bulk(reception, None, request).await
}

async fn bulk_in(
    Extracted(reception): Extracted<Arc<Reception>>,
    Path(index): Path<String>,
    request: Request,
) -> Response {
    take_bulk(reception, Some(index), request).await
}

async fn take_bulk(reception: Arc<Reception>, index: Option<String>, request: Request) -> Response {
    let held = match hold(&reception, request).await {
        Ok(held) => held,
        Err(response) => return response,
    };
    // A task of its own: a sender that goes away must not leave events on record without their alerts.
    let working = reception.clone();
    let taken = tokio::spawn(async move { bulk::take(&working.detector, &working.source, held, index).await });
    match taken.await {
        Ok(Ok(answer)) => {
            reception.source.works();
            respond_text(StatusCode::OK, answer)
        }
        Ok(Err(many @ BulkError::TooMany(_))) => {
            refused(StatusCode::PAYLOAD_TOO_LARGE, "content_too_long_exception", &many.to_string())
        }
        Ok(Err(malformed @ BulkError::Malformed { .. })) => {
            refused(StatusCode::BAD_REQUEST, "illegal_argument_exception", &malformed.to_string())
        }
        Ok(Err(BulkError::Ingest(error))) => {
            reception.source.troubled(error.to_string());
            again(StatusCode::TOO_MANY_REQUESTS, &error.to_string())
        }
        Err(broke) => {
            tracing::error!(%broke, "taking in a request broke off");
            refused(StatusCode::INTERNAL_SERVER_ERROR, "exception", "taking it in broke off: the floor's log says more")
        }
    }
}

async fn cluster_answer(Extracted(reception): Extracted<Arc<Reception>>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    // What is put is read before it is answered, as a sender expects.
    if let Err(response) = hold(&reception, request).await {
        return response;
    }
    let is_ready = path != "/_cluster/health" || reception.health.report().await.ready;
    let (status, answer) = cluster::answer(&method, &path, reception.address, is_ready);
    respond(status, &answer)
}

/// Reads a request's body, or says why not.
async fn hold(reception: &Reception, request: Request) -> Result<Held, Response> {
    if reception.health.is_stopping() {
        return Err(again(StatusCode::SERVICE_UNAVAILABLE, "the floor is being stopped: send it again once it runs"));
    }
    let (parts, body) = request.into_parts();
    let encoding = text_of(&parts.headers, header::CONTENT_ENCODING);
    reception.room.read(body, encoding).await.map_err(|error| {
        let reason = error.to_string();
        match error {
            BodyError::TooLarge(_) => refused(StatusCode::PAYLOAD_TOO_LARGE, "content_too_long_exception", &reason),
            BodyError::Full => again(StatusCode::TOO_MANY_REQUESTS, &reason),
            BodyError::Slow => refused(StatusCode::REQUEST_TIMEOUT, "timeout_exception", &reason),
            BodyError::Broken(_) => refused(StatusCode::BAD_REQUEST, "parse_exception", &reason),
            BodyError::Encoding(_) => refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "parse_exception", &reason),
        }
    })
}

async fn alive() -> Response {
    respond(StatusCode::OK, &serde_json::json!({"alive": true}))
}

async fn ready(Extracted(reception): Extracted<Arc<Reception>>) -> Response {
    let report = reception.health.report().await;
    respond(if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &report)
}

/// An error after which the sender should come again.
fn again(status: StatusCode, reason: &str) -> Response {
    let mut response = refused(status, "es_rejected_execution_exception", reason);
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

fn refused(status: StatusCode, kind: &str, reason: &str) -> Response {
    respond(status, &cluster::error(status, kind, reason))
}

fn respond(status: StatusCode, answer: &impl Serialize) -> Response {
    // Answers have string keys alone, so they are always JSON.
    respond_text(status, serde_json::to_string(answer).unwrap_or_else(|_| Value::Null.to_string()))
}

fn respond_text(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    response
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
