//! `[models.NAME]` of the configuration: a server, a model of it, how long it may take, what it may be asked and what
//! that costs.
//!
//! ```toml
//! [models.local]
//! base_url = "http://127.0.0.1:8080/v1"
//! model = "qwen2.5-coder-1.5b"
//! context_tokens = 8192
//! dialect = "constrained"
//! tokenizer = "llama_cpp"
//! calls_in_flight = 2
//!
//! [models.cloud]
//! base_url = "https://models.example/v1"
//! model = "large"
//! api_key_env = "MODELS_KEY"
//! context_tokens = 65536
//! requests_per_minute = 600
//! tokens_per_minute = 90000
//! price = { currency = "USD", input = 2.50, cached = 0.25, output = 10 }
//! fallback = "local"
//! ```

use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::dialect::Dialect;
use super::dialect::constrained::Constrained;
use super::dialect::native::Native;
use super::limit::{InFlight, Limits, PerMinute, Price};

pub mod fallbacks;

/// A context below this holds no instructions, tools and an answer.
const LEAST_CONTEXT: u32 = 1024;

/// More attempts than this only keep a case from its other ways on.
const MOST_ATTEMPTS: u32 = 10;

/// A model and its server. `watchfloor doctor` checks it and says what to change.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// Where the protocol begins, `/v1` included in most cases.
    pub base_url: String,
    /// The model, as the server names it.
    pub model: String,
    /// The environment variable that holds the key. Keys do not belong in a file.
    pub api_key_env: Option<String>,
    /// What a request with its answer may have, in tokens; of a llama.cpp server, what one slot has.
    #[serde(deserialize_with = "context")]
    pub context_tokens: u32,
    /// How tool calls are asked for.
    #[serde(default)]
    pub dialect: DialectChoice,
    /// Who counts tokens when it gets tight.
    #[serde(default)]
    pub tokenizer: Tokenizer,
    /// Whether answers are streamed. A stream shows early that a server is stuck.
    #[serde(default = "yes")]
    pub streaming: bool,
    /// How freely it answers; the server's own choice if left out.
    pub temperature: Option<f64>,
    /// How long a connection may take to be made.
    #[serde(default = "connect")]
    pub connect_seconds: Seconds,
    /// How long the first of a streamed answer may take: reading a long prompt takes a small machine minutes.
    #[serde(default = "first_token")]
    pub first_token_seconds: Seconds,
    /// How long a stream may fall silent.
    #[serde(default = "idle")]
    pub idle_seconds: Seconds,
    /// How long a whole answer may take, streamed or not.
    #[serde(default = "answer")]
    pub answer_seconds: Seconds,
    /// How often a call is attempted at most.
    #[serde(default = "attempts", deserialize_with = "some_attempts")]
    pub attempts: u32,
    /// The longest wait between attempts. If a server asks for more, the call fails and says when to come again.
    #[serde(default = "longest_wait")]
    pub longest_wait_seconds: Seconds,
    /// Requests a minute. Not limited by us if left out; what the server says of its limits still counts.
    pub requests_per_minute: Option<PerMinute>,
    /// Tokens a minute, in and out together.
    pub tokens_per_minute: Option<PerMinute>,
    /// Calls under way at a time.
    #[serde(default)]
    pub calls_in_flight: InFlight,
    /// What its tokens cost. Left out, what calls cost is unknown.
    pub price: Option<Price>,
    /// The configured model that is asked where this one cannot answer.
    pub fallback: Option<String>,
}

impl ModelSettings {
    /// The settings of a model with everything else as it is by default.
    #[must_use]
    pub fn of(base_url: impl Into<String>, model: impl Into<String>, context_tokens: u32) -> Self {
        Self {
            base_url: base_url.into(),
            model: model.into(),
            api_key_env: None,
            context_tokens,
            dialect: DialectChoice::default(),
            tokenizer: Tokenizer::default(),
            streaming: true,
            temperature: None,
            connect_seconds: connect(),
            first_token_seconds: first_token(),
            idle_seconds: idle(),
            answer_seconds: answer(),
            attempts: attempts(),
            longest_wait_seconds: longest_wait(),
            requests_per_minute: None,
            tokens_per_minute: None,
            calls_in_flight: InFlight::default(),
            price: None,
            fallback: None,
        }
    }

    /// What it may be asked.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        Limits {
            requests: self.requests_per_minute,
            tokens: self.tokens_per_minute,
            in_flight: self.calls_in_flight.get(),
        }
    }

    /// The address of the server.
    ///
    /// # Errors
    /// When it is no HTTP address, or holds a password.
    pub fn address(&self) -> Result<Url, SettingsError> {
        // Not quoted: what is wrong with it may be a password.
        let wrong = |what: String| SettingsError::Address { what };
        let url = Url::parse(&self.base_url).map_err(|error| wrong(error.to_string()))?;
        match url.scheme() {
            _ if !url.username().is_empty() || url.password().is_some() => {
                Err(wrong("it holds a user or password; name a variable with `api_key_env` instead".into()))
            }
            "http" | "https" if url.host_str().is_some() => Ok(url),
            "http" | "https" => Err(wrong("it names no host".into())),
            other => Err(wrong(format!("`{other}` is neither http nor https"))),
        }
    }

    /// The key, from the environment.
    ///
    /// # Errors
    /// When the variable is not set, or holds what no header can carry.
    pub fn key(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Option<SecretString>, SettingsError> {
        let Some(name) = &self.api_key_env else { return Ok(None) };
        let key = variable(name).map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
        let key = SecretString::from(key.ok_or_else(|| SettingsError::NoKey { name: name.clone() })?);
        match HeaderValue::from_str(key.expose_secret()) {
            Ok(_) => Ok(Some(key)),
            Err(_) => Err(SettingsError::OddKey { name: name.clone() }),
        }
    }
}

/// Why a model's settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The address is wrong.
    #[error("`base_url` cannot be used: {what}; it looks like http://127.0.0.1:8080/v1")]
    Address {
        /// What is wrong with it.
        what: String,
    },
    /// The key is missing.
    #[error("the environment variable {name} is not set, and `api_key_env` names it: set it to the server's key")]
    NoKey {
        /// The variable.
        name: String,
    },
    /// The key has characters that no header can carry.
    #[error("the environment variable {name} holds line breaks or control characters: set it to the key alone")]
    OddKey {
        /// The variable.
        name: String,
    },
    /// No client can be made.
    #[error("no HTTP client can be made: {why}")]
    Client {
        /// What the system said.
        why: String,
    },
}

/// How tool calls are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DialectChoice {
    /// As native tool calls.
    #[default]
    Native,
    /// As one JSON object a step, held to a schema by the server.
    Constrained,
    /// As one JSON object a step, of a server that knows no schemas.
    Unconstrained,
}

impl DialectChoice {
    /// As the configuration writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Constrained => "constrained",
            Self::Unconstrained => "unconstrained",
        }
    }

    /// The dialect.
    #[must_use]
    pub fn dialect(self) -> Box<dyn Dialect> {
        match self {
            Self::Native => Box::new(Native),
            Self::Constrained => Box::new(Constrained { schema: true }),
            Self::Unconstrained => Box::new(Constrained { schema: false }),
        }
    }
}

/// Who counts tokens when a request comes close to the context's end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokenizer {
    /// An estimate, on the safe side.
    #[default]
    Estimate,
    /// The server, as llama.cpp answers: `/apply-template` and `/tokenize` beside `/v1`.
    LlamaCpp,
    /// The server, as vLLM answers: `/tokenize` beside `/v1`.
    Vllm,
}

impl Tokenizer {
    /// As the configuration writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Estimate => "estimate",
            Self::LlamaCpp => "llama_cpp",
            Self::Vllm => "vllm",
        }
    }
}

/// A time in seconds, fractions allowed, longer than none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "f64")]
pub struct Seconds(Duration);

impl Seconds {
    /// So many whole seconds.
    #[must_use]
    pub const fn whole(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    #[must_use]
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The time.
    #[must_use]
    pub const fn time(self) -> Duration {
        self.0
    }
}

impl TryFrom<f64> for Seconds {
    type Error = &'static str;

    fn try_from(seconds: f64) -> Result<Self, Self::Error> {
        match Duration::try_from_secs_f64(seconds) {
            Ok(time) if !time.is_zero() && seconds <= 86_400.0 => Ok(Self(time)),
            _ => Err("a time is a number of seconds above 0 and at most a day"),
        }
    }
}

fn context<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let tokens = u32::deserialize(deserializer)?;
    let refused =
        || format!("a context of {tokens} tokens is too small: give what the server takes, {LEAST_CONTEXT} or more");
    if tokens < LEAST_CONTEXT { Err(D::Error::custom(refused())) } else { Ok(tokens) }
}

fn some_attempts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let attempts = u32::deserialize(deserializer)?;
    let refused = || format!("{attempts} attempts at a call are none or too many: give 1 to {MOST_ATTEMPTS}");
    if (1..=MOST_ATTEMPTS).contains(&attempts) { Ok(attempts) } else { Err(D::Error::custom(refused())) }
}

const fn yes() -> bool {
    true
}

const fn connect() -> Seconds {
    Seconds::whole(3)
}

/// A small machine reads 16,000 tokens in about two and a half minutes; twice that.
const fn first_token() -> Seconds {
    Seconds::whole(300)
}

const fn idle() -> Seconds {
    Seconds::whole(60)
}

const fn answer() -> Seconds {
    Seconds::whole(600)
}

const fn attempts() -> u32 {
    3
}

/// Who waits longer should not hold a slot: the case is parked.
const fn longest_wait() -> Seconds {
    Seconds::whole(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_the_environment_and_never_shown() {
        let settings = ModelSettings { api_key_env: Some("KEY".into()), ..ModelSettings::of("http://h/v1", "m", 1) };
        let key = settings.key(|name| (name == "KEY").then(|| " s3cret\n".into())).expect("it is set").expect("a key");
        assert_eq!(key.expose_secret(), "s3cret");
        assert!(!format!("{key:?} {settings:?}").contains("s3cret"));
        assert!(settings.key(|_| None).is_err_and(|error| error.to_string().contains("KEY is not set")));
        let odd = settings.key(|_| Some("s3\ncret".into())).expect_err("it is odd");
        assert!(!odd.to_string().contains("s3"), "{odd}");
    }

    #[test]
    fn an_address_with_a_password_is_refused_without_quoting_it() {
        let refused = |url: &str| ModelSettings::of(url, "m", 1).address().expect_err("it is wrong").to_string();
        assert!(refused("http://me:s3cret@h/v1").contains("api_key_env"));
        assert!(!refused("http://me:s3cret@h/v1").contains("s3cret"));
        assert!(refused("ftp://h").contains("neither http nor https"));
        assert!(refused("127.0.0.1:8080").contains("looks like http://"));
    }
}
