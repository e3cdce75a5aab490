//! What a machine of the office does on an ordinary day: what Windows does by itself, and what all routines share.

mod agents;
mod desks;

use super::dice::Dice;
use super::office::{DAY, Host, Process, Session};
use super::record::{From, Log, Records, data};

const SYSTEM32: &str = "C:\\Windows\\System32\\";

/// A day of a host in the making.
pub struct HostDay<'r> {
    records: &'r mut Records,
    pub host: &'static Host,
    /// Counted from 1970.
    pub day: i64,
    dice: Dice,
    started: u64,
}

impl<'r> HostDay<'r> {
    pub const fn new(records: &'r mut Records, host: &'static Host, day: i64, dice: Dice) -> Self {
        Self { records, host, day, dice, started: 0 }
    }

    /// A moment of the day between two hours, in milliseconds.
    fn between(&mut self, from: i64, to: i64) -> i64 {
        self.day * DAY + self.dice.minutes(from * 60, to * 60)
    }

    /// A pause of about so many seconds.
    fn pause(&mut self, seconds: u64) -> i64 {
        (seconds * 500 + self.dice.below(seconds * 1_000)) as i64
    }

    /// A process that starts now.
    fn start(&mut self, time: i64, image: &str, command: &str, session: &Session, parent: &Process) -> Process {
        self.started += 1;
        let number = 0x5000 + (self.day.unsigned_abs() % 64) * 0x200 + self.started;
        let process = Process {
            guid: self.host.guid(time.div_euclid(1_000), number),
            pid: 4 * (1_100 + self.dice.below(3_000)),
            image: image.to_owned(),
            command: command.to_owned(),
            user: session.who.full(),
        };
        self.records.start(self.host, time, &process, session, parent);
        process
    }

    fn services(&self) -> Process {
        self.host.resident("C:\\Windows\\System32\\services.exe", "C:\\Windows\\system32\\services.exe")
    }

    fn svchost(&self, group: &str) -> Process {
        self.host
            .resident("C:\\Windows\\System32\\svchost.exe", &format!("C:\\Windows\\system32\\svchost.exe -k {group}"))
    }

    fn schedule(&self) -> Process {
        self.svchost("netsvcs -p -s Schedule")
    }

    fn service(&self, image: &str) -> Process {
        self.host.resident(image, &format!("\"{image}\""))
    }

    /// What a machine does by itself, whoever is there: now and then something of each kind.
    pub fn housekeeping(&mut self) {
        let mut time = self.between(1, 22);
        for turn in 0..3 {
            self.glance(time, turn);
            time += self.pause(30);
        }
    }

    /// The hours around an act: every few minutes something small, of every kind before and after.
    pub fn busy_hours(&mut self, from: i64, to: i64) {
        let (mut time, mut turn) = (from, 0);
        while time < to {
            self.glance(time, turn);
            turn += 1;
            time += self.pause(150);
        }
    }

    /// One of the small things that Windows does all day.
    fn glance(&mut self, time: i64, turn: u64) {
        let (system, schedule) = (self.host.system(), self.schedule());
        let network = self.svchost("NetworkService -p -s Dnscache");
        match turn % 6 {
            0 => {
                let command = "taskhostw.exe";
                let image = format!("{SYSTEM32}taskhostw.exe");
                let task = self.start(time, &image, command, &system, &schedule);
                self.records.load(self.host, time + 140, &task, "C:\\Windows\\System32\\taskschd.dll");
                let end = time + self.pause(20);
                self.records.end(self.host, end, &task);
            }
            1 => {
                self.records.ask(self.host, time, &network, ("hb-dc01.harbour.example", "10.40.0.10"));
                let lsass = self.host.resident("C:\\Windows\\System32\\lsass.exe", "C:\\Windows\\system32\\lsass.exe");
                let controller = ("10.40.0.10", "HB-DC01.harbour.example", 389);
                self.records.connect(self.host, time + 210, &lsass, controller);
                self.lsass_is_looked_at(time + 900, &lsass);
            }
            2 => {
                let cache =
                    "C:\\Windows\\System32\\config\\systemprofile\\AppData\\Local\\Microsoft\\Windows\\state.tmp";
                self.records.write(self.host, time, &schedule, cache);
                let key = "HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Schedule\\TaskCache\\Index";
                self.records.set(self.host, time + 320, &schedule, (key, "DWORD (0x00000002)"));
            }
            3 => {
                let service = From { kind: 5, address: "-", workstation: "-", privileged: true };
                self.records.logon(self.host, time, &system, &service);
            }
            4 => {
                let image = "C:\\Program Files (x86)\\Microsoft\\EdgeUpdate\\MicrosoftEdgeUpdate.exe";
                let update =
                    self.start(time, image, &format!("\"{image}\" /ua /installsource scheduler"), &system, &schedule);
                self.records.ask(self.host, time + 350, &update, ("updates.vendor.example", "198.51.100.10"));
                self.records.connect(self.host, time + 600, &update, ("198.51.100.10", "updates.vendor.example", 443));
                let end = time + self.pause(25);
                self.records.end(self.host, end, &update);
            }
            _ => {
                let data = data! {
                    "EventType": "CreatePipe", "ProcessGuid": schedule.guid, "ProcessId": schedule.pid,
                    "PipeName": "\\TSVCPIPE-harbour", "Image": schedule.image, "User": schedule.user,
                };
                self.records.add(self.host, time, Log::Sysmon, 17, data);
                self.records.script(self.host, time + 700, (&system.who, &schedule), ("prompt", ""));
            }
        }
    }

    /// Windows asks the credential store how it is; it does not read it.
    fn lsass_is_looked_at(&mut self, time: i64, lsass: &Process) {
        let by = self.svchost("DcomLaunch -p");
        let data = data! {
            "SourceProcessGUID": by.guid, "SourceProcessId": by.pid, "SourceThreadId": 1_200 + self.dice.below(900) * 4,
            "SourceImage": by.image, "TargetProcessGUID": lsass.guid, "TargetProcessId": lsass.pid,
            "TargetImage": lsass.image, "GrantedAccess": "0x1000", "SourceUser": by.user, "TargetUser": lsass.user,
            "CallTrace": "C:\\Windows\\SYSTEM32\\ntdll.dll+9f1e4|C:\\Windows\\System32\\KERNELBASE.dll+2c13e",
        };
        self.records.add(self.host, time, Log::Sysmon, 10, data);
    }
}
