//! What `/events` says, exactly: which events, in which order, with which numbers.

use std::time::Duration;

use crate::support::{Client, Running, eventually, start, start_with, trace, traced};
use journey::{What, event::ClosedBy};

fn kinds(events: &[(u64, What)]) -> Vec<&'static str> {
    let kind = |what: &What| match what {
        What::ConnectionAccepted { .. } => "accepted",
        What::RequestRead { .. } => "read",
        What::ResponseWritten { .. } => "written",
        What::ConnectionClosed { .. } => "closed",
        _ => "other",
    };
    events.iter().map(|(_, what)| kind(what)).collect()
}

fn closed(events: &[(u64, What)]) -> (ClosedBy, u64, u64) {
    match events.last() {
        Some((_, What::ConnectionClosed { by, bytes_in, bytes_out, .. })) => (*by, *bytes_in, *bytes_out),
        other => panic!("not closed: {other:?}"),
    }
}

#[test]
fn a_visit() {
    let app = start();
    let before = service::ring::now_ns();
    let mut client = app.client();
    let request = traced("/bytes/100000?secret=1", trace(1));
    let response = client.send(&request).response();
    let (peer, sent) = (client.local(), response.head_bytes as u64 + 100_000);
    drop(client);

    let events = app.events_to_the_end(trace(1));
    assert_eq!(kinds(&events), ["accepted", "read", "written", "closed"]);
    assert_eq!(events[0].1, What::ConnectionAccepted { peer, local: "10.78.2.81:80".parse().unwrap() });
    let (method, target) = ("GET".to_owned(), "/bytes/100000".to_owned());
    assert_eq!(events[1].1, What::RequestRead { peer, method, target, bytes: request.len() as u64 });
    let What::ResponseWritten { peer: to, status, bytes, elapsed_us } = events[2].1 else { unreachable!() };
    assert_eq!((to, status, bytes), (peer, Some(200), sent));
    assert!(elapsed_us * 1000 <= events[2].0 - events[1].0 + 1000);
    assert_eq!(closed(&events), (ClosedBy::Peer, request.len() as u64, sent));

    let times: Vec<u64> = events.iter().map(|(at_ns, _)| *at_ns).collect();
    assert!(times[0] >= before && times.is_sorted(), "{times:?}");
}

#[test]
fn without_a_visit_nothing_is_recorded() {
    let app = start();
    app.get("/");
    app.client().send("GET / HTTP/1.1\r\nHost: a\r\ntraceparent: nonsense\r\n\r\n").response();
    let report = app.report("");
    assert_eq!((report.host.as_str(), report.service.as_str(), report.events.len()), ("app1", "app", 0));
}

#[test]
fn several_visits_on_one_connection() {
    let app = start();
    let mut client = app.client();
    client.get("/bytes/1");
    client.send(traced("/bytes/2", trace(1))).response();
    client.send(traced("/bytes/3", trace(2))).response();
    client.send(traced("/bytes/4", trace(1))).response();
    drop(client);
    let (one, two) = (app.events_to_the_end(trace(1)), app.events_to_the_end(trace(2)));
    assert_eq!(kinds(&one), ["accepted", "read", "written", "read", "written", "closed"]);
    assert_eq!(kinds(&two), ["accepted", "read", "written", "closed"]);
    assert_eq!(one[0].0, two[0].0, "it was accepted once");
    assert_eq!(closed(&one), closed(&two));
}

#[test]
fn pipelined_each_with_its_own_bytes() {
    let app = start();
    let mut client = app.client();
    let body = "x".repeat(20);
    let first = traced("/bytes/70000", trace(1));
    let second = traced("/headers", trace(2)).replace("GET", "POST");
    let second = second.replace("\r\n\r\n", "\r\nContent-Length: 20\r\n\r\n");
    let third = traced("/nothing", trace(3)).replace("GET", "HEAD");
    client.send(format!("{first}{second}{body}{third}"));
    let sizes = [client.response(), client.response(), client.head()].map(|r| (r.head_bytes + r.body.len()) as u64);
    drop(client);
    for (number, (head, size)) in [(1, (first, sizes[0])), (2, (second, sizes[1])), (3, (third, sizes[2]))] {
        let events = app.events_to_the_end(trace(number));
        assert_eq!(kinds(&events), ["accepted", "read", "written", "closed"], "visit {number}");
        let What::RequestRead { bytes, .. } = events[1].1 else { unreachable!() };
        assert_eq!(bytes, head.len() as u64, "visit {number}");
        let What::ResponseWritten { bytes, .. } = events[2].1 else { unreachable!() };
        assert_eq!(bytes, size, "visit {number}");
    }
}

fn ended(app: &Running, number: u8, end: impl FnOnce(Client)) -> (ClosedBy, u64, u64) {
    let mut client = app.client();
    client.send(traced("/bytes/1", trace(number))).response();
    end(client);
    let events = app.events_to_the_end(trace(number));
    assert_eq!(kinds(&events), ["accepted", "read", "written", "closed"]);
    closed(&events)
}

fn reset(client: Client) {
    // RFC 9293 §3.10.4 ABORT: closing with a linger time of zero sends a RST.
    socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
}

#[test]
fn who_closed() {
    let app = start_with(|config| config.limits.idle = Duration::from_millis(300));
    assert_eq!(ended(&app, 1, drop).0, ClosedBy::Peer);
    assert_eq!(ended(&app, 2, reset).0, ClosedBy::PeerReset);
    assert_eq!(ended(&app, 3, |mut client| assert!(client.is_closed())).0, ClosedBy::TimeLimit);
    let last = "GET /bytes/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let by_request = |mut client: Client| {
        client.send(last).response();
        assert!(client.is_closed());
    };
    assert_eq!(ended(&app, 4, by_request).0, ClosedBy::Me);
    let by_garbage = |mut client: Client| assert_eq!(client.send("\0\r\n\r\n").response().status, 400);
    assert_eq!(ended(&app, 5, by_garbage).0, ClosedBy::Me);
    let half = |mut client: Client| assert_eq!(client.send("GET").finish_sending().rest(), b"");
    let (by, bytes_in, _) = ended(&app, 6, half);
    assert_eq!((by, bytes_in), (ClosedBy::Peer, traced("/bytes/1", trace(6)).len() as u64 + 3));
}

#[test]
fn closed_by_the_server_when_it_stops() {
    let app = start();
    // Keeps the server from ending before it is asked what happened.
    let mut busy = app.client();
    busy.send("GET /bytes/1000000000 HTTP/1.1\r\nHost: a\r\n\r\n").head();
    let by = ended(&app, 1, |mut client| {
        app.signals.stop.cancel();
        assert!(client.is_closed());
    });
    assert_eq!(by.0, ClosedBy::Me);
}

#[test]
fn reset_within_a_response() {
    let app = start();
    let mut client = app.client();
    client.send(traced("/bytes/1000000000", trace(1)));
    client.head();
    reset(client);
    let events = app.events_to_the_end(trace(1));
    assert_eq!(kinds(&events), ["accepted", "read", "closed"], "no response was written to its last byte");
    assert_eq!(closed(&events).0, ClosedBy::PeerReset);
}

#[test]
fn gone_while_it_waits() {
    for (number, end, by) in [(1, drop as fn(Client), ClosedBy::Peer), (2, reset, ClosedBy::PeerReset)] {
        let app = start();
        let mut client = app.client();
        client.send(traced("/delay/60000", trace(number)));
        eventually("it is read", || (app.events(trace(number)).len() == 2).then_some(()));
        end(client);
        let events = app.events_to_the_end(trace(number));
        assert_eq!((kinds(&events), closed(&events).0), (vec!["accepted", "read", "closed"], by));
    }
}

#[test]
fn a_slow_client_is_given_up() {
    let app = start_with(|config| config.limits.read = Duration::from_millis(100));
    let mut client = app.client();
    client.send(traced("/bytes/1000000000", trace(1)));
    let events = app.events_to_the_end(trace(1));
    assert_eq!((kinds(&events), closed(&events).0), (vec!["accepted", "read", "closed"], ClosedBy::TimeLimit));
}

#[test]
fn interim_responses_are_not_the_response() {
    let app = start();
    let mut client = app.client();
    let head = traced("/headers", trace(1)).replace("GET", "PUT");
    let head = head.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    let interim = client.send(&head).head();
    assert_eq!(interim.status, 100);
    let response = client.send("abc").response();
    drop(client);
    let events = app.events_to_the_end(trace(1));
    let What::ResponseWritten { bytes, .. } = events[2].1 else { panic!("{events:?}") };
    assert_eq!(bytes, (response.head_bytes + response.body.len()) as u64);
    assert_eq!(closed(&events), (ClosedBy::Peer, head.len() as u64 + 3, bytes + interim.head_bytes as u64));
}

#[test]
fn long_targets_are_cut() {
    let app = start();
    let mut client = app.client();
    client.send(traced(&format!("/{}", "x".repeat(5000)), trace(1))).response();
    let events = app.events(trace(1));
    let What::RequestRead { target, .. } = &events[1].1 else { panic!("{events:?}") };
    assert_eq!((target.chars().count(), target.ends_with('…')), (201, true));
}
