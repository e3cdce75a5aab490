//! The configuration file, `watchfloor.toml`: what `watchfloor run` watches, who may send to it, and
//! which models there are.
//!
//! ```toml
//! follow = ["/var/log/windows/events.ndjson"]
//! rules = "rules"
//!
//! [context]
//! folder = "context"
//!
//! [listen]
//! address = "127.0.0.1:9200"
//! api_keys = ["winlogbeat:a-long-random-secret"]
//! users = ["logstash:another-secret"]
//!
//! [containment]
//! mode = "approve"
//!
//! [models.local]
//! base_url = "http://127.0.0.1:8080/v1"
//! model = "qwen3-8b"
//! context_tokens = 16384
//! calls_in_flight = 2
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::domain::containment::Mode;
use crate::model::settings::ModelSettings;
use crate::model::settings::fallbacks::{self, FallbackError};

/// What the file may say. Relative paths count from the file's own folder.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Files and folders to follow.
    pub follow: Vec<PathBuf>,
    /// Sigma rules.
    pub rules: Option<PathBuf>,
    /// What forwarders may send to.
    pub listen: Option<Listen>,
    /// Where context lies.
    pub context: ContextPlace,
    /// What happens to proposals to contain a device.
    pub containment: Containment,
    /// Models by the names that agents call them.
    pub models: BTreeMap<String, ModelSettings>,
}

/// Where what people know of their machines and accounts is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContextPlace {
    /// A folder of TOML files; `context` in the state folder if left out.
    pub folder: Option<PathBuf>,
}

/// What happens to proposals to contain a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Containment {
    /// What happens to one that passes every check.
    pub mode: Mode,
}

/// The port that forwarders send to.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Its address.
    pub address: SocketAddr,
    /// API keys, `id:key`.
    #[serde(default)]
    pub api_keys: Vec<String>,
    /// Users, `name:password`.
    #[serde(default)]
    pub users: Vec<String>,
}

impl std::fmt::Debug for Listen {
    /// Without the secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listen").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {path} cannot be read ({source}): check the path and its permissions")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It says something that is not known.
    #[error(
        "the configuration {path} is not understood: {what}; known are follow, rules, [listen] with address, api_keys and users, [context] with folder, [containment] with mode, and [models.NAME] with base_url, model, api_key_env, context_tokens, dialect, tokenizer, streaming, temperature, attempts and the times connect_seconds, first_token_seconds, idle_seconds, answer_seconds and longest_wait_seconds, the limits requests_per_minute, tokens_per_minute and calls_in_flight, price with currency, input, cached and output, and fallback"
    )]
    Unknown {
        /// The file.
        path: String,
        /// What is wrong, and where.
        what: String,
    },
    /// Its models cannot stand in for each other as it says.
    #[error("the configuration {path} cannot be used: {why}")]
    Fallbacks {
        /// The file.
        path: String,
        /// What is wrong.
        why: FallbackError,
    },
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// When it cannot be read, or says something that is not known.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let shown = || path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: shown(), source })?;
        let beside = path.parent().unwrap_or_else(|| Path::new(""));
        let config = Self::parse(&text, beside);
        let config = config.map_err(|error| ConfigError::Unknown { path: shown(), what: told(&error, &text) })?;
        fallbacks::of(&config.models).map_err(|why| ConfigError::Fallbacks { path: shown(), why })?;
        Ok(config)
    }

    fn parse(text: &str, beside: &Path) -> Result<Self, toml::de::Error> {
        let mut config: Self = toml::from_str(text)?;
        let Self { follow, rules, context, .. } = &mut config;
        follow.iter_mut().chain(rules).chain(&mut context.folder).for_each(|path| *path = beside.join(&*path));
        Ok(config)
    }
}

/// What is wrong, with its line but without quoting it: a secret may stand there.
fn told(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or_else(String::new, |before| format!(" (line {})", before.matches('\n').count() + 1));
    format!("{}{line}", error.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_is_read() {
        let text = "follow = ['a.ndjson', '/b']\n[listen]\naddress = '127.0.0.1:9200'\napi_keys = ['id:key']\n[context]\nfolder = 'c'\n";
        let config = Config::parse(text, Path::new("/etc/floor")).expect("it is understood");
        assert_eq!(config.follow, [Path::new("/etc/floor/a.ndjson"), Path::new("/b")]);
        assert_eq!(config.context.folder.as_deref(), Some(Path::new("/etc/floor/c")));
        let listen = config.listen.expect("it listens");
        assert_eq!((listen.address.port(), listen.api_keys.len(), listen.users.len()), (9200, 1, 0));
        assert!(!format!("{listen:?}").contains("key"));
    }

    #[test]
    fn containment_is_dry_unless_it_is_switched_on() {
        let mode = |text| Config::parse(text, Path::new("")).map(|config| config.containment.mode);
        assert_eq!(mode("").ok(), Some(Mode::DryRun));
        assert_eq!(mode("[containment]\nmode = 'approve'").ok(), Some(Mode::Approve));
        assert!(mode("[containment]\nmode = 'auto'").is_err());
    }

    #[test]
    fn models_are_named_and_have_sensible_times() {
        let text = "[models.local]\nbase_url = 'http://127.0.0.1:8080/v1'\nmodel = 'm'\ncontext_tokens = 4096\nidle_seconds = 0.5\n";
        let config = Config::parse(text, Path::new("")).expect("it is understood");
        let expected = ModelSettings {
            idle_seconds: crate::model::settings::Seconds::millis(500),
            ..ModelSettings::of("http://127.0.0.1:8080/v1", "m", 4096)
        };
        assert_eq!(config.models["local"], expected);
        let wrong = |line: &str| Config::parse(&format!("{text}{line}\n"), Path::new("")).is_err();
        assert!(wrong("api_key = 's3cret'") && wrong("answer_seconds = 0") && wrong("dialect = 'prose'"));
    }

    #[test]
    fn limits_that_are_none_are_refused_in_plain_words() {
        let text = "[models.local]\nbase_url = 'http://127.0.0.1:8080/v1'\nmodel = 'm'\n";
        let told = |line: &str| {
            let text = format!("{text}{line}\n");
            told(&Config::parse(&text, Path::new("")).expect_err(line), &text)
        };
        for (line, words) in [
            (
                "context_tokens = 4096\nrequests_per_minute = 0",
                "a limit of 0 a minute is none: give 1 to 60000000, or leave it out",
            ),
            ("context_tokens = 4096\ntokens_per_minute = 60000001", "leave it out"),
            ("context_tokens = 4096\ncalls_in_flight = 0", "the model would never be asked: give 1 or more"),
            ("context_tokens = 4096\nattempts = 0", "give 1 to 10"),
            ("context_tokens = 4096\nattempts = 11", "give 1 to 10"),
            ("context_tokens = 0", "a context of 0 tokens is too small"),
            ("context_tokens = 4096\nprice = { currency = 'USD', input = 1, output = 'much' }", "`much` is no price"),
            ("context_tokens = 4096\nprice = { currency = 'USD', input = 1 }", "missing field `output`"),
            ("context_tokens = 4096\nlimit = 4", "unknown field `limit`"),
        ] {
            let told = told(line);
            assert!(told.contains(words) && told.contains("(line "), "{line}: {told}");
        }
    }

    #[test]
    fn limits_prices_and_fallbacks_are_read() {
        let text = "[models.big]\nbase_url = 'http://h/v1'\nmodel = 'm'\ncontext_tokens = 4096\nrequests_per_minute = 600\n\
            tokens_per_minute = 90000\ncalls_in_flight = 8\nfallback = 'small'\n\
            price = { currency = 'EUR', input = 2.5, output = 10 }\n\
            [models.small]\nbase_url = 'http://h/v1'\nmodel = 's'\ncontext_tokens = 4096\n";
        let config = Config::parse(text, Path::new("")).expect("it is understood");
        let (big, small) = (&config.models["big"], &config.models["small"]);
        let limits = big.limits();
        let quota = |quota: Option<crate::model::limit::PerMinute>| quota.map(crate::model::limit::PerMinute::get);
        assert_eq!(
            (quota(limits.requests), quota(limits.tokens), limits.in_flight.get()),
            (Some(600), Some(90_000), 8)
        );
        assert_eq!(big.price.expect("a price").to_string(), "2.5 in, 10 out, in EUR a million tokens");
        assert_eq!(fallbacks::of(&config.models).expect("they fit")["big"], ["small"]);
        assert_eq!((small.limits().requests, small.price, small.limits().in_flight.get()), (None, None, 4));
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_without_its_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("watchfloor.toml");
        std::fs::write(&path, "follow = []\n[listen]\nadress = 'x'\napi_key = 'id:s3cret'\n").expect("it is written");
        let refused = Config::read(&path).expect_err("it is wrong").to_string();
        assert!(refused.contains("line 3") && refused.contains("adress") && !refused.contains("s3cret"), "{refused}");
        assert!(matches!(Config::read(&folder.path().join("none")), Err(ConfigError::Unreadable { .. })));
        let model = "base_url = 'http://h/v1'\nmodel = 'm'\ncontext_tokens = 4096\n";
        std::fs::write(&path, format!("[models.a]\n{model}fallback = 'b'\n")).expect("it is written");
        let refused = Config::read(&path).expect_err("there is no b").to_string();
        assert!(refused.contains("watchfloor.toml cannot be used: ") && refused.contains("no model b"), "{refused}");
    }
}
