//! A capture as views see it: every frame read, its connection followed, and whose it is by name.

use std::{collections::HashMap, net::IpAddr};

use journey::{
    Journey,
    capture::{Capture, Fate, Frame, Link, LinkKind, Mac},
    chronicle::YOU,
};
use packets::{
    decode::{
        Decoded, Network, Transport, decode,
        words::{Says, Summary, summary},
    },
    flow::{Flow, Flows, Segment},
};

use crate::words::duration;

/// A capture, read.
pub(crate) struct Scene<'a> {
    journey: &'a Journey,
    pub(crate) capture: &'a Capture,
    pub(crate) seen: Vec<Seen<'a>>,
    flows: Flows,
}

/// A frame, read.
pub(crate) struct Seen<'a> {
    /// Its place in the capture.
    pub(crate) nth: usize,
    pub(crate) frame: &'a Frame,
    pub(crate) link: Option<&'a Link>,
    pub(crate) decoded: Decoded,
    pub(crate) summary: Summary,
    /// The same packet on the link that it crossed before, if it did.
    pub(super) came_as: Option<usize>,
    /// The same bytes of the same sender on this link before: a datagram that was sent again.
    pub(super) again: Option<usize>,
}

impl<'a> Scene<'a> {
    pub(crate) fn of(journey: &'a Journey, capture: &'a Capture) -> Self {
        let mut scene = Self { journey, capture, seen: Vec::new(), flows: Flows::follow(capture) };
        let mut datagrams: HashMap<(usize, &[u8]), usize> = HashMap::new();
        for (nth, frame) in capture.frames.iter().enumerate() {
            let link = capture.links.get(frame.link);
            let decoded = decode(kind(link), &frame.bytes.0, frame.len as usize);
            let summary = summary(&decoded, &frame.bytes.0);
            let came_as = scene.flows.came_as(nth);
            let is_udp = matches!(decoded.transport, Some(Transport::Udp(_)));
            // From its addresses on, so that two of the same content by others are not taken for one; IPv4's end at 20.
            let from = decoded.packet.start + if decoded.packet.is_empty() { 0 } else { 12 };
            let datagram = frame.bytes.0.get(from..decoded.packet.end).filter(|_| is_udp);
            let again = datagram.and_then(|datagram| datagrams.insert((frame.link, datagram), nth));
            scene.seen.push(Seen { nth, frame, link, decoded, summary, came_as, again });
        }
        scene
    }

    /// The connection that a frame is of, and what it is there.
    pub(crate) fn segment(&self, seen: &Seen<'_>) -> Option<(&Flow, &Segment)> {
        self.flows.of_frame(seen.nth)
    }

    /// Whether a frame is of this machine: it sent it, or it is for an address of its own and on its link.
    pub(crate) fn is_own(&self, seen: &Seen<'_>) -> bool {
        if seen.frame.from.as_deref() == Some(YOU) {
            return true;
        }
        let Some(link) = seen.link else { return false };
        if link.kind != LinkKind::Segment {
            // Its own interface: nothing else was listened to.
            return !seen.is_background();
        }
        let mine = link.ports.iter().filter(|port| port.host == YOU).flat_map(|port| &port.addresses);
        let mut mine = mine.filter_map(|text| bare(text));
        seen.ends().is_some_and(|(_, to)| mine.any(|ip| ip == to))
    }

    /// The host that has this address, else the address.
    pub(crate) fn who(&self, ip: IpAddr) -> String {
        self.host(ip).map_or_else(|| ip.to_string(), str::to_owned)
    }

    pub(crate) fn host(&self, ip: IpAddr) -> Option<&str> {
        let ports = self.capture.links.iter().flat_map(|link| &link.ports);
        let mut has = ports.filter(|port| port.addresses.iter().any(|text| bare(text) == Some(ip)));
        has.next().map(|port| port.host.as_str()).or_else(|| self.journey.host_of(ip))
    }

    /// The host whose interface has this address, else the address.
    pub(crate) fn at(&self, mac: Mac) -> String {
        let mut ports = self.capture.links.iter().flat_map(|link| &link.ports);
        ports.find(|port| port.mac == Some(mac)).map_or_else(|| mac.to_string(), |port| port.host.clone())
    }

    /// Who put a frame onto its link.
    pub(crate) fn sender(&self, seen: &Seen<'_>) -> String {
        match (&seen.frame.from, &seen.decoded.ethernet) {
            (Some(host), _) => host.clone(),
            (None, Some(ethernet)) if seen.has_macs() => self.at(ethernet.source),
            _ => seen.ends().map_or_else(|| "?".to_owned(), |(from, _)| self.who(from)),
        }
    }

    /// Whom a frame is for, on its link.
    pub(crate) fn receiver(&self, seen: &Seen<'_>) -> String {
        match &seen.decoded.ethernet {
            Some(ethernet) if seen.has_macs() => match ethernet.destination {
                Mac::BROADCAST => "all".to_owned(),
                mac if !mac.is_unicast() => "a group".to_owned(),
                mac => self.at(mac),
            },
            _ => seen.ends().map_or_else(|| "?".to_owned(), |(_, to)| self.who(to)),
        }
    }
}

impl Seen<'_> {
    pub(crate) fn kind(&self) -> LinkKind {
        kind(self.link)
    }

    /// Its time since the visit began; before it there may be frames too.
    pub(crate) fn time(&self) -> String {
        let at = self.frame.at_ns;
        let sign = if at < 0 { "-" } else { "" };
        format!("{sign}{}", duration(at.unsigned_abs() / 1_000))
    }

    pub(crate) fn link_name(&self) -> &str {
        self.link.map_or("?", |link| link.name.as_str())
    }

    fn has_macs(&self) -> bool {
        matches!(self.kind(), LinkKind::Segment | LinkKind::Ethernet)
    }

    /// The addresses that it is from and for; an ARP message asks one and tells one.
    pub(crate) fn ends(&self) -> Option<(IpAddr, IpAddr)> {
        match self.decoded.network.as_ref()? {
            Network::Ip(ip) => Some((ip.source, ip.destination)),
            Network::Arp(arp) => Some((arp.sender.1.into(), arp.target.1.into())),
        }
    }

    /// The ports, where it has some.
    pub(crate) fn ports(&self) -> Option<(u16, u16)> {
        match self.decoded.transport.as_ref()? {
            Transport::Tcp(tcp) => Some((tcp.source_port, tcp.destination_port)),
            Transport::Udp(udp) => Some((udp.source_port, udp.destination_port)),
            Transport::Icmp(_) => None,
        }
    }

    /// Whether it is what hosts say of their own accord, visit or not: groups (MLD, IGMP), routers, whether an address is
    /// taken, and what switches tell each other.
    pub(crate) fn is_background(&self) -> bool {
        match (&self.decoded.network, &self.decoded.transport) {
            (None, _) => true,
            (_, Some(Transport::Icmp(icmp))) if icmp.v6 => {
                matches!(icmp.kind, 130..=134 | 143) || matches!(self.summary.says, Says::WhoHas(_, None))
            }
            (Some(Network::Ip(ip)), None) => ip.protocol == IGMP,
            (_, Some(Transport::Udp(udp))) => udp.destination_port == MDNS && udp.source_port == MDNS,
            _ => false,
        }
    }

    /// Whether the network did not just pass it on: a fault dropped, delayed or doubled it.
    pub(super) fn is_disturbed(&self) -> bool {
        matches!(self.frame.fate, Fate::Dropped { .. } | Fate::Passed { altered: Some(_), .. })
    }
}

/// The number of IGMP in an IP header.
const IGMP: u8 = 2;
/// Multicast DNS (RFC 6762).
const MDNS: u16 = 5353;

fn kind(link: Option<&Link>) -> LinkKind {
    link.map_or(LinkKind::Ethernet, |link| link.kind)
}

/// The address of `10.78.1.100/24`.
fn bare(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.parse().ok()
}
