//! A scenario's label: what happened, on which hosts, and what a good floor makes of it.
//!
//! The format is shared with others: fields that are not known here are ignored, and so are words of a later version.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::detection::clock::ClockOffset;
use crate::domain::entity::HostName;

/// What a scenario is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An attack that the rules see.
    Attack,
    /// An attack of which the rules see nothing: what they do raise is about something else.
    SilentAttack,
    /// Nothing bad happened.
    Benign,
    /// A word of a later version: it is played, and counts neither as an attack nor as benign.
    #[serde(other)]
    Other,
}

impl Kind {
    /// The label's own word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attack => "attack",
            Self::SilentAttack => "silent_attack",
            Self::Benign => "benign",
            Self::Other => "other",
        }
    }

    /// Something bad happened.
    #[must_use]
    pub const fn is_attack(self) -> bool {
        matches!(self, Self::Attack | Self::SilentAttack)
    }
}

/// Where a scenario comes from. Figures of the two are never mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// Real machines logged it.
    Recorded,
    /// Somebody wrote it.
    Written,
}

impl Provenance {
    /// What many of them are called.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Recorded => "recordings",
            Self::Written => "written scenarios",
        }
    }
}

/// A label.
#[derive(Debug, Clone, Deserialize)]
pub struct Label {
    /// The scenario's name.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// ATT&CK techniques of the attack.
    #[serde(default, deserialize_with = "null_is_default")]
    pub techniques: Vec<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    hosts: Hosts,
    #[serde(default, deserialize_with = "null_is_default")]
    expected: Expected,
    #[serde(default, deserialize_with = "null_is_default")]
    time: Time,
    #[serde(default, deserialize_with = "null_is_default")]
    written: bool,
    #[serde(default)]
    source: Value,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Hosts {
    #[serde(deserialize_with = "null_is_default")]
    compromised: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    origin: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    bystander: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Expected {
    #[serde(deserialize_with = "null_is_default")]
    isolate: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    must_not_isolate: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    must_cite: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    noise: Noise,
    closable: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Time {
    #[serde(deserialize_with = "null_is_default")]
    offset_to_utc_seconds: i64,
}

/// What the label says of alerts that are not about the incident: a sentence, or a list of rules.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Noise {
    Sentence(String),
    Rules(Vec<String>),
}

impl Default for Noise {
    fn default() -> Self {
        Self::Rules(Vec::new())
    }
}

fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Of an alert, what tells whether a label calls it noise.
#[derive(Debug, Clone, Copy)]
pub struct Raised<'a> {
    /// The rule's id.
    pub rule: &'a str,
    /// The rule's title.
    pub title: &'a str,
    /// The kind of event it is on, such as `Security 1102`.
    pub kind: &'a str,
}

/// Kinds of events that say that a log was cleared.
pub const CLEARED: [&str; 2] = ["Security 1102", "System 104"];

impl Label {
    /// Reads one.
    ///
    /// # Errors
    /// When the text is no JSON, or lacks `id` or `kind`.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text.trim_start_matches('\u{feff}'))
    }

    /// Where the label says one thing and its opposite: what is counted by it would mean nothing. Nothing for most.
    #[must_use]
    pub fn contradiction(&self) -> Option<String> {
        let wanted = self.isolate();
        let both = wanted.iter().find(|host| self.must_not_isolate(host));
        if let Some(host) = both {
            return Some(format!("{host} is in `isolate` and in `must_not_isolate`"));
        }
        match self.kind {
            Kind::Benign if !wanted.is_empty() => Some("it is `benign` and wants machines isolated".into()),
            Kind::Attack if self.closable() == Some(true) => {
                Some("it is an `attack` and `closable` says that a machine may close it".into())
            }
            Kind::Attack | Kind::Benign | Kind::SilentAttack | Kind::Other => None,
        }
    }

    /// The hosts that the attack came from or reached. None if the label names none: then any host may be.
    #[must_use]
    pub fn incident_hosts(&self) -> BTreeSet<HostName> {
        let Hosts { compromised, origin, .. } = &self.hosts;
        compromised.iter().chain(origin).filter(|name| is_name(name)).map(HostName::new).collect()
    }

    /// The hosts that were only there.
    #[must_use]
    pub fn bystanders(&self) -> BTreeSet<HostName> {
        let incident = self.incident_hosts();
        self.hosts
            .bystander
            .iter()
            .filter(|name| is_name(name))
            .map(HostName::new)
            .filter(|h| !incident.contains(h))
            .collect()
    }

    /// The hosts that should be isolated.
    #[must_use]
    pub fn isolate(&self) -> BTreeSet<HostName> {
        self.expected.isolate.iter().filter(|name| is_name(name)).map(HostName::new).collect()
    }

    /// This host must not be isolated.
    #[must_use]
    pub fn must_not_isolate(&self, host: &HostName) -> bool {
        self.expected.must_not_isolate.iter().any(|name| name == "*" || HostName::new(name) == *host)
    }

    /// What a verdict's evidence should show.
    #[must_use]
    pub fn must_cite(&self) -> &[String] {
        &self.expected.must_cite
    }

    /// A machine may close the scenario's cases on proof, or may not; nothing where the label does not say. It is the
    /// label that says so and never the floor: one that left every close to people would have nothing to close.
    #[must_use]
    pub const fn closable(&self) -> Option<bool> {
        self.expected.closable
    }

    /// What has to be added to the log's own times to get UTC.
    #[must_use]
    pub const fn clock(&self) -> ClockOffset {
        ClockOffset::new(SignedDuration::from_secs(self.time.offset_to_utc_seconds))
    }

    /// Clearing logs is part of the attack (T1070.001 and its successor), so that such events are no artefact of the
    /// recording.
    #[must_use]
    pub fn clears_logs(&self) -> bool {
        self.techniques.iter().any(|technique| matches!(technique.as_str(), "T1070.001" | "T1685.005"))
    }

    /// Recorded or written. Only a label that says so is of a written scenario.
    #[must_use]
    pub fn provenance(&self) -> Provenance {
        let is_so = |value: &Value| match value {
            Value::Bool(is) => *is,
            Value::String(text) => text.to_lowercase().contains("written"),
            _ => false,
        };
        let said = ["written", "kind", "type", "repo", "origin"].iter().filter_map(|name| self.source.get(name));
        if self.written || is_so(&self.source) && !self.source.is_boolean() || said.into_iter().any(is_so) {
            Provenance::Written
        } else {
            Provenance::Recorded
        }
    }

    /// The label calls this alert noise: it names the rule by its id, by its title or by a part of the title that it
    /// puts in quotes, or it speaks of cleared logs and the alert is of one. A sentence that names no rule excuses
    /// nothing.
    #[must_use]
    pub fn is_noise(&self, alert: Raised) -> bool {
        let title = alert.title.to_lowercase();
        let names = |phrase: &str| {
            let phrase = phrase.trim().to_lowercase();
            !phrase.is_empty() && (title.contains(&phrase) || phrase == alert.rule.to_lowercase())
        };
        match &self.expected.noise {
            Noise::Rules(rules) => rules.iter().any(|rule| names(rule)),
            Noise::Sentence(sentence) => {
                let lower = sentence.to_lowercase();
                let cleared = ["log-clear", "log clear", "log cleared"].iter().any(|word| lower.contains(word));
                (cleared && CLEARED.contains(&alert.kind)) || quoted(sentence).into_iter().any(names)
            }
        }
    }
}

/// A host's name, and not a remark in its place such as `(one host)`.
fn is_name(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || matches!(c, '(' | ')'))
}

/// What a sentence puts in single or double quotes. An apostrophe within a word or at its end opens nothing.
fn quoted(sentence: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut open: Option<(usize, char)> = None;
    let mut before = None;
    for (at, c) in sentence.char_indices() {
        let end = at + c.len_utf8();
        let after = sentence[end..].chars().next();
        match open {
            None if matches!(c, '\'' | '"') && !before.is_some_and(char::is_alphanumeric) => open = Some((end, c)),
            Some((begin, quote)) if c == quote && !after.is_some_and(char::is_alphanumeric) => {
                found.push(&sentence[begin..at]);
                open = None;
            }
            _ => {}
        }
        before = Some(c);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Label {
        Label::parse(text).expect("a label")
    }

    #[test]
    fn a_label_of_a_later_version_is_read() {
        let label = label(
            r#"{"id":"a","kind":"rehearsal","moon":"full","hosts":null,"expected":{"isolate":null,"grade":1},"time":{}}"#,
        );
        assert_eq!(label.kind, Kind::Other);
        assert!(label.incident_hosts().is_empty() && label.isolate().is_empty());
        assert_eq!(label.clock(), ClockOffset::NONE);
        assert!(Label::parse(r#"{"id":"a"}"#).is_err(), "a label without a kind is none");
    }

    #[test]
    fn hosts_are_compared_short_and_without_case_and_remarks_are_none() {
        let label = label(
            r#"{"id":"a","kind":"attack","hosts":{"compromised":["SRV-1.corp.example","(one host)"],"origin":["wks-2"],
                "bystander":["WKS-2","DC-1"]},"expected":{"must_not_isolate":["dc-1"]}}"#,
        );
        assert!(label.incident_hosts().contains(&HostName::new("srv-1")));
        assert_eq!(label.incident_hosts().len(), 2);
        assert_eq!(label.bystanders().len(), 1, "who is part of the incident is no bystander");
        assert!(label.must_not_isolate(&HostName::new("DC-1.corp.example")));
        assert!(!label.must_not_isolate(&HostName::new("srv-1")));
    }

    #[test]
    fn a_label_that_contradicts_itself_says_where() {
        let says = |text: &str| label(text).contradiction();
        let sound = r#"{"id":"a","kind":"attack","expected":{"isolate":["a"],"must_not_isolate":["b"]}}"#;
        assert_eq!(says(sound), None);
        let both = r#"{"id":"a","kind":"attack","expected":{"isolate":["a.corp.example"],"must_not_isolate":["A"]}}"#;
        assert!(says(both).is_some_and(|what| what.contains("must_not_isolate")));
        assert!(says(r#"{"id":"a","kind":"benign","expected":{"isolate":["a"]}}"#).is_some());
        assert!(says(r#"{"id":"a","kind":"attack","expected":{"closable":true}}"#).is_some());
    }

    #[test]
    fn everything_may_be_out_of_bounds() {
        let label = label(r#"{"id":"a","kind":"benign","expected":{"must_not_isolate":["*"]}}"#);
        assert!(label.must_not_isolate(&HostName::new("any")));
    }

    #[test]
    fn noise_is_what_the_label_names_and_nothing_else() {
        let with = |noise: &str| label(&format!(r#"{{"id":"a","kind":"attack","expected":{{"noise":{noise}}}}}"#));
        let alert = Raised { rule: "r-1", title: "Odd Shell By Agent", kind: "Sysmon 1" };
        assert!(with(r#""12 'odd shell' alerts are the server's own agent's work; others' are not.""#).is_noise(alert));
        assert!(!with(r#""The server's own Odd Shell By Agent's alerts""#).is_noise(alert), "nothing is quoted");
        assert!(!with(r#""""#).is_noise(alert) && !with("null").is_noise(alert));
        assert!(with(r#"["R-1"]"#).is_noise(alert) && !with(r#"["r-2"]"#).is_noise(alert));
        let cleared = Raised { rule: "r-2", title: "Log Cleared", kind: "Security 1102" };
        assert!(with(r#""Log-clear artefacts.""#).is_noise(cleared));
        assert!(!with(r#""Log-clear artefacts.""#).is_noise(alert));
    }

    #[test]
    fn a_scenario_is_a_recording_unless_it_says_otherwise() {
        let of = |rest: &str| label(&format!(r#"{{"id":"a","kind":"attack"{rest}}}"#)).provenance();
        assert_eq!(of(""), Provenance::Recorded);
        assert_eq!(of(r#","source":{"repo":"x/y","licence":"MIT"}"#), Provenance::Recorded);
        assert_eq!(of(r#","written":true"#), Provenance::Written);
        assert_eq!(of(r#","source":"written, not recorded""#), Provenance::Written);
        assert_eq!(of(r#","source":{"written":true}"#), Provenance::Written);
    }
}
