//! Re-reading what is cited from the store, and making a verdict only of what was found there.

use crate::domain::draft::Draft;
use crate::domain::evidence::{
    AbsenceClaim, Citation, CitationError, Evidence, Exhibit, VerifiedAbsence, VerifiedEvidence,
};
use crate::domain::ids::EvidenceId;
use crate::domain::verdict::{Question, Rejection, Verdict};
use crate::knowledge::canonical;
use crate::ports::events::{Comparison, Condition, EventQuery, EventStore, Kind, Watermark};
use crate::ports::storage::StorageError;

use super::Ledger;

/// Why evidence could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The claim does not hold.
    #[error(transparent)]
    Claim(#[from] CitationError),
    /// The store could not be read; nothing was decided.
    #[error(transparent)]
    Store(#[from] StorageError),
}

/// Re-reads one cited thing and checks the claim against it.
///
/// # Errors
/// When the claim does not hold or the store cannot be read.
pub async fn verify(
    store: &dyn EventStore,
    ledger: &Ledger,
    citation: &Citation,
    watermark: Watermark,
) -> Result<Evidence, EvidenceError> {
    let id = citation.evidence;
    match ledger.get(id).ok_or(CitationError::Unknown(id))? {
        Exhibit::Event { event } => {
            let event = store.get(event).await?.ok_or(CitationError::Gone(id))?;
            Ok(Evidence::Seen(VerifiedEvidence::check(citation, &event)?))
        }
        Exhibit::Absence { absence } => {
            let found = count(store, absence, watermark).await?;
            let kind = Kind { channel: Some(absence.channel.clone()), code: absence.code };
            let sensor = store.sensor(&absence.host, &kind, absence.from, absence.to, watermark).await?;
            Ok(Evidence::Absent(VerifiedAbsence::check(citation, absence, found, sensor)?))
        }
    }
}

async fn count(store: &dyn EventStore, absence: &AbsenceClaim, watermark: Watermark) -> Result<u64, StorageError> {
    let conditions = absence.conditions.iter().map(|quote| Condition {
        field: quote.field.clone(),
        comparison: Comparison::Contains,
        value: quote.value.clone(),
    });
    let query = EventQuery {
        host: Some(absence.host.clone()),
        kinds: vec![Kind { channel: Some(absence.channel.clone()), code: absence.code }],
        process: absence.process.clone(),
        conditions: conditions.collect(),
        limit: 1,
        ..EventQuery::within(absence.from, absence.to, watermark)
    };
    Ok(store.search(&query).await?.total)
}

/// Checks every citation of a draft and judges the draft by what remains.
///
/// The inner result is the judgement: a verdict, or every reason why the draft is none.
///
/// # Errors
/// When the store cannot be read: then nothing is decided.
pub async fn judge(
    store: &dyn EventStore,
    ledger: &Ledger,
    draft: &Draft,
    playbook: &[Question],
    watermark: Watermark,
) -> Result<Result<Verdict, Vec<Rejection>>, StorageError> {
    let (mut evidence, mut rejections) = (Vec::new(), Vec::new());
    for citation in &draft.citations {
        match verify(store, ledger, citation, watermark).await {
            Ok(item) => evidence.push(item),
            Err(EvidenceError::Claim(reason)) => rejections.push(Rejection::Citation(reason)),
            Err(EvidenceError::Store(error)) => return Err(error),
        }
    }
    let judged = Verdict::judge(draft.clone(), evidence, &ledger.ids(), playbook);
    Ok(match judged {
        Ok(verdict) if rejections.is_empty() => Ok(verdict),
        Ok(_) => Err(rejections),
        Err(more) => {
            rejections.extend(more);
            Err(rejections)
        }
    })
}

/// What was seen of cited events by whoever read them again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reread {
    /// How many the store still holds.
    pub events: usize,
    /// Digest of all that was read, by evidence id.
    pub digest: String,
}

/// Reads again the events that these ids stand for: the gatekeeper's own look. Whoever wants them read twice gets the
/// same digest as long as they are the same.
///
/// # Errors
/// When the store cannot be read.
pub async fn reread(store: &dyn EventStore, ledger: &Ledger, ids: &[EvidenceId]) -> Result<Reread, StorageError> {
    let mut found = Vec::new();
    for id in ids {
        if let Some(Exhibit::Event { event }) = ledger.get(*id)
            && let Some(event) = store.get(event).await?
        {
            found.push((*id, canonical::digest(&(event.id, event.host, event.document))));
        }
    }
    Ok(Reread { events: found.len(), digest: canonical::digest(&found) })
}

#[cfg(test)]
mod tests;
