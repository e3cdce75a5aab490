//! Settling: when a case of a running floor may be judged, since sources that never end never say that they are done.
//!
//! A batch import says [`caught_up`](super::ingest::caught_up), and every case is judged on all of it. A floor that
//! keeps running decides case by case instead. A case is settled when it has gained no alert for a while and no
//! source has delivered anything for as long: what belongs to it has then most likely arrived. A source that is
//! never quiet must not keep cases waiting, so a case is settled at the latest a few seconds after its first alert.
//! To judge too early costs work and no verdict: an alert that joins later begins a new attempt or reopens the case.
//!
//! The instants are kept in memory alone. After a restart a case that was waiting waits once more; that it is
//! settled is an entry of its journal (`ready`).

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::ids::CaseId;

/// After so long a running floor looks again at the cases on hold, if more has arrived since: what
/// would show the end of a program, and that its sensors lived on, has come by then for all but long runs. Sooner would
/// be work for nothing, later would leave a person with what answers itself.
pub const LOOK_AGAIN: Duration = Duration::from_secs(15 * 60);

/// The rule by which cases settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settle {
    /// For so long neither the case gained an alert nor a source delivered anything.
    pub quiet: Duration,
    /// So long after its first alert a case is settled, whatever still comes.
    pub longest: Duration,
}

impl Settle {
    /// A case is settled as soon as it is there: whoever delivers decides when that is.
    pub const AT_ONCE: Self = Self { quiet: Duration::ZERO, longest: Duration::ZERO };
}

impl Default for Settle {
    /// Half a second of quiet: forwarders send several times a second while they have something. Five seconds at
    /// most: longer than a process chain's events take to arrive, short against the minutes a person needs.
    fn default() -> Self {
        Self { quiet: Duration::from_millis(500), longest: Duration::from_secs(5) }
    }
}

/// The cases that wait to be settled.
#[derive(Debug, Default)]
pub struct Settling {
    waiting: BTreeMap<CaseId, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    touched: Instant,
}

impl Settling {
    /// The case gained an alert.
    pub fn touched(&mut self, case: CaseId, now: Instant) {
        self.waiting.entry(case).or_insert(Waiting { since: now, touched: now }).touched = now;
    }

    /// The cases that are settled, when sources delivered last at `delivered`.
    #[must_use]
    pub fn settled(&self, rule: Settle, delivered: Option<Instant>, now: Instant) -> Vec<CaseId> {
        let is_quiet_since = |instant: Instant| now.duration_since(instant) >= rule.quiet;
        let is_settled = |waiting: &Waiting| {
            let quiet = is_quiet_since(waiting.touched) && delivered.is_none_or(is_quiet_since);
            quiet || now.duration_since(waiting.since) >= rule.longest
        };
        self.waiting.iter().filter(|(_, waiting)| is_settled(waiting)).map(|(case, _)| *case).collect()
    }

    /// How many cases wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The case waits no longer.
    pub fn released(&mut self, case: CaseId) {
        self.waiting.remove(&case);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: Settle = Settle { quiet: Duration::from_millis(500), longest: Duration::from_secs(5) };
    const CASE: CaseId = CaseId::new(1);

    fn after(begin: Instant, milliseconds: u64) -> Instant {
        begin + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_case_settles_once_it_and_its_sources_are_quiet() {
        let begin = Instant::now();
        let mut settling = Settling::default();
        settling.touched(CASE, begin);
        settling.touched(CASE, after(begin, 300));
        assert!(settling.settled(RULE, None, after(begin, 799)).is_empty());
        assert_eq!(settling.settled(RULE, None, after(begin, 800)), [CASE]);
        let delivered = Some(after(begin, 700));
        assert!(settling.settled(RULE, delivered, after(begin, 1_199)).is_empty());
        assert_eq!(settling.settled(RULE, delivered, after(begin, 1_200)), [CASE]);
        settling.released(CASE);
        assert!(settling.settled(RULE, None, after(begin, 9_000)).is_empty());
    }

    #[test]
    fn cases_do_not_wait_for_one_another() {
        let begin = Instant::now();
        let mut settling = Settling::default();
        settling.touched(CASE, begin);
        settling.touched(CaseId::new(2), after(begin, 900));
        assert_eq!(settling.settled(RULE, Some(begin), after(begin, 1_000)), [CASE]);
    }

    proptest! {
        #[test]
        fn no_source_and_no_alert_keeps_a_case_from_settling_in_time(
            touches in prop::collection::vec(0_u64..5_000, 0..40),
            delivered in 0_u64..5_000,
        ) {
            let begin = Instant::now();
            let mut settling = Settling::default();
            settling.touched(CASE, begin);
            let mut touches = touches;
            touches.sort_unstable();
            for touch in touches {
                settling.touched(CASE, after(begin, touch));
            }
            let settled = settling.settled(RULE, Some(after(begin, delivered)), after(begin, 5_000));
            prop_assert_eq!(settled, vec![CASE]);
        }
    }
}
