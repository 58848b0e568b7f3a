//! Every fault of a name server on the wire, and in what it records.

use std::io::{ErrorKind, Write};

use crate::common::{PATIENCE, Query, Running, counts, flags, framed, header, lab, next, parsed, start};
use journey::{
    What,
    dns::{Meaning, Reply},
    report::Report,
};

const A: u16 = 1;
const NS: u16 = 2;
const QR: u16 = 0x8000;
const AA: u16 = 0x0400;
const TC: u16 = 0x0200;
const SERVFAIL: u16 = 2;
const NXDOMAIN: u16 = 3;
const REFUSED: u16 = 5;

/// A visit's id as it travels, and as it is asked for.
const TRACE: [u8; 20] = [0xfe, 0x4d, 0, 16, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];

fn faulty(host: &str, faults: &[&str]) -> Running {
    let server = start(lab(host));
    for fault in faults {
        server.signals.faults.add(format!("{host}:{fault}").parse().unwrap(), None);
    }
    server
}

/// A query of a visit.
fn www(rtype: u16) -> Query {
    Query { opt: Some((1232, 0, TRACE.to_vec())), ..Query::new("www.example.test", rtype) }
}

/// All records of a reply but OPT, in short.
fn lines(reply: &[u8]) -> Vec<String> {
    let message = parsed(reply);
    let records = message.answers.iter().chain(&message.authorities).chain(&message.additionals);
    records.map(|r| format!("{} {} {} {}", r.name, r.ttl, r.record_type(), r.data)).collect()
}

fn events(server: &Running) -> Vec<What> {
    let (status, body) = server.page(&format!("/events?trace={}", "07".repeat(16)));
    assert_eq!(status, 200);
    let report: Report = serde_json::from_str(&body).unwrap();
    report.events.into_iter().map(|event| event.what).collect()
}

fn sent(server: &Running) -> Vec<Reply> {
    let reply = |what| match what {
        What::AnswerSent { reply, .. } => Some(reply),
        _ => None,
    };
    events(server).into_iter().filter_map(reply).collect()
}

#[test]
fn what_is_said_instead() {
    let check = |host: &str, fault: &str, query: Query, expected: u16, records: &[&str]| {
        let server = faulty(host, &[fault]);
        for reply in [server.ask(&query.bytes()), server.ask_tcp(&query.bytes())] {
            assert_eq!(reply[..2], [0x12, 0x34], "{fault}");
            assert_eq!(flags(&reply), expected, "{host}:{fault}");
            assert_eq!(lines(&reply), records, "{host}:{fault}");
            assert!(parsed(&reply).edns.is_some(), "{fault}");
        }
        // What is recorded is what was sent.
        let told = sent(&server);
        assert_eq!(told.len(), 2, "{fault}");
        assert_eq!(told[0].counts.iter().sum::<usize>(), records.len(), "{fault}");
    };
    let soa = "example.test. 1 SOA example.test. hostmaster.example.test. 1 1800 900 604800 1";
    check("auth1", "nxdomain", www(A), QR | AA | NXDOMAIN, &[soa]);
    check("auth1", "nodata", www(A), QR | AA, &[soa]);
    check("auth1", "servfail", www(A), QR | SERVFAIL, &[]);
    check("auth1", "refused", www(A), QR | REFUSED, &[]);
    check("auth1", "lame", www(A), QR, &[". 1 NS a.root-servers.net."]);
    check("root", "lame", www(A), QR, &[]);
    let dead: Vec<String> = ["ns1", "ns2"].iter().map(|ns| format!("example.test. 1 NS {ns}.example.test.")).collect();
    let glue = |ns: &str, four: &str| [format!("{ns}.example.test. 1 A {four}")];
    let to = |four: &str| [dead.clone(), glue("ns1", four).into(), glue("ns2", four).into()].concat();
    let expect = |fault: &str, records: &[String]| {
        check("tld", fault, www(NS), QR, &records.iter().map(String::as_str).collect::<Vec<_>>());
    };
    expect("dead-ns", &to("10.78.2.254"));
    expect("loop", &to("10.78.2.20"));
    let circle = ["www.example.test. 1 CNAME loop-1.example.test.", "loop-1.example.test. 1 CNAME www.example.test."];
    check("auth1", "loop", www(A), QR | AA, &circle);
}

#[test]
fn what_is_added_to_a_true_answer() {
    let server = faulty("auth1", &["bailiwick"]);
    let reply = server.ask(&www(A).bytes());
    assert_eq!((flags(&reply), counts(&reply)), (QR | AA, [1, 3, 0, 2]));
    let told = lines(&reply);
    assert_eq!(told.iter().filter(|line| **line == "www.bank.example. 1 A 10.78.2.254").count(), 2, "{told:?}");
    assert_eq!(told.iter().filter(|line| line.starts_with("www.example.test. 300 A 10.78.2.8")).count(), 2);
}

#[test]
fn what_has_the_wrong_head() {
    let server = faulty("auth1", &["wrong-id,first=2", "not-a-response,first=2", "garbage,first=2"]);
    let query = www(A);
    let ask = |tcp| if tcp { server.ask_tcp(&query.bytes()) } else { server.ask(&query.bytes()) };
    for tcp in [false, true] {
        let reply = ask(tcp);
        assert_eq!((&reply[..2], flags(&reply)), (&[0xed, 0xcb][..], QR | AA));
        assert_eq!(counts(&reply), [1, 2, 0, 1]);
    }
    for tcp in [false, true] {
        assert_eq!(ask(tcp), query.bytes());
    }
    for tcp in [false, true] {
        let reply = ask(tcp);
        assert_eq!(reply[..4], header(0x1234, QR | AA, [0; 4])[..4]);
        assert!(hickory_proto::op::Message::from_vec(&reply).is_err());
    }
    let told = sent(&server);
    let meanings: Vec<Meaning> = told.iter().map(|reply| reply.meaning).collect();
    assert_eq!(meanings[..2], [Meaning::Answer; 2]);
    assert_eq!(meanings[4..], [Meaning::Other; 2]);
    assert_eq!(told[5].bytes, 26);
}

#[test]
fn what_is_cut_is_whole_over_tcp() {
    let server = faulty("auth1", &["truncate"]);
    let cut = server.ask(&www(A).bytes());
    assert_eq!((flags(&cut), counts(&cut)), (QR | AA | TC, [1, 0, 0, 1]));
    let whole = server.ask_tcp(&www(A).bytes());
    assert_eq!((flags(&whole), counts(&whole)), (QR | AA, [1, 2, 0, 1]));
    assert_eq!(server.signals.faults.list()[0].struck, 1);
}

#[test]
fn what_is_not_said_is_not_recorded_as_said() {
    let server = faulty("auth1", &["drop,first=1", "drop,first=1"]);
    let socket = server.udp();
    socket.send(&www(A).bytes()).unwrap();
    let mut stream = server.tcp();
    stream.write_all(&framed(&www(NS).bytes())).unwrap();
    // The connection is still good for the next query.
    stream.write_all(&framed(&Query::new("v4only.example.test", A).bytes())).unwrap();
    assert_eq!(parsed(&next(&mut stream).unwrap()).queries[0].name().to_ascii(), "v4only.example.test.");
    let told = events(&server);
    assert!(matches!(told[..], [What::QueryReceived { .. }, What::QueryReceived { .. }]), "{told:?}");
}

#[test]
fn what_is_slow_is_late_and_true() {
    let server = faulty("auth1", &["slow=50ms"]);
    let began = std::time::Instant::now();
    let reply = server.ask(&www(A).bytes());
    assert!(began.elapsed().as_millis() >= 50);
    assert_eq!((flags(&reply), counts(&reply)), (QR | AA, [1, 2, 0, 1]));
    let elapsed = events(&server).into_iter().find_map(|what| match what {
        What::AnswerSent { elapsed_us, .. } => Some(elapsed_us),
        _ => None,
    });
    assert!(elapsed.unwrap() >= 50_000);
}

#[test]
fn what_does_not_listen_listens_again() {
    let server = faulty("auth1", &["tcp-refused"]);
    let refused = std::net::TcpStream::connect(server.dns).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(flags(&server.ask(&www(A).bytes())), QR | AA);
    server.signals.faults.clear();
    assert_eq!(flags(&server.ask_tcp(&www(A).bytes())), QR | AA);
    // By itself, on the same port.
    server.signals.faults.add("auth1:tcp-refused,for=30ms".parse().unwrap(), None);
    let end = std::time::Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(server.dns).is_err() {
        assert!(std::time::Instant::now() < end, "it never listened again");
        std::thread::yield_now();
    }
    assert_eq!(flags(&server.ask_tcp(&www(A).bytes())), QR | AA);
}
