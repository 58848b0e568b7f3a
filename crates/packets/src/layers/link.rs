//! Ethernet, VLAN tags, ARP.

use etherparse::{EtherType, ether_type};
use journey::capture::{LinkKind, Mac};

use super::{Fields, Protocol};
use crate::decode::{
    parts::FIRST_ETHER_TYPE,
    read::{mac, v4},
};

pub(super) fn ethernet(fields: &mut Fields<'_>, kind: LinkKind) -> Protocol {
    let of = |mac: Mac| match (kind, mac) {
        (LinkKind::Loopback, Mac([0, 0, 0, 0, 0, 0])) => format!("{mac}: loopback has no addresses"),
        (_, Mac::BROADCAST) => format!("{mac}: all"),
        (_, Mac([0x33, 0x33, ..])) => format!("{mac}: a group of IPv6"),
        (_, Mac([1, 0, 0x5e, ..])) => format!("{mac}: a group of IPv4"),
        (_, mac) if !mac.is_unicast() => format!("{mac}: a group"),
        (_, mac) => mac.to_string(),
    };
    fields.add("destination", 0..6, of(mac(fields.bytes, 0)));
    fields.add("source", 6..12, of(mac(fields.bytes, 6)));
    ether_type_field(fields, 12)
}

pub(super) fn vlan(fields: &mut Fields<'_>) -> Protocol {
    let tag = fields.word(0);
    fields.bits("priority (PCP)", 0..2, 0..3, (tag >> 13).to_string());
    fields.bits("drop eligible (DEI)", 0..2, 3..4, (tag >> 12 & 1).to_string());
    fields.bits("VLAN identifier", 0..2, 4..16, (tag & 0xfff).to_string());
    ether_type_field(fields, 2);
    Protocol::Vlan
}

/// The type of what follows; the protocol of the header that has it in that form.
fn ether_type_field(fields: &mut Fields<'_>, at: usize) -> Protocol {
    let number = fields.word(at);
    if number < FIRST_ETHER_TYPE {
        fields.add("length", at..at + 2, super::size(usize::from(number)));
        return Protocol::Ieee8023;
    }
    let name = match EtherType(number) {
        ether_type::IPV4 => "IPv4",
        ether_type::IPV6 => "IPv6",
        ether_type::ARP => "ARP",
        ether_type::VLAN_TAGGED_FRAME => "a VLAN tag follows",
        ether_type::PROVIDER_BRIDGING | ether_type::VLAN_DOUBLE_TAGGED_FRAME => "a provider's VLAN tag follows",
        EtherType(0x88cc) => "LLDP",
        _ => "not known here",
    };
    fields.add("EtherType", at..at + 2, format!("{number:#06x}: {name}"));
    Protocol::Ethernet
}

pub(super) fn arp(fields: &mut Fields<'_>) -> Protocol {
    let operation = match fields.word(6) {
        1 => "1: a question",
        2 => "2: an answer",
        _ => "not known here",
    };
    let (sender, target) = (mac(fields.bytes, 8), mac(fields.bytes, 18));
    let target = match (fields.word(6), target) {
        (1, Mac([0, 0, 0, 0, 0, 0])) => format!("{target}: that is what it asks for"),
        _ => target.to_string(),
    };
    fields.add("hardware type", 0..2, "1: Ethernet");
    fields.add("protocol type", 2..4, "0x0800: IPv4");
    fields.add("hardware address length", 4..5, "6 bytes");
    fields.add("protocol address length", 5..6, "4 bytes");
    fields.add("operation", 6..8, operation);
    fields.add("sender hardware address", 8..14, sender.to_string());
    fields.add("sender protocol address", 14..18, v4(fields.bytes, 14).to_string());
    fields.add("target hardware address", 18..24, target);
    fields.add("target protocol address", 24..28, v4(fields.bytes, 24).to_string());
    Protocol::Arp
}
