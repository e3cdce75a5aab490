//! What comes from other machines or goes there: lateral movement, command and control.

use super::Of::{Machine, Process, Session};
use super::{Look, Playbook, SECURITY, SYSTEM, asked, look};
use crate::domain::event::SYSMON;

/// See the module.
pub(super) const FAMILIES: [Playbook; 4] = [
    Playbook {
        id: "lateral",
        techniques: &["T1021", "T1047", "T1570", "T1569", "T1563", "T1072", "T1028"],
        kinds: &[(SECURITY, 5140), (SECURITY, 5145), (SECURITY, 4697), (SYSMON, 18)],
        questions: &[
            asked(
                "lateral.session",
                "From which machine and account did the session come?",
                1.0,
                &[(SECURITY, 4624), (SECURITY, 4648), (SYSMON, 3)],
            ),
            asked(
                "lateral.ran",
                "What ran here through it?",
                1.0,
                &[(SYSMON, 1), (SECURITY, 4688), (SYSTEM, 7045), (SECURITY, 4697)],
            ),
            asked("lateral.rights", "Did the session have an administrator's rights?", 0.5, &[(SECURITY, 4672)]),
        ],
        looks: &[
            Look {
                of: Session,
                kinds: &[(SECURITY, 4624)],
                conditions: &[("TargetLogonId", "equals", "")],
                before: 1440,
                after: 5,
            },
            Look {
                of: Machine,
                kinds: &[(SYSMON, 3)],
                conditions: &[("Initiated", "equals", "false")],
                before: 2,
                after: 2,
            },
            Look {
                of: Machine,
                kinds: &[(SECURITY, 4624)],
                conditions: &[("LogonType", "equals", "3")],
                before: 2,
                after: 1,
            },
            look(Machine, &[(SECURITY, 5145)], 2, 5),
            Look {
                of: Machine,
                kinds: &[(SYSMON, 11)],
                conditions: &[("Image", "equals", "System")],
                before: 5,
                after: 5,
            },
            look(Machine, &[(SYSMON, 17)], 2, 5),
        ],
    },
    Playbook {
        id: "control",
        techniques: &["T1071", "T1568", "T1573", "T1090", "T1095", "T1571", "T1572", "T1102", "T1219", "T1008"],
        kinds: &[(SYSMON, 3), (SYSMON, 22)],
        questions: &[
            asked(
                "control.owner",
                "Which program owns the connection, and has it any business to talk?",
                1.0,
                &[(SYSMON, 3)],
            ),
            asked("control.name", "Which names did it resolve?", 0.5, &[(SYSMON, 22)]),
            asked("control.more", "Does it talk again and again?", 0.5, &[(SYSMON, 3)]),
        ],
        looks: &[look(Process, &[(SYSMON, 3)], 30, 60), look(Process, &[(SYSMON, 22)], 30, 60)],
    },
    Playbook {
        id: "injection",
        techniques: &["T1055"],
        kinds: &[(SYSMON, 8), (SYSMON, 25)],
        questions: &[
            asked("injection.start", "Does the thread begin in a module?", 1.0, &[(SYSMON, 8)]),
            asked("injection.after", "What did the target do afterwards?", 1.0, &[(SYSMON, 1), (SYSMON, 3)]),
        ],
        looks: &[look(Process, &[(SYSMON, 10)], 5, 5)],
    },
    Playbook {
        id: "sideloading",
        techniques: &["T1574", "T1129"],
        kinds: &[(SYSMON, 7)],
        questions: &[
            asked("sideloading.signed", "Is the library signed, and in its place?", 1.0, &[(SYSMON, 7)]),
            asked("sideloading.written", "Who wrote it, and when?", 1.0, &[(SYSMON, 11)]),
        ],
        looks: &[
            Look {
                of: Process,
                kinds: &[(SYSMON, 7)],
                conditions: &[("Signed", "equals", "false")],
                before: 10,
                after: 10,
            },
            Look {
                of: Machine,
                kinds: &[(SYSMON, 11)],
                conditions: &[("TargetFilename", "ends_with", ".dll")],
                before: 60,
                after: 1,
            },
        ],
    },
];
