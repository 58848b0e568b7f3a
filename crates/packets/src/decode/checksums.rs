//! Which checksums are right.

use etherparse::checksum::Sum16BitWords;
use journey::capture::LinkKind;

use super::parts::{Part, Parts, What, word};

/// A checksum in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// Whose: `IPv4 header`, `TCP`, `UDP`, `ICMP`, `ICMPv6`.
    pub of: &'static str,
    /// The one that is there.
    pub found: u16,
    /// The one that belongs there.
    pub right: u16,
}

impl Checksum {
    /// Whether it is right. Two numbers are zero in ones' complement (RFC 1071 §1), and mean the same.
    pub fn is_right(&self) -> bool {
        let zero = |number| matches!(number, 0 | 0xffff);
        self.found == self.right || zero(self.found) && zero(self.right)
    }
}

/// The checksums of a frame that can be told to be right or wrong: all bytes that they are made of are kept, and the
/// packet is no fragment. A datagram that says it has none (0 over IPv4, RFC 768) has none.
pub fn checksums(kind: LinkKind, frame: &[u8], len: usize) -> Vec<Checksum> {
    let parts = Parts::of(kind, frame, len);
    let mut checksums = Vec::new();
    let mut ip: Option<&Part> = None;
    let mut is_routed = false;
    for part in &parts.parts {
        let bytes = &frame[part.range.clone()];
        match part.what {
            What::Ipv4 => {
                checksums.push(Checksum { of: "IPv4 header", found: word(bytes, 10), right: sum(&[], bytes, 10) });
                ip = Some(part);
            }
            What::Ipv6 => ip = Some(part),
            // The last of the stops belongs into the sum, not the one that the header names now (RFC 8200 §8.1).
            What::Extension(etherparse::ip_number::IPV6_ROUTE_HEADER) => is_routed |= bytes[3] > 0,
            What::Tcp | What::Udp | What::Icmp | What::Icmpv6 => {
                let is_whole = parts.flaw.is_none() && parts.fragment.is_none() && part.end <= frame.len();
                if let Some(ip) = ip.filter(|_| is_whole && !is_routed) {
                    checksums.extend(transport(frame, ip, part));
                }
            }
            _ => {}
        }
    }
    checksums
}

fn transport(frame: &[u8], ip: &Part, part: &Part) -> Option<Checksum> {
    let (of, at, protocol) = match part.what {
        What::Tcp => ("TCP", 16, 6),
        What::Udp => ("UDP", 6, 17),
        What::Icmp => ("ICMP", 2, 1),
        What::Icmpv6 => ("ICMPv6", 2, 58),
        _ => return None,
    };
    let (header, bytes) = (&frame[ip.range.clone()], &frame[part.range.start..part.end]);
    let length = u32::try_from(bytes.len()).ok()?.to_be_bytes();
    // The pseudo header (RFC 9293 §3.1, RFC 8200 §8.1). The order of what is summed does not matter, so one serves both.
    let mut pseudo = length.to_vec();
    match ip.what {
        What::Ipv4 => pseudo.extend(&header[12..20]),
        _ => pseudo.extend(&header[8..40]),
    }
    pseudo.extend([0, protocol]);
    let found = word(bytes, at);
    let right = match part.what {
        // The only one without a pseudo header.
        What::Icmp => sum(&[], bytes, at),
        // 0 says that there is none (RFC 768), and over IPv6 there has to be one (RFC 8200 §8.1).
        What::Udp if found == 0 && ip.what == What::Ipv4 => return None,
        What::Udp => match sum(&pseudo, bytes, at) {
            0 => 0xffff,
            sum => sum,
        },
        _ => sum(&pseudo, bytes, at),
    };
    Some(Checksum { of, found, right })
}

/// The checksum over these bytes without the two at which it stands.
fn sum(pseudo: &[u8], bytes: &[u8], at: usize) -> u16 {
    let sum = Sum16BitWords::new().add_slice(pseudo).add_slice(&bytes[..at]).add_slice(&bytes[at + 2..]);
    sum.ones_complement().to_be()
}
