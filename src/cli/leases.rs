//! `watchfloor leases list|show|release|extend`: devices that are cut off, and until when.

use anyhow::{Result, bail};
use clap::Subcommand;
use jiff::SignedDuration;

use super::containment::{lasts, line, matter, matters, speak, speaker, tell, whole};
use super::say::{say, say_json};
use super::{Common, Verdict};
use crate::domain::containment::Standing;
use crate::domain::ids::LeaseId;
use crate::floor::gate_view::ShownMatter;
use crate::journal::words::Word;

/// What to do with leases.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The devices that are cut off
    List {
        /// Also those that were let back
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        common: Common,
    },
    /// One lease: the device, its owner, its end, and all that happened to it
    Show {
        /// Its id, such as L-3.1
        lease: LeaseId,
        #[command(flatten)]
        common: Common,
    },
    /// Let the device back now
    Release {
        /// Its id, such as L-3.1
        lease: LeaseId,
        /// Why
        #[arg(long, value_name = "TEXT")]
        because: String,
        /// Who decides; the account that runs this command if left out
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Keep the device isolated longer, at most 24h in all
    Extend {
        /// Its id, such as L-3.1
        lease: LeaseId,
        /// So much longer
        #[arg(long = "for", value_name = "TIME", value_parser = lasts)]
        lasts: SignedDuration,
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
/// When the folder cannot be used or there is no such lease.
pub async fn run(command: Command) -> Result<Verdict> {
    match command {
        Command::List { all, common: Common { data, json } } => {
            let mut shown = matters(&data).await?;
            shown.retain(|shown| shown.matter.standing.lease().is_some() && (all || is_live(shown)));
            if json {
                say_json(&shown)?;
            } else if shown.is_empty() {
                say("No device is isolated by this floor.")?;
            }
            for one in shown.iter().filter(|_| !json) {
                say(line(one))?;
                if let Standing::Live { lease } = &one.matter.standing {
                    let data = data.display();
                    say(format!("    watchfloor leases release {} --because TEXT --data {data}", lease.id))?;
                }
            }
            Ok(if shown.iter().any(is_live) { Verdict::NeedsPerson } else { Verdict::Quiet })
        }
        Command::Show { lease, common: Common { data, json } } => {
            let shown = matter(&data, lease.proposal()).await?;
            if shown.matter.standing.lease().is_none() {
                bail!("there is no lease {lease}: {}", line(&shown));
            }
            if json {
                say_json(&shown)?;
            } else {
                say(whole(&shown, &data))?;
            }
            Ok(if shown.needs_person { Verdict::NeedsPerson } else { Verdict::Quiet })
        }
        Command::Release { lease, because, by, common: Common { data, json } } => {
            let word = Word::Release { lease, by: speaker(by)?, because };
            tell(&speak(&data, word).await?, json)
        }
        Command::Extend { lease, lasts, because, by, common: Common { data, json } } => {
            let word = Word::Extend { lease, by: speaker(by)?, because, lasts };
            tell(&speak(&data, word).await?, json)
        }
    }
}

/// The device is cut off, or is being let back.
fn is_live(shown: &ShownMatter) -> bool {
    matches!(shown.matter.standing, Standing::Live { .. } | Standing::Releasing { .. })
}
