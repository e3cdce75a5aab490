//! Filing: what a tool asks to be put on record becomes an entry of its case, in the same append as its answer.

use jiff::Timestamp;

use super::answer::{Answer, Filing, Row, ToolError};
use super::door::Visitor;
use crate::domain::containment::{Action, Proposal};
use crate::domain::entity::HostName;
use crate::domain::ids::{EvidenceId, ProposalId};
use crate::domain::taint;
use crate::journal::effects::{DeskEffect, comment};
use crate::journal::entry::CaseEntry;
use crate::journal::run::Run;

/// Most characters of a filed text.
const LONGEST_TEXT: usize = 2_000;

/// Files what an answer asks for, and gives the answer with what became of it, and comments to be written.
pub(super) fn file(
    mut answer: Answer,
    ordinal: u32,
    visitor: &Visitor,
    run: &mut Run,
    now: Timestamp,
) -> Result<(Answer, Vec<DeskEffect>), ToolError> {
    match answer.filing.clone() {
        None => Ok((answer, vec![])),
        Some(Filing::Comment { text }) => {
            let about = format!("a{}/s{ordinal}", run.attempt());
            Ok((answer, vec![comment(visitor.case, &about, visitor.tier.name(), plain(&text), now)]))
        }
        Some(Filing::Proposal { action, host, because, evidence }) => {
            let (id, is_new) = propose(action, host, because, evidence, visitor, run)?;
            let before = if is_new { "filed" } else { "was filed before" };
            let text = format!("{id} {before} for the gatekeeper: pending; nothing has been done to any machine");
            answer.rows.insert(0, Row::said(text));
            answer.header.total += 1;
            answer.data["proposal"] = id.to_string().into();
            Ok((answer, vec![]))
        }
    }
}

/// Files a proposal, unless the same is filed already: nobody is asked twice for one thing.
fn propose(
    action: Action,
    host: HostName,
    because: String,
    evidence: Vec<EvidenceId>,
    visitor: &Visitor,
    run: &mut Run,
) -> Result<(ProposalId, bool), ToolError> {
    let shown = visitor.ledger.ids();
    if let Some(unknown) = evidence.iter().find(|id| !shown.contains(id)) {
        let what = format!("{unknown} is no evidence of this case: cite ids that look-ups gave");
        return Err(ToolError::NotFound { what });
    }
    let filed = &run.stream().log().proposals;
    let same = filed.iter().find(|filed| filed.proposal.action == action && filed.proposal.host == host);
    if let Some(same) = same {
        return Ok((same.proposal.id, false));
    }
    let number = u32::try_from(filed.len()).unwrap_or(u32::MAX).saturating_add(1);
    let id = ProposalId::new(visitor.case, number);
    let because = plain(&because);
    run.file(CaseEntry::Proposed { proposal: Proposal { id, action, host, because, evidence } });
    Ok((id, true))
}

/// A text as a thread may show it: on one line, nothing hidden, no live link, not endless.
fn plain(text: &str) -> String {
    let shown = taint::shown(text);
    let dead = [("http://", "hxxp://"), ("https://", "hxxps://")];
    let shown = dead.iter().fold(shown, |text, (scheme, dead)| text.replace(scheme, dead));
    shown.chars().take(LONGEST_TEXT).collect()
}
