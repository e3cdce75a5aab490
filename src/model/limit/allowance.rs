//! So many a minute: paced by a governor, and never more than 1 % above the quota in any sliding minute.
//!
//! Two things keep a quota, since neither alone can:
//!
//! - **The pace.** A governor (a leaky bucket) with a burst of 1 % of a minute's quota. Over any minute it lets through
//!   the quota and its burst, so at most 101 %. The burst is what pays for a timer that is late: whoever goes up to
//!   0.6 s late finds the cells that came in meanwhile, so lateness costs nothing and 98 % is no strain. A quota below
//!   200 has a burst of one cell; a timer late by 1 ms of at least 300 ms then costs at most 0.4 %.
//! - **The window.** What was let through in the last 60 s, at what it is known to have cost. The pace alone counts a
//!   large call wrongly: a governor refuses for ever what is larger than its burst. So a call goes when nothing is owed,
//!   pays what there is, and owes the rest, which is paid cell by cell before the next may go. Its cost falls on one
//!   instant and its payment is spread over seconds; the window sees the cost and keeps the bound.
//!
//! An estimate is corrected in both directions: too little is owed, too much is given back.
//! A call larger than a hundredth of the quota leaves room that no whole call fits into: with calls of 4 % a minute holds
//! 25 of them or 24. The upper bound holds for every size, the lower one (98 %) for calls of up to 1 %.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use super::quota::PerMinute;

const MINUTE: Duration = Duration::from_secs(60);

/// The governor's time is told to it, so that one instant decides all of a turn, and tests decide the instant.
#[derive(Debug, Clone, Default)]
struct ToldTime(Arc<AtomicU64>);

impl Clock for ToldTime {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.load(Ordering::Relaxed))
    }
}

/// See the module.
pub(super) struct Allowance {
    quota: PerMinute,
    epoch: Instant,
    time: ToldTime,
    governor: RateLimiter<NotKeyed, InMemoryState, ToldTime, NoOpMiddleware<Nanos>>,
    /// Paid for at a time: half the burst, so that the other half is there when a timer is late.
    piece: NonZeroU32,
    /// Let through and not yet paid for.
    owed: u64,
    /// Paid for and not used. It is worth nothing once the bucket would have been full anyway.
    saved: u64,
    saved_until: Instant,
    /// How long the bucket takes to fill, twice.
    stale: Duration,
    /// What was let through in the last minute, the oldest first.
    charges: VecDeque<Charge>,
    /// The number of the first of them.
    first: u64,
    sum: u64,
}

struct Charge {
    at: Instant,
    amount: u64,
}

impl Allowance {
    pub fn new(quota: PerMinute, now: Instant) -> Self {
        let count = quota.get();
        let burst = NonZeroU32::new(count / 100).unwrap_or(NonZeroU32::MIN);
        // Rounded up: never faster than the quota.
        let cell = Duration::from_nanos(60_000_000_000_u64.div_ceil(u64::from(count)));
        let pace = Quota::with_period(cell).unwrap_or_else(|| Quota::per_minute(quota.cells())).allow_burst(burst);
        let time = ToldTime::default();
        Self {
            quota,
            epoch: now,
            governor: RateLimiter::direct_with_clock(pace, time.clone()),
            time,
            piece: NonZeroU32::new(burst.get() / 2).unwrap_or(NonZeroU32::MIN),
            owed: 0,
            saved: 0,
            saved_until: now,
            stale: cell * burst.get() * 2,
            charges: VecDeque::new(),
            first: 0,
            sum: 0,
        }
    }

    pub const fn quota(&self) -> PerMinute {
        self.quota
    }

    /// The quota as the server tells it. What was let through under the old one still counts.
    pub fn set_quota(&mut self, quota: PerMinute, now: Instant) {
        if quota != self.quota {
            let old = std::mem::replace(self, Self::new(quota, now));
            self.charges = old.charges;
            self.first = old.first;
            self.sum = old.sum;
        }
    }

    /// The most that any sliding minute holds.
    pub fn most(&self) -> u64 {
        let quota = u64::from(self.quota.get());
        quota + quota / 100
    }

    /// What the last minute holds.
    pub fn used(&mut self, now: Instant) -> u64 {
        while self.charges.front().is_some_and(|charge| charge.at + MINUTE <= now) {
            self.sum -= self.charges.pop_front().map_or(0, |charge| charge.amount);
            self.first += 1;
        }
        self.sum
    }

    /// Whether so many may go now, or else the instant at which to ask again. What was paid stays paid.
    pub fn ready(&mut self, amount: u64, now: Instant) -> Result<(), Instant> {
        if let Some(later) = self.pay(now) {
            return Err(later);
        }
        self.room(amount, now)?;
        let wanted = amount.min(u64::from(self.piece.get())).saturating_sub(self.saved);
        self.take(wanted, now)
    }

    /// Lets so many go, of which [`Self::ready`] said that they may. The number is for [`Self::correct`].
    pub fn spend(&mut self, amount: u64, now: Instant) -> u64 {
        self.charges.push_back(Charge { at: now, amount });
        self.sum += amount;
        self.owe(amount);
        self.first + self.charges.len() as u64 - 1
    }

    /// What a charge really was. One that is a minute old no longer counts anywhere.
    pub fn correct(&mut self, number: u64, amount: u64, now: Instant) {
        self.used(now);
        let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        let Some(charge) = place.and_then(|place| self.charges.get_mut(place)) else { return };
        let charged = std::mem::replace(&mut charge.amount, amount);
        self.sum = self.sum - charged + amount;
        if amount > charged {
            self.owe(amount - charged);
        } else {
            let back = charged - amount;
            let of_debt = back.min(self.owed);
            self.owed -= of_debt;
            self.saved += back - of_debt;
        }
    }

    /// Pays what is owed as far as cells have come in, and says when to go on.
    pub fn pay(&mut self, now: Instant) -> Option<Instant> {
        if self.saved_until < now {
            self.saved = 0;
        }
        while self.owed > 0 {
            let piece = self.owed.min(u64::from(self.piece.get()));
            match self.take(piece, now) {
                Ok(()) => {
                    self.saved -= piece;
                    self.owed -= piece;
                }
                Err(later) => return Some(later),
            }
        }
        None
    }

    fn owe(&mut self, amount: u64) {
        let of_saved = amount.min(self.saved);
        self.saved -= of_saved;
        self.owed += amount - of_saved;
    }

    /// Takes cells, at most a piece, from the governor.
    fn take(&mut self, cells: u64, now: Instant) -> Result<(), Instant> {
        let Some(cells) = u32::try_from(cells).ok().and_then(NonZeroU32::new) else { return Ok(()) };
        let nanos = now.saturating_duration_since(self.epoch).as_nanos();
        self.time.0.store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Relaxed);
        match self.governor.check_n(cells) {
            Ok(Ok(())) => {
                self.saved += u64::from(cells.get());
                self.saved_until = now + self.stale;
                Ok(())
            }
            Ok(Err(not_until)) => Err(self.epoch + Duration::from(not_until.earliest_possible())),
            // A piece is never larger than the burst; asked again, should it ever be.
            Err(_) => Err(now + self.stale),
        }
    }

    /// Whether the window has room, or else when it will.
    fn room(&mut self, amount: u64, now: Instant) -> Result<(), Instant> {
        let most = self.most();
        let mut sum = self.used(now) + amount;
        if sum <= most {
            return Ok(());
        }
        for charge in &self.charges {
            sum -= charge.amount;
            if sum <= most {
                return Err(charge.at + MINUTE);
            }
        }
        Err(now + MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn per_minute(count: u32) -> PerMinute {
        PerMinute::new(count).expect("a limit")
    }

    /// Lets calls of these sizes go as soon as they may, each timer so late; says when each went.
    fn go(allowance: &mut Allowance, sizes: &[u64], late: Duration, mut now: Instant) -> Vec<(Instant, u64)> {
        let mut gone = Vec::new();
        for size in sizes {
            while let Err(later) = allowance.ready(*size, now) {
                assert!(later > now, "asked again without time having passed");
                now = later + late;
            }
            allowance.spend(*size, now);
            gone.push((now, *size));
        }
        gone
    }

    /// The most that any minute that begins with a call holds. The minute is half open, as the window is.
    fn most_of_a_minute(gone: &[(Instant, u64)]) -> u64 {
        let mut end = 0;
        let mut sum = 0;
        let minute = |from: usize| {
            while end < gone.len() && gone[end].0 < gone[from].0 + MINUTE {
                sum += gone[end].1;
                end += 1;
            }
            let held = sum;
            sum -= gone[from].1;
            held
        };
        (0..gone.len()).map(minute).max().unwrap_or(0)
    }

    #[test]
    fn what_is_larger_than_the_burst_goes_and_is_paid_for_afterwards() {
        let start = Instant::now();
        let mut tokens = Allowance::new(per_minute(60_000), start);
        // 10,000 tokens are ten seconds' worth and far more than the burst of 600.
        let gone = go(&mut tokens, &[10_000, 1, 10_000], Duration::ZERO, start);
        assert_eq!(gone[0].0, start, "nothing was used: it goes at once");
        let waited = gone[1].0 - start;
        assert!((9_400..=10_000).contains(&waited.as_millis()), "{waited:?}");
        assert!(gone[2].0 - gone[1].0 < Duration::from_secs(1), "one token owes next to nothing");
    }

    #[test]
    fn what_was_estimated_too_high_is_given_back_and_what_was_too_low_is_owed() {
        let start = Instant::now();
        let wait_after = |actual: u64| {
            let mut tokens = Allowance::new(per_minute(60_000), start);
            let number = tokens.spend(5_000, start);
            tokens.correct(number, actual, start);
            assert_eq!(tokens.used(start), actual);
            go(&mut tokens, &[1], Duration::ZERO, start)[0].0 - start
        };
        let near = |waited: Duration, seconds: f64| (waited.as_secs_f64() - seconds).abs() < 0.7;
        assert!(near(wait_after(5_000), 4.5), "{:?}", wait_after(5_000));
        assert!(near(wait_after(1_000), 0.5), "{:?}", wait_after(1_000));
        assert!(near(wait_after(20_000), 19.5), "{:?}", wait_after(20_000));
        assert_eq!(wait_after(0), Duration::ZERO);
    }

    #[test]
    fn what_was_saved_is_worth_nothing_after_a_rest() {
        let start = Instant::now();
        let mut requests = Allowance::new(per_minute(600), start);
        let numbers: Vec<_> = (0..300).map(|_| requests.spend(1, start)).collect();
        numbers.into_iter().for_each(|number| requests.correct(number, 0, start));
        let later = start + Duration::from_secs(30);
        let gone = go(&mut requests, &[1; 40], Duration::ZERO, later);
        assert_eq!(gone.iter().filter(|(at, _)| *at == later).count(), 6, "the burst and no more");
    }

    #[test]
    fn a_charge_that_is_a_minute_old_is_not_corrected() {
        let start = Instant::now();
        let mut tokens = Allowance::new(per_minute(600), start);
        let number = tokens.spend(3, start);
        tokens.correct(number, 500, start + MINUTE);
        assert_eq!((tokens.used(start + MINUTE), tokens.owed), (0, 3));
        tokens.correct(number + 7, 500, start + MINUTE);
        assert_eq!(tokens.used(start + MINUTE), 0);
    }

    #[test]
    fn another_quota_keeps_what_was_used() {
        let start = Instant::now();
        let mut requests = Allowance::new(per_minute(600), start);
        let gone = go(&mut requests, &[1; 100], Duration::ZERO, start);
        let now = gone[99].0;
        requests.set_quota(per_minute(100), now);
        assert_eq!(requests.used(now), 100);
        requests.ready(1, now).expect("101 of 100 are the last percent");
        requests.spend(1, now);
        assert!(requests.ready(1, now).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn no_sliding_minute_holds_more_than_101_percent_and_none_less_than_98(
            quota in 20_u32..5_000,
            late in 0_u64..4,
        ) {
            let start = Instant::now();
            let mut requests = Allowance::new(per_minute(quota), start);
            let sizes = vec![1; quota as usize * 2];
            let gone = go(&mut requests, &sizes, Duration::from_millis(late), start);
            prop_assert!(most_of_a_minute(&gone) * 100 <= u64::from(quota) * 101);
            // A timer of tokio's is late by up to 2 ms; 3 ms are the worst of quotas just below 200.
            let took = gone.last().map_or(Duration::ZERO, |(at, _)| *at - start).as_secs_f64();
            let used = f64::from(quota) * 2.0 / (took / 60.0) / f64::from(quota);
            prop_assert!(used >= 0.98, "{used} of {quota}");
        }

        #[test]
        fn whatever_the_sizes_the_upper_bound_holds(
            quota in 100_u32..100_000,
            shares in prop::collection::vec(1_u64..=1_000, 50..200),
            late in 0_u64..50,
        ) {
            let start = Instant::now();
            let mut tokens = Allowance::new(per_minute(quota), start);
            // Of a token to the whole quota.
            let sizes: Vec<u64> = shares.iter().map(|share| (u64::from(quota) * share / 1_000).max(1)).collect();
            let gone = go(&mut tokens, &sizes, Duration::from_millis(late), start);
            prop_assert!(most_of_a_minute(&gone) * 100 <= u64::from(quota) * 101);
        }
    }
}
