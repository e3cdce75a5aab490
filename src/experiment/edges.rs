//! Cleared logs at the edges of a recording, which tell of whoever recorded and not of what happened.
//!
//! Before an attack is recorded its operator empties the logs, and often again when it is over. The alert on that is
//! true and loud and would give away that the rest is an attack. What a clearing leaves is the first thing in an
//! emptied log, and all logs are emptied one after another within seconds; so only clearings that close to the first
//! or the last event of the whole recording are taken out. An intruder who clears a log does so after other deeds, and
//! that clearing stays.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use crate::domain::event::Event;
use crate::domain::ids::EventId;

/// How close to an edge: a script empties a machine's logs within a second or two, a person who clicks takes a few
/// more. Deeds that are worth covering up take longer.
const EDGE: SignedDuration = SignedDuration::from_secs(10);

/// Where a recording begins and ends, and which logs were cleared in it.
#[derive(Debug, Default)]
pub struct Edges {
    span: Option<(Timestamp, Timestamp)>,
    cleared: Vec<(EventId, Timestamp)>,
}

impl Edges {
    /// Takes an event of the recording into account.
    pub fn see(&mut self, event: &Event) {
        let (first, last) = self.span.unwrap_or((event.time, event.time));
        self.span = Some((first.min(event.time), last.max(event.time)));
        if matches!((event.channel.as_str(), event.code), ("Security", 1102) | ("System", 104)) {
            self.cleared.push((event.id.clone(), event.time));
        }
    }

    /// The clearings at the edges.
    #[must_use]
    pub fn clearings(self) -> HashSet<EventId> {
        let Some((first, last)) = self.span else { return HashSet::new() };
        let is_at_edge = |time: Timestamp| time.duration_since(first) <= EDGE || last.duration_since(time) <= EDGE;
        self.cleared.into_iter().filter(|(_, time)| is_at_edge(*time)).map(|(id, _)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::event;

    #[test]
    fn clearings_at_the_edges_go_and_others_stay() {
        let mut edges = Edges::default();
        let security = |name: &str, second: i64, code: u32| event(name, second, "wks-1", ("Security", code), json!({}));
        let all = [
            security("begin", 0, 4624),
            security("at the beginning", 9, 1102),
            security("later", 11, 1102),
            event("in the middle", 300, "wks-1", ("System", 104), json!({})),
            event("another log's number", 599, "wks-1", ("Application", 104), json!({})),
            event("at the end", 595, "wks-1", ("System", 104), json!({})),
            security("end", 600, 4634),
        ];
        // Neither order of arrival nor an exporter's order by log changes what is an edge.
        all.iter().rev().for_each(|event| edges.see(event));
        let mut gone: Vec<String> = edges.clearings().into_iter().map(|id| id.to_string()).collect();
        gone.sort();
        assert_eq!(gone, ["at the beginning", "at the end"]);
    }

    #[test]
    fn a_recording_without_events_has_no_edges() {
        assert!(Edges::default().clearings().is_empty());
    }
}
