//! What the floor wants written at the case desk, as rows of the outbox.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::ids::CaseId;
use crate::ports::desk::{CaseState, NewComment};
use crate::ports::journal::NewEffect;

/// The outbox's name for the case desk.
pub const DESK: &str = "desk";

/// The outbox's name for the EDR.
pub const EDR: &str = "edr";

/// A wish to write at the case desk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum DeskEffect {
    /// The case says this of itself. Of several, only the newest is sent.
    State {
        /// The case.
        case: CaseId,
        /// When it was opened.
        opened: Timestamp,
        /// What it says.
        state: Box<CaseState>,
    },
    /// A comment, in its order.
    Comment {
        /// The case.
        case: CaseId,
        /// The comment; its key is the effect's key.
        comment: NewComment,
    },
}

impl DeskEffect {
    /// The case it concerns.
    #[must_use]
    pub const fn case(&self) -> CaseId {
        match self {
            Self::State { case, .. } | Self::Comment { case, .. } => *case,
        }
    }

    /// The effect as a row of the outbox; a case is a lane.
    #[must_use]
    pub fn row(&self) -> NewEffect {
        let case = self.case();
        let key = match self {
            Self::State { state, .. } => format!("{case}/state/{}", state.version),
            Self::Comment { comment, .. } => comment.key.clone(),
        };
        NewEffect {
            key,
            target: DESK.into(),
            lane: case.to_string(),
            // No map with keys other than strings is in it, so it is always JSON.
            body: serde_json::to_string(self).unwrap_or_default(),
        }
    }
}

/// A comment keyed by what it is about, so that a repeated step repeats no comment.
#[must_use]
pub fn comment(case: CaseId, about: &str, author: &str, text: String, at: Timestamp) -> DeskEffect {
    let comment = NewComment { key: format!("{case}/{about}"), author: author.into(), text, at };
    DeskEffect::Comment { case, comment }
}
