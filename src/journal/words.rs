//! What people say to the gatekeeper: a stream of its own, so that a word is on record before anybody acts on it, and
//! so that the audit keeps a single writer.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::ids::{LeaseId, ProposalId};
use crate::ports::journal::{Append, Expected, Journal, JournalError, NewRecord, Stream};

/// What somebody says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "snake_case")]
pub enum Word {
    /// Do it.
    Approve {
        /// Which proposal.
        proposal: ProposalId,
        /// Who says so.
        by: String,
        /// For how long a device is isolated; the policy's usual time if left out.
        lasts: Option<SignedDuration>,
    },
    /// Do not.
    Deny {
        /// Which proposal.
        proposal: ProposalId,
        /// Who says so.
        by: String,
        /// Why.
        because: String,
    },
    /// Let the device back now.
    Release {
        /// Which lease.
        lease: LeaseId,
        /// Who says so.
        by: String,
        /// Why.
        because: String,
    },
    /// Keep it isolated longer.
    Extend {
        /// Which lease.
        lease: LeaseId,
        /// Who says so.
        by: String,
        /// Why.
        because: String,
        /// So much longer than it would have been.
        lasts: SignedDuration,
    },
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

impl Word {
    /// The proposal it is about.
    #[must_use]
    pub const fn proposal(&self) -> Option<ProposalId> {
        match self {
            Self::Approve { proposal, .. } | Self::Deny { proposal, .. } => Some(*proposal),
            Self::Release { lease, .. } | Self::Extend { lease, .. } => Some(lease.proposal()),
            Self::Unknown => None,
        }
    }

    /// Who says it.
    #[must_use]
    pub fn by(&self) -> &str {
        match self {
            Self::Approve { by, .. } | Self::Deny { by, .. } | Self::Release { by, .. } | Self::Extend { by, .. } => by,
            Self::Unknown => "",
        }
    }
}

fn stream() -> Stream {
    Stream("words".into())
}

/// Puts a word on record and returns its number.
///
/// # Errors
/// When the journal refuses.
pub async fn say(journal: &dyn Journal, word: &Word, at: Timestamp) -> Result<u64, JournalError> {
    let mut append = Append::to(stream(), Expected::Any);
    // Only string keys are in it, so it is always JSON.
    let body = serde_json::to_string(word).unwrap_or_default();
    append.records.push(NewRecord { kind: "word".into(), body, at });
    journal.append(append).await
}

/// The words after number `after`; one that cannot be read says why.
///
/// # Errors
/// When the journal cannot be read.
pub async fn after(journal: &dyn Journal, after: u64) -> Result<Vec<(u64, Result<Word, String>)>, JournalError> {
    let rows = journal.read(&stream(), after).await?;
    let read = rows.into_iter().map(|row| {
        let word = match row.content {
            Ok(record) => serde_json::from_str(&record.body).map_err(|error| error.to_string()),
            Err(damage) => Err(damage.what),
        };
        (row.seq, word)
    });
    Ok(read.collect())
}
