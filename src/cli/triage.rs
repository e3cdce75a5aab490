//! `watchfloor triage FILE…`: logs in, judged cases out.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;

use super::progress::Bar;
use super::say::{complain, say, say_json};
use super::{Common, Verdict, cases, render};
use crate::detection::read::EventLog;
use crate::detection::sigma::{Detector, RuleSet};
use crate::domain::ids::{AlertId, CaseId};
use crate::floor::assembly::{Stores, assemble};
use crate::floor::control::Control;
use crate::floor::faults::{Faults, VARIABLE};
use crate::floor::import::{Imported, import};
use crate::floor::ingest::caught_up;
use crate::floor::queries::{self, CaseThread};
use crate::floor::settle::settle;
use crate::floor::shared::Shared;
use crate::floor::state_folder::StateFolder;
use crate::floor::tree::Floor;
use crate::journal::case_stream::{self, CaseStream};
use crate::ports::desk::DeskCase;

/// What to triage.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Log files: NDJSON as NXLog forwards it, plain or gzip
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Sigma rules: a folder, a file or a tar archive; the shipped rules if left out
    #[arg(long, value_name = "DIR|ARCHIVE")]
    rules: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
///
/// # Errors
/// When an input cannot be used, the folder is in use, or the floor breaks down. What was recorded stays, and the
/// same command goes on from there.
pub async fn run(arguments: Arguments) -> Result<Verdict> {
    let Arguments { files, rules: rules_from, common: Common { data, json } } = arguments;
    // Every input is looked at before anything is written.
    let logs: Vec<(PathBuf, EventLog)> =
        files.into_iter().map(|file| Ok((file.clone(), EventLog::open(&file)?))).collect::<Result<_>>()?;
    let rules = match &rules_from {
        Some(path) => RuleSet::load(path)?,
        None => RuleSet::builtin(),
    };
    for rejected in rules.rejected() {
        complain(format!("rule {} is left out: {}", rejected.file, rejected.reason));
    }
    if let Some(path) = rules_from.filter(|_| rules.is_empty()) {
        let path = path.display();
        bail!(
            "none of the rules in `{path}` can be used, so nothing would be detected: mend them, or name others with --rules"
        );
    }
    let switches = std::env::var(VARIABLE).unwrap_or_default();
    let faults = Faults::parse(&switches)?;
    if !switches.is_empty() {
        complain(format!("running with faults on purpose ({VARIABLE}={switches})"));
    }
    let folder = StateFolder::take(&data)?;
    let stores = Stores::open(folder.path(), &faults)?;
    let control = Control::open(folder.path(), stores.clone()).await?;
    let shared = assemble(&folder, stores.clone(), faults).await?;
    let mut bar = Bar::over(logs.iter().map(|(_, log)| log.progress()).collect());
    let floor = Floor::start(shared.clone()).await?;

    let mut inputs = Vec::new();
    let rules = Arc::new(rules);
    let mut detector = Detector::new(rules.clone());
    for (path, log) in logs {
        let imported = import(&shared, log, &path, &mut detector).await;
        inputs.push((path.clone(), imported.with_context(|| path.display().to_string())?));
    }
    let settled = settle(&shared, &mut detector).await?;
    caught_up(&shared).await?;
    bar.investigating();
    floor.at_rest().await?;
    floor.stop().await;
    drop((bar, control));

    let alerts: BTreeSet<AlertId> =
        inputs.iter().flat_map(|(_, imported)| imported.alerts.clone()).chain(settled.clone()).collect();
    let all = queries::cases(&stores).await?;
    let shown = of_alerts(&shared, &all, &alerts).await?;
    if json {
        let mut threads = Vec::new();
        for case in &shown {
            threads.push(queries::thread(&stores, case.id).await?);
        }
        say_json(&report(&inputs, settled.len(), rules.len(), &threads))?;
    } else {
        for (path, imported) in &inputs {
            say(summary(path, imported, rules.len()))?;
        }
        if !settled.is_empty() {
            say(format!("all files together: {} further alerts", settled.len()))?;
        }
        if shown.is_empty() {
            say("No rule matched: nothing was investigated. That is not a clean bill of health.")?;
        } else {
            say(render::table(&shown))?;
        }
        let data = folder.path().display();
        if shown.len() < all.len() {
            let more = all.len() - shown.len();
            say(format!("{more} earlier cases in {data} are not shown: watchfloor cases list --data {data}"))?;
        }
        if let Some(first) = shown.first() {
            say(format!("Read one: watchfloor cases show {} --data {data}", first.id))?;
        }
    }
    let cut_short = inputs.iter().any(|(_, imported)| imported.damage.truncation().is_some());
    Ok(if cut_short { Verdict::Failed } else { cases::verdict(&shown) })
}

/// The cases that hold one of these alerts.
async fn of_alerts(shared: &Shared, all: &[DeskCase], alerts: &BTreeSet<AlertId>) -> Result<Vec<DeskCase>> {
    let mut ids = BTreeSet::new();
    for case in case_stream::cases(shared.journal.as_ref()).await? {
        let stream = CaseStream::open(shared.journal.clone(), case, None).await?;
        if stream.log().alerts.iter().any(|alert| alerts.contains(alert)) {
            ids.insert(case);
        }
    }
    let is_shown = |case: &&DeskCase| ids.contains::<CaseId>(&case.id);
    Ok(all.iter().filter(is_shown).cloned().collect())
}

/// What an input gave, in a line; what was wrong with it in further ones.
fn summary(path: &std::path::Path, imported: &Imported, rules: usize) -> String {
    let known = match imported.known {
        0 => String::new(),
        known => format!(" ({known} of them known already)"),
    };
    let mut text = format!(
        "{}: {} events{known}, {} alerts, {rules} rules loaded",
        path.display(),
        imported.events,
        imported.alerts.len()
    );
    for (fault, tally) in imported.damage.broken() {
        text.push_str(&format!(
            "\n  {} lines skipped, {fault}; first in line {}: {}",
            tally.count, tally.first_line, tally.first_reason
        ));
    }
    if let Some(cut) = imported.damage.truncation() {
        text.push_str(&format!("\n  the file is cut short: {cut}; what came before was judged"));
    }
    text
}

fn report(inputs: &[(PathBuf, Imported)], settled: usize, rules: usize, cases: &[CaseThread]) -> serde_json::Value {
    let inputs: Vec<_> = inputs
        .iter()
        .map(|(path, imported)| {
            let broken: Vec<_> = imported.damage.broken().iter().map(|(fault, tally)| {
                json!({"fault": fault.to_string(), "lines": tally.count, "first_line": tally.first_line, "reason": tally.first_reason})
            }).collect();
            json!({
                "file": path.display().to_string(),
                "events": imported.events,
                "known": imported.known,
                "alerts": imported.alerts.len(),
                "skipped": broken,
                "cut_short": imported.damage.truncation(),
            })
        })
        .collect();
    json!({ "inputs": inputs, "alerts_on_all": settled, "rules": rules, "cases": cases })
}
