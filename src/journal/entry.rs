//! Everything that can happen to a case, as the journal records it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::Json;
use crate::domain::case::RecordedTransition;
use crate::domain::containment::{Decision, GateEvent, Proposal};
use crate::domain::draft::Draft;
use crate::domain::ids::{AlertId, CaseId, EvidenceId, ProposalId};
use crate::domain::person::Act;
use crate::domain::route::Tier;
use crate::domain::trace::{SpanId, SpanRef};
use crate::ports::events::Watermark;

/// Hashes of everything that shapes an investigation. If one differs on resume, a new attempt begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    /// The agent's configuration.
    pub agent: String,
    /// The analyst: its name, version and declared weights or prompts.
    pub analyst: String,
    /// The route's policy.
    pub policy: String,
    /// The tools' names and argument schemas.
    pub tools: String,
    /// The program's version.
    pub program: String,
}

impl Pins {
    /// The first pin that differs, by name.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        [
            (self.agent != other.agent, "the agent's configuration"),
            (self.analyst != other.analyst, "the analyst"),
            (self.policy != other.policy, "the route's policy"),
            (self.tools != other.tools, "the tools"),
            (self.program != other.program, "the program"),
        ]
        .into_iter()
        .find_map(|(differs, name)| differs.then_some(name))
    }
}

/// What tier 1 hands to tier 2: its judgement and a question, never its transcript.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Handover {
    /// What tier 1 submitted. It was checked then; what is cited again is checked again.
    pub draft: Draft,
    /// Evidence ids handed out so far.
    pub evidence: Vec<EvidenceId>,
    /// What tier 2 should find out.
    pub question: String,
}

/// A result as a record keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// The result itself.
    Inline(Json),
    /// The hash of a blob that holds it.
    Blob(String),
}

/// An entry of a case's stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum CaseEntry {
    /// Intake opened the case for this alert and made the ids of its trace's root.
    Opened {
        /// The first alert.
        alert: AlertId,
        /// The root span of the case's run.
        root: SpanRef,
    },
    /// An alert joined.
    Joined {
        /// The alert.
        alert: AlertId,
        /// Why it belongs here.
        reason: String,
    },
    /// Another case turned out to be the same incident.
    Absorbed {
        /// The other case.
        case: CaseId,
        /// Its alerts.
        alerts: Vec<AlertId>,
        /// Why they belong together.
        reason: String,
    },
    /// Alerts turned out to belong to another incident. They leave; what was concluded with them stays on record.
    Left {
        /// The alerts.
        alerts: Vec<AlertId>,
        /// Why.
        reason: String,
    },
    /// A person spoke of the case. A status that changes with it is a `Moved` of the same append.
    Spoken {
        /// The word's number in the stream of people's words.
        number: u64,
        /// Who.
        by: String,
        /// What.
        said: Act,
        /// Why it could not be done, if it could not: the case had changed in the meantime.
        refused: Option<String>,
    },
    /// Its sources have delivered all they had: it may be judged.
    Ready,
    /// The status changed.
    Moved {
        /// The step.
        transition: RecordedTransition,
        /// Who took it.
        by: String,
        /// The rule that decided, by name.
        rule: String,
        /// The value that decided, in words.
        because: String,
    },
    /// An investigation began, or began again.
    Started {
        /// Counts the investigations of the case, from 1.
        attempt: u32,
        /// The tier that investigates.
        tier: Tier,
        /// What shapes it.
        pins: Pins,
        /// What had arrived.
        watermark: Watermark,
        /// How many alerts the case had.
        alerts: usize,
        /// From tier 1, for tier 2.
        handover: Option<Box<Handover>>,
        /// Why an earlier attempt was given up.
        why_again: Option<String>,
        /// The tier's span.
        span: SpanId,
    },
    /// A step is about to be taken.
    Begun {
        /// The attempt.
        attempt: u32,
        /// Its place in the attempt, from 1.
        ordinal: u32,
        /// What it is: `move`, a tool's name, …
        what: String,
        /// Digest of what was asked.
        digest: String,
        /// Its span.
        span: SpanId,
    },
    /// A step was taken.
    Done {
        /// The attempt.
        attempt: u32,
        /// Its place in the attempt.
        ordinal: u32,
        /// What came of it.
        result: Payload,
        /// When it began for the last time, if an earlier beginning came to nothing: the time between is nobody's work.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again: Option<Timestamp>,
    },
    /// A step was taken that costs nothing to take again: its beginning and its end are told together.
    Taken {
        /// The attempt.
        attempt: u32,
        /// Its place in the attempt, from 1.
        ordinal: u32,
        /// What it is.
        what: String,
        /// Digest of what was asked.
        digest: String,
        /// Its span.
        span: SpanId,
        /// What came of it.
        result: Payload,
    },
    /// An investigation ended with an accepted verdict. The draft is recorded, not the verdict: a verdict is
    /// made again from the draft by checking its citations again.
    Judged {
        /// The attempt.
        attempt: u32,
        /// What was submitted.
        draft: Box<Draft>,
        /// The verdict as people are shown it. Never read back as a verdict.
        card: Value,
    },
    /// An investigation ended without a verdict.
    Ended {
        /// The attempt.
        attempt: u32,
        /// Why.
        why: String,
    },
    /// The process' slot broke while it worked on the case.
    Broke {
        /// The attempt.
        attempt: u32,
        /// The step it broke at.
        ordinal: u32,
        /// What it said.
        what: String,
    },
    /// Containment is asked for.
    Proposed {
        /// The wish.
        proposal: Proposal,
    },
    /// The gatekeeper answered.
    Decided {
        /// Which proposal.
        proposal: ProposalId,
        /// The answer.
        decision: Decision,
        /// The gate's span.
        span: SpanId,
    },
    /// What happened to a proposal after it was decided, as the gate's audit has it.
    Gate {
        /// The audit's row.
        row: u64,
        /// When it happened.
        when: Timestamp,
        /// What.
        event: GateEvent,
    },
    /// The run is over and its root span may be exported.
    Concluded,
    /// An entry of a later version: kept, and not acted on.
    #[serde(other)]
    Unknown,
}

/// An entry with its number and time.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Its number in the stream.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The entry.
    pub entry: CaseEntry,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_a_later_version_is_kept_and_not_acted_on() {
        let entry: CaseEntry = serde_json::from_str(r#"{"entry":"teleported","where":1}"#).expect("it is read");
        assert_eq!(entry, CaseEntry::Unknown);
    }
}
