//! Repeats: alerts that tell nothing new of a case which waits for a person join it without beginning it anew.
//!
//! A service that is created again and again, or a password that is guessed, raises the same alert hundreds of times. To
//! investigate the case at each of them costs minutes and tells the person who was asked nothing. So an alert by a rule
//! that the case has from this machine already only joins, until the case has twice as many alerts as it was judged on:
//! then it is another matter, and is judged again. Until that happens a [second look](super::second_look) takes it up.
//! An alert by another rule or from another machine is never a repeat, and nothing that was closed is kept closed so.

use std::collections::HashSet;

use crate::domain::alert::Alert;
use crate::domain::case::Status;
use crate::domain::ids::AlertId;
use crate::floor::shared::Shared;
use crate::journal::case_log::CaseLog;
use crate::journal::case_stream::{Batch, CaseStream};
use crate::journal::desired;
use crate::journal::entry::CaseEntry;

/// So many times the alerts it was judged on has a case before repeats alone have it judged again.
const OTHER_MATTER: usize = 2;

/// These alerts, which the case does not hold yet, tell nothing that the person who is asked was not told.
pub(super) fn are_repeats<'a>(shared: &Shared, log: &CaseLog, joining: impl Iterator<Item = &'a AlertId>) -> bool {
    let judged = log.attempts.last().and_then(|attempt| log.alerts.get(..attempt.alerts));
    let Some(judged) = judged else { return false };
    let joining: Vec<AlertId> = joining.cloned().collect();
    if log.status != Status::OnHold || log.alerts.len() + joining.len() >= OTHER_MATTER * judged.len() {
        return false;
    }
    let judged = shared.alerts.get(judged);
    let seen: HashSet<_> = judged.iter().map(|alert| told(alert)).collect();
    let joining = shared.alerts.get(&joining);
    joining.iter().all(|alert| seen.contains(&told(alert)))
}

/// What two alerts have in common if one repeats the other: the rule, and the machine.
fn told(alert: &Alert) -> (&str, &str) {
    (alert.rule.id.as_str(), alert.host.key())
}

/// They are the case's from now on, and its desk shows them.
pub(super) fn joined(shared: &Shared, stream: &CaseStream, entries: Vec<CaseEntry>) -> Batch {
    let preview = stream.preview(&entries, shared.clock.now());
    let state = desired::state(&preview, &shared.alerts.get(&preview.alerts));
    Batch { entries, effects: vec![state], ..Batch::default() }
}
