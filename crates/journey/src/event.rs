//! What happened at a host at a time.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Evidence,
    dns::{Question, Reply, Transport},
};

/// Something that happened at a host at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its number in the journey, from 1, by which a cause refers to it; 0 in journeys of older versions.
    #[serde(default)]
    pub id: u32,
    /// Microseconds since the visit began; null where only the order at its host is known.
    pub at_us: Option<i64>,
    /// The host: `you`, `resolver`, `root`, …
    pub host: String,
    /// How this is known.
    pub evidence: Evidence,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened. Addresses are the world's where a lab runs, whatever sockets stand in for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// A DNS client sent a query.
    QuerySent {
        /// The server asked.
        server: SocketAddr,
        /// Over what.
        transport: Transport,
        /// For what.
        question: Question,
    },
    /// A DNS client took a reply.
    ReplyReceived {
        /// The server that answered.
        server: SocketAddr,
        /// Over what.
        transport: Transport,
        /// What had been asked.
        question: Question,
        /// What came.
        reply: Reply,
        /// Microseconds since the query was sent.
        elapsed_us: u64,
    },
    /// A DNS client got no usable reply.
    QueryFailed {
        /// The server asked.
        server: SocketAddr,
        /// Over what.
        transport: Transport,
        /// What had been asked.
        question: Question,
        /// What went wrong, in words.
        why: String,
        /// What went wrong, for programs.
        #[serde(default)]
        failure: NoUse,
        /// Microseconds since the query was sent.
        elapsed_us: u64,
    },
    /// A resolver left out records that the server has no say in (RFC 5452 §6), and used the rest.
    RecordsIgnored {
        /// The server that sent them.
        server: SocketAddr,
        /// What had been asked.
        question: Question,
        /// The records, in words.
        records: Vec<String>,
    },
    /// A DNS server read a query.
    QueryReceived {
        /// Who asked.
        peer: SocketAddr,
        /// Over what.
        transport: Transport,
        /// For what.
        question: Question,
    },
    /// A resolver found the answer in its cache and asked nobody.
    CacheHit {
        /// What had been asked.
        question: Question,
        /// Seconds since the answer was fetched; null where the cache does not tell.
        age_s: Option<u32>,
        /// Seconds that it may still be kept.
        remaining_ttl_s: u32,
    },
    /// A resolver asked nobody itself, and waited for what a look-up brought that was under way already: for another client,
    /// or for another question.
    WentAlong {
        /// What had been asked.
        question: Question,
    },
    /// A DNS server sent its answer.
    AnswerSent {
        /// Who had asked.
        peer: SocketAddr,
        /// Over what.
        transport: Transport,
        /// What had been asked.
        question: Question,
        /// What was sent.
        reply: Reply,
        /// Microseconds since the query was read.
        elapsed_us: u64,
    },
    /// A client began to open a TCP connection.
    ConnectStarted {
        /// Where to.
        server: SocketAddr,
    },
    /// A client's TCP connection is open.
    Connected {
        /// Where to.
        server: SocketAddr,
        /// This side's socket.
        local: SocketAddr,
    },
    /// A client's TCP connection could not be opened.
    ConnectFailed {
        /// Where to.
        server: SocketAddr,
        /// What went wrong, in words.
        why: String,
    },
    /// A client and a server have agreed on keys (TLS).
    HandshakeDone {
        /// The version: `TLS 1.3`.
        version: String,
        /// The cipher suite.
        cipher_suite: String,
    },
    /// A client's TLS handshake failed.
    HandshakeFailed {
        /// Why, in words.
        why: String,
    },
    /// A client wrote the last byte of a request to its socket.
    RequestSent {
        /// Bytes of the whole request.
        bytes: u64,
    },
    /// A client read the first byte of a response.
    FirstByte,
    /// A client read the last byte of a response.
    ResponseReceived {
        /// Bytes of the whole response.
        bytes: u64,
    },
    /// A server took a TCP connection from its accept queue.
    ConnectionAccepted {
        /// The other side.
        peer: SocketAddr,
        /// This side.
        local: SocketAddr,
    },
    /// A server has read a request's head.
    RequestRead {
        /// Who sent it.
        peer: SocketAddr,
        /// The method, or `TALK` / `ECHO` on ports that speak no HTTP.
        method: String,
        /// The target, query removed.
        target: String,
        /// Bytes of the head.
        bytes: u64,
    },
    /// A server wrote the last byte of a response to its socket.
    ResponseWritten {
        /// To whom.
        peer: SocketAddr,
        /// The HTTP status, where there is one.
        status: Option<u16>,
        /// Bytes of head and body.
        bytes: u64,
        /// Microseconds since the request was read.
        elapsed_us: u64,
    },
    /// A connection was closed.
    ConnectionClosed {
        /// The other side.
        peer: SocketAddr,
        /// Which side closed first.
        by: ClosedBy,
        /// Bytes read from the peer over the connection's life.
        bytes_in: u64,
        /// Bytes written to it.
        bytes_out: u64,
    },
}

/// Which side closed a connection first, as seen by the host that records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    /// This host.
    Me,
    /// This host, with RST.
    MeReset,
    /// The other side, with FIN; in HTTP/2 with GOAWAY, which goes before.
    Peer,
    /// The other side, with RST.
    PeerReset,
    /// This host, because the other side let a time limit pass.
    TimeLimit,
}

impl What {
    /// The other side's socket, for events of a server.
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::QueryReceived { peer, .. }
            | Self::AnswerSent { peer, .. }
            | Self::ConnectionAccepted { peer, .. }
            | Self::RequestRead { peer, .. }
            | Self::ResponseWritten { peer, .. }
            | Self::ConnectionClosed { peer, .. } => Some(*peer),
            Self::QuerySent { .. }
            | Self::ReplyReceived { .. }
            | Self::QueryFailed { .. }
            | Self::RecordsIgnored { .. }
            | Self::CacheHit { .. }
            | Self::WentAlong { .. }
            | Self::ConnectStarted { .. }
            | Self::Connected { .. }
            | Self::ConnectFailed { .. }
            | Self::HandshakeDone { .. }
            | Self::HandshakeFailed { .. }
            | Self::RequestSent { .. }
            | Self::FirstByte
            | Self::ResponseReceived { .. } => None,
        }
    }
}

/// Why a query brought nothing that could be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoUse {
    /// Nothing came in time.
    NoAnswer,
    /// Datagrams came in time, all under another id than the query's.
    WrongId,
    /// Datagrams came in time, and were queries.
    NotAResponse,
    /// Nothing listens there (ICMP port unreachable, or RST).
    NothingListens,
    /// There is no way there, or nobody has that address.
    Unreachable,
    /// What came is no DNS message.
    Malformed,
    /// SERVFAIL.
    ServerFailure,
    /// REFUSED.
    Refused,
    /// Another response code that says nothing about the name.
    OtherError,
    /// The server is no authority for the zone.
    Lame,
    /// The server refers to a zone that is no nearer to the name.
    LeadsBack,
    /// The connection broke before the answer was there.
    HungUp,
    /// It is truncated, and asking over TCP brought nothing either.
    Truncated,
    /// Another thing, which the words tell.
    #[default]
    Other,
}
