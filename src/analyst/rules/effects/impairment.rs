//! Effects on guards: logs, sensors, Defender, the firewall, remote desktop, kept passwords.

use super::super::feature::{Feature, MODERATE, STRONG, VERY_STRONG, WEAK};
use super::super::seen::SeenEvent;
use crate::domain::evidence::Family;
use crate::knowledge::registry::{self, Meaning};
use crate::knowledge::{paths, programs};

/// Features of one event.
pub fn features(event: &SeenEvent) -> Vec<Feature> {
    let defender = event.view.channel.contains("Windows Defender");
    let found = match (event.view.channel.as_str(), event.view.code) {
        (_, 12..=14) if event.view.is_sysmon(event.view.code) => registry_set(event),
        ("Security", 1102) => by_account(event, "security log cleared", STRONG, "the Security log was cleared"),
        ("System", 104) => by_account(event, "log cleared", MODERATE, "a log was cleared"),
        ("Security", 4719) => {
            by_account(event, "audit policy changed", WEAK, "what the Security log records was changed")
        }
        ("System", 7040) => service_switched(event),
        (_, 5001 | 5010 | 5012) if defender => {
            any_field(event, "Defender switched off", STRONG, "Defender's protection was switched off")
        }
        (_, 5007) if defender => exclusion(event),
        _ => None,
    };
    found.into_iter().collect()
}

fn by_account(event: &SeenEvent, name: &'static str, value: f64, says: &str) -> Option<Feature> {
    event.feature(name, Family::Effect, value, &["SubjectUserName"], says)
}

fn any_field(event: &SeenEvent, name: &'static str, value: f64, says: &str) -> Option<Feature> {
    let field = event.view.fields.keys().next()?.clone();
    event.feature(name, Family::Effect, value, &[&field], says)
}

/// The service control manager tells how a service's start was changed.
fn service_switched(event: &SeenEvent) -> Option<Feature> {
    let (service, after) = (event.get("param4")?, event.get("param3")?);
    let guards = ["EventLog", "WinDefend", "Sense", "MpsSvc", "Sysmon", "Sysmon64", "wscsvc", "SecurityHealthService"];
    let off = after.to_lowercase().contains("disabled");
    let guard = guards.iter().any(|guard| guard.eq_ignore_ascii_case(service));
    (off && guard).then(|| {
        event.feature(
            "guard switched off",
            Family::Effect,
            VERY_STRONG,
            &["param4", "param3"],
            format!("{service} was disabled"),
        )
    })?
}

fn exclusion(event: &SeenEvent) -> Option<Feature> {
    let value = event.get("New Value")?;
    let folded = value.to_lowercase();
    let broad = paths::mentions_writable(&folded) || folded.contains("\\extensions\\") || folded.contains(":\\ = ");
    let weight = if broad { STRONG } else { WEAK };
    folded.contains("\\exclusions\\").then(|| {
        event.feature(
            "Defender told to look away",
            Family::Effect,
            weight,
            &["New Value"],
            "an exclusion was added to Defender",
        )
    })?
}

fn registry_set(event: &SeenEvent) -> Option<Feature> {
    let (path, details) = (event.get("TargetObject")?, event.get("Details").unwrap_or_default());
    let image = event.image()?;
    let writer = paths::base_name(image);
    // Settings and policies are set by services and consoles; a shell or `reg.exe` is a hand.
    let by_hand = programs::is_shell(image)
        || programs::is_proxy(image)
        || matches!(writer.as_str(), "reg.exe" | "netsh.exe")
        || paths::class(image).is_user_writable();
    let (name, value, says) = match registry::meaning(path, details)? {
        Meaning::RemoteDesktop => {
            ("remote desktop allowed", if by_hand { MODERATE } else { WEAK }, "allowed remote desktop")
        }
        Meaning::FirewallOff => {
            ("firewall switched off", if by_hand { MODERATE } else { WEAK }, "switched the firewall off")
        }
        Meaning::PlainTextPasswords => {
            ("plain-text passwords kept", VERY_STRONG, "made Windows keep passwords in plain text")
        }
        Meaning::DefenderWeakened => {
            let broad = paths::mentions_writable(path) || path.to_lowercase().contains("\\disable");
            ("Defender weakened", if by_hand || broad { STRONG } else { WEAK }, "weakened Defender")
        }
        // Nobody but an intruder runs Windows without its event log.
        Meaning::LogOff => {
            let whole = path.to_lowercase().ends_with("\\services\\eventlog\\start");
            ("event log switched off", if whole { VERY_STRONG } else { MODERATE }, "switched an event log off")
        }
        Meaning::Autostart
        | Meaning::Service
        | Meaning::Debugger
        | Meaning::LogonProgram
        | Meaning::ElevationHijack
        | Meaning::Recorded
        | Meaning::AccountHidden
        | Meaning::LogonPackage => return None,
    };
    event.feature(name, Family::Effect, value, &["TargetObject", "Details"], format!("{writer} {says}"))
}
