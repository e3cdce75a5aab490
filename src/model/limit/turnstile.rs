//! Who goes next: the queue and the gates of one model, as a state that is told what happened and what time it is.
//!
//! It does nothing by itself: no task, no timer, no lock. Each turn takes what happened since the last one, lets go
//! whoever may go, tells those who wait why, and says when to be asked again.
//!
//! The order is strict: whoever is first in the queue goes first, also where a smaller call behind it would fit. So a
//! large call is never starved by small ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::allowance::Allowance;
use super::breaker::{Pass, Server};
use super::failure::{Failure, Sign};
use super::headers::{LONGEST_RETRY_AFTER, ServerLimits, Told};
use super::limiter::{Figures, Report};
use super::place::Place;
use super::price::Usage;
use super::quota::{Limits, PerMinute};
use super::wait::Kind;

/// How often to look whether another model's probe has ended: nobody knows when it will.
const LOOK: Duration = Duration::from_millis(200);

/// The first rest after a refusal that does not say how long to rest; it doubles with every further one.
const FIRST_REST: Duration = Duration::from_secs(1);

/// The longest of these. Every quota is counted by the minute.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Estimates are taken at up to so many times what the caller says, if usage keeps being higher.
const MOST_ABOVE_ESTIMATE: u64 = 4;

/// Tokens that the first estimates are trusted with, so that one odd answer does not change all that follow.
const TRUST: u64 = 20_000;

/// What happened.
pub(super) enum Event {
    /// A call wants to go.
    Wanted(Place, Waiting),
    /// It no longer does.
    Left(Place),
    /// It went, and is over.
    Ended(Charge, Ending),
}

/// How a call that had gone is over.
pub(super) enum Ending {
    /// Nobody took the permit: nothing was sent.
    Unclaimed,
    /// The permit was dropped: nobody knows what was sent.
    Dropped,
    /// Its outcome is known.
    Settled(Report),
}

/// A call that waits.
pub(super) struct Waiting {
    /// What it is estimated to use, of tokens.
    pub estimate: u64,
    /// When it no longer wants to go.
    pub deadline: Instant,
    /// Where to tell it.
    pub told: UnboundedSender<Word>,
    /// What it was last told.
    kind: Option<Kind>,
    /// How long the first of the queue had been held up, by kind, when this wait began.
    held_before: [Duration; HOLDING],
}

impl Waiting {
    pub fn new(estimate: u64, deadline: Instant, told: UnboundedSender<Word>) -> Self {
        Self { estimate, deadline, told, kind: None, held_before: [Duration::ZERO; HOLDING] }
    }
}

/// What a call that waits is told. With it comes what held up the calls before it, if it waited for these.
pub(super) enum Word {
    /// It waits for this.
    Waits(Kind, Option<Kind>),
    /// It may go.
    Go(Charge, Option<Kind>),
    /// It cannot go in time: this holds it up until then.
    NotInTime(Kind, Instant),
    /// It can never go: a minute's quota is less than it needs.
    TooLarge(PerMinute),
    /// The limiter stopped.
    Stopped,
}

/// What a call that went was charged.
#[derive(Debug)]
pub(super) struct Charge {
    at: Instant,
    probe: bool,
    request: Option<u64>,
    tokens: Option<u64>,
    estimate: u64,
}

/// See the module.
pub(super) struct Turnstile {
    limits: Limits,
    requests: Option<Allowance>,
    tokens: Option<Allowance>,
    in_flight: u32,
    queue: BTreeMap<Place, Waiting>,
    server: Arc<Server>,
    /// No call goes before this.
    not_before: Instant,
    /// When the last rest was called for, and how many in a row without a word on their length.
    rested: Option<Instant>,
    refusals: u32,
    /// Estimates and what they turned out to be, the old ones fading.
    estimated: u64,
    used: u64,
    /// What holds up the first of the queue, since when, and for how long so far.
    holding: Option<(Kind, Instant)>,
    held: [Duration; HOLDING],
    /// Whom all wait for at least until then.
    sealed: Option<(Kind, Instant)>,
    first: Option<Place>,
}

/// Kinds that can hold up the first of the queue: all but waiting in the queue.
const HOLDING: usize = Kind::ALL.len() - 1;

impl Turnstile {
    pub fn new(limits: Limits, server: Arc<Server>, now: Instant) -> Self {
        Self {
            limits,
            requests: limits.requests.map(|quota| Allowance::new(quota, now)),
            tokens: limits.tokens.map(|quota| Allowance::new(quota, now)),
            in_flight: 0,
            queue: BTreeMap::new(),
            server,
            not_before: now,
            rested: None,
            refusals: 0,
            estimated: TRUST,
            used: TRUST,
            holding: None,
            held: [Duration::ZERO; HOLDING],
            sealed: None,
            first: None,
        }
    }

    /// One turn. Says when to be asked again, if anything will change by itself.
    pub fn turn(&mut self, events: Vec<Event>, now: Instant) -> Option<Instant> {
        self.count_holding(now);
        let mut new = Vec::new();
        for event in events {
            match event {
                Event::Wanted(place, mut waiting) => {
                    waiting.held_before = self.held;
                    self.queue.insert(place, waiting);
                    new.push(place);
                }
                Event::Left(place) => {
                    self.queue.remove(&place);
                }
                Event::Ended(charge, ending) => self.ended(&charge, ending, now),
            }
        }
        let next = self.let_go(now);
        self.tell_the_rest(&new);
        let debts = [&mut self.requests, &mut self.tokens].into_iter().flatten().filter_map(|quota| quota.pay(now));
        debts.chain(next).min()
    }

    /// Nobody goes any more.
    pub fn stop(&mut self) {
        for (_, waiting) in std::mem::take(&mut self.queue) {
            let _ = waiting.told.send(Word::Stopped);
        }
    }

    pub fn server_rests(&self, now: Instant) -> bool {
        matches!(self.server.look(now), Pass::Wait(_))
    }

    pub fn figures(&mut self, now: Instant) -> Figures {
        let held = Kind::ALL.into_iter().zip(self.held).collect();
        let used = |quota: &mut Option<Allowance>| quota.as_mut().map(|quota| (quota.used(now), quota.quota()));
        Figures {
            waiting: self.queue.len(),
            in_flight: self.in_flight,
            requests: used(&mut self.requests),
            tokens: used(&mut self.tokens),
            rests_for: self.not_before.saturating_duration_since(now),
            breaker: self.server.state(),
            held,
        }
    }

    /// Lets go whoever may go, in order.
    fn let_go(&mut self, now: Instant) -> Option<Instant> {
        loop {
            let (place, estimate, gone) = match self.queue.first_key_value() {
                Some((place, waiting)) => (*place, waiting.estimate, waiting.told.is_closed()),
                None => {
                    (self.holding, self.sealed, self.first) = (None, None, None);
                    return None;
                }
            };
            if gone {
                self.queue.remove(&place);
                continue;
            }
            let amount = match self.amount(estimate) {
                Ok(amount) => amount,
                Err(quota) => {
                    self.dismiss(place, Word::TooLarge(quota));
                    continue;
                }
            };
            match self.gates(amount, now) {
                Ok(probe) => {
                    let charge = self.charge(amount, estimate, probe, now);
                    self.in_flight += 1;
                    self.go(place, charge, now);
                }
                Err((kind, until)) => {
                    self.seal(kind, until);
                    if !self.queue.contains_key(&place) {
                        continue;
                    }
                    self.hold(place, kind, now);
                    return until.or_else(|| (kind == Kind::Breaker).then(|| now + LOOK));
                }
            }
        }
    }

    /// Whether a call of so many tokens may go, and whether it is a probe; or what holds it up, and until when.
    fn gates(&mut self, amount: u64, now: Instant) -> Result<bool, (Kind, Option<Instant>)> {
        // All are asked, so that cells are taken as they come in, whatever else holds the call up.
        let requests = self.requests.as_mut().map_or(Ok(()), |quota| quota.ready(1, now));
        let tokens = self.tokens.as_mut().map_or(Ok(()), |quota| quota.ready(amount, now));
        if self.not_before > now {
            return Err((Kind::RetryAfter, Some(self.not_before)));
        }
        if let Pass::Wait(until) = self.server.look(now) {
            return Err((Kind::Breaker, until));
        }
        if self.in_flight >= self.limits.in_flight.get() {
            return Err((Kind::InFlight, None));
        }
        requests.map_err(|until| (Kind::Requests, Some(until)))?;
        tokens.map_err(|until| (Kind::Tokens, Some(until)))?;
        // Another model of the server may have sent a probe since the look.
        self.server.begin(now).ok_or((Kind::Breaker, None))
    }

    fn charge(&mut self, amount: u64, estimate: u64, probe: bool, now: Instant) -> Charge {
        let request = self.requests.as_mut().map(|quota| quota.spend(1, now));
        let tokens = self.tokens.as_mut().map(|quota| quota.spend(amount, now));
        Charge { at: now, probe, request, tokens, estimate }
    }

    fn go(&mut self, place: Place, charge: Charge, now: Instant) {
        let Some(waiting) = self.queue.remove(&place) else { return };
        self.count_holding(now);
        let behind = self.behind(&waiting);
        if let Err(unsent) = waiting.told.send(Word::Go(charge, behind))
            && let Word::Go(charge, _) = unsent.0
        {
            self.ended(&charge, Ending::Unclaimed, now);
        }
    }

    fn dismiss(&mut self, place: Place, word: Word) {
        if let Some(waiting) = self.queue.remove(&place) {
            let _ = waiting.told.send(word);
        }
    }

    /// The first of the queue waits for something that is no other call.
    fn hold(&mut self, place: Place, kind: Kind, now: Instant) {
        self.count_holding(now);
        self.holding = Some((kind, now));
        let displaced = self.first.replace(place).filter(|before| *before != place);
        for (place, kind) in [(Some(place), kind), (displaced, Kind::Queue)] {
            let Some(mut waiting) = place.and_then(|place| self.queue.remove_entry(&place)) else { continue };
            if waiting.1.kind != Some(kind) {
                let behind = self.behind(&waiting.1);
                (waiting.1.kind, waiting.1.held_before) = (Some(kind), self.held);
                let _ = waiting.1.told.send(Word::Waits(kind, behind));
            }
            self.queue.insert(waiting.0, waiting.1);
        }
    }

    /// What holds the first up holds all up until then: who cannot wait so long is told now.
    fn seal(&mut self, kind: Kind, until: Option<Instant>) {
        let seals = matches!(kind, Kind::RetryAfter | Kind::Breaker);
        let sealed = until.filter(|_| seals).map(|until| (kind, until));
        if self.sealed == sealed {
            return;
        }
        self.sealed = sealed;
        if let Some((kind, until)) = sealed {
            for (_, late) in self.queue.extract_if(.., |_, waiting| waiting.deadline < until) {
                let _ = late.told.send(Word::NotInTime(kind, until));
            }
        }
    }

    /// Tells those that came in and did not go that they wait behind others.
    fn tell_the_rest(&mut self, new: &[Place]) {
        for place in new {
            let Some(waiting) = self.queue.get_mut(place) else { continue };
            if let Some((kind, until)) = self.sealed.filter(|(_, until)| waiting.deadline < *until) {
                self.dismiss(*place, Word::NotInTime(kind, until));
            } else if waiting.kind.is_none() {
                waiting.kind = Some(Kind::Queue);
                let _ = waiting.told.send(Word::Waits(Kind::Queue, None));
            }
        }
    }

    fn count_holding(&mut self, now: Instant) {
        if let Some((kind, since)) = self.holding {
            if let Some(held) = self.held.get_mut(kind as usize) {
                *held += now.saturating_duration_since(since);
            }
            self.holding = Some((kind, now));
        }
    }

    /// What held up the first of the queue most while this one waited behind it.
    fn behind(&self, waiting: &Waiting) -> Option<Kind> {
        waiting.kind.filter(|kind| *kind == Kind::Queue)?;
        let since = |kind: &Kind| self.held[*kind as usize].saturating_sub(waiting.held_before[*kind as usize]);
        Kind::ALL.into_iter().take(HOLDING).max_by_key(since).filter(|kind| !since(kind).is_zero())
    }

    /// What an estimate is charged as: higher where usage keeps being higher. Never lower, since what is let through
    /// too early cannot be called back, and what was charged too high is given back.
    fn amount(&self, estimate: u64) -> Result<u64, PerMinute> {
        let Some(quota) = &self.tokens else { return Ok(estimate) };
        if estimate > quota.most() {
            return Err(quota.quota());
        }
        let used = self.used.clamp(self.estimated, self.estimated.saturating_mul(MOST_ABOVE_ESTIMATE));
        let scaled = u128::from(estimate) * u128::from(used) / u128::from(self.estimated.max(1));
        Ok(u64::try_from(scaled).unwrap_or(u64::MAX).min(quota.most()))
    }

    fn learn(&mut self, estimate: u64, usage: Usage) {
        // Half of what was learned has faded after ten answers.
        let faded = |sum: u64| sum - sum / 15;
        self.estimated = faded(self.estimated).saturating_add(estimate);
        self.used = faded(self.used).saturating_add(usage.total());
    }

    fn ended(&mut self, charge: &Charge, ending: Ending, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match ending {
            Ending::Unclaimed => {
                self.server.heard(charge.probe, Sign::None, now);
                self.correct_tokens(charge, 0, now);
                if let (Some(quota), Some(number)) = (&mut self.requests, charge.request) {
                    quota.correct(number, 0, now);
                }
            }
            Ending::Dropped => self.server.heard(charge.probe, Sign::None, now),
            Ending::Settled(report) => {
                self.server.heard(charge.probe, report.failure.map_or(Sign::Alive, Failure::sign), now);
                match (report.usage, report.failure) {
                    (Some(usage), _) => {
                        self.correct_tokens(charge, usage.total(), now);
                        self.learn(charge.estimate, usage);
                    }
                    (None, Some(failure)) if !failure.may_have_used_tokens() => self.correct_tokens(charge, 0, now),
                    (None, _) => {}
                }
                self.heed(charge, report.failure, report.limits, now);
            }
        }
    }

    fn correct_tokens(&mut self, charge: &Charge, amount: u64, now: Instant) {
        if let (Some(quota), Some(number)) = (&mut self.tokens, charge.tokens) {
            quota.correct(number, amount, now);
        }
    }

    /// Does what the server says of its limits.
    fn heed(&mut self, charge: &Charge, failure: Option<Failure>, told: ServerLimits, now: Instant) {
        adopt(&mut self.requests, self.limits.requests, told.requests.limit, now);
        adopt(&mut self.tokens, self.limits.tokens, told.tokens.limit, now);
        let refused = failure == Some(Failure::TooManyRequests);
        // Calls that were under way when a rest was called for say nothing that is not known.
        let news = self.rested.is_none_or(|rested| charge.at >= rested);
        let asked = told.retry_after.filter(|_| failure.is_some()).map(|rest| rest.min(LONGEST_RETRY_AFTER));
        let spent = [told.requests, told.tokens];
        let rest = match failure {
            _ if asked.is_some() => asked,
            Some(Failure::TooManyRequests) => {
                let reset = spent.into_iter().filter_map(Told::whole_reset).max();
                let doubled = FIRST_REST * (1 << self.refusals.min(10));
                reset.or_else(|| news.then(|| doubled.min(LONGEST_REST)))
            }
            _ => spent.into_iter().filter_map(Told::share_of_reset).max(),
        };
        if refused && news {
            (self.refusals, self.rested) = (self.refusals.saturating_add(1), Some(now));
        } else if failure.is_none() && news {
            self.refusals = 0;
        }
        if let Some(rest) = rest {
            self.not_before = self.not_before.max(now + rest);
        }
    }
}

/// Keeps to the server's limit where it is lower than the declared one, or where none was declared.
///
/// A server may mean a day by its limit. Then it is higher than what a minute holds, and no harm is done.
fn adopt(quota: &mut Option<Allowance>, declared: Option<PerMinute>, told: Option<PerMinute>, now: Instant) {
    let Some(told) = told else { return };
    let limit = declared.map_or(told, |declared| declared.min(told));
    match quota {
        Some(quota) => quota.set_quota(limit, now),
        None => *quota = Some(Allowance::new(limit, now)),
    }
}
