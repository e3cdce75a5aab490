//! What tools look at besides the events of their case: what people declared, the alerts of the whole floor, the EDR's
//! devices and the case desk. Of the last two only the halves that read are here.

use std::sync::Arc;

use super::answer::ToolError;
use crate::journal::alert_log::AlertLog;
use crate::ports::context::Context;
use crate::ports::desk::CaseDesk;
use crate::ports::edr::Devices;
use crate::ports::journal::Journal;

/// See the module.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// What people declared of their machines, accounts and programs.
    pub context: Arc<Context>,
    /// The alerts of all cases and of none.
    pub alerts: Option<Arc<AlertLog>>,
    /// The journal, of which people's words are read.
    pub journal: Option<Arc<dyn Journal>>,
    /// The EDR's devices.
    pub devices: Option<Arc<dyn Devices>>,
    /// The case desk. Tools read from it and never write.
    pub desk: Option<Arc<dyn CaseDesk>>,
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

    /// The floor's journal.
    ///
    /// # Errors
    /// When the floor was put together without it.
    pub fn journal(&self) -> Result<&Arc<dyn Journal>, ToolError> {
        let missing = || ToolError::Unavailable { what: "this floor keeps no journal of people's words".into() };
        self.journal.as_ref().ok_or_else(missing)
    }

    /// The EDR's devices.
    ///
    /// # Errors
    /// When the floor has no EDR.
    pub fn devices(&self) -> Result<&dyn Devices, ToolError> {
        let missing = || ToolError::Unavailable { what: "this floor has no EDR".into() };
        self.devices.as_deref().ok_or_else(missing)
    }

    /// The case desk.
    ///
    /// # Errors
    /// When the floor has none.
    pub fn desk(&self) -> Result<&dyn CaseDesk, ToolError> {
        let missing = || ToolError::Unavailable { what: "this floor has no case desk".into() };
        self.desk.as_deref().ok_or_else(missing)
    }
}
