//! Registry values that mean something: what starts with the machine, what raises rights, what switches a guard off.

/// What setting a value does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// A program that starts with the machine or at logon.
    Autostart,
    /// A service's program or library.
    Service,
    /// A debugger that is started in place of a program.
    Debugger,
    /// What Windows starts at logon in place of its own.
    LogonProgram,
    /// A command that a self-elevating program of Windows will run with raised rights.
    ElevationHijack,
    /// Remote desktop is allowed.
    RemoteDesktop,
    /// The firewall is switched off.
    FirewallOff,
    /// Passwords are kept in memory in plain text.
    PlainTextPasswords,
    /// Defender is switched off or told to look away.
    DefenderWeakened,
    /// A log or its service is switched off.
    LogOff,
    /// A program used the microphone or the camera.
    Recorded,
    /// An account is hidden from the logon screen.
    AccountHidden,
    /// Code that LSASS loads.
    LogonPackage,
}

/// Classes whose command self-elevating programs of Windows look up in the user's own part of the registry.
const LOOKED_UP: [&str; 8] = [
    "ms-settings\\shell\\open\\command",
    "mscfile\\shell\\open\\command",
    "exefile\\shell\\open\\command",
    "exefile\\shell\\runas\\command",
    "folder\\shell\\open\\command",
    "appx82a6gwre4fdg3bt635tn5ctqjf8msdd2\\shell\\open\\command",
    "software\\microsoft\\windows\\currentversion\\app paths\\control.exe",
    "environment\\windir",
];

/// What this value, set to this, does; nothing for most.
#[must_use]
pub fn meaning(path: &str, details: &str) -> Option<Meaning> {
    let (path, details) = (path.to_lowercase(), details.to_lowercase());
    let within = |part: &str| path.contains(part);
    let ends = |part: &str| path.ends_with(part);
    let is_on = details.contains("0x00000001");
    let is_off = details.contains("0x00000000");
    let of_user = path.starts_with("hku\\") || path.starts_with("hkcu\\") || path.starts_with("hkcr\\");
    if within("\\image file execution options\\") && ends("\\debugger")
        || within("\\silentprocessexit\\") && ends("\\monitorprocess")
    {
        Some(Meaning::Debugger)
    } else if of_user && LOOKED_UP.iter().any(|class| within(class)) {
        Some(Meaning::ElevationHijack)
    } else if ends("\\winlogon\\shell")
        || ends("\\winlogon\\userinit")
        || ends("\\userinitmprlogonscript")
        || ends("\\windows\\appinit_dlls")
    {
        Some(Meaning::LogonProgram)
    } else if within("\\currentversion\\run\\")
        || within("\\currentversion\\runonce\\")
        || within("\\policies\\explorer\\run\\")
    {
        Some(Meaning::Autostart)
    } else if within("\\services\\eventlog")
        && (ends("\\start") && details.contains("0x00000004") || ends("\\file") || ends("\\enabled") && is_off)
        || within("\\winevt\\channels\\") && ends("\\enabled") && is_off
    {
        Some(Meaning::LogOff)
    } else if within("\\services\\") && (ends("\\imagepath") || ends("\\servicedll") || ends("\\failurecommand")) {
        Some(Meaning::Service)
    } else if ends("\\terminal server\\fdenytsconnections") && is_off {
        Some(Meaning::RemoteDesktop)
    } else if within("\\firewallpolicy\\") && ends("\\enablefirewall") && is_off {
        Some(Meaning::FirewallOff)
    } else if ends("\\wdigest\\uselogoncredential") && is_on {
        Some(Meaning::PlainTextPasswords)
    } else if within("\\windows defender\\exclusions\\")
        || within("windows defender")
            && (ends("\\disableantispyware")
                || ends("\\disablerealtimemonitoring")
                || ends("\\disablebehaviormonitoring"))
            && is_on
    {
        Some(Meaning::DefenderWeakened)
    } else if within("\\consentstore\\microphone\\") || within("\\consentstore\\webcam\\") {
        ends("\\lastusedtimestart").then_some(Meaning::Recorded)
    } else if within("\\specialaccounts\\userlist\\") && is_off {
        Some(Meaning::AccountHidden)
    } else if ends("\\lsa\\security packages")
        || ends("\\lsa\\notification packages")
        || ends("\\lsa\\authentication packages")
    {
        Some(Meaning::LogonPackage)
    } else {
        None
    }
}

/// The program that recorded, out of a consent value's path: `…\NonPackaged\C:#Tools#a.exe\LastUsedTimeStart`.
#[must_use]
pub fn recorder(path: &str) -> Option<String> {
    let (_, rest) = path.split_once("\\NonPackaged\\").or_else(|| path.split_once("\\nonpackaged\\"))?;
    let program = rest.split('\\').next()?;
    Some(program.replace('#', "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_own_file_type_is_no_hijack() {
        let user = "HKU\\S-1-5-21-1-2-3-1001_Classes\\";
        let hijack = format!("{user}ms-settings\\shell\\open\\command\\(Default)");
        assert_eq!(meaning(&hijack, "cmd.exe"), Some(Meaning::ElevationHijack));
        let own = format!("{user}Vendor.Log.1\\shell\\open\\command\\(Default)");
        assert_eq!(meaning(&own, "\"C:\\Users\\a\\b.exe\" \"%1\""), None);
        assert_eq!(meaning("HKCR\\txtfile\\shell\\open\\command", "notepad.exe %1"), None);
    }

    #[test]
    fn a_guard_that_is_switched_on_is_no_news() {
        let desktop = "HKLM\\System\\CurrentControlSet\\Control\\Terminal Server\\fDenyTSConnections";
        assert_eq!(meaning(desktop, "DWORD (0x00000000)"), Some(Meaning::RemoteDesktop));
        assert_eq!(meaning(desktop, "DWORD (0x00000001)"), None);
        let log = "HKLM\\System\\CurrentControlSet\\Services\\EventLog\\Start";
        assert_eq!(meaning(log, "DWORD (0x00000004)"), Some(Meaning::LogOff));
        assert_eq!(meaning(log, "DWORD (0x00000002)"), None);
    }

    #[test]
    fn the_recorder_is_read_out_of_the_path() {
        let path = "HKU\\S\\ConsentStore\\microphone\\NonPackaged\\C:#Windows#a.exe\\LastUsedTimeStart";
        assert_eq!(recorder(path).as_deref(), Some("C:\\Windows\\a.exe"));
    }
}
