//! Patterns of context: anchored at both ends, with `*` as the only sign, and refused where they would cover too much.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::domain::entity::HostName;
use crate::knowledge::{paths, paths::PathClass, programs};

/// Letters and digits that a pattern of names has to spell out beside its `*`.
const FEWEST_LETTERS: usize = 2;

/// The widest network that an approval may name: 256 addresses of IPv4, one link of IPv6.
const WIDEST: (u8, u8) = (24, 64);

/// Why a pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It would cover everything, or nearly.
    #[error(
        "`{0}` covers too much: spell out at least {FEWEST_LETTERS} letters or digits beside each `*`, as in `wks-*`"
    )]
    TooBroad(String),
    /// It says nothing.
    #[error("an empty name stands for nothing: write a name, or leave the line out")]
    Empty,
    /// It is no whole path.
    #[error(
        "`{0}` is no whole path: begin with the drive and write `\\` between folders, as in `C:\\Program Files\\Vendor\\agent.exe`"
    )]
    NoWholePath(String),
    /// Ordinary users can put programs there.
    #[error(
        "`{path}` lies in {place}, where ordinary users can put a program of that name: install it below `C:\\Program Files`, and approve it there"
    )]
    UserWritable {
        /// The pattern.
        path: String,
        /// The place.
        place: &'static str,
    },
    /// Many programs lie there that are used for attacks.
    #[error("`{0}` covers all of a folder that Windows or many vendors share: name the vendor's folder or the program")]
    SharedFolder(String),
    /// It runs whatever it is told to.
    #[error(
        "`{0}` runs whatever it is told to, so it cannot be approved by itself: approve the program that starts it"
    )]
    RunsAnything(String),
    /// It is neither an address nor a network.
    #[error("`{0}` is neither an IP address nor a network such as 192.0.2.0/28")]
    NoNetwork(String),
    /// It is too large a network.
    #[error("`{0}` covers too many addresses: a network of an approval is /{v4} or smaller (IPv6: /{v6})", v4 = WIDEST.0, v6 = WIDEST.1)]
    WideNetwork(String),
}

/// Whether a text is covered by a pattern, both folded. `*` stands for any run of characters without `stop`.
fn covers(pattern: &str, text: &str, stop: Option<char>) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut place) = (0, 0);
    // Where the last `*` stands, and how far it reached.
    let mut star: Option<(usize, usize)> = None;
    while place < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(c) if *c == text[place] => (at, place) = (at + 1, place + 1),
            _ => match star {
                Some((starred, reached)) if Some(text[reached]) != stop => {
                    star = Some((starred, reached + 1));
                    (at, place) = (starred + 1, reached + 1);
                }
                _ => return false,
            },
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

/// Names of hosts or accounts: `wks-*`, `dc01`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamePattern(String);

impl NamePattern {
    /// A pattern of names. It is compared without regard to case.
    ///
    /// # Errors
    /// When it is empty or covers too much.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let folded = text.trim().to_lowercase();
        if folded.is_empty() {
            return Err(PatternError::Empty);
        }
        let letters = folded.chars().filter(|c| c.is_alphanumeric()).count();
        if folded.contains('*') && letters < FEWEST_LETTERS {
            return Err(PatternError::TooBroad(text.to_owned()));
        }
        Ok(Self(folded))
    }

    /// Whether it covers a machine: by its whole name if the pattern has a dot, else by its short one.
    #[must_use]
    pub fn covers_host(&self, host: &HostName) -> bool {
        if host.is_unknown() {
            return false;
        }
        let whole = host.as_str().trim().trim_end_matches('.').to_lowercase();
        let name = if self.0.contains('.') { whole.as_str() } else { host.key() };
        covers(&self.0, name, None)
    }

    /// Whether it covers a name.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        covers(&self.0, &name.trim().to_lowercase(), None)
    }

    /// How much it spells out: whole names before patterns, longer ones before shorter ones.
    #[must_use]
    pub fn precision(&self) -> (bool, usize) {
        (!self.0.contains('*'), self.0.chars().filter(|c| *c != '*').count())
    }

    /// The pattern, folded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NamePattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::new(&text)
    }
}

impl From<NamePattern> for String {
    fn from(pattern: NamePattern) -> Self {
        pattern.0
    }
}

/// Paths of an approved program: `C:\Program Files\Vendor\*\agent.exe`. A `*` stays within its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern(String);

impl PathPattern {
    /// A pattern of whole paths, compared without regard to case.
    ///
    /// # Errors
    /// When it is no whole path, or covers what ordinary users or attackers can fill.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let folded = text.trim().to_lowercase().replace('/', "\\");
        let mut beginning = folded.chars();
        let on_a_drive =
            beginning.next().is_some_and(|c| c.is_ascii_alphabetic()) && beginning.as_str().starts_with(":\\");
        if !on_a_drive || folded.contains("..") || folded.ends_with('\\') {
            return Err(PatternError::NoWholePath(text.to_owned()));
        }
        let folders: Vec<&str> = folded.split('\\').collect();
        let (name, folders) = folders.split_last().map_or(("", &[][..]), |(name, folders)| (*name, folders));
        // What a `*` stands for may be anything: the place is what is spelled out before it.
        let known: Vec<&str> = folders.iter().copied().take_while(|folder| !folder.contains('*')).collect();
        let place = paths::class(&format!("{}\\x", known.join("\\")));
        match place {
            PathClass::System | PathClass::Windows if name.contains('*') || known.len() < folders.len() => {
                return Err(PatternError::SharedFolder(text.to_owned()));
            }
            // `C:`, `Program Files` and the vendor's folder are spelled out.
            PathClass::ProgramFiles | PathClass::ProgramData if known.len() < 3 => {
                return Err(PatternError::SharedFolder(text.to_owned()));
            }
            PathClass::System | PathClass::Windows | PathClass::ProgramFiles | PathClass::ProgramData => {}
            PathClass::WindowsWritable
            | PathClass::Public
            | PathClass::Profile
            | PathClass::Share
            | PathClass::Other => {
                return Err(PatternError::UserWritable { path: text.to_owned(), place: place.name() });
            }
        }
        if programs::is_shell(&folded) || programs::is_proxy(&folded) {
            return Err(PatternError::RunsAnything(text.to_owned()));
        }
        Ok(Self(folded))
    }

    /// Whether it covers a path.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        let folded = path.trim_matches('"').to_lowercase().replace('/', "\\");
        !folded.contains("..") && covers(&self.0, &folded, Some('\\'))
    }

    /// The pattern, folded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PathPattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::new(&text)
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> Self {
        pattern.0
    }
}

/// An address, or a small network of them: `192.0.2.7`, `192.0.2.0/28`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// A network that an approval may name.
    ///
    /// # Errors
    /// When it is none, or is too large.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let wrong = || PatternError::NoNetwork(text.to_owned());
        let (address, bits) = text.trim().split_once('/').map_or((text.trim(), None), |(a, bits)| (a, Some(bits)));
        let address: IpAddr = address.parse::<IpAddr>().map_err(|_| wrong())?.to_canonical();
        let (whole, widest) = if address.is_ipv4() { (32, WIDEST.0) } else { (128, WIDEST.1) };
        let bits = bits.map_or(Ok(whole), |bits| bits.parse().map_err(|_| wrong()))?;
        match bits {
            bits if bits > whole => Err(wrong()),
            bits if bits < widest => Err(PatternError::WideNetwork(text.to_owned())),
            bits => Ok(Self { address, bits }),
        }
    }

    /// Whether an address lies in it.
    #[must_use]
    pub fn covers(&self, address: IpAddr) -> bool {
        let same = |one: u128, other: u128, length: u8| {
            let rest = u32::from(length - self.bits);
            rest >= 128 || (one ^ other) >> rest == 0
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(one), IpAddr::V4(other)) => same(one.to_bits().into(), other.to_bits().into(), 32),
            (IpAddr::V6(one), IpAddr::V6(other)) => same(one.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = if self.address.is_ipv4() { 32 } else { 128 };
        if self.bits == whole { write!(f, "{}", self.address) } else { write!(f, "{}/{}", self.address, self.bits) }
    }
}

impl TryFrom<String> for Network {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::new(&text)
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_covered_whole_and_by_their_beginnings_or_ends() {
        let covers = |pattern: &str, host: &str| {
            NamePattern::new(pattern).expect("it is sound").covers_host(&HostName::new(host))
        };
        assert!(covers("wks-*", "WKS-07.corp.example") && covers("WKS-07", "wks-07"));
        assert!(covers("*.lab.example", "a.lab.example") && covers("db*-prod", "db-1-prod"));
        assert!(!covers("wks-*", "xwks-07") && !covers("wks-0", "wks-07") && !covers("*.lab.example", "a"));
        assert!(!covers("wks-*", ""), "an unknown host is covered by nothing");
        for broad in ["*", "**", "*-*", "a*", "*."] {
            assert!(matches!(NamePattern::new(broad), Err(PatternError::TooBroad(_))), "{broad}");
        }
        assert_eq!(NamePattern::new(" "), Err(PatternError::Empty));
    }

    #[test]
    fn an_approved_path_is_whole_and_where_only_installers_write() {
        for sound in [
            r"C:\Program Files\Vendor\agent.exe",
            r"C:\Program Files (x86)\Vendor\*\agent-*.exe",
            r"C:\Windows\CCM\agent.exe",
            r"C:\ProgramData\Vendor\Agent\run.exe",
        ] {
            assert!(PathPattern::new(sound).is_ok(), "{sound}");
        }
        let refused = |text: &str| PathPattern::new(text).expect_err("it is refused");
        for part in ["*", "agent.exe", r"*\agent.exe", r"*:\Program Files\V\a.exe", r"C:\Program Files\..\a.exe", ""] {
            assert!(matches!(refused(part), PatternError::NoWholePath(_)), "{part}");
        }
        for writable in [
            r"C:\Users\*\AppData\a.exe",
            r"C:\Users\Public\a.exe",
            r"C:\Windows\Temp\a.exe",
            r"C:\*\Vendor\agent.exe",
            r"C:\Tools\a.exe",
        ] {
            assert!(matches!(refused(writable), PatternError::UserWritable { .. }), "{writable}");
        }
        for shared in
            [r"C:\Windows\System32\*", r"C:\Windows\*\a.exe", r"C:\Program Files\*\a.exe", r"C:\Program Files\a.exe"]
        {
            assert!(matches!(refused(shared), PatternError::SharedFolder(_)), "{shared}");
        }
        let shell = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe";
        assert!(matches!(refused(shell), PatternError::RunsAnything(_)));
    }

    #[test]
    fn a_star_stays_in_its_folder() {
        let pattern = PathPattern::new(r"C:\Program Files\Vendor\*\agent.exe").expect("it is sound");
        assert!(pattern.covers(r"c:\program files\vendor\4.2\AGENT.EXE"));
        assert!(!pattern.covers(r"C:\Program Files\Vendor\a\b\agent.exe"));
        assert!(!pattern.covers(r"C:\Program Files\Vendor\..\agent.exe"));
        assert!(!pattern.covers(r"C:\Program Files\Vendor\4.2\agent.exe.exe"));
    }

    #[test]
    fn a_network_is_small() {
        let network = Network::new("192.0.2.16/28").expect("it is one");
        assert!(
            network.covers("192.0.2.31".parse().expect("v4"))
                && network.covers("::ffff:192.0.2.17".parse().expect("v6"))
        );
        assert!(
            !network.covers("192.0.2.32".parse().expect("v4")) && !network.covers("2001:db8::1".parse().expect("v6"))
        );
        assert_eq!(network.to_string(), "192.0.2.16/28");
        assert_eq!(Network::new("192.0.2.7").expect("it is one").to_string(), "192.0.2.7");
        assert!(matches!(Network::new("10.0.0.0/8"), Err(PatternError::WideNetwork(_))));
        for none in ["scanner", "192.0.2.0/33", "192.0.2.0/x", ""] {
            assert!(matches!(Network::new(none), Err(PatternError::NoNetwork(_))), "{none}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_without_a_star_covers_itself_and_nothing_else(name in "[a-z0-9-]{2,12}", other in "[a-z0-9-]{2,12}") {
            let pattern = NamePattern::new(&name).expect("it is sound");
            prop_assert!(pattern.covers(&name));
            prop_assert_eq!(pattern.covers(&other), name == other);
        }

        #[test]
        fn a_star_covers_whatever_stands_for_it(begin in "[a-z]{2,6}", middle in "\\PC{0,12}", end in "[a-z]{0,6}") {
            let pattern = NamePattern::new(&format!("{begin}*{end}")).expect("it is sound");
            let text = format!("{begin}{middle}{end}");
            // Folding at the ends of a text may differ from folding it whole; only plain texts are promised.
            if text.is_ascii() && text.trim() == text {
                prop_assert!(pattern.covers(&text));
            }
        }
    }
}
