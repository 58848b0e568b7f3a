//! The frames that passed while a visit was made, and what the kernels of its hosts kept of it.
//!
//! A frame is kept as it was on the wire, so that every view of it (a line on the screen, its headers byte by byte, a file
//! for Wireshark) can be made later, and without a network.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use data_encoding::BASE64;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What is known of a visit's frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Captured {
    /// They were captured.
    Frames(Box<Capture>),
    /// They were not.
    NotObservable {
        /// Why not.
        why: String,
        /// What would make them observable, as one would type it, if anything would.
        how: Option<String>,
    },
}

impl Default for Captured {
    /// What a record says that was made before frames were captured.
    fn default() -> Self {
        Self::NotObservable { why: "this record was made by a visit that captured no frames".to_owned(), how: None }
    }
}

impl Captured {
    /// The frames, where there are any to speak of.
    pub fn frames(&self) -> Option<&Capture> {
        match self {
            Self::Frames(capture) => Some(capture),
            Self::NotObservable { .. } => None,
        }
    }
}

/// Frames, where they passed, and what was there besides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Capture {
    /// When the visit began, by the clock that the kernel stamps frames with: nanoseconds since 1970.
    #[serde(default)]
    pub began_ns: i64,
    /// Where frames were captured: the segments of a lab, or this machine's interfaces.
    pub links: Vec<Link>,
    /// Every frame once on each link that it crossed, ordered by their times (`at_ns`).
    pub frames: Vec<Frame>,
    /// Frames that passed and were not kept: because the kernel had no room for them, or because there were too many.
    pub lost: u64,
    /// Why the capture ended before the last connection had; null where it is complete.
    pub cut: Option<String>,
    /// What the hosts' kernels knew before and after.
    #[serde(default)]
    pub kernels: Vec<Kernel>,
}

/// A link that frames were captured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    /// Its name: `clients`, `servers`, `eth0`.
    pub name: String,
    /// What it is.
    pub kind: LinkKind,
    /// The interfaces on it, as far as they are known.
    pub ports: Vec<Port>,
    /// Which port the switch had learned each address at, before the visit; empty where there is no switch to ask.
    #[serde(default)]
    pub learned_before: Vec<Learned>,
    /// The same after the visit.
    #[serde(default)]
    pub learned_after: Vec<Learned>,
}

/// What a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// A segment of the lab: what its switch took in.
    Segment,
    /// An Ethernet interface of this machine: what it sent and received.
    Ethernet,
    /// This machine's loopback interface, which has no link layer worth the name: no addresses, no ARP, no checksums.
    Loopback,
    /// An interface without a link-layer header: a tunnel. Its frames begin with the IP header.
    Ip,
}

impl LinkKind {
    /// Why facts of the link layer are not observable there, where they are not.
    pub fn no_link_layer(self) -> Option<&'static str> {
        match self {
            Self::Segment | Self::Ethernet => None,
            Self::Loopback => Some(
                "facts of the link layer are not observable on a loopback interface: its addresses are zeros that the kernel \
                 makes up, there is no ARP, and checksums are not filled in",
            ),
            Self::Ip => Some(
                "facts of the link layer are not observable on an interface that has none: its frames begin with the IP header",
            ),
        }
    }
}

/// An interface on a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Port {
    /// The host, `router` for the lab's router.
    pub host: String,
    /// The interface's name at the host.
    pub interface: String,
    /// Its link-layer address, where it has one.
    pub mac: Option<Mac>,
    /// Its IP addresses, with their prefix lengths: `10.78.1.100/24`.
    pub addresses: Vec<String>,
}

/// An entry of a switch's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Learned {
    /// The address.
    pub mac: Mac,
    /// The host at whose port a frame from it came in last.
    pub host: String,
}

/// A frame, from its destination address on; the check sequence at its end is the hardware's and never seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    /// Nanoseconds since the visit began, by the kernel's stamp.
    pub at_ns: i64,
    /// Which of the capture's links, from 0.
    pub link: usize,
    /// The host that sent it onto this link, where known: in the lab the port it came in by, elsewhere `you` or null.
    pub from: Option<String>,
    /// What became of it.
    pub fate: Fate,
    /// Bytes it had.
    pub len: u32,
    /// Its bytes; fewer than `len` where the rest is not kept.
    pub bytes: Bytes,
    /// Why not all of its bytes are kept, where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<String>,
    /// Whether the sender left the checksum to a device, so that it is not filled in here; null where nothing says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfilled_checksum: Option<bool>,
}

/// What became of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// It was seen as it passed; nothing tells what became of it.
    Seen,
    /// The switch sent it on.
    Passed {
        /// To these hosts' ports.
        to: Vec<String>,
        /// To all ports but its own, since it is for all or the switch had not learned where its destination is.
        flooded: bool,
        /// What a fault did to it, in words: delayed, duplicated.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        altered: Option<String>,
    },
    /// The switch did not send it on.
    Dropped {
        /// Why: the fault that was set, in words, or that nobody is there.
        why: String,
    },
}

/// What a host's kernel knew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Kernel {
    /// The host.
    pub host: String,
    /// Its table of neighbours (ARP and NDP) before the visit.
    pub neighbours_before: Vec<Neighbour>,
    /// The same after it.
    pub neighbours_after: Vec<Neighbour>,
    /// Its sockets after the visit, ordered by address.
    pub sockets: Vec<Socket>,
    /// Its counters of what went wrong, those that grew during the visit: `ListenOverflows`, `TCPTimeouts`, …
    #[serde(default)]
    pub counters: Vec<Counter>,
}

/// An entry of a table of neighbours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Neighbour {
    /// The neighbour's IP address.
    pub ip: IpAddr,
    /// Its link-layer address, where that is known.
    pub mac: Option<Mac>,
    /// The interface that it is reached by.
    pub interface: String,
    /// The kernel's word for how sure it is: `reachable`, `stale`, `delay`, `probe`, `incomplete`, `failed`, `permanent`.
    pub state: String,
}

/// A socket as the kernel sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Socket {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// RFC 9293's name for a TCP state, `UNCONN` for UDP without a peer.
    pub state: String,
    /// This end.
    pub local: SocketAddr,
    /// The other end, where it has one.
    pub remote: Option<SocketAddr>,
    /// Bytes received and not read; of a listening socket, the connections that wait to be accepted.
    pub receive_queue: u32,
    /// Bytes sent and not acknowledged; of a listening socket, its backlog. Linux lets one connection more than that wait
    /// (`sk_acceptq_is_full`).
    pub send_queue: u32,
}

/// A kernel's counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counter {
    /// The kernel's name for it.
    pub name: String,
    /// By how much it grew during the visit.
    pub grew_by: u64,
}

/// A link-layer address (MAC-48), written `02:0a:4e:02:00:51`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address that means all.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether it means one interface, not a group of them.
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Mac {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a link-layer address has six parts of two hexadecimal digits: 02:0a:4e:02:00:51";
        let mut mac = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut mac {
            let part = parts.next().filter(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()));
            let part = part.ok_or(WRONG)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| WRONG)?;
        }
        if parts.next().is_some() { Err(WRONG) } else { Ok(Self(mac)) }
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Mac {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Mac".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A link-layer address (MAC-48).",
            "pattern": "^([0-9a-f]{2}:){5}[0-9a-f]{2}$",
        })
    }
}

/// Bytes; base64 (RFC 4648 §4) in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BASE64.decode(String::deserialize(deserializer)?.as_bytes()).map(Self).map_err(de::Error::custom)
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "Bytes in base64 (RFC 4648 §4).",
            "contentEncoding": "base64",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs() {
        let check = |text: &str, right: bool| {
            let read = text.parse::<Mac>();
            assert_eq!(read.is_ok(), right, "{text}");
            if let Ok(mac) = read {
                assert_eq!(mac.to_string(), text);
            }
        };
        check("02:0a:4e:02:00:51", true);
        check("ff:ff:ff:ff:ff:ff", true);
        check("02:0a:4e:02:00", false);
        check("02:0a:4e:02:00:51:00", false);
        check("2:0a:4e:02:00:51", false);
        check("02:0a:4e:02:00:+1", false);
        check("", false);
        assert!(!Mac::BROADCAST.is_unicast() && !Mac([1, 0, 0x5e, 0, 0, 1]).is_unicast() && Mac([2; 6]).is_unicast());
    }

    #[test]
    fn json_round_trip() {
        let frame = Frame {
            at_ns: -5,
            link: 0,
            from: Some("you".to_owned()),
            fate: Fate::Passed { to: vec!["resolver".to_owned()], flooded: true, altered: None },
            len: 60,
            bytes: Bytes(vec![0xff, 0, 7]),
            cut: None,
            unfilled_checksum: None,
        };
        let capture = Captured::Frames(Box::new(Capture { frames: vec![frame], ..Capture::default() }));
        let text = serde_json::to_string(&capture).unwrap();
        assert_eq!(serde_json::from_str::<Captured>(&text).unwrap(), capture);
        assert!(text.contains("\"/wAH\"") && text.contains("\"state\":\"frames\""), "{text}");
    }
}
