//! Plays a scenario: a floor of its own on a fresh folder takes its log in as it arrived, and judges as it comes.
//!
//! A decision rests on what had arrived by then and on nothing else (`experiment::replay`), and nothing is known of other
//! scenarios. How cases ended is what counts, but for closes and isolations, which count whenever they happened.
//! Clearings at the edges of the log are taken out first ([`super::edges`]).

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::citations::{self, Claim};
use super::edges::Edges;
use super::history::History;
use super::places;
use super::replay::{Reached, Replayed, replay};
use super::reread::{RereadError, Within};
use super::scenario::Scenario;
use super::score::{AlertRef, CaseScore, Citations, ClosedBy, Played, ProposalScore, ScenarioScore};
use crate::detection::clock::ClockOffset;
use crate::detection::read::{EventLog, Input, ReadError};
use crate::detection::sigma::{Detector, RuleSet};
use crate::domain::case::Status;
use crate::domain::ids::{AlertId, EventId};
use crate::domain::route::Tier;
use crate::floor::assembly::{AssemblyError, Stores, assemble};
use crate::floor::faults::Faults;
use crate::floor::import::{ImportError, Watch, import_all};
use crate::floor::ingest::IngestError;
use crate::floor::queries::{self, QueryError};
use crate::floor::settling::Settle;
use crate::floor::shared::Shared;
use crate::floor::state_folder::{FolderError, StateFolder};
use crate::floor::tree::{Floor, FloorError};
use crate::journal::case_stream::CaseStream;
use crate::ports::desk::DeskCase;
use crate::ports::events::Watermark;
use crate::ports::journal::JournalError;
use crate::ports::storage::StorageError;
use crate::scenarios;

/// Why a scenario could not be played to its end.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// No folder for its state.
    #[error("no temporary folder could be made ({0}): free some space, or name another place with TMPDIR")]
    Temporary(std::io::Error),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Its log is no log.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its log could not be taken in.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Its alerts could not be taken in.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The floor was not put together.
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    /// The floor broke down.
    #[error(transparent)]
    Floor(#[from] FloorError),
    /// Its cases could not be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Its journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Its store could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Its log could not be read again.
    #[error(transparent)]
    Reread(#[from] RereadError),
    /// The background that its label names could not be made.
    #[error(transparent)]
    Background(#[from] scenarios::ScenarioError),
    /// The process is ending.
    #[error("the work was cut short: the process is ending")]
    Ending,
}

/// Plays a scenario with these rules and compares what came of it with its label.
///
/// # Errors
/// See [`PlayError`].
pub async fn play(scenario: &Scenario, rules: &Arc<RuleSet>) -> Result<ScenarioScore, PlayError> {
    let clock = scenario.label.clock();
    let clearings = match scenario.label.clears_logs() {
        true => HashSet::new(),
        false => clearings(scenario.events.clone(), clock).await?,
    };
    let place = places::new().map_err(PlayError::Temporary)?;
    let folder = StateFolder::take(place.path())?;
    let scenario = &furnished(scenario, place.path()).await?;
    let stores = Stores::open(folder.path(), &Faults::default())?.with_context(folder.path(), None)?;
    let shared = assemble(&folder, stores.clone(), Faults::default()).await?;
    import_baseline(&shared, scenario, clock).await?;

    let before = stores.events.watermark().await?;
    let began = Instant::now();
    // Steps say when: whatever has arrived at the end of one is judged at once.
    shared.judge_once_settled(Settle::AT_ONCE);
    let floor = Floor::start(shared.clone()).await?;
    let replayed = replay(&floor, scenario.events.clone(), (clock, clearings), rules).await;
    let seconds = began.elapsed().as_secs_f64();
    floor.stop().await;
    let Replayed { events, skipped, alerts, steps, reached } = replayed?;

    let (cases, merged) = cases(scenario, &stores, &shared, (before, &reached)).await?;
    let played = Played { events, skipped, alerts: alerts.len() as u64, steps, cases, merged, seconds };
    drop((shared, stores));
    // What was stored can be large, and removing it takes a while. Should it fail, the system tidies up its own folder.
    let _ = tokio::task::spawn_blocking(move || drop((folder, place))).await;
    Ok(ScenarioScore::of(&scenario.label, played))
}

/// The cleared logs at the edges of all of a scenario's logs together.
async fn clearings(files: Vec<PathBuf>, clock: ClockOffset) -> Result<HashSet<EventId>, PlayError> {
    let look = move || {
        let mut edges = Edges::default();
        for file in files {
            EventLog::open(&file)?.with_clock(clock).for_each(|event| edges.see(&event));
        }
        Ok(edges.clearings())
    };
    tokio::task::spawn_blocking(look).await.map_err(|_| PlayError::Ending)?
}

/// Opens logs.
async fn inputs(files: Vec<PathBuf>) -> Result<Vec<Input>, PlayError> {
    let open = move || files.iter().map(|file| Ok(EventLog::open(file)?.into())).collect();
    tokio::task::spawn_blocking(open).await.map_err(|_| PlayError::Ending)?
}

/// The scenario with the background that its label names, made in the floor's folder if it lies nowhere.
async fn furnished(scenario: &Scenario, state: &Path) -> Result<Scenario, PlayError> {
    let mut furnished = scenario.clone();
    let folder = scenario.events.first().and_then(|log| log.parent()).map(Path::to_owned);
    let Some(folder) = folder else { return Ok(furnished) };
    let state = state.to_owned();
    let made = tokio::task::spawn_blocking(move || scenarios::folder::furnish(&folder, &state));
    furnished.baseline.extend(made.await.map_err(|_| PlayError::Ending)??);
    Ok(furnished)
}

/// What happened before is stored and looked at by no rule.
async fn import_baseline(shared: &Arc<Shared>, scenario: &Scenario, clock: ClockOffset) -> Result<(), PlayError> {
    if scenario.baseline.is_empty() {
        return Ok(());
    }
    let inputs = inputs(scenario.baseline.clone()).await?;
    let mut detector = Detector::new(Arc::new(RuleSet::none()));
    import_all(shared, inputs, clock, &mut detector, &Watch::default()).await?;
    Ok(())
}

/// The cases as they ended, with their citations looked up in the logs; and those that became part of another.
async fn cases(
    scenario: &Scenario,
    stores: &Stores,
    shared: &Shared,
    (before, reached): (Watermark, &[Reached]),
) -> Result<(Vec<CaseScore>, Vec<CaseScore>), PlayError> {
    let (mut cases, mut merged, mut claims) = (Vec::new(), Vec::new(), Vec::new());
    for case in queries::cases(stores).await? {
        if case.state.status == Status::Merged {
            merged.push(ended(stores, shared, case, before).await?);
        } else {
            claims.push(claims_of(stores, &case, &scenario.events, reached).await?);
            cases.push(ended(stores, shared, case, before).await?);
        }
    }
    let logs: Vec<PathBuf> = scenario.events.iter().chain(&scenario.baseline).cloned().collect();
    let looked = tokio::task::spawn_blocking(move || citations::look_up(claims, &logs));
    for (case, (citations, unverified)) in cases.iter_mut().zip(looked.await.map_err(|_| PlayError::Ending)??) {
        (case.citations, case.unverified) = (citations, unverified);
    }
    Ok((cases, merged))
}

/// What a case's verdict cites. Of a cited event the store is asked only where it was read.
async fn claims_of(
    stores: &Stores,
    case: &DeskCase,
    logs: &[PathBuf],
    reached: &[Reached],
) -> Result<Vec<Claim>, PlayError> {
    let stream = CaseStream::open(stores.journal.clone(), case.id, None).await?;
    let judged = stream.log().judged().map(|(attempt, _)| attempt.watermark);
    let within = judged.and_then(|arrived| within(arrived, logs, reached));
    let mut claims = Vec::new();
    for item in evidence(case) {
        let cites = citations::Cites::of(item);
        let origin = match cites.event() {
            Some(event) => stores.events.get(event).await?.map(|event| (event.origin, event.code, event.host)),
            None => None,
        };
        claims.push(cites.with(origin, within.clone()));
    }
    Ok(claims)
}

/// How far the logs had been read when so much had arrived.
fn within(arrived: Watermark, logs: &[PathBuf], reached: &[Reached]) -> Option<Within> {
    let Reached { file, place, .. } = reached.iter().rev().find(|reached| reached.watermark <= arrived)?;
    let later = logs.iter().skip_while(|log| *log != file).skip(1).cloned().collect();
    Some(Within { file: file.clone(), place: *place, later })
}

/// The items of a verdict's evidence, as the case shows them.
fn evidence(case: &DeskCase) -> &[Value] {
    let items = case.state.verdict.as_ref().and_then(|verdict| verdict.get("evidence"));
    items.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Alerts, and what tells each from others.
async fn alert_refs(stores: &Stores, shared: &Shared, alerts: &[AlertId]) -> Result<Vec<AlertRef>, PlayError> {
    let mut alert_refs = Vec::new();
    for alert in shared.alerts.get(alerts) {
        let event = stores.events.get(&alert.event).await?;
        alert_refs.push(AlertRef {
            rule_id: alert.rule.id.clone(),
            host: alert.host.clone(),
            record_id: event.and_then(|event| event.record_id),
            time: alert.time,
            title: alert.rule.title.clone(),
            kind: alert.event_kind.clone(),
        });
    }
    Ok(alert_refs)
}

/// A case as it ended, its citations not looked up yet.
async fn ended(stores: &Stores, shared: &Shared, case: DeskCase, before: Watermark) -> Result<CaseScore, PlayError> {
    let stream = CaseStream::open(stores.journal.clone(), case.id, None).await?;
    let log = stream.log();
    let alert_refs = alert_refs(stores, shared, &log.alerts).await?;
    let History { stood, closed_on } = History::of(stores.journal.as_ref(), case.id, before).await?;
    let mut closes = Vec::new();
    for alerts in &closed_on {
        closes.push(self::alert_refs(stores, shared, alerts).await?);
    }
    let judged = log.judged();
    let said = |name: &str| case.state.verdict.as_ref().and_then(|verdict| verdict.get(name));
    let quoted = evidence(&case).iter().map(|item| {
        let quotes = item.get("quotes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        quotes.iter().filter_map(|quote| quote.get("value")?.as_str()).collect::<Vec<_>>().join("\n")
    });
    let decision = |decision: Option<Value>| {
        let said = |name: &str| decision.as_ref().and_then(|decision| decision.get(name)?.as_str());
        match (said("answer"), said("rule")) {
            (Some(answer), Some(rule)) => format!("{answer}: {rule}"),
            (Some(answer), None) => answer.to_owned(),
            (None, _) => "waiting".to_owned(),
        }
    };
    let proposals = log.proposals.iter().map(|proposed| ProposalScore {
        host: proposed.proposal.host.clone(),
        action: proposed.proposal.action,
        decision: decision(proposed.decision.as_ref().and_then(|decision| serde_json::to_value(decision).ok())),
    });
    let shown = serde_json::to_value(&case.state).unwrap_or_default();
    Ok(CaseScore {
        id: case.id,
        alerts: alert_refs.len() as u64,
        alert_refs,
        hosts: case.state.hosts.clone(),
        roles: shown.get("roles").cloned().unwrap_or_default(),
        status: case.state.status,
        hold_reason: case.state.hold.as_ref().map(|hold| hold.cause.queue()),
        hold_cause: case.state.hold.as_ref().map(|hold| hold.cause),
        tier: judged.map(|(attempt, _)| match attempt.tier {
            Tier::One => 1,
            Tier::Two => 2,
        }),
        classification: judged.map(|(_, draft)| draft.classification),
        determination: judged.and_then(|(_, draft)| draft.determination),
        probability: judged.map(|(_, draft)| draft.malicious_probability),
        confidence: said("confidence").and_then(Value::as_str).map(str::to_owned),
        // Nobody but the floor takes part.
        closed_by: matches!(case.state.status, Status::Resolved | Status::Closed).then_some(ClosedBy::Machine),
        proposals: proposals.collect(),
        citations: Citations::default(),
        history: stood,
        closes,
        evidence: quoted.collect(),
        unverified: vec![],
    })
}
