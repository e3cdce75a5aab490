//! What tools look at besides the events of their case: what people declared, and the alerts of the whole floor.

use std::sync::Arc;

use super::answer::ToolError;
use crate::journal::alert_log::AlertLog;
use crate::ports::context::Context;

/// See the module.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// What people declared of their machines, accounts and programs.
    pub context: Arc<Context>,
    /// The alerts of all cases and of none.
    pub alerts: Option<Arc<AlertLog>>,
}

impl Surroundings {
    /// The floor's alerts.
    ///
    /// # Errors
    /// When the floor was put together without them.
    pub fn alerts(&self) -> Result<&AlertLog, ToolError> {
        let missing = || ToolError::Unavailable { what: "this floor keeps no alerts".into() };
        self.alerts.as_deref().ok_or_else(missing)
    }
}
