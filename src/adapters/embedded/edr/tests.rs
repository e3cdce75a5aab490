//! Actions take their time, refusals come at once, and nothing is forgotten over a restart.

use super::*;
use crate::adapters::embedded::events::EmbeddedEvents;
use crate::domain::event::{Event, Origin, SYSMON};
use crate::domain::ids::EventId;
use crate::ports::clock::SystemClock;
use crate::ports::events::EventRow;

const DECLARED: &str = "
[[device]]
name = 'KIOSK-4'
managed = false

[[device]]
name = 'LAP-12'
online = false

[[device]]
name = 'PRN-1.one.example'

[[device]]
name = 'PRN-1.two.example'
";

async fn open(folder: &Path) -> EmbeddedEdr {
    let events = Arc::new(EmbeddedEvents::open_within(folder, Limits::default()).expect("it opens"));
    let event = Event {
        id: EventId::new("e1"),
        time: Timestamp::UNIX_EPOCH,
        host: HostName::new("WKS-1.corp.example"),
        channel: SYSMON.into(),
        code: 1,
        record_id: None,
        origin: Origin { file: "log.json".into(), line: 1 },
        document: serde_json::Map::new(),
    };
    events.insert(vec![EventRow::from(event)]).await.expect("it is stored");
    std::fs::write(folder.join(EmbeddedEdr::DEVICES), DECLARED).expect("it is written");
    EmbeddedEdr::open_within(folder, Limits::default(), events, Arc::new(SystemClock)).expect("it opens")
}

async fn id(edr: &EmbeddedEdr, name: &str) -> DeviceId {
    match edr.resolve(&HostName::new(name)).await.expect("it answers") {
        Resolution::Device { device } | Resolution::Unmanaged { device } => device.id,
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test]
async fn devices_come_from_events_and_from_what_is_declared() {
    let folder = tempfile::tempdir().expect("a folder");
    let edr = open(folder.path()).await;
    assert!(edr.nature().is_simulated());
    let names: Vec<String> =
        edr.devices().await.expect("it lists").iter().map(|device| device.name.key().to_owned()).collect();
    assert_eq!(names, ["kiosk-4", "lap-12", "prn-1", "prn-1", "wks-1"]);
    let resolve = async |name| edr.resolve(&HostName::new(name)).await.expect("it answers");
    assert!(matches!(resolve("wks-1").await, Resolution::Device { .. }));
    assert!(matches!(resolve("kiosk-4").await, Resolution::Unmanaged { .. }));
    assert!(matches!(resolve("prn-1").await, Resolution::Ambiguous { candidates } if candidates.len() == 2));
    assert!(matches!(resolve("PRN-1.two.example").await, Resolution::Device { .. }));
    assert_eq!(resolve("wks-2").await, Resolution::Unknown);
}

#[tokio::test]
async fn an_action_is_pending_then_done_and_one_is_under_way_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let edr = open(folder.path()).await;
    let device = id(&edr, "WKS-1").await;
    let action = edr.isolate(&device, "wf:key-1").await.expect("it is accepted");
    assert!(action.as_str().starts_with("simulated-"));
    assert!(!edr.is_isolated(&device).await.expect("it answers"), "accepted is not done");
    let refused = edr.release(&device, "wf:key-2").await.expect_err("one is under way");
    assert!(matches!(&refused, EdrError::Busy { pending, .. } if *pending == action) && refused.is_refusal());
    assert_eq!(edr.action(&action).await.expect("it answers").status, ActionStatus::Pending);
    drop(edr);
    // Whoever takes its place finds the action by its comment.
    let edr = open(folder.path()).await;
    let found = edr.actions(&device).await.expect("it answers");
    assert!(matches!(found.as_slice(), [one] if one.id == action && one.comment == "wf:key-1"), "{found:?}");
    assert_eq!(edr.action(&action).await.expect("it answers").status, ActionStatus::Succeeded);
    assert!(edr.is_isolated(&device).await.expect("it answers"));
    let scan = edr.av_scan(&device, "wf:key-3").await.expect("it is accepted");
    while !edr.action(&scan).await.expect("it answers").status.is_final() {}
    let release = edr.release(&device, "wf:key-4").await.expect("it is accepted");
    while !edr.action(&release).await.expect("it answers").status.is_final() {}
    assert!(!edr.is_isolated(&device).await.expect("it answers"));
}

#[tokio::test]
async fn an_offline_device_times_out_and_others_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let edr = open(folder.path()).await;
    let offline = id(&edr, "LAP-12").await;
    let action = edr.isolate(&offline, "wf:key").await.expect("it is accepted");
    let mut seen = vec![];
    for _ in 0..POLLS_TO_TIME_OUT {
        seen.push(edr.action(&action).await.expect("it answers").status);
    }
    let (last, before) = seen.split_last().expect("it was asked");
    assert!(
        *last == ActionStatus::TimedOut && before.iter().all(|status| *status == ActionStatus::Pending),
        "{seen:?}"
    );
    assert!(!edr.is_isolated(&offline).await.expect("it answers"));
    let unmanaged = id(&edr, "KIOSK-4").await;
    let refused = edr.isolate(&unmanaged, "wf:key").await.expect_err("it is not managed");
    assert!(matches!(refused, EdrError::NotManaged { .. }), "{refused}");
    let refused = edr.isolate(&DeviceId::new("KIOSK-4"), "wf:key").await.expect_err("a name is no id");
    assert!(matches!(refused, EdrError::NoDevice(_)), "{refused}");
    let refused = edr.action(&DeviceActionId::new("simulated-99")).await.expect_err("there is none");
    assert!(matches!(refused, EdrError::NoAction(_)), "{refused}");
}
