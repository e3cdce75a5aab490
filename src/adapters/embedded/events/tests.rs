//! Questions to a small log with known answers.

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::domain::event::{Origin, SYSMON};
use crate::fixtures::rows;
use crate::ports::events::coverage::Tampering;
use crate::ports::events::mention::Mention;
use crate::ports::events::prevalence::{Habit, Spread};
use crate::ports::events::tally::{Bin, Dimension, Grouping, NO_FIELD};
use crate::ports::events::text::TextQuery;
use crate::ports::events::{Comparison, Condition};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

fn event(id: &str, seconds: i64, host: &str, (channel, code): (&str, u32), data: Value) -> Event {
    let Value::Object(document) = json!({"winlog": {"event_data": data}}) else { unreachable!("it is an object") };
    Event {
        id: EventId::new(id),
        time: at(seconds),
        host: HostName::new(host),
        channel: channel.into(),
        code,
        record_id: Some(format!("r-{id}")),
        origin: Origin { file: "log.json".into(), line: 3 },
        document,
    }
}

fn everything() -> EventQuery {
    EventQuery::within(at(0), at(1_000_000), Watermark(u64::MAX))
}

fn kind(channel: Option<&str>, code: u32) -> Kind {
    Kind { channel: channel.map(str::to_owned), code }
}

fn condition(comparison: Comparison, value: &str) -> Condition {
    Condition { field: "winlog.event_data.Image".into(), comparison, value: value.into() }
}

/// A store whose questions index nothing by themselves.
async fn store(events: Vec<Event>) -> (TempDir, EmbeddedEvents) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = EmbeddedEvents::open(folder.path()).expect("it opens");
    store.catching_up = std::time::Duration::ZERO;
    store.insert(rows(events)).await.expect("they are stored");
    (folder, store)
}

async fn small_log() -> (TempDir, EmbeddedEvents) {
    store(vec![
        event("b", 20, "WKS-1.corp.example", (SYSMON, 1), json!({"ProcessGuid": "{aa-1}", "Image": r"C:\A\cmd.exe"})),
        event("a", 20, "wks-1", (SYSMON, 1), json!({"ProcessGuid": "{AA-2}", "ParentProcessGuid": "{AA-1}"})),
        event("c", 10, "wks-2", (SYSMON, 10), json!({"SourceProcessGUID": "{AA-1}", "TargetProcessGUID": "{AA-9}"})),
        event("d", 30, "wks-1", ("Security", 1), json!({"Image": r"C:\A\CMD.EXE"})),
        event("e", 40, "wks-1", (SYSMON, 3), json!({"SourceProcessGuid": "{AA-2}", "Image": r"C:\A\net.exe"})),
    ])
    .await
}

async fn ids(store: &EmbeddedEvents, query: EventQuery) -> (Vec<String>, u64) {
    let found = store.search(&query).await.expect("it answers");
    (found.rows.iter().map(|event| event.id.to_string()).collect(), found.total)
}

async fn all_ids(store: &EmbeddedEvents, query: EventQuery) -> String {
    let (ids, total) = ids(store, query).await;
    assert_eq!(ids.len() as u64, total);
    ids.concat()
}

#[tokio::test]
async fn an_event_is_stored_once_and_comes_back_exactly() {
    let mut odd = event("x", 5, "Host.corp.example", (SYSMON, 1), json!({"CommandLine": "ä \0 \"'"}));
    odd.time = "2020-05-02T02:55:56.1571234Z".parse().expect("a time");
    let mut early = event("y", -5, "", ("Security", 4624), json!({}));
    early.time = Timestamp::from_nanosecond(-1_500_000_001).expect("a time");
    let (folder, store) = store(vec![odd.clone(), early.clone()]).await;
    let again = store.insert(rows(vec![odd.clone(), event("z", 1, "h", (SYSMON, 1), json!({}))])).await;
    assert_eq!(again.expect("it is stored"), Stored { new: 1, known: 1 });
    drop(store);
    let store = EmbeddedEvents::open(folder.path()).expect("it opens");
    let found = store.get(&odd.id).await.expect("it reads");
    assert_eq!(found.as_ref().map(|event| event.host.as_str()), Some("Host.corp.example"));
    assert_eq!(found, Some(odd));
    assert_eq!(store.get(&early.id).await.expect("it reads"), Some(early));
    assert_eq!(store.get(&EventId::new("none")).await.expect("it reads"), None);
    assert_eq!(store.watermark().await.expect("it counts"), Watermark(3));
}

#[tokio::test]
async fn a_search_is_narrowed_by_host_window_kind_and_watermark() {
    let (_folder, store) = small_log().await;
    assert_eq!(all_ids(&store, everything()).await, "cabde", "by time, then by id");
    let host = Some(HostName::new("WKS-1"));
    assert_eq!(all_ids(&store, EventQuery { host: host.clone(), ..everything() }).await, "abde");
    assert_eq!(all_ids(&store, EventQuery { from: at(20), to: at(30), ..everything() }).await, "abd");
    assert_eq!(all_ids(&store, EventQuery { watermark: Watermark(2), ..everything() }).await, "ab");
    let kinds = |kinds: &[Kind]| EventQuery { kinds: kinds.to_vec(), ..everything() };
    assert_eq!(all_ids(&store, kinds(&[kind(None, 1)])).await, "abd");
    assert_eq!(all_ids(&store, kinds(&[kind(Some(SYSMON), 1), kind(None, 10)])).await, "cab");
    assert_eq!(ids(&store, EventQuery { limit: 2, ..everything() }).await, (vec!["c".into(), "a".into()], 5));
}

#[tokio::test]
async fn a_process_is_found_as_source_new_process_and_parent_in_any_case() {
    let (_folder, store) = small_log().await;
    let process = |id: &str| EventQuery { process: Some(id.into()), ..everything() };
    assert_eq!(all_ids(&store, process("{aa-1}")).await, "cab");
    assert_eq!(all_ids(&store, process("{AA-2}")).await, "ae");
    assert_eq!(all_ids(&store, process("{AA-9}")).await, "", "it was only the target");
    let on_host = EventQuery { host: Some(HostName::new("wks-1")), from: at(20), ..process("{AA-1}") };
    assert_eq!(all_ids(&store, on_host).await, "ab");
}

#[tokio::test]
async fn conditions_all_hold_and_matches_beyond_the_limit_are_counted() {
    let (_folder, store) = small_log().await;
    let with = |conditions: &[Condition]| EventQuery { conditions: conditions.to_vec(), ..everything() };
    let (starts, ends) = (condition(Comparison::StartsWith, r"c:\a\"), condition(Comparison::EndsWith, "CMD.exe"));
    assert_eq!(all_ids(&store, with(std::slice::from_ref(&starts))).await, "bde");
    assert_eq!(all_ids(&store, with(&[starts.clone(), ends])).await, "bd");
    assert_eq!(ids(&store, EventQuery { limit: 1, ..with(&[starts]) }).await, (vec!["b".into()], 3));
}

#[tokio::test]
async fn a_sensor_is_alive_only_if_it_reported_on_both_sides_untouched() {
    let hour = 3600;
    let one = |id: &str, hours: i64| event(id, hours * hour, "wks-1", (SYSMON, 1), json!({}));
    let elsewhere = event("other", 51 * hour, "wks-2", ("Security", 1102), json!({}));
    let (_folder, store) =
        store(vec![one("too early", 20), one("before", 40), one("within", 51), one("after", 60), elsewhere]).await;
    let ask = async |code, from: i64, to: i64, watermark| {
        let (host, kind) = (HostName::new("wks-1"), kind(Some(SYSMON), code));
        store.sensor(&host, &kind, at(from), at(to), watermark).await.expect("it answers")
    };
    let all = Watermark(u64::MAX);
    let seen = ask(1, 50 * hour, 52 * hour, all).await;
    let (last_before, first_after) = (Some(at(40 * hour)), Some(at(60 * hour)));
    assert_eq!(seen, SensorSeen { count: 3, last_before, first_after, tampered: false });
    assert!(!ask(1, 50 * hour, 60 * hour + 1, all).await.is_alive(), "nothing after the window");
    assert!(!ask(1, 50 * hour, 52 * hour, Watermark(3)).await.is_alive(), "it had not arrived by then");
    assert_eq!(ask(3, 50 * hour, 52 * hour, all).await, SensorSeen::default());

    let other_channel = event("not it", 51 * hour, "wks-1", ("Application", 1102), json!({}));
    store.insert(rows(vec![other_channel])).await.expect("it is stored");
    assert!(ask(1, 50 * hour, 52 * hour, all).await.is_alive());
    let cleared = event("cleared", 76 * hour, "wks-1", ("Security", 1102), json!({}));
    store.insert(rows(vec![cleared])).await.expect("it is stored");
    assert!(ask(1, 50 * hour, 52 * hour, all).await.tampered, "within the day after");
    assert!(!ask(1, 50 * hour, 51 * hour, all).await.tampered, "a day and an hour after");
}

/// Does what the writer does when nobody writes.
async fn index_words(store: &EmbeddedEvents) {
    let portion = |c: &Connection| Ok::<_, Failure<StorageError>>(write::index_words(c)?);
    while store.database.write(portion).await.expect("they are written") {}
}

fn process(id: &str, seconds: i64, host: &str, image: &str, command: &str) -> Event {
    let data = json!({"ProcessGuid": format!("{{{id}}}"), "Image": image, "CommandLine": command,
        "ParentImage": r"C:\Windows\explorer.exe", "User": r"CORP\r.holm"});
    event(id, seconds, host, (SYSMON, 1), data)
}

#[tokio::test]
async fn things_are_found_by_index_whole_paths_are_told_from_names_and_all_have_to_fit() {
    let (_folder, store) = store(vec![
        process("a", 1, "wks-1", r"C:\Tools\run.exe", "run /all"),
        process("b", 2, "wks-2", r"C:\Other\run.exe", "run /some"),
        event("c", 3, "wks-1", (SYSMON, 3), json!({"DestinationIp": "::ffff:192.0.2.5", "DestinationPort": "443"})),
        event("d", 4, "wks-1", (SYSMON, 22), json!({"QueryName": "Files.Example", "QueryResults": "192.0.2.5;"})),
        event("e", 5, "wks-1", (SYSMON, 13), json!({"TargetObject": r"HKLM\A\Run\Up", "User": r"CORP\r.holm"})),
    ])
    .await;
    let about = |mentions: &[Mention]| EventQuery { mentions: mentions.to_vec(), ..everything() };
    let address = Mention::address("192.0.2.5".parse().expect("an address"));
    for (mentions, found) in [
        (vec![Mention::file("RUN.exe")], "ab"),
        (vec![Mention::file(r"c:\tools\run.exe")], "a"),
        (vec![Mention::account("holm")], ""),
        (vec![Mention::account("R.Holm")], "abe"),
        (vec![Mention::account("r.holm"), Mention::registry(r"HKLM\A\Run")], "e"),
        (vec![address.clone()], "cd"),
        (vec![address, Mention::port(443)], "c"),
        (vec![Mention::domain("files.example")], "d"),
    ] {
        assert_eq!(all_ids(&store, about(&mentions)).await, found, "{mentions:?}");
    }
    let among =
        EventQuery { among: Some(vec![EventId::new("d"), EventId::new("b"), EventId::new("?")]), ..everything() };
    assert_eq!(all_ids(&store, among.clone()).await, "bd");
    assert_eq!(all_ids(&store, EventQuery { host: Some(HostName::new("wks-2")), ..among }).await, "b");
    assert_eq!(all_ids(&store, EventQuery { among: Some(vec![]), ..everything() }).await, "", "none of none");
}

#[tokio::test]
async fn words_are_found_before_and_after_they_are_indexed() {
    let mut said = event("m", 3, "wks-2", ("System", 7036), json!({}));
    said.document.insert("message".into(), json!("The Überprüfung service entered the stopped state"));
    let (_folder, store) = store(vec![
        process("a", 1, "wks-1", r"C:\Tools\run.exe", r#""C:\Tools\run.exe" -EncodedCommand QQB3"#),
        process("b", 2, "wks-1", r"C:\Tools\run.exe", "run -encoding utf8"),
        said,
    ])
    .await;
    let text = |words: &str| EventQuery { text: TextQuery::new(words), ..everything() };
    for pass in ["not indexed", "indexed"] {
        for (words, found) in
            [("encod", "ab"), ("ENCODED tools", "a"), ("ncoded", ""), ("überprüf stop", "m"), ("run \" OR *", "")]
        {
            assert_eq!(all_ids(&store, text(words)).await, found, "{words}, {pass}");
        }
        index_words(&store).await;
    }
    assert_eq!(store.size().await.expect("it is read").unindexed, 0);
    let early = EventQuery { watermark: Watermark(1), ..text("encod") };
    assert_eq!(all_ids(&store, early).await, "a");
}

#[tokio::test]
async fn a_question_for_text_indexes_what_an_import_left() {
    let (folder, store) = store(vec![process("a", 1, "wks-1", r"C:\run.exe", "run")]).await;
    drop(store);
    let store = EmbeddedEvents::open(folder.path()).expect("it opens");
    store.insert(rows([process("b", 2, "wks-1", r"C:\run.exe", "run")])).await.expect("it is stored");
    all_ids(&store, everything()).await;
    assert!(store.size().await.expect("it is read").unindexed > 0, "other questions do not");
    assert_eq!(all_ids(&store, EventQuery { text: TextQuery::new("run"), ..everything() }).await, "ab");
    assert_eq!(store.size().await.expect("it is read").unindexed, 0);
}

#[tokio::test]
async fn the_writer_indexes_words_by_itself_when_nobody_writes() {
    let (_folder, store) = store(vec![process("a", 1, "wks-1", r"C:\run.exe", "run")]).await;
    while store.size().await.expect("it is read").unindexed > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(all_ids(&store, EventQuery { text: TextQuery::new("run"), ..everything() }).await, "a");
}

#[tokio::test]
async fn events_are_counted_by_up_to_three_things_and_all_of_them_count() {
    let day = 86_400;
    let (_folder, store) = store(vec![
        process("a", 1, "wks-1", "one.exe", "x"),
        process("b", 61, "WKS-2.corp.example", "one.exe", "x"),
        process("c", day, "wks-2", "one.exe", "x"),
        process("d", day + 1, "wks-2", "two.exe", "x"),
        event("e", 5, "wks-1", ("Security", 4624), json!({})),
    ])
    .await;
    let count = async |by: Vec<Dimension>, limit| {
        let events = EventQuery { limit, ..everything() };
        let by = Grouping::new(by).expect("it is one to three");
        store.tally(&TallyQuery { events, by }).await.expect("it counts")
    };
    let image = Dimension::Field("winlog.event_data.Image".into());
    let tally = count(vec![image.clone()], 9).await;
    let keys: Vec<_> = tally.groups.iter().map(|group| (group.key.concat(), group.events)).collect();
    assert_eq!(keys, [("one.exe".into(), 3), (NO_FIELD.into(), 1), ("two.exe".into(), 1)], "ties by key");
    let one = &tally.groups[0];
    assert_eq!((one.hosts, one.days, one.first, one.last), (2, 2, at(1), at(day)));
    assert_eq!((tally.groups_total, tally.events_total), (3, 5));
    let cut = count(vec![image.clone()], 1).await;
    assert_eq!((cut.groups.len(), cut.groups_total, cut.events_total), (1, 3, 5));
    let three = count(vec![Dimension::Host, Dimension::Kind, Dimension::Time(Bin::Minute)], 1).await;
    assert_eq!(three.groups[0].key, ["wks-2", "Sysmon 1", "1970-01-02T00:00:00Z"]);
    assert!(Grouping::new(vec![]).is_err() && Grouping::new(vec![image; 4]).is_err());
}

#[tokio::test]
async fn prevalence_counts_hosts_days_and_events_without_the_hours_around_the_alert() {
    let day = 86_400;
    let habit = |id: &str, seconds, host: &str, number: u32| {
        process(id, seconds, host, r"C:\Users\a.b\run.exe", &format!("run /job:{number}"))
    };
    let (_folder, store) = store(vec![
        habit("a", day, "wks-1", 11),
        habit("b", 2 * day, "wks-2", 22),
        habit("c", 3 * day, "wks-2", 33),
        habit("alert", 4 * day, "wks-1", 44),
        process("other", day, "wks-3", r"C:\Users\c.d\run.exe", "run /else"),
    ])
    .await;
    let of = async |of, except, watermark| {
        let (host, to) = (HostName::new("WKS-1.corp.example"), at(9 * day));
        store.prevalence(&PrevalenceQuery { of, host, from: at(0), to, except, watermark }).await.expect("it counts")
    };
    let spread =
        |events, hosts, days, first, last| Spread { events, hosts, days, first: Some(first), last: Some(last) };
    let around = Some((at(4 * day - 3_600), at(4 * day + 3_600)));
    let (image, all) = (r"C:\Users\e.f\run.exe", Watermark(u64::MAX));
    let command = || Habit::command(image, "RUN  /job:55");
    let seen = of(command(), around, all).await;
    assert_eq!(seen.fleet, spread(3, 2, 3, at(day), at(3 * day)));
    assert_eq!(seen.host, spread(1, 1, 1, at(day), at(day)));
    assert_eq!(of(command(), None, all).await.fleet.events, 4);
    assert_eq!(of(command(), None, Watermark(2)).await.fleet.events, 2);
    assert_eq!(of(Habit::program(image), None, all).await.fleet.hosts, 3);
    assert_eq!(of(Habit::parentage(r"c:\windows\explorer.exe", image), None, all).await.fleet.events, 5);
    assert_eq!(of(Habit::hash("00"), None, all).await.fleet, Spread::default());
}

#[tokio::test]
async fn a_sensor_s_facts_tell_kinds_silences_and_who_touched_it() {
    let mut events: Vec<Event> =
        (0..20).map(|n| event(&format!("n{n:02}"), n * 60, "wks-1", (SYSMON, 3), json!({}))).collect();
    events.push(event("late", 20 * 60 + 7_200, "wks-1", (SYSMON, 3), json!({})));
    events.push(event("end", 40 * 3_600, "wks-1", ("Security", 4624), json!({})));
    events.push(event("policy", 1_300, "wks-1", ("Security", 4719), json!({})));
    events.push(event("other", 1_300, "wks-2", ("Security", 1102), json!({})));
    let (_folder, store) = store(events).await;
    let all = Watermark(u64::MAX);
    let facts = store.sensor_facts(&HostName::new("wks-1"), at(0), at(50 * 3_600), all).await.expect("it answers");
    let kinds: Vec<_> = facts.kinds.iter().map(|kind| (kind.channel.as_str(), kind.code, kind.count)).collect();
    assert_eq!(kinds, [(SYSMON, 3, 21), ("Security", 4624, 1), ("Security", 4719, 1)]);
    assert_eq!((facts.kinds[0].first, facts.kinds[0].last), (at(0), at(8_400)));
    let silences: Vec<_> = facts.silences.iter().map(|s| (s.from, s.to, s.usual_seconds)).collect();
    assert_eq!(silences, [(at(8_400), at(40 * 3_600), 60), (at(1_140), at(8_400), 60)], "the longest first");
    let touched: Vec<_> = facts.touched.iter().map(|t| (t.what, t.event.as_str())).collect();
    assert_eq!((touched, facts.touched_total), (vec![(Tampering::AuditPolicyChanged, "policy")], 1));
    let nobody = store.sensor_facts(&HostName::new("wks-9"), at(0), at(9), all).await.expect("it answers");
    assert_eq!(nobody, SensorFacts::default());

    let history = store.history(all).await.expect("it answers");
    assert_eq!((history.events, history.oldest, history.newest), (24, Some(at(0)), Some(at(40 * 3_600))));
    assert_eq!((history.days(), history.complete_since), (1, None));
    let early = store.history(Watermark(2)).await.expect("it answers");
    assert_eq!((early.events, early.newest), (2, Some(at(60))));
}

#[tokio::test]
async fn a_changed_audit_policy_spoils_absences_of_the_security_log_alone() {
    let one = |id: &str, seconds, channel| event(id, seconds, "wks-1", (channel, 1), json!({}));
    let mut events = vec![one("a", 1, SYSMON), one("b", 9, SYSMON), one("c", 1, "Security"), one("d", 9, "Security")];
    events.push(event("policy", 5, "wks-1", ("Security", 4719), json!({})));
    let (_folder, store) = store(events).await;
    let alive = async |channel| {
        let kind = kind(Some(channel), 1);
        let seen = store.sensor(&HostName::new("wks-1"), &kind, at(3), at(7), Watermark(u64::MAX)).await;
        seen.expect("it answers").is_alive()
    };
    assert!(alive(SYSMON).await);
    assert!(!alive("Security").await);
}

async fn retained(store: &EmbeddedEvents, policy: RetentionPolicy, keep: &[&str]) -> Pruned {
    let keep: Vec<EventId> = keep.iter().map(|id| EventId::new(*id)).collect();
    store.retain(&policy, &keep).await.expect("it is carried out")
}

#[tokio::test]
async fn retention_by_age_keeps_what_is_cited_and_numbers_are_never_given_twice() {
    let runs = ["a", "b", "c", "d"].iter().zip(1..).map(|(id, at)| process(id, at, "wks-1", "run.exe", "run"));
    let (folder, store) = store(runs.collect()).await;
    index_words(&store).await;
    let policy = RetentionPolicy { before: Some(at(4)), ..RetentionPolicy::default() };
    let would = retained(&store, RetentionPolicy { dry_run: true, ..policy }, &["b"]).await;
    assert_eq!(all_ids(&store, everything()).await, "abcd");
    let did = retained(&store, policy, &["b"]).await;
    assert_eq!((did.removed, did.kept, did.from, did.to), (2, 1, Some(at(1)), Some(at(3))));
    assert_eq!((would.removed, would.kept, would.from, would.to), (did.removed, did.kept, did.from, did.to));
    for query in [
        everything(),
        EventQuery { text: TextQuery::new("run"), ..everything() },
        EventQuery { mentions: vec![Mention::file("run.exe")], ..everything() },
    ] {
        assert_eq!(all_ids(&store, query).await, "bd", "gone from every index");
    }
    assert_eq!(store.history(Watermark(u64::MAX)).await.expect("it answers").complete_since, Some(at(3) + MICROSECOND));

    assert_eq!(store.watermark().await.expect("it counts"), Watermark(4), "what had arrived had arrived");
    let all = RetentionPolicy { before: Some(at(99)), ..RetentionPolicy::default() };
    assert_eq!(retained(&store, all, &[]).await.removed, 2);
    assert_eq!(store.watermark().await.expect("it counts"), Watermark(4), "even of an empty store");
    drop(store);
    let store = EmbeddedEvents::open(folder.path()).expect("it opens");
    store.insert(rows(vec![process("e", 1, "wks-1", "run.exe", "run")])).await.expect("it is stored");
    assert_eq!(store.watermark().await.expect("it counts"), Watermark(5));
    assert_eq!(all_ids(&store, EventQuery { watermark: Watermark(4), ..everything() }).await, "");
}

const MICROSECOND: SignedDuration = SignedDuration::from_micros(1);

#[tokio::test]
async fn an_absence_in_a_window_that_retention_touched_is_not_proven() {
    let events = vec![
        process("a", 1, "wks-1", "a", "a"),
        process("b", 5, "wks-1", "b", "b"),
        process("c", 9, "wks-1", "c", "c"),
    ];
    let (_folder, store) = store(events).await;
    let alive = async |from, to| {
        let kind = kind(Some(SYSMON), 1);
        let seen = store.sensor(&HostName::new("wks-1"), &kind, at(from), at(to), Watermark(u64::MAX)).await;
        seen.expect("it answers").is_alive()
    };
    assert!(alive(2, 8).await);
    retained(&store, RetentionPolicy { before: Some(at(6)), ..RetentionPolicy::default() }, &["a"]).await;
    assert!(!alive(2, 8).await, "what was kept on one side proves nothing: the event between was removed");
}

#[tokio::test]
async fn retention_by_size_removes_the_oldest_until_it_fits() {
    let long = "x".repeat(4_000);
    let runs = (0..3_000).map(|n| process(&format!("{n:04}"), n, "wks-1", "run.exe", &format!("run {long}")));
    let (_folder, store) = store(runs.collect()).await;
    let size = store.size().await.expect("it is read").bytes;
    let policy = RetentionPolicy { larger_than: Some(size / 2), ..RetentionPolicy::default() };
    let would = retained(&store, RetentionPolicy { dry_run: true, ..policy }, &["0000"]).await;
    assert!((1_400..1_700).contains(&would.removed), "{would:?}");
    let did = retained(&store, policy, &["0000"]).await;
    assert!(did.bytes_after <= size / 2 && did.removed.abs_diff(would.removed) < 300, "{did:?} and {would:?}");
    assert_eq!((did.kept, did.bytes_before), (1, size));
    let left = EventQuery { limit: 2, ..everything() };
    let next = format!("{:04}", did.removed + 1);
    assert_eq!(ids(&store, left).await, (vec!["0000".into(), next], 3_000 - did.removed));
    assert_eq!(retained(&store, RetentionPolicy::default(), &[]).await.removed, 0, "without a bound nothing goes");
}

#[tokio::test]
async fn a_file_of_the_first_format_is_brought_to_this_one_with_all_it_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = Connection::open(folder.path().join(EmbeddedEvents::FILE)).expect("it opens");
    file.execute_batch(format::FORMAT_1).expect("it is made");
    let document = json!({"winlog": {"event_data": {
        "ProcessGuid": "{AA-1}", "Image": r"C:\Tools\run.exe", "CommandLine": "run -now", "User": "CORP\\r.holm"}}});
    file.execute("INSERT INTO event VALUES(7, 'old', 5000000, 'wks-1', ?1, 1, 'r', '{AA-1}', NULL)", [SYSMON])
        .expect("it is written");
    file.execute("INSERT INTO document VALUES(7, 'WKS-1', 42, 'log.json', 3, ?1)", [document.to_string()])
        .expect("it is written");
    file.pragma_update(None, "user_version", 1).expect("it is set");
    drop(file);

    let store = EmbeddedEvents::open(folder.path()).expect("it is upgraded");
    let old = store.get(&EventId::new("old")).await.expect("it reads").expect("it is there");
    assert_eq!((old.host.as_str(), old.time), ("WKS-1", at(5) + SignedDuration::from_nanos(42)));
    for query in [
        EventQuery { process: Some("{aa-1}".into()), ..everything() },
        EventQuery { mentions: vec![Mention::account("r.holm"), Mention::file("run.exe")], ..everything() },
        EventQuery { text: TextQuery::new("now"), ..everything() },
    ] {
        assert_eq!(all_ids(&store, query.clone()).await, "old", "{query:?}");
    }
    store.insert(rows(vec![process("new", 6, "wks-1", "run.exe", "run -now")])).await.expect("it is stored");
    assert_eq!(store.watermark().await.expect("it counts"), Watermark(8));
    index_words(&store).await;
    assert_eq!(all_ids(&store, EventQuery { text: TextQuery::new("now"), ..everything() }).await, "oldnew");
}

#[tokio::test]
async fn damage_is_told_with_the_name_of_the_file() {
    let (folder, store) = store(vec![process("a", 1, "wks-1", "run.exe", "run")]).await;
    let file = folder.path().join(EmbeddedEvents::FILE);
    let change = |sql: &str| Connection::open(&file).expect("it opens").execute_batch(sql).expect("it is changed");
    change("UPDATE document SET json = '{\"winlog\": '");
    let told = store.get(&EventId::new("a")).await.expect_err("it is damaged").to_string();
    assert!(told.contains(EmbeddedEvents::FILE) && told.contains("1. event is damaged"), "{told}");
    index_words(&store).await;
    assert_eq!(store.size().await.expect("it is read").unindexed, 0, "it holds up nothing");
    let policy = RetentionPolicy { before: Some(at(9)), ..RetentionPolicy::default() };
    assert_eq!(retained(&store, policy, &[]).await.removed, 1, "and can be removed");
    drop(store);
    std::fs::write(&file, "no store at all, but long enough to have a beginning of its own").expect("it is written");
    let told = EmbeddedEvents::open(folder.path()).err().expect("it is refused").to_string();
    assert!(told.contains(EmbeddedEvents::FILE) && told.contains("not a store"), "{told}");
}

/// Small alphabets, so that questions find something.
fn any_event() -> impl Strategy<Value = Event> {
    let hosts = prop::sample::select(vec!["wks-1", "WKS-1.corp.example", "wks-2", ""]);
    let kinds = prop::sample::select(vec![(SYSMON, 1), (SYSMON, 3), (SYSMON, 13), ("Security", 1), ("System", 7045)]);
    let words = prop::sample::select(vec![
        "",
        "-",
        "run",
        "Runner x",
        r"C:\A\run.exe",
        r"C:\B\RUN.exe",
        r"CORP\run",
        "192.0.2.1",
        "é run",
    ]);
    let names = [
        "Image",
        "User",
        "TargetObject",
        "DestinationIp",
        "CommandLine",
        "ProcessGuid",
        "ParentProcessGuid",
        "QueryName",
    ];
    let data = prop::collection::vec(words, names.len());
    (0_i64..6, hosts, kinds, data).prop_map(move |(seconds, host, kind, values)| {
        let data: serde_json::Map<_, _> =
            names.iter().zip(values).map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        event("", seconds, host, kind, Value::Object(data))
    })
}

fn any_query() -> impl Strategy<Value = EventQuery> {
    let mention = prop::sample::select(vec![
        Mention::file("run.exe"),
        Mention::file(r"c:\a\run.exe"),
        Mention::account("RUN"),
        Mention::domain("run"),
        Mention::registry(r"C:\A"),
        Mention::address("192.0.2.1".parse().expect("an address")),
        Mention::process("run"),
    ]);
    let host = prop::option::of(prop::sample::select(vec!["wks-1", "WKS-2"]).prop_map(HostName::new));
    let kinds = prop::collection::vec(
        prop::sample::select(vec![kind(None, 1), kind(Some(SYSMON), 1), kind(Some(SYSMON), 3)]),
        0..3,
    );
    let text = prop::option::weighted(
        0.3,
        prop::sample::select(vec!["ru", "runn x", "é", "exe run"])
            .prop_map(|text| TextQuery::new(text).expect("it has words")),
    );
    let conditions = prop::collection::vec(
        prop::sample::select(vec![condition(Comparison::Contains, "RUN"), condition(Comparison::EndsWith, ".exe")]),
        0..2,
    );
    let process = prop::option::weighted(0.2, Just("RUN".to_owned()));
    let among = prop::option::weighted(
        0.2,
        prop::collection::vec((0..12_usize).prop_map(|n| EventId::new(format!("{n:02}"))), 0..5),
    );
    let window = (0_i64..4, 0_i64..4);
    (host, kinds, prop::collection::vec(mention, 0..3), text, conditions, process, among, window, 0..14_u64).prop_map(
        |(host, kinds, mentions, text, conditions, process, among, (from, length), watermark)| EventQuery {
            host,
            kinds,
            process,
            mentions,
            text,
            among,
            conditions,
            ..EventQuery::within(at(from), at(from + length), Watermark(watermark))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn a_search_and_a_count_give_what_a_filter_over_all_events_gives(
        events in prop::collection::vec(any_event(), 0..12),
        queries in prop::collection::vec(any_query(), 12),
        indexed in any::<bool>(),
    ) {
        let named = events.into_iter().enumerate().map(|(n, event)| Event { id: EventId::new(format!("{n:02}")), ..event });
        let events: Vec<Event> = named.collect();
        tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
            let (_folder, store) = store(events.clone()).await;
            if indexed {
                index_words(&store).await;
            }
            for query in queries {
                let arrived = events.iter().take(usize::try_from(query.watermark.0).expect("it is small"));
                let mut expected: Vec<&Event> = arrived.filter(|event| query.matches(event)).collect();
                expected.sort_by_key(|event| (event.time, event.id.clone()));
                let expected: Vec<String> = expected.iter().map(|event| event.id.to_string()).collect();
                prop_assert_eq!(&ids(&store, query.clone()).await, &(expected.clone(), expected.len() as u64), "{:?}", query);
                let by = Grouping::new(vec![Dimension::Host]).expect("it is one");
                let tally = store.tally(&TallyQuery { events: query.clone(), by }).await.expect("it counts");
                prop_assert_eq!(tally.events_total, expected.len() as u64, "{:?}", query);
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn things_are_found_in_every_segment_of_the_index_and_a_missing_one_hides_none() {
    let lone =
        |n: i64| event(&format!("{n:05}"), n, "wks-1", (SYSMON, 22), json!({"QueryName": format!("d{}", n % 9_000)}));
    let (_folder, store) = store((0..20_000).map(lone).collect()).await;
    let domain = |name: &str| EventQuery { mentions: vec![Mention::domain(name)], ..everything() };
    assert_eq!(all_ids(&store, domain("d5")).await, "000050900518005");
    let middle =
        |c: &Connection| Ok::<_, Failure<StorageError>>(c.execute("DELETE FROM mention WHERE segment = 1", [])?);
    store.database.write(middle).await.expect("as if retention had emptied it");
    assert_eq!(all_ids(&store, domain("d5")).await, "0000518005");
    let query = PrevalenceQuery {
        of: Habit::domain("d5"),
        host: HostName::new("wks-1"),
        from: at(0),
        to: at(30_000),
        except: None,
        watermark: Watermark(u64::MAX),
    };
    assert_eq!(store.prevalence(&query).await.expect("it counts").fleet.events, 2);
}
