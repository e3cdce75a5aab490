//! Playbooks: the questions an investigation answers, what each is worth, and where the answers lie. Data, no code.
//!
//! Every case answers the general questions. Its alerts choose the families whose questions are asked besides, one file
//! per group of families. Coverage is counted over all of them.

mod collection;
mod credentials;
mod execution;
mod impairment;
mod persistence;
mod remote;

use crate::domain::alert::Alert;
use crate::domain::event::{SYSMON, kind_name};
use crate::domain::verdict::Question;

/// A channel and a code.
pub type Kind = (&'static str, u32);

/// A question of a family, with the kinds of events that answer it: one that is there says yes, and a counted absence
/// of one says no, because it carries proof that the sensor lived.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The question.
    pub question: Question,
    /// What answers it.
    pub answered_by: &'static [Kind],
}

/// What a look is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The process of the alert.
    Process,
    /// Its machine, around the time.
    Machine,
    /// Its logon session, by the id that the fields of the look name.
    Session,
}

/// Events to look at.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Of what.
    pub of: Of,
    /// Which kinds.
    pub kinds: &'static [Kind],
    /// Conditions: a field of `event_data`, how it is compared, and with what. Of a session, the field that names it
    /// is compared with the alert's session and the value left empty.
    pub conditions: &'static [(&'static str, &'static str, &'static str)],
    /// Minutes before the alert.
    pub before: i64,
    /// Minutes after it.
    pub after: i64,
}

/// The craft of one family of alerts (`analyst.md` §2).
#[derive(Debug, Clone, Copy)]
pub struct Playbook {
    /// Its name.
    pub id: &'static str,
    /// Techniques whose alerts it is for, their parts included.
    pub techniques: &'static [&'static str],
    /// Kinds of events whose alerts it is for, whatever their technique.
    pub kinds: &'static [Kind],
    /// What it asks.
    pub questions: &'static [Asked],
    /// Where it looks besides what every investigation looks at.
    pub looks: &'static [Look],
}

const SECURITY: &str = "Security";
const SYSTEM: &str = "System";
const POWERSHELL: &str = "Microsoft-Windows-PowerShell/Operational";
const DEFENDER: &str = "Microsoft-Windows-Windows Defender/Operational";
const APPLICATION: &str = "Application";

const fn asked(id: &'static str, asks: &'static str, weight: f64, answered_by: &'static [Kind]) -> Asked {
    Asked { question: Question { id, asks, weight }, answered_by }
}

const fn look(of: Of, kinds: &'static [Kind], before: i64, after: i64) -> Look {
    Look { of, kinds, conditions: &[], before, after }
}

/// All families, in the order in which they are asked.
pub fn families() -> impl Iterator<Item = &'static Playbook> {
    let groups: [&[Playbook]; 6] = [
        &credentials::FAMILIES,
        &impairment::FAMILIES,
        &remote::FAMILIES,
        &persistence::FAMILIES,
        &collection::FAMILIES,
        &execution::FAMILIES,
    ];
    groups.into_iter().flatten()
}

/// The families that these alerts choose.
#[must_use]
pub fn of(alerts: &[Alert]) -> Vec<&'static Playbook> {
    families().filter(|family| alerts.iter().any(|alert| family.is_for(alert))).collect()
}

/// The questions of a case: the general ones and those of its families, each once.
#[must_use]
pub fn questions(alerts: &[Alert]) -> Vec<Question> {
    let of_families = of(alerts).into_iter().flat_map(|family| family.questions).map(|asked| asked.question);
    let mut questions: Vec<Question> = GENERAL.to_vec();
    for question in of_families {
        if !questions.iter().any(|known| known.id == question.id) {
            questions.push(question);
        }
    }
    questions
}

impl Playbook {
    /// The family is for this alert.
    #[must_use]
    pub fn is_for(&self, alert: &Alert) -> bool {
        let techniques = alert.rule.techniques();
        let of_technique = |technique: &String| {
            let of =
                |id: &&str| technique.strip_prefix(*id).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            self.techniques.iter().any(of)
        };
        let of_kind = |kind: &Kind| alert.event_kind == kind_name(kind.0, kind.1);
        techniques.iter().any(of_technique) || self.kinds.iter().any(of_kind)
    }
}

/// What every process of a case is asked for: asked apart, so that many of one kind hide none of another, and so that
/// an empty answer says what was not there.
pub const OF_A_PROCESS: [&[Kind]; 8] = [
    &[(SYSMON, 8)],
    &[(SYSMON, 10)],
    &[(SYSMON, 11)],
    &[(SYSMON, 13)],
    &[(SYSMON, 3)],
    &[(SYSMON, 5), (SYSMON, 9), (SYSMON, 15), (SYSMON, 17), (SYSMON, 25)],
    &[(SYSMON, 22)],
    &[(SYSMON, 20)],
];

/// What exactly fired?
pub const TRIGGER: &str = "trigger";
/// Who or what acted?
pub const ACTOR: &str = "actor";
/// What launched it?
pub const LAUNCH: &str = "launch";
/// Under which account?
pub const ACCOUNT: &str = "account";
/// What did it do?
pub const EFFECT: &str = "effect";
/// Has it happened before?
pub const HISTORY: &str = "history";
/// What else is near?
pub const NEARBY: &str = "nearby";

/// The general playbook. What happened, what started it and what it did weigh double: without them the rest
/// decides nothing.
pub const GENERAL: [Question; 7] = [
    Question { id: TRIGGER, asks: "What exactly fired: the behaviour, or only a keyword?", weight: 2.0 },
    Question { id: ACTOR, asks: "Which program acted, and does it lie where it belongs?", weight: 1.0 },
    Question { id: LAUNCH, asks: "What launched it?", weight: 2.0 },
    Question { id: ACCOUNT, asks: "Under which account did it run?", weight: 1.0 },
    Question { id: EFFECT, asks: "What did it do to the machine and whom did it talk to?", weight: 2.0 },
    Question { id: HISTORY, asks: "Has it happened before, here or elsewhere?", weight: 1.0 },
    Question { id: NEARBY, asks: "What else was raised near it?", weight: 1.0 },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::fixtures::alert;

    #[test]
    fn every_family_asks_and_says_where_answers_lie() {
        let mut ids = BTreeSet::new();
        for family in families() {
            assert!(ids.insert(family.id), "{} twice", family.id);
            assert!(!family.questions.is_empty() && !family.techniques.is_empty(), "{}", family.id);
            for asked in family.questions {
                assert!(!asked.answered_by.is_empty() && asked.question.weight > 0.0, "{}", asked.question.id);
                assert!(asked.question.asks.ends_with('?'), "{}", asked.question.asks);
            }
            let weight: f64 = family.questions.iter().map(|asked| asked.question.weight).sum();
            assert!(weight <= 3.0, "{} outweighs the general questions", family.id);
        }
        assert!(ids.len() >= 21, "{} families", ids.len());
    }

    #[test]
    fn alerts_choose_their_families_by_technique_and_by_kind() {
        let mut dump = alert("a", "e", "WKS-1", 0);
        dump.rule.tags = vec!["attack.t1003.001".into()];
        assert_eq!(of(&[dump]).iter().map(|family| family.id).collect::<Vec<_>>(), ["lsass", "stores"]);
        let mut service = alert("a", "e", "WKS-1", 0);
        service.event_kind = "System 7045".into();
        assert!(of(&[service]).iter().any(|family| family.id == "service"));
        assert!(of(&[alert("a", "e", "WKS-1", 0)]).is_empty());
    }

    #[test]
    fn old_and_new_ids_of_impairment_choose_the_same_family() {
        for tag in ["attack.t1562.001", "attack.t1685"] {
            let mut tampering = alert("a", "e", "WKS-1", 0);
            tampering.rule.tags = vec![tag.into()];
            assert!(of(&[tampering]).iter().any(|family| family.id == "impairment"), "{tag}");
        }
    }
}
