//! Effects on other processes: threads, handles that may change them, replaced images, libraries that do not belong.

use super::super::feature::{Feature, MODERATE, STRONG, VERY_STRONG};
use super::super::fingerprint;
use super::super::seen::{Seen, SeenEvent};
use crate::domain::evidence::Family;
use crate::knowledge::paths::{self, PathClass};
use crate::knowledge::{access_mask, guid, programs};

/// `PROCESS_ALL_ACCESS` as older Windows counted it; newer Windows adds bits to it.
const ALL_RIGHTS: u32 = 0x1f_0fff;

/// Features of one event.
pub fn features(event: &SeenEvent, seen: &Seen) -> Vec<Feature> {
    let found = match event.view.code {
        7 if event.view.is_sysmon(7) => library_loaded(event),
        8 if event.view.is_sysmon(8) => remote_thread(event),
        10 if event.view.is_sysmon(10) => opened_to_change(event, seen),
        25 if event.view.is_sysmon(25) => image_replaced(event),
        _ => None,
    };
    found.into_iter().collect()
}

fn folder(path: &str) -> String {
    let folded = path.to_lowercase();
    folded.rsplit_once('\\').map_or_else(String::new, |(folder, _)| folder.to_owned())
}

fn remote_thread(event: &SeenEvent) -> Option<Feature> {
    let (source, target) = (event.get("SourceImage")?, event.get("TargetImage")?);
    // A program's own processes: a browser's, an installer's, a driver's of a test browser.
    let own = source.eq_ignore_ascii_case(target)
        || folder(source) == folder(target) && paths::class(source) == PathClass::ProgramFiles;
    if own || fingerprint::is_system_thread(event) {
        return None;
    }
    let unbacked = event.get("StartModule").is_none() && event.get("StartFunction").is_none();
    let function = event.get("StartFunction").unwrap_or_default().to_lowercase();
    // A thread that begins by loading a library is how one is injected.
    let loads = function.starts_with("loadlibrary");
    let mut says = format!("{} started a thread in {}", paths::base_name(source), paths::base_name(target));
    let mut fields = vec!["SourceImage", "TargetImage"];
    let installed = paths::class(source) == PathClass::ProgramFiles;
    let (name, value) = match (unbacked, programs::is_loose(source)) {
        (true, true) => ("thread in unbacked memory", VERY_STRONG),
        (true, false) if installed => ("thread in unbacked memory", MODERATE),
        (true, false) => ("thread in unbacked memory", STRONG),
        (false, true) => ("foreign program plants a thread", STRONG),
        (false, false) => return None,
    };
    if unbacked {
        says.push_str(", in memory that belongs to no module");
    } else if loads {
        says.push_str(", which loads a library");
        fields.push("StartFunction");
    }
    let feature = event.feature(name, Family::Effect, value, &fields, says)?;
    Some(if value >= STRONG { feature.active() } else { feature })
}

/// A handle by which another program's process can be written to. Parents hold one of each child.
fn opened_to_change(event: &SeenEvent, seen: &Seen) -> Option<Feature> {
    let (source, target, mask) = (event.get("SourceImage")?, event.get("TargetImage")?, event.get("GrantedAccess")?);
    // Write to memory and start or change what runs there: `PROCESS_VM_WRITE` with `PROCESS_VM_OPERATION`.
    let writes = access_mask::parse(mask).is_some_and(|mask| mask & 0x28 == 0x28);
    // LSASS has findings of its own: one handle is one finding.
    if !writes
        || !programs::is_loose(source)
        || [paths::base_name(source).as_str(), "lsass.exe"].contains(&paths::base_name(target).as_str())
    {
        return None;
    }
    let child = event.get("TargetProcessGUID").or_else(|| event.get("TargetProcessGuid")).map(guid::folded)?;
    let start = seen.start_of(&child);
    let is_parent = start.is_some_and(|start| start.names("ParentProcessGuid", &event.process()));
    if is_parent || seen.opens_everything(&event.process()) {
        return None;
    }
    // What .NET compiles while it runs belongs to no module either.
    let hidden = !programs::hosts_powershell(source)
        && event.get("CallTrace").is_some_and(|trace| trace.to_lowercase().contains("unknown("));
    // Windows gives whoever starts a process a handle with all rights. Who started this one has to be known first.
    if start.is_none() && !hidden && access_mask::parse(mask).is_some_and(|mask| mask & ALL_RIGHTS == ALL_RIGHTS) {
        return None;
    }
    let value = if hidden { STRONG } else { MODERATE };
    let says = format!(
        "{} opened {} with {mask}, by which it can be changed{}",
        paths::base_name(source),
        paths::base_name(target),
        if hidden { ", out of code that belongs to no module" } else { "" }
    );
    let fields = ["SourceImage", "TargetImage", "GrantedAccess"];
    let feature = event.feature("process opened to be changed", Family::Effect, value, &fields, says)?;
    // Code that belongs to no module is at work already, and reaches for the next program.
    Some(if hidden { feature.active() } else { feature })
}

fn image_replaced(event: &SeenEvent) -> Option<Feature> {
    let image = event.image()?;
    // Browsers and other sandboxes rewrite their own children.
    let sandboxed = programs::is_browser(image) || paths::class(image) == PathClass::ProgramFiles;
    let says = format!("the image of {} was replaced in memory", paths::base_name(image));
    let feature = (!sandboxed)
        .then(|| event.feature("image replaced in memory", Family::Effect, STRONG, &["Image", "Type"], says))?;
    feature.map(Feature::active)
}

/// PowerShell's engine where it does not belong, and unsigned code in a program of Windows.
fn library_loaded(event: &SeenEvent) -> Option<Feature> {
    let (image, library) = (event.get("Image")?, event.get("ImageLoaded")?);
    let (name, loaded) = (paths::base_name(image), paths::base_name(library));
    let fields = ["Image", "ImageLoaded"];
    if loaded.starts_with("system.management.automation") {
        let says = format!("{name} loaded PowerShell's engine");
        return (programs::is_loose(image) && !programs::hosts_powershell(image)).then(|| {
            event.feature("PowerShell's engine in a foreign program", Family::Effect, STRONG, &fields, says)
        })?;
    }
    let unsigned = event.get("Signed").is_some_and(|signed| signed.eq_ignore_ascii_case("false"));
    let of_windows = paths::class(image) == PathClass::System;
    if !unsigned || !of_windows {
        return None;
    }
    let class = paths::class(library);
    let fields = ["Image", "ImageLoaded", "Signed"];
    if paths::is_drop_zone(library) {
        let says = format!("{name} of Windows loaded {loaded}, unsigned, from {}", class.name());
        return event.feature("unsigned library in a program of Windows", Family::Effect, STRONG, &fields, says);
    }
    let printer = library.to_lowercase().contains("\\spool\\");
    let says = format!("{name} of Windows loaded {loaded}, unsigned, from a system folder");
    (class == PathClass::System && !printer)
        .then(|| event.feature("unsigned library in a program of Windows", Family::Effect, MODERATE, &fields, says))?
}
