//! What a server's refusal means: its status, its words, and the codes that servers write as text or as numbers.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use super::words;
use crate::model::error::{ModelError, Noticed};

/// How servers say that a request is too large for the model.
const OVERFLOWS: [&str; 8] = [
    "maximum context length",
    "exceeds the available context size",
    "exceed_context_size",
    "context_length_exceeded",
    "longer than the maximum model length",
    "exceeds the context window",
    "exceeds context size",
    "prompt is too long",
];

/// A refusal as it came.
pub(super) struct Refusal<'a> {
    /// The status.
    pub(super) status: u16,
    /// The body.
    pub(super) body: &'a str,
    /// When to come again.
    pub(super) retry_after: Option<Duration>,
    /// The model asked for.
    pub(super) model: &'a str,
    /// The key, so that it is not repeated.
    pub(super) key: Option<&'a SecretString>,
}

impl Refusal<'_> {
    /// What it means.
    pub(super) fn meaning(&self) -> ModelError {
        let body: Value = serde_json::from_str(self.body).unwrap_or(Value::Null);
        // OpenAI's shape, or the older one of vLLM without the object around it.
        let error = body.get("error").filter(|error| !error.is_null()).unwrap_or(&body);
        let text = |key: &str| match error.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let (code, kind) = (text("code"), text("type"));
        let why = self.words(error, &body);
        // A failure inside a stream has no status but its code.
        let status = if self.status == 200 { code.parse().unwrap_or(500) } else { self.status };
        if self.is_overflow(&[&code, &kind, &why]) {
            return overflow(error, &why);
        }
        let said = format!("{code} {kind} {why}").to_lowercase();
        match status {
            402 => ModelError::Exhausted { why },
            429 if said.contains("insufficient_quota") => ModelError::Exhausted { why },
            429 => ModelError::Limited { retry_after: self.retry_after, why },
            401 | 403 => ModelError::Denied { why },
            404 if said.contains("model") => ModelError::UnknownModel { model: self.model.into(), why },
            400 if code == "model_not_found" => ModelError::UnknownModel { model: self.model.into(), why },
            408 | 425 | 500 | 502..=599 => ModelError::Overloaded { status, retry_after: self.retry_after, why },
            _ => {
                let parameter = Some(text("param")).filter(|parameter| !parameter.is_empty());
                ModelError::Refused { status, parameter, why }
            }
        }
    }

    fn is_overflow(&self, texts: &[&str]) -> bool {
        let may_be = matches!(self.status, 200 | 400 | 413 | 422 | 500);
        may_be && texts.iter().any(|text| OVERFLOWS.iter().any(|words| text.to_lowercase().contains(words)))
    }

    /// What it says, short, without characters that hide, and without the key.
    fn words(&self, error: &Value, body: &Value) -> String {
        let said = [error.get("message"), Some(error), body.get("detail")].into_iter().flatten();
        let said = said.filter_map(Value::as_str).next().unwrap_or(self.body).trim();
        words::told(if said.is_empty() { "it says nothing" } else { said }, self.key)
    }
}

/// The numbers of an overflow, where the server gives them.
fn overflow(error: &Value, why: &str) -> ModelError {
    let field = |key: &str| error.get(key).and_then(Value::as_u64);
    let after = |words: &str| {
        let rest = why.split_once(words)?.1;
        let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    let limit = field("n_ctx").or_else(|| {
        ["maximum context length is", "maximum model length of", "context size ("].iter().find_map(|words| after(words))
    });
    let tokens = field("n_prompt_tokens").or_else(|| {
        ["resulted in", "you requested", "your request has", "prompt (length", "request ("]
            .iter()
            .find_map(|words| after(words))
    });
    ModelError::ContextOverflow { tokens, limit, noticed: Noticed::Server }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(status: u16, body: &str) -> ModelError {
        let key = SecretString::from("sk-s3cret");
        Refusal { status, body, retry_after: Some(Duration::from_secs(7)), model: "m", key: Some(&key) }.meaning()
    }

    #[test]
    fn an_overflow_is_recognised_in_every_servers_words() {
        let said = [
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":5000,"n_ctx":4096}}"#,
            ),
            (
                400,
                r#"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4900 in the messages, 100 in the completion).","type":"BadRequestError","param":null,"code":400}"#,
            ),
            (
                400,
                r#"{"error":{"message":"The decoder prompt (length 5000) is longer than the maximum model length of 4096.","code":400}}"#,
            ),
        ];
        for (status, body) in said {
            let expected =
                ModelError::ContextOverflow { tokens: Some(5000), limit: Some(4096), noticed: Noticed::Server };
            assert_eq!(meaning(status, body), expected, "{body}");
        }
    }

    #[test]
    fn a_code_may_be_a_number() {
        let limited = meaning(429, r#"{"error":{"code":429,"message":"slow down","type":"rate_limit"}}"#);
        assert_eq!(limited.retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(limited.kind(), "rate_limited");
        let in_a_stream = meaning(200, r#"{"error":{"code":503,"message":"Loading model"}}"#);
        assert!(matches!(in_a_stream, ModelError::Overloaded { status: 503, .. }), "{in_a_stream:?}");
    }

    #[test]
    fn each_status_means_what_it_means() {
        let kinds = [
            (429, r#"{"error":{"code":"insufficient_quota","message":"pay"}}"#, "quota_exhausted"),
            (401, r#"{"error":{"message":"Incorrect API key provided: sk-s3cret"}}"#, "denied"),
            (404, r#"{"error":"model 'm' not found"}"#, "unknown_model"),
            (404, "{\"detail\":\"Not Found\"}", "refused"),
            (503, "<html>", "server_error"),
            (302, "", "refused"),
            (500, "", "server_error"),
        ];
        for (status, body, kind) in kinds {
            let meaning = meaning(status, body);
            assert_eq!(meaning.kind(), kind, "{body}");
            assert!(!meaning.to_string().contains("s3cret"), "{meaning}");
        }
    }
}
