//! The lab inside the program, and the lab in the foreground.

use std::{
    fs::File,
    io::{BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::peer::{run, visit};
use serde_json::{Deserializer, Value};

use crate::peer;

/// `visit lab serve --json` with its address book; told to stop when dropped.
struct Served {
    process: Child,
    book: Value,
}

impl Served {
    fn start(more: &[&str]) -> Self {
        let mut process =
            peer::program().args(["lab", "serve", "--json"]).args(more).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        // The stream stays open; the book is the first value in it.
        let book = Deserializer::from_reader(out).into_iter().next().unwrap().unwrap();
        Self { process, book }
    }

    /// The real socket of a service.
    fn socket(&self, host: &str, service: &str, protocol: &str) -> String {
        let hosts = self.book["hosts"].as_array().unwrap();
        let host = hosts.iter().find(|h| h["name"] == host).unwrap();
        let services = host["services"].as_array().unwrap();
        let found = services.iter().find(|s| s["name"] == service && s["protocol"] == protocol).unwrap();
        found["socket"].as_str().unwrap().to_owned()
    }

    fn file(&self) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), self.book.to_string()).unwrap();
        file
    }

    /// Sends a signal and waits for the end.
    fn stop(mut self, signal: &str) -> Option<i32> {
        let sent = Command::new("sh")
            .args(["-c", "kill \"$@\"", "kill", signal, &self.process.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_visit_needs_nothing_else() {
    let output = run(&["www.example.local"]);
    let screen = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{screen}");
    assert!(screen.contains("✔ Reached app1: 200 OK."), "{screen}");
    // In a pipe there are no escape sequences, and no line is longer than 80 columns.
    assert!(!screen.contains('\x1b'), "{screen}");
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    assert_eq!(output.stderr, b"", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn colours_when_asked_for() {
    let output = run(&["--color", "always", "www.example.local"]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("\x1b["));
}

#[test]
fn events_of_one_kernel_are_in_the_order_of_cause_and_effect() {
    let (_, journey) = visit(&["-4", "www.example.local"]);
    let events = journey["events"].as_array().unwrap();
    let at = |host: &str, kind: &str| {
        let found = events.iter().find(|e| e["host"] == host && e["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind} of {host}: {journey:#}"))["at_us"].as_i64().unwrap()
    };
    let order = [
        at("you", "query_sent"),
        at("resolver", "query_received"),
        at("resolver", "query_sent"),
        at("root", "query_received"),
        at("root", "answer_sent"),
        at("resolver", "reply_received"),
        at("tld", "query_received"),
        at("resolver", "answer_sent"),
        at("you", "reply_received"),
        at("you", "connect_started"),
        at("you", "request_sent"),
        at("app1", "request_read"),
        at("app1", "response_written"),
        at("you", "response_received"),
    ];
    assert!(order.is_sorted(), "{order:?}\n{journey:#}");
}

#[needs::tools(dig, curl)]
#[test]
fn the_served_lab_answers_dig_curl_and_visits() {
    let lab = Served::start(&[]);
    let (ip, port) =
        lab.socket("resolver", "dns", "udp").rsplit_once(':').map(|(i, p)| (i.to_owned(), p.to_owned())).unwrap();
    let dig = Command::new("dig").args([&format!("@{ip}"), "-p", &port, "+short", "www.example.test", "A"]).output();
    let dig = dig.expect("dig is needed: apt-get install bind9-dnsutils");
    assert_eq!(String::from_utf8_lossy(&dig.stdout), "10.78.2.81\n10.78.2.82\n");
    let url = format!("http://{}/json", lab.socket("app2", "http", "tcp"));
    let curl = Command::new("curl").args(["-sS", "--noproxy", "*", &url]).output();
    let curl = curl.expect("curl is needed: apt-get install curl");
    assert!(String::from_utf8_lossy(&curl.stdout).contains("app2"), "{curl:?}");

    let file = lab.file();
    let world = file.path().to_str().unwrap();
    let (code, journey) = visit(&["--world", world, "www.example.local"]);
    assert_eq!((code, &journey["place"]["kind"]), (0, &"running_lab".into()), "{journey:#}");
    assert_eq!(lab.stop("-INT"), Some(0));

    // The same visit with the lab gone.
    let (code, journey) = visit(&["--world", world, "www.example.local"]);
    assert_eq!((code, &journey["outcome"]["host"]), (6, &"resolver".into()), "{journey:#}");
}

#[test]
fn a_host_can_be_left_out() {
    let lab = Served::start(&["--without", "app1"]);
    let file = lab.file();
    let (code, journey) = visit(&["--world", file.path().to_str().unwrap(), "www.example.local"]);
    assert_eq!((code, &journey["outcome"]["host"]), (0, &"app2".into()), "{journey:#}");
    let attempts = journey["hops"][0]["stages"][3]["attempts"].as_array().unwrap();
    assert_eq!((&attempts[0]["host"], &attempts[0]["result"]), (&"app1".into(), &"refused".into()));
    assert_eq!(lab.stop("-TERM"), Some(0));
}

#[test]
fn what_cannot_be_used_is_refused_with_words() {
    let check = |args: &[&str], words: &str| {
        let output = run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
    };
    check(&["lab", "serve", "--without", "app9"], "there is no host \"app9\" in this lab; hosts: app1, app2");
    let whole = "visit: cannot read /nowhere.json: No such file or directory (os error 2) (VISIT_WORLD or --world)\n";
    check(&["--world", "/nowhere.json", "a.test"], whole);
    check(&["--world", "/dev/null", "a.test"], "/dev/null is empty");
    check(&["--resolver", "dns.test", "a.test"], "it is no address; write 10.78.1.53");
    check(&["--max-time=-1", "a.test"], "a number of seconds above 0");
    check(&[], "required arguments were not provided");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"[network]\nv4 = \"10.78.0.0/16\"\nv6 = \"fd10::/64\"\nvlan = 3\n").unwrap();
    let path = file.path().to_str().unwrap();
    check(&["--world", path, "a.test"], "unknown field `vlan`");
    check(&["lab", "serve", "--world", path], "line 4");
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let mut process = peer::program()
        .args(["--json", "www.example.local"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(process.stdout.take());
    let mut said = String::new();
    process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((process.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

/// What a port answers to this request; the whole of it.
fn said_to(socket: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(socket).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn only_who_has_the_address_book_can_read_events_and_set_faults() {
    let folder = tempfile::tempdir().unwrap();
    let [printed, kept, log] = ["printed.json", "kept.json", "log"].map(|name| folder.path().join(name));
    // As a shell makes it for `> printed.json`.
    let stdout = File::options().create(true).write(true).truncate(true).mode(0o644).open(&printed).unwrap();
    let process = peer::program()
        .args(["lab", "serve", "--json", "--book", kept.to_str().unwrap()])
        .env("RUST_LOG", "trace")
        .stdout(stdout)
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let read = || std::fs::read_to_string(&printed).ok().filter(|text| text.ends_with("}\n"));
    let book: Value = serde_json::from_str(&eventually("the book is printed", read)).unwrap();
    let lab = Served { process, book };
    for file in [&printed, &kept] {
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    let token = lab.book["token"].as_str().unwrap().to_owned();
    assert_eq!(token.len(), 32);

    let admin = lab.socket("auth1", "admin", "tcp");
    let get = |path: &str, more: &str| {
        said_to(&admin, &format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n{more}\r\n"))
    };
    assert!(get("/events", "").starts_with("HTTP/1.1 401 "));
    assert!(get("/events", &format!("Authorization: Bearer {token}\r\n")).starts_with("HTTP/1.1 200 "));
    assert!(get("/ready", "").starts_with("HTTP/1.1 200 ") && get("/metrics", "").starts_with("HTTP/1.1 200 "));

    let world = kept.to_str().unwrap();
    let mut said = String::new();
    for (arguments, code) in [
        (vec!["-v", "www.example.local"], 0),
        (vec!["--fault", "auth:servfail", "--json", "missing.example.local"], 6),
        (vec!["lab", "fault", "add", "auth1:drop"], 0),
        (vec!["lab", "fault", "list"], 0),
        (vec!["lab", "fault", "clear"], 0),
        (vec!["lab", "ready"], 0),
    ] {
        let output = peer::program().args(&arguments).env("VISIT_WORLD", world).output().unwrap();
        said += &String::from_utf8_lossy(&[output.stdout, output.stderr].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{said}");
    }
    // The book without it: hosts report nothing, and that is said.
    let mut without = lab.book.clone();
    without.as_object_mut().unwrap().remove("token");
    let stranger = folder.path().join("stranger.json");
    std::fs::write(&stranger, without.to_string()).unwrap();
    let (code, journey) = visit(&["--world", stranger.to_str().unwrap(), "www.example.local"]);
    assert_eq!(code, 0);
    assert!(journey["observers"].to_string().contains("asks for a token"), "{journey:#}");

    assert_eq!(lab.stop("-TERM"), Some(0));
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.contains("stopping"), "RUST_LOG is heard: {logged}");
    for text in [said, logged] {
        assert!(!text.contains(&token), "{text}");
    }
}
