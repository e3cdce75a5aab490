//! What a model answered: its text, its calls as they came, and what the answer cost.
//!
//! The same type whether the answer was streamed or not. `finish_reason` is kept and never trusted: servers say
//! `tool_calls` without calls and `stop` in the middle of a text, so [dialects](super::dialect) look at the answer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An answer, complete and within its bounds. Whether it makes sense is for the dialect to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The server's id of it.
    pub id: Option<String>,
    /// The model that answered, as the server names it.
    pub model: Option<String>,
    /// The text.
    pub content: String,
    /// What the model thought aloud, kept apart: it is neither an answer nor shown to the model again.
    pub reasoning: String,
    /// Native tool calls, unread.
    pub calls: Vec<RawCall>,
    /// Why it ended, as the server says.
    pub finish: Finish,
    /// What it cost, if the server says.
    pub usage: Option<Usage>,
    /// How fast it was, if the server says (llama.cpp).
    pub timings: Option<Timings>,
    /// How long it took as seen from here.
    pub took: Took,
}

/// A tool call as it came: the arguments are text that may be anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawCall {
    /// The model's id of the call.
    pub id: String,
    /// Always `function`.
    #[serde(default = "function")]
    pub r#type: String,
    /// What is called.
    pub function: RawFunction,
}

/// What a call calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawFunction {
    /// The tool's name.
    pub name: String,
    /// Its arguments: JSON if all is well.
    pub arguments: String,
}

impl RawCall {
    /// A call.
    #[must_use]
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        let function = RawFunction { name: name.into(), arguments: arguments.into() };
        Self { id: id.into(), r#type: self::function(), function }
    }
}

fn function() -> String {
    "function".into()
}

/// Why an answer ended, as the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It was complete.
    Stop,
    /// It asks for tools.
    ToolCalls,
    /// It reached the longest answer allowed, so its end is missing.
    Length,
    /// A filter of the server cut it.
    ContentFilter,
    /// Something else, or nothing was said.
    #[serde(other)]
    Other,
}

impl Finish {
    /// As the protocol writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::ToolCalls => "tool_calls",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::Other => "other",
        }
    }
}

/// What an answer cost, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Read.
    pub input: u64,
    /// Of these, recognised from an earlier request and not read again.
    pub cached: u64,
    /// Written, reasoning included.
    pub output: u64,
    /// Of these, thought and not said.
    pub reasoning: u64,
}

impl Usage {
    /// Read and written.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// How fast a llama.cpp server was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Timings {
    /// Tokens of the prompt taken from the cache.
    #[serde(rename = "cache_n")]
    pub cached: u64,
    /// Tokens of the prompt that were read.
    #[serde(rename = "prompt_n")]
    pub read: u64,
    /// Time it took to read them, in milliseconds.
    #[serde(rename = "prompt_ms")]
    pub reading_ms: f64,
    /// Tokens written.
    #[serde(rename = "predicted_n")]
    pub written: u64,
    /// Time it took to write them, in milliseconds.
    #[serde(rename = "predicted_ms")]
    pub writing_ms: f64,
}

/// How long an answer took as seen from here, its failed attempts not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Took {
    /// Until something of the answer came; only a stream shows it.
    pub first: Option<Duration>,
    /// Until its end.
    pub whole: Duration,
    /// Attempts that were made, this one included.
    pub attempts: u32,
}
