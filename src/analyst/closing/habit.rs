//! Whether what a verdict explains is an old habit: asked for before a machine closes what a rule calls high.
//!
//! A rule of level high is right more often, and what it finds does more harm if it is missed. That such a start recurs
//! in form is enough below that level; here nothing may have changed at all. The very same command, program, parent and
//! account, on several machines and for weeks, on this machine too, and with files that nobody touched since: an
//! intruder who wants to hide in it has to have been here before the history began, or to change none of them.

use jiff::{SignedDuration, Timestamp};

use super::Asked;
use super::known;
use super::run::{self, Run, earlier, name, sysmon};
use super::script;
use crate::domain::ids::EventId;
use crate::domain::route::Habit;
use crate::knowledge::paths;
use crate::ports::events::mention::Mention;
use crate::ports::events::tally::{Dimension, Grouping, TallyQuery};
use crate::ports::events::{Comparison, Condition, EventQuery, EventStore, Watermark};
use crate::ports::storage::StorageError;

/// How far back it is looked for.
pub const BACK: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Before the process, this does not count: a campaign that reaches many machines within a day is no habit.
const LEFT_OUT: SignedDuration = SignedDuration::from_hours(24);

/// The first time has to lie this far back: longer than most intrusions take from the first act to the last.
const LEAST_AGE: SignedDuration = SignedDuration::from_hours(24 * 14);

/// Machines: what one machine alone does every day may be one intrusion that nobody noticed.
const MACHINES: u64 = 3;

/// Days on which it ran somewhere: two weeks of working days.
const DAYS: u64 = 10;

/// Whether every one of these starts of processes is an old habit.
///
/// # Errors
/// When the store cannot be read.
pub async fn habit(
    events: &dyn EventStore,
    watermark: Watermark,
    explained: &[&EventId],
) -> Result<Habit, StorageError> {
    let asked = Asked { events, watermark };
    for event in explained {
        let lacks = match Run::of(&asked, event).await? {
            Err(obstacle) => Some(obstacle.says().to_owned()),
            Ok(run) => lacking(&asked, &run).await?,
        };
        if let Some(lacks) = lacks {
            return Ok(Habit::NotShown(lacks));
        }
    }
    Ok(if explained.is_empty() { Habit::NotShown("nothing is explained".into()) } else { Habit::Old })
}

/// What is lacking for the run to be an old habit.
async fn lacking(asked: &Asked<'_>, run: &Run) -> Result<Option<String>, StorageError> {
    let to = earlier(run.start.time, LEFT_OUT);
    let spread = spread(asked, run, to, false).await?;
    let is_old = spread.first.is_some_and(|first| run.start.time.duration_since(first) >= LEAST_AGE);
    if spread.machines < MACHINES || spread.days < DAYS || !is_old {
        let (machines, days) = (spread.machines, spread.days);
        return Ok(Some(format!(
            "the very same command, program, parent and account were seen on {machines} machines and {days} days \
             before, of which {MACHINES} and {DAYS} and a beginning two weeks ago are needed"
        )));
    }
    if self::spread(asked, run, to, true).await?.days == 0 {
        return Ok(Some("the very same was never seen on this machine before".into()));
    }
    touched(asked, run).await
}

/// How far something was spread, and since when.
#[derive(Default)]
struct Spread {
    machines: u64,
    days: u64,
    first: Option<Timestamp>,
}

async fn spread(asked: &Asked<'_>, run: &Run, to: Timestamp, here: bool) -> Result<Spread, StorageError> {
    let mut conditions = Vec::new();
    for field in ["CommandLine", "Image", "ParentImage", "User"] {
        let Some(value) = run.start.data(field).filter(|value| !value.is_empty()) else {
            return Ok(Spread::default());
        };
        let field = format!("winlog.event_data.{field}");
        conditions.push(Condition { field, comparison: Comparison::Equals, value: value.into() });
    }
    let events = EventQuery {
        host: here.then(|| run.start.host.clone()),
        kinds: sysmon(&[1]),
        mentions: vec![Mention::file_name(known::process(run).image)],
        conditions,
        limit: 1,
        ..EventQuery::within(earlier(to, BACK), to, asked.watermark)
    };
    // One dimension is always allowed.
    let Ok(by) = Grouping::new(vec![Dimension::Field("winlog.event_data.CommandLine".into())]) else {
        return Ok(Spread::default());
    };
    let tally = asked.events.tally(&TallyQuery { events, by }).await?;
    let spread = |group: &crate::ports::events::tally::Group| Spread {
        machines: group.hosts,
        days: group.days,
        first: Some(group.first),
    };
    Ok(tally.groups.first().map(spread).unwrap_or_default())
}

/// Who wrote the program that started it, or a script that it runs, since the habit began.
async fn touched(asked: &Asked<'_>, run: &Run) -> Result<Option<String>, StorageError> {
    let process = known::process(run);
    let mut files = script::named_in(process.command);
    files.extend([process.parent.to_owned(), process.image.to_owned()]);
    for file in files {
        // A short name has a tilde and nothing else in common with the long one.
        for part in [paths::base_name(&file).as_str(), "~"] {
            let query = EventQuery {
                host: Some(run.start.host.clone()),
                conditions: vec![Run::contains("TargetFilename", part)],
                from: earlier(run.start.time, BACK),
                ..run.during(asked, sysmon(&[2, 11, 15]))
            };
            let events = match run::all(asked, &query).await? {
                Err(obstacle) => return Ok(Some(obstacle.says().to_owned())),
                Ok(events) => events,
            };
            let is_it = |target: &str| paths::may_be_the_same_file(target, &file);
            if let Some(event) = events.iter().find(|event| event.data("TargetFilename").is_some_and(is_it)) {
                return Ok(Some(format!("a file that it runs was written in its month: {}", name(event))));
            }
        }
    }
    Ok(None)
}
