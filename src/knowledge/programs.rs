//! What Windows programs are for: shells, document readers, servers, and who starts whom.

use super::paths::{PathClass, base_name, class};

/// Programs that run commands or scripts they are given.
const SHELLS: [&str; 6] = ["cmd.exe", "powershell.exe", "pwsh.exe", "wscript.exe", "cscript.exe", "mshta.exe"];

/// Programs of Windows that are used to fetch or run other code. Facts as the LOLBAS project documents them.
const PROXIES: [&str; 16] = [
    "rundll32.exe",
    "regsvr32.exe",
    "certutil.exe",
    "bitsadmin.exe",
    "installutil.exe",
    "msbuild.exe",
    "regasm.exe",
    "regsvcs.exe",
    "cmstp.exe",
    "wmic.exe",
    "forfiles.exe",
    "hh.exe",
    "odbcconf.exe",
    "msxsl.exe",
    "mavinject.exe",
    "control.exe",
];

/// The compiler and the console that PowerShell starts for itself.
const OWN_CHILDREN_OF_POWERSHELL: [&str; 3] = ["conhost.exe", "csc.exe", "cvtres.exe"];

/// Programs that show what somebody else sent.
const READERS: [&str; 13] = [
    "winword.exe",
    "excel.exe",
    "powerpnt.exe",
    "outlook.exe",
    "onenote.exe",
    "mspub.exe",
    "acrord32.exe",
    "acrobat.exe",
    "chrome.exe",
    "msedge.exe",
    "firefox.exe",
    "iexplore.exe",
    "hwp.exe",
];

/// Programs that serve requests from the network.
const SERVERS: [&str; 7] =
    ["w3wp.exe", "httpd.exe", "nginx.exe", "tomcat9.exe", "sqlservr.exe", "php-cgi.exe", "umworkerprocess.exe"];

/// Programs through which another machine runs commands here.
const REMOTE_HANDS: [&str; 4] = ["wmiprvse.exe", "wsmprovhost.exe", "winrshost.exe", "psexesvc.exe"];

/// System programs with the only parents Windows gives them.
const CANONICAL_PARENTS: [(&str, &[&str]); 9] = [
    ("services.exe", &["wininit.exe"]),
    ("lsass.exe", &["wininit.exe"]),
    ("wininit.exe", &["smss.exe"]),
    ("winlogon.exe", &["smss.exe"]),
    ("csrss.exe", &["smss.exe", "svchost.exe"]),
    ("smss.exe", &["smss.exe", "system"]),
    ("svchost.exe", &["services.exe", "msmpeng.exe", "svchost.exe"]),
    ("spoolsv.exe", &["services.exe"]),
    ("taskhostw.exe", &["svchost.exe"]),
];

/// Programs that live in `System32` (or `SysWOW64`) and nowhere else.
const ONLY_IN_SYSTEM: [&str; 12] = [
    "svchost.exe",
    "lsass.exe",
    "services.exe",
    "csrss.exe",
    "smss.exe",
    "wininit.exe",
    "winlogon.exe",
    "spoolsv.exe",
    "taskhostw.exe",
    "rundll32.exe",
    "dllhost.exe",
    "conhost.exe",
];

fn is_one_of(image: &str, names: &[&str]) -> bool {
    names.contains(&base_name(image).as_str())
}

/// It runs commands or scripts it is given.
#[must_use]
pub fn is_shell(image: &str) -> bool {
    is_one_of(image, &SHELLS)
}

/// It can fetch or run other code on somebody's behalf.
#[must_use]
pub fn is_proxy(image: &str) -> bool {
    is_one_of(image, &PROXIES)
}

/// It shows what somebody else sent: mail, documents, pages.
#[must_use]
pub fn is_reader(image: &str) -> bool {
    is_one_of(image, &READERS)
}

/// It serves requests from the network.
#[must_use]
pub fn is_server(image: &str) -> bool {
    is_one_of(image, &SERVERS)
}

/// Another machine runs commands through it.
#[must_use]
pub fn is_remote_hand(image: &str) -> bool {
    is_one_of(image, &REMOTE_HANDS)
}

/// The parent is one that Windows never gives this system program. A missing parent violates nothing.
#[must_use]
pub fn violates_canonical_parent(image: &str, parent: &str) -> bool {
    let (child, parent) = (base_name(image), base_name(parent));
    if parent.is_empty() || parent == "-" || parent == "unknown process" {
        return false;
    }
    CANONICAL_PARENTS.iter().any(|(name, allowed)| child == *name && !allowed.contains(&parent.as_str()))
}

/// A system program's name outside the system folders.
#[must_use]
pub fn is_out_of_place(image: &str) -> bool {
    is_one_of(image, &ONLY_IN_SYSTEM) && image.contains('\\') && !matches!(class(image), PathClass::System)
}

/// Programs that read LSASS in the course of their work, where Windows or Defender puts them.
#[must_use]
pub fn reads_lsass_by_trade(image: &str) -> bool {
    let name = base_name(image);
    let folded = image.to_lowercase();
    // Not Task Manager: it reads LSASS when a person makes a dump with it.
    let system = ["wininit.exe", "csrss.exe", "lsm.exe", "services.exe", "svchost.exe", "werfault.exe"];
    let by_windows = system.contains(&name.as_str()) && matches!(class(image), PathClass::System);
    // Anchored at the drive: a folder of the same name below a user's profile is not Defender's.
    let defender = ["c:\\program files\\windows defender", "c:\\programdata\\microsoft\\windows defender\\platform\\"];
    let by_defender = matches!(name.as_str(), "msmpeng.exe" | "mssense.exe")
        && defender.iter().any(|folder| folded.starts_with(folder))
        && !folded.contains("..");
    by_windows || by_defender
}

/// A program of Windows that PowerShell starts for itself, whatever script it runs.
#[must_use]
pub fn is_own_child_of_powershell(image: &str) -> bool {
    OWN_CHILDREN_OF_POWERSHELL.contains(&base_name(image).as_str())
        && matches!(class(image), PathClass::System | PathClass::Windows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_parent_violates_nothing() {
        assert!(!violates_canonical_parent("C:\\Windows\\System32\\svchost.exe", "-"));
        assert!(!violates_canonical_parent("C:\\Windows\\System32\\svchost.exe", ""));
        assert!(!violates_canonical_parent(
            "C:\\Windows\\System32\\svchost.exe",
            "C:\\Windows\\System32\\services.exe"
        ));
        assert!(violates_canonical_parent("C:\\Windows\\System32\\svchost.exe", "C:\\Users\\x\\a.exe"));
    }

    #[test]
    fn names_are_not_places() {
        assert!(is_out_of_place("C:\\Users\\Public\\svchost.exe"));
        assert!(!is_out_of_place("C:\\Windows\\System32\\svchost.exe"));
        assert!(reads_lsass_by_trade("C:\\Windows\\System32\\csrss.exe"));
        assert!(!reads_lsass_by_trade("C:\\Users\\Public\\csrss.exe"));
        assert!(!reads_lsass_by_trade("C:\\Windows\\System32\\taskmgr.exe"));
        assert!(reads_lsass_by_trade("C:\\ProgramData\\Microsoft\\Windows Defender\\Platform\\4.18\\MsMpEng.exe"));
        assert!(!reads_lsass_by_trade("C:\\Users\\a\\Microsoft\\Windows Defender\\Platform\\4.18\\MsMpEng.exe"));
    }
}
