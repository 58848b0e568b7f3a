//! Each stage's time beside that of `curl -w`, on servers that delay one stage: the time must be found in the stage in
//! which it was lost, by both. What is compared are ratios of medians, with delays that are large against any noise.

use std::{process::Command, thread, time::Duration};

use crate::peer::{Server, visit};
use crate::pki::{Kind, Pki, Running, python_https};
use serde_json::Value;

/// What each server loses, where it loses it.
const DELAY: Duration = Duration::from_millis(200);
/// Visits whose medians are compared.
const ROUNDS: usize = 5;

/// Milliseconds of the stages that both tell.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    connect: f64,
    tls: f64,
    wait: f64,
    receive: f64,
}

impl Times {
    fn of_visit(args: &[&str]) -> Self {
        let (code, journey) = visit(args);
        assert_eq!(code, 0, "{journey:#}");
        let ms = |name: &str| {
            let stages = journey["hops"][0]["stages"].as_array().unwrap();
            let stage = stages.iter().find(|stage| stage["name"] == name).unwrap();
            stage["duration_us"].as_f64().unwrap_or(0.0) / 1e3
        };
        Self { connect: ms("connect"), tls: ms("tls"), wait: ms("wait"), receive: ms("receive") }
    }

    /// Each of curl's values counts from the begin.
    fn of_curl(args: &[&str]) -> Self {
        let format = r#"{"name":%{time_namelookup},"connect":%{time_connect},"tls":%{time_appconnect},"sent":%{time_pretransfer},"first":%{time_starttransfer},"total":%{time_total}}"#;
        let output = Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", format])
            .args(args)
            .output()
            .expect("curl is needed: apt-get install curl");
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let ms = |name: &str| told[name].as_f64().unwrap() * 1e3;
        let tls = if ms("tls") > 0.0 { ms("tls") - ms("connect") } else { 0.0 };
        Self {
            connect: ms("connect") - ms("name"),
            tls,
            wait: ms("first") - ms("sent"),
            receive: ms("total") - ms("first"),
        }
    }

    fn each(self) -> [(&'static str, f64); 4] {
        [("connect", self.connect), ("tls", self.tls), ("wait", self.wait), ("receive", self.receive)]
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Both must find the whole delay in this stage, and nowhere else.
fn check(args: &[&str], slow: &str) {
    let delay = DELAY.as_secs_f64() * 1e3;
    let rounds: Vec<(Times, Times)> = (0..ROUNDS).map(|_| (Times::of_visit(args), Times::of_curl(args))).collect();
    for nth in 0..4 {
        let name = rounds[0].0.each()[nth].0;
        let ours = median(rounds.iter().map(|(ours, _)| ours.each()[nth].1).collect());
        let theirs = median(rounds.iter().map(|(_, theirs)| theirs.each()[nth].1).collect());
        if name == slow {
            assert!(ours >= delay * 0.95, "{name} is to hold {delay} ms and has {ours}");
            let ratio = ours / theirs;
            assert!((0.6..1.67).contains(&ratio), "{name}: visit {ours} ms, curl {theirs} ms");
        } else {
            assert!(ours < delay, "{name} has {ours} ms, and the {delay} ms were lost in {slow}");
        }
    }
}

fn http(answer: impl Fn(std::net::TcpStream) + Send + 'static) -> String {
    Server::start_with(answer).url("/")
}

#[needs::tools(curl)]
#[test]
fn a_slow_first_byte_is_waited_for() {
    let url = http(|mut stream| {
        thread::sleep(DELAY);
        let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    });
    check(&[&url], "wait");
}

#[needs::tools(curl)]
#[test]
fn a_slow_content_is_received() {
    let url = http(|mut stream| {
        let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok");
        thread::sleep(DELAY);
        let _ = std::io::Write::write_all(&mut stream, b"ok");
    });
    check(&[&url], "receive");
}

#[needs::tools(curl)]
#[test]
fn a_slow_accept_is_waited_for() {
    // The kernel has answered long before: a connection is open when it says so, and not when a program takes it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        loop {
            thread::sleep(DELAY);
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut request = [0; 4096];
            let _ = std::io::Read::read(&mut stream, &mut request);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            let _ = std::io::Write::write_all(&mut stream, answer);
        }
    });
    // A visit may meet the begin of the pause or its end, so there is less to say than of the others.
    let first = Times::of_visit(&[&url]);
    let measured = [("visit", first), ("visit", Times::of_visit(&[&url])), ("curl", Times::of_curl(&[&url]))];
    for (who, times) in measured {
        // The first meets nearly the whole pause, the visit itself taking a few ms to begin.
        let half = DELAY.as_secs_f64() * 5e2;
        assert!(times.connect < half, "{who} waited for accept in connect, in ms: {measured:?}");
    }
}

fn slow_tls(pki: &Pki) -> Running {
    // The handshake of a connection begins when its thread does.
    let setup = format!(
        "import time\n\
         class Slow(http.server.SimpleHTTPRequestHandler):\n\
         \x20   def setup(self):\n\
         \x20       time.sleep({})\n\
         \x20       self.request.do_handshake()\n\
         \x20       super().setup()\n\
         h.RequestHandlerClass = Slow",
        DELAY.as_secs_f64()
    );
    python_https(&pki.issue(Kind::GOOD), &setup)
}

#[needs::tools(curl, python3)]
#[test]
fn a_slow_handshake_is_one() {
    let pki = Pki::new();
    let server = slow_tls(&pki);
    let url = format!("https://localhost:{}/", server.port);
    check(&["--cacert", &pki.root(), "-4", &url], "tls");
}
