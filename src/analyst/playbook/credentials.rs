//! What reaches for credentials: LSASS, account databases, browsers, the directory, tickets.

use super::Of::{Machine, Process, Session};
use super::{APPLICATION, Look, Playbook, SECURITY, SYSTEM, asked, look};
use crate::domain::event::SYSMON;

/// See the module.
pub(super) const FAMILIES: [Playbook; 5] = [
    Playbook {
        id: "lsass",
        techniques: &["T1003.001"],
        kinds: &[],
        questions: &[
            asked("lsass.rights", "Could it read memory, and through which code?", 1.0, &[(SYSMON, 10)]),
            asked("lsass.dump", "Was a dump written?", 1.0, &[(SYSMON, 11)]),
            asked("lsass.crash", "Had LSASS crashed?", 0.5, &[(APPLICATION, 1000), (SYSMON, 10)]),
        ],
        looks: &[
            Look {
                of: Machine,
                kinds: &[(SYSMON, 10)],
                conditions: &[("TargetImage", "ends_with", "\\lsass.exe")],
                before: 2,
                after: 10,
            },
            Look {
                of: Machine,
                kinds: &[(SYSMON, 11)],
                conditions: &[("TargetFilename", "ends_with", ".dmp")],
                before: 2,
                after: 15,
            },
            look(Machine, &[(APPLICATION, 1000)], 5, 2),
        ],
    },
    Playbook {
        id: "stores",
        techniques: &[
            "T1003.002",
            "T1003.003",
            "T1003.004",
            "T1003.005",
            "T1003.008",
            "T1003",
            "T1555",
            "T1552",
            "T1539",
            "T1006",
        ],
        kinds: &[],
        questions: &[
            asked("stores.copy", "Was a store of credentials copied?", 1.5, &[(SYSMON, 11), (SYSMON, 9)]),
            asked(
                "stores.shadow",
                "Was a shadow copy made to get at it?",
                0.5,
                &[(SYSMON, 1), (SECURITY, 4688), (SYSTEM, 7036)],
            ),
        ],
        looks: &[
            Look {
                of: Machine,
                kinds: &[(SYSMON, 11)],
                conditions: &[("TargetFilename", "contains", "ntds")],
                before: 5,
                after: 15,
            },
            Look {
                of: Machine,
                kinds: &[(SYSMON, 1)],
                conditions: &[("CommandLine", "contains", "shadow")],
                before: 10,
                after: 5,
            },
        ],
    },
    Playbook {
        id: "replication",
        techniques: &["T1003.006", "T1207"],
        kinds: &[(SECURITY, 4662)],
        questions: &[
            asked("replication.who", "Is the account a domain controller's?", 1.0, &[(SECURITY, 4662)]),
            asked("replication.from", "From which machine did its session come?", 1.0, &[(SECURITY, 4624)]),
        ],
        looks: &[Look {
            of: Session,
            kinds: &[(SECURITY, 4624)],
            conditions: &[("TargetLogonId", "equals", "")],
            before: 1440,
            after: 5,
        }],
    },
    Playbook {
        id: "tickets",
        techniques: &["T1558", "T1550", "T1649", "T1187", "T1557"],
        kinds: &[(SECURITY, 4768), (SECURITY, 4769)],
        questions: &[
            asked(
                "tickets.kind",
                "Are tickets weak, many, or for many services?",
                1.0,
                &[(SECURITY, 4769), (SECURITY, 4768)],
            ),
            asked("tickets.speaker", "Which program spoke Kerberos?", 1.0, &[(SYSMON, 3)]),
        ],
        looks: &[
            Look {
                of: Machine,
                kinds: &[(SECURITY, 4769)],
                conditions: &[("TicketEncryptionType", "equals", "0x17")],
                before: 10,
                after: 10,
            },
            Look {
                of: Process,
                kinds: &[(SYSMON, 3)],
                conditions: &[("DestinationPort", "equals", "88")],
                before: 10,
                after: 10,
            },
        ],
    },
    Playbook {
        id: "guessing",
        techniques: &["T1110"],
        kinds: &[(SECURITY, 4625), (SECURITY, 4771), (SECURITY, 4776)],
        questions: &[
            asked("guessing.success", "Did a guess succeed?", 1.0, &[(SECURITY, 4624)]),
            asked(
                "guessing.source",
                "From which machine were passwords guessed?",
                0.5,
                &[(SECURITY, 4625), (SECURITY, 4771), (SECURITY, 4776), (SECURITY, 4648)],
            ),
        ],
        looks: &[look(Machine, &[(SECURITY, 4648)], 5, 30)],
    },
];
