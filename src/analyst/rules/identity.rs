//! Features of identity: what a program is by its name, its origin and its place.

use super::feature::{Feature, MODERATE, STRONG, WEAK};
use super::seen::SeenEvent;
use crate::domain::evidence::Family;
use crate::knowledge::{paths, programs};

/// Endings of documents that a program's name carries to look like one.
const DOCUMENTS: [&str; 8] = [".pdf.", ".doc.", ".docx.", ".xls.", ".xlsx.", ".jpg.", ".png.", ".txt."];

/// Features of a process creation.
pub fn features(event: &SeenEvent) -> Vec<Feature> {
    let Some(image) = event.image() else { return vec![] };
    let field = if event.is_security(4688) { "NewProcessName" } else { "Image" };
    let (name, class) = (paths::base_name(image), paths::class(image));
    let mut found = Vec::new();
    let mut add = |feature, value, fields: &[&str], says| {
        found.extend(event.feature(feature, Family::Identity, value, fields, says));
    };
    if programs::is_out_of_place(image) {
        add("system name elsewhere", STRONG, &[field], format!("{name} runs from {}", class.name()));
    }
    if DOCUMENTS.iter().any(|ending| name.contains(ending)) {
        add("program named like a document", STRONG, &[field], format!("a program is named {name}"));
    }
    // `C:\Windows \System32`: a folder that only looks like Windows' own.
    if image.to_lowercase().contains(":\\windows \\") {
        add("look-alike folder", STRONG, &[field], format!("{name} runs from a folder that only looks like Windows'"));
    }
    let original = event.get("OriginalFileName").filter(|original| !original.contains(' ') && original.contains('.'));
    let renamed = original.filter(|original| {
        let original = original.to_lowercase();
        // Resource names of localised system files end in `.mui`; they are the same program.
        let original = original.trim_end_matches(".mui");
        original != name && (programs::is_shell(original) || programs::is_proxy(original))
    });
    if let Some(original) = renamed {
        add("renamed program", STRONG, &["OriginalFileName", field], format!("{original} runs under the name {name}"));
    }
    found.extend(place(event));
    found
}

/// Where the acting program lies. Most programs' own starts are not in a log; whatever they do names them too.
pub fn place(event: &SeenEvent) -> Option<Feature> {
    let image = event.image()?;
    let field = ["NewProcessName", "Image", "SourceImage"].into_iter().find(|field| event.get(field) == Some(image))?;
    let (name, class) = (paths::base_name(image), paths::class(image));
    if paths::is_drop_zone(image) {
        let says = format!("{name} runs from {}, where things are put down, not installed", class.name());
        return event.feature("runs from where things are put down", Family::Identity, MODERATE, &[field], says);
    }
    // Much software installs itself into a profile; by itself that says little.
    let says = format!("{name} runs from {}", class.name());
    class
        .is_user_writable()
        .then(|| event.feature("runs from user-writable folder", Family::Identity, WEAK, &[field], says))?
}

/// A service whose name is no name: long, and of characters that data are written in.
pub fn service_name(event: &SeenEvent) -> Option<Feature> {
    let name = event.get("ServiceName").filter(|_| event.view.code == 7045 || event.is_security(4697))?;
    let of_data = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let is_data = name.chars().count() >= 40 && name.chars().all(of_data);
    let says = "a service was given a name that is data";
    is_data.then(|| event.feature("service named like data", Family::Identity, MODERATE, &["ServiceName"], says))?
}

/// Defender's own detection: a program or file is malware by its judgement.
pub fn antivirus(event: &SeenEvent) -> Option<Feature> {
    let is_defender = event.view.channel.contains("Windows Defender") && matches!(event.view.code, 1116 | 1117 | 1119);
    let threat = event.get("Threat Name")?;
    let says = format!("Defender identified {threat}");
    is_defender.then(|| {
        event.feature("malware by Defender's judgement", Family::Identity, STRONG, &["Threat Name", "Path"], says)
    })?
}
