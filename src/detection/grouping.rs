//! Incremental grouping: which alerts belong to one incident.
//!
//! Two alerts either link or do not, whatever else is known, and a group is a connected component of that
//! relation. So any order of arrival, and any cutting of the stream into pieces, ends in the same partition.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::domain::alert::Alert;
use crate::domain::entity::Entity;
use crate::domain::ids::AlertId;

/// How far apart two alerts of one host may lie. An intruder's steps on a machine follow each other within minutes
/// and pauses stay below an hour as a rule; a longer window would weld a day of unrelated noise into one case.
pub const HOST_WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// How far apart two alerts of one process or logon session may lie. The sensor's process id is never reused and a
/// session's id is unique until the machine restarts, so the tie itself is certain; a day covers an intruder who
/// comes back through a process left running, and bounds what a session of weeks would tie together.
pub const LINEAGE_WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// How far apart two alerts of one personal account may lie, on any hosts. It is what ties lateral movement
/// together, which happens within minutes; a person also works on several machines all day, hence no longer.
pub const ACCOUNT_WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// Why two alerts link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkReason {
    /// They name the same process, or parent and child.
    Process {
        /// The sensor's id of the process.
        id: String,
        /// The host as it is shown.
        host: String,
    },
    /// They happened in the same logon session.
    Session {
        /// The session's id.
        id: String,
        /// The host as it is shown.
        host: String,
    },
    /// They name the same personal account.
    Account(String),
    /// They happened on the same host.
    Host(String),
}

impl fmt::Display for LinkReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { id, host } => write!(f, "same process {id} on {host} within 24 h"),
            Self::Session { id, host } => write!(f, "same logon session {id} on {host} within 24 h"),
            Self::Account(name) => write!(f, "same account {name} within 1 h"),
            Self::Host(host) => write!(f, "same host {host} within 1 h"),
        }
    }
}

/// What became of an alert. A group is named by its root: the index of its alert that arrived first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The alert's own index: how many had arrived before it.
    pub index: usize,
    /// The root of its group.
    pub root: usize,
    /// The strongest tie to an alert that was there; `None` for the first alert of a group.
    pub reason: Option<LinkReason>,
    /// Roots of groups that ended because this alert ties them to `root`, in order of arrival.
    pub merged: Vec<usize>,
    /// The alert had arrived before; nothing changed.
    pub known: bool,
}

/// What alerts can have in common. Ids are folded, because sensors and forwarders write them in either case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Tie {
    Process { host: String, id: String },
    Session { host: String, id: String },
    Account(String),
    Host(String),
}

impl Tie {
    const fn window(&self) -> SignedDuration {
        match self {
            Self::Process { .. } | Self::Session { .. } => LINEAGE_WINDOW,
            Self::Account(_) => ACCOUNT_WINDOW,
            Self::Host(_) => HOST_WINDOW,
        }
    }

    fn reason(&self, alert: &Alert) -> LinkReason {
        let host = alert.host.to_string();
        match self {
            Self::Process { id, .. } => LinkReason::Process { id: id.clone(), host },
            Self::Session { id, .. } => LinkReason::Session { id: id.clone(), host },
            Self::Account(name) => LinkReason::Account(name.clone()),
            Self::Host(_) => LinkReason::Host(host),
        }
    }

    /// The ties an alert offers, strongest first.
    fn of(alert: &Alert) -> Vec<Self> {
        let host = alert.host.key();
        let mut ties: Vec<(u8, Self)> = alert
            .entities
            .iter()
            .filter_map(|entity| match entity {
                Entity::Process(id) => Some((0, Self::Process { host: host.to_owned(), id: id.to_lowercase() })),
                // Without its host a session's id says nothing.
                Entity::LogonSession(on, id) => {
                    (!on.is_empty()).then(|| (1, Self::Session { host: on.clone(), id: id.to_lowercase() }))
                }
                Entity::Account(name) => Some((2, Self::Account(name.clone()))),
            })
            .collect();
        // Alerts whose host is unknown do not share it.
        if !alert.host.is_unknown() {
            ties.push((3, Self::Host(host.to_owned())));
        }
        ties.sort_by_key(|(rank, _)| *rank);
        ties.into_iter().map(|(_, tie)| tie).collect()
    }
}

/// The groups of all alerts that arrived so far.
#[derive(Debug, Default)]
pub struct Groups {
    /// For each alert another one of its group that arrived earlier, or itself if it is the root.
    parents: Vec<usize>,
    /// Who has each tie, by time. One alert stands for all of the same instant, because they link.
    tied: HashMap<Tie, BTreeMap<Timestamp, usize>>,
    arrived: HashMap<AlertId, usize>,
}

impl Groups {
    /// Adds an alert and says where it belongs.
    ///
    /// Of all alerts with a common tie only its neighbours in time are linked to it: whoever lies further away but
    /// within the window is tied to it through them.
    pub fn add(&mut self, alert: &Alert) -> Joined {
        if let Some(&index) = self.arrived.get(&alert.id) {
            return Joined { index, root: self.root(index), reason: None, merged: Vec::new(), known: true };
        }
        let index = self.parents.len();
        self.parents.push(index);
        self.arrived.insert(alert.id.clone(), index);

        let mut reason = None;
        let mut roots = Vec::new();
        for tie in Tie::of(alert) {
            let window = tie.window();
            let by_time = self.tied.entry(tie.clone()).or_default();
            let before = by_time.range(..=alert.time).next_back();
            let after = by_time.range(alert.time..).next();
            let near = |(time, _): &(&Timestamp, &usize)| time.duration_since(alert.time).abs() <= window;
            let neighbours: Vec<usize> =
                before.into_iter().chain(after).filter(near).map(|(_, other)| *other).collect();
            by_time.entry(alert.time).or_insert(index);
            // An alert that names one thing twice meets itself here.
            for other in neighbours.into_iter().filter(|other| *other != index) {
                reason.get_or_insert_with(|| tie.reason(alert));
                roots.push(self.root(other));
            }
        }
        roots.sort_unstable();
        roots.dedup();
        for root in &roots {
            // The smaller index is the older alert, and the older root names the group.
            self.parents[*root] = roots[0];
        }
        if let Some(root) = roots.first() {
            self.parents[index] = *root;
        }
        let merged = roots.iter().skip(1).copied().collect();
        Joined { index, root: self.root(index), reason, merged, known: false }
    }

    /// The root of the group that the alert with this index belongs to.
    ///
    /// # Panics
    /// If no alert has this index.
    #[must_use]
    pub fn group_of(&self, index: usize) -> usize {
        let mut at = index;
        while self.parents[at] != at {
            at = self.parents[at];
        }
        at
    }

    /// The groups: the indices of their alerts in order of arrival, by root.
    #[must_use]
    pub fn partition(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for index in 0..self.parents.len() {
            groups.entry(self.group_of(index)).or_default().push(index);
        }
        groups
    }

    /// How many alerts arrived.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// None arrived.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty()
    }

    /// Like [`Groups::group_of`], shortening the way for the next one who asks.
    fn root(&mut self, index: usize) -> usize {
        let mut at = index;
        while self.parents[at] != at {
            self.parents[at] = self.parents[self.parents[at]];
            at = self.parents[at];
        }
        at
    }
}

#[cfg(test)]
mod tests;
