//! The faults of requests and answers, as clients see them: over HTTP/1.1, and what differs over TLS and HTTP/2.

use std::{
    io::{self, Read, Write},
    time::{Duration, Instant},
};

use crate::support::{Client, Running, eventually, start, trace, traced};
use journey::{What, event::ClosedBy};

use crate::support;

const GET: &str = "GET /bytes/1000 HTTP/1.1\r\nHost: www.example.local\r\n\r\n";
/// A row of `/bytes`.
const ROW: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+\n";

fn with(fault: &str) -> Running {
    let app = start();
    app.signals.faults.add(fault.parse().unwrap(), None);
    app
}

/// All that comes, and how it ends.
fn all<S: Read>(stream: &mut S) -> (Vec<u8>, io::Result<()>) {
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes).map(|_| ());
    (bytes, ended)
}

fn is_reset(ended: &io::Result<()>) -> bool {
    ended.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

/// Who ended the connection, and how much was written to it; the events between its begin and its end.
fn told(app: &Running, number: u8) -> (ClosedBy, u64, Vec<What>) {
    let mut events: Vec<What> = app.events_to_the_end(trace(number)).into_iter().map(|(_, what)| what).collect();
    let Some(What::ConnectionClosed { by, bytes_out, .. }) = events.pop() else { panic!("{events:?}") };
    (by, bytes_out, events.split_off(1))
}

#[test]
fn without_faults_nothing_changes() {
    let app = with("app1:empty,first=1");
    assert!(app.client().send(GET).is_closed());
    assert_eq!(app.client().send(GET).response().body.len(), 1000, "once was all");
    assert_eq!(app.signals.faults.list()[0].struck, 1);
    app.signals.faults.clear();
    assert_eq!(app.client().send(GET).response().body.len(), 1000);
}

#[test]
fn meant_for_some_requests_alone() {
    let app = start();
    let is_met = |fault: &str| {
        app.signals.faults.clear();
        app.signals.faults.add(fault.parse().unwrap(), None);
        app.client().send(GET).head().status == 418
    };
    for fault in ["name=www.example.local", "zone=example.local", "transport=tcp", "client=127.0.0.1", "client=you"] {
        assert!(is_met(&format!("app1:status=418,{fault}")), "{fault}");
    }
    for fault in ["name=example.local", "zone=test", "transport=tls", "client=10.78.1.53", "client=resolver", "type=A"]
    {
        assert!(!is_met(&format!("app1:status=418,{fault}")), "{fault}");
    }
    app.signals.faults.add("app1:status=418,transport=tls,name=localhost".parse().unwrap(), None);
    assert_eq!(app.secure(&[]).get("/bytes/1").status, 418);
}

#[test]
fn reset_before_the_answer_and_within_it() {
    let app = with("app1:reset,first=1");
    let mut client = app.client();
    client.send(traced("/bytes/1000", trace(1)));
    let (bytes, ended) = all(&mut client.stream);
    assert!(bytes.is_empty() && is_reset(&ended), "{bytes:?} {ended:?}");
    let (by, bytes_out, between) = told(&app, 1);
    assert_eq!((by, bytes_out), (ClosedBy::MeReset, 0));
    assert!(matches!(between[..], [What::RequestRead { .. }]), "{between:?}");

    app.signals.faults.add("app1:reset,after=700B".parse().unwrap(), None);
    for (number, mut client) in
        [(2, app.client().stream.into()), (3, app.secure(&["http/1.1"]).stream.into())] as [(u8, Either); 2]
    {
        client.write_all(traced("/bytes/100000", trace(number)).as_bytes()).unwrap();
        let (bytes, ended) = all(&mut client);
        assert!(bytes.len() == 700 && is_reset(&ended), "{} {ended:?}", bytes.len());
        assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert_eq!(told(&app, number).0, ClosedBy::MeReset);
        assert_eq!(told(&app, number).1, 700);
    }
    // Many more than the kernel sends at once.
    app.signals.faults.clear();
    app.signals.faults.add("app1:reset,after=3000000B".parse().unwrap(), None);
    let (bytes, ended) = all(&mut app.client().send(GET.replace("1000", "10000000")).stream);
    assert!(bytes.len() == 3_000_000 && is_reset(&ended), "{} {ended:?}", bytes.len());
    // One that is shorter is whole, and so is the next.
    let mut client = app.client();
    assert_eq!(client.send(GET.replace("1000", "1")).response().body, b"A");
    assert_eq!(client.send(GET.replace("1000", "2")).response().body, b"AB");
}

/// With or without TLS.
enum Either {
    Plain(std::net::TcpStream),
    Secure(Box<support::Secure>),
}

impl From<std::net::TcpStream> for Either {
    fn from(stream: std::net::TcpStream) -> Self {
        Self::Plain(stream)
    }
}

impl From<support::Secure> for Either {
    fn from(stream: support::Secure) -> Self {
        Self::Secure(Box::new(stream))
    }
}

impl Read for Either {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Secure(stream) => stream.read(buffer),
        }
    }
}

impl Write for Either {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buffer),
            Self::Secure(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn cut_in_the_middle_or_behind_so_many_bytes() {
    let app = with("app1:cut");
    for (number, mut client) in
        [(1, app.client().stream.into()), (2, app.secure(&["http/1.1"]).stream.into())] as [(u8, Either); 2]
    {
        client.write_all(traced("/bytes/1001", trace(number)).as_bytes()).unwrap();
        let (bytes, ended) = all(&mut client);
        ended.expect("FIN, and over TLS close_notify");
        let text = String::from_utf8(bytes).unwrap();
        let (head, content) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.to_ascii_lowercase().contains("\r\ncontent-length: 1001\r\n"), "{head}");
        assert_eq!(content.len(), 500);
        let (by, bytes_out, between) = told(&app, number);
        assert_eq!((by, bytes_out), (ClosedBy::Me, text.len() as u64));
        assert!(matches!(between[..], [What::RequestRead { .. }]), "{between:?}");
    }
    // What has no content is whole.
    let mut client = app.client();
    assert_eq!(client.send(GET.replace("1000", "0")).response().status, 200);
    assert_eq!(client.send(GET.replace("GET", "HEAD")).head().status, 200);
    assert_eq!(app.signals.faults.list()[0].struck, 2, "nor was anything cut");
    // Those behind it have their turn then.
    app.signals.faults.add("app1:status=503".parse().unwrap(), None);
    assert_eq!(client.send(GET.replace("1000", "0")).response().status, 503);
    app.signals.faults.clear();
    app.signals.faults.add("app1:drip=1ms,first=1".parse().unwrap(), None);
    assert_eq!(app.client().send(GET.replace("1000", "0")).response().status, 200);
    assert_eq!(app.signals.faults.list()[0].struck, 0);
    app.signals.faults.clear();
    app.signals.faults.add("app1:cut,after=9B".parse().unwrap(), None);
    assert_eq!(app.client().send(GET).rest(), b"HTTP/1.1 ");
}

#[test]
fn empty_and_garbage() {
    let app = with("app1:empty");
    for (number, mut client) in
        [(1, app.client().stream.into()), (2, app.secure(&["http/1.1"]).stream.into())] as [(u8, Either); 2]
    {
        client.write_all(traced("/", trace(number)).as_bytes()).unwrap();
        let (bytes, ended) = all(&mut client);
        ended.expect("FIN, and over TLS close_notify");
        assert!(bytes.is_empty());
        assert_eq!((told(&app, number).0, told(&app, number).1), (ClosedBy::Me, 0));
    }
    app.signals.faults.clear();
    app.signals.faults.add("app1:garbage".parse().unwrap(), None);
    let mut client = app.client();
    let garbage = client.send(traced("/", trace(3))).rest();
    assert_eq!(garbage.len(), 64);
    assert!(!garbage.starts_with(b"HTTP/") && std::str::from_utf8(&garbage).is_err());
    assert_eq!((told(&app, 3).0, told(&app, 3).1), (ClosedBy::Me, 64));
    assert_eq!(app.secure(&[]).send(GET).rest(), garbage);
}

#[test]
fn the_first_byte_is_late() {
    let app = with("app1:slow-first-byte=300ms");
    let begin = Instant::now();
    let mut client = app.client();
    assert_eq!(client.send(traced("/bytes/10", trace(1))).response().status, 200);
    assert!(begin.elapsed() >= Duration::from_millis(300));
    let written = app.events(trace(1)).into_iter().find_map(|(_, what)| match what {
        What::ResponseWritten { elapsed_us, .. } => Some(elapsed_us),
        _ => None,
    });
    assert!(written.unwrap() >= 300_000);
    app.signals.faults.add("app1:slow-first-byte=60s".parse().unwrap(), None);
    app.signals.faults.remove(1);
    client.send(traced("/bytes/10", trace(2)));
    eventually("the request is read", || (app.events(trace(2)).len() == 2).then_some(()));
    let begin = Instant::now();
    app.signals.stop.cancel();
    assert_eq!(client.response().body.len(), 10);
    assert_eq!(app.stop().cut_off, 0);
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn drops() {
    let app = with("app1:drip=20ms");
    for alpn in [&["http/1.1"][..], &[]] {
        let begin = Instant::now();
        let mut client = app.secure(alpn);
        assert_eq!(client.send(GET).response().body, ROW.repeat(16)[..1000]);
        // 8 drops, 7 pauses.
        assert!(begin.elapsed() >= Duration::from_millis(140), "{:?}", begin.elapsed());
    }
    // A pause that is longer than a client may take for the next bytes is not the client's.
    let app = start_with_short_read("app1:drip=1500ms");
    let mut client = app.client();
    client.send(GET.replace("1000", "200"));
    client.head();
    let first = client.read.len();
    assert_eq!(first, 128, "the first comes with the head");
    while client.read.len() < 200 {
        assert!(client.more() > 0);
    }
    // What is under way when the server stops is finished at once.
    app.signals.faults.add("app1:drip=60s".parse().unwrap(), None);
    app.signals.faults.remove(1);
    let mut client = app.client();
    client.send(GET).head();
    let begin = Instant::now();
    app.signals.stop.cancel();
    while client.read.len() < 1000 {
        assert!(client.more() > 0);
    }
    assert_eq!(app.stop().cut_off, 0);
    assert!(begin.elapsed() < Duration::from_secs(10));
}

fn start_with_short_read(fault: &str) -> Running {
    let app = support::start_with(|config| config.limits.read = Duration::from_secs(1));
    app.signals.faults.add(fault.parse().unwrap(), None);
    app
}

#[test]
fn statuses_and_redirects() {
    let app = with("app1:status");
    for target in ["/", "/bytes/10", "/nothing"] {
        let response = app.client().send(GET.replace("/bytes/1000", target)).response();
        assert_eq!(response.status, 503);
        assert!(response.text().contains("503 Service Unavailable"), "{}", response.text());
    }
    app.signals.faults.clear();
    app.signals.faults.add("app1:status=204".parse().unwrap(), None);
    assert_eq!(app.client().send(GET).response().status, 204);
    app.signals.faults.clear();
    app.signals.faults.add("app1:redirect-loop".parse().unwrap(), None);
    let request = "GET /a?b=c HTTP/1.1\r\nHost: www.example.local:8080\r\n\r\n";
    let response = app.client().send(request).response();
    let url = "http://www.example.local:8080/a?b=c";
    assert_eq!((response.status, response.field("location")), (302, Some(url)));
    let response = app.secure(&["http/1.1"]).send(request).response();
    assert_eq!(response.field("location"), Some("https://www.example.local:8080/a?b=c"));
    let response = app.client().send("GET / HTTP/1.0\r\n\r\n").response();
    assert_eq!(response.field("location"), Some("http://10.78.2.81:80/"));
}

#[test]
fn without_end_until_the_client_goes_or_the_server_stops() {
    let app = with("app1:endless");
    let mut client = app.client();
    client.send(traced("/", trace(1)));
    let head = client.head();
    assert_eq!((head.field("transfer-encoding"), head.field("content-length")), (Some("chunked"), None));
    let mut read = 0;
    while read < 100_000_000 {
        read += client.more();
        client.read.clear();
    }
    drop(client);
    assert_eq!(told(&app, 1).0, ClosedBy::PeerReset);
    let head = app.client().send(GET.replace("GET", "HEAD")).head();
    assert_eq!((head.status, head.field("content-length")), (200, None));
    // To a client that does not take it no more is written than its socket holds.
    let mut lazy = app.client();
    lazy.send(GET).head();
    let mut client = app.client();
    client.send(GET).head();
    app.signals.stop.cancel();
    assert!(client.rest().ends_with(b"\r\n0\r\n\r\n"), "it ends in order");
    drop(lazy);
    assert_eq!(app.stop().cut_off, 0);
}

#[test]
fn doors() {
    let app = with("app1:refused");
    let refused = |to| {
        let error = std::net::TcpStream::connect_timeout(&to, Duration::from_secs(5)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    };
    [app.http, app.https, app.talk].into_iter().for_each(refused);
    assert_eq!(Client::connect(app.admin).get("/ready").status, 200, "the admin port is none of these");
    app.signals.faults.clear();
    assert_eq!(app.get("/bytes/1").status, 200);
    app.signals.faults.add("app1:blackhole".parse().unwrap(), None);
    for to in [app.http, app.https, app.talk] {
        let error = std::net::TcpStream::connect_timeout(&to, Duration::from_millis(200)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
    assert_eq!(Client::connect(app.admin).get("/ready").status, 200);
    app.signals.faults.clear();
    assert_eq!(app.secure(&[]).get("/bytes/1").status, 200);
    assert_eq!(app.stop().cut_off, 0);
}

#[test]
fn a_full_accept_queue_is_told() {
    let app = start();
    assert_eq!(app.report("").queues, []);
    app.signals.faults.add("app1:accept-stall".parse().unwrap(), None);
    let full = || {
        let queues = app.report("").queues;
        let is_full = |at| queues.iter().any(|queue| queue.address == at && queue.is_full());
        [app.http, app.https, app.talk].into_iter().all(is_full).then_some(())
    };
    eventually("the queues are full", full);
    let error = std::net::TcpStream::connect_timeout(&app.http, Duration::from_millis(200)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    app.signals.faults.clear();
    eventually("the queues are empty", || app.report("").queues.is_empty().then_some(()));
    assert_eq!(app.get("/bytes/1").status, 200);
    // The connections that filled it were nobody's.
    app.metric_becomes("app_connections_accepted_total{port=\"http\"}", 1);
}
