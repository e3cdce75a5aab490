//! `watchfloor cases …`: the cases as people read them, and what people say of them.

use anyhow::Result;
use clap::Subcommand;
use jiff::Timestamp;

use super::ask::ask;
use super::render::Detail;
use super::say::{say, say_json};
use super::{Common, Verdict, containment, render};
use crate::domain::case::Status;
use crate::domain::ids::CaseId;
use crate::floor::case_filter::CaseFilter;
use crate::floor::queries::{CaseThread, Query};
use crate::journal::desired;
use crate::ports::desk::DeskCase;

mod acts;

/// What to read, or to say.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The cases, those that wait for a person first
    List {
        /// Only cases that meet every condition: status, queue, rule, host, user, severity, assignee, older, newer
        #[arg(long = "where", value_name = "'status=on_hold host=H older=2d'")]
        filter: Option<CaseFilter>,
        #[command(flatten)]
        common: Common,
    },
    /// One case: its verdict, its evidence, its alerts, its thread
    Show {
        /// Its id, such as WF-3
        case: CaseId,
        /// Also every search that found nothing
        #[arg(long)]
        full: bool,
        #[command(flatten)]
        common: Common,
    },
    /// The cases in which all these words occur: titles, comments, hosts, accounts, rules
    Search {
        /// The words
        #[arg(required = true, value_name = "WORDS")]
        words: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    #[command(flatten)]
    Act(acts::Command),
}

/// Runs the command.
///
/// # Errors
/// When the folder cannot be read, the case does not exist, or what was asked for does not fit it.
pub async fn run(command: Command) -> Result<Verdict> {
    match command {
        Command::List { filter, common: Common { data, json } } => {
            let mut cases: Vec<DeskCase> = ask(&data, Query::Cases).await?;
            let now = Timestamp::now();
            cases.retain(|case| filter.as_ref().is_none_or(|filter| filter.matches(case, now)));
            listed(&cases, json)
        }
        Command::Search { words, common: Common { data, json } } => {
            let cases: Vec<DeskCase> = ask(&data, Query::Search { words }).await?;
            if cases.is_empty() && !json {
                say("No case has all these words.")?;
                return Ok(Verdict::Quiet);
            }
            listed(&cases, json)
        }
        Command::Show { case, full, common: Common { data, json } } => {
            let thread: CaseThread = ask(&data, Query::Case { case }).await?;
            if json {
                say_json(&thread)?;
            } else {
                let detail = if full { Detail::Full } else { Detail::Telling };
                let containment = containment::section(&thread.case.state.proposals, &data);
                say(render::wrapped(&(render::thread(&thread, detail, &data) + &containment)))?;
            }
            Ok(verdict(std::slice::from_ref(&thread.case)))
        }
        Command::Act(command) => acts::show(&acts::run(command).await?),
    }
}

fn listed(cases: &[DeskCase], json: bool) -> Result<Verdict> {
    if json {
        say_json(&cases)?;
    } else {
        say(render::wrapped(&render::list(cases)))?;
    }
    Ok(verdict(cases))
}

/// Whether one of the cases waits for a person. A case that is not judged yet is nothing to be quiet about.
#[must_use]
pub fn verdict(cases: &[DeskCase]) -> Verdict {
    let ended = |case: &DeskCase| matches!(case.state.status, Status::Resolved | Status::Closed | Status::Merged);
    // A device that is cut off waits for its person, however its case ended.
    let quiet = |case: &DeskCase| ended(case) && !case.state.proposals.iter().any(desired::needs_person);
    if cases.iter().all(quiet) { Verdict::Quiet } else { Verdict::NeedsPerson }
}
