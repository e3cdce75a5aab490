//! The partition depends on the alerts and on people's words, and on nothing else.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::fixtures;

fn alert(name: &str, host: &str, minutes: i64, entities: Vec<Entity>) -> Alert {
    let mut alert = fixtures::alert(name, name, host, 0);
    alert.time = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
    alert.entities = entities;
    alert
}

fn of_kind(kind: &str, alert: Alert) -> Alert {
    Alert { event_kind: kind.into(), ..alert }
}

fn account(name: &str) -> Entity {
    Entity::Account(name.into())
}

fn process(id: &str) -> Entity {
    Entity::Process(id.into())
}

fn source(peer: &str) -> Entity {
    Entity::Source(peer.into())
}

fn ids(names: &[&str]) -> Vec<AlertId> {
    names.iter().map(|name| AlertId::new(*name)).collect()
}

type Partition = BTreeSet<BTreeSet<AlertId>>;

fn shown(groups: &Groups) -> Partition {
    let ids = |members: Vec<usize>| members.into_iter().filter_map(|index| groups.id(index).cloned()).collect();
    groups.partition().into_values().map(ids).collect()
}

/// Grouped in one go.
fn at_once(alerts: &[Alert], words: &[GroupingWord]) -> Partition {
    let mut groups = Groups::default();
    for alert in alerts {
        groups.add(alert);
    }
    for (number, word) in (1..).zip(words) {
        groups.heed(number, word);
    }
    groups.regroup();
    shown(&groups)
}

fn together(alerts: &[Alert]) -> bool {
    at_once(alerts, &[]).len() == 1
}

fn some_alerts() -> impl Strategy<Value = Vec<Alert>> {
    let host = || prop::sample::select(vec!["h0", "h1", "h2", "h3"]).prop_map(str::to_owned);
    let address = || (0..3u8).prop_map(|n| format!("192.0.2.{n}"));
    let entity = prop_oneof![
        3 => (0..4u8).prop_map(|n| process(&format!("{{p{n}}}"))),
        1 => (0..3u8, 0..3u8).prop_map(|(h, n)| Entity::LogonSession(format!("h{h}"), format!("0x{n}"))),
        4 => (0..4u8).prop_map(|n| account(&format!("a{n}"))),
        1 => host().prop_map(Entity::Source),
        1 => address().prop_map(Entity::Source),
        1 => host().prop_map(Entity::Destination),
        1 => address().prop_map(Entity::Destination),
        1 => address().prop_map(Entity::OwnAddress),
        1 => (0..2u8).prop_map(|n| Entity::File(format!("f{n}"))),
        1 => (0..2u8).prop_map(|n| Entity::Service(format!("s{n}"))),
        1 => (0..2u8).prop_map(|n| Entity::Task(format!("t{n}"))),
    ];
    let kind = prop_oneof![9 => Just("Sysmon 1"), 1 => Just("Security 4769"), 1 => Just("Security 4625")];
    let one = (0..5u8, 0..900_i64, prop::collection::vec(entity, 0..3), kind);
    prop::collection::vec(one, 0..30).prop_map(|all| {
        let named = |(n, (host, minutes, entities, kind)): (usize, (u8, i64, Vec<Entity>, &str))| {
            let host = if host == 4 { String::new() } else { format!("h{host}") };
            of_kind(kind, alert(&format!("n{n:02}"), &host, minutes, entities))
        };
        all.into_iter().enumerate().map(named).collect()
    })
}

fn some_words() -> impl Strategy<Value = Vec<GroupingWord>> {
    let alerts = |most| {
        prop::collection::btree_set(0..30_usize, 1..most)
            .prop_map(|numbers| numbers.into_iter().map(|n| AlertId::new(format!("n{n:02}"))).collect::<Vec<_>>())
    };
    let word = prop_oneof![
        alerts(5).prop_map(|alerts| GroupingWord::Together { alerts }),
        (alerts(4), alerts(8)).prop_map(|(these, rest)| {
            let rest = rest.into_iter().filter(|alert| !these.contains(alert)).collect();
            GroupingWord::Apart { these, rest }
        }),
    ];
    prop::collection::vec(word, 0..4)
}

/// Alerts with people's words, and the same alerts in another order.
fn a_floor() -> impl Strategy<Value = (Vec<Alert>, Vec<Alert>, Vec<GroupingWord>)> {
    let shuffled = |alerts: Vec<Alert>| (Just(alerts.clone()), Just(alerts).prop_shuffle());
    (some_alerts().prop_flat_map(shuffled), some_words()).prop_map(|((alerts, other), words)| (alerts, other, words))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_chunking_ends_in_the_same_partition(
        (alerts, shuffled, words) in a_floor(), chunk in 1..7_usize, when in prop::collection::vec(0..30_usize, 4),
    ) {
        let expected = at_once(&alerts, &words);
        prop_assert_eq!(&at_once(&shuffled, &words), &expected);

        let mut groups = Groups::default();
        for (at, part) in shuffled.chunks(chunk).enumerate() {
            // Words come in between, before some of the alerts that they name.
            for (number, word) in (1..).zip(&words) {
                if when[usize::try_from(number).unwrap_or(0) % 4] / chunk == at {
                    groups.heed(number, word);
                }
            }
            // Every chunk is delivered twice, as a poller that lost its cursor would.
            let new = part.iter().chain(part).filter(|alert| groups.add(alert)).count();
            prop_assert_eq!(new, part.len());
            groups.regroup();
            prop_assert!(!groups.is_unsettled());
        }
        for (number, word) in (1..).zip(&words) {
            groups.heed(number, word);
        }
        groups.regroup();
        prop_assert_eq!(shown(&groups), expected);
    }

    #[test]
    fn what_a_person_took_apart_is_never_one_again(alerts in some_alerts(), words in some_words()) {
        let partition = at_once(&alerts, &words);
        let there = |alert: &AlertId| alerts.iter().any(|known| known.id == *alert);
        // The last word holds in any case.
        match words.last() {
            Some(GroupingWord::Apart { these, rest }) => {
                let both = partition.iter().find(|group| {
                    these.iter().any(|alert| group.contains(alert)) && rest.iter().any(|alert| group.contains(alert))
                });
                prop_assert_eq!(both, None);
            }
            Some(GroupingWord::Together { alerts }) => {
                let named: Vec<_> = alerts.iter().filter(|alert| there(alert)).collect();
                let holding = partition.iter().filter(|group| named.iter().any(|alert| group.contains(*alert))).count();
                prop_assert!(holding <= 1);
            }
            None => {}
        }
    }

    #[test]
    fn links_hold_a_group_together_and_none_is_superfluous(alerts in some_alerts(), words in some_words()) {
        let mut groups = Groups::default();
        for alert in &alerts {
            groups.add(alert);
        }
        for (number, word) in (1..).zip(&words) {
            groups.heed(number, word);
        }
        for group in groups.regroup() {
            prop_assert_eq!(group.links.len(), group.alerts.len() - 1);
            let known: BTreeSet<usize> = group.alerts.iter().copied().collect();
            prop_assert!(group.links.iter().all(|link| known.contains(&link.one) && known.contains(&link.other)));
        }
    }
}

#[test]
fn windows_are_inclusive_and_no_wider() {
    let tied = |minutes: i64, entity: Entity, other_host: &str| {
        together(&[alert("1", "a", 0, vec![entity.clone()]), alert("2", other_host, minutes, vec![entity])])
    };
    for (minutes, expected) in [(60, true), (61, false)] {
        let host = [alert("1", "WKS-07", 0, vec![]), alert("2", "wks-07.corp.example", minutes, vec![])];
        assert_eq!(together(&host), expected);
        assert_eq!(tied(minutes, account("u"), "b"), expected);
        assert_eq!(tied(minutes, source("192.0.2.9"), "b"), expected);
        assert_eq!(tied(minutes, Entity::Service("s".into()), "b"), expected);
    }
    for (minutes, expected) in [(24 * 60, true), (24 * 60 + 1, false)] {
        assert_eq!(tied(minutes, process("{p}"), "a"), expected);
        assert_eq!(tied(minutes, Entity::File("f".into()), "b"), expected);
        assert_eq!(tied(minutes, Entity::Task("t".into()), "a"), expected);
    }
}

#[test]
fn an_unknown_host_connects_nothing() {
    assert_eq!(at_once(&[alert("1", "", 0, vec![]), alert("2", "", 0, vec![])], &[]).len(), 2);
}

#[test]
fn incidents_of_different_accounts_interleaved_on_one_host_stay_two() {
    let of = |id: &str, minute, name: &str, tree: &str| alert(id, "WKS-07", minute, vec![account(name), process(tree)]);
    let mut alerts = vec![
        of("a1", 0, "a.user", "{1}"),
        of("b1", 1, "b.user", "{2}"),
        of("a2", 2, "a.user", "{1}"),
        of("b2", 3, "b.user", "{3}"),
        of("a3", 4, "a.user", "{4}"),
    ];
    let two = |nobody: &[(&str, &str)]| {
        let side = |name: &str, own: &[&str]| {
            let joined = nobody.iter().filter(|(_, with)| *with == name).map(|(id, _)| AlertId::new(*id));
            ids(own).into_iter().chain(joined).collect::<BTreeSet<_>>()
        };
        BTreeSet::from([side("a", &["a1", "a2", "a3"]), side("b", &["b1", "b2"])])
    };
    assert_eq!(at_once(&alerts, &[]), two(&[]));
    // What names nobody goes to the nearer one and welds nothing.
    alerts.push(alert("n1", "WKS-07", 50, vec![]));
    let mut early = alert("n2", "WKS-07", 3, vec![]);
    early.time += SignedDuration::from_secs(10);
    alerts.push(early);
    assert_eq!(at_once(&alerts, &[]), two(&[("n1", "a"), ("n2", "b")]));
}

#[test]
fn an_intruder_who_changes_accounts_in_one_tree_is_one_incident() {
    assert!(together(&[
        alert("1", "WKS-07", 0, vec![account("a.user"), process("{1}")]),
        alert("2", "WKS-07", 5, vec![account("admin"), process("{1}"), process("{2}")]),
        alert("3", "WKS-07", 9, vec![account("admin"), process("{3}")]),
        alert("4", "WKS-07", 9, vec![]),
    ]));
}

#[test]
fn lateral_movement_with_other_credentials_is_one_incident() {
    let origin = || alert("1", "WKS-05", 0, vec![account("a.user")]);
    let logon = |from: &str| alert("2", "SRV-01", 7, vec![account("admin"), source(from)]);
    assert!(together(&[origin(), logon("wks-05")]));
    assert!(!together(&[origin(), logon("192.0.2.5")]), "nobody knows whose address it is");
    let reach = alert("3", "WKS-05", 2, vec![account("a.user"), Entity::OwnAddress("192.0.2.5".into())]);
    assert!(together(&[origin(), logon("192.0.2.5"), reach.clone()]));
    // Two machines with one address are two machines nobody can tell apart.
    let other = alert("4", "WKS-06", 3, vec![Entity::OwnAddress("192.0.2.5".into())]);
    assert_eq!(at_once(&[origin(), logon("192.0.2.5"), reach, other], &[]).len(), 3);
}

#[test]
fn a_visitor_ties_to_the_nearest_incident_of_its_origin_alone() {
    let alerts = [
        alert("1", "WKS-05", 0, vec![account("a.user")]),
        alert("2", "WKS-05", 6, vec![account("b.user")]),
        alert("3", "SRV-01", 7, vec![source("wks-05")]),
    ];
    let expected =
        BTreeSet::from([ids(&["1"]).into_iter().collect(), ids(&["2", "3"]).into_iter().collect::<BTreeSet<_>>()]);
    assert_eq!(at_once(&alerts, &[]), expected);
}

#[test]
fn a_domain_controller_welds_nothing_together() {
    let tickets = |id: &str, name: &str, from: &str| {
        of_kind("Security 4769", alert(id, "DC-01", 0, vec![account(name), source(from)]))
    };
    let alerts = [
        tickets("1", "a.user", "wks-05"),
        tickets("2", "b.user", "wks-06"),
        alert("3", "DC-01", 1, vec![]),
        alert("4", "SRV-01", 1, vec![source("dc-01")]),
        alert("5", "SRV-02", 1, vec![source("dc-01")]),
        alert("6", "WKS-07", 1, vec![Entity::Destination("dc-01".into())]),
    ];
    assert_eq!(at_once(&alerts, &[]).len(), alerts.len());
}

#[test]
fn what_many_hosts_have_is_software() {
    let on = |hosts: usize, entity: fn() -> Entity| -> Vec<Alert> {
        (0..hosts).map(|n| alert(&n.to_string(), &format!("WKS-{n}"), 1, vec![entity()])).collect()
    };
    for entity in
        [|| Entity::File("f".into()), || Entity::Service("s".into()), || Entity::Destination("192.0.2.80".into())]
    {
        assert_eq!(at_once(&on(MOST_HOSTS, entity), &[]).len(), 1);
        assert_eq!(at_once(&on(MOST_HOSTS + 1, entity), &[]).len(), MOST_HOSTS + 1);
    }
    // One source that goes to many machines is what a sprayed password looks like.
    assert_eq!(at_once(&on(40, || Entity::Source("192.0.2.9".into())), &[]).len(), 1);
}

#[test]
fn a_persons_word_holds_against_every_tie_and_the_later_word_wins() {
    let alerts = [
        alert("1", "WKS-07", 0, vec![process("{1}")]),
        alert("2", "WKS-07", 1, vec![process("{1}")]),
        alert("3", "WKS-09", 9_000, vec![]),
    ];
    let groups = |words: &[GroupingWord]| -> Vec<Vec<AlertId>> {
        at_once(&alerts, words).into_iter().map(|group| group.into_iter().collect()).collect()
    };
    let apart = GroupingWord::Apart { these: ids(&["2"]), rest: ids(&["1"]) };
    let one = GroupingWord::Together { alerts: ids(&["1", "2", "3"]) };
    assert_eq!(groups(&[]), [ids(&["1", "2"]), ids(&["3"])]);
    assert_eq!(groups(std::slice::from_ref(&apart)).len(), 3);
    assert_eq!(groups(&[apart.clone(), one.clone()]), [ids(&["1", "2", "3"])]);
    let split_again = groups(&[one, apart]);
    assert_eq!(split_again.len(), 2);
    assert!(!split_again.contains(&ids(&["1", "2", "3"])));
}

#[test]
fn a_late_alert_ties_two_groups_and_the_links_say_why() {
    let mut groups = Groups::default();
    groups.add(&alert("1", "WKS-07", 0, vec![account("u")]));
    groups.add(&alert("2", "WKS-07", 100, vec![]));
    assert_eq!(groups.regroup().len(), 2);
    groups.add(&alert("3", "WKS-07", 50, vec![]));
    let [group] = groups.regroup().try_into().expect("one group");
    assert_eq!(group.alerts, [0, 1, 2]);
    assert_eq!(group.links.iter().map(ToString::to_string).collect::<Vec<_>>(), ["same host WKS-07 within 1 h"; 2]);
    groups.add(&alert("4", "SRV-01", 10, vec![account("u")]));
    let [group] = groups.regroup().try_into().expect("one group");
    assert!(group.links.iter().any(|link| link.reason == LinkReason::Account("u".into())));
    assert!(!groups.add(&alert("4", "SRV-01", 10, vec![account("u")])));
}

#[test]
fn thousands_of_guessed_passwords_are_one_group_and_take_no_time() {
    let started = std::time::Instant::now();
    let mut groups = Groups::default();
    for n in 0..5_000_i64 {
        let guess = vec![account(&format!("u{}", n % 50)), source("192.0.2.9")];
        groups.add(&of_kind("Security 4625", alert(&n.to_string(), "WKS-07", n * 7_919 % 5_003, guess)));
        // As many pieces as a log of that size is delivered in.
        if n % 250 == 0 {
            groups.regroup();
        }
    }
    groups.regroup();
    assert_eq!(groups.partition().len(), 1);
    assert!(started.elapsed().as_secs() < 20, "took {:?}", started.elapsed());
}
