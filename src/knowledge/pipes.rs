//! Named pipes: those that only one program of Windows makes, and those by which tools of remote execution are known.

use super::paths;

/// Pipes of Windows' own services, with the only programs that make them.
const OWNED: [(&str, &[&str]); 9] = [
    ("\\lsass", &["lsass.exe"]),
    ("\\samr", &["lsass.exe"]),
    ("\\lsarpc", &["lsass.exe"]),
    ("\\netlogon", &["lsass.exe"]),
    ("\\svcctl", &["services.exe"]),
    ("\\ntsvcs", &["services.exe"]),
    ("\\scerpc", &["services.exe"]),
    ("\\spoolss", &["spoolsv.exe"]),
    ("\\eventlog", &["svchost.exe"]),
];

/// The pipe is one of Windows' own, and another program made it.
#[must_use]
pub fn is_usurped(pipe: &str, image: &str) -> bool {
    let (pipe, name) = (pipe.to_lowercase(), paths::base_name(image));
    // Sysmon calls the kernel's own part `System`: it names pipes of drivers.
    name != "system" && OWNED.iter().any(|(owned, makers)| pipe == *owned && !makers.contains(&name.as_str()))
}

/// The pipe of a PowerShell engine, with the name of the program that hosts it: `\PSHost.NUMBER.PID.DefaultAppDomain.NAME`.
#[must_use]
pub fn hosts_powershell(pipe: &str) -> bool {
    pipe.to_lowercase().starts_with("\\pshost.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_owner_makes_a_pipe_of_windows() {
        assert!(is_usurped("\\lsass", "C:\\Windows\\System32\\wbem\\scrcons.exe"));
        assert!(!is_usurped("\\lsass", "C:\\Windows\\System32\\lsass.exe"));
        assert!(!is_usurped("\\lsass-of-mine", "C:\\a.exe"));
        assert!(hosts_powershell("\\PSHost.132.5.DefaultAppDomain.notepad"));
    }
}
