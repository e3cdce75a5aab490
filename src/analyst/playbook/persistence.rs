//! What makes sure to run again: tasks, services, autostarts, WMI, accounts.

use super::Of::{Machine, Process, Session};
use super::{Look, Playbook, SECURITY, SYSTEM, asked, look};
use crate::domain::event::SYSMON;

/// See the module.
pub(super) const FAMILIES: [Playbook; 5] = [
    Playbook {
        id: "task",
        techniques: &["T1053"],
        kinds: &[(SECURITY, 4698), (SECURITY, 4699), (SECURITY, 4702)],
        questions: &[
            asked(
                "task.action",
                "What does the task run, as whom?",
                1.0,
                &[(SECURITY, 4698), (SECURITY, 4702), (SYSMON, 1)],
            ),
            asked("task.ran", "Has it run?", 0.5, &[(SYSMON, 1), (SECURITY, 4688)]),
        ],
        looks: &[
            look(Machine, &[(SECURITY, 4698), (SECURITY, 4699), (SECURITY, 4702)], 5, 30),
            Look {
                of: Machine,
                kinds: &[(SYSMON, 1)],
                conditions: &[("ParentCommandLine", "contains", "Schedule")],
                before: 5,
                after: 30,
            },
            Look {
                of: Session,
                kinds: &[(SECURITY, 4624)],
                conditions: &[("TargetLogonId", "equals", "")],
                before: 1440,
                after: 5,
            },
        ],
    },
    Playbook {
        id: "service",
        techniques: &["T1543", "T1574.011"],
        kinds: &[(SYSTEM, 7045), (SECURITY, 4697)],
        questions: &[
            asked(
                "service.program",
                "What does the service run?",
                1.0,
                &[(SYSTEM, 7045), (SECURITY, 4697), (SYSMON, 13)],
            ),
            asked("service.ran", "Has it run?", 1.0, &[(SYSMON, 1), (SECURITY, 4688)]),
        ],
        looks: &[
            look(Machine, &[(SYSTEM, 7045)], 5, 5),
            look(Machine, &[(SECURITY, 4697)], 5, 5),
            Look {
                of: Machine,
                kinds: &[(SYSMON, 1)],
                conditions: &[("ParentImage", "ends_with", "\\services.exe")],
                before: 2,
                after: 5,
            },
            Look {
                of: Machine,
                kinds: &[(SECURITY, 4688)],
                conditions: &[("ParentProcessName", "ends_with", "\\services.exe")],
                before: 1,
                after: 3,
            },
        ],
    },
    Playbook {
        id: "autostart",
        techniques: &["T1547", "T1546", "T1037", "T1542"],
        kinds: &[(SYSMON, 12), (SYSMON, 13), (SYSMON, 14)],
        questions: &[
            asked("autostart.value", "What will run, and where does it lie?", 1.0, &[(SYSMON, 13), (SYSMON, 11)]),
            asked("autostart.writer", "Who set it?", 0.5, &[(SYSMON, 1), (SYSMON, 13)]),
        ],
        looks: &[
            look(Process, &[(SYSMON, 12), (SYSMON, 13), (SYSMON, 14)], 10, 10),
            Look {
                of: Machine,
                kinds: &[(SYSMON, 1)],
                conditions: &[("ParentImage", "ends_with", "\\winlogon.exe")],
                before: 2,
                after: 10,
            },
        ],
    },
    Playbook {
        id: "wmi",
        techniques: &["T1546.003"],
        kinds: &[(SYSMON, 19), (SYSMON, 20), (SYSMON, 21)],
        questions: &[
            asked("wmi.consumer", "What does the consumer run?", 1.0, &[(SYSMON, 20)]),
            asked("wmi.ran", "Has it run?", 1.0, &[(SYSMON, 1)]),
        ],
        looks: &[
            look(Machine, &[(SYSMON, 19), (SYSMON, 20), (SYSMON, 21)], 10, 30),
            Look {
                of: Machine,
                kinds: &[(SYSMON, 17)],
                conditions: &[("Image", "ends_with", "\\scrcons.exe")],
                before: 10,
                after: 30,
            },
            Look {
                of: Machine,
                kinds: &[(SYSMON, 1)],
                conditions: &[("Image", "ends_with", "\\scrcons.exe")],
                before: 10,
                after: 30,
            },
            Look {
                of: Machine,
                kinds: &[(SYSMON, 3)],
                conditions: &[("Image", "ends_with", "\\scrcons.exe")],
                before: 10,
                after: 30,
            },
        ],
    },
    Playbook {
        id: "accounts",
        techniques: &["T1136", "T1098", "T1078", "T1531"],
        kinds: &[
            (SECURITY, 4720),
            (SECURITY, 4722),
            (SECURITY, 4724),
            (SECURITY, 4728),
            (SECURITY, 4732),
            (SECURITY, 4738),
            (SECURITY, 4756),
            (SECURITY, 5136),
        ],
        questions: &[
            asked(
                "accounts.by",
                "Who made or changed the account, from which session?",
                1.0,
                &[
                    (SECURITY, 4720),
                    (SECURITY, 4724),
                    (SECURITY, 4728),
                    (SECURITY, 4732),
                    (SECURITY, 4738),
                    (SECURITY, 4756),
                    (SECURITY, 5136),
                ],
            ),
            asked("accounts.used", "Was it used since?", 0.5, &[(SECURITY, 4624), (SECURITY, 4648)]),
        ],
        looks: &[
            look(
                Machine,
                &[
                    (SECURITY, 4720),
                    (SECURITY, 4722),
                    (SECURITY, 4724),
                    (SECURITY, 4728),
                    (SECURITY, 4732),
                    (SECURITY, 4756),
                    (SECURITY, 4738),
                ],
                10,
                30,
            ),
            Look {
                of: Session,
                kinds: &[(SECURITY, 4624)],
                conditions: &[("TargetLogonId", "equals", "")],
                before: 1440,
                after: 5,
            },
        ],
    },
];
