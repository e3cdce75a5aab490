//! `watchfloor cases …`, from outside: with no floor running, and through the control socket of one that runs.

mod support;

use serde_json::Value;
use support::program::{SAMPLE, State};
use support::running::Running;

/// The cases as `cases list` gives them.
fn listed(state: &State) -> Vec<Value> {
    let listed = state.run(&["cases", "list", "--json"]).expect_finished().json();
    listed.as_array().expect("a list").clone()
}

fn case<'c>(cases: &'c [Value], id: &str) -> &'c Value {
    cases.iter().find(|case| case["id"] == id).unwrap_or_else(|| panic!("{id} is missing: {cases:?}"))
}

/// The first case of this status.
fn first_of(state: &State, status: &str) -> String {
    let cases = listed(state);
    let found = cases.iter().find(|case| case["state"]["status"] == status);
    found.unwrap_or_else(|| panic!("none is {status}: {cases:?}"))["id"].as_str().expect("an id").to_owned()
}

fn triaged() -> State {
    let state = State::new();
    state.run(&["triage", SAMPLE, "--json"]).expect_finished();
    state
}

#[test]
fn a_person_decides_a_case_from_the_command_line() {
    let state = triaged();
    let held = first_of(&state, "on_hold");
    state.run(&["cases", "comment", &held, "asked", "the", "owner", "--by", "Kim"]).expect_code(1);
    state.run(&["cases", "assign", &held, "Robin", "--by", "Kim"]).expect_code(1);
    let resolved = state
        .run(&[
            "cases",
            "resolve",
            &held,
            "--as",
            "expected:confirmed_activity",
            "--because",
            "hers",
            "--by",
            "Kim",
            "--json",
        ])
        .expect_code(0)
        .json();
    assert_eq!(resolved["told"]["carried_out"], true);
    assert_eq!(case(resolved["cases"].as_array().expect("cases"), &held)["state"]["status"], "resolved");

    let shown = state.run(&["cases", "show", &held]).expect_code(0).stdout;
    for line in
        ["asked the owner", "Kim judged it as expected:confirmed_activity: hers", "Looked after by Robin", "Roles: "]
    {
        assert!(shown.contains(line), "{line} is missing in {shown}");
    }
    let thread = state.run(&["cases", "show", &held, "--json"]).expect_code(0).json();
    assert!(!thread["case"]["state"]["roles"].as_object().expect("roles").is_empty());
    assert!(!thread["alerts"].as_array().expect("alerts").is_empty());

    let found = state.run(&["cases", "search", "Asked", "owner", "--json"]).expect_code(0).json();
    assert_eq!(found.as_array().map(Vec::len), Some(1));
    state.run(&["cases", "search", "nothing-has-this-word"]).expect_code(0);
    state.assert_sound();
}

#[test]
fn bulk_is_counted_before_it_is_done() {
    let state = triaged();
    let waiting = listed(&state).iter().filter(|case| case["state"]["status"] == "on_hold").count();
    assert!(waiting > 0);
    let judge = |extra: &[&str]| {
        let arguments =
            ["cases", "judge", "--where", "status=on_hold", "--as", "undetermined", "--because", "x", "--by", "Kim"];
        state.run(&[&arguments[..], extra].concat())
    };
    let counted = judge(&[]).expect_code(1).stdout;
    assert!(counted.contains("Would change") && counted.contains("add --yes"), "{counted}");
    assert!(listed(&state).iter().all(|case| case["state"]["persons_verdict"].is_null()));
    judge(&["--yes"]).expect_code(1);
    let judged = listed(&state).iter().filter(|case| !case["state"]["persons_verdict"].is_null()).count();
    assert_eq!(judged, waiting);
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_remedy() {
    let state = triaged();
    let refused = |arguments: &[&str], words: &[&str]| {
        state.run(arguments).expect_refusal(words);
    };
    refused(&["cases", "comment", "WF-99", "x", "--by", "Kim"], &["no case WF-99", "cases list"]);
    refused(&["cases", "resolve", "WF-1", "--as", "harmless", "--because", "x"], &["false_positive"]);
    refused(&["cases", "judge", "--where", "colour=red", "--as", "fp", "--because", "x"], &["use status, queue"]);
    refused(&["cases", "merge", "WF-1", "WF-1", "--because", "x", "--by", "Kim"], &["two different cases"]);
    refused(&["cases", "assign", "Robin", "--by", "Kim"], &["cases assign CASE PERSON"]);
    refused(&["cases", "reopen", "WF-1", "--because", " ", "--by", "Kim"], &["says nothing"]);
}

#[test]
fn a_floor_that_runs_carries_out_what_is_said_through_its_socket() {
    let state = triaged();
    let held = first_of(&state, "on_hold");
    let (floor, _) = Running::listening(&state);
    let said = state
        .run(&["cases", "resolve", &held, "--as", "tp:malware", "--because", "seen", "--by", "Kim", "--json"])
        .expect_finished()
        .json();
    assert_eq!(said["told"]["carried_out"], true, "{said}");
    assert_eq!(case(&listed(&state), &held)["state"]["persons_verdict"]["ruling"], "true_positive:malware");
    state.run(&["cases", "reopen", &held, "--because", "once more", "--by", "Kim"]).expect_code(1);
    floor.stop();
    state.assert_sound();
}
