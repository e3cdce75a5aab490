//! Features of known harmless sources, each recognised only by all of its conditions together.
//!
//! The conditions are facts of `knowledge::fingerprints`; here they are tried on what was seen. One only lowers, and
//! strong evidence of harm voids it (see [`super::score`]).

use super::feature::{DECISIVE, Feature};
use super::seen::{Seen, SeenEvent};
use crate::domain::evidence::Family;
use crate::knowledge::fingerprints::{self, Access, ProcessRun};

/// The feature of Defender's own inventory scripts.
pub const DEFENDER_COLLECTION: &str = "Defender's own collection script";

/// The feature of a script that a management agent runs from its own folder.
pub const AGENT_SCRIPT: &str = "a management agent's own script";

/// The feature of the thread by which Windows tells a program to end.
pub const CONTROL_SIGNAL: &str = "csrss control signal";

/// Fingerprints on which a machine may close: the rule's behaviour did not happen, or it is an agent's own. What an
/// agent's script does is no part of it: `closing` asks for its content.
pub const CLOSING: [&str; 2] = [DEFENDER_COLLECTION, AGENT_SCRIPT];

/// What this event is known as.
pub fn features(event: &SeenEvent, seen: &Seen) -> Option<Feature> {
    match event.view.code {
        1 if event.view.is_sysmon(1) => process(event),
        8 if event.view.is_sysmon(8) => is_system_thread(event).then(|| {
            let says = "csrss.exe delivers a console's control signal, by its own function";
            event.feature(
                CONTROL_SIGNAL,
                Family::Fingerprint,
                -DECISIVE,
                &["SourceImage", "StartModule", "StartFunction", "TargetImage"],
                says,
            )
        })?,
        10 if event.view.is_sysmon(10) => access(event, seen),
        _ => None,
    }
}

/// How a sensor tells of `csrss.exe` starting its handler of control signals in a console program.
#[must_use]
pub fn is_system_thread(event: &SeenEvent) -> bool {
    let field = |name| event.get(name).unwrap_or_default();
    fingerprints::is_control_signal(field("SourceImage"), field("StartModule"), field("StartFunction"))
}

/// The start of a process as a fingerprint sees it.
#[must_use]
pub fn run(event: &SeenEvent) -> ProcessRun<'_> {
    let field = |name| event.get(name).unwrap_or_default();
    ProcessRun {
        image: field("Image"),
        command: field("CommandLine"),
        user: field("User"),
        parent: field("ParentImage"),
    }
}

fn process(event: &SeenEvent) -> Option<Feature> {
    let run = run(event);
    let fields = ["CommandLine", "User", "ParentImage", "Image"];
    if let Some(script) = fingerprints::defender_data_collection(run) {
        let says = "Defender's sensor runs a script of its collection folder as SYSTEM, by exactly its own command";
        return quoting(event.feature(DEFENDER_COLLECTION, Family::Fingerprint, -DECISIVE, &fields, says), script);
    }
    if let Some(known) = fingerprints::agent_script(run) {
        let says = format!("{} runs a script of its own folder as SYSTEM, by exactly its own command", known.agent);
        return quoting(event.feature(AGENT_SCRIPT, Family::Fingerprint, -DECISIVE, &fields, says), known.script);
    }
    if fingerprints::is_updater(run) {
        let says = "a browser's updater runs from its own folder as SYSTEM, started by Windows or itself";
        return event.feature(
            "a browser's own updater",
            Family::Fingerprint,
            -DECISIVE,
            &["User", "ParentImage", "Image"],
            says,
        );
    }
    if fingerprints::is_backup_retention(run) {
        let says = "a backup product removes the oldest shadow copy of one volume, as SYSTEM";
        return event.feature("a backup's own retention", Family::Fingerprint, -DECISIVE, &fields, says);
    }
    None
}

/// The path decides: quote it, not the beginning of a long command.
fn quoting(feature: Option<Feature>, script: String) -> Option<Feature> {
    let mut feature = feature?;
    if let Some(command) = feature.quotes.first_mut() {
        command.value = script;
    }
    Some(feature)
}

fn access(event: &SeenEvent, seen: &Seen) -> Option<Feature> {
    let field = |name| event.get(name).unwrap_or_default();
    let access = Access {
        source: field("SourceImage"),
        target: field("TargetImage"),
        mask: field("GrantedAccess"),
        trace: field("CallTrace"),
        user: field("SourceUser"),
    };
    let fields = ["SourceImage", "TargetImage", "GrantedAccess"];
    if fingerprints::is_guest_agent(access) {
        let says = "a virtual machine's own agent looks at processes, from its own folder";
        return event.feature("a guest agent", Family::Fingerprint, -DECISIVE, &fields, says);
    }
    if fingerprints::is_defender_scan(access) {
        let says = "Defender's engine scans LSASS from its own folder, through its own library";
        return event.feature("Defender's own scan", Family::Fingerprint, -DECISIVE, &fields, says);
    }
    // Error reporting reads what crashed; that it crashed is told by the Application log.
    let crashed = seen.events.values().any(|crash| {
        crash.view.channel == "Application"
            && crash.view.code == 1000
            && crash.view.host == event.view.host
            && crash.view.fields.values().any(|value| value.to_lowercase().contains("lsass.exe"))
    });
    if crashed && fingerprints::is_error_report(access) {
        let says = "error reporting reads LSASS after the crash that the Application log tells of";
        return event.feature("an error report", Family::Fingerprint, -DECISIVE, &fields, says);
    }
    None
}
