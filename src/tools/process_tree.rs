//! `process_tree`: who started whom around an event, with what was seen and what was only inferred told apart.
//!
//! Most parents have no process-creation event of their own in a log, so a node is made from its child's
//! `ParentImage` where nothing better is known, and says so.

use async_trait::async_trait;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alerts::unavailable;
use super::answer::{Answer, Header, Row, ToolError};
use super::tool::{Permission, Scope, Tool};
use super::view::{EventView, IN_A_ROW};
use crate::domain::entity::HostName;
use crate::domain::event::{Event, SYSMON};
use crate::domain::ids::EventId;
use crate::domain::taint;
use crate::domain::words::excerpt;
use crate::knowledge::guid;
use crate::ports::events::{EventQuery, Kind};

/// See the module.
pub struct ProcessTree;

/// Where to start and how far to go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// An event of the process, by its id.
    pub event: String,
    /// How many generations up; 4 if left out, at most 8.
    #[serde(default)]
    pub up: Option<usize>,
    /// How many generations down; 2 if left out, at most 4.
    #[serde(default)]
    pub down: Option<usize>,
}

/// How a node is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// Its creation was logged.
    Observed,
    /// Another event names it.
    Inferred,
}

/// A process of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Sysmon's entity id, if known.
    pub guid: Option<String>,
    /// How it is known.
    pub known: Known,
    /// Its program.
    pub image: String,
    /// Its command line, if known.
    pub command_line: Option<String>,
    /// The event that shows it.
    pub event: EventId,
    /// Generations from the process asked about: negative is older.
    pub depth: i32,
}

/// Most nodes of one tree.
const MOST_NODES: usize = 30;

/// How long before and after the event relatives are looked for. Parents may be days older.
const BEFORE: SignedDuration = SignedDuration::from_hours(24 * 7);
const AFTER: SignedDuration = SignedDuration::from_hours(2);

#[async_trait]
impl Tool for ProcessTree {
    const NAME: &'static str = "process_tree";
    const DESCRIPTION: &'static str = "The process of an event, its ancestors and its descendants. Nodes whose creation was not logged are inferred and say so.";
    const PERMISSION: Permission = Permission::Read;
    type Arguments = Arguments;

    async fn call(&self, arguments: Arguments, scope: &Scope) -> Result<Answer, ToolError> {
        let anchor = scope.events.get(&EventId::new(&arguments.event)).await.map_err(unavailable)?;
        let anchor = anchor
            .ok_or_else(|| ToolError::NotFound { what: format!("the store has no event {}", arguments.event) })?;
        let guid = ["ProcessGuid", "SourceProcessGUID", "SourceProcessGuid"].iter().find_map(|name| anchor.data(name));
        let guid = guid.ok_or_else(|| ToolError::NotFound {
            what: format!("{} names no process by entity id, so it has no tree", anchor.kind()),
        })?;
        let tree = Tree { scope, host: &anchor.host, at: anchor.time };
        let own = match anchor.is_sysmon(1) {
            true => Some(anchor.clone()),
            false => tree.creation(guid).await?,
        };
        let mut nodes = Vec::new();
        match &own {
            Some(creation) => {
                tree.ancestors(creation, arguments.up.unwrap_or(4).min(8), &mut nodes).await?;
                nodes.reverse();
                nodes.push((observed(creation, 0), creation.clone()));
            }
            None => nodes.push((inferred_actor(&anchor, guid), anchor.clone())),
        }
        tree.descendants(guid.to_owned(), 1, arguments.down.unwrap_or(2).min(4), &mut nodes).await?;
        Ok(present(nodes))
    }
}

struct Tree<'a> {
    scope: &'a Scope,
    host: &'a HostName,
    at: Timestamp,
}

impl Tree<'_> {
    async fn creations(&self, process: &str) -> Result<Vec<Event>, ToolError> {
        let query = EventQuery {
            host: Some(self.host.clone()),
            kinds: vec![Kind { channel: Some(SYSMON.into()), code: 1 }],
            process: Some(process.into()),
            limit: MOST_NODES,
            ..EventQuery::within(self.at - BEFORE, self.at + AFTER, self.scope.watermark)
        };
        Ok(self.scope.events.search(&query).await.map_err(unavailable)?.rows)
    }

    async fn creation(&self, guid: &str) -> Result<Option<Event>, ToolError> {
        Ok(self.creations(guid).await?.into_iter().find(|event| is(event, "ProcessGuid", guid)))
    }

    /// Pushes parents, nearest first.
    async fn ancestors(&self, child: &Event, up: usize, nodes: &mut Vec<(Node, Event)>) -> Result<(), ToolError> {
        let mut child = child.clone();
        for generation in 1..=up {
            let depth = -i32::try_from(generation).unwrap_or(i32::MAX);
            let Some(image) = child.data("ParentImage") else { break };
            let guid = child.data("ParentProcessGuid").map(str::to_owned);
            let creation = match &guid {
                Some(guid) => self.creation(guid).await?,
                None => None,
            };
            let Some(parent) = creation else {
                let node = Node {
                    guid,
                    known: Known::Inferred,
                    image: image.to_owned(),
                    command_line: child.data("ParentCommandLine").map(str::to_owned),
                    event: child.id.clone(),
                    depth,
                };
                nodes.push((node, child));
                break;
            };
            nodes.push((observed(&parent, depth), parent.clone()));
            child = parent;
        }
        Ok(())
    }

    /// Pushes children depth first, so that each stands below its parent.
    fn descendants<'s>(
        &'s self,
        parent: String,
        depth: usize,
        down: usize,
        nodes: &'s mut Vec<(Node, Event)>,
    ) -> BoxFuture<'s, Result<(), ToolError>> {
        Box::pin(async move {
            if depth > down || nodes.len() >= MOST_NODES {
                return Ok(());
            }
            for child in self.creations(&parent).await? {
                if !is(&child, "ParentProcessGuid", &parent) || nodes.len() >= MOST_NODES {
                    continue;
                }
                let guid = child.data("ProcessGuid").map(str::to_owned);
                nodes.push((observed(&child, i32::try_from(depth).unwrap_or(i32::MAX)), child));
                if let Some(guid) = guid {
                    self.descendants(guid, depth + 1, down, nodes).await?;
                }
            }
            Ok(())
        })
    }
}

fn is(event: &Event, name: &str, value: &str) -> bool {
    event.data(name).is_some_and(|stored| guid::same(stored, value))
}

fn observed(creation: &Event, depth: i32) -> Node {
    Node {
        guid: creation.data("ProcessGuid").map(str::to_owned),
        known: Known::Observed,
        image: creation.data("Image").unwrap_or_default().to_owned(),
        command_line: creation.data("CommandLine").map(str::to_owned),
        event: creation.id.clone(),
        depth,
    }
}

fn inferred_actor(event: &Event, guid: &str) -> Node {
    Node {
        guid: Some(guid.to_owned()),
        known: Known::Inferred,
        image: event.data("Image").or_else(|| event.data("SourceImage")).unwrap_or_default().to_owned(),
        command_line: None,
        event: event.id.clone(),
        depth: 0,
    }
}

fn present(nodes: Vec<(Node, Event)>) -> Answer {
    let oldest = nodes.iter().map(|(node, _)| node.depth).min().unwrap_or(0);
    let rows = nodes.iter().map(|(node, event)| {
        let indent = "  ".repeat(usize::try_from(node.depth - oldest).unwrap_or(0));
        let how = match node.known {
            Known::Observed => "",
            Known::Inferred => " (inferred: its creation was not logged)",
        };
        let command = excerpt(node.command_line.as_deref().unwrap_or(&node.image), 160);
        let time = event.time.strftime("%T");
        let text = format!("{indent}{time} {} — {}{how}", taint::shown(&node.image), taint::shown(&command));
        let view = EventView::row(event, IN_A_ROW);
        Row { exhibit: Some(view.exhibit()), view: Some(view), text }
    });
    let rows: Vec<Row> = rows.collect();
    let data: Vec<&Node> = nodes.iter().map(|(node, _)| node).collect();
    // A full tree may have more to it: it says so instead of looking whole.
    let full = rows.len() >= MOST_NODES;
    let next = if full { "ask for the tree of one of its nodes".into() } else { String::new() };
    let header = Header { total: rows.len() as u64 + u64::from(full), next, ..Header::default() };
    let data = serde_json::to_value(data).unwrap_or_default();
    Answer { header, rows, cut: 0, data }
}

#[cfg(test)]
mod tests;
