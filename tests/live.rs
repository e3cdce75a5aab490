//! A floor that keeps running takes in what comes, loses nothing that it acknowledged, and stops when it is told to;
//! because an alert that a forwarder believes delivered and the floor never saw is the worst of all.

#![cfg(unix)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use support::http::{self, bulk, send, try_send};
use support::program::{Random, SAMPLE, State, UNDISTURBED};
use support::running::{Running, wait_until};

static LINES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let text = fs::read_to_string(SAMPLE).expect("the sample is there");
    text.lines().map(str::to_owned).collect()
});

/// A record of nothing in particular, as NXLog forwards it.
fn record(number: usize) -> String {
    let at = format!("2026-11-02T08:{:02}:{:02}", number / 60 % 60, number % 60);
    json!({
        "@timestamp": format!("{at}.000Z"), "EventReceivedTime": at.replace('T', " "), "SourceModuleName": "eventlog",
        "Hostname": "WKS-31.corp.example", "Channel": "Security", "EventID": 4624, "RecordNumber": number,
        "SourceName": "Microsoft-Windows-Security-Auditing", "TargetUserName": "a.user",
    })
    .to_string()
}

fn records(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| record(number) + "\n").collect()
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut packing = GzEncoder::new(Vec::new(), Compression::fast());
    packing.write_all(text).expect("it is packed");
    packing.finish().expect("it is packed")
}

/// Ids of the events that are stored.
fn stored(state: &State) -> BTreeSet<String> {
    if !state.path().join("events.db").exists() {
        return BTreeSet::new();
    }
    let database = state.database("events.db");
    database.busy_timeout(Duration::from_secs(10)).expect("it is set");
    let mut query = match database.prepare("SELECT id FROM event") {
        Ok(query) => query,
        // The store is being made.
        Err(_) => return BTreeSet::new(),
    };
    query.query_map([], |row| row.get(0)).expect("it is asked").map(|id| id.expect("an id")).collect()
}

#[track_caller]
fn wait_for_events(state: &State, count: usize) {
    let mut found = 0;
    let deadline = Instant::now() + support::running::PATIENCE;
    while found != count {
        assert!(Instant::now() < deadline, "{found} events are stored, {count} were expected");
        std::thread::sleep(Duration::from_millis(10));
        found = stored(state).len();
    }
}

fn append(path: &Path, text: impl AsRef<[u8]>) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("it opens");
    file.write_all(text.as_ref()).expect("it is written");
}

/// Every case by its title: where it stands, how it was judged, how many alerts it has.
fn judged(cases: &Value) -> BTreeMap<String, Value> {
    let cases = cases.as_array().expect("a list");
    let told = |case: &Value| {
        json!([case["state"]["status"], case["state"]["verdict"]["classification"], case["state"]["alerts"]])
    };
    cases.iter().map(|case| (case["state"]["title"].to_string(), told(case))).collect()
}

/// What a batch over the sample ends with.
fn judged_in_a_batch() -> BTreeMap<String, Value> {
    let cases = UNDISTURBED.export["cases"].as_object().expect("cases");
    judged(&cases.values().map(|thread| thread["case"].clone()).collect())
}

fn listed(state: &State) -> BTreeMap<String, Value> {
    judged(&state.run(&["cases", "list", "--json"]).expect_finished().json())
}

#[track_caller]
fn statuses(answer: &Value) -> Vec<u64> {
    let items = answer["items"].as_array().expect("items");
    items.iter().filter_map(|item| item["create"]["status"].as_u64()).collect()
}

#[test]
fn a_bulk_request_opens_a_case_within_two_seconds_and_ends_as_a_batch_does() {
    let state = State::new();
    let (running, address) = Running::listening(&state);
    let began = Instant::now();
    let answer = send(address, "POST", "/_bulk", &[], &bulk(LINES.iter().map(String::as_str)));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("x-elastic-product"), Some("Elasticsearch"));
    let answer = answer.json();
    assert_eq!((answer["errors"].as_bool(), statuses(&answer).len()), (Some(false), LINES.len()));
    running.wait_for("a case is told", |told| told["told"] == "case");
    let took = began.elapsed();
    println!("the case was told {took:?} after the request began");
    assert!(took < Duration::from_secs(2), "it took {took:?}");
    // While the floor runs, other commands read it.
    wait_until("all cases are judged as in a batch", || listed(&state) == judged_in_a_batch());
    running.stop();
    state.assert_sound();
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let mut random = Random::new(0x5eed_f100_0101);
    let (mut acknowledged_in_all, mut cut_off) = (0, 0);
    for round in 0..6 {
        let state = State::new();
        let (mut running, address) = Running::listening(&state);
        let (tell, told) = std::sync::mpsc::channel();
        let sending = std::thread::spawn(move || {
            // Small requests until the floor is gone; what it acknowledged is told by its ids.
            for number in 0.. {
                let documents: Vec<String> = (number * 20..number * 20 + 20).map(record).collect();
                let request = bulk(
                    documents
                        .iter()
                        .map(String::as_str)
                        .chain(LINES.iter().skip(number * 5).take(5).map(String::as_str)),
                );
                let Ok(answer) = try_send(address, "POST", "/logs/_bulk", &[], &request) else { return };
                assert_eq!(answer.status, 200, "{answer:?}");
                let items = answer.json();
                let ids =
                    items["items"].as_array().expect("items").iter().map(|item| item["create"]["_id"].to_string());
                if tell.send(ids.collect::<Vec<_>>()).is_err() {
                    return;
                }
            }
        });
        std::thread::sleep(Duration::from_millis(50 + random.below(400)));
        running.kill();
        sending.join().expect("the sender ends");
        let acknowledged: BTreeSet<String> = told.iter().flatten().map(|id| id.trim_matches('"').to_owned()).collect();
        let found = stored(&state);
        let lost: Vec<_> = acknowledged.difference(&found).collect();
        assert!(
            lost.is_empty(),
            "round {round}: {} of {} acknowledged events are lost",
            lost.len(),
            acknowledged.len()
        );
        acknowledged_in_all += acknowledged.len();
        cut_off += usize::from(found.len() > acknowledged.len());
        // The forwarder sends again what was not acknowledged, and the cases are those of an undisturbed floor.
        let (running, address) = Running::listening(&state);
        assert_eq!(send(address, "POST", "/_bulk", &[], &bulk(LINES.iter().map(String::as_str))).status, 200);
        wait_until("the cases are those of a batch", || listed(&state) == judged_in_a_batch());
        running.stop();
        state.assert_sound();
    }
    println!("{acknowledged_in_all} events were acknowledged in all, and {cut_off} of 6 kills met a request at work");
    assert!(acknowledged_in_all > 100, "only {acknowledged_in_all} events were acknowledged before the kills");
}

#[test]
fn a_request_that_comes_twice_changes_nothing() {
    let state = State::new();
    let (running, address) = Running::listening(&state);
    let request = bulk(LINES.iter().map(String::as_str));
    for (packed, times) in [(None, 1), (Some(packed(&request)), 2)] {
        for _ in 0..times {
            let (body, headers) = match &packed {
                None => (&request, vec![]),
                Some(packed) => (packed, vec![("Content-Encoding", "gzip")]),
            };
            let answer = send(address, "POST", "/_bulk?filter_path=errors,items.*.status", &headers, body);
            assert_eq!(answer.json()["errors"], false);
        }
    }
    wait_until("the cases are those of a batch", || listed(&state) == judged_in_a_batch());
    assert_eq!(stored(&state).len(), LINES.len());
    running.stop();
    state.assert_sound();
}

#[test]
fn what_cannot_be_read_is_refused_for_itself_and_the_rest_is_taken() {
    let state = State::new();
    let (running, address) = Running::listening(&state);
    let (good, deep) = (record(1), format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200)));
    let documents = [good.as_str(), "no JSON", "{\"some\":\"object\"}", &deep, "[]", &LINES[0]];
    let answer = send(address, "POST", "/_bulk", &[], &bulk(documents)).json();
    assert_eq!(statuses(&answer), [201, 400, 400, 400, 400, 201], "{answer}");
    assert_eq!(answer["errors"], true);
    let refused = &answer["items"][1]["create"]["error"];
    assert_eq!(refused["type"], "mapper_parsing_exception");
    assert!(refused["reason"].as_str().is_some_and(|reason| reason.starts_with("not JSON")), "{refused}");
    let other = "{\"delete\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"update\":{\"_id\":\"1\"}}\n{\"doc\":{}}\n";
    let answer = send(address, "POST", "/_bulk", &[], other.as_bytes()).json();
    assert_eq!(
        (&answer["items"][0]["delete"]["status"], &answer["items"][1]["update"]["status"]),
        (&json!(400), &json!(400))
    );
    let malformed = send(address, "POST", "/_bulk", &[], b"{\"create\":{}}\n{}\nnonsense\n{}\n");
    assert_eq!(malformed.status, 400);
    assert!(malformed.body.contains("[3]"), "{malformed:?}");
    wait_for_events(&state, 2);
    running.stop();
}

#[test]
fn nobody_sends_without_the_key() {
    let state = State::new();
    let key = [("WATCHFLOOR_API_KEY", "beats:a-long-secret")];
    let running = Running::with(&state, &["--listen", "127.0.0.1:0"], &key);
    let address = running.address();
    // base64 of beats:a-long-secret, beats:a-long-secreT
    let (right, wrong) = ("ApiKey YmVhdHM6YS1sb25nLXNlY3JldA==", "ApiKey YmVhdHM6YS1sb25nLXNlY3JlVA==");
    let request = bulk([LINES[0].as_str()]);
    for headers in [vec![], vec![("Authorization", wrong)]] {
        for (method, path) in [("GET", "/"), ("POST", "/_bulk"), ("GET", "/_license"), ("PUT", "/_template/t")] {
            let answer = send(address, method, path, &headers, &request);
            assert_eq!(answer.status, 401, "{method} {path}");
            assert!(answer.header("www-authenticate").is_some());
        }
    }
    assert!(stored(&state).is_empty());
    assert_eq!(send(address, "POST", "/_bulk", &[("Authorization", right)], &request).status, 200);
    assert_eq!(stored(&state).len(), 1);
    // Whether the floor is well may be asked by anybody.
    assert_eq!(send(address, "GET", "/healthz", &[], b"").status, 200);
    running.stop();
}

#[test]
fn a_forwarder_is_answered_what_it_asks_before_it_sends() {
    let state = State::new();
    let (running, address) = Running::listening(&state);
    let root = send(address, "GET", "/", &[], b"");
    assert_eq!(root.json()["cluster_name"], "watchfloor");
    assert_eq!(root.header("x-elastic-product"), Some("Elasticsearch"));
    let head = send(address, "HEAD", "/", &[], b"");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    for (method, path, status) in [
        ("GET", "/_license?human=false", 200),
        ("GET", "/_xpack", 200),
        ("GET", "/_cluster/health", 200),
        ("GET", "/_nodes/http", 200),
        ("GET", "/_ilm/policy/winlogbeat", 404),
        ("PUT", "/_ilm/policy/winlogbeat", 200),
        ("HEAD", "/_index_template/winlogbeat-8.17.0", 404),
        ("PUT", "/_index_template/winlogbeat-8.17.0", 200),
        ("PUT", "/_component_template/c", 200),
        ("PUT", "/_data_stream/winlogbeat-8.17.0", 200),
        ("GET", "/winlogbeat/_search", 404),
    ] {
        assert_eq!(send(address, method, path, &[], b"{}").status, status, "{method} {path}");
    }
    let ready = send(address, "GET", "/readyz", &[], b"");
    assert_eq!(ready.status, 200, "{ready:?}");
    let ready = ready.json();
    assert_eq!((&ready["journal_writable"], &ready["sources"][0]["up"]), (&json!(true), &json!(true)), "{ready}");
    running.stop();
}

#[test]
fn a_full_disk_is_told_and_nothing_is_acknowledged() {
    let state = State::new();
    let fault = [(support::program::FAULT, "max-pages=60")];
    let running = Running::with(&state, &["--listen", "127.0.0.1:0", "--no-auth"], &fault);
    let address = running.address();
    let mut acknowledged = BTreeSet::new();
    let refused = (0..100).find_map(|number| {
        let documents: Vec<String> = (number * 50..number * 50 + 50).map(record).collect();
        let answer = send(address, "POST", "/_bulk", &[], &bulk(documents.iter().map(String::as_str)));
        if answer.status == 200 {
            let items = answer.json();
            acknowledged.extend(
                items["items"]
                    .as_array()
                    .expect("items")
                    .iter()
                    .map(|item| item["create"]["_id"].as_str().expect("an id").to_owned()),
            );
            return None;
        }
        Some(answer)
    });
    let refused = refused.expect("60 pages hold no 5,000 events");
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.header("retry-after").is_some() && refused.body.contains("full"), "{refused:?}");
    assert!(acknowledged.is_subset(&stored(&state)));
    let ready = send(address, "GET", "/readyz", &[], b"");
    assert_eq!(ready.status, 503, "{ready:?}");
    assert_eq!(send(address, "GET", "/healthz", &[], b"").status, 200);
    running.stop();
}

#[test]
fn a_source_that_is_never_quiet_keeps_no_case_waiting() {
    let state = State::new();
    let (running, address) = Running::listening(&state);
    assert_eq!(send(address, "POST", "/_bulk", &[], &bulk(LINES.iter().map(String::as_str))).status, 200);
    let (began, mut number) = (Instant::now(), 0);
    let is_judged = |told: &Value| told["told"] == "case" && !told["case"]["state"]["verdict"].is_null();
    // Something comes every few milliseconds; half a second of quiet never is.
    while !running.told().any(|told| is_judged(&told)) {
        assert!(began.elapsed() < support::running::PATIENCE, "no case was judged");
        assert_eq!(send(address, "POST", "/_bulk", &[], &bulk([record(number).as_str()])).status, 200);
        number += 1;
    }
    println!("a case was judged after {:?} and {number} further requests", began.elapsed());
    running.stop();
}

#[test]
fn what_winlogbeat_sends_is_taken() {
    let state = State::new();
    let (running, address) = Running::listening(&state);
    let document = json!({
        "@timestamp": "2026-11-02T08:00:00.000Z",
        "agent": {"type": "winlogbeat", "version": "8.17.0"}, "ecs": {"version": "8.0.0"},
        "host": {"name": "wks-31.corp.example"}, "log": {"level": "information"}, "message": "A logon.",
        "event": {"code": "4624", "kind": "event", "provider": "Microsoft-Windows-Security-Auditing"},
        "winlog": {
            "api": "wineventlog", "channel": "Security", "computer_name": "WKS-31.corp.example", "event_id": "4624",
            "provider_name": "Microsoft-Windows-Security-Auditing", "record_id": 4711,
            "event_data": {"TargetUserName": "a.user", "LogonType": "3"},
        },
    });
    let answer = send(address, "POST", "/_bulk", &[], &bulk([document.to_string().as_str()])).json();
    if answer.to_string().contains("unknown shape") {
        println!("skipped: this version does not know Winlogbeat's shape");
        return running.stop();
    }
    assert_eq!(statuses(&answer), [201], "{answer}");
    let found = state.database("events.db").query_row("SELECT host, channel, code FROM event", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, u32>(2)?))
    });
    assert_eq!(found.expect("it is stored"), ("wks-31".into(), "Security".into(), 4624));
    running.stop();
}

#[test]
fn a_followed_file_is_read_as_it_grows_and_partial_lines_wait() {
    let state = State::new();
    let log = state.write("events.ndjson", records(0..10));
    let running = Running::following(&state, &log);
    wait_for_events(&state, 10);
    let whole = record(10);
    let (begin, end) = whole.split_at(40);
    append(&log, begin);
    append(&log, format!("{end}\nno JSON\n{}", record(11)));
    wait_for_events(&state, 12);
    running.wait_for("the broken line is told", |told| told["news"] == "skipped");
    append(&log, format!("\n{}", LINES.join("\n")));
    wait_for_events(&state, 12 + LINES.len());
    // The line that was lost may have told of any process of that time: what a batch closes is held.
    let held = |(title, told): (String, Value)| match told[0] == "resolved" {
        true => (title, json!(["on_hold", told[1], told[2]])),
        false => (title, told),
    };
    let expected: BTreeMap<String, Value> = judged_in_a_batch().into_iter().map(held).collect();
    wait_until("the cases are those of a batch, none of them closed", || listed(&state) == expected);
    running.stop();
    state.assert_sound();
}

#[test]
fn a_followed_file_is_followed_through_rotation_and_truncation() {
    let state = State::new();
    let log = state.write("events.ndjson", records(0..5));
    let running = Running::following(&state, &log);
    wait_for_events(&state, 5);
    // Renamed, written to once more by a writer that does not know yet, and begun anew.
    let renamed = log.with_extension("1");
    fs::rename(&log, &renamed).expect("it is renamed");
    append(&renamed, records(5..7));
    append(&log, records(7..9));
    wait_for_events(&state, 9);
    // Truncated in place and written again, as copytruncate does.
    fs::write(&log, "").expect("it is truncated");
    append(&log, records(9..12));
    wait_for_events(&state, 12);
    // Removed, and made again under the same name.
    fs::remove_file(&log).expect("it is removed");
    append(&log, records(12..13));
    wait_for_events(&state, 13);
    running.stop();
}

#[test]
fn a_restart_goes_on_where_it_was_also_in_a_file_that_was_rotated_meanwhile() {
    let state = State::new();
    let log = state.write("events.ndjson", records(0..50));
    let mut running = Running::following(&state, &log);
    wait_for_events(&state, 50);
    running.kill();
    append(&log, records(50..60));
    fs::rename(&log, log.with_extension("1")).expect("it is renamed");
    append(&log, records(60..65));
    let running = Running::following(&state, &log);
    wait_for_events(&state, 65);
    running.stop();
    append(&log, records(65..66));
    let running = Running::following(&state, &log);
    wait_for_events(&state, 66);
    // What was read is not read again: the second start counts what was new to it alone.
    let counted = running.wait_for("events are counted", |told| told["told"] == "events");
    assert_eq!(counted["events"], 1, "{counted}");
    running.stop();
}

#[test]
fn killed_at_any_moment_a_followed_file_is_taken_in_whole() {
    let mut random = Random::new(0x5eed_f100_0102);
    let state = State::new();
    let log: PathBuf = state.write("events.ndjson", "");
    let (mut written, mut kills) = (0, 0);
    while kills < 6 {
        let mut running = Running::start(&state, &["--follow", log.to_str().expect("UTF-8")]);
        for _ in 0..4 {
            append(&log, records(written..written + 300));
            written += 300;
            std::thread::sleep(Duration::from_millis(random.below(120)));
        }
        running.kill();
        kills += 1;
    }
    append(&log, LINES.join("\n"));
    let running = Running::following(&state, &log);
    wait_for_events(&state, written + LINES.len());
    wait_until("the cases are those of a batch", || listed(&state) == judged_in_a_batch());
    running.stop();
    state.assert_sound();
}

#[test]
fn what_would_be_pruned_can_be_asked_of_a_running_floor_and_pruning_cannot() {
    let state = State::new();
    let (running, address) = Running::listening(&state);
    assert_eq!(send(address, "POST", "/_bulk", &[], &bulk([record(1).as_str()])).status, 200);
    let prune = ["events", "prune", "--larger-than", "1KB"];
    let would = state.run(&[&prune[..], &["--dry-run", "--json"]].concat()).expect_code(0).json();
    assert_eq!(would["removed"], 1, "{would}");
    state.run(&prune).expect_refusal(&["in use by another watchfloor"]);
    assert_eq!(stored(&state).len(), 1);
    running.stop();
}

#[test]
fn a_followed_folder_picks_up_new_files_and_reads_packed_ones_once() {
    let state = State::new();
    let folder = state.beside("logs");
    fs::create_dir(&folder).expect("it is made");
    let running = Running::following(&state, &folder);
    append(&folder.join("a.ndjson"), records(0..3));
    append(&folder.join(".hidden"), records(3..4));
    append(&folder.join("b.ndjson"), records(4..6));
    wait_for_events(&state, 5);
    fs::write(folder.join("c.ndjson.gz"), packed(records(10..20).as_bytes())).expect("it is written");
    fs::write(folder.join("picture"), b"\0\0no log").expect("it is written");
    running.wait_for("the packed file is told", |told| told["news"] == "imported" && told["events"] == 10);
    append(&folder.join("a.ndjson"), records(20..21));
    wait_for_events(&state, 16);
    running.stop();
    // After a restart nothing of it is read again.
    let running = Running::following(&state, &folder);
    append(&folder.join("d.ndjson"), records(30..31));
    wait_for_events(&state, 17);
    let counted = running.wait_for("events are counted", |told| told["told"] == "events");
    assert_eq!(counted["events"], 1, "{counted}");
    running.stop();
}

#[test]
fn a_floor_that_is_told_to_stop_ends_with_zero_whatever_it_does() {
    // Idle, busy, and with a request that never ends.
    for busy in 0..3 {
        let state = State::new();
        let (mut running, address) = Running::listening(&state);
        let request = bulk(LINES.iter().map(String::as_str));
        let mut open = http::connect(address).expect("it listens");
        match busy {
            0 => {}
            1 => assert_eq!(send(address, "POST", "/_bulk", &[], &request).status, 200),
            _ => open.write_all(http::head("POST", "/_bulk", &[], 1_000_000).as_bytes()).expect("it is sent"),
        }
        running.signal(if busy == 0 { "-INT" } else { "-TERM" });
        let began = Instant::now();
        assert_eq!(running.ended().code(), Some(0), "busy {busy}");
        assert!(began.elapsed() < Duration::from_secs(20), "busy {busy}: it took {:?}", began.elapsed());
        assert!(!state.path().join("control.json").exists());
        if busy == 1 {
            // What it was cut off from is done by the next one.
            let (running, _) = Running::listening(&state);
            wait_until("the cases are those of a batch", || listed(&state) == judged_in_a_batch());
            running.stop();
            state.assert_sound();
        }
    }
}

#[test]
fn a_second_signal_stops_at_once_and_loses_nothing() {
    let state = State::new();
    let (mut running, address) = Running::listening(&state);
    assert_eq!(send(address, "POST", "/_bulk", &[], &bulk(LINES.iter().map(String::as_str))).status, 200);
    // A request that never ends keeps the floor from stopping for a while.
    let mut open = http::connect(address).expect("it listens");
    open.write_all(http::head("POST", "/_bulk", &[], 1_000_000).as_bytes()).expect("it is sent");
    running.signal("-TERM");
    running.wait_for("it is stopping", |told| told["told"] == "stopping");
    running.signal("-TERM");
    assert_eq!(running.ended().code(), Some(2));
    assert_eq!(stored(&state).len(), LINES.len());
    let (running, _) = Running::listening(&state);
    wait_until("the cases are those of a batch", || listed(&state) == judged_in_a_batch());
    running.stop();
    state.assert_sound();
}

#[test]
fn a_source_that_breaks_is_started_again_and_loses_nothing() {
    let state = State::new();
    let log = state.write("events.ndjson", records(0..5));
    let follow = [(support::program::FAULT, "panic=follow")];
    let running = Running::with(&state, &["--follow", log.to_str().expect("UTF-8")], &follow);
    wait_for_events(&state, 5);
    append(&log, records(5..6));
    wait_for_events(&state, 6);
    running.stop();

    let state = State::new();
    let listener = [(support::program::FAULT, "panic=listener")];
    let running = Running::with(&state, &["--listen", "127.0.0.1:0", "--no-auth"], &listener);
    let address = running.address();
    // The first connection breaks the listener; the port stays, and who comes again is served.
    assert!(try_send(address, "GET", "/", &[], b"").is_err());
    wait_until("it answers again", || try_send(address, "GET", "/", &[], b"").is_ok_and(|answer| answer.status == 200));
    assert_eq!(send(address, "POST", "/_bulk", &[], &bulk([LINES[0].as_str()])).status, 200);
    running.stop();
}

/// A logon that was refused, as NXLog forwards it.
fn refused_logon(number: usize) -> String {
    let mut record: Value = serde_json::from_str(&record(number)).expect("JSON");
    record["EventID"] = json!(4625);
    record["SubStatus"] = json!("0xC000006A");
    record["LogonType"] = json!("3");
    record.to_string()
}

fn opens_a_case(told: &Value, title: &str) -> bool {
    told["told"] == "case" && told["case"]["state"]["title"].as_str().is_some_and(|shown| shown.starts_with(title))
}

#[test]
fn what_several_requests_amount_to_is_raised_once_and_survives_a_restart() {
    const TITLE: &str = "Many wrong passwords for one account";
    let state = State::new();
    let recent = jiff::Timestamp::now();
    // Correlations recall what is recent by the clock, so these logons happen now.
    let refused = |number: usize| {
        let mut record: Value = serde_json::from_str(&refused_logon(number)).expect("JSON");
        record["@timestamp"] = json!(recent.to_string());
        record.to_string()
    };
    let (mut running, address) = Running::listening(&state);
    for number in 0..6 {
        assert_eq!(send(address, "POST", "/_bulk", &[], &bulk([refused(number).as_str()])).status, 200);
    }
    running.kill();
    assert!(listed(&state).is_empty(), "six refusals are no guessing yet");
    let (running, address) = Running::listening(&state);
    for number in 6..10 {
        assert_eq!(send(address, "POST", "/_bulk", &[], &bulk([refused(number).as_str()])).status, 200);
    }
    running.wait_for("a case is opened", |told| opens_a_case(told, TITLE));
    running.stop();
    let cases = listed(&state);
    let (title, told) = cases.first_key_value().expect("a case");
    assert!(cases.len() == 1 && title.contains(TITLE) && told[2] == 1, "{cases:?}");
}

#[test]
fn rules_that_change_are_used_without_a_restart() {
    let rule = |title: &str, user: &str| {
        format!(
            "title: {title}\nid: 5e9c1d60-0000-4000-8000-0000000000{:02}\nlogsource: {{product: windows, service: security}}\n\
             detection: {{seen: {{EventID: 4624, TargetUserName: {user}}}, condition: seen}}\nlevel: high\n",
            user.len()
        )
    };
    let state = State::new();
    let first = state.write("rules.yml", rule("The first rule", "a.user"));
    let running =
        Running::start(&state, &["--listen", "127.0.0.1:0", "--no-auth", "--rules", first.to_str().expect("UTF-8")]);
    let address = running.address();
    fs::write(&first, rule("The second rule", "other.user")).expect("it is written");
    running.wait_for("the rules have changed", |told| told["told"] == "rules");
    let mut changed: Value = serde_json::from_str(&record(1)).expect("JSON");
    changed["TargetUserName"] = json!("other.user");
    assert_eq!(send(address, "POST", "/_bulk", &[], &bulk([changed.to_string().as_str()])).status, 200);
    running.wait_for("a case by the second rule", |told| opens_a_case(told, "The second rule"));
    running.stop();
}

#[test]
fn what_cannot_be_run_is_refused_with_a_remedy() {
    let state = State::new();
    state.run(&["run"]).expect_refusal(&["nothing to watch", "--follow", "--listen"]);
    state.run(&["run", "--listen", "127.0.0.1:0"]).expect_refusal(&[
        "nobody could send",
        "WATCHFLOOR_API_KEY",
        "--no-auth",
    ]);
    state.run(&["run", "--listen", "0.0.0.0:0", "--no-auth"]).expect_refusal(&["loopback"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("an address").to_string();
    state.run(&["run", "--listen", &address, "--no-auth"]).expect_refusal(&[&address, "cannot be listened on"]);
    let config = state.write("watchfloor.toml", "folow = []\n");
    state.run(&["run", "--config", config.to_str().expect("UTF-8")]).expect_refusal(&["folow", "line 1"]);
}

#[test]
fn a_configuration_file_says_it_all() {
    let state = State::new();
    let text = "follow = ['events.ndjson']\n[listen]\naddress = '127.0.0.1:0'\nusers = ['ls:pw']\n";
    let config = state.write("watchfloor.toml", text);
    state.write("events.ndjson", records(0..2));
    let running = Running::start(&state, &["--config", config.to_str().expect("UTF-8")]);
    let address = running.address();
    wait_for_events(&state, 2);
    // base64 of ls:pw
    let answer = send(address, "GET", "/", &[("Authorization", "Basic bHM6cHc=")], b"");
    assert_eq!(answer.status, 200);
    assert_eq!(send(address, "GET", "/", &[], b"").status, 401);
    running.stop();
}
