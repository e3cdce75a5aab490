//! How fast logs get in: reading alone, the rules alone, and an import with detection into a real store on a real
//! disk, with the memory it took.
//!
//! The events are written here, of the kinds and sizes that Windows hosts with Sysmon send; nothing in them is
//! remarkable, so that what is measured is the passing of ordinary events. The CPU time of an import is told besides,
//! which other programs on the machine disturb less.
//!
//! `WATCHFLOOR_BENCH_EVENTS=N` changes how many there are, `WATCHFLOOR_RULES=PATH` names other rules than the shipped
//! ones, and `WATCHFLOOR_BENCH_STRICT=1` makes it fail below a bar.

mod cost;

use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use watchfloor::detection::clock::ClockOffset;
use watchfloor::detection::read::{EventLog, Inputs};
use watchfloor::detection::sigma::{Detector, RuleSet};
use watchfloor::domain::event::Event;
use watchfloor::floor::assembly::{Stores, assemble};
use watchfloor::floor::faults::Faults;
use watchfloor::floor::import::{Watch, import_all};
use watchfloor::floor::state_folder::StateFolder;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Events a second that an import with detection has to pass on two cores.
const IMPORT_BAR: f64 = 12_000.0;

/// Events a second that the rules have to pass on one core.
const DETECT_BAR: f64 = 15_000.0;

/// Memory an import may take, in megabytes.
const MEMORY_BAR: f64 = 300.0;

/// How many events there are unless it is told otherwise.
const EVENTS: u64 = 100_000;

/// Events that the rules look at again and again in their own measurement.
const SAMPLE: usize = 5_000;

/// One record as NXLog forwards it. Kinds come in about the proportions in which a host with Sysmon sends them.
fn record(number: u64, line: &mut String) {
    let (host, user) = (number % 40, number % 23);
    let process = format!("{{7E1D3A52-{:04X}-6911-{:04X}-00000000{:04X}}}", host, number % 0xffff, number / 7 % 0xffff);
    let programs =
        ["svchost.exe", "chrome.exe", "teams.exe", "outlook.exe", "MsMpEng.exe", "explorer.exe", "agent.exe"];
    let program = programs[(number / 3 % 7) as usize];
    let image = format!(r"C:\\Program Files\\Kestrel\\{program}");
    let (channel, source, code, data) = match number % 16 {
        0 => (
            "Microsoft-Windows-Sysmon/Operational",
            "Microsoft-Windows-Sysmon",
            1,
            format!(
                r#""Image":"{image}","CommandLine":"\"{image}\" --type=worker --session={number} --report-to https://kestrel.example/inventory","CurrentDirectory":"C:\\Windows\\System32\\","ParentImage":"C:\\Windows\\System32\\services.exe","ParentCommandLine":"C:\\Windows\\System32\\services.exe","ParentProcessGuid":"{{7E1D3A52-0001-6911-0B00-000000000400}}","ParentProcessId":"612","IntegrityLevel":"Medium","OriginalFileName":"{program}","Company":"Kestrel Software","Hashes":"SHA256={number:064X},IMPHASH={number:032X}","LogonId":"0x{number:x}""#
            ),
        ),
        1..=3 => (
            "Microsoft-Windows-Sysmon/Operational",
            "Microsoft-Windows-Sysmon",
            7,
            format!(
                r#""Image":"{image}","ImageLoaded":"C:\\Windows\\System32\\module{}.dll","Signed":"true","Signature":"Microsoft Windows","SignatureStatus":"Valid","Hashes":"SHA256={number:064X},IMPHASH={number:032X}","OriginalFileName":"module.dll""#,
                number % 400
            ),
        ),
        4 | 5 => (
            "Microsoft-Windows-Sysmon/Operational",
            "Microsoft-Windows-Sysmon",
            10,
            format!(
                r#""SourceImage":"{image}","TargetImage":"C:\\Windows\\System32\\svchost.exe","SourceProcessGUID":"{process}","TargetProcessGUID":"{process}","GrantedAccess":"0x1000","CallTrace":"C:\\Windows\\SYSTEM32\\ntdll.dll+9d4c4|C:\\Windows\\System32\\KERNELBASE.dll+2c13e|{image}+{number:x}""#
            ),
        ),
        6..=8 => (
            "Microsoft-Windows-Sysmon/Operational",
            "Microsoft-Windows-Sysmon",
            13,
            format!(
                r#""EventType":"SetValue","Image":"{image}","TargetObject":"HKLM\\System\\CurrentControlSet\\Services\\kestrel\\State\\{number}","Details":"DWORD (0x{:08x})""#,
                number & 0xffff_ffff
            ),
        ),
        9 => (
            "Microsoft-Windows-Sysmon/Operational",
            "Microsoft-Windows-Sysmon",
            3,
            format!(
                r#""Image":"{image}","Protocol":"tcp","Initiated":"true","SourceIp":"192.0.2.{host}","SourcePort":"{}","DestinationIp":"198.51.100.{user}","DestinationPort":"443","DestinationHostname":"kestrel.example""#,
                49_152 + number % 16_000
            ),
        ),
        10 => (
            "Microsoft-Windows-Sysmon/Operational",
            "Microsoft-Windows-Sysmon",
            11,
            format!(r#""Image":"{image}","TargetFilename":"C:\\ProgramData\\Kestrel\\cache\\{number}.tmp""#),
        ),
        11 => (
            "Microsoft-Windows-Sysmon/Operational",
            "Microsoft-Windows-Sysmon",
            22,
            format!(
                r#""Image":"{image}","QueryName":"node{}.kestrel.example","QueryStatus":"0","QueryResults":"::ffff:198.51.100.{user};""#,
                number % 900
            ),
        ),
        12 | 13 => (
            "Security",
            "Microsoft-Windows-Security-Auditing",
            4624,
            format!(
                r#""SubjectUserName":"-","TargetUserName":"user{user}","TargetDomainName":"CORP","TargetLogonId":"0x{number:x}","LogonType":"3","IpAddress":"192.0.2.{host}","IpPort":"0","AuthenticationPackageName":"Kerberos","ElevatedToken":"%%1843""#
            ),
        ),
        14 => (
            "Security",
            "Microsoft-Windows-Security-Auditing",
            4663,
            format!(
                r#""SubjectUserName":"user{user}","ObjectName":"D:\\shares\\projects\\plan-{number}.docx","ObjectType":"File","AccessMask":"0x1","ProcessName":"{image}","HandleId":"0x{number:x}""#
            ),
        ),
        _ => (
            "Microsoft-Windows-PowerShell/Operational",
            "Microsoft-Windows-PowerShell",
            4104,
            format!(
                r#""ScriptBlockId":"{number:032x}","MessageNumber":"1","MessageTotal":"1","ScriptBlockText":"function Get-Inventory {{ param([string]$Computer) $items = Get-CimInstance -ClassName Win32_Product -ComputerName $Computer; foreach ($item in $items) {{ [pscustomobject]@{{ Name = $item.Name; Version = $item.Version; Run = {number} }} }} }} Get-Inventory -Computer wks-{host}.corp.example | Export-Csv -Path C:\\ProgramData\\Kestrel\\inventory.csv -NoTypeInformation""#
            ),
        ),
    };
    let (minute, second) = (number / 600 % 60, number / 10 % 60);
    let message = "An ordinary event: the message repeats what the fields say, in the words of the provider's template, and so takes about half of the record, as it does in the logs of every Windows host that forwards rendered events. ";
    let written = write!(
        line,
        r#"{{"@timestamp":"2026-03-02T08:{minute:02}:{second:02}.{:03}Z","EventReceivedTime":"2026-03-02 09:{minute:02}:{second:02}","SourceModuleName":"eventlog","SourceModuleType":"im_msvistalog","Hostname":"WKS-{host}.corp.example","Channel":"{channel}","SourceName":"{source}","EventID":{code},"RecordNumber":{number},"ExecutionProcessID":3120,"ThreadID":4416,"UtcTime":"2026-03-02 08:{minute:02}:{second:02}.{:03}","ProcessGuid":"{process}","ProcessId":"{}","User":"CORP\\user{user}",{data},"Message":"{message}"}}"#,
        number % 1000,
        number % 1000,
        number % 30_000
    );
    written.expect("a text takes everything");
    line.push('\n');
}

fn write_log(folder: &Path, events: u64) -> PathBuf {
    let path = folder.join("events.ndjson");
    let mut file = BufWriter::new(std::fs::File::create(&path).expect("room for the log"));
    let mut line = String::new();
    for number in 1..=events {
        line.clear();
        record(number, &mut line);
        file.write_all(line.as_bytes()).expect("room for the log");
    }
    file.flush().expect("room for the log");
    path
}

/// The most memory this process ever took, in megabytes, where the system shows it as a file.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}

/// Events a second of an import with detection.
async fn import_rate(log: &Path, folder: &Path, rules: Arc<RuleSet>) -> f64 {
    let faults = Faults::default();
    let state = StateFolder::take(&folder.join("state")).expect("a folder of its own");
    let stores = Stores::open(state.path(), &faults).expect("new stores");
    let shared = assemble(&state, stores, faults).await.expect("a floor");
    let began = Instant::now();
    let inputs = Inputs::find(&[log.to_owned()]).expect("it is a log").logs;
    let imported = import_all(&shared, inputs, ClockOffset::NONE, &mut Detector::new(rules), &Watch::default())
        .await
        .expect("it is imported");
    let seconds = began.elapsed().as_secs_f64();
    let (_, imported) = &imported[0];
    assert!(imported.damage.is_none(), "{}", imported.damage);
    println!("alerts raised:           {}", imported.alerts.len());
    imported.events as f64 / seconds
}

/// Events a second of reading on one core, and some of the events.
fn read_rate(log: &Path) -> (f64, Vec<Event>) {
    let began = Instant::now();
    let (mut count, mut sample) = (0_u64, Vec::with_capacity(SAMPLE));
    for event in EventLog::open(log).expect("it is a log") {
        count += 1;
        if sample.len() < SAMPLE {
            sample.push(event);
        }
    }
    (count as f64 / began.elapsed().as_secs_f64(), sample)
}

/// Events a second that the rules pass on one core.
fn detect_rate(rules: &RuleSet, sample: &[Event], events: u64) -> f64 {
    let began = Instant::now();
    let (mut count, mut found) = (0_u64, 0);
    while count < events {
        found += sample.iter().map(|event| rules.detect(event).len()).sum::<usize>();
        count += sample.len() as u64;
    }
    std::hint::black_box(found);
    count as f64 / began.elapsed().as_secs_f64()
}

fn main() -> ExitCode {
    let told = |name: &str| std::env::var(name).ok();
    let events = told("WATCHFLOOR_BENCH_EVENTS").and_then(|events| events.parse().ok()).unwrap_or(EVENTS);
    let rules =
        Arc::new(told("WATCHFLOOR_RULES").map_or_else(RuleSet::builtin, |path| {
            RuleSet::load(Path::new(&path)).expect("WATCHFLOOR_RULES names rules")
        }));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let folder = tempfile::tempdir().expect("a folder");
    let log = write_log(folder.path(), events);
    let bytes = log.metadata().map_or(0, |file| file.len()) as f64 / 1e6;
    println!("{events} events, {bytes:.0} MB, {} rules, {cores} cores", rules.len());

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let before = cost::cpu_seconds();
    let import = runtime.block_on(import_rate(&log, folder.path(), rules.clone()));
    let (memory, after) = (peak_memory(), cost::cpu_seconds());
    if let Some((before, after)) = before.zip(after) {
        let each = (after - before) * 1e6 / events as f64;
        println!("CPU of the import:       {each:.0} µs an event, {:.0} events per CPU second", 1e6 / each);
    }
    println!("import and detection:    {import:.0} events/s on all cores (bar {IMPORT_BAR:.0} on two)");
    match memory {
        Some(memory) => println!("peak memory:             {memory:.0} MB (bar {MEMORY_BAR:.0})"),
        None => println!("peak memory:             not measured on this system"),
    }
    let (read, sample) = read_rate(&log);
    println!("reading:                 {read:.0} events/s on one core");
    let detect = detect_rate(&rules, &sample, events);
    println!("detection:               {detect:.0} events/s on one core (bar {DETECT_BAR:.0})");

    let below = import < IMPORT_BAR || detect < DETECT_BAR || memory.is_some_and(|memory| memory > MEMORY_BAR);
    if below {
        println!("below a bar");
    }
    let strict = told("WATCHFLOOR_BENCH_STRICT").is_some_and(|value| value == "1");
    if below && strict { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
