//! The world file: hosts, addresses and what runs on them.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Deserialize;

use crate::{Files, Network};

/// The world: its network and its hosts. Unknown keys are refused, so a typing error is not silently a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// What all hosts share.
    pub network: Network,
    /// The hosts by name.
    pub hosts: BTreeMap<String, Host>,
    /// How addresses in zone files are to be changed; not part of the file, see [`World::renumbered`].
    #[serde(skip)]
    pub renumber: Option<Renumber>,
}

/// A host.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// What it is, in words.
    #[serde(default)]
    pub about: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// It runs an authoritative name server.
    pub nameserver: Option<Nameserver>,
    /// It runs a recursive resolver.
    pub resolver: Option<Resolver>,
    /// It runs an application server.
    pub app: Option<App>,
    /// What plays it, in words, where that is another vendor's server: nothing of this program is started for it, and it
    /// does not report.
    pub played_by: Option<String>,
    /// Where that one listens when the lab is on loopback, by service. Elsewhere it listens at the host's own addresses.
    #[serde(default)]
    pub sockets: BTreeMap<String, Vec<SocketAddr>>,
}

/// An authoritative name server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nameserver {
    /// UDP and TCP port.
    #[serde(default = "dns_port")]
    pub port: u16,
    /// Zone files by the name of the zone, fully qualified.
    pub zones: BTreeMap<String, String>,
    /// TCP connections held open at once; more wait in the accept queue.
    #[serde(default = "default_tcp_connections")]
    pub tcp_connections: usize,
    /// A TCP connection without a query for so long is closed (RFC 7766 §6.2.3), in milliseconds.
    #[serde(default = "default_tcp_idle_ms")]
    pub tcp_idle_ms: u64,
}

/// A recursive resolver.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolver {
    /// UDP and TCP port.
    #[serde(default = "dns_port")]
    pub port: u16,
    /// TCP port of DNS over TLS (RFC 7858).
    #[serde(default = "dot_port")]
    pub dot_port: u16,
    /// TCP port of DNS over HTTPS (RFC 8484).
    #[serde(default = "doh_port")]
    pub doh_port: u16,
    /// The names in its certificate, besides its addresses; `*.` stands for one label.
    #[serde(default)]
    pub tls_names: Vec<String>,
    /// The root hints file.
    pub roots: String,
    /// Who may ask for recursion; loopback and the world's network where nothing is said.
    pub allow: Option<Vec<IpNet>>,
    /// A server that has not answered by then counts as dead for this question, in milliseconds.
    #[serde(default = "default_upstream_timeout_ms")]
    pub upstream_timeout_ms: u64,
    /// A client waits no longer than this for its answer, in milliseconds; then it gets SERVFAIL and the reason.
    #[serde(default = "default_answer_timeout_ms")]
    pub answer_timeout_ms: u64,
    /// TCP connections held open at once; more wait in the accept queue.
    #[serde(default = "default_tcp_connections")]
    pub tcp_connections: usize,
    /// A TCP connection without a query for so long is closed, in milliseconds.
    #[serde(default = "default_tcp_idle_ms")]
    pub tcp_idle_ms: u64,
}

/// An application server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct App {
    /// TCP port of HTTP.
    pub http_port: u16,
    /// TCP port of HTTPS.
    pub https_port: u16,
    /// Names in its certificate, besides the network's names, one label below each of these, and its addresses.
    pub tls_names: Vec<String>,
    /// TCP port that answers whatever bytes a client sends.
    pub talk_port: u16,
    /// UDP port that sends back what it gets (RFC 862).
    pub echo_port: u16,
    /// TCP port whose connections are never taken from the accept queue, in which two have room: a server that hangs.
    pub stall_port: Option<u16>,
    /// Connections held open at once on each TCP port; more wait in the accept queue.
    pub connections: usize,
    /// Bytes that a request's head may have.
    pub max_head_bytes: usize,
    /// Bytes that a request's body may have.
    pub max_body_bytes: u64,
    /// A client that has not sent its request's head, or nothing more of its body, by then is closed, in milliseconds.
    pub read_timeout_ms: u64,
    /// An idle kept-alive connection is closed after this, in milliseconds.
    pub idle_timeout_ms: u64,
}

impl Default for App {
    fn default() -> Self {
        Self {
            http_port: 80,
            https_port: 443,
            tls_names: Vec::new(),
            talk_port: 8080,
            echo_port: 7,
            stall_port: None,
            connections: 1024,
            max_head_bytes: 16 * 1024,
            max_body_bytes: 1024 * 1024,
            read_timeout_ms: 10_000,
            idle_timeout_ms: 15_000,
        }
    }
}

fn dns_port() -> u16 {
    53
}

fn dot_port() -> u16 {
    853
}

fn doh_port() -> u16 {
    443
}

fn default_tcp_connections() -> usize {
    128
}

fn default_tcp_idle_ms() -> u64 {
    5_000
}

fn default_upstream_timeout_ms() -> u64 {
    500
}

fn default_answer_timeout_ms() -> u64 {
    // Below the grace period of a service that is told to stop, so that what it has begun still gets its answer.
    2_500
}

/// A world file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// It is not TOML, or has an unknown key or a wrong value; the text says which line.
    #[error("{path}: {source}")]
    Syntax {
        /// The file.
        path: String,
        /// Line, column and what is wrong.
        source: Box<toml::de::Error>,
    },
    /// A host has no service, or more than one.
    #[error("{path}: host {host}: exactly one of nameserver, resolver, app is needed, not {count}")]
    OneService {
        /// The file.
        path: String,
        /// The host.
        host: String,
        /// How many it has.
        count: usize,
    },
    /// An address is outside the world's network, or stands twice.
    #[error("{path}: host {host}: address {address} {why}")]
    Address {
        /// The file.
        path: String,
        /// The host.
        host: String,
        /// The address.
        address: IpAddr,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nothing where there must be something.
    #[error("{path}: host {host}: {key} must not be empty or 0")]
    Zero {
        /// The file.
        path: String,
        /// The host.
        host: String,
        /// The key.
        key: &'static str,
    },
    /// What is said of the server that plays a host cannot be.
    #[error("{path}: host {host}: {why}")]
    Played {
        /// The file.
        path: String,
        /// The host.
        host: String,
        /// What is wrong, and what is needed.
        why: String,
    },
    /// No such host.
    #[error("{path}: there is no host {host:?}; hosts: {known}")]
    NoSuchHost {
        /// The file.
        path: String,
        /// The name asked for.
        host: String,
        /// Those that exist.
        known: String,
    },
}

impl World {
    /// The world that this program carries.
    pub fn built_in() -> Self {
        let text = Files::BuiltIn.read("world.toml").expect("it is one of the built-in files");
        Self::parse(&text, "(built in) lab/world.toml").expect("a test parses it")
    }

    /// Reads a world file's text; `path` names it in errors.
    pub fn parse(text: &str, path: &str) -> Result<Self, WorldError> {
        let world: Self = toml::from_str(text)
            .map_err(|source| WorldError::Syntax { path: path.to_owned(), source: Box::new(source) })?;
        let mut seen = Vec::new();
        for (name, host) in &world.hosts {
            let services = [host.nameserver.is_some(), host.resolver.is_some(), host.app.is_some()];
            let count = services.into_iter().filter(|there| *there).count();
            if count != 1 {
                return Err(WorldError::OneService { path: path.to_owned(), host: name.clone(), count });
            }
            let bad = |key| WorldError::Zero { path: path.to_owned(), host: name.clone(), key };
            if host.addresses.is_empty() {
                return Err(bad("addresses"));
            }
            let wrong = |why| WorldError::Played { path: path.to_owned(), host: name.clone(), why };
            host.check_played().map_err(wrong)?;
            for (key, value) in host.limits() {
                if value == 0 {
                    return Err(bad(key));
                }
            }
            for &address in &host.addresses {
                let bad = |why| WorldError::Address { path: path.to_owned(), host: name.clone(), address, why };
                if !world.network.contains(address) {
                    return Err(bad("is outside the world's network"));
                }
                if seen.contains(&address) {
                    return Err(bad("is another host's already"));
                }
                seen.push(address);
            }
        }
        world.check_segments(&seen).map_err(|(host, address, why)| WorldError::Address {
            path: path.to_owned(),
            host,
            address,
            why,
        })?;
        Ok(world)
    }

    /// Every host, the router and whoever visits must stand on one segment, with addresses of their own.
    fn check_segments(&self, hosts: &[IpAddr]) -> Result<(), (String, IpAddr, &'static str)> {
        let network = &self.network;
        if network.segments.is_empty() {
            return Ok(());
        }
        let routers = network.segments.values().flat_map(|segment| &segment.router).chain(&network.you).copied();
        let mut seen = hosts.to_vec();
        for ip in routers {
            if seen.contains(&ip) {
                return Err(("router or you".to_owned(), ip, "is another host's already"));
            }
            seen.push(ip);
        }
        for (name, segment) in &network.segments {
            if let Some(ip) = segment.router.iter().find(|ip| segment.network_of(**ip).is_none()) {
                return Err(("router".to_owned(), *ip, "is outside its segment"));
            }
            let nets = [IpNet::V4(segment.v4), IpNet::V6(segment.v6)];
            if let Some(net) = nets.iter().find(|net| !network.contains(net.addr())) {
                return Err((format!("segment {name}"), net.addr(), "is outside the world's network"));
            }
        }
        let you = ("you".to_owned(), &network.you);
        for (name, addresses) in self.hosts.iter().map(|(name, host)| (name.clone(), &host.addresses)).chain([you]) {
            if network.segment_of(addresses).is_none() {
                let first = addresses.first().copied().unwrap_or_else(|| network.v4.addr().into());
                return Err((name, first, "is not on one segment with its others"));
            }
        }
        Ok(())
    }

    /// The host of that name; `path` names the world file in the error.
    pub fn host(&self, name: &str, path: &str) -> Result<&Host, WorldError> {
        self.hosts.get(name).ok_or_else(|| WorldError::NoSuchHost {
            path: path.to_owned(),
            host: name.to_owned(),
            known: self.hosts.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })
    }

    /// The same world on other networks, for machines where the usual ones are taken. Zone files keep their text; the services
    /// change the addresses as they read them.
    #[must_use]
    pub fn renumbered(mut self, lab_net: LabNet) -> Self {
        let v6 = (self.network.v6, lab_net.v6.unwrap_or(self.network.v6));
        let renumber = Renumber { v4: (self.network.v4, lab_net.v4), v6 };
        for segment in self.network.segments.values_mut() {
            segment.v4 = Ipv4Net::new_assert(renumber.map_v4(segment.v4.addr()), segment.v4.prefix_len());
            segment.v6 = Ipv6Net::new_assert(renumber.map_v6(segment.v6.addr()), segment.v6.prefix_len());
        }
        let routers = self.network.segments.values_mut().flat_map(|segment| &mut segment.router);
        let hosts = self.hosts.values_mut().flat_map(|host| &mut host.addresses);
        for address in hosts.chain(routers).chain(&mut self.network.you) {
            *address = renumber.map(*address);
        }
        (self.network.v4, self.network.v6) = (renumber.v4.1, renumber.v6.1);
        self.renumber = (!renumber.is_none()).then_some(renumber);
        self
    }

    /// Who may ask the world's resolvers for recursion where the resolver does not say.
    pub fn recursion_allowed(&self, resolver: &Resolver) -> Vec<IpNet> {
        resolver.allow.clone().unwrap_or_else(|| {
            let loopback = ["127.0.0.0/8", "::1/128"].map(|net| net.parse().expect("a literal network"));
            loopback.into_iter().chain([self.network.v4.into(), self.network.v6.into()]).collect()
        })
    }

    /// The names in all certificates of the world.
    pub fn tls_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.hosts.values().flat_map(|host| host.tls_names(&self.network)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Where a walk from the root begins: the DNS addresses of the hosts that serve the zone `.`.
    pub fn roots(&self) -> Vec<SocketAddr> {
        let serves_root = |host: &&Host| host.nameserver.as_ref().is_some_and(|n| n.zones.contains_key("."));
        let of_host = |host: &Host| {
            let port = host.nameserver.as_ref().map_or_else(dns_port, |nameserver| nameserver.port);
            host.addresses.iter().map(move |ip| SocketAddr::new(*ip, port)).collect::<Vec<_>>()
        };
        self.hosts.values().filter(serves_root).flat_map(of_host).collect()
    }

    /// Whether a name is one that the lab answers for without being told to.
    pub fn claims(&self, name: &str) -> bool {
        is_under(&self.network.names, name)
    }
}

/// Whether a name is one of these zones or under one.
pub(crate) fn is_under(zones: &[String], name: &str) -> bool {
    let name = format!("{}.", name.trim_end_matches('.').to_ascii_lowercase());
    zones.iter().any(|zone| name == *zone || name.ends_with(&format!(".{zone}")))
}

impl Host {
    /// The limits of the host's DNS service; with one of 0 it would serve nobody. The application server checks its own.
    fn limits(&self) -> Vec<(&'static str, u64)> {
        let nameserver = self.nameserver.iter().flat_map(|nameserver| {
            [("tcp_connections", nameserver.tcp_connections as u64), ("tcp_idle_ms", nameserver.tcp_idle_ms)]
        });
        let resolver = self.resolver.iter().flat_map(|resolver| {
            [
                ("tcp_connections", resolver.tcp_connections as u64),
                ("tcp_idle_ms", resolver.tcp_idle_ms),
                ("upstream_timeout_ms", resolver.upstream_timeout_ms),
                ("answer_timeout_ms", resolver.answer_timeout_ms),
            ]
        });
        nameserver.chain(resolver).collect()
    }

    /// The names in this host's certificate; none where it speaks no TLS. Without final dots, `*.` for one label.
    pub fn tls_names(&self, network: &Network) -> Vec<String> {
        let plain = |name: &String| name.strip_suffix('.').unwrap_or(name).to_owned();
        let of_app = self.app.iter().flat_map(|app| {
            let networks =
                network.names.iter().map(plain).flat_map(|name| [format!("*.{name}"), name].into_iter().rev());
            networks.chain(app.tls_names.iter().map(plain))
        });
        of_app.chain(self.resolver.iter().flat_map(|resolver| resolver.tls_names.iter().map(plain))).collect()
    }

    /// Whether its service has a certificate.
    pub fn speaks_tls(&self) -> bool {
        self.app.is_some() || self.resolver.is_some()
    }

    /// Every socket that this host's service listens on: service name, protocol and address.
    pub fn listens(&self, network: &Network) -> Vec<(&'static str, crate::Protocol, SocketAddr)> {
        let mut ports = self.ports();
        ports.push(("admin", crate::Protocol::Tcp, network.admin_port));
        ports.retain(|(name, ..)| self.offers(name));
        let on = |ip: &IpAddr| {
            let ip = *ip;
            ports.iter().map(move |&(name, protocol, port)| (name, protocol, SocketAddr::new(ip, port)))
        };
        self.addresses.iter().flat_map(on).collect()
    }
}

/// A move of addresses from networks to others of the same size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renumber {
    v4: (Ipv4Net, Ipv4Net),
    v6: (Ipv6Net, Ipv6Net),
}

impl Renumber {
    /// The address at the same place in the other network; addresses outside are left alone.
    pub fn map(&self, ip: IpAddr) -> IpAddr {
        match ip {
            IpAddr::V4(ip) => self.map_v4(ip).into(),
            IpAddr::V6(ip) => self.map_v6(ip).into(),
        }
    }

    /// The same for IPv4.
    pub fn map_v4(&self, ip: Ipv4Addr) -> Ipv4Addr {
        let (from, to) = self.v4;
        if !from.contains(&ip) {
            return ip;
        }
        Ipv4Addr::from_bits(to.network().to_bits() | (ip.to_bits() & from.hostmask().to_bits()))
    }

    /// The same for IPv6.
    pub fn map_v6(&self, ip: Ipv6Addr) -> Ipv6Addr {
        let (from, to) = self.v6;
        if !from.contains(&ip) {
            return ip;
        }
        Ipv6Addr::from_bits(to.network().to_bits() | (ip.to_bits() & from.hostmask().to_bits()))
    }

    fn is_none(&self) -> bool {
        self.v4.0 == self.v4.1 && self.v6.0 == self.v6.1
    }
}

/// Other networks for the lab: the first two numbers of the IPv4 one, `10.99`, and behind a comma the begin of the IPv6 one,
/// `fd10:99:1ab`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabNet {
    v4: Ipv4Net,
    v6: Option<Ipv6Net>,
}

impl FromStr for LabNet {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (v4, v6) = text.split_once(',').map_or((text, None), |(v4, v6)| (v4, Some(v6)));
        let v4: Ipv4Net = format!("{v4}.0.0/16").parse().map_err(|_| "the first two numbers of a /16, like 10.99")?;
        if !v4.network().is_private() {
            return Err("only private networks (RFC 1918), like 10.99");
        }
        Ok(Self { v4, v6: v6.map(ipv6_net).transpose()? })
    }
}

fn ipv6_net(text: &str) -> Result<Ipv6Net, &'static str> {
    let net: Ipv6Net =
        format!("{text}::/64").parse().map_err(|_| "behind the comma the begin of a /64, like fd10:99:1ab")?;
    let is_begin = net.addr() == net.network();
    match net.network().is_unique_local() && is_begin {
        true => Ok(net),
        false => Err("behind the comma only unique local networks (RFC 4193), like fd10:99:1ab"),
    }
}

impl Nameserver {
    /// See [`Nameserver::tcp_idle_ms`].
    pub fn tcp_idle(&self) -> Duration {
        Duration::from_millis(self.tcp_idle_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_world() {
        let world = World::built_in();
        assert_eq!(
            world.hosts.keys().map(String::as_str).collect::<Vec<_>>(),
            ["app1", "app2", "auth1", "auth2", "resolver", "root", "tld"]
        );
        assert_eq!(world.network.segment_of(&world.hosts["app1"].addresses), Some("servers"));
        assert_eq!(world.network.segment_of(&world.network.you), Some("clients"));
        assert!(world.claims("WWW.example.local") && world.claims("example.test."));
        assert!(!world.claims("www.baidu.com") && !world.claims("notexample.local"));
    }

    #[test]
    fn names_in_certificates() {
        let world = World::built_in();
        let of = |host: &str| world.hosts[host].tls_names(&world.network);
        assert_eq!(of("app1"), ["example.local", "*.example.local", "example.test", "*.example.test"]);
        let mut host = world.hosts["app1"].clone();
        host.app.as_mut().unwrap().tls_names = vec!["*.school.test.".to_owned()];
        assert_eq!(host.tls_names(&world.network).last().unwrap(), "*.school.test");
        assert!(of("resolver").contains(&"dns.example.local".to_owned()));
        assert!(of("root").is_empty() && !world.hosts["root"].speaks_tls());
        assert!(of("app2").iter().chain(&of("resolver")).all(|name| world.tls_names().contains(name)));
    }

    #[test]
    fn every_file_is_built_in() {
        let world = World::built_in();
        for host in world.hosts.values() {
            let zones = host.nameserver.iter().flat_map(|n| n.zones.values());
            for file in zones.chain(host.resolver.iter().map(|r| &r.roots)) {
                Files::BuiltIn.read(file).unwrap();
            }
        }
    }

    #[test]
    fn renumbered() {
        let world = World::built_in().renumbered("172.20".parse().unwrap());
        assert_eq!(world.hosts["app1"].addresses[0].to_string(), "172.20.2.81");
        assert_eq!(world.network.you[0].to_string(), "172.20.1.100");
        assert_eq!(world.network.segments["servers"].v4.to_string(), "172.20.2.0/24");
        assert_eq!(world.network.segments["servers"].router[0].to_string(), "172.20.2.1");
        let renumber = world.renumber.unwrap();
        let mapped = |ip: &str| renumber.map(ip.parse().unwrap()).to_string();
        assert_eq!((mapped("10.78.2.10"), mapped("192.0.2.1")), ("172.20.2.10".to_owned(), "192.0.2.1".to_owned()));
        assert_eq!(mapped("fd10:78:1ab::2:10"), "fd10:78:1ab::2:10");
        for wrong in ["8.8", "10.78.3", "10.99,", "10.99,2001:db8", "10.99,fd10:1:2:3:4", "10.99,x"] {
            assert!(wrong.parse::<LabNet>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn both_families_are_renumbered() {
        let world = World::built_in().renumbered("10.99,fd10:99:1ab".parse().unwrap());
        assert_eq!(world.network.v6.to_string(), "fd10:99:1ab::/64");
        assert_eq!(world.hosts["app1"].addresses[1].to_string(), "fd10:99:1ab::2:81");
        let servers = &world.network.segments["servers"];
        assert_eq!(
            (servers.v6.to_string(), servers.router[1].to_string()),
            ("fd10:99:1ab::2:0/112".to_owned(), "fd10:99:1ab::2:1".to_owned())
        );
        assert_eq!(world.renumber.unwrap().map("fd10:78:1ab::2:10".parse().unwrap()).to_string(), "fd10:99:1ab::2:10");
        // Only IPv6 differs: that is another network, too.
        assert!(World::built_in().renumbered("10.78,fd10:99:1ab".parse().unwrap()).renumber.is_some());
        assert!(World::built_in().renumbered("10.78".parse().unwrap()).renumber.is_none());
    }

    #[test]
    fn refused_with_the_place() {
        let base = "[network]\nv4 = \"10.78.0.0/16\"\nv6 = \"fd10:78:1ab::/64\"\n";
        let check = |rest: &str, expected: &str| {
            let error = World::parse(&format!("{base}{rest}"), "w.toml").unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("[hosts.a]\naddresses = []\napp = { http_prot = 80 }\n", "unknown field `http_prot`");
        check("[hosts.a]\naddresses = []\n", "host a: exactly one of");
        check("[hosts.a]\naddresses = []\napp = {}\n", "host a: addresses must not be empty");
        let zero = "[hosts.a]\naddresses = [\"10.78.0.9\"]\nresolver = { roots = \"r\", tcp_idle_ms = 0 }\n";
        check(zero, "tcp_idle_ms must not be empty or 0");
        check("[hosts.a]\naddresses = [\"192.0.2.1\"]\napp = {}\n", "192.0.2.1 is outside");
        check("[hosts.a]\naddresses = [\"10.78.0.9\", \"10.78.0.9\"]\napp = {}\n", "another host's already");
        check("[hosts.a]\naddresses = [\"10.78.0.999\"]\napp = {}\n", "line 5");
        let segment = |v4: &str, router: &str| {
            format!("[network.segments.s]\nv4 = \"{v4}\"\nv6 = \"fd10:78:1ab::1:0/112\"\nrouter = [\"{router}\"]\n")
        };
        let host = |ip: &str| format!("[hosts.a]\naddresses = [\"{ip}\"]\napp = {{}}\n");
        let cases = [
            (
                segment("10.78.1.0/24", "10.78.2.1") + &host("10.78.1.9"),
                "host router: address 10.78.2.1 is outside its",
            ),
            (
                segment("10.78.1.0/24", "10.78.1.1") + &host("10.78.2.9"),
                "host a: address 10.78.2.9 is not on one segment",
            ),
            (segment("10.78.1.0/24", "10.78.1.9") + &host("10.78.1.9"), "10.78.1.9 is another host's already"),
            (segment("10.79.1.0/24", "10.79.1.1") + &host("10.78.1.9"), "segment s: address 10.79.1.0 is outside the"),
        ];
        for (text, expected) in cases {
            check(&text, expected);
        }
    }
}
