//! The partition depends on the alerts and on nothing else.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::domain::alert::{RuleCard, Severity};
use crate::domain::entity::HostName;
use crate::domain::ids::{EventId, RuleId};

fn alert(name: &str, host: &str, minutes: i64, entities: Vec<Entity>) -> Alert {
    Alert {
        id: AlertId::new(name),
        source: "test".into(),
        rule: RuleCard {
            id: RuleId::new("r"),
            title: "t".into(),
            author: None,
            level: Severity::High,
            status: None,
            description: None,
            tags: vec![],
            false_positives: vec![],
            references: vec![],
            date: None,
        },
        host: HostName::new(host),
        time: Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes),
        event: EventId::new(name),
        event_kind: "Sysmon 1".into(),
        matched: vec![],
        entities,
        correlated: Default::default(),
    }
}

fn account(name: &str) -> Vec<Entity> {
    vec![Entity::Account(name.into())]
}

fn process(id: &str) -> Vec<Entity> {
    vec![Entity::Process(id.into())]
}

/// The relation itself, pair by pair, without any shortcut.
fn link(one: &Alert, other: &Alert) -> bool {
    let apart = one.time.duration_since(other.time).abs();
    let shared = |wanted: fn(&Entity) -> bool| one.entities.iter().any(|e| wanted(e) && other.entities.contains(e));
    let same_host = one.host == other.host && !one.host.is_unknown();
    (same_host && apart <= HOST_WINDOW)
        || (one.host == other.host && apart <= LINEAGE_WINDOW && shared(|e| matches!(e, Entity::Process(_))))
        || (apart <= LINEAGE_WINDOW && shared(|e| matches!(e, Entity::LogonSession(host, _) if !host.is_empty())))
        || (apart <= ACCOUNT_WINDOW && shared(|e| matches!(e, Entity::Account(_))))
}

type Partition = BTreeSet<BTreeSet<AlertId>>;

fn by_definition(alerts: &[Alert]) -> Partition {
    let mut groups: Vec<Vec<&Alert>> = Vec::new();
    for alert in alerts {
        let (tied, mut rest): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| group.iter().any(|member| link(member, alert)));
        rest.push(tied.into_iter().flatten().chain([alert]).collect());
        groups = rest;
    }
    groups.into_iter().map(|group| group.into_iter().map(|alert| alert.id.clone()).collect()).collect()
}

fn by_arrival(alerts: &[Alert]) -> Partition {
    let mut groups = Groups::default();
    // What `add` says along the way must add up to the partition at the end.
    let mut told: BTreeMap<usize, BTreeSet<AlertId>> = BTreeMap::new();
    for (index, alert) in alerts.iter().enumerate() {
        let joined = groups.add(alert);
        assert_eq!((joined.index, joined.known), (index, false));
        assert_eq!(joined.reason.is_none(), joined.root == index);
        for root in joined.merged {
            let members = told.remove(&root).expect("only a group that exists can end");
            told.entry(joined.root).or_default().extend(members);
        }
        told.entry(joined.root).or_default().insert(alert.id.clone());
    }
    let partition = groups.partition();
    assert_eq!(partition.keys().collect::<Vec<_>>(), told.keys().collect::<Vec<_>>());
    assert!(partition.iter().all(|(root, members)| members.first() == Some(root)));
    told.into_values().collect()
}

fn some_alerts() -> impl Strategy<Value = Vec<Alert>> {
    let entity = prop_oneof![
        (0..4u8).prop_map(|n| Entity::Process(format!("{{p{n}}}"))),
        (0..3u8, 0..3u8).prop_map(|(h, n)| Entity::LogonSession(format!("h{h}"), format!("0x{n}"))),
        (0..4u8).prop_map(|n| Entity::Account(format!("a{n}"))),
    ];
    let one = (0..5u8, 0..4_000i64, prop::collection::vec(entity, 0..3));
    prop::collection::vec(one, 0..40).prop_map(|all| {
        let named = |(n, (host, minutes, entities)): (usize, (u8, i64, Vec<Entity>))| {
            let host = if host == 4 { String::new() } else { format!("h{host}") };
            alert(&format!("n{n}"), &host, minutes, entities)
        };
        all.into_iter().enumerate().map(named).collect()
    })
}

proptest! {
    #[test]
    fn any_order_of_arrival_ends_in_the_partition_the_relation_defines(
        (alerts, shuffled) in some_alerts().prop_flat_map(|alerts| (Just(alerts.clone()), Just(alerts).prop_shuffle()))
    ) {
        let expected = by_definition(&alerts);
        prop_assert_eq!(&by_arrival(&alerts), &expected);
        prop_assert_eq!(&by_arrival(&shuffled), &expected);
    }

    #[test]
    fn chunks_that_overlap_change_nothing(alerts in some_alerts(), chunk in 1..7usize) {
        let mut groups = Groups::default();
        for part in alerts.chunks(chunk) {
            // Every chunk is delivered twice, as a poller that lost its cursor would.
            for alert in part.iter().chain(part) {
                groups.add(alert);
            }
        }
        prop_assert_eq!(groups.len(), alerts.len());
        let ids = |members: Vec<usize>| members.into_iter().map(|index| alerts[index].id.clone()).collect();
        let partition: Partition = groups.partition().into_values().map(ids).collect();
        prop_assert_eq!(partition, by_definition(&alerts));
    }
}

#[test]
fn windows_are_inclusive_and_no_wider() {
    for (minutes, together) in [(60, true), (61, false)] {
        let on_a_host = [alert("1", "WKS-07", 0, vec![]), alert("2", "wks-07.corp.example", minutes, vec![])];
        assert_eq!(by_arrival(&on_a_host).len() == 1, together);
        let of_a_user = [alert("1", "a", 0, account("u")), alert("2", "b", minutes, account("u"))];
        assert_eq!(by_arrival(&of_a_user).len() == 1, together);
    }
    for (minutes, together) in [(24 * 60, true), (24 * 60 + 1, false)] {
        let of_a_process = [alert("1", "a", 0, process("{P}")), alert("2", "a", minutes, process("{p}"))];
        let mut groups = Groups::default();
        of_a_process.iter().for_each(|alert| drop(groups.add(alert)));
        assert_eq!(groups.partition().len() == 1, together);
    }
}

#[test]
fn an_unknown_host_connects_nothing() {
    assert_eq!(by_arrival(&[alert("1", "", 0, vec![]), alert("2", "", 0, vec![])]).len(), 2);
}

#[test]
fn a_late_alert_merges_groups_into_the_older_one_and_says_why() {
    let mut groups = Groups::default();
    groups.add(&alert("1", "WKS-07", 0, account("u")));
    groups.add(&alert("2", "WKS-07", 100, vec![]));
    assert_eq!(groups.partition().len(), 2);
    let bridge = groups.add(&alert("3", "WKS-07", 50, vec![]));
    assert_eq!((bridge.root, bridge.merged), (0, vec![1]));
    assert_eq!(bridge.reason.map(|reason| reason.to_string()).as_deref(), Some("same host WKS-07 within 1 h"));
    let elsewhere = groups.add(&alert("4", "SRV-01", 10, account("u")));
    assert_eq!(elsewhere.reason, Some(LinkReason::Account("u".into())));
    assert!(groups.add(&alert("4", "SRV-01", 10, account("u"))).known);
}

#[test]
fn thousands_of_alerts_on_one_host_take_no_time() {
    let started = std::time::Instant::now();
    let mut groups = Groups::default();
    for n in 0..20_000_i64 {
        groups.add(&alert(&n.to_string(), "WKS-07", n * 7_919 % 20_011, account("u")));
    }
    assert_eq!(groups.partition().len(), 1);
    assert!(started.elapsed().as_secs() < 10, "took {:?}", started.elapsed());
}
