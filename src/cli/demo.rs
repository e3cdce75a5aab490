//! `watchfloor demo`: the floor at work on some of the written scenarios, so that a stranger sees what it is for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use super::say::say;
use super::{Verdict, render};
use crate::detection::clock::ClockOffset;
use crate::detection::read::Inputs;
use crate::detection::sigma::{Detector, RuleSet};
use crate::domain::case::{HoldQueue, Status};
use crate::domain::ids::CaseId;
use crate::domain::taint;
use crate::floor::assembly::{Stores, assemble};
use crate::floor::faults::Faults;
use crate::floor::held_back::settle;
use crate::floor::import::{Watch, import_all};
use crate::floor::ingest::caught_up;
use crate::floor::queries;
use crate::floor::shared::Shared;
use crate::floor::state_folder::StateFolder;
use crate::floor::tree::Floor;
use crate::ports::desk::DeskCase;
use crate::scenarios::folder::{BASELINE, logs_in, write_baseline};
use crate::scenarios::label::{Kind, Label};
use crate::scenarios::{Background, Scenario};

/// What is played: twins whose alerts look alike, of one day and one office, on machines of their own; the original
/// post's script, and its device that cannot be isolated.
const PLAYED: [&str; 8] = [
    "defender-collection",
    "collection-look-alike",
    "revocation-list",
    "certutil-payload",
    "inventory-questions",
    "document-encoded",
    "maintenance-check",
    "unmanaged-device",
];

/// The line to try next, on one's own machine.
const NEXT: &str = "watchfloor triage C:\\Windows\\System32\\winevt\\Logs";

/// Comments are told in their first line, cut at so many characters.
const LONGEST_LINE: usize = 150;

/// Where to.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A folder for its cases, new or empty; a temporary one if left out
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// When the folder cannot be used or the floor breaks down.
pub async fn run(arguments: Arguments) -> Result<Verdict> {
    let began = Instant::now();
    let data = place(arguments.data)?;
    say(format!(
        "A demonstration: {} scenarios of one office and one day. They are written, not recorded: hosts, people and\n\
         addresses are invented. The EDR is simulated: nothing outside {} is touched.\n",
        PLAYED.len(),
        data.display(),
    ))?;
    let folder = StateFolder::take(&data)?;
    let below = data.join("written-scenarios");
    let prepared = tokio::task::spawn_blocking(move || prepare(&below)).await??;
    let stores = Stores::open(folder.path(), &Faults::default())?;
    let shared = assemble(&folder, stores.clone(), Faults::default()).await?;
    remember(&shared, &prepared).await?;

    let telling = tell(shared.clone());
    let floor = Floor::start(shared.clone()).await?;
    investigate(&shared, &prepared).await?;
    let rest = floor.at_rest().await;
    floor.stop().await;
    // What was written last is told before the summary; a telling that broke tells nothing.
    let _ = telling.stop().await;
    rest?;

    let cases = queries::cases(&stores).await?;
    say(format!("\nThe cases ({} s):", began.elapsed().as_secs()))?;
    say(table(&cases, &prepared.labels))?;
    if let Some(case) = most_telling(&cases) {
        say(format!("One of them as a person reads it, `watchfloor cases show {}`:\n", case.id))?;
        let thread = render::thread(&queries::thread(&stores, case.id).await?);
        say(thread.split("\nAlso looked at\n").next().unwrap_or(&thread))?;
    }
    say(pending(&cases, &data))?;
    say(format!(
        "All cases: watchfloor cases list --data {}\nYour own machine's logs, on Windows as administrator: {NEXT}",
        data.display()
    ))?;
    Ok(Verdict::Quiet)
}

/// A folder that holds nothing yet: what is written shall not be mixed with what is real.
fn place(named: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(path) = named {
        if std::fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some()) {
            bail!(
                "`{}` holds something already, and written cases do not belong among others: name a new folder with --data",
                path.display()
            );
        }
        return Ok(path);
    }
    // It stays after the command, so that its cases can be read and its approval answered.
    let id = std::process::id();
    for number in 0..1_000 {
        let path = std::env::temp_dir().join(format!("watchfloor-demo-{id}-{number}"));
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).context("no temporary folder can be made: name one with --data"),
        }
    }
    bail!("no temporary folder can be made: name one with --data")
}

/// The scenarios on disk.
struct Prepared {
    labels: Vec<Label>,
    acts: Vec<PathBuf>,
    baseline: PathBuf,
}

fn prepare(below: &Path) -> Result<Prepared> {
    let (mut labels, mut acts) = (Vec::new(), Vec::new());
    for id in PLAYED {
        let scenario = Scenario::named(id)?;
        acts.extend(logs_in(&scenario.unpack(below)?)?);
        labels.push(scenario.label);
    }
    // All of them play in the same ordinary life, which a test holds them to.
    let background = labels.iter().find_map(|label| label.background);
    let background = background.unwrap_or(Background { seed: 7, days: 30, hosts: 20 });
    let baseline = below.join(BASELINE);
    write_baseline(background, &acts, &baseline)?;
    Ok(Prepared { labels, acts, baseline })
}

/// What happened before is stored and looked at by no rule.
async fn remember(shared: &Arc<Shared>, prepared: &Prepared) -> Result<()> {
    let began = Instant::now();
    let logs = Inputs::find(std::slice::from_ref(&prepared.baseline))?.logs;
    let mut detector = Detector::new(Arc::new(RuleSet::none()));
    let imported = import_all(shared, logs, ClockOffset::NONE, &mut detector, &Watch::default()).await?;
    let events: u64 = imported.iter().map(|(_, imported)| imported.events).sum();
    let seconds = began.elapsed().as_secs_f64();
    say(format!("Intake      30 ordinary days of 20 machines are known: {events} events in {seconds:.1} s"))?;
    Ok(())
}

async fn investigate(shared: &Arc<Shared>, prepared: &Prepared) -> Result<()> {
    let rules = Arc::new(RuleSet::builtin());
    let mut detector = Detector::new(rules.clone());
    let logs = Inputs::find(&prepared.acts)?.logs;
    let imported = import_all(shared, logs, ClockOffset::NONE, &mut detector, &Watch::default()).await?;
    let settled = settle(shared, &mut detector).await?;
    let events: u64 = imported.iter().map(|(_, imported)| imported.events).sum();
    let alerts = settled.len() + imported.iter().map(|(_, imported)| imported.alerts.len()).sum::<usize>();
    say(format!("Intake      {events} new events, looked at with {} rules: {alerts} alerts", rules.len()))?;
    caught_up(shared).await?;
    Ok(())
}

/// Somebody who says, while the floor works, what is written into its cases.
struct Telling {
    task: JoinHandle<()>,
    done: tokio::sync::oneshot::Sender<()>,
}

impl Telling {
    async fn stop(self) -> Result<(), tokio::task::JoinError> {
        // It may have ended by itself, with the output.
        let _ = self.done.send(());
        self.task.await
    }
}

fn tell(shared: Arc<Shared>) -> Telling {
    let mut written = shared.written_cases();
    let (done, mut ending) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let mut told = Told::default();
        loop {
            tokio::select! {
                _ = &mut ending => break,
                case = written.recv() => match case {
                    Ok(case) => told.tell(&shared, Some(case)).await,
                    Err(RecvError::Lagged(_)) => told.tell(&shared, None).await,
                    Err(RecvError::Closed) => break,
                },
            }
        }
        told.tell(&shared, None).await;
    });
    Telling { task, done }
}

/// What was said already.
#[derive(Default)]
struct Told {
    comments: BTreeMap<CaseId, u32>,
    status: BTreeMap<CaseId, Status>,
}

impl Told {
    /// Says what is new in a case, or in all. What cannot be read now is said at the end.
    async fn tell(&mut self, shared: &Shared, only: Option<CaseId>) {
        let Ok(cases) = shared.desk.list().await else { return };
        for case in cases.iter().filter(|case| only.is_none_or(|only| only == case.id)) {
            let Ok(comments) = shared.desk.comments(case.id).await else { continue };
            let last = self.comments.entry(case.id).or_default();
            for comment in comments.iter().filter(|comment| comment.number > *last) {
                let author = comment.comment.author.split(" (").next().unwrap_or_default();
                let first = comment.comment.text.lines().next().unwrap_or_default();
                // Whoever stopped reading misses it.
                let _ = say(line(author, case.id, first));
            }
            *last = comments.last().map_or(*last, |comment| comment.number);
            let known = self.status.insert(case.id, case.state.status);
            if known != Some(case.state.status) && case.state.status != Status::New {
                let _ = say(line("Writer", case.id, &format!("status `{}` is written and read back", status(case))));
            }
        }
    }
}

fn line(who: &str, case: CaseId, what: &str) -> String {
    let what = taint::shown(what);
    let cut: String = what.chars().take(LONGEST_LINE).collect();
    let rest = if cut.len() < what.len() { "…" } else { "" };
    format!("{who:<11} {case:<6} {cut}{rest}", case = case.to_string())
}

fn status(case: &DeskCase) -> String {
    match &case.state.hold {
        Some(hold) => format!("{}: {}", case.state.status, hold.cause.queue()),
        None => case.state.status.to_string(),
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The cases, with the written truth beside what the floor made of them.
fn table(cases: &[DeskCase], labels: &[Label]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["case", "written truth", "host", "status", "verdict", "reason"]);
    for case in cases.iter().filter(|case| case.state.status != Status::Merged) {
        let hosts: Vec<String> = case.state.hosts.iter().map(|host| host.key().to_uppercase()).collect();
        let of_it = |label: &&Label| label.hosts.all().any(|host| hosts.contains(host));
        let truth = labels.iter().find(of_it).map_or("–", |label| match label.kind {
            Kind::Attack => "attack",
            Kind::Benign => "benign",
            Kind::Other => "–",
        });
        let judged = case.state.verdict.as_ref().map_or_else(
            || "–".to_owned(),
            |verdict| {
                let percent = verdict.get("malicious_probability").and_then(Value::as_f64).unwrap_or_default() * 100.0;
                format!("{} ({percent:.0} %)", text(verdict, "classification").replace('_', " "))
            },
        );
        let headline =
            case.state.verdict.as_ref().map_or(case.state.title.as_str(), |verdict| text(verdict, "headline"));
        let decided = case.state.decided_by.as_deref().unwrap_or_default();
        let reason = format!("{}\n{}", taint::shown(headline), taint::shown(decided));
        table.add_row([
            case.id.to_string(),
            truth.to_owned(),
            taint::shown(&hosts.join(" ")),
            status(case),
            judged,
            reason,
        ]);
    }
    table.to_string()
}

/// The case whose thread says most about the floor: one that it closed on proof, or the first.
fn most_telling(cases: &[DeskCase]) -> Option<&DeskCase> {
    let closed = cases.iter().filter(|case| case.state.status == Status::Resolved);
    closed.max_by_key(|case| case.state.title.contains("Script block")).or_else(|| cases.first())
}

/// What waits for a person.
fn pending(cases: &[DeskCase], data: &Path) -> String {
    let waits =
        |case: &&DeskCase| case.state.hold.as_ref().is_some_and(|hold| hold.cause.queue() == HoldQueue::NeedsDecision);
    let Some((case, proposal)) =
        cases.iter().filter(waits).find_map(|case| Some((case, case.state.proposals.first()?)))
    else {
        return "Nothing waits for a decision of yours.".to_owned();
    };
    format!(
        "Waiting for a person: {} asks for this (the EDR is simulated):\n  {}\nRead why: watchfloor cases show {} --data {}\n",
        case.id,
        taint::shown(&proposal.to_string()),
        case.id,
        data.display(),
    )
}

/// So long a demonstration may take; a test holds it to that.
pub const LONGEST: Duration = Duration::from_secs(60);
