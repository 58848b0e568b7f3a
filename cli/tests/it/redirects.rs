//! Where `-L` goes: what servers write into `Location`, and the requests that come of it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
};

use crate::peer::visit;
use serde_json::Value;

/// A server that sends this head for `/start`, and 200 for anything else; and the lines of the requests that it got.
fn server(head: impl Fn(SocketAddr) -> Vec<u8> + Send + 'static) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let lines = Arc::clone(&asked);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut rest, mut length) = (String::new(), String::new(), 0);
            reader.read_line(&mut line).unwrap();
            while rest != "\r\n" {
                rest.clear();
                if reader.read_line(&mut rest).unwrap_or(0) == 0 {
                    break;
                }
                if let Some(value) = rest.strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned() + &String::from_utf8(body).unwrap();
            let answer = match line.contains("/start/a?q") || line.ends_with("/start") {
                true => [b"HTTP/1.1 ", &head(address)[..], b"\r\ncontent-length: 0\r\n\r\n"].concat(),
                false => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(),
            };
            lines.lock().unwrap().push(line);
            let _ = stream.write_all(&answer);
            let _ = reader.read_to_end(&mut Vec::new());
        }
    });
    (address, asked)
}

/// Visits `/start/a` at a server that answers so, with `-L`; the journey and the targets of the requests.
fn follow(status: &str, location: &[u8], args: &[&str]) -> (i32, Value, Vec<String>) {
    let (status, location) = (status.to_owned(), location.to_vec());
    let (address, asked) = server(move |_| [status.as_bytes(), b"\r\nlocation: ", &location].concat());
    let (code, journey) = visit(&[&["-L"], args, &[&format!("http://{address}/start/a?q")]].concat());
    let asked = asked.lock().unwrap().clone();
    (code, journey, asked)
}

#[test]
fn references_of_every_kind_lead_to_the_right_path() {
    for (location, path) in [
        (&b"/z"[..], "/z"),
        (b"z", "/start/z"),
        (b"?z", "/start/a?z"),
        (b"../z", "/z"),
        (b"./../../z", "/z"),
        (b"/z#fragment", "/z"),
        (b"/a b", "/a%20b"),
        (b"  /z\t", "/z"),
        (b"/a\tb", "/ab"),
        (b"\\z", "/z"),
        (b"/jos\xe9", "/jos%E9"),
        (b"/jos\xc3\xa9", "/jos%C3%A9"),
        (b"/a?\xe9=\xff", "/a?%E9=%FF"),
        (b"/%", "/%"),
        (b"/a%2fb%zz", "/a%2fb%zz"),
        (b"/;v=1//b", "/;v=1//b"),
    ] {
        let (code, journey, asked) = follow("302 Found", location, &[]);
        let shown = location.escape_ascii();
        assert_eq!(code, 0, "{shown}: {:#}", journey["outcome"]);
        assert_eq!(asked, ["GET /start/a?q".to_owned(), format!("GET {path}")], "{shown}");
    }
}

#[test]
fn absolute_references_lead_to_their_host() {
    for (write, path) in [
        (&(|port| format!("http://127.0.0.1:{port}/z")) as &dyn Fn(u16) -> String, "/z"),
        (&|port| format!("//127.0.0.1:{port}/z"), "/z"),
        (&|port| format!("HTTP://127.0.0.1:{port}"), "/"),
        (&|port| format!("http://127.1:{port}?z"), "/?z"),
        (&|port| format!("http://me:pw@127.0.0.1:{port}/z"), "/z"),
        (&|port| format!("\\\\127.0.0.1:{port}\\z"), "/z"),
    ] {
        let (port, asked) = server(|_| b"200 OK".to_vec());
        let location = write(port.port());
        let (code, journey, _) = follow("302 Found", location.as_bytes(), &[]);
        assert_eq!(code, 0, "{location}: {:#}", journey["outcome"]);
        assert_eq!(*asked.lock().unwrap(), [format!("GET {path}")], "{location}");
    }
}

#[test]
fn other_schemes_are_not_followed_and_nothing_is_asked() {
    for location in [
        "mailto:me@127.0.0.1:80",
        "app:8080",
        "myapp:callback?code=1",
        "localhost:8080",
        "data:text/html,hi",
        "javascript:alert(1)",
        "tel:123",
        "file:///etc/passwd",
        "ws://127.0.0.1/",
        "ftp://127.0.0.1/",
        "tcp://127.0.0.1:80",
        "udp://127.0.0.1:80",
        "blob:http://127.0.0.1/",
        "about:blank",
        "urn:a:b",
        "view-source:http://127.0.0.1/",
        "MAILTO:me@127.0.0.1",
    ] {
        let (code, journey, asked) = follow("302 Found", location.as_bytes(), &[]);
        let outcome = &journey["outcome"];
        assert_eq!((code, &outcome["reason"]), (1, &"scheme_unsupported".into()), "{location}: {outcome:#}");
        assert_eq!((journey["hops"].as_array().unwrap().len(), asked.len()), (1, 1), "{location}");
        let scheme = location.split(':').next().unwrap().to_lowercase();
        assert!(outcome["verdict"].as_str().unwrap().contains(&format!(" {scheme}: URL")), "{outcome:#}");
    }
}

#[test]
fn what_is_no_url_is_told_and_nothing_is_asked() {
    for location in ["http://127.0.0.1:99999/", "http://[::1", "//a b/", "http://", "https:"] {
        let (code, journey, asked) = follow("302 Found", location.as_bytes(), &[]);
        let outcome = &journey["outcome"];
        assert_eq!((code, &outcome["reason"]), (3, &"url_malformed".into()), "{location}: {outcome:#}");
        assert_eq!(asked.len(), 1, "{location}");
        assert!(outcome["next"].as_str().unwrap().contains("Location"), "{outcome:#}");
    }
}

#[test]
fn an_answer_that_is_not_followed_is_the_last_one() {
    for (status, location) in [
        ("302 Found", &b""[..]),
        ("302 Found", b" "),
        ("300 Multiple Choices", b"/z"),
        ("304 Not Modified", b"/z"),
        ("305 Use Proxy", b"/z"),
        ("201 Created", b"/z"),
    ] {
        for args in [&["-L"][..], &[]] {
            let (status, location) = (status.to_owned(), location.to_vec());
            let (address, asked) = server(move |_| [status.as_bytes(), b"\r\nlocation: ", &location].concat());
            let (code, journey) = visit(&[args, &[&format!("http://{address}/start")]].concat());
            let outcome = &journey["outcome"];
            assert_eq!((code, &outcome["next"]), (0, &Value::Null), "{outcome:#}");
            assert_eq!(asked.lock().unwrap().len(), 1);
        }
    }
}

#[test]
fn a_redirect_that_is_not_followed_advises_l() {
    let (address, _) = server(|_| b"302 Found\r\nlocation: /z".to_vec());
    let (_, journey) = visit(&[&format!("http://{address}/start")]);
    assert!(journey["outcome"]["next"].as_str().unwrap().contains("-L"), "{:#}", journey["outcome"]);
}

#[test]
fn of_several_locations_the_first_with_a_value_is_followed() {
    let (_, _, asked) = follow("302 Found", b"/a\r\nlocation: /b", &[]);
    assert_eq!(asked.last().unwrap(), "GET /a");
    let (_, _, asked) = follow("302 Found", b"\r\nlocation: /b", &[]);
    assert_eq!(asked.last().unwrap(), "GET /b");
}

#[test]
fn the_method_and_the_body_follow_as_rfc_9110_says() {
    for (status, expected) in [
        ("301 Moved", "GET /z"),
        ("302 Found", "GET /z"),
        ("303 See Other", "GET /z"),
        ("307 Temporary", "POST /zbody"),
        ("308 Permanent", "POST /zbody"),
    ] {
        let (code, _, asked) = follow(status, b"/z", &["-d", "body"]);
        assert_eq!((code, asked.last().unwrap().as_str()), (0, expected), "{status}");
    }
}
