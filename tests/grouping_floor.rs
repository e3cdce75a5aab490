//! Intake as a whole: however alerts arrive, and wherever it dies, they end in the same cases.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use support::clocks::at;
use support::dying::DyingJournal;
use support::scripts::looks_twice;
use support::world::{World, activity, alert, deliver};
use watchfloor::analyst::scripted::ScriptedAnalyst;
use watchfloor::domain::alert::{Alert, Severity};
use watchfloor::domain::case::Status;
use watchfloor::domain::entity::{Entity, HostName};
use watchfloor::domain::ids::AlertId;
use watchfloor::floor::tree::Floor;
use watchfloor::journal::case_log::CaseLog;
use watchfloor::journal::case_stream::{CaseStream, cases};
use watchfloor::ports::journal::Journal;

type Partition = BTreeSet<BTreeSet<String>>;

/// An alert at a minute on a host, with an account.
fn sample(id: usize, host: &str, minute: i64, account: Option<&str>) -> Alert {
    Alert {
        id: AlertId::new(format!("a{id:02}")),
        host: HostName::new(host),
        time: at(minute * 60),
        entities: account.into_iter().map(|name| Entity::Account(name.into())).collect(),
        ..alert("WKS-1", Severity::Medium)
    }
}

/// Seven alerts of three incidents: on `WKS-1` a chain of steps an hour apart at most; an account that moves from
/// `WKS-2` to `SRV-1`; one alert by itself. The fourth and the sixth alert each tie two groups together.
fn incidents() -> Vec<Alert> {
    vec![
        sample(1, "WKS-1", 0, None),
        sample(2, "WKS-1", 90, None),
        sample(3, "WKS-2", 600, Some("a.user")),
        sample(4, "WKS-1", 45, None),
        sample(5, "SRV-1", 700, None),
        sample(6, "SRV-1", 650, Some("a.user")),
        sample(7, "SRV-2", 5_000, None),
    ]
}

/// Those that tie two groups together.
const BRIDGES: [&str; 2] = ["a04", "a06"];

fn expected() -> Partition {
    let set = |ids: &[usize]| ids.iter().map(|id| format!("a{id:02}")).collect::<BTreeSet<_>>();
    BTreeSet::from([set(&[1, 2, 4]), set(&[3, 5, 6]), set(&[7])])
}

async fn floor(world: &World, journal: Arc<dyn Journal>) -> Floor {
    // Whoever is asked fails: these tests are about what happens before.
    let script = || {
        let looks = looks_twice(|_, _| unreachable!("it gives up first"));
        Arc::new(ScriptedAnalyst::new(move |brief, turns| match turns.len() {
            0 => looks(brief, turns),
            _ => Err(watchfloor::analyst::AnalystError::Failed("no judgement in this test".into())),
        }))
    };
    let shared = world.process_on(journal, Arc::new(world.clock.clone()), script(), script()).await;
    Floor::start(shared).await.expect("it starts")
}

async fn logs(world: &World) -> Vec<CaseLog> {
    let mut logs = Vec::new();
    for case in cases(world.journal().as_ref()).await.expect("they are read") {
        let stream = CaseStream::open(world.journal(), case, None).await.expect("it is read");
        logs.push(stream.log().clone());
    }
    logs
}

/// The alerts of every surviving case. Checks on the way that no case was forgotten on its way and none is damaged.
async fn partition(world: &World) -> Partition {
    let logs = logs(world).await;
    for log in &logs {
        assert!(log.damaged.is_empty(), "{:?}", log.damaged);
        match log.status {
            Status::Merged => {
                let into = log.merged_into.expect("it says where it went");
                let survivor = logs.iter().find(|other| other.id == into).expect("it exists");
                assert!(log.alerts.iter().all(|alert| survivor.alerts.contains(alert)), "{} lost alerts", log.id);
                assert!(into < log.id, "the oldest case survives");
            }
            status => assert_eq!(status, Status::OnHold, "{} is forgotten", log.id),
        }
        let shown = world.stores.desk.get(log.id).await.expect("it is read").expect("the desk shows it");
        assert_eq!((shown.state.status, shown.state.merged_into), (log.status, log.merged_into), "{}", log.id);
    }
    let surviving = logs.iter().filter(|log| log.status != Status::Merged);
    surviving.map(|log| log.alerts.iter().map(ToString::to_string).collect()).collect()
}

async fn delivered(chunks: &[Vec<Alert>]) -> Partition {
    let world = World::with(activity("WKS-1", "tool.exe /all")).await;
    let floor = floor(&world, world.journal()).await;
    for chunk in chunks {
        deliver(&floor, chunk.clone()).await;
        floor.at_rest().await.expect("it comes to rest");
    }
    floor.stop().await;
    partition(&world).await
}

/// On the real clock: the floor's own ticks are rare beside its hints, and a paused clock would race ahead of the disk.
fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("it is built").block_on(work)
}

#[test]
fn alerts_at_once_make_the_expected_cases() {
    assert_eq!(run(delivered(&[incidents()])), expected());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_chunking_ends_in_the_same_cases(
        order in Just(incidents()).prop_shuffle(),
        cuts in prop::collection::vec(any::<bool>(), 6),
    ) {
        let mut chunks = vec![vec![order[0].clone()]];
        for (alert, cut) in order[1..].iter().zip(cuts) {
            if cut {
                chunks.push(Vec::new());
            }
            chunks.last_mut().expect("there is one").push(alert.clone());
        }
        prop_assert_eq!(run(delivered(&chunks)), expected(), "{:?}", chunks);
    }
}

/// Dies after each number of appends of intake, wherever that is: between opening and joining, within a merge.
#[test]
fn a_floor_that_dies_anywhere_goes_on_to_the_same_cases() {
    let survives = async |dies_after: u64| {
        let world = World::with(activity("WKS-1", "tool.exe /all")).await;
        let dying = DyingJournal::after(world.journal(), dies_after);
        let first = floor(&world, dying.clone()).await;
        let shared = first.shared().clone();
        // The bridges come last, so that cases are merged. Sources deliver again what they are not told was taken.
        let (bridges, islands) =
            incidents().into_iter().partition(|alert: &Alert| BRIDGES.contains(&alert.id.as_str()));
        if shared.alerts.receive(islands, at(10_000)).await.is_ok() && first.at_rest().await.is_ok() {
            let taken = shared.alerts.receive(bridges, at(10_000)).await;
            if taken.is_ok() && watchfloor::floor::ingest::caught_up(&shared).await.is_ok() {
                let _ = first.at_rest().await;
            }
        }
        first.stop().await;
        let died = dying.is_dead();
        world.clock.advance(121);
        let second = floor(&world, world.journal()).await;
        deliver(&second, incidents()).await;
        second.at_rest().await.expect("it comes to rest");
        second.stop().await;
        assert_eq!(partition(&world).await, expected(), "after {dies_after} appends");
        died
    };
    // Receiving twice, five cases opened, two merges of three appends each, the end of the delivery, three made ready.
    for dies_after in 0..16 {
        assert!(run(survives(dies_after)), "intake alone is more than {dies_after} appends");
    }
}
