//! Where an attack on a machine came from: the address that opened its session, and the machine that has it.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use super::seen::{Seen, SeenEvent};
use crate::domain::entity::HostName;
use crate::domain::ids::EvidenceId;
use crate::knowledge::programs;

/// Ports by which one machine makes another run something, or asks a domain controller.
const CONTROL_PORTS: [u16; 7] = [88, 135, 139, 389, 445, 5985, 5986];

/// From this number on, ports are given out as they come: remote procedure calls use them.
const FIRST_DYNAMIC: u16 = 49_152;

/// How close a connection is to what it led to.
const CLOSE: SignedDuration = SignedDuration::from_mins(3);

/// Something that came from an address.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// The address.
    pub address: IpAddr,
    /// The machine it came to.
    pub host: HostName,
    /// When.
    pub time: Timestamp,
    /// What shows it.
    pub evidence: EvidenceId,
}

/// What came to the machines of the case from others: sessions of its processes and events, first of all.
#[must_use]
pub fn inbound(seen: &Seen) -> Vec<Inbound> {
    let mut all: Vec<(bool, Inbound)> = seen.events.values().filter_map(|event| of_event(event, seen)).collect();
    // A session by its id is proof; what merely came at that time is not, and is asked about last.
    all.sort_by_key(|(by_session, inbound)| (!by_session, inbound.time));
    all.into_iter().map(|(_, inbound)| inbound).collect()
}

fn of_event(event: &SeenEvent, seen: &Seen) -> Option<(bool, Inbound)> {
    let address = |field| event.get(field)?.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    let (by_session, address) = if event.is_security(4624) && event.get("LogonType") == Some("3") {
        (event.related && leads_to_an_act(event, seen), address("IpAddress")?)
    } else if event.view.is_sysmon(3) && event.get("Initiated").is_some_and(|value| value.eq_ignore_ascii_case("false"))
    {
        (false, address("SourceIp")?)
    } else if event.is_security(5145) && event.related {
        (true, address("IpAddress")?)
    } else {
        return None;
    };
    let inbound = Inbound { address, host: event.view.host.clone(), time: event.view.time, evidence: event.id };
    (!address.is_loopback() && !address.is_unspecified()).then_some((by_session, inbound))
}

/// The session is that of a process or act of the case.
fn leads_to_an_act(logon: &SeenEvent, seen: &Seen) -> bool {
    let Some(id) = logon.get("TargetLogonId") else { return false };
    seen.related().any(|event| {
        event.view.host == logon.view.host
            && ["LogonId", "SubjectLogonId"]
                .iter()
                .any(|field| event.get(field).is_some_and(|of| of.eq_ignore_ascii_case(id)))
    })
}

/// A machine from which another was attacked, proven by its own log.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The machine.
    pub host: HostName,
    /// The machine it reached.
    pub reached: HostName,
    /// What shows it, on both sides.
    pub evidence: Vec<EvidenceId>,
    /// The connection was made by a program that has no business to, as far as any of them shows it.
    pub by_loose_program: bool,
}

/// Machines whose own log shows the connection that a proven session on an attacked machine came by.
#[must_use]
pub fn proven(seen: &Seen) -> Vec<Origin> {
    let sessions = seen.events.values().filter_map(|event| of_event(event, seen)).filter(|(by_session, _)| *by_session);
    let mut origins: Vec<Origin> = Vec::new();
    for (_, inbound) in sessions {
        let of_origin = seen.events.values().filter(|event| {
            let is = |field: &str| {
                event.get(field).and_then(|text| text.parse::<IpAddr>().ok()).map(|address| address.to_canonical())
            };
            let port: u16 = event.get("DestinationPort").and_then(|port| port.parse().ok()).unwrap_or(0);
            event.view.is_sysmon(3)
                && event.view.host != inbound.host
                && !event.view.host.is_unknown()
                && event.get("Initiated").is_none_or(|value| value.eq_ignore_ascii_case("true"))
                && is("SourceIp") == Some(inbound.address)
                && (CONTROL_PORTS.contains(&port) || port >= FIRST_DYNAMIC)
                && event.view.time.duration_since(inbound.time).abs() <= CLOSE
        });
        // The kernel makes connections to shares for whoever asks: any program named beside it tells more.
        let is_loose = |event: &SeenEvent| event.image().is_some_and(programs::is_loose);
        let Some(connection) = of_origin.max_by_key(|event| (is_loose(event), std::cmp::Reverse(event.id))) else {
            continue;
        };
        match origins.iter_mut().find(|origin| origin.host == connection.view.host) {
            Some(known) => known.by_loose_program |= is_loose(connection),
            None => origins.push(Origin {
                host: connection.view.host.clone(),
                reached: inbound.host.clone(),
                evidence: vec![connection.id, inbound.evidence],
                by_loose_program: is_loose(connection),
            }),
        }
    }
    origins
}
