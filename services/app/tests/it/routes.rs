//! What every path answers.

use crate::support::{Response, start, start_with};

fn common(response: &Response) {
    assert!(response.field("server").unwrap().starts_with("visit-app/"), "{response:?}");
    assert!(response.field("server").unwrap().ends_with(" (app1)"), "{response:?}");
    assert!(response.field("date").unwrap().ends_with(" GMT"));
    assert_eq!(response.field("x-content-type-options"), Some("nosniff"));
    assert_eq!(response.field("cache-control"), Some("no-store"));
    let timing = response.field("server-timing").unwrap();
    let dur = timing.split_once("app;dur=").unwrap().1.split_once(';').unwrap().0;
    assert!(dur.parse::<f64>().unwrap() < 10_000.0, "{timing}");
    assert!(timing.ends_with(";desc=\"handler on app1\""), "{timing}");
}

#[test]
fn the_page() {
    let app = start();
    let mut client = app.client();
    client.send("GET / HTTP/1.1\r\nHost: www.example.local\r\n\r\n");
    let response = client.response();
    common(&response);
    assert_eq!((response.status, response.reason.as_str()), (200, "OK"));
    assert_eq!(response.field("content-type"), Some("text/html; charset=utf-8"));
    assert!(response.field("content-security-policy").unwrap().contains("default-src 'none'"));
    let page = response.text();
    for fact in ["app1", "www.example.local", "10.78.2.81", &client.local().to_string(), &app.http.to_string()] {
        assert!(page.contains(fact), "{fact} in\n{page}");
    }
    assert!(!page.contains("not the real"), "the lab's own name");
    for link in ["/json", "/headers", "/bytes/1024", "/delay/500", "/status/404", "/redirect/3"] {
        assert!(page.contains(&format!("href=\"{link}\"")), "{link}");
        let there = app.get(link);
        assert!(there.status < 500 && (there.status != 404 || link == "/status/404"), "{link}: {}", there.status);
    }
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("<script"), "self-contained");
    assert!(!page.contains("{{") && !page.contains("}}"), "every hole is filled");
}

#[test]
fn a_name_of_somebody_else() {
    let app = start();
    let page = |host: &str| app.client().send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).response().text();
    let baidu = page("www.baidu.com");
    assert!(baidu.contains("not the real www.baidu.com"), "{baidu}");
    for own in ["www.example.local", "WWW.EXAMPLE.TEST.:80", "10.78.2.81", "127.0.0.1:8080", "[::1]:80", "localhost"] {
        assert!(!page(own).contains("not the real"), "{own}");
    }
}

#[test]
fn nothing_of_the_client_becomes_markup() {
    let app = start();
    let page = app.client().send("GET /?<b>&\"' HTTP/1.1\r\nHost: a.&amp;.example\r\n\r\n").response();
    let text = page.text();
    assert!(!text.contains("<b>&") && !text.contains("a.&amp;.e"), "{text}");
    // What `/headers` says is JSON, and no browser may take it for anything else.
    let headers = app.client().send("GET /headers HTTP/1.1\r\nHost: a\r\nX: <script>\r\n\r\n").response();
    assert_eq!(headers.json()["headers"][1]["value"], "<script>");
    assert_eq!(headers.field("x-content-type-options"), Some("nosniff"));
    // An unknown path is not repeated at all.
    let missing = app.client().send("GET /<script> HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n").response();
    assert!(!missing.text().contains("<script>"));
}

#[test]
fn json() {
    let app = start();
    let mut client = app.client();
    assert_eq!(client.get("/json").json()["connection"]["request_number"], 1);
    let response = client.send("GET /json?a=b HTTP/1.1\r\nHost: x.example.test:81\r\n\r\n").response();
    common(&response);
    let json = response.json();
    assert_eq!(json["server"]["host"], "app1");
    assert_eq!(json["server"]["addresses"][0], "10.78.2.81");
    assert_eq!(json["connection"]["client"], client.local().to_string());
    assert_eq!(json["connection"]["server"], "10.78.2.81:80");
    assert_eq!(json["connection"]["socket"], app.http.to_string());
    assert_eq!(json["connection"]["request_number"], 2);
    assert_eq!(json["request"]["target"], "/json?a=b");
    assert_eq!(json["request"]["host"], "x.example.test:81");
    assert_eq!(json["request"]["version"], "HTTP/1.1");
}

#[test]
fn headers_as_they_were_read() {
    let app = start();
    let head = "GET /headers HTTP/1.1\r\nhOsT: a\r\nX-Twice:  one \r\nX-twice:two:three\r\nEmpty:\r\n\r\n";
    let json = app.client().send(head).response().json();
    assert_eq!(json["request_line"], "GET /headers HTTP/1.1");
    assert_eq!(json["head_bytes"], head.len());
    let fields: Vec<(&str, &str)> = json["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| (field["name"].as_str().unwrap(), field["value"].as_str().unwrap()))
        .collect();
    assert_eq!(fields, [("hOsT", "a"), ("X-Twice", "one"), ("X-twice", "two:three"), ("Empty", "")]);
    assert_eq!(json["body"], serde_json::Value::Null);
}

#[test]
fn headers_and_a_body() {
    let app = start();
    for method in ["POST", "PUT", "PATCH", "DELETE", "GET"] {
        let request = format!("{method} /headers HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        let json = app.client().send(request).response().json();
        assert_eq!(json["body"]["bytes"], 5, "{method}");
        assert_eq!(json["body"]["text"], "hello", "{method}");
    }
    let chunked =
        "POST /headers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x\r\ndefg\r\n0\r\n\r\n";
    let json = app.client().send(chunked).response().json();
    assert_eq!(json["body"], serde_json::json!({ "bytes": 7, "text": "abcdefg", "text_is_cut": false }));
    let binary = "POST /headers HTTP/1.1\r\nHost: a\r\nContent-Length: 1500\r\n\r\n".to_owned() + &"\0".repeat(1500);
    let json = app.client().send(binary).response().json();
    assert_eq!((&json["body"]["bytes"], &json["body"]["text_is_cut"]), (&1500.into(), &true.into()));
}

#[test]
fn bytes() {
    let app = start();
    let row = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+\n";
    let mut client = app.client();
    for length in [0, 1, 13, 64, 65_536, 65_537, 1_000_000] {
        let response = client.get(&format!("/bytes/{length}"));
        common(&response);
        assert_eq!(response.field("content-length"), Some(length.to_string().as_str()));
        assert_eq!(response.body.len(), length);
        assert!(response.body.iter().enumerate().all(|(i, byte)| *byte == row[i % 64]));
    }
    assert_eq!(client.get("/bytes/1073741825").status, 400);
    assert_eq!(client.get("/bytes/-1").status, 400);
}

#[test]
fn delay() {
    let app = start();
    let begin = std::time::Instant::now();
    let response = app.get("/delay/30");
    assert!(begin.elapsed().as_millis() >= 30);
    common(&response);
    let json = response.json();
    assert_eq!(json["asked_ms"], 30);
    assert!((30..5000).contains(&json["waited_ms"].as_u64().unwrap()), "{json}");
    let timing = response.field("server-timing").unwrap();
    let waited = timing.strip_prefix("wait;dur=").unwrap().split_once(";desc=\"as asked\", app;dur=").unwrap().0;
    assert!(waited.parse::<f64>().unwrap() >= 30.0, "{timing}");
    let refused = app.get("/delay/60001");
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("0 to 60000"), "{}", refused.text());
}

#[test]
fn every_status() {
    let app = start();
    let mut client = app.client();
    for code in 200..=599 {
        let response = client.get(&format!("/status/{code}"));
        common(&response);
        assert_eq!(response.status, code);
        assert!(!response.reason.is_empty());
        let length = response.field("content-length");
        match code {
            // RFC 9110 §6.4.1, §8.6, §15.3.6: no content, and only 205 says so by a length.
            204 | 304 => assert_eq!(length, None, "{code}"),
            205 => assert_eq!(length, Some("0")),
            _ => assert!(response.text().starts_with(&format!("{code} {}\n", response.reason)), "{}", response.text()),
        }
        assert_eq!(response.field("www-authenticate").is_some(), code == 401);
        assert_eq!(response.field("proxy-authenticate").is_some(), code == 407);
        assert_eq!(response.field("allow").is_some(), code == 405);
        assert_eq!(response.field("upgrade").is_some(), code == 426);
    }
    for bad in ["100", "199", "600", "abc", ""] {
        assert_eq!(client.get(&format!("/status/{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn redirects_end_at_the_page() {
    let app = start();
    let mut client = app.client();
    let mut target = "/redirect/3".to_owned();
    let mut stops = Vec::new();
    loop {
        let response = client.get(&target);
        common(&response);
        if response.status != 302 {
            assert_eq!(response.status, 200);
            break;
        }
        target = response.field("location").unwrap().to_owned();
        stops.push(target.clone());
    }
    assert_eq!(stops, ["/redirect/2", "/redirect/1", "/"]);
    assert_eq!(client.get("/redirect/0").status, 400);
    assert_eq!(client.get("/redirect/1001").status, 400);
}

#[test]
fn nothing_there() {
    let app = start();
    let response = app.get("/nothing?x");
    common(&response);
    assert_eq!(response.status, 404);
    assert_eq!(response.field("content-type"), Some("text/plain; charset=utf-8"));
    assert!(response.text().contains("/bytes/N"), "it says what there is");
    let page = app.client().send("GET /x HTTP/1.1\r\nHost: a\r\nAccept: text/html,*/*\r\n\r\n").response();
    assert_eq!((page.status, page.field("content-type")), (404, Some("text/html; charset=utf-8")));
    assert_eq!(page.field("vary"), Some("Accept, Accept-Encoding"));
    assert!(!page.text().contains("{{"));
}

#[test]
fn methods() {
    let app = start();
    let ask = |request: &str| app.client().send(format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n")).response();
    let refused = ask("POST /");
    assert_eq!((refused.status, refused.field("allow")), (405, Some("GET, HEAD, OPTIONS")));
    assert_eq!(ask("TRACE /headers").status, 405);
    assert_eq!(ask("CONNECT a:80").status, 405);
    assert_eq!(ask("BREW /").status, 501);
    assert_eq!(ask("get /").status, 501);
    assert_eq!(ask("DELETE /nothing").status, 404);
    let options = ask("OPTIONS /bytes/1");
    assert_eq!((options.status, options.field("allow")), (204, Some("GET, HEAD, OPTIONS")));
    let all = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
    assert_eq!(ask("OPTIONS *").field("allow"), Some(all));
    assert_eq!(ask("GET http://www.example.local/json").json()["request"]["host"], "www.example.local");
}

#[test]
fn head_is_get_without_content() {
    let app = start();
    let targets = [
        "/",
        "/json",
        "/headers",
        "/bytes/0",
        "/bytes/100000",
        "/delay/1",
        "/status/200",
        "/status/204",
        "/status/304",
        "/status/404",
        "/redirect/2",
        "/nothing",
        "/bytes/x",
    ];
    let mut client = app.client();
    // The page has other words for a connection's first request.
    client.get("/");
    for target in targets {
        // Together two heads of one length: GET is a letter shorter than HEAD.
        let get = client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nX: 123\r\n\r\n")).response();
        let head = client.send(format!("HEAD {target} HTTP/1.1\r\nHost: a\r\nX: 12\r\n\r\n")).head();
        assert_eq!(get.status, head.status, "{target}");
        let comparable = |response: &Response| {
            let mut fields = response.fields.clone();
            for (name, value) in &mut fields {
                // Measured, or of the clock.
                if ["date", "server-timing"].contains(&name.as_str()) {
                    value.clear();
                }
                // These say how long something took, in as many digits as it takes.
                if name == "content-length" && ["/", "/json", "/delay/1"].contains(&target) {
                    assert!(value.parse::<u64>().unwrap() > 30, "{target}: {value}");
                    value.clear();
                }
            }
            // Their order means nothing (RFC 9110 §5.3).
            fields.sort();
            fields
        };
        assert_eq!(comparable(&get), comparable(&head), "{target}");
    }
    // Had a HEAD brought content, this would be it.
    assert_eq!(client.get("/bytes/3").body, b"ABC");
}

#[test]
fn another_host_of_the_world() {
    let app = start_with(|config| config.host = "app2".to_owned());
    let response = app.get("/");
    assert!(response.field("server").unwrap().ends_with("(app2)"));
    assert!(response.text().contains("app2"));
}
