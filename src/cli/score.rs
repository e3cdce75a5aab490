//! `watchfloor score DIR`: labelled scenarios in, a scoreboard out.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::progress::Count;
use super::say::{say, say_json};
use super::{Verdict, rules};
use crate::experiment::label::Provenance;
use crate::experiment::places;
use crate::experiment::play::play;
use crate::experiment::scenario::Scenario;
use crate::experiment::score::ScenarioScore;
use crate::experiment::table;
use crate::experiment::totals::Totals;

/// What to score.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A folder of scenarios, each a folder with a label.json and an events.* file
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Sigma rules: a folder, a file or a tar archive; the shipped rules if left out
    #[arg(long, value_name = "DIR|ARCHIVE")]
    rules: Option<PathBuf>,
    /// Play only the scenarios with these ids
    #[arg(long, value_name = "ID", num_args = 1..)]
    only: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command. What needs a person's look is an attack that was missed, a case that was wrongly closed, or a
/// citation that the log does not bear out.
///
/// # Errors
/// When the folder holds no scenario, a label or a log cannot be read, the rules cannot be used, or a floor breaks
/// down.
pub async fn run(arguments: Arguments) -> Result<Verdict> {
    let Arguments { folder, rules, only, json } = arguments;
    let scenarios = tokio::task::spawn_blocking(move || Scenario::find(&folder, &only)).await??;
    for label in scenarios.iter().map(|scenario| &scenario.label) {
        if let Some(what) = label.contradiction() {
            tracing::warn!("the label of {} contradicts itself: {what}; what is counted by it says little", label.id);
        }
    }
    tokio::task::spawn_blocking(places::sweep).await?;
    let rules = Arc::new(rules::in_use(rules.as_deref())?);
    let began = Instant::now();
    let progress = Count::of(scenarios.len());
    // Each has a floor and a folder of its own; more than there are cores would only wait for one another.
    let side_by_side = std::thread::available_parallelism().map_or(1, NonZero::get);
    let played = stream::iter(scenarios.iter().map(async |scenario| {
        let id = &scenario.label.id;
        let scored = play(scenario, &rules).await.with_context(|| format!("scenario {id}"))?;
        progress.done(&format!("{id}: {}, {:.1} s", scored.outcome.name(), scored.seconds));
        anyhow::Ok(scored)
    }));
    let playing = played.buffer_unordered(side_by_side).try_collect();
    let scored: Result<Vec<ScenarioScore>> = tokio::select! {
        scored = playing => scored,
        // Whatever is played is let go, which removes its folder; what is still being written is swept at the next start.
        _ = tokio::signal::ctrl_c() => bail!("stopped before every scenario was played: nothing was counted"),
    };
    let mut scored = scored?;
    drop(progress);
    let seconds = began.elapsed().as_secs_f64();
    scored.sort_by(|one, other| one.id.cmp(&other.id));
    let totals: Vec<Totals> = [Provenance::Recorded, Provenance::Written]
        .into_iter()
        .filter_map(|of| Totals::of(&scored, of, seconds))
        .collect();
    if json {
        say_json(&report(&scored, &totals))?;
    } else {
        for totals in &totals {
            say(table::board(&scored, totals))?;
        }
    }
    Ok(if totals.iter().all(Totals::is_clean) { Verdict::Quiet } else { Verdict::NeedsPerson })
}

/// `totals` are those of the recordings, if there are any; written scenarios beside recordings have their own.
fn report(scored: &[ScenarioScore], totals: &[Totals]) -> Value {
    let mut report = json!({"scenarios": scored, "totals": totals.first()});
    if let Some(written) = totals.get(1) {
        report["totals_written"] = json!(written);
    }
    report
}
