//! What hickory's `Recursor` asks the world through: every query of it passes here.
//!
//! The tap finds the real socket behind a server's address, adds the visit's id, waits no longer than it is told, judges
//! the reply, records all of it for the visit, and notes for the client why a server was of no use.

use std::{
    collections::HashMap,
    future::{Ready, ready},
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use dns::options;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
    stream::{self, Stream},
};
use hickory_net::{NetError, runtime::TokioRuntimeProvider, xfer};
use hickory_proto::{
    op::{DnsRequest, DnsResponse, Message, Query, ResponseCode},
    rr::RecordType,
};
use hickory_resolver::{ConnectionProvider, PoolContext, config::ConnectionConfig};
use journey::{NoUse, TraceId, dns::Transport};
use service::{Clock, Recorder};
use world::{AddressBook, Protocol, Route};

use crate::{
    asking::Asking,
    counters::Counters,
    directory::Directory,
    exchange::{self, NoReply, Reply},
    judge::{self, Objection},
    walk::{Failure, Walk},
};

/// The way out.
#[derive(Clone)]
pub(crate) struct Tap(Arc<Inner>);

struct Inner {
    book: Arc<AddressBook>,
    limit: Duration,
    recorder: Recorder,
    counters: Counters,
    directory: Arc<Directory>,
    clock: Clock,
    runtime: TokioRuntimeProvider,
    // A std mutex: it is held for a look-up or a change, never across an await.
    flying: Mutex<Flying>,
}

impl Tap {
    /// Asks through this book, waits `limit` for each answer.
    pub(crate) fn new(
        book: Arc<AddressBook>,
        limit: Duration,
        recorder: Recorder,
        counters: Counters,
        directory: Arc<Directory>,
        clock: Clock,
    ) -> Self {
        let runtime = TokioRuntimeProvider::default();
        let flying = Mutex::default();
        Self(Arc::new(Inner { book, limit, recorder, counters, directory, clock, runtime, flying }))
    }

    fn flying(&self) -> MutexGuard<'_, Flying> {
        self.0.flying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionProvider for Tap {
    type Conn = Line;
    type FutureConn = Ready<Result<Line, NetError>>;
    type RuntimeProvider = TokioRuntimeProvider;

    /// A socket is opened for each question, so there is nothing to connect yet.
    fn new_connection(
        &self,
        ip: IpAddr,
        config: &ConnectionConfig,
        _: &PoolContext,
    ) -> Result<Self::FutureConn, NetError> {
        let transport = match config.protocol.to_protocol() {
            xfer::Protocol::Udp => Transport::Udp,
            xfer::Protocol::Tcp => Transport::Tcp,
            _ => return Err(NetError::NoConnections),
        };
        Ok(ready(Ok(Line { tap: self.clone(), server: SocketAddr::new(ip, config.port), transport })))
    }

    fn runtime_provider(&self) -> &TokioRuntimeProvider {
        &self.0.runtime
    }
}

/// A server and a way to ask it.
#[derive(Clone)]
pub(crate) struct Line {
    tap: Tap,
    server: SocketAddr,
    transport: Transport,
}

impl xfer::DnsHandle for Line {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Self::Response {
        // Now, and not when the stream is polled: hickory shares one look-up among all who ask the same at the same
        // time, and polls it from whichever task comes first.
        let walk = Walk::current();
        let line = self.clone();
        Box::pin(stream::once(async move { line.ask(request, walk.as_deref()).await }))
    }
}

impl Line {
    /// Asks, and tells hickory what it understands: a reply that can be used, or an error after which it tries the next
    /// server.
    async fn ask(self, request: DnsRequest, walk: Option<&Walk>) -> Result<DnsResponse, NetError> {
        let server = self.server.ip();
        if walk.is_some_and(|walk| walk.is_silent(server)) {
            return Err(NetError::Timeout);
        }
        let [question] = request.queries.as_slice() else { return Err(NetError::from("a query has one question")) };
        let question = question.clone();
        walk.inspect(|walk| walk.asks());
        let tap = self.tap.clone();
        match self.outcome(&request, &question, walk.and_then(|walk| walk.trace)).await {
            Ok(response) => {
                if !response.metadata.truncation {
                    walk.inspect(|walk| walk.answered(&question, &response.answers));
                }
                without_ns_of_a_no(Arc::unwrap_or_clone(response))
            }
            Err(Useless { why, silent }) => {
                if let Some(walk) = walk {
                    let name = tap.0.directory.role_for(server, question.name()).map(|(_, name)| name);
                    walk.failed(Failure { server, name, question, why: why.to_string() }, silent);
                }
                // A time-out is the one error after which hickory does not ask the same servers for longer names.
                Err(if silent { NetError::Timeout } else { NetError::from(io::Error::other(&*why)) })
            }
        }
    }

    /// What comes of asking; who asks the same for the same visit meanwhile goes along. hickory does so as well, but each
    /// of two walks for one name comes to a delegation with its own idea of the servers behind it, and then asks twice.
    async fn outcome(self, request: &DnsRequest, question: &Query, trace: Option<TraceId>) -> Outcome {
        let key = Key { server: self.server, transport: self.transport, question: question.clone(), trace };
        let tap = self.tap.clone();
        let (outcome, leader) = {
            let mut flying = tap.flying();
            match flying.get(&key) {
                Some(outcome) => (outcome.clone(), None),
                None => {
                    let mut query = Message::clone(request);
                    query.edns = Some(options::of_query(trace));
                    let outcome = self.fly(query, question.clone(), trace).boxed().shared();
                    flying.insert(key.clone(), outcome.clone());
                    (outcome, Some(Leader { tap: &tap, key }))
                }
            }
        };
        let outcome = outcome.await;
        drop(leader);
        outcome
    }

    /// Asks, waits, judges and records, once for all who go along.
    async fn fly(self, query: Message, question: Query, trace: Option<TraceId>) -> Outcome {
        let directory = &self.tap.0.directory;
        let server = self.server.ip();
        let Inner { recorder, counters, .. } = &*self.tap.0;
        let mut asking = Asking::new((recorder, counters), (self.server, self.transport), trace, &question);
        let useless = match self.exchange(&query, &mut asking).await {
            Ok(Reply { response, nth }) => {
                let role = directory.role_for(server, question.name());
                let zone = role.as_ref().map(|(zone, _)| zone);
                let objection = judge::objection(&question, &response, self.transport, zone);
                let usable = match objection {
                    Some(objection) => Err(objection),
                    None => Ok(directory.has_a_say_in(server, question.name())),
                };
                match asking.answered(response, nth, usable) {
                    Ok(response) => {
                        if !response.metadata.truncation {
                            directory.learn(&response, self.tap.0.clock.now());
                        }
                        return Ok(Arc::new(response));
                    }
                    Err(Objection { why, .. }) => Useless { why: why.into(), silent: false },
                }
            }
            Err(NoReply { why, failure }) => {
                asking.failed(&why, self.in_the_end(failure));
                Useless { why: why.into(), silent: true }
            }
        };
        directory.failed(server, &useless.why, Instant::now());
        Err(useless)
    }

    /// hickory asks over TCP only what was cut over UDP; that nothing comes there either leaves the server without an
    /// answer that can be used, whatever the reason.
    fn in_the_end(&self, failure: NoUse) -> NoUse {
        let is_nothing =
            matches!(failure, NoUse::NoAnswer | NoUse::NothingListens | NoUse::Unreachable | NoUse::HungUp);
        if self.transport == Transport::Tcp && is_nothing { NoUse::Truncated } else { failure }
    }

    async fn exchange(&self, query: &Message, asking: &mut Asking) -> Result<Reply, NoReply> {
        let limit = self.tap.0.limit;
        let protocol = match self.transport {
            Transport::Udp => Protocol::Udp,
            Transport::Tcp | Transport::Tls | Transport::Https => Protocol::Tcp,
        };
        let to = match self.tap.0.book.route(protocol, self.server) {
            Route::Direct => self.server,
            Route::Via(socket) | Route::NothingListens(Some(socket)) => socket,
            Route::NothingListens(None) => {
                let (transport, port) = (self.transport.as_str(), self.server.port());
                let why = format!("nothing listens there on {transport} port {port}");
                return Err(NoReply::new(NoUse::NothingListens, why));
            }
            Route::NoHost => {
                return Err(NoReply::new(NoUse::Unreachable, "no host of the lab has this address"));
            }
        };
        match self.transport {
            Transport::Udp => exchange::over_udp(to, query, limit, |at_ns| asking.sent(at_ns)).await,
            // `new_connection` gives out no other.
            Transport::Tcp | Transport::Tls | Transport::Https => {
                exchange::over_tcp(to, query, limit, |at_ns| asking.sent(at_ns)).await
            }
        }
    }
}

/// What came of a query: a reply that can be used, or why not.
type Outcome = Result<Arc<DnsResponse>, Useless>;

/// Why a server was of no use; `silent`: it did not answer at all.
#[derive(Clone, Debug)]
struct Useless {
    why: Arc<str>,
    silent: bool,
}

/// A query that is under way. Visits do not share: each is to be told all that was done for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    server: SocketAddr,
    transport: Transport,
    question: Query,
    trace: Option<TraceId>,
}

/// Queries under way; not more than there are clients waiting.
type Flying = HashMap<Key, Shared<BoxFuture<'static, Outcome>>>;

/// Whoever began a query; when it is gone, the next asks anew.
struct Leader<'a> {
    tap: &'a Tap,
    key: Key,
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        self.tap.flying().remove(&self.key);
    }
}

/// A "no" may carry the zone's NS records, beside its SOA record or, for a name that does not exist, without it (RFC
/// 2308 §2.1 types 1 and 4, §2.2 type 1). hickory takes any NS record for a referral.
fn without_ns_of_a_no(response: DnsResponse) -> Result<DnsResponse, NetError> {
    let has = |rtype| response.authorities.iter().any(|record| record.record_type() == rtype);
    let is_no = has(RecordType::SOA) || response.metadata.response_code == ResponseCode::NXDomain;
    if !(response.answers.is_empty() && is_no && has(RecordType::NS)) {
        return Ok(response);
    }
    let mut message = response.into_message();
    message.authorities.retain(|record| record.record_type() != RecordType::NS);
    message.additionals.clear();
    Ok(DnsResponse::from_message(message)?)
}
