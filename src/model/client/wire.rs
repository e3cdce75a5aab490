//! What servers send, read generously: fields that are missing, null, of another type or unknown are all met in practice.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::model::answer::{Answer, Finish, RawCall, Timings, Took, Usage};
use crate::model::error::ModelError;

/// Calls that are kept of an answer. No dialect takes nearly as many, so what is more only has to be seen to be more.
const MOST_GATHERED: usize = 1024;

/// An answer that came whole.
#[derive(Debug, Deserialize)]
pub(super) struct Completion {
    id: Option<String>,
    model: Option<String>,
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default, deserialize_with = "if_readable")]
    usage: Option<WireUsage>,
    #[serde(default, deserialize_with = "if_readable")]
    timings: Option<Timings>,
    /// Some servers report failures with status 200.
    pub(super) error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    message: Option<Part>,
    finish_reason: Option<Finish>,
}

/// A piece of an answer that is streamed.
#[derive(Debug, Deserialize)]
pub(super) struct Chunk {
    id: Option<String>,
    model: Option<String>,
    #[serde(default)]
    choices: Vec<ChunkChoice>,
    #[serde(default, deserialize_with = "if_readable")]
    usage: Option<WireUsage>,
    #[serde(default, deserialize_with = "if_readable")]
    timings: Option<Timings>,
    pub(super) error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct ChunkChoice {
    delta: Option<Part>,
    finish_reason: Option<Finish>,
}

/// A message, or a piece of one.
#[derive(Debug, Default, Deserialize)]
struct Part {
    content: Option<Content>,
    reasoning_content: Option<String>,
    /// vLLM's newer name of it.
    reasoning: Option<String>,
    refusal: Option<String>,
    tool_calls: Option<Vec<WireCall>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Pieces(Vec<Piece>),
}

#[derive(Debug, Deserialize)]
struct Piece {
    #[serde(default)]
    text: String,
}

impl Content {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Pieces(pieces) => pieces.into_iter().map(|piece| piece.text).collect(),
        }
    }
}

#[derive(Debug, Deserialize)]
struct WireCall {
    index: Option<usize>,
    id: Option<String>,
    function: Option<WireFunction>,
}

#[derive(Debug, Deserialize)]
struct WireFunction {
    name: Option<String>,
    /// Text, or the object itself.
    arguments: Option<Value>,
}

/// What only accompanies an answer: one that makes no sense costs its own loss and not the answer's.
fn if_readable<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    Ok(value.filter(Value::is_object).and_then(|value| T::deserialize(value).ok()))
}

/// Counts. A negative one, or a text, makes all of it unreadable.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct WireUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    prompt_tokens_details: Option<Details>,
    completion_tokens_details: Option<Details>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
}

impl WireUsage {
    fn usage(self, timings: Option<Timings>) -> Usage {
        let cached = self.prompt_tokens_details.and_then(|details| details.cached_tokens);
        Usage {
            input: self.prompt_tokens,
            cached: cached.or_else(|| timings.map(|timings| timings.cached)).unwrap_or(0),
            output: self.completion_tokens,
            reasoning: self.completion_tokens_details.and_then(|details| details.reasoning_tokens).unwrap_or(0),
        }
    }
}

impl Completion {
    /// The answer in it.
    pub(super) fn answer(self) -> Result<Answer, ModelError> {
        let mut gathering = Gathering { id: self.id, model: self.model, ..Gathering::default() };
        let choice = self.choices.into_iter().next();
        let choice = choice.ok_or_else(|| ModelError::Malformed { what: "it holds no `choices`".into() })?;
        let message = choice.message.ok_or_else(|| ModelError::Malformed { what: "it holds no `message`".into() })?;
        gathering.take(message);
        gathering.finish = choice.finish_reason;
        (gathering.usage, gathering.timings) = (self.usage, self.timings);
        Ok(gathering.answer())
    }
}

/// An answer as it is put together from its pieces.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    id: Option<String>,
    model: Option<String>,
    content: String,
    reasoning: String,
    calls: Vec<Gathered>,
    finish: Option<Finish>,
    usage: Option<WireUsage>,
    timings: Option<Timings>,
    /// Bytes of all texts.
    size: u64,
}

#[derive(Debug, Default)]
struct Gathered {
    index: Option<usize>,
    id: String,
    name: String,
    arguments: String,
}

impl Gathering {
    /// Takes a piece; says whether something of the answer was in it.
    pub(super) fn add(&mut self, chunk: Chunk) -> bool {
        self.id = self.id.take().or(chunk.id);
        self.model = self.model.take().or(chunk.model);
        self.usage = chunk.usage.or(self.usage);
        self.timings = chunk.timings.or(self.timings);
        let mut said = false;
        for choice in chunk.choices.into_iter().take(1) {
            self.finish = choice.finish_reason.or(self.finish);
            said |= self.take(choice.delta.unwrap_or_default());
        }
        said
    }

    fn take(&mut self, part: Part) -> bool {
        let before = self.size;
        let content = part.content.map(Content::text).or(part.refusal).unwrap_or_default();
        let reasoning = part.reasoning_content.or(part.reasoning).unwrap_or_default();
        self.size += (content.len() + reasoning.len()) as u64;
        self.content.push_str(&content);
        self.reasoning.push_str(&reasoning);
        for call in part.tool_calls.into_iter().flatten() {
            self.call(call);
        }
        self.size > before
    }

    /// A call, or more of one. Pieces of one call share an index; servers without indices send each call whole.
    fn call(&mut self, call: WireCall) {
        // Most pieces belong to the newest call.
        let known = call.index.and_then(|index| self.calls.iter().rposition(|gathered| gathered.index == Some(index)));
        if known.is_none() && self.calls.len() >= MOST_GATHERED {
            self.size += 1;
            return;
        }
        let place = known.unwrap_or_else(|| {
            self.calls.push(Gathered { index: call.index, ..Gathered::default() });
            self.calls.len() - 1
        });
        let gathered = &mut self.calls[place];
        if let Some(id) = call.id.filter(|_| gathered.id.is_empty()) {
            gathered.id = id;
        }
        let Some(function) = call.function else { return };
        let name = function.name.unwrap_or_default();
        let arguments = match function.arguments {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text,
            Some(value) => value.to_string(),
        };
        // A call without a word still is one.
        self.size += (name.len() + arguments.len()).max(1) as u64;
        gathered.name.push_str(&name);
        gathered.arguments.push_str(&arguments);
    }

    /// Whether the server said that the answer is complete.
    pub(super) const fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// The answer.
    pub(super) fn answer(self) -> Answer {
        let (content, thought) = apart(self.content);
        let mut calls: Vec<RawCall> = Vec::with_capacity(self.calls.len());
        for (place, call) in self.calls.into_iter().enumerate() {
            // Results are matched by id, so each call needs one of its own.
            let taken = call.id.is_empty() || calls.iter().any(|earlier| earlier.id == call.id);
            let id = if taken { format!("call-{}", place + 1) } else { call.id };
            calls.push(RawCall::new(id, call.name, call.arguments));
        }
        Answer {
            id: self.id,
            model: self.model,
            content,
            reasoning: if self.reasoning.is_empty() { thought } else { self.reasoning },
            calls,
            finish: self.finish.unwrap_or(Finish::Other),
            usage: self.usage.map(|usage| usage.usage(self.timings)),
            timings: self.timings,
            took: Took::default(),
        }
    }
}

/// Thoughts that a server left at the beginning of the text, apart from it.
fn apart(content: String) -> (String, String) {
    let Some(rest) = content.trim_start().strip_prefix("<think>") else { return (content, String::new()) };
    let (thought, said) = rest.split_once("</think>").unwrap_or((rest, ""));
    (said.trim_start().to_owned(), thought.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn streamed(chunks: &[Value]) -> Answer {
        let mut gathering = Gathering::default();
        for chunk in chunks {
            gathering.add(serde_json::from_value(chunk.clone()).expect("a chunk"));
        }
        gathering.answer()
    }

    #[test]
    fn pieces_of_a_call_are_put_together_by_index() {
        let piece = |call: Value| json!({"choices": [{"delta": {"tool_calls": [call]}}]});
        let answer = streamed(&[
            piece(json!({"index": 0, "id": "a", "function": {"name": "look", "arguments": ""}})),
            piece(json!({"index": 1, "id": "a", "function": {"name": "see", "arguments": "{}"}})),
            piece(json!({"index": 0, "function": {"arguments": "{\"at\":1}"}})),
            json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}),
            json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 7}}}),
        ]);
        let calls = [RawCall::new("a", "look", "{\"at\":1}"), RawCall::new("call-2", "see", "{}")];
        assert_eq!((answer.calls.as_slice(), answer.finish), (calls.as_slice(), Finish::ToolCalls));
        assert_eq!(answer.usage, Some(Usage { input: 9, cached: 7, output: 2, reasoning: 0 }));
    }

    #[test]
    fn a_whole_answer_reads_the_same_as_its_stream() {
        let message = json!({"content": "x", "reasoning_content": "r",
            "tool_calls": [{"id": "i", "function": {"name": "look", "arguments": {"at": 1}}}]});
        let whole: Completion =
            serde_json::from_value(json!({"choices": [{"message": message, "finish_reason": "stop"}]})).expect("whole");
        let pieces = streamed(&[json!({"choices": [{"delta": message, "finish_reason": "stop"}]})]);
        assert_eq!(whole.answer().expect("an answer"), pieces);
    }

    #[test]
    fn a_count_that_cannot_be_read_costs_no_answer() {
        for usage in [json!({"prompt_tokens": -5, "completion_tokens": 1}), json!("none"), json!([1]), json!(null)] {
            let answer = streamed(&[json!({"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}],
                "usage": usage, "timings": {"prompt_ms": null}})]);
            assert_eq!((answer.content.as_str(), answer.usage, answer.timings), ("a", None, None), "{usage}");
        }
    }

    #[test]
    fn of_calls_without_end_no_more_are_kept_than_it_takes_to_refuse_them() {
        let call = |index: usize| json!({"index": index, "id": "x", "function": {"name": "look", "arguments": "{}"}});
        let calls: Vec<Value> = (0..5_000).map(call).collect();
        let answer = streamed(&[json!({"choices": [{"delta": {"tool_calls": calls}, "finish_reason": "tool_calls"}]})]);
        assert_eq!(answer.calls.len(), MOST_GATHERED);
    }

    #[test]
    fn thoughts_in_the_text_are_kept_apart() {
        assert_eq!(apart("<think>\nhm\n</think>\n\nyes".into()), ("yes".into(), "hm".into()));
        assert_eq!(apart("a <think> b".into()), ("a <think> b".into(), String::new()));
        assert_eq!(apart("<think>on and on".into()), (String::new(), "on and on".into()));
    }

    #[test]
    fn content_may_be_pieces_and_unknown_words_are_no_failure() {
        let answer = streamed(&[json!({"choices": [{"delta": {"content": [{"type": "text", "text": "a"}]},
            "finish_reason": "eos"}], "surprise": 1})]);
        assert_eq!((answer.content.as_str(), answer.finish), ("a", Finish::Other));
    }
}
