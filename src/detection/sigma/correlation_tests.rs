//! Correlations: each kind fires when it should and once, and the order and the batches of arrival decide nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::correlator::{MOST_HITS, MOST_IN_GROUP};
use super::tests::{event, rule, rules};
use super::*;
use crate::domain::alert::MOST_CORRELATED;

fn correlation(id: &str, body: &str) -> String {
    format!("title: Correlation {id}\nid: {id}\nlevel: high\ncorrelation:\n    {body}\n")
}

/// Failed and successful logons as base rules, with one correlation on them.
fn with(body: &str) -> Arc<RuleSet> {
    let base = |id: &str, code: u32| {
        rule(id, "service: security", &format!("EventID: {code}"))
            .replace("title:", &format!("name: named_{id}\ntitle:"))
    };
    let set = rules(&[
        ("failed.yml", &base("failed", 4625)),
        ("done.yml", &base("done", 4624)),
        ("made.yml", &base("made", 4720)),
        ("c.yml", &correlation("c", body)),
    ]);
    assert_eq!(set.rejected(), []);
    Arc::new(set)
}

fn at(seconds: i64) -> Timestamp {
    "2026-03-02T08:00:00Z".parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(seconds)
}

/// An event of Security at a second, with these fields.
fn logon(code: u32, seconds: i64, mut data: Value) -> Event {
    data["Second"] = seconds.into();
    Event { time: at(seconds), ..event("Security", code, data) }
}

fn failed(seconds: i64, user: &str, from: &str) -> Event {
    logon(4625, seconds, json!({"TargetUserName": user, "IpAddress": from}))
}

fn run(rules: &Arc<RuleSet>, events: &[Event]) -> Vec<Alert> {
    let mut detector = Detector::new(rules.clone());
    let mut alerts: Vec<Alert> = events.iter().flat_map(|event| detector.detect(event)).collect();
    alerts.extend(detector.settle());
    alerts
}

/// When the correlation fired, in seconds.
fn seconds(rules: &Arc<RuleSet>, events: &[Event]) -> Vec<i64> {
    run(rules, events).iter().map(|alert| alert.time.duration_since(at(0)).as_secs()).collect()
}

const FIVE_FAILURES: &str =
    "type: event_count\n    rules: [failed]\n    group-by: [IpAddress]\n    timespan: 1m\n    condition: {gte: 5}";

#[test]
fn a_burst_is_one_alert_that_quotes_its_last_event_and_names_all() {
    let set = with(FIVE_FAILURES);
    let events: Vec<Event> = (0..5).map(|n| failed(n * 10, "a.user", "192.0.2.7")).collect();
    let alerts = run(&set, &events);
    let [alert] = alerts.as_slice() else { panic!("one alert, not {alerts:?}") };
    assert_eq!((alert.rule.id.as_str(), alert.event.clone(), alert.time), ("c", events[4].id.clone(), at(40)));
    let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
    assert_eq!((alert.correlated.events(), alert.correlated.total()), (ids.as_slice(), 5));
    assert!(alert.matched.iter().all(|q| events[4].field(&q.field).is_some_and(|stored| stored.contains(&q.value))));
    assert!(!alert.matched.is_empty() && !alert.entities.is_empty());
    // Four are too few, five over more than the timespan too, and five of two sources as well.
    assert_eq!(run(&set, &events[..4]), []);
    assert_eq!(seconds(&set, &(0..5).map(|n| failed(n * 16, "a", "192.0.2.7")).collect::<Vec<_>>()), [0_i64; 0]);
    let of_two = (0..8).map(|n| failed(n, "a", ["192.0.2.7", "192.0.2.8"][n as usize % 2]));
    assert_eq!(seconds(&set, &of_two.collect::<Vec<_>>()), [0_i64; 0]);
    // What lacks the field belongs to no group.
    assert_eq!(seconds(&set, &(0..9).map(|n| failed(n, "a", "-")).collect::<Vec<_>>()), [0_i64; 0]);
}

#[test]
fn a_long_burst_is_one_alert_a_timespan() {
    let set = with(FIVE_FAILURES);
    let events: Vec<Event> = (0..600).map(|n| failed(n, "a", "192.0.2.7")).collect();
    let fired = seconds(&set, &events);
    assert_eq!((fired[0], fired.len()), (4, 10), "{fired:?}");
    assert!(fired.windows(2).all(|pair| pair[1] - pair[0] > 60));
}

#[test]
fn distinct_values_are_counted_and_case_makes_none() {
    let set = with(
        "type: value_count\n    rules: [failed]\n    group-by: [IpAddress]\n    timespan: 10m\n    \
         condition: {field: TargetUserName, gte: 3}",
    );
    let of = |users: &[&str]| {
        users.iter().zip(0..).map(|(user, second)| failed(second, user, "192.0.2.7")).collect::<Vec<_>>()
    };
    assert_eq!(seconds(&set, &of(&["a", "A", "b", "a", "B", "-"])), [0_i64; 0]);
    assert_eq!(seconds(&set, &of(&["a", "A", "b", "a", "c"])), [4]);
}

#[test]
fn sums_averages_and_percentiles_are_taken_of_numbers() {
    let of = |kind: &str, condition: &str| {
        with(&format!(
            "type: {kind}\n    rules: [done]\n    group-by: [IpAddress]\n    timespan: 10m\n    \
             condition: {{field: Bytes, {condition}}}"
        ))
    };
    let events: Vec<Event> = ["10", "x", "20", "60", "30"]
        .iter()
        .zip(0..)
        .map(|(bytes, second)| logon(4624, second, json!({"Bytes": bytes, "IpAddress": "192.0.2.7"})))
        .collect();
    assert_eq!(seconds(&of("value_sum", "gte: 90"), &events), [3]);
    assert_eq!(seconds(&of("value_avg", "gte: 30"), &events), [3]);
    assert_eq!(seconds(&of("value_median", "gte: 20"), &events), [3]);
    assert_eq!(seconds(&of("value_percentile", "percentile: 100, gte: 60"), &events), [3]);
    assert_eq!(seconds(&of("value_sum", "gte: 121"), &events), [0_i64; 0]);
}

#[test]
fn several_rules_within_a_time_in_any_order_or_in_theirs() {
    let of = |kind: &str| {
        with(&format!(
            "type: {kind}\n    rules: [failed, named_done, made]\n    group-by: [Computer]\n    timespan: 1m"
        ))
    };
    let events = |order: [u32; 3], step: i64| {
        order.iter().zip(0..).map(|(code, n)| logon(*code, n * step, json!({}))).collect::<Vec<_>>()
    };
    assert_eq!(seconds(&of("temporal"), &events([4720, 4624, 4625], 10)), [20]);
    assert_eq!(seconds(&of("temporal_ordered"), &events([4720, 4624, 4625], 10)), [0_i64; 0]);
    assert_eq!(seconds(&of("temporal_ordered"), &events([4625, 4624, 4720], 10)), [20]);
    assert_eq!(seconds(&of("temporal_ordered"), &events([4625, 4624, 4720], 31)), [0_i64; 0]);
    assert_eq!(seconds(&of("temporal"), &events([4625, 4625, 4720], 10)), [0_i64; 0]);
    let one_of =
        "type: temporal\n    rules: [failed, done, made]\n    timespan: 1m\n    condition: failed and not done";
    assert_eq!(seconds(&with(one_of), &events([4720, 4625, 4624], 10)), [10]);
    let two = "type: temporal\n    rules: [failed, done, made]\n    timespan: 1m\n    condition: {gte: 2}";
    assert_eq!(seconds(&with(two), &events([4720, 4720, 4625], 10)), [20]);
}

#[test]
fn fields_may_have_other_names_in_other_rules() {
    let set = with(
        "type: temporal\n    rules: [failed, made]\n    group-by: [who]\n    timespan: 1m\n    \
         aliases:\n        who:\n            failed: TargetUserName\n            made: SubjectUserName",
    );
    let made = |user: &str| logon(4720, 5, json!({"SubjectUserName": user, "TargetUserName": "new"}));
    assert_eq!(seconds(&set, &[failed(0, "a.user", "-"), made("A.User")]), [5]);
    assert_eq!(seconds(&set, &[failed(0, "a.user", "-"), made("b.user")]), [0_i64; 0]);
}

#[test]
fn tumbling_and_session_windows_begin_where_they_should() {
    let tumbling = with(&format!("{FIVE_FAILURES}\n    window: tumbling"));
    let run_of = |from: i64| (from..from + 5).map(|n| failed(n, "a", "192.0.2.7")).collect::<Vec<_>>();
    assert_eq!(seconds(&tumbling, &run_of(57)), [0_i64; 0]);
    assert_eq!(seconds(&tumbling, &run_of(60)), [64]);
    let session = with(&format!("{FIVE_FAILURES}\n    window: session\n    gap: 5s"));
    let stepping = |step: i64| (0..5).map(|n| failed(n * step, "a", "192.0.2.7")).collect::<Vec<_>>();
    assert_eq!(seconds(&session, &stepping(5)), [20]);
    assert_eq!(seconds(&session, &stepping(6)), [0_i64; 0]);
}

#[test]
fn parts_of_a_correlation_are_silent_unless_it_asks_for_them() {
    let silent = with(FIVE_FAILURES);
    let one = failed(0, "a", "192.0.2.7");
    assert_eq!(silent.detect(&one), []);
    assert_eq!(silent.detect(&logon(4624, 0, json!({}))).len(), 1);
    let set = rules(&[
        ("failed.yml", &rule("failed", "service: security", "EventID: 4625")),
        ("c.yml", &(correlation("c", FIVE_FAILURES) + "generate: true\n")),
    ]);
    assert_eq!(set.detect(&one).len(), 1);
    // What is never shown needs no words for readers.
    assert!(silent.remarks().iter().all(|remark| !remark.text.contains("`Rule failed`")), "{:?}", silent.remarks());
    assert!(set.remarks().iter().any(|remark| remark.text.contains("`Rule failed`")));
    let own_word = rules(&[("f.yml", &(rule("failed", "service: security", "EventID: 4625") + "generate: false\n"))]);
    assert_eq!(own_word.detect(&one), []);
}

#[test]
fn a_correlation_may_count_another() {
    let set = Arc::new(rules(&[
        ("failed.yml", &rule("failed", "service: security", "EventID: 4625")),
        (
            "a.yml",
            &correlation(
                "many",
                "type: value_count\n    rules: [c]\n    timespan: 1h\n    group-by: [Computer]\n    condition: {field: IpAddress, gte: 2}",
            ),
        ),
        ("c.yml", &correlation("c", &FIVE_FAILURES.replace("[IpAddress]", "[IpAddress, Computer]"))),
    ]));
    assert_eq!(set.rejected(), []);
    assert_eq!(set.correlations(), 2);
    let burst = |from: i64, address: &'static str| (from..from + 5).map(move |n| failed(n, "a", address));
    let events: Vec<Event> = burst(0, "192.0.2.7").chain(burst(100, "192.0.2.8")).collect();
    let alerts = run(&set, &events);
    assert_eq!(alerts.iter().map(|alert| alert.rule.id.as_str()).collect::<Vec<_>>(), ["many"]);
    assert_eq!(alerts[0].time, at(104));
}

#[test]
fn unsound_correlations_are_named() {
    let set = rules(&[
        ("base.yml", &rule("base", "service: system", "EventID: 1")),
        (
            "a.yml",
            &correlation("a", "type: event_count\n    rules: [absent]\n    timespan: 1m\n    condition: {gte: 2}"),
        ),
        ("b.yml", &correlation("b", "type: event_count\n    rules: [b]\n    timespan: 1m\n    condition: {gte: 2}")),
        ("c.yml", &correlation("c", "type: value_count\n    rules: [base]\n    timespan: 1m\n    condition: {gte: 2}")),
        (
            "d.yml",
            &correlation("d", "type: event_count\n    rules: [base]\n    timespan: 9000d\n    condition: {gte: 2}"),
        ),
        (
            "e.yml",
            &correlation("e", "type: temporal\n    rules: [base]\n    timespan: 1m\n    condition: base and other"),
        ),
        ("f.yml", &correlation("f", "type: event_count\n    rules: []\n    timespan: 1m\n    condition: {gte: 2}")),
        ("g.yml", &correlation("g", "type: nonsense\n    rules: [base]\n    timespan: 1m\n    condition: {gte: 2}")),
    ]);
    let reasons: Vec<String> = set.rejected().iter().map(|bad| format!("{} {}", bad.file, bad.reason)).collect();
    assert_eq!((set.len(), reasons.len()), (1, 7), "{reasons:?}");
    for (file, says) in [
        ("a.yml", "`absent`"),
        ("b.yml", "itself"),
        ("c.yml", "`field:`"),
        ("d.yml", "9000d"),
        ("e.yml", "`other`"),
        ("f.yml", "names no rules"),
        ("g.yml", "nonsense"),
    ] {
        assert!(reasons.iter().any(|reason| reason.contains(file) && reason.contains(says)), "{file}: {reasons:?}");
    }
    // A correlation that cannot be used silences nothing.
    assert_eq!(set.detect(&event("System", 1, json!({}))).len(), 1);
}

#[test]
fn long_lists_of_events_are_cut_and_counted() {
    let set = with(&FIVE_FAILURES.replace("gte: 5", "gte: 80").replace("1m", "1h"));
    let alerts = run(&set, &(0..80).map(|n| failed(n, "a", "192.0.2.7")).collect::<Vec<_>>());
    assert_eq!((alerts[0].correlated.events().len(), alerts[0].correlated.total()), (MOST_CORRELATED, 80));
}

#[test]
fn memory_is_bounded_and_bursts_are_found_still() {
    let set = with(FIVE_FAILURES);
    let template = failed(0, "a", "192.0.2.7");
    let mut detector = Detector::new(set.clone());
    let mut alerts = BTreeSet::new();
    let many = MOST_HITS + MOST_HITS / 2;
    for n in 0..many {
        let mut event = template.clone();
        event.id = crate::domain::ids::EventId::new(format!("e{n}"));
        event.time = at(i64::try_from(n).expect("small") * 100);
        // One group holds more than a group may; every other event is a group of its own.
        let address = if n % 2 == 0 { "192.0.2.7".to_owned() } else { format!("host-{n}") };
        event.document["winlog"]["event_data"]["IpAddress"] = address.into();
        alerts.extend(detector.detect(&event).into_iter().map(|alert| alert.id));
    }
    assert_eq!(alerts.len(), 0);
    assert!(detector.given_up() > (MOST_IN_GROUP / 2) as u64);
    let late = i64::try_from(many).expect("small") * 100;
    let burst: Vec<Event> = (late..late + 5).map(|n| failed(n, "a", "192.0.2.7")).collect();
    for event in &burst {
        alerts.extend(detector.detect(event).into_iter().map(|alert| alert.id));
    }
    alerts.extend(detector.settle().into_iter().map(|alert| alert.id));
    assert_eq!(alerts.len(), 1);
}

#[test]
fn a_detector_that_is_told_again_raises_the_same_alerts() {
    let set = with(FIVE_FAILURES);
    let events: Vec<Event> = (0..30).map(|n| failed(n, "a", "192.0.2.7")).collect();
    let first = run(&set, &events);
    let again = run(&set, &events);
    assert_eq!(first, again);
    let mut detector = Detector::new(set.clone());
    assert!(detector.horizon() >= SignedDuration::from_hours(24));
    let mut alerts: Vec<Alert> = Vec::new();
    for event in &events {
        alerts.extend(detector.detect(event));
        alerts.extend(detector.settle());
    }
    assert_eq!(alerts, first);
    // Other rules decide what is held back by the old ones and go on empty.
    assert_eq!(detector.change_rules(set), []);
    assert_eq!(detector.settle(), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn order_repeats_and_batches_of_arrival_decide_nothing(
        sent in prop::collection::vec((0_i64..400, 0_u8..3, 0_u8..2), 1..60),
        order in any::<prop::sample::Index>(),
        reversed in any::<bool>(),
    ) {
        let set = with(FIVE_FAILURES);
        let build = |(second, user, source): &(i64, u8, u8)| {
            failed(*second, &format!("user-{user}"), &format!("192.0.2.{source}"))
        };
        let events: Vec<Event> = sent.iter().map(build).collect();
        let expected = run(&set, &events);
        let mut other = events.clone();
        other.extend(events.iter().take(3).cloned());
        other.rotate_left(order.index(events.len()));
        if reversed {
            other.reverse();
        }
        prop_assert_eq!(&run(&set, &other), &expected);

        // In order of time, settling after every event ends in the same alerts.
        let mut in_time = events;
        in_time.sort_by(|one, other| (one.time, &one.id).cmp(&(other.time, &other.id)));
        let mut detector = Detector::new(set);
        let mut ids = BTreeSet::new();
        for event in &in_time {
            ids.extend(detector.detect(event).into_iter().map(|alert| alert.id));
            ids.extend(detector.settle().into_iter().map(|alert| alert.id));
        }
        prop_assert_eq!(ids, expected.into_iter().map(|alert| alert.id).collect::<BTreeSet<_>>());
    }
}
