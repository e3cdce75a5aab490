//! Event data that an ingest pipeline moved into ECS fields, back under the names that Windows gives it.
//!
//! Elastic's pipelines for Sysmon, PowerShell and the Security log rename most fields and remove the originals; rules
//! are written for the originals. Only what is missing is restored, and only from the field it was moved to. What a
//! pipeline threw away cannot come back: the order of hashes, the case of digests, values of `-`.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{text, time};
use crate::domain::event::SYSMON;

/// Restores the event data of a record of this log and code.
pub(super) fn restore(channel: &str, code: u32, record: &Map<String, Value>, data: &mut Map<String, Value>) {
    let mut restored = Restored { record, data };
    match channel {
        SYSMON => sysmon(code, &mut restored),
        "Security" => security(code, &mut restored),
        "Microsoft-Windows-PowerShell/Operational" | "PowerShellCore/Operational" => powershell(code, &mut restored),
        _ => {}
    }
}

/// The record to restore from and the data to restore to.
struct Restored<'a> {
    record: &'a Map<String, Value>,
    data: &'a mut Map<String, Value>,
}

impl<'a> Restored<'a> {
    fn at(&self, path: &str) -> Option<&'a Value> {
        let mut parts = path.split('.');
        let first = self.record.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.as_object()?.get(part))
    }

    fn said(&self, path: &str) -> Option<String> {
        self.at(path).and_then(text::of).filter(|text| !text.is_empty())
    }

    /// Puts a text under a name that is missing.
    fn put(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value
            && !self.data.contains_key(name)
        {
            // Not as it stands: pipelines take GUIDs out of their braces.
            text::put(self.data, name, &Value::String(value));
        }
    }

    fn copy(&mut self, fields: &[(&str, &str)]) {
        for (name, path) in fields {
            if !self.data.contains_key(*name) {
                let text = self.said(path);
                self.put(name, text);
            }
        }
    }

    /// `DOMAIN\name`, as event data has it.
    fn account(&self) -> Option<String> {
        let name = self.said("user.name")?;
        Some(self.said("user.domain").map_or_else(|| name.clone(), |domain| format!("{domain}\\{name}")))
    }

    /// `SHA1=…,MD5=…,SHA256=…,IMPHASH=…` with what there is of it.
    fn hashes(&self, branch: &str) -> Option<String> {
        let parts = [("SHA1", "hash.sha1"), ("MD5", "hash.md5"), ("SHA256", "hash.sha256"), ("IMPHASH", "pe.imphash")];
        let said = parts.iter().filter_map(|(kind, path)| {
            Some(format!("{kind}={}", self.said(&format!("{branch}.{path}"))?.to_ascii_uppercase()))
        });
        Some(said.collect::<Vec<_>>().join(",")).filter(|text| !text.is_empty())
    }
}

const ACTOR: [(&str, &str); 3] =
    [("ProcessGuid", "process.entity_id"), ("ProcessId", "process.pid"), ("Image", "process.executable")];

fn sysmon(code: u32, restored: &mut Restored<'_>) {
    // The pipeline moves Sysmon's own time into the record's. Without its marks the record's time may be any clock's.
    let was_ingested =
        restored.said("event.module").as_deref() == Some("sysmon") || restored.at("process.entity_id").is_some();
    if was_ingested {
        let moment = restored.at("@timestamp").and_then(time::parse);
        restored.put("UtcTime", moment.map(|moment| moment.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()));
    }
    restored.copy(&[("RuleName", "rule.name")]);
    let account = restored.account();
    restored.put("User", account);
    match code {
        8 => restored.copy(&[
            ("SourceProcessGuid", "process.entity_id"),
            ("SourceProcessId", "process.pid"),
            ("SourceImage", "process.executable"),
            ("TargetProcessGuid", "winlog.event_data.TargetProcessGUID"),
        ]),
        10 => restored.copy(&[
            ("SourceProcessGUID", "process.entity_id"),
            ("SourceProcessId", "process.pid"),
            ("SourceImage", "process.executable"),
            ("SourceThreadId", "process.thread.id"),
        ]),
        20 => restored.copy(&[("Destination", "process.executable")]),
        _ => restored.copy(&ACTOR),
    }
    match code {
        1 => restored.copy(&[
            ("CommandLine", "process.command_line"),
            ("CurrentDirectory", "process.working_directory"),
            ("OriginalFileName", "process.pe.original_file_name"),
            ("FileVersion", "process.pe.file_version"),
            ("Description", "process.pe.description"),
            ("Product", "process.pe.product"),
            ("Company", "process.pe.company"),
            ("ParentProcessGuid", "process.parent.entity_id"),
            ("ParentProcessId", "process.parent.pid"),
            ("ParentImage", "process.parent.executable"),
            ("ParentCommandLine", "process.parent.command_line"),
        ]),
        3 => connection(restored),
        6 | 7 => restored.copy(&[
            ("ImageLoaded", "file.path"),
            ("OriginalFileName", "file.pe.original_file_name"),
            ("Signed", "file.code_signature.signed"),
            ("Signature", "file.code_signature.subject_name"),
            ("SignatureStatus", "file.code_signature.status"),
        ]),
        9 => restored.copy(&[("Device", "file.path")]),
        2 | 11 | 15 | 23 | 26..=29 => restored.copy(&[
            ("TargetFilename", "file.path"),
            ("Archived", "sysmon.file.archived"),
            ("IsExecutable", "sysmon.file.is_executable"),
        ]),
        12..=14 => registry(restored),
        17 | 18 => restored.copy(&[("PipeName", "file.name")]),
        22 => dns(restored),
        25 => restored.copy(&[("Type", "message")]),
        255 => restored.copy(&[("ID", "error.code")]),
        _ => {}
    }
    let hashes = match code {
        1 | 24 | 25 => restored.hashes("process"),
        6 | 7 => restored.hashes("file"),
        15 | 23 | 26..=29 => restored.hashes("file").or_else(|| restored.hashes("process")),
        _ => None,
    };
    restored.put(if code == 15 { "Hash" } else { "Hashes" }, hashes);
}

fn connection(restored: &mut Restored<'_>) {
    restored.copy(&[
        ("Protocol", "network.transport"),
        ("SourceIp", "source.ip"),
        ("SourceHostname", "source.domain"),
        ("SourcePort", "source.port"),
        ("DestinationIp", "destination.ip"),
        ("DestinationHostname", "destination.domain"),
        ("DestinationPort", "destination.port"),
        ("DestinationPortName", "network.protocol"),
    ]);
    let initiated = restored.said("network.direction").and_then(|direction| match direction.as_str() {
        "egress" | "outbound" => Some("true".to_owned()),
        "ingress" | "inbound" => Some("false".to_owned()),
        _ => None,
    });
    restored.put("Initiated", initiated);
    let is_ipv6 = restored.said("network.type").map(|kind| (kind == "ipv6").to_string());
    restored.put("SourceIsIpv6", is_ipv6.clone());
    restored.put("DestinationIsIpv6", is_ipv6);
}

/// Numbers get back the form that rules look for; 64-bit ones were folded by the pipeline and stay as they are.
fn registry(restored: &mut Restored<'_>) {
    restored.copy(&[("TargetObject", "registry.path")]);
    let details = restored.said("registry.data.strings").map(|text| {
        match (restored.said("registry.data.type").as_deref(), text.parse::<u32>()) {
            (Some("SZ_DWORD" | "REG_DWORD"), Ok(number)) => format!("DWORD (0x{number:08x})"),
            _ => text,
        }
    });
    restored.put("Details", details);
}

/// `type:  5 alias.example;::ffff:192.0.2.1;`, which is how Sysmon lists answers.
fn dns(restored: &mut Restored<'_>) {
    restored.copy(&[("QueryName", "dns.question.name")]);
    let status = restored.said("sysmon.dns.status").map(|status| match status.as_str() {
        "SUCCESS" => "0".to_owned(),
        "DNS_ERROR_RCODE_NAME_ERROR" => "9003".to_owned(),
        "ERROR_TIMEOUT" => "1460".to_owned(),
        _ => status,
    });
    restored.put("QueryStatus", status);
    let mut results = String::new();
    for answer in restored.at("dns.answers").and_then(Value::as_array).into_iter().flatten() {
        let said = |name: &str| answer.get(name).and_then(text::of).unwrap_or_default();
        let (kind, text) = (said("type"), said("data"));
        // Writing to a text cannot fail.
        let _ = match kind.as_str() {
            "A" if text.parse::<std::net::Ipv4Addr>().is_ok() => write!(results, "::ffff:{text};"),
            "A" | "AAAA" => write!(results, "{text};"),
            "NS" => write!(results, "type:  2 {text};"),
            "CNAME" => write!(results, "type:  5 {text};"),
            "PTR" => write!(results, "type:  12 {text};"),
            "MX" => write!(results, "type:  15 {text};"),
            "TXT" => write!(results, "type:  16 {text};"),
            "SRV" => write!(results, "type:  33 {text};"),
            _ => write!(results, "type:  {kind} {text};"),
        };
    }
    restored.put("QueryResults", Some(results).filter(|text| !text.is_empty()));
}

fn security(code: u32, restored: &mut Restored<'_>) {
    let hex = |restored: &Restored<'_>, path: &str| {
        restored.at(path).and_then(text::number).map(|number| format!("0x{number:x}"))
    };
    if code == 4688 {
        restored.copy(&[
            ("NewProcessName", "process.executable"),
            ("CommandLine", "process.command_line"),
            ("ParentProcessName", "process.parent.executable"),
        ]);
        let (child, parent) = (hex(restored, "process.pid"), hex(restored, "process.parent.pid"));
        restored.put("NewProcessId", child);
        restored.put("ProcessId", parent);
    } else {
        restored.copy(&[("ProcessName", "process.executable")]);
        let process = hex(restored, "process.pid");
        restored.put("ProcessId", process);
    }
    if is_logon(code) {
        restored.copy(&[
            ("IpAddress", "source.ip"),
            ("IpPort", "source.port"),
            ("WorkstationName", "source.domain"),
            ("TargetUserName", "user.name"),
            ("TargetDomainName", "user.domain"),
            ("TargetUserSid", "user.id"),
        ]);
    } else {
        restored.copy(&[
            ("SubjectUserName", "user.name"),
            ("SubjectDomainName", "user.domain"),
            ("SubjectUserSid", "user.id"),
        ]);
    }
}

/// Of a logon the account that logged on is of interest, of anything else the one that acted.
pub(super) const fn is_logon(code: u32) -> bool {
    matches!(code, 4624 | 4625 | 4634 | 4647 | 4648 | 4768..=4776)
}

fn powershell(code: u32, restored: &mut Restored<'_>) {
    restored.copy(&[
        ("ScriptBlockText", "powershell.file.script_block_text"),
        ("ScriptBlockId", "powershell.file.script_block_id"),
        ("MessageNumber", "powershell.sequence"),
        ("MessageTotal", "powershell.total"),
        ("Path", "file.path"),
    ]);
    if code != 4103 {
        return;
    }
    let context = [
        ("Host Name", "process.title"),
        ("Host Version", "powershell.process.executable_version"),
        ("Host ID", "process.entity_id"),
        ("Host Application", "process.command_line"),
        ("Engine Version", "powershell.engine.version"),
        ("Runspace ID", "powershell.runspace_id"),
        ("Pipeline ID", "powershell.pipeline_id"),
        ("Command Name", "powershell.command.name"),
        ("Command Type", "powershell.command.type"),
        ("Script Name", "file.path"),
        ("Command Path", "powershell.command.path"),
        ("Shell ID", "powershell.id"),
    ];
    let lines = context.iter().filter_map(|(name, path)| Some(format!("        {name} = {}\n", restored.said(path)?)));
    let mut text: String = lines.collect();
    if let Some(account) = restored.account() {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "        User = {account}");
    }
    restored.put("ContextInfo", Some(text).filter(|text| !text.is_empty()));
    let details = restored.at("powershell.command.invocation_details").and_then(Value::as_array);
    let lines = details.into_iter().flatten().map(|detail| {
        let said = |name: &str| detail.get(name).and_then(text::of).unwrap_or_default();
        match (said("type"), said("name")) {
            (kind, _) if kind.is_empty() => said("value"),
            (kind, name) if name.is_empty() => format!("{kind}({}): {}", said("related_command"), said("value")),
            (kind, name) => format!("{kind}({}): name={name}; value={}", said("related_command"), said("value")),
        }
    });
    let payload = lines.collect::<Vec<_>>().join("\n");
    restored.put("Payload", Some(payload).filter(|text| !text.is_empty()));
}
