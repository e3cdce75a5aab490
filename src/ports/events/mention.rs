//! What an event is about, as things that can be asked for: processes, accounts, files, registry paths, addresses.
//!
//! Values are folded when a mention is made, so that asking and storing cannot differ in case or spelling.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::domain::event::{Event, says_something};
use crate::knowledge::{guid, paths};

/// The kinds of things that are mentioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// A process by Sysmon's ProcessGuid: the acting one, the new one or its parent, never a mere target.
    Process,
    /// The digest of a file, the strongest that the sensor gives.
    Hash,
    /// An address, at either end or in a DNS answer.
    Address,
    /// A name that was resolved or connected to.
    Domain,
    /// A registry key or value, by its path or as what lies directly below a key.
    Registry,
    /// A file or program by its whole path.
    FilePath,
    /// A file or program by its name.
    FileName,
    /// An account without its domain: whoever acted, was acted on, or logged on.
    Account,
    /// The port at the far end of a connection.
    Port,
}

/// Something an event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mention {
    sort: Sort,
    value: String,
}

impl Mention {
    /// A process by its ProcessGuid, in whatever spelling.
    #[must_use]
    pub fn process(id: &str) -> Self {
        Self { sort: Sort::Process, value: guid::folded(id) }
    }

    /// An account, with or without its domain (`CORP\name`, `name@corp.example`).
    #[must_use]
    pub fn account(name: &str) -> Self {
        let name = name.rsplit('\\').next().unwrap_or(name);
        let name = name.split('@').next().unwrap_or(name);
        Self { sort: Sort::Account, value: name.trim().to_lowercase() }
    }

    /// A file or program: by its path if the text has folders, else by its name.
    #[must_use]
    pub fn file(path: &str) -> Self {
        let path = path.trim_matches('"');
        let sort = if path.contains(['\\', '/']) { Sort::FilePath } else { Sort::FileName };
        Self { sort, value: path.to_lowercase() }
    }

    /// A registry key or value, as Sysmon writes it (`HKLM\…`), or the key it lies in.
    #[must_use]
    pub fn registry(path: &str) -> Self {
        Self { sort: Sort::Registry, value: path.trim_end_matches('\\').to_lowercase() }
    }

    /// An address. An IPv4 address in its IPv6 form is the same address.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self { sort: Sort::Address, value: address.to_canonical().to_string() }
    }

    /// The far end's port.
    #[must_use]
    pub fn port(port: u16) -> Self {
        Self { sort: Sort::Port, value: port.to_string() }
    }

    /// A domain name.
    #[must_use]
    pub fn domain(name: &str) -> Self {
        Self { sort: Sort::Domain, value: name.trim().trim_end_matches('.').to_lowercase() }
    }

    /// A file's digest in hexadecimal.
    #[must_use]
    pub fn hash(digest: &str) -> Self {
        Self { sort: Sort::Hash, value: digest.trim().to_lowercase() }
    }

    /// What sort of thing it is.
    #[must_use]
    pub const fn sort(&self) -> Sort {
        self.sort
    }

    /// The thing itself, folded.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The name at the end of a path; a store may look for that first.
    #[must_use]
    pub fn file_name(path: &str) -> Self {
        Self { sort: Sort::FileName, value: paths::base_name(path) }
    }
}

const PROCESSES: [&str; 4] = ["ProcessGuid", "SourceProcessGUID", "SourceProcessGuid", "ParentProcessGuid"];
const ACCOUNTS: [&str; 6] = ["User", "SubjectUserName", "TargetUserName", "SourceUser", "TargetUser", "ParentUser"];
const FILES: [&str; 11] = [
    "Image",
    "ParentImage",
    "SourceImage",
    "TargetImage",
    "NewProcessName",
    "ParentProcessName",
    "ProcessName",
    "TargetFilename",
    "ImageLoaded",
    "Path",
    "ObjectName",
];
const ADDRESSES: [&str; 3] = ["SourceIp", "DestinationIp", "IpAddress"];
const DOMAINS: [&str; 2] = ["QueryName", "DestinationHostname"];
const PORTS: [&str; 2] = ["DestinationPort", "DestPort"];
const HASHES: [&str; 2] = ["Hashes", "Hash"];

/// Answers of one DNS event that are looked at.
const MOST_ANSWERS: usize = 16;

/// The processes an event is about.
pub fn processes(event: &Event) -> impl Iterator<Item = Mention> {
    PROCESSES.iter().filter_map(|name| event.data(name)).map(Mention::process)
}

/// Everything an event mentions.
#[must_use]
pub fn of(event: &Event) -> BTreeSet<Mention> {
    let mut all = BTreeSet::new();
    each(event, &mut |mention| {
        all.insert(mention);
    });
    all
}

/// Shows everything an event mentions, some of it perhaps twice.
pub fn each(event: &Event, show: &mut dyn FnMut(Mention)) {
    let Some(data) = event.every_data() else { return };
    let said = |name: &str| says_something(data.get(name)?);
    let mut show = |mention: Mention| {
        if !mention.value.is_empty() {
            show(mention);
        }
    };
    PROCESSES.iter().filter_map(|name| said(name)).map(Mention::process).for_each(&mut show);
    ACCOUNTS.iter().filter_map(|name| said(name)).map(Mention::account).for_each(&mut show);
    for path in FILES.iter().filter_map(|name| said(name)) {
        show(Mention::file(path));
        show(Mention::file_name(path));
    }
    if let Some(path) = said("TargetObject") {
        let whole = Mention::registry(path);
        if let Some((key, _)) = whole.value.rsplit_once('\\') {
            show(Mention::registry(key));
        }
        show(whole);
    }
    let answers = said("QueryResults").into_iter().flat_map(|answers| answers.split(';').take(MOST_ANSWERS));
    let addresses = ADDRESSES.iter().filter_map(|name| said(name)).chain(answers);
    addresses.filter_map(|text| text.trim().parse().ok()).map(Mention::address).for_each(&mut show);
    DOMAINS.iter().filter_map(|name| said(name)).map(Mention::domain).for_each(&mut show);
    let ports = PORTS.iter().filter_map(|name| said(name)).filter_map(|port| port.parse().ok());
    ports.map(Mention::port).for_each(&mut show);
    HASHES.iter().filter_map(|name| said(name)).filter_map(strongest).map(Mention::hash).for_each(&mut show);
}

/// Of `SHA1=…,MD5=…,SHA256=…` the digest that is hardest to forge; a bare digest is itself.
fn strongest(hashes: &str) -> Option<&str> {
    let of = |kind: &str| {
        let parts = hashes.split(',').filter_map(|part| part.split_once('='));
        parts.filter(|(name, _)| name.trim().eq_ignore_ascii_case(kind)).map(|(_, digest)| digest).next()
    };
    match hashes.contains('=') {
        true => of("SHA256").or_else(|| of("SHA1")).or_else(|| of("MD5")),
        false => Some(hashes),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::event::SYSMON;
    use crate::fixtures::event;

    #[test]
    fn one_thing_has_one_spelling() {
        assert_eq!(Mention::account(r"CORP\A.User"), Mention::account("a.user@corp.example"));
        assert_eq!(Mention::address("::ffff:192.0.2.7".parse().expect("v6")).value(), "192.0.2.7");
        assert_eq!(Mention::domain("Files.Example."), Mention::domain("files.example"));
        assert_eq!(Mention::registry(r"HKLM\Software\A\"), Mention::registry(r"hklm\software\a"));
        assert_ne!(Mention::file(r"C:\A\b.exe"), Mention::file("b.exe"));
        assert_eq!(Mention::process("{aa-1}"), Mention::process("AA-1"));
    }

    #[test]
    fn an_event_mentions_what_it_is_about_and_not_what_it_targets() {
        let data = json!({
            "ProcessGuid": "{aa}", "TargetProcessGUID": "{bb}", "User": r"CORP\m.vale", "Image": r"C:\A\B.exe",
            "TargetObject": r"HKU\S-1-5-21\Run\Updater", "Hashes": "MD5=00,SHA256=AB,IMPHASH=1",
            "QueryName": "files.example", "QueryResults": "type:  5 x.example;::ffff:192.0.2.9;",
            "DestinationPort": "443", "SourceUser": "-"});
        let all = of(&event("e", 0, "h", (SYSMON, 13), data));
        let wanted = [
            Mention::process("{AA}"),
            Mention::account("m.vale"),
            Mention::file("b.exe"),
            Mention::file(r"c:\a\b.exe"),
            Mention::registry(r"HKU\S-1-5-21\Run\Updater"),
            Mention::registry(r"HKU\S-1-5-21\Run"),
            Mention::hash("ab"),
            Mention::domain("files.example"),
            Mention::address("192.0.2.9".parse().expect("an address")),
            Mention::port(443),
        ];
        assert_eq!(all, wanted.into_iter().collect());
    }
}
