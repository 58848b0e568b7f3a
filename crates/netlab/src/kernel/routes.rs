//! Which way a packet to an address would take, by the kernel's routing table. It is asked, and no packet is sent.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage as Message,
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia},
};

use super::{
    interfaces::{Interface, interface},
    netlink::Netlink,
};

/// What the routing table says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routed {
    /// This way.
    Way(Box<Route>),
    /// None.
    Nowhere(NoWay),
}

/// A way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What it leads to.
    pub kind: RouteKind,
    /// The interface that the packet would leave by.
    pub interface: Interface,
    /// The source address that it would have.
    pub source: Option<IpAddr>,
    /// The router that it would be handed to; none where its destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The source address with the length of its network's prefix, where it is one of that interface.
    pub own: Option<IpNet>,
}

/// What a route leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// Another machine.
    Unicast,
    /// This one.
    Local,
    /// All on the link.
    Broadcast,
    /// All that have asked for it.
    Multicast,
    /// Something else.
    Other,
}

/// Why there is no way. In words: what the routing table has for the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoWay {
    /// No route is for that address.
    NoRoute,
    /// A route says that it cannot be reached (`unreachable`), or its interface is not up.
    Unreachable,
    /// A route forbids it (`prohibit`).
    Prohibited,
    /// A route drops what is sent there (`blackhole`).
    Blackhole,
    /// This machine does not speak that family of addresses.
    NoFamily,
}

impl fmt::Display for NoWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoute => "no route (ENETUNREACH)",
            Self::Unreachable => "a route that says unreachable (EHOSTUNREACH)",
            Self::Prohibited => "a route that says prohibited (EACCES)",
            Self::Blackhole => "a route that drops what is sent (blackhole)",
            Self::NoFamily => "no routes of that family of addresses (EAFNOSUPPORT)",
        })
    }
}

/// The way that the kernel would take to this address from the calling thread's network namespace.
pub fn route(to: IpAddr) -> io::Result<Routed> {
    Routes::open()?.to(to)
}

/// Asks for one way after the other, of the network namespace that the calling thread was in when this was opened.
#[derive(Debug)]
pub struct Routes {
    netlink: Netlink,
    // Those that were on a way already: most ways lead over the same one.
    known: Vec<Interface>,
}

impl Routes {
    /// Nothing asked yet.
    pub fn open() -> io::Result<Self> {
        Ok(Self { netlink: Netlink::route()?, known: Vec::new() })
    }

    /// The way that the kernel would take to this address.
    pub fn to(&mut self, to: IpAddr) -> io::Result<Routed> {
        let answer = match self.netlink.get(Message::GetRoute(question(to))) {
            Ok(answer) => answer,
            Err(error) => return no_way(&error).map(Routed::Nowhere).ok_or(error),
        };
        let Some(Message::NewRoute(answer)) = answer else {
            let why = "the kernel answered no route to the question for one";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        };
        let (kind, index, source, gateway) = read(&answer);
        // What leads nowhere has no interface; and one may have gone since.
        let Some(interface) = index.map(|index| self.interface(index)).transpose()?.flatten() else {
            return Ok(Routed::Nowhere(NoWay::NoRoute));
        };
        let own = interface.addresses.iter().copied().find(|address| Some(address.addr()) == source);
        Ok(Routed::Way(Box::new(Route { kind, interface, source, gateway, own })))
    }

    fn interface(&mut self, index: u32) -> io::Result<Option<Interface>> {
        if let Some(known) = self.known.iter().find(|known| known.index == index) {
            return Ok(Some(known.clone()));
        }
        let found = interface(&mut self.netlink, index)?;
        self.known.extend(found.clone());
        Ok(found)
    }
}

fn question(to: IpAddr) -> RouteMessage {
    let mut message = RouteMessage::default();
    (message.header.address_family, message.header.destination_prefix_length) = match to {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    message.attributes = vec![RouteAttribute::Destination(to.into())];
    message
}

/// What a route is that leads nowhere: to this question the kernel answers with the error that a packet would meet.
fn no_way(error: &io::Error) -> Option<NoWay> {
    match error.raw_os_error()? {
        libc::ENETUNREACH | libc::EAGAIN => Some(NoWay::NoRoute),
        libc::EHOSTUNREACH | libc::ENETDOWN => Some(NoWay::Unreachable),
        libc::EACCES => Some(NoWay::Prohibited),
        libc::EINVAL => Some(NoWay::Blackhole),
        libc::EAFNOSUPPORT | libc::EOPNOTSUPP => Some(NoWay::NoFamily),
        _ => None,
    }
}

fn read(answer: &RouteMessage) -> (RouteKind, Option<u32>, Option<IpAddr>, Option<IpAddr>) {
    let (mut index, mut source, mut gateway) = (None, None, None);
    for attribute in &answer.attributes {
        match attribute {
            RouteAttribute::Oif(number) => index = Some(*number),
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Gateway(address) => gateway = ip(address),
            // A router for IPv4 that is known by its IPv6 address (RFC 8950).
            RouteAttribute::Via(RouteVia::Inet(address)) => gateway = Some((*address).into()),
            RouteAttribute::Via(RouteVia::Inet6(address)) => gateway = Some((*address).into()),
            _ => {}
        }
    }
    let kind = match answer.header.kind {
        RouteType::Unicast => RouteKind::Unicast,
        RouteType::Local => RouteKind::Local,
        RouteType::Broadcast => RouteKind::Broadcast,
        RouteType::Multicast => RouteKind::Multicast,
        _ => RouteKind::Other,
    };
    let is_said = |ip: &IpAddr| *ip != IpAddr::V4(Ipv4Addr::UNSPECIFIED) && *ip != IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    (kind, index, source.filter(is_said), gateway.filter(is_said))
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}
