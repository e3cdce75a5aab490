//! What a model may be asked, as its operator declares it.

use std::num::NonZeroU32;

use serde::Deserialize;

/// How many a minute, 1 to 60,000,000. Above that a limit is none: it would be more than one a microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "u32")]
pub struct PerMinute(NonZeroU32);

impl PerMinute {
    const MOST: u32 = 60_000_000;

    /// So many a minute; none if it is no possible limit.
    #[must_use]
    pub fn new(count: u32) -> Option<Self> {
        NonZeroU32::new(count).filter(|count| count.get() <= Self::MOST).map(Self)
    }

    pub(super) const fn cells(self) -> NonZeroU32 {
        self.0
    }

    /// How many.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl TryFrom<u32> for PerMinute {
    type Error = String;

    fn try_from(count: u32) -> Result<Self, String> {
        let refused = || format!("a limit of {count} a minute is none: give 1 to {}, or leave it out", Self::MOST);
        Self::new(count).ok_or_else(refused)
    }
}

/// How many calls may be under way at a time: at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "u32")]
pub struct InFlight(NonZeroU32);

impl InFlight {
    /// So many; none if it is zero.
    #[must_use]
    pub fn new(count: u32) -> Option<Self> {
        NonZeroU32::new(count).map(Self)
    }

    /// How many.
    #[must_use]
    pub const fn get(self) -> NonZeroU32 {
        self.0
    }
}

impl Default for InFlight {
    /// Four: as many as a llama.cpp server has slots if nobody says, and far below what any paid service allows.
    fn default() -> Self {
        const FOUR: NonZeroU32 = NonZeroU32::MIN.saturating_add(3);
        Self(FOUR)
    }
}

impl TryFrom<u32> for InFlight {
    type Error = &'static str;

    fn try_from(count: u32) -> Result<Self, Self::Error> {
        Self::new(count)
            .ok_or("with no calls in flight the model would never be asked: give 1 or more, or leave it out")
    }
}

/// What one model may be asked. What is left out is not limited by us; the server's own word still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests a minute.
    pub requests: Option<PerMinute>,
    /// Tokens a minute, in and out together, as servers count them.
    pub tokens: Option<PerMinute>,
    /// Calls under way at a time. A local server answers no faster than it has slots.
    pub in_flight: NonZeroU32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_limit_is_refused_with_a_remedy() {
        assert_eq!(PerMinute::new(0), None);
        assert_eq!(PerMinute::new(60_000_001), None);
        assert_eq!(PerMinute::new(600).map(PerMinute::get), Some(600));
        let refused = PerMinute::try_from(0).expect_err("zero is no limit");
        assert!(refused.contains("leave it out"), "{refused}");
        assert!(InFlight::try_from(0).is_err_and(|refused| refused.contains("give 1 or more")));
        assert_eq!(InFlight::default().get().get(), 4);
    }
}
