//! Visits to `udp://` servers: one datagram there, and whatever comes back.

use std::{
    net::{Ipv4Addr, UdpSocket},
    process::{Command, Stdio},
    sync::mpsc,
};

use crate::peer::{
    raw::{calls, check_order, datagram, journey_of, signal, spawn, stage},
    run, visit,
};
use serde_json::Value;

#[test]
fn answered() {
    let url = datagram(|socket, said, peer| {
        socket.send_to(&[b"got ", said].concat(), peer).unwrap();
    });
    let (code, journey) = visit(&["--send", "hello", &url]);
    assert_eq!((code, &journey["outcome"]["reached"]), (0, &true.into()), "{journey:#}");
    let server = url.trim_start_matches("udp://");
    assert_eq!(journey["outcome"]["verdict"], format!("Reached {server}: 9 bytes came back."));
    let receive = stage(&journey, "receive");
    assert_eq!((&receive["text"], &receive["bytes"]), (&"got hello".into(), &9.into()));
    assert_eq!(receive["note"], "1 datagram, then nothing came for 250 ms");
    check_order(&journey);

    let connect = calls(&journey, "connect");
    assert!(connect[0].starts_with("socket(AF_INET, SOCK_DGRAM) = "), "{connect:?}");
    assert_eq!(connect[1], format!("connect({server}) = 0"));
    assert_eq!(calls(&journey, "send"), ["send(5 bytes) = 5 bytes"]);
    assert_eq!(calls(&journey, "wait"), ["recv(65535) = 9 bytes"]);
    // Nothing was opened, so nothing says that it was.
    assert!(!journey["events"].to_string().contains("connect"), "{journey:#}");
}

#[test]
fn nobody_answers_and_that_is_no_failure() {
    let (came, has_come) = mpsc::channel();
    let url = datagram(move |_, said, _| came.send(said.to_vec()).unwrap());
    let (code, journey) = visit(&["--send", "hello", &url]);
    let outcome = &journey["outcome"];
    assert_eq!(code, 0, "{journey:#}");
    assert_eq!(
        (&outcome["reached"], &outcome["failed_stage"], &outcome["reason"]),
        (&false.into(), &Value::Null, &Value::Null)
    );
    let server = url.trim_start_matches("udp://");
    let verdict = format!("Sent 5 bytes to {server}; nothing came back. UDP promises nothing.");
    assert_eq!(outcome["verdict"], verdict);
    assert_eq!(
        (&stage(&journey, "wait")["state"], &stage(&journey, "receive")["state"]),
        (&"done".into(), &"skipped".into())
    );
    assert!(!journey["events"].to_string().contains("first_byte"), "{journey:#}");
    check_order(&journey);
    // What is lost is not sent again: one datagram came, and no other.
    assert_eq!(has_come.try_iter().collect::<Vec<_>>(), [b"hello"]);

    let screen = String::from_utf8(run(&["--send", "hello", &url]).stdout).unwrap();
    assert!(screen.contains("\n· Sent 5 bytes to ") && !screen.contains("exit code"), "{screen}");
    assert!(screen.contains("UDP opens nothing") && screen.contains("it is not sent again"), "{screen}");
}

#[test]
fn nothing_listens() {
    // A socket that takes datagrams of one other peer alone: for all others nothing listens on its port.
    let held = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    held.connect((Ipv4Addr::LOCALHOST, 1)).unwrap();
    let (code, journey) = visit(&["--send", "x", &format!("udp://{}", held.local_addr().unwrap())]);
    let outcome = &journey["outcome"];
    assert_eq!(
        (code, &outcome["failed_stage"], &outcome["reason"]),
        (56, &"wait".into(), &"connection_refused".into()),
        "{journey:#}"
    );
    assert!(outcome["verdict"].as_str().unwrap().contains("ICMP port unreachable"), "{outcome}");
    check_order(&journey);
}

#[needs::tools(unshare)]
#[test]
fn there_is_no_way() {
    // In a network namespace with nothing in it.
    let visit = env!("CARGO_BIN_EXE_visit");
    let output = Command::new("unshare")
        .args(["--map-root-user", "--net", visit, "--json", "--send", "x", "udp://192.0.2.1:7"])
        .output()
        .expect("unshare is needed: apt-get install util-linux");
    let journey: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!((output.status.code(), &journey["outcome"]["reason"]), (Some(7), &"unreachable".into()), "{journey:#}");
}

#[test]
fn what_others_send_is_not_taken() {
    let url = datagram(|_, _, peer| {
        let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        other.send_to(b"it was me", peer).unwrap();
    });
    let (code, journey) = visit(&["--send", "x", &url]);
    assert_eq!((code, &journey["outcome"]["reached"]), (0, &false.into()), "{journey:#}");
    assert!(!journey.to_string().contains("it was me"), "{journey:#}");
}

#[test]
fn several_datagrams() {
    let url = datagram(|socket, _, peer| {
        for text in [&b"one "[..], b"", b"three"] {
            socket.send_to(text, peer).unwrap();
        }
    });
    let (code, journey) = visit(&["--send", "x", &url]);
    let receive = stage(&journey, "receive");
    assert_eq!((code, &receive["bytes"], &receive["text"]), (0, &9.into(), &"one three".into()), "{journey:#}");
    assert!(receive["note"].as_str().unwrap().starts_with("3 datagrams, "), "{receive}");
    check_order(&journey);
}

#[test]
fn an_empty_datagram_is_one() {
    let url = datagram(|socket, said, peer| {
        socket.send_to(said, peer).unwrap();
    });
    let (code, journey) = visit(&["--send", "", &url]);
    assert_eq!((code, &journey["outcome"]["reached"]), (0, &true.into()), "{journey:#}");
    assert!(journey["outcome"]["verdict"].as_str().unwrap().ends_with("an empty datagram came back."), "{journey:#}");
    // It has to be asked for: that nothing was said is no datagram.
    for stdin in [Stdio::null(), Stdio::piped()] {
        let mut process = spawn(&[&url], stdin);
        drop(process.stdin.take());
        let output = process.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("a visit over UDP is one datagram; give it with --send TEXT"), "{said}");
    }
}

#[test]
fn more_than_a_datagram_holds() {
    let url = datagram(|socket, said, peer| {
        socket.send_to(said.len().to_string().as_bytes(), peer).unwrap();
    });
    let of = |length: usize| {
        let mut process = spawn(&["--json", &url], Stdio::piped());
        std::io::Write::write_all(&mut process.stdin.take().unwrap(), &vec![b'x'; length]).unwrap();
        journey_of(process)
    };
    let (code, journey) = of(65_507);
    assert_eq!((code, &stage(&journey, "receive")["text"]), (0, &"65507".into()), "{journey:#}");
    let (code, journey) = of(65_508);
    assert_eq!((code, &journey["outcome"]["failed_stage"]), (55, &"send".into()), "{journey:#}");
    let verdict = journey["outcome"]["verdict"].as_str().unwrap();
    assert!(verdict.contains("65508 bytes do not fit into a datagram: over IPv4 it holds 65507 at most"), "{verdict}");
    assert_eq!(stage(&journey, "send")["bytes"], 0);
}

#[test]
fn limits() {
    let (read, is_read) = mpsc::channel();
    let url = datagram(move |_, _, _| read.send(()).unwrap());
    let (code, journey) = visit(&["--send", "x", "--max-time", "0.2", &url]);
    assert_eq!((code, &journey["outcome"]["failed_stage"]), (28, &"wait".into()), "{journey:#}");
    is_read.recv().unwrap();
    let process = spawn(&["--json", "--send", "x", &url], Stdio::null());
    is_read.recv().unwrap();
    signal(&process, "-INT");
    let (code, journey) = journey_of(process);
    assert_eq!((code, &journey["outcome"]["reason"]), (130, &"interrupted".into()), "{journey:#}");

    // It does not pause.
    let url = datagram(|socket, _, peer| {
        for _ in 0..5_000 {
            socket.send_to(&[b'x'; 1_000], peer).unwrap();
        }
    });
    let (code, journey) = visit(&["--send", "x", "--max-filesize", "100000", &url]);
    assert_eq!((code, &journey["outcome"]["reason"]), (63, &"too_large".into()), "{journey:#}");
}
