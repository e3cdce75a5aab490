//! `similar_cases`: how many alerts were like this one, and what people decided on them.
//!
//! Only people's outcomes are a judgement. What an analyst of this floor concluded earlier is not shown here at all:
//! an earlier machine verdict must never be the reason for the next one.
//!
//! A judged case is similar to an alert if one of its own alerts is of the same rule: most if that one matched the same
//! values up to numbers, identifiers and names of users, less if it names the same machine, account or file, least if
//! it has only the rule in common ([`Likeness`]). One word of a person on many cases is one judgement of the rule: who
//! resolves a hundred cases with one reason has looked once.

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
use crate::domain::entity::Entity;
use crate::domain::evidence::Quote;
use crate::domain::ids::CaseId;
use crate::domain::person::{Outcome, Ruling};
use crate::domain::taint;
use crate::domain::words::{counted, excerpt};
use crate::journal::outcomes::{self, CaseOutcome};
use crate::knowledge::template;

/// Judged cases that are shown one by one, the most similar first.
const MOST_JUDGED: usize = 5;

/// Characters of a person's reason that are shown.
const LONGEST_REASON: usize = 120;

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

/// What a judged case has in common with an alert, the most telling last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Likeness {
    /// The rule alone.
    Rule,
    /// The rule, and a machine, an account or a file.
    Entities,
    /// The rule, and the values it matched on, up to numbers, identifiers and names of users.
    Values,
}

impl Likeness {
    const fn says(self) -> &'static str {
        match self {
            Self::Rule => "the same rule, elsewhere and on other values",
            Self::Entities => "the same rule on the same machine, account or file",
            Self::Values => "the same rule on the same values",
        }
    }

    fn of(one: &Alert, other: &Alert) -> Option<Self> {
        if one.rule.id != other.rule.id {
            return None;
        }
        let values = templates(&one.matched);
        let telling = |entity: &&Entity| matches!(entity, Entity::Account(_) | Entity::File(_));
        let shares = |entity: &Entity| other.entities.contains(entity);
        Some(if !values.is_empty() && values == templates(&other.matched) {
            Self::Values
        } else if one.host == other.host || one.entities.iter().filter(telling).any(shares) {
            Self::Entities
        } else {
            Self::Rule
        })
    }
}

/// A case that a person judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedCase {
    /// The case.
    pub case: CaseId,
    /// What the person said it was.
    pub ruling: Ruling,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why, in the person's words.
    pub because: String,
    /// What it has in common with the alert.
    pub likeness: Likeness,
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
    /// What people decided on cases with alerts of this rule, one for each word; nothing if nobody's decision is recorded.
    pub outcomes: Option<Outcomes>,
    /// The most similar of those cases.
    #[serde(default)]
    pub judged: Vec<JudgedCase>,
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
        let known = self.0.alerts()?;
        let unread = |error: crate::ports::journal::JournalError| ToolError::Unavailable { what: error.to_string() };
        let said = outcomes::of_people(self.0.journal()?, known).await.map_err(unread)?;
        // What a person said of this very case stands above its verdict and is no reason for the next one.
        let said = said.iter().filter(|said| said.case != scope.case && !said.alerts.iter().any(|id| own.contains(id)));
        let likeness =
            |said: &CaseOutcome| known.get(&said.alerts).iter().filter_map(|alert| Likeness::of(of, alert)).max();
        let mut judged: Vec<(Likeness, &CaseOutcome)> = said.filter_map(|said| Some((likeness(said)?, said))).collect();
        judged.sort_by_key(|(likeness, said)| (std::cmp::Reverse((*likeness, said.verdict.at)), said.case));
        let outcomes = words(judged.iter().map(|(_, said)| *said));
        let judged: Vec<JudgedCase> = judged.into_iter().take(MOST_JUDGED).map(shown).collect();
        let similar = Similar {
            same_rule: alike(others.iter()),
            same_host: alike(of_host.into_iter()),
            same_values: alike(of_values.into_iter()),
            outcomes: (outcomes != Outcomes::default()).then_some(outcomes),
            judged,
        };
        let title = taint::shown(&of.rule.title);
        let mut rows = vec![
            Row::said(told(&format!("by the rule `{title}`, outside this case"), &similar.same_rule)),
            Row::said(told("of these on this machine", &similar.same_host)),
            Row::said(told("of these on the same values", &similar.same_values)),
            Row::said(decided(similar.outcomes)),
        ];
        rows.extend(similar.judged.iter().map(|judged| {
            let JudgedCase { case, ruling, by, at, because, likeness } = judged;
            let (by, day) = (taint::shown(by), at.strftime("%F"));
            Row::said(format!("{case}: {ruling}, said {by} on {day} (`{because}`) — {}", likeness.says()))
        }));
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

/// One for each word of a person and outcome: a word on many cases is one judgement.
fn words<'a>(judged: impl Iterator<Item = &'a CaseOutcome>) -> Outcomes {
    let told: BTreeSet<(Timestamp, &str, bool)> =
        judged.map(|said| (said.verdict.at, said.verdict.by.as_str(), said.outcome == Outcome::Malicious)).collect();
    let malicious = told.iter().filter(|(.., malicious)| *malicious).count() as u64;
    Outcomes { malicious, harmless: told.len() as u64 - malicious }
}

fn decided(outcomes: Option<Outcomes>) -> String {
    match outcomes {
        None => "what people decided on them: no outcomes recorded".into(),
        Some(Outcomes { malicious, harmless }) => format!(
            "what people decided on cases of this rule: {} malicious, {} harmless or expected; other judgements than people's do not count",
            counted(malicious, "time"),
            counted(harmless, "time")
        ),
    }
}

fn shown((likeness, said): (Likeness, &CaseOutcome)) -> JudgedCase {
    let verdict = &said.verdict;
    JudgedCase {
        case: said.case,
        ruling: verdict.ruling,
        by: verdict.by.clone(),
        at: verdict.at,
        because: excerpt(&taint::shown(&verdict.because), LONGEST_REASON).into_owned(),
        likeness,
    }
}

fn told(which: &str, alike: &Alike) -> String {
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
mod tests;
