//! What the driver itself costs a case: eight moves with a tool call each and a verdict, journaled, and nothing to think.
//!
//! The analyst is scripted and the event store is a map, so what is measured is the driver, the door, the checks
//! and the real journal on a real disk. The case writer does not run: its rows are written and not carried out.
//!
//! `WATCHFLOOR_BENCH_CASES=N` changes how many cases are worked on, `WATCHFLOOR_BENCH_STRICT=1` makes it fail
//! when a case costs more than the bar.

mod cost;

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use watchfloor::adapters::embedded::journal::EmbeddedJournal;
use watchfloor::analyst::agent::{Agent, Budget};
use watchfloor::analyst::driver::{Driver, Outcome, Seat};
use watchfloor::analyst::scripted::ScriptedAnalyst;
use watchfloor::analyst::{AnalystError, Brief, Move, Turn, playbook};
use watchfloor::domain::alert::{Alert, RuleCard, Severity};
use watchfloor::domain::case::Status;
use watchfloor::domain::draft::Draft;
use watchfloor::domain::entity::HostName;
use watchfloor::domain::event::{Event, Origin, SYSMON};
use watchfloor::domain::evidence::{Quote, SensorSeen};
use watchfloor::domain::ids::{AlertId, CaseId, EventId, RuleId};
use watchfloor::domain::route::{RoutePolicy, Tier};
use watchfloor::domain::trace::SpanRef;
use watchfloor::journal::alert_log::AlertLog;
use watchfloor::journal::case_stream::{Batch, CaseStream};
use watchfloor::journal::entry::CaseEntry;
use watchfloor::ports::clock::{Clock, SystemClock};
use watchfloor::ports::events::coverage::{History, SensorFacts};
use watchfloor::ports::events::prevalence::{Prevalence, PrevalenceQuery};
use watchfloor::ports::events::retention::{Pruned, RetentionPolicy, Size};
use watchfloor::ports::events::tally::{Tally, TallyQuery};
use watchfloor::ports::events::{EventQuery, EventRow, EventStore, Found, Kind, Stored, Watermark};
use watchfloor::ports::journal::{Journal, Lease, Queue, QueueChange};
use watchfloor::ports::storage::StorageError;
use watchfloor::telemetry::ids;
use watchfloor::tools::answer::ToolCall;
use watchfloor::tools::door::Door;
use watchfloor::tools::registry::Registry;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// CPU time that a case may cost, in milliseconds.
const BAR: f64 = 1.0;

/// Moves before the verdict, each with one call.
const MOVES: usize = 8;

/// Cases in flight in the second measurement.
const IN_FLIGHT: usize = 64;

/// How many cases a measurement takes unless it is told otherwise.
const CASES: u32 = 200;

/// Events in a map.
struct Shelf(HashMap<EventId, Event>);

#[async_trait]
impl EventStore for Shelf {
    /// Nobody stores anything here: the shelf is filled when it is made.
    async fn insert(&self, events: Vec<EventRow>) -> Result<Stored, StorageError> {
        Ok(Stored { new: 0, known: events.len() as u64 })
    }

    async fn get(&self, id: &EventId) -> Result<Option<Event>, StorageError> {
        Ok(self.0.get(id).cloned())
    }

    /// The host's only event, if its kind is asked for: a look-up, so that the store costs next to nothing.
    async fn search(&self, query: &EventQuery) -> Result<Found, StorageError> {
        let Some(host) = &query.host else { return Ok(Found::default()) };
        let found = self.get(&event_id(host.key())).await?;
        let asked = |event: &Event| query.kinds.is_empty() || query.kinds.iter().any(|kind| kind.code == event.code);
        let rows: Vec<Event> = found.filter(asked).into_iter().collect();
        Ok(Found { total: rows.len() as u64, rows })
    }

    async fn sensor(
        &self,
        _: &HostName,
        _: &Kind,
        from: Timestamp,
        to: Timestamp,
        _: Watermark,
    ) -> Result<SensorSeen, StorageError> {
        Ok(SensorSeen { count: 1, last_before: Some(from), first_after: Some(to), tampered: false })
    }

    /// Nobody asks for any of the following here: the answers are those of a store that knows nothing.
    async fn tally(&self, _: &TallyQuery) -> Result<Tally, StorageError> {
        Ok(Tally::default())
    }

    async fn prevalence(&self, _: &PrevalenceQuery) -> Result<Prevalence, StorageError> {
        Ok(Prevalence::default())
    }

    async fn sensor_facts(
        &self,
        _: &HostName,
        _: Timestamp,
        _: Timestamp,
        _: Watermark,
    ) -> Result<SensorFacts, StorageError> {
        Ok(SensorFacts::default())
    }

    async fn history(&self, _: Watermark) -> Result<History, StorageError> {
        Ok(History::default())
    }

    async fn retain(&self, _: &RetentionPolicy, _: &[EventId]) -> Result<Pruned, StorageError> {
        Ok(Pruned::default())
    }

    async fn size(&self) -> Result<Size, StorageError> {
        Ok(Size::default())
    }

    async fn watermark(&self) -> Result<Watermark, StorageError> {
        Ok(Watermark(self.0.len() as u64))
    }
}

fn host(case: u32) -> String {
    format!("wks-{case}")
}

fn event_id(host: &str) -> EventId {
    EventId::new(format!("process-on-{host}"))
}

/// A process creation of ordinary size.
fn event(case: u32) -> Event {
    let document = json!({
        "process": {"pid": 4120, "executable": "C:\\Program Files\\Kestrel\\agent.exe", "name": "agent.exe"},
        "winlog": {"event_data": {
            "CommandLine": "\"C:\\Program Files\\Kestrel\\agent.exe\" --collect --report-to https://kestrel.example/inventory",
            "Image": "C:\\Program Files\\Kestrel\\agent.exe",
            "ParentImage": "C:\\Windows\\System32\\services.exe",
            "ProcessGuid": "{7E1D3A52-0000-0000-0000-000000004120}",
            "ParentProcessGuid": "{7E1D3A52-0000-0000-0000-000000000612}",
            "ProcessId": "4120",
            "User": "NT AUTHORITY\\SYSTEM",
            "IntegrityLevel": "System",
            "Hashes": "SHA256=8D6A0CF1A5D7E2B94C0F8B6A7E15D3C2F4A9806B7C5D1E3F2A4B6C8D0E1F2A3B",
        }},
    });
    Event {
        id: event_id(&host(case)),
        time: Timestamp::UNIX_EPOCH,
        host: HostName::new(host(case)),
        channel: SYSMON.into(),
        code: 1,
        record_id: Some(case.to_string()),
        origin: Origin { file: "bench".into(), line: u64::from(case) },
        document: document.as_object().expect("it is an object").clone(),
    }
}

fn alert_id(case: u32) -> AlertId {
    AlertId::new(format!("alert-{case}"))
}

fn alert(case: u32) -> Alert {
    Alert {
        id: alert_id(case),
        source: "sigma".into(),
        rule: RuleCard {
            id: RuleId::new("bench-rule"),
            title: "Inventory agent collects".into(),
            author: Some("watchfloor".into()),
            level: Severity::Medium,
            status: Some("test".into()),
            description: None,
            tags: vec![],
            false_positives: vec![],
            references: vec![],
            date: None,
        },
        host: HostName::new(host(case)),
        time: Timestamp::UNIX_EPOCH,
        event: event_id(&host(case)),
        event_kind: "Sysmon 1".into(),
        matched: vec![Quote { field: "winlog.event_data.CommandLine".into(), value: "--collect".into() }],
        entities: vec![],
        correlated: Default::default(),
    }
}

/// One call per move: the event, then searches that differ in their windows.
fn next(brief: &Brief, turns: &[Turn]) -> Result<Move, AnalystError> {
    let name = host(brief.case.number());
    let (tool, arguments) = match turns.len() {
        MOVES => return Ok(Move::Submit { draft: Box::new(draft()) }),
        0 => ("get_event", json!({"event": event_id(&name).as_str()})),
        move_number => {
            let to = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(i64::try_from(move_number).unwrap_or(1));
            (
                "search_winlog_events",
                json!({"host": name, "kinds": [{"code": 1}], "from": Timestamp::UNIX_EPOCH, "to": to}),
            )
        }
    };
    let calls = vec![ToolCall { tool: tool.into(), arguments }];
    Ok(Move::Calls { calls, because: "What did the process do?".into() })
}

/// Harmless on proof, with every question of the playbook answered: the longest way through check and route.
fn draft() -> Draft {
    let answers: Vec<Value> = playbook::GENERAL
        .iter()
        .map(|question| json!({"question": question.id, "answer": "yes", "evidence": ["E1"]}))
        .collect();
    let cite = |field: &str, value: &str, family: &str| {
        json!({
            "evidence": "E1",
            "quotes": [{"field": format!("winlog.event_data.{field}"), "value": value}],
            "says": "the inventory agent runs as the system, from where it was installed",
            "weight": "for_benign", "strength": "strong", "family": family,
        })
    };
    let draft = json!({
        "classification": "false_positive",
        "determination": "not_malicious",
        "malicious_probability": 0.01,
        "headline": "The inventory agent collects, as it does every day",
        "story": "The agent was started by the service manager and did what it is for.",
        "citations": [cite("IntegrityLevel", "System", "authority"), cite("Hashes", "SHA256=8D6A0CF1", "identity")],
        "answers": answers,
    });
    serde_json::from_value(draft).expect("it is a draft")
}

/// A floor without actors: a driver and its journal, with cases that wait for tier 1.
struct Setting {
    driver: Driver,
    leases: Vec<(CaseId, Lease)>,
    _folder: tempfile::TempDir,
}

impl Setting {
    /// Everything up to the claim, which is not measured.
    async fn with_cases(cases: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let journal: Arc<dyn Journal> = Arc::new(EmbeddedJournal::open(folder.path()).expect("a journal"));
        let shelf = (1..=cases).map(event).map(|event| (event.id.clone(), event)).collect();
        let events: Arc<dyn EventStore> = Arc::new(Shelf(shelf));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let alerts = Arc::new(AlertLog::open(journal.clone()).await.expect("an empty stream"));
        alerts.receive((1..=cases).map(alert).collect(), clock.now()).await.expect("room on the disk");
        let registry = Registry::standard();
        let analyst = Arc::new(ScriptedAnalyst::new(next).free());
        let seat = |tier| {
            let agent = Agent::shipped(tier, &registry).expect("it is sound");
            let budget = Budget { moves: 16, calls: 32, seconds: 600.0 };
            Seat::new(Agent { budget, ..agent }, analyst.clone(), &RoutePolicy::default(), &registry)
        };
        let driver = Driver {
            alerts,
            tier1: seat(Tier::One),
            tier2: seat(Tier::Two),
            door: Door::new(registry.clone(), clock.clone()),
            policy: RoutePolicy::default(),
            journal,
            events,
            clock,
        };
        let mut setting = Self { driver, leases: Vec::new(), _folder: folder };
        for case in 1..=cases {
            setting.open(CaseId::new(case)).await;
        }
        setting
    }

    /// Opens a case as intake does, and claims it.
    async fn open(&mut self, case: CaseId) {
        let (journal, now) = (self.driver.journal.clone(), self.driver.clock.now());
        let root = SpanRef { trace: ids::new_trace(), span: ids::new_span() };
        let alert = alert_id(case.number());
        let entries = vec![CaseEntry::Opened { alert, root }, CaseEntry::Ready];
        let put = QueueChange::Put { queue: Queue::Tier1, item: case.to_string(), rank: 2, not_before: None };
        let mut stream = CaseStream::open(journal.clone(), case, None).await.expect("an empty stream");
        let batch = Batch { entries, queues: vec![put], ..Batch::default() };
        stream.append(batch, now).await.expect("room on the disk");
        let claimed = journal.claim(Queue::Tier1, "bench", Duration::from_secs(600), now).await.expect("a queue");
        self.leases.push((case, claimed.expect("the case waits")));
    }

    /// Works on every case, so many at a time.
    async fn work(&self, in_flight: usize) -> Cost {
        let (cpu, wall) = (cost::cpu_seconds(), Instant::now());
        let working = stream::iter(self.leases.clone()).map(|(case, lease)| {
            let driver = self.driver.clone();
            // A task of its own, as a desk's slot is one.
            tokio::spawn(async move { driver.work(Tier::One, case, &lease).await.expect("the journal works") })
        });
        let outcomes: Vec<_> = working.buffer_unordered(in_flight).collect().await;
        let (wall, cpu_after) = (wall.elapsed().as_secs_f64(), cost::cpu_seconds());
        let cases = outcomes.len() as f64;
        for outcome in outcomes {
            assert_eq!(outcome.expect("no slot broke"), Outcome::Finished);
        }
        let cpu = cpu.zip(cpu_after).map(|(before, after)| (after - before) * 1000.0 / cases);
        Cost { cpu, wall: wall * 1000.0 / cases }
    }

    /// What was measured was the whole way: every case was judged after so many calls, and is held because the shelf
    /// does not show how its process ended.
    async fn check(&self) {
        for (case, _) in &self.leases {
            let stream = CaseStream::open(self.driver.journal.clone(), *case, None).await.expect("a stream");
            let log = stream.log();
            assert_eq!(log.status, Status::OnHold, "{case}: {:?}", log.decided_by);
            let calls = log.attempts[0].steps.values().filter(|step| step.what != "move").count();
            assert_eq!(calls, MOVES + 1, "{case}");
        }
    }
}

/// Milliseconds a case.
struct Cost {
    cpu: Option<f64>,
    wall: f64,
}

impl Cost {
    fn told(&self, what: &str) {
        let cpu = self.cpu.map_or_else(|| "not measured on this system".into(), |cpu| format!("{cpu:.2} ms"));
        println!("{what:<24} CPU {cpu} a case, wall {:.2} ms a case", self.wall);
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let told = |name: &str| std::env::var(name).ok();
    let cases = told("WATCHFLOOR_BENCH_CASES").and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    println!("{cases} cases of {MOVES} calls and a verdict; the bar is {BAR} ms CPU a case, {IN_FLIGHT} in flight");
    // A first round, so that neither measurement pays for what is done once.
    Setting::with_cases(cases.min(20)).await.work(4).await;

    let one_by_one = Setting::with_cases(cases).await;
    one_by_one.work(1).await.told("one after another:");
    one_by_one.check().await;

    let together = Setting::with_cases(cases).await;
    let cost = together.work(IN_FLIGHT).await;
    cost.told(&format!("{IN_FLIGHT} in flight:"));
    together.check().await;

    let above = cost.cpu.is_some_and(|cpu| cpu > BAR);
    if above {
        println!("above the bar");
    }
    let strict = told("WATCHFLOOR_BENCH_STRICT").is_some_and(|value| value == "1");
    if above && strict { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
