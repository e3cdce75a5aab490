//! How the scripted server answers requests: checks them, plays the script, and fails where it is told to.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use serde_json::{Value, json};

use super::fault::Fault;
use super::script::{Asked, FOR_GOOD, Reply, Saying};
use super::sentences::{Sentence, error, event};
use super::{Received, Served, Style, contract, tokens};

/// How many prompts are remembered as a prefix cache would.
const REMEMBERED: usize = 16;

/// Counts a request as given up unless it was answered.
struct Waiting {
    served: Arc<Served>,
    over: bool,
}

impl Waiting {
    fn answered(mut self) {
        self.over = true;
        self.served.log().answered += 1;
    }

    fn failed(mut self) {
        self.over = true;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.over {
            self.served.log().given_up += 1;
        }
    }
}

/// An answer, or a failure, with the headers that come with each.
pub(super) async fn complete(State(served): State<Arc<Served>>, headers: HeaderMap, body: Bytes) -> Response {
    let more = served.setup.headers.clone();
    let mut response = completed(served, headers, body).await;
    for (name, value) in more {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

async fn completed(served: Arc<Served>, headers: HeaderMap, body: Bytes) -> Response {
    let text_of = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let violations = contract::violations(&body);
    let setup = &served.setup;
    let received = Received { body: body.clone(), violations: violations.clone(), traceparent: text_of("traceparent") };
    let number = {
        let mut log = served.log();
        log.received.push(received);
        log.received.len() - 1
    };
    let waiting = Waiting { served: served.clone(), over: false };
    if let Some(key) = &setup.key
        && text_of("authorization").as_deref() != Some(&format!("Bearer {key}"))
    {
        waiting.failed();
        return refuse(setup.style, StatusCode::UNAUTHORIZED, "invalid_api_key", "Incorrect API key provided");
    }
    if !violations.is_empty() {
        waiting.failed();
        return refuse(setup.style, StatusCode::BAD_REQUEST, "invalid_request_error", &violations.join("; "));
    }
    if body["model"] != setup.model.as_str() {
        waiting.failed();
        return unknown_model(setup.style, body["model"].as_str().unwrap_or_default());
    }
    let (read, known) = served.read(&body);
    let limit = body["max_tokens"].as_u64().or_else(|| body["max_completion_tokens"].as_u64()).unwrap_or(256);
    if read + limit > setup.context {
        waiting.failed();
        return overflow(setup.style, read, limit, setup.context);
    }
    tokio::time::sleep(setup.delay).await;
    let asked = Asked { body, number };
    let saying = match setup.script.reply(&asked) {
        Reply::Says(saying) => saying,
        Reply::Fails(fault) => match fault.saying(&asked) {
            Some(saying) => saying,
            None => return fail(fault, waiting, &asked).await,
        },
    };
    let written = written(&saying).min(limit);
    let sentence = Sentence {
        number,
        model: &setup.model,
        style: setup.style,
        saying: &saying,
        tokens: [read, known, written],
        limit,
    };
    if !asked.streams() {
        let whole = sentence.whole();
        waiting.answered();
        return json_of(StatusCode::OK, &whole);
    }
    let with_usage = asked.body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
    let pieces: Vec<String> = sentence.pieces(with_usage).iter().map(event).collect();
    let end = stream::once(async move {
        waiting.answered();
        "data: [DONE]\n\n".to_owned()
    });
    events(stream::iter(pieces).chain(end).map(Ok::<_, Infallible>))
}

fn written(saying: &Saying) -> u64 {
    let calls = saying.calls.iter().map(|call| tokens(&call.function.name) + tokens(&call.function.arguments));
    tokens(&saying.content) + tokens(&saying.reasoning) + calls.sum::<u64>()
}

impl Served {
    /// Tokens of a request's prompt, and how many of them were read before.
    fn read(&self, body: &Value) -> (u64, u64) {
        let prompt = format!("{}{}", body["tools"], body["messages"]);
        // The end of the list is no part of what may go on.
        let prompt = prompt.trim_end_matches(']').to_owned();
        let mut log = self.log();
        let known = log.prompts.iter().map(|earlier| shared(earlier, &prompt)).max().unwrap_or(0) / 4;
        let read = tokens(&prompt);
        log.prompts.push(prompt);
        if log.prompts.len() > REMEMBERED {
            log.prompts.remove(0);
        }
        (read, known.min(read))
    }
}

/// How many bytes two texts have in common from their beginning: whole blocks first, which is quick.
fn shared(earlier: &str, prompt: &str) -> u64 {
    const BLOCK: usize = 1024;
    let (earlier, prompt) = (earlier.as_bytes(), prompt.as_bytes());
    let blocks = earlier.chunks_exact(BLOCK).zip(prompt.chunks_exact(BLOCK)).take_while(|(a, b)| a == b).count();
    let rest = earlier[blocks * BLOCK..].iter().zip(&prompt[blocks * BLOCK..]).take_while(|(a, b)| a == b).count();
    (blocks * BLOCK + rest) as u64
}

/// Fails as a server fails.
async fn fail(fault: Fault, waiting: Waiting, asked: &Asked) -> Response {
    let served = waiting.served.clone();
    let style = served.setup.style;
    let half = || {
        let saying = Saying { content: "The process was started by".into(), ..Saying::default() };
        let sentence = Sentence {
            number: asked.number,
            model: &served.setup.model,
            style,
            saying: &saying,
            tokens: [1, 0, 1],
            limit: 100,
        };
        // Without its end: neither a reason nor a count.
        let pieces = sentence.pieces(false);
        pieces[..pieces.len() - 1].iter().map(event).collect::<Vec<_>>()
    };
    let broken = || Err::<String, _>(std::io::Error::other("broken on purpose"));
    match fault {
        Fault::Hang => {
            tokio::time::sleep(FOR_GOOD).await;
            waiting.failed();
            StatusCode::NO_CONTENT.into_response()
        }
        Fault::Stall => {
            let rest = stream::once(async move {
                tokio::time::sleep(FOR_GOOD).await;
                waiting.failed();
                String::new()
            });
            events(stream::iter(half()).chain(rest).map(Ok::<_, Infallible>))
        }
        Fault::Endless => {
            let delta = json!({"choices": [{"index": 0, "delta": {"content": "\n".repeat(4096)}}]});
            let piece = event(&delta);
            events(stream::repeat_with(move || {
                let _until_the_end = &waiting;
                Ok::<_, Infallible>(piece.clone())
            }))
        }
        Fault::Reset | Fault::ShortStream | Fault::ErrorInStream => {
            waiting.failed();
            let last = match fault {
                Fault::Reset => Some(broken()),
                Fault::ErrorInStream => Some(Ok(event(&error(style, 500, "server_error", "the slot is gone")))),
                _ => None,
            };
            events(stream::iter(half().into_iter().map(Ok).chain(last)).then(|piece| async {
                // What was written before goes out before the connection breaks.
                tokio::time::sleep(Duration::from_millis(2)).await;
                piece
            }))
        }
        other => {
            waiting.failed();
            refusal(other, style, asked)
        }
    }
}

/// Failures that are answered at once.
fn refusal(fault: Fault, style: Style, asked: &Asked) -> Response {
    match fault {
        Fault::RateLimit | Fault::RateLimitLong => {
            let wait = if fault == Fault::RateLimit { "0.01" } else { "3600" };
            let mut refused = refuse(style, StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", "too many requests");
            refused.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(wait));
            refused
        }
        Fault::Unavailable => refuse(style, StatusCode::SERVICE_UNAVAILABLE, "unavailable_error", "Loading model"),
        Fault::Overflow => overflow(style, 9000, 256, 8192),
        Fault::UnknownModel => unknown_model(style, asked.body["model"].as_str().unwrap_or_default()),
        Fault::NotUtf8 => {
            let begin: &[u8] = if asked.streams() { b"data: {\"id\": \"" } else { b"{\"id\": \"" };
            let end: &[u8] = b"\", \"choices\": []}\n\n";
            let kind = if asked.streams() { "text/event-stream" } else { "application/json" };
            ([(header::CONTENT_TYPE, kind)], [begin, b"\xff\xfe\xc3", end].concat()).into_response()
        }
        _ => {
            let page = "<html><body>It works!</body></html>";
            let page = if asked.streams() { format!("data: {page}\n\n") } else { page.to_owned() };
            ([(header::CONTENT_TYPE, "text/html")], page).into_response()
        }
    }
}

fn unknown_model(style: Style, model: &str) -> Response {
    let message = format!("The model `{model}` does not exist.");
    refuse(style, StatusCode::NOT_FOUND, "model_not_found", &message)
}

fn overflow(style: Style, read: u64, limit: u64, context: u64) -> Response {
    let body = match style {
        Style::LlamaCpp => json!({"error": {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": read,
            "n_ctx": context, "message": "the request exceeds the available context size, try increasing it"}}),
        Style::OpenAi => {
            let message = format!(
                "This model's maximum context length is {context} tokens. However, your messages resulted in {read} tokens."
            );
            error(style, 400, "context_length_exceeded", &message)
        }
        Style::Vllm => {
            let (all, status) = (read + limit, 400);
            let message = format!(
                "This model's maximum context length is {context} tokens. However, you requested {all} tokens ({read} in the messages, {limit} in the completion)."
            );
            error(style, status, "", &message)
        }
    };
    json_of(StatusCode::BAD_REQUEST, &body)
}

fn refuse(style: Style, status: StatusCode, code: &str, message: &str) -> Response {
    json_of(status, &error(style, status.as_u16(), code, message))
}

fn json_of(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn events<E>(pieces: impl Stream<Item = Result<String, E>> + Send + 'static) -> Response
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(pieces)).into_response()
}

/// The list of models.
pub(super) async fn models(State(served): State<Arc<Served>>) -> Response {
    let setup = &served.setup;
    let mut model = json!({"id": setup.model, "object": "model", "created": 0, "owned_by": "nobody"});
    if setup.style == Style::Vllm {
        model["max_model_len"] = setup.context.into();
    }
    json_of(StatusCode::OK, &json!({"object": "list", "data": [model]}))
}

/// What llama.cpp says of itself.
pub(super) async fn props(State(served): State<Arc<Served>>) -> Response {
    match served.setup.style {
        Style::LlamaCpp => {
            let props = json!({"default_generation_settings": {"n_ctx": served.setup.context}, "total_slots": served.setup.slots});
            json_of(StatusCode::OK, &props)
        }
        Style::OpenAi | Style::Vllm => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A prompt as llama.cpp writes it.
pub(super) async fn apply_template(State(served): State<Arc<Served>>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    match served.setup.style {
        Style::LlamaCpp => {
            let prompt = format!("{}{}", body["tools"], body["messages"]);
            json_of(StatusCode::OK, &json!({"prompt": prompt.trim_end_matches(']')}))
        }
        Style::OpenAi | Style::Vllm => StatusCode::NOT_FOUND.into_response(),
    }
}

/// How many tokens a text or a conversation has.
pub(super) async fn tokenize(State(served): State<Arc<Served>>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let text = |key: &str| body[key].as_str().map(tokens);
    match served.setup.style {
        Style::LlamaCpp => {
            let count = text("content").unwrap_or(0);
            json_of(StatusCode::OK, &json!({"tokens": (0..count).collect::<Vec<_>>()}))
        }
        Style::Vllm => {
            let prompt = format!("{}{}", body["tools"], body["messages"]);
            let count = text("prompt").unwrap_or_else(|| tokens(prompt.trim_end_matches(']')));
            json_of(StatusCode::OK, &json!({"count": count, "max_model_len": served.setup.context}))
        }
        Style::OpenAi => StatusCode::NOT_FOUND.into_response(),
    }
}

/// That it is there.
pub(super) async fn health() -> Response {
    json_of(StatusCode::OK, &json!({"status": "ok"}))
}
