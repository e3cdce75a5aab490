//! A call's place in the queue: high severity first, and nobody waits for ever.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::alert::Severity;

/// What one rank of severity is worth in waiting. It is the one knob between "urgent first" and "nobody starves".
///
/// A call overtakes what came before it by at most so much a rank: a critical one goes before informational ones that
/// came up to a minute earlier, and before no others. Shorter, and severity would mean nothing in a queue of ordinary
/// length, since a model's answer takes seconds; longer, and a case of low severity would hold its slot for minutes.
pub const RANK_WORTH: Duration = Duration::from_secs(15);

/// Where a call stands: by its arrival, put back by what its severity lacks. It is fixed on arrival.
///
/// That is the whole of aging: two calls keep their order for ever, so that whoever is before a call is one of those
/// that were there before it, or came within four [`RANK_WORTH`] after it with a higher severity. Nobody else is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    due: Instant,
    /// Whoever came first, among equals.
    number: u64,
}

impl Place {
    pub fn new(arrived: Instant, severity: Severity, number: u64) -> Self {
        let lacks = match severity {
            Severity::Critical => 0,
            Severity::High => 1,
            Severity::Medium => 2,
            Severity::Low => 3,
            Severity::Informational => 4,
        };
        Self { due: arrived + RANK_WORTH * lacks, number }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn severity() -> impl Strategy<Value = Severity> {
        prop::sample::select(vec![
            Severity::Informational,
            Severity::Low,
            Severity::Medium,
            Severity::High,
            Severity::Critical,
        ])
    }

    proptest! {
        #[test]
        fn a_later_call_overtakes_only_by_severity_and_only_within_its_worth(
            (first, second) in (severity(), severity()),
            later in 0_u64..120_000,
        ) {
            let now = Instant::now();
            let earlier = Place::new(now, first, 1);
            let place = Place::new(now + Duration::from_millis(later), second, 2);
            let ranks = (second as u64).saturating_sub(first as u64);
            prop_assert_eq!(place < earlier, later < ranks * 15_000);
        }
    }
}
