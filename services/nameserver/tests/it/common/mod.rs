//! A name server in this process, for tests: real sockets on loopback, and what to talk to them with.

// Every test binary compiles this file for itself and uses its own part of it.
#![allow(dead_code)]

use std::{
    cell::Cell,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use hickory_proto::op::Message;
use nameserver::{Config, Nameserver};
use service::{Bound, Configured, Ended, Service, Signals};
use world::{Files, Protocol, World};

/// No wait in these tests is expected to take this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A running name server. It ends when dropped.
pub(crate) struct Running {
    pub(crate) dns: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) signals: Signals,
    thread: Option<JoinHandle<io::Result<Ended>>>,
}

/// A host of the built-in world.
pub(crate) fn told(host: &str) -> Configured {
    let world = World::built_in();
    Configured { name: host.to_owned(), host: world.hosts[host].clone(), world, files: Files::BuiltIn, authority: None }
}

/// That host's configuration.
pub(crate) fn lab(host: &str) -> Config {
    Nameserver::configure(&told(host)).expect("the lab's zones are good")
}

/// Starts a name server on loopback.
pub(crate) fn start(config: Config) -> Running {
    let (mut sockets, dns) = bind();
    let admin = sockets.bind("admin", Protocol::Tcp, (Ipv4Addr::LOCALHOST, 0).into(), false).unwrap();
    let signals = Signals::default();
    let theirs = signals.clone();
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(Nameserver::run(sockets, config, theirs))
    });
    assert!(signals.ready.wait(PATIENCE, || thread.is_finished()), "the server did not start");
    Running { dns, admin, signals, thread: Some(thread) }
}

/// One port for both transports, as DNS clients expect it. Another program may have the TCP port of the UDP port that
/// the kernel chose; then another pair is tried.
fn bind() -> (Bound, SocketAddr) {
    for _ in 0..50 {
        let mut sockets = Bound::default();
        let dns = sockets.bind("dns", Protocol::Udp, (Ipv4Addr::LOCALHOST, 0).into(), false).unwrap();
        if sockets.bind("dns", Protocol::Tcp, dns, false).is_ok() {
            return (sockets, dns);
        }
    }
    panic!("no port is free for UDP and TCP alike");
}

impl Running {
    /// A UDP socket that talks to it.
    pub(crate) fn udp(&self) -> UdpSocket {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(self.dns).unwrap();
        socket
    }

    /// A TCP connection to it.
    pub(crate) fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.dns).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The reply to these bytes over UDP.
    pub(crate) fn ask(&self, query: &[u8]) -> Vec<u8> {
        let socket = self.udp();
        socket.send(query).unwrap();
        received(&socket)
    }

    /// The reply to these bytes over TCP.
    pub(crate) fn ask_tcp(&self, query: &[u8]) -> Vec<u8> {
        let mut stream = self.tcp();
        stream.write_all(&framed(query)).unwrap();
        next(&mut stream).expect("a reply")
    }

    /// Status and body of a page of its admin port.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Waits until this line is in its metrics.
    pub(crate) fn eventually_metric(&self, line: &str) {
        eventually(|| self.page("/metrics").1.lines().any(|said| said == line));
    }

    /// Tells it to stop and waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        self.signals.stop.cancel();
        self.join().unwrap()
    }

    /// Waits for its end.
    pub(crate) fn join(&mut self) -> io::Result<Ended> {
        self.thread.take().expect("it is joined once").join().expect("it does not panic")
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

/// Waits until it is so.
pub(crate) fn eventually(so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < PATIENCE, "it never came to be");
        thread::yield_now();
    }
}

/// Asks and asks on this connection and reads nothing, until the server has no place to write its answers to and reads
/// no more.
pub(crate) fn stuff(server: &Running, stream: &TcpStream) {
    let query = framed(&Query::new("big.example.test", 16).bytes());
    stream.set_nonblocking(true).unwrap();
    let at = Cell::new(0);
    eventually(|| {
        // How much the kernel buffers differs between machines; the server is stuck when it has had its turn, for these
        // pages, and has read nothing of what still waits.
        let asked = server.page("/metrics").1;
        while let Ok(written) = (&*stream).write(&query[at.get()..]) {
            at.set((at.get() + written) % query.len());
        }
        asked == server.page("/metrics").1
    });
}

/// The next datagram.
pub(crate) fn received(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer).expect("a reply in time");
    buffer.truncate(length);
    buffer
}

/// A message behind its length.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    bytes
}

/// The next message of a stream; `None` where the server has closed.
pub(crate) fn next(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
            return None;
        }
        Err(error) => panic!("{error}"),
    }
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    Some(message)
}

/// A query in bytes, for tests that want to bend them.
#[derive(Clone)]
pub(crate) struct Query {
    pub(crate) id: u16,
    pub(crate) flags: u16,
    pub(crate) name: &'static str,
    pub(crate) rtype: u16,
    pub(crate) class: u16,
    /// OPT record: payload, extended code and version and flags, options.
    pub(crate) opt: Option<(u16, u32, Vec<u8>)>,
}

impl Query {
    pub(crate) fn new(name: &'static str, rtype: u16) -> Self {
        Self { id: 0x1234, flags: 0, name, rtype, class: 1, opt: None }
    }

    pub(crate) fn edns(mut self, payload: u16) -> Self {
        self.opt = Some((payload, 0, Vec::new()));
        self
    }

    pub(crate) fn question(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for label in self.name.split('.').filter(|label| !label.is_empty()) {
            bytes.push(u8::try_from(label.len()).unwrap());
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend_from_slice(&self.rtype.to_be_bytes());
        bytes.extend_from_slice(&self.class.to_be_bytes());
        bytes
    }

    pub(crate) fn opt(&self) -> Vec<u8> {
        let Some((payload, ttl, options)) = &self.opt else { return Vec::new() };
        let mut bytes = vec![0, 0, 41];
        bytes.extend_from_slice(&payload.to_be_bytes());
        bytes.extend_from_slice(&ttl.to_be_bytes());
        bytes.extend_from_slice(&u16::try_from(options.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(options);
        bytes
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = header(self.id, self.flags, [1, 0, 0, u16::from(self.opt.is_some())]);
        bytes.extend_from_slice(&self.question());
        bytes.extend_from_slice(&self.opt());
        bytes
    }
}

/// A header in bytes.
pub(crate) fn header(id: u16, flags: u16, counts: [u16; 4]) -> Vec<u8> {
    [[id, flags].as_slice(), &counts].concat().into_iter().flat_map(u16::to_be_bytes).collect()
}

/// The flags of a message.
pub(crate) fn flags(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[2], message[3]])
}

/// The counts of its sections.
pub(crate) fn counts(message: &[u8]) -> [u16; 4] {
    [4, 6, 8, 10].map(|at| u16::from_be_bytes([message[at], message[at + 1]]))
}

/// The message that these bytes are.
pub(crate) fn parsed(bytes: &[u8]) -> Message {
    Message::from_vec(bytes).expect("a well-formed message")
}
