//! What a written scenario says of itself, as far as it is needed to make its background, to choose it and to check
//! that the label and the events tell the same story. Scoring reads more of it.

use serde::Deserialize;

use super::background::Background;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An attack.
    Attack,
    /// Nothing bad, though a rule fired.
    Benign,
    /// A word that other collections use; none of the written scenarios does.
    #[serde(other)]
    Other,
}

/// A label.
#[derive(Debug, Clone, Deserialize)]
pub struct Label {
    /// The scenario's name, which is its folder's.
    pub id: String,
    /// What happened.
    pub kind: Kind,
    /// One line: what it is about.
    #[serde(default)]
    pub title: String,
    /// The scenario on which the same rule fires, with the opposite truth.
    #[serde(default)]
    pub twin: Option<String>,
    /// The rules' files, without folder and ending, that fire on it and on its twin.
    #[serde(default)]
    pub shared_rules: Vec<String>,
    /// The machines, by their part in it.
    #[serde(default)]
    pub hosts: Hosts,
    /// What a floor should make of it.
    pub expected: Expected,
    /// The ordinary life that it plays in; none of a log that stands alone.
    #[serde(default)]
    pub background: Option<Background>,
    /// It was written, not recorded.
    #[serde(default)]
    pub written: bool,
}

/// The machines of a scenario, by their short names.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Hosts {
    /// Somebody else has them.
    pub compromised: Vec<String>,
    /// Where it came from.
    pub origin: Vec<String>,
    /// They are in the log and have nothing to do with it.
    pub bystander: Vec<String>,
}

impl Hosts {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.compromised.iter().chain(&self.origin).chain(&self.bystander)
    }
}

/// What a floor should make of a scenario.
#[derive(Debug, Clone, Deserialize)]
pub struct Expected {
    /// `malicious` or `benign`.
    pub verdict: String,
    /// `escalate`, `close_false_positive`, `close_expected_activity` or `ask`.
    pub disposition: String,
    /// Machines whose isolation would be right.
    pub isolate: Vec<String>,
    /// Machines that must not be isolated; `*` for all.
    pub must_not_isolate: Vec<String>,
    /// What the evidence has to show; it occurs in the events.
    pub must_cite: Vec<String>,
    /// What happened, in two or three sentences.
    pub conclusion: String,
    /// A machine may close it on proof from events, history and context alone. Only benign ones can be.
    #[serde(default)]
    pub closable: bool,
    /// On what proof it is closed, or why it cannot be.
    #[serde(default)]
    pub proof: String,
    /// Its family is one in which a person decides, whatever the evidence.
    #[serde(default)]
    pub mandatory_human: bool,
}
