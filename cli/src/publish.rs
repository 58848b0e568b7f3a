//! `visit lab serve --publish`: what of the lab is reached from elsewhere, and by whom.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

use ipnet::IpNet;
use lab::{Options, publish::Publish};
use netlab::kernel::{Interface, interfaces};

/// What `--publish` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// What clients usually need, at this address.
    Usual(IpAddr),
    /// This one.
    One(Publish),
}

/// The services by which a resolver is asked.
const DNS: [&str; 3] = ["dns", "dot", "doh"];

/// What is said without a value.
pub const EVERYWHERE: &str = "0.0.0.0";

impl FromStr for Published {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(ip) => Ok(Self::Usual(ip)),
            Err(_) if !text.contains('=') => Err("an address, or HOST/SERVICE=ADDRESS:PORT".to_owned()),
            Err(_) => text.parse().map(Self::One),
        }
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usual(ip) => ip.fmt(f),
            Self::One(one) => one.fmt(f),
        }
    }
}

/// By what a published lab is reached, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// This machine's own addresses, those beyond loopback first.
    pub own: Vec<IpAddr>,
    /// Whose questions the resolver answers; nobody's where none is published.
    pub recursion: Vec<IpNet>,
}

/// Publishes what was said. Where the world does not say whom its resolver answers, a resolver that is published answers
/// the private networks that it is published on, and no others.
pub fn publish(said: &[Published], options: &mut Options) -> std::io::Result<Reach> {
    for one in said {
        match one {
            Published::Usual(ip) => options.publish.extend(lab::publish::usual(&options.world, &options.without, *ip)),
            Published::One(one) => options.publish.push(one.clone()),
        }
    }
    if options.publish.is_empty() {
        return Ok(Reach::default());
    }
    let interfaces = interfaces()?;
    let mut reach = Reach { own: own(&interfaces), recursion: Vec::new() };
    // For each resolver by itself: one that is on loopback alone does not answer a network because another is on it.
    let mut given: BTreeMap<&str, Vec<IpNet>> = BTreeMap::new();
    for one in options.publish.iter().filter(|one| DNS.contains(&one.service.as_str())) {
        let allowed = match options.world.hosts.get(&one.host).and_then(|host| host.resolver.as_ref()) {
            Some(resolver) if resolver.allow.is_none() => {
                let mut allowed = options.world.recursion_allowed(resolver);
                allowed.extend(private_networks(&interfaces, one.socket.ip()));
                given.entry(&one.host).or_default().extend(allowed.iter().copied());
                allowed
            }
            Some(resolver) => options.world.recursion_allowed(resolver),
            None => continue,
        };
        reach.recursion.extend(allowed);
    }
    reach.recursion.sort_unstable();
    reach.recursion.dedup();
    for (host, mut allowed) in given {
        allowed.sort_unstable();
        allowed.dedup();
        if let Some(resolver) = options.world.hosts.get_mut(host).and_then(|host| host.resolver.as_mut()) {
            resolver.allow = Some(allowed);
        }
    }
    Ok(reach)
}

fn own(interfaces: &[Interface]) -> Vec<IpAddr> {
    let is_up = |interface: &&Interface| interface.is_up || interface.is_loopback;
    let all = interfaces.iter().filter(is_up).flat_map(|interface| &interface.addresses);
    let mut own: Vec<IpAddr> = all.map(IpNet::addr).filter(|ip| !is_link_local(*ip)).collect();
    own.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
    own
}

/// The networks of this machine's interfaces that nobody has on the internet (RFC 1918, RFC 4193): those that this address
/// is on, or all where it stands for all.
fn private_networks(interfaces: &[Interface], at: IpAddr) -> Vec<IpNet> {
    let beyond = interfaces.iter().filter(|interface| !interface.is_loopback);
    let nets = beyond.flat_map(|interface| &interface.addresses).filter(|net| {
        let ip = net.addr();
        let is_private = match ip {
            IpAddr::V4(ip) => ip.is_private(),
            IpAddr::V6(ip) => ip.is_unique_local(),
        };
        is_private && (ip == at || at.is_unspecified() && ip.is_ipv4() == at.is_ipv4())
    });
    nets.map(IpNet::trunc).collect()
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

impl Reach {
    /// By which address one asks a socket that is bound to this one.
    pub fn address(&self, bound: IpAddr) -> IpAddr {
        let like = |ip: &&IpAddr| ip.is_ipv4() == bound.is_ipv4();
        match bound.is_unspecified() {
            true => self.own.iter().find(like).copied().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            false => bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, addresses: &[&str]) -> Interface {
        Interface {
            index: 1,
            name: name.to_owned(),
            mac: None,
            mtu: 1500,
            is_up: true,
            is_loopback: name == "lo",
            is_ethernet: name != "lo",
            addresses: addresses.iter().map(|net| net.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn who_is_answered() {
        let interfaces = [
            interface("lo", &["127.0.0.1/8", "::1/128"]),
            interface("eth0", &["172.17.0.2/16", "fe80::2/64"]),
            interface("eth1", &["192.0.2.7/24", "fd00:7::7/64", "10.1.2.3/24"]),
        ];
        let check = |at: &str, expected: &[&str]| {
            let nets = private_networks(&interfaces, at.parse().unwrap());
            assert_eq!(nets.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{at}");
        };
        check("0.0.0.0", &["172.17.0.0/16", "10.1.2.0/24"]);
        check("172.17.0.2", &["172.17.0.0/16"]);
        check("::", &["fd00:7::/64"]);
        // A network of the internet: its neighbours are strangers.
        check("192.0.2.7", &[]);
        check("127.0.0.1", &[]);
        let reach = Reach { own: own(&interfaces), recursion: Vec::new() };
        let asked = |bound: &str| reach.address(bound.parse().unwrap()).to_string();
        assert_eq!((asked("0.0.0.0"), asked("::")), ("172.17.0.2".to_owned(), "fd00:7::7".to_owned()));
        assert_eq!(asked("127.0.0.1"), "127.0.0.1");
    }

    #[test]
    fn what_is_said() {
        let read = |text: &str| text.parse::<Published>().map(|said| said.to_string());
        assert_eq!(read("0.0.0.0").unwrap(), "0.0.0.0");
        assert_eq!(read("app1/http=[::]:80").unwrap(), "app1/http=[::]:80");
        assert!(read("app1").unwrap_err().contains("an address, or HOST/SERVICE=ADDRESS:PORT"));
        assert!(read("app1=0.0.0.0:80").unwrap_err().contains("HOST/SERVICE=ADDRESS:PORT is needed"));
    }

    #[test]
    fn only_who_says_nothing_is_given_more() {
        let mut options = Options::default();
        let own = vec!["192.0.2.0/24".parse().unwrap()];
        options.world.hosts.get_mut("resolver").unwrap().resolver.as_mut().unwrap().allow = Some(own.clone());
        let reach = publish(&["0.0.0.0".parse().unwrap()], &mut options).unwrap();
        assert_eq!(reach.recursion, own);
        assert_eq!(options.world.hosts["resolver"].resolver.as_ref().unwrap().allow, Some(own));
        // One of two resolvers is published, and of the other its own service alone is: nobody new is answered there.
        let mut two = Options::default();
        let second = two.world.hosts["resolver"].clone();
        two.world.hosts.insert("resolver2".to_owned(), second);
        let said = ["resolver/dns=127.0.0.1:0", "resolver2/stats=0.0.0.0:0"].map(|said| said.parse().unwrap());
        publish(&said, &mut two).unwrap();
        let allow = |host: &str| two.world.hosts[host].resolver.as_ref().unwrap().allow.clone();
        let usual = two.world.recursion_allowed(Options::default().world.hosts["resolver"].resolver.as_ref().unwrap());
        assert_eq!(allow("resolver").map(|nets| nets.len()), Some(usual.len()));
        assert_eq!(allow("resolver2"), None);
        let mut unpublished = Options::default();
        assert_eq!(publish(&[], &mut unpublished).unwrap(), Reach::default());
        assert_eq!(unpublished.world.hosts["resolver"].resolver.as_ref().unwrap().allow, None);
    }
}
