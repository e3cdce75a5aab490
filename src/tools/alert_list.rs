//! `get_alerts` and `get_finding`: alerts of the whole floor, as their sources raised them.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerts::{self, GetAlert};
use super::answer::{Answer, Header, Row, ToolError};
use super::surroundings::Surroundings;
use super::tool::{Permission, Scope, Tool};
use crate::domain::alert::{Alert, Severity};
use crate::domain::entity::{Entity, HostName};
use crate::domain::ids::{AlertId, EventId};
use crate::domain::taint;

/// Rows of one answer.
const MOST_ROWS: usize = 25;

/// See the module.
pub struct GetAlerts(pub Arc<Surroundings>);

/// Which alerts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListArguments {
    /// First instant, such as `2026-03-01T12:00:00Z`.
    pub from: Timestamp,
    /// Last instant.
    pub to: Timestamp,
    /// Only of this machine.
    #[serde(default)]
    pub host: Option<String>,
    /// Only of this account, with or without its domain.
    #[serde(default)]
    pub user: Option<String>,
    /// Only by this rule: its id or title.
    #[serde(default)]
    pub rule: Option<String>,
    /// Only of this level and above: informational, low, medium, high, critical.
    #[serde(default)]
    pub level: Option<Level>,
    /// At most this many rows, up to 25.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// A level, as an analyst names it.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// See [`Severity::Informational`].
    Informational,
    /// See [`Severity::Low`].
    Low,
    /// See [`Severity::Medium`].
    Medium,
    /// See [`Severity::High`].
    High,
    /// See [`Severity::Critical`].
    Critical,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Informational => Self::Informational,
            Level::Low => Self::Low,
            Level::Medium => Self::Medium,
            Level::High => Self::High,
            Level::Critical => Self::Critical,
        }
    }
}

/// An alert as the list gives it to a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its id.
    pub alert: AlertId,
    /// Its rule's title.
    pub rule: String,
    /// Its level.
    pub level: Severity,
    /// Where it happened.
    pub host: HostName,
    /// When.
    pub time: Timestamp,
    /// The event that matched.
    pub event: EventId,
    /// It is one of this case's.
    pub own: bool,
}

#[async_trait]
impl Tool for GetAlerts {
    const NAME: &'static str = "get_alerts";
    const DESCRIPTION: &'static str = "Alerts of all cases and of none in a window, the newest first: by machine, account, rule and level. This case's own are marked *.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = ListArguments;

    async fn call(&self, arguments: ListArguments, scope: &Scope) -> Result<Answer, ToolError> {
        let ListArguments { from, to, host, user, rule, level, limit } = arguments;
        if from > to {
            let what = "`from` lies after `to`".into();
            return Err(ToolError::BadArguments { tool: Self::NAME.into(), what });
        }
        let host = host.map(HostName::new);
        let account = user.as_deref().map(Entity::account);
        let level = level.map(Severity::from);
        let is_by = |alert: &Alert, rule: &String| {
            alert.rule.id.as_str() == rule || alert.rule.title.eq_ignore_ascii_case(rule)
        };
        let fits = |alert: &Alert| {
            (from..=to).contains(&alert.time)
                && host.as_ref().is_none_or(|host| alert.host == *host)
                && account.as_ref().is_none_or(|account| account.as_ref().is_some_and(|a| alert.entities.contains(a)))
                && rule.as_ref().is_none_or(|rule| is_by(alert, rule))
                && level.is_none_or(|level| alert.rule.level >= level)
        };
        let found = self.0.alerts()?.select(fits);
        let limit = limit.unwrap_or(MOST_ROWS).clamp(1, MOST_ROWS);
        let listed: Vec<Listed> = found.iter().rev().take(limit).map(|alert| listed(alert, scope)).collect();
        let rows = listed.iter().map(|listed| {
            let Listed { alert, rule, level, host, time, event, own } = listed;
            let mark = if *own { "* " } else { "" };
            let (rule, host) = (taint::shown(rule), taint::shown(&host.to_string()));
            Row::said(format!(
                "{mark}{} {level} {rule} on {host}: alert {alert}, event {event}",
                time.strftime("%F %T")
            ))
        });
        let rows: Vec<Row> = rows.collect();
        let total = found.len() as u64;
        let next =
            if total > rows.len() as u64 { "narrow the window, or name a rule or level".into() } else { String::new() };
        let header = Header { total, window: format!("{from} to {to}"), next, ..Header::default() };
        let data = serde_json::to_value(listed).unwrap_or_default();
        Ok(Answer { header, rows, cut: 0, data, filing: None })
    }
}

fn listed(alert: &Alert, scope: &Scope) -> Listed {
    Listed {
        alert: alert.id.clone(),
        rule: alert.rule.title.clone(),
        level: alert.rule.level,
        host: alert.host.clone(),
        time: alert.time,
        event: alert.event.clone(),
        own: scope.alerts.iter().any(|own| own.id == alert.id),
    }
}

/// See the module.
pub struct GetFinding;

/// Which finding.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindingArguments {
    /// The finding's id: that of the alert it became.
    pub finding: String,
}

#[async_trait]
impl Tool for GetFinding {
    const NAME: &'static str = "get_finding";
    const DESCRIPTION: &'static str = "A detection's finding of this case: what get_alert shows, by the finding's id. Here a finding and its alert are one.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = FindingArguments;

    async fn call(&self, arguments: FindingArguments, scope: &Scope) -> Result<Answer, ToolError> {
        GetAlert.call(alerts::Arguments { alert: arguments.finding }, scope).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::event::SYSMON;
    use crate::fixtures::{CASE, alert, at, event, journal, store};
    use crate::journal::alert_log::AlertLog;
    use crate::ports::events::Watermark;

    async fn ask(arguments: Value) -> Result<(Answer, Vec<Listed>), ToolError> {
        let mut alerts: Vec<Alert> = (0..30).map(|n| alert(&format!("a{n:02}"), "e", "WKS-1", n)).collect();
        alerts[0].rule.level = Severity::High;
        alerts[1].host = HostName::new("SRV-1");
        alerts[2].entities = vec![Entity::Account("m.vale".into())];
        let (_folder, journal) = journal();
        let log = AlertLog::open(journal).await.expect("it opens");
        log.receive(alerts.clone(), at(0)).await.expect("they are stored");
        let (_events, store) = store(vec![]).await;
        let scope =
            Scope { case: CASE, alerts: Arc::new(alerts[..1].to_vec()), events: store, watermark: Watermark(1) };
        let tool = GetAlerts(Arc::new(Surroundings { alerts: Some(Arc::new(log)), ..Surroundings::default() }));
        let answer = tool.call(serde_json::from_value(arguments).expect("they fit"), &scope).await?;
        let listed = serde_json::from_value(answer.data.clone()).expect("it is typed");
        Ok((answer, listed))
    }

    #[tokio::test]
    async fn alerts_of_the_floor_are_listed_newest_first_and_narrowed() {
        let (answer, listed) = ask(json!({"from": at(0), "to": at(100)})).await.expect("it answers");
        assert_eq!((answer.header.total, listed.len(), listed[0].alert.as_str()), (30, 25, "a29"));
        assert!(answer.header.next.starts_with("narrow"), "{}", answer.header.next);
        for (narrower, wanted) in [
            (json!({"level": "high"}), "a00"),
            (json!({"host": "srv-1.corp.example"}), "a01"),
            (json!({"user": r"CORP\M.Vale"}), "a02"),
            (json!({"rule": "rule of A03"}), "a03"),
        ] {
            let mut asked = json!({"from": at(0), "to": at(100)});
            asked.as_object_mut().expect("a map").extend(narrower.as_object().expect("a map").clone());
            let (_, listed) = ask(asked).await.expect("it answers");
            let ids: Vec<&str> = listed.iter().map(|listed| listed.alert.as_str()).collect();
            assert_eq!((ids, listed[0].own), (vec![wanted], wanted == "a00"));
        }
        let (_, none) = ask(json!({"from": at(0), "to": at(100), "user": "SYSTEM"})).await.expect("it answers");
        assert_eq!(none.len(), 0, "the machine's own account is nobody's");
        assert!(ask(json!({"from": at(1), "to": at(0)})).await.is_err());
    }

    #[tokio::test]
    async fn a_finding_is_its_alert() {
        let (_folder, store) = store(vec![event("e", 0, "WKS-1", (SYSMON, 1), json!({"Image": "tool.exe"}))]).await;
        let alerts = Arc::new(vec![alert("f-1", "e", "WKS-1", 0)]);
        let scope = Scope { case: CASE, alerts, events: store, watermark: Watermark(u64::MAX) };
        let found = GetFinding.call(FindingArguments { finding: "f-1".into() }, &scope).await.expect("it is there");
        assert_eq!(found.rows.len(), 2);
        let missing = GetFinding.call(FindingArguments { finding: "f-2".into() }, &scope).await;
        assert!(matches!(missing, Err(ToolError::NotFound { .. })));
    }
}
