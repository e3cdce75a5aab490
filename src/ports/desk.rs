//! The case desk as a port: where cases are written for people to read.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::alert::Severity;
use crate::domain::case::{Hold, Status};
use crate::domain::entity::HostName;
use crate::domain::ids::{CaseId, RuleId};
use crate::domain::person::PersonsVerdict;
use crate::domain::role::HostRole;
use crate::ports::storage::StorageError;

/// What the floor wants a case to say of itself. A newer version replaces an older one, never the reverse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseState {
    /// Counts the wishes: the number of the journal record that made it.
    pub version: u64,
    /// One line.
    pub title: String,
    /// Where it stands.
    pub status: Status,
    /// Why it waits for a person.
    pub hold: Option<Hold>,
    /// The loudest alert.
    pub severity: Severity,
    /// The machines of its alerts.
    pub hosts: Vec<HostName>,
    /// How many alerts belong to it.
    pub alerts: u64,
    /// When the first of them happened.
    #[serde(default)]
    pub first_alert: Option<Timestamp>,
    /// When the last of them happened.
    #[serde(default)]
    pub last_alert: Option<Timestamp>,
    /// The case it was merged into.
    pub merged_into: Option<CaseId>,
    /// The verdict that stands, as JSON for people and programs to read.
    pub verdict: Option<Value>,
    /// The rule and value that decided the last step.
    pub decided_by: Option<String>,
    /// Containment proposed, with the gatekeeper's answers.
    pub proposals: Vec<Value>,
    /// The trace of the case's run, 32 hexadecimal digits.
    pub trace: String,
    /// The part of each machine, by its short name: also of one that alerts name as their origin and that has none.
    #[serde(default)]
    pub roles: BTreeMap<String, HostRole>,
    /// The rules of its alerts, each once.
    #[serde(default)]
    pub rules: Vec<RuleId>,
    /// The personal accounts in its alerts.
    #[serde(default)]
    pub accounts: Vec<String>,
    /// What a person says it was; it stands above the verdict.
    #[serde(default)]
    pub persons_verdict: Option<PersonsVerdict>,
    /// Who looks after it.
    #[serde(default)]
    pub assignee: Option<String>,
}

/// A comment to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewComment {
    /// Unique for ever: the same comment is never added twice.
    pub key: String,
    /// Who speaks: `Intake`, `Tier 1`, `Gatekeeper`, …
    pub author: String,
    /// The text.
    pub text: String,
    /// When what it says happened.
    pub at: Timestamp,
}

/// A comment as the desk shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Its number in the case, from 1.
    pub number: u32,
    /// When the desk took it.
    pub written: Timestamp,
    /// The comment.
    #[serde(flatten)]
    pub comment: NewComment,
}

/// A case as the desk shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeskCase {
    /// The case.
    pub id: CaseId,
    /// When it was opened.
    pub opened: Timestamp,
    /// What it says of itself.
    pub state: CaseState,
    /// How many comments it has.
    pub comments: u32,
}

/// Why the desk refused.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// No such case.
    #[error("the case desk has no case {0}: `watchfloor cases list` shows those it has")]
    NoCase(CaseId),
    /// Its storage refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Writes and shows cases. Every write can be repeated without harm and can be read back.
#[async_trait]
pub trait CaseDesk: Send + Sync {
    /// Writes what the case says of itself; creates it if the desk does not have it. An older version changes nothing.
    async fn put(&self, case: CaseId, opened: Timestamp, state: CaseState) -> Result<(), DeskError>;

    /// Adds a comment, unless one with its key is there; `written` is when the desk takes it.
    async fn add_comment(&self, case: CaseId, comment: NewComment, written: Timestamp) -> Result<(), DeskError>;

    /// One case.
    async fn get(&self, case: CaseId) -> Result<Option<DeskCase>, DeskError>;

    /// All cases, by number.
    async fn list(&self) -> Result<Vec<DeskCase>, DeskError>;

    /// The case's comments, by number.
    async fn comments(&self, case: CaseId) -> Result<Vec<Comment>, DeskError>;
}
