//! The EDR simulator: devices from what people declared and from the hosts that events name; actions that are pending
//! for a while and then succeed, or time out. Nothing happens to any machine, and its port says so.

mod devices;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use self::devices::Declared;
use super::sqlite::{Database, Failure, Limits};
use crate::domain::containment::Action;
use crate::domain::entity::HostName;
use crate::domain::ids::{DeviceActionId, DeviceId};
use crate::knowledge::canonical;
use crate::ports::clock::Clock;
use crate::ports::edr::{
    ActionStatus, Containment, Device, DeviceAction, Devices, EdrError, Management, Nature, Reach, Resolution,
};
use crate::ports::events::tally::{Dimension, Group, Grouping, TallyQuery};
use crate::ports::events::{EventQuery, EventStore};
use crate::ports::storage::StorageError;

const FORMAT_1: &str = "
    CREATE TABLE device_action(
        number INTEGER PRIMARY KEY, device TEXT NOT NULL, action TEXT NOT NULL, comment TEXT NOT NULL,
        requested TEXT NOT NULL, status TEXT NOT NULL, polls INTEGER NOT NULL);
    CREATE INDEX device_action_device ON device_action(device, number);
";

/// How often an action on a device that can be reached is asked about before it has succeeded: more than once, so that
/// whoever uses the port meets `pending`.
const POLLS_TO_SUCCESS: u32 = 2;

/// How often an action on a device that cannot be reached is asked about before it times out.
const POLLS_TO_TIME_OUT: u32 = 4;

/// Hosts that are listed from events, at most.
const MOST_HOSTS: usize = 10_000;

/// See the module's page.
pub struct EmbeddedEdr {
    database: Database,
    declared: Vec<Declared>,
    events: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
}

type Done<T> = Result<T, Failure<EdrError>>;

impl EmbeddedEdr {
    /// Its file in the state folder.
    pub const FILE: &str = "edr.db";

    /// The file in the state folder in which people declare devices.
    pub const DEVICES: &str = devices::FILE;

    /// Opens the simulator in this folder, or creates it.
    ///
    /// # Errors
    /// When a file cannot be used, a newer version wrote it, or the declared devices are not understood.
    pub fn open_within(
        folder: &Path,
        limits: Limits,
        events: Arc<dyn EventStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StorageError> {
        let declared = devices::read(folder)?;
        let database = Database::open(&folder.join(Self::FILE), limits, &[FORMAT_1])?;
        Ok(Self { database, declared, events, clock })
    }

    /// Hosts that events name and nobody declared: all of them, or the one of this name.
    async fn seen(&self, name: Option<&HostName>) -> Result<Vec<Device>, StorageError> {
        let watermark = self.events.watermark().await?;
        let all = EventQuery::within(Timestamp::MIN, Timestamp::MAX, watermark);
        let events = EventQuery { host: name.cloned(), limit: MOST_HOSTS, ..all };
        // One dimension is never too many.
        let Ok(by) = Grouping::new(vec![Dimension::Host]) else { return Ok(vec![]) };
        let hosts = self.events.tally(&TallyQuery { events, by }).await?.groups;
        let device = |Group { key, last, .. }: Group| {
            let name = HostName::new(key.into_iter().next()?);
            let declared = self.declared.iter().any(|declared| declared.device.name == name);
            let (management, reach) = (Management::Managed, Reach::Online);
            let id = id_of(name.key());
            let device = Device { id, name, management, reach, tags: vec![], last_seen: Some(last) };
            (!declared && !device.name.is_unknown()).then_some(device)
        };
        Ok(hosts.into_iter().filter_map(device).collect())
    }

    async fn request(&self, device: &DeviceId, action: Action, comment: &str) -> Result<DeviceActionId, EdrError> {
        let Some(found) = self.device(device).await? else { return Err(EdrError::NoDevice(device.clone())) };
        if found.management == Management::Unmanaged {
            return Err(EdrError::NotManaged { id: found.id, name: found.name });
        }
        let (device, comment, now) = (device.clone(), comment.to_owned(), self.clock.now());
        self.database.write_durably(move |connection| request(connection, &device, action, &comment, now)).await
    }

    /// Ids of devices that cannot be reached now.
    fn is_offline(&self, device: &DeviceId) -> bool {
        self.declared.iter().any(|declared| declared.device.id == *device && declared.device.reach != Reach::Online)
    }
}

/// The id of a device that has none of its own: as long as a real one, and the same for the same name.
fn id_of(key: &str) -> DeviceId {
    let digest = canonical::digest(&("device", key));
    DeviceId::new(digest.get(..40).unwrap_or(&digest))
}

#[async_trait]
impl Devices for EmbeddedEdr {
    fn nature(&self) -> Nature {
        Nature::Simulated
    }

    async fn devices(&self) -> Result<Vec<Device>, EdrError> {
        let mut devices: Vec<Device> = self.declared.iter().map(|declared| declared.device.clone()).collect();
        devices.extend(self.seen(None).await?);
        devices.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
        Ok(devices)
    }

    async fn resolve(&self, name: &HostName) -> Result<Resolution, EdrError> {
        if name.is_unknown() {
            return Ok(Resolution::Unknown);
        }
        let mut devices: Vec<Device> = self.declared.iter().map(|declared| declared.device.clone()).collect();
        devices.extend(self.seen(Some(name)).await?);
        Ok(Resolution::of(name, devices))
    }

    async fn device(&self, id: &DeviceId) -> Result<Option<Device>, EdrError> {
        Ok(self.devices().await?.into_iter().find(|device| device.id == *id))
    }

    async fn action(&self, id: &DeviceActionId) -> Result<DeviceAction, EdrError> {
        let Some(number) = number_of(id) else { return Err(EdrError::NoAction(id.clone())) };
        let found = self.database.read(move |connection| read_action(connection, number)).await?;
        let Some(found) = found else { return Err(EdrError::NoAction(id.clone())) };
        if found.status.is_final() {
            return Ok(found);
        }
        let offline = self.is_offline(&found.device);
        let polled = self.database.write(move |connection| poll(connection, number, offline)).await?;
        polled.ok_or_else(|| EdrError::NoAction(id.clone()))
    }

    async fn actions(&self, device: &DeviceId) -> Result<Vec<DeviceAction>, EdrError> {
        let device = device.clone();
        self.database.read(move |connection| actions(connection, &device)).await
    }

    async fn is_isolated(&self, device: &DeviceId) -> Result<bool, EdrError> {
        let last = self.actions(device).await?.into_iter().find(|action| {
            matches!(action.action, Action::IsolateDevice | Action::ReleaseDevice)
                && action.status == ActionStatus::Succeeded
        });
        Ok(last.is_some_and(|action| action.action == Action::IsolateDevice))
    }
}

#[async_trait]
impl Containment for EmbeddedEdr {
    async fn isolate(&self, device: &DeviceId, comment: &str) -> Result<DeviceActionId, EdrError> {
        self.request(device, Action::IsolateDevice, comment).await
    }

    async fn release(&self, device: &DeviceId, comment: &str) -> Result<DeviceActionId, EdrError> {
        self.request(device, Action::ReleaseDevice, comment).await
    }

    async fn av_scan(&self, device: &DeviceId, comment: &str) -> Result<DeviceActionId, EdrError> {
        self.request(device, Action::RunAvScan, comment).await
    }
}

const PREFIX: &str = "simulated-";

fn number_of(id: &DeviceActionId) -> Option<i64> {
    id.as_str().strip_prefix(PREFIX)?.parse().ok()
}

fn id_of_action(number: i64) -> DeviceActionId {
    DeviceActionId::new(format!("{PREFIX}{number}"))
}

fn request(
    connection: &Connection,
    device: &DeviceId,
    action: Action,
    comment: &str,
    now: Timestamp,
) -> Done<DeviceActionId> {
    let pending = connection
        .prepare_cached("SELECT number FROM device_action WHERE device = ?1 AND status = ?2 ORDER BY number LIMIT 1")?
        .query_row(params![device.as_str(), json(&ActionStatus::Pending)], |row| row.get(0))
        .optional()?;
    if let Some(pending) = pending {
        let (device, pending) = (device.clone(), id_of_action(pending));
        return Err(Failure::Refused(EdrError::Busy { device, pending }));
    }
    connection
        .prepare_cached(
            "INSERT INTO device_action(device, action, comment, requested, status, polls) VALUES(?1, ?2, ?3, ?4, ?5, 0)",
        )?
        .execute(params![device.as_str(), json(&action), comment, now.to_string(), json(&ActionStatus::Pending)])?;
    Ok(id_of_action(connection.last_insert_rowid()))
}

fn poll(connection: &Connection, number: i64, offline: bool) -> Done<Option<DeviceAction>> {
    connection
        .prepare_cached("UPDATE device_action SET polls = polls + 1 WHERE number = ?1 AND status = ?2")?
        .execute(params![number, json(&ActionStatus::Pending)])?;
    let polls: Option<u32> = connection
        .prepare_cached("SELECT polls FROM device_action WHERE number = ?1")?
        .query_row([number], |row| row.get(0))
        .optional()?;
    let polls = polls.unwrap_or_default();
    let ended = match offline {
        true => (polls >= POLLS_TO_TIME_OUT).then_some(ActionStatus::TimedOut),
        false => (polls >= POLLS_TO_SUCCESS).then_some(ActionStatus::Succeeded),
    };
    if let Some(status) = ended {
        connection
            .prepare_cached("UPDATE device_action SET status = ?2 WHERE number = ?1")?
            .execute(params![number, json(&status)])?;
    }
    read_action(connection, number)
}

const ACTIONS: &str = "SELECT number, device, action, comment, requested, status FROM device_action";

fn read_action(connection: &Connection, number: i64) -> Done<Option<DeviceAction>> {
    let mut query = connection.prepare_cached(&format!("{ACTIONS} WHERE number = ?1"))?;
    let row = query.query_row([number], columns).optional()?;
    row.map(|row| decode(connection, row)).transpose()
}

fn actions(connection: &Connection, device: &DeviceId) -> Done<Vec<DeviceAction>> {
    let mut query = connection.prepare_cached(&format!("{ACTIONS} WHERE device = ?1 ORDER BY number DESC"))?;
    query.query_map([device.as_str()], columns)?.map(|row| decode(connection, row?)).collect()
}

type Columns = (i64, String, String, String, String, String);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
}

fn decode(
    connection: &Connection,
    (number, device, action, comment, requested, status): Columns,
) -> Done<DeviceAction> {
    let (action, requested, status) = (serde_json::from_str(&action), requested.parse(), serde_json::from_str(&status));
    let (Ok(action), Ok(requested), Ok(status)) = (action, requested, status) else {
        let path = connection.path().unwrap_or(EmbeddedEdr::FILE).to_owned();
        let what = format!("what it holds of action {number} is damaged");
        return Err(Failure::Refused(StorageError::Unusable { path, what }.into()));
    };
    Ok(DeviceAction { id: id_of_action(number), action, device: DeviceId::new(device), comment, requested, status })
}

fn json(value: &impl serde::Serialize) -> String {
    // Enumerations of names and texts are always JSON.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests;
