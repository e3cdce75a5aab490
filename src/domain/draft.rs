//! What an analyst submits: a judgement that nobody has checked yet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::entity::HostName;
use super::evidence::Citation;
use super::ids::EvidenceId;

/// What the activity was. "Could not decide" is a first-class answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Classification {
    /// Unauthorised or malicious.
    TruePositive,
    /// The rule is right, and the activity was expected: one still wants to see it from others.
    InformationalExpectedActivity,
    /// The behaviour that the rule describes did not happen.
    FalsePositive,
    /// The evidence does not carry a decision.
    Undetermined,
}

impl Classification {
    /// The classification in a sentence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TruePositive => "true positive",
            Self::InformationalExpectedActivity => "informational, expected activity",
            Self::FalsePositive => "false positive",
            Self::Undetermined => "undetermined",
        }
    }
}

/// The classification made precise (`analyst.md` names each service's word for it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Determination {
    /// True positive: several stages of one attack.
    MultiStagedAttack,
    /// True positive: an account's owner acts against the organisation.
    MaliciousUserActivity,
    /// True positive: somebody else uses an account.
    CompromisedAccount,
    /// True positive: malware ran or was delivered.
    Malware,
    /// True positive: a message lured somebody.
    Phishing,
    /// True positive: software that is not wanted here.
    UnwantedSoftware,
    /// True positive: none of the others.
    OtherThreat,
    /// Expected: a test of security.
    SecurityTest,
    /// Expected: an application does its work.
    LineOfBusiness,
    /// Expected: the owner confirmed it.
    ConfirmedActivity,
    /// False positive: harmless.
    NotMalicious,
    /// False positive: the data are wrong.
    BadData,
}

impl Determination {
    /// The classification it belongs to.
    #[must_use]
    pub const fn classification(self) -> Classification {
        match self {
            Self::MultiStagedAttack
            | Self::MaliciousUserActivity
            | Self::CompromisedAccount
            | Self::Malware
            | Self::Phishing
            | Self::UnwantedSoftware
            | Self::OtherThreat => Classification::TruePositive,
            Self::SecurityTest | Self::LineOfBusiness | Self::ConfirmedActivity => {
                Classification::InformationalExpectedActivity
            }
            Self::NotMalicious | Self::BadData => Classification::FalsePositive,
        }
    }

    /// The determination in a sentence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MultiStagedAttack => "multi-staged attack",
            Self::MaliciousUserActivity => "malicious user activity",
            Self::CompromisedAccount => "compromised account",
            Self::Malware => "malware",
            Self::Phishing => "phishing",
            Self::UnwantedSoftware => "unwanted software",
            Self::OtherThreat => "other threat",
            Self::SecurityTest => "security test",
            Self::LineOfBusiness => "line-of-business application",
            Self::ConfirmedActivity => "confirmed activity",
            Self::NotMalicious => "not malicious",
            Self::BadData => "bad data",
        }
    }
}

/// A story that could explain the alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hypothesis {
    /// The story in one sentence.
    pub statement: String,
    /// The story is the malicious one.
    pub malicious: bool,
    /// Where it stands.
    pub stance: Stance,
    /// Evidence that speaks for it.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub evidence_for: Vec<EvidenceId>,
    /// Evidence that speaks against it.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub evidence_against: Vec<EvidenceId>,
}

/// Where a hypothesis stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stance {
    /// Evidence supports it.
    Supported,
    /// Evidence excludes it.
    RuledOut,
    /// Neither.
    Open,
}

/// An answer to one of the playbook's questions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The question's id in the playbook.
    pub question: String,
    /// The answer.
    pub answer: YesNoUnknown,
    /// What it rests on. An answer without evidence does not count towards coverage.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub evidence: Vec<EvidenceId>,
    /// For an unknown: why.
    #[serde(default)]
    pub why_unknown: Option<WhyUnknown>,
}

/// Three-valued, because silence is not a no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum YesNoUnknown {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Not known.
    Unknown,
}

/// Why a question stayed open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhyUnknown {
    /// The sensor was alive and the fact is not in the data.
    NoData,
    /// The sensor that would show it did not report.
    SensorOff,
    /// The tool failed.
    QueryFailed,
    /// No tool reaches it.
    OutOfScope,
    /// The budget ended first.
    Budget,
}

/// A fact that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unknown {
    /// The missing fact.
    pub what: String,
    /// What it would decide.
    pub why_it_matters: String,
    /// Where it might be found.
    pub where_to_look: String,
    /// A tool of the floor could still find it.
    #[serde(default)]
    pub obtainable: bool,
}

/// A question only a person can answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HumanQuestion {
    /// One answerable question.
    pub question: String,
    /// The answers to choose from.
    pub options: Vec<String>,
    /// What happens if nobody answers.
    pub default_if_silent: String,
}

/// A wish to contain a host of the case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainmentWish {
    /// What to do.
    pub action: super::containment::Action,
    /// To which machine.
    #[schemars(with = "String")]
    pub host: HostName,
    /// Why, in one sentence.
    pub because: String,
    /// What it rests on.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub evidence: Vec<EvidenceId>,
}

/// How sure an analyst says it is. Kept beside the derived confidence, and never used for a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Anything less than medium.
    Low,
    /// One strong family or two moderate ones, most questions answered, nothing contradictory.
    Medium,
    /// Two strong families agree, the other story is ruled out, nearly all questions answered.
    High,
}

/// The argument of `submit_verdict`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// What the activity was.
    pub classification: Classification,
    /// Required unless undetermined.
    #[serde(default)]
    pub determination: Option<Determination>,
    /// Probability from 0 to 1 that the activity is unauthorised or malicious.
    pub malicious_probability: f64,
    /// The analyst's own word for its confidence.
    #[serde(default)]
    pub self_reported: Option<Confidence>,
    /// At most 140 characters.
    pub headline: String,
    /// Plain English: who did what, from what, to what, and was it allowed.
    pub story: String,
    /// ATT&CK technique ids seen.
    #[serde(default)]
    pub techniques: Vec<String>,
    /// What the judgement rests on; at most 12.
    pub citations: Vec<Citation>,
    /// At least the best benign and the best malicious story.
    #[serde(default)]
    pub hypotheses: Vec<Hypothesis>,
    /// Answers to the playbook's questions.
    #[serde(default)]
    pub answers: Vec<Answer>,
    /// What is not known.
    #[serde(default)]
    pub unknowns: Vec<Unknown>,
    /// Facts that do not fit the judgement.
    #[serde(default)]
    pub contradictions: Vec<String>,
    /// Containment asked for.
    #[serde(default)]
    pub containment: Vec<ContainmentWish>,
    /// Required when undetermined.
    #[serde(default)]
    pub human_question: Option<HumanQuestion>,
    /// What the next tier should find out.
    #[serde(default)]
    pub question_for_receiver: Option<String>,
    /// What would change the judgement.
    #[serde(default)]
    pub would_change: Option<String>,
    /// Machines from which an act on another was started, as their own logs show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub origins: Vec<HostName>,
}
