//! How long to wait before another attempt: what the server's headers say, and otherwise longer each time.

use std::time::{Duration, SystemTime};

use crate::model::gate::Headers;

/// The first wait where a server says nothing.
const FIRST: Duration = Duration::from_millis(400);

/// The longest such wait.
const LONGEST: Duration = Duration::from_secs(8);

/// More than this is no wait but a mistake, as a date of next year.
const ABSURD: Duration = Duration::from_secs(24 * 60 * 60);

/// When the server wants to be asked again: in milliseconds, seconds or as a date.
pub(super) fn retry_after(headers: &Headers, now: SystemTime) -> Option<Duration> {
    let millis = headers.get("retry-after-ms").and_then(|text| text.parse().ok()).map(Duration::from_millis);
    let other = || {
        let text = headers.get("retry-after")?;
        if let Ok(seconds) = text.parse::<f64>() {
            return Duration::try_from_secs_f64(seconds).ok();
        }
        // A date that has passed means now.
        httpdate::parse_http_date(text).ok().map(|date| date.duration_since(now).unwrap_or_default())
    };
    millis.or_else(other).map(|wait| wait.min(ABSURD))
}

/// The wait before an attempt, counted from 1 for the first repetition. Half of it is chance, so that many that failed
/// together do not come again together.
pub(super) fn backoff(repetition: u32) -> Duration {
    let whole = FIRST.saturating_mul(1 << repetition.clamp(1, 16).saturating_sub(1)).min(LONGEST);
    whole.mul_f64(fastrand::f64().mul_add(0.5, 0.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> Headers {
        let parsed = pairs.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        Headers::new(parsed.collect())
    }

    #[test]
    fn a_server_may_say_when_in_three_ways() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let wait = |pairs: &[(&'static str, &str)]| retry_after(&headers(pairs), now);
        assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[("retry-after", "0.5")]), Some(Duration::from_millis(500)));
        assert_eq!(wait(&[("retry-after-ms", "20"), ("retry-after", "7")]), Some(Duration::from_millis(20)));
        let date = httpdate::fmt_http_date(now + Duration::from_secs(90));
        assert_eq!(wait(&[("retry-after", &date)]), Some(Duration::from_secs(90)));
        assert_eq!(wait(&[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")]), Some(Duration::ZERO));
        assert_eq!(wait(&[("retry-after", "99999999")]), Some(ABSURD));
        assert_eq!(wait(&[("retry-after", "-1")]), None);
        assert_eq!(wait(&[("retry-after", "soon")]), None);
    }

    #[test]
    fn waits_grow_and_end() {
        for repetition in 1..40 {
            let wait = backoff(repetition);
            assert!(wait >= FIRST / 2 && wait <= LONGEST, "{repetition}: {wait:?}");
        }
        assert!(backoff(4) > FIRST);
    }
}
