//! Effects that come from other machines or reach for them: shares, pipes, sessions.

use super::super::feature::{Feature, MODERATE, STRONG, WEAK};
use super::super::seen::SeenEvent;
use crate::domain::evidence::Family;
use crate::knowledge::{paths, pipes, programs};

/// Pipes of services through which another machine is made to run something.
const CONTROL_PIPES: [&str; 3] = ["svcctl", "atsvc", "winreg"];

/// Features of one event.
pub fn features(event: &SeenEvent) -> Vec<Feature> {
    let found = match (event.view.channel.as_str(), event.view.code) {
        (_, 11) if event.view.is_sysmon(11) => written_over_the_network(event),
        (_, 17) if event.view.is_sysmon(17) => pipe_made(event),
        ("Security", 5145) => share(event),
        ("Security", 4624) => session(event),
        ("Security", 4648) => other_credentials(event),
        _ => None,
    };
    found.into_iter().collect()
}

fn pipe_made(event: &SeenEvent) -> Option<Feature> {
    let (image, pipe) = (event.image()?, event.get("PipeName")?);
    let name = paths::base_name(image);
    if pipes::is_usurped(pipe, image) {
        let says = format!("{name} made the pipe {pipe}, which is another program's of Windows");
        return event
            .feature("pipe of Windows usurped", Family::Effect, STRONG, &["PipeName", "Image"], says)
            .map(Feature::active);
    }
    let foreign = programs::is_quiet(image)
        || programs::is_proxy(image)
        || paths::class(image).is_user_writable()
        || paths::is_drop_zone(image);
    let says = format!("{name} hosts PowerShell's engine");
    (pipes::hosts_powershell(pipe) && foreign && !programs::hosts_powershell(image)).then(|| {
        event.feature("PowerShell's engine in a foreign program", Family::Effect, STRONG, &["PipeName", "Image"], says)
    })?
}

/// The kernel writes what comes over the network; code that arrives in a system folder that way was sent to be run.
fn written_over_the_network(event: &SeenEvent) -> Option<Feature> {
    let (image, file) = (event.image()?, event.get("TargetFilename")?);
    let name = paths::base_name(file);
    let code = [".exe", ".dll", ".sys", ".bat", ".cmd", ".ps1"].iter().any(|ending| name.ends_with(ending));
    let to_system = matches!(
        paths::class(file),
        paths::PathClass::System | paths::PathClass::Windows | paths::PathClass::WindowsWritable
    );
    let says = format!("{name} was written into a folder of Windows over the network");
    (image.eq_ignore_ascii_case("system") && code && to_system).then(|| {
        event.feature("code sent over the network", Family::Effect, STRONG, &["TargetFilename", "Image"], says)
    })?
}

fn share(event: &SeenEvent) -> Option<Feature> {
    let (share, name) = (event.get("ShareName")?.to_lowercase(), event.get("RelativeTargetName")?.to_lowercase());
    let by_person = event.get("SubjectUserName").is_some_and(|account| !account.ends_with('$'));
    let fields = ["ShareName", "RelativeTargetName", "IpAddress"];
    if share.ends_with("\\ipc$") && CONTROL_PIPES.contains(&name.as_str()) && by_person {
        let says = format!("{} was reached from another machine", name);
        return event.feature("control pipe reached", Family::Effect, WEAK, &fields, says);
    }
    let admin = share.ends_with("\\admin$")
        || share.ends_with("$")
            && share.len() > 2
            && share[..share.len() - 1].ends_with(|c: char| c.is_ascii_alphabetic())
            && !share.ends_with("ipc$");
    let code = [".exe", ".dll", ".bat", ".ps1"].iter().any(|ending| name.ends_with(ending));
    (admin && code && by_person).then(|| {
        event.feature(
            "code on an admin share",
            Family::Effect,
            MODERATE,
            &fields,
            format!("{name} was reached on an admin share"),
        )
    })?
}

/// A session with other credentials than its owner's (`runas /netonly`, and how a stolen hash or ticket is used).
fn session(event: &SeenEvent) -> Option<Feature> {
    let (kind, process) = (event.get("LogonType")?, event.get("LogonProcessName")?);
    let says = "a session was opened that uses other credentials on the network";
    (kind == "9" && process.trim().eq_ignore_ascii_case("seclogo")).then(|| {
        event.feature(
            "session with other credentials",
            Family::Effect,
            MODERATE,
            &["LogonType", "LogonProcessName", "TargetOutboundUserName"],
            says,
        )
    })?
}

fn other_credentials(event: &SeenEvent) -> Option<Feature> {
    let image = event.get("ProcessName")?;
    let foreign = programs::is_shell(image)
        || programs::is_proxy(image)
        || paths::is_drop_zone(image)
        || programs::is_quiet(image);
    let target = event.get("TargetUserName").unwrap_or("another account");
    let says = format!("{} used the credentials of {target}", paths::base_name(image));
    foreign.then(|| {
        event.feature(
            "credentials of another used",
            Family::Effect,
            MODERATE,
            &["ProcessName", "TargetUserName", "TargetServerName"],
            says,
        )
    })?
}
