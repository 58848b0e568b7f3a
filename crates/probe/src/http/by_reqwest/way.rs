//! Where reqwest is sent: the addresses of the `name` stage as sockets that it can be given, and a URL that leads there.
//!
//! In the embedded lab other sockets stand in for the world's addresses, with other ports. reqwest takes the port of a
//! socket that it is given for a name only where the URL names none, and gives nothing at all for a URL with an address.
//! So there the URL is written without a port, and with a stand-in name in the place of an address; `Host` says what the
//! visit is for. In TLS the name of the URL is the one that the certificate must be for, so there an address cannot be stood in for.

use std::net::SocketAddr;

use journey::{
    Reason, TraceId,
    stage::{Address, Attempt, Connect, Did, Failure, Tried},
};
use world::{AddressBook, Protocol, Route};

use super::super::super::{
    Broken, Probe,
    target::{Host, Scheme, Target},
};

/// In the place of an address (RFC 6761 §6.4: nobody has it).
const STAND_IN: &str = "stand-in.invalid";

/// Where reqwest is sent.
#[derive(Debug)]
pub(super) struct Way {
    /// The URL for reqwest.
    pub(super) url: String,
    /// Its host, whose addresses are given.
    pub(super) host: String,
    /// The sockets, in the order in which they are to be tried.
    pub(super) sockets: Vec<SocketAddr>,
    /// Whether that URL has another authority than the visit's.
    pub(super) is_renamed: bool,
    /// The visit's id, where all of these are there to record it.
    pub(super) trace: Option<TraceId>,
    // The world's addresses behind the sockets, with the host that has each.
    worlds: Vec<(SocketAddr, Option<String>)>,
}

impl Way {
    pub(super) fn new(probe: &Probe<'_>, target: &Target, addresses: &[Address]) -> Result<Self, Box<Broken>> {
        let mut way = Self {
            url: String::new(),
            host: bare_host(target),
            sockets: Vec::new(),
            is_renamed: false,
            trace: None,
            worlds: Vec::new(),
        };
        let attempts = way.find(probe, target, addresses);
        let broken = |attempts: Vec<Attempt>, reason, what: String| {
            Box::new((Did::Connect(Connect { attempts, waited: None }), Failure { reason, what }))
        };
        if way.sockets.is_empty() {
            let each = attempts.iter().map(|attempt| match &attempt.result {
                Tried::Unreachable { why } => format!("{}: {why}", attempt.server),
                _ => attempt.server.to_string(),
            });
            let what = each.collect::<Vec<_>>().join("; ");
            return Err(broken(attempts, Reason::Unreachable, what));
        }
        let stood_in_for = way.sockets.iter().zip(&way.worlds).any(|(socket, (server, _))| socket != server);
        let other_port = way.sockets.iter().any(|socket| socket.port() != target.port);
        match (&target.host, target.scheme) {
            (Host::Ip(_), Scheme::Https) if stood_in_for => {
                let what = impossible(probe.book, target).unwrap_or_default();
                return Err(broken(Vec::new(), Reason::ConnectFailed, what));
            }
            (Host::Ip(_), _) if stood_in_for => STAND_IN.clone_into(&mut way.host),
            _ => {}
        }
        let scheme = target.scheme.as_str();
        let authority = match stood_in_for && (other_port || way.host == STAND_IN) {
            true => way.host.clone(),
            false => target.authority.clone(),
        };
        way.is_renamed = authority != target.authority;
        way.url = format!("{scheme}://{authority}{}", target.path);
        way.trace =
            addresses.iter().map(|address| probe.trace_for(address.ip)).reduce(|one, other| one.and(other)).flatten();
        Ok(way)
    }

    /// Where the addresses lead; the attempts at those that lead nowhere.
    fn find(&mut self, probe: &Probe<'_>, target: &Target, addresses: &[Address]) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        for address in addresses {
            let server = SocketAddr::new(address.ip, target.port);
            let why = match probe.book.map_or(Route::Direct, |book| book.route(Protocol::Tcp, server)) {
                Route::Direct => {
                    self.add(server, server, address);
                    continue;
                }
                Route::Via(socket) | Route::NothingListens(Some(socket)) => {
                    self.add(socket, server, address);
                    continue;
                }
                Route::NothingListens(None) => "this machine has no IPv6, so this lab has none",
                Route::NoHost => "no host of this lab has that address",
            };
            let now_us = probe.clock.us();
            attempts.push(Attempt {
                server,
                host: address.host.clone(),
                via: None,
                local: None,
                start_us: now_us,
                duration_us: 0,
                result: Tried::Unreachable { why: why.to_owned() },
                kernel: None,
            });
        }
        attempts
    }

    fn add(&mut self, socket: SocketAddr, server: SocketAddr, address: &Address) {
        self.sockets.push(socket);
        self.worlds.push((server, address.host.clone()));
    }

    /// The world's address that a socket stands in for, and the socket where it is another.
    pub(super) fn world(&self, socket: SocketAddr) -> (SocketAddr, Option<SocketAddr>) {
        let nth = self.sockets.iter().position(|known| *known == socket);
        match nth.and_then(|nth| self.worlds.get(nth)) {
            Some((server, _)) => (*server, (*server != socket).then_some(socket)),
            None => (socket, None),
        }
    }

    /// The address, where it is the only one: its world's address, its host, the socket that stands in for it.
    pub(super) fn only(&self) -> Option<(SocketAddr, Option<String>, Option<SocketAddr>)> {
        let ([socket], [(server, host)]) = (self.sockets.as_slice(), self.worlds.as_slice()) else { return None };
        Some((*server, host.clone(), (server != socket).then_some(*socket)))
    }

    /// All of the world's addresses.
    pub(super) fn named(&self) -> String {
        self.worlds.iter().map(|(server, _)| server.to_string()).collect::<Vec<_>>().join(", ")
    }
}

/// Why reqwest cannot visit this, if it cannot.
pub(super) fn impossible(book: Option<&AddressBook>, target: &Target) -> Option<String> {
    let (Host::Ip(ip), Scheme::Https) = (&target.host, target.scheme) else { return None };
    let server = SocketAddr::new(*ip, target.port);
    let route = book.map_or(Route::Direct, |book| book.route(Protocol::Tcp, server));
    (route != Route::Direct).then(|| {
        format!(
            "reqwest connects to the address in an https:// URL itself, and in this lab another socket stands in for {ip}: \
             visit by name, or without --engine reqwest"
        )
    })
}

/// The host as it is in a URL.
pub(super) fn bare_host(target: &Target) -> String {
    match &target.host {
        Host::Name(name) => name.clone(),
        Host::Ip(ip) if ip.is_ipv6() => format!("[{ip}]"),
        Host::Ip(ip) => ip.to_string(),
    }
}
