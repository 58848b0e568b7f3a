//! A frame unfolded header by header, field by field. Pure.
//!
//! | module | what |
//! |---|---|
//! | [`model`] | which layer a protocol is on, by three models |
//! | `link` | Ethernet, VLAN tags, ARP |
//! | `internet` | IPv4, IPv6, ICMP |
//! | `transport` | TCP, UDP |
//! | `application` | DNS, HTTP, TLS |

use std::ops::Range;

use journey::capture::LinkKind;

use crate::decode::parts::{Parts, What};

mod application;
mod internet;
mod link;
pub mod model;
mod transport;

pub use model::Model;

/// A protocol that a header is of, or what stands in the place of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Ethernet II.
    Ethernet,
    /// IEEE 802.3 with a length where Ethernet II has a type.
    Ieee8023,
    /// A VLAN tag (IEEE 802.1Q).
    Vlan,
    /// RFC 826.
    Arp,
    /// RFC 791.
    Ipv4,
    /// RFC 8200.
    Ipv6,
    /// An extension header of IPv6 (RFC 8200 §4).
    Ipv6Extension,
    /// RFC 792.
    Icmp,
    /// RFC 4443, with NDP (RFC 4861) and MLD (RFC 3810).
    Icmpv6,
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 1035.
    Dns,
    /// HTTP/1 (RFC 9112).
    Http,
    /// HTTP/2 (RFC 9113).
    Http2,
    /// The header of a record (RFC 8446 §5.1).
    Tls,
    /// What a record of TLS carries.
    TlsFragment,
    /// The packet that an ICMP error quotes.
    Quoted,
    /// Bytes of the layer above the header in front of them, not unfolded further.
    Data(Carrier),
    /// What fills a frame up to the 60 bytes that Ethernet wants at least (IEEE 802.3 §4.2.3.3).
    Padding,
}

/// What carries bytes that are not unfolded further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// A frame: they are some network protocol's.
    Link,
    /// A packet: they are some transport protocol's, or a piece of it.
    Network,
    /// A segment or datagram: they are the application's.
    Transport,
}

impl Protocol {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ethernet => "Ethernet II",
            Self::Ieee8023 => "IEEE 802.3",
            Self::Vlan => "VLAN tag",
            Self::Arp => "ARP",
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Ipv6Extension => "IPv6 extension header",
            Self::Icmp => "ICMP",
            Self::Icmpv6 => "ICMPv6",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Dns => "DNS",
            Self::Http => "HTTP",
            Self::Http2 => "HTTP/2",
            Self::Tls => "TLS",
            Self::TlsFragment => "TLS fragment",
            Self::Quoted => "quoted packet",
            Self::Data(_) => "data",
            Self::Padding => "padding",
        }
    }
}

/// A header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose.
    pub protocol: Protocol,
    /// Its bytes in the frame.
    pub range: Range<usize>,
    /// Its fields in order.
    pub fields: Vec<Field>,
    /// Bytes that it carries by its own word, which may be more than were kept.
    pub payload_len: usize,
}

/// A field of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, as in the RFC.
    pub name: String,
    /// Its bytes in the frame.
    pub range: Range<usize>,
    /// Where it is not whole bytes: its bits in these bytes, 0 being the first that is sent.
    pub bits: Option<Range<u8>>,
    /// What it says. Of HTTP that is the text as it was sent, secrets included; it is foreign text, which a view has to
    /// clean.
    pub meaning: String,
}

/// Header by header, the outermost first. Together they are the whole frame, as far as it was kept: where one ends, the
/// next begins. The last ones are what is not unfolded further: data and padding.
pub fn unfold(kind: LinkKind, frame: &[u8], len: usize) -> Vec<Header> {
    let parts = Parts::of(kind, frame, len);
    let mut headers = Vec::new();
    for part in &parts.parts {
        let mut fields = Fields::of(frame, part.range.clone());
        let protocol = match part.what {
            What::Ethernet => link::ethernet(&mut fields, kind),
            What::Vlan => link::vlan(&mut fields),
            What::Arp => link::arp(&mut fields),
            What::Ipv4 => internet::ipv4(&mut fields),
            What::Ipv6 => internet::ipv6(&mut fields),
            What::Extension(number) => internet::extension(&mut fields, number),
            What::Tcp => transport::tcp(&mut fields),
            What::Udp => transport::udp(&mut fields),
            What::Icmp => internet::icmp(&mut fields),
            What::Icmpv6 => internet::icmpv6(&mut fields),
        };
        let Fields { range, fields, .. } = fields;
        headers.push(Header { protocol, payload_len: part.end - range.end.min(part.end), range, fields });
    }
    carried(frame, &parts, &mut headers);
    rest(frame, &parts, &mut headers);
    headers
}

/// What the innermost header carries.
fn carried(frame: &[u8], parts: &Parts, headers: &mut Vec<Header>) {
    let Range { mut start, end } = parts.payload;
    let innermost = parts.parts.last();
    // By the headers, so that what was not kept counts too.
    let whole = innermost.map_or(end, |part| part.end).max(end);
    if let Some(part) = innermost.filter(|part| matches!(part.what, What::Tcp | What::Udp)) {
        let ports = Fields::of(frame, part.range.clone());
        let ports = (ports.word(0), ports.word(2));
        start = application::headers(frame, start..end, whole, part.what == What::Tcp, ports, headers);
    }
    if start == end {
        return;
    }
    let (protocol, name) = match innermost.map(|part| part.what) {
        Some(What::Tcp | What::Udp) => (Protocol::Data(Carrier::Transport), "application bytes"),
        Some(What::Icmp | What::Icmpv6) if internet::is_error(frame, parts) => (Protocol::Quoted, "its first bytes"),
        Some(What::Icmp | What::Icmpv6) => (Protocol::Data(Carrier::Transport), "data of the echo"),
        None | Some(What::Ethernet | What::Vlan | What::Arp) => (Protocol::Data(Carrier::Link), "bytes"),
        Some(What::Ipv4 | What::Ipv6 | What::Extension(_)) => match parts.fragment {
            Some(_) => (Protocol::Data(Carrier::Network), "a piece of a packet"),
            None => (Protocol::Data(Carrier::Network), "bytes"),
        },
    };
    let mut fields = Fields::of(frame, start..end);
    fields.add(name, 0..end - start, size(end - start));
    headers.push(Header { protocol, range: start..end, fields: fields.fields, payload_len: 0 });
}

/// What is behind the payload.
fn rest(frame: &[u8], parts: &Parts, headers: &mut Vec<Header>) {
    let range = parts.payload.end..frame.len();
    if range.is_empty() {
        return;
    }
    let mut fields = Fields::of(frame, range.clone());
    fields.add("padding", 0..range.len(), size(range.len()));
    headers.push(Header { protocol: Protocol::Padding, range, fields: fields.fields, payload_len: 0 });
}

/// `1 byte`, `20 bytes`.
fn size(count: usize) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}

/// The fields of a header, as they are found. Places are counted from the header's begin.
struct Fields<'a> {
    bytes: &'a [u8],
    range: Range<usize>,
    fields: Vec<Field>,
}

impl<'a> Fields<'a> {
    fn of(frame: &'a [u8], range: Range<usize>) -> Self {
        Self { bytes: &frame[range.clone()], range, fields: Vec::new() }
    }

    fn add(&mut self, name: impl Into<String>, at: Range<usize>, meaning: impl Into<String>) {
        let range = self.range.start + at.start..self.range.start + at.end;
        self.fields.push(Field { name: name.into(), range, bits: None, meaning: meaning.into() });
    }

    fn bits(&mut self, name: &str, at: Range<usize>, bits: Range<u8>, meaning: impl Into<String>) {
        self.add(name, at, meaning);
        if let Some(field) = self.fields.last_mut() {
            field.bits = Some(bits);
        }
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes[at]
    }

    fn word(&self, at: usize) -> u16 {
        crate::decode::parts::word(self.bytes, at)
    }

    fn long(&self, at: usize) -> u32 {
        crate::decode::parts::long(self.bytes, at)
    }
}

#[cfg(test)]
pub(crate) mod tests;
