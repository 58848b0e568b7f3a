use hickory_proto::op::{MessageType, OpCode, Query};
use world::World;

use super::*;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn setting(zones: &[&str]) -> Setting {
    Setting {
        role: Role::Nameserver,
        zones: zones.iter().map(|zone| name(zone)).collect(),
        own: vec![[10, 78, 2, 20].into(), "fd10:78:1ab::2:20".parse().unwrap()],
        nobody: nobody(&AddressBook::direct(&World::built_in())),
    }
}

fn asked(qname: &str, rtype: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Response, OpCode::Query);
    message.add_query(Query::query(name(qname), rtype));
    message
}

/// Everything in it, a record a line.
fn lines(message: &Message) -> Vec<String> {
    let sections = [("", &message.answers), ("auth ", &message.authorities), ("add ", &message.additionals)];
    let line = |section, r: &Record| format!("{section}{} {} {} {}", r.name, r.ttl, r.record_type(), r.data);
    sections.into_iter().flat_map(|(section, records)| records.iter().map(move |r| line(section, r))).collect()
}

fn ns(zone: &str, target: &str) -> Record {
    Record::from_rdata(name(zone), 3_600, RData::NS(NS(name(target))))
}

fn glue(owner: &str, ip: &str) -> Record {
    address(&name(owner), ip.parse().unwrap(), 3_600)
}

/// A referral to `example.test.`, whose servers have these addresses.
fn referral(glued: &[(&str, &str)]) -> Message {
    let mut message = asked("www.example.test.", RecordType::A);
    message.authorities = vec![ns("example.test.", "ns1.example.test.")];
    message.additionals = glued.iter().map(|(owner, ip)| glue(owner, ip)).collect();
    message
}

const BOTH: &[(&str, &str)] = &[("ns1.example.test.", "10.78.2.31"), ("ns1.example.test.", "fd10:78:1ab::2:31")];

#[test]
fn made_of_nothing() {
    use ResponseCode::{NXDomain, NoError, Refused, ServFail};
    let check = |kind, zones: &[&str], code, aa, expected: &[&str]| {
        let made = made_up(kind, asked("www.example.test.", RecordType::A), &setting(zones));
        assert_eq!((made.metadata.response_code, made.metadata.authoritative), (code, aa), "{kind:?}");
        assert_eq!(lines(&made), expected, "{kind:?} of {zones:?}");
    };
    let soa = "auth example.test. 1 SOA example.test. hostmaster.example.test. 1 1800 900 604800 1";
    let upwards = "auth . 1 NS a.root-servers.net.";
    let zones = &["test.", "example.test.", "ample.test."];
    check(Kind::NxDomain, zones, NXDomain, true, &[soa]);
    check(Kind::NoData, zones, NoError, true, &[soa]);
    check(Kind::NxDomain, &["local."], NXDomain, true, &[]);
    check(Kind::ServFail, zones, ServFail, false, &[]);
    check(Kind::Refused, zones, Refused, false, &[]);
    check(Kind::Lame, zones, NoError, false, &[upwards]);
    check(Kind::Lame, &["local."], NoError, false, &[upwards]);
    check(Kind::Lame, &["."], NoError, false, &[]);
    // A resolver says no as resolvers do: it is no authority.
    let resolver = Setting { role: Role::Resolver, ..setting(&[]) };
    assert!(!made_up(Kind::NxDomain, asked("a.test.", RecordType::A), &resolver).metadata.authoritative);
}

#[test]
fn delegations_that_lead_nowhere_or_back() {
    let check = |fault: &str, glued, expected: &[&str]| {
        let changed = changed(&fault.parse().unwrap(), referral(glued), &setting(&["test."]));
        assert_eq!(lines(&changed), expected, "{fault} of {glued:?}");
    };
    let to = "auth example.test. 1 NS ns1.example.test.";
    let four = |last: &str| format!("add ns1.example.test. 1 A 10.78.2.{last}");
    let six = |last: &str| format!("add ns1.example.test. 1 AAAA fd10:78:1ab::2:{last}");
    check("tld:dead-ns", BOTH, &[to, &four("254"), &six("254")]);
    check("tld:dead-ns", &BOTH[..1], &[to, &four("254")]);
    check("tld:dead-ns=10.78.2.99", BOTH, &[to, &four("99")]);
    check("tld:dead-ns=fd10:78:1ab::2:99", &BOTH[..1], &[to, &six("99")]);
    check("tld:loop", BOTH, &[to, &four("20"), &six("20")]);
    check("tld:loop", &BOTH[..1], &[to, &four("20")]);
    // Addresses of others stay, and a delegation without glue is as it was.
    let others = &[BOTH[0], ("mail.test.", "10.78.2.50")];
    check("tld:dead-ns", others, &[to, "add mail.test. 3600 A 10.78.2.50", &four("254")]);
    check("tld:dead-ns", &[], &["auth example.test. 3600 NS ns1.example.test."]);
    // An authority's own word about its servers.
    let mut own = asked("example.test.", RecordType::NS);
    own.answers = vec![ns("example.test.", "ns1.example.test.")];
    own.additionals = vec![glue(BOTH[0].0, BOTH[0].1)];
    let own = changed(&"auth1:dead-ns".parse().unwrap(), own, &setting(&["example.test."]));
    assert_eq!(lines(&own), ["example.test. 1 NS ns1.example.test.", &four("254")]);
}

#[test]
fn circles() {
    let check = |qname, rtype, expected: &[&str]| {
        let mut real = asked(qname, rtype);
        real.metadata.authoritative = true;
        let changed = changed(&"auth1:loop".parse().unwrap(), real, &setting(&["example.test."]));
        assert_eq!(lines(&changed), expected, "{qname} {rtype}");
    };
    let (www, one) = ("www.example.test.", "loop-1.example.test.");
    check(www, RecordType::A, &[&format!("{www} 1 CNAME {one}"), &format!("{one} 1 CNAME {www}")]);
    let two = "loop-2.example.test.";
    check(one, RecordType::AAAA, &[&format!("{one} 1 CNAME {two}"), &format!("{two} 1 CNAME {one}")]);
    check(www, RecordType::NS, &[]);
    check("www.example.local.", RecordType::A, &[]);
}

#[test]
fn what_a_server_has_no_say_in() {
    let check = |zones: &[&str], answers: &[(&str, &str)], expected: &[&str]| {
        let mut real = asked("www.example.test.", RecordType::A);
        real.answers = answers.iter().map(|(owner, ip)| glue(owner, ip)).collect();
        let changed = changed(&"auth1:bailiwick".parse().unwrap(), real, &setting(zones));
        assert_eq!(lines(&changed), expected, "{zones:?}");
    };
    let (www, bank) = (("www.example.test.", "10.78.2.81"), "www.bank.example. 1 A 10.78.2.254");
    let true_one = "www.example.test. 3600 A 10.78.2.81";
    check(&["example.test."], &[www], &[true_one, bank, &format!("add {bank}")]);
    check(&["example.test."], &[], &[&format!("add {bank}")]);
    check(&["example."], &[], &["add www.bank.invalid. 1 A 10.78.2.254"]);
    check(&["."], &[www], &[true_one]);
}

#[test]
fn cut() {
    let mut real = referral(BOTH);
    real.edns = Some(crate::options::of_query(None));
    let cut = changed(&"tld:truncate".parse().unwrap(), real, &setting(&["test."]));
    assert!(cut.metadata.truncation && cut.edns.is_some() && lines(&cut).is_empty());
}

#[test]
fn nobody_has_the_address() {
    let mut world = World::built_in();
    let taken = world.hosts.get_mut("app2").unwrap();
    taken.addresses = vec![[10, 78, 2, 254].into()];
    let (v4, v6) = nobody(&AddressBook::direct(&world));
    assert_eq!((v4.to_string(), v6.to_string()), ("10.78.2.253".to_owned(), "fd10:78:1ab::2:253".to_owned()));
}

#[test]
fn what_there_is_to_change() {
    let check = |fault: &str, real: &Message, zones: &[&str], expected| {
        assert_eq!(changes(&fault.parse().unwrap(), real, &setting(zones)), expected, "{fault} {:?}", lines(real));
    };
    let answer = |rtype| asked("www.example.test.", rtype);
    let mut full = answer(RecordType::A);
    full.answers = vec![glue("www.example.test.", "10.78.2.81")];
    check("tld:dead-ns", &referral(BOTH), &["test."], true);
    check("tld:dead-ns", &referral(&[]), &["test."], false);
    check("auth1:dead-ns", &full, &["example.test."], false);
    check("tld:loop", &referral(BOTH), &["test."], true);
    check("tld:loop", &referral(&[]), &["test."], false);
    check("auth1:loop", &full, &["example.test."], true);
    check("auth1:loop", &full, &["local."], false);
    check("auth1:loop", &answer(RecordType::NS), &["example.test."], false);
    check("auth1:bailiwick", &full, &["example.test."], true);
    check("root:bailiwick", &full, &["."], false);
    check("resolver:stale", &full, &[], true);
    check("resolver:stale=10.78.2.99", &full, &[], true);
    check("resolver:stale=fd10:78:1ab::2:99", &full, &[], false);
    check("resolver:stale", &answer(RecordType::A), &[], false);
    check("resolver:stale", &answer(RecordType::MX), &[], false);
}
