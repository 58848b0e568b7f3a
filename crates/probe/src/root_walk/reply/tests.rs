use hickory_proto::{
    op::{MessageType, OpCode},
    rr::rdata::{CNAME, NS, SOA},
};

use super::*;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// A record from `owner TYPE data`.
fn record(text: &str) -> Record {
    let words: Vec<&str> = text.split(' ').collect();
    let data = match words[1] {
        "A" => RData::A(words[2].parse::<std::net::Ipv4Addr>().unwrap().into()),
        "AAAA" => RData::AAAA(words[2].parse::<std::net::Ipv6Addr>().unwrap().into()),
        "NS" => RData::NS(NS(name(words[2]))),
        "CNAME" => RData::CNAME(CNAME(name(words[2]))),
        "SOA" => RData::SOA(SOA::new(name("m."), name("r."), words[2].parse().unwrap(), 1, 1, 1, 1)),
        other => panic!("{other}"),
    };
    Record::from_rdata(name(words[0]), 300, data)
}

/// `aa` or not, the response code, and the sections.
fn message(aa: bool, code: ResponseCode, sections: [&[&str]; 3]) -> Message {
    let mut message = Message::new(1, MessageType::Response, OpCode::Query);
    message.metadata.authoritative = aa;
    message.metadata.response_code = code;
    let [answers, authorities, additionals] = sections.map(|texts| texts.iter().map(|text| record(text)).collect());
    (message.answers, message.authorities, message.additionals) = (answers, authorities, additionals);
    message
}

const OK: ResponseCode = ResponseCode::NoError;

/// What a server of `a.test.` says of `www.a.test.`.
fn check(message: &Message, expected: &str) {
    let seen = match read(&name("a.test."), &name("www.a.test."), RecordType::A, message) {
        Meaning::Referral(referral) => {
            let one = |(name, glue): &(Name, Vec<IpAddr>)| format!(" {name}{glue:?}");
            format!("referral {}{}", referral.zone, referral.servers.iter().map(one).collect::<String>())
        }
        Meaning::End { aliases, what } => {
            let aliases: Vec<String> = aliases.iter().skip(1).map(ToString::to_string).collect();
            format!("{what:?} {}", aliases.join(" "))
        }
        Meaning::Lame(why) => format!("lame: {why}"),
    };
    assert_eq!(seen.trim_end(), expected);
}

#[test]
fn answers() {
    check(
        &message(true, OK, [&["www.a.test. A 10.0.0.1", "www.a.test. A 10.0.0.2"], &[], &[]]),
        "Addresses([(10.0.0.1, 300), (10.0.0.2, 300)])",
    );
    // Names are equal whatever the case of their letters (RFC 4343).
    check(&message(true, OK, [&["WWW.a.TEST. A 10.0.0.1"], &[], &[]]), "Addresses([(10.0.0.1, 300)])");
    check(&message(true, OK, [&[], &["a.test. SOA 7"], &[]]), "NoData");
    check(&message(true, OK, [&["www.a.test. AAAA fd10::1"], &[], &[]]), "NoData");
    check(&message(true, OK, [&[], &[], &[]]), "NoData");
    check(&message(true, OK, [&[], &["a.test. NS ns1.a.test."], &[]]), "NoData");
    check(&message(true, ResponseCode::NXDomain, [&[], &["a.test. SOA 7"], &[]]), "NoSuchName");
}

#[test]
fn aliases() {
    let to = |target: &str| format!("www.a.test. CNAME {target}");
    check(
        &message(true, OK, [&[&to("b.a.test."), "b.a.test. A 10.0.0.1"], &[], &[]]),
        "Addresses([(10.0.0.1, 300)]) b.a.test.",
    );
    check(&message(true, OK, [&[&to("b.a.test.")], &["a.test. SOA 7"], &[]]), "NoData b.a.test.");
    check(
        &message(true, ResponseCode::NXDomain, [&[&to("b.a.test.")], &["a.test. SOA 7"], &[]]),
        "NoSuchName b.a.test.",
    );
    check(&message(true, OK, [&[&to("b.a.test.")], &[], &[]]), "Elsewhere b.a.test.");
    // The address of a name in another zone is not this server's to tell.
    check(&message(true, OK, [&[&to("b.test."), "b.test. A 10.6.6.6"], &[], &[]]), "Elsewhere b.test.");
    check(
        &message(true, OK, [&[&to("b.test."), "b.test. CNAME c.a.test.", "c.a.test. A 10.6.6.6"], &[], &[]]),
        "Elsewhere b.test.",
    );
    check(&message(true, ResponseCode::NXDomain, [&[&to("b.test.")], &[], &[]]), "Elsewhere b.test.");
    // A part of the zone that is delegated away.
    check(
        &message(true, OK, [&[&to("b.sub.a.test.")], &["sub.a.test. NS ns.b.test."], &[]]),
        "Elsewhere b.sub.a.test.",
    );
    check(
        &message(true, OK, [&[&to("b.a.test."), "b.a.test. CNAME www.a.test."], &[], &[]]),
        "Circle b.a.test. www.a.test.",
    );
    check(&message(true, OK, [&[&to("www.a.test.")], &[], &[]]), "Circle www.a.test.");
}

#[test]
fn referrals() {
    let ns: &[&str] = &["www.a.test. NS ns1.www.a.test.", "www.a.test. NS ns2.b.test."];
    let glue: &[&str] = &["ns1.www.a.test. A 10.0.0.1", "ns1.www.a.test. AAAA fd10::1", "ns2.b.test. A 10.6.6.6"];
    // The address of ns2.b.test. is not for a server of a.test. to tell.
    let expected = "referral www.a.test. ns1.www.a.test.[10.0.0.1, fd10::1] ns2.b.test.[]";
    check(&message(false, OK, [&[], ns, glue]), expected);
    // NS records of a zone that the name is not in.
    check(&message(false, OK, [&[], &[&["b.a.test. NS ns.b.test."], ns].concat(), glue]), expected);
    // Some servers set AA where they refer.
    check(&message(true, OK, [&[], ns, glue]), expected);
    let twice: &[&str] = &["www.a.test. NS ns1.www.a.test.", "www.a.test. NS NS1.www.a.test."];
    check(&message(false, OK, [&[], twice, &glue[..1]]), "referral www.a.test. ns1.www.a.test.[10.0.0.1]");
}

#[test]
fn of_no_use() {
    let check_lame =
        |message: &Message, words: &str| match read(&name("a.test."), &name("www.a.test."), RecordType::A, message) {
            Meaning::Lame(why) => assert!(why.contains(words), "{why}"),
            other => panic!("{other:?}"),
        };
    check_lame(&message(false, OK, [&["www.a.test. A 10.0.0.1"], &[], &[]]), "not as an authority");
    check_lame(&message(false, OK, [&[], &[], &[]]), "it says nothing");
    check_lame(&message(false, OK, [&[], &["a.test. SOA 7"], &[]]), "it says nothing");
    check_lame(&message(false, ResponseCode::NXDomain, [&[], &[], &[]]), "not as an authority");
    check_lame(&message(false, ResponseCode::Refused, [&[], &[], &[]]), "REFUSED");
    check_lame(&message(true, ResponseCode::ServFail, [&[], &[], &[]]), "SERVFAIL");
    check_lame(&message(true, ResponseCode::NotImp, [&[], &[], &[]]), "NOTIMP");
    // Up, round in a circle, and aside: none of them is closer to the name.
    check_lame(&message(false, OK, [&[], &[". NS a.root."], &[]]), "above this zone");
    check_lame(&message(false, OK, [&[], &["test. NS ns.test."], &[]]), "refers to test., which is above");
    check_lame(&message(false, OK, [&[], &["a.test. NS ns.a.test."], &[]]), "refers to a.test.");
    check_lame(&message(false, OK, [&[], &["b.a.test. NS ns.b.test."], &[]]), "refers to b.a.test.");
    check_lame(&message(false, OK, [&[], &["b.test. NS ns.b.test."], &[]]), "refers to b.test.");
}

#[test]
fn the_zones_own_word() {
    let zone = name("a.test.");
    let own = message(true, OK, [&["a.test. NS ns2.a.test.", "A.test. NS ns1.a.test."], &[], &[]]);
    assert_eq!(name_servers(&zone, &own).unwrap(), [name("ns1.a.test."), name("ns2.a.test.")]);
    let beside = message(true, OK, [&["www.a.test. A 10.0.0.1"], &["a.test. NS ns1.a.test."], &[]]);
    assert_eq!(name_servers(&zone, &beside).unwrap(), [name("ns1.a.test.")]);
    let other = message(false, OK, [&["a.test. NS ns1.a.test."], &[], &[]]);
    assert_eq!(name_servers(&zone, &other), None);
    assert_eq!(serial(&zone, &message(true, OK, [&["a.test. SOA 7"], &[], &[]])), Some(7));
    assert_eq!(serial(&zone, &message(true, ResponseCode::NXDomain, [&[], &["a.test. SOA 8"], &[]])), Some(8));
    assert_eq!(serial(&zone, &message(true, OK, [&["b.test. SOA 7"], &[], &[]])), None);
    assert_eq!(serial(&zone, &message(false, OK, [&["a.test. SOA 7"], &[], &[]])), None);
}
