//! Who and what an event names: the entities by which its alerts are grouped.
//!
//! What every machine or every program has in common is left out, because it ties nothing: the machine's own
//! accounts and sessions, Windows' own programs that everything is a child of, Windows' own files and tasks.

use std::collections::BTreeSet;

use crate::detection::normalise::is_null_guid;
use crate::domain::entity::{Entity, HostName};
use crate::domain::event::{Event, SYSMON};
use crate::knowledge::guid;
use crate::knowledge::paths::{self, PathClass, base_name, class};

/// Programs of Windows that start or serve everything on a machine: two events of one of them have no more in common
/// than the machine.
const SHARED_PROGRAMS: [&str; 9] = [
    "system",
    "smss.exe",
    "csrss.exe",
    "wininit.exe",
    "winlogon.exe",
    "services.exe",
    "lsass.exe",
    "svchost.exe",
    "wmiprvse.exe",
];

/// The entities of an event.
pub(super) fn entities(event: &Event) -> Vec<Entity> {
    let mut entities = BTreeSet::new();
    accounts(event, &mut entities);
    processes(event, &mut entities);
    sessions(event, &mut entities);
    peers(event, &mut entities);
    artefacts(event, &mut entities);
    entities.into_iter().collect()
}

fn accounts(event: &Event, entities: &mut BTreeSet<Entity>) {
    let mut names = vec![("User", "UserSid", "UserDomain"), ("SubjectUserName", "SubjectUserSid", "SubjectDomainName")];
    if !targets_a_group(event) {
        names.push(("TargetUserName", "TargetUserSid", "TargetDomainName"));
    }
    let of_a_person = |sid: &str| !event.data(sid).is_some_and(Entity::is_machine_sid) || is_failed_logon(event, sid);
    for (name, _, domain) in names.iter().filter(|(_, sid, _)| of_a_person(sid)) {
        let Some(text) = event.data(name) else { continue };
        // Kerberos writes `name@REALM`.
        let text = text.split('@').next().unwrap_or(text);
        let domain = text.split_once('\\').map_or(event.data(domain), |(domain, _)| Some(domain));
        let is_local = domain.is_some_and(|domain| HostName::new(domain).key() == event.host.key());
        let account = if is_local { Entity::local_account(&event.host, text) } else { Entity::account(text) };
        entities.extend(account);
    }
}

/// A failed logon has no SID for the account that was tried: `S-1-0-0` says nothing about its name there.
fn is_failed_logon(event: &Event, sid: &str) -> bool {
    event.channel == "Security" && event.code == 4625 && sid == "TargetUserSid"
}

fn processes(event: &Event, entities: &mut BTreeSet<Entity>) {
    if event.channel != SYSMON {
        return;
    }
    let mut of = vec![
        ("ProcessGuid", "Image"),
        ("ParentProcessGuid", "ParentImage"),
        ("SourceProcessGUID", "SourceImage"),
        ("SourceProcessGuid", "SourceImage"),
    ];
    // Who is given a thread acts for the one who gave it.
    if event.code == 8 {
        of.extend([("TargetProcessGUID", "TargetImage"), ("TargetProcessGuid", "TargetImage")]);
    }
    for (guid, image) in of {
        let Some(id) = event.data(guid).filter(|id| !is_null_guid(id)) else { continue };
        if !event.data(image).is_some_and(is_shared_program) {
            entities.insert(Entity::Process(guid::folded(id)));
        }
    }
}

/// Windows' own, in its own place: a program that only calls itself so is told apart by its path.
fn is_shared_program(image: &str) -> bool {
    let name = base_name(image);
    SHARED_PROGRAMS.contains(&name.as_str()) && (name == "system" || class(image) == PathClass::System)
}

fn sessions(event: &Event, entities: &mut BTreeSet<Entity>) {
    let sessions = ["LogonId", "SubjectLogonId", "TargetLogonId"];
    let sessions = sessions.iter().filter_map(|name| event.data(name)).map(str::to_lowercase);
    entities.extend(
        sessions.filter(|id| !is_machine_session(id)).map(|id| Entity::LogonSession(event.host.key().to_owned(), id)),
    );
}

fn peers(event: &Event, entities: &mut BTreeSet<Entity>) {
    let own = event.host.key();
    let peer = |name: &str| event.data(name).and_then(Entity::peer).filter(|peer| peer != own);
    let sources: &[&str] = match (event.channel.as_str(), event.code) {
        (SYSMON, 3) => {
            let outgoing = event.data("Initiated").is_some_and(|value| value.eq_ignore_ascii_case("true"));
            let (near, far) = if outgoing { ("Source", "Destination") } else { ("Destination", "Source") };
            entities.extend(peer(&format!("{near}Ip")).map(Entity::OwnAddress));
            let far = [format!("{far}Ip"), format!("{far}Hostname")];
            let entity = if outgoing { Entity::Destination } else { Entity::Source };
            entities.extend(far.iter().filter_map(|name| peer(name)).map(entity));
            return;
        }
        // Explicit credentials: where they were used.
        ("Security", 4648) => {
            entities.extend(peer("TargetServerName").map(Entity::Destination));
            return;
        }
        ("Security", 4624 | 4625) => &["IpAddress", "WorkstationName"],
        ("Security", 4768..=4773 | 5140 | 5145) => &["IpAddress"],
        ("Security", 4776) => &["Workstation"],
        ("Security", 4778 | 4779) => &["ClientAddress", "ClientName"],
        ("Microsoft-Windows-TerminalServices-LocalSessionManager/Operational", _) => &["Address"],
        ("Microsoft-Windows-TerminalServices-RemoteConnectionManager/Operational", 1149) => &["Param3"],
        _ => return,
    };
    entities.extend(sources.iter().filter_map(|name| peer(name)).map(Entity::Source));
}

/// Files, services and tasks that are not Windows' own.
fn artefacts(event: &Event, entities: &mut BTreeSet<Entity>) {
    // The file that the hash belongs to, by Sysmon's kind of event.
    let hashed = match (event.channel.as_str(), event.code) {
        (SYSMON, 1) => Some("Image"),
        (SYSMON, 6 | 7) => Some("ImageLoaded"),
        (SYSMON, 15 | 23 | 26 | 29) => Some("TargetFilename"),
        _ => None,
    };
    if let Some(file) = hashed.and_then(|name| event.data(name)).filter(|file| !is_installed(file)) {
        let hash = event.data("Hashes").or_else(|| event.data("Hash")).and_then(strongest_hash);
        entities.extend(hash.filter(|_| !paths::base_name(file).is_empty()).map(Entity::File));
    }
    let service = match (event.channel.as_str(), event.code) {
        ("System", 7045) | ("Security", 4697) => event.data("ServiceName").map(str::to_lowercase),
        (SYSMON, 12..=14) => event.data("TargetObject").and_then(service_of_key),
        _ => None,
    };
    entities.extend(service.map(Entity::Service));
    let task = match (event.channel.as_str(), event.code) {
        ("Security", 4698..=4702) | ("Microsoft-Windows-TaskScheduler/Operational", _) => event.data("TaskName"),
        _ => None,
    };
    let task = task.map(|name| name.to_lowercase().trim_start_matches('\\').to_owned());
    // Windows' own tasks run on every machine.
    entities.extend(task.filter(|name| !name.is_empty() && !name.starts_with("microsoft\\")).map(Entity::Task));
}

/// Put there by Windows or by an installer, and not to be replaced by just anybody: the same on many machines.
fn is_installed(path: &str) -> bool {
    matches!(class(path), PathClass::System | PathClass::ProgramFiles | PathClass::Windows)
}

/// The SHA-256 among `SHA1=…,MD5=…,SHA256=…`, else the SHA-1; others collide.
fn strongest_hash(hashes: &str) -> Option<String> {
    let of = |kind: &str| {
        let mut parts = hashes.split(',').filter_map(|part| part.trim().split_once('='));
        parts.find(|(name, _)| name.eq_ignore_ascii_case(kind)).map(|(_, hash)| hash.to_lowercase())
    };
    of("SHA256").or_else(|| of("SHA1")).filter(|hash| hash.chars().any(|c| c != '0'))
}

/// `name` of `HKLM\System\CurrentControlSet\Services\name\ImagePath`: the values that say what a service runs.
fn service_of_key(key: &str) -> Option<String> {
    let folded = key.to_lowercase();
    let (_, rest) = folded.split_once("\\services\\")?;
    let (name, value) = rest.split_once('\\')?;
    matches!(value, "imagepath" | "parameters\\servicedll").then(|| name.to_owned())
}

/// Events on groups name the group where others name an account; sharing a group connects nobody.
fn targets_a_group(event: &Event) -> bool {
    event.channel == "Security" && matches!(event.code, 4727..=4737 | 4754..=4758 | 4764 | 4799)
}

/// The sessions of SYSTEM, NETWORK SERVICE and LOCAL SERVICE are on every machine; `0x0` is none.
fn is_machine_session(id: &str) -> bool {
    matches!(id, "0x0" | "0x3e7" | "0x3e4" | "0x3e5")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::event::Origin;
    use crate::domain::ids::EventId;

    fn named(channel: &str, code: u32, data: Value) -> Vec<Entity> {
        let Value::Object(document) = json!({"winlog": {"event_data": data}}) else { unreachable!("an object") };
        entities(&Event {
            id: EventId::new("e"),
            time: jiff::Timestamp::UNIX_EPOCH,
            host: HostName::new("SRV-01.corp.example"),
            channel: channel.into(),
            code,
            record_id: None,
            origin: Origin { file: "f".into(), line: 1 },
            document,
        })
    }

    #[test]
    fn a_logon_names_the_machine_it_came_from_and_never_its_own() {
        let logon = json!({"IpAddress": "::ffff:192.0.2.5", "WorkstationName": "WKS-05", "TargetUserName": "a.user"});
        assert_eq!(
            named("Security", 4624, logon),
            [Entity::Account("a.user".into()), Entity::Source("192.0.2.5".into()), Entity::Source("wks-05".into())]
        );
        assert_eq!(named("Security", 4624, json!({"IpAddress": "127.0.0.1", "WorkstationName": "SRV-01"})), []);
    }

    #[test]
    fn an_account_of_one_machine_is_not_its_namesake_on_another() {
        let here = [Entity::Account("srv-01\\admin".into())];
        let logon = json!({"TargetUserName": "Admin", "TargetDomainName": "SRV-01"});
        assert_eq!(named("Security", 4624, logon), here);
        assert_eq!(named("Microsoft-Windows-Sysmon/Operational", 1, json!({"User": "SRV-01\\Admin"})), here);
        let of_the_domain = json!({"TargetUserName": "Admin", "TargetDomainName": "CORP"});
        assert_eq!(named("Security", 4624, of_the_domain), [Entity::Account("admin".into())]);
        assert_eq!(named("Security", 4624, json!({"TargetUserName": "SRV-01$", "TargetDomainName": "SRV-01"})), []);
    }

    #[test]
    fn a_connection_names_the_far_end_and_the_own_address() {
        let ends = json!({"Initiated": "true", "SourceIp": "192.0.2.1", "DestinationIp": "192.0.2.2"});
        assert_eq!(
            named(SYSMON, 3, ends),
            [Entity::Destination("192.0.2.2".into()), Entity::OwnAddress("192.0.2.1".into())]
        );
        let ends = json!({"Initiated": "false", "SourceIp": "192.0.2.2", "DestinationIp": "192.0.2.1"});
        assert_eq!(
            named(SYSMON, 3, ends),
            [Entity::Source("192.0.2.2".into()), Entity::OwnAddress("192.0.2.1".into())]
        );
    }

    #[test]
    fn what_all_machines_have_in_common_is_no_entity() {
        let shared = json!({
            "ProcessGuid": "{1}", "Image": "C:\\Windows\\System32\\cmd.exe", "Hashes": "SHA256=AB",
            "ParentProcessGuid": "{2}", "ParentImage": "C:\\Windows\\System32\\services.exe",
            "User": "Système", "UserSid": "S-1-5-18",
        });
        assert_eq!(named(SYSMON, 1, shared), [Entity::Process("{1}".into())]);
        let pretender = json!({"ParentProcessGuid": "{2}", "ParentImage": "C:\\Users\\a\\services.exe"});
        assert_eq!(named(SYSMON, 1, pretender), [Entity::Process("{2}".into())]);
        assert_eq!(named("Security", 4698, json!({"TaskName": "\\Microsoft\\Windows\\Defrag\\ScheduledDefrag"})), []);
    }

    #[test]
    fn files_services_and_tasks_are_named() {
        let file = json!({"Image": "C:\\Users\\a\\tool.exe", "Hashes": "SHA1=CD,SHA256=AB"});
        assert_eq!(named(SYSMON, 1, file), [Entity::File("ab".into())]);
        assert_eq!(named("System", 7045, json!({"ServiceName": "Thing"})), [Entity::Service("thing".into())]);
        let key = json!({"TargetObject": "HKLM\\System\\CurrentControlSet\\Services\\Thing\\ImagePath"});
        assert_eq!(named(SYSMON, 13, key), [Entity::Service("thing".into())]);
        assert_eq!(named("Security", 4698, json!({"TaskName": "\\Thing"})), [Entity::Task("thing".into())]);
    }

    #[test]
    fn the_account_of_a_failed_logon_counts_without_a_sid() {
        let tried = json!({"TargetUserName": "a.user", "TargetUserSid": "S-1-0-0", "SubjectUserSid": "S-1-0-0", "SubjectUserName": "-"});
        assert_eq!(named("Security", 4625, tried), [Entity::Account("a.user".into())]);
    }
}
