//! What a name server's reply means on a walk from the root (RFC 1034 §4.3.2, RFC 2308 §2). Pure.

use std::net::IpAddr;

use dns::words;
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};

/// Most links of an alias chain that one reply is followed through.
const LONGEST_CHAIN: usize = 16;
/// Most servers that are taken from one referral: the root has 13.
const MOST_SERVERS: usize = 20;
/// Most addresses that are taken for one of them.
const MOST_ADDRESSES: usize = 8;

/// What a reply means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Others serve the zone that has the name.
    Referral(Referral),
    /// The end of the walk.
    End {
        /// Names from the one asked to the last that the reply's aliases lead to.
        aliases: Vec<Name>,
        /// What is there.
        what: What,
    },
    /// It does not answer as an authority of the zone; why, in words.
    Lame(String),
}

/// What an authority says of the name at the end of the aliases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Its addresses, with their TTL.
    Addresses(Vec<(IpAddr, u32)>),
    /// It is for another zone, or another server, to say.
    Elsewhere,
    /// The aliases go in a circle.
    Circle,
    /// It has no address of the type asked for.
    NoData,
    /// There is no such name.
    NoSuchName,
}

/// A zone and its servers, as the zone above has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Referral {
    /// The zone.
    pub(super) zone: Name,
    /// Its servers and the addresses that came with their names (glue); none for a server whose address has to be looked
    /// for.
    pub(super) servers: Vec<(Name, Vec<IpAddr>)>,
}

/// What a server of `zone` says with this message, when asked for the addresses of type `rtype` of `name`.
pub(super) fn read(zone: &Name, name: &Name, rtype: RecordType, message: &Message) -> Meaning {
    let is_authority = message.metadata.authoritative;
    let lame = |why: &str| Meaning::Lame(why.to_owned());
    match message.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain if is_authority => {
            let (aliases, _) = chain(zone, name, message);
            // The code is about the end of the chain (RFC 6604 §3), and this zone speaks for its own names alone.
            let is_own = zone.zone_of(&aliases[aliases.len() - 1]);
            return Meaning::End { aliases, what: if is_own { What::NoSuchName } else { What::Elsewhere } };
        }
        ResponseCode::NXDomain => return lame("it says that there is no such name, and not as an authority (no aa)"),
        ResponseCode::Refused => return lame("it refuses to answer (REFUSED)"),
        ResponseCode::ServFail => return lame("it could not get an answer (SERVFAIL)"),
        code => return Meaning::Lame(format!("it answers {}", words::rcode(code))),
    }
    let (aliases, is_circle) = chain(zone, name, message);
    let end = &aliases[aliases.len() - 1];
    if message.answers.is_empty()
        && let Some(owner) = delegated(name, message)
    {
        return if below(zone, owner) && owner.zone_of(name) {
            Meaning::Referral(referral(zone, owner, message))
        } else if is_authority && owner == zone {
            // An old way to say that there is nothing: the zone's own NS records, and no SOA (RFC 2308 §2.2, type 3).
            Meaning::End { aliases, what: What::NoData }
        } else if owner.zone_of(zone) && owner != zone {
            Meaning::Lame(format!("it refers to {}, which is above this zone", owner.to_ascii()))
        } else {
            Meaning::Lame(format!("it refers to {}, and is asked because it serves this zone", owner.to_ascii()))
        };
    }
    if !is_authority {
        return lame(if message.answers.is_empty() {
            "it says nothing, and not as an authority (no aa)"
        } else {
            "it answers from elsewhere, and not as an authority (no aa)"
        });
    }
    let addresses = if zone.zone_of(end) { addresses_of(end, rtype, &message.answers) } else { Vec::new() };
    let what = if is_circle {
        What::Circle
    } else if !addresses.is_empty() {
        What::Addresses(addresses)
    } else if aliases.len() > 1 && !(zone.zone_of(end) && has_soa(message)) {
        // With SOA the end of the chain is this zone's own, and has no such record (RFC 2308 §2.2).
        What::Elsewhere
    } else {
        What::NoData
    };
    Meaning::End { aliases, what }
}

/// The zone's own name servers, in an answer to the question for them or beside another answer; an authority's word alone.
pub(super) fn name_servers(zone: &Name, message: &Message) -> Option<Vec<Name>> {
    if !message.metadata.authoritative || message.metadata.response_code != ResponseCode::NoError {
        return None;
    }
    let records = message.answers.iter().chain(&message.authorities).filter(|record| record.name == *zone);
    let mut names: Vec<Name> = records.filter_map(server_name).cloned().collect();
    names.sort();
    names.dedup();
    (!names.is_empty()).then_some(names)
}

/// The serial number of the zone's copy; an authority's word alone.
pub(super) fn serial(zone: &Name, message: &Message) -> Option<u32> {
    let records = message.answers.iter().chain(&message.authorities).filter(|record| record.name == *zone);
    let mut serials = records.filter_map(|record| match &record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    });
    serials.next().filter(|_| message.metadata.authoritative)
}

/// The addresses of this type that records have for a name.
pub(super) fn addresses_of(name: &Name, rtype: RecordType, records: &[Record]) -> Vec<(IpAddr, u32)> {
    let of_name = records.iter().filter(|record| record.name == *name && record.record_type() == rtype);
    of_name.filter_map(|record| Some((address(record)?, record.ttl))).collect()
}

/// Follows aliases as far as the zone's server can speak for them: what it says of names outside its zone is not its to
/// say, and could be poison (RFC 5452 §6). Tells whether they go in a circle.
fn chain(zone: &Name, name: &Name, message: &Message) -> (Vec<Name>, bool) {
    let mut chain = vec![name.clone()];
    while chain.len() <= LONGEST_CHAIN {
        let current = &chain[chain.len() - 1];
        if !zone.zone_of(current) {
            break;
        }
        let next = message.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == *current => Some(target.0.clone()),
            _ => None,
        });
        let Some(next) = next else { break };
        if chain.contains(&next) {
            chain.push(next);
            return (chain, true);
        }
        chain.push(next);
    }
    (chain, false)
}

/// The owner of the NS records in the authority section, where there is no SOA beside them: of several the one that leads
/// furthest towards this name.
fn delegated<'m>(name: &Name, message: &'m Message) -> Option<&'m Name> {
    if has_soa(message) {
        return None;
    }
    let ns = message.authorities.iter().filter(|record| record.record_type() == RecordType::NS);
    let mut owners = ns.map(|record| &record.name);
    let above = owners.clone().filter(|owner| owner.zone_of(name));
    above.max_by_key(|owner| owner.iter().count()).or_else(|| owners.next())
}

fn has_soa(message: &Message) -> bool {
    message.authorities.iter().any(|record| record.record_type() == RecordType::SOA)
}

fn below(zone: &Name, name: &Name) -> bool {
    zone.zone_of(name) && zone != name
}

/// Glue is taken for names in the zone that refers; what it says of others is not its to say.
fn referral(zone: &Name, owner: &Name, message: &Message) -> Referral {
    let mut servers: Vec<(Name, Vec<IpAddr>)> = Vec::new();
    for record in message.authorities.iter().filter(|record| record.name == *owner) {
        let Some(name) = server_name(record) else { continue };
        if servers.len() >= MOST_SERVERS || servers.iter().any(|(known, _)| known == name) {
            continue;
        }
        let of_name = message.additionals.iter().filter(|record| record.name == *name && zone.zone_of(name));
        let mut glue: Vec<IpAddr> = Vec::new();
        for ip in of_name.filter_map(address).take(MOST_ADDRESSES) {
            if !glue.contains(&ip) {
                glue.push(ip);
            }
        }
        servers.push((name.clone(), glue));
    }
    Referral { zone: owner.clone(), servers }
}

fn server_name(record: &Record) -> Option<&Name> {
    match &record.data {
        RData::NS(name) => Some(&name.0),
        _ => None,
    }
}

fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
