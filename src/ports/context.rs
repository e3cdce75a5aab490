//! Context as a port: what people know of their machines and accounts that no log says.
//!
//! Pure data and look-ups. What is declared here may lower a risk where it names the very thing that was seen; what
//! [`inferred`] reads out of events may only raise one. Nothing here acts.

mod entries;
pub mod inferred;
mod pattern;
mod window;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::entries::{
    Account, AccountRole, Act, Approval, ApprovedKind, Asset, AssetRole, AssetTier, Criticality, IndicatorKind,
    Watchlist, split_account,
};
use self::inferred::{Inferred, InferredRole};
pub use self::pattern::{NamePattern, Network, PathPattern, PatternError};
pub use self::window::{Weekdays, When, Window, WindowKind};
use crate::domain::containment::{self, AssetFacts, DeviceRole, IsolationRule};
use crate::domain::entity::HostName;
use crate::knowledge::canonical;

/// Everything that is declared. Empty where nobody declared anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Context {
    /// Machines.
    pub assets: Vec<Asset>,
    /// Accounts.
    pub accounts: Vec<Account>,
    /// Times in which something unusual was announced.
    pub windows: Vec<Window>,
    /// Programs and addresses that people approved of.
    pub approved: Vec<Approval>,
    /// Indicators that people watch for.
    pub watchlists: Vec<Watchlist>,
}

impl Context {
    /// Nothing is declared.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.assets.is_empty()
            && self.accounts.is_empty()
            && self.windows.is_empty()
            && self.approved.is_empty()
            && self.watchlists.is_empty()
    }

    /// What is declared of a machine: by its whole name before a pattern, by a longer pattern before a shorter one, and
    /// of two alike the one on which more hangs.
    #[must_use]
    pub fn asset(&self, host: &HostName) -> Option<&Asset> {
        let weight = |asset: &Asset| std::cmp::Reverse(asset.tier.map_or(u8::MAX, AssetTier::number));
        let covering = self.assets.iter().filter(|asset| asset.name.covers_host(host));
        covering.max_by_key(|asset| (asset.name.precision(), weight(asset)))
    }

    /// What is declared of an account, with or without its domain; chosen as [`Self::asset`] does, and of two alike
    /// the privileged one.
    #[must_use]
    pub fn account(&self, name: &str) -> Option<&Account> {
        let fitting = self.accounts.iter().filter(|account| account.is(name));
        fitting.max_by_key(|account| (account.name.precision(), account.domain.is_some(), account.is_privileged()))
    }

    /// The windows open at an instant that cover what an account did on a machine.
    #[must_use]
    pub fn windows(&self, host: &HostName, account: Option<&str>, at: Timestamp) -> Vec<&Window> {
        self.windows.iter().filter(|window| window.is_open(at) && window.covers(host, account)).collect()
    }

    /// The approvals that cover an act.
    #[must_use]
    pub fn approvals(&self, act: &Act<'_>) -> Vec<&Approval> {
        self.approved.iter().filter(|approval| approval.covers(act)).collect()
    }

    /// The watchlists that hold an indicator.
    #[must_use]
    pub fn watched(&self, kind: IndicatorKind, value: &str) -> Vec<&Watchlist> {
        self.watchlists.iter().filter(|list| list.holds(kind, value)).collect()
    }

    /// What is known of a machine, declared and inferred together.
    #[must_use]
    pub fn standing(&self, host: &HostName, inferred: Option<&Inferred>) -> Standing {
        let asset = self.asset(host);
        let is_controller = inferred.is_some_and(|inferred| inferred.role == InferredRole::DomainController);
        let is_zero = is_controller || asset.is_some_and(|asset| asset.role.is_tier_zero());
        let isolation = match (is_zero, asset.and_then(|asset| asset.isolation_allowed)) {
            (true, _) | (false, Some(false)) => Isolation::Forbidden,
            (false, Some(true)) => Isolation::Allowed,
            (false, None) => Isolation::NotSaid,
        };
        let tier = asset.and_then(|asset| asset.tier);
        Standing {
            role: asset.map(|asset| asset.role),
            tier: if is_zero { Some(AssetTier::ZERO) } else { tier },
            criticality: asset.and_then(|asset| asset.criticality),
            owner: asset.and_then(|asset| asset.owner.clone()),
            isolation: if tier == Some(AssetTier::ZERO) { Isolation::Forbidden } else { isolation },
            inferred: inferred.map(|inferred| inferred.role),
        }
    }

    /// Digest of all that is declared: what an investigation relied on.
    #[must_use]
    pub fn digest(&self) -> String {
        canonical::digest(self)
    }
}

/// Whether a machine may be cut off from the network, as far as people said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// It may.
    Allowed,
    /// It may not, by anybody's word or by what it is.
    Forbidden,
    /// Nobody said.
    NotSaid,
}

/// What is known of a machine, as the gatekeeper and the tools are handed it. Of a role that was inferred only what
/// protects the machine is taken over: nothing inferred makes a tier lower or an isolation allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its declared role.
    pub role: Option<AssetRole>,
    /// How much hangs on it.
    pub tier: Option<AssetTier>,
    /// How bad its loss would be.
    pub criticality: Option<Criticality>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Whether it may be isolated.
    pub isolation: Isolation,
    /// What its events show it to be.
    pub inferred: Option<InferredRole>,
}

impl Standing {
    /// No machine alone acts on it: it is of tier 0, critical, or must not be isolated.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.tier == Some(AssetTier::ZERO)
            || self.criticality == Some(Criticality::Critical)
            || self.isolation == Isolation::Forbidden
    }
}

/// As the gatekeeper's decision takes it. What is inferred counts where nothing protects the machine already.
impl From<&Standing> for AssetFacts {
    fn from(standing: &Standing) -> Self {
        let is_controller = standing.role == Some(AssetRole::DomainController)
            || standing.inferred == Some(InferredRole::DomainController);
        let role = match (is_controller, standing.tier, standing.role, standing.inferred) {
            (true, ..) => DeviceRole::DomainController,
            (false, Some(AssetTier::ZERO), ..) => DeviceRole::Tier0,
            (false, _, Some(AssetRole::Workstation), _) | (false, _, None, Some(InferredRole::Workstation)) => {
                DeviceRole::Workstation
            }
            (false, _, Some(AssetRole::Server | AssetRole::JumpHost), _)
            | (false, _, None, Some(InferredRole::Server)) => DeviceRole::Server,
            (false, ..) => DeviceRole::Unknown,
        };
        let criticality = match standing.criticality {
            Some(Criticality::Critical) => containment::Criticality::Critical,
            Some(Criticality::Low | Criticality::Medium | Criticality::High) => containment::Criticality::Normal,
            None => containment::Criticality::Unknown,
        };
        let isolation = match standing.isolation {
            Isolation::Allowed => IsolationRule::Allowed,
            Isolation::Forbidden => IsolationRule::Forbidden,
            Isolation::NotSaid => IsolationRule::Unknown,
        };
        Self { role, criticality, isolation }
    }
}

#[cfg(test)]
mod tests;
