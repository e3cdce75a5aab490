//! Features of a process: what it is, what started it, what its command line says.

use super::features::{DECISIVE, Feature, MODERATE, STRONG, SeenEvent, VERY_STRONG, WEAK};
use crate::domain::evidence::Family;
use crate::knowledge::command::{self, Capability};
use crate::knowledge::fingerprints::{self, ProcessRun};
use crate::knowledge::{paths, programs};

/// The feature of Defender's own inventory scripts.
pub const DEFENDER_COLLECTION: &str = "Defender's own collection script";

/// Features of a process creation, a script block or a service's command.
pub fn features(event: &SeenEvent) -> Vec<Feature> {
    let view = &event.view;
    let mut found = Vec::new();
    if view.is_sysmon(1) {
        found.extend(identity(event));
        found.extend(lineage(event));
        found.extend(fingerprint(event));
    }
    let texts =
        ["CommandLine", "ScriptBlockText", "ImagePath", "ServiceFileName", "Details", "TaskContent", "Destination"];
    for field in texts {
        found.extend(content(event, field));
    }
    found
}

fn identity(event: &SeenEvent) -> Vec<Feature> {
    let view = &event.view;
    let Some(image) = view.get("Image") else { return vec![] };
    let name = paths::base_name(image);
    let class = paths::class(image);
    let out_of_place = programs::is_out_of_place(image).then(|| {
        event.feature(
            "system name elsewhere",
            Family::Identity,
            STRONG,
            &["Image"],
            format!("{name} runs from {}", class.name()),
        )
    });
    let user_writable = class.is_user_writable().then(|| {
        event.feature(
            "runs from user-writable folder",
            Family::Identity,
            MODERATE,
            &["Image"],
            format!("{name} runs from {}", class.name()),
        )
    });
    let original = view.get("OriginalFileName").filter(|original| !original.contains(' ') && original.contains('.'));
    let renamed = original.filter(|original| {
        let (original, name) = (original.to_lowercase(), name.as_str());
        // Resource names of localised system files end in `.mui`; they are the same program.
        original.trim_end_matches(".mui") != name && (programs::is_shell(&original) || programs::is_proxy(&original))
    });
    let renamed = renamed.map(|original| {
        let says = format!("{original} runs under the name {name}");
        event.feature("renamed program", Family::Identity, STRONG, &["OriginalFileName", "Image"], says)
    });
    [out_of_place.flatten(), user_writable.flatten(), renamed.flatten()].into_iter().flatten().collect()
}

fn lineage(event: &SeenEvent) -> Vec<Feature> {
    let view = &event.view;
    let (Some(image), Some(parent)) = (view.get("Image"), view.get("ParentImage")) else { return vec![] };
    let (child_name, parent_name) = (paths::base_name(image), paths::base_name(parent));
    let runs_commands = programs::is_shell(image) || programs::is_proxy(image);
    let says = format!("{parent_name} started {child_name}");
    let (name, value) = if programs::violates_canonical_parent(image, parent) {
        ("parent that Windows never gives", VERY_STRONG)
    } else if runs_commands && programs::is_reader(parent) {
        ("document or browser starts a shell", VERY_STRONG)
    } else if runs_commands && programs::is_server(parent) {
        ("server starts a shell", VERY_STRONG)
    } else if programs::is_shell(image) && parent_name == "services.exe" {
        ("a service is a shell", STRONG)
    } else if programs::is_shell(image) && programs::is_remote_hand(parent) {
        ("remote management starts a shell", MODERATE)
    } else if runs_commands
        && matches!(parent_name.as_str(), "wscript.exe" | "cscript.exe" | "mshta.exe" | "rundll32.exe" | "regsvr32.exe")
    {
        ("script host starts a shell", MODERATE)
    } else {
        return vec![];
    };
    event.feature(name, Family::Lineage, value, &["ParentImage", "Image"], says).into_iter().collect()
}

fn fingerprint(event: &SeenEvent) -> Vec<Feature> {
    let view = &event.view;
    let field = |name| view.get(name).unwrap_or_default();
    let run = ProcessRun {
        image: field("Image"),
        command: field("CommandLine"),
        user: field("User"),
        parent: field("ParentImage"),
    };
    let Some(script) = fingerprints::defender_data_collection(run) else { return vec![] };
    let says = "Defender's sensor runs a script of its collection folder as SYSTEM, by exactly its own command";
    let fields = ["CommandLine", "User", "ParentImage", "Image"];
    let mut feature = event.feature(DEFENDER_COLLECTION, Family::Identity, -DECISIVE, &fields, says);
    // The path decides: quote it, not the beginning of a long command.
    if let Some(command) = feature.as_mut().and_then(|feature| feature.quotes.first_mut()) {
        command.value = script;
    }
    feature.into_iter().collect()
}

fn content(event: &SeenEvent, field: &str) -> Vec<Feature> {
    let Some(text) = event.view.get(field) else { return vec![] };
    let reading = command::read(text);
    let has = |capability| reading.capabilities.contains(&capability);
    let names = reading.capabilities.iter().map(|c| c.name()).collect::<Vec<_>>().join(", ");
    let layered = if reading.layers.len() > 1 { " once decoded" } else { "" };
    let mut found = Vec::new();
    let mut add = |name, value, says: String| found.extend(event.feature(name, Family::Content, value, &[field], says));
    if has(Capability::Credential) {
        add("credential tool verbs", VERY_STRONG, format!("the command reaches for credentials{layered}"));
    }
    if has(Capability::RecoveryInhibition) {
        add("recovery inhibition", VERY_STRONG, format!("the command inhibits recovery{layered}"));
    }
    if reading.native_calls >= 3 {
        add(
            "injection calls",
            VERY_STRONG,
            format!("the script names {} memory and thread functions{layered}", reading.native_calls),
        );
    }
    if has(Capability::Evasion) {
        add("works against its observers", STRONG, format!("the command works against what watches it{layered}"));
    }
    let runs = has(Capability::ExecuteInMemory);
    if runs && has(Capability::Download) {
        add("downloads and runs", STRONG, format!("the command downloads and runs code in memory{layered}"));
    } else if runs && has(Capability::Decode) {
        add("decodes and runs", STRONG, format!("the command unwraps and runs hidden code{layered}"));
    } else if !reading.capabilities.is_empty() {
        let value = if reading.capabilities.len() > 1 { MODERATE } else { WEAK };
        add("capabilities", value, format!("the text {names}{layered}"));
    }
    if reading.layers.len() > 2 {
        add("several layers", MODERATE, format!("{} layers of encoding", reading.layers.len() - 1));
    }
    if reading.launched_hidden {
        add(
            "hidden launch",
            MODERATE,
            "PowerShell is launched with three or more of the switches that hide a script or let it run unattended"
                .into(),
        );
    }
    found
}
