//! What commands ask of a state folder: answered by the floor that holds it, or from its files when none does.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::assembly::Stores;
use super::{gate_view, watching};
use crate::domain::event::kind_name;
use crate::domain::evidence::Exhibit;
use crate::domain::ids::{CaseId, EvidenceId};
use crate::journal::audit;
use crate::journal::case_stream::{self, CaseStream};
use crate::journal::effects::{DESK, DeskEffect};
use crate::journal::words::Word;
use crate::ports::desk::{Comment, DeskCase, DeskError};
use crate::ports::events::EventQuery;
use crate::ports::events::coverage::History;
use crate::ports::events::retention::Size;
use crate::ports::events::tally::{Dimension, Grouping, Tally, TallyQuery};
use crate::ports::journal::JournalError;
use crate::ports::storage::StorageError;
use crate::tools::recorded;
use crate::tools::view::{EventView, IN_A_ROW};

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "query", rename_all = "snake_case")]
pub enum Query {
    /// All cases.
    Cases,
    /// One case with its comments.
    Case {
        /// The case.
        case: CaseId,
    },
    /// Follow the gatekeeper's audit from its beginning.
    VerifyAudit,
    /// Read every row of the journal.
    CheckJournal,
    /// What the event store holds.
    EventStats,
    /// Every proposal that the gatekeeper decided.
    Matters,
    /// A person speaks to the gatekeeper.
    Say {
        /// What is said.
        said: Word,
    },
    /// What happened after a place of the journal.
    Watch {
        /// The place; without one, where the journal ends.
        after: Option<u64>,
    },
}

/// A case with its thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseThread {
    /// The case.
    pub case: DeskCase,
    /// Its comments, by number.
    pub comments: Vec<Comment>,
    /// What every evidence id of the case stands for, cited or not.
    pub exhibits: Vec<ShownExhibit>,
}

/// An evidence id and what it stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShownExhibit {
    /// The id.
    pub id: EvidenceId,
    /// The event's line, or the search that found nothing.
    pub text: String,
}

/// What the event store holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventStats {
    /// How many events, and how far back they reach.
    pub history: History,
    /// How large it is.
    pub size: Size,
    /// Machines.
    pub hosts: u64,
    /// The kinds of events, most first.
    pub kinds: Tally,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The case desk refused.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The event store refused.
    #[error(transparent)]
    Events(#[from] StorageError),
    /// The journal knows a case that the desk does not have.
    #[error(
        "the case desk does not have {0}, which the journal has: cases.db was removed, replaced or damaged; restore it from a copy, or name a new folder with --data and import the logs again"
    )]
    NotAtTheDesk(CaseId),
}

/// All cases as they stand. What the outbox still holds for the desk is shown as if it were written already, so
/// that nobody reads an old state after a process died.
///
/// # Errors
/// When a store refuses, or the desk lacks a case that the journal has.
pub async fn cases(stores: &Stores) -> Result<Vec<DeskCase>, QueryError> {
    let listed = stores.desk.list().await?;
    let mut cases: BTreeMap<CaseId, DeskCase> = listed.into_iter().map(|case| (case.id, case)).collect();
    for effect in stores.journal.effects(DESK).await? {
        if let Ok(DeskEffect::State { case, opened, state }) = serde_json::from_str(&effect.wish.body) {
            let shown =
                cases.entry(case).or_insert_with(|| DeskCase { id: case, opened, state: *state.clone(), comments: 0 });
            if state.version >= shown.state.version {
                shown.state = *state;
            }
        }
    }
    let known = case_stream::cases(stores.journal.as_ref()).await?;
    match known.into_iter().find(|case| !cases.contains_key(case)) {
        Some(missing) => Err(QueryError::NotAtTheDesk(missing)),
        None => Ok(cases.into_values().collect()),
    }
}

/// One case with its comments and its evidence.
///
/// # Errors
/// As [`cases`], and when there is no such case.
pub async fn thread(stores: &Stores, id: CaseId) -> Result<CaseThread, QueryError> {
    let case = cases(stores).await?.into_iter().find(|case| case.id == id).ok_or(DeskError::NoCase(id))?;
    let stream = CaseStream::open(stores.journal.clone(), id, None).await?;
    let ledger = recorded::before(stores.journal.as_ref(), stream.log(), u32::MAX).await?.ledger;
    let mut exhibits = Vec::new();
    for id in ledger.ids() {
        let text = match ledger.get(id) {
            Some(Exhibit::Event { event }) => match stores.events.get(event).await? {
                Some(event) => EventView::row(&event, IN_A_ROW).line(),
                None => format!("event {event}, which the store no longer holds"),
            },
            Some(Exhibit::Absence { absence }) => format!(
                "no {} on {} from {} to {}",
                kind_name(&absence.channel, absence.code),
                absence.host,
                absence.from,
                absence.to
            ),
            None => continue,
        };
        exhibits.push(ShownExhibit { id, text });
    }
    Ok(CaseThread { case, comments: stores.desk.comments(id).await?, exhibits })
}

/// What the event store holds.
///
/// # Errors
/// When it cannot be read.
pub async fn event_stats(stores: &Stores) -> Result<EventStats, StorageError> {
    let watermark = stores.events.watermark().await?;
    let all = || EventQuery::within(Timestamp::MIN, Timestamp::MAX, watermark);
    let by = async |by, limit| {
        // One dimension is never too many.
        let Ok(by) = Grouping::new(vec![by]) else { return Ok(Tally::default()) };
        stores.events.tally(&TallyQuery { events: EventQuery { limit, ..all() }, by }).await
    };
    Ok(EventStats {
        history: stores.events.history(watermark).await?,
        size: stores.events.size().await?,
        hosts: by(Dimension::Host, 0).await?.groups_total,
        kinds: by(Dimension::Kind, 20).await?,
    })
}

/// Answers a question from the stores.
///
/// # Errors
/// When a store refuses or the case does not exist.
pub async fn answer(stores: &Stores, query: &Query) -> Result<Value, QueryError> {
    Ok(match query {
        Query::Cases => json!(cases(stores).await?),
        Query::Case { case } => json!(thread(stores, *case).await?),
        Query::VerifyAudit => json!(audit::verify(stores.journal.as_ref()).await?),
        Query::CheckJournal => json!(stores.journal.check().await?),
        Query::EventStats => json!(event_stats(stores).await?),
        Query::Matters => json!(gate_view::matters(stores).await?),
        Query::Say { said } => json!(gate_view::say(stores, said).await?),
        Query::Watch { after } => json!(watching::since(stores, *after).await?),
    })
}
