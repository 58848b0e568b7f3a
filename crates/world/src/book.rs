//! The address book of one running lab: which real socket stands behind each of the world's addresses.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::{Token, World, fault::Role};

/// Which real socket stands behind each of the world's addresses. Its JSON is what `visit lab serve --json` prints and
/// `VISIT_WORLD` reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressBook {
    /// The world's IPv4 network.
    pub v4: Ipv4Net,
    /// The world's IPv6 network.
    pub v6: Ipv6Net,
    /// Names at or under these are the lab's.
    pub names: Vec<String>,
    /// The hosts.
    pub hosts: Vec<BookHost>,
    /// What stands in for a port on which nothing listens; null where the world's addresses are real.
    pub closed: Option<Closed>,
    /// The namespaces that the world's addresses are in, where they are in some; null where they are in this machine's own
    /// network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<Inside>,
    /// The root name servers' DNS addresses, in the world: where a walk from the root begins.
    #[serde(default)]
    pub roots: Vec<SocketAddr>,
    /// The certificate of the authority that the lab's services have theirs from, in PEM; null where it is not known. Who
    /// visits the lab trusts it for these visits alone.
    #[serde(default)]
    pub ca: Option<String>,
    /// Where the faults of the lab's own network can be put in force, as those of a host at its admin port; null where it has
    /// no such network, or nobody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<SocketAddr>,
    /// What admin ports ask for; null where they answer everybody who reaches them. Whoever has it can read what the hosts
    /// recorded, set faults, and move clocks: a file with it is for its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
}

/// Where a lab is that has a network of its own: files of its process in /proc, while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inside {
    /// The user namespace to be entered first; null where root runs the lab.
    pub user: Option<PathBuf>,
    /// The network namespace of each host, of the router and of the clients; visits are made from `you`.
    pub hosts: BTreeMap<String, PathBuf>,
}

impl Inside {
    /// How to run a program at a host, as one types it in front of the program's name, in two parts.
    pub fn enter(&self, host: &str) -> Option<Enter> {
        let before = match &self.user {
            Some(user) => format!("nsenter --preserve-credentials --user={}", user.display()),
            None => "nsenter".to_owned(),
        };
        Some(Enter { before, net: format!("--net={}", self.hosts.get(host)?.display()) })
    }
}

/// How to run a program at a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enter {
    /// The same for all hosts.
    pub before: String,
    /// Which host.
    pub net: String,
}

/// A host of the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BookHost {
    /// Its name.
    pub name: String,
    /// What it is, in words.
    pub about: String,
    /// Its addresses in the world.
    pub addresses: Vec<IpAddr>,
    /// What it listens on.
    pub services: Vec<BookService>,
    /// What plays it, where that is another vendor's server, which does not report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub played_by: Option<String>,
    /// Where it listens besides, for whoever is to reach it from elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<Published>,
}

/// A further socket of a host, at an address and a port that somebody chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The service's name.
    pub name: String,
    /// The transport.
    pub protocol: Protocol,
    /// Where it listens; an address of zeros is every address of this machine.
    pub socket: SocketAddr,
}

/// A socket of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BookService {
    /// `dns`, `dot`, `doh`, `http`, `https`, `talk`, `echo`, `stall`, `admin`.
    pub name: String,
    /// The transport.
    pub protocol: Protocol,
    /// The world's address.
    pub address: SocketAddr,
    /// The socket that really listens; the same where the world's addresses are real.
    pub socket: SocketAddr,
}

/// Stand-ins for ports on which nothing listens: bound by the lab and never listened on, so the kernel refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// For TCP over IPv4.
    pub tcp_v4: SocketAddr,
    /// For TCP over IPv6, where this machine has it.
    pub tcp_v6: Option<SocketAddr>,
}

/// The name of the host that resolves names for the lab's clients.
const RESOLVER: &str = "resolver";

/// The transport of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

/// Where to send what is meant for one of the world's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To the address itself.
    Direct,
    /// To this socket, which stands in for it.
    Via(SocketAddr),
    /// The host is there, but nothing listens on that port; the socket, where there is one, refuses as the host would.
    NothingListens(Option<SocketAddr>),
    /// No host of the lab has that address.
    NoHost,
}

impl AddressBook {
    /// The book of a world whose addresses are real: containers, namespaces.
    pub fn direct(world: &World) -> Self {
        Self::new(world, None, |_, _, _, address| Some(address))
    }

    /// The book of a world whose sockets are told by `socket`, of host, service, transport and address; what it answers `None` for is left out (an address family
    /// that this machine lacks).
    pub fn new(
        world: &World,
        closed: Option<Closed>,
        mut socket: impl FnMut(&str, &str, Protocol, SocketAddr) -> Option<SocketAddr>,
    ) -> Self {
        let mut book_host = |(name, host): (&String, &crate::Host)| BookHost {
            name: name.clone(),
            about: host.about.clone(),
            addresses: host.addresses.clone(),
            services: host
                .listens(&world.network)
                .into_iter()
                .filter_map(|(service, protocol, address)| {
                    let socket = socket(name, service, protocol, address)?;
                    Some(BookService { name: service.to_owned(), protocol, address, socket })
                })
                .collect(),
            played_by: host.played_by.clone(),
            published: Vec::new(),
        };
        Self {
            v4: world.network.v4,
            v6: world.network.v6,
            names: world.network.names.clone(),
            hosts: world.hosts.iter().map(&mut book_host).collect(),
            closed,
            inside: None,
            roots: world.roots(),
            ca: None,
            control: None,
            token: None,
        }
    }

    /// Where to send what is meant for `to`.
    pub fn route(&self, protocol: Protocol, to: SocketAddr) -> Route {
        let Some(closed) = self.closed else { return Route::Direct };
        if !self.contains(to.ip()) {
            return Route::Direct;
        }
        let Some(host) = self.hosts.iter().find(|host| host.addresses.contains(&to.ip())) else {
            return Route::NoHost;
        };
        let service = host.services.iter().find(|s| s.protocol == protocol && s.address == to);
        match (service, protocol) {
            (Some(service), _) => Route::Via(service.socket),
            (None, Protocol::Tcp) if to.is_ipv4() => Route::NothingListens(Some(closed.tcp_v4)),
            (None, Protocol::Tcp) => Route::NothingListens(closed.tcp_v6),
            (None, Protocol::Udp) => Route::NothingListens(None),
        }
    }

    /// The host that has this address.
    pub fn host_of(&self, ip: IpAddr) -> Option<&str> {
        self.hosts.iter().find(|host| host.addresses.contains(&ip)).map(|host| host.name.as_str())
    }

    /// The host of that name.
    pub fn host(&self, name: &str) -> Option<&BookHost> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// Every service of that name and transport that runs, with its host: all that speak `https`, say.
    pub fn services<'a>(
        &'a self,
        name: &'a str,
        protocol: Protocol,
    ) -> impl Iterator<Item = (&'a BookHost, &'a BookService)> {
        let of_host = move |host: &'a BookHost| {
            let fits = move |service: &&BookService| service.name == name && service.protocol == protocol;
            host.services.iter().filter(fits).map(move |service| (host, service))
        };
        self.hosts.iter().flat_map(of_host)
    }

    /// The host that resolves names for the lab's clients, and its DNS service over UDP, where that runs.
    pub fn resolver(&self) -> Option<(&BookHost, &BookService)> {
        let host = self.host(RESOLVER)?;
        Some((host, host.service("dns", Protocol::Udp)?))
    }

    /// Where the lab's clients ask for names, whether somebody answers there or not.
    pub fn resolver_address(&self) -> Option<SocketAddr> {
        let host = self.host(RESOLVER)?;
        let service = host.service("dns", Protocol::Udp).map(|service| service.address);
        service.or_else(|| Some(SocketAddr::new(*host.addresses.first()?, 53)))
    }

    /// Whether a name is one that the lab answers for without being told to.
    pub fn claims(&self, name: &str) -> bool {
        crate::description::is_under(&self.names, name)
    }

    /// Whether the address lies in the world's network.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => self.v4.contains(&ip),
            IpAddr::V6(ip) => self.v6.contains(&ip),
        }
    }
}

impl BookHost {
    /// The first service of that name and transport.
    pub fn service(&self, name: &str, protocol: Protocol) -> Option<&BookService> {
        self.services.iter().find(|service| service.name == name && service.protocol == protocol)
    }

    /// What plays there, as its services tell; none where it does not run.
    pub fn role(&self) -> Option<Role> {
        if self.service("http", Protocol::Tcp).is_some() {
            return Some(Role::App);
        }
        self.service("dns", Protocol::Tcp)?;
        // A name server of the lab speaks DNS without TLS alone.
        Some(if self.service("dot", Protocol::Tcp).is_some() { Role::Resolver } else { Role::Nameserver })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback_book() -> AddressBook {
        let mut port = 40_000;
        let closed = Closed { tcp_v4: ([127, 0, 0, 1], 1).into(), tcp_v6: None };
        AddressBook::new(&World::built_in(), Some(closed), |_, _, _, address| {
            port += 1;
            address.is_ipv4().then(|| ([127, 0, 0, 1], port).into())
        })
    }

    #[test]
    fn routes() {
        let book = loopback_book();
        let check = |protocol, to: &str, expected: fn(&Route) -> bool| {
            let route = book.route(protocol, to.parse().unwrap());
            assert!(expected(&route), "{to}: {route:?}");
        };
        check(Protocol::Udp, "10.78.1.53:53", |r| matches!(r, Route::Via(s) if s.ip().is_loopback()));
        check(Protocol::Tcp, "10.78.2.20:80", |r| matches!(r, Route::NothingListens(Some(_))));
        check(Protocol::Tcp, "[fd10:78:1ab::2:81]:80", |r| matches!(r, Route::NothingListens(None)));
        check(Protocol::Tcp, "10.78.2.99:80", |r| *r == Route::NoHost);
        check(Protocol::Tcp, "127.0.0.1:8080", |r| *r == Route::Direct);
        assert_eq!(
            AddressBook::direct(&World::built_in()).route(Protocol::Tcp, "10.78.2.99:80".parse().unwrap()),
            Route::Direct
        );
    }

    #[test]
    fn services_by_name() {
        let book = loopback_book();
        let found: Vec<_> =
            book.services("talk", Protocol::Tcp).map(|(host, service)| (&*host.name, service)).collect();
        assert_eq!(found.iter().map(|(host, _)| *host).collect::<Vec<_>>(), ["app1", "app2"]);
        assert!(found.iter().all(|(_, service)| service.socket.ip().is_loopback()));
        assert_eq!(book.services("talk", Protocol::Udp).count(), 0);
        let roots: Vec<String> = book.roots.iter().map(SocketAddr::to_string).collect();
        assert_eq!(roots, ["10.78.2.10:53", "[fd10:78:1ab::2:10]:53"]);
    }

    #[test]
    fn roles() {
        let (book, world) = (loopback_book(), World::built_in());
        for host in &book.hosts {
            assert_eq!(host.role(), crate::fault::role_of(&world.hosts[&host.name]), "{}", host.name);
        }
        for (text, is_one) in [("auth:servfail", true), ("app1:servfail", false), ("auth3:drop", false)] {
            let fault: crate::fault::Fault = text.parse().unwrap();
            assert_eq!(fault.check_in(&book), fault.check(&world));
            assert_eq!(fault.check_in(&book).is_ok(), is_one, "{text}");
        }
    }

    #[test]
    fn json_round_trip() {
        let mut book = loopback_book();
        book.ca = Some("-----BEGIN CERTIFICATE-----\n".to_owned());
        let text = serde_json::to_string(&book).unwrap();
        assert_eq!(serde_json::from_str::<AddressBook>(&text).unwrap(), book);

        let mut old: serde_json::Value = serde_json::from_str(&text).unwrap();
        for key in ["roots", "ca"] {
            old.as_object_mut().unwrap().remove(key);
        }
        let read: AddressBook = serde_json::from_value(old).unwrap();
        assert_eq!((read.ca, read.roots, read.hosts), (None, Vec::new(), book.hosts));
    }
}
