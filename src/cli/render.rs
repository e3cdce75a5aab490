//! Cases as text: the table of all, the thread of one.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use crate::domain::case::{HoldQueue, Status};
use crate::domain::taint;
use crate::domain::words::{agreeing, counted, excerpt};
use crate::floor::queries::{CaseThread, MOST_ALERTS, ShownExhibit};
use crate::ports::desk::DeskCase;

/// The cases in the order in which a person needs them: decisions, information, the rest.
fn order(case: &DeskCase) -> (u8, std::cmp::Reverse<crate::domain::alert::Severity>, u32) {
    let place = match (case.state.status, case.state.hold.as_ref().map(|hold| hold.cause.queue())) {
        (Status::OnHold, Some(HoldQueue::NeedsDecision)) => 0,
        (Status::OnHold, _) => 1,
        (Status::New | Status::InProgress, _) => 2,
        (Status::Resolved, _) => 3,
        (Status::Closed | Status::Merged, _) => 4,
    };
    (place, std::cmp::Reverse(case.state.severity), case.id.number())
}

/// `on hold: needs a decision`, `resolved`, `merged into WF-1`.
fn status(case: &DeskCase) -> String {
    match (&case.state.hold, case.state.merged_into) {
        (Some(hold), _) => format!("{}: {}", case.state.status, hold.cause.queue()),
        (None, Some(into)) => format!("merged into {into}"),
        (None, None) => case.state.status.to_string(),
    }
}

fn text<'v>(verdict: &'v Value, name: &str) -> &'v str {
    verdict.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// `true positive 97 %`, or a dash before there is a verdict.
fn judged(case: &DeskCase) -> String {
    let Some(verdict) = &case.state.verdict else { return "–".into() };
    let percent = verdict.get("malicious_probability").and_then(Value::as_f64).unwrap_or_default() * 100.0;
    format!("{} ({percent:.0} %)", text(verdict, "classification").replace('_', " "))
}

/// All cases in a table, with the two queues of holds counted apart.
#[must_use]
pub fn table(cases: &[DeskCase]) -> String {
    let mut cases: Vec<&DeskCase> = cases.iter().collect();
    cases.sort_by_key(|case| order(case));
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["case", "status", "verdict", "severity", "alerts", "hosts", "what"]);
    for case in &cases {
        let hosts: Vec<String> = case.state.hosts.iter().map(|host| taint::shown(host.key())).collect();
        let what = case.state.verdict.as_ref().map_or(case.state.title.as_str(), |verdict| text(verdict, "headline"));
        table.add_row([
            case.id.to_string(),
            status(case),
            judged(case),
            case.state.severity.to_string(),
            case.state.alerts.to_string(),
            hosts.join(" "),
            taint::shown(what),
        ]);
    }
    let waiting = |queue| {
        let waits = |case: &&&DeskCase| case.state.hold.as_ref().is_some_and(|hold| hold.cause.queue() == queue);
        cases.iter().filter(waits).count() as u64
    };
    let needing = |number, what: &str| format!("{number} {} {what}", agreeing(number, "needs", "need"));
    let count = |status| cases.iter().filter(|case| case.state.status == status).count();
    format!(
        "{table}\n{}: {}, {}, {} resolved on proof.\n",
        counted((cases.len() - count(Status::Merged)) as u64, "case"),
        needing(waiting(HoldQueue::NeedsDecision), "a decision"),
        needing(waiting(HoldQueue::NeedsInformation), "information"),
        count(Status::Resolved),
    )
}

/// One case in a line, for whoever watches cases come and go.
#[must_use]
pub fn line(case: &DeskCase) -> String {
    let hosts: Vec<String> = case.state.hosts.iter().map(|host| taint::shown(host.key())).collect();
    let what = case.state.verdict.as_ref().map_or(case.state.title.as_str(), |verdict| text(verdict, "headline"));
    let verdict = case.state.verdict.as_ref().map_or_else(String::new, |_| format!(" · {}", judged(case)));
    let (severity, what) = (case.state.severity, taint::shown(what));
    format!("{} {}{verdict} · {severity} · {} · {what}", case.id, status(case), hosts.join(" "))
}

/// Of so many alerts each has its line: more are no reading matter.
const ALERTS_SHOWN: usize = 20;

/// One case with its thread, as a person reads it.
#[must_use]
pub fn thread(thread: &CaseThread) -> String {
    let case = &thread.case;
    let state = &case.state;
    let hosts: Vec<String> = state.hosts.iter().map(|host| taint::shown(&host.to_string())).collect();
    let mut out = format!(
        "{} · {} · {} · {}\n{} · {} · trace {}\n",
        case.id,
        taint::shown(&state.title),
        state.severity,
        status(case),
        hosts.join(", "),
        counted(state.alerts, "alert"),
        state.trace,
    );
    for clock in &thread.clocks {
        out.push_str(&format!(
            "Clock: times below are as recorded, and called UTC unshifted; {}\n",
            taint::shown(clock)
        ));
    }
    if !state.roles.is_empty() {
        let roles = state.roles.iter().map(|(host, role)| format!("{} {role}", taint::shown(host)));
        out.push_str(&format!("Roles: {}\n", roles.collect::<Vec<_>>().join(", ")));
    }
    if let Some(said) = &state.persons_verdict {
        let (by, because) = (taint::shown(&said.by), taint::shown(&said.because));
        out.push_str(&format!("{by} judged it as {}: {because}\n", said.ruling));
    }
    if let Some(assignee) = &state.assignee {
        out.push_str(&format!("Looked after by {}\n", taint::shown(assignee)));
    }
    if let Some(decided) = &state.decided_by {
        out.push_str(&format!("Decided by rule {}\n", taint::shown(decided)));
    }
    for comment in &thread.comments {
        let (number, time) = (comment.number, comment.comment.at.strftime("%T"));
        let author = taint::shown(&comment.comment.author);
        let mut lines = comment.comment.text.lines();
        let first = lines.next().unwrap_or_default();
        out.push_str(&format!("\n#{number} {time} {author} – {}\n", taint::shown(first)));
        for line in lines {
            out.push_str(&format!("   {}\n", taint::shown(line)));
        }
    }
    if !thread.alerts.is_empty() {
        out.push_str("\nAlerts\n");
    }
    for alert in thread.alerts.iter().take(ALERTS_SHOWN) {
        let (time, host) = (alert.time.strftime("%F %T"), taint::shown(alert.host.key()));
        out.push_str(&format!("  {} {time} {host} · {} · {}\n", alert.id, taint::shown(&alert.title), alert.level));
    }
    match usize::try_from(state.alerts).unwrap_or(usize::MAX).saturating_sub(ALERTS_SHOWN) {
        0 => {}
        more => out.push_str(&format!("  and {more} more; --json lists the first {MOST_ALERTS}\n")),
    }
    let cited = state.verdict.as_ref().map(|verdict| evidence(verdict, &thread.exhibits)).unwrap_or_default();
    out.push_str(&cited);
    // Every id in the thread leads somewhere, cited by the verdict or not.
    let other: Vec<_> =
        thread.exhibits.iter().filter(|exhibit| !cited.contains(&format!("[{}]", exhibit.id))).collect();
    if !other.is_empty() {
        out.push_str("\nAlso looked at\n");
    }
    for exhibit in other {
        let line = taint::shown(&exhibit.text);
        out.push_str(&format!("  [{}] {}\n", exhibit.id, excerpt(&line, 240)));
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
        out.push_str(&format!(
            "  [{id}] {says} ({weight}, {}, {})\n",
            strength(text(item, "strength")),
            text(item, "family")
        ));
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
