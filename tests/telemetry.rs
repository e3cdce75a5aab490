//! Traces as they leave the process: under the ids of the journal, holding nothing up, lost only with a word.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use opentelemetry::Value;
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use support::spans::{Memory, attribute};
use tracing::Dispatch;
use tracing::dispatcher::with_default;
use tracing_subscriber::layer::SubscriberExt;
use watchfloor::domain::ids::{CaseId, ProposalId};
use watchfloor::domain::route::Tier;
use watchfloor::domain::trace::{SpanId, SpanRef, TraceId};
use watchfloor::telemetry::destination::{Destination, Protocol};
use watchfloor::telemetry::export::Pipeline;
use watchfloor::telemetry::{ids, semconv, spans};

const ROOT: SpanRef = SpanRef { trace: TraceId([0xaa; 16]), span: SpanId([0xbb; 8]) };
const OWN: SpanId = SpanId([0xcc; 8]);
const CASE: CaseId = CaseId::new(12);

/// The spans that `work` exports.
fn exported(work: impl FnOnce()) -> Vec<SpanData> {
    let memory = Memory::default();
    with_default(&memory.dispatch(), work);
    memory.spans()
}

fn text(span: &SpanData, name: &str) -> String {
    match attribute(span, name) {
        Some(Value::String(text)) => text.to_string(),
        other => panic!("{name} is {other:?}"),
    }
}

fn own_id(span: &SpanData) -> SpanId {
    SpanId(span.span_context.span_id().to_bytes())
}

#[test]
fn a_child_carries_the_journaled_ids_and_its_attributes() {
    let spans = exported(|| {
        drop(spans::tier(ROOT, SpanId([1; 8]), CASE, Tier::One, 2));
        drop(spans::step_move(ROOT, SpanId([2; 8]), CASE, Tier::Two, 4));
        drop(spans::tool_call(ROOT, SpanId([3; 8]), CASE, Tier::One, "process_tree", 5, "d1g357"));
        drop(spans::gate_decision(ROOT, SpanId([4; 8]), CASE, ProposalId::new(CASE, 1), "isolate_device", "WKS-07"));
        drop(spans::case_write(ROOT, SpanId([5; 8]), CASE, "comment"));
    });
    let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(
        names,
        ["invoke_agent tier1", "move", "execute_tool process_tree", "run_guardrail containment_gate", "case write"]
    );
    for (span, number) in spans.iter().zip(1..) {
        assert_eq!(span.span_context.trace_id().to_bytes(), ROOT.trace.0, "{}", span.name);
        assert_eq!(own_id(span), SpanId([number; 8]), "{}", span.name);
        assert_eq!(span.parent_span_id.to_bytes(), ROOT.span.0, "{}", span.name);
        assert!(span.parent_span_is_remote);
        assert_eq!(span.span_kind, SpanKind::Internal);
        assert_eq!(span.status, Status::Unset);
        assert_eq!(text(span, semconv::CASE_ID), "WF-12");
        // Neither source locations nor thread names nor anything else that nobody asked for.
        for pair in &span.attributes {
            let name = pair.key.as_str();
            assert!(name.starts_with("wf.") || name.starts_with("gen_ai."), "{name}");
        }
    }
    let roles: Vec<_> = spans.iter().map(|span| text(span, semconv::ROLE)).collect();
    assert_eq!(roles, ["tier1", "tier2", "tier1", "gate", "writer"]);
    let [tier, step, tool, gate, write] = &spans[..] else { panic!("{} spans", spans.len()) };
    assert_eq!(text(tier, semconv::GEN_AI_OPERATION_NAME), "invoke_agent");
    assert_eq!(text(tier, semconv::GEN_AI_AGENT_NAME), "tier1");
    assert_eq!(attribute(tier, semconv::ATTEMPT), Some(Value::I64(2)));
    assert_eq!(attribute(step, semconv::ORDINAL), Some(Value::I64(4)));
    assert_eq!(text(tool, semconv::GEN_AI_TOOL_NAME), "process_tree");
    assert_eq!(text(tool, semconv::TOOL_DIGEST), "d1g357");
    assert_eq!(attribute(tool, semconv::TOOL_ROWS), None);
    assert_eq!(text(gate, semconv::GATE_PROPOSAL), "P-12.1");
    assert_eq!(text(gate, semconv::GATE_TARGET), "WKS-07");
    assert_eq!(text(write, semconv::WRITE_WHAT), "comment");
}

#[test]
fn outcomes_are_recorded_on_the_started_span() {
    let spans = exported(|| {
        let tool = spans::tool_call(ROOT, OWN, CASE, Tier::One, "timeline", 1, "d");
        spans::record_rows(&tool, 17, true);
        spans::record_error(&tool, "timeout");
        drop(tool);
        let tier = spans::tier(ROOT, OWN, CASE, Tier::Two, 1);
        spans::record_verdict(&tier, "true_positive");
        spans::record_resumed(&tier);
        drop(tier);
        let gate = spans::gate_decision(ROOT, OWN, CASE, ProposalId::new(CASE, 1), "isolate_device", "WKS-07");
        spans::record_decision(&gate, "denied", "dry_run");
    });
    let [tool, tier, gate] = &spans[..] else { panic!("{} spans", spans.len()) };
    assert_eq!(attribute(tool, semconv::TOOL_ROWS), Some(Value::I64(17)));
    assert_eq!(attribute(tool, semconv::TOOL_TRUNCATED), Some(Value::Bool(true)));
    assert_eq!(text(tool, semconv::ERROR_TYPE), "timeout");
    assert_eq!(tool.status, Status::error(""));
    assert_eq!(text(tier, semconv::VERDICT), "true_positive");
    assert_eq!(attribute(tier, semconv::RESUMED), Some(Value::Bool(true)));
    assert_eq!(tier.status, Status::Unset, "a malicious verdict is no error");
    assert_eq!(text(gate, semconv::GATE_OUTCOME), "denied");
    assert_eq!(text(gate, semconv::GATE_RULE), "dry_run");
}

#[test]
fn the_journals_parent_counts_and_not_the_surrounding_span() {
    let spans = exported(|| {
        let outer = spans::tier(ROOT, SpanId([1; 8]), CASE, Tier::One, 1);
        let _entered = outer.enter();
        drop(spans::step_move(ROOT, SpanId([2; 8]), CASE, Tier::One, 1));
    });
    assert_eq!(spans[0].name, "move");
    assert_eq!(spans[0].parent_span_id.to_bytes(), ROOT.span.0);
}

#[test]
fn spans_of_many_threads_keep_their_own_ids() {
    let memory = Memory::default();
    let dispatch = memory.dispatch();
    thread::scope(|scope| {
        for thread in 0..4u8 {
            let dispatch = &dispatch;
            scope.spawn(move || {
                for ordinal in 0..100u8 {
                    let own = SpanId([thread, ordinal, 1, 1, 1, 1, 1, 1]);
                    let span = with_default(dispatch, || {
                        spans::step_move(ROOT, own, CASE, Tier::One, u32::from(thread) * 1_000 + u32::from(ordinal))
                    });
                    // A span may end where no subscriber is set, as a task that moved to another thread.
                    drop(span);
                }
            });
        }
    });
    let spans = memory.spans();
    assert_eq!(spans.len(), 400);
    for span in spans.iter() {
        let SpanId([thread, ordinal, ..]) = own_id(span);
        let expected = i64::from(thread) * 1_000 + i64::from(ordinal);
        assert_eq!(attribute(span, semconv::ORDINAL), Some(Value::I64(expected)));
    }
}

#[test]
fn the_root_has_exactly_the_ids_and_times_of_the_journal() {
    let start: Timestamp = "2024-05-01T12:00:00.123456789Z".parse().unwrap();
    let end: Timestamp = "2024-05-01T12:09:30Z".parse().unwrap();
    let long = "é".repeat(3_000);
    let attributes = vec![
        (semconv::CASE_ID, "WF-12".to_owned()),
        (semconv::ESCALATED, "true".to_owned()),
        (semconv::ALERT_RULE, long),
    ];
    let spans = exported(|| {
        // Called while another span is entered, which must not become its parent.
        let surrounding = spans::tier(ROOT, OWN, CASE, Tier::One, 1);
        surrounding.in_scope(|| spans::export_root(ROOT, start, end, attributes));
    });
    let root = &spans[0];
    assert_eq!(root.name, "invoke_workflow case");
    assert_eq!(root.span_kind, SpanKind::Internal);
    assert_eq!(root.span_context.trace_id().to_bytes(), ROOT.trace.0);
    assert_eq!(own_id(root), ROOT.span);
    assert_eq!(root.parent_span_id.to_bytes(), [0; 8]);
    assert_eq!(root.start_time, SystemTime::from(start));
    assert_eq!(root.end_time, SystemTime::from(end));
    assert_eq!(text(root, semconv::GEN_AI_OPERATION_NAME), "invoke_workflow");
    assert_eq!(text(root, semconv::CASE_ID), "WF-12");
    assert_eq!(text(root, semconv::ESCALATED), "true");
    assert_eq!(text(root, semconv::ALERT_RULE).len(), 2_000);
    assert_eq!(spans[1].parent_span_id, root.span_context.span_id());
}

#[test]
fn a_log_layer_alone_exports_nothing_and_leaves_no_id_behind() {
    let log = tracing_subscriber::fmt().with_writer(std::io::sink).finish();
    tracing::subscriber::with_default(log, || {
        let span = spans::tier(ROOT, OWN, CASE, Tier::One, 1);
        assert!(!span.is_disabled());
    });
    let spans = exported(|| drop(tracing::info_span!(target: "watchfloor", "someone else's")));
    assert_ne!(own_id(&spans[0]), OWN);
}

#[test]
fn only_our_own_spans_are_exported() {
    let spans = exported(|| {
        drop(tracing::info_span!(target: "ractor::actor", "actor"));
        drop(tracing::info_span!(target: "reqwest", "export of the export"));
        drop(tracing::debug_span!(target: "watchfloor::floor", "too fine"));
        drop(spans::tier(ROOT, OWN, CASE, Tier::One, 1));
    });
    assert_eq!(spans.iter().map(own_id).collect::<Vec<_>>(), [OWN]);
}

// With a collector.

/// Where a collector listens, and the connections it accepted. They are kept, so that a silent collector hangs.
fn collector() -> (String, Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, connections) = mpsc::channel();
    thread::spawn(move || {
        for connection in listener.incoming() {
            if connection.map_or(true, |open| sender.send(open).is_err()) {
                break;
            }
        }
    });
    (url, connections)
}

/// A port nobody listens on.
fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn open(protocol: Protocol, endpoint: &str) -> (Pipeline, Dispatch) {
    let pipeline = Pipeline::open(&Destination { protocol, endpoint: endpoint.to_owned() }).unwrap();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(pipeline.layer()));
    (pipeline, dispatch)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Reads one HTTP request, answers `200 OK`, and returns the request line and the body.
fn answer(connection: TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(connection);
    let mut request = String::new();
    reader.read_line(&mut request).unwrap();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    (request.trim().to_owned(), body)
}

#[tokio::test]
async fn spans_arrive_over_http() {
    let (url, connections) = collector();
    let server = thread::spawn(move || answer(connections.recv().unwrap()));
    let endpoint = format!("{url}/v1/traces");
    let (pipeline, dispatch) = open(Protocol::HttpProtobuf, &endpoint);
    with_default(&dispatch, || {
        drop(spans::tier(ROOT, OWN, CASE, Tier::One, 1));
        spans::export_root(ROOT, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH, vec![]);
    });
    let delivery = pipeline.shutdown().await;
    let (request, body) = server.join().unwrap();
    assert_eq!(request, "POST /v1/traces HTTP/1.1");
    for expected in [
        &b"invoke_agent tier1"[..],
        b"invoke_workflow case",
        b"service.name",
        b"watchfloor",
        b"service.version",
        &ROOT.trace.0,
        &ROOT.span.0,
        &OWN.0,
    ] {
        assert!(contains(&body, expected), "{}", String::from_utf8_lossy(expected));
    }
    assert_eq!((delivery.ended, delivery.delivered, delivery.lost()), (2, 2, 0));
}

#[tokio::test]
async fn spans_leave_over_grpc() {
    let (url, connections) = collector();
    // Speaks no HTTP/2: it reads what the client sends of its own accord, up to the span.
    let server = thread::spawn(move || {
        let mut connection = connections.recv().unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let (mut seen, mut part) = (Vec::new(), [0; 4_096]);
        while !contains(&seen, b"invoke_agent tier2") {
            match connection.read(&mut part) {
                Ok(1..) if seen.len() < 100_000 => seen.extend_from_slice(&part),
                end => panic!("{end:?} after {}", String::from_utf8_lossy(&seen)),
            }
        }
        assert!(seen.starts_with(b"PRI * HTTP/2.0"));
    });
    let (pipeline, dispatch) = open(Protocol::Grpc, &url);
    with_default(&dispatch, || drop(spans::tier(ROOT, OWN, CASE, Tier::Two, 1)));
    let delivery = pipeline.shutdown().await;
    server.join().unwrap();
    assert_eq!(delivery.lost(), 1, "sent is not delivered");
}

fn grpc_to_a_closed_port() {
    let (pipeline, dispatch) = open(Protocol::Grpc, &closed_port());
    with_default(&dispatch, || drop(spans::tier(ROOT, OWN, CASE, Tier::One, 1)));
    let begun = Instant::now();
    drop(pipeline);
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[test]
fn grpc_needs_no_runtime() {
    grpc_to_a_closed_port();
}

#[tokio::test]
async fn grpc_can_be_dropped_in_a_runtime_of_one_thread() {
    grpc_to_a_closed_port();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_can_be_dropped_in_a_runtime_of_many_threads() {
    tokio::spawn(async { grpc_to_a_closed_port() }).await.unwrap();
}

#[tokio::test]
async fn a_hanging_collector_delays_nothing() {
    for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
        let (url, _connections) = collector();
        let (pipeline, dispatch) = open(protocol, &url);
        let begun = Instant::now();
        with_default(&dispatch, || {
            for ordinal in 0..20_000 {
                drop(spans::step_move(ROOT, ids::new_span(), CASE, Tier::One, ordinal));
            }
        });
        assert!(begun.elapsed() < Duration::from_secs(2), "{protocol:?}: 20,000 spans took {:?}", begun.elapsed());
        let begun = Instant::now();
        let delivery = pipeline.shutdown().await;
        assert!(begun.elapsed() < Duration::from_secs(2), "{protocol:?}: shutdown took {:?}", begun.elapsed());
        assert_eq!((delivery.ended, delivery.delivered, delivery.lost()), (20_000, 0, 20_000), "{protocol:?}");
    }
}

// As a whole program: this test binary runs itself with one test, which sets the global subscriber.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "other tests run it as a program of its own"]
async fn program() {
    no_op();
    let telemetry = watchfloor::telemetry::init(None);
    if !telemetry.exports() {
        no_op();
    }
    for ordinal in 0..5 {
        drop(spans::step_move(ROOT, ids::new_span(), CASE, Tier::One, ordinal));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    spans::export_root(ROOT, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH, vec![]);
    println!("exports {}, {:?}", telemetry.exports(), telemetry.shutdown().await);
}

/// Checked in a process without other subscribers: with one alive anywhere, a span may be enabled and go nowhere.
fn no_op() {
    let span = spans::tool_call(ROOT, OWN, CASE, Tier::One, "timeline", 1, "d");
    assert!(span.is_disabled());
    spans::record_rows(&span, 1, false);
    spans::record_error(&span, "timeout");
    spans::export_root(ROOT, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH, vec![]);
}

/// The program's output with these variables set.
fn run(variables: &[(&str, &str)]) -> (String, String) {
    let mut program = Command::new(std::env::current_exe().unwrap());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_") || name == "WATCHFLOOR_LOG") {
        program.env_remove(name);
    }
    let arguments = ["--exact", "program", "--ignored", "--nocapture"];
    let output: Output = program.args(arguments).envs(variables.iter().copied()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{stdout}\n{stderr}");
    (stdout, stderr)
}

#[test]
fn without_a_collector_the_program_says_nothing() {
    let (stdout, stderr) = run(&[]);
    assert!(stdout.contains("exports false, None"), "{stdout}");
    assert_eq!(stderr, "");
}

#[test]
fn an_endpoint_that_cannot_work_is_one_sentence_and_no_failure() {
    let (stdout, stderr) = run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318")]);
    assert!(stdout.contains("exports false, None"), "{stdout}");
    assert_eq!(
        stderr.trim(),
        "watchfloor: traces are not exported: OTEL_EXPORTER_OTLP_ENDPOINT is `localhost:4318`, \
         which is no URL such as http://localhost:4318"
    );
}

#[test]
fn a_collector_that_is_not_there_is_told_once() {
    for protocol in ["http/protobuf", "grpc"] {
        let (stdout, stderr) = run(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &closed_port()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ("WATCHFLOOR_LOG", "debug"),
        ]);
        assert!(stdout.contains("Delivery { ended: 6, delivered: 0 }"), "{protocol}: {stdout}");
        assert_eq!(stderr.lines().count(), 1, "{protocol}: {stderr}");
        assert!(stderr.contains("traces do not reach http://127.0.0.1"), "{protocol}: {stderr}");
        assert!(!stderr.contains('\u{1b}'), "colours are for terminals");
    }
}

#[test]
fn the_program_exports_to_the_collector_of_its_environment() {
    let (url, connections) = collector();
    let (sender, bodies) = mpsc::channel();
    thread::spawn(move || connections.iter().try_for_each(|connection| sender.send(answer(connection).1)));
    let (stdout, stderr) = run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), ("OTEL_SERVICE_NAME", "night-shift")]);
    assert!(stdout.contains("Delivery { ended: 6, delivered: 6 }"), "{stdout}");
    assert_eq!(stderr, "");
    let mut received = Vec::new();
    while !contains(&received, b"invoke_workflow case") {
        received.extend(bodies.recv_timeout(Duration::from_secs(2)).expect("the root arrives"));
    }
    assert!(contains(&received, b"night-shift"));
}
