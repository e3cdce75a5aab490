//! A case on hold is looked at again once more has arrived, and not for ever, nor for every alert that repeats what it
//! was judged on; on a running floor a case is at rest only once it has settled.

mod support;

use std::sync::Arc;

use support::clocks::at;
use support::scripts::{finds_harm, finds_no_harm, id_of, looks_twice, malicious, undecided};
use support::world::{CASE, World, activity, alert, deliver, event};
use watchfloor::analyst::scripted::ScriptedAnalyst;
use watchfloor::domain::alert::{Alert, Severity};
use watchfloor::domain::case::{HoldCause, Status};
use watchfloor::domain::event::{Event, SYSMON};
use watchfloor::domain::ids::{AlertId, RuleId};
use watchfloor::domain::person::Act;
use watchfloor::floor::ingest::{caught_up, ingest};
use watchfloor::floor::people::{self, On, Request};
use watchfloor::floor::settling::Settle;
use watchfloor::floor::shared::Shared;
use watchfloor::floor::tree::Floor;
use watchfloor::ports::events::EventRow;

/// What happened until the process ended, and what shows that its machine was watched afterwards.
fn halves() -> (Vec<Event>, Vec<Event>) {
    activity("WKS-1", "tool.exe /all").into_iter().partition(|event| event.time < at(3_600))
}

/// A process on this world whose analysts find every case harmless, with proof.
async fn process(world: &World) -> Arc<Shared> {
    let script = || Arc::new(ScriptedAnalyst::new(finds_no_harm()));
    world.process(script(), script()).await
}

async fn more(floor: &Floor, events: Vec<Event>) {
    let shared = floor.shared();
    ingest(shared, events.into_iter().map(EventRow::from).collect(), vec![]).await.expect("they are stored");
    caught_up(shared).await.expect("it is written");
    floor.at_rest().await.expect("it comes to rest");
}

/// A floor with a case that waits for information: nobody knows whether its sensors lived on.
async fn waiting(world: &World) -> Floor {
    let floor = Floor::start(process(world).await).await.expect("it starts");
    deliver(&floor, vec![alert("WKS-1", Severity::Medium)]).await;
    floor.at_rest().await.expect("it comes to rest");
    let log = world.log().await;
    assert_eq!(log.status, Status::OnHold);
    assert_eq!(log.hold.map(|hold| hold.cause), Some(HoldCause::InsufficientTelemetry));
    floor
}

#[tokio::test]
async fn what_was_missing_has_arrived_and_the_case_is_closed_on_its_proof() {
    let (before, after) = halves();
    let world = World::with(before).await;
    let floor = waiting(&world).await;
    more(&floor, vec![]).await;
    assert_eq!(world.log().await.attempts.len(), 1, "nothing has arrived, so nothing is looked at again");
    more(&floor, after).await;
    let log = world.log().await;
    assert_eq!((log.status, log.attempts.len(), log.second_looks), (Status::Resolved, 2, 1), "{:?}", log.hold);
    floor.stop().await;
    let comments = world.stores.desk.comments(CASE).await.expect("they are read");
    assert_eq!(comments.iter().filter(|written| written.comment.text.starts_with("Looked at again")).count(), 1);
}

#[tokio::test]
async fn nobody_looks_for_ever() {
    let world = World::with(halves().0).await;
    let floor = waiting(&world).await;
    for minute in 0..5 {
        let elsewhere = event(&format!("x{minute}"), 7_200 + minute * 60, "SRV-9", (SYSMON, 5), serde_json::json!({}));
        more(&floor, vec![elsewhere]).await;
    }
    assert_eq!(world.log().await.attempts.len(), 4, "once, and three times again");
    floor.stop().await;
}

#[tokio::test]
async fn what_a_person_has_taken_up_is_left_to_them() {
    let (before, after) = halves();
    let world = World::with(before).await;
    let floor = waiting(&world).await;
    let request = Request {
        by: "Kim".into(),
        act: Act::Assign { to: "Kim".into() },
        on: On::Cases([CASE].into()),
        only_count: false,
    };
    people::say(&world.stores, request, at(0)).await.expect("it fits");
    floor.at_rest().await.expect("it comes to rest");
    more(&floor, after).await;
    let log = world.log().await;
    assert_eq!((log.status, log.attempts.len()), (Status::OnHold, 1));
    floor.stop().await;
}

#[tokio::test]
async fn a_floor_whose_cases_settle_is_not_at_rest_before_they_have() {
    let world = World::new().await;
    let shared = process(&world).await;
    shared.judge_once_settled(Settle::AT_ONCE);
    let floor = Floor::start(shared.clone()).await.expect("it starts");
    // No source ever says that it is done.
    ingest(&shared, vec![], vec![alert("WKS-1", Severity::Medium)]).await.expect("it is stored");
    floor.at_rest().await.expect("it comes to rest");
    assert_eq!(world.log().await.status, Status::Resolved);
    floor.stop().await;
}

/// A floor whose analysts at both tiers go by this script, and whose first case was judged once on these alerts.
async fn judged(world: &World, script: impl Fn() -> Arc<ScriptedAnalyst>, alerts: Vec<Alert>) -> Floor {
    let floor = Floor::start(world.process(script(), script()).await).await.expect("it starts");
    deliver(&floor, alerts).await;
    floor.at_rest().await.expect("it comes to rest");
    assert_eq!(world.log().await.status, Status::OnHold);
    floor
}

fn elsewhere(number: i64) -> Event {
    event(&format!("x{number}"), 7_200 + number * 60, "SRV-9", (SYSMON, 5), serde_json::json!({}))
}

#[tokio::test]
async fn a_threat_is_looked_at_again_until_a_person_is_asked_to_contain_it() {
    // Without what it asks for, and with it.
    for (asks, again) in [(false, true), (true, false)] {
        let world = World::new().await;
        let without = || {
            ScriptedAnalyst::new(looks_twice(|_, turns| {
                let found = malicious(id_of(turns, "p-WKS-1"), id_of(turns, "n-WKS-1"), "WKS-1");
                watchfloor::domain::draft::Draft { containment: vec![], ..found }
            }))
        };
        let with = || ScriptedAnalyst::new(finds_harm());
        let script = || Arc::new(if asks { with() } else { without() });
        let floor = judged(&world, script, vec![alert("WKS-1", Severity::High)]).await;
        let log = world.log().await;
        assert_eq!(log.hold.map(|hold| hold.cause), Some(HoldCause::ConfirmedThreat));
        assert_eq!(log.proposals.is_empty(), !asks);
        more(&floor, vec![elsewhere(0)]).await;
        assert_eq!(world.log().await.second_looks > 0, again, "asks: {asks}");
        floor.stop().await;
    }
}

/// The alert of that number, by a rule.
fn numbered(number: u32, rule: &str) -> Alert {
    let usual = alert("WKS-1", Severity::Medium);
    let rule = watchfloor::domain::alert::RuleCard { id: RuleId::new(rule), ..usual.rule };
    Alert { id: AlertId::new(format!("r{number:02}")), time: at(i64::from(number)), rule, ..usual }
}

#[tokio::test]
async fn alerts_that_repeat_what_was_judged_only_join_until_they_are_as_many_again() {
    let world = World::new().await;
    let script = || Arc::new(ScriptedAnalyst::new(looks_twice(|_, turns| undecided(id_of(turns, "p-WKS-1")))));
    let floor = judged(&world, script, (0..4).map(|number| numbered(number, "rule")).collect()).await;
    let looked = world.log().await.attempts.len();
    for number in 4..7 {
        deliver(&floor, vec![numbered(number, "rule")]).await;
        floor.at_rest().await.expect("it comes to rest");
    }
    let log = world.log().await;
    assert_eq!((log.alerts.len(), log.attempts.len(), log.status), (7, looked, Status::OnHold), "they only joined");
    let shown = world.stores.desk.get(CASE).await.expect("it is read").expect("the desk shows it");
    assert_eq!(shown.state.alerts, 7, "and the desk shows them");

    deliver(&floor, vec![numbered(7, "rule")]).await;
    floor.at_rest().await.expect("it comes to rest");
    let doubled = world.log().await.attempts.len();
    assert!(doubled > looked, "eight are another matter than four");

    deliver(&floor, vec![numbered(8, "another-rule")]).await;
    floor.at_rest().await.expect("it comes to rest");
    let other = world.log().await.attempts.len();
    assert!(other > doubled, "another rule saw something else");

    deliver(&floor, vec![numbered(9, "rule")]).await;
    floor.at_rest().await.expect("it comes to rest");
    assert_eq!(world.log().await.attempts.len(), other);
    more(&floor, vec![elsewhere(1)]).await;
    let log = world.log().await;
    assert!(log.attempts.len() > other, "a second look takes up what only joined");
    assert_eq!(log.attempts.last().map(|attempt| attempt.alerts), Some(10));
    floor.stop().await;
}
