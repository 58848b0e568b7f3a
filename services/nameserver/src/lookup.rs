//! From a question to an answer (RFC 1034 §4.3.2). Pure: no I/O, no clock.

use std::{borrow::Cow, slice};

use hickory_proto::{
    op::ResponseCode,
    rr::{DNSClass, Name, RData, Record, RecordType, rdata::CNAME},
};

use crate::{
    key::{self, Key},
    zone::{Found, Node, RecordSet, Records, Zone},
    zones::Zones,
};

/// CNAME records that one answer follows. Longer chains are legal and a resolver goes on with what it got; this bounds
/// the work of one query.
pub const CHAIN: usize = 16;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// The name, as the client wrote it.
    pub name: &'q Name,
    /// The type.
    pub rtype: RecordType,
    /// The class.
    pub class: DNSClass,
}

/// An answer.
#[derive(Debug)]
pub struct Lookup<'z> {
    /// The response code.
    pub rcode: ResponseCode,
    /// Whether the answer, or its first CNAME record, is this server's own data (RFC 1035 §4.1.1, AA).
    pub authoritative: bool,
    /// Why there is no answer, where the server will not give one.
    pub refusal: Option<Refusal>,
    /// The answer section.
    pub answers: Section<'z>,
    /// The authority section.
    pub authorities: Section<'z>,
    /// The additional section, without OPT.
    pub additionals: Section<'z>,
}

/// Why the server will not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// None of its zones has the name.
    NotAuthoritative,
    /// It serves the class IN alone.
    Class,
    /// It gives no zone transfers.
    Transfer,
    /// It knows the type as one that is no question, or as one it does not serve.
    Type,
}

/// The records of a section: parts of zones, and records made for this answer.
#[derive(Debug, Default)]
pub struct Section<'z> {
    // Nearly every section has one part, which then costs no allocation.
    first: Part<'z>,
    more: Vec<Part<'z>>,
}

#[derive(Debug, Default)]
enum Part<'z> {
    #[default]
    Nothing,
    Set(&'z [Record]),
    Sets(&'z [Records]),
    Made(Vec<Record>),
}

/// Answers a question from these zones.
pub fn lookup<'z>(zones: &'z Zones, question: &Question<'_>) -> Lookup<'z> {
    let mut answer = Lookup::default();
    if let Some((rcode, refusal)) = unserved(question) {
        return answer.refuse(rcode, refusal);
    }
    let mut key = Key::of(question.name);
    let mut name = Cow::Borrowed(question.name);
    let Some(mut zone) = zone_of(zones, &key, question.rtype) else {
        return answer.refuse(ResponseCode::Refused, Refusal::NotAuthoritative);
    };
    for _ in 0..=CHAIN {
        let Some((target, target_key)) = answer.step(zone, &key, &name, question.rtype) else { break };
        // A chain that comes back to a name it has been at says nothing new.
        let alias = |record: &Record| matches!(record.data, RData::CNAME(_));
        if answer.answers.iter().any(|record| alias(record) && record.name == *target) {
            break;
        }
        (name, key) = (target, target_key);
        // Where the chain leaves our zones, the client goes on.
        let Some(next) = zone_of(zones, &key, question.rtype) else { break };
        zone = next;
    }
    answer
}

/// What is not answered whatever the name is.
fn unserved(question: &Question<'_>) -> Option<(ResponseCode, Refusal)> {
    if question.class != DNSClass::IN {
        return Some((ResponseCode::Refused, Refusal::Class));
    }
    match u16::from(question.rtype) {
        // AXFR and IXFR.
        251 | 252 => Some((ResponseCode::Refused, Refusal::Transfer)),
        // Reserved, OPT and TSIG stand in other sections and cannot be asked for.
        0 | 41 | 250 => Some((ResponseCode::FormErr, Refusal::Type)),
        // Other Q- and meta types, but ANY (RFC 6895 §3.1): TKEY, MAILA, MAILB and unassigned ones.
        128..=254 => Some((ResponseCode::NotImp, Refusal::Type)),
        _ => None,
    }
}

/// The zone that answers. A DS record of a zone's top is the parent's, where this server has the parent (RFC 4035
/// §3.1.4.1); where it has not, the zone itself says that it has none.
fn zone_of<'z>(zones: &'z Zones, key: &Key, rtype: RecordType) -> Option<&'z Zone> {
    let zone = zones.of(key.as_bytes(), key.labels())?;
    if rtype != RecordType::DS || zone.key() != key.as_bytes() {
        return Some(zone);
    }
    let parent = key::parent(key.as_bytes()).and_then(|parent| zones.of(parent, key.labels() - 1));
    Some(parent.unwrap_or(zone))
}

impl Default for Lookup<'_> {
    fn default() -> Self {
        Self {
            rcode: ResponseCode::NoError,
            authoritative: false,
            refusal: None,
            answers: Section::default(),
            authorities: Section::default(),
            additionals: Section::default(),
        }
    }
}

impl<'z> Lookup<'z> {
    fn refuse(mut self, rcode: ResponseCode, refusal: Refusal) -> Self {
        self.rcode = rcode;
        self.refusal = Some(refusal);
        self
    }

    /// Answers from one zone; returns where a CNAME leads.
    fn step(&mut self, zone: &'z Zone, key: &Key, name: &Name, rtype: RecordType) -> Option<(Cow<'z, Name>, Key)> {
        let found = zone.find(key.as_bytes());
        let (Found::Exact(node) | Found::Above(node)) = found;
        if let Some(cut) = zone.cut(node) {
            let parents_own = rtype == RecordType::DS && matches!(found, Found::Exact(node) if std::ptr::eq(node, cut));
            if !parents_own {
                self.refer(cut);
                return None;
            }
        }
        self.authoritative = true;
        match found {
            Found::Exact(node) => self.take(zone, node, rtype, None),
            Found::Above(encloser) => match zone.wildcard(encloser) {
                // Nothing exists below a DNAME record, so the name nearest to such a name is the record's owner.
                _ if encloser.set(RecordType::DNAME).is_some() => self.rename(encloser, name),
                Some(wildcard) => self.take(zone, wildcard, rtype, Some(name)),
                None => {
                    self.rcode = ResponseCode::NXDomain;
                    self.deny(zone);
                    None
                }
            },
        }
    }

    /// Answers from one node; `made_for` is the owner of records made from a wildcard.
    fn take(
        &mut self,
        zone: &'z Zone,
        node: &'z Node,
        rtype: RecordType,
        made_for: Option<&Name>,
    ) -> Option<(Cow<'z, Name>, Key)> {
        let set = match rtype {
            // RFC 8482 §4.1: one set is answer enough to a question that nobody needs to ask.
            RecordType::ANY => node.sets.first(),
            _ => node.set(rtype),
        };
        let set = set.or_else(|| node.set(RecordType::CNAME));
        let Some(set) = set else {
            self.deny(zone);
            return None;
        };
        self.answer(set, made_for);
        match (&set.records[0].data, &set.target) {
            (RData::CNAME(target), Some(key)) if !matches!(rtype, RecordType::CNAME | RecordType::ANY) => {
                Some((Cow::Borrowed(&target.0), **key))
            }
            _ => {
                self.additionals.push(Part::Sets(&set.additional));
                None
            }
        }
    }

    /// A name below a DNAME record: the record, and the CNAME record that follows from it for this name, with the same
    /// time to live (RFC 6672 §3.1, §3.2). Returns where it leads.
    fn rename(&mut self, node: &'z Node, name: &Name) -> Option<(Cow<'z, Name>, Key)> {
        let set = node.set(RecordType::DNAME)?;
        let (dname, target) = (set.records.first()?, set.renamed.as_deref()?);
        if !self.answers.iter().any(|record| record == dname) {
            self.answers.push(Part::Set(&set.records));
        }
        let below = name.iter().count().saturating_sub(dname.name.iter().count());
        let prefix = Name::from_labels(name.iter().take(below)).ok()?;
        let Ok(target) = prefix.append_name(target) else {
            // The new name is longer than 255 bytes.
            self.rcode = ResponseCode::YXDomain;
            return None;
        };
        let cname = Record::from_rdata(name.clone(), dname.ttl, RData::CNAME(CNAME(target.clone())));
        self.answers.push(Part::Made(vec![cname]));
        let key = Key::of(&target);
        Some((Cow::Owned(target), key))
    }

    fn answer(&mut self, set: &'z RecordSet, made_for: Option<&Name>) {
        self.answers.push(match made_for {
            None => Part::Set(&set.records),
            Some(owner) => {
                let made = |record: &Record| Record::from_rdata(owner.clone(), record.ttl, record.data.clone());
                Part::Made(set.records.iter().map(made).collect())
            }
        });
    }

    /// A referral: who serves the zone below, and where they are. Not authoritative, unless a CNAME of ours led here.
    fn refer(&mut self, cut: &'z Node) {
        if let Some(ns) = cut.set(RecordType::NS) {
            self.authorities.push(Part::Set(&ns.records));
            self.additionals.push(Part::Sets(&ns.additional));
        }
    }

    /// "No such name" or "no such data": how long that may be kept is in the SOA record (RFC 2308 §3).
    fn deny(&mut self, zone: &'z Zone) {
        self.authorities.push(Part::Set(slice::from_ref(zone.negative())));
    }
}

impl<'z> Section<'z> {
    /// Its records in order.
    pub fn iter(&self) -> impl Iterator<Item = &Record> + Send {
        std::iter::once(&self.first).chain(&self.more).flat_map(Part::iter)
    }

    fn push(&mut self, part: Part<'z>) {
        match self.first {
            Part::Nothing => self.first = part,
            _ => self.more.push(part),
        }
    }
}

impl Part<'_> {
    fn iter(&self) -> impl Iterator<Item = &Record> + Send {
        let (set, sets): (&[Record], &[Records]) = match self {
            Self::Nothing => (&[], &[]),
            Self::Set(set) => (set, &[]),
            Self::Sets(sets) => (&[], sets),
            Self::Made(made) => (made, &[]),
        };
        set.iter().chain(sets.iter().flat_map(|set| set.iter()))
    }
}

#[cfg(test)]
mod tests;
