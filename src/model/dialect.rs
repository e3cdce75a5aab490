//! Dialects: how tool calls are asked for and read, behind one trait.
//!
//! Native is OpenAI's own `tools` and `tool_calls`. The constrained loop asks for one JSON object per step, held to a
//! schema where the server can, because many local models never answer with a tool call. An answer is read, never
//! repaired: what cannot be read becomes a [`Misread`] whose text tells the model what to do instead.

use serde_json::{Map, Value};

use super::answer::Answer;
use super::request::{Conversation, Request, Step};

pub mod constrained;
pub mod fenced;
pub mod native;

/// More calls than this in one answer are no question, they are noise.
pub const MOST_CALLS: usize = 16;

/// How tool calls are asked for and read.
pub trait Dialect: Send + Sync {
    /// Its name, as the configuration writes it.
    fn name(&self) -> &'static str;

    /// The request for the next answer of a conversation.
    fn request<'a>(&self, conversation: &'a Conversation, step: &'a Step) -> Request<'a>;

    /// What an answer asks for.
    ///
    /// # Errors
    /// When it asks for nothing that could be done, with what the model should be told.
    fn read(&self, answer: &Answer, conversation: &Conversation, step: &Step) -> Result<Reading, Misread>;
}

/// What an answer asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Why, in the model's words.
    pub because: String,
    /// The calls, in the order asked, each once; never empty.
    pub calls: Vec<ToolCall>,
    /// How the calls came.
    pub form: Form,
}

/// A call that can be carried out: the tool is offered and the arguments are an object. Whether they are the right
/// ones, the tool says.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// The ids under which it was asked; more than one if the model asked the same twice. Each wants a result.
    pub ids: Vec<String>,
    /// The tool.
    pub tool: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
}

/// How calls came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// As native tool calls.
    Native,
    /// As JSON in the text, of a model that was asked for native ones.
    Fenced,
    /// As the action that was asked for.
    Action,
}

/// Why an answer asks for nothing that could be done. Its text is for the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misread {
    /// Nothing was said.
    #[error("Your answer was empty. Call one of the tools: {}.", list(.offered))]
    Empty {
        /// What can be called.
        offered: Vec<String>,
    },
    /// It thought and said nothing.
    #[error("You thought, but your answer was empty. Think briefly and call one of the tools: {}.", list(.offered))]
    ReasoningOnly {
        /// What can be called.
        offered: Vec<String>,
    },
    /// It spoke and called nothing.
    #[error("Your answer calls no tool. Call one of the tools: {}.", list(.offered))]
    Prose {
        /// What can be called.
        offered: Vec<String>,
    },
    /// The longest answer was reached in the middle of it.
    #[error("Your answer was cut off at {tokens} tokens. Answer shorter, with one tool call.")]
    Length {
        /// The longest answer.
        tokens: u32,
    },
    /// The arguments are no JSON object.
    #[error("The arguments of {tool} are not a JSON object: {what}. Call it again with valid JSON.")]
    Arguments {
        /// The tool.
        tool: String,
        /// What is wrong.
        what: String,
    },
    /// There is no such tool, or it is not offered now.
    #[error("There is no tool {tool} at this step. Call one of the tools: {}.", list(.offered))]
    UnknownTool {
        /// What it called.
        tool: String,
        /// What can be called.
        offered: Vec<String>,
    },
    /// More calls than anybody needs at once.
    #[error("You asked for {asked} calls at once. Ask for at most {MOST_CALLS}.")]
    TooMany {
        /// How many.
        asked: usize,
    },
    /// Several things in the text could be meant.
    #[error("Your answer holds JSON that may or may not be a tool call. Answer with the tool call alone.")]
    Ambiguous,
    /// A filter of the server cut it.
    #[error("A content filter cut your answer. Call one of the tools without quoting what you read.")]
    Filtered,
}

impl Misread {
    /// The kind as spans and counts show it: one word of a closed set.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Empty { .. } => "empty",
            Self::ReasoningOnly { .. } => "reasoning_only",
            Self::Prose { .. } => "prose",
            Self::Length { .. } => "length",
            Self::Arguments { .. } => "arguments",
            Self::UnknownTool { .. } => "unknown_tool",
            Self::TooMany { .. } => "too_many_calls",
            Self::Ambiguous => "ambiguous",
            Self::Filtered => "filtered",
        }
    }
}

/// The names a model can call at a step, in the conversation's order.
fn offered(conversation: &Conversation, step: &Step) -> Vec<String> {
    conversation.tools().iter().map(|tool| &tool.name).filter(|name| step.offers(name)).cloned().collect()
}

fn list(names: &[String]) -> String {
    names.join(", ")
}

/// A call as it was found, not yet checked.
struct Found {
    id: Option<String>,
    tool: String,
    arguments: Value,
}

/// Checks calls against what is offered, and puts those together that ask the same.
fn checked(found: Vec<Found>, conversation: &Conversation, step: &Step) -> Result<Vec<ToolCall>, Misread> {
    if found.len() > MOST_CALLS {
        return Err(Misread::TooMany { asked: found.len() });
    }
    let mut calls: Vec<ToolCall> = Vec::new();
    for (place, Found { id, tool, arguments }) in found.into_iter().enumerate() {
        let known = conversation.tools().iter().any(|card| card.name == tool);
        if !known || !step.offers(&tool) {
            return Err(Misread::UnknownTool { tool: shown(&tool), offered: offered(conversation, step) });
        }
        let Value::Object(arguments) = arguments else {
            return Err(Misread::Arguments { what: format!("they are {}", kind_of(&arguments)), tool });
        };
        let id = id.unwrap_or_else(|| format!("call-{}", place + 1));
        match calls.iter_mut().find(|call| call.tool == tool && call.arguments == arguments) {
            Some(same) => same.ids.push(id),
            None => calls.push(ToolCall { ids: vec![id], tool, arguments }),
        }
    }
    Ok(calls)
}

/// A name that a model made up, short enough to be told.
fn shown(name: &str) -> String {
    crate::domain::words::excerpt(name, 60).into_owned()
}

const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
