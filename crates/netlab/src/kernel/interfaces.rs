//! The interfaces and their addresses.

use std::io;

use ipnet::IpNet;
use journey::capture::Mac;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage as Message,
    address::{AddressAttribute, AddressMessage},
    link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage},
};

use super::netlink::Netlink;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its name: `eth0`.
    pub name: String,
    /// Its link-layer address; none where it has none of six bytes (loopback, tunnels).
    pub mac: Option<Mac>,
    /// The largest IP packet that it takes.
    pub mtu: u32,
    /// Whether it is switched on, and has a link.
    pub is_up: bool,
    /// Whether it is this machine's loopback.
    pub is_loopback: bool,
    /// Whether its frames have an Ethernet header; loopback's have one of zeros.
    pub is_ethernet: bool,
    /// Its addresses, each with the length of its network's prefix, in the kernel's order.
    pub addresses: Vec<IpNet>,
}

/// All interfaces, in the order of their numbers.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let mut netlink = Netlink::route()?;
    let mut all: Vec<Interface> =
        netlink.dump(Message::GetLink(LinkMessage::default()))?.iter().filter_map(link).collect();
    all.sort_by_key(|interface| interface.index);
    for (index, address) in addresses(&mut netlink)? {
        if let Some(interface) = all.iter_mut().find(|interface| interface.index == index) {
            interface.addresses.push(address);
        }
    }
    Ok(all)
}

/// The interface of that number.
pub(super) fn interface(netlink: &mut Netlink, index: u32) -> io::Result<Option<Interface>> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    let Some(mut interface) = netlink.get(Message::GetLink(message))?.as_ref().and_then(link) else { return Ok(None) };
    let all = addresses(netlink)?;
    interface.addresses = all.into_iter().filter(|(of, _)| *of == index).map(|(_, address)| address).collect();
    Ok(Some(interface))
}

fn link(message: &Message) -> Option<Interface> {
    let Message::NewLink(message) = message else { return None };
    let flags = message.header.flags;
    let mut interface = Interface {
        index: message.header.index,
        name: String::new(),
        mac: None,
        mtu: 0,
        is_up: flags.contains(LinkFlags::Up | LinkFlags::Running),
        is_loopback: flags.contains(LinkFlags::Loopback),
        is_ethernet: matches!(message.header.link_layer_type, LinkLayerType::Ether | LinkLayerType::Loopback),
        addresses: Vec::new(),
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
            // Loopback has one of zeros, which is none.
            LinkAttribute::Address(bytes) if !interface.is_loopback => interface.mac = mac(bytes),
            _ => {}
        }
    }
    Some(interface)
}

/// Addresses of six bytes; others are not of Ethernet.
pub(super) fn mac(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac)
}

/// All addresses, each with the number of its interface.
fn addresses(netlink: &mut Netlink) -> io::Result<Vec<(u32, IpNet)>> {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Unspec;
    let all = netlink.dump(Message::GetAddress(message))?;
    Ok(all.iter().filter_map(address).collect())
}

fn address(message: &Message) -> Option<(u32, IpNet)> {
    let Message::NewAddress(message) = message else { return None };
    let mut ip = None;
    for attribute in &message.attributes {
        match attribute {
            // On a link between two, the other one is the other end's (rtnetlink(7)).
            AddressAttribute::Local(local) => ip = Some(*local),
            AddressAttribute::Address(address) if ip.is_none() => ip = Some(*address),
            _ => {}
        }
    }
    Some((message.header.index, IpNet::new(ip?, message.header.prefix_len).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there() {
        let all = interfaces().unwrap();
        let lo = all.iter().find(|interface| interface.name == "lo").unwrap();
        assert!(lo.is_loopback && lo.mac.is_none() && lo.mtu >= 16_384, "{lo:?}");
        assert!(lo.addresses.contains(&"127.0.0.1/8".parse().unwrap()), "{lo:?}");
        assert!(all.iter().all(|interface| !interface.name.is_empty() && interface.mtu > 0), "{all:?}");
        let mut netlink = Netlink::route().unwrap();
        assert_eq!(interface(&mut netlink, lo.index).unwrap().as_ref(), Some(lo));
    }
}
