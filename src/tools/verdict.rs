//! `submit_verdict`: the card of the tool that ends an investigation.
//!
//! The door checks a submission with [`super::door::Door::submit`]; called like a tool that answers, it refuses.

use async_trait::async_trait;

use super::answer::{Answer, ToolError};
use super::tool::{Permission, Scope, Tool};
use crate::domain::draft::Draft;

/// See the module.
pub struct SubmitVerdict;

#[async_trait]
impl Tool for SubmitVerdict {
    const NAME: &'static str = "submit_verdict";
    const DESCRIPTION: &'static str =
        "Ends the investigation with a verdict. A rejected verdict comes back once with the reasons.";
    const PERMISSION: Permission = Permission::Annotate;
    type Arguments = Draft;

    async fn call(&self, _: Draft, _: &Scope) -> Result<Answer, ToolError> {
        let what = "it ends an investigation: submit it alone, as the last step".into();
        Err(ToolError::BadArguments { tool: Self::NAME.into(), what })
    }
}
