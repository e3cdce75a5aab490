//! ECS copies of event data, so that tools can ask for `process.executable` whatever log it came from.
//!
//! Copies are added and originals stay: Sigma rules and quotes go by the original names.

use serde_json::{Map, Value};

use crate::domain::event::SYSMON;

/// Adds the ECS copies of `data` to `document`.
pub(super) fn copy(channel: &str, code: u32, data: &Map<String, Value>, document: &mut Map<String, Value>) {
    let mut copies = Copies { data, document };
    match channel {
        SYSMON => sysmon(code, &mut copies),
        "Security" => security(code, &mut copies),
        "Microsoft-Windows-PowerShell/Operational" if code == 4104 => {
            copies.text("ScriptBlockText", "powershell.file.script_block_text");
            copies.text("ScriptBlockId", "powershell.file.script_block_id");
        }
        _ => {}
    }
}

fn sysmon(code: u32, copies: &mut Copies) {
    match code {
        // The acting process is named as the source.
        8 | 10 => {
            copies.program("SourceImage", "process");
            copies.number("SourceProcessId", "process.pid");
            copies.text("SourceProcessGuid", "process.entity_id");
            copies.text("SourceProcessGUID", "process.entity_id");
        }
        20 => copies.text("Destination", "process.executable"),
        _ => {
            copies.program("Image", "process");
            copies.number("ProcessId", "process.pid");
            copies.text("ProcessGuid", "process.entity_id");
        }
    }
    if let Some(user) = copies.said("User") {
        let (domain, name) = user.split_once('\\').unwrap_or(("", user));
        if !domain.is_empty() {
            copies.put("user.domain", domain.into());
        }
        copies.put("user.name", name.into());
    }
    match code {
        1 | 23 | 24 | 26 => copies.hashes("Hashes", "process"),
        6 | 7 | 29 => copies.hashes("Hashes", "file"),
        15 => copies.hashes("Hash", "file"),
        _ => {}
    }
    match code {
        1 => {
            copies.text("CommandLine", "process.command_line");
            copies.text("CurrentDirectory", "process.working_directory");
            copies.text("OriginalFileName", "process.pe.original_file_name");
            copies.program("ParentImage", "process.parent");
            copies.number("ParentProcessId", "process.parent.pid");
            copies.text("ParentProcessGuid", "process.parent.entity_id");
            copies.text("ParentCommandLine", "process.parent.command_line");
        }
        3 => connection(copies),
        6 | 7 => {
            copies.file("ImageLoaded");
            copies.text("Signature", "file.code_signature.subject_name");
            copies.text("SignatureStatus", "file.code_signature.status");
        }
        9 => copies.file("Device"),
        2 | 11 | 15 | 23 | 26..=29 => copies.file("TargetFilename"),
        12..=14 => registry(copies),
        17 | 18 => copies.text("PipeName", "file.name"),
        22 => {
            copies.text("QueryName", "dns.question.name");
            copies.text("QueryStatus", "sysmon.dns.status");
            copies.put("network.protocol", "dns".into());
        }
        _ => {}
    }
}

fn connection(copies: &mut Copies) {
    copies.text("SourceIp", "source.ip");
    copies.text("SourceHostname", "source.domain");
    copies.number("SourcePort", "source.port");
    copies.text("DestinationIp", "destination.ip");
    copies.text("DestinationHostname", "destination.domain");
    copies.number("DestinationPort", "destination.port");
    copies.text("Protocol", "network.transport");
    copies.text("DestinationPortName", "network.protocol");
    match copies.said("Initiated") {
        Some("true") => copies.put("network.direction", "egress".into()),
        Some("false") => copies.put("network.direction", "ingress".into()),
        _ => {}
    }
}

fn registry(copies: &mut Copies) {
    let Some(path) = copies.said("TargetObject") else { return };
    copies.put("registry.path", path.into());
    copies.put("registry.value", base_name(path).into());
    if let Some((hive, key)) = path.split_once('\\') {
        copies.put("registry.hive", hive.into());
        copies.put("registry.key", key.into());
    }
    let Some(details) = copies.said("Details") else { return };
    let (kind, text) = if let Some(hex) = details.strip_prefix("DWORD (0x").and_then(|rest| rest.strip_suffix(')')) {
        let decimal = u32::from_str_radix(hex, 16).map_or_else(|_| details.to_owned(), |number| number.to_string());
        ("SZ_DWORD", decimal)
    } else if details.starts_with("QWORD (") {
        ("SZ_QWORD", details.to_owned())
    } else if details == "Binary Data" {
        ("REG_BINARY", details.to_owned())
    } else {
        ("REG_SZ", details.to_owned())
    };
    copies.put("registry.data.type", kind.into());
    copies.put("registry.data.strings", Value::Array(vec![text.into()]));
}

fn security(code: u32, copies: &mut Copies) {
    if code == 4688 {
        copies.program("NewProcessName", "process");
        copies.text("CommandLine", "process.command_line");
        copies.number("NewProcessId", "process.pid");
        copies.number("ProcessId", "process.parent.pid");
        copies.text("ParentProcessName", "process.parent.executable");
    } else {
        copies.program("ProcessName", "process");
        copies.number("ProcessId", "process.pid");
    }
    // Of a logon the account that logged on is of interest, of anything else the one that acted.
    let side = if matches!(code, 4624 | 4625 | 4634 | 4647 | 4648 | 4768..=4776) { "Target" } else { "Subject" };
    copies.text(&format!("{side}UserName"), "user.name");
    copies.text(&format!("{side}DomainName"), "user.domain");
    copies.text(&format!("{side}UserSid"), "user.id");
    copies.text("IpAddress", "source.ip");
    copies.number("IpPort", "source.port");
}

/// The data to copy from and the document to copy to.
struct Copies<'a> {
    data: &'a Map<String, Value>,
    document: &'a mut Map<String, Value>,
}

impl<'a> Copies<'a> {
    /// A value that says something: `""`, `-` and the null GUID are how Windows writes "not known".
    fn said(&self, name: &str) -> Option<&'a str> {
        let text = self.data.get(name)?.as_str()?;
        let silent = text.is_empty() || text == "-" || is_null_guid(text);
        (!silent).then_some(text)
    }

    fn text(&mut self, name: &str, path: &str) {
        if let Some(text) = self.said(name) {
            self.put(path, text.into());
        }
    }

    /// A decimal or, as the Security log writes process ids, hexadecimal number.
    fn number(&mut self, name: &str, path: &str) {
        let parse = |text: &str| match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        };
        if let Some(number) = self.said(name).and_then(parse) {
            self.put(path, number.into());
        }
    }

    fn program(&mut self, name: &str, branch: &str) {
        if let Some(path) = self.said(name) {
            self.put(&format!("{branch}.executable"), path.into());
            self.put(&format!("{branch}.name"), base_name(path).into());
        }
    }

    fn file(&mut self, name: &str) {
        if let Some(path) = self.said(name) {
            self.put("file.path", path.into());
            self.put("file.name", base_name(path).into());
        }
    }

    /// `SHA1=…,MD5=…,SHA256=…,IMPHASH=…`, lower-cased as ECS wants it.
    fn hashes(&mut self, name: &str, branch: &str) {
        for part in self.said(name).unwrap_or_default().split(',') {
            let Some((kind, digest)) = part.split_once('=') else { continue };
            let path = match kind.trim().to_ascii_lowercase().as_str() {
                "imphash" => format!("{branch}.pe.imphash"),
                kind @ ("md5" | "sha1" | "sha256") => format!("{branch}.hash.{kind}"),
                _ => continue,
            };
            self.put(&path, digest.trim().to_ascii_lowercase().into());
        }
    }

    fn put(&mut self, path: &str, value: Value) {
        insert(self.document, path, value);
    }
}

fn insert(object: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            object.insert(path.to_owned(), value);
        }
        Some((branch, rest)) => {
            let inner = object.entry(branch).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// What follows the last backslash or slash.
fn base_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}

/// `{00000000-0000-0000-0000-000000000000}`: the sensor did not know the process.
pub(in crate::detection) fn is_null_guid(text: &str) -> bool {
    text.len() == 38 && text.starts_with('{') && text.bytes().all(|byte| matches!(byte, b'{' | b'}' | b'-' | b'0'))
}
