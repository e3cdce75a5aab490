//! A baseline: history that is stored to compare with. It passes no rule, so it raises no alert.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::import::{ImportError, Watch, import_all};
use super::shared::Shared;
use crate::detection::clock::ClockOffset;
use crate::detection::read::Input;
use crate::detection::sigma::{Detector, RuleSet};
use crate::domain::event::SYSMON;
use crate::ports::events::tally::{Bin, Dimension, Grouping, TallyQuery};
use crate::ports::events::{EventQuery, Kind};
use crate::ports::storage::StorageError;
use crate::tools::prevalence::DAYS_NEEDED;

/// What there is to compare with once a baseline is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Baseline {
    /// Events that were read.
    pub events: u64,
    /// Of these, events that were stored already.
    pub known: u64,
    /// Machines whose program starts are stored, of this baseline and of all that was stored before.
    pub machines: u64,
    /// Days (UTC) on which they are.
    pub days: u64,
    /// What it lacks for recurrence and rarity to count; nothing if it is long enough.
    pub lacks: Option<String>,
}

impl Baseline {
    /// The baseline in a sentence.
    #[must_use]
    pub fn says(&self) -> String {
        let Self { events, machines, days, lacks, .. } = self;
        let lacks = lacks.as_ref().map_or_else(String::new, |lacks| format!("; {lacks}"));
        format!(
            "baseline: {events} events, stored and not judged; program starts of {machines} machines on {days} days{lacks}"
        )
    }
}

/// Stores logs as a baseline.
///
/// # Errors
/// See [`ImportError`].
pub async fn import_baseline(
    shared: &Arc<Shared>,
    inputs: Vec<Input>,
    clock: ClockOffset,
    watch: &Watch,
) -> Result<Baseline, ImportError> {
    let mut without_rules = Detector::new(Arc::new(RuleSet::none()));
    let imported = import_all(shared, inputs, clock, &mut without_rules, watch).await?;
    let sum = |of: fn(&super::import::Imported) -> u64| imported.iter().map(|(_, imported)| of(imported)).sum();
    let machines = counted(shared, Dimension::Host).await.map_err(super::ingest::IngestError::from)?;
    let days = counted(shared, Dimension::Time(Bin::Day)).await.map_err(super::ingest::IngestError::from)?;
    let is_short = days < u64::from(DAYS_NEEDED);
    let lacks =
        is_short.then(|| format!("closing on recurrence needs {DAYS_NEEDED} days of program starts before a case"));
    Ok(Baseline { events: sum(|one| one.events), known: sum(|one| one.known), machines, days, lacks })
}

/// How many machines, or days, the stored program starts are of.
async fn counted(shared: &Shared, by: Dimension) -> Result<u64, StorageError> {
    let starts = [(SYSMON, 1), ("Security", 4688)];
    let kinds = starts.map(|(channel, code)| Kind { channel: Some(channel.into()), code }).to_vec();
    let all = EventQuery::within(Timestamp::MIN, Timestamp::MAX, shared.events.watermark().await?);
    let Ok(by) = Grouping::new(vec![by]) else { return Ok(0) };
    let tally = shared.events.tally(&TallyQuery { events: EventQuery { kinds, limit: 1, ..all }, by }).await?;
    Ok(tally.groups_total)
}
