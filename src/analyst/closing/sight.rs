//! Whether what is not in the log would have been in it: sensors, history, machines without a name, damage.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::Asked;
use super::run::{LATE, Run, earlier, later, sysmon};
use crate::domain::entity::HostName;
use crate::domain::loss::Loss;
use crate::domain::obstacle::Obstacle;
use crate::domain::taint;
use crate::ports::events::EventQuery;
use crate::ports::storage::StorageError;

/// How far on each side of the run its machine has to have been watched.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What has to be proven alive before its silence counts, with the events that prove it.
///
/// Children, connections, files and registry values are what a harmful run of a harmless program would leave. Threads
/// and handles show what others did to it; many configurations log one of the two, and the driver that reports one
/// reports the other. Loaded images, names and deletions are looked at where they are logged and not required: most
/// configurations leave them out, and what they would show leaves a file, a handle or a connection as well. The end of
/// the process has to be there in any case.
const SENSORS: [(&str, &[u32]); 5] = [
    ("processes started (Sysmon 1)", &[1]),
    ("connections (Sysmon 3)", &[3]),
    ("threads planted and processes opened (Sysmon 8 or 10)", &[8, 10]),
    ("files written (Sysmon 11)", &[11]),
    ("registry values (Sysmon 12 to 14)", &[12, 13, 14]),
];

/// What would not have been seen, had it happened.
pub(super) async fn unseen(asked: &Asked<'_>, run: &Run) -> Result<Vec<Obstacle>, StorageError> {
    let Run { start, end, .. } = run;
    let mut all = Vec::new();
    for (what, codes) in SENSORS {
        let mut is_alive = false;
        for kind in sysmon(codes) {
            is_alive |= asked.events.sensor(&start.host, &kind, start.time, *end, asked.watermark).await?.is_alive();
        }
        if !is_alive {
            let host = taint::shown(start.host.as_str());
            all.push(format!("{host} is not proven to have reported {what} before and after the process ran"));
        }
    }
    let (from, to) = (earlier(start.time, DAY), later(*end, DAY));
    if let Some(since) = asked.events.history(asked.watermark).await?.complete_since.filter(|since| *since > from) {
        all.push(format!("events before {} were removed from the store", since.strftime("%F %T")));
    }
    let nameless =
        EventQuery { host: Some(HostName::new("")), limit: 1, ..EventQuery::within(from, to, asked.watermark) };
    let found = asked.events.search(&nameless).await?;
    if let Some(event) = found.rows.first() {
        let (count, id) = (found.total, &event.id);
        all.push(format!("{count} events of that day name no machine and may be of this one (the first is {id})"));
    }
    Ok(all.into_iter().map(Obstacle::Unseen).collect())
}

/// What sources that go on have lost of this machine, or of nobody knows which, around the time of the run.
pub(super) fn lost(run: &Run, losses: &[Loss]) -> Vec<Obstacle> {
    let (from, to) = (earlier(run.start.time, LATE), later(run.end, LATE));
    let concern = losses.iter().filter(|loss| loss.may_concern(&run.start.host, from, to));
    concern.take(3).map(|loss| Obstacle::Unseen(loss.says())).collect()
}

/// Logs of which something is missing. Nobody knows of which machine and time it was.
pub(super) fn damage(damaged: &BTreeMap<String, String>) -> Vec<Obstacle> {
    let say = |(log, what): (&String, &String)| {
        let what: String = taint::shown(what).chars().take(200).collect();
        Obstacle::Unseen(format!("{} was not read whole: {what}", taint::shown(log)))
    };
    damaged.iter().take(3).map(say).collect()
}
