//! What cases were told of the gate, against what the gate's chain still says: a chain whose end was cut off, or that was
//! emptied, holds together as well as a whole one.

use std::collections::HashSet;

use super::{AuditRow, Break};
use crate::domain::containment::GateEvent;
use crate::domain::ids::ProposalId;
use crate::journal::case_stream::{DECIDED, GATE, cases, stream};
use crate::journal::entry::CaseEntry;
use crate::ports::journal::{Journal, JournalError};

/// What some case was told of and the chain does not have.
///
/// # Errors
/// When the journal cannot be read.
pub(super) async fn cut_off(journal: &dyn Journal, rows: &[AuditRow]) -> Result<Option<Break>, JournalError> {
    let end = rows.len() as u64;
    let decided: HashSet<ProposalId> = rows
        .iter()
        .filter_map(|row| match &row.event {
            GateEvent::Decided { proposal, .. } => Some(proposal.id),
            _ => None,
        })
        .collect();
    for case in cases(journal).await? {
        let told = journal.read(&stream(case), 0).await?.into_iter().filter_map(|row| row.content.ok());
        for record in told.filter(|record| [DECIDED, GATE].contains(&record.kind.as_str())) {
            // What cannot be read is the journal's own check's to tell.
            let what = match serde_json::from_str(&record.body) {
                Ok(CaseEntry::Gate { row, .. }) if row > end => format!("{case} was told of row {row}"),
                Ok(CaseEntry::Decided { proposal, .. }) if !decided.contains(&proposal) => {
                    format!("{case} was told of the answer to {proposal}")
                }
                _ => continue,
            };
            return Ok(Some(Break { seq: end + 1, what: format!("it is missing with all after it: {what}") }));
        }
    }
    Ok(None)
}
