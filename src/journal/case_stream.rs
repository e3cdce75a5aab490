//! One case's stream, open for appending: what was written is folded in, what others wrote is noticed.

use std::sync::Arc;

use jiff::Timestamp;

use super::case_log::CaseLog;
use super::effects::DeskEffect;
use super::entry::{CaseEntry, Recorded};
use crate::domain::ids::CaseId;
use crate::ports::journal::{
    Append, Blob, Damage, Expected, Journal, JournalError, Lease, NewRecord, QueueChange, Stream,
};

/// The stream of a case.
#[must_use]
pub fn stream(case: CaseId) -> Stream {
    Stream(format!("case/{case}"))
}

/// The cases the journal knows, in the order they were opened.
///
/// # Errors
/// When the journal cannot be read.
pub async fn cases(journal: &dyn Journal) -> Result<Vec<CaseId>, JournalError> {
    let streams = journal.streams("case/").await?;
    Ok(streams.iter().filter_map(|stream| stream.0.strip_prefix("case/")?.parse().ok()).collect())
}

/// What is appended to a case together.
#[derive(Debug, Default)]
pub struct Batch {
    /// Entries.
    pub entries: Vec<CaseEntry>,
    /// Wishes to write at the case desk.
    pub effects: Vec<DeskEffect>,
    /// Changes of queues.
    pub queues: Vec<QueueChange>,
    /// Large contents.
    pub blobs: Vec<Blob>,
}

/// A case and the right to append to it.
pub struct CaseStream {
    journal: Arc<dyn Journal>,
    lease: Option<Lease>,
    log: CaseLog,
}

impl CaseStream {
    /// Reads the case. Without a lease, an append is guarded by the stream's number alone.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn open(journal: Arc<dyn Journal>, case: CaseId, lease: Option<Lease>) -> Result<Self, JournalError> {
        let mut opened = Self { journal, lease, log: CaseLog::empty(case) };
        opened.refresh().await?;
        Ok(opened)
    }

    /// The case as far as it was read.
    #[must_use]
    pub const fn log(&self) -> &CaseLog {
        &self.log
    }

    /// The lease under which it is open, if it needs one.
    #[must_use]
    pub const fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// Where it is read from and written to.
    #[must_use]
    pub const fn journal(&self) -> &Arc<dyn Journal> {
        &self.journal
    }

    /// Takes in what others appended since.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn refresh(&mut self) -> Result<(), JournalError> {
        let stream = stream(self.log.id);
        for row in self.journal.read(&stream, self.log.last).await? {
            let seq = row.seq;
            if seq != self.log.last + 1 {
                let what = "a row before it is missing".into();
                self.log.damaged(Damage { stream: stream.clone(), seq, what });
            }
            match row.content {
                Ok(record) => match serde_json::from_str::<CaseEntry>(&record.body) {
                    Ok(entry) => self.log.apply(Recorded { seq, at: record.at, entry }),
                    Err(error) => {
                        self.log.damaged(Damage { stream: stream.clone(), seq, what: error.to_string() });
                    }
                },
                Err(damage) => self.log.damaged(damage),
            }
        }
        Ok(())
    }

    /// The case as it will be once these entries are appended.
    #[must_use]
    pub fn preview(&self, entries: &[CaseEntry], at: Timestamp) -> CaseLog {
        let mut log = self.log.clone();
        for entry in entries {
            log.apply(Recorded { seq: log.last + 1, at, entry: entry.clone() });
        }
        log
    }

    /// Appends a batch and folds it in. An empty batch does nothing.
    ///
    /// # Errors
    /// [`JournalError::Conflict`] when others appended since the last read: call [`Self::refresh`] and decide again.
    pub async fn append(&mut self, batch: Batch, at: Timestamp) -> Result<(), JournalError> {
        let Batch { entries, effects, queues, blobs } = batch;
        if entries.is_empty() && effects.is_empty() && queues.is_empty() {
            return Ok(());
        }
        let records = entries
            .iter()
            .map(|entry| {
                let body = serde_json::to_string(entry).unwrap_or_default();
                NewRecord { kind: kind(entry).into(), body, at }
            })
            .collect();
        let append = Append {
            stream: stream(self.log.id),
            expected: Expected::Last(self.log.last),
            lease: self.lease.clone(),
            records,
            effects: effects.iter().map(DeskEffect::row).collect(),
            queues,
            blobs,
        };
        self.journal.append(append).await?;
        for entry in entries {
            let seq = self.log.last + 1;
            self.log.apply(Recorded { seq, at, entry });
        }
        Ok(())
    }
}

/// Kind of [`CaseEntry::Decided`].
pub(super) const DECIDED: &str = "decided";

/// Kind of [`CaseEntry::Gate`].
pub(super) const GATE: &str = "gate";

/// The entry's kind as the journal's column shows it.
const fn kind(entry: &CaseEntry) -> &'static str {
    match entry {
        CaseEntry::Opened { .. } => "opened",
        CaseEntry::Joined { .. } => "joined",
        CaseEntry::Absorbed { .. } => "absorbed",
        CaseEntry::Left { .. } => "left",
        CaseEntry::Spoken { .. } => "spoken",
        CaseEntry::Ready => "ready",
        CaseEntry::Moved { .. } => "moved",
        CaseEntry::Started { .. } => "started",
        CaseEntry::Begun { .. } => "begun",
        CaseEntry::Done { .. } => "done",
        CaseEntry::Taken { .. } => "taken",
        CaseEntry::Judged { .. } => "judged",
        CaseEntry::Ended { .. } => "ended",
        CaseEntry::Broke { .. } => "broke",
        CaseEntry::Proposed { .. } => "proposed",
        CaseEntry::Decided { .. } => DECIDED,
        CaseEntry::Gate { .. } => GATE,
        CaseEntry::Concluded => "concluded",
        CaseEntry::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests;
