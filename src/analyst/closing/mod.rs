//! Before a machine closes a case: what code itself makes sure of in the store, whoever judged.
//!
//! A benign verdict explains one process. It is closed on only if everything that any log says about that process is
//! explained, and if what is not said would have been said: its sensors lived, nothing was removed, lost or left
//! without a name. What an analyst looked at is not relied on: answers are cut short, the store is not.

mod audited;
mod content;
mod covered;
mod deeds;
mod habit;
#[cfg(test)]
mod habit_tests;
mod hosted;
mod known;
mod run;
mod script;
mod sight;
mod signal;
#[cfg(test)]
mod signal_tests;
#[cfg(test)]
mod tests;
mod writes;
#[cfg(test)]
mod writes_tests;

use std::collections::BTreeMap;

pub use self::covered::left_over;
pub use self::habit::{BACK as HABIT_BACK, habit};
use self::run::Run;
use crate::domain::ids::EventId;
use crate::domain::loss::Loss;
use crate::domain::obstacle::Obstacle;
use crate::ports::events::{EventStore, Watermark};
use crate::ports::storage::StorageError;

/// What is asked, and of what had arrived by when.
struct Asked<'a> {
    events: &'a dyn EventStore,
    watermark: Watermark,
}

/// Everything that stands against closing on these events, on whose harmless explanation a verdict rests; nothing if
/// there are none, because then nothing is closed. `damaged` are the logs of which something is missing, with what;
/// `losses` what sources that go on have lost.
///
/// # Errors
/// When the store cannot be read.
pub async fn obstacles(
    events: &dyn EventStore,
    watermark: Watermark,
    explained: &[&EventId],
    damaged: &BTreeMap<String, String>,
    losses: &[Loss],
) -> Result<Vec<Obstacle>, StorageError> {
    let asked = Asked { events, watermark };
    let mut all: Vec<Obstacle> = Vec::new();
    for event in explained {
        if let Some(thread) = events.get(event).await?.filter(|event| event.is_sysmon(8)) {
            all.extend(signal::unexplained(&asked, &thread).await?);
            continue;
        }
        match Run::of(&asked, event).await? {
            Err(obstacle) => all.push(obstacle),
            Ok(run) => {
                all.extend(known::lacking(&asked, &run).await?);
                all.extend(deeds::unexplained(&asked, &run).await?);
                all.extend(writes::unexplained(&asked, &run).await?);
                all.extend(audited::unexplained(&asked, &run).await?);
                all.extend(hosted::strangers(&asked, &run).await?);
                all.extend(script::foreign_writers(&asked, &run).await?);
                all.extend(sight::unseen(&asked, &run).await?);
                all.extend(sight::lost(&run, losses));
            }
        }
    }
    if !explained.is_empty() {
        all.extend(sight::damage(damaged));
    }
    Ok(all)
}
