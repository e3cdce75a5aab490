//! Which alerts always need a person, whatever a verdict says.

use std::collections::BTreeSet;

use crate::domain::alert::{Alert, Severity};
use crate::domain::route::MandatoryHuman;

/// ATT&CK techniques by reason. The ids of defence impairment are named twice: version 19 renumbered them
/// (T1562.001 → T1685, T1562.002 → T1685.001, T1070.001 → T1685.005).
const TECHNIQUES: [(MandatoryHuman, &[&str]); 3] = [
    (MandatoryHuman::CredentialAccess, &["T1003"]),
    (MandatoryHuman::DefenceImpairment, &["T1562", "T1070.001", "T1685", "T1686"]),
    (MandatoryHuman::Impact, &["T1490", "T1486", "T1489", "T1485"]),
];

/// The reasons that apply to these alerts.
#[must_use]
pub fn reasons(alerts: &[Alert]) -> Vec<MandatoryHuman> {
    let mut reasons = BTreeSet::new();
    for alert in alerts {
        if alert.rule.level == Severity::Critical {
            reasons.insert(MandatoryHuman::CriticalSeverity);
        }
        let techniques = alert.rule.techniques();
        for (reason, ids) in TECHNIQUES {
            let is_of = |technique: &String| {
                ids.iter()
                    .any(|id| technique.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
            };
            if techniques.iter().any(is_of) {
                reasons.insert(reason);
            }
        }
    }
    reasons.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::alert;

    fn tagged(tags: &[&str]) -> Vec<MandatoryHuman> {
        let alerts = tags.iter().map(|tag| {
            let mut alert = alert("a", "e", "WKS-1", 0);
            alert.rule.tags = vec!["attack.execution".into(), (*tag).to_owned()];
            alert
        });
        reasons(&alerts.collect::<Vec<_>>())
    }

    #[test]
    fn techniques_that_a_person_decides_are_known_with_their_parts() {
        let reserved = [
            (MandatoryHuman::CredentialAccess, vec!["t1003", "t1003.001", "t1003.006"]),
            (
                MandatoryHuman::DefenceImpairment,
                vec!["t1562", "t1562.001", "t1070.001", "t1685", "t1685.005", "t1686", "t1686.001"],
            ),
            (MandatoryHuman::Impact, vec!["t1490", "t1486", "t1489", "t1485", "t1485.001"]),
        ];
        for (reason, techniques) in reserved {
            for technique in techniques {
                assert_eq!(tagged(&[&format!("attack.{technique}")]), [reason], "{technique}");
            }
        }
    }

    #[test]
    fn other_techniques_are_not() {
        for tag in ["attack.t1059.001", "attack.t1070", "attack.t1070.004", "attack.t10030", "cve.t1003", "t1003"] {
            assert_eq!(tagged(&[tag]), [], "{tag}");
        }
    }

    #[test]
    fn each_reason_is_given_once_and_one_alert_is_enough() {
        let reasons = tagged(&["attack.t1059", "attack.t1486", "attack.t1003.001", "attack.t1003.002"]);
        assert_eq!(reasons, [MandatoryHuman::CredentialAccess, MandatoryHuman::Impact]);
    }

    #[test]
    fn what_its_source_calls_critical_is_a_persons() {
        for (level, reasons) in [(Severity::High, vec![]), (Severity::Critical, vec![MandatoryHuman::CriticalSeverity])]
        {
            let mut alert = alert("a", "e", "WKS-1", 0);
            alert.rule.level = level;
            assert_eq!(super::reasons(&[alert]), reasons);
        }
    }
}
