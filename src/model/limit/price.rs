//! What calls cost: integers all the way, and a price that nobody declared is unknown, not zero.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Tokens of one answer, as the server counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// What was sent, what the server had cached included.
    pub input: u64,
    /// How much of the input the server had cached.
    pub cached: u64,
    /// What was answered, thinking included.
    pub output: u64,
}

impl Usage {
    /// All tokens, as servers count them against their limits.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// A currency by its three letters, such as `USD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Currency([u8; 3]);

/// Why a price is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// The currency is not three letters.
    #[error("`{0}` is no currency: give its three capital letters, such as USD")]
    Currency(String),
    /// The amount is not a decimal number.
    #[error("`{0}` is no price: give a decimal number with at most six places, such as 2.50")]
    Amount(String),
}

impl TryFrom<String> for Currency {
    type Error = PriceError;

    fn try_from(text: String) -> Result<Self, PriceError> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_uppercase) => Ok(Self(letters)),
            _ => Err(PriceError::Currency(text)),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{}", char::from(*letter)))
    }
}

/// An amount as a configuration writes it: a number, or a text where somebody wants its digits kept.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a price is a number such as 2.50")]
enum Declared {
    Text(String),
    Whole(i64),
    Decimal(f64),
}

/// An amount, read.
fn declared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    // The shortest text that means the same number: the one that was written, unless it had more digits than anybody pays.
    let text = match Declared::deserialize(deserializer)? {
        Declared::Text(text) => text,
        Declared::Whole(whole) => whole.to_string(),
        Declared::Decimal(decimal) => decimal.to_string(),
    };
    Price::amount(&text).map_err(D::Error::custom)
}

fn declared_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    declared(deserializer).map(Some)
}

/// What a million tokens cost, in millionths of the currency's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// The currency.
    pub currency: Currency,
    /// A million tokens sent.
    #[serde(deserialize_with = "declared")]
    pub input: u64,
    /// A million tokens sent that the server had cached. Left out, they cost what others cost.
    #[serde(default, deserialize_with = "declared_or_none")]
    pub cached: Option<u64>,
    /// A million tokens answered.
    #[serde(deserialize_with = "declared")]
    pub output: u64,
}

impl fmt::Display for Price {
    /// `2.5 in, 0.25 cached, 10 out, in USD a million tokens`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |micros: u64| {
            let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        write!(f, "{} in, ", told(self.input))?;
        if let Some(cached) = self.cached {
            write!(f, "{} cached, ", told(cached))?;
        }
        write!(f, "{} out, in {} a million tokens", told(self.output), self.currency)
    }
}

impl Price {
    /// Reads an amount such as `2.50` into millionths.
    ///
    /// # Errors
    /// When it is no decimal number with at most six places.
    pub fn amount(text: &str) -> Result<u64, PriceError> {
        let refused = || PriceError::Amount(text.to_owned());
        let (whole, places) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || places.len() > 6 || !digits(whole) || !digits(places) || text.ends_with('.') {
            return Err(refused());
        }
        let whole = whole.parse::<u64>().map_err(|_| refused())?;
        let places = format!("{places:0<6}").parse::<u64>().map_err(|_| refused())?;
        whole.checked_mul(1_000_000).and_then(|whole| whole.checked_add(places)).ok_or_else(refused)
    }

    /// What this usage costs, rounded up once.
    #[must_use]
    pub fn cost(&self, usage: Usage) -> Cost {
        // A server that says it cached more than it was sent is taken at what it was sent.
        let cached = usage.cached.min(usage.input);
        let part = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let sum = part(usage.input - cached, self.input)
            .saturating_add(part(cached, self.cached.unwrap_or(self.input)))
            .saturating_add(part(usage.output, self.output));
        Cost { currency: self.currency, micros: u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX) }
    }
}

/// An amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// The currency.
    pub currency: Currency,
    /// Millionths of its unit.
    pub micros: u64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} {}", self.micros / 1_000_000, self.micros % 1_000_000, self.currency)
    }
}

/// What several calls cost: a sum per currency, and how many calls nobody knows the price of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spending {
    known: BTreeMap<Currency, u64>,
    unknown: u64,
}

impl Spending {
    /// Adds a call's cost; none if it is unknown: no price was declared, or the server did not count.
    pub fn add(&mut self, cost: Option<Cost>) {
        match cost {
            Some(cost) => {
                let sum = self.known.entry(cost.currency).or_default();
                *sum = sum.saturating_add(cost.micros);
            }
            None => self.unknown += 1,
        }
    }

    /// Adds what other calls cost.
    pub fn add_all(&mut self, other: &Self) {
        for cost in other.known() {
            self.add(Some(cost));
        }
        self.unknown = self.unknown.saturating_add(other.unknown);
    }

    /// The sums whose calls are known.
    pub fn known(&self) -> impl Iterator<Item = Cost> {
        self.known.iter().map(|(currency, micros)| Cost { currency: *currency, micros: *micros })
    }

    /// Calls of which nobody knows what they cost.
    #[must_use]
    pub const fn unknown(&self) -> u64 {
        self.unknown
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usd() -> Currency {
        Currency::try_from("USD".to_owned()).expect("a currency")
    }

    fn price(cached: Option<&str>) -> Price {
        let amount = |text| Price::amount(text).expect("a price");
        Price { currency: usd(), input: amount("2.50"), cached: cached.map(amount), output: amount("10") }
    }

    #[test]
    fn a_call_costs_what_its_tokens_cost() {
        let usage = Usage { input: 4_000, cached: 3_000, output: 500 };
        // 1,000 at 2.50, 3,000 at 0.25, 500 at 10, each a million.
        assert_eq!(price(Some("0.25")).cost(usage).to_string(), "0.008250 USD");
        assert_eq!(price(None).cost(usage).micros, 15_000, "without a price of their own, cached tokens cost the same");
        assert_eq!(price(None).cost(Usage { input: 1, ..Usage::default() }).micros, 3, "rounded up");
        let odd = Usage { input: 10, cached: 99, output: 0 };
        assert_eq!(price(Some("0")).cost(odd).micros, 0);
    }

    #[test]
    fn what_is_unknown_is_counted_and_not_taken_for_nothing() {
        let mut spending = Spending::default();
        spending.add(Some(Cost { currency: usd(), micros: 7 }));
        spending.add(None);
        spending.add(Some(Cost { currency: usd(), micros: 5 }));
        assert_eq!(spending.known().map(|cost| cost.micros).collect::<Vec<_>>(), [12]);
        assert_eq!(spending.unknown(), 1);
        let mut all = spending.clone();
        all.add_all(&spending);
        assert_eq!((all.known().map(|cost| cost.micros).collect::<Vec<_>>(), all.unknown()), (vec![24], 2));
    }

    #[test]
    fn a_price_is_declared_as_numbers_or_as_text() {
        let read = |text: &str| toml::from_str::<Price>(text).map_err(|error| error.message().to_owned());
        let declared = read("currency = 'USD'\ninput = 2.5\ncached = '0.25'\noutput = 10").expect("a price");
        assert_eq!(declared, price(Some("0.25")));
        assert_eq!(declared.to_string(), "2.5 in, 0.25 cached, 10 out, in USD a million tokens");
        assert_eq!(read("currency = 'USD'\ninput = 2.5\noutput = 10.0").expect("a price"), price(None));
        for (wrong, told) in [
            ("currency = 'usd'\ninput = 1\noutput = 1", "three capital letters"),
            ("currency = 'USD'\ninput = -1\noutput = 1", "`-1` is no price"),
            ("currency = 'USD'\ninput = 1e-9\noutput = 1", "is no price"),
            ("currency = 'USD'\ninput = nan\noutput = 1", "`NaN` is no price"),
            ("currency = 'USD'\ninput = true\noutput = 1", "a price is a number such as 2.50"),
            ("currency = 'USD'\ninput = 1", "missing field `output`"),
        ] {
            let refused = read(wrong).expect_err(wrong);
            assert!(refused.contains(told), "{wrong}: {refused}");
        }
    }

    #[test]
    fn amounts_are_read_without_floating_points() {
        assert_eq!(Price::amount("0.000001"), Ok(1));
        assert_eq!(Price::amount("3"), Ok(3_000_000));
        for wrong in ["", ".5", "1.", "1.0000001", "-1", "1e3", "1,5", "99999999999999999999"] {
            assert_eq!(Price::amount(wrong), Err(PriceError::Amount(wrong.into())), "{wrong}");
        }
        assert!(Currency::try_from("usd".to_owned()).is_err() && Currency::try_from("EURO".to_owned()).is_err());
    }

    proptest! {
        #[test]
        fn a_cost_never_wraps(input: u64, cached: u64, output: u64, price: u64) {
            let usage = Usage { input, cached, output };
            let prices = Price { currency: usd(), input: price, cached: Some(price), output: price };
            let exact = (u128::from(input) * u128::from(price)).saturating_add(u128::from(output) * u128::from(price));
            let exact = u64::try_from(exact.div_ceil(1_000_000)).unwrap_or(u64::MAX);
            prop_assert_eq!(prices.cost(usage).micros, exact);
        }
    }
}
