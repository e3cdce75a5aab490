//! Windows: times in which people said that something unusual would be done, where and by whom.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::entries::split_account;
use super::pattern::NamePattern;
use crate::domain::entity::HostName;

/// The longest window: what is announced for longer is no announcement.
const LONGEST: SignedDuration = SignedDuration::from_hours(31 * 24);

/// What a window is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// Machines are changed.
    Maintenance,
    /// Somebody attacks on purpose, with leave.
    Test,
}

impl WindowKind {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Maintenance => "maintenance window",
            Self::Test => "test window",
        }
    }
}

/// When it is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Once.
    Once {
        /// First instant.
        from: Timestamp,
        /// Last instant.
        to: Timestamp,
    },
    /// Every week, in UTC. A window that ends before it begins ends on the next day.
    Weekly {
        /// The day on which it begins.
        day: Weekdays,
        /// When it begins.
        from: Time,
        /// When it ends.
        to: Time,
    },
}

/// A day of the week as files write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weekdays {
    /// Monday.
    Monday,
    /// Tuesday.
    Tuesday,
    /// Wednesday.
    Wednesday,
    /// Thursday.
    Thursday,
    /// Friday.
    Friday,
    /// Saturday.
    Saturday,
    /// Sunday.
    Sunday,
    /// Each of them.
    Daily,
}

impl Weekdays {
    fn is(self, day: Weekday) -> bool {
        match self {
            Self::Monday => day == Weekday::Monday,
            Self::Tuesday => day == Weekday::Tuesday,
            Self::Wednesday => day == Weekday::Wednesday,
            Self::Thursday => day == Weekday::Thursday,
            Self::Friday => day == Weekday::Friday,
            Self::Saturday => day == Weekday::Saturday,
            Self::Sunday => day == Weekday::Sunday,
            Self::Daily => true,
        }
    }
}

/// A window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawWindow")]
pub struct Window {
    /// What it is called.
    pub name: String,
    /// What sort of window it is.
    pub kind: WindowKind,
    /// What will be done.
    pub purpose: String,
    /// When.
    pub when: When,
    /// On these machines; on any, if none are named.
    pub hosts: Vec<NamePattern>,
    /// With these accounts; with any, if none are named.
    pub accounts: Vec<NamePattern>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWindow {
    name: String,
    kind: WindowKind,
    purpose: String,
    from: Option<Written<Timestamp>>,
    to: Option<Written<Timestamp>>,
    weekly: Option<RawWeekly>,
    #[serde(default)]
    hosts: Vec<NamePattern>,
    #[serde(default)]
    accounts: Vec<NamePattern>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWeekly {
    day: Weekdays,
    from: Written<Time>,
    to: Written<Time>,
}

/// An instant or time of day, with or without quotation marks: a format that knows times of its own gives them as a
/// map with the text in it.
struct Written<T>(T);

impl<'de, T: FromStr> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: FromStr> Visitor<'de> for Reader<T> {
            type Value = Written<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as \"2026-03-07T22:00:00Z\", or within `weekly` one such as \"22:00\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Written<T>, E> {
                text.parse().map(Written).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written<T>, A::Error> {
                let entry: Option<(String, String)> = map.next_entry()?;
                self.visit_str(&entry.unwrap_or_default().1)
            }
        }
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

impl TryFrom<RawWindow> for Window {
    type Error = String;

    fn try_from(raw: RawWindow) -> Result<Self, String> {
        let RawWindow { name, kind, purpose, from, to, weekly, hosts, accounts } = raw;
        let [from, to] = [from, to].map(|written| written.map(|Written(at)| at));
        let weekly = weekly.map(|RawWeekly { day, from: Written(from), to: Written(to) }| (day, from, to));
        let when = match (from, to, weekly) {
            (Some(from), Some(to), None) if from < to && to.duration_since(from) <= LONGEST => When::Once { from, to },
            (Some(_), Some(_), None) => {
                return Err(format!(
                    "window `{name}` must end after it begins, and within 31 days: change `from` or `to`"
                ));
            }
            (None, None, Some((day, from, to))) if from != to => When::Weekly { day, from, to },
            (None, None, Some(_)) => {
                return Err(format!("window `{name}` begins when it ends: change `from` or `to` of `weekly`"));
            }
            _ => {
                return Err(format!(
                    "window `{name}` needs `from` and `to`, or `weekly = {{ day = \"saturday\", from = \"22:00\", to = \"04:00\" }}` in UTC, and not both"
                ));
            }
        };
        if hosts.is_empty() && accounts.is_empty() {
            return Err(format!("window `{name}` would cover everybody everywhere: name `hosts`, `accounts` or both"));
        }
        Ok(Self { name, kind, purpose, when, hosts, accounts })
    }
}

impl Window {
    /// Whether it is open at an instant.
    #[must_use]
    pub fn is_open(&self, at: Timestamp) -> bool {
        match &self.when {
            When::Once { from, to } => (*from..=*to).contains(&at),
            When::Weekly { day, from, to } => {
                let now = at.to_zoned(TimeZone::UTC).datetime();
                let began_yesterday = || {
                    let yesterday = now.date().yesterday().map(|date| date.weekday());
                    yesterday.is_ok_and(|yesterday| day.is(yesterday)) && now.time() <= *to
                };
                match from < to {
                    true => day.is(now.date().weekday()) && (*from..=*to).contains(&now.time()),
                    false => (day.is(now.date().weekday()) && now.time() >= *from) || began_yesterday(),
                }
            }
        }
    }

    /// Whether it covers what an account did on a machine. An account that is not known is covered by no window that
    /// names accounts.
    #[must_use]
    pub fn covers(&self, host: &HostName, account: Option<&str>) -> bool {
        let of_account = |pattern: &NamePattern| account.is_some_and(|name| pattern.covers(&split_account(name).1));
        (self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.covers_host(host)))
            && (self.accounts.is_empty() || self.accounts.iter().any(of_account))
    }
}
