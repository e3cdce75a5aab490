//! What a source raised: a rule that matched, with the rule's card and the fields that matched.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entity::{Entity, HostName};
use super::evidence::Quote;
use super::ids::{AlertId, EventId, RuleId};

/// How loud the source was. The source's own word: nothing on the floor ever lowers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Enrichment; alone it opens no case.
    Informational,
    /// Notable in numbers or in combination.
    Low,
    /// To be reviewed.
    Medium,
    /// To be reviewed promptly.
    High,
    /// Borders on certainty.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// What is known of the rule behind an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCard {
    /// The rule's id.
    pub id: RuleId,
    /// The rule's title: an opinion of its author, never evidence.
    pub title: String,
    /// The rule's author, whom the Detection Rule License asks to be named with every match.
    pub author: Option<String>,
    /// The level its author gave it.
    pub level: Severity,
    /// `experimental`, `test` or `stable`.
    pub status: Option<String>,
    /// What it looks for.
    pub description: Option<String>,
    /// Its tags, `attack.t1059.001` and the like.
    pub tags: Vec<String>,
    /// What its author knows to trigger it wrongly.
    pub false_positives: Vec<String>,
}

impl RuleCard {
    /// ATT&CK technique ids among the tags, upper case (`T1059.001`).
    #[must_use]
    pub fn techniques(&self) -> Vec<String> {
        let is_technique = |id: &str| {
            id.strip_prefix('t').is_some_and(|digits| {
                digits.starts_with(|c: char| c.is_ascii_digit())
                    && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
            })
        };
        self.tags
            .iter()
            .filter_map(|tag| tag.strip_prefix("attack."))
            .filter(|id| is_technique(id))
            .map(str::to_uppercase)
            .collect()
    }

    /// ATT&CK tactic names among the tags (`lateral-movement`).
    #[must_use]
    pub fn tactics(&self) -> Vec<String> {
        let numbered = |name: &str| name.chars().nth(1).is_some_and(|c| c.is_ascii_digit());
        self.tags
            .iter()
            .filter_map(|tag| tag.strip_prefix("attack."))
            .filter(|name| !numbered(name))
            .map(|name| name.replace('_', "-"))
            .collect()
    }
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Derived from source, rule and event.
    pub id: AlertId,
    /// Who raised it: `sigma` for the embedded detection.
    pub source: String,
    /// The rule that matched.
    pub rule: RuleCard,
    /// Where it happened.
    pub host: HostName,
    /// When it happened.
    pub time: Timestamp,
    /// The event that matched.
    pub event: EventId,
    /// `Sysmon 1`: what kind of event matched.
    pub event_kind: String,
    /// The fields the rule matched on, quoted from the event.
    pub matched: Vec<Quote>,
    /// The entities of the event, by which alerts are grouped.
    pub entities: Vec<Entity>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn techniques_and_tactics_are_told_apart() {
        let tags = [
            "attack.t1059.001",
            "attack.lateral_movement",
            "attack.g0007",
            "attack.s0029",
            "cve.2021.44228",
            "attack.tzz",
        ];
        let card = RuleCard {
            id: RuleId::new("r"),
            title: "t".into(),
            author: None,
            level: Severity::High,
            status: None,
            description: None,
            tags: tags.map(str::to_owned).to_vec(),
            false_positives: vec![],
        };
        assert_eq!(card.techniques(), ["T1059.001"]);
        assert_eq!(card.tactics(), ["lateral-movement", "tzz"]);
    }
}
