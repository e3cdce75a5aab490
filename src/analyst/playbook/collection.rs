//! What looks around, gathers and carries away.

use super::Of::{Machine, Process};
use super::{Look, Playbook, SECURITY, asked, look};
use crate::domain::event::SYSMON;

/// See the module.
pub(super) const FAMILIES: [Playbook; 3] = [
    Playbook {
        id: "discovery",
        techniques: &[
            "T1087", "T1069", "T1018", "T1082", "T1016", "T1482", "T1033", "T1007", "T1049", "T1057", "T1135", "T1201",
            "T1518", "T1615", "T1012", "T1083", "T1046",
        ],
        kinds: &[],
        questions: &[
            asked(
                "discovery.burst",
                "Were several questions asked within minutes?",
                1.0,
                &[(SYSMON, 1), (SECURITY, 4688)],
            ),
            asked(
                "discovery.by",
                "Who asked, and does that person administer?",
                0.5,
                &[(SYSMON, 1), (SECURITY, 4688), (SECURITY, 4672)],
            ),
        ],
        looks: &[Look {
            of: Machine,
            kinds: &[(SYSMON, 1)],
            conditions: &[("Image", "starts_with", "C:\\Windows\\System32\\")],
            before: 3,
            after: 5,
        }],
    },
    Playbook {
        id: "exfiltration",
        techniques: &["T1560", "T1567", "T1048", "T1041", "T1030", "T1020", "T1537"],
        kinds: &[],
        questions: &[
            asked(
                "exfiltration.what",
                "What was packed up, and was it hidden with a password?",
                1.0,
                &[(SYSMON, 1), (SYSMON, 11), (SECURITY, 4688)],
            ),
            asked("exfiltration.where", "Did it leave?", 1.0, &[(SYSMON, 3), (SYSMON, 22)]),
        ],
        looks: &[look(Process, &[(SYSMON, 3)], 5, 60)],
    },
    Playbook {
        id: "recording",
        techniques: &["T1123", "T1125", "T1115", "T1113", "T1056"],
        kinds: &[],
        questions: &[asked("recording.by", "Which program recorded?", 1.0, &[(SYSMON, 13), (SYSMON, 1), (SYSMON, 24)])],
        looks: &[Look {
            of: Machine,
            kinds: &[(SYSMON, 13)],
            conditions: &[("TargetObject", "contains", "ConsentStore")],
            before: 10,
            after: 10,
        }],
    },
];
