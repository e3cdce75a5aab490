//! Which part each host plays in a case: where it came from, where it took effect, who merely wrote it down.
//!
//! A function of the case's alerts alone. A role is a reading of what the logs say, for people and for scores; no
//! decision rests on it by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::alert::Alert;
use super::entity::{Entity, HostName};

/// The part of a host in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostRole {
    /// Others were reached from it: the source of a remote logon, a share access, a remote command or a connection.
    Origin,
    /// Something took effect on it.
    Target,
    /// It merely wrote down what happened between others, as a domain controller does that checks a password.
    Bystander,
}

impl fmt::Display for HostRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Origin => "origin",
            Self::Target => "target",
            Self::Bystander => "bystander",
        })
    }
}

/// Events by which a machine vouches for an account and nothing changes on it: Kerberos tickets given or refused,
/// credentials checked. A logon (4624) is none of them: it opens a session on the machine that logs it.
const VOUCHING: [&str; 8] = [
    "Security 4768",
    "Security 4769",
    "Security 4770",
    "Security 4771",
    "Security 4772",
    "Security 4773",
    "Security 4774",
    "Security 4776",
];

/// Kinds of events that only a domain controller writes: it issues Kerberos tickets, and it holds the directory.
const OF_CONTROLLERS: [&str; 13] = [
    "Security 4768",
    "Security 4769",
    "Security 4770",
    "Security 4771",
    "Security 4772",
    "Security 4773",
    "Security 4662",
    "Security 4928",
    "Security 4929",
    "Security 5136",
    "Security 5137",
    "Security 5139",
    "Security 5141",
];

/// The alert rests on an event by which its host only vouched for an account.
#[must_use]
pub fn is_vouching(alert: &Alert) -> bool {
    VOUCHING.contains(&alert.event_kind.as_str())
}

/// The alert shows that its host is a domain controller.
#[must_use]
pub fn is_of_controller(alert: &Alert) -> bool {
    OF_CONTROLLERS.contains(&alert.event_kind.as_str())
}

/// The roles of the hosts of a case, and of machines that its alerts name as their source without having alerts there.
///
/// In this order of rules: a host that other hosts' alerts name as their source, or that reached out to another host of
/// the case, is an origin; a host of which every alert is about vouching is a bystander; every other host with alerts
/// is a target. An address counts for the host that is seen to have it, and is nobody's role where no host is.
#[must_use]
pub fn roles<'a>(alerts: impl IntoIterator<Item = &'a Alert> + Clone) -> BTreeMap<HostName, HostRole> {
    let known = || alerts.clone().into_iter().filter(|alert| !alert.host.is_unknown());
    let hosts: BTreeSet<&HostName> = known().map(|alert| &alert.host).collect();
    let addresses = own_addresses(alerts.clone());
    let machine = |peer: &str| -> Option<HostName> {
        match addresses.get(peer) {
            Some(host) => Some(host.clone()),
            // An address that no host is seen to have stands for nobody that could be named.
            None if peer.parse::<std::net::IpAddr>().is_ok() => None,
            None => Some(hosts.get(&HostName::new(peer)).map_or_else(|| HostName::new(peer), |host| (*host).clone())),
        }
    };
    let mut origins = BTreeSet::new();
    for alert in known() {
        for entity in &alert.entities {
            match entity {
                Entity::Source(peer) => origins.extend(machine(peer).filter(|peer| *peer != alert.host)),
                // Reaching out to a machine that plays no part in the case says nothing.
                Entity::Destination(peer) => {
                    let reached = machine(peer).filter(|peer| *peer != alert.host && hosts.contains(peer));
                    origins.extend(reached.map(|_| alert.host.clone()));
                }
                Entity::Account(_)
                | Entity::Process(_)
                | Entity::LogonSession(..)
                | Entity::OwnAddress(_)
                | Entity::File(_)
                | Entity::Service(_)
                | Entity::Task(_) => {}
            }
        }
    }
    let mut roles: BTreeMap<HostName, HostRole> = BTreeMap::new();
    for alert in known() {
        let role = if is_vouching(alert) { HostRole::Bystander } else { HostRole::Target };
        roles.entry(alert.host.clone()).and_modify(|known| *known = role.min(*known)).or_insert(role);
    }
    // An origin's own name as its alerts write it is kept where there is one.
    origins.into_iter().for_each(|host| *roles.entry(host).or_insert(HostRole::Origin) = HostRole::Origin);
    roles
}

/// Which host has which address, as far as alerts show it. An address of two hosts is nobody's.
pub fn own_addresses<'a>(alerts: impl IntoIterator<Item = &'a Alert>) -> BTreeMap<String, HostName> {
    let mut seen: BTreeMap<String, BTreeSet<HostName>> = BTreeMap::new();
    for alert in alerts {
        for entity in &alert.entities {
            if let Entity::OwnAddress(address) = entity {
                seen.entry(address.clone()).or_default().insert(alert.host.clone());
            }
        }
    }
    let of_one = seen.into_iter().filter(|(_, hosts)| hosts.len() == 1);
    of_one.filter_map(|(address, hosts)| Some((address, hosts.into_iter().next()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    fn alert(host: &str, kind: &str, entities: Vec<Entity>) -> Alert {
        let mut alert = fixtures::alert(&format!("{host}/{kind}"), "e", host, 0);
        alert.event_kind = kind.into();
        alert.entities = entities;
        alert
    }

    fn of(alerts: &[Alert]) -> Vec<(String, HostRole)> {
        roles(alerts).into_iter().map(|(host, role)| (host.key().to_owned(), role)).collect()
    }

    #[test]
    fn a_remote_service_has_an_origin_and_a_target_and_the_controller_only_vouched() {
        let alerts = [
            alert("SRV-01", "Security 4624", vec![Entity::Source("wks-05".into())]),
            alert("SRV-01", "System 7045", vec![]),
            alert("WKS-05", "Sysmon 1", vec![]),
            alert("DC-01", "Security 4769", vec![]),
        ];
        let expected = [("dc-01", HostRole::Bystander), ("srv-01", HostRole::Target), ("wks-05", HostRole::Origin)];
        assert_eq!(of(&alerts), expected.map(|(host, role)| (host.to_owned(), role)));
    }

    #[test]
    fn an_origin_without_alerts_is_named_and_an_address_of_nobody_is_not() {
        let logon =
            alert("SRV-01", "Security 4625", vec![Entity::Source("192.0.2.9".into()), Entity::Source("wks-9".into())]);
        let expected = [("srv-01", HostRole::Target), ("wks-9", HostRole::Origin)];
        assert_eq!(of(&[logon]), expected.map(|(host, role)| (host.to_owned(), role)));
    }

    #[test]
    fn an_address_counts_for_the_host_that_has_it() {
        let reach = vec![Entity::OwnAddress("192.0.2.5".into()), Entity::Destination("192.0.2.1".into())];
        let alerts = [
            alert("WKS-05", "Sysmon 3", reach),
            alert("SRV-01", "Security 5145", vec![Entity::Source("192.0.2.5".into())]),
        ];
        assert_eq!(of(&alerts)[1], ("wks-05".into(), HostRole::Origin));
    }

    #[test]
    fn a_controller_whose_directory_was_read_is_a_target() {
        let alerts = [alert("DC-01", "Security 4662", vec![]), alert("DC-01", "Security 4769", vec![])];
        assert_eq!(of(&alerts), [("dc-01".to_owned(), HostRole::Target)]);
    }
}
