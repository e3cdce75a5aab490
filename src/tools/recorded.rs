//! What a case's recorded answers handed out and showed: known again without asking again.

use super::answer::{Answer, ToolError};
use crate::domain::taint::Taint;
use crate::evidence::Ledger;
use crate::journal::case_log::CaseLog;
use crate::journal::entry::Payload;
use crate::ports::journal::{Journal, JournalError};

/// What earlier attempts leave to the next one.
#[derive(Debug, Clone, Default)]
pub struct Earlier {
    /// The ids they handed out, in the order of attempt and step.
    pub ledger: Ledger,
    /// What was wrong with a text they were shown: whoever comes later and does not look there is bound by it too.
    pub taint: Option<Taint>,
}

/// What the attempts before number `attempt` leave.
///
/// # Errors
/// When the journal cannot be read.
pub async fn before(journal: &dyn Journal, log: &CaseLog, attempt: u32) -> Result<Earlier, JournalError> {
    let mut left = Earlier::default();
    for earlier in log.attempts.iter().filter(|earlier| earlier.number < attempt) {
        for step in earlier.steps.values().filter(|step| step.what != "move") {
            let Some((_, payload)) = &step.done else { continue };
            let outcome: Option<Result<Answer, ToolError>> = match payload {
                Payload::Inline(json) => json.read().ok(),
                Payload::Blob(hash) => journal.blob(hash).await?.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
            };
            let Some(Ok(answer)) = outcome else { continue };
            left.taint = left.taint.or_else(|| answer.taint());
            for exhibit in answer.rows.iter().filter_map(|row| row.exhibit.as_ref()) {
                left.ledger.admit(exhibit);
            }
        }
    }
    Ok(left)
}
