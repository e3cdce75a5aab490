//! Whether every alert of the case is about something that the verdict explains, whoever judged.

use super::Asked;
use super::run::{LATE, Run, later, number};
use crate::domain::alert::Alert;
use crate::domain::event::Event;
use crate::domain::ids::EventId;
use crate::domain::obstacle::Obstacle;
use crate::ports::events::{EventStore, Watermark};
use crate::ports::storage::StorageError;

/// Alerts with an event that none of the explained ones covers: it is none of them, no deed of their processes, and no
/// script block that their processes logged while they ran. An alert on several events is about all of them.
///
/// # Errors
/// When the store cannot be read.
pub async fn left_over(
    events: &dyn EventStore,
    watermark: Watermark,
    explained: &[&EventId],
    alerts: &[Alert],
) -> Result<Vec<Obstacle>, StorageError> {
    if explained.is_empty() {
        return Ok(vec![]);
    }
    let asked = Asked { events, watermark };
    let mut runs = Vec::new();
    for event in explained {
        runs.extend(Run::of(&asked, event).await?.ok());
    }
    let mut all = Vec::new();
    for alert in alerts {
        let correlated = &alert.correlated;
        let mut is_covered = correlated.events().len() as u64 == correlated.total();
        for id in std::iter::once(&alert.event).chain(correlated.events()) {
            is_covered = is_covered
                && (explained.contains(&id)
                    || events.get(id).await?.is_some_and(|event| runs.iter().any(|run| is_of(run, &event))));
        }
        if !is_covered {
            let says = format!("the alert \"{}\" is about more than the verdict explains", alert.rule.title);
            all.push(Obstacle::Unexplained(says));
        }
    }
    Ok(all)
}

/// The event is a deed of the process, or a script block of it: that names its writer by number alone.
fn is_of(run: &Run, event: &Event) -> bool {
    let acted = ["ProcessGuid", "SourceProcessGuid", "SourceProcessGUID"];
    let while_it_ran = (run.start.time..=later(run.end, LATE)).contains(&event.time);
    let writer = event.field("winlog.process.pid");
    event.host == run.start.host
        && (acted.into_iter().any(|field| run.is_named(event, field))
            || event.code == 4104 && while_it_ran && run.pid.is_some() && writer.as_deref().and_then(number) == run.pid)
}
