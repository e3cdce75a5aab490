//! `watchfloor approvals list|show|approve|deny`: proposals that wait for a person, and a person's answer.

use anyhow::Result;
use clap::Subcommand;
use jiff::SignedDuration;

use super::containment::{lasts, line, matter, matters, speak, speaker, tell, whole};
use super::say::{say, say_json};
use super::{Common, Verdict};
use crate::domain::containment::Standing;
use crate::domain::ids::ProposalId;
use crate::floor::gate_view::ShownMatter;
use crate::journal::words::Word;

/// What to do with approvals.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The proposals that wait for a person
    List {
        /// Also those that were decided
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        common: Common,
    },
    /// One proposal: what is asked for, on what, and all that happened to it
    Show {
        /// Its id, such as P-3.1
        proposal: ProposalId,
        #[command(flatten)]
        common: Common,
    },
    /// Let the gatekeeper do what is proposed, if every check still passes
    Approve {
        /// Its id, such as P-3.1
        proposal: ProposalId,
        /// Who decides; the account that runs this command if left out
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
        /// For how long a device stays isolated, at most 24h; 4h if left out
        #[arg(long = "for", value_name = "TIME", value_parser = lasts)]
        lasts: Option<SignedDuration>,
        #[command(flatten)]
        common: Common,
    },
    /// Refuse what is proposed
    Deny {
        /// Its id, such as P-3.1
        proposal: ProposalId,
        /// Why
        #[arg(long, value_name = "TEXT")]
        because: String,
        /// Who decides; the account that runs this command if left out
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
        #[command(flatten)]
        common: Common,
    },
}

/// Runs the command.
///
/// # Errors
/// When the folder cannot be used or there is no such proposal.
pub async fn run(command: Command) -> Result<Verdict> {
    match command {
        Command::List { all, common: Common { data, json } } => {
            let mut shown = matters(&data).await?;
            shown.retain(|shown| all || is_open(shown));
            if json {
                say_json(&shown)?;
            } else if shown.is_empty() {
                say("No proposal waits for a person.")?;
            }
            for one in shown.iter().filter(|_| !json) {
                say(line(one))?;
                if is_open(one) {
                    let (id, data) = (one.matter.proposal.id, data.display());
                    say(format!("    watchfloor approvals approve {id} --data {data}"))?;
                }
            }
            Ok(if shown.iter().any(is_open) { Verdict::NeedsPerson } else { Verdict::Quiet })
        }
        Command::Show { proposal, common: Common { data, json } } => {
            let shown = matter(&data, proposal).await?;
            if json {
                say_json(&shown)?;
            } else {
                say(whole(&shown, &data))?;
            }
            Ok(if shown.needs_person { Verdict::NeedsPerson } else { Verdict::Quiet })
        }
        Command::Approve { proposal, by, lasts, common: Common { data, json } } => {
            let word = Word::Approve { proposal, by: speaker(by)?, lasts };
            tell(&speak(&data, word).await?, json)
        }
        Command::Deny { proposal, because, by, common: Common { data, json } } => {
            let word = Word::Deny { proposal, by: speaker(by)?, because };
            tell(&speak(&data, word).await?, json)
        }
    }
}

/// It waits for an answer.
fn is_open(shown: &ShownMatter) -> bool {
    shown.needs_person && matches!(shown.matter.standing, Standing::Waiting { .. })
}
