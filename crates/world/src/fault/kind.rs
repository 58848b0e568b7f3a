//! The words: which faults there are, at whom, and what each does. The words are those that people who run name servers,
//! web servers and networks already use.

/// Who a fault is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// An authoritative name server.
    Nameserver,
    /// A recursive resolver.
    Resolver,
    /// An application server.
    App,
    /// The network between the hosts.
    Wire,
}

impl Role {
    /// In words, with an article.
    pub fn what(self) -> &'static str {
        match self {
            Self::Nameserver => "a name server",
            Self::Resolver => "a resolver",
            Self::App => "an application server",
            Self::Wire => "the network",
        }
    }
}

/// What happens. What each does, [`WORDS`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Kind {
    NxDomain,
    NoData,
    ServFail,
    Refused,
    Drop,
    Slow,
    Truncate,
    TcpRefused,
    Lame,
    DeadNs,
    Loop,
    WrongId,
    NotAResponse,
    Bailiwick,
    Garbage,
    Stale,
    Blackhole,
    Reset,
    AcceptStall,
    SlowFirstByte,
    Drip,
    Cut,
    Empty,
    Status,
    RedirectLoop,
    Endless,
    TlsExpired,
    TlsWrongName,
    TlsUntrusted,
    TlsNotTls,
    Loss,
    Delay,
    Duplicate,
    CutLink,
}

/// Which amount a fault takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// None.
    Nothing,
    /// A time, which has to be said.
    Time,
    /// A share; all where none is said.
    Share,
    /// An HTTP status; 503 where none is said.
    Status,
    /// An address; one that no host has where none is said.
    Address,
}

/// A word for a fault.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// As it is written.
    pub name: &'static str,
    /// What it means.
    pub kind: Kind,
    /// At whom there can be such a fault.
    pub roles: &'static [Role],
    /// Its amount.
    pub takes: Takes,
    /// What happens, in a few words.
    pub about: &'static str,
}

const fn word(name: &'static str, kind: Kind, roles: &'static [Role], takes: Takes, about: &'static str) -> Word {
    Word { name, kind, roles, takes, about }
}

const NS: &[Role] = &[Role::Nameserver];
const DNS: &[Role] = &[Role::Nameserver, Role::Resolver];
const RESOLVER: &[Role] = &[Role::Resolver];
const APP: &[Role] = &[Role::App];
const WIRE: &[Role] = &[Role::Wire];

/// All words. The same word may mean another thing at another role.
pub const WORDS: &[Word] = &[
    word("nxdomain", Kind::NxDomain, DNS, Takes::Nothing, "says that there is no such name"),
    word("nodata", Kind::NoData, DNS, Takes::Nothing, "says that the name has no such record"),
    word("servfail", Kind::ServFail, DNS, Takes::Nothing, "answers SERVFAIL"),
    word("refused", Kind::Refused, DNS, Takes::Nothing, "answers REFUSED"),
    word("drop", Kind::Drop, DNS, Takes::Nothing, "does not answer"),
    word("slow", Kind::Slow, DNS, Takes::Time, "answers so much later"),
    word("truncate", Kind::Truncate, DNS, Takes::Nothing, "cuts its answers over UDP, so that it is asked over TCP"),
    word("tcp-refused", Kind::TcpRefused, DNS, Takes::Nothing, "has nothing that listens for TCP"),
    word("lame", Kind::Lame, NS, Takes::Nothing, "answers as a server that is no authority for the zone"),
    word("dead-ns", Kind::DeadNs, NS, Takes::Address, "refers to an address at which nobody is"),
    word("loop", Kind::Loop, NS, Takes::Nothing, "answers with aliases in a circle, refers back where it delegates"),
    word("wrong-id", Kind::WrongId, DNS, Takes::Nothing, "answers under another message id"),
    word(
        "not-a-response",
        Kind::NotAResponse,
        DNS,
        Takes::Nothing,
        "sends the query back, without the mark of a response",
    ),
    word("bailiwick", Kind::Bailiwick, NS, Takes::Nothing, "adds records that it has no say in, as a poisoner does"),
    word("garbage", Kind::Garbage, DNS, Takes::Nothing, "answers with bytes that are no DNS message"),
    word("stale", Kind::Stale, RESOLVER, Takes::Address, "answers with an old address, as from a cache"),
    word("refused", Kind::Refused, APP, Takes::Nothing, "has nothing that listens: the kernel refuses"),
    word("blackhole", Kind::Blackhole, APP, Takes::Nothing, "leaves every SYN unanswered, as a firewall that drops"),
    word("reset", Kind::Reset, APP, Takes::Nothing, "resets the connection; behind so many bytes with after=100B"),
    word(
        "accept-stall",
        Kind::AcceptStall,
        APP,
        Takes::Nothing,
        "takes no connection from its accept queue, which is full",
    ),
    word("slow-first-byte", Kind::SlowFirstByte, APP, Takes::Time, "begins to answer so much later"),
    word("drip", Kind::Drip, APP, Takes::Time, "sends the content in small pieces with this pause between them"),
    word("cut", Kind::Cut, APP, Takes::Nothing, "closes in mid-content, or behind after=100B of the answer"),
    word("empty", Kind::Empty, APP, Takes::Nothing, "reads the request and closes without a byte"),
    word("garbage", Kind::Garbage, APP, Takes::Nothing, "answers with bytes that are no HTTP"),
    word("status", Kind::Status, APP, Takes::Status, "answers with this status"),
    word("redirect-loop", Kind::RedirectLoop, APP, Takes::Nothing, "points from every page to the page itself"),
    word("endless", Kind::Endless, APP, Takes::Nothing, "sends content without end"),
    word("tls-expired", Kind::TlsExpired, APP, Takes::Nothing, "has a certificate that has expired"),
    word("tls-wrong-name", Kind::TlsWrongName, APP, Takes::Nothing, "has a certificate for another name"),
    word(
        "tls-untrusted",
        Kind::TlsUntrusted,
        APP,
        Takes::Nothing,
        "has a certificate of an authority that nobody trusts",
    ),
    word("tls-not-tls", Kind::TlsNotTls, APP, Takes::Nothing, "answers without TLS where TLS is spoken"),
    word("loss", Kind::Loss, WIRE, Takes::Share, "loses this share of the frames"),
    word("delay", Kind::Delay, WIRE, Takes::Time, "delivers so much later"),
    word("duplicate", Kind::Duplicate, WIRE, Takes::Share, "delivers this share of the frames twice"),
    word("cut-link", Kind::CutLink, WIRE, Takes::Nothing, "loses everything: the cable is out"),
];

impl Word {
    /// As one writes it, with its amount.
    pub fn written(&self) -> String {
        let amount = match self.takes {
            Takes::Nothing => "",
            Takes::Time => "=TIME",
            Takes::Share => "[=N%]",
            Takes::Status => "[=NNN]",
            Takes::Address => "[=ADDR]",
        };
        format!("{}{amount}", self.name)
    }
}

impl Kind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        WORDS.iter().find(|word| word.kind == self).map_or("", |word| word.name)
    }

    /// The word for it at this role, where there can be such a fault.
    pub fn word(self, role: Role) -> Option<&'static Word> {
        WORDS.iter().find(|word| word.kind == self && word.roles.contains(&role))
    }

    /// Whether it is a state of a socket at this role, in which the kernel answers whoever comes, and not something that is
    /// done to single queries or connections.
    pub fn is_state(self, role: Role) -> bool {
        match self {
            Self::TcpRefused | Self::Blackhole | Self::AcceptStall => true,
            Self::Refused => role == Role::App,
            _ => false,
        }
    }
}

/// The names of all faults that there can be at this role.
pub fn names(role: Role) -> String {
    let names = WORDS.iter().filter(|word| word.roles.contains(&role)).map(|word| word.name);
    names.collect::<Vec<_>>().join(", ")
}
