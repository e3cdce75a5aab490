//! The scoreboard from outside: labelled folders in, counts and exit codes out.

mod support;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::program::{Ended, SAMPLE, State, run, shown, watchfloor};

/// The sample's label, as somebody would write it who knows what happened in it.
fn label() -> Value {
    json!({
        "id": "first-look",
        "kind": "attack",
        "hosts": {"compromised": ["FIN-22", "SRV-APP02"], "origin": ["fin-22.corp.example"], "bystander": ["WKS-07"]},
        "expected": {"isolate": ["FIN-22", "SRV-APP02"], "must_not_isolate": ["WKS-07", "LAP-31"], "must_cite": ["comsvcs.dll"],
            "noise": ""},
        "time": {"offset_to_utc_seconds": 0},
        "written": true,
        "grade": "a field of a later version",
    })
}

/// A folder with the sample and this label.
fn scenario(state: &State, name: &str, label: &Value) -> PathBuf {
    let folder = state.beside("scenarios").join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("label.json"), label.to_string()).expect("it is written");
    std::fs::copy(SAMPLE, folder.join("events.ndjson")).expect("it is copied");
    folder
}

fn score(folder: &Path, arguments: &[&str]) -> Ended {
    run(watchfloor(&[&["score", shown(folder)], arguments].concat()))
}

#[test]
fn the_sample_is_played_and_compared_with_its_label() {
    let state = State::new();
    scenario(&state, "one", &label());
    let ended = score(&state.beside("scenarios"), &["--json"]).expect_code(0);
    assert!(ended.stderr.contains("1 of 1: first-look: detected"), "{ended:?}");
    let report = ended.json();
    let one = &report["scenarios"][0];
    assert_eq!(
        (&one["id"], &one["kind"], &one["outcome"]),
        (&json!("first-look"), &json!("attack"), &json!("detected"))
    );
    assert_eq!(one["source"], "written");
    assert_eq!((&one["events"], &one["skipped"], &one["wrong_closes"]), (&json!(121), &json!(0), &json!(0)));
    assert_eq!(one["isolations"]["wrong"], 0);
    assert_eq!(one["must_cite"], json!({"wanted": 1, "shown": 1}));
    let cases = one["cases"].as_array().expect("cases");
    assert!(cases.len() >= 3, "an intrusion, a false alarm and an open question: {cases:?}");
    let counted: u64 = cases.iter().filter_map(|case| case["alerts"].as_u64()).sum();
    assert_eq!(one["alerts"], counted, "every alert is in one case");
    for case in cases {
        assert_eq!(case["alerts"], case["alert_refs"].as_array().map_or(0, Vec::len), "{case}");
        assert!(
            case["alert_refs"][0]["rule_id"].is_string() && case["alert_refs"][0]["record_id"].is_string(),
            "{case}"
        );
        assert!(case["citations"]["total"].as_u64() > Some(0), "a verdict cites something: {case}");
        assert_eq!(case["citations"]["total"], case["citations"]["verified"], "{case}");
        assert_eq!(case["status"] == "on_hold", case["hold_reason"].is_string(), "{case}");
        assert_eq!(case["status"] == "resolved", case["closed_by"] == "machine", "{case}");
        let history = case["history"].as_array().expect("it was judged");
        assert_eq!(history.last().map(|stood| &stood["status"]), Some(&case["status"]), "{case}");
        assert!(history.is_sorted_by_key(|stood| stood["arrived"].as_u64()), "{case}");
        assert!(history.iter().all(|stood| stood["arrived"].as_u64().is_some_and(|events| events <= 121)), "{case}");
    }
    assert!(one["steps"].as_u64() > Some(1), "an incident is no single moment: {one}");
    let totals = &report["totals"];
    assert_eq!((&totals["attacks"], &totals["detected"], &totals["missed"]), (&json!(1), &json!(1), &json!(0)));
    assert_eq!(totals["citations"], totals["citations_verified"]);
    assert_eq!(totals["brier_skill"], json!({"attack": null, "benign": null}), "there is one class alone");
}

#[test]
fn a_label_that_the_floor_does_not_live_up_to_is_a_finding() {
    let state = State::new();
    // The false alarm on this host is closed by the floor; a label that calls the host compromised makes that wrong.
    let mut other = label();
    other["hosts"] = json!({"compromised": ["WKS-07"]});
    scenario(&state, "one", &other);
    let ended = score(&state.beside("scenarios"), &[]).expect_code(1);
    for said in
        ["1 written scenarios (written, not recorded)", "missed: first-look", "wrong close: first-look WF-", "1 of 1"]
    {
        assert!(ended.stdout.contains(said), "`{said}` is not said: {ended:?}");
    }
    other["expected"]["noise"] = json!("All of it: 'e' is in every title.");
    scenario(&state, "one", &other);
    let report = score(&state.beside("scenarios"), &["--json"]).expect_code(1).json();
    assert_eq!(report["scenarios"][0]["wrong_closes"], 0, "the label calls it noise");
    assert_eq!(report["totals"]["missed"], 1);
}

#[test]
fn recordings_and_written_scenarios_have_boards_of_their_own() {
    let state = State::new();
    scenario(&state, "one", &label());
    let mut recorded = label();
    recorded["id"] = json!("as if recorded");
    recorded["written"] = json!(false);
    recorded["kind"] = json!("rehearsal");
    scenario(&state, "two", &recorded);
    let folder = state.beside("scenarios");
    let report = score(&folder, &["--json"]).expect_code(0).json();
    assert_eq!((&report["totals"]["of"], &report["totals_written"]["of"]), (&json!("recorded"), &json!("written")));
    assert_eq!((&report["totals"]["scenarios"], &report["totals_written"]["scenarios"]), (&json!(1), &json!(1)));
    assert_eq!(report["totals"]["attacks"], 0, "a kind that is not known is no attack");
    let only = score(&folder, &["--json", "--only", "first-look"]).expect_code(0).json();
    assert_eq!(only["scenarios"].as_array().map_or(0, Vec::len), 1);
}

#[test]
fn history_beside_a_scenario_raises_nothing() {
    let state = State::new();
    let folder = scenario(&state, "one", &label());
    // The day before looked the same: none of it is an alert, or there would be twice as many.
    let before = std::fs::read_to_string(SAMPLE).expect("the sample").replace("2026-11-17", "2026-11-16");
    std::fs::write(folder.join("baseline.ndjson"), before).expect("it is written");
    let with = score(&folder, &["--json"]).expect_finished().json();
    std::fs::remove_file(folder.join("baseline.ndjson")).expect("it is there");
    let without = score(&folder, &["--json"]).expect_finished().json();
    for name in ["events", "alerts"] {
        assert_eq!(with["scenarios"][0][name], without["scenarios"][0][name], "{name}");
    }
}

#[test]
fn what_cannot_be_scored_is_said_with_the_file() {
    let state = State::new();
    let folder = scenario(&state, "one", &label());
    std::fs::write(folder.join("label.json"), r#"{"id": "one"}"#).expect("it is written");
    score(&state.beside("scenarios"), &[]).expect_refusal(&["one/label.json", "kind"]);
    score(&state.beside("nowhere"), &[]).expect_refusal(&["nowhere", "cannot be read"]);
    scenario(&state, "one", &label());
    std::fs::write(folder.join("events.ndjson"), "no log\n").expect("it is written");
    score(&folder, &[]).expect_refusal(&["scenario first-look", "events.ndjson", "no log"]);
    score(&folder, &["--only", "another"]).expect_refusal(&["another", "first-look"]);
}

#[test]
fn cleared_logs_at_the_edges_are_not_there_unless_the_attack_is_to_clear_them() {
    let state = State::new();
    let cleared = |minute: u32, record: u32| {
        json!({
            "@timestamp": format!("2026-11-17T06:{minute:02}:00Z"), "Hostname": "FIN-22.corp.example",
            "Channel": "Security", "EventID": 1102, "SourceName": "Microsoft-Windows-Eventlog",
            "RecordNumber": record, "EventTime": format!("2026-11-17 06:{minute:02}:00"),
            "EventReceivedTime": format!("2026-11-17 06:{minute:02}:00"), "SourceModuleName": "eventlog",
            "SourceModuleType": "im_msvistalog", "SubjectUserName": "an.operator",
        })
    };
    let sample = std::fs::read_to_string(SAMPLE).expect("the sample");
    let lines: Vec<String> = [cleared(1, 9_001), cleared(30, 9_002)].iter().map(Value::to_string).collect();
    let events = |label: &Value| {
        let folder = scenario(&state, "one", label);
        std::fs::write(folder.join("events.ndjson"), format!("{}\n{sample}", lines.join("\n"))).expect("it is written");
        score(&folder, &["--json"]).expect_finished().json()["scenarios"][0]["events"].clone()
    };
    assert_eq!(events(&label()), 122, "one of the two is at the edge");
    let mut clears = label();
    clears["techniques"] = json!(["T1070.001"]);
    assert_eq!(events(&clears), 123);
}

/// The folder of recordings: `WATCHFLOOR_SHARED`, or `shared` beside the repository.
fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("WATCHFLOOR_SHARED").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(|parent| parent.join("shared"));
    named.or_else(beside).filter(|folder| folder.join("data/scenarios").is_dir())
}

/// The long form plays every recording, which takes minutes.
fn is_long() -> bool {
    std::env::var_os("WATCHFLOOR_LONG").is_some_and(|value| value == "1")
}

#[test]
fn no_recorded_attack_is_missed_or_closed_and_every_citation_is_true() {
    let Some(shared) = shared().filter(|_| is_long()) else {
        println!(
            "skipped: WATCHFLOOR_LONG=1 plays the recordings that lie beside the repository or in WATCHFLOOR_SHARED"
        );
        return;
    };
    let rules = shared.join("data/sigma-rules.tar.gz");
    let ended = score(&shared.join("data/scenarios"), &["--rules", shown(&rules), "--json"]).expect_code(0);
    let totals = &ended.json()["totals"];
    println!("{totals:#}");
    assert!(totals["attacks_with_alerts"].as_u64() > Some(0), "{totals}");
    assert_eq!((&totals["missed"], &totals["wrong_closes"]), (&json!(0), &json!(0)), "{totals}");
    assert_eq!(totals["citations"], totals["citations_verified"], "{totals}");
    assert_eq!(totals["verdicts_without_citation"], 0, "{totals}");
}
