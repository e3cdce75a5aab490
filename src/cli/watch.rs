//! `watchfloor watch`: who does what on a running floor, line by line, until it stops.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use super::say::{complain, say, say_json_line};
use super::{Common, Verdict};
use crate::floor::control::{self, ControlError};
use crate::floor::queries::Query;
use crate::floor::state_folder::{FolderError, StateFolder};
use crate::floor::watching::{Happening, Happenings};

/// How often the floor is asked for what is new.
const LOOK: Duration = Duration::from_millis(300);

/// What to watch.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Also what happened before, from the beginning of the journal
    #[arg(long)]
    from_start: bool,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
///
/// # Errors
/// When no floor runs on the folder, or it refuses.
pub async fn run(arguments: Arguments) -> Result<Verdict> {
    let Arguments { from_start, common: Common { data, json } } = arguments;
    let shown = data.display().to_string();
    match StateFolder::take_existing(&data) {
        Err(FolderError::InUse { .. }) => {}
        Ok(_) | Err(FolderError::Empty(_)) => {
            bail!(
                "no floor runs on {shown}: start one with `watchfloor run`, or read what is there with `watchfloor cases list`"
            )
        }
        Err(error) => return Err(error.into()),
    }
    let mut after = if from_start { Some(0) } else { None };
    loop {
        let answer = match control::ask(&data, Query::Watch { after }).await {
            Ok(answer) => answer,
            // Whoever held the folder has let go of it, or is about to.
            Err(ControlError::Silent { .. }) if after.is_some() => {
                complain(format!("the floor on {shown} has stopped: there is nothing more to watch"));
                return Ok(Verdict::Quiet);
            }
            Err(error) => return Err(error.into()),
        };
        let Happenings { place, lines } = serde_json::from_value(answer)?;
        let has_more = after.is_some_and(|after| place > after);
        after = Some(place);
        for line in &lines {
            if json {
                say_json_line(line)?;
            } else {
                say(told(line))?;
            }
        }
        if !has_more {
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn told(happening: &Happening) -> String {
    let case = happening.case.map_or_else(String::new, |case| format!("{case} "));
    let what = happening.what.trim_end_matches('.');
    format!("{} {case}{}: {what}", happening.at.strftime("%T"), happening.who)
}
