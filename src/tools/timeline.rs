//! `timeline`: what happened on a machine around a moment, one line an event, repeats collapsed.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerts::unavailable;
use super::answer::{Answer, Header, Row, ToolError};
use super::events::KindArgument;
use super::tool::{Permission, Scope, Tool};
use super::view::{EventView, IN_A_ROW, most_telling};
use crate::domain::entity::HostName;
use crate::domain::event::Event;
use crate::domain::evidence::Quote;
use crate::domain::ids::EventId;
use crate::domain::taint;
use crate::knowledge::{paths, template};
use crate::ports::events::mention::Mention;
use crate::ports::events::{EventQuery, Kind};

/// See the module.
pub struct Timeline;

/// Events that are looked at, and lines that are shown.
const MOST_EVENTS: usize = 1_000;
const MOST_LINES: usize = 40;

/// Characters of a line's value.
const LONGEST_VALUE: usize = 120;

/// Minutes before and after, unless asked otherwise, and at most.
const BEFORE: u32 = 10;
const AFTER: u32 = 20;
const MOST_MINUTES: u32 = 24 * 60;

/// Where and around when.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// The machine; that of the event if left out.
    #[serde(default)]
    pub host: Option<String>,
    /// Around this event, by its id.
    #[serde(default)]
    pub event: Option<String>,
    /// Around this instant, where no event is named.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// Minutes before; 10 if left out.
    #[serde(default)]
    pub before: Option<u32>,
    /// Minutes after; 20 if left out.
    #[serde(default)]
    pub after: Option<u32>,
    /// Only what this account did or what was done to it.
    #[serde(default)]
    pub user: Option<String>,
    /// Only what this process did or started: Sysmon's `ProcessGuid`.
    #[serde(default)]
    pub process: Option<String>,
    /// Only these kinds of events.
    #[serde(default)]
    pub kinds: Vec<KindArgument>,
}

impl Arguments {
    /// All that happened on a machine so many minutes before and after an instant.
    #[must_use]
    pub const fn around(host: String, at: Timestamp, minutes: u32) -> Self {
        Self {
            host: Some(host),
            event: None,
            at: Some(at),
            before: Some(minutes),
            after: Some(minutes),
            user: None,
            process: None,
            kinds: vec![],
        }
    }
}

/// A line: one event, or several alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The first of them.
    pub event: EventId,
    /// When it happened.
    pub first: Timestamp,
    /// When the last of them happened.
    pub last: Timestamp,
    /// How many there are.
    pub count: u64,
    /// Its kind.
    pub kind: String,
    /// The program, by its name.
    pub program: String,
    /// What it is about, without what changes from run to run.
    pub about: String,
    /// Titles of the rules of this case that matched one of them.
    pub rules: BTreeSet<String>,
}

#[async_trait]
impl Tool for Timeline {
    const NAME: &'static str = "timeline";
    const DESCRIPTION: &'static str = "What happened on a machine around an event or instant, in order of time, one line an event; events alike are one line with their number. Lines on which rules of this case matched are marked !.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = Arguments;

    async fn call(&self, arguments: Arguments, scope: &Scope) -> Result<Answer, ToolError> {
        let bad = |what: &str| ToolError::BadArguments { tool: Self::NAME.into(), what: what.into() };
        let anchor = match &arguments.event {
            Some(id) => Some(scope.event(id).await?),
            None => None,
        };
        let at = anchor.as_ref().map(|event| event.time).or(arguments.at);
        let at = at.ok_or_else(|| bad("say around when, with `event` or `at`"))?;
        let host = arguments.host.map(HostName::new).or_else(|| anchor.map(|event| event.host));
        let host = host.ok_or_else(|| bad("say where, with `host` or `event`"))?;
        let minutes = |asked: Option<u32>, usual: u32| {
            SignedDuration::from_mins(i64::from(asked.unwrap_or(usual).min(MOST_MINUTES)))
        };
        let from = at.checked_sub(minutes(arguments.before, BEFORE)).unwrap_or(at);
        let to = at.checked_add(minutes(arguments.after, AFTER)).unwrap_or(at);
        let query = EventQuery {
            host: Some(host),
            kinds: arguments.kinds.iter().map(Kind::from).collect(),
            process: arguments.process,
            mentions: arguments.user.as_deref().map(Mention::account).into_iter().collect(),
            limit: MOST_EVENTS,
            ..EventQuery::within(from, to, scope.watermark)
        };
        let found = scope.events.search(&query).await.map_err(unavailable)?;
        let lines = collapsed(&found.rows, scope);
        let shown = chosen(&lines, at);
        let mut rows: Vec<Row> = shown.iter().map(|(line, view)| row(line, view.clone())).collect();
        let mut next = String::new();
        if found.total > found.rows.len() as u64 {
            next = format!(
                "only the first {} of {} events were looked at: narrow the window, or name kinds, a user or a process",
                found.rows.len(),
                found.total
            );
        } else if lines.len() > shown.len() {
            next = format!(
                "{} more lines: narrow the window, or name kinds, a user or a process",
                lines.len() - shown.len()
            );
        }
        if rows.is_empty() {
            rows.push(Row::said(
                "no event of this kind in the window: sensor_coverage says whether that means anything".into(),
            ));
        }
        let header = Header {
            total: lines.len().max(rows.len()) as u64,
            window: format!("{from} to {to}"),
            next,
            ..Header::default()
        };
        let data = serde_json::to_value(shown.iter().map(|(line, _)| line).collect::<Vec<_>>()).unwrap_or_default();
        Ok(Answer { header, rows, cut: 0, data, filing: None })
    }
}

/// The lines of events, in order of their first, each with a view of it.
fn collapsed(events: &[Event], scope: &Scope) -> Vec<(Line, EventView)> {
    let mut rules: BTreeMap<&EventId, Vec<&str>> = BTreeMap::new();
    for alert in scope.alerts.iter() {
        for event in std::iter::once(&alert.event).chain(alert.correlated.events()) {
            rules.entry(event).or_default().push(&alert.rule.title);
        }
    }
    let mut places: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    let mut lines: Vec<(Line, EventView)> = Vec::new();
    for event in events {
        let view = EventView::row(event, IN_A_ROW);
        let program = ["Image", "SourceImage", "NewProcessName", "ProcessName"].iter().find_map(|name| view.get(name));
        let program = program.map(paths::base_name).unwrap_or_default();
        let value = about(&view);
        let key = (view.kind(), program.clone(), template::command(&value));
        let matched = rules.get(&event.id).into_iter().flatten().map(|title| (*title).to_owned());
        if let Some(place) = places.get(&key) {
            let line = &mut lines[*place].0;
            (line.count, line.last) = (line.count + 1, event.time);
            line.rules.extend(matched);
            continue;
        }
        places.insert(key, lines.len());
        let line = Line {
            event: event.id.clone(),
            first: event.time,
            last: event.time,
            count: 1,
            kind: view.kind(),
            program,
            about: value,
            rules: matched.collect(),
        };
        lines.push((line, view));
    }
    lines
}

/// The value that says most of an event besides its program.
fn about(view: &EventView) -> String {
    let quotes: Vec<Quote> = view
        .fields
        .iter()
        .filter(|(name, _)| {
            !matches!(name.as_str(), "Image" | "SourceImage" | "NewProcessName" | "ProcessGuid" | "LogonId")
        })
        .map(|(name, value)| Quote { field: name.clone(), value: value.clone() })
        .collect();
    let telling = most_telling(&quotes);
    telling.map_or_else(String::new, |quote| quote.value.chars().take(LONGEST_VALUE).collect())
}

/// The lines that are shown, in order: those that rules matched, then those nearest to the moment.
fn chosen(lines: &[(Line, EventView)], at: Timestamp) -> Vec<&(Line, EventView)> {
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by_key(|place| (lines[*place].0.rules.is_empty(), lines[*place].0.first.duration_since(at).abs()));
    order.truncate(MOST_LINES);
    order.sort_unstable();
    order.into_iter().map(|place| &lines[place]).collect()
}

fn row(line: &Line, view: EventView) -> Row {
    let mark = if line.rules.is_empty() { "" } else { "! " };
    let times = match line.count {
        1 => String::new(),
        count => format!(" ×{count} until {}", line.last.strftime("%T")),
    };
    let rules = line.rules.iter().map(|rule| taint::shown(rule)).collect::<Vec<_>>().join("; ");
    let rules = if rules.is_empty() { String::new() } else { format!(" ← {rules}") };
    let text = format!(
        "{mark}{} {} {} {}{times}{rules}",
        line.first.strftime("%T"),
        line.kind,
        taint::shown(&line.program),
        taint::shown(&line.about)
    );
    Row { text, ..Row::of(view) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::domain::alert::Alert;
    use crate::domain::event::SYSMON;
    use crate::fixtures::{alert, at, event, store};
    use crate::ports::events::Watermark;

    fn seen(id: &str, seconds: i64, code: u32, data: Value) -> Event {
        event(id, seconds, "WKS-1", (SYSMON, code), data)
    }

    fn connects(id: &str, seconds: i64) -> Event {
        seen(id, seconds, 3, json!({"Image": r"C:\A\tool.exe", "DestinationIp": "192.0.2.7"}))
    }

    async fn ask(events: Vec<Event>, alerts: Vec<Alert>, arguments: Value) -> Result<(Answer, Vec<Line>), ToolError> {
        let (_folder, store) = store(events).await;
        let scope = Scope {
            case: crate::fixtures::CASE,
            alerts: Arc::new(alerts),
            events: store,
            watermark: Watermark(u64::MAX),
        };
        let answer = Timeline.call(serde_json::from_value(arguments).expect("they fit"), &scope).await?;
        let lines = serde_json::from_value(answer.data.clone()).expect("it is typed");
        Ok((answer, lines))
    }

    #[tokio::test]
    async fn events_alike_are_one_line_and_matches_are_marked() {
        let mut events: Vec<Event> = (0..50).map(|n| connects(&format!("c{n:02}"), 10 + n)).collect();
        events.push(seen("start", 0, 1, json!({"Image": r"C:\A\tool.exe", "CommandLine": "tool.exe /all"})));
        events.push(seen("outside", 3_600, 1, json!({"Image": r"C:\A\late.exe"})));
        let alerts = vec![alert("a", "start", "WKS-1", 0)];
        let (answer, lines) = ask(events, alerts, json!({"event": "start"})).await.expect("it answers");
        let counted: Vec<(&str, u64)> = lines.iter().map(|line| (line.event.as_str(), line.count)).collect();
        assert_eq!(counted, [("start", 1), ("c00", 50)]);
        assert_eq!(answer.rows[0].text, "! 00:00:00 Sysmon 1 tool.exe tool.exe /all ← Rule of a");
        assert_eq!(answer.rows[1].text, "00:00:10 Sysmon 3 tool.exe 192.0.2.7 ×50 until 00:00:59");
        assert!(answer.rows.iter().all(|row| row.exhibit.is_some()));
    }

    #[tokio::test]
    async fn of_many_lines_those_that_matched_and_the_nearest_are_shown() {
        let named =
            |n: i64| json!({"Image": format!(r"C:\A\{}.exe", "x".repeat(usize::try_from(n).expect("few") + 1))});
        let events: Vec<Event> = (0..60).map(|n| seen(&format!("e{n:02}"), n * 10, 1, named(n))).collect();
        let alerts = vec![alert("a", "e00", "WKS-1", 0)];
        let arguments = json!({"host": "wks-1", "at": at(590)});
        let (answer, lines) = ask(events, alerts, arguments).await.expect("it answers");
        assert_eq!(lines.len(), MOST_LINES);
        assert_eq!((lines[0].event.as_str(), lines[1].event.as_str()), ("e00", "e21"));
        assert_eq!((answer.header.total, answer.header.next.starts_with("20 more lines")), (60, true));
    }

    #[tokio::test]
    async fn nothing_is_no_proof_and_nowhere_is_refused() {
        let (answer, _) = ask(vec![], vec![], json!({"host": "wks-1", "at": at(0)})).await.expect("it answers");
        assert!(answer.rows[0].text.contains("sensor_coverage") && answer.rows[0].exhibit.is_none());
        for (asked, words) in [(json!({"host": "wks-1"}), "around when"), (json!({"at": at(0)}), "say where")] {
            let refused = ask(vec![], vec![], asked).await.expect_err("it is refused").to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
