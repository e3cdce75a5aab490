//! The queue and its gates, turn by turn, with times that the test decides.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

use super::breaker::{BreakerState, Server};
use super::failure::Failure;
use super::headers::{LONGEST_RETRY_AFTER, ServerLimits, Told};
use super::limiter::Report;
use super::place::{Place, RANK_WORTH};
use super::price::Usage;
use super::quota::{Limits, PerMinute};
use super::turnstile::{Charge, Ending, Event, Turnstile, Waiting, Word};
use super::wait::Kind;
use crate::domain::alert::Severity;

const HOUR: Duration = Duration::from_secs(3_600);

struct Gate {
    turnstile: Turnstile,
    now: Instant,
    calls: u64,
}

struct Caller {
    place: Place,
    words: UnboundedReceiver<Word>,
}

impl Caller {
    /// What it has been told since it was asked last.
    fn told(&mut self) -> Vec<&'static str> {
        std::iter::from_fn(|| self.words.try_recv().ok())
            .map(|word| match word {
                Word::Waits(kind, _) => kind.slug(),
                Word::Go(..) => "go",
                Word::NotInTime(..) => "not in time",
                Word::TooLarge(_) => "too large",
                Word::Stopped => "stopped",
            })
            .collect()
    }

    fn went(&mut self) -> Option<Charge> {
        std::iter::from_fn(|| self.words.try_recv().ok()).find_map(|word| match word {
            Word::Go(charge, _) => Some(charge),
            _ => None,
        })
    }
}

fn limits(requests: u32, tokens: u32, in_flight: u32) -> Limits {
    let in_flight = NonZeroU32::new(in_flight).expect("some");
    Limits { requests: PerMinute::new(requests), tokens: PerMinute::new(tokens), in_flight }
}

impl Gate {
    fn new(limits: Limits) -> Self {
        Self::on(limits, &Arc::new(Server::new("server")))
    }

    fn on(limits: Limits, server: &Arc<Server>) -> Self {
        let now = Instant::now();
        Self { turnstile: Turnstile::new(limits, server.clone(), now), now, calls: 0 }
    }

    fn comes(&mut self, severity: Severity, estimate: u64, patience: Duration) -> Caller {
        let (told, words) = unbounded_channel();
        let place = Place::new(self.now, severity, self.calls);
        self.calls += 1;
        self.happens(vec![Event::Wanted(place, Waiting::new(estimate, self.now + patience, told))]);
        Caller { place, words }
    }

    fn happens(&mut self, events: Vec<Event>) -> Option<Instant> {
        self.turnstile.turn(events, self.now)
    }

    fn ends(&mut self, charge: Charge, report: Report) {
        self.happens(vec![Event::Ended(charge, Ending::Settled(report))]);
    }

    /// A call that goes at once.
    fn goes(&mut self, estimate: u64) -> Charge {
        self.comes(Severity::Medium, estimate, HOUR).went().expect("it goes at once")
    }

    fn passes(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.happens(vec![]).filter(|next| *next <= end) {
            assert!(next > self.now, "asked again without time having passed");
            self.now = next;
        }
        self.now = end;
        self.happens(vec![]);
    }
}

fn answered(used: u64) -> Report {
    Report::answered(Some(Usage { input: used, ..Usage::default() }), ServerLimits::default())
}

fn failed(failure: Failure) -> Report {
    Report::failed(failure, ServerLimits::default())
}

fn asks_to_rest(rest: Duration) -> Report {
    Report::failed(Failure::TooManyRequests, ServerLimits { retry_after: Some(rest), ..ServerLimits::default() })
}

#[test]
fn calls_under_way_are_bounded_and_the_next_goes_when_one_ends() {
    let mut gate = Gate::new(limits(0, 0, 2));
    let (first, _second) = (gate.goes(1), gate.goes(1));
    let mut third = gate.comes(Severity::Medium, 1, HOUR);
    let mut fourth = gate.comes(Severity::Medium, 1, HOUR);
    assert_eq!((third.told(), fourth.told()), (vec!["in_flight"], vec!["queue"]));
    gate.ends(first, answered(1));
    assert_eq!((third.told(), fourth.told()), (vec!["go"], vec!["in_flight"]));
}

#[test]
fn a_call_that_leaves_makes_room_and_one_that_goes_to_nobody_is_given_back() {
    let mut gate = Gate::new(limits(60, 6_000, 1));
    let first = gate.goes(100);
    let leaver = gate.comes(Severity::Medium, 1, HOUR);
    let mut next = gate.comes(Severity::Medium, 1, HOUR);
    gate.happens(vec![Event::Left(leaver.place)]);
    assert_eq!(next.told(), ["queue", "in_flight"]);
    // It is no longer there when its turn comes, and has not yet said so.
    drop(next);
    gate.ends(first, answered(100));
    assert_eq!(gate.turnstile.figures(gate.now).in_flight, 0);
    gate.passes(Duration::from_secs(2));
    let unclaimed = gate.goes(900);
    gate.happens(vec![Event::Ended(unclaimed, Ending::Unclaimed)]);
    let figures = gate.turnstile.figures(gate.now);
    assert_eq!((figures.requests.map(|of| of.0), figures.tokens.map(|of| of.0)), (Some(1), Some(100)));
    gate.goes(1);
}

#[test]
fn a_permit_that_is_dropped_keeps_its_charge_and_frees_its_place() {
    let mut gate = Gate::new(limits(600, 6_000, 1));
    let dropped = gate.goes(500);
    gate.happens(vec![Event::Ended(dropped, Ending::Dropped)]);
    let figures = gate.turnstile.figures(gate.now);
    assert_eq!((figures.in_flight, figures.tokens.map(|of| of.0)), (0, Some(500)));
}

#[test]
fn tokens_are_corrected_by_what_was_used_or_kept_where_nobody_knows() {
    for (report, expected) in [
        (answered(200), 200),
        (answered(900), 900),
        (failed(Failure::TimedOut), 500),
        (failed(Failure::Unreachable), 0),
        (failed(Failure::TooManyRequests), 0),
        (Report::answered(None, ServerLimits::default()), 500),
    ] {
        let mut gate = Gate::new(limits(0, 6_000, 1));
        let charge = gate.goes(500);
        gate.ends(charge, report);
        assert_eq!(gate.turnstile.figures(gate.now).tokens.map(|of| of.0), Some(expected), "{report:?}");
    }
}

#[test]
fn estimates_that_are_always_too_low_are_taken_higher_and_never_lower() {
    let charged = |ratio: u64| {
        let mut gate = Gate::new(limits(0, 60_000_000, 1));
        for _ in 0..60 {
            let charge = gate.goes(1_000);
            gate.ends(charge, answered(ratio * 1_000 / 10));
            gate.passes(Duration::from_millis(100));
        }
        gate.passes(Duration::from_secs(1));
        let before = gate.turnstile.figures(gate.now).tokens.map_or(0, |of| of.0);
        gate.goes(1_000);
        gate.turnstile.figures(gate.now).tokens.map_or(0, |of| of.0) - before
    };
    assert!((1_900..=2_000).contains(&charged(20)), "{}", charged(20));
    assert_eq!(charged(5), 1_000);
    assert_eq!(charged(100), 4_000, "an estimate is believed within bounds");
}

#[test]
fn what_a_minute_cannot_hold_is_refused_at_once() {
    let mut gate = Gate::new(limits(0, 1_000, 1));
    assert_eq!(gate.comes(Severity::Critical, 1_011, HOUR).told(), ["too large"]);
    gate.goes(1_010);
}

#[test]
fn a_rest_that_the_server_asks_for_holds_all_calls_and_is_bounded() {
    for (asked, rest) in [
        (Duration::from_secs(20), Duration::from_secs(20)),
        (Duration::from_secs(86_400), LONGEST_RETRY_AFTER),
        (Duration::MAX, LONGEST_RETRY_AFTER),
    ] {
        let mut gate = Gate::new(limits(0, 0, 8));
        let refused = gate.goes(1);
        gate.ends(refused, asks_to_rest(asked));
        let mut waits = gate.comes(Severity::Critical, 1, HOUR);
        gate.passes(rest - Duration::from_millis(1));
        assert_eq!(waits.told(), ["retry_after"]);
        gate.passes(Duration::from_millis(1));
        assert_eq!(waits.told(), ["go"]);
    }
}

#[test]
fn who_cannot_wait_for_the_end_of_a_rest_is_told_at_once() {
    let mut gate = Gate::new(limits(0, 0, 1));
    let refused = gate.goes(1);
    let mut waiting = gate.comes(Severity::Low, 1, Duration::from_secs(10));
    let mut patient = gate.comes(Severity::Low, 1, Duration::from_secs(60));
    gate.ends(refused, asks_to_rest(Duration::from_secs(30)));
    assert_eq!(waiting.told().last(), Some(&"not in time"));
    assert_eq!(patient.told().last(), Some(&"retry_after"));
    assert_eq!(gate.comes(Severity::Low, 1, Duration::from_secs(29)).told(), ["not in time"]);
    gate.passes(Duration::from_secs(30));
    assert_eq!(patient.told(), ["go"]);
}

#[test]
fn refusals_without_a_word_on_their_length_rest_longer_each_time_and_a_crowd_of_them_counts_once() {
    let mut gate = Gate::new(limits(0, 0, 20));
    let mut rests = Vec::new();
    for _ in 0..9 {
        let crowd: Vec<_> = (0..20).map(|_| gate.goes(1)).collect();
        gate.now += Duration::from_millis(50);
        crowd.into_iter().for_each(|charge| gate.ends(charge, failed(Failure::TooManyRequests)));
        let rest = gate.turnstile.figures(gate.now).rests_for;
        rests.push(rest.as_secs());
        gate.passes(rest);
    }
    assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    let charge = gate.goes(1);
    gate.ends(charge, answered(1));
    let charge = gate.goes(1);
    gate.ends(charge, failed(Failure::TooManyRequests));
    assert_eq!(gate.turnstile.figures(gate.now).rests_for, Duration::from_secs(1), "an answer ends the row");
}

#[test]
fn a_servers_limit_counts_where_it_is_lower_or_where_none_was_declared() {
    let quota = |declared: u32, told: &[u32]| {
        let mut gate = Gate::new(limits(declared, 0, 1));
        for told in told {
            let limits = ServerLimits {
                requests: Told { limit: PerMinute::new(*told), ..Told::default() },
                ..ServerLimits::default()
            };
            let charge = gate.goes(1);
            gate.ends(charge, Report::answered(None, limits));
            gate.passes(Duration::from_secs(61));
        }
        gate.turnstile.figures(gate.now).requests.map(|of| of.1.get())
    };
    assert_eq!(quota(600, &[60]), Some(60));
    assert_eq!(quota(600, &[60, 300]), Some(300), "it was raised again");
    assert_eq!(quota(600, &[10_000]), Some(600), "what was declared is not exceeded");
    assert_eq!(quota(0, &[500]), Some(500));
    assert_eq!(quota(0, &[]), None);
}

#[test]
fn nothing_left_is_a_short_rest_after_an_answer_and_the_whole_one_after_a_refusal() {
    let told = Told { limit: PerMinute::new(600), remaining: Some(0), reset: Some(Duration::from_secs(40)) };
    let limits_told = ServerLimits { requests: told, ..ServerLimits::default() };
    let rest = |failure| {
        let mut gate = Gate::new(limits(0, 0, 1));
        let charge = gate.goes(1);
        gate.ends(charge, Report { usage: None, limits: limits_told, failure });
        gate.turnstile.figures(gate.now).rests_for
    };
    assert_eq!(rest(None), Duration::from_secs(40) / 600);
    assert_eq!(rest(Some(Failure::TooManyRequests)), Duration::from_secs(40));
}

#[test]
fn a_breaker_is_one_for_all_models_of_a_server() {
    let server = Arc::new(Server::new("server"));
    let (mut one, mut other) = (Gate::on(limits(0, 0, 9), &server), Gate::on(limits(0, 0, 9), &server));
    for _ in 0..5 {
        let charge = one.goes(1);
        one.ends(charge, failed(Failure::Unreachable));
    }
    assert_eq!(server.state(), BreakerState::Open);
    let mut waits = other.comes(Severity::High, 1, HOUR);
    assert_eq!(waits.told(), ["breaker"]);
    // One of them sends the probe; the other waits for what it finds.
    one.now += Duration::from_secs(6);
    other.now = one.now;
    let probe = one.goes(1);
    let mut second = one.comes(Severity::High, 1, HOUR);
    other.happens(vec![]);
    assert_eq!((second.told(), waits.told()), (vec!["breaker"], vec![]));
    one.ends(probe, answered(1));
    assert_eq!(second.told(), ["go"]);
    other.passes(Duration::from_millis(200));
    assert_eq!(waits.told(), ["go"], "it looks by itself");
}

#[test]
fn a_higher_severity_takes_the_first_place_and_both_are_told() {
    let mut gate = Gate::new(limits(0, 0, 1));
    let under_way = gate.goes(1);
    let mut low = gate.comes(Severity::Low, 1, HOUR);
    let mut high = gate.comes(Severity::High, 1, HOUR);
    assert_eq!((low.told(), high.told()), (vec!["in_flight", "queue"], vec!["in_flight"]));
    gate.ends(under_way, answered(1));
    assert_eq!((low.told(), high.told()), (vec!["in_flight"], vec!["go"]));
}

#[test]
fn a_wait_in_the_queue_says_what_held_up_those_before_it() {
    let mut gate = Gate::new(limits(0, 600, 2));
    let _under_way = gate.goes(300);
    let _first = gate.comes(Severity::Medium, 1, HOUR);
    let mut second = gate.comes(Severity::Medium, 1, HOUR);
    gate.passes(Duration::from_secs(31));
    let behind = std::iter::from_fn(|| second.words.try_recv().ok()).find_map(|word| match word {
        Word::Waits(Kind::InFlight, behind) => behind,
        _ => None,
    });
    assert_eq!(behind, Some(Kind::Tokens));
}

#[test]
fn a_gate_that_stops_says_so_to_all_who_wait() {
    let mut gate = Gate::new(limits(0, 0, 1));
    let _under_way = gate.goes(1);
    let mut waits = gate.comes(Severity::Low, 1, HOUR);
    gate.turnstile.stop();
    assert_eq!(waits.told().last(), Some(&"stopped"));
}

/// How long a call of `low` waits among `crowd` callers of `high` that each call again as soon as they are answered.
fn wait_in_a_crowd(low: Severity, high: Severity, crowd: usize, service: Duration) -> Duration {
    let mut gate = Gate::new(limits(0, 0, 1));
    let mut busy = gate.goes(1);
    let mut callers: Vec<Caller> = (0..crowd).map(|_| gate.comes(high, 1, HOUR)).collect();
    let mut waits = gate.comes(low, 1, HOUR);
    let begun = gate.now;
    loop {
        gate.now += service;
        gate.ends(busy, answered(1));
        if waits.went().is_some() {
            return gate.now - begun;
        }
        let (place, charge) =
            callers.iter_mut().enumerate().find_map(|(at, caller)| Some((at, caller.went()?))).expect("somebody goes");
        busy = charge;
        callers[place] = gate.comes(high, 1, HOUR);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The declared bound: nobody overtakes a call for longer than its ranks are worth, so that it waits for at most
    /// that, the calls that are before it then, and the one that is under way.
    #[test]
    fn nothing_starves_however_long_the_load_lasts(
        (low, high) in (0_u32..5, 0_u32..5),
        crowd in 1_usize..24,
        millis in 100_u64..8_000,
    ) {
        let severities =
            [Severity::Informational, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
        let service = Duration::from_millis(millis);
        let waited = wait_in_a_crowd(severities[low as usize], severities[high as usize], crowd, service);
        let overtaken = RANK_WORTH * high.saturating_sub(low);
        let before = service * (u32::try_from(crowd).expect("small") + 2);
        prop_assert!(waited <= overtaken + before, "{waited:?} > {overtaken:?} + {before:?}");
    }

    #[test]
    fn in_a_queue_of_one_moment_the_loud_go_first_and_the_early_before_the_late(
        severities in prop::collection::vec(0_usize..5, 2..40),
    ) {
        let all = [Severity::Informational, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
        let mut gate = Gate::new(limits(0, 0, 1));
        let mut busy = gate.goes(1);
        let mut callers: Vec<Caller> = severities.iter().map(|rank| gate.comes(all[*rank], 1, HOUR)).collect();
        let mut order = Vec::new();
        for _ in 0..severities.len() {
            gate.ends(busy, answered(1));
            let gone = callers.iter_mut().enumerate().find_map(|(at, caller)| Some((at, caller.went()?)));
            let (at, charge) = gone.expect("somebody goes");
            busy = charge;
            order.push(at);
        }
        let mut expected: Vec<usize> = (0..severities.len()).collect();
        expected.sort_by_key(|at| (4 - severities[*at], *at));
        prop_assert_eq!(order, expected);
    }
}
