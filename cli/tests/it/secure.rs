//! Visits whose resolver is asked over TLS and over HTTPS, and goes wrong on every layer.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::peer::{
    ClosedPort, End, Server,
    dns::{good, reply, serve},
    run, visit,
};
use crate::pki::{Kind, Pki, tls_server};
use bytes::Bytes;
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};
use hyper::Response;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

type Secured = TlsStream<TcpStream>;

fn website() -> String {
    let server = Server::start(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(), End::WhenPeerCloses);
    server.url("/").replace("127.0.0.1", "name.test")
}

fn name_stage(journey: &Value) -> &Value {
    &journey["hops"][0]["stages"][1]
}

async fn read_message(stream: &mut Secured) -> Option<Vec<u8>> {
    let length = stream.read_u16().await.ok()?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await.ok()?;
    Some(message)
}

async fn write_message(stream: &mut Secured, message: &[u8]) {
    let mut framed = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    framed.extend(message);
    stream.write_all(&framed).await.unwrap();
    stream.flush().await.unwrap();
}

/// The queries that came, as they came.
type Queries = Arc<Mutex<Vec<Vec<u8>>>>;

/// A resolver over TLS that answers the first question after the second; how many connections it had, and the queries.
fn dot(pki: &Pki, kind: Kind) -> (u16, Arc<AtomicUsize>, Queries) {
    let connections = Arc::new(AtomicUsize::new(0));
    let queries = Arc::new(Mutex::new(Vec::new()));
    let (count, seen) = (Arc::clone(&connections), Arc::clone(&queries));
    let port = tls_server(&pki.issue(kind), "dot", move |mut stream| {
        count.fetch_add(1, Ordering::SeqCst);
        let seen = Arc::clone(&seen);
        async move {
            let (Some(first), Some(second)) = (read_message(&mut stream).await, read_message(&mut stream).await) else {
                return;
            };
            for query in [&second, &first] {
                let reply = good(&Message::from_vec(query).unwrap()).to_vec().unwrap();
                write_message(&mut stream, &reply).await;
            }
            seen.lock().unwrap().extend([first, second]);
            // Until the other side closes.
            let _ = stream.read_u8().await;
        }
    });
    (port, connections, queries)
}

#[test]
fn over_tls_both_questions_share_a_connection() {
    let pki = Pki::new();
    let (port, connections, queries) = dot(&pki, Kind::GOOD);
    let resolver = format!("tls://localhost:{port}");
    let args = ["--cacert", &pki.root(), "--resolver", &resolver, &website()];
    let (code, journey) = visit(&args);
    assert_eq!(code, 0, "{journey:#}");
    let stage = name_stage(&journey);
    assert_eq!((&stage["source"]["url"], &stage["addresses"][0]["ip"]), (&json!(resolver), &json!("127.0.0.1")));
    let exchanges = stage["exchanges"].as_array().unwrap();
    let of = |pointer: &str| -> Vec<&Value> { exchanges.iter().filter_map(|e| e.pointer(pointer)).collect() };
    assert_eq!(of("/transport"), [&json!("tls"), &json!("tls")]);
    assert_eq!(of("/result"), [&json!("reply"), &json!("reply")]);
    // The handshake belongs to the question that needed it.
    assert_eq!(of("/tls/version"), [&json!("TLS 1.3")], "{journey:#}");
    assert_eq!((of("/tls/verified/result"), of("/tls/alpn")), (vec![&json!("yes")], vec![&json!("dot")]));
    let opening = &exchanges[0]["opening"];
    let spent = opening["connect_us"].as_u64().unwrap() + opening["handshake_us"].as_u64().unwrap();
    assert!(spent > 0 && spent <= exchanges[0]["duration_us"].as_u64().unwrap(), "{journey:#}");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    // From outside, all questions have the same length (RFC 8467 §4.1).
    let lengths: Vec<usize> = queries.lock().unwrap().iter().map(Vec::len).collect();
    assert!(lengths.iter().all(|length| length % 128 == 0), "{lengths:?}");

    let (port, ..) = dot(&pki, Kind::GOOD);
    let resolver = format!("tls://localhost:{port}");
    let args = ["--cacert", &pki.root(), "--resolver", &resolver, &website()];
    let screen = String::from_utf8(run(&args).stdout).unwrap();
    for words in
        [&format!("you asked {resolver} at 127.0.0.1:{port} (--resolver)"), "A     tls 1 record", "TLS 1.3 · dot"]
    {
        assert!(screen.contains(words), "{words:?}: {screen}");
    }
}

/// A resolver over HTTP/2 that answers each request so.
fn doh(
    pki: &Pki,
    answer: impl Fn(&Message) -> (u16, &'static str, Vec<u8>) + Clone + Send + 'static,
) -> (u16, Requests) {
    let requests: Requests = Arc::default();
    let seen = Arc::clone(&requests);
    let port = tls_server(&pki.issue(Kind::GOOD), "h2", move |stream| {
        let (answer, seen) = (answer.clone(), Arc::clone(&seen));
        async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let (answer, seen) = (answer.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    let (head, mut body) = request.into_parts();
                    let mut message = Vec::new();
                    while let Some(Ok(chunk)) = body.data().await {
                        let _ = body.flow_control().release_capacity(chunk.len());
                        message.extend(chunk);
                    }
                    let kind = head.headers.get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
                    let query = Message::from_vec(&message).unwrap();
                    seen.lock().unwrap().push((
                        format!("{} {}", head.method, head.uri.path()),
                        kind.unwrap_or_default(),
                        query.metadata.id,
                    ));
                    let (status, kind, content) = answer(&query);
                    let response = Response::builder().status(status).header("content-type", kind).header("age", "20");
                    let mut body = respond.send_response(response.body(()).unwrap(), false).unwrap();
                    let _ = body.send_data(Bytes::from(content), true);
                });
            }
        }
    });
    (port, requests)
}

/// Method and path, media type, id.
type Requests = Arc<Mutex<Vec<(String, String, u16)>>>;

const MESSAGE: &str = "application/dns-message";

#[test]
fn over_https_with_http2() {
    let pki = Pki::new();
    let (port, requests) = doh(&pki, |query| (200, MESSAGE, good(query).to_vec().unwrap()));
    let resolver = format!("https://localhost:{port}");
    let (code, journey) = visit(&["--cacert", &pki.root(), "--resolver", &resolver, &website()]);
    assert_eq!(code, 0, "{journey:#}");
    let stage = name_stage(&journey);
    assert_eq!(stage["source"]["url"], format!("{resolver}/dns-query"));
    let exchanges = &stage["exchanges"];
    assert_eq!((&exchanges[0]["transport"], &exchanges[1]["transport"]), (&json!("https"), &json!("https")));
    assert_eq!((&exchanges[0]["tls"]["alpn"], exchanges[1].get("tls")), (&json!("h2"), None), "{journey:#}");
    // A cache of HTTP had it for 20 of its 60 seconds.
    assert_eq!(stage["addresses"][0]["ttl"], 40);
    let expected = ("POST /dns-query".to_owned(), MESSAGE.to_owned(), 0);
    assert_eq!(*requests.lock().unwrap(), [expected.clone(), expected]);
}

#[test]
fn over_https_with_http1() {
    let pki = Pki::new();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let port = tls_server(&pki.issue(Kind::GOOD), "http/1.1", move |mut stream| {
        let seen = Arc::clone(&seen);
        async move {
            loop {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
                let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
                let mut body = vec![0; length.parse().unwrap()];
                stream.read_exact(&mut body).await.unwrap();
                seen.lock().unwrap().push(head);
                let reply = good(&Message::from_vec(&body).unwrap()).to_vec().unwrap();
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-type: {MESSAGE}\r\ncontent-length: {}\r\n\r\n", reply.len());
                stream.write_all(&[head.as_bytes(), &reply].concat()).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    });
    let resolver = format!("https://localhost:{port}/q?a=b");
    let (code, journey) = visit(&["--cacert", &pki.root(), "--resolver", &resolver, &website()]);
    assert_eq!(code, 0, "{journey:#}");
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 2);
    for head in heads.iter() {
        assert!(head.starts_with("post /q?a=b http/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("host: localhost:{port}\r\n")), "{head}");
    }
}

/// A resolver that fails: the reason, and words of the verdict. The name stage is the one that failed, whatever it was.
fn check(pki: &Pki, resolver: &str, args: &[&str], code: i32, reason: &str, words: &str) {
    let (seen, journey) =
        visit(&[&["--cacert", &pki.root(), "--resolver", resolver, "http://name.test/"], args].concat());
    let outcome = &journey["outcome"];
    assert_eq!((seen, &outcome["reason"]), (code, &json!(reason)), "{words}: {outcome:#}");
    assert_eq!(outcome["failed_stage"], "name", "{words}");
    let verdict = outcome["verdict"].as_str().unwrap();
    assert!(verdict.contains(words), "{words:?} is not in {verdict:?}");
    assert_ne!(name_stage(&journey)["exchanges"], json!([]), "{words}");
}

#[test]
fn no_connection() {
    let pki = Pki::new();
    let closed = ClosedPort::new();
    let port = closed.url().trim_end_matches('/').rsplit_once(':').unwrap().1.to_owned();
    check(&pki, &format!("tls://127.0.0.1:{port}"), &[], 6, "resolver_down", "no connection: nothing listens");
    check(&pki, &format!("https://127.0.0.1:{port}"), &[], 6, "resolver_down", "no connection: nothing listens");
}

#[test]
fn what_was_not_sent_is_no_query() {
    let closed = ClosedPort::new();
    let port = closed.url().trim_end_matches('/').rsplit_once(':').unwrap().1.to_owned();
    let (code, journey) = visit(&["--resolver", &format!("tls://127.0.0.1:{port}"), "http://name.test/"]);
    assert_eq!(code, 6, "{:#}", journey["outcome"]);
    let sent = journey["events"].as_array().unwrap().iter().filter(|event| event["kind"] == "query_sent").count();
    assert_eq!(sent, 0, "{journey:#}");
    assert!(name_stage(&journey)["exchanges"][0]["sent_us"].is_null(), "{journey:#}");
}

#[test]
fn a_query_is_sent_after_the_handshake() {
    let pki = Pki::new();
    let (port, ..) = dot(&pki, Kind::GOOD);
    let resolver = format!("tls://localhost:{port}");
    let (code, journey) = visit(&["--resolver", &resolver, "--cacert", &pki.root(), &website()]);
    assert_eq!(code, 0, "{:#}", journey["outcome"]);
    let exchange = &name_stage(&journey)["exchanges"][0];
    let opening = &exchange["opening"];
    let opened = opening["connect_us"].as_u64().unwrap() + opening["handshake_us"].as_u64().unwrap();
    let (begun, sent) = (exchange["start_us"].as_u64().unwrap(), exchange["sent_us"].as_u64().unwrap());
    assert!(sent >= begun + opened, "{exchange:#}");
}

#[test]
fn a_token_in_the_resolvers_url_is_not_shown() {
    let closed = ClosedPort::new();
    let port = closed.url().trim_end_matches('/').rsplit_once(':').unwrap().1.to_owned();
    let resolver = format!("https://127.0.0.1:{port}/dns-query?token=grape");
    for extra in ["--json", "-v"] {
        let output = run(&["--resolver", &resolver, extra, "http://name.test/"]);
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!shown.contains("grape") && shown.contains("token=(removed)"), "{shown}");
    }
}

#[test]
fn no_tls() {
    let pki = Pki::new();
    let (port, ..) = dot(&pki, Kind { from_days: -30, to_days: -4, ..Kind::GOOD });
    let resolver = format!("tls://localhost:{port}");
    check(&pki, &resolver, &[], 6, "certificate_expired", "the certificate of localhost expired 3 days ago");
    let (port, ..) = dot(&pki, Kind { name: "other.test", ..Kind::GOOD });
    let resolver = format!("tls://localhost:{port}");
    check(&pki, &resolver, &[], 6, "certificate_wrong_name", "is for other.test, and not for localhost");
    // The certificate that was refused is there to be looked at, once.
    let (_, journey) = visit(&["--cacert", &pki.root(), "--resolver", &resolver, "http://name.test/"]);
    let exchanges = &name_stage(&journey)["exchanges"];
    assert_eq!(exchanges[0]["tls"]["chain"][0]["names"][0], "other.test", "{journey:#}");
    assert_eq!(exchanges[1].get("tls"), None);
    // What is no TLS at all.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 2048]);
            let _ = stream.write_all(b"220 welcome\r\n");
        }
    });
    check(&pki, &format!("tls://localhost:{port}"), &[], 6, "not_tls", "is no TLS");
}

#[test]
fn wrong_in_http() {
    let pki = Pki::new();
    let (port, _) = doh(&pki, |_| (404, "text/html", b"not here".to_vec()));
    let resolver = format!("https://localhost:{port}");
    // HTTP/2 has no reason phrase (RFC 9113 §8.3.2).
    check(
        &pki,
        &resolver,
        &[],
        6,
        "bad_reply",
        "it answers with the HTTP status 404, so DNS is not served at this path",
    );
    let (port, _) = doh(&pki, |_| (200, "text/html", b"<html>".to_vec()));
    let resolver = format!("https://localhost:{port}");
    check(&pki, &resolver, &[], 6, "bad_reply", "it answers with text/html, and not with application/dns-message");
}

#[test]
fn a_reason_phrase_is_quoted_as_it_was_sent() {
    let pki = Pki::new();
    let check_line = |line: &'static str, words: &str| {
        let port = tls_server(&pki.issue(Kind::GOOD), "http/1.1", move |mut stream| async move {
            let mut head = Vec::new();
            while !head.windows(4).any(|four| four == b"\r\n\r\n")
                && stream.read_buf(&mut head).await.is_ok_and(|n| n > 0)
            {}
            let _ = stream.write_all(format!("{line}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
            let _ = stream.read_u8().await;
        });
        check(&pki, &format!("https://localhost:{port}"), &["-4"], 6, "bad_reply", words);
    };
    check_line("HTTP/1.1 404 Not Found", "it answers with the HTTP status 404 Not Found, so DNS is not served");
    check_line("HTTP/1.1 404 Gone fishing", "it answers with the HTTP status 404 Gone fishing, so DNS is not served");
    check_line("HTTP/1.1 404 ", "it answers with the HTTP status 404, so DNS is not served");
    check_line("HTTP/1.1 503 Busy", "it answers with the HTTP status 503 Busy");
    check_line("HTTP/1.1 200 OK", "it answers without a content type");
}

#[test]
fn edns_is_left_out_over_tls_too() {
    let pki = Pki::new();
    let (port, requests) = doh(&pki, |query| {
        let message = if query.edns.is_some() { reply(query, ResponseCode::FormErr) } else { good(query) };
        (200, MESSAGE, message.to_vec().unwrap())
    });
    let resolver = format!("https://localhost:{port}");
    let (code, journey) = visit(&["-4", "--cacert", &pki.root(), "--resolver", &resolver, &website()]);
    assert_eq!(code, 0, "{journey:#}");
    assert_eq!(requests.lock().unwrap().len(), 2);
    assert_eq!(name_stage(&journey)["exchanges"][1]["opt"], "absent", "{journey:#}");
}

#[test]
fn wrong_in_dns() {
    let pki = Pki::new();
    let (port, _) = doh(&pki, |_| (200, MESSAGE, b"garbage".to_vec()));
    check(&pki, &format!("https://localhost:{port}"), &[], 6, "bad_reply", "7 bytes are no DNS message");
    let (port, _) = doh(&pki, |query| {
        let mut other = good(query);
        other.metadata.id = 7;
        (200, MESSAGE, other.to_vec().unwrap())
    });
    check(&pki, &format!("https://localhost:{port}"), &[], 6, "bad_reply", "its id 7 is of no query sent");
    let port = tls_server(&pki.issue(Kind::GOOD), "dot", |mut stream| async move {
        let _ = read_message(&mut stream).await;
        write_message(&mut stream, b"garbage").await;
        let _ = stream.read_u8().await;
    });
    check(&pki, &format!("tls://localhost:{port}"), &["-4"], 6, "bad_reply", "7 bytes are no DNS message");
}

#[test]
fn no_answer() {
    let pki = Pki::new();
    let port = tls_server(&pki.issue(Kind::GOOD), "dot", |mut stream| async move {
        let _ = read_message(&mut stream).await;
    });
    check(&pki, &format!("tls://localhost:{port}"), &[], 6, "bad_reply", "it closed the connection without an answer");
    let port = tls_server(&pki.issue(Kind::GOOD), "dot", |mut stream| async move {
        while read_message(&mut stream).await.is_some() {}
    });
    check(&pki, &format!("tls://localhost:{port}"), &["--max-time", "0.5"], 28, "max_time", "did not answer");
}

#[test]
fn a_resolver_named_by_name_is_looked_up_first() {
    let pki = Pki::new();
    let (port, ..) = dot(&pki, Kind { name: "dns.test", ..Kind::GOOD });
    let plain = serve((Ipv4Addr::LOCALHOST, 0).into(), |query, _| {
        let mut message = good(query);
        for answer in &mut message.answers {
            answer.data = hickory_proto::rr::RData::A(Ipv4Addr::new(10, 99, 1, 2).into());
        }
        assert!([RecordType::A, RecordType::AAAA].contains(&query.queries[0].query_type()));
        vec![message.to_vec().unwrap()]
    });
    let secure = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let service = |name: &str, protocol: &str, address: &str, socket: SocketAddr| json!({"name": name, "protocol": protocol, "address": address, "socket": socket});
    let book = json!({
        "v4": "10.99.0.0/16", "v6": "fd10:99::/64", "names": ["test."], "roots": [], "ca": null,
        "closed": {"tcp_v4": "127.0.0.1:1", "tcp_v6": null},
        "hosts": [
            {"name": "resolver", "about": "", "addresses": ["10.99.1.1"], "services": [service("dns", "udp", "10.99.1.1:53", plain)]},
            {"name": "secure", "about": "", "addresses": ["10.99.1.2"], "services": [service("dot", "tcp", "10.99.1.2:853", secure)]},
        ],
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), book.to_string()).unwrap();
    let world = file.path().to_str().unwrap();
    let args = ["--world", world, "--cacert", &pki.root(), "--resolver", "tls://dns.test", "http://name.test:1/"];
    let (_, journey) = visit(&args);
    let stage = name_stage(&journey);
    assert_eq!(stage["addresses"][0]["ip"], "127.0.0.1", "{journey:#}");
    // Two stories, told apart: who the resolver is, and what it was asked.
    let bootstrap = &stage["bootstrap"];
    assert_eq!((&bootstrap["asked"], &bootstrap["addresses"][0]["ip"]), (&json!("dns.test"), &json!("10.99.1.2")));
    assert_eq!(bootstrap["exchanges"][0]["server"], "10.99.1.1:53");
    let own = stage["exchanges"].as_array().unwrap();
    assert!(own.iter().all(|exchange| exchange["server"] == "10.99.1.2:853"), "{journey:#}");
    assert_eq!((&own[0]["via"], &stage["source"]["host"]), (&json!(secure), &json!("secure")));

    let args = ["--world", world, "--resolver", "tls://10.99.1.9", "http://name.test/"];
    let (code, journey) = visit(&args);
    assert_eq!((code, &journey["outcome"]["reason"]), (6, &json!("resolver_down")), "{journey:#}");
    assert!(journey["outcome"]["verdict"].as_str().unwrap().contains("no host of this lab has that address"));
}
