//! Which layer a protocol is on. Three models are in use, and none of them is how the Internet was made: they sort what is
//! there, and some of it does not go into any drawer without force. Where that is so, [`Place::note`] says it.

use std::{fmt, str::FromStr};

use super::{Carrier, Protocol};

/// A model of layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Model {
    /// Seven layers (ISO/IEC 7498-1, ITU-T X.200).
    Osi,
    /// Five layers, as most textbooks have it: OSI without session and presentation.
    Five,
    /// Four layers (RFC 1122 §1.1.3), which has no layer for what is below IP's neighbours.
    Four,
}

/// A layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layer {
    /// Its number from below. RFC 1122 gives none; these are the usual ones.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
}

/// Where a protocol is in a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The layer.
    pub layer: Layer,
    /// What is to be said where it does not sit cleanly there.
    pub note: Option<&'static str>,
}

/// What a model's layers are made of: OSI's, which are the finest.
#[derive(Clone, Copy)]
enum Osi {
    DataLink,
    Network,
    Transport,
    Presentation,
    Application,
}

impl Model {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Osi, Self::Five, Self::Four];

    /// Its layers from below. The first of OSI and of the five is the physical one, of which a host sees nothing.
    pub fn layers(self) -> Vec<Layer> {
        let names: &[&str] = match self {
            Self::Osi => &["physical", "data link", "network", "transport", "session", "presentation", "application"],
            Self::Five => &["physical", "data link", "network", "transport", "application"],
            Self::Four => &["link", "internet", "transport", "application"],
        };
        (1..).zip(names).map(|(number, name)| Layer { number, name }).collect()
    }

    /// Where a protocol is.
    pub fn place(self, protocol: Protocol) -> Place {
        let osi = match protocol {
            Protocol::Ethernet | Protocol::Ieee8023 | Protocol::Vlan | Protocol::Arp | Protocol::Padding => {
                Osi::DataLink
            }
            Protocol::Ipv4 | Protocol::Ipv6 | Protocol::Ipv6Extension => Osi::Network,
            Protocol::Icmp | Protocol::Icmpv6 | Protocol::Quoted | Protocol::Data(Carrier::Link) => Osi::Network,
            Protocol::Tcp | Protocol::Udp | Protocol::Data(Carrier::Network) => Osi::Transport,
            Protocol::Tls | Protocol::TlsFragment => Osi::Presentation,
            Protocol::Dns | Protocol::Http | Protocol::Http2 | Protocol::Data(Carrier::Transport) => Osi::Application,
        };
        let nth = match (self, osi) {
            (Self::Osi | Self::Five, Osi::DataLink) => 2,
            (Self::Osi | Self::Five, Osi::Network) => 3,
            (Self::Osi | Self::Five, Osi::Transport) => 4,
            (Self::Osi, Osi::Presentation) => 6,
            (Self::Osi, Osi::Application) => 7,
            (Self::Five, Osi::Presentation | Osi::Application) => 5,
            (Self::Four, Osi::DataLink) => 1,
            (Self::Four, Osi::Network) => 2,
            (Self::Four, Osi::Transport) => 3,
            (Self::Four, Osi::Presentation | Osi::Application) => 4,
        };
        Place { layer: self.layers()[nth - 1], note: self.note(protocol) }
    }

    fn note(self, protocol: Protocol) -> Option<&'static str> {
        Some(match (protocol, self) {
            (Protocol::Arp, Self::Osi | Self::Five) => {
                "ARP sits between 2 and 3: Ethernet carries it like a packet, and no router passes it on, but what it \
                 speaks of is addresses of the network layer"
            }
            (Protocol::Arp, Self::Four) => {
                "RFC 1122 treats ARP with the link layer; it speaks of addresses of the internet layer"
            }
            (Protocol::Tls | Protocol::TlsFragment, Self::Osi) => {
                "TLS sits between 4 and 7: it encrypts like a presentation layer, keeps sessions like a session layer, \
                 and calls itself transport layer security"
            }
            (Protocol::Tls | Protocol::TlsFragment, Self::Five | Self::Four) => {
                "TLS has no layer of its own here: it is between the transport and the application that uses it"
            }
            (Protocol::Icmp | Protocol::Icmpv6 | Protocol::Quoted, _) => {
                "IP carries ICMP as it carries a transport protocol, but it is a part of IP itself (RFC 792)"
            }
            (Protocol::Http | Protocol::Http2, Self::Osi) => {
                "HTTP does on its own what OSI has layers 5 and 6 for: persistent connections, content codings"
            }
            (Protocol::Padding, _) => "nobody's content: Ethernet wants 60 bytes at least",
            _ => return None,
        })
    }
}

impl FromStr for Model {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "osi" => Ok(Self::Osi),
            "five" => Ok(Self::Five),
            "four" => Ok(Self::Four),
            _ => Err("a model of layers is osi, five or four"),
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Osi => "osi",
            Self::Five => "five",
            Self::Four => "four",
        })
    }
}
