//! The stages `send`, `wait`, `receive` and `close`: a request, its response, and the end of the connection.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Protocol, TcpInfo};

/// Writing the request: of HTTP, or of whatever `--send` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Send {
    /// The method; null where no HTTP is spoken.
    pub method: Option<String>,
    /// The request target, secrets removed.
    pub target: Option<String>,
    /// `HTTP/1.1`, `HTTP/2`.
    pub version: Option<String>,
    /// The header, in the order sent; secrets removed.
    pub headers: Vec<Header>,
    /// Bytes of content behind the header.
    #[serde(default)]
    pub content_bytes: Option<u64>,
    /// Bytes written up to the request's last one; inside TLS where there is TLS.
    pub bytes: Option<u64>,
    /// Bytes that were written to the socket for them; null without TLS, where both are the same.
    #[serde(default)]
    pub wire_bytes: Option<u64>,
    /// The begin of what was sent, as text; where no HTTP is spoken.
    #[serde(default)]
    pub text: Option<String>,
}

/// A header field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Header {
    /// Its name, as it was on the wire or in lower case where the reader does not keep it.
    pub name: String,
    /// Its value, secrets in it removed; bytes that are no UTF-8 are shown as U+FFFD.
    pub value: String,
}

/// Waiting for the first byte of the response. The time holds one round trip and the server's work; it is not "server
/// time".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Wait {}

/// Reading the response. The stage begins with its first byte and ends with its last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receive {
    /// The status code.
    pub status: Option<u16>,
    /// The reason phrase as it was sent; HTTP/2 has none.
    pub reason_phrase: Option<String>,
    /// `HTTP/1.1`, `HTTP/2`.
    pub version: Option<String>,
    /// The header; secrets removed.
    pub headers: Vec<Header>,
    /// Answers before the final one (1xx).
    #[serde(default)]
    pub interim: Vec<Interim>,
    /// Microseconds from the begin of the visit until the header was complete.
    pub headers_at_us: Option<u64>,
    /// Bytes of the response, head and framing included; inside TLS where there is TLS.
    pub bytes: Option<u64>,
    /// Bytes that were read from the socket for them; null without TLS, where both are the same.
    #[serde(default)]
    pub wire_bytes: Option<u64>,
    /// Bytes of content as transferred: framing removed, coding not.
    pub content_bytes: Option<u64>,
    /// The content's codings (`Content-Encoding`), in the order applied.
    #[serde(default)]
    pub codings: Vec<String>,
    /// Transfer codings but `chunked` (RFC 9112 §7), in the order applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfer_codings: Vec<String>,
    /// Bytes of content once decoded; null where there was nothing to decode.
    #[serde(default)]
    pub decoded_bytes: Option<u64>,
    /// How the end of the content is told.
    pub framing: Option<Framing>,
    /// Fields that came behind the content.
    #[serde(default)]
    pub trailers: Vec<Header>,
    /// Where the head or the trailers break the grammar without changing what the response means.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub oddities: Vec<Oddity>,
    /// What the first bytes are of, where they are not an HTTP response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// What the server says of its own work (`Server-Timing`); it has no start time, so it is never placed on the line.
    pub server_timing: Vec<ServerTiming>,
    /// The begin of what came, as text; where it is not an HTTP response.
    #[serde(default)]
    pub text: Option<String>,
    /// The file that the content was written to.
    #[serde(default)]
    pub written_to: Option<String>,
}

/// A deviation from the grammar of a head that does not change what the response means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Oddity {
    /// What it is, in one sentence without a full stop.
    pub what: String,
    /// How the line begins that it is on, secrets removed; empty where it is on many.
    pub line: String,
}

/// An answer before the final one (RFC 9110 §15.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Interim {
    /// Its status: 100, 103, …
    pub status: u16,
    /// Microseconds from the begin of the visit.
    pub at_us: u64,
    /// Its header; secrets removed.
    pub headers: Vec<Header>,
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
    /// A flag on the last frame (HTTP/2, RFC 9113 §8.1).
    EndStream,
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
    /// Whether the other side said in TLS that it has sent all (`close_notify`); null without TLS.
    #[serde(default)]
    pub close_notify: Option<bool>,
    /// What the kernel said of the connection just before this side closed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Box<TcpInfo>>,
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
