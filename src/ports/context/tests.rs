//! What is declared counts for what it names and for nothing beside it, and what is inferred only protects.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::domain::ids::EventId;

fn host(name: &str) -> HostName {
    HostName::new(name)
}

fn asset(entry: Value) -> Asset {
    serde_json::from_value(entry).expect("it is sound")
}

fn window(entry: Value) -> Result<Window, String> {
    let mut whole = json!({"name": "w", "kind": "maintenance", "purpose": "patches", "hosts": ["srv-*"]});
    let whole_map = whole.as_object_mut().expect("it is a map");
    whole_map.extend(entry.as_object().expect("it is a map").clone());
    serde_json::from_value(whole).map_err(|error| error.to_string())
}

fn at(time: &str) -> Timestamp {
    time.parse().expect("a time")
}

#[test]
fn the_entry_that_says_most_about_a_machine_counts() {
    let assets = [
        json!({"name": "srv-*", "role": "server", "tier": 2}),
        json!({"name": "srv-db-*", "role": "server", "tier": 1}),
        json!({"name": "srv-db-1", "role": "backup", "tier": 0}),
        json!({"name": "s*v-db-*", "role": "other", "tier": 3}),
    ];
    let context = Context { assets: assets.map(asset).to_vec(), ..Context::default() };
    let tier = |name: &str| context.asset(&host(name)).and_then(|asset| asset.tier).map(AssetTier::number);
    assert_eq!(tier("SRV-WEB.corp.example"), Some(2));
    assert_eq!(tier("srv-db-2"), Some(1));
    assert_eq!(tier("srv-db-1"), Some(0));
    assert_eq!(tier("wks-1"), None);
}

#[test]
fn an_account_of_another_domain_is_another() {
    let accounts =
        [json!({"name": "svc-*", "role": "service", "domain": "CORP"}), json!({"name": "adm-*", "role": "admin"})];
    let accounts = accounts.map(|entry| serde_json::from_value::<Account>(entry).expect("it is sound"));
    let context = Context { accounts: accounts.to_vec(), ..Context::default() };
    let role = |name: &str| context.account(name).map(|account| (account.role, account.is_privileged()));
    assert_eq!(role(r"CORP\svc-deploy"), Some((AccountRole::Service, false)));
    assert_eq!(role("svc-deploy@corp"), Some((AccountRole::Service, false)));
    assert_eq!(role(r"WKS-1\svc-deploy"), None, "a machine's own account takes no other's place");
    assert_eq!(role("svc-deploy"), None);
    assert_eq!(role(r"X\ADM-vale"), Some((AccountRole::Admin, true)));
}

#[test]
fn a_window_is_open_in_its_time_alone() {
    let once = window(json!({"from": "2026-03-01T10:00:00Z", "to": "2026-03-01T12:00:00Z"})).expect("it is sound");
    assert!(once.is_open(at("2026-03-01T10:00:00Z")) && once.is_open(at("2026-03-01T12:00:00Z")));
    assert!(!once.is_open(at("2026-03-01T12:00:01Z")) && !once.is_open(at("2026-02-28T11:00:00Z")));
    // The seventh of March 2026 is a Saturday.
    let night = json!({"weekly": {"day": "saturday", "from": "22:00", "to": "04:00"}});
    let night = window(night).expect("it is sound");
    for open in ["2026-03-07T22:00:00Z", "2026-03-08T03:59:00Z"] {
        assert!(night.is_open(at(open)), "{open}");
    }
    for shut in ["2026-03-07T03:00:00Z", "2026-03-08T04:01:00Z", "2026-03-08T22:30:00Z", "2026-03-07T21:59:59Z"] {
        assert!(!night.is_open(at(shut)), "{shut}");
    }
    let daily = window(json!({"weekly": {"day": "daily", "from": "01:00", "to": "02:00"}})).expect("it is sound");
    assert!(daily.is_open(at("2026-03-03T01:30:00Z")) && !daily.is_open(at("2026-03-03T02:30:00Z")));
}

#[test]
fn a_window_covers_whom_and_what_it_names() {
    let entry = json!({"from": "2026-03-01T10:00:00Z", "to": "2026-03-01T12:00:00Z", "accounts": ["adm-*"]});
    let context = Context { windows: vec![window(entry).expect("it is sound")], ..Context::default() };
    let open =
        |name: &str, account: Option<&str>| context.windows(&host(name), account, at("2026-03-01T11:00:00Z")).len();
    assert_eq!(open("srv-1", Some(r"CORP\adm-vale")), 1);
    assert_eq!((open("srv-1", Some("m.vale")), open("srv-1", None), open("wks-1", Some("adm-vale"))), (0, 0, 0));
}

#[test]
fn a_window_that_is_none_is_refused_with_the_remedy() {
    let both = json!({"from": "2026-03-01T10:00:00Z", "to": "2026-03-01T12:00:00Z", "weekly": {"day": "monday", "from": "01:00", "to": "02:00"}});
    let refused = [
        (json!({}), "weekly = {"),
        (both, "not both"),
        (json!({"from": "2026-03-01T10:00:00Z", "to": "2026-03-01T09:00:00Z"}), "must end after it begins"),
        (json!({"from": "2026-03-01T10:00:00Z", "to": "2026-06-01T09:00:00Z"}), "within 31 days"),
        (json!({"weekly": {"day": "monday", "from": "01:00", "to": "01:00"}}), "begins when it ends"),
        (json!({"weekly": {"day": "daily", "from": "01:00", "to": "02:00"}, "hosts": []}), "everybody everywhere"),
        (json!({"from": "yesterday", "to": "today"}), "a time such as"),
    ];
    for (entry, words) in refused {
        let error = window(entry).expect_err("it is refused");
        assert!(error.contains(words), "{words}: {error}");
    }
}

fn approval(entry: Value) -> Result<Approval, String> {
    let mut whole = json!({"name": "agent", "kind": "management_agent", "purpose": "inventory"});
    whole.as_object_mut().expect("it is a map").extend(entry.as_object().expect("it is a map").clone());
    serde_json::from_value(whole).map_err(|error| error.to_string())
}

#[test]
fn an_approval_covers_what_the_log_shows_of_all_it_names() {
    let image = r"C:\Program Files\Vendor\agent.exe";
    let entry = json!({"image": image, "signer": "Vendor Ltd", "hosts": ["wks-*"], "accounts": ["system"]});
    let context = Context { approved: vec![approval(entry).expect("it is sound")], ..Context::default() };
    let wks = host("wks-7");
    let seen = Act {
        host: &wks,
        image: Some(image),
        signer: Some("vendor ltd"),
        source: None,
        account: Some(r"NT AUTHORITY\SYSTEM"),
    };
    assert_eq!(context.approvals(&seen).len(), 1);
    let srv = host("srv-7");
    for other in [
        Act { signer: None, ..seen },
        Act { image: None, ..seen },
        Act { image: Some(r"C:\Users\Public\agent.exe"), ..seen },
        Act { account: Some("m.vale"), ..seen },
        Act { account: None, ..seen },
        Act { host: &srv, ..seen },
    ] {
        assert_eq!(context.approvals(&other), Vec::<&Approval>::new(), "{other:?}");
    }
    assert!(approval(json!({"signer": "Vendor Ltd"})).expect_err("a signer alone").contains("approves of too much"));
    assert!(approval(json!({"source": "192.0.2.7", "purpose": " "})).expect_err("no purpose").contains("purpose"));
}

#[test]
fn a_watchlist_holds_what_it_names_and_what_lies_below_a_domain() {
    let list = |kind, value: &str| Watchlist { name: "l".into(), kind, why: "seen".into(), values: vec![value.into()] };
    let domains = list(IndicatorKind::Domain, "Bad.Example");
    assert!(
        domains.holds(IndicatorKind::Domain, "a.bad.example.") && domains.holds(IndicatorKind::Domain, "BAD.example")
    );
    assert!(!domains.holds(IndicatorKind::Domain, "notbad.example") && !domains.holds(IndicatorKind::Domain, ""));
    assert!(!domains.holds(IndicatorKind::FileName, "bad.example"));
    assert!(list(IndicatorKind::Address, "192.0.2.7").holds(IndicatorKind::Address, "::ffff:192.0.2.7"));
    assert!(list(IndicatorKind::Account, "m.vale").holds(IndicatorKind::Account, r"CORP\M.Vale"));
}

#[test]
fn what_is_inferred_protects_and_never_relaxes() {
    let relaxed = json!({"name": "srv-1", "role": "server", "tier": 2, "isolation_allowed": true});
    let context = Context { assets: vec![asset(relaxed)], ..Context::default() };
    let inferred = |role| Inferred { role, because: "it shows".into(), event: EventId::new("e") };
    let standing = |role: Option<InferredRole>| context.standing(&host("srv-1"), role.map(inferred).as_ref());
    assert_eq!((standing(None).isolation, standing(None).is_protected()), (Isolation::Allowed, false));
    let controller = standing(Some(InferredRole::DomainController));
    assert_eq!((controller.tier, controller.isolation), (Some(AssetTier::ZERO), Isolation::Forbidden));
    assert!(controller.is_protected());
    assert_eq!(
        standing(Some(InferredRole::Workstation)),
        Standing { inferred: Some(InferredRole::Workstation), ..standing(None) }
    );
    let unknown = Context::default().standing(&host("srv-1"), Some(&inferred(InferredRole::Workstation)));
    assert_eq!((unknown.isolation, unknown.tier), (Isolation::NotSaid, None));
    let backup = Context { assets: vec![asset(json!({"name": "srv-1", "role": "backup"}))], ..Context::default() };
    assert!(backup.standing(&host("srv-1"), None).is_protected());
}

#[test]
fn the_gatekeeper_is_handed_what_protects() {
    let of = |entry: Value| {
        let context = Context { assets: vec![asset(entry)], ..Context::default() };
        AssetFacts::from(&context.standing(&host("srv-1"), None))
    };
    let plain = of(json!({"name": "srv-1", "role": "server", "criticality": "high", "isolation_allowed": true}));
    assert_eq!((plain.role, plain.isolation), (DeviceRole::Server, IsolationRule::Allowed));
    assert_eq!(plain.criticality, containment::Criticality::Normal);
    assert_eq!(of(json!({"name": "srv-1", "role": "domain_controller"})).role, DeviceRole::DomainController);
    assert_eq!(of(json!({"name": "srv-1", "role": "server", "tier": 0})).role, DeviceRole::Tier0);
    let critical = of(json!({"name": "srv-1", "role": "server", "criticality": "critical"}));
    assert_eq!(critical.criticality, containment::Criticality::Critical);
    assert_eq!(AssetFacts::from(&Context::default().standing(&host("x"), None)), AssetFacts::default());
}
