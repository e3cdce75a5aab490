//! Every tool of an agent's list can be called through the door, and its call is on record.

mod support;

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use support::clocks::at;
use support::program::{State, run, watchfloor};
use support::scripts::{answers, calls, finds_harm, id_of, malicious, search, submit};
use support::world::{World, alert};
use watchfloor::analyst::agent::Agent;
use watchfloor::analyst::scripted::ScriptedAnalyst;
use watchfloor::domain::alert::Severity;
use watchfloor::domain::route::Tier;
use watchfloor::tools::answer::ToolError;
use watchfloor::tools::door::SUBMIT;
use watchfloor::tools::registry::Registry;

/// The 18 tools of the system that this one learned from.
const ORIGINAL: [&str; 18] = [
    "get_alert",
    "get_finding",
    "get_alerts",
    "get_events_for_host",
    "get_events_for_user",
    "search_winlog_events",
    "run_kql_query",
    "run_advanced_hunt_query",
    "list_devices",
    "get_device",
    "get_device_id_by_name",
    "isolate_device",
    "unisolate_device",
    "run_av_scan",
    "get_case",
    "add_case_comment",
    "update_case",
    "close_case",
];

fn arguments(tool: &str, device: &str) -> Value {
    let (from, to) = (at(-1_000), at(10_000));
    let wish = || json!({"device_id": device, "because": "it talks to a stranger", "evidence": ["E1"]});
    match tool {
        "get_alert" => json!({"alert": "a-WKS-1"}),
        "get_finding" => json!({"finding": "a-WKS-1"}),
        "get_event" | "prevalence" | "process_tree" | "decode" => json!({"event": "p-WKS-1"}),
        // The event names no session of its own.
        "logon_session" => json!({"event": "p-WKS-1", "session": "0x5"}),
        "script_block" => json!({"event": "s-WKS-1"}),
        "timeline" => json!({"event": "p-WKS-1"}),
        "get_alerts" | "search_winlog_events" => json!({"from": from, "to": to}),
        "get_events_for_host" | "sensor_coverage" => json!({"host": "WKS-1", "from": from, "to": to}),
        "get_events_for_user" => json!({"user": "a.user", "from": from, "to": to}),
        "run_kql_query" => json!({"query": "DeviceProcessEvents | take 1"}),
        "run_advanced_hunt_query" => json!({"device": "WKS-1", "at": at(100)}),
        "entity_risk" => json!({"user": "a.user"}),
        "similar_cases" | "list_devices" | "get_case" => json!({}),
        "lookup" => json!({"indicator": "0x1410"}),
        "asset" => json!({"host": "WKS-1"}),
        "account" => json!({"account": "a.user"}),
        "get_device" => json!({"device_id": device}),
        "get_device_id_by_name" => json!({"name": "WKS-1"}),
        "isolate_device" | "unisolate_device" | "run_av_scan" => wish(),
        "add_case_comment" => json!({"text": "a note"}),
        "update_case" => json!({"status": "on_hold", "because": "its owner should say"}),
        "close_case" => json!({"classification": "true_positive", "because": "it is done"}),
        other => panic!("the test has no arguments for {other}"),
    }
}

#[test]
fn tier_2_has_every_tool_and_tier_1_all_that_ask_for_nothing() {
    let registry = Registry::standard();
    let of = |tier| Agent::shipped(tier, &registry).expect("it is sound").tools;
    let (one, two) = (of(Tier::One), of(Tier::Two));
    for tool in ORIGINAL {
        assert!(two.iter().any(|name| name == tool), "{tool}");
    }
    assert!(registry.names().iter().all(|name| two.iter().any(|listed| listed == name)), "{two:?}");
    for tool in ["isolate_device", "unisolate_device", "run_av_scan"] {
        assert!(!one.iter().any(|name| name == tool), "{tool}");
    }
    assert_eq!(one.len() + 3, two.len());
}

#[tokio::test(start_paused = true)]
async fn every_tool_of_the_list_answers_through_the_door_and_its_call_is_on_record() {
    let mut events = support::world::activity("WKS-1", "tool.exe /all");
    let script =
        json!({"ScriptBlockId": "b", "MessageNumber": "1", "MessageTotal": "1", "ScriptBlockText": "Get-Date"});
    let channel = "Microsoft-Windows-PowerShell/Operational";
    events.push(support::world::event("s-WKS-1", 90, "WKS-1", (channel, 4104), script));
    let world = World::with(events).await;
    let tools = Agent::shipped(Tier::Two, &Registry::standard()).expect("it is sound").tools;
    let tools: Vec<String> = tools.into_iter().filter(|tool| tool != SUBMIT).collect();
    let failed: Arc<Mutex<Vec<String>>> = Arc::default();
    let (asked, noted) = (tools.clone(), failed.clone());
    let tier2 = ScriptedAnalyst::new(move |_, turns| {
        let device = || {
            let mut of = answers(turns).filter(|answered| answered.call.tool == "get_device_id_by_name");
            let outcome = of.next().and_then(|answered| answered.outcome.clone().ok());
            outcome.and_then(|answer| answer.data["device_id"].as_str().map(str::to_owned)).unwrap_or_default()
        };
        Ok(match turns.len() {
            0 => calls(&[search("WKS-1"), ("get_device_id_by_name", json!({"name": "WKS-1"}))]),
            1 => {
                let device = device();
                let list: Vec<(&str, Value)> =
                    asked.iter().map(|tool| (tool.as_str(), arguments(tool, &device))).collect();
                calls(&list)
            }
            _ => {
                let refused = answers(turns).filter_map(|answered| {
                    let error: &ToolError = answered.outcome.as_ref().err()?;
                    Some(format!("{}: {error}", answered.call.tool))
                });
                noted.lock().unwrap_or_else(PoisonError::into_inner).extend(refused);
                submit(malicious(id_of(turns, "p-WKS-1"), id_of(turns, "n-WKS-1"), "WKS-1"))
            }
        })
    });
    world.waiting_case(vec![alert("WKS-1", Severity::Medium)]).await;
    let process = world.process(Arc::new(ScriptedAnalyst::new(finds_harm())), Arc::new(tier2)).await;
    world.drive(&process).await.expect("it is worked on");

    let failed = failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // No floor ran, so nothing was written to the desk that get_case could show.
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].starts_with("get_case: the desk does not show WF-1 yet"), "{failed:?}");
    let log = world.log().await;
    let steps: Vec<&str> =
        log.attempts[1].steps.values().filter(|step| step.done.is_some()).map(|step| step.what.as_str()).collect();
    for tool in &tools {
        assert!(steps.contains(&tool.as_str()), "the call of {tool} is not on record: {steps:?}");
    }
    let wishes: Vec<_> = log.proposals.iter().map(|filed| filed.proposal.action.noun()).collect();
    assert_eq!(wishes, ["isolation", "release", "antivirus scan"], "tier 1's wish and tier 2's are one");
    let comments = world.comments().await;
    assert_eq!(comments.iter().filter(|comment| comment.text.contains("a note")).count(), 1);
}

#[test]
fn a_baseline_is_stored_without_alerts_and_says_what_it_lacks() {
    let state = State::new();
    let data = state.path().display().to_string();
    let harmless = state.beside("log.ndjson");
    let baseline = support::program::SAMPLE;
    let log = std::fs::read_to_string(baseline).expect("it is there");
    // An updater's start, on which no rule matches.
    std::fs::write(&harmless, log.lines().next().unwrap_or_default()).expect("it is written");
    let harmless = harmless.display().to_string();
    let ended = run(watchfloor(&["triage", &harmless, "--baseline", baseline, "--data", &data, "--json"]));
    let report = ended.expect_finished().json();
    assert_eq!(report["cases"], json!([]), "what would raise alerts raised none");
    assert!(report["baseline"]["events"].as_u64().is_some_and(|events| events > 0), "{report}");
    let lacks = report["baseline"]["lacks"].as_str().unwrap_or_default();
    assert!(lacks.contains("needs 7 days"), "{report}");
    // The same log, judged: it is known and still raises what it raises.
    let judged = run(watchfloor(&["triage", baseline, "--data", &data, "--json"])).expect_finished().json();
    assert!(judged["cases"].as_array().is_some_and(|cases| !cases.is_empty()), "{judged}");
}

#[test]
fn a_context_that_cannot_be_used_stops_the_command() {
    let state = State::new();
    let (data, folder) = (state.path().display().to_string(), state.beside("context"));
    std::fs::create_dir(&folder).expect("it is made");
    std::fs::write(folder.join("assets.toml"), "[[asset]]\nname = '*'\nrole = 'server'\n").expect("it is written");
    let context = folder.display().to_string();
    let arguments = ["triage", support::program::SAMPLE, "--context", &context, "--data", &data];
    run(watchfloor(&arguments)).expect_refusal(&["assets.toml", "line 2", "covers too much"]);
}

#[test]
fn a_context_that_was_named_once_is_known_to_later_commands() {
    let state = State::new();
    let (data, folder) = (state.path().display().to_string(), state.beside("declared"));
    std::fs::create_dir(&folder).expect("it is made");
    std::fs::write(folder.join("assets.toml"), "[[asset]]\nname = 'FIN-22'\nrole = 'server'\n").expect("it is written");
    let context = folder.display().to_string();
    let named = ["triage", support::program::SAMPLE, "--context", &context, "--data", &data, "--json"];
    let report = run(watchfloor(&named)).expect_finished().json();
    assert!(report["context"].as_str().is_some_and(|from| from.ends_with("declared")), "{report}");
    let later = run(watchfloor(&["triage", support::program::SAMPLE, "--data", &data])).expect_finished();
    assert!(later.stdout.contains("context: ") && later.stdout.contains("declared"), "{later:?}");
    std::fs::remove_dir_all(&folder).expect("it is removed");
    let gone = ["triage", support::program::SAMPLE, "--data", &data];
    run(watchfloor(&gone)).expect_refusal(&["declared", "--context", "context.path"]);
    let comment = ["cases", "comment", "WF-1", "looked into", "--by", "Kim", "--data", &data];
    run(watchfloor(&comment)).expect_refusal(&["declared", "context.path"]);
    run(watchfloor(&["cases", "list", "--data", &data])).expect_finished();
}
