//! Features of the network: who talks to whom, and whether it has any business to.

use std::net::IpAddr;

use super::feature::{Feature, MODERATE, STRONG, WEAK};
use super::seen::SeenEvent;
use crate::domain::evidence::Family;
use crate::knowledge::paths::{self, PathClass};
use crate::knowledge::programs;

/// Features of one event.
pub fn features(event: &SeenEvent) -> Option<Feature> {
    if !event.view.is_sysmon(3)
        || event.get("Initiated").is_some_and(|initiated| initiated.eq_ignore_ascii_case("false"))
    {
        return None;
    }
    // `<unknown process>`: the sensor saw a connection and not whose it was.
    let image = event.image().filter(|image| !image.starts_with('<'))?;
    let address = event.get("DestinationIp")?;
    let address: IpAddr = address.parse().ok()?;
    if address.is_loopback() {
        return None;
    }
    let (name, public) = (paths::base_name(image), !is_local(address));
    let port: u16 = event.get("DestinationPort").and_then(|port| port.parse().ok()).unwrap_or(0);
    let class = paths::class(image);
    let shell = programs::is_shell(image) || programs::is_proxy(image);
    let put_down = paths::is_drop_zone(image);
    let fields = ["DestinationIp", "DestinationPort", "Image"];
    let (feature, value) = if programs::is_quiet(image) {
        ("quiet program talks", STRONG)
    } else if name == "scrcons.exe" {
        // What WMI runs on an event has hardly an ordinary reason to talk to others.
        ("WMI's script host talks", STRONG)
    } else if port == 88 && !is_of_kerberos(&name, class) {
        ("Kerberos spoken by a foreign program", STRONG)
    } else if shell || put_down {
        match public {
            true => ("shell talks to the internet", MODERATE),
            false => ("shell talks to the network", WEAK),
        }
    } else if class.is_user_writable() && public {
        ("profile's program talks to the internet", WEAK)
    } else {
        return None;
    };
    let says = format!("{name} connected to {address} port {port}");
    let found = event.feature(feature, Family::Network, value, &fields, says)?;
    // What has no business on the network and is on it is controlled from elsewhere, or uses credentials that it took.
    Some(if value >= STRONG { found.active() } else { found })
}

/// Only LSASS speaks Kerberos for Windows; installed products may speak it for themselves.
fn is_of_kerberos(name: &str, class: PathClass) -> bool {
    name == "lsass.exe" || name == "system" || class == PathClass::ProgramFiles
}

/// Loopback, link-local, private and other ranges that never leave the organisation.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || (v6.segments()[0] & 0xfe00) == 0xfc00
                || (v6.segments()[0] & 0xffc0) == 0xfe80
        }
    }
}
