//! A server on ports of the kernel's choice, and a client that sees every byte.
#![allow(dead_code, unreachable_pub)]

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use app::{App, Config};
use ca::Authority;
use journey::{TraceId, What, report::Report};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::aws_lc_rs, pki_types::ServerName};
use service::{Bound, Configured, Ended, Service, Signals};
use world::{Files, Protocol, World};

/// Nothing here takes so long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
pub struct Running {
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub authority: Arc<Authority>,
    pub talk: SocketAddr,
    pub echo: SocketAddr,
    pub admin: SocketAddr,
    pub signals: Signals,
    thread: Option<JoinHandle<io::Result<Ended>>>,
}

/// `app1` of the built-in world, with its usual limits.
pub fn start() -> Running {
    start_with(|_| {})
}

/// `app1` of the built-in world, with something changed.
pub fn start_with(change: impl FnOnce(&mut Config)) -> Running {
    let world = World::built_in();
    let host = world.hosts["app1"].clone();
    let authority = Authority::in_memory(&service::tls::scope(&world), SystemTime::now()).expect("ring makes keys");
    let authority = Arc::new(authority);
    let given = Some(Arc::clone(&authority));
    let told = Configured { name: "app1".to_owned(), host, world, files: Files::BuiltIn, authority: given };
    let mut config = App::configure(&told).expect("the built-in world is fine");
    change(&mut config);

    let mut sockets = Bound::default();
    let mut bind = |name, protocol| {
        sockets.bind(name, protocol, "127.0.0.1:0".parse().unwrap(), false).expect("loopback has a free port")
    };
    let [http, https, talk, admin] = ["http", "https", "talk", "admin"].map(|name| bind(name, Protocol::Tcp));
    let echo = bind("echo", Protocol::Udp);

    let signals = Signals::default();
    let theirs = signals.clone();
    let thread = thread::spawn(move || {
        // As the program does; the embedded lab, which has tests of its own, runs each host on one thread.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let ended = runtime.block_on(App::run(sockets, config, theirs.clone()));
        theirs.ready.wake();
        ended
    });
    if !signals.ready.wait(PATIENCE, || thread.is_finished()) {
        panic!("the server is not ready: {:?}", thread.join());
    }
    Running { http, https, authority, talk, echo, admin, signals, thread: Some(thread) }
}

impl Running {
    pub fn client(&self) -> Client {
        Client::connect(self.http)
    }

    /// A client over TLS that offers these protocols.
    pub fn secure(&self, alpn: &[&str]) -> Client<Secure> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate_der().clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("www.example.local").unwrap();
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(tls, Client::connect(self.https).stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).expect("the server shakes hands");
        }
        Client { stream, read: Vec::new() }
    }

    /// Where its authority's certificate is, for outside programs; the folder goes with the value.
    pub fn ca_file(&self) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        std::fs::write(&file, self.authority.certificate_pem()).unwrap();
        let name = file.to_str().unwrap().to_owned();
        (dir, name)
    }

    pub fn talker(&self) -> Client {
        Client::connect(self.talk)
    }

    /// Tells it to stop and waits until it has.
    pub fn stop(mut self) -> Ended {
        self.signals.stop.cancel();
        self.join()
    }

    pub fn join(&mut self) -> Ended {
        self.thread.take().expect("it is joined once").join().expect("no panic").expect("no I/O error")
    }

    /// One request on a connection of its own.
    pub fn get(&self, target: &str) -> Response {
        self.client().get(target)
    }

    pub fn metrics(&self) -> String {
        Client::connect(self.admin).get("/metrics").text()
    }

    /// The value of a line of `/metrics`.
    pub fn metric(&self, name: &str) -> u64 {
        let metrics = self.metrics();
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).parse().expect("a number")
    }

    /// Waits until a line of `/metrics` has that value: some things are counted when a client already has its answer.
    pub fn metric_becomes(&self, name: &str, value: u64) {
        eventually(name, || (self.metric(name) == value).then_some(()));
    }

    pub fn report(&self, query: &str) -> Report {
        let response = Client::connect(self.admin).get(&format!("/events{query}"));
        serde_json::from_slice(&response.body).expect("a report")
    }

    /// The events of a visit, once the last of them is the end of its connection.
    pub fn events_to_the_end(&self, trace: TraceId) -> Vec<(u64, What)> {
        let ended = |events: &Vec<(u64, What)>| matches!(events.last(), Some((_, What::ConnectionClosed { .. })));
        eventually("the connection's end is recorded", || Some(self.events(trace)).filter(ended))
    }

    pub fn events(&self, trace: TraceId) -> Vec<(u64, What)> {
        let events = self.report(&format!("?trace={trace}")).events;
        events.into_iter().map(|event| (event.at_ns, event.what)).collect()
    }

    /// The events that name this client.
    pub fn events_of(&self, peer: SocketAddr) -> Vec<What> {
        self.report(&format!("?peer={peer}")).events.into_iter().map(|event| event.what).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signals.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Asks until there is an answer.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "in vain: {what}");
        thread::yield_now();
    }
}

/// A client.
pub struct Client<S = TcpStream> {
    pub stream: S,
    pub read: Vec<u8>,
}

/// TLS over TCP.
pub type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A response as it came.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub reason: String,
    pub version: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub head_bytes: usize,
}

impl Client {
    pub fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    pub fn local(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    pub fn finish_sending(&mut self) -> &mut Self {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
        self
    }
}

impl Client<Secure> {
    pub fn local(&self) -> SocketAddr {
        self.stream.sock.local_addr().unwrap()
    }
}

impl<S: Read + Write> Client<S> {
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).expect("the server reads");
        self
    }

    pub fn get(&mut self, target: &str) -> Response {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")).response()
    }

    /// The next response, which has content if it says so.
    pub fn response(&mut self) -> Response {
        let mut response = self.head();
        let length = response.field("content-length").map_or(0, |length| length.parse().expect("a length"));
        while self.read.len() < length {
            assert!(self.more() > 0, "closed within a body: {} of {length}", self.read.len());
        }
        response.body = self.read.drain(..length).collect();
        response
    }

    /// The next response's head alone, as for HEAD.
    pub fn head(&mut self) -> Response {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.more() > 0, "closed within a head: {:?}", String::from_utf8_lossy(&self.read));
        };
        let head: Vec<u8> = self.read.drain(..end).collect();
        let head = String::from_utf8(head).expect("heads are ASCII");
        let mut lines = head.trim_end().split("\r\n");
        let mut status_line = lines.next().unwrap().splitn(3, ' ');
        let version = status_line.next().unwrap().to_owned();
        let status = status_line.next().unwrap().parse().expect("a status");
        let reason = status_line.next().unwrap_or_default().to_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").expect("name: value");
            (name.to_ascii_lowercase(), value.to_owned())
        };
        let fields = lines.map(field).collect();
        Response { status, reason, version, fields, body: Vec::new(), head_bytes: end }
    }

    /// Reads once; how much.
    pub fn more(&mut self) -> usize {
        let mut bytes = [0; 65_536];
        let count = self.stream.read(&mut bytes).expect("an answer or the end");
        self.read.extend_from_slice(&bytes[..count]);
        count
    }

    /// What one `recv(1024)` gives.
    pub fn once(&mut self) -> Vec<u8> {
        let mut bytes = [0; 1024];
        let count = self.stream.read(&mut bytes).expect("an answer or the end");
        bytes[..count].to_vec()
    }

    /// Everything up to the server's FIN.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.more() > 0 {}
        std::mem::take(&mut self.read)
    }

    /// Whether the server has closed, and sent nothing before it did.
    pub fn is_closed(&mut self) -> bool {
        self.rest().is_empty()
    }
}

impl Response {
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert!(values.next().is_none(), "{name} stands once");
        value
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }

    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.field("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// A visit's id that no other test uses.
pub fn trace(number: u8) -> TraceId {
    TraceId::new([number; 16]).unwrap()
}

/// A GET that belongs to a visit.
pub fn traced(target: &str, trace: TraceId) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\ntraceparent: {}\r\n\r\n", trace.traceparent(1))
}

/// What an outside program writes to stdout.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!("this test needs {program}, which does not run: {error}");
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).expect("text")
}
