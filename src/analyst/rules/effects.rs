//! Features of what was done: memory read, threads planted, services installed, logs cleared, hosts contacted.

use std::net::IpAddr;

use super::features::{DECISIVE, Feature, MODERATE, STRONG, Seen, SeenEvent, VERY_STRONG, WEAK};
use crate::domain::event::SYSMON;
use crate::domain::evidence::Family;
use crate::knowledge::{access_mask, paths, programs};

/// The control-access rights of directory replication (Microsoft, `DS-Replication-Get-Changes` and relatives).
const REPLICATION: [&str; 3] = [
    "1131f6aa-9c07-11d1-f79f-00c04fc2dcd2",
    "1131f6ad-9c07-11d1-f79f-00c04fc2dcd2",
    "89e95b76-444d-4c62-991a-0facbeda640c",
];

/// The feature of a request to replicate the directory.
pub const DIRECTORY_REPLICATION: &str = "directory replication by an account";

/// Features of one event's effect.
pub fn features(event: &SeenEvent) -> Vec<Feature> {
    let view = &event.view;
    let found = match (view.channel.as_str(), view.code) {
        (_, 3) if view.is_sysmon(3) => network(event),
        (_, 8) if view.is_sysmon(8) => remote_thread(event),
        (_, 10) if view.is_sysmon(10) => process_access(event),
        (_, 11) if view.is_sysmon(11) => file_created(event),
        (_, 13) if view.is_sysmon(13) => registry_set(event),
        (_, 20) if view.is_sysmon(20) => event.feature(
            "WMI consumer",
            Family::Effect,
            STRONG,
            &["Destination", "Type"],
            "a permanent WMI consumer was registered",
        ),
        ("System", 7045) => service(event, "ImagePath"),
        ("Security", 4697) => service(event, "ServiceFileName"),
        ("Security", 4698 | 4702) => task(event),
        ("Security", 1102) => event.feature(
            "security log cleared",
            Family::Effect,
            STRONG,
            &["SubjectUserName"],
            "the Security log was cleared",
        ),
        ("Security", 4662) => replication(event),
        _ => None,
    };
    found.into_iter().collect()
}

/// Features that several events make together.
pub fn across(seen: &Seen) -> Vec<Feature> {
    written_then_run(seen).into_iter().chain(nothing_else(seen)).collect()
}

/// A program was written to disk and then started.
fn written_then_run(seen: &Seen) -> Option<Feature> {
    let starts: Vec<&SeenEvent> = seen.events.values().filter(|event| event.view.is_sysmon(1)).collect();
    seen.events.values().filter(|event| event.view.is_sysmon(11)).find_map(|written| {
        let file = written.view.get("TargetFilename")?;
        let run = starts.iter().find(|start| {
            start.view.time >= written.view.time
                && start.view.host == written.view.host
                && start.view.get("Image").is_some_and(|image| image.eq_ignore_ascii_case(file))
        })?;
        run.feature(
            "written, then run",
            Family::Effect,
            STRONG,
            &["Image"],
            format!("{} was written to disk ({}) and then started", paths::base_name(file), written.id),
        )
    })
}

/// No process that was looked at contacted anybody, while the sensor that would show it lived.
fn nothing_else(seen: &Seen) -> Option<Feature> {
    if seen.events.values().any(|event| event.view.is_sysmon(3)) {
        return None;
    }
    let (id, _, _) = seen.absences.iter().find(|(_, channel, code)| channel == SYSMON && *code == 3)?;
    Some(Feature {
        name: "no network",
        family: Family::Network,
        value: -WEAK,
        says: "no network event of the process is in the log, and the sensor reported before and after".into(),
        evidence: *id,
        quotes: vec![],
    })
}

fn network(event: &SeenEvent) -> Option<Feature> {
    let view = &event.view;
    let (image, address) = (view.get("Image")?, view.get("DestinationIp")?);
    let runs_commands = programs::is_shell(image) || programs::is_proxy(image);
    let public = address.parse::<IpAddr>().is_ok_and(|address| !is_local(address));
    let name = paths::base_name(image);
    let fields = ["DestinationIp", "Image"];
    match (runs_commands, public) {
        (true, true) => event.feature(
            "shell talks to the internet",
            Family::Network,
            STRONG,
            &fields,
            format!("{name} connected to {address}"),
        ),
        (true, false) => event.feature(
            "shell talks to the network",
            Family::Network,
            MODERATE,
            &fields,
            format!("{name} connected to {address}"),
        ),
        (false, true) if paths::class(image).is_user_writable() => event.feature(
            "user-writable program talks to the internet",
            Family::Network,
            MODERATE,
            &fields,
            format!("{name} connected to {address}"),
        ),
        (false, _) => None,
    }
}

/// Loopback, link-local, private and documentation-free ranges that never leave the organisation.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || (v6.segments()[0] & 0xfe00) == 0xfc00
                || (v6.segments()[0] & 0xffc0) == 0xfe80
        }
    }
}

fn remote_thread(event: &SeenEvent) -> Option<Feature> {
    let view = &event.view;
    let (source, target) = (view.get("SourceImage")?, view.get("TargetImage")?);
    if source.eq_ignore_ascii_case(target) || paths::base_name(source) == "csrss.exe" {
        return None;
    }
    let unbacked = view.get("StartModule").is_none() && view.get("StartFunction").is_none();
    let says = format!("{} started a thread in {}", paths::base_name(source), paths::base_name(target));
    let fields = ["SourceImage", "TargetImage"];
    match (unbacked, programs::is_shell(source) || programs::is_proxy(source)) {
        (true, true) => event.feature(
            "thread in unbacked memory",
            Family::Effect,
            VERY_STRONG,
            &fields,
            format!("{says}, in memory that belongs to no module"),
        ),
        (true, false) => event.feature(
            "thread in unbacked memory",
            Family::Effect,
            STRONG,
            &fields,
            format!("{says}, in memory that belongs to no module"),
        ),
        (false, true) => event.feature("shell plants a thread", Family::Effect, STRONG, &fields, says),
        (false, false) => None,
    }
}

fn process_access(event: &SeenEvent) -> Option<Feature> {
    let view = &event.view;
    let (source, target, mask) = (view.get("SourceImage")?, view.get("TargetImage")?, view.get("GrantedAccess")?);
    if paths::base_name(target) != "lsass.exe"
        || !access_mask::reads_memory(mask)
        || programs::reads_lsass_by_trade(source)
    {
        return None;
    }
    let trace = view.get("CallTrace").unwrap_or_default().to_lowercase();
    let dumps = ["dbgcore.dll", "dbghelp.dll"].iter().find(|sign| trace.contains(**sign));
    let says = format!("{} opened lsass.exe with {mask}, which reads memory", paths::base_name(source));
    let fields = ["SourceImage", "TargetImage", "GrantedAccess"];
    match dumps {
        Some(sign) => event.feature(
            "lsass memory read",
            Family::Effect,
            VERY_STRONG,
            &fields,
            format!("{says}; the call came through {}", sign),
        ),
        None => event.feature("lsass memory read", Family::Effect, STRONG, &fields, says),
    }
}

fn file_created(event: &SeenEvent) -> Option<Feature> {
    let view = &event.view;
    let (image, file) = (view.get("Image")?, view.get("TargetFilename")?);
    let name = paths::base_name(file);
    if name.ends_with(".dmp") && (name.contains("lsass") || programs::is_proxy(image) || programs::is_shell(image)) {
        let says = format!("{} wrote the dump {name}", paths::base_name(image));
        return event.feature("memory dump written", Family::Effect, STRONG, &["TargetFilename", "Image"], says);
    }
    let startup = file.to_lowercase().contains("\\start menu\\programs\\startup\\");
    let code = [".exe", ".dll", ".scr", ".hta", ".vbs", ".js", ".ps1", ".bat"].iter().any(|end| name.ends_with(end));
    let by_shell = programs::is_shell(image) || programs::is_proxy(image) || programs::is_reader(image);
    if startup {
        event.feature(
            "startup folder",
            Family::Effect,
            STRONG,
            &["TargetFilename", "Image"],
            format!("{name} was put into a startup folder"),
        )
    } else if code && by_shell && paths::class(file).is_user_writable() && !name.starts_with("__psscriptpolicytest") {
        event.feature(
            "code written by a shell",
            Family::Effect,
            MODERATE,
            &["TargetFilename", "Image"],
            format!("{} wrote {name} to {}", paths::base_name(image), paths::class(file).name()),
        )
    } else {
        None
    }
}

/// A command that hands work to a shell or another proxy, or that lies where users write.
/// What is wrong with a command that a service or task runs.
enum Foul {
    /// It is an interpreter's.
    Interpreter,
    /// Anybody may have put it there.
    UserWritable,
}

fn foul(command: &str) -> Option<Foul> {
    let folded = command.to_lowercase();
    let interpreters = [
        "powershell",
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
    if interpreters.iter().any(|word| folded.contains(word)) {
        return Some(Foul::Interpreter);
    }
    let program = command.split(' ').next().unwrap_or(command);
    paths::class(program).is_user_writable().then_some(Foul::UserWritable)
}

fn registry_set(event: &SeenEvent) -> Option<Feature> {
    let view = &event.view;
    let (key, value) = (view.get("TargetObject")?.to_lowercase(), view.get("Details")?);
    let runs_later = key.contains("\\currentversion\\run")
        || key.contains("\\winlogon\\")
        || key.contains("\\image file execution options\\");
    let service = key.contains("\\services\\") && key.ends_with("\\imagepath");
    let hijack = key.contains("\\shell\\open\\command") || key.contains("userinitmprlogonscript");
    if !(runs_later || service || hijack) || foul(value).is_none() {
        return None;
    }
    let what = if service {
        "a service"
    } else if hijack {
        "a hijacked command"
    } else {
        "a run key"
    };
    event.feature(
        "autostart runs a shell",
        Family::Effect,
        STRONG,
        &["TargetObject", "Details"],
        format!("{what} was set to a shell or user-writable command"),
    )
}

fn service(event: &SeenEvent, field: &str) -> Option<Feature> {
    let command = event.view.get(field)?;
    let says = match foul(command)? {
        Foul::Interpreter => "a service was installed whose program is a shell command",
        Foul::UserWritable => "a service was installed whose program lies where ordinary users can write",
    };
    event.feature("service runs a foul program", Family::Effect, VERY_STRONG, &[field, "ServiceName"], says)
}

fn task(event: &SeenEvent) -> Option<Feature> {
    let content = event.view.get("TaskContent")?;
    let command = content.split("<Command>").nth(1)?.split("</Command>").next()?;
    let says = match foul(command)? {
        Foul::Interpreter => "a scheduled task runs a shell command",
        Foul::UserWritable => "a scheduled task runs a program that lies where ordinary users can write",
    };
    event.feature("task runs a foul program", Family::Effect, STRONG, &["TaskName", "TaskContent"], says)
}

fn replication(event: &SeenEvent) -> Option<Feature> {
    let view = &event.view;
    let (account, properties) = (view.get("SubjectUserName")?, view.get("Properties")?.to_lowercase());
    let asks = REPLICATION.iter().any(|right| properties.contains(right));
    (asks && !account.ends_with('$'))
        .then(|| {
            event.feature(
                DIRECTORY_REPLICATION,
                Family::Effect,
                DECISIVE,
                &["SubjectUserName", "Properties"],
                format!("{account} asked for directory replication, which is for domain controllers and directory synchronisation"),
            )
        })
        .flatten()
}
