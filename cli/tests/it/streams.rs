//! Visits to `tcp://` servers that behave in every good and bad way.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    net::{Shutdown, TcpStream},
    process::Stdio,
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::peer::{
    raw::{calls, check_order, journey_of, reset, signal, spawn, stage, stream},
    run, visit,
};
use serde_json::Value;

use crate::peer;

/// Reads what a small client sends at once.
fn once(mut stream: &TcpStream) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let length = stream.read(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

fn to_the_end(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

fn verdict(journey: &Value) -> &str {
    journey["outcome"]["verdict"].as_str().unwrap()
}

/// A visit with `--send hello` to a server that talks like this: exit code, failed stage and reason.
fn failed(talk: impl Fn(TcpStream) + Send + 'static, more: &[&str]) -> (i32, String, String) {
    let url = stream(talk);
    let (code, journey) = visit(&[&["--send", "hello", &url], more].concat());
    check_order(&journey);
    let text = |member: &str| journey["outcome"][member].as_str().unwrap_or("none").to_owned();
    assert_eq!(journey["outcome"]["reached"], false, "{journey:#}");
    (code, text("failed_stage"), text("reason"))
}

fn is(code: i32, stage: &str, reason: &str) -> (i32, String, String) {
    (code, stage.to_owned(), reason.to_owned())
}

#[test]
fn answered_once_and_closed() {
    let url = stream(|mut stream| {
        let said = once(&stream);
        stream.write_all(&[b"got ", &*said].concat()).unwrap();
    });
    let (code, journey) = visit(&["--send", r"hello\n", &url]);
    assert_eq!((code, &journey["outcome"]["reached"]), (0, &true.into()), "{journey:#}");
    let server = url.trim_start_matches("tcp://");
    assert_eq!(verdict(&journey), format!("Reached {server}: 10 bytes came back."));
    assert_eq!((&stage(&journey, "send")["text"], &stage(&journey, "send")["bytes"]), (&"hello\n".into(), &6.into()));
    let receive = stage(&journey, "receive");
    assert_eq!((&receive["text"], &receive["bytes"]), (&"got hello\n".into(), &10.into()));
    assert_eq!(receive["note"], "then the server closed");
    let close = stage(&journey, "close");
    assert_eq!((&close["first"], &close["peer"]), (&"server".into(), &"fin".into()));
    assert_eq!(stage(&journey, "tls")["state"], "skipped");
    check_order(&journey);

    let connect = calls(&journey, "connect");
    assert!(connect[0].starts_with("socket(AF_INET, SOCK_STREAM) = "), "{connect:?}");
    assert_eq!(connect[1], format!("connect({server}) = 0"));
    assert_eq!(calls(&journey, "send"), ["send(6 bytes) = 6 bytes"]);
    assert_eq!(calls(&journey, "wait"), ["recv(16384) = 10 bytes"]);
    assert_eq!(calls(&journey, "receive"), ["recv(16384) = 0: the end"]);
    assert_eq!(calls(&journey, "close"), ["close() = "]);
}

#[test]
fn answered_and_kept_open() {
    let url = stream(|mut stream| {
        let said = once(&stream);
        stream.write_all(&said).unwrap();
        to_the_end(&stream);
    });
    let (code, journey) = visit(&["--send", "hello", &url]);
    assert_eq!(code, 0, "{journey:#}");
    assert_eq!(stage(&journey, "receive")["note"], "then nothing came for 500 ms");
    let close = stage(&journey, "close");
    assert_eq!((&close["first"], &close["peer"]), (&"you".into(), &"fin".into()));
    assert_eq!(calls(&journey, "receive"), ["recv(16384) = nothing within 500 ms"]);
    assert_eq!(calls(&journey, "close"), ["shutdown(SHUT_WR) = 0", "recv(16384) = 0: the end", "close() = "]);
    // The pause is no part of what was received, and is not hidden either: the next stage begins behind it.
    let us = |name: &str, member: &str| stage(&journey, name)[member].as_u64().unwrap();
    assert!(us("close", "start_us") - us("receive", "start_us") - us("receive", "duration_us") >= 500_000);
    check_order(&journey);
}

#[test]
fn the_own_half_stays_open_until_the_answer() {
    let url = stream(|mut stream| {
        once(&stream);
        // For as long as nothing is answered, nothing more may come: no end either.
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let answer: &[u8] = match stream.read(&mut [0]) {
            Ok(_) => b"you hung up",
            Err(_) => b"you wait",
        };
        stream.write_all(answer).unwrap();
    });
    let (_, journey) = visit(&["--send", "hello", &url]);
    assert_eq!(stage(&journey, "receive")["text"], "you wait", "{journey:#}");
    // The wait is that of the bytes.
    assert!(stage(&journey, "wait")["duration_us"].as_u64().unwrap() >= 300_000, "{journey:#}");
}

#[test]
fn the_server_speaks_first() {
    let url = stream(|mut stream| {
        stream.write_all(b"220 mail.test\r\n").unwrap();
        to_the_end(&stream);
    });
    let (code, journey) = visit(&[&url]);
    assert_eq!(code, 0, "{journey:#}");
    assert!(verdict(&journey).ends_with(": it said 15 bytes on its own."), "{}", verdict(&journey));
    let send = stage(&journey, "send");
    assert_eq!((&send["state"], &send["bytes"]), (&"skipped".into(), &Value::Null));
    assert_eq!(send["note"], "nothing to send: no --send, and stdin is neither a pipe nor a file");
    check_order(&journey);

    let url = stream(|mut stream| {
        stream.write_all(b"220 mail.test\r\n").unwrap();
        once(&stream);
        stream.write_all(b"221 bye\r\n").unwrap();
    });
    let (_, journey) = visit(&["--send", r"QUIT\r\n", &url]);
    assert_eq!(stage(&journey, "receive")["text"], "220 mail.test\r\n221 bye\r\n", "{journey:#}");
}

#[test]
fn nobody_says_anything() {
    let url = stream(|stream| {
        to_the_end(&stream);
    });
    let (code, journey) = visit(&[&url]);
    assert_eq!((code, &journey["outcome"]["reached"]), (0, &true.into()), "{journey:#}");
    assert!(verdict(&journey).ends_with(": connected; neither side said anything."), "{}", verdict(&journey));
    assert_eq!(stage(&journey, "receive")["state"], "skipped");
    assert!(!journey["events"].to_string().contains("first_byte"), "{journey:#}");
    check_order(&journey);
}

#[test]
fn a_silent_server() {
    let silent = |stream: TcpStream| {
        to_the_end(&stream);
    };
    assert_eq!(failed(silent, &[]), is(56, "wait", "timeout"));
    assert_eq!(failed(silent, &["--max-time", "0.2"]), is(28, "wait", "max_time"));
}

#[test]
fn a_server_that_hangs_up() {
    let check = |talk: fn(TcpStream), more: &[&str], expected| assert_eq!(failed(talk, more), expected);
    check(|stream| drop(once(&stream)), &[], is(52, "wait", "empty_reply"));
    check(
        |stream| {
            once(&stream);
            reset(&stream);
        },
        &[],
        is(56, "wait", "reset"),
    );
    check(
        |mut stream| {
            once(&stream);
            stream.write_all(b"so far").unwrap();
            reset(&stream);
        },
        &[],
        is(56, "receive", "reset"),
    );
    // Without a word on either side.
    let url = stream(drop);
    let (code, journey) = visit(&[&url]);
    assert_eq!((code, &journey["outcome"]["reason"]), (52, &"empty_reply".into()), "{journey:#}");
}

#[test]
fn a_dripping_server_is_read_to_its_end() {
    let url = stream(|mut stream| {
        once(&stream);
        for _ in 0..10 {
            stream.write_all(b"drip ").unwrap();
            thread::sleep(Duration::from_millis(100));
        }
    });
    let (code, journey) = visit(&["--send", "hello", &url]);
    let receive = stage(&journey, "receive");
    // Longer in all than a pause that would end it.
    assert_eq!((code, &receive["bytes"]), (0, &50.into()), "{journey:#}");
    assert!(receive["duration_us"].as_u64().unwrap() >= 900_000, "{journey:#}");
    assert_eq!(
        (&receive["note"], &stage(&journey, "close")["first"]),
        (&"then the server closed".into(), &"server".into())
    );
    check_order(&journey);
}

#[test]
fn an_endless_server_is_given_up() {
    let endless = |mut stream: TcpStream| {
        once(&stream);
        while stream.write_all(&[b'a'; 16 * 1024]).is_ok() {}
    };
    assert_eq!(failed(endless, &["--max-filesize", "100000"]), is(63, "receive", "too_large"));
    assert_eq!(
        failed(endless, &["--max-filesize", "1000000000000", "--max-time", "0.3"]),
        is(28, "receive", "max_time")
    );
    let url = stream(endless);
    let (_, journey) = visit(&["--send", "x", "--max-filesize", "10000000", &url]);
    let calls = calls(&journey, "receive");
    let stands_for = journey["hops"][0]["stages"].as_array().into_iter().flatten().flat_map(|stage| {
        stage["calls"].as_array().into_iter().flatten().filter_map(|call| call["stands_for"].as_u64())
    });
    assert!(calls.len() == 25 && calls[24].starts_with('…') && stands_for.sum::<u64>() > 1, "{calls:?}");
}

#[test]
fn what_comes_only_once_this_side_is_done_counts_as_well() {
    let url = stream(|mut stream| {
        stream.write_all(b"go ").unwrap();
        let all = to_the_end(&stream);
        stream.write_all(format!("{} bytes", all.len()).as_bytes()).unwrap();
    });
    let (code, journey) = visit(&["--send", "hello", &url]);
    let receive = stage(&journey, "receive");
    assert_eq!((code, &receive["text"], &receive["bytes"]), (0, &"go 5 bytes".into(), &10.into()), "{journey:#}");
    let note = receive["note"].as_str().unwrap();
    assert!(note.ends_with("7 of them came once you had said that you were done"), "{note}");
    assert_eq!(stage(&journey, "close")["first"], "you");
    assert!(calls(&journey, "receive").contains(&"shutdown(SHUT_WR) = 0".to_owned()), "{journey:#}");
    check_order(&journey);
}

/// More than all buffers between two sockets hold.
fn much() -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&vec![b'x'; 12_000_000]).unwrap();
    file.rewind().unwrap();
    file
}

#[test]
fn a_server_that_takes_nothing() {
    let held = |stream: TcpStream| {
        // It is held, and never read.
        std::mem::forget(stream);
    };
    let url = stream(held);
    let (code, journey) = journey_of(spawn(&["--json", "--max-time", "0.5", &url], much()));
    assert_eq!((code, &journey["outcome"]["failed_stage"]), (28, &"send".into()), "{journey:#}");
    let verdict = verdict(&journey);
    assert!(verdict.contains(" of 12000000 bytes and no more before the time limit"), "{verdict}");
    check_order(&journey);
    // One that only talks.
    let url = stream(|mut stream| while stream.write_all(&[b'a'; 16 * 1024]).is_ok() {});
    let (code, journey) = journey_of(spawn(&["--json", "--max-filesize", "100000", &url], much()));
    assert_eq!((code, &journey["outcome"]["failed_stage"]), (63, &"send".into()), "{journey:#}");
}

#[test]
fn both_sides_send_at_once() {
    // It reads no more as long as nobody takes what it has echoed: who writes all before reading would wait for ever.
    let url = stream(|mut stream| {
        let mut buffer = [0; 8 * 1024];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    });
    let (code, journey) = journey_of(spawn(&["--json", "--max-time", "60", &url], much()));
    assert_eq!((code, &stage(&journey, "receive")["bytes"]), (0, &12_000_000.into()), "{journey:#}");
    assert_eq!(stage(&journey, "send")["bytes"], 12_000_000);
    assert_eq!(stage(&journey, "wait")["note"], "the server spoke before all was sent", "{journey:#}");
    check_order(&journey);
}

#[test]
fn a_server_that_leaves_while_much_is_sent() {
    let url = stream(|stream| {
        once(&stream);
        reset(&stream);
    });
    let (code, journey) = journey_of(spawn(&["--json", &url], much()));
    assert_eq!((code, &journey["outcome"]["failed_stage"]), (55, &"send".into()), "{journey:#}");
    let sent = stage(&journey, "send")["bytes"].as_u64().unwrap();
    assert!((1..12_000_000).contains(&sent), "{sent}");
}

#[test]
fn bytes_that_are_no_text_and_text_that_would_drive_the_terminal() {
    let answers = |answer: &'static [u8]| stream(move |mut stream| drop(stream.write_all(answer)));
    let url = answers(b"\x1b[2J\x1b]0;title\x07\xe2\x80\xaedlrow\r\nsecond\n");
    let screen = String::from_utf8(run(&[&url]).stdout).unwrap();
    assert!(!screen.contains(['\x1b', '\x07', '\u{202e}']), "{screen}");
    assert!(screen.contains("│ \\u{1b}[2J") && screen.contains("│ second\n"), "{screen}");

    let url = answers(b"\xff\xfb\x01\xff\xfb\x03\0\x01");
    let (_, journey) = visit(&[&url]);
    assert_eq!((&stage(&journey, "receive")["text"], &stage(&journey, "receive")["bytes"]), (&Value::Null, &8.into()));
    let screen = String::from_utf8(run(&[&url]).stdout).unwrap();
    assert!(screen.contains("8 bytes that are no text"), "{screen}");
}

#[test]
fn a_long_answer_is_cut_on_the_screen_and_says_so() {
    let url = stream(|mut stream| {
        let lines: String = (0..1_000).map(|nth| format!("line {nth} {}\n", "x".repeat(nth))).collect();
        let _ = stream.write_all(lines.as_bytes());
    });
    let screen = String::from_utf8(run(&[&url]).stdout).unwrap();
    assert!(screen.contains("│ line 7 xxxxxxx\n") && !screen.contains("line 8 "), "{screen}");
    assert!(screen.contains("are kept of"), "{screen}");
    let (_, journey) = visit(&[&url]);
    assert_eq!(stage(&journey, "receive")["text"].as_str().unwrap().len(), 1024);
}

#[test]
fn nothing_listens() {
    let closed = peer::ClosedPort::new();
    let url = closed.url().replace("http://", "tcp://");
    let (code, journey) = visit(&["--send", "x", url.trim_end_matches('/')]);
    assert_eq!((code, &journey["outcome"]["reason"]), (7, &"connection_refused".into()), "{journey:#}");
    let connect = calls(&journey, "connect");
    assert!(connect[1].ends_with("= ECONNREFUSED: Connection refused"), "{connect:?}");
}

#[test]
fn stdin_is_sent_where_it_is_a_pipe_or_a_file() {
    let url = stream(|mut stream| {
        let said = once(&stream);
        let _ = stream.write_all(&said);
    });
    let sent = |stdin: Stdio, written: Option<&[u8]>, more: &[&str]| {
        let mut process = spawn(&[&["--json", &url], more].concat(), stdin);
        if let Some(bytes) = written {
            process.stdin.take().unwrap().write_all(bytes).unwrap();
        }
        let (_, journey) = journey_of(process);
        stage(&journey, "send").clone()
    };
    assert_eq!(sent(Stdio::piped(), Some(b"from\na pipe\\n"), &[])["text"], "from\na pipe\\n");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"from a file").unwrap();
    assert_eq!(sent(File::open(file.path()).unwrap().into(), None, &[])["text"], "from a file");
    // What is said goes before what stdin has.
    assert_eq!(sent(File::open(file.path()).unwrap().into(), None, &["--send", "said"])["text"], "said");
    let note = |send: Value| send["note"].as_str().unwrap_or_default().to_owned();
    assert_eq!(note(sent(Stdio::piped(), Some(b""), &[])), "nothing to send: no --send, and stdin was empty");
    assert!(note(sent(Stdio::null(), None, &[])).ends_with("stdin is neither a pipe nor a file"));
    assert!(note(sent(Stdio::null(), None, &["--send", ""])).contains("a stream has no empty messages"));
}

#[test]
fn an_interrupted_visit_is_shown_all_the_same() {
    let (read, is_read) = mpsc::channel();
    let url = stream(move |stream| {
        once(&stream);
        read.send(()).unwrap();
        to_the_end(&stream);
    });
    let process = spawn(&["--json", "--send", "hello", &url], Stdio::null());
    is_read.recv().unwrap();
    signal(&process, "-INT");
    let (code, journey) = journey_of(process);
    assert_eq!((code, &journey["outcome"]["failed_stage"]), (130, &"wait".into()), "{journey:#}");
    assert!(verdict(&journey).starts_with("Interrupted in the wait stage, at 127.0.0.1"), "{}", verdict(&journey));
    assert_eq!(stage(&journey, "send")["bytes"], 5);
}

#[test]
fn stdin_that_does_not_end_can_be_interrupted() {
    let (came, has_come) = mpsc::channel();
    let url = stream(move |_| came.send(()).unwrap());
    let mut process = spawn(&[&url], Stdio::piped());
    // More than a pipe holds: once it is taken, the visit reads stdin.
    let mut stdin = process.stdin.take().unwrap();
    stdin.write_all(&vec![b'x'; 1_000_000]).unwrap();
    signal(&process, "-INT");
    // A visit that does not hear it would wait for as long as this pipe is open.
    let (ended, has_ended) = mpsc::channel::<()>();
    thread::spawn(move || {
        let _ = has_ended.recv_timeout(Duration::from_secs(30));
        drop(stdin);
    });
    let output = process.wait_with_output().unwrap();
    drop(ended);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), &*output.stdout), (Some(130), &b""[..]), "{said}");
    assert_eq!(said, "visit: interrupted before stdin had ended; nothing was sent\n");
    assert!(has_come.try_recv().is_err(), "somebody connected");
}

#[test]
fn secrets_that_are_sent_are_not_kept() {
    let url = stream(|mut stream| {
        once(&stream);
        let _ = stream.write_all(b"Set-Cookie: s3cr3t\r\n");
        let _ = stream.shutdown(Shutdown::Write);
    });
    let line = r"GET / HTTP/1.0\r\nAuthorization: Basic hunter2\r\n\r\n";
    let json = String::from_utf8(run(&["--json", "--send", line, &url]).stdout).unwrap();
    let screen = String::from_utf8(run(&["-v", "--send", line, &url]).stdout).unwrap();
    for secret in ["hunter2", "s3cr3t"] {
        assert!(!json.contains(secret) && !screen.contains(secret), "{secret}:\n{json}\n{screen}");
    }
    let shown = String::from_utf8(run(&["--json", "--show-secrets", "--send", line, &url]).stdout).unwrap();
    assert!(shown.contains("hunter2") && shown.contains("s3cr3t"), "{shown}");
}

#[test]
fn options_that_say_nothing_here_are_refused() {
    let check = |args: &[&str], words: &str| {
        let output = run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
    };
    check(&["-L", "tcp://127.0.0.1:1"], "visit: -L (--location) does not go with tcp://");
    // The visit before it is not made either.
    check(&["http://127.0.0.1:1/", "-X", "GET", "udp://127.0.0.1:1"], "-X (--request) does not go with udp://");
    check(&["--send", "x", "http://127.0.0.1:1/"], "--send does not go with http://");
    check(&["--send", r"\q", "tcp://127.0.0.1:1"], r"--send: \q is no escape");
}
