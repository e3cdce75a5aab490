//! The world of a test: three stores on a folder, a small log, and floors or drivers that work on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use watchfloor::analyst::Analyst;
use watchfloor::analyst::driver::{DriverError, Outcome, queue};
use watchfloor::domain::alert::{Alert, RuleCard, Severity};
use watchfloor::domain::entity::HostName;
use watchfloor::domain::event::{Event, Origin, SYSMON};
use watchfloor::domain::ids::{AlertId, CaseId, EventId, RuleId};
use watchfloor::domain::route::Tier;
use watchfloor::domain::trace::{SpanId, SpanRef, TraceId};
use watchfloor::floor::assembly::{Stores, assemble_with};
use watchfloor::floor::faults::Faults;
use watchfloor::floor::ingest;
use watchfloor::floor::shared::Shared;
use watchfloor::floor::tree::Floor;
use watchfloor::journal::case_log::CaseLog;
use watchfloor::journal::case_stream::{Batch, CaseStream};
use watchfloor::journal::effects::{DESK, DeskEffect};
use watchfloor::journal::entry::CaseEntry;
use watchfloor::ports::clock::Clock;
use watchfloor::ports::desk::NewComment;
use watchfloor::ports::events::EventRow;
use watchfloor::ports::journal::{Journal, Lease, QueueChange};

use super::clocks::{HandClock, at};

/// The case of most tests.
pub const CASE: CaseId = CaseId::new(1);

/// Who claims cases in a test without desks.
pub const OWNER: &str = "test";

/// Actors are named for the whole process, and tests share it.
static NAMES: AtomicU32 = AtomicU32::new(0);

pub struct World {
    _folder: TempDir,
    pub stores: Stores,
    pub clock: HandClock,
}

pub fn event(id: &str, seconds: i64, host: &str, (channel, code): (&str, u32), data: Value) -> Event {
    let Value::Object(document) = json!({"winlog": {"event_data": data}}) else { unreachable!("it is an object") };
    Event {
        id: EventId::new(id),
        time: at(seconds),
        host: HostName::new(host),
        channel: channel.into(),
        code,
        record_id: None,
        origin: Origin { file: "log.json".into(), line: 1 },
        document,
    }
}

/// A process creation `p-HOST` and its end, another's connection `n-HOST`, and before and after them what shows that
/// the machine was watched.
pub fn activity(host: &str, command_line: &str) -> Vec<Event> {
    let guid = format!("{{{host}}}");
    let process = json!({
        "Image": TOOL, "CommandLine": command_line, "IntegrityLevel": "Medium",
        "User": "NT AUTHORITY\\SYSTEM", "ProcessGuid": guid, "ProcessId": "4242", "ParentProcessGuid": "{0}",
        "ParentImage": AGENT,
    });
    let other = format!("{{other-{host}}}");
    let connection = json!({"Image": "C:\\Tools\\other.exe", "ProcessGuid": other, "DestinationIp": "192.0.2.1"});
    let mut events = vec![
        event(&format!("p-{host}"), 100, host, (SYSMON, 1), process),
        event(&format!("n-{host}"), 110, host, (SYSMON, 3), connection),
        event(&format!("e-{host}"), 120, host, (SYSMON, 5), json!({"ProcessGuid": guid})),
    ];
    for (seconds, code) in [-600, 3_600].into_iter().flat_map(|at| [1, 3, 10, 11, 13].map(|code| (at, code))) {
        let data = json!({"Image": "C:\\Windows\\System32\\svchost.exe", "ProcessGuid": "{1}"});
        events.push(event(&format!("w{seconds}-{code}-{host}"), seconds, host, (SYSMON, code), data));
    }
    events.extend(habit(command_line));
    events
}

/// The tool and the installed program that runs it.
const TOOL: &str = "C:\\Program Files\\Agent\\tool.exe";
const AGENT: &str = "C:\\Program Files\\Agent\\agent.exe";

/// The same start on other machines in the weeks before: nobody closes what is no habit.
fn habit(command_line: &str) -> Vec<Event> {
    let on = |(number, days): (usize, i64)| {
        let data = json!({
            "Image": TOOL, "CommandLine": command_line, "User": "NT AUTHORITY\\SYSTEM", "ParentImage": AGENT,
            "ProcessGuid": format!("{{habit-{number}}}"), "ProcessId": "4242", "ParentProcessGuid": "{0}",
        });
        event(&format!("h{number}-{command_line}"), -86_400 * days, &format!("OTHER-{number}"), (SYSMON, 1), data)
    };
    [20, 15, 10, 5].into_iter().enumerate().map(on).collect()
}

/// The alert `a-HOST` on the event `p-HOST`.
pub fn alert(host: &str, level: Severity) -> Alert {
    Alert {
        id: AlertId::new(format!("a-{host}")),
        source: "sigma".into(),
        rule: RuleCard {
            id: RuleId::new("rule"),
            title: "A tool that asks for everything".into(),
            author: None,
            level,
            status: None,
            description: None,
            tags: vec!["attack.discovery".into()],
            false_positives: vec![],
            references: vec![],
            date: None,
        },
        host: HostName::new(host),
        time: at(100),
        event: EventId::new(format!("p-{host}")),
        event_kind: "Sysmon 1".into(),
        matched: vec![],
        entities: vec![],
        correlated: Default::default(),
    }
}

impl World {
    /// A world with what happened on `WKS-1`.
    pub async fn new() -> Self {
        Self::with(activity("WKS-1", "tool.exe /all")).await
    }

    pub async fn with(events: Vec<Event>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let stores = Stores::open(folder.path(), &Faults::default()).expect("they open");
        stores.events.insert(events.into_iter().map(EventRow::from).collect()).await.expect("they are stored");
        Self { _folder: folder, stores, clock: HandClock::new() }
    }

    pub fn journal(&self) -> Arc<dyn Journal> {
        self.stores.journal.clone()
    }

    /// A process on this world's stores, with this journal between.
    pub async fn process_on(
        &self,
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
        tier1: Arc<dyn Analyst>,
        tier2: Arc<dyn Analyst>,
    ) -> Arc<Shared> {
        let name = format!("test-{}", NAMES.fetch_add(1, Ordering::Relaxed));
        let stores = Stores { journal, ..self.stores.clone() };
        assemble_with(name, stores, Faults::default(), clock, tier1, tier2).await.expect("it is assembled")
    }

    pub async fn process(&self, tier1: Arc<dyn Analyst>, tier2: Arc<dyn Analyst>) -> Arc<Shared> {
        self.process_on(self.journal(), Arc::new(self.clock.clone()), tier1, tier2).await
    }

    /// A case with these alerts that waits for tier 1, as intake would leave it.
    pub async fn waiting_case(&self, alerts: Vec<Alert>) {
        self.waiting_case_numbered(CASE, alerts).await;
    }

    pub async fn waiting_case_numbered(&self, case: CaseId, alerts: Vec<Alert>) {
        let log = watchfloor::journal::alert_log::AlertLog::open(self.journal()).await.expect("it is read");
        let ids: Vec<AlertId> = alerts.iter().map(|alert| alert.id.clone()).collect();
        log.receive(alerts, self.clock.now()).await.expect("they are stored");
        let root = SpanRef { trace: TraceId([0xaa; 16]), span: SpanId([0xbb; 8]) };
        let mut entries = vec![CaseEntry::Opened { alert: ids[0].clone(), root }];
        entries.extend(ids[1..].iter().map(joined));
        entries.push(CaseEntry::Ready);
        let put = QueueChange::Put { queue: queue(Tier::One), item: case.to_string(), rank: 2, not_before: None };
        let batch = Batch { entries, queues: vec![put], ..Batch::default() };
        self.stream_of(case).await.append(batch, self.clock.now()).await.expect("it is written");
    }

    /// The case's stream in another hand.
    pub async fn stream(&self) -> CaseStream {
        self.stream_of(CASE).await
    }

    pub async fn stream_of(&self, case: CaseId) -> CaseStream {
        CaseStream::open(self.journal(), case, None).await.expect("it is read")
    }

    pub async fn log(&self) -> CaseLog {
        self.stream().await.log().clone()
    }

    pub async fn claim(&self, tier: Tier) -> Option<Lease> {
        let ttl = Duration::from_secs(120);
        self.journal().claim(queue(tier), OWNER, ttl, self.clock.now()).await.expect("it is asked")
    }

    /// Lets a process work until no case waits, and says how the work ended each time.
    pub async fn drive(&self, process: &Shared) -> Result<Vec<Outcome>, DriverError> {
        let mut outcomes = Vec::new();
        for tier in [Tier::One, Tier::Two] {
            while let Some(lease) = self.claim(tier).await {
                let case = lease.item.parse().expect("it is a case");
                outcomes.push(process.driver.work(tier, case, &lease).await?);
            }
        }
        Ok(outcomes)
    }

    /// A dead process' leases are given back, as a desk does when it starts.
    pub async fn bury(&self) {
        self.journal().release_all(OWNER).await.expect("they are given back");
    }

    /// Everything the desk was asked to write, oldest first.
    pub async fn wishes(&self) -> Vec<DeskEffect> {
        let effects = self.journal().effects(DESK).await.expect("they are read");
        effects.iter().map(|effect| serde_json::from_str(&effect.wish.body).expect("it is a wish")).collect()
    }

    pub async fn comments(&self) -> Vec<NewComment> {
        let wishes = self.wishes().await.into_iter();
        wishes
            .filter_map(|wish| match wish {
                DeskEffect::Comment { comment, .. } => Some(comment),
                DeskEffect::State { .. } => None,
            })
            .collect()
    }

    /// What a case came to, without anything that may differ between two runs of the same: times, spans, numbers.
    pub async fn canonical(&self) -> Value {
        let log = self.log().await;
        let attempts = log.attempts.iter().map(|attempt| {
            let steps = attempt.steps.iter().map(|(ordinal, step)| {
                json!([ordinal, step.what, step.digest, step.done.as_ref().map(|(_, payload)| payload)])
            });
            json!({
                "number": attempt.number, "tier": attempt.tier, "alerts": attempt.alerts,
                "steps": steps.collect::<Vec<_>>(), "judged": attempt.judged, "card": attempt.card,
                "ended": attempt.ended.is_some(),
            })
        });
        let wishes = self.wishes().await;
        let newest = wishes.iter().rev().find_map(|wish| match wish {
            DeskEffect::State { state, .. } => Some(json!(state)),
            DeskEffect::Comment { .. } => None,
        });
        let mut newest = newest.unwrap_or_default();
        newest["version"] = Value::Null;
        json!({
            "status": log.status, "hold": log.hold, "decided_by": log.decided_by, "alerts": log.alerts,
            "attempts": attempts.collect::<Vec<_>>(), "concluded": log.concluded.is_some(), "state": newest,
            "proposals": log.proposals.iter().map(|p| json!([p.proposal, p.decision])).collect::<Vec<_>>(),
            "comments": self.comments().await.iter().map(|c| json!([c.key, c.author, c.text])).collect::<Vec<_>>(),
        })
    }
}

pub fn joined(alert: &AlertId) -> CaseEntry {
    CaseEntry::Joined { alert: alert.clone(), reason: "same host".into() }
}

/// Delivers alerts to a floor and says that this was all.
pub async fn deliver(floor: &Floor, alerts: Vec<Alert>) {
    let shared = floor.shared();
    shared.alerts.receive(alerts, shared.clock.now()).await.expect("they are stored");
    ingest::caught_up(shared).await.expect("it is written");
}
