//! The answers for the two families of addresses, in every order: what is waited for, what is connected to, and what is said
//! of the answer that did not come in time. In a network of its own, which has IPv4 and IPv6 on loopback and no way out.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use e2e::inside::inside;
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, Record, RecordType},
};
use serde_json::Value;

use crate::peer::{self, dns::reply, visit};

/// A resolver that does with a question what the name says: `good-0.silent-0.dual.test` has an A answer at once and none for
/// AAAA, `dual` has an IPv6 address that is there, `v4only` one that this machine has no way to, `mapped` an IPv4-mapped one.
fn resolver() -> SocketAddr {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let Some((after, answer)) = answer(&query) else { continue };
            let socket = Arc::clone(&socket);
            thread::spawn(move || {
                thread::sleep(after);
                let _ = socket.send_to(&answer.to_vec().unwrap(), peer);
            });
        }
    });
    address
}

fn answer(query: &Message) -> Option<(Duration, Message)> {
    let name = query.queries[0].name().clone();
    let text = name.to_ascii();
    let labels: Vec<&str> = text.split('.').collect();
    let is_a = query.queries[0].query_type() == RecordType::A;
    let (what, ms) = labels[usize::from(!is_a)].split_once('-').unwrap();
    let (code, is_good) = match what {
        "good" => (ResponseCode::NoError, true),
        "nodata" => (ResponseCode::NoError, false),
        "nxdomain" => (ResponseCode::NXDomain, false),
        "servfail" => (ResponseCode::ServFail, false),
        "refused" => (ResponseCode::Refused, false),
        _ => return None,
    };
    let mut message = reply(query, code);
    if is_good {
        let data = match (is_a, labels[2]) {
            (true, _) => RData::A(Ipv4Addr::LOCALHOST.into()),
            (_, "mapped") => RData::AAAA(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()),
            (_, "dual") => RData::AAAA(Ipv6Addr::LOCALHOST.into()),
            _ => RData::AAAA("2001:db8::1".parse::<Ipv6Addr>().unwrap().into()),
        };
        message.answers.push(Record::from_rdata(name, 60, data));
    }
    Some((Duration::from_millis(ms.parse().unwrap()), message))
}

/// A web server on one port of both families; gives the port.
fn web() -> u16 {
    let server =
        peer::Server::start(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(), peer::End::WhenPeerCloses);
    let port: u16 = server.url("").rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
    let v6 = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None).unwrap();
    v6.set_only_v6(true).unwrap();
    v6.bind(&SocketAddr::from((Ipv6Addr::LOCALHOST, port)).into()).unwrap();
    v6.listen(64).unwrap();
    thread::spawn(move || {
        for stream in TcpListener::from(v6).incoming().flatten() {
            thread::spawn(move || {
                use std::io::{Read, Write};
                let mut stream = stream;
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
            });
        }
    });
    port
}

/// What came of a visit.
struct Seen {
    code: i32,
    journey: Value,
}

impl Seen {
    fn of(resolver: SocketAddr, name: &str, port: u16, more: &[&str]) -> Self {
        let (resolver, url) = (resolver.to_string(), format!("http://{name}:{port}/"));
        let (code, journey) = visit(&[&["--resolver", &resolver, &url], more].concat());
        Self { code, journey }
    }

    fn stage(&self, name: &str) -> &Value {
        let stages = self.journey["hops"][0]["stages"].as_array().unwrap();
        stages.iter().find(|stage| stage["name"] == name).unwrap()
    }

    fn connected(&self) -> Option<IpAddr> {
        let attempts = self.stage("connect")["attempts"].as_array()?;
        let connected = attempts.iter().find(|attempt| attempt["result"] == "connected")?;
        connected["server"].as_str()?.parse::<SocketAddr>().ok().map(|server| server.ip())
    }

    fn cause(&self, trouble: &str) -> Option<&Value> {
        self.journey["outcome"]["causes"].as_array()?.iter().find(|cause| cause["trouble"] == trouble)
    }
}

/// The second answer comes so much later than the first: more than is waited for.
const LATE_MS: u64 = 600;

#[needs::tools(ip, unshare)]
#[test]
fn every_order_of_answers_failures_and_silence() {
    if !inside(module_path!(), "every_order_of_answers_failures_and_silence", &[]) {
        return;
    }
    let (resolver, port) = (resolver(), web());
    let mut rows = Vec::new();
    for a in ["good", "nodata", "servfail", "silent"] {
        for aaaa in ["good", "nxdomain", "refused", "silent"] {
            for (a_first, host) in [(true, "dual"), (false, "dual"), (true, "v4only"), (false, "v4only")] {
                // Nothing to connect to but what does not come: that is the resolver's own limit, and takes ten seconds.
                let usable = |says: &str, is_a: bool| says == "good" && (is_a || host == "dual");
                if usable(a, true) || usable(aaaa, false) || (a != "silent" && aaaa != "silent") {
                    rows.push((a, aaaa, a_first, host));
                }
            }
        }
    }
    let rows = Arc::new(Mutex::new(rows.into_iter()));
    let workers: Vec<_> = (0..6)
        .map(|_| {
            let rows = Arc::clone(&rows);
            thread::spawn(move || {
                let next = || rows.lock().unwrap().next();
                while let Some((a, aaaa, a_first, host)) = next() {
                    check(resolver, port, a, aaaa, a_first, host);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
}

fn check(resolver: SocketAddr, port: u16, a: &str, aaaa: &str, a_first: bool, host: &str) {
    let (a_ms, aaaa_ms) = if a_first { (0, LATE_MS) } else { (LATE_MS, 0) };
    let name = format!("{a}-{a_ms}.{aaaa}-{aaaa_ms}.{host}.test");
    let seen = Seen::of(resolver, &name, port, &[]);
    let (v4, v6) = (a == "good", aaaa == "good" && host == "dual");
    let expected = match (v4, v6) {
        (false, false) => None,
        (true, true) if a_first => Some(IpAddr::from(Ipv4Addr::LOCALHOST)),
        (_, true) => Some(Ipv6Addr::LOCALHOST.into()),
        (true, false) => Some(Ipv4Addr::LOCALHOST.into()),
    };
    assert_eq!(seen.connected(), expected, "{name}: {:#}", seen.journey);
    let code = match (expected, aaaa) {
        (Some(_), _) => 0,
        // There is an address, and no way to it.
        (None, "good") => 7,
        (None, _) => 6,
    };
    assert_eq!(seen.code, code, "{name}: {:#}", seen.journey);
    // A usable answer is not held up by one that comes late, or not at all.
    let is_usable_first = if a_first { v4 } else { v6 } || a == "silent" || aaaa == "silent";
    if is_usable_first {
        let name_us = seen.stage("name")["duration_us"].as_u64().unwrap();
        assert!(name_us < LATE_MS * 1_000 || a_first != v4, "{name}: {name_us} µs");
    }
    // Who waits for both is told of: for how long, and whom for.
    let is_silent = expected.is_some() && (a == "silent" || aaaa == "silent");
    let silent = seen.cause("dns_no_answer");
    assert_eq!(silent.is_some(), is_silent, "{name}: {:#}", seen.journey["outcome"]);
    if let Some(silent) = silent {
        let what = silent["what"].as_str().unwrap();
        let rtype = if a == "silent" { "A" } else { "AAAA" };
        assert!(what.contains(&format!("did not answer the {rtype} query")) && what.contains("for 15 s"), "{what}");
        assert_eq!(what.contains("then fail"), rtype == "A", "{what}");
        assert_eq!((&silent["host"], &silent["broke"]), (&"127.0.0.1".into(), &false.into()), "{silent:#}");
    }
    let is_late = expected.is_some() && !is_silent && (if a_first { v4 } else { v6 });
    if is_late {
        let what = seen.cause("dns_slow").unwrap_or_else(|| panic!("{name}: {:#}", seen.journey))["what"].as_str();
        assert!(what.unwrap().contains("clients that wait for both answers"), "{what:?}");
    }
}

#[needs::tools(ip, unshare)]
#[test]
fn an_address_that_comes_late_is_tried_when_the_first_has_failed() {
    if !inside(module_path!(), "an_address_that_comes_late_is_tried_when_the_first_has_failed", &[]) {
        return;
    }
    let server =
        peer::Server::start(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(), peer::End::WhenPeerCloses);
    let port: u16 = server.url("").rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
    // Nothing listens on this port of ::1.
    let seen = Seen::of(resolver(), "good-600.good-0.dual.test", port, &[]);
    assert_eq!((seen.code, seen.connected()), (0, Some(Ipv4Addr::LOCALHOST.into())), "{:#}", seen.journey);
    let (name, connect) = (seen.stage("name"), seen.stage("connect"));
    assert_eq!((&name["addresses"][0]["ip"], &name["late"][0]["ip"]), (&"::1".into(), &"127.0.0.1".into()));
    let results: Vec<&Value> = connect["attempts"].as_array().unwrap().iter().map(|one| &one["result"]).collect();
    assert_eq!(results, ["refused", "connected"], "{connect:#}");
    // The time is that of the wait, told apart from those of the attempts; and the way to the late address is there.
    let waited = connect["waited"]["duration_us"].as_u64().unwrap();
    assert!((100_000..=connect["duration_us"].as_u64().unwrap()).contains(&waited), "{connect:#}");
    assert_eq!(seen.stage("route")["ways"][1]["server"], "127.0.0.1", "{:#}", seen.stage("route"));
}

#[needs::tools(ip, unshare)]
#[test]
fn a_question_that_only_unusable_addresses_answer_breaks_the_visit() {
    if !inside(module_path!(), "a_question_that_only_unusable_addresses_answer_breaks_the_visit", &[]) {
        return;
    }
    let seen = Seen::of(resolver(), "silent-0.good-0.v4only.test", web(), &[]);
    assert_eq!(seen.code, 7, "{:#}", seen.journey);
    let cause = &seen.journey["outcome"]["causes"][0];
    assert_eq!(
        (&cause["trouble"], &cause["broke"], &cause["sure"]),
        (&"dns_no_answer".into(), &true.into(), &"certain".into())
    );
    assert!(cause["what"].as_str().unwrap().contains("no route (ENETUNREACH) for 2001:db8::1"), "{cause:#}");
}

#[needs::tools(ip, unshare)]
#[test]
fn ipv4_mapped_addresses_are_connected_to_over_ipv4() {
    if !inside(module_path!(), "ipv4_mapped_addresses_are_connected_to_over_ipv4", &[]) {
        return;
    }
    let (resolver, port) = (resolver(), web());
    let check = |name: &str, more: &[&str], code: i32, connected: Option<&str>| {
        let seen = Seen::of(resolver, name, port, more);
        let connected = connected.map(|ip| ip.parse().unwrap());
        assert_eq!((seen.code, seen.connected()), (code, connected), "{name} {more:?}: {:#}", seen.journey);
        seen
    };
    check("[::ffff:127.0.0.1]", &[], 0, Some("::ffff:127.0.0.1"));
    check("[::ffff:7f00:1]", &[], 0, Some("::ffff:127.0.0.1"));
    // As curl has it: the family is that of the text.
    check("[::ffff:127.0.0.1]", &["-6"], 0, Some("::ffff:127.0.0.1"));
    check("[::ffff:127.0.0.1]", &["-4"], 6, None);
    // connect(2) takes the unspecified address for this machine.
    check("[::]", &[], 0, Some("::"));
    check("0.0.0.0", &[], 0, Some("0.0.0.0"));
    // An IPv4-compatible address is IPv6, and nothing leads there.
    check("[::127.0.0.1]", &[], 7, None);
    check("[::ffff:10.9.9.9]", &[], 7, None);
    let seen = check("nodata-0.good-0.mapped.test", &[], 0, Some("::ffff:127.0.0.1"));
    let way = &seen.stage("route")["ways"][0];
    assert_eq!((&way["server"], &way["source"]), (&"::ffff:127.0.0.1".into(), &"127.0.0.1".into()), "{way:#}");
}
