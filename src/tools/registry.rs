//! The tools there are, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::surroundings::Surroundings;
use super::tool::{AnyTool, Tool};
use crate::knowledge::canonical;

/// The tools by name, in a fixed order.
#[derive(Clone, Default)]
pub struct Registry {
    tools: BTreeMap<&'static str, Arc<dyn AnyTool>>,
    /// Made once: every attempt pins it, and making schemas is dear.
    digest: OnceLock<String>,
    /// Digest of what people declared: an answer that relies on it changes with it.
    declared: String,
}

impl Registry {
    /// The tools of this version, on a floor of which nothing is declared and that has no alerts.
    #[must_use]
    pub fn standard() -> Self {
        Self::of(Surroundings::default())
    }

    /// The tools of this version, with what they look at besides the events.
    #[must_use]
    pub fn of(around: Surroundings) -> Self {
        let declared = around.context.digest();
        let around = Arc::new(around);
        let registry = Self { declared, ..Self::default() };
        registry
            .with(super::alerts::GetAlert)
            .with(super::alert_list::GetFinding)
            .with(super::alert_list::GetAlerts(around.clone()))
            .with(super::events_of::GetEventsForHost)
            .with(super::events_of::GetEventsForUser)
            .with(super::hunting::RunKqlQuery)
            .with(super::hunting::RunAdvancedHuntQuery)
            .with(super::devices::ListDevices(around.clone()))
            .with(super::devices::GetDevice(around.clone()))
            .with(super::devices::GetDeviceIdByName(around.clone()))
            .with(super::containment::IsolateDevice(around.clone()))
            .with(super::containment::UnisolateDevice(around.clone()))
            .with(super::containment::RunAvScan(around.clone()))
            .with(super::case_tools::GetCase(around.clone()))
            .with(super::case_tools::AddCaseComment)
            .with(super::case_tools::UpdateCase)
            .with(super::case_tools::CloseCase)
            .with(super::events::SearchWinlogEvents)
            .with(super::events::GetEvent)
            .with(super::process_tree::ProcessTree)
            .with(super::coverage::SensorCoverage(around.clone()))
            .with(super::prevalence::Prevalence)
            .with(super::standing::AssetTool(around.clone()))
            .with(super::standing::AccountTool(around.clone()))
            .with(super::entity_risk::EntityRisk(around.clone()))
            .with(super::similar_cases::SimilarCases(around))
            .with(super::logon_session::LogonSession)
            .with(super::timeline::Timeline)
            .with(super::script_block::ScriptBlock)
            .with(super::decode::Decode)
            .with(super::lookup::Lookup)
            .with(super::verdict::SubmitVerdict)
    }

    /// The registry with one more tool.
    #[must_use]
    pub fn with<T: Tool>(mut self, tool: T) -> Self {
        self.tools.insert(T::NAME, Arc::new(tool));
        self.digest = OnceLock::new();
        self
    }

    /// The tool with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn AnyTool>> {
        self.tools.get(name)
    }

    /// All names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.tools.keys().copied().collect()
    }

    /// Digest of names, descriptions and schemas: what an analyst could rely on.
    #[must_use]
    pub fn digest(&self) -> String {
        let card = |tool: &Arc<dyn AnyTool>| (tool.name(), tool.description(), tool.permission(), tool.schema());
        let made = self
            .digest
            .get_or_init(|| canonical::digest(&(self.tools.values().map(card).collect::<Vec<_>>(), &self.declared)));
        made.clone()
    }
}
