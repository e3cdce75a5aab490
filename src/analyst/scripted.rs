//! An analyst that plays a script: for tests and measurements of everything around it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{Analyst, AnalystError, Brief, Move, Turn};
use crate::domain::ids::CaseId;

/// What a scripted analyst does: a function of the brief and the turns so far.
pub type Script = dyn Fn(&Brief, &[Turn]) -> Result<Move, AnalystError> + Send + Sync;

/// Plays a script and counts how often it was asked.
pub struct ScriptedAnalyst {
    script: Box<Script>,
    free: bool,
    asked: Mutex<HashMap<(CaseId, usize), u32>>,
}

impl ScriptedAnalyst {
    /// An analyst that does what `script` says.
    pub fn new(script: impl Fn(&Brief, &[Turn]) -> Result<Move, AnalystError> + Send + Sync + 'static) -> Self {
        Self { script: Box::new(script), free: false, asked: Mutex::default() }
    }

    /// The same, as one that costs nothing to ask again.
    #[must_use]
    pub fn free(self) -> Self {
        Self { free: true, ..self }
    }

    /// How often it was asked for its move at one place of one case: more than once is a repeated question.
    #[must_use]
    pub fn times_asked(&self) -> Vec<u32> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).values().copied().collect()
    }
}

#[async_trait]
impl Analyst for ScriptedAnalyst {
    fn name(&self) -> &str {
        "scripted"
    }

    fn version(&self) -> String {
        "scripted".into()
    }

    fn is_free(&self) -> bool {
        self.free
    }

    async fn next(&self, brief: &Brief, turns: &[Turn]) -> Result<Move, AnalystError> {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner).entry((brief.case, turns.len())).or_default() += 1;
        (self.script)(brief, turns)
    }
}
