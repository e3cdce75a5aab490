//! `watchfloor demo`: the floor at work on some of the written scenarios, so that a stranger sees what it is for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::render::{Detail, text};
use super::say::say;
use super::{Verdict, containment, render};
use crate::detection::clock::ClockOffset;
use crate::detection::read::Inputs;
use crate::detection::sigma::{Detector, RuleSet};
use crate::domain::case::Status;
use crate::domain::containment::{Mode, Policy};
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
use crate::floor::watching::{self, Happening, Happenings};
use crate::ports::desk::DeskCase;
use crate::scenarios::folder::{BASELINE, logs_in, put_office, write_baseline};
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

/// How often the journal is looked at for what is new.
const LOOK: Duration = Duration::from_millis(60);

/// A line of what happens is cut at so many characters.
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
    let state = data.clone();
    let prepared = tokio::task::spawn_blocking(move || prepare(&state)).await??;
    let stores = Stores::open(folder.path(), &Faults::default())?.with_context(folder.path(), None)?;
    let shared = assemble(&folder, stores.clone(), Faults::default()).await?;
    // Isolations ask a person instead of being denied as in a dry run: nothing but a simulator can be isolated here.
    shared.contain_by(Policy::of(Mode::Approve));
    remember(&shared, &prepared).await?;

    let telling = tell(stores.clone());
    let floor = Floor::start(shared.clone()).await?;
    investigate(&shared, &prepared).await?;
    let rest = floor.at_rest().await;
    floor.stop().await;
    telling.stop().await;
    rest?;

    let cases = queries::cases(&stores).await?;
    say(format!("\nThe cases ({} s):", began.elapsed().as_secs()))?;
    say(table(&cases, &prepared.labels))?;
    if let Some(case) = most_telling(&cases) {
        say(format!("One of them as a person reads it, `watchfloor cases show {}`:\n", case.id))?;
        let thread = render::thread(&queries::thread(&stores, case.id).await?, Detail::Telling, &data);
        say(render::wrapped(thread.split("\nAlso looked at\n").next().unwrap_or(&thread)))?;
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

fn prepare(state: &Path) -> Result<Prepared> {
    let below = &state.join("written-scenarios");
    put_office(state)?;
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

/// Somebody who says, while the floor works, who does what.
struct Telling {
    task: JoinHandle<()>,
    done: oneshot::Sender<()>,
}

impl Telling {
    async fn stop(self) {
        // A telling that has ended by itself has nothing more to say.
        let _ = self.done.send(());
        let _ = self.task.await;
    }
}

fn tell(stores: Stores) -> Telling {
    let (done, mut ending) = oneshot::channel();
    let task = tokio::spawn(async move {
        let mut told = Told::default();
        loop {
            tokio::select! {
                _ = &mut ending => break,
                () = tokio::time::sleep(LOOK) => told.tell(&stores).await,
            }
        }
        told.tell(&stores).await;
    });
    Telling { task, done }
}

/// What was said already.
#[derive(Default)]
struct Told {
    place: u64,
    status: BTreeMap<CaseId, Status>,
}

impl Told {
    /// Says what is new in the journal, and which statuses the case desk shows. What cannot be read is not told.
    async fn tell(&mut self, stores: &Stores) {
        while let Ok(Happenings { place, lines }) = watching::since(stores, Some(self.place)).await {
            for told in condensed(lines) {
                // Whoever stopped reading misses it.
                let _ = say(told);
            }
            if place == std::mem::replace(&mut self.place, place) {
                break;
            }
        }
        for case in stores.desk.list().await.unwrap_or_default() {
            let known = self.status.insert(case.id, case.state.status);
            if known != Some(case.state.status) && !matches!(case.state.status, Status::New | Status::InProgress) {
                let _ =
                    say(line("Writer", Some(case.id), &format!("wrote `{}` and read it back", render::status(&case))));
            }
        }
    }
}

/// Lines for a person: what a tier asks one after another is one line, and alerts that join are left out.
fn condensed(happenings: Vec<Happening>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut asked: BTreeMap<(CaseId, String), Vec<String>> = BTreeMap::new();
    let flush = |key: &(CaseId, String), asked: &mut BTreeMap<_, Vec<String>>, lines: &mut Vec<String>| {
        if let Some(tools) = asked.remove(key) {
            lines.push(line(&key.1, Some(key.0), &format!("asks {}", tools.join(", "))));
        }
    };
    for Happening { case, who, kind, what, .. } in happenings {
        match (case, what.strip_prefix("asks ")) {
            (Some(case), Some(tool)) if kind == "begun" || kind == "taken" => {
                let tools = asked.entry((case, who)).or_default();
                if !tools.iter().any(|known| known == tool) {
                    tools.push(tool.to_owned());
                }
            }
            _ if kind == "joined" || kind == "concluded" => {}
            (case, _) => {
                if let Some(case) = case {
                    let keys: Vec<_> = asked.keys().filter(|(of, _)| *of == case).cloned().collect();
                    keys.iter().for_each(|key| flush(key, &mut asked, &mut lines));
                }
                lines.push(line(&who, case, &what));
            }
        }
    }
    let keys: Vec<_> = asked.keys().cloned().collect();
    keys.iter().for_each(|key| flush(key, &mut asked, &mut lines));
    lines
}

fn line(who: &str, case: Option<CaseId>, what: &str) -> String {
    let what = taint::shown(what);
    let cut: String = what.chars().take(LONGEST_LINE).collect();
    let rest = if cut.len() < what.len() { "…" } else { "" };
    let case = case.map_or_else(String::new, |case| case.to_string());
    format!("{who:<11} {case:<6} {cut}{rest}")
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
        let decided = case.state.decided_by.as_deref().unwrap_or_default();
        let reason = format!("{}\n{}", render::about(case), taint::shown(decided));
        table.add_row([
            case.id.to_string(),
            truth.to_owned(),
            taint::shown(&hosts.join(" ")),
            render::status(case),
            render::judged(case),
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

/// What waits for a person, with the command that answers it.
fn pending(cases: &[DeskCase], data: &Path) -> String {
    let waiting = cases.iter().flat_map(|case| case.state.proposals.iter().map(move |proposal| (case, proposal)));
    let is_waiting = |(_, proposal): &(&DeskCase, &Value)| text(proposal, "decision") == "waiting";
    let Some((case, proposal)) = waiting.clone().find(is_waiting) else {
        return "No isolation waits for a word of yours.\n".to_owned();
    };
    let commands = containment::commands(proposal, data);
    format!(
        "{} of {} waits for a person ({}, simulated EDR):\n  {}\nThis answers it, and makes a simulated lease:\n  {}\n",
        text(proposal, "action").replace('_', " "),
        taint::shown(text(proposal, "host")),
        case.id,
        taint::shown(text(proposal, "answer")),
        commands.first().map_or("", String::as_str),
    )
}
