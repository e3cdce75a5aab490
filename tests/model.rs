//! A model server may do whatever it likes: every call ends, says what happened, and is repeated only where that makes
//! sense; because an agent that hangs on its model, or believes half an answer, cannot be left alone with cases.
//!
//! Where each fault is shown to be bounded, called by its name, repeated only where that is safe, and seen in a span. A
//! fault of a server is a case of `SERVER_FAULTS` in this file, checked for its name and its number of requests in every
//! style, without a stream, once with an answer after it, and in its spans. A fault of a model is answered and not asked
//! again; it is read for what it is in `every_fault_of_a_model_is_read_for_what_it_is` and seen as `wf.model.misread` in
//! `an_answer_that_asks_for_nothing_is_seen_in_its_span` (model_limited).
//!
//! | fault | here as | repeated | and whole ways |
//! |---|---|---|---|
//! | M1 the model hangs, before or within an answer | `Hang`, `Stall` | once | `a_stream_that_never_ends_…` (model_attacks), `a_question_that_is_given_up_…`, `who_answers_in_whose_place_…` (model_limited) |
//! | M2 429 with Retry-After | `RateLimit`, `RateLimitLong` | after the rest, if it is short | `a_refusal_with_a_rest_…`, `a_rest_that_is_too_long_…`, `without_a_stand_in_…` (model_limited), `a_rest_of_ten_years_…` (model_attacks) |
//! | M3 503 | `Unavailable` | with growing waits | `a_server_that_does_not_answer_…`, `models_of_one_server_…` (model_limited) |
//! | M4 the connection breaks within the answer | `Reset`, `ShortStream`, `ErrorInStream` | yes: nothing of it was used | `what_questions_used_and_cost_is_summed` (model_limited) |
//! | M5 arguments that are no JSON | `MalformedArguments` | told to the model | |
//! | M6 empty arguments | `EmptyArguments` | no: a call without arguments | |
//! | M7 an unknown tool | `UnknownTool` | told to the model | `what_a_model_is_told_of_its_mistake_…` |
//! | M8 arguments of another type | `WrongTypes` | told to the model | |
//! | M9 the same call twice at once | `DuplicateCalls` | no: one call with two ids | `a_call_asked_twice_is_one_call_…` |
//! | M10 the same call for ever | `Loop` | no: each is a call; whoever drives the agent counts | |
//! | M11 an empty answer | `Empty`, `ReasoningOnly` | told to the model | |
//! | M12 an answer cut at its longest | `Length` | told to the model | |
//! | M13 the context is too small | `Overflow` | never | `a_request_above_the_context_is_never_sent`, `what_does_not_fit_…`, `a_request_that_is_wrong_…` (model_limited) |
//! | M14 an unknown model | `UnknownModel` | never | `a_question_that_went_to_a_stand_in_shows_both_calls` (model_limited) |
//! | no UTF-8, no JSON | `NotUtf8`, `NotJson` | once | `bytes_that_are_no_text_…`, `json_that_is_nested_…` (model_attacks) |
//! | a hundred calls at once | `ManyCalls` | told to the model | `calls_by_the_thousand_…` (model_attacks) |
//! | an answer without an end | `Endless` | never | `a_body_of_a_gigabyte_…`, `one_event_without_an_end_…` (model_attacks) |

mod support;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opentelemetry::Value as Attribute;
use opentelemetry_sdk::trace::SpanData;
use serde_json::{Value, json};
use support::spans::{self, attribute};
use watchfloor::model::answer::{Answer, Finish, RawCall, Usage};
use watchfloor::model::client::ModelClient;
use watchfloor::model::dialect::{Dialect, Form, Misread, Reading};
use watchfloor::model::error::{Barred, ModelError, Noticed};
use watchfloor::model::gate::{Admitted, Gate, Heard, OpenGate, Size};
use watchfloor::model::probe::{self, Outcome};
use watchfloor::model::request::{CallResult, Conversation, Offer, Step, ToolCard};
use watchfloor::model::server::fault::Fault;
use watchfloor::model::server::puppet::Puppet;
use watchfloor::model::server::script::{Asked, Failing, Plays, Reply, Saying, Sequence};
use watchfloor::model::server::{ScriptedServer, Setup, Style};
use watchfloor::model::settings::{DialectChoice, ModelSettings, Seconds, Tokenizer};

/// Nothing a call does may take longer than this here; real sockets know no paused time.
const BOUND: Duration = Duration::from_secs(10);

const STYLES: [Style; 3] = [Style::OpenAi, Style::LlamaCpp, Style::Vllm];

async fn server(setup: Setup) -> ScriptedServer {
    ScriptedServer::start(setup).await.expect("a port is free")
}

/// Settings with short times.
fn settings(server: &ScriptedServer, streaming: bool) -> ModelSettings {
    ModelSettings {
        streaming,
        connect_seconds: Seconds::millis(500),
        first_token_seconds: Seconds::millis(300),
        idle_seconds: Seconds::millis(300),
        answer_seconds: Seconds::millis(700),
        longest_wait_seconds: Seconds::millis(50),
        ..ModelSettings::of(server.base_url(), "scripted", 8192)
    }
}

fn client(settings: ModelSettings) -> ModelClient {
    ModelClient::open(settings, |_| None).expect("the settings are sound")
}

fn tools() -> Vec<ToolCard> {
    let parameters = json!({"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]});
    let card =
        |name: &str| ToolCard { name: name.into(), description: "Looks.".into(), parameters: parameters.clone() };
    vec![card("look"), card("submit_verdict")]
}

fn conversation() -> Conversation {
    let mut conversation = Conversation::new("You investigate.", tools());
    conversation.say("An alert was raised.");
    conversation
}

fn good() -> Reply {
    Reply::call("look", &json!({"at": "x"}))
}

async fn ask(client: &ModelClient, dialect: &dyn Dialect, conversation: &Conversation) -> Result<Answer, ModelError> {
    let step = Step::of_all(256);
    let request = dialect.request(conversation, &step);
    tokio::time::timeout(BOUND, client.ask(&request, &OpenGate)).await.expect("a call ends")
}

fn read(dialect: &dyn Dialect, answer: &Answer) -> Result<Reading, Misread> {
    dialect.read(answer, &conversation(), &Step::of_all(256))
}

// Faults of servers: what is said of each, and how often it is tried.

struct Case {
    fault: Fault,
    kind: &'static str,
    /// Requests that a server sees that always fails so.
    attempts: usize,
}

const SERVER_FAULTS: [Case; 13] = [
    Case { fault: Fault::Hang, kind: "timeout", attempts: 2 },
    Case { fault: Fault::Stall, kind: "timeout", attempts: 2 },
    Case { fault: Fault::RateLimit, kind: "rate_limited", attempts: 3 },
    Case { fault: Fault::RateLimitLong, kind: "rate_limited", attempts: 1 },
    Case { fault: Fault::Unavailable, kind: "server_error", attempts: 3 },
    Case { fault: Fault::Reset, kind: "cut_off", attempts: 3 },
    Case { fault: Fault::ShortStream, kind: "cut_off", attempts: 3 },
    Case { fault: Fault::ErrorInStream, kind: "server_error", attempts: 3 },
    Case { fault: Fault::Overflow, kind: "context_overflow", attempts: 1 },
    Case { fault: Fault::UnknownModel, kind: "unknown_model", attempts: 1 },
    Case { fault: Fault::NotUtf8, kind: "malformed_answer", attempts: 2 },
    Case { fault: Fault::NotJson, kind: "malformed_answer", attempts: 2 },
    Case { fault: Fault::Endless, kind: "answer_too_long", attempts: 1 },
];

#[tokio::test]
async fn every_fault_of_a_server_is_bounded_classified_and_repeated_only_where_it_makes_sense() {
    for style in STYLES {
        for Case { fault, kind, attempts } in SERVER_FAULTS {
            let server = server(Setup { style, ..Setup::new(move |_: &Asked| fault.into()) }).await;
            // Enough time for a stream that does not end to reach its limit.
            let patient = if fault == Fault::Endless { Seconds::whole(9) } else { Seconds::millis(700) };
            let client = client(ModelSettings { answer_seconds: patient, ..settings(&server, true) });
            let error = ask(&client, &*DialectChoice::Native.dialect(), &conversation()).await.expect_err("it fails");
            assert_eq!(error.kind(), kind, "{style:?} {fault:?}: {error}");
            assert_eq!(server.received().len(), attempts, "{style:?} {fault:?}: {error}");
            assert_eq!(server.answered(), 0);
        }
    }
}

#[tokio::test]
async fn what_fails_without_a_stream_fails_in_the_same_way() {
    let at_once = [Fault::Hang, Fault::RateLimit, Fault::Unavailable, Fault::Overflow, Fault::NotUtf8, Fault::NotJson];
    for Case { fault, kind, attempts } in SERVER_FAULTS.into_iter().filter(|case| at_once.contains(&case.fault)) {
        let server = server(Setup::new(move |_: &Asked| fault.into())).await;
        let client = client(settings(&server, false));
        let error = ask(&client, &*DialectChoice::Native.dialect(), &conversation()).await.expect_err("it fails");
        assert_eq!((error.kind(), server.received().len()), (kind, attempts), "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn a_fault_that_passes_costs_nothing_but_an_attempt() {
    for Case { fault, attempts, .. } in SERVER_FAULTS.into_iter().filter(|case| case.attempts > 1) {
        let server = server(Setup::new(Failing { fault, from: 0, times: 1, then: |_: &Asked| good() })).await;
        let client = client(settings(&server, true));
        let answer = ask(&client, &*DialectChoice::Native.dialect(), &conversation()).await;
        let answer = answer.unwrap_or_else(|error| panic!("{fault:?} ({attempts}): {error}"));
        assert_eq!((answer.took.attempts, answer.calls[0].function.name.as_str()), (2, "look"), "{fault:?}");
        // Nothing of the attempt that failed is left in the answer.
        assert_eq!(answer.content, "", "{fault:?}");
    }
}

#[tokio::test]
async fn a_server_that_wants_rest_for_longer_than_anybody_waits_says_for_how_long() {
    let server = server(Setup::new(|_: &Asked| Fault::RateLimitLong.into())).await;
    let begun = Instant::now();
    let client = client(settings(&server, true));
    let error = ask(&client, &*DialectChoice::Native.dialect(), &conversation()).await.expect_err("it is limited");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let gone = server(Setup::new(|_: &Asked| good())).await;
    let settings = settings(&gone, true);
    drop(gone);
    tokio::task::yield_now().await;
    let client = client(settings);
    let deadline = Instant::now() + BOUND;
    let error = loop {
        // The port closes when the server's task has ended.
        match ask(&client, &*DialectChoice::Native.dialect(), &conversation()).await {
            Err(error @ ModelError::Unreachable { .. }) => break error,
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
    };
    assert!(error.to_string().contains("http://127.0.0.1:"), "{error}");
}

// Faults of models: the answer comes, and reading it says what is wrong with it.

#[tokio::test]
async fn every_fault_of_a_model_is_read_for_what_it_is() {
    let kinds = [
        (Fault::MalformedArguments, Err("arguments")),
        (Fault::EmptyArguments, Ok(1)),
        (Fault::UnknownTool, Err("unknown_tool")),
        (Fault::WrongTypes, Err("arguments")),
        (Fault::DuplicateCalls, Ok(1)),
        (Fault::Loop, Ok(1)),
        (Fault::Empty, Err("empty")),
        (Fault::Length, Err("length")),
        (Fault::ManyCalls, Err("too_many_calls")),
        (Fault::ReasoningOnly, Err("reasoning_only")),
    ];
    for (fault, expected) in kinds {
        for streaming in [true, false] {
            let server = server(Setup::new(move |_: &Asked| fault.into())).await;
            let client = client(settings(&server, streaming));
            let native = DialectChoice::Native.dialect();
            let answer =
                ask(&client, &*native, &conversation()).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
            assert_eq!(server.received().len(), 1, "an answer is not asked for twice: {fault:?}");
            let seen = read(&*native, &answer).map(|reading| reading.calls.len()).map_err(|misread| misread.kind());
            assert_eq!(seen, expected, "{fault:?}, streaming {streaming}");
        }
    }
}

#[tokio::test]
async fn what_a_model_is_told_of_its_mistake_names_what_it_can_do() {
    let server = server(Setup::new(|_: &Asked| Fault::UnknownTool.into())).await;
    let client = client(settings(&server, true));
    let native = DialectChoice::Native.dialect();
    let answer = ask(&client, &*native, &conversation()).await.expect("an answer");
    let misread = read(&*native, &answer).expect_err("no such tool");
    assert!(misread.to_string().contains("format_disk"), "{misread}");
    assert!(misread.to_string().contains("look, submit_verdict"), "{misread}");
}

#[tokio::test]
async fn a_call_asked_twice_is_one_call_and_both_ids_are_answered() {
    let server = server(Setup::new(Sequence::new(vec![Fault::DuplicateCalls.into(), good()]))).await;
    let client = client(settings(&server, true));
    let (native, mut conversation) = (DialectChoice::Native.dialect(), conversation());
    let answer = ask(&client, &*native, &conversation).await.expect("an answer");
    let reading = read(&*native, &answer).expect("a call");
    assert_eq!(reading.calls[0].ids, ["call_1", "call_2"]);
    conversation.heard(&answer);
    conversation.returned(results(&reading, "seen"));
    ask(&client, &*native, &conversation).await.expect("the server accepts the results");
    assert_eq!(server.received()[1].violations, Vec::<String>::new());
}

fn results(reading: &Reading, content: &str) -> Vec<CallResult> {
    let each = reading.calls.iter().flat_map(|call| call.ids.iter().map(|id| (id, &call.tool)));
    each.map(|(id, tool)| CallResult { call: id.clone(), tool: tool.clone(), content: content.into() }).collect()
}

// Dialects.

#[tokio::test]
async fn both_dialects_carry_a_conversation_of_two_steps() {
    for (puppet, choice, form) in [
        (Puppet::Able, DialectChoice::Native, Form::Native),
        (Puppet::Fencing, DialectChoice::Native, Form::Fenced),
        (Puppet::Constrained, DialectChoice::Constrained, Form::Action),
        (Puppet::Unconstrained, DialectChoice::Unconstrained, Form::Action),
    ] {
        for (streaming, style) in [(true, Style::OpenAi), (false, Style::LlamaCpp), (true, Style::Vllm)] {
            let server = server(Setup { style, ..Setup::new(puppet) }).await;
            let client = client(settings(&server, streaming));
            let dialect = choice.dialect();
            let mut conversation = Conversation::new("You investigate.", tools());
            conversation.say("Call look with {\"at\": \"x\"}. Then: Call submit_verdict with {\"at\": \"NUMBER\"}.");
            let mut asked = Vec::new();
            for _ in 0..2 {
                let answer = ask(&client, &*dialect, &conversation).await.expect("an answer");
                let reading = dialect.read(&answer, &conversation, &Step::of_all(256));
                let reading = reading.unwrap_or_else(|misread| panic!("{puppet:?}: {misread}: {answer:?}"));
                assert_eq!(reading.form, form, "{puppet:?}");
                conversation.heard(&answer);
                conversation.returned(results(&reading, "It shows 4217."));
                asked.extend(reading.calls.into_iter().map(|call| (call.tool, Value::Object(call.arguments))));
            }
            let expected =
                [("look".to_owned(), json!({"at": "x"})), ("submit_verdict".to_owned(), json!({"at": "4217"}))];
            assert_eq!(asked, expected, "{puppet:?}");
            let received = server.received();
            assert!(received.iter().all(|request| request.violations.is_empty()), "{puppet:?}: {received:?}");
        }
    }
}

#[tokio::test]
async fn a_step_offers_less_without_changing_the_beginning_of_the_prompt() {
    let conversation = conversation();
    let narrowed =
        json!({"type": "object", "properties": {"at": {"type": "string", "enum": ["E1", "E2"]}}, "required": ["at"]});
    let last =
        Step { only: Some(vec![Offer { tool: "submit_verdict".into(), narrowed: Some(narrowed) }]), max_tokens: 256 };
    let all = Step::of_all(256);
    for choice in [DialectChoice::Native, DialectChoice::Constrained] {
        let dialect = choice.dialect();
        let (of_all, of_one) = (dialect.request(&conversation, &all), dialect.request(&conversation, &last));
        assert_eq!(of_all.messages, of_one.messages);
        assert_eq!(of_all.tools, of_one.tools);
    }
    let server = server(Setup::new(|asked: &Asked| {
        let schema = asked.schema().map(Value::to_string).unwrap_or_default();
        let right = !schema.contains("look") && schema.contains("\"E2\"") && schema.contains("submit_verdict");
        Reply::text(
            json!({"because": right.to_string(), "action": {"tool": "look", "arguments": {"at": "x"}}}).to_string(),
        )
    }))
    .await;
    let (client, dialect) = (client(settings(&server, true)), DialectChoice::Constrained.dialect());
    let answer = client.ask(&dialect.request(&conversation, &last), &OpenGate).await.expect("an answer");
    assert!(answer.content.contains("\"because\":\"true\""), "{}", answer.content);
    let refused = dialect.read(&answer, &conversation, &last).map_err(|misread| misread.kind());
    assert_eq!(refused, Err("unknown_tool"), "what is not offered is refused, whatever the server let through");
}

// Answers.

#[tokio::test]
async fn streamed_or_not_an_answer_is_the_same() {
    let saying = Saying {
        content: "Ich prüfe, was „höher“ war.".into(),
        reasoning: "Erst nachdenken.".into(),
        calls: vec![RawCall::new("a", "look", "{\"at\":\"ü\"}"), RawCall::new("b", "look", "{\"at\":\"y\"}")],
        ..Saying::default()
    };
    for style in STYLES {
        let mut answers = Vec::new();
        for streaming in [true, false] {
            let said = saying.clone();
            let server = server(Setup { style, ..Setup::new(move |_: &Asked| Reply::Says(said.clone())) }).await;
            let client = client(settings(&server, streaming));
            let mut answer = ask(&client, &*DialectChoice::Native.dialect(), &conversation()).await.expect("an answer");
            assert_eq!(answer.took.first.is_some(), streaming);
            answer.took = Default::default();
            answers.push(answer);
        }
        assert_eq!(answers[0], answers[1], "{style:?}");
        let answer = &answers[0];
        assert_eq!(
            (&answer.content, &answer.reasoning, &answer.calls),
            (&saying.content, &saying.reasoning, &saying.calls)
        );
        assert_eq!(answer.finish, Finish::ToolCalls);
        assert_eq!(answer.timings.is_some(), style == Style::LlamaCpp);
    }
}

#[tokio::test]
async fn a_conversation_that_only_grows_is_recognised_by_the_server() {
    let server = server(Setup { style: Style::LlamaCpp, ..Setup::new(|_: &Asked| good()) }).await;
    let client = client(settings(&server, true));
    let (native, mut conversation) = (DialectChoice::Native.dialect(), conversation());
    let mut last: Option<Usage> = None;
    for _ in 0..3 {
        let answer = ask(&client, &*native, &conversation).await.expect("an answer");
        let usage = answer.usage.expect("the server counts");
        if let Some(before) = last {
            assert!(usage.cached + 1 >= before.input, "{usage:?} after {before:?}");
        }
        last = Some(usage);
        let reading = read(&*native, &answer).expect("a call");
        conversation.heard(&answer);
        conversation.returned(results(&reading, "nothing"));
    }
}

// Counting before sending.

#[tokio::test]
async fn a_request_above_the_context_is_never_sent() {
    for (style, tokenizer) in
        [(Style::OpenAi, Tokenizer::Estimate), (Style::LlamaCpp, Tokenizer::LlamaCpp), (Style::Vllm, Tokenizer::Vllm)]
    {
        let server = server(Setup { style, ..Setup::new(|_: &Asked| good()) }).await;
        let client = client(ModelSettings { tokenizer, ..settings(&server, true) });
        let native = DialectChoice::Native.dialect();
        let (mut conversation, mut sent, mut refused) = (conversation(), 0, 0);
        for _ in 0..40 {
            match ask(&client, &*native, &conversation).await {
                Ok(answer) => {
                    sent += 1;
                    let reading = read(&*native, &answer).expect("a call");
                    conversation.heard(&answer);
                    conversation.returned(results(&reading, &"the process wrote a file. ".repeat(60)));
                }
                Err(ModelError::ContextOverflow { noticed: Noticed::Here, tokens, limit }) => {
                    assert!(tokens > limit, "{tokens:?} {limit:?}");
                    refused += 1;
                }
                Err(other) => panic!("{tokenizer:?}: the server was asked for too much: {other}"),
            }
        }
        assert_eq!(server.received().len(), sent, "{tokenizer:?}");
        // The estimate is on the safe side, and not so far that half of the context would be left.
        assert!(refused > 0 && sent >= 10, "{tokenizer:?}: {sent} sent");
    }
}

// Cancelling.

#[tokio::test]
async fn a_call_that_is_dropped_closes_its_connection() {
    for (fault, streaming) in [(Fault::Hang, true), (Fault::Hang, false), (Fault::Stall, true)] {
        let server = server(Setup::new(move |_: &Asked| fault.into())).await;
        let settings = ModelSettings {
            first_token_seconds: Seconds::whole(600),
            idle_seconds: Seconds::whole(600),
            answer_seconds: Seconds::whole(600),
            ..settings(&server, streaming)
        };
        let asking = tokio::spawn(async move {
            let client = client(settings);
            let (conversation, step) = (conversation(), Step::of_all(256));
            client.ask(&DialectChoice::Native.dialect().request(&conversation, &step), &OpenGate).await
        });
        until(|| server.received().len() == 1).await;
        assert_eq!(server.given_up(), 0);
        asking.abort();
        until(|| server.given_up() == 1).await;
    }
}

async fn until(mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !is() {
        assert!(Instant::now() < deadline, "it does not come");
        tokio::task::yield_now().await;
    }
}

// What stands before the server.

#[derive(Default)]
struct Book(Arc<Mutex<Vec<String>>>);

struct Pass(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Gate for Book {
    async fn admit(&self, size: Size) -> Result<Box<dyn Admitted>, ModelError> {
        assert!(size.input > 0 && size.most_output == 256);
        let mut book = self.0.lock().expect("the book");
        if book.len() >= 4 {
            return Err(ModelError::NotAdmitted {
                retry_after: None,
                barred: Barred::ForNow,
                why: "the book is full".into(),
            });
        }
        book.push("admitted".into());
        Ok(Box::new(Pass(self.0.clone())))
    }
}

impl Admitted for Pass {
    fn ended(self: Box<Self>, heard: &Heard<'_>) {
        let told = match &heard.outcome {
            Ok(usage) => format!("answered, counted {}", usage.is_some()),
            Err(error) => format!("{}, rest {:?}", error.kind(), heard.headers.get("retry-after")),
        };
        self.0.lock().expect("the book").push(told);
    }
}

#[tokio::test]
async fn every_attempt_passes_the_gate_and_tells_its_end() {
    let failing = Failing { fault: Fault::RateLimit, from: 0, times: 1, then: |_: &Asked| good() };
    let server = server(Setup::new(failing)).await;
    let (client, book) = (client(settings(&server, true)), Book::default());
    let (conversation, step) = (conversation(), Step::of_all(256));
    let native = DialectChoice::Native.dialect();
    client.ask(&native.request(&conversation, &step), &book).await.expect("an answer");
    let told = ["admitted", "rate_limited, rest Some(\"0.01\")", "admitted", "answered, counted true"];
    assert_eq!(*book.0.lock().expect("the book"), told);
    let refused = client.ask(&native.request(&conversation, &step), &book).await.expect_err("the book is full");
    assert_eq!(refused.kind(), "not_admitted");
    assert_eq!(server.received().len(), 2);
}

// Keys.

#[tokio::test]
async fn a_key_is_sent_and_never_told() {
    let keyed = |key: Option<&str>| Setup { key: key.map(str::to_owned), ..Setup::new(|_: &Asked| good()) };
    let with = |server: &ScriptedServer, key: &'static str| {
        let settings = ModelSettings { api_key_env: Some("KEY".into()), ..settings(server, true) };
        ModelClient::open(settings, move |name| (name == "KEY").then(|| key.to_owned())).expect("it is sound")
    };
    let guarded = server(keyed(Some("s3cret"))).await;
    let native = DialectChoice::Native.dialect();
    ask(&with(&guarded, "s3cret"), &*native, &conversation()).await.expect("the key fits");
    let wrong = with(&guarded, "wr0ng");
    let denied = ask(&wrong, &*native, &conversation()).await.expect_err("the key does not fit");
    assert_eq!(denied.kind(), "denied");
    assert!(!format!("{denied} {denied:?} {wrong:?}").contains("wr0ng"));
    let none = ask(&client(settings(&guarded, true)), &*native, &conversation()).await.expect_err("there is no key");
    assert_eq!(none.kind(), "denied");
}

// The doctor.

#[tokio::test]
async fn the_doctor_is_right_about_every_kind_of_model() {
    let kinds = [
        (Puppet::Able, Some("native"), Outcome::Note),
        (Puppet::Fencing, Some("constrained"), Outcome::Note),
        (Puppet::Constrained, Some("constrained"), Outcome::Note),
        (Puppet::Unconstrained, Some("unconstrained"), Outcome::Note),
        (Puppet::Stubborn, None, Outcome::Bad),
        (Puppet::Talkative, None, Outcome::Bad),
    ];
    for (puppet, dialect, worst) in kinds {
        let server = server(Setup { style: Style::LlamaCpp, ..Setup::new(puppet) }).await;
        let report = probe::probe(&settings(&server, true), |_| None).await.expect("it is tried");
        assert_eq!((report.dialect, report.worst()), (dialect, worst), "{puppet:?}: {report:#?}");
        assert!(report.changes.contains(&"tokenizer = \"llama_cpp\"".to_owned()), "{report:#?}");
        let broken: Vec<_> = server.received().into_iter().flat_map(|request| request.violations).collect();
        assert_eq!(broken, Vec::<String>::new(), "{puppet:?}");
    }
    let server = server(Setup { style: Style::LlamaCpp, ..Setup::new(Puppet::Able) }).await;
    let fitting = ModelSettings { tokenizer: Tokenizer::LlamaCpp, ..settings(&server, true) };
    let report = probe::probe(&fitting, |_| None).await.expect("it is tried");
    assert_eq!((report.worst(), report.changes.as_slice()), (Outcome::Good, [].as_slice()), "{report:#?}");
}

#[tokio::test]
async fn the_doctor_does_not_take_a_server_that_is_too_slow_for_a_model_that_is_too_small() {
    // Plain questions are answered; those with tools or about them are not.
    let slow = server(Setup::new(|asked: &Asked| {
        let asks_for_tools = asked.body["messages"].to_string().contains("read_meter");
        if asks_for_tools { Fault::Hang.into() } else { Puppet::Able.reply(asked) }
    }))
    .await;
    let report = probe::probe(&settings(&slow, true), |_| None).await.expect("it is tried");
    let seen =
        |check: &str| report.findings.iter().find(|finding| finding.check == check).map(|finding| finding.seen.clone());
    assert_eq!((report.dialect, report.worst()), (None, Outcome::Bad), "{report:#?}");
    assert!(
        seen("dialect").is_some_and(|seen| seen.contains("is not known") && !seen.contains("larger")),
        "{report:#?}"
    );
    assert!(seen("tool calls").is_some_and(|seen| seen.contains("is not known")), "{report:#?}");
}

#[tokio::test]
async fn the_doctor_says_what_to_change() {
    let served = server(Setup { style: Style::Vllm, context: 4096, ..Setup::new(Puppet::Able) }).await;
    let other = ModelSettings { model: "another".into(), ..settings(&served, true) };
    let report = probe::probe(&other, |_| None).await.expect("it is tried");
    assert_eq!(report.worst(), Outcome::Bad);
    assert!(report.changes.contains(&"model = \"scripted\"".to_owned()), "{report:#?}");
    let small = probe::probe(&settings(&served, true), |_| None).await.expect("it is tried");
    assert!(small.changes.contains(&"context_tokens = 4096".to_owned()), "{small:#?}");
    let gone = ModelSettings { base_url: "http://127.0.0.1:9/v1".into(), ..settings(&served, true) };
    let report = probe::probe(&gone, |_| None).await.expect("it is tried");
    assert_eq!((report.findings.len(), report.worst()), (1, Outcome::Bad), "{report:#?}");
}

// Spans.

/// What came of a call, and its spans without those of connections, which come and go as they like.
async fn exported<T>(work: impl Future<Output = T>) -> (T, Vec<SpanData>) {
    let (done, mut spans) = spans::exported(work).await;
    spans.retain(|span| span.name != "connection");
    (done, spans)
}

#[tokio::test]
async fn a_call_is_a_span_with_one_for_every_attempt_and_every_wait() {
    let failing = Failing { fault: Fault::RateLimit, from: 0, times: 1, then: |_: &Asked| good() };
    let server = server(Setup { style: Style::LlamaCpp, ..Setup::new(failing) }).await;
    let client = client(settings(&server, true));
    let native = DialectChoice::Native.dialect();
    let (answer, spans) = exported(ask(&client, &*native, &conversation())).await;
    answer.expect("an answer");
    let ours: Vec<&SpanData> = spans.iter().filter(|span| span.name != "Actor").collect();
    let names: Vec<&str> = ours.iter().map(|span| span.name.as_ref()).collect();
    let expected = ["chat scripted", "POST /chat/completions", "wait ratelimit", "POST /chat/completions"];
    assert_eq!(names, expected);
    let [chat, first, wait, second] = ours[..] else { panic!("four spans") };
    assert!([first, wait, second].iter().all(|span| span.parent_span_id == chat.span_context.span_id()));
    assert_eq!(attribute(first, "error.type"), Some("rate_limited".into()));
    assert_eq!(attribute(wait, "wf.wait.kind"), Some("retry_after".into()));
    assert_eq!(attribute(second, "error.type"), None);
    assert!(second.events.iter().any(|event| event.name == "wf.model.first_token"), "{second:?}");
    for (name, value) in [
        ("gen_ai.operation.name", Attribute::from("chat")),
        ("gen_ai.request.model", "scripted".into()),
        ("gen_ai.response.model", "scripted".into()),
        ("server.address", "127.0.0.1".into()),
        ("wf.attempts", 2_i64.into()),
    ] {
        assert_eq!(attribute(chat, name), Some(value), "{name}");
    }
    assert!(matches!(attribute(chat, "gen_ai.usage.input_tokens"), Some(Attribute::I64(1..))));
    let trace = chat.span_context.trace_id().to_string();
    assert!(
        server.received().iter().all(|request| request.traceparent.as_ref().is_some_and(|told| told.contains(&trace)))
    );
}

#[tokio::test]
async fn every_fault_is_seen_in_its_span() {
    for Case { fault, kind, attempts } in SERVER_FAULTS.into_iter().filter(|case| case.fault != Fault::Endless) {
        let server = server(Setup::new(move |_: &Asked| fault.into())).await;
        let client = client(settings(&server, true));
        let native = DialectChoice::Native.dialect();
        let (result, spans) = exported(ask(&client, &*native, &conversation())).await;
        result.expect_err("it fails");
        let of = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
        assert_eq!(of("POST /chat/completions").len(), attempts, "{fault:?}");
        for span in of("POST /chat/completions").into_iter().chain(of("chat scripted")) {
            assert_eq!(attribute(span, "error.type"), Some(kind.into()), "{fault:?}");
        }
    }
}

#[test]
fn faults_have_their_tests() {
    let of_servers = SERVER_FAULTS.map(|case| case.fault);
    let of_models = Fault::ALL.len() - of_servers.len();
    assert_eq!(
        of_models, 10,
        "every fault that is not a server's is read in every_fault_of_a_model_is_read_for_what_it_is"
    );
    let _: &dyn Plays = &Puppet::Able;
}
