//! Features of content: what a command line or script says, once decoded.

use super::feature::{Feature, MODERATE, STRONG, VERY_STRONG, WEAK};
use super::seen::{Seen, SeenEvent};
use crate::domain::evidence::Family;
use crate::knowledge::command::{self, Capability, Reading};
use crate::knowledge::proxies::{self, Abuse};
use crate::knowledge::{fingerprints, observers};
use crate::tools::script_block::Script;

/// Fields that hold commands or scripts.
const TEXTS: [&str; 9] = [
    "CommandLine",
    "ParentCommandLine",
    "ScriptBlockText",
    "ImagePath",
    "ServiceFileName",
    "Details",
    "TaskContent",
    "Destination",
    "Payload",
];

/// Capabilities that are seldom ordinary, with how far each alone moves the judgement and what it is.
const ALONE: [(Capability, &str, f64, &str); 9] = [
    (Capability::Credential, "credential tool verbs", VERY_STRONG, "reaches for credentials"),
    (Capability::Evasion, "works against its observers", STRONG, "works against what watches it"),
    (Capability::DirectoryRecon, "directory explored", STRONG, "explores the directory as offensive frameworks do"),
    (Capability::Elevation, "raises its rights", STRONG, "makes Windows raise its rights without asking"),
    (Capability::RemoteExecution, "runs something elsewhere", MODERATE, "runs something on another machine"),
    (Capability::EventTriggered, "started on an event", MODERATE, "has Windows start something on an event"),
    (Capability::Exposure, "opens the machine", MODERATE, "opens the machine to others"),
    (Capability::Exfiltration, "packs up or sends data", MODERATE, "packs up data or sends them away"),
    (Capability::AccountChange, "changes accounts", WEAK, "makes an account or gives it rights"),
];

/// Features of everything an event says.
pub fn features(event: &SeenEvent) -> Vec<Feature> {
    let texts = TEXTS.iter().filter_map(|field| Some((field, event.get(field)?)));
    let mut found: Vec<Feature> = texts.flat_map(|(field, text)| of_text(event, field, text)).collect();
    found.extend(proxy(event));
    found.extend(fetched_answer(event));
    found
}

/// What scripts say that were put together from several parts; the part that was asked about stands for them.
#[must_use]
pub fn scripts(seen: &Seen) -> Vec<Feature> {
    let asked = seen.answers.iter().filter(|answered| answered.call.tool == "script_block");
    let scripts = asked.filter_map(|answered| {
        let event = answered.call.arguments.get("event")?.as_str()?;
        let script: Script = serde_json::from_value(answered.outcome.as_ref().ok()?.data.clone()).ok()?;
        Some((seen.events.values().find(|shown| shown.view.event.as_str() == event)?, script.text))
    });
    scripts.flat_map(|(event, text)| of_text(event, "ScriptBlockText", &text)).collect()
}

/// What a command or script says once it is decoded; nothing where nothing was encoded.
#[must_use]
pub fn decoded(event: &SeenEvent) -> Option<String> {
    let text = ["CommandLine", "ScriptBlockText", "ImagePath", "ServiceFileName"].iter().find_map(|f| event.get(f))?;
    let reading = command::read(text);
    let innermost = reading.layers.last().filter(|_| reading.depth > 1 && reading.layers.len() > 1)?;
    Some(innermost.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// What the text of a process' start or script says; nothing for other events.
#[must_use]
pub fn reading(event: &SeenEvent) -> Option<Reading> {
    let text = event.get("CommandLine").or_else(|| event.get("ScriptBlockText"))?;
    Some(command::read(text))
}

fn of_text(event: &SeenEvent, field: &str, text: &str) -> Vec<Feature> {
    let reading = command::read(text);
    // One thing said is one fact: what has a finding of its own is not told again among the rest.
    let has_own = |capability: &Capability| {
        let alone = ALONE.iter().any(|(known, ..)| known == capability);
        alone
            || *capability == Capability::RecoveryInhibition
            || *capability == Capability::Native && reading.native_calls >= 3
    };
    let rest: Vec<&str> = reading.capabilities.iter().filter(|c| !has_own(c)).map(|c| c.name()).collect();
    let layered = if reading.depth > 1 { " once decoded" } else { "" };
    let mut found = Vec::new();
    let mut add = |name, value, says: String| found.extend(event.feature(name, Family::Content, value, &[field], says));
    for (capability, name, value, says) in ALONE {
        if reading.has(capability) {
            let acts = if capability == Capability::Evasion { observers::acts(&reading.layers) } else { vec![] };
            let says = if acts.is_empty() { says.to_owned() } else { acts.join(", ") };
            add(name, value, format!("the command {says}{layered}"));
        }
    }
    if reading.has(Capability::RecoveryInhibition) {
        // The oldest copy of one volume is what retention removes.
        let value = if fingerprints::is_retention_command(text) { WEAK } else { VERY_STRONG };
        add("recovery inhibition", value, format!("the command inhibits recovery{layered}"));
    }
    if reading.native_calls >= 3 {
        let says = format!("the script names {} memory and thread functions{layered}", reading.native_calls);
        add("injection calls", VERY_STRONG, says);
    }
    let runs = reading.has(Capability::ExecuteInMemory);
    if runs && reading.has(Capability::Download) {
        add("downloads and runs", STRONG, format!("the command downloads and runs code in memory{layered}"));
    } else if runs && reading.has(Capability::Decode) {
        add("decodes and runs", STRONG, format!("the command unwraps and runs hidden code{layered}"));
    } else if !rest.is_empty() {
        let value = if rest.len() > 1 { MODERATE } else { WEAK };
        add("capabilities", value, format!("the text {}{layered}", rest.join(", ")));
    }
    if reading.has(Capability::Download) && reading.layers.iter().any(|layer| names_bare_address(layer)) {
        add(
            "fetches from a bare address",
            MODERATE,
            format!("the command fetches from an address without a name{layered}"),
        );
    }
    if reading.depth > 2 {
        add("several layers", MODERATE, format!("{} layers of encoding", reading.depth - 1));
    }
    if reading.launched_hidden {
        let says =
            "PowerShell is launched with three or more of the switches that hide a script or let it run unattended";
        add("hidden launch", MODERATE, says.into());
    }
    found
}

/// `http://192.0.2.1/…`: nobody publishes software there.
fn names_bare_address(text: &str) -> bool {
    let text = text.to_lowercase();
    text.split("://").skip(1).any(|rest| {
        let host = rest.split(['/', ':', '\'', '"', ' ', ')']).next().unwrap_or_default();
        host.parse::<std::net::Ipv4Addr>().is_ok()
    })
}

/// A command of the machine's own account whose answer goes where another machine fetches it: how commands are run from
/// elsewhere by a task, a service or WMI.
fn fetched_answer(event: &SeenEvent) -> Option<Feature> {
    let command = event.get("CommandLine").filter(|_| event.is_start())?;
    let of_machine = event.account().is_some_and(|account| {
        let account = account.to_lowercase();
        account.ends_with('$') || account.ends_with("\\system")
    });
    let says = "a command of the machine's own account leaves its answer in a file for somebody to fetch";
    (of_machine && command::leaves_output_to_be_fetched(command))
        .then(|| event.feature("answer left to be fetched", Family::Content, STRONG, &["CommandLine"], says))?
}

/// A program of Windows that runs or fetches other people's code.
fn proxy(event: &SeenEvent) -> Option<Feature> {
    if !event.is_start() {
        return None;
    }
    let (image, command) = (event.image()?, event.get("CommandLine")?);
    let (abuse, says) = proxies::abuse(image, event.get("OriginalFileName"), command)?;
    let value = match abuse {
        Abuse::Unusual => WEAK,
        Abuse::Rare => STRONG,
        Abuse::Telling => VERY_STRONG,
    };
    event.feature("program of Windows abused", Family::Content, value, &["CommandLine"], says)
}
