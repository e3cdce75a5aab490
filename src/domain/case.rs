//! A case's status machine: which steps exist, who may take them, and on what ground.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::draft::{Classification, HumanQuestion, Unknown};
use super::ids::CaseId;
use super::route::MachineResolution;

/// Where a case stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Opened, nobody has looked.
    New,
    /// Somebody is at work.
    InProgress,
    /// A person is needed.
    OnHold,
    /// Handled.
    Resolved,
    /// Resolved, and nothing further is needed.
    Closed,
    /// Part of another case.
    Merged,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::New => "new",
            Self::InProgress => "in progress",
            Self::OnHold => "on hold",
            Self::Resolved => "resolved",
            Self::Closed => "closed",
            Self::Merged => "merged",
        })
    }
}

/// Why a case waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldCause {
    /// A threat was found: a person confirms and decides on containment.
    ConfirmedThreat,
    /// Likely malicious and not proven: its owner or a responder has to say what it was.
    OwnerConfirmation,
    /// A rule reserves the decision for people.
    PolicyRequiresHuman,
    /// What was seen speaks for harmless, and no proof of it covers every alert.
    BenignNotProven,
    /// The data do not carry a decision.
    InsufficientTelemetry,
    /// Evidence points both ways.
    ConflictingEvidence,
    /// An investigation used up its budget.
    BudgetExhausted,
    /// A tool that was needed failed.
    ToolFailure,
    /// The analyst gave no acceptable verdict.
    NoAcceptableVerdict,
    /// The case broke its investigation twice at the same step.
    Quarantined,
    /// The case's journal has a damaged row.
    JournalDamaged,
}

/// The two queues a person works: they are never shown as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldQueue {
    /// A person's word ends it.
    NeedsDecision,
    /// A fact is missing.
    NeedsInformation,
}

impl fmt::Display for HoldQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NeedsDecision => "needs a decision",
            Self::NeedsInformation => "needs information",
        })
    }
}

impl HoldCause {
    /// The queue it belongs to.
    #[must_use]
    pub const fn queue(self) -> HoldQueue {
        match self {
            Self::ConfirmedThreat | Self::OwnerConfirmation | Self::PolicyRequiresHuman => HoldQueue::NeedsDecision,
            Self::BenignNotProven
            | Self::InsufficientTelemetry
            | Self::ConflictingEvidence
            | Self::BudgetExhausted
            | Self::ToolFailure
            | Self::NoAcceptableVerdict
            | Self::Quarantined
            | Self::JournalDamaged => HoldQueue::NeedsInformation,
        }
    }

    /// The cause in a sentence.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ConfirmedThreat => "a threat was found",
            Self::OwnerConfirmation => "it is likely malicious, and what was seen is not enough to call it proven",
            Self::PolicyRequiresHuman => "a rule reserves this decision for a person",
            Self::BenignNotProven => "what was seen speaks for harmless, and no proof of it covers every alert",
            Self::InsufficientTelemetry => "the data do not carry a decision",
            Self::ConflictingEvidence => "the evidence points both ways",
            Self::BudgetExhausted => "the investigation used up its budget",
            Self::ToolFailure => "a tool that was needed failed",
            Self::NoAcceptableVerdict => "the analyst gave no acceptable verdict",
            Self::Quarantined => "the case broke its investigation twice at the same step",
            Self::JournalDamaged => "a row of the case's journal is damaged",
        }
    }
}

/// A case waiting for a person: always with its cause and a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Why.
    pub cause: HoldCause,
    /// What is asked.
    pub ask: HumanQuestion,
    /// Which facts are missing and where they might be.
    pub missing: Vec<Unknown>,
}

impl Hold {
    /// A hold for a failure of the floor itself, where nobody is left to word a question.
    #[must_use]
    pub fn for_failure(cause: HoldCause, what: &str) -> Self {
        Self {
            cause,
            ask: HumanQuestion {
                question: format!("The floor could not judge this case ({what}). What was it?"),
                options: vec!["threat".into(), "harmless".into(), "investigate again".into()],
                default_if_silent: "the case stays on hold".into(),
            },
            missing: vec![Unknown {
                what: what.to_owned(),
                why_it_matters: "without it no verdict stands".into(),
                where_to_look: "the case's comments and the floor's log".into(),
                obtainable: false,
            }],
        }
    }
}

/// A person's word: who, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonsWord {
    /// Who said it.
    pub by: String,
    /// Why.
    pub because: String,
}

/// Why work on a case begins again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum ReopenCause {
    /// An alert joined it.
    NewAlert,
    /// A person said so.
    Person {
        /// The word.
        word: PersonsWord,
    },
    /// A case that shares its host, account or indicators was confirmed as a threat.
    ConfirmedNearby {
        /// That case.
        case: CaseId,
    },
    /// Alerts that it was judged on turned out to belong to another incident.
    AlertsLeft,
    /// It is on hold, and more has arrived since it was judged.
    MoreArrived,
}

/// A step of the machine, with the ground it is taken on.
#[derive(Debug, Clone, PartialEq)]
pub enum Transition {
    /// The floor begins to work on it.
    Start,
    /// A person is needed.
    Hold(Hold),
    /// A machine resolves it, on proof.
    ResolveOnProof(MachineResolution),
    /// A person resolves it.
    ResolveByPerson(PersonsWord),
    /// A person closes it.
    CloseByPerson(PersonsWord),
    /// Work begins again.
    Reopen(ReopenCause),
    /// It becomes part of another case.
    Merge(CaseId),
}

/// A step as the journal keeps it. Reading one back proves nothing by itself: see [`Status::replay`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum RecordedTransition {
    /// See [`Transition::Start`].
    Start,
    /// See [`Transition::Hold`].
    Hold {
        /// The hold.
        hold: Hold,
    },
    /// See [`Transition::ResolveOnProof`].
    ResolveOnProof {
        /// What it was resolved as.
        classification: Classification,
    },
    /// See [`Transition::ResolveByPerson`].
    ResolveByPerson {
        /// The word.
        word: PersonsWord,
    },
    /// See [`Transition::CloseByPerson`].
    CloseByPerson {
        /// The word.
        word: PersonsWord,
    },
    /// See [`Transition::Reopen`].
    Reopen {
        /// Why.
        cause: ReopenCause,
    },
    /// See [`Transition::Merge`].
    Merge {
        /// The surviving case.
        into: CaseId,
    },
}

impl From<&Transition> for RecordedTransition {
    fn from(transition: &Transition) -> Self {
        match transition {
            Transition::Start => Self::Start,
            Transition::Hold(hold) => Self::Hold { hold: hold.clone() },
            Transition::ResolveOnProof(resolution) => {
                Self::ResolveOnProof { classification: resolution.classification() }
            }
            Transition::ResolveByPerson(word) => Self::ResolveByPerson { word: word.clone() },
            Transition::CloseByPerson(word) => Self::CloseByPerson { word: word.clone() },
            Transition::Reopen(cause) => Self::Reopen { cause: cause.clone() },
            Transition::Merge(into) => Self::Merge { into: *into },
        }
    }
}

/// A step that the machine does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a case that is {from} cannot be {step}")]
pub struct IllegalTransition {
    from: Status,
    step: &'static str,
}

impl Status {
    /// The status after a step.
    ///
    /// # Errors
    /// When the machine has no such step from here.
    pub fn apply(self, transition: &Transition) -> Result<Self, IllegalTransition> {
        let judged = match transition {
            Transition::ResolveOnProof(resolution) => Some(resolution.classification()),
            Transition::Start
            | Transition::Hold(_)
            | Transition::ResolveByPerson(_)
            | Transition::CloseByPerson(_)
            | Transition::Reopen(_)
            | Transition::Merge(_) => None,
        };
        self.replay(&RecordedTransition::from(transition), judged)
    }

    /// The status after a recorded step. `judged` is the classification of the verdict that stood when the
    /// step was taken: a recorded machine resolution without a matching benign verdict is refused.
    ///
    /// # Errors
    /// When the machine has no such step from here, or the recorded ground does not carry it.
    pub fn replay(
        self,
        recorded: &RecordedTransition,
        judged: Option<Classification>,
    ) -> Result<Self, IllegalTransition> {
        use RecordedTransition as Step;
        let refuse = |step| Err(IllegalTransition { from: self, step });
        match (self, recorded) {
            (Self::New, Step::Start) => Ok(Self::InProgress),
            (_, Step::Start) => refuse("started"),
            (Self::New | Self::InProgress, Step::Hold { .. }) => Ok(Self::OnHold),
            (_, Step::Hold { .. }) => refuse("put on hold"),
            (Self::InProgress, Step::ResolveOnProof { classification }) => {
                let benign = matches!(
                    classification,
                    Classification::FalsePositive | Classification::InformationalExpectedActivity
                );
                if benign && judged == Some(*classification) {
                    Ok(Self::Resolved)
                } else {
                    refuse("resolved without proof")
                }
            }
            (_, Step::ResolveOnProof { .. }) => refuse("resolved by machine"),
            (Self::New | Self::InProgress | Self::OnHold, Step::ResolveByPerson { .. }) => Ok(Self::Resolved),
            (_, Step::ResolveByPerson { .. }) => refuse("resolved"),
            (Self::Resolved | Self::OnHold, Step::CloseByPerson { .. }) => Ok(Self::Closed),
            (_, Step::CloseByPerson { .. }) => refuse("closed"),
            (Self::OnHold | Self::Resolved | Self::Closed, Step::Reopen { .. }) => Ok(Self::InProgress),
            (_, Step::Reopen { .. }) => refuse("reopened"),
            (Self::Merged, Step::Merge { .. }) => refuse("merged twice"),
            (_, Step::Merge { .. }) => Ok(Self::Merged),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn word() -> PersonsWord {
        PersonsWord { by: "a person".into(), because: "a reason".into() }
    }

    fn hold() -> Hold {
        Hold::for_failure(HoldCause::ToolFailure, "x")
    }

    fn any_step() -> impl Strategy<Value = RecordedTransition> {
        let classification = prop::sample::select(vec![
            Classification::TruePositive,
            Classification::FalsePositive,
            Classification::InformationalExpectedActivity,
            Classification::Undetermined,
        ]);
        prop_oneof![
            Just(RecordedTransition::Start),
            Just(RecordedTransition::Hold { hold: hold() }),
            classification.prop_map(|classification| RecordedTransition::ResolveOnProof { classification }),
            Just(RecordedTransition::ResolveByPerson { word: word() }),
            Just(RecordedTransition::CloseByPerson { word: word() }),
            Just(RecordedTransition::Reopen { cause: ReopenCause::NewAlert }),
            Just(RecordedTransition::Merge { into: CaseId::new(1) }),
        ]
    }

    fn persons(step: &RecordedTransition) -> bool {
        matches!(step, RecordedTransition::ResolveByPerson { .. } | RecordedTransition::CloseByPerson { .. })
    }

    proptest! {
        /// Whatever happens to a case whose verdict is undetermined or malicious, only a person ends it.
        #[test]
        fn no_path_leads_from_an_undetermined_verdict_to_an_end_without_a_person(
            steps in prop::collection::vec(any_step(), 0..30),
            judged in prop::sample::select(vec![None, Some(Classification::Undetermined), Some(Classification::TruePositive)]),
        ) {
            let mut status = Status::New;
            let mut a_person_spoke = false;
            for step in &steps {
                if let Ok(next) = status.replay(step, judged) {
                    a_person_spoke = persons(step) || (a_person_spoke && !matches!(step, RecordedTransition::Reopen { .. }));
                    status = next;
                }
                if matches!(status, Status::Resolved | Status::Closed) {
                    prop_assert!(a_person_spoke, "{steps:?}");
                }
            }
        }

        #[test]
        fn a_merged_case_never_moves_again(step in any_step()) {
            prop_assert!(Status::Merged.replay(&step, Some(Classification::FalsePositive)).is_err());
        }
    }

    #[test]
    fn every_cause_has_its_queue() {
        assert_eq!(HoldCause::ConfirmedThreat.queue(), HoldQueue::NeedsDecision);
        assert_eq!(HoldCause::InsufficientTelemetry.queue(), HoldQueue::NeedsInformation);
    }

    #[test]
    fn a_recorded_resolution_needs_the_verdict_it_names() {
        let recorded = RecordedTransition::ResolveOnProof { classification: Classification::FalsePositive };
        assert!(Status::InProgress.replay(&recorded, Some(Classification::FalsePositive)).is_ok());
        for other in [None, Some(Classification::Undetermined), Some(Classification::InformationalExpectedActivity)] {
            assert!(Status::InProgress.replay(&recorded, other).is_err());
        }
    }
}
