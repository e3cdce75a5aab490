//! What a tool answers: rows that stand for evidence, a header that says what was not shown, and typed data.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::view::EventView;
use crate::domain::containment::Action;
use crate::domain::entity::HostName;
use crate::domain::evidence::Exhibit;
use crate::domain::ids::EvidenceId;
use crate::domain::taint::{self, Taint};
use crate::knowledge::canonical;

/// Most characters of a whole answer's text: about 1,500 tokens.
pub const LONGEST_TEXT: usize = 6_000;

/// Most characters of each text of the header.
const LONGEST_HEADING: usize = 400;

/// Characters that a row's evidence id takes.
const ID_LENGTH: usize = 8;

/// Most characters of an answer as it is shown: its rows and header, and the words and signs between them.
pub const LONGEST_SHOWN: usize = LONGEST_TEXT + 200;

/// One row of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What it stands for, if it can be cited.
    pub exhibit: Option<Exhibit>,
    /// The event it shows, if it shows one.
    pub view: Option<EventView>,
    /// The row as a person or a model reads it, without its evidence id.
    pub text: String,
}

impl Row {
    /// A row that says something and stands for no single event: it cannot be cited.
    #[must_use]
    pub const fn said(text: String) -> Self {
        Self { exhibit: None, view: None, text }
    }

    /// A row that shows an event.
    #[must_use]
    pub fn of(view: EventView) -> Self {
        Self { exhibit: Some(view.exhibit()), text: view.line(), view: Some(view) }
    }
}

/// What the answer shows of how much.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// How many there are in all.
    pub total: u64,
    /// The window that was searched, in words.
    pub window: String,
    /// What is known of the sensor, in words.
    pub sensor: String,
    /// How to get more.
    pub next: String,
}

/// A tool's answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What was shown of how much.
    pub header: Header,
    /// The rows shown.
    pub rows: Vec<Row>,
    /// Rows left out because the answer would have been too long.
    pub cut: u64,
    /// The tool's typed output, for programs.
    pub data: Value,
    /// What the door is to put on record with the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filing: Option<Filing>,
}

/// What a tool asks the door to put on record. A tool itself writes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "filing", rename_all = "snake_case")]
pub enum Filing {
    /// A wish for the gatekeeper.
    Proposal {
        /// What is asked for.
        action: Action,
        /// Of which machine.
        host: HostName,
        /// Why.
        because: String,
        /// What it rests on.
        evidence: Vec<EvidenceId>,
    },
    /// A comment in the case's thread.
    Comment {
        /// The text.
        text: String,
    },
}

impl Answer {
    /// Leaves out the rows that no longer fit. Done once, at the door.
    ///
    /// The first row that can be cited is shortened instead: nobody hides an event by making it long.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        let Header { window, sensor, next, .. } = &mut self.header;
        let mut heading = 0;
        for text in [window, sensor, next] {
            if text.chars().count() > LONGEST_HEADING {
                *text = text.chars().take(LONGEST_HEADING - 1).chain(['…']).collect();
            }
            heading += text.chars().count();
        }
        let (mut left, mut kept, mut citable) = (LONGEST_TEXT - heading, 0, false);
        for row in &mut self.rows {
            let length = row.text.chars().count() + ID_LENGTH;
            let fits = length <= left;
            if !fits && (citable || row.exhibit.is_none() || left <= ID_LENGTH) {
                break;
            }
            if !fits {
                row.text = row.text.chars().take(left - ID_LENGTH - 1).chain(['…']).collect();
            }
            left = left.saturating_sub(length);
            citable |= row.exhibit.is_some();
            kept += 1;
        }
        self.cut += (self.rows.len() - kept) as u64;
        self.rows.truncate(kept);
        self
    }

    /// What is wrong with text that the answer shows: of events, of other rows, and of values that were only counted.
    #[must_use]
    pub fn taint(&self) -> Option<Taint> {
        let fields = self.rows.iter().filter_map(|row| row.view.as_ref()).flat_map(|view| view.fields.values());
        let rows = self.rows.iter().map(|row| &row.text);
        let counted = self.data.get("counts").and_then(Value::as_array).into_iter().flatten();
        let counted = counted.filter_map(|count| count.get(0)?.as_str());
        fields.chain(rows).map(String::as_str).chain(counted).find_map(taint::of)
    }
}

/// Why a tool gave no answer. Every kind but the last goes back to the analyst.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum ToolError {
    /// No such tool, or not this agent's.
    #[error("there is no tool `{name}` here; these are: {}", .allowed.join(", "))]
    NotAllowed {
        /// What was asked for.
        name: String,
        /// What may be asked for.
        allowed: Vec<String>,
    },
    /// The arguments do not fit.
    #[error("`{tool}` does not take these arguments: {what}")]
    BadArguments {
        /// The tool.
        tool: String,
        /// What is wrong.
        what: String,
    },
    /// What was asked for does not exist.
    #[error("{what}")]
    NotFound {
        /// What is missing and how to find it.
        what: String,
    },
    /// What the tool reads could not be read.
    #[error("the tool could not read its data: {what}")]
    Unavailable {
        /// What happened.
        what: String,
    },
}

impl ToolError {
    /// The error's stable name in traces.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotAllowed { .. } => "not_allowed",
            Self::BadArguments { .. } => "bad_arguments",
            Self::NotFound { .. } => "not_found",
            Self::Unavailable { .. } => "unavailable",
        }
    }
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The tool's name.
    pub tool: String,
    /// Its arguments, as JSON.
    pub arguments: Value,
}

impl ToolCall {
    /// What the call is recognised by: digest of the tool's name and its arguments, in whatever order they stand.
    #[must_use]
    pub fn digest(&self) -> String {
        // No name has a line's end in it.
        canonical::sha256(format!("{}\n{}", self.tool, canonical::json(&self.arguments)).as_bytes())
    }
}

/// A call with its outcome and the ids under which its rows may be cited.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// The call.
    pub call: ToolCall,
    /// What came of it.
    pub outcome: Result<Answer, ToolError>,
    /// For each row of the answer, its evidence id.
    pub evidence: Vec<Option<EvidenceId>>,
}

impl Answered {
    /// The rows that show events, with their ids.
    pub fn seen(&self) -> impl Iterator<Item = (EvidenceId, &EventView)> {
        let rows = self.outcome.iter().flat_map(|answer| &answer.rows);
        rows.zip(&self.evidence).filter_map(|(row, id)| Some(((*id)?, row.view.as_ref()?)))
    }

    /// The answer as text, each row behind its evidence id.
    #[must_use]
    pub fn text(&self) -> String {
        let answer = match &self.outcome {
            Ok(answer) => answer,
            Err(error) => return format!("error: {error}"),
        };
        let Header { total, window, sensor, next } = &answer.header;
        let mut lines = vec![format!("{}/{total} rows", answer.rows.len())];
        for (name, value) in [("window", window), ("sensor", sensor), ("next", next)] {
            if !value.is_empty() {
                lines[0].push_str(&format!(" · {name}: {value}"));
            }
        }
        for (row, id) in answer.rows.iter().zip(&self.evidence) {
            let id = id.map_or_else(String::new, |id| format!("[{id}] "));
            lines.push(format!("{id}{}", row.text));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests;
