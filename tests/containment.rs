//! From a proposal to a device that is let back: whoever is asked, in time or too late, on the same case or another,
//! and wherever the process dies. Because a gate that acts twice, or for nobody, is worse than none.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use support::program::{Ended, FAULT, SAMPLE, State, run, shown, watchfloor};
use support::running::Running;

/// The sample, judged by a floor that asks people.
fn asking() -> State {
    let state = State::new();
    state.run(&["triage", SAMPLE, "--containment", "approve"]).expect_code(1);
    state
}

fn approvals(state: &State) -> Vec<Value> {
    let listed = state.run(&["approvals", "list", "--json"]).expect_finished().json();
    listed.as_array().expect("a list").clone()
}

fn leases(state: &State) -> Vec<Value> {
    let listed = state.run(&["leases", "list", "--json"]).expect_finished().json();
    listed.as_array().expect("a list").clone()
}

fn id(shown: &Value) -> String {
    shown["proposal"]["id"].as_str().expect("an id").to_owned()
}

fn lease_id(shown: &Value) -> String {
    shown["lease"]["id"].as_str().expect("an id").to_owned()
}

/// What the simulator was asked for: actions with their status.
fn asked_of_edr(state: &State) -> Vec<(String, String)> {
    let database = state.database("edr.db");
    let mut query = database.prepare("SELECT action, status FROM device_action ORDER BY number").expect("it is there");
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("it is read");
    rows.collect::<Result<_, _>>().expect("it is text")
}

fn approve(state: &State, proposal: &str) -> Ended {
    state.run(&["approvals", "approve", proposal, "--by", "ana", "--for", "2h", "--json"])
}

#[test]
fn a_proposal_is_listed_approved_live_and_released_and_every_surface_says_simulated() {
    let state = asking();
    let waiting = approvals(&state);
    assert!(!waiting.is_empty(), "the sample has proposals");
    let (first, proposal) = (&waiting[0], id(&waiting[0]));
    assert_eq!((&first["standing"], &first["simulated"]), (&json!("waiting"), &json!(true)), "{first}");
    assert!(asked_of_edr(&state).is_empty(), "nothing is asked before a person answers");
    let case = first["approval"]["case"].as_str().expect("a case").to_owned();
    let told = state.run(&["cases", "show", &case]).expect_code(1).stdout;
    let command = format!("watchfloor approvals approve {proposal} --data {}", shown(&state.path()));
    assert!(told.contains(&command) && told.contains("(simulated)"), "{told}");
    state.run(&["approvals", "list"]).expect_code(1);

    let said = approve(&state, &proposal).expect_code(0).json();
    assert_eq!((&said["heard"], &said["matter"]["standing"]), (&json!(true), &json!("live")), "{said}");
    assert_eq!(asked_of_edr(&state).len(), 1);
    let live = leases(&state);
    let [lease] = live.as_slice() else { panic!("{live:?}") };
    assert_eq!((&lease["simulated"], &lease["lease"]["owner"]), (&json!(true), &json!("ana")), "{lease}");
    let number = lease_id(lease);
    let shown_lease = state.run(&["leases", "show", &number]).expect_code(1).stdout;
    assert!(shown_lease.contains("(simulated)") && shown_lease.contains("Undo: release"), "{shown_lease}");

    // An approval is worth one action.
    let again = approve(&state, &proposal).expect_code(2).json();
    assert!(again["refused"].as_str().is_some_and(|why| why.contains("isolated until")), "{again}");
    let before = lease["lease"]["until"].as_str().expect("a time").to_owned();
    let extend =
        |time: &str| state.run(&["leases", "extend", &number, "--for", time, "--because", "a look", "--by", "ana"]);
    extend("2h").expect_code(0);
    assert!(leases(&state)[0]["lease"]["until"].as_str() > Some(before.as_str()));
    assert!(extend("23h").expect_code(2).stdout.contains("at most 24h"));

    let release = ["leases", "release", &number, "--because", "it was re-imaged", "--by", "ana", "--json"];
    let said = state.run(&release).expect_code(0).json();
    assert_eq!(said["matter"]["standing"], "released", "{said}");
    assert!(leases(&state).is_empty());
    let asked = asked_of_edr(&state);
    assert!(asked.iter().all(|(_, status)| status.contains("succeeded")) && asked.len() == 2, "{asked:?}");
    let thread = state.run(&["cases", "show", &case, "--json"]).expect_finished().json();
    let comments = thread["comments"].as_array().expect("comments");
    let gate: Vec<&str> = comments
        .iter()
        .filter(|comment| comment["author"] == "Gatekeeper")
        .filter_map(|comment| comment["text"].as_str())
        .collect();
    for word in ["approved by ana", "the simulated EDR shows that it was done", "it was re-imaged"] {
        assert!(gate.iter().any(|text| text.contains(word)), "{word}: {gate:?}");
    }
    state.assert_sound();
}

#[test]
fn nobody_of_the_floor_answers_and_a_denial_has_a_reason() {
    let state = asking();
    let proposal = id(&approvals(&state)[0]);
    for own in ["Tier 1", "gatekeeper", "agent"] {
        let refused = state.run(&["approvals", "approve", &proposal, "--by", own]).expect_code(2);
        assert!(refused.stdout.contains("is no person's name"), "{refused:?}");
    }
    state.run(&["approvals", "approve", &proposal, "--by", "ana", "--for", "25h"]).expect_code(2);
    let empty = state.run(&["approvals", "deny", &proposal, "--by", "ana", "--because", " "]).expect_code(2);
    assert!(empty.stdout.contains("needs a reason"), "{empty:?}");
    let unknown = state.run(&["approvals", "approve", "P-99.1", "--by", "ana"]).expect_code(2);
    assert!(unknown.stdout.contains("there is no proposal P-99.1"), "{unknown:?}");
    assert!(approvals(&state).iter().any(|shown| id(shown) == proposal), "it still waits");
    state.run(&["approvals", "deny", &proposal, "--by", "ana", "--because", "a drill"]).expect_code(0);
    assert!(approvals(&state).iter().all(|shown| id(shown) != proposal));
    approve(&state, &proposal).expect_code(2);
    assert!(asked_of_edr(&state).is_empty());
    state.assert_sound();
}

#[test]
fn a_floor_contains_nothing_unless_it_was_told_to_ask() {
    let state = State::new();
    state.run(&["triage", SAMPLE]).expect_code(1);
    assert!(approvals(&state).is_empty());
    let all = state.run(&["approvals", "list", "--all", "--json"]).expect_code(0).json();
    let all = all.as_array().expect("a list");
    assert!(!all.is_empty() && all.iter().all(|shown| shown["rule"] == "dry_run"), "{all:?}");
    assert!(asked_of_edr(&state).is_empty());
}

#[test]
fn a_changed_policy_voids_what_waits() {
    let state = asking();
    let proposal = id(&approvals(&state)[0]);
    state.run(&["triage", SAMPLE]).expect_code(1);
    // The floor of this command follows the policy that was in force last: dry run.
    let late = approve(&state, &proposal).expect_code(2).json();
    assert_eq!(late["matter"]["rule"], "policy_changed", "{late}");
    assert!(approvals(&state).is_empty() && asked_of_edr(&state).is_empty());
}

/// The sample judged with these devices declared; gives the proposals of FIN-22, which the sample asks for.
fn with_devices(declared: &str) -> (State, Vec<Value>, Value) {
    let state = State::new();
    std::fs::create_dir_all(state.path()).expect("a folder");
    std::fs::write(state.path().join("devices.toml"), declared).expect("it is written");
    let report = state.run(&["triage", SAMPLE, "--containment", "approve", "--json"]).expect_code(1).json();
    let is_it = |case: &&Value| case["case"]["state"]["proposals"].as_array().is_some_and(|all| !all.is_empty());
    let case = report["cases"].as_array().expect("cases").iter().find(is_it).expect("a case with proposals").clone();
    let proposals = case["case"]["state"]["proposals"].as_array().expect("a list").clone();
    let of_host = proposals.into_iter().filter(|proposal| proposal["host"].as_str().is_some_and(is_fin));
    (state, of_host.collect(), case)
}

fn is_fin(host: &str) -> bool {
    host.to_ascii_lowercase().starts_with("fin-22")
}

#[test]
fn a_device_that_must_not_or_cannot_be_isolated_is_refused_with_the_check_and_its_value() {
    for (declared, rule, says) in [
        ("managed = false", "unmanaged_device", "which the simulated EDR does not manage"),
        ("online = false", "offline_device", "the simulated EDR cannot reach"),
        ("role = 'domain controller'", "protected_device", "it is tagged `domain controller`"),
        ("id = 'a'\n[[device]]\nname = 'FIN-22'\nid = 'b'", "ambiguous_device", "means 2 devices: a, b"),
    ] {
        let (state, proposals, case) = with_devices(&format!("[[device]]\nname = 'FIN-22'\n{declared}\n"));
        let [proposal] = proposals.as_slice() else { panic!("{declared}: {proposals:?}") };
        assert_eq!((&proposal["decision"], &proposal["rule"]), (&json!("denied"), &json!(rule)), "{proposal}");
        assert!(proposal["value"].as_str().is_some_and(|value| value.contains(says)), "{proposal}");
        assert!(asked_of_edr(&state).is_empty());
        assert_eq!(case["case"]["state"]["status"], "on_hold", "{declared}");
        if rule == "unmanaged_device" {
            let missing = case["case"]["state"]["hold"]["missing"].to_string();
            assert!(
                missing.contains("isolation was asked for FIN-22") && missing.contains("does not manage"),
                "{missing}"
            );
        }
    }
}

#[test]
fn devices_that_are_not_understood_stop_the_command_with_the_remedy() {
    let state = State::new();
    std::fs::create_dir_all(state.path()).expect("a folder");
    std::fs::write(state.path().join("devices.toml"), "[[device]]\nnme = 'x'\n").expect("it is written");
    state.run(&["triage", SAMPLE]).expect_refusal(&["devices.toml", "nme", "managed, online, role"]);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("it is read") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("it is copied");
    }
}

/// The process dies after each of its appends in turn, while a device is isolated and while it is let back.
#[test]
fn aborted_after_any_append_a_device_is_isolated_once_and_let_back_once() {
    let base = asking();
    let proposal = id(&approvals(&base)[0]);
    let number = proposal.replace('P', "L");
    let approve = ["approvals", "approve", &proposal, "--by", "ana"];
    let release = ["leases", "release", &number, "--by", "ana", "--because", "a test"];
    for (what, words) in [("approve", &approve[..]), ("release", &release[..])] {
        let mut aborts = 0;
        for after in 1.. {
            let state = State::new();
            copy(&base.path(), &state.path());
            if what == "release" {
                state.run(&approve).expect_code(0);
            }
            let mut command = state.command(words);
            command.env(FAULT, format!("abort-after-append={after}"));
            let ended = run(command);
            let aborted = ended.code().is_none();
            aborts += u32::from(aborted);
            // Any word starts a floor that goes on with what was begun; this one is about nothing.
            state.run(&["approvals", "deny", "P-99.9", "--by", "ana", "--because", "a test"]).expect_code(2);
            state.run(words);
            let expected = if what == "approve" { vec!["isolate"] } else { vec!["isolate", "release"] };
            let asked = asked_of_edr(&state);
            assert_eq!(asked.len(), expected.len(), "{what}, append {after}: {asked:?}");
            for ((action, status), expected) in asked.iter().zip(expected) {
                assert!(action.contains(expected) && status.contains("succeeded"), "append {after}: {asked:?}");
            }
            let standing = if what == "approve" { "live" } else { "released" };
            let shown = state.run(&["approvals", "show", &proposal, "--json"]).expect_finished().json();
            assert_eq!(shown["standing"], standing, "{what}, append {after}: {shown}");
            // The case heard of everything the audit has, each once.
            let case = shown["approval"]["case"].as_str().map_or_else(|| proposal_case(&proposal), str::to_owned);
            let thread = state.run(&["cases", "show", &case, "--json"]).expect_finished().json();
            assert_eq!(proposal_of(&thread, &proposal)["decision"], standing, "{what}, append {after}");
            state.assert_sound();
            if !aborted {
                break;
            }
        }
        assert!(aborts >= 4, "{what}: only {aborts} aborts met it");
    }
}

fn proposal_case(proposal: &str) -> String {
    let number = proposal.trim_start_matches("P-").split('.').next().expect("a number");
    format!("WF-{number}")
}

fn proposal_of<'v>(thread: &'v Value, proposal: &str) -> &'v Value {
    let all = thread["case"]["state"]["proposals"].as_array().expect("a list");
    all.iter().find(|shown| shown["id"] == proposal).expect("it is shown")
}

#[test]
fn watch_says_so_when_no_floor_runs() {
    let state = State::new();
    state.run(&["watch"]).expect_refusal(&["no floor runs on", "watchfloor run"]);
    state.run(&["triage", SAMPLE]).expect_code(1);
    state.run(&["watch"]).expect_refusal(&["no floor runs on", "watchfloor cases list"]);
}

#[test]
fn watch_tells_who_does_what_and_ends_with_the_floor() {
    let state = State::new();
    state.run(&["triage", SAMPLE]).expect_code(1);
    let log = state.write("empty.ndjson", "");
    let running = Running::following(&state, &log);
    let mut command = watchfloor(&["watch", "--from-start", "--json", "--data", shown(&state.path())]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut seen = Vec::new();
    let wanted = [("Intake", "opened"), ("Tier 1", "begun"), ("Tier 2", "judged"), ("Gatekeeper", "decided")];
    for line in stdout.lines() {
        let line: Value = serde_json::from_str(&line.expect("a line")).expect("it is JSON");
        seen.push((
            line["who"].as_str().unwrap_or_default().to_owned(),
            line["kind"].as_str().unwrap_or_default().to_owned(),
        ));
        let has = |who: &str, kind: &str| seen.iter().any(|(w, k)| w == who && k == kind);
        if wanted.iter().all(|(who, kind)| has(who, kind)) {
            break;
        }
    }
    running.stop();
    let ended = child.wait_with_output().expect("it is ours");
    assert_eq!(ended.status.code(), Some(0), "{seen:?}");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("has stopped"), "{said}");
}

#[test]
fn a_running_floor_hears_people_over_its_socket() {
    let state = asking();
    let proposal = id(&approvals(&state)[0]);
    let log = state.write("empty.ndjson", "");
    let running = Running::start(&state, &["--follow", shown(&log), "--containment", "approve"]);
    running.wait_for("the source is up", |told| told["news"] == "up");
    let said = approve(&state, &proposal).expect_code(0).json();
    assert_eq!(said["matter"]["standing"], "live", "{said}");
    assert_eq!(leases(&state).len(), 1);
    running.stop();
    state.assert_sound();
}

mod time {
    use std::sync::Arc;
    use std::time::Duration;

    use watchfloor::analyst::scripted::ScriptedAnalyst;
    use watchfloor::domain::alert::Severity;
    use watchfloor::domain::containment::{DenialRule, Mode, Policy, Standing};
    use watchfloor::domain::ids::ProposalId;
    use watchfloor::floor::gate_view;
    use watchfloor::floor::tree::Floor;
    use watchfloor::journal::audit;
    use watchfloor::journal::words::Word;

    use super::support::scripts::finds_harm;
    use super::support::world::{CASE, World, activity, alert, deliver};

    const FIRST: ProposalId = ProposalId::new(CASE, 1);

    async fn floor(world: &World) -> Floor {
        let analyst = || Arc::new(ScriptedAnalyst::new(finds_harm()));
        let shared = world.process(analyst(), analyst()).await;
        shared.contain_by(Policy::of(Mode::Approve));
        Floor::start(shared).await.expect("it starts")
    }

    /// A floor on a case whose proposal waits for a person.
    async fn asking() -> (World, Floor) {
        let world =
            World::with([activity("WKS-1", "tool.exe /all"), activity("WKS-2", "tool.exe /all")].concat()).await;
        let floor = floor(&world).await;
        deliver(&floor, vec![alert("WKS-1", Severity::Medium)]).await;
        floor.at_rest().await.expect("it comes to rest");
        assert!(matches!(standing(&world).await, Standing::Waiting { .. }));
        (world, floor)
    }

    async fn standing(world: &World) -> Standing {
        let log = world.log().await;
        let proposed = log.proposals.iter().find(|proposed| proposed.proposal.id == FIRST).expect("it was proposed");
        proposed.standing.clone().expect("it was decided")
    }

    async fn settles(world: &World, what: &str, holds: impl Fn(&Standing) -> bool) {
        for _ in 0..2_000 {
            if holds(&standing(world).await) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{what}: it is {:?}", standing(world).await);
    }

    fn approve() -> Word {
        Word::Approve { proposal: FIRST, by: "ana".into(), lasts: None }
    }

    #[tokio::test(start_paused = true)]
    async fn an_approval_that_nobody_answers_in_time_is_a_denial_and_stays_one() {
        let (world, floor) = asking().await;
        world.clock.advance(30 * 60 - 1);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(matches!(standing(&world).await, Standing::Waiting { .. }), "it waits to its last second");
        world.clock.advance(1);
        let is_expired = |standing: &Standing| matches!(standing, Standing::Denied { rule: DenialRule::Expired, .. });
        settles(&world, "it expires", is_expired).await;
        let said = gate_view::say(&world.stores, &approve()).await.expect("it is on record");
        assert!(said.heard && said.refused.is_some(), "{said:?}");
        assert!(is_expired(&standing(&world).await));
        floor.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_over_is_released_and_read_back() {
        let (world, floor) = asking().await;
        gate_view::say(&world.stores, &approve()).await.expect("it is on record");
        settles(&world, "it is isolated", |standing| matches!(standing, Standing::Live { .. })).await;
        let Standing::Live { lease } = standing(&world).await else { unreachable!("it is live") };
        let edr = world.stores.devices.clone();
        assert!(edr.is_isolated(&lease.device).await.expect("it answers"));
        world.clock.advance(4 * 3_600 - 1);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(matches!(standing(&world).await, Standing::Live { .. }), "it lasts to its last second");
        world.clock.advance(1);
        settles(&world, "it is let back", |standing| matches!(standing, Standing::Released { .. })).await;
        assert!(!edr.is_isolated(&lease.device).await.expect("it answers"));
        assert_eq!(edr.actions(&lease.device).await.expect("it answers").len(), 2);
        assert_eq!(audit::verify(world.journal().as_ref()).await.expect("it is read").broken, None);
        floor.stop().await;
    }

    /// What joined may change what the person was shown: the answer counts for nothing, and it is asked anew.
    #[tokio::test(start_paused = true)]
    async fn an_alert_that_joins_voids_what_waits_and_it_is_asked_anew() {
        let (world, floor) = asking().await;
        let mut second = alert("WKS-1", Severity::Medium);
        second.id = watchfloor::domain::ids::AlertId::new("a-second");
        second.event = watchfloor::domain::ids::EventId::new("n-WKS-1");
        deliver(&floor, vec![second]).await;
        settles(&world, "it is void", |standing| {
            matches!(standing, Standing::Denied { rule: DenialRule::CaseChanged, .. })
        })
        .await;
        floor.at_rest().await.expect("it comes to rest");
        let log = world.log().await;
        assert_eq!(log.alerts.len(), 2);
        let waits = |standing: &Option<Standing>| matches!(standing, Some(Standing::Waiting { .. }));
        assert!(
            log.proposals.len() > 1 && waits(&log.proposals[log.proposals.len() - 1].standing),
            "{:?}",
            log.proposals
        );
        assert!(world.stores.devices.actions(&device(&world).await).await.expect("it answers").is_empty());
        floor.stop().await;
    }

    async fn device(world: &World) -> watchfloor::domain::ids::DeviceId {
        world.stores.devices.devices().await.expect("it lists")[0].id.clone()
    }
}
