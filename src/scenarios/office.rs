//! The invented office, read from `scenarios/office/office.toml`: its machines, its people, the programs they use, and what
//! follows from their names: hashes, process ids, the session somebody opens on a morning.
//!
//! Acts are written with the same derivations, so that a program has one hash and a morning one session, whoever tells.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::dice::{digits_of, number_of};

/// Milliseconds of a day.
pub const DAY: i64 = 86_400_000;

/// The office.
pub static OFFICE: LazyLock<Office> = LazyLock::new(|| {
    let text = include_str!("../../scenarios/office/office.toml");
    // Compiled in, and read by every test of a scenario: a mistake in it never leaves the house.
    let mut office: Office = toml::from_str(text).expect("the office is TOML");
    office.by_image = office.programs.iter().enumerate().map(|(at, found)| (found.image.to_lowercase(), at)).collect();
    office
});

/// When all machines of the office were last started: 2026-09-20 02:00 UTC, in seconds.
const STARTED: i64 = 1_789_869_600;

#[derive(Debug, Deserialize)]
pub struct Office {
    pub domain: Domain,
    pub hosts: Vec<Host>,
    pub accounts: Vec<Account>,
    pub programs: Vec<Program>,
    #[serde(skip)]
    by_image: HashMap<String, usize>,
}

#[derive(Debug, Deserialize)]
pub struct Domain {
    pub dns: String,
    pub netbios: String,
    pub sid: String,
}

#[derive(Debug, Deserialize)]
pub struct Host {
    pub name: String,
    pub address: String,
    pub role: HostRole,
    pub sensor: Sensor,
    /// Whose workstation it is.
    pub person: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostRole {
    DomainController,
    Server,
    JumpHost,
    Workstation,
}

/// What a machine reports process starts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensor {
    Sysmon,
    Security,
}

#[derive(Debug, Deserialize)]
pub struct Account {
    pub name: String,
    pub rid: u32,
}

#[derive(Debug, Deserialize)]
pub struct Program {
    pub image: String,
    pub original: String,
    pub description: String,
    pub product: String,
    pub company: String,
    pub version: String,
}

impl Office {
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == name)
    }

    pub fn program(&self, image: &str) -> Option<&Program> {
        self.by_image.get(&image.to_lowercase()).map(|at| &self.programs[*at])
    }

    /// `HB-WS01.harbour.example`.
    pub fn fqdn(&self, host: &Host) -> String {
        format!("{}.{}", host.name, self.domain.dns)
    }

    /// Who an account is: a person, the machine itself, a service.
    pub fn who(&self, name: &str) -> Who {
        match self.accounts.iter().find(|account| account.name == name) {
            Some(account) => Who {
                name: name.to_owned(),
                domain: self.domain.netbios.clone(),
                sid: format!("{}-{}", self.domain.sid, account.rid),
            },
            None => Who { name: "SYSTEM".into(), domain: "NT AUTHORITY".into(), sid: "S-1-5-18".into() },
        }
    }

    /// A machine's own account.
    pub fn machine(&self, host: &Host) -> Who {
        let rid = 1100 + number_of(&host.name) % 400;
        let sid = format!("{}-{rid}", self.domain.sid);
        Who { name: format!("{}$", host.name), domain: self.domain.netbios.clone(), sid }
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    pub name: String,
    pub domain: String,
    pub sid: String,
}

impl Who {
    /// `HARBOUR\a.brandt`.
    pub fn full(&self) -> String {
        format!("{}\\{}", self.domain, self.name)
    }
}

/// A logon session.
#[derive(Debug, Clone)]
pub struct Session {
    pub who: Who,
    pub id: String,
    pub guid: String,
    /// The number of its desktop; 0 for services.
    pub desktop: u32,
}

/// A process that acts or starts others.
#[derive(Debug, Clone)]
pub struct Process {
    pub guid: String,
    pub pid: u64,
    pub image: String,
    pub command: String,
    pub user: String,
}

impl Host {
    /// What begins all GUIDs that Sysmon makes on this machine.
    pub fn mark(&self) -> String {
        digits_of(&format!("machine:{}", self.name))[..8].to_owned()
    }

    /// A GUID as Sysmon makes it: the machine, the second, a running number.
    pub fn guid(&self, seconds: i64, number: u64) -> String {
        let seconds = seconds.unsigned_abs();
        let (low, high) = (seconds & 0xffff, seconds >> 16);
        format!("{{{}-{low:04x}-{high:04x}-{:04x}-{:08x}0700}}", self.mark(), number & 0xffff, number >> 16)
    }

    /// The session of the machine itself.
    pub fn system(&self) -> Session {
        let who = Who { name: "SYSTEM".into(), domain: "NT AUTHORITY".into(), sid: "S-1-5-18".into() };
        Session { who, id: "0x3e7".into(), guid: self.guid(STARTED, 0x3e7), desktop: 0 }
    }

    /// A process that runs since the machine was started.
    pub fn resident(&self, image: &str, command: &str) -> Process {
        let number = number_of(&format!("resident:{}:{}", self.name, command.to_lowercase()));
        Process {
            guid: self.guid(STARTED + (number % 90) as i64, 0x100 + (number >> 8) % 0xe00),
            pid: 4 * (150 + (number >> 24) % 900),
            image: image.to_owned(),
            command: command.to_owned(),
            user: "NT AUTHORITY\\SYSTEM".to_owned(),
        }
    }

    /// When somebody logs on to this machine on a day, in milliseconds; the day is counted from 1970.
    pub fn morning(&self, day: i64) -> i64 {
        let number = number_of(&format!("morning:{}:{day}", self.name));
        day * DAY + 7 * 3_600_000 + (number % 3_000_000) as i64
    }

    /// The session that somebody opens here on that morning.
    pub fn session(&self, who: Who, day: i64) -> Session {
        let number = number_of(&format!("session:{}:{}:{day}", self.name, who.name));
        let id = 0x20_0000 + number % 0x5f_ffff;
        Session { who, id: format!("{id:#x}"), guid: self.guid(self.morning(day) / 1_000, id), desktop: 1 }
    }

    /// The desktop of that session.
    pub fn explorer(&self, session: &Session, day: i64) -> Process {
        let number = number_of(&format!("explorer:{}:{}:{day}", self.name, session.who.name));
        Process {
            guid: self.guid(self.morning(day) / 1_000 + 3, 0x1000 + number % 0x4000),
            pid: 4 * (1_500 + (number >> 24) % 900),
            image: "C:\\Windows\\explorer.exe".to_owned(),
            command: "C:\\Windows\\Explorer.EXE".to_owned(),
            user: session.who.full(),
        }
    }
}

/// The hashes of the file at a path, as Sysmon lists them. They are made from the path, which is folded: one file has
/// one set of them in the whole office.
pub fn hashes(image: &str) -> String {
    let of =
        |kind: &str, length: usize| digits_of(&format!("{kind}:{}", image.to_lowercase()))[..length].to_uppercase();
    format!("SHA1={},MD5={},SHA256={},IMPHASH={}", of("sha1", 40), of("md5", 32), of("sha256", 64), of("imphash", 32))
}
