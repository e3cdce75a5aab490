//! The route: the pure function from a verdict and the policy to the case's next step.
//!
//! No analyst sets a status. A verdict is routed here, by rules that have names and values, and only
//! [`route`] can make the token by which a machine resolves a case.

use serde::{Deserialize, Serialize};

use super::alert::Severity;
use super::case::{Hold, HoldCause};
use super::draft::{Classification, HumanQuestion};
use super::evidence::{Family, Strength};
use super::obstacle::Obstacle;
use super::taint::Taint;
use super::verdict::{Conclusion, Verdict};

/// The tiers that investigate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Triage.
    One,
    /// Deep investigation.
    Two,
}

impl Tier {
    /// `Tier 1`, `Tier 2`: how the tier signs its comments.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::One => "Tier 1",
            Self::Two => "Tier 2",
        }
    }

    /// `tier1`, `tier2`: the tier in queues and span names.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::One => "tier1",
            Self::Two => "tier2",
        }
    }
}

/// Thresholds of the route. Declared and reasoned, not fitted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RoutePolicy {
    /// How many wrong escalations one wrong close costs. The threshold below which a case may be
    /// closed is `1 / (1 + cost_ratio)`, the Bayes rule for these costs.
    pub cost_ratio: f64,
    /// From this probability on a case goes to tier 2 whatever else is known.
    pub escalate_at: f64,
    /// From this probability on containment may be asked for.
    pub contain_at: f64,
    /// Least coverage of the playbook for a machine close.
    pub close_coverage: f64,
}

impl Default for RoutePolicy {
    fn default() -> Self {
        Self { cost_ratio: 20.0, escalate_at: 0.5, contain_at: 0.9, close_coverage: 0.6 }
    }
}

impl RoutePolicy {
    /// The probability up to which closing costs less than escalating.
    #[must_use]
    pub fn close_at(&self) -> f64 {
        1.0 / (1.0 + self.cost_ratio)
    }
}

/// What the case brings to its route besides the verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseFacts {
    /// The tier that judged.
    pub tier: Tier,
    /// The loudest alert of the case.
    pub severity: Severity,
    /// Alert families and hosts that always need a person.
    pub mandatory: Vec<MandatoryHuman>,
    /// Text in the evidence that speaks to its reader.
    pub taint: Option<Taint>,
    /// What stands against a machine closing it.
    pub obstacles: Vec<Obstacle>,
    /// Whether what is explained is an old habit.
    pub habit: Habit,
}

/// Whether what a verdict explains is an old habit of the fleet.
///
/// Of a rule's level the declared prior depends, and how much is lost if it is right. Up to medium it is enough that
/// such a thing recurs. What is called high is closed only on an old habit, in which nothing has changed; what is called
/// critical never, and neither are the families that are reserved for a person, whatever their level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Habit {
    /// The very same was done for weeks, on several machines, with files that nobody touched since.
    Old,
    /// It is not shown to be one, for this reason.
    NotShown(String),
}

/// Why a person must decide, whatever the verdict says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MandatoryHuman {
    /// The source called it critical.
    CriticalSeverity,
    /// Credentials of the operating system were reached for.
    CredentialAccess,
    /// A log was cleared or a security tool was weakened.
    DefenceImpairment,
    /// Recovery was inhibited or data were destroyed.
    Impact,
    /// The case concerns a domain controller.
    DomainController,
    /// A person judged it as no harmless case, or had it investigated again.
    PersonsWord,
    /// A case that shares its host, account or indicators was confirmed as a threat.
    ConfirmedNearby,
}

impl MandatoryHuman {
    /// The reason in a sentence.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::CriticalSeverity => "the source calls it critical",
            Self::CredentialAccess => "credential access is always decided by a person",
            Self::DefenceImpairment => "tampering with logs or security tools is always decided by a person",
            Self::Impact => "inhibited recovery is always decided by a person",
            Self::DomainController => "a domain controller is concerned",
            Self::PersonsWord => "a person spoke on this case, and no machine has the last word after that",
            Self::ConfirmedNearby => "a case that shares its host, account or indicators was confirmed as a threat",
        }
    }
}

/// Leave for a machine to resolve one case. Made only by [`route`], from a benign verdict with its proof.
#[derive(Debug, Clone, PartialEq)]
pub struct MachineResolution {
    classification: Classification,
}

impl MachineResolution {
    /// What the case is resolved as.
    #[must_use]
    pub const fn classification(&self) -> Classification {
        self.classification
    }
}

/// Where a case goes next.
#[derive(Debug, Clone, PartialEq)]
pub enum Route {
    /// To the second tier, with a question.
    Escalate {
        /// What it should find out.
        question: String,
    },
    /// To a person.
    Hold(Hold),
    /// Resolved on proof.
    Resolve(MachineResolution),
}

/// A route with the rule and the value that decided it.
#[derive(Debug, Clone, PartialEq)]
pub struct Routed {
    /// The next step.
    pub route: Route,
    /// The name of the rule that decided.
    pub rule: &'static str,
    /// The value that decided, in words.
    pub because: String,
    /// Containment may be asked for.
    pub may_contain: bool,
}

/// Decides the next step. The first rule that applies wins; none leads from an undetermined verdict to a resolved case.
#[must_use]
pub fn route(verdict: &Verdict, facts: &CaseFacts, policy: &RoutePolicy) -> Routed {
    let probability = verdict.malicious_probability();
    let percent = |p: f64| format!("{:.1} %", p * 100.0);
    let effect = verdict.strength_for_malicious(Family::Effect).is_some_and(|s| s >= Strength::Strong);
    let may_contain = probability >= policy.contain_at
        && effect
        && verdict.families_for_malicious() >= 2
        && matches!(verdict.conclusion(), Conclusion::TruePositive { .. });
    let routed = |route, rule, because| Routed { route, rule, because, may_contain };
    let hold = |cause| Route::Hold(hold(verdict, cause));
    let mandatory = facts.taint.map(Taint::reason).or_else(|| facts.mandatory.first().map(|m| m.reason()));

    if facts.tier == Tier::One && probability >= policy.escalate_at {
        let because = format!("{} ≥ escalate_at {}", percent(probability), percent(policy.escalate_at));
        return routed(escalate(verdict), "likely_malicious", because);
    }
    match verdict.conclusion() {
        Conclusion::TruePositive { .. } => {
            let because = format!("{} and {}", verdict.classification().name(), percent(probability));
            routed(hold(HoldCause::ConfirmedThreat), "true_positive_needs_a_person", because)
        }
        Conclusion::Undetermined { .. } => {
            let obtainable = verdict.unknowns().iter().find(|unknown| unknown.obtainable);
            match (facts.tier, obtainable) {
                (Tier::One, Some(unknown)) => {
                    routed(escalate(verdict), "missing_fact_is_obtainable", unknown.what.clone())
                }
                (Tier::One | Tier::Two, _) if probability <= policy.close_at() => {
                    // It speaks for harmless: what is told is what keeps it from being closed, not that data lack.
                    if let Some(reason) = mandatory {
                        return routed(hold(HoldCause::PolicyRequiresHuman), "mandatory_human", reason.to_owned());
                    }
                    let needs = verdict.words().would_change.as_deref().unwrap_or("no proof covers every alert");
                    let because = format!("{} is no proof: {needs}", percent(probability));
                    routed(hold(HoldCause::BenignNotProven), "undetermined", because)
                }
                (Tier::One | Tier::Two, _) => {
                    let cause = if probability >= policy.escalate_at {
                        HoldCause::OwnerConfirmation
                    } else {
                        HoldCause::InsufficientTelemetry
                    };
                    routed(hold(cause), "undetermined", format!("{} stays undecided", percent(probability)))
                }
            }
        }
        Conclusion::FalsePositive { .. } | Conclusion::InformationalExpectedActivity { .. } => {
            if let Some(reason) = mandatory {
                return routed(hold(HoldCause::PolicyRequiresHuman), "mandatory_human", reason.to_owned());
            }
            let above_medium = match &facts.habit {
                Habit::Old => (facts.severity > Severity::High).then(String::new),
                Habit::NotShown(lacks) => (facts.severity > Severity::Medium).then(|| format!(", and {lacks}")),
            };
            if let Some(lacks) = above_medium {
                let because = format!("source severity {} is above medium{lacks}", facts.severity);
                return routed(hold(HoldCause::PolicyRequiresHuman), "severity_above_medium", because);
            }
            if let Some(contradiction) = verdict.words().contradictions.first() {
                return routed(hold(HoldCause::ConflictingEvidence), "contradicted", contradiction.clone());
            }
            if probability > policy.close_at() {
                let because = format!("{} > close_at {}", percent(probability), percent(policy.close_at()));
                return routed(hold(HoldCause::InsufficientTelemetry), "not_benign_enough", because);
            }
            let coverage = verdict.coverage().share();
            if coverage < policy.close_coverage {
                let because = format!("coverage {coverage:.2} < {:.2}", policy.close_coverage);
                return routed(hold(HoldCause::InsufficientTelemetry), "too_little_covered", because);
            }
            if let Some(first) = facts.obstacles.first() {
                let mut hold = self::hold(verdict, cause_of(&facts.obstacles));
                hold.missing.splice(0..0, facts.obstacles.iter().map(Obstacle::missing));
                let more = facts.obstacles.len() - 1;
                let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
                return routed(Route::Hold(hold), "not_all_explained", format!("{}{more}", first.says()));
            }
            let resolution = MachineResolution { classification: verdict.classification() };
            let because =
                format!("{} ≤ close_at {}, coverage {coverage:.2}", percent(probability), percent(policy.close_at()));
            routed(Route::Resolve(resolution), "benign_on_proof", because)
        }
    }
}

fn escalate(verdict: &Verdict) -> Route {
    let asked = verdict.words().question_for_receiver.clone();
    let question =
        asked.unwrap_or_else(|| "How did it begin, what else did it touch, and does the judgement hold?".into());
    Route::Escalate { question }
}

/// What was seen against the explanation weighs more than what could not be seen.
fn cause_of(obstacles: &[Obstacle]) -> HoldCause {
    let is_seen = |obstacle: &Obstacle| matches!(obstacle, Obstacle::Unexplained(_));
    if obstacles.iter().any(is_seen) { HoldCause::ConflictingEvidence } else { HoldCause::InsufficientTelemetry }
}

/// A hold that asks what the verdict asks, or else what its cause asks.
fn hold(verdict: &Verdict, cause: HoldCause) -> Hold {
    let ask = match verdict.conclusion() {
        Conclusion::Undetermined { ask } => ask.clone(),
        Conclusion::TruePositive { .. }
        | Conclusion::InformationalExpectedActivity { .. }
        | Conclusion::FalsePositive { .. } => verdict.words().human_question.clone().unwrap_or_else(|| HumanQuestion {
            question: match cause {
                HoldCause::ConfirmedThreat => "Confirm the threat and decide what is contained?".into(),
                _ => "Was this activity authorised?".into(),
            },
            options: vec![
                "authorised: resolve".into(),
                "not authorised: contain".into(),
                "not known: keep open".into(),
            ],
            default_if_silent: "the case stays on hold".into(),
        }),
    };
    Hold { cause, ask, missing: verdict.unknowns().to_vec() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::draft::Unknown;
    use crate::domain::verdict::tests::{draft, harm, harmless, judged};

    fn facts(tier: Tier) -> CaseFacts {
        CaseFacts {
            tier,
            severity: Severity::Medium,
            mandatory: vec![],
            taint: None,
            obstacles: vec![],
            habit: Habit::NotShown("it is new".into()),
        }
    }

    fn benign() -> Verdict {
        judged(draft(Classification::FalsePositive, 0.01), vec![harmless()]).expect("it stands")
    }

    #[test]
    fn a_benign_verdict_with_too_little_coverage_is_held() {
        let routed = route(&benign(), &facts(Tier::One), &RoutePolicy::default());
        assert_eq!(routed.rule, "too_little_covered");
    }

    #[test]
    fn a_covered_benign_verdict_is_resolved_unless_a_person_is_due() {
        let covered = RoutePolicy { close_coverage: 0.0, ..RoutePolicy::default() };
        assert!(matches!(route(&benign(), &facts(Tier::One), &covered).route, Route::Resolve(_)));
        let mandatory = CaseFacts { mandatory: vec![MandatoryHuman::CredentialAccess], ..facts(Tier::One) };
        assert_eq!(route(&benign(), &mandatory, &covered).rule, "mandatory_human");
        let tainted = CaseFacts { taint: Some(Taint::AddressesTheReader), ..facts(Tier::Two) };
        assert_eq!(route(&benign(), &tainted, &covered).rule, "mandatory_human");
        let mut contradicted = draft(Classification::FalsePositive, 0.01);
        contradicted.contradictions.push("something does not fit".into());
        let contradicted = judged(contradicted, vec![harmless()]).expect("it stands");
        assert_eq!(route(&contradicted, &facts(Tier::One), &covered).rule, "contradicted");
        let loud = CaseFacts { severity: Severity::High, ..facts(Tier::One) };
        assert_eq!(route(&benign(), &loud, &covered).rule, "severity_above_medium");
        let habit = CaseFacts { habit: Habit::Old, ..loud };
        assert!(matches!(route(&benign(), &habit, &covered).route, Route::Resolve(_)));
        let critical = CaseFacts { severity: Severity::Critical, ..habit };
        assert_eq!(route(&benign(), &critical, &covered).rule, "severity_above_medium");
    }

    #[test]
    fn what_nobody_explained_or_could_have_seen_is_held_with_its_sentence() {
        let covered = RoutePolicy { close_coverage: 0.0, ..RoutePolicy::default() };
        let unseen = || Obstacle::Unseen("no connections are reported".into());
        let seen = || Obstacle::Unexplained("a thread was planted".into());
        for (obstacles, cause, because) in [
            (vec![unseen()], HoldCause::InsufficientTelemetry, "no connections are reported"),
            (vec![unseen(), seen()], HoldCause::ConflictingEvidence, "no connections are reported (and 1 more)"),
        ] {
            let says: Vec<String> = obstacles.iter().map(|obstacle| obstacle.says().to_owned()).collect();
            let routed = route(&benign(), &CaseFacts { obstacles, ..facts(Tier::One) }, &covered);
            assert_eq!((routed.rule, routed.because.as_str()), ("not_all_explained", because));
            let Route::Hold(hold) = routed.route else { panic!("{:?}", routed.route) };
            assert_eq!(hold.cause, cause);
            assert!(hold.missing.iter().map(|missing| &missing.what).zip(&says).all(|(what, says)| what == says));
        }
    }

    #[test]
    fn a_true_positive_goes_up_and_then_to_a_person() {
        let verdict = judged(draft(Classification::TruePositive, 0.97), vec![harm()]).expect("it stands");
        let policy = RoutePolicy::default();
        assert_eq!(route(&verdict, &facts(Tier::One), &policy).rule, "likely_malicious");
        let second = route(&verdict, &facts(Tier::Two), &policy);
        assert!(matches!(second.route, Route::Hold(Hold { cause: HoldCause::ConfirmedThreat, .. })));
        assert!(!second.may_contain, "one family is not enough to ask for containment");
    }

    prop_compose! {
        fn any_verdict()(
            class in prop::sample::select(vec![
                Classification::TruePositive, Classification::FalsePositive,
                Classification::InformationalExpectedActivity, Classification::Undetermined]),
            probability in 0.0..=1.0f64,
            obtainable in any::<bool>(),
            evidence in prop::sample::subsequence(vec![harm(), harmless()], 0..=2),
        ) -> Option<Verdict> {
            let mut draft = draft(class, probability);
            draft.unknowns = vec![Unknown { what: "w".into(), why_it_matters: "m".into(), where_to_look: "l".into(), obtainable }];
            judged(draft, evidence).ok()
        }
    }

    proptest! {
        #[test]
        fn only_a_proven_benign_verdict_is_ever_resolved_by_machine(
            verdict in any_verdict(),
            tier in prop::sample::select(vec![Tier::One, Tier::Two]),
            cost_ratio in 0.0..100.0f64,
            escalate_at in 0.0..=1.0f64,
        ) {
            let Some(verdict) = verdict else { return Ok(()) };
            let policy = RoutePolicy { cost_ratio, escalate_at, close_coverage: 0.0, ..RoutePolicy::default() };
            if let Route::Resolve(resolution) = route(&verdict, &facts(tier), &policy).route {
                let benign = matches!(
                    verdict.conclusion(),
                    Conclusion::FalsePositive { .. } | Conclusion::InformationalExpectedActivity { .. });
                prop_assert!(benign);
                prop_assert_eq!(resolution.classification(), verdict.classification());
            }
        }
    }
}
