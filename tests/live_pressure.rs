//! What strangers and odd files do to a floor that keeps running: a sender gets through all the same, and what cannot
//! be read is said instead of waited for in silence.

#![cfg(unix)]

mod support;

use std::fs::OpenOptions;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::http::{bulk, send};
use support::program::{SAMPLE, State};
use support::running::Running;

fn some_records() -> Vec<u8> {
    let text = std::fs::read_to_string(SAMPLE).expect("the sample is there");
    bulk(text.lines().take(3))
}

#[test]
fn a_sender_gets_through_while_hundreds_of_connections_say_nothing() {
    let state = State::new();
    let (running, address) = Running::listening(&state);
    let silent: Vec<TcpStream> = (0..600).map(|_| TcpStream::connect(address).expect("it is accepted")).collect();
    for _ in 0..3 {
        assert_eq!(send(address, "POST", "/_bulk", &[], &some_records()).status, 200);
    }
    // Half a head is as good as none.
    for mut connection in &silent {
        let _ = connection.write_all(b"POST /_bulk HT");
    }
    assert_eq!(send(address, "POST", "/_bulk", &[], &some_records()).status, 200);
    running.stop();
}

#[test]
fn a_request_of_countless_tiny_actions_is_refused_and_says_what_to_do() {
    let state = State::new();
    let (running, address) = Running::listening(&state);
    let refused = send(address, "POST", "/_bulk", &[], "{\"create\":{}}\n{}\n".repeat(200_000).as_bytes());
    assert_eq!(refused.status, 413, "{refused:?}");
    assert!(refused.body.contains("bulk_max_size"), "{refused:?}");
    assert_eq!(send(address, "POST", "/_bulk", &[], &some_records()).status, 200);
    running.stop();
}

#[test]
fn a_log_that_cannot_be_read_while_it_grows_is_told() {
    let state = State::new();
    let log = state.write("packed.log", b"\x1f\x8b\x08");
    let path = log.to_str().expect("a path");
    let running = Running::start(&state, &["--listen", "127.0.0.1:0", "--no-auth", "--follow", path]);
    let address = running.address();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = OpenOptions::new().append(true).open(&log).expect("it opens");
            while !is_over.load(Ordering::Relaxed) {
                file.write_all(b"more").expect("it is written");
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        let told = running.wait_for("it is told", |told| told["news"] == "waits");
        let ready = send(address, "GET", "/readyz", &[], b"").json();
        is_over.store(true, Ordering::Relaxed);
        for said in [&told["what"], &ready["sources"][0]["waiting"][0]] {
            let said = said.as_str().expect("it is said");
            assert!(said.contains(path) && said.contains("packed") && said.contains("plainly"), "{said}");
        }
    });
    running.stop();
}
