//! Visits to servers that answer in every good and bad way: which stage, which reason, which exit code.

use std::io::{Read, Write};

use crate::peer::{End, Server, visit};
use serde_json::Value;

use crate::peer;

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
    long.resize(300_000, b'a');
    check("an endless head", &long, End::WhenPeerCloses, 63, &outcome("receive", "too_large"));
}

/// The note of the receive stage.
fn note(journey: &Value) -> &str {
    journey.pointer(&at(RECEIVE, "note")).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn field_lines_that_break_the_grammar_are_named_and_the_page_is_read() {
    let visited = |line: &str| {
        let answer = format!("HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        check(line, answer.as_bytes(), End::Close, 0, &[(&at(RECEIVE, "content_bytes"), 2.into())])
    };
    let fields = |journey: &Value| journey.pointer(&at(RECEIVE, "headers")).unwrap().clone();
    let first = |journey: &Value| fields(journey)[0].clone();
    let folded = visited("X: a\r\n  b");
    assert_eq!(first(&folded), serde_json::json!({"name": "X", "value": "a b"}));
    assert!(note(&folded).contains("obs-fold"), "{}", note(&folded));
    let spaced = visited("X-A : b");
    assert_eq!(first(&spaced), serde_json::json!({"name": "X-A", "value": "b"}));
    assert!(note(&spaced).contains(r#"the field "X-A : b" has a space"#), "{}", note(&spaced));
    for line in ["PHP Warning: x", "no colon", ": v"] {
        let skipped = visited(line);
        assert_eq!(first(&skipped)["name"], "Content-Length", "{line}");
        assert!(note(&skipped).contains(&format!("the line {line:?} has")), "{}", note(&skipped));
    }
    for line in ["X: \u{7f}", "X: a\u{1}b"] {
        assert!(note(&visited(line)).contains("control character"), "{line:?}");
    }
    // A secret in such a line is not shown either.
    let secret = visited("Set-Cookie : id=s3cr3t");
    assert!(!secret.to_string().contains("s3cr3t"), "{secret:#}");
}

#[test]
fn a_wrong_head_keeps_its_status_and_is_not_taken_for_another_protocol() {
    for (what, lines, said) in [
        ("two lengths", "Content-Length: 2\r\nContent-Length: 3\r\n", "different values of Content-Length: 2, 3"),
        ("a sign", "Content-Length: +2\r\n", r#"the Content-Length "+2" is not a number"#),
        ("NUL", "X: a\0b\r\n", r#"a line of the head has a NUL byte: "X: a\0b""#),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{lines}\r\nok");
        let journey = check(what, answer.as_bytes(), End::WhenPeerCloses, 8, &[(&at(RECEIVE, "status"), 200.into())]);
        let outcome = &journey["outcome"];
        assert!(outcome["verdict"].as_str().unwrap().contains(said), "{outcome:#}");
        assert!(!outcome["next"].as_str().unwrap().contains("check the port"), "{outcome:#}");
        assert_eq!(outcome["causes"][0]["trouble"], "bad_response", "{outcome:#}");
    }
    let journey = check("no code", b"HTTP/1.1 2000 OK\r\n\r\n", End::WhenPeerCloses, 8, &[]);
    assert!(journey["outcome"]["verdict"].as_str().unwrap().contains(r#""HTTP/1.1 2000 OK" has no status code"#));
    assert_eq!(journey["outcome"]["causes"][0]["trouble"], "bad_response");
}

#[test]
fn what_speaks_something_else_is_recognised_and_quoted() {
    for (sent, said, next) in [
        (&b"SSH-2.0-OpenSSH_9.6\r\n"[..], r#"it sent "SSH-2.0-OpenSSH_9.6""#, "this port speaks SSH, not HTTP"),
        (b"220 mail.test ESMTP\r\n", r#"it sent "220 mail.test ESMTP""#, "this port speaks SMTP, not HTTP"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "15 03 03 00 02 02 46", "this port speaks TLS: try https://127.0.0.1:"),
        (b"\0\0\0\x04\0\0\0\0\0", "00 00 00 04", "this port speaks HTTP/2 without TLS"),
        (b"J\0\0\0\x0a8.0.36\0", "4a 00 00 00 0a", "this port speaks the MySQL protocol"),
        (b"\x1b[2Jhello", r#"it sent "\u{1b}[2Jhello""#, "what listens there does not speak HTTP: check the port"),
    ] {
        let journey = check(said, sent, End::WhenPeerCloses, 8, &[("/outcome/reason", "malformed_response".into())]);
        let outcome = &journey["outcome"];
        assert!(outcome["verdict"].as_str().unwrap().contains(said), "{outcome:#}");
        assert!(outcome["next"].as_str().unwrap().starts_with(next), "{outcome:#}");
    }
    // What comes in pieces is quoted as a whole.
    let server = Server::start_with(|mut stream| {
        for piece in ["SSH", "-2.0-", "x\r\n"] {
            let _ = stream.write_all(piece.as_bytes());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let (_, journey) = visit(&[&server.url("/")]);
    assert!(journey["outcome"]["verdict"].as_str().unwrap().contains(r#""SSH-2.0-x""#), "{:#}", journey["outcome"]);
    // Plain HTTP where TLS should be.
    let server = Server::at_once(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    let (code, journey) = visit(&[&server.url("/").replace("http://", "https://")]);
    let outcome = &journey["outcome"];
    assert_eq!((code, &outcome["reason"]), (35, &"not_tls".into()), "{outcome:#}");
    assert!(outcome["verdict"].as_str().unwrap().contains(r#"it sent "HTTP/1.1 400 Bad Request""#), "{outcome:#}");
    assert!(outcome["next"].as_str().unwrap().starts_with("this port speaks plain HTTP: try http://"), "{outcome:#}");
}

#[test]
fn framing_and_transfer_codings_are_told_as_they_are() {
    let framing = at(RECEIVE, "framing");
    let told = |head: &str, framed: &str| {
        let answer = format!("HTTP/1.1 {head}\r\n\r\n");
        check(head, answer.as_bytes(), End::Close, 0, &[(&framing, framed.into())]);
    };
    told("200 OK\r\nTransfer-Encoding: identity", "close");
    told("204 No Content\r\nTransfer-Encoding: chunked", "none");
    told("304 Not Modified\r\nTransfer-Encoding: chunked", "none");
    told("304 Not Modified\r\nContent-Length: 9", "none");
    let outcome = |reason: &str| [("/outcome/reason", Value::from(reason)), ("/hops/0/stages/7/status", 200.into())];
    for coding in ["foo", "compress, chunked", "chunked, gzip", "chunked;q=1"] {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n");
        check(coding, answer.as_bytes(), End::Close, 61, &outcome("bad_transfer_coding"));
    }
    for chunks in ["zz\r\nhi", "2\r\nhix\r\n0\r\n\r\n", "+2\r\nhi\r\n0\r\n\r\n", "fffffffffffffffff\r\nhi"] {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        check(chunks, answer.as_bytes(), End::Close, 56, &outcome("broken_chunks"));
    }
    let identity = check(
        "identity is noted",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhi",
        End::Close,
        0,
        &[(&at(RECEIVE, "content_bytes"), 2.into())],
    );
    assert!(note(&identity).contains("identity is not a transfer coding"), "{}", note(&identity));
}

#[test]
fn protocols_are_switched_only_on_request() {
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let journey = check("unasked", answer, End::WhenPeerCloses, 8, &[(&at(RECEIVE, "status"), 101.into())]);
    assert!(journey["outcome"]["verdict"].as_str().unwrap().contains("switched protocols"), "{journey:#}");
    let server = Server::start(answer.to_vec(), End::WhenPeerCloses);
    let asked = ["-H", "Connection: Upgrade", "-H", "Upgrade: websocket", &server.url("/")];
    assert_eq!(visit(&asked).0, 0);
}

#[test]
fn a_reason_phrase_that_is_not_ascii_is_kept() {
    let journey = check(
        "UTF-8",
        "HTTP/1.1 404 Nicht gefunden \u{fc}\r\nContent-Length: 0\r\n\r\n".as_bytes(),
        End::WhenPeerCloses,
        0,
        &[(&at(RECEIVE, "reason_phrase"), "Nicht gefunden \u{fc}".into())],
    );
    assert!(journey["outcome"]["verdict"].as_str().unwrap().contains("404 Nicht gefunden \u{fc}"));
}

#[test]
fn a_response_that_comes_before_the_whole_request_is_sent_is_read() {
    // The server answers, and closes with the rest of the request unread: its kernel sends RST, at once or when more comes.
    let refusal = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![b'a'; 3_000_000]).unwrap();
    let body = format!("@{}", file.path().display());
    for end in [End::Close, End::Reset] {
        let server = Server::start(refusal.to_vec(), end);
        for nth in 0..50 {
            let (code, journey) = visit(&["--max-time", "20", "-d", &body, &server.url("/")]);
            let status = journey.pointer(&at(RECEIVE, "status"));
            assert_eq!((code, status), (0, Some(&413.into())), "{end:?} {nth}: {journey:#}");
            assert_eq!(journey.pointer(&at(RECEIVE, "content_bytes")), Some(&3.into()), "{end:?} {nth}");
            // A close may send FIN before what is not read any more makes the kernel send RST.
            let close = journey.pointer(CLOSE).unwrap();
            let is_told = close["peer"] == "reset" || (matches!(end, End::Close) && close["peer"] == "fin");
            assert!(close["first"] == "server" && is_told, "{end:?} {nth}: {close:#}");
        }
    }
}

#[test]
fn heads_and_lengths_have_limits_of_their_own() {
    let length = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhej\n";
    let server = Server::start(length.to_vec(), End::WhenPeerCloses);
    assert_eq!(visit(&["--max-filesize", "4", &server.url("/")]).0, 0);
    let (code, journey) = visit(&["--max-filesize", "3", &server.url("/")]);
    assert_eq!((code, journey.pointer(&at(RECEIVE, "status"))), (63, Some(&200.into())), "{journey:#}");
    let beyond = b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nhi";
    let journey = check("2^64", beyond, End::Close, 63, &[("/outcome/reason", "too_large".into())]);
    assert!(journey["outcome"]["verdict"].as_str().unwrap().contains("18446744073709551616"), "{journey:#}");
    let mut large = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
    large.resize(70_000, b'a');
    large.extend_from_slice(b"\r\nContent-Length: 2\r\n\r\nhi");
    for piece in [1400, large.len()] {
        let large = large.clone();
        let server = Server::start_with(move |mut stream| {
            for piece in large.chunks(piece) {
                let _ = stream.write_all(piece).and_then(|()| stream.flush());
            }
            let _ = stream.read_to_end(&mut Vec::new());
        });
        assert_eq!(visit(&[&server.url("/")]).0, 0, "in pieces of {piece}");
    }
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

#[needs::tools(unshare)]
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
