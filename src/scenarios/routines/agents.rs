//! What software and administrators do to the machines of the office: inventory, management, security, backup, upkeep.

use super::super::dice::digits_of;
use super::super::office::{OFFICE, Session};
use super::super::record::{From, Log, data};
use super::{HostDay, SYSTEM32};

const POWERSHELL: &str = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe";

/// What the management agent's encoded command says.
const AGENT_COMMAND: &str = "$p = Get-CimInstance Win32_OperatingSystem | Select-Object Version,LastBootUpTime; $d = Get-CimInstance Win32_LogicalDisk -Filter 'DriveType=3' | Select-Object DeviceID,FreeSpace; ConvertTo-Json @{ os = $p; disks = $d } -Compress";

/// The command that fetches the revocation list, and where it lands.
const CRL_COMMAND: &str = "certutil.exe -f -urlcache -split http://pki.harbour.example/crl/HarbourIssuing01.crl C:\\ProgramData\\Harbour\\pki\\HarbourIssuing01.crl";
const CRL_FILE: &str = "C:\\ProgramData\\Harbour\\pki\\HarbourIssuing01.crl";

/// The command by which the backup lets go of its oldest snapshot.
const RETENTION_COMMAND: &str = "vssadmin.exe delete shadows /for=D: /oldest /quiet";

/// What Defender's script says: words that a broad rule looks for, and nothing that acts.
const COLLECTION_TEXT: &str = "# Collects what security products this device reports.\n$ErrorActionPreference = 'Stop'\n$source = @\"\n[DllImport(\"wscapi.dll\")] public static extern int WscGetSecurityProviderHealth(uint providers, out int health);\n\"@\n$type = Add-Type -MemberDefinition $source -Name Wsc -Namespace Inventory -PassThru\n$health = 0\n[void]$type::WscGetSecurityProviderHealth(4, [ref]$health)\n$products = Get-CimInstance -Namespace root/SecurityCenter2 -ClassName AntiVirusProduct | Select-Object displayName, productState\n$modules = Get-Module -ListAvailable | Measure-Object\nConvertTo-Json @{ health = $health; products = $products; modules = $modules.Count } -Compress\n";

impl HostDay<'_> {
    /// The inventory's daily questions.
    pub fn inventory(&mut self) {
        let (time, system) = (self.between(10, 12), self.host.system());
        let service = self.service("C:\\Program Files\\Lantern Inventory\\LanternService.exe");
        let image = "C:\\Program Files\\Lantern Inventory\\LanternScan.exe";
        let scan = self.start(time, image, &format!("\"{image}\" /quiet /profile:daily"), &system, &service);
        let questions = [
            ("systeminfo.exe", "systeminfo.exe /fo csv"),
            ("ipconfig.exe", "ipconfig.exe /all"),
            ("tasklist.exe", "tasklist.exe /svc /fo csv"),
            ("NETSTAT.EXE", "netstat.exe -ano"),
            ("ROUTE.EXE", "route.exe print"),
        ];
        let mut at = time + 1_300;
        for (program, command) in questions {
            self.start(at, &format!("{SYSTEM32}{program}"), command, &system, &scan);
            at += self.pause(3);
        }
        let report = "C:\\ProgramData\\Lantern\\outbox\\daily.json";
        self.records.write(self.host, at, &scan, report);
        let server = ("10.40.0.24", "HB-MGT01.harbour.example", 443);
        self.records.connect(self.host, at + 600, &scan, server);
        self.records.end(self.host, at + 1_900, &scan);
    }

    /// The management agent asks the machine how it is; it encodes the question to survive quoting.
    pub fn management_agent(&mut self) {
        let (time, system) = (self.between(6, 18), self.host.system());
        let agent = self.service("C:\\Program Files\\Tidewater\\Agent\\TideAgent.exe");
        let command = format!(
            "\"{POWERSHELL}\" -NoProfile -NonInteractive -WindowStyle Hidden -EncodedCommand {}",
            encoded(AGENT_COMMAND)
        );
        let shell = self.start(time, POWERSHELL, &command, &system, &agent);
        self.records.script(self.host, time + 800, (&system.who, &shell), (AGENT_COMMAND, ""));
        let end = time + self.pause(6);
        self.records.end(self.host, end, &shell);
    }

    /// Defender for Endpoint runs one of its inventory scripts.
    pub fn defender_collects(&mut self) {
        let (time, system) = (self.between(5, 19), self.host.system());
        let folder = "C:\\Program Files\\Windows Defender Advanced Threat Protection\\";
        let sense = self.service(&format!("{folder}MsSense.exe"));
        let image = format!("{folder}SenseIR.exe");
        let number = 4_000_000 + self.dice.below(5_000_000);
        let runner = self.start(time, &image, &format!("\"{image}\" \"OnlineSenseIR\" \"{number}\""), &system, &sense);
        let script = collection_script(&format!("{}:{}", self.host.name, self.day), number);
        self.records.write(self.host, time + 1_700, &runner, &script);
        let shell = self.start(time + 2_400, POWERSHELL, &collection_command(&script), &system, &runner);
        let console = "\\??\\C:\\Windows\\system32\\conhost.exe 0xffffffff -ForceV1";
        self.start(time + 2_460, &format!("{SYSTEM32}conhost.exe"), console, &system, &shell);
        self.records.script(self.host, time + 4_300, (&system.who, &shell), (COLLECTION_TEXT, &script));
        let end = time + 4_300 + self.pause(8);
        self.records.end(self.host, end, &shell);
    }

    /// Certificates are worth what their revocation list is: it is fetched every day.
    pub fn revocation_list(&mut self) {
        let (time, system, schedule) = (self.between(4, 6), self.host.system(), self.schedule());
        let tool = self.start(time, &format!("{SYSTEM32}certutil.exe"), CRL_COMMAND, &system, &schedule);
        self.records.ask(self.host, time + 300, &tool, ("pki.harbour.example", "10.40.0.25"));
        self.records.connect(self.host, time + 380, &tool, ("10.40.0.25", "HB-CA01.harbour.example", 80));
        self.records.write(self.host, time + 700, &tool, CRL_FILE);
        self.records.end(self.host, time + 1_100, &tool);
    }

    /// The nightly backup keeps its newest snapshots and lets go of the oldest.
    pub fn backup(&mut self) {
        let (time, system) = (self.between(0, 2), self.host.system());
        let service = Session {
            who: OFFICE.who("svc-backup"),
            id: format!("{:#x}", 0xe0_0000 + self.dice.below(0x1f_ffff)),
            guid: self.host.guid(time / 1_000, 9),
            desktop: 0,
        };
        let from = From { kind: 3, address: "10.40.0.23", workstation: "-", privileged: true };
        self.records.logon(self.host, time - 4_000, &service, &from);
        let agent = self.service("C:\\Program Files\\Quayside Backup\\QuaysideAgent.exe");
        let tool = format!("{SYSTEM32}vssadmin.exe");
        for (after, command) in [(0, "vssadmin.exe list shadows /for=D:"), (9_000, RETENTION_COMMAND)] {
            let run = self.start(time + after, &tool, command, &system, &agent);
            self.records.end(self.host, time + after + 2_300, &run);
        }
        self.records.logoff(self.host, time + 61_000, &service, 3);
    }

    /// On Wednesday evenings the server team runs a check on the servers, from the jump host.
    pub fn maintenance_from_jump_host(&mut self) {
        let time = self.between(20, 22);
        let Some(jump) = OFFICE.host("HB-JMP01") else { return };
        let session = Session {
            who: OFFICE.who("adm-keller"),
            id: format!("{:#x}", 0xa0_0000 + self.dice.below(0x1f_ffff)),
            guid: self.host.guid(time / 1_000, 11),
            desktop: 0,
        };
        let from = From { kind: 3, address: &jump.address, workstation: "-", privileged: true };
        self.records.logon(self.host, time, &session, &from);
        let data = data! {
            "SubjectUserSid": session.who.sid, "SubjectUserName": session.who.name,
            "SubjectDomainName": session.who.domain, "SubjectLogonId": session.id, "ObjectType": "File",
            "IpAddress": jump.address, "IpPort": 50_000 + time / 1_000 % 12_000, "ShareName": "\\\\*\\ADMIN$",
            "ShareLocalPath": "\\??\\C:\\Windows", "RelativeTargetName": "PSEXESVC.exe", "AccessMask": "0x12019f",
            "AccessList": "%%1538\n\t\t\t\t%%4417", "AccessReason": "-",
        };
        self.records.add(self.host, time + 180, Log::Security, 5145, data);
        let system = self.host.system();
        let file = self.host.resident("System", "");
        self.records.write(self.host, time + 300, &file, "C:\\Windows\\PSEXESVC.exe");
        let data = data! {
            "ServiceName": "PSEXESVC", "ImagePath": "%SystemRoot%\\PSEXESVC.exe", "ServiceType": "user mode service",
            "StartType": "demand start", "AccountName": "LocalSystem",
        };
        self.records.add_of(self.host, time + 420, (Log::System, 7045), Some(session.who.clone()), data);
        let services = self.services();
        let image = "C:\\Windows\\PSEXESVC.exe";
        let service = self.start(time + 500, image, image, &system, &services);
        for stream in ["stdin", "stdout", "stderr"] {
            let data = data! {
                "EventType": "CreatePipe", "ProcessGuid": service.guid, "ProcessId": service.pid,
                "PipeName": format!("\\PSEXESVC-HB-JMP01-5120-{stream}"), "Image": service.image, "User": service.user,
            };
            self.records.add(self.host, time + 560, Log::Sysmon, 17, data);
        }
        let checked = "C:\\Program Files\\Quayside Backup\\QuaysideAgent.exe";
        let check = self.start(time + 640, checked, &format!("\"{checked}\" verify --last 7"), &session, &service);
        self.records.end(self.host, time + 30_000, &check);
        self.records.end(self.host, time + 31_000, &service);
        self.records.logoff(self.host, time + 33_000, &session, 3);
    }

    /// Component Services is opened to look at the queued components of a server.
    pub fn component_services(&mut self) {
        let time = self.between(12, 15);
        let Some(jump) = OFFICE.host("HB-JMP01") else { return };
        let session = Session {
            id: format!("{:#x}", 0x90_0000 + self.dice.below(0x0f_ffff)),
            desktop: 2,
            ..self.host.session(OFFICE.who("adm-keller"), self.day)
        };
        let from = From { kind: 10, address: &jump.address, workstation: &self.host.name, privileged: true };
        self.records.logon(self.host, time, &session, &from);
        let explorer = self.host.explorer(&session, self.day);
        let image = format!("{SYSTEM32}mmc.exe");
        let command = format!("\"{image}\" \"C:\\Windows\\system32\\comexp.msc\" ");
        let console = self.start(time + 90_000, &image, &command, &session, &explorer);
        self.records.load(self.host, time + 91_400, &console, "C:\\Windows\\System32\\comsvcs.dll");
        self.records.end(self.host, time + 400_000, &console);
        self.records.logoff(self.host, time + 460_000, &session, 10);
    }
}

/// The name of one of Defender's inventory scripts.
fn collection_script(words: &str, number: u64) -> String {
    let digits = digits_of(&format!("collection:{words}"));
    format!(
        "C:\\ProgramData\\Microsoft\\Windows Defender Advanced Threat Protection\\DataCollection\\{}.{number}.0.{number}-{}\\{}-{}-4{}-9{}-{}.ps1",
        8_700 + number % 200,
        &digits[..40],
        &digits[40..48],
        &digits[48..52],
        &digits[52..55],
        &digits[55..58],
        &digits[..12],
    )
}

/// The command with which Defender's sensor runs a script.
fn collection_command(script: &str) -> String {
    let hash = digits_of(script);
    format!(
        "powershell.exe -ExecutionPolicy AllSigned -NoProfile -NonInteractive -Command \"& {{$OutputEncoding = [Console]::OutputEncoding =[System.Text.Encoding]::UTF8;$scriptFileStream = [System.IO.File]::Open('{script}', [System.IO.FileMode]::Open, [System.IO.FileAccess]::Read, [System.IO.FileShare]::Read);$calculatedHash = Microsoft.PowerShell.Utility\\Get-FileHash '{script}' -Algorithm SHA256;if (!($calculatedHash.Hash -eq '{hash}')) {{ exit 323;}}; . '{script}'}}\""
    )
}

/// Text as PowerShell takes encoded commands: base64 of UTF-16.
fn encoded(text: &str) -> String {
    use base64::Engine as _;
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
