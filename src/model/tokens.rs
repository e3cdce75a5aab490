//! Counting tokens before a request is sent, on the safe side.
//!
//! What the server counted last time is known; only what is new is estimated. The estimate weighs characters by how
//! tokenizers of today cut them: words of a few letters stay whole, digits and marks stand alone, and random letters, as
//! in encoded commands, break into pairs. Whatever it gets wrong, the server's usage corrects: see [`Ruler::learn`].

use std::sync::atomic::{AtomicU32, Ordering};

use super::request::Request;

/// What a message costs besides its text: its role and the marks around it.
const EACH_MESSAGE: f64 = 8.0;

/// What a whole request costs besides its messages, the frame of the tool list included.
const EACH_REQUEST: f64 = 64.0;

/// What every request may differ by in ways that nobody sees from here: a few marks.
const FEW: f64 = 24.0;

/// Estimates are this much larger than what is most likely: a request that turns out too large is refused by the server.
const MARGIN: f64 = 1.1;

/// Estimates are never corrected below this share: a long run of plain words should not make encoded text look short.
const LOWEST_FACTOR: f64 = 0.8;

/// And never above this one: a server that counts in another way should not stop the floor.
const HIGHEST_FACTOR: f64 = 3.0;

/// The factor is kept in thousandths.
const THOUSAND: f64 = 1000.0;

/// Estimates tokens, corrected by what the server counted. One per model.
#[derive(Debug)]
pub struct Ruler {
    factor: AtomicU32,
}

impl Default for Ruler {
    fn default() -> Self {
        Self { factor: AtomicU32::new(1000) }
    }
}

/// How many tokens a request has, and how many of them are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Counted by the server, in an earlier request.
    pub known: u64,
    /// Estimated.
    pub estimated: u64,
}

impl Counted {
    /// All of them.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.known.saturating_add(self.estimated)
    }
}

impl Ruler {
    /// How many tokens a request has.
    #[must_use]
    pub fn count(&self, request: &Request<'_>) -> Counted {
        let (known, new) = match request.measured {
            Some(measured) => (measured.tokens, &request.messages[measured.messages.min(request.messages.len())..]),
            None => (0, &request.messages[..]),
        };
        let messages: f64 =
            new.iter().map(|message| EACH_MESSAGE + message.texts().into_iter().map(weight).sum::<f64>()).sum();
        let frame = if request.measured.is_some() { 0.0 } else { EACH_REQUEST + tools(request) };
        Counted { known, estimated: whole(((messages + frame) * self.factor()).mul_add(MARGIN, FEW)) }
    }

    /// Corrects coming estimates by what the server counted: at once upwards, slowly downwards.
    pub fn learn(&self, counted: Counted, actual: u64) {
        let (estimated, actual) = (counted.estimated, actual.saturating_sub(counted.known));
        // Of little text, most is frame.
        if estimated < 200 || actual == 0 {
            return;
        }
        let before = self.factor();
        let right = (before * ratio(actual, estimated) * MARGIN).clamp(LOWEST_FACTOR, HIGHEST_FACTOR);
        let after = if right > before { right } else { before.mul_add(0.9, right * 0.1) };
        self.factor.store(u32::try_from(whole(after * THOUSAND)).unwrap_or(1000), Ordering::Relaxed);
    }

    fn factor(&self) -> f64 {
        f64::from(self.factor.load(Ordering::Relaxed)) / THOUSAND
    }
}

fn tools(request: &Request<'_>) -> f64 {
    let each = request.tools.iter().map(|tool| {
        let function = &tool.function;
        EACH_MESSAGE + weight(function.name) + weight(function.description) + weight(function.parameters.get())
    });
    each.sum()
}

/// About how many tokens a text has.
#[must_use]
pub fn estimate(text: &str) -> u64 {
    whole(weight(text))
}

/// Tokens of a text, piece by piece.
fn weight(text: &str) -> f64 {
    let mut tokens = 0.0;
    let mut letters = 0_u32;
    let mut capitals = 0_u32;
    for c in text.chars() {
        if c.is_ascii_alphabetic() {
            letters += 1;
            // A capital within a word begins another piece.
            capitals += u32::from(c.is_ascii_uppercase() && letters > 1);
            continue;
        }
        tokens += word(letters, capitals);
        (letters, capitals) = (0, 0);
        tokens += match c {
            // A space belongs to the word behind it.
            ' ' => 0.1,
            '\n' | '\t' => 0.6,
            _ if c.is_ascii_digit() => 1.0,
            _ if c.is_ascii() => 0.8,
            // Letters of other alphabets are a token at most; what is outside of them may be its bytes.
            _ if c.is_alphabetic() => 1.0,
            _ => 2.0,
        };
    }
    tokens + word(letters, capitals)
}

/// Tokens of a run of letters.
fn word(letters: u32, capitals: u32) -> f64 {
    match letters {
        0 => 0.0,
        1..=6 => f64::from(capitals).mul_add(0.5, 1.0),
        // Nothing in a language is that long; encoded text is.
        31.. => f64::from(letters) * 0.65,
        _ => f64::from(letters).mul_add(0.25, f64::from(capitals) * 0.4),
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sums of positive weights, far from u64's end"
)]
const fn whole(tokens: f64) -> u64 {
    tokens.ceil() as u64
}

#[allow(clippy::cast_precision_loss, reason = "token counts are far from f64's limits")]
const fn ratio(actual: u64, estimated: u64) -> f64 {
    actual as f64 / estimated as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_fewer_tokens_than_digits_and_encoded_text() {
        let words = "the process was started by the service host and wrote a file";
        assert!((11..=18).contains(&estimate(words)), "{}", estimate(words));
        assert_eq!(estimate("4919203918"), 10);
        let encoded = "SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoAZQBjAHQAIABOAGUAdAAuAFcAZQBiAEMAbABpAGUAbgB0ACkA";
        assert!(estimate(encoded) >= encoded.len() as u64 / 2, "{}", estimate(encoded));
        assert_eq!(estimate(""), 0);
    }

    #[test]
    fn what_the_server_counts_corrects_what_is_estimated() {
        let ruler = Ruler::default();
        let counted = Counted { known: 1000, estimated: 1000 };
        ruler.learn(counted, 2500);
        assert!((ruler.factor() - 1.65).abs() < 0.01, "upwards at once: {}", ruler.factor());
        ruler.learn(Counted { known: 0, estimated: 1500 }, 1000);
        assert!((1.55..1.65).contains(&ruler.factor()), "slowly downwards: {}", ruler.factor());
        for _ in 0..200 {
            ruler.learn(Counted { known: 0, estimated: 1000 }, 1);
        }
        assert!(ruler.factor() >= LOWEST_FACTOR);
        ruler.learn(Counted { known: 0, estimated: 1000 }, 1_000_000);
        assert!(ruler.factor() <= HIGHEST_FACTOR);
    }
}
