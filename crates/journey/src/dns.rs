//! DNS messages in words. The bytes are read elsewhere; these shapes only say what was in them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is asked: a name and a type, class IN.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Question {
    /// The name, fully qualified, in presentation format.
    pub name: String,
    /// The type: `A`, `AAAA`, `NS`, …
    #[serde(rename = "type")]
    pub rtype: String,
}

/// One resource record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// The owner's name.
    pub name: String,
    /// The type.
    #[serde(rename = "type")]
    pub rtype: String,
    /// Seconds that it may be kept, as it stood in this message.
    pub ttl: u32,
    /// The data in presentation format (RFC 1035 §5.1), cut at 200 characters.
    pub data: String,
}

/// Longest [`Record::data`] kept, in characters; what was longer ends with `…`.
pub const DATA_LIMIT: usize = 200;

/// Most records kept of each section of a message; the counts in [`Reply`] are of all.
pub const SECTION_LIMIT: usize = 24;

/// The transport of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// One datagram.
    Udp,
    /// A stream, each message behind its length (RFC 7766).
    Tcp,
    /// Such a stream over TLS (RFC 7858).
    Tls,
    /// An HTTP exchange over TLS for each message (RFC 8484).
    Https,
}

impl Transport {
    /// `udp`, `tcp`, `tls` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Https => "https",
        }
    }
}

/// What a reply means for whoever asked (RFC 2308 §2 and RFC 1034 §4.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// The records asked for.
    Answer,
    /// Only the begin of an alias chain (CNAME) and not the records at its end.
    Alias,
    /// Ask these servers, which are closer to the name.
    Referral,
    /// The name exists, but has no record of this type.
    NoData,
    /// There is no such name (NXDOMAIN).
    NoSuchName,
    /// The answer did not fit; ask again over TCP.
    Truncated,
    /// The server could not get an answer (SERVFAIL).
    ServerFailure,
    /// The server does not want to answer (REFUSED).
    Refused,
    /// Any other response code.
    Other,
}

/// The header's flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flags {
    /// The server is an authority for the name.
    pub aa: bool,
    /// The message is truncated.
    pub tc: bool,
    /// Recursion was desired.
    pub rd: bool,
    /// Recursion is available.
    pub ra: bool,
    /// The server says that it validated the data.
    pub ad: bool,
}

impl Flags {
    /// The flags that are set, as dig writes them, `qr` first: these are the flags of a reply.
    pub fn names(self) -> Vec<&'static str> {
        [(true, "qr"), (self.aa, "aa"), (self.tc, "tc"), (self.rd, "rd"), (self.ra, "ra"), (self.ad, "ad")]
            .into_iter()
            .filter_map(|(set, name)| set.then_some(name))
            .collect()
    }
}

/// An extended error (RFC 8914): why an answer is as it is, in the server's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExtendedError {
    /// The info code: 22 is "No Reachable Authority".
    pub code: u16,
    /// The registered name of the code, or `unassigned`.
    pub name: String,
    /// The server's own text, possibly empty.
    pub text: String,
}

/// The OPT record of a reply (RFC 6891).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Edns {
    /// The largest UDP payload the sender can take, in bytes.
    pub udp_payload: u16,
    /// The server's name for itself (RFC 5001), if it told one.
    pub nsid: Option<String>,
    /// Extended errors, in the order sent.
    pub errors: Vec<ExtendedError>,
}

/// A reply, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reply {
    /// The response code as dig writes it: `NOERROR`, `NXDOMAIN`, …
    pub rcode: String,
    /// What it means.
    pub meaning: Meaning,
    /// The header's flags.
    pub flags: Flags,
    /// The answer section.
    pub answer: Vec<Record>,
    /// The authority section.
    pub authority: Vec<Record>,
    /// The additional section without OPT.
    pub additional: Vec<Record>,
    /// How many records the three sections held; not all of them need be listed.
    pub counts: [usize; 3],
    /// The OPT record, if there was one.
    pub edns: Option<Edns>,
    /// Size of the message on the wire, in bytes.
    pub bytes: usize,
}
