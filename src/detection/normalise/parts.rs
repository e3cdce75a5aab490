//! A record taken apart: what every shape has to say, whatever it calls it. The event is written from it, once.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{channel, ecs, text, time};
use crate::detection::clock::ClockOffset;
use crate::detection::damage::{Broken, Fault};
use crate::domain::entity::HostName;
use crate::domain::event::{Event, Origin, SYSMON};
use crate::domain::ids::EventId;

/// The parts of a record.
#[derive(Default)]
pub(super) struct Parts<'a> {
    /// The log, as the record writes it.
    pub channel: &'a str,
    /// The event id.
    pub code: u32,
    /// The machine it happened on; empty if the record does not say. Never the collector.
    pub host: &'a str,
    /// The record's own time: its name in the record, and its value.
    pub recorded: Option<(&'static str, &'a Value)>,
    /// The number in its log.
    pub record_id: Option<String>,
    /// Who logged.
    pub provider: Option<&'a str>,
    /// The rendered text.
    pub message: Option<&'a str>,
    /// The event's own data, by the names Windows gives it.
    pub data: Map<String, Value>,
    /// The header's further fields, by Winlogbeat's names: `process`, `user`, `task`, …
    pub winlog: Map<String, Value>,
    /// What has its place in the document already, in shapes that are the target shape or nearly so.
    pub document: Map<String, Value>,
    /// Everything else that the record holds, by its own names. It is kept under `record`: nothing is lost.
    pub rest: Map<String, Value>,
}

impl Parts<'_> {
    /// Keeps what the target shape has no place for. Of two things by one name both are kept.
    pub(super) fn keep(&mut self, name: impl Into<String>, value: Value) {
        let mut name = name.into();
        while self.rest.get(&name).is_some_and(|there| *there != value) {
            name.push('+');
        }
        self.rest.insert(name, value);
    }

    /// Takes in event data. Of `event_data` and `user_data` a record has one; if it has both, the first to name a thing
    /// counts and the other is kept.
    pub(super) fn put_data(&mut self, branch: &str, data: &Map<String, Value>) {
        for (name, value) in data {
            if self.data.contains_key(name) {
                self.keep(format!("{branch}.{name}"), value.clone());
            } else {
                text::put(&mut self.data, name, value);
            }
        }
    }

    /// The event.
    ///
    /// # Errors
    /// When the record names no log, or has no usable time.
    pub(super) fn into_event(mut self, id: EventId, origin: Origin, clock: ClockOffset) -> Result<Event, Broken> {
        if self.channel.trim().is_empty() {
            return Err(Broken::new(Fault::NoChannel, "the record names no log"));
        }
        let channel = channel::canonical(self.channel);
        let times = self.times(&channel, clock)?;
        self.keep_what_changed(&channel, &times);

        let mut document = std::mem::take(&mut self.document);
        let code: Value = self.code.to_string().into();
        document.insert("@timestamp".into(), times.written.into());
        branch(&mut document, "host").insert("name".into(), self.host.into());
        let event = branch(&mut document, "event");
        event.insert("code".into(), code.clone());
        event.entry("kind").or_insert_with(|| "event".into());
        if let Some(task) = self.winlog.get("task").filter(|task| task.is_string()) {
            event.entry("action").or_insert_with(|| task.clone());
        }
        if let Some(provider) = self.provider {
            event.insert("provider".into(), provider.into());
            self.winlog.insert("provider_name".into(), provider.into());
        }
        if let Some(message) = self.message {
            document.insert("message".into(), message.into());
        }
        let replaced = ecs::copy(&channel, self.code, &self.data, self.message, &mut document);
        for (path, value) in replaced {
            self.keep(path, value);
        }

        let mut winlog = self.winlog;
        winlog.insert("channel".into(), channel.clone().into());
        winlog.insert("computer_name".into(), self.host.into());
        winlog.insert("event_id".into(), code);
        if let Some(record_id) = &self.record_id {
            winlog.insert("record_id".into(), record_id.clone().into());
        }
        if let Some(recorded) = times.recorded {
            winlog.insert("time_created".into(), recorded.into());
        }
        winlog.insert("event_data".into(), self.data.into());
        document.insert("winlog".into(), winlog.into());
        if !self.rest.is_empty() {
            document.insert("record".into(), self.rest.into());
        }
        Ok(Event {
            id,
            time: times.happened,
            host: HostName::new(self.host),
            channel,
            code: self.code,
            record_id: self.record_id,
            origin,
            document,
        })
    }

    /// Sysmon's own clock where it gives one, else the record's, moved by what was declared for its log.
    fn times(&self, channel: &str, clock: ClockOffset) -> Result<Times, Broken> {
        let recorded = self.recorded.and_then(|(_, value)| clock.to_utc(time::parse(value)?)).and_then(time::plausible);
        let own = self.data.get("UtcTime").filter(|own| !matches!(own.as_str(), Some("" | "-")));
        let Some(own) = own.filter(|_| channel == SYSMON) else {
            let happened = recorded.ok_or_else(|| no_time(self.recorded))?;
            return Ok(Times { happened, written: format!("{happened:.3}"), recorded: None });
        };
        let happened = time::parse(own).and_then(time::plausible).ok_or_else(|| no_time(Some(("UtcTime", own))))?;
        let recorded = recorded.map(|recorded| format!("{recorded:.3}"));
        Ok(Times { happened, written: format!("{happened:.3}"), recorded })
    }

    /// Keeps what the document will say in other words.
    fn keep_what_changed(&mut self, channel: &str, times: &Times) {
        if channel != self.channel {
            self.keep("channel", self.channel.into());
        }
        if let Some((name, value)) = self.recorded {
            let is_written = value.as_str().is_some_and(|text| {
                text == times.written || times.recorded.as_deref().is_some_and(|recorded| text == recorded)
            });
            if !is_written {
                self.keep(name, value.clone());
            }
        }
    }
}

/// The two clocks of a record.
struct Times {
    /// When it happened.
    happened: Timestamp,
    /// The same, as the document has it.
    written: String,
    /// The record's own time, where the sensor's is the one that counts: their difference shows a clock that is off.
    recorded: Option<String>,
}

fn no_time(time: Option<(&str, &Value)>) -> Broken {
    Broken::new(
        Fault::NoTime,
        match time {
            None => "the record has no time".to_owned(),
            Some((name, value)) => format!("`{name}` is {}, which is no time a log can have", text::shown(value)),
        },
    )
}

/// The object at a name, made if it is not there. Whatever else stood there was moved away before.
fn branch<'a>(document: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let slot = document.entry(name).or_insert_with(|| Value::Object(Map::new()));
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    // The lines above made it one.
    slot.as_object_mut().expect("an object")
}

/// Sets a header field at a path of one to three names, such as `process.thread.id`.
pub(super) fn set(winlog: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(winlog.insert(path.to_owned(), value)),
        Some((name, rest)) => set(branch(winlog, name), rest, value),
    }
}
