//! A thread by which `csrss.exe` tells a program to end: whether that is all there was to it.
//!
//! The thread starts at a function of Windows, and what that function calls is written in the memory of the program
//! it starts in. Who changes that memory first has his own code run by `csrss.exe`, and the thread looks as it always
//! does. So it is harmless only if nobody could have changed the program, if the program ended at once, as it was
//! told to, and did nothing more; and if the same happens to the same program elsewhere.

use jiff::SignedDuration;

use super::Asked;
use super::deeds::{self, Signals};
use super::known::{LEAST_HISTORY, RECURS};
use super::run::{Run, earlier, later, name, sysmon};
use super::sight;
use crate::domain::event::{Event, SYSMON};
use crate::domain::obstacle::Obstacle;
use crate::knowledge::{fingerprints, own_writes};
use crate::ports::events::tally::{Dimension, Grouping, TallyQuery};
use crate::ports::events::{Comparison, Condition, EventQuery, Found};
use crate::ports::storage::StorageError;

/// How far back the same is looked for, and the hours before that do not count.
const BACK: SignedDuration = SignedDuration::from_hours(24 * 30);
const LEFT_OUT: SignedDuration = SignedDuration::from_hours(2);

/// A program that was told to end gets five seconds from Windows, twenty at the end of a session; then it is ended.
const ENDS_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// The event is a thread that csrss.exe starts at its own function.
pub(super) fn is_signal(event: &Event) -> bool {
    let said = |field: &str| event.data(field).unwrap_or_default();
    event.is_sysmon(8)
        && fingerprints::is_control_signal(said("SourceImage"), said("StartModule"), said("StartFunction"))
}

/// What stands against the signal being one and nothing else.
pub(super) async fn unexplained(asked: &Asked<'_>, thread: &Event) -> Result<Vec<Obstacle>, StorageError> {
    if !is_signal(thread) {
        return Ok(vec![Obstacle::Unexplained(format!("the thread is no control signal: {}", name(thread)))]);
    }
    let target = ["TargetProcessGuid", "TargetProcessGUID"].into_iter().find_map(|field| thread.data(field));
    let Some(target) = target.filter(|target| !target.is_empty()) else {
        return Ok(vec![Obstacle::Unseen("the program that was told to end has no id".into())]);
    };
    let started = EventQuery {
        process: Some(crate::knowledge::guid::folded(target)),
        kinds: sysmon(&[1]),
        limit: 50,
        ..EventQuery::within(jiff::Timestamp::MIN, thread.time, asked.watermark)
    };
    let Found { rows, .. } = asked.events.search(&started).await?;
    let is_start = |event: &&Event| {
        event.data("ProcessGuid").is_some_and(|guid| crate::knowledge::guid::same(guid, target))
            && event.host == thread.host
    };
    let Some(start) = rows.iter().find(is_start) else {
        let says =
            "the start of the program that was told to end is not in the log: somebody may have changed it since";
        return Ok(vec![Obstacle::Unseen(says.into())]);
    };
    let run = match Run::of(asked, &start.id).await? {
        Err(obstacle) => return Ok(vec![obstacle]),
        Ok(run) => run,
    };
    let mut all = Vec::new();
    if !(thread.time..=later(thread.time, ENDS_WITHIN)).contains(&run.end) {
        all.push(Obstacle::Unexplained("the program that was told to end did not end then".into()));
    }
    all.extend(deeds::done_to_it(asked, &run, Signals::Expected).await?);
    let deeds = run.events.iter().filter(|event| event.time >= thread.time && is_deed(&run, event));
    all.extend(deeds.map(|event| {
        Obstacle::Unexplained(format!("the program did something after it was told to end: {}", name(event)))
    }));
    all.extend(recurs(asked, thread).await?);
    all.extend(sight::unseen(asked, &run).await?);
    // By a handle with which its memory can be written the program could have been changed before.
    let opened = asked.events.sensor(&thread.host, &sysmon(&[10])[0], run.start.time, run.end, asked.watermark).await?;
    if !opened.is_alive() {
        let says = "the machine is not proven to have reported processes opened (Sysmon 10) while the program ran";
        all.push(Obstacle::Unseen(says.into()));
    }
    Ok(all)
}

/// It acted, and not only ended.
fn is_deed(run: &Run, event: &Event) -> bool {
    let acted = ["ProcessGuid", "SourceProcessGuid", "SourceProcessGUID", "ParentProcessGuid"];
    let is_own = acted.into_iter().any(|field| run.is_named(event, field));
    is_own && event.id != run.start.id && !(event.channel == SYSMON && is_by_ending(event))
}

/// A program that ends writes its settings and what it was working on: data, and values of its own key. What can be run
/// or is loaded by others is a deed at any time.
fn is_by_ending(event: &Event) -> bool {
    let said = |field: &str| event.data(field).unwrap_or_default();
    match event.code {
        5 | 7 => true,
        11 | 23 | 26 => own_writes::is_data(said("TargetFilename")),
        12 => said("EventType") == "CreateKey" && own_writes::is_opened_key(said("TargetObject")),
        13 => own_writes::is_products_value(said("TargetObject"), said("Details")),
        _ => false,
    }
}

/// The same happened to the same program on several machines and days before.
async fn recurs(asked: &Asked<'_>, thread: &Event) -> Result<Option<Obstacle>, StorageError> {
    let lacks = |what: &str| Ok(Some(Obstacle::Unexplained(what.into())));
    let to = earlier(thread.time, LEFT_OUT);
    let history = asked.events.history(asked.watermark).await?;
    let since = history.oldest.max(history.complete_since);
    if since.is_none_or(|since| to.duration_since(since) < LEAST_HISTORY) {
        return lacks("there is no week of history in which the same signal could recur");
    }
    let fields = ["TargetImage", "SourceImage", "StartModule", "StartFunction"];
    let conditions = fields.into_iter().map(|field| Condition {
        field: format!("winlog.event_data.{field}"),
        comparison: Comparison::Equals,
        value: thread.data(field).unwrap_or_default().into(),
    });
    let events = EventQuery {
        kinds: sysmon(&[8]),
        conditions: conditions.collect(),
        limit: 1,
        ..EventQuery::within(earlier(to, BACK), to, asked.watermark)
    };
    // One dimension is always allowed.
    let Ok(by) = Grouping::new(vec![Dimension::Field("winlog.event_data.TargetImage".into())]) else {
        return lacks("the same signals cannot be counted");
    };
    let tally = asked.events.tally(&TallyQuery { events, by }).await?;
    match tally.groups.first() {
        Some(group) if group.hosts >= RECURS && group.days >= RECURS => Ok(None),
        _ => lacks("the same signal to the same program was not seen on three machines and three days before"),
    }
}
