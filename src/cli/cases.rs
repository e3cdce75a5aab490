//! `watchfloor cases list|show`: the cases as people read them.

use anyhow::Result;
use clap::Subcommand;

use super::{Common, Verdict, ask::ask, render};
use crate::domain::case::Status;
use crate::domain::ids::CaseId;
use crate::floor::queries::{CaseThread, Query};
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
                println!("{}", serde_json::to_string_pretty(&cases)?);
            } else {
                print!("{}", render::table(&cases));
            }
            Ok(verdict(&cases))
        }
        Command::Show { case, common: Common { data, json } } => {
            let thread: CaseThread = ask(&data, Query::Case { case }).await?;
            if json {
                println!("{}", serde_json::to_string_pretty(&thread)?);
            } else {
                print!("{}", render::thread(&thread));
            }
            Ok(verdict(std::slice::from_ref(&thread.case)))
        }
    }
}

/// Whether one of the cases waits for a person.
#[must_use]
pub fn verdict(cases: &[DeskCase]) -> Verdict {
    if cases.iter().any(|case| case.state.status == Status::OnHold) { Verdict::NeedsPerson } else { Verdict::Quiet }
}
