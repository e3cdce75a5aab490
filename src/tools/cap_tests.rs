//! No answer is longer than its cap, whatever the events say: an endless field hides nothing and floods nobody.

use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::answer::{Answered, LONGEST_SHOWN, ToolCall};
use super::registry::Registry;
use super::surroundings::Surroundings;
use super::tool::{Permission, Scope};
use crate::domain::alert::Alert;
use crate::domain::event::{Event, SYSMON};
use crate::domain::evidence::Quote;
use crate::domain::ids::EvidenceId;
use crate::fixtures::{CASE, SomeDevices, alert, at, event, journal, store};
use crate::journal::alert_log::AlertLog;
use crate::ports::events::Watermark;

/// Arguments with which a tool that reads looks at all there is.
fn arguments(tool: &str) -> Value {
    let (from, to): (Timestamp, Timestamp) = (at(-100_000), at(100_000));
    match tool {
        "get_alert" => json!({"alert": "a0"}),
        "get_finding" => json!({"finding": "a0"}),
        "get_event" | "prevalence" | "process_tree" | "logon_session" | "decode" => json!({"event": "start0"}),
        "script_block" => json!({"event": "script0"}),
        "timeline" => json!({"event": "start0", "before": 1_000, "after": 1_000}),
        "get_alerts" | "search_winlog_events" => json!({"from": from, "to": to}),
        "get_events_for_host" | "sensor_coverage" => json!({"host": "WKS-1", "from": from, "to": to}),
        "get_events_for_user" => json!({"user": "m.vale", "from": from, "to": to}),
        "run_kql_query" => json!({"query": "DeviceEvents"}),
        "run_advanced_hunt_query" => json!({"device": "WKS-1", "at": at(0), "minutes": 60}),
        "entity_risk" => json!({"host": "WKS-1"}),
        "similar_cases" | "list_devices" | "get_case" => json!({}),
        "lookup" => json!({"indicator": "certutil.exe"}),
        "asset" => json!({"host": "WKS-1", "event": "start0"}),
        "account" => json!({"account": "m.vale"}),
        "get_device" => json!({"device_id": "d1"}),
        "get_device_id_by_name" => json!({"name": "twin"}),
        other => panic!("the test has no arguments for {other}"),
    }
}

/// Events and alerts that say `text` wherever something can be said.
fn world(text: &str, count: usize) -> (Vec<Event>, Vec<Alert>) {
    let (mut events, mut alerts) = (Vec::new(), Vec::new());
    for n in 0..count {
        let seconds = i64::try_from(n).expect("few");
        let words = json!({
            "Image": format!("C:\\{text}\\{n}.exe"), "CommandLine": format!("{text}{n}"), "ParentImage": text, "User": "CORP\\m.vale",
            "ParentCommandLine": text, "ProcessGuid": format!("{{{n}}}"), "ParentProcessGuid": "{0}", "LogonId": "0x5",
            "CurrentDirectory": text, "OriginalFileName": text, "Hashes": format!("SHA256={text}"),
        });
        events.push(event(&format!("start{n}"), seconds, "WKS-1", (SYSMON, 1), words));
        let script = json!({
            "ScriptBlockId": "s", "MessageNumber": (n + 1).to_string(), "MessageTotal": count.to_string(),
            "ScriptBlockText": text, "Path": text,
        });
        let channel = "Microsoft-Windows-PowerShell/Operational";
        events.push(event(&format!("script{n}"), seconds, "WKS-1", (channel, 4104), script));
        let mut raised = alert(&format!("a{n}"), &format!("start{n}"), "WKS-1", seconds);
        raised.rule.title = format!("{text}{n}");
        raised.rule.id = crate::domain::ids::RuleId::new(format!("rule{n}"));
        raised.rule.description = Some(text.to_owned());
        raised.matched = vec![Quote { field: "winlog.event_data.CommandLine".into(), value: text.to_owned() }];
        alerts.push(raised);
    }
    (events, alerts)
}

async fn longest(text: &str, count: usize) -> (String, usize) {
    let (events, alerts) = world(text, count);
    let (_events, store) = store(events).await;
    let (_journal, journal) = journal();
    let log = AlertLog::open(journal.clone()).await.expect("it opens");
    log.receive(alerts.clone(), at(0)).await.expect("they are stored");
    let around = Surroundings {
        alerts: Some(Arc::new(log)),
        journal: Some(journal),
        devices: Some(Arc::new(SomeDevices)),
        ..Surroundings::default()
    };
    let own = alerts[..1].to_vec();
    let scope = Scope { case: CASE, alerts: Arc::new(own), events: store, watermark: Watermark(u64::MAX) };
    let registry = Registry::of(around);
    let mut longest = (String::new(), 0);
    for name in registry.names() {
        let tool = registry.get(name).expect("it is named");
        if tool.permission() != Permission::Read {
            continue;
        }
        let arguments = arguments(name);
        let outcome = tool.answer(&arguments, &scope).await.map(super::answer::Answer::trimmed);
        let rows = outcome.as_ref().map_or(0, |answer| answer.rows.len());
        // The ids of a case that has gone on for long.
        let evidence = (0..rows).map(|_| Some(EvidenceId::new(99_999))).collect();
        let call = ToolCall { tool: name.into(), arguments };
        let length = Answered { call, outcome, evidence }.text().chars().count();
        if length > longest.1 {
            longest = (name.to_owned(), length);
        }
    }
    longest
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn no_answer_is_longer_than_its_cap(text in "\\PC{0,40}", times in 1_usize..300, count in 1_usize..12) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (tool, length) = runtime.block_on(longest(&text.repeat(times), count));
        prop_assert!(length <= LONGEST_SHOWN, "{} answered with {} characters", tool, length);
    }
}
