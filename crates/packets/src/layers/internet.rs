//! IPv4, IPv6, ICMP.

use etherparse::{IpNumber, ip_number};

use super::{Fields, Protocol, size};
use crate::decode::{
    Icmp,
    parts::{Parts, What, word},
    read::{mac, ndp_options, v4, v6},
    words::{icmp_words, protocol_name},
};

pub(super) fn ipv4(fields: &mut Fields<'_>) -> Protocol {
    let header = fields.bytes.len();
    fields.bits("version", 0..1, 0..4, "4");
    fields.bits("IHL", 0..1, 4..8, format!("{} × 4 = {header} bytes", header / 4));
    traffic(fields, 1..2, 0, fields.byte(1));
    fields.add("total length", 2..4, size(usize::from(fields.word(2))));
    fields.add("identification", 4..6, format!("{:#06x}", fields.word(4)));
    let flags = fields.word(6);
    let set = match (flags & 0x4000 != 0, flags & 0x2000 != 0) {
        (false, false) => "none",
        (true, false) => "DF: do not fragment",
        (false, true) => "MF: more fragments",
        (true, true) => "DF and MF",
    };
    fields.bits("flags", 6..8, 0..3, set);
    fields.bits("fragment offset", 6..8, 3..16, offset(flags & 0x1fff));
    fields.add("time to live", 8..9, hops(fields.byte(8)));
    fields.add("protocol", 9..10, number(fields.byte(9)));
    fields.add("header checksum", 10..12, format!("{:#06x}", fields.word(10)));
    fields.add("source address", 12..16, v4(fields.bytes, 12).to_string());
    fields.add("destination address", 16..20, v4(fields.bytes, 16).to_string());
    if header > 20 {
        fields.add("options", 20..header, size(header - 20));
    }
    Protocol::Ipv4
}

pub(super) fn ipv6(fields: &mut Fields<'_>) -> Protocol {
    fields.bits("version", 0..1, 0..4, "6");
    // It begins in the middle of a byte.
    traffic(fields, 0..2, 4, (fields.word(0) >> 4) as u8);
    fields.bits("flow label", 1..4, 4..24, format!("{:#07x}", fields.long(0) & 0xf_ffff));
    fields.add("payload length", 4..6, size(usize::from(fields.word(4))));
    fields.add("next header", 6..7, number(fields.byte(6)));
    fields.add("hop limit", 7..8, hops(fields.byte(7)));
    fields.add("source address", 8..24, v6(fields.bytes, 8).to_string());
    fields.add("destination address", 24..40, v6(fields.bytes, 24).to_string());
    Protocol::Ipv6
}

pub(super) fn extension(fields: &mut Fields<'_>, kind: IpNumber) -> Protocol {
    let header = fields.bytes.len();
    fields.add("next header", 0..1, number(fields.byte(0)));
    if kind == ip_number::IPV6_FRAGMENTATION_HEADER {
        let flags = fields.word(2);
        fields.add("reserved", 1..2, String::new());
        fields.bits("fragment offset", 2..4, 0..13, offset(flags >> 3));
        fields.bits("reserved", 2..4, 13..15, String::new());
        let more = if flags & 1 == 0 { "0: the last one" } else { "1: more follow" };
        fields.bits("M", 2..4, 15..16, more);
        fields.add("identification", 4..8, format!("{:#010x}", fields.long(4)));
        return Protocol::Ipv6Extension;
    }
    fields.add("header extension length", 1..2, format!("{}: {header} bytes in all", fields.byte(1)));
    let name = match kind {
        ip_number::IPV6_HEADER_HOP_BY_HOP => "hop-by-hop options",
        ip_number::IPV6_ROUTE_HEADER => "routing",
        ip_number::IPV6_DESTINATION_OPTIONS => "destination options",
        ip_number::AUTHENTICATION_HEADER => "authentication",
        _ => "content",
    };
    fields.add(name, 2..header, size(header - 2));
    Protocol::Ipv6Extension
}

/// DSCP (RFC 2474 §3) and ECN (RFC 3168 §5) in the byte that begins at that bit.
fn traffic(fields: &mut Fields<'_>, at: std::ops::Range<usize>, first: u8, byte: u8) {
    let ecn = match byte & 3 {
        0 => "0: not in use",
        1 => "1: in use (ECT 1)",
        2 => "2: in use (ECT 0)",
        _ => "3: there is congestion (CE)",
    };
    let dscp = if byte >> 2 == 0 { "0: usual traffic".to_owned() } else { (byte >> 2).to_string() };
    fields.bits("DSCP", at.clone(), first..first + 6, dscp);
    fields.bits("ECN", at, first + 6..first + 8, ecn);
}

fn offset(units: u16) -> String {
    match units {
        0 => "0".to_owned(),
        units => format!("{units} × 8 = byte {}", usize::from(units) * 8),
    }
}

fn hops(hops: u8) -> String {
    if hops == 0 { "0: no router left".to_owned() } else { format!("{hops} hops left at most") }
}

fn number(protocol: u8) -> String {
    format!("{protocol}: {}", protocol_name(protocol))
}

/// Whether the innermost header is an error about another packet.
pub(super) fn is_error(frame: &[u8], parts: &Parts) -> bool {
    parts.parts.last().is_some_and(|part| match (part.what, frame[part.range.start]) {
        (What::Icmp, kind) => matches!(kind, 3 | 4 | 5 | 11 | 12),
        (What::Icmpv6, kind) => kind < 128,
        _ => false,
    })
}

pub(super) fn icmp(fields: &mut Fields<'_>) -> Protocol {
    head(fields, false);
    match fields.byte(0) {
        0 | 8 => echo(fields),
        3 if fields.byte(1) == 4 => {
            fields.add("unused", 4..6, String::new());
            fields.add("next-hop MTU", 6..8, size(usize::from(fields.word(6))));
        }
        5 => fields.add("gateway address", 4..8, v4(fields.bytes, 4).to_string()),
        _ => fields.add("rest of header", 4..8, String::new()),
    }
    Protocol::Icmp
}

pub(super) fn icmpv6(fields: &mut Fields<'_>) -> Protocol {
    head(fields, true);
    let kind = fields.byte(0);
    let options = match kind {
        128 | 129 => return echo_v6(fields),
        2 => {
            fields.add("MTU", 4..8, size(fields.long(4) as usize));
            return Protocol::Icmpv6;
        }
        133 => {
            fields.add("reserved", 4..8, String::new());
            8
        }
        134 if fields.bytes.len() >= 16 => {
            fields.add("current hop limit", 4..5, fields.byte(4).to_string());
            fields.add("flags", 5..6, format!("{:#04x}", fields.byte(5)));
            fields.add("router lifetime", 6..8, format!("{} s", fields.word(6)));
            fields.add("reachable time", 8..12, format!("{} ms", fields.long(8)));
            fields.add("retransmission timer", 12..16, format!("{} ms", fields.long(12)));
            16
        }
        135 | 136 if fields.bytes.len() >= 24 => {
            match kind {
                135 => fields.add("reserved", 4..8, String::new()),
                _ => advertised(fields),
            }
            fields.add("target address", 8..24, v6(fields.bytes, 8).to_string());
            24
        }
        _ => {
            fields.add("rest of message", 4..fields.bytes.len(), size(fields.bytes.len() - 4));
            return Protocol::Icmpv6;
        }
    };
    ndp(fields, options);
    Protocol::Icmpv6
}

/// R, S and O (RFC 4861 §4.4).
fn advertised(fields: &mut Fields<'_>) {
    let flags = fields.byte(4);
    let says = |bit: u8, yes: &str| if flags & bit == 0 { "0".to_owned() } else { format!("1: {yes}") };
    fields.bits("R", 4..8, 0..1, says(0x80, "a router"));
    fields.bits("S", 4..8, 1..2, says(0x40, "it was asked"));
    fields.bits("O", 4..8, 2..3, says(0x20, "it overrides what was known"));
    fields.bits("reserved", 4..8, 3..32, String::new());
}

fn ndp(fields: &mut Fields<'_>, from: usize) {
    let mut at = from;
    let bytes = fields.bytes;
    for (kind, body) in ndp_options(&bytes[from.min(bytes.len())..]) {
        let to = at + 2 + body.len();
        let (name, meaning) = match kind {
            1 => ("source link-layer address", mac(body, 0).to_string()),
            2 => ("target link-layer address", mac(body, 0).to_string()),
            3 => ("prefix information", size(2 + body.len())),
            5 => ("MTU", size(crate::decode::parts::long(body, 2) as usize)),
            _ => ("option", format!("type {kind}, {}", size(2 + body.len()))),
        };
        fields.add(name, at..to, meaning);
        at = to;
    }
    if at < bytes.len() {
        fields.add("not read", at..bytes.len(), "it is no option");
    }
}

fn head(fields: &mut Fields<'_>, v6: bool) {
    let bytes = fields.bytes;
    let rest = [bytes[4], bytes[5], bytes[6], bytes[7]];
    let words = match (v6, bytes[0]) {
        (false, 0) | (true, 129) => "echo reply".to_owned(),
        (false, 8) | (true, 128) => "echo request".to_owned(),
        _ => icmp_words(&Icmp { v6, kind: bytes[0], code: bytes[1], rest, neighbour: None, about: None }, 0),
    };
    fields.add("type", 0..1, format!("{}: {words}", bytes[0]));
    fields.add("code", 1..2, bytes[1].to_string());
    fields.add("checksum", 2..4, format!("{:#06x}", word(bytes, 2)));
}

fn echo(fields: &mut Fields<'_>) {
    fields.add("identifier", 4..6, fields.word(4).to_string());
    fields.add("sequence number", 6..8, fields.word(6).to_string());
}

fn echo_v6(fields: &mut Fields<'_>) -> Protocol {
    echo(fields);
    Protocol::Icmpv6
}
