//! Clients that do not behave: each kind bounded in number, and ended when it is over.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::message;

/// No call of a pest takes longer.
const LIMIT: Duration = Duration::from_millis(200);

/// Whom they bother.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Targets {
    pub(crate) dns: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
}

/// A kind of pest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pest {
    /// What it does.
    pub(crate) name: &'static str,
    run: fn(Targets, &AtomicBool),
}

impl Pest {
    /// Bothers them until it is over.
    pub(crate) fn run(self, targets: Targets, over: &AtomicBool) {
        (self.run)(targets, over);
    }
}

/// None, and then all kinds.
pub(crate) const ALL: [Pest; 10] = [
    Pest { name: "nobody else", run: |_, over| wait(over) },
    Pest { name: "connections opened", run: opened },
    Pest { name: "connections left", run: left },
    Pest { name: "slow readers", run: slow_readers },
    Pest { name: "half requests", run: halves },
    Pest { name: "garbage, UDP", run: garbage_datagrams },
    Pest { name: "garbage, TCP", run: garbage_streams },
    Pest { name: "garbage, HTTP", run: garbage_requests },
    Pest { name: "pipelined queries", run: pipelined },
    Pest { name: "HTTP/2 streams held", run: |targets, over| super::http2::held(targets.https, over) },
];

fn wait(over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(20));
    }
}

fn connect(to: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, LIMIT).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    stream.set_write_timeout(Some(LIMIT)).ok()?;
    Some(stream)
}

/// One after the other, closed at once.
fn opened(targets: Targets, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        for to in [targets.dns, targets.http, targets.https] {
            drop(connect(to));
        }
        // Some thousand a second: the ports of loopback have to last.
        thread::sleep(Duration::from_millis(1));
    }
}

/// So many that the resolver takes no more over TCP, and half of what the application server takes.
fn left(targets: Targets, over: &AtomicBool) {
    let _held = [(targets.http, 256), (targets.https, 256), (targets.dns, 200)].map(|(to, count)| held(to, count));
    wait(over);
}

/// So many connections, opened and left.
pub(crate) fn held(to: SocketAddr, count: usize) -> Vec<TcpStream> {
    (0..count).filter_map(|_| connect(to)).collect()
}

/// Ask for much, and read a few bytes at a time.
fn slow_readers(targets: Targets, over: &AtomicBool) {
    let mut readers: Vec<TcpStream> = (0..128).filter_map(|_| connect(targets.http)).collect();
    for reader in &mut readers {
        let _ = reader.write_all(b"GET /bytes/1000000 HTTP/1.1\r\nHost: www.example.test\r\n\r\n");
    }
    while !over.load(Ordering::Relaxed) {
        for reader in &mut readers {
            let _ = reader.read(&mut [0; 16]);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Begin, and say no more: a request's head, a message behind its length, a TLS handshake.
fn halves(targets: Targets, over: &AtomicBool) {
    let begin = |to, count: usize, bytes: &'static [u8]| {
        (0..count).filter_map(move |_| connect(to)).map(move |mut stream| {
            let _ = stream.write_all(bytes);
            stream
        })
    };
    let heads = begin(targets.http, 128, b"GET / HTTP/1.1\r\nHost: www.exa");
    let hellos = begin(targets.https, 128, b"\x16\x03\x01\x02\x00\x01");
    let queries = begin(targets.dns, 64, b"\x00\x40\x12\x34");
    let _held: Vec<TcpStream> = heads.chain(hellos).chain(queries).collect();
    wait(over);
}

/// Bytes that look like chance, the same in every run.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

fn garbage_datagrams(targets: Targets, over: &AtomicBool) {
    let Ok(socket) = UdpSocket::bind((targets.dns.ip(), 0)) else { return };
    let mut seed = 0;
    while !over.load(Ordering::Relaxed) {
        for _ in 0..20 {
            seed += 1;
            let mut bytes = noise(seed, usize::from(seed as u8) + 1);
            // Every second one has a header that is a query's.
            if seed % 2 == 0 && bytes.len() > 12 {
                bytes[2..12].copy_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            }
            let _ = socket.send_to(&bytes, targets.dns);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn garbage_streams(targets: Targets, over: &AtomicBool) {
    let mut seed = 1_000_000;
    while !over.load(Ordering::Relaxed) {
        seed += 1;
        let Some(mut stream) = connect(targets.dns) else { continue };
        let bytes = noise(seed, 300);
        let _ = stream.write_all(&[&[1, 44], &bytes[..]].concat());
        let _ = stream.read(&mut [0; 512]);
    }
}

fn garbage_requests(targets: Targets, over: &AtomicBool) {
    let mut seed = 2_000_000;
    while !over.load(Ordering::Relaxed) {
        seed += 1;
        for to in [targets.http, targets.https] {
            let Some(mut stream) = connect(to) else { continue };
            let mut bytes = noise(seed, 400);
            if seed % 2 == 0 {
                bytes.splice(..0, *b"GET / HTTP/1.1\r\nHost: a\r\n");
            }
            bytes.extend(b"\r\n\r\n");
            let _ = stream.write_all(&bytes);
            let _ = stream.read(&mut [0; 512]);
        }
    }
}

/// Two hundred questions in one piece, and as many answers as come.
fn pipelined(targets: Targets, over: &AtomicBool) {
    let mut all = Vec::new();
    for id in 0..200 {
        let query = message::query(id, "www.example.test");
        all.extend(u16::try_from(query.len()).unwrap_or_default().to_be_bytes());
        all.extend(query);
    }
    while !over.load(Ordering::Relaxed) {
        let Some(mut stream) = connect(targets.dns) else { continue };
        if stream.write_all(&all).is_err() {
            continue;
        }
        let began = Instant::now();
        let mut buffer = [0; 16 * 1024];
        while began.elapsed() < 5 * LIMIT && stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
    }
}
