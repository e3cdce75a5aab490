//! The breaker of a server: calls to one that does not answer rest, and one call at a time finds out whether it is back.
//!
//! It is shared by all models of the server, since what is broken is the server. It knows no time of its own and draws
//! no lots: the same signs at the same instants give the same states.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::failure::Sign;

/// Failures in a row, over all models of the server, after which calls rest. One or two are weather; five with no
/// answer between them are not, and five is fewer than a case's budget of turns.
const FAILURES: u32 = 5;

/// The first rest. A server that is restarted is back within seconds.
const FIRST_REST: Duration = Duration::from_secs(5);

/// The longest rest; a rest doubles with every probe that fails. A server that comes back waits no longer for us.
const LONGEST_REST: Duration = Duration::from_secs(120);

/// A model server, as far as its health goes.
#[derive(Debug)]
pub struct Server {
    name: String,
    breaker: Mutex<Breaker>,
}

/// How a server's breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// Calls rest.
    Open,
    /// One call is under way to find out.
    HalfOpen,
}

#[derive(Debug, Clone, Copy)]
enum Breaker {
    Closed { failures: u32 },
    Open { until: Instant, rest: Duration },
    HalfOpen { rest: Duration },
}

/// Whether a call may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// It may.
    Go,
    /// It may not before this instant, if one is known: nobody knows when a probe ends.
    Wait(Option<Instant>),
}

impl Server {
    /// A server that is taken to be well until it shows otherwise. The name is for people, such as its address.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), breaker: Mutex::new(Breaker::Closed { failures: 0 }) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How its breaker stands.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.with(|breaker| match breaker {
            Breaker::Closed { .. } => BreakerState::Closed,
            Breaker::Open { .. } => BreakerState::Open,
            Breaker::HalfOpen { .. } => BreakerState::HalfOpen,
        })
    }

    /// Whether a call may go now.
    pub(super) fn look(&self, now: Instant) -> Pass {
        self.with(|breaker| match *breaker {
            Breaker::Closed { .. } => Pass::Go,
            Breaker::Open { until, .. } if until <= now => Pass::Go,
            Breaker::Open { until, .. } => Pass::Wait(Some(until)),
            Breaker::HalfOpen { .. } => Pass::Wait(None),
        })
    }

    /// Lets a call go: says whether it is the probe, or nothing if another model was faster to send one.
    pub(super) fn begin(&self, now: Instant) -> Option<bool> {
        self.with(|breaker| match *breaker {
            Breaker::Closed { .. } => Some(false),
            Breaker::Open { until, rest } if until <= now => {
                *breaker = Breaker::HalfOpen { rest };
                Some(true)
            }
            Breaker::Open { .. } | Breaker::HalfOpen { .. } => None,
        })
    }

    /// What a call showed.
    pub(super) fn heard(&self, probe: bool, sign: Sign, now: Instant) {
        let was = self.state();
        self.with(|breaker| {
            *breaker = match (*breaker, probe, sign) {
                (Breaker::HalfOpen { .. }, true, Sign::Alive) | (Breaker::Closed { .. }, _, Sign::Alive) => {
                    Breaker::Closed { failures: 0 }
                }
                (Breaker::HalfOpen { rest }, true, Sign::Dead) => {
                    let rest = (rest * 2).min(LONGEST_REST);
                    Breaker::Open { until: now + rest, rest }
                }
                // The probe came to nothing: the next call may be one, at once.
                (Breaker::HalfOpen { rest }, true, Sign::None) => Breaker::Open { until: now, rest },
                (Breaker::Closed { failures }, _, Sign::Dead) if failures + 1 >= FAILURES => {
                    Breaker::Open { until: now + FIRST_REST, rest: FIRST_REST }
                }
                (Breaker::Closed { failures }, _, Sign::Dead) => Breaker::Closed { failures: failures + 1 },
                // Stragglers that went before it opened say nothing new.
                (unchanged, _, _) => unchanged,
            }
        });
        let is = self.state();
        if was != is {
            tracing::info!(server = self.name, ?was, ?is, "the breaker of a model server changed");
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Breaker) -> T) -> T {
        look(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(server: &Server, times: u32, now: Instant) {
        (0..times).for_each(|_| server.heard(false, Sign::Dead, now));
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_not_before() {
        let (server, now) = (Server::new("s"), Instant::now());
        failed(&server, FAILURES - 1, now);
        server.heard(false, Sign::Alive, now);
        failed(&server, FAILURES - 1, now);
        assert_eq!(server.state(), BreakerState::Closed);
        server.heard(false, Sign::None, now);
        failed(&server, 1, now);
        assert_eq!(server.state(), BreakerState::Open);
        assert_eq!(server.look(now), Pass::Wait(Some(now + FIRST_REST)));
        // A straggler neither closes it nor makes its rest longer.
        server.heard(false, Sign::Alive, now);
        failed(&server, 9, now + FIRST_REST / 2);
        assert_eq!(server.look(now), Pass::Wait(Some(now + FIRST_REST)));
    }

    #[test]
    fn one_probe_at_a_time_finds_out_and_rests_grow_to_a_bound() {
        let (server, mut now) = (Server::new("s"), Instant::now());
        failed(&server, FAILURES, now);
        let mut rest = FIRST_REST;
        for _ in 0..8 {
            assert_eq!(server.begin(now + rest - Duration::from_millis(1)), None);
            now += rest;
            assert_eq!(server.begin(now), Some(true));
            assert_eq!((server.begin(now), server.look(now)), (None, Pass::Wait(None)));
            server.heard(true, Sign::Dead, now);
            rest = (rest * 2).min(LONGEST_REST);
        }
        assert_eq!(rest, LONGEST_REST);
        now += rest;
        assert_eq!(server.begin(now), Some(true));
        server.heard(true, Sign::Alive, now);
        assert_eq!((server.state(), server.begin(now)), (BreakerState::Closed, Some(false)));
        // What it knew of failures is forgotten with it.
        failed(&server, FAILURES - 1, now);
        assert_eq!(server.state(), BreakerState::Closed);
    }

    #[test]
    fn a_probe_that_came_to_nothing_leaves_the_next_call_to_be_one() {
        let (server, now) = (Server::new("s"), Instant::now());
        failed(&server, FAILURES, now);
        let later = now + FIRST_REST;
        assert_eq!(server.begin(later), Some(true));
        server.heard(true, Sign::None, later);
        assert_eq!(server.begin(later), Some(true));
    }
}
