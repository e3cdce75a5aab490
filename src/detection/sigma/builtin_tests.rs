//! Every rule that comes with the program fires on what it is for, and keeps quiet beside it.

use serde_json::json;

use super::tests::{event, sysmon};
use super::*;

const POWERSHELL: &str = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe";
const ENCODED: &str = "SQBuAHYAbwBrAGUALQBTAG8AbQBlAHQAaABpAG4AZwA=";

fn titles(event: &Event) -> Vec<String> {
    RuleSet::builtin().detect(event).into_iter().map(|alert| alert.rule.title).collect()
}

/// The rule fires on the first event and not on the second.
fn tells_apart(title: &str, positive: &Event, negative: &Event) {
    assert!(titles(positive).iter().any(|fired| fired == title), "silent: {title}");
    assert!(!titles(negative).iter().any(|fired| fired == title), "fires wrongly: {title}");
}

fn process(image: &str, command: &str, parent: &str) -> Event {
    sysmon(1, json!({"Image": image, "CommandLine": command, "ParentImage": parent, "User": "CORP\\a.user"}))
}

#[test]
fn there_are_ten_sound_rules_with_complete_cards() {
    let rules = RuleSet::builtin();
    assert_eq!(rules.rejected(), []);
    assert_eq!(rules.unreachable(), []);
    assert_eq!(rules.len(), 10);
    for card in rules.cards() {
        assert_eq!(card.author.as_deref(), Some("watchfloor"), "{}", card.title);
        assert!(card.level >= Severity::Medium, "{}", card.title);
        assert!(matches!(card.status.as_deref(), Some("test" | "experimental")), "{}", card.title);
        assert!(card.description.as_deref().is_some_and(|text| text.contains("Intent")), "{}", card.title);
        assert!(!card.false_positives.is_empty() && !card.techniques().is_empty(), "{}", card.title);
        assert!(card.tactics().iter().all(|tactic| !tactic.contains('_')), "{}", card.title);
        assert_eq!(card.id.as_str().len(), 36, "{}", card.title);
    }
}

#[test]
fn hidden_encoded_powershell() {
    tells_apart(
        "PowerShell hides its window and its command",
        &process(POWERSHELL, &format!("powershell -nop -w hidden -enc {ENCODED}"), "C:\\x.exe"),
        &process(POWERSHELL, &format!("powershell -nop -enc {ENCODED}"), "C:\\x.exe"),
    );
    tells_apart(
        "PowerShell hides its window and its command",
        &process(POWERSHELL, &format!("powershell -WindowStyle 1 -EncodedCommand \"{ENCODED}\""), "C:\\x.exe"),
        &process(
            POWERSHELL,
            "powershell -w hidden -ExecutionPolicy RemoteSigned -File C:\\Tools\\inventory.ps1",
            "C:\\x.exe",
        ),
    );
}

#[test]
fn capable_script_blocks() {
    let block = |text: &str| event("Microsoft-Windows-PowerShell/Operational", 4104, json!({"ScriptBlockText": text}));
    tells_apart(
        "Script block decodes, downloads or calls native functions",
        &block("[dllimport(\"kernel32.dll\")] public static extern bool IsWow64Process();"),
        &block("Get-Service | Where-Object Status -eq Running"),
    );
}

#[test]
fn office_children() {
    let word = "C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE";
    tells_apart(
        "Office program starts a command or script interpreter",
        &process("C:\\Windows\\System32\\cmd.exe", "cmd /c dir", word),
        &process("C:\\Windows\\splwow64.exe", "splwow64.exe 8192", word),
    );
}

#[test]
fn dumps_with_a_system_library() {
    let rundll = "C:\\Windows\\System32\\rundll32.exe";
    let title = "Process memory is dumped with a system library";
    tells_apart(
        title,
        &process(rundll, "rundll32 C:\\Windows\\System32\\comsvcs.dll, MiniDump 700 C:\\Temp\\a.bin full", "C:\\x.exe"),
        &process(rundll, "rundll32 shell32.dll,Control_RunDLL timedate.cpl", "C:\\x.exe"),
    );
    tells_apart(
        title,
        &process(rundll, "rundll32 comsvcs.dll #24 700 a.bin full", "C:\\x.exe"),
        &process("C:\\Windows\\System32\\regsvr32.exe", "regsvr32 /s comsvcs.dll", "C:\\x.exe"),
    );
}

#[test]
fn lsass_readers() {
    let access = |image: &str, mask: &str| {
        let lsass = "C:\\Windows\\System32\\lsass.exe";
        sysmon(10, json!({"SourceImage": image, "TargetImage": lsass, "GrantedAccess": mask}))
    };
    let title = "Credential store process opened for reading by a program outside system folders";
    let stray = "C:\\Users\\a.user\\Downloads\\tool.exe";
    for mask in ["0x1010", "0x1410", "0x1438", "0x143A", "0x1fffff", "0x10"] {
        tells_apart(title, &access(stray, mask), &access("C:\\Windows\\System32\\svchost.exe", mask));
    }
    for mask in ["0x1000", "0x1400", "0x40", "0x100000"] {
        tells_apart(title, &access(stray, "0x1010"), &access(stray, mask));
    }
}

#[test]
fn removed_shadow_copies() {
    let title = "Shadow copies or backups are removed";
    let list = process("C:\\Windows\\System32\\vssadmin.exe", "vssadmin list shadows", "C:\\x.exe");
    for command in [
        "vssadmin.exe Delete Shadows /all /quiet",
        "wmic shadowcopy delete",
        "wbadmin delete catalog -quiet",
        "vssadmin resize shadowstorage /for=c: /on=c: /maxsize=401MB",
    ] {
        tells_apart(title, &process("C:\\Windows\\System32\\any.exe", command, "C:\\x.exe"), &list);
    }
}

#[test]
fn services_that_are_commands() {
    let installed = |path: &str| {
        let data = json!({"SourceName": "Service Control Manager", "ServiceName": "Svc", "ImagePath": path});
        event("System", 7045, data)
    };
    tells_apart(
        "New service whose program is a shell command",
        &installed("%COMSPEC% /Q /c echo x"),
        &installed("\"C:\\Program Files\\Vendor\\agent.exe\" --service"),
    );
}

#[test]
fn shells_of_the_service_manager() {
    let services = "C:\\Windows\\System32\\services.exe";
    tells_apart(
        "Service manager starts a command interpreter",
        &process("C:\\Windows\\System32\\cmd.exe", "cmd /c whoami", services),
        &process("C:\\Windows\\System32\\svchost.exe", "svchost -k netsvcs", services),
    );
}

#[test]
fn scripts_in_run_keys() {
    let run = |details: &str| {
        let key = "HKU\\S-1-5-21-1-2-3-1001\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\Updater";
        sysmon(13, json!({"EventType": "SetValue", "TargetObject": key, "Details": details}))
    };
    tells_apart(
        "Script in a user-writable folder starts at logon",
        &run("wscript.exe \"C:\\Users\\a.user\\AppData\\Roaming\\sync.vbs\""),
        &run("\"C:\\Users\\a.user\\AppData\\Local\\Vendor\\Updater.exe\" --background"),
    );
}

#[test]
fn a_cleared_log() {
    let cleared = |provider: &str| event("Security", 1102, json!({"SourceName": provider}));
    tells_apart(
        "Security log cleared",
        &cleared("Microsoft-Windows-Eventlog"),
        &event("Security", 1100, json!({"SourceName": "Microsoft-Windows-Eventlog"})),
    );
    assert!(titles(&cleared("Other")).is_empty());
}
