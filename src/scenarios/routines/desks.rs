//! What people do at their workstations, and what is done to these for them.

use super::super::office::{OFFICE, Process, Session};
use super::super::record::{From, Log, data};
use super::{HostDay, SYSTEM32};

const EDGE: &str = "C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe";
const OFFICE16: &str = "C:\\Program Files\\Microsoft Office\\root\\Office16\\";

/// Pages people read, with the addresses their names lead to.
const PAGES: [(&str, &str); 6] = [
    ("news.example", "192.0.2.21"),
    ("weather.example", "192.0.2.34"),
    ("freight.example", "192.0.2.47"),
    ("travel.example", "192.0.2.60"),
    ("library.example", "192.0.2.73"),
    ("intranet.harbour.example", "10.40.0.21"),
];

/// The command with which the reader's updater makes its task.
const TASK_COMMAND: &str = "schtasks.exe /Create /F /TN \"Brightpage\\Reader Maintenance\" /TR \"powershell.exe -NoProfile -ExecutionPolicy AllSigned -File \\\"C:\\Program Files\\Brightpage\\Reader\\maintain.ps1\\\"\" /SC DAILY /ST 03:10 /RU SYSTEM";

impl HostDay<'_> {
    /// Somebody's day at their workstation, from logon to logoff.
    pub fn working_day(&mut self) {
        let Some(person) = &self.host.person else { return };
        let session = self.host.session(OFFICE.who(person), self.day);
        let morning = self.host.morning(self.day);
        self.ticket(morning - 900);
        let desk = From { kind: 2, address: "127.0.0.1", workstation: &self.host.name, privileged: false };
        self.records.logon(self.host, morning, &session, &desk);
        let explorer = self.host.explorer(&session, self.day);
        let image = format!("{SYSTEM32}userinit.exe");
        let userinit = self.host.resident(&image, &format!("{image} {}", self.day));
        self.records.start(self.host, morning + 3_000, &explorer, &session, &userinit);
        let mut time = morning + self.pause(120);
        let browser = self.start(time, EDGE, &format!("\"{EDGE}\" --profile-directory=Default"), &session, &explorer);
        for _ in 0..2 + self.dice.below(3) {
            let (name, address) = PAGES[self.dice.below(PAGES.len() as u64) as usize];
            self.records.ask(self.host, time + 400, &browser, (name, address));
            self.records.connect(self.host, time + 480, &browser, (address, name, 443));
            time += self.pause(4_800);
        }
        let programs = ["WINWORD.EXE", "EXCEL.EXE", "OUTLOOK.EXE"];
        for _ in 0..1 + self.dice.below(2) {
            let program = programs[self.dice.below(3) as usize];
            self.document(&session, &explorer, program);
        }
        self.file_server(&session);
        let evening = self.between(15, 17);
        // When somebody logs off, the subsystem asks each program to end, with a thread of its own in it.
        self.subsystem_asks_to_end(evening, &browser);
        self.records.end(self.host, evening + 700, &browser);
        self.records.logoff(self.host, evening + 2_100, &session, 2);
    }

    fn subsystem_asks_to_end(&mut self, time: i64, browser: &Process) {
        let csrss = self.host.resident(
            "C:\\Windows\\System32\\csrss.exe",
            "%SystemRoot%\\system32\\csrss.exe ObjectDirectory=\\Windows SharedSection=1024,20480,768 Windows=On",
        );
        let data = data! {
            "SourceProcessGuid": csrss.guid, "SourceProcessId": csrss.pid, "SourceImage": csrss.image,
            "TargetProcessGuid": browser.guid, "TargetProcessId": browser.pid, "TargetImage": browser.image,
            "NewThreadId": 4 * (1_000 + self.dice.below(4_000)), "StartAddress": "0x00007FFC8B2E1F60",
            "StartModule": "C:\\Windows\\System32\\KERNELBASE.dll", "StartFunction": "CtrlRoutine",
            "SourceUser": csrss.user, "TargetUser": browser.user,
        };
        self.records.add(self.host, time, Log::Sysmon, 8, data);
    }

    /// A document is opened, changed and closed.
    fn document(&mut self, session: &Session, explorer: &Process, program: &str) {
        let time = self.between(8, 14);
        let image = format!("{OFFICE16}{program}");
        let opened = self.start(time, &image, &format!("\"{image}\""), session, explorer);
        let number = self.dice.below(900);
        let file = format!("C:\\Users\\{}\\Documents\\notes-{number}.docx", session.who.name);
        self.records.write(self.host, time + 40_000, &opened, &file);
        let hive = format!("HKU\\{}\\SOFTWARE\\Microsoft\\Office\\16.0\\Common\\Open Find\\Place", session.who.sid);
        self.records.set(self.host, time + 42_000, &opened, (&hive, &file));
        let end = time + self.pause(2_400);
        self.records.end(self.host, end, &opened);
    }

    /// Files on the server: the share's logons are the server's events.
    fn file_server(&mut self, session: &Session) {
        let Some(server) = OFFICE.host("HB-FS01") else { return };
        let time = self.between(8, 13);
        let remote = Session { id: format!("{:#x}", 0x80_0000 + self.dice.below(0x3f_ffff)), ..session.clone() };
        let from = From { kind: 3, address: &self.host.address, workstation: "-", privileged: false };
        self.records.logon(server, time, &remote, &from);
        let data = data! {
            "SubjectUserSid": remote.who.sid, "SubjectUserName": remote.who.name,
            "SubjectDomainName": remote.who.domain, "SubjectLogonId": remote.id, "ObjectType": "File",
            "IpAddress": self.host.address, "IpPort": 50_100 + self.dice.below(9_000),
            "ShareName": "\\\\*\\projects", "ShareLocalPath": "\\??\\D:\\projects", "AccessMask": "0x1",
            "AccessList": "%%4416",
        };
        self.records.add(server, time + 60, Log::Security, 5140, data);
        let end = time + self.pause(900);
        self.records.logoff(server, end, &remote, 3);
    }

    /// The domain controller gives a ticket for the morning's logon.
    fn ticket(&mut self, time: i64) {
        let (Some(controller), Some(person)) = (OFFICE.host("HB-DC01"), &self.host.person) else { return };
        let who = OFFICE.who(person);
        let address = format!("::ffff:{}", self.host.address);
        let port = 50_000 + self.dice.below(9_000);
        let asked = data! {
            "TargetUserName": who.name, "TargetDomainName": "HARBOUR", "TargetSid": who.sid, "ServiceName": "krbtgt",
            "ServiceSid": format!("{}-502", OFFICE.domain.sid), "TicketOptions": "0x40810010", "Status": "0x0",
            "TicketEncryptionType": "0x12", "PreAuthType": "2", "IpAddress": address, "IpPort": port,
            "CertIssuerName": "", "CertSerialNumber": "", "CertThumbprint": "",
        };
        self.records.add(controller, time, Log::Security, 4768, asked);
        let machine = OFFICE.machine(self.host);
        let service = data! {
            "TargetUserName": format!("{}@HARBOUR.EXAMPLE", who.name), "TargetDomainName": "HARBOUR.EXAMPLE",
            "ServiceName": machine.name, "ServiceSid": machine.sid, "TicketOptions": "0x40810000",
            "TicketEncryptionType": "0x12", "IpAddress": address, "IpPort": port + 1, "Status": "0x0",
            "LogonGuid": self.host.guid(time / 1_000, port), "TransmittedServices": "-",
        };
        self.records.add(controller, time + 120, Log::Security, 4769, service);
    }

    /// The reader's updater sees to its own task.
    pub fn reader_update(&mut self) {
        let (time, system, schedule) = (self.between(9, 15), self.host.system(), self.schedule());
        let image = "C:\\Program Files\\Brightpage\\Reader\\BrightpageUpdate.exe";
        let update = self.start(time, image, &format!("\"{image}\" /auto"), &system, &schedule);
        self.records.ask(self.host, time + 800, &update, ("update.brightpage.example", "198.51.100.77"));
        self.records.connect(self.host, time + 950, &update, ("198.51.100.77", "update.brightpage.example", 443));
        let tool = self.start(time + 2_900, &format!("{SYSTEM32}schtasks.exe"), TASK_COMMAND, &system, &update);
        self.records.write(
            self.host,
            time + 3_050,
            &schedule,
            "C:\\Windows\\System32\\Tasks\\Brightpage\\Reader Maintenance",
        );
        self.records.end(self.host, time + 3_200, &tool);
        self.records.end(self.host, time + 5_900, &update);
    }

    /// The help desk makes somebody administrator of their workstation for a while.
    pub fn help_desk_grants_administrator(&mut self) {
        let Some(person) = &self.host.person else { return };
        let time = self.between(8, 14);
        let helper = OFFICE.who("hd-moreau");
        let session = Session {
            id: format!("{:#x}", 0xc0_0000 + self.dice.below(0x1f_ffff)),
            desktop: 2,
            ..self.host.session(helper, self.day)
        };
        let desk = From { kind: 10, address: "10.40.8.110", workstation: &self.host.name, privileged: true };
        self.records.logon(self.host, time, &session, &desk);
        let explorer = self.host.explorer(&session, self.day);
        let shell = self.start(
            time + 60_000,
            &format!("{SYSTEM32}cmd.exe"),
            "\"C:\\Windows\\system32\\cmd.exe\" ",
            &session,
            &explorer,
        );
        let command = format!("net  localgroup Administrators HARBOUR\\{person} /add");
        let tool = self.start(time + 81_000, &format!("{SYSTEM32}net.exe"), &command, &session, &shell);
        let inner = format!("{SYSTEM32}net1.exe localgroup Administrators HARBOUR\\{person} /add");
        self.start(time + 81_060, &format!("{SYSTEM32}net1.exe"), &inner, &session, &tool);
        let member = OFFICE.who(person);
        let data = data! {
            "MemberName": "-", "MemberSid": member.sid, "TargetUserName": "Administrators",
            "TargetDomainName": "Builtin", "TargetSid": "S-1-5-32-544", "SubjectUserSid": session.who.sid,
            "SubjectUserName": session.who.name, "SubjectDomainName": session.who.domain,
            "SubjectLogonId": session.id, "PrivilegeList": "-",
        };
        self.records.add(self.host, time + 81_100, Log::Security, 4732, data);
        self.records.logoff(self.host, time + 240_000, &session, 10);
    }
}
