//! `watchfloor scenarios list|write`: the labelled scenarios that come with the program, to look at and to play.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets};

use super::Verdict;
use super::say::{say, say_json};
use crate::scenarios::Scenario;
use crate::scenarios::label::{Kind, Label};

/// What to do with them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What they are about
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write them whole: label, events, context, and the 30 days before as baseline.ndjson.gz
    Write {
        /// Where to: each becomes a folder in it
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Only this one; may be given again
        #[arg(long, value_name = "ID")]
        only: Vec<String>,
    },
}

/// Runs the command.
///
/// # Errors
/// When an id is unknown or a folder cannot be written.
pub async fn run(command: Command) -> Result<Verdict> {
    match command {
        Command::List { json } => {
            let scenarios = Scenario::shipped()?;
            let labels: Vec<&Label> = scenarios.iter().map(|scenario| &scenario.label).collect();
            if json {
                say_json(&labels.iter().map(|label| told(label)).collect::<Vec<_>>())?
            } else {
                say(table(&labels))?
            }
        }
        Command::Write { folder, only } => {
            let wanted = match only.is_empty() {
                true => Scenario::shipped()?,
                false => only.iter().map(|id| Scenario::named(id)).collect::<Result<_, _>>()?,
            };
            let below = folder.clone();
            let write =
                move || wanted.iter().map(|scenario| scenario.materialise(&below)).collect::<Result<Vec<_>, _>>();
            let written = tokio::task::spawn_blocking(write).await??;
            for folder in &written {
                say(folder.display().to_string())?;
            }
            say(format!("{} scenarios, all of them written, not recorded.", written.len()))?;
        }
    }
    Ok(Verdict::Quiet)
}

const fn kind(label: &Label) -> &'static str {
    match label.kind {
        Kind::Attack => "attack",
        Kind::Benign => "benign",
        Kind::Other => "other",
    }
}

fn told(label: &Label) -> serde_json::Value {
    serde_json::json!({
        "id": label.id, "kind": kind(label), "title": label.title, "twin": label.twin, "written": label.written,
        "closable": label.expected.closable, "mandatory_human": label.expected.mandatory_human,
    })
}

fn table(labels: &[&Label]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["scenario", "truth", "what happens", "its twin"]);
    for label in labels {
        table.add_row([&label.id, kind(label), &label.title, label.twin.as_deref().unwrap_or("–")]);
    }
    format!("{table}\n{} scenarios, all of them written, not recorded. Of twins the same rule fires.\n", labels.len())
}
