//! What a model's limiter costs a call, what a queue of calls takes in memory, and how it does on a real clock.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ractor::Actor;
use tokio::time::{Instant, sleep};
use watchfloor::domain::alert::Severity;
use watchfloor::model::limit::{
    Call, InFlight, Limiter, LimiterActor, Limits, Line, ModelName, PerMinute, Report, Server, ServerLimits, Usage,
};
use watchfloor::model::limited::{Models, Question};
use watchfloor::model::request::{CallResult, Conversation, Step};
use watchfloor::model::server::fault::Fault;
use watchfloor::model::server::script::Asked;
use watchfloor::model::server::{ScriptedServer, Setup};
use watchfloor::model::settings::{DialectChoice, ModelSettings};
use watchfloor::ports::clock::{Clock, SystemClock};

/// The tests of this file measure the process: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

const MEBIBYTE: u64 = 1 << 20;

fn limits(requests: u32, tokens: u32, in_flight: u32) -> Limits {
    let in_flight = NonZeroU32::new(in_flight).expect("some");
    Limits { requests: PerMinute::new(requests), tokens: PerMinute::new(tokens), in_flight }
}

async fn limiter(test: &str, limits: Limits) -> Limiter {
    let server = Arc::new(Server::new("server"));
    let line = Line::new(format!("model-limits-{test}"), ModelName::new("model"), limits, server);
    Actor::spawn(Some(line.actor().to_owned()), LimiterActor, line.clone()).await.expect("it starts");
    Limiter::new(line)
}

fn call(estimate: u64) -> Call {
    Call { severity: Severity::Medium, estimate, deadline: Instant::now() + Duration::from_secs(600) }
}

fn answered(used: u64) -> Report {
    Report::answered(Some(Usage { input: used, ..Usage::default() }), ServerLimits::default())
}

fn on_its_own<F: Future>(work: F) -> F::Output {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

/// Memory that the process holds, as Linux shows it.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1_024)
}

/// CPU time of the process, in seconds, as Linux shows it.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

#[test]
fn a_thousand_calls_that_wait_take_less_than_20_mebibytes() {
    on_its_own(async {
        let limiter = limiter("memory", limits(600, 90_000, 1)).await;
        let under_way = limiter.acquire(call(10)).await.expect("it goes");
        let Some(before) = resident() else {
            eprintln!("skipped: this system does not show what memory a process holds");
            return;
        };
        let waiting: Vec<_> = (0..1_000)
            .map(|_| {
                let limiter = limiter.clone();
                tokio::spawn(async move { limiter.acquire(call(10)).await })
            })
            .collect();
        while limiter.figures().waiting < 1_000 {
            sleep(Duration::from_millis(1)).await;
        }
        let took = resident().expect("as before").saturating_sub(before);
        println!("1,000 calls that wait, their tasks included: {} KiB", took / 1_024);
        assert!(took < 20 * MEBIBYTE, "{took} bytes");
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
        while limiter.figures().waiting > 0 {
            sleep(Duration::from_millis(1)).await;
        }
        under_way.settle(answered(10));
    });
}

/// As agents ask: with a long conversation in the dialect that puts most of it together anew.
#[test]
fn a_thousand_questions_that_wait_hold_no_copies_of_what_they_have_read() {
    on_its_own(async {
        let setup = Setup { context: 1_000_000, ..Setup::new(|_: &Asked| Fault::Hang.into()) };
        let server = ScriptedServer::start(setup).await.expect("a port is free");
        let settings = ModelSettings {
            dialect: DialectChoice::Constrained,
            calls_in_flight: InFlight::new(1).expect("one"),
            ..ModelSettings::of(server.base_url(), "scripted", 1_000_000)
        };
        let settings = BTreeMap::from([("big".to_owned(), settings)]);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let models = Models::open(&settings, "limits-questions", &clock, |_| None).expect("they are sound");
        let limiters = models.start().await.expect("they start");
        let big = models.named("big").expect("it is there");
        let mut conversation = Conversation::new("You investigate.", Vec::new());
        for _ in 0..20 {
            let content = "a process was started and wrote a file. ".repeat(70);
            conversation.returned(vec![CallResult { call: "c".into(), tool: "look".into(), content: content.into() }]);
        }
        let conversation = Arc::new(conversation);
        let ask = || {
            let (big, conversation) = (big.clone(), conversation.clone());
            tokio::spawn(async move {
                let (step, deadline) = (Step::of_all(256), Instant::now() + Duration::from_secs(600));
                let question =
                    Question { conversation: &conversation, step: &step, severity: Severity::Medium, deadline };
                drop(big.ask(&question).await);
            })
        };
        let under_way = ask();
        let patience = Instant::now() + Duration::from_secs(60);
        while server.received().is_empty() {
            assert!(Instant::now() < patience, "it is not asked");
            sleep(Duration::from_millis(1)).await;
        }
        let Some(before) = resident() else {
            eprintln!("skipped: this system does not show what memory a process holds");
            return;
        };
        let waiting: Vec<_> = (0..1_000).map(|_| ask()).collect();
        while big.limiter().figures().waiting < 1_000 {
            assert!(Instant::now() < patience, "{:?}", big.limiter().figures());
            sleep(Duration::from_millis(1)).await;
        }
        let took = resident().expect("as before").saturating_sub(before);
        println!("1,000 questions of 56,000 characters that wait, their tasks included: {} KiB", took / 1_024);
        assert!(took < 20 * MEBIBYTE, "{took} bytes");
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
        under_way.abort();
        limiters.stop().await;
    });
}

#[test]
fn a_call_costs_far_less_than_100_microseconds() {
    const CALLS: u32 = 30_000;
    on_its_own(async {
        let Some(before) = cpu_seconds() else {
            eprintln!("skipped: this system does not show what CPU time a process used");
            return;
        };
        // Every gate is asked, and none is in the way.
        let limiter = limiter("cpu", limits(60_000_000, 60_000_000, 64)).await;
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let limiter = limiter.clone();
                tokio::spawn(async move {
                    for _ in 0..CALLS / 8 {
                        limiter.acquire(call(10)).await.expect("it goes").settle(answered(9));
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.expect("no panic");
        }
        let micros = (cpu_seconds().expect("as before") - before) * 1e6 / f64::from(CALLS);
        println!("a call from asking to settling: {micros:.1} µs CPU");
        assert!(micros < 100.0, "{micros} µs");
    });
}

/// As the tests with paused time, on a clock whose timers are late: 600 requests a minute, answers after 50 ms.
#[test]
fn on_a_real_clock_the_quota_is_used_and_not_exceeded() {
    if std::env::var_os("WATCHFLOOR_LONG").is_none() {
        eprintln!("skipped: it takes 80 seconds; WATCHFLOOR_LONG=1 runs it");
        return;
    }
    let gone = on_its_own(async {
        let limiter = limiter("real", limits(600, 0, 16)).await;
        let gone = Arc::new(Mutex::new(Vec::new()));
        let callers: Vec<_> = (0..16)
            .map(|_| {
                let (limiter, gone) = (limiter.clone(), gone.clone());
                tokio::spawn(async move {
                    loop {
                        let permit = limiter.acquire(call(1)).await.expect("it goes");
                        gone.lock().expect("no panic").push(Instant::now());
                        sleep(Duration::from_millis(50)).await;
                        permit.settle(answered(1));
                    }
                })
            })
            .collect();
        sleep(Duration::from_secs(80)).await;
        callers.iter().for_each(tokio::task::JoinHandle::abort);
        gone.lock().expect("no panic").clone()
    });
    let minute = Duration::from_secs(60);
    let last = gone[gone.len() - 1];
    let minutes = gone.iter().filter(|at| **at >= gone[0] + Duration::from_secs(5) && **at + minute <= last);
    let held: Vec<usize> =
        minutes.map(|from| gone.iter().filter(|at| **at >= *from && **at < *from + minute).count()).collect();
    let (least, most) = (held.iter().min().expect("some"), held.iter().max().expect("some"));
    println!("600 requests a minute on a real clock: any sliding minute held {least} to {most}");
    assert!(*least >= 588 && *most <= 606, "{least} to {most}");
}
