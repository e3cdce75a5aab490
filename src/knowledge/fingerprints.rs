//! Known harmless sources of alerts, each recognised only by all of its conditions together.
//!
//! A fingerprint may only lower a score, is void beside strong malicious evidence, and has a counter-test:
//! the look-alike that an adversary would make must not match.

use super::access_mask;

/// What is known of a process when a fingerprint is tried.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessRun<'a> {
    /// The program.
    pub image: &'a str,
    /// Its command line, whole.
    pub command: &'a str,
    /// The account that ran it, as the sensor wrote it.
    pub user: &'a str,
    /// The program that started it.
    pub parent: &'a str,
}

/// Where Defender for Endpoint keeps the inventory scripts it runs, folded.
pub const COLLECTION: &str =
    "c:\\programdata\\microsoft\\windows defender advanced threat protection\\datacollection\\";

/// Defender's sensor, which starts them.
const SENSOR: &str = "c:\\program files\\windows defender advanced threat protection\\senseir.exe";

/// The interpreter they are run with.
const INTERPRETER: &str = "c:\\windows\\system32\\windowspowershell\\v1.0\\powershell.exe";

/// How the command begins and ends, folded; everything between is statements of [`STATEMENTS`].
const BEGINNING: &str = "powershell.exe -executionpolicy allsigned -noprofile -noninteractive -command \"& {";
const END: &str = "}\"";

/// The statements the sensor writes, folded, with `'#'` for each quoted text.
const STATEMENTS: [&str; 6] = [
    "$outputencoding = [console]::outputencoding =[system.text.encoding]::utf8",
    "$scriptfilestream = [system.io.file]::open('#', [system.io.filemode]::open, [system.io.fileaccess]::read, [system.io.fileshare]::read)",
    "$calculatedhash = microsoft.powershell.utility\\get-filehash '#' -algorithm sha256",
    "if (!($calculatedhash.hash -eq '#')) { exit 323",
    "}",
    ". '#'",
];

/// The script, if the process is Defender for Endpoint running an inventory script of its own folder: its
/// sensor, as SYSTEM, with Windows' own interpreter, by exactly its command.
///
/// Not covered: the same names elsewhere, another account, another parent, and anything added to the command.
#[must_use]
pub fn defender_data_collection(run: ProcessRun<'_>) -> Option<String> {
    let is = |text: &str, wanted: &str| text.eq_ignore_ascii_case(wanted);
    let started_by_sensor =
        is(run.parent, SENSOR) && is(run.image, INTERPRETER) && is(run.user, "NT AUTHORITY\\SYSTEM");
    let command = run.command.split_whitespace().collect::<Vec<_>>().join(" ");
    let folded = command.to_ascii_lowercase();
    let body = folded.strip_prefix(BEGINNING)?.strip_suffix(END)?;
    let texts: Vec<&str> = body.split('\'').skip(1).step_by(2).collect();
    let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let script = *texts.iter().find(|text| !is_hash(text))?;
    let only_this = texts.iter().all(|text| is_hash(text) || *text == script);
    let plain: String = body.split('\'').enumerate().map(|(at, part)| if at % 2 == 1 { "'#'" } else { part }).collect();
    let known =
        plain.split(';').map(str::trim).filter(|s| !s.is_empty()).all(|statement| STATEMENTS.contains(&statement));
    (started_by_sensor && only_this && known && is_in_folder(script)).then(|| {
        // As it was written, not folded: it is quoted.
        let at = folded.find(script).unwrap_or_default();
        command[at..at + script.len()].to_owned()
    })
}

/// One folder below Defender's, and a script in it.
fn is_in_folder(script: &str) -> bool {
    let Some(rest) = script.strip_prefix(COLLECTION) else { return false };
    let plain = rest.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '\\'));
    match rest.split('\\').collect::<Vec<_>>().as_slice() {
        [folder, file] => plain && !folder.is_empty() && !rest.contains("..") && file.ends_with(".ps1"),
        _ => false,
    }
}

/// The command of [`defender_data_collection`] runs the script only if it has the content that Defender expects.
#[must_use]
pub fn pins_content(run: ProcessRun<'_>) -> bool {
    let folded = run.command.to_ascii_lowercase();
    let refuses = folded.find("-eq '").zip(folded.find("exit 323"));
    let is_first = |(compares, refuses): (usize, usize)| {
        compares < refuses && folded.rfind(". '").is_some_and(|runs| refuses < runs)
    };
    defender_data_collection(run).is_some() && refuses.is_some_and(is_first)
}

/// Management agents that run scripts of their own folder: who they are, the parent, the beginning of the command
/// before the script and its end after it, the folders below which the script lies, and where its logs do. Folded.
struct Agent {
    name: &'static str,
    parent: &'static str,
    beginnings: &'static [&'static str],
    end: &'static str,
    folder: &'static str,
    logs: &'static str,
}

const AGENTS: [Agent; 2] = [
    Agent {
        name: "the Configuration Manager client",
        parent: "c:\\windows\\ccm\\ccmexec.exe",
        beginnings: &[
            "-nologo -noninteractive -noprofile -executionpolicy bypass \"& '",
            "-noprofile -noninteractive -executionpolicy bypass \"& '",
        ],
        end: "'\"",
        folder: "c:\\windows\\ccm\\",
        logs: "c:\\windows\\ccm\\logs\\",
    },
    Agent {
        name: "the Intune management extension",
        parent: "c:\\program files (x86)\\microsoft intune management extension\\agentexecutor.exe",
        beginnings: &["-noprofile -executionpolicy bypass -file \"", "-noprofile -executionpolicy allsigned -file \""],
        end: "\"",
        folder: "c:\\program files (x86)\\microsoft intune management extension\\content\\",
        logs: "c:\\programdata\\microsoft\\intunemanagementextension\\logs\\",
    },
];

/// A script that a management agent runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentScript {
    /// The agent's name.
    pub agent: &'static str,
    /// The script as the command writes it.
    pub script: String,
    /// The folder below which the agent keeps its scripts, folded.
    pub folder: &'static str,
    /// The interpreter refuses what no trusted publisher signed. Otherwise it runs whatever lies there: through an
    /// agent, whoever rules its server runs anything on every machine.
    pub is_signed: bool,
}

/// The agent and its script, if the process is a management agent running a script of its own folder, as SYSTEM, with
/// Windows' own interpreter, by exactly its command.
///
/// Not covered: scripts elsewhere, another account or parent, anything added to the command, and what the script does.
#[must_use]
pub fn agent_script(run: ProcessRun<'_>) -> Option<AgentScript> {
    let is = |text: &str, wanted: &str| text.eq_ignore_ascii_case(wanted);
    if !is(run.image, INTERPRETER) || !is(run.user, "NT AUTHORITY\\SYSTEM") {
        return None;
    }
    let command = run.command.split_whitespace().collect::<Vec<_>>().join(" ");
    let folded = command.to_ascii_lowercase();
    let quoted = format!("\"{INTERPRETER}\" ");
    let plain = format!("{INTERPRETER} ");
    let rest = [quoted.as_str(), plain.as_str(), "powershell.exe ", "\"powershell.exe\" "];
    let rest = rest.iter().find_map(|program| folded.strip_prefix(*program))?;
    AGENTS.iter().filter(|agent| is(run.parent, agent.parent)).find_map(|agent| {
        let begun = agent.beginnings.iter().find_map(|beginning| Some((*beginning, rest.strip_prefix(*beginning)?)));
        let (beginning, script) = begun?;
        let script = script.strip_suffix(agent.end)?;
        let below = script.strip_prefix(agent.folder)?;
        let plain = below.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '\\' | '{' | '}'));
        let sound = plain && !below.contains("..") && below.ends_with(".ps1");
        let at = folded.find(script)?;
        sound.then(|| AgentScript {
            agent: agent.name,
            script: command[at..at + script.len()].to_owned(),
            folder: agent.folder,
            is_signed: beginning.contains("-executionpolicy allsigned "),
        })
    })
}

/// The file is a log or a result that a run of this fingerprint keeps in a folder which only its agent reads: data by
/// its ending (see [`super::own_writes::is_data`]), in the one folder of a collection, or among an agent's logs.
#[must_use]
pub fn keeps(run: ProcessRun<'_>, file: &str) -> bool {
    let file = file.to_ascii_lowercase();
    let within = |folder: &str| file.strip_prefix(folder).is_some_and(|name| !name.contains('\\'));
    if let Some(script) = defender_data_collection(run) {
        let script = script.to_ascii_lowercase();
        return script.rfind('\\').is_some_and(|end| within(&script[..=end]));
    }
    let is_of = |agent: &&Agent| run.parent.eq_ignore_ascii_case(agent.parent);
    let logs = AGENTS.iter().find(is_of).filter(|_| agent_script(run).is_some()).map(|agent| agent.logs);
    logs.is_some_and(|logs| within(logs) && file.ends_with(".log"))
}

/// Browsers' updaters in their own folders.
const UPDATERS: [(&str, &str); 5] = [
    ("c:\\program files (x86)\\google\\update\\", "googleupdate.exe"),
    ("c:\\program files (x86)\\google\\googleupdater\\", "updater.exe"),
    ("c:\\program files\\google\\googleupdater\\", "updater.exe"),
    ("c:\\program files (x86)\\microsoft\\edgeupdate\\", "microsoftedgeupdate.exe"),
    ("c:\\program files (x86)\\mozilla maintenance service\\", "maintenanceservice.exe"),
];

/// A browser's updater in its own folder, as SYSTEM, started by Windows' services or tasks, or by itself.
///
/// Not covered: the same names where users write, a person's account, and what it starts besides itself.
#[must_use]
pub fn is_updater(run: ProcessRun<'_>) -> bool {
    let (image, parent) = (run.image.to_ascii_lowercase(), run.parent.to_ascii_lowercase());
    let of_windows = ["c:\\windows\\system32\\svchost.exe", "c:\\windows\\system32\\services.exe"];
    let own = |path: &str| {
        UPDATERS.iter().any(|(folder, name)| {
            path.strip_prefix(folder).is_some_and(|rest| rest == *name || rest.ends_with(&format!("\\{name}")))
                && !path.contains("..")
        })
    };
    run.user.eq_ignore_ascii_case("NT AUTHORITY\\SYSTEM")
        && own(&image)
        && (of_windows.contains(&parent.as_str()) || own(&parent))
}

/// The whole command removes the oldest shadow copy of one volume and does nothing else.
#[must_use]
pub fn is_retention_command(command: &str) -> bool {
    let folded = command.trim().to_ascii_lowercase();
    let words: Vec<&str> = folded.split_whitespace().collect();
    let [program, "delete", "shadows", volume, "/oldest", rest @ ..] = words.as_slice() else { return false };
    let program = program.trim_matches('"');
    let known = ["vssadmin", "vssadmin.exe", "c:\\windows\\system32\\vssadmin.exe"].contains(&program);
    let one = volume.strip_prefix("/for=").is_some_and(|volume| {
        let volume = volume.trim_end_matches('\\').as_bytes();
        volume.len() == 2 && volume[0].is_ascii_alphabetic() && volume[1] == b':'
    });
    known && one && matches!(rest, [] | ["/quiet"])
}

/// A backup product below Program Files, as SYSTEM, removes the oldest shadow copy of one volume.
///
/// Not covered: all copies, other tools, a shell in between. Somebody who runs it over and over removes all of them:
/// several steps are an effect of their own and void this.
#[must_use]
pub fn is_backup_retention(run: ProcessRun<'_>) -> bool {
    let parent = run.parent.to_ascii_lowercase();
    let installed = parent.starts_with("c:\\program files\\") || parent.starts_with("c:\\program files (x86)\\");
    run.image.eq_ignore_ascii_case("c:\\windows\\system32\\vssadmin.exe")
        && run.user.eq_ignore_ascii_case("NT AUTHORITY\\SYSTEM")
        && installed
        && !parent.contains("..")
        && is_retention_command(run.command)
}

/// A thread that `csrss.exe` starts in a console program to deliver Ctrl+C or the end of a session: from its own place,
/// at the function of Windows that does it.
///
/// Not covered: a thread that starts anywhere else, or in no module.
#[must_use]
pub fn is_control_signal(source: &str, module: &str, function: &str) -> bool {
    let module = module.to_ascii_lowercase();
    let known = ["c:\\windows\\system32\\kernel32.dll", "c:\\windows\\system32\\kernelbase.dll"];
    source.eq_ignore_ascii_case("c:\\windows\\system32\\csrss.exe")
        && known.contains(&module.as_str())
        && function.eq_ignore_ascii_case("CtrlRoutine")
}

/// What is known of one process opening another.
#[derive(Debug, Clone, Copy, Default)]
pub struct Access<'a> {
    /// Who opened.
    pub source: &'a str,
    /// What was opened.
    pub target: &'a str,
    /// With which rights.
    pub mask: &'a str,
    /// Through which modules.
    pub trace: &'a str,
    /// Under which account; older sensors do not say.
    pub user: &'a str,
}

impl Access<'_> {
    fn is_of_lsass(self) -> bool {
        self.target.eq_ignore_ascii_case("c:\\windows\\system32\\lsass.exe")
    }

    /// It can look and nothing more, and the call came from modules alone.
    fn only_looks(self) -> bool {
        !access_mask::may_change(self.mask)
            && !self.trace.is_empty()
            && !self.trace.to_ascii_uppercase().contains("UNKNOWN")
    }
}

/// Folders of virtual machines' agents, into which only administrators and the platform write.
const GUEST_AGENTS: [&str; 5] = [
    "c:\\windowsazure\\",
    "c:\\program files\\vmware\\vmware tools\\",
    "c:\\program files\\oracle\\virtualbox guest additions\\",
    "c:\\program files\\amazon\\ssm\\",
    "c:\\program files\\qemu-ga\\",
];

/// A virtual machine's agent, from its own folder or as Windows' service of it, looks at LSASS with rights that change
/// nothing.
///
/// Not covered: rights to write, a call out of no module, a person's account, and what an agent is told to run.
#[must_use]
pub fn is_guest_agent(access: Access<'_>) -> bool {
    let source = access.source.to_ascii_lowercase();
    let placed = GUEST_AGENTS.iter().any(|folder| source.starts_with(folder)) && !source.contains("..")
        || source == "c:\\windows\\system32\\vboxservice.exe";
    let by_system = access.user.is_empty() || access.user.eq_ignore_ascii_case("NT AUTHORITY\\SYSTEM");
    access.is_of_lsass() && placed && by_system && access.only_looks()
}

/// Defender's engine scans LSASS: its own program in its own folder, through its own library.
///
/// Not covered: the same name elsewhere, and its command-line tool.
#[must_use]
pub fn is_defender_scan(access: Access<'_>) -> bool {
    let source = access.source.to_ascii_lowercase();
    let placed = ["c:\\programdata\\microsoft\\windows defender\\platform\\", "c:\\program files\\windows defender\\"]
        .iter()
        .any(|folder| source.starts_with(folder));
    access.is_of_lsass()
        && placed
        && !source.contains("..")
        && source.ends_with("\\msmpeng.exe")
        && access.trace.to_ascii_lowercase().contains("mpengine.dll")
}

/// Error reporting reads LSASS. Only with the crash itself on record is that an error report.
///
/// Not covered: a report that somebody asked for without a crash, which is a way to dump it.
#[must_use]
pub fn is_error_report(access: Access<'_>) -> bool {
    access.is_of_lsass()
        && access.source.eq_ignore_ascii_case("c:\\windows\\system32\\werfault.exe")
        && !access.trace.to_ascii_uppercase().contains("UNKNOWN")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str =
        "C:\\ProgramData\\Microsoft\\Windows Defender Advanced Threat Protection\\DataCollection\\1.2.3-abc\\0a1b.ps1";

    fn command(script: &str) -> String {
        format!(
            "powershell.exe -ExecutionPolicy AllSigned -NoProfile -NonInteractive -Command \"& {{$OutputEncoding = [Console]::OutputEncoding =[System.Text.Encoding]::UTF8;$scriptFileStream = [System.IO.File]::Open('{script}', [System.IO.FileMode]::Open, [System.IO.FileAccess]::Read, [System.IO.FileShare]::Read); . '{script}'}}\""
        )
    }

    fn run(command: &str) -> ProcessRun<'_> {
        ProcessRun {
            image: "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
            command,
            user: "NT AUTHORITY\\SYSTEM",
            parent: "C:\\Program Files\\Windows Defender Advanced Threat Protection\\SenseIR.exe",
        }
    }

    #[test]
    fn all_conditions_together_fit() {
        assert_eq!(defender_data_collection(run(&command(SCRIPT))).as_deref(), Some(SCRIPT));
    }

    #[test]
    fn content_is_pinned_by_a_comparison_before_the_script_runs() {
        let hash = "0a1b2c3d".repeat(8);
        let compare = format!(
            "$calculatedHash = Microsoft.PowerShell.Utility\\Get-FileHash '{SCRIPT}' -Algorithm SHA256;if (!($calculatedHash.Hash -eq '{hash}')) {{ exit 323;}};"
        );
        let plain = command(SCRIPT);
        let pinned = plain.replace(&format!(" . '{SCRIPT}'"), &format!("{compare}. '{SCRIPT}'"));
        assert!(pins_content(run(&pinned)) && !pins_content(run(&plain)));
        let late = plain.replace("}\"", &format!(";{compare}}}\""));
        assert!(defender_data_collection(run(&late)).is_some() && !pins_content(run(&late)));
        assert!(!pins_content(ProcessRun { user: "CORP\\a.user", ..run(&pinned) }));
    }

    #[test]
    fn another_account_parent_or_program_does_not_fit() {
        let whole = command(SCRIPT);
        let sound = run(&whole);
        for other in [
            ProcessRun { user: "CORP\\a.user", ..sound },
            ProcessRun { user: "", ..sound },
            ProcessRun { parent: "C:\\Users\\Public\\SenseIR.exe", ..sound },
            ProcessRun {
                parent: "E:\\Program Files\\Windows Defender Advanced Threat Protection\\SenseIR.exe",
                ..sound
            },
            ProcessRun { image: "C:\\ProgramData\\powershell.exe", ..sound },
        ] {
            assert_eq!(defender_data_collection(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_command_with_anything_else_in_it_does_not_fit() {
        let whole = command(SCRIPT);
        for changed in [
            whole.replace("}\"", "; & 'C:\\Users\\Public\\evil.exe'}\""),
            whole.replace("}\"", ";iex $x}\""),
            whole.replace("}\"", "}\"; evil.exe"),
            whole.replace(". '", "$x = '"),
            whole.replace("& {", "& {iwr http://203.0.113.9;"),
            whole.replace(&format!("'{SCRIPT}', ["), &format!("'{SCRIPT}.x', [")),
        ] {
            assert_ne!(changed, whole);
            assert_eq!(defender_data_collection(run(&changed)), None, "{changed}");
        }
    }

    #[test]
    fn a_script_elsewhere_does_not_fit() {
        let folder = "\\Microsoft\\Windows Defender Advanced Threat Protection\\DataCollection";
        for file in [
            format!("C:\\Users\\Public{folder}\\1\\a.ps1"),
            format!("D:\\ProgramData{folder}\\1\\a.ps1"),
            format!("C:\\ProgramData{folder}\\..\\..\\x\\a.ps1"),
            format!("C:\\ProgramData{folder}\\a.ps1"),
            format!("C:\\ProgramData{folder}\\1\\2\\a.ps1"),
            format!("C:\\ProgramData{folder}\\1\\a.exe"),
        ] {
            assert_eq!(defender_data_collection(run(&command(&file))), None, "{file}");
        }
    }

    #[test]
    fn an_agents_script_fits_only_as_the_agent_runs_it() {
        let script = "C:\\Windows\\CCM\\SystemTemp\\0a1b2c3d-0001-4002-8003-000000000007.ps1";
        let command = format!(
            "\"C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe\" -NoLogo -NonInteractive -NoProfile -ExecutionPolicy Bypass \"& '{script}'\""
        );
        let sound = ProcessRun { parent: "C:\\Windows\\CCM\\CcmExec.exe", ..run(&command) };
        let found = agent_script(sound).expect("it fits");
        assert_eq!((found.script.as_str(), found.is_signed), (script, false));
        assert!(keeps(sound, "C:\\Windows\\CCM\\Logs\\Scripts.log"));
        for other in ["C:\\Windows\\CCM\\Logs\\a.exe", "C:\\Windows\\CCM\\a.log", "C:\\Users\\Public\\a.log"] {
            assert!(!keeps(sound, other), "{other}");
        }
        let added = command.replace("'\"", "'; iex $x\"");
        let elsewhere = command.replace("C:\\Windows\\CCM\\SystemTemp", "C:\\Users\\Public");
        let climbing = command.replace("SystemTemp\\", "SystemTemp\\..\\..\\Temp\\");
        for other in [
            ProcessRun { user: "CORP\\a.user", ..sound },
            ProcessRun { parent: "C:\\Users\\Public\\CcmExec.exe", ..sound },
            ProcessRun { command: &added, ..sound },
            ProcessRun { command: &elsewhere, ..sound },
            ProcessRun { command: &climbing, ..sound },
        ] {
            assert_eq!(agent_script(other), None, "{other:?}");
        }
    }

    #[test]
    fn an_updater_fits_only_in_its_folder() {
        let sound = ProcessRun {
            image: "C:\\Program Files (x86)\\Microsoft\\EdgeUpdate\\MicrosoftEdgeUpdate.exe",
            command: "",
            user: "NT AUTHORITY\\SYSTEM",
            parent: "C:\\Windows\\System32\\svchost.exe",
        };
        assert!(is_updater(sound));
        for other in [
            ProcessRun { image: "C:\\Users\\a\\AppData\\Local\\EdgeUpdate\\MicrosoftEdgeUpdate.exe", ..sound },
            ProcessRun { image: "C:\\Program Files (x86)\\Microsoft\\EdgeUpdate\\other.exe", ..sound },
            ProcessRun { user: "CORP\\a.user", ..sound },
            ProcessRun { parent: "C:\\Windows\\System32\\cmd.exe", ..sound },
        ] {
            assert!(!is_updater(other), "{other:?}");
        }
    }

    #[test]
    fn retention_is_one_volumes_oldest_copy_and_nothing_else() {
        let sound = ProcessRun {
            image: "C:\\Windows\\System32\\vssadmin.exe",
            command: "vssadmin delete shadows /for=D: /oldest /quiet",
            user: "NT AUTHORITY\\SYSTEM",
            parent: "C:\\Program Files\\Vendor Backup\\Agent.exe",
        };
        assert!(is_backup_retention(sound));
        for command in [
            "vssadmin delete shadows /all /quiet",
            "vssadmin delete shadows /for=D: /quiet",
            "vssadmin delete shadows /for=D: /oldest & vssadmin delete shadows /all",
            "cmd /c vssadmin delete shadows /for=D: /oldest",
        ] {
            assert!(!is_backup_retention(ProcessRun { command, ..sound }), "{command}");
        }
        assert!(!is_backup_retention(ProcessRun { parent: "C:\\Users\\a\\Temp\\Agent.exe", ..sound }));
        assert!(!is_backup_retention(ProcessRun { user: "CORP\\a.user", ..sound }));
    }

    #[test]
    fn a_control_signal_starts_at_its_own_function() {
        let (csrss, module) = ("C:\\Windows\\System32\\csrss.exe", "C:\\Windows\\System32\\KERNELBASE.dll");
        assert!(is_control_signal(csrss, module, "CtrlRoutine"));
        assert!(!is_control_signal(csrss, "", ""), "code of no module");
        assert!(!is_control_signal(csrss, module, "LoadLibraryW"));
        assert!(!is_control_signal("C:\\Users\\Public\\csrss.exe", module, "CtrlRoutine"));
    }

    #[test]
    fn looking_at_lsass_is_known_only_from_the_right_place_with_the_right_rights() {
        let lsass = "C:\\Windows\\System32\\lsass.exe";
        let trace = "C:\\Windows\\SYSTEM32\\ntdll.dll+9c534|C:\\Windows\\System32\\KERNELBASE.dll+2b8d";
        let agent = Access {
            source: "C:\\WindowsAzure\\GuestAgent_2.7\\Collect.exe",
            target: lsass,
            mask: "0x1410",
            trace,
            user: "",
        };
        assert!(is_guest_agent(agent));
        for other in [
            Access { source: "C:\\Users\\Public\\WindowsAzure\\Collect.exe", ..agent },
            Access { mask: "0x1fffff", ..agent },
            Access { trace: "C:\\Windows\\SYSTEM32\\ntdll.dll+9c534|UNKNOWN(00000001)", ..agent },
            Access { trace: "", ..agent },
            Access { user: "CORP\\a.user", ..agent },
        ] {
            assert!(!is_guest_agent(other), "{other:?}");
        }
        let engine = "C:\\ProgramData\\Microsoft\\Windows Defender\\Platform\\4.18\\MsMpEng.exe";
        let scan = Access { source: engine, trace: "C:\\a\\mpengine.dll+1", mask: "0x1418", ..agent };
        assert!(is_defender_scan(scan));
        assert!(!is_defender_scan(Access { trace, ..scan }));
        assert!(!is_defender_scan(Access { source: "C:\\Users\\Public\\MsMpEng.exe", ..scan }));
        let report = Access { source: "C:\\Windows\\System32\\WerFault.exe", ..agent };
        assert!(is_error_report(report));
        assert!(!is_error_report(Access { source: "C:\\Users\\Public\\WerFault.exe", ..report }));
    }
}
