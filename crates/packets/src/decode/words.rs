//! A frame in one line, for people. What it says is foreign text: a view has to clean it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use etherparse::{EtherType, IpNumber};
use journey::capture::Mac;

use super::{
    Arp, Decoded, Icmp, Network, TcpFlags, Transport,
    app::{self, App},
    parts::FIRST_ETHER_TYPE,
};

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The name of the innermost protocol that is known: `ARP`, `TCP`, `DNS`, `HTTP`.
    pub protocol: &'static str,
    /// What it says.
    pub says: Says,
    /// What is wrong with the frame.
    pub flaw: Option<String>,
}

/// What a frame says, sorted by what one would colour differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// Who has this address? With the one who asks, where it has an address already.
    WhoHas(IpAddr, Option<IpAddr>),
    /// This address is at that interface.
    IsAt(IpAddr, Option<Mac>),
    /// A TCP segment: its flags, the bytes that it carries, and what they say.
    Segment(TcpFlags, usize, Option<App>),
    /// A UDP datagram: the bytes that it carries, and what they say.
    Datagram(usize, Option<App>),
    /// An ICMP message in words, and the packet that it is about: protocol, source, destination.
    Message(String, Option<(u8, SocketAddr, SocketAddr)>),
    /// A piece of a packet: bytes in front of it, bytes of it.
    Fragment(usize, usize),
    /// Anything else, in words.
    Other(String),
}

/// A frame in one line; `frame` is what `decoded` was made of.
pub fn summary(decoded: &Decoded, frame: &[u8]) -> Summary {
    let payload = frame.get(decoded.payload.clone()).unwrap_or_default();
    let (protocol, says) = match (&decoded.network, &decoded.transport) {
        (Some(Network::Arp(arp)), _) => ("ARP", arp_says(arp)),
        (Some(Network::Ip(ip)), _) if let Some((offset, _)) = ip.fragment => {
            (ip_name(ip.source), Says::Fragment(offset, payload.len()))
        }
        (_, Some(Transport::Tcp(tcp))) => {
            let app = app::in_segment((tcp.source_port, tcp.destination_port), payload);
            (app_name(app.as_ref()).unwrap_or("TCP"), Says::Segment(tcp.flags, tcp.payload_len, app))
        }
        (_, Some(Transport::Udp(udp))) => {
            let app = app::in_datagram((udp.source_port, udp.destination_port), payload);
            (app_name(app.as_ref()).unwrap_or("UDP"), Says::Datagram(udp.payload_len, app))
        }
        (Some(Network::Ip(ip)), Some(Transport::Icmp(icmp))) => {
            (if icmp.v6 { "ICMPv6" } else { "ICMP" }, icmp_says(icmp, ip.source, payload.len()))
        }
        (Some(Network::Ip(ip)), _) => {
            (ip_name(ip.source), Says::Other(format!("{}, {}", protocol_name(ip.protocol), bytes(payload.len()))))
        }
        _ => match &decoded.ethernet {
            Some(ethernet) => ("Ethernet", Says::Other(ether_says(ethernet.ether_type, payload.len()))),
            None => ("?", Says::Other(bytes(frame.len()))),
        },
    };
    Summary { protocol, says, flaw: decoded.flaw.clone() }
}

fn ip_name(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn app_name(app: Option<&App>) -> Option<&'static str> {
    Some(match app? {
        App::Dns(_) => "DNS",
        App::Request { .. } | App::Response { .. } => "HTTP",
        App::Http2Preface => "HTTP/2",
        App::Tls(_) => "TLS",
    })
}

/// `1 byte`, `193 bytes`.
fn bytes(count: usize) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}

/// The name of what an IP packet carries.
pub fn protocol_name(protocol: u8) -> String {
    IpNumber(protocol).keyword_str().map_or_else(|| format!("protocol {protocol}"), str::to_owned)
}

fn ether_says(ether_type: u16, payload: usize) -> String {
    let name = match EtherType(ether_type) {
        EtherType(0..FIRST_ETHER_TYPE) => "IEEE 802.3 with LLC".to_owned(),
        etherparse::ether_type::ARP => "ARP".to_owned(),
        etherparse::ether_type::IPV4 => "IPv4".to_owned(),
        etherparse::ether_type::IPV6 => "IPv6".to_owned(),
        EtherType(0x88cc) => "LLDP".to_owned(),
        EtherType(other) => format!("EtherType {other:#06x}"),
    };
    format!("{name}, {}", bytes(payload))
}

fn arp_says(arp: &Arp) -> Says {
    let (sender, target) = (arp.sender.1, arp.target.1);
    match arp.operation {
        // Whoever asks before it takes an address gives none of its own (RFC 5227 §2.1.1).
        1 => Says::WhoHas(target.into(), (sender != Ipv4Addr::UNSPECIFIED).then_some(sender.into())),
        2 => Says::IsAt(sender.into(), Some(arp.sender.0)),
        other => Says::Other(format!("operation {other}")),
    }
}

fn icmp_says(icmp: &Icmp, source: IpAddr, payload: usize) -> Says {
    match (icmp.v6, icmp.kind, icmp.neighbour) {
        // A source of zeros asks whether somebody has the address already (RFC 4862 §5.4.2).
        (true, 135, Some((ip, _))) => Says::WhoHas(ip, (!source.is_unspecified()).then_some(source)),
        (true, 136, Some((ip, mac))) => Says::IsAt(ip, mac),
        _ => Says::Message(icmp_words(icmp, payload), icmp.about),
    }
}

/// An ICMP message in words; `payload` is how many bytes an echo carries.
pub(crate) fn icmp_words(icmp: &Icmp, payload: usize) -> String {
    let [a, b, c, d] = icmp.rest;
    let (id, sequence) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let echo = |name| format!("{name} id {id} sequence {sequence}, {}", bytes(payload));
    let words = match (icmp.v6, icmp.kind, icmp.code) {
        (false, 0, _) => return echo("echo reply"),
        (false, 8, _) => return echo("echo request"),
        (true, 128, _) => return echo("echo request"),
        (true, 129, _) => return echo("echo reply"),
        // RFC 792, RFC 1122 §3.2.2.1, RFC 1191 §4, RFC 1812 §5.2.7.1
        (false, 3, 0) => "destination unreachable: no way to the network",
        (false, 3, 1) => "destination unreachable: no way to the host",
        (false, 3, 2) => "destination unreachable: no such protocol there",
        (false, 3, 3) => "destination unreachable: nothing listens on that port",
        (false, 3, 4) => return format!("destination unreachable: it may not be fragmented, MTU {sequence}"),
        (false, 3, 9 | 10 | 13) => "destination unreachable: forbidden",
        (false, 3, _) => "destination unreachable",
        (false, 5, _) => "redirect",
        (false, 11, 0) | (true, 3, 0) => "time exceeded: its TTL ran out on the way",
        (false, 11, _) | (true, 3, _) => "time exceeded: not all fragments came",
        (false, 12, _) | (true, 4, _) => "parameter problem",
        // RFC 4443 §3
        (true, 1, 0) => "destination unreachable: no way to it",
        (true, 1, 1 | 5 | 6) => "destination unreachable: forbidden",
        (true, 1, 3) => "destination unreachable: no way to the host",
        (true, 1, 4) => "destination unreachable: nothing listens on that port",
        (true, 1, _) => "destination unreachable",
        (true, 2, _) => return format!("packet too big: MTU {}", u32::from_be_bytes(icmp.rest)),
        // RFC 2710, RFC 3810
        (true, 130, _) => "MLD query: who listens to which groups?",
        (true, 131 | 143, _) => "MLD report: groups that it listens to",
        (true, 132, _) => "MLD done: a group that it has left",
        // RFC 4861 §4
        (true, 133, _) => "router solicitation: is there a router?",
        (true, 134, _) => "router advertisement",
        (true, 135, _) => "neighbour solicitation",
        (true, 136, _) => "neighbour advertisement",
        (true, 137, _) => "redirect",
        (_, kind, code) => return format!("type {kind} code {code}"),
    };
    words.to_owned()
}

impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [
            (self.syn, "SYN"),
            (self.fin, "FIN"),
            (self.rst, "RST"),
            (self.psh, "PSH"),
            (self.urg, "URG"),
            (self.ece, "ECE"),
            (self.cwr, "CWR"),
            (self.ack, "ACK"),
        ];
        let set: Vec<&str> = flags.into_iter().filter_map(|(is_set, name)| is_set.then_some(name)).collect();
        f.write_str(if set.is_empty() { "no flags" } else { "" })?;
        f.write_str(&set.join(" "))
    }
}

impl fmt::Display for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WhoHas(ip, Some(tell)) => write!(f, "who has {ip}? tell {tell}"),
            Self::WhoHas(ip, None) => write!(f, "who has {ip}? before it takes that address"),
            Self::IsAt(ip, Some(mac)) => write!(f, "{ip} is at {mac}"),
            Self::IsAt(ip, None) => write!(f, "{ip} is here"),
            Self::Segment(flags, 0, _) => flags.fmt(f),
            Self::Segment(flags, len, None) => write!(f, "{flags}, {}", bytes(*len)),
            Self::Segment(flags, len, Some(app)) => write!(f, "{flags}, {}: {app}", bytes(*len)),
            Self::Datagram(len, None) => f.write_str(&bytes(*len)),
            Self::Datagram(_, Some(app)) => app.fmt(f),
            Self::Message(words, None) => f.write_str(words),
            Self::Message(words, Some((protocol, from, to))) => {
                let about = protocol_name(*protocol);
                // Without ports there are only addresses to tell.
                match from.port() == 0 && to.port() == 0 {
                    true => write!(f, "{words}; about {about} from {} to {}", from.ip(), to.ip()),
                    false => write!(f, "{words}; about {about} from {from} to {to}"),
                }
            }
            Self::Fragment(0, len) => write!(f, "the first fragment of a packet: {}", bytes(*len)),
            Self::Fragment(offset, len) => write!(f, "a fragment: {} from byte {offset} on", bytes(*len)),
            Self::Other(words) => f.write_str(words),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.says.fmt(f)?;
        match &self.flaw {
            Some(flaw) => write!(f, " ({flaw})"),
            None => Ok(()),
        }
    }
}
