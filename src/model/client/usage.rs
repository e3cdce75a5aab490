//! Whether a server's count of tokens can be true. Quotas, prices and the size of the next request are built on it, so a
//! count that cannot be is as good as none.

use crate::model::answer::Usage;
use crate::model::tokens::Counted;

/// A request has at most so many times the tokens of the context that its model is said to have. Above, the server counts
/// something else than tokens.
const MOST_CONTEXTS: u64 = 3;

/// And at least this part of what was estimated. Estimates are off by less than three on every text that was tried.
const LEAST_SHARE: u64 = 10;

/// The usage, if it can be true.
pub(super) fn believed(usage: Usage, counted: Counted, context: u32) -> Option<Usage> {
    let most = u64::from(context).saturating_mul(MOST_CONTEXTS);
    let can_be =
        usage.input > 0 && usage.input >= counted.total() / LEAST_SHARE && usage.input <= most && usage.output <= most;
    // Parts are never more than the whole.
    let (cached, reasoning) = (usage.cached.min(usage.input), usage.reasoning.min(usage.output));
    can_be.then_some(Usage { cached, reasoning, ..usage })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_cannot_be_is_none() {
        let counted = Counted { known: 1_000, estimated: 500 };
        let usage = |input, output| Usage { input, output, ..Usage::default() };
        let believed = |usage| believed(usage, counted, 8_192);
        for true_one in [usage(1_500, 0), usage(700, 256), usage(8_000, 8_000)] {
            assert_eq!(believed(true_one), Some(true_one));
        }
        for lie in
            [usage(0, 0), usage(1, 1), usage(149, 1), usage(1_000_000, 1), usage(1_500, u64::MAX), usage(u64::MAX, 0)]
        {
            assert_eq!(believed(lie), None, "{lie:?}");
        }
    }

    #[test]
    fn a_part_is_never_more_than_the_whole() {
        let counted = Counted { known: 0, estimated: 100 };
        let lie = Usage { input: 100, cached: u64::MAX, output: 9, reasoning: 10 };
        let told = Usage { input: 100, cached: 100, output: 9, reasoning: 9 };
        assert_eq!(believed(lie, counted, 8_192), Some(told));
    }
}
