//! A model server that is an enemy: it floods, drips, lies, sends elsewhere and repeats the key; because `base_url` may be
//! mistyped, and whoever answers there must neither stop the floor nor learn or spread anything.
//!
//! Unlike the scripted server, these speak HTTP no better than they want to.

mod support;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::conversations::conversation;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber;
use watchfloor::model::answer::Answer;
use watchfloor::model::client::ModelClient;
use watchfloor::model::dialect::Misread;
use watchfloor::model::error::ModelError;
use watchfloor::model::gate::OpenGate;
use watchfloor::model::probe;
use watchfloor::model::request::Step;
use watchfloor::model::settings::{DialectChoice, ModelSettings, Seconds};

const KEY: &str = "sk-k3y-of-the-test";

/// Nothing here may take longer.
const BOUND: Duration = Duration::from_secs(30);

/// What a server here answers: the head, and then pieces of the body for as long as there are some and somebody reads.
struct Script {
    head: String,
    piece: Arc<dyn Fn(usize) -> Option<Vec<u8>> + Send + Sync>,
    pause: Duration,
}

impl Script {
    fn new(status: &str, headers: &str, piece: impl Fn(usize) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let head = format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n");
        Self { head, piece: Arc::new(piece), pause: Duration::ZERO }
    }

    /// A body that is all there.
    fn whole(status: &str, headers: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self::new(status, headers, move |number| (number == 0).then(|| body.clone()))
    }

    fn stream(piece: impl Fn(usize) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::new("200 OK", "content-type: text/event-stream\r\n", piece)
    }

    fn slowly(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }
}

struct Enemy {
    url: String,
    requests: Arc<AtomicUsize>,
    sent: Arc<AtomicU64>,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Enemy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Enemy {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let (requests, sent) = (Arc::<AtomicUsize>::default(), Arc::<AtomicU64>::default());
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let script = Arc::new(script);
        let task = tokio::spawn({
            let (requests, sent, heads) = (requests.clone(), sent.clone(), heads.clone());
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    requests.fetch_add(1, Ordering::Relaxed);
                    let (script, sent, heads) = (script.clone(), sent.clone(), heads.clone());
                    tokio::spawn(async move {
                        // Whoever asked may have gone.
                        let _ = serve(stream, &script, &sent, &heads).await;
                    });
                }
            }
        });
        Self { url, requests, sent, heads, task }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

async fn serve(
    mut stream: TcpStream,
    script: &Script,
    sent: &AtomicU64,
    heads: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let end = loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..read]);
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    while request.len() < end + 4 + length.unwrap_or(0) {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        request.extend_from_slice(&buffer[..read]);
    }
    heads.lock().expect("no panic").push(head);
    stream.write_all(script.head.as_bytes()).await?;
    for number in 0.. {
        let Some(piece) = (script.piece)(number) else { break };
        stream.write_all(&piece).await?;
        sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        tokio::time::sleep(script.pause).await;
    }
    stream.shutdown().await
}

fn settings(enemy: &Enemy, streaming: bool) -> ModelSettings {
    ModelSettings {
        streaming,
        api_key_env: Some("KEY".into()),
        connect_seconds: Seconds::millis(500),
        first_token_seconds: Seconds::whole(8),
        idle_seconds: Seconds::whole(2),
        answer_seconds: Seconds::whole(8),
        longest_wait_seconds: Seconds::millis(50),
        ..ModelSettings::of(&enemy.url, "m", 8192)
    }
}

fn client(settings: ModelSettings) -> ModelClient {
    ModelClient::open(settings, |_| Some(KEY.to_owned())).expect("the settings are sound")
}

async fn ask(settings: ModelSettings) -> Result<Answer, ModelError> {
    let (conversation, step, dialect) = (conversation(), Step::of_all(256), DialectChoice::Native.dialect());
    let client = client(settings);
    let request = dialect.request(&conversation, &step);
    tokio::time::timeout(BOUND, client.ask(&request, &OpenGate)).await.expect("a call ends")
}

fn event(value: &Value) -> Vec<u8> {
    format!("data: {value}\n\n").into_bytes()
}

fn delta(delta: &Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta}]})
}

const GIGABYTE: u64 = 1 << 30;

// Floods.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_a_gigabyte_is_left_after_eight_megabytes() {
    let block = || vec![b'x'; 1 << 20];
    let until_end = move |number: usize| (number as u64 * (1 << 20) < GIGABYTE).then(block);
    let json = "content-type: application/json\r\n";
    let announced = format!("{json}content-length: {GIGABYTE}\r\n");
    for (script, streaming, kind) in [
        (Script::new("200 OK", json, until_end), false, "answer_too_long"),
        (Script::new("200 OK", &announced, until_end), false, "answer_too_long"),
        (Script::stream(until_end), true, "answer_too_long"),
        (Script::new("500 No", json, until_end), false, "server_error"),
        (Script::new("400 No", &announced, until_end), true, "refused"),
    ] {
        let enemy = Enemy::start(script).await;
        let begun = Instant::now();
        let error = ask(ModelSettings { attempts: 1, ..settings(&enemy, streaming) }).await.expect_err("no answer");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().len() < 1_000 && begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
        // What the sockets hold on their way comes on top.
        let sent = enemy.sent.load(Ordering::Relaxed);
        assert!(sent < 64 << 20, "{sent} bytes were taken");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_without_an_end_is_left_soon() {
    let begun = Instant::now();
    let enemy = Enemy::start(Script::stream(|number| {
        Some(if number == 0 { b"data: {\"x\": \"".to_vec() } else { vec![b'x'; 8 << 10] })
    }))
    .await;
    let error = ask(settings(&enemy, true)).await.expect_err("no answer");
    assert_eq!((error.kind(), enemy.requests()), ("answer_too_long", 1), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn calls_by_the_thousand_are_refused_and_not_kept() {
    let call = |index: usize| {
        json!({"index": index, "id": format!("c{index}"), "type": "function",
            "function": {"name": "look", "arguments": format!("{{\"at\": \"{index}\"}}")}})
    };
    for (calls, kept) in [(1_000, 1_000), (40_000, 1_024)] {
        let all: Vec<Value> = (0..calls).map(call).collect();
        let whole =
            json!({"choices": [{"message": {"content": null, "tool_calls": all}, "finish_reason": "tool_calls"}]});
        let whole = Enemy::start(Script::whole("200 OK", "", whole.to_string())).await;
        let streamed = Enemy::start(Script::stream(move |number| match number {
            _ if number * 100 < calls => {
                let some: Vec<Value> = (number * 100..(number + 1) * 100).map(call).collect();
                Some(event(&delta(&json!({"tool_calls": some}))))
            }
            _ if number * 100 == calls => {
                Some(event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})))
            }
            _ => None,
        }))
        .await;
        for (enemy, streaming) in [(&whole, false), (&streamed, true)] {
            let begun = Instant::now();
            let answer = ask(settings(enemy, streaming)).await.expect("an answer");
            assert_eq!((answer.calls.len(), enemy.requests()), (kept, 1));
            let read = DialectChoice::Native.dialect().read(&answer, &conversation(), &Step::of_all(256));
            assert_eq!(read.expect_err("noise"), Misread::TooMany { asked: kept });
            assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
        }
    }
}

// Drips.

/// What a server sends at each turn, by its number.
type Pieces = Arc<dyn Fn(usize) -> Vec<u8> + Send + Sync>;

#[tokio::test]
async fn a_stream_that_never_ends_is_left_however_it_is_kept_alive() {
    let begins = |number: usize, rest: &[u8]| {
        if number == 0 { event(&delta(&json!({"content": "The"}))) } else { rest.to_vec() }
    };
    let scripts: [(&str, Pieces); 5] = [
        ("words", Arc::new(|_| event(&delta(&json!({"content": "a"}))))),
        ("nothing", Arc::new(|_| event(&delta(&json!({}))))),
        ("comments", Arc::new(|_| b": still here\n\n".to_vec())),
        ("comments after a word", Arc::new(move |number| begins(number, b": still here\n\n"))),
        ("half an event", Arc::new(move |number| begins(number, b"d"))),
    ];
    for (name, piece) in scripts {
        let enemy =
            Enemy::start(Script::stream(move |number| Some(piece(number))).slowly(Duration::from_millis(5))).await;
        let short = ModelSettings {
            first_token_seconds: Seconds::millis(300),
            idle_seconds: Seconds::millis(300),
            answer_seconds: Seconds::millis(600),
            ..settings(&enemy, true)
        };
        let error = ask(short).await.expect_err("no answer");
        assert_eq!((error.kind(), enemy.requests()), ("timeout", 2), "{name}: {error}");
    }
}

// Words that are none.

#[tokio::test]
async fn bytes_that_are_no_text_are_no_answer_and_no_panic() {
    let bad = b"\xff\xfe\xc3\x28\xed\xa0\x80";
    let quoted = |before: &str, after: &str| [before.as_bytes(), bad, after.as_bytes()].concat();
    let message = "{\"choices\": [{\"message\": {\"content\": \"";
    for (status, body, streaming, kind) in [
        ("200 OK", bad.to_vec(), false, "malformed_answer"),
        ("200 OK", quoted(message, "\"}, \"finish_reason\": \"stop\"}]}"), false, "malformed_answer"),
        ("200 OK", quoted("data: ", "\n\n"), true, "malformed_answer"),
        ("500 No", bad.to_vec(), true, "server_error"),
        ("400 No", quoted("{\"error\": {\"message\": \"", "\"}}"), false, "refused"),
    ] {
        let kind_of_body = if streaming { "content-type: text/event-stream\r\n" } else { "" };
        let enemy = Enemy::start(Script::whole(status, kind_of_body, body)).await;
        let error = ask(ModelSettings { attempts: 2, ..settings(&enemy, streaming) }).await.expect_err("no answer");
        assert_eq!(error.kind(), kind, "{status}: {error}");
        assert!(enemy.requests() <= 2);
    }
    // A lone surrogate is written as JSON allows and means nothing.
    let lone = format!("{message}\\ud800\"}}, \"finish_reason\": \"stop\"}}]}}");
    let enemy = Enemy::start(Script::whole("200 OK", "", lone)).await;
    assert_eq!(ask(settings(&enemy, false)).await.expect_err("no answer").kind(), "malformed_answer");
}

#[tokio::test]
async fn json_that_is_nested_without_end_is_no_answer_and_no_overflow_of_the_stack() {
    for body in ["[".repeat(1 << 20), format!("{{\"choices\": {}", "[".repeat(1 << 20))] {
        let enemy = Enemy::start(Script::whole("200 OK", "", body.clone())).await;
        assert_eq!(ask(settings(&enemy, false)).await.expect_err("no answer").kind(), "malformed_answer");
        let refusal = Enemy::start(Script::whole("400 No", "", body)).await;
        assert_eq!(ask(settings(&refusal, false)).await.expect_err("no answer").kind(), "refused");
    }
    let nested = "[".repeat(100_000);
    let arguments = json!({"choices": [{"message": {"tool_calls": [{"id": "a", "function": {"name": "look", "arguments": nested}}]},
        "finish_reason": "tool_calls"}]});
    let enemy = Enemy::start(Script::whole("200 OK", "", arguments.to_string())).await;
    let answer = ask(settings(&enemy, false)).await.expect("an answer");
    for choice in [DialectChoice::Native, DialectChoice::Constrained, DialectChoice::Unconstrained] {
        let mut said = answer.clone();
        said.content = format!("{{\"action\": {nested}");
        choice.dialect().read(&said, &conversation(), &Step::of_all(256)).expect_err("it asks for nothing");
    }
}

// Lies about time.

#[tokio::test]
async fn a_rest_of_ten_years_is_neither_waited_for_nor_told_as_it_is() {
    for rest in ["315360000", "99999999999999999999999999", "Fri, 06 Nov 2099 08:49:37 GMT"] {
        for status in ["429 Wait", "503 Wait"] {
            let headers = format!("retry-after: {rest}\r\n");
            let enemy = Enemy::start(Script::whole(status, &headers, "{\"error\": {\"message\": \"wait\"}}")).await;
            let begun = Instant::now();
            let error = ask(settings(&enemy, true)).await.expect_err("no answer");
            assert!(begun.elapsed() < Duration::from_secs(5));
            assert!(error.retry_after().is_none_or(|rest| rest <= Duration::from_secs(24 * 60 * 60)), "{error:?}");
            assert!(enemy.requests() <= 3, "{rest}");
        }
    }
    for rest in ["-1", "NaN", "inf", "1e400", "0x10", "\u{0007}", ""] {
        let headers = format!("retry-after: {rest}\r\nretry-after-ms: {rest}\r\n");
        let enemy = Enemy::start(Script::whole("429 Wait", &headers, "")).await;
        let error = ask(settings(&enemy, true)).await.expect_err("no answer");
        assert!(error.retry_after().is_none() && enemy.requests() <= 3, "{rest:?}: {error:?}");
    }
}

// The key.

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_goes_nowhere_else() {
    for status in ["301 There", "302 There", "303 There", "307 There", "308 There"] {
        let elsewhere = Enemy::start(Script::whole("200 OK", "", "{}")).await;
        let headers = format!("location: {}/chat/completions\r\n", elsewhere.url);
        let enemy = Enemy::start(Script::whole(status, &headers, "")).await;
        for streaming in [true, false] {
            let error = ask(settings(&enemy, streaming)).await.expect_err("no answer");
            assert_eq!(error.kind(), "refused", "{status}: {error}");
        }
        assert_eq!(enemy.requests(), 2, "a redirect is no accident");
        // The doctor asks more than chat.
        let report = probe::probe(&settings(&enemy, true), |_| Some(KEY.to_owned())).await.expect("it is tried");
        assert!(!format!("{report:?}").contains(KEY));
        assert!(enemy.heads.lock().expect("no panic").iter().all(|head| head.contains(&KEY.to_lowercase())));
        assert_eq!(elsewhere.requests(), 0, "{status}");
    }
}

/// What is logged at the most talkative, by every crate.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        std::io::Write::write(&mut *self.0.lock().expect("no panic"), bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_key_that_the_server_repeats_is_neither_told_nor_logged() {
    let mut lines = 0;
    let json = "content-type: application/json\r\n";
    let events = "content-type: text/event-stream\r\n";
    let chunk = |value: Value| String::from_utf8(event(&value)).expect("text");
    let answer = json!({"id": KEY, "model": KEY, "choices": [{"finish_reason": "tool_calls", "message": {
        "content": format!("Your key is {KEY}."), "reasoning_content": KEY,
        "tool_calls": [{"id": KEY, "function": {"name": KEY, "arguments": format!("{{\"at\": \"{KEY}\"}}")}}]}}]});
    for (status, headers, body, streaming) in [
        (
            "401 No",
            json,
            json!({"error": {"message": format!("Incorrect API key provided: {KEY}"), "code": KEY, "type": KEY}})
                .to_string(),
            true,
        ),
        ("400 No", json, json!({"error": {"message": "no", "param": KEY, "code": KEY}}).to_string(), false),
        (
            "404 No",
            json,
            json!({"error": {"message": format!("no model for {KEY}"), "code": "model_not_found"}}).to_string(),
            false,
        ),
        ("429 No", json, json!({"error": {"message": KEY}}).to_string(), false),
        ("500 No", "content-type: text/html\r\n", format!("<html>{} {KEY}</html>", "x".repeat(290)), true),
        // What cannot be read is quoted by whoever tries to.
        ("200 OK", json, json!({"choices": KEY}).to_string(), false),
        ("200 OK", json, format!("\"{KEY}\""), false),
        ("200 OK", json, json!({"error": {"message": KEY, "code": 500}}).to_string(), false),
        ("200 OK", events, chunk(json!({"choices": KEY})), true),
        ("200 OK", events, chunk(json!({"error": {"message": KEY, "code": 500}})), true),
        ("200 OK", events, format!("data: {KEY}\n\n"), true),
        ("200 OK", json, answer.to_string(), false),
    ] {
        let enemy = Enemy::start(Script::whole(status, headers, body.clone())).await;
        let log = Log::default();
        let writer = log.clone();
        // As in the program, where async-openai is quiet: it quotes whole answers. All others may speak.
        let filter = tracing_subscriber::EnvFilter::new("trace,async_openai=off");
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || writer.clone()).finish();
        let told = ask(ModelSettings { attempts: 1, ..settings(&enemy, streaming) })
            .with_subscriber(Dispatch::new(subscriber))
            .await;
        let told = match told {
            Ok(answer) => format!("{answer:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!told.contains(KEY), "{body}: {told}");
        let logged = String::from_utf8_lossy(&log.0.lock().expect("no panic")).into_owned();
        assert!(!logged.contains(KEY), "{body}: {logged}");
        lines += logged.lines().count();
    }
    assert!(lines > 0, "something is logged at all");
}
