//! A walk from the root by this machine itself (RFC 1034 §5.3.3): zone by zone, by referral and glue, to the servers that
//! answer for a name. It is made beside a visit and after it; what a resolver asked and found is not part of it.

mod finding;

pub use finding::{Finding, Group, SERVER_FAILURE};

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stage::{Address, Exchange};

/// A walk from the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RootWalk {
    /// Which servers of each zone were asked.
    pub servers: Servers,
    /// Why it was made though nobody asked for it, in words; null where somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Microseconds from the begin of the visit until the walk began.
    pub start_us: u64,
    /// Microseconds it took.
    pub duration_us: u64,
    /// Why nothing was asked, or not everything, in words; null where the walk came to its end.
    pub note: Option<String>,
    /// One for each name that was looked for: those visited, and those of name servers whose address no referral told.
    pub searches: Vec<Search>,
    /// What does not fit together.
    pub findings: Vec<Finding>,
}

/// Which servers of each zone are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Servers {
    /// One after the other, until one answers.
    First,
    /// Every address of every server.
    All,
}

/// The way to one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Search {
    /// The name, fully qualified.
    pub name: String,
    /// The zone whose name server has this name, where its address had to be looked for; null for a name visited.
    pub server_of: Option<String>,
    /// The zones on the way, in order; after an alias into another zone it begins again.
    pub zones: Vec<Zone>,
    /// The alias chain that was followed, from the name to its end; empty without aliases.
    pub aliases: Vec<String>,
    /// How it ended.
    pub end: End,
    /// The addresses, with the zone's own TTL.
    pub addresses: Vec<Address>,
}

/// How a search ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum End {
    /// An authority told addresses.
    Answer,
    /// An authority says that there is no such name.
    NoSuchName,
    /// An authority says that the name has no address.
    NoData,
    /// The way goes in a circle.
    Loop {
        /// Through what, in words.
        what: String,
    },
    /// No server of a zone answers as its authority.
    NoAuthority {
        /// The zone.
        zone: String,
    },
    /// A limit was met.
    Stopped {
        /// Which, in words.
        what: String,
    },
}

/// A zone on the way, and its servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Zone {
    /// Its name.
    pub zone: String,
    /// The name that was asked for there.
    pub asked: String,
    /// The zone whose referral named these servers; null for the root.
    pub referred_by: Option<String>,
    /// Whether the servers were known from earlier in this walk, so that nobody above them was asked again.
    pub known: bool,
    /// Its servers, in the referral's order.
    pub servers: Vec<Server>,
}

/// A name server of a zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Server {
    /// Its name; null where only an address is known (a lab's address book).
    pub name: Option<String>,
    /// Its addresses, and what was asked there.
    pub addresses: Vec<Asked>,
    /// Why no address of it is known, in words.
    pub note: Option<String>,
}

/// An address of a name server, and what was asked there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Asked {
    /// The address, in the world.
    pub address: SocketAddr,
    /// The host that has it in the world, where known.
    pub host: Option<String>,
    /// How it was learned.
    pub learned: Learned,
    /// Every query sent there, retransmissions and the change to TCP included.
    pub exchanges: Vec<Exchange>,
    /// What it said of the name; null where it was not asked.
    pub said: Option<ServerAnswer>,
    /// The zone's name servers as it names them itself, where it did so as an authority; sorted.
    pub name_servers: Option<Vec<String>>,
    /// The serial number of its copy of the zone (SOA), where it told.
    pub serial: Option<u32>,
    /// The addresses that it has for the zone's servers, where it was asked for them to check the glue.
    pub own_addresses: Vec<OwnAddress>,
}

/// What an authority has for the name of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnAddress {
    /// The server's name.
    pub name: String,
    /// Its addresses there.
    pub addresses: Vec<IpAddr>,
}

/// How a server's address was learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Learned {
    /// From the root hints.
    Hints {
        /// Whose: `built in (IANA, 2024-06-14)`, `the lab's address book`.
        source: String,
    },
    /// The referral told it (RFC 1034 §4.2.1).
    Glue {
        /// The zone whose server referred.
        zone: String,
    },
    /// The referral did not tell it, so it was looked for.
    Search {
        /// Which of the searches found it.
        nth: usize,
    },
}

/// What a server said of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ServerAnswer {
    /// Others serve the zone that has it.
    Referral {
        /// The zone.
        zone: String,
        /// Its servers.
        servers: Vec<String>,
    },
    /// The addresses, as an authority.
    Answer {
        /// Them.
        addresses: Vec<Address>,
    },
    /// It is an alias, of a name that is to be looked for.
    Alias {
        /// Of what.
        of: String,
    },
    /// Its aliases go in a circle.
    AliasLoop,
    /// There is no such name, as an authority.
    NoSuchName,
    /// It has no address, as an authority.
    NoData,
    /// It does not answer as an authority of the zone.
    Lame {
        /// What it does, in words.
        why: String,
    },
    /// No usable answer came.
    Dead {
        /// What came instead, in words.
        why: String,
    },
    /// This machine could not ask it.
    Unreachable {
        /// Why, in words.
        why: String,
    },
}

impl ServerAnswer {
    /// Whether the server did what it is for.
    pub fn is_usable(&self) -> bool {
        !matches!(self, Self::Lame { .. } | Self::Dead { .. } | Self::Unreachable { .. })
    }
}

impl RootWalk {
    /// The searches for names that were visited.
    pub fn visited(&self) -> impl Iterator<Item = &Search> {
        self.searches.iter().filter(|search| search.server_of.is_none())
    }
}

impl Search {
    /// Every address on the way.
    pub fn asked(&self) -> impl Iterator<Item = &Asked> {
        self.zones.iter().flat_map(|zone| &zone.servers).flat_map(|server| &server.addresses)
    }
}
