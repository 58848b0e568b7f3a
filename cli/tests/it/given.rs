//! Visits whose names and ways are given on the command line, as with curl.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use crate::peer::{End, Server, run, visit};
use serde_json::json;

fn ok() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec()
}

fn port_of(server: &Server) -> String {
    server.url("").rsplit_once(':').unwrap().1.to_owned()
}

#[test]
fn resolve_asks_nobody() {
    let server = Server::start(ok(), End::WhenPeerCloses);
    let port = port_of(&server);
    let rule = format!("name.test:{port}:127.0.0.1");
    // A resolver that would refuse: it is not asked.
    let (code, journey) =
        visit(&["--resolver", "127.0.0.1:1", "--resolve", &rule, &format!("http://name.test:{port}/")]);
    assert_eq!(code, 0, "{journey:#}");
    let stages = &journey["hops"][0]["stages"];
    assert_eq!(stages[1]["source"], json!({"kind": "command_line", "option": "--resolve"}));
    assert_eq!((&stages[1]["exchanges"], &stages[1]["addresses"][0]["ttl"]), (&json!([]), &json!(null)));
    assert_eq!(stages[1]["addresses"][0]["ip"], "127.0.0.1");
    let screen = run(&["--resolve", &rule, &format!("http://name.test:{port}/")]).stdout;
    assert!(String::from_utf8(screen).unwrap().contains("127.0.0.1  as --resolve says"));
}

#[test]
fn a_first_address_that_refuses_does_not_end_it() {
    let server = Server::start(ok(), End::WhenPeerCloses);
    let port = port_of(&server);
    // Nothing listens on the second address of loopback.
    let rule = format!("*:{port}:127.0.0.2,127.0.0.1");
    let (code, journey) = visit(&["--resolve", &rule, &format!("http://name.test:{port}/")]);
    assert_eq!(code, 0, "{journey:#}");
    let attempts = &journey["hops"][0]["stages"][3]["attempts"];
    assert_eq!((&attempts[0]["result"], &attempts[1]["result"]), (&json!("refused"), &json!("connected")));
}

#[test]
fn families_hold_for_given_addresses() {
    let (code, journey) = visit(&["-6", "--resolve", "name.test:80:127.0.0.1", "http://name.test/"]);
    assert_eq!((code, &journey["outcome"]["reason"]), (6, &json!("no_address")), "{journey:#}");
}

#[test]
fn connect_to_leads_elsewhere_and_the_host_field_stays() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).unwrap();
            seen.lock().unwrap().push(String::from_utf8_lossy(&head[..length]).into_owned());
            stream.write_all(&ok()).unwrap();
        }
    });
    let port = address.port();
    let rule = format!("name.test:80:other.test:{port}");
    let given = format!("other.test:{port}:127.0.0.1");
    let (code, journey) = visit(&["--connect-to", &rule, "--resolve", &given, "http://name.test/"]);
    assert_eq!(code, 0, "{journey:#}");
    let stages = &journey["hops"][0]["stages"];
    assert_eq!((&stages[0]["host"], &stages[0]["port"]), (&json!("name.test"), &json!(80)));
    assert_eq!((&stages[1]["asked"], &stages[1]["instead_of"]), (&json!("other.test"), &json!("name.test")));
    assert_eq!(stages[3]["attempts"][0]["server"], format!("127.0.0.1:{port}"));
    let heads = heads.lock().unwrap();
    assert!(heads[0].to_ascii_lowercase().contains("host: name.test\r\n"), "{heads:?}");
}

#[test]
fn both_hold_for_the_hops_of_redirects() {
    let second = Server::start(ok(), End::WhenPeerCloses);
    let location = "HTTP/1.1 302 Found\r\nlocation: http://second.test/x\r\ncontent-length: 0\r\n\r\n";
    let first = Server::start(location.into(), End::WhenPeerCloses);
    let (one, two) = (port_of(&first), port_of(&second));
    let (code, journey) = visit(&[
        "-L",
        "--connect-to",
        &format!("first.test:80:127.0.0.1:{one}"),
        "--connect-to",
        &format!("second.test::name.test:{two}"),
        "--resolve",
        &format!("name.test:{two}:127.0.0.1"),
        "http://first.test/",
    ]);
    assert_eq!(code, 0, "{journey:#}");
    let hops = journey["hops"].as_array().unwrap();
    assert_eq!(hops[0]["stages"][1]["instead_of"], "first.test", "{journey:#}");
    assert_eq!(hops[1]["stages"][1]["instead_of"], "second.test", "{journey:#}");
    assert_eq!(hops[1]["stages"][1]["source"]["option"], "--resolve");
}

#[test]
fn malformed_values_show_the_form() {
    let check = |args: &[&str], words: &str| {
        let output = run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
    };
    check(&["--resolve", "a.test:80", "a.test"], "write HOST:PORT:ADDR[,ADDR]");
    check(&["--resolve", "-a.test:80", "a.test"], "curl's cache");
    check(&["--connect-to", "a.test:80", "a.test"], "write HOST1:PORT1:HOST2:PORT2");
}
