//! What Windows programs are for: shells, document readers, servers, and who starts whom.

use super::paths::{PathClass, base_name, class};

/// Programs that run commands or scripts they are given.
const SHELLS: [&str; 6] = ["cmd.exe", "powershell.exe", "pwsh.exe", "wscript.exe", "cscript.exe", "mshta.exe"];

/// Programs of Windows that are used to fetch or run other code. Facts as the LOLBAS project documents them.
const PROXIES: [&str; 17] = [
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
    "scrcons.exe",
];

/// The compiler and the console that PowerShell starts for itself.
const OWN_CHILDREN_OF_POWERSHELL: [&str; 3] = ["conhost.exe", "csc.exe", "cvtres.exe"];

/// Programs that show documents and mail somebody else sent.
const READERS: [&str; 12] = [
    "winword.exe",
    "excel.exe",
    "powerpnt.exe",
    "outlook.exe",
    "onenote.exe",
    "mspub.exe",
    "visio.exe",
    "eqnedt32.exe",
    "acrord32.exe",
    "acrobat.exe",
    "foxitreader.exe",
    "hwp.exe",
];

/// Browsers: they start helpers of their own through a shell, and extensions' native hosts.
const BROWSERS: [&str; 6] = ["chrome.exe", "msedge.exe", "firefox.exe", "iexplore.exe", "brave.exe", "opera.exe"];

/// Programs that serve requests from the network.
const SERVERS: [&str; 13] = [
    "w3wp.exe",
    "httpd.exe",
    "nginx.exe",
    "tomcat.exe",
    "tomcat7.exe",
    "tomcat8.exe",
    "tomcat9.exe",
    "tomcat10.exe",
    "sqlservr.exe",
    "php-cgi.exe",
    "umworkerprocess.exe",
    "dns.exe",
    "spoolsv.exe",
];

/// Runtimes that serve requests where a service account runs them, and build software where a person does.
const RUNTIMES: [&str; 4] = ["java.exe", "javaw.exe", "node.exe", "python.exe"];

/// Programs of Windows that raise their rights without asking, and therefore are led to run other programs.
const SELF_ELEVATING: [&str; 10] = [
    "fodhelper.exe",
    "eventvwr.exe",
    "computerdefaults.exe",
    "sdclt.exe",
    "wsreset.exe",
    "slui.exe",
    "changepk.exe",
    "perfmon.exe",
    "compmgmtlauncher.exe",
    "silentcleanup.exe",
];

/// Programs of Windows that a person looks at and that start nothing and talk to nobody.
const QUIET: [&str; 10] = [
    "notepad.exe",
    "calc.exe",
    "win32calc.exe",
    "mspaint.exe",
    "write.exe",
    "wordpad.exe",
    "charmap.exe",
    "magnify.exe",
    "winver.exe",
    "snippingtool.exe",
];

/// What even a quiet program starts: printing, error reports, help.
const OF_QUIET: [&str; 5] = ["splwow64.exe", "werfault.exe", "wermgr.exe", "conhost.exe", "helppane.exe"];

/// Programs that are started at the logon screen by whoever stands before it.
const AT_LOGON_SCREEN: [&str; 6] =
    ["sethc.exe", "utilman.exe", "osk.exe", "narrator.exe", "magnify.exe", "displayswitch.exe"];

/// Programs under which nearly everything runs: what one of their children does says nothing of another.
const HUBS: [&str; 14] = [
    "explorer.exe",
    "services.exe",
    "svchost.exe",
    "wininit.exe",
    "winlogon.exe",
    "userinit.exe",
    "smss.exe",
    "csrss.exe",
    "lsass.exe",
    "taskeng.exe",
    "taskhostw.exe",
    "sihost.exe",
    "runtimebroker.exe",
    "system",
];

/// Programs that host PowerShell's engine in the course of their work.
const POWERSHELL_HOSTS: [&str; 14] = [
    "powershell.exe",
    "pwsh.exe",
    "powershell_ise.exe",
    "wsmprovhost.exe",
    "wmiprvse.exe",
    "sdiagnhost.exe",
    "mscorsvw.exe",
    "ngen.exe",
    "ngentask.exe",
    "servermanager.exe",
    "mmc.exe",
    "ccmexec.exe",
    "monitoringhost.exe",
    "devenv.exe",
];

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

/// It shows what somebody else sent: mail and documents.
#[must_use]
pub fn is_reader(image: &str) -> bool {
    is_one_of(image, &READERS)
}

/// It serves requests from the network.
#[must_use]
pub fn is_server(image: &str) -> bool {
    is_one_of(image, &SERVERS)
}

/// It is a browser.
#[must_use]
pub fn is_browser(image: &str) -> bool {
    is_one_of(image, &BROWSERS)
}

/// It runs other people's code: it serves requests where a service account runs it.
#[must_use]
pub fn is_runtime(image: &str) -> bool {
    is_one_of(image, &RUNTIMES)
}

/// It raises its rights without asking.
#[must_use]
pub fn is_self_elevating(image: &str) -> bool {
    is_one_of(image, &SELF_ELEVATING)
}

/// It has no business with other programs or the network.
#[must_use]
pub fn is_quiet(image: &str) -> bool {
    is_one_of(image, &QUIET) && matches!(class(image), PathClass::System | PathClass::Windows)
}

/// Even a quiet program starts this.
#[must_use]
pub fn is_child_of_quiet(image: &str) -> bool {
    is_one_of(image, &OF_QUIET)
}

/// Whoever stands before a logon screen starts it.
#[must_use]
pub fn is_of_logon_screen(image: &str) -> bool {
    is_one_of(image, &AT_LOGON_SCREEN)
}

/// Nearly everything runs under it, so its other children are no relatives.
#[must_use]
pub fn is_hub(image: &str) -> bool {
    is_one_of(image, &HUBS)
}

/// PowerShell's engine belongs into it.
#[must_use]
pub fn hosts_powershell(image: &str) -> bool {
    is_one_of(image, &POWERSHELL_HOSTS)
}

/// It runs others' code, has no business with other programs, or was only put down where it lies.
#[must_use]
pub fn is_loose(image: &str) -> bool {
    is_shell(image)
        || is_proxy(image)
        || is_quiet(image)
        || class(image).is_user_writable()
        || super::paths::is_drop_zone(image)
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
