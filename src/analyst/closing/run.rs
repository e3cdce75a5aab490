//! The run of one process from its start to its end, and all that any log says of it.

use jiff::{SignedDuration, Timestamp};

use super::Asked;
use crate::domain::event::{Event, SYSMON};
use crate::domain::ids::EventId;
use crate::domain::obstacle::Obstacle;
use crate::domain::taint;
use crate::knowledge::guid;
use crate::ports::events::{Condition, EventQuery, Found, Kind};
use crate::ports::storage::StorageError;

/// More events than this of one question are not looked through: what nobody looked through is not explained.
const MOST_EVENTS: usize = 5_000;

/// Logs other than Sysmon's may carry the time at which a forwarder received them.
pub(super) const LATE: SignedDuration = SignedDuration::from_mins(5);

/// One process, from its start to its end.
pub(super) struct Run {
    /// Its start, as Sysmon logged it.
    pub start: Event,
    /// Sysmon's ProcessGuid.
    pub guid: String,
    /// Its number, unique on its machine while it ran.
    pub pid: Option<u64>,
    /// When it ended.
    pub end: Timestamp,
    /// Every event that names it as who acted, was started, or started another, on whatever machine.
    pub events: Vec<Event>,
}

impl Run {
    /// The run that begins with this event, or why there is none to speak of.
    pub(super) async fn of(asked: &Asked<'_>, event: &EventId) -> Result<Result<Self, Obstacle>, StorageError> {
        let unseen = |what: &str| Ok(Err(Obstacle::Unseen(what.into())));
        let start = asked.events.get(event).await?;
        let Some(start) = start.filter(|start| start.is_sysmon(1)) else {
            return unseen("the verdict rests on no start of a process, so nobody knows what belongs to it");
        };
        let Some(guid) = start.data("ProcessGuid").map(guid::folded).filter(|guid| !guid.is_empty()) else {
            return unseen("the process has no id by which its other events could be found");
        };
        if start.host.is_unknown() {
            return unseen("nobody knows on which machine the process ran");
        }
        // Without bounds: whatever names the process is about it.
        let query = EventQuery {
            process: Some(guid.clone()),
            limit: MOST_EVENTS,
            ..EventQuery::within(Timestamp::MIN, Timestamp::MAX, asked.watermark)
        };
        let Found { rows, total } = asked.events.search(&query).await?;
        if total > rows.len() as u64 {
            return unseen("more events name the process than are looked through");
        }
        let ends = rows.iter().filter(|row| row.is_sysmon(5) && row.host == start.host);
        let Some(end) = ends.filter(|row| names(row, "ProcessGuid", &guid)).map(|row| row.time).max() else {
            return unseen("the end of the process is not in the log: it may have gone on");
        };
        let pid = start.data("ProcessId").and_then(number);
        Ok(Ok(Self { guid, pid, end: end.max(start.time), events: rows, start }))
    }

    /// Events on its machine, or on any, while it ran or shortly after.
    pub(super) fn during(&self, asked: &Asked<'_>, kinds: Vec<Kind>) -> EventQuery {
        EventQuery {
            kinds,
            limit: MOST_EVENTS,
            ..EventQuery::within(earlier(self.start.time, LATE), later(self.end, LATE), asked.watermark)
        }
    }

    /// A field of the event names this process.
    pub(super) fn is_named(&self, event: &Event, field: &str) -> bool {
        names(event, field, &self.guid)
    }

    /// `field` contains `value`, in whatever case.
    pub(super) fn contains(field: &str, value: &str) -> Condition {
        Condition {
            field: format!("winlog.event_data.{field}"),
            comparison: crate::ports::events::Comparison::Contains,
            value: value.to_owned(),
        }
    }
}

/// The answer to a question, or that it was too long to be looked through.
pub(super) async fn all(asked: &Asked<'_>, query: &EventQuery) -> Result<Result<Vec<Event>, Obstacle>, StorageError> {
    let Found { rows, total } = asked.events.search(query).await?;
    let whole = total <= rows.len() as u64;
    let long = || Obstacle::Unseen("around the process there are more events than are looked through".into());
    Ok(if whole { Ok(rows) } else { Err(long()) })
}

/// Events of Sysmon with these codes.
pub(super) fn sysmon(codes: &[u32]) -> Vec<Kind> {
    codes.iter().map(|code| Kind { channel: Some(SYSMON.into()), code: *code }).collect()
}

fn names(event: &Event, field: &str, process: &str) -> bool {
    event.data(field).is_some_and(|named| guid::same(named, process))
}

/// The number of a process: Sysmon writes it in decimal, Security in hexadecimal.
pub(super) fn number(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

pub(super) fn earlier(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_sub(by).unwrap_or(Timestamp::MIN)
}

pub(super) fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// `Sysmon 8 of 10:04:12 on WKS-07 (event 0a1b…)`: which event is meant, so that a person finds it.
pub(super) fn name(event: &Event) -> String {
    let host = taint::shown(&event.host.to_string());
    format!("{} of {} on {host} (event {})", event.kind(), event.time.strftime("%F %T"), event.id)
}
