//! Visits to servers that answer in every good and bad way: which stage, which reason, which exit code.

mod peer;

use std::io::Write;

use peer::{End, Server, visit};
use serde_json::Value;

/// What must come of a visit to a server that reads a request, sends these bytes and ends like this.
fn check(name: &str, answer: &[u8], end: End, exit: i32, expected: &[(&str, Value)]) -> Value {
    let server = Server::start(answer.to_vec(), end);
    let (code, journey) = visit(&["--max-time", "5", &server.url("/")]);
    let shown = serde_json::to_string_pretty(&journey).unwrap();
    assert_eq!(code, exit, "{name}\n{shown}");
    for (pointer, value) in expected {
        assert_eq!(journey.pointer(pointer), Some(value), "{name}: {pointer}\n{shown}");
    }
    journey
}

const WAIT: &str = "/hops/0/stages/6";
const RECEIVE: &str = "/hops/0/stages/7";
const CLOSE: &str = "/hops/0/stages/8";

fn at(stage: &str, member: &str) -> String {
    format!("{stage}/{member}")
}

#[test]
fn good_answers() {
    let content = at(RECEIVE, "content_bytes");
    let framing = at(RECEIVE, "framing");
    let first = at(CLOSE, "first");
    check(
        "told length, kept open",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        End::WhenPeerCloses,
        0,
        &[(&content, 5.into()), (&framing, "content_length".into()), (&first, "you".into())],
    );
    check(
        "chunks",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        End::WhenPeerCloses,
        0,
        &[(&content, 5.into()), (&framing, "chunked".into())],
    );
    check(
        "to the end of the connection",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        End::Close,
        0,
        &[(&content, 5.into()), (&framing, "close".into()), (&first, "server".into())],
    );
    check(
        "no content",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        End::WhenPeerCloses,
        0,
        &[(&content, 0.into()), (&at(RECEIVE, "status"), 204.into())],
    );
    check(
        "announced close",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        End::Close,
        0,
        &[(&first, "server".into()), (&at(CLOSE, "keep_alive_offered"), false.into())],
    );
    check(
        "an interim answer first",
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        End::WhenPeerCloses,
        0,
        &[(&at(RECEIVE, "status"), 200.into())],
    );
}

#[test]
fn bad_answers() {
    let outcome = |stage: &str, reason: &str| {
        [
            ("/outcome/failed_stage", Value::from(stage)),
            ("/outcome/reason", reason.into()),
            ("/outcome/reached", false.into()),
        ]
    };
    check("nothing, then close", b"", End::Close, 52, &outcome("wait", "empty_reply"));
    check("nothing, then reset", b"", End::Reset, 56, &outcome("wait", "reset"));
    check("no HTTP", b"SSH-2.0-OpenSSH_9\r\n", End::WhenPeerCloses, 8, &outcome("receive", "malformed_response"));
    check("cut in the head", b"HTTP/1.1 200 OK\r\ncontent-le", End::Close, 18, &outcome("receive", "body_cut"));
    let cut = check(
        "cut in the body",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhel",
        End::Close,
        18,
        &outcome("receive", "body_cut"),
    );
    // What had come stays.
    assert_eq!(cut.pointer(&at(RECEIVE, "status")), Some(&200.into()));
    assert_eq!(cut.pointer(&at(RECEIVE, "content_bytes")), Some(&3.into()));
    assert!(cut["outcome"]["verdict"].as_str().unwrap().contains("after 3 of 10 bytes"), "{}", cut["outcome"]);
    check(
        "cut in a chunk",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nhel",
        End::Close,
        18,
        &outcome("receive", "body_cut"),
    );
    check(
        "reset in the body",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhel",
        End::Reset,
        56,
        &outcome("receive", "reset"),
    );
    check(
        "a wrong length",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        End::WhenPeerCloses,
        8,
        &outcome("receive", "malformed_response"),
    );
    let mut long = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
    long.resize(200_000, b'a');
    check("an endless head", &long, End::WhenPeerCloses, 63, &outcome("receive", "too_large"));
}

#[test]
fn a_server_that_does_not_wait_for_the_request() {
    // What comes or ends before the request is met in the stage that it belongs to, whichever side was faster.
    for _ in 0..10 {
        let server = Server::at_once(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        let (code, journey) = visit(&["--max-time", "5", &server.url("/")]);
        assert_eq!((code, &journey["outcome"]["reached"]), (0, &true.into()), "{journey:#}");
        let server = Server::at_once(b"");
        let (code, journey) = visit(&["--max-time", "5", &server.url("/")]);
        assert_eq!(journey["outcome"]["failed_stage"], "wait", "{journey:#}");
        // FIN alone, or the reset that the kernel sends for a request nobody reads: the network decides.
        assert!(matches!(code, 52 | 56), "{journey:#}");
    }
}

#[test]
fn what_was_sent_is_what_is_shown() {
    let mut answer = b"HTTP/1.1 404 Gone Fishing\r\nserver-timing: db;dur=1.5;desc=\"a, b; c\", app\r\n".to_vec();
    for nth in 0..300 {
        answer.extend(format!("x-{nth}: y\r\n").into_bytes());
    }
    answer.extend(b"content-length: 0\r\n\r\n");
    let server = Server::start(answer, End::WhenPeerCloses);
    let (code, journey) = visit(&[&server.url("/")]);
    assert_eq!(code, 0, "{journey:#}");
    let receive = journey.pointer(RECEIVE).unwrap();
    assert_eq!(receive["reason_phrase"], "Gone Fishing");
    assert_eq!(receive["server_timing"][0]["description"], "a, b; c");
    assert_eq!(
        (&receive["server_timing"][0]["duration_us"], &receive["server_timing"][1]["name"]),
        (&1500.into(), &"app".into())
    );
}

#[test]
fn a_connection_that_breaks_after_the_response_was_not_closed_by_you() {
    let server = Server::start(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokGARBAGE".to_vec(), End::WhenPeerCloses);
    let (code, journey) = visit(&[&server.url("/")]);
    assert_eq!(code, 0, "{journey:#}");
    let close = journey.pointer(CLOSE).unwrap();
    assert_eq!((&close["state"], &close["first"]), (&"skipped".into(), &Value::Null), "{journey:#}");
}

#[test]
fn a_reader_who_leaves_does_not_change_the_outcome() {
    let closed = peer::ClosedPort::new();
    let script = format!("{} {} | true; exit ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_visit"), closed.url());
    let status = std::process::Command::new("bash").args(["-c", &script]).status().unwrap();
    assert_eq!(status.code(), Some(7));
}

#[test]
fn time_limits_name_the_stage() {
    let server = Server::start(Vec::new(), End::WhenPeerCloses);
    let (code, journey) = visit(&["--max-time", "0.2", &server.url("/")]);
    assert_eq!((code, &journey["outcome"]["failed_stage"]), (28, &"wait".into()), "{journey:#}");
    assert_eq!(journey.pointer(&at(WAIT, "failure/reason")), Some(&"max_time".into()));
    let server = Server::start(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhel".to_vec(), End::WhenPeerCloses);
    let (code, journey) = visit(&["--max-time", "0.2", &server.url("/")]);
    assert_eq!((code, &journey["outcome"]["failed_stage"]), (28, &"receive".into()), "{journey:#}");
}

#[test]
fn too_large_a_response_is_given_up() {
    let server = Server::start_with(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        // Without end, until the visitor has enough.
        while stream.write_all(&[b'a'; 16 * 1024]).is_ok() {}
    });
    let (code, journey) = visit(&["--max-time", "20", "--max-filesize", "100000", &server.url("/")]);
    assert_eq!((code, &journey["outcome"]["reason"]), (63, &"too_large".into()), "{journey:#}");
}

#[test]
fn secrets_and_control_characters_are_not_shown() {
    let answer =
        b"HTTP/1.1 302 Found\r\nset-cookie: token=s3cr3t\r\nlocation: http://adm:hunter2@h.test/\x9b31m\xff\r\ncontent-length: 0\r\n\r\n";
    let server = Server::start(answer.to_vec(), End::WhenPeerCloses);
    let url = server.url("/").replace("http://", "http://me:pa55w0rd@");
    let output = peer::run(&["-v", "--color", "never", &url]);
    let screen = String::from_utf8(output.stdout).unwrap();
    let json = String::from_utf8(peer::run(&["--json", &url]).stdout).unwrap();
    for secret in ["s3cr3t", "pa55w0rd", "hunter2", "\u{1b}", "\u{9b}"] {
        assert!(!screen.contains(secret), "{secret:?} is on the screen:\n{screen}");
        assert!(!json.contains(secret), "{secret:?} is in the journey:\n{json}");
    }
    assert!(screen.contains("set-cookie: (removed)"), "{screen}");
}

#[test]
fn nothing_listens() {
    let closed = peer::ClosedPort::new();
    let (code, journey) = visit(&[&closed.url()]);
    assert_eq!((code, &journey["outcome"]["reason"]), (7, &"connection_refused".into()), "{journey:#}");
    assert_eq!(journey["hops"][0]["stages"][3]["attempts"][0]["result"], "refused");
    // A stage that was not reached has no times, not times of 0.
    assert_eq!(journey["hops"][0]["stages"][6]["duration_us"], Value::Null);
}

#[test]
fn there_is_no_way() {
    // In a network namespace with nothing in it: from here such an address could seem to answer.
    let output = std::process::Command::new("unshare")
        .args(["--map-root-user", "--net", env!("CARGO_BIN_EXE_visit"), "--json", "http://192.0.2.1/"])
        .output()
        .expect("unshare is needed: apt-get install util-linux");
    let journey: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let outcome = &journey["outcome"];
    assert_eq!((output.status.code(), &outcome["reason"]), (Some(7), &"unreachable".into()), "{journey:#}");
    assert_eq!(outcome["failed_stage"], "route", "{journey:#}");
    let expected = "this machine's routing table has no route (ENETUNREACH) for 192.0.2.1";
    assert!(outcome["verdict"].as_str().unwrap().contains(expected), "{outcome:#}");
    assert_eq!(journey["hops"][0]["stages"][2]["evidence"]["kind"], "kernel", "{journey:#}");
    assert_eq!(journey["hops"][0]["stages"][3]["state"], "not_reached", "{journey:#}");
}

#[test]
fn stages_follow_each_other_without_gaps_that_hide_time() {
    let server = Server::start(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(), End::WhenPeerCloses);
    let (_, journey) = visit(&[&server.url("/")]);
    let mut end = 0;
    for stage in journey["hops"][0]["stages"].as_array().unwrap() {
        // A stage that was not needed has no times.
        let Some(start) = stage["start_us"].as_u64() else { continue };
        assert!(start >= end, "{} begins before the stage before it has ended: {journey:#}", stage["name"]);
        end = start + stage["duration_us"].as_u64().unwrap_or(0);
    }
    assert_eq!(journey["total_us"].as_u64(), Some(end));
}
