//! The network that all hosts share, and the segments that they stand on.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Deserialize;

/// What all hosts share.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The IPv4 network of all hosts.
    pub v4: Ipv4Net,
    /// The IPv6 network of all hosts.
    pub v6: Ipv6Net,
    /// Names at or under these are looked up in the lab without being told to; fully qualified, lower case.
    #[serde(default)]
    pub names: Vec<String>,
    /// The port of every host's admin service.
    #[serde(default = "default_admin_port")]
    pub admin_port: u16,
    /// Where hosts stand in *wire*, by name; none where the world cannot be run so.
    #[serde(default)]
    pub segments: BTreeMap<String, Segment>,
    /// The addresses of whoever visits, in *wire*.
    #[serde(default)]
    pub you: Vec<IpAddr>,
}

/// A part of the network with a switch of its own; a router joins it with the others.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// Its IPv4 network.
    pub v4: Ipv4Net,
    /// Its IPv6 network.
    pub v6: Ipv6Net,
    /// The router's addresses on it, one of each family.
    pub router: Vec<IpAddr>,
}

impl Segment {
    /// The segment's network of that address's family, where the address lies in it.
    pub fn network_of(&self, ip: IpAddr) -> Option<IpNet> {
        let network = match ip {
            IpAddr::V4(_) => IpNet::V4(self.v4),
            IpAddr::V6(_) => IpNet::V6(self.v6),
        };
        network.contains(&ip).then_some(network)
    }
}

impl Network {
    /// The segment that all these addresses lie in.
    pub fn segment_of(&self, addresses: &[IpAddr]) -> Option<&str> {
        let holds = |segment: &Segment| addresses.iter().all(|ip| segment.network_of(*ip).is_some());
        self.segments.iter().find(|(_, segment)| holds(segment)).map(|(name, _)| name.as_str())
    }

    /// Whether the address lies in the world's network.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => self.v4.contains(&ip),
            IpAddr::V6(ip) => self.v6.contains(&ip),
        }
    }
}

fn default_admin_port() -> u16 {
    9080
}
