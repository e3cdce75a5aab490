//! Sysmon's events 1 to 29 and 255.

use serde_json::{Value, json};

use super::{Copies, base_name};

pub(super) fn copy(code: u32, copies: &mut Copies<'_>) {
    copies.text("RuleName", "rule.name");
    match code {
        // The acting process is named as the source.
        8 | 10 => {
            copies.program("SourceImage", "process.executable", "process.name");
            copies.number("SourceProcessId", "process.pid");
            copies.number("SourceThreadId", "process.thread.id");
            copies.text("SourceProcessGuid", "process.entity_id");
            copies.text("SourceProcessGUID", "process.entity_id");
            if let Some(account) = copies.said("SourceUser") {
                copies.account(account);
            }
        }
        20 => copies.program("Destination", "process.executable", "process.name"),
        _ => {
            copies.program("Image", "process.executable", "process.name");
            copies.number("ProcessId", "process.pid");
            copies.text("ProcessGuid", "process.entity_id");
        }
    }
    if let Some(account) = copies.said("User") {
        copies.account(account);
    }
    match code {
        1 => creation(copies),
        3 => connection(copies),
        6 | 7 => image(code, copies),
        9 => copies.file("Device"),
        2 | 11 | 15 | 23 | 26..=29 => copies.file("TargetFilename"),
        12..=14 => registry(copies),
        17 | 18 => copies.text("PipeName", "file.name"),
        22 => dns(copies),
        255 => copies.text("ID", "error.code"),
        _ => {}
    }
    match code {
        1 | 24 | 25 => hashes(copies, "Hashes", &PROCESS_HASHES),
        6 | 7 | 27..=29 => hashes(copies, "Hashes", &FILE_HASHES),
        15 => {
            hashes(copies, "Hash", &FILE_HASHES);
            hashes(copies, "Hashes", &FILE_HASHES);
        }
        // The digests are the deleted file's. Elastic puts them to the process, where others look for them.
        23 | 26 => {
            hashes(copies, "Hashes", &PROCESS_HASHES);
            hashes(copies, "Hashes", &FILE_HASHES);
        }
        _ => {}
    }
    copies.flag("Archived", "sysmon.file.archived");
    copies.flag("IsExecutable", "sysmon.file.is_executable");
}

fn creation(copies: &mut Copies<'_>) {
    if let Some(text) = copies.said("CommandLine") {
        copies.command_line(text);
    }
    copies.text("CurrentDirectory", "process.working_directory");
    copies.text("OriginalFileName", "process.pe.original_file_name");
    copies.text("FileVersion", "process.pe.file_version");
    copies.text("Description", "process.pe.description");
    copies.text("Product", "process.pe.product");
    copies.text("Company", "process.pe.company");
    copies.program("ParentImage", "process.parent.executable", "process.parent.name");
    copies.number("ParentProcessId", "process.parent.pid");
    copies.text("ParentProcessGuid", "process.parent.entity_id");
    copies.text("ParentCommandLine", "process.parent.command_line");
}

fn image(code: u32, copies: &mut Copies<'_>) {
    copies.file("ImageLoaded");
    copies.text("Signature", "file.code_signature.subject_name");
    copies.text("SignatureStatus", "file.code_signature.status");
    copies.flag("Signed", "file.code_signature.signed");
    if let Some(status) = copies.said("SignatureStatus") {
        copies.put("file.code_signature.valid", (status == "Valid").into());
    }
    if code == 7 {
        copies.text("OriginalFileName", "file.pe.original_file_name");
        copies.text("FileVersion", "file.pe.file_version");
        copies.text("Description", "file.pe.description");
        copies.text("Product", "file.pe.product");
        copies.text("Company", "file.pe.company");
    }
}

/// Where digests go, by their kind.
type Places = [(&'static str, &'static str); 4];

const PROCESS_HASHES: Places = [
    ("SHA1", "process.hash.sha1"),
    ("MD5", "process.hash.md5"),
    ("SHA256", "process.hash.sha256"),
    ("IMPHASH", "process.pe.imphash"),
];

const FILE_HASHES: Places = [
    ("SHA1", "file.hash.sha1"),
    ("MD5", "file.hash.md5"),
    ("SHA256", "file.hash.sha256"),
    ("IMPHASH", "file.pe.imphash"),
];

/// `SHA1=…,MD5=…,SHA256=…,IMPHASH=…`, lower-cased as ECS wants it.
fn hashes(copies: &mut Copies<'_>, name: &str, places: &Places) {
    for part in copies.said(name).unwrap_or_default().split(',') {
        let Some((kind, digest)) = part.split_once('=') else { continue };
        let place = places.iter().find(|(known, _)| known.eq_ignore_ascii_case(kind.trim()));
        let Some((_, path)) = place else { continue };
        let digest = digest.trim().to_ascii_lowercase();
        // A program that imports nothing has no import hash: many unrelated files share the zeros.
        if digest.bytes().any(|byte| byte != b'0') {
            copies.relate("hash", &digest);
        }
        copies.put(path, digest.into());
    }
}

fn connection(copies: &mut Copies<'_>) {
    copies.address("SourceIp", "source.ip");
    copies.text("SourceHostname", "source.domain");
    copies.number("SourcePort", "source.port");
    copies.address("DestinationIp", "destination.ip");
    copies.text("DestinationHostname", "destination.domain");
    copies.number("DestinationPort", "destination.port");
    copies.text("Protocol", "network.transport");
    let port_name = if copies.said("DestinationPortName").is_some() { "DestinationPortName" } else { "SourcePortName" };
    copies.text(port_name, "network.protocol");
    match copies.said("Initiated") {
        Some("true") => copies.put("network.direction", "egress".into()),
        Some("false") => copies.put("network.direction", "ingress".into()),
        _ => {}
    }
    match copies.said("SourceIsIpv6") {
        Some("true") => copies.put("network.type", "ipv6".into()),
        Some("false") => copies.put("network.type", "ipv4".into()),
        _ => {}
    }
}

/// Hives by the names the kernel and the long form give them.
const HIVES: [(&str, &str); 9] = [
    (r"\REGISTRY\MACHINE", "HKLM"),
    (r"\REGISTRY\USER", "HKU"),
    ("HKEY_LOCAL_MACHINE", "HKLM"),
    ("HKEY_USERS", "HKU"),
    ("HKEY_CURRENT_USER", "HKCU"),
    ("HKEY_CLASSES_ROOT", "HKCR"),
    ("HKEY_CURRENT_CONFIG", "HKCC"),
    ("HKEY_DYN_DATA", "HKDD"),
    ("HKEY_PERFORMANCE_DATA", "HKPD"),
];

/// A registry path and its parts: the hive in its short form, the key below it, and the last part, which is the
/// value's name in an event about a value.
pub(super) fn registry_path(path: &str, copies: &mut Copies<'_>) {
    copies.put("registry.path", path.into());
    copies.put("registry.value", base_name(path).into());
    let long = HIVES.iter().find_map(|(long, hive)| {
        let (start, rest) = path.split_at_checked(long.len())?;
        Some((*hive, start.eq_ignore_ascii_case(long).then(|| rest.strip_prefix('\\'))??))
    });
    if let Some((hive, key)) = long.or_else(|| path.split_once('\\')).filter(|(hive, _)| !hive.is_empty()) {
        copies.put("registry.hive", hive.into());
        copies.put("registry.key", key.into());
    }
}

fn registry(copies: &mut Copies<'_>) {
    let Some(path) = copies.said("TargetObject") else { return };
    registry_path(path, copies);
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

/// Answers as Sysmon lists them: `type:  5 alias.example;::ffff:192.0.2.1;`.
fn dns(copies: &mut Copies<'_>) {
    copies.text("QueryName", "dns.question.name");
    copies.text("QueryStatus", "sysmon.dns.status");
    copies.put("network.protocol", "dns".into());
    if let Some(name) = copies.said("QueryName") {
        copies.relate("hosts", name);
    }
    let Some(results) = copies.said("QueryResults") else { return };
    let (mut answers, mut addresses) = (Vec::new(), Vec::new());
    for result in results.split(';').map(str::trim).filter(|result| !result.is_empty()) {
        if let Some(named) = result.strip_prefix("type:") {
            let mut words = named.split_whitespace();
            let kind = words.next().map(record_type).unwrap_or_default();
            let name = words.next().unwrap_or_default();
            answers.push(json!({ "type": kind, "data": name }));
            if !name.is_empty() {
                copies.relate("hosts", name);
            }
        } else {
            let address = result.strip_prefix("::ffff:").unwrap_or(result);
            let kind = if address.contains(':') { "AAAA" } else { "A" };
            answers.push(json!({ "type": kind, "data": address }));
            addresses.push(Value::from(address));
            copies.relate("ip", address);
        }
    }
    if !answers.is_empty() {
        copies.put("dns.answers", Value::Array(answers));
    }
    if !addresses.is_empty() {
        copies.put("dns.resolved_ip", Value::Array(addresses));
    }
}

/// The names of the record types that occur in answers (RFC 1035 and its successors).
fn record_type(number: &str) -> &str {
    match number {
        "1" => "A",
        "2" => "NS",
        "5" => "CNAME",
        "6" => "SOA",
        "12" => "PTR",
        "15" => "MX",
        "16" => "TXT",
        "28" => "AAAA",
        "33" => "SRV",
        "65" => "HTTPS",
        other => other,
    }
}
