//! Self-written records of every shape, and what becomes of them.

use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use super::*;
use crate::domain::event::SYSMON;

pub(super) fn origin() -> Origin {
    Origin { file: "test".into(), line: 1 }
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("an object") };
    object
}

fn event(record: Value) -> Event {
    normalise(&object(record), origin(), ClockOffset::NONE).expect("an event")
}

fn field(event: &Event, path: &str) -> String {
    event.field(path).unwrap_or_else(|| panic!("{path} of {}", Value::Object(event.document.clone())))
}

fn at<'a>(event: &'a Event, path: &str) -> &'a Value {
    let mut parts = path.split('.');
    let first = parts.next().and_then(|part| event.document.get(part)).unwrap_or(&Value::Null);
    parts.fold(first, |value, part| &value[part])
}

/// A process creation as every shape has to give it.
fn creation() -> Value {
    json!({
        "RuleName": "-", "UtcTime": "2026-03-02 08:00:01.250", "ProcessId": "4242", "Image": "C:\\Tools\\run.exe",
        "ProcessGuid": "{0f1e2d3c-aaaa-bbbb-cccc-0123456789ab}", "CommandLine": "run.exe  \"a b\" c",
        "User": "CORP\\a.user", "Hashes": "SHA1=0A,MD5=0B,SHA256=0C,IMPHASH=00",
        "ParentImage": "C:\\Windows\\explorer.exe",
        "ParentProcessId": "99", "FileVersion": "1.2", "CurrentDirectory": "C:\\Tools\\",
    })
}

/// The creation, as seven shapes write it.
fn creations() -> Vec<(Shape, Value)> {
    let flat = |header: Value| {
        let mut record = object(creation());
        record.extend(object(header));
        Value::Object(record)
    };
    let mut numbers = object(creation());
    numbers.insert("ProcessId".into(), 4242.into());
    numbers.insert("ParentProcessId".into(), 99.into());
    let nested = json!({"Event": {
        "#attributes": {"xmlns": "urn:events"},
        "System": {
            "Provider": {"#attributes": {"Name": "Microsoft-Windows-Sysmon", "Guid": "{aa}"}}, "EventID": 1,
            "Version": 5,
            "Level": 4, "Keywords": "0x8000000000000000", "EventRecordID": 77, "Channel": SYSMON, "Correlation": null,
            "TimeCreated": {"#attributes": {"SystemTime": "2026-03-02T08:00:01.3000000Z"}},
            "Execution": {"#attributes": {"ProcessID": 600, "ThreadID": 601}}, "Computer": "WKS-01.corp.example",
            "Security": {"#attributes": {"UserID": "S-1-5-18"}},
        },
        "EventData": numbers,
    }});
    vec![
        (
            Shape::Nxlog,
            flat(json!({
                "@timestamp": "2026-03-02T08:00:03.500Z", "EventReceivedTime": "2026-03-02 09:00:03",
                "EventType": "INFO",
                "SourceModuleName": "eventlog", "Hostname": "WKS-01.corp.example", "host": "collector.corp.example",
                "Channel": "microsoft-windows-sysmon/operational", "EventID": 1,
                "SourceName": "Microsoft-Windows-Sysmon",
                "RecordNumber": 77, "UserID": "S-1-5-18", "AccountName": "SYSTEM", "ExecutionProcessID": 600,
            })),
        ),
        (
            Shape::Exporter,
            flat(json!({
                "@timestamp": "2026-03-02T03:00:01.300Z", "TimeCreated": "2026-03-02T03:00:01.300Z", "Channel": SYSMON,
                "EventID": 1, "SourceName": "Microsoft-Windows-Sysmon", "Hostname": "WKS-01.corp.example", "Level": "4",
            })),
        ),
        (
            Shape::GetWinEvent,
            flat(json!({
                "TimeCreated": "2026-03-02 03:00:01.300", "Channel": SYSMON, "EventID": 1,
                "SourceName": "Microsoft-Windows-Sysmon", "Hostname": "WKS-01.corp.example", "Task": "1",
            })),
        ),
        (
            Shape::Winlogbeat6,
            json!({
                "@timestamp": "2026-03-02T08:00:01.300Z", "log_name": SYSMON, "event_id": 1, "event_data": creation(),
                "source_name": "Microsoft-Windows-Sysmon", "computer_name": "WKS-01.corp.example",
                "level": "Information",
                "record_number": "77", "beat": {"hostname": "collector"}, "host": {"name": "collector"},
                "process_id": 600,
                "user": {"identifier": "S-1-5-18", "name": "SYSTEM"}, "task": "Process Create (rule: ProcessCreate)",
            }),
        ),
        (
            Shape::Sentinel,
            json!({
                "TenantId": "t", "TimeGenerated": "2026-03-02T08:00:02.1Z", "Provider": "Microsoft-Windows-Sysmon",
                "Channel": SYSMON, "Computer": "WKS-01.corp.example", "EventID": 1, "EventData": creation().to_string(),
                "EventLevelName": "Information", "Type": "WindowsEvent",
            }),
        ),
        (Shape::Evtx, nested),
        (
            Shape::Winlogbeat,
            json!({
                "@timestamp": "2026-03-02T08:00:01.300Z", "agent": {"hostname": "collector"},
                "host": {"name": "collector"},
                "event": {"code": 1, "kind": "event", "provider": "Microsoft-Windows-Sysmon",
                "action": "Process Create"},
                "winlog": {"channel": "Microsoft-Windows-Sysmon/Operational", "computer_name": "WKS-01.corp.example",
                    "provider_name": "Microsoft-Windows-Sysmon", "event_id": "1", "record_id": 77,
                    "event_data": creation(),
                    "process": {"pid": 600, "thread": {"id": 601}}, "user": {"identifier": "S-1-5-18"}},
            }),
        ),
    ]
}

#[test]
fn every_shape_gives_the_same_event() {
    for (shape, record) in creations() {
        assert_eq!(Shape::of(&object(record.clone())), Some(shape));
        let event = event(record);
        let is = |path: &str| field(&event, path);
        assert_eq!((event.channel.as_str(), event.code), (SYSMON, 1), "{shape:?}");
        assert_eq!(event.host.as_str(), "WKS-01.corp.example", "{shape:?}");
        assert_eq!(event.time.to_string(), "2026-03-02T08:00:01.25Z", "{shape:?}");
        assert_eq!(is("@timestamp"), "2026-03-02T08:00:01.250Z", "{shape:?}");
        assert_eq!(*at(&event, "winlog.event_data"), creation(), "{shape:?}");
        assert_eq!((is("host.name"), is("event.code")), ("WKS-01.corp.example".into(), "1".into()), "{shape:?}");
        assert_eq!(is("winlog.provider_name"), "Microsoft-Windows-Sysmon", "{shape:?}");
        assert_eq!(is("process.executable"), "C:\\Tools\\run.exe", "{shape:?}");
        assert_eq!(*at(&event, "process.args"), json!(["run.exe", "a b", "c"]), "{shape:?}");
        assert_eq!(*at(&event, "process.pid"), 4242, "{shape:?}");
        assert_eq!((is("user.domain"), is("user.name")), ("CORP".into(), "a.user".into()), "{shape:?}");
        assert_eq!(*at(&event, "related.hash"), json!(["0a", "0b", "0c"]), "{shape:?}");
        if !matches!(shape, Shape::Exporter | Shape::GetWinEvent | Shape::Sentinel) {
            assert_eq!(event.record_id.as_deref(), Some("77"), "{shape:?}");
            assert_eq!((is("winlog.process.pid"), is("winlog.user.identifier")), ("600".into(), "S-1-5-18".into()));
        }
    }
}

#[test]
fn records_of_sysmon_without_a_header_have_sysmons_time_and_no_host() {
    let event =
        event(json!({"EventId": 3, "UtcTime": "2026-03-02 08:00:01.250", "RuleName": null, "Image": "C:\\a.exe",
        "SourceIp": "192.0.2.7", "DestinationIp": "2001:db8::1", "Initiated": "true", "SourceIsIpv6": "true"}));
    assert!(event.host.is_unknown());
    assert!(event.is_sysmon(3));
    assert_eq!(event.data("RuleName"), None);
    assert_eq!(*at(&event, "related.ip"), json!(["192.0.2.7", "2001:db8::1"]));
    assert_eq!((field(&event, "network.type"), field(&event, "network.direction")), ("ipv6".into(), "egress".into()));
}

fn of_system(channel: &str, code: Value, beside: Value) -> Event {
    let mut event_of = object(json!({"System": {
        "Provider": {"#attributes": {"Name": "Test-Provider"}}, "EventID": code, "Channel": channel,
        "TimeCreated": {"#attributes": {"SystemTime": "2026-03-02T08:00:01.123456Z"}}, "Computer": "srv-01",
        "EventRecordID": 5, "Security": null,
    }}));
    event_of.extend(object(beside));
    event(json!({"Event": event_of}))
}

#[test]
fn event_log_files_have_ids_with_qualifiers_and_data_without_names() {
    let code = json!({"#attributes": {"Qualifiers": 16384}, "#text": 600});
    let data = json!({"EventData": {"Data": {"#text": ["Registry", "Started",
    "\tHostApplication=powershell.exe -nop\n"]},
        "Binary": "0A"}});
    let event = of_system("Windows PowerShell", code, data);
    assert_eq!((event.code, event.data("param2")), (600, Some("Started")));
    assert_eq!(event.data("Data"), Some("Registry\nStarted\n\tHostApplication=powershell.exe -nop\n"));
    assert_eq!(field(&event, "process.command_line"), "powershell.exe -nop");
    assert_eq!(*at(&event, "record.Qualifiers"), 16384);
    let one = of_system("Application", json!(1), json!({"EventData": {"Data": "alone"}}));
    assert_eq!((one.data("param1"), one.data("Data")), (Some("alone"), Some("alone")));
    assert_eq!(*at(&of_system("System", json!(1), json!({"EventData": null})), "winlog.event_data"), json!({}));
    let named = json!({"EventData": {"Data": [{"#attributes": {"Name": "A"}, "#text": 7}, "b"]}});
    let named = of_system("Application", json!(1), named);
    assert_eq!((named.data("A"), named.data("param1")), (Some("7"), Some("b")));
}

#[test]
fn user_data_is_data_whatever_it_is_wrapped_in() {
    let data = json!({"UserData": {"LogFileCleared": {"#attributes": {"xmlns": "urn:x"}, "SubjectUserName": "a.user",
        "BackupPath": null, "Service": {"#attributes": {"name": "s"}, "Kind": 3}}}});
    let event = of_system("Security", json!("1102"), data);
    assert_eq!((event.data("SubjectUserName"), event.data("BackupPath")), (Some("a.user"), None));
    assert_eq!((event.data("Service.name"), event.data("Service.Kind")), (Some("s"), Some("3")));
    assert_eq!(event.field("winlog.event_data.Service.name").as_deref(), Some("s"));
    assert_eq!(field(&event, "user.name"), "a.user");
}

/// What an ingest pipeline makes of a Sysmon record: ECS fields, and little left of the event's own.
fn ingested(code: u32, data: Value, ecs: Value) -> Event {
    let mut record = object(json!({
        "@timestamp": "2026-03-02T08:00:01.250Z", "event": {"code": code.to_string(), "module": "sysmon",
        "kind": "event"},
        "winlog": {"channel": SYSMON, "computer_name": "wks-07", "event_id": code.to_string(), "event_data": data,
            "provider_name": "Microsoft-Windows-Sysmon"},
        "host": {"name": "wks-07"},
    }));
    record.extend(object(ecs));
    event(Value::Object(record))
}

#[test]
fn what_an_ingest_pipeline_moved_is_back_under_its_names() {
    let created = ingested(
        1,
        json!({"IntegrityLevel": "High"}),
        json!({
            "process": {"entity_id": "{A}", "pid": 42, "executable": "C:\\a.exe", "command_line": "a.exe -x",
                "hash": {"sha1": "0a", "md5": "0b"}, "pe": {"imphash": "0c", "original_file_name": "A.EXE"},
                "parent": {"pid": 7, "executable": "C:\\p.exe", "command_line": "p.exe"}},
            "user": {"domain": "CORP", "name": "a.user", "id": "S-1-5-18"}, "rule": {"name": "technique"},
        }),
    );
    for (name, value) in [
        ("UtcTime", "2026-03-02 08:00:01.250"),
        ("ProcessGuid", "{A}"),
        ("ProcessId", "42"),
        ("Image", "C:\\a.exe"),
        ("CommandLine", "a.exe -x"),
        ("Hashes", "SHA1=0A,MD5=0B,IMPHASH=0C"),
        ("OriginalFileName", "A.EXE"),
        ("ParentImage", "C:\\p.exe"),
        ("ParentCommandLine", "p.exe"),
        ("ParentProcessId", "7"),
        ("User", "CORP\\a.user"),
        ("RuleName", "technique"),
        ("IntegrityLevel", "High"),
    ] {
        assert_eq!(created.data(name), Some(value), "{name}");
    }
    let set = ingested(
        13,
        json!({"EventType": "SetValue"}),
        json!({"registry": {"path": "HKLM\\K\\V", "data": {"type": "SZ_DWORD", "strings": ["16"]}}}),
    );
    assert_eq!((set.data("TargetObject"), set.data("Details")), (Some("HKLM\\K\\V"), Some("DWORD (0x00000010)")));
    let query = ingested(
        22,
        json!({}),
        json!({"dns": {"question": {"name": "a.example"}, "answers": [{"type": "CNAME", "data": "b.example"},
            {"type": "A", "data": "192.0.2.1"}]}, "sysmon": {"dns": {"status": "SUCCESS"}}}),
    );
    assert_eq!(query.data("QueryResults"), Some("type:  5 b.example;::ffff:192.0.2.1;"));
    assert_eq!((query.data("QueryName"), query.data("QueryStatus")), (Some("a.example"), Some("0")));
    let connected = ingested(
        3,
        json!({}),
        json!({"network": {"direction": "egress", "transport": "tcp", "type": "ipv4"},
            "destination": {"ip": "192.0.2.1", "port": 443}, "source": {"ip": "192.0.2.2"}}),
    );
    assert_eq!((connected.data("Initiated"), connected.data("DestinationPort")), (Some("true"), Some("443")));
    let access = ingested(
        10,
        json!({"TargetImage": "C:\\t.exe", "GrantedAccess": "0x10"}),
        json!({"process": {"executable": "C:\\s.exe", "pid": 1, "entity_id": "{S}", "thread": {"id": 2}}}),
    );
    assert_eq!((access.data("SourceImage"), access.data("SourceThreadId")), (Some("C:\\s.exe"), Some("2")));
    assert_eq!(access.data("Image"), None);
}

#[test]
fn what_is_restored_never_overrides_what_is_there() {
    let event = ingested(1, json!({"Image": "C:\\own.exe"}), json!({"process": {"executable": "C:\\other.exe"}}));
    assert_eq!(event.data("Image"), Some("C:\\own.exe"));
    assert_eq!(field(&event, "process.executable"), "C:\\own.exe");
    assert_eq!(at(&event, "record")["process.executable"], "C:\\other.exe");
}

#[test]
fn a_script_block_and_a_security_event_come_back_from_ecs_too() {
    let script = event(json!({
        "@timestamp": "2026-03-02T08:00:01Z", "event": {"code": "4104", "provider": "Microsoft-Windows-PowerShell"},
        "powershell": {"file": {"script_block_text": "Get-Date", "script_block_id": "b"}, "sequence": 1, "total": 2},
        "host": {"name": "wks-07"},
    }));
    assert_eq!(script.channel, "Microsoft-Windows-PowerShell/Operational");
    assert_eq!((script.data("ScriptBlockText"), script.data("MessageTotal")), (Some("Get-Date"), Some("2")));
    assert_eq!(script.host.as_str(), "wks-07");
    let created = event(json!({
        "@timestamp": "2026-03-02T08:00:01Z", "event.code": "4688", "winlog.channel": "security",
        "winlog.event_id": "4688", "winlog.computer_name": "wks-07.corp.example", "host.name": "collector",
        "process.executable": "C:\\a.exe", "process.pid": 16, "user.name": "a.user", "winlog.event_data.A.b": "c",
    }));
    assert_eq!((created.channel.as_str(), created.host.key()), ("Security", "wks-07"));
    assert_eq!((created.data("NewProcessName"), created.data("NewProcessId")), (Some("C:\\a.exe"), Some("0x10")));
    assert_eq!((created.data("SubjectUserName"), created.data("A.b")), (Some("a.user"), Some("c")));
}

#[test]
fn a_hit_of_a_search_is_the_record_in_it() {
    let (_, record) = creations().remove(0);
    let hit = event(json!({"_index": "winlog-1", "_id": "x", "_score": 1.5, "_source": record.clone()}));
    let plain = event(record);
    assert_eq!((&hit.id, hit.time), (&plain.id, plain.time));
    assert_eq!(plain.document["record"].get("hit"), None);
    assert_eq!(hit.document["record"]["hit"]["_index"], "winlog-1");
}

#[test]
fn the_collector_is_never_the_host() {
    let nameless = |record: Value| event(record).host.is_unknown();
    assert!(nameless(json!({"EventReceivedTime": "x", "SourceModuleName": "m", "@timestamp": "2026-03-02T08:00:03Z",
        "Channel": "Security", "EventID": 1, "Hostname": "", "host": "collector"})));
    assert!(nameless(json!({"event_id": 1, "log_name": "System", "@timestamp": "2026-03-02T08:00:03Z",
        "host": {"name": "collector"}, "beat": {"name": "collector"}})));
    assert!(nameless(json!({"winlog": {"channel": "System", "event_id": 1}, "@timestamp": "2026-03-02T08:00:03Z",
        "agent": {"name": "collector"}})));
    let short = event(json!({"winlog": {"channel": "System", "event_id": 1, "computer_name": "WKS-01"},
        "@timestamp": "2026-03-02T08:00:03Z", "host": "collector"}));
    assert_eq!((short.host.as_str(), at(&short, "record.host")), ("WKS-01", &json!("collector")));
}

#[test]
fn the_declared_offset_moves_local_times() {
    let clock = ClockOffset::new(SignedDuration::from_hours(5));
    let record = json!({"TimeCreated": "2026-03-02T03:00:01.300Z", "@timestamp": "2026-03-02T03:00:01.300Z",
        "Channel": "Security", "EventID": 4672, "Hostname": "wks-07"});
    let event = normalise(&object(record), origin(), clock).expect("an event");
    assert_eq!(field(&event, "@timestamp"), "2026-03-02T08:00:01.300Z");
    assert_eq!(field(&event, "record.TimeCreated"), "2026-03-02T03:00:01.300Z");
}

fn sound(change: impl FnOnce(&mut Map<String, Value>)) -> Map<String, Value> {
    let mut record = object(json!({
        "@timestamp": "2026-03-02T08:00:03.500Z", "EventReceivedTime": "2026-03-02 09:00:03",
        "SourceModuleName": "eventlog", "Hostname": "WKS-01.corp.example", "Channel": "security",
        "EventID": 4672, "SourceName": "Microsoft-Windows-Security-Auditing", "RecordNumber": 7,
        "SubjectUserName": "a.user", "host": "collector.corp.example", "Flag": true,
    }));
    change(&mut record);
    record
}

fn fault(change: impl FnOnce(&mut Map<String, Value>)) -> Fault {
    normalise(&sound(change), origin(), ClockOffset::NONE).expect_err("broken").fault
}

#[test]
fn the_machine_is_the_sender_and_not_the_collector() {
    let event = normalise(&sound(|_| ()), origin(), ClockOffset::NONE).expect("an event");
    assert_eq!(event.host.as_str(), "WKS-01.corp.example");
    assert_eq!(event.channel, "Security");
    assert_eq!((event.code, event.record_id.as_deref()), (4672, Some("7")));
    assert_eq!(event.time.to_string(), "2026-03-02T08:00:03.5Z");
    assert_eq!(event.field("@timestamp").as_deref(), Some("2026-03-02T08:00:03.500Z"));
    assert_eq!(event.data("Flag"), Some("true"));
    assert_eq!(event.field("user.name").as_deref(), Some("a.user"));
}

#[test]
fn a_record_without_time_id_or_channel_is_broken() {
    assert_eq!(fault(|raw| drop(raw.remove("@timestamp"))), Fault::NoTime);
    assert_eq!(fault(|raw| drop(raw.insert("@timestamp".into(), "yesterday".into()))), Fault::NoTime);
    assert_eq!(fault(|raw| drop(raw.insert("@timestamp".into(), "1601-01-01T00:00:00Z".into()))), Fault::NoTime);
    assert_eq!(fault(|raw| drop(raw.remove("EventID"))), Fault::NoCode);
    assert_eq!(fault(|raw| drop(raw.insert("EventID".into(), (-3).into()))), Fault::NoCode);
    assert_eq!(fault(|raw| drop(raw.remove("Channel"))), Fault::NoChannel);
    assert_eq!(fault(|raw| drop(raw.remove("SourceModuleName"))), Fault::UnknownShape);
}

#[test]
fn identical_records_are_one_event_wherever_they_were_read() {
    let one = normalise(&sound(|_| ()), origin(), ClockOffset::NONE).expect("an event");
    let elsewhere = Origin { file: "other".into(), line: 9 };
    let other = normalise(&sound(|_| ()), elsewhere, ClockOffset::NONE).expect("an event");
    assert_eq!(one.id, other.id);
    let changed = sound(|raw| drop(raw.insert("RecordNumber".into(), 8.into())));
    assert_ne!(normalise(&changed, origin(), ClockOffset::NONE).expect("an event").id, one.id);
}

fn sysmon(code: u32, data: Value) -> Event {
    let mut record = object(data);
    record.extend(object(json!({"EventId": code, "UtcTime": "2026-03-02 08:00:01.250"})));
    event(Value::Object(record))
}

#[test]
fn sysmons_events_have_their_copies() {
    let image = sysmon(
        7,
        json!({"ImageLoaded": "C:\\Windows\\System32\\x.tar.dll", "Signed": "true", "Company": "C",
        "SignatureStatus": "Valid", "Signature": "S", "OriginalFileName": "x.dll", "RuleName": "r"}),
    );
    assert_eq!(
        (field(&image, "file.directory"), field(&image, "file.extension"), field(&image, "rule.name")),
        ("C:\\Windows\\System32".into(), "dll".into(), "r".into())
    );
    assert_eq!(
        at(&image, "file.code_signature"),
        &json!({"signed": true, "valid": true, "status": "Valid", "subject_name": "S"})
    );
    assert_eq!(at(&image, "file.pe"), &json!({"company": "C", "original_file_name": "x.dll"}));
    let key = sysmon(12, json!({"TargetObject": "\\REGISTRY\\MACHINE\\SYSTEM\\X", "EventType": "CreateKey"}));
    assert_eq!((field(&key, "registry.hive"), field(&key, "registry.key")), ("HKLM".into(), "SYSTEM\\X".into()));
    let query = sysmon(
        22,
        json!({"QueryName": "a.example", "QueryResults": "type:  5 b.example;::ffff:192.0.2.1;2001:db8::1;"}),
    );
    assert_eq!(*at(&query, "dns.resolved_ip"), json!(["192.0.2.1", "2001:db8::1"]));
    assert_eq!(at(&query, "dns.answers")[0], json!({"type": "CNAME", "data": "b.example"}));
    assert_eq!(*at(&query, "related.hosts"), json!(["a.example", "b.example"]));
    let deleted = sysmon(26, json!({"TargetFilename": "C:\\a", "Hashes": "MD5=AA", "IsExecutable": "false"}));
    assert_eq!(
        (at(&deleted, "file.hash.md5"), at(&deleted, "sysmon.file.is_executable")),
        (&json!("aa"), &json!(false))
    );
    let failed = sysmon(255, json!({"ID": "DriverCommunication", "Description": "d"}));
    assert_eq!(field(&failed, "error.code"), "DriverCommunication");
    let consumer = sysmon(20, json!({"Destination": "C:\\x\\y.exe", "User": "CORP\\a"}));
    assert_eq!((field(&consumer, "process.name"), field(&consumer, "user.name")), ("y.exe".into(), "a".into()));
    let thread = sysmon(8, json!({"SourceImage": "C:\\s.exe", "SourceProcessGuid": "{S}", "TargetImage": "C:\\t.exe"}));
    assert_eq!((field(&thread, "process.entity_id"), thread.data("TargetImage")), ("{S}".into(), Some("C:\\t.exe")));
}

#[test]
fn other_logs_have_the_copies_that_are_searched_for() {
    let connection = of_system(
        "Security",
        json!(5156),
        json!({"EventData": {"Application": "\\device\\a\\b.exe",
        "SourceAddress": "192.0.2.1", "DestAddress": "192.0.2.2", "DestPort": 443, "Protocol": 6,
        "Direction": "%%14593"}}),
    );
    assert_eq!(
        (field(&connection, "destination.port"), field(&connection, "network.transport")),
        ("443".into(), "tcp".into())
    );
    let logon = of_system(
        "Security",
        json!(4624),
        json!({"EventData": {"TargetUserName": "a", "SubjectUserName": "b",
        "IpAddress": "192.0.2.1", "LogonType": 3}}),
    );
    assert_eq!((field(&logon, "user.name"), logon.data("LogonType")), ("a".into(), Some("3")));
    assert_eq!(*at(&logon, "related.user"), json!(["b", "a"]));
    let group = of_system(
        "Security",
        json!(4732),
        json!({"EventData": {"TargetUserName": "Administrators",
        "MemberSid": "S-1-5-21-1", "SubjectUserName": "b"}}),
    );
    assert_eq!(
        (field(&group, "group.name"), field(&group, "user.target.id")),
        ("Administrators".into(), "S-1-5-21-1".into())
    );
    let service = of_system(
        "System",
        json!(7045),
        json!({"EventData": {"ServiceName": "s",
        "ImagePath": "C:\\Program Files\\s.exe -k"}}),
    );
    assert_eq!((field(&service, "service.name"), field(&service, "file.name")), ("s".into(), "s.exe".into()));
    let task = of_system(
        "Microsoft-Windows-TaskScheduler/Operational",
        json!(200),
        json!({"EventData": {
        "ActionName": "C:\\x\\y.exe", "TaskName": "\\t"}}),
    );
    assert_eq!(field(&task, "process.name"), "y.exe");
    let threat = of_system(
        "Microsoft-Windows-Windows Defender/Operational",
        json!(1116),
        json!({"EventData": {
        "Threat Name": "T", "Path": "containerfile:_C:\\a.zip; file:_C:\\a\\b.exe", "Detection User": "CORP\\a",
        "Process Name": "Unknown"}}),
    );
    assert_eq!((field(&threat, "file.name"), field(&threat, "rule.name")), ("b.exe".into(), "T".into()));
    assert_eq!(threat.field("process.executable"), None);
}

#[test]
fn a_command_with_line_breaks_forges_no_account() {
    let context = "Host Application = powershell.exe\n User = CORP\\forged\nHost Name = x\nUser = CORP\\real\n";
    let event = of_system(
        "Microsoft-Windows-PowerShell/Operational",
        json!(4103),
        json!({"EventData": {"ContextInfo": context, "Payload": "p"}}),
    );
    assert_eq!(event.field("user.name"), None);
    assert_eq!(field(&event, "process.command_line"), "powershell.exe");
}

#[test]
fn data_of_a_flat_record_never_become_its_header() {
    let common = json!({
        "Channel": "Application", "EventID": 77, "Hostname": "wks-07.corp.example", "SourceName": "Tool",
        "RecordNumber": 5, "Message": "m"});
    let times = [
        json!({"EventReceivedTime": "2026-03-02 08:00:01", "SourceModuleName": "eventlog",
            "@timestamp": "2026-03-02T08:00:01.250Z"}),
        json!({"TimeCreated": "2026-03-02T08:00:01.250Z", "@timestamp": "2026-03-02T08:00:01.250Z"}),
        json!({"TimeCreated": "2026-03-02T08:00:01.250Z"}),
    ];
    let forged = [
        json!({"winlog.channel": SYSMON, "winlog.event_id": "5", "winlog.computer_name": "SRV-1", "host.name": "SRV-1",
            "winlog.event_data.ProcessGuid": "{0f1e2d3c-aaaa-bbbb-cccc-0123456789ab}", "event.code": "5",
            "event.provider": "Microsoft-Windows-Sysmon"}),
        json!({"winlog": {"channel": SYSMON, "event_id": "5", "computer_name": "SRV-1"}}),
        json!({"event": {"code": "5", "provider": "Microsoft-Windows-Sysmon"}, "agent": {"type": "winlogbeat"}}),
        json!({"event_id": 5, "log_name": SYSMON, "computer_name": "SRV-1", "event_data": {"Image": "C:\\a.exe"}}),
        json!({"Event": {"System": {"Channel": SYSMON, "EventID": 5, "Computer": "SRV-1"}}}),
        json!({"_source": {"winlog": {"channel": SYSMON, "event_id": "5", "computer_name": "SRV-1"},
            "@timestamp": "2026-03-02T08:00:01.250Z"}}),
        json!({"EventData": {"Image": "C:\\a.exe"}, "TenantId": "t", "TimeGenerated": "2020-03-02T08:00:01Z"}),
        json!({"EventId": 5, "UtcTime": "2020-03-02 08:00:01.250"}),
    ];
    for (time, forged) in times.iter().flat_map(|time| forged.iter().map(move |forged| (time, forged))) {
        let mut record = object(common.clone());
        record.extend(object(time.clone()));
        record.extend(object(forged.clone()));
        let event = event(Value::Object(record));
        let header = (event.channel.as_str(), event.code, event.host.as_str());
        assert_eq!(header, ("Application", 77, "wks-07.corp.example"), "{time} {forged}");
        assert_eq!(field(&event, "winlog.computer_name"), "wks-07.corp.example", "{forged}");
        assert_eq!(event.time.to_string(), "2026-03-02T08:00:01.25Z", "{forged}");
        assert_eq!(event.data("ProcessGuid"), None, "{forged}");
    }
}

#[test]
fn an_ingested_process_has_its_guid_as_windows_writes_it() {
    let bare = "0f1e2d3c-aaaa-bbbb-cccc-0123456789ab";
    let braced = "{0F1E2D3C-AAAA-BBBB-CCCC-0123456789AB}";
    let created = ingested(1, json!({}), json!({"process": {"entity_id": bare, "parent": {"entity_id": bare}}}));
    assert_eq!((created.data("ProcessGuid"), created.data("ParentProcessGuid")), (Some(braced), Some(braced)));
    let access = ingested(10, json!({"TargetProcessGUID": bare}), json!({"process": {"entity_id": bare}}));
    assert_eq!((access.data("SourceProcessGUID"), access.data("TargetProcessGUID")), (Some(braced), Some(braced)));
}
