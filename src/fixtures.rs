//! What unit tests share: stores on a temporary folder, a clock that is set by hand, and the smallest domain objects.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::adapters::embedded::events::EmbeddedEvents;
use crate::adapters::embedded::journal::EmbeddedJournal;
use crate::domain::alert::{Alert, RuleCard, Severity};
use crate::domain::draft::{Classification, Draft};
use crate::domain::entity::HostName;
use crate::domain::event::{Event, Origin};
use crate::domain::evidence::{Citation, Family, Quote, SensorSeen, Strength, Weight};
use crate::domain::ids::{AlertId, CaseId, DeviceActionId, DeviceId, EventId, EvidenceId, RuleId};
use crate::domain::route::Tier;
use crate::domain::trace::{SpanId, SpanRef, TraceId};
use crate::journal::case_stream::{Batch, CaseStream};
use crate::journal::entry::{CaseEntry, Pins};
use crate::ports::clock::Clock;
use crate::ports::edr::{Device, DeviceAction, Devices, EdrError, Management, Nature, Reach};
use crate::ports::events::coverage::{History, SensorFacts};
use crate::ports::events::prevalence::{Prevalence, PrevalenceQuery};
use crate::ports::events::retention::{Pruned, RetentionPolicy, Size};
use crate::ports::events::tally::{Tally, TallyQuery};
use crate::ports::events::{EventQuery, EventRow, EventStore, Found, Kind, Stored, Watermark};
use crate::ports::journal::Journal;
use crate::ports::storage::StorageError;

/// The case of most tests.
pub const CASE: CaseId = CaseId::new(1);

/// The root of its trace.
pub const ROOT: SpanRef = SpanRef { trace: TraceId([0xaa; 16]), span: SpanId([0xbb; 8]) };

/// Seconds after the beginning of 2026.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).expect("a time")
}

/// A journal on a folder that goes with the test.
pub fn journal() -> (TempDir, Arc<dyn Journal>) {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = EmbeddedJournal::open(folder.path()).expect("it opens");
    (folder, Arc::new(journal))
}

/// A second hand on the journal's file, as damage would be.
pub fn tamper(folder: &TempDir, sql: &str) {
    let file = folder.path().join(EmbeddedJournal::FILE);
    rusqlite::Connection::open(file).expect("it opens").execute_batch(sql).expect("it is changed");
}

/// Events, ready to be stored.
pub fn rows(events: impl IntoIterator<Item = Event>) -> Vec<EventRow> {
    events.into_iter().map(EventRow::from).collect()
}

/// An event store that holds these events.
pub async fn store(events: Vec<Event>) -> (TempDir, Arc<dyn EventStore>) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = EmbeddedEvents::open(folder.path()).expect("it opens");
    store.insert(rows(events)).await.expect("they are stored");
    (folder, Arc::new(store))
}

/// An event store that cannot be read.
pub struct BrokenStore;

/// What it says.
pub fn broken<T>() -> Result<T, StorageError> {
    Err(StorageError::Unusable { path: "events.db".into(), what: "out of order".into() })
}

#[async_trait]
impl EventStore for BrokenStore {
    async fn insert(&self, _: Vec<EventRow>) -> Result<Stored, StorageError> {
        broken()
    }

    async fn get(&self, _: &EventId) -> Result<Option<Event>, StorageError> {
        broken()
    }

    async fn search(&self, _: &EventQuery) -> Result<Found, StorageError> {
        broken()
    }

    async fn sensor(
        &self,
        _: &HostName,
        _: &Kind,
        _: Timestamp,
        _: Timestamp,
        _: Watermark,
    ) -> Result<SensorSeen, StorageError> {
        broken()
    }

    async fn tally(&self, _: &TallyQuery) -> Result<Tally, StorageError> {
        broken()
    }

    async fn prevalence(&self, _: &PrevalenceQuery) -> Result<Prevalence, StorageError> {
        broken()
    }

    async fn sensor_facts(
        &self,
        _: &HostName,
        _: Timestamp,
        _: Timestamp,
        _: Watermark,
    ) -> Result<SensorFacts, StorageError> {
        broken()
    }

    async fn history(&self, _: Watermark) -> Result<History, StorageError> {
        broken()
    }

    async fn watermark(&self) -> Result<Watermark, StorageError> {
        broken()
    }

    async fn retain(&self, _: &RetentionPolicy, _: &[EventId]) -> Result<Pruned, StorageError> {
        broken()
    }

    async fn size(&self) -> Result<Size, StorageError> {
        broken()
    }
}

/// A simulated inventory: `d1` is managed, `d2` is not, and two devices have one name.
pub struct SomeDevices;

#[async_trait]
impl Devices for SomeDevices {
    fn nature(&self) -> Nature {
        Nature::Simulated
    }

    async fn devices(&self) -> Result<Vec<Device>, EdrError> {
        let device = |(id, name, management): (&str, &str, Management)| Device {
            id: DeviceId::new(id),
            name: HostName::new(name),
            management,
            reach: Reach::Online,
            tags: vec![],
            last_seen: None,
        };
        let all = [
            ("d1", "WKS-1", Management::Managed),
            ("d2", "WKS-10", Management::Unmanaged),
            ("d3", "TWIN.one.example", Management::Managed),
            ("d4", "TWIN.two.example", Management::Managed),
        ];
        Ok(all.map(device).to_vec())
    }

    async fn device(&self, id: &DeviceId) -> Result<Option<Device>, EdrError> {
        Ok(self.devices().await?.into_iter().find(|device| device.id == *id))
    }

    async fn action(&self, id: &DeviceActionId) -> Result<DeviceAction, EdrError> {
        Err(EdrError::NoAction(id.clone()))
    }

    async fn actions(&self, _: &DeviceId) -> Result<Vec<DeviceAction>, EdrError> {
        Ok(vec![])
    }

    async fn is_isolated(&self, _: &DeviceId) -> Result<bool, EdrError> {
        Ok(false)
    }
}

/// A clock that stands until it is moved.
pub struct HandClock(Mutex<Timestamp>);

impl HandClock {
    /// A clock that shows this.
    pub fn showing(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(Mutex::new(now)))
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event with these fields of `event_data`.
pub fn event(id: &str, seconds: i64, host: &str, (channel, code): (&str, u32), data: Value) -> Event {
    let Value::Object(document) = json!({"winlog": {"event_data": data}}) else { unreachable!("it is an object") };
    Event {
        id: EventId::new(id),
        time: at(seconds),
        host: HostName::new(host),
        channel: channel.into(),
        code,
        record_id: None,
        origin: Origin { file: "log.json".into(), line: 3 },
        document,
    }
}

/// An alert on an event.
pub fn alert(id: &str, event: &str, host: &str, seconds: i64) -> Alert {
    Alert {
        id: AlertId::new(id),
        source: "sigma".into(),
        rule: RuleCard {
            id: RuleId::new("rule"),
            title: format!("Rule of {id}"),
            author: None,
            level: Severity::Medium,
            status: None,
            description: None,
            tags: vec![],
            false_positives: vec![],
            references: vec![],
            date: None,
        },
        host: HostName::new(host),
        time: at(seconds),
        event: EventId::new(event),
        event_kind: "Sysmon 1".into(),
        matched: vec![],
        entities: vec![],
        correlated: Default::default(),
    }
}

/// A draft that concludes this and cites nothing.
pub fn draft(classification: Classification, probability: f64) -> Draft {
    crate::domain::verdict::tests::draft(classification, probability)
}

/// A citation of one field.
pub fn citation(id: u32, field: &str, value: &str, weight: Weight, strength: Strength) -> Citation {
    Citation {
        evidence: EvidenceId::new(id),
        quotes: vec![Quote { field: format!("winlog.event_data.{field}"), value: value.into() }],
        says: "what it shows".into(),
        weight,
        strength,
        family: Family::Content,
    }
}

/// What shapes an investigation of a test: nothing in particular.
pub fn pins() -> Pins {
    Pins {
        agent: "agent".into(),
        analyst: "analyst".into(),
        policy: "policy".into(),
        tools: "tools".into(),
        program: "program".into(),
    }
}

/// The beginning of a case.
pub fn opened(alert: &str) -> CaseEntry {
    CaseEntry::Opened { alert: AlertId::new(alert), root: ROOT }
}

/// The beginning of an attempt.
pub fn started(attempt: u32, tier: Tier) -> CaseEntry {
    CaseEntry::Started {
        attempt,
        tier,
        pins: pins(),
        watermark: Watermark(u64::MAX),
        alerts: 1,
        handover: None,
        why_again: None,
        span: SpanId([9; 8]),
    }
}

/// A batch of entries alone.
pub fn entries(entries: Vec<CaseEntry>) -> Batch {
    Batch { entries, ..Batch::default() }
}

/// [`CASE`] with its first attempt begun.
pub async fn case_at_work(journal: &Arc<dyn Journal>) -> CaseStream {
    let mut stream = CaseStream::open(journal.clone(), CASE, None).await.expect("it is read");
    stream.append(entries(vec![opened("a1"), started(1, Tier::One)]), at(0)).await.expect("it is written");
    stream
}
