//! Prevalence: how usual something is, on one machine and on all of them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Watermark;
use super::mention::Mention;
use crate::domain::entity::HostName;
use crate::domain::event::Event;
use crate::knowledge::template;

/// Something that is usual or not. Paths and commands are compared as templates (`knowledge::template`), so that
/// names of users and numbers of runs do not make each run a new one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Habit(Inner);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Inner {
    Program { image: String },
    Command { image: String, command: String },
    Parentage { parent: String, image: String },
    Mentioned(Mention),
}

impl Habit {
    /// A program is started.
    #[must_use]
    pub fn program(image: &str) -> Self {
        Self(Inner::Program { image: template::path(image) })
    }

    /// A program is started with such a command.
    #[must_use]
    pub fn command(image: &str, command: &str) -> Self {
        Self(Inner::Command { image: template::path(image), command: template::command(command) })
    }

    /// A program starts another.
    #[must_use]
    pub fn parentage(parent: &str, image: &str) -> Self {
        Self(Inner::Parentage { parent: template::path(parent), image: template::path(image) })
    }

    /// A file with this digest is run, loaded or written: the strongest digest the sensor gives.
    #[must_use]
    pub fn hash(digest: &str) -> Self {
        Self(Inner::Mentioned(Mention::hash(digest)))
    }

    /// A name is resolved or connected to.
    #[must_use]
    pub fn domain(name: &str) -> Self {
        Self(Inner::Mentioned(Mention::domain(name)))
    }

    /// The mention by which it is found, if it is one.
    #[must_use]
    pub const fn as_mention(&self) -> Option<&Mention> {
        match &self.0 {
            Inner::Mentioned(mention) => Some(mention),
            Inner::Program { .. } | Inner::Command { .. } | Inner::Parentage { .. } => None,
        }
    }

    /// What tells it from every other habit, in parts: its kind and its templates.
    #[must_use]
    pub fn parts(&self) -> [&str; 3] {
        match &self.0 {
            Inner::Program { image } => ["program", image, ""],
            Inner::Command { image, command } => ["command", image, command],
            Inner::Parentage { parent, image } => ["parentage", parent, image],
            Inner::Mentioned(mention) => ["mentioned", mention.value(), ""],
        }
    }

    /// The habits that a process creation (Sysmon 1, Security 4688) shows; other events show none by themselves.
    #[must_use]
    pub fn shown_by(event: &Event) -> Vec<Self> {
        let (image, parent) = match (event.is_sysmon(1), event.channel.as_str(), event.code) {
            (true, ..) => (event.data("Image"), event.data("ParentImage")),
            (false, "Security", 4688) => (event.data("NewProcessName"), event.data("ParentProcessName")),
            _ => (None, None),
        };
        let Some(image) = image else { return vec![] };
        let mut habits = vec![Self::program(image)];
        habits.extend(event.data("CommandLine").map(|command| Self::command(image, command)));
        habits.extend(parent.map(|parent| Self::parentage(parent, image)));
        habits
    }
}

/// How usual is this?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrevalenceQuery {
    /// What.
    pub of: Habit,
    /// The machine that is looked at beside the fleet.
    pub host: HostName,
    /// First instant.
    pub from: Timestamp,
    /// Last instant.
    pub to: Timestamp,
    /// Left out, both ends included: the hours around the alert, which must not count for themselves.
    pub except: Option<(Timestamp, Timestamp)>,
    /// Only what had arrived by then.
    pub watermark: Watermark,
}

/// How far something is spread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// Events that show it.
    pub events: u64,
    /// Machines that showed it.
    pub hosts: u64,
    /// Days (UTC) on which it was seen.
    pub days: u64,
    /// First seen.
    pub first: Option<Timestamp>,
    /// Last seen.
    pub last: Option<Timestamp>,
}

/// How usual it is. Rarity in a short history says little: compare with [`super::EventStore::history`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prevalence {
    /// On all machines, the one asked about included.
    pub fleet: Spread,
    /// On the machine asked about.
    pub host: Spread,
}
