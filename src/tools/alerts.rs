//! `get_alert`: an alert of the case, its rule's card and the event behind it.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::answer::{Answer, Header, Row, ToolError};
use super::tool::{Permission, Scope, Tool};
use super::view::{ALONE, EventView};
use crate::domain::taint;

/// Most characters of a rule's card, so that the event behind the alert still fits the answer.
const LONGEST_CARD: usize = 2_000;

/// See the module.
pub struct GetAlert;

/// Which alert.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// The alert's id, as the case lists it.
    pub alert: String,
}

#[async_trait]
impl Tool for GetAlert {
    const NAME: &'static str = "get_alert";
    const DESCRIPTION: &'static str =
        "An alert of this case: its rule's card, the fields that matched, and the event behind it with all its fields.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = Arguments;

    async fn call(&self, arguments: Arguments, scope: &Scope) -> Result<Answer, ToolError> {
        let alert = scope.alerts.iter().find(|alert| alert.id.as_str() == arguments.alert);
        let alert = alert.ok_or_else(|| ToolError::NotFound {
            what: format!("this case has no alert {}: its brief lists those it has", arguments.alert),
        })?;
        let event = scope.events.get(&alert.event).await.map_err(unavailable)?;
        let rule = &alert.rule;
        let mut card = format!("rule: {} ({}, {})", rule.title, rule.id, rule.level);
        if let Some(author) = &rule.author {
            card.push_str(&format!(", by {author}"));
        }
        for quote in &alert.matched {
            card.push_str(&format!("\n  matched {}={}", quote.field, taint::shown(&quote.value)));
        }
        if !rule.false_positives.is_empty() {
            card.push_str(&format!("\n  known false positives: {}", rule.false_positives.join("; ")));
        }
        let card = card.chars().take(LONGEST_CARD).collect();
        let mut rows = vec![Row { exhibit: None, view: None, text: card }];
        if let Some(event) = &event {
            let view = EventView::whole(event, ALONE);
            rows.push(Row { exhibit: Some(view.exhibit()), text: view.line(), view: Some(view) });
        }
        let header = Header { total: rows.len() as u64, ..Header::default() };
        let data = serde_json::to_value(alert).unwrap_or_default();
        Ok(Answer { header, rows, cut: 0, data })
    }
}

/// A store that could not be read, as a tool says it.
pub(super) fn unavailable(error: impl std::fmt::Display) -> ToolError {
    ToolError::Unavailable { what: error.to_string() }
}
