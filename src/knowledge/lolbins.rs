//! Programs of Windows that attackers use because they are there: what each can be used for, in our own words.
//!
//! The facts are public (the LOLBAS project collects them); the words and the choice are ours. That a program is
//! listed says nothing against a run of it.

/// What a program can be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// Fetch a file from a network.
    Download,
    /// Run a program, script or library on somebody's behalf.
    Run,
    /// Decode or unpack what is hidden.
    Decode,
    /// Copy the memory or store in which credentials lie.
    DumpCredentials,
    /// Compile code.
    Compile,
    /// Be started again later.
    Persist,
    /// Make recovery impossible.
    InhibitRecovery,
    /// Look around.
    Discover,
    /// Change or stop what watches.
    Evade,
    /// Send data out or bundle it.
    Exfiltrate,
}

/// A program with its uses, and what tells a foul run from a fair one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Lolbin {
    /// Its name.
    pub name: &'static str,
    /// What it can be used for.
    pub uses: &'static [Use],
    /// What to look at.
    pub look_at: &'static str,
}

const fn lolbin(name: &'static str, uses: &'static [Use], look_at: &'static str) -> Lolbin {
    Lolbin { name, uses, look_at }
}

/// The list, by name.
pub const LOLBINS: [Lolbin; 44] = [
    lolbin("at.exe", &[Use::Run, Use::Persist], "the command it is to run; it has been out of use for years"),
    lolbin(
        "bcdedit.exe",
        &[Use::InhibitRecovery, Use::Evade],
        "recoveryenabled, bootstatuspolicy, testsigning, safeboot",
    ),
    lolbin(
        "bitsadmin.exe",
        &[Use::Download, Use::Run, Use::Persist],
        "the address, the file it writes, a notify command",
    ),
    lolbin("certoc.exe", &[Use::Run, Use::Download], "a library or address in its arguments"),
    lolbin("certreq.exe", &[Use::Download, Use::Exfiltrate], "-Post with an address, the file it writes"),
    lolbin(
        "certutil.exe",
        &[Use::Download, Use::Decode],
        "urlcache, verifyctl, decode, the file it writes; -hashfile and -verify are ordinary",
    ),
    lolbin("cmd.exe", &[Use::Run], "its parent, and the whole command"),
    lolbin("cmstp.exe", &[Use::Run], "an .inf file that a user can write, with /s or /ni"),
    lolbin("cscript.exe", &[Use::Run], "the script's place, and its parent"),
    lolbin("csc.exe", &[Use::Compile], "its parent; PowerShell's Add-Type starts it too"),
    lolbin("curl.exe", &[Use::Download, Use::Exfiltrate], "the address, the file it writes, -T and -F"),
    lolbin(
        "diskshadow.exe",
        &[Use::Run, Use::DumpCredentials],
        "a script with exec, or a shadow copy of the directory",
    ),
    lolbin("dsquery.exe", &[Use::Discover], "how much of the directory it asks for, and who asks"),
    lolbin("esentutl.exe", &[Use::DumpCredentials], "/y with a hive, the directory's database or a browser's store"),
    lolbin("expand.exe", &[Use::Decode], "where it unpacks to"),
    lolbin("extrac32.exe", &[Use::Decode, Use::Download], "a share or stream in its arguments"),
    lolbin("findstr.exe", &[Use::Discover, Use::Download], "a search for passwords, or a share it reads from"),
    lolbin("finger.exe", &[Use::Download], "any host in its arguments; hardly anybody uses it"),
    lolbin("forfiles.exe", &[Use::Run], "the command after /c"),
    lolbin("fsutil.exe", &[Use::Evade], "usn deletejournal, file setzerodata"),
    lolbin("hh.exe", &[Use::Run, Use::Download], "an address instead of a help file"),
    lolbin("installutil.exe", &[Use::Run], "an assembly where users can write, /logfile= and /U"),
    lolbin("makecab.exe", &[Use::Exfiltrate], "what it bundles"),
    lolbin("mavinject.exe", &[Use::Run], "/INJECTRUNNING with a library"),
    lolbin("msbuild.exe", &[Use::Run, Use::Compile], "a project outside a developer's folders, or its parent"),
    lolbin("mshta.exe", &[Use::Run, Use::Download], "an address, or script in its arguments"),
    lolbin("msiexec.exe", &[Use::Run, Use::Download], "an address, /q, /y or /z with a library"),
    lolbin("net.exe", &[Use::Discover, Use::Persist], "user /add, localgroup /add, group of the domain, view"),
    lolbin("netsh.exe", &[Use::Evade, Use::Persist], "portproxy, advfirewall off, a helper library, trace"),
    lolbin("nltest.exe", &[Use::Discover], "domain_trusts, dclist, and what else its parent asked"),
    lolbin("ntdsutil.exe", &[Use::DumpCredentials], "ifm, and where it writes"),
    lolbin("odbcconf.exe", &[Use::Run], "REGSVR or a response file with a library"),
    lolbin("powershell.exe", &[Use::Run, Use::Download, Use::Decode], "the plain text of its command and script"),
    lolbin(
        "reg.exe",
        &[Use::DumpCredentials, Use::Persist, Use::Evade],
        "save of sam, security or system; add below Run, Defender, Policies",
    ),
    lolbin("regasm.exe", &[Use::Run], "an assembly where users can write, /U"),
    lolbin(
        "regsvr32.exe",
        &[Use::Run, Use::Download],
        "/i: with an address, scrobj.dll, a library where users can write",
    ),
    lolbin(
        "rundll32.exe",
        &[Use::Run, Use::DumpCredentials],
        "the library and its export: comsvcs MiniDump, javascript:, an ordinal, none at all",
    ),
    lolbin("sc.exe", &[Use::Persist, Use::Evade], "create with a shell or a pipe in binPath, stop of a sensor, sdset"),
    lolbin("schtasks.exe", &[Use::Persist, Use::Run], "the action's place, the account, /s with another machine"),
    lolbin(
        "vssadmin.exe",
        &[Use::InhibitRecovery, Use::DumpCredentials],
        "delete or resize of all copies; a copy of the directory's volume",
    ),
    lolbin(
        "wbadmin.exe",
        &[Use::InhibitRecovery, Use::DumpCredentials],
        "delete catalog or systemstatebackup; a backup of the directory",
    ),
    lolbin("wevtutil.exe", &[Use::Evade], "cl with a log, sl with /e:false"),
    lolbin(
        "wmic.exe",
        &[Use::Run, Use::Discover, Use::InhibitRecovery],
        "process call create, /node:, shadowcopy delete, /format: with an address",
    ),
    lolbin("wscript.exe", &[Use::Run], "the script's place, and its parent"),
];

/// What is known of a program, by its name or path.
#[must_use]
pub fn of(image: &str) -> Option<&'static Lolbin> {
    let name = super::paths::base_name(image);
    LOLBINS.iter().find(|lolbin| lolbin.name == name || lolbin.name.strip_suffix(".exe") == Some(name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_name_and_by_path_and_listed_once() {
        assert_eq!(of(r"C:\Windows\System32\CertUtil.exe").map(|lolbin| lolbin.name), Some("certutil.exe"));
        assert_eq!(of("rundll32").map(|lolbin| lolbin.uses.contains(&Use::DumpCredentials)), Some(true));
        assert_eq!(of("notepad.exe"), None);
        let mut names: Vec<&str> = LOLBINS.iter().map(|lolbin| lolbin.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), LOLBINS.len());
    }
}
