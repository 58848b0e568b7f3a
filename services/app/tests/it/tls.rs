//! The same over TLS: curl and a client that sees every byte, and clients that do not shake hands.

use std::time::Duration;

use crate::support::{Client, Running, run, start, start_with, trace, traced};
use journey::{What, event::ClosedBy};

const FAILED: &str = "app_tls_unshaken_total";

/// What curl says, which trusts the server's authority alone and looks for `www.example.local` where the server is.
fn curl(app: &Running, arguments: &[&str]) -> String {
    let (_dir, ca) = app.ca_file();
    let to = format!("www.example.local:{}:{}:{}", app.https.port(), app.https.ip(), app.https.port());
    let usual =
        ["--silent", "--show-error", "--noproxy", "*", "--max-time", "20", "--cacert", &ca, "--connect-to", &to];
    run("curl", &[&usual, arguments].concat())
}

fn url(app: &Running, path: &str) -> String {
    format!("https://www.example.local:{}{path}", app.https.port())
}

#[needs::tools(curl)]
#[test]
fn curl_speaks_both() {
    let app = start();
    let format = "%{http_version} %{http_code} %{ssl_verify_result}";
    let said = |version: &str| {
        curl(&app, &[version, "--output", "/dev/null", "--write-out", format, &url(&app, "/bytes/100000")])
    };
    assert_eq!(said("--http1.1"), "1.1 200 0");
    assert_eq!(said("--http2"), "2 200 0");
    for version in ["--http1.1", "--http2"] {
        let json: serde_json::Value = serde_json::from_str(&curl(&app, &[version, &url(&app, "/json")])).unwrap();
        let tls = &json["connection"]["tls"];
        let alpn = if version == "--http2" { "h2" } else { "http/1.1" };
        assert_eq!((&tls["version"], &tls["alpn"]), (&"TLS 1.3".into(), &alpn.into()), "{json}");
        assert_eq!(tls["server_name"], "www.example.local");
        assert_eq!(json["connection"]["server"], "10.78.2.81:443");
        assert_eq!(json["request"]["version"], if version == "--http2" { "HTTP/2" } else { "HTTP/1.1" });
        assert!(curl(&app, &[version, &url(&app, "/")]).contains("TLS 1.3"));
    }
    let old = curl(&app, &["--tls-max", "1.2", "--write-out", "%{http_version}", &url(&app, "/bytes/3")]);
    assert_eq!(old, "ABC2");
}

#[needs::tools(curl)]
#[test]
fn names_that_the_certificate_has() {
    let app = start();
    let (_dir, ca) = app.ca_file();
    let port = app.https.port();
    let said = |host: &str| {
        let to = format!("{host}:{port}:127.0.0.1:{port}");
        let arguments = ["--silent", "--noproxy", "*", "--cacert", &ca, "--connect-to", &to];
        std::process::Command::new("curl")
            .args(arguments)
            .arg(format!("https://{host}:{port}/bytes/1"))
            .output()
            .unwrap()
    };
    for host in ["example.test", "a.example.local", "localhost", "127.0.0.1", "10.78.2.81", "[::1]"] {
        let output = said(host);
        assert!(output.status.success() && output.stdout == b"A", "{host}: {output:?}");
    }
    for host in ["www.example.org", "www.baidu.com", "a.b.example.local", "10.78.2.82"] {
        assert_eq!(said(host).status.code(), Some(60), "{host}");
    }
}

#[test]
fn both_ends_of_http_1() {
    let app = start();
    let mut client = app.secure(&["http/1.1"]);
    let peer = client.local();
    let request = traced("/bytes/100000", trace(1));
    let response = client.send(&request).response();
    let sent = response.head_bytes as u64 + 100_000;
    client.stream.conn.send_close_notify();
    client.stream.conn.complete_io(&mut client.stream.sock).unwrap();
    drop(client);

    let events = app.events_to_the_end(trace(1));
    assert_eq!(events.len(), 4, "{events:?}");
    assert_eq!(events[0].1, What::ConnectionAccepted { peer, local: "10.78.2.81:443".parse().unwrap() });
    let (method, target) = ("GET".to_owned(), "/bytes/100000".to_owned());
    assert_eq!(events[1].1, What::RequestRead { peer, method, target, bytes: request.len() as u64 });
    let What::ResponseWritten { status, bytes, .. } = events[2].1 else { panic!("{events:?}") };
    assert_eq!((status, bytes), (Some(200), sent), "bytes of HTTP, not of TLS");
    let (by, bytes_in, bytes_out) = (ClosedBy::Peer, request.len() as u64, sent);
    assert_eq!(events[3].1, What::ConnectionClosed { peer, by, bytes_in, bytes_out });
    assert!(events.iter().map(|(at_ns, _)| *at_ns).is_sorted());
    app.metric_becomes("app_connections_open{port=\"https\"}", 0);
    assert_eq!(app.metric("app_tcp_bytes_total{port=\"https\",direction=\"out\"}"), sent);
}

#[test]
fn many_requests_and_a_slow_reader() {
    let app = start();
    let mut client = app.secure(&["http/1.1"]);
    for number in 1..=3 {
        client.send(traced("/bytes/3000000", trace(number)));
    }
    let sizes: Vec<u64> = (1..=3).map(|_| client.response()).map(|r| (r.head_bytes + r.body.len()) as u64).collect();
    for (number, size) in (1..=3).zip(sizes) {
        let events = app.events(trace(number));
        let What::ResponseWritten { bytes, .. } = events[2].1 else { panic!("{events:?}") };
        assert_eq!(bytes, size, "visit {number}");
    }
}

#[test]
fn gone_without_a_word() {
    let app = start();
    let mut client = app.secure(&["http/1.1"]);
    client.send(traced("/bytes/1", trace(1))).response();
    // TCP ends, and TLS was not told.
    client.stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
    let events = app.events_to_the_end(trace(1));
    assert!(matches!(events[3].1, What::ConnectionClosed { by: ClosedBy::Peer, .. }), "{events:?}");
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let app = start_with(|config| config.limits.read = Duration::from_millis(200));
    let mut client = app.secure(&["http/1.1"]);
    client.send(traced("/bytes/1000000000", trace(1)));
    let events = app.events_to_the_end(trace(1));
    let What::ConnectionClosed { by, .. } = events[2].1 else { panic!("{events:?}") };
    assert_eq!(by, ClosedBy::TimeLimit);
}

#[test]
fn an_idle_client_is_told_and_closed() {
    let app = start_with(|config| config.limits.idle = Duration::from_millis(100));
    let mut client = app.secure(&["http/1.1"]);
    client.send(traced("/bytes/1", trace(1))).response();
    assert!(client.is_closed(), "with close_notify, or reading would fail");
    let events = app.events_to_the_end(trace(1));
    assert!(matches!(events[3].1, What::ConnectionClosed { by: ClosedBy::TimeLimit, .. }), "{events:?}");
}

#[test]
fn a_head_over_the_limit_or_in_pieces() {
    let app = start_with(|config| config.limits.read = Duration::from_millis(200));
    let mut half = app.secure(&[]);
    assert_eq!(half.send("GET / HTTP/1.1\r\n").response().status, 408);
    let mut long = app.secure(&[]);
    long.send("GET / HTTP/1.1\r\nHost: a\r\n").send(format!("X: {}\r\n\r\n", "x".repeat(20_000)));
    assert_eq!(long.response().status, 431);
    assert!(long.is_closed());
    let mut garbage = app.secure(&[]);
    assert_eq!(garbage.send("\0\r\n\r\n").response().status, 400);
}

#[test]
fn stalled_handshakes_hold_up_nobody() {
    let app = start_with(|config| config.limits.read = Duration::from_millis(300));
    // Nothing at all, and the begin of a record that never ends (RFC 8446 §5.1).
    let mut silent = Client::connect(app.https);
    let mut half = Client::connect(app.https);
    half.send([22, 3, 1, 2, 0, 1]);
    assert_eq!(app.secure(&["http/1.1"]).get("/bytes/1").status, 200, "others are served meanwhile");
    assert!(silent.is_closed() && half.is_closed());
    app.metric_becomes(&format!("{FAILED}{{reason=\"timeout\"}}"), 2);
    app.metric_becomes("app_connections_open{port=\"https\"}", 0);
}

#[needs::tools(curl, openssl)]
#[test]
fn handshakes_that_come_to_nothing_are_counted() {
    let app = start();
    let failed = |reason: &str, count| app.metric_becomes(&format!("{FAILED}{{reason=\"{reason}\"}}"), count);
    let mut plain = Client::connect(app.https);
    let alert = plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").rest();
    // A fatal alert (RFC 8446 §6), and FIN rather than RST.
    assert_eq!((alert[0], alert[5]), (21, 2), "{alert:?}");
    failed("not_tls", 1);
    drop(Client::connect(app.https));
    failed("client_gone", 1);
    let (output, port) = (std::process::Command::new("curl"), app.https.port());
    let mut distrustful = output;
    // It does not know the authority.
    let url = format!("https://localhost:{port}/");
    let code = distrustful.args(["--silent", "--noproxy", "*", "--http1.1", &url]).status().unwrap().code();
    assert_eq!(code, Some(60));
    failed("refused_by_client", 1);
    let nothing_in_common = run_s_client(port);
    assert!(nothing_in_common.contains("alert"), "{nothing_in_common}");
    failed("other", 1);
    app.metric_becomes("app_connections_open{port=\"https\"}", 0);
}

/// A client of a protocol that is none of ours.
fn run_s_client(port: u16) -> String {
    let to = format!("127.0.0.1:{port}");
    let output = std::process::Command::new("openssl")
        .args(["s_client", "-connect", &to, "-alpn", "spdy/1"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("this test needs openssl, which does not run: {error}"));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_limit_of_connections_holds_for_handshakes_too() {
    let app = start_with(|config| (config.limits.connections, config.limits.read) = (2, Duration::from_secs(15)));
    let stalled = [Client::connect(app.https), Client::connect(app.https)];
    app.metric_becomes("app_connections_open{port=\"https\"}", 2);
    // A third client gets the place of the one that has stalled longest.
    let mut third = app.secure(&["http/1.1"]);
    assert_eq!(third.get("/").status, 200);
    let [mut first, _second] = stalled;
    assert!(first.is_closed());
    app.metric_becomes("app_connections_open{port=\"https\"}", 2);
    assert_eq!(app.get("/").status, 200, "the other port has a limit of its own");
}

#[test]
fn stops_at_once_in_the_midst_of_handshakes() {
    let app = start();
    let (mut stalled, mut idle) = (Client::connect(app.https), app.secure(&["http/1.1"]));
    idle.get("/bytes/1");
    app.metric_becomes("app_connections_open{port=\"https\"}", 2);
    let begin = std::time::Instant::now();
    assert_eq!(app.stop().cut_off, 0);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert!(stalled.is_closed() && idle.is_closed());
}

#[test]
fn a_response_under_way_is_finished() {
    let app = start();
    let mut client = app.secure(&["http/1.1"]);
    client.send(traced("/bytes/50000000", trace(1)));
    client.head();
    app.signals.stop.cancel();
    assert_eq!(client.rest().len(), 50_000_000);
    assert_eq!(app.stop().cut_off, 0);
}

/// What a client says of the handshake, and the certificate that it was shown.
fn shown(app: &Running, name: &str) -> (Result<(), rustls::Error>, Vec<u8>) {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(app.authority.certificate_der().clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let mut tls = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut socket = Client::connect(app.https).stream;
    let done = loop {
        if !tls.is_handshaking() {
            break Ok(());
        }
        if let Err(error) = tls.complete_io(&mut socket) {
            let told = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            break Err(told.unwrap_or_else(|| panic!("{error}")).clone());
        }
    };
    let first = tls.peer_certificates().and_then(|chain| chain.first());
    (done, first.map_or_else(Vec::new, |certificate| certificate.to_vec()))
}

#[test]
fn certificates_that_something_is_wrong_with() {
    use rustls::{CertificateError::*, Error::InvalidCertificate};
    let app = start();
    let check = |fault: &str, expected: fn(&rustls::Error) -> bool| {
        app.signals.faults.clear();
        app.signals.faults.add(fault.parse().unwrap(), None);
        let error = shown(&app, "www.example.local").0.unwrap_err();
        assert!(expected(&error), "{fault}: {error:?}");
    };
    check("app1:tls-expired", |error| matches!(error, InvalidCertificate(ExpiredContext { .. })));
    check("app1:tls-wrong-name", |error| matches!(error, InvalidCertificate(NotValidForNameContext { .. })));
    check("app1:tls-untrusted", |error| matches!(error, InvalidCertificate(UnknownIssuer)));
    app.metric_becomes(&format!("{FAILED}{{reason=\"refused_by_client\"}}"), 3);
    check("app1:tls-not-tls", |error| matches!(error, rustls::Error::InvalidMessage(_)));
    // For one name alone, and the second time.
    app.signals.faults.clear();
    app.signals.faults.add("app1:tls-expired,name=www.example.local,after=1".parse().unwrap(), None);
    for (name, fails) in
        [("www.example.local", false), ("example.test", false), ("www.example.local", true), ("example.test", false)]
    {
        assert_eq!(shown(&app, name).0.is_err(), fails, "{name}");
    }
    assert_eq!(app.signals.faults.list()[0].struck, 1);
    app.signals.faults.clear();
    assert_eq!(shown(&app, "www.example.local").0, Ok(()));
}

#[test]
fn no_tls_where_it_should_be() {
    let app = start();
    app.signals.faults.add("app1:tls-not-tls".parse().unwrap(), None);
    let mut client = Client::connect(app.https);
    // The begin of a ClientHello (RFC 8446 §5.1).
    let answer = client.send([22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]).response();
    assert_eq!((answer.status, answer.field("content-length")), (400, Some("0")));
    assert!(client.is_closed());
    assert_eq!(Client::connect(app.https).send(traced("/bytes/1", trace(1))).response().body, b"A", "it speaks HTTP");
    let events = app.events_to_the_end(trace(1));
    let What::ConnectionAccepted { local, .. } = events[0].1 else { panic!("{events:?}") };
    assert_eq!(local.to_string(), "10.78.2.81:443");
    app.metric_becomes("app_connections_accepted_total{port=\"https\"}", 2);
}
