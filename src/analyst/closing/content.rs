//! What the script that ran says, and whether it has been run before: an agent's name in front of it proves nothing.
//!
//! Whoever rules a management server runs anything on every machine, in the agent's own way. So the content decides: it
//! is known if the very same was run on several machines and days before.

use std::collections::{BTreeMap, BTreeSet};

use super::Asked;
use super::known::{BACK, LEFT_OUT, RECURS};
use super::run::{self, Run, earlier, name, number};
use crate::domain::event::Event;
use crate::domain::obstacle::Obstacle;
use crate::knowledge::fingerprints::AgentScript;
use crate::ports::events::tally::{Dimension, Group, Grouping, TallyQuery};
use crate::ports::events::text::TextQuery;
use crate::ports::events::{Comparison, Condition, EventQuery, Kind};
use crate::ports::storage::StorageError;

/// Script blocks of one run that are looked up. A longer script is a person's.
const MOST_BLOCKS: usize = 32;

/// Characters of a block whose words narrow down where it is looked for. The whole text decides.
const BEGINNING: usize = 200;

/// What is known of the script that a process ran.
pub(super) enum Content {
    /// All of it was run on several machines and days before.
    Known,
    /// It was not logged, or not whole.
    Unlogged,
    /// This much of it is new.
    New(Box<Event>),
}

/// What is lacking for an agent's script to be known.
pub(super) async fn lacking(
    asked: &Asked<'_>,
    run: &Run,
    agent: &AgentScript,
) -> Result<Option<Obstacle>, StorageError> {
    if agent.is_signed {
        return Ok(None);
    }
    let who = agent.agent;
    Ok(match of_script(asked, run, &agent.script, agent.folder).await? {
        Content::Known => None,
        Content::Unlogged => Some(Obstacle::Unseen(format!(
            "{who} ran a script without a check of its signature, and what the script says is not in the log (PowerShell 4104)"
        ))),
        Content::New(block) => Some(Obstacle::Unexplained(format!(
            "{who} ran a script without a check of its signature, and what it says was not run on three machines and \
             three days before: {}",
            name(&block)
        ))),
    })
}

/// Whether what the process ran is known, script blocks without a file included: a known script may fetch an unknown.
pub(super) async fn of_script(
    asked: &Asked<'_>,
    run: &Run,
    script: &str,
    folder: &str,
) -> Result<Content, StorageError> {
    let query = EventQuery { host: Some(run.start.host.clone()), ..run.during(asked, blocks()) };
    let Ok(found) = run::all(asked, &query).await? else { return Ok(Content::Unlogged) };
    let is_its = |event: &&Event| {
        let writer = event.field("winlog.process.pid");
        event.time >= run.start.time && writer.as_deref().and_then(number).is_some_and(|pid| Some(pid) == run.pid)
    };
    let blocks: Vec<&Event> = found.iter().filter(is_its).collect();
    if blocks.len() > MOST_BLOCKS || !is_whole(&blocks, script) {
        return Ok(Content::Unlogged);
    }
    let command = run.start.data("CommandLine").unwrap_or_default().to_lowercase();
    for block in blocks {
        let Some(text) = block.data("ScriptBlockText") else { return Ok(Content::Unlogged) };
        // The command itself is logged as a block as well; it is known by its form.
        let is_command = block.data("Path").is_none() && command.contains(text.trim().to_lowercase().as_str());
        if !is_command && !was_run_before(asked, run, block, text, folder).await? {
            return Ok(Content::New(Box::new(block.clone())));
        }
    }
    Ok(Content::Known)
}

fn blocks() -> Vec<Kind> {
    vec![Kind { channel: Some("Microsoft-Windows-PowerShell/Operational".into()), code: 4104 }]
}

/// The script was logged, and every block has all of its parts.
fn is_whole(blocks: &[&Event], script: &str) -> bool {
    let mut parts: BTreeMap<&str, (u64, BTreeSet<u64>)> = BTreeMap::new();
    for block in blocks {
        let said = |field: &str| block.data(field).and_then(number);
        let (Some(at), Some(total)) = (said("MessageNumber"), said("MessageTotal")) else { return false };
        let of = parts.entry(block.data("ScriptBlockId").unwrap_or_default()).or_default();
        of.0 = of.0.max(total);
        of.1.insert(at);
    }
    let is_there = blocks.iter().any(|block| block.data("Path").is_some_and(|path| path.eq_ignore_ascii_case(script)));
    is_there && parts.values().all(|(total, seen)| seen.len() as u64 == *total)
}

/// The very same text was run on several machines and days before: a script's from the agent's own folder.
async fn was_run_before(
    asked: &Asked<'_>,
    run: &Run,
    block: &Event,
    text: &str,
    folder: &str,
) -> Result<bool, StorageError> {
    let field = "winlog.event_data.ScriptBlockText";
    let mut conditions = vec![Condition { field: field.into(), comparison: Comparison::Equals, value: text.into() }];
    if block.data("Path").is_some() {
        conditions.push(Condition {
            field: "winlog.event_data.Path".into(),
            comparison: Comparison::StartsWith,
            value: folder.into(),
        });
    }
    let to = earlier(run.start.time, LEFT_OUT);
    let beginning: String = text.chars().take(BEGINNING).collect();
    let events = EventQuery {
        kinds: blocks(),
        text: TextQuery::new(&beginning),
        conditions,
        limit: 2,
        ..EventQuery::within(earlier(to, BACK), to, asked.watermark)
    };
    // One dimension is always allowed.
    let Ok(by) = Grouping::new(vec![Dimension::Field(field.into())]) else { return Ok(false) };
    let tally = asked.events.tally(&TallyQuery { events, by }).await?;
    // Texts that differ in case alone are told apart by the groups; a script of them is another one.
    let same = |group: &&Group| group.key.first().is_some_and(|key| key == text);
    Ok(tally.groups.iter().find(same).is_some_and(|group| group.hosts >= RECURS && group.days >= RECURS))
}
