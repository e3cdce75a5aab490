//! What the 2,244 rules find in the recordings equals what was measured independently.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::detection::read::EventLog;
use crate::detection::shared_data;

/// So many recordings are taken unless all are asked for; the first ones by name are benign and attacks alike.
const QUICK: usize = 8;

#[test]
fn all_rules_load_and_few_are_out_of_reach() {
    let Some(archive) = shared_data("sigma-rules.tar.gz") else { return };
    let rules = RuleSet::load(&archive).expect("the archive is sound");
    assert_eq!((rules.len(), rules.rejected()), (2_244, &[][..]));
    // Files that are opened or renamed are told by no log this version reads.
    let mut sources: BTreeMap<&str, usize> = BTreeMap::new();
    for remark in rules.remarks().iter().filter(|remark| remark.text.contains("never fires")) {
        *sources.entry(remark.text.rsplit(' ').next().unwrap_or_default()).or_default() += 1;
    }
    assert_eq!(sources, BTreeMap::from([("windows/file_access", 6), ("windows/file_rename", 1)]));
}

#[test]
fn matches_on_recordings_equal_the_measured_ones() {
    let (Some(archive), Some(scenarios)) = (shared_data("sigma-rules.tar.gz"), shared_data("scenarios")) else {
        return;
    };
    let rules = Arc::new(RuleSet::load(&archive).expect("the archive is sound"));
    // Rules that name Windows and nothing else look at every event; the measurement had no place for them.
    let everywhere: Vec<String> = rules
        .engines
        .iter()
        .filter(|(route, _)| *route == Route::Everywhere)
        .flat_map(|(_, engine)| engine.rules())
        .filter_map(|rule| rule.id.clone())
        .collect();
    // `WATCHFLOOR_ALL_RECORDINGS=1` takes all, which is slower.
    let all = std::env::var_os("WATCHFLOOR_ALL_RECORDINGS").is_some();
    let mut folders: Vec<_> =
        std::fs::read_dir(scenarios).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    let (mut compared, mut unread, mut differences) = (0, Vec::new(), Vec::new());
    for folder in folders {
        if compared == QUICK && !all {
            break;
        }
        let label = std::fs::read(folder.join("label.json")).expect("a label");
        let label: Value = serde_json::from_slice(&label).expect("JSON");
        let name = label["id"].as_str().expect("an id").to_owned();
        let events = std::fs::read_dir(&folder).expect("a folder").filter_map(|entry| Some(entry.ok()?.path()));
        let events = events
            .into_iter()
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("events.")));
        let mut log = match EventLog::open(&events.expect("a log")) {
            Ok(log) => log,
            Err(reason) => {
                unread.push(format!("{name} ({}): {reason}", label["shape"]));
                continue;
            }
        };
        compared += 1;
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        // Unnamed data that a shape has in its message alone: the measurement did not look there.
        let mut by_message: BTreeMap<String, u64> = BTreeMap::new();
        let mut detector = Detector::new(rules.clone());
        let mut events = 0_u64;
        for event in log.by_ref() {
            events += 1;
            for alert in detector.detect(&event) {
                assert!(
                    alert.matched.iter().all(|q| event.field(&q.field).is_some_and(|stored| stored.contains(&q.value))),
                    "{name}: {} quotes what is not there",
                    alert.rule.title
                );
                *counts.entry(alert.rule.id.to_string()).or_default() += 1;
                if alert.matched.iter().any(|quote| quote.field == "message") {
                    *by_message.entry(alert.rule.id.to_string()).or_default() += 1;
                }
            }
        }
        // Security 4688 counts where Sysmon is missing, here and in the measurement.
        let standing_in = detector.settle();
        standing_in.iter().for_each(|alert| *counts.entry(alert.rule.id.to_string()).or_default() += 1);
        assert!(
            standing_in
                .iter()
                .all(|alert| alert.event_kind == "Security-Auditing 4688" || alert.event_kind == "Security 4688")
        );
        if log.damage().is_none() && Some(events) != label["measured"]["events"].as_u64() {
            differences.push(format!("{name}: {events} events, measured {}", label["measured"]["events"]));
        }
        let measured: BTreeMap<String, u64> = label["measured"]["rules"]
            .as_array()
            .expect("a list of rules")
            .iter()
            .map(|rule| (rule["id"].as_str().expect("an id").to_owned(), rule["count"].as_u64().expect("a count")))
            .collect();
        let sum = counts.values().sum::<u64>();
        eprintln!("{name}: {events} events, {sum} matches, {} on 4688 without Sysmon", standing_in.len());
        counts.retain(|id, _| !everywhere.contains(id));
        let ids: std::collections::BTreeSet<&String> = counts.keys().chain(measured.keys()).collect();
        for id in ids {
            let (got, wanted) = (counts.get(id).copied().unwrap_or(0), measured.get(id).copied().unwrap_or(0));
            let unmeasured = by_message.get(id).copied().unwrap_or(0);
            if got != wanted && got != wanted + unmeasured {
                let title = rules.card(&RuleId::new(id.as_str())).map_or("?", |card| card.title.as_str());
                differences
                    .push(format!("{name} ({}): {title} ({id}) matches {got}, measured {wanted}", label["shape"]));
            }
        }
    }
    unread.iter().for_each(|name| eprintln!("not read: {name}"));
    eprintln!("{compared} recordings compared, {} not read by this version", unread.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(compared >= QUICK, "only {compared} recordings could be read");
}
