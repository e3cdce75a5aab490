//! `watchfloor rules check|explain`: are these rules sound, and why did one match or not?

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use rsigma_eval::{ConditionTrace, DetectionTrace, ItemTrace, MatchReason};
use serde_json::json;

use super::Verdict;
use super::say::{complain, say, say_json};
use crate::detection::read::EventLog;
use crate::detection::sigma::explain::Explained;
use crate::detection::sigma::{Rejected, RuleSet};
use crate::domain::alert::RuleCard;
use crate::domain::event::Event;
use crate::domain::ids::{EventId, RuleId};
use crate::domain::words::{agreeing, counted, excerpt};
use crate::floor::assembly::Stores;
use crate::floor::faults::Faults;
use crate::floor::state_folder::StateFolder;

/// What to do with rules.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what is wrong with rules; exit code 2 if one of them cannot be used
    Check {
        /// A folder, a file or a tar archive
        #[arg(value_name = "DIR")]
        path: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say why a rule matched an event, or why not, field by field
    Explain {
        /// A rule's file, or its id
        #[arg(value_name = "RULE")]
        rule: String,
        /// A log file, `-` for the standard input, or the id of an event in the state folder
        #[arg(value_name = "EVENT")]
        event: String,
        /// Where a rule named by its id is looked for: a folder, a file or a tar archive; the shipped rules if left out
        #[arg(long, value_name = "DIR|ARCHIVE")]
        rules: Option<PathBuf>,
        /// Which event of the log, counted from 1
        #[arg(long, value_name = "N", default_value_t = 1)]
        record: usize,
        #[command(flatten)]
        common: super::Common,
    },
}

/// Runs the command.
///
/// # Errors
/// When rules or event cannot be read, or there is no such rule or event.
pub async fn run(command: Command) -> Result<Verdict> {
    match command {
        Command::Check { path, json } => check(&RuleSet::load(&path)?, json),
        Command::Explain { rule, event, rules, record, common } => {
            let set = match (&rules, Path::new(&rule).exists()) {
                (_, true) => RuleSet::load(Path::new(&rule))?,
                (Some(path), false) => RuleSet::load(path)?,
                (None, false) => RuleSet::builtin(),
            };
            let ids = if Path::new(&rule).exists() { all_ids(&set) } else { vec![RuleId::new(rule.as_str())] };
            if let Some(bad) = set.rejected().first().filter(|_| ids.is_empty()) {
                bail!("`{}` holds no usable rule: {}", bad.file, bad.reason);
            }
            let event = event_of(&event, record, &common.data).await?;
            explain(&set, &ids, &event, common.json)
        }
    }
}

/// The rules that a command detects by: those at this place, or the shipped ones. What is left out of them is told.
///
/// # Errors
/// When they cannot be read, or none of them can be used.
pub fn in_use(from: Option<&Path>) -> Result<RuleSet> {
    let Some(path) = from else { return Ok(RuleSet::builtin()) };
    let rules = RuleSet::load(path)?;
    usable(&rules, path)?;
    Ok(rules)
}

/// Tells what is left out of the rules of a place.
///
/// # Errors
/// When none of them can be used.
pub fn usable(rules: &RuleSet, path: &Path) -> Result<()> {
    complain_of(rules.rejected());
    if rules.is_empty() {
        let path = path.display();
        bail!(
            "none of the rules in `{path}` can be used, so nothing would be detected: mend them, or name others with --rules"
        );
    }
    Ok(())
}

/// Tells which rules are left out, and why.
pub fn complain_of(rejected: &[Rejected]) {
    for rejected in rejected {
        complain(format!("rule {} is left out: {}", rejected.file, rejected.reason));
    }
}

fn all_ids(set: &RuleSet) -> Vec<RuleId> {
    let mut ids: Vec<RuleId> = set.cards().map(|card| card.id.clone()).collect();
    ids.sort();
    ids
}

fn check(rules: &RuleSet, json: bool) -> Result<Verdict> {
    let place = |file: &str, line: Option<u64>| line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"));
    if json {
        say_json(&json!({
            "rules": rules.len(), "correlations": rules.correlations(),
            "errors": rules.rejected(), "warnings": rules.remarks(),
        }))?;
    } else {
        let mut lines = Vec::new();
        for bad in rules.rejected() {
            lines.push(format!("error: {}: {}", place(&bad.file, bad.line), bad.reason));
        }
        for odd in rules.remarks() {
            lines.push(format!("warning: {}: {}", place(&odd.file, odd.line), odd.text));
        }
        lines.push(format!(
            "{} can be used, {} among them; {}, {}",
            counted(rules.len() as u64, "rule"),
            counted(rules.correlations() as u64, "correlation"),
            counted(rules.rejected().len() as u64, "error"),
            counted(rules.remarks().len() as u64, "warning"),
        ));
        say(lines.join("\n"))?;
    }
    Ok(if rules.rejected().is_empty() { Verdict::Quiet } else { Verdict::Failed })
}

/// An event of a log file, of the standard input, or of the state folder.
async fn event_of(name: &str, record: usize, data: &Path) -> Result<Event> {
    if name == "-" {
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text).context("the standard input cannot be read")?;
        // Logs are read from files, which may be of any shape.
        let mut file = tempfile_in(std::env::temp_dir())?;
        file.1.write_all(&text).and_then(|()| file.1.flush()).context("the standard input cannot be kept in a file")?;
        let event = record_of(&file.0, record);
        drop(file.1);
        // Left-overs are the system's to clear: the event was read.
        let _ = std::fs::remove_file(&file.0);
        return event;
    }
    if Path::new(name).exists() {
        return record_of(Path::new(name), record);
    }
    let folder = StateFolder::take_existing(data).with_context(|| {
        format!("`{name}` is no file, and as the id of an event it cannot be looked up in {}", data.display())
    })?;
    let stores = Stores::open(folder.path(), &Faults::default())?;
    let event = stores.events.get(&EventId::new(name)).await?;
    event.with_context(|| {
        format!("`{name}` is neither a file nor an event in {}: name a log, or an id that a case shows", data.display())
    })
}

fn record_of(path: &Path, record: usize) -> Result<Event> {
    let number = record.checked_sub(1).context("records are counted from 1: give --record 1 or more")?;
    let mut log = EventLog::open(path)?;
    let event = log.by_ref().nth(number);
    event.with_context(|| {
        format!("`{}` holds fewer than {}: give a smaller --record", path.display(), counted(record as u64, "event"))
    })
}

fn explain(rules: &RuleSet, ids: &[RuleId], event: &Event, json: bool) -> Result<Verdict> {
    let mut explained = Vec::new();
    for id in ids {
        let found = rules.explain(id, event).zip(rules.card(id));
        let (outcome, card) = found.with_context(|| {
            format!("no rule has the id `{id}`: name a rule's file, or the rules it is among with --rules")
        })?;
        explained.push((card, outcome));
    }
    if json {
        let all: Vec<_> = explained.iter().map(|(card, outcome)| json!({"rule": card, "explained": outcome})).collect();
        say_json(&json!({"event": event.id, "kind": event.kind(), "host": event.host, "rules": all}))?;
    } else {
        let mut lines = vec![format!("event {}: {} on {} at {}", event.id, event.kind(), event.host, event.time)];
        for (card, outcome) in &explained {
            tell(card, outcome, &mut lines);
        }
        say(lines.join("\n"))?;
    }
    Ok(Verdict::Quiet)
}

fn tell(card: &RuleCard, outcome: &Explained, lines: &mut Vec<String>) {
    let title = format!("{} ({}, {})", card.title, card.id, card.level);
    match outcome {
        Explained::LookedAt { trace, stands_in, silent } => {
            lines.push(format!("{} {title}", if trace.matched { "matches:" } else { "does not match:" }));
            trace.conditions.iter().for_each(|condition| tell_condition(condition, 1, lines));
            if trace.matched && *stands_in {
                lines.push("  it raises an alert only if the host sent no Sysmon 1 within a day".into());
            }
            if trace.matched && *silent {
                lines.push("  it raises no alert itself: it is a part of a correlation".into());
            }
        }
        Explained::OtherSource { source } => {
            lines.push(format!("does not look at this event: {title}"));
            lines.push(format!("  its log source is {source}"));
        }
        Explained::Correlation { rules } => {
            lines.push(format!("looks at what other rules find: {title}"));
            lines.push(format!("  explain one of these instead: {}", rules.join(", ")));
        }
    }
}

/// `+` for what holds, `-` for what does not.
fn sign(holds: bool) -> char {
    if holds { '+' } else { '-' }
}

fn tell_condition(condition: &ConditionTrace, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let sign = sign(condition.matched());
    match condition {
        ConditionTrace::Selection { name, detection, .. } => {
            lines.push(format!("{indent}{sign} {name}"));
            tell_detection(detection, depth + 1, lines);
        }
        ConditionTrace::And { children, .. } => {
            lines.push(format!("{indent}{sign} all of"));
            children.iter().for_each(|child| tell_condition(child, depth + 1, lines));
        }
        ConditionTrace::Or { children, .. } => {
            lines.push(format!("{indent}{sign} one of"));
            children.iter().for_each(|child| tell_condition(child, depth + 1, lines));
        }
        ConditionTrace::Not { child, .. } => {
            lines.push(format!("{indent}{sign} not"));
            tell_condition(child, depth + 1, lines);
        }
        ConditionTrace::Quantified { quantifier, need, got, branches, .. } => {
            lines.push(format!(
                "{indent}{sign} {quantifier} of {} ({need} needed, {got} {})",
                counted(branches.len() as u64, "selection"),
                agreeing(*got, "holds", "hold")
            ));
            for branch in branches {
                lines.push(format!("{indent}  {} {}", self::sign(branch.matched), branch.name));
                tell_detection(&branch.detection, depth + 2, lines);
            }
        }
    }
}

fn tell_detection(detection: &DetectionTrace, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let sign = sign(detection.matched());
    match detection {
        DetectionTrace::AllOf { items, .. } => items.iter().for_each(|item| lines.push(told(item, &indent))),
        DetectionTrace::Keywords { item, .. } => lines.push(told(item, &indent)),
        DetectionTrace::AnyOf { branches, .. } => {
            lines.push(format!("{indent}{sign} one of"));
            branches.iter().for_each(|branch| tell_detection(branch, depth + 1, lines));
        }
        DetectionTrace::And { branches, .. } => {
            branches.iter().for_each(|branch| tell_detection(branch, depth, lines));
        }
        DetectionTrace::ArrayMatch { field, quantifier, members, .. } => {
            lines.push(format!("{indent}{sign} {quantifier} member of {field}"));
            members.iter().for_each(|member| tell_detection(&member.detection, depth + 1, lines));
        }
        DetectionTrace::Conditional { condition, .. } => tell_condition(condition, depth, lines),
        DetectionTrace::Other { kind, .. } => lines.push(format!("{indent}{sign} {kind}")),
    }
}

/// Most characters of a value or a pattern in a line.
const LONGEST: usize = 160;

/// A field, what it was compared with, and what it holds.
fn told(item: &ItemTrace, indent: &str) -> String {
    // The kinds of matchers have names of one word in JSON.
    let matcher = serde_json::to_value(item.matcher).ok().and_then(|name| name.as_str().map(str::to_owned));
    let field = item.field.as_deref().unwrap_or("any field");
    let pattern =
        item.pattern.as_deref().map(|pattern| format!(" `{}`", excerpt(pattern, LONGEST))).unwrap_or_default();
    let holds = match (&item.actual, item.reason) {
        (_, MatchReason::FieldAbsent) => "the event has no such field".to_owned(),
        (_, MatchReason::NoKeywordMatch) => "no field holds it".to_owned(),
        (Some(actual), reason) => {
            let actual = actual.as_str().map_or_else(|| actual.to_string(), str::to_owned);
            let but = if reason == MatchReason::CaseMismatch { ", which differs in case only" } else { "" };
            format!("the event holds `{}`{but}", excerpt(&actual, LONGEST))
        }
        (None, _) => String::new(),
    };
    let sign = sign(item.matched);
    let told = format!("{indent}{sign} {field} {}{pattern}: {holds}", matcher.unwrap_or_default().replace('_', " "));
    told.trim_end_matches([':', ' ']).to_owned()
}

/// A new file that nobody else can read, with its path.
fn tempfile_in(folder: PathBuf) -> Result<(PathBuf, std::fs::File)> {
    let path = folder.join(format!("watchfloor-{}.log", std::process::id()));
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).with_context(|| format!("`{}` cannot be written: set TMPDIR", path.display()))?;
    Ok((path, file))
}
