//! What faults make of answers. Pure.
//!
//! Records that are not true live for a second ([`BRIEF`]), so that they do not outlive the fault in anybody's cache: a
//! fault that was ended is over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, NS, SOA},
    },
};
use journey::dns::Meaning;
use world::{
    AddressBook,
    fault::{Amount, Fault, Kind, Role},
};

use crate::words;

/// The TTL of what is not true, in seconds.
const BRIEF: u32 = 1;
/// Whom the classic referral of a server that is no authority points to: upwards, to the root (RFC 1034 §4.3.1 has no
/// such thing; servers of the nineties sent it).
const ROOT_SERVER: &str = "a.root-servers.net.";
/// Names that few servers have a say in (RFC 2606 reserves them).
const STRANGERS: [&str; 2] = ["www.bank.example.", "www.bank.invalid."];
/// Names of the circle.
const CIRCLE: [&str; 2] = ["loop-1", "loop-2"];

/// What has to be known of a server.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) role: Role,
    /// The origins of its zones.
    pub(super) zones: Vec<Name>,
    /// Its addresses.
    pub(super) own: Vec<IpAddr>,
    /// Addresses that no host has.
    pub(super) nobody: (Ipv4Addr, Ipv6Addr),
}

impl Setting {
    /// The zone that this name belongs to.
    fn zone_of(&self, name: &Name) -> Option<&Name> {
        let above = self.zones.iter().filter(|zone| zone.zone_of(name));
        above.max_by_key(|zone| zone.num_labels())
    }

    /// The addresses that a fault gives for the true ones.
    pub(super) fn instead(&self, fault: &Fault) -> Vec<IpAddr> {
        match fault.amount {
            Some(Amount::Address(ip)) => vec![ip],
            _ => vec![self.nobody.0.into(), self.nobody.1.into()],
        }
    }

    /// Whether there is one of this type among them.
    pub(super) fn has_instead(&self, fault: &Fault, rtype: RecordType) -> bool {
        self.instead(fault).iter().any(|ip| rtype == if ip.is_ipv4() { RecordType::A } else { RecordType::AAAA })
    }
}

/// Whether a fault of this kind is for some answers alone, which one sees when they are there.
pub(super) fn looks_at_answers(kind: Kind) -> bool {
    matches!(kind, Kind::DeadNs | Kind::Loop | Kind::Bailiwick | Kind::Stale)
}

/// Whether there is anything in this answer that such a fault changes.
pub(super) fn changes(fault: &Fault, real: &Message, setting: &Setting) -> bool {
    if fault.kind != Kind::Stale {
        return changed(fault, real.clone(), setting) != *real;
    }
    let asked = real.queries.first().map(|query| query.query_type());
    asked.is_some_and(|rtype| {
        let is_of_it = |record: &Record| record.record_type() == rtype;
        setting.has_instead(fault, rtype) && real.answers.iter().any(is_of_it)
    })
}

/// Addresses of the lab's network that no host has: those of its servers' segment that end in 254, or the next before it
/// that is free. `10.78.2.254` ↔ `fd10:78:1ab::2:254`, as all addresses there.
pub(super) fn nobody(book: &AddressBook) -> (Ipv4Addr, Ipv6Addr) {
    let [a, b, ..] = book.v4.network().octets();
    let [p, q, r, s, ..] = book.v6.network().segments();
    let pair = |last: u8| {
        let mirrored = u16::from_str_radix(&last.to_string(), 16).unwrap_or_else(|_| last.into());
        (Ipv4Addr::new(a, b, 2, last), Ipv6Addr::new(p, q, r, s, 0, 0, 2, mirrored))
    };
    let is_taken = |ip: IpAddr| book.hosts.iter().any(|host| host.addresses.contains(&ip));
    let free = (1..=254).rev().map(pair).find(|(v4, v6)| !is_taken((*v4).into()) && !is_taken((*v6).into()));
    free.unwrap_or_else(|| pair(254))
}

/// An answer that has nothing of the true one.
pub(super) fn made_up(kind: Kind, mut blank: Message, setting: &Setting) -> Message {
    let Some(name) = blank.queries.first().map(|query| query.name().clone()) else { return blank };
    let zone = setting.zone_of(&name);
    match kind {
        Kind::ServFail => blank.metadata.response_code = ResponseCode::ServFail,
        Kind::Refused => blank.metadata.response_code = ResponseCode::Refused,
        Kind::Lame => {
            // Above the root there is nothing to refer to; an answer that is not authoritative is as lame.
            if zone.is_none_or(|zone| !zone.is_root()) {
                let root = Name::from_ascii(ROOT_SERVER).unwrap_or_else(|_| Name::root());
                blank.authorities.push(Record::from_rdata(Name::root(), BRIEF, RData::NS(NS(root))));
            }
        }
        _ => {
            if kind == Kind::NxDomain {
                blank.metadata.response_code = ResponseCode::NXDomain;
            }
            blank.metadata.authoritative = setting.role == Role::Nameserver;
            blank.authorities.extend(zone.map(soa));
        }
    }
    blank
}

/// A "no" needs it to say how long it lives (RFC 2308 §3).
fn soa(zone: &Name) -> Record {
    let hostmaster = zone.prepend_label("hostmaster").unwrap_or_else(|_| zone.clone());
    let data = SOA::new(zone.clone(), hostmaster, 1, 1_800, 900, 604_800, BRIEF);
    Record::from_rdata(zone.clone(), BRIEF, RData::SOA(data))
}

/// What becomes of the true answer; where there is nothing in it that the fault could change, it stays.
pub(super) fn changed(fault: &Fault, mut real: Message, setting: &Setting) -> Message {
    match fault.kind {
        Kind::Truncate => {
            real.metadata.truncation = true;
            real.answers.clear();
            real.authorities.clear();
            real.additionals.clear();
        }
        Kind::DeadNs => reglue(&mut real, &setting.instead(fault)),
        Kind::Loop if words::meaning(&real) == Meaning::Referral => reglue(&mut real, &setting.own),
        Kind::Loop => circle(&mut real, setting),
        Kind::Bailiwick => overstep(&mut real, setting),
        _ => {}
    }
    real
}

/// Gives the name servers that a delegation names these addresses instead of their own.
fn reglue(real: &mut Message, addresses: &[IpAddr]) {
    let delegation = real.answers.iter().chain(&real.authorities).filter_map(|record| match &record.data {
        RData::NS(target) => Some(target.0.clone()),
        _ => None,
    });
    let targets: Vec<Name> = delegation.collect();
    let mut glue = Vec::new();
    for target in &targets {
        let has = |rtype| real.additionals.iter().any(|record| record.name == *target && record.record_type() == rtype);
        let (v4, v6) = (has(RecordType::A), has(RecordType::AAAA));
        if !v4 && !v6 {
            continue;
        }
        let alike: Vec<&IpAddr> = addresses.iter().filter(|ip| if ip.is_ipv4() { v4 } else { v6 }).collect();
        let all = if alike.is_empty() { addresses.iter().collect() } else { alike };
        glue.extend(all.into_iter().map(|ip| address(target, *ip, BRIEF)));
    }
    if glue.is_empty() {
        return;
    }
    real.additionals.retain(|record| !(record.data.ip_addr().is_some() && targets.contains(&record.name)));
    real.additionals.append(&mut glue);
    for record in real.answers.iter_mut().chain(&mut real.authorities) {
        record.ttl = BRIEF;
    }
}

/// The name asked is an alias of one that is an alias of it.
fn circle(real: &mut Message, setting: &Setting) {
    let Some(query) = real.queries.first() else { return };
    let name = query.name().clone();
    let (Some(zone), RecordType::A | RecordType::AAAA) = (setting.zone_of(&name), query.query_type()) else { return };
    let others = CIRCLE.iter().filter_map(|label| zone.prepend_label(*label).ok());
    let Some(other) = others.into_iter().find(|other| *other != name) else { return };
    let alias = |from: &Name, to: &Name| Record::from_rdata(from.clone(), BRIEF, RData::CNAME(CNAME(to.clone())));
    real.metadata.response_code = ResponseCode::NoError;
    real.metadata.authoritative = true;
    real.answers = vec![alias(&name, &other), alias(&other, &name)];
    real.authorities.clear();
    real.additionals.clear();
}

/// Adds addresses of a name that this server has no say in.
fn overstep(real: &mut Message, setting: &Setting) {
    let names = STRANGERS.iter().filter_map(|name| Name::from_ascii(name).ok());
    // A server of the root has a say in everything.
    let Some(stranger) = names.into_iter().find(|name| setting.zone_of(name).is_none()) else { return };
    let record = address(&stranger, setting.nobody.0.into(), BRIEF);
    if !real.answers.is_empty() {
        real.answers.push(record.clone());
    }
    real.additionals.push(record);
}

fn address(owner: &Name, ip: IpAddr, ttl: u32) -> Record {
    let data = match ip {
        IpAddr::V4(ip) => RData::A(A(ip)),
        IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
    };
    Record::from_rdata(owner.clone(), ttl, data)
}

/// All bits of the id turned, so that it is never the query's.
pub(super) fn wrong_id(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().take(2) {
        *byte = !*byte;
    }
}

/// The right id and the mark of a response, and then text where counts and records should be.
pub(super) fn garbage(id: u16) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend_from_slice(&[0x84, 0]);
    bytes.extend_from_slice(b"this is no DNS message");
    bytes
}

#[cfg(test)]
mod tests;
