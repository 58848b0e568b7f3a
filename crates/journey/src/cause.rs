//! What was at fault on a visit: each cause with the host it is laid at, what that rests on, and how sure it is.
//!
//! A visit that failed has at least one cause that broke it. One that reached its server may have causes too: what went
//! wrong on the way and was made good by somebody (a second server, a retransmission), or only cost time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::StageName;

/// More pieces of evidence than these are not named; they would be of the same kind.
const MOST_BASIS: usize = 8;

/// Something that was at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// What, for programs.
    pub trouble: Trouble,
    /// The host at which it is; an address where it has no name, null where nobody can be named.
    pub host: Option<String>,
    /// Whether the visit failed by it.
    pub broke: bool,
    /// What happened, in one sentence.
    pub what: String,
    /// What that is concluded from.
    pub basis: Vec<Basis>,
    /// How sure it is.
    pub sure: Sure,
    /// What would make it surer, where something would.
    pub would_tell: Option<String>,
    /// What to try next.
    pub next: Option<String>,
}

impl Cause {
    /// A cause that the visit did not fail by. It is likely and no more: a rule that has seen it happen says so, with
    /// [`Self::seen`].
    pub fn new(trouble: Trouble, host: Option<String>, what: impl Into<String>) -> Self {
        Self {
            trouble,
            host,
            broke: false,
            what: what.into(),
            basis: Vec::new(),
            sure: Sure::Likely,
            would_tell: None,
            next: None,
        }
    }

    /// Whether the visit failed by it.
    pub fn broke(self, broke: bool) -> Self {
        Self { broke, ..self }
    }

    /// How sure it is.
    pub fn sure(self, sure: Sure) -> Self {
        Self { sure, ..self }
    }

    /// It was seen to happen: by this machine, or by a host that reports it. That nothing was seen of something else is no
    /// such evidence.
    pub fn seen(self) -> Self {
        self.sure(Sure::Certain)
    }

    /// What it rests on; each is named once, and not more than a few.
    pub fn on(mut self, basis: impl IntoIterator<Item = Basis>) -> Self {
        for one in basis {
            if self.basis.len() < MOST_BASIS && !self.basis.contains(&one) {
                self.basis.push(one);
            }
        }
        self
    }

    /// What would tell more.
    pub fn tell(self, would_tell: impl Into<Option<String>>) -> Self {
        Self { would_tell: would_tell.into(), ..self }
    }

    /// What to try next.
    pub fn next(self, next: impl Into<Option<String>>) -> Self {
        Self { next: next.into(), ..self }
    }
}

/// How sure a cause is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sure {
    /// The evidence fits, and it would fit something else as well.
    #[default]
    Possible,
    /// Nothing else that is likely would look so.
    Likely,
    /// It was seen to happen.
    Certain,
}

/// A piece of evidence, by where it stands in the journey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Basis {
    /// An event, by its id.
    Event {
        /// The event's `id`.
        id: u32,
    },
    /// A stage.
    Stage {
        /// Of which hop, from 0.
        hop: usize,
        /// Which.
        stage: StageName,
    },
    /// A frame of the capture, by its number.
    Frame {
        /// Its number, as the capture counts.
        number: u64,
    },
    /// What a host said of its accept queues, or that it said nothing.
    Observer {
        /// The host.
        host: String,
    },
    /// What the walk from the root found, by the position of the finding.
    Walk {
        /// From 0.
        finding: usize,
    },
}

/// What can be at fault. Each is told from all others by what can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The URL cannot be visited.
    BadUrl,
    /// This machine knows nobody to ask, has no way, or could not write.
    ThisMachine,
    /// A DNS server did not answer.
    DnsNoAnswer,
    /// Nothing listens where a DNS server should be.
    DnsNothingListens,
    /// There is no way to a DNS server.
    DnsUnreachable,
    /// A DNS server answered REFUSED.
    DnsRefused,
    /// A DNS server answered SERVFAIL.
    DnsServerFailure,
    /// A DNS server answered with another error.
    DnsError,
    /// A DNS server took long to answer.
    DnsSlow,
    /// A DNS server cut its answer over UDP, and had to be asked again over TCP.
    DnsTruncated,
    /// A DNS server cut its answer over UDP, and cannot be asked over TCP.
    DnsTcpRefused,
    /// A DNS server is no authority for the zone that is delegated to it.
    LameDelegation,
    /// A zone is delegated to an address at which nobody answers.
    DeadDelegation,
    /// A delegation leads back to where it came from.
    DelegationLoop,
    /// Aliases lead in a circle.
    AliasLoop,
    /// A DNS server's datagrams have another id than the query's.
    DnsWrongId,
    /// A DNS server sends queries where responses should be.
    DnsNotAResponse,
    /// A DNS server sent what is no DNS message.
    DnsMalformed,
    /// A DNS server sent records that it has no say in.
    OutOfBailiwick,
    /// There is no such name, as its authority says.
    NoSuchName,
    /// The name has no address, as its authority says.
    NoAddress,
    /// A resolver's answer is not what the authority says.
    ResolverContradicts,
    /// A resolver answered with what the authority no longer says.
    StaleAnswer,
    /// Whoever was asked looks no names up.
    NoRecursion,
    /// Nothing listens on the server's port.
    NothingListens,
    /// The server's SYNs are not answered: a firewall that drops, or a machine that is gone.
    SynUnanswered,
    /// The server's accept queue is full.
    AcceptQueueFull,
    /// There is no way to the server.
    Unreachable,
    /// The connection was reset.
    Reset,
    /// The server took the connection and then said nothing.
    Silent,
    /// The server closed without a byte.
    EmptyReply,
    /// The connection ended in the middle of the content.
    CutShort,
    /// The server took long to begin its answer.
    SlowFirstByte,
    /// The content came slowly.
    SlowContent,
    /// What came is not HTTP.
    NotHttp,
    /// The response breaks the rules of HTTP.
    BadResponse,
    /// The content cannot be decoded.
    BadContent,
    /// The answer has a status of 400 or above.
    HttpStatus,
    /// Redirects lead in a circle.
    RedirectLoop,
    /// There are more redirects than are followed.
    TooManyRedirects,
    /// The response has no end within its limit.
    TooLarge,
    /// The certificate has expired.
    CertificateExpired,
    /// The certificate is not valid yet.
    CertificateNotYetValid,
    /// The certificate is for other names.
    CertificateWrongName,
    /// Nobody who is trusted vouches for the certificate.
    CertificateUntrusted,
    /// The certificate is refused for another reason.
    CertificateRefused,
    /// What answers does not speak TLS.
    NotTls,
    /// The TLS handshake failed.
    TlsFailed,
    /// Frames got lost in the network.
    FramesLost,
    /// Frames came late through the network.
    FramesLate,
    /// Frames came twice through the network.
    FramesDoubled,
    /// Nothing passes on a host's link.
    LinkDown,
    /// This machine was too busy to tell whether others were late or did not answer.
    MachineBusy,
    /// The whole visit took longer than it was allowed to.
    MaxTime,
    /// The user stopped it.
    Interrupted,
}
