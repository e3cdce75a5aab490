//! How code came to run: PowerShell, encoded commands, programs of Windows that run other people's code, documents, disguises.

use super::Of::{Machine, Process};
use super::{Look, POWERSHELL, Playbook, SECURITY, asked, look};
use crate::domain::event::SYSMON;

/// See the module.
pub(super) const FAMILIES: [Playbook; 6] = [
    Playbook {
        id: "powershell",
        techniques: &["T1059.001", "T1059", "T1106", "T1620"],
        kinds: &[(POWERSHELL, 4103), (POWERSHELL, 4104)],
        questions: &[
            asked(
                "powershell.script",
                "Is the whole script known, and does it run what it defines?",
                1.0,
                &[(POWERSHELL, 4104), (SYSMON, 1)],
            ),
            asked("powershell.reach", "Did its process talk to anybody?", 1.0, &[(SYSMON, 3)]),
            asked("powershell.engine", "Is PowerShell's engine where it belongs?", 0.5, &[(SYSMON, 7), (SYSMON, 17)]),
        ],
        looks: &[
            look(Machine, &[(POWERSHELL, 4104)], 2, 5),
            Look {
                of: Process,
                kinds: &[(SYSMON, 7)],
                conditions: &[("ImageLoaded", "contains", "System.Management.Automation")],
                before: 5,
                after: 30,
            },
        ],
    },
    Playbook {
        id: "encoded",
        techniques: &["T1027", "T1140"],
        kinds: &[],
        questions: &[asked(
            "encoded.plain",
            "What does the plain text do?",
            1.5,
            &[(SYSMON, 1), (POWERSHELL, 4104), (SECURITY, 4688)],
        )],
        looks: &[look(Machine, &[(POWERSHELL, 4104)], 2, 5)],
    },
    Playbook {
        id: "proxy",
        techniques: &["T1218", "T1105", "T1127", "T1197", "T1216", "T1220"],
        kinds: &[],
        questions: &[
            asked("proxy.fetched", "Did it fetch a file, and was that started?", 1.0, &[(SYSMON, 11), (SYSMON, 3)]),
            asked("proxy.started", "What did it start?", 1.0, &[(SYSMON, 1), (SECURITY, 4688)]),
        ],
        looks: &[Look {
            of: Process,
            kinds: &[(SYSMON, 7)],
            conditions: &[("Signed", "equals", "false")],
            before: 5,
            after: 30,
        }],
    },
    Playbook {
        id: "document",
        techniques: &["T1566", "T1204", "T1203", "T1221", "T1559", "T1137", "T1189"],
        kinds: &[],
        questions: &[
            asked("document.child", "What did the document or page start?", 1.0, &[(SYSMON, 1), (SECURITY, 4688)]),
            asked("document.dropped", "Did it leave a file behind?", 1.0, &[(SYSMON, 11), (SYSMON, 15)]),
        ],
        looks: &[look(Machine, &[(SYSMON, 15)], 30, 5)],
    },
    Playbook {
        id: "disguise",
        techniques: &["T1036", "T1134", "T1548", "T1564", "T1055.012"],
        kinds: &[],
        questions: &[
            asked(
                "disguise.origin",
                "Is it what its name says, where it belongs, from whom it should be?",
                1.0,
                &[(SYSMON, 1), (SECURITY, 4688)],
            ),
            asked("disguise.rights", "With which rights did it end up?", 0.5, &[(SYSMON, 1), (SECURITY, 4672)]),
        ],
        looks: &[look(Process, &[(SYSMON, 12), (SYSMON, 13)], 5, 5)],
    },
    Playbook {
        id: "server",
        techniques: &["T1190", "T1505", "T1210"],
        kinds: &[],
        questions: &[
            asked("server.child", "What did the server start?", 1.0, &[(SYSMON, 1), (SECURITY, 4688)]),
            asked("server.reach", "Whom did it talk to?", 1.0, &[(SYSMON, 3)]),
        ],
        looks: &[Look {
            of: Machine,
            kinds: &[(SYSMON, 3)],
            conditions: &[("Initiated", "equals", "true")],
            before: 5,
            after: 30,
        }],
    },
];
