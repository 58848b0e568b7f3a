//! The `name` stage: what this machine asked for a name, and was told.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    NoUse,
    dns::{Question, Reply, Transport},
};

/// Name to addresses: what this machine asked and was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Name {
    /// The name that was looked up.
    pub asked: String,
    /// The host of the URL, where `--connect-to` had another looked up in its place.
    #[serde(default)]
    pub instead_of: Option<String>,
    /// Who answers for names here; null where nobody had to be asked.
    pub source: Option<NameSource>,
    /// How the resolver's own address was found, where it was given by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Box<Self>>,
    /// Every query that this machine sent, retransmissions and the change to TCP included, in order. One that was not
    /// waited for went on beside the visit: its time may end after the stage.
    pub exchanges: Vec<Exchange>,
    /// The alias chain that was followed, from the name asked to the name that has the addresses; empty without aliases.
    pub aliases: Vec<String>,
    /// The addresses, in the order in which they will be tried.
    pub addresses: Vec<Address>,
    /// Addresses of the other family that came when this stage was over, while a connection was being opened; they were
    /// tried as well where it came to that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<Address>,
}

impl Name {
    /// What it means that there is no such name or no address, in words: of the end of the alias chain, and of the
    /// families that were asked for.
    pub fn denial(&self, no_such_name: bool) -> String {
        let asked = &self.asked;
        let alias = self.aliases.last().map(|end| match end.trim_end_matches('.') {
            "" => "the root (.)",
            end => end,
        });
        if no_such_name {
            return match alias {
                Some(end) => format!("{asked} is an alias of {end}, which does not exist"),
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

/// A server that answered only a query with a smaller OPT record, or with none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LessEdns {
    /// The server.
    pub server: SocketAddr,
    /// The OPT record that it answered to.
    pub answered: Opt,
    /// The response code of its reply to the query with more; null where no reply came.
    pub refused_with: Option<String>,
}

/// What a search list added to a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchCost {
    /// Queries sent for names other than the one that the lookup ended with.
    pub queries: usize,
    /// All queries.
    pub of: usize,
    /// The name that the lookup ended with. Written like this, with its final dot, it is looked up without the search list.
    pub direct: String,
}

impl Name {
    /// The servers that do not handle EDNS as it was sent first.
    pub fn less_edns(&self) -> Vec<LessEdns> {
        let mut found: Vec<LessEdns> = Vec::new();
        for exchange in self.exchanges.iter().filter(|exchange| exchange.opt != Opt::Full) {
            let QueryResult::Reply { reply } = &exchange.result else { continue };
            let is_known = found.iter().any(|known| known.server == exchange.server);
            if is_known || matches!(reply.rcode.as_str(), "FORMERR" | "NOTIMP" | "SERVFAIL") {
                continue;
            }
            let before = self.exchanges.iter().filter(|before| {
                before.server == exchange.server && before.question == exchange.question && before.opt < exchange.opt
            });
            let mut refused_with = before.filter_map(|before| match &before.result {
                QueryResult::Reply { reply } => Some(reply.rcode.clone()),
                _ => None,
            });
            let refused_with = refused_with.next_back();
            found.push(LessEdns { server: exchange.server, answered: exchange.opt, refused_with });
        }
        found
    }

    /// What the search list cost, where it made other names than the one that the lookup ended with.
    pub fn search_cost(&self) -> Option<SearchCost> {
        let typed = format!("{}.", self.asked.trim_end_matches('.'));
        let named =
            |exchange: &&Exchange| matches!(&exchange.result, QueryResult::Reply { reply } if reply.counts[0] > 0);
        let answered = self.exchanges.iter().rev().find(named).filter(|_| !self.addresses.is_empty());
        let direct = answered.map_or(typed, |exchange| exchange.question.name.clone());
        let other = |exchange: &&Exchange| !exchange.question.name.eq_ignore_ascii_case(&direct);
        let queries = self.exchanges.iter().filter(other).count();
        (queries > 0).then_some(SearchCost { queries, of: self.exchanges.len(), direct })
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
        /// Its URL, where it was asked over TLS or HTTPS.
        #[serde(default)]
        url: Option<String>,
        /// Seconds that clients of the C library wait after each query (resolv.conf's `timeout`, or the default where it
        /// was chosen elsewhere); null where they cannot ask it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_s: Option<u64>,
        /// Why this one: `the lab's`, `--resolver`, `/etc/resolv.conf`.
        chosen_by: String,
    },
    /// The file of host names on this machine.
    HostsFile {
        /// Its path.
        path: String,
    },
    /// The command line.
    CommandLine {
        /// The option that said it: `--resolve`.
        option: String,
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
    /// Microseconds from the begin of the visit until the query was sent, or the connection for it begun.
    pub start_us: u64,
    /// Microseconds until it was answered or given up.
    pub duration_us: u64,
    /// Microseconds from the begin of the visit until the query was given to the kernel: later than `start_us` where a
    /// connection had to be opened first; null where that did not come about.
    #[serde(default)]
    pub sent_us: Option<u64>,
    /// Bytes of the query.
    pub sent_bytes: usize,
    /// The OPT record in the query.
    #[serde(default, skip_serializing_if = "Opt::is_full")]
    pub opt: Opt,
    /// What opening the connection took, where it was sent over TLS or HTTPS and opened one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<Opening>,
    /// The handshake before it, where it was sent over TLS or HTTPS and opened the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<super::Tls>>,
    /// What became of it.
    #[serde(flatten)]
    pub result: QueryResult,
}

/// The OPT record in a query (RFC 6891). A server that does not understand it is asked with less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Opt {
    /// With the options that this program sends.
    #[default]
    Full,
    /// Without options.
    Bare,
    /// No OPT record.
    Absent,
}

impl Opt {
    /// The usual one.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_full(&self) -> bool {
        *self == Self::Full
    }
}

/// What opening a connection for queries took; it is part of the first query's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Opening {
    /// Microseconds until it was open.
    pub connect_us: u64,
    /// Microseconds of the TLS handshake on it.
    pub handshake_us: u64,
}

/// What became of a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum QueryResult {
    /// A reply came.
    Reply {
        /// It.
        reply: Reply,
    },
    /// Nothing came in time.
    Timeout,
    /// Another query brought the answer first, or the visit ended; this one was not waited for any longer.
    Abandoned,
    /// The server's machine says that nothing listens there (ICMP port unreachable, or TCP RST).
    NothingListens,
    /// The query could not be sent, or the connection broke.
    Failed {
        /// Why.
        why: String,
        /// Why, for programs.
        #[serde(default)]
        failure: NoUse,
    },
    /// What came was no reply to this query.
    BadReply {
        /// What was wrong with it.
        why: String,
        /// The same for programs.
        #[serde(default)]
        failure: NoUse,
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
