//! `list_devices`, `get_device` and `get_device_id_by_name`: the EDR's inventory. A simulated EDR says so in every
//! answer.

use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::alerts::unavailable;
use super::answer::{Answer, Header, Row, ToolError};
use super::surroundings::Surroundings;
use super::tool::{Permission, Scope, Tool};
use crate::domain::entity::HostName;
use crate::domain::ids::DeviceId;
use crate::domain::taint;
use crate::ports::edr::{Device, Devices, Management, Nature, Reach, Resolution};

/// Rows of one answer.
const MOST_ROWS: usize = 40;

/// Actions of a device that are told.
const MOST_ACTIONS: usize = 5;

/// What the tools give a program of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFacts {
    /// The record.
    pub device: Device,
    /// It is cut off from the network now.
    pub is_isolated: bool,
    /// Nothing ever happens to it: the EDR is simulated.
    pub simulated: bool,
}

fn described(device: &Device, nature: Nature) -> String {
    let management = match device.management {
        Management::Managed => "managed",
        Management::Unmanaged => "not managed: the EDR cannot act on it",
    };
    let reach = match device.reach {
        Reach::Online => "online",
        Reach::Offline => "offline",
        Reach::Unknown => "reach unknown",
    };
    let tags: Vec<String> = device.tags.iter().take(6).map(|tag| taint::shown(tag)).collect();
    let tags = if tags.is_empty() { String::new() } else { format!(", tags {}", tags.join(", ")) };
    let name = taint::shown(&device.name.to_string());
    format!("{name} = device {}{}: {management}, {reach}{tags}", taint::shown(device.id.as_str()), nature.mark())
}

/// The device with this id.
///
/// # Errors
/// When the EDR has none, or does not answer.
pub(super) async fn device(edr: &dyn Devices, id: &str) -> Result<Device, ToolError> {
    let found = edr.device(&DeviceId::new(id)).await.map_err(unavailable)?;
    found.ok_or_else(|| ToolError::NotFound {
        what: format!("the EDR has no device {}: get_device_id_by_name gives ids", taint::shown(id)),
    })
}

/// See the module.
pub struct ListDevices(pub Arc<Surroundings>);

/// Which devices.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListArguments {
    /// Only those whose names contain this.
    #[serde(default)]
    pub name_contains: Option<String>,
    /// Only those that the EDR can act on.
    #[serde(default)]
    pub managed_only: bool,
}

#[async_trait]
impl Tool for ListDevices {
    const NAME: &'static str = "list_devices";
    const DESCRIPTION: &'static str = "The EDR's devices: id, name, managed or not, reachable or not, tags.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = ListArguments;

    async fn call(&self, arguments: ListArguments, _: &Scope) -> Result<Answer, ToolError> {
        let edr = self.0.devices()?;
        let part = arguments.name_contains.map(|part| part.to_lowercase());
        let mut devices = edr.devices().await.map_err(unavailable)?;
        devices.retain(|device| {
            part.as_ref().is_none_or(|part| device.name.as_str().to_lowercase().contains(part))
                && (!arguments.managed_only || device.management == Management::Managed)
        });
        let total = devices.len() as u64;
        devices.truncate(MOST_ROWS);
        let rows = devices.iter().map(|device| Row::said(described(device, edr.nature()))).collect::<Vec<_>>();
        let next = if total > rows.len() as u64 { "narrow with name_contains".into() } else { String::new() };
        let header = Header { total, next, ..Header::default() };
        let data = json!({ "devices": devices, "simulated": edr.nature().is_simulated() });
        Ok(Answer { header, rows, cut: 0, data, filing: None })
    }
}

/// See the module.
pub struct GetDevice(pub Arc<Surroundings>);

/// Which device.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceArguments {
    /// The device's id, as get_device_id_by_name gives it.
    pub device_id: String,
}

#[async_trait]
impl Tool for GetDevice {
    const NAME: &'static str = "get_device";
    const DESCRIPTION: &'static str =
        "One device of the EDR by its id: managed, reachable, tags, isolated or not, and the last actions on it.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = DeviceArguments;

    async fn call(&self, arguments: DeviceArguments, _: &Scope) -> Result<Answer, ToolError> {
        let edr = self.0.devices()?;
        let device = device(edr, &arguments.device_id).await?;
        let is_isolated = edr.is_isolated(&device.id).await.map_err(unavailable)?;
        let actions = edr.actions(&device.id).await.map_err(unavailable)?;
        let mut rows = vec![Row::said(described(&device, edr.nature()))];
        let now = if is_isolated { "it is cut off from the network" } else { "it is on the network" };
        rows.push(Row::said(format!("{now}{}", edr.nature().mark())));
        rows.extend(actions.iter().take(MOST_ACTIONS).map(|action| {
            let status = serde_json::to_value(&action.status).ok();
            let status = status.and_then(|status| status["status"].as_str().map(str::to_owned)).unwrap_or_default();
            Row::said(format!("{} asked for {}: {status}", action.action.noun(), action.requested.strftime("%F %T")))
        }));
        let total = rows.len() as u64 + actions.len().saturating_sub(MOST_ACTIONS) as u64;
        let header = Header { total, ..Header::default() };
        let facts = DeviceFacts { device, is_isolated, simulated: edr.nature().is_simulated() };
        let data = serde_json::to_value(facts).unwrap_or_default();
        Ok(Answer { header, rows, cut: 0, data, filing: None })
    }
}

/// See the module.
pub struct GetDeviceIdByName(pub Arc<Surroundings>);

/// Which name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NameArguments {
    /// The machine's name, with its domain where two have the same short one.
    pub name: String,
}

#[async_trait]
impl Tool for GetDeviceIdByName {
    const NAME: &'static str = "get_device_id_by_name";
    const DESCRIPTION: &'static str =
        "The id of the one device with this name. A name that several devices have is an error that lists them.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = NameArguments;

    async fn call(&self, arguments: NameArguments, _: &Scope) -> Result<Answer, ToolError> {
        let edr = self.0.devices()?;
        let name = HostName::new(arguments.name);
        let shown = taint::shown(&name.to_string());
        let device = match edr.resolve(&name).await.map_err(unavailable)? {
            Resolution::Device { device } | Resolution::Unmanaged { device } => device,
            Resolution::Unknown => {
                let what = format!("the EDR has no device {shown}: list_devices shows those it has");
                return Err(ToolError::NotFound { what });
            }
            Resolution::Ambiguous { candidates } => {
                let told = candidates.iter().take(MOST_ROWS).map(|device| described(device, edr.nature()));
                let told = told.collect::<Vec<_>>().join("; ");
                let what =
                    format!("{shown} is the name of {} devices, and only an id says which: {told}", candidates.len());
                return Err(ToolError::NotFound { what });
            }
        };
        let rows = vec![Row::said(described(&device, edr.nature()))];
        let header = Header { total: 1, ..Header::default() };
        let data = json!({ "device_id": device.id, "device": device, "simulated": edr.nature().is_simulated() });
        Ok(Answer { header, rows, cut: 0, data, filing: None })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::fixtures::{BrokenStore, CASE, SomeDevices};
    use crate::ports::events::Watermark;

    fn around() -> Arc<Surroundings> {
        Arc::new(Surroundings { devices: Some(Arc::new(SomeDevices)), ..Surroundings::default() })
    }

    async fn ask<T: Tool>(tool: T, arguments: Value) -> Result<Answer, ToolError> {
        let scope =
            Scope { case: CASE, alerts: Arc::default(), events: Arc::new(BrokenStore), watermark: Watermark(1) };
        tool.call(serde_json::from_value(arguments).expect("they fit"), &scope).await
    }

    #[tokio::test]
    async fn devices_are_listed_and_narrowed_and_said_to_be_simulated() {
        let all = ask(ListDevices(around()), json!({})).await.expect("it answers");
        assert_eq!(all.header.total, 4);
        assert!(all.rows.iter().all(|row| row.text.contains("(simulated)")), "{:?}", all.rows);
        let some = ask(ListDevices(around()), json!({"name_contains": "WKS-1", "managed_only": true})).await;
        assert_eq!(some.expect("it answers").header.total, 1);
    }

    #[tokio::test]
    async fn a_name_is_one_device_or_an_error_that_lists_the_candidates() {
        let one = ask(GetDeviceIdByName(around()), json!({"name": "wks-1"})).await.expect("it answers");
        assert_eq!(one.data["device_id"], "d1");
        let several = ask(GetDeviceIdByName(around()), json!({"name": "twin"})).await.expect_err("it is ambiguous");
        let several = several.to_string();
        assert!(
            several.contains("2 devices") && several.contains("device d3") && several.contains("device d4"),
            "{several}"
        );
        let none = ask(GetDeviceIdByName(around()), json!({"name": "nowhere"})).await.expect_err("it is unknown");
        assert!(none.to_string().contains("list_devices"));
    }

    #[tokio::test]
    async fn a_device_is_told_with_whether_it_is_isolated() {
        let answer = ask(GetDevice(around()), json!({"device_id": "d1"})).await.expect("it answers");
        let facts: DeviceFacts = serde_json::from_value(answer.data).expect("it is typed");
        assert_eq!((facts.is_isolated, facts.simulated), (false, true));
        assert!(ask(GetDevice(around()), json!({"device_id": "wks-1"})).await.is_err(), "a name is no id");
        let without = ask(GetDevice(Arc::default()), json!({"device_id": "d1"})).await;
        assert!(matches!(without, Err(ToolError::Unavailable { .. })));
    }
}
