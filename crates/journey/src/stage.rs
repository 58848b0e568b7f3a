//! The steps of one request, and what each found out.

mod connect;
mod name;
mod protocol;
pub mod route;
mod talk;
mod tcp_info;
mod tls;

pub use connect::{Attempt, Connect, ConnectFailure, Tried, Waited};
pub use name::{Address, Exchange, LessEdns, Name, NameSource, Opening, Opt, QueryResult, SearchCost};
pub use protocol::Protocol;
pub use route::{Next, Own, Route, Way};
pub use talk::{Close, Closer, Framing, Header, Interim, Oddity, PeerEnd, Receive, Send, ServerTiming, Wait};
pub use tcp_info::TcpInfo;
pub use tls::{
    Certificate, CertificateFault, FaultKind, Handshake, MOST_CERTIFICATES, MOST_NAMES, Tls, Trust, Verified,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Evidence, Reason};

/// One request of a redirect chain, with its stages in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hop {
    /// The URL of this request, user information removed.
    pub url: String,
    /// All stages, also those that were skipped or not reached.
    pub stages: Vec<Stage>,
    /// What one should know about this request besides: a proxy that the environment names and that was not used.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Hop {
    /// The stage of that name.
    pub fn stage(&self, name: StageName) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name() == name)
    }

    /// Microseconds from the begin of the visit to the begin of this request's first stage, and to the end of its last.
    pub fn span_us(&self) -> Option<(u64, u64)> {
        let begin = self.stages.iter().filter_map(|stage| stage.start_us).min()?;
        let end = self.stages.iter().filter_map(Stage::end_us).max()?;
        Some((begin, end.max(begin)))
    }

    /// Whether a time is one of this request.
    pub fn holds(&self, at_us: Option<i64>) -> bool {
        let (Some((begin, end)), Some(Ok(at_us))) = (self.span_us(), at_us.map(u64::try_from)) else { return false };
        (begin..=end).contains(&at_us)
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
    /// Why it was skipped, why it ended where it did, or what its times are where they are not those of its name; in words.
    pub note: Option<String>,
    /// The socket calls behind it, where this program makes them itself (`tcp://` and `udp://`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Call>,
}

/// A socket call as a program writes it. The runtime waits between calls until the kernel says that one can go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Call {
    /// Its name: `socket`, `connect`, `send`, …
    pub name: String,
    /// What it was given, in words.
    pub with: String,
    /// What it gave, in words.
    pub gave: String,
    /// Microseconds from the begin of the visit until it was made.
    pub at_us: u64,
    /// Microseconds until it gave that, waiting included.
    pub duration_us: u64,
    /// How many calls this one stands for, where they are too many to be listed: its name is then `…`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stands_for: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Stage {
    /// Which stage this is.
    pub fn name(&self) -> StageName {
        self.did.name()
    }

    /// Microseconds from the begin of the visit to the end of this stage.
    pub fn end_us(&self) -> Option<u64> {
        Some(self.start_us?.saturating_add(self.duration_us?))
    }

    /// A stage that was not needed, and why.
    pub fn skipped(name: StageName, note: &str) -> Self {
        Self {
            state: StageState::Skipped,
            evidence: Evidence::Observed,
            note: Some(note.to_owned()),
            ..Self::not_reached(name)
        }
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
            calls: Vec::new(),
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
    /// Addresses to ways.
    Route,
    /// Open a TCP connection.
    Connect,
    /// Agree on keys, and on who the server is.
    Tls,
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
    pub const ALL: [Self; 9] = [
        Self::Url,
        Self::Name,
        Self::Route,
        Self::Connect,
        Self::Tls,
        Self::Send,
        Self::Wait,
        Self::Receive,
        Self::Close,
    ];

    /// The word on the screen and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Name => "name",
            Self::Route => "route",
            Self::Connect => "connect",
            Self::Tls => "tls",
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
    /// The URL was read.
    Url(Url),
    /// Addresses were looked up.
    Name(Name),
    /// The kernel was asked for the way to them.
    Route(Route),
    /// A TCP connection was opened.
    Connect(Connect),
    /// TLS was agreed on.
    Tls(Box<Tls>),
    /// The request was sent.
    Send(Send),
    /// The first byte of the response was waited for.
    Wait(Wait),
    /// The response was received.
    Receive(Box<Receive>),
    /// The connection was closed.
    Close(Close),
}

impl Did {
    /// Which stage this is of.
    pub fn name(&self) -> StageName {
        match self {
            Self::Url(_) => StageName::Url,
            Self::Name(_) => StageName::Name,
            Self::Route(_) => StageName::Route,
            Self::Connect(_) => StageName::Connect,
            Self::Tls(_) => StageName::Tls,
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
            StageName::Route => Self::Route(Route::default()),
            StageName::Connect => Self::Connect(Connect::default()),
            StageName::Tls => Self::Tls(Box::default()),
            StageName::Send => Self::Send(Send::default()),
            StageName::Wait => Self::Wait(Wait::default()),
            StageName::Receive => Self::Receive(Box::default()),
            StageName::Close => Self::Close(Close::default()),
        }
    }
}

impl Hop {
    /// What was spoken: the scheme of the URL, also of one that could not be read to its end.
    pub fn scheme(&self) -> &str {
        match self.stage(StageName::Url).map(|stage| &stage.did) {
            Some(Did::Url(url)) if !url.scheme.is_empty() => &url.scheme,
            _ => self.url.split_once("://").map_or("", |(scheme, _)| scheme),
        }
    }

    /// Whether bytes went over a socket as they are (`tcp://`, `udp://`), and no HTTP was spoken.
    pub fn is_raw(&self) -> bool {
        matches!(self.scheme(), "tcp" | "udp")
    }

    /// Whether the response has a status of 400 or above.
    pub fn is_http_error(&self) -> bool {
        self.received().and_then(|receive| receive.status).is_some_and(|status| status >= 400)
    }

    /// What came back.
    pub fn received(&self) -> Option<&Receive> {
        match &self.stage(StageName::Receive)?.did {
            Did::Receive(receive) => Some(receive),
            _ => None,
        }
    }
}

/// The parts of the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Url {
    /// `http`, `https`, `tcp`, `udp`.
    pub scheme: String,
    /// The host as it will be looked up: lower case, international names in their ASCII form.
    pub host: String,
    /// The port, the scheme's own where none was given.
    pub port: Option<u16>,
    /// Path and query, as they will be sent, secrets removed; empty where the scheme has none.
    pub target: String,
}
