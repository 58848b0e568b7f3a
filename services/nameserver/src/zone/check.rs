//! What must be true of a zone before it is served.

use std::collections::HashMap;

use hickory_proto::{
    rr::{Name, Record, RecordType},
    serialize::binary::BinEncodable,
};

use crate::{
    key::{self, Key},
    master::{Line, Located},
    problem::Problem,
};

/// A message's limit, less a header, the longest question, and an OPT record with room for options.
const ROOM: usize = 65_535 - 12 - 260 - 1024;

/// All that is wrong with these lines as the zone `origin`, by line.
pub(super) fn problems(origin: &Name, lines: &[Line]) -> Vec<Located> {
    let sheet = Sheet::new(origin, lines);
    let mut problems: Vec<Located> = lines
        .iter()
        .filter_map(|line| sheet.line(line).map(|problem| Located { line: Some(line.number), problem }))
        .collect();
    let lacks = |rtype| !sheet.has(&sheet.top, rtype);
    if lacks(RecordType::SOA) {
        problems.push(Located { line: None, problem: Problem::NoSoa(origin.clone()) });
    }
    if lacks(RecordType::NS) {
        problems.push(Located { line: None, problem: Problem::NoNs(origin.clone()) });
    }
    problems.extend(sheet.large());
    problems.sort_by_key(|located| located.line.unwrap_or(usize::MAX));
    problems
}

/// The zone's lines by owner.
struct Sheet<'l> {
    origin: &'l Name,
    top: Vec<u8>,
    owners: HashMap<Vec<u8>, Vec<&'l Line>>,
}

impl<'l> Sheet<'l> {
    fn new(origin: &'l Name, lines: &'l [Line]) -> Self {
        let mut owners: HashMap<_, Vec<_>> = HashMap::new();
        for line in lines {
            owners.entry(Key::of(&line.record.name).as_bytes().to_vec()).or_default().push(line);
        }
        Self { origin, top: Key::of(origin).as_bytes().to_vec(), owners }
    }

    /// What is wrong with this line; the first thing found, as others often follow from it.
    fn line(&self, line: &Line) -> Option<Problem> {
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
        self.beside(key, line).or_else(|| self.occluded(key, record)).or_else(|| self.target(key, record))
    }

    /// What is wrong with this line beside the others of its owner.
    fn beside(&self, key: &[u8], line: &Line) -> Option<Problem> {
        let Line { number, record } = line;
        let rtype = record.record_type();
        let others = || self.owners[key].iter().filter(|other| other.number != *number);
        let first = others().find(|other| other.record.record_type() == rtype && other.number < *number);
        if rtype == RecordType::CNAME {
            // Reported once, at the line that is not the CNAME, or at the second CNAME.
            let first = first.filter(|first| first.record.data != record.data)?;
            return Some(Problem::BesideCname { name: record.name.clone(), cname: first.number });
        }
        if let Some(cname) = others().find(|other| other.record.record_type() == RecordType::CNAME) {
            return Some(Problem::BesideCname { name: record.name.clone(), cname: cname.number });
        }
        if rtype == RecordType::SOA {
            return first.map(|first| Problem::SecondSoa(first.number));
        }
        let first = first.filter(|first| first.record.ttl != record.ttl)?;
        Some(Problem::TtlsDiffer { ttl: record.ttl, first: first.record.ttl, line: first.number })
    }

    /// Whether a delegation keeps this record from ever being served.
    fn occluded(&self, key: &[u8], record: &Record) -> Option<Problem> {
        let rtype = record.record_type();
        let (cut, ns) = self.cut_of(key)?;
        let (line, name) = (ns.number, record.name.clone());
        let address = matches!(rtype, RecordType::A | RecordType::AAAA);
        match rtype {
            RecordType::NS | RecordType::DS if cut == key => None,
            // An address at the cut itself: the delegated name is its own name server.
            _ if address => None,
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
            return Some(Problem::Alias { target: target.clone(), line: cname.number, rtype });
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

    /// Whether the name exists, be it as an empty non-terminal. O(zone), and asked only where an address is missing.
    fn exists(&self, key: &[u8]) -> bool {
        self.owners.keys().any(|owner| key::is_within(owner, key))
    }

    /// The topmost delegation at or above this name, and its first line.
    fn cut_of<'k>(&self, key: &'k [u8]) -> Option<(&'k [u8], &'l Line)> {
        let inside = key::upwards(key).take_while(|above| *above != self.top);
        inside.filter_map(|above| Some((above, self.first(above, RecordType::NS)?))).last()
    }

    fn first(&self, key: &[u8], rtype: RecordType) -> Option<&'l Line> {
        self.owners.get(key)?.iter().find(|line| line.record.record_type() == rtype).copied()
    }

    fn has(&self, key: &[u8], rtype: RecordType) -> bool {
        self.first(key, rtype).is_some()
    }

    /// Sets that no message can hold. A record that cannot be written at all is reported here too.
    fn large(&self) -> Vec<Located> {
        let mut sizes: HashMap<(&[u8], RecordType), (&Line, usize)> = HashMap::new();
        for (key, lines) in &self.owners {
            for &line in lines {
                let bytes = line.record.to_bytes().map_or(usize::MAX, |bytes| bytes.len());
                let (_, size) = sizes.entry((key, line.record.record_type())).or_insert((line, 0));
                *size = size.saturating_add(bytes);
            }
        }
        let large = sizes.into_iter().filter(|(_, (_, bytes))| *bytes > ROOM);
        large
            .map(|((_, rtype), (line, bytes))| Located {
                line: Some(line.number),
                problem: Problem::TooLarge { name: line.record.name.clone(), rtype, bytes },
            })
            .collect()
    }
}
