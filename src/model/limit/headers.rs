//! What a server says of its limits in an answer's headers: how long to rest, what the limit is, what is left of it.
//!
//! Nothing of it is trusted to be sensible: an absurd rest is bounded, a date is read against the server's own `Date`,
//! and what is not understood is not there.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::quota::PerMinute;

/// The longest rest by `Retry-After`. After it the server is asked again: one that says "in a day" is mistaken more often
/// than right, and asking once in five minutes harms nobody.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The longest rest by `…-reset`. What is counted by the minute is whole again after one.
pub const LONGEST_RESET: Duration = Duration::from_secs(60);

/// What one answer's headers say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServerLimits {
    /// How long the server asks to rest, unbounded as it was said.
    pub retry_after: Option<Duration>,
    /// Of requests.
    pub requests: Told,
    /// Of tokens.
    pub tokens: Told,
}

/// What is said of one limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// The limit.
    pub limit: Option<PerMinute>,
    /// What is left of it.
    pub remaining: Option<u64>,
    /// How long until it is whole again.
    pub reset: Option<Duration>,
}

impl ServerLimits {
    /// Reads the headers, asked for by their names in lower case. `now` is our own time, used for dates only where the
    /// server does not say what time it has.
    #[must_use]
    pub fn read<'h>(header: impl Fn(&str) -> Option<&'h str>, now: Timestamp) -> Self {
        let server_time = header("date").and_then(|date| httpdate::parse_http_date(date.trim()).ok());
        let now = server_time.unwrap_or_else(|| SystemTime::from(now));
        let told = |what: &str| {
            let openai = |part: &str| header(&format!("x-ratelimit-{part}-{what}"));
            let anthropic = |part: &str| header(&format!("anthropic-ratelimit-{what}-{part}"));
            let either = |part: &str| openai(part).or_else(|| anthropic(part));
            Told {
                limit: either("limit").and_then(|text| text.trim().parse().ok()).and_then(PerMinute::new),
                remaining: either("remaining").and_then(|text| text.trim().parse().ok()),
                reset: either("reset").and_then(|text| rest(text, now)),
            }
        };
        let millis = header("retry-after-ms").and_then(|text| seconds(text.trim())).map(|rest| rest / 1_000);
        Self {
            retry_after: millis.or_else(|| header("retry-after").and_then(|text| rest(text, now))),
            requests: told("requests"),
            tokens: told("tokens"),
        }
    }
}

impl Told {
    /// How long to rest after an answer that says that nothing is left.
    ///
    /// `reset` is the time until all of it is back. Where that comes back bit by bit, the first bit is back after its
    /// share; where it comes back all at once, the next call is refused, and that is told with a rest of its own.
    pub(super) fn share_of_reset(self) -> Option<Duration> {
        let rest = self.reset.filter(|_| self.remaining == Some(0))?.min(LONGEST_RESET);
        Some(self.limit.map_or(rest, |limit| rest / limit.get()))
    }

    /// How long to rest after a refusal that says that nothing is left.
    pub(super) fn whole_reset(self) -> Option<Duration> {
        self.reset.filter(|_| self.remaining == Some(0)).map(|rest| rest.min(LONGEST_RESET))
    }
}

/// A rest as seconds, as a duration like `6m0s`, or as a date.
fn rest(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let until = |date: SystemTime| date.duration_since(now).unwrap_or(Duration::ZERO);
    seconds(text)
        .or_else(|| units(text))
        .or_else(|| httpdate::parse_http_date(text).ok().map(until))
        .or_else(|| text.parse::<Timestamp>().ok().map(|date| until(SystemTime::from(date))))
}

/// `20` or `0.5`. A negative one is none.
fn seconds(text: &str) -> Option<Duration> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !plain {
        return None;
    }
    // More than can be told is "very long", which is bounded like everything long.
    let seconds = text.parse::<f64>().ok()?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// `6m0s`, `1h2m3.5s`, `120ms`.
fn units(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let worth = match unit {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * worth).unwrap_or(Duration::MAX);
        sum = sum.saturating_add(part);
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn read(headers: &[(&str, &'static str)], now: &str) -> ServerLimits {
        let headers: HashMap<_, _> = headers.iter().copied().collect();
        ServerLimits::read(|name| headers.get(name).copied(), now.parse().expect("a time"))
    }

    const NOW: &str = "2031-05-06T10:00:00Z";

    fn retry_after(text: &'static str) -> Option<Duration> {
        read(&[("retry-after", text)], NOW).retry_after
    }

    #[test]
    fn a_rest_is_read_in_seconds_and_as_a_date_in_all_its_forms() {
        let ten = Some(Duration::from_secs(10));
        assert_eq!(retry_after("10"), ten);
        assert_eq!(retry_after(" 0.5 "), Some(Duration::from_millis(500)));
        assert_eq!(retry_after("Tue, 06 May 2031 10:00:10 GMT"), ten);
        assert_eq!(retry_after("Tuesday, 06-May-31 10:00:10 GMT"), ten);
        assert_eq!(retry_after("Tue May  6 10:00:10 2031"), ten);
        assert_eq!(retry_after("Tue, 06 May 2031 09:00:00 GMT"), Some(Duration::ZERO), "a date that is over");
        assert_eq!(
            read(&[("retry-after-ms", "1500"), ("retry-after", "2")], NOW).retry_after,
            Some(Duration::from_millis(1_500))
        );
        for nonsense in ["", "soon", "-5", "1e9", "NaN", "5 s", ".", "1.2.3"] {
            assert_eq!(retry_after(nonsense), None, "{nonsense}");
        }
        assert!(retry_after("99999999999999999999999").is_some_and(|rest| rest > LONGEST_RETRY_AFTER));
    }

    #[test]
    fn a_clock_that_is_wrong_changes_nothing_where_the_server_tells_its_own_time() {
        let headers = [("retry-after", "Tue, 06 May 2031 10:00:10 GMT"), ("date", "Tue, 06 May 2031 09:59:55 GMT")];
        for ours in ["2031-05-06T10:00:00Z", "1999-01-01T00:00:00Z", "2040-01-01T00:00:00Z"] {
            assert_eq!(read(&headers, ours).retry_after, Some(Duration::from_secs(15)), "{ours}");
        }
    }

    #[test]
    fn limits_are_read_as_the_two_big_providers_write_them() {
        let openai = read(
            &[
                ("x-ratelimit-limit-requests", "600"),
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "120ms"),
                ("x-ratelimit-limit-tokens", "90000"),
                ("x-ratelimit-remaining-tokens", "89000"),
                ("x-ratelimit-reset-tokens", "6m0s"),
            ],
            NOW,
        );
        assert_eq!(openai.requests.limit, PerMinute::new(600));
        assert_eq!((openai.requests.remaining, openai.requests.reset), (Some(0), Some(Duration::from_millis(120))));
        assert_eq!((openai.tokens.remaining, openai.tokens.reset), (Some(89_000), Some(Duration::from_secs(360))));
        let anthropic = read(
            &[
                ("anthropic-ratelimit-requests-limit", "50"),
                ("anthropic-ratelimit-tokens-remaining", "0"),
                ("anthropic-ratelimit-tokens-reset", "2031-05-06T10:00:07Z"),
            ],
            NOW,
        );
        assert_eq!(anthropic.requests.limit, PerMinute::new(50));
        assert_eq!((anthropic.tokens.remaining, anthropic.tokens.reset), (Some(0), Some(Duration::from_secs(7))));
        assert_eq!(read(&[], NOW), ServerLimits::default());
    }

    #[test]
    fn durations_are_read_in_every_unit() {
        for (text, millis) in [
            ("1s", 1_000),
            ("6m0s", 360_000),
            ("120ms", 120),
            ("1h2m3.5s", 3_723_500),
            ("8.64s", 8_640),
            ("1d", 86_400_000),
        ] {
            assert_eq!(units(text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(units("5"), None);
        assert_eq!(units("5x"), None);
        assert_eq!(units("s5"), None);
    }

    #[test]
    fn what_is_left_decides_what_a_reset_means() {
        let told = Told { limit: PerMinute::new(600), remaining: Some(0), reset: Some(Duration::from_secs(600)) };
        assert_eq!(told.whole_reset(), Some(LONGEST_RESET));
        assert_eq!(told.share_of_reset(), Some(Duration::from_millis(100)));
        let some_left = Told { remaining: Some(1), ..told };
        assert_eq!((some_left.whole_reset(), some_left.share_of_reset()), (None, None));
    }

    proptest! {
        #[test]
        fn nothing_a_server_says_breaks_the_reader(text in ".{0,40}", odd in "[0-9.dhmsun:TZ+ -]{0,24}") {
            for text in [&text, &odd] {
                let _ = ServerLimits::read(|_| Some(text.as_str()), Timestamp::UNIX_EPOCH);
            }
        }
    }
}
