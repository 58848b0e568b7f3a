//! Master-file text and what is read from it, as a table.

use super::*;

/// Every record and every problem as `line: …`, in the order of lines.
fn shown(text: &str) -> Vec<String> {
    let (lines, problems) = read(text, &Name::from_ascii("z.").unwrap());
    let records = lines.iter().map(|line| {
        let Record { name, ttl, data, .. } = &line.record;
        (line.number, format!("{name} {ttl} {} {data}", dns::words::rtype(data.record_type())))
    });
    let problems = problems.iter().map(|located| (located.line.unwrap_or(0), format!("! {}", located.problem)));
    let mut all: Vec<_> = records.chain(problems).collect();
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(number, text)| format!("{number}: {text}")).collect()
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(shown(text), expected, "{text}");
}

/// One entry's data; the beginning of what is said about it.
fn check_data(data: &str, expected: &str) {
    let shown = shown(&format!("a 60 {data}\n")).join("\n");
    assert!(shown.starts_with(&format!("1: {expected}")), "{data}: {shown}");
}

#[test]
fn owners_and_origins() {
    check(
        "@ 1 A 192.0.2.1\na 1 A 192.0.2.2\nB.c. 1 A 192.0.2.3",
        &["1: z. 1 A 192.0.2.1", "2: a.z. 1 A 192.0.2.2", "3: B.c. 1 A 192.0.2.3"],
    );
    check(
        "a 1 A 192.0.2.1\n\tA 192.0.2.2\n; said\n   AAAA ::1",
        &["1: a.z. 1 A 192.0.2.1", "2: a.z. 1 A 192.0.2.2", "4: a.z. 1 AAAA ::1"],
    );
    check(
        "$ORIGIN b\na 1 NS @\n$ORIGIN c.\na 1 NS ns\n$origin .\na 1 NS ns",
        &["2: a.b.z. 1 NS b.z.", "4: a.c. 1 NS ns.c.", "6: a. 1 NS ns."],
    );
    check(r"a\.b 1 A 192.0.2.1", &[r"1: a\.b.z. 1 A 192.0.2.1"]);
    // \DDD is decimal: 111 is "o".
    check(r"c\111m 1 CNAME \099om.", &["1: com.z. 1 CNAME com."]);
}

#[test]
fn times_and_classes() {
    check(
        "$TTL 1h\na A 192.0.2.1\na 60 IN A 192.0.2.2\na in 1m A 192.0.2.3\na A 192.0.2.4",
        &["2: a.z. 3600 A 192.0.2.1", "3: a.z. 60 A 192.0.2.2", "4: a.z. 60 A 192.0.2.3", "5: a.z. 3600 A 192.0.2.4"],
    );
    check(
        "a A 192.0.2.1\na 5 A 192.0.2.2\na A 192.0.2.3",
        &[
            "1: ! no time to live: none here, no $TTL and no earlier record's",
            "2: a.z. 5 A 192.0.2.2",
            "3: a.z. 5 A 192.0.2.3",
        ],
    );
    check(
        "a 2147483648 A 192.0.2.1\na 1x A 192.0.2.1\n$TTL -1",
        &[
            "1: ! time to live 2147483648: a number of seconds up to 2147483647 (RFC 2181 §8)",
            "2: ! time to live 1x: a number of seconds up to 2147483647 (RFC 2181 §8)",
            "3: ! time to live -1: a number of seconds up to 2147483647 (RFC 2181 §8)",
        ],
    );
    check(
        "a 1 CH TXT x\na CLASS4 1 TXT x",
        &["1: ! class CH: only IN is served", "2: ! class CLASS4: only IN is served"],
    );
}

#[test]
fn every_problem_is_reported_with_its_line() {
    check(
        "$TTL 60\n A 192.0.2.1\na A 192.0.2.999\n\nb BOGUS x\n; said\nc TXT \"open\nd A 192.0.2.1\n$INCLUDE other\n\
         e..f A 192.0.2.1\n  A 192.0.2.2\ng MX 10\nh",
        &[
            "2: ! the line begins with a blank, but no name stands before it",
            "3: ! A: \"192.0.2.999\" is not an IPv4 address",
            "5: ! type BOGUS is not known here; its data can be written as TYPEn \\# length hexadecimal (RFC 3597 §5)",
            "7: ! the quote is not closed on this line",
            "8: d.z. 60 A 192.0.2.1",
            "9: ! $INCLUDE is not supported; known are $ORIGIN and $TTL",
            "10: ! \"e..f\" is no domain name: a label is empty",
            "12: ! MX: the mail exchange is missing",
            "13: ! the record's type is missing",
        ],
    );
    check("$TTL 60\na A (\n192.0.2.1\n", &["2: ! the parenthesis opened here is never closed"]);
    check("$TTL 60\n@ SOA a b (\n 1 2 3\n 4 )\n", &["2: ! SOA: minimum is missing"]);
}

#[test]
fn names_that_are_none() {
    let long = "a".repeat(64);
    for (name, why) in [
        (long.as_str(), "a label has at most 63 bytes"),
        (".a", "a label is empty"),
        ("a..", "a label is empty"),
        ("ü", "letters beyond ASCII are written in punycode, as xn--…"),
    ] {
        check(&format!("{name} 1 A 192.0.2.1"), &[&format!("1: ! {name:?} is no domain name: {why}")]);
    }
    let label = "a".repeat(63);
    let name = [label.as_str(); 4].join(".");
    check(
        &format!("{name} 1 A 192.0.2.1"),
        &[&format!("1: ! {name:?} is no domain name: a name has at most 255 bytes")],
    );
}

#[test]
fn data() {
    check_data("A 192.0.2.1", "a.z. 60 A 192.0.2.1");
    check_data("A 192.0.2.1 192.0.2.2", "! A: \"192.0.2.2\" is too much");
    check_data("AAAA 2001:DB8::1", "a.z. 60 AAAA 2001:db8::1");
    check_data("NS b", "a.z. 60 NS b.z.");
    check_data("PTR b.", "a.z. 60 PTR b.");
    check_data("MX 10 @", "a.z. 60 MX 10 z.");
    check_data("MX +1 b", "! MX: \"+1\" is not a preference");
    check_data("MX 65536 b", "! MX: \"65536\" is not a preference");
    check_data("SRV 1 2 80 b", "a.z. 60 SRV 1 2 80 b.z.");
    check_data("SOA ns hm 1 1h 2 3w 4", "a.z. 60 SOA ns.z. hm.z. 1 3600 2 1814400 4");
    check_data("TXT plain \"a ; b\" \"q\\\"q\"", "a.z. 60 TXT plaina ; bq\"q");
    check_data("TXT ( \"two words\" )", "a.z. 60 TXT two words");
    check_data("TXT", "! TXT: a text is missing");
    check_data(&format!("TXT {}", "x".repeat(255)), "a.z. 60 TXT xxx");
    check_data(&format!("TXT {}", "x".repeat(256)), "! a text of 256 bytes");
    check_data("CAA 0 issue \"ca.example\"", "a.z. 60 CAA 0 issue \"ca.example\"");
    check_data("CAA 0", "! CAA: \"0\" is not data of that type");
    check_data("HINFO \"a b\" c", "a.z. 60 HINFO");
    check_data("HTTPS 1 b alpn=h2", "a.z. 60 HTTPS 1 b.z. alpn=");
    check_data("NAPTR 1 2 \"s\" \"x\" \"\" b", "a.z. 60 NAPTR 1 2 \"s\" \"x\" \"\" b.z.");
    check_data("SSHFP 1 1 0123456789abcdef0123456789abcdef01234567", "a.z. 60 SSHFP 1 1");
    check_data("DNAME b", "! type DNAME cannot stand in a zone of this server");
    check_data("TYPE39 \\# 0", "! type DNAME cannot stand in a zone of this server");
    check_data("ANY b", "! type ANY cannot stand in a zone of this server");
    check_data("DS 1 8 2 00", "! DS: \"1 8 2 00\" is not data of that type");
}

#[test]
fn unknown_types() {
    check_data("TYPE1234 \\# 2 0aFF", "a.z. 60 TYPE1234 ");
    check_data("TYPE1234 \\# 2 0a F F", "a.z. 60 TYPE1234 ");
    check_data("TYPE1234 \\# 0", "a.z. 60 TYPE1234 ");
    check_data("TYPE1234 \\# 3 0aff", "! TYPE1234: \"0aff\" is not 3 bytes");
    check_data("TYPE1234 \\# 1 0", "! TYPE1234: \"0\" is not hexadecimal");
    check_data("TYPE1234 x", "! TYPE1234: \"x\" is not data of that type");
    check_data("A \\# 4 c0000201", "a.z. 60 A 192.0.2.1");
    check_data("TYPE1 \\# 4 c0000201", "a.z. 60 A 192.0.2.1");
    check_data("A \\# 3 c00002", "! A: \"c00002\" is not data of that type");
    check_data("TYPE65536 \\# 0", "! type TYPE65536 is not known here");
}

#[test]
fn never_panics() {
    let pieces =
        ["a", " ", "\n", "(", ")", "\"", "\\", ";", "$TTL ", "@", "TXT", "A", "1", "\\#", "IN", ".", "\\9", "ü"];
    let mut state = 1_u64;
    for _ in 0..3000 {
        let mut text = String::new();
        for _ in 0..12 {
            // A linear congruential generator (Knuth's constants): the same texts every time.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
        }
        let _ = read(&text, &Name::root());
    }
}
