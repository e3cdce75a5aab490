//! The gatekeeper's audit: one row per decision, each bound to the one before it by its hash.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::containment::{Decision, Proposal};
use crate::knowledge::canonical;
use crate::ports::journal::{Append, Expected, Journal, JournalError, NewRecord, Stream};

/// What one decision was and rested on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// What was asked for.
    pub proposal: Proposal,
    /// The answer.
    pub decision: Decision,
    /// Digest of the facts that the gatekeeper gathered.
    pub facts: String,
    /// Digest of the policy in force.
    pub policy: String,
}

/// A row as it stands in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Link {
    previous: String,
    hash: String,
    at: Timestamp,
    row: AuditRow,
}

/// The hash before the first row.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn stream() -> Stream {
    Stream("gate".into())
}

fn hash(previous: &str, seq: u64, at: Timestamp, row: &AuditRow) -> String {
    canonical::digest(&(previous, seq, at, row))
}

/// The gatekeeper's ledger: appended by the gatekeeper alone, verified by anybody.
pub struct AuditChain {
    journal: Arc<dyn Journal>,
    last: u64,
    tip: String,
    rows: Vec<AuditRow>,
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
        Ok(Self { journal, last, tip: verified.tip, rows })
    }

    /// The rows that hold.
    #[must_use]
    pub fn rows(&self) -> &[AuditRow] {
        &self.rows
    }

    /// Appends a decision. It is durable when this returns.
    ///
    /// # Errors
    /// When the journal refuses; a second gatekeeper on the same journal is refused by its expected number.
    pub async fn append(&mut self, row: AuditRow, at: Timestamp) -> Result<(), JournalError> {
        let hash = hash(&self.tip, self.last + 1, at, &row);
        let link = Link { previous: self.tip.clone(), hash: hash.clone(), at, row };
        let mut append = Append::to(stream(), Expected::Last(self.last));
        append.records.push(NewRecord {
            kind: "decision".into(),
            // Only string keys are in it, so it is always JSON.
            body: serde_json::to_string(&link).unwrap_or_default(),
            at,
        });
        self.last = self.journal.append(append).await?;
        self.tip = hash;
        self.rows.push(link.row);
        Ok(())
    }
}

/// Follows the chain from its beginning.
///
/// # Errors
/// When the journal cannot be read.
pub async fn verify(journal: &dyn Journal) -> Result<Verified, JournalError> {
    Ok(walk(journal).await?.0)
}

async fn walk(journal: &dyn Journal) -> Result<(Verified, Vec<AuditRow>), JournalError> {
    let mut verified = Verified { rows: 0, tip: GENESIS.into(), broken: None };
    let mut rows = Vec::new();
    for row in journal.read(&stream(), 0).await? {
        let seq = row.seq;
        let problem = |what: &str| Some(Break { seq, what: what.into() });
        let link = match row.content {
            Ok(record) => serde_json::from_str::<Link>(&record.body).map_err(|_| "it is no decision".to_owned()),
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
        rows.push(link.row);
    }
    Ok((verified, rows))
}

#[cfg(test)]
mod tests;
