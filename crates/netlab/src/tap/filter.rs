//! Which of a machine's frames belong to a visit. Pure.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
};

use journey::capture::LinkKind;

use super::Taken;
use packets::{
    decode::{Decoded, Icmp, Ip, Network, Transport, decode},
    flow::{self, FlowKey},
};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Whom a visit talks to. All else that passes is somebody else's, and is not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Its conversations.
    pub endpoints: Vec<Endpoint>,
    /// Whose link-layer addresses it needs: the routers that it hands its packets to, and remotes that are on a link. ARP and
    /// NDP between them and this machine are kept.
    pub neighbours: Vec<IpAddr>,
    /// The interfaces that its packets take by the routing table, by their numbers. Where a packet passes several (a bridge
    /// and its ports), it is kept once, if it can be on one of these.
    pub interfaces: Vec<u32>,
}

/// A conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// 6 for TCP, 17 for UDP.
    pub protocol: u8,
    /// This machine's address and port. Where it is not known, what other programs exchange with the same remote is taken
    /// for the visit's.
    pub local: Option<SocketAddr>,
    /// The other end's.
    pub remote: SocketAddr,
}

impl Endpoint {
    fn is(&self, protocol: u8, local: SocketAddr, remote: SocketAddr) -> bool {
        self.protocol == protocol && is(self.remote, remote) && self.local.is_none_or(|known| is(known, local))
    }
}

/// Whether both are the same, whatever is said besides (RFC 4007 §11), and however an IPv4 address is written.
fn is(one: SocketAddr, other: SocketAddr) -> bool {
    (one.ip().to_canonical(), one.port()) == (other.ip().to_canonical(), other.port())
}

impl Filter {
    /// Whether this connection is the visit's.
    pub fn is_ours(&self, key: &FlowKey) -> bool {
        self.has(TCP, key.client, key.server)
    }

    fn has(&self, protocol: u8, one: SocketAddr, other: SocketAddr) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.is(protocol, one, other) || endpoint.is(protocol, other, one))
    }

    /// Whether this frame belongs to the visit; `own` are this machine's addresses.
    pub(super) fn wants(&self, decoded: &Decoded, own: &[IpAddr]) -> bool {
        match (&decoded.network, &decoded.transport) {
            (Some(Network::Arp(arp)), _) => self.is_between(IpAddr::V4(arp.sender.1), IpAddr::V4(arp.target.1), own),
            (Some(Network::Ip(ip)), Some(Transport::Tcp(tcp))) => {
                self.has(TCP, (ip.source, tcp.source_port).into(), (ip.destination, tcp.destination_port).into())
            }
            (Some(Network::Ip(ip)), Some(Transport::Udp(udp))) => {
                self.has(UDP, (ip.source, udp.source_port).into(), (ip.destination, udp.destination_port).into())
            }
            (Some(Network::Ip(ip)), Some(Transport::Icmp(icmp))) => self.wants_icmp(ip, icmp, own),
            _ => false,
        }
    }

    fn wants_icmp(&self, ip: &Ip, icmp: &Icmp, own: &[IpAddr]) -> bool {
        if let Some((protocol, source, destination)) = icmp.about {
            return self.has(protocol, source, destination);
        }
        let Some((about, _)) = icmp.neighbour else { return false };
        // A question goes to a group, an answer may go to all, or come from another address of the neighbour (RFC 4861 §7.2).
        self.is_between(ip.source, about, own)
            || self.is_between(ip.source, ip.destination, own)
            || self.is_between(about, ip.destination, own)
    }

    /// Whether a neighbour and this machine speak; or the neighbour to all, of itself.
    fn is_between(&self, one: IpAddr, other: IpAddr, own: &[IpAddr]) -> bool {
        let is_neighbour = |address| self.neighbours.contains(&address);
        let is_own = |address| own.contains(&address);
        (is_neighbour(one) && (is_own(other) || one == other)) || (is_own(one) && is_neighbour(other))
    }

    /// Which of the frames belong to the visit, each packet on one interface.
    pub(super) fn choose(&self, taken: &[Taken], own: &[IpAddr]) -> Vec<bool> {
        let decoded: Vec<_> = taken.iter().map(Taken::decoded).collect();
        let mut wanted: Vec<_> = decoded.iter().map(|decoded| self.wants(decoded, own)).collect();
        // Of a packet in fragments only the first tells the ports.
        let fragments: Vec<_> =
            taken.iter().zip(&decoded).map(|(taken, decoded)| flow::fragment(&taken.bytes, decoded)).collect();
        let ours: HashSet<_> =
            fragments.iter().zip(&wanted).filter(|(_, wanted)| **wanted).filter_map(|(f, _)| *f).collect();
        for (wanted, fragment) in wanted.iter_mut().zip(&fragments) {
            *wanted |= fragment.is_some_and(|fragment| ours.contains(&fragment));
        }
        // For each packet the interface that it is kept on.
        let rank = |ifindex| self.interfaces.iter().position(|&route| route == ifindex).unwrap_or(usize::MAX);
        let mut places: HashMap<u64, u32> = HashMap::new();
        let same: Vec<_> =
            taken.iter().zip(&decoded).map(|(taken, decoded)| flow::same(&taken.bytes, decoded)).collect();
        for (taken, same) in taken.iter().zip(&same).zip(&wanted).filter(|(_, wanted)| **wanted).map(|(it, _)| it) {
            let Some(same) = same else { continue };
            let place = places.entry(*same).or_insert(taken.ifindex);
            if rank(taken.ifindex) < rank(*place) {
                *place = taken.ifindex;
            }
        }
        let is_there = |(taken, same): (&Taken, &Option<u64>)| {
            same.and_then(|same| places.get(&same)).is_none_or(|&place| place == taken.ifindex)
        };
        wanted.iter().zip(taken.iter().zip(&same)).map(|(&wanted, it)| wanted && is_there(it)).collect()
    }
}

impl Taken {
    pub(super) fn decoded(&self) -> Decoded {
        decode(self.kind, &self.bytes, self.len as usize)
    }
}

/// What an interface is, by what the kernel calls it (ARPHRD_…) and how a frame of it begins; null where frames of it
/// cannot be read.
pub(super) fn kind(hatype: u16, protocol: u16, frame: &[u8]) -> Option<LinkKind> {
    match (hatype, protocol, frame.first().map(|byte| byte >> 4)) {
        (libc::ARPHRD_ETHER, ..) => Some(LinkKind::Ethernet),
        (libc::ARPHRD_LOOPBACK, ..) => Some(LinkKind::Loopback),
        (_, 0x0800, Some(4)) | (_, 0x86dd, Some(6)) => Some(LinkKind::Ip),
        _ => None,
    }
}
