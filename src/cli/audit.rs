//! `watchfloor audit verify`: does the gatekeeper's audit hold together?

use anyhow::Result;
use clap::Subcommand;

use super::ask::ask;
use super::say::{say, say_json};
use super::{Common, Verdict};
use crate::domain::words::counted;
use crate::floor::queries::Query;
use crate::journal::audit::Verified;

/// What to do with the audit.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Follow the chain of hashes from the first decision to the last, and ask the cases what they were told of it
    Verify(Common),
}

/// Runs the command. A broken chain is a failure.
///
/// # Errors
/// When the journal cannot be read.
pub async fn run(command: Command) -> Result<Verdict> {
    let Command::Verify(Common { data, json }) = command;
    let verified: Verified = ask(&data, Query::VerifyAudit).await?;
    if json {
        say_json(&verified)?;
    } else {
        match &verified.broken {
            None => {
                say(format!("The audit holds: {}, last hash {}.", counted(verified.rows, "decision"), verified.tip))?;
            }
            Some(broken) => say(format!(
                "The audit is broken at row {}: {}. What holds before it: {}.",
                broken.seq,
                broken.what,
                counted(verified.rows, "decision")
            ))?,
        }
    }
    Ok(if verified.broken.is_some() { Verdict::Failed } else { Verdict::Quiet })
}
