//! Times as records write them, and the bounds within which a time is one.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

/// Event logs of this form began with Windows Vista; 1990 and 2100 leave room for clocks that are off by years.
const EARLIEST: Timestamp = Timestamp::constant(631_152_000, 0);
const LATEST: Timestamp = Timestamp::constant(4_102_444_800, 0);

/// Numbers below are seconds since 1970 (until the year 5138), above they are milliseconds (since 1973).
const SECONDS_END: i64 = 100_000_000_000;

/// A time in any of the forms that occur, read as UTC where it names no zone: ISO 8601 with up to nine digits and
/// with or without zone, `2026-03-02 08:00:01.250`, `3/2/2026 8:00:01 AM`, seconds or milliseconds since 1970 as a
/// number, and `/Date(1772438401250)/`, which is how Windows PowerShell puts a time into JSON.
pub(super) fn parse(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => of_text(text.trim()),
        #[expect(clippy::cast_possible_truncation, reason = "a float that does not fit is outside the bounds anyway")]
        Value::Number(number) => of_number(number.as_i64().or_else(|| number.as_f64().map(|float| float as i64))?),
        _ => None,
    }
}

/// The time, unless no Windows log can have it: a broken clock or a forgery, with which arithmetic would be worth
/// nothing.
pub(super) fn plausible(time: Timestamp) -> Option<Timestamp> {
    (EARLIEST..=LATEST).contains(&time).then_some(time)
}

fn of_text(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let civil = text.parse::<DateTime>().or_else(|_| DateTime::strptime("%m/%d/%Y %I:%M:%S %p", text));
    if let Ok(civil) = civil {
        return civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    }
    let number = text.strip_prefix("/Date(").and_then(|rest| rest.strip_suffix(")/")).unwrap_or(text);
    of_number(number.parse().ok()?)
}

fn of_number(number: i64) -> Option<Timestamp> {
    if number.abs() < SECONDS_END {
        Timestamp::from_second(number).ok()
    } else {
        Timestamp::from_millisecond(number).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_of_one_moment_is_that_moment() {
        let moment: Timestamp = "2026-03-02T08:00:01.25Z".parse().expect("a time");
        for form in [
            json!("2026-03-02T08:00:01.250Z"),
            json!("2026-03-02T08:00:01.2500000Z"),
            json!("2026-03-02T10:00:01.25+02:00"),
            json!("2026-03-02 08:00:01.250"),
            json!(" 2026-03-02 08:00:01.250"),
            json!("2026-03-02T08:00:01.250"),
            json!(1_772_438_401_250_i64),
            json!(1_772_438_401_250.0),
            json!("1772438401250"),
            json!("/Date(1772438401250)/"),
        ] {
            assert_eq!(parse(&form), Some(moment), "{form}");
        }
        let second: Timestamp = "2026-03-02T20:00:01Z".parse().expect("a time");
        assert_eq!(parse(&json!("3/2/2026 8:00:01 PM")), Some(second));
        assert_eq!(parse(&json!(1_772_481_601)), Some(second));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for form in [json!("yesterday"), json!(""), json!(null), json!(true), json!([1]), json!("/Date(x)/")] {
            assert_eq!(parse(&form), None, "{form}");
        }
    }

    #[test]
    fn times_no_log_can_have_are_refused() {
        for (text, stands) in [("1601-01-01T00:00:00Z", false), ("1995-01-01T00:00:00Z", true)] {
            assert_eq!(plausible(text.parse().expect("a time")).is_some(), stands, "{text}");
        }
        assert_eq!(parse(&json!(i64::MAX)).and_then(plausible), None);
        assert_eq!(parse(&json!(1e300)).and_then(plausible), None);
    }
}
