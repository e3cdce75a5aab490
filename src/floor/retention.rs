//! Retention of events: what the floor rests on stays, the rest goes by age and size.

use std::collections::BTreeSet;

use super::assembly::Stores;
use super::queries::QueryError;
use crate::domain::evidence::Exhibit;
use crate::domain::ids::EventId;
use crate::journal::alert_log::{AlertEntry, AlertLog};
use crate::journal::case_stream::{self, CaseStream};
use crate::ports::events::retention::{Pruned, RetentionPolicy};
use crate::tools::recorded;

/// The events that alerts and cases rest on: what raised an alert, and what got an evidence id in a case, cited by its
/// verdict or not, because every id in a case's thread leads back to what was seen.
///
/// # Errors
/// When the journal cannot be read.
pub async fn cited(stores: &Stores) -> Result<BTreeSet<EventId>, QueryError> {
    let alerts = AlertLog::open(stores.journal.clone()).await?.read(0).await?;
    let raised = alerts.entries.into_iter().flat_map(|(_, _, entry)| match entry {
        AlertEntry::Arrived { alert } => [std::slice::from_ref(&alert.event), alert.correlated.events()].concat(),
        AlertEntry::CaughtUp { .. }
        | AlertEntry::LogRead { .. }
        | AlertEntry::Lost { .. }
        | AlertEntry::ClockSeen { .. }
        | AlertEntry::Unknown => vec![],
    });
    let mut cited: BTreeSet<EventId> = raised.collect();
    for case in case_stream::cases(stores.journal.as_ref()).await? {
        let stream = CaseStream::open(stores.journal.clone(), case, None).await?;
        let ledger = recorded::before(stores.journal.as_ref(), stream.log(), u32::MAX).await?.ledger;
        cited.extend(ledger.ids().into_iter().filter_map(|id| match ledger.get(id) {
            Some(Exhibit::Event { event }) => Some(event.clone()),
            Some(Exhibit::Absence { .. }) | None => None,
        }));
    }
    Ok(cited)
}

/// Removes what the policy allows and nothing rests on.
///
/// # Errors
/// When a store refuses; what was removed until then stays removed.
pub async fn prune(stores: &Stores, policy: &RetentionPolicy) -> Result<Pruned, QueryError> {
    let keep: Vec<EventId> = cited(stores).await?.into_iter().collect();
    Ok(stores.events.retain(policy, &keep).await?)
}
