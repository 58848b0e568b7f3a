//! What the RFCs say, as plainly as it can be written: every question scans every record. Any answer of [`lookup`] must
//! be the model's.

use proptest::prelude::*;

use super::*;
use crate::{
    master::{Line, Located},
    problem::Problem,
};

/// A zone as its records.
struct Plain {
    origin: Name,
    records: Vec<Record>,
}

/// An answer: code, AA, and the sections' records in no order.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    rcode: ResponseCode,
    aa: bool,
    sections: [Vec<String>; 3],
}

impl Plain {
    fn at(&self, name: &Name, rtype: RecordType) -> Vec<&Record> {
        self.records.iter().filter(|r| r.name == *name && r.record_type() == rtype).collect()
    }

    fn types_at(&self, name: &Name) -> Vec<RecordType> {
        let mut types: Vec<_> = self.records.iter().filter(|r| r.name == *name).map(Record::record_type).collect();
        types.sort_by_key(|rtype| u16::from(*rtype));
        types
    }

    fn exists(&self, name: &Name) -> bool {
        *name == self.origin || self.records.iter().any(|r| name.zone_of(&r.name))
    }

    /// The names from just below the top down to this one.
    fn path(&self, name: &Name) -> Vec<Name> {
        let top = self.origin.iter().count();
        (top + 1..=name.iter().count()).map(|labels| name.trim_to(labels)).collect()
    }

    fn cut(&self, name: &Name) -> Option<Name> {
        self.path(name).into_iter().find(|above| !self.at(above, RecordType::NS).is_empty())
    }

    fn addresses(&self, records: &[&Record]) -> Vec<&Record> {
        let mut hosts: Vec<(&Name, bool)> = Vec::new();
        for record in records {
            let host = match &record.data {
                RData::NS(ns) => (&ns.0, true),
                RData::MX(mx) => (&mx.exchange, false),
                _ => continue,
            };
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        let visible = |(host, glue): &&(&Name, bool)| *glue || self.cut(host).is_none();
        let both = |(host, _): &(&Name, bool)| [self.at(host, RecordType::A), self.at(host, RecordType::AAAA)].concat();
        hosts.iter().filter(visible).flat_map(both).collect()
    }
}

fn text(record: &Record) -> String {
    format!("{} {} {} {}", record.name.to_lowercase(), record.ttl, record.record_type(), record.data)
}

fn texts(records: &[&Record]) -> Vec<String> {
    records.iter().map(|record| text(record)).collect()
}

/// RFC 1034 §4.3.2 with RFC 4592, 2308, 4035 §3.1.4.1 and 8482.
fn model(zones: &[Plain], name: &Name, rtype: RecordType) -> Answer {
    let mut answer = Answer { rcode: ResponseCode::NoError, aa: false, sections: Default::default() };
    let mut name = name.clone();
    let mut seen = Vec::new();
    loop {
        let mut candidates: Vec<&Plain> = zones.iter().filter(|zone| zone.origin.zone_of(&name)).collect();
        candidates.sort_by_key(|zone| std::cmp::Reverse(zone.origin.iter().count()));
        // A question for DS at a zone's top goes to the parent, if that is here.
        let passed = rtype == RecordType::DS && candidates.len() > 1 && candidates[0].origin == name;
        let Some(zone) = candidates.get(usize::from(passed)) else {
            if seen.is_empty() {
                answer.rcode = ResponseCode::Refused;
            }
            return answer;
        };
        if let Some(cut) = zone.cut(&name)
            && !(cut == name && rtype == RecordType::DS)
        {
            let ns = zone.at(&cut, RecordType::NS);
            answer.sections[1].extend(texts(&ns));
            answer.sections[2].extend(texts(&zone.addresses(&ns)));
            return answer;
        }
        answer.aa = true;
        let soa = zone.at(&zone.origin, RecordType::SOA)[0];
        let RData::SOA(data) = &soa.data else { unreachable!() };
        let denial = text(&Record::from_rdata(soa.name.clone(), soa.ttl.min(data.minimum), soa.data.clone()));
        let source = if zone.exists(&name) {
            name.clone()
        } else {
            let encloser = zone.path(&name).into_iter().rfind(|above| zone.exists(above));
            let wildcard = encloser.unwrap_or_else(|| zone.origin.clone()).prepend_label("*").unwrap();
            if !zone.exists(&wildcard) {
                answer.rcode = ResponseCode::NXDomain;
                answer.sections[1].push(denial);
                return answer;
            }
            wildcard
        };
        let wanted = match rtype {
            RecordType::ANY => zone.types_at(&source).first().copied().unwrap_or(rtype),
            _ => rtype,
        };
        let mut records = zone.at(&source, wanted);
        let alias = records.is_empty() && rtype != RecordType::ANY;
        if alias {
            records = zone.at(&source, RecordType::CNAME);
        }
        if records.is_empty() {
            answer.sections[1].push(denial);
            return answer;
        }
        let renamed = |r: &&Record| text(&Record::from_rdata(name.clone(), r.ttl, r.data.clone()));
        answer.sections[0].extend(records.iter().map(renamed));
        match (&records[0].data, alias) {
            (RData::CNAME(target), true) => {
                seen.push(name);
                if seen.contains(&target.0) || seen.len() > CHAIN {
                    return answer;
                }
                name = target.0.clone();
            }
            _ => {
                answer.sections[2].extend(texts(&zone.addresses(&records)));
                return answer;
            }
        }
    }
}

fn found(lookup: &Lookup<'_>) -> Answer {
    let section = |section: &Section<'_>| section.iter().map(text).collect();
    let sections = [section(&lookup.answers), section(&lookup.authorities), section(&lookup.additionals)];
    Answer { rcode: lookup.rcode, aa: lookup.authoritative, sections }
}

fn sorted(mut answer: Answer) -> Answer {
    answer.sections.iter_mut().for_each(|section| section.sort());
    answer
}

/// A name of few labels from a small alphabet, so that names meet.
fn names() -> impl Strategy<Value = String> {
    let label = prop_oneof![4 => Just("a"), 4 => Just("b"), 3 => Just("c"), 2 => Just("*"), 1 => Just("A")];
    let origin = prop_oneof![5 => Just("z."), 2 => Just("a.z."), 1 => Just("b.a.z."), 1 => Just("y."), 1 => Just("x.")];
    (prop::collection::vec(label, 0..4), origin)
        .prop_map(|(labels, origin)| labels.iter().flat_map(|label| [*label, "."]).collect::<String>() + origin)
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    let data = prop_oneof![
        5 => (0..4u8).prop_map(|n| format!("A 192.0.2.{n}")),
        2 => (0..3u8).prop_map(|n| format!("AAAA 2001:db8::{n}")),
        3 => Just("TXT x".to_owned()),
        4 => names().prop_map(|name| format!("CNAME {name}")),
        4 => names().prop_map(|name| format!("NS {name}")),
        2 => names().prop_map(|name| format!("MX 10 {name}")),
        2 => Just("DS 1 8 1 0000000000000000000000000000000000000000".to_owned()),
    ];
    prop::collection::vec((names(), data).prop_map(|(name, data)| format!("{name} 300 {data}")), 0..24)
}

/// The zone `origin` of these lines, those left out that no zone can hold.
fn valid(origin: &str, lines: &[String]) -> (Zone, Plain) {
    let origin: Name = origin.parse().unwrap();
    let mut text = format!("{origin} 90 SOA a. b. 1 1 1 1 70\n{origin} 300 NS ns.other.\n");
    text.extend(lines.iter().flat_map(|line| [line.as_str(), "\n"]));
    let (mut lines, problems) = master::read(&text, &origin);
    assert_eq!(problems, []);
    loop {
        match Zone::new(origin.clone(), lines.clone()) {
            Ok(zone) => {
                let mut records: Vec<Record> = Vec::new();
                for Line { record, .. } in lines {
                    if !records.contains(&record) {
                        records.push(record);
                    }
                }
                return (zone, Plain { origin, records });
            }
            Err(problems) => {
                // Beside a CNAME record the zone's own SOA and NS records would be at fault.
                let at_fault = |problem: &Located| match &problem.problem {
                    Problem::BesideCname { cname, .. } => Some(cname.clone()),
                    _ => problem.place.clone(),
                };
                let before = lines.len();
                lines.retain(|line| !problems.iter().any(|problem| at_fault(problem).as_ref() == Some(&line.place)));
                assert!(lines.len() < before, "{problems:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn as_the_model_says(lines in lines(), child in any::<bool>(), questions in prop::collection::vec(names(), 12)) {
        let mut zones = Zones::default();
        let mut plain = Vec::new();
        for origin in ["z.", "y."].into_iter().chain(child.then_some("a.z.")) {
            let (zone, records) = valid(origin, &lines);
            zones.insert(zone);
            plain.push(records);
        }
        let owned = plain.iter().flat_map(|zone| zone.records.iter().map(|record| record.name.clone()));
        let names: Vec<Name> = questions.iter().map(|name| name.parse().unwrap()).chain(owned).collect();
        for name in &names {
            for rtype in ["A", "TXT", "NS", "MX", "CNAME", "DS", "SOA", "ANY"].map(|rtype| rtype.parse().unwrap()) {
                let found = found(&lookup(&zones, &Question { name, rtype, class: DNSClass::IN }));
                prop_assert_eq!(sorted(found), sorted(model(&plain, name, rtype)), "{} {}", name, rtype);
            }
        }
    }
}
