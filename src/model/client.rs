//! The client of one model: counts what it is about to send, waits to be let through, attempts, and attempts again
//! where that makes sense.
//!
//! A call ends. It makes at most `attempts` attempts of at most `answer_seconds` each and waits at most
//! `longest_wait_seconds` between two of them; what stands before the server may make it wait longer. Whatever fails,
//! nothing of an answer has been handed out, so an attempt can always be repeated. Dropping the future gives the call up
//! and closes its connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use tracing::Instrument;

use super::answer::Answer;
use super::dialect::Misread;
use super::error::{ModelError, Noticed, Worth};
use super::gate::{Gate, Heard, Size};
use super::request::Request;
use super::settings::{ModelSettings, SettingsError, Tokenizer};
use super::tokens::{Counted, Ruler};
use crate::telemetry::model_spans::{self, Asked};

mod attempt;
mod counting;
mod refusal;
mod service;
mod usage;
mod wait;
mod wire;
mod words;

pub use counting::{Listed, Served};

/// From this share of the context on, an estimate is not enough if the server can count.
const TIGHT: f64 = 0.7;

/// Asks one model.
pub struct ModelClient {
    settings: ModelSettings,
    address: Url,
    key: Option<SecretString>,
    openai: Client<OpenAIConfig>,
    http: reqwest::Client,
    ruler: Ruler,
    learned: Learned,
}

impl std::fmt::Debug for ModelClient {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelClient").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What a server turned out not to accept. It is learned once, from its refusal.
#[derive(Debug, Default)]
struct Learned {
    completion_tokens: AtomicBool,
    no_temperature: AtomicBool,
    no_tool_choice: AtomicBool,
}

/// What is known of a server when an attempt begins.
#[derive(Debug, Clone, Copy)]
struct Quirks {
    /// It wants `max_completion_tokens`, as OpenAI's newer models do.
    completion_tokens: bool,
    /// It allows no temperature.
    no_temperature: bool,
    /// It does not know the demand for a call.
    no_tool_choice: bool,
}

impl Learned {
    fn quirks(&self) -> Quirks {
        Quirks {
            completion_tokens: self.completion_tokens.load(Ordering::Relaxed),
            no_temperature: self.no_temperature.load(Ordering::Relaxed),
            no_tool_choice: self.no_tool_choice.load(Ordering::Relaxed),
        }
    }

    /// Whether a refusal teaches something that was not known.
    fn learns(&self, error: &ModelError) -> bool {
        let ModelError::Refused { status: 400 | 422, parameter, why } = error else { return false };
        let names = |name: &str| parameter.as_deref() == Some(name) || why.contains(name);
        let quirk = if names("max_completion_tokens") {
            &self.completion_tokens
        } else if names("temperature") {
            &self.no_temperature
        } else if names("tool_choice") {
            &self.no_tool_choice
        } else {
            return false;
        };
        !quirk.swap(true, Ordering::Relaxed)
    }
}

impl ModelClient {
    /// A client. Nothing is sent yet. `variable` reads the environment.
    ///
    /// # Errors
    /// When the address cannot be used or the key is missing.
    pub fn open(settings: ModelSettings, variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let address = settings.address()?;
        let key = settings.key(variable)?;
        let mut http = reqwest::Client::builder()
            .connect_timeout(settings.connect_seconds.time())
            // A redirect would carry the key to wherever it points.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("watchfloor/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&address) {
            // No proxy leads to this machine itself, whatever the environment says.
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| SettingsError::Client { why: service::innermost(&error) })?;
        let service = service::Service { http: http.clone(), model: settings.model.as_str().into(), key: key.clone() };
        // Everything is set, since the crate would look into the environment for what is not.
        let config = OpenAIConfig::new()
            .with_api_base(settings.base_url.trim_end_matches('/'))
            .with_api_key(key.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default())
            .with_org_id("")
            .with_project_id("");
        let openai = Client::build(http.clone(), config)
            .with_http_service(tower::service_fn(move |factory| service.clone().send(factory)));
        let (ruler, learned) = (Ruler::default(), Learned::default());
        Ok(Self { settings, address, key, openai, http, ruler, learned })
    }

    /// The model, as the server names it.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.settings.model
    }

    /// Its settings.
    #[must_use]
    pub const fn settings(&self) -> &ModelSettings {
        &self.settings
    }

    /// How many tokens a request has, as far as can be told without the server.
    #[must_use]
    pub fn count(&self, request: &Request<'_>) -> Counted {
        self.ruler.count(request)
    }

    /// Asks the model. Each attempt passes the gate.
    ///
    /// # Errors
    /// When it has no answer, after as many attempts as made sense; or when the request does not fit into the context,
    /// in which case it is not sent at all.
    pub async fn ask(&self, request: &Request<'_>, gate: &dyn Gate) -> Result<Answer, ModelError> {
        self.ask_and_read(request, gate, |_| Ok(())).await.map(|(answer, _)| answer)
    }

    /// As [`ask`](Self::ask), and reads the answer while its span is still open, so that an answer that asks for nothing
    /// that could be done is seen there.
    ///
    /// # Errors
    /// As [`ask`](Self::ask). What the answer asks for is no error of the call.
    pub async fn ask_and_read<R>(
        &self,
        request: &Request<'_>,
        gate: &dyn Gate,
        read: impl FnOnce(&Answer) -> Result<R, Misread>,
    ) -> Result<(Answer, Result<R, Misread>), ModelError> {
        let span = model_spans::chat(&Asked {
            model: &self.settings.model,
            server: self.address.host_str().unwrap_or_default(),
            port: self.address.port_or_known_default().unwrap_or_default(),
            stream: self.settings.streaming,
            max_tokens: request.max_tokens,
            json: request.response_format.is_some(),
        });
        let answer = match self.asked(request, gate).instrument(span.clone()).await {
            Ok(answer) => answer,
            Err(error) => {
                model_spans::record_error(&span, error.kind());
                return Err(error);
            }
        };
        let reading = read(&answer);
        model_spans::record_answer(
            &span,
            &model_spans::Heard {
                id: answer.id.as_deref(),
                model: answer.model.as_deref(),
                finish: answer.finish.word(),
                tokens: answer.usage.map(|usage| [usage.input, usage.cached, usage.output, usage.reasoning]),
                attempts: answer.took.attempts,
                first: answer.took.first,
                misread: reading.as_ref().err().map(Misread::kind),
            },
        );
        Ok((answer, reading))
    }

    async fn asked(&self, request: &Request<'_>, gate: &dyn Gate) -> Result<Answer, ModelError> {
        let counted = self.ruler.count(request);
        let input = self.fits(request, counted).await?;
        let size = Size { input, most_output: request.max_tokens.into() };
        let (mut made, mut again) = (0, 0);
        loop {
            let admitted = gate.admit(size).await?;
            made += 1;
            let quirks = self.learned.quirks();
            let span = model_spans::attempt(made);
            let (mut result, headers) = self.attempt(request, quirks).instrument(span.clone()).await;
            if let Ok(answer) = &mut result {
                let context = self.settings.context_tokens;
                answer.usage = answer.usage.and_then(|usage| usage::believed(usage, counted, context));
            }
            let outcome = result.as_ref().map(|answer| answer.usage);
            admitted.ended(&Heard { outcome, headers: &headers });
            let error = match result {
                Ok(mut answer) => {
                    answer.took.attempts = made;
                    if let Some(usage) = answer.usage {
                        self.ruler.learn(counted, usage.input);
                    }
                    return Ok(answer);
                }
                Err(error) => error,
            };
            model_spans::record_error(&span, error.kind());
            drop(span);
            // A lesson is no failure of the server: it is tried at once, and there are few of them.
            if self.learned.learns(&error) {
                continue;
            }
            let wait = self.wait(&error, made, &mut again).ok_or(error)?;
            tokio::time::sleep(wait.0).instrument(model_spans::wait(wait.1, &self.settings.model, wait.0)).await;
        }
    }

    /// How long to wait before another attempt, and why; none if there should not be one.
    fn wait(&self, error: &ModelError, made: u32, again: &mut u32) -> Option<(Duration, &'static str)> {
        if made >= self.settings.attempts {
            return None;
        }
        match error.worth() {
            Worth::Never => return None,
            Worth::Once if *again > 0 => return None,
            Worth::Once => *again += 1,
            Worth::More => {}
        }
        let longest = self.settings.longest_wait_seconds.time();
        match error.retry_after() {
            Some(wait) if wait > longest => None,
            Some(wait) => Some((wait, "retry_after")),
            None => Some((wait::backoff(made).min(longest), "backoff")),
        }
    }

    /// The request's tokens, if they fit into the context with its longest answer.
    async fn fits(&self, request: &Request<'_>, counted: Counted) -> Result<u64, ModelError> {
        let limit = u64::from(self.settings.context_tokens);
        let needed = |input: u64| input.saturating_add(request.max_tokens.into());
        let mut input = counted.total();
        let tight = f64::from(self.settings.context_tokens) * TIGHT;
        #[allow(clippy::cast_precision_loss, reason = "token counts are far from f64's limits")]
        let is_tight = needed(input) as f64 > tight;
        if is_tight && self.settings.tokenizer != Tokenizer::Estimate {
            // A server that cannot count just now leaves the estimate to decide.
            match self.counted_by_server(request).await {
                Ok(exact) => input = exact,
                Err(error) => tracing::debug!(%error, "the server did not count, the estimate decides"),
            }
        }
        if needed(input) > limit {
            let (tokens, limit) = (Some(needed(input)), Some(limit));
            return Err(ModelError::ContextOverflow { tokens, limit, noticed: Noticed::Here });
        }
        Ok(input)
    }
}

/// Whether an address is this machine itself.
fn is_loopback(address: &Url) -> bool {
    match address.host_str() {
        Some("localhost") => true,
        Some(host) => host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_refusal_teaches_once() {
        let refused = |parameter: Option<&str>, why: &str| ModelError::Refused {
            status: 400,
            parameter: parameter.map(str::to_owned),
            why: why.into(),
        };
        let learned = Learned::default();
        let wants = refused(Some("max_tokens"), "'max_tokens' is not supported: use 'max_completion_tokens' instead.");
        assert!(learned.learns(&wants) && !learned.learns(&wants), "once");
        assert!(learned.learns(&refused(Some("temperature"), "only the default (1) is supported")));
        assert!(!learned.learns(&refused(Some("messages"), "max_tokens is too large")));
        assert!(!learned.learns(&ModelError::Denied { why: "temperature".into() }));
        let quirks = learned.quirks();
        assert!(quirks.completion_tokens && quirks.no_temperature && !quirks.no_tool_choice);
    }

    #[test]
    fn this_machine_is_known_by_every_name_it_has() {
        let is = |url: &str| is_loopback(&Url::parse(url).expect("an address"));
        assert!(is("http://localhost:1/v1") && is("http://127.0.0.2:1/v1") && is("http://[::1]:1/v1"));
        assert!(!is("https://api.example.com/v1") && !is("http://10.0.0.1/v1"));
    }
}
