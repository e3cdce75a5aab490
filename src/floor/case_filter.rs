//! Which cases a command is about: a small filter in words, `status=on_hold rule=ID older=2d`, all of which must hold.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::alert::Severity;
use crate::domain::case::{HoldQueue, Status};
use crate::domain::entity::HostName;
use crate::domain::ids::RuleId;
use crate::ports::desk::DeskCase;

/// A filter. It is kept and sent as its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct CaseFilter {
    text: String,
    terms: Vec<Term>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Status(Status),
    Queue(HoldQueue),
    Rule(RuleId),
    Host(HostName),
    User(String),
    Severity(Severity),
    Assignee(String),
    Older(SignedDuration),
    Newer(SignedDuration),
}

/// A text that is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    /// It says nothing.
    #[error("an empty filter would mean every case: name at least one condition, such as status=on_hold")]
    Empty,
    /// A word without `=`.
    #[error("`{0}` is no condition: write NAME=VALUE, such as status=on_hold or host=WKS-07")]
    NoCondition(String),
    /// A name that is not known.
    #[error("`{0}` is nothing to filter by: use status, queue, rule, host, user, severity, assignee, older or newer")]
    UnknownName(String),
    /// A value that does not fit its name.
    #[error("`{value}` is no {name}: {remedy}")]
    BadValue {
        /// The name.
        name: String,
        /// What was given.
        value: String,
        /// What would fit.
        remedy: &'static str,
    },
}

/// How durations are written.
const DURATIONS: &str = "give a number with m, h or d, such as 2d";

impl FromStr for CaseFilter {
    type Err = BadFilter;

    fn from_str(text: &str) -> Result<Self, BadFilter> {
        let terms: Vec<Term> = text.split_whitespace().map(term).collect::<Result<_, _>>()?;
        if terms.is_empty() {
            return Err(BadFilter::Empty);
        }
        Ok(Self { text: text.split_whitespace().collect::<Vec<_>>().join(" "), terms })
    }
}

fn term(word: &str) -> Result<Term, BadFilter> {
    let (name, value) = word.split_once('=').ok_or_else(|| BadFilter::NoCondition(word.to_owned()))?;
    let bad = |remedy| BadFilter::BadValue { name: name.to_owned(), value: value.to_owned(), remedy };
    if value.is_empty() {
        return Err(bad("something has to stand behind the ="));
    }
    let folded = value.to_lowercase().replace('-', "_");
    // The same words as in the JSON that `cases list` prints.
    let json = serde_json::Value::String(folded);
    Ok(match name {
        "status" => Term::Status(
            serde_json::from_value(json)
                .map_err(|_| bad("give new, in_progress, on_hold, resolved, closed or merged"))?,
        ),
        "queue" => {
            Term::Queue(serde_json::from_value(json).map_err(|_| bad("give needs_decision or needs_information"))?)
        }
        "severity" => Term::Severity(
            serde_json::from_value(json).map_err(|_| bad("give informational, low, medium, high or critical"))?,
        ),
        "rule" => Term::Rule(RuleId::new(value)),
        "host" => Term::Host(HostName::new(value)),
        "user" => Term::User(value.rsplit('\\').next().unwrap_or(value).to_lowercase()),
        "assignee" => Term::Assignee(value.to_owned()),
        "older" => Term::Older(duration(value).ok_or_else(|| bad(DURATIONS))?),
        "newer" => Term::Newer(duration(value).ok_or_else(|| bad(DURATIONS))?),
        _ => return Err(BadFilter::UnknownName(name.to_owned())),
    })
}

/// `30m`, `12h`, `2d`.
fn duration(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().last()?;
    let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
    let minutes = match unit {
        'm' => 1,
        'h' => 60,
        'd' => 24 * 60,
        _ => return None,
    };
    Some(SignedDuration::from_mins(i64::from(number) * minutes))
}

impl CaseFilter {
    /// The case meets every condition at this time.
    #[must_use]
    pub fn matches(&self, case: &DeskCase, now: Timestamp) -> bool {
        let state = &case.state;
        self.terms.iter().all(|term| match term {
            Term::Status(status) => state.status == *status,
            Term::Queue(queue) => state.hold.as_ref().is_some_and(|hold| hold.cause.queue() == *queue),
            Term::Rule(rule) => state.rules.contains(rule),
            Term::Host(host) => state.hosts.contains(host),
            Term::User(user) => state.accounts.iter().any(|account| account.rsplit('\\').next() == Some(user)),
            Term::Severity(severity) => state.severity == *severity,
            Term::Assignee(person) => {
                state.assignee.as_ref().is_some_and(|assignee| assignee.eq_ignore_ascii_case(person))
            }
            Term::Older(age) => now.duration_since(case.opened) > *age,
            Term::Newer(age) => now.duration_since(case.opened) <= *age,
        })
    }
}

impl fmt::Display for CaseFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<CaseFilter> for String {
    fn from(filter: CaseFilter) -> Self {
        filter.text
    }
}

impl TryFrom<String> for CaseFilter {
    type Error = BadFilter;

    fn try_from(text: String) -> Result<Self, BadFilter> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::ids::CaseId;
    use crate::fixtures::at;
    use crate::ports::desk::CaseState;

    fn case() -> DeskCase {
        let state = CaseState {
            version: 1,
            title: "t".into(),
            status: Status::OnHold,
            hold: Some(crate::domain::case::Hold::for_failure(crate::domain::case::HoldCause::ToolFailure, "x")),
            severity: Severity::High,
            hosts: vec![HostName::new("WKS-07.corp.example")],
            alerts: 1,
            first_alert: None,
            last_alert: None,
            merged_into: None,
            verdict: None,
            decided_by: None,
            proposals: vec![],
            trace: String::new(),
            roles: BTreeMap::new(),
            rules: vec![RuleId::new("r-1")],
            accounts: vec!["a.user".into()],
            persons_verdict: None,
            assignee: Some("Kim".into()),
        };
        DeskCase { id: CaseId::new(1), opened: at(0), state, comments: 0 }
    }

    #[test]
    fn every_condition_must_hold() {
        let matches = |text: &str| text.parse::<CaseFilter>().map(|filter| filter.matches(&case(), at(3 * 3_600)));
        for text in [
            "status=on_hold",
            "status=on-hold queue=needs_information rule=r-1 host=wks-07",
            "user=CORP\\A.User severity=high assignee=kim",
            "older=2h newer=3h",
        ] {
            assert_eq!(matches(text), Ok(true), "{text}");
        }
        for text in ["status=new", "status=on_hold host=wks-08", "older=3h", "newer=2h", "rule=r", "assignee=Al"] {
            assert_eq!(matches(text), Ok(false), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_remedy() {
        for (text, remedy) in [
            ("", "at least one condition"),
            ("on_hold", "NAME=VALUE"),
            ("colour=red", "use status, queue"),
            ("status=open", "in_progress"),
            ("older=2", "such as 2d"),
            ("older=-2d", "such as 2d"),
            ("older=é", "such as 2d"),
            ("host=", "behind the ="),
        ] {
            let refused = text.parse::<CaseFilter>().map_err(|error| error.to_string());
            assert!(refused.as_ref().is_err_and(|error| error.contains(remedy)), "{text}: {refused:?}");
        }
    }

    #[test]
    fn a_filter_survives_its_text() {
        let filter: CaseFilter = "status=on_hold   older=2d".parse().expect("it is read");
        assert_eq!(CaseFilter::try_from(String::from(filter.clone())), Ok(filter));
    }
}
