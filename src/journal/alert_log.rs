//! The stream of alerts: every source appends here, intake reads from here.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::alert::Alert;
use crate::domain::ids::AlertId;
use crate::domain::loss::Loss;
use crate::ports::events::Watermark;
use crate::ports::journal::{Append, Damage, Expected, Journal, JournalError, NewRecord, Stream};

/// An entry of the alerts' stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum AlertEntry {
    /// A source raised an alert.
    Arrived {
        /// The alert.
        alert: Box<Alert>,
    },
    /// A source has delivered all it has for now: cases may be judged on what arrived.
    CaughtUp {
        /// What had arrived.
        watermark: Watermark,
    },
    /// A log was read to its end: what is missing of it, if anything. The newest word on a log counts, so that reading
    /// it again whole mends it.
    LogRead {
        /// The log, by the name it was given.
        log: String,
        /// What is missing or was not read word for word.
        damage: Option<String>,
    },
    /// A source that goes on lost something.
    Lost {
        /// What, where and when.
        loss: Loss,
    },
    /// A log's own clock shows to be off, and nobody declared it: its times are told as they were recorded.
    ClockSeen {
        /// The log, by the name it was given.
        log: String,
        /// What it shows; nothing once the log was read with its offset declared.
        shows: Option<String>,
    },
    /// An entry of a later version.
    #[serde(other)]
    Unknown,
}

/// Losses that are told apart. Of more the oldest are put together, which only makes them stand against more.
const MOST_LOSSES: usize = 1_000;

/// Appends alerts once and reads them back. Holds every alert in memory: a few hundred bytes each.
pub struct AlertLog {
    journal: Arc<dyn Journal>,
    known: Mutex<HashMap<AlertId, Arc<Alert>>>,
    end: Mutex<End>,
    damaged: Mutex<BTreeMap<String, String>>,
    losses: Mutex<Vec<Loss>>,
    clocks: Mutex<BTreeMap<String, String>>,
}

/// What the stream ends with, as far as it matters to [`AlertLog::caught_up`].
#[derive(Debug, Default)]
struct End {
    /// Counts the beginnings and ends of appends of alerts, so that one at work beside `caught_up` is noticed.
    arrivals: u64,
    /// What was said to have arrived, and the count at that time. It is the stream's end as long as the count stands.
    caught_up: Option<(u64, Watermark)>,
}

/// What reading the stream gave.
#[derive(Debug, Default)]
pub struct AlertRows {
    /// Entries with their numbers.
    pub entries: Vec<(u64, Timestamp, AlertEntry)>,
    /// Rows that can no longer be trusted.
    pub damaged: Vec<Damage>,
}

fn stream() -> Stream {
    Stream("alerts".into())
}

impl AlertLog {
    /// Opens the log and learns which alerts it holds.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn open(journal: Arc<dyn Journal>) -> Result<Self, JournalError> {
        let log = Self {
            journal,
            known: Mutex::default(),
            end: Mutex::default(),
            damaged: Mutex::default(),
            losses: Mutex::default(),
            clocks: Mutex::default(),
        };
        let AlertRows { entries, damaged } = log.read(0).await?;
        // It may have been the word on a damaged log.
        if let Some(damage) = damaged.first() {
            log.keep_damage("the journal of alerts".into(), Some(damage.to_string()));
        }
        if let Some((_, _, AlertEntry::CaughtUp { watermark })) = entries.last() {
            log.end().caught_up = Some((0, *watermark));
        }
        for (_, _, entry) in entries {
            match entry {
                AlertEntry::LogRead { log: name, damage } => keep(&log.damaged, name, damage),
                AlertEntry::Lost { loss } => log.keep_loss(loss),
                AlertEntry::ClockSeen { log: name, shows } => keep(&log.clocks, name, shows),
                AlertEntry::Arrived { .. } | AlertEntry::CaughtUp { .. } | AlertEntry::Unknown => {}
            }
        }
        Ok(log)
    }

    /// Records the alerts that are new, in order, and returns how many there were. They are durable when it returns.
    ///
    /// # Errors
    /// When the journal refuses.
    pub async fn receive(&self, alerts: Vec<Alert>, at: Timestamp) -> Result<usize, JournalError> {
        let mut batch = HashSet::new();
        let fresh: Vec<Alert> = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let is_new = |alert: &Alert| !known.contains_key(&alert.id) && batch.insert(alert.id.clone());
            alerts.into_iter().filter(is_new).collect()
        };
        if fresh.is_empty() {
            return Ok(0);
        }
        let kept: Vec<_> = fresh.iter().map(|alert| (alert.id.clone(), Arc::new(alert.clone()))).collect();
        self.end().arrivals += 1;
        let fresh = fresh.into_iter().map(|alert| AlertEntry::Arrived { alert: Box::new(alert) });
        let appended = self.append(fresh, at).await;
        self.end().arrivals += 1;
        appended?;
        let count = kept.len();
        self.known.lock().unwrap_or_else(PoisonError::into_inner).extend(kept);
        Ok(count)
    }

    /// The alerts with these ids, in this order; an id that is not known is left out.
    #[must_use]
    pub fn get(&self, ids: &[AlertId]) -> Vec<Arc<Alert>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        ids.iter().filter_map(|id| known.get(id).cloned()).collect()
    }

    /// The alerts that are like this, of every case and of none, by time and id.
    #[must_use]
    pub fn select(&self, is: impl Fn(&Alert) -> bool) -> Vec<Arc<Alert>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut chosen: Vec<Arc<Alert>> = known.values().filter(|alert| is(alert)).cloned().collect();
        chosen.sort_by(|one, other| (one.time, &one.id).cmp(&(other.time, &other.id)));
        chosen
    }

    /// Records that a source has delivered all it has, unless the last entry says so already.
    ///
    /// # Errors
    /// When the journal refuses.
    pub async fn caught_up(&self, watermark: Watermark, at: Timestamp) -> Result<(), JournalError> {
        let arrivals = self.end().arrivals;
        if self.end().caught_up == Some((arrivals, watermark)) {
            return Ok(());
        }
        self.append(std::iter::once(AlertEntry::CaughtUp { watermark }), at).await?;
        self.end().caught_up = Some((arrivals, watermark));
        Ok(())
    }

    /// Records what is missing of a log that was read to its end; of a whole log nothing, unless it was damaged before.
    ///
    /// # Errors
    /// When the journal refuses.
    pub async fn log_read(&self, log: &str, damage: Option<String>, at: Timestamp) -> Result<(), JournalError> {
        if self.damaged_logs().get(log) == damage.as_ref() {
            return Ok(());
        }
        let entry = AlertEntry::LogRead { log: log.to_owned(), damage: damage.clone() };
        self.end().arrivals += 1;
        let appended = self.append(std::iter::once(entry), at).await;
        self.end().arrivals += 1;
        appended?;
        self.keep_damage(log.to_owned(), damage);
        Ok(())
    }

    /// The logs of which something is missing, with what it is.
    #[must_use]
    pub fn damaged_logs(&self) -> BTreeMap<String, String> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records what a source that goes on has lost. It stands against what it may concern for good: nobody reads it again.
    ///
    /// # Errors
    /// When the journal refuses.
    pub async fn lost(&self, losses: Vec<Loss>, at: Timestamp) -> Result<(), JournalError> {
        if losses.is_empty() {
            return Ok(());
        }
        self.end().arrivals += 1;
        let appended = self.append(losses.iter().cloned().map(|loss| AlertEntry::Lost { loss }), at).await;
        self.end().arrivals += 1;
        appended?;
        losses.into_iter().for_each(|loss| self.keep_loss(loss));
        Ok(())
    }

    /// What sources that go on have lost, oldest first.
    #[must_use]
    pub fn losses(&self) -> Vec<Loss> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep_loss(&self, loss: Loss) {
        let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        let mut own = Some(loss);
        for kept in losses.iter_mut().rev() {
            own = own.and_then(|loss| kept.join(loss));
        }
        losses.extend(own);
        if losses.len() > MOST_LOSSES {
            let oldest: Vec<Loss> = losses.drain(..2).collect();
            losses.splice(0..0, oldest.into_iter().reduce(Loss::and));
        }
    }

    /// Records what a log's clock shows; of a clock that is right nothing, unless it was off before.
    ///
    /// # Errors
    /// When the journal refuses.
    pub async fn clock_seen(&self, log: &str, shows: Option<String>, at: Timestamp) -> Result<(), JournalError> {
        if self.clocks().get(log) == shows.as_ref() {
            return Ok(());
        }
        let entry = AlertEntry::ClockSeen { log: log.to_owned(), shows: shows.clone() };
        self.end().arrivals += 1;
        let appended = self.append(std::iter::once(entry), at).await;
        self.end().arrivals += 1;
        appended?;
        keep(&self.clocks, log.to_owned(), shows);
        Ok(())
    }

    /// The logs whose times are told as recorded although their clock shows to be off, with what it shows.
    #[must_use]
    pub fn clocks(&self) -> BTreeMap<String, String> {
        self.clocks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep_damage(&self, log: String, damage: Option<String>) {
        keep(&self.damaged, log, damage);
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn append(&self, entries: impl Iterator<Item = AlertEntry>, at: Timestamp) -> Result<(), JournalError> {
        let mut append = Append::to(stream(), Expected::Any);
        append.records = entries
            .map(|entry| NewRecord {
                kind: match entry {
                    AlertEntry::Arrived { .. } => "arrived",
                    AlertEntry::CaughtUp { .. } => "caught_up",
                    AlertEntry::LogRead { .. } => "log_read",
                    AlertEntry::Lost { .. } => "lost",
                    AlertEntry::ClockSeen { .. } => "clock_seen",
                    AlertEntry::Unknown => "unknown",
                }
                .into(),
                // Only string keys are in it, so it is always JSON.
                body: serde_json::to_string(&entry).unwrap_or_default(),
                at,
            })
            .collect();
        self.journal.append(append).await?;
        Ok(())
    }

    /// Entries after number `after`. Their alerts are known from here on, even if whoever received them has only just
    /// put them on record.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn read(&self, after: u64) -> Result<AlertRows, JournalError> {
        let mut rows = AlertRows::default();
        for row in self.journal.read(&stream(), after).await? {
            match row.content {
                Ok(record) => match serde_json::from_str(&record.body) {
                    Ok(entry) => {
                        if let AlertEntry::Arrived { alert } = &entry {
                            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                            known.entry(alert.id.clone()).or_insert_with(|| Arc::new(alert.as_ref().clone()));
                        }
                        rows.entries.push((row.seq, record.at, entry));
                    }
                    Err(error) => {
                        rows.damaged.push(Damage { stream: stream(), seq: row.seq, what: error.to_string() });
                    }
                },
                Err(damage) => rows.damaged.push(damage),
            }
        }
        Ok(rows)
    }
}

/// Keeps the newest word on a log; none ends the last one.
fn keep(kept: &Mutex<BTreeMap<String, String>>, log: String, word: Option<String>) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    match word {
        Some(word) => drop(kept.insert(log, word)),
        None => drop(kept.remove(&log)),
    }
}

#[cfg(test)]
mod tests;
