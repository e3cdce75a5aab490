//! Who and what a case is about: hosts, accounts, processes, sessions, addresses.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// A machine's name. Shown as the log wrote it; compared short and case-folded, because one machine
/// appears in one log as `WKS-07.corp.example` and as `wks-07`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct HostName {
    shown: String,
    key: String,
}

impl HostName {
    /// The name as the log wrote it; an empty name is a host that is not known.
    pub fn new(shown: impl Into<String>) -> Self {
        let shown = shown.into();
        let name = shown.trim().trim_end_matches('.');
        let address = name.parse::<IpAddr>().or_else(|_| name.parse::<SocketAddr>().map(|with_port| with_port.ip()));
        let key = match address {
            // An address keeps its dots: only names have a short form.
            Ok(address) => address.to_string(),
            // Names of machines are ASCII; folding more would make two of different letters one.
            Err(_) => name.split('.').next().unwrap_or(name).to_ascii_lowercase(),
        };
        Self { shown, key }
    }

    /// The two cannot be one machine: their names are the same in short, and their domains differ.
    #[must_use]
    pub fn is_of_another_domain(&self, other: &Self) -> bool {
        let domain = |name: &Self| {
            let whole = name.shown.trim().trim_end_matches('.');
            whole.split_once('.').map(|(_, domain)| domain.to_ascii_lowercase())
        };
        matches!((domain(self), domain(other)), (Some(one), Some(other)) if one != other)
    }

    /// The short, case-folded name that identity is decided by.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The name as the log wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// The log did not say which machine it was.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.key.is_empty()
    }
}

impl PartialEq for HostName {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl Eq for HostName {}
impl PartialOrd for HostName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for HostName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}
impl Hash for HostName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}
impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_unknown() { "(unknown host)" } else { &self.shown })
    }
}
impl From<String> for HostName {
    fn from(shown: String) -> Self {
        Self::new(shown)
    }
}
impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.shown
    }
}

/// Something a case is about besides its hosts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Entity {
    /// A person's or program's account, lower-cased, without its domain. An account that only one machine knows stands
    /// behind that machine's key, `wks-07\admin`: its namesakes elsewhere are other accounts.
    Account(String),
    /// A process by the sensor's own entity id (Sysmon's ProcessGuid), which is never reused.
    Process(String),
    /// A logon session on one host: the host's key and the session's id.
    LogonSession(String, String),
    /// The machine that a logon, a share access or a connection came from: an address or a short name, folded.
    Source(String),
    /// The machine that a connection went to: an address or a short name, folded.
    Destination(String),
    /// An address of the alert's own host, as its events show it.
    OwnAddress(String),
    /// A file by its hash, where it is none that Windows or an installer put there.
    File(String),
    /// A service by name, lower-cased.
    Service(String),
    /// A scheduled task by its path, lower-cased.
    Task(String),
}

/// Accounts that stand for the machine itself: sharing one connects nothing.
const MACHINE_ACCOUNTS: [&str; 6] =
    ["system", "local service", "network service", "anonymous logon", "localsystem", "-"];

impl Entity {
    /// The account behind `DOMAIN\name` or `name`; `None` for the machine's own accounts
    /// (`SYSTEM`, service and window-manager accounts, and names that end in `$`).
    #[must_use]
    pub fn account(text: &str) -> Option<Self> {
        let name = text.rsplit('\\').next().unwrap_or(text).trim().to_lowercase();
        let of_the_machine = name.is_empty()
            || name.ends_with('$')
            || MACHINE_ACCOUNTS.contains(&name.as_str())
            || name.starts_with("dwm-")
            || name.starts_with("umfd-");
        (!of_the_machine).then_some(Self::Account(name))
    }

    /// The account of this name that only this machine knows.
    #[must_use]
    pub fn local_account(host: &HostName, text: &str) -> Option<Self> {
        match Self::account(text)? {
            Self::Account(name) => Some(Self::Account(format!("{}\\{name}", host.key()))),
            _ => None,
        }
    }

    /// The SID is the machine's own: SYSTEM, the service accounts, the anonymous logon, the window manager's and the
    /// font driver's accounts. Unlike their names, SIDs are the same in every language.
    #[must_use]
    pub fn is_machine_sid(sid: &str) -> bool {
        let sid = sid.trim().to_ascii_uppercase();
        matches!(sid.as_str(), "S-1-5-18" | "S-1-5-19" | "S-1-5-20" | "S-1-5-7" | "S-1-0-0")
            || sid.starts_with("S-1-5-90-")
            || sid.starts_with("S-1-5-96-")
    }

    /// Another machine, by the address or name that an event gives for it. `None` for what names no other machine:
    /// loopback, unspecified and multicast addresses, `localhost`, a dash.
    #[must_use]
    pub fn peer(text: &str) -> Option<String> {
        let text = text.trim().trim_matches(['\\', '\0']).trim();
        let bare = text.trim_start_matches('[').split(']').next().unwrap_or(text);
        let bare = bare.split('%').next().unwrap_or(bare);
        let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|with_port| with_port.ip()));
        if let Ok(address) = address {
            let address = address.to_canonical();
            let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
            let none = address.is_loopback() || address.is_unspecified() || address.is_multicast() || broadcast;
            return (!none).then(|| address.to_string());
        }
        let key = HostName::new(text).key().to_owned();
        let says_nothing = matches!(key.as_str(), "" | "-" | "localhost" | "local" | "unknown" | "workstation");
        (!says_nothing && !text.contains(char::is_whitespace)).then_some(key)
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(name) => write!(f, "account {name}"),
            Self::Process(id) => write!(f, "process {id}"),
            Self::LogonSession(host, id) => write!(f, "logon session {id} on {host}"),
            Self::Source(peer) => write!(f, "from {peer}"),
            Self::Destination(peer) => write!(f, "to {peer}"),
            Self::OwnAddress(address) => write!(f, "own address {address}"),
            Self::File(hash) => write!(f, "file {hash}"),
            Self::Service(name) => write!(f, "service {name}"),
            Self::Task(name) => write!(f, "task {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_the_same_short_or_long_in_any_case() {
        assert_eq!(HostName::new("WKS-07.corp.example"), HostName::new("wks-07"));
        assert_ne!(HostName::new("wks-07"), HostName::new("wks-08"));
        assert_ne!(HostName::new("10.0.0.1"), HostName::new("10.0.0.2"));
        assert_ne!(HostName::new("10.0.0.1:514"), HostName::new("10.9.0.1."));
        assert_ne!(HostName::new("W\u{212A}S"), HostName::new("wks"));
        assert!(HostName::new("a.one.example").is_of_another_domain(&HostName::new("a.two.example")));
        assert!(!HostName::new("a.one.example").is_of_another_domain(&HostName::new("A")));
    }

    #[test]
    fn a_peer_is_another_machine_or_none() {
        for none in ["-", "", "::1", "127.0.0.1", "0.0.0.0", "::", "localhost", "LOCAL", "ff02::1", "255.255.255.255"] {
            assert_eq!(Entity::peer(none), None, "{none}");
        }
        for (text, key) in [
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("192.0.2.7:49152", "192.0.2.7"),
            ("\\\\WKS-07", "wks-07"),
            ("wks-07.corp.example", "wks-07"),
            ("fe80::1%12", "fe80::1"),
        ] {
            assert_eq!(Entity::peer(text).as_deref(), Some(key), "{text}");
        }
    }

    #[test]
    fn the_machine_is_known_by_its_sids() {
        assert!(["S-1-5-18", "s-1-5-90-0-1", "S-1-5-96-0-0"].iter().all(|sid| Entity::is_machine_sid(sid)));
        assert!(!Entity::is_machine_sid("S-1-5-21-1-2-3-1001"));
    }

    #[test]
    fn accounts_of_the_machine_connect_nothing() {
        assert_eq!(Entity::account("CORP\\M.Ekman"), Some(Entity::Account("m.ekman".into())));
        for own in ["NT AUTHORITY\\SYSTEM", "CORP\\DC01$", "-", "", "Window Manager\\DWM-1"] {
            assert_eq!(Entity::account(own), None, "{own}");
        }
    }
}
