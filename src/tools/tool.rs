//! What a tool is: typed arguments in, an answer out, and what it may touch.

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::sync::Arc;

use super::alerts::unavailable;
use super::answer::{Answer, ToolError};
use crate::domain::alert::Alert;
use crate::domain::event::Event;
use crate::domain::ids::{CaseId, EventId};
use crate::domain::route::Tier;
use crate::domain::taint;
use crate::ports::events::{EventStore, Watermark};

/// What a tool may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// It only reads.
    Read,
    /// It says something in the case's thread.
    Annotate,
    /// It files a wish for the gatekeeper.
    Propose,
}

impl Permission {
    /// Whether an agent of this tier may do so at all, whatever its list of tools says: triage asks for nothing to be
    /// done to a machine.
    #[must_use]
    pub const fn is_given_to(self, tier: Tier) -> bool {
        match (self, tier) {
            (Self::Read | Self::Annotate, _) | (Self::Propose, Tier::Two) => true,
            (Self::Propose, Tier::One) => false,
        }
    }
}

/// What a call may know: the case's alerts, the store, and how much of it had arrived.
#[derive(Clone)]
pub struct Scope {
    /// The case.
    pub case: CaseId,
    /// The alerts of the case.
    pub alerts: Arc<Vec<Alert>>,
    /// The event store.
    pub events: Arc<dyn EventStore>,
    /// What had arrived when the investigation began.
    pub watermark: Watermark,
}

impl Scope {
    /// The event with this id.
    ///
    /// # Errors
    /// When the store has none, or cannot be read.
    pub async fn event(&self, id: &str) -> Result<Event, ToolError> {
        let event = self.events.get(&EventId::new(id)).await.map_err(unavailable)?;
        event.ok_or_else(|| ToolError::NotFound { what: format!("the store has no event {}", taint::shown(id)) })
    }

    /// When the case's alerts were raised, the first and the last of them; an instant of its own for a case of none.
    #[must_use]
    pub fn span(&self, or: Timestamp) -> (Timestamp, Timestamp) {
        let times = || self.alerts.iter().map(|alert| alert.time);
        (times().min().unwrap_or(or), times().max().unwrap_or(or))
    }
}

/// A tool.
#[async_trait]
pub trait Tool: Send + Sync + 'static {
    /// Its name, by which it is called.
    const NAME: &'static str;
    /// What it is for, as an analyst reads it.
    const DESCRIPTION: &'static str;
    /// What it may touch.
    const PERMISSION: Permission;
    /// Its arguments.
    type Arguments: DeserializeOwned + JsonSchema + Send;

    /// Answers a call.
    async fn call(&self, arguments: Self::Arguments, scope: &Scope) -> Result<Answer, ToolError>;
}

/// The object-safe face of [`Tool`].
#[async_trait]
pub trait AnyTool: Send + Sync {
    /// See [`Tool::NAME`].
    fn name(&self) -> &'static str;
    /// See [`Tool::DESCRIPTION`].
    fn description(&self) -> &'static str;
    /// See [`Tool::PERMISSION`].
    fn permission(&self) -> Permission;
    /// JSON schema of the arguments.
    fn schema(&self) -> Value;
    /// Reads the arguments and answers.
    async fn answer(&self, arguments: &Value, scope: &Scope) -> Result<Answer, ToolError>;
}

#[async_trait]
impl<T: Tool> AnyTool for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn description(&self) -> &'static str {
        T::DESCRIPTION
    }

    fn permission(&self) -> Permission {
        T::PERMISSION
    }

    fn schema(&self) -> Value {
        schema_of::<T::Arguments>()
    }

    async fn answer(&self, arguments: &Value, scope: &Scope) -> Result<Answer, ToolError> {
        let arguments = T::Arguments::deserialize(arguments)
            .map_err(|error| ToolError::BadArguments { tool: T::NAME.into(), what: error.to_string() })?;
        self.call(arguments, scope).await
    }
}

/// The JSON schema of a type, self-contained, as model servers want it.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft07().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema.to_value()
}
