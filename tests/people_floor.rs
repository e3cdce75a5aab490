//! What people say of cases, on a whole floor: it is carried out, it holds against machines and against regrouping,
//! and no kill loses a word.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use support::clocks::at;
use support::dying::DyingJournal;
use support::scripts::finds_no_harm;
use support::world::{World, activity, alert, deliver};
use watchfloor::analyst::scripted::ScriptedAnalyst;
use watchfloor::domain::alert::{Alert, Severity};
use watchfloor::domain::case::Status;
use watchfloor::domain::entity::{Entity, HostName};
use watchfloor::domain::ids::{AlertId, CaseId, RuleId};
use watchfloor::domain::person::Act;
use watchfloor::floor::people::{self, On, PeopleError, Request, Told};
use watchfloor::floor::queries;
use watchfloor::floor::tree::Floor;
use watchfloor::journal::case_log::CaseLog;
use watchfloor::journal::case_stream::{CaseStream, cases};
use watchfloor::journal::outcomes::RuleOutcomes;
use watchfloor::ports::journal::Journal;

const DAY: i64 = 24 * 3_600;

/// An alert at a minute on `WKS-1`, of which nothing is known but a process.
fn sample(id: &str, minute: i64, process: &str) -> Alert {
    Alert {
        id: AlertId::new(id),
        time: at(minute * 60),
        entities: vec![Entity::Process(process.into())],
        ..alert("WKS-1", Severity::Medium)
    }
}

async fn world() -> World {
    World::with(activity("WKS-1", "tool.exe /all")).await
}

/// A floor whose analysts find every case harmless, with proof.
async fn floor_on(world: &World, journal: Arc<dyn Journal>) -> Floor {
    let script = || Arc::new(ScriptedAnalyst::new(finds_no_harm()));
    Floor::start(world.process_on(journal, Arc::new(world.clock.clone()), script(), script()).await)
        .await
        .expect("it starts")
}

async fn floor(world: &World) -> Floor {
    floor_on(world, world.journal()).await
}

async fn delivered(floor: &Floor, alerts: Vec<Alert>) {
    deliver(floor, alerts).await;
    floor.at_rest().await.expect("it comes to rest");
}

fn asked(act: Act, on: On) -> Request {
    Request { by: "Kim".into(), act, on, only_count: false }
}

async fn said(world: &World, floor: &Floor, act: Act, cases: &[u32]) -> Told {
    let on = On::Cases(cases.iter().map(|number| CaseId::new(*number)).collect());
    let told = people::say(&world.stores, asked(act, on), watchfloor::ports::clock::Clock::now(&world.clock)).await;
    let told = told.expect("it fits");
    assert!(told.carried_out, "{told:?}");
    floor.at_rest().await.expect("it comes to rest");
    told
}

async fn refused(world: &World, act: Act, on: On) -> String {
    let told = people::say(&world.stores, asked(act, on), at(0)).await;
    told.map_err(|error: PeopleError| error.to_string()).expect_err("it does not fit")
}

fn because(text: &str) -> String {
    text.into()
}

fn judge(ruling: &str) -> Act {
    Act::Judge { ruling: ruling.parse().expect("a ruling"), because: because("it was looked at") }
}

fn resolve(ruling: &str) -> Act {
    Act::Resolve { ruling: ruling.parse().expect("a ruling"), because: because("it was looked at") }
}

fn split(alerts: &[&str]) -> Act {
    Act::Split { alerts: alerts.iter().map(|id| AlertId::new(*id)).collect(), because: because("another matter") }
}

async fn log(world: &World, case: u32) -> CaseLog {
    world.stream_of(CaseId::new(case)).await.log().clone()
}

async fn texts(world: &World, case: u32) -> String {
    let comments = world.stores.desk.comments(CaseId::new(case)).await.expect("they are read");
    comments.iter().map(|comment| format!("{}: {}\n", comment.comment.author, comment.comment.text)).collect()
}

async fn partition(world: &World) -> BTreeSet<BTreeSet<String>> {
    let mut groups = BTreeSet::new();
    for case in cases(world.journal().as_ref()).await.expect("they are read") {
        let stream = CaseStream::open(world.journal(), case, None).await.expect("it is read");
        let log = stream.log();
        assert!(log.damaged.is_empty(), "{:?}", log.damaged);
        if log.status != Status::Merged {
            groups.insert(log.alerts.iter().map(ToString::to_string).collect());
        }
    }
    groups
}

fn sets(groups: &[&[&str]]) -> BTreeSet<BTreeSet<String>> {
    groups.iter().map(|group| group.iter().map(ToString::to_string).collect()).collect()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("it is built").block_on(work)
}

#[test]
fn a_split_and_a_merge_hold_against_what_arrives_later_and_against_a_restart() {
    run(async {
        let world = world().await;
        let first = floor(&world).await;
        delivered(&first, vec![sample("aaaa1", 0, "{1}"), sample("aaaa2", 1, "{1}"), sample("bbbb1", 9_000, "{2}")])
            .await;
        assert_eq!(partition(&world).await, sets(&[&["aaaa1", "aaaa2"], &["bbbb1"]]));

        // By the beginning of its id, and the oldest alert at that.
        let told = said(&world, &first, split(&["aaaa1"]), &[1]).await;
        assert_eq!(told.now_in, Some(CaseId::new(3)));
        assert_eq!(log(&world, 1).await.alerts, [AlertId::new("aaaa2")]);
        assert!(texts(&world, 1).await.contains("Kim: 1 alert of this case are another incident: another matter"));
        assert!(texts(&world, 3).await.contains("It was part of WF-1 before."));

        let merge = Act::Merge { because: because("one tool, one day") };
        assert_eq!(said(&world, &first, merge, &[1, 2]).await.now_in, Some(CaseId::new(1)));
        assert!(texts(&world, 2).await.contains("Merged into WF-1: Kim says so: one tool, one day."));
        let expected = sets(&[&["aaaa1"], &["aaaa2", "bbbb1"]]);
        assert_eq!(partition(&world).await, expected);
        first.stop().await;

        // All alerts are grouped again, and one of the same process joins one side only.
        let second = floor(&world).await;
        delivered(&second, vec![sample("cccc1", 2, "{1}")]).await;
        let expected = sets(&[&["aaaa1"], &["aaaa2", "bbbb1", "cccc1"]]);
        assert_eq!(partition(&world).await, expected);
        for case in [1, 3] {
            assert_eq!(log(&world, case).await.status, Status::Resolved, "it was judged again");
        }
        second.stop().await;
    });
}

#[test]
fn what_does_not_fit_is_refused_with_the_remedy_and_nothing_is_on_record() {
    run(async {
        let world = world().await;
        let floor = floor(&world).await;
        delivered(&floor, vec![sample("aaaa1", 0, "{1}"), sample("aaaa2", 1, "{1}")]).await;
        let one = || On::Cases(vec![CaseId::new(1)]);
        let word = |text: &str| Act::Comment { text: text.into() };
        for (act, on, remedy) in [
            (split(&["aaaa1", "aaaa2"]), one(), "leave at least one"),
            (split(&["aaaa"]), one(), "cases show WF-1"),
            (split(&["bbbb1"]), one(), "has no alert `bbbb1`"),
            (Act::Merge { because: because("x") }, one(), "two different cases"),
            (Act::Merge { because: because("x") }, On::Where("status=resolved".parse().expect("a filter")), "by name"),
            (word("x"), On::Cases(vec![CaseId::new(7)]), "no case WF-7"),
            (word("x"), On::Cases(vec![]), "at least one case"),
            (word("  "), one(), "the comment says nothing"),
            (Act::Reopen { because: because(" ") }, one(), "the reason says nothing"),
        ] {
            let text = refused(&world, act, on).await;
            assert!(text.contains(remedy), "{text}");
        }
        assert_eq!(log(&world, 1).await.words.len(), 0);
        floor.stop().await;
    });
}

#[test]
fn a_persons_word_stands_above_the_machines_and_a_new_alert_reopens_and_says_so() {
    run(async {
        let world = world().await;
        let floor = floor(&world).await;
        delivered(&floor, vec![sample("a1", 0, "{1}")]).await;
        assert!(log(&world, 1).await.resolved_on_proof.is_some(), "the machine closed it");

        said(&world, &floor, Act::Assign { to: "Robin".into() }, &[1]).await;
        said(&world, &floor, judge("tp:malware"), &[1]).await;
        let judged = log(&world, 1).await;
        assert_eq!(judged.status, Status::Resolved, "a verdict moves nothing");
        said(&world, &floor, Act::Reopen { because: because("look again") }, &[1]).await;
        let held = log(&world, 1).await;
        assert_eq!(held.status, Status::OnHold, "no machine resolves what a person reopened");
        assert!(held.decided_by.is_some_and(|rule| rule.contains("mandatory_human")));

        said(&world, &floor, resolve("true_positive"), &[1]).await;
        assert_eq!(log(&world, 1).await.status, Status::Resolved);
        delivered(&floor, vec![sample("a2", 1, "{1}")]).await;
        let again = log(&world, 1).await;
        assert_eq!(again.status, Status::OnHold, "a machine never undoes a person's word");
        let told = texts(&world, 1).await;
        assert!(told.contains("Kim judged it as true_positive before this"), "{told}");
        let shown = world.stores.desk.get(CaseId::new(1)).await.expect("it is read").expect("it is there").state;
        assert_eq!(shown.assignee.as_deref(), Some("Robin"));
        assert_eq!(shown.persons_verdict.map(|said| said.ruling.to_string()).as_deref(), Some("true_positive"));
        floor.stop().await;
    });
}

#[test]
fn only_people_make_outcomes_and_the_last_word_counts() {
    run(async {
        let world = world().await;
        let floor = floor(&world).await;
        let other = Alert { rule: alert("WKS-1", Severity::Low).rule, ..sample("b1", 9_000, "{2}") };
        let other =
            Alert { rule: watchfloor::domain::alert::RuleCard { id: RuleId::new("other"), ..other.rule }, ..other };
        delivered(&floor, vec![sample("a1", 0, "{1}"), sample("a2", 1, "{1}"), other]).await;
        let outcomes = async || queries::outcomes(&world.stores).await.expect("they are read");
        assert!(outcomes().await.is_empty(), "the machine's closures count for nothing");
        said(&world, &floor, judge("tp"), &[1]).await;
        said(&world, &floor, judge("fp:not_malicious"), &[1]).await;
        said(&world, &floor, judge("undetermined"), &[2]).await;
        let known = outcomes().await;
        assert_eq!(known.len(), 1, "an undetermined word counts neither way");
        assert_eq!(known[&RuleId::new("rule")], RuleOutcomes { malicious: 0, benign: 1 });
        floor.stop().await;
    });
}

#[test]
fn a_confirmed_threat_reopens_what_a_machine_closed_nearby_within_two_weeks() {
    run(async {
        let world = world().await;
        let floor = floor(&world).await;
        delivered(&floor, vec![sample("old", 0, "{0}")]).await;
        world.clock.advance(10 * DAY);
        delivered(&floor, vec![sample("near", 9_000, "{1}")]).await;
        let elsewhere = Alert { host: HostName::new("WKS-2"), ..sample("else", 18_000, "{2}") };
        delivered(&floor, vec![elsewhere]).await;
        world.clock.advance(5 * DAY);
        delivered(&floor, vec![sample("bad", 30_000, "{3}")]).await;
        for case in 1..=4 {
            assert_eq!(log(&world, case).await.status, Status::Resolved);
        }
        said(&world, &floor, judge("tp"), &[4]).await;
        let statuses = [log(&world, 1).await, log(&world, 2).await, log(&world, 3).await].map(|log| log.status);
        assert_eq!(statuses, [Status::Resolved, Status::OnHold, Status::Resolved]);
        let told = texts(&world, 2).await;
        assert!(told.contains("WF-4, which shares its host (host wks-1), was confirmed as a threat"), "{told}");
        floor.stop().await;
    });
}

#[test]
fn a_filter_passes_over_what_does_not_fit_and_a_count_changes_nothing() {
    run(async {
        let world = world().await;
        let floor = floor(&world).await;
        delivered(&floor, vec![sample("a1", 0, "{1}"), sample("b1", 9_000, "{2}"), sample("c1", 18_000, "{3}")]).await;
        said(&world, &floor, Act::Merge { because: because("one matter") }, &[1, 2]).await;
        let on = || On::Where("host=wks-1".parse().expect("a filter"));
        let counted = Request { only_count: true, ..asked(judge("expected"), on()) };
        let counted = people::say(&world.stores, counted, at(20_000)).await.expect("it fits");
        assert_eq!((counted.cases.len(), counted.passed_over.len(), counted.number), (2, 1, None));
        assert!(counted.passed_over[0].1.contains("is part of WF-1"));
        assert!(log(&world, 3).await.persons_verdict.is_none());
        let told = people::say(&world.stores, asked(judge("expected"), on()), at(20_000)).await.expect("it fits");
        assert_eq!(told.cases, [CaseId::new(1), CaseId::new(3)]);
        assert!(log(&world, 3).await.persons_verdict.is_some());
        floor.stop().await;
    });
}

/// Dies after each number of appends of intake and its people, wherever that is: no word is lost or done twice.
#[test]
fn a_floor_that_dies_anywhere_carries_out_every_word_once() {
    run(async {
        let mut died_at_all = 0;
        for dies_after in 0..24 {
            let world = world().await;
            let before = floor(&world).await;
            delivered(
                &before,
                vec![sample("aaaa1", 0, "{1}"), sample("aaaa2", 1, "{1}"), sample("bbbb1", 9_000, "{2}")],
            )
            .await;
            before.stop().await;
            // Said while nobody listens.
            let now = at(20_000);
            for (act, on) in [(split(&["aaaa2"]), vec![1]), (Act::Merge { because: because("x") }, vec![1, 2])] {
                let on = On::Cases(on.into_iter().map(CaseId::new).collect());
                let request = asked(act, on);
                let (told, _) = tokio::join!(people::count(&world.stores, request.clone(), now), async {});
                told.expect("it fits");
                say_unheard(&world, request).await;
            }
            let dying = DyingJournal::after(world.journal(), dies_after);
            let first = floor_on(&world, dying.clone()).await;
            let _ = first.at_rest().await;
            first.stop().await;
            died_at_all += u32::from(dying.is_dead());
            world.clock.advance(121);
            let second = floor(&world).await;
            second.at_rest().await.expect("it comes to rest");
            second.stop().await;
            assert_eq!(partition(&world).await, sets(&[&["aaaa1", "bbbb1"], &["aaaa2"]]), "after {dies_after}");
            assert_eq!(log(&world, 1).await.words.len(), 2, "after {dies_after} appends");
            let told = texts(&world, 1).await;
            assert_eq!(told.matches("another matter").count(), 1, "after {dies_after} appends: {told}");
        }
        assert!(died_at_all > 6, "a split, a merge and their cases are more appends than {died_at_all}");
    });
}

/// Puts a word on record as a command does, and does not wait.
async fn say_unheard(world: &World, request: Request) {
    use watchfloor::domain::person::{GroupingWord, PersonsAct};
    let On::Cases(cases) = request.on else { unreachable!("by name here") };
    let ids = |names: &[&str]| names.iter().map(|name| AlertId::new(*name)).collect::<Vec<_>>();
    let grouping = match &request.act {
        Act::Split { .. } => GroupingWord::Apart { these: ids(&["aaaa2"]), rest: ids(&["aaaa1"]) },
        _ => GroupingWord::Together { alerts: ids(&["aaaa1", "bbbb1"]) },
    };
    let said = PersonsAct { by: request.by, cases, act: request.act };
    let journal = world.journal();
    watchfloor::journal::people_log::say(journal.as_ref(), said, Some(grouping), at(20_000))
        .await
        .expect("it is written");
}

#[test]
fn thousands_of_guessed_passwords_are_one_case_and_cost_seconds() {
    const GUESSES: i64 = 5_000;
    run(async {
        let world = world().await;
        let floor = floor(&world).await;
        let started = Instant::now();
        let guess = |n: i64| Alert {
            id: AlertId::new(format!("g{n}")),
            event_kind: "Security 4625".into(),
            time: at(n / 10),
            entities: vec![Entity::Account(format!("u{}", n % 40)), Entity::Source("192.0.2.9".into())],
            ..alert("WKS-1", Severity::Medium)
        };
        let shared = floor.shared();
        for piece in 0..10 {
            let alerts = (0..GUESSES / 10).map(|n| guess(piece * GUESSES / 10 + n)).collect();
            shared.alerts.receive(alerts, at(10_000)).await.expect("they are stored");
            shared.alerts_arrived();
            tokio::task::yield_now().await;
        }
        watchfloor::floor::ingest::caught_up(shared).await.expect("it is written");
        floor.at_rest().await.expect("it comes to rest");
        let took = started.elapsed();
        assert_eq!(cases(world.journal().as_ref()).await.expect("they are read").len(), 1);
        assert_eq!(log(&world, 1).await.alerts.len(), 5_000);
        let told = texts(&world, 1).await;
        assert!(told.len() < 20_000, "{} characters of comments", told.len());
        println!("{GUESSES} guesses took {took:?}");
        assert!(took.as_secs() < 60, "took {took:?}");
        floor.stop().await;
    });
}
