use hickory_proto::rr::rdata::{A, CNAME, NS};

use super::*;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn ns(zone: &str, target: &str) -> Record {
    Record::from_rdata(name(zone), 60, RData::NS(NS(name(target))))
}

fn a(owner: &str, last: u8) -> Record {
    Record::from_rdata(name(owner), 60, RData::A(A::new(10, 0, 0, last)))
}

fn cname(owner: &str, target: &str) -> Record {
    Record::from_rdata(name(owner), 60, RData::CNAME(CNAME(name(target))))
}

fn soa(zone: &str) -> Record {
    let data = SOA::new(name("ns.test."), name("h.test."), 1, 2, 3, 4, 60);
    Record::from_rdata(name(zone), 60, RData::SOA(data))
}

/// A reply; `flags` may hold `aa` and `ra`.
fn reply(code: ResponseCode, flags: &str, answers: &[Record], authorities: &[Record]) -> Message {
    let mut message = Message::query().into_response();
    message.metadata.response_code = code;
    message.metadata.authoritative = flags.contains("aa");
    message.metadata.recursion_available = flags.contains("ra");
    message.answers = answers.to_vec();
    message.authorities = authorities.to_vec();
    message
}

/// The reading in one line.
fn read_as(asked: &str, rtype: RecordType, reply: &Message, zone: &str) -> String {
    match read(&Query::query(name(asked), rtype), reply, Transport::Udp, &name(zone)) {
        Err(objection) => format!("{:?}: {}", objection.failure, objection.why),
        Ok(Reading { said: Said::Referral(to, set), .. }) => {
            let servers: Vec<String> = set.servers.iter().map(|s| format!("{}={}", s.name, s.glue.len())).collect();
            format!("referral {to} {}", servers.join(" "))
        }
        Ok(Reading { said: Said::Links(links), is_authority, .. }) => {
            let link = |(asked, link): &(Query, Link)| match link {
                Link::Data(records) => format!("{} data {}", asked.name(), records.len()),
                Link::Alias(_, target) => format!("{} alias {target}", asked.name()),
                Link::No(rcode, soa) => format!("{} {rcode:?} {}", asked.name(), soa.is_some()),
                Link::TooLong(_) => format!("{} too long", asked.name()),
            };
            let links: Vec<String> = links.iter().map(link).collect();
            format!("{}{}", links.join(", "), if is_authority { "" } else { " (no authority)" })
        }
    }
}

#[test]
fn errors_are_told_with_their_names() {
    use ResponseCode::{NotImp, Refused, ServFail};
    let check = |code, expected: &str| {
        assert_eq!(read_as("w.a.test.", RecordType::A, &reply(code, "", &[], &[]), "a.test."), expected);
    };
    check(ServFail, "ServerFailure: it answers SERVFAIL");
    check(NotImp, "OtherError: it answers NOTIMP");
    check(Refused, "Refused: it answers REFUSED");
}

#[test]
fn referrals_that_lead_on_and_such_that_do_not() {
    let check = |asked: &str, flags: &str, to: &str, zone: &str, expected: &str| {
        let reply = reply(ResponseCode::NoError, flags, &[], &[ns(to, "ns.test.")]);
        assert_eq!(read_as(asked, RecordType::A, &reply, zone), expected, "{asked} of {zone} to {to}");
    };
    check("w.a.test.", "", "test.", ".", "referral test. ns.test.=0");
    check("w.a.test.", "", "a.test.", "test.", "referral a.test. ns.test.=0");
    check("w.a.test.", "aa", "a.test.", "test.", "referral a.test. ns.test.=0");
    let back = "Lame: lame: it refers back to test instead of answering for a.test";
    check("w.a.test.", "", "test.", "a.test.", back);
    check("w.a.test.", "aa", "test.", "a.test.", back);
    check("w.a.test.", "", ".", "a.test.", "Lame: lame: it refers back to the root instead of answering for a.test");
    let again = "LeadsBack: it refers to a.test again, for which it is asked already";
    check("w.a.test.", "", "a.test.", "a.test.", again);
    check("w.a.test.", "aa", "a.test.", "a.test.", "w.a.test. NoError false (no authority)");
    check("w.a.test.", "ra", "a.test.", "a.test.", "w.a.test. NoError false (no authority)");
    check("a.test.", "", ".", ".", "LeadsBack: it refers to the root again, for which it is asked already");
    let aside = "Lame: lame: it refers to b.test, which is not above the name asked";
    check("w.a.test.", "", "b.test.", "test.", aside);
}

#[test]
fn a_referral_is_found_among_ns_records_of_other_zones() {
    let to = |owners: &[&str]| {
        let records: Vec<Record> = owners.iter().map(|owner| ns(owner, "ns.test.")).collect();
        read_as("w.a.test.", RecordType::A, &reply(ResponseCode::NoError, "", &[], &records), "test.")
    };
    for owners in [["a.test.", "b.test.", "test."], ["b.test.", "test.", "a.test."]] {
        assert_eq!(to(&owners), "referral a.test. ns.test.=0", "{owners:?}");
    }
    assert_eq!(to(&["b.test.", "c.test."]), "Lame: lame: it refers to b.test, which is not above the name asked");
}

#[test]
fn glue_is_believed_within_the_zone_that_refers() {
    let mut told = reply(ResponseCode::NoError, "", &[], &[ns("a.test.", "ns.b.test."), ns("a.test.", "ns.other.")]);
    told.additionals = vec![a("ns.b.test.", 1), a("ns.other.", 2), a("bank.test.", 3)];
    assert_eq!(read_as("w.a.test.", RecordType::A, &told, "test."), "referral a.test. ns.b.test.=1 ns.other.=0");
}

#[test]
fn the_servers_of_a_delegation_are_bounded() {
    let servers: Vec<Record> = (0..1_000).map(|n| ns("a.test.", &format!("ns{n}.a.test."))).collect();
    let told = reply(ResponseCode::NoError, "", &[], &servers);
    let read = read(&Query::query(name("w.a.test."), RecordType::A), &told, Transport::Udp, &name("test.")).unwrap();
    let Said::Referral(_, set) = read.said else { panic!() };
    assert_eq!(set.servers.len(), MAX_NAMES);
}

#[test]
fn a_no_needs_an_authority_or_its_soa() {
    use ResponseCode::{NXDomain, NoError};
    let check = |code, flags: &str, authorities: &[Record], expected: &str| {
        let reply = reply(code, flags, &[], authorities);
        assert_eq!(read_as("w.a.test.", RecordType::A, &reply, "a.test."), expected, "{code} {flags} {authorities:?}");
    };
    check(NXDomain, "aa", &[soa("a.test.")], "w.a.test. NXDomain true");
    check(NXDomain, "aa", &[], "w.a.test. NXDomain false");
    check(NoError, "aa", &[soa("a.test.")], "w.a.test. NoError true");
    check(NoError, "", &[soa("a.test.")], "w.a.test. NoError true");
    // An answer from somebody's cache.
    check(NoError, "ra", &[soa("a.test.")], "w.a.test. NoError true (no authority)");
    check(NoError, "aa", &[], "w.a.test. NoError false (no authority)");
    let lame = "Lame: lame: its answer is not authoritative for a.test";
    check(NoError, "", &[], lame);
    check(NXDomain, "", &[], lame);
    // The SOA record of the zone above says nothing of this one.
    check(NoError, "", &[soa("test.")], lame);
}

#[test]
fn answers_and_what_is_beside_them() {
    let check = |flags: &str, answers: &[Record], expected: &str| {
        let reply = reply(ResponseCode::NoError, flags, answers, &[]);
        assert_eq!(read_as("w.a.test.", RecordType::A, &reply, "a.test."), expected);
    };
    check("aa", &[a("w.a.test.", 1), a("bank.test.", 2)], "w.a.test. data 1");
    check("", &[a("w.a.test.", 1)], "w.a.test. data 1 (no authority)");
    check("aa", &[cname("w.a.test.", "x.a.test."), a("x.a.test.", 1)], "w.a.test. alias x.a.test., x.a.test. data 1");
    check("aa", &[cname("w.a.test.", "x.b.test."), a("x.b.test.", 1)], "w.a.test. alias x.b.test.");
    let circle = [cname("w.a.test.", "x.a.test."), cname("x.a.test.", "w.a.test.")];
    check("aa", &circle, "w.a.test. alias x.a.test., x.a.test. alias w.a.test.");
    let outside = "Other: what it sent are only records from outside a.test, which are not believed";
    check("aa", &[a("bank.test.", 2)], outside);
    check("aa", &[a("x.a.test.", 2)], "Other: its answer is about something else than the question");
}

#[test]
fn records_of_the_name_but_of_another_type_are_a_no_that_other_servers_may_correct() {
    let check = |code, flags: &str, expected: &str| {
        let reply = reply(code, flags, &[a("w.a.test.", 1)], &[]);
        assert_eq!(read_as("w.a.test.", RecordType::AAAA, &reply, "a.test."), expected, "{code} {flags}");
    };
    check(ResponseCode::NoError, "", "w.a.test. NoError false (no authority)");
    check(ResponseCode::NoError, "aa", "w.a.test. NoError false (no authority)");
    check(ResponseCode::NXDomain, "", "Other: its answer is about something else than the question");
}

#[test]
fn what_is_denied_is_the_end_of_the_chain() {
    let to = |target: &str| {
        let reply = reply(ResponseCode::NXDomain, "aa", &[cname("w.a.test.", target)], &[soa("a.test.")]);
        read_as("w.a.test.", RecordType::A, &reply, "a.test.")
    };
    assert_eq!(to("x.a.test."), "w.a.test. alias x.a.test., x.a.test. NXDomain true");
    assert_eq!(to("x.b.test."), "w.a.test. alias x.b.test.", "not that of another zone");
}

#[test]
fn a_name_that_is_denied_has_no_records() {
    let with = |answers: &[Record]| {
        let reply = reply(ResponseCode::NXDomain, "aa", answers, &[soa("a.test.")]);
        read_as("w.a.test.", RecordType::A, &reply, "a.test.")
    };
    let denied = "Other: it says that there is no such name, and sends records of it";
    assert_eq!(with(&[a("w.a.test.", 1)]), denied);
    assert_eq!(with(&[cname("w.a.test.", "x.a.test."), a("x.a.test.", 1)]), denied);
}

#[test]
fn a_delegation_in_the_answer_section_is_a_referral() {
    let told = |flags: &str| {
        let reply = reply(ResponseCode::NoError, flags, &[ns("a.test.", "ns.test.")], &[]);
        read_as("a.test.", RecordType::NS, &reply, "test.")
    };
    assert_eq!((told(""), told("aa")), ("referral a.test. ns.test.=0".to_owned(), "a.test. data 1".to_owned()));
}

#[test]
fn ds_records_come_with_the_parents_referral() {
    let told = reply(ResponseCode::NoError, "", &[], &[ns("a.test.", "ns.a.test.")]);
    assert_eq!(read_as("a.test.", RecordType::DS, &told, "test."), "a.test. NoError false");
    assert_eq!(read_as("b.a.test.", RecordType::DS, &told, "test."), "referral a.test. ns.a.test.=0");
}

#[test]
fn truncated() {
    let mut cut = reply(ResponseCode::ServFail, "", &[], &[]);
    cut.metadata.truncation = true;
    let read = read(&Query::query(name("a."), RecordType::A), &cut, Transport::Tcp, &Name::root());
    assert_eq!(read.unwrap_err().failure, NoUse::Truncated);
}

#[test]
fn in_the_servers_own_words() {
    let mut refused = reply(ResponseCode::Refused, "", &[], &[]);
    let mut edns = options::of_query(None);
    edns.options_mut().insert(options::ede_option(20, "served here: \u{1b}[31mtest."));
    refused.edns = Some(edns);
    let found = read_as("a.", RecordType::A, &refused, ".");
    assert_eq!(found, "Refused: it answers REFUSED (Not Authoritative: served here: [31mtest.)");
}
