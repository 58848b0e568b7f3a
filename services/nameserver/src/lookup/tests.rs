//! Questions and their answers, as tables; and any question in any zone, against a model.

mod model;

use hickory_proto::op::ResponseCode;

use super::*;
use crate::{master, zone::Zone};

const Z: &str = r#"
$TTL 300
@           SOA   ns hostmaster 7 1800 900 604800 60
@           NS    ns
@           NS    ns.other.
@           MX    10 mail
ns          A     192.0.2.1
mail        A     192.0.2.2
mail        AAAA  2001:db8::2
WWW         A     192.0.2.3
www         A     192.0.2.4
www         TXT   "text"
srv         SRV   0 0 80 www
srv         SRV   1 0 80 www
alias       CNAME alias2
alias2      CNAME www
ghost       CNAME missing
hollow      CNAME b.c
far         CNAME www.elsewhere.
cross       CNAME www.y.
below       CNAME host.child
loop        CNAME loop2
loop2       CNAME loop
self        CNAME self
a.b.c       TXT   "deep"
*.wild      A     192.0.2.5
*.wild      MX    10 mail
x.there.wild TXT  "makes there.wild exist"
*.chase     CNAME www
*.round     CNAME x.round
x.*.star    TXT   "makes *.star exist"
child       NS    ns.child
child       NS    ns.sibling
ns.child    A     192.0.2.6
ns.child    AAAA  2001:db8::6
sibling     NS    ns.sibling
ns.sibling  A     192.0.2.7
mx.child    A     192.0.2.8
toglue      MX    10 mx.child
signed      NS    ns.other.
signed      DS    1 8 1 0000000000000000000000000000000000000000
kid         NS    ns.kid
ns.kid      A     192.0.2.9
"#;

const KID: &str = r#"
$TTL 200
@   SOA ns hostmaster.z. 8 1 1 1 400
@   NS  ns
ns  A   192.0.2.9
www A   192.0.2.10
"#;

const Y: &str = r#"
$TTL 100
@   SOA ns hostmaster 9 1 1 1 50
@   NS  ns
ns  A   192.0.2.11
www A   192.0.2.12
"#;

fn zone(origin: &str, text: &str) -> Zone {
    let origin: Name = origin.parse().unwrap();
    let (lines, problems) = master::read(text, &origin);
    assert_eq!(problems, []);
    Zone::new(origin, lines).unwrap()
}

fn zones() -> Zones {
    let mut zones = Zones::default();
    for (origin, text) in [("z.", Z), ("kid.z.", KID), ("y.", Y)] {
        zones.insert(zone(origin, text));
    }
    zones
}

fn rtype_of(text: &str) -> RecordType {
    match text.strip_prefix("TYPE") {
        Some(number) => RecordType::from(number.parse::<u16>().unwrap()),
        // hickory writes these types, and does not read them.
        None if text == "OPT" => RecordType::OPT,
        None if text == "IXFR" => RecordType::IXFR,
        None => text.parse().unwrap(),
    }
}

fn shown(lookup: &Lookup<'_>) -> String {
    let section = |name: &str, section: &Section<'_>| -> String {
        section.iter().map(|r| format!("\n{name} {} {} {} {}", r.name, r.ttl, r.record_type(), r.data)).collect()
    };
    let aa = if lookup.authoritative { " aa" } else { "" };
    format!(
        "{}{aa}{}{}{}",
        dns::words::rcode(lookup.rcode),
        section("an", &lookup.answers),
        section("au", &lookup.authorities),
        section("ad", &lookup.additionals)
    )
}

fn check(question: &str, expected: &[&str]) {
    let (name, rtype) = question.split_once(' ').unwrap();
    // `from_str` would make it lower case.
    let (name, rtype) = (Name::from_ascii(name).unwrap(), rtype_of(rtype));
    let zones = zones();
    let found = lookup(&zones, &Question { name: &name, rtype, class: DNSClass::IN });
    assert_eq!(shown(&found), expected.join("\n"), "{question}");
}

const SOA: &str = "au z. 60 SOA ns.z. hostmaster.z. 7 1800 900 604800 60";

#[test]
fn positive() {
    let www = ["NOERROR aa", "an WWW.z. 300 A 192.0.2.3", "an www.z. 300 A 192.0.2.4"];
    check("www.z. A", &www);
    check("wWw.Z. A", &www);
    check("www.z. TXT", &["NOERROR aa", "an www.z. 300 TXT text"]);
    check("z. SOA", &["NOERROR aa", "an z. 300 SOA ns.z. hostmaster.z. 7 1800 900 604800 60"]);
    check("www.y. A", &["NOERROR aa", "an www.y. 100 A 192.0.2.12"]);
}

#[test]
fn with_the_addresses_that_come_next() {
    check("z. NS", &["NOERROR aa", "an z. 300 NS ns.z.", "an z. 300 NS ns.other.", "ad ns.z. 300 A 192.0.2.1"]);
    let mail = ["ad mail.z. 300 A 192.0.2.2", "ad mail.z. 300 AAAA 2001:db8::2"];
    check("z. MX", &["NOERROR aa", "an z. 300 MX 10 mail.z.", mail[0], mail[1]]);
    check(
        "srv.z. SRV",
        &[
            "NOERROR aa",
            "an srv.z. 300 SRV 0 0 80 www.z.",
            "an srv.z. 300 SRV 1 0 80 www.z.",
            "ad WWW.z. 300 A 192.0.2.3",
            "ad www.z. 300 A 192.0.2.4",
        ],
    );
    // Glue is for referrals; a mail exchange below a delegation has its address from there.
    check("toglue.z. MX", &["NOERROR aa", "an toglue.z. 300 MX 10 mx.child.z."]);
}

#[test]
fn negative() {
    check("missing.z. A", &["NXDOMAIN aa", SOA]);
    check("a.missing.z. A", &["NXDOMAIN aa", SOA]);
    check("below.www.z. A", &["NXDOMAIN aa", SOA]);
    check("www.z. AAAA", &["NOERROR aa", SOA]);
    check("b.c.z. A", &["NOERROR aa", SOA]);
    check("c.z. ANY", &["NOERROR aa", SOA]);
    // MINIMUM is larger than the record's own time to live here.
    check("missing.kid.z. A", &["NXDOMAIN aa", "au kid.z. 200 SOA ns.kid.z. hostmaster.z. 8 1 1 1 400"]);
}

#[test]
fn aliases() {
    let chain = ["NOERROR aa", "an alias.z. 300 CNAME alias2.z.", "an alias2.z. 300 CNAME www.z."];
    let www = ["an WWW.z. 300 A 192.0.2.3", "an www.z. 300 A 192.0.2.4"];
    check("alias.z. A", &[&chain[..], &www[..]].concat());
    check("alias.z. AAAA", &[&chain[..], &[SOA]].concat());
    check("alias.z. CNAME", &chain[..2]);
    check("alias.z. ANY", &chain[..2]);
    // The code is that of the chain's end (RFC 6604 §3).
    check("ghost.z. A", &["NXDOMAIN aa", "an ghost.z. 300 CNAME missing.z.", SOA]);
    check("hollow.z. A", &["NOERROR aa", "an hollow.z. 300 CNAME b.c.z.", SOA]);
    check("far.z. A", &["NOERROR aa", "an far.z. 300 CNAME www.elsewhere."]);
    check("cross.z. A", &["NOERROR aa", "an cross.z. 300 CNAME www.y.", "an www.y. 100 A 192.0.2.12"]);
    check(
        "below.z. A",
        &[
            "NOERROR aa",
            "an below.z. 300 CNAME host.child.z.",
            "au child.z. 300 NS ns.child.z.",
            "au child.z. 300 NS ns.sibling.z.",
            "ad ns.child.z. 300 A 192.0.2.6",
            "ad ns.child.z. 300 AAAA 2001:db8::6",
            "ad ns.sibling.z. 300 A 192.0.2.7",
        ],
    );
    check("loop.z. A", &["NOERROR aa", "an loop.z. 300 CNAME loop2.z.", "an loop2.z. 300 CNAME loop.z."]);
    check("self.z. A", &["NOERROR aa", "an self.z. 300 CNAME self.z."]);
}

#[test]
fn long_chains_end() {
    let mut text = "$TTL 1\n@ SOA a b 1 1 1 1 1\n@ NS ns.other.\n".to_owned();
    text.extend((0..100).map(|n| format!("n{n} CNAME n{}\n", n + 1)));
    let mut zones = Zones::default();
    zones.insert(zone("z.", &text));
    let name = "n0.z.".parse().unwrap();
    let found = lookup(&zones, &Question { name: &name, rtype: RecordType::A, class: DNSClass::IN });
    assert_eq!((found.rcode, found.answers.iter().count()), (ResponseCode::NoError, CHAIN + 1));
}

#[test]
fn wildcards() {
    check("any.wild.z. A", &["NOERROR aa", "an any.wild.z. 300 A 192.0.2.5"]);
    check("a.b.wild.z. A", &["NOERROR aa", "an a.b.wild.z. 300 A 192.0.2.5"]);
    check("Any.WILD.z. A", &["NOERROR aa", "an Any.WILD.z. 300 A 192.0.2.5"]);
    check("any.wild.z. TXT", &["NOERROR aa", SOA]);
    check("*.wild.z. A", &["NOERROR aa", "an *.wild.z. 300 A 192.0.2.5"]);
    let mail = ["ad mail.z. 300 A 192.0.2.2", "ad mail.z. 300 AAAA 2001:db8::2"];
    check("any.wild.z. MX", &["NOERROR aa", "an any.wild.z. 300 MX 10 mail.z.", mail[0], mail[1]]);
    // A name that exists keeps the wildcard away from itself and from all below it (RFC 4592 §3.3.1).
    check("wild.z. A", &["NOERROR aa", SOA]);
    check("there.wild.z. A", &["NOERROR aa", SOA]);
    check("y.there.wild.z. A", &["NXDOMAIN aa", SOA]);
    let www = ["an WWW.z. 300 A 192.0.2.3", "an www.z. 300 A 192.0.2.4"];
    check("any.chase.z. A", &["NOERROR aa", "an any.chase.z. 300 CNAME www.z.", www[0], www[1]]);
    check(
        "any.round.z. A",
        &["NOERROR aa", "an any.round.z. 300 CNAME x.round.z.", "an x.round.z. 300 CNAME x.round.z."],
    );
    // A wildcard that is an empty non-terminal exists, and has no data (RFC 4592 §2.2.2).
    check("any.star.z. A", &["NOERROR aa", SOA]);
    check("any.x.*.star.z. A", &["NXDOMAIN aa", SOA]);
}

#[test]
fn referrals() {
    let referral = [
        "NOERROR",
        "au child.z. 300 NS ns.child.z.",
        "au child.z. 300 NS ns.sibling.z.",
        "ad ns.child.z. 300 A 192.0.2.6",
        "ad ns.child.z. 300 AAAA 2001:db8::6",
        "ad ns.sibling.z. 300 A 192.0.2.7",
    ];
    // The delegated name itself, whatever is asked; names below, glue and others, be they here or not.
    for question in ["child.z. A", "child.z. NS", "child.z. SOA", "child.z. ANY", "ns.child.z. A", "a.b.child.z. A"] {
        check(question, &referral);
    }
    // But for its DS records, which are the parent's (RFC 4035 §2.4).
    check("child.z. DS", &["NOERROR aa", SOA]);
    check("ns.child.z. DS", &referral);
    check("signed.z. DS", &["NOERROR aa", "an signed.z. 300 DS AAEIAQAAAAAAAAAAAAAAAAAAAAAAAAAA"]);
    check("signed.z. A", &["NOERROR", "au signed.z. 300 NS ns.other."]);
}

#[test]
fn a_zone_and_its_child_on_one_server() {
    check("www.kid.z. A", &["NOERROR aa", "an www.kid.z. 200 A 192.0.2.10"]);
    check("kid.z. NS", &["NOERROR aa", "an kid.z. 200 NS ns.kid.z.", "ad ns.kid.z. 200 A 192.0.2.9"]);
    check("kid.z. DS", &["NOERROR aa", SOA]);
    // Nobody here has the parent of y.: it answers that it has none itself.
    check("y. DS", &["NOERROR aa", "au y. 50 SOA ns.y. hostmaster.y. 9 1 1 1 50"]);
}

#[test]
fn not_answered() {
    for question in ["www.elsewhere. A", ". NS", "xz. A", ". DS"] {
        check(question, &["REFUSED"]);
    }
    check("www.z. AXFR", &["REFUSED"]);
    check("www.z. IXFR", &["REFUSED"]);
    check("www.z. OPT", &["FORMERR"]);
    check("www.z. TYPE253", &["NOTIMP"]);
    check("www.z. TYPE1234", &["NOERROR aa", SOA]);
    check("www.z. TYPE65535", &["NOERROR aa", SOA]);
    let (zones, name) = (zones(), "www.z.".parse().unwrap());
    let found = lookup(&zones, &Question { name: &name, rtype: RecordType::A, class: DNSClass::CH });
    assert_eq!((found.rcode, found.refusal), (ResponseCode::Refused, Some(Refusal::Class)));
}

#[test]
fn any_is_one_set() {
    check("www.z. ANY", &["NOERROR aa", "an WWW.z. 300 A 192.0.2.3", "an www.z. 300 A 192.0.2.4"]);
}

#[test]
fn the_root_zone() {
    let mut zones = Zones::default();
    zones.insert(zone(".", "$TTL 9\n. SOA a. b. 1 1 1 1 1\n. NS ns.net.\nns.net. A 192.0.2.1\nnet. NS ns.net.\n"));
    let ask = |name: &str, rtype| {
        shown(&lookup(&zones, &Question { name: &name.parse().unwrap(), rtype, class: DNSClass::IN }))
    };
    assert_eq!(ask(".", RecordType::NS), "NOERROR aa\nan . 9 NS ns.net.\nad ns.net. 9 A 192.0.2.1");
    assert_eq!(ask("ns.net.", RecordType::A), "NOERROR\nau net. 9 NS ns.net.\nad ns.net. 9 A 192.0.2.1");
    assert_eq!(ask("org.", RecordType::A), "NXDOMAIN aa\nau . 1 SOA a. b. 1 1 1 1 1");
    assert_eq!(ask(".", RecordType::DS), "NOERROR aa\nau . 1 SOA a. b. 1 1 1 1 1");
}
