//! The `connect` stage: Happy Eyeballs (RFC 8305 §5). The addresses are tried in their order; the next one begins when
//! the one before has failed or has been silent for a while, and the first that answers wins. Addresses of the other
//! family that come meanwhile join those that have not been tried (§3).

use std::{
    cell::RefCell,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, AsRawFd},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use journey::{
    Reason,
    stage::{self, Address, Attempt, Call, ConnectFailure, Did, Failure, Tried, Waited},
};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::sleep_until,
};
use world::{Protocol, Route};

use super::{
    Broken, Probe,
    beside::Late,
    bounds::cut,
    calls,
    order::{self, Policy},
};

/// How long an attempt may be silent before the next begins beside it (RFC 8305 §5, "Connection Attempt Delay").
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A connection, and the address that it leads to.
pub type Connection = (SocketAddr, TcpStream);

/// Opens a connection to one of these addresses, or to one that comes late.
pub async fn connect(
    probe: &Probe<'_>,
    addresses: &[Address],
    port: u16,
    late: &mut Late,
) -> Result<(Did, Connection), Box<Broken>> {
    connect_noting(probe, addresses, port, late).await.0
}

/// The same, and the socket calls that were made for it.
pub async fn connect_noting(
    probe: &Probe<'_>,
    addresses: &[Address],
    port: u16,
    late: &mut Late,
) -> (Result<(Did, Connection), Box<Broken>>, Vec<Call>) {
    let log = Log::default();
    let race = race(probe, addresses, port, late, &log);
    let limit = probe.bounds.connect;
    let result = probe.bounds.within(limit, race).await;
    let mut attempts = log.attempts.into_inner();
    // What was still under way when the stage ended has lasted until now.
    let now = probe.clock.us();
    for attempt in attempts.iter_mut().filter(|attempt| attempt.result == Tried::Abandoned) {
        attempt.duration_us = now.saturating_sub(attempt.start_us);
        match &result {
            Ok(_) => {}
            Err(Reason::Timeout) => attempt.result = Tried::Timeout,
            Err(_) => {
                let why = "not waited for any longer".to_owned();
                attempt.result = Tried::Failed { why, failure: ConnectFailure::NotWaitedFor };
            }
        }
    }
    let calls = calls_of(&attempts, log.sockets.into_inner());
    let waited = log.waited.into_inner();
    let did = Did::Connect(stage::Connect { attempts: attempts.clone(), waited });
    let failure = match result {
        Ok(Some(stream)) => return (Ok((did, stream)), calls),
        Ok(None) => explain(&attempts),
        Err(reason) => Failure { reason, what: cut(&format!("{} did not answer", named(&attempts)), reason, limit) },
    };
    (Err(Box::new((did, failure))), calls)
}

/// What was done, noted as it is done. A visit is one task, so cells are enough.
#[derive(Default)]
struct Log {
    attempts: RefCell<Vec<Attempt>>,
    // The call that made the socket, and of which attempt.
    sockets: RefCell<Vec<(usize, Call)>>,
    // The time in which there was nothing to try.
    waited: RefCell<Option<Waited>>,
}

/// The calls behind these attempts, in the order in which they were made.
fn calls_of(attempts: &[Attempt], sockets: Vec<(usize, Call)>) -> Vec<Call> {
    let mut calls = Vec::new();
    for (nth, socket) in sockets {
        let attempt = &attempts[nth];
        let made_us = socket.at_us + socket.duration_us;
        let ended_us = attempt.start_us + attempt.duration_us;
        let gave = match &attempt.result {
            Tried::Connected => "0",
            Tried::Refused => "ECONNREFUSED: Connection refused",
            Tried::Timeout => "no answer in time",
            Tried::Abandoned => "not waited for any longer",
            Tried::Unreachable { why } | Tried::Failed { why, .. } => why,
        };
        let is_made = socket.gave.bytes().all(|b| b.is_ascii_digit());
        calls.push(socket);
        if !is_made {
            continue;
        }
        calls.push(Call {
            name: "connect".to_owned(),
            with: attempt.via.unwrap_or(attempt.server).to_string(),
            gave: gave.to_owned(),
            at_us: made_us,
            duration_us: ended_us.saturating_sub(made_us),
            stands_for: 0,
        });
    }
    calls.sort_by_key(|call| call.at_us);
    calls
}

async fn race(probe: &Probe<'_>, addresses: &[Address], port: u16, late: &mut Late, log: &Log) -> Option<Connection> {
    let mut waiting = addresses.to_vec();
    let mut running = FuturesUnordered::new();
    let mut next = tokio::time::Instant::now();
    loop {
        let is_idle = running.is_empty() && waiting.is_empty();
        // Until one answers, all have failed, or it is time for the next.
        tokio::select! {
            biased;
            Some(ended) = running.next() => match ended {
                Some(stream) => return Some(stream),
                None => next = tokio::time::Instant::now(),
            },
            came = joined(probe, late, is_idle, log), if late.is_open() => {
                let is_new = |address: &Address| {
                    let is_known = |server: &SocketAddr| server.ip() == address.ip;
                    !log.attempts.borrow().iter().any(|attempt| is_known(&attempt.server))
                };
                waiting.extend(came.into_iter().filter(is_new));
                waiting = order::sorted(
                    waiting,
                    Policy::of(probe),
                    |address| address.ip,
                    |ip| order::source(probe, ip, port),
                );
            },
            () = sleep_until(next), if !waiting.is_empty() => {
                running.push(attempt(probe, waiting.remove(0), port, log));
                next = tokio::time::Instant::now() + ATTEMPT_DELAY;
            }
        }
        if running.is_empty() && waiting.is_empty() && !late.is_open() {
            return None;
        }
    }
}

/// Waits for the addresses that come late; notes the time where nothing else is going on.
async fn joined(probe: &Probe<'_>, late: &mut Late, is_idle: bool, log: &Log) -> Vec<Address> {
    let start_us = probe.clock.us();
    let note = || Waited { start_us, duration_us: probe.clock.us().saturating_sub(start_us) };
    let _noted = is_idle.then(|| Noting { log, note });
    late.next().await
}

/// Notes a wait when it is over, also where it was cut short.
struct Noting<'a, N: Fn() -> Waited> {
    log: &'a Log,
    note: N,
}

impl<N: Fn() -> Waited> Drop for Noting<'_, N> {
    fn drop(&mut self) {
        self.log.waited.replace(Some((self.note)()));
    }
}

/// One attempt, noted as it begins and as it ends.
async fn attempt(probe: &Probe<'_>, address: Address, port: u16, log: &Log) -> Option<Connection> {
    let server = SocketAddr::new(address.ip, port);
    let route = probe.book.map_or(Route::Direct, |book| book.route(Protocol::Tcp, server));
    let real = match route {
        Route::Direct => Ok(server),
        Route::Via(socket) | Route::NothingListens(Some(socket)) => Ok(socket),
        Route::NothingListens(None) => Err("this machine has no IPv6, so this lab has none".to_owned()),
        Route::NoHost => Err("no host of this lab has that address".to_owned()),
    };
    let start_us = probe.clock.us();
    let nth = {
        let mut attempts = log.attempts.borrow_mut();
        attempts.push(Attempt {
            server,
            host: address.host,
            via: real.as_ref().ok().copied().filter(|real| *real != server),
            local: None,
            start_us,
            duration_us: 0,
            result: Tried::Abandoned,
            kernel: None,
        });
        attempts.len() - 1
    };
    let opened = match real {
        Ok(real) => open(probe, real, nth, log).await.map_err(|error| tried(&error, real)),
        Err(why) => Err(Tried::Unreachable { why }),
    };
    let note = &mut log.attempts.borrow_mut()[nth];
    note.duration_us = probe.clock.us().saturating_sub(start_us);
    match opened {
        Ok(stream) => {
            note.result = Tried::Connected;
            note.local = stream.local_addr().ok();
            note.kernel = netlab::kernel::tcp_info(stream.as_fd()).ok().map(Box::new);
            // A request is one write; waiting for a full segment would only delay it.
            let _ = stream.set_nodelay(true);
            Some((server, stream))
        }
        Err(result) => {
            note.result = result;
            None
        }
    }
}

/// The two calls of which a connection is made.
async fn open(probe: &Probe<'_>, real: SocketAddr, nth: usize, log: &Log) -> io::Result<TcpStream> {
    let began = Instant::now();
    let (family, socket) = match real {
        SocketAddr::V4(_) => ("AF_INET", TcpSocket::new_v4()),
        SocketAddr::V6(_) => ("AF_INET6", TcpSocket::new_v6()),
    };
    let gave = socket.as_ref().map_or_else(calls::errno, |socket| socket.as_raw_fd().to_string());
    let at_us = probe.clock.us_at(began);
    let duration_us = probe.clock.us().saturating_sub(at_us);
    let with = format!("{family}, SOCK_STREAM");
    log.sockets
        .borrow_mut()
        .push((nth, Call { name: "socket".to_owned(), with, gave, at_us, duration_us, stands_for: 0 }));
    socket?.connect(real).await
}

fn tried(error: &io::Error, server: SocketAddr) -> Tried {
    // An address that each link has for itself says nothing without the link (RFC 4007 §6), and URLs name none.
    let is_of_some_link = |ip: &Ipv6Addr| ip.is_unicast_link_local() || ip.is_multicast();
    match error.kind() {
        io::ErrorKind::InvalidInput if matches!(server.ip(), IpAddr::V6(ip) if is_of_some_link(&ip)) => {
            let why =
                "a link-local address needs the interface it is on, and a URL cannot name one (EINVAL)".to_owned();
            Tried::Unreachable { why }
        }
        io::ErrorKind::ConnectionRefused => Tried::Refused,
        io::ErrorKind::TimedOut => Tried::Timeout,
        _ => match unreachable(error) {
            Some(why) => Tried::Unreachable { why },
            None => {
                let is_reset = error.kind() == io::ErrorKind::ConnectionReset;
                let failure = if is_reset { ConnectFailure::Reset } else { ConnectFailure::Other };
                Tried::Failed { why: error.to_string(), failure }
            }
        },
    }
}

/// In words, where the kernel says that there is no way to an address.
pub(super) fn unreachable(error: &io::Error) -> Option<String> {
    match error.kind() {
        io::ErrorKind::NetworkUnreachable => {
            Some("no route to that network: this machine has none, or a router on the way says so".to_owned())
        }
        io::ErrorKind::HostUnreachable => Some("nobody on the way knows that address (host unreachable)".to_owned()),
        io::ErrorKind::AddrNotAvailable => Some("this machine has no address of that family".to_owned()),
        io::ErrorKind::PermissionDenied => Some("this machine's own rules forbid it (firewall or policy)".to_owned()),
        _ => None,
    }
}

/// Why no attempt succeeded.
fn explain(attempts: &[Attempt]) -> Failure {
    let all = |wanted: fn(&Tried) -> bool| !attempts.is_empty() && attempts.iter().all(|a| wanted(&a.result));
    let (reason, what) = if all(|r| *r == Tried::Refused) {
        let who = if attempts.len() == 1 { "the machine is there and refuses" } else { "all are there and refuse" };
        (Reason::ConnectionRefused, format!("nothing listens on {}: {who}", named(attempts)))
    } else if all(|r| *r == Tried::Timeout) {
        (Reason::Timeout, format!("{} did not answer", named(attempts)))
    } else if all(|r| matches!(r, Tried::Unreachable { .. })) {
        (Reason::Unreachable, each(attempts))
    } else {
        (Reason::ConnectFailed, each(attempts))
    };
    Failure { reason, what }
}

fn named(attempts: &[Attempt]) -> String {
    attempts.iter().map(|attempt| attempt.server.to_string()).collect::<Vec<_>>().join(", ")
}

fn each(attempts: &[Attempt]) -> String {
    let one = |attempt: &Attempt| {
        let why = match &attempt.result {
            Tried::Connected => "connected",
            Tried::Refused => "refused",
            Tried::Timeout => "no answer in time",
            Tried::Abandoned => "given up",
            Tried::Unreachable { why } | Tried::Failed { why, .. } => why,
        };
        format!("{}: {why}", attempt.server)
    };
    attempts.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_some_link_says_nothing_without_the_link() {
        let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
        let check = |server: &str, expected: bool| {
            let tried = tried(&invalid(), server.parse().unwrap());
            let is_told = matches!(&tried, Tried::Unreachable { why } if why.contains("link-local"));
            assert_eq!(is_told, expected, "{server}: {tried:?}");
        };
        check("[fe80::1]:80", true);
        check("[ff02::1]:80", true);
        check("[2001:db8::1]:80", false);
        check("169.254.1.1:80", false);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(tried(&refused, "[fe80::1]:80".parse().unwrap()), Tried::Refused);
    }
}
