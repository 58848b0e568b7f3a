//! How the server ends, and what its admin port says meanwhile.

use std::time::{Duration, Instant};

use crate::support::{Client, eventually, start, start_with, trace, traced};

use crate::support;

fn is_busy(app: &support::Running, number: u8) {
    eventually("the request is read", || (app.events(trace(number)).len() == 2).then_some(()));
}

#[test]
fn stops_at_once_when_idle() {
    let app = start();
    let mut idle = app.client();
    idle.get("/");
    let (mut fresh, mut half, mut talker) = (app.client(), app.client(), app.talker());
    half.send("GET / HTTP/1.1\r\n");
    talker.send("x").once();
    // Every one of them is accepted.
    app.metric_becomes("app_connections_open{port=\"http\"}", 3);
    let (http, begin) = (app.http, Instant::now());
    assert_eq!(app.stop().cut_off, 0);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    for client in [&mut idle, &mut fresh, &mut talker] {
        assert!(client.is_closed());
    }
    half.rest();
    assert!(std::net::TcpStream::connect(http).is_err(), "nobody listens");
}

#[test]
fn a_delay_ends_when_the_server_stops() {
    let app = start();
    let mut client = app.client();
    client.send(traced("/delay/60000", trace(1)));
    is_busy(&app, 1);
    let begin = Instant::now();
    app.signals.stop.cancel();
    let response = client.response();
    assert_eq!((response.status, response.field("connection")), (503, Some("close")));
    assert_eq!(response.json()["ended_early"], "the server stops");
    assert!(client.is_closed());
    assert_eq!(app.stop().cut_off, 0);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[test]
fn a_response_under_way_is_finished() {
    let app = start();
    let mut client = app.client();
    client.send(traced("/bytes/50000000", trace(1)));
    client.head();
    app.signals.stop.cancel();
    eventually("new clients are refused", || std::net::TcpStream::connect(app.http).is_err().then_some(()));
    assert_eq!(Client::connect(app.admin).get("/ready").status, 503, "not ready, but still there to say so");
    assert_eq!(Client::connect(app.admin).get("/live").status, 200);
    assert_eq!(client.rest().len(), 50_000_000);
    assert_eq!(app.stop().cut_off, 0);
}

#[test]
fn what_does_not_end_is_cut_off() {
    let app = start();
    let mut client = app.client();
    client.send(traced("/bytes/1000000000", trace(1)));
    client.head();
    let begin = Instant::now();
    assert_eq!(app.stop().cut_off, 1);
    assert!(begin.elapsed() >= service::start::GRACE && begin.elapsed() < service::start::GRACE * 3);
}

#[test]
fn admin() {
    let app = start();
    assert_eq!(Client::connect(app.admin).get("/ready").status, 200);
    app.get("/");
    app.get("/nothing");
    let metrics = app.metrics();
    for line in [
        "app_http_requests_total{route=\"/\",class=\"2xx\"} 1",
        "app_http_requests_total{route=\"unknown\",class=\"4xx\"} 1",
        "app_connections_accepted_total{port=\"http\"} 2",
        "# TYPE app_echo_bytes counter",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

#[test]
fn a_server_without_sockets_waits_to_be_stopped() {
    let app = start_with(|config| config.addresses.clear());
    assert_eq!(app.get("/").status, 200);
    assert_eq!(app.stop().cut_off, 0);
}
