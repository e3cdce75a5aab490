//! An agent's configuration: its tools and budgets, from `agents/*.toml`.

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

use crate::domain::route::Tier;
use crate::knowledge::canonical;
use crate::tools::registry::Registry;

static AGENTS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/agents");

/// What one investigation may use up. Counted before it is used; time counts only while somebody works.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Moves.
    pub moves: u32,
    /// Tool calls.
    pub calls: u32,
    /// Seconds of work.
    pub seconds: f64,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// The tier it works at.
    pub tier: Tier,
    /// The tools it may use.
    pub tools: Vec<String>,
    /// What one investigation may use up.
    pub budget: Budget,
}

/// Why an agent's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The file is missing.
    #[error("agents/{0} is missing")]
    Missing(String),
    /// It is not what an agent's configuration looks like.
    #[error("agents/{file}: {what}")]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong, with its line.
        what: String,
    },
    /// It names a tool that does not exist.
    #[error("agents/{file} names the tool `{tool}`, which does not exist; these do: {known}")]
    UnknownTool {
        /// The file.
        file: String,
        /// The tool.
        tool: String,
        /// All tools.
        known: String,
    },
}

impl Agent {
    /// The agent of a tier, as the program ships it.
    ///
    /// # Errors
    /// When its file is malformed or names a tool that does not exist.
    pub fn shipped(tier: Tier, registry: &Registry) -> Result<Self, AgentError> {
        let file = format!("{}.toml", tier.slug());
        let text = AGENTS.get_file(&file).and_then(|file| file.contents_utf8());
        let text = text.ok_or_else(|| AgentError::Missing(file.clone()))?;
        Self::parse(&file, text, registry)
    }

    fn parse(file: &str, text: &str, registry: &Registry) -> Result<Self, AgentError> {
        let agent: Self = toml::from_str(text)
            .map_err(|error| AgentError::Malformed { file: file.into(), what: error.to_string() })?;
        match agent.tools.iter().find(|tool| registry.get(tool).is_none()) {
            None => Ok(agent),
            Some(tool) => Err(AgentError::UnknownTool {
                file: file.into(),
                tool: tool.clone(),
                known: registry.names().join(", "),
            }),
        }
    }

    /// Digest of the configuration.
    #[must_use]
    pub fn digest(&self) -> String {
        canonical::digest(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_agents_are_sound() {
        for tier in [Tier::One, Tier::Two] {
            let agent = Agent::shipped(tier, &Registry::standard()).expect("it is sound");
            assert_eq!(agent.tier, tier);
        }
    }

    #[test]
    fn an_unknown_tool_is_named() {
        let text = "tier = \"one\"\ntools = [\"get_alrt\"]\nbudget = { moves = 1, calls = 1, seconds = 1.0 }";
        let error = Agent::parse("x.toml", text, &Registry::standard()).expect_err("it is unknown");
        assert!(error.to_string().contains("get_alrt"), "{error}");
    }
}
