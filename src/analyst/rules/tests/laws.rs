//! What always holds: caps, monotonicity, what people decided, repeats, missing parents, protected machines.

use proptest::prelude::*;

use super::*;
use crate::domain::draft::Classification;
use crate::domain::evidence::Family;

const PERSON: &str = "CORP\\a.user";

/// A case whose strongest findings would have their machine isolated.
fn dump() -> Vec<Event> {
    let tool = format!("{TEMP}a.exe");
    vec![
        start("e", &tool, "a.exe sekurlsa", CMD, PERSON),
        sysmon(
            "d",
            101,
            11,
            json!({"ProcessGuid": PROCESS, "Image": tool, "TargetFilename": format!("{TEMP}lsass.dmp")}),
        ),
    ]
}

#[test]
fn a_missing_parent_is_unknown_and_no_violation() {
    let svchost = "C:\\Windows\\System32\\svchost.exe";
    let features = |parent: &str| {
        named(
            &case(Severity::Medium, vec![start("e", svchost, "svchost.exe -k a", parent, "NT AUTHORITY\\SYSTEM")])
                .features(),
        )
    };
    assert!(!features("-").contains_key("parent that Windows never gives"));
    assert!(features("C:\\Users\\Public\\a.exe").contains_key("parent that Windows never gives"));
}

#[test]
fn five_hundred_alerts_of_one_rule_are_no_more_than_one() {
    let events: Vec<Event> = (0..500)
        .map(|number| {
            let mut event = start("e", CMD, "cmd /c dir", "C:\\Windows\\explorer.exe", PERSON);
            event.id = EventId::new(format!("e{number}"));
            event
        })
        .collect();
    let one = case(Severity::Medium, events[..1].to_vec());
    let all = Written { triggers: 500, ..case(Severity::Medium, events) };
    assert!((one.probability() - all.probability()).abs() < 1e-9);
}

#[test]
fn rules_that_matched_one_event_are_one_opinion() {
    let tactics =
        vec![vec!["attack.execution"], vec!["attack.persistence"], vec!["attack.discovery"], vec!["attack.impact"]];
    let one = Written {
        tags: tactics,
        ..case(Severity::Medium, vec![start("e", CMD, "cmd /c dir", "C:\\Windows\\explorer.exe", PERSON)])
    };
    assert!(!named(&one.features()).contains_key("several tactics"));
}

#[test]
fn only_people_move_a_rules_share() {
    let plain = || case(Severity::Medium, vec![start("e", CMD, "cmd /c dir", "C:\\Windows\\explorer.exe", PERSON)]);
    let similar = |outcomes: Value| {
        let alike = json!({"alerts": 400, "hosts": 9, "days": 30, "first": null, "last": null});
        let data = json!({"same_rule": alike, "same_host": alike, "same_values": alike, "outcomes": outcomes});
        plain().answered("similar_cases", json!({"alert": "a0-0"}), data).probability()
    };
    let before = plain().probability();
    assert!((similar(Value::Null) - before).abs() < 1e-9, "how often machines saw it says nothing");
    let odds = |probability: f64| probability / (1.0 - probability);
    let ratio = |outcomes: Value| odds(similar(outcomes)) / odds(before);
    let (some, many) = (json!({"malicious": 0, "harmless": 3}), json!({"malicious": 0, "harmless": 40}));
    // Ten cases of which one was malicious, and three more that were not: from odds of 1 to 9 to 1 to 12.
    assert!((ratio(some) - 9.0 / 12.0).abs() < 1e-6);
    assert!((ratio(many.clone()) - (-0.7_f64).exp()).abs() < 1e-6, "one harmless finding, however often it was said");
    assert!((ratio(json!({"malicious": 900, "harmless": 0})) - 2.3_f64.exp()).abs() < 1e-6);
    assert!(ratio(json!({"malicious": 2, "harmless": 0})) > 2.0);
    assert!((similar(json!({"malicious": 0, "harmless": 0})) - before).abs() < 1e-9);
}

#[test]
fn what_people_decided_is_told_and_never_closes_a_case_alone() {
    let alike = json!({"alerts": 400, "hosts": 9, "days": 30, "first": null, "last": null});
    let answered = |level, outcomes: Value| {
        let events = vec![start("e", CMD, "cmd /c dir", "C:\\Windows\\explorer.exe", PERSON)];
        let data = json!({"same_rule": alike, "same_host": alike, "same_values": alike, "outcomes": outcomes});
        case(level, events).answered("similar_cases", json!({"alert": "a0-0"}), data)
    };
    let harmless = json!({"malicious": 0, "harmless": 5000});
    let draft = answered(Severity::Medium, harmless.clone()).draft();
    assert!(
        draft.story.contains("people judged cases of this rule as malicious 0 times and as harmless 5000 times"),
        "{}",
        draft.story
    );
    assert!(!answered(Severity::Medium, Value::Null).draft().story.contains("people judged"));
    for level in [Severity::Informational, Severity::Low, Severity::Medium, Severity::High, Severity::Critical] {
        let (before, after) = (answered(level, Value::Null), answered(level, harmless.clone()));
        assert_eq!(before.draft().classification, after.draft().classification, "{level}");
        let close_at = crate::domain::route::RoutePolicy::default().close_at();
        let closable = |written: &Written| {
            let score = written.score();
            score::probability(score.prior) <= close_at
        };
        assert_eq!(closable(&before), closable(&after), "{level}: outcomes alone reach no close");
    }
}

#[test]
fn what_people_decided_on_a_rule_counts_for_every_alert_of_it() {
    let events: Vec<Event> = (0..3)
        .map(|number| {
            let mut event = start("e", CMD, "cmd /c dir", "C:\\Windows\\explorer.exe", PERSON);
            event.id = EventId::new(format!("e{number}"));
            event
        })
        .collect();
    let alike = json!({"alerts": 0, "hosts": 0, "days": 0, "first": null, "last": null});
    let data = json!({"same_rule": alike, "same_host": alike, "same_values": alike,
        "outcomes": {"malicious": 0, "harmless": 40}});
    let all = || Written { triggers: 3, ..case(Severity::Medium, events.clone()) };
    let told = all().answered("similar_cases", json!({"alert": "a0-0"}), data).score();
    assert!(told.prior < all().score().prior - 0.5);
}

#[test]
fn no_domain_controller_and_no_protected_machine_is_ever_to_be_isolated() {
    assert_eq!(case(Severity::High, dump()).draft().containment.len(), 1);
    let ticket = event("t", 90, HOST, ("Security", 4769), json!({"ServiceName": "a$", "TicketEncryptionType": "0x12"}));
    let controller = case(Severity::High, [dump(), vec![ticket]].concat()).draft();
    assert_eq!(controller.classification, Classification::TruePositive);
    assert!(controller.containment.is_empty() && controller.human_question.is_some());
    let standing =
        json!({"role": null, "tier": 0, "criticality": null, "owner": null, "isolation": "not_said", "inferred": null});
    let data = json!({"standing": standing, "inferred": null, "declared": true, "around": null});
    let facts: Result<crate::tools::standing::AssetFacts, _> = serde_json::from_value(data.clone());
    assert!(facts.is_ok(), "{facts:?}");
    let tier0 = case(Severity::High, dump()).answered("asset", json!({"host": HOST}), data).draft();
    assert!(tier0.containment.is_empty());
}

#[test]
fn what_happened_near_it_is_a_reason_to_look_and_no_more() {
    let written = case(
        Severity::High,
        [vec![start("e", CMD, "cmd /c dir", "C:\\Windows\\explorer.exe", PERSON)], dump()[1..].to_vec()].concat(),
    );
    let (brief, mut seen) = written.seen();
    seen.events.get_mut(&EvidenceId::new(2)).expect("it is there").related = false;
    let draft = draft::draft(&brief, &seen);
    assert_ne!(draft.classification, Classification::TruePositive);
    assert!(draft.containment.is_empty());
    let features = judgement::features(&seen, &brief);
    assert!(features.iter().filter(|feature| feature.value > 0.0).all(|feature| feature.family == Family::Context));
}

#[test]
fn a_known_source_beside_another_alert_excuses_nothing() {
    let backup = "C:\\Program Files\\Vendor Backup\\Agent.exe";
    let known = start(
        "e",
        "C:\\Windows\\System32\\vssadmin.exe",
        "vssadmin delete shadows /for=D: /oldest",
        backup,
        "NT AUTHORITY\\SYSTEM",
    );
    let mut other = start("o", CMD, "cmd /c dir", "C:\\Windows\\explorer.exe", PERSON);
    other.document["winlog"]["event_data"]["ProcessGuid"] = json!("{77}");
    let both = Written { triggers: 2, ..case(Severity::Medium, vec![known.clone(), other]) };
    let alone = case(Severity::Medium, vec![known]);
    assert!(alone.probability() < 0.048 && both.probability() >= 0.1, "{} {}", alone.probability(), both.probability());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn more_text_of_whoever_acts_never_lowers(more in "[ -~]{0,80}", field in prop::sample::select(vec!["CommandLine", "ParentCommandLine"])) {
        let hidden = "powershell.exe -nop -w hidden -enc SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoAZQBjAHQAIABOAGUAdAAuAFcAZQBiAEMAbABpAGUAbgB0ACkA";
        for command in [hidden, "vssadmin delete shadows /all", "cmd /c dir", "vssadmin delete shadows /for=D: /oldest"] {
            let mut event = start("e", POWERSHELL, command, CMD, PERSON);
            event.document["winlog"]["event_data"]["ParentCommandLine"] = json!("cmd.exe");
            let before = case(Severity::Medium, vec![event.clone()]).probability();
            let old = event.data(field).unwrap_or_default().to_owned();
            event.document["winlog"]["event_data"][field] = json!(format!("{old} {more}"));
            let after = case(Severity::Medium, vec![event]).probability();
            prop_assert!(after >= before - 1e-9, "{before} {after} {more:?}");
        }
    }

    #[test]
    fn families_keep_within_their_caps_and_more_harm_never_lowers(values in prop::collection::vec((0..9_usize, -3.4..3.4_f64), 0..20), more in 0.0..3.4_f64) {
        let families = [Family::Identity, Family::Lineage, Family::Content, Family::Effect, Family::Network, Family::Rarity,
            Family::Context, Family::Authority, Family::Fingerprint];
        let written = case(Severity::Medium, vec![start("e", CMD, "cmd", CMD, PERSON)]);
        let (brief, _) = written.seen();
        let feature = |(family, value): &(usize, f64)| Feature {
            name: "x", family: families[*family], value: *value, says: String::new(), evidence: EvidenceId::new(1),
            quotes: vec![], harm: super::super::feature::Harm::Latent,
        };
        let mut features: Vec<Feature> = values.iter().map(feature).collect();
        let score = Score::of(&brief, &features, &BTreeMap::new());
        for (family, value) in &score.families {
            prop_assert!(value.abs() <= 3.4 + 1e-9, "{family:?} {value}");
        }
        features.push(feature(&(3, more)));
        prop_assert!(Score::of(&brief, &features, &BTreeMap::new()).probability >= score.probability - 1e-12);
    }
}
