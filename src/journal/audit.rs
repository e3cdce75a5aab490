//! The gatekeeper's audit: one row for everything that happens at the gate, each bound to the one before it by its hash.

mod witness;

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::containment::GateEvent;
use crate::knowledge::canonical;
use crate::ports::journal::{Append, Expected, Journal, JournalError, NewEffect, NewRecord, QueueChange, Stream};

/// Something that happened at the gate, with its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: GateEvent,
}

/// A row as it stands in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Link {
    previous: String,
    hash: String,
    at: Timestamp,
    row: GateEvent,
}

/// The hash before the first row.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The stream of the chain.
pub(super) fn stream() -> Stream {
    Stream("gate".into())
}

fn hash(previous: &str, seq: u64, at: Timestamp, row: &GateEvent) -> String {
    canonical::digest(&(previous, seq, at, row))
}

/// The gatekeeper's ledger: appended by the gatekeeper alone, verified by anybody.
pub struct AuditChain {
    journal: Arc<dyn Journal>,
    last: u64,
    tip: String,
    rows: Vec<AuditRow>,
    broken: Option<Break>,
}

/// Where a chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("audit row {seq}: {what}")]
pub struct Break {
    /// The first row that does not hold.
    pub seq: u64,
    /// What is wrong with it.
    pub what: String,
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Rows whose hash follows from the row before.
    pub rows: u64,
    /// The hash of the last good row: write it down elsewhere, and a cut-off tail shows too.
    pub tip: String,
    /// The first row that does not hold.
    pub broken: Option<Break>,
}

impl AuditChain {
    /// Reads the chain.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn open(journal: Arc<dyn Journal>) -> Result<Self, JournalError> {
        let (verified, rows) = walk(journal.as_ref()).await?;
        let last = journal.read(&stream(), 0).await?.last().map_or(0, |row| row.seq);
        Ok(Self { journal, last, tip: verified.tip, rows, broken: verified.broken })
    }

    /// The rows that hold.
    #[must_use]
    pub fn rows(&self) -> &[AuditRow] {
        &self.rows
    }

    /// Where it broke before it was opened; rows beyond are not read.
    #[must_use]
    pub const fn broken(&self) -> Option<&Break> {
        self.broken.as_ref()
    }

    /// The hash of its last row.
    #[must_use]
    pub fn tip(&self) -> &str {
        &self.tip
    }

    /// Appends what happened, in order and together with what follows from it. It is durable when this returns.
    ///
    /// # Errors
    /// When the journal refuses; a second gatekeeper on the same journal is refused by its expected number.
    pub async fn append(
        &mut self,
        events: Vec<GateEvent>,
        effects: Vec<NewEffect>,
        queues: Vec<QueueChange>,
        at: Timestamp,
    ) -> Result<(), JournalError> {
        let mut append = Append { effects, queues, ..Append::to(stream(), Expected::Last(self.last)) };
        let (mut tip, mut rows) = (self.tip.clone(), Vec::new());
        for (seq, event) in (self.last + 1..).zip(events) {
            let hash = hash(&tip, seq, at, &event);
            let link = Link { previous: tip, hash: hash.clone(), at, row: event };
            append.records.push(NewRecord {
                kind: link.row.kind().into(),
                // Only string keys are in it, so it is always JSON.
                body: serde_json::to_string(&link).unwrap_or_default(),
                at,
            });
            tip = hash;
            rows.push(AuditRow { seq, at, event: link.row });
        }
        self.last = self.journal.append(append).await?;
        self.tip = tip;
        self.rows.append(&mut rows);
        Ok(())
    }
}

/// The rows of the chain that hold, for whoever only reads.
///
/// # Errors
/// When the journal cannot be read.
pub async fn rows(journal: &dyn Journal) -> Result<Vec<AuditRow>, JournalError> {
    Ok(walk(journal).await?.1)
}

/// Follows the chain from its beginning, and asks the cases whether they were told of more than it says.
///
/// # Errors
/// When the journal cannot be read.
pub async fn verify(journal: &dyn Journal) -> Result<Verified, JournalError> {
    let (mut verified, rows) = walk(journal).await?;
    if verified.broken.is_none() {
        verified.broken = witness::cut_off(journal, &rows).await?;
    }
    Ok(verified)
}

async fn walk(journal: &dyn Journal) -> Result<(Verified, Vec<AuditRow>), JournalError> {
    let mut verified = Verified { rows: 0, tip: GENESIS.into(), broken: None };
    let mut rows = Vec::new();
    for row in journal.read(&stream(), 0).await? {
        let seq = row.seq;
        let problem = |what: &str| Some(Break { seq, what: what.into() });
        let link = match row.content {
            Ok(record) => {
                serde_json::from_str::<Link>(&record.body).map_err(|_| "it is no row of the audit".to_owned())
            }
            Err(damage) => Err(damage.what),
        };
        verified.broken = match &link {
            Err(what) => problem(what),
            Ok(_) if seq != verified.rows + 1 => problem("a row before it is missing"),
            Ok(link) if link.previous != verified.tip => problem("it does not follow the row before it"),
            Ok(link) if link.hash != hash(&link.previous, seq, link.at, &link.row) => {
                problem("it was changed after it was written")
            }
            Ok(_) => None,
        };
        let (None, Ok(link)) = (&verified.broken, link) else { break };
        verified.rows += 1;
        verified.tip = link.hash;
        rows.push(AuditRow { seq, at: link.at, event: link.row });
    }
    Ok((verified, rows))
}

#[cfg(test)]
mod tests;
