//! What the event store costs: events a second of its writer, bytes an event, and milliseconds of each question.
//!
//! The events are made up for it: Sysmon's commonest kinds in a usual mixture on 20 machines over 30 days, about as
//! long as real ones. Everything runs on one real file in a temporary folder.
//!
//! `WATCHFLOOR_BENCH_EVENTS=N` changes how many there are; the default is 100,000.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use watchfloor::adapters::embedded::events::EmbeddedEvents;
use watchfloor::domain::entity::HostName;
use watchfloor::domain::event::{Event, Origin, SYSMON};
use watchfloor::domain::ids::EventId;
use watchfloor::ports::events::mention::Mention;
use watchfloor::ports::events::prevalence::{Habit, PrevalenceQuery};
use watchfloor::ports::events::retention::RetentionPolicy;
use watchfloor::ports::events::tally::{Bin, Dimension, Grouping, TallyQuery};
use watchfloor::ports::events::text::TextQuery;
use watchfloor::ports::events::{Comparison, Condition, EventQuery, EventRow, EventStore, Kind, Watermark};
use watchfloor::ports::storage::StorageError;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many events there are unless told otherwise.
const EVENTS: usize = 100_000;
/// Events that are stored together, as an import does.
const BATCH: usize = 500;
/// Days over which they are spread.
const DAYS: i64 = 30;
/// How often each question is asked; the median counts.
const TIMES: usize = 7;

fn begin() -> Timestamp {
    Timestamp::from_second(1_790_000_000).expect("it is a time")
}

/// A sequence of numbers that looks random and is the same every time.
struct Mixed(u64);

impl Mixed {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn event(number: usize, total: usize, mixed: &mut Mixed) -> Event {
    let seconds = DAYS * 86_400 * number as i64 / total as i64;
    let (host, run, program) = (mixed.below(20), mixed.below(50_000), mixed.below(200));
    let image = format!(r"C:\Program Files\Vendor {program}\bin\program{program}.exe");
    let guid = |n: u64| format!("{{0197231E-4A83-11EE-{:04X}-0242AC{n:06X}}}", host);
    let user = format!(r"CORP\user.number{}", mixed.below(40));
    let mut data = json!({"RuleName": "-", "UtcTime": "2026-09-21 14:13:20.123", "ProcessGuid": guid(run),
        "ProcessId": (run % 9_000).to_string(), "Image": image, "User": user});
    let hashes = format!("SHA1={run:040X},MD5={program:032X},SHA256={program:064X},IMPHASH={program:032X}");
    let (code, more) = match mixed.below(100) {
        0..12 => (
            1,
            json!({"CommandLine": format!("\"{image}\" /quiet /job:{run} --config \"C:\\ProgramData\\Vendor\\{program}.xml\""),
                "CurrentDirectory": r"C:\Windows\system32\", "ParentImage": r"C:\Windows\System32\svchost.exe",
                "ParentCommandLine": r"C:\Windows\system32\svchost.exe -k netsvcs -p -s Schedule",
                "ParentProcessGuid": guid(run / 7), "IntegrityLevel": "System", "Hashes": hashes, "Company": "Vendor",
                "OriginalFileName": format!("program{program}.exe"), "LogonId": "0x3e7"}),
        ),
        12..25 => (
            3,
            json!({"SourceIp": format!("10.0.{host}.7"), "DestinationIp": format!("192.0.2.{}", mixed.below(250)),
                "DestinationPort": "443", "Protocol": "tcp", "Initiated": "true", "SourcePort": "50123"}),
        ),
        25..50 => (
            7,
            json!({"ImageLoaded": format!(r"C:\Windows\System32\library{}.dll", mixed.below(400)), "Hashes": hashes,
                "Signed": "true", "Signature": "Vendor Corporation", "SignatureStatus": "Valid"}),
        ),
        50..65 => (
            10,
            json!({"SourceProcessGUID": guid(run), "SourceImage": image, "TargetProcessGUID": guid(run / 3),
                "TargetImage": r"C:\Windows\System32\services.exe", "GrantedAccess": "0x1000",
                "CallTrace": "C:\\Windows\\SYSTEM32\\ntdll.dll+9d5a4|C:\\Windows\\System32\\KERNELBASE.dll+2c13e"}),
        ),
        65..80 => (
            11,
            json!({"TargetFilename": format!(r"C:\Users\user{host}\AppData\Local\Temp\file{run}.tmp"),
                "CreationUtcTime": "2026-09-21 14:13:20.123"}),
        ),
        80..95 => (
            13,
            json!({"EventType": "SetValue", "Details": "DWORD (0x00000001)",
                "TargetObject": format!(r"HKLM\SOFTWARE\Vendor\{program}\Settings\Value{}", run % 60)}),
        ),
        _ => (
            22,
            json!({"QueryName": format!("host{program}.files.example"), "QueryStatus": "0",
                "QueryResults": format!("192.0.2.{};", program)}),
        ),
    };
    if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
        data.extend(more);
    }
    let lines: Vec<String> =
        data.as_object().into_iter().flatten().map(|(name, value)| format!("{name}: {value}")).collect();
    let mut document = Map::new();
    document.insert("message".into(), json!(format!("An event of the sensor:\r\n{}", lines.join("\r\n"))));
    document.insert("host".into(), json!({"name": format!("wks-{host:02}.corp.example")}));
    document.insert("process".into(), json!({"executable": image, "entity_id": guid(run), "pid": run % 9_000}));
    document.insert(
        "winlog".into(),
        json!({"channel": SYSMON, "event_id": code, "record_id": number.to_string(),
        "computer_name": format!("wks-{host:02}.corp.example"), "event_data": data}),
    );
    Event {
        id: EventId::new(format!("{:016x}{:016x}", mixed.0, number)),
        time: begin() + SignedDuration::new(seconds, i32::try_from(mixed.below(999_999_999)).unwrap_or(0)),
        host: HostName::new(format!("WKS-{host:02}.corp.example")),
        channel: SYSMON.into(),
        code,
        record_id: Some(number.to_string()),
        origin: Origin { file: "made-up.ndjson".into(), line: number as u64 },
        document,
    }
}

/// The median of a few runs, with what the last of them gave.
async fn ask<T>(what: &str, mut question: impl AsyncFnMut() -> Result<T, StorageError>, say: impl Fn(&T) -> String) {
    let mut took = Vec::new();
    let mut last = None;
    for _ in 0..TIMES {
        let begun = Instant::now();
        last = Some(question().await.expect("it answers"));
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let milliseconds = took[TIMES / 2].as_secs_f64() * 1_000.0;
    println!("  {milliseconds:>9.2} ms  {what}: {}", last.as_ref().map(say).unwrap_or_default());
}

/// CPU seconds of the threads whose name begins like this, where the system tells.
fn cpu(name: &str) -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let ticks = threads.filter_map(|thread| {
        let of = std::fs::read_to_string(thread.path().join("comm")).ok()?;
        let stat = std::fs::read_to_string(thread.path().join("stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
        of.starts_with(name).then_some(ticks)
    });
    // Linux shows 100 ticks a second to every program.
    ticks.sum::<f64>() / 100.0
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(measure());
}

async fn measure() {
    let total = std::env::var("WATCHFLOOR_BENCH_EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(EVENTS);
    let folder = tempfile::tempdir().expect("a folder");
    let store = EmbeddedEvents::open(folder.path()).expect("it opens");
    let mut mixed = Mixed(7);
    let batches: Vec<Vec<Event>> = (0..total.div_ceil(BATCH))
        .map(|batch| (batch * BATCH..total.min((batch + 1) * BATCH)).map(|n| event(n, total, &mut mixed)).collect())
        .collect();
    let document: usize =
        batches.iter().flatten().take(1_000).map(|e| Value::Object(e.document.clone()).to_string().len()).sum();
    println!("{total} events of about {} bytes of JSON", document / total.min(1_000));

    let (begun, mut last) = (Instant::now(), Vec::new());
    for batch in batches {
        last = batch.clone();
        store.insert(batch.into_iter().map(EventRow::from).collect()).await.expect("they are stored");
    }
    let took = begun.elapsed().as_secs_f64();
    let writer = cpu("writer");
    println!("stored in {took:.1} s: {:.0} events/s with encoding in turn", total as f64 / took);
    println!("the writer's thread used {writer:.1} s of CPU: {:.0} events/s alone", total as f64 / writer);
    let size = store.size().await.expect("it is read");
    println!("(of {} the words were indexed meanwhile)", total as u64 - size.unindexed);
    println!("{} bytes of disk an event without full text", size.bytes / total as u64);

    let begun = Instant::now();
    while store.size().await.expect("it is read").unindexed > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!(
        "words indexed in {:.1} s: {:.0} events/s",
        begun.elapsed().as_secs_f64(),
        total as f64 / begun.elapsed().as_secs_f64()
    );
    let size = store.size().await.expect("it is read");
    println!("{} bytes of disk an event with full text", size.bytes / total as u64);
    questions(&store, &last).await;
}

async fn questions(store: &EmbeddedEvents, last: &[Event]) {
    let (from, all) = (begin(), Watermark(u64::MAX));
    let to = from + SignedDuration::from_hours(24 * DAYS);
    let fleet = || EventQuery { limit: 25, ..EventQuery::within(from, to, all) };
    let host = HostName::new("wks-07");
    let hour = (from + SignedDuration::from_hours(300), from + SignedDuration::from_hours(301));
    let of_host = || EventQuery { host: Some(host.clone()), ..fleet() };
    let about = |mention: Mention| EventQuery { mentions: vec![mention], ..fleet() };
    let text = |words: &str| EventQuery { text: TextQuery::new(words), ..fleet() };
    let field = |value: &str| Condition {
        field: "winlog.event_data.CommandLine".into(),
        comparison: Comparison::Contains,
        value: value.into(),
    };
    let some = last.last().expect("there is one");
    println!("questions, median of {TIMES}:");
    ask("get an event", async || store.get(&some.id).await, |found| found.is_some().to_string()).await;
    let searches = [
        ("a host's hour", EventQuery { from: hour.0, to: hour.1, ..of_host() }),
        (
            "a kind on a host, 30 days",
            EventQuery { kinds: vec![Kind { channel: Some(SYSMON.into()), code: 1 }], ..of_host() },
        ),
        ("a process", EventQuery { process: some.data("ProcessGuid").map(str::to_owned), ..of_host() }),
        ("a user, fleet, 30 days", about(Mention::account("user.number7"))),
        ("a user on a host", EventQuery { host: Some(host.clone()), ..about(Mention::account("user.number7")) }),
        ("a file by name", about(Mention::file("library7.dll"))),
        ("a file by path", about(Mention::file(r"C:\Windows\System32\library7.dll"))),
        ("a registry key", about(Mention::registry(r"HKLM\SOFTWARE\Vendor\7\Settings"))),
        ("an address", about(Mention::address("192.0.2.7".parse().expect("an address")))),
        ("a domain", about(Mention::domain("host7.files.example"))),
        ("words, few events", text("program7.exe job schedule")),
        ("a word's beginning, many events", text("sched")),
        (
            "a field that contains, kind, fleet",
            EventQuery { conditions: vec![field("/job:7")], kinds: vec![Kind { channel: None, code: 1 }], ..fleet() },
        ),
        ("a field that contains, everything", EventQuery { conditions: vec![field("/job:7")], ..fleet() }),
    ];
    for (what, query) in searches {
        ask(what, async || store.search(&query).await, |found| format!("{} events", found.total)).await;
    }
    let tally = |events: EventQuery, by: Vec<Dimension>| TallyQuery {
        events,
        by: Grouping::new(by).expect("it is one to three"),
    };
    let user = || Dimension::Field("winlog.event_data.User".into());
    let tallies = [
        ("count by kind, everything", tally(fleet(), vec![Dimension::Kind])),
        ("count by host and day, everything", tally(fleet(), vec![Dimension::Host, Dimension::Time(Bin::Day)])),
        ("count by a field, one host", tally(of_host(), vec![user()])),
        ("count by a field, everything", tally(fleet(), vec![user()])),
    ];
    for (what, query) in tallies {
        ask(
            what,
            async || store.tally(&query).await,
            |tally| format!("{} groups of {} events", tally.groups_total, tally.events_total),
        )
        .await;
    }
    let image = r"C:\Program Files\Vendor 7\bin\program7.exe";
    let habits = [
        ("prevalence of a program", Habit::program(image)),
        (
            "prevalence of a command",
            Habit::command(image, &format!("\"{image}\" /quiet /job:77 --config \"C:\\ProgramData\\Vendor\\7.xml\"")),
        ),
        ("prevalence of a common parent pair", Habit::parentage(r"C:\Windows\System32\svchost.exe", image)),
        ("prevalence of a domain", Habit::domain("host7.files.example")),
        ("prevalence of a hash", Habit::hash(&format!("{:064x}", 7))),
    ];
    for (what, of) in habits {
        let query = PrevalenceQuery { of, host: host.clone(), from, to, except: Some(hour), watermark: all };
        ask(
            what,
            async || store.prevalence(&query).await,
            |p| format!("{} events, {} hosts, {} days", p.fleet.events, p.fleet.hosts, p.fleet.days),
        )
        .await;
    }
    let kind = Kind { channel: Some(SYSMON.into()), code: 3 };
    ask("a sensor", async || store.sensor(&host, &kind, hour.0, hour.1, all).await, |seen| seen.is_alive().to_string())
        .await;
    ask(
        "a sensor's facts, 2 days",
        async || store.sensor_facts(&host, hour.0, hour.1 + SignedDuration::from_hours(47), all).await,
        |facts| format!("{} kinds", facts.kinds.len()),
    )
    .await;
    ask(
        "a sensor's facts, 30 days",
        async || store.sensor_facts(&host, from, to, all).await,
        |facts| format!("{} kinds", facts.kinds.len()),
    )
    .await;
    ask("the history", async || store.history(all).await, |history| format!("{} days", history.days())).await;
    let before = Some(from + SignedDuration::from_hours(24 * 3));
    let begun = Instant::now();
    let pruned =
        store.retain(&RetentionPolicy { before, ..RetentionPolicy::default() }, &[]).await.expect("it is done");
    println!(
        "removed {} events in {:.2} s: {:.0} events/s",
        pruned.removed,
        begun.elapsed().as_secs_f64(),
        pruned.removed as f64 / begun.elapsed().as_secs_f64()
    );
}
