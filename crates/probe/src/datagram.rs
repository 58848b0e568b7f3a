//! The stages of `udp://`: one datagram there, and whatever comes back.
//!
//! Nothing is opened and nothing is promised. The socket is connected only so that the kernel takes datagrams of that one
//! peer alone and tells when nothing listens there. What is lost is not sent again: that is for a protocol above UDP, and
//! there is none here. That no answer comes is a result and no failure.

use std::{
    io,
    net::{SocketAddr, UdpSocket as StdSocket},
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

use journey::{
    Reason, Stage, StageName, StageState,
    stage::{self, Address, Attempt, ConnectFailure, Did, Failure, Tried},
};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};
use tokio::net::UdpSocket;
use world::{Protocol, Route};

use super::{
    Probe,
    bounds::{cut, seconds},
    calls::{Calls, bytes, errno},
    connect::unreachable,
    heard::Heard,
    observed,
};

/// How long an answer is waited for: a round trip of a third of a second around the world, and time for the server to ask
/// somebody else.
const FIRST: Duration = Duration::from_secs(2);
/// How long more datagrams are waited for behind one.
const QUIET: Duration = Duration::from_millis(250);
/// How long a peer that never pauses is listened to.
const LONGEST: Duration = Duration::from_secs(10);
/// The largest datagram's content and more.
const TAKEN: usize = 65_535;

/// Sends one datagram to the first of these addresses and takes what comes back; the stages from `connect` on.
pub async fn exchange(probe: &Probe<'_>, payload: &[u8], addresses: &[Address], port: u16) -> Vec<Stage> {
    let mut stages = Vec::new();
    // Which of several addresses works is told by nobody, so the others are not tried.
    let Some(address) = addresses.first() else { return stages };
    let server = SocketAddr::new(address.ip, port);
    let (connect, socket) = connect(probe, address, server).await;
    stages.push(connect);
    let Some(socket) = socket else { return stages };
    stages.push(Stage::skipped(StageName::Tls, "udp:// has no TLS"));
    let talk = Talk { probe, socket, server, came: Heard::default(), datagrams: 0, first: None, last: None };
    stages.extend(talk.run(payload).await);
    stages
}

/// The `connect` stage: the socket, told its peer. No packet is sent.
async fn connect(probe: &Probe<'_>, address: &Address, server: SocketAddr) -> (Stage, Option<UdpSocket>) {
    let start_us = probe.clock.us();
    let mut calls = Calls::new(probe.clock);
    let route = probe.book.map_or(Route::Direct, |book| book.route(Protocol::Udp, server));
    let real = match route {
        Route::Direct => Ok(server),
        Route::Via(socket) => Ok(socket),
        Route::NothingListens(_) => {
            let what = format!("nothing listens on udp {server}, says this lab's address book; nothing was sent");
            Err((Tried::Refused, Failure { reason: Reason::ConnectionRefused, what }))
        }
        Route::NoHost => {
            let why = format!("no host of this lab has the address {}", server.ip());
            Err((Tried::Unreachable { why: why.clone() }, Failure { reason: Reason::Unreachable, what: why }))
        }
    };
    let mut attempt = Attempt {
        server,
        host: address.host.clone(),
        via: real.as_ref().ok().copied().filter(|real| *real != server),
        local: None,
        start_us,
        duration_us: 0,
        result: Tried::Connected,
        kernel: None,
    };
    let opened = match real {
        Err(refused) => Err(refused),
        Ok(real) => open(real, &mut calls).await.map_err(|error| {
            let (reason, result, why) = match unreachable(&error) {
                Some(why) => (Reason::Unreachable, Tried::Unreachable { why: why.clone() }, why),
                None => {
                    let why = errno(&error);
                    (Reason::ConnectFailed, Tried::Failed { why: why.clone(), failure: ConnectFailure::Other }, why)
                }
            };
            (result, Failure { reason, what: format!("{server}: {why}") })
        }),
    };
    let now_us = probe.clock.us();
    attempt.duration_us = now_us.saturating_sub(start_us);
    let (state, failure, socket) = match opened {
        Ok(socket) => {
            attempt.local = socket.local_addr().ok();
            (StageState::Done, None, Some(socket))
        }
        Err((result, failure)) => {
            attempt.result = result;
            (StageState::Failed, Some(failure), None)
        }
    };
    let did = Did::Connect(stage::Connect { attempts: vec![attempt], waited: None });
    (Stage { calls: calls.take(), ..observed(state, did, start_us, now_us, failure) }, socket)
}

async fn open(real: SocketAddr, calls: &mut Calls) -> io::Result<UdpSocket> {
    let began = Instant::now();
    let (name, family) =
        if real.is_ipv4() { ("AF_INET", AddressFamily::Inet) } else { ("AF_INET6", AddressFamily::Inet6) };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let made = socket(family, SockType::Datagram, flags, None).map_err(io::Error::from);
    let gave = made.as_ref().map_or_else(errno, |made| made.as_raw_fd().to_string());
    calls.note("socket", format!("{name}, SOCK_DGRAM"), gave, began);
    let socket = UdpSocket::from_std(StdSocket::from(made?))?;
    // Without this the kernel keeps to itself that a machine cannot be reached, as that may pass (ip(7), IP_RECVERR). An
    // old kernel that lacks it only makes the wait longer.
    let _ = if real.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvErr, &true)
    };
    let began = Instant::now();
    let connected = socket.connect(real).await;
    let gave = connected.as_ref().map_or_else(errno, |()| "0".to_owned());
    calls.note("connect", real.to_string(), gave, began);
    connected.map(|()| socket)
}

struct Talk<'a> {
    probe: &'a Probe<'a>,
    socket: UdpSocket,
    server: SocketAddr,
    came: Heard,
    datagrams: u32,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Talk<'_> {
    async fn run(mut self, payload: &[u8]) -> Vec<Stage> {
        let clock = self.probe.clock;
        let mut stages = vec![self.send(payload).await];
        if stages[0].state == StageState::Failed {
            return stages;
        }
        let wait_us = stages[0].end_us().unwrap_or_else(|| clock.us());
        let mut calls = Calls::new(clock);
        let waited = self.first(&mut calls).await;
        let end_us = self.first.map_or_else(|| clock.us(), |first| clock.us_at(first));
        let did = Did::Wait(stage::Wait {});
        let wait = match waited {
            Ok(()) => observed(StageState::Done, did, wait_us, end_us, None),
            Err(failure) => observed(StageState::Failed, did, wait_us, end_us, Some(failure)),
        };
        stages.push(Stage { calls: calls.take(), ..wait });
        if stages[1].state == StageState::Failed {
            return stages;
        }
        match self.first {
            None => {
                stages[1].note = Some(format!("nothing came within {}", seconds(FIRST)));
                stages.push(Stage::skipped(StageName::Receive, "nothing came"));
            }
            Some(_) => stages.push(self.receive(end_us).await),
        }
        if stages[2].state != StageState::Failed {
            stages.push(self.close());
        }
        stages
    }

    /// One datagram; it goes or it does not.
    async fn send(&self, payload: &[u8]) -> Stage {
        let mut calls = Calls::new(self.probe.clock);
        let mut sent = Heard::default();
        let start_us = self.probe.clock.us();
        let began = Instant::now();
        let result = self.socket.send(payload).await;
        let gave = result.as_ref().map_or_else(errno, |count| bytes(*count));
        calls.note("send", bytes(payload.len()), gave, began);
        let failure = match result {
            Ok(_) => None,
            Err(error) => Some(self.not_sent(&error, payload.len())),
        };
        if failure.is_none() {
            sent.push(payload);
        }
        let text = sent.text().map(|text| self.probe.secrets.stream(&text));
        let did = Did::Send(stage::Send { bytes: Some(sent.bytes), text, ..stage::Send::default() });
        // The time before the call, as in `meter`: the answer can be there before the call returns.
        let (state, end_us) = match failure {
            None => (StageState::Done, self.probe.clock.us_at(began)),
            Some(_) => (StageState::Failed, self.probe.clock.us()),
        };
        Stage { calls: calls.take(), ..observed(state, did, start_us, end_us, failure) }
    }

    fn not_sent(&self, error: &io::Error, length: usize) -> Failure {
        // What the length fields of IP and UDP leave (RFC 768, RFC 791 §3.1, RFC 8200 §3): the header of IPv4 counts.
        let (family, most) = if self.server.is_ipv4() { ("IPv4", 65_507) } else { ("IPv6", 65_527) };
        let what = match errno(error) {
            too_long if too_long.starts_with("EMSGSIZE") && length > most => {
                format!("{length} bytes do not fit into a datagram: over {family} it holds {most} at most ({too_long})")
            }
            why => unreachable(error).unwrap_or(why),
        };
        Failure { reason: Reason::SendFailed, what }
    }

    /// Waits for the first datagram; none is no failure.
    async fn first(&mut self, calls: &mut Calls) -> Result<(), Failure> {
        match self.receive_one(FIRST, calls).await {
            Ok(Ok(())) | Err(Reason::Timeout) => Ok(()),
            Ok(Err(error)) => Err(self.refused(&error)),
            Err(reason) => {
                let what = cut(&format!("{} sent nothing", self.server), reason, FIRST);
                Err(Failure { reason, what })
            }
        }
    }

    fn refused(&self, error: &io::Error) -> Failure {
        let server = self.server;
        let (reason, what) = match (error.kind(), unreachable(error)) {
            (io::ErrorKind::ConnectionRefused, _) => (
                Reason::ConnectionRefused,
                format!("nothing listens on udp {server}: the machine is there and says so (ICMP port unreachable)"),
            ),
            (_, Some(why)) => (Reason::Unreachable, format!("{server}: {why}")),
            (_, None) => (Reason::ReceiveFailed, format!("{server}: {}", errno(error))),
        };
        Failure { reason, what }
    }

    /// The first datagram has come; more may follow.
    async fn receive(&mut self, start_us: u64) -> Stage {
        let mut calls = Calls::new(self.probe.clock);
        let begin = Instant::now();
        let result = loop {
            if self.came.bytes > self.probe.max_response {
                let what = format!("what comes is larger than the limit of {} bytes", self.probe.max_response);
                break Err(Failure { reason: Reason::TooLarge, what });
            }
            if begin.elapsed() > LONGEST {
                break Ok(format!("the server had not paused for {}, which is enough", seconds(LONGEST)));
            }
            let reason = match self.receive_one(QUIET, &mut calls).await {
                Err(Reason::Timeout) => break Ok(format!("then nothing came for {}", seconds(QUIET))),
                Err(reason) => Some(reason),
                // A socket that tells of an error after an answer tells of a later packet; the answer stands.
                Ok(Err(error)) => break Ok(format!("then {}", errno(&error))),
                // Where datagrams never pause there is no wait in which a limit could be noticed.
                Ok(Ok(())) => self.probe.bounds.over(),
            };
            if let Some(reason) = reason {
                let so_far = format!("the server, of which {} bytes had come, had not paused", self.came.bytes);
                break Err(Failure { reason, what: cut(&so_far, reason, QUIET) });
            }
        };
        let text = self.came.text().map(|text| self.probe.secrets.stream(&text));
        let did = stage::Receive { bytes: Some(self.came.bytes), text, ..stage::Receive::default() };
        let did = Did::Receive(Box::new(did));
        let now_us = self.probe.clock.us();
        let last_us = self.last.map_or(start_us, |last| self.probe.clock.us_at(last));
        let datagrams =
            if self.datagrams == 1 { "1 datagram".to_owned() } else { format!("{} datagrams", self.datagrams) };
        let stage = match result {
            Ok(why) => {
                let note = Some(format!("{datagrams}, {why}"));
                Stage { note, ..observed(StageState::Done, did, start_us, last_us, None) }
            }
            Err(failure) => observed(StageState::Failed, did, start_us, now_us, Some(failure)),
        };
        Stage { calls: calls.take(), ..stage }
    }

    /// One datagram, however long; an empty one is one as well.
    async fn receive_one(&mut self, limit: Duration, calls: &mut Calls) -> Result<io::Result<()>, Reason> {
        let mut buffer = vec![0; TAKEN];
        let began = Instant::now();
        let result = self.probe.bounds.within(limit, self.socket.recv(&mut buffer)).await;
        let gave = match &result {
            Ok(Ok(count)) => bytes(*count),
            Ok(Err(error)) => errno(error),
            Err(Reason::Timeout) => format!("nothing within {}", seconds(limit)),
            Err(_) => "not waited for any longer".to_owned(),
        };
        calls.note("recv", TAKEN.to_string(), gave, began);
        Ok(result?.map(|count| {
            let now = Instant::now();
            self.came.push(&buffer[..count]);
            self.datagrams += 1;
            self.first.get_or_insert(now);
            self.last = Some(now);
        }))
    }

    /// The socket is given back; the other side hears nothing of it.
    fn close(self) -> Stage {
        let clock = self.probe.clock;
        let mut calls = Calls::new(clock);
        let began = Instant::now();
        drop(self.socket);
        calls.note("close", "", "", began);
        let stage =
            observed(StageState::Done, Did::Close(stage::Close::default()), clock.us_at(began), clock.us(), None);
        Stage { calls: calls.take(), ..stage }
    }
}
