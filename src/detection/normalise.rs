//! Raw records of several log shapes become events of one: the Winlogbeat collection shape, kept whole, with
//! ECS copies beside it. A shape is recognised by what a record contains, never by a file's name.
//!
//! A file per shape says where the parts of a record lie; `parts` writes the event from them. Whatever a record holds
//! and the target shape has no place for is kept under `record`.

mod channel;
mod ecs;
mod evtx;
mod exporter;
mod flat;
mod get_winevent;
#[cfg(test)]
mod golden_tests;
mod ingested;
mod nxlog;
mod parts;
#[cfg(test)]
mod property_tests;
mod sentinel;
mod sysmon_array;
#[cfg(test)]
mod tests;
mod text;
mod time;
mod winlogbeat;
mod winlogbeat6;

use std::borrow::Cow;

use serde_json::{Map, Value};

pub(super) use self::ecs::is_null_guid;
use self::parts::Parts;
use super::clock::ClockOffset;
use super::damage::{Broken, Fault};
use crate::domain::event::{Event, Origin};
use crate::domain::ids::EventId;
use crate::domain::words::excerpt;
use crate::knowledge::canonical;

/// A shape of raw records that can be normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Windows events as NXLog forwards them: one flat object, the event's own fields beside the envelope.
    Nxlog,
    /// A flat export in Winlogbeat's manner, whose times are local and say they were UTC.
    Exporter,
    /// A flat export of `Get-WinEvent`, whose times are local.
    GetWinEvent,
    /// Winlogbeat before version 7.
    Winlogbeat6,
    /// Winlogbeat 7 and 8, as collected or as an ingest pipeline leaves them.
    Winlogbeat,
    /// Microsoft Sentinel's `WindowsEvent` table.
    Sentinel,
    /// Sysmon's fields and an `EventId`, without a header.
    SysmonArray,
    /// A record of a Windows event log file.
    Evtx,
}

impl Shape {
    /// The shape of a record, if it is a known one.
    #[must_use]
    pub fn of(record: &Map<String, Value>) -> Option<Self> {
        let nested = [
            (Self::Evtx, evtx::recognises as Recognises),
            (Self::Winlogbeat, winlogbeat::recognises),
            (Self::Winlogbeat6, winlogbeat6::recognises),
        ];
        Self::flat(record).or_else(|| first(nested, record))
    }

    /// The shape of a record whose header stands beside the event's own data. It is looked for before any other: who
    /// logs an event names its data, and in such a record a name like `winlog.channel` is data and no header.
    fn flat(record: &Map<String, Value>) -> Option<Self> {
        // The order matters only for records that bear the marks of two shapes: the more telling marks come first.
        let flat = [
            (Self::Nxlog, nxlog::recognises as Recognises),
            (Self::Sentinel, sentinel::recognises),
            (Self::Exporter, exporter::recognises),
            (Self::GetWinEvent, get_winevent::recognises),
            (Self::SysmonArray, sysmon_array::recognises),
        ];
        first(flat, record)
    }

    fn parts(self, record: &Map<String, Value>) -> Result<Parts<'_>, Broken> {
        match self {
            Self::Nxlog => nxlog::parts(record),
            Self::Exporter => exporter::parts(record),
            Self::GetWinEvent => get_winevent::parts(record),
            Self::Winlogbeat6 => winlogbeat6::parts(record),
            Self::Winlogbeat => winlogbeat::parts(record),
            Self::Sentinel => sentinel::parts(record),
            Self::SysmonArray => sysmon_array::parts(record),
            Self::Evtx => evtx::parts(record),
        }
    }
}

/// Whether a record is of a shape.
type Recognises = fn(&Map<String, Value>) -> bool;

fn first<const N: usize>(shapes: [(Shape, Recognises); N], record: &Map<String, Value>) -> Option<Shape> {
    shapes.into_iter().find_map(|(shape, recognises)| recognises(record).then_some(shape))
}

/// Turns a raw record into an event. `clock` is added to the record's time where no sensor wrote its own UTC.
///
/// A record that Elasticsearch or OpenSearch wrapped into a hit is taken out of it: the same record found twice, or in
/// a file and in an index, is one event.
///
/// # Errors
/// When the shape is unknown, or the record has no usable time, event id or channel.
pub fn normalise(record: &Map<String, Value>, origin: Origin, clock: ClockOffset) -> Result<Event, Broken> {
    let (record, hit) = match record.get("_source") {
        Some(Value::Object(source)) if Shape::flat(record).is_none() => (source, Some(record)),
        _ => (record, None),
    };
    let id = event_id(record);
    let record = match Shape::flat(record).is_none() && winlogbeat::has_dotted_names(record) {
        true => Cow::Owned(winlogbeat::with_branches(record)),
        false => Cow::Borrowed(record),
    };
    let shape = Shape::of(&record).ok_or_else(|| Broken::new(Fault::UnknownShape, unknown(&record)))?;
    let mut parts = shape.parts(&record)?;
    if let Some(hit) = hit {
        let around = hit.iter().filter(|(name, value)| *name != "_source" && !value.is_null());
        let around: Map<_, _> = around.map(|(name, value)| (name.clone(), value.clone())).collect();
        parts.keep("hit", around.into());
    }
    parts.into_event(id, origin, clock)
}

/// Says of what an unrecognised record consists, so that its shape can be guessed from the report.
fn unknown(record: &Map<String, Value>) -> String {
    let mut keys: Vec<&str> = record.keys().map(String::as_str).collect();
    keys.sort_unstable();
    let keys = keys.join(", ");
    let shown = excerpt(&keys, 80);
    format!("an object with the keys {shown}, which is no known log shape")
}

/// The id of a record: the first 32 hex digits of the SHA-256 over its canonical text, so that a record that is
/// read twice is one event.
fn event_id(record: &Map<String, Value>) -> EventId {
    EventId::new(&canonical::sha256(canonical::object(record).as_bytes())[..32])
}
