//! What commands ask of a state folder: answered by the floor that holds it, or from its files when none does.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::assembly::Stores;
use crate::domain::ids::CaseId;
use crate::journal::audit;
use crate::ports::desk::{Comment, DeskCase, DeskError};
use crate::ports::journal::JournalError;

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
}

/// A case with its thread.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseThread {
    /// The case.
    pub case: DeskCase,
    /// Its comments, by number.
    pub comments: Vec<Comment>,
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
}

/// Answers a question from the stores.
///
/// # Errors
/// When a store refuses or the case does not exist.
pub async fn answer(stores: &Stores, query: &Query) -> Result<Value, QueryError> {
    Ok(match query {
        Query::Cases => json!(stores.desk.list().await?),
        Query::Case { case } => {
            let found = stores.desk.get(*case).await?.ok_or(DeskError::NoCase(*case))?;
            json!(CaseThread { case: found, comments: stores.desk.comments(*case).await? })
        }
        Query::VerifyAudit => json!(audit::verify(stores.journal.as_ref()).await?),
        Query::CheckJournal => json!(stores.journal.check().await?),
    })
}
