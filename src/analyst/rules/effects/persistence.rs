//! Effects that outlast a session: services, tasks, autostarts, consumers of WMI, hijacked commands.

use super::super::feature::{Feature, MODERATE, STRONG, VERY_STRONG, WEAK};
use super::super::seen::SeenEvent;
use super::{is_interpreter, program_of};
use crate::domain::evidence::Family;
use crate::knowledge::registry::{self, Meaning};
use crate::knowledge::{paths, programs};

/// Features of one event.
pub fn features(event: &SeenEvent) -> Vec<Feature> {
    let found = match (event.view.channel.as_str(), event.view.code) {
        (_, 11) if event.view.is_sysmon(11) => file_created(event),
        (_, 12..=14) if event.view.is_sysmon(event.view.code) => registry_set(event),
        (_, 20 | 21) if event.view.is_sysmon(event.view.code) => consumer(event),
        ("System", 7045) => service(event, "ImagePath"),
        ("Security", 4697) => service(event, "ServiceFileName"),
        ("Security", 4698 | 4702) => task(event),
        ("Security", 5136) => directory_changed(event),
        _ => None,
    };
    found.into_iter().collect()
}

/// Where what is started later lies, and how far that is from ordinary.
fn foulness(command: &str) -> Option<(f64, &'static str)> {
    let program = program_of(command);
    if is_interpreter(command) {
        Some((STRONG, "a shell command"))
    } else if paths::is_drop_zone(program) {
        Some((STRONG, "a program that lies where things are put down"))
    } else if paths::class(program).is_user_writable() {
        // Much software lives in a profile and starts from there.
        Some((WEAK, "a program in a profile"))
    } else {
        None
    }
}

fn service(event: &SeenEvent, field: &str) -> Option<Feature> {
    let text = event.get(field)?;
    let (value, says) = match foulness(text)? {
        (value, what) if is_interpreter(text) => (value.max(VERY_STRONG), what),
        // Nobody installs a service into a profile, whatever else lies there.
        (value, what) => (value.max(STRONG), what),
    };
    let says = format!("a service was installed that runs {says}");
    // Not yet harm that goes on: what it runs may reach out, and that is another finding.
    event.feature("service runs a foul program", Family::Effect, value, &[field, "ServiceName"], says)
}

fn task(event: &SeenEvent) -> Option<Feature> {
    let content = event.get("TaskContent")?;
    let part = |name: &str| {
        let after = content.split(&format!("<{name}>")).nth(1)?;
        after.split(&format!("</{name}>")).next()
    };
    let command = format!("{} {}", part("Command")?, part("Arguments").unwrap_or_default());
    let (value, what) = foulness(&command)?;
    let says = format!("a scheduled task was made that runs {what}");
    event.feature("task runs a foul program", Family::Effect, value, &["TaskName", "TaskContent"], says)
}

/// A consumer, or its binding to a filter, that runs a command or a script; others write logs and send mails.
fn consumer(event: &SeenEvent) -> Option<Feature> {
    let bound = event.get("Consumer").unwrap_or_default().to_lowercase();
    let runs = ["activescripteventconsumer", "commandlineeventconsumer"].iter().any(|kind| bound.contains(kind));
    if event.view.code == 21 {
        let says = "a permanent WMI consumer that runs a command or a script was bound to an event";
        return runs.then(|| event.feature("WMI consumer", Family::Effect, STRONG, &["Consumer", "User"], says))?;
    }
    let says = "a permanent WMI consumer was registered, which runs a command or a script on an event";
    event.feature("WMI consumer", Family::Effect, STRONG, &["Destination", "Type"], says)
}

fn file_created(event: &SeenEvent) -> Option<Feature> {
    let (image, file) = (event.image()?, event.get("TargetFilename")?);
    let (name, writer) = (paths::base_name(file), paths::base_name(image));
    let folded = file.to_lowercase();
    let foreign = programs::is_shell(image) || programs::is_proxy(image) || programs::is_reader(image);
    let fields = ["TargetFilename", "Image"];
    let code =
        [".exe", ".dll", ".scr", ".hta", ".vbs", ".js", ".ps1", ".bat", ".cmd"].iter().any(|end| name.ends_with(end));
    if folded.contains("\\start menu\\programs\\startup\\") && !name.ends_with(".ini") {
        let value = if foreign || code { STRONG } else { WEAK };
        return event.feature(
            "startup folder",
            Family::Effect,
            value,
            &fields,
            format!("{writer} put {name} into a startup folder"),
        );
    }
    // PowerShell tests its own policy with a script of this name.
    let own_test = name.starts_with("__psscriptpolicytest");
    (code && foreign && paths::is_drop_zone(file) && !own_test).then(|| {
        let says = format!("{writer} wrote {name} to {}", paths::class(file).name());
        event.feature("code written by a shell", Family::Effect, MODERATE, &fields, says)
    })?
}

fn registry_set(event: &SeenEvent) -> Option<Feature> {
    let (path, details) = (event.get("TargetObject")?, event.get("Details").unwrap_or_default());
    let writer = event.image().map(paths::base_name).unwrap_or_default();
    let by_hand = event.image().is_some_and(|image| {
        programs::is_shell(image)
            || programs::is_proxy(image)
            || writer == "reg.exe"
            || paths::class(image).is_user_writable()
    });
    let foul = foulness(details);
    let (name, value, says): (&'static str, f64, String) = match registry::meaning(path, details)? {
        Meaning::Autostart => {
            let (value, what) = foul?;
            ("autostart runs a foul program", value, format!("{writer} made {what} start at logon"))
        }
        Meaning::Service => {
            let (value, what) = foul?;
            ("service runs a foul program", value.max(STRONG), format!("a service was made to run {what}"))
        }
        Meaning::Debugger => {
            let program = path.rsplit('\\').nth(1).unwrap_or_default();
            let at_logon = programs::is_of_logon_screen(program);
            let value = match (at_logon, foul.is_some() || is_interpreter(details)) {
                (true, _) => VERY_STRONG,
                (false, true) => STRONG,
                (false, false) => WEAK,
            };
            ("debugger in place of a program", value, format!("{writer} set what starts in place of {program}"))
        }
        Meaning::LogonProgram => {
            let ordinary =
                ["explorer.exe", "c:\\windows\\system32\\userinit.exe,", ""].contains(&details.to_lowercase().as_str());
            (!ordinary).then_some(())?;
            // Hardly anybody uses these values, and nobody for what lies where things are put down.
            let value = if foul.is_some_and(|(value, _)| value >= STRONG) || paths::is_drop_zone(program_of(details)) {
                VERY_STRONG
            } else {
                STRONG
            };
            ("logon runs another program", value, format!("{writer} set a program or script that runs at logon"))
        }
        Meaning::ElevationHijack => {
            let value = if foul.is_some() { VERY_STRONG } else { MODERATE };
            (
                "command of a self-elevating program hijacked",
                value,
                format!("{writer} set a command that Windows runs with raised rights"),
            )
        }
        Meaning::LogonPackage => {
            by_hand.then_some(())?;
            ("logon package added", STRONG, format!("{writer} set code that LSASS loads"))
        }
        Meaning::AccountHidden => ("account hidden", STRONG, format!("{writer} hid an account from the logon screen")),
        Meaning::Recorded => {
            let program = registry::recorder(path)?;
            let foreign = programs::is_shell(&program) || programs::is_proxy(&program) || paths::is_drop_zone(&program);
            foreign.then_some(())?;
            let says = format!("{} used the microphone or the camera", paths::base_name(&program));
            // Nobody speaks to a shell; a program that was put down may be a new one for calls.
            let value = if programs::is_shell(&program) { VERY_STRONG } else { STRONG };
            let feature =
                event.feature("recording by a foreign program", Family::Effect, value, &["TargetObject"], says)?;
            return Some(feature.active());
        }
        // These weaken a guard; see `impairment`.
        Meaning::RemoteDesktop
        | Meaning::FirewallOff
        | Meaning::PlainTextPasswords
        | Meaning::DefenderWeakened
        | Meaning::LogOff => return None,
    };
    event.feature(name, Family::Effect, value, &["TargetObject", "Details"], says)
}

/// Attributes of directory objects by which an account is taken over or made to give away its password's hash.
fn directory_changed(event: &SeenEvent) -> Option<Feature> {
    let attribute = event.get("AttributeLDAPDisplayName")?;
    let added =
        event.get("OperationType").is_none_or(|kind| kind.contains("14674") || kind.to_lowercase().contains("added"));
    let of_user = event.get("ObjectClass").is_some_and(|class| class.eq_ignore_ascii_case("user"));
    let (value, says) = match attribute.to_lowercase().as_str() {
        "msds-keycredentiallink" => (STRONG, "a key by which one logs on was added to an account"),
        "msds-allowedtoactonbehalfofotheridentity" => (STRONG, "an account was allowed to act for others on a machine"),
        "serviceprincipalname" if of_user => {
            (MODERATE, "a person's account was given a service name, which makes its ticket guessable")
        }
        _ => return None,
    };
    added.then(|| {
        event.feature("account made attackable", Family::Effect, value, &["AttributeLDAPDisplayName", "ObjectDN"], says)
    })?
}
