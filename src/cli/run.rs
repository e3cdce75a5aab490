//! `watchfloor run`: a floor that keeps running, with its sources, until it is stopped.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;

use super::say::{complain, say, say_json_line};
use super::{Common, Verdict, render, rules};
use crate::config::Config;
use crate::detection::clock::ClockOffset;
use crate::detection::read;
use crate::detection::sigma::RuleSet;
use crate::detection::sigma::reload::{LiveRules, Looked};
use crate::domain::containment::{Mode, Policy};
use crate::domain::ids::CaseId;
use crate::domain::words::counted;
use crate::floor::assembly::{Stores, assemble};
use crate::floor::baseline::{Baseline, import_baseline};
use crate::floor::control::Control;
use crate::floor::faults::{Faults, VARIABLE};
use crate::floor::import::Watch;
use crate::floor::ingest::caught_up;
use crate::floor::live::access::{Access, Credential};
use crate::floor::live::detector::Detector;
use crate::floor::live::source::{News, Standing};
use crate::floor::live::sources::{Inputs, Sources};
use crate::floor::settling::{LOOK_AGAIN, Settle};
use crate::floor::state_folder::StateFolder;
use crate::floor::tree::{Floor, FloorError};
use crate::ports::desk::DeskCase;

/// The environment variable that holds an API key, so that it need not stand in a file or on the command line.
const KEY_VARIABLE: &str = "WATCHFLOOR_API_KEY";

/// How often the floor's health is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Looks between two looks at the rules' files.
const LOOKS_AT_RULES: u32 = 2;

/// Looks between two lines that count events.
const LOOKS_A_COUNT: u32 = 5;

/// How long what is being worked on may take to end when the floor stops. What does not is on record step by step
/// and goes on with the next start.
const LAST_STEPS: Duration = Duration::from_secs(5);

/// What to run.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Log files that grow, or folders of them: NDJSON as NXLog forwards it. Other log files in a folder are read once
    #[arg(long, value_name = "PATH", num_args = 1..)]
    follow: Vec<PathBuf>,
    /// Take what the Elasticsearch outputs of Winlogbeat and Logstash send to this address; WATCHFLOOR_API_KEY holds
    /// the key they have to show, as `id:key`
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Let everybody on this machine send without a key
    #[arg(long)]
    no_auth: bool,
    /// Sigma rules: a folder, a file or a tar archive; the shipped rules if left out
    #[arg(long, value_name = "DIR|ARCHIVE")]
    rules: Option<PathBuf>,
    /// History to compare with: logs or folders of them, stored at the start and not judged
    #[arg(long, value_name = "DIR|FILE", num_args = 1)]
    baseline: Vec<PathBuf>,
    /// What is known of machines and accounts: a folder of TOML files; if left out, the one named last for
    /// this state folder, or `context` in it
    #[arg(long, value_name = "DIR")]
    context: Option<PathBuf>,
    /// What happens to a proposal to contain a device that passes every check: dry_run denies it, approve asks a
    /// person; dry_run if neither this nor the configuration says otherwise
    #[arg(long, value_name = "MODE")]
    containment: Option<Mode>,
    /// A configuration file (`watchfloor.toml`); what the command line says comes first
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
///
/// # Errors
/// When there is nothing to watch, an input or the folder cannot be used, or the floor breaks down. What was recorded
/// stays, and the same command goes on from there.
pub async fn run(arguments: Arguments) -> Result<Verdict> {
    let Arguments {
        follow,
        listen,
        no_auth,
        rules: rules_from,
        baseline,
        context,
        containment,
        config,
        common: Common { data, json },
    } = arguments;
    let mut signals = Signals::new()?;
    let config = config.map(|file| Config::read(&file)).transpose()?.unwrap_or_default();
    let context = context.or(config.context.folder);
    let history = match baseline.is_empty() {
        true => None,
        false => Some(tokio::task::spawn_blocking(move || read::Inputs::find(&baseline)).await??.logs),
    };
    let loaded = Rules::load(rules_from.or(config.rules))?;
    let follow = if follow.is_empty() { config.follow } else { follow };
    let credentials = credentials(config.listen.as_ref())?;
    let address = listen.or(config.listen.map(|listen| listen.address));
    if follow.is_empty() && address.is_none() {
        bail!("nothing to watch: name a log with --follow, or an address such as 127.0.0.1:9200 with --listen");
    }
    let access = address.map(|address| Access::new(address, credentials, no_auth)).transpose()?;
    let switches = std::env::var(VARIABLE).unwrap_or_default();
    let faults = Faults::parse(&switches)?;
    if !switches.is_empty() {
        complain(format!("running with faults on purpose ({VARIABLE}={switches})"));
    }
    let folder = StateFolder::take(&data)?;
    let bound = address.map(|address| {
        TcpListener::bind(address).with_context(|| {
            format!("{address} cannot be listened on: name another address with --listen, or stop what uses it")
        })
    });
    let listen = bound.transpose()?.zip(access);
    let stores = Stores::open(folder.path(), &faults)?.with_context(folder.path(), context.as_deref())?;
    let control = Control::open(folder.path(), stores.clone()).await?;
    let shared = assemble(&folder, stores.clone(), faults).await?;
    shared.contain_by(Policy::of(containment.unwrap_or(config.containment.mode)));
    shared.judge_once_settled(Settle::default());
    let mut written = shared.written_cases();
    let mut teller = Teller::new(json, stores.desk.list().await?);
    let floor = Floor::start(shared.clone()).await?;
    let detector = Arc::new(Detector::new(shared, loaded.current()));
    detector.recall().await?;
    if let Some(history) = history {
        let stored = import_baseline(detector.shared(), history, ClockOffset::NONE, &Watch::default()).await?;
        teller.tell(&Told::Baseline(stored))?;
    }
    let (sources, mut news) = Sources::start(detector.clone(), Inputs { follow, listen, ..Inputs::default() }).await?;
    teller.tell(&Told::Started {
        folder: folder.path().display().to_string(),
        process: std::process::id(),
        context: stores.context_from.as_ref().map(|from| from.display().to_string()),
    })?;

    let mut looking = tokio::time::interval(LOOK);
    let mut looks = 0_u32;
    let mut looking_again = tokio::time::interval_at(tokio::time::Instant::now() + LOOK_AGAIN, LOOK_AGAIN);
    let ended = loop {
        tokio::select! {
            () = signals.next() => break Ok(()),
            Some((source, news)) = news.recv() => teller.tell(&Told::Source { source, news })?,
            case = written.recv() => match case {
                Ok(case) => {
                    if let Some(case) = stores.desk.get(case).await? {
                        teller.case(case)?;
                    }
                }
                // Too slow for all hints: the desk itself says what is new.
                Err(RecvError::Lagged(_)) => {
                    for case in stores.desk.list().await? {
                        teller.case(case)?;
                    }
                }
                Err(RecvError::Closed) => {}
            },
            // What has arrived by now is all there is for now: what is on hold is looked at again.
            _ = looking_again.tick() => {
                if let Err(error) = caught_up(detector.shared()).await {
                    tracing::warn!(%error, "cases on hold are looked at again later");
                }
            }
            _ = looking.tick() => {
                looks += 1;
                // What is refused is kept, and the sources tell why.
                if let Err(error) = detector.settle().await {
                    tracing::warn!(%error, "alerts on several events wait for the journal");
                }
                if looks.is_multiple_of(LOOKS_AT_RULES)
                    && let Some(changed) = loaded.changed().await
                {
                    let count = changed.len();
                    if let Err(error) = detector.change_rules(changed).await {
                        complain(format!("correlations begin anew, the store cannot be read: {error}"));
                    }
                    teller.tell(&Told::Rules { rules: count })?;
                }
                if let Some(trouble) = sources.health().new_trouble() {
                    complain(format!("{trouble}; the floor goes on once that is mended"));
                }
                if floor.broke_down() || sources.broke_down() {
                    break Err(FloorError::BrokeDown);
                }
                if looks.is_multiple_of(LOOKS_A_COUNT) {
                    teller.count(&sources.health().standings())?;
                }
            }
        }
    };
    teller.tell(&Told::Stopping)?;
    let second = tokio::spawn(async move {
        signals.next().await;
        complain("stopped at once: what is on record is safe, and the next start goes on from there");
        std::process::exit(2);
    });
    let health = sources.health().clone();
    sources.stop().await;
    detector.settle().await?;
    // What keeps it from coming to rest was told, or is cut short and goes on with the next start.
    let _ = tokio::time::timeout(LAST_STEPS, floor.at_rest()).await;
    floor.stop().await;
    drop(control);
    second.abort();
    teller.count(&health.standings())?;
    while let Ok(case) = written.try_recv() {
        if let Some(case) = stores.desk.get(case).await? {
            teller.case(case)?;
        }
    }
    teller.tell(&Told::Stopped)?;
    ended?;
    Ok(Verdict::Quiet)
}

/// The rules of a floor: those of a place that is looked at again and again, or the shipped ones.
struct Rules {
    from: Place,
    /// What was told last of the place, so that it is told once.
    told: Mutex<String>,
}

enum Place {
    Shipped(Arc<RuleSet>),
    Files(Arc<LiveRules>),
}

impl Rules {
    fn load(from: Option<PathBuf>) -> Result<Self> {
        let from = match from {
            None => Place::Shipped(Arc::new(rules::in_use(None)?)),
            Some(path) => {
                let live = LiveRules::open(&path)?;
                rules::usable(&live.current(), &path)?;
                Place::Files(Arc::new(live))
            }
        };
        Ok(Self { from, told: Mutex::default() })
    }

    fn current(&self) -> Arc<RuleSet> {
        match &self.from {
            Place::Shipped(rules) => rules.clone(),
            Place::Files(live) => live.current(),
        }
    }

    /// The rules that are in use from now on, if files have changed. What is wrong with changed files is told.
    async fn changed(&self) -> Option<Arc<RuleSet>> {
        let Place::Files(live) = &self.from else { return None };
        let live = live.clone();
        match tokio::task::spawn_blocking(move || live.look()).await.ok()? {
            Ok(Looked::Unchanged) => None,
            Ok(Looked::Changed(changed)) => {
                rules::complain_of(changed.rejected());
                self.told.lock().unwrap_or_else(PoisonError::into_inner).clear();
                Some(changed)
            }
            Ok(Looked::Kept(rejected)) => {
                rules::complain_of(&rejected);
                None
            }
            Err(error) => {
                let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                let text = error.to_string();
                if *told != text {
                    complain(format!("{text}; the rules in use stay in use"));
                    *told = text;
                }
                None
            }
        }
    }
}

fn credentials(listen: Option<&crate::config::Listen>) -> Result<Vec<Credential>> {
    let variable = std::env::var(KEY_VARIABLE).ok().filter(|key| !key.is_empty());
    let mut found: Vec<Credential> = variable.iter().map(|key| Credential::api_key(key)).collect::<Result<_, _>>()?;
    if let Some(listen) = listen {
        for key in &listen.api_keys {
            found.push(Credential::api_key(key)?);
        }
        for user in &listen.users {
            found.push(Credential::user(user)?);
        }
    }
    Ok(found)
}

/// What is told while the floor runs.
#[derive(Debug, Serialize)]
#[serde(tag = "told", rename_all = "snake_case")]
enum Told {
    Started {
        folder: String,
        process: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        context: Option<String>,
    },
    Source {
        source: String,
        #[serde(flatten)]
        news: News,
    },
    Baseline(Baseline),
    Rules {
        rules: usize,
    },
    Events {
        events: u64,
        known: u64,
        alerts: u64,
        skipped: u64,
    },
    Case {
        case: Box<DeskCase>,
    },
    Stopping,
    Stopped,
}

/// Tells a person, or a program, what happens: each thing once.
struct Teller {
    json: bool,
    cases: BTreeMap<CaseId, String>,
    counted: [u64; 4],
}

impl Teller {
    fn new(json: bool, known: Vec<DeskCase>) -> Self {
        let cases = known.into_iter().map(|case| (case.id, render::line(&case))).collect();
        Self { json, cases, counted: [0; 4] }
    }

    fn case(&mut self, case: DeskCase) -> Result<()> {
        let line = render::line(&case);
        if self.cases.insert(case.id, line.clone()).as_ref() == Some(&line) {
            return Ok(());
        }
        self.tell(&Told::Case { case: Box::new(case) })
    }

    fn count(&mut self, standings: &[Standing]) -> Result<()> {
        let sum = |of: fn(&Standing) -> u64| standings.iter().map(of).sum::<u64>();
        let counted = [sum(|s| s.events), sum(|s| s.known), sum(|s| s.alerts), sum(|s| s.skipped)];
        if counted == self.counted {
            return Ok(());
        }
        self.counted = counted;
        let [events, known, alerts, skipped] = counted;
        self.tell(&Told::Events { events, known, alerts, skipped })
    }

    fn tell(&self, told: &Told) -> Result<()> {
        let now = jiff::Timestamp::now();
        if self.json {
            #[derive(Serialize)]
            struct Line<'a> {
                at: jiff::Timestamp,
                #[serde(flatten)]
                told: &'a Told,
            }
            return say_json_line(&Line { at: now, told });
        }
        let line = match told {
            Told::Started { folder, process, context } => {
                let context = context.as_ref().map_or_else(String::new, |from| format!(", context from {from}"));
                format!("the floor runs on {folder} (process {process}){context}")
            }
            Told::Source { source, news } => match news {
                News::Up { what } => format!("{source} is up: {what}"),
                News::Trouble { why } => format!("{source} cannot deliver: {why}"),
                News::Recovered => format!("{source} delivers again"),
                News::Skipped { what } => format!("{source} leaves out {what}"),
                News::Waits { what } => format!("{source} waits: {what}"),
                News::Imported { file, events, alerts } => {
                    format!("{source} read {file}: {}, {}", counted(*events, "event"), counted(*alerts, "alert"))
                }
            },
            Told::Events { events, known, alerts, skipped } => {
                let known = if *known == 0 { String::new() } else { format!(" ({known} of them known already)") };
                let (events, alerts) = (counted(*events, "event"), counted(*alerts, "alert"));
                let left_out = format!(", {} left out", counted(*skipped, "record"));
                let skipped = if *skipped == 0 { "" } else { left_out.as_str() };
                format!("{events} in{known}, {alerts}{skipped}")
            }
            Told::Rules { rules } => {
                format!("from now on {} in use: their files have changed", counted(*rules as u64, "rule"))
            }
            Told::Baseline(baseline) => baseline.says(),
            Told::Case { case } => render::line(case),
            Told::Stopping => {
                "stopping: sources first, then what is being worked on; a second signal stops at once".into()
            }
            Told::Stopped => "stopped".into(),
        };
        say(format!("{} {line}", now.strftime("%T")))
    }
}

/// The signals that stop a floor.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen =
            |kind| signal(kind).context("the system gives no signals, so the floor could not be stopped cleanly");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    #[cfg(not(unix))]
    fn new() -> Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next one.
    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
