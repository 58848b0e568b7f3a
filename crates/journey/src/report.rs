//! What a service tells on `/events`: its own events, on its own clock.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{TraceId, What};

/// The body of `/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The host's name in the world.
    pub host: String,
    /// Which service speaks: `nameserver`, `resolver`, `app`.
    pub service: String,
    /// Which clock [`Reported::at_ns`] is of. Equal ids mean the same kernel's monotonic clock, so times can be compared.
    pub clock: String,
    /// How many events were overwritten by newer ones since the service started.
    pub overwritten: u64,
    /// How many events were recorded since the service started, overwritten ones too: the next one's number. Null from a
    /// service that does not tell.
    #[serde(default)]
    pub recorded: Option<u64>,
    /// The events that were asked for, oldest first.
    pub events: Vec<Reported>,
    /// Its accept queues in which connections wait now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<AcceptQueue>,
}

/// The accept queue of a listening socket, as the kernel tells it (`tcp_info` of a listener).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AcceptQueue {
    /// Where it listens: the world's address once it is in a journey.
    pub address: SocketAddr,
    /// Connections that nobody has taken yet.
    pub waiting: u32,
    /// The longest that the queue may be; one more has room in it.
    pub limit: u32,
}

impl AcceptQueue {
    /// Whether the kernel lets no further connection in (`sk_acceptq_is_full`).
    pub fn is_full(&self) -> bool {
        self.waiting > self.limit
    }
}

/// One event as its host recorded it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reported {
    /// Its number at this host, from 0.
    pub seq: u64,
    /// Nanoseconds on [`Report::clock`].
    pub at_ns: u64,
    /// The visit it belongs to; null where the protocol cannot carry one (`talk`, `echo`).
    pub trace: Option<TraceId>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}
