//! The case writer: carries the outbox to the case desk, reads back what it wrote, and confirms it.
//!
//! Comments of a case keep their order; of several states of a case only the newest is sent. A failure holds up
//! its own case and no other. An effect that was sent by a process that is gone is looked up at the desk before
//! anything is sent again.

use std::collections::BTreeMap;
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tracing::Instrument;

use super::messages::{CaseWriterMessage, Role};
use super::shared::{Shared, TICK};
use crate::domain::ids::CaseId;
use crate::domain::trace::SpanRef;
use crate::journal::case_stream::CaseStream;
use crate::journal::effects::{DESK, DeskEffect};
use crate::ports::desk::DeskError;
use crate::ports::journal::JournalError;
use crate::ports::storage::StorageError;
use crate::telemetry::{ids, spans};

/// The actor.
pub struct CaseWriter;

/// Where the cases' traces begin.
pub struct State {
    shared: Arc<Shared>,
    roots: BTreeMap<CaseId, SpanRef>,
}

/// Why a case could not be written now.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Desk(#[from] DeskError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the case desk does not show what was written to {0}")]
    NotShown(CaseId),
}

impl Actor for CaseWriter {
    type Msg = CaseWriterMessage;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(
        &self,
        _: ActorRef<CaseWriterMessage>,
        shared: Arc<Shared>,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State { shared, roots: BTreeMap::new() })
    }

    async fn post_start(&self, myself: ActorRef<CaseWriterMessage>, _: &mut State) -> Result<(), ActorProcessingErr> {
        myself.send_interval(TICK, || CaseWriterMessage::Tick);
        Ok(myself.cast(CaseWriterMessage::Tick)?)
    }

    async fn handle(
        &self,
        _: ActorRef<CaseWriterMessage>,
        message: CaseWriterMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            CaseWriterMessage::EntryReady | CaseWriterMessage::Tick => {
                state.shared.faults.break_once(Role::CaseWriter);
                if let Err(error) = state.write_all().await {
                    state.shared.report_journal(&error);
                }
                Ok(())
            }
        }
    }
}

impl State {
    async fn write_all(&mut self) -> Result<(), JournalError> {
        let mut lanes: BTreeMap<CaseId, Vec<(String, DeskEffect)>> = BTreeMap::new();
        for effect in self.shared.journal.effects(DESK).await? {
            match serde_json::from_str::<DeskEffect>(&effect.wish.body) {
                Ok(wish) => lanes.entry(wish.case()).or_default().push((effect.wish.key, wish)),
                Err(error) => self.shared.report(&format!("outbox row {} cannot be read: {error}", effect.wish.key)),
            }
        }
        for (case, lane) in lanes {
            match self.write(case, lane).await {
                Ok(()) => {}
                Err(WriteError::Desk(DeskError::Storage(error))) => self.shared.report_storage(&error),
                Err(WriteError::Journal(error)) => self.shared.report_journal(&error),
                Err(error) => self.shared.report(&error),
            }
        }
        Ok(())
    }

    /// Writes what one case waits for, in order, and confirms what the desk then shows.
    async fn write(&mut self, case: CaseId, lane: Vec<(String, DeskEffect)>) -> Result<(), WriteError> {
        let root = self.root(case).await?;
        let keys: Vec<String> = lane.iter().map(|(key, _)| key.clone()).collect();
        self.shared.journal.mark_sent(&keys).await?;
        let own = ids::new_span();
        let comments = lane.iter().filter(|(_, wish)| matches!(wish, DeskEffect::Comment { .. })).count();
        let span = spans::case_write(root, own, case, &format!("{comments} comments"));
        let written = self.carry_out(case, &lane).instrument(span.clone()).await;
        if written.is_err() {
            spans::record_error(&span, "desk_refused");
        }
        written?;
        self.shared.journal.confirm(&keys).await?;
        self.shared.case_written(case);
        Ok(())
    }

    async fn carry_out(&self, case: CaseId, lane: &[(String, DeskEffect)]) -> Result<(), WriteError> {
        let desk = &self.shared.desk;
        let newest = lane.iter().filter_map(|(_, wish)| match wish {
            DeskEffect::State { opened, state, .. } => Some((opened, state)),
            DeskEffect::Comment { .. } => None,
        });
        let newest = newest.max_by_key(|(_, state)| state.version);
        if let Some((opened, state)) = newest {
            desk.put(case, *opened, state.as_ref().clone()).await?;
        }
        // The desk knows a comment by its key: what a dead process sent is not sent twice.
        let shown = desk.comments(case).await?;
        let comments = lane.iter().filter_map(|(key, wish)| match wish {
            DeskEffect::Comment { comment, .. } => Some((key, comment)),
            DeskEffect::State { .. } => None,
        });
        let comments: Vec<_> = comments.collect();
        for (key, comment) in &comments {
            if !shown.iter().any(|known| known.comment.key == **key) {
                desk.add_comment(case, (*comment).clone(), self.shared.clock.now()).await?;
            }
        }
        let shown = desk.comments(case).await?;
        let all_there = comments.iter().all(|(key, _)| shown.iter().any(|known| known.comment.key == **key));
        let state_there = match (newest, desk.get(case).await?) {
            (None, _) => true,
            (Some((_, wanted)), Some(found)) => found.state.version >= wanted.version,
            (Some(_), None) => false,
        };
        if all_there && state_there { Ok(()) } else { Err(WriteError::NotShown(case)) }
    }

    async fn root(&mut self, case: CaseId) -> Result<SpanRef, JournalError> {
        if let Some(root) = self.roots.get(&case) {
            return Ok(*root);
        }
        let root = CaseStream::open(self.shared.journal.clone(), case, None).await?.log().root;
        self.roots.insert(case, root);
        Ok(root)
    }
}

impl From<StorageError> for WriteError {
    fn from(error: StorageError) -> Self {
        Self::Desk(error.into())
    }
}
