//! A second look: a case on hold is investigated again once its sources have delivered more.
//!
//! A case of a running floor is judged within seconds, when the end of a program and the next sign of life of its
//! sensors may be minutes away; what an intruder does next, which decides whether a machine has to be contained, has not
//! happened yet; and whoever is told which log is missing may import it. Nothing that a person has spoken on or looks
//! after is taken up so, nor a threat of which a person was asked already whether its machine is contained; and what was
//! concluded needs its proof as it always does.

use super::people::again;
use super::{AUTHOR, State, moved};
use crate::domain::case::{HoldCause, ReopenCause, Status, Transition};
use crate::domain::ids::CaseId;
use crate::journal::case_log::CaseLog;
use crate::journal::entry::CaseEntry;
use crate::ports::events::Watermark;
use crate::ports::journal::JournalError;

/// So often is a case looked at again unless its alerts change: what three quarters of an hour of further events have
/// not shown is for a person to find.
const MOST_LOOKS: u32 = 3;

impl State {
    /// Takes up the cases that were judged on less than what has arrived, where that could change something.
    pub(super) async fn look_again(&mut self, arrived: Watermark) -> Result<(), JournalError> {
        let mut waiting: Vec<CaseId> = Vec::new();
        for (case, stream) in &mut self.streams {
            stream.refresh().await?;
            if may_know_more(stream.log(), arrived) {
                waiting.push(*case);
            }
        }
        for case in waiting {
            let shared = self.shared.clone();
            self.change(case, |stream| {
                let log = stream.log();
                if !may_know_more(log, arrived) {
                    return None;
                }
                let now = shared.clock.now();
                let why = "more has arrived since it was judged";
                let entries = vec![moved(&Transition::Reopen(ReopenCause::MoreArrived), why), CaseEntry::Ready];
                let text = "Looked at again: more has arrived since it was judged.".to_owned();
                Some(again(&shared, stream, entries, (&format!("second-look/{}", log.last), AUTHOR, text), now))
            })
            .await?;
        }
        Ok(())
    }
}

/// More could tell more, no person has taken the case up, and it was judged on less than this.
fn may_know_more(log: &CaseLog, arrived: Watermark) -> bool {
    let is_a_persons = log.persons_verdict.is_some() || log.reserved.is_some() || log.assignee.is_some();
    log.status == Status::OnHold
        && log.hold.as_ref().is_some_and(|hold| could_change(hold.cause, log))
        && !is_a_persons
        && log.second_looks < MOST_LOOKS
        && log.attempts.last().is_some_and(|attempt| attempt.watermark < arrived)
}

/// What has arrived since could change what was concluded, or what is asked of a person.
fn could_change(cause: HoldCause, log: &CaseLog) -> bool {
    match cause {
        HoldCause::InsufficientTelemetry
        | HoldCause::BenignNotProven
        | HoldCause::ConflictingEvidence
        | HoldCause::OwnerConfirmation => true,
        // What is changed under an open question to contain would void the question.
        HoldCause::ConfirmedThreat => log.proposals.is_empty(),
        HoldCause::PolicyRequiresHuman
        | HoldCause::BudgetExhausted
        | HoldCause::ToolFailure
        | HoldCause::NoAcceptableVerdict
        | HoldCause::Quarantined
        | HoldCause::JournalDamaged => false,
    }
}
