//! Real recordings, where they lie beside the repository: no attack is missed, none is closed by machine, and every
//! quote of every verdict is found in the input, read here independently of the program's own reader.

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Instant;

use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};
use support::program::{State, shown};

/// The shape of log that this version reads.
const SHAPE: &str = "otrf-flat-nxlog";

/// So many recordings from the beginning of the alphabet.
const FIRST: usize = 6;

/// So many with those that move from host to host.
const WITH_LATERAL_MOVEMENT: usize = 8;

/// The folder of recordings: `WATCHFLOOR_SHARED`, or `shared` beside the repository.
fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("WATCHFLOOR_SHARED").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(|parent| parent.join("shared"));
    named.or_else(beside).filter(|folder| folder.join("data/scenarios").is_dir())
}

/// A labelled recording.
struct Recording {
    id: String,
    log: PathBuf,
    label: Value,
}

impl Recording {
    fn read(folder: &Path) -> Option<Self> {
        let label: Value = serde_json::from_reader(File::open(folder.join("label.json")).ok()?).ok()?;
        let log = folder.join(label["file"]["name"].as_str()?);
        Some(Self { id: label["id"].as_str()?.to_owned(), log, label })
    }

    fn is_readable_attack(&self) -> bool {
        self.label["kind"] == "attack" && self.label["shape"] == SHAPE
    }

    fn moves_laterally(&self) -> bool {
        self.label["tactics"]
            .as_array()
            .is_some_and(|tactics| tactics.iter().any(|tactic| tactic == "lateral-movement"))
    }

    /// Short names of the hosts that the attack came from or reached.
    fn attacked(&self) -> Vec<String> {
        let hosts = ["compromised", "origin"].map(|part| self.label["hosts"][part].as_array());
        hosts.into_iter().flatten().flatten().filter_map(Value::as_str).map(short).collect()
    }

    /// Its records, as the file has them.
    fn records(&self) -> Vec<Map<String, Value>> {
        let file = File::open(&self.log).expect("the recording is there");
        let lines = BufReader::new(MultiGzDecoder::new(file)).lines();
        lines.map(|line| serde_json::from_str(&line.expect("the archive is whole")).expect("a record")).collect()
    }
}

/// A host's name without its domain, in lower case.
fn short(name: &str) -> String {
    name.split('.').next().unwrap_or(name).to_lowercase()
}

/// The attacks that are run: the first of the alphabet, then those that move from host to host.
fn chosen(scenarios: &Path) -> Vec<Recording> {
    let folders = std::fs::read_dir(scenarios).expect("the recordings are readable");
    let mut all: Vec<Recording> = folders
        .filter_map(|folder| Recording::read(&folder.ok()?.path()))
        .filter(Recording::is_readable_attack)
        .collect();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    let rest = all.split_off(all.len().min(FIRST));
    all.extend(rest.into_iter().filter(Recording::moves_laterally));
    all.truncate(WITH_LATERAL_MOVEMENT);
    all
}

/// The name in the file of a field of the stored event.
fn flat(field: &str) -> &str {
    match field {
        "message" => "Message",
        "host.name" | "winlog.computer_name" => "Hostname",
        "event.code" | "winlog.event_id" => "EventID",
        "winlog.channel" => "Channel",
        "event.provider" | "winlog.provider_name" => "SourceName",
        "winlog.record_id" => "RecordNumber",
        field => field.strip_prefix("winlog.event_data.").unwrap_or(field),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Whether one record of the file has the host, the kind and all quotes of a cited event.
fn is_in_file(records: &[Map<String, Value>], item: &Value) -> bool {
    let quotes = item["quotes"].as_array().expect("a cited event is quoted");
    let code = item["kind"].as_str().and_then(|kind| kind.rsplit(' ').next()).unwrap_or_default();
    let host = item["host"].as_str().map(short).unwrap_or_default();
    let has = |record: &Map<String, Value>, field: &str, wanted: &str| {
        record.get(flat(field)).is_some_and(|value| text(value).contains(wanted))
    };
    let is_cited = |record: &&Map<String, Value>| {
        record.get("EventID").is_some_and(|value| text(value) == code)
            && record.get("Hostname").is_some_and(|value| short(&text(value)) == host)
            && quotes.iter().all(|quote| {
                let part = |name: &str| quote[name].as_str().unwrap_or_default();
                !part("value").is_empty() && has(record, part("field"), part("value"))
            })
    };
    records.iter().any(|record| is_cited(&record))
}

fn hosts(case: &Value) -> Vec<String> {
    let hosts = case["state"]["hosts"].as_array();
    hosts.into_iter().flatten().filter_map(Value::as_str).map(short).collect()
}

#[test]
fn no_attack_is_missed_or_closed_and_every_quote_is_in_the_recording() {
    let Some(shared) = shared() else {
        println!("skipped: no recordings beside the repository, and WATCHFLOOR_SHARED names none");
        return;
    };
    let rules = shared.join("data/sigma-rules.tar.gz");
    let recordings = chosen(&shared.join("data/scenarios"));
    assert_eq!(recordings.len(), WITH_LATERAL_MOVEMENT, "recordings of the shape that is read");
    let mut failures = Vec::new();
    println!(
        "{:<66} {:>7} {:>6} {:>5} {:>4} {:>4} {:>4} {:>6} {:>7}",
        "recording", "events", "alerts", "cases", "tp", "hold", "res", "quotes", "seconds"
    );
    for recording in &recordings {
        let began = Instant::now();
        let state = State::new();
        let ended = state.run(&["triage", shown(&recording.log), "--rules", shown(&rules), "--json"]).expect_finished();
        let seconds = began.elapsed().as_secs_f64();
        let report = ended.json();
        let cases: Vec<&Value> =
            report["cases"].as_array().expect("cases").iter().map(|thread| &thread["case"]).collect();
        let attacked = recording.attacked();
        let concerns = |case: &&&Value| hosts(case).iter().any(|host| attacked.contains(host));
        let is_true_positive = |case: &Value| case["state"]["verdict"]["classification"] == "true_positive";
        let asks = |case: &Value| {
            let question = case["state"]["hold"]["ask"]["question"].as_str();
            case["state"]["status"] == "on_hold" && question.is_some_and(|question| !question.trim().is_empty())
        };
        let is_resolved = |case: &Value| matches!(case["state"]["status"].as_str(), Some("resolved" | "closed"));
        let mut fail = |what: String| failures.push(format!("{}: {what}", recording.id));

        if !cases.iter().filter(concerns).any(|case| is_true_positive(case) || asks(case)) {
            fail("the attack is missed".into());
        }
        for case in cases.iter().filter(concerns).filter(|case| is_resolved(case)) {
            fail(format!("{} is resolved by machine on an attacked host", case["id"]));
        }
        for case in cases.iter().filter(|case| case["state"]["status"] == "on_hold" && !asks(case)) {
            fail(format!("{} is on hold and asks nothing", case["id"]));
        }
        let records = recording.records();
        if report["inputs"][0]["events"] != records.len() {
            fail(format!("{} events of {} records", report["inputs"][0]["events"], records.len()));
        }
        let mut quoted = 0;
        for case in cases.iter().filter(|case| case["state"]["status"] != "merged") {
            let evidence = case["state"]["verdict"]["evidence"].as_array().map(Vec::as_slice).unwrap_or_default();
            let seen: Vec<&Value> = evidence.iter().filter(|item| item["is"] == "seen").collect();
            if seen.is_empty() {
                fail(format!("{} cites no event", case["id"]));
            }
            for item in seen {
                quoted += item["quotes"].as_array().map_or(0, Vec::len);
                if !is_in_file(&records, item) {
                    fail(format!("{} cites what the recording does not have: {item}", case["id"]));
                }
            }
        }
        let count = |is: &dyn Fn(&Value) -> bool| cases.iter().filter(|case| is(case)).count();
        println!(
            "{:<66} {:>7} {:>6} {:>5} {:>4} {:>4} {:>4} {:>6} {:>7.1}",
            recording.id,
            records.len(),
            report["inputs"][0]["alerts"].as_u64().unwrap_or_default(),
            cases.len(),
            count(&is_true_positive),
            count(&asks),
            count(&is_resolved),
            quoted,
            seconds
        );
    }
    assert!(failures.is_empty(), "{} failures, first\n{}", failures.len(), {
        failures.truncate(10);
        failures.join("\n")
    });
}
