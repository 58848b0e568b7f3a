//! What tells one packet from another.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
};

use crate::decode::{Decoded, Network, Transport};

/// What tells an IP packet from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    /// See [`same`].
    pub(super) hash: u64,
    /// Whether it has an identification (RFC 791 §3.2).
    pub(super) has_identification: bool,
    /// Whether it has a timestamp (RFC 7323 §3.2).
    pub(super) has_timestamp: bool,
    /// Whether packets that follow each other quickly differ in it: it has one of the two.
    pub(super) is_marked: bool,
    /// Whether its sender does not send the same one twice, not even where it repeats itself.
    pub(super) is_unique: bool,
}

/// What tells this packet from others; null where it is none of IP.
pub(super) fn packet(bytes: &[u8], decoded: &Decoded) -> Option<Packet> {
    let Some(Network::Ip(ip)) = &decoded.network else { return None };
    let packet = network(bytes, decoded)?;
    let has_identification = packet.get(4..6).is_some_and(|id| ip.source.is_ipv4() && id != [0, 0]);
    let tcp = match &decoded.transport {
        Some(Transport::Tcp(tcp)) => Some(tcp),
        _ => None,
    };
    let has_timestamp = tcp.is_some_and(|tcp| tcp.options.timestamps.is_some());
    // An acknowledgment is repeated within a tick of the clock, bytes are not.
    let has_numbers = tcp.is_some_and(|tcp| tcp.payload_len > 0 || tcp.flags.syn || tcp.flags.fin);
    Some(Packet {
        hash: same(bytes, decoded)?,
        has_identification,
        has_timestamp,
        is_marked: has_identification || has_timestamp,
        is_unique: has_identification || (has_timestamp && has_numbers),
    })
}

/// The same number for the same packet, or ARP message, wherever on its way it is seen: of all its bytes but those that a
/// router changes. Null where it is neither.
pub fn same(bytes: &[u8], decoded: &Decoded) -> Option<u64> {
    let mut packet = network(bytes, decoded)?.to_vec();
    let changes: &[usize] = match decoded.network.as_ref()? {
        // Time to live and header checksum, or the hop limit.
        Network::Ip(ip) if ip.source.is_ipv4() => &[8, 10, 11],
        Network::Ip(_) => &[7],
        Network::Arp(_) => &[],
    };
    for &at in changes {
        if let Some(byte) = packet.get_mut(at) {
            *byte = 0;
        }
    }
    let mut hasher = DefaultHasher::new();
    packet.hash(&mut hasher);
    Some(hasher.finish())
}

/// What is behind the link layer, without padding.
pub(crate) fn network<'a>(bytes: &'a [u8], decoded: &Decoded) -> Option<&'a [u8]> {
    let mut begin = if decoded.ethernet.is_some() { 14 } else { 0 };
    // VLAN tags (IEEE 802.1Q).
    while begin >= 14 && matches!(bytes.get(begin - 2..begin), Some([0x81, 0x00] | [0x88, 0xa8])) {
        begin += 4;
    }
    let packet = bytes.get(begin..)?;
    let length = match decoded.network.as_ref()? {
        Network::Ip(ip) => ip.total_len,
        Network::Arp(_) => 28,
    };
    Some(&packet[..packet.len().min(length)])
}

/// What the fragments of one packet have in common (RFC 791 §3.2, RFC 8200 §4.5).
pub type Fragment = (IpAddr, IpAddr, u8, u32);

/// Of which packet this is a fragment; null where it is a whole one.
pub fn fragment(bytes: &[u8], decoded: &Decoded) -> Option<Fragment> {
    let Some(Network::Ip(ip)) = &decoded.network else { return None };
    ip.fragment?;
    Some((ip.source, ip.destination, ip.protocol, identification(bytes, decoded)?))
}

/// The identification of a packet that came in fragments.
fn identification(bytes: &[u8], decoded: &Decoded) -> Option<u32> {
    let Some(Network::Ip(ip)) = &decoded.network else { return None };
    let packet = network(bytes, decoded)?;
    if ip.source.is_ipv4() {
        return Some(u32::from(u16::from_be_bytes(packet.get(4..6)?.try_into().ok()?)));
    }
    // Along the extension headers, to the fragment's.
    let (mut next, mut at) = (*packet.get(6)?, 40);
    loop {
        match next {
            44 => return Some(u32::from_be_bytes(packet.get(at + 4..at + 8)?.try_into().ok()?)),
            // Hop-by-hop options, routing, destination options.
            0 | 43 | 60 => (next, at) = (*packet.get(at)?, at + 8 + usize::from(*packet.get(at + 1)?) * 8),
            _ => return None,
        }
    }
}
