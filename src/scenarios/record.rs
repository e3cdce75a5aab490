//! Records as Winlogbeat 8 collects them, of the kinds of events an office makes. The rendered message is left out, as
//! collectors do that have no room to spare.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::office::{Host, OFFICE, Process, Sensor, Session, Who, hashes};

/// A log, with what its records have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    Sysmon,
    Security,
    System,
    PowerShell,
}

impl Log {
    const fn channel(self) -> &'static str {
        match self {
            Self::Sysmon => "Microsoft-Windows-Sysmon/Operational",
            Self::Security => "Security",
            Self::System => "System",
            Self::PowerShell => "Microsoft-Windows-PowerShell/Operational",
        }
    }

    const fn provider(self) -> (&'static str, &'static str) {
        match self {
            Self::Sysmon => ("Microsoft-Windows-Sysmon", "{5770385f-c22a-43e0-bf4c-06f5698ffbd9}"),
            Self::Security => ("Microsoft-Windows-Security-Auditing", "{54849625-5478-4994-a5ba-3e3b0328c30d}"),
            Self::System => ("Service Control Manager", "{555908d1-a6d7-4695-8e1e-26931d2012f4}"),
            Self::PowerShell => ("Microsoft-Windows-PowerShell", "{a0c1853b-5c40-4b15-8766-3cf1c58f985a}"),
        }
    }
}

/// What a kind of event is called, and the version of its layout.
const fn kind(log: Log, code: u32) -> (&'static str, u32) {
    match (log, code) {
        (Log::Sysmon, 1) => ("Process Create (rule: ProcessCreate)", 5),
        (Log::Sysmon, 3) => ("Network connection detected (rule: NetworkConnect)", 5),
        (Log::Sysmon, 5) => ("Process terminated (rule: ProcessTerminate)", 3),
        (Log::Sysmon, 7) => ("Image loaded (rule: ImageLoad)", 3),
        (Log::Sysmon, 8) => ("CreateRemoteThread detected (rule: CreateRemoteThread)", 2),
        (Log::Sysmon, 10) => ("Process accessed (rule: ProcessAccess)", 3),
        (Log::Sysmon, 11) => ("File created (rule: FileCreate)", 2),
        (Log::Sysmon, 13) => ("Registry value set (rule: RegistryEvent)", 2),
        (Log::Sysmon, 17) => ("Pipe Created (rule: PipeEvent)", 1),
        (Log::Sysmon, 22) => ("Dns query (rule: DnsQuery)", 5),
        (Log::Security, 4624) => ("Logon", 2),
        (Log::Security, 4634) => ("Logoff", 0),
        (Log::Security, 4672) => ("Special Logon", 0),
        (Log::Security, 4688) => ("Process Creation", 2),
        (Log::Security, 4698) => ("Other Object Access Events", 1),
        (Log::Security, 4732) => ("Security Group Management", 0),
        (Log::Security, 4768) => ("Kerberos Authentication Service", 0),
        (Log::Security, 4769) => ("Kerberos Service Ticket Operations", 0),
        (Log::Security, 5140) => ("File Share", 1),
        (Log::Security, 5145) => ("Detailed File Share", 0),
        (Log::PowerShell, 4104) => ("Execute a Remote Command", 1),
        _ => ("None", 0),
    }
}

/// The kinds of events that come with a keyword instead of a level.
const AUDIT: &str = "Audit Success";

/// Records of the office in the making.
#[derive(Debug, Default)]
pub struct Records {
    records: Vec<Record>,
}

#[derive(Debug)]
struct Record {
    time: i64,
    host: usize,
    log: Log,
    code: u32,
    user: Option<Who>,
    writer: Option<u64>,
    data: Map<String, Value>,
}

/// Event data by the names Windows gives it.
macro_rules! data {
    ($($name:literal: $value:expr),* $(,)?) => {{
        let mut data = serde_json::Map::new();
        $(data.insert($name.to_owned(), serde_json::Value::String($value.to_string()));)*
        data
    }};
}

pub(super) use data;

impl Records {
    /// Adds a record of a host; of Sysmon none where there is no Sysmon.
    pub fn add(&mut self, host: &Host, time: i64, log: Log, code: u32, data: Map<String, Value>) {
        self.add_of(host, time, (log, code), None, data);
    }

    /// As [`Records::add`], with the account whose doing the header names.
    pub fn add_of(
        &mut self,
        host: &Host,
        time: i64,
        (log, code): (Log, u32),
        user: Option<Who>,
        mut data: Map<String, Value>,
    ) {
        if log == Log::Sysmon && host.sensor != Sensor::Sysmon {
            return;
        }
        if log == Log::Sysmon {
            data.insert("RuleName".into(), "-".into());
            data.insert("UtcTime".into(), utc(time).into());
        }
        let place = OFFICE.hosts.iter().position(|other| other.name == host.name);
        self.records.push(Record { time, host: place.unwrap_or_default(), log, code, user, writer: None, data });
    }

    /// A process starts: Sysmon 1, or Security 4688 where Sysmon is missing.
    pub fn start(&mut self, host: &Host, time: i64, started: &Process, session: &Session, parent: &Process) {
        match host.sensor {
            Sensor::Sysmon => self.sysmon_start(host, time, started, session, parent),
            Sensor::Security => {
                let machine = OFFICE.machine(host);
                let subject = if session.desktop == 0 { &machine } else { &session.who };
                let level = if session.desktop == 0 { "S-1-16-16384" } else { "S-1-16-8192" };
                let data = data! {
                    "SubjectUserSid": session.who.sid, "SubjectUserName": subject.name,
                    "SubjectDomainName": subject.domain, "SubjectLogonId": session.id,
                    "NewProcessId": format!("{:#x}", started.pid), "NewProcessName": started.image,
                    "TokenElevationType": "%%1936", "ProcessId": format!("{:#x}", parent.pid),
                    "CommandLine": started.command, "TargetUserSid": "S-1-0-0", "TargetUserName": "-",
                    "TargetDomainName": "-", "TargetLogonId": "0x0", "ParentProcessName": parent.image,
                    "MandatoryLabel": level,
                };
                self.add(host, time, Log::Security, 4688, data);
            }
        }
    }

    fn sysmon_start(&mut self, host: &Host, time: i64, started: &Process, session: &Session, parent: &Process) {
        let known = OFFICE.program(&started.image);
        let of = |field: fn(&super::office::Program) -> &String| known.map_or("-", |program| field(program).as_str());
        let data = data! {
            "ProcessGuid": started.guid, "ProcessId": started.pid, "Image": started.image,
            "FileVersion": of(|program| &program.version), "Description": of(|program| &program.description),
            "Product": of(|program| &program.product), "Company": of(|program| &program.company),
            "OriginalFileName": of(|program| &program.original), "CommandLine": started.command,
            "CurrentDirectory": "C:\\Windows\\system32\\", "User": started.user, "LogonGuid": session.guid,
            "LogonId": session.id, "TerminalSessionId": session.desktop,
            "IntegrityLevel": if session.desktop == 0 { "System" } else { "Medium" },
            "Hashes": hashes(&started.image), "ParentProcessGuid": parent.guid, "ParentProcessId": parent.pid,
            "ParentImage": parent.image, "ParentCommandLine": parent.command, "ParentUser": parent.user,
        };
        self.add(host, time, Log::Sysmon, 1, data);
    }

    /// A process ends.
    pub fn end(&mut self, host: &Host, time: i64, ended: &Process) {
        let data = data! {
            "ProcessGuid": ended.guid, "ProcessId": ended.pid, "Image": ended.image, "User": ended.user,
        };
        self.add(host, time, Log::Sysmon, 5, data);
    }

    /// A process connects to another machine.
    pub fn connect(&mut self, host: &Host, time: i64, by: &Process, (address, name, port): (&str, &str, u16)) {
        let port_name = match port {
            53 => "domain",
            80 => "http",
            88 => "kerberos",
            389 => "ldap",
            443 => "https",
            445 => "microsoft-ds",
            _ => "-",
        };
        let data = data! {
            "ProcessGuid": by.guid, "ProcessId": by.pid, "Image": by.image, "User": by.user, "Protocol": "tcp",
            "Initiated": "true", "SourceIsIpv6": "false", "SourceIp": host.address,
            "SourceHostname": OFFICE.fqdn(host), "SourcePort": 49_800 + time / 1_000 % 14_000,
            "SourcePortName": "-", "DestinationIsIpv6": "false", "DestinationIp": address,
            "DestinationHostname": name, "DestinationPort": port, "DestinationPortName": port_name,
        };
        self.add(host, time, Log::Sysmon, 3, data);
    }

    /// A process asks for a name.
    pub fn ask(&mut self, host: &Host, time: i64, by: &Process, (name, answer): (&str, &str)) {
        let data = data! {
            "ProcessGuid": by.guid, "ProcessId": by.pid, "QueryName": name, "QueryStatus": "0",
            "QueryResults": format!("::ffff:{answer};"), "Image": by.image, "User": by.user,
        };
        self.add(host, time, Log::Sysmon, 22, data);
    }

    /// A process writes a file.
    pub fn write(&mut self, host: &Host, time: i64, by: &Process, file: &str) {
        let data = data! {
            "ProcessGuid": by.guid, "ProcessId": by.pid, "Image": by.image, "TargetFilename": file,
            "CreationUtcTime": utc(time), "User": by.user,
        };
        self.add(host, time, Log::Sysmon, 11, data);
    }

    /// A process sets a value of the registry.
    pub fn set(&mut self, host: &Host, time: i64, by: &Process, (key, value): (&str, &str)) {
        let data = data! {
            "EventType": "SetValue", "ProcessGuid": by.guid, "ProcessId": by.pid, "Image": by.image,
            "TargetObject": key, "Details": value, "User": by.user,
        };
        self.add(host, time, Log::Sysmon, 13, data);
    }

    /// A process loads a library of Windows.
    pub fn load(&mut self, host: &Host, time: i64, by: &Process, library: &str) {
        let known = OFFICE.program(library);
        let of = |field: fn(&super::office::Program) -> &String| known.map_or("-", |program| field(program).as_str());
        let data = data! {
            "ProcessGuid": by.guid, "ProcessId": by.pid, "Image": by.image, "ImageLoaded": library,
            "FileVersion": of(|program| &program.version), "Description": of(|program| &program.description),
            "Product": of(|program| &program.product), "Company": of(|program| &program.company),
            "OriginalFileName": of(|program| &program.original), "Hashes": hashes(library), "Signed": "true",
            "Signature": "Microsoft Windows", "SignatureStatus": "Valid", "User": by.user,
        };
        self.add(host, time, Log::Sysmon, 7, data);
    }

    /// A logon; a privileged one is followed by 4672.
    pub fn logon(&mut self, host: &Host, time: i64, session: &Session, from: &From) {
        let machine = OFFICE.machine(host);
        let local = from.address == "-" || from.address == "127.0.0.1";
        let by_machine = local || from.kind == 10;
        let (sid, name, domain, id) = if by_machine {
            ("S-1-5-18".to_owned(), machine.name, machine.domain, "0x3e7")
        } else {
            ("S-1-0-0".to_owned(), "-".to_owned(), "-".to_owned(), "0x0")
        };
        let package = if from.kind == 3 { "Kerberos" } else { "Negotiate" };
        let process = match from.kind {
            2 | 10 => ("User32 ", "C:\\Windows\\System32\\svchost.exe"),
            5 => ("Advapi  ", "C:\\Windows\\System32\\services.exe"),
            _ => ("Kerberos", "-"),
        };
        let data = data! {
            "SubjectUserSid": sid, "SubjectUserName": name, "SubjectDomainName": domain, "SubjectLogonId": id,
            "TargetUserSid": session.who.sid, "TargetUserName": session.who.name,
            "TargetDomainName": session.who.domain, "TargetLogonId": session.id, "LogonType": from.kind,
            "LogonProcessName": process.0, "AuthenticationPackageName": package,
            "WorkstationName": from.workstation, "LogonGuid": session.guid, "TransmittedServices": "-",
            "LmPackageName": "-", "KeyLength": "0", "ProcessId": if by_machine { "0x3a4" } else { "0x0" },
            "ProcessName": process.1, "IpAddress": from.address, "IpPort": if local { "0".to_owned() } else {
                (50_000 + time / 1_000 % 12_000).to_string()
            },
            "ImpersonationLevel": "%%1833", "RestrictedAdminMode": "-", "TargetOutboundUserName": "-",
            "TargetOutboundDomainName": "-", "VirtualAccount": "%%1843", "TargetLinkedLogonId": "0x0",
            "ElevatedToken": if from.privileged { "%%1842" } else { "%%1843" },
        };
        self.add(host, time, Log::Security, 4624, data);
        if from.privileged {
            let data = data! {
                "SubjectUserSid": session.who.sid, "SubjectUserName": session.who.name,
                "SubjectDomainName": session.who.domain, "SubjectLogonId": session.id,
                "PrivilegeList": "SeSecurityPrivilege\n\t\t\tSeBackupPrivilege\n\t\t\tSeDebugPrivilege",
            };
            self.add(host, time, Log::Security, 4672, data);
        }
    }

    /// The end of a session.
    pub fn logoff(&mut self, host: &Host, time: i64, session: &Session, kind: u32) {
        let data = data! {
            "TargetUserSid": session.who.sid, "TargetUserName": session.who.name,
            "TargetDomainName": session.who.domain, "TargetLogonId": session.id, "LogonType": kind,
        };
        self.add(host, time, Log::Security, 4634, data);
    }

    /// A logged script block.
    pub fn script(&mut self, host: &Host, time: i64, by: (&Who, &Process), (text, path): (&str, &str)) {
        let block = super::dice::digits_of(&format!("block:{}:{time}", host.name));
        let id =
            format!("{}-{}-4{}-9{}-{}", &block[..8], &block[8..12], &block[13..16], &block[17..20], &block[20..32]);
        let data = data! {
            "MessageNumber": "1", "MessageTotal": "1", "ScriptBlockText": text, "ScriptBlockId": id, "Path": path,
        };
        self.add_of(host, time, (Log::PowerShell, 4104), Some(by.0.clone()), data);
        // PowerShell writes into the log itself: the header names its process.
        if let Some(record) = self.records.last_mut() {
            record.writer = Some(by.1.pid);
        }
    }

    /// The records before a moment, in order of their times, a line each.
    pub fn lines(mut self, until: i64) -> Vec<String> {
        self.records.retain(|record| record.time < until);
        // Stable: of one moment, what was written first comes first.
        self.records.sort_by_key(|record| (record.time, record.host));
        let mut numbers = HashMap::new();
        let number = |record: &Record| {
            // A log that has run since June, at a steady pace: acts are numbered in the same way and fit in.
            let at = (record.time - 1_780_000_000_000) / 200;
            match numbers.entry((record.host, record.log.channel())) {
                Entry::Vacant(entry) => *entry.insert(at),
                Entry::Occupied(mut entry) => {
                    let next = at.max(entry.get() + 1);
                    *entry.get_mut() = next;
                    next
                }
            }
        };
        let numbers: Vec<i64> = self.records.iter().map(number).collect();
        self.records.into_iter().zip(numbers).map(|(record, number)| record.line(number)).collect()
    }
}

/// Where a logon comes from.
#[derive(Debug, Clone, Copy)]
pub struct From<'a> {
    /// 2 at the machine, 3 over the network, 5 a service, 10 a remote desktop.
    pub kind: u32,
    pub address: &'a str,
    pub workstation: &'a str,
    pub privileged: bool,
}

impl Record {
    fn line(self, number: i64) -> String {
        let host = &OFFICE.hosts[self.host];
        let (task, version) = kind(self.log, self.code);
        let (provider, guid) = self.log.provider();
        let name = OFFICE.fqdn(host);
        let mut winlog = json!({
            "api": "wineventlog", "channel": self.log.channel(), "computer_name": name, "event_data": self.data,
            "event_id": self.code.to_string(), "opcode": "Info",
            "process": {"pid": self.writer.unwrap_or(2_400 + self.host as u64 * 4), "thread": {"id": 3_120 + number % 40 * 4}},
            "provider_guid": guid, "provider_name": provider, "record_id": number, "task": task, "version": version,
        });
        match self.log {
            Log::Security => winlog["keywords"] = json!([AUDIT]),
            Log::Sysmon => winlog["user"] = user(&host.system().who),
            Log::System | Log::PowerShell => {}
        }
        if let Some(who) = &self.user {
            winlog["user"] = user(who);
        }
        let record = json!({
            "@timestamp": iso(self.time),
            "agent": {"name": host.name, "type": "winlogbeat", "version": "8.17.3"},
            "ecs": {"version": "8.0.0"},
            "event": {"action": task, "code": self.code.to_string(), "kind": "event", "provider": provider},
            "host": {"name": name},
            "log": {"level": if self.log == Log::PowerShell { "warning" } else { "information" }},
            "tags": ["written-not-recorded"],
            "winlog": winlog,
        });
        record.to_string()
    }
}

fn user(who: &Who) -> Value {
    json!({"domain": who.domain, "identifier": who.sid, "name": who.name, "type": "User"})
}

fn moment(milliseconds: i64) -> Timestamp {
    // Times of the office lie in this century.
    Timestamp::from_millisecond(milliseconds).unwrap_or_default()
}

/// As Sysmon writes times.
fn utc(milliseconds: i64) -> String {
    moment(milliseconds).strftime("%F %T.%3f").to_string()
}

fn iso(milliseconds: i64) -> String {
    moment(milliseconds).strftime("%FT%T.%3fZ").to_string()
}
