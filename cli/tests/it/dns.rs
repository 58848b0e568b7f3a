//! Visits whose resolver answers in every good and bad way.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use crate::peer::{
    End,
    dns::{Answer, Over, asks_for, good, reply, resolver},
    run, visit,
};
use hickory_proto::{
    op::{Edns, Message, ResponseCode},
    rr::{
        DNSClass, Name, RData, Record, RecordType,
        rdata::opt::{EdnsCode, EdnsOption},
    },
};
use serde_json::Value;

use crate::peer;

fn visit_by(answer: Answer, more: &[&str]) -> (i32, Value) {
    let server = peer::Server::start(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(), End::WhenPeerCloses);
    let url = server.url("/").replace("127.0.0.1", "name.test");
    let resolver = resolver(answer).to_string();
    visit(&[&["--resolver", &resolver, &url], more].concat())
}

/// The name stage's exchanges that contain this text.
fn exchanges(journey: &Value, text: &str) -> usize {
    let all = journey["hops"][0]["stages"][1]["exchanges"].as_array().unwrap();
    all.iter().filter(|exchange| exchange.to_string().contains(text)).count()
}

fn check_failure(answer: Answer, reason: &str, words: &str) {
    let (code, journey) = visit_by(answer, &[]);
    assert_eq!((code, &journey["outcome"]["reason"]), (6, &reason.into()), "{journey:#}");
    let verdict = journey["outcome"]["verdict"].as_str().unwrap();
    assert!(verdict.contains(words), "{words:?} is not in {verdict:?}");
}

#[test]
fn both_families_are_asked_at_once() {
    let (code, journey) = visit_by(|query, _| vec![good(query).to_vec().unwrap()], &[]);
    assert_eq!(code, 0, "{journey:#}");
    assert_eq!((exchanges(&journey, "\"type\":\"A\""), exchanges(&journey, "\"type\":\"AAAA\"")), (1, 1));
    let (code, journey) = visit_by(|query, _| vec![good(query).to_vec().unwrap()], &["-4"]);
    assert_eq!((code, exchanges(&journey, "AAAA")), (0, 0), "{journey:#}");
}

#[test]
fn what_a_resolver_can_say() {
    check_failure(
        |q, _| vec![reply(q, ResponseCode::NXDomain).to_vec().unwrap()],
        "no_such_name",
        "there is no name name.test",
    );
    check_failure(|q, _| vec![reply(q, ResponseCode::NoError).to_vec().unwrap()], "no_address", "has no address");
    check_failure(|q, _| vec![reply(q, ResponseCode::Refused).to_vec().unwrap()], "query_refused", "refuses");
    check_failure(|q, _| vec![reply(q, ResponseCode::NotImp).to_vec().unwrap()], "bad_reply", "NOTIMP");
    check_failure(
        |query, _| {
            let mut message = reply(query, ResponseCode::ServFail);
            let mut edns = Edns::new();
            edns.options_mut().insert(EdnsOption::Unknown(15, b"\0\x16ns1: no answer \x1b[31m".to_vec()));
            message.edns = Some(edns);
            vec![message.to_vec().unwrap()]
        },
        "server_failure",
        "ns1: no answer",
    );
}

#[test]
fn one_family_may_be_missing() {
    // IPv6 is broken, IPv4 is fine: that is good enough for a visit.
    let (code, journey) = visit_by(
        |query, _| {
            let message =
                if asks_for(query, RecordType::A) { good(query) } else { reply(query, ResponseCode::ServFail) };
            vec![message.to_vec().unwrap()]
        },
        &[],
    );
    assert_eq!(code, 0, "{journey:#}");
    // No answer at all for IPv6 is not waited for; a server that may be silent because of EDNS is sent a copy without it.
    let (code, journey) = visit_by(
        |query, _| if asks_for(query, RecordType::A) { vec![good(query).to_vec().unwrap()] } else { vec![] },
        &[],
    );
    assert_eq!((code, exchanges(&journey, "abandoned")), (0, 2), "{journey:#}");
    // "No address" is only as true as the answer for the other family.
    check_failure(
        |query, _| {
            let code = if asks_for(query, RecordType::A) { ResponseCode::NoError } else { ResponseCode::ServFail };
            vec![reply(query, code).to_vec().unwrap()]
        },
        "server_failure",
        "could not get an answer",
    );
}

#[test]
fn a_cut_answer_is_asked_for_over_tcp() {
    let (code, journey) = visit_by(
        |query, over| {
            let mut message = good(query);
            if over == Over::Udp {
                message.answers.clear();
                message.metadata.truncation = true;
            }
            vec![message.to_vec().unwrap()]
        },
        &["-4"],
    );
    assert_eq!(code, 0, "{journey:#}");
    let stage = &journey["hops"][0]["stages"][1];
    assert_eq!(
        (&stage["exchanges"][0]["transport"], &stage["exchanges"][1]["transport"]),
        (&"udp".into(), &"tcp".into())
    );
    assert_eq!(stage["exchanges"][0]["reply"]["meaning"], "truncated");
}

#[test]
fn a_cut_answer_without_tcp_is_told_as_that() {
    // Over UDP only.
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let mut message = reply(&Message::from_vec(&buffer[..length]).unwrap(), ResponseCode::NoError);
            message.metadata.truncation = true;
            socket.send_to(&message.to_vec().unwrap(), from).unwrap();
        }
    });
    let (code, journey) = visit(&["--resolver", &address, "http://name.test/"]);
    let outcome = &journey["outcome"];
    assert_eq!((code, &outcome["reason"]), (6, &"bad_reply".into()), "{journey:#}");
    let verdict = outcome["verdict"].as_str().unwrap();
    assert!(verdict.contains("its answer is too large (truncated), and TCP fails: nothing listens"), "{verdict}");
    let next = outcome["next"].as_str().unwrap();
    assert!(next.contains(&format!("does TCP reach {address}?")), "{next}");
    assert_eq!(outcome["causes"][0]["trouble"], "dns_tcp_refused", "{journey:#}");
}

#[test]
fn a_record_that_comes_twice_is_listed_once() {
    let (_, journey) = visit_by(
        |query, _| {
            let mut message = good(query);
            message.answers.extend(message.answers.clone());
            vec![message.to_vec().unwrap()]
        },
        &[],
    );
    assert_eq!(journey["hops"][0]["stages"][1]["addresses"].as_array().unwrap().len(), 1, "{journey:#}");
}

#[test]
fn messages_that_answer_nothing_are_passed_over() {
    let (code, journey) = visit_by(
        |query, _| {
            let mut forged = good(query);
            forged.metadata.id = query.metadata.id.wrapping_add(1);
            forged.answers.clear();
            let mut other = good(query);
            other.queries[0].set_name(Name::from_ascii("other.test.").unwrap());
            let question = query.to_vec().unwrap();
            // Of the class CH, and cut in the middle of a record; both under the right id.
            let mut chaos = good(query);
            chaos.queries[0].set_query_class(DNSClass::CH);
            let whole = good(query).to_vec().unwrap();
            vec![
                b"garbage".to_vec(),
                chaos.to_vec().unwrap(),
                whole[..whole.len() - 1].to_vec(),
                whole[..5].to_vec(),
                forged.to_vec().unwrap(),
                other.to_vec().unwrap(),
                question,
                good(query).to_vec().unwrap(),
            ]
        },
        &[],
    );
    assert_eq!(code, 0, "{journey:#}");
}

#[test]
fn aliases_are_followed_and_loops_end() {
    let (code, journey) = visit_by(
        |query, _| {
            let mut message = good(query);
            let end = Name::from_ascii("end.test.").unwrap();
            let alias = RData::CNAME(hickory_proto::rr::rdata::CNAME(end.clone()));
            for answer in &mut message.answers {
                answer.name = end.clone();
            }
            message.answers.insert(0, Record::from_rdata(query.queries[0].name().clone(), 60, alias));
            vec![message.to_vec().unwrap()]
        },
        &[],
    );
    assert_eq!(code, 0, "{journey:#}");
    assert_eq!(journey["hops"][0]["stages"][1]["aliases"], serde_json::json!(["name.test.", "end.test."]));
    check_failure(
        |query, _| {
            let mut message = reply(query, ResponseCode::NoError);
            let name = query.queries[0].name().clone();
            let alias = RData::CNAME(hickory_proto::rr::rdata::CNAME(name.clone()));
            message.answers.push(Record::from_rdata(name, 60, alias));
            vec![message.to_vec().unwrap()]
        },
        "bad_reply",
        "lead in a circle: name.test → name.test",
    );
}

#[test]
fn a_server_that_refers_is_no_resolver() {
    check_failure(
        |query, _| {
            let mut message = reply(query, ResponseCode::NoError);
            message.metadata.recursion_available = false;
            let ns = RData::NS(hickory_proto::rr::rdata::NS(Name::from_ascii("ns.test.").unwrap()));
            message.authorities.push(Record::from_rdata(Name::from_ascii("test.").unwrap(), 60, ns));
            vec![message.to_vec().unwrap()]
        },
        "no_recursion",
        "does not look names up, it refers to others",
    );
}

#[test]
fn silence_is_a_time_out_of_the_name_stage() {
    let (code, journey) = visit_by(|_, _| vec![], &["--max-time", "0.3"]);
    assert_eq!((code, &journey["outcome"]["failed_stage"]), (28, &"name".into()), "{journey:#}");
}

#[test]
fn nothing_listens_where_the_resolver_should_be() {
    // A port that was free a moment ago; the kernel gives it out again only after many others.
    let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let (code, journey) = visit(&["--resolver", &free.to_string(), "name.test"]);
    assert_eq!((code, &journey["outcome"]["reason"]), (6, &"resolver_down".into()), "{journey:#}");
    assert_eq!(exchanges(&journey, "nothing_listens"), 2);
}

/// A listener that answers no SYN: its accept queue is full, and nobody accepts.
struct Full {
    _listener: socket2::Socket,
    _waiting: Vec<socket2::Socket>,
}

impl Full {
    fn at(address: SocketAddr) -> Self {
        let stream = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let listener = stream();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let connect = |_| {
            let client = stream();
            client.set_nonblocking(true).unwrap();
            let _ = client.connect(&address.into());
            client
        };
        // One more than the queue holds would do.
        Self { _listener: listener, _waiting: (0..4).map(connect).collect() }
    }
}

#[test]
fn the_next_address_is_tried_beside_one_that_is_silent() {
    let server = peer::Server::start(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(), End::WhenPeerCloses);
    let url = server.url("/");
    let answering: SocketAddr = url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let _full = Full::at(SocketAddr::from(([127, 0, 0, 2], answering.port())));
    let resolver = resolver(|query, _| {
        let mut message = good_for(query, Ipv4Addr::new(127, 0, 0, 2));
        message.answers.extend(good(query).answers);
        vec![message.to_vec().unwrap()]
    })
    .to_string();
    let (code, journey) = visit(&["--resolver", &resolver, &url.replace("127.0.0.1", "name.test")]);
    assert_eq!(code, 0, "{journey:#}");
    let attempts = &journey["hops"][0]["stages"][3]["attempts"];
    assert_eq!(
        (&attempts[0]["result"], &attempts[1]["result"]),
        (&"abandoned".into(), &"connected".into()),
        "{journey:#}"
    );
    // RFC 8305 §5: a quarter of a second, on a machine that is not too busy; the silent one is shown with what it cost.
    let took = |nth: usize, member: &str| attempts[nth][member].as_u64().unwrap();
    let delay = took(1, "start_us") - took(0, "start_us");
    assert!((250_000..5_000_000).contains(&delay), "{delay} µs: {journey:#}");
    assert!(took(0, "duration_us") >= delay, "{journey:#}");
}

fn good_for(query: &Message, ip: Ipv4Addr) -> Message {
    let mut message = good(query);
    for answer in &mut message.answers {
        answer.data = RData::A(ip.into());
    }
    message
}

#[test]
fn whose_ttl_it_is_and_who_the_resolver_says_it_is() {
    let screen_of = |answer: Answer| {
        let resolver = resolver(answer).to_string();
        let output = run(&["-4", "--resolver", &resolver, "http://name.test:1/"]);
        String::from_utf8(output.stdout).unwrap()
    };
    // A resolver counts down in its cache; an authority tells the zone's own time.
    let cached = screen_of(|query, _| vec![good(query).to_vec().unwrap()]);
    assert!(cached.contains("1 record, 60 s left at the resolver"), "{cached}");
    assert!(!cached.contains("it names itself"), "{cached}");
    let own = screen_of(|query, _| {
        let mut message = good(query);
        message.metadata.authoritative = true;
        // It is asked for its name (RFC 5001 §2.1), and tells it.
        let asked = query.edns.as_ref().and_then(|edns| edns.option(EdnsCode::NSID)).is_some();
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::Unknown(3, format!("asked: {asked}").into_bytes()));
        message.edns = Some(edns);
        vec![message.to_vec().unwrap()]
    });
    assert!(own.contains("1 record, the zone's TTL 60 s"), "{own}");
    assert!(own.contains("it names itself asked: true (NSID)"), "{own}");
}
