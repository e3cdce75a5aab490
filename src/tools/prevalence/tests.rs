//! What is said to be usual came before the case, and a short history is said to be short.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::domain::alert::Alert;
use crate::fixtures::{BrokenStore, alert, at, event, store};
use crate::ports::events::Watermark;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// A start of the tool on a machine, so many seconds from the beginning.
fn start(id: &str, seconds: i64, host: &str, command: &str) -> Event {
    let data = json!({
        "Image": r"C:\Tools\tool.exe", "CommandLine": command, "ParentImage": r"C:\Windows\explorer.exe",
        "Hashes": "SHA256=AB",
    });
    event(id, seconds, host, (SYSMON, 1), data)
}

async fn ask(events: Vec<Event>, alerts: Vec<Alert>, arguments: Value) -> Result<(Vec<String>, Rarity), ToolError> {
    let (_folder, store) = store(events).await;
    let scope =
        Scope { case: crate::fixtures::CASE, alerts: Arc::new(alerts), events: store, watermark: Watermark(u64::MAX) };
    let arguments = serde_json::from_value(arguments).expect("they fit");
    let answer = Prevalence.call(arguments, &scope).await?;
    let texts = answer.rows.iter().map(|row| row.text.clone()).collect();
    Ok((texts, serde_json::from_value(answer.data).expect("it is typed")))
}

fn of(rarity: &Rarity, what: What) -> (u64, u64, u64, u64) {
    let usual = rarity.usual.iter().find(|usual| usual.what == what).expect("it was looked up");
    (usual.fleet.events, usual.fleet.hosts, usual.fleet.days, usual.host.events)
}

#[tokio::test]
async fn what_an_event_shows_is_counted_before_the_case_alone() {
    let mut events: Vec<Event> = (0..10)
        .flat_map(|day| {
            let host = if day % 2 == 0 { "wks-1" } else { "wks-2" };
            [start(&format!("d{day}"), day * DAY, host, &format!("tool.exe /n {}", 100 + day))]
        })
        .collect();
    // Within two hours of the first alert, between the alerts, and after the case: none of it counts.
    events.push(start("near", 10 * DAY - HOUR, "wks-3", "tool.exe /n 111"));
    events.push(start("trigger", 10 * DAY, "wks-1", "tool.exe /n 222"));
    events.push(start("later", 11 * DAY, "wks-4", "tool.exe /n 333"));
    let alerts = vec![alert("a", "trigger", "wks-1", 10 * DAY), alert("b", "later", "wks-4", 11 * DAY)];
    let (texts, rarity) = ask(events.clone(), alerts.clone(), json!({"event": "later"})).await.expect("it answers");
    assert_eq!(of(&rarity, What::Program), (10, 2, 10, 0));
    assert_eq!(of(&rarity, What::Command), (10, 2, 10, 0));
    assert_eq!(of(&rarity, What::Hash), (10, 2, 10, 0));
    let (_, rarity) = ask(events, alerts, json!({"event": "trigger"})).await.expect("it answers");
    assert_eq!(of(&rarity, What::Parentage), (10, 2, 10, 5));
    assert_eq!((rarity.history.fleet_days, rarity.history.is_enough()), (10, true));
    assert!(
        texts[0].starts_with("this program: 10 times on 2 machines and 10 days, 0 times on 0 days here"),
        "{texts:?}"
    );
}

#[tokio::test]
async fn a_short_history_says_what_it_lacks() {
    let lacks = |rarity: &Rarity| rarity.history.lacks.clone().unwrap_or_default();
    let trigger = |seconds| start("trigger", seconds, "wks-1", "tool.exe");
    let (texts, rarity) = ask(vec![trigger(0)], vec![], json!({"event": "trigger"})).await.expect("it answers");
    assert!(lacks(&rarity).ends_with("you have none before this case"), "{texts:?}");
    assert!(texts.iter().any(|text| text.starts_with("history: closing on recurrence needs 7 days")), "{texts:?}");
    let two_hours = vec![start("o", 0, "wks-1", "other.exe"), trigger(4 * HOUR + 60)];
    let (_, rarity) = ask(two_hours, vec![], json!({"event": "trigger"})).await.expect("it answers");
    assert!(lacks(&rarity).ends_with("you have 2 h"), "{}", lacks(&rarity));
    let few: Vec<Event> = (0..5).map(|day| start(&format!("d{day}"), day * DAY, "wks-2", "tool.exe")).collect();
    let few = few.into_iter().chain([trigger(5 * DAY)]).collect();
    let (_, rarity) = ask(few, vec![], json!({"event": "trigger"})).await.expect("it answers");
    assert!(lacks(&rarity).ends_with("you have 5 days"), "{}", lacks(&rarity));
}

#[tokio::test]
async fn one_ancient_record_is_no_long_history() {
    let events = vec![start("ancient", -20 * DAY, "wks-1", "tool.exe"), start("trigger", 0, "wks-1", "tool.exe")];
    let (_, rarity) = ask(events, vec![], json!({"event": "trigger"})).await.expect("it answers");
    assert_eq!((rarity.history.fleet_days, rarity.history.is_enough()), (1, false));
}

#[tokio::test]
async fn a_machine_that_is_new_has_no_history_of_its_own() {
    let events: Vec<Event> = (0..9).map(|day| start(&format!("d{day}"), day * DAY, "wks-2", "tool.exe")).collect();
    let events = events.into_iter().chain([start("trigger", 9 * DAY, "wks-1", "tool.exe")]).collect();
    let (_, rarity) = ask(events, vec![], json!({"event": "trigger"})).await.expect("it answers");
    assert_eq!((rarity.history.fleet_days, rarity.history.host_days), (9, 0));
    assert!(rarity.history.lacks.is_some_and(|lacks| lacks.starts_with("this machine reported no process start")));
}

#[tokio::test]
async fn what_cannot_be_looked_up_is_refused_with_what_can() {
    let quiet = event("e", 0, "wks-1", (SYSMON, 5), json!({}));
    let refused = ask(vec![quiet.clone()], vec![], json!({"event": "e"})).await;
    assert!(matches!(refused, Err(ToolError::BadArguments { what, .. }) if what.contains("give `domain` or `hash`")));
    let (_, rarity) = ask(vec![quiet], vec![], json!({"event": "e", "domain": "a.example"})).await.expect("it answers");
    assert_eq!(of(&rarity, What::Domain), (0, 0, 0, 0));
    assert!(matches!(ask(vec![], vec![], json!({"event": "x"})).await, Err(ToolError::NotFound { .. })));
    let scope = Scope {
        case: crate::fixtures::CASE,
        alerts: Arc::default(),
        events: Arc::new(BrokenStore),
        watermark: Watermark(1),
    };
    let arguments = serde_json::from_value(json!({"event": "e"})).expect("they fit");
    assert!(matches!(Prevalence.call(arguments, &scope).await, Err(ToolError::Unavailable { .. })));
    let _ = at(0);
}
