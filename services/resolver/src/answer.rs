//! What a client is told. Pure.

use std::net::IpAddr;

use dns::options::ede;
use hickory_proto::{
    op::ResponseCode,
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, SOA},
    },
};

use crate::limits::LONGEST_NO;

/// A failed resolution is remembered for so long, in seconds: long enough to spare servers that are down a flood of the
/// same question, short enough not to be met by a person who has just repaired them (RFC 9520 §3.2 wants 1 s to 5 min).
const FAILURE_TTL: u32 = 1;

/// What a client is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) rcode: ResponseCode,
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    /// Why it is not what the client hoped for (RFC 8914).
    pub(crate) why: Vec<Why>,
}

/// An extended DNS error (RFC 8914).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Why {
    pub(crate) code: u16,
    pub(crate) text: String,
}

impl Why {
    pub(crate) fn new(code: u16, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

impl Answer {
    pub(crate) fn positive(rcode: ResponseCode, answers: Vec<Record>) -> Self {
        Self { rcode, answers, authorities: Vec::new(), why: Vec::new() }
    }

    /// "No", and the SOA record that says for how long; `aliases` lead from the name asked to the one that has nothing.
    pub(crate) fn negative(rcode: ResponseCode, aliases: Vec<Record>, soa: Option<Record<SOA>>) -> Self {
        let authorities = soa.map(|soa| {
            // RFC 2308 §5: the smaller of the two is how long a "no" lives. Servers should send it so; some do not.
            let ttl = soa.ttl.min(soa.data.minimum).min(LONGEST_NO);
            Record::from_rdata(soa.name, ttl, RData::SOA(soa.data))
        });
        Self { rcode, answers: aliases, authorities: authorities.into_iter().collect(), why: Vec::new() }
    }

    /// No answer could be had.
    pub(crate) fn failure(why: Why) -> Self {
        Self { rcode: ResponseCode::ServFail, why: vec![why], ..Self::positive(ResponseCode::ServFail, Vec::new()) }
    }

    /// No answer is given.
    pub(crate) fn refusal(rcode: ResponseCode, why: Why) -> Self {
        Self { rcode, why: vec![why], ..Self::positive(rcode, Vec::new()) }
    }

    /// For how long it may be kept, in seconds.
    pub(crate) fn ttl(&self) -> u32 {
        match self.rcode {
            ResponseCode::NoError | ResponseCode::NXDomain => {
                let of = |records: &[Record]| records.iter().map(|record| record.ttl).min();
                let is_no = self.rcode == ResponseCode::NXDomain || !self.ends_in_data();
                match (of(&self.answers), of(&self.authorities)) {
                    (Some(answers), Some(authorities)) => answers.min(authorities),
                    (Some(answers), None) if !is_no => answers,
                    (None, Some(authorities)) => authorities,
                    // A "no" without SOA does not say how long it lives, and is not kept (RFC 2308 §5).
                    _ => 0,
                }
            }
            ResponseCode::ServFail => FAILURE_TTL,
            _ => 0,
        }
    }

    /// Counts all TTLs down.
    pub(crate) fn age(&mut self, seconds: u32) {
        for record in self.answers.iter_mut().chain(&mut self.authorities) {
            record.ttl = record.ttl.saturating_sub(seconds);
        }
    }

    /// Gives one of these addresses for those that it has, of the type asked for. Says whether there were any, and one to
    /// give.
    pub(crate) fn give_instead(&mut self, rtype: RecordType, addresses: &[IpAddr]) -> bool {
        let data = addresses.iter().find_map(|ip| match (ip, rtype) {
            (IpAddr::V4(ip), RecordType::A) => Some(RData::A(A(*ip))),
            (IpAddr::V6(ip), RecordType::AAAA) => Some(RData::AAAA(AAAA(*ip))),
            _ => None,
        });
        let first = self.answers.iter().position(|record| record.record_type() == rtype);
        let (Some(data), Some(first)) = (data, first) else { return false };
        self.answers[first].data = data;
        let mut nth = 0;
        self.answers.retain(|record| {
            nth += 1;
            nth == first + 1 || record.record_type() != rtype
        });
        true
    }

    /// Marks a failure as one that is remembered rather than met again.
    pub(crate) fn mark_cached(&mut self) {
        if self.rcode == ResponseCode::ServFail {
            self.why.push(Why::new(ede::CACHED_ERROR, ""));
        }
    }

    fn ends_in_data(&self) -> bool {
        // An alias may be all that was asked for; it then stands alone, and its own TTL is the right one.
        !self.answers.is_empty() && (self.authorities.is_empty() || !self.answers.iter().all(is_alias))
    }
}

fn is_alias(record: &Record) -> bool {
    record.record_type() == RecordType::CNAME
}

/// A name for people: without the last dot.
pub(crate) fn bare(name: &Name) -> String {
    let text = name.to_ascii();
    match text.strip_suffix('.') {
        Some("") | None => text,
        Some(bare) => bare.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::CNAME;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn alias(from: &str, to: &str, ttl: u32) -> Record {
        Record::from_rdata(name(from), ttl, RData::CNAME(CNAME(name(to))))
    }

    fn soa(ttl: u32, minimum: u32) -> Record<SOA> {
        let data = SOA::new(name("ns.test."), name("h.test."), 1, 2, 3, 4, minimum);
        Record::from_rdata(name("test."), ttl, data)
    }

    #[test]
    fn times_to_live() {
        let no = |aliases, soa| Answer::negative(ResponseCode::NXDomain, aliases, soa).ttl();
        assert_eq!(no(vec![], Some(soa(600, 60))), 60);
        assert_eq!(no(vec![], Some(soa(30, 60))), 30);
        assert_eq!(no(vec![alias("a.", "b.", 5)], Some(soa(600, 60))), 5);
        assert_eq!(no(vec![], Some(soa(1 << 30, 1 << 30))), LONGEST_NO);
        assert_eq!(no(vec![], None), 0);
        assert_eq!(no(vec![alias("a.", "b.", 5)], None), 0);
        assert_eq!(Answer::negative(ResponseCode::NoError, vec![alias("a.", "b.", 5)], Some(soa(9, 9))).ttl(), 5);
        assert_eq!(Answer::positive(ResponseCode::NoError, vec![alias("a.", "b.", 5)]).ttl(), 5);
        assert_eq!(Answer::failure(Why::new(0, "")).ttl(), 1);
        assert_eq!(Answer::refusal(ResponseCode::Refused, Why::new(0, "")).ttl(), 0);
    }

    #[test]
    fn one_address_for_all() {
        let a = |owner: &str, last| Record::from_rdata(name(owner), 60, RData::A(A::new(10, 0, 0, last)));
        let records = vec![alias("a.", "b.", 5), a("b.", 1), a("b.", 2)];
        let mut answer = Answer::positive(ResponseCode::NoError, records.clone());
        assert!(!answer.give_instead(RecordType::AAAA, &["fd10::1".parse().unwrap()]));
        assert!(!answer.give_instead(RecordType::A, &["fd10::1".parse().unwrap()]));
        assert_eq!(answer.answers, records);
        assert!(answer.give_instead(RecordType::A, &["fd10::1".parse().unwrap(), [10, 0, 0, 9].into()]));
        assert_eq!(answer.answers, [alias("a.", "b.", 5), a("b.", 9)]);
    }

    #[test]
    fn for_people() {
        assert_eq!((bare(&name("a.test.")), bare(&Name::root())), ("a.test".to_owned(), ".".to_owned()));
    }
}
