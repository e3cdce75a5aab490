//! An answer as a server writes it: whole, or in pieces of a stream.

use serde_json::{Value, json};

use super::Style;
use super::script::Saying;
use crate::model::answer::Finish;

/// Characters of a text in one piece of a stream.
const PIECE: usize = 12;

/// What an answer is about to be written with.
pub(super) struct Sentence<'a> {
    pub(super) number: usize,
    pub(super) model: &'a str,
    pub(super) style: Style,
    pub(super) saying: &'a Saying,
    /// Tokens read, of these known before, and written.
    pub(super) tokens: [u64; 3],
    /// The longest answer, in tokens.
    pub(super) limit: u64,
}

impl Sentence<'_> {
    /// Why it ends.
    fn finish(&self) -> &'static str {
        let [_, _, written] = self.tokens;
        match self.saying.finish {
            Some(finish) => finish.word(),
            None if written >= self.limit => Finish::Length.word(),
            None if self.saying.calls.is_empty() => Finish::Stop.word(),
            None => Finish::ToolCalls.word(),
        }
    }

    fn usage(&self) -> Value {
        let [read, known, written] = self.tokens;
        if let Some(said) = &self.saying.usage {
            return said.clone();
        }
        json!({"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written,
            "prompt_tokens_details": {"cached_tokens": known}})
    }

    /// What surrounds an answer or a piece of one.
    fn frame(&self, object: &str, choices: &Value) -> Value {
        let mut frame = json!({"id": format!("chatcmpl-{}", self.number), "object": object, "created": 0,
            "model": self.model, "choices": choices});
        if self.style == Style::LlamaCpp && object == "chat.completion" {
            frame["timings"] = self.timings();
        }
        frame
    }

    fn timings(&self) -> Value {
        let [read, known, written] = self.tokens;
        json!({"cache_n": known, "prompt_n": read - known, "prompt_ms": 10.0, "predicted_n": written, "predicted_ms": 20.0})
    }

    /// The whole answer.
    pub(super) fn whole(&self) -> Value {
        let saying = self.saying;
        let silent = saying.content.is_empty() && !saying.calls.is_empty();
        let mut message =
            json!({"role": "assistant", "content": if silent { Value::Null } else { json!(saying.content) }});
        if !saying.reasoning.is_empty() {
            message["reasoning_content"] = json!(saying.reasoning);
        }
        if !saying.calls.is_empty() {
            message["tool_calls"] = json!(saying.calls);
        }
        let choices = json!([{"index": 0, "message": message, "finish_reason": self.finish()}]);
        let mut whole = self.frame("chat.completion", &choices);
        whole["usage"] = self.usage();
        whole
    }

    /// The pieces of a stream, without its end.
    pub(super) fn pieces(&self, with_usage: bool) -> Vec<Value> {
        let piece = |delta: Value, finish: Option<&str>| {
            self.frame("chat.completion.chunk", &json!([{"index": 0, "delta": delta, "finish_reason": finish}]))
        };
        let mut pieces = vec![piece(json!({"role": "assistant", "content": ""}), None)];
        pieces.extend(cut(&self.saying.reasoning).map(|text| piece(json!({"reasoning_content": text}), None)));
        pieces.extend(cut(&self.saying.content).map(|text| piece(json!({"content": text}), None)));
        for (index, call) in self.saying.calls.iter().enumerate() {
            let begin = json!({"index": index, "id": call.id, "type": "function",
                "function": {"name": call.function.name, "arguments": ""}});
            pieces.push(piece(json!({"tool_calls": [begin]}), None));
            let more = |text: String| json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]});
            pieces.extend(cut(&call.function.arguments).map(|text| piece(more(text), None)));
        }
        pieces.push(piece(json!({}), Some(self.finish())));
        if with_usage {
            let mut last = self.frame("chat.completion.chunk", &json!([]));
            last["usage"] = self.usage();
            if self.style == Style::LlamaCpp {
                last["timings"] = self.timings();
            }
            pieces.push(last);
        }
        pieces
    }
}

fn cut(text: &str) -> impl Iterator<Item = String> {
    let chars: Vec<char> = text.chars().collect();
    let pieces: Vec<String> = chars.chunks(PIECE).map(|piece| piece.iter().collect()).collect();
    pieces.into_iter()
}

/// One event of a stream.
pub(super) fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// An error as a server of this style writes it.
pub(super) fn error(style: Style, status: u16, code: &str, message: &str) -> Value {
    match style {
        Style::OpenAi => {
            json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": code}})
        }
        Style::LlamaCpp => json!({"error": {"message": message, "type": code, "code": status}}),
        Style::Vllm => json!({"error": {"message": message, "type": "BadRequestError", "param": null, "code": status}}),
    }
}
