//! The System log's services, Task Scheduler, and Defender.

use super::Copies;

/// 7045 is a service installed, 7036 one that changed its state, 7040 one whose start changed.
pub(super) fn system(code: u32, copies: &mut Copies<'_>) {
    match code {
        7045 => {
            copies.text("ServiceName", "service.name");
            copies.text("ServiceType", "service.type");
            service_program("ImagePath", copies);
        }
        7036 => {
            copies.text("param1", "service.name");
            copies.text("param2", "service.state");
        }
        7040 => copies.text("param1", "service.name"),
        _ => {}
    }
}

/// The program a service runs, as a command and as a file.
pub(super) fn service_program(name: &str, copies: &mut Copies<'_>) {
    let Some(command) = copies.said(name) else { return };
    copies.command_line(command);
    copies.file_at(program_of(command));
}

/// The program's path at the start of a service's command: quoted, or up to its extension, or its first word.
fn program_of(command: &str) -> &str {
    let command = command.trim_start();
    if let Some((quoted, _)) = command.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        return quoted;
    }
    let folded = command.to_ascii_lowercase();
    let end = [".exe", ".sys", ".dll", ".com", ".bat", ".cmd", ".scr"]
        .iter()
        .filter_map(|extension| folded.find(extension).map(|start| start + extension.len()))
        .filter(|end| folded[*end..].chars().next().is_none_or(|next| next.is_whitespace() || next == '"'))
        .min();
    // Folding ASCII letters keeps every byte in its place.
    end.map_or_else(|| command.split_whitespace().next().unwrap_or(command), |end| &command[..end])
}

/// 106, 140 and 141 are a task registered, updated and deleted; 100, 102, 129, 200 and 201 one that ran.
pub(super) fn task_scheduler(code: u32, copies: &mut Copies<'_>) {
    let account = copies.said("UserContext").or_else(|| copies.said("UserName"));
    if let Some(account) = account {
        copies.account(account);
    }
    match code {
        129 => {
            copies.program("Path", "process.executable", "process.name");
            copies.number("ProcessID", "process.pid");
        }
        200 | 201 => {
            copies.program("ActionName", "process.executable", "process.name");
            copies.number("EnginePID", "process.parent.pid");
        }
        _ => {}
    }
}

/// 1006 to 1008, 1015, 1116 and 1117: something was detected, or something was done about it.
pub(super) fn defender(code: u32, copies: &mut Copies<'_>) {
    if !matches!(code, 1006..=1008 | 1015 | 1116..=1119) {
        return;
    }
    copies.text("Threat Name", "rule.name");
    copies.text("Category Name", "rule.category");
    if let Some(account) = copies.said("Detection User").or_else(|| copies.said("User")) {
        copies.account(account);
    }
    if copies.said("Process Name") != Some("Unknown") {
        copies.program("Process Name", "process.executable", "process.name");
    }
    // `file:_C:\a.exe; file:_C:\b.exe`, with other kinds of places in between: the first file counts.
    let path = copies
        .said("Path")
        .and_then(|path| path.split(';').map(str::trim).find_map(|part| part.strip_prefix("file:_")));
    if let Some(path) = path {
        copies.file_at(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_services_program_is_told_from_its_arguments() {
        for (command, program) in [
            (r#""C:\Program Files\a b\svc.exe" -k net"#, r"C:\Program Files\a b\svc.exe"),
            (r"C:\Program Files\a b\svc.exe -k net", r"C:\Program Files\a b\svc.exe"),
            (r"%SystemRoot%\System32\drivers\x.SYS", r"%SystemRoot%\System32\drivers\x.SYS"),
            (r"%COMSPEC% /c echo", "%COMSPEC%"),
            (r"C:\tools.exe.d\run it", r"C:\tools.exe.d\run"),
            (r#""C:\open"#, r#""C:\open"#),
            ("", ""),
        ] {
            assert_eq!(program_of(command), program, "{command}");
        }
    }
}
