//! `watchfloor cases list|show`: the cases as people read them.

use anyhow::Result;
use clap::Subcommand;

use super::ask::ask;
use super::say::{say, say_json};
use super::{Common, Verdict, containment, render};
use crate::domain::case::Status;
use crate::domain::ids::CaseId;
use crate::floor::queries::{CaseThread, Query};
use crate::journal::desired;
use crate::ports::desk::DeskCase;

/// What to read.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// All cases, those that wait for a person first
    List(Common),
    /// One case: its verdict, its evidence, its thread
    Show {
        /// Its id, such as WF-3
        case: CaseId,
        #[command(flatten)]
        common: Common,
    },
}

/// Runs the command.
///
/// # Errors
/// When the folder cannot be read or the case does not exist.
pub async fn run(command: Command) -> Result<Verdict> {
    match command {
        Command::List(Common { data, json }) => {
            let cases: Vec<DeskCase> = ask(&data, Query::Cases).await?;
            if json {
                say_json(&cases)?;
            } else {
                say(render::table(&cases))?;
            }
            Ok(verdict(&cases))
        }
        Command::Show { case, common: Common { data, json } } => {
            let thread: CaseThread = ask(&data, Query::Case { case }).await?;
            if json {
                say_json(&thread)?;
            } else {
                say(render::thread(&thread) + &containment::section(&thread.case.state.proposals, &data))?;
            }
            Ok(verdict(std::slice::from_ref(&thread.case)))
        }
    }
}

/// Whether one of the cases waits for a person. A case that is not judged yet is nothing to be quiet about.
#[must_use]
pub fn verdict(cases: &[DeskCase]) -> Verdict {
    let ended = |case: &DeskCase| matches!(case.state.status, Status::Resolved | Status::Closed | Status::Merged);
    // A device that is cut off waits for its person, however its case ended.
    let quiet = |case: &DeskCase| ended(case) && !case.state.proposals.iter().any(desired::needs_person);
    if cases.iter().all(quiet) { Verdict::Quiet } else { Verdict::NeedsPerson }
}
