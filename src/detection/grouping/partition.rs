//! From the links of a region to its groups: people's words first, then the surest links; a weak link joins only
//! groups that nothing speaks against joining.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::SignedDuration;

use super::ties::{LinkReason, Near, Rank, Tie};
use super::{Group, Tied};

/// Why a link may count.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cause<'a> {
    /// Something in common.
    Tie(&'a Tie),
    /// One names this host, which the other is on, as its other end.
    Contact(&'a str),
}

impl Cause<'_> {
    pub(super) const fn rank(self) -> Rank {
        match self {
            Self::Tie(tie) => tie.rank(),
            Self::Contact(_) => Rank::Contact,
        }
    }
}

/// A link between two alerts. Links are taken in an order that the alerts alone decide: the surest first, of those
/// the nearest in time, of those the earliest.
#[derive(Debug)]
pub(super) struct Link<'a> {
    pub(super) order: (Rank, SignedDuration, usize, usize),
    pub(super) one: usize,
    pub(super) other: usize,
    pub(super) cause: Cause<'a>,
}

/// A person's word: each side is one incident, and no two sides are the same one.
#[derive(Debug)]
pub(super) struct Marks {
    pub(super) number: u64,
    pub(super) sides: Vec<Vec<usize>>,
}

/// What is known of a group in the making.
#[derive(Debug, Default)]
struct Part {
    members: Vec<usize>,
    /// The accounts that act in it, by host.
    accounts: HashMap<String, BTreeSet<String>>,
    /// The sides it has in people's words, a bit each.
    sides: BTreeMap<u64, u8>,
}

struct Parts {
    parents: Vec<usize>,
    parts: Vec<Part>,
    joined: Vec<(usize, Tied)>,
}

/// The groups of a region's members, which are sorted by arrival.
pub(super) fn partition<'a>(
    members: &[usize],
    mut links: Vec<Link<'_>>,
    words: &[Marks],
    near: impl Fn(usize) -> Near<'a>,
    reason: impl Fn(&Link) -> LinkReason,
) -> Vec<Group> {
    let place: HashMap<usize, usize> = members.iter().enumerate().map(|(place, index)| (*index, place)).collect();
    let part = |index: &usize| {
        let Near { host, accounts } = near(*index);
        let accounts = HashMap::from([(host.to_owned(), accounts.iter().cloned().collect())]);
        Part { members: vec![*index], accounts, sides: BTreeMap::new() }
    };
    let mut parts =
        Parts { parents: (0..members.len()).collect(), parts: members.iter().map(part).collect(), joined: Vec::new() };
    // A later word wins: what it says is settled before an earlier one is looked at.
    for word in words {
        for side in &word.sides {
            for pair in side.windows(2) {
                let reason = LinkReason::Person { word: word.number };
                parts.join_unless_apart(place[&pair[0]], place[&pair[1]], pair[0], pair[1], reason);
            }
        }
        if word.sides.len() > 1 {
            for (bit, side) in word.sides.iter().enumerate() {
                for index in side {
                    let root = parts.root(place[index]);
                    *parts.parts[root].sides.entry(word.number).or_default() |= 1 << bit;
                }
            }
        }
    }
    links.sort_unstable_by_key(|link| link.order);
    for link in links {
        // A link may lead out of the region by a tie that no longer counts.
        let (Some(&at), Some(&beside)) = (place.get(&link.one), place.get(&link.other)) else { continue };
        let (a, b) = (parts.root(at), parts.root(beside));
        if a == b {
            continue;
        }
        let speaks_against = match link.cause {
            // It came from one place: the nearest incident there.
            Cause::Contact(host) => parts.parts[a].accounts.contains_key(host),
            Cause::Tie(Tie::Host(host)) => parts.are_of_different_accounts(a, b, host),
            Cause::Tie(_) => false,
        };
        if !speaks_against {
            parts.join_unless_apart(at, beside, link.one, link.other, reason(&link));
        }
    }
    parts.into_groups()
}

impl Parts {
    fn root(&mut self, place: usize) -> usize {
        let mut at = place;
        while self.parents[at] != at {
            self.parents[at] = self.parents[self.parents[at]];
            at = self.parents[at];
        }
        at
    }

    /// On this host each has accounts of its own and none in common.
    fn are_of_different_accounts(&self, one: usize, other: usize, host: &str) -> bool {
        let of = |root: usize| self.parts[root].accounts.get(host).filter(|accounts| !accounts.is_empty());
        matches!((of(one), of(other)), (Some(one), Some(other)) if one.is_disjoint(other))
    }

    /// A word says that these are two incidents, and no later one has joined them.
    fn are_apart(&self, one: usize, other: usize) -> bool {
        const BOTH: u8 = 0b11;
        let (one, other) = (&self.parts[one].sides, &self.parts[other].sides);
        one.iter().any(|(word, sides)| {
            let others = other.get(word).copied().unwrap_or_default();
            *sides != BOTH && others != BOTH && (*sides | others) == BOTH
        })
    }

    fn join_unless_apart(&mut self, at: usize, beside: usize, one: usize, other: usize, reason: LinkReason) {
        let (a, b) = (self.root(at), self.root(beside));
        if a == b || self.are_apart(a, b) {
            return;
        }
        let (into, from) = if self.parts[a].members.len() >= self.parts[b].members.len() { (a, b) } else { (b, a) };
        self.parents[from] = into;
        let Part { members, accounts, sides } = std::mem::take(&mut self.parts[from]);
        let part = &mut self.parts[into];
        part.members.extend(members);
        for (host, names) in accounts {
            part.accounts.entry(host).or_default().extend(names);
        }
        for (word, bits) in sides {
            *part.sides.entry(word).or_default() |= bits;
        }
        self.joined.push((at, Tied { one, other, reason }));
    }

    fn into_groups(mut self) -> Vec<Group> {
        let mut links: HashMap<usize, Vec<Tied>> = HashMap::new();
        for (place, tied) in std::mem::take(&mut self.joined) {
            let root = self.root(place);
            links.entry(root).or_default().push(tied);
        }
        let mut groups = Vec::new();
        for (root, part) in self.parts.into_iter().enumerate().filter(|(_, part)| !part.members.is_empty()) {
            let mut alerts = part.members;
            alerts.sort_unstable();
            groups.push(Group { alerts, links: links.remove(&root).unwrap_or_default() });
        }
        groups
    }
}
