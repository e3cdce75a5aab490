//! What people declare of their machines, accounts, programs and indicators.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::pattern::{NamePattern, Network, PathPattern};
use crate::domain::entity::HostName;

/// What a machine is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssetRole {
    /// A person works at it.
    Workstation,
    /// It serves others.
    Server,
    /// It holds the directory.
    DomainController,
    /// It issues certificates.
    CertificateAuthority,
    /// It copies identities between directories.
    IdentitySync,
    /// It holds the backups.
    Backup,
    /// It runs other machines.
    Hypervisor,
    /// Administrators work from it.
    JumpHost,
    /// Something else.
    Other,
}

impl AssetRole {
    /// The role in a sentence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Workstation => "workstation",
            Self::Server => "server",
            Self::DomainController => "domain controller",
            Self::CertificateAuthority => "certificate authority",
            Self::IdentitySync => "identity synchronisation server",
            Self::Backup => "backup server",
            Self::Hypervisor => "hypervisor",
            Self::JumpHost => "jump host",
            Self::Other => "machine",
        }
    }

    /// Whoever holds such a machine holds the organisation: it is of tier 0 whatever else is said.
    #[must_use]
    pub const fn is_tier_zero(self) -> bool {
        matches!(
            self,
            Self::DomainController | Self::CertificateAuthority | Self::IdentitySync | Self::Backup | Self::Hypervisor
        )
    }
}

/// How much hangs on a machine: 0 controls the organisation's identities, 3 is an ordinary workstation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct AssetTier(u8);

impl AssetTier {
    /// What controls the organisation's identities.
    pub const ZERO: Self = Self(0);

    /// A tier.
    ///
    /// # Errors
    /// When it is beyond 3.
    pub fn new(tier: u8) -> Result<Self, String> {
        if tier <= 3 { Ok(Self(tier)) } else { Err(format!("there is no tier {tier}: write 0, 1, 2 or 3")) }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for AssetTier {
    type Error = String;

    fn try_from(tier: u8) -> Result<Self, String> {
        Self::new(tier)
    }
}

impl From<AssetTier> for u8 {
    fn from(tier: AssetTier) -> Self {
        tier.0
    }
}

/// How bad its loss would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criticality {
    /// An annoyance.
    Low,
    /// Ordinary.
    Medium,
    /// Work stands still for many.
    High,
    /// The organisation stands still.
    Critical,
}

impl Criticality {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// A machine, or machines of one name pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    /// Its name, or a pattern of names.
    pub name: NamePattern,
    /// What it is for.
    pub role: AssetRole,
    /// How much hangs on it, if that is said.
    #[serde(default)]
    pub tier: Option<AssetTier>,
    /// How bad its loss would be, if that is said.
    #[serde(default)]
    pub criticality: Option<Criticality>,
    /// Who answers for it.
    #[serde(default)]
    pub owner: Option<String>,
    /// Whether it may be cut off from the network by anybody but its owner, if that is said.
    #[serde(default)]
    pub isolation_allowed: Option<bool>,
}

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountRole {
    /// A person's everyday account.
    Standard,
    /// An administrator's account.
    Admin,
    /// Helps people at their machines.
    HelpDesk,
    /// A program's account.
    Service,
    /// For emergencies only.
    BreakGlass,
}

impl AccountRole {
    /// The role in a sentence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard account",
            Self::Admin => "administrator's account",
            Self::HelpDesk => "help desk account",
            Self::Service => "service account",
            Self::BreakGlass => "emergency account",
        }
    }
}

/// An account, or accounts of one name pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its name without its domain, or a pattern of names.
    pub name: NamePattern,
    /// Its domain; accounts of any domain, and of machines, if left out.
    #[serde(default)]
    pub domain: Option<String>,
    /// What it is for.
    pub role: AccountRole,
    /// It has rights that ordinary accounts have not. Administrators' and emergency accounts have them in any case.
    #[serde(default)]
    pub privileged: bool,
    /// Who answers for it.
    #[serde(default)]
    pub owner: Option<String>,
}

impl Account {
    /// It has rights that ordinary accounts have not.
    #[must_use]
    pub const fn is_privileged(&self) -> bool {
        self.privileged || matches!(self.role, AccountRole::Admin | AccountRole::BreakGlass)
    }

    /// Whether it is an account that a log calls this, with or without its domain.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        let (domain, name) = split_account(name);
        let fits = |wanted: &String| domain.as_ref().is_some_and(|domain| domain.eq_ignore_ascii_case(wanted));
        self.domain.as_ref().is_none_or(fits) && self.name.covers(&name)
    }
}

/// `CORP\name`, `name@corp.example` and `name` as a domain and a name.
#[must_use]
pub fn split_account(name: &str) -> (Option<String>, String) {
    let name = name.trim();
    if let Some((domain, name)) = name.rsplit_once('\\') {
        return (Some(domain.to_owned()), name.to_owned());
    }
    match name.split_once('@') {
        Some((name, domain)) => (Some(domain.to_owned()), name.to_owned()),
        None => (None, name.to_owned()),
    }
}

/// Why somebody approved of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovedKind {
    /// It looks for weaknesses from outside.
    Scanner,
    /// It manages machines.
    ManagementAgent,
    /// It watches machines.
    Monitoring,
    /// It saves data.
    Backup,
    /// Somebody's tool.
    Tool,
}

/// A program or address that people approved of, for a purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawApproval")]
pub struct Approval {
    /// What it is called.
    pub name: String,
    /// What sort of thing it is.
    pub kind: ApprovedKind,
    /// What it is for.
    pub purpose: String,
    /// The program.
    pub image: Option<PathPattern>,
    /// Who has to have signed it; then a program whose signer is not known is not approved.
    pub signer: Option<String>,
    /// Where it comes from.
    pub source: Option<Network>,
    /// On these machines alone; on every machine if none are named.
    pub hosts: Vec<NamePattern>,
    /// With these accounts alone; with every account if none are named.
    pub accounts: Vec<NamePattern>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApproval {
    name: String,
    kind: ApprovedKind,
    purpose: String,
    image: Option<PathPattern>,
    signer: Option<String>,
    source: Option<Network>,
    #[serde(default)]
    hosts: Vec<NamePattern>,
    #[serde(default)]
    accounts: Vec<NamePattern>,
}

impl TryFrom<RawApproval> for Approval {
    type Error = String;

    fn try_from(raw: RawApproval) -> Result<Self, String> {
        let RawApproval { name, kind, purpose, image, signer, source, hosts, accounts } = raw;
        if image.is_none() && source.is_none() {
            return Err(format!(
                "`{name}` approves of too much: name its program with `image` or its address with `source`; a signer alone signs many programs"
            ));
        }
        if purpose.trim().is_empty() {
            return Err(format!("`{name}` is approved for nothing: say what it is for in `purpose`"));
        }
        Ok(Self { name, kind, purpose, image, signer, source, hosts, accounts })
    }
}

/// Something done by a program or from an address, as far as a log shows it.
#[derive(Debug, Clone, Copy)]
pub struct Act<'a> {
    /// Where.
    pub host: &'a HostName,
    /// By which program.
    pub image: Option<&'a str>,
    /// Signed by whom, with a signature that was found valid.
    pub signer: Option<&'a str>,
    /// From which address.
    pub source: Option<IpAddr>,
    /// With which account.
    pub account: Option<&'a str>,
}

impl Approval {
    /// Whether it covers an act. What the log does not show covers nothing.
    #[must_use]
    pub fn covers(&self, act: &Act<'_>) -> bool {
        let of_account = |pattern: &NamePattern| act.account.is_some_and(|name| pattern.covers(&split_account(name).1));
        self.image.as_ref().is_none_or(|image| act.image.is_some_and(|path| image.covers(path)))
            && self.signer.as_ref().is_none_or(|signer| act.signer.is_some_and(|by| by.eq_ignore_ascii_case(signer)))
            && self.source.as_ref().is_none_or(|source| act.source.is_some_and(|from| source.covers(from)))
            && (self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.covers_host(act.host)))
            && (self.accounts.is_empty() || self.accounts.iter().any(of_account))
    }
}

/// What an indicator is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndicatorKind {
    /// A domain name, with everything below it.
    Domain,
    /// An IP address.
    Address,
    /// A file's hash.
    Hash,
    /// An account's name.
    Account,
    /// A program's or file's name.
    FileName,
}

/// Indicators that people watch for. A match may raise a case and never lowers one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchlist {
    /// What it is called.
    pub name: String,
    /// What its values are.
    pub kind: IndicatorKind,
    /// Why they are watched for.
    pub why: String,
    /// The indicators.
    pub values: Vec<String>,
}

impl Watchlist {
    /// Whether it holds an indicator.
    #[must_use]
    pub fn holds(&self, kind: IndicatorKind, value: &str) -> bool {
        let fold = |text: &str| text.trim().trim_end_matches('.').to_lowercase();
        let asked = fold(value);
        let is = |listed: &String| {
            let listed = fold(listed);
            let below = || asked.strip_suffix(&listed).is_some_and(|rest| rest.ends_with('.'));
            match kind {
                IndicatorKind::Domain => asked == listed || below(),
                IndicatorKind::Address => match (asked.parse::<IpAddr>(), listed.parse::<IpAddr>()) {
                    (Ok(one), Ok(other)) => one.to_canonical() == other.to_canonical(),
                    _ => false,
                },
                IndicatorKind::Account => fold(&split_account(&asked).1) == fold(&split_account(&listed).1),
                IndicatorKind::Hash | IndicatorKind::FileName => asked == listed,
            }
        };
        self.kind == kind && !asked.is_empty() && self.values.iter().any(is)
    }
}
