//! The two ports that speak no HTTP.

use std::{net::UdpSocket, time::Duration};

use crate::support::{PATIENCE, Running, eventually, run, start, start_with};
use journey::{What, event::ClosedBy};

/// The client of the lecture, with its address filled in: connect, send, read once, close.
const TEN_LINES: &str = r"
import socket, sys
soc = socket.socket()
soc.connect((sys.argv[1], int(sys.argv[2])))
soc.send(b'xxx')
data = soc.recv(1024)
print(repr(data))
soc.close()
";

#[needs::tools(python3)]
#[test]
fn the_ten_line_client() {
    let app = start();
    let (ip, port) = (app.talk.ip().to_string(), app.talk.port().to_string());
    assert_eq!(run("python3", &["-c", TEN_LINES, &ip, &port]).trim(), r"b'app1 got 3 bytes: xxx\n'");
}

#[test]
fn the_events_of_a_talk() {
    let app = start();
    let mut client = app.talker();
    client.send("xxx");
    assert_eq!(client.once(), b"app1 got 3 bytes: xxx\n");
    let peer = client.local();
    drop(client);
    let events = eventually("the talk has ended", || Some(app.events_of(peer)).filter(|events| events.len() == 4));
    assert_eq!(events[0], What::ConnectionAccepted { peer, local: "10.78.2.81:8080".parse().unwrap() });
    let (method, target) = ("TALK".to_owned(), String::new());
    assert_eq!(events[1], What::RequestRead { peer, method, target, bytes: 3 });
    let What::ResponseWritten { status: None, bytes: 22, .. } = events[2] else { panic!("{events:?}") };
    assert_eq!(events[3], What::ConnectionClosed { peer, by: ClosedBy::Peer, bytes_in: 3, bytes_out: 22 });
    assert!(app.report("").events.iter().all(|event| event.trace.is_none()));
    assert_eq!(app.metric("app_talk_exchanges_total"), 1);
    assert_eq!(app.metric("app_tcp_bytes_total{port=\"talk\",direction=\"out\"}"), 22);
}

#[test]
fn any_bytes() {
    let app = start();
    let mut client = app.talker();
    let mut check = |said: &[u8], expected: &[u8]| assert_eq!(client.send(said).once(), expected);
    check(b"hello\n", b"app1 got 6 bytes: hello\n");
    check(b"\r\n", b"app1 got 2 bytes: \r\n");
    check(b"\0\xff\x1b[", b"app1 got 4 bytes: \0\xff\x1b[\n");
    check("你好".as_bytes(), "app1 got 6 bytes: 你好\n".as_bytes());
    check(b"x", b"app1 got 1 byte: x\n");
}

#[test]
fn more_than_is_taken_at_once() {
    let app = start();
    let mut client = app.talker();
    client.send("x".repeat(100_000)).finish_sending();
    let said = client.rest();
    assert_eq!(said.iter().filter(|byte| **byte == b'x').count(), 100_000, "every byte comes back");
    assert!(said.starts_with(b"app1 got 960 bytes: "));
    // Each answer fits into what a simple client reads at once.
    assert!(said.split_inclusive(|byte| *byte == b'\n').all(|answer| answer.len() <= 1024));
}

#[test]
fn the_last_word_is_answered() {
    let app = start();
    let mut client = app.talker();
    assert_eq!(client.send("xxx").finish_sending().rest(), b"app1 got 3 bytes: xxx\n");
    let mut silent = app.talker();
    assert_eq!(silent.finish_sending().rest(), b"");
}

#[test]
fn who_ends_a_talk() {
    let app = start_with(|config| config.limits.read = Duration::from_millis(100));
    let closed_by = |peer| {
        eventually("the talk has ended", || match app.events_of(peer).last() {
            Some(What::ConnectionClosed { by, .. }) => Some(*by),
            _ => None,
        })
    };
    let mut silent = app.talker();
    let peer = silent.local();
    assert_eq!(silent.rest(), b"");
    assert_eq!(closed_by(peer), ClosedBy::TimeLimit);

    let mut rude = app.talker();
    let peer = rude.local();
    rude.send("x").once();
    socket2::SockRef::from(&rude.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(rude);
    assert_eq!(closed_by(peer), ClosedBy::PeerReset);

    let mut deaf = app.talker();
    let peer = deaf.local();
    deaf.stream.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
    while std::io::Write::write_all(&mut deaf.stream, &[b'x'; 65_536]).is_ok() {}
    assert_eq!(closed_by(peer), ClosedBy::TimeLimit, "it never takes its answers");
}

#[test]
fn a_full_house_of_talkers() {
    let app = start_with(|config| config.limits.connections = 1);
    let mut first = app.talker();
    assert!(first.send("a").once().ends_with(b": a\n"));
    let mut second = app.talker();
    second.send("b");
    assert!(first.send("c").once().ends_with(b": c\n"));
    drop(first);
    assert!(second.once().ends_with(b": b\n"));
    // The web server has seats of its own.
    assert_eq!(app.get("/").status, 200);
}

#[test]
fn a_load_of_talks_leaves_room_for_visits() {
    let app = start();
    let mut client = app.talker();
    for _ in 0..1000 {
        client.send("x").once();
    }
    assert!(app.events_of(client.local()).len() <= 1 + 2 * 16);
    app.metric_becomes("app_talk_exchanges_total", 1000);
}

fn udp(app: &Running) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(app.echo).unwrap();
    socket
}

#[test]
fn echo() {
    let app = start();
    let socket = udp(&app);
    let mut back = [0; 65_535];
    for length in [0, 1, 3, 512, 1472, 9000, 65_507] {
        let datagram: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        socket.send(&datagram).unwrap();
        let length = socket.recv(&mut back).unwrap();
        assert!(back[..length] == datagram, "{} came back as {length}", datagram.len());
    }
    let peer = socket.local_addr().unwrap();
    let events = eventually("all are recorded", || Some(app.events_of(peer)).filter(|events| events.len() == 14));
    let (method, target) = ("ECHO".to_owned(), String::new());
    assert_eq!(events[4], What::RequestRead { peer, method, target, bytes: 3 });
    assert!(matches!(events[5], What::ResponseWritten { status: None, bytes: 3, .. }), "{events:?}");
    assert_eq!(app.metric("app_echo_datagrams_total"), 7);
}

#[test]
fn no_echo_of_an_echo() {
    let app = start();
    // Another echo server would be on port 7; here it has the port of this one, at another loopback address.
    let twin = UdpSocket::bind(("127.0.0.2", app.echo.port())).expect("Linux has all of 127.0.0.0/8");
    twin.send_to(b"ping", app.echo).unwrap();
    app.metric_becomes("app_echo_ignored_total", 1);
    assert_eq!(app.metric("app_echo_datagrams_total"), 0);
    let socket = udp(&app);
    socket.send(b"x").unwrap();
    assert_eq!(socket.recv(&mut [0; 10]).unwrap(), 1);
}

#[test]
fn two_echo_services_do_not_answer_each_other_for_ever() {
    let app = start();
    // Answers whatever it gets, at a port of its own: what a forged sender's address would have the server talk to.
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    other.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    other.send_to(b"for ever", app.echo).unwrap();
    let (mut answered, mut buffer) = (0, [0; 64]);
    while let Ok((length, from)) = other.recv_from(&mut buffer) {
        answered += 1;
        assert!(answered < 5_000, "it goes on and on");
        other.send_to(&buffer[..length], from).unwrap();
    }
    assert!(answered >= 100, "a client that sends a burst is answered: {answered}");
    assert!(app.metric("app_echo_ignored_total") >= 1);
}
