//! What is asked of a server, in curl's words, and what becomes of the answer.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::mpsc::{Receiver, channel},
    thread,
};

use crate::peer::{End, Server, run, visit};
use serde_json::Value;

use crate::peer;

/// A server that tells what it was sent: head and body, as they came.
struct Listening {
    address: SocketAddr,
    requests: Receiver<String>,
}

impl Listening {
    /// Answers each request with what `answer` makes of it.
    fn start(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, requests) = channel();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                    request.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&request).into_owned();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
                stream.read_exact(&mut body).unwrap();
                let request = head + &String::from_utf8_lossy(&body);
                let _ = stream.write_all(&answer(&request));
                let _ = tell.send(request);
            }
        });
        Self { address, requests }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn ok(_: &str) -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".to_vec()
}

#[test]
fn the_request_is_as_it_was_said() {
    let check = |args: &[&str], expected: &[&str], never: &[&str]| {
        let server = Listening::start(ok);
        let (code, journey) = visit(&[args, &[&server.url("/a?b")]].concat());
        let request = server.requests.recv().unwrap();
        assert_eq!(code, 0, "{args:?}: {journey:#}");
        for part in expected {
            assert!(request.contains(part), "{args:?}: no {part:?} in {request:?}");
        }
        for part in never {
            assert!(!request.contains(part), "{args:?}: {part:?} in {request:?}");
        }
    };
    check(
        &[],
        &["GET /a?b HTTP/1.1\r\n", "accept-encoding: gzip, deflate, br, zstd\r\n", "accept: */*\r\n"],
        &["content"],
    );
    check(&["-I"], &["HEAD /a?b HTTP/1.1\r\n"], &[]);
    check(&["-X", "PURGE"], &["PURGE /a?b HTTP/1.1\r\n"], &[]);
    check(
        &["-d", "a=1", "-d", "b=2"],
        &["POST /a?b HTTP/1.1\r\n", "content-length: 7\r\n", "x-www-form-urlencoded\r\n", "\r\n\r\na=1&b=2"],
        &[],
    );
    check(&["-d", "", "-X", "PUT"], &["PUT /a?b", "content-length: 0\r\n"], &[]);
    check(&["-A", "me/1"], &["user-agent: me/1\r\n"], &["visit/"]);
    check(&["-H", "X-One: 1", "-H", "x-one: 2", "-H", "Accept:"], &["x-one: 1\r\n", "x-one: 2\r\n"], &["accept:"]);
    check(&["-H", "Host: other.test"], &["host: other.test\r\n"], &["host: 127"]);
    check(&["-H", "Host:"], &[], &["host:"]);
    check(&["-H", "Host: a.test", "-H", "Host: b.test"], &["host: a.test\r\n"], &["b.test"]);
    check(&["-A", ""], &[], &["user-agent"]);
    check(
        &["-L", "-L", "-s", "-s", "-v", "-v", "-f", "-f", "-k", "-k", "-i", "-i", "-m", "9", "-m", "8"],
        &["GET"],
        &[],
    );
}

#[test]
fn what_is_shown_as_sent_was_sent() {
    let check = |args: &[&str], sent: &str, fields: &[&str], absent: &[&str], content: Option<u64>| {
        let (tell, told) = channel();
        let server = Server::start_with(move |mut stream| {
            // The head has been read; what follows within a moment is the body.
            let _ = stream.set_read_timeout(Some(std::time::Duration::from_millis(300)));
            let mut body = Vec::new();
            let _ = stream.read_to_end(&mut body);
            let _ = stream.write_all(&ok(""));
            let _ = tell.send(String::from_utf8_lossy(&body).into_owned());
        });
        let (code, journey) = visit(&[args, &[&server.url("/")]].concat());
        assert_eq!((code, told.recv().unwrap().as_str()), (0, sent), "{args:?}: {journey:#}");
        let send = &journey["hops"][0]["stages"][5];
        let names: Vec<String> =
            send["headers"].as_array().unwrap().iter().map(|it| format!("{}: {}", it["name"], it["value"])).collect();
        for field in fields {
            assert!(names.iter().any(|name| name.replace('"', "") == *field), "{args:?}: no {field} in {names:?}");
        }
        for field in absent {
            assert!(
                !names.iter().any(|name| name.replace('"', "").starts_with(field)),
                "{args:?}: {field} in {names:?}"
            );
        }
        assert_eq!(send["content_bytes"].as_u64(), content, "{args:?}");
    };
    let chunked = "Transfer-Encoding: chunked";
    let shown = "transfer-encoding: chunked";
    check(&["-H", chunked], "0\r\n\r\n", &[shown], &["content-length"], None);
    check(&["-H", chunked, "-d", "abc"], "3\r\nabc\r\n0\r\n\r\n", &[shown], &["content-length"], Some(3));
    check(&["-H", "Content-Length: 2", "-d", "abc"], "abc", &["content-length: 2"], &[], Some(3));
    check(&["-H", "Content-Length:", "-d", "abc"], "abc", &[], &["content-length"], Some(3));
    let (code, journey) = visit(&["--engine", "reqwest", "-H", chunked, "-d", "abc", &Listening::start(ok).url("/")]);
    let shown = journey["hops"][0]["stages"][5]["headers"].to_string();
    assert!(code == 0 && !shown.contains("transfer-encoding"), "{journey:#}");
}

#[test]
fn a_file_can_be_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data");
    fs::write(&file, "line\nand line\n").unwrap();
    let server = Listening::start(ok);
    let (_, journey) = visit(&["-d", &format!("@{}", file.display()), &server.url("/")]);
    assert!(server.requests.recv().unwrap().ends_with("\r\n\r\nlineand line"));
    let sent = journey["hops"][0]["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == "send").unwrap();
    assert_eq!(sent["content_bytes"], 12, "{sent:#}");
    assert_eq!(run(&["-d", "@/no/such/file", &server.url("/")]).status.code(), Some(2));
}

#[test]
fn secrets_are_sent_and_neither_shown_nor_kept() {
    let answer = |_: &str| {
        b"HTTP/1.1 200 OK\r\nset-cookie: id=grape; Path=/\r\nx-auth-token: melon\r\n\
          link: <https://me:plum@h.test/?sig=peach>; rel=x\r\ncontent-length: 0\r\n\r\n"
            .to_vec()
    };
    const SECRETS: [&str; 7] = ["grape", "melon", "plum", "peach", "cherry", "lemon", "quince"];
    let args = ["-H", "Authorization: Bearer cherry", "-H", "Cookie: id=lemon"];
    let server = Listening::start(answer);
    let url = server.url("/a?access_token=quince&page=2").replace("http://", "http://me:plum@");
    let file = tempfile::tempdir().unwrap().path().join("journey.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    for extra in [&["-v"][..], &["--json"], &["-i", "--color", "always"]] {
        let output = run(&[&args[..], extra, &[&url]].concat());
        let shown = String::from_utf8(output.stdout).unwrap();
        for secret in SECRETS {
            assert!(!shown.contains(secret), "{secret} is shown with {extra:?}: {shown}");
        }
        assert!(shown.contains("page=2") && shown.contains("(removed)"), "{shown}");
        let request = server.requests.recv().unwrap();
        assert!(request.contains("cherry") && request.contains("lemon") && request.contains("quince"), "{request}");
    }
    let shown = String::from_utf8(run(&[&args[..], &["-v", "--show-secrets", &url]].concat()).stdout).unwrap();
    for secret in SECRETS {
        assert!(shown.contains(secret), "{secret} is not shown: {shown}");
    }
}

#[test]
fn redirects_keep_what_they_may() {
    let second = Listening::start(ok);
    let to = second.url("/end");
    let first = Listening::start(move |request| {
        let status = request.split('/').nth(1).and_then(|path| path.get(..3)).unwrap_or("302").to_owned();
        format!("HTTP/1.1 {status} Moved\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes()
    });
    let check = |status: &str, args: &[&str], expected: &str, has_body: bool| {
        let args = [&["-L", "-H", "Authorization: cherry", "-H", "X-Kept: 1"], args].concat();
        let (code, journey) = visit(&[&args[..], &[&first.url(&format!("/{status}"))]].concat());
        assert_eq!((code, journey["hops"].as_array().unwrap().len()), (0, 2), "{journey:#}");
        assert!(first.requests.recv().unwrap().contains("authorization: cherry"));
        let request = second.requests.recv().unwrap();
        assert!(request.starts_with(expected), "{status} {args:?}: {request}");
        assert_eq!(request.ends_with("a=1"), has_body, "{status} {args:?}: {request}");
        // Another port is another origin.
        assert!(!request.contains("authorization") && request.contains("x-kept: 1"), "{request}");
    };
    check("302", &["-d", "a=1"], "GET /end", false);
    check("303", &["-d", "a=1"], "GET /end", false);
    check("307", &["-d", "a=1"], "POST /end", true);
    check("308", &["-X", "PUT", "-d", "a=1"], "PUT /end", true);
    check("301", &["-I"], "HEAD /end", false);
}

#[test]
fn each_hop_has_its_own_names_and_times() {
    let second = Listening::start(ok);
    let to = format!("http://localhost:{}/end", second.address.port());
    let first = Listening::start(move |_| {
        format!("HTTP/1.1 301 Moved\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes()
    });
    let (code, journey) = visit(&["-L", "-4", &first.url("/")]);
    let hops = journey["hops"].as_array().unwrap();
    assert_eq!((code, hops.len()), (0, 2), "{journey:#}");
    // Another host is looked up again.
    assert_eq!(hops[0]["stages"][1]["state"], "skipped");
    assert_eq!((&hops[1]["stages"][1]["state"], &hops[1]["stages"][1]["asked"]), (&"done".into(), &"localhost".into()));
    // curl's times are sums over all of them; here every stage begins where it began, and ends where it ended.
    let times = |hop: &Value| -> Vec<(u64, u64)> {
        let stages = hop["stages"].as_array().unwrap().iter();
        stages.filter_map(|s| Some((s["start_us"].as_u64()?, s["duration_us"].as_u64()?))).collect()
    };
    let end = |hop: &Value| times(hop).iter().map(|(start, duration)| start + duration).max().unwrap();
    assert!(times(&hops[1])[0].0 >= end(&hops[0]), "{journey:#}");
    assert_eq!(journey["total_us"].as_u64(), Some(end(&hops[1])));
}

#[test]
fn a_server_does_not_choose_what_else_is_sent_where() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    other.set_nonblocking(true).unwrap();
    let to = format!("tcp://{}", other.local_addr().unwrap());
    let server = Listening::start(move |_| {
        format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes()
    });
    let (code, journey) = visit(&["-L", &server.url("/")]);
    assert_eq!((code, &journey["outcome"]["reason"]), (1, &"scheme_unsupported".into()), "{:#}", journey["outcome"]);
    assert_eq!(journey["hops"].as_array().unwrap().len(), 1);
    assert!(other.accept().is_err(), "it was connected to");
}

#[test]
fn what_was_not_sent_is_said() {
    let server = Server::start(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n".to_vec(), End::WhenPeerCloses);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large");
    fs::write(&file, vec![b'a'; 16 << 20]).unwrap();
    let (_, journey) = visit(&["-d", &format!("@{}", file.display()), &server.url("/")]);
    let send = journey["hops"][0]["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == "send").unwrap();
    assert!(send["note"].as_str().is_some_and(|note| note.contains("before it had the whole request")), "{send:#}");
}

#[test]
fn a_name_and_password_in_the_url_are_not_sent_and_that_is_said() {
    let server = Listening::start(ok);
    let url = server.url("/").replace("http://", "http://me:pw@");
    let screen = String::from_utf8(run(&[&url]).stdout).unwrap();
    assert!(!server.requests.recv().unwrap().contains("authorization"));
    assert!(screen.contains("! the user name and password in the URL are not sent"), "{screen}");
}

#[test]
fn a_circle_of_redirects_is_called_one() {
    let server = Listening::start(|request| {
        let to = if request.starts_with("GET /a") { "/b" } else { "/a" };
        format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes()
    });
    let (code, journey) = visit(&["-L", "--max-redirs", "5", &server.url("/a")]);
    let (a, b) = (server.url("/a"), server.url("/b"));
    let expected = format!("the redirects go in a circle: {a} → {b} → {a}; 5 were followed");
    assert_eq!((code, journey["hops"].as_array().unwrap().len()), (47, 6));
    assert!(journey["outcome"]["verdict"].as_str().unwrap().contains(&expected), "{:#}", journey["outcome"]);
}

#[test]
fn the_content_goes_where_it_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("content").display().to_string();
    let server = Listening::start(|request| match request.starts_with("GET /to") {
        true => b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 4\r\n\r\nhere".to_vec(),
        false => b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n\x1b[2Jok".to_vec(),
    });
    let output = run(&["-L", "-o", &file, &server.url("/to")]);
    assert_eq!((output.status.code(), fs::read(&file).unwrap().as_slice()), (Some(0), &b"\x1b[2Jok"[..]));
    assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("written to {file}")));

    // Where it cannot be written, the visit says so, and has all its stages.
    let (code, journey) = visit(&["-o", "/no/such/folder/file", &server.url("/")]);
    assert_eq!((code, &journey["outcome"]["reason"]), (23, &"write_failed".into()));
    assert!(journey["outcome"]["verdict"].as_str().unwrap().contains("/no/such/folder/file"));
    let full = run(&["-o", "/dev/full", &server.url("/")]);
    assert_eq!(full.status.code(), Some(23), "{}", String::from_utf8_lossy(&full.stdout));
}

#[test]
fn the_head_is_shown_when_asked_for() {
    let answer = b"HTTP/1.1 200 Fine\r\nx-one: 1\r\ncontent-length: 0\r\n\r\n";
    let server = Server::start(answer.to_vec(), End::Close);
    let screen = |args: &[&str]| String::from_utf8(run(&[args, &[&server.url("/")]].concat()).stdout).unwrap();
    assert!(!screen(&[]).contains("x-one"));
    let with_head = screen(&["-i"]);
    assert!(with_head.contains("HTTP/1.1 200 Fine") && with_head.contains("x-one: 1"), "{with_head}");
    assert!(!with_head.contains("Every event"), "{with_head}");
}

#[test]
fn answers_before_the_last_one_and_fields_behind_it() {
    let answer = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n\
        HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: server-timing, x-sum\r\n\r\n\
        2\r\nok\r\n0\r\nx-sum: 7\r\nserver-timing: db;dur=5\r\n\r\n";
    let server = Server::start(answer.to_vec(), End::Close);
    let (code, journey) = visit(&["-H", "TE: trailers", &server.url("/")]);
    let receive: Vec<&Value> = journey["hops"][0]["stages"].as_array().unwrap().iter().collect();
    let receive = receive.into_iter().find(|stage| stage["name"] == "receive").unwrap();
    assert_eq!((code, &receive["status"]), (0, &200.into()));
    assert_eq!(receive["interim"][0]["status"], 103, "{receive:#}");
    assert_eq!(receive["interim"][0]["headers"][0]["name"], "link", "{receive:#}");
    assert_eq!(receive["trailers"][0]["name"], "x-sum", "{receive:#}");
    assert_eq!(receive["server_timing"][0]["duration_us"], 5_000, "{receive:#}");
}

#[test]
fn proxies_are_never_ignored_in_silence() {
    let server = Server::start(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(), End::Close);
    let screen = |set: &[(&str, &str)]| {
        let mut command = peer::program();
        command.arg(server.url("/"));
        set.iter().for_each(|(name, value)| {
            command.env(name, value);
        });
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let note = "! http_proxy names a proxy, and visit does not use it";
    assert!(screen(&[("http_proxy", "http://127.0.0.1:1")]).contains(note));
    let excepted = screen(&[("http_proxy", "http://127.0.0.1:1"), ("no_proxy", "127.0.0.1")]);
    assert!(!excepted.contains("proxy"), "{excepted}");
}

#[test]
fn what_visit_does_not_have_is_refused() {
    for option in ["--compressed", "-u", "--http3", "--form"] {
        let output = run(&[option, "http://h.test/"]);
        assert_eq!(output.status.code(), Some(2), "{option}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(option), "{option}");
    }
}

#[test]
fn an_error_status_gets_no_success_mark() {
    for (status, mark) in
        [("200 OK", "✔"), ("302 Found", "✔"), ("404 Not Found", "!"), ("503 Service Unavailable", "!")]
    {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nno");
        let server = Server::start(answer.into_bytes(), End::WhenPeerCloses);
        let output = run(&[&server.url("/")]);
        let screen = String::from_utf8(output.stdout).unwrap();
        let verdict = screen.lines().find(|line| line.contains("Reached")).unwrap();
        assert!(verdict.starts_with(mark), "{status}: {verdict}");
        let receive = screen.lines().find(|line| line.contains(" receive ")).unwrap();
        assert!(receive.trim_start().starts_with(mark), "{status}: {receive}");
        assert_eq!(output.status.code(), Some(0));
    }
}
