//! `similar_cases`: how many alerts were like this one, and what people decided on them.
//!
//! Only people's outcomes are a judgement. What an analyst of this floor concluded earlier is not shown here at all:
//! an earlier machine verdict must never be the reason for the next one.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Header, Row, ToolError};
use super::surroundings::Surroundings;
use super::tool::{Permission, Scope, Tool};
use crate::domain::alert::Alert;
use crate::domain::evidence::Quote;
use crate::domain::taint;
use crate::domain::words::counted;
use crate::knowledge::template;

/// See the module.
pub struct SimilarCases(pub Arc<Surroundings>);

/// To what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// An alert of this case, by its id; its first alert if left out.
    #[serde(default)]
    pub alert: Option<String>,
}

/// Alerts that are alike in one way, those of this case left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alike {
    /// How many.
    pub alerts: u64,
    /// On how many machines.
    pub hosts: u64,
    /// On how many days (UTC).
    pub days: u64,
    /// The first.
    pub first: Option<Timestamp>,
    /// The last.
    pub last: Option<Timestamp>,
}

/// What people decided on cases with such alerts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Decided to be malicious.
    pub malicious: u64,
    /// Decided to be harmless or expected.
    pub harmless: u64,
}

/// What the tool gives a program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Similar {
    /// By the same rule.
    pub same_rule: Alike,
    /// By the same rule on the same machine.
    pub same_host: Alike,
    /// By the same rule, on values that are the same up to numbers, identifiers and names of users.
    pub same_values: Alike,
    /// What people decided; nothing if nobody's decision is recorded.
    pub outcomes: Option<Outcomes>,
}

#[async_trait]
impl Tool for SimilarCases {
    const NAME: &'static str = "similar_cases";
    const DESCRIPTION: &'static str = "How many other alerts the rule of an alert raised: in all, on this machine, and on the same values up to numbers and names; and what people decided on them. Earlier verdicts of this floor's own analysts are never shown.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = Arguments;

    async fn call(&self, arguments: Arguments, scope: &Scope) -> Result<Answer, ToolError> {
        let of = match &arguments.alert {
            Some(id) => scope.alerts.iter().find(|alert| alert.id.as_str() == id),
            None => scope.alerts.first(),
        };
        let of = of.ok_or_else(|| ToolError::NotFound {
            what: "this case has no such alert: its brief lists those it has".into(),
        })?;
        let own: BTreeSet<_> = scope.alerts.iter().map(|alert| &alert.id).collect();
        let others = self.0.alerts()?.select(|alert| alert.rule.id == of.rule.id && !own.contains(&alert.id));
        let of_host: Vec<&Arc<Alert>> = others.iter().filter(|alert| alert.host == of.host).collect();
        let values = templates(&of.matched);
        let of_values: Vec<&Arc<Alert>> =
            others.iter().filter(|alert| !values.is_empty() && templates(&alert.matched) == values).collect();
        let similar = Similar {
            same_rule: alike(others.iter()),
            same_host: alike(of_host.into_iter()),
            same_values: alike(of_values.into_iter()),
            outcomes: None,
        };
        let title = taint::shown(&of.rule.title);
        let rows = vec![
            Row::said(said(&format!("by the rule `{title}`, outside this case"), &similar.same_rule)),
            Row::said(said("of these on this machine", &similar.same_host)),
            Row::said(said("of these on the same values", &similar.same_values)),
            Row::said("what people decided on them: no outcomes recorded".into()),
        ];
        let header = Header { total: rows.len() as u64, ..Header::default() };
        let data = serde_json::to_value(similar).unwrap_or_default();
        Ok(Answer { header, rows, cut: 0, data, filing: None })
    }
}

/// The values a rule matched on, without what changes from run to run.
fn templates(matched: &[Quote]) -> BTreeSet<(String, String)> {
    matched.iter().map(|quote| (quote.field.clone(), template::command(&quote.value))).collect()
}

fn alike<'a>(alerts: impl Iterator<Item = &'a Arc<Alert>>) -> Alike {
    let (mut alike, mut hosts, mut days) = (Alike::default(), BTreeSet::new(), BTreeSet::new());
    for alert in alerts {
        alike.alerts += 1;
        hosts.insert(alert.host.key().to_owned());
        days.insert(alert.time.as_second().div_euclid(86_400));
        alike.first = Some(alike.first.map_or(alert.time, |first| first.min(alert.time)));
        alike.last = alike.last.max(Some(alert.time));
    }
    (alike.hosts, alike.days) = (hosts.len() as u64, days.len() as u64);
    alike
}

fn said(which: &str, alike: &Alike) -> String {
    match (alike.first, alike.last) {
        (Some(first), Some(last)) => format!(
            "{which}: {} on {} and {}, from {} to {}",
            counted(alike.alerts, "other alert"),
            counted(alike.hosts, "machine"),
            counted(alike.days, "day"),
            first.strftime("%F"),
            last.strftime("%F")
        ),
        _ => format!("{which}: no other alert"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::ids::RuleId;
    use crate::fixtures::{BrokenStore, alert, at, journal};
    use crate::journal::alert_log::AlertLog;
    use crate::ports::events::Watermark;

    fn raised(id: &str, host: &str, command: &str, seconds: i64) -> Alert {
        let mut alert = alert(id, id, host, seconds);
        alert.matched = vec![Quote { field: "winlog.event_data.CommandLine".into(), value: command.into() }];
        alert
    }

    async fn ask(alerts: Vec<Alert>, own: Vec<Alert>, arguments: Value) -> Result<(Vec<String>, Similar), ToolError> {
        let (_folder, journal) = journal();
        let log = AlertLog::open(journal).await.expect("it opens");
        log.receive(alerts, at(0)).await.expect("they are stored");
        let tool = SimilarCases(Arc::new(Surroundings { alerts: Some(Arc::new(log)), ..Surroundings::default() }));
        let scope = Scope {
            case: crate::fixtures::CASE,
            alerts: Arc::new(own),
            events: Arc::new(BrokenStore),
            watermark: Watermark(1),
        };
        let answer = tool.call(serde_json::from_value(arguments).expect("they fit"), &scope).await?;
        let texts = answer.rows.iter().map(|row| row.text.clone()).collect();
        Ok((texts, serde_json::from_value(answer.data).expect("it is typed")))
    }

    #[tokio::test]
    async fn alerts_are_counted_by_rule_machine_and_values_without_the_cases_own() {
        let own = raised("a", "wks-1", "tool.exe /run 100", 0);
        let mut stranger = raised("x", "wks-1", "tool.exe /run 100", 0);
        stranger.rule.id = RuleId::new("another");
        let alerts = vec![
            own.clone(),
            stranger,
            raised("b", "wks-1", "TOOL.exe /run 22", 86_400),
            raised("c", "wks-2", "tool.exe /run 333", 2 * 86_400),
            raised("d", "wks-3", "tool.exe /wipe", 3 * 86_400),
        ];
        let (texts, similar) = ask(alerts, vec![own], json!({})).await.expect("it answers");
        let counted = |alike: &Alike| (alike.alerts, alike.hosts, alike.days);
        assert_eq!(counted(&similar.same_rule), (3, 3, 3));
        assert_eq!(counted(&similar.same_host), (1, 1, 1));
        assert_eq!(counted(&similar.same_values), (2, 2, 2));
        assert_eq!(similar.outcomes, None);
        assert_eq!(texts[3], "what people decided on them: no outcomes recorded");
        assert_eq!(
            texts[1],
            "of these on this machine: 1 other alert on 1 machine and 1 day, from 2026-01-02 to 2026-01-02"
        );
    }

    #[tokio::test]
    async fn nothing_alike_is_said_and_a_strange_alert_is_refused() {
        let own = alert("a", "e", "wks-1", 0);
        let (texts, similar) =
            ask(vec![own.clone()], vec![own.clone()], json!({"alert": "a"})).await.expect("it answers");
        assert_eq!(similar, Similar::default());
        assert!(texts[0].ends_with(": no other alert"), "{texts:?}");
        let refused = ask(vec![], vec![own], json!({"alert": "z"})).await;
        assert!(matches!(refused, Err(ToolError::NotFound { .. })));
    }
}
