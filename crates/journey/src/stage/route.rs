//! The `route` stage: which way packets to the addresses would take, by this machine's routing table.

use std::{fmt, net::IpAddr, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::capture::Mac;

/// Asking the routing table for every address that is to be connected to. No packet is sent for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// The ways, in the order in which the addresses are tried.
    pub ways: Vec<Way>,
}

/// The way to one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Way {
    /// The address.
    pub server: IpAddr,
    /// The host that has it in the world, where known.
    pub host: Option<String>,
    /// The interface that a packet would leave by; null where there is no way.
    pub interface: Option<String>,
    /// That interface's link-layer address, where it has one.
    pub mac: Option<Mac>,
    /// The largest IP packet that it takes.
    pub mtu: Option<u32>,
    /// The source address that the packet would have.
    pub source: Option<IpAddr>,
    /// The source address and its network, where it is one of that interface.
    pub own: Option<Own>,
    /// Whom it would be handed to.
    pub next: Next,
}

/// Whom a packet is handed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Next {
    /// Its destination itself, which is on the same link.
    Neighbour,
    /// A router on that link.
    Gateway {
        /// Its address.
        ip: IpAddr,
        /// The host that has it in the world, where known.
        host: Option<String>,
    },
    /// Nobody: the address is this machine's own.
    ThisMachine,
    /// Nobody: there is no way.
    Nowhere {
        /// What the routing table has instead, in words.
        why: String,
    },
}

impl Way {
    /// Whether there is a way.
    pub fn leads_somewhere(&self) -> bool {
        !matches!(self.next, Next::Nowhere { .. })
    }

    /// Whether the address is in the network of the own one; none where that is not known.
    pub fn is_in_own_network(&self) -> Option<bool> {
        self.own.map(|own| own.holds(self.server.to_canonical()))
    }
}

/// An address of an interface with its network's prefix length, written `10.78.1.100/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// The address.
    pub ip: IpAddr,
    prefix: u8,
}

impl Own {
    /// An address and the length of its network's prefix; none where an address has not so many bits.
    pub fn new(ip: IpAddr, prefix: u8) -> Option<Self> {
        (u32::from(prefix) <= bits(ip)).then_some(Self { ip, prefix })
    }

    /// How many bits of the address are its network's.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The network's own address.
    pub fn network(self) -> IpAddr {
        network(self.ip, self.prefix)
    }

    /// The network, written `10.78.1.0/24`.
    pub fn written_network(self) -> String {
        format!("{}/{}", self.network(), self.prefix)
    }

    /// Whether an address is in this network: by the AND of both with the mask.
    pub fn holds(self, ip: IpAddr) -> bool {
        self.ip.is_ipv4() == ip.is_ipv4() && network(ip, self.prefix) == self.network()
    }
}

/// How many bits an address of that family has.
fn bits(ip: IpAddr) -> u32 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The mask that has so many bits set, as an address of the same family as that one.
pub fn mask(like: IpAddr, prefix: u8) -> IpAddr {
    let zeros = bits(like).saturating_sub(prefix.into());
    match like {
        IpAddr::V4(_) => IpAddr::V4(u32::MAX.checked_shl(zeros).unwrap_or(0).into()),
        IpAddr::V6(_) => IpAddr::V6(u128::MAX.checked_shl(zeros).unwrap_or(0).into()),
    }
}

/// The AND of an address and the mask of so many bits: the network that the address is in (RFC 4632 §3.1, RFC 4291 §2.3).
pub fn network(ip: IpAddr, prefix: u8) -> IpAddr {
    match (ip, mask(ip, prefix)) {
        (IpAddr::V4(ip), IpAddr::V4(mask)) => IpAddr::V4(ip & mask),
        (IpAddr::V6(ip), IpAddr::V6(mask)) => IpAddr::V6(ip & mask),
        // A mask is of the family of its address.
        (ip, _) => ip,
    }
}

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

impl FromStr for Own {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "an own address is an IP address, a slash and the length of its prefix: 10.78.1.100/24";
        let (ip, prefix) = text.split_once('/').ok_or(WRONG)?;
        let prefix = if prefix.bytes().all(|b| b.is_ascii_digit()) { prefix.parse().ok() } else { None };
        Self::new(ip.parse().map_err(|_| WRONG)?, prefix.ok_or(WRONG)?).ok_or(WRONG)
    }
}

impl Serialize for Own {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Own {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Own {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Own".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "An address of an interface with its network's prefix length.",
            "pattern": "^[0-9a-f.:]+/[0-9]{1,3}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_masks() {
        let check = |ip: &str, prefix, expected_mask: &str, expected: &str| {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(mask(ip, prefix).to_string(), expected_mask, "{ip}/{prefix}");
            assert_eq!(network(ip, prefix).to_string(), expected, "{ip}/{prefix}");
        };
        check("10.78.1.100", 24, "255.255.255.0", "10.78.1.0");
        check("10.78.1.100", 32, "255.255.255.255", "10.78.1.100");
        check("10.78.1.100", 0, "0.0.0.0", "0.0.0.0");
        check("192.0.2.255", 26, "255.255.255.192", "192.0.2.192");
        check("255.255.255.255", 1, "128.0.0.0", "128.0.0.0");
        check("fd10:78:1ab::2:81", 64, "ffff:ffff:ffff:ffff::", "fd10:78:1ab::");
        check("fd10:78:1ab::2:81", 128, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fd10:78:1ab::2:81");
        check("fd10:78:1ab::2:81", 0, "::", "::");
        check("2001:db8:ffff::1", 37, "ffff:ffff:f800::", "2001:db8:f800::");
    }

    #[test]
    fn in_the_network_or_not() {
        let check = |own: &str, ip: &str, expected: bool| {
            let own: Own = own.parse().unwrap();
            assert_eq!(own.holds(ip.parse().unwrap()), expected, "{own} {ip}");
        };
        check("10.78.1.100/24", "10.78.1.1", true);
        check("10.78.1.100/24", "10.78.2.1", false);
        check("10.78.1.100/22", "10.78.2.1", true);
        check("10.78.1.100/32", "10.78.1.100", true);
        check("10.78.1.100/32", "10.78.1.101", false);
        check("10.78.1.100/0", "203.0.113.1", true);
        check("fd10:78:1ab::1:100/64", "fd10:78:1ab::2:81", true);
        check("fd10:78:1ab::1:100/64", "fd10:78:1ab:1::2:81", false);
        // Families have no bits in common.
        check("0.0.0.0/0", "::1", false);
        check("::/0", "10.78.1.1", false);
    }

    #[test]
    fn as_it_is_written() {
        let check = |text: &str, expected: Option<&str>| {
            let read = text.parse::<Own>().ok().map(|own| own.to_string());
            assert_eq!(read.as_deref(), expected, "{text:?}");
        };
        check("10.78.1.100/24", Some("10.78.1.100/24"));
        check("fd10:0:0::1/64", Some("fd10::1/64"));
        for wrong in ["", "/", "10.0.0.1", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/+8", "10.0.0.1/8/8", "::1/129", "a/8"]
        {
            check(wrong, None);
        }
        let own: Own = "10.78.1.100/24".parse().unwrap();
        assert_eq!(serde_json::to_string(&own).unwrap(), "\"10.78.1.100/24\"");
        assert_eq!(own.written_network(), "10.78.1.0/24");
        assert!(serde_json::from_str::<Own>("\"10.78.1.100/99\"").is_err());
    }
}
