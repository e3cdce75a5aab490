//! What works against defenders and recovery: logs, sensors, Defender, the firewall, shadow copies.

use super::Of::{Machine, Process};
use super::{DEFENDER, Look, Playbook, SECURITY, SYSTEM, asked, look};
use crate::domain::event::SYSMON;

/// See the module.
pub(super) const FAMILIES: [Playbook; 3] = [
    Playbook {
        id: "impairment",
        techniques: &["T1562", "T1685", "T1686", "T1070", "T1112"],
        kinds: &[
            (SECURITY, 1102),
            (SECURITY, 4719),
            (SYSTEM, 104),
            (DEFENDER, 5001),
            (DEFENDER, 5007),
            (DEFENDER, 5010),
            (DEFENDER, 5012),
        ],
        questions: &[
            asked(
                "impairment.what",
                "What exactly was weakened, and by whom?",
                1.0,
                &[
                    (SECURITY, 1102),
                    (SECURITY, 4719),
                    (SYSTEM, 104),
                    (SYSTEM, 7040),
                    (SYSMON, 1),
                    (SYSMON, 12),
                    (SYSMON, 13),
                    (DEFENDER, 5001),
                    (DEFENDER, 5007),
                    (DEFENDER, 5010),
                    (DEFENDER, 5012),
                ],
            ),
            asked("impairment.around", "What happened just before and after?", 1.0, &[(SYSMON, 1), (SECURITY, 4688)]),
        ],
        looks: &[
            look(Machine, &[(SYSTEM, 7040)], 10, 10),
            look(
                Machine,
                &[
                    (DEFENDER, 5001),
                    (DEFENDER, 5007),
                    (DEFENDER, 5010),
                    (DEFENDER, 5012),
                    (DEFENDER, 1116),
                    (DEFENDER, 1117),
                ],
                30,
                30,
            ),
            look(Process, &[(SYSMON, 12), (SYSMON, 13)], 10, 10),
        ],
    },
    Playbook {
        id: "recovery",
        techniques: &["T1490", "T1489", "T1486", "T1485"],
        kinds: &[],
        questions: &[
            asked(
                "recovery.scope",
                "Is all recovery concerned, or one volume's oldest copy?",
                1.0,
                &[(SYSMON, 1), (SECURITY, 4688)],
            ),
            asked("recovery.steps", "Were other steps taken within minutes?", 1.0, &[(SYSMON, 1), (SECURITY, 4688)]),
            asked("recovery.files", "Were files changed in mass?", 1.0, &[(SYSMON, 11), (SYSMON, 23), (SYSMON, 26)]),
        ],
        looks: &[
            Look {
                of: Machine,
                kinds: &[(SYSMON, 1)],
                conditions: &[("CommandLine", "contains", "shadow")],
                before: 15,
                after: 15,
            },
            Look {
                of: Machine,
                kinds: &[(SYSMON, 1)],
                conditions: &[("CommandLine", "contains", "bcdedit")],
                before: 15,
                after: 15,
            },
            Look {
                of: Machine,
                kinds: &[(SYSMON, 1)],
                conditions: &[("CommandLine", "contains", "wbadmin")],
                before: 15,
                after: 15,
            },
        ],
    },
    Playbook {
        id: "malware",
        techniques: &["T1588", "T1587"],
        kinds: &[(DEFENDER, 1116), (DEFENDER, 1117), (DEFENDER, 1119)],
        questions: &[
            asked("malware.handled", "Did Defender remove it?", 1.0, &[(DEFENDER, 1117), (DEFENDER, 1119)]),
            asked("malware.ran", "Had it run before?", 1.0, &[(SYSMON, 1), (SECURITY, 4688)]),
        ],
        looks: &[look(Machine, &[(DEFENDER, 1116), (DEFENDER, 1117), (DEFENDER, 1119)], 30, 60)],
    },
];
