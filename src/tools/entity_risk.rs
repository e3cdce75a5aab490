//! `entity_risk`: what other rules say of the same machine, account or session, in the hour and in the week around.
//!
//! Distinct rules and tactics count; repeats of one rule add nothing. Alerts of all cases and of none are looked at:
//! they are what rules said, never what an analyst concluded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Header, Row, ToolError};
use super::surroundings::Surroundings;
use super::tool::{Permission, Scope, Tool};
use crate::domain::alert::{Alert, Severity};
use crate::domain::attack;
use crate::domain::entity::{Entity, HostName};
use crate::domain::ids::RuleId;
use crate::domain::taint;

/// See the module.
pub struct EntityRisk(pub Arc<Surroundings>);

/// The near window, on each side.
const NEAR: SignedDuration = SignedDuration::from_mins(60);
/// The wide window, on each side.
const WIDE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Rules that are named.
const MOST_RULES: usize = 8;

/// Whose risk, and around when.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// A machine.
    #[serde(default)]
    pub host: Option<String>,
    /// An account, with or without its domain.
    #[serde(default)]
    pub user: Option<String>,
    /// A logon session's id on `host`, such as `0x3e7a1`.
    #[serde(default)]
    pub session: Option<String>,
    /// Around when; around this case's first alert if left out.
    #[serde(default)]
    pub at: Option<Timestamp>,
}

/// What rules say in a window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk {
    /// Alerts, repeats included.
    pub alerts: u64,
    /// Distinct rules.
    pub rules: u64,
    /// Of these, rules that no alert of this case is by.
    pub other_rules: u64,
    /// Distinct tactics, Stealth and Defense Impairment counted as the one that they were.
    pub tactics: BTreeSet<String>,
    /// Of these, the ones of rules that no alert of this case is by.
    pub other_tactics: BTreeSet<String>,
    /// The loudest level.
    pub loudest: Option<Severity>,
}

/// What the tool gives a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityFacts {
    /// In the 60 minutes on each side.
    pub near: Risk,
    /// In the 7 days on each side.
    pub wide: Risk,
}

/// Whether an alert concerns whom is asked about.
struct Concerned {
    host: Option<HostName>,
    entity: Option<Entity>,
}

impl Concerned {
    fn of(arguments: &Arguments) -> Result<Self, String> {
        let host = arguments.host.clone().map(HostName::new);
        let entity = match (&arguments.session, &arguments.user, &host) {
            (Some(_), Some(_), _) => return Err("name `user` or `session`, not both".into()),
            (Some(session), None, Some(host)) => {
                Some(Entity::LogonSession(host.key().to_owned(), session.trim().to_lowercase()))
            }
            (Some(_), None, None) => return Err("a session is one of a machine: name its `host`".into()),
            (None, Some(user), _) => {
                let entity = Entity::account(user);
                let none = || format!("`{}` stands for the machine itself: ask for its `host`", taint::shown(user));
                Some(entity.ok_or_else(none)?)
            }
            (None, None, Some(_)) => None,
            (None, None, None) => return Err("name a `host`, a `user`, or a `session` on a host".into()),
        };
        Ok(Self { host, entity })
    }

    fn fits(&self, alert: &Alert) -> bool {
        self.host.as_ref().is_none_or(|host| alert.host == *host)
            && self.entity.as_ref().is_none_or(|wanted| alert.entities.contains(wanted))
    }
}

#[async_trait]
impl Tool for EntityRisk {
    const NAME: &'static str = "entity_risk";
    const DESCRIPTION: &'static str = "What rules say of a machine, account or logon session within 60 minutes and 7 days: distinct rules and tactics, apart from this case's own rules. Repeats of one rule add nothing; no analyst's verdict is counted.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = Arguments;

    async fn call(&self, arguments: Arguments, scope: &Scope) -> Result<Answer, ToolError> {
        let bad = |what: String| ToolError::BadArguments { tool: Self::NAME.into(), what };
        let concerned = Concerned::of(&arguments).map_err(bad)?;
        let first = scope.alerts.iter().map(|alert| alert.time).min();
        let at =
            arguments.at.or(first).ok_or_else(|| bad("this case has no alert: say around when with `at`".into()))?;
        let window =
            |length: SignedDuration| (at.checked_sub(length).unwrap_or(at), at.checked_add(length).unwrap_or(at));
        let within = |alert: &Alert, (from, to): (Timestamp, Timestamp)| (from..=to).contains(&alert.time);
        let (near, wide) = (window(NEAR), window(WIDE));
        let alerts = self.0.alerts()?.select(|alert| within(alert, wide) && concerned.fits(alert));
        let close: Vec<Arc<Alert>> = alerts.iter().filter(|alert| within(alert, near)).cloned().collect();
        let own: BTreeSet<&RuleId> = scope.alerts.iter().map(|alert| &alert.rule.id).collect();
        let facts = EntityFacts { near: risk(&close, &own), wide: risk(&alerts, &own) };
        let mut rows =
            vec![Row::said(summary("within 60 min", &facts.near)), Row::said(summary("within 7 days", &facts.wide))];
        let others = others(&alerts, &own);
        rows.extend(others.iter().take(MOST_RULES).map(|line| Row::said(line.clone())));
        let next =
            if others.len() > MOST_RULES { format!("{} more rules", others.len() - MOST_RULES) } else { String::new() };
        let window = format!("{} to {}", wide.0, wide.1);
        let header = Header { total: 2 + others.len() as u64, window, next, ..Header::default() };
        let data = serde_json::to_value(facts).unwrap_or_default();
        Ok(Answer { header, rows, cut: 0, data, filing: None })
    }
}

fn risk(alerts: &[Arc<Alert>], own: &BTreeSet<&RuleId>) -> Risk {
    let mut risk = Risk { alerts: alerts.len() as u64, ..Risk::default() };
    let mut rules = BTreeMap::new();
    for alert in alerts {
        rules.entry(&alert.rule.id).or_insert(&alert.rule);
        risk.loudest = risk.loudest.max(Some(alert.rule.level));
    }
    risk.rules = rules.len() as u64;
    for (id, rule) in rules {
        let tactics = rule.tactics().into_iter().map(|tactic| attack::counted_as(&tactic).to_owned());
        let tactics: Vec<String> = tactics.collect();
        if !own.contains(id) {
            risk.other_rules += 1;
            risk.other_tactics.extend(tactics.iter().cloned());
        }
        risk.tactics.extend(tactics);
    }
    risk
}

fn summary(when: &str, risk: &Risk) -> String {
    if risk.alerts == 0 {
        return format!("{when}: no alert");
    }
    let tactics = risk.tactics.iter().cloned().collect::<Vec<_>>().join(", ");
    let of = if tactics.is_empty() { String::new() } else { format!(" ({tactics})") };
    format!(
        "{when}: {} alerts by {} rules of {} tactics{of}; {} of these rules are not this case's",
        risk.alerts,
        risk.rules,
        risk.tactics.len(),
        risk.other_rules
    )
}

/// The rules that are not this case's, the loudest first, each with how often and when.
fn others(alerts: &[Arc<Alert>], own: &BTreeSet<&RuleId>) -> Vec<String> {
    let mut rules: BTreeMap<&RuleId, (&Alert, u64, Timestamp)> = BTreeMap::new();
    for alert in alerts.iter().filter(|alert| !own.contains(&alert.rule.id)) {
        let entry = rules.entry(&alert.rule.id).or_insert((alert, 0, alert.time));
        (entry.1, entry.2) = (entry.1 + 1, alert.time);
    }
    let mut rules: Vec<_> = rules.into_values().collect();
    rules.sort_by_key(|(alert, count, _)| std::cmp::Reverse((alert.rule.level, *count)));
    let line = |(alert, count, last): &(&Alert, u64, Timestamp)| {
        format!(
            "{} × {} ({}) on {}, first {}, last {}",
            count,
            taint::shown(&alert.rule.title),
            alert.rule.level,
            taint::shown(&alert.host.to_string()),
            alert.time.strftime("%F %T"),
            last.strftime("%F %T")
        )
    };
    rules.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;
    use crate::fixtures::{BrokenStore, alert, at, journal};
    use crate::journal::alert_log::AlertLog;
    use crate::ports::events::Watermark;

    const DAY: i64 = 86_400;

    async fn floor(alerts: Vec<Alert>) -> (TempDir, EntityRisk) {
        let (folder, journal) = journal();
        let log = AlertLog::open(journal).await.expect("it opens");
        log.receive(alerts, at(0)).await.expect("they are stored");
        let around = Surroundings { alerts: Some(Arc::new(log)), ..Surroundings::default() };
        (folder, EntityRisk(Arc::new(around)))
    }

    fn raised(id: &str, rule: &str, tags: &[&str], seconds: i64) -> Alert {
        let mut alert = alert(id, id, "WKS-1", seconds);
        alert.rule.id = RuleId::new(rule);
        alert.rule.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        alert.entities = vec![Entity::Account("m.vale".into()), Entity::LogonSession("wks-1".into(), "0x5".into())];
        alert
    }

    async fn ask(
        tool: &EntityRisk,
        own: Vec<Alert>,
        arguments: Value,
    ) -> Result<(Vec<String>, EntityFacts), ToolError> {
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
    async fn rules_and_tactics_are_counted_once_and_repeats_add_nothing() {
        let own = raised("a", "own", &["attack.execution"], 0);
        let mut alerts = vec![own.clone()];
        alerts.extend((0..500).map(|n| raised(&format!("r{n}"), "own", &["attack.execution"], n)));
        alerts.push(raised("b", "other", &["attack.stealth"], 600));
        alerts.push(raised("c", "third", &["attack.defense-impairment", "attack.t1685"], 3 * DAY));
        alerts.push(raised("d", "far", &["attack.impact"], 9 * DAY));
        let (_folder, tool) = floor(alerts).await;
        for asked in [
            json!({"host": "wks-1.corp.example"}),
            json!({"user": r"CORP\M.Vale"}),
            json!({"host": "wks-1", "session": "0x5"}),
        ] {
            let (texts, facts) = ask(&tool, vec![own.clone()], asked).await.expect("it answers");
            assert_eq!((facts.near.alerts, facts.near.rules, facts.near.other_rules), (502, 2, 1));
            assert_eq!((facts.near.tactics.len(), facts.near.other_tactics.len()), (2, 1));
            assert_eq!((facts.wide.rules, facts.wide.other_rules), (3, 2), "what is nine days away is not near");
            assert_eq!(facts.wide.other_tactics.len(), 1, "two names of what was one tactic count once");
            assert!(texts[0].starts_with("within 60 min: 502 alerts by 2 rules of 2 tactics"), "{texts:?}");
        }
    }

    #[tokio::test]
    async fn whoever_is_not_concerned_is_not_counted() {
        let (_folder, tool) = floor(vec![raised("b", "other", &[], 0)]).await;
        let own = vec![raised("a", "own", &[], 0)];
        for asked in [json!({"host": "wks-2"}), json!({"user": "a.other"}), json!({"host": "wks-1", "session": "0x6"})]
        {
            let (texts, facts) = ask(&tool, own.clone(), asked).await.expect("it answers");
            assert_eq!((facts.wide, texts[0].as_str()), (Risk::default(), "within 60 min: no alert"));
        }
    }

    #[tokio::test]
    async fn a_question_about_nobody_is_refused_with_the_remedy() {
        let (_folder, tool) = floor(vec![]).await;
        let own = || vec![raised("a", "own", &[], 0)];
        for (asked, words) in [
            (json!({}), "name a `host`"),
            (json!({"session": "0x5"}), "name its `host`"),
            (json!({"user": "SYSTEM"}), "stands for the machine itself"),
            (json!({"user": "a", "session": "0x5", "host": "h"}), "not both"),
        ] {
            let refused = ask(&tool, own(), asked).await.expect_err("it is refused").to_string();
            assert!(refused.contains(words), "{words}: {refused}");
        }
        let without = EntityRisk(Arc::default());
        let refused = ask(&without, own(), json!({"host": "wks-1"})).await;
        assert!(matches!(refused, Err(ToolError::Unavailable { .. })));
    }
}
