//! Evidence ids from recorded answers: what a case handed out before, without asking again.

use super::answer::{Answer, ToolError};
use crate::evidence::Ledger;
use crate::journal::case_log::CaseLog;
use crate::journal::entry::Payload;
use crate::ports::journal::{Journal, JournalError};

/// The ids that the attempts before number `attempt` handed out, in the order of attempt and step.
///
/// # Errors
/// When the journal cannot be read.
pub async fn ledger(journal: &dyn Journal, log: &CaseLog, attempt: u32) -> Result<Ledger, JournalError> {
    let mut ledger = Ledger::default();
    for earlier in log.attempts.iter().filter(|earlier| earlier.number < attempt) {
        for step in earlier.steps.values().filter(|step| step.what != "move") {
            let Some((_, payload)) = &step.done else { continue };
            let outcome: Option<Result<Answer, ToolError>> = match payload {
                Payload::Inline(value) => serde_json::from_value(value.clone()).ok(),
                Payload::Blob(hash) => journal.blob(hash).await?.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
            };
            for row in outcome.into_iter().flatten().flat_map(|answer| answer.rows) {
                if let Some(exhibit) = &row.exhibit {
                    ledger.admit(exhibit);
                }
            }
        }
    }
    Ok(ledger)
}
