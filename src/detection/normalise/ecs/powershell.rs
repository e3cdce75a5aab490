//! PowerShell's two logs: the operational one with fields, the classic one with lines of text.

use super::Copies;

/// 4103 (module) and 4104 (script block).
pub(super) fn operational(code: u32, copies: &mut Copies<'_>) {
    match code {
        4103 => {
            if let Some(context) = copies.said("ContextInfo") {
                lines(context, copies);
            }
        }
        4104 => {
            copies.text("ScriptBlockText", "powershell.file.script_block_text");
            copies.text("ScriptBlockId", "powershell.file.script_block_id");
            copies.number("MessageNumber", "powershell.sequence");
            copies.number("MessageTotal", "powershell.total");
            copies.file("Path");
        }
        _ => {}
    }
}

/// 400 and 403 (engine), 600 (provider) and 800 (pipeline), whose lines stand in unnamed data or in the message alone.
pub(super) fn classic(code: u32, message: Option<&str>, copies: &mut Copies<'_>) {
    if let (400 | 403 | 600 | 800, Some(text)) = (code, copies.said("Data").or(message)) {
        lines(text, copies);
    }
}

/// Lines of the form `Host Application = …` or `HostApplication=…`.
///
/// A command may hold line breaks and thus forge lines: of two lines with one name the first counts, and an account
/// that is named twice is nobody's.
fn lines(text: &str, copies: &mut Copies<'_>) {
    let mut seen: Vec<String> = Vec::new();
    let mut accounts = Vec::new();
    for line in text.lines() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let value = value.trim();
        let name: String = name.chars().filter(|letter| !letter.is_whitespace()).collect();
        if matches!(name.as_str(), "User" | "UserId") {
            accounts.push(value);
        } else if !value.is_empty() && !seen.contains(&name) {
            field(&name, value, copies);
            seen.push(name);
        }
    }
    if let [account] = accounts[..]
        && !account.is_empty()
    {
        copies.account(account);
    }
}

fn field(name: &str, value: &str, copies: &mut Copies<'_>) {
    let path = match name {
        "HostApplication" => return copies.command_line(value),
        "ScriptName" => return copies.file_at(value),
        "HostName" => "process.title",
        "HostId" | "HostID" => "process.entity_id",
        "HostVersion" => "powershell.process.executable_version",
        "EngineVersion" => "powershell.engine.version",
        "NewEngineState" => "powershell.engine.new_state",
        "PreviousEngineState" => "powershell.engine.previous_state",
        "RunspaceId" | "RunspaceID" => "powershell.runspace_id",
        "PipelineId" | "PipelineID" => "powershell.pipeline_id",
        "ShellID" | "ShellId" => "powershell.id",
        "ProviderName" => "powershell.provider.name",
        "NewProviderState" => "powershell.provider.new_state",
        "CommandName" => "powershell.command.name",
        "CommandType" => "powershell.command.type",
        "CommandPath" => "powershell.command.path",
        "CommandLine" => "powershell.command.value",
        _ => return,
    };
    copies.put(path, value.into());
}
