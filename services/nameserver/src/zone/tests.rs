//! Zones that cannot be served, and why, as a table.

use super::*;
use crate::master::{self, Place};

const HEAD: &str = "$TTL 60\n@ SOA ns.other. hm 1 1 1 1 1\n@ NS ns.other.\n";

/// The zone `z.` of this text: what is wrong with it, as `line: problem`.
fn problems(text: &str) -> Vec<String> {
    let origin: Name = "z.".parse().unwrap();
    let (lines, problems) = master::read(text, &origin);
    assert_eq!(problems, []);
    let located = Zone::new(origin, lines).err().unwrap_or_default();
    let at = |place: &Option<Place>| place.as_ref().map_or_else(|| "-".to_owned(), |place| place.line.to_string());
    located.iter().map(|located| format!("{}: {}", at(&located.place), located.problem)).collect()
}

/// Lines below [`HEAD`], so the first is line 4.
fn check(text: &str, expected: &[&str]) {
    assert_eq!(problems(&format!("{HEAD}{text}")), expected, "{text:.200}");
}

#[test]
fn the_top() {
    assert_eq!(problems(""), ["-: the zone z. has no SOA record", "-: the zone z. has no NS record at its top"]);
    check("", &[]);
    check("@ SOA a b 2 2 2 2 2", &["4: a second SOA record; the first is on line 2"]);
    check("a SOA a b 2 2 2 2 2", &["4: an SOA record at a.z., which is not the top of the zone"]);
    check(
        "@ CNAME b",
        &[
            "2: z. has a CNAME record on line 4, and nothing may stand beside it (RFC 1034 §3.6.2)",
            "3: z. has a CNAME record on line 4, and nothing may stand beside it (RFC 1034 §3.6.2)",
        ],
    );
    check(
        "@ DS 1 8 1 0000000000000000000000000000000000000000",
        &["4: a DS record at z., which is not delegated here (RFC 4035 §2.4)"],
    );
}

#[test]
fn outside() {
    check(
        "a.y. A 192.0.2.1\nz.y. A 192.0.2.1\nxz. A 192.0.2.1",
        &["4: a.y. is outside the zone z.", "5: z.y. is outside the zone z.", "6: xz. is outside the zone z."],
    );
    check("a.Z. A 192.0.2.1", &[]);
}

#[test]
fn aliases() {
    let beside = "a.z. has a CNAME record on line 4, and nothing may stand beside it (RFC 1034 §3.6.2)";
    check("a CNAME b\nA A 192.0.2.1", &[&format!("5: A{}", &beside[1..])]);
    check("a CNAME b\na CNAME c", &[&format!("5: {beside}")]);
    check("a CNAME b\na CNAME b", &[]);
    check(
        "a MX 1 b\nb CNAME c",
        &["4: b.z. is an alias (line 5); an MX record must name a host itself (RFC 2181 §10.3)"],
    );
}

#[test]
fn delegations() {
    check("a NS ns.a", &["4: ns.a.z. serves a.z. and lies in this zone, but has no address here"]);
    check("a NS a\na A 192.0.2.1", &[]);
    check("a NS ns.a\nNS.a AAAA ::1", &[]);
    check("a NS b", &["4: b.z. serves a.z. and lies in this zone, but has no address here"]);
    check("a NS b\nb A 192.0.2.1", &[]);
    check("a NS x.b\n*.b A 192.0.2.1", &[]);
    check(
        "a NS x.b\n*.b A 192.0.2.1\nx.b TXT t",
        &["4: x.b.z. serves a.z. and lies in this zone, but has no address here"],
    );
    check("a NS ns.b\nb NS ns.other.", &[]);
    check(
        "a NS b\nb CNAME c",
        &["4: b.z. is an alias (line 5); an NS record must name a host itself (RFC 2181 §10.3)"],
    );
    check("@ NS ns", &["4: ns.z. serves z. and lies in this zone, but has no address here"]);
    check("a NS ns.other.\na TXT t", &["5: a.z. is delegated by line 4: its TXT record belongs into the zone below"]);
    check(
        "a NS ns.other.\nb.a TXT t\nb.a A 192.0.2.1",
        &["5: b.a.z. lies below a.z., which line 4 delegates: only addresses of name servers may stand there"],
    );
    check(
        "a NS ns.other.\nb.a NS ns.other.",
        &["5: b.a.z. lies below a.z., which line 4 delegates: only addresses of name servers may stand there"],
    );
    check("*.a NS ns.other.", &["4: *.a.z.: a wildcard cannot be delegated (RFC 4592 §4.2)"]);
    check(
        "a DS 1 8 1 0000000000000000000000000000000000000000",
        &["4: a DS record at a.z., which is not delegated here (RFC 4035 §2.4)"],
    );
    check("a DS 1 8 1 0000000000000000000000000000000000000000\na NS ns.other.", &[]);
}

#[test]
fn sets() {
    check(
        "a 1 A 192.0.2.1\na 2 A 192.0.2.2\na 3 TXT t",
        &["5: time to live 2, but line 4 of the same set says 1 (RFC 2181 §5.2)"],
    );
    let many: String = (0..300).map(|n| format!("a TXT {n}{}\n", "x".repeat(250))).collect();
    check(&many, &["4: the TXT records of a.z. do not fit into a DNS message of 65535 bytes"]);
}

#[test]
fn a_record_twice_is_one() {
    let origin: Name = "z.".parse().unwrap();
    let (lines, _) = master::read(format!("{HEAD}a A 192.0.2.1\nA A 192.0.2.1\n"), &origin);
    let zone = Zone::new(origin, lines).unwrap();
    let Found::Exact(node) = zone.find(Key::of(&"a.z.".parse().unwrap()).as_bytes()) else { panic!("it is there") };
    assert_eq!(node.set(RecordType::A).unwrap().records.len(), 1);
    assert_eq!((zone.serial(), zone.negative().ttl), (1, 1));
}
