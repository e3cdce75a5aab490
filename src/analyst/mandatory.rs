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
