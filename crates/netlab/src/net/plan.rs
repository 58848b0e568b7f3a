//! Which hosts there are and what joins them. Pure.

use std::{collections::HashSet, net::IpAddr};

use ipnet::IpNet;
use journey::capture::{Link, LinkKind, Mac, Port};

/// A network to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The names of its segments: each is a switch.
    pub segments: Vec<String>,
    /// Its hosts.
    pub hosts: Vec<Host>,
}

/// A host of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its interfaces: `eth0`, `eth1`, …
    pub interfaces: Vec<Interface>,
    /// Where it sends what is for nobody on its segments, one for each family.
    pub gateways: Vec<IpAddr>,
    /// Whether it sends on what is not for itself: a router.
    pub forwards: bool,
}

/// An interface of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Which of [`Plan::segments`].
    pub segment: usize,
    /// Its addresses, each with the prefix length of its network.
    pub addresses: Vec<IpNet>,
}

/// A plan that is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Two hosts have the same name.
    #[error("there are two hosts {0:?}")]
    Twice(String),
    /// Two interfaces have the same address.
    #[error("host {host}: {address} is another interface's already")]
    Address {
        /// The host.
        host: String,
        /// The address.
        address: IpAddr,
    },
    /// An interface is on a segment that there is not, or has no address.
    #[error("host {0}: an interface needs an address and a segment that exists")]
    Interface(String),
}

/// The plan with what the kernel has to be told besides.
#[derive(Clone, Debug)]
pub(super) struct Wired {
    pub(super) segments: Vec<String>,
    pub(super) hosts: Vec<WiredHost>,
}

#[derive(Clone, Debug)]
pub(super) struct WiredHost {
    pub(super) name: String,
    pub(super) interfaces: Vec<WiredInterface>,
    pub(super) gateways: Vec<IpAddr>,
    pub(super) forwards: bool,
}

#[derive(Clone, Debug)]
pub(super) struct WiredInterface {
    pub(super) segment: usize,
    pub(super) addresses: Vec<IpNet>,
    pub(super) name: String,
    /// Its number in the host's namespace.
    pub(super) index: u32,
    pub(super) mac: Mac,
    /// The name and the number of the switch's port in the switches' namespace.
    pub(super) port_name: String,
    pub(super) port_index: u32,
}

/// Numbers of interfaces begin here: `lo` is 1, and where tunnels are built into the kernel each new namespace has some
/// behind it.
const FIRST_INDEX: u32 = 1000;

impl Plan {
    pub(super) fn wired(&self) -> Result<Wired, PlanError> {
        let (mut names, mut addresses) = (HashSet::new(), HashSet::new());
        let mut ports = 0;
        let mut hosts = Vec::new();
        for host in &self.hosts {
            if !names.insert(&host.name) {
                return Err(PlanError::Twice(host.name.clone()));
            }
            let mut interfaces = Vec::new();
            for (nth, interface) in (0_u32..).zip(&host.interfaces) {
                let Some(first) = interface.addresses.first().filter(|_| interface.segment < self.segments.len())
                else {
                    return Err(PlanError::Interface(host.name.clone()));
                };
                if let Some(twice) = interface.addresses.iter().find(|address| !addresses.insert(address.addr())) {
                    return Err(PlanError::Address { host: host.name.clone(), address: twice.addr() });
                }
                interfaces.push(WiredInterface {
                    segment: interface.segment,
                    addresses: interface.addresses.clone(),
                    name: format!("eth{nth}"),
                    index: FIRST_INDEX + nth,
                    mac: mac_of(interface.addresses.iter().find(|a| a.addr().is_ipv4()).unwrap_or(first).addr()),
                    port_name: format!("port{ports}"),
                    port_index: FIRST_INDEX + ports,
                });
                ports += 1;
            }
            let (gateways, forwards) = (host.gateways.clone(), host.forwards);
            hosts.push(WiredHost { name: host.name.clone(), interfaces, gateways, forwards });
        }
        Ok(Wired { segments: self.segments.clone(), hosts })
    }
}

impl Wired {
    /// The segments as a capture has them.
    pub(super) fn links(&self) -> Vec<Link> {
        let link = |(nth, name): (usize, &String)| Link {
            name: name.clone(),
            kind: LinkKind::Segment,
            ports: self.ports().filter(|(_, interface)| interface.segment == nth).map(port).collect(),
            learned_before: Vec::new(),
            learned_after: Vec::new(),
        };
        self.segments.iter().enumerate().map(link).collect()
    }

    /// Every interface and its host.
    pub(super) fn ports(&self) -> impl Iterator<Item = (&WiredHost, &WiredInterface)> {
        self.hosts.iter().flat_map(|host| host.interfaces.iter().map(move |interface| (host, interface)))
    }
}

/// The address that an interface makes of its link-layer address (RFC 4291 §2.5.6 and appendix A).
fn link_local(mac: Mac) -> IpNet {
    let [a, b, c, d, e, f] = mac.0;
    let id = [a ^ 2, b, c, 0xff, 0xfe, d, e, f];
    let bits = (0xfe80_u128 << 112) | u128::from(u64::from_be_bytes(id));
    IpNet::new(IpAddr::V6(bits.into()), 64).expect("64 is at most 128")
}

impl WiredInterface {
    /// The address that it has besides those of the plan.
    pub(super) fn own_address(&self, host: &WiredHost) -> Option<IpNet> {
        host.forwards.then(|| link_local(self.mac))
    }
}

fn port((host, interface): (&WiredHost, &WiredInterface)) -> Port {
    Port {
        host: host.name.clone(),
        interface: interface.name.clone(),
        mac: Some(interface.mac),
        addresses: interface.addresses.iter().chain(&interface.own_address(host)).map(ToString::to_string).collect(),
    }
}

/// A locally administered address (IEEE 802, the bit 2 of its first byte) that shows the IPv4 address: 10.78.2.81 has
/// `02:00:0a:4e:02:51`.
fn mac_of(ip: IpAddr) -> Mac {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            Mac([2, 0, a, b, c, d])
        }
        IpAddr::V6(ip) => {
            let [.., a, b, c, d] = ip.octets();
            Mac([2, 6, a, b, c, d])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, segment: usize, addresses: &[&str]) -> Host {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let interfaces = vec![Interface { segment, addresses }];
        Host { name: name.to_owned(), interfaces, gateways: Vec::new(), forwards: false }
    }

    fn plan(hosts: Vec<Host>) -> Plan {
        Plan { segments: vec!["lan".to_owned(), "wan".to_owned()], hosts }
    }

    #[test]
    fn wired() {
        let mut router = host("router", 0, &["10.78.2.1/24"]);
        router.forwards = true;
        let wired = plan(vec![router]).wired().unwrap();
        assert_eq!(wired.links()[0].ports[0].addresses, ["10.78.2.1/24", "fe80::aff:fe4e:201/64"]);
        let hosts = vec![host("a", 0, &["fd00::a/64", "10.78.2.81/24"]), host("b", 1, &["fd00::b/64"])];
        let wired = plan(hosts).wired().unwrap();
        let ports: Vec<_> =
            wired.ports().map(|(host, i)| (host.name.as_str(), i.mac.to_string(), i.port_index)).collect();
        let expected = [("a", "02:00:0a:4e:02:51".to_owned(), 1000), ("b", "02:06:00:00:00:0b".to_owned(), 1001)];
        assert_eq!(ports, expected);
        let links = wired.links();
        assert_eq!(links[0].ports[0].addresses, ["fd00::a/64", "10.78.2.81/24"]);
        assert_eq!((links[1].name.as_str(), links[1].ports.len()), ("wan", 1));
    }

    #[test]
    fn no_network() {
        let check = |hosts: Vec<Host>, expected: &str| {
            assert_eq!(plan(hosts).wired().unwrap_err().to_string(), expected);
        };
        let a = || host("a", 0, &["10.0.0.1/24"]);
        check(vec![a(), a()], "there are two hosts \"a\"");
        check(vec![a(), host("b", 1, &["10.0.0.1/24"])], "host b: 10.0.0.1 is another interface's already");
        let no_segment = "host b: an interface needs an address and a segment that exists";
        check(vec![host("b", 2, &["10.0.0.1/24"])], no_segment);
        check(vec![host("b", 0, &[])], no_segment);
    }
}
