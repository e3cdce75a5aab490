//! `get_alert`: an alert of the case, its rule's card and the event behind it.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::answer::{Answer, Header, Row, ToolError};
use super::tool::{Permission, Scope, Tool};
use super::view::{ALONE, EventView};
use crate::domain::alert::Alert;
use crate::domain::attack;
use crate::domain::ids::EventId;
use crate::domain::taint;
use crate::domain::words::{counted, excerpt};

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
        let card = excerpt(&card(alert), LONGEST_CARD).into_owned();
        let mut rows = vec![Row { exhibit: None, view: None, text: card }];
        if let Some(event) = &event {
            let view = EventView::whole(event, ALONE);
            rows.push(Row { exhibit: Some(view.exhibit()), text: view.line(), view: Some(view) });
        }
        let header = Header { total: rows.len() as u64, ..Header::default() };
        let mut data = serde_json::to_value(alert).unwrap_or_default();
        data["attack"] = json!({
            "version": attack::VERSION, "techniques": alert.rule.techniques(), "tactics": alert.rule.tactics(),
        });
        Ok(Answer { header, rows, cut: 0, data })
    }
}

/// The rule's card and what it found, the most telling lines first: a long card is cut at its end.
fn card(alert: &Alert) -> String {
    let rule = &alert.rule;
    let mut card = format!("rule: {} ({}, {})", taint::shown(&rule.title), rule.id, rule.level);
    // The author is named with every match of his rule, as the Detection Rule License asks.
    if let Some(author) = &rule.author {
        card.push_str(&format!(", by {}", taint::shown(author)));
    }
    let mut line = |name: &str, text: String| card.push_str(&format!("\n  {name}{}", taint::shown(&text)));
    for quote in &alert.matched {
        line(&format!("matched {}=", quote.field), quote.value.clone());
    }
    let correlated = &alert.correlated;
    if !correlated.is_empty() {
        let named: Vec<&str> = correlated.events().iter().map(EventId::as_str).collect();
        let more = if correlated.total() > named.len() as u64 { ", …" } else { "" };
        line("correlates ", format!("{}: {}{more}", counted(correlated.total(), "event"), named.join(", ")));
    }
    let status: Vec<&str> = rule.status.iter().chain(&rule.date).map(String::as_str).collect();
    let (techniques, tactics) = (rule.techniques(), rule.tactics());
    let attack = if techniques.is_empty() && tactics.is_empty() {
        String::new()
    } else {
        format!("{} (version {})", [tactics, techniques].concat().join(", "), attack::VERSION)
    };
    let lines = [
        ("known false positives: ", rule.false_positives.join("; ")),
        (
            "looks for: ",
            rule.description.as_deref().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
        ),
        ("ATT&CK: ", attack),
        ("rule's status: ", status.join(", ")),
        ("references: ", rule.references.join(" ")),
    ];
    lines.into_iter().filter(|(_, text)| !text.is_empty()).for_each(|(name, text)| line(name, text));
    card
}

/// A store that could not be read, as a tool says it.
pub(super) fn unavailable(error: impl std::fmt::Display) -> ToolError {
    ToolError::Unavailable { what: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert::Correlated;

    #[test]
    fn a_card_tells_all_that_is_known_of_its_rule() {
        let mut alert = crate::fixtures::alert("a", "e", "WKS-1", 0);
        alert.rule.author = Some("An Author".into());
        alert.rule.status = Some("test".into());
        alert.rule.date = Some("2026-11-01".into());
        alert.rule.description = Some("Finds a thing.\n  Intent: find it.".into());
        alert.rule.tags = vec!["attack.defense-evasion".into(), "attack.t1562.001".into()];
        alert.rule.false_positives = vec!["Administrators".into()];
        alert.rule.references = vec!["https://rules.example/a".into()];
        alert.correlated = Correlated::new(vec![EventId::new("e0"), EventId::new("e")]);
        let card = card(&alert);
        for told in [
            "by An Author",
            "correlates 2 events: e0, e",
            "known false positives: Administrators",
            "looks for: Finds a thing. Intent: find it.",
            "ATT&CK: defense-impairment, T1685 (version 19)",
            "rule's status: test, 2026-11-01",
            "references: https://rules.example/a",
        ] {
            assert!(card.contains(told), "{told} is missing in {card}");
        }
    }
}
