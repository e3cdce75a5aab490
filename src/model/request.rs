//! What a model is asked: the conversation as an agent keeps it, one step of it, and the request as it is sent.
//!
//! A conversation only ever grows at its end, and is written the same way each time: a server recognises what it has
//! read before by its beginning, and reading 4,000 tokens again costs a local model half a minute.

use std::borrow::Cow;
use std::sync::OnceLock;

use serde::Serialize;
use serde_json::Value;

use super::answer::{Answer, RawCall};
use super::dialect::constrained::Actions;
use super::written::{Text, Written};

/// A conversation from its beginning: what never changes comes first.
#[derive(Debug, Clone)]
pub struct Conversation {
    system: String,
    tools: Vec<ToolCard>,
    /// The tools' arguments as native requests show them, written at the first one.
    parameters: OnceLock<Vec<Written>>,
    /// What the constrained loop says of the tools, written at its first request.
    pub(super) actions: OnceLock<Actions>,
    /// What was said since, oldest first.
    pub messages: Vec<Message>,
    /// How many tokens the server counted last, and for how many messages.
    pub measured: Option<Measured>,
}

impl Conversation {
    /// A conversation that begins. `system` says who the model is and what it is to do: no clock, number or id belongs in
    /// there. The tools keep their order; one that is not offered at a step stays in the list, see [`Step::only`].
    #[must_use]
    pub fn new(system: impl Into<String>, tools: Vec<ToolCard>) -> Self {
        Self {
            system: system.into(),
            tools,
            parameters: OnceLock::new(),
            actions: OnceLock::new(),
            messages: Vec::new(),
            measured: None,
        }
    }

    /// Who the model is and what it is to do.
    #[must_use]
    pub fn system(&self) -> &str {
        &self.system
    }

    /// The tools, in their order.
    #[must_use]
    pub fn tools(&self) -> &[ToolCard] {
        &self.tools
    }

    /// Each tool with its arguments as they are sent.
    pub(super) fn written_tools(&self) -> impl Iterator<Item = (&ToolCard, &Written)> {
        let write = || self.tools.iter().map(|tool| Written::of(&tool.parameters)).collect();
        self.tools.iter().zip(self.parameters.get_or_init(write))
    }

    /// We say something.
    pub fn say(&mut self, text: impl Into<String>) {
        self.messages.push(Message::User(text.into()));
    }

    /// The model said something: it is kept as it came, without what the model only thought.
    pub fn heard(&mut self, answer: &Answer) {
        let said = Said { content: answer.content.clone(), calls: answer.calls.clone() };
        self.messages.push(Message::Model(said));
        self.measured = answer.usage.map(|usage| Measured {
            messages: self.messages.len(),
            tokens: usage.total().saturating_sub(usage.reasoning),
        });
    }

    /// The calls of the last answer returned something.
    pub fn returned(&mut self, results: Vec<CallResult>) {
        self.messages.push(Message::Results(results));
    }
}

impl PartialEq for Conversation {
    fn eq(&self, other: &Self) -> bool {
        self.system == other.system
            && self.tools == other.tools
            && self.messages == other.messages
            && self.measured == other.measured
    }
}

/// What a server counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Messages from the first one, of the conversation or of the request, instructions and tools included.
    pub messages: usize,
    /// Their tokens.
    pub tokens: u64,
}

/// A tool as a model is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCard {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// JSON schema of its arguments, an object.
    pub parameters: Value,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// From the floor: the case, or a remark on the last answer.
    User(String),
    /// From the model, as it said it.
    Model(Said),
    /// What its calls returned, in the order they were asked.
    Results(Vec<CallResult>),
}

/// What a model said, kept as it came so that it can be shown to it again byte for byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Its text.
    pub content: String,
    /// Its native tool calls.
    pub calls: Vec<RawCall>,
}

/// What a call returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallResult {
    /// The id of the call. See [`ToolCall::ids`](super::dialect::ToolCall::ids) for calls that were asked twice.
    pub call: String,
    /// The tool.
    pub tool: String,
    /// The result, trimmed already.
    pub content: Text,
}

/// What may be answered this time.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The tools offered, each perhaps with narrower arguments (evidence ids as an `enum`, say); all if `None`.
    pub only: Option<Vec<Offer>>,
    /// The longest answer, in tokens.
    pub max_tokens: u32,
}

impl Step {
    /// A step at which every tool of the conversation is offered.
    #[must_use]
    pub const fn of_all(max_tokens: u32) -> Self {
        Self { only: None, max_tokens }
    }

    /// Whether a tool is offered.
    #[must_use]
    pub fn offers(&self, tool: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|offer| offer.tool == tool))
    }
}

/// A tool that is offered at a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Its name.
    pub tool: String,
    /// A narrower schema for this step.
    pub narrowed: Option<Value>,
}

/// A request as it is sent, without the model's name and how it is transported, which the client adds.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The messages.
    pub messages: Vec<WireMessage<'a>>,
    /// The tools.
    pub tools: Vec<WireTool<'a>>,
    /// Which tool must be called.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// What form the answer's text must have.
    pub response_format: Option<ResponseFormat>,
    /// The longest answer, in tokens. Sent under the name that the server knows.
    pub max_tokens: u32,
    /// How many tokens the server counted for how many of the messages.
    pub measured: Option<Measured>,
}

/// A message in OpenAI's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum WireMessage<'a> {
    /// Instructions.
    System {
        /// The text.
        content: Cow<'a, str>,
    },
    /// Ours.
    User {
        /// The text.
        content: Cow<'a, str>,
    },
    /// The model's.
    Assistant {
        /// The text; OpenAI wants `null` where there is none but calls.
        content: Option<Cow<'a, str>>,
        /// Its calls.
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        tool_calls: &'a [RawCall],
    },
    /// Results that answer no native call, as a text of ours.
    #[serde(rename = "user")]
    Results {
        /// The text.
        content: ToldResults<'a>,
    },
    /// A tool's result.
    Tool {
        /// The call it answers.
        tool_call_id: &'a str,
        /// The result.
        content: &'a Text,
    },
}

impl WireMessage<'_> {
    /// The texts a model reads of it.
    pub(super) fn texts(&self) -> Vec<&str> {
        match self {
            Self::System { content } | Self::User { content } => vec![content],
            Self::Assistant { content, tool_calls } => {
                let calls = tool_calls.iter().flat_map(|call| [&*call.function.name, &*call.function.arguments]);
                content.as_deref().into_iter().chain(calls).collect()
            }
            Self::Results { content } => content.0.iter().flat_map(|result| content.parts(result)).collect(),
            Self::Tool { content, .. } => vec![content],
        }
    }
}

/// Results as a text, put together only when it is sent: a call that waits for its turn holds no copy of what it has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldResults<'a>(pub(super) Vec<&'a CallResult>);

impl<'a> ToldResults<'a> {
    fn parts(&self, result: &'a CallResult) -> [&'a str; 5] {
        let is_first = self.0.first().is_some_and(|first| std::ptr::eq(*first, result));
        [if is_first { "" } else { "\n\n" }, "Result of ", &result.tool, ":\n", &result.content]
    }
}

impl Serialize for ToldResults<'_> {
    /// Joined from what each result was written as before.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let length: usize = self.0.iter().map(|result| result.content.escaped().len() + 64).sum();
        let mut joined = String::with_capacity(length);
        joined.push('"');
        for result in &self.0 {
            let [between, of, tool, end, _] = self.parts(result);
            let head = Text::from([between, of, tool, end].concat());
            joined.extend([head.escaped(), result.content.escaped()]);
        }
        joined.push('"');
        Written::text(joined).serialize(serializer)
    }
}

/// A tool in OpenAI's form.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WireTool<'a> {
    /// Always `function`.
    pub r#type: &'static str,
    /// The tool.
    pub function: WireFunction<'a>,
}

/// A tool's name, purpose and arguments in OpenAI's form.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WireFunction<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is for.
    pub description: &'a str,
    /// JSON schema of its arguments.
    pub parameters: &'a Written,
}

/// Which tool must be called. Servers accept it and some ignore it, so answers are checked all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    /// Any.
    Required,
    /// This one.
    Named(&'a str),
}

impl Serialize for ToolChoice<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Name<'n> {
            name: &'n str,
        }
        #[derive(Serialize)]
        struct Named<'n> {
            r#type: &'static str,
            function: Name<'n>,
        }
        match self {
            Self::Required => serializer.serialize_str("required"),
            Self::Named(name) => Named { r#type: "function", function: Name { name } }.serialize(serializer),
        }
    }
}

/// What form the answer's text must have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResponseFormat {
    r#type: &'static str,
    json_schema: NamedSchema,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct NamedSchema {
    name: &'static str,
    strict: bool,
    schema: Written,
}

impl ResponseFormat {
    /// JSON that follows this schema. Local servers hold a model to it in any case; `strict` is OpenAI's own dialect of
    /// schemas, which knows no optional fields.
    #[must_use]
    pub const fn json_schema(name: &'static str, schema: Written) -> Self {
        Self { r#type: "json_schema", json_schema: NamedSchema { name, strict: false, schema } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_one_text_of_ours() {
        let result =
            |tool: &str, content: &str| CallResult { call: "c".into(), tool: tool.into(), content: content.into() };
        let results = [result("look", "a \"b\"\n"), result("see", "\u{fc}")];
        let message = WireMessage::Results { content: ToldResults(results.iter().collect()) };
        let sent = serde_json::to_value(&message).expect("JSON");
        assert_eq!(sent["role"], "user");
        assert_eq!(sent["content"], "Result of look:\na \"b\"\n\n\nResult of see:\n\u{fc}");
        assert_eq!(message.texts().concat(), sent["content"].as_str().expect("a text"));
    }
}
