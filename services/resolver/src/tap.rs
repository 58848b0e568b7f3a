//! The way out: asks one server one question, and tells what came of it.
//!
//! The tap finds the real socket behind a server's address, adds the visit's id, waits no longer than it is told, asks
//! again without EDNS where that is in the way and over TCP what was cut, has the reply read, and records all of it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use dns::options;
use futures_util::FutureExt;
use hickory_proto::{
    op::{DnsResponse, Message, MessageType, OpCode, Query, ResponseCode},
    rr::Name,
};
use journey::{NoUse, TraceId, dns::Transport};
use service::{Clock, Recorder};
use world::{AddressBook, Protocol, Route};

use crate::{
    asking::Asking,
    counters::Counters,
    delegations::Delegations,
    exchange::{self, NOTHING_LEFT, NoReply, Reply, Transmission},
    flights::Flights,
    reading::{self, Objection, Reading},
    walk::Walk,
};

/// Port of name servers.
const PORT: u16 = 53;
/// How much longer than for the lab's own hosts an answer of others is waited for: peers give a server that is far away
/// or busy some seconds.
const PATIENCE: u32 = 6;

/// The way out. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tap(Arc<Inner>);

struct Inner {
    book: Arc<AddressBook>,
    limit: Duration,
    recorder: Recorder,
    counters: Counters,
    delegations: Arc<Delegations>,
    clock: Clock,
    flights: Flights<Key, Outcome>,
}

/// Whom to ask, on behalf of which zone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) ip: IpAddr,
    pub(crate) zone: Name,
}

/// What to ask: a part of the name that a client asks for, or the whole. Of a server that does not answer the first, the
/// second is asked in the same exchange: some servers ignore questions for names that have no records.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    pub(crate) first: Query,
    pub(crate) full: Query,
}

/// A reply that can be used, and which of the questions it answers.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) question: Query,
    pub(crate) reading: Reading,
}

/// Why a server was of no use; `silent`: it did not answer at all.
#[derive(Clone, Debug)]
pub(crate) struct Useless {
    pub(crate) why: Arc<str>,
    pub(crate) silent: bool,
}

impl Useless {
    fn said(why: &str) -> Self {
        Self { why: why.into(), silent: false }
    }
}

/// What came of a query.
pub(crate) type Outcome = Result<Arc<Heard>, Useless>;

/// A query that is under way. Visits do not share: each is to be told all that was done for it. Who shares is given the
/// answer to the same first question, or to the whole one of the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    target: Target,
    first: Query,
    trace: Option<TraceId>,
}

impl Tap {
    /// Asks through this book, waits `limit` for each answer of the lab's hosts.
    pub(crate) fn new(
        book: Arc<AddressBook>,
        limit: Duration,
        recorder: Recorder,
        counters: Counters,
        delegations: Arc<Delegations>,
        clock: Clock,
    ) -> Self {
        let flights = Flights::default();
        Self(Arc::new(Inner { book, limit, recorder, counters, delegations, clock, flights }))
    }

    /// Asks, waits and reads. Who asks the same for the same visit meanwhile goes along.
    pub(crate) async fn ask(&self, walk: &Arc<Walk>, target: Target, asked: Asked) -> Outcome {
        walk.asks();
        if self.is_stranger(target.ip) {
            walk.asks_a_stranger();
        }
        let key = Key { target: target.clone(), first: asked.first.clone(), trace: walk.trace };
        let fly = || Fly { tap: self.clone(), walk: Arc::clone(walk), target, asked }.outcome().boxed();
        let (outcome, _) = self.0.flights.join(key, fly).await;
        outcome
    }

    /// Whether this is no host of the lab's own, but one that may be far away.
    pub(crate) fn is_stranger(&self, ip: IpAddr) -> bool {
        self.0.book.host_of(ip).is_none() && !(self.0.book.closed.is_some() && self.0.book.contains(ip))
    }

    /// When the next server is asked while this one may still answer.
    pub(crate) fn stagger(&self) -> Duration {
        self.0.limit
    }
}

/// A question to one server, with all that it takes.
struct Fly {
    tap: Tap,
    walk: Arc<Walk>,
    target: Target,
    asked: Asked,
}

impl Fly {
    async fn outcome(self) -> Outcome {
        let Inner { delegations, clock, .. } = &*self.tap.0;
        let mut edns = !delegations.knows_no_edns(self.target.ip);
        loop {
            match self.over_udp(edns).await {
                Ok(Came::Read(heard)) => return Ok(heard),
                Ok(Came::Cut(question, with_edns)) => return self.over_tcp(&question, with_edns).await,
                // RFC 6891 §7: servers that do not know EDNS answer with an error, and without an OPT record.
                Ok(Came::NotWithEdns) if edns => edns = false,
                Ok(Came::NotWithEdns) => return Err(Useless::said("it answers no query")),
                Err(useless) => {
                    delegations.failed(self.target.ip, clock.now());
                    return Err(useless);
                }
            }
        }
    }

    /// The transmissions of one exchange over UDP, and whether each has EDNS.
    fn transmissions(&self, edns: bool) -> Vec<(Transmission, bool)> {
        let limit = self.limit();
        let of = |after, question: &Query, edns| (Transmission { after, query: self.query(question, edns) }, edns);
        let Asked { first, full } = &self.asked;
        if self.tap.is_stranger(self.target.ip) {
            // The last one without EDNS: middleboxes exist that drop what they do not know (RFC 6891 §6.2.2).
            return vec![of(Duration::ZERO, first, edns), of(limit / PATIENCE, full, edns), of(limit / 2, full, false)];
        }
        vec![of(Duration::ZERO, first, edns), of(limit / 2, full, edns)]
    }

    async fn over_udp(&self, edns: bool) -> Result<Came, Useless> {
        let (transmissions, with_edns): (Vec<Transmission>, Vec<bool>) = self.transmissions(edns).into_iter().unzip();
        let questions = transmissions.iter().filter_map(|transmission| transmission.query.queries.first());
        let mut asking = self.asking(Transport::Udp, questions);
        let to = match self.route(Protocol::Udp) {
            Ok(to) => to,
            Err(no) => return Err(self.no_reply(asking, no, Transport::Udp)),
        };
        let reply =
            exchange::over_udp(to, &transmissions, self.limit(), |_| self.walk.spend(), |n, at| asking.sent(n, at));
        let Reply { response, nth } = match reply.await {
            Ok(reply) => reply,
            Err(no) => return Err(self.no_reply(asking, no, Transport::Udp)),
        };
        let had_edns = with_edns.get(nth).copied().unwrap_or_default();
        let question = transmissions.get(nth).and_then(|t| t.query.queries.first()).unwrap_or(&self.asked.full);
        if edns && !had_edns {
            self.tap.0.delegations.is_without_edns(self.target.ip);
        }
        if had_edns && is_against_edns(&response) {
            let code = dns::words::rcode(response.metadata.response_code);
            let objection = Objection::without_edns(&code);
            let _ = asking.answered(&response, nth, &self.target.zone, Err(objection));
            return Ok(Came::NotWithEdns);
        }
        let is_cut = response.metadata.truncation;
        let heard = self.read(asking, &response, nth, question, Transport::Udp)?;
        if !edns {
            self.tap.0.delegations.is_without_edns(self.target.ip);
        }
        Ok(if is_cut { Came::Cut(question.clone(), had_edns) } else { Came::Read(heard) })
    }

    async fn over_tcp(&self, question: &Query, edns: bool) -> Outcome {
        let mut asking = self.asking(Transport::Tcp, std::iter::once(question));
        if !self.walk.spend() {
            return Err(self.no_reply(asking, NoReply::new(NoUse::Other, NOTHING_LEFT), Transport::Tcp));
        }
        let reply = match self.route(Protocol::Tcp) {
            Ok(to) => {
                let query = self.query(question, edns);
                exchange::over_tcp(to, &query, self.limit(), |at| asking.sent(0, at)).await
            }
            Err(no) => Err(no),
        };
        match reply {
            Ok(Reply { response, .. }) => self.read(asking, &response, 0, question, Transport::Tcp),
            Err(no) => Err(self.no_reply(asking, no, Transport::Tcp)),
        }
    }

    fn read(
        &self,
        asking: Asking,
        response: &DnsResponse,
        nth: usize,
        question: &Query,
        transport: Transport,
    ) -> Outcome {
        let zone = &self.target.zone;
        let reading = match response.metadata.truncation && transport == Transport::Udp {
            true => Ok(Reading::of_nothing()),
            false => reading::read(question, response, transport, zone),
        };
        match asking.answered(response, nth, zone, reading) {
            Ok(reading) => Ok(Arc::new(Heard { question: question.clone(), reading })),
            Err(Objection { why, .. }) => Err(Useless::said(&why)),
        }
    }

    fn no_reply(&self, asking: Asking, NoReply { why, failure }: NoReply, transport: Transport) -> Useless {
        asking.failed(&why, in_the_end(failure, transport));
        Useless { why: why.into(), silent: true }
    }

    fn asking<'q>(&self, transport: Transport, questions: impl Iterator<Item = &'q Query>) -> Asking {
        let Inner { recorder, counters, .. } = &*self.tap.0;
        Asking::new((recorder, counters), (self.server(), transport), self.walk.trace, questions)
    }

    fn server(&self) -> SocketAddr {
        SocketAddr::new(self.target.ip, PORT)
    }

    fn query(&self, question: &Query, edns: bool) -> Message {
        let mut query = Message::new(rand::random(), MessageType::Query, OpCode::Query);
        query.add_query(question.clone());
        query.edns = edns.then(|| options::of_query(self.walk.trace));
        query
    }

    fn limit(&self) -> Duration {
        let limit = self.tap.0.limit;
        if self.tap.is_stranger(self.target.ip) { limit * PATIENCE } else { limit }
    }

    fn route(&self, protocol: Protocol) -> Result<SocketAddr, NoReply> {
        let Target { ip, zone } = &self.target;
        // The root's addresses are in the hints, which are this resolver's own.
        if is_nowhere(*ip) && self.tap.is_stranger(*ip) && !self.tap.0.book.contains(*ip) && !zone.is_root() {
            return Err(NoReply::new(NoUse::Unreachable, "no other host can have this address"));
        }
        match self.tap.0.book.route(protocol, self.server()) {
            Route::Direct => Ok(self.server()),
            Route::Via(socket) | Route::NothingListens(Some(socket)) => Ok(socket),
            Route::NothingListens(None) => {
                let transport = if protocol == Protocol::Udp { Transport::Udp } else { Transport::Tcp };
                let why = format!("nothing listens there on {} port {PORT}", transport.as_str());
                Err(NoReply::new(NoUse::NothingListens, why))
            }
            Route::NoHost => Err(NoReply::new(NoUse::Unreachable, "no host of the lab has this address")),
        }
    }
}

/// What came over UDP.
enum Came {
    Read(Arc<Heard>),
    /// Only a part of the answer to this question; whether it was asked with EDNS.
    Cut(Query, bool),
    /// An error of a server that may not know EDNS.
    NotWithEdns,
}

/// Whether a server may have answered so because the query had an OPT record.
fn is_against_edns(reply: &Message) -> bool {
    use ResponseCode::{BADVERS, FormErr, NotImp, ServFail};
    reply.edns.is_none() && matches!(reply.metadata.response_code, FormErr | NotImp | ServFail | BADVERS)
}

/// Whether this is no other host's address: with one that means this machine, a zone could have it ask its own services
/// (RFC 1122 §3.2.1.3).
fn is_nowhere(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.octets()[0] == 0 || ip.is_loopback() || ip.is_multicast() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_loopback() || ip.is_multicast(),
    }
}

/// Over TCP only what was cut over UDP is asked; that nothing comes there either leaves the server without an answer that
/// can be used, whatever the reason.
fn in_the_end(failure: NoUse, transport: Transport) -> NoUse {
    let is_nothing = matches!(failure, NoUse::NoAnswer | NoUse::NothingListens | NoUse::Unreachable | NoUse::HungUp);
    if transport == Transport::Tcp && is_nothing { NoUse::Truncated } else { failure }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::RecordType;
    use prometheus_client::registry::Registry;
    use tokio::net::UdpSocket;

    use super::*;

    /// A tap, and a question to a server that is none of the lab's hosts.
    fn fly(limit: Duration) -> Fly {
        let book = AddressBook {
            inside: None,
            v4: "10.78.0.0/16".parse().unwrap(),
            v6: "fd10:78:1ab::/64".parse().unwrap(),
            names: Vec::new(),
            hosts: Vec::new(),
            closed: None,
            roots: Vec::new(),
            ca: None,
            control: None,
            token: None,
        };
        let counters = Counters::new(&mut Registry::default());
        let recorder = Recorder::new("resolver", "resolver", 8);
        let delegations = Arc::new(Delegations::new(&[], 8));
        let tap = Tap::new(Arc::new(book), limit, recorder, counters, delegations, Clock::default());
        let target = Target { ip: [192, 0, 2, 1].into(), zone: Name::root() };
        let of = |text: &str| Query::query(Name::from_ascii(text).unwrap(), RecordType::A);
        let asked = Asked { first: of("test."), full: of("www.test.") };
        Fly { tap, walk: Arc::new(Walk::new(None)), target, asked }
    }

    /// A server that leaves queries unanswered, or answers them late, as `delay` says.
    async fn server(delay: impl Fn(&Message) -> Option<Duration> + Send + 'static) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
                let query = Message::from_vec(&buffer[..length]).unwrap();
                if let Some(delay) = delay(&query) {
                    tokio::time::sleep(delay).await;
                    let mut reply = query.clone().into_response();
                    reply.metadata.id = query.metadata.id;
                    reply.queries.clone_from(&query.queries);
                    socket.send_to(&reply.to_vec().unwrap(), peer).await.unwrap();
                }
            }
        });
        address
    }

    async fn outcome(fly: &Fly, to: SocketAddr) -> Result<(usize, bool), NoReply> {
        let (transmissions, with_edns): (Vec<_>, Vec<_>) = fly.transmissions(true).into_iter().unzip();
        let Reply { nth, .. } = exchange::over_udp(to, &transmissions, fly.limit(), |_| true, |_, _| ()).await?;
        Ok((nth, with_edns[nth]))
    }

    #[test]
    fn addresses_of_this_machine_are_no_name_servers() {
        let check = |ip: &str, zone: &str| {
            let mut fly = fly(Duration::from_millis(100));
            fly.target = Target { ip: ip.parse().unwrap(), zone: Name::from_ascii(zone).unwrap() };
            fly.route(Protocol::Udp).is_ok()
        };
        for ip in ["127.0.0.1", "127.3.2.1", "0.0.0.0", "0.1.2.3", "224.0.0.251", "255.255.255.255"] {
            assert!(!check(ip, "test."), "{ip}");
        }
        for ip in ["::1", "::", "ff02::fb", "::ffff:127.0.0.1"] {
            assert!(!check(ip, "test."), "{ip}");
        }
        assert!(check("192.0.2.1", "test.") && check("2001:db8::1", "test.") && check("10.0.0.1", "test."));
        assert!(check("127.0.0.1", "."), "the hints say so");
    }

    #[tokio::test]
    async fn a_server_elsewhere_that_is_silent_to_edns_is_asked_without_it() {
        let fly = fly(Duration::from_millis(100));
        let to = server(|query| query.edns.is_none().then_some(Duration::ZERO)).await;
        assert_eq!(outcome(&fly, to).await, Ok((2, false)));
    }

    #[tokio::test]
    async fn a_server_elsewhere_that_needs_900_ms_is_slow_and_not_failed() {
        // As long as the lab's own hosts are waited for.
        let limit = Duration::from_millis(500);
        let to = server(|query| query.edns.is_some().then_some(Duration::from_millis(900))).await;
        assert_eq!(outcome(&fly(limit), to).await, Ok((0, true)));
    }
}
