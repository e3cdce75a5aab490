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
    /// A person's or program's account, lower-cased, without its domain.
    Account(String),
    /// A process by the sensor's own entity id (Sysmon's ProcessGuid), which is never reused.
    Process(String),
    /// A logon session on one host: the host's key and the session's id.
    LogonSession(String, String),
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
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(name) => write!(f, "account {name}"),
            Self::Process(id) => write!(f, "process {id}"),
            Self::LogonSession(host, id) => write!(f, "logon session {id} on {host}"),
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
    fn accounts_of_the_machine_connect_nothing() {
        assert_eq!(Entity::account("CORP\\M.Ekman"), Some(Entity::Account("m.ekman".into())));
        for own in ["NT AUTHORITY\\SYSTEM", "CORP\\DC01$", "-", "", "Window Manager\\DWM-1"] {
            assert_eq!(Entity::account(own), None, "{own}");
        }
    }
}
