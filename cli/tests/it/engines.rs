//! The same visit by this program's own stages and by reqwest: the same outcome, and what reqwest does not tell is said to
//! be not observable. Both are held beside `curl -w` on one server.

use std::{
    io::{Read, Write},
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use crate::peer::{ClosedPort, End, Server, run, visit};
use crate::pki::{By, Kind, Pki, python_https};
use serde_json::Value;

const REQWEST: [&str; 2] = ["--engine", "reqwest"];

fn by_reqwest(args: &[&str]) -> (i32, Value) {
    visit(&[&REQWEST, args].concat())
}

fn stage<'a>(journey: &'a Value, name: &str) -> &'a Value {
    let stages = journey["hops"][0]["stages"].as_array().unwrap();
    stages.iter().find(|stage| stage["name"] == name).unwrap()
}

/// Both engines must exit with this code for this reason.
fn check(name: &str, args: &[&str], code: i32, reason: &str) {
    let expected = if reason.is_empty() { Value::Null } else { reason.into() };
    for engine in ["visit", "reqwest"] {
        let (seen, journey) = visit(&[&["--engine", engine], args].concat());
        let outcome = (seen, &journey["outcome"]["reason"], &journey["engine"]);
        assert_eq!(outcome, (code, &expected, &engine.into()), "{name}: {journey:#}");
    }
}

#[test]
fn the_lab_by_reqwest() {
    let (code, journey) = by_reqwest(&["-4", "www.example.local"]);
    assert_eq!((code, &journey["outcome"]["host"]), (0, &"app1".into()), "{journey:#}");
    let connect = stage(&journey, "connect");
    let attempt = &connect["attempts"][0];
    assert_eq!((&attempt["server"], &attempt["host"]), (&"10.78.2.81:80".into(), &"app1".into()), "{connect:#}");
    assert!(attempt["via"].as_str().unwrap().starts_with("127.0.0.1:"), "{connect:#}");
    // The hosts know the visit by its id.
    let events = journey["events"].as_array().unwrap();
    assert!(events.iter().any(|event| event["host"] == "app1" && event["kind"] == "request_read"), "{journey:#}");
    // What reqwest does not tell has no times, and no events are made of it.
    for name in ["send", "close"] {
        let stage = stage(&journey, name);
        assert_eq!((&stage["start_us"], &stage["duration_us"]), (&Value::Null, &Value::Null), "{stage:#}");
        assert_eq!(
            (&stage["evidence"]["kind"], &stage["evidence"]["how"]),
            (&"not_observable".into(), &"--engine visit".into())
        );
    }
    let own: Vec<&Value> = events.iter().filter(|event| event["host"] == "you").map(|event| &event["kind"]).collect();
    for kind in ["request_sent", "first_byte", "response_received"] {
        assert!(!own.contains(&&kind.into()), "{kind}: {own:?}");
    }
    assert!(own.contains(&&"connected".into()), "{own:?}");
    assert_eq!(stage(&journey, "send")["bytes"], Value::Null);
    assert_eq!(stage(&journey, "receive")["bytes"], Value::Null);

    let screen = String::from_utf8(run(&[&REQWEST[..], &["www.example.local"]].concat()).stdout).unwrap();
    assert!(screen.contains("not observable: reqwest does not tell what it"), "{screen}");
    assert!(!screen.contains("until the first byte") && !screen.contains(" 0 bytes"), "{screen}");
}

#[test]
fn addresses_are_stood_in_for() {
    for url in ["http://10.78.2.82/json", "http://[fd10:78:1ab::2:82]/json", "http://www.example.local:80/json"] {
        let (code, journey) = by_reqwest(&["--lab", "-f", url]);
        assert_eq!(code, 0, "{url}: {journey:#}");
    }
    let output = run(&["--lab", "--engine", "reqwest", "https://10.78.2.82/"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("another socket stands in for 10.78.2.82: visit by name"), "{said}");
    let output = run(&["--engine", "reqwest", "udp://www.example.local:7"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--engine reqwest does not go with udp://"), "{said}");
}

#[test]
fn tls_as_far_as_it_is_told() {
    let (code, journey) = by_reqwest(&["-4", "https://www.example.local/json"]);
    assert_eq!(code, 0, "{journey:#}");
    let (tls, receive) = (stage(&journey, "tls"), stage(&journey, "receive"));
    assert_eq!((&tls["version"], &tls["verified"]["result"]), (&"TLS 1.3".into(), &"yes".into()), "{tls:#}");
    assert_eq!((&tls["cipher_suite"], &tls["duration_us"]), (&Value::Null, &Value::Null), "{tls:#}");
    assert_eq!(tls["evidence"]["kind"], "not_observable");
    assert!(stage(&journey, "connect")["note"].as_str().unwrap().contains("TCP and TLS together"), "{journey:#}");
    assert_eq!(receive["version"], "HTTP/2", "{receive:#}");
    let (_, journey) = by_reqwest(&["--http1.1", "https://www.example.local/json"]);
    assert_eq!(stage(&journey, "receive")["version"], "HTTP/1.1");
    // The same leaf as this program's own handshake sees.
    let (_, ours) = visit(&["--http1.1", "https://www.example.local/json"]);
    let subject = |journey: &Value| stage(journey, "tls")["chain"][0]["subject"].clone();
    assert_eq!(subject(&journey), subject(&ours));
}

#[needs::tools(python3)]
#[test]
fn failures_of_tls() {
    let pki = Pki::new();
    let root = pki.root();
    let of = |kind: Kind| python_https(&pki.issue(kind), "");
    let url = |port: u16| format!("https://localhost:{port}/");
    let good = of(Kind::GOOD);
    check("good", &["--cacert", &root, "-4", &url(good.port)], 0, "");
    let expired = of(Kind { from_days: -9, to_days: -2, ..Kind::GOOD });
    check("expired", &["--cacert", &root, "-4", &url(expired.port)], 60, "certificate_expired");
    check("insecure", &["-k", "-4", &url(expired.port)], 0, "");
    let other = of(Kind { name: "other.test", ..Kind::GOOD });
    check("wrong name", &["--cacert", &root, "-4", &url(other.port)], 60, "certificate_wrong_name");
    let itself = of(Kind { by: By::Itself, ..Kind::GOOD });
    check("by itself", &["--cacert", &root, "-4", &url(itself.port)], 60, "certificate_untrusted");
    let plain = Server::at_once(b"SSH-2.0-OpenSSH_9\r\n");
    let url = plain.url("/").replace("http://127.0.0.1", "https://localhost");
    check("no TLS", &["-k", "-4", &url], 35, "not_tls");
    let (_, journey) = by_reqwest(&["-k", "-4", &url]);
    assert_eq!(journey["outcome"]["failed_stage"], "tls", "{journey:#}");
}

#[test]
fn failures_of_http() {
    let closed = ClosedPort::new();
    check("closed", &[&closed.url()], 7, "connection_refused");
    check("no such name", &["missing.example.local"], 6, "no_such_name");
    check("no URL", &["http://a b/"], 3, "url_malformed");
    let serve = |answer: &[u8], end| Server::start(answer.to_vec(), end).url("/");
    let all = |name: &str, answer: &[u8], end, code, reason: &str| check(name, &[&serve(answer, end)], code, reason);
    all("empty", b"", End::Close, 52, "empty_reply");
    all("reset", b"", End::Reset, 56, "reset");
    all("no HTTP", b"SSH-2.0-OpenSSH_9\r\n", End::WhenPeerCloses, 8, "malformed_response");
    all("cut", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ncut", End::Close, 18, "body_cut");
    all(
        "bad chunk",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        End::WhenPeerCloses,
        56,
        "broken_chunks",
    );
    let large = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n", End::WhenPeerCloses);
    check("silent in the content", &["--max-time", "0.5", &large], 28, "max_time");
    let missing = serve(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", End::Close);
    check("404", &[&missing], 0, "");
    check("404 with --fail", &["--fail", &missing], 22, "http_status");
    let moved = serve(b"HTTP/1.1 302 Found\r\nlocation: /a\r\ncontent-length: 0\r\n\r\n", End::Close);
    check("redirects", &["-L", "--max-redirs", "2", &moved], 47, "too_many_redirects");
    let (_, journey) = by_reqwest(&["-L", "--max-redirs", "2", &moved]);
    assert_eq!(journey["hops"].as_array().unwrap().len(), 3);
    let long = [b"HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n".as_slice(), &[b'x'; 4000]].concat();
    check("too large", &["--max-filesize", "1000", &serve(&long, End::Close)], 63, "too_large");
    let silent = Server::start_with(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    check("silent", &["--max-time", "0.5", &silent.url("/")], 28, "max_time");
}

/// What reaches the server, in order of the lines of the head: engines may write fields in another order.
fn request_of(engine: &str, args: &[&str]) -> Vec<String> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/path?a=1", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        let is_whole = |request: &[u8]| {
            let text = String::from_utf8_lossy(request).into_owned();
            text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                body.len() >= length.map_or(0, |length| length.parse().unwrap())
            })
        };
        while !is_whole(&request) {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the request is cut");
            request.extend_from_slice(&buffer[..count]);
        }
        *kept.lock().unwrap() = request;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    });
    let (code, journey) = visit(&[&["--engine", engine], args, &[&url]].concat());
    assert_eq!(code, 0, "{journey:#}");
    server.join().unwrap();
    let request = String::from_utf8(seen.lock().unwrap().clone()).unwrap();
    let host = url.trim_start_matches("http://").trim_end_matches("/path?a=1");
    let mut lines: Vec<String> = request.replace(host, "HOST").lines().map(str::to_owned).collect();
    lines[1..].sort();
    lines
}

#[test]
fn the_same_request() {
    let asked: [&[&str]; 5] = [
        &[],
        &["-d", "a=1", "-d", "b=2"],
        &["-X", "PUT", "-H", "X-One: 1", "-H", "X-One: 2", "-A", "me"],
        &["-H", "Host: other.test", "-H", "Accept: text/plain"],
        &["-I"],
    ];
    for args in asked {
        assert_eq!(request_of("reqwest", args), request_of("visit", args), "{args:?}");
    }
}

#[test]
fn content_and_series_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("content").to_str().unwrap().to_owned();
    let (code, journey) = by_reqwest(&["-o", &file, "http://www.example.local/json"]);
    assert_eq!((code, &stage(&journey, "receive")["written_to"]), (0, &file.as_str().into()), "{journey:#}");
    let content: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(content["request"]["host"], "www.example.local", "{content:#}");
    let (code, series) = by_reqwest(&["-n", "3", "https://www.example.local/json"]);
    let summary = &series["summary"];
    assert_eq!((code, &series["engine"], &summary["failed"]), (0, &"reqwest".into(), &0.into()), "{series:#}");
    // What cannot be timed is missing instead of being 0.
    let timed = summary["stages"].as_array().unwrap().iter().filter(|spread| spread["cold_us"].is_u64());
    // Whether the lab has a network to route in is this machine's affair.
    let names: Vec<&Value> = timed.map(|spread| &spread["stage"]).filter(|name| **name != "route").collect();
    assert_eq!(names, ["url", "name", "connect", "wait", "receive"]);
    let screen = String::from_utf8(run(&["--engine", "reqwest", "-n", "2", "www.example.local"]).stdout).unwrap();
    assert!(screen.contains("None of 2 visits failed."), "{screen}");
}

/// What the server loses before its answer, and between the two halves of its content.
const ANSWER: Duration = Duration::from_millis(120);
const DRIP: Duration = Duration::from_millis(80);
/// Visits whose medians are compared.
const ROUNDS: usize = 5;

/// Milliseconds from the begin of the connection.
#[derive(Clone, Copy, Debug)]
struct Times {
    connected: f64,
    /// The first byte; for reqwest the complete head, which here comes with it.
    answered: f64,
    total: f64,
}

fn by_visit(engine: &str, url: &str) -> Times {
    let (code, journey) = visit(&["--engine", engine, url]);
    assert_eq!(code, 0, "{journey:#}");
    let us = |name: &str, member: &str| stage(&journey, name)[member].as_f64().unwrap();
    let end = |name: &str| us(name, "start_us") + us(name, "duration_us");
    let begin = us("connect", "start_us");
    let after = |us: f64| (us - begin) / 1e3;
    Times { connected: after(end("connect")), answered: after(end("wait")), total: after(end("receive")) }
}

/// Each of curl's values counts from the begin; the name is an address.
fn by_curl(url: &str) -> Times {
    let format =
        r#"{"name":%{time_namelookup},"connect":%{time_connect},"first":%{time_starttransfer},"total":%{time_total}}"#;
    let output = Command::new("curl")
        .args(["-s", "-o", "/dev/null", "--noproxy", "*", "-w", format, url])
        .output()
        .expect("curl is needed: apt-get install curl");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ms = |name: &str| (told[name].as_f64().unwrap() - told["name"].as_f64().unwrap()) * 1e3;
    Times { connected: ms("connect"), answered: ms("first"), total: ms("total") }
}

/// Who visits, and how.
type Way = (&'static str, fn(&str) -> Times);

#[needs::tools(curl)]
#[test]
fn both_engines_and_curl_tell_the_same_times() {
    let server = Server::start_with(|mut stream| {
        let _ = stream.set_nodelay(true);
        thread::sleep(ANSWER);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok");
        thread::sleep(DRIP);
        let _ = stream.write_all(b"ok");
    });
    let url = server.url("/");
    let ways: [Way; 3] =
        [("visit", |url| by_visit("visit", url)), ("reqwest", |url| by_visit("reqwest", url)), ("curl", by_curl)];
    // In turns, so that a moment in which the machine is busy meets all of them.
    let rounds: Vec<[Times; 3]> = (0..ROUNDS).map(|_| ways.map(|(_, way)| way(&url))).collect();
    let median = |nth: usize, of: fn(&Times) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(|times| of(&times[nth])).collect();
        values.sort_by(f64::total_cmp);
        values[ROUNDS / 2]
    };
    let (answer, drip) = (ANSWER.as_secs_f64() * 1e3, DRIP.as_secs_f64() * 1e3);
    for (nth, (name, _)) in ways.iter().enumerate() {
        let connected = median(nth, |times| times.connected);
        let waited = median(nth, |times| times.answered - times.connected);
        let received = median(nth, |times| times.total - times.answered);
        // A server that sleeps sleeps at least so long. What is above is the machine's business: half as much again.
        assert!(connected < answer / 2.0, "{name}: connected after {connected} ms");
        assert!((answer * 0.99..answer * 1.5).contains(&waited), "{name}: waited {waited} ms");
        assert!((drip * 0.97..drip * 1.5).contains(&received), "{name}: received for {received} ms");
        // And it is the same as curl's.
        let curl = median(2, |times| times.total);
        let total = median(nth, |times| times.total);
        assert!((0.75..1.33).contains(&(total / curl)), "{name}: {total} ms in all, curl {curl} ms");
    }
}
