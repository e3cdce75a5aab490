//! Durable steps: `Begun` before the work, `Done` with its result, and on a resume the recorded result instead of the work.
//!
//! A step's key is (attempt, ordinal), and its entry stores the digest of what was asked. When a resumed
//! attempt asks something else at the same place, its past no longer explains its present: [`RunError::Diverged`],
//! and the driver begins a new attempt. `Begun` without `Done` is a step whose outcome is not known; every step
//! of an attempt only reads, so it is repeated.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::case_stream::{Batch, CaseStream};
use super::effects::DeskEffect;
use super::entry::{CaseEntry, Payload};
use super::json::Json;
use crate::domain::trace::SpanId;
use crate::knowledge::canonical;
use crate::ports::journal::{Blob, JournalError};

/// Results longer than this (in bytes of JSON) are kept as blobs beside the stream.
const LARGEST_INLINE: usize = 16 * 1024;

/// Why a step could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The attempt's past asked something else at this place.
    #[error("step {ordinal} asked for `{was}` before and for `{is}` now")]
    Diverged {
        /// The step.
        ordinal: u32,
        /// What the journal has.
        was: String,
        /// What is asked now.
        is: String,
    },
    /// A recorded result can no longer be read.
    #[error("the recorded result of step {ordinal} cannot be read: {what}")]
    Lost {
        /// The step.
        ordinal: u32,
        /// What is wrong.
        what: String,
    },
}

/// A step that is about to be taken.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `move` or a tool's name.
    pub what: String,
    /// Digest of everything that was asked.
    pub digest: String,
    /// The span it will have if it is new.
    pub span: SpanId,
}

/// A step after it was begun.
#[derive(Debug, Clone)]
pub enum Begun<T> {
    /// It was taken before: this came of it.
    Recorded {
        /// Its place.
        ordinal: u32,
        /// The result.
        result: T,
    },
    /// It has to be taken now.
    Fresh {
        /// Its place.
        ordinal: u32,
        /// Its span.
        span: SpanId,
    },
}

/// One attempt at a case, step by step.
pub struct Run {
    stream: CaseStream,
    attempt: u32,
    next: u32,
    held_back: Batch,
    /// Steps that began before and begin again, with the instant.
    again: BTreeMap<u32, Timestamp>,
}

impl Run {
    /// Steps of the attempt `attempt`, from its beginning: recorded ones are replayed.
    #[must_use]
    pub fn new(stream: CaseStream, attempt: u32) -> Self {
        Self { stream, attempt, next: 1, held_back: Batch::default(), again: BTreeMap::new() }
    }

    /// The case.
    #[must_use]
    pub const fn stream(&self) -> &CaseStream {
        &self.stream
    }

    /// The attempt's number.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The ordinal that the next step will have.
    #[must_use]
    pub const fn next_ordinal(&self) -> u32 {
        self.next
    }

    /// Begins steps that are taken side by side; they get their ordinals in the order asked. What is new is on
    /// record when this returns.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn begin<T: DeserializeOwned>(
        &mut self,
        asked: &[Asked],
        at: Timestamp,
    ) -> Result<Vec<Begun<T>>, RunError> {
        let begun = self.begin_held_back(asked, at).await?;
        self.flush(at).await?;
        Ok(begun)
    }

    /// Like [`Self::begin`], but leaves the writing to the next append: for steps that cost nothing to take again,
    /// so that a process that dies in between has lost nothing by not knowing of them.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn begin_held_back<T: DeserializeOwned>(
        &mut self,
        asked: &[Asked],
        at: Timestamp,
    ) -> Result<Vec<Begun<T>>, RunError> {
        let mut begun = Vec::with_capacity(asked.len());
        for step in asked {
            let ordinal = self.next;
            self.next += 1;
            let attempt = self.stream.log().attempts.iter().find(|a| a.number == self.attempt);
            let known = attempt.and_then(|attempt| attempt.steps.get(&ordinal));
            if let Some(known) = known.filter(|known| known.digest != step.digest) {
                return Err(RunError::Diverged { ordinal, was: known.what.clone(), is: step.what.clone() });
            }
            if let Some((_, payload)) = known.and_then(|known| known.done.clone()) {
                begun.push(Begun::Recorded { ordinal, result: self.load(ordinal, &payload).await? });
                continue;
            }
            if let Some(known) = known {
                // That it begins again is told with its end: a process that dies at every append still comes on.
                self.again.insert(ordinal, at);
                begun.push(Begun::Fresh { ordinal, span: known.span });
                continue;
            }
            self.held_back.entries.push(CaseEntry::Begun {
                attempt: self.attempt,
                ordinal,
                what: step.what.clone(),
                digest: step.digest.clone(),
                span: step.span,
            });
            begun.push(Begun::Fresh { ordinal, span: step.span });
        }
        Ok(begun)
    }

    /// Records what came of a step, together with the comments that tell of it.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn done<T: Serialize>(
        &mut self,
        ordinal: u32,
        result: &T,
        effects: Vec<DeskEffect>,
        at: Timestamp,
    ) -> Result<(), RunError> {
        self.hold_back(ordinal, result, effects);
        self.flush(at).await
    }

    /// Like [`Self::done`], but leaves the writing to the next `begin` or `flush`, so that an answer and the
    /// steps it leads to are one append. Nothing may be acted on in between.
    pub fn hold_back<T: Serialize>(&mut self, ordinal: u32, result: &T, effects: Vec<DeskEffect>) {
        let result = Json::of(result);
        let result = if result.text().len() > LARGEST_INLINE {
            let bytes = result.text().as_bytes().to_vec();
            let hash = canonical::sha256(&bytes);
            self.held_back.blobs.push(Blob { hash: hash.clone(), bytes });
            Payload::Blob(hash)
        } else {
            Payload::Inline(result)
        };
        self.held_back.effects.extend(effects);
        let attempt = self.attempt;
        let entries = &mut self.held_back.entries;
        // A beginning that nobody knows of yet is told together with its end.
        let begun = entries.pop_if(|last| matches!(last, CaseEntry::Begun { ordinal: begun, .. } if *begun == ordinal));
        entries.push(match begun {
            Some(CaseEntry::Begun { what, digest, span, .. }) => {
                CaseEntry::Taken { attempt, ordinal, what, digest, span, result }
            }
            _ => CaseEntry::Done { attempt, ordinal, result, again: self.again.remove(&ordinal) },
        });
    }

    /// Puts an entry with what is held back: it is on record together with the step that led to it.
    pub fn file(&mut self, entry: CaseEntry) {
        self.held_back.entries.push(entry);
    }

    /// Writes what was held back.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn flush(&mut self, at: Timestamp) -> Result<(), RunError> {
        let batch = std::mem::take(&mut self.held_back);
        Ok(self.stream.append(batch, at).await?)
    }

    /// Ends the run: what was held back and `last` are one append, and the case's stream is handed back.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn finish(mut self, last: Batch, at: Timestamp) -> Result<CaseStream, RunError> {
        let mut batch = std::mem::take(&mut self.held_back);
        batch.entries.extend(last.entries);
        batch.effects.extend(last.effects);
        batch.queues.extend(last.queues);
        batch.blobs.extend(last.blobs);
        self.stream.append(batch, at).await?;
        Ok(self.stream)
    }

    async fn load<T: DeserializeOwned>(&self, ordinal: u32, payload: &Payload) -> Result<T, RunError> {
        let lost = |what: String| RunError::Lost { ordinal, what };
        match payload {
            Payload::Inline(json) => json.read().map_err(|error| lost(error.to_string())),
            Payload::Blob(hash) => {
                let bytes = self.stream.journal().blob(hash).await?;
                let bytes = bytes.ok_or_else(|| lost("its content is gone or damaged".into()))?;
                serde_json::from_slice(&bytes).map_err(|error| lost(error.to_string()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
