//! Intake: groups alerts into cases, one by one, as they come.
//!
//! The stream of alerts is its inbox, the cases' streams are what it did. When it starts it reads both, groups all
//! alerts again (grouping is a function of the alerts alone) and appends what is missing: a case that was not
//! opened, an alert that did not join, a merge that was cut short.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use super::messages::{IntakeMessage, Role};
use super::settling::Settling;
use super::shared::{Shared, TICK};
use crate::analyst::comments;
use crate::analyst::driver::rank;
use crate::detection::grouping::Groups;
use crate::domain::alert::Alert;
use crate::domain::case::{ReopenCause, Status, Transition};
use crate::domain::ids::{AlertId, CaseId};
use crate::domain::trace::SpanRef;
use crate::domain::words::counted;
use crate::journal::alert_log::AlertEntry;
use crate::journal::case_stream::{Batch, CaseStream, cases};
use crate::journal::desired;
use crate::journal::effects::comment;
use crate::journal::entry::CaseEntry;
use crate::ports::journal::{JournalError, Queue, QueueChange};
use crate::telemetry::ids;
use crate::tools::view::most_telling;

/// How intake signs.
const AUTHOR: &str = "Intake";

/// The actor.
pub struct Intake;

/// What it knows, all of it rebuilt from the journal at the start.
pub struct State {
    shared: Arc<Shared>,
    read: u64,
    groups: Groups,
    /// The case of each group, by the group's root.
    cases: BTreeMap<usize, CaseId>,
    /// The case that holds each alert, by what the journal says.
    holders: HashMap<AlertId, CaseId>,
    streams: BTreeMap<CaseId, CaseStream>,
    settling: Settling,
}

impl Actor for Intake {
    type Msg = IntakeMessage;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, _: ActorRef<IntakeMessage>, shared: Arc<Shared>) -> Result<State, ActorProcessingErr> {
        Ok(State::rebuild(shared).await?)
    }

    async fn post_start(&self, myself: ActorRef<IntakeMessage>, _: &mut State) -> Result<(), ActorProcessingErr> {
        myself.send_interval(TICK, || IntakeMessage::Tick);
        Ok(myself.cast(IntakeMessage::Tick)?)
    }

    async fn handle(
        &self,
        _: ActorRef<IntakeMessage>,
        message: IntakeMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            IntakeMessage::AlertsArrived | IntakeMessage::Tick => {
                state.shared.faults.break_once(Role::Intake);
                let turn = async {
                    state.catch_up().await?;
                    state.settle().await
                };
                if let Err(error) = turn.await {
                    state.shared.report_journal(&error);
                }
                Ok(())
            }
        }
    }
}

impl State {
    async fn rebuild(shared: Arc<Shared>) -> Result<Self, JournalError> {
        let mut streams = BTreeMap::new();
        for case in cases(shared.journal.as_ref()).await? {
            streams.insert(case, CaseStream::open(shared.journal.clone(), case, None).await?);
        }
        // A merged case still names its alerts: the case that absorbed it is older and has the last word.
        let of = |(case, stream): (&CaseId, &CaseStream)| {
            stream.log().alerts.iter().map(|alert| (alert.clone(), *case)).collect::<Vec<_>>()
        };
        let holders = streams.iter().rev().flat_map(of).collect();
        let (groups, settling) = (Groups::default(), Settling::default());
        let mut state = Self { shared, read: 0, groups, cases: BTreeMap::new(), holders, streams, settling };
        state.complete().await?;
        let now = Instant::now();
        state.waiting().into_iter().for_each(|case| state.settling.touched(case, now));
        Ok(state)
    }

    /// Completes what an earlier start was cut off from: merges that only one side knows of, and damaged cases
    /// that nobody has put on hold yet.
    async fn complete(&mut self) -> Result<(), JournalError> {
        let absorbed = self.streams.values().flat_map(|stream| {
            let log = stream.log();
            log.absorbed.iter().map(|(case, reason)| (*case, log.id, reason.clone())).collect::<Vec<_>>()
        });
        for (case, survivor, reason) in absorbed.collect::<Vec<_>>() {
            self.mark_merged(case, survivor, &reason).await?;
        }
        let is_open = |stream: &&CaseStream| matches!(stream.log().status, Status::New | Status::InProgress);
        let damaged = self.streams.values().filter(is_open).filter(|stream| !stream.log().damaged.is_empty());
        for case in damaged.map(|stream| stream.log().id).collect::<Vec<_>>() {
            self.change(case, |_| {
                let queues =
                    vec![QueueChange::Put { queue: Queue::Tier1, item: case.to_string(), rank: 0, not_before: None }];
                Some(Batch { queues, ..Batch::default() })
            })
            .await?;
        }
        Ok(())
    }

    /// Takes in what the stream of alerts has gained.
    async fn catch_up(&mut self) -> Result<(), JournalError> {
        let rows = self.shared.alerts.read(self.read).await?;
        if rows.entries.is_empty() && rows.damaged.is_empty() {
            return Ok(());
        }
        for damage in &rows.damaged {
            // Its source raises the alert again when it is read again; until then a person should know.
            tracing::error!(%damage, "an alert was lost from the journal: import its log again");
        }
        // A source that has delivered more since was not done: only what nothing follows means "all is here".
        let is_arrival = |(_, _, entry): &(u64, _, AlertEntry)| matches!(entry, AlertEntry::Arrived { .. });
        let last_arrival = rows.entries.iter().rfind(|row| is_arrival(row)).map_or(0, |(number, _, _)| *number);
        for (number, _, entry) in rows.entries {
            match entry {
                AlertEntry::Arrived { alert } => self.arrived(&alert).await?,
                AlertEntry::CaughtUp { .. } if number > last_arrival => self.caught_up().await?,
                AlertEntry::CaughtUp { .. } | AlertEntry::LogRead { .. } | AlertEntry::Unknown => {}
            }
            self.read = number;
            self.shared.set_grouped(number);
        }
        self.shared.case_runnable(Role::Tier1);
        self.shared.entry_ready();
        Ok(())
    }

    async fn arrived(&mut self, alert: &Alert) -> Result<(), JournalError> {
        let joined = self.groups.add(alert);
        let reason = joined.reason.map_or_else(|| "first of its incident".into(), |reason| reason.to_string());
        let known = self.holders.get(&alert.id).copied();
        match self.cases.get(&joined.root).copied().or(known) {
            None => {
                let case = self.open(alert).await?;
                self.cases.insert(joined.root, case);
            }
            Some(case) => {
                self.cases.insert(joined.root, case);
                if known.is_none() {
                    self.join(case, alert, &reason).await?;
                }
            }
        }
        let survivor = self.cases[&joined.root];
        self.holders.insert(alert.id.clone(), survivor);
        self.settling.touched(survivor, Instant::now());
        let merged: Vec<CaseId> = joined.merged.iter().filter_map(|root| self.cases.get(root).copied()).collect();
        for case in merged.into_iter().filter(|case| *case != survivor) {
            self.merge(case, survivor, &reason).await?;
        }
        Ok(())
    }

    async fn open(&mut self, alert: &Alert) -> Result<CaseId, JournalError> {
        let number = self.streams.keys().next_back().map_or(0, |case| case.number()) + 1;
        let case = CaseId::new(number);
        let mut stream = CaseStream::open(self.shared.journal.clone(), case, None).await?;
        let now = self.shared.clock.now();
        let root = SpanRef { trace: ids::new_trace(), span: ids::new_span() };
        let entries = vec![CaseEntry::Opened { alert: alert.id.clone(), root }];
        let author = alert.rule.author.as_ref().map_or_else(String::new, |author| format!(", rule by {author}"));
        let matched = most_telling(&alert.matched).map_or_else(String::new, |quote| {
            let field = quote.field.rsplit('.').next().unwrap_or(&quote.field);
            format!("\nTrigger: {field} `{}`.", comments::quoted(&quote.value))
        });
        let text = format!(
            "Opened for {} ({}{}) on {} at {} UTC.{matched}",
            comments::quoted(&alert.rule.title),
            alert.rule.level,
            comments::quoted(&author),
            comments::quoted(&alert.host.to_string()),
            alert.time.strftime("%F %T"),
        );
        let state = desired::state(&stream.preview(&entries, now), &[Arc::new(alert.clone())]);
        let effects = vec![state, comment(case, "opened", AUTHOR, text, now)];
        stream.append(Batch { entries, effects, ..Batch::default() }, now).await?;
        self.streams.insert(case, stream);
        self.shared.entry_ready();
        Ok(case)
    }

    async fn join(&mut self, case: CaseId, alert: &Alert, reason: &str) -> Result<(), JournalError> {
        let shared = self.shared.clone();
        self.change(case, |stream| {
            if stream.log().holds(&alert.id) {
                return None;
            }
            let entries = vec![CaseEntry::Joined { alert: alert.id.clone(), reason: reason.to_owned() }];
            Some(reopened(&shared, stream, entries, &format!("joined/{}", alert.id), reason))
        })
        .await
    }

    /// Makes `case` a part of `survivor`: first the survivor takes its alerts, then the case says where it went.
    async fn merge(&mut self, case: CaseId, survivor: CaseId, reason: &str) -> Result<(), JournalError> {
        let alerts = self.streams[&case].log().alerts.clone();
        let shared = self.shared.clone();
        self.change(survivor, |stream| {
            if alerts.iter().all(|alert| stream.log().holds(alert)) {
                return None;
            }
            let entries = vec![CaseEntry::Absorbed { case, alerts: alerts.clone(), reason: reason.to_owned() }];
            Some(reopened(
                &shared,
                stream,
                entries,
                &format!("absorbed/{case}"),
                &format!("{case} is the same incident, {reason}"),
            ))
        })
        .await?;
        self.mark_merged(case, survivor, reason).await
    }

    async fn mark_merged(&mut self, case: CaseId, survivor: CaseId, reason: &str) -> Result<(), JournalError> {
        let shared = self.shared.clone();
        self.change(case, |stream| {
            if stream.log().status == Status::Merged {
                return None;
            }
            let now = shared.clock.now();
            let entries = vec![moved(&Transition::Merge(survivor), &format!("part of {survivor}: {reason}"))];
            let text = format!("Merged into {survivor}: {reason}.");
            let item = case.to_string();
            let queues = [Queue::Tier1, Queue::Tier2].map(|queue| QueueChange::Remove { queue, item: item.clone() });
            let state = desired::state(&stream.preview(&entries, now), &shared.alerts.get(&stream.log().alerts));
            let effects = vec![comment(case, "merged", AUTHOR, text, now), state];
            Some(Batch { entries, effects, queues: queues.to_vec(), ..Batch::default() })
        })
        .await
    }

    /// The cases that wait for their sources, as far as is known here.
    fn waiting(&self) -> Vec<CaseId> {
        self.streams.iter().filter(|(_, stream)| !stream.log().ready).map(|(case, _)| *case).collect()
    }

    /// Every case that was waiting for its sources may now be judged.
    async fn caught_up(&mut self) -> Result<(), JournalError> {
        let waiting = self.waiting();
        self.release(&waiting).await
    }

    /// On a floor that keeps running, cases may be judged once they have settled.
    async fn settle(&mut self) -> Result<(), JournalError> {
        let Some(rule) = self.shared.settle() else { return Ok(()) };
        let settled = self.settling.settled(rule, self.shared.last_delivery(), Instant::now());
        if settled.is_empty() {
            return Ok(());
        }
        self.release(&settled).await?;
        self.shared.case_runnable(Role::Tier1);
        self.shared.entry_ready();
        Ok(())
    }

    /// These cases may now be judged, those of them that are open and were waiting.
    async fn release(&mut self, waiting: &[CaseId]) -> Result<(), JournalError> {
        for &case in waiting {
            let shared = self.shared.clone();
            self.change(case, |stream| {
                let log = stream.log();
                if log.ready || !matches!(log.status, Status::New | Status::InProgress) {
                    return None;
                }
                let now = shared.clock.now();
                let alerts = shared.alerts.get(&log.alerts);
                let entries = vec![CaseEntry::Ready];
                let mut effects = Vec::new();
                if alerts.len() > 1 {
                    effects.push(comment(case, &format!("alerts/{}", alerts.len()), AUTHOR, gathered(&alerts), now));
                }
                effects.push(desired::state(&stream.preview(&entries, now), &alerts));
                let rank = alerts.iter().map(|alert| rank(alert.rule.level)).max().unwrap_or_default();
                let put = QueueChange::Put { queue: Queue::Tier1, item: case.to_string(), rank, not_before: None };
                Some(Batch { entries, effects, queues: vec![put], ..Batch::default() })
            })
            .await?;
            self.settling.released(case);
        }
        Ok(())
    }

    /// Appends what `decide` says, reading the case again as long as others append to it meanwhile.
    async fn change(
        &mut self,
        case: CaseId,
        decide: impl Fn(&CaseStream) -> Option<Batch>,
    ) -> Result<(), JournalError> {
        let Some(stream) = self.streams.get_mut(&case) else { return Ok(()) };
        loop {
            stream.refresh().await?;
            let Some(batch) = decide(stream) else { return Ok(()) };
            match stream.append(batch, self.shared.clock.now()).await {
                Err(JournalError::Conflict { .. }) => {}
                appended => return appended,
            }
        }
    }
}

/// An alert came to a case: one that waits for a person or was handled is taken up again, once its sources have
/// delivered the rest.
fn reopened(shared: &Shared, stream: &CaseStream, mut entries: Vec<CaseEntry>, about: &str, why: &str) -> Batch {
    let log = stream.log();
    let (case, now) = (log.id, shared.clock.now());
    let mut batch = Batch::default();
    if matches!(log.status, Status::OnHold | Status::Resolved | Status::Closed) {
        entries.push(moved(&Transition::Reopen(ReopenCause::NewAlert), why));
        let preview = stream.preview(&entries, now);
        let text = format!("Reopened: an alert joined ({}).", comments::quoted(why));
        batch.effects.push(comment(case, about, AUTHOR, text, now));
        batch.effects.push(desired::state(&preview, &shared.alerts.get(&preview.alerts)));
    }
    batch.entries = entries;
    batch
}

fn moved(transition: &Transition, because: &str) -> CaseEntry {
    CaseEntry::Moved {
        transition: transition.into(),
        by: AUTHOR.into(),
        rule: "grouping".into(),
        because: because.to_owned(),
    }
}

/// How many alerts, rules and hosts the case has, and the loudest rules by name.
fn gathered(alerts: &[Arc<Alert>]) -> String {
    let mut rules: BTreeMap<&str, (&Alert, usize)> = BTreeMap::new();
    for alert in alerts {
        rules.entry(alert.rule.id.as_str()).or_insert((alert, 0)).1 += 1;
    }
    let mut hosts: Vec<&str> = alerts.iter().map(|alert| alert.host.key()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let mut loudest: Vec<_> = rules.values().collect();
    loudest.sort_by_key(|(alert, count)| (std::cmp::Reverse((alert.rule.level, *count)), alert.rule.id.clone()));
    let mut text = format!(
        "{} of {} on {} belong together.",
        comments::count(alerts.len() as u64, "alert"),
        comments::count(rules.len() as u64, "rule"),
        comments::count(hosts.len() as u64, "host")
    );
    for (alert, count) in loudest.iter().take(6) {
        let author =
            alert.rule.author.as_ref().map_or_else(String::new, |author| format!(", by {}", comments::quoted(author)));
        text.push_str(&format!(
            "\n- {} × {} ({}{author})",
            count,
            comments::quoted(&alert.rule.title),
            alert.rule.level
        ));
    }
    if loudest.len() > 6 {
        text.push_str(&format!("\n- and {}", counted((loudest.len() - 6) as u64, "more rule")));
    }
    text
}
