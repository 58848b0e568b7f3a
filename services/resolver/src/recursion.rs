//! Questions to answers: the cache first, then the way down from the root; and what a client is told of a failure.

use std::{io, pin::pin, sync::Arc, time::Duration};

use dns::{options::ede, serve::Struck, words};
use futures_util::FutureExt;
use hickory_proto::{
    op::{Query, ResponseCode},
    rr::{RData, Record, RecordType, rdata::HINFO},
};
use journey::{TraceId, What};
use service::{Clock, Recorder, ring::now_ns};
use tokio::time::timeout;
use world::AddressBook;

use crate::{
    answer::{Answer, Why, bare},
    cache::{Cache, Hit},
    counters::Counters,
    delegations::Delegations,
    descent::{Descent, Vain},
    flights::Flights,
    hints::Root,
    limits::MAX_ATTEMPTS,
    links::Links,
    reach::Reach,
    tap::Tap,
    walk::Walk,
};

/// How much longer a client waits where servers are asked that are none of the lab's hosts.
const PATIENCE: u32 = 4;
/// For how long the answer to a question for ANY is kept, in seconds.
const ANY_TTL: u32 = 3_600;

/// What a resolver may hold in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Answers kept.
    pub answers: usize,
    /// Delegations kept, and name servers remembered.
    pub servers: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { answers: 8_192, servers: 1_024 }
    }
}

/// What recursion needs.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    pub(crate) book: Arc<AddressBook>,
    pub(crate) upstream_timeout: Duration,
    pub(crate) answer_timeout: Duration,
    pub(crate) bounds: Bounds,
    pub(crate) reach: Reach,
    pub(crate) recorder: Recorder,
    pub(crate) counters: Counters,
    /// What TTLs are counted by.
    pub(crate) clock: Clock,
}

/// A resolver from its roots to its cache. It has no way to forget; to begin afresh, another one is made.
pub(crate) struct Recursion(Arc<Inner>);

struct Inner {
    descent: Descent,
    cache: Cache,
    /// Answers that are not true: what a cache that has not forgotten holds, by a fault.
    old: Cache,
    flights: Flights<Query, Flown>,
    means: Means,
}

/// What came of a walk, and whether nobody was asked.
type Flown = (Answer, bool);

impl Recursion {
    /// Begins with an empty cache at these roots.
    pub(crate) fn new(roots: &[Root], means: Means) -> io::Result<Self> {
        if roots.is_empty() {
            return Err(io::Error::other("there is no root to begin at"));
        }
        let delegations = Arc::new(Delegations::new(roots, means.bounds.servers));
        let tap = Tap::new(
            Arc::clone(&means.book),
            means.upstream_timeout,
            means.recorder.clone(),
            means.counters.clone(),
            Arc::clone(&delegations),
            means.clock.clone(),
        );
        let links = Links::new(means.bounds.answers);
        let descent = Descent { links, delegations, tap, reach: means.reach, clock: means.clock.clone() };
        let [cache, old] = [means.bounds.answers; 2].map(Cache::new);
        Ok(Self(Arc::new(Inner { descent, cache, old, flights: Flights::default(), means })))
    }

    /// The answer to a question. Without `recurse`, only what is known already.
    pub(crate) async fn answer(&self, query: &Query, trace: Option<TraceId>, recurse: bool) -> Answer {
        if query.query_type() == RecordType::ANY {
            return self.any(query, trace, recurse).await;
        }
        let Inner { means, cache, .. } = &*self.0;
        if let Some(Hit { mut answer, age_s, remaining_ttl_s }) = cache.find(query, means.clock.now()) {
            means.counters.hit();
            self.record_hit(query, trace, age_s, remaining_ttl_s);
            answer.mark_cached();
            return answer;
        }
        if !recurse {
            // RFC 8914 §4.21 names this code for a resolver that is asked with RD=0.
            let text = "it is not in the cache, and recursion is not desired (RD=0)";
            return Answer::refusal(ResponseCode::Refused, Why::new(ede::NOT_AUTHORITATIVE, text));
        }
        means.counters.missed();
        self.walk(query, trace).await
    }

    /// One of the record sets at the name, as RFC 8482 §4.1 has it: all of them would be what a cache happens to hold. A
    /// name that has others only gets the HINFO record of §4.2.
    async fn any(&self, query: &Query, trace: Option<TraceId>, recurse: bool) -> Answer {
        let a = Query::query(query.name().clone(), RecordType::A);
        let mut answer = Box::pin(self.answer(&a, trace, recurse)).await;
        if answer.rcode != ResponseCode::NoError {
            return answer;
        }
        // An alias is a record like others here: it is not followed (RFC 1034 §3.6.2).
        answer.answers.retain(|record| record.name == *query.name());
        answer.authorities.clear();
        if answer.answers.is_empty() {
            let data = RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()));
            answer.answers.push(Record::from_rdata(query.name().clone(), ANY_TTL, data));
        }
        answer
    }

    /// The answer of a cache that has not forgotten: one of these addresses instead of the true ones. It is kept as any
    /// answer, so it ages, and is told of as what it is to the client: a hit. What true answer it stands for is asked
    /// without the visit's id, since no such cache would have asked for this visit.
    pub(crate) async fn stale(&self, query: &Query, trace: Option<TraceId>, recurse: bool, struck: &Struck) -> Answer {
        let (rtype, addresses) = (query.query_type(), &struck.addresses);
        let gives = |answer: &Answer| {
            let given = answer.answers.iter().filter(|record| record.record_type() == rtype);
            given.filter_map(|record| record.data.ip_addr()).all(|ip| addresses.contains(&ip))
        };
        let mut found = self.0.old.find(query, self.0.means.clock.now()).filter(|hit| gives(&hit.answer));
        if found.is_some() {
            found = found.filter(|_| struck.strikes());
        } else if matches!(rtype, RecordType::A | RecordType::AAAA) {
            let mut answer = self.answer(query, None, recurse).await;
            if answer.give_instead(rtype, addresses) && struck.strikes() {
                let now = self.0.means.clock.now();
                self.0.old.keep(query, &answer, Some(now), now);
                found = self.0.old.find(query, now);
            }
        }
        let Some(Hit { answer, age_s, remaining_ttl_s }) = found else {
            return self.answer(query, trace, recurse).await;
        };
        self.0.means.counters.hit();
        self.record_hit(query, trace, age_s, remaining_ttl_s);
        answer
    }

    /// Walks for this client, or goes along with the walk of another one that asked the same.
    async fn walk(&self, query: &Query, trace: Option<TraceId>) -> Answer {
        let (inner, asked) = (Arc::clone(&self.0), query.clone());
        let work = || async move { inner.flight(&asked, trace).await }.boxed();
        let ((answer, from_cache), is_own) = self.0.flights.join(query.clone(), work).await;
        if from_cache && answer.rcode != ResponseCode::ServFail {
            self.record_hit(query, trace, None, answer.ttl());
        } else if !is_own && trace.is_some() {
            let question = words::question(query);
            self.0.means.recorder.record(trace, now_ns(), What::WentAlong { question });
        }
        answer
    }

    fn record_hit(&self, query: &Query, trace: Option<TraceId>, age_s: Option<u32>, remaining_ttl_s: u32) {
        if trace.is_some() {
            let question = words::question(query);
            self.0.means.recorder.record(trace, now_ns(), What::CacheHit { question, age_s, remaining_ttl_s });
        }
    }

    /// How many answers are kept.
    pub(crate) fn kept(&self) -> usize {
        self.0.cache.len()
    }
}

impl Inner {
    async fn flight(&self, query: &Query, trace: Option<TraceId>) -> Flown {
        let walk = Arc::new(Walk::new(trace));
        let answer = self.in_time(query, &walk).await;
        if answer.rcode == ResponseCode::ServFail {
            self.means.counters.unresolved();
        }
        // Nobody was asked: all of it was known from other answers, and how old it is, is not.
        let from_cache = walk.asked() == 0;
        let done = self.means.clock.now();
        self.cache.keep(query, &answer, (!from_cache).then_some(done), done);
        (answer, from_cache)
    }

    /// The answer, or a failure when the client's time is over. A client has more patience where servers are asked that
    /// may be far away.
    async fn in_time(&self, query: &Query, walk: &Arc<Walk>) -> Answer {
        let limit = self.means.answer_timeout;
        let mut work = pin!(self.descent.resolve(walk, query, &[]));
        let mut came = timeout(limit, &mut work).await;
        let mut waited = limit;
        if came.is_err() && walk.asked_strangers() {
            waited = limit * PATIENCE;
            came = timeout(waited - limit, &mut work).await;
        }
        match came {
            Ok(Ok(answer)) => answer,
            Ok(Err(vain)) => {
                tracing::debug!(qname = %query.name(), qtype = %query.query_type(), ?vain, "not resolved");
                failure(&vain, walk)
            }
            Err(_) => told(walk, Some(format!("given up after {} ms", waited.as_millis()))),
        }
    }
}

/// What a client is told where no answer was found.
fn failure(vain: &Vain, walk: &Walk) -> Answer {
    match vain {
        Vain::Circle(names) => {
            let names: Vec<String> = names.iter().map(bare).collect();
            Answer::failure(Why::new(ede::OTHER, format!("the aliases go in a circle: {}", names.join(" → "))))
        }
        Vain::Aliases => told(walk, Some("the aliases do not come to an end".to_owned())),
        Vain::Referrals => told(walk, Some("the delegations do not come to an end".to_owned())),
        Vain::Spent => told(walk, Some(format!("given up after {MAX_ATTEMPTS} queries to name servers"))),
        Vain::Servers => {
            let is_silent = walk.failures().is_empty();
            told(walk, is_silent.then(|| "no name server could be asked".to_owned()))
        }
    }
}

/// The servers that failed, and this.
fn told(walk: &Walk, text: Option<String>) -> Answer {
    let servers = walk.failures();
    let code = if servers.is_empty() { ede::OTHER } else { ede::NO_REACHABLE_AUTHORITY };
    let told: Vec<String> = servers.iter().map(ToString::to_string).chain(text).collect();
    Answer::failure(Why::new(code, told.join("; ")))
}
