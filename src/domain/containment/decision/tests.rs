//! No path leads from a target that must not be touched to a person's button, and none past a person.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::domain::ids::EvidenceId;

const DIGEST: &str = "policy";

fn proposal(action: Action) -> Proposal {
    Proposal {
        id: ProposalId::new(CaseId::new(1), 1),
        action,
        host: HostName::new("WKS-1"),
        because: "it spreads".into(),
        evidence: vec![EvidenceId::new(1)],
    }
}

fn managed(name: &str) -> Target {
    Target::Managed {
        device: DeviceId::new("d1"),
        name: HostName::new(name),
        tags: vec![],
        is_online: true,
        is_isolated: false,
        in_flight: None,
    }
}

fn passing() -> Facts {
    Facts {
        nature: Nature::Simulated,
        target: managed("wks-1"),
        asset: AssetFacts::default(),
        host_in_case: true,
        elsewhere: None,
        evidence: EvidenceFacts { cited: 1, reread: 1, digest: "evidence".into() },
        verdict_stands: true,
        held_by: None,
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_000_000).expect("a time")
}

fn rule(facts: &Facts, mode: Mode) -> Option<DenialRule> {
    match decide(&proposal(Action::IsolateDevice), facts, &Policy::of(mode), DIGEST, now()) {
        Decision::Denied { rule, .. } => Some(rule),
        Decision::Waiting { .. } => None,
    }
}

fn any_target() -> impl Strategy<Value = Target> {
    let name = prop::sample::select(vec!["wks-1", "DC01", "corp-dc-2", "srv-9"]);
    let tags = prop::sample::subsequence(vec!["server".to_owned(), "Domain-Controller".into(), "tier_0".into()], 0..=3);
    let in_flight = prop::option::of(Just(DeviceActionId::new("a1")));
    prop_oneof![
        (name, tags, any::<bool>(), any::<bool>(), in_flight).prop_map(
            |(name, tags, is_online, is_isolated, in_flight)| Target::Managed {
                device: DeviceId::new("d1"),
                name: HostName::new(name),
                tags,
                is_online,
                is_isolated,
                in_flight,
            }
        ),
        Just(Target::Unmanaged),
        Just(Target::Unknown),
        Just(Target::Ambiguous { candidates: vec![DeviceId::new("d1"), DeviceId::new("d2")] }),
        Just(Target::Unreadable { why: "no answer".into() }),
    ]
}

fn any_asset() -> impl Strategy<Value = AssetFacts> {
    use DeviceRole::{DomainController, Server, Tier0, Unknown, Workstation};
    (
        prop::sample::select(vec![Unknown, Workstation, Server, DomainController, Tier0]),
        prop::sample::select(vec![Criticality::Unknown, Criticality::Normal, Criticality::Critical]),
        prop::sample::select(vec![IsolationRule::Unknown, IsolationRule::Allowed, IsolationRule::Forbidden]),
    )
        .prop_map(|(role, criticality, isolation)| AssetFacts { role, criticality, isolation })
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let held = prop::option::of(prop::sample::select(vec![1, 2]).prop_map(|n| ProposalId::new(CaseId::new(1), n)));
    (any_target(), any_asset(), any::<bool>(), 0..3_usize, any::<bool>(), held).prop_map(
        |(target, asset, host_in_case, reread, verdict_stands, held_by)| Facts {
            nature: Nature::Simulated,
            target,
            asset,
            host_in_case,
            elsewhere: None,
            evidence: EvidenceFacts { cited: 2, reread, digest: "evidence".into() },
            verdict_stands,
            held_by,
        },
    )
}

fn is_sound(facts: &Facts) -> bool {
    let Target::Managed { name, tags, is_online, is_isolated, in_flight, .. } = &facts.target else { return false };
    *is_online
        && !is_isolated
        && in_flight.is_none()
        && name.key() != "dc01"
        && name.key() != "corp-dc-2"
        && tags.iter().all(|tag| tag == "server")
        && !matches!(facts.asset.role, DeviceRole::DomainController | DeviceRole::Tier0)
        && facts.asset.criticality != Criticality::Critical
        && facts.asset.isolation != IsolationRule::Forbidden
        && facts.host_in_case
        && facts.evidence.reread > 0
        && facts.verdict_stands
        && facts.held_by.is_none_or(|held| held == ProposalId::new(CaseId::new(1), 1))
}

proptest! {
    /// A person is asked exactly when every fact is as it must be, and never in dry run.
    #[test]
    fn a_person_is_asked_when_everything_holds_and_only_then(facts in any_facts(), approve in any::<bool>()) {
        let mode = if approve { Mode::Approve } else { Mode::DryRun };
        prop_assert_eq!(rule(&facts, mode).is_none(), approve && is_sound(&facts));
    }

    /// What was approved is carried out only while everything holds, on the same evidence, policy and device, in time.
    #[test]
    fn an_approval_is_worth_nothing_once_anything_differs(
        facts in any_facts(),
        same_policy in any::<bool>(),
        same_evidence in any::<bool>(),
        minutes in 0..60_i64,
    ) {
        let wish = proposal(Action::IsolateDevice);
        let policy = Policy::of(Mode::Approve);
        let Decision::Waiting { approval } = decide(&wish, &passing(), &policy, DIGEST, now()) else {
            panic!("it passes")
        };
        let digest = if same_policy { DIGEST } else { "another" };
        let mut facts = facts;
        if !same_evidence {
            facts.evidence.digest = "another".into();
        }
        let later = now() + SignedDuration::from_mins(minutes);
        let passes = recheck(&approval, &wish, &facts, &policy, digest, later).is_ok();
        prop_assert_eq!(passes, is_sound(&facts) && same_policy && same_evidence && minutes < 30);
    }

    #[test]
    fn an_agent_never_releases(facts in any_facts()) {
        let decision = decide(&proposal(Action::ReleaseDevice), &facts, &Policy::of(Mode::Approve), DIGEST, now());
        let is_denied = matches!(decision, Decision::Denied { rule: DenialRule::ReleaseByPersonOnly, .. });
        prop_assert!(is_denied);
    }
}

#[test]
fn the_first_check_that_fails_decides_and_says_its_value() {
    let of = |change: &dyn Fn(&mut Facts)| {
        let mut facts = passing();
        change(&mut facts);
        rule(&facts, Mode::Approve)
    };
    assert_eq!(of(&|_| {}), None);
    assert_eq!(rule(&passing(), Mode::DryRun), Some(DenialRule::DryRun));
    assert_eq!(of(&|facts| facts.target = Target::Unknown), Some(DenialRule::UnknownDevice));
    assert_eq!(of(&|facts| facts.host_in_case = false), Some(DenialRule::NotInCase));
    assert_eq!(of(&|facts| facts.evidence.reread = 0), Some(DenialRule::NoEvidence));
    assert_eq!(of(&|facts| facts.verdict_stands = false), Some(DenialRule::NoVerdict));
    let both = |facts: &mut Facts| (facts.target, facts.host_in_case) = (managed("DC01"), false);
    assert_eq!(of(&both), Some(DenialRule::ProtectedDevice));
    let facts = Facts { target: Target::Unmanaged, ..passing() };
    let wish = proposal(Action::IsolateDevice);
    let Decision::Denied { rule, value } = decide(&wish, &facts, &Policy::default(), DIGEST, now()) else {
        panic!("it is refused")
    };
    assert_eq!(rule, DenialRule::UnmanagedDevice);
    assert_eq!(value, "isolation was asked for WKS-1, which the simulated EDR does not manage");
}

#[test]
fn domain_controllers_are_known_by_name_and_tag() {
    let protected = |name: &str, tags: &[&str]| {
        let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
        is_protected(&HostName::new(name), &tags, AssetFacts::default()).is_some()
    };
    for name in ["DC01", "dc", "HQ-DC-2", "addc3.corp.example", "pdc_1"] {
        assert!(protected(name, &[]), "{name}");
    }
    for name in ["wks-1", "dct-7", "srv-dcom01", "mail"] {
        assert!(!protected(name, &[]), "{name}");
    }
    assert!(protected("srv-1", &["Domain Controller"]) && protected("srv-1", &["tier-0"]));
    assert!(!protected("srv-1", &["server"]));
}
