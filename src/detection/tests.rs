//! From a file to groups of alerts, on the written first-look scenario.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::grouping::Groups;
use super::read::EventLog;
use super::sigma::RuleSet;
use crate::domain::alert::Alert;
use crate::domain::event::Event;

fn first_look() -> Vec<Event> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/first-look/events.ndjson");
    let mut log = EventLog::open(&path).expect("the scenario is a log");
    let events = log.by_ref().collect();
    assert!(log.damage().is_none(), "{}", log.damage());
    events
}

fn alerts(events: &[Event]) -> Vec<Alert> {
    let rules = RuleSet::builtin();
    events.iter().flat_map(|event| rules.detect(event)).collect()
}

#[test]
fn every_host_raises_the_alerts_its_story_wants() {
    let mut fired: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for alert in alerts(&first_look()) {
        fired.entry(alert.host.key().to_owned()).or_default().push(alert.rule.title);
    }
    let block = "Script block decodes, downloads or calls native functions";
    let hidden = "PowerShell hides its window and its command";
    let count = |host: &str, title: &str| fired[host].iter().filter(|fired| *fired == title).count();
    assert_eq!(fired["wks-07"], [block]);
    assert_eq!(fired["lap-31"], [hidden]);
    assert_eq!((fired["fin-22"].len(), count("fin-22", block), count("fin-22", hidden)), (9, 2, 1));
    assert_eq!(count("fin-22", "Office program starts a command or script interpreter"), 1);
    assert_eq!(count("fin-22", "Process memory is dumped with a system library"), 1);
    assert_eq!(count("fin-22", "Script block downloads text and runs it at once"), 2);
    assert_eq!(count("fin-22", "Existing or new service is made to run a command"), 1);
    assert_eq!((fired["srv-app02"].len(), count("srv-app02", block), count("srv-app02", hidden)), (5, 1, 1));
    assert_eq!(count("srv-app02", "New service whose program is a shell command"), 1);
    assert_eq!(count("srv-app02", "Service manager starts a command interpreter"), 1);
}

#[test]
fn each_story_is_one_group_per_host() {
    let alerts = alerts(&first_look());
    let mut groups = Groups::default();
    for alert in &alerts {
        groups.add(alert);
    }
    groups.regroup();
    let hosts: Vec<BTreeSet<&str>> = groups
        .partition()
        .values()
        .map(|members| members.iter().map(|index| alerts[*index].host.key()).collect())
        .collect();
    assert_eq!(hosts.len(), 4, "{hosts:?}");
    assert!(hosts.iter().all(|hosts| hosts.len() == 1), "{hosts:?}");
}

#[test]
fn every_sensor_of_a_story_was_alive_before_and_after_it() {
    let events = first_look();
    for alert in alerts(&events) {
        for code in [1, 3, 5, 11, 13] {
            let seen = |before: bool| {
                let beside = |event: &&Event| if before { event.time < alert.time } else { event.time > alert.time };
                events
                    .iter()
                    .filter(|event| event.host == alert.host && event.is_sysmon(code))
                    .any(|event| beside(&event))
            };
            assert!(seen(true) && seen(false), "Sysmon {code} on {}", alert.host);
        }
    }
}

#[test]
fn parents_of_the_stories_are_in_the_log() {
    let events = first_look();
    let started: BTreeSet<&str> =
        events.iter().filter(|e| e.is_sysmon(1)).filter_map(|e| e.data("ProcessGuid")).collect();
    let orphan = |event: &&Event| event.data("ParentProcessGuid").is_some_and(|parent| !started.contains(parent));
    // Services and the shell's starter ran before the log begins; the story's own lineage is complete.
    let unexpected: Vec<&str> = events
        .iter()
        .filter(|event| event.is_sysmon(1))
        .filter(orphan)
        .filter_map(|event| event.data("ParentImage"))
        .filter(|image| {
            !["svchost.exe", "services.exe", "userinit.exe", "MsSense.exe"].iter().any(|known| image.ends_with(known))
        })
        .collect();
    assert_eq!(unexpected, [""; 0]);
    assert_eq!(events.iter().filter(|e| e.field("process.parent.executable").is_none() && e.is_sysmon(1)).count(), 1);
}
