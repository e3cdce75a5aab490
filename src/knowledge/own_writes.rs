//! What programs write by themselves whatever they are told to do, each by its exact form, and what is mere data.
//!
//! A close rests on a list of what is allowed: of places into which harm is written there are always more than anybody
//! lists. What is allowed here is either read by nobody but the program itself, or cannot be run by anybody.

use super::paths::{self, PathClass};
use super::pipes;

/// Windows' own PowerShell, in both widths.
const POWERSHELL: [&str; 2] = [
    "c:\\windows\\system32\\windowspowershell\\v1.0\\powershell.exe",
    "c:\\windows\\syswow64\\windowspowershell\\v1.0\\powershell.exe",
];

/// Profiles of Windows' own accounts.
const PROFILES_OF_SERVICES: [&str; 4] = [
    "c:\\windows\\system32\\config\\systemprofile\\",
    "c:\\windows\\syswow64\\config\\systemprofile\\",
    "c:\\windows\\serviceprofiles\\localservice\\",
    "c:\\windows\\serviceprofiles\\networkservice\\",
];

fn is_powershell(image: &str) -> bool {
    POWERSHELL.iter().any(|own| image.eq_ignore_ascii_case(own))
}

/// Folded, if it is a plain path on a drive: nothing climbs, and there is no stream, share, device or short name in it.
fn plain(path: &str) -> Option<String> {
    let folded = path.to_lowercase();
    let rest = folded.strip_prefix(|c: char| c.is_ascii_lowercase())?.strip_prefix(":\\")?;
    let sound = !rest.contains(['/', ':', '~', '"']) && rest.split('\\').all(|part| !part.ends_with(['.', ' ']));
    sound.then_some(folded)
}

/// What comes after somebody's profile.
fn in_profile(folded: &str) -> Option<&str> {
    let of_service = PROFILES_OF_SERVICES.iter().find_map(|profile| folded.strip_prefix(profile));
    of_service.or_else(|| folded.strip_prefix("c:\\users\\")?.split_once('\\').map(|(_, rest)| rest))
}

/// What comes after a folder for temporary files: of Windows, of a profile, or of one of its sessions.
fn in_temporary(folded: &str) -> Option<&str> {
    let of_windows = ["c:\\windows\\temp\\", "c:\\windows\\systemtemp\\"];
    if let Some(rest) = of_windows.iter().find_map(|folder| folded.strip_prefix(folder)) {
        return Some(rest);
    }
    let rest = in_profile(folded)?.strip_prefix("appdata\\local\\temp\\")?;
    match rest.split_once('\\') {
        Some((session, rest)) if session.bytes().all(|byte| byte.is_ascii_digit()) => Some(rest),
        _ => Some(rest),
    }
}

/// So many letters, digits and underscores: what Windows makes up for a temporary file.
fn is_made_up(name: &str, length: usize) -> bool {
    name.len() == length && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The file by which PowerShell tries whether scripts are restricted: `__PSScriptPolicyTest_abcdefgh.ijk.ps1` in a
/// folder for temporary files. It runs none of it and deletes it at once; whoever else runs it makes it a payload.
#[must_use]
pub fn is_policy_probe(image: &str, path: &str) -> bool {
    let probe = || {
        let folded = plain(path)?;
        let name = in_temporary(&folded)?.strip_prefix("__psscriptpolicytest_")?;
        let (first, rest) = name.split_once('.')?;
        let (second, ending) = rest.split_once('.')?;
        Some(is_made_up(first, 8) && is_made_up(second, 3) && matches!(ending, "ps1" | "psm1"))
    };
    is_powershell(image) && probe() == Some(true)
}

/// A record that the program's runtime keeps of itself in the account's profile, or a transcript of PowerShell: nobody
/// runs what is in them.
#[must_use]
pub fn is_own_record(image: &str, path: &str) -> bool {
    let Some(folded) = plain(path) else { return false };
    let Some(rest) = in_profile(&folded) else { return is_transcript(image, &folded) };
    // .NET writes how long a program took, by the program's name.
    let usage = rest.strip_prefix("appdata\\local\\microsoft\\clr_v4.0");
    let usage =
        usage.and_then(|rest| rest.strip_prefix("\\usagelogs\\").or_else(|| rest.strip_prefix("_32\\usagelogs\\")));
    if usage.is_some_and(|name| name == format!("{}.log", paths::base_name(image))) {
        return true;
    }
    let kept = ["", "\\startupprofiledata-interactive", "\\startupprofiledata-noninteractive", "\\moduleanalysiscache"];
    let own =
        rest.strip_prefix("appdata\\local\\microsoft\\windows\\powershell").is_some_and(|name| kept.contains(&name));
    is_powershell(image) && own || is_transcript(image, &folded)
}

/// `PowerShell_transcript.HOST.xxxxxxxx.20260102030405.txt`.
fn is_transcript(image: &str, folded: &str) -> bool {
    let name = paths::base_name(folded);
    let Some(rest) = name.strip_prefix("powershell_transcript.").and_then(|rest| rest.strip_suffix(".txt")) else {
        return false;
    };
    let when = rest.rsplit('.').next().unwrap_or_default();
    is_powershell(image) && when.len() == 14 && when.bytes().all(|byte| byte.is_ascii_digit())
}

/// What PowerShell hands to its compiler and takes from it, by names that it makes up. The library is the compiler's to
/// write, and PowerShell's only to delete.
#[must_use]
pub fn is_for_compiler(image: &str, path: &str, is_deletion: bool) -> bool {
    let made = || {
        let folded = plain(path)?;
        let rest = in_temporary(&folded)?;
        // Newer ones make a folder of the same name for each.
        let name = match rest.split_once('\\') {
            Some((folder, name)) if name.split('.').next() == Some(folder) => name,
            Some(_) => return None,
            None => rest,
        };
        let (stem, ending) = name.split_once('.')?;
        let known = matches!(ending, "0.cs" | "cmdline" | "out" | "err" | "tmp");
        Some(is_made_up(stem, 8) && (known || is_deletion && matches!(ending, "dll" | "pdb")))
    };
    is_powershell(image) && made() == Some(true)
}

/// What the compiler that PowerShell starts makes of it: in a folder for temporary files, by names that are made up.
/// Anywhere else it makes a program.
#[must_use]
pub fn is_of_compiler(compiler: &str, path: &str) -> bool {
    let made = || {
        let folded = plain(path)?;
        let rest = in_temporary(&folded)?;
        let (folder, name) = rest.split_once('\\').map_or((None, rest), |(folder, name)| (Some(folder), name));
        let (stem, ending) = name.split_once('.')?;
        let is_scratch = |begins: &str| {
            let digits = stem.strip_prefix(begins);
            ending == "tmp" && digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        };
        let is_result = is_made_up(stem, 8) && matches!(ending, "dll" | "pdb" | "out" | "err" | "tmp");
        let placed = folder.is_none_or(|folder| is_made_up(folder, 8));
        Some(placed && (is_result || is_scratch("csc") || is_scratch("res")))
    };
    matches!(paths::base_name(compiler).as_str(), "csc.exe" | "cvtres.exe") && made() == Some(true)
}

/// The folder that PowerShell makes for its compiler's files, as a path. Whether it is one, only a file in it shows.
#[must_use]
pub fn may_be_folder_for_compiler(image: &str, path: &str) -> bool {
    let made = || Some(is_made_up(in_temporary(&plain(path)?)?, 8));
    is_powershell(image) && made() == Some(true)
}

/// A pipe that nobody but relatives reaches, or that of PowerShell's own engine with the number of the process in it.
#[must_use]
pub fn is_own_pipe(image: &str, pipe: &str, pid: Option<u64>) -> bool {
    let folded = pipe.to_lowercase();
    let parts: Vec<&str> = folded.split('.').collect();
    let of_engine = match parts.as_slice() {
        [_, ticks, number, "defaultappdomain", "powershell"] => {
            pipes::hosts_powershell(pipe)
                && ticks.bytes().all(|byte| byte.is_ascii_digit())
                && pid.is_some_and(|pid| number.parse() == Ok(pid))
        }
        _ => false,
    };
    // Viewers write its angle brackets as entities.
    matches!(folded.as_str(), "<anonymous pipe>" | "&lt;anonymous pipe&gt;") || is_powershell(image) && of_engine
}

/// Keys that Windows' libraries open by a call that would make them: certificate stores when a signature is checked,
/// zones and proxies when a place is looked at, the network's parameters. Nothing is in a key that was made; what is
/// put into it is an event of its own.
#[must_use]
pub fn is_opened_key(key: &str) -> bool {
    let folded = key.to_lowercase();
    let rest =
        folded.strip_prefix("hklm\\").or_else(|| folded.strip_prefix("hku\\")?.split_once('\\').map(|(_, rest)| rest));
    let Some(rest) = rest else { return false };
    if ["software", "software\\microsoft", "software\\policies", "software\\policies\\microsoft"].contains(&rest) {
        return true;
    }
    if rest == "system\\currentcontrolset\\services\\tcpip\\parameters" {
        return true;
    }
    let Some(rest) = rest.strip_prefix("software\\") else { return false };
    let rest = rest.strip_prefix("policies\\").unwrap_or(rest);
    let Some(rest) = rest.strip_prefix("microsoft\\") else { return false };
    let parts: Vec<&str> = rest.split('\\').collect();
    match parts.as_slice() {
        ["systemcertificates" | "enterprisecertificates"] | ["systemcertificates" | "enterprisecertificates", _] => {
            true
        }
        ["systemcertificates" | "enterprisecertificates", _, inside] => {
            matches!(*inside, "certificates" | "crls" | "ctls")
        }
        ["windows", "currentversion", "wintrust", "trust providers", "software publishing"] => true,
        ["windows", "currentversion", "internet settings", inside @ ..] => match inside {
            [] | ["connections" | "zonemap"] | ["zonemap", "protocoldefaults"] => true,
            ["zones" | "lockdown_zones", zone] => matches!(*zone, "0" | "1" | "2" | "3" | "4"),
            _ => false,
        },
        _ => false,
    }
}

/// Endings of what is read and not run: no shell opens it with an interpreter, and no program loads it as code.
const DATA: [&str; 9] = ["log", "txt", "json", "jsonl", "csv", "xml", "dat", "etl", "tmp"];

/// The file is data by its ending, in plain spelling. What has no ending may be anything.
#[must_use]
pub fn is_data(path: &str) -> bool {
    plain(path).is_some_and(|folded| {
        let name = paths::base_name(&folded);
        // `a.exe.log` is a log; `a.dll.tmp` is a library that is not there yet.
        let mut endings = name.rsplit('.');
        let last = endings.next().unwrap_or_default();
        let has_stem = name.contains('.') && !name.starts_with('.');
        has_stem && DATA.contains(&last) && (last != "tmp" || endings.count() == 1)
    })
}

/// Where installed programs keep what they work on, and nothing is loaded from by others: a product's own folder, or
/// Windows' temporary ones. A folder of Microsoft's below `ProgramData` is none: start menus and policies lie there.
#[must_use]
pub fn is_data_place(path: &str) -> bool {
    let Some(folded) = plain(path) else { return false };
    match paths::class(&folded) {
        // What a program reads of its own folder may tell it what to load: only logs are none of that.
        PathClass::ProgramFiles => folded.ends_with(".log") || folded.ends_with(".etl"),
        PathClass::ProgramData => {
            folded.matches('\\').count() > 2 && !folded.starts_with("c:\\programdata\\microsoft\\")
        }
        PathClass::WindowsWritable => in_temporary(&folded).is_some(),
        _ => folded.starts_with("c:\\windows\\logs\\"),
    }
}

/// A value of a product's own key, set to something that names no file and no address: Windows and Microsoft read
/// theirs to decide what runs, others keep dates and counters.
#[must_use]
pub fn is_products_value(value: &str, details: &str) -> bool {
    let folded = value.to_lowercase();
    let rest =
        folded.strip_prefix("hklm\\").or_else(|| folded.strip_prefix("hku\\")?.split_once('\\').map(|(_, rest)| rest));
    let rest = rest.and_then(|rest| rest.strip_prefix("software\\"));
    let rest = rest.map(|rest| rest.strip_prefix("wow6432node\\").unwrap_or(rest));
    let Some((vendor, inside)) = rest.and_then(|rest| rest.split_once('\\')) else { return false };
    let of_windows =
        ["microsoft", "policies", "classes", "clients", "registeredapplications", "wow6432node", "wow64node", "odbc"];
    let names_something = details.contains(['\\', '/', '%']) || details.to_lowercase().contains(".dll");
    !of_windows.contains(&vendor) && inside.contains('\\') && !names_something
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: &str = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe";
    const PROFILE: &str = "C:\\Windows\\System32\\config\\systemprofile\\AppData\\Local";

    #[test]
    fn the_probe_is_known_by_its_whole_form() {
        for probe in [
            "C:\\Windows\\Temp\\__PSScriptPolicyTest_ab1cdefg.h2j.ps1",
            "C:\\Windows\\SystemTemp\\__PSScriptPolicyTest_ab1cdefg.h2j.psm1",
            "C:\\Users\\a.user\\AppData\\Local\\Temp\\2\\__PSScriptPolicyTest_ab1cdefg.h2j.ps1",
        ] {
            assert!(is_policy_probe(SHELL, probe), "{probe}");
            assert!(!is_policy_probe("C:\\Tools\\powershell.exe", probe), "{probe}");
        }
        for other in [
            "C:\\Windows\\System32\\__PSScriptPolicyTest_ab1cdefg.h2j.ps1",
            "C:\\Windows\\Temp\\a\\__PSScriptPolicyTest_ab1cdefg.h2j.ps1",
            "C:\\Windows\\Temp\\__PSScriptPolicyTest_ab1cdefg.h2j.exe",
            "C:\\Windows\\Temp\\__PSScriptPolicyTest_a.h2j.ps1",
            "C:\\Windows\\Temp\\..\\__PSScriptPolicyTest_ab1cdefg.h2j.ps1",
            "C:\\Windows\\Temp\\__PSScriptPolicyTest_ab1cdefg.h2j.ps1:a.exe",
        ] {
            assert!(!is_policy_probe(SHELL, other), "{other}");
        }
    }

    #[test]
    fn records_of_a_runtime_lie_in_the_accounts_profile() {
        for own in [
            format!("{PROFILE}\\Microsoft\\Windows\\PowerShell\\StartupProfileData-NonInteractive"),
            format!("{PROFILE}\\Microsoft\\Windows\\PowerShell\\ModuleAnalysisCache"),
            format!("{PROFILE}\\Microsoft\\CLR_v4.0\\UsageLogs\\powershell.exe.log"),
            "C:\\Transcripts\\PowerShell_transcript.WKS-1.a1B2c3D4.20260102030405.txt".to_owned(),
        ] {
            assert!(is_own_record(SHELL, &own), "{own}");
        }
        for other in [
            "C:\\Users\\a\\AppData\\Local\\Microsoft\\Windows\\PowerShell\\profile.ps1",
            "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\profile.ps1",
            "C:\\Users\\a\\AppData\\Local\\Microsoft\\CLR_v4.0\\UsageLogs\\other.exe.log",
            "C:\\a\\PowerShell_transcript.ps1",
            "\\\\files\\out\\PowerShell_transcript.WKS-1.a1B2c3D4.20260102030405.txt",
        ] {
            assert!(!is_own_record(SHELL, other), "{other}");
        }
    }

    #[test]
    fn the_compilers_files_have_names_that_are_made_up() {
        for own in ["C:\\Windows\\Temp\\a1b2c3d4.cmdline", "C:\\Windows\\Temp\\a1b2c3d4\\a1b2c3d4.0.cs"] {
            assert!(is_for_compiler(SHELL, own, false), "{own}");
        }
        assert!(is_for_compiler(SHELL, "C:\\Windows\\Temp\\a1b2c3d4\\a1b2c3d4.dll", true));
        let compiler = "C:\\Windows\\Microsoft.NET\\Framework64\\v4.0.30319\\csc.exe";
        for made in ["a1b2c3d4\\a1b2c3d4.dll", "a1b2c3d4.dll", "a1b2c3d4\\CSC0A1B2C3D.TMP"] {
            assert!(is_of_compiler(compiler, &format!("C:\\Windows\\Temp\\{made}")), "{made}");
        }
        for other in ["C:\\Users\\Public\\a1b2c3d4.dll", "C:\\Windows\\Temp\\a.exe", "C:\\Windows\\Temp\\a1b2c3d4.exe"]
        {
            assert!(!is_of_compiler(compiler, other), "{other}");
        }
        assert!(!is_of_compiler("C:\\Windows\\System32\\conhost.exe", "C:\\Windows\\Temp\\a1b2c3d4.dll"));
        assert!(may_be_folder_for_compiler(SHELL, "C:\\Windows\\Temp\\a1b2c3d4"));
        for other in [
            "C:\\Windows\\Temp\\a1b2c3d4\\a1b2c3d4.dll",
            "C:\\Windows\\Temp\\other\\a1b2c3d4.0.cs",
            "C:\\Windows\\Temp\\sam.hiv",
            "C:\\Windows\\Temp\\a.exe",
            "C:\\Windows\\System32\\a1b2c3d4.cmdline",
        ] {
            assert!(!is_for_compiler(SHELL, other, false), "{other}");
        }
    }

    #[test]
    fn a_pipe_of_the_engine_has_the_number_of_its_process() {
        let pipe = "\\PSHost.133000000000000000.4172.DefaultAppDomain.powershell";
        assert!(is_own_pipe(SHELL, pipe, Some(4172)) && is_own_pipe("C:\\a.exe", "<Anonymous Pipe>", None));
        assert!(!is_own_pipe(SHELL, pipe, Some(4)) && !is_own_pipe("C:\\a.exe", pipe, Some(4172)));
        assert!(!is_own_pipe(SHELL, "\\a-1234-server", Some(4172)));
    }

    #[test]
    fn a_key_that_is_opened_holds_nothing() {
        for opened in [
            "HKLM\\SOFTWARE",
            "HKU\\.DEFAULT\\Software\\Microsoft\\SystemCertificates\\Disallowed\\CRLs",
            "HKLM\\SOFTWARE\\Policies\\Microsoft\\SystemCertificates\\CA",
            "HKU\\S-1-5-18\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\\Zones\\3",
        ] {
            assert!(is_opened_key(opened), "{opened}");
        }
        for other in [
            "HKLM\\SOFTWARE\\Microsoft\\SystemCertificates\\ROOT\\Certificates\\0A1B",
            "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Run",
            "HKLM\\SOFTWARE\\Classes\\CLSID\\{0a}\\InprocServer32",
            "HKLM\\System\\CurrentControlSet\\Services\\a",
            "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\\Zones\\3\\1806",
        ] {
            assert!(!is_opened_key(other), "{other}");
        }
    }

    #[test]
    fn data_is_what_nobody_runs_where_nobody_looks_for_code() {
        for data in ["C:\\ProgramData\\Vendor\\out\\daily.json", "C:\\Program Files\\Vendor\\logs\\tool.exe.log"] {
            assert!(is_data(data) && is_data_place(data), "{data}");
        }
        for code in
            ["C:\\a\\x.exe", "C:\\a\\x", "C:\\a\\x.dll.tmp", "C:\\a\\x.txt:y.exe", "\\\\s\\a\\x.txt", "C:\\a\\.txt"]
        {
            assert!(!is_data(code), "{code}");
        }
        for place in [
            "C:\\Windows\\System32\\Tasks\\x.xml",
            "C:\\Windows\\System32\\drivers\\etc\\x.txt",
            "C:\\ProgramData\\Microsoft\\Windows\\Start Menu\\Programs\\StartUp\\x.txt",
            "C:\\ProgramData\\x.txt",
            "C:\\Users\\a\\Documents\\x.txt",
            "C:\\inetpub\\wwwroot\\x.txt",
        ] {
            assert!(!is_data_place(place), "{place}");
        }
    }

    #[test]
    fn a_products_value_names_nothing_that_runs() {
        assert!(is_products_value("HKLM\\SOFTWARE\\Vendor\\Agent\\LastRun", "DWORD (0x00000001)"));
        assert!(!is_products_value("HKLM\\SOFTWARE\\Vendor\\Agent\\Plugin", "C:\\Users\\Public\\a.dll"));
        for of_windows in [
            "HKLM\\SOFTWARE\\Microsoft\\NetSh\\x",
            "HKLM\\SOFTWARE\\Wow6432Node\\Microsoft\\Windows\\CurrentVersion\\Run\\x",
            "HKLM\\SOFTWARE\\Policies\\Vendor\\x\\y",
            "HKU\\S-1-5-18\\Software\\Classes\\a\\b",
            "HKLM\\System\\CurrentControlSet\\Services\\a\\Start",
        ] {
            assert!(!is_products_value(of_windows, "DWORD (0x00000001)"), "{of_windows}");
        }
    }
}
