//! Effects on credentials: LSASS, account databases, browsers, directory replication, service tickets.

use super::super::feature::{DECISIVE, Feature, MODERATE, STRONG, VERY_STRONG, WEAK};
use super::super::seen::{Seen, SeenEvent};
use crate::domain::evidence::Family;
use crate::knowledge::credential_stores::{self, Store};
use crate::knowledge::paths::{self, PathClass};
use crate::knowledge::{access_mask, programs};

/// The control-access rights of directory replication (Microsoft, `DS-Replication-Get-Changes` and relatives).
const REPLICATION: [&str; 3] = [
    "1131f6aa-9c07-11d1-f79f-00c04fc2dcd2",
    "1131f6ad-9c07-11d1-f79f-00c04fc2dcd2",
    "89e95b76-444d-4c62-991a-0facbeda640c",
];

/// The feature of a request to replicate the directory.
const DIRECTORY_REPLICATION: &str = "directory replication by an account";

/// Programs of Windows that look at every process when a person or a management query makes them.
const LOOKS_AT_ALL: [&str; 5] = ["taskmgr.exe", "wmiprvse.exe", "perfmon.exe", "resmon.exe", "mrt.exe"];

/// Features of one event.
pub fn features(event: &SeenEvent, seen: &Seen) -> Vec<Feature> {
    match (event.view.channel.as_str(), event.view.code) {
        (_, 9) if event.view.is_sysmon(9) => raw_read(event).into_iter().collect(),
        (_, 10) if event.view.is_sysmon(10) => lsass_read(event, seen),
        (_, 11) if event.view.is_sysmon(11) => store_copied(event).into_iter().collect(),
        ("Security", 4656 | 4663) => store_opened(event).into_iter().collect(),
        (_, 4103) => secret_printed(event).into_iter().collect(),
        ("Security", 4662) => replication(event),
        ("Security", 4769) => weak_ticket(event).into_iter().collect(),
        ("Security", 4768) => without_preauthentication(event).into_iter().collect(),
        _ => vec![],
    }
}

/// The mask alone never decides: who reads, through what code, and whether it reads all alike do.
fn lsass_read(event: &SeenEvent, seen: &Seen) -> Vec<Feature> {
    let (Some(source), Some(target), Some(mask)) =
        (event.get("SourceImage"), event.get("TargetImage"), event.get("GrantedAccess"))
    else {
        return vec![];
    };
    if paths::base_name(target) != "lsass.exe"
        || !access_mask::reads_memory(mask)
        || programs::reads_lsass_by_trade(source)
    {
        return vec![];
    }
    let name = paths::base_name(source);
    let trace = event.get("CallTrace").unwrap_or_default().to_lowercase();
    let library = ["dbgcore.dll", "dbghelp.dll"].into_iter().find(|library| trace.contains(library));
    // What .NET compiles while it runs belongs to no module: in a host of PowerShell that is nothing hidden.
    let unbacked = trace.contains("unknown(") && !programs::hosts_powershell(source);
    let class = paths::class(source);
    let looks_at_all =
        seen.opens_everything(&event.process()) || LOOKS_AT_ALL.contains(&name.as_str()) && class == PathClass::System;
    // PowerShell's Get-Process asks every process like this, out of code that .NET made and no module holds.
    let asks_as_powershell = programs::hosts_powershell(source) && !access_mask::may_change(mask);
    let looks_at_all = looks_at_all || asks_as_powershell;
    // Security products and agents read it in the course of their work; what they are is not recorded here.
    let installed = class == PathClass::ProgramFiles;
    let value = match (looks_at_all || installed, library.is_some() || unbacked) {
        (true, _) => WEAK,
        (false, _) => STRONG,
    };
    let fields = ["SourceImage", "TargetImage", "GrantedAccess"];
    let says = format!("{name} opened lsass.exe with {mask}, which reads memory");
    let mut found: Vec<Feature> =
        event.feature("lsass memory read", Family::Effect, value, &fields, says).into_iter().collect();
    let through = match (library, unbacked) {
        (Some(library), _) => Some(format!("{name} read lsass.exe through {library}, which writes dumps")),
        (None, true) => Some(format!("{name} read lsass.exe out of code that belongs to no module")),
        (None, false) => None,
    };
    if let Some(says) = through.filter(|_| !looks_at_all) {
        let fields = ["SourceImage", "TargetImage", "GrantedAccess", "CallTrace"];
        let feature = event.feature("lsass read by a dump or hidden code", Family::Effect, STRONG, &fields, says);
        found.extend(feature.map(Feature::active));
    }
    found
}

fn store_copied(event: &SeenEvent) -> Option<Feature> {
    let (image, file) = (event.image()?, event.get("TargetFilename")?);
    let (name, writer) = (paths::base_name(file), paths::base_name(image));
    let fields = ["TargetFilename", "Image"];
    if let Some(store) = credential_stores::copy_written(file) {
        // Error reporting writes dumps of whatever crashes.
        let by_error_report = writer == "werfault.exe" && paths::class(image) == PathClass::System;
        let value = if by_error_report { WEAK } else { VERY_STRONG };
        let says = format!("{writer} wrote {name}, by its name a copy of {}", store.name());
        let feature = event.feature("credential store copied", Family::Effect, value, &fields, says)?;
        return Some(if by_error_report { feature } else { feature.active() });
    }
    if name.ends_with(".dmp") && (programs::is_proxy(image) || programs::is_shell(image)) {
        let says = format!("{writer} wrote the dump {name}");
        return event.feature("memory dump written", Family::Effect, STRONG, &fields, says).map(Feature::active);
    }
    None
}

/// An audited store was opened by a program that it does not belong to.
fn store_opened(event: &SeenEvent) -> Option<Feature> {
    let (image, object) = (event.get("ProcessName")?, event.get("ObjectName")?);
    let store = credential_stores::of(object)?;
    let name = paths::base_name(image);
    let owner = match store {
        Store::Browser => programs::is_browser(image),
        // Backup products and the system itself read hives and databases.
        Store::LocalAccounts | Store::Domain | Store::Memory | Store::MasterKeys => {
            matches!(paths::class(image), PathClass::System | PathClass::ProgramFiles) && !programs::is_shell(image)
        }
    };
    let says = format!("{name} opened {}", store.name());
    let value = if paths::class(image).is_user_writable() || programs::is_shell(image) { STRONG } else { MODERATE };
    (!owner).then(|| {
        event.feature("credential store opened", Family::Effect, value, &["ObjectName", "ProcessName"], says)
    })?
}

fn raw_read(event: &SeenEvent) -> Option<Feature> {
    let image = event.image()?;
    let foreign = programs::is_shell(image) || programs::is_proxy(image) || paths::class(image).is_user_writable();
    let says = format!("{} read the disk past the file system", paths::base_name(image));
    foreign.then(|| event.feature("raw read of the disk", Family::Effect, STRONG, &["Image", "Device"], says))?
}

/// The act and who did it are two findings: the right is a domain controller's, and the account is none.
fn replication(event: &SeenEvent) -> Vec<Feature> {
    let (Some(account), Some(properties)) = (event.get("SubjectUserName"), event.get("Properties")) else {
        return vec![];
    };
    let properties = properties.to_lowercase();
    let asks = REPLICATION.iter().any(|right| properties.contains(right));
    // Entra Connect's own accounts replicate by design; a person still confirms them.
    let synchronises = account.to_lowercase().starts_with("msol_") || account.to_lowercase().contains("adsync");
    if !asks || account.ends_with('$') {
        return vec![];
    }
    let value = if synchronises { MODERATE } else { DECISIVE };
    let act = event.feature(
        DIRECTORY_REPLICATION,
        Family::Effect,
        value,
        &["SubjectUserName", "Properties"],
        format!(
            "{account} asked for directory replication, which is for domain controllers and directory synchronisation"
        ),
    );
    let who = event.feature(
        "a right that is a domain controller's",
        Family::Authority,
        MODERATE,
        &["SubjectUserName", "SubjectUserSid"],
        format!("{account} is no domain controller's account"),
    );
    act.map(Feature::at_victim).into_iter().chain(who.filter(|_| !synchronises)).collect()
}

/// What a PowerShell command gave out holds the hash of a password: it was obtained, not only asked for.
fn secret_printed(event: &SeenEvent) -> Option<Feature> {
    let payload = event.get("Payload")?;
    let folded = payload.to_ascii_lowercase();
    let hash = folded.match_indices("ntlm").find_map(|(at, word)| {
        let rest =
            folded[at + word.len()..].trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '=' | '-'));
        let digits = rest.chars().take_while(char::is_ascii_hexdigit).count();
        (digits == 32).then_some(at)
    })?;
    let mut feature = event.feature(
        "a secret's hash printed",
        Family::Effect,
        VERY_STRONG,
        &["Payload"],
        "a command printed the hash of an account's password: the secret was obtained",
    )?;
    // What decides is quoted: the line that holds the hash.
    let line = payload[..hash].rfind('\n').map_or(0, |end| end + 1);
    if let Some(quote) = feature.quotes.first_mut() {
        quote.value =
            payload[line.max(char_at_or_after(payload, hash.saturating_sub(80)))..].chars().take(160).collect();
    }
    Some(feature.active())
}

/// The nearest place at or after this one at which a character begins.
fn char_at_or_after(text: &str, at: usize) -> usize {
    (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

/// RC4 for an account with a name of its own: one is old software, several are a harvest (see [`super::across`]).
fn weak_ticket(event: &SeenEvent) -> Option<Feature> {
    let (service, encryption) = (event.get("ServiceName")?, event.get("TicketEncryptionType")?);
    let is_weak = matches!(encryption.to_lowercase().as_str(), "0x17" | "0x18");
    let of_person = !service.ends_with('$') && !service.eq_ignore_ascii_case("krbtgt");
    let says = format!("a service ticket for {service} was issued with RC4");
    (is_weak && of_person).then(|| {
        event.feature("RC4 service ticket", Family::Effect, WEAK, &["ServiceName", "TicketEncryptionType"], says)
    })?
}

fn without_preauthentication(event: &SeenEvent) -> Option<Feature> {
    let (kind, account) = (event.get("PreAuthType")?, event.get("TargetUserName")?);
    let says = format!("a ticket for {account} was issued without proof of its password");
    (kind == "0" && !account.ends_with('$')).then(|| {
        event.feature(
            "ticket without pre-authentication",
            Family::Effect,
            MODERATE,
            &["TargetUserName", "PreAuthType"],
            says,
        )
    })?
}
