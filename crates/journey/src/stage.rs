//! The steps of one request, and what each found out.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Evidence, Reason,
    dns::{Question, Reply, Transport},
};

/// One request of a redirect chain, with its stages in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hop {
    /// The URL of this request, user information removed.
    pub url: String,
    /// All stages, also those that were skipped or not reached.
    pub stages: Vec<Stage>,
}

impl Hop {
    /// The stage of that name.
    pub fn stage(&self, name: StageName) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name() == name)
    }

    /// The stage that failed, if one did.
    pub fn failed(&self) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.state == StageState::Failed)
    }
}

/// One step of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// How far it came.
    pub state: StageState,
    /// Microseconds from the begin of the visit to the begin of this stage; null when it was not reached.
    pub start_us: Option<u64>,
    /// Microseconds it took, also when it failed; null when it was skipped or not reached.
    pub duration_us: Option<u64>,
    /// How the times are known.
    pub evidence: Evidence,
    /// What it found out; the JSON member `name` says which stage it is.
    #[serde(flatten)]
    pub did: Did,
    /// Why it failed; present exactly when `state` is `failed`.
    pub failure: Option<Failure>,
    /// Why it was skipped, in words.
    pub note: Option<String>,
}

impl Stage {
    /// Which stage this is.
    pub fn name(&self) -> StageName {
        self.did.name()
    }

    /// Microseconds from the begin of the visit to the end of this stage.
    pub fn end_us(&self) -> Option<u64> {
        Some(self.start_us? + self.duration_us?)
    }

    /// A stage that the visit did not come to.
    pub fn not_reached(name: StageName) -> Self {
        Self {
            state: StageState::NotReached,
            start_us: None,
            duration_us: None,
            evidence: Evidence::NotObservable { why: "the visit ended before this stage".to_owned(), how: None },
            did: Did::empty(name),
            failure: None,
            note: None,
        }
    }
}

/// How far a stage came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageState {
    /// It did what it is for.
    Done,
    /// It did not, and the visit ended here.
    Failed,
    /// It was not needed.
    Skipped,
    /// The visit ended before.
    NotReached,
}

/// The names of the stages, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageName {
    /// Parse the URL.
    Url,
    /// Name to addresses.
    Name,
    /// Open a TCP connection.
    Connect,
    /// Write the request.
    Send,
    /// From the last byte of the request to the first of the response.
    Wait,
    /// From the first to the last byte of the response.
    Receive,
    /// Close the connection.
    Close,
}

impl StageName {
    /// All stages in order.
    pub const ALL: [Self; 7] =
        [Self::Url, Self::Name, Self::Connect, Self::Send, Self::Wait, Self::Receive, Self::Close];

    /// The word on the screen and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Name => "name",
            Self::Connect => "connect",
            Self::Send => "send",
            Self::Wait => "wait",
            Self::Receive => "receive",
            Self::Close => "close",
        }
    }
}

/// Why a stage failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// For programs.
    pub reason: Reason,
    /// For people: what happened, with the address or name involved; no full stop.
    pub what: String,
}

/// What a stage found out. Fields are empty or null where the stage did not get that far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Did {
    /// See [`Url`].
    Url(Url),
    /// See [`Name`].
    Name(Name),
    /// See [`Connect`].
    Connect(Connect),
    /// See [`Send`].
    Send(Send),
    /// See [`Wait`].
    Wait(Wait),
    /// See [`Receive`].
    Receive(Box<Receive>),
    /// See [`Close`].
    Close(Close),
}

impl Did {
    /// Which stage this is of.
    pub fn name(&self) -> StageName {
        match self {
            Self::Url(_) => StageName::Url,
            Self::Name(_) => StageName::Name,
            Self::Connect(_) => StageName::Connect,
            Self::Send(_) => StageName::Send,
            Self::Wait(_) => StageName::Wait,
            Self::Receive(_) => StageName::Receive,
            Self::Close(_) => StageName::Close,
        }
    }

    /// Nothing found out.
    pub fn empty(name: StageName) -> Self {
        match name {
            StageName::Url => Self::Url(Url::default()),
            StageName::Name => Self::Name(Name::default()),
            StageName::Connect => Self::Connect(Connect::default()),
            StageName::Send => Self::Send(Send::default()),
            StageName::Wait => Self::Wait(Wait::default()),
            StageName::Receive => Self::Receive(Box::default()),
            StageName::Close => Self::Close(Close::default()),
        }
    }
}

/// The parts of the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Url {
    /// `http`.
    pub scheme: String,
    /// The host as it will be looked up: lower case, international names in their ASCII form.
    pub host: String,
    /// The port, the scheme's own where none was given.
    pub port: Option<u16>,
    /// Path and query, as they will be sent.
    pub target: String,
}

/// Name to addresses: what this machine asked and was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Name {
    /// The name that was looked up.
    pub asked: String,
    /// Who answers for names here; null where nobody had to be asked.
    pub source: Option<NameSource>,
    /// Every query that this machine sent, retransmissions and the change to TCP included, in order.
    pub exchanges: Vec<Exchange>,
    /// The alias chain that was followed, from the name asked to the name that has the addresses; empty without aliases.
    pub aliases: Vec<String>,
    /// The addresses, in the order in which they will be tried.
    pub addresses: Vec<Address>,
}

impl Name {
    /// What it means that there is no such name or no address, in words: of the end of the alias chain, and of the
    /// families that were asked for.
    pub fn denial(&self, no_such_name: bool) -> String {
        let asked = &self.asked;
        let alias = self.aliases.last().map(|end| end.trim_end_matches('.'));
        if no_such_name {
            return match alias {
                Some(end) => format!("{asked} is an alias of {end}, and there is no such name"),
                None => format!("there is no name {asked}"),
            };
        }
        let of = |rtype| self.exchanges.iter().any(|exchange| exchange.question.rtype == rtype);
        let address = match (of("A"), of("AAAA")) {
            (true, false) => "no IPv4 address",
            (false, true) => "no IPv6 address",
            _ => "no address",
        };
        match alias {
            Some(end) => format!("{asked} is an alias of {end}, which has {address}"),
            None => format!("{asked} exists but has {address}"),
        }
    }
}

/// Who answered for names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum NameSource {
    /// A recursive resolver.
    Resolver {
        /// Its host name in the world, where it is known.
        host: Option<String>,
        /// Its address.
        address: SocketAddr,
        /// Why this one: `the lab's`, `--resolver`, `/etc/resolv.conf`.
        chosen_by: String,
    },
    /// The file of host names on this machine.
    HostsFile {
        /// Its path.
        path: String,
    },
    /// `localhost` and names below it are this machine by definition (RFC 6761 §6.3).
    Localhost,
}

/// One query of this machine and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exchange {
    /// What was asked.
    pub question: Question,
    /// The message id.
    pub id: u16,
    /// Over what.
    pub transport: Transport,
    /// The server asked, by the world's address.
    pub server: SocketAddr,
    /// The socket that stands in for it, where that is another address.
    pub via: Option<SocketAddr>,
    /// This side's socket, once there was one.
    pub local: Option<SocketAddr>,
    /// Microseconds from the begin of the visit until the query was sent.
    pub start_us: u64,
    /// Microseconds until it was answered or given up.
    pub duration_us: u64,
    /// Bytes of the query.
    pub sent_bytes: usize,
    /// What became of it.
    #[serde(flatten)]
    pub result: Told,
}

/// What became of a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Told {
    /// A reply came.
    Reply {
        /// It.
        reply: Reply,
    },
    /// Nothing came in time.
    Timeout,
    /// Another query brought the answer first, or the stage ended; nobody waited for this one any longer.
    Abandoned,
    /// The server's machine says that nothing listens there (ICMP port unreachable, or TCP RST).
    NothingListens,
    /// The query could not be sent, or the connection broke.
    Failed {
        /// Why.
        why: String,
    },
    /// What came was no reply to this query.
    BadReply {
        /// What was wrong with it.
        why: String,
    },
}

/// An address that a name has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Seconds that it may be kept, as the source told; null for sources without a time.
    pub ttl: Option<u32>,
    /// The host that has it in the world, where known.
    pub host: Option<String>,
}

/// Opening a TCP connection: every address tried, in order of their begin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Connect {
    /// The attempts.
    pub attempts: Vec<Attempt>,
}

impl Connect {
    /// The attempt that succeeded.
    pub fn connected(&self) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.result == Tried::Connected)
    }
}

/// One attempt to open a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// Where to, by the world's address.
    pub server: SocketAddr,
    /// The host that has the address in the world, where known.
    pub host: Option<String>,
    /// The socket that stands in for it, where that is another address.
    pub via: Option<SocketAddr>,
    /// This side's socket, once connected.
    pub local: Option<SocketAddr>,
    /// Microseconds from the begin of the visit.
    pub start_us: u64,
    /// Microseconds until it was open or given up.
    pub duration_us: u64,
    /// What became of it.
    #[serde(flatten)]
    pub result: Tried,
}

/// What became of an attempt to connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Tried {
    /// The connection is open.
    Connected,
    /// The machine answered that nothing listens on that port (RST).
    Refused,
    /// Nobody answered in time.
    Timeout,
    /// Another attempt was faster.
    Abandoned,
    /// There is no way to that address.
    Unreachable {
        /// Who says so and how.
        why: String,
    },
    /// Anything else.
    Failed {
        /// What, in words.
        why: String,
    },
}

/// Writing the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Send {
    /// The method.
    pub method: String,
    /// The request target.
    pub target: String,
    /// `HTTP/1.1`.
    pub version: String,
    /// The header, in the order sent; secrets removed.
    pub headers: Vec<Header>,
    /// Bytes written to the socket.
    pub bytes: Option<u64>,
}

/// A header field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Header {
    /// Its name, as it was on the wire or in lower case where the reader does not keep it.
    pub name: String,
    /// Its value, user information in URLs removed; bytes that are no UTF-8 are shown as U+FFFD.
    pub value: String,
}

/// Waiting for the first byte of the response. The time holds one round trip and the server's work; it is not "server
/// time".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Wait {}

/// Reading the response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receive {
    /// The status code.
    pub status: Option<u16>,
    /// The reason phrase as it was sent.
    pub reason_phrase: Option<String>,
    /// `HTTP/1.1`.
    pub version: Option<String>,
    /// The header; secrets removed.
    pub headers: Vec<Header>,
    /// Microseconds from the begin of the visit until the header was complete.
    pub headers_at_us: Option<u64>,
    /// Bytes read from the socket, head and framing included.
    pub bytes: Option<u64>,
    /// Bytes of content, framing removed.
    pub content_bytes: Option<u64>,
    /// How the end of the content is told.
    pub framing: Option<Framing>,
    /// What the server says of its own work (`Server-Timing`); it has no start time, so it is never placed on the line.
    pub server_timing: Vec<ServerTiming>,
}

/// How a response tells where its content ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// `Content-Length`.
    ContentLength,
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The connection's close.
    Close,
    /// There is none: answers to HEAD, 204, 304.
    None,
}

/// One metric of a `Server-Timing` field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerTiming {
    /// The metric's name.
    pub name: String,
    /// Its duration in microseconds, if it told one.
    pub duration_us: Option<u64>,
    /// Its description, if it told one.
    pub description: Option<String>,
}

/// Closing the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Close {
    /// Which side closed first.
    pub first: Option<Closer>,
    /// Whether the server would have kept the connection open.
    pub keep_alive_offered: Option<bool>,
    /// How the other side ended the connection.
    pub peer: Option<PeerEnd>,
}

/// How the other side ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeerEnd {
    /// With FIN.
    Fin,
    /// With RST.
    Reset,
    /// Not before this side stopped looking.
    Silent,
}

/// Which side closed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Closer {
    /// This machine.
    You,
    /// The server.
    Server,
}
