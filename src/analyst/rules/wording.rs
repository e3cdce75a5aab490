//! What one event shows, as a person would be asked about it: who, what, to what. Names are written out in full, what
//! was encoded is shown decoded, and what is cut is marked.

use std::borrow::Cow;

use super::super::comments::telling as telling_part;
use super::content;
use super::seen::SeenEvent;
use crate::domain::words::excerpt;
use crate::knowledge::paths;

/// Most characters of a command in a question: who is asked has to recognise it.
const LONGEST_COMMAND: usize = 220;

/// Most characters of another value.
const LONGEST_VALUE: usize = 120;

/// Who acted, with the domain.
#[must_use]
pub fn who(event: &SeenEvent) -> String {
    event.account().unwrap_or_else(|| "an account that is not recorded".into())
}

/// What was done, as the rest of a sentence that begins with who did it.
#[must_use]
pub fn did(event: &SeenEvent) -> String {
    let value = |field: &str| event.get(field).map_or(Cow::Borrowed("(not recorded)"), |v| excerpt(v, LONGEST_VALUE));
    let program = || event.image().map_or_else(|| "a program".into(), paths::base_name);
    let target = || event.get("TargetImage").map_or_else(|| "a process".into(), paths::base_name);
    let view = &event.view;
    match (view.channel.as_str(), view.code) {
        _ if event.is_start() => started(event),
        _ if view.is_sysmon(3) => {
            format!("connected to {} port {} with {}", value("DestinationIp"), value("DestinationPort"), program())
        }
        _ if view.is_sysmon(7) => format!("loaded `{}` into {}", value("ImageLoaded"), program()),
        _ if view.is_sysmon(8) => format!("started a thread in {} from {}", target(), program()),
        _ if view.is_sysmon(10) => format!("opened {} with {} from {}", target(), value("GrantedAccess"), program()),
        _ if view.is_sysmon(11) => format!("wrote `{}` with {}", value("TargetFilename"), program()),
        _ if view.is_sysmon(12) || view.is_sysmon(13) || view.is_sysmon(14) => {
            let set = event.get("Details").map_or_else(String::new, |v| format!(" to `{}`", excerpt(v, LONGEST_VALUE)));
            format!("set `{}`{set} with {}", value("TargetObject"), program())
        }
        _ if view.is_sysmon(17) || view.is_sysmon(18) => {
            format!("used the pipe `{}` with {}", value("PipeName"), program())
        }
        _ if view.is_sysmon(22) => format!("resolved {} with {}", value("QueryName"), program()),
        (_, 4103) => format!("ran PowerShell commands: `{}`", telling(event, "Payload")),
        (_, 4104) => format!("ran the script `{}`", telling(event, "ScriptBlockText")),
        ("System", 7045) => {
            format!("installed the service {}, which runs `{}`", value("ServiceName"), command_of(event, "ImagePath"))
        }
        ("Security", 4697) => {
            format!(
                "installed the service {}, which runs `{}`",
                value("ServiceName"),
                command_of(event, "ServiceFileName")
            )
        }
        ("Security", 4698) => format!("made the scheduled task {}", value("TaskName")),
        ("Security", 4702) => format!("changed the scheduled task {}", value("TaskName")),
        ("Security", 1102) => "cleared the Security log".into(),
        ("System", 104) => "cleared an event log".into(),
        ("Security", 4719) => "changed what the Security log records".into(),
        ("Security", 4720) => format!("made the account {}", value("TargetUserName")),
        ("Security", 4726) => format!("removed the account {}", value("TargetUserName")),
        ("Security", 4728 | 4732 | 4756) => format!("made {} a member of {}", member(event), value("TargetUserName")),
        ("Security", 4624) => format!("logged on {}(kind {})", from(event), value("LogonType")),
        ("Security", 4625) => format!("failed to log on {}(kind {})", from(event), value("LogonType")),
        ("Security", 4648) => format!("used the credentials of {} with {}", value("TargetUserName"), program()),
        ("Security", 4662) => "asked the directory for rights of replication or of its objects".into(),
        ("Security", 4768) => format!("was given a ticket {}", from(event)).trim_end().to_owned(),
        ("Security", 4769) => format!("asked for a ticket for {}", value("ServiceName")),
        ("Security", 5140) => format!("reached {} {}", value("ShareName"), from(event)).trim_end().to_owned(),
        ("Security", 5145) => {
            format!("reached {}\\{} {}", value("ShareName"), value("RelativeTargetName"), from(event))
                .trim_end()
                .to_owned()
        }
        ("Security", 5136) => format!("changed {} of {}", value("AttributeLDAPDisplayName"), value("ObjectDN")),
        _ => match event.image() {
            Some(image) => format!("did what {} tells of, with {}", view.kind(), paths::base_name(image)),
            None => format!("did what {} tells of", view.kind()),
        },
    }
}

/// Who did what, where and when, with its evidence: `CORP\a.user ran … on WKS-07 at 2026-01-02 03:04:05 UTC [E1]`.
#[must_use]
pub fn sentence(event: &SeenEvent) -> String {
    let view = &event.view;
    format!("{} {} on {} at {} UTC [{}]", who(event), did(event), view.host, view.time.strftime("%F %T"), event.id)
}

fn started(event: &SeenEvent) -> String {
    let ran = match event.get("CommandLine") {
        Some(_) => command_of(event, "CommandLine"),
        None => event.image().map_or_else(|| "a program".into(), paths::base_name),
    };
    let parent = event.parent().map_or_else(String::new, |parent| format!(" from {}", paths::base_name(parent)));
    format!("ran `{ran}`{parent}")
}

/// A command; of an encoded one its beginning and what it says.
fn command_of(event: &SeenEvent, field: &str) -> String {
    let text = event.get(field).unwrap_or("(not recorded)");
    match content::decoded(event) {
        // The encoded half says nothing to anybody.
        Some(plain) => format!("{}`, which decodes to `{}", excerpt(text, 40), excerpt(&plain, LONGEST_COMMAND)),
        None => excerpt(text, LONGEST_COMMAND).into_owned(),
    }
}

/// The part of a long text that tells, not its banner.
fn telling(event: &SeenEvent, field: &str) -> String {
    let text = event.get(field).unwrap_or("(not recorded)");
    if let Some(plain) = content::decoded(event).filter(|_| field == "ScriptBlockText") {
        return excerpt(&plain, LONGEST_COMMAND).into_owned();
    }
    telling_part(text, LONGEST_COMMAND).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The member that joined: its name where the event has one, else its SID.
fn member(event: &SeenEvent) -> String {
    let of_name = |name: &str| {
        let first = name.split(',').next().unwrap_or(name);
        first.strip_prefix("CN=").or_else(|| first.strip_prefix("cn=")).unwrap_or(first).to_owned()
    };
    event
        .get("MemberName")
        .map(of_name)
        .or_else(|| event.get("MemberSid").map(str::to_owned))
        .unwrap_or_else(|| "somebody".into())
}

fn from(event: &SeenEvent) -> String {
    let source = event.get("IpAddress").or_else(|| event.get("WorkstationName"));
    source.map_or_else(String::new, |source| format!("from {source} "))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::super::tests::shown;
    use super::*;
    use crate::domain::event::SYSMON;

    #[test]
    fn an_act_is_told_with_its_person_and_its_object() {
        let joined = json!({"SubjectUserName": "h.desk", "SubjectDomainName": "CORP", "MemberName": "CN=k.new,OU=x",
            "MemberSid": "S-1-5-21-1-1-1-1104", "TargetUserName": "Administrators", "TargetSid": "S-1-5-32-544"});
        assert!(
            sentence(&shown(("Security", 4732), joined))
                .starts_with("CORP\\h.desk made k.new a member of Administrators on WKS-1 at ")
        );
        let cleared = json!({"SubjectUserName": "h.desk", "SubjectDomainName": "CORP"});
        assert!(sentence(&shown(("Security", 1102), cleared)).starts_with("CORP\\h.desk cleared the Security log on "));
    }

    #[test]
    fn an_encoded_command_is_asked_about_by_what_it_says_and_a_long_one_says_that_it_is_cut() {
        let plain = "& \"$env:ProgramData\\Agent\\job.ps1\" -Mode Quiet";
        let encoded = STANDARD.encode(plain.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
        let start =
            |command: String| shown((SYSMON, 1), json!({"CommandLine": command, "Image": "C:\\x\\powershell.exe"}));
        let told = did(&start(format!("powershell.exe -NoProfile -EncodedCommand {encoded}")));
        assert!(told.ends_with("which decodes to `& \"$env:ProgramData\\Agent\\job.ps1\" -Mode Quiet`"), "{told}");
        assert!(did(&start(format!("x.exe {}", "a ".repeat(300)))).contains("…`"));
    }
}
