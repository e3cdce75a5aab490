//! A log's clock: how far its record times are from UTC, where somebody declared it.

use jiff::{SignedDuration, Timestamp};

/// What has to be added to a log's own record times to get UTC. Sensors that write their own UTC time do not need it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClockOffset(SignedDuration);

impl ClockOffset {
    /// The log's times are UTC, or nobody said otherwise.
    pub const NONE: Self = Self(SignedDuration::ZERO);

    /// So much has to be added.
    #[must_use]
    pub const fn new(offset: SignedDuration) -> Self {
        Self(offset)
    }

    /// The UTC time of a record; `None` outside the times that can be written.
    #[must_use]
    pub fn to_utc(self, recorded: Timestamp) -> Option<Timestamp> {
        recorded.checked_add(self.0).ok()
    }
}
