//! One attempt at a call: sent, waited for within bounds, and read to its end. Dropping it closes the connection.

use std::time::Duration;

use async_openai::error::OpenAIError;
use futures::StreamExt;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::refusal::Refusal;
use super::service::{LARGEST_BODY, OVERHEARD, Overheard, innermost};
use super::wire::{Chunk, Completion, Gathering};
use super::{ModelClient, Quirks, words};
use crate::model::answer::{Answer, Took};
use crate::model::error::{ModelError, Phase};
use crate::model::gate::Headers;
use crate::model::request::{Request, ResponseFormat, ToolChoice, WireMessage, WireTool};
use crate::telemetry::model_spans;

/// A request as it goes out.
#[derive(Serialize)]
struct Outgoing<'a> {
    model: &'a str,
    messages: &'a [WireMessage<'a>],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tools: &'a [WireTool<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<ToolChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<&'a ResponseFormat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl ModelClient {
    /// One attempt.
    pub(super) async fn attempt(&self, request: &Request<'_>, quirks: Quirks) -> (Result<Answer, ModelError>, Headers) {
        let begun = Instant::now();
        let overheard = std::sync::Arc::new(Overheard::of(self.settings.streaming));
        let result = OVERHEARD.scope(overheard.clone(), async {
            let whole = begun + self.settings.answer_seconds.time();
            if self.settings.streaming {
                self.streamed(request, quirks, begun, whole).await
            } else {
                self.at_once(request, quirks, begun, whole).await
            }
        });
        let key = self.key.as_ref();
        let result = match result.await {
            Err(_) if overheard.is_too_long() => Err(ModelError::TooLong { limit: LARGEST_BODY }),
            Err(error) => Err(words::of_error(error, key)),
            Ok(mut answer) => {
                words::of_answer(&mut answer, key);
                Ok(answer)
            }
        };
        (result, overheard.headers())
    }

    async fn at_once(
        &self,
        request: &Request<'_>,
        quirks: Quirks,
        begun: Instant,
        whole: Instant,
    ) -> Result<Answer, ModelError> {
        let (chat, outgoing) = (self.openai.chat(), self.outgoing(request, quirks, false));
        let completion: Completion = timeout_at(whole, chat.create_byot(&outgoing))
            .await
            .map_err(|_| self.silent(Phase::Whole))?
            .map_err(meant)?;
        if let Some(error) = &completion.error {
            return Err(self.reported(error));
        }
        let mut answer = completion.answer()?;
        answer.took = Took { first: None, whole: begun.elapsed(), attempts: 1 };
        Ok(answer)
    }

    async fn streamed(
        &self,
        request: &Request<'_>,
        quirks: Quirks,
        begun: Instant,
        whole: Instant,
    ) -> Result<Answer, ModelError> {
        let first_by = begun + self.settings.first_token_seconds.time();
        let (chat, outgoing) = (self.openai.chat(), self.outgoing(request, quirks, true));
        let opening = chat.create_stream_byot::<_, Chunk>(&outgoing);
        let mut stream =
            timeout_at(first_by.min(whole), opening).await.map_err(|_| self.silent(Phase::First))?.map_err(meant)?;
        let mut gathering = Gathering::default();
        let mut first: Option<Duration> = None;
        loop {
            let (by, phase) = match first {
                None => (first_by, Phase::First),
                Some(_) => (Instant::now() + self.settings.idle_seconds.time(), Phase::More),
            };
            let (by, phase) = if whole <= by { (whole, Phase::Whole) } else { (by, phase) };
            let Some(chunk) = timeout_at(by, stream.next()).await.map_err(|_| self.silent(phase))? else { break };
            let chunk = chunk.map_err(meant)?;
            if let Some(error) = &chunk.error {
                return Err(self.reported(error));
            }
            if gathering.add(chunk) && first.is_none() {
                first = Some(begun.elapsed());
                model_spans::first_token();
            }
        }
        if !gathering.is_finished() {
            return Err(ModelError::CutOff { why: "the stream ended before the answer did".into() });
        }
        let mut answer = gathering.answer();
        answer.took = Took { first, whole: begun.elapsed(), attempts: 1 };
        Ok(answer)
    }

    fn outgoing<'a>(&'a self, request: &'a Request<'a>, quirks: Quirks, stream: bool) -> Outgoing<'a> {
        let most = Some(request.max_tokens);
        Outgoing {
            model: &self.settings.model,
            messages: &request.messages,
            tools: &request.tools,
            tool_choice: request.tool_choice.filter(|_| !quirks.no_tool_choice),
            response_format: request.response_format.as_ref(),
            max_tokens: most.filter(|_| !quirks.completion_tokens),
            max_completion_tokens: most.filter(|_| quirks.completion_tokens),
            temperature: self.settings.temperature.filter(|_| !quirks.no_temperature),
            stream,
            stream_options: stream.then_some(StreamOptions { include_usage: true }),
        }
    }

    fn silent(&self, during: Phase) -> ModelError {
        let settings = &self.settings;
        let after = match during {
            Phase::First => settings.first_token_seconds,
            Phase::More => settings.idle_seconds,
            Phase::Whole => settings.answer_seconds,
        };
        ModelError::Silent { during, after: after.time() }
    }

    /// A failure that a server reports inside of what should be an answer.
    fn reported(&self, error: &serde_json::Value) -> ModelError {
        let body = serde_json::json!({"error": error}).to_string();
        let key = self.key.as_ref();
        Refusal { status: 200, body: &body, retry_after: None, model: &self.settings.model, key }.meaning()
    }
}

/// What an error of async-openai means.
fn meant(error: OpenAIError) -> ModelError {
    match error {
        OpenAIError::Boxed(boxed) => match boxed.downcast::<ModelError>() {
            Ok(error) => *error,
            Err(other) => ModelError::CutOff { why: other.to_string() },
        },
        OpenAIError::Reqwest(error) => ModelError::CutOff { why: innermost(&error) },
        OpenAIError::JSONDeserialize(error, _) => ModelError::Malformed { what: error.to_string() },
        OpenAIError::StreamError(error) => {
            let why = error.to_string();
            if why.contains("UTF8") || why.contains("Parse") {
                ModelError::Malformed { what: why }
            } else {
                ModelError::CutOff { why }
            }
        }
        OpenAIError::ApiError(error) => ModelError::Refused {
            status: error.status_code.as_u16(),
            parameter: error.api_error.param.clone(),
            why: error.to_string(),
        },
        other => ModelError::Malformed { what: other.to_string() },
    }
}
