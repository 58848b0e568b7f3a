//! `tcp://` and `udp://` in the lab: both sides of one conversation, and nothing of any other.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
};

use crate::peer::{raw::stage, run, visit};
use lab::{Lab, Options};
use serde_json::{Deserializer, Value};
use world::Protocol;

use crate::peer;

/// A lab in this process, and the file by which visits find it.
fn running(without: &[&str]) -> (Lab, tempfile::NamedTempFile) {
    let without = without.iter().map(|host| (*host).to_owned()).collect();
    let lab = Lab::start(Options { without, ..Options::default() }).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    serde_json::to_writer(&file, lab.book()).unwrap();
    (lab, file)
}

fn socket(lab: &Lab, name: &str, protocol: Protocol) -> SocketAddr {
    lab.book().host("app1").and_then(|host| host.service(name, protocol)).unwrap().socket
}

/// The kinds of the events of a host, in the order in which they are told.
fn kinds<'a>(journey: &'a Value, host: &str) -> Vec<&'a str> {
    let events = journey["events"].as_array().unwrap().iter();
    events.filter(|event| event["host"] == host).map(|event| event["kind"].as_str().unwrap()).collect()
}

#[test]
fn both_sides_are_in_the_order_of_cause_and_effect() {
    let (code, journey) = visit(&["--lab", "tcp://10.78.2.81:8080", "--send", "hello"]);
    assert_eq!(code, 0, "{journey:#}");
    let at = |host: &str, kind: &str| {
        let mut events = journey["events"].as_array().unwrap().iter();
        let found = events.find(|event| event["host"] == host && event["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind} of {host}: {journey:#}"))["at_us"].as_i64().unwrap()
    };
    let order = [
        at("you", "connect_started"),
        at("app1", "connection_accepted"),
        at("app1", "request_read"),
        at("app1", "response_written"),
        at("you", "first_byte"),
        at("you", "response_received"),
        at("app1", "connection_closed"),
    ];
    assert!(order.is_sorted(), "{order:?}\n{journey:#}");
    assert!(at("you", "request_sent") <= at("app1", "request_read"), "{journey:#}");
    let shutdown = &stage(&journey, "close")["calls"][0];
    assert_eq!(shutdown["name"], "shutdown");
    assert!(shutdown["at_us"].as_i64().unwrap() <= at("app1", "connection_closed"), "{journey:#}");
    // This machine's socket is the one that the host has talked to.
    let local = &stage(&journey, "connect")["attempts"][0]["local"];
    let events = journey["events"].as_array().unwrap().iter();
    let peers: Vec<_> = events.filter(|event| event["host"] == "app1").map(|event| &event["peer"]).collect();
    assert!(peers.len() == 4 && peers.iter().all(|peer| *peer == local), "{journey:#}");
}

#[test]
fn what_others_do_there_is_not_shown() {
    let (lab, file) = running(&[]);
    let book = file.path().to_str().unwrap();
    let talk = |text: &[u8]| {
        let mut stream = TcpStream::connect(socket(&lab, "talk", Protocol::Tcp)).unwrap();
        stream.write_all(text).unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
        stream
    };
    let echo = UdpSocket::bind("127.0.0.1:0").unwrap();
    echo.connect(socket(&lab, "echo", Protocol::Udp)).unwrap();
    // One that has ended, one that goes on, and datagrams.
    drop(talk(b"before"));
    let mut beside = talk(b"beside");
    echo.send(b"beside").unwrap();
    assert_eq!(echo.recv(&mut [0; 64]).unwrap(), 6);

    let output = run(&[
        "--json",
        "--world",
        book,
        "--send",
        "12345",
        "tcp://10.78.2.81:8080",
        "udp://10.78.2.81:7",
        "tcp://10.78.2.81:8080",
    ]);
    let journeys: Vec<Value> = Deserializer::from_slice(&output.stdout).into_iter().map(Result::unwrap).collect();
    beside.write_all(b"still here").unwrap();
    for (journey, expected) in journeys.iter().zip([
        &["connection_accepted", "request_read", "response_written", "connection_closed"] as &[&str],
        &["request_read", "response_written"],
        &["connection_accepted", "request_read", "response_written", "connection_closed"],
    ]) {
        assert_eq!(kinds(journey, "app1"), expected, "{journey:#}");
        let events = journey["events"].as_array().unwrap();
        let read = events.iter().find(|event| event["kind"] == "request_read").unwrap();
        assert_eq!(read["bytes"], 5, "{journey:#}");
        assert!(kinds(journey, "app2").is_empty());
    }
    assert_eq!(journeys.len(), 3);
}

#[test]
fn the_second_address_over_tcp_the_first_alone_over_udp() {
    let (_lab, file) = running(&["app1"]);
    let book = file.path().to_str().unwrap();
    let (code, journey) = visit(&["--world", book, "tcp://www.example.local:8080", "--send", "x"]);
    assert_eq!((code, &journey["outcome"]["host"]), (0, &"app2".into()), "{journey:#}");
    assert!(kinds(&journey, "app2").contains(&"request_read"), "{journey:#}");
    // Each attempt is two calls.
    let calls = stage(&journey, "connect")["calls"].as_array().unwrap();
    let refused = calls.iter().filter(|call| call["gave"] == "ECONNREFUSED: Connection refused").count();
    assert!(refused >= 1 && calls.len() == 2 * (refused + 1), "{journey:#}");

    let (code, journey) = visit(&["--world", book, "udp://www.example.local:7", "--send", "x"]);
    let outcome = &journey["outcome"];
    assert_eq!((code, &outcome["host"], &outcome["reason"]), (7, &"app1".into(), &"connection_refused".into()));
    assert!(
        outcome["verdict"].as_str().unwrap().contains("says this lab's address book; nothing was sent"),
        "{outcome}"
    );
    assert_eq!(stage(&journey, "connect")["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_server_that_knows_no_visits_reports_nothing() {
    let silent = peer::raw::stream(|mut stream| drop(stream.write_all(b"hi")));
    let (_, journey) = visit(&["--lab", &silent]);
    assert_eq!(stage(&journey, "receive")["text"], "hi", "{journey:#}");
    assert!(journey["events"].as_array().unwrap().iter().all(|event| event["host"] == "you"), "{journey:#}");
}
