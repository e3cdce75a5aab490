//! Whether code itself knows the process: by a fingerprint, or because it recurs and is of known making.
//!
//! What an analyst found usual is counted again here, whoever the analyst is: a verdict alone makes nothing known.

use jiff::{SignedDuration, Timestamp};

use super::Asked;
use super::content;
use super::run::{Run, earlier, sysmon};
use crate::domain::entity::HostName;
use crate::domain::obstacle::Obstacle;
use crate::knowledge::fingerprints::{self, ProcessRun};
use crate::knowledge::making;
use crate::ports::events::mention::Mention;
use crate::ports::events::prevalence::{Habit, PrevalenceQuery};
use crate::ports::events::tally::{Dimension, Grouping, TallyQuery};
use crate::ports::events::{Comparison, Condition, EventQuery};
use crate::ports::storage::StorageError;

/// How far back a habit is looked for, and how much history there must be.
pub(super) const BACK: SignedDuration = SignedDuration::from_hours(24 * 30);
pub(super) const LEAST_HISTORY: SignedDuration = SignedDuration::from_hours(24 * 7);

/// The hours before the process that do not count: whoever does a thing everywhere at once makes no habit of it.
pub(super) const LEFT_OUT: SignedDuration = SignedDuration::from_hours(2);

/// Machines and days on which it must recur.
pub(super) const RECURS: u64 = 3;

/// The start of the process as knowledge looks at it.
pub(super) fn process(run: &Run) -> ProcessRun<'_> {
    let said = |field: &str| run.start.data(field).unwrap_or_default();
    ProcessRun { image: said("Image"), command: said("CommandLine"), user: said("User"), parent: said("ParentImage") }
}

/// Machines and days on which the very same command was run before.
async fn same_command(asked: &Asked<'_>, process: ProcessRun<'_>, to: Timestamp) -> Result<(u64, u64), StorageError> {
    let field = "winlog.event_data.CommandLine";
    let same = Condition { field: field.into(), comparison: Comparison::Equals, value: process.command.into() };
    let events = EventQuery {
        kinds: sysmon(&[1]),
        mentions: vec![Mention::file_name(process.image)],
        conditions: vec![same],
        limit: 1,
        ..EventQuery::within(earlier(to, BACK), to, asked.watermark)
    };
    // One dimension is always allowed.
    let Ok(by) = Grouping::new(vec![Dimension::Field(field.into())]) else { return Ok((0, 0)) };
    let tally = asked.events.tally(&TallyQuery { events, by }).await?;
    Ok(tally.groups.first().map_or((0, 0), |group| (group.hosts, group.days)))
}

/// Such a start recurs on several machines and days before: in its form, or to the letter where something is encoded.
pub(super) async fn recurs(
    asked: &Asked<'_>,
    host: &HostName,
    process: ProcessRun<'_>,
    to: Timestamp,
) -> Result<bool, StorageError> {
    if making::is_encoded(process.command) {
        let (hosts, days) = same_command(asked, process, to).await?;
        if hosts < RECURS || days < RECURS {
            return Ok(false);
        }
    }
    for of in [Habit::command(process.image, process.command), Habit::parentage(process.parent, process.image)] {
        let (host, watermark) = (host.clone(), asked.watermark);
        let query = PrevalenceQuery { of, host, from: earlier(to, BACK), to, except: None, watermark };
        let fleet = asked.events.prevalence(&query).await?.fleet;
        if fleet.hosts < RECURS || fleet.days < RECURS {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What is lacking for the process to be known.
pub(super) async fn lacking(asked: &Asked<'_>, run: &Run) -> Result<Option<Obstacle>, StorageError> {
    let process = process(run);
    if fingerprints::defender_data_collection(process).is_some() {
        return Ok(None);
    }
    if let Some(agent) = fingerprints::agent_script(process) {
        return content::lacking(asked, run, &agent).await;
    }
    let unknown = |what: &str| Ok(Some(Obstacle::Unexplained(format!("the process is no known harmless one: {what}"))));
    if !making::is_known(process) {
        return unknown("it fits no fingerprint, and was not started by an installed program for a service");
    }
    let to = earlier(run.start.time, LEFT_OUT);
    let history = asked.events.history(asked.watermark).await?;
    let since = history.oldest.max(history.complete_since);
    if since.is_none_or(|since| to.duration_since(since) < LEAST_HISTORY) {
        return unknown("there is no week of history in which it could recur");
    }
    if making::is_encoded(process.command) {
        let same = same_command(asked, process, to).await?;
        if same.0 < RECURS || same.1 < RECURS {
            return unknown(
                "its command is encoded, and the very same was not run on three machines and three days before",
            );
        }
    }
    for of in [Habit::command(process.image, process.command), Habit::parentage(process.parent, process.image)] {
        let query = PrevalenceQuery {
            of,
            host: run.start.host.clone(),
            from: earlier(to, BACK),
            to,
            except: None,
            watermark: asked.watermark,
        };
        let fleet = asked.events.prevalence(&query).await?.fleet;
        if fleet.hosts < RECURS || fleet.days < RECURS {
            return unknown("it does not recur on three machines and three days before");
        }
    }
    Ok(None)
}
