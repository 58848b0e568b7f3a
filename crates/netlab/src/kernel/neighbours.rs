//! The table of neighbours: whose link-layer address is known (ARP and NDP).

use std::{io, net::IpAddr};

use journey::capture::Neighbour;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage as Message,
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
};

use super::{
    interfaces::{Interface, interfaces, mac},
    netlink::Netlink,
};

/// The neighbours that were asked for or have asked, ordered by address; without those that need no asking: groups, this
/// machine itself, links without link-layer addresses.
pub fn neighbours() -> io::Result<Vec<Neighbour>> {
    let interfaces = interfaces()?;
    let mut netlink = Netlink::route()?;
    let mut all = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = NeighbourMessage::default();
        message.header.family = family;
        let answers = match netlink.dump(Message::GetNeighbour(message)) {
            Ok(answers) => answers,
            // A kernel without IPv6 has no such table.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP)) => continue,
            Err(error) => return Err(error),
        };
        all.extend(answers.iter().filter_map(|answer| neighbour(answer, &interfaces)));
    }
    all.sort_by(|a, b| (a.ip, &a.interface).cmp(&(b.ip, &b.interface)));
    Ok(all)
}

fn neighbour(message: &Message, interfaces: &[Interface]) -> Option<Neighbour> {
    let Message::NewNeighbour(message) = message else { return None };
    let state = match message.header.state {
        NeighbourState::Incomplete => "incomplete",
        NeighbourState::Reachable => "reachable",
        NeighbourState::Stale => "stale",
        NeighbourState::Delay => "delay",
        NeighbourState::Probe => "probe",
        NeighbourState::Failed => "failed",
        NeighbourState::Permanent => "permanent",
        // `NOARP` needs no asking, and of the others nothing is known.
        _ => return None,
    };
    let (mut ip, mut lladdr): (Option<IpAddr>, _) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => ip = Some((*address).into()),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => ip = Some((*address).into()),
            NeighbourAttribute::LinkLayerAddress(bytes) => lladdr = mac(bytes),
            _ => {}
        }
    }
    let ip = ip.filter(|ip| !ip.is_multicast() && !ip.is_loopback())?;
    let interface = interfaces.iter().find(|interface| interface.index == message.header.ifindex);
    // One that has gone since is told by its number.
    let name = interface.map_or_else(|| message.header.ifindex.to_string(), |interface| interface.name.clone());
    let is_loopback = interface.is_some_and(|interface| interface.is_loopback);
    (!is_loopback).then(|| Neighbour { ip, mac: lladdr, interface: name, state: state.to_owned() })
}
