//! Frames as far as rules need them: who sent what to whom, and whether it came there. What a switch says of its reasons is
//! not looked at: that a frame was not seen where it should have been is all that a network shows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use journey::{
    KnownHost,
    capture::{Capture, Fate, Frame, LinkKind, Mac, Port},
};

/// All frames of a visit.
pub(super) struct Traffic<'a> {
    capture: &'a Capture,
    hosts: &'a [KnownHost],
    pub(super) seen: Vec<Seen<'a>>,
}

/// A frame on a link.
pub(super) struct Seen<'a> {
    /// Its number, as the capture counts.
    pub(super) number: u64,
    pub(super) frame: &'a Frame,
    /// The host on this link that it is for.
    pub(super) to: Option<&'a str>,
    /// Whether it came to that host's port; null where nothing tells.
    pub(super) arrived: Option<bool>,
    /// Whether it is for all, or for a group.
    pub(super) is_for_many: bool,
    pub(super) packet: Packet,
    /// The next byte that a TCP segment says its sender expects.
    pub(super) expects: Option<u32>,
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// A question for a link-layer address or an answer: ARP, and NDP's.
    Neighbour {
        is_question: bool,
        sender: IpAddr,
        target: IpAddr,
    },
    Tcp {
        from: SocketAddr,
        to: SocketAddr,
        sequence: u32,
        syn: bool,
        ack: bool,
        ends: bool,
        len: usize,
    },
    Udp {
        from: SocketAddr,
        to: SocketAddr,
    },
    Icmp {
        from: IpAddr,
        to: IpAddr,
    },
    Other,
}

/// Between whom something was waited for, and when.
pub(super) struct Way {
    /// The host that waited.
    pub(super) asker: String,
    pub(super) server: SocketAddr,
    /// The asker's socket, where it is known.
    pub(super) local: Option<SocketAddr>,
    /// From when to when, in microseconds of the visit; null where it is not known.
    pub(super) span_us: Option<(u64, u64)>,
}

impl Way {
    fn is_of(&self, from: SocketAddr, to: SocketAddr) -> bool {
        // Whoever listens on all addresses does not know its own yet.
        let is_local = |one: SocketAddr| self.local.is_none_or(|local| local.port() == one.port());
        from == self.server && is_local(to) || to == self.server && is_local(from)
    }

    fn holds(&self, at_ns: i64) -> bool {
        // The kernel stamps frames by another clock than the visit's.
        const APART_US: u64 = 5_000;
        let ns = |us: u64| i64::try_from(us.saturating_mul(1_000)).unwrap_or(i64::MAX);
        self.span_us.is_none_or(|(begin, end)| {
            (ns(begin) - ns(APART_US)..=ns(end).saturating_add(ns(APART_US))).contains(&at_ns)
        })
    }
}

impl Packet {
    /// The two ends.
    pub(super) fn ends(&self) -> Option<(IpAddr, IpAddr)> {
        match *self {
            Self::Neighbour { sender, target, .. } => Some((sender, target)),
            Self::Tcp { from, to, .. } | Self::Udp { from, to } => Some((from.ip(), to.ip())),
            Self::Icmp { from, to } => Some((from, to)),
            Self::Other => None,
        }
    }

    /// Whether nobody waits for it: an acknowledgment alone, as what follows says the same, or the end of a connection.
    fn carries_nothing(&self) -> bool {
        matches!(self, Self::Tcp { syn: false, len: 0, .. })
    }

    /// Whether it is the same, or a segment that has all content of the other: what is sent again need not be cut alike (RFC
    /// 9293 §3.8.1).
    fn says_all_of(&self, lost: &Self) -> bool {
        let Self::Tcp { from, to, sequence, syn: false, len, .. } = *self else { return self == lost };
        match *lost {
            Self::Tcp { from: by, to: back, sequence: begin, syn: false, len: missing @ 1.., .. } => {
                let before = begin.wrapping_sub(sequence) as usize;
                (from, to) == (by, back) && before.saturating_add(missing) <= len
            }
            _ => self == lost,
        }
    }

    /// What it is, in a word.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Neighbour { is_question: true, sender: IpAddr::V4(_), .. } => "ARP request",
            Self::Neighbour { sender: IpAddr::V4(_), .. } => "ARP reply",
            Self::Neighbour { is_question: true, .. } => "neighbour solicitation",
            Self::Neighbour { .. } => "neighbour advertisement",
            Self::Tcp { syn: true, ack: false, .. } => "SYN",
            Self::Tcp { syn: true, .. } => "SYN-ACK",
            Self::Tcp { len: 1.., .. } => "TCP segment",
            Self::Tcp { ends: true, .. } => "FIN or RST",
            Self::Tcp { .. } => "ACK",
            Self::Udp { .. } => "datagram",
            Self::Icmp { .. } => "ICMP message",
            Self::Other => "frame",
        }
    }
}

impl<'a> Traffic<'a> {
    pub(super) fn of(capture: &'a Capture, hosts: &'a [KnownHost]) -> Self {
        let mut traffic = Self { capture, hosts, seen: Vec::new() };
        traffic.seen = (1..).zip(&capture.frames).map(|(number, frame)| traffic.read(number, frame)).collect();
        traffic
    }

    fn read(&self, number: u64, frame: &'a Frame) -> Seen<'a> {
        let kind = self.capture.links.get(frame.link).map_or(LinkKind::Ethernet, |link| link.kind);
        let destination = mac(&frame.bytes.0).filter(|_| kind != LinkKind::Ip);
        let is_for_many = destination.is_some_and(|mac| !mac.is_unicast());
        let packet = packet(&frame.bytes.0, kind).unwrap_or(Packet::Other);
        let to = match (is_for_many, packet) {
            (true, Packet::Neighbour { is_question: true, target, .. }) => self.at(frame.link, target),
            (true, _) => None,
            _ => {
                destination.and_then(|mac| self.port(frame.link, |port| port.mac == Some(mac))).map(|port| &*port.host)
            }
        };
        let arrived = match (&frame.fate, to) {
            (Fate::Seen, _) => None,
            (Fate::Dropped { .. }, _) => Some(false),
            (Fate::Passed { to: ports, .. }, Some(host)) => Some(ports.iter().any(|port| port == host)),
            (Fate::Passed { .. }, None) => Some(true),
        };
        let expects = expected(&frame.bytes.0, kind, &packet);
        Seen { number, frame, to, arrived, is_for_many, packet, expects }
    }

    fn port(&self, link: usize, is_it: impl Fn(&Port) -> bool) -> Option<&'a Port> {
        self.capture.links.get(link)?.ports.iter().find(|port| is_it(port))
    }

    fn at(&self, link: usize, ip: IpAddr) -> Option<&'a str> {
        self.port(link, |port| has(port, ip)).map(|port| &*port.host)
    }

    /// The host that has an address.
    pub(super) fn host_of(&self, ip: IpAddr) -> Option<&'a str> {
        let known = journey::host_of(self.hosts, ip);
        known.or_else(|| (0..self.capture.links.len()).find_map(|link| self.at(link, ip)))
    }

    pub(super) fn link(&self, link: usize) -> &'a str {
        self.capture.links.get(link).map_or("", |link| &link.name)
    }

    pub(super) fn kind(&self, link: usize) -> Option<LinkKind> {
        self.capture.links.get(link).map(|link| link.kind)
    }

    pub(super) fn ports(&self, link: usize) -> usize {
        self.capture.links.get(link).map_or(0, |link| link.ports.len())
    }

    /// Whether a host sends on what is for others: it has ports on several links.
    pub(super) fn forwards(&self, host: &str) -> bool {
        self.capture.links.iter().filter(|link| link.ports.iter().any(|port| port.host == host)).count() > 1
    }

    /// Frames that did not come to the host that they were for.
    pub(super) fn lost(&self) -> Vec<&Seen<'a>> {
        let is_lost = |seen: &&Seen<'_>| {
            let is_for_another = seen.to.is_some() && seen.to != seen.frame.from.as_deref();
            seen.arrived == Some(false) && seen.packet != Packet::Other && (is_for_another || seen.is_for_many)
        };
        self.seen.iter().filter(is_lost).collect()
    }

    /// The same, sent again later, that came there.
    pub(super) fn made_good_by(&self, lost: &Seen<'_>) -> Option<&Seen<'a>> {
        self.seen.iter().find(|seen| {
            seen.number > lost.number
                && seen.frame.link == lost.frame.link
                && seen.packet.says_all_of(&lost.packet)
                && seen.arrived != Some(false)
        })
    }

    /// Lost frames on a way that nothing made good, and that somebody waited for.
    pub(super) fn unrecovered(&self, way: &Way) -> Vec<&Seen<'a>> {
        let ip = way.server.ip();
        let server = self.host_of(ip);
        let is_of_way = |host: &str| host == way.asker || Some(host) == server || self.forwards(host);
        let is_between = |seen: &Seen<'_>| {
            let Some((one, other)) = seen.packet.ends() else { return false };
            let hosts = [self.host_of(one), self.host_of(other)];
            match seen.packet {
                // Each hop looks for the next.
                Packet::Neighbour { .. } => {
                    hosts.iter().all(|host| host.is_some_and(is_of_way))
                        && !hosts.iter().all(|host| host.is_some_and(|host| self.forwards(host)))
                }
                Packet::Tcp { from, to, .. } | Packet::Udp { from, to } => {
                    way.is_of(from, to) && hosts.contains(&Some(&*way.asker))
                }
                _ => (one == ip || other == ip) && hosts.contains(&Some(&*way.asker)),
            }
        };
        let lost = self.lost().into_iter();
        lost.filter(|seen| {
            is_between(seen)
                && way.holds(seen.frame.at_ns)
                && !seen.packet.carries_nothing()
                && self.made_good_by(seen).is_none()
        })
        .collect()
    }

    /// Whether it was the network that kept a host from hearing of a server.
    pub(super) fn is_lost(&self, way: &Way) -> bool {
        !self.unrecovered(way).is_empty()
    }

    /// Segments with content for a server that came to it or that it acknowledged; none where it sent content after them.
    pub(super) fn heard_in_silence(&self, server: SocketAddr, local: Option<SocketAddr>) -> Vec<u64> {
        let host = self.host_of(server.ip());
        let is_ours = |one: SocketAddr| local.is_none_or(|local| local == one);
        let is_sent = |seen: &&Seen<'_>| matches!(seen.packet, Packet::Tcp { from, to, len: 1.., .. } if to == server && is_ours(from));
        let is_taken = |sent: &&Seen<'_>| {
            let Packet::Tcp { sequence, len, .. } = sent.packet else { return false };
            let end = sequence.wrapping_add(len as u32);
            let is_acknowledged = || {
                self.seen.iter().any(|seen| {
                    let is_back = matches!(seen.packet, Packet::Tcp { from, to, .. } if from == server && is_ours(to));
                    // Sequence numbers are compared modulo 2^32 (RFC 9293 §3.4).
                    is_back && seen.expects.is_some_and(|next| next.wrapping_sub(end) < 1 << 31)
                })
            };
            sent.arrived == Some(true) && sent.to == host || is_acknowledged()
        };
        let sent: Vec<&Seen<'_>> = self.seen.iter().filter(is_sent).collect();
        let Some(last) = sent.last().copied() else { return Vec::new() };
        let has_answered = self.seen.iter().any(|seen| {
            let is_content =
                matches!(seen.packet, Packet::Tcp { from, to, len: 1.., .. } if from == server && is_ours(to));
            is_content && seen.frame.at_ns > last.frame.at_ns
        });
        if has_answered {
            return Vec::new();
        }
        let taken = sent.into_iter().filter(|sent| sent.packet == last.packet).filter(is_taken);
        taken.map(|sent| sent.number).collect()
    }

    /// Whether the other end says of a segment, or of what it was sent again with, that it has come.
    pub(super) fn is_acknowledged(&self, sent: &Seen<'_>) -> bool {
        let Packet::Tcp { from, to, sequence, len, .. } = sent.packet else { return false };
        let end = sequence.wrapping_add(len as u32);
        self.seen.iter().any(|seen| {
            let is_back = matches!(seen.packet, Packet::Tcp { from: by, to: back, .. } if (by, back) == (to, from));
            // Sequence numbers are compared modulo 2^32 (RFC 9293 §3.4).
            is_back && seen.expects.is_some_and(|next| next.wrapping_sub(end) < 1 << 31)
        })
    }

    /// Whether a packet of this address was seen.
    pub(super) fn has_sent(&self, ip: IpAddr) -> bool {
        self.seen.iter().any(|seen| match seen.packet {
            Packet::Neighbour { sender, is_question, .. } => sender == ip && !is_question,
            Packet::Tcp { from, .. } | Packet::Udp { from, .. } => from.ip() == ip,
            Packet::Icmp { from, .. } => from == ip,
            Packet::Other => false,
        })
    }

    /// Whether somebody looked for this address on its link, and nobody answered to it.
    pub(super) fn is_unclaimed(&self, ip: IpAddr) -> bool {
        let is_search = |seen: &Seen<'_>| matches!(seen.packet, Packet::Neighbour { is_question: true, target, .. } if target == ip);
        self.seen.iter().any(is_search) && !self.has_sent(ip)
    }

    /// Whether an answer to a SYN was seen, wherever it got to.
    pub(super) fn is_syn_answered(&self, server: SocketAddr) -> bool {
        self.seen
            .iter()
            .any(|seen| matches!(seen.packet, Packet::Tcp { from, syn: true, ack: true, .. } if from == server))
    }

    /// SYNs that came to the host that has this address.
    pub(super) fn syns_delivered(&self, server: SocketAddr) -> impl Iterator<Item = u64> + '_ {
        let host = self.host_of(server.ip());
        let is_it = move |seen: &&Seen<'_>| {
            let is_syn = matches!(seen.packet, Packet::Tcp { to, syn: true, ack: false, .. } if to == server);
            is_syn && seen.arrived == Some(true) && seen.to == host
        };
        self.seen.iter().filter(is_it).map(|seen| seen.number)
    }
}

fn has(port: &Port, ip: IpAddr) -> bool {
    port.addresses.iter().any(|address| {
        let address = address.split_once('/').map_or(address.as_str(), |(address, _)| address);
        address.parse() == Ok(ip)
    })
}

fn mac(bytes: &[u8]) -> Option<Mac> {
    Some(Mac(*bytes.first_chunk()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn v4_at(bytes: &[u8], at: usize) -> Option<IpAddr> {
    Some(Ipv4Addr::from(*bytes.get(at..)?.first_chunk::<4>()?).into())
}

fn v6_at(bytes: &[u8], at: usize) -> Option<IpAddr> {
    Some(Ipv6Addr::from(*bytes.get(at..)?.first_chunk::<16>()?).into())
}

/// Where in a frame its packet begins, and what that is (EtherType).
pub(super) fn network(bytes: &[u8], kind: LinkKind) -> Option<(usize, u16)> {
    if kind == LinkKind::Ip {
        let ether_type = if bytes.first()? >> 4 == 6 { 0x86dd } else { 0x0800 };
        return Some((0, ether_type));
    }
    match u16_at(bytes, 12)? {
        // One VLAN tag (IEEE 802.1Q).
        0x8100 => Some((18, u16_at(bytes, 16)?)),
        ether_type => Some((14, ether_type)),
    }
}

/// What a frame carries; null where it was cut, or is something else.
fn packet(bytes: &[u8], kind: LinkKind) -> Option<Packet> {
    let (begin, ether_type) = network(bytes, kind)?;
    let packet = bytes.get(begin..)?;
    match ether_type {
        // RFC 826, for IPv4 over Ethernet.
        0x0806 => Some(Packet::Neighbour {
            is_question: u16_at(packet, 6)? == 1,
            sender: v4_at(packet, 14)?,
            target: v4_at(packet, 24)?,
        }),
        0x0800 => {
            let header = usize::from(packet.first()? & 0x0f) * 4;
            // Only the first fragment has the header that is looked for (RFC 791 §3.1).
            let is_later = u16_at(packet, 6)? & 0x1fff != 0;
            let len = usize::from(u16_at(packet, 2)?).checked_sub(header)?;
            let (from, to) = (v4_at(packet, 12)?, v4_at(packet, 16)?);
            let protocol = if is_later { 0 } else { *packet.get(9)? };
            transport(packet.get(header..)?, protocol, len, from, to)
        }
        0x86dd => {
            let len = usize::from(u16_at(packet, 4)?);
            transport(packet.get(40..)?, *packet.get(6)?, len, v6_at(packet, 8)?, v6_at(packet, 24)?)
        }
        _ => None,
    }
}

/// A TCP segment's acknowledgment number, where it has one.
fn expected(bytes: &[u8], kind: LinkKind, packet: &Packet) -> Option<u32> {
    let Packet::Tcp { ack: true, .. } = packet else { return None };
    let (begin, ether_type) = network(bytes, kind)?;
    let packet = bytes.get(begin..)?;
    let header = if ether_type == 0x86dd { 40 } else { usize::from(packet.first()? & 0x0f) * 4 };
    Some(u32::from_be_bytes(*packet.get(header + 8..)?.first_chunk()?))
}

fn transport(bytes: &[u8], protocol: u8, len: usize, from: IpAddr, to: IpAddr) -> Option<Packet> {
    let sockets = || Some((SocketAddr::new(from, u16_at(bytes, 0)?), SocketAddr::new(to, u16_at(bytes, 2)?)));
    Some(match protocol {
        6 => {
            let (from, to) = sockets()?;
            let sequence = u32::from_be_bytes(*bytes.get(4..)?.first_chunk()?);
            let header = usize::from(bytes.get(12)? >> 4) * 4;
            let flags = *bytes.get(13)?;
            // RFC 9293 §3.1: FIN is bit 0, SYN 1, RST 2, ACK 4.
            let has = |bit: u8| flags & 1 << bit != 0;
            Packet::Tcp {
                from,
                to,
                sequence,
                syn: has(1),
                ack: has(4),
                ends: has(0) || has(2),
                len: len.checked_sub(header)?,
            }
        }
        17 => {
            let (from, to) = sockets()?;
            Packet::Udp { from, to }
        }
        // RFC 4861 §4.3 and §4.4: whom a solicitation is for, and whom an advertisement is about.
        58 if matches!(bytes.first()?, 135) => {
            Packet::Neighbour { is_question: true, sender: from, target: v6_at(bytes, 8)? }
        }
        58 if matches!(bytes.first()?, 136) => {
            Packet::Neighbour { is_question: false, sender: v6_at(bytes, 8)?, target: to }
        }
        1 | 58 => Packet::Icmp { from, to },
        _ => Packet::Other,
    })
}
