//! What is told of a machine or an account is what was declared, and what was inferred says so.

use serde_json::{Value, json};

use super::*;
use crate::domain::event::SYSMON;
use crate::fixtures::{BrokenStore, at, event, store};
use crate::ports::context::{Asset, Watchlist};
use crate::ports::events::Watermark;

fn declared() -> Arc<Surroundings> {
    let read = |entry: Value| serde_json::from_value::<Asset>(entry).expect("it is sound");
    let context = Context {
        assets: vec![read(json!({"name": "srv-*", "role": "server", "tier": 1, "owner": "Platform"}))],
        accounts: vec![serde_json::from_value(json!({"name": "svc-*", "role": "service"})).expect("it is sound")],
        windows: vec![
            serde_json::from_value(json!({
                "name": "patches", "kind": "maintenance", "purpose": "monthly", "hosts": ["srv-*"],
                "from": at(0), "to": at(1_000),
            }))
            .expect("it is sound"),
        ],
        approved: vec![
            serde_json::from_value(json!({
                "name": "inventory", "kind": "management_agent", "purpose": "assets",
                "image": r"C:\Program Files\Vendor\agent.exe",
            }))
            .expect("it is sound"),
        ],
        watchlists: vec![Watchlist {
            name: "tools of March".into(),
            kind: IndicatorKind::FileName,
            why: "seen at a neighbour".into(),
            values: vec!["grabber.exe".into()],
        }],
    };
    Arc::new(Surroundings { context: Arc::new(context), ..Surroundings::default() })
}

async fn asset(events: Vec<Event>, arguments: Value) -> (Vec<String>, AssetFacts) {
    let (_folder, store) = store(events).await;
    let scope =
        Scope { case: crate::fixtures::CASE, alerts: Arc::default(), events: store, watermark: Watermark(u64::MAX) };
    let arguments = serde_json::from_value(arguments).expect("they fit");
    let answer = AssetTool(declared()).call(arguments, &scope).await.expect("it answers");
    let texts = answer.rows.iter().map(|row| row.text.clone()).collect();
    (texts, serde_json::from_value(answer.data).expect("it is typed"))
}

fn run(image: &str) -> Event {
    event("run", 100, "srv-1", (SYSMON, 1), json!({"Image": image, "User": r"CORP\svc-inv"}))
}

#[tokio::test]
async fn a_declared_machine_is_told_with_what_is_around_the_event() {
    let (texts, facts) =
        asset(vec![run(r"C:\Program Files\Vendor\agent.exe")], json!({"host": "SRV-1", "event": "run"})).await;
    assert_eq!(texts[0], "SRV-1: declared server, tier 1, owner Platform, isolation: nobody said");
    let around = facts.around.expect("it was asked for");
    assert_eq!((around.windows.len(), around.approved.len(), around.watched.len()), (1, 1, 0));
    assert!(texts.iter().any(|text| text.starts_with("approved: inventory (management_agent): assets")), "{texts:?}");
    let (texts, facts) =
        asset(vec![run(r"C:\Users\Public\grabber.exe")], json!({"host": "srv-1", "event": "run"})).await;
    let around = facts.around.expect("it was asked for");
    assert_eq!((around.approved.len(), around.watched.len()), (0, 1));
    assert!(texts.iter().any(|text| text.starts_with("WATCHED FOR: tools of March")), "{texts:?}");
}

#[tokio::test]
async fn a_machine_that_issues_tickets_is_protected_and_marked_inferred() {
    let ticket = event("t", 0, "box-1", ("Security", 4769), json!({"ServiceName": "x"}));
    let (texts, facts) = asset(vec![ticket], json!({"host": "box-1"})).await;
    assert_eq!(texts[0], "box-1: nobody declared it; protected by what it shows itself to be");
    assert!(texts[1].starts_with("inferred domain controller: it wrote Security 4769"), "{texts:?}");
    assert!(facts.standing.is_protected() && !facts.declared);
}

#[tokio::test]
async fn an_account_is_told_as_declared_or_as_unknown() {
    let scope = Scope {
        case: crate::fixtures::CASE,
        alerts: Arc::default(),
        events: Arc::new(BrokenStore),
        watermark: Watermark(1),
    };
    let ask = async |arguments: Value| {
        let arguments = serde_json::from_value(arguments).expect("they fit");
        let answer = AccountTool(declared()).call(arguments, &scope).await.expect("it answers");
        let facts: AccountFacts = serde_json::from_value(answer.data).expect("it is typed");
        (answer.rows[0].text.clone(), facts)
    };
    let (text, facts) = ask(json!({"account": r"CORP\svc-inv", "host": "srv-1", "at": at(500)})).await;
    assert!(text.contains("declared service account (as `svc-*`)"), "{text}");
    assert_eq!((facts.privileged, facts.windows.len()), (false, 1));
    let (text, facts) = ask(json!({"account": "m.vale"})).await;
    assert_eq!((text.as_str(), facts.declared), ("m.vale: nobody declared it", None));
}

#[tokio::test]
async fn a_signature_of_what_was_loaded_is_not_the_programs_own() {
    let approval = json!({
        "name": "agent", "kind": "tool", "purpose": "p", "signer": "Vendor", "image": r"C:\Program Files\Vendor\agent.exe",
    });
    let approved = vec![serde_json::from_value(approval).expect("it is sound")];
    let context = Context { approved, ..Context::default() };
    let loads = |loaded: &str| {
        let data = json!({
            "Image": r"C:\Program Files\Vendor\agent.exe", "ImageLoaded": loaded, "Signature": "Vendor",
            "SignatureStatus": "Valid",
        });
        around(&context, &event("l", 0, "srv-1", (SYSMON, 7), data)).approved.len()
    };
    assert_eq!(loads(r"C:\Program Files\Vendor\agent.exe"), 1);
    assert_eq!(loads(r"C:\Program Files\Vendor\part.dll"), 0);
}
