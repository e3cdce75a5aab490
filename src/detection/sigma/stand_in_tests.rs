//! Security 4688 counts where Sysmon 1 is missing, and only there, whatever comes first.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use super::tests::{event, rule, rules, sysmon};
use super::*;
use crate::domain::entity::HostName;

const IMAGE: &str = "C:\\Users\\Public\\tool.exe";

fn set() -> Arc<RuleSet> {
    Arc::new(rules(&[
        ("a.yml", &rule("a", "category: process_creation", "Image|endswith: '\\tool.exe', User: a.user")),
        ("b.yml", &rule("b", "service: security", "EventID: 4688")),
        ("c.yml", &rule("c", "category: process_creation, service: sysmon", "Image|endswith: '\\tool.exe'")),
    ]))
}

fn at(hours: i64) -> Timestamp {
    "2026-03-02T08:00:00Z".parse::<Timestamp>().expect("a time") + SignedDuration::from_hours(hours)
}

fn audited(host: &str, hours: i64) -> Event {
    let data = json!({"NewProcessName": IMAGE, "SubjectUserName": "a.user", "CommandLine": "tool", "N": hours});
    Event { host: HostName::new(host), time: at(hours), ..event("Security", 4688, data) }
}

fn observed(host: &str, hours: i64) -> Event {
    let data = json!({"Image": "C:\\Windows\\notepad.exe", "N": hours});
    Event { host: HostName::new(host), time: at(hours), ..sysmon(1, data) }
}

/// The rules that fire on these events, in order.
fn fired(events: &[Event]) -> Vec<String> {
    let mut detector = Detector::new(set());
    let mut alerts: Vec<Alert> = events.iter().flat_map(|event| detector.detect(event)).collect();
    alerts.extend(detector.settle());
    let mut ids: Vec<String> = alerts.iter().map(|alert| format!("{} {}", alert.rule.id, alert.time)).collect();
    ids.sort();
    ids
}

#[test]
fn without_sysmon_4688_is_a_process_creation_and_quotes_its_own_fields() {
    let mut detector = Detector::new(set());
    let event = audited("WKS-1", 0);
    let at_once = detector.detect(&event);
    assert_eq!(at_once.iter().map(|alert| alert.rule.id.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(detector.standing_in().collect::<Vec<_>>(), [(&event.host, event.time)]);
    let settled = detector.settle();
    let [alert] = settled.as_slice() else { panic!("one alert, not {settled:?}") };
    assert_eq!((alert.rule.id.as_str(), &alert.event), ("a", &event.id));
    let fields: Vec<&str> = alert.matched.iter().map(|quote| quote.field.as_str()).collect();
    assert!(fields.contains(&"winlog.event_data.NewProcessName"), "{fields:?}");
    assert!(fields.contains(&"winlog.event_data.SubjectUserName"), "{fields:?}");
    assert!(alert.matched.iter().all(|quote| event.field(&quote.field).as_ref() == Some(&quote.value)));
    assert_eq!(detector.settle(), []);
}

#[test]
fn a_sysmon_1_of_the_same_host_within_a_day_makes_4688_superfluous() {
    let alone = fired(&[audited("WKS-1", 0)]);
    assert_eq!(alone.len(), 2);
    for hours in [-24, -1, 0, 5, 24] {
        assert_eq!(fired(&[audited("WKS-1", 0), observed("wks-1.corp.example", hours)]).len(), 1, "{hours}");
    }
    assert_eq!(fired(&[audited("WKS-1", 0), observed("WKS-1", 25), observed("WKS-1", -25)]), alone);
    assert_eq!(fired(&[audited("WKS-1", 0), observed("WKS-2", 0)]), alone);
    let mut detector = Detector::new(set());
    let event = audited("WKS-1", 0);
    let _ = detector.detect(&event);
    detector.sysmon_seen(&event.host, at(3));
    assert_eq!((detector.standing_in().count(), detector.settle().len()), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_order_of_arrival_decides_nothing(
        sent in prop::collection::vec((0_u8..3, any::<bool>(), -60_i64..60), 1..14),
        turn in 0_usize..14,
    ) {
        let build = |(host, is_sysmon, hours): &(u8, bool, i64)| {
            let host = format!("WKS-{host}");
            if *is_sysmon { observed(&host, *hours) } else { audited(&host, *hours) }
        };
        let events: Vec<Event> = sent.iter().map(build).collect();
        let mut other = events.clone();
        other.rotate_left(turn % events.len());
        other.reverse();
        prop_assert_eq!(fired(&events), fired(&other));
    }
}
