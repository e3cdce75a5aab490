//! Intake: groups alerts into cases as they come, and carries out what people say of cases.
//!
//! The streams of alerts and of people's words are its inbox, the cases' streams are what it did. When it starts it
//! reads all of them, groups all alerts again (grouping is a function of the alerts and the words alone) and appends
//! what is missing: a case that was not opened, an alert that did not join, a merge that was cut short.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;

use super::messages::{IntakeMessage, Role};
use super::settling::Settling;
use super::shared::{Shared, TICK};
use crate::analyst::driver::rank;
use crate::detection::grouping::Groups;
use crate::domain::case::{Status, Transition};
use crate::domain::ids::{AlertId, CaseId};
use crate::journal::alert_log::AlertEntry;
use crate::journal::case_stream::{Batch, CaseStream, cases};
use crate::journal::desired;
use crate::journal::effects::comment;
use crate::journal::entry::CaseEntry;
use crate::ports::events::Watermark;
use crate::ports::journal::{JournalError, Queue, QueueChange};

mod grouped;
mod people;
mod repeats;
mod second_look;
mod telling;

/// How intake signs.
const AUTHOR: &str = "Intake";

/// The actor.
pub struct Intake;

/// What it knows, all of it rebuilt from the journal at the start.
pub struct State {
    shared: Arc<Shared>,
    /// How far the stream of alerts has been read.
    read: u64,
    /// How far the stream of people's words has been read.
    heard: u64,
    groups: Groups,
    /// The case that holds each alert.
    holders: HashMap<AlertId, CaseId>,
    /// Who said that alerts are one incident or two, and why, by the number of the word.
    words: BTreeMap<u64, String>,
    streams: BTreeMap<CaseId, CaseStream>,
    settling: Settling,
    /// Cases that people's words concerned and that have not been released since.
    concerned: BTreeSet<CaseId>,
    /// When a case was changed last.
    last_change: Timestamp,
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
        // A merged case still names its alerts, and they are its survivor's.
        let live = streams.iter().filter(|(_, stream)| stream.log().status != Status::Merged);
        let of = |(case, stream): (&CaseId, &CaseStream)| {
            stream.log().alerts.iter().map(|alert| (alert.clone(), *case)).collect::<Vec<_>>()
        };
        let holders = live.rev().flat_map(of).collect();
        let mut state = Self {
            last_change: shared.clock.now(),
            shared,
            read: 0,
            heard: 0,
            groups: Groups::default(),
            holders,
            words: BTreeMap::new(),
            streams,
            settling: Settling::default(),
            concerned: BTreeSet::new(),
        };
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

    /// Takes in what the streams of alerts and of people's words have gained.
    async fn catch_up(&mut self) -> Result<(), JournalError> {
        let rows = self.shared.alerts.read(self.read).await?;
        for damage in &rows.damaged {
            // Its source raises the alert again when it is read again; until then a person should know.
            tracing::error!(%damage, "an alert was lost from the journal: import its log again");
        }
        // A source that has delivered more since was not done: only what nothing follows means "all is here".
        let (mut read, mut caught_up) = (self.read, None);
        for (number, _, entry) in rows.entries {
            match entry {
                AlertEntry::Arrived { alert } => {
                    self.groups.add(&alert);
                    caught_up = None;
                }
                AlertEntry::CaughtUp { watermark } => caught_up = Some(watermark),
                AlertEntry::LogRead { .. }
                | AlertEntry::Lost { .. }
                | AlertEntry::ClockSeen { .. }
                | AlertEntry::Unknown => {}
            }
            read = number;
        }
        let heard = self.hear().await?;
        if read == self.read && heard == self.heard && self.concerned.is_empty() && !self.groups.is_unsettled() {
            return Ok(());
        }
        let groups = self.groups.regroup();
        let again: Vec<usize> = groups.iter().map(|group| group.alerts[0]).collect();
        let touched = match self.settle_groups(groups).await {
            Ok(touched) => touched,
            Err(error) => {
                self.groups.unsettle(&again);
                return Err(error);
            }
        };
        if let Some(arrived) = caught_up {
            self.caught_up(arrived).await?;
        }
        // What a person changed is looked at at once: no source has to say that it is done.
        if heard != self.heard {
            self.concerned.extend(touched);
        }
        let concerned: Vec<CaseId> = self.concerned.iter().copied().collect();
        self.release(&concerned).await?;
        self.concerned.clear();
        (self.read, self.heard) = (read, heard);
        self.tell_settling();
        self.shared.set_grouped(read);
        self.shared.set_heard(heard);
        self.shared.case_runnable(Role::Tier1);
        self.shared.entry_ready();
        Ok(())
    }

    /// The cases that wait for their sources, as far as is known here.
    fn waiting(&self) -> Vec<CaseId> {
        self.streams.iter().filter(|(_, stream)| !stream.log().ready).map(|(case, _)| *case).collect()
    }

    /// Every case that was waiting for its sources may now be judged, and what is on hold is looked at again.
    async fn caught_up(&mut self, arrived: Watermark) -> Result<(), JournalError> {
        let waiting = self.waiting();
        self.release(&waiting).await?;
        self.look_again(arrived).await
    }

    /// Tells how many cases have yet to settle, where they do: at rest is only a floor that waits for none.
    fn tell_settling(&self) {
        self.shared.set_settling(self.shared.settle().map_or(0, |_| self.settling.waiting()));
    }

    /// On a floor that keeps running, cases may be judged once they have settled.
    async fn settle(&mut self) -> Result<(), JournalError> {
        let Some(rule) = self.shared.settle() else { return Ok(()) };
        let settled = self.settling.settled(rule, self.shared.last_delivery(), Instant::now());
        if settled.is_empty() {
            return Ok(());
        }
        self.release(&settled).await?;
        self.tell_settling();
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
                    effects.push(comment(
                        case,
                        &format!("alerts/{}", alerts.len()),
                        AUTHOR,
                        telling::gathered(&alerts),
                        now,
                    ));
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
            let now = self.shared.clock.now();
            match stream.append(batch, now).await {
                Err(JournalError::Conflict { .. }) => {}
                appended => {
                    self.last_change = now;
                    return appended;
                }
            }
        }
    }
}

fn moved(transition: &Transition, because: &str) -> CaseEntry {
    CaseEntry::Moved {
        transition: transition.into(),
        by: AUTHOR.into(),
        rule: "grouping".into(),
        because: because.to_owned(),
    }
}
