//! What intake tells in a case: how it began, what gathered in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::analyst::comments;
use crate::domain::alert::Alert;
use crate::domain::words::counted;
use crate::tools::view::most_telling;

/// What the case was opened for.
pub(super) fn opened(alert: &Alert) -> String {
    let author = alert.rule.author.as_ref().map_or_else(String::new, |author| format!(", rule by {author}"));
    let matched = most_telling(&alert.matched).map_or_else(String::new, |quote| {
        let field = quote.field.rsplit('.').next().unwrap_or(&quote.field);
        format!("\nTrigger: {field} `{}`.", comments::quoted(&quote.value))
    });
    format!(
        "Opened for {} ({}{}) on {} at {} UTC.{matched}",
        comments::quoted(&alert.rule.title),
        alert.rule.level,
        comments::quoted(&author),
        comments::quoted(&alert.host.to_string()),
        alert.time.strftime("%F %T"),
    )
}

/// How many alerts, rules and hosts the case has, and the loudest rules by name.
pub(super) fn gathered(alerts: &[Arc<Alert>]) -> String {
    let mut rules: BTreeMap<&str, (&Alert, usize)> = BTreeMap::new();
    for alert in alerts {
        rules.entry(alert.rule.id.as_str()).or_insert((alert, 0)).1 += 1;
    }
    let mut hosts: Vec<&str> = alerts.iter().map(|alert| alert.host.key()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let mut loudest: Vec<_> = rules.values().collect();
    loudest.sort_by_key(|(alert, count)| (std::cmp::Reverse((alert.rule.level, *count)), alert.rule.id.clone()));
    let mut text = format!(
        "{} of {} on {} belong together.",
        counted(alerts.len() as u64, "alert"),
        counted(rules.len() as u64, "rule"),
        counted(hosts.len() as u64, "host")
    );
    for (alert, count) in loudest.iter().take(6) {
        let author =
            alert.rule.author.as_ref().map_or_else(String::new, |author| format!(", by {}", comments::quoted(author)));
        text.push_str(&format!(
            "\n- {} × {} ({}{author})",
            count,
            comments::quoted(&alert.rule.title),
            alert.rule.level
        ));
    }
    if loudest.len() > 6 {
        text.push_str(&format!("\n- and {}", counted((loudest.len() - 6) as u64, "more rule")));
    }
    text
}
