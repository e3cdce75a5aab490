//! Names of event logs as Windows writes them, whatever case or shorthand a forwarder uses.

/// Logs that rules and tools ask for by name.
const KNOWN: [&str; 22] = [
    "Security",
    "System",
    "Application",
    "Microsoft-Windows-Sysmon/Operational",
    "Microsoft-Windows-PowerShell/Operational",
    "PowerShellCore/Operational",
    "Windows PowerShell",
    "Microsoft-Windows-Windows Defender/Operational",
    "Microsoft-Windows-TaskScheduler/Operational",
    "Microsoft-Windows-WMI-Activity/Operational",
    "Microsoft-Windows-TerminalServices-LocalSessionManager/Operational",
    "Microsoft-Windows-TerminalServices-RemoteConnectionManager/Operational",
    "Microsoft-Windows-WinRM/Operational",
    "Microsoft-Windows-Bits-Client/Operational",
    "Microsoft-Windows-NTLM/Operational",
    "Microsoft-Windows-CodeIntegrity/Operational",
    "Microsoft-Windows-DNS-Client/Operational",
    "Microsoft-Windows-DriverFrameworks-UserMode/Operational",
    "Microsoft-Windows-Windows Firewall With Advanced Security/Firewall",
    "Microsoft-Windows-AppLocker/EXE and DLL",
    "Microsoft-Windows-AppLocker/MSI and Script",
    "Setup",
];

/// Shorthands in use.
const ALIASES: [(&str, &str); 4] = [
    ("Sysmon", "Microsoft-Windows-Sysmon/Operational"),
    ("Microsoft-Windows-Sysmon", "Microsoft-Windows-Sysmon/Operational"),
    ("Microsoft-Windows-PowerShell", "Microsoft-Windows-PowerShell/Operational"),
    ("Windows Defender", "Microsoft-Windows-Windows Defender/Operational"),
];

/// The log's name as Windows writes it; a name that is not known stays as it is.
pub(super) fn canonical(written: &str) -> String {
    // A log's file name stands for the slash in this way.
    let name = written.trim().replace("%4", "/");
    let known = KNOWN.iter().find(|known| known.eq_ignore_ascii_case(&name));
    let alias = || ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(&name)).map(|(_, known)| known);
    known.or_else(alias).map_or(name, |known| (*known).to_owned())
}

/// The log that a provider of its own writes to, for records that name the provider alone.
pub(super) fn of_provider(provider: &str) -> Option<&'static str> {
    let (_, channel) = [
        ("Microsoft-Windows-Sysmon", "Microsoft-Windows-Sysmon/Operational"),
        ("Microsoft-Windows-Security-Auditing", "Security"),
        ("Microsoft-Windows-PowerShell", "Microsoft-Windows-PowerShell/Operational"),
        ("PowerShell", "Windows PowerShell"),
        ("Service Control Manager", "System"),
        ("Microsoft-Windows-TaskScheduler", "Microsoft-Windows-TaskScheduler/Operational"),
        ("Microsoft-Windows-Windows Defender", "Microsoft-Windows-Windows Defender/Operational"),
    ]
    .into_iter()
    .find(|(name, _)| name.eq_ignore_ascii_case(provider))?;
    Some(channel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_known_in_any_case_and_by_their_shorthands() {
        for (written, name) in [
            ("security", "Security"),
            ("microsoft-windows-sysmon/operational", "Microsoft-Windows-Sysmon/Operational"),
            ("Microsoft-Windows-Sysmon%4Operational", "Microsoft-Windows-Sysmon/Operational"),
            ("sysmon", "Microsoft-Windows-Sysmon/Operational"),
            ("microsoft-windows-powershell/operational", "Microsoft-Windows-PowerShell/Operational"),
            ("windows powershell", "Windows PowerShell"),
            ("Contoso-App/Admin", "Contoso-App/Admin"),
        ] {
            assert_eq!(canonical(written), name);
        }
        assert_eq!(of_provider("microsoft-windows-sysmon"), Some("Microsoft-Windows-Sysmon/Operational"));
        assert_eq!(of_provider("Contoso"), None);
    }
}
