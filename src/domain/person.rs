//! A person's word on cases: what may be said, in a form that can be recorded, and what it says about alerts.
//!
//! A word is never edited: a later one supersedes it. A machine never undoes one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::draft::{Classification, Determination};
use super::ids::{AlertId, CaseId};

/// What a person says a case was: a classification, and a determination that belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Ruling {
    classification: Classification,
    determination: Option<Determination>,
}

/// Which way a person's ruling counts when similar alerts are judged later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Confirmed malicious.
    Malicious,
    /// Confirmed benign.
    Benign,
}

/// Names under which the floor's own actors sign. None of them may speak for a person.
const OWN_NAMES: [&str; 11] = [
    "tier1",
    "tier2",
    "gatekeeper",
    "gate",
    "intake",
    "casewriter",
    "status",
    "guard",
    "analyst",
    "watchfloor",
    "agent",
];

/// Longest name of a person, in characters.
const LONGEST_NAME: usize = 80;

/// The name belongs to a person, as far as a name can tell: it says something, hides nothing, cannot be read as the
/// beginning of a text, mixes no alphabets that look alike, and is none of the floor's own. Whoever asks is never who
/// approves.
#[must_use]
pub fn is_persons_name(name: &str) -> bool {
    let plain: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let own = OWN_NAMES.contains(&plain.as_str()) || plain.starts_with("verdicttier");
    let punctuated = |c: char| !(c.is_alphanumeric() || " .,-_@'\\()+".contains(c));
    let latin = name.chars().any(|c| c.is_ascii_alphabetic());
    // Greek and Cyrillic: `Tier` with one letter of another alphabet looks like `Tier`.
    let look_alike = latin && name.chars().any(|c| ('\u{370}'..='\u{52f}').contains(&c));
    let hides = name.trim() != name || name.contains(" - ") || name.chars().any(punctuated);
    !plain.is_empty() && !own && !look_alike && !hides && name.chars().count() <= LONGEST_NAME
}

/// A text that is no ruling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRuling {
    /// The classification is not known.
    #[error(
        "`{0}` is no classification: give true_positive, false_positive, expected or undetermined, if you like with a determination, as in true_positive:malware"
    )]
    Classification(String),
    /// The determination is not known or belongs to another classification.
    #[error("`{given}` is no determination of {}: give one of {}", .classification.name(), known(*.classification))]
    Determination {
        /// What was given.
        given: String,
        /// The classification it was given for.
        classification: Classification,
    },
}

/// Every determination, with its word on the command line and in the journal.
const DETERMINATIONS: [(&str, Determination); 12] = [
    ("multi_staged_attack", Determination::MultiStagedAttack),
    ("malicious_user_activity", Determination::MaliciousUserActivity),
    ("compromised_account", Determination::CompromisedAccount),
    ("malware", Determination::Malware),
    ("phishing", Determination::Phishing),
    ("unwanted_software", Determination::UnwantedSoftware),
    ("other_threat", Determination::OtherThreat),
    ("security_test", Determination::SecurityTest),
    ("line_of_business", Determination::LineOfBusiness),
    ("confirmed_activity", Determination::ConfirmedActivity),
    ("not_malicious", Determination::NotMalicious),
    ("bad_data", Determination::BadData),
];

fn known(classification: Classification) -> String {
    let belongs = |(_, determination): &&(&str, Determination)| determination.classification() == classification;
    let names: Vec<&str> = DETERMINATIONS.iter().filter(belongs).map(|(name, _)| *name).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

impl Ruling {
    /// The classification.
    #[must_use]
    pub const fn classification(self) -> Classification {
        self.classification
    }

    /// The determination, if the person gave one.
    #[must_use]
    pub const fn determination(self) -> Option<Determination> {
        self.determination
    }

    /// Which way it counts; an undetermined ruling counts neither way.
    #[must_use]
    pub const fn outcome(self) -> Option<Outcome> {
        match self.classification {
            Classification::TruePositive => Some(Outcome::Malicious),
            Classification::FalsePositive | Classification::InformationalExpectedActivity => Some(Outcome::Benign),
            Classification::Undetermined => None,
        }
    }
}

impl FromStr for Ruling {
    type Err = BadRuling;

    fn from_str(text: &str) -> Result<Self, BadRuling> {
        let folded = text.trim().to_lowercase().replace('-', "_");
        let (classification, determination) = match folded.split_once(':') {
            Some((classification, determination)) => (classification, Some(determination)),
            None => (folded.as_str(), None),
        };
        let classification = match classification {
            "true_positive" | "tp" => Classification::TruePositive,
            "false_positive" | "fp" => Classification::FalsePositive,
            "expected" | "informational_expected_activity" => Classification::InformationalExpectedActivity,
            "undetermined" => Classification::Undetermined,
            _ => return Err(BadRuling::Classification(text.to_owned())),
        };
        let determination = match determination {
            None => None,
            Some(given) => {
                let named = DETERMINATIONS.iter().find(|(name, _)| *name == given).map(|(_, found)| *found);
                let belongs = named.filter(|found| found.classification() == classification);
                Some(belongs.ok_or_else(|| BadRuling::Determination { given: given.to_owned(), classification })?)
            }
        };
        Ok(Self { classification, determination })
    }
}

impl fmt::Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.classification {
            Classification::TruePositive => "true_positive",
            Classification::FalsePositive => "false_positive",
            Classification::InformationalExpectedActivity => "expected",
            Classification::Undetermined => "undetermined",
        })?;
        let name = DETERMINATIONS.iter().find(|(_, known)| Some(*known) == self.determination);
        name.map_or(Ok(()), |(name, _)| write!(f, ":{name}"))
    }
}

impl From<Ruling> for String {
    fn from(ruling: Ruling) -> Self {
        ruling.to_string()
    }
}

impl TryFrom<String> for Ruling {
    type Error = BadRuling;

    fn try_from(text: String) -> Result<Self, BadRuling> {
        text.parse()
    }
}

/// What a person does to cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// Says something.
    Comment {
        /// What.
        text: String,
    },
    /// Says what it was, and that it is handled.
    Resolve {
        /// What it was.
        ruling: Ruling,
        /// Why.
        because: String,
    },
    /// Has it investigated again; no machine resolves it afterwards.
    Reopen {
        /// Why.
        because: String,
    },
    /// Says what it was; the status stays.
    Judge {
        /// What it was.
        ruling: Ruling,
        /// Why.
        because: String,
    },
    /// Says who looks after it.
    Assign {
        /// Who.
        to: String,
    },
    /// Says that the cases are one incident. The oldest of them goes on.
    Merge {
        /// Why.
        because: String,
    },
    /// Says that some alerts of the case are another incident.
    Split {
        /// Which.
        alerts: Vec<AlertId>,
        /// Why.
        because: String,
    },
}

impl Act {
    /// The act as a rule's name in a case's history.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Comment { .. } => "comment",
            Self::Resolve { .. } => "resolve",
            Self::Reopen { .. } => "reopen",
            Self::Judge { .. } => "judge",
            Self::Assign { .. } => "assign",
            Self::Merge { .. } => "merge",
            Self::Split { .. } => "split",
        }
    }
}

/// An act with who did it, and on which cases. Several cases share one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonsAct {
    /// Who.
    pub by: String,
    /// On which.
    pub cases: Vec<CaseId>,
    /// What.
    #[serde(flatten)]
    pub act: Act,
}

/// What a person's act says about alerts. It binds grouping for ever, unless a later one contradicts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "says", rename_all = "snake_case")]
pub enum GroupingWord {
    /// They are one incident.
    Together {
        /// The alerts.
        alerts: Vec<AlertId>,
    },
    /// They are two incidents: each part stays one, and the parts are never one.
    Apart {
        /// The alerts that were taken out.
        these: Vec<AlertId>,
        /// The alerts that were left.
        rest: Vec<AlertId>,
    },
}

/// The verdict of a person that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonsVerdict {
    /// What it was.
    pub ruling: Ruling,
    /// Who says so.
    pub by: String,
    /// Why.
    pub because: String,
    /// When it was said.
    pub at: jiff::Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floors_own_names_are_no_persons() {
        let own = ["Tier 1", "tier-2", "GATEKEEPER", "case writer", "", "  ", "Verdict (Tier 2)", "a\u{202e}b"];
        let forged = ["T\u{456}er 1", "a – Resolved on proof", "a - approved", "ana ", "x\ny", "#3 ana"];
        for name in own.into_iter().chain(forged) {
            assert!(!is_persons_name(name), "{name}");
        }
        for person in ["m.ekman", "Ana Sousa", "soc-lead@corp.example", "CORP\\k.brandt", "Йоана", "O'Neill"] {
            assert!(is_persons_name(person), "{person}");
        }
    }

    #[test]
    fn every_ruling_survives_its_text() {
        for (name, determination) in DETERMINATIONS {
            let classification = determination.classification();
            let ruling = Ruling { classification, determination: Some(determination) };
            assert!(ruling.to_string().ends_with(name));
            assert_eq!(ruling.to_string().parse(), Ok(ruling));
        }
        for text in ["true_positive", "false_positive", "expected", "undetermined"] {
            assert_eq!(text.parse::<Ruling>().map(|ruling| ruling.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("TP:Malware".parse::<Ruling>(), "true_positive:malware".parse());
    }

    #[test]
    fn a_determination_of_another_classification_is_refused_with_those_that_fit() {
        let refused = "expected:malware".parse::<Ruling>().map_err(|error| error.to_string());
        let text = refused.expect_err("malware is not expected");
        assert!(text.contains("security_test, line_of_business, confirmed_activity"), "{text}");
        assert!("harmless".parse::<Ruling>().is_err());
        assert!("undetermined:malware".parse::<Ruling>().is_err());
    }

    #[test]
    fn only_a_decided_ruling_counts() {
        let outcome = |text: &str| text.parse::<Ruling>().map(Ruling::outcome);
        assert_eq!(outcome("tp"), Ok(Some(Outcome::Malicious)));
        assert_eq!(outcome("expected"), Ok(Some(Outcome::Benign)));
        assert_eq!(outcome("undetermined"), Ok(None));
    }
}
