//! What a server says of itself beside answering: its models, its context size, and how many tokens a request has.

use std::time::Duration;

use futures::StreamExt;
use reqwest::{Method, Url};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::service::{broken, innermost};
use super::{ModelClient, words};
use crate::model::error::{ModelError, Phase};
use crate::model::request::Request;
use crate::model::settings::Tokenizer;

/// Most bytes that are taken of such an answer.
const LARGEST: usize = 16 << 20;

/// How long such an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A model that a server lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What a request of it may have, in tokens, if the server says.
    pub context: Option<u64>,
}

/// What kind of server it is, as far as it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// It answers `/props` as llama.cpp does: tokens of one slot, if it says.
    pub llama_cpp: bool,
    /// The context of one slot.
    pub context: Option<u64>,
    /// How many calls it answers at a time.
    pub slots: Option<u64>,
}

#[derive(Deserialize)]
struct Tokens {
    count: Option<u64>,
    tokens: Option<Vec<Value>>,
}

impl ModelClient {
    /// The models that the server lists.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn listed(&self) -> Result<Vec<Listed>, ModelError> {
        let list = self.ask_about(Method::GET, &self.below("models"), None).await?;
        let models = list.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let listed = models.iter().filter_map(|model| {
            let context = [model.get("max_model_len"), model.pointer("/meta/n_ctx"), model.get("context_length")];
            let context = context.into_iter().flatten().find_map(Value::as_u64);
            Some(Listed { name: model.get("id")?.as_str()?.to_owned(), context })
        });
        Ok(listed.collect())
    }

    /// What kind of server it is. One that does not answer is of no kind we know.
    pub async fn served(&self) -> Served {
        match self.ask_about(Method::GET, &self.beside("props"), None).await {
            Ok(props) => Served {
                llama_cpp: props.get("default_generation_settings").is_some(),
                context: props.pointer("/default_generation_settings/n_ctx").and_then(Value::as_u64),
                slots: props.get("total_slots").and_then(Value::as_u64),
            },
            Err(_) => Served { llama_cpp: false, context: None, slots: None },
        }
    }

    /// Whether the server counts tokens in this way.
    pub async fn counts(&self, tokenizer: Tokenizer) -> bool {
        let asked = match tokenizer {
            Tokenizer::Estimate => return false,
            Tokenizer::LlamaCpp => json!({"content": "a b"}),
            Tokenizer::Vllm => json!({"model": self.settings.model, "prompt": "a b"}),
        };
        self.tokenized(asked).await.is_ok()
    }

    /// The tokens of a request, counted by the server.
    pub(super) async fn counted_by_server(&self, request: &Request<'_>) -> Result<u64, ModelError> {
        let mut asked = json!({"messages": request.messages});
        if !request.tools.is_empty() {
            asked["tools"] = json!(request.tools);
        }
        match self.settings.tokenizer {
            Tokenizer::LlamaCpp => {
                let written = self.ask_about(Method::POST, &self.beside("apply-template"), Some(asked)).await?;
                let prompt = written.get("prompt").and_then(Value::as_str);
                let prompt = prompt.ok_or_else(|| ModelError::Malformed { what: "it holds no `prompt`".into() })?;
                self.tokenized(json!({"content": prompt, "add_special": true, "parse_special": true})).await
            }
            Tokenizer::Vllm | Tokenizer::Estimate => {
                asked["model"] = json!(self.settings.model);
                self.tokenized(asked).await
            }
        }
    }

    async fn tokenized(&self, asked: Value) -> Result<u64, ModelError> {
        let counted = self.ask_about(Method::POST, &self.beside("tokenize"), Some(asked)).await?;
        let counted =
            Tokens::deserialize(counted).map_err(|error| ModelError::Malformed { what: error.to_string() })?;
        let count = counted.count.or_else(|| counted.tokens.map(|tokens| tokens.len() as u64));
        count.ok_or_else(|| ModelError::Malformed { what: "it holds no count of tokens".into() })
    }

    /// An address below the base.
    fn below(&self, path: &str) -> String {
        format!("{}/{path}", self.settings.base_url.trim_end_matches('/'))
    }

    /// An address beside the protocol's `/v1`.
    fn beside(&self, path: &str) -> String {
        let base = self.settings.base_url.trim_end_matches('/');
        format!("{}/{path}", base.strip_suffix("/v1").unwrap_or(base))
    }

    async fn ask_about(&self, method: Method, url: &str, body: Option<Value>) -> Result<Value, ModelError> {
        let asking = async {
            let server = self.address.origin().ascii_serialization();
            let url = Url::parse(url)
                .map_err(|error| ModelError::Unreachable { server: server.clone(), why: error.to_string() })?;
            let mut request = self.http.request(method, url);
            if let Some(key) = &self.key {
                request = request.bearer_auth(key.expose_secret());
            }
            if let Some(body) = &body {
                request = request.json(body);
            }
            let response = request.send().await.map_err(|error| broken(&error, &server))?;
            let status = response.status();
            let (mut bytes, mut pieces) = (Vec::new(), response.bytes_stream());
            while let Some(piece) = pieces.next().await {
                bytes.extend_from_slice(&piece.map_err(|error| ModelError::CutOff { why: innermost(&error) })?);
                if bytes.len() > LARGEST {
                    return Err(ModelError::TooLong { limit: LARGEST as u64 });
                }
            }
            if !status.is_success() {
                let (body, key) = (String::from_utf8_lossy(&bytes), self.key.as_ref());
                let model = &self.settings.model;
                return Err(Refusal { status: status.as_u16(), body: &body, retry_after: None, model, key }.meaning());
            }
            serde_json::from_slice(&bytes).map_err(|error| ModelError::Malformed { what: error.to_string() })
        };
        let late = ModelError::Silent { during: Phase::Whole, after: PATIENCE };
        let asked = tokio::time::timeout(PATIENCE, asking).await.unwrap_or(Err(late));
        asked.map_err(|error| words::of_error(error, self.key.as_ref()))
    }
}
