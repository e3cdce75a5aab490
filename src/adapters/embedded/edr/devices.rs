//! The devices that people declared: `devices.toml` in the state folder.
//!
//! ```toml
//! [[device]]
//! name = "KIOSK-4.corp.example"
//! managed = false
//!
//! [[device]]
//! name = "LAP-12"
//! online = false
//! role = "workstation"
//! tags = ["travel"]
//! ```

use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use super::id_of;
use crate::domain::entity::HostName;
use crate::domain::ids::DeviceId;
use crate::ports::edr::{Device, Management, Reach};
use crate::ports::storage::StorageError;

/// Its name in the state folder.
pub(super) const FILE: &str = "devices.toml";

/// A device as it was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) device: Device,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    device: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    /// Only needed where two devices have one name.
    id: Option<String>,
    #[serde(default = "yes")]
    managed: bool,
    #[serde(default = "yes")]
    online: bool,
    role: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

const fn yes() -> bool {
    true
}

/// The declared devices of a folder; none without the file.
pub(super) fn read(folder: &Path) -> Result<Vec<Declared>, StorageError> {
    let path = folder.join(FILE);
    let refused = |what: String| StorageError::Unusable { path: path.display().to_string(), what };
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text).map_err(refused),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(vec![]),
        Err(error) => Err(refused(error.to_string())),
    }
}

fn parse(text: &str) -> Result<Vec<Declared>, String> {
    let known = "known are [[device]] with name, id, managed, online, role and tags";
    let file: File = toml::from_str(text).map_err(|error| format!("{}; {known}", error.message()))?;
    let mut declared: Vec<Declared> = Vec::new();
    for Entry { name, id, managed, online, role, tags } in file.device {
        let name = HostName::new(name);
        if name.is_unknown() {
            return Err(format!("a device has an empty name; {known}"));
        }
        // The whole name, so that two domains' machines of one short name are two devices.
        let id = id.map_or_else(|| id_of(&name.as_str().to_lowercase()), DeviceId::new);
        if declared.iter().any(|other| other.device.id == id) {
            return Err(format!("two devices have the id {id}: give each one of its own with id"));
        }
        let management = if managed { Management::Managed } else { Management::Unmanaged };
        let reach = if online { Reach::Online } else { Reach::Offline };
        let tags = role.into_iter().chain(tags).collect();
        declared.push(Declared { device: Device { id, name, management, reach, tags, last_seen: None } });
    }
    Ok(declared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_is_read_and_mistakes_are_named() {
        let text =
            "[[device]]\nname = 'K-4'\nmanaged = false\n[[device]]\nname = 'L-1'\nonline = false\nrole = 'server'\n";
        let declared = parse(text).expect("it is understood");
        let [kiosk, laptop] = declared.as_slice() else { panic!("{declared:?}") };
        assert_eq!((kiosk.device.management, kiosk.device.reach), (Management::Unmanaged, Reach::Online));
        assert_eq!((laptop.device.management, laptop.device.reach), (Management::Managed, Reach::Offline));
        assert_eq!(laptop.device.tags, ["server"]);
        for wrong in [
            "[[device]]\nname = ''",
            "[[device]]\nname = 'a'\n[[device]]\nname = 'A'",
            "[[device]]\nname = 'a'\nmanged = false",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
