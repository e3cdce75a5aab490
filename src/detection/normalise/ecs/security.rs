//! The Security log.

use super::sysmon::registry_path;
use super::{Copies, logs};
use crate::detection::normalise::ingested::is_logon;

pub(super) fn copy(code: u32, copies: &mut Copies<'_>) {
    match code {
        4688 => creation(copies),
        5156 | 5157 => filtered_connection(copies),
        _ => {
            copies.program("ProcessName", "process.executable", "process.name");
            copies.number("ProcessId", "process.pid");
        }
    }
    let [name, domain, sid] = if is_logon(code) {
        ["TargetUserName", "TargetDomainName", "TargetUserSid"]
    } else {
        ["SubjectUserName", "SubjectDomainName", "SubjectUserSid"]
    };
    copies.text(name, "user.name");
    copies.text(domain, "user.domain");
    copies.text(sid, "user.id");
    for name in ["SubjectUserName", "TargetUserName"] {
        if let Some(user) = copies.said(name) {
            copies.relate("user", user);
        }
    }
    copies.address("IpAddress", "source.ip");
    copies.number("IpPort", "source.port");
    match code {
        4624 | 4625 => copies.text("WorkstationName", "source.domain"),
        4648 => copies.text("TargetServerName", "destination.domain"),
        4776 => copies.text("Workstation", "source.domain"),
        4769 | 4770 => copies.text("ServiceName", "service.name"),
        4656 | 4658 | 4660 | 4663 => object(copies),
        4697 => {
            copies.text("ServiceName", "service.name");
            copies.text("ServiceType", "service.type");
            logs::service_program("ServiceFileName", copies);
        }
        4720..=4726 | 4738 | 4740 | 4767 | 4781 => {
            copies.text("TargetUserName", "user.target.name");
            copies.text("TargetDomainName", "user.target.domain");
            copies.text("TargetSid", "user.target.id");
        }
        4727..=4735 | 4737 | 4754..=4758 => {
            copies.text("TargetUserName", "group.name");
            copies.text("TargetDomainName", "group.domain");
            copies.text("TargetSid", "group.id");
            copies.text("MemberName", "user.target.name");
            copies.text("MemberSid", "user.target.id");
        }
        5145 => copies.file("RelativeTargetName"),
        _ => {}
    }
}

fn creation(copies: &mut Copies<'_>) {
    copies.program("NewProcessName", "process.executable", "process.name");
    if let Some(text) = copies.said("CommandLine") {
        copies.command_line(text);
    }
    copies.number("NewProcessId", "process.pid");
    copies.number("ProcessId", "process.parent.pid");
    copies.program("ParentProcessName", "process.parent.executable", "process.parent.name");
}

/// The object of an access is a file, a key or something else; its type says which.
fn object(copies: &mut Copies<'_>) {
    match (copies.said("ObjectType"), copies.said("ObjectName")) {
        (Some("File"), Some(path)) => copies.file_at(path),
        (Some("Key"), Some(path)) => registry_path(path, copies),
        _ => {}
    }
}

/// A connection that the Windows Filtering Platform saw: source and destination are the packet's.
fn filtered_connection(copies: &mut Copies<'_>) {
    copies.program("Application", "process.executable", "process.name");
    copies.number("ProcessID", "process.pid");
    copies.number("ProcessId", "process.pid");
    copies.address("SourceAddress", "source.ip");
    copies.number("SourcePort", "source.port");
    copies.address("DestAddress", "destination.ip");
    copies.number("DestPort", "destination.port");
    // Numbers of IANA's protocol registry.
    match copies.said("Protocol") {
        Some("6") => copies.put("network.transport", "tcp".into()),
        Some("17") => copies.put("network.transport", "udp".into()),
        Some("1") => copies.put("network.transport", "icmp".into()),
        Some("58") => copies.put("network.transport", "ipv6-icmp".into()),
        _ => {}
    }
    // Windows' message ids for "inbound" and "outbound".
    match copies.said("Direction") {
        Some("%%14592") => copies.put("network.direction", "ingress".into()),
        Some("%%14593") => copies.put("network.direction", "egress".into()),
        _ => {}
    }
}
