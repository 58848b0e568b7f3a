//! What a frame is: its headers, and what it says in words. Pure.
//!
//! | module | what |
//! |---|---|
//! | `parts` | where in a frame its headers are |
//! | `read` | what they say |
//! | [`options`] | the options of a TCP header |
//! | [`checksums`] | which checksums are right |
//! | [`words`] | a frame in one line |
//! | [`app`] | DNS, HTTP and TLS by their first bytes |

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
};

use journey::capture::{LinkKind, Mac};

pub mod app;
pub mod checksums;
pub mod options;
pub(crate) mod parts;
pub(crate) mod read;
#[cfg(test)]
pub(crate) mod samples;
pub mod words;

/// A frame's headers. What is missing was not there, could not be read, or is not known to this decoder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Its Ethernet header.
    pub ethernet: Option<Ethernet>,
    /// What it carries.
    pub network: Option<Network>,
    /// What that carries.
    pub transport: Option<Transport>,
    /// Where in the frame the IP packet is, its header included, as far as it was kept; empty where there is none.
    pub packet: Range<usize>,
    /// Where in the frame the bytes are that the innermost header carries, as far as they were kept; without padding.
    pub payload: Range<usize>,
    /// What is wrong with it, in words, where something is.
    pub flaw: Option<String>,
}

/// An Ethernet II header: 14 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ethernet {
    /// For whom it is.
    pub destination: Mac,
    /// Whose it is.
    pub source: Mac,
    /// What it carries (IEEE 802 Numbers), behind VLAN tags where there are any.
    pub ether_type: u16,
}

/// What a frame carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// A question for a link-layer address, or an answer (RFC 826).
    Arp(Arp),
    /// An IP packet.
    Ip(Ip),
}

/// An ARP message for IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// 1 is a question, 2 an answer.
    pub operation: u16,
    /// Who says it.
    pub sender: (Mac, Ipv4Addr),
    /// To whom; in a question the link-layer address is not known yet.
    pub target: (Mac, Ipv4Addr),
}

/// The header of an IP packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ip {
    /// Whose it is.
    pub source: IpAddr,
    /// For whom it is.
    pub destination: IpAddr,
    /// Time to live; in IPv6 the hop limit.
    pub ttl: u8,
    /// What it carries (IANA protocol numbers), behind IPv6 extension headers.
    pub protocol: u8,
    /// Bytes of the whole packet, by its header.
    pub total_len: usize,
    /// For a fragment: bytes in front of it, and whether more follow.
    pub fragment: Option<(usize, bool)>,
}

/// What an IP packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// See [`Tcp`].
    Tcp(Tcp),
    /// See [`Udp`].
    Udp(Udp),
    /// See [`Icmp`].
    Icmp(Icmp),
}

/// A TCP segment (RFC 9293).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// The number of its first byte, raw.
    pub sequence: u32,
    /// The next byte that its sender waits for, raw.
    pub acknowledgment: u32,
    /// Its flags.
    pub flags: TcpFlags,
    /// The window, not scaled.
    pub window: u16,
    /// Its options.
    pub options: TcpOptions,
    /// Bytes that it carries, by the headers; all of them, also where fewer were kept.
    pub payload_len: usize,
}

/// The control bits of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct TcpFlags {
    pub syn: bool,
    pub ack: bool,
    pub fin: bool,
    pub rst: bool,
    pub psh: bool,
    pub urg: bool,
    pub ece: bool,
    pub cwr: bool,
}

/// The options of a segment, those that are known here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// The shift of the window (RFC 7323).
    pub window_scale: Option<u8>,
    /// Selective acknowledgments are understood (RFC 2018).
    pub sack_permitted: bool,
    /// What has come besides: from, to.
    pub sack: Vec<(u32, u32)>,
    /// The sender's clock, and the receiver's that it heard last (RFC 7323).
    pub timestamps: Option<(u32, u32)>,
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// Bytes that it carries, by its header.
    pub payload_len: usize,
}

/// An ICMP or ICMPv6 message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// Whether it is ICMPv6.
    pub v6: bool,
    /// Its type.
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// Its bytes 4 to 7: identifier and sequence number of an echo, the MTU where a packet was too big.
    pub rest: [u8; 4],
    /// The neighbour that it asks or tells about (NDP, RFC 4861), and the link-layer address in its option.
    pub neighbour: Option<(IpAddr, Option<Mac>)>,
    /// For an error: the packet that it is about, as much as it quotes: protocol, source, destination.
    pub about: Option<(u8, SocketAddr, SocketAddr)>,
}

/// Decodes a frame of a link of that kind; `len` is how many bytes it had, which may be more than were kept.
///
/// Loopback's frames begin with an Ethernet header too: the kernel makes one up, with addresses of zeros.
pub fn decode(kind: LinkKind, frame: &[u8], len: usize) -> Decoded {
    read::decoded(frame, parts::Parts::of(kind, frame, len))
}

#[cfg(test)]
mod tests;
