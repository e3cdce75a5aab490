//! `watchfloor doctor`: is each configured model there, what can it do, and what should be changed?

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;

use super::Verdict;
use super::say::{complain, say, say_json};
use crate::config::Config;
use crate::model::probe::{self, Outcome, Report};
use crate::model::settings::ModelSettings;

/// Which models to try.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Names of configured models; all of them if left out
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "watchfloor.toml")]
    config: PathBuf,
    /// Try a server that is not configured, at this address, and print the settings that fit it
    #[arg(long, value_name = "URL", requires = "model", conflicts_with = "names")]
    url: Option<String>,
    /// The model to try there
    #[arg(long, value_name = "MODEL", requires = "url")]
    model: Option<String>,
    /// The environment variable that holds the server's key
    #[arg(long, value_name = "VARIABLE", requires = "url")]
    api_key_env: Option<String>,
    /// What a request with its answer may have there, in tokens
    #[arg(long, value_name = "TOKENS", default_value_t = 8192, requires = "url")]
    context_tokens: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When the configuration cannot be read or names no such model.
pub async fn run(arguments: Arguments) -> Result<Verdict> {
    let (models, all, new) = match (&arguments.url, &arguments.model) {
        (Some(url), Some(model)) => {
            let settings = ModelSettings {
                api_key_env: arguments.api_key_env.clone(),
                ..ModelSettings::of(url, model, arguments.context_tokens)
            };
            (vec![("new".to_owned(), settings)], BTreeMap::new(), true)
        }
        _ => {
            let all = Config::read(&arguments.config)?.models;
            (chosen(&arguments, &all)?, all, false)
        }
    };
    let mut worst = Outcome::Good;
    let mut reports = Vec::new();
    for (name, settings) in &models {
        if !arguments.json {
            say(format!("model {name}: {} at {}", settings.model, settings.base_url))?;
        }
        match probe::probe(settings, |variable| std::env::var(variable).ok()).await {
            Ok(mut report) => {
                report.findings.extend(probe::stand_in(settings, &all));
                worst = worst.max(report.worst());
                if arguments.json {
                    reports.push(json!({"name": name, "report": report}));
                } else {
                    say(told(&report, settings, new))?;
                }
            }
            Err(error) => {
                worst = Outcome::Bad;
                reports.push(json!({"name": name, "error": error.to_string()}));
                complain(format!("model {name}: {error}"));
            }
        }
    }
    if arguments.json {
        say_json(&json!({"models": reports}))?;
    }
    Ok(match worst {
        Outcome::Good => Verdict::Quiet,
        Outcome::Note => Verdict::NeedsPerson,
        Outcome::Bad => Verdict::Failed,
    })
}

/// The configured models that are asked for.
fn chosen(arguments: &Arguments, all: &BTreeMap<String, ModelSettings>) -> Result<Vec<(String, ModelSettings)>> {
    let known: Vec<&str> = all.keys().map(String::as_str).collect();
    if known.is_empty() {
        bail!(
            "{} names no model: add [models.NAME] with base_url, model and context_tokens, or try a server with --url and --model",
            arguments.config.display()
        );
    }
    if let Some(unknown) = arguments.names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("{} names no model {unknown}, but {}", arguments.config.display(), known.join(", "));
    }
    let wanted = |name: &String| arguments.names.is_empty() || arguments.names.contains(name);
    let chosen = all.iter().filter(|(name, _)| wanted(name));
    Ok(chosen.map(|(name, settings)| (name.clone(), settings.clone())).collect())
}

fn told(report: &Report, settings: &ModelSettings, new: bool) -> String {
    let mark = |outcome| match outcome {
        Outcome::Good => "ok   ",
        Outcome::Note => "note ",
        Outcome::Bad => "bad  ",
    };
    let mut lines: Vec<String> = report
        .findings
        .iter()
        .map(|finding| format!("  {}{:<24}{}", mark(finding.outcome), finding.check, finding.seen))
        .collect();
    if new && report.worst() != Outcome::Bad {
        lines.push("  these settings fit it:".into());
        lines.extend(stanza(report, settings).into_iter().map(|line| format!("    {line}")));
    } else if !report.changes.is_empty() {
        lines.push("  change in the configuration:".into());
        lines.extend(report.changes.iter().map(|change| format!("    {change}")));
    }
    lines.join("\n")
}

/// The settings of a model that is not configured yet, as the file writes them.
fn stanza(report: &Report, settings: &ModelSettings) -> Vec<String> {
    let field = |change: &str| change.split(' ').next().unwrap_or_default().to_owned();
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut lines = vec![
        format!("base_url = {}", quoted(&settings.base_url)),
        format!("model = {}", quoted(&settings.model)),
        format!("context_tokens = {}", settings.context_tokens),
    ];
    lines.extend(settings.api_key_env.iter().map(|name| format!("api_key_env = {}", quoted(name))));
    for change in &report.changes {
        lines.retain(|line| field(line) != field(change));
        lines.push(change.clone());
    }
    lines.insert(0, "[models.local]".into());
    lines
}
