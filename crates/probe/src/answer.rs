//! What a resolver's reply says about the addresses of a name. Pure.

use std::net::{IpAddr, SocketAddr};

use dns::words;
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType},
};
use journey::{Reason, stage::Address};

use super::{Probe, stub::NoReply};

/// Most links of an alias chain that are followed.
const LONGEST_CHAIN: usize = 32;

/// A usable answer.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The alias chain, from the name asked to the one with the addresses; empty without aliases.
    pub aliases: Vec<String>,
    /// The addresses, in the reply's order.
    pub addresses: Vec<Address>,
}

/// One answer of two: all addresses, or the failure that says most.
pub fn merge(answers: Vec<Result<Resolved, NoReply>>) -> Result<Resolved, NoReply> {
    let mut told: Option<Resolved> = None;
    let mut failures = Vec::new();
    for answer in answers {
        match (answer, &mut told) {
            (Ok(more), Some(told)) => told.addresses.extend(more.addresses),
            (Ok(first), None) => told = Some(first),
            (Err(failure), _) => failures.push(failure),
        }
    }
    if let Some(told) = told {
        return Ok(told);
    }
    // "No address" is only as true as the other family's answer, so any failure goes before it.
    let rank = |failure: &NoReply| match failure.reason {
        Reason::NoSuchName => 0,
        Reason::MaxTime | Reason::Interrupted => 1,
        Reason::NoAddress => 3,
        _ => 2,
    };
    failures.sort_by_key(rank);
    Err(failures.swap_remove(0))
}

/// What a reply says about the addresses of one family.
pub fn read(
    probe: &Probe<'_>,
    server: SocketAddr,
    name: &Name,
    rtype: RecordType,
    message: &Message,
) -> Result<Resolved, NoReply> {
    let shown = name.to_ascii();
    let shown = shown.trim_end_matches('.');
    let errors = message.edns.as_ref().map(dns::options::ede_of).unwrap_or_default();
    let because = match errors.as_slice() {
        [] => String::new(),
        errors => {
            let texts: Vec<&str> =
                errors.iter().map(|e| if e.text.is_empty() { e.name.as_str() } else { e.text.as_str() }).collect();
            format!(": {}", texts.join("; "))
        }
    };
    let (aliases, end) = chain(name, message);
    let rcode = message.metadata.response_code;
    let no = |reason, what: String| {
        Err(NoReply { aliases: aliases.clone(), rcode: Some(rcode), ..NoReply::new(reason, what + &because) })
    };
    match rcode {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => {
            return no(Reason::NoSuchName, format!("there is no name {shown}, says {server}"));
        }
        ResponseCode::ServFail => {
            return no(Reason::ServerFailure, format!("{server} could not get an answer for {shown}"));
        }
        ResponseCode::Refused => {
            return no(Reason::QueryRefused, format!("{server} refuses to answer for {shown}"));
        }
        code => {
            let rcode = words::rcode(code);
            return no(Reason::BadReply, format!("{server} answers {rcode} when asked for {shown}"));
        }
    }
    let addresses = addresses(probe, &end, rtype, message);
    if addresses.is_empty() {
        if let Some(what) = endless(&aliases, &end, message) {
            return no(Reason::BadReply, format!("{server} answers with aliases {what}"));
        }
        // Only a server that looks names up can say that there is no address; this one knows who else to ask.
        let metadata = &message.metadata;
        let refers = message.authorities.iter().any(|record| record.record_type() == RecordType::NS);
        if refers && !metadata.recursion_available && !metadata.authoritative {
            return no(
                Reason::NoRecursion,
                format!("{server} does not look names up, it refers to others for {shown}"),
            );
        }
        return no(Reason::NoAddress, format!("{shown} has no address, says {server}"));
    }
    Ok(Resolved { aliases, addresses })
}

/// The addresses of the name, each once: some servers send a record twice, and a set has no duplicates (RFC 2181 §5).
fn addresses(probe: &Probe<'_>, end: &Name, rtype: RecordType, message: &Message) -> Vec<Address> {
    let mut found: Vec<Address> = Vec::new();
    for record in message.answers.iter().filter(|record| is_of(record, end, rtype)) {
        let ip = match &record.data {
            RData::A(a) => IpAddr::V4(a.0),
            RData::AAAA(aaaa) => IpAddr::V6(aaaa.0),
            _ => continue,
        };
        if found.iter().all(|known| known.ip != ip) {
            found.push(Address { ip, ttl: Some(record.ttl), host: probe.host_of(ip) });
        }
    }
    found
}

/// Whether a record is of this name and type, and of the class IN that was asked for.
fn is_of(record: &Record, name: &Name, rtype: RecordType) -> bool {
    record.name == *name && record.record_type() == rtype && record.dns_class == DNSClass::IN
}

/// What is wrong with aliases that lead nowhere: they go in a circle, or further than anybody follows.
fn endless(aliases: &[String], end: &Name, message: &Message) -> Option<String> {
    if !message.answers.iter().any(|record| is_of(record, end, RecordType::CNAME)) {
        return None;
    }
    let (last, before) = aliases.split_last()?;
    Some(match before.iter().position(|alias| alias.eq_ignore_ascii_case(last)) {
        Some(first) => format!("that go in a circle: {}", aliases[first..].join(" → ")),
        None => format!("that lead further than {LONGEST_CHAIN} of them are followed"),
    })
}

/// Follows the aliases in an answer, each name once; returns the chain, from the name asked to its end, and the end.
pub fn chain(name: &Name, message: &Message) -> (Vec<String>, Name) {
    let mut chain = vec![name.to_ascii()];
    let mut current = name.clone();
    while chain.len() <= LONGEST_CHAIN {
        let next = message.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if is_of(record, &current, RecordType::CNAME) => Some(target.0.clone()),
            _ => None,
        });
        let Some(next) = next else { break };
        let again = chain.iter().any(|alias| alias.eq_ignore_ascii_case(&next.to_ascii()));
        chain.push(next.to_ascii());
        current = next;
        if again {
            break;
        }
    }
    if chain.len() == 1 {
        chain.clear();
    }
    (chain, current)
}
