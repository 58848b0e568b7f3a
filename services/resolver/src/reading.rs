//! What a reply says, and whether it can be believed. Pure.
//!
//! A server is asked on behalf of a zone, and speaks for that zone only: records of other names are not read (RFC 5452
//! §6). What cannot be used is an [`Objection`], after which the next server is asked (RFC 1034 §5.3.3, step 4d).

use std::net::IpAddr;

use dns::{options, words};
use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::SOA},
};
use journey::{NoUse, dns::Transport};

use crate::{
    answer::bare,
    limits::{LONGEST_TTL, MAX_ADDRESSES, MAX_ALIASES, MAX_NAMES},
    links::Link,
    minimise::labels,
};

/// What a reply says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) said: Said,
    /// Whether it is the word of an authority. If not, another server's word goes before it (RFC 2181 §5.4.1).
    pub(crate) is_authority: bool,
    /// The zone's own NS records, where these were asked for and its authority answers.
    pub(crate) own: Option<NsSet>,
}

impl Reading {
    /// Of a datagram that was cut.
    pub(crate) fn of_nothing() -> Self {
        Self { said: Said::Links(Vec::new()), is_authority: false, own: None }
    }
}

/// An answer or a way to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    /// What there is at the name asked, and at those that it is an alias of, in the zone.
    Links(Vec<(Query, Link)>),
    /// The servers of a zone further down.
    Referral(Name, NsSet),
}

/// The servers of a zone, and for how many seconds they are that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NsSet {
    pub(crate) ttl: u32,
    pub(crate) servers: Vec<NameServer>,
}

/// A name server, and the addresses that were told of it, each with its TTL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameServer {
    pub(crate) name: Name,
    pub(crate) glue: Vec<(IpAddr, u32)>,
}

/// Why a reply cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Objection {
    /// In words.
    pub(crate) why: String,
    /// For programs.
    pub(crate) failure: NoUse,
}

impl Objection {
    fn new(failure: NoUse, why: impl Into<String>) -> Self {
        Self { why: why.into(), failure }
    }

    /// An error of a server that may not know EDNS.
    pub(crate) fn without_edns(rcode: &str) -> Self {
        let failure = if rcode == "SERVFAIL" { NoUse::ServerFailure } else { NoUse::OtherError };
        Self::new(failure, format!("it answers {rcode} to a query with EDNS"))
    }

    fn lame(why: impl Into<String>) -> Self {
        Self::new(NoUse::Lame, why)
    }
}

/// Reads a reply to this question from a server that was asked on behalf of this zone.
pub(crate) fn read(question: &Query, reply: &Message, transport: Transport, zone: &Name) -> Result<Reading, Objection> {
    if reply.metadata.truncation && transport == Transport::Tcp {
        // A cut datagram is a hint to ask again; on a stream there is no reason to cut.
        return Err(Objection::new(NoUse::Truncated, "its answer is truncated over tcp too"));
    }
    match reply.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        ResponseCode::YXDomain if chain(question, reply, zone).iter().any(|(_, link)| link.is_by_dname()) => {}
        code => return Err(error(code, reply)),
    }
    let zone_reply = ZoneReply { question, reply, zone };
    let said = zone_reply.said()?;
    let is_authority = zone_reply.is_from_authority(&said);
    // Only where they were asked for: NS records beside other answers are how forgers take over zones (CVE-2025-11411).
    let asks_for_them = question.query_type() == RecordType::NS && question.name() == zone;
    let own = (reply.metadata.authoritative && asks_for_them).then(|| ns_set(zone, reply, zone)).flatten();
    Ok(Reading { said, is_authority, own })
}

fn error(code: ResponseCode, reply: &Message) -> Objection {
    let failure = match code {
        ResponseCode::ServFail => NoUse::ServerFailure,
        ResponseCode::Refused => NoUse::Refused,
        _ => NoUse::OtherError,
    };
    Objection::new(failure, format!("it answers {}{}", words::rcode(code), explanation(reply)))
}

/// A reply without an error code, as far as its server has a say.
struct ZoneReply<'a> {
    question: &'a Query,
    reply: &'a Message,
    zone: &'a Name,
}

impl ZoneReply<'_> {
    fn said(&self) -> Result<Said, Objection> {
        let mut links = chain(self.question, self.reply, self.zone);
        if let Some(referral) = self.referral_in_answer(&links) {
            return Ok(referral);
        }
        if links.is_empty() {
            return self.no_answer();
        }
        if self.reply.metadata.response_code == ResponseCode::YXDomain {
            return Ok(Said::Links(too_long(links)));
        }
        if self.is_no_such_name() && matches!(links.last(), Some((_, Link::Data(_)))) {
            return Err(Objection::new(NoUse::Other, "it says that there is no such name, and sends records of it"));
        }
        // What the reply denies is the last name of the chain (RFC 6604 §2.1), where that is the zone's.
        if let Some((_, Link::Alias(_, target))) = links.last() {
            let end = Query::query(target.clone(), self.question.query_type());
            let soa = self.soa(target);
            if self.zone.zone_of(target) && (self.is_no_such_name() || soa.is_some()) {
                links.push((end, Link::No(self.reply.metadata.response_code, soa)));
            }
        }
        Ok(Said::Links(links))
    }

    /// Old servers put the NS records of a delegation into the answer section.
    fn referral_in_answer(&self, links: &[(Query, Link)]) -> Option<Said> {
        let [(asked, Link::Data(_))] = links else { return None };
        let is_below = self.zone != asked.name();
        if asked.query_type() != RecordType::NS || self.reply.metadata.authoritative || !is_below {
            return None;
        }
        Some(Said::Referral(asked.name().clone(), ns_set(asked.name(), self.reply, self.zone)?))
    }

    /// No record answers the question: a "no", a referral, or nothing that can be used.
    fn no_answer(&self) -> Result<Said, Objection> {
        let name = self.question.name();
        let soa = self.soa(name);
        let authoritative = self.reply.metadata.authoritative;
        let no = |soa| Said::Links(vec![(self.question.clone(), Link::No(self.reply.metadata.response_code, soa))]);
        if soa.is_some() || (self.is_no_such_name() && authoritative) {
            return Ok(no(soa));
        }
        if !self.reply.answers.is_empty() {
            // Records of the name, but none that was asked for: there is no such type (RFC 2308 §2.2).
            return if self.knows_the_name() { Ok(no(None)) } else { Err(self.beside_the_question()) };
        }
        let Some(owner) = self.owner_of_ns() else {
            let about = place(self.zone);
            return match authoritative {
                true => Ok(no(None)),
                false => Err(Objection::lame(format!("lame: its answer is not authoritative for {about}"))),
            };
        };
        self.referral(owner).unwrap_or_else(|| Ok(no(None)))
    }

    /// Whose NS records the authority section has: of several owners the one that leads furthest towards the name asked.
    fn owner_of_ns(&self) -> Option<&Name> {
        let ns = self.reply.authorities.iter().filter(|record| record.record_type() == RecordType::NS);
        let mut owners = ns.map(|record| &record.name);
        let above = owners.clone().filter(|owner| owner.zone_of(self.question.name()));
        above.max_by_key(|owner| labels(owner)).or_else(|| owners.next())
    }

    /// What NS records of this zone in the authority section are. None: those of the zone itself, from its authority.
    fn referral(&self, to: &Name) -> Option<Result<Said, Objection>> {
        let (zone, name) = (self.zone, self.question.name());
        if !to.zone_of(name) {
            let why = format!("lame: it refers to {}, which is not above the name asked", place(to));
            return Some(Err(Objection::lame(why)));
        }
        if to == zone {
            // A resolver that was listed as the zone's server may know no more than that there is nothing.
            if self.reply.metadata.recursion_available {
                return None;
            }
            // The very zone that it is asked for, again: who follows that comes back here, and goes round in a circle.
            let why = format!("it refers to {} again, for which it is asked already", place(to));
            let objection = Objection::new(NoUse::LeadsBack, why);
            return (!self.reply.metadata.authoritative).then_some(Err(objection));
        }
        if to == name && self.question.query_type() == RecordType::DS {
            return Some(Ok(self.delegation_signer()));
        }
        if to.zone_of(zone) {
            let why = format!("lame: it refers back to {} instead of answering for {}", place(to), place(zone));
            return Some(Err(Objection::lame(why)));
        }
        // Some servers set AA in a referral; it is one all the same.
        Some(ns_set(to, self.reply, zone).map(|set| Said::Referral(to.clone(), set)).ok_or_else(|| self.nothing()))
    }

    /// DS records are the parent's; where it refers to the zone instead of answering, they come with the referral, and if
    /// they do not, there are none (RFC 4035 §3.1.4).
    fn delegation_signer(&self) -> Said {
        let here: Vec<Record> = self.reply.authorities.iter().map(with_sane_ttl).collect();
        let link = Link::of(self.question, &here).unwrap_or(Link::No(ResponseCode::NoError, None));
        Said::Links(vec![(self.question.clone(), link)])
    }

    fn knows_the_name(&self) -> bool {
        let name = self.question.name();
        !self.is_no_such_name() && self.zone.zone_of(name) && self.reply.answers.iter().any(|r| r.name == *name)
    }

    fn beside_the_question(&self) -> Objection {
        if self.reply.answers.iter().any(|record| self.zone.zone_of(&record.name)) {
            return Objection::new(NoUse::Other, "its answer is about something else than the question");
        }
        self.nothing()
    }

    fn nothing(&self) -> Objection {
        let why = format!("what it sent are only records from outside {}, which are not believed", place(self.zone));
        Objection::new(NoUse::Other, why)
    }

    fn is_no_such_name(&self) -> bool {
        self.reply.metadata.response_code == ResponseCode::NXDomain
    }

    /// The SOA record of a "no" about this name.
    fn soa(&self, name: &Name) -> Option<Record<SOA>> {
        self.reply.authorities.iter().find_map(|record| match &record.data {
            RData::SOA(soa) if self.zone.zone_of(&record.name) && record.name.zone_of(name) => {
                Some(Record::from_rdata(record.name.clone(), record.ttl, soa.clone()))
            }
            _ => None,
        })
    }

    /// Whether this is the word of an authority. A referral needs none. A "no" with the zone's SOA record is believed by
    /// every resolver, unless its server answers from a cache (RA); without anything in it, other servers are asked first.
    fn is_from_authority(&self, said: &Said) -> bool {
        let Said::Links(links) = said else { return true };
        let is_for_ds = self.question.query_type() == RecordType::DS && self.has_ns_of(self.question.name());
        match links.first() {
            Some((_, Link::No(_, Some(_)))) => {
                self.reply.metadata.authoritative || !self.reply.metadata.recursion_available
            }
            Some((_, Link::No(ResponseCode::NoError, None))) if !is_for_ds => false,
            _ => self.reply.metadata.authoritative || is_for_ds,
        }
    }

    fn has_ns_of(&self, name: &Name) -> bool {
        self.reply.authorities.iter().any(|record| record.record_type() == RecordType::NS && record.name == *name)
    }
}

/// The server found that the last name of the chain becomes too long (YXDOMAIN): its word counts, not our own sum.
fn too_long(mut links: Vec<(Query, Link)>) -> Vec<(Query, Link)> {
    if let Some((_, link)) = links.iter_mut().find(|(_, link)| link.is_by_dname()) {
        let dname = link.records().iter().filter(|record| record.record_type() == RecordType::DNAME);
        *link = Link::TooLong(dname.cloned().collect());
    }
    links
}

/// What the answer section says of the name asked and of those that it is an alias of. It ends where the zone does.
fn chain(question: &Query, reply: &Message, zone: &Name) -> Vec<(Query, Link)> {
    let records: Vec<Record> =
        reply.answers.iter().filter(|record| zone.zone_of(&record.name)).map(with_sane_ttl).collect();
    let mut links: Vec<(Query, Link)> = Vec::new();
    let mut asked = question.clone();
    while links.len() <= MAX_ALIASES && zone.zone_of(asked.name()) && !links.iter().any(|(known, _)| *known == asked) {
        let Some(link) = Link::of(&asked, &records) else { break };
        let next = match &link {
            Link::Alias(_, target) => Some(Query::query(target.clone(), question.query_type())),
            _ => None,
        };
        links.push((asked, link));
        match next {
            Some(next) => asked = next,
            None => break,
        }
    }
    links
}

fn with_sane_ttl(record: &Record) -> Record {
    let mut record = record.clone();
    record.ttl = record.ttl.min(LONGEST_TTL);
    record
}

/// The NS records of `owner`, and the addresses of these servers that a server of `zone` has a say in.
fn ns_set(owner: &Name, reply: &Message, zone: &Name) -> Option<NsSet> {
    let records = reply.authorities.iter().chain(&reply.answers).filter(|record| record.name == *owner);
    let mut set = NsSet { ttl: LONGEST_TTL, servers: Vec::new() };
    for record in records {
        let RData::NS(target) = &record.data else { continue };
        set.ttl = set.ttl.min(record.ttl);
        let is_new = set.servers.iter().all(|server| server.name != target.0);
        if is_new && set.servers.len() < MAX_NAMES {
            set.servers.push(NameServer { name: target.0.clone(), glue: glue(&target.0, reply, zone) });
        }
    }
    (!set.servers.is_empty()).then_some(set)
}

fn glue(name: &Name, reply: &Message, zone: &Name) -> Vec<(IpAddr, u32)> {
    if !zone.zone_of(name) {
        return Vec::new();
    }
    let of_it = reply.additionals.iter().chain(&reply.answers).filter(|record| record.name == *name);
    let addresses = of_it.filter_map(|record| Some((address(record)?, record.ttl.min(LONGEST_TTL))));
    addresses.take(MAX_ADDRESSES).collect()
}

/// The address that a record holds.
pub(crate) fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(ip) => Some(ip.0.into()),
        RData::AAAA(ip) => Some(ip.0.into()),
        _ => None,
    }
}

/// The server's own words (RFC 8914), if it gave any.
fn explanation(reply: &Message) -> String {
    let errors = reply.edns.as_ref().map(options::ede_of).unwrap_or_default();
    let told = errors.iter().map(|error| {
        let text: String = error.text.chars().filter(|c| !c.is_control()).take(120).collect();
        let colon = if text.is_empty() { "" } else { ": " };
        format!("{}{colon}{text}", error.name)
    });
    let told: Vec<String> = told.take(2).collect();
    if told.is_empty() { String::new() } else { format!(" ({})", told.join("; ")) }
}

fn place(zone: &Name) -> String {
    if zone.is_root() { "the root".to_owned() } else { bare(zone) }
}

#[cfg(test)]
mod tests;
