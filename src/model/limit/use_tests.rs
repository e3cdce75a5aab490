//! A limiter at work: how much of a quota is used and how little it is exceeded, and what a restart or a caller that
//! goes away changes. With paused time, so that minutes take no time.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ractor::Actor;
use ractor_supervisor::{
    ChildSpec, Restart, SpawnFn, Supervisor, SupervisorArguments, SupervisorOptions, SupervisorStrategy,
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Call, Failure, Kind, Limiter, LimiterActor, Limits, Line, ModelName, PerMinute, Refused, Report, Server,
    ServerLimits, Usage,
};
use crate::domain::alert::Severity;

const ANSWER: Duration = Duration::from_millis(50);
const MINUTE: Duration = Duration::from_secs(60);

fn limits(requests: u32, tokens: u32, in_flight: u32) -> Limits {
    let in_flight = NonZeroU32::new(in_flight).expect("some");
    Limits { requests: PerMinute::new(requests), tokens: PerMinute::new(tokens), in_flight }
}

fn line(test: &str, limits: Limits) -> Arc<Line> {
    Line::new(format!("use-{test}"), ModelName::new("model"), limits, Arc::new(Server::new("server")))
}

async fn limiter(test: &str, limits: Limits) -> Limiter {
    let line = line(test, limits);
    Actor::spawn(Some(line.actor().to_owned()), LimiterActor, line.clone()).await.expect("it starts");
    Limiter::new(line)
}

fn call(severity: Severity, estimate: u64) -> Call {
    Call { severity, estimate, deadline: Instant::now() + Duration::from_secs(3_600) }
}

fn answered(used: u64) -> Report {
    Report::answered(Some(Usage { input: used, ..Usage::default() }), ServerLimits::default())
}

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        low + (self.0 >> 33) % (high - low + 1)
    }
}

/// Callers that always want to call, for so long; when each call went and what it used.
async fn saturate(
    limiter: &Limiter,
    callers: usize,
    length: Duration,
    of: fn(&mut Numbers) -> (u64, u64),
) -> Vec<(Instant, u64)> {
    let gone = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..callers as u64)
        .map(|number| {
            let (limiter, gone) = (limiter.clone(), gone.clone());
            let mut numbers = Numbers(number);
            tokio::spawn(async move {
                loop {
                    let (estimate, used) = of(&mut numbers);
                    let permit = limiter.acquire(call(Severity::Medium, estimate)).await.expect("it goes");
                    gone.lock().expect("no panic").push((Instant::now(), used));
                    sleep(ANSWER).await;
                    permit.settle(answered(used));
                }
            })
        })
        .collect();
    sleep(length).await;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    let gone = gone.lock().expect("no panic");
    gone.clone()
}

/// The least and the most of a quota that any sliding minute used, in percent. The first ten seconds are no part of the
/// least: the burst is spent in them, and what is learned is learned in them.
fn used(gone: &[(Instant, u64)], quota: u32) -> (f64, f64) {
    let (begin, end) = (gone[0].0, gone[gone.len() - 1].0);
    let sums: Vec<u64> = std::iter::once(0)
        .chain(gone.iter().scan(0, |sum, (_, used)| {
            *sum += used;
            Some(*sum)
        }))
        .collect();
    let percent = |sum: u64| sum as f64 * 100.0 / f64::from(quota);
    let (mut least, mut most) = (f64::INFINITY, 0_f64);
    for (number, (at, _)) in gone.iter().enumerate() {
        // A minute that begins with a call holds the most, one that begins right after it the least.
        let before_end = gone.partition_point(|(other, _)| *other < *at + MINUTE);
        most = most.max(percent(sums[before_end] - sums[number]));
        if *at >= begin + Duration::from_secs(10) && *at + MINUTE <= end {
            let (after, until) = (
                gone.partition_point(|(other, _)| *other <= *at),
                gone.partition_point(|(other, _)| *other <= *at + MINUTE),
            );
            least = least.min(percent(sums[until] - sums[after]));
        }
    }
    (least, most)
}

#[tokio::test(start_paused = true)]
async fn of_requests_a_minute_98_percent_are_used_and_never_more_than_101() {
    for quota in [30, 100, 199, 600, 3_000] {
        let limiter = limiter(&format!("requests-{quota}"), limits(quota, 0, 64)).await;
        let gone = saturate(&limiter, 80, MINUTE * 3, |_| (1, 1)).await;
        let (least, most) = used(&gone, quota);
        println!("{quota} requests a minute: any sliding minute used {least:.2} % to {most:.2} %");
        // Of 30 requests one is 3.3 %: a minute that begins right after a call may hold one less.
        let one = 100.0 / f64::from(quota);
        assert!(least >= (98.0_f64).min(100.0 - one) - 0.01 && most <= 101.0, "{quota}: {least} to {most}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_tokens_a_minute_98_percent_are_used_and_never_more_than_101() {
    // Estimates are right on average, and up to a fifth off; always twice too high; always twice too low.
    let fair: fn(&mut Numbers) -> (u64, u64) = |numbers| {
        let used = numbers.between(200, 900);
        (used * numbers.between(80, 120) / 100, used)
    };
    let high: fn(&mut Numbers) -> (u64, u64) = |numbers| {
        let used = numbers.between(100, 450);
        (used * 2, used)
    };
    let low: fn(&mut Numbers) -> (u64, u64) = |numbers| {
        let used = numbers.between(200, 900);
        (used / 2, used)
    };
    for (name, of) in [("fair", fair), ("high", high), ("low", low)] {
        let limiter = limiter(&format!("tokens-{name}"), limits(0, 90_000, 64)).await;
        let gone = saturate(&limiter, 80, MINUTE * 4, of).await;
        let (least, most) = used(&gone, 90_000);
        println!("90,000 tokens a minute, {name} estimates: any sliding minute used {least:.2} % to {most:.2} %");
        assert!(least >= 98.0 && most <= 101.0, "{name}: {least} to {most}");
    }
}

#[tokio::test(start_paused = true)]
async fn large_calls_never_exceed_the_quota_either() {
    let limiter = limiter("large", limits(600, 90_000, 64)).await;
    // 4,000 to 30,000 tokens: up to a third of a minute's quota.
    let gone = saturate(&limiter, 40, MINUTE * 5, |numbers| {
        let used = numbers.between(4_000, 30_000);
        (used, used)
    })
    .await;
    let (least, most) = used(&gone, 90_000);
    println!("90,000 tokens a minute, calls of up to a third: any sliding minute used {least:.2} % to {most:.2} %");
    assert!(most <= 101.0 && least > 60.0, "{least} to {most}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_gives_up_its_place_and_its_charge() {
    let limiter = limiter("away", limits(600, 60_000, 1)).await;
    let under_way = limiter.acquire(call(Severity::Medium, 100)).await.expect("it goes");
    assert!(timeout(ANSWER, limiter.acquire(call(Severity::Medium, 100))).await.is_err(), "it waits");
    sleep(ANSWER).await;
    assert_eq!((limiter.figures().waiting, limiter.figures().in_flight), (0, 1));
    under_way.settle(answered(100));
    sleep(ANSWER).await;
    assert_eq!(limiter.figures().in_flight, 0);
    // One that was let go and went away before it heard of it.
    {
        let mut unheard = Box::pin(limiter.acquire(call(Severity::Medium, 5_000)));
        assert!(futures_poll(&mut unheard).await, "it waits for the actor");
        sleep(ANSWER).await;
        assert_eq!(limiter.figures().in_flight, 1);
    }
    sleep(ANSWER).await;
    let figures = limiter.figures();
    assert_eq!((figures.in_flight, figures.tokens.map(|of| of.0)), (0, Some(100)));
}

/// Polls once; says whether it is still pending.
async fn futures_poll<T>(future: &mut std::pin::Pin<Box<impl Future<Output = T>>>) -> bool {
    std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_dropped_lets_the_next_call_go_and_keeps_its_charge() {
    let limiter = limiter("dropped", limits(0, 60_000, 1)).await;
    drop(limiter.acquire(call(Severity::Medium, 500)).await.expect("it goes"));
    let next = limiter.acquire(call(Severity::Medium, 100)).await.expect("it goes");
    assert_eq!(limiter.figures().tokens.map(|of| of.0), Some(600));
    next.settle(answered(100));
}

#[tokio::test(start_paused = true)]
async fn every_wait_has_an_end() {
    let limiter = limiter("deadline", limits(0, 0, 1)).await;
    let _under_way = limiter.acquire(call(Severity::Medium, 1)).await.expect("it goes");
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs(7);
    let refused = limiter.acquire(Call { deadline, ..call(Severity::Critical, 1) }).await.expect_err("nobody leaves");
    assert!(matches!(refused, Refused::NotInTime { kind: Kind::InFlight, until: None, .. }), "{refused:?}");
    assert_eq!(begun.elapsed().as_secs(), 7);
    // Without an actor, too.
    let orphan = Limiter::new(line("orphan", limits_of_one()));
    let refused = orphan.acquire(Call { deadline: Instant::now() + MINUTE, ..call(Severity::Low, 1) }).await;
    assert!(matches!(refused, Err(Refused::NotInTime { .. })));
}

fn limits_of_one() -> Limits {
    limits(0, 0, 1)
}

#[tokio::test(start_paused = true)]
async fn a_rest_is_known_at_once_to_who_cannot_wait_for_it() {
    let limiter = limiter("rest", limits(0, 0, 4)).await;
    let permit = limiter.acquire(call(Severity::Medium, 1)).await.expect("it goes");
    let asked = ServerLimits { retry_after: Some(Duration::from_secs(40)), ..ServerLimits::default() };
    let begun = Instant::now();
    permit.settle(Report::failed(Failure::TooManyRequests, asked));
    let hasty = Call { deadline: begun + Duration::from_secs(5), ..call(Severity::Medium, 1) };
    let refused = limiter.acquire(hasty).await.expect_err("it rests");
    assert!(begun.elapsed() < Duration::from_secs(1), "its caller can do something else meanwhile");
    assert!(matches!(refused, Refused::NotInTime { kind: Kind::RetryAfter, until: Some(_), .. }), "{refused:?}");
    assert_eq!(refused.come_again().map(|rest| rest.as_secs_f64().round()), Some(40.0));
    drop(limiter.acquire(call(Severity::Medium, 1)).await.expect("it goes after the rest"));
    assert_eq!(begun.elapsed().as_secs(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_restart_forgets_neither_who_waits_nor_what_is_under_way() {
    let line = line("restart", limits(600, 0, 1));
    let spawn_fn = SpawnFn::new({
        let line = line.clone();
        move |supervisor, id| {
            let line = line.clone();
            async move { Ok(Supervisor::spawn_linked(id, LimiterActor, line, supervisor).await?.0.get_cell()) }
        }
    });
    let child = ChildSpec {
        id: line.actor().to_owned(),
        restart: Restart::Permanent,
        spawn_fn,
        backoff_fn: None,
        reset_after: None,
    };
    let options = SupervisorOptions {
        strategy: SupervisorStrategy::OneForOne,
        max_restarts: 5,
        max_window: MINUTE,
        reset_after: None,
    };
    let arguments = SupervisorArguments { child_specs: vec![child], options };
    let (supervisor, supervised) =
        Supervisor::spawn("use-restart-tree".to_owned(), arguments).await.expect("it starts");
    let limiter = Limiter::new(line.clone());
    let under_way = limiter.acquire(call(Severity::Medium, 1)).await.expect("it goes");
    let waits = tokio::spawn({
        let limiter = limiter.clone();
        async move { limiter.acquire(call(Severity::Medium, 1)).await }
    });
    sleep(ANSWER).await;
    let actor = ractor::registry::where_is(line.actor()).expect("it is there");
    actor.kill();
    // Settled while nobody is there to hear it.
    under_way.settle(answered(1));
    let permit = waits.await.expect("no panic").expect("it goes");
    let again = ractor::registry::where_is(line.actor()).expect("it is there again");
    assert_ne!(again.get_id(), actor.get_id());
    assert_eq!(limiter.figures().in_flight, 1);
    assert_eq!(limiter.figures().requests.map(|of| of.0), Some(2), "what was used before is still counted");
    permit.settle(answered(1));
    supervisor.stop(None);
    supervised.await.expect("it stops");
    line.close();
    let refused = limiter.acquire(call(Severity::Medium, 1)).await.expect_err("it has stopped");
    assert!(matches!(refused, Refused::Stopped(_)), "{refused:?}");
}

/// On a real clock and several threads: callers that go away at any moment, also at the very one at which they are let
/// go, leave nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_go_away_at_any_moment_leave_nothing_behind() {
    let limiter = limiter("churn", limits(60_000_000, 60_000_000, 3)).await;
    let callers: Vec<_> = (0..40_u64)
        .map(|number| {
            let limiter = limiter.clone();
            let mut numbers = Numbers(number);
            tokio::spawn(async move {
                for _ in 0..50 {
                    let patience = Duration::from_micros(numbers.between(0, 3_000));
                    if let Ok(Ok(permit)) = timeout(patience, limiter.acquire(call(Severity::Low, 10))).await {
                        match numbers.between(0, 2) {
                            0 => drop(permit),
                            1 => permit.settle(answered(10)),
                            _ => permit.settle(Report::failed(Failure::Cancelled, ServerLimits::default())),
                        }
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("no panic");
    }
    let permit = limiter.acquire(call(Severity::Low, 10)).await.expect("it goes");
    let figures = limiter.figures();
    assert_eq!((figures.waiting, figures.in_flight), (0, 1));
    permit.settle(answered(10));
}
