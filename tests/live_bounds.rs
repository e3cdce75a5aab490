//! The listener within small bounds, on a floor in this process: what is too large or too much is sent away.

mod support;

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use support::http::{self, Answer, bulk};
use support::program::SAMPLE;
use tempfile::TempDir;
use watchfloor::detection::sigma::RuleSet;
use watchfloor::floor::assembly::{Stores, assemble};
use watchfloor::floor::faults::Faults;
use watchfloor::floor::live::access::Access;
use watchfloor::floor::live::body::Bounds;
use watchfloor::floor::live::detector::Detector;
use watchfloor::floor::live::sources::{Inputs, Sources};
use watchfloor::floor::state_folder::StateFolder;
use watchfloor::floor::tree::Floor;

const BOUNDS: Bounds = Bounds { body: 128 << 10, all: 256 << 10, pause: Duration::from_secs(20) };

struct Live {
    _folder: TempDir,
    _state: StateFolder,
    floor: Floor,
    sources: Sources,
    address: SocketAddr,
}

impl Live {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let state = StateFolder::take(folder.path()).expect("it is free");
        let stores = Stores::open(state.path(), &Faults::default()).expect("they open");
        let shared = assemble(&state, stores, Faults::default()).await.expect("it is assembled");
        let floor = Floor::start(shared.clone()).await.expect("it starts");
        let bound = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = bound.local_addr().expect("an address");
        let access = Access::new(address, vec![], true).expect("it is loopback");
        let inputs = Inputs { follow: vec![], listen: Some((bound, access)), bounds: BOUNDS };
        let detector = Arc::new(Detector::new(shared, Arc::new(RuleSet::builtin())));
        let (sources, _) = Sources::start(detector, inputs).await.expect("they start");
        Self { _folder: folder, _state: state, floor, sources, address }
    }

    async fn send(&self, body: Vec<u8>) -> Answer {
        let address = self.address;
        let sending = tokio::task::spawn_blocking(move || http::send(address, "POST", "/_bulk", &[], &body));
        sending.await.expect("it is answered")
    }

    async fn stop(self) {
        self.sources.stop().await;
        self.floor.stop().await;
    }
}

fn small() -> Vec<u8> {
    let text = std::fs::read_to_string(SAMPLE).expect("the sample is there");
    bulk(text.lines().take(3))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused() {
    let live = Live::start().await;
    assert_eq!(live.send(vec![b' '; BOUNDS.body + 1]).await.status, 413);
    assert_eq!(live.send(small()).await.status, 200);
    live.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_finds_no_room_is_told_to_come_again_and_then_taken() {
    let live = Live::start().await;
    let address = live.address;
    // Two senders that keep the floor waiting for the last of what they announced.
    let waiting = tokio::task::spawn_blocking(move || {
        let begin = |_| {
            let mut connection = http::connect(address).expect("it listens");
            connection.write_all(http::head("POST", "/_bulk", &[], BOUNDS.body).as_bytes()).expect("it is sent");
            connection.write_all(&vec![b' '; BOUNDS.body - 1]).expect("it is sent");
            connection
        };
        [0, 1].map(begin)
    });
    let waiting = waiting.await.expect("they are connected");
    // What they sent arrives in its own time.
    let refused = loop {
        let answer = live.send(small()).await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.header("retry-after").is_some());
    drop(waiting);
    while live.send(small()).await.status == 429 {}
    assert_eq!(live.send(small()).await.status, 200);
    live.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_stops_it_takes_nothing() {
    let live = Live::start().await;
    live.sources.health().begin_stopping();
    let refused = live.send(small()).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("retry-after").is_some());
    live.stop().await;
}
