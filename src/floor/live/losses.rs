//! What of a batch could not be read, or not word for word, as losses that stand against what they may concern.
//!
//! When a lost record happened is bounded by its neighbours: forwarders send in order, give or take [`ASTRAY`].

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use crate::detection::clock::ClockOffset;
use crate::detection::damage::{Broken, Damage, Fault, Flaw, Place};
use crate::detection::normalise::normalise;
use crate::detection::read;
use crate::domain::entity::HostName;
use crate::domain::event::{Event, Origin};
use crate::domain::loss::Loss;

/// How far before the earliest of its neighbours a lost record may have happened: the logs of a machine, and machines
/// among one another, are forwarded minutes apart, and an hour is far from minutes. A sender that delivers what is days
/// old delivers neighbours of that age as well.
const ASTRAY: SignedDuration = SignedDuration::from_hours(1);

/// Of so many events before a lost record the earliest counts as its neighbour: one whose clock is ahead misleads nobody.
const NEIGHBOURS: usize = 16;

/// A record that was read.
pub(super) struct Heard {
    /// The event.
    pub event: Event,
    /// In what it differs from its text.
    flaws: Vec<(Flaw, String)>,
}

/// A record that came to nothing.
pub(super) struct Unheard {
    /// Why.
    pub broken: Broken,
    /// The machine it told of, where it is of a known shape and lacks something else.
    host: Option<HostName>,
}

impl From<Broken> for Unheard {
    fn from(broken: Broken) -> Self {
        Self { broken, host: None }
    }
}

/// One record's text as an event.
///
/// # Errors
/// When it is longer than a record may be, or no record of a known shape.
pub(super) fn event(text: &[u8], origin: Origin) -> Result<Heard, Unheard> {
    if text.len() > read::LONGEST_RECORD {
        return Err(too_long().into());
    }
    let record = read::parse(text)?;
    match normalise(&record.fields, origin, ClockOffset::NONE) {
        Ok(event) => Ok(Heard { event, flaws: record.flaws }),
        Err(broken) => {
            let is_of_known_shape = matches!(broken.fault, Fault::NoTime | Fault::NoCode | Fault::NoChannel);
            let host = if is_of_known_shape { host_of(&record.fields) } else { None };
            Err(Unheard { broken, host })
        }
    }
}

/// What is said of a record without limits.
pub(super) fn too_long() -> Broken {
    Broken::new(Fault::TooLong, format!("longer than {} MB", read::LONGEST_RECORD >> 20))
}

/// The one machine that a record names as its own, wherever its shape has the place for it.
fn host_of(record: &Map<String, Value>) -> Option<HostName> {
    let inner = |outer: &str, name: &str| record.get(outer).and_then(|outer| outer.get(name));
    let places = [
        record.get("Computer"),
        record.get("Hostname"),
        record.get("ComputerName"),
        inner("winlog", "computer_name"),
        inner("host", "name"),
    ];
    let mut named = places.into_iter().flatten().filter_map(Value::as_str).map(HostName::new);
    let first = named.next().filter(|host| !host.is_unknown())?;
    named.all(|other| other == first).then_some(first)
}

/// What a batch lost, as it is read.
#[derive(Default)]
pub(super) struct Losses {
    /// By the machine they told of: what is wrong, and the time of the event before, as far as one is known.
    unheard: BTreeMap<Option<HostName>, (Damage, Option<Timestamp>)>,
    /// By machine: what is wrong with events that were read, and from when to when they are.
    flawed: BTreeMap<HostName, (Damage, Timestamp, Timestamp)>,
    /// When the events so far happened, from the first to the last.
    span: Option<(Timestamp, Timestamp)>,
    /// When the last [`NEIGHBOURS`] of them did.
    recent: VecDeque<Timestamp>,
}

impl Losses {
    /// Of a batch that goes on after events of this time.
    pub(super) fn after(before: Option<Timestamp>) -> Self {
        Self { recent: before.into_iter().collect(), ..Self::default() }
    }

    /// Takes note of a record and gives its event, or what is wrong with it.
    pub(super) fn note(&mut self, line: u64, read: Result<Heard, Unheard>) -> Result<Event, Broken> {
        match read {
            Ok(Heard { event, flaws }) => {
                let time = event.time;
                let (first, last) = self.span.get_or_insert((time, time));
                (*first, *last) = (time.min(*first), time.max(*last));
                if self.recent.len() == NEIGHBOURS {
                    self.recent.pop_front();
                }
                self.recent.push_back(time);
                for (flaw, example) in flaws {
                    let of_host = self.flawed.entry(event.host.clone());
                    let (damage, from, to) = of_host.or_insert_with(|| (Damage::default(), time, time));
                    (*from, *to) = (time.min(*from), time.max(*to));
                    damage.note(Place::Line(line), flaw, example);
                }
                Ok(event)
            }
            Err(Unheard { broken, host }) => {
                let before = self.before();
                let (damage, from) = self.unheard.entry(host).or_insert_with(|| (Damage::default(), before));
                *from = before.min(*from);
                damage.count(Place::Line(line), broken.clone());
                Err(broken)
            }
        }
    }

    /// When what comes next may have happened at the earliest, give or take [`ASTRAY`].
    pub(super) fn before(&self) -> Option<Timestamp> {
        self.recent.iter().min().copied()
    }

    /// The losses of a batch that arrived now. `in_order` says that what came before a lost record happened before it;
    /// else every event of the batch is its neighbour.
    pub(super) fn of(self, source: &str, in_order: bool, now: Timestamp) -> Vec<Loss> {
        let Self { unheard, flawed, span, .. } = self;
        let latest = span.map_or(now, |(_, last)| last.max(now));
        let earlier = |time: Timestamp| time.checked_sub(ASTRAY).unwrap_or(Timestamp::MIN);
        let unheard = unheard.into_iter().filter_map(|(host, (damage, before))| {
            let before = if in_order { before } else { span.map(|(first, _)| first) };
            // A clock that is ahead makes nothing happen later than it came.
            Some((damage.loss()?, host, before.map(|before| earlier(before.min(now))), latest))
        });
        let flawed = flawed.into_iter().filter_map(|(host, (damage, from, to))| {
            Some((damage.loss()?, Some(host).filter(|host| !host.is_unknown()), Some(from), to))
        });
        let loss = |(what, host, from, to)| Loss { source: source.to_owned(), what, host, from, to };
        unheard.chain(flawed).map(loss).collect()
    }
}

/// What is lost of a file without anybody knowing how much, after an event of this time.
pub(super) fn unseen(source: String, what: &str, last: Option<Timestamp>, now: Timestamp) -> Loss {
    let from = last.map(|last| last.checked_sub(ASTRAY).unwrap_or(Timestamp::MIN));
    Loss { source, what: what.into(), host: None, from, to: now }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-11-02T12:00:00Z";

    fn record(minute: u32, host: &str) -> String {
        json!({
            "@timestamp": format!("2026-11-02T08:{minute:02}:00.000Z"), "EventReceivedTime": "2026-11-02 08:00:00",
            "SourceModuleName": "eventlog", "Hostname": host, "Channel": "Security", "EventID": 4624,
            "SourceName": "Microsoft-Windows-Security-Auditing", "TargetUserName": "a.user",
        })
        .to_string()
    }

    fn of(lines: &[String], after: Option<&str>, in_order: bool) -> Vec<Loss> {
        let mut losses = Losses::after(after.map(|after| after.parse().expect("a time")));
        for (number, line) in (1..).zip(lines) {
            let _ = losses.note(number, event(line.as_bytes(), Origin { file: "f".into(), line: number }));
        }
        losses.of("f", in_order, NOW.parse().expect("a time"))
    }

    fn spans(losses: &[Loss]) -> Vec<(Option<&str>, Option<String>, String)> {
        let span = |loss: &'_ Loss| (loss.from.map(|from| from.to_string()), loss.to.to_string());
        losses.iter().map(|loss| (loss.host.as_ref().map(HostName::as_str), span(loss).0, span(loss).1)).collect()
    }

    #[test]
    fn a_lost_line_happened_after_the_one_before_it_and_before_it_came() {
        let lines = [record(10, "WKS-1"), "{\"cut\": ".into(), record(20, "WKS-1")];
        let expected = (None, Some("2026-11-02T07:10:00Z".to_owned()), NOW.to_owned());
        assert_eq!(spans(&of(&lines, None, true)), std::slice::from_ref(&expected));
        assert_eq!(spans(&of(&lines[1..], None, true)), [(None, None, NOW.to_owned())], "nothing came before it");
        let known = Some("2026-11-02T08:10:00Z");
        assert_eq!(spans(&of(&lines[1..], known, true)), [expected]);
        let in_a_request = (None, Some("2026-11-02T07:20:00Z".to_owned()), NOW.to_owned());
        assert_eq!(spans(&of(&lines[1..], None, false)), [in_a_request], "a request has no order");
        assert_eq!(of(&lines[..1], None, true), []);
    }

    #[test]
    fn what_lacks_a_time_is_of_its_machine_and_what_is_flawed_of_its_own_time() {
        let timeless = record(30, "WKS-2").replace("2026-11-02T08:30:00.000Z", "soon").replace("2026-11-02 08", "x");
        let twice = record(40, "WKS-3").replacen('{', "{\"Task\":1,\"Task\":2,", 1);
        let losses = of(&[record(10, "WKS-1"), timeless, twice], None, true);
        let at = "2026-11-02T08:40:00Z".to_owned();
        assert_eq!(
            spans(&losses),
            [
                (Some("WKS-2"), Some("2026-11-02T07:10:00Z".to_owned()), NOW.to_owned()),
                (Some("WKS-3"), Some(at.clone()), at)
            ]
        );
        assert!(losses[0].what.contains("no usable time") && losses[1].what.contains("stands twice"), "{losses:?}");
    }

    #[test]
    fn a_record_that_names_two_machines_is_of_any() {
        let fields = |value: Value| value.as_object().cloned().expect("an object");
        assert_eq!(host_of(&fields(json!({"Hostname": "A", "Computer": "a.corp.example"}))), Some(HostName::new("A")));
        assert_eq!(host_of(&fields(json!({"Hostname": "A", "winlog": {"computer_name": "B"}}))), None);
        assert_eq!(host_of(&fields(json!({"Hostname": ""}))), None);
    }
}
