//! Chance that can be repeated: the same words give the same numbers, on every machine and in every version.

use sha2::{Digest, Sha256};

/// The first eight bytes of the words' SHA-256.
pub fn number_of(words: &str) -> u64 {
    let digest = Sha256::digest(words.as_bytes());
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Lower-case hexadecimal digits of the words' SHA-256.
pub fn digits_of(words: &str) -> String {
    Sha256::digest(words.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A row of numbers (splitmix64).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// From words, so that what happens on one host on one day does not depend on what was made before it.
    pub fn of(words: &str) -> Self {
        Self(number_of(words))
    }

    /// The next number below `limit`, which is not 0.
    pub const fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    /// Milliseconds between two numbers of minutes.
    pub const fn minutes(&mut self, from: i64, to: i64) -> i64 {
        let span = (to - from) * 60_000;
        // Spans are hours at most.
        from * 60_000 + self.below(span.unsigned_abs()) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_give_the_same_numbers() {
        let row = |words| {
            let mut dice = Dice::of(words);
            [(); 4].map(|()| dice.below(1_000))
        };
        assert_eq!(row("seven"), row("seven"));
        assert_ne!(row("seven"), row("eight"));
        assert_eq!(format!("{:016x}", number_of("a")), digits_of("a")[..16]);
    }
}
