//! Master-file text and what is read from it, as a table.

use super::*;

/// Every record and every problem as `line: …`, in the order of lines.
fn shown(text: &str) -> Vec<String> {
    let (lines, problems) = read(text, &Name::from_ascii("z.").unwrap());
    let records = lines.iter().map(|line| {
        let Record { name, ttl, data, .. } = &line.record;
        let shown = match data {
            RData::Unknown { rdata, .. } => data_encoding::HEXLOWER.encode(&rdata.anything),
            data => data.to_string(),
        };
        (line.place.line, format!("{name} {ttl} {} {shown}", dns::words::rtype(data.record_type())))
    });
    let line_of = |located: &Located| located.place.as_ref().map_or(0, |place| place.line);
    let problems = problems.iter().map(|located| (line_of(located), format!("! {}", located.problem)));
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
            "9: ! $INCLUDE other: there are no other files here",
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
}

/// Text and the bytes that it is, by the RFC of each type.
#[test]
fn data_as_bytes() {
    for (text, bytes) in [
        ("SPF \"v=spf1\" -all", "0676 3d73 7066 31 04 2d61 6c6c"),
        ("HINFO \"a b\" c", "03 612062 01 63"),
        ("RP a .", "01 61 01 7a 00 00"),
        ("AFSDB 1 a.", "0001 01 61 00"),
        ("DNAME b", "01 62 01 7a 00"),
        // RFC 1876 §4, SW1A2AA's neighbour; sizes are one digit and a power of ten.
        ("LOC 42 21 54 N 71 06 18 W -24m 30m", "00 33 16 13 89 17 2d d0 70 be 15 f0 00 98 8d 20"),
        ("LOC 0 N 0 E 0", "00 12 16 13 80 00 00 00 80 00 00 00 00 98 96 80"),
        ("NAPTR 1 2 \"s\" \"x\" \"a\\\\1\" .", "0001 0002 01 73 01 78 03 61 5c 31 00"),
        ("CERT PKIX 1 RSASHA256 AQ ID", "0001 0001 08 010203"),
        ("APL 1:192.0.2.0/24 !2:fd00::/8", "0001 18 03 c00002 0002 08 81 fd"),
        (
            "DS 1 RSASHA1 1 2BB183AF5F22588179A53B0A 98631FAD1A292118",
            "0001 05 01 2bb183af5f22588179a53b0a98631fad1a292118",
        ),
        ("SSHFP 1 1 0123456789abcdef0123456789abcdef01234567", "01 01 0123456789abcdef0123456789abcdef01234567"),
        ("IPSECKEY 10 1 2 192.0.2.38 AQID", "0a 01 02 c0000226 010203"),
        (
            "RRSIG A 5 3 86400 20300322173103 20260220173103 2642 z. AQID",
            "0001 05 03 00015180 714646d7 69989a57 0a52 01 7a 00 010203",
        ),
        (
            "NSEC b A MX RRSIG NSEC TYPE1234",
            "01 62 01 7a 00 00 06 400100000003 04 1b 000000000000000000000000000000000000000000000000000020",
        ),
        ("DNSKEY 257 3 ECDSAP256SHA256 AQID", "0101 03 0d 010203"),
        ("CDS 0 0 0 00", "0000 00 00 00"),
        (
            "NSEC3 1 1 12 aabb 2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
            "01 01 000c 02 aabb 14 174eb2409fe28bcb4887a1836f957f0a8425e27b 00 01 40",
        ),
        ("NSEC3PARAM 1 0 0 -", "01 00 0000 00"),
        ("TLSA 3 1 0 00 01", "03 01 00 0001"),
        ("OPENPGPKEY AQID", "010203"),
        ("CSYNC 66 3 A", "00000042 0003 00 01 40"),
        ("NID 10 14:4fff:ff20:ee64", "000a 0014 4fff ff20 ee64"),
        ("EUI48 00-00-5e-00-53-2a", "00005e00532a"),
        ("URI 10 1 \"ftp://a\"", "000a 0001 6674 703a 2f2f 61"),
        ("CAA 0 issue \"ca; a=1\"", "00 05 6973737565 63613b20613d31"),
        ("HIP 2 2001 AQID a.", "02 02 0003 2001 010203 01 61 00"),
    ] {
        let rtype = text.split(' ').next().unwrap();
        let bytes: String = bytes.split(' ').collect();
        assert_eq!(shown(&format!("a 60 {text}\n")), [format!("1: a.z. 60 {rtype} {bytes}")], "{text}");
        // The same bytes written as such are the same data.
        let length = bytes.len() / 2;
        let again = shown(&format!("a 60 {rtype} \\# {length} {bytes}\n"));
        assert_eq!(again, [format!("1: a.z. 60 {rtype} {bytes}")], "{text}");
    }
}

#[test]
fn data_that_does_not_fit_its_type() {
    check_data("CAA 0", "! CAA: the tag is missing");
    check_data("CAA 0 iss-ue a", "! CAA: \"iss-ue\" is not letters and digits");
    check_data("ANY b", "! type ANY cannot stand in a zone of this server");
    check_data("TYPE251 \\# 0", "! type IXFR cannot stand in a zone of this server");
    check_data("DS 1 8 2 00", "! DS: \"00\" is not as long as its type says");
    check_data("DNSKEY 257 3 NONSENSE AQID", "! DNSKEY: \"NONSENSE\" is not the algorithm");
    check_data("RRSIG A 5 3 1 20301322173103 0 1 z. AQID", "! RRSIG: \"20301322173103\" is not the expiration");
    check_data("NSEC b A BOGUS", "! NSEC: \"BOGUS\" is not a type");
    check_data("NSEC3 1 1 1 - ! A", "! NSEC3: \"!\" is not base32hex without padding");
    check_data("LOC 91 0 0 N 0 E 0", "! LOC: \"N\" is not the latitude");
    check_data("WKS 10.0.0.1 TCP 25", "! type WKS is not known here; its data can be written as TYPEn");
    check_data("OPENPGPKEY A", "! OPENPGPKEY: \"A\" is not base64");
    check_data("APL 1:192.0.2.0/33", "! APL: \"1:192.0.2.0/33\" is not an address prefix, as 1:192.0.2.0/24");
    // What a terminal would act upon is written out.
    check_data("A \u{1b}[31m\u{9b}", "! A: \"\\\\u{1b}[31m\\\\u{9b}\" is not an IPv4 address");
}

#[test]
fn unknown_types() {
    check_data("TYPE1234 \\# 2 0aFF", "a.z. 60 TYPE1234 0aff");
    check_data("TYPE1234 \\# 2 0a F F", "a.z. 60 TYPE1234 0aff");
    check_data("TYPE1234 \\# 0", "a.z. 60 TYPE1234 ");
    check_data("TYPE1234 \\# 3 0aff", "! TYPE1234: \"0aff\" is not 3 bytes of data, but 2");
    check_data("TYPE1234 \\# 1 0", "! TYPE1234: \"0\" is not hexadecimal");
    check_data("TYPE1234 x", "! type TYPE1234 is not known here");
    check_data("A \\# 4 c0000201", "a.z. 60 A 192.0.2.1");
    check_data("TYPE1 \\# 4 c0000201", "a.z. 60 A 192.0.2.1");
    check_data("A \\# 3 c00002", "! A: \"c00002\" is not data of that type");
    check_data("MX \\# 5 000ac00c00", "! MX: \"000ac00c00\" is not data of that type");
    check_data("SVCB \\# 2 0001", "! SVCB: \"0001\" is not data of that type");
    check_data("TYPE65536 \\# 0", "! type TYPE65536 is not known here");
}

/// RFC 9460 appendix D, and the rules that it leaves out.
#[test]
fn service_parameters() {
    for (text, bytes) in [
        ("0 b.", "0000 016200"),
        ("1 .", "0001 00"),
        ("16 b. port=53", "0010 016200 0003 0002 0035"),
        ("1 b. key667=hello", "0001 016200 029b 0005 68656c6c6f"),
        ("1 b. key667=\"hello\\210qoo\"", "0001 016200 029b 0009 68656c6c6fd2716f6f"),
        ("1 b. ipv6hint=\"2001:db8::1\"", "0001 016200 0006 0010 20010db8000000000000000000000001"),
        (
            "16 b. (alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1)",
            "0010 016200 0000 0004 00010004 0001 0009 02683205 68332d3139 0004 0004 c0000201",
        ),
        ("16 b. alpn=\"f\\\\\\\\oo\\\\,bar,h2\"", "0010 016200 0001 000c 08665c6f6f2c626172 026832"),
        ("16 b. alpn=f\\\\\\092oo\\092,bar,h2", "0010 016200 0001 000c 08665c6f6f2c626172 026832"),
        ("1 . port=443 alpn=\"h2,h3\" no-default-alpn", "0001 00 0001 0006 026832026833 0002 0000 0003 0002 01bb"),
        ("1 . alpn=h2 dohpath=/dns-query{?dns}", "0001 00 0001 0003 026832 0007 0010 2f646e732d71756572797b3f646e737d"),
        ("1 . ech=AEP+DQA/", "0001 00 0005 0006 0043fe0d003f"),
        ("1 . key3=\\001\\187", "0001 00 0003 0002 01bb"),
        ("1 . key65534", "0001 00 fffe 0000"),
    ] {
        let bytes: String = bytes.split(' ').collect();
        assert_eq!(shown(&format!("a 60 HTTPS {text}\n")), [format!("1: a.z. 60 HTTPS {bytes}")], "{text}");
    }
    for bad in [
        "key123=abc key123=def",
        "mandatory",
        "alpn",
        "port",
        "ipv4hint",
        "ipv6hint",
        "alpn=h2 no-default-alpn=abc",
        "mandatory=key123",
        "mandatory=mandatory",
        "mandatory=key123,key123 key123=abc",
        "alpn=",
        "alpn=h2,,h3",
        "no-default-alpn",
        "port=65536",
        "port=+1",
        "port=443,444",
        "ipv4hint=192.0.2",
        "ech=!",
        "key0667=a",
        "KEY667=a",
        "bogus=1",
        "key3=1",
        "\"alpn=h2\"",
        "alpn=\"h2\"port=1",
        "alpn=h2 dohpath=/dns-query",
        "alpn=h\\2",
    ] {
        let shown = shown(&format!("a 60 SVCB 1 b. {bad}\n"));
        assert!(shown.len() == 1 && shown[0].starts_with("1: ! "), "{bad}: {shown:?}");
    }
}

#[test]
fn generated_records() {
    check(
        "$TTL 60\n$GENERATE 1-3/2 h$ A 192.0.2.$\n$GENERATE 9-10 ${1,4,x} 5 IN MX \"10 m$\"\n",
        &[
            "2: h1.z. 60 A 192.0.2.1",
            "2: h3.z. 60 A 192.0.2.3",
            "3: 000a.z. 5 MX 10 m9.z.",
            "3: 000b.z. 5 MX 10 m10.z.",
        ],
    );
    check(
        "$GENERATE 1-2\n$GENERATE 2-1 a$ 1 A 192.0.2.$\n$GENERATE 254-300 a$ 1 A 192.0.2.$\n$GENERATE 0-4000000 a 1 A 192.0.2.1",
        &[
            "1: ! $GENERATE: its owner is missing",
            "2: ! $GENERATE: \"2-1\" is not a range, as 1-10 or 0-20/2",
            "3: a254.z. 1 A 192.0.2.254",
            "3: a255.z. 1 A 192.0.2.255",
            "3: ! A: \"192.0.2.256\" is not an IPv4 address",
        ]
        .into_iter()
        .chain(std::iter::repeat_n("4: a.z. 1 A 192.0.2.1", GENERATED - 3))
        .chain(["4: ! $GENERATE makes more than 131072 records in this zone"])
        .collect::<Vec<_>>(),
    );
}

#[test]
fn included_files() {
    let files = |name: &str| match name {
        "sub" => Some("a A 192.0.2.1\n$ORIGIN other.\nb A 192.0.2\n"),
        "round" => Some("$INCLUDE round\nr A 192.0.2.4\n"),
        deeper if deeper.len() < 20 => Some(""),
        _ => None,
    };
    let mut open = |name: &str, _: Option<&str>| match name.strip_prefix("deep") {
        Some(rest) => Ok((name.to_owned(), format!("$INCLUDE deep{rest}+\n").into_bytes())),
        None => files(name)
            .map(|text| (name.to_owned(), text.as_bytes().to_vec()))
            .ok_or_else(|| Problem::Include { file: name.to_owned(), why: "missing".to_owned() }),
    };
    let text = "$TTL 60\nw A 192.0.2.2\n$INCLUDE sub\n$INCLUDE sub below ; once more\n A 192.0.2.3\n$INCLUDE round\n\
                $INCLUDE deep\n$INCLUDE a b c\n";
    let (lines, problems) = read_with(text.as_bytes(), &Name::from_ascii("z.").unwrap(), &mut open);
    let records: Vec<String> = lines.iter().map(|line| format!("{}: {}", line.place, line.record.name)).collect();
    assert_eq!(
        records,
        ["line 2: w.z.", "line 1 of sub: a.z.", "line 1 of sub: a.below.z.", "line 5: w.z.", "line 2 of round: r.z."]
    );
    let problems: Vec<String> =
        problems.iter().map(|p| format!("{}: {}", p.place.as_ref().unwrap(), p.problem)).collect();
    assert_eq!(
        problems,
        [
            "line 3 of sub: A: \"192.0.2\" is not an IPv4 address",
            "line 3 of sub: A: \"192.0.2\" is not an IPv4 address",
            "line 1 of round: $INCLUDE round: it includes itself",
            "line 1 of deep+++++++++: $INCLUDE deep++++++++++: it would be file 11 within a file",
            "line 8: $INCLUDE … c is not supported; known are $ORIGIN, $TTL, $INCLUDE and $GENERATE",
        ]
    );
}

#[test]
fn a_file_that_is_no_zone_file_ends_the_reading() {
    let (lines, problems) = read("x\n".repeat(5000), &Name::root());
    assert_eq!((lines.len(), problems.len()), (0, 1001));
    assert_eq!(problems[1000].problem.to_string(), "more than 1000 problems; the rest of the file was not read");
}

#[test]
fn a_zone_without_ttl_takes_the_minimum_of_its_soa() {
    check("@ SOA a b 1 2 3 4 5\n@ NS c", &["1: z. 5 SOA a.z. b.z. 1 2 3 4 5", "2: z. 5 NS c.z."]);
}

#[test]
fn never_panics() {
    let pieces = [
        "a",
        " ",
        "\n",
        "(",
        ")",
        "\"",
        "\\",
        ";",
        "$TTL ",
        "@",
        "TXT",
        "A",
        "1",
        "\\#",
        "SVCB",
        "alpn=",
        "$GENERATE",
        "1-2",
        "$",
        "LOC",
        "N",
        "IN",
        ".",
        "\\9",
        "ü",
    ];
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
