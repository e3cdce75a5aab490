//! The tools there are, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::tool::{AnyTool, Tool};
use crate::knowledge::canonical;

/// The tools by name, in a fixed order.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<&'static str, Arc<dyn AnyTool>>);

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
        self.0.insert(T::NAME, Arc::new(tool));
        self
    }

    /// The tool with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn AnyTool>> {
        self.0.get(name)
    }

    /// All names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }

    /// Digest of names, descriptions and schemas: what an analyst could rely on.
    #[must_use]
    pub fn digest(&self) -> String {
        let cards: Vec<_> = self.0.values().map(|t| (t.name(), t.description(), t.permission(), t.schema())).collect();
        canonical::digest(&cards)
    }
}
