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
fn what_a_dry_run_refused_is_asked_again_once_people_are_asked_and_the_case_is_looked_at_again() {
    let state = State::new();
    let dry = state.run(&["triage", SAMPLE]).expect_code(1);
    assert!(dry.stdout.contains("`cases reopen` asks again"), "{dry:?}");
    state.run(&["cases", "reopen", "WF-1", "--because", "a look", "--by", "ana"]).expect_finished();
    assert!(approvals(&state).is_empty(), "a dry run asks nobody, whatever is looked at again");
    state.run(&["triage", SAMPLE, "--containment", "approve"]).expect_finished();
    state.run(&["cases", "reopen", "WF-1", "--because", "contain it", "--by", "ana"]).expect_finished();
    let waiting = approvals(&state);
    let [asked] = waiting.as_slice() else { panic!("{waiting:?}") };
    assert_eq!((&asked["standing"], &asked["approval"]["case"]), (&json!("waiting"), &json!("WF-1")), "{asked}");
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
    let commented = state.run(&["cases", "comment", &case, "looked at", "--by", "ana"]).expect_finished().stdout;
    assert!(commented.contains("watchfloor leases release L-"), "whatever is done to the case: {commented}");
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

/// The long form takes every append.
fn stride() -> usize {
    if std::env::var_os("WATCHFLOOR_LONG").is_some_and(|value| value == "1") { 1 } else { 3 }
}

/// The process dies after its appends in turn, while a device is isolated and while it is let back.
#[test]
fn aborted_after_any_append_a_device_is_isolated_once_and_let_back_once() {
    let isolating = asking();
    let proposal = id(&approvals(&isolating)[0]);
    let number = proposal.replace('P', "L");
    let approve = ["approvals", "approve", &proposal, "--by", "ana"];
    let release = ["leases", "release", &number, "--by", "ana", "--because", "a test"];
    let releasing = State::new();
    copy(&isolating.path(), &releasing.path());
    releasing.run(&approve).expect_code(0);
    let both = [
        (&isolating, &approve[..], "live", vec!["isolate"]),
        (&releasing, &release[..], "released", vec!["isolate", "release"]),
    ];
    for (base, words, standing, expected) in both {
        let mut aborts = 0;
        for after in (1..).step_by(stride()) {
            let state = State::new();
            copy(&base.path(), &state.path());
            let mut command = state.command(words);
            command.env(FAULT, format!("abort-after-append={after}"));
            let is_aborted = run(command).code().is_none();
            aborts += u32::from(is_aborted);
            // The same word again: what was begun goes on, and what is done already is not done twice.
            state.run(words);
            let asked = asked_of_edr(&state);
            assert_eq!(asked.len(), expected.len(), "{standing}, append {after}: {asked:?}");
            for ((action, status), expected) in asked.iter().zip(&expected) {
                assert!(action.contains(expected) && status.contains("succeeded"), "append {after}: {asked:?}");
            }
            // The case heard of everything the audit has.
            let thread = state.run(&["cases", "show", &proposal_case(&proposal), "--json"]).expect_finished().json();
            assert_eq!(proposal_of(&thread, &proposal)["decision"], standing, "append {after}");
            state.assert_sound();
            if !is_aborted {
                break;
            }
        }
        println!("{standing}: {aborts} aborts");
        assert!(aborts >= 2, "{standing}: only {aborts} aborts met it");
    }
}

/// The process dies while the cases are judged: the next one asks people for the same, each once.
#[test]
fn aborted_while_it_judges_the_same_approvals_wait_once_each() {
    let triage = ["triage", SAMPLE, "--containment", "approve", "--json"];
    let ids = |state: &State| approvals(state).iter().map(id).collect::<Vec<_>>();
    let expected = ids(&asking());
    let mut aborts = 0;
    for after in (4..).step_by(9 * stride()) {
        let state = State::new();
        let mut command = state.command(&triage);
        command.env(FAULT, format!("abort-after-append={after}"));
        let is_aborted = run(command).code().is_none();
        state.run(&triage).expect_code(1);
        assert_eq!(ids(&state), expected, "append {after}");
        let decided = "SELECT count(*) FROM entry WHERE stream = 'gate' AND kind = 'decision'";
        let rows: u32 = state.database("journal.db").query_row(decided, [], |row| row.get(0)).expect("it is read");
        assert_eq!(usize::try_from(rows), Ok(expected.len()), "append {after}: each is decided once");
        state.assert_sound();
        aborts += u32::from(is_aborted);
        if !is_aborted {
            break;
        }
    }
    assert!(aborts >= 2, "only {aborts} aborts met it");
}

#[test]
fn a_floor_whose_audit_was_changed_asks_nobody_and_does_nothing() {
    let state = asking();
    let proposal = id(&approvals(&state)[0]);
    let forge =
        "UPDATE entry SET body = replace(body, 'isolate_device', 'run_av_scan') WHERE stream = 'gate' AND seq = 2";
    assert_eq!(state.database("journal.db").execute(forge, []).expect("it is changed"), 1);
    state.run(&["audit", "verify"]).expect_code(2);
    state.run(&["approvals", "approve", &proposal, "--by", "ana"]).expect_code(2);
    assert!(asked_of_edr(&state).is_empty());
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
    use watchfloor::domain::containment::{Answer, DenialRule, GateEvent, Mode, Order, Policy, Purpose, Standing};
    use watchfloor::domain::ids::ProposalId;
    use watchfloor::floor::gate_view;
    use watchfloor::floor::tree::Floor;
    use watchfloor::journal::audit::{self, AuditChain};
    use watchfloor::journal::effects::EDR;
    use watchfloor::journal::words::{self, Word};

    use watchfloor::ports::clock::Clock;
    use watchfloor::ports::journal::{Journal, NewEffect};

    use super::support::dying::DyingJournal;
    use super::support::scripts::finds_harm;
    use super::support::world::{CASE, World, activity, alert, deliver};

    /// Paused time runs ahead of the disk: what is looked for comes after some looks, not after some seconds.
    const LOOKS: u32 = 100_000;

    const FIRST: ProposalId = ProposalId::new(CASE, 1);

    async fn floor(world: &World) -> Floor {
        floor_on(world, world.journal()).await
    }

    async fn floor_on(world: &World, journal: Arc<dyn Journal>) -> Floor {
        let analyst = || Arc::new(ScriptedAnalyst::new(finds_harm()));
        let clock = Arc::new(world.clock.clone());
        let shared = world.process_on(journal, clock, analyst(), analyst()).await;
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
        for _ in 0..LOOKS {
            if holds(&standing(world).await) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{what}: it is {:?}", standing(world).await);
    }

    /// Approves, and waits for the gatekeeper's answer.
    async fn approve(world: &World) -> gate_view::Said {
        let (number, word) = put_on_record(world).await;
        for _ in 0..LOOKS {
            let said = gate_view::said(&world.stores, number, &word).await.expect("it is read");
            if said.heard {
                return said;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nobody heard it");
    }

    async fn put_on_record(world: &World) -> (u64, Word) {
        let word = Word::Approve { proposal: FIRST, by: "ana".into(), lasts: None };
        (words::say(world.journal().as_ref(), &word, world.clock.now()).await.expect("it is on record"), word)
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
        let said = approve(&world).await;
        assert!(said.heard && said.refused.is_some(), "{said:?}");
        assert!(is_expired(&standing(&world).await));
        floor.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_over_is_released_and_read_back() {
        let (world, floor) = asking().await;
        approve(&world).await;
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

    /// The process dies around its question to the EDR. Whoever comes next finds at the EDR what was asked, and asks
    /// nothing twice.
    #[tokio::test(start_paused = true)]
    async fn a_gatekeeper_that_dies_around_its_question_asks_it_once() {
        for kind in ["ordered", "accepted", "settled"] {
            let (world, first) = asking().await;
            first.stop().await;
            let dying = DyingJournal::before(world.journal(), move |append| {
                append.records.iter().any(|record| record.kind == kind)
            });
            let dead = floor_on(&world, dying.clone()).await;
            put_on_record(&world).await;
            for _ in 0..LOOKS {
                if dying.is_dead() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(dying.is_dead(), "{kind}");
            dead.stop().await;
            let device = device(&world).await;
            let asked = world.stores.devices.actions(&device).await.expect("it answers");
            assert_eq!(asked.len(), usize::from(kind != "ordered"), "{kind}");

            // The dead process' leases carry another name: they have to expire.
            world.clock.advance(121);
            let second = floor(&world).await;
            settles(&world, kind, |standing| matches!(standing, Standing::Live { .. })).await;
            second.at_rest().await.expect("it comes to rest");
            let asked = world.stores.devices.actions(&device).await.expect("it answers");
            assert_eq!(asked.len(), 1, "{kind}: {asked:?}");
            second.stop().await;
        }
    }

    /// A process died between the order and its sending, and the next one comes too late or under another policy.
    #[tokio::test(start_paused = true)]
    async fn what_was_approved_and_never_sent_is_not_sent_for_ever() {
        for (minutes, mode, is_done) in [(5, Mode::Approve, true), (30, Mode::Approve, false), (5, Mode::DryRun, false)]
        {
            let (world, first) = asking().await;
            first.stop().await;
            let (by, because) = ("ana".to_owned(), "it spreads".to_owned());
            let answer = Answer::Approved { by: by.clone(), lease: jiff::SignedDuration::from_hours(4) };
            let order = Order { purpose: Purpose::Contain, key: "wf:key".into(), by, because };
            let effect = NewEffect { key: order.key.clone(), target: EDR.into(), lane: "x".into(), body: "{}".into() };
            let events = vec![
                GateEvent::Answered { proposal: FIRST, word: 0, answer },
                GateEvent::Ordered { proposal: FIRST, word: None, order },
            ];
            let mut chain = AuditChain::open(world.journal()).await.expect("it is read");
            chain.append(events, vec![effect], vec![], world.clock.now()).await.expect("it is written");
            world.clock.advance(60 * minutes);

            let analyst = || Arc::new(ScriptedAnalyst::new(finds_harm()));
            let shared = world.process(analyst(), analyst()).await;
            shared.contain_by(Policy::of(mode));
            let floor = Floor::start(shared).await.expect("it starts");
            let ended = |standing: &Standing| matches!(standing, Standing::Live { .. } | Standing::NotDone { .. });
            settles(&world, "it is settled", ended).await;
            assert_eq!(matches!(standing(&world).await, Standing::Live { .. }), is_done, "{minutes} {mode:?}");
            let asked = world.stores.devices.actions(&device(&world).await).await.expect("it answers");
            assert_eq!(asked.len(), usize::from(is_done), "{minutes} {mode:?}");
            floor.at_rest().await.expect("it comes to rest");
            floor.stop().await;
        }
    }

    async fn device(world: &World) -> watchfloor::domain::ids::DeviceId {
        let all = world.stores.devices.devices().await.expect("it lists");
        all.into_iter().find(|device| device.name.key() == "wks-1").expect("its events name it").id
    }
}
