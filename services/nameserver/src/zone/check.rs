//! What must be true of a zone before it is served.

use std::{
    cell::OnceCell,
    collections::{HashMap, HashSet},
};

use hickory_proto::{
    rr::{Name, RData, Record, RecordType, rdata::NULL},
    serialize::binary::{BinEncodable, BinEncoder},
};

use crate::{
    key::{self, Key},
    master::{Line, Located},
    problem::Problem,
};

/// A header, the longest question, and an OPT record with the server's name (RFC 5001).
const HEAD: usize = 12 + 259 + 11 + 4 + 63;
/// A message's limit, less an OPT record and what a question has beyond a record without data.
const ROOM: usize = 65_535 - 11 - 4 - 63 - 6;

/// All that is wrong with these lines as the zone `origin`, in their order.
pub(super) fn problems(origin: &Name, lines: &[Line]) -> Vec<Located> {
    let sheet = Sheet::new(origin, lines);
    let mut problems: Vec<(usize, Located)> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let problem = sheet.line(at, line).map(|problem| Located { place: Some(line.place.clone()), problem });
        problems.extend(problem.map(|located| (at, located)));
    }
    let lacks = |rtype| !sheet.has(&sheet.top, rtype);
    let mut missing = |problem| problems.push((usize::MAX, Located { place: None, problem }));
    if lacks(RecordType::SOA) {
        missing(Problem::NoSoa(origin.clone()));
    }
    if lacks(RecordType::NS) {
        missing(Problem::NoNs(origin.clone()));
    }
    problems.extend(sheet.large());
    problems.sort_by_key(|(at, _)| *at);
    problems.into_iter().map(|(_, located)| located).collect()
}

/// The zone's lines by owner and type, each with its place in the order of reading.
struct Sheet<'l> {
    origin: &'l Name,
    top: Vec<u8>,
    owners: HashMap<Vec<u8>, HashMap<RecordType, Set<'l>>>,
    /// All names that exist, empty non-terminals among them; made where an address is missing.
    existing: OnceCell<HashSet<Vec<u8>>>,
}

/// The records of one owner and type, by their place in the order of reading.
type Set<'l> = Vec<(usize, &'l Line)>;

impl<'l> Sheet<'l> {
    fn new(origin: &'l Name, lines: &'l [Line]) -> Self {
        let mut owners: HashMap<Vec<u8>, HashMap<RecordType, Set<'l>>> = HashMap::new();
        for (at, line) in lines.iter().enumerate() {
            let key = Key::of(&line.record.name);
            let sets = match owners.get_mut(key.as_bytes()) {
                Some(sets) => sets,
                None => owners.entry(key.as_bytes().to_vec()).or_default(),
            };
            sets.entry(line.record.record_type()).or_default().push((at, line));
        }
        Self { origin, top: Key::of(origin).as_bytes().to_vec(), owners, existing: OnceCell::new() }
    }

    /// What is wrong with this line; the first thing found, as others often follow from it.
    fn line(&self, at: usize, line: &Line) -> Option<Problem> {
        let Line { record, .. } = line;
        let name = || record.name.clone();
        let key = Key::of(&record.name);
        let key = key.as_bytes();
        if !key::is_within(key, &self.top) {
            return Some(Problem::Outside { name: name(), origin: Box::new(self.origin.clone()) });
        }
        let at_top = key == self.top;
        let rtype = record.record_type();
        match rtype {
            RecordType::SOA if !at_top => return Some(Problem::StraySoa(name())),
            RecordType::NS if key::is_wildcard(key) => return Some(Problem::WildcardNs(name())),
            RecordType::DS if at_top || !self.has(key, RecordType::NS) => return Some(Problem::StrayDs(name())),
            _ => {}
        }
        self.beside(key, at, line).or_else(|| self.occluded(key, record)).or_else(|| self.target(key, record))
    }

    /// What is wrong with this line beside the others of its owner.
    fn beside(&self, key: &[u8], at: usize, line: &Line) -> Option<Problem> {
        let record = &line.record;
        let (rtype, name) = (record.record_type(), || record.name.clone());
        let first = self.set(key, rtype)?.first().filter(|(first, _)| *first < at).map(|(_, line)| *line);
        let other = first.filter(|first| first.record.data != record.data);
        match rtype {
            // Reported once, at the line that is not the CNAME, or at the second CNAME.
            RecordType::CNAME => {
                return other.map(|first| Problem::BesideCname { name: name(), cname: first.place.clone() });
            }
            // What signs or denies the CNAME record stands beside it (RFC 4034 §3, §4).
            RecordType::RRSIG | RecordType::NSEC => {}
            _ => {
                if let Some(cname) = self.first(key, RecordType::CNAME) {
                    return Some(Problem::BesideCname { name: name(), cname: cname.place.clone() });
                }
            }
        }
        match rtype {
            RecordType::SOA => return first.map(|first| Problem::SecondSoa(first.place.clone())),
            RecordType::DNAME => {
                return other.map(|first| Problem::Second { name: name(), rtype, line: first.place.clone() });
            }
            // Each has the time to live of the set that it signs (RFC 4034 §3).
            RecordType::RRSIG => return None,
            _ => {}
        }
        let first = first.filter(|first| first.record.ttl != record.ttl)?;
        Some(Problem::TtlsDiffer { ttl: record.ttl, first: first.record.ttl, line: first.place.clone() })
    }

    /// Whether a delegation or a DNAME record keeps this record from ever being served.
    fn occluded(&self, key: &[u8], record: &Record) -> Option<Problem> {
        use RecordType::{A, AAAA, DNAME, DS, NS, NSEC, RRSIG};
        let rtype = record.record_type();
        let (name, mut above) = (record.name.clone(), self.within(key).skip(1));
        if let Some(dname) = above.find_map(|above| self.first(above, DNAME)) {
            let (owner, line) = (Box::new(dname.record.name.clone()), dname.place.clone());
            return Some(Problem::BelowDname { name, dname: owner, line });
        }
        let (cut, ns) = self.cut_of(key)?;
        let line = ns.place.clone();
        match rtype {
            // At the cut: the delegation, and what proves that it is none (RFC 4035 §2.2, §2.3).
            NS | DS | NSEC | RRSIG if cut == key => None,
            // An address at the cut itself: the delegated name is its own name server.
            A | AAAA => None,
            _ if cut == key => Some(Problem::AtCut { name, rtype, line }),
            _ => Some(Problem::Occluded { name, cut: Box::new(ns.record.name.clone()), line }),
        }
    }

    /// What is wrong with the host that this record names.
    fn target(&self, key: &[u8], record: &Record) -> Option<Problem> {
        let (target, _) = super::host_of(&record.data)?;
        // "." says that there is no such host (RFC 7505 for MX, RFC 2782 for SRV).
        if target.is_root() {
            return None;
        }
        let host = Key::of(target);
        let host = host.as_bytes();
        if !key::is_within(host, &self.top) {
            return None;
        }
        let rtype = record.record_type();
        if let Some(cname) = self.first(host, RecordType::CNAME) {
            return Some(Problem::Alias { target: target.clone(), line: cname.place.clone(), rtype });
        }
        if rtype != RecordType::NS {
            return None;
        }
        // The address of a server below another delegation is that zone's to tell; ours to tell is glue for this one.
        let ours = self.cut_of(host).is_none_or(|(cut, _)| cut == key);
        let lacks = ours && !self.addressed(host);
        lacks.then(|| Problem::NoAddress { ns: target.clone(), owner: Box::new(record.name.clone()) })
    }

    /// Whether the name has an address, itself or by a wildcard.
    fn addressed(&self, key: &[u8]) -> bool {
        let has = |key: &[u8]| self.has(key, RecordType::A) || self.has(key, RecordType::AAAA);
        if has(key) || self.exists(key) {
            return has(key);
        }
        let encloser = key::upwards(key).find(|above| self.exists(above));
        encloser.is_some_and(|encloser| has(&[b"\x01*", encloser].concat()))
    }

    /// Whether the name exists, be it as an empty non-terminal.
    fn exists(&self, key: &[u8]) -> bool {
        let all = || self.owners.keys().flat_map(|owner| key::upwards(owner)).map(<[u8]>::to_vec).collect();
        self.existing.get_or_init(all).contains(key)
    }

    /// The topmost delegation at or above this name, and its first line.
    fn cut_of<'k>(&self, key: &'k [u8]) -> Option<(&'k [u8], &'l Line)> {
        let inside = self.within(key).take_while(|above| *above != self.top);
        inside.filter_map(|above| Some((above, self.first(above, RecordType::NS)?))).last()
    }

    /// This name and those above it in the zone.
    fn within<'k>(&self, key: &'k [u8]) -> impl Iterator<Item = &'k [u8]> {
        let least = self.top.len();
        key::upwards(key).take_while(move |above| above.len() >= least)
    }

    fn set(&self, key: &[u8], rtype: RecordType) -> Option<&Set<'l>> {
        self.owners.get(key)?.get(&rtype)
    }

    fn first(&self, key: &[u8], rtype: RecordType) -> Option<&'l Line> {
        self.set(key, rtype)?.first().map(|(_, line)| *line)
    }

    fn has(&self, key: &[u8], rtype: RecordType) -> bool {
        self.set(key, rtype).is_some()
    }

    /// Sets that no message can hold, at their first line.
    fn large(&self) -> Vec<(usize, Located)> {
        let sets = self.owners.values().flat_map(HashMap::iter);
        let large = sets.filter_map(|(&rtype, set)| {
            let &(at, line) = set.first()?;
            // What fits without compression fits with it, and most sets do.
            let bytes = set.iter().map(|(_, line)| line.record.to_bytes().map_or(usize::MAX, |bytes| bytes.len()));
            if bytes.fold(HEAD, usize::saturating_add) <= ROOM || fits(set) {
                return None;
            }
            let problem = Problem::TooLarge { name: line.record.name.clone(), rtype };
            Some((at, Located { place: Some(line.place.clone()), problem }))
        });
        large.collect()
    }
}

/// Whether an answer holds a set: each record once, names compressed (RFC 1035 §4.1.4).
fn fits(set: &Set<'_>) -> bool {
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_max_size(ROOM as u16);
    let mut seen = HashSet::new();
    let mut emit = |line: &Line| line.record.emit(&mut encoder).is_ok();
    let Some((_, first)) = set.first() else { return true };
    // In place of header and question: another record's owner stands before the set's.
    let question = Record::from_rdata(first.record.name.clone(), 0, RData::NULL(NULL::new()));
    emit(&Line { place: first.place.clone(), record: question })
        && set.iter().filter(|(_, line)| seen.insert(&line.record.data)).all(|(_, line)| emit(line))
}
