//! HTTP/1.1 as bytes: framing, limits, and what is said to clients that get it wrong.

use std::{io::Write, time::Duration};

use crate::support::{Client, eventually, start, start_with, trace, traced};

#[test]
fn many_requests_on_one_connection() {
    let app = start();
    let mut client = app.client();
    for number in 1..=200 {
        assert_eq!(client.get("/json").json()["connection"]["request_number"], number);
    }
    assert_eq!(app.metric("app_http_requests_total{route=\"/json\",class=\"2xx\"}"), 200);
    assert_eq!(app.metric("app_connections_accepted_total{port=\"http\"}"), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let app = start();
    let mut client = app.client();
    let requests: String =
        (0..100).map(|n| format!("GET /bytes/{} HTTP/1.1\r\nHost: a\r\n\r\n", n % 7 * 10_000)).collect();
    let mut writer = client.stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(requests.as_bytes()));
    for n in 0..100 {
        assert_eq!(client.response().body.len(), n % 7 * 10_000, "response {n}");
    }
    writing.join().unwrap().unwrap();
}

#[test]
fn a_request_in_single_bytes() {
    let app = start();
    let mut client = app.client();
    for byte in b"\r\nPOST /headers HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" {
        client.send([*byte]);
    }
    let json = client.response().json();
    assert_eq!((&json["body"]["bytes"], &json["request_line"]), (&3.into(), &"POST /headers HTTP/1.1".into()));
    // The empty line that precedes the request line was read too.
    assert_eq!(json["head_bytes"], 56);
}

#[test]
fn a_body_is_read_and_forgotten_where_none_is_wanted() {
    let app = start();
    let mut client = app.client();
    for head in ["GET /bytes/3", "GET /nothing", "POST /", "BREW /"] {
        client.send(format!("{head} HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n{}", "x".repeat(30_000)));
        assert_eq!(client.response().field("connection"), None, "{head}");
        client.send(format!(
            "{head} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: x\r\n\r\n"
        ));
        assert_eq!(client.response().field("connection"), None, "{head}");
    }
    assert_eq!(client.get("/json").json()["connection"]["request_number"], 9);
}

#[test]
fn expect_continue() {
    let app = start_with(|config| config.limits.body_bytes = 10);
    let ask = |what: &str, length: usize| {
        let mut client = app.client();
        client.send(format!("{what} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"));
        client
    };
    let mut welcome = ask("POST /headers", 5);
    let interim = welcome.head();
    assert_eq!((interim.status, interim.field("server")), (100, None));
    assert_eq!(welcome.send("hello").response().json()["body"]["text"], "hello");
    assert_eq!(welcome.get("/").status, 200, "the connection goes on");

    // Who is refused is not asked for the body first, and the connection cannot go on.
    for (what, length, status) in [("POST /headers", 11, 413), ("POST /", 5, 405), ("PUT /nothing", 5, 404)] {
        let mut refused = ask(what, length);
        let response = refused.response();
        assert_eq!((response.status, response.field("connection")), (status, Some("close")), "{what}");
        assert!(refused.is_closed());
    }
}

#[test]
fn body_limit() {
    let app = start_with(|config| config.limits.body_bytes = 100_000);
    let most = "x".repeat(100_000);
    let fits = format!("POST /headers HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{most}");
    assert_eq!(app.client().send(fits).response().json()["body"]["bytes"], 100_000);

    let mut too_long = app.client();
    too_long.send("POST /headers HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n");
    let response = too_long.response();
    assert_eq!((response.status, response.field("connection")), (413, Some("close")));
    assert!(response.text().contains("100000 bytes"));
    assert!(too_long.is_closed());

    // A client that sends all of it before it looks still gets the answer and no RST.
    let mut eager = app.client();
    eager.send("POST /headers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    eager.send(format!("186a0\r\n{most}\r\n1\r\nx\r\n{}0\r\n\r\n", "5\r\nhello\r\n".repeat(20_000)));
    assert_eq!(eager.response().status, 413);
    assert!(eager.is_closed());
}

#[test]
fn a_body_that_stalls() {
    let app = start_with(|config| config.limits.read = Duration::from_millis(100));
    let mut client = app.client();
    client.send("POST /headers HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    let response = client.response();
    assert_eq!((response.status, response.field("connection")), (408, Some("close")));
    assert!(client.is_closed());
}

#[test]
fn a_body_that_ends_too_soon() {
    let app = start();
    let mut client = app.client();
    client.send("POST /headers HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello").finish_sending();
    client.rest();
    assert_eq!(app.get("/").status, 200);
}

#[test]
fn a_body_framed_wrong() {
    let app = start();
    let mut client = app.client();
    client.send("POST /headers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n");
    let response = client.response();
    assert_eq!((response.status, response.field("connection")), (400, Some("close")));
    assert!(client.is_closed());
}

#[test]
fn head_limit() {
    let app = start_with(|config| config.limits.head_bytes = 300);
    let with = |bytes: usize| {
        let head = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n";
        head.replace("X: ", &format!("X: {}", "x".repeat(bytes - head.len())))
    };
    assert_eq!(app.client().send(with(300)).response().status, 200);
    for too_long in [with(301), with(100_000), "x".repeat(1000)] {
        let mut client = app.client();
        client.send(too_long);
        let response = client.response();
        assert_eq!((response.status, response.field("connection")), (431, Some("close")));
        assert!(client.is_closed());
    }
    app.metric_becomes("app_http_unread_total{reason=\"head_too_large\"}", 3);
}

#[test]
fn a_head_that_stalls() {
    let app = start_with(|config| config.limits.read = Duration::from_millis(100));
    let mut half = app.client();
    half.send("GET / HTTP/1.1\r\nHo");
    let response = half.response();
    assert_eq!((response.status, response.field("connection")), (408, Some("close")));
    assert!(half.is_closed());

    // A byte now and then does not help: the whole head has one time limit.
    let mut slow = app.client();
    while slow.stream.write_all(b"x").is_ok() {
        std::thread::yield_now();
        let mut byte = [0];
        slow.stream.set_nonblocking(true).unwrap();
        if slow.stream.peek(&mut byte).is_ok() {
            break;
        }
    }
    slow.stream.set_nonblocking(false).unwrap();
    assert!([408, 431].contains(&slow.response().status));

    // Nothing is said to who has said nothing.
    let mut silent = app.client();
    assert!(silent.is_closed());
}

#[test]
fn an_idle_connection_is_closed() {
    let app = start_with(|config| config.limits.idle = Duration::from_millis(50));
    let mut client = app.client();
    assert_eq!(client.get("/").status, 200);
    assert!(client.is_closed());
}

#[test]
fn no_time_limit_on_the_handler() {
    let app = start_with(|config| {
        config.limits.read = Duration::from_millis(20);
        config.limits.idle = Duration::from_millis(20);
    });
    assert_eq!(app.get("/delay/200").status, 200);
}

#[test]
fn http_1_0() {
    let app = start();
    let mut client = app.client();
    client.send("GET /bytes/10 HTTP/1.0\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.version.as_str()), (200, "HTTP/1.0"));
    assert_eq!(response.body, b"ABCDEFGHIJ");
    assert!(client.is_closed());

    let mut kept = app.client();
    for _ in 0..2 {
        let response = kept.send("GET /bytes/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").response();
        assert_eq!((response.version.as_str(), response.field("connection")), ("HTTP/1.0", Some("keep-alive")));
    }
}

#[test]
fn connection_close() {
    let app = start();
    let mut client = app.client();
    client.send("GET /bytes/3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let response = client.response();
    assert_eq!((response.body.as_slice(), response.field("connection")), (b"ABC".as_slice(), Some("close")));
    assert!(client.is_closed());
}

#[test]
fn garbage() {
    let app = start();
    let refused = |bytes: &[u8]| {
        let mut client = app.client();
        client.send(bytes);
        let response = client.response();
        assert_eq!(response.field("connection"), Some("close"), "{bytes:?}");
        assert!(client.is_closed());
        response.status
    };
    assert_eq!(refused(b"\0\0\0\0\r\n\r\n"), 400);
    assert_eq!(refused(b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"), 400);
    assert_eq!(refused(b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    assert_eq!(refused(b"hello\r\n\r\n"), 400);
    assert_eq!(refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello"), 400);
    assert_eq!(refused(b"GET / HTTP/9.9\r\nHost: a\r\n\r\n"), 400);
    assert_eq!(refused(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"), 400);
    assert_eq!(refused(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"), 400);
    assert_eq!(refused(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), 400);
    assert_eq!(refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
    app.metric_becomes("app_http_unread_total{reason=\"malformed\"}", 10);
    assert_eq!(app.get("/").status, 200);
}

#[test]
fn host_is_needed_once() {
    let app = start();
    let mut client = app.client();
    for hosts in ["", "Host: a\r\nHost: a\r\n", "Host: a b\r\n", "Host: <b>\r\n"] {
        let response = client.send(format!("GET / HTTP/1.1\r\n{hosts}\r\n")).response();
        assert_eq!(response.status, 400, "{hosts}");
        assert!(response.text().contains("Host field"), "{}", response.text());
    }
    assert_eq!(client.send("GET / HTTP/1.1\r\nHost:\r\n\r\n").response().status, 200);
}

#[test]
fn half_a_request() {
    let app = start();
    let mut client = app.client();
    client.send("GET / HTTP/1.1\r\nHost").finish_sending();
    client.rest();
    let mut nothing = app.client();
    assert!(nothing.finish_sending().is_closed());
    assert_eq!(app.get("/").status, 200);
}

#[test]
fn a_client_that_has_sent_its_last_byte_gets_its_answer() {
    let app = start();
    let mut client = app.client();
    client.send("GET /bytes/20000000 HTTP/1.1\r\nHost: a\r\n\r\n").finish_sending();
    assert_eq!(client.response().body.len(), 20_000_000);
    assert!(client.is_closed());

    // Whether the FIN comes before or after the server has looked at the request.
    for _ in 0..200 {
        let mut client = app.client();
        client.send("GET /bytes/10 HTTP/1.1\r\nHost: a\r\n\r\nGET /json HTTP/1.1\r\nHost: a\r\n\r\n");
        client.finish_sending();
        assert_eq!(client.response().body, b"ABCDEFGHIJ");
        assert_eq!(client.response().status, 200);
        assert!(client.is_closed());

        let mut client = app.client();
        client.send("POST /headers HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").finish_sending();
        assert_eq!(client.response().json()["body"]["text"], "abc");
        assert!(client.is_closed());
    }
}

#[test]
fn full_house() {
    let app = start_with(|config| config.limits.connections = 2);
    let mut guests = [app.client(), app.client()];
    for (guest, number) in guests.iter_mut().zip([1, 2]) {
        guest.send(traced("/delay/60000", trace(number)));
        eventually("it is under way", || (app.events(trace(number)).len() == 2).then_some(()));
    }
    // The third is connected by the kernel, and waits.
    let mut third = Client::connect(app.http);
    third.send("GET /bytes/3 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(app.metric("app_connections_open{port=\"http\"}"), 2);
    assert_eq!(app.metric("app_connections_accepted_total{port=\"http\"}"), 2);
    drop(guests);
    assert_eq!(third.response().body, b"ABC");
    app.metric_becomes("app_connections_open{port=\"http\"}", 1);
    // What has nothing under way is closed for a new client, the oldest first.
    let mut more = Vec::new();
    for _ in 0..3 {
        let mut client = app.client();
        assert_eq!(client.get("/bytes/3").body, b"ABC");
        more.push(client);
    }
    assert!(third.is_closed() && more[0].is_closed());
    assert_eq!(more[1].get("/bytes/3").body, b"ABC");
}

#[test]
fn many_clients_at_once() {
    let app = start();
    let mut clients: Vec<Client> = (0..200).map(|_| app.client()).collect();
    for client in &mut clients {
        client.send("GET /delay/50 HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    let begin = std::time::Instant::now();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    // One after the other would take ten seconds.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn a_client_that_takes_nothing() {
    let app = start_with(|config| config.limits.read = Duration::from_millis(100));
    let mut client = app.client();
    client.send("GET /bytes/1000000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    app.metric_becomes("app_connections_open{port=\"http\"}", 0);
}
