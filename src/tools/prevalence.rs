//! `prevalence`: how usual something is on this machine and on all of them, and whether the history is long enough
//! for rarity to mean anything.
//!
//! Only what came before the case counts: an intruder who does a thing on five machines for three days must not make
//! it usual by that. The two hours before the first alert of the case are left out too.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerts::unavailable;
use super::answer::{Answer, Header, Row, ToolError};
use super::tool::{Permission, Scope, Tool};
use super::view::{EventView, IN_A_ROW};
use crate::domain::event::{Event, SYSMON};
use crate::domain::taint;
use crate::ports::events::mention::{self, Sort};
use crate::ports::events::prevalence::{Habit, PrevalenceQuery, Spread};
use crate::ports::events::{EventQuery, Kind};

/// See the module.
pub struct Prevalence;

/// Hours before the first alert of the case that do not count.
const LEFT_OUT: SignedDuration = SignedDuration::from_hours(2);

/// Days of history that closing on recurrence needs: a week shows weekly habits once.
pub const DAYS_NEEDED: u32 = 7;

/// Days that are looked back over, unless asked otherwise, and at most.
const DAYS: u32 = 30;
const MOST_DAYS: u32 = 90;

/// What to look up. Without `domain` and `hash`: what the event itself shows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// The event, by its id: of a process creation, its program, command, parentage and hash are looked up; of others,
    /// the hash and the domain they name.
    pub event: String,
    /// A domain name to look up instead.
    #[serde(default)]
    pub domain: Option<String>,
    /// A file's hash to look up instead.
    #[serde(default)]
    pub hash: Option<String>,
    /// Days to look back over; 30 if left out, at most 90.
    #[serde(default)]
    pub days: Option<u32>,
}

/// What is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The program was started.
    Program,
    /// It was started with such a command.
    Command,
    /// The parent started the program.
    Parentage,
    /// A file with this hash was run, loaded or written.
    Hash,
    /// The name was resolved or connected to.
    Domain,
}

impl What {
    const fn name(self) -> &'static str {
        match self {
            Self::Program => "this program",
            Self::Command => "this program with such a command",
            Self::Parentage => "this parent starting this program",
            Self::Hash => "this file (by hash)",
            Self::Domain => "this domain",
        }
    }
}

/// How usual one thing is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usual {
    /// What was looked up.
    pub what: What,
    /// Its template: what changes from run to run is replaced.
    pub template: String,
    /// On all machines, this one included.
    pub fleet: Spread,
    /// On the event's machine.
    pub host: Spread,
}

/// How much history there is before the case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// Where the look back begins.
    pub from: Timestamp,
    /// Where it ends: two hours before the first alert of the case.
    pub to: Timestamp,
    /// Days of 24 hours within, on which some machine reported.
    pub fleet_days: u32,
    /// Days of 24 hours within, on which the event's machine reported.
    pub host_days: u32,
    /// Hours from the first event within to the end.
    pub hours: i64,
    /// Events before this instant may have been removed.
    pub complete_since: Option<Timestamp>,
    /// What is lacking for recurrence and rarity to count; nothing if the history is long enough.
    pub lacks: Option<String>,
}

impl Before {
    /// The history is long enough: what is not in it is rare, and what recurs in it is usual.
    #[must_use]
    pub const fn is_enough(&self) -> bool {
        self.lacks.is_none()
    }
}

/// What the tool gives a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rarity {
    /// What was looked up.
    pub usual: Vec<Usual>,
    /// The history it was looked up in.
    pub history: Before,
}

#[async_trait]
impl Tool for Prevalence {
    const NAME: &'static str = "prevalence";
    const DESCRIPTION: &'static str = "How usual it is, on this machine and on all, what an event shows (program, command template, parent, hash, domain): events, machines and days before the case, the 2 h before its first alert left out. Says how long the history is and what is lacking: closing on recurrence needs 7 days.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = Arguments;

    async fn call(&self, arguments: Arguments, scope: &Scope) -> Result<Answer, ToolError> {
        let event = scope.event(&arguments.event).await?;
        let asked = match (&arguments.domain, &arguments.hash) {
            (None, None) => shown_by(&event),
            (domain, hash) => {
                let domain = domain.as_deref().map(|name| (What::Domain, Habit::domain(name)));
                let hash = hash.as_deref().map(|digest| (What::Hash, Habit::hash(digest)));
                domain.into_iter().chain(hash).collect()
            }
        };
        if asked.is_empty() {
            let what = format!(
                "{} shows no program start, hash or domain: give `domain` or `hash`, or an event that shows one",
                event.kind()
            );
            return Err(ToolError::BadArguments { tool: Self::NAME.into(), what });
        }
        let days = arguments.days.unwrap_or(DAYS).clamp(1, MOST_DAYS);
        let history = history(&event, days, scope).await?;
        let mut usual = Vec::new();
        for (what, of) in asked {
            let query = PrevalenceQuery {
                of: of.clone(),
                host: event.host.clone(),
                from: history.from,
                to: history.to,
                except: None,
                watermark: scope.watermark,
            };
            let found = scope.events.prevalence(&query).await.map_err(unavailable)?;
            let template =
                of.parts()[1..].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" | ");
            usual.push(Usual { what, template, fleet: found.fleet, host: found.host });
        }
        let view = EventView::row(&event, IN_A_ROW);
        let of_history = match &history.lacks {
            Some(lacks) => format!("history: {lacks}"),
            None => format!("history: {} days on the fleet, {} on this machine", history.fleet_days, history.host_days),
        };
        let mut rows: Vec<Row> = usual.iter().map(said).collect();
        rows.push(Row::said(of_history));
        rows.push(Row::of(view));
        let window = format!("{} to {}", history.from, history.to);
        let header = Header { total: rows.len() as u64, window, ..Header::default() };
        let data = serde_json::to_value(Rarity { usual, history }).unwrap_or_default();
        Ok(Answer { header, rows, cut: 0, data, filing: None })
    }
}

/// What an event shows of which it can be said how usual it is.
fn shown_by(event: &Event) -> Vec<(What, Habit)> {
    let habits = Habit::shown_by(event).into_iter().filter_map(|habit| {
        let what = match habit.parts()[0] {
            "program" => What::Program,
            "command" => What::Command,
            "parentage" => What::Parentage,
            _ => return None,
        };
        Some((what, habit))
    });
    let mentioned = mention::of(event).into_iter().filter_map(|mention| match mention.sort() {
        Sort::Hash => Some((What::Hash, Habit::hash(mention.value()))),
        Sort::Domain => Some((What::Domain, Habit::domain(mention.value()))),
        _ => None,
    });
    habits.chain(mentioned).collect()
}

fn said(usual: &Usual) -> Row {
    let Usual { what, template, fleet, host } = usual;
    let short: String = taint::shown(template).chars().take(IN_A_ROW).collect();
    let text = match fleet.events {
        0 => format!("{}: never before the case · {short}", what.name()),
        events => format!(
            "{}: {events} times on {} machines and {} days, {} times on {} days here · {short}",
            what.name(),
            fleet.hosts,
            fleet.days,
            host.events,
            host.days
        ),
    };
    Row::said(text)
}

/// How much there is to look back on before the case.
async fn history(event: &Event, days: u32, scope: &Scope) -> Result<Before, ToolError> {
    let known = scope.events.history(scope.watermark).await.map_err(unavailable)?;
    let first = scope.span(event.time).0.min(event.time);
    let to = first.checked_sub(LEFT_OUT).unwrap_or(first);
    let back = SignedDuration::from_hours(24 * i64::from(days));
    let from = to.checked_sub(back).unwrap_or(to);
    let (mut fleet_days, mut host_days, mut hours) = (0, 0, 0);
    let day = SignedDuration::from_hours(24);
    let mut end = to;
    // One record with a clock that is off must not pass for years of history: the days are counted, not the span.
    while end > from && known.oldest.is_some_and(|oldest| oldest <= end) {
        let begin = end.checked_sub(day).unwrap_or(from);
        let starts = [(SYSMON, 1), ("Security", 4688)];
        let kinds = starts.map(|(channel, code)| Kind { channel: Some(channel.into()), code }).to_vec();
        let within = EventQuery { kinds, limit: 1, ..EventQuery::within(begin, end, scope.watermark) };
        let on_fleet = scope.events.search(&within).await.map_err(unavailable)?;
        if let Some(earliest) = on_fleet.rows.first() {
            fleet_days += 1;
            hours = to.duration_since(earliest.time).as_hours();
            let here = EventQuery { host: Some(event.host.clone()), ..within };
            host_days += u32::from(scope.events.search(&here).await.map_err(unavailable)?.total > 0);
        }
        // Both ends of a window are included: the next one ends just before.
        end = begin.checked_sub(SignedDuration::from_micros(1)).unwrap_or(from);
    }
    let lacks = lacks(fleet_days, host_days, hours);
    Ok(Before { from, to, fleet_days, host_days, hours, complete_since: known.complete_since, lacks })
}

/// What a history of so many days lacks.
fn lacks(fleet_days: u32, host_days: u32, hours: i64) -> Option<String> {
    let have = match (fleet_days, hours) {
        (0, _) => "none before this case".to_owned(),
        (_, hours) if hours < 48 => format!("{hours} h"),
        (days, _) => format!("{days} days"),
    };
    if fleet_days < DAYS_NEEDED {
        return Some(format!(
            "closing on recurrence needs {DAYS_NEEDED} days of process starts before the case; you have {have}"
        ));
    }
    (host_days == 0)
        .then(|| "this machine reported no process start before the case: what is usual here is not known".into())
}

#[cfg(test)]
mod tests;
