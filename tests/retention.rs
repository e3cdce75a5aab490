//! Old events go, and what the floor rests on stays: because a case that can no longer be checked is worth nothing.

mod support;

use serde_json::Value;
use support::program::State;
use support::world::{World, alert, event};
use watchfloor::domain::alert::{Correlated, Severity};
use watchfloor::domain::event::SYSMON;
use watchfloor::domain::ids::EventId;
use watchfloor::floor::retention::{cited, prune};
use watchfloor::journal::alert_log::AlertLog;
use watchfloor::ports::clock::Clock;
use watchfloor::ports::events::retention::RetentionPolicy;

/// Every event that an alert, a verdict or a thread of the folder's cases points at is still there.
fn assert_threads_lead_somewhere(state: &State, cases: &Value) {
    for case in cases.as_array().expect("a list") {
        let id = case["id"].as_str().expect("an id");
        let thread = state.run(&["cases", "show", id, "--json"]).expect_finished().json();
        for exhibit in thread["exhibits"].as_array().expect("a list") {
            let text = exhibit["text"].as_str().expect("a text");
            assert!(!text.contains("no longer holds"), "{id}: {text}");
        }
    }
}

#[test]
fn pruning_removes_what_nothing_rests_on_and_changes_no_case() {
    let state = State::new();
    state.triage();
    let cases = state.run(&["cases", "list", "--json"]).expect_finished().json();
    let stats = || state.run(&["events", "stats", "--json"]).expect_code(0).json();
    let before = stats();
    let events = before["history"]["events"].as_u64().expect("a count");
    assert!(events > 0 && before["history"]["complete_since"].is_null(), "{before}");

    let prune = |more: &[&str]| {
        let words = [&["events", "prune", "--older-than", "1h", "--json"], more].concat();
        state.run(&words).expect_code(0).json()
    };
    let would = prune(&["--dry-run"]);
    assert_eq!(stats()["history"], before["history"], "a dry run removes nothing");
    let did = prune(&[]);
    for name in ["removed", "kept", "from", "to"] {
        assert_eq!(would[name], did[name], "{name}");
    }
    let (removed, kept) = (did["removed"].as_u64().expect("a count"), did["kept"].as_u64().expect("a count"));
    assert!(removed > 0 && kept > 0, "{did}");
    assert_eq!(removed + kept, events, "the scenario is older than an hour");
    let after = stats();
    assert_eq!(after["history"]["events"], kept);
    assert!(!after["history"]["complete_since"].is_null(), "{after}");
    assert_eq!(prune(&[])["removed"], 0, "there is nothing left to remove");

    let same = state.run(&["cases", "list", "--json"]).expect_finished().json();
    assert_eq!(same, cases);
    assert_threads_lead_somewhere(&state, &same);
    state.assert_sound();
}

#[test]
fn a_folder_without_cases_and_a_bound_without_unit_are_refused_with_the_remedy() {
    let state = State::new();
    state.run(&["events", "prune", "--older-than", "1d"]).expect_refusal(&["holds no cases yet", "triage"]);
    state.run(&["events", "prune", "--older-than", "90"]).expect_refusal(&["90d"]);
}

#[tokio::test]
async fn what_a_correlation_counted_is_kept_with_what_completed_it() {
    let seen = |id: &str, seconds| event(id, seconds, "WKS-1", (SYSMON, 1), Value::Object(Default::default()));
    let world = World::with(vec![seen("first", 1), seen("idle", 2), seen("p-WKS-1", 3)]).await;
    let mut counted = alert("WKS-1", Severity::Medium);
    counted.correlated = Correlated::new(vec![EventId::new("first"), EventId::new("p-WKS-1")]);
    let log = AlertLog::open(world.journal()).await.expect("it is read");
    log.receive(vec![counted], world.clock.now()).await.expect("it is stored");

    let kept = cited(&world.stores).await.expect("it is read");
    assert_eq!(kept.iter().map(EventId::as_str).collect::<Vec<_>>(), ["first", "p-WKS-1"]);
    let all = RetentionPolicy { before: Some(jiff::Timestamp::MAX), ..RetentionPolicy::default() };
    let pruned = prune(&world.stores, &all).await.expect("it is pruned");
    assert_eq!((pruned.removed, pruned.kept), (1, 2));
    assert!(world.stores.events.get(&EventId::new("first")).await.expect("it is read").is_some());
}
