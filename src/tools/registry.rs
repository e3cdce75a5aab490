//! The tools there are, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::tool::{AnyTool, Tool};
use crate::knowledge::canonical;

/// The tools by name, in a fixed order.
#[derive(Clone, Default)]
pub struct Registry {
    tools: BTreeMap<&'static str, Arc<dyn AnyTool>>,
    /// Made once: every attempt pins it, and making schemas is dear.
    digest: OnceLock<String>,
}

impl Registry {
    /// The tools of this version.
    #[must_use]
    pub fn standard() -> Self {
        Self::default()
            .with(super::alerts::GetAlert)
            .with(super::events::SearchWinlogEvents)
            .with(super::events::GetEvent)
            .with(super::process_tree::ProcessTree)
            .with(super::coverage::SensorCoverage)
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
        let made = self.digest.get_or_init(|| canonical::digest(&self.tools.values().map(card).collect::<Vec<_>>()));
        made.clone()
    }
}
