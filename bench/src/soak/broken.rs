//! A name server that breaks as it is told: it stands in front of a real one, and passes on what it gets and what comes
//! back, or does what the faults of that name do (`world::fault`).
//!
//! When the services themselves apply faults, `POST /faults` at the real server does the same without this one.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Result, bail};

/// How often a thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);
/// Longer than the resolver waits for a server.
const SLOW: Duration = Duration::from_millis(1_500);

/// How it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not at all.
    None,
    Drop,
    Slow,
    ServFail,
    Refused,
    Lame,
    WrongId,
    NotAResponse,
    Garbage,
    /// Truncated over UDP, and silent over TCP.
    Truncate,
}

impl Fault {
    /// All ways to break so that no answer can be had.
    pub(crate) const ALL: [Self; 9] = [
        Self::Drop,
        Self::Slow,
        Self::ServFail,
        Self::Refused,
        Self::Lame,
        Self::WrongId,
        Self::NotAResponse,
        Self::Garbage,
        Self::Truncate,
    ];

    /// The word for it in the list of faults.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Drop => "drop",
            Self::Slow => "slow=1500ms",
            Self::ServFail => "servfail",
            Self::Refused => "refused",
            Self::Lame => "lame",
            Self::WrongId => "wrong-id",
            Self::NotAResponse => "not-a-response",
            Self::Garbage => "garbage",
            Self::Truncate => "truncate, TCP silent",
        }
    }
}

/// The server; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Broken {
    shared: Arc<Shared>,
    /// Where it listens, over UDP and TCP.
    pub(crate) sockets: Vec<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    fault: Mutex<Fault>,
    upstream: Mutex<Option<SocketAddr>>,
    over: AtomicBool,
}

impl Broken {
    /// Listens on loopback, on one port of each address family.
    pub(crate) fn start() -> Result<Self> {
        let shared = Arc::new(Shared {
            fault: Mutex::new(Fault::None),
            upstream: Mutex::new(None),
            over: AtomicBool::new(false),
        });
        let mut broken = Self { shared, sockets: Vec::new(), threads: Vec::new() };
        for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            // A machine without IPv6 does without.
            let Ok((udp, tcp)) = bind(ip) else { continue };
            broken.sockets.push(udp.local_addr()?);
            udp.set_read_timeout(Some(LOOK))?;
            tcp.set_nonblocking(true)?;
            let (one, two) = (Arc::clone(&broken.shared), Arc::clone(&broken.shared));
            broken.threads.push(thread::spawn(move || one.datagrams(&udp)));
            broken.threads.push(thread::spawn(move || two.connections(&tcp)));
        }
        Ok(broken)
    }

    /// Passes on to this one.
    pub(crate) fn in_front_of(&self, upstream: SocketAddr) {
        *self.shared.upstream.lock().unwrap_or_else(PoisonError::into_inner) = Some(upstream);
    }

    /// Breaks so from now on.
    pub(crate) fn set(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn bind(ip: IpAddr) -> Result<(UdpSocket, TcpListener)> {
    for _ in 0..100 {
        let udp = UdpSocket::bind((ip, 0))?;
        if let Ok(tcp) = TcpListener::bind(udp.local_addr()?) {
            return Ok((udp, tcp));
        }
    }
    bail!("no port on {ip} is free for UDP and TCP")
}

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn datagrams(&self, socket: &UdpSocket) {
        let mut buffer = [0; 4096];
        while !self.is_over() {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
            let fault = self.fault();
            let Some(reply) = self.reply(fault, &buffer[..length]) else { continue };
            if fault == Fault::Slow {
                let Ok(socket) = socket.try_clone() else { continue };
                // It ends by itself, soon.
                thread::spawn(move || {
                    thread::sleep(SLOW);
                    let _ = socket.send_to(&reply, from);
                });
            } else {
                let _ = socket.send_to(&reply, from);
            }
        }
    }

    fn reply(&self, fault: Fault, query: &[u8]) -> Option<Vec<u8>> {
        let right = || self.ask(query);
        // Its own header with these flags and the question, as it came.
        let with = |flags: u8, rcode: u8| {
            let mut reply = query.to_vec();
            let (second, third) = (reply.get(2)? | flags, reply.get(3)? & 0xf0 | rcode);
            (reply[2], reply[3]) = (second, third);
            Some(reply)
        };
        match fault {
            Fault::None | Fault::Slow => right(),
            Fault::Drop => None,
            Fault::ServFail => with(0x80, 2),
            Fault::Refused => with(0x80, 5),
            Fault::Lame => with(0x80, 0),
            Fault::Truncate => with(0x82, 0),
            Fault::NotAResponse => with(0, 0),
            Fault::WrongId => {
                let mut reply = right()?;
                reply[0] ^= 0x55;
                Some(reply)
            }
            Fault::Garbage => Some(query.iter().map(|byte| byte.wrapping_mul(37) ^ 0xa5).collect()),
        }
    }

    fn ask(&self, query: &[u8]) -> Option<Vec<u8>> {
        let upstream = (*self.upstream.lock().unwrap_or_else(PoisonError::into_inner))?;
        let socket = UdpSocket::bind((upstream.ip(), 0)).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        socket.connect(upstream).ok()?;
        socket.send(query).ok()?;
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).ok()?;
        Some(buffer[..length].to_vec())
    }

    /// Over TCP it is silent, or answers as over UDP.
    fn connections(&self, listener: &TcpListener) {
        let mut open: Vec<TcpStream> = Vec::new();
        while !self.is_over() {
            let Ok((mut stream, _)) = listener.accept() else {
                thread::sleep(LOOK / 10);
                continue;
            };
            if matches!(self.fault(), Fault::None | Fault::ServFail | Fault::Refused | Fault::Lame) {
                let _ = self.answer(&mut stream);
            } else {
                // Held, so that it is silent and not closed; not without bound.
                open.truncate(63);
                open.insert(0, stream);
            }
        }
    }

    fn answer(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query)?;
        let Some(reply) = self.reply(self.fault(), &query) else { return Ok(()) };
        let length = u16::try_from(reply.len()).unwrap_or(u16::MAX);
        stream.write_all(&[&length.to_be_bytes(), &reply[..]].concat())
    }
}
