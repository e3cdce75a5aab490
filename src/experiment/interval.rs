//! Wilson's interval: how far a share that was counted may lie from the true one.
//!
//! Of few cases even "none" says little: 0 of 45 leaves up to 7.9 % open. The interval stays within 0 and 1 and is
//! never empty, which the usual one is for 0 and for all.

use std::fmt;

/// The 97.5 % point of the normal distribution: two-sided 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// How many had it.
    pub count: u64,
    /// Of how many.
    pub of: u64,
}

impl Share {
    /// `count` of `of`; more than all are all.
    #[must_use]
    pub fn new(count: u64, of: u64) -> Self {
        Self { count: count.min(of), of }
    }

    /// Where the true share lies with 95 % confidence, by Wilson; `None` of nothing.
    #[must_use]
    pub fn interval(self) -> Option<(f64, f64)> {
        if self.of == 0 {
            return None;
        }
        let n = self.of as f64;
        let p = self.count as f64 / n;
        let scale = 1.0 + Z * Z / n;
        let centre = (p + Z * Z / (2.0 * n)) / scale;
        let half = Z / scale * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        // At the ends it is exact; what arithmetic leaves over there is no information.
        let low = if self.count == 0 { 0.0 } else { (centre - half).max(0.0) };
        let high = if self.count == self.of { 1.0 } else { (centre + half).min(1.0) };
        Some((low, high))
    }

    /// The share with what it is of: `0 of 45 attacks, ≤ 7.9 %`.
    #[must_use]
    pub fn told(self, what: &str) -> String {
        let Self { count, of } = self;
        let what = if what.is_empty() { String::new() } else { format!(" {what}") };
        let Some((low, high)) = self.interval() else { return format!("{count} of {of}{what}") };
        let (low, high) = (low * 100.0, high * 100.0);
        if count == 0 {
            format!("0 of {of}{what}, ≤ {high:.1} %")
        } else if count == of {
            format!("{count} of {of}{what}, ≥ {low:.1} %")
        } else {
            format!("{count} of {of}{what}: {:.1} % ({low:.1}–{high:.1} %)", count as f64 / of as f64 * 100.0)
        }
    }
}

/// `0 of 45, ≤ 7.9 %`, `45 of 45, ≥ 92.1 %`, `30 of 45: 66.7 % (52.1–78.6 %)`, `0 of 0`.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.told(""))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        assert_eq!(Share::new(0, 45).to_string(), "0 of 45, ≤ 7.9 %");
        assert_eq!(Share::new(45, 45).to_string(), "45 of 45, ≥ 92.1 %");
        // Worked out by hand: z = 1.96, n = 10, p = 0.5.
        assert_eq!(Share::new(5, 10).to_string(), "5 of 10: 50.0 % (23.7–76.3 %)");
        assert_eq!(Share::new(0, 0).to_string(), "0 of 0");
        assert_eq!(Share::new(0, 45).told("attacks"), "0 of 45 attacks, ≤ 7.9 %");
    }

    proptest! {
        #[test]
        fn the_share_lies_within_its_interval(of in 1_u64..5_000, part in 0.0_f64..=1.0) {
            let count = (of as f64 * part) as u64;
            let (low, high) = Share::new(count, of).interval().expect("it is of something");
            let share = count as f64 / of as f64;
            prop_assert!(0.0 <= low && low <= share && share <= high && high <= 1.0 && low < high);
        }
    }
}
