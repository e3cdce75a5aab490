//! What a call to a model costs here: a conversation of twenty turns and thirty tools written, sent over loopback, and its
//! answer read, in both dialects, streamed and whole.
//!
//! The server is a process of its own and plays a script, so what is measured is the client alone. Reading an answer's
//! stream is part of the cost, thinking is not.
//!
//! `WATCHFLOOR_BENCH_CALLS=N` changes how many calls are made, `WATCHFLOOR_BENCH_STRICT=1` makes it fail when a call costs
//! more than the bar.

mod cost;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;

use serde_json::json;
use watchfloor::model::client::ModelClient;
use watchfloor::model::gate::OpenGate;
use watchfloor::model::request::{CallResult, Conversation, Measured, Message, Said, Step, ToolCard};
use watchfloor::model::settings::{DialectChoice, ModelSettings};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// CPU time that a call may cost, in microseconds.
const BAR: f64 = 300.0;

/// How many calls a measurement makes unless it is told otherwise.
const CALLS: u32 = 1000;

/// A scripted server in a process of its own, ended with this one.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_watchfloor"))
            .args(["dev", "model-server", "--listen", "127.0.0.1:0", "--context", "1000000", "--quiet"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut first = String::new();
        let out = process.stdout.as_mut().expect("it is piped");
        BufReader::new(out).read_line(&mut first).expect("it says where it listens");
        let url = first.split_whitespace().find(|word| word.starts_with("http://")).expect("an address");
        Self { url: url.trim_end_matches(';').to_owned(), process }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Twenty turns among thirty tools.
fn conversation() -> Conversation {
    let tools = (0..30).map(|number| ToolCard {
        name: format!("tool_{number}"),
        description: "Finds events of a host within a window, and says what it left out.".into(),
        parameters: json!({"type": "object", "required": ["host"], "properties": {
            "host": {"type": "string", "description": "The host's name"},
            "from": {"type": ["string", "null"], "description": "The window's beginning"},
            "limit": {"type": ["integer", "null"], "minimum": 1, "maximum": 100}}}),
    });
    let mut conversation = Conversation::new("You investigate alerts. ".repeat(80), tools.collect());
    conversation.say("An alert was raised. ".repeat(40));
    for turn in 0..20 {
        let content = json!({"because": "I look.", "action": {"tool": "tool_1", "arguments": {"host": "wks-1"}}});
        let call = watchfloor::model::answer::RawCall::new("call_1", "tool_1", "{\"host\":\"wks-1\"}");
        conversation.messages.push(Message::Model(Said { content: content.to_string(), calls: vec![call] }));
        let content = format!("{turn}: a process was started and wrote a file. ").repeat(60);
        conversation.returned(vec![CallResult {
            call: "call_1".into(),
            tool: "tool_1".into(),
            content: content.into(),
        }]);
    }
    // As in an investigation: the server has counted all but the last result.
    conversation.measured = Some(Measured { messages: conversation.messages.len() - 1, tokens: 15_000 });
    conversation
}

async fn measure(url: String, choice: DialectChoice, streaming: bool, calls: u32) -> Option<f64> {
    let settings = ModelSettings { streaming, ..ModelSettings::of(&url, "scripted", 1_000_000) };
    let client = ModelClient::open(settings, |_| None).expect("the settings are sound");
    let (dialect, conversation, step) = (choice.dialect(), conversation(), Step::of_all(256));
    let mut spent = 0.0;
    let mut begun = Instant::now();
    // The first hundred warm up.
    for number in 0..calls + 100 {
        if number == 100 {
            spent = cost::cpu_seconds()?;
            begun = Instant::now();
        }
        let request = dialect.request(&conversation, &step);
        let answer = client.ask(&request, &OpenGate).await.expect("an answer");
        assert!(!answer.content.is_empty());
        let _ = std::hint::black_box(dialect.read(&answer, &conversation, &step));
    }
    let micros = (cost::cpu_seconds()? - spent) * 1e6 / f64::from(calls);
    let wall = begun.elapsed().as_secs_f64() * 1e6 / f64::from(calls);
    let way = if streaming { "streamed" } else { "whole" };
    println!("{:<12} {way:<9} {micros:>6.0} µs CPU a call, {wall:>6.0} µs in all", choice.word());
    Some(micros)
}

#[tokio::main]
async fn main() -> ExitCode {
    let calls = std::env::var("WATCHFLOOR_BENCH_CALLS").ok().and_then(|calls| calls.parse().ok()).unwrap_or(CALLS);
    let strict = std::env::var("WATCHFLOOR_BENCH_STRICT").is_ok_and(|strict| strict == "1");
    let server = Server::start();
    let mut worst: f64 = 0.0;
    for (choice, streaming) in [
        (DialectChoice::Native, false),
        (DialectChoice::Native, true),
        (DialectChoice::Constrained, false),
        (DialectChoice::Constrained, true),
    ] {
        // A task of its own, as a desk's slot is one.
        let measured = tokio::spawn(measure(server.url.clone(), choice, streaming, calls));
        match measured.await.expect("it is measured") {
            Some(micros) => worst = worst.max(micros),
            None => println!("this system does not show what a process costs"),
        }
    }
    if worst > BAR {
        println!("a call costs up to {worst:.0} µs, the bar is {BAR:.0} µs");
        if strict {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
