//! What commands ask of a state folder: answered by the floor that holds it, or from its files when none does.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::assembly::Stores;
use super::people::{self, Request};
use super::{gate_view, retention, watching};
use crate::domain::alert::Severity;
use crate::domain::entity::HostName;
use crate::domain::evidence::Exhibit;
use crate::domain::ids::{AlertId, CaseId, EvidenceId, RuleId};
use crate::journal::alert_log::AlertLog;
use crate::journal::audit;
use crate::journal::case_stream::{self, CaseStream};
use crate::journal::effects::{DESK, DeskEffect};
use crate::journal::outcomes::{self, RuleOutcomes};
use crate::journal::words::Word;
use crate::ports::desk::{Comment, DeskCase, DeskError};
use crate::ports::events::EventQuery;
use crate::ports::events::coverage::History;
use crate::ports::events::retention::{RetentionPolicy, Size};
use crate::ports::events::tally::{Dimension, Grouping, Tally, TallyQuery};
use crate::ports::journal::JournalError;
use crate::ports::storage::StorageError;
use crate::tools::view::{EventView, IN_A_ROW};
use crate::tools::{known_as, recorded};

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
    /// Cases in which all these words occur.
    Search {
        /// The words.
        words: Vec<String>,
    },
    /// What people said that cases were, by rule.
    Outcomes,
    /// A person says something of cases.
    Tell {
        /// What is asked for.
        request: Request,
    },
    /// What retention would remove.
    WouldPrune {
        /// By this policy, as a dry run whatever it says.
        policy: RetentionPolicy,
    },
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

impl Query {
    /// Its answer takes as long as there are events or records.
    #[must_use]
    pub const fn reads_everything(&self) -> bool {
        matches!(self, Self::VerifyAudit | Self::CheckJournal | Self::EventStats | Self::WouldPrune { .. })
    }
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
    /// Its first alerts, by time: at most [`MOST_ALERTS`] of them. The state says how many there are.
    #[serde(default)]
    pub alerts: Vec<ShownAlert>,
    /// Of the logs that its alerts are from, those whose clock shows to be off, with what it shows: the times of the
    /// case are as these logs recorded them.
    #[serde(default)]
    pub clocks: Vec<String>,
}

/// Of a case with more alerts than this the first ones are listed: thousands are no list.
pub const MOST_ALERTS: usize = 200;

/// An alert of a case in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownAlert {
    /// Its id, by which it can be split off.
    pub id: AlertId,
    /// When it happened.
    pub time: Timestamp,
    /// Where.
    pub host: HostName,
    /// The rule.
    pub rule: RuleId,
    /// The rule's title.
    pub title: String,
    /// How loud it is.
    pub level: Severity,
}

/// An evidence id and what it stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShownExhibit {
    /// The id.
    pub id: EvidenceId,
    /// The event's line, or the search that found nothing.
    pub text: String,
    /// It is a search that found nothing.
    #[serde(default)]
    pub absence: bool,
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
    /// A person's request was refused.
    #[error("{0}")]
    Refused(String),
    /// The journal knows a case that the desk does not have.
    #[error(
        "the case desk does not have {0}, which the journal has: cases.db was removed, replaced or damaged; restore it from a copy, or name a new folder with --data and import the logs again"
    )]
    NotAtTheDesk(CaseId),
}

/// All cases as they stand. What the outbox still holds for the desk is shown as if it were written already, so
/// that nobody reads an old state after a process died.
///
/// The floor may work meanwhile, so the order of the reads counts: a case that the journal knows was opened together
/// with a wish to show it, and a wish that is no longer in the outbox was carried out. Read the other way round, a case
/// that is opened in between would look like one that the desk has lost.
///
/// # Errors
/// When a store refuses, or the desk lacks a case that the journal has.
pub async fn cases(stores: &Stores) -> Result<Vec<DeskCase>, QueryError> {
    let known = case_stream::cases(stores.journal.as_ref()).await?;
    let wishes = stores.journal.effects(DESK).await?;
    let listed = stores.desk.list().await?;
    let mut cases: BTreeMap<CaseId, DeskCase> = listed.into_iter().map(|case| (case.id, case)).collect();
    for effect in wishes {
        if let Ok(DeskEffect::State { case, opened, state }) = serde_json::from_str(&effect.wish.body) {
            let shown =
                cases.entry(case).or_insert_with(|| DeskCase { id: case, opened, state: *state.clone(), comments: 0 });
            if state.version >= shown.state.version {
                shown.state = *state;
            }
        }
    }
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
    let (store, watermark) = (stores.events.as_ref(), stores.events.watermark().await?);
    let mut exhibits = Vec::new();
    for id in ledger.ids() {
        let exhibit = ledger.get(id);
        let absence = matches!(exhibit, Some(Exhibit::Absence { .. }));
        let text = match exhibit {
            Some(Exhibit::Event { event }) => match stores.events.get(event).await? {
                Some(event) => EventView::row(&event, IN_A_ROW).line(),
                None => format!("event {event}, which the store no longer holds"),
            },
            Some(Exhibit::Absence { absence }) => {
                let known_as = match &absence.process {
                    Some(process) => known_as::process(store, Some(&absence.host), process, watermark).await?,
                    None => None,
                };
                let (from, to) = (absence.from.strftime("%F %T"), absence.to.strftime("%F %T"));
                format!("{} from {from} to {to}", absence.asked(known_as.as_deref()))
            }
            None => continue,
        };
        exhibits.push(ShownExhibit { id, text, absence });
    }
    let known = AlertLog::open(stores.journal.clone()).await?;
    let mut alerts = known.get(&stream.log().alerts);
    alerts.sort_by(|one, other| (one.time, &one.id).cmp(&(other.time, &other.id)));
    let off = known.clocks();
    let mut clocks = BTreeSet::new();
    for alert in alerts.iter().take(if off.is_empty() { 0 } else { MOST_ALERTS }) {
        let log = store.get(&alert.event).await?.map(|event| event.origin.file);
        clocks.extend(log.and_then(|log| off.get(&log).map(|shows| format!("{log}: {shows}"))));
    }
    let alerts = alerts.into_iter().take(MOST_ALERTS).map(|alert| ShownAlert {
        id: alert.id.clone(),
        time: alert.time,
        host: alert.host.clone(),
        rule: alert.rule.id.clone(),
        title: alert.rule.title.clone(),
        level: alert.rule.level,
    });
    Ok(CaseThread {
        case,
        comments: stores.desk.comments(id).await?,
        exhibits,
        alerts: alerts.collect(),
        clocks: clocks.into_iter().collect(),
    })
}

/// The cases in which each of these words occurs somewhere, in any case of letters: in the title, the verdict's
/// headline, a comment, a host, an account, a rule's id, the assignee's name.
///
/// # Errors
/// As [`cases`].
pub async fn search(stores: &Stores, words: &[String]) -> Result<Vec<DeskCase>, QueryError> {
    let words: Vec<String> = words.iter().flat_map(|word| word.split_whitespace()).map(str::to_lowercase).collect();
    let mut found = Vec::new();
    for case in cases(stores).await? {
        let state = &case.state;
        let headline = state.verdict.as_ref().and_then(|verdict| verdict.get("headline")).and_then(Value::as_str);
        let mut text = vec![state.title.clone(), headline.unwrap_or_default().to_owned(), case.id.to_string()];
        text.extend(state.hosts.iter().map(|host| host.as_str().to_owned()));
        text.extend(state.roles.keys().chain(&state.accounts).chain(&state.assignee).cloned());
        text.extend(state.rules.iter().map(ToString::to_string));
        text.extend(stores.desk.comments(case.id).await?.into_iter().map(|comment| comment.comment.text));
        let text = text.join("\n").to_lowercase();
        if !words.is_empty() && words.iter().all(|word| text.contains(word)) {
            found.push(case);
        }
    }
    Ok(found)
}

/// People's outcomes by rule. What machines closed is not among them.
///
/// # Errors
/// When the journal cannot be read.
pub async fn outcomes(stores: &Stores) -> Result<BTreeMap<RuleId, RuleOutcomes>, JournalError> {
    let alerts = AlertLog::open(stores.journal.clone()).await?;
    Ok(outcomes::by_rule(&outcomes::of_people(&stores.journal, &alerts).await?))
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
        Query::Search { words } => json!(search(stores, words).await?),
        Query::Outcomes => json!(outcomes(stores).await?),
        Query::Tell { request } => {
            let told = people::say(stores, request.clone(), Timestamp::now()).await;
            json!(told.map_err(|error| QueryError::Refused(error.to_string()))?)
        }
        Query::WouldPrune { policy } => {
            json!(retention::prune(stores, &RetentionPolicy { dry_run: true, ..*policy }).await?)
        }
        Query::Matters => json!(gate_view::matters(stores).await?),
        Query::Say { said } => json!(gate_view::say(stores, said).await?),
        Query::Watch { after } => json!(watching::since(stores, *after).await?),
    })
}

#[cfg(test)]
mod tests;
