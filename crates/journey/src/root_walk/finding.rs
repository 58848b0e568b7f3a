//! What does not fit together in a walk, as it is recorded.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that does not fit together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// A server does not answer as an authority of a zone that is delegated to it.
    Lame {
        /// The zone.
        zone: String,
        /// The server's name, where known.
        server: Option<String>,
        /// Its address.
        address: SocketAddr,
        /// What it does instead.
        why: String,
    },
    /// A server gives no usable answer.
    Dead {
        /// The zone.
        zone: String,
        /// The server's name, where known.
        server: Option<String>,
        /// Its address.
        address: SocketAddr,
        /// What came instead.
        why: String,
    },
    /// No address of a server is known.
    NoAddress {
        /// The zone.
        zone: String,
        /// The server's name.
        server: String,
        /// Why.
        why: String,
    },
    /// None of the servers with addresses of this family could be asked from here: that is about this machine.
    NoWay {
        /// `IPv4` or `IPv6`.
        family: String,
        /// Why.
        why: String,
    },
    /// The zone above names other servers than the zone itself.
    Delegation {
        /// The zone.
        zone: String,
        /// Those that only the zone above names.
        parent_only: Vec<String>,
        /// Those that only the zone itself names.
        child_only: Vec<String>,
    },
    /// The servers of a zone name different servers for it.
    NameServers {
        /// The zone.
        zone: String,
        /// Who names which.
        groups: Vec<Group>,
    },
    /// The servers of a zone have different copies of it.
    Serials {
        /// The zone.
        zone: String,
        /// Who has which serial number.
        groups: Vec<Group>,
    },
    /// The servers of a zone answer differently.
    Answers {
        /// The zone.
        zone: String,
        /// The name asked for.
        name: String,
        /// Who answers what.
        groups: Vec<Group>,
    },
    /// The zone above gives another address for a server than the zone itself.
    Glue {
        /// The zone.
        zone: String,
        /// The server.
        server: String,
        /// What the referral says.
        glue: Vec<IpAddr>,
        /// What the zone itself says.
        own: Vec<IpAddr>,
    },
    /// The resolver said something else than the authorities say now: an old answer in its cache, or answers made for
    /// whoever asks.
    Resolver {
        /// The name.
        name: String,
        /// The type asked for.
        rtype: String,
        /// What the resolver said.
        resolver: Vec<String>,
        /// What the authorities say.
        walk: Vec<String>,
    },
}

/// Servers that say the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    /// What they say.
    pub says: Vec<String>,
    /// The servers.
    pub servers: Vec<SocketAddr>,
}

/// What a resolver said that had no answer to give.
pub const SERVER_FAILURE: &str = "SERVFAIL";
