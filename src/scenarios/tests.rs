//! The shipped scenarios and their office: labels and events tell one story, twins share a rule and nothing else, and
//! the background is what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use serde_json::Value;

use super::background::Act;
use super::folder::logs_in;
use super::label::Kind;
use super::office::{OFFICE, hashes};
use super::*;
use crate::detection::read::EventLog;
use crate::detection::sigma::{Detector, RuleSet};
use crate::domain::event::Event;

/// A scenario as it lies in the repository.
struct Written {
    label: Label,
    folder: PathBuf,
    raw: Vec<Value>,
}

/// Read from the disk: what is compiled in may be older.
static WRITTEN: LazyLock<Vec<Written>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut all: Vec<Written> = std::fs::read_dir(root)
        .expect("the scenarios are there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|folder| folder.join("label.json").is_file())
        .map(|folder| {
            let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("it is there");
            let label = serde_json::from_str(&read("label.json")).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
            let raw = read("events.ndjson").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            Written { label, folder, raw }
        })
        .collect();
    all.sort_by(|one, other| one.label.id.cmp(&other.label.id));
    all
});

static RULES: LazyLock<Arc<RuleSet>> = LazyLock::new(|| {
    Arc::new(RuleSet::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")).expect("the rules are there"))
});

/// Titles of the rules that fire on events.
fn fired(events: impl IntoIterator<Item = Event>) -> BTreeMap<String, u64> {
    let mut detector = Detector::new(RULES.clone());
    let mut alerts: Vec<_> = events.into_iter().flat_map(|event| detector.detect(&event)).collect();
    alerts.extend(detector.settle());
    let mut fired = BTreeMap::new();
    alerts.into_iter().for_each(|alert| *fired.entry(alert.rule.title).or_default() += 1);
    fired
}

/// The titles in a rule's file; a correlation's file has several.
fn titles(rule: &str) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let name = rule.rsplit('/').next().expect("a name");
    let file = std::fs::read_dir(root)
        .expect("the rules are there")
        .map(|entry| entry.expect("an entry").path().join(format!("{name}.yml")))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("no rule file is called {rule}"));
    let text = std::fs::read_to_string(file).expect("it is text");
    let title = |line: &str| Some(line.strip_prefix("title: ")?.trim_matches('\'').replace("''", "'"));
    text.lines().filter_map(title).collect()
}

impl Written {
    fn events(&self) -> Vec<Event> {
        let logs = logs_in(&self.folder).expect("it has logs");
        logs.iter().flat_map(|log| EventLog::open(log).expect("a log")).collect()
    }

    fn act(&self) -> Act {
        let mut act = Act::default();
        self.events().iter().for_each(|event| act.see(event.host.key(), event.time));
        act
    }

    fn data(record: &Value) -> &serde_json::Map<String, Value> {
        record["winlog"]["event_data"].as_object().expect("event data")
    }
}

fn background_of(written: &Written) -> Vec<Value> {
    let background = written.label.background.expect("it names its background");
    background.lines(&written.act()).iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// One of them, made once: most tests need a background, and none needs a particular one.
static LIFE: LazyLock<Vec<Value>> = LazyLock::new(|| background_of(&WRITTEN[0]));

fn normalised(records: &[Value]) -> Vec<Event> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("life.ndjson");
    let text: String = records.iter().map(|record| format!("{record}\n")).collect();
    std::fs::write(&file, text).expect("it is written");
    EventLog::open(&file).expect("a log").collect()
}

#[test]
fn labels_say_that_they_are_written_and_tell_the_events_story() {
    assert!(WRITTEN.len() >= 16, "{}", WRITTEN.len());
    for written in WRITTEN.iter() {
        let (label, id) = (&written.label, &written.label.id);
        assert_eq!(written.folder.file_name().and_then(|name| name.to_str()), Some(id.as_str()));
        assert!(label.written && !label.title.is_empty(), "{id}");
        assert!(written.raw.iter().all(|record| record["tags"][0] == "written-not-recorded"), "{id}");
        let malicious = label.kind == Kind::Attack;
        assert_eq!(label.expected.verdict, if malicious { "malicious" } else { "benign" }, "{id}");
        assert!(!malicious || !label.expected.closable, "{id}: an attack is never closable");
        assert!(!(label.expected.closable && label.expected.mandatory_human), "{id}: a person decides");
        assert!(malicious || !label.expected.proof.is_empty(), "{id}: on what proof, or why not");
        assert!(malicious || label.expected.must_not_isolate == ["*"], "{id}");
        let hosts: BTreeSet<String> = written.events().iter().map(|event| event.host.key().to_uppercase()).collect();
        assert!(label.hosts.all().next().is_some(), "{id}");
        for host in label.hosts.all().chain(&label.expected.isolate) {
            assert!(hosts.contains(host), "{id}: {host} is not in the events");
        }
        for words in &label.expected.must_cite {
            let in_one = |record: &Value| {
                Written::data(record).values().any(|value| value.as_str().is_some_and(|text| text.contains(words)))
            };
            assert!(written.raw.iter().any(in_one), "{id}: `{words}` is not in the events");
        }
    }
}

#[test]
fn every_scenario_raises_alerts_and_twins_share_a_rule() {
    let by_id: BTreeMap<&str, &Written> = WRITTEN.iter().map(|written| (written.label.id.as_str(), written)).collect();
    let mut pairs = 0;
    for written in WRITTEN.iter() {
        let id = &written.label.id;
        let seen = fired(written.events());
        assert!(!seen.is_empty(), "{id} raises nothing");
        assert!(!written.label.shared_rules.is_empty(), "{id}");
        for rule in &written.label.shared_rules {
            let titles = titles(rule);
            assert!(titles.iter().any(|title| seen.contains_key(title)), "{id}: {rule} does not fire, but {seen:?}");
        }
        let Some(twin) = &written.label.twin else { continue };
        let twin = &by_id.get(twin.as_str()).unwrap_or_else(|| panic!("{id} has no twin {twin}")).label;
        assert_eq!(twin.twin.as_ref(), Some(id));
        assert_ne!(twin.kind, written.label.kind, "{id}");
        assert_eq!(twin.shared_rules, written.label.shared_rules, "{id}");
        pairs += 1;
    }
    assert!(pairs / 2 >= 8, "{pairs}");
}

#[test]
fn benign_halves_raise_nothing_but_what_they_share() {
    for written in WRITTEN.iter().filter(|written| written.label.kind == Kind::Benign) {
        let shared: BTreeSet<String> = written.label.shared_rules.iter().flat_map(|rule| titles(rule)).collect();
        let other: Vec<String> = fired(written.events()).into_keys().filter(|title| !shared.contains(title)).collect();
        assert!(other.is_empty(), "{}: {other:?}", written.label.id);
    }
}

#[test]
fn acts_and_background_are_of_one_office() {
    let mut fields: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let names = |record: &Value| Written::data(record).keys().cloned().collect::<BTreeSet<String>>();
    let kind = |record: &Value| {
        (record["winlog"]["channel"].to_string(), record["winlog"]["event_id"].as_str().unwrap_or_default().to_owned())
    };
    for record in LIFE.iter() {
        let known = fields.entry(kind(record)).or_insert_with(|| names(record));
        assert_eq!(*known, names(record), "{record}");
    }
    for written in WRITTEN.iter() {
        for record in &written.raw {
            let data = Written::data(record);
            let text = |name: &str| data.get(name).and_then(Value::as_str);
            // What Windows writes does not depend on who tells of it.
            if let Some(known) = fields.get(&kind(record)) {
                assert_eq!(*known, names(record), "{} {record}", written.label.id);
            }
            if let (Some(found), Some(image)) = (text("Hashes"), text("ImageLoaded").or(text("Image"))) {
                assert_eq!(found, hashes(image), "{}", written.label.id);
            }
            let name = record["winlog"]["computer_name"].as_str().and_then(|name| name.split('.').next());
            let host = OFFICE.host(name.expect("a name")).expect("a machine of the office");
            for guid in ["ProcessGuid", "ParentProcessGuid", "SourceProcessGUID", "LogonGuid"] {
                let of_it =
                    text(guid).is_none_or(|guid| guid[1..].starts_with(&host.mark()) || guid[1..].starts_with("0000"));
                assert!(of_it, "{}: {guid} of {record}", written.label.id);
            }
        }
    }
}

#[test]
fn processes_of_an_act_start_before_they_act() {
    for written in WRITTEN.iter() {
        let mut started = BTreeMap::new();
        for event in written.events().iter().filter(|event| event.is_sysmon(1)) {
            started.insert(event.document["winlog"]["event_data"]["ProcessGuid"].to_string(), event.time);
        }
        for event in written.events() {
            let guid = event.document["winlog"]["event_data"]["ProcessGuid"].to_string();
            if let Some(start) = started.get(&guid) {
                assert!(*start <= event.time, "{}: {guid} acts before it starts", written.label.id);
            }
        }
        let times: Vec<Timestamp> = written.events().iter().map(|event| event.time).collect();
        assert!(times.is_sorted(), "{}", written.label.id);
    }
}

#[test]
fn the_background_is_the_same_every_time_and_of_a_handy_size() {
    let written = &WRITTEN[0];
    let background = written.label.background.expect("it names its background");
    let act = written.act();
    let lines = background.lines(&act);
    assert_eq!(lines, background.lines(&act));
    assert!((10_000..=20_000).contains(&lines.len()), "{}", lines.len());
    let other = Background { seed: background.seed + 1, ..background };
    assert_ne!(lines, other.lines(&act));
    let hosts: BTreeSet<&str> = LIFE.iter().filter_map(|record| record["winlog"]["computer_name"].as_str()).collect();
    assert_eq!(hosts.len(), 20);
    let times: Vec<&str> = LIFE.iter().filter_map(|record| record["@timestamp"].as_str()).collect();
    assert!(times.is_sorted());
    let days: BTreeSet<&str> = times.iter().map(|time| &time[..10]).collect();
    assert_eq!(days.len(), 30);
    let mut numbers: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for record in LIFE.iter() {
        let winlog = &record["winlog"];
        let of = (winlog["computer_name"].as_str().expect("text"), winlog["channel"].as_str().expect("text"));
        let number = winlog["record_id"].as_i64().expect("a number");
        let before = numbers.insert(of, number);
        assert!(before.is_none_or(|before| before < number), "records of a log are numbered upwards: {record}");
    }
}

#[test]
fn what_is_closable_is_usual_in_the_background_and_nothing_else_is_loud_there() {
    let mut where_and_when: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    let mut detector = Detector::new(RULES.clone());
    let mut alerts = Vec::new();
    for event in normalised(&LIFE) {
        alerts.extend(detector.detect(&event));
    }
    alerts.extend(detector.settle());
    for alert in alerts {
        let (hosts, days) = where_and_when.entry(alert.rule.title).or_default();
        hosts.insert(alert.host.key().to_owned());
        days.insert(alert.time.to_string()[..10].to_owned());
    }
    let benign = || WRITTEN.iter().filter(|written| written.label.kind == Kind::Benign);
    let mut usual = BTreeSet::new();
    for written in benign() {
        for rule in &written.label.shared_rules {
            let titles = titles(rule);
            let found = where_and_when.iter().find(|(title, _)| titles.contains(*title));
            let (_, (hosts, days)) = found.unwrap_or_else(|| panic!("{rule} never fires in ordinary life"));
            assert!(hosts.len() >= 3 && days.len() >= 3, "{rule}: {} hosts, {} days", hosts.len(), days.len());
            usual.extend(titles);
        }
    }
    let loud: Vec<&String> = where_and_when.keys().filter(|title| !usual.contains(*title)).collect();
    assert!(loud.is_empty(), "ordinary life raises {loud:?}");
}

#[test]
fn a_scenario_is_written_whole_and_only_where_nothing_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let shipped = Scenario::shipped().expect("they are sound");
    // All that the demonstration plays has one background.
    let of_the_day = shipped.iter().filter(|one| one.label.background.is_some_and(|background| background.seed == 7));
    assert!(of_the_day.count() >= 8);
    assert_eq!(shipped.len(), WRITTEN.len());
    let whole = shipped[0].materialise(folder.path()).expect("it is written");
    for file in ["label.json", "events.ndjson", "baseline.ndjson.gz", "context/office.toml", "devices.toml"] {
        assert!(whole.join(file).is_file(), "{file}");
    }
    let before = EventLog::open(&whole.join("baseline.ndjson.gz")).expect("a log").count();
    assert!(before > 10_000, "{before}");
    assert!(matches!(shipped[0].materialise(folder.path()), Err(ScenarioError::Occupied(_))));
    assert!(matches!(Scenario::named("no-such"), Err(ScenarioError::Unknown(_))));
}
