//! Raw bytes to a running name server and back: what RFC 1035, 6891, 7766 and 8906 want of any server.

use std::{io::Write, sync::LazyLock};

use crate::common::{Query, Running, counts, flags, framed, header, lab, next, parsed, received, start};
use dns::options;

/// One server for all tests here: none of them changes it.
static AUTH: LazyLock<Running> = LazyLock::new(|| start(lab("auth1")));

const A: u16 = 1;
const NS: u16 = 2;
const TXT: u16 = 16;
const QR: u16 = 0x8000;
const AA: u16 = 0x0400;
const TC: u16 = 0x0200;
const RD: u16 = 0x0100;
const DO: u32 = 0x8000;

const FORMERR: u16 = 1;
const NXDOMAIN: u16 = 3;
const NOTIMP: u16 = 4;
const REFUSED: u16 = 5;

#[test]
fn an_answer_to_the_byte() {
    let reply = AUTH.ask(&Query::new("v4only.example.test", A).bytes());
    let mut expected = header(0x1234, QR | AA, [1, 1, 0, 0]);
    expected.extend_from_slice(b"\x06v4only\x07example\x04test\x00\x00\x01\x00\x01");
    expected.extend_from_slice(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\x0a\x4e\x02\x51");
    assert_eq!(reply, expected);
    assert_eq!(AUTH.ask_tcp(&Query::new("v4only.example.test", A).bytes()), expected);
}

#[test]
fn truncated_over_udp_and_whole_over_tcp() {
    let big = Query::new("big.example.test", TXT);
    let short = AUTH.ask(&big.bytes());
    assert_eq!((flags(&short), counts(&short)), (QR | AA | TC, [1, 0, 0, 0]));
    assert_eq!(short.len(), 12 + big.question().len());

    // A client that can take more is given no more than 1232 bytes, and TC still has its OPT record (RFC 6891 §7).
    let nsid = Query { opt: Some((65_535, DO, vec![0, 3, 0, 0])), ..big.clone() };
    let cut = AUTH.ask(&nsid.bytes());
    assert_eq!((flags(&cut), counts(&cut)), (QR | AA | TC, [1, 0, 0, 1]));
    let edns = parsed(&cut).edns.expect("an OPT record");
    assert_eq!((edns.max_payload(), edns.flags().dnssec_ok), (1232, true));
    assert_eq!(options::nsid_of(&edns).as_deref(), Some("auth1"));

    let whole = AUTH.ask_tcp(&nsid.bytes());
    assert_eq!((flags(&whole), counts(&whole)), (QR | AA, [1, 6, 0, 1]));
    assert!(whole.len() > 1232);
}

#[test]
fn sizes_between() {
    let www = Query::new("www.example.test", A);
    // Less than 512 counts as 512 (RFC 6891 §6.2.3).
    assert_eq!(counts(&AUTH.ask(&www.clone().edns(0).bytes())), [1, 2, 0, 1]);
    assert_eq!(counts(&AUTH.ask(&www.edns(512).bytes())), [1, 2, 0, 1]);
}

#[test]
fn flags_are_copied_or_cleared() {
    let www = Query::new("www.example.test", A);
    let ask = |flags_sent| flags(&AUTH.ask(&Query { flags: flags_sent, ..www.clone() }.bytes()));
    assert_eq!(ask(RD), QR | AA | RD);
    // AA, TC, RA and Z mean nothing in a query (RFC 8906 §3.1.4), nor does its response code.
    assert_eq!(ask(AA | TC | 0x0080 | 0x0040), QR | AA);
    assert_eq!(ask(0x0005), QR | AA);
    // CD may be copied (RFC 4035 §3.1.6); AD must not be claimed (§3.1.6).
    assert_eq!(ask(0x0020 | 0x0010) & !0x0010, QR | AA);
}

#[test]
fn any_opcode_but_query_is_not_implemented() {
    for opcode in 1..16_u16 {
        let query = Query { flags: opcode << 11, ..Query::new("example.test", A) };
        let reply = AUTH.ask(&query.bytes());
        assert_eq!(flags(&reply), QR | opcode << 11 | NOTIMP);
        assert_eq!((&reply[..2], reply.len()), (&[0x12, 0x34][..], 12));
        // No flag of a query is copied (`opcodeflg` of the ISC's compliance tests).
        assert_eq!(flags(&AUTH.ask(&header(7, opcode << 11 | 0x07f0, [0; 4]))), QR | opcode << 11 | NOTIMP);
        // Nor is its body looked at.
        assert_eq!(flags(&AUTH.ask(&header(7, opcode << 11, [9, 9, 9, 9]))), QR | opcode << 11 | NOTIMP);
    }
}

#[test]
fn unknown_types_have_no_data() {
    for rtype in [1000, 65_280, 65_534] {
        let reply = AUTH.ask(&Query::new("www.example.test", rtype).bytes());
        assert_eq!((flags(&reply), counts(&reply)), (QR | AA, [1, 0, 1, 0]), "TYPE{rtype}");
        let missing = AUTH.ask(&Query::new("missing.example.test", rtype).bytes());
        assert_eq!((flags(&missing), counts(&missing)), (QR | AA | NXDOMAIN, [1, 0, 1, 0]), "TYPE{rtype}");
    }
}

#[test]
fn other_classes_and_zones_are_refused_with_the_reason() {
    let chaos = Query { class: 3, ..Query::new("version.bind", TXT) };
    assert_eq!(flags(&AUTH.ask(&chaos.bytes())), QR | REFUSED);
    let other = AUTH.ask(&Query::new("www.other.example", A).edns(1232).bytes());
    assert_eq!((flags(&other), counts(&other)), (QR | REFUSED, [1, 0, 0, 1]));
    let errors = options::ede_of(&parsed(&other).edns.unwrap());
    assert_eq!((errors[0].code, errors[0].text.as_str()), (20, "served here: baidu.com. example.local. example.test."));
    // Without EDNS there is no place for a reason, and none is sent.
    assert_eq!(counts(&AUTH.ask(&Query::new("www.other.example", A).bytes())), [1, 0, 0, 0]);
    assert_eq!(flags(&AUTH.ask(&Query::new(".", NS).bytes())), QR | REFUSED);
}

#[test]
fn edns() {
    let www = Query::new("www.example.test", A);
    let ask =
        |ttl: u32, options: &[u8]| AUTH.ask(&Query { opt: Some((1232, ttl, options.to_vec())), ..www.clone() }.bytes());
    let opt = |reply: &[u8]| reply[reply.len() - 11..].to_vec();
    // Version 1: BADVERS is 16, of which the OPT record has the upper bits, and our version is 0 (RFC 6891 §6.1.3).
    let badvers = ask(0x0001_0000, &[]);
    assert_eq!((flags(&badvers), counts(&badvers)), (QR, [1, 0, 0, 1]));
    assert_eq!(opt(&badvers), [0, 0, 41, 0x04, 0xd0, 1, 0, 0, 0, 0, 0]);
    // Unknown flags and options are ignored, and not sent back (RFC 6891 §6.1.2, §6.1.4).
    for (ttl, options, expected) in [
        (0x0000_0000, &[][..], 0),
        (0x0000_0040, &[], 0),
        (0x0000_7fff, &[], 0),
        (0x0000_8000, &[], 0x80),
        (0x0000_0000, &[0, 100, 0, 0], 0),
        (0x0000_0000, &[0, 100, 0, 3, 1, 2, 3, 0xff, 0xff, 0, 0], 0),
    ] {
        let reply = ask(ttl, options);
        assert_eq!((flags(&reply), counts(&reply)), (QR | AA, [1, 2, 0, 1]), "{ttl:08x} {options:?}");
        assert_eq!(opt(&reply), [0, 0, 41, 0x04, 0xd0, 0, 0, expected, 0, 0, 0], "{ttl:08x} {options:?}");
    }
    // Two OPT records, or one that is cut short.
    let mut twice = header(1, 0, [1, 0, 0, 2]);
    twice.extend([www.question(), www.clone().edns(1232).opt(), www.clone().edns(1232).opt()].concat());
    assert_eq!(flags(&AUTH.ask(&twice)), QR | FORMERR);
    assert_eq!(flags(&ask(0, &[0, 100, 0, 9, 1])) & 0x0f, FORMERR);
}

/// RFC 8945 §5.2.1: no server here has keys, so every key is unknown. §5.1: a TSIG record is the last one.
#[test]
fn a_signed_query_is_refused_with_badkey() {
    let www = Query::new("www.example.test", A).edns(1232);
    let data: &[u8] = b"\x0bhmac-sha256\0\0\0\x6a\x00\0\0\x01\x2c\0\x04abcd\x12\x34\0\0\0\0";
    let tsig = [b"\x03key\0\0\xfa\0\xff\0\0\0\0\0".as_slice(), &[data.len() as u8], data].concat();
    let query = |additional: &[&[u8]]| {
        let mut bytes = header(0x1234, RD, [1, 0, 0, additional.len() as u16]);
        bytes.extend([www.question(), additional.concat()].concat());
        bytes
    };
    let opt = www.opt();
    for additional in [&[&tsig[..]][..], &[&opt, &tsig]] {
        for reply in [AUTH.ask(&query(additional)), AUTH.ask_tcp(&query(additional))] {
            assert_eq!(flags(&reply), QR | RD | 9);
            assert_eq!(counts(&reply), [1, 0, 0, additional.len() as u16]);
            // No signature, the query's id, BADKEY, no other data.
            assert!(reply.ends_with(&[0, 0, 0x12, 0x34, 0, 17, 0, 0]), "{reply:02x?}");
        }
    }
    let a = b"\0\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04".as_slice();
    let mut in_class_in = tsig.clone();
    in_class_in[8] = 1;
    let cut = &tsig[..tsig.len() - 1];
    for additional in [&[&tsig[..], &opt][..], &[&tsig, &tsig], &[&tsig, a], &[&opt, &opt], &[&in_class_in], &[cut]] {
        assert_eq!(flags(&AUTH.ask(&query(additional))), QR | RD | FORMERR, "{additional:02x?}");
    }
    let in_answer = [header(1, 0, [1, 1, 0, 0]), www.question(), tsig.clone()].concat();
    assert_eq!(flags(&AUTH.ask(&in_answer)), QR | FORMERR);
}

#[test]
fn not_one_question() {
    let www = Query::new("www.example.test", A);
    assert_eq!(flags(&AUTH.ask(&header(1, 0, [0, 0, 0, 0]))), QR | FORMERR);
    let two = [header(1, 0, [2, 0, 0, 0]), www.question(), www.question()].concat();
    assert_eq!(flags(&AUTH.ask(&two)), QR | FORMERR);
    assert_eq!(flags(&AUTH.ask(&header(1, 0, [1, 0, 0, 0]))), QR | FORMERR);
    let mut long_label = header(1, 0, [1, 0, 0, 0]);
    long_label.extend([0x80; 40]);
    assert_eq!(flags(&AUTH.ask(&long_label)), QR | FORMERR);
    // A name that points at itself (RFC 1035 §4.1.4).
    let circle = [header(1, 0, [1, 0, 0, 0]), vec![0xc0, 0x0c, 0, 1, 0, 1]].concat();
    assert_eq!(flags(&AUTH.ask(&circle)), QR | FORMERR);
    // A name of 256 bytes.
    let mut long = header(1, 0, [1, 0, 0, 0]);
    for length in [63, 63, 63, 62] {
        long.push(length);
        long.extend(vec![b'a'; length.into()]);
    }
    long.extend([0, 0, 1, 0, 1]);
    assert_eq!(flags(&AUTH.ask(&long)), QR | FORMERR);
}

#[test]
fn what_is_no_query_is_not_answered() {
    let socket = AUTH.udp();
    let good = Query::new("www.example.test", A).bytes();
    let mut response = good.clone();
    response[2] |= 0x80;
    for bytes in [&response[..], &good[..11], &[], &[0xff; 11]] {
        socket.send(bytes).unwrap();
        socket.send(&good).unwrap();
        // The first thing that comes back is for the good one.
        assert_eq!(flags(&received(&socket)), QR | AA);
    }
}

#[test]
fn noise_does_no_harm() {
    let socket = AUTH.udp();
    let good = Query::new("www.example.test", A).edns(1232).bytes();
    let mut state = 1_u64;
    for round in 0..2000 {
        let mut bytes = good.clone();
        for _ in 0..=round % 4 {
            // A linear congruential generator (Knuth's constants): the same noise every time.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 33) as usize % bytes.len();
            bytes[at] = (state >> 25) as u8;
        }
        bytes.truncate(bytes.len() - (state >> 60) as usize);
        socket.send(&bytes).unwrap();
        // Now and then a good query, until its reply comes: the server keeps up, and no buffer overflows.
        if round % 50 == 0 {
            socket.send(&Query { id: 0xbeef, ..Query::new("v6only.example.test", 28) }.bytes()).unwrap();
            while !received(&socket).starts_with(&[0xbe, 0xef]) {}
        }
    }
}

#[test]
fn case_is_kept_in_the_question_and_ignored_in_the_look_up() {
    let query = Query::new("wWw.ExAmPlE.TeSt", A);
    let reply = AUTH.ask(&query.bytes());
    assert_eq!(counts(&reply), [1, 2, 0, 0]);
    assert_eq!(&reply[12..12 + query.question().len()], query.question());
}

#[test]
fn many_queries_on_one_connection() {
    let mut stream = AUTH.tcp();
    let queries: Vec<u8> =
        (0..50).flat_map(|id| framed(&Query { id, ..Query::new("big.example.test", TXT) }.bytes())).collect();
    // In pieces that do not end where messages end.
    for piece in queries.chunks(7) {
        stream.write_all(piece).unwrap();
    }
    let mut ids: Vec<u8> = (0..50).map(|_| next(&mut stream).unwrap()[1]).collect();
    ids.sort_unstable();
    assert_eq!(ids, Vec::from_iter(0..50));
}
