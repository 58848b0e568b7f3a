//! Where in a frame its headers are. Both views of a frame, what it says and its fields one by one, begin here, so they
//! cannot disagree on where something is.

use std::ops::Range;

use etherparse::{EtherType, IpNumber, ether_type, ip_number};
use journey::capture::LinkKind;

/// Below this, what stands at the EtherType's place is a length (IEEE 802.3 §3.2.6).
pub(crate) const FIRST_ETHER_TYPE: u16 = 0x600;

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Ethernet II, or IEEE 802.3 where the type is a length.
    Ethernet,
    /// What a VLAN tag adds (IEEE 802.1Q): its own two bytes, and the type behind it.
    Vlan,
    Arp,
    Ipv4,
    Ipv6,
    /// An extension header of IPv6, by its number.
    Extension(IpNumber),
    Tcp,
    Udp,
    /// ICMP for IPv4.
    Icmp,
    Icmpv6,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Ethernet => "Ethernet header",
            Self::Vlan => "VLAN tag",
            Self::Arp => "ARP message",
            Self::Ipv4 => "IPv4 header",
            Self::Ipv6 => "IPv6 header",
            Self::Extension(_) => "IPv6 extension header",
            Self::Tcp => "TCP header",
            Self::Udp => "UDP header",
            Self::Icmp => "ICMP message",
            Self::Icmpv6 => "ICMPv6 message",
        }
    }
}

/// A header's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) what: What,
    /// Its bytes, all of them kept.
    pub(crate) range: Range<usize>,
    /// Where what it carries ends, by the headers; that may be behind the last byte that is kept.
    pub(crate) end: usize,
}

/// The headers of a frame, outermost first, without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) parts: Vec<Part>,
    /// What the innermost carries, as far as it is kept.
    pub(crate) payload: Range<usize>,
    /// What is wrong, where something is. The first thing: what comes behind it may be its consequence.
    pub(crate) flaw: Option<String>,
    /// For a fragment: bytes in front of it, and whether more follow.
    pub(crate) fragment: Option<(usize, bool)>,
    /// Number of what the IP header carries, behind extension headers.
    pub(crate) protocol: u8,
}

impl Parts {
    /// The headers of a frame of a link of that kind, which had `len` bytes. Loopback's frames have an Ethernet header
    /// as well: the kernel makes one up, all zeros.
    pub(crate) fn of(kind: LinkKind, frame: &[u8], len: usize) -> Self {
        let len = len.max(frame.len());
        let mut reader = Reader {
            frame,
            at: 0,
            end: len,
            len,
            found: Self { parts: Vec::new(), payload: 0..0, flaw: None, fragment: None, protocol: 0 },
        };
        // Where something ends early, what was read stays.
        let _ = match kind {
            LinkKind::Ip => reader.ip(None),
            LinkKind::Segment | LinkKind::Ethernet | LinkKind::Loopback => reader.ethernet(),
        };
        let mut found = reader.found;
        found.payload = reader.at..reader.end.min(frame.len()).max(reader.at);
        found
    }
}

struct Reader<'a> {
    frame: &'a [u8],
    // Everything before this is in a part.
    at: usize,
    // Where the innermost header says that its content ends.
    end: usize,
    len: usize,
    found: Parts,
}

impl<'a> Reader<'a> {
    fn flaw(&mut self, flaw: impl Into<String>) {
        self.found.flaw.get_or_insert_with(|| flaw.into());
    }

    /// The next bytes, if they are there; they stay where they are.
    fn peek(&mut self, what: What, size: usize) -> Option<&'a [u8]> {
        let to = self.at.checked_add(size)?;
        let bytes = self.frame.get(self.at..to).filter(|_| to <= self.end);
        if bytes.is_none() {
            let name = what.name();
            let (kept, len) = (self.frame.len(), self.len);
            self.flaw(match to <= self.end {
                true => format!("only {kept} of its {len} bytes were kept, and they end within its {name}"),
                false => format!("it ends within its {name}"),
            });
        }
        bytes
    }

    /// The next bytes are a header.
    fn take(&mut self, what: What, size: usize) -> Option<&'a [u8]> {
        let bytes = self.peek(what, size)?;
        let range = self.at..self.at + size;
        self.at = range.end;
        self.found.parts.push(Part { what, range, end: self.end });
        Some(bytes)
    }

    /// The header that was taken last says where its content ends.
    fn ends(&mut self, end: usize) {
        self.end = end.max(self.at);
        if let Some(part) = self.found.parts.last_mut() {
            part.end = self.end;
        }
    }

    fn ethernet(&mut self) -> Option<()> {
        let mut ether_type = word(self.take(What::Ethernet, 14)?, 12);
        while matches!(
            EtherType(ether_type),
            ether_type::VLAN_TAGGED_FRAME | ether_type::PROVIDER_BRIDGING | ether_type::VLAN_DOUBLE_TAGGED_FRAME
        ) {
            ether_type = word(self.take(What::Vlan, 4)?, 2);
        }
        match EtherType(ether_type) {
            ether_type::ARP => self.arp(),
            ether_type::IPV4 => self.ip(Some(4)),
            ether_type::IPV6 => self.ip(Some(6)),
            EtherType(length) if length < FIRST_ETHER_TYPE => {
                let end = self.at + usize::from(length);
                if end > self.end {
                    self.flaw(format!("it says that it carries {length} bytes, which is more than there are"));
                } else {
                    self.ends(end);
                }
                Some(())
            }
            _ => Some(()),
        }
    }

    fn arp(&mut self) -> Option<()> {
        let head = self.peek(What::Arp, 8)?;
        // Hardware Ethernet, protocol IPv4, addresses of 6 and 4 bytes.
        if head[..6] != [0, 1, 8, 0, 6, 4] {
            self.flaw("it is ARP for something else than IPv4 over Ethernet");
            return None;
        }
        self.take(What::Arp, 28)?;
        self.ends(self.at);
        Some(())
    }

    /// An IP packet; its version is what the type in front of it says, or where there is none, what it says itself.
    fn ip(&mut self, said: Option<u8>) -> Option<()> {
        let expected = if said == Some(6) { What::Ipv6 } else { What::Ipv4 };
        let version = self.peek(expected, 1)?[0] >> 4;
        match (version, said) {
            (4, None | Some(4)) => self.ipv4(),
            (6, None | Some(6)) => self.ipv6(),
            (_, Some(said)) => {
                self.flaw(format!("its EtherType says IPv{said}, and the packet that it is of version {version}"));
                None
            }
            (_, None) => {
                self.flaw(format!("it is no IP packet: its version would be {version}"));
                None
            }
        }
    }

    fn ipv4(&mut self) -> Option<()> {
        let from = self.at;
        let size = usize::from(self.peek(What::Ipv4, 20)?[0] & 0xf) * 4;
        if size < 20 {
            self.flaw(format!("its IPv4 header says that it is {size} bytes long, and 20 is the least"));
            return None;
        }
        let header = self.take(What::Ipv4, size)?;
        self.ip_ends(from, usize::from(word(header, 2)))?;
        let flags = word(header, 6);
        let (offset, more) = (usize::from(flags & 0x1fff) * 8, flags & 0x2000 != 0);
        self.fragment(offset, more);
        self.transport(header[9])
    }

    fn ipv6(&mut self) -> Option<()> {
        let from = self.at;
        let header = self.take(What::Ipv6, 40)?;
        self.ip_ends(from, 40 + usize::from(word(header, 4)))?;
        let mut next = header[6];
        loop {
            let what = What::Extension(IpNumber(next));
            let size = match IpNumber(next) {
                ip_number::IPV6_HEADER_HOP_BY_HOP
                | ip_number::IPV6_ROUTE_HEADER
                | ip_number::IPV6_DESTINATION_OPTIONS
                | ip_number::MOBILITY_HEADER
                | ip_number::HIP
                | ip_number::SHIM6 => 8 + 8 * usize::from(self.peek(what, 2)?[1]),
                ip_number::IPV6_FRAGMENTATION_HEADER => 8,
                // The one that counts in 4 bytes (RFC 4302 §2.2).
                ip_number::AUTHENTICATION_HEADER => 8 + 4 * usize::from(self.peek(what, 2)?[1]),
                _ => return self.transport(next),
            };
            let header = self.take(what, size)?;
            if IpNumber(next) == ip_number::IPV6_FRAGMENTATION_HEADER {
                let flags = word(header, 2);
                self.fragment(usize::from(flags & 0xfff8), flags & 1 != 0);
            }
            next = header[0];
            if self.found.fragment.is_some_and(|(offset, _)| offset > 0) {
                self.found.protocol = next;
                return Some(());
            }
        }
    }

    /// Where a packet ends that begins there, by its own word.
    fn ip_ends(&mut self, from: usize, total: usize) -> Option<()> {
        let (header, room) = (self.at - from, self.end - from);
        if total < header {
            self.flaw(format!("its IP header says that the packet has {total} bytes, fewer than the header alone"));
            return None;
        }
        if total > room {
            self.flaw(format!("its IP header says that the packet has {total} bytes, and there are {room}"));
        } else {
            self.ends(from + total);
        }
        Some(())
    }

    fn fragment(&mut self, offset: usize, more: bool) {
        if offset > 0 || more {
            self.found.fragment = Some((offset, more));
        }
    }

    fn transport(&mut self, protocol: u8) -> Option<()> {
        self.found.protocol = protocol;
        let fragment = self.found.fragment;
        if fragment.is_some_and(|(offset, _)| offset > 0) {
            return Some(());
        }
        match IpNumber(protocol) {
            ip_number::TCP => self.tcp(),
            ip_number::UDP => self.udp(fragment.is_some()),
            ip_number::ICMP => self.take(What::Icmp, 8).map(|_| ()),
            ip_number::IPV6_ICMP => self.icmpv6(),
            _ => Some(()),
        }
    }

    fn tcp(&mut self) -> Option<()> {
        let size = usize::from(self.peek(What::Tcp, 20)?[12] >> 4) * 4;
        if size < 20 {
            self.flaw(format!("its TCP header says that it is {size} bytes long, and 20 is the least"));
            return None;
        }
        let there = self.end.min(self.frame.len()) - self.at;
        // The fixed part tells enough to be worth having where the options are cut.
        self.peek(What::Tcp, size);
        self.take(What::Tcp, size.min(there)).map(|_| ())
    }

    fn udp(&mut self, is_fragment: bool) -> Option<()> {
        let from = self.at;
        let length = usize::from(word(self.take(What::Udp, 8)?, 4));
        let room = self.end - from;
        if length < 8 {
            self.flaw(format!("its UDP header says that the datagram has {length} bytes, fewer than the header alone"));
        } else if length <= room {
            self.ends(from + length);
        } else if !is_fragment {
            self.flaw(format!("its UDP header says that the datagram has {length} bytes, and there are {room}"));
        }
        Some(())
    }

    /// Echoes and errors have a header of 8 bytes, other messages are all header.
    fn icmpv6(&mut self) -> Option<()> {
        let kind = self.peek(What::Icmpv6, 8)?[0];
        let there = self.end.min(self.frame.len()) - self.at;
        self.take(What::Icmpv6, if kind < 130 { 8 } else { there })?;
        if self.at < self.end && kind >= 130 {
            let (kept, len) = (self.frame.len(), self.len);
            self.flaw(format!("only {kept} of its {len} bytes were kept, and they end within its ICMPv6 message"));
        }
        Some(())
    }
}

/// A number of two bytes at that place, which is there.
pub(crate) fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// A number of four bytes at that place, which is there.
pub(crate) fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
