//! Features of lineage: who started whom.

use super::feature::{Feature, MODERATE, STRONG, VERY_STRONG};
use super::seen::SeenEvent;
use crate::domain::evidence::Family;
use crate::knowledge::{making, paths, programs};

/// COM classes of Windows that run commands with raised rights for whoever asks (CMSTPLUA and its relatives).
const ELEVATED_OBJECTS: [&str; 4] = [
    "{3e5fc7f9-9a51-4367-9063-a120244fbec7}",
    "{d2e7041b-2927-42fb-8e9f-7ce93b6dc937}",
    "{3ad05575-8857-4850-9277-11b85bdb8e09}",
    "{e9495b87-d950-4ab5-87a5-ff6d70bf3e90}",
];

/// Features of a process creation: the most telling one.
pub fn features(event: &SeenEvent) -> Option<Feature> {
    let (image, parent) = (event.image()?, event.parent()?);
    let (child, starter) = (paths::base_name(image), paths::base_name(parent));
    let shell = programs::is_shell(image);
    let runs_commands = shell || programs::is_proxy(image);
    let foreign = runs_commands || paths::is_drop_zone(image);
    let command = event.get("CommandLine").unwrap_or_default().to_lowercase();
    let parents_command = event.get("ParentCommandLine").unwrap_or_default().to_lowercase();
    let high = matches!(event.get("IntegrityLevel"), Some("High" | "System"));
    let by_service_account = event.get("User").is_some_and(making::is_service_account);
    let (name, value) = if programs::violates_canonical_parent(image, parent) {
        ("parent that Windows never gives", VERY_STRONG)
    } else if foreign && programs::is_reader(parent) {
        ("document starts a shell", VERY_STRONG)
    } else if runs_commands && programs::is_server(parent) {
        ("server starts a shell", VERY_STRONG)
    } else if shell && programs::is_runtime(parent) && by_service_account {
        // A person's runtime builds software; a service account's serves requests.
        ("server starts a shell", VERY_STRONG)
    } else if shell && (starter == "winlogon.exe" || programs::is_of_logon_screen(parent)) {
        ("logon screen starts a shell", VERY_STRONG)
    } else if starter == "lsass.exe" && !["efsui.exe", "lsaiso.exe"].contains(&child.as_str()) {
        ("credential store starts a program", VERY_STRONG)
    } else if foreign && programs::is_self_elevating(parent) {
        ("self-elevating program starts a shell", VERY_STRONG)
    } else if high && starter == "dllhost.exe" && ELEVATED_OBJECTS.iter().any(|object| parents_command.contains(object))
    {
        ("elevated object starts a program", VERY_STRONG)
    } else if programs::is_quiet(parent) && !programs::is_child_of_quiet(image) {
        ("quiet program starts another", STRONG)
    } else if runs_commands && programs::is_browser(parent) && !is_native_host(&command) {
        ("browser starts a shell", STRONG)
    } else if foreign
        && matches!(starter.as_str(), "scrcons.exe" | "mshta.exe" | "regsvr32.exe" | "installutil.exe" | "cmstp.exe")
    {
        ("script host starts a shell", STRONG)
    } else if foreign
        && matches!(starter.as_str(), "mmc.exe" | "excel.exe" | "explorer.exe")
        && parents_command.contains("-embedding")
    {
        ("remote object starts a shell", STRONG)
    } else if shell && starter == "services.exe" {
        ("a service is a shell", STRONG)
    } else if foreign && programs::is_remote_hand(parent) {
        ("remote management starts a shell", MODERATE)
    } else if foreign && matches!(starter.as_str(), "wscript.exe" | "cscript.exe" | "rundll32.exe") {
        ("script host starts a shell", MODERATE)
    } else {
        return None;
    };
    let fields: &[&str] =
        if event.is_security(4688) { &["ParentProcessName", "NewProcessName"] } else { &["ParentImage", "Image"] };
    event.feature(name, Family::Lineage, value, fields, format!("{starter} started {child}"))
}

/// How browsers start the native hosts of their extensions and their own helpers.
fn is_native_host(command: &str) -> bool {
    command.contains("chrome-extension://") || command.contains("chrome.nativemessaging")
}
