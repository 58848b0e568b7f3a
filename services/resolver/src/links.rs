//! What is known of one name and type, and the cache of it.
//!
//! The cache is hickory's `ResponseCache`. It is told what time it is, so it goes by our clock, and it caps times to live.
//! Each alias and each record set is kept on its own and ends with its own TTL; whole answers, with their age, are in
//! `cache`.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use hickory_net::{DnsError, NetError, NoRecords};
use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::SOA},
    serialize::binary::{BinDecodable, BinDecoder},
};
use hickory_resolver::{ResponseCache, TtlConfig, config::ResolverOpts};

use crate::{
    limits::{LONGEST_NO, LONGEST_TTL},
    minimise::labels,
};

/// In longer record sets, doubles are not looked for: a message has room for thousands of records, and comparing each with
/// each would be work that a server can ask for.
const MAX_COMPARED: usize = 256;

/// What there is at one name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Link {
    /// Records of the type asked for.
    Data(Vec<Record>),
    /// The name is another's alias: a CNAME record, before it the DNAME record that it was made from.
    Alias(Vec<Record>, Name),
    /// Nothing: no such name, or no such type. The SOA record says how long that holds.
    No(ResponseCode, Option<Record<SOA>>),
    /// A DNAME record would make the name longer than names can be (YXDOMAIN, RFC 6672 §2.2).
    TooLong(Vec<Record>),
}

impl Link {
    /// What these records say of a question; those of other names are ignored.
    pub(crate) fn of(question: &Query, records: &[Record]) -> Option<Self> {
        let (name, rtype) = (question.name(), question.query_type());
        let mut of_name = records.iter().filter(|record| record.name == *name);
        // Nothing stands beside a CNAME record (RFC 2181 §10.1). Where something does, the first record counts.
        let first = of_name.find(|record| [rtype, RecordType::CNAME].contains(&record.record_type()));
        if first.is_some_and(|first| first.record_type() == rtype) {
            let set = records.iter().filter(|record| record.name == *name && record.record_type() == rtype);
            return Some(Self::Data(same_ttl(set.cloned().collect())));
        }
        if let Some(dname) = closest_dname(name, records) {
            return Some(Self::below(question, dname));
        }
        match (first, first.map(|record| &record.data)) {
            (Some(record), Some(RData::CNAME(target))) => Some(Self::Alias(vec![record.clone()], target.0.clone())),
            _ => None,
        }
    }

    /// What a DNAME record makes of a name below it (RFC 6672 §2.2, §3.1). The CNAME record is made here even where the
    /// server sent one: that one may say something else.
    fn below(question: &Query, dname: &Record) -> Self {
        let Some(target) = target_of(dname).and_then(|to| substituted(question.name(), &dname.name, &to)) else {
            return Self::TooLong(vec![dname.clone()]);
        };
        let alias = hickory_proto::rr::rdata::CNAME(target.clone());
        let alias = Record::from_rdata(question.name().clone(), dname.ttl, RData::CNAME(alias));
        Self::Alias(vec![dname.clone(), alias], target)
    }

    /// Its records.
    pub(crate) fn records(&self) -> &[Record] {
        match self {
            Self::Data(records) | Self::Alias(records, _) | Self::TooLong(records) => records,
            Self::No(..) => &[],
        }
    }

    /// Whether it says that the name does not exist.
    pub(crate) fn is_no_such_name(&self) -> bool {
        matches!(self, Self::No(ResponseCode::NXDomain, _))
    }

    /// Whether the names below this one are moved elsewhere.
    pub(crate) fn is_by_dname(&self) -> bool {
        self.records().iter().any(|record| record.record_type() == RecordType::DNAME)
    }
}

/// Records of one set have one TTL, the lowest (RFC 2181 §5.2), and each is there once.
fn same_ttl(mut records: Vec<Record>) -> Vec<Record> {
    let lowest = records.iter().map(|record| record.ttl).min().unwrap_or_default();
    let is_short = records.len() <= MAX_COMPARED;
    let mut kept: Vec<Record> = Vec::with_capacity(records.len());
    for mut record in records.drain(..) {
        record.ttl = lowest;
        if !is_short || !kept.iter().any(|other| other.data == record.data) {
            kept.push(record);
        }
    }
    kept
}

/// The DNAME record strictly above this name that is closest to it.
fn closest_dname<'r>(name: &Name, records: &'r [Record]) -> Option<&'r Record> {
    let above = records.iter().filter(|record| {
        record.record_type() == RecordType::DNAME && record.name != *name && record.name.zone_of(name)
    });
    above.max_by_key(|record| labels(&record.name))
}

/// hickory has no type for DNAME: its data is a name without compression (RFC 6672 §2.5).
fn target_of(dname: &Record) -> Option<Name> {
    let RData::Unknown { rdata, .. } = &dname.data else { return None };
    Name::read(&mut BinDecoder::new(&rdata.anything)).ok()
}

fn substituted(name: &Name, owner: &Name, target: &Name) -> Option<Name> {
    let prefix = labels(name).checked_sub(labels(owner))?;
    Name::from_labels(name.iter().take(prefix).chain(target.iter())).ok()
}

/// What was learned, by name and type.
pub(crate) struct Links {
    cache: ResponseCache,
    limits: TtlConfig,
    /// Whether a DNAME record was ever kept; they are rare, and looked for at every name above.
    has_dnames: AtomicBool,
}

impl Links {
    pub(crate) fn new(bound: usize) -> Self {
        let mut options = ResolverOpts::default();
        options.positive_max_ttl = Some(Duration::from_secs(LONGEST_TTL.into()));
        options.negative_max_ttl = Some(Duration::from_secs(LONGEST_NO.into()));
        let limits = TtlConfig::from_opts(&options);
        let cache = ResponseCache::new(bound as u64, limits.clone());
        Self { cache, limits, has_dnames: AtomicBool::new(false) }
    }

    /// The same, with times to live that are kept.
    pub(crate) fn capped(&self, mut link: Link) -> Link {
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        match &mut link {
            Link::Data(records) | Link::Alias(records, _) | Link::TooLong(records) => {
                for record in records {
                    let bounds = self.limits.positive_response_ttl_bounds(record.record_type());
                    record.ttl = record.ttl.min(seconds(*bounds.end()));
                }
            }
            Link::No(_, Some(soa)) => {
                let bounds = self.limits.negative_response_ttl_bounds(RecordType::SOA);
                // RFC 2308 §5: the smaller of the two is how long a "no" lives. Servers should send it so; some do not.
                soa.ttl = soa.ttl.min(soa.data.minimum).min(seconds(*bounds.end()));
            }
            Link::No(_, None) => {}
        }
        link
    }

    /// Keeps what is known of a question for as long as it says.
    pub(crate) fn keep(&self, question: &Query, link: &Link, now: Instant) {
        match link {
            Link::Data(records) | Link::Alias(records, _) => {
                let mut message = Message::query().into_response();
                message.answers.clone_from(records);
                if records.iter().any(|record| record.ttl == 0) {
                    return;
                }
                self.keep_dname(link, now);
                let is_cname = matches!(link, Link::Alias(..)) && !link.is_by_dname();
                let key = if is_cname { alias_of(question) } else { question.clone() };
                self.cache.insert(key, Ok(message), now);
            }
            Link::No(rcode, Some(soa)) if soa.ttl > 0 => {
                let key = if *rcode == ResponseCode::NXDomain { whole(question) } else { question.clone() };
                let mut no = NoRecords::new(question.clone(), *rcode);
                no.negative_ttl = Some(soa.ttl);
                no.soa = Some(Box::new(soa.clone()));
                self.cache.insert(key, Err(NetError::Dns(DnsError::NoRecordsFound(no))), now);
            }
            // A "no" without SOA does not say how long it lives, and is not kept (RFC 2308 §5).
            Link::No(..) | Link::TooLong(_) => {}
        }
    }

    /// What is known of a question.
    pub(crate) fn find(&self, question: &Query, now: Instant) -> Option<Link> {
        let keys = [whole, alias_of];
        let found = self.cache.get(question, now);
        let found = found.or_else(|| keys.iter().find_map(|key| self.cache.get(&key(question), now)));
        let found = found.or_else(|| self.dname_above(question, now))?;
        let is_over = |ttl: u32| ttl == 0;
        match found {
            Ok(message) => {
                let link = Link::of(question, &message.answers)?;
                (!link.records().iter().any(|record| is_over(record.ttl))).then_some(link)
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(no))) => {
                let soa = no.soa.map(|soa| *soa).filter(|soa| !is_over(soa.ttl))?;
                Some(Link::No(no.response_code, Some(soa)))
            }
            Err(_) => None,
        }
    }
}

impl Links {
    /// A DNAME record holds for all names below its own (RFC 6672 §2.3).
    fn keep_dname(&self, link: &Link, now: Instant) {
        let dname = link.records().iter().find(|record| record.record_type() == RecordType::DNAME);
        if let (Link::Alias(..), Some(dname)) = (link, dname) {
            let mut message = Message::query().into_response();
            message.answers.push(dname.clone());
            self.cache.insert(Query::query(dname.name.clone(), RecordType::DNAME), Ok(message), now);
            self.has_dnames.store(true, Ordering::Relaxed);
        }
    }

    fn dname_above(&self, question: &Query, now: Instant) -> Option<Result<Message, NetError>> {
        if !self.has_dnames.load(Ordering::Relaxed) {
            return None;
        }
        let name = question.name();
        let above = (1..labels(name)).rev().map(|count| Query::query(name.trim_to(count), RecordType::DNAME));
        above.into_iter().find_map(|owner| self.cache.get(&owner, now).filter(Result::is_ok))
    }
}

/// The key of what holds for all types of a name: that it does not exist (RFC 2308 §5).
fn whole(question: &Query) -> Query {
    Query::query(question.name().clone(), RecordType::ANY)
}

/// The key of what holds for all types but this one: that it is an alias.
fn alias_of(question: &Query) -> Query {
    Query::query(question.name().clone(), RecordType::CNAME)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, CNAME, NULL};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn a(owner: &str, ttl: u32, last: u8) -> Record {
        Record::from_rdata(name(owner), ttl, RData::A(A::new(10, 0, 0, last)))
    }

    fn cname(owner: &str, target: &str, ttl: u32) -> Record {
        Record::from_rdata(name(owner), ttl, RData::CNAME(CNAME(name(target))))
    }

    fn dname(owner: &str, target: &str, ttl: u32) -> Record {
        let mut bytes = Vec::new();
        for label in name(target).iter() {
            bytes.push(u8::try_from(label.len()).unwrap());
            bytes.extend_from_slice(label);
        }
        bytes.push(0);
        Record::from_rdata(name(owner), ttl, RData::Unknown { code: RecordType::DNAME, rdata: NULL::with(bytes) })
    }

    fn soa(ttl: u32, minimum: u32) -> Record<SOA> {
        Record::from_rdata(name("test."), ttl, SOA::new(name("ns.test."), name("h.test."), 1, 2, 3, 4, minimum))
    }

    fn question(owner: &str, rtype: RecordType) -> Query {
        Query::query(name(owner), rtype)
    }

    #[test]
    fn what_records_say_of_a_name() {
        let of = |owner: &str, records: &[Record]| Link::of(&question(owner, RecordType::A), records);
        let data = [a("x.test.", 9, 1), a("x.test.", 5, 2), a("X.test.", 7, 1), a("y.test.", 1, 3)];
        assert_eq!(of("x.test.", &data), Some(Link::Data(vec![a("x.test.", 5, 1), a("x.test.", 5, 2)])));
        assert_eq!(of("z.test.", &data), None);
        let alias = cname("x.test.", "y.test.", 5);
        let expected = Link::Alias(vec![alias.clone()], name("y.test."));
        assert_eq!(of("x.test.", std::slice::from_ref(&alias)), Some(expected));
        let whole = Link::of(&question("x.test.", RecordType::CNAME), std::slice::from_ref(&alias));
        assert_eq!(whole, Some(Link::Data(vec![alias.clone()])));
        let both = [alias.clone(), a("x.test.", 9, 1)];
        assert_eq!(of("x.test.", &both), Some(Link::Alias(vec![alias.clone()], name("y.test."))));
        assert_eq!(of("x.test.", &[a("x.test.", 9, 1), alias]), Some(Link::Data(vec![a("x.test.", 9, 1)])));
    }

    #[test]
    fn a_dname_record_makes_the_alias() {
        let moved = dname("old.test.", "new.example.", 60);
        let lie = cname("a.b.old.test.", "elsewhere.test.", 5);
        let made = cname("a.b.old.test.", "a.b.new.example.", 60);
        let found = Link::of(&question("a.b.old.test.", RecordType::A), &[lie, moved.clone()]);
        assert_eq!(found, Some(Link::Alias(vec![moved.clone(), made], name("a.b.new.example."))));
        // The owner itself is not moved (RFC 6672 §2.3).
        assert_eq!(Link::of(&question("old.test.", RecordType::A), std::slice::from_ref(&moved)), None);
        let long = format!("{}.{}.{}.x.", "a".repeat(63), "b".repeat(63), "c".repeat(63));
        let moved = dname("old.test.", &long, 60);
        let below = question(&format!("{}.old.test.", "d".repeat(63)), RecordType::A);
        assert_eq!(Link::of(&below, std::slice::from_ref(&moved)), Some(Link::TooLong(vec![moved])));
    }

    #[test]
    fn each_is_kept_for_its_own_time() {
        let links = Links::new(64);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (x, y, no) = ("x.test.", "y.test.", "no.test.");
        let keep = |owner: &str, rtype, link: Link| {
            let question = question(owner, rtype);
            links.keep(&question, &links.capped(link), start);
        };
        let find = |owner: &str, rtype, seconds| links.find(&question(owner, rtype), at(seconds));
        keep(x, RecordType::A, Link::Alias(vec![cname(x, y, 300)], name(y)));
        keep(y, RecordType::A, Link::Data(vec![a(y, 60, 1)]));
        keep(no, RecordType::A, Link::No(ResponseCode::NXDomain, Some(soa(600, 90))));
        keep(y, RecordType::MX, Link::No(ResponseCode::NoError, Some(soa(600, 90))));
        assert_eq!(find(y, RecordType::A, 59), Some(Link::Data(vec![a(y, 1, 1)])));
        assert_eq!(find(y, RecordType::A, 60), None);
        assert_eq!(find(x, RecordType::A, 60), Some(Link::Alias(vec![cname(x, y, 240)], name(y))));
        assert!(
            find(x, RecordType::TXT, 60).is_some_and(|link| matches!(link, Link::Alias(..))),
            "for other types too"
        );
        // "No such name" holds for all types, "no such type" for one.
        assert!(find(no, RecordType::AAAA, 89).is_some_and(|link| link.is_no_such_name()));
        assert_eq!(find(no, RecordType::AAAA, 90), None);
        assert!(find(y, RecordType::MX, 1).is_some() && find(y, RecordType::TXT, 1).is_none());
    }

    #[test]
    fn a_dname_record_holds_for_other_names_below_it() {
        let (links, now) = (Links::new(64), Instant::now());
        let moved = dname("old.test.", "new.example.", 60);
        let first = question("a.old.test.", RecordType::A);
        links.keep(&first, &Link::of(&first, std::slice::from_ref(&moved)).unwrap(), now);
        let find = |seconds| links.find(&question("b.old.test.", RecordType::MX), now + Duration::from_secs(seconds));
        assert!(matches!(find(59), Some(Link::Alias(_, target)) if target == name("b.new.example.")));
        assert_eq!(find(60), None);
    }

    #[test]
    fn times_to_live_are_capped() {
        let links = Links::new(8);
        let Link::Data(records) = links.capped(Link::Data(vec![a("x.test.", u32::MAX, 1)])) else { panic!() };
        assert_eq!(records[0].ttl, LONGEST_TTL);
        let Link::No(_, Some(soa)) = links.capped(Link::No(ResponseCode::NXDomain, Some(soa(1 << 30, 1 << 30)))) else {
            panic!()
        };
        assert_eq!(soa.ttl, LONGEST_NO);
    }
}
