//! What the sources of a running floor lose stands against a machine's close, as a damaged log does in a batch: but only
//! against what it may concern, because a floor that runs for months loses a line now and then.

#![cfg(unix)]

mod support;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use support::http::{bulk, send};
use support::program::{SAMPLE, State, UNDISTURBED, shown};
use support::running::{Running, wait_until};

fn sample() -> Vec<String> {
    fs::read_to_string(SAMPLE).expect("the sample is there").lines().map(str::to_owned).collect()
}

/// Every case by its title: its status, and the rule and reason that decided.
fn told<'c>(cases: impl IntoIterator<Item = &'c Value>) -> BTreeMap<String, (String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let case = |case: &Value| {
        let state = &case["state"];
        (text(&state["title"]), (text(&state["status"]), text(&state["decided_by"])))
    };
    cases.into_iter().map(case).collect()
}

/// The case that a machine closes when nothing is lost.
fn harmless() -> String {
    let cases = UNDISTURBED.export["cases"].as_object().expect("cases").values().map(|thread| &thread["case"]);
    let closed: Vec<String> =
        told(cases).into_iter().filter(|(_, (status, _))| status == "resolved").map(|(title, _)| title).collect();
    let [harmless] = closed.as_slice() else { panic!("{closed:?}") };
    harmless.clone()
}

/// Waits until the harmless case is decided and gives its status and reason.
fn decided(state: &State) -> (String, String) {
    let harmless = harmless();
    let mut found = None;
    wait_until("the harmless case is decided", || {
        let cases = state.run(&["cases", "list", "--json"]).expect_finished().json();
        let mut cases = told(cases.as_array().expect("a list"));
        found = cases.remove(&harmless).filter(|(status, _)| status == "resolved" || status == "on_hold");
        found.is_some()
    });
    found.expect("it was found")
}

fn losses(address: SocketAddr) -> Vec<String> {
    let ready = send(address, "GET", "/readyz", &[], b"").json();
    let losses = ready["losses"].as_array().expect("they are told");
    losses.iter().map(|loss| loss["what"].as_str().expect("it is said").to_owned()).collect()
}

fn following(state: &State, log: &Path) -> (Running, SocketAddr) {
    let running = Running::start(state, &["--listen", "127.0.0.1:0", "--no-auth", "--follow", shown(log)]);
    let address = running.address();
    (running, address)
}

#[track_caller]
fn assert_held(decided: &(String, String), source: &str) {
    let (status, because) = decided;
    assert_eq!(status, "on_hold", "{because}");
    assert!(because.starts_with("not_all_explained") && because.contains(source), "{because}");
    assert!(because.contains("was not read whole") && because.contains("it may concern any machine"), "{because}");
}

#[test]
fn a_lost_line_stands_against_the_runs_around_it_and_against_no_other() {
    let mut lines = sample();
    let of_case = lines.iter().position(|line| line.contains("WKS-07")).expect("the harmless machine") + 10;
    let after = State::new();
    let log = after.write("live.ndjson", format!("{}\n{{\"cut\": \n", lines.join("\n")));
    let (running, address) = following(&after, &log);
    assert_eq!(decided(&after).0, "resolved", "a day later nothing of it could have been lost");
    assert!(losses(address)[0].contains("not JSON"), "it is told all the same");
    running.stop();

    lines.insert(of_case, "{\"cut\": ".into());
    let among = State::new();
    let log = among.write("live.ndjson", lines.join("\n") + "\n");
    let (running, address) = following(&among, &log);
    assert_held(&decided(&among), "live.ndjson");
    assert_eq!(losses(address).len(), 1);
    running.stop();
}

#[test]
fn what_was_refused_to_a_sender_stands_after_the_process_died() {
    let state = State::new();
    let (mut running, address) = Running::listening(&state);
    let answer = send(address, "POST", "/_bulk", &[], &bulk(["{\"no\": \"event\"}"])).json();
    assert_eq!(answer["items"][0]["create"]["status"], 400, "{answer}");
    running.kill();
    let (running, address) = Running::listening(&state);
    assert!(losses(address)[0].contains("unknown shape"));
    let lines = sample();
    send(address, "POST", "/_bulk", &[], &bulk(lines.iter().map(String::as_str)));
    assert_held(&decided(&state), "bulk/winlogbeat");
    running.stop();
}

#[test]
fn a_file_that_is_written_over_or_goes_while_nobody_looks_is_told_once() {
    let state = State::new();
    let lines = sample();
    let log = state.write("live.ndjson", lines[..60].join("\n") + "\n");
    let events = |address| {
        let ready = send(address, "GET", "/readyz", &[], b"").json();
        ready["sources"][0]["events"].as_u64().unwrap_or_default()
    };
    let (running, address) = following(&state, &log);
    wait_until("it is read", || events(address) == 60);
    assert!(losses(address).is_empty());
    fs::write(&log, lines[60..70].join("\n") + "\n").expect("it is written over");
    wait_until("what it holds now is read", || events(address) == 70);
    let told = losses(address);
    assert!(told.len() == 1 && told[0].contains("written over in place"), "{told:?}");
    running.stop();

    let next = state.write("next", lines[70..80].join("\n") + "\n");
    fs::rename(next, &log).expect("it takes the place of the other");
    let (running, address) = following(&state, &log);
    wait_until("the other is read", || events(address) == 10);
    let told = losses(address);
    assert!(told.len() == 2 && told[0].contains("while no floor was running"), "{told:?}");
    running.stop();

    let (running, address) = following(&state, &log);
    let mut file = OpenOptions::new().append(true).open(&log).expect("it opens");
    writeln!(file, "{}", lines[80]).expect("it is written");
    wait_until("it is read on", || events(address) == 1);
    assert_eq!(losses(address).len(), 2, "it is told once");
    running.stop();
}

#[test]
fn a_utf_16_log_is_followed_while_it_grows() {
    let state = State::new();
    let log = state.write("live.log", b"\xff\xfe");
    let (running, address) = following(&state, &log);
    let lines = sample();
    let bytes: Vec<u8> = lines
        .iter()
        .flat_map(|line| format!("{line}\r\n").encode_utf16().collect::<Vec<_>>())
        .flat_map(u16::to_le_bytes)
        .collect();
    let events = || {
        let ready = send(address, "GET", "/readyz", &[], b"").json();
        ready["sources"][0]["events"].as_u64().unwrap_or_default() as usize
    };
    let mut file = OpenOptions::new().append(true).open(&log).expect("it opens");
    let mut written = 0;
    // The cuts lie within units.
    for piece in bytes.chunks((bytes.len() / 7) | 1) {
        file.write_all(piece).expect("it is written");
        written += piece.len();
        let whole = bytes[..written].chunks_exact(2).filter(|unit| *unit == [b'\n', 0]).count();
        wait_until("whole lines are events", || events() >= whole);
    }
    assert_eq!(events(), lines.len());
    assert!(losses(address).is_empty());
    wait_until("it is judged as in a batch", || decided(&state).0 == "resolved");
    running.stop();
}
