//! What stands against a machine closing a case: something that was seen, or something that could not be.

use serde::{Deserialize, Serialize};

use super::draft::Unknown;

/// One reason for which a machine leaves a case to a person, though its verdict is benign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// An event that the harmless explanation does not cover.
    Unexplained(String),
    /// Something that would not have been seen, had it happened.
    Unseen(String),
}

impl Obstacle {
    /// The reason in a sentence.
    #[must_use]
    pub fn says(&self) -> &str {
        match self {
            Self::Unexplained(what) | Self::Unseen(what) => what,
        }
    }

    /// The reason as what a person is told to be missing.
    #[must_use]
    pub fn missing(&self) -> Unknown {
        let (why, whereabouts) = match self {
            Self::Unexplained(_) => ("the harmless explanation does not cover it", "that event and those around it"),
            Self::Unseen(_) => (
                "without it, a harmless and a harmful run look the same",
                "the machine itself, its whole log, or its endpoint sensor",
            ),
        };
        Unknown {
            what: self.says().to_owned(),
            why_it_matters: why.into(),
            where_to_look: whereabouts.into(),
            obtainable: false,
        }
    }
}
