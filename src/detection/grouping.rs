//! Incremental grouping: which alerts belong to one incident.
//!
//! The partition is a function of the set of alerts and of people's words about them, and of nothing else: neither the
//! order nor the pieces in which they arrived. It is made as a person would make it, surest ties first. Ties such as a
//! common process join whatever they tie. Being on one host at about the same time, or one host being the other's
//! remote peer, joins only where nothing speaks against it: two incidents of different accounts on one host stay two,
//! and an alert that names nobody goes to the nearer one.
//!
//! Alerts that some tie connects, however weak, are a *region*. No group reaches beyond its region, so a new alert
//! has only its own region grouped again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

use jiff::Timestamp;

use self::partition::{Cause, Link, Marks, partition};
use self::ties::{Near, Tie};
use crate::domain::alert::Alert;
use crate::domain::entity::{Entity, HostName};
use crate::domain::ids::AlertId;
use crate::domain::person::GroupingWord;
use crate::domain::role;

mod partition;
mod ties;

pub use self::ties::{
    ACCOUNT_WINDOW, ARTEFACT_WINDOW, FLEET_WINDOW, HOST_WINDOW, LINEAGE_WINDOW, LinkReason, MOST_HOSTS, PEER_WINDOW,
};

/// A group: one incident, as far as alerts show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its alerts, by the number of alerts that had arrived before each.
    pub alerts: Vec<usize>,
    /// The ties that hold it together: none superfluous, surest first.
    pub links: Vec<Tied>,
}

/// Why two alerts are in one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tied {
    /// An alert.
    pub one: usize,
    /// Another one.
    pub other: usize,
    /// What they have in common.
    pub reason: LinkReason,
}

/// What grouping keeps of an alert.
#[derive(Debug)]
struct Member {
    id: AlertId,
    time: Timestamp,
    host: HostName,
    ties: Vec<Tie>,
    /// Machines that it names as the other end, by address or name.
    peers: Vec<String>,
    /// Personal accounts that act in it.
    accounts: Vec<String>,
}

/// An alert's place in time, the same whenever it arrived.
type Place = (Timestamp, AlertId);

/// The groups of all alerts that arrived so far.
#[derive(Debug, Default)]
pub struct Groups {
    members: Vec<Member>,
    arrived: HashMap<AlertId, usize>,
    /// Who has each tie, by time.
    tied: HashMap<Tie, BTreeMap<Place, usize>>,
    /// Hosts that are seen to have an address; an address of several ties nothing.
    addresses: HashMap<String, BTreeSet<String>>,
    /// The same from the hosts' side.
    addresses_of: HashMap<String, BTreeSet<String>>,
    /// Hosts that are domain controllers.
    controllers: HashSet<String>,
    /// People's words, oldest first, with their numbers.
    words: BTreeMap<u64, GroupingWord>,
    /// The words that name an alert.
    named: HashMap<AlertId, Vec<u64>>,
    /// For each alert another one of its region, or itself.
    parents: Vec<usize>,
    /// The members of each region, by its root.
    regions: HashMap<usize, Vec<usize>>,
    /// Alerts whose regions have to be grouped again.
    dirty: BTreeSet<usize>,
    /// For each alert the first one of its group, as of the last [`Groups::regroup`].
    roots: Vec<usize>,
}

impl Groups {
    /// Takes an alert in; false if it had arrived before.
    pub fn add(&mut self, alert: &Alert) -> bool {
        if self.arrived.contains_key(&alert.id) {
            return false;
        }
        let index = self.members.len();
        let member = Member {
            id: alert.id.clone(),
            time: alert.time,
            host: alert.host.clone(),
            ties: ties::of(alert),
            peers: ties::peers(alert),
            accounts: ties::acting_accounts(alert),
        };
        self.arrived.insert(alert.id.clone(), index);
        self.parents.push(index);
        self.roots.push(index);
        self.regions.insert(index, vec![index]);
        for tie in &member.ties {
            self.tied.entry(tie.clone()).or_default().insert((member.time, member.id.clone()), index);
        }
        self.members.push(member);
        self.dirty.insert(index);
        self.learn(alert);
        self.connect(index);
        // Others that name this alert's host: those further away are tied to the nearest one.
        for tie in self.visits(alert.host.key()) {
            for visitor in self.neighbours(&tie, index, PEER_WINDOW) {
                self.join_regions(visitor, index);
            }
        }
        for number in self.named.get(&alert.id).cloned().unwrap_or_default() {
            self.bind(number);
        }
        true
    }

    /// Takes a person's word in. The number says which of two that contradict each other is the later one.
    pub fn heed(&mut self, number: u64, word: &GroupingWord) {
        if self.words.insert(number, word.clone()).is_some() {
            return;
        }
        let (GroupingWord::Together { alerts: these, .. } | GroupingWord::Apart { these, .. }) = word;
        let rest: &[AlertId] = match word {
            GroupingWord::Together { .. } => &[],
            GroupingWord::Apart { rest, .. } => rest,
        };
        for alert in these.iter().chain(rest) {
            self.named.entry(alert.clone()).or_default().push(number);
        }
        self.bind(number);
    }

    /// Groups again what changed, and returns all groups of the regions concerned.
    pub fn regroup(&mut self) -> Vec<Group> {
        let dirty = std::mem::take(&mut self.dirty);
        let regions: BTreeSet<usize> = dirty.into_iter().map(|index| self.root(index)).collect();
        let mut changed = Vec::new();
        for region in regions {
            let Some(members) = self.regions.get(&region) else { continue };
            let mut members = members.clone();
            members.sort_unstable();
            let (links, marks) = (self.links(&members), self.marks(&members));
            for group in partition(&members, links, &marks, |index| self.near(index), |link| self.reason(link)) {
                for index in &group.alerts {
                    self.roots[*index] = group.alerts[0];
                }
                changed.push(group);
            }
        }
        changed
    }

    /// Something arrived that has not been grouped.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// The groups of these alerts are wanted again: what was made of them did not get on record.
    pub fn unsettle(&mut self, alerts: &[usize]) {
        self.dirty.extend(alerts.iter().filter(|index| **index < self.members.len()));
    }

    /// The first alert of the group that this one is in, as of the last [`Groups::regroup`].
    #[must_use]
    pub fn group_of(&self, index: usize) -> Option<usize> {
        self.roots.get(index).copied()
    }

    /// The alert's number: how many had arrived before it.
    #[must_use]
    pub fn index_of(&self, alert: &AlertId) -> Option<usize> {
        self.arrived.get(alert).copied()
    }

    /// The alert with this number.
    #[must_use]
    pub fn id(&self, index: usize) -> Option<&AlertId> {
        self.members.get(index).map(|member| &member.id)
    }

    /// The groups as of the last [`Groups::regroup`]: the alerts in order of arrival, by the first one.
    #[must_use]
    pub fn partition(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, root) in self.roots.iter().enumerate() {
            groups.entry(*root).or_default().push(index);
        }
        groups
    }

    /// How many alerts arrived.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// None arrived.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Notes what an alert shows about hosts. What is learned late makes earlier alerts be grouped again.
    fn learn(&mut self, alert: &Alert) {
        let host = alert.host.key();
        if host.is_empty() {
            return;
        }
        if role::is_of_controller(alert) && self.controllers.insert(host.to_owned()) {
            let residents = self.tied.get(&Tie::Host(host.to_owned()));
            self.dirty.extend(residents.into_iter().flat_map(BTreeMap::values));
            for tie in self.visits(host) {
                self.dirty.extend(self.tied.get(&tie).into_iter().flat_map(BTreeMap::values));
            }
        }
        for entity in &alert.entities {
            let Entity::OwnAddress(address) = entity else { continue };
            if self.addresses.entry(address.clone()).or_default().insert(host.to_owned()) {
                self.addresses_of.entry(host.to_owned()).or_default().insert(address.clone());
                let naming = [Tie::Source(address.clone()), Tie::Destination(address.clone())];
                let visitors = naming.iter().filter_map(|tie| self.tied.get(tie)).flat_map(BTreeMap::values);
                for visitor in visitors.copied().collect::<Vec<_>>() {
                    self.dirty.insert(visitor);
                    self.connect(visitor);
                }
            }
        }
    }

    /// The ties of alerts elsewhere that name a host: by its name, or by an address it is seen to have.
    fn visits(&self, host: &str) -> Vec<Tie> {
        if host.is_empty() {
            return Vec::new();
        }
        let addresses = self.addresses_of.get(host).into_iter().flatten().cloned();
        let names = addresses.chain([host.to_owned()]);
        names.flat_map(|name| [Tie::Source(name.clone()), Tie::Destination(name)]).collect()
    }

    /// The hosts that a peer may be. It is one host only if there is one.
    fn hosts_of(&self, peer: &str) -> Vec<String> {
        match self.addresses.get(peer) {
            Some(hosts) => hosts.iter().cloned().collect(),
            None => vec![peer.to_owned()],
        }
    }

    /// The one host that a peer is.
    fn host_of<'a>(&'a self, peer: &'a str) -> Option<&'a str> {
        match self.addresses.get(peer) {
            Some(hosts) if hosts.len() == 1 => hosts.first().map(String::as_str),
            Some(_) => None,
            None => Some(peer),
        }
    }

    /// Makes one region of an alert and its neighbours by every tie, also those that later may not count.
    fn connect(&mut self, index: usize) {
        let member = &self.members[index];
        let mut near: Vec<usize> = Vec::new();
        for tie in &member.ties {
            near.extend(self.neighbours(tie, index, tie.window()));
        }
        for peer in &member.peers {
            for host in self.hosts_of(peer) {
                near.extend(self.neighbours(&Tie::Host(host), index, PEER_WINDOW));
            }
        }
        for other in near {
            self.join_regions(index, other);
        }
    }

    /// The nearest others with a tie, before and after.
    fn neighbours(&self, tie: &Tie, index: usize, window: jiff::SignedDuration) -> Vec<usize> {
        let Some(by_time) = self.tied.get(tie) else { return Vec::new() };
        let member = &self.members[index];
        let place = (member.time, member.id.clone());
        let before = by_time.range(..&place).next_back();
        let after = by_time.range(&place..).find(|(_, other)| **other != index);
        let near = |((time, _), _): &(&Place, &usize)| time.duration_since(member.time).abs() <= window;
        before.into_iter().chain(after).filter(near).map(|(_, other)| *other).collect()
    }

    /// Makes one region of all alerts that a word calls one incident and that have arrived.
    fn bind(&mut self, number: u64) {
        let sides: Vec<Vec<AlertId>> = match self.words.get(&number) {
            Some(GroupingWord::Together { alerts }) => vec![alerts.clone()],
            Some(GroupingWord::Apart { these, rest }) => vec![these.clone(), rest.clone()],
            None => vec![],
        };
        for side in sides {
            let there: Vec<usize> = side.iter().filter_map(|alert| self.index_of(alert)).collect();
            self.dirty.extend(&there);
            for pair in there.windows(2) {
                self.join_regions(pair[0], pair[1]);
            }
        }
    }

    fn join_regions(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        if one == other {
            return;
        }
        let size = |root| self.regions.get(&root).map_or(0, Vec::len);
        let (into, from) = if size(one) >= size(other) { (one, other) } else { (other, one) };
        self.parents[from] = into;
        let moved = self.regions.remove(&from).unwrap_or_default();
        self.regions.entry(into).or_default().extend(moved);
        self.dirty.insert(into);
    }

    /// The root of a region, shortening the way for the next one who asks.
    fn root(&mut self, index: usize) -> usize {
        let mut at = index;
        while self.parents[at] != at {
            self.parents[at] = self.parents[self.parents[at]];
            at = self.parents[at];
        }
        at
    }

    fn near(&self, index: usize) -> Near<'_> {
        let member = &self.members[index];
        Near { host: member.host.key(), accounts: &member.accounts }
    }

    fn place(&self, index: usize) -> (Timestamp, &AlertId) {
        (self.members[index].time, &self.members[index].id)
    }

    /// All links between neighbours of a region that may count.
    fn links(&self, members: &[usize]) -> Vec<Link<'_>> {
        let mut members = members.to_vec();
        members.sort_by(|one, other| self.place(*one).cmp(&self.place(*other)));
        let places: HashMap<usize, usize> = members.iter().enumerate().map(|(place, index)| (*index, place)).collect();
        let mut tied: HashMap<&Tie, Vec<usize>> = HashMap::new();
        let mut links = Vec::new();
        for index in members {
            for tie in &self.members[index].ties {
                tied.entry(tie).or_default().push(index);
            }
            links.extend(self.contacts(index, &places));
        }
        for (tie, by_time) in tied {
            if tie.peer().is_some_and(|peer| self.is_controller(peer)) {
                continue;
            }
            for run in self.runs(tie, &by_time) {
                if tie.is_of_the_fleet() {
                    let hosts: HashSet<&str> = run.iter().map(|index| self.members[*index].host.key()).collect();
                    if hosts.len() > MOST_HOSTS {
                        continue;
                    }
                }
                let counts = run.windows(2).filter(|pair| self.counts(tie, pair[0], pair[1]));
                links.extend(counts.map(|pair| self.link(Cause::Tie(tie), (pair[0], pair[1]), &places)));
            }
        }
        links
    }

    /// A tie's alerts, cut where two follow each other too late.
    fn runs<'a>(&self, tie: &Tie, by_time: &'a [usize]) -> Vec<&'a [usize]> {
        let follows = |one: &usize, other: &usize| {
            self.members[*other].time.duration_since(self.members[*one].time) <= tie.window()
        };
        by_time.chunk_by(follows).collect()
    }

    /// On a domain controller meets everybody: only alerts that name nobody are tied by it.
    fn counts(&self, tie: &Tie, one: usize, other: usize) -> bool {
        let name_nobody = || self.members[one].accounts.is_empty() && self.members[other].accounts.is_empty();
        !matches!(tie, Tie::Host(host) if self.controllers.contains(host)) || name_nobody()
    }

    fn link<'a>(&self, cause: Cause<'a>, (one, other): (usize, usize), places: &HashMap<usize, usize>) -> Link<'a> {
        let gap = self.members[one].time.duration_since(self.members[other].time).abs();
        let place = |index: usize| places.get(&index).copied().unwrap_or(usize::MAX);
        let (earlier, later) = (place(one).min(place(other)), place(one).max(place(other)));
        Link { order: (cause.rank(), gap, earlier, later), one, other, cause }
    }

    /// Links of an alert to the nearest alerts of the machines that it names as its other end.
    fn contacts<'a>(&'a self, index: usize, places: &HashMap<usize, usize>) -> Vec<Link<'a>> {
        let mut links = Vec::new();
        for peer in &self.members[index].peers {
            let Some(host) = self.host_of(peer) else { continue };
            if self.controllers.contains(host) || host == self.members[index].host.key() {
                continue;
            }
            for other in self.neighbours(&Tie::Host(host.to_owned()), index, PEER_WINDOW) {
                links.push(self.link(Cause::Contact(host), (index, other), places));
            }
        }
        links
    }

    fn reason(&self, link: &Link) -> LinkReason {
        match link.cause {
            Cause::Tie(tie) => tie.reason(&self.members[link.one].host),
            Cause::Contact(_) => LinkReason::Contact { host: self.members[link.other].host.to_string() },
        }
    }

    fn is_controller(&self, peer: &str) -> bool {
        self.hosts_of(peer).iter().any(|host| self.controllers.contains(host))
    }

    /// What people's words say about alerts of a region, newest word first.
    fn marks(&self, members: &[usize]) -> Vec<Marks> {
        let numbers: BTreeSet<u64> =
            members.iter().filter_map(|index| self.named.get(&self.members[*index].id)).flatten().copied().collect();
        let region: HashSet<usize> = members.iter().copied().collect();
        let there = |alerts: &[AlertId]| -> Vec<usize> {
            alerts.iter().filter_map(|alert| self.index_of(alert)).filter(|index| region.contains(index)).collect()
        };
        let marks = numbers.into_iter().rev().filter_map(|number| {
            Some(match self.words.get(&number)? {
                GroupingWord::Together { alerts } => Marks { number, sides: vec![there(alerts)] },
                GroupingWord::Apart { these, rest } => Marks { number, sides: vec![there(these), there(rest)] },
            })
        });
        marks.collect()
    }
}

impl fmt::Display for Tied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

#[cfg(test)]
mod recording_tests;
#[cfg(test)]
mod tests;
