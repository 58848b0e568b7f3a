//! What the headers say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::{IpNumber, TcpHeaderSlice, UdpHeaderSlice, ip_number};
use journey::capture::{LinkKind, Mac};

use super::{
    Arp, Decoded, Ethernet, Icmp, Ip, Network, Tcp, TcpFlags, Transport, Udp,
    options::TcpOption,
    parts::{Part, Parts, What, long, word},
};

/// The frame's headers in the types of this module.
pub(super) fn decoded(frame: &[u8], parts: Parts) -> Decoded {
    let mut decoded = Decoded { payload: parts.payload.clone(), flaw: parts.flaw.clone(), ..Decoded::default() };
    for part in &parts.parts {
        let bytes = &frame[part.range.clone()];
        match part.what {
            What::Ethernet => {
                let ether_type = word(bytes, 12);
                decoded.ethernet = Some(Ethernet { destination: mac(bytes, 0), source: mac(bytes, 6), ether_type });
            }
            What::Vlan => {
                if let Some(ethernet) = &mut decoded.ethernet {
                    ethernet.ether_type = word(bytes, 2);
                }
            }
            What::Arp => decoded.network = Some(Network::Arp(arp(bytes))),
            What::Ipv4 | What::Ipv6 => {
                decoded.network = Some(Network::Ip(ip(part.what, bytes, &parts)));
                decoded.packet = part.range.start..part.end.min(frame.len());
            }
            What::Extension(_) => {}
            What::Tcp => {
                let (tcp, flaw) = tcp(bytes, part);
                decoded.transport = tcp.map(Transport::Tcp);
                decoded.flaw = decoded.flaw.or(flaw);
            }
            What::Udp => decoded.transport = udp(bytes).map(Transport::Udp),
            What::Icmp | What::Icmpv6 => {
                decoded.transport = Some(Transport::Icmp(icmp(part.what, bytes, &frame[parts.payload.clone()])));
            }
        }
    }
    decoded
}

pub(crate) fn mac(bytes: &[u8], at: usize) -> Mac {
    let mut mac = [0; 6];
    mac.copy_from_slice(&bytes[at..at + 6]);
    Mac(mac)
}

/// An IPv4 address at that place, which is there.
pub(crate) fn v4(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::from(long(bytes, at))
}

/// An IPv6 address at that place, which is there.
pub(crate) fn v6(bytes: &[u8], at: usize) -> Ipv6Addr {
    let mut ip = [0; 16];
    ip.copy_from_slice(&bytes[at..at + 16]);
    Ipv6Addr::from(ip)
}

fn arp(bytes: &[u8]) -> Arp {
    Arp { operation: word(bytes, 6), sender: (mac(bytes, 8), v4(bytes, 14)), target: (mac(bytes, 18), v4(bytes, 24)) }
}

fn ip(what: What, bytes: &[u8], parts: &Parts) -> Ip {
    let Parts { fragment, protocol, .. } = *parts;
    if what == What::Ipv4 {
        let (source, destination) = (v4(bytes, 12).into(), v4(bytes, 16).into());
        let total_len = usize::from(word(bytes, 2));
        // Not read where the packet is shorter than its header says.
        let protocol = if protocol == 0 { bytes[9] } else { protocol };
        return Ip { source, destination, ttl: bytes[8], protocol, total_len, fragment };
    }
    let (source, destination) = (v6(bytes, 8).into(), v6(bytes, 24).into());
    let total_len = 40 + usize::from(word(bytes, 4));
    let protocol = if protocol == 0 { bytes[6] } else { protocol };
    Ip { source, destination, ttl: bytes[7], protocol, total_len, fragment }
}

/// The segment, and what is wrong with its options. Where they are cut, those in front of the cut are read.
fn tcp(bytes: &[u8], part: &Part) -> (Option<Tcp>, Option<String>) {
    // A slice of the fixed part alone, which says that it has no options.
    let mut fixed = [0; 20];
    fixed.copy_from_slice(&bytes[..20]);
    let size = usize::from(fixed[12] >> 4) * 4;
    fixed[12] = (5 << 4) | (fixed[12] & 0xf);
    let Ok(header) = TcpHeaderSlice::from_slice(&fixed) else { return (None, None) };
    let (options, flaw) = TcpOption::all(&bytes[20..]);
    let flags = TcpFlags {
        syn: header.syn(),
        ack: header.ack(),
        fin: header.fin(),
        rst: header.rst(),
        psh: header.psh(),
        urg: header.urg(),
        ece: header.ece(),
        cwr: header.cwr(),
    };
    let tcp = Tcp {
        source_port: header.source_port(),
        destination_port: header.destination_port(),
        sequence: header.sequence_number(),
        acknowledgment: header.acknowledgment_number(),
        flags,
        window: header.window_size(),
        options: TcpOption::summed(&options),
        payload_len: part.end.saturating_sub(part.range.start + size),
    };
    (Some(tcp), flaw)
}

fn udp(bytes: &[u8]) -> Option<Udp> {
    let header = UdpHeaderSlice::from_slice(bytes).ok()?;
    let payload_len = usize::from(header.length()).saturating_sub(8);
    Some(Udp { source_port: header.source_port(), destination_port: header.destination_port(), payload_len })
}

fn icmp(what: What, bytes: &[u8], payload: &[u8]) -> Icmp {
    let v6 = what == What::Icmpv6;
    let (kind, code) = (bytes[0], bytes[1]);
    let is_error = if v6 { kind < 128 } else { matches!(kind, 3 | 4 | 5 | 11 | 12) };
    Icmp {
        v6,
        kind,
        code,
        rest: [bytes[4], bytes[5], bytes[6], bytes[7]],
        neighbour: if v6 { neighbour(kind, bytes) } else { None },
        about: if is_error { quoted(payload) } else { None },
    }
}

/// Whom a neighbour solicitation or advertisement is about (RFC 4861 §4.3, §4.4), and the address in its option.
fn neighbour(kind: u8, bytes: &[u8]) -> Option<(IpAddr, Option<Mac>)> {
    // The source's link-layer address in a question, the target's in an answer (§4.6.1).
    let wanted = match kind {
        135 => 1,
        136 => 2,
        _ => return None,
    };
    let target = v6(bytes.get(..24)?, 8);
    let found = ndp_options(&bytes[24..]).find(|(kind, body)| *kind == wanted && body.len() >= 6);
    Some((target.into(), found.map(|(_, body)| mac(body, 0))))
}

/// The options of an NDP message (RFC 4861 §4.6): type, and what is behind the length.
pub(crate) fn ndp_options(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (kind, units) = (*rest.first()?, usize::from(*rest.get(1)?));
        // A length of 0 would never end; such a message is to be thrown away (§4.6).
        let option = rest.get(..units * 8).filter(|option| !option.is_empty())?;
        rest = &rest[option.len()..];
        Some((kind, &option[2..]))
    })
}

/// The packet that an error quotes: at least its IP header and 8 bytes (RFC 792), which is where the ports are.
fn quoted(payload: &[u8]) -> Option<(u8, SocketAddr, SocketAddr)> {
    let parts = Parts::of(LinkKind::Ip, payload, usize::MAX);
    let first = parts.parts.first()?;
    let bytes = &payload[first.range.clone()];
    let ip = ip(first.what, bytes, &parts);
    let has_ports = matches!(IpNumber(ip.protocol), ip_number::TCP | ip_number::UDP)
        && parts.fragment.is_none_or(|(offset, _)| offset == 0);
    let behind = parts.parts.iter().rfind(|part| !matches!(part.what, What::Tcp | What::Udp))?.range.end;
    let ports = payload.get(behind..behind + 4).filter(|_| has_ports);
    let (from, to) = ports.map_or((0, 0), |ports| (word(ports, 0), word(ports, 2)));
    Some((ip.protocol, SocketAddr::new(ip.source, from), SocketAddr::new(ip.destination, to)))
}
