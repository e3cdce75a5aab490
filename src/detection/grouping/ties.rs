//! What two alerts can have in common, for how long that means something, and in which words it is told.

use std::fmt;

use jiff::SignedDuration;

use crate::domain::alert::Alert;
use crate::domain::entity::{Entity, HostName};

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

/// How far apart alerts may lie that one remote machine ties: guesses of a password from one source, or what happened
/// at the source and what it did elsewhere. Addresses are given to other machines within hours, and moving on takes
/// minutes.
pub const PEER_WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// How far apart two alerts on one file, or on one service or task of a host, may lie. A tool is dropped, started and
/// started again at the next logon or by a nightly task: a day covers one round of that.
pub const ARTEFACT_WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// How far apart alerts on several hosts may lie that a service's or task's name, or a common destination, ties. Names
/// are chosen freely and destinations serve many, so only a roll-out within an hour counts.
pub const FLEET_WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// What more hosts than this have in common within its window (a file, a service's name, a destination) is taken for
/// software and not for an intruder, and ties nothing. An intruder who goes to so many machines leaves a source, an
/// account or a session on them; an update leaves none.
pub const MOST_HOSTS: usize = 5;

/// The order in which ties are trusted, surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Rank {
    Process,
    Session,
    Artefact,
    Source,
    Account,
    File,
    Fleet,
    Contact,
    Host,
}

/// What alerts can have in common. Ids are folded, because sensors and forwarders write them in either case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Tie {
    Process { host: String, id: String },
    Session { host: String, id: String },
    Service { host: String, name: String },
    Task { host: String, name: String },
    Source(String),
    Account(String),
    File(String),
    ServiceOfMany(String),
    TaskOfMany(String),
    Destination(String),
    Host(String),
}

/// Why two alerts are tied.
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
    /// They concern the same service.
    Service(String),
    /// They concern the same scheduled task.
    Task(String),
    /// They were caused from the same machine.
    Source(String),
    /// They name the same personal account.
    Account(String),
    /// They concern the same file.
    File(String),
    /// They went to the same machine.
    Destination(String),
    /// One names the other's host as its other end.
    Contact {
        /// That host as it is shown.
        host: String,
    },
    /// They happened on the same host, and nothing says that they are two incidents.
    Host(String),
    /// A person says so.
    Person {
        /// The word's number.
        word: u64,
    },
}

impl fmt::Display for LinkReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { id, host } => write!(f, "same process {id} on {host} within 24 h"),
            Self::Session { id, host } => write!(f, "same logon session {id} on {host} within 24 h"),
            Self::Service(name) => write!(f, "same service {name}"),
            Self::Task(name) => write!(f, "same scheduled task {name}"),
            Self::Source(peer) => write!(f, "same remote source {peer} within 1 h"),
            Self::Account(name) => write!(f, "same account {name} within 1 h"),
            Self::File(hash) => write!(f, "same file {} within 24 h", hash.get(..16).unwrap_or(hash)),
            Self::Destination(peer) => write!(f, "same destination {peer} within 1 h"),
            Self::Contact { host } => write!(f, "remote peer {host} within 1 h"),
            Self::Host(host) => write!(f, "same host {host} within 1 h"),
            Self::Person { .. } => f.write_str("a person says so"),
        }
    }
}

impl Tie {
    pub(super) const fn window(&self) -> SignedDuration {
        match self {
            Self::Process { .. } | Self::Session { .. } => LINEAGE_WINDOW,
            Self::Service { .. } | Self::Task { .. } | Self::File(_) => ARTEFACT_WINDOW,
            Self::Source(_) => PEER_WINDOW,
            Self::Account(_) => ACCOUNT_WINDOW,
            Self::ServiceOfMany(_) | Self::TaskOfMany(_) | Self::Destination(_) => FLEET_WINDOW,
            Self::Host(_) => HOST_WINDOW,
        }
    }

    pub(super) const fn rank(&self) -> Rank {
        match self {
            Self::Process { .. } => Rank::Process,
            Self::Session { .. } => Rank::Session,
            Self::Service { .. } | Self::Task { .. } => Rank::Artefact,
            Self::Source(_) => Rank::Source,
            Self::Account(_) => Rank::Account,
            Self::File(_) => Rank::File,
            Self::ServiceOfMany(_) | Self::TaskOfMany(_) | Self::Destination(_) => Rank::Fleet,
            Self::Host(_) => Rank::Host,
        }
    }

    /// Software that many hosts have would weld them together.
    pub(super) const fn is_of_the_fleet(&self) -> bool {
        matches!(self.rank(), Rank::Fleet | Rank::File)
    }

    /// The machine that the tie is about, where everybody's being tied to it would mean nothing.
    pub(super) fn peer(&self) -> Option<&str> {
        match self {
            Self::Source(peer) | Self::Destination(peer) => Some(peer),
            _ => None,
        }
    }

    pub(super) fn reason(&self, host: &HostName) -> LinkReason {
        let host = host.to_string();
        match self {
            Self::Process { id, .. } => LinkReason::Process { id: id.clone(), host },
            Self::Session { id, .. } => LinkReason::Session { id: id.clone(), host },
            Self::Service { name, .. } | Self::ServiceOfMany(name) => LinkReason::Service(name.clone()),
            Self::Task { name, .. } | Self::TaskOfMany(name) => LinkReason::Task(name.clone()),
            Self::Source(peer) => LinkReason::Source(peer.clone()),
            Self::Account(name) => LinkReason::Account(name.clone()),
            Self::File(hash) => LinkReason::File(hash.clone()),
            Self::Destination(peer) => LinkReason::Destination(peer.clone()),
            Self::Host(_) => LinkReason::Host(host),
        }
    }
}

/// The ties an alert offers.
pub(super) fn of(alert: &Alert) -> Vec<Tie> {
    let host = alert.host.key();
    let mut ties = Vec::new();
    for entity in &alert.entities {
        match entity {
            Entity::Process(id) => ties.push(Tie::Process { host: host.to_owned(), id: id.to_lowercase() }),
            // Without its host a session's id says nothing.
            Entity::LogonSession(on, id) if !on.is_empty() => {
                ties.push(Tie::Session { host: on.clone(), id: id.to_lowercase() });
            }
            Entity::LogonSession(..) | Entity::OwnAddress(_) => {}
            Entity::Account(name) => ties.push(Tie::Account(name.clone())),
            Entity::Source(peer) => ties.push(Tie::Source(peer.clone())),
            Entity::Destination(peer) => ties.push(Tie::Destination(peer.clone())),
            Entity::File(hash) => ties.push(Tie::File(hash.clone())),
            Entity::Service(name) => {
                ties.push(Tie::Service { host: host.to_owned(), name: name.clone() });
                ties.push(Tie::ServiceOfMany(name.clone()));
            }
            Entity::Task(name) => {
                ties.push(Tie::Task { host: host.to_owned(), name: name.clone() });
                ties.push(Tie::TaskOfMany(name.clone()));
            }
        }
    }
    // Alerts whose host is unknown do not share it.
    if !alert.host.is_unknown() {
        ties.push(Tie::Host(host.to_owned()));
    }
    ties.sort();
    ties.dedup();
    ties
}

/// The machines that an alert names as its other end.
pub(super) fn peers(alert: &Alert) -> Vec<String> {
    let peer = |entity: &Entity| match entity {
        Entity::Source(peer) | Entity::Destination(peer) => Some(peer.clone()),
        _ => None,
    };
    let mut peers: Vec<String> = alert.entities.iter().filter_map(peer).collect();
    peers.sort();
    peers.dedup();
    peers
}

/// The personal accounts that act in an alert. Whoever a password is guessed for does not act.
pub(super) fn acting_accounts(alert: &Alert) -> Vec<String> {
    if matches!(alert.event_kind.as_str(), "Security 4625" | "Security 4771" | "Security 4776") {
        return Vec::new();
    }
    let account = |entity: &Entity| match entity {
        Entity::Account(name) => Some(name.clone()),
        _ => None,
    };
    alert.entities.iter().filter_map(account).collect()
}

/// What decides whether a weak tie may join: where an alert happened and who acted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Near<'a> {
    pub(super) host: &'a str,
    pub(super) accounts: &'a [String],
}
