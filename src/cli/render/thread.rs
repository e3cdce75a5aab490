//! One case as a person reads it: what it is and what is asked first, then how it came to that, then what it rests on.

use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

use super::{about, judged, persons, status, text};
use crate::domain::case::Status;
use crate::domain::person::is_persons_name;
use crate::domain::taint;
use crate::domain::words::{counted, excerpt};
use crate::floor::queries::{CaseThread, MOST_ALERTS, ShownExhibit};
use crate::ports::desk::DeskCase;

/// Of so many alerts each has its line: more are no reading matter.
const ALERTS_SHOWN: usize = 20;

/// How much of what was looked at, and is not cited, is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What was found; what was searched for in vain is counted.
    Telling,
    /// All of it.
    Full,
}

/// One case with its thread. `data` is the folder that the commands name.
#[must_use]
pub fn thread(thread: &CaseThread, detail: Detail, data: &Path) -> String {
    let case = &thread.case;
    let mut out = head(case);
    for clock in &thread.clocks {
        out.push_str(&format!(
            "Clock: times below are as recorded, and called UTC unshifted; {}\n",
            taint::shown(clock)
        ));
    }
    out.push_str(&asked(case, data));
    for comment in &thread.comments {
        let (number, time) = (comment.number, comment.comment.at.strftime("%T"));
        let author = taint::shown(&comment.comment.author);
        // A person's lines are marked one by one: none of them can pass for an entry of the floor's.
        let (author, margin) = match is_persons_name(&comment.comment.author) {
            true => (format!("{author} (a person)"), " | "),
            false => (author, "   "),
        };
        let mut lines = comment.comment.text.lines();
        let first = lines.next().unwrap_or_default();
        out.push_str(&format!("\n#{number} {time} {author} – {}\n", taint::shown(first)));
        lines.for_each(|line| out.push_str(&format!("{margin}{}\n", taint::shown(line))));
    }
    out.push_str(&alerts(thread));
    let cited = case.state.verdict.as_ref().map(|verdict| evidence(verdict, &thread.exhibits)).unwrap_or_default();
    out.push_str(&cited);
    // Every id in the thread leads somewhere, cited by the verdict or not.
    let other = thread.exhibits.iter().filter(|exhibit| !cited.contains(&format!("[{}]", exhibit.id)));
    out.push_str(&looked_at(&other.collect::<Vec<_>>(), detail, case, data));
    out
}

/// What it is, in a few lines.
fn head(case: &DeskCase) -> String {
    let state = &case.state;
    let mut out = format!("{} · {} · {} · {}\n", case.id, taint::shown(&state.title), state.severity, status(case));
    let machines = state.hosts.iter().map(|host| taint::shown(&host.to_string())).collect::<Vec<_>>().join(", ");
    let when = match (state.first_alert, state.last_alert) {
        (Some(first), Some(last)) => format!(" · {}", between(first, last)),
        _ => String::new(),
    };
    out.push_str(&format!("{machines} · {}{when} · trace {}\n", counted(state.alerts, "alert"), state.trace));
    if !state.roles.is_empty() {
        let roles = state.roles.iter().map(|(host, role)| format!("{} {role}", taint::shown(host)));
        out.push_str(&format!("Roles: {}\n", roles.collect::<Vec<_>>().join(", ")));
    }
    if state.verdict.is_some() {
        out.push_str(&format!("Verdict: {} – {}\n", judged(case), about(case)));
    }
    if let Some(decided) = &state.decided_by {
        out.push_str(&format!("Decided by rule {}\n", taint::shown(decided)));
    }
    if let Some(said) = persons(case) {
        out.push_str(&format!("{said}\n"));
    }
    out
}

fn between(first: Timestamp, last: Timestamp) -> String {
    let day = |time: Timestamp| time.strftime("%F").to_string();
    let end = if day(first) == day(last) { last.strftime("%T") } else { last.strftime("%F %T") };
    if first == last {
        first.strftime("%F %T UTC").to_string()
    } else {
        format!("{} to {end} UTC", first.strftime("%F %T"))
    }
}

/// What is asked of a person, and the commands that answer.
fn asked(case: &DeskCase, data: &Path) -> String {
    let (id, data) = (case.id, data.display());
    match (case.state.status, &case.state.hold) {
        (Status::OnHold, Some(hold)) => format!(
            "\nQuestion: {}\n  it was meant to be   watchfloor cases resolve {id} --as expected --because TEXT --data {data}\n  \
             it was not           watchfloor cases judge {id} --as true_positive --because TEXT --data {data}\n  \
             look again           watchfloor cases reopen {id} --because TEXT --data {data}\n",
            taint::shown(&hold.ask.question)
        ),
        (Status::Resolved, _) if case.state.persons_verdict.is_none() => {
            format!("\nNot so? watchfloor cases reopen {id} --because TEXT --data {data}\n")
        }
        _ => String::new(),
    }
}

fn alerts(thread: &CaseThread) -> String {
    let mut out = String::new();
    if !thread.alerts.is_empty() {
        out.push_str("\nAlerts\n");
    }
    for alert in thread.alerts.iter().take(ALERTS_SHOWN) {
        let (time, host) = (alert.time.strftime("%F %T"), taint::shown(alert.host.key()));
        out.push_str(&format!("  {} {time} {host} · {} · {}\n", alert.id, taint::shown(&alert.title), alert.level));
    }
    match usize::try_from(thread.case.state.alerts).unwrap_or(usize::MAX).saturating_sub(ALERTS_SHOWN) {
        0 => {}
        more => out.push_str(&format!("  and {more} more; --json lists the first {MOST_ALERTS}\n")),
    }
    out
}

/// A strength as people read it. `decisive` is a step of a scale, and decides nothing alone.
fn strength(name: &str) -> &str {
    if name == "decisive" { "very strong" } else { name }
}

/// The verdict's evidence, quote by quote; of an absence the whole question that found nothing.
fn evidence(verdict: &Value, exhibits: &[ShownExhibit]) -> String {
    let items = verdict.get("evidence").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut out = String::from("\nEvidence\n");
    for item in items {
        let (id, says) = (text(item, "id"), taint::shown(text(item, "says")));
        let weight = text(item, "weight").replace('_', " ");
        let strength = strength(text(item, "strength"));
        out.push_str(&format!("  [{id}] {says} ({weight}, {strength}, {})\n", text(item, "family")));
        let quotes = item.get("quotes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if !quotes.is_empty() {
            out.push_str(&format!("       {} {} {}\n", text(item, "time"), text(item, "host"), text(item, "kind")));
        }
        let searched = exhibits.iter().find(|exhibit| quotes.is_empty() && exhibit.id.to_string() == id);
        out.extend(searched.map(|exhibit| format!("       {}\n", taint::shown(&exhibit.text))));
        let omitted = item.get("omitted").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (at, quote) in quotes.iter().enumerate() {
            let mark = |side: &str| {
                let left_out = omitted.get(at).and_then(|one| one.get(side)).and_then(Value::as_bool);
                if left_out.unwrap_or_default() { "…" } else { "" }
            };
            let value = format!("{}{}{}", mark("before"), taint::shown(text(quote, "value")), mark("after"));
            out.push_str(&format!("       {} = {}\n", text(quote, "field"), excerpt(&value, 200)));
        }
    }
    out
}

/// What was looked at and is not cited.
fn looked_at(exhibits: &[&ShownExhibit], detail: Detail, case: &DeskCase, data: &Path) -> String {
    let (found, in_vain): (Vec<&ShownExhibit>, Vec<&ShownExhibit>) =
        exhibits.iter().partition(|exhibit| detail == Detail::Full || !exhibit.absence);
    let mut out = String::new();
    if !exhibits.is_empty() {
        out.push_str("\nAlso looked at\n");
    }
    for exhibit in found {
        out.push_str(&format!("  [{}] {}\n", exhibit.id, excerpt(&taint::shown(&exhibit.text), 240)));
    }
    if !in_vain.is_empty() {
        out.push_str(&format!(
            "  and {} that found nothing, with working sensors: watchfloor cases show {} --full --data {}\n",
            counted(in_vain.len() as u64, "search"),
            case.id,
            data.display()
        ));
    }
    out
}
