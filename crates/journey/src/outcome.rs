//! How a visit ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Cause, StageName};

/// How a visit ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// Whether a complete response came, whatever its status. A visit that did all it could and to which nobody had to
    /// answer (`udp://`) has neither reached nor failed.
    pub reached: bool,
    /// The stage that failed.
    pub failed_stage: Option<StageName>,
    /// The host at which it ended: the one that answered, or the one where it broke.
    pub host: Option<String>,
    /// Why it failed, for programs.
    pub reason: Option<Reason>,
    /// One sentence for people.
    pub verdict: String,
    /// What to try next, as one would type or do it.
    pub next: Option<String>,
    /// What was at fault: first what the visit failed by, then what went wrong besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
}

/// Why a stage failed, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// url: it cannot be parsed.
    UrlMalformed,
    /// url: the scheme is not one that `visit` speaks.
    SchemeUnsupported,
    /// name: there is no such name.
    NoSuchName,
    /// name: the name has no address.
    NoAddress,
    /// name: the resolver answered SERVFAIL.
    ServerFailure,
    /// name: the resolver refused to answer.
    QueryRefused,
    /// name: whoever was asked looks no names up, and refers to others.
    NoRecursion,
    /// name: nothing listens where the resolver should be.
    ResolverDown,
    /// name: no resolver is known to this machine.
    NoResolver,
    /// name: no usable reply came.
    BadReply,
    /// connect: nothing listens on any of the addresses.
    ConnectionRefused,
    /// route or connect: there is no way to any of the addresses.
    Unreachable,
    /// connect: the addresses failed in different ways.
    ConnectFailed,
    /// tls: the two sides could not agree, or the handshake broke off.
    TlsFailed,
    /// tls: what answers does not speak TLS.
    NotTls,
    /// tls: the certificate is not valid any more.
    CertificateExpired,
    /// tls: the certificate is not valid yet.
    CertificateNotYetValid,
    /// tls: the certificate is for other names.
    CertificateWrongName,
    /// tls: nobody who is trusted here vouches for the certificate.
    CertificateUntrusted,
    /// tls: the certificate is refused for another reason.
    CertificateRefused,
    /// send: the connection broke while the request was written.
    SendFailed,
    /// wait: the server closed the connection without a byte.
    EmptyReply,
    /// wait or receive: the server reset the connection.
    Reset,
    /// receive: the connection broke.
    ReceiveFailed,
    /// wait or receive: the HTTP/2 stream was reset, or ended with less or more content than the head announces.
    StreamFailed,
    /// wait or receive: the server wants HTTP/1.1 for this request (HTTP_1_1_REQUIRED).
    Http1Required,
    /// receive: the server closed before the end of the content.
    BodyCut,
    /// receive: what came is not HTTP.
    MalformedResponse,
    /// receive: the content cannot be decoded as its coding says.
    BadContentCoding,
    /// receive: the response has a transfer coding that is not known, or not where it may be.
    BadTransferCoding,
    /// receive: the chunks of the content are broken.
    BrokenChunks,
    /// receive: the content could not be written to where it was to go.
    WriteFailed,
    /// receive: the response is over a size limit.
    TooLarge,
    /// receive: the answers point further and further.
    TooManyRedirects,
    /// Any stage: a time limit passed.
    Timeout,
    /// The whole visit ran past `--max-time`.
    MaxTime,
    /// The status is 400 or above and `--fail` was given.
    HttpStatus,
    /// The user stopped the visit.
    Interrupted,
}

/// The exit codes, curl's number for the stage where one exists.
pub mod exit {
    use super::Reason;
    use crate::StageName;

    /// Reached.
    pub const REACHED: u8 = 0;
    /// Wrong usage.
    pub const USAGE: u8 = 2;
    /// A local file could not be written.
    pub const WRITE: u8 = 23;
    /// The lab could not be started or reached, or something else on this machine failed.
    pub const LOCAL: u8 = 2;

    /// The user stopped the program.
    pub const INTERRUPTED: u8 = 130;

    /// What to exit with when this stage failed for this reason.
    pub fn code(stage: StageName, reason: Reason) -> u8 {
        match (reason, stage) {
            (Reason::Interrupted, _) => INTERRUPTED,
            (Reason::MaxTime, _) => 28,
            (Reason::HttpStatus, _) => 22,
            (Reason::TooLarge, _) => 63,
            (Reason::TooManyRedirects, _) => 47,
            (Reason::SchemeUnsupported, _) => 1,
            (Reason::EmptyReply, _) => 52,
            (Reason::Reset, StageName::Wait | StageName::Receive | StageName::Close) => 56,
            (Reason::UrlMalformed, _) | (_, StageName::Url) => 3,
            (_, StageName::Name) => 6,
            (_, StageName::Route | StageName::Connect) => 7,
            (
                Reason::CertificateExpired
                | Reason::CertificateNotYetValid
                | Reason::CertificateWrongName
                | Reason::CertificateUntrusted
                | Reason::CertificateRefused,
                _,
            ) => 60,
            (_, StageName::Tls) => 35,
            (_, StageName::Send) => 55,
            (Reason::BodyCut, _) => 18,
            (Reason::StreamFailed | Reason::Http1Required, _) => 92,
            (Reason::BadContentCoding | Reason::BadTransferCoding, _) => 61,
            (Reason::WriteFailed, _) => WRITE,
            (Reason::MalformedResponse, _) => 8,
            (_, StageName::Wait | StageName::Receive | StageName::Close) => 56,
        }
    }
}
