//! Which of a machine's frames are a visit's, by what the visit itself noted: whom it asked, and whom it connected to. Pure.

use std::net::{IpAddr, SocketAddr};

use journey::{
    Engine, Hop, StageName,
    capture::Socket,
    dns::Transport,
    stage::{Attempt, Did, Name, Url},
};
use netlab::tap::{Endpoint, Filter};
use world::{AddressBook, Protocol, Route};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Where packets for an address are handed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hand {
    /// The interface, by its number.
    pub interface: u32,
    /// The neighbour: a router, or the destination itself; none where the address is this machine's own.
    pub next: Option<IpAddr>,
}

/// Every conversation that the visit had or tried to have.
pub fn conversations(hops: &[Hop], engine: Engine, book: Option<&AddressBook>) -> Vec<Endpoint> {
    let mut found = Vec::new();
    for hop in hops {
        for stage in &hop.stages {
            match &stage.did {
                Did::Name(name) => asked(name, &mut found),
                Did::Connect(connect) => {
                    let protocol = if is_udp(hop) { UDP } else { TCP };
                    found.extend(connect.attempts.iter().map(|attempt| tried(protocol, attempt)));
                }
                _ => {}
            }
        }
        // reqwest tells of the attempt that succeeded alone.
        if engine == Engine::Reqwest {
            let is_known = |one: &Endpoint| found.iter().any(|known: &Endpoint| known.remote == one.remote);
            let others: Vec<_> = may_have_tried(hop, book).into_iter().filter(|one| !is_known(one)).collect();
            found.extend(others);
        }
    }
    let mut all: Vec<Endpoint> = Vec::new();
    // Packets to an IPv4-mapped address go over IPv4 (RFC 4291 §2.5.5.2).
    let on_the_wire = |socket: SocketAddr| SocketAddr::new(socket.ip().to_canonical(), socket.port());
    for one in found {
        let one = Endpoint { local: one.local.map(on_the_wire), remote: on_the_wire(one.remote), ..one };
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}

/// The queries for a name, and for that of the resolver.
fn asked(name: &Name, found: &mut Vec<Endpoint>) {
    if let Some(bootstrap) = &name.bootstrap {
        asked(bootstrap, found);
    }
    found.extend(name.exchanges.iter().map(|exchange| Endpoint {
        protocol: match exchange.transport {
            Transport::Udp => UDP,
            Transport::Tcp | Transport::Tls | Transport::Https => TCP,
        },
        local: exchange.local,
        remote: exchange.via.unwrap_or(exchange.server),
    }));
}

fn tried(protocol: u8, attempt: &Attempt) -> Endpoint {
    Endpoint { protocol, local: attempt.local, remote: attempt.via.unwrap_or(attempt.server) }
}

/// Every address that a name has, at the port of the URL.
fn may_have_tried(hop: &Hop, book: Option<&AddressBook>) -> Vec<Endpoint> {
    let url = hop.stage(StageName::Url).map(|stage| &stage.did);
    let name = hop.stage(StageName::Name).map(|stage| &stage.did);
    let (Some(Did::Url(Url { port: Some(port), .. })), Some(Did::Name(name))) = (url, name) else { return Vec::new() };
    let real = |ip| {
        let server = SocketAddr::new(ip, *port);
        match book.map_or(Route::Direct, |book| book.route(Protocol::Tcp, server)) {
            Route::Direct => Some(server),
            Route::Via(socket) | Route::NothingListens(Some(socket)) => Some(socket),
            Route::NothingListens(None) | Route::NoHost => None,
        }
    };
    let remotes = name.addresses.iter().filter_map(|address| real(address.ip));
    remotes.map(|remote| Endpoint { protocol: TCP, local: None, remote }).collect()
}

fn is_udp(hop: &Hop) -> bool {
    matches!(hop.stage(StageName::Url).map(|stage| &stage.did), Some(Did::Url(url)) if url.scheme == "udp")
}

/// The frames of these conversations; `hand` tells where packets for an address are handed to.
pub fn filter(endpoints: Vec<Endpoint>, hand: impl Fn(IpAddr) -> Option<Hand>) -> Filter {
    let mut filter = Filter { endpoints, ..Filter::default() };
    let mut remotes: Vec<IpAddr> = filter.endpoints.iter().map(|endpoint| endpoint.remote.ip()).collect();
    remotes.sort_unstable();
    remotes.dedup();
    for hand in remotes.into_iter().filter_map(hand) {
        if !filter.interfaces.contains(&hand.interface) {
            filter.interfaces.push(hand.interface);
        }
        if let Some(next) = hand.next.filter(|next| !filter.neighbours.contains(next)) {
            filter.neighbours.push(next);
        }
    }
    filter
}

/// Whether this socket is this side of one of the conversations.
pub fn is_ours(filter: &Filter, socket: &Socket) -> bool {
    let protocol = if socket.protocol == "udp" { UDP } else { TCP };
    let is = |one: SocketAddr, other: SocketAddr| {
        (one.ip().to_canonical(), one.port()) == (other.ip().to_canonical(), other.port())
    };
    filter.endpoints.iter().any(|endpoint| {
        endpoint.protocol == protocol
            && socket.remote.is_some_and(|remote| is(remote, endpoint.remote))
            && endpoint.local.is_none_or(|local| is(local, socket.local))
    })
}

#[cfg(test)]
mod tests {
    use journey::{
        Evidence, Stage, StageState,
        dns::Question,
        stage::{Address, Connect, Exchange, QueryResult, Tried},
    };

    use super::*;

    fn socket(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn stage(did: Did) -> Stage {
        Stage {
            state: StageState::Done,
            start_us: Some(0),
            duration_us: Some(0),
            evidence: Evidence::Observed,
            did,
            failure: None,
            note: None,
            calls: Vec::new(),
        }
    }

    fn exchange(transport: Transport, server: &str, via: Option<&str>, local: Option<&str>) -> Exchange {
        Exchange {
            question: Question { name: "a.test.".to_owned(), rtype: "A".to_owned() },
            id: 0,
            transport,
            server: socket(server),
            via: via.map(socket),
            local: local.map(socket),
            start_us: 0,
            duration_us: 0,
            sent_us: None,
            sent_bytes: 0,
            opt: journey::stage::Opt::Full,
            opening: None,
            tls: None,
            result: QueryResult::Timeout,
        }
    }

    fn attempt(server: &str, via: Option<&str>, local: Option<&str>) -> Attempt {
        Attempt {
            server: socket(server),
            host: None,
            via: via.map(socket),
            local: local.map(socket),
            start_us: 0,
            duration_us: 0,
            result: Tried::Timeout,
            kernel: None,
        }
    }

    fn hop(scheme: &str, name: Name, attempts: Vec<Attempt>) -> Hop {
        let url = Url { scheme: scheme.to_owned(), host: "a.test".to_owned(), port: Some(80), target: "/".to_owned() };
        let stages =
            vec![stage(Did::Url(url)), stage(Did::Name(name)), stage(Did::Connect(Connect { attempts, waited: None }))];
        Hop { url: String::new(), stages, notes: Vec::new() }
    }

    #[test]
    fn whom_the_visit_talked_to() {
        let check = |hops: &[Hop], engine: Engine, expected: &[(u8, Option<&str>, &str)]| {
            let seen = conversations(hops, engine, None);
            let expected: Vec<_> = expected
                .iter()
                .map(|&(protocol, local, remote)| Endpoint {
                    protocol,
                    local: local.map(socket),
                    remote: socket(remote),
                })
                .collect();
            assert_eq!(seen, expected);
        };
        let none = Name::default;
        let asked = |exchanges| Name { exchanges, ..Name::default() };
        let over_udp = exchange(Transport::Udp, "10.0.0.53:53", None, Some("10.0.0.1:5000"));
        // Sent twice from the same socket, then over TCP; and through a stand-in.
        let plain = asked(vec![
            over_udp.clone(),
            over_udp.clone(),
            exchange(Transport::Tcp, "10.0.0.53:53", None, None),
            exchange(Transport::Udp, "10.0.0.53:53", Some("127.0.0.1:7"), Some("127.0.0.1:8")),
        ]);
        let questions = [
            (UDP, Some("10.0.0.1:5000"), "10.0.0.53:53"),
            (TCP, None, "10.0.0.53:53"),
            (UDP, Some("127.0.0.1:8"), "127.0.0.1:7"),
        ];
        check(&[hop("http", plain, Vec::new())], Engine::Visit, &questions);
        // A resolver that was itself looked up first.
        let secure = Name {
            bootstrap: Some(Box::new(asked(vec![over_udp]))),
            ..asked(vec![exchange(Transport::Tls, "[fd10::1]:853", None, Some("[fd10::2]:6"))])
        };
        let both = [(UDP, Some("10.0.0.1:5000"), "10.0.0.53:53"), (TCP, Some("[fd10::2]:6"), "[fd10::1]:853")];
        check(&[hop("http", secure, Vec::new())], Engine::Visit, &both);

        let tried = || {
            vec![attempt("[fd10::1]:80", None, None), attempt("10.0.0.2:80", Some("127.0.0.1:9"), Some("127.0.0.1:10"))]
        };
        let over = |protocol| [(protocol, None, "[fd10::1]:80"), (protocol, Some("127.0.0.1:10"), "127.0.0.1:9")];
        check(&[hop("http", none(), tried())], Engine::Visit, &over(TCP));
        check(&[hop("udp", none(), tried())], Engine::Visit, &over(UDP));
        // Every hop's; each once.
        check(&[hop("http", none(), tried()), hop("http", none(), tried())], Engine::Visit, &over(TCP));

        // reqwest tells of the one that succeeded.
        let address = |ip: &str| Address { ip: ip.parse().unwrap(), ttl: None, host: None };
        let name = Name { addresses: vec![address("10.0.0.2"), address("10.0.0.3")], ..Name::default() };
        let connected = vec![attempt("10.0.0.2:80", None, Some("10.0.0.1:10"))];
        let all = [(TCP, Some("10.0.0.1:10"), "10.0.0.2:80"), (TCP, None, "10.0.0.3:80")];
        check(&[hop("http", name.clone(), connected.clone())], Engine::Reqwest, &all);
        check(&[hop("http", name, connected)], Engine::Visit, &all[..1]);
    }

    #[test]
    fn whose_neighbours() {
        let endpoint = |remote: &str| Endpoint { protocol: TCP, local: None, remote: socket(remote) };
        let ends = ["10.0.0.53:53", "192.0.2.1:80", "192.0.2.2:80", "192.0.2.2:443", "127.0.0.1:80", "240.0.0.1:80"];
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let hand = |to: IpAddr| match to.to_string().as_str() {
            "10.0.0.53" => Some(Hand { interface: 3, next: Some(to) }),
            "127.0.0.1" => Some(Hand { interface: 1, next: None }),
            "240.0.0.1" => None,
            _ => Some(Hand { interface: 3, next: Some(ip("10.0.0.254")) }),
        };
        let filter = filter(ends.map(endpoint).to_vec(), hand);
        assert_eq!(filter.endpoints.len(), ends.len());
        assert_eq!(filter.neighbours, [ip("10.0.0.53"), ip("10.0.0.254")]);
        assert_eq!(filter.interfaces, [3, 1]);
    }

    #[test]
    fn whose_sockets() {
        let endpoints = vec![
            Endpoint { protocol: TCP, local: Some(socket("127.0.0.1:9")), remote: socket("127.0.0.1:80") },
            Endpoint { protocol: UDP, local: None, remote: socket("10.0.0.53:53") },
        ];
        let filter = Filter { endpoints, ..Filter::default() };
        let check = |protocol: &str, local: &str, remote: Option<&str>, expected: bool| {
            let seen = Socket {
                protocol: protocol.to_owned(),
                state: String::new(),
                local: socket(local),
                remote: remote.map(socket),
                receive_queue: 0,
                send_queue: 0,
            };
            assert_eq!(is_ours(&filter, &seen), expected, "{protocol} {local} {remote:?}");
        };
        check("tcp", "127.0.0.1:9", Some("127.0.0.1:80"), true);
        check("tcp", "[::ffff:127.0.0.1]:9", Some("[::ffff:127.0.0.1]:80"), true);
        // The other end of the same connection, another connection, and the server's own.
        check("tcp", "127.0.0.1:80", Some("127.0.0.1:9"), false);
        check("tcp", "127.0.0.1:8", Some("127.0.0.1:80"), false);
        check("tcp", "127.0.0.1:80", None, false);
        check("udp", "10.0.0.1:5000", Some("10.0.0.53:53"), true);
        check("tcp", "10.0.0.1:5000", Some("10.0.0.53:53"), false);
    }
}
