//! `watchfloor journal check`: is every row of the journal as it was written?

use anyhow::Result;
use clap::Subcommand;

use super::ask::ask;
use super::say::{say, say_json};
use super::{Common, Verdict};
use crate::domain::words::counted;
use crate::floor::queries::Query;
use crate::ports::journal::CheckReport;

/// What to do with the journal.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read every row and compare it with its checksum
    Check(Common),
}

/// Runs the command. Damaged rows are a failure; they are quarantined, and the rest stays usable.
///
/// # Errors
/// When the journal cannot be read.
pub async fn run(command: Command) -> Result<Verdict> {
    let Command::Check(Common { data, json }) = command;
    let report: CheckReport = ask(&data, Query::CheckJournal).await?;
    if json {
        say_json(&report)?;
    } else {
        say(format!(
            "{} in {}, {}, {} not confirmed.",
            counted(report.records, "record"),
            counted(report.streams, "stream"),
            counted(report.blobs, "large content"),
            counted(report.effects_open, "write"),
        ))?;
        match report.damaged.len() {
            0 => say("Every row is as it was written.")?,
            damaged => say(format!(
                "{damaged} damaged, quarantined (nothing acts on them; an open case goes on hold with the next run):"
            ))?,
        }
        for damage in &report.damaged {
            say(format!("  {damage}"))?;
        }
    }
    Ok(if report.damaged.is_empty() { Verdict::Quiet } else { Verdict::Failed })
}
