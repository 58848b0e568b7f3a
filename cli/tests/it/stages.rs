//! A visit that fails at a stage keeps all the finished ones, in text and in JSON, with their times; and what was not
//! reached has no times.

use std::{io::Write, net::TcpListener, thread};

use crate::peer::{ClosedPort, End, Server, run, visit};
use crate::pki::{Kind, Pki, python_https};
use serde_json::Value;

const STAGES: [&str; 9] = ["url", "name", "route", "connect", "tls", "send", "wait", "receive", "close"];

fn check(args: &[&str], failed: &str, code: i32) {
    let (seen, journey) = visit(args);
    assert_eq!(
        (seen, &journey["outcome"]["failed_stage"]),
        (code, &failed.into()),
        "{args:?}: {:#}",
        journey["outcome"]
    );
    assert_eq!(journey["exit_code"], code);
    let output = run(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}");
    let screen = String::from_utf8(output.stdout).unwrap();
    let at = STAGES.iter().position(|name| *name == failed).unwrap();
    let stages = journey["hops"][0]["stages"].as_array().unwrap();
    assert_eq!(stages.iter().map(|stage| stage["name"].as_str().unwrap()).collect::<Vec<_>>(), STAGES);
    for (nth, stage) in stages.iter().enumerate() {
        let (name, state) = (STAGES[nth], stage["state"].as_str().unwrap());
        let has_times = stage["start_us"].is_u64() && stage["duration_us"].is_u64();
        let on_screen = |mark: &str| screen.lines().any(|line| line.starts_with(&format!("{mark} {name} ")));
        if nth < at {
            assert!(matches!(state, "done" | "skipped"), "{args:?}: {name} is {state}");
            assert_eq!(has_times, state == "done", "{args:?}: {stage:#}");
            assert!(on_screen("✔") || state == "skipped", "{args:?}: no {name} on the screen:\n{screen}");
        } else if nth == at {
            assert!(state == "failed" && has_times, "{args:?}: {stage:#}");
            assert!(stage["failure"]["what"].as_str().is_some_and(|what| !what.is_empty()), "{args:?}: {stage:#}");
            assert!(on_screen("✘"), "{args:?}: {name} has not failed on the screen:\n{screen}");
        } else {
            assert_eq!(state, "not_reached", "{args:?}: {name}");
            assert!(stage["start_us"].is_null() && stage["duration_us"].is_null(), "{args:?}: {stage:#}");
        }
    }
    // That a scheme has no TLS is said by the scheme.
    let has_tls = args.iter().any(|arg| arg.starts_with("https:"));
    let rest: Vec<&str> = STAGES[at + 1..].iter().copied().filter(|name| has_tls || *name != "tls").collect();
    let rest = rest.join(", ");
    let flat = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(rest.is_empty() || flat.contains(&format!("not reached: {rest}")), "{args:?}: {screen}");
    assert!(screen.contains(&format!("exit code {code}")), "{screen}");
    assert!(journey["total_us"].is_u64() && !journey["outcome"]["verdict"].as_str().unwrap().is_empty());
}

/// The URL of a server that takes a connection and resets it once something has come.
fn resets() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // What is unread when a socket closes makes its close a reset.
            let _ = stream.peek(&mut [0]);
        }
    });
    url
}

#[test]
fn url() {
    check(&["http://h.test:99999/"], "url", 3);
    check(&["gopher://h.test/"], "url", 1);
}

#[test]
fn name() {
    check(&["missing.example.local"], "name", 6);
}

#[test]
fn connect() {
    check(&[&ClosedPort::new().url()], "connect", 7);
    check(&["closed.example.local"], "connect", 7);
}

#[needs::tools(python3)]
#[test]
fn tls() {
    let pki = Pki::new();
    let server = python_https(&pki.issue(Kind::GOOD), "");
    check(&["--cacert", &pki.root(), &format!("https://127.0.0.1:{}/", server.port)], "tls", 60);
    let plain = Server::at_once(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    check(&[&plain.url("/").replace("http:", "https:")], "tls", 35);
}

#[test]
fn send() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large");
    // More than both kernels' buffers hold.
    std::fs::File::create(&file).unwrap().write_all(&vec![b'a'; 32 << 20]).unwrap();
    let (_, journey) = visit(&["-d", &format!("@{}", file.display()), &resets()]);
    assert_eq!(journey["exit_code"], 55, "{:#}", journey["outcome"]);
    assert_eq!(journey["outcome"]["failed_stage"], "send", "{:#}", journey["outcome"]);
    let stages: Vec<&Value> = journey["hops"][0]["stages"].as_array().unwrap().iter().collect();
    assert_eq!((&stages[3]["state"], &stages[6]["state"]), (&"done".into(), &"not_reached".into()));
}

#[test]
fn wait() {
    check(&[&resets()], "wait", 56);
    check(&[&Server::start(Vec::new(), End::Close).url("/")], "wait", 52);
}

#[test]
fn receive() {
    let cut = Server::start(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec(), End::Close);
    check(&[&cut.url("/")], "receive", 18);
    let coded = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nhalf";
    check(&[&Server::start(coded.to_vec(), End::Close).url("/")], "receive", 61);
    let other = Server::start(b"220 mail.test ESMTP\r\n".to_vec(), End::Close);
    check(&[&other.url("/")], "receive", 8);
}
