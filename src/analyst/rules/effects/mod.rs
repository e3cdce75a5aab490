//! Features of effect: what was done to the machine or its accounts, and whether it worked. One file per group.

mod accounts;
pub mod across;
mod credentials;
mod impairment;
mod injection;
mod persistence;
mod recovery;
mod remote;

use super::feature::Feature;
use super::seen::{Seen, SeenEvent};

/// Features of one event.
pub fn features(event: &SeenEvent, seen: &Seen) -> Vec<Feature> {
    let groups = [
        credentials::features(event, seen),
        injection::features(event, seen),
        persistence::features(event),
        impairment::features(event),
        remote::features(event),
        accounts::features(event),
    ];
    groups.into_iter().flatten().collect()
}

/// The program of a service, task or autostart is one that runs commands it is given.
fn is_interpreter(command: &str) -> bool {
    let folded = command.to_lowercase();
    let interpreters = [
        "powershell",
        "pwsh",
        "cmd /",
        "cmd.exe",
        "%comspec%",
        "mshta",
        "wscript",
        "cscript",
        "rundll32",
        "regsvr32",
        "\\\\.\\pipe\\",
        "\\\\127.0.0.1\\admin$",
    ];
    interpreters.iter().any(|word| folded.contains(word))
}

/// The program at the beginning of a command, its quotation marks and arguments left out.
fn program_of(command: &str) -> &str {
    let command = command.trim();
    match command.strip_prefix('"') {
        Some(rest) => rest.split('"').next().unwrap_or(rest),
        None => match command.to_lowercase().find(".exe") {
            Some(at) => command.get(..at + 4).unwrap_or(command),
            None => command.split(' ').next().unwrap_or(command),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_at_the_beginning_of_its_command() {
        assert_eq!(program_of("\"C:\\Program Files\\A B\\c.exe\" -x"), "C:\\Program Files\\A B\\c.exe");
        assert_eq!(program_of("C:\\Program Files\\A B\\c.exe -x"), "C:\\Program Files\\A B\\c.exe");
        assert_eq!(program_of("a.bat /y"), "a.bat");
    }
}
