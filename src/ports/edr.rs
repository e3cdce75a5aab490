//! The EDR as a port: which devices there are, and what can be done to one.
//!
//! It has two halves. [`Devices`] only reads and may be given to anybody; [`Containment`] acts, and is given to the
//! gatekeeper alone. What is asked for by name is first resolved to one record of the inventory: a name that means
//! two devices, or none, means nothing that may be acted on.
//!
//! The names follow Microsoft Defender for Endpoint where it has one: a device is its *machine* (managed is
//! `onboardingStatus` Onboarded, tags are `machineTags`), an action its *machine action*, which is accepted at once,
//! is pending for minutes, and is found again by the comment it was asked with.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::containment::Action;
pub use crate::domain::containment::Nature;
use crate::domain::entity::HostName;
use crate::domain::ids::{DeviceActionId, DeviceId};
use crate::ports::storage::StorageError;

/// Whether the EDR can act on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Management {
    /// Its sensor is installed and reports.
    Managed,
    /// It is only known by name.
    Unmanaged,
}

/// Whether a device can be reached now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Its sensor reports.
    Online,
    /// It does not; an action would wait for it until it times out.
    Offline,
    /// The EDR does not say. Nobody acts on that.
    Unknown,
}

/// A record of the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// What it is acted on by.
    pub id: DeviceId,
    /// Its name, which other devices may have too.
    pub name: HostName,
    /// Whether the EDR can act on it.
    pub management: Management,
    /// Whether it can be reached.
    pub reach: Reach,
    /// What people say of it: `domain controller`, `server`, …
    pub tags: Vec<String>,
    /// When its sensor reported last.
    pub last_seen: Option<Timestamp>,
}

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "resolved", rename_all = "snake_case")]
pub enum Resolution {
    /// One device that the EDR manages.
    Device {
        /// The device.
        device: Device,
    },
    /// One device, and the EDR cannot act on it.
    Unmanaged {
        /// The device.
        device: Device,
    },
    /// Several. Only an id says which.
    Ambiguous {
        /// All of them.
        candidates: Vec<Device>,
    },
    /// None.
    Unknown,
}

impl Resolution {
    /// What `name` means among the devices of an inventory. Devices of the same short name in domains that differ
    /// from the one asked for are others; a short name that several have is ambiguous, managed or not.
    #[must_use]
    pub fn of(name: &HostName, inventory: impl IntoIterator<Item = Device>) -> Self {
        let is_meant =
            |device: &Device| !name.is_unknown() && device.name == *name && !device.name.is_of_another_domain(name);
        let mut candidates: Vec<Device> = inventory.into_iter().filter(is_meant).collect();
        match (candidates.pop(), candidates.is_empty()) {
            (None, _) => Self::Unknown,
            (Some(device), true) => match device.management {
                Management::Managed => Self::Device { device },
                Management::Unmanaged => Self::Unmanaged { device },
            },
            (Some(last), false) => {
                candidates.push(last);
                candidates.sort_by(|one, other| one.id.cmp(&other.id));
                Self::Ambiguous { candidates }
            }
        }
    }
}

/// How an action stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum ActionStatus {
    /// Accepted; nothing has happened on the device yet, as far as anybody knows.
    Pending,
    /// The device has done it.
    Succeeded,
    /// The device could not do it, or somebody cancelled it.
    Failed {
        /// What the EDR says.
        why: String,
    },
    /// The device could not be reached in time.
    TimedOut,
}

impl ActionStatus {
    /// Nothing more will happen.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        !matches!(self, Self::Pending)
    }
}

/// An action as the EDR shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceAction {
    /// Its id.
    pub id: DeviceActionId,
    /// What was asked for.
    pub action: Action,
    /// Of which device.
    pub device: DeviceId,
    /// With which comment: whoever asked finds it again by what it wrote there.
    pub comment: String,
    /// When.
    pub requested: Timestamp,
    /// How it stands.
    #[serde(flatten)]
    pub status: ActionStatus,
}

/// Why the EDR did not do or say something.
#[derive(Debug, thiserror::Error)]
pub enum EdrError {
    /// No such device.
    #[error("the EDR has no device {0}: `watchfloor` acts only on devices of its inventory")]
    NoDevice(DeviceId),
    /// The device is known by name only.
    #[error("the EDR does not manage {name} ({id}): install its sensor there, or contain it by hand")]
    NotManaged {
        /// The device.
        id: DeviceId,
        /// Its name.
        name: HostName,
    },
    /// Another action is under way on the device.
    #[error("action {pending} is already in progress on {device}: wait for it to end")]
    Busy {
        /// The device.
        device: DeviceId,
        /// The action.
        pending: DeviceActionId,
    },
    /// No such action.
    #[error("the EDR has no action {0}")]
    NoAction(DeviceActionId),
    /// It cannot be said whether it was done: look before asking again.
    #[error("the EDR did not answer ({0}): what was asked for may have been done")]
    Unclear(String),
    /// Its storage refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl EdrError {
    /// The EDR refused: nothing was done and nothing will be.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::NoDevice(_) | Self::NotManaged { .. } | Self::Busy { .. } | Self::NoAction(_) => true,
            Self::Unclear(_) | Self::Storage(_) => false,
        }
    }
}

/// The half that reads.
#[async_trait]
pub trait Devices: Send + Sync {
    /// What stands behind the port.
    fn nature(&self) -> Nature;

    /// All devices, by name, then id.
    async fn devices(&self) -> Result<Vec<Device>, EdrError>;

    /// What a name means. An inventory too large to list answers this itself.
    async fn resolve(&self, name: &HostName) -> Result<Resolution, EdrError> {
        Ok(Resolution::of(name, self.devices().await?))
    }

    /// The device with this id.
    async fn device(&self, id: &DeviceId) -> Result<Option<Device>, EdrError>;

    /// How an action stands. Asking is what makes time pass in a simulator, and nothing else.
    async fn action(&self, id: &DeviceActionId) -> Result<DeviceAction, EdrError>;

    /// The actions asked of a device, by whomever, newest first.
    async fn actions(&self, device: &DeviceId) -> Result<Vec<DeviceAction>, EdrError>;

    /// The device is cut off from the network now, by whomever.
    async fn is_isolated(&self, device: &DeviceId) -> Result<bool, EdrError>;
}

/// The half that acts. An accepted action is only asked for: [`Devices::action`] says what became of it.
///
/// At most one action is under way on a device at a time: another one is refused ([`EdrError::Busy`]). Microsoft's
/// service accepts it and may carry it out after the one that undoes it, so its adapter looks for pending ones first.
#[async_trait]
pub trait Containment: Send + Sync {
    /// Asks for a device to be cut off from the network.
    async fn isolate(&self, device: &DeviceId, comment: &str) -> Result<DeviceActionId, EdrError>;

    /// Asks for it to be let back.
    async fn release(&self, device: &DeviceId, comment: &str) -> Result<DeviceActionId, EdrError>;

    /// Asks for an antivirus scan.
    async fn av_scan(&self, device: &DeviceId, comment: &str) -> Result<DeviceActionId, EdrError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(id: &str, name: &str, management: Management) -> Device {
        let (name, id) = (HostName::new(name), DeviceId::new(id));
        Device { id, name, management, reach: Reach::Online, tags: vec![], last_seen: None }
    }

    #[test]
    fn a_name_means_one_device_or_nothing_that_may_be_acted_on() {
        let inventory = || {
            [
                device("1", "wks-1.one.example", Management::Managed),
                device("2", "wks-1.two.example", Management::Managed),
                device("3", "wks-2", Management::Managed),
                device("4", "wks-3", Management::Unmanaged),
                device("5", "wks-4", Management::Managed),
                device("6", "WKS-4", Management::Unmanaged),
            ]
        };
        let resolve = |name: &str| Resolution::of(&HostName::new(name), inventory());
        let ids = |resolution| match resolution {
            Resolution::Device { device } | Resolution::Unmanaged { device } => vec![device.id.to_string()],
            Resolution::Ambiguous { candidates } => candidates.iter().map(|device| device.id.to_string()).collect(),
            Resolution::Unknown => vec![],
        };
        assert!(matches!(resolve("WKS-2.corp.example"), Resolution::Device { .. }));
        assert!(matches!(resolve("wks-3"), Resolution::Unmanaged { .. }));
        assert_eq!(ids(resolve("wks-1.two.example")), ["2"]);
        assert!(matches!(resolve("wks-1"), Resolution::Ambiguous { .. }));
        assert_eq!(ids(resolve("wks-1")), ["1", "2"]);
        // One of two records of a name may be stale, and nobody can say which.
        assert_eq!(ids(resolve("wks-4")), ["5", "6"]);
        for none in ["wks", "wks-11", "", "wks-1.three.example"] {
            assert_eq!(resolve(none), Resolution::Unknown, "{none}");
        }
    }
}
