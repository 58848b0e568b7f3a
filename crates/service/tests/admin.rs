//! The admin port as a client meets it: faults are put in force, renewed and ended, and what cannot be is refused in words.

use std::{net::SocketAddr, time::Duration};

use prometheus_client::registry::Registry;
use reqwest::{Method, StatusCode};
use service::{
    Recorder, Signals, Stop,
    admin::{
        self, Admin,
        remote::{Remote, RemoteError},
    },
};
use tokio::net::TcpListener;
use world::Token;

/// An admin port that is served as long as the test's runtime lives.
async fn port(host: &str, service: &'static str) -> (SocketAddr, Signals) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, signals) = (listener.local_addr().unwrap(), Signals::default());
    let admin =
        Admin { recorder: Recorder::new(host, service, 1), registry: Registry::default(), signals: signals.clone() };
    tokio::spawn(admin::serve(vec![listener], admin, Stop::new()));
    (address, signals)
}

#[tokio::test]
async fn faults_come_and_go() {
    let (address, signals) = port("auth1", "nameserver").await;
    let remote = Remote::new(address, None).unwrap();
    let first = remote.add("auth:servfail,type=A", None).await.unwrap();
    let second = remote.add("auth1:drop", Some(Duration::from_secs(60))).await.unwrap();
    let listed = remote.faults().await.unwrap();
    let seen: Vec<_> = listed.iter().map(|one| (one.id, one.fault.as_str())).collect();
    assert_eq!(seen, [(first, "auth:servfail,type=A"), (second, "auth1:drop")]);
    assert!(listed[0].left_ms.is_none() && listed[1].left_ms.is_some_and(|left| left > 50_000 && left <= 60_000));
    assert!(remote.renew(second, Duration::from_secs(600)).await.unwrap());
    assert!(signals.faults.list()[1].left_ms.is_some_and(|left| left > 500_000));
    assert!(remote.remove(first).await.unwrap() && !remote.remove(first).await.unwrap());
    assert!(!remote.renew(99, Duration::from_secs(1)).await.unwrap());
    remote.clear().await.unwrap();
    assert!(signals.faults.is_empty());
}

#[tokio::test]
async fn what_cannot_be_here_is_said() {
    let check = async |host: &str, service, fault: &str, words: &str| {
        let (address, signals) = port(host, service).await;
        match Remote::new(address, None).unwrap().add(fault, None).await {
            Err(RemoteError::Refused { status: 422, words: seen }) => assert!(seen.contains(words), "{fault}: {seen}"),
            other => panic!("{fault}: {other:?}"),
        }
        assert!(signals.faults.is_empty());
    };
    check("auth1", "nameserver", "auth2:drop", "here is auth1, and auth2 is elsewhere").await;
    check("auth1", "nameserver", "wire:loss", "here is auth1").await;
    check("app1", "app", "app1:servfail", "faults there: refused, blackhole").await;
    check("app1", "app", "app1:refused,name=a", "takes for=TIME alone").await;
    check("auth1", "nameserver", "auth1:slwo", "there is no fault \"slwo\"").await;
    check("wire", "wire", "auth1:drop", "their place is wire").await;
}

#[tokio::test]
async fn the_clock_and_the_files() {
    let (address, signals) = port("resolver", "resolver").await;
    let remote = Remote::new(address, None).unwrap();
    let before = signals.clock.now();
    remote.advance(Duration::from_secs(3_600)).await.unwrap();
    assert!(signals.clock.now() >= before + Duration::from_secs(3_600));
    let reload = signals.reload.clone();
    let service = tokio::spawn(async move {
        for result in [Ok(()), Err("zones/a: line 3: what is this".to_owned())] {
            reload.notified().await;
            reload.done(result);
        }
    });
    signals.reload.listen();
    remote.reload().await.unwrap();
    match remote.reload().await {
        Err(RemoteError::Refused { status: 500, words }) => assert_eq!(words, "zones/a: line 3: what is this"),
        other => panic!("{other:?}"),
    }
    let year = Duration::from_secs(366 * 86_400);
    match remote.advance(year).await {
        Err(RemoteError::Refused { status: 409, words }) => {
            assert!(words.contains("is 3600 s ahead already"), "{words}")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(signals.clock.ahead(), Duration::from_secs(3_600));
    service.await.unwrap();
}

#[tokio::test]
async fn no_page_in_a_browser_and_no_long_body() {
    let (address, signals) = port("auth1", "nameserver").await;
    let client = admin::client(Duration::from_secs(5), None).unwrap();
    let send = async |method: Method, path: &str, headers: &[(&str, &str)], body: &str| {
        let mut request = client.request(method, format!("http://{address}{path}")).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().status()
    };
    let get = async |host: &str| {
        client.get(format!("http://{address}/faults")).header("host", host).send().await.unwrap().status()
    };
    for host in ["127.0.0.1:9080", "[::1]:9080", "10.78.2.31", "localhost", "LOCALHOST:9080"] {
        assert_eq!(get(host).await, StatusCode::OK, "{host}");
    }
    for host in ["evil.test", "evil.test:9080", "localhost.evil.test", "127.0.0.1.evil.test:80", "::1"] {
        assert_eq!(get(host).await, StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    let fault = r#"{"fault": "auth1:drop"}"#;
    let (json, text) = (("content-type", "application/json; charset=utf-8"), ("content-type", "text/plain"));
    let origin = ("origin", "http://localhost");
    assert_eq!(send(Method::POST, "/faults", &[json, origin], fault).await, StatusCode::FORBIDDEN);
    assert_eq!(send(Method::DELETE, "/faults", &[origin], "").await, StatusCode::FORBIDDEN);
    assert_eq!(send(Method::POST, "/faults", &[text], fault).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(send(Method::POST, "/faults", &[json], &" ".repeat(5_000)).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(send(Method::POST, "/faults", &[json], "{}").await, StatusCode::BAD_REQUEST);
    assert!(signals.faults.is_empty());
    assert_eq!(send(Method::POST, "/faults", &[json], fault).await, StatusCode::CREATED);
    for (method, path) in [(Method::PATCH, "/faults"), (Method::POST, "/faults/1"), (Method::PUT, "/reload")] {
        assert_eq!(send(method, path, &[json], "{}").await, StatusCode::METHOD_NOT_ALLOWED);
    }
    assert_eq!(send(Method::POST, "/live", &[json], "{}").await, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(send(Method::DELETE, "/faults/x", &[], "").await, StatusCode::NOT_FOUND);
}

/// An admin port that asks for this token.
async fn port_with(token: &Token) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let signals = Signals { token: Some(token.clone()), ..Signals::default() };
    signals.ready.set(true);
    let recorder = Recorder::new("auth1", "nameserver", 1);
    let admin = Admin { recorder, registry: Registry::default(), signals };
    tokio::spawn(admin::serve(vec![listener], admin, Stop::new()));
    address
}

#[tokio::test]
async fn without_the_token_a_port_says_only_that_it_runs() {
    let (token, other) = (Token::random(), Token::random());
    let address = port_with(&token).await;
    let status = async |client: &reqwest::Client, method: Method, path: &str| {
        let url = format!("http://{address}{path}");
        let json = ("content-type", "application/json");
        client.request(method, url).header(json.0, json.1).body("{}").send().await.unwrap().status()
    };
    let client = |token| admin::client(Duration::from_secs(5), token).unwrap();
    for client in [client(None), client(Some(&other))] {
        for path in ["/live", "/ready", "/metrics"] {
            assert_eq!(status(&client, Method::GET, path).await, StatusCode::OK, "{path}");
        }
        for (method, path) in [
            (Method::GET, "/events"),
            (Method::GET, "/faults"),
            (Method::GET, "/nothing"),
            (Method::POST, "/faults"),
            (Method::POST, "/clock"),
            (Method::POST, "/reload"),
            (Method::POST, "/metrics"),
            (Method::DELETE, "/faults"),
            (Method::PUT, "/faults/1"),
        ] {
            assert_eq!(status(&client, method.clone(), path).await, StatusCode::UNAUTHORIZED, "{method} {path}");
        }
        let response = client.get(format!("http://{address}/events")).send().await.unwrap();
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }
    assert_eq!(status(&client(Some(&token)), Method::GET, "/events").await, StatusCode::OK);
    let remote = Remote::new(address, Some(&token)).unwrap();
    let id = remote.add("auth1:drop", None).await.unwrap();
    assert!(remote.remove(id).await.unwrap());
    // Two fields are not one, even where both are right.
    let twice = [("authorization", token.authorization()), ("authorization", token.authorization())];
    let twice =
        twice.into_iter().fold(client(None).get(format!("http://{address}/events")), |request, (name, value)| {
            request.header(name, value)
        });
    assert_eq!(twice.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn silent_connections_do_not_keep_a_health_check_waiting() {
    let (address, signals) = port("auth1", "nameserver").await;
    signals.ready.set(true);
    let mut held = Vec::new();
    for round in 0..5 {
        // More than there may be at once.
        for _ in 0..100 {
            held.push(tokio::net::TcpStream::connect(address).await.unwrap());
        }
        let asked = service::start::healthcheck(address);
        let said = tokio::time::timeout(Duration::from_secs(4), asked).await;
        assert!(matches!(said, Ok(Ok(()))), "round {round}: {said:?}");
    }
}
