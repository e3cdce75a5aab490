//! What a person asks to be done with cases: checked against the cases as they are, put on record as one word, and
//! waited for until intake has carried it out.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::assembly::Stores;
use super::case_filter::CaseFilter;
use super::queries::{self, QueryError};
use crate::domain::case::Status;
use crate::domain::ids::{AlertId, CaseId};
use crate::domain::person::{Act, GroupingWord, PersonsAct, is_persons_name};
use crate::journal::case_log::CaseLog;
use crate::journal::case_stream::{self, CaseStream};
use crate::journal::people_log;
use crate::ports::desk::DeskError;
use crate::ports::journal::JournalError;

/// How long a command waits for intake. What is on record is carried out later in any case.
const PATIENCE: Duration = Duration::from_secs(8);

/// How often it looks.
const LOOK: Duration = Duration::from_millis(20);

/// Shortest beginning of an alert's id that stands for it.
const SHORTEST_PREFIX: usize = 4;

/// Longest comment or reason, in characters: some four pages. A case is read, not browsed.
const LONGEST_TEXT: usize = 10_000;

/// A request of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Who asks.
    pub by: String,
    /// What for.
    pub act: Act,
    /// On which cases.
    pub on: On,
    /// Say what would change, and change nothing.
    pub only_count: bool,
}

/// The cases that a request is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// These; if one of them does not fit, nothing is done.
    Cases(Vec<CaseId>),
    /// All that meet the filter; those that do not fit are passed over.
    Where(CaseFilter),
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The cases that change, or would.
    pub cases: Vec<CaseId>,
    /// The cases that the filter found and that do not fit, with the reasons.
    pub passed_over: Vec<(CaseId, String)>,
    /// The word's number; `None` if nothing was put on record.
    pub number: Option<u64>,
    /// It was seen to be carried out.
    pub carried_out: bool,
    /// Of a split, the case that has the alerts now; of a merge, the case that goes on.
    pub now_in: Option<CaseId>,
}

/// Why a request was refused. Nothing is on record then.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// It is no name of a person.
    #[error(
        "`{0}` is no name of a person here: give one with --by NAME, of letters and digits, and none of the floor's own"
    )]
    NoName(String),
    /// A text is longer than anybody reads.
    #[error("the {what} has {characters} characters: at most {LONGEST_TEXT} are kept, so attach the rest elsewhere")]
    TooLong {
        /// What.
        what: &'static str,
        /// How long it is.
        characters: usize,
    },
    /// A text or reason is empty.
    #[error("the {0} says nothing: write what others should know")]
    Silent(&'static str),
    /// No case was named.
    #[error("name at least one case, such as WF-3, or a filter with --where")]
    NoCases,
    /// A case does not fit.
    #[error("{case} {why}")]
    DoesNotFit {
        /// The case.
        case: CaseId,
        /// Why, with what to do instead.
        why: String,
    },
    /// One case is not enough.
    #[error("name at least two different cases to merge")]
    OneCase,
    /// A merge or split was asked for with a filter, or a split of several cases.
    #[error(
        "cases are merged and split by name: `cases merge WF-1 WF-2 --because …`, `cases split WF-1 ALERT… --because …`"
    )]
    NotByFilter,
    /// An alert is not there.
    #[error("{case} has no alert `{alert}`: `watchfloor cases show {case}` lists those it has")]
    NoAlert {
        /// The case.
        case: CaseId,
        /// The alert.
        alert: String,
    },
    /// Nothing would be left.
    #[error("all alerts of {0} were named, so that nothing would be split: leave at least one")]
    NothingLeft(CaseId),
    /// A store refused.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Puts a request on record and waits until it is carried out. A floor has to run on these stores.
///
/// # Errors
/// When the request does not fit the cases, or a store refuses.
pub async fn say(stores: &Stores, request: Request, now: Timestamp) -> Result<Told, PeopleError> {
    let (mut told, word) = plan(stores, request, now).await?;
    let Some((said, grouping)) = word else { return Ok(told) };
    let number = people_log::say(stores.journal.as_ref(), said.clone(), grouping, now).await?;
    told.number = Some(number);
    let until = Instant::now() + PATIENCE;
    while !told.carried_out && Instant::now() < until {
        tokio::time::sleep(LOOK).await;
        told.carried_out = is_carried_out(stores, &said, number).await?;
    }
    told.now_in = match &said.act {
        Act::Merge { .. } => said.cases.iter().min().copied(),
        Act::Split { alerts, .. } => holder(stores, alerts, &said.cases).await?,
        _ => None,
    };
    Ok(told)
}

/// What would come of a request, changing nothing.
///
/// # Errors
/// As [`say`].
pub async fn count(stores: &Stores, request: Request, now: Timestamp) -> Result<Told, PeopleError> {
    Ok(plan(stores, request, now).await?.0)
}

/// A word ready to be put on record.
type Word = (PersonsAct, Option<GroupingWord>);

async fn plan(stores: &Stores, request: Request, now: Timestamp) -> Result<(Told, Option<Word>), PeopleError> {
    let Request { by, mut act, on, only_count } = request;
    if !is_persons_name(&by) {
        return Err(PeopleError::NoName(by));
    }
    says_something(&act)?;
    let mut told = Told { cases: vec![], passed_over: vec![], number: None, carried_out: false, now_in: None };
    let mut logs = Vec::new();
    match on {
        On::Cases(named) => {
            let mut known = BTreeSet::new();
            for case in named.into_iter().filter(|case| known.insert(*case)) {
                let log = CaseStream::open(stores.journal.clone(), case, None).await?.log().clone();
                if log.last == 0 {
                    return Err(QueryError::from(DeskError::NoCase(case)).into());
                }
                if let Err(why) = fits(&act, &log) {
                    return Err(PeopleError::DoesNotFit { case, why });
                }
                logs.push(log);
            }
            if logs.is_empty() {
                return Err(PeopleError::NoCases);
            }
        }
        On::Where(filter) => {
            if matches!(act, Act::Merge { .. } | Act::Split { .. }) {
                return Err(PeopleError::NotByFilter);
            }
            for case in queries::cases(stores).await?.into_iter().filter(|case| filter.matches(case, now)) {
                let log = CaseStream::open(stores.journal.clone(), case.id, None).await?.log().clone();
                match fits(&act, &log) {
                    Ok(()) => logs.push(log),
                    Err(why) => told.passed_over.push((case.id, why)),
                }
            }
        }
    }
    told.cases = logs.iter().map(|log| log.id).collect();
    let grouping = grouping(&mut act, &logs)?;
    let word = PersonsAct { by, cases: told.cases.clone(), act };
    Ok((told, (!only_count && !logs.is_empty()).then_some((word, grouping))))
}

fn says_something(act: &Act) -> Result<(), PeopleError> {
    let (what, text) = match act {
        Act::Comment { text } => ("comment", text),
        Act::Assign { to } => ("name", to),
        Act::Resolve { because, .. }
        | Act::Reopen { because }
        | Act::Judge { because, .. }
        | Act::Merge { because }
        | Act::Split { because, .. } => ("reason", because),
    };
    match text.chars().count() {
        _ if text.trim().is_empty() => Err(PeopleError::Silent(what)),
        characters if characters > LONGEST_TEXT => Err(PeopleError::TooLong { what, characters }),
        _ => Ok(()),
    }
}

/// Whether an act can be done to a case, or why not and what to do instead.
fn fits(act: &Act, log: &CaseLog) -> Result<(), String> {
    if let Some(into) = log.merged_into {
        return Err(format!("is part of {into}: name that case"));
    }
    match (act, log.status) {
        (Act::Reopen { .. }, Status::New | Status::InProgress) => {
            Err(format!("is {} and needs no reopening: comment on it, or judge it", log.status))
        }
        _ => Ok(()),
    }
}

/// What an act says about alerts. Alerts of a split are looked up by their beginnings.
fn grouping(act: &mut Act, logs: &[CaseLog]) -> Result<Option<GroupingWord>, PeopleError> {
    match act {
        Act::Merge { .. } => {
            if logs.len() < 2 {
                return Err(PeopleError::OneCase);
            }
            Ok(Some(GroupingWord::Together { alerts: logs.iter().flat_map(|log| log.alerts.clone()).collect() }))
        }
        Act::Split { alerts, .. } => {
            let [log] = logs else { return Err(PeopleError::NotByFilter) };
            let named = alerts.iter().map(|alert| full_id(log, alert)).collect::<Result<BTreeSet<AlertId>, _>>()?;
            let (these, rest): (Vec<_>, Vec<_>) = log.alerts.iter().cloned().partition(|alert| named.contains(alert));
            if rest.is_empty() {
                return Err(PeopleError::NothingLeft(log.id));
            }
            alerts.clone_from(&these);
            Ok(Some(GroupingWord::Apart { these, rest }))
        }
        Act::Comment { .. } | Act::Resolve { .. } | Act::Reopen { .. } | Act::Judge { .. } | Act::Assign { .. } => {
            Ok(None)
        }
    }
}

/// The alert of a case that this id, or its beginning, stands for alone.
fn full_id(log: &CaseLog, given: &AlertId) -> Result<AlertId, PeopleError> {
    if log.holds(given) {
        return Ok(given.clone());
    }
    let begins =
        |alert: &&AlertId| given.as_str().len() >= SHORTEST_PREFIX && alert.as_str().starts_with(given.as_str());
    let mut found = log.alerts.iter().filter(begins);
    match (found.next(), found.next()) {
        (Some(alert), None) => Ok(alert.clone()),
        _ => Err(PeopleError::NoAlert { case: log.id, alert: given.to_string() }),
    }
}

async fn is_carried_out(stores: &Stores, said: &PersonsAct, number: u64) -> Result<bool, JournalError> {
    let oldest = said.cases.iter().min();
    for case in &said.cases {
        let stream = CaseStream::open(stores.journal.clone(), *case, None).await?;
        let log = stream.log();
        let heard = log.words.contains(&number);
        let done = match &said.act {
            Act::Merge { .. } => heard && (Some(case) == oldest || log.status == Status::Merged),
            Act::Split { alerts, .. } => heard && holder(stores, alerts, &said.cases).await?.is_some(),
            // What was merged meanwhile is told through its survivor.
            _ => heard || log.status == Status::Merged,
        };
        if !done {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The live case, other than these, that has the first of the alerts.
async fn holder(stores: &Stores, alerts: &[AlertId], but: &[CaseId]) -> Result<Option<CaseId>, JournalError> {
    let Some(first) = alerts.first() else { return Ok(None) };
    for case in case_stream::cases(stores.journal.as_ref()).await? {
        if but.contains(&case) {
            continue;
        }
        let stream = CaseStream::open(stores.journal.clone(), case, None).await?;
        if stream.log().status != Status::Merged && stream.log().holds(first) {
            return Ok(Some(case));
        }
    }
    Ok(None)
}
