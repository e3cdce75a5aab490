//! `isolate_device`, `unisolate_device` and `run_av_scan`: wishes for the gatekeeper. None of them does anything to a
//! machine: the door files a proposal and gives its number, and the gatekeeper decides.

use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::answer::{Answer, Filing, Header, ToolError};
use super::devices;
use super::surroundings::Surroundings;
use super::tool::{Permission, Scope, Tool};
use crate::domain::containment::Action;
use crate::domain::ids::EvidenceId;
use crate::domain::taint;
use crate::ports::edr::Management;

/// What is wished, of which device, and why.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// The device's id, as get_device_id_by_name gives it. A name is not taken.
    pub device_id: String,
    /// Why, in a sentence.
    pub because: String,
    /// The evidence it rests on: ids that look-ups gave, such as `E3`.
    #[schemars(with = "Vec<String>")]
    pub evidence: Vec<EvidenceId>,
}

/// What is to be filed; whatever stands against it is decided by the gatekeeper.
async fn wish(around: &Surroundings, action: Action, arguments: Arguments) -> Result<Answer, ToolError> {
    let Arguments { device_id, because, evidence } = arguments;
    let edr = around.devices()?;
    let device = devices::device(edr, &device_id).await?;
    let name = taint::shown(&device.name.to_string());
    if device.management == Management::Unmanaged {
        let what = format!("the EDR does not manage {name}: say in the verdict that it has to be contained by hand");
        return Err(ToolError::NotFound { what });
    }
    let data = json!({
        "action": action, "device_id": device.id, "host": device.name, "status": "pending",
        "simulated": edr.nature().is_simulated(),
    });
    let filing = Filing::Proposal { action, host: device.name, because, evidence };
    let header = Header { next: format!("{} of {name}{}", action.noun(), edr.nature().mark()), ..Header::default() };
    Ok(Answer { header, rows: vec![], cut: 0, data, filing: Some(filing) })
}

/// See the module.
pub struct IsolateDevice(pub Arc<Surroundings>);

#[async_trait]
impl Tool for IsolateDevice {
    const NAME: &'static str = "isolate_device";
    const DESCRIPTION: &'static str = "Proposes to cut a device off from the network, and gives the proposal's number. Nothing is done: the gatekeeper decides, and a person may be asked.";
    const PERMISSION: Permission = Permission::Propose;
    type Arguments = Arguments;

    async fn call(&self, arguments: Arguments, _: &Scope) -> Result<Answer, ToolError> {
        wish(&self.0, Action::IsolateDevice, arguments).await
    }
}

/// See the module.
pub struct UnisolateDevice(pub Arc<Surroundings>);

#[async_trait]
impl Tool for UnisolateDevice {
    const NAME: &'static str = "unisolate_device";
    const DESCRIPTION: &'static str = "Proposes to let a device back on the network, and gives the proposal's number. Nothing is done: the gatekeeper decides.";
    const PERMISSION: Permission = Permission::Propose;
    type Arguments = Arguments;

    async fn call(&self, arguments: Arguments, _: &Scope) -> Result<Answer, ToolError> {
        wish(&self.0, Action::ReleaseDevice, arguments).await
    }
}

/// See the module.
pub struct RunAvScan(pub Arc<Surroundings>);

#[async_trait]
impl Tool for RunAvScan {
    const NAME: &'static str = "run_av_scan";
    const DESCRIPTION: &'static str = "Proposes an antivirus scan of a device, and gives the proposal's number. Nothing is done: the gatekeeper decides.";
    const PERMISSION: Permission = Permission::Propose;
    type Arguments = Arguments;

    async fn call(&self, arguments: Arguments, _: &Scope) -> Result<Answer, ToolError> {
        wish(&self.0, Action::RunAvScan, arguments).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{BrokenStore, CASE, SomeDevices};
    use crate::ports::events::Watermark;

    #[tokio::test]
    async fn a_wish_is_for_one_managed_device_by_its_id() {
        let around = Arc::new(Surroundings { devices: Some(Arc::new(SomeDevices)), ..Surroundings::default() });
        let scope =
            Scope { case: CASE, alerts: Arc::default(), events: Arc::new(BrokenStore), watermark: Watermark(1) };
        let asked = |id: &str| Arguments { device_id: id.into(), because: "it beacons".into(), evidence: vec![] };
        let tool = IsolateDevice(around.clone());
        let answer = tool.call(asked("d1"), &scope).await.expect("it is filed");
        let Some(Filing::Proposal { action, host, .. }) = answer.filing else { panic!("nothing is filed") };
        assert_eq!((action, host.key()), (Action::IsolateDevice, "wks-1"));
        let refused = tool.call(asked("d2"), &scope).await.expect_err("it is not managed").to_string();
        assert!(refused.contains("by hand"), "{refused}");
        assert!(tool.call(asked("wks-1"), &scope).await.is_err(), "a name is no id");
        let release = UnisolateDevice(around.clone()).call(asked("d1"), &scope).await.expect("it is filed");
        assert_eq!(release.data["action"], "release_device");
        let scan = RunAvScan(around).call(asked("d1"), &scope).await.expect("it is filed");
        assert_eq!((&scan.data["action"], &scan.data["simulated"]), (&json!("run_av_scan"), &json!(true)));
    }
}
