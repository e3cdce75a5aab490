//! Cases as text, in words that the list of all and the thread of one share.

use serde_json::Value;

use crate::domain::taint;
use crate::ports::desk::DeskCase;

mod list;
mod thread;
mod wrap;

pub use list::list;
pub use thread::{Detail, thread};
pub use wrap::wrapped;

/// `on hold: needs a decision`, `resolved`, `merged into WF-1`.
#[must_use]
pub fn status(case: &DeskCase) -> String {
    match (&case.state.hold, case.state.merged_into) {
        (Some(hold), _) => format!("{}: {}", case.state.status, hold.cause.queue()),
        (None, Some(into)) => format!("merged into {into}"),
        (None, None) => case.state.status.to_string(),
    }
}

/// A text of the verdict; empty if it has none of that name.
#[must_use]
pub fn text<'v>(verdict: &'v Value, name: &str) -> &'v str {
    verdict.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// `true positive (97 %)`, or a dash before there is a verdict.
#[must_use]
pub fn judged(case: &DeskCase) -> String {
    let Some(verdict) = &case.state.verdict else { return "–".into() };
    let percent = verdict.get("malicious_probability").and_then(Value::as_f64).unwrap_or_default() * 100.0;
    format!("{} ({percent:.0} %)", text(verdict, "classification").replace('_', " "))
}

/// What it is about: the verdict's headline, or before there is one the loudest alert.
#[must_use]
pub fn about(case: &DeskCase) -> String {
    taint::shown(case.state.verdict.as_ref().map_or(case.state.title.as_str(), |verdict| text(verdict, "headline")))
}

/// Its machines by their short names.
#[must_use]
pub fn hosts(case: &DeskCase) -> String {
    case.state.hosts.iter().map(|host| taint::shown(host.key())).collect::<Vec<_>>().join(" ")
}

/// What a person said it was, and who looks after it.
#[must_use]
pub fn persons(case: &DeskCase) -> Option<String> {
    let ruled = case.state.persons_verdict.as_ref().map(|said| {
        let (by, because) = (taint::shown(&said.by), taint::shown(&said.because));
        format!("{by} judged it as {}: {because}", said.ruling)
    });
    let looks = case.state.assignee.as_ref().map(|person| format!("Looked after by {}", taint::shown(person)));
    let said: Vec<String> = ruled.into_iter().chain(looks).collect();
    (!said.is_empty()).then(|| said.join(" · "))
}

/// One case in a line, for whoever watches cases come and go.
#[must_use]
pub fn line(case: &DeskCase) -> String {
    let verdict = case.state.verdict.as_ref().map_or_else(String::new, |_| format!(" · {}", judged(case)));
    let persons = persons(case).map_or_else(String::new, |said| format!(" · {said}"));
    let severity = case.state.severity;
    format!("{} {}{verdict} · {severity} · {} · {}{persons}", case.id, status(case), hosts(case), about(case))
}
