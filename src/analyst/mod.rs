//! Analysts: who investigates. All of them only say what to do next; one driver does it.
//!
//! [`driver`] owns steps, budgets, the door, the checks of a verdict and the route. The rule-based analyst
//! ([`rules`]), a model, the scripted one of the tests ([`scripted`]) implement [`Analyst::next`] and nothing else.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::alert::Alert;
use crate::domain::draft::Draft;
use crate::domain::ids::CaseId;
use crate::domain::route::Tier;
use crate::journal::entry::Handover;
use crate::ports::events::Watermark;
use crate::tools::answer::{Answered, ToolCall};

pub mod agent;
mod closing;
pub mod comments;
mod conclusion;
pub mod driver;
mod investigation;
pub mod mandatory;
pub mod playbook;
pub mod rules;
pub mod scripted;

/// What an investigation starts from.
#[derive(Clone)]
pub struct Brief {
    /// The case.
    pub case: CaseId,
    /// The tier that investigates.
    pub tier: Tier,
    /// The case's alerts, in the order they joined.
    pub alerts: Arc<Vec<Alert>>,
    /// From tier 1, for tier 2.
    pub handover: Option<Handover>,
    /// What had arrived.
    pub watermark: Watermark,
    /// Tool calls that are left in the budget when it starts.
    pub calls: u32,
}

/// What came of a move.
#[derive(Debug, Clone)]
pub enum Turn {
    /// The calls were answered.
    Answers(Vec<Arc<Answered>>),
    /// The verdict was rejected, for these reasons.
    Rejected(Vec<String>),
}

/// What an analyst does next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "move", rename_all = "snake_case")]
pub enum Move {
    /// It asks tools, all at once.
    Calls {
        /// The calls.
        calls: Vec<ToolCall>,
        /// What it wants to know, in a sentence.
        because: String,
    },
    /// It submits a verdict.
    Submit {
        /// The verdict, not yet checked.
        draft: Box<Draft>,
    },
}

/// Why an analyst has no move.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnalystError {
    /// It may be asked again later.
    #[error("the analyst is busy for {} s: {why}", .retry_after.as_secs())]
    Busy {
        /// How long.
        retry_after: Duration,
        /// Why.
        why: String,
    },
    /// It cannot judge this case.
    #[error("the analyst failed: {0}")]
    Failed(String),
}

/// Decides the next move of an investigation from its brief and what happened so far.
#[async_trait]
pub trait Analyst: Send + Sync {
    /// How it signs: `built-in rules`, a model's name, …
    fn name(&self) -> &str;

    /// Digest of all that shapes its judgement: weights, prompts, model.
    fn version(&self) -> String;

    /// Asking it again costs nothing and changes nothing outside: its moves are recorded with what they lead to,
    /// and not before. A model that is paid for every answer is not free.
    fn is_free(&self) -> bool {
        false
    }

    /// The next move. The same brief and turns must be enough to decide: nothing is remembered in between.
    async fn next(&self, brief: &Brief, turns: &[Turn]) -> Result<Move, AnalystError>;
}
